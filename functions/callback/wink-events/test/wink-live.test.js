/** The second script beside a fake page and a fake WebSocket: no network, no waiting. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { load, restore, token } from './page.js';

const SCRIPT = process.env.WINK_LIVE ?? '../src/wink-live.js';
const URL_ = 'wss://live.example.com/live';
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const timers = { setTimeout, clearTimeout };
const random = Math.random;

afterEach(() => {
  restore(timers);
  Math.random = random;
  delete globalThis.WebSocket;
});

/** A session of an hour, which begins at this second. */
const session = (page, more) => token('u-1', { iat: page.now / SECOND, exp: page.now / SECOND + 3600, ...more });

/** A page with a gateway: `page.sockets` are the connections that it was asked for, the first one first. */
async function open() {
  const page = await load({ script: SCRIPT });
  page.sockets = [];
  page.heard = [];
  // The latest that a wait with jitter can end.
  Math.random = () => 0.999;
  globalThis.WebSocket = class {
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [], at: page.now, closed: false });
      page.sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text).action);
    }
    close() {
      this.closed = true;
      this.onclose?.({ code: 1000 });
    }
    say(message) {
      this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) });
    }
    /** The gateway accepts it, and the function answers. */
    accept() {
      this.onopen();
      this.say({ type: 'refresh' });
      return this;
    }
  };
  page.last = () => page.sockets.at(-1);
  page.on = (more, callback = (change) => page.heard.push(change)) =>
    page.script.onChange(callback, { url: URL_, session: session(page), ...more });
  return page;
}

test('it connects with the session as a subprotocol, says hello, and hands on what it is told', async () => {
  const page = await open();
  const given = session(page);
  page.on({ session: given });
  await page.settle();
  const socket = page.last();
  assert.equal(socket.url, URL_, 'no token in a URL');
  assert.deepEqual(socket.protocols, ['smile.v1', `smile.session.${given}`]);
  assert.deepEqual(socket.sent, []);
  socket.onopen();
  assert.deepEqual(socket.sent, ['hello']);
  const change = { type: 'ACCOUNT_CONNECTED', id: 'et-1', entity: 'ACCOUNT#a-1' };
  for (const message of [{ type: 'refresh' }, change, { message: 'Internal server error' }, 'nonsense', '[]', '7']) socket.say(message);
  assert.deepEqual(page.heard, [{ type: 'refresh' }, change]);
});

test('it pings well within ten minutes, and says nothing of the answer', async () => {
  const page = await open();
  page.on();
  await page.settle();
  const socket = page.last().accept();
  for (let pings = 1; pings <= 5; pings++) {
    await page.pass(5 * MINUTE - 30 * SECOND);
    assert.equal(socket.sent.length, 1 + pings);
    assert.equal(socket.sent.at(-1), 'ping');
    socket.say({ type: 'pong' });
  }
  assert.deepEqual(page.heard, [{ type: 'refresh' }]);
  assert.equal(page.sockets.length, 1);
});

test('who does not answer is dead: a handshake, a hello, and a ping', async () => {
  const page = await open();
  page.on();
  await page.settle();
  const [silent] = page.sockets;
  await page.pass(32 * SECOND);
  assert.ok(silent.closed);
  assert.equal(page.sockets.length, 2);
  page.last().onopen();
  // Another message is no answer: the page would never have read the state.
  page.last().say({ type: 'USER_CREATED', id: 'et-1', entity: 'USER' });
  await page.pass(13 * SECOND);
  assert.ok(page.sockets[1].closed);
  assert.equal(page.sockets.length, 3);
  page.last().accept();
  await page.pass(4.5 * MINUTE + 10 * SECOND);
  assert.ok(page.sockets[2].closed);
  assert.deepEqual(page.sockets[2].sent, ['hello', 'ping']);
  // What a connection says that was given up is not heard.
  page.sockets[2].say({ type: 'late', id: 'et-2' });
  page.sockets[2].onclose();
  assert.equal(page.heard.length, 2);
});

test('it comes back after any end: at once when it was a good one, later and later when it is not', async () => {
  const page = await open();
  page.on({ session: () => session(page) });
  await page.settle();
  const waits = [];
  for (let n = 0; n < 10; n++) {
    const before = page.sockets.length;
    const since = page.now;
    page.last().onclose();
    while (page.sockets.length === before) await page.pass(100);
    waits.push(Math.round((page.now - since) / SECOND));
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
  // Open for a moment is no success.
  page.last().accept();
  page.last().onclose();
  await page.pass(50 * SECOND);
  assert.equal(page.sockets.length, 11);
  await page.pass(10 * SECOND);
  assert.equal(page.sockets.length, 12);
  page.last().accept();
  await page.pass(31 * SECOND);
  page.last().onclose();
  await page.pass(1 * SECOND);
  assert.equal(page.sockets.length, 13);
});

test('many pages do not come back at once: the wait is anywhere from nothing to its most', async () => {
  const page = await open();
  Math.random = () => 0;
  page.on();
  await page.settle();
  page.last().onclose();
  await page.pass(0);
  assert.equal(page.sockets.length, 2);
  Math.random = () => 0.5;
  page.last().onclose();
  await page.pass(999);
  assert.equal(page.sockets.length, 2);
  await page.pass(1);
  assert.equal(page.sockets.length, 3);
});

test('it does not wait when the network is back or the page is shown', async () => {
  for (const [type, before] of [['online'], ['visibilitychange'], ['pageshow'], ['resume']]) {
    const page = await open();
    page.on();
    for (let n = 0; n < 5; n++) {
      await page.settle();
      page.last().onclose();
      await page.pass(n < 4 ? 2 ** n * SECOND : 0);
    }
    const { length } = page.sockets;
    await page.pass(5 * SECOND);
    assert.equal(page.sockets.length, length, 'it waits');
    if (type === 'visibilitychange') {
      page.document.visibilityState = 'hidden';
      page.fire(type);
      await page.settle();
      assert.equal(page.sockets.length, length);
      page.document.visibilityState = 'visible';
    }
    page.fire(type, before);
    await page.settle();
    assert.equal(page.sockets.length, length + 1, type);
    // While it connects, or is connected and was heard of lately, there is nothing to do.
    page.fire('visibilitychange');
    page.last().accept();
    page.fire('visibilitychange');
    await page.pass(1);
    assert.deepEqual([page.sockets.length, page.last().sent], [length + 1, ['hello']]);
    restore(timers);
  }
});

test('a machine that has slept asks whether anybody is there', async () => {
  const page = await open();
  page.on();
  await page.settle();
  const socket = page.last().accept();
  await page.pass(MINUTE);
  page.fire('visibilitychange');
  page.fire('visibilitychange');
  assert.deepEqual(socket.sent, ['hello', 'ping']);
  await page.pass(11 * SECOND);
  assert.equal(page.sockets.length, 2, 'nobody was');
});

test('a session is replaced before it ends, and by its length, whatever the clock says', async () => {
  const page = await open();
  const given = [];
  page.on({ session: async () => given[given.push(session(page, { jti: given.length, iat: 7, exp: 3607 })) - 1] });
  await page.settle();
  page.last().accept();
  const stop = page.now + 53 * MINUTE;
  while (page.now < stop) {
    await page.pass(10 * SECOND);
    if (page.last().sent.at(-1) === 'ping') page.last().say({ type: 'pong' });
  }
  assert.equal(given.length, 1);
  await page.pass(MINUTE + 2 * SECOND);
  assert.equal(given.length, 2);
  assert.ok(page.sockets[0].closed);
  assert.deepEqual(page.last().protocols, ['smile.v1', `smile.session.${given[1]}`]);
  assert.equal(page.sockets.length, 2);
});

test('after three failures in a row the session is asked for anew, and not before', async () => {
  const page = await open();
  let asked = 0;
  page.on({ session: () => token('u-1', { iat: 0, exp: 3600, jti: asked++ }) });
  await page.settle();
  for (let n = 1; n <= 3; n++) {
    assert.equal(asked, 1);
    page.last().onclose();
    await page.pass(5 * SECOND);
  }
  assert.equal(asked, 2);
  // One failure between good connections is none of the session's.
  page.last().accept();
  await page.pass(MINUTE);
  page.last().onclose();
  await page.pass(SECOND);
  page.last().accept();
  assert.equal(asked, 2);
});

test('a session that cannot be had is asked for again, later', async () => {
  const page = await open();
  const outcomes = [() => Promise.reject(new Error('no')), () => { throw new Error('no'); }, () => new Promise(() => {}), () => session(page)];
  let asked = 0;
  page.on({ session: () => outcomes[asked++]() });
  await page.settle();
  await page.pass(3 * SECOND);
  assert.equal(asked, 3);
  await page.pass(30 * SECOND);
  await page.pass(4 * SECOND);
  assert.equal(asked, 4);
  assert.equal(page.sockets.length, 1);
  assert.deepEqual(page.warnings, []);
});

test('where nobody has a session any more it ends, and asks no gateway', async () => {
  for (const nothing of [null, undefined, '']) {
    const page = await open();
    page.on({ session: async () => nothing });
    await page.settle();
    await page.pass(10 * MINUTE);
    assert.deepEqual([page.sockets.length, page.listeners()], [0, 0]);
  }
});

test('with a token alone it ends with the session', async () => {
  const page = await open();
  page.on();
  await page.settle();
  page.last().accept();
  while (page.listeners()) {
    await page.pass(10 * SECOND);
    if (page.last().sent.at(-1) === 'ping') page.last().say({ type: 'pong' });
    assert.ok(page.now < 1e12 + 60 * MINUTE);
  }
  const { length } = page.sockets;
  page.fire('online');
  await page.pass(10 * MINUTE);
  assert.equal(page.sockets.length, length);
  assert.ok(page.last().closed);
});

test('a page that goes lets go, and one that comes back from the cache listens again', async () => {
  for (const [goes, comes] of [['pagehide', 'pageshow'], ['freeze', 'resume']]) {
    const page = await open();
    page.on();
    await page.settle();
    page.last().accept();
    page.fire(goes, { persisted: true });
    assert.ok(page.last().closed);
    await page.pass(10 * MINUTE);
    assert.equal(page.sockets.length, 1, 'nothing happens meanwhile');
    page.fire(comes, { persisted: true });
    await page.settle();
    page.fire('visibilitychange');
    assert.equal(page.sockets.length, 2);
    page.last().accept();
    assert.deepEqual(page.heard, [{ type: 'refresh' }, { type: 'refresh' }]);
    restore(timers);
  }
});

test('stop ends everything, whatever was under way', async () => {
  const while_ = {
    asking: async () => {},
    connecting: (page) => page.settle(),
    listening: async (page) => (await page.settle(), page.last().accept()),
    waiting: async (page) => (await page.settle(), page.last().onclose()),
  };
  for (const [state, reach] of Object.entries(while_)) {
    const page = await open();
    const stop = page.on({ session: async () => session(page) });
    await reach(page);
    stop();
    stop();
    const { length } = page.sockets;
    assert.equal(page.listeners(), 0, state);
    page.fire('online');
    await page.pass(20 * MINUTE);
    assert.equal(page.sockets.length, length, state);
    assert.ok(page.sockets.every(({ closed }) => closed || state === 'waiting'), state);
    restore(timers);
  }
});

test('several listen side by side, and one of them stops alone', async () => {
  const page = await open();
  const heard = [];
  const stop = page.on({}, (change) => heard.push(['one', change.type]));
  page.on({}, (change) => heard.push(['two', change.type]));
  await page.settle();
  page.sockets.forEach((socket) => socket.accept());
  stop();
  page.sockets[0].say({ type: 'x' });
  page.sockets[1].say({ type: 'x' });
  assert.deepEqual(heard, [['one', 'refresh'], ['two', 'refresh'], ['two', 'x']]);
});

test('what the callback throws is told as the page tells such, and listening goes on', async () => {
  const page = await open();
  const boom = new Error('mine');
  let calls = 0;
  page.on({}, () => {
    calls++;
    throw boom;
  });
  await page.settle();
  page.last().accept();
  await assert.rejects(page.pass(0), boom);
  page.last().say({ type: 'x', id: 'et-1' });
  assert.equal(calls, 2);
  assert.equal(page.last().closed, false);
});

test('options that cannot work are told, and nothing else is', async () => {
  const page = await open();
  for (const [callback, options] of [[() => {}], [() => {}, {}], [() => {}, { url: URL_ }], [() => {}, { session: 'a.b.c' }], [undefined, { url: URL_, session: 'a.b.c' }]]) {
    page.script.onChange(callback, options)();
  }
  assert.equal(page.warnings.length, 5);
  assert.equal(page.listeners(), 0);
});

test('a browser that refuses to open one quotes the session: that is said nowhere', async () => {
  const page = await open();
  globalThis.WebSocket = class {
    constructor(url, protocols) {
      page.sockets.push(this);
      throw new SyntaxError(`The subprotocol '${protocols[1]}' is invalid.`);
    }
  };
  page.on({ session: 'a b c' });
  await page.pass(10 * SECOND);
  assert.ok(page.sockets.length > 2, 'it tries again');
  assert.deepEqual(page.warnings, []);
});
