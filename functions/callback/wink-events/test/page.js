/**
 * A page for unit tests: globals that the script finds in a browser, with a clock, a network and a storage in the
 * test's hands. `load` gives a fresh copy of the script, as a page load does.
 */
import { setImmediate as turn } from 'node:timers/promises';

const real = { Date: globalThis.Date, now: Date.now, crypto: globalThis.crypto, warn: console.warn };
let copies = 0;

/** A session token of `sub`; the script reads it, and does not verify it. */
export function token(sub, more = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256' })}.${part({ sub, ...more })}.signature`;
}

/** A sessionStorage on a map that outlives the page. */
export function storageOn(map) {
  return {
    get length() {
      return map.size;
    },
    key: (index) => [...map.keys()][index] ?? null,
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => void map.set(key, String(value)),
    removeItem: (key) => void map.delete(key),
  };
}

export const answers = {
  accept: (items) => ({ status: 200, body: { accepted: items.length, refused: [] } }),
  unavailable: (retryAfter) => () => ({ status: 503, retryAfter, body: { code: 'unavailable' } }),
  status: (status) => () => ({ status, body: {} }),
  cut: () => Promise.reject(new TypeError('network')),
  hang: (items, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
};

/** The script of the callbacks, in the form that is tried. */
const EVENTS = process.env.WINK_EVENTS ?? '../src/wink-events.js';

/** Starts a page. `stored` is what the tab keeps; `answer` is what the endpoint says to the next requests. */
export async function load({ stored = new Map(), answer = answers.accept, storage = storageOn(stored), now = 1e12, script = EVENTS } = {}) {
  const timers = new Map();
  const listeners = {};
  let nextTimer = 1;
  const page = { now, stored, answer, requests: [], warnings: [], document: { visibilityState: 'visible' } };

  Date.now = () => page.now;
  console.warn = (...what) => page.warnings.push(what.map(String).join(' '));
  globalThis.document = page.document;
  globalThis.setTimeout = (action, ms = 0) => {
    timers.set(nextTimer, { action, at: page.now + ms });
    return nextTimer++;
  };
  globalThis.clearTimeout = (id) => timers.delete(id);
  globalThis.addEventListener = (type, action) => (listeners[type] ??= []).push(action);
  globalThis.removeEventListener = (type, action) => (listeners[type] = (listeners[type] ?? []).filter((own) => own !== action));
  Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, get: () => (typeof storage === 'function' ? storage() : storage) });
  globalThis.fetch = async (url, init) => {
    const items = JSON.parse(init.body).callbacks;
    page.requests.push({ url, init, items, at: page.now, names: items.map(({ name }) => name) });
    const { status, retryAfter, body, text } = await page.answer(items, init);
    return new Response(text ?? JSON.stringify(body), {
      status,
      headers: retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) },
    });
  };

  /** Lets promises settle, without time passing. */
  page.settle = async () => {
    for (let i = 0; i < 20; i++) await turn();
  };
  /** Lets `ms` pass, timer by timer. */
  page.pass = async (ms) => {
    const end = page.now + ms;
    await page.settle();
    for (;;) {
      const due = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      timers.delete(due[0]);
      page.now = Math.max(page.now, due[1].at);
      due[1].action();
      await page.settle();
    }
    page.now = end;
  };
  page.listeners = () => Object.values(listeners).flat().length;
  page.fire = (type, more) => (listeners[type] ?? []).forEach((action) => action({ type, ...more }));
  page.sent = () => page.requests.flatMap(({ items }) => items);
  page.script = await import(`${script}?${copies++}`);
  return page;
}

/** Puts back what the pages of a test replaced and the runner needs. */
export function restore(timers) {
  Date.now = real.now;
  console.warn = real.warn;
  Object.assign(globalThis, timers);
  delete globalThis.document;
}
