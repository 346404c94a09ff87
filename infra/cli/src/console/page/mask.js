/**
 * A body as JSON, with what could be personal hidden: everything but ids that Smile made up, types, times of events and
 * words of status. Nothing else is shown until somebody reveals it, one by one or all.
 */
import { h, many, say } from './dom.js';

/** Members that are shown, if what they hold looks like it. A list counts as its member. */
const SHOWN = new Set([
  'id', 'userId', 'accountId', 'archiveId', 'inviteId', 'recordId', 'verificationId', 'sourceId', 'taskId', 'identityId',
  'ratingId', 'providerId', 'providers', 'updatedIds', 'type', 'version', 'createdAt', 'updatedAt', 'eventTime', 'at',
  'status', 'taskType', 'sourceType', 'monitorStatus', 'recordType', 'documentType', 'fileType', 'errorCode', 'resultCode',
  'channel', 'datapoints', 'dataPoints', 'count', 'mode', 'eventName', 'reason',
]);

/**
 * An id, a word or a time; nothing with spaces, at signs or other marks that names, addresses and numbers have. Digits
 * alone could be the number of a card or of somebody: an id has a letter.
 */
const LOOK = /^[A-Za-z][\w-]{0,127}$|^(?=.*[a-f])[0-9a-f-]{16,64}$|^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/;

/** Whether a value may be shown unasked. */
export function isShown(member, value) {
  if (value === null) return true;
  if (!SHOWN.has(member)) return false;
  if (typeof value === 'number') return (member === 'version' || member === 'count') && Number.isSafeInteger(value);
  return typeof value === 'string' && LOOK.test(value);
}

/** Names of members come from the vendor's schema; one that does not look so could itself be somebody's. */
const isName = (name) => /^[A-Za-z_]\w{0,63}$/.test(name);

const HIDDEN = '••••••';

/** Deeper lines are indented like these: a body can be nested thousands deep. */
const DEEPEST = 40;

const SPACES = ' \n\r\t';
const MARKS = '{}[],:';

/** The tokens of a text that is JSON, each as it was written. */
export function* tokens(text) {
  for (let at = 0; at < text.length;) {
    let end = at + 1;
    if (text[at] === '"') {
      while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
      end += 1;
    } else if (!(SPACES + MARKS).includes(text[at])) {
      while (end < text.length && !(SPACES + MARKS).includes(text[end])) end += 1;
    }
    if (!SPACES.includes(text[at])) yield text.slice(at, end);
    at = end;
  }
}

/** A body that was received: `text` to the letter, and whether it is JSON. */
export const received = ({ text, isJson }) => (isJson ? body(text) : plain(text));

/**
 * The body, a line for each value, with a button for each that is hidden. It is shown as it was written, token by token:
 * no number, no order, and no member that is there twice is changed, however deep it lies.
 */
function body(text) {
  const masks = [];
  const set = (mask, revealed) => {
    mask.revealed = revealed;
    mask.button.textContent = revealed ? mask.text : HIDDEN;
    mask.button.setAttribute('aria-label', revealed ? `${mask.label}: ${mask.text}. Hide` : `Reveal ${mask.label}`);
  };
  const hidden = (label, token) => {
    const mask = { label, text: token };
    mask.button = h('button', { type: 'button', class: 'mask', click: () => {
      set(mask, !mask.revealed);
      settle();
    } });
    set(mask, false);
    masks.push(mask);
    return mask.button;
  };
  const leaf = (member, token) => {
    const value = JSON.parse(token);
    const isAsWritten = typeof value !== 'number' || String(value) === token;
    return isAsWritten && isShown(member, value) ? h('span', { class: 'shown' }, token) : hidden(isName(member) ? member : 'a value', token);
  };
  const code = h('code', {});
  // Neighbours are one text: a large body has hundreds of thousands of pieces.
  let pending = '';
  const write = (piece) => {
    if (typeof piece === 'string') {
      pending += piece;
      return;
    }
    code.append(pending, piece);
    pending = '';
  };
  const within = [];
  const line = () => write(`\n${'  '.repeat(Math.min(within.length, DEEPEST))}`);
  for (const token of tokens(text)) {
    const parent = within.at(-1);
    if (token === '}' || token === ']') {
      const { isEmpty } = within.pop();
      if (!isEmpty) line();
      write(token);
    } else if (token === ',') {
      write(token);
    } else if (token === ':') {
      write(': ');
      parent.hasName = true;
    } else {
      const names = parent?.isObject && !parent.hasName;
      if (parent && (names || !parent.isObject)) line();
      if (parent) parent.isEmpty = false;
      if (names) {
        parent.member = JSON.parse(token);
        write(isName(parent.member) ? h('span', { class: 'member' }, token) : hidden('a name', token));
        continue;
      }
      if (parent) parent.hasName = false;
      const member = parent?.member ?? '';
      if (token === '{' || token === '[') {
        write(token);
        within.push({ isObject: token === '{', member, isEmpty: true, hasName: false });
      } else {
        write(leaf(member, token));
      }
    }
  }
  code.append(pending);
  const all = h('button', { type: 'button', click: () => {
    const reveal = masks.some((mask) => !mask.revealed);
    masks.forEach((mask) => set(mask, reveal));
    settle();
    say(reveal ? 'All values are shown.' : 'Personal values are hidden.');
  } });
  const left = h('span', {});
  const settle = () => {
    const count = masks.filter((mask) => !mask.revealed).length;
    all.textContent = count ? 'Reveal all' : 'Hide all';
    left.textContent = count ? `${many(count, 'value is', 'values are')} hidden: ${count === 1 ? 'it' : 'they'} could be personal.` : masks.length ? 'Every value is shown.' : 'Nothing had to be hidden.';
  };
  settle();
  return h('div', { class: 'body' }, h('p', { class: 'tools' }, left, masks.length > 0 && all), h('pre', {}, code));
}

/** A body that is no JSON: all of it is hidden at first. */
function plain(text) {
  const shown = h('pre', {}, h('code', {}, text));
  return h('details', { class: 'body' }, h('summary', {}, `It is no JSON: show all of it as text (${many(text.length, 'character')})`), shown);
}
