/** The script beside a fake page: no browser, no network, no waiting. Its life in a browser is in tests/browser. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { answers, load, restore, storageOn, token } from './page.js';

const URL_ = 'https://api.example.com/v1/callbacks';
const NINE = [
  'onAccountCreated',
  'onAccountConnected',
  'onAccountRemoved',
  'onAccountError',
  'onTokenExpired',
  'onClose',
  'onUploadsCreated',
  'onUploadsRemoved',
  'onUIEvent',
];
const timers = { setTimeout, clearTimeout };
const options = (more) => ({ url: URL_, session: token('u-1'), ...more });
const screen = (n, more) => ({ eventName: 'LoginPageOpened', eventTime: String(n), userId: 'u-1', ...more });

afterEach(() => restore(timers));

test('a callback of the page keeps its this, arguments, result and exception', async () => {
  const page = await load();
  const seen = [];
  const boom = new Error('mine');
  const promise = Promise.resolve(7);
  const config = page.script.wrap(
    {
      onClose(...args) {
        seen.push([this, args]);
        return 'result';
      },
      onAccountError() {
        throw boom;
      },
      onAccountCreated: () => promise,
    },
    options(),
  );
  const self = {};
  assert.equal(config.onClose.call(self, { reason: 'exit' }, 2, 3), 'result');
  assert.equal(seen[0][0], self);
  assert.deepEqual(seen[0][1], [{ reason: 'exit' }, 2, 3]);
  assert.throws(() => config.onAccountError({ accountId: 'a' }), boom);
  assert.equal(config.onAccountCreated({ accountId: 'a' }), promise);
  await page.pass(1000);
  assert.deepEqual(page.requests[0].names, ['onClose', 'onAccountError', 'onAccountCreated']);
});

test('what the page changes in the data afterwards is not what is delivered', async () => {
  const page = await load();
  const config = page.script.wrap({ onClose: (data) => delete data.reason }, options());
  config.onClose({ reason: 'exit' });
  await page.pass(1000);
  assert.deepEqual(page.sent()[0].data, { reason: 'exit' });
});

test('all nine are there, others named like one too, and the rest of the config is untouched', async () => {
  const page = await load();
  class Config {
    onClose() {
      return this.userToken;
    }
  }
  const given = Object.assign(new Config(), { userToken: 't', onSomethingNew: () => 1, onward: () => 2, onUIEvent: null });
  const { onward } = given;
  const config = page.script.wrap(given, options());
  for (const name of NINE) assert.equal(typeof config[name], 'function', name);
  assert.ok(config instanceof Config);
  assert.equal(config.onward, onward);
  assert.equal(config.userToken, 't');
  assert.equal(config.onClose(), 't');
  assert.equal(config.onSomethingNew({ a: 1 }), 1);
  assert.equal(config.onUIEvent(screen(1)), undefined);
  assert.equal(given.onUIEvent, null, 'the given config is not changed');
  await page.pass(1000);
  assert.deepEqual(page.requests[0].names, ['onClose', 'onSomethingNew', 'onUIEvent']);
});

test('a request is what the endpoint expects', async () => {
  const page = await load();
  const config = page.script.wrap({}, options());
  config.onClose();
  config.onClose({ reason: 'close' });
  config.onUIEvent(screen(1));
  await page.pass(1000);
  assert.equal(page.requests.length, 1, 'gathered into one');
  const [{ url, init, items }] = page.requests;
  assert.equal(url, URL_);
  assert.equal(init.method, 'POST');
  assert.deepEqual(init.headers, { Authorization: `Bearer ${token('u-1')}`, 'Content-Type': 'application/json' });
  assert.equal(init.keepalive, true);
  assert.equal(init.credentials, 'omit');
  assert.deepEqual(Object.keys(items[0]), ['id', 'name', 'at']);
  for (const { id } of items) assert.match(id, /^[A-Za-z0-9._:-]{1,64}$/);
  assert.equal(new Set(items.map(({ id }) => id)).size, 3);
  assert.deepEqual(
    items.map(({ at }) => Date.parse(at)),
    [1e12, 1e12 + 1, 1e12 + 2],
    'strictly increasing within one millisecond',
  );
  assert.match(items[0].at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('options that cannot work leave the config as it is, and say so', async () => {
  const page = await load();
  const given = {};
  for (const wrong of [undefined, {}, { url: URL_ }, { session: token('u-1') }]) {
    assert.equal(page.script.wrap(given, wrong), given);
  }
  assert.equal(page.script.wrap(null, options()), null);
  assert.equal(page.warnings.length, 5);
});

test('a config wrapped twice delivers once, and calls its own function once; for a second endpoint it delivers to both', async () => {
  const page = await load();
  let called = 0;
  const once = page.script.wrap(page.script.wrap({ onClose: () => called++ }, options()), options());
  once.onClose();
  assert.equal(called, 1);
  await page.pass(1000);
  assert.equal(page.sent().length, 1);
  const both = page.script.wrap(once, options({ url: 'https://other.example.com/' }));
  both.onAccountCreated({ accountId: 'a' });
  await page.pass(1000);
  assert.deepEqual(page.requests.slice(1).map(({ url }) => url).sort(), [URL_, 'https://other.example.com/']);
});

test('the same words twice within a second are one callback, later they are two', async () => {
  const page = await load();
  const config = page.script.wrap({}, options());
  const other = page.script.wrap({}, options());
  config.onAccountConnected({ accountId: 'a' });
  other.onAccountConnected({ accountId: 'a' });
  other.onAccountConnected({ accountId: 'b' });
  await page.pass(1000);
  assert.equal(page.sent().length, 2);
  config.onAccountConnected({ accountId: 'a' });
  await page.pass(1000);
  assert.equal(page.sent().length, 3);
});

test('batches have 50 items and 60,000 bytes at the most', async () => {
  const page = await load();
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 120; n++) config.onUIEvent(screen(n));
  await page.pass(1000);
  assert.deepEqual(page.requests.map(({ items }) => items.length), [50, 50, 20]);
  for (let n = 0; n < 9; n++) config.onUploadsCreated({ uploads: 'é'.repeat(7000) + n, userId: 'u-1' });
  await page.pass(1000);
  const large = page.requests.slice(3);
  assert.deepEqual(large.map(({ items }) => items.length), [4, 4, 1]);
  for (const { init } of large) assert.ok(Buffer.byteLength(init.body) < 60100);
  assert.deepEqual(page.script.stats(), { queued: 0, accepted: 129, dropped: 0 });
});

test('of a 200 only what is unavailable is tried again, with the same id', async () => {
  const page = await load({
    answer: (items) => ({
      status: 200,
      body: {
        accepted: items.length - 2,
        refused: [
          { index: 0, id: items[0].id, code: 'wrong_user' },
          { index: 2, id: items[2].id, code: 'unavailable' },
        ],
      },
    }),
  });
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 4; n++) config.onUIEvent(screen(n));
  await page.pass(250);
  page.answer = answers.accept;
  await page.pass(5000);
  assert.equal(page.requests.length, 2);
  assert.deepEqual(page.requests[1].items, [page.requests[0].items[2]]);
  assert.deepEqual(page.script.stats(), { queued: 0, accepted: 3, dropped: 1 });
});

test('a 503 is tried again, not before Retry-After, and further and further apart', async () => {
  const page = await load({ answer: answers.unavailable(5) });
  page.script.wrap({}, options()).onClose();
  await page.pass(5000);
  assert.equal(page.requests.length, 1);
  await page.pass(2000);
  assert.equal(page.requests.length, 2);
  page.answer = answers.unavailable();
  await page.pass(3600000);
  const gaps = page.requests.slice(2).map(({ at }, i) => at - page.requests[i + 1].at);
  assert.ok(gaps[1] >= 2000 && gaps[1] <= 4000, `${gaps}`);
  assert.ok(gaps.slice(7).every((gap) => gap >= 30000 && gap <= 60000), `${gaps}`);
  assert.ok(new Set(gaps.slice(7)).size > 1, 'jitter');
  page.answer = answers.accept;
  await page.pass(60000);
  assert.equal(page.script.stats().queued, 0);
  assert.equal(new Set(page.sent().map(({ id }) => id)).size, 1);
});

test('a Retry-After beyond reason, or not a number, does not stop delivery', async () => {
  for (const retryAfter of [1e9, 'tomorrow', -5]) {
    const page = await load({ answer: answers.unavailable(retryAfter) });
    page.script.wrap({}, options()).onClose();
    await page.pass(1000);
    page.answer = answers.accept;
    await page.pass(602000);
    assert.equal(page.script.stats().accepted, 1, String(retryAfter));
  }
});

test('429, 408 and answers that cannot be read are tried again', async () => {
  const odd = [answers.status(429), answers.status(408), answers.status(500), () => ({ status: 200, text: '<html>' })];
  odd.push(() => ({ status: 200, body: {} }), () => ({ status: 200, body: null }), answers.cut);
  for (const answer of odd) {
    const page = await load({ answer });
    page.script.wrap({}, options()).onClose();
    await page.pass(300);
    assert.equal(page.script.stats().queued, 1);
    page.answer = answers.accept;
    await page.pass(2000);
    assert.equal(page.script.stats().accepted, 1);
  }
});

test('without a network every other try goes without keepalive, and "online" is a reason to try', async () => {
  const page = await load({ answer: answers.cut });
  page.script.wrap({}, options()).onClose();
  await page.pass(60000);
  assert.deepEqual(page.requests.slice(0, 4).map(({ init }) => init.keepalive), [true, false, true, false]);
  page.answer = answers.accept;
  page.fire('online');
  await page.settle();
  assert.equal(page.script.stats().accepted, 1);
});

test('a request that hangs is given up after 30 seconds, and does not hold up what follows', async () => {
  const page = await load({ answer: answers.hang });
  const config = page.script.wrap({}, options());
  config.onClose();
  await page.pass(29000);
  assert.equal(page.requests.length, 1);
  page.answer = answers.accept;
  config.onAccountCreated({ accountId: 'a' });
  await page.pass(5000);
  assert.deepEqual(page.requests[1].names, ['onClose', 'onAccountCreated']);
});

test('what comes, or is wrapped again, while the endpoint asked for patience waits with the rest', async () => {
  const page = await load({ answer: answers.unavailable(60) });
  const config = page.script.wrap({}, options());
  config.onClose();
  await page.pass(1000);
  for (let n = 0; n < 10; n++) {
    page.script.wrap({}, options());
    config.onUIEvent(screen(n));
    await page.pass(5000);
  }
  assert.equal(page.requests.length, 1);
  page.answer = answers.accept;
  await page.pass(20000);
  assert.equal(page.script.stats().accepted, 11);
});

test('403, 404, 415 and 422 will not get better: dropped, and said in debug only', async () => {
  for (const status of [403, 404, 415, 422]) {
    const page = await load({ answer: answers.status(status) });
    page.script.wrap({}, options()).onClose();
    await page.pass(100000);
    assert.equal(page.requests.length, 1);
    assert.deepEqual(page.script.stats(), { queued: 0, accepted: 0, dropped: 1 });
    assert.deepEqual(page.warnings, []);
    assert.equal(page.stored.size, 0);
    page.script.wrap({}, options({ debug: true })).onAccountError({ loginName: 'someone' });
    await page.pass(1000);
    assert.match(page.warnings.join(), new RegExp(`dropped 1 ${status}`));
    assert.doesNotMatch(page.warnings.join(), /someone|signature/);
  }
});

test('one item that spoils a batch does not take its neighbours with it', async () => {
  const page = await load({
    answer: (items) => (items.some(({ data }) => data.eventTime === '33') ? { status: 400, body: {} } : answers.accept(items)),
  });
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 100; n++) config.onUIEvent(screen(n));
  await page.pass(1000);
  assert.deepEqual(page.script.stats(), { queued: 0, accepted: 99, dropped: 1 });
});

test('a batch that is too large is halved, and the next ones are whole again', async () => {
  const page = await load({ answer: (items) => (items.length > 30 ? { status: 413, body: {} } : answers.accept(items)) });
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 50; n++) config.onUIEvent(screen(n));
  await page.pass(1000);
  assert.deepEqual(page.requests.map(({ items }) => items.length), [50, 25, 25]);
  page.answer = answers.accept;
  for (let n = 50; n < 100; n++) config.onUIEvent(screen(n));
  await page.pass(1000);
  assert.equal(page.requests.at(-1).items.length, 50);
});

test('an expired session is renewed once, and the same items go with the new one', async () => {
  const renewed = token('u-1', { exp: 2 });
  const good = (items, { headers }) =>
    headers.Authorization === `Bearer ${renewed}` ? answers.accept(items) : { status: 401, body: {} };
  const page = await load({ answer: good });
  let asked = 0;
  const config = page.script.wrap({}, options({ onSessionExpired: async () => (asked++, renewed) }));
  config.onClose();
  await page.pass(1000);
  assert.equal(asked, 1);
  assert.equal(page.requests.length, 2);
  assert.deepEqual(page.requests[0].items, page.requests[1].items);
  // A config rendered again with the old session does not bring it back.
  page.script.wrap({}, options()).onAccountCreated({ accountId: 'a' });
  await page.pass(1000);
  assert.equal(page.requests.length, 3);
  assert.equal(page.script.stats().accepted, 2);
});

test('a page that lives through many sessions renews each', async () => {
  let good = 0;
  const number = (headers) => JSON.parse(Buffer.from(headers.Authorization.split('.')[1], 'base64url')).n ?? 0;
  const page = await load({
    answer: (items, { headers }) => (number(headers) === good ? answers.accept(items) : { status: 401, body: {} }),
  });
  const config = page.script.wrap({}, options({ onSessionExpired: () => token('u-1', { n: good }) }));
  for (let n = 1; n <= 3; n++) {
    good = n;
    config.onUIEvent(screen(n));
    await page.pass(1000);
    assert.equal(page.script.stats().accepted, n);
  }
});

test('a 401 that was on its way when a new session came is not held against the new one', async () => {
  let refuse;
  const page = await load({ answer: () => new Promise((resolve) => (refuse = () => resolve({ status: 401, body: {} }))) });
  page.script.wrap({}, options()).onClose();
  await page.pass(1000);
  page.script.session(token('u-1', { exp: 2 }));
  page.answer = answers.accept;
  refuse();
  await page.pass(1000);
  assert.equal(page.script.stats().accepted, 1);
});

test('without a new session delivery waits for session(), and only for one of the same user', async () => {
  const renewed = token('u-1', { exp: 2 });
  const good = (items, { headers }) =>
    headers.Authorization === `Bearer ${renewed}` ? answers.accept(items) : { status: 401, body: {} };
  for (const onSessionExpired of [undefined, () => undefined, () => token('u-2'), () => token('u-1')]) {
    const page = await load({ answer: good });
    const config = page.script.wrap({}, options({ onSessionExpired }));
    config.onClose();
    await page.pass(100000);
    config.onUIEvent(screen(1));
    await page.pass(100000);
    page.script.session(token('u-2'));
    page.script.session('nonsense');
    page.script.session(undefined);
    await page.pass(100000);
    assert.equal(page.requests.length, 1, 'a refused session is not used again');
    page.script.session(renewed);
    await page.pass(1000);
    assert.deepEqual(page.requests[1].names, ['onClose', 'onUIEvent']);
    assert.equal(page.script.stats().queued, 0);
  }
});

test('sessions that are refused again and again are asked for ever more rarely', async () => {
  const page = await load({ answer: answers.status(401) });
  let asked = 0;
  const config = page.script.wrap({}, options({ onSessionExpired: () => token('u-1', { asked: ++asked }) }));
  for (let n = 0; n < 100; n++) {
    config.onUIEvent(screen(n));
    await page.pass(10000);
  }
  // In a thousand seconds: at first within seconds, then once in half a minute to a minute.
  assert.ok(asked > 10 && asked < 45, String(asked));
  assert.equal(page.requests.length, asked + 1);
});

test('a renewal that fails is tried again later', async () => {
  const renewed = token('u-1', { exp: 2 });
  const page = await load({
    answer: (items, { headers }) =>
      headers.Authorization === `Bearer ${renewed}` ? answers.accept(items) : { status: 401, body: {} },
  });
  let asked = 0;
  const onSessionExpired = () => {
    if (++asked < 3) throw new Error('offline');
    return renewed;
  };
  page.script.wrap({}, options({ onSessionExpired })).onClose();
  await page.pass(20000);
  assert.equal(asked, 3);
  assert.equal(page.script.stats().accepted, 1);
});

test('a renewal that never comes back does not keep session() from working', async () => {
  const page = await load({ answer: answers.status(401) });
  page.script.wrap({}, options({ onSessionExpired: () => new Promise(() => {}) })).onClose();
  await page.pass(1000);
  page.answer = answers.accept;
  page.script.session(token('u-1', { exp: 2 }));
  await page.settle();
  assert.equal(page.script.stats().accepted, 1);
});

test('what waited is sent after a reload: same ids, same bytes, in order, and then forgotten', async () => {
  const before = await load({ answer: answers.cut });
  const config = before.script.wrap({}, options());
  config.onAccountCreated({ accountId: 'a', userId: 'u-1' });
  config.onUIEvent(JSON.parse('{"b":1,"__proto__":{"polluted":1},"a":"\\ud83d"}'));
  config.onClose();
  await before.pass(1000);
  assert.equal(before.stored.size, 3);
  for (const [key, value] of before.stored) assert.doesNotMatch(key + value, /signature|Bearer/, 'no session in storage');

  const after = await load({ stored: before.stored, now: 1e12 - 5000 });
  const again = after.script.wrap({}, options({ session: token('u-1', { exp: 3 }) }));
  again.onAccountConnected({ accountId: 'a', userId: 'u-1' });
  await after.pass(1000);
  const bytes = ({ init }) => init.body.slice('{"callbacks":['.length, -2);
  assert.equal(bytes(after.requests[0]), bytes(before.requests[0]));
  assert.deepEqual(after.requests.flatMap(({ names }) => names).slice(-1), ['onAccountConnected']);
  const times = after.sent().map(({ at }) => at);
  assert.deepEqual(times, [...times].sort(), 'times increase even if the clock was put back');
  assert.equal(after.stored.size, 0);
  assert.equal({}.polluted, undefined);
});

test('a queue of another user or another endpoint is never sent', async () => {
  const before = await load({ answer: answers.cut });
  before.script.wrap({}, options()).onClose({ reason: 'first' });
  await before.pass(1000);
  const after = await load({ stored: before.stored });
  after.script.wrap({}, options({ session: token('u-2') })).onClose({ reason: 'second' });
  after.script.wrap({}, options({ session: token('u-10') })).onClose({ reason: 'third' });
  after.script.wrap({}, options({ url: `${URL_}2` })).onClose({ reason: 'fourth' });
  after.fire('pagehide');
  await after.pass(100000);
  assert.deepEqual(after.sent().map(({ data }) => data.reason).sort(), ['fourth', 'second', 'third']);
  assert.equal(after.stored.size, 1, 'it waits for its own user');
  after.script.wrap({}, options());
  await after.pass(1000);
  assert.equal(after.sent().at(-1).data.reason, 'first');
});

test('a token that cannot be read shares its queue with no other', async () => {
  const page = await load({ answer: answers.cut });
  page.script.wrap({}, options({ session: 'one' })).onClose();
  await page.pass(1000);
  page.answer = answers.accept;
  page.script.wrap({}, options({ session: 'two' }));
  page.script.session('two');
  await page.pass(100000);
  for (const { init } of page.requests) assert.equal(init.headers.Authorization, 'Bearer one');
});

test('it works without storage, with a full one, and with rubbish in it', async () => {
  const refuse = () => {
    throw new Error('no');
  };
  const rubbish = new Map([['other', 'x'], [`wink-events${JSON.stringify([URL_, 'u-1'])}1`, '{']]);
  const full = { ...storageOn(new Map()), setItem: refuse };
  for (const storage of [null, refuse, full, storageOn(rubbish)]) {
    const page = await load({ storage });
    page.script.wrap({}, options()).onClose();
    await page.pass(1000);
    assert.equal(page.script.stats().accepted, 1);
  }
  assert.equal(rubbish.get('other'), 'x');
});

test('ids are still distinct where the page has no crypto', async () => {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
  Object.defineProperty(globalThis, 'crypto', { value: undefined, configurable: true });
  try {
    const page = await load();
    const config = page.script.wrap({}, options());
    for (let n = 0; n < 50; n++) config.onUIEvent(screen(n));
    await page.pass(1000);
    assert.equal(new Set(page.sent().map(({ id }) => id)).size, 50);
  } finally {
    Object.defineProperty(globalThis, 'crypto', descriptor);
  }
});

test('the queue is bounded: 10,000 UI events leave the newest of them, and every claim', async () => {
  const page = await load({ answer: answers.cut });
  const config = page.script.wrap({}, options());
  config.onAccountCreated({ accountId: 'a' });
  for (let n = 0; n < 10000; n++) config.onUIEvent(screen(n));
  config.onAccountConnected({ accountId: 'a' });
  assert.deepEqual(page.script.stats(), { queued: 200, accepted: 0, dropped: 9802 });
  assert.equal(page.stored.size, 200);
  page.answer = answers.accept;
  await page.pass(5000);
  const names = page.sent().map(({ name }) => name);
  assert.equal(names.filter((name) => name !== 'onUIEvent').length, 2);
  assert.equal(page.sent().at(-2).data.eventTime, '9999');
});

test('what is under way is not pushed out of a full queue', async () => {
  let accept;
  const page = await load({ answer: (items) => new Promise((resolve) => (accept = () => resolve(answers.accept(items)))) });
  const config = page.script.wrap({}, options());
  config.onUIEvent(screen('first'));
  await page.pass(1000);
  for (let n = 0; n < 300; n++) config.onUIEvent(screen(n));
  assert.deepEqual(page.script.stats(), { queued: 200, accepted: 0, dropped: 101 });
  page.answer = answers.accept;
  accept();
  await page.pass(1000);
  assert.deepEqual(page.script.stats(), { queued: 0, accepted: 200, dropped: 101 });
});

test('the queue is bounded in bytes, too', async () => {
  const page = await load({ answer: answers.cut });
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 40; n++) config.onUploadsCreated({ uploads: n + 'x'.repeat(16000), userId: 'u-1' });
  const size = [...page.stored.values()].reduce((sum, text) => sum + text.length, 0);
  assert.ok(size <= 256 * 1024 && size > 240 * 1024, `${size}`);
  assert.equal(page.script.stats().queued + page.script.stats().dropped, 40);
});

test('a page that goes sends at once and with keepalive, claims first, within what the browser allows', async () => {
  const page = await load({ answer: answers.hang });
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 10; n++) config.onUIEvent(screen(n, { pad: 'x'.repeat(10000) }));
  config.onAccountConnected({ accountId: 'a' });
  page.fire('pagehide');
  page.document.visibilityState = 'hidden';
  page.fire('visibilitychange');
  await page.settle();
  assert.equal(page.requests[0].names[0], 'onAccountConnected');
  assert.ok(page.requests.every(({ init }) => init.keepalive));
  const under_way = page.requests.reduce((sum, { init }) => sum + Buffer.byteLength(init.body), 0);
  assert.ok(under_way < 64 * 1024 && under_way > 50000, `${under_way}`);
  assert.equal(new Set(page.sent().map(({ id }) => id)).size, page.sent().length, 'nothing twice');
  // Should the page come back, the rest goes then.
  page.answer = answers.accept;
  page.document.visibilityState = 'visible';
  page.fire('pageshow');
  await page.pass(40000);
  assert.equal(page.script.stats().queued, 0);
});

test('a page that was hidden and lives on sends the rest without being asked', async () => {
  const page = await load();
  const config = page.script.wrap({}, options());
  for (let n = 0; n < 10; n++) config.onUIEvent(screen(n, { pad: 'x'.repeat(10000) }));
  page.document.visibilityState = 'hidden';
  page.fire('visibilitychange');
  await page.settle();
  assert.equal(page.script.stats().accepted, 5);
  await page.pass(10);
  assert.equal(page.script.stats().accepted, 10);
});

test('a page from the back-forward cache does not wait for answers that never come', async () => {
  const page = await load({ answer: answers.hang });
  page.script.wrap({}, options()).onClose();
  await page.pass(300);
  page.document.visibilityState = 'hidden';
  page.fire('pagehide', { persisted: true });
  page.answer = answers.accept;
  page.fire('pageshow', { persisted: true });
  await page.settle();
  assert.equal(page.script.stats().accepted, 1);
  assert.equal(new Set(page.sent().map(({ id }) => id)).size, 1);
});

test('an old answer that asks for patience does not hold up what comes after a newer one', async () => {
  for (const late of [100, 2000]) {
    let refuse;
    const page = await load({ answer: () => new Promise((resolve) => (refuse = () => resolve(answers.unavailable(600)()))) });
    const config = page.script.wrap({}, options());
    config.onClose();
    page.fire('pagehide', { persisted: true });
    page.answer = async (items) => (late === 100 && refuse(), await page.settle(), answers.accept(items));
    page.fire('pageshow', { persisted: true });
    await page.settle();
    await page.pass(late);
    refuse();
    await page.settle();
    config.onAccountCreated({ accountId: 'a' });
    await page.pass(1000);
    assert.deepEqual(page.script.stats(), { queued: 0, accepted: 2, dropped: 0 });
  }
});

test('what is under way without keepalive is sent again by a page that goes', async () => {
  const page = await load({ answer: answers.cut });
  page.script.wrap({}, options()).onClose();
  await page.pass(300);
  page.answer = answers.hang;
  await page.pass(2000);
  assert.deepEqual(page.requests.map(({ init }) => init.keepalive), [true, false]);
  page.fire('pagehide');
  await page.settle();
  assert.deepEqual(page.requests.map(({ init }) => init.keepalive), [true, false, true]);
  assert.deepEqual(page.requests[2].items, page.requests[1].items);
});

test('a page that goes does not knock with a refused session', async () => {
  const page = await load({ answer: answers.status(401) });
  page.script.wrap({}, options()).onClose();
  await page.pass(1000);
  page.fire('pagehide');
  await page.pass(1000);
  assert.equal(page.requests.length, 1);
});

/** What arrives as `data` when the widget passes `args` to `name`. */
async function delivered(name, ...args) {
  const page = await load();
  page.script.wrap({}, options())[name](...args);
  await page.pass(1000);
  const [{ init, items }] = page.requests;
  assert.ok(Buffer.byteLength(JSON.stringify(items[0].data ?? null)) <= 16 * 1024);
  assert.doesNotMatch(init.body, /(?<!\\)(\\\\)*\\ud[89a-f]/, 'no half of a surrogate pair');
  assert.equal({}.polluted, undefined);
  return items[0].data;
}

test('strings of JSON and positional arguments, as native bridges pass them, become data', async () => {
  const account = '{"providerId":"upwork"}';
  assert.deepEqual(await delivered('onUIEvent', JSON.stringify(screen(1, { account }))), screen(1, { account }));
  assert.deepEqual(await delivered('onUIEvent', 'LoginPageOpened', '1', 'SANDBOX', 'u-1', account, null), {
    eventName: 'LoginPageOpened',
    eventTime: '1',
    mode: 'SANDBOX',
    userId: 'u-1',
    account,
    archive: null,
  });
  assert.deepEqual(await delivered('onAccountError', 'a', 'u-1', 'upwork', 'INVALID_AUTH'), {
    accountId: 'a',
    userId: 'u-1',
    providerId: 'upwork',
    errorCode: 'INVALID_AUTH',
  });
  assert.deepEqual(await delivered('onUploadsCreated', '[{"fileType":"SSS"}]', 'u-1'), {
    uploads: '[{"fileType":"SSS"}]',
    userId: 'u-1',
  });
  assert.deepEqual(await delivered('onClose', 'exit'), { reason: 'exit' });
  assert.deepEqual(await delivered('onClose', 'true'), { reason: 'true' });
});

test('no data stays no data, and a link token is not data', async () => {
  assert.equal(await delivered('onClose'), undefined);
  assert.equal(await delivered('onClose', null), undefined);
  assert.equal(await delivered('onClose', () => {}), undefined);
  assert.equal(await delivered('onTokenExpired', 'the link token'), undefined);
  assert.equal(await delivered('onTokenExpired', { token: 'the link token' }), undefined);
});

test('data that cannot be serialised whole keeps what can', async () => {
  const circular = { accountId: 'a', big: 10n, list: [1, { two: 2 }], when: new Date(0) };
  circular.self = circular;
  circular.list.push(circular);
  Object.defineProperty(circular, 'broken', { enumerable: true, get: () => assert.fail('read') });
  assert.deepEqual(await delivered('onAccountCreated', circular), {
    trimmed: true,
    accountId: 'a',
    when: '1970-01-01T00:00:00.000Z',
    list: [1, { two: 2 }],
  });
  let deep = {};
  for (let n = 0; n < 10000; n++) deep = { deep, n };
  const cut = await delivered('onAccountCreated', deep);
  assert.equal(cut.trimmed, true);
  assert.ok(JSON.stringify(cut).split('{').length < 10, 'readers of JSON have limits of depth');
  const hostile = new Proxy({}, { ownKeys: () => assert.fail('no'), get: () => assert.fail('no') });
  assert.equal(await delivered('onAccountCreated', hostile), undefined);
});

test('data that is too large is trimmed to 16 KiB, and keeps its ids', async () => {
  const uploads = Array.from({ length: 5000 }, (_, n) => ({ id: n, name: '日本'.repeat(400) }));
  const data = await delivered('onUploadsCreated', { uploads, note: 'x'.repeat(20000), userId: 'u-1' });
  assert.equal(data.userId, 'u-1');
  assert.equal(data.note.length, 512);
  assert.ok(data.uploads.length > 4);
  assert.equal((await delivered('onUploadsCreated', { uploads: '日'.repeat(9000), userId: 'u-1' })).trimmed, true, 'bytes, not characters');
  const text = await delivered('onUIEvent', screen(1, { archive: JSON.stringify({ fileType: 'SSS', pages: 'x'.repeat(20000) }) }));
  assert.equal(text.archive.fileType, 'SSS', 'JSON in a string is trimmed as what it is');
  const wide = Object.fromEntries(Array.from({ length: 100000 }, (_, n) => [`key${n}`, {}]));
  assert.equal((await delivered('onUploadsCreated', { ...wide, userId: 'u-1' })).userId, 'u-1');
});

test('keys that pollute prototypes, halves of surrogate pairs and scripts are just text', async () => {
  const text = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"x":"<script>\\u2028</script>"}';
  const data = await delivered('onAccountCreated', JSON.parse(text));
  assert.equal(JSON.stringify(data), JSON.stringify(JSON.parse(text)));
  const large = await delivered('onAccountCreated', { ...JSON.parse(text), pad: 'x'.repeat(20000) });
  assert.deepEqual(large.constructor, { prototype: { polluted: 1 } });
  assert.deepEqual(await delivered('onAccountCreated', { a: '\ud83d', b: '\\ud83d', c: '😀' }), { a: '\ufffd', b: '\\ud83d', c: '😀' });
  const page = await load();
  const config = page.script.wrap(JSON.parse('{"__proto__":{"polluted":1},"userToken":"t"}'), options());
  assert.equal(config.userToken, 't');
  assert.equal(Object.getPrototypeOf(config), Object.prototype);
  assert.equal({}.polluted, undefined);
});

test('flush says whether nothing waits any more', async () => {
  const page = await load();
  const config = page.script.wrap({}, options());
  assert.equal(await page.script.flush(), true);
  config.onClose();
  const done = page.script.flush(1000);
  await page.settle();
  assert.equal(await done, true);
  page.answer = answers.cut;
  config.onAccountCreated({ accountId: 'a' });
  const late = page.script.flush(1000);
  await page.pass(1000);
  assert.equal(await late, false);
});

test('on a server, where there is no page, importing and wrapping do nothing', async () => {
  const page = await load();
  for (const name of ['document', 'addEventListener', 'sessionStorage']) delete globalThis[name];
  const config = page.script.wrap({ userToken: 't' }, options());
  assert.equal(config.userToken, 't');
  await page.pass(1000);
  assert.equal(page.requests.length, 0);
});
