/** Elements, times and small words. All text goes in as text: nothing that was received becomes markup. */

export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...there(children));
  return element;
}

const there = (children) => children.flat(3).filter((child) => child !== undefined && child !== null && child !== false);

/** Puts these in the place of all that an element holds. */
export const put = (element, ...children) => element.replaceChildren(...there(children));

/** Says something to those who listen to the page. */
export function say(text) {
  document.getElementById('said').textContent = text;
}

export const number = (value) => value.toLocaleString('en');
/** An id that is long, by its ends; the whole one is where it is looked at by itself. */
export const short = (id) => (id.length > 20 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id);
export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** Hours, minutes, seconds, in UTC: as logs and the command line have them. */
export const clock = (at) => new Date(at).toISOString().slice(11, 19);
export const day = (at) => new Date(at).toISOString().slice(0, 10);

export function span(seconds) {
  if (seconds < 1) return 'less than 1 s';
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return many(Math.round(seconds / 86400), 'day');
}

export const ago = (at, now = Date.now()) => `${span(Math.max(0, (now - new Date(at)) / 1000))} ago`;

/** A time with its day, where it is not today's. */
export function time(at) {
  if (!at) return undefined;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const text = day(date) === day(Date.now()) ? clock(date) : `${day(date)} ${clock(date)}`;
  return h('time', { datetime: date.toISOString(), title: `${date.toISOString()} (UTC)` }, text);
}

const TONES = {
  good: ['CONNECTED', 'ANALYZED', 'LINKED', 'COMPLETED', 'SUCCEEDED', 'ACTIVE', 'OK', 'done'],
  none: ['UNKNOWN'],
  bad: ['ERROR', 'FAILED', 'DISCONNECTED', 'REVOKED', 'ALARM', 'failed'],
};
const ICONS = { good: '✓', bad: '✕', warn: '!', wait: '…', differs: '≠', none: '?' };

/** A status as a word, a colour and a sign. */
export function chip(word, tone = Object.keys(TONES).find((tone) => TONES[tone].includes(word)) ?? 'wait') {
  return h('span', { class: `chip ${tone}` }, ICONS[tone] && h('span', { 'aria-hidden': 'true' }, ICONS[tone]), ` ${word}`);
}

/** Names and values; what is not there is left out. */
export function facts(pairs, more = '') {
  const rows = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '' && value?.length !== 0);
  return h('dl', { class: `facts ${more}` }, rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

/** A state of a view that is not its content: what is missing, and what to do. */
export function note(kind, title, ...more) {
  const role = kind === 'wrong' ? 'alert' : undefined;
  return h('div', { class: `note ${kind}`, role }, h('p', {}, h('strong', {}, title)), more.map((line) => h('p', {}, line)));
}

export const loading = (what) => h('p', { class: 'loading', role: 'status' }, `Loading ${what} …`);

export function wrong(error, again) {
  const button = again && h('button', { type: 'button', click: again }, 'Try again');
  return note('wrong', error.title ?? 'That did not work.', error.message, button);
}

export const route = (path, query) => {
  const text = query && new URLSearchParams(query).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
};
