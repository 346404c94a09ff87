/** The page: which view is shown, search, and keys. */
import { get, hasKey, takeKey } from './api.js';
import { h, loading, note, route, say, wrong } from './dom.js';
import * as detail from './event.js';
import * as feed from './feed.js';
import * as health from './health.js';
import * as operate from './operate.js';
import * as state from './state.js';
import * as timeline from './timeline.js';

const main = document.getElementById('main');
const query = document.getElementById('query');
let about = { queues: [] };
let leaving = new AbortController();
let shown = '';
let drawer;

async function search(id, signal) {
  const heading = h('h1', {}, 'Search ', h('span', { class: 'id' }, id));
  main.replaceChildren(heading, loading('what is known'));
  try {
    const { known } = await get(`find?id=${encodeURIComponent(id)}`);
    if (signal.aborted) return undefined;
    if (known.length === 1) return location.replace(route([known[0], id]));
    return main.replaceChildren(heading, known.length
      ? h('ul', { class: 'found' }, known.map((kind) => h('li', {}, h('a', { href: route([kind, id]) }, `The ${kind} ${id}`))))
      : note('empty', 'Nothing is known under this id.', 'Look at it again: ids are compared letter by letter. It may also be in quarantine, or still on its way.',
        h('a', { href: '#/quarantine' }, 'Look into the quarantine')));
  } catch (error) {
    return main.replaceChildren(heading, wrong(error, () => search(id, signal)));
  }
}

function show([view, id], parameters, signal) {
  switch (view) {
    case '': return feed.view(main, signal);
    case 'health': return health.view(main, signal);
    case 'find': return search(id ?? '', signal);
    case 'user': return timeline.view(main, id, parameters, signal);
    case 'event': return detail.view(main, id);
    case 'account': case 'archive': case 'invite': return state.owned(main, view, id);
    case 'record': case 'verification': return state.record(main, view, id, () => timeline.events(view, id));
    case 'quarantine': return operate.quarantine(main);
    case 'dead-letters': return operate.deadLetters(main, about);
    case 'replay': return operate.replay(main, about);
    case 'audit': return operate.audit(main);
    case 'customer': return feed.customer(main, signal, about.site);
    default: return main.replaceChildren(h('h1', {}, 'Nothing here'), note('empty', 'There is no such view.', h('a', { href: '#/' }, 'To the live view')));
  }
}

/** Shows one event beside the view; when it is closed, the address says so, too. */
function beside(event, rest) {
  drawer?.close();
  drawer = event && detail.open(event, () => {
    drawer = undefined;
    if (new URLSearchParams(location.hash.split('?')[1]).get('event') !== event) return;
    history.replaceState(null, '', rest);
    shown = rest;
    main.querySelector(`[data-id="${CSS.escape(event)}"]`)?.focus();
  });
}

function go() {
  // Another start of the console, maybe of another stack: nothing of the one before may stay.
  if (takeKey()) return location.reload();
  if (!hasKey()) {
    main.replaceChildren(h('h1', {}, 'Smile console'), note('wrong', 'This page needs its key.', 'Open the whole address that smile console or cargo dev printed. The key in it is another one each time.'));
    return undefined;
  }
  const [path, text] = (location.hash || '#/').slice(2).split('?');
  const parameters = new URLSearchParams(text);
  const event = parameters.get('event');
  parameters.delete('event');
  const parts = path.split('/').map(decodeURIComponent);
  const rest = route(parts, [...parameters].length ? parameters : undefined);
  if (rest !== shown) {
    shown = rest;
    leaving.abort();
    document.querySelectorAll('dialog.act[open]:not([data-running])').forEach((dialog) => dialog.close());
    leaving = new AbortController();
    for (const link of document.querySelectorAll('nav a')) link.toggleAttribute('aria-current', link.getAttribute('href') === rest);
    for (const link of document.querySelectorAll('nav a[aria-current]')) link.setAttribute('aria-current', 'page');
    query.value = parts[0] === 'find' ? (parts[1] ?? '') : '';
    show(parts, parameters, leaving.signal);
    document.title = `${main.querySelector('h1')?.textContent ?? 'Event'} – Smile console`;
    window.scrollTo(0, 0);
    if (started) main.focus({ preventScroll: true });
  }
  return beside(event, rest);
}

/** Moves among what the view lists. */
function step(by) {
  const steps = [...main.querySelectorAll('[data-step]')].filter((one) => one.offsetParent);
  const at = steps.findIndex((one) => one.contains(document.activeElement));
  const next = steps[at < 0 ? 0 : Math.min(steps.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
  return Boolean(next);
}

addEventListener('keydown', (event) => {
  const isTyping = event.target.matches('input:not([type=checkbox], [type=radio]), select, textarea');
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape' && isTyping) return event.target.blur();
  if (isTyping) return;
  const isInList = Boolean(event.target.closest?.('[data-step]'));
  if (event.key === '/') query.select(), query.focus();
  else if (event.key === 'j' || (event.key === 'ArrowDown' && isInList)) { if (!step(1)) return; }
  else if (event.key === 'k' || (event.key === 'ArrowUp' && isInList)) { if (!step(-1)) return; }
  else return;
  event.preventDefault();
});

document.getElementById('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const id = query.value.trim();
  if (id) location.hash = route(['find', id]);
  else say('Type an id first.');
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

let started = false;
takeKey();
addEventListener('hashchange', go);
if (hasKey()) {
  try {
    about = await get('about');
    const { stack, region, isLocal, site } = about;
    document.getElementById('stack').textContent = isLocal ? 'local cloud' : `${stack}, ${region}`;
    document.getElementById('stack').classList.toggle('real', !isLocal);
    document.querySelector('nav [href="#/customer"]').parentElement.hidden = !site;
    health.start();
    feed.start();
    // A view that was opened meanwhile did not know yet what there is.
    shown = '';
    go();
  } catch (error) {
    main.replaceChildren(h('h1', {}, 'Smile console'), wrong(error, () => location.reload()));
  }
} else go();
started = true;
