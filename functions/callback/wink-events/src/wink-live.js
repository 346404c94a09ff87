/**
 * wink-live: tells a page when something of its user has changed, over one WebSocket.
 *
 *     const stop = onChange((change) => reload(), { url, session });
 *
 * What it promises:
 *
 * 1. Who reads the state whenever it is called knows of every change: it is called with `{ type: 'refresh' }` each
 *    time that it has begun to listen, and from then on for each change, at least once.
 * 2. It comes back after any end, sooner or later, until it is stopped or has no session any more; many pages do not
 *    come back at once.
 * 3. A connection that is dead and does not say so is noticed.
 * 4. Nothing of ours throws. The session is never stored, logged or put into a URL.
 *
 * The types are in `wink-live.d.ts`.
 */

import { attempt, claimsOf, isFunction, parsed } from './common.js';

/** Milliseconds without a word after which we ask whether anybody is there. The gateway hangs up after ten minutes. */
const PING = 270000;

/** The same when the page is shown, or the network is back: the machine may have slept. */
const DOUBT = 30000;

/** Milliseconds for an answer, and for a session and a connection. */
const ANSWER = 10000;
const CONNECT = 30000;

/** Milliseconds between two tries, and after which a connection has been a good one. */
const BACKOFF_FROM = 1000;
const BACKOFF_TO = 60000;
const STABLE = 30000;

/** After as many failures in a row the session may be to blame. A busy gateway must not send all pages for one. */
const PATIENCE = 3;

/** The share of a session's life after which it is replaced. */
const SPENT = 0.9;

/** Calls `callback` when something of the session's user has changed, until the function that this returns is called. */
export function onChange(callback, options) {
  const { url, session } = options || {};
  if (!url || !session || !isFunction(callback)) {
    console.warn('wink-live: not listening. A callback, url and session are needed.');
    return () => {};
  }

  /** The connection that counts, or the attempt at one. What others still say is not heard. */
  let current;
  /** The one wait that there is: for a session, a connection, an answer, the next ping or the next try. */
  let timer;
  let failures = 0;
  let token, spentAt, awaited, since, heardAt, away;

  const wait = (ms, action) => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };

  async function connect() {
    if (current || away) return;
    const mine = (current = {});
    wait(CONNECT, lost);
    try {
      if (!token || Date.now() >= spentAt) {
        // A session that is given once is used up once.
        if (token && !isFunction(session)) return stop();
        token = isFunction(session) ? await session() : session;
        const { iat, exp } = attempt(() => claimsOf(token)) || {};
        // By its length: this machine's clock may be wrong.
        spentAt = Date.now() + (exp - iat) * 1000 * SPENT || Infinity;
        if (mine !== current) return;
        // Nobody is logged in any more.
        if (!token) return stop();
      }
      const socket = (mine.socket = new WebSocket(url, ['smile.v1', 'smile.session.' + token]));
      const heard = (action) => (event) => mine === current && action(event);
      socket.onopen = heard(() => {
        since = Date.now();
        ask('hello', 'refresh');
      });
      socket.onmessage = heard(({ data }) => hear(parsed(data) || {}));
      socket.onclose = heard(lost);
    } catch (error) {
      // What it says could quote the session.
      if (mine === current) lost();
    }
  }

  function ask(action, answer) {
    awaited = answer;
    current.socket.send(JSON.stringify({ action }));
    wait(ANSWER, lost);
  }

  const ping = () => (Date.now() < spentAt ? ask('ping', 'pong') : lost());

  function hear(change) {
    const { type } = change;
    if (!type) return;
    heardAt = Date.now();
    if (type === awaited) {
      awaited = 0;
      wait(Math.min(PING, spentAt - heardAt), ping);
    }
    if (type === 'pong') return;
    try {
      callback(change);
    } catch (error) {
      // The page's own, told where it tells such.
      setTimeout(() => {
        throw error;
      });
    }
  }

  function leave() {
    clearTimeout(timer);
    const { socket } = current || {};
    current = awaited = since = 0;
    if (socket) socket.close();
  }

  /** Ends what there is, and tries again later: anywhere between at once and twice as long as the last time. */
  function lost() {
    if (since && Date.now() - since > STABLE) failures = 0;
    leave();
    if (++failures % PATIENCE === 0 && isFunction(session)) token = 0;
    wait(Math.random() * Math.min(BACKOFF_TO, BACKOFF_FROM * 2 ** (failures - 1)), connect);
  }

  const look = ({ type }) => {
    if (type === 'pagehide' || type === 'freeze') {
      away = true;
      leave();
    } else if (type !== 'visibilitychange' || document.visibilityState === 'visible') {
      away = false;
      if (!current) connect();
      else if (since && !awaited && Date.now() - heardAt > DOUBT) ping();
    }
  };
  const events = ['online', 'pageshow', 'pagehide', 'resume', 'freeze', 'visibilitychange'];
  // Some are the document's and do not bubble.
  events.forEach((type) => addEventListener(type, look, true));

  function stop() {
    away = true;
    leave();
    events.forEach((type) => removeEventListener(type, look, true));
  }

  connect();
  return stop;
}
