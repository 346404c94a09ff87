/**
 * wink-events: delivers what Smile's Wink Widget tells its page to your callback endpoint.
 *
 *     new SmileLinkModal(wrap({ ...yourCallbacks, userToken }, { url, session })).open();
 *
 * What it promises:
 *
 * 1. The page does not notice. Your callbacks get the same `this` and arguments; what they return or throw
 *    goes where it went before. Nothing of ours throws, and nothing waits.
 * 2. A callback has an id from the moment it fires, and keeps it over retries, reloads and doubled requests, so
 *    that a repeat is harmless at the other end.
 * 3. What waits is bounded, and lies in `sessionStorage`, by endpoint and user. It is sent with a session of
 *    that user only. The session itself is never stored.
 * 4. Only what the endpoint has accepted, or has said it never will, leaves the queue.
 *
 * The types are in `wink-events.d.ts`, the guides in `guides/`.
 */

import { attempt, claimsOf, isFunction, isObject, parsed } from './common.js';

/** The nine callbacks, and what each carries in the order in which native bridges pass it. */
const FIELDS = {
  onAccountCreated: 'accountId userId providerId',
  onAccountConnected: 'accountId userId providerId',
  onAccountRemoved: 'accountId userId providerId',
  onAccountError: 'accountId userId providerId errorCode',
  onTokenExpired: '',
  onClose: 'reason',
  onUploadsCreated: 'uploads userId',
  onUploadsRemoved: 'uploads userId',
  onUIEvent: 'eventName eventTime mode userId account archive',
};

/** What a callback may be called; the endpoint keeps names that it does not know. */
const NAME = /^on[A-Z][^\W_]{0,62}$/;

/** The queue's bounds. Beyond them the oldest UI events go first, then the oldest of all. */
const QUEUE_ITEMS = 200;
const QUEUE_BYTES = 256 * 1024;

/**
 * A batch's bounds. The endpoint takes 50 items and 256 KiB, but a page has no more than 64 KiB of keepalive
 * requests under way, and every batch shall be able to outlive its page.
 */
const BATCH_ITEMS = 50;
const BATCH_BYTES = 60000;

/** What the endpoint takes as one item's `data`. */
const DATA_BYTES = 16 * 1024;

/** Milliseconds: to gather a batch, before a request counts as lost, between two tries, and for a double. */
const GATHER = 200;
const TIMEOUT = 30000;
const BACKOFF_FROM = 500;
const BACKOFF_TO = 60000;
const RETRY_AFTER_TO = 600000;
const DOUBLE = 1000;

/** One channel for each endpoint and user, however many widgets there are on the page. */
const channels = new Map();

/** What waits, was accepted and was given up, over all channels of this page. */
const counts = { queued: 0, accepted: 0, dropped: 0 };

/** Who waits in `flush`. */
let waiters = [];

/**
 * A copy of `config` that delivers its callbacks, all nine, and any other function named like one.
 *
 * With options that cannot work, the config comes back as it is: a widget without delivery is better than none.
 */
export function wrap(config, options) {
  try {
    const channel = open(options);
    const tapped = {};
    for (const name in { ...FIELDS, ...config }) {
      const own = config[name];
      if (NAME.test(name) && (name in FIELDS || isFunction(own))) tapped[name] = tap(channel, name, own);
    }
    // Spread defines properties, it never assigns them: a key such as "__proto__" stays a key.
    return { __proto__: Object.getPrototypeOf(config), ...config, ...tapped };
  } catch (error) {
    console.warn('wink-events: not delivering.', error);
    return config;
  }
}

/** Gives a new session to the channels of its user, for instance after `onSessionExpired` had none. */
export function session(token) {
  channels.forEach((channel) => {
    if (channel.owner === ownerOf(token)) channel.renewed(token);
  });
}

/**
 * Sends what waits now, and says whether nothing waits any more: as soon as that is so, or after `ms`. For a web view
 * that its app is about to close.
 */
export function flush(ms = 3000) {
  return new Promise((resolve) => {
    const end = () => resolve(!counts.queued);
    setTimeout(end, ms);
    waiters.push(end);
    channels.forEach((channel) => channel.run());
    count(0);
  });
}

/** How many callbacks wait, were accepted, and were given up, on this page. */
export function stats() {
  return { ...counts };
}

/** Counts what has come or gone, and ends the `flush` calls once nothing waits any more. */
function count(change) {
  counts.queued += change;
  if (!counts.queued) waiters = waiters.filter((end) => end());
}

/** The function that the widget calls: records first, since `own` may close the page, then does as `own` does. */
function tap(channel, name, own) {
  // One parameter, for a widget that looks whether its data is wanted.
  return function (first) {
    channel.add(name, arguments);
    if (isFunction(own)) return own.apply(this, arguments);
  };
}

/** The channel for these options, opened when it is the first of its endpoint and user. */
function open(options) {
  const { url, session } = options;
  if (!url || !session) throw new Error('url and session are needed');
  const owner = ownerOf(session);
  const key = JSON.stringify([url, owner]);
  if (!channels.size) attempt(listen);
  if (!channels.has(key)) channels.set(key, createChannel(options, owner, 'wink-events' + key));
  const channel = channels.get(key);
  channel.options = options;
  channel.renewed(session);
  return channel;
}

/** The moments at which a queue is worth a look. Everything else is timers. On a server there are none. */
function listen() {
  const look = ({ type, persisted }) =>
    channels.forEach((channel) =>
      type === 'pagehide' || (!persisted && document.visibilityState === 'hidden') ? channel.leave() : channel.run(persisted),
    );
  ['online', 'pageshow', 'pagehide', 'visibilitychange'].forEach((type) => addEventListener(type, look));
}

/** One queue, its stored copy, and the one loop that sends it. */
function createChannel(options, owner, prefix) {
  const seen = new Map();
  let queue = [];
  let last = 0;
  let failures = 0;
  let limit = BATCH_ITEMS;
  let sending = false;
  let asked = false;
  let timer, token, expired;

  const channel = { owner, options, add, run, leave, renewed };

  const warn = (...what) => channel.options.debug && console.warn('wink-events:', ...what);
  const sizeOf = (entries) => entries.reduce((sum, entry) => sum + entry.size, 0);
  const waiting = () => queue.filter((entry) => !entry.flying);

  /** Queues one callback. Total: whatever the widget passes, this returns. */
  function add(name, args) {
    try {
      const data = dataOf(name, args);
      const now = Date.now();
      // The same words twice in a second: a widget said one thing twice, or its config was wrapped twice.
      if (now - seen.get(name + data) < DOUBLE) return;
      if (seen.size > BATCH_ITEMS) seen.clear();
      seen.set(name + data, now);
      last = Math.max(now, last + 1);
      const id = newId();
      const head = JSON.stringify({ id, name, at: new Date(last).toISOString() });
      const text = data ? head.slice(0, -1) + ',"data":' + data + '}' : head;
      attempt(() => sessionStorage.setItem(prefix + id, text));
      enqueue(id, name, text);
      if (!timer && !sending) schedule(GATHER);
    } catch (error) {
      warn('not recorded', name, error);
    }
  }

  function enqueue(id, name, text) {
    count(1);
    queue.push({ id, text, size: bytesOf(text) + 1, ui: name === 'onUIEvent' });
    while (queue.length > QUEUE_ITEMS || sizeOf(queue) > QUEUE_BYTES) {
      drop([queue.find((entry) => entry.ui && !entry.flying) || waiting()[0]]);
    }
  }

  function remove(entries) {
    const before = queue.length;
    queue = queue.filter((entry) => !entries.includes(entry));
    entries.forEach(({ id }) => attempt(() => sessionStorage.removeItem(prefix + id)));
    count(queue.length - before);
  }

  function drop(entries, why = 'the queue is full') {
    counts.dropped += entries.length;
    remove(entries);
    warn('dropped', entries.length, why);
  }

  /** Takes over what an earlier page of this tab left for the same endpoint and user. */
  function restore() {
    const kept = [];
    for (let i = sessionStorage.length; i--; ) {
      const key = sessionStorage.key(i);
      const text = sessionStorage.getItem(key);
      const item = key.startsWith(prefix) && parsed(text);
      // The text goes out as it was: a repeat has the same bytes.
      if (item) kept.push({ ...item, text });
    }
    kept.sort((a, b) => (a.at < b.at ? -1 : 1));
    for (const { id, name, at, text } of kept) {
      last = Date.parse(at) || last;
      enqueue(id, name, text);
    }
  }

  /** The first of `entries` that fit into one request and into `room` bytes. */
  function take(entries, room) {
    let count = 0;
    while (count < limit && count < entries.length && (room -= entries[count].size) >= 0) count++;
    return entries.slice(0, count);
  }

  function schedule(ms) {
    clearTimeout(timer);
    timer = setTimeout(run, ms);
  }

  /**
   * Sends batch after batch, until nothing waits or something says to wait. One loop at a time; but a page that comes
   * `thawed` from the back-forward cache hears no more of what was under way, and begins anew.
   */
  async function run(thawed) {
    clearTimeout(timer);
    timer = 0;
    if (thawed) queue.forEach((entry) => (entry.flying = false));
    else if (sending) return;
    sending = true;
    let delay = 0;
    let batch;
    while (!delay && token !== expired && (batch = take(waiting(), BATCH_BYTES)).length) {
      // Some browsers refuse keepalive, for a moment or for good: every other try goes without.
      delay = await send(batch, failures % 2 === 0);
    }
    sending = false;
    settle(delay);
  }

  /** The page may be going: whatever fits goes now, beside what is under way, claims before UI events. */
  function leave() {
    let rest = waiting().sort((a, b) => a.ui - b.ui);
    let room = BATCH_BYTES - sizeOf(queue.filter((entry) => entry.flying));
    let batch;
    while (token !== expired && (batch = take(rest, room)).length) {
      rest = rest.slice(batch.length);
      room -= sizeOf(batch);
      send(batch, true).then(settle);
    }
  }

  /** What follows an answer. The latest counts: a wait that an older one asked for ends with a newer that is good. */
  function settle(delay) {
    clearTimeout(timer);
    timer = 0;
    if (!queue.length) return;
    if (delay) schedule(delay);
    else if (token === expired) renew();
    else if (!sending && waiting().length) schedule(0);
  }

  /** Sends one batch, and says how many milliseconds to wait before the next. Never rejects. */
  async function send(batch, keepalive) {
    const used = token;
    let retryAfter, timeout;
    batch.forEach((entry) => (entry.flying = keepalive));
    try {
      const abort = new AbortController();
      timeout = setTimeout(() => abort.abort(), TIMEOUT);
      const response = await fetch(options.url, {
        method: 'POST',
        headers: { Authorization: 'Bearer ' + used, 'Content-Type': 'application/json' },
        body: '{"callbacks":[' + batch.map((entry) => entry.text) + ']}',
        credentials: 'omit',
        redirect: 'error',
        keepalive,
        signal: abort.signal,
      });
      const { status } = response;
      retryAfter = response.headers.get('Retry-After') * 1000;
      if (status === 200) {
        const { accepted, refused } = await response.json();
        // The one refusal that means: not now.
        const again = refused.filter(({ code }) => code === 'unavailable').map(({ index }) => batch[index]);
        const done = batch.filter((entry) => !again.includes(entry));
        counts.accepted += accepted;
        counts.dropped += done.length - accepted;
        if (done.length > accepted) warn('refused', refused);
        remove(done);
        limit = BATCH_ITEMS;
        asked = false;
        if (!again.length) return (failures = 0);
      } else if (status === 401) {
        // A session that was just renewed is refused, too: ask for another one, later.
        const again = asked && used !== expired;
        expired = used;
        if (!again) return 0;
        asked = false;
      } else if (status > 399 && status < 500 && ![408, 425, 429].includes(status)) {
        if (batch.length > 1 && (status === 400 || status === 413)) {
          // One of them spoils the rest: halve until it stands alone.
          limit = batch.length >> 1;
        } else {
          limit = BATCH_ITEMS;
          drop(batch, status);
        }
        return 0;
      }
      warn('will try again', status);
    } catch (error) {
      // No answer, or none that can be read.
      warn('will try again', error);
    } finally {
      clearTimeout(timeout);
      batch.forEach((entry) => (entry.flying = false));
    }
    return backoff() + Math.min(retryAfter || 0, RETRY_AFTER_TO);
  }

  /** Doubles with each failure; between half and all of it, so that many pages do not come back at once. */
  function backoff() {
    return Math.min(BACKOFF_FROM * 2 ** ++failures, BACKOFF_TO) * (0.5 + Math.random() / 2);
  }

  /** Asks the page for a session: once, until one has worked again. A failed asking is repeated later. */
  async function renew() {
    const { onSessionExpired } = channel.options;
    if (asked || !onSessionExpired) return;
    asked = true;
    try {
      renewed(await onSessionExpired());
    } catch (error) {
      asked = false;
      warn('no new session', error);
      schedule(backoff());
    }
  }

  /** Takes a session of the same user, unless it is the one that was just refused. */
  function renewed(next) {
    if (ownerOf(next) !== owner) return warn('not a session of this user');
    if (next === token || next === expired) return;
    token = next;
    run();
  }

  attempt(restore);
  return channel;
}

/**
 * Whose a session is: the token's `sub`, read without trusting it, to keep queues apart. The endpoint verifies.
 * A token that cannot be read stands for itself.
 */
function ownerOf(token) {
  return attempt(() => claimsOf(token).sub) || token;
}

/** What the widget passed, as the text of a JSON object within DATA_BYTES; undefined where there is nothing. */
function dataOf(name, args) {
  let [data] = args;
  // Older widgets pass a function or the link token here. It carries nothing for us, and must not be stored.
  if (name === 'onTokenExpired') return;
  data = parsed(data) || data;
  if (data == null || isFunction(data)) return;
  if (!isObject(data) || Array.isArray(data)) {
    const fields = (FIELDS[name] || 'value').split(' ');
    data = {};
    fields.forEach((field, i) => (data[field] = args[i]));
  }
  let text = attempt(() => JSON.stringify(data));
  if (!text || bytesOf(text) > DATA_BYTES) {
    text = attempt(() => trim(data, [], { left: DATA_BYTES - 64 }));
  }
  // Half a surrogate pair is valid here, and refused by stricter readers of JSON.
  return text && text.replace(/\\(ud[89a-f]..|.)/g, (all, escape) => (escape[1] ? '\\ufffd' : all));
}

/**
 * JSON of what cannot be had whole: circular, unserialisable or too large. Plain values come before nested ones,
 * so that the ids survive; long strings are cut; what finds no room is left out. Writes text, never objects.
 */
function trim(value, path, room) {
  if (typeof value === 'string') value = parsed(value) || value.slice(0, 512);
  if (path.length > 6 || path.includes(value)) return;
  const isArray = Array.isArray(value);
  const nested = isObject(value) && !value.toJSON;
  const plain = nested ? '{}' : JSON.stringify(value);
  if (!plain || (room.left -= bytesOf(plain) + 1) < 0) return;
  if (!nested) return plain;
  const parts = path.length ? [] : ['"trimmed":true'];
  const keys = Object.keys(value);
  const weight = (key) => attempt(() => isObject(value[key]));
  if (!isArray) keys.sort((a, b) => weight(a) - weight(b));
  for (const key of keys) {
    if (room.left < 0) break;
    const label = isArray ? '' : JSON.stringify(key) + ':';
    room.left -= bytesOf(label);
    const text = attempt(() => trim(value[key], [...path, value], room));
    if (text) parts.push(label + text);
  }
  return isArray ? '[' + parts + ']' : '{' + parts + '}';
}

/** 128 random bits. `crypto.randomUUID` is younger than the browsers we serve, and needs https. */
function newId() {
  const words = new Uint32Array(4).map(() => Math.random() * 2 ** 32);
  attempt(() => crypto.getRandomValues(words));
  return words.join('-');
}

/** UTF-8 bytes. */
function bytesOf(text) {
  return new TextEncoder().encode(text).length;
}
