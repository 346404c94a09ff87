/** One event: what is known of it, its body on request, and sending it again. */
import { find, get } from './api.js';
import { chip, facts, h, loading, many, note, route, short, time, wrong } from './dom.js';
import { resend } from './act.js';
import * as mask from './mask.js';

export const isCallback = (event) => event.source === 'callback';
export const lane = (event) => (isCallback(event) ? 'browser' : 'smile');
export const speaker = (event) => ({ callback: 'Browser', reconcile: 'Smile, asked' })[event.source] ?? 'Smile';

/** What an event says, in a few words: never a body. */
export function summary({ facts: said }) {
  const { account, archive, invite } = said;
  const words = [said.screen, said.task_type, said.status, said.error_code, said.result_code, said.record_type, said.reason,
    said.count !== undefined && many(said.count, 'entry', 'entries'), said.datapoints && many(said.datapoints.length, 'data point'), said.providers?.join(', '),
    short(account ?? archive ?? invite ?? '')];
  return words.filter(Boolean).join(' · ');
}

/** What is odd about it. */
export function oddities(event) {
  const odd = [];
  if (event.deliveries.length > 1) odd.push(`came ${event.deliveries.length} times`);
  if (event.unfolded) odd.push(`not folded: ${event.unfolded.replaceAll('_', ' ')}`);
  if (event.body_dropped) odd.push(`body not kept: ${event.body_dropped.replaceAll('_', ' ')}`);
  return odd;
}

const KINDS = { USER: 'user', ACCOUNT: 'account', ARCHIVE: 'archive', INVITE: 'invite', RECORD: 'record', VERIFICATION: 'verification' };

/** A link to what an event is about, such as `ACCOUNT#a-1`. */
export function subject(text) {
  const at = text.indexOf('#');
  const [kind, id] = [KINDS[text.slice(0, at)], text.slice(at + 1)];
  return kind ? [`${kind} `, h('a', { href: route([kind, id]) }, id)] : text;
}

function body(event) {
  const place = h('div', {});
  if (event.body_dropped) {
    place.append(note('empty', `The body was not kept: ${event.body_dropped.replaceAll('_', ' ')}.`));
    return place;
  }
  const show = h('button', { type: 'button', class: 'main', click: async () => {
    place.replaceChildren(loading('the body'));
    try {
      place.replaceChildren(mask.received(await get(`event/body?id=${encodeURIComponent(event.id)}`)));
    } catch (error) {
      place.replaceChildren(wrong(error, () => show.click()));
    }
    place.tabIndex = -1;
    place.focus({ preventScroll: true });
  } }, 'Show body');
  place.append(show, h('p', { class: 'hint' }, `${many(event.bytes, 'byte')}. What could be personal stays hidden until you reveal it.`));
  return place;
}

/** Facts that stand among what the event is about. */
const ABOUT = Object.values(KINDS);
const words = (name) => name[0].toUpperCase() + name.slice(1).replaceAll('_', ' ');
const told = (value) => (typeof value === 'object'
  ? (Array.isArray(value) ? value : Object.entries(value).map(([name, count]) => `${name}: ${count}`)).join(', ') : String(value));

/** Everything about an event that was found. */
function detail(event, heading, close) {
  const wrote = event.entity && `${event.register} of ${event.entity}`;
  const list = (items) => h('ul', { class: 'plain' }, items.map((item) => h('li', {}, item)));
  return [
    h('div', { class: 'head' }, heading(event.type), close),
    h('p', { class: 'tags' }, h('span', { class: `who ${lane(event)}` }, speaker(event)), oddities(event).map((odd) => chip(odd, 'warn'))),
    facts([
      ['Id', h('span', { class: 'id' }, event.id)], ['Happened', time(event.created_at)], ['Received', time(event.received_at)], ['Stored', time(event.stored_at)],
      ['About', list(event.subjects.map(subject))], ['Wrote', wrote && h('code', {}, wrote)], ['Deliveries', list(event.deliveries.map((delivery) => h('code', {}, delivery)))],
      ['Version', event.version],
      ...Object.entries(event.facts).filter(([name]) => !ABOUT.includes(name)).map(([name, value]) => [words(name), told(value)]),
      ['SHA-256', h('code', {}, event.hash)],
    ]),
    h('div', { class: 'acts' }, h('button', { type: 'button', click: () => resend(event) }, 'Send again …')),
    h('h2', {}, 'Body'), body(event),
  ];
}

async function fill(place, id, heading, close) {
  place.replaceChildren(h('div', { class: 'head' }, heading('Event'), close), loading('the event'));
  try {
    const event = await find(`v1/events/${encodeURIComponent(id)}`);
    place.replaceChildren(...(event
      ? detail(event, heading, close)
      : [h('div', { class: 'head' }, heading('Event'), close), note('empty', `No event ${id} is stored.`, 'It may be in quarantine, or still on its way.')]));
  } catch (error) {
    place.replaceChildren(h('div', { class: 'head' }, heading('Event'), close), wrong(error, () => fill(place, id, heading, close)));
  }
}

/** The view of one event. */
export function view(main, id) {
  const place = h('article', { class: 'event card' });
  main.replaceChildren(place);
  return fill(place, id, (text) => h('h1', {}, text));
}

/** The same beside what was looked at before; `closed` is called when it is closed. */
export function open(id, closed) {
  const dialog = h('dialog', { class: 'drawer event', 'aria-labelledby': 'event-title' });
  const close = h('button', { type: 'button', class: 'close', click: () => dialog.close() }, 'Close');
  dialog.addEventListener('close', () => {
    dialog.remove();
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
  fill(dialog, id, (text) => h('h2', { id: 'event-title', tabindex: '-1' }, text), close);
  return dialog;
}
