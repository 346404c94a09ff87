/** What operators look after: the quarantine, dead letters, replays, and the audit of who did what. */
import { get } from './api.js';
import { act } from './act.js';
import { ago, chip, facts, h, loading, many, note, number, put, route, time, wrong } from './dom.js';
import * as health from './health.js';
import * as mask from './mask.js';

const words = (text) => text.replaceAll('_', ' ');

/** Reads, shows, and says what is wrong. `show(found, again)` gives what the view holds. */
async function reading(main, heading, what, path, show) {
  const again = () => reading(main, heading, what, path, show);
  main.replaceChildren(heading, loading(what));
  try {
    main.replaceChildren(heading, ...show(await get(path), again));
  } catch (error) {
    main.replaceChildren(heading, wrong(error, again));
  }
}

function quarantined(item, chosen) {
  const place = h('div', {});
  const box = h('input', { type: 'checkbox', 'aria-label': `Choose ${item.key}`, change: () => chosen(item.key, box.checked) });
  const show = h('button', { type: 'button', click: async () => {
    place.replaceChildren(loading('the body'));
    try {
      place.replaceChildren(mask.received(await get(`quarantine/body?key=${encodeURIComponent(item.key)}`)));
    } catch (error) {
      place.replaceChildren(wrong(error, () => show.click()));
    }
  } }, 'Show body');
  const row = h('li', { class: 'card held', 'data-step': true, tabindex: '-1' },
    h('div', { class: 'head' }, h('label', { class: 'choose' }, box, h('b', {}, item.type ?? 'no type')), chip(words(item.reason), 'warn')),
    h('p', {}, `${item.detail[0]?.toUpperCase() ?? ''}${item.detail.slice(1)}.`),
    facts([['Key', h('code', {}, item.key)], ['Event', item.id && h('code', {}, item.id)], ['From', item.source], ['Received', time(item.received_at)], ['Held since', time(item.stored_at)], ['Size', many(item.bytes, 'byte')]]),
    h('div', { class: 'tools' }, show, h('button', { type: 'button', click: () => chosen(item.key) }, 'Release …')), place);
  return { item, row, box };
}

/** The quarantine: what could not be filed. */
export function quarantine(main) {
  return reading(main, h('h1', {}, 'Quarantine'), 'the quarantine', 'quarantine', ({ quarantined: items, more }, again) => {
    if (!items.length) return [note('good', 'Nothing lies in quarantine.', 'What cannot be filed as an event is kept here for 14 days, with its reason.')];
    const choice = new Set();
    const release = async (keys) => {
      const done = await act({ name: 'release', request: { keys }, title: 'Release from quarantine', verb: 'Release', noun: 'item',
        means: 'Each goes back to the queue, as if it had just passed every check.' });
      if (done) again();
    };
    const some = h('button', { type: 'button', class: 'main', disabled: true, click: () => release([...choice]) });
    const count = () => {
      some.disabled = !choice.size;
      some.textContent = choice.size ? `Release ${number(choice.size)} chosen …` : 'Release chosen …';
      all.checked = choice.size > 0 && entries.every(({ box, row }) => row.hidden || box.checked);
    };
    const entries = items.map((item) => quarantined(item, (key, is) => {
      if (is === undefined) return release([key]);
      choice[is ? 'add' : 'delete'](key);
      return count();
    }));
    const set = (entry, is) => {
      entry.box.checked = is;
      choice[is ? 'add' : 'delete'](entry.item.key);
    };
    const all = h('input', { type: 'checkbox', change: () => {
      entries.filter(({ row }) => !row.hidden).forEach((entry) => set(entry, all.checked));
      count();
    } });
    const reasons = Map.groupBy(items, ({ reason }) => reason);
    const filter = h('select', { change: () => {
      for (const entry of entries) {
        entry.row.hidden = Boolean(filter.value) && entry.item.reason !== filter.value;
        // What is not in sight is not released.
        if (entry.row.hidden) set(entry, false);
      }
      count();
    } }, h('option', { value: '' }, `any reason (${items.length})`), [...reasons].map(([reason, of]) => h('option', { value: reason }, `${words(reason)} (${of.length})`)));
    count();
    return [h('div', { class: 'tools' }, h('label', { class: 'choose' }, all, 'Choose all'), h('label', {}, 'Reason ', filter), some),
      h('ul', { class: 'cards' }, entries.map(({ row }) => row)), more && note('wait', `Only ${number(items.length)} are shown: there are more.`)].filter(Boolean);
  });
}

function letter({ type, event, sent_at: sent, receives, bytes, stuck }) {
  return h('tr', {}, h('th', { scope: 'row' }, type), h('td', {}, event ? h('a', { href: route(['event', event]) }, event) : '–'),
    h('td', {}, time(sent)), h('td', {}, many(receives, 'time')), h('td', {}, number(bytes)), h('td', {}, stuck ? chip(stuck, 'bad') : 'can go back'));
}

function letters(queue, look, again) {
  const hidden = look.hidden > 0 && note('wait', `${many(look.hidden, 'is', 'are')} hidden for up to five minutes.`, 'Somebody looks at them, or was stopped. Look again then.');
  if (!look.wanted && !look.other) return [hidden || note('good', 'No dead letters.', 'Nothing has failed five times here.')];
  const types = h('select', {}, h('option', { value: '' }, 'every type'), Object.keys(look.by_type).map((type) => h('option', { value: type }, type)));
  const redrive = h('button', { type: 'button', class: 'main', click: async () => {
    const request = { queue, types: types.value ? [types.value] : [] };
    const done = await act({ name: 'redrive', request, title: `Redrive: ${queue}`, verb: 'Redrive', noun: 'message',
      means: 'Each goes back to its queue, and leaves the dead letters only once it is there.' });
    if (done) again();
  } }, 'Redrive …');
  return [
    h('div', { class: 'counts' }, facts(Object.entries(look.by_type).map(([type, count]) => [type, number(count)]), 'tally'), facts(Object.entries(look.by_age).map(([age, count]) => [age, number(count)]), 'tally')),
    h('div', { class: 'tools' }, h('label', {}, 'Of ', types), redrive, look.stuck > 0 && chip(`${look.stuck} cannot go back`, 'bad')),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Dead letters of ${queue}` }, h('table', {}, h('thead', {}, h('tr', {},
      ['Type', 'Event', 'Sent', 'Received', 'Bytes', 'Standing'].map((head) => h('th', { scope: 'col' }, head)))), h('tbody', {}, look.letters.map(letter)))),
    look.is_part && note('wait', 'There are more than were looked at.', 'A redrive takes as many as are counted then: look again afterwards.'),
    hidden,
  ].filter(Boolean);
}

/** Dead letters: what failed five times. Looked into on request, since that takes each message out for a moment. */
export function deadLetters(main, { queues }) {
  const section = (queue) => {
    const place = h('div', {});
    const told = h('span', {});
    const tell = (count) => put(told, count !== undefined && chip(count ? many(count, 'message') : 'none', count ? 'bad' : 'good'));
    tell(health.dead(queue));
    const look = async () => {
      place.replaceChildren(loading('the dead letters'));
      try {
        const found = await get(`dead-letters?queue=${queue}`);
        tell(found.wanted + found.other + found.hidden);
        place.replaceChildren(...letters(queue, found, look));
      } catch (error) {
        place.replaceChildren(wrong(error, look));
      }
    };
    place.append(h('button', { type: 'button', click: look }, 'Look into them'));
    return h('section', { class: 'card', 'aria-labelledby': `dead-${queue}` }, h('div', { class: 'head' }, h('h2', { id: `dead-${queue}` }, `${queue[0].toUpperCase()}${queue.slice(1)} queue`), told), place);
  };
  main.replaceChildren(h('h1', {}, 'Dead letters'), h('p', { class: 'hint' }, 'What failed five times. Mend the cause first, which the consumer’s log tells; then let them go back.'), ...queues.map(section));
}

/** Replay: what was stored in a span of time, once more. */
export function replay(main, { bus }) {
  const local = (ago) => new Date(Date.now() - ago).toISOString().slice(0, 16);
  const from = h('input', { type: 'datetime-local', required: true, value: local(3600000) });
  const to = h('input', { type: 'datetime-local', required: true, value: local(0) });
  const types = h('input', { type: 'text', placeholder: 'every type', spellcheck: 'false', autocomplete: 'off' });
  const source = h('select', {}, h('option', { value: '' }, 'everybody'), h('option', { value: 'webhook' }, 'Smile, by webhook'), h('option', { value: 'reconcile' }, 'Smile, when asked'), h('option', { value: 'callback' }, 'browsers'));
  const way = (value, label, hint, checked) => h('label', { class: 'way' }, h('input', { type: 'radio', name: 'into', value, checked, disabled: value === 'bus' && !bus }), h('span', {}, h('b', {}, label), h('small', {}, hint)));
  const form = h('form', { class: 'card form', submit: async (event) => {
    event.preventDefault();
    const into = form.elements.into.value;
    const request = { from: `${from.value}:00Z`, to: `${to.value}:00Z`, types: types.value.split(/[\s,]+/).filter(Boolean), source: source.value || undefined, into };
    await act({ name: 'replay', request, title: 'Replay', verb: 'Replay', noun: 'event',
      means: into === 'bus' ? 'Your rules on the bus hear of each once more.' : 'The consumer takes each as it takes a repeat.' });
  } },
  h('div', { class: 'fields' }, h('label', {}, 'Stored from (UTC)', from), h('label', {}, 'Before (UTC)', to), h('label', {}, 'Types, with commas', types), h('label', {}, 'Said by', source)),
  h('fieldset', {}, h('legend', {}, 'Where to'), way('bus', 'The bus', bus ? 'for your systems that missed something' : 'this stack has no bus', Boolean(bus)),
    way('consumer', 'The consumer', 'for a state that is not what it should be; it takes them as repeats', !bus)),
  h('div', { class: 'buttons' }, h('button', { class: 'main' }, 'Count …')));
  main.replaceChildren(h('h1', {}, 'Replay'), h('p', { class: 'hint' }, 'Sends what was stored in a span of time once more. It is counted first.'), form);
}

function entry({ who, via, action, parameters, meant, done, left, standing, detail, begun_at: begun }) {
  return h('tr', {}, h('td', {}, time(begun)), h('th', { scope: 'row' }, words(action)), h('td', {}, chip(standing)), h('td', {}, `${number(done)} of ${number(meant)}`, left ? `, ${number(left)} left` : ''),
    h('td', { class: 'wide' }, who, h('small', {}, ` by ${via}`)), h('td', { class: 'wide' }, Object.entries(parameters).map(([name, value]) => h('div', {}, `${name}: ${value}`)), detail));
}

/** The audit. */
export function audit(main) {
  return reading(main, h('h1', {}, 'Audit'), 'the audit', 'audit', ({ acts, days }) => (acts.length
    ? [h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Audit' }, h('table', {}, h('caption', {}, `Who did what in the last ${many(days, 'day')}, newest first`), h('thead', {}, h('tr', {},
        ['When', 'What', 'Standing', 'How many', 'Who', 'With'].map((head) => h('th', { scope: 'col' }, head)))), h('tbody', {}, acts.map(entry))))]
    : [note('empty', `Nobody has acted in the last ${many(days, 'day')}.`, 'Releases, redrives and replays are written down here, from this page and from the command line.')]));
}
