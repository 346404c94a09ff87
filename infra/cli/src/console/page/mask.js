/**
 * A body as JSON, with what could be personal hidden: everything but ids that Smile made up, types, times of events and
 * words of status. Nothing else is shown until somebody reveals it, one by one or all.
 */
import { Written } from './api.js';
import { h, say } from './dom.js';

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

/** The body, pretty-printed, with a button for each hidden value. */
export function body(value) {
  const masks = [];
  const set = (mask, revealed) => {
    mask.revealed = revealed;
    mask.button.textContent = revealed ? mask.text : HIDDEN;
    mask.button.setAttribute('aria-label', revealed ? `${mask.label}: ${mask.text}. Hide` : `Reveal ${mask.label}`);
  };
  const hidden = (label, text) => {
    const mask = { label, text };
    mask.button = h('button', { type: 'button', class: 'mask', click: () => {
      set(mask, !mask.revealed);
      settle();
    } });
    set(mask, false);
    masks.push(mask);
    return mask.button;
  };
  const leaf = (member, value) => {
    const text = value instanceof Written ? value.text : JSON.stringify(value);
    return isShown(member, value) ? h('span', { class: 'shown' }, text) : hidden(isName(member) ? member : 'a value', text);
  };
  const write = (member, value, indent) => {
    if (value === null || typeof value !== 'object' || value instanceof Written) return [leaf(member, value)];
    const [open, close] = Array.isArray(value) ? '[]' : '{}';
    const entries = Array.isArray(value)
      ? value.map((entry) => write(member, entry, indent + 1))
      : Object.entries(value).map(([name, entry]) => [
          isName(name) ? h('span', { class: 'member' }, JSON.stringify(name)) : hidden('a name', JSON.stringify(name)),
          ': ',
          ...write(name, entry, indent + 1),
        ]);
    if (!entries.length) return [open + close];
    const pad = (depth) => `\n${'  '.repeat(depth)}`;
    return [open, ...entries.flatMap((entry, at) => [pad(indent + 1), ...entry, at < entries.length - 1 ? ',' : '']), pad(indent), close];
  };
  const code = h('code', {}, write('', value, 0));
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
    left.textContent = count ? `${count} values are hidden: they could be personal.` : masks.length ? 'Every value is shown.' : 'Nothing had to be hidden.';
  };
  settle();
  return h('div', { class: 'body' }, h('p', { class: 'tools' }, left, masks.length > 0 && all), h('pre', {}, code));
}

/** A body that is no JSON: all of it is hidden at first. */
export function plain(text) {
  const shown = h('pre', {}, h('code', {}, text));
  return h('details', { class: 'body' }, h('summary', {}, `It is no JSON: show all of it as text (${text.length} characters)`), shown);
}
