/** Pages end: early, in the middle, and sometimes they come back. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fire, openCustomer, putCustomer, screens, start, stats, storesNoToken, watch, WALK } from './harness/customer.mjs';
import { fault } from './harness/endpoint.mjs';
import { eventually, World } from './harness/world.mjs';

const userOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sub;

let world, context;
before(async () => (world = await World.start()));
after(() => world.close());
beforeEach(async () => {
  world.endpoint.reset();
  context = await world.context();
});
afterEach(async () => {
  await context.close();
  assert.deepEqual(world.receiver.oddities, [], 'an id came back with other words');
});

test('the tab is closed at once, before anything was ever sent', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  // Another tab keeps the browser process of the site alive, as it is in life.
  await openCustomer(world, context);
  await page.evaluate((link) => (start(link).open(), modal.walk()), world.link(user));
  assert.equal(world.endpoint.log.length, 0, 'nothing was sent yet');
  await page.close();
  await world.arrived(user, WALK);
});

test('the page navigates away in the callback itself', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  const elsewhere = world.put('/elsewhere.html', '<!doctype html><title>Elsewhere</title>');
  await page.evaluate(
    ([link, url]) => {
      window.callbacks = { onAccountConnected: () => (location.href = url) };
      start(link);
      modal.fire('onAccountCreated', { accountId: 'a-1', userId: link.userId, providerId: 'upwork' });
      modal.fire('onAccountConnected', { accountId: 'a-1', userId: link.userId, providerId: 'upwork' });
    },
    [world.link(user), elsewhere],
  );
  await page.waitForURL(elsewhere);
  await world.arrived(user, ['onAccountCreated', 'onAccountConnected']);
});

test('the tab is closed while a request is under way', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  await openCustomer(world, context);
  const held = fault.hold();
  world.endpoint.next(held);
  await start(page, world.link(user));
  await eventually(() => world.endpoint.log.length === 1);
  await fire(page, 'onAccountConnected', { accountId: 'a-1', userId: user, providerId: 'upwork' });
  await page.close();
  await world.arrived(user, ['onAccountConnected']);
  held.release();
  await world.arrived(user, ['onUIEvent', 'onAccountConnected']);
});

test('a reload in the middle of the queue, without a network: the next page sends it, same ids', async () => {
  const user = world.user();
  const link = world.link(user);
  const page = await openCustomer(world, context);
  world.endpoint.always(fault.cut());
  await start(page, link);
  await page.evaluate(() => modal.walk());
  await eventually(() => world.endpoint.log.length >= 1);
  await page.reload();
  const stored = await storesNoToken(page, link);
  assert.equal(Object.keys(JSON.parse(stored)).length, 20);
  const before = new Set(world.endpoint.ids());
  world.endpoint.always(undefined);
  await start(page, world.link(user));
  await world.arrived(user, [...WALK, 'onUIEvent']);
  const ids = new Set(world.endpoint.ids());
  for (const id of before) assert.ok(ids.has(id));
  assert.equal(ids.size, 21);
  await eventually(async () => (await page.evaluate(() => sessionStorage.length)) === 0);
  assert.deepEqual(page.errors, []);
});

test('the endpoint took it, the answer was lost, and the page was reloaded: once in the timeline', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  world.endpoint.always(fault.lost());
  await start(page, world.link(user));
  await world.arrived(user, ['onUIEvent']);
  await page.reload();
  world.endpoint.always(undefined);
  await page.evaluate((link) => void start(link), world.link(user));
  await eventually(async () => (await stats(page)).accepted === 1);
  await world.arrived(user, ['onUIEvent']);
  assert.equal(new Set(world.endpoint.ids()).size, 1);
});

test('a queue of another user is not sent, and waits for its own', async () => {
  const [first, second] = [world.user(), world.user()];
  const page = await openCustomer(world, context);
  world.endpoint.always(fault.cut());
  await start(page, world.link(first));
  await eventually(() => world.endpoint.log.length >= 1);
  await page.reload();
  world.endpoint.always(undefined);
  await start(page, world.link(second));
  await page.evaluate((link) => winkEvents.session(link.session.token), world.link(first));
  await world.arrived(second, ['onUIEvent']);
  await page.reload();
  await page.evaluate((link) => void start(link), world.link(first));
  await world.arrived(first, ['onUIEvent']);
  await world.arrived(second, ['onUIEvent']);
  const users = new Map();
  for (const { token, items } of world.endpoint.log) {
    for (const { id } of items) users.set(id, (users.get(id) ?? new Set()).add(userOf(token)));
  }
  assert.deepEqual([...users.values()].map((of) => [...of]), [[first], [second]], 'each with its own session only');
});

test('more waits than a browser lets go: claims go first, the rest after a reload', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  await page.evaluate((link) => void start(link), world.link(user));
  await page.evaluate((owner) => {
    for (let n = 0; n < 12; n++) modal.fire('onUIEvent', { eventName: `S${n}`, userId: owner, pad: 'x'.repeat(10000) });
    modal.fire('onAccountConnected', { accountId: 'a-1', userId: owner, providerId: 'upwork' });
    location.reload();
  }, user);
  await eventually(() => world.endpoint.log.length >= 1);
  assert.equal(world.endpoint.log[0].items[0].name, 'onAccountConnected');
  assert.ok(world.endpoint.log[0].bytes < 64 * 1024);
  await page.waitForFunction(() => window.winkEvents && !window.modal);
  await page.evaluate((link) => void start(link), world.link(user));
  await world.arrived(user, [...Array(12).fill('onUIEvent'), 'onAccountConnected']);
});

test('a hidden page sends what waits without delay', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  await page.evaluate((link) => {
    start(link).open();
    Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  }, world.link(user));
  await world.arrived(user, ['onUIEvent']);
  await eventually(async () => (await stats(page)).queued === 0);
});

test('back and forward: a page from the cache goes on', async () => {
  // The driver switches the cache off; here it is needed.
  const browser = await World.launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  try {
    const cached = await world.context(browser);
    const page = watch(await cached.newPage());
    await page.goto(putCustomer(world));
    const user = world.user();
    world.endpoint.always(fault.status(503, { retryAfter: 600 }));
    await page.evaluate((link) => {
      window.restored = false;
      addEventListener('pageshow', ({ persisted }) => (window.restored = persisted));
      start(link).open();
    }, world.link(user));
    await eventually(async () => world.endpoint.log.length === 1 && (await stats(page)).queued === 1);
    await page.goto(world.put('/elsewhere.html', '<!doctype html><title>Elsewhere</title>'));
    await eventually(() => world.endpoint.log.length === 2);
    world.endpoint.reset();
    await page.evaluate(() => history.back());
    await page.waitForFunction(() => window.restored === true);
    // Ten minutes had been asked for: being shown again is a reason to try before.
    await world.arrived(user, ['onUIEvent']);
    await screens(page, 1);
    await world.arrived(user, ['onUIEvent', 'onUIEvent']);
    assert.deepEqual(page.errors, []);
  } finally {
    await browser.close();
  }
});
