/** The row at the top, which every view has, and the view of all alarms and queues. */
import { get } from './api.js';
import { ago, chip, h, loading, many, note, number, put, say, span, time, wrong } from './dom.js';

/** Milliseconds between two looks. */
const PAUSE = 10000;

/** After so many milliseconds without another look the row says how old it is. */
const OLD = 30000;

let seen;
let seenAt;
const listeners = new Set();

const sum = (queues, member) => queues.reduce((sum, queue) => sum + queue[member], 0);

function tile(label, href, part, read) {
  const { tone, value, detail } = part?.trouble ? { tone: 'none', value: 'not to be seen', detail: part.trouble } : read(part);
  return h('li', { class: tone }, h('a', { href, title: detail }, h('span', { class: 'label' }, label), chip(value, tone),
    detail && h('span', { class: 'unseen' }, ` ${detail}`)));
}

function alarms(all) {
  const count = (state) => all.filter((alarm) => alarm.state === state).length;
  const [ringing, fine, none] = ['ALARM', 'OK', 'INSUFFICIENT_DATA'].map(count);
  if (ringing) return { tone: 'bad', value: `${ringing} of ${all.length} ringing`, detail: `${none} without data` };
  // Without data nothing is known: that is not the same as well.
  if (!fine) return { tone: 'none', value: 'no data', detail: all.length ? `${many(all.length, 'alarm has', 'alarms have')} not been evaluated` : 'there are no alarms' };
  return { tone: 'good', value: 'none ringing', detail: `${fine} fine, ${none} without data` };
}

function queues(all) {
  const waiting = sum(all, 'waiting') + sum(all, 'inFlight');
  const oldest = Math.max(0, ...all.map((queue) => queue.age ?? 0));
  return { tone: oldest > 300 ? 'bad' : waiting ? 'wait' : 'good', value: waiting ? `${number(waiting)} waiting` : 'empty',
    detail: oldest ? `the oldest for ${span(oldest)}` : undefined };
}

function letters(all) {
  const count = sum(all, 'waiting') + sum(all, 'inFlight');
  return { tone: count ? 'bad' : 'good', value: count ? many(count, 'message') : 'none' };
}

function tiles({ at, alarms: rings, queues: all, lastWebhook, lastHour, quarantinedToday }) {
  const of = (kind) => (all.trouble ? all : all.filter((queue) => queue.kind === kind));
  const counted = ({ count, more }) => `${number(count)}${more ? ' or more' : ''}`;
  return [
    tile('Alarms', '#/health', rings, alarms),
    tile('Queues', '#/health', of('work'), queues),
    tile('Dead letters', '#/dead-letters', of('dead'), letters),
    tile('Last webhook', '#/', lastWebhook, (last) =>
      last.at ? { tone: 'plain', value: ago(last.at, new Date(at)), detail: last.more ? `${last.at}, or later: not all of the newest events were looked at` : last.at }
        : { tone: 'none', value: last.more ? 'not among the newest' : 'none in a week' }),
    tile('Events, last hour', '#/', lastHour, (hour) => ({ tone: 'plain', value: counted(hour) })),
    tile('Quarantined today', '#/quarantine', quarantinedToday, (today) =>
      ({ tone: today.count ? 'warn' : 'good', value: today.count ? counted(today) : 'none' })),
  ];
}

async function look() {
  const list = document.querySelector('#health .tiles');
  try {
    seen = await get('health');
    seenAt = Date.now();
    // What has the focus keeps it.
    const at = [...list.children].findIndex((item) => item.contains(document.activeElement));
    list.replaceChildren(...tiles(seen));
    list.children[at]?.firstChild.focus();
  } catch (error) {
    list.replaceChildren(h('li', { class: 'none' }, wrong(error)));
  }
  tellAge();
  listeners.forEach((heard) => heard());
}

/** A look may hang as long as it likes: what is shown must not pass for how it is now. */
function tellAge() {
  const [place, isOld] = [document.querySelector('#health .age'), Date.now() - seenAt > OLD];
  const text = `Seen ${ago(seenAt)}: since then no look has come back.`;
  if (isOld) put(place, chip(text, 'warn'));
  if (isOld && place.hidden) say(text);
  place.hidden = !isOld;
}

/** Begins to look, again and again while the page is in sight. */
export async function start() {
  document.querySelector('#health .tiles').replaceChildren(h('li', {}, loading('the health')));
  setInterval(tellAge, 5000);
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** Looks at once: something was done. */
export const refresh = look;

/** Dead letters that wait, by queue; `undefined` before the first look. */
export const dead = (queue) => (Array.isArray(seen?.queues) ? seen.queues.find((one) => one.kind === 'dead' && one.queue === queue)?.waiting : undefined);

function meaning(text) {
  const [, words, link] = /^(.*?)\s*(https?:\/\/\S+)?$/s.exec(text);
  return [words, link && h('a', { href: link, rel: 'noreferrer', target: '_blank' }, 'Runbook')];
}

function table(caption, heads, rows) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', {}, h('caption', {}, caption), h('thead', {}, h('tr', {}, heads.map((head) => h('th', { scope: 'col' }, head)))), h('tbody', {}, rows)));
}

/** The view. */
export function view(main, signal) {
  const order = { ALARM: 0, INSUFFICIENT_DATA: 2, OK: 1 };
  const words = { OK: ['fine', 'good'], ALARM: ['ringing', 'bad'], INSUFFICIENT_DATA: ['no data', 'none'] };
  const show = () => {
    if (!seen) return main.replaceChildren(h('h1', {}, 'Health'), loading('alarms and queues'));
    const rings = seen.alarms.trouble
      ? note('wrong', 'The alarms cannot be seen.', seen.alarms.trouble)
      : seen.alarms.length === 0
        ? note('empty', 'This stack has no alarms.')
        : table('Alarms', ['Alarm', 'State', 'Since', 'What it means'], [...seen.alarms].sort((a, b) => order[a.state] - order[b.state]).map((alarm) =>
            h('tr', {}, h('th', { scope: 'row' }, alarm.name), h('td', {}, chip(...words[alarm.state])), h('td', {}, time(alarm.since) ?? '–'), h('td', {}, meaning(alarm.meaning)))));
    const waits = seen.queues.trouble
      ? note('wrong', 'The queues cannot be seen.', seen.queues.trouble)
      : table('Queues', ['Queue', 'Waiting', 'Being worked on', 'Oldest'], seen.queues.map((queue) =>
          h('tr', {}, h('th', { scope: 'row' }, `${queue.queue}${queue.kind === 'dead' ? ', dead letters' : ''}`), h('td', {}, number(queue.waiting)),
            h('td', {}, number(queue.inFlight)), h('td', {}, queue.age !== undefined ? span(queue.age) : queue.waiting ? 'no data' : '–'))));
    main.replaceChildren(h('h1', {}, 'Health'), waits, rings);
  };
  listeners.add(show);
  signal.addEventListener('abort', () => listeners.delete(show));
  show();
}
