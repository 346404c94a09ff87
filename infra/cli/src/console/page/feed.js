/** Events as they come in: one stream for the whole page, the live view, and the customer's page beside it. */
import { hasKey, stream } from './api.js';
import { chip, clock, h, note, number, route, say } from './dom.js';
import { lane, oddities, speaker, summary } from './event.js';

/** How many events the page keeps. */
const KEPT = 300;

const events = [];
const known = new Set();
const listeners = new Set();
let state = { tone: 'wait', word: 'connecting' };

/** Calls `heard(event)` for each event that comes, until `signal`. */
export function listen(heard, signal) {
  listeners.add(heard);
  signal.addEventListener('abort', () => listeners.delete(heard));
}

const tell = (event) => listeners.forEach((heard) => heard(event));

function set(tone, word, detail) {
  state = { tone, word, detail };
  tell();
}

/** Begins to listen, and begins again when the stream breaks. */
export async function start() {
  for (;;) {
    if (hasKey()) {
      try {
        await stream('live', (kind, data) => {
          // That some were left out stays true, whatever comes after them.
          if (['well', 'stored'].includes(kind) && ['wait', 'bad'].includes(state.tone)) set('good', 'listening');
          if (kind === 'trouble') set('bad', 'trouble', data.detail);
          if (kind === 'gap') set('warn', 'some were left out', 'More came than this page could take: search finds the rest.');
          if (kind !== 'stored' || known.has(data.id)) return;
          known.add(data.id);
          events.unshift(data);
          events.splice(KEPT).forEach(({ id }) => known.delete(id));
          tell(data);
        });
        set('wait', 'connecting');
      } catch (error) {
        set('bad', 'not connected', error.message);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function row(event) {
  const user = event.facts.user;
  return h('li', { class: lane(event), 'data-id': event.id },
    h('time', { datetime: event.stored_at, title: `stored ${event.stored_at}` }, clock(event.stored_at)),
    h('span', { class: `who ${lane(event)}` }, speaker(event)),
    h('a', { class: 'type', href: route(['event', event.id]), 'data-step': true }, event.type),
    h('span', { class: 'about' }, summary(event), oddities(event).map((odd) => [' ', chip(odd, 'warn')])),
    user ? h('a', { class: 'user', href: route(['user', user]) }, h('span', { class: 'unseen' }, 'user '), user) : h('span', { class: 'user' }, 'no user'));
}

/** A list that grows while one looks at it. */
function list(signal) {
  let [paused, who, kind] = [false, '', ''];
  const rows = h('ol', { class: 'feed', 'aria-label': 'Events, newest first' });
  const empty = note('empty', '', 'Events appear here as they are stored. With a local cloud: cargo smile send --all');
  const status = h('p', { class: 'status', role: 'status' });
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', click: () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', paused);
    paused ? count() : show();
  } }, 'Pause');
  let missed = 0;
  const fits = (event) => (!who || lane(event) === who) && (!kind || event.type.toLowerCase().includes(kind));
  const count = () => { pause.textContent = paused ? (missed ? `Go on (${number(missed)} new)` : 'Go on') : 'Pause'; };
  const show = () => {
    missed = 0;
    count();
    rows.replaceChildren(...events.filter(fits).map(row));
    empty.hidden = rows.childElementCount > 0;
    tellEmpty();
  };
  const tellEmpty = () => {
    const nothing = { good: 'No event has been stored within a month.', wait: 'Loading the last events …' }[state.tone] ?? 'No events could be read.';
    empty.firstChild.firstChild.textContent = events.length ? 'No events of this kind among those shown last.' : nothing;
  };
  const tellState = () => status.replaceChildren(chip(state.word, state.tone), state.detail ? ` ${state.detail}` : '');
  listen((event) => {
    if (!event) {
      tellEmpty();
      return tellState();
    }
    if (!fits(event)) return undefined;
    if (paused) {
      missed += 1;
      return count();
    }
    const fresh = row(event);
    // Those that come first were there before.
    if (Date.now() - new Date(event.stored_at) < 30000) fresh.classList.add('fresh');
    rows.prepend(fresh);
    while (rows.childElementCount > KEPT) rows.lastChild.remove();
    empty.hidden = true;
    return undefined;
  }, signal);
  const source = h('select', { change: () => { who = source.value; show(); } },
    h('option', { value: '' }, 'everybody'), h('option', { value: 'smile' }, 'Smile'), h('option', { value: 'browser' }, 'browsers'));
  const type = h('input', { type: 'search', placeholder: 'any', input: () => { kind = type.value.trim().toLowerCase(); show(); } });
  tellState();
  show();
  return [h('div', { class: 'tools' }, pause, h('label', {}, 'From ', source), h('label', {}, 'Type ', type), status), rows, empty];
}

/** The live view. */
export function view(main, signal) {
  main.replaceChildren(h('h1', {}, 'Live'), ...list(signal));
}

/** The customer's web site of the local cloud, with the widget, beside what comes of it. */
export function customer(main, signal, site) {
  if (!site) return main.replaceChildren(h('h1', {}, 'Customer’s page'), note('empty', 'There is no customer’s page here.', 'cargo dev plays one beside the local cloud.'));
  main.replaceChildren(h('h1', {}, 'Customer’s page'), h('div', { class: 'beside' },
    h('iframe', { src: `${site}/`, title: 'A customer’s page with Smile’s widget' }), h('section', { 'aria-label': 'Live' }, ...list(signal))));
  return say('The customer’s page is on the left, what comes of it on the right.');
}
