/** A user: webhooks on the left, callbacks on the right, on one axis of time; the states beside it. */
import { find, get } from './api.js';
import { chip, clock, day, h, loading, many, note, route, span, wrong } from './dom.js';
import * as detail from './event.js';
import * as feed from './feed.js';
import * as state from './state.js';

/** How many events are read at first, and how many more each time. */
const STEP = 200;

/** Seconds without an event that are worth a word. */
const GAP = 60;

/** What a callback claims of an account, in the words of the account's status. */
const CLAIMS = { onAccountCreated: 'PENDING', onAccountError: 'ERROR', onAccountConnected: 'CONNECTED', onAccountRemoved: 'DISCONNECTED' };

/** The callback of each account that Smile has not confirmed: the newest that claims so. */
function marked(events, user) {
  const marks = new Map();
  for (const { account, claim } of state.differing(user)) {
    const said = events.findLast((event) => detail.isCallback(event) && event.facts.account === account && CLAIMS[event.type] === claim.status);
    if (said) marks.set(said.id, 'Smile has not said so');
  }
  return marks;
}

function step(event, { href, mark, about, isSame }) {
  const lane = detail.lane(event);
  const classes = ['step', lane, mark && 'marked', about && event.subjects.includes(about) && 'about'].filter(Boolean).join(' ');
  return h('li', { class: classes },
    h('time', { datetime: event.received_at, title: `received ${event.received_at}`, class: isSame ? 'same' : undefined }, clock(event.received_at)),
    h('a', { class: 'card', href, 'data-step': true, 'data-id': event.id },
      h('span', { class: `who ${lane}` }, detail.speaker(event)), h('span', { class: 'unseen' }, ': '), h('b', {}, event.type), ' ', h('span', { class: 'words' }, detail.summary(event)),
      mark && h('span', { class: 'tags' }, chip(mark, 'differs')), detail.oddities(event).map((odd) => h('span', { class: 'tags' }, chip(odd, 'warn')))));
}

/** Newest first, with a word where time passes. All by the receiver's clock: browsers' clocks can be wrong. */
function steps(events, marks, link, about) {
  const newest = [...events].sort((one, other) => new Date(other.received_at) - new Date(one.received_at) || (one.stored_at < other.stored_at ? 1 : -1));
  return newest.flatMap((event, at) => {
    const before = newest[at - 1];
    const gap = before && (new Date(before.received_at) - new Date(event.received_at)) / 1000;
    const isNewDay = !before || day(before.received_at) !== day(event.received_at);
    return [
      isNewDay && h('li', { class: 'day' }, `${day(event.received_at)}, UTC`),
      !isNewDay && gap > GAP && h('li', { class: 'gap' }, span(gap)),
      step(event, { href: link(event.id), mark: marks.get(event.id), about, isSame: before && clock(before.received_at) === clock(event.received_at) && !isNewDay }),
    ].filter(Boolean);
  });
}

/** A list of events that belong to no user. */
export async function events(of, id) {
  const { events } = await get(`timeline?of=${of}&id=${encodeURIComponent(id)}`);
  return h('ol', { class: 'timeline', 'aria-label': 'Events, newest first' }, steps(events, new Map(), (id) => route(['event', id])));
}

/** The view. `open(id)` shows one event beside it: a change of the address alone does not read everything anew. */
export function view(main, id, query, signal) {
  const about = query.get('about') ?? undefined;
  const link = (event) => route(['user', id], { ...(about && { about }), event });
  const lanes = h('div', { class: 'lanes' });
  const states = h('aside', { class: 'states', 'aria-label': 'States' });
  const differences = h('div', { class: 'differences' });
  const more = h('p', { class: 'tools' });
  let limit = STEP;
  main.replaceChildren(h('h1', {}, 'User ', h('span', { class: 'id' }, id)), differences,
    h('div', { class: 'user' }, h('section', { 'aria-label': 'Timeline' }, lanes, more), states));
  lanes.replaceChildren(loading('the timeline'));

  const read = async () => {
    const of = encodeURIComponent(id);
    const [user, { events, more: hasMore, cut }] = await Promise.all([find(`v1/users/${of}`), get(`timeline?of=user&id=${of}&limit=${limit}`)]);
    if (signal.aborted) return;
    if (!user && !events.length) {
      lanes.replaceChildren(note('empty', `Nothing is known of the user ${id}.`, 'Look at the id again; an event of it may be in quarantine, or still on its way.'));
      return;
    }
    const at = document.activeElement?.dataset?.id;
    const list = h('ol', { class: 'timeline', 'aria-label': 'Timeline, newest first' }, steps(events, marked(events, user ?? {}), link, about));
    lanes.replaceChildren(h('div', { class: 'lane-heads', 'aria-hidden': 'true' }, h('span', { class: 'smile' }, 'Smile said ', h('small', {}, many(events.filter((event) => !detail.isCallback(event)).length, 'webhook'))), h('span', {}),
        h('span', { class: 'browser' }, 'The browser said ', h('small', {}, many(events.filter(detail.isCallback).length, 'callback')))),
      events.length ? list : note('empty', 'No events are kept any more.'));
    if (at) list.querySelector(`[data-id="${CSS.escape(at)}"]`)?.focus();
    differences.replaceChildren(...state.differing(user ?? {}).map(state.difference));
    states.replaceChildren(h('h2', {}, 'States'), ...state.user(user ?? {}, about).flat().filter(Boolean));
    if (!user) states.append(note('empty', 'No state is known.'));
    more.replaceChildren(hasMore ? h('button', { type: 'button', click: () => { limit += STEP; read().catch(fail); } }, `Show ${STEP} older events`)
      : cut ? 'There are older events than these.' : `${many(events.length, 'event')}, all that are kept.`);
  };
  const fail = (error) => lanes.replaceChildren(wrong(error, () => read().catch(fail)));
  let soon;
  feed.listen((event) => {
    // What belongs together comes together: it is read once.
    if (event?.facts.user === id) soon ??= setTimeout(() => { soon = undefined; read().catch(fail); }, 300);
  }, signal);
  return read().catch(fail);
}
