/**
 * Acts: what changes something. Each is counted first; the count is repeated on the button that does it, and sent with it,
 * so that what has changed meanwhile is told and not done.
 */
import { post, stream } from './api.js';
import { facts, h, loading, many, note, number, put, say, wrong } from './dom.js';
import * as health from './health.js';

const table = (counts) => facts(Object.entries(counts ?? {}).map(([name, count]) => [name, `${count}`]), 'tally');

/** What was left, and why; or how often it was tried in vain. */
function leftovers({ count, told }) {
  if (!count && !told.length) return undefined;
  const are = `${many(count, 'is', 'are')} left as ${count === 1 ? 'it is' : 'they are'}`;
  const head = !count ? 'What went wrong:' : !told.length ? `${are}.` : told.length < count && told.every(({ what }) => what) ? `${are}, among them:` : `${are}:`;
  return h('div', {}, h('p', {}, head), h('ul', {}, told.map(({ what, times, why }) => h('li', {}, h('code', {}, what ?? many(times, 'time')), ` ${why}`))));
}

/**
 * Asks and does. `name` is the act's on the server, `request` what it is about, `verb` its word, `noun` what it is done to,
 * `means` what will come of it, `canStop` whether it can be stopped once it has begun. Resolves when the dialog is closed,
 * with whether something was done.
 */
export function act({ name, request, title, verb, noun, means, canStop = true }) {
  const place = h('div', {});
  const dialog = h('dialog', { class: 'act', 'aria-labelledby': 'act-title' }, h('h2', { id: 'act-title', tabindex: '-1' }, title), place);
  const close = (text = 'Close') => h('button', { type: 'button', click: () => dialog.close() }, text);
  const buttons = (...all) => h('div', { class: 'buttons' }, ...all);
  const stop = new AbortController();
  let isDone = false;

  const look = async () => {
    const cancel = close('Cancel');
    place.replaceChildren(loading('the count'), buttons(cancel));
    cancel.focus();
    try {
      const { count, by, left, notes } = await post(`acts/${name}`, request, stop.signal);
      const go = h('button', { type: 'button', class: 'main', click: () => run(count) }, `${verb} ${many(count, noun)}`);
      put(place,
        count ? h('p', {}, `This is about ${many(count, noun)}. `, means) : note('empty', `There is no ${noun} to ${verb.toLowerCase()}.`),
        notes.map((line) => h('p', {}, line)), table(by), leftovers(left), buttons(count > 0 && go, close(count ? 'Cancel' : 'Close')));
      (count ? go : place.querySelector('button')).focus();
    } catch (error) {
      if (error.name !== 'AbortError') place.replaceChildren(wrong(error, look), buttons(close('Cancel')));
    }
  };

  const run = async (count) => {
    const bar = h('progress', { max: count, value: 0, 'aria-label': 'How far it is' });
    const told = h('p', { role: 'status' }, 'It has begun …');
    const end = h('button', { type: 'button', click: () => stop.abort() }, 'Stop');
    put(place, bar, told, canStop && buttons(end));
    dialog.dataset.running = '';
    let last;
    try {
      await stream(`acts/${name}`, (kind, data) => {
        if (kind === 'progress') {
          bar.value = data.done;
          told.textContent = `${data.done} of ${count}`;
        } else last = { kind, data };
      }, { signal: stop.signal, body: { ...request, confirm: count } });
      if (!last) last = { kind: 'failed', data: { detail: 'The console has ended before it was done. The audit says how far it came.' } };
      if (last.kind === 'failed') place.replaceChildren(note('wrong', 'It was not done to the end.', last.data.detail, 'The audit says how far it came. Count again before you go on.'), buttons(close()));
      else {
        const { done, whole, left, notes } = last.data;
        const title = whole ? `Done with ${many(done, noun)}.` : `Done with ${number(done)} of ${many(count, noun)}.`;
        put(place, note(whole ? 'good' : 'wait', title, ...notes), leftovers(left), buttons(close()));
        say(title);
      }
      isDone = true;
    } catch (error) {
      if (error.name === 'AbortError') place.replaceChildren(note('wait', 'Stopped.', 'The audit says how far it came, and from where a replay goes on.'), buttons(close()));
      else if (error.status === 409) place.replaceChildren(note('wait', 'It has changed meanwhile.', error.message), buttons(h('button', { type: 'button', class: 'main', click: look }, 'Count again'), close('Cancel')));
      else place.replaceChildren(wrong(error), buttons(close()));
      isDone = error.status !== 409;
    }
    delete dialog.dataset.running;
    place.querySelector('.buttons button').focus();
    health.refresh();
  };

  document.body.append(dialog);
  dialog.showModal();
  // While it runs, only its own button ends it.
  dialog.addEventListener('cancel', (event) => { if ('running' in dialog.dataset) event.preventDefault(); });
  look();
  return new Promise((resolve) => dialog.addEventListener('close', () => {
    // A second Escape closes any dialog. What runs then stops in good order.
    stop.abort();
    dialog.remove();
    resolve(isDone);
  }));
}

/** Sends one event again. Asks where to. */
export function resend(event) {
  const dialog = h('dialog', { class: 'act', 'aria-labelledby': 'way-title' });
  const go = (into) => () => {
    dialog.close();
    act({ name: 'resend', request: { ids: [event.id], into }, title: `Send again: ${event.type}`, verb: 'Send', noun: 'event', canStop: false,
      means: into === 'bus' ? 'Rules on the bus hear of it once more.' : 'The consumer takes it as it takes a repeat: the state stays, unless it was missing.' });
  };
  dialog.append(h('h2', { id: 'way-title' }, 'Send again'), h('p', {}, `${event.type}, ${event.id}`),
    h('div', { class: 'ways' },
      h('button', { type: 'button', click: go('bus') }, h('b', {}, 'To the bus'), h('span', {}, 'for your systems that missed it')),
      h('button', { type: 'button', click: go('consumer') }, h('b', {}, 'Through the consumer'), h('span', {}, 'for a state that is not what it should be'))),
    h('div', { class: 'buttons' }, h('button', { type: 'button', click: () => dialog.close() }, 'Cancel')));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
