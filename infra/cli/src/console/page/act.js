/**
 * Acts: what changes something. Each is counted first; the count is repeated on the button that does it, and sent with it,
 * so that what has changed meanwhile is told and not done.
 */
import { post, stream } from './api.js';
import { facts, h, loading, many, note, put, say, wrong } from './dom.js';
import * as health from './health.js';

const table = (counts) => facts(Object.entries(counts ?? {}).map(([name, count]) => [name, `${count}`]), 'tally');

/** What was left, and why. */
const leftovers = (left) => left?.length > 0 && h('div', {}, h('p', {}, `${many(left.length, 'is', 'are')} left as ${left.length === 1 ? 'it is' : 'they are'}:`),
  h('ul', {}, left.slice(0, 50).map(({ what, why }) => h('li', {}, h('code', {}, what), ` ${why}`))));

/**
 * Asks and does. `name` is the act's on the server, `request` what it is about, `verb` its word, `noun` what it is done to,
 * `means` what will come of it. Resolves when the dialog is closed, with whether something was done.
 */
export function act({ name, request, title, verb, noun, means }) {
  const place = h('div', {});
  const dialog = h('dialog', { class: 'act', 'aria-labelledby': 'act-title' }, h('h2', { id: 'act-title', tabindex: '-1' }, title), place);
  const close = (text = 'Close') => h('button', { type: 'button', click: () => dialog.close() }, text);
  const buttons = (...all) => h('div', { class: 'buttons' }, ...all);
  const stop = new AbortController();
  let isDone = false;

  const look = async () => {
    place.replaceChildren(loading('the count'));
    try {
      const { count, by, left, detail } = await post(`acts/${name}`, request);
      const go = h('button', { type: 'button', class: 'main', click: () => run(count) }, `${verb} ${many(count, noun)}`);
      put(place,
        count ? h('p', {}, `This is about ${many(count, noun)}. `, means) : note('empty', `There is no ${noun} to ${verb.toLowerCase()}.`),
        detail && h('p', {}, detail), table(by), leftovers(left), buttons(count > 0 && go, close(count ? 'Cancel' : 'Close')));
      (count ? go : place.querySelector('button')).focus();
    } catch (error) {
      place.replaceChildren(wrong(error, look), buttons(close('Cancel')));
    }
  };

  const run = async (count) => {
    const bar = h('progress', { max: count, value: 0, 'aria-label': 'How far it is' });
    const told = h('p', { role: 'status' }, 'It has begun …');
    const end = h('button', { type: 'button', click: () => stop.abort() }, 'Stop');
    place.replaceChildren(bar, told, buttons(end));
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
        const { done, left, detail } = last.data;
        put(place, note('good', `Done with ${many(done, noun)}.`, ...[detail, 'It is in the audit.'].filter(Boolean)), leftovers(left), buttons(close()));
        say(`Done with ${many(done, noun)}.`);
      }
      isDone = true;
    } catch (error) {
      if (error.name === 'AbortError') place.replaceChildren(note('wait', 'Stopped.', 'The audit says how far it came.'), buttons(close()));
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
    act({ name: 'resend', request: { ids: [event.id], into }, title: `Send again: ${event.type}`, verb: 'Send', noun: 'event',
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
