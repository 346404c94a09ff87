/** Callbacks arrive, once each, whatever the network, the endpoint and the widget do. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fire, openCustomer, screens, SCREENS, start, stats, storesNoToken, WALK } from './harness/customer.mjs';
import { fault } from './harness/endpoint.mjs';
import { deployed, eventually, World } from './harness/world.mjs';

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

for (const build of ['classic', 'module']) {
  test(`the whole widget, with the ${build} build: every callback once`, async () => {
    const user = world.user();
    const page = await openCustomer(world, context, build);
    await start(page, world.link(user));
    await page.evaluate(() => modal.walk());
    const events = await world.arrived(user, WALK);
    if (!deployed) {
      assert.deepEqual(events.filter(({ type }) => type === 'onUIEvent').map(({ data }) => data.eventName).sort(), [...SCREENS].sort());
      const times = events.map(({ at }) => at);
      assert.equal(new Set(times).size, times.length, 'no two at the same time');
    }
    await eventually(async () => (await stats(page)).queued === 0);
    assert.deepEqual(await stats(page), { queued: 0, accepted: 20, dropped: 0 });
    assert.deepEqual(page.errors, []);
  });
}

test('the network is cut and restored', async () => {
  const user = world.user();
  const link = world.link(user);
  const page = await openCustomer(world, context);
  await context.setOffline(true);
  await start(page, link);
  await page.evaluate(() => modal.walk());
  await eventually(async () => (await page.evaluate(() => Object.keys(sessionStorage).length)) === 20);
  await storesNoToken(page, link);
  assert.equal(world.endpoint.log.length, 0);
  await context.setOffline(false);
  await world.arrived(user, WALK);
  await eventually(async () => (await page.evaluate(() => sessionStorage.length)) === 0);
  assert.deepEqual(page.errors, []);
});

test('connections break, before and after the endpoint has taken the batch', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  world.endpoint.next(fault.cut(), fault.lost(), fault.cut());
  await start(page, world.link(user));
  await fire(page, 'onAccountConnected', { accountId: 'a-1', userId: user, providerId: 'upwork' });
  await world.arrived(user, ['onUIEvent', 'onAccountConnected']);
  await eventually(async () => (await stats(page)).queued === 0);
  const ids = world.endpoint.ids();
  assert.ok(ids.length >= 8, 'it was sent again');
  assert.equal(new Set(ids).size, 2, 'under the same ids');
});

test('503 with Retry-After, then 429 without CORS, then 200', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  world.endpoint.next(fault.status(503, { retryAfter: 2 }), fault.status(429, { opaque: true }));
  await start(page, world.link(user));
  await world.arrived(user, ['onUIEvent']);
  const [first, second] = world.endpoint.log;
  assert.ok(second.at - first.at >= 2000, 'not before Retry-After');
  await eventually(async () => (await stats(page)).queued === 0);
});

test('the widget says everything twice, through two modals of one page', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  const link = world.link(user);
  await page.evaluate((given) => {
    const config = start(given).config;
    const again = new SmileLinkModal(winkEvents.wrap(config, { url: given.urls.callbacks, session: given.session.token }));
    for (const name of ['onAccountCreated', 'onAccountConnected', 'onClose']) {
      for (const modal of [window.modal, again, window.modal, again]) {
        modal.fire(name, { accountId: 'a-1', userId: given.userId, providerId: 'upwork' });
      }
    }
  }, link);
  await world.arrived(user, ['onAccountCreated', 'onAccountConnected', 'onClose']);
  await eventually(async () => (await stats(page)).queued === 0);
  await world.arrived(user, ['onAccountCreated', 'onAccountConnected', 'onClose']);
});

test('two tabs of one user, one of them opened with a copy of the storage', async () => {
  const user = world.user();
  const link = world.link(user);
  const one = await openCustomer(world, context);
  const two = await openCustomer(world, context);
  world.endpoint.always(fault.cut());
  await start(one, link);
  await start(two, link);
  await eventually(() => world.endpoint.log.length >= 2);
  const [copy] = await Promise.all([
    context.waitForEvent('page'),
    one.evaluate(() => void window.open(location.href)),
  ]);
  await copy.waitForFunction(() => window.winkEvents);
  assert.equal(await copy.evaluate(() => sessionStorage.length), 1, 'the browser copied it');
  world.endpoint.always(undefined);
  await start(copy, link);
  for (const page of [one, two, copy]) await fire(page, 'onAccountCreated', { accountId: 'a-1', userId: user, providerId: 'upwork' });
  for (const page of [one, two, copy]) await eventually(async () => (await stats(page)).queued === 0);
  // Three consent screens and three claims; the copied one was sent by two tabs under one id.
  await world.arrived(user, [...Array(3).fill('onUIEvent'), ...Array(3).fill('onAccountCreated')]);
});

test('an item that is refused does not hold up the others', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  await start(page, world.link(user));
  await fire(page, 'onAccountCreated', { accountId: 'a-1', userId: 'someone-else', providerId: 'upwork' });
  await fire(page, 'onClose', { reason: 'exit' });
  await world.arrived(user, ['onUIEvent', 'onClose']);
  await eventually(async () => (await stats(page)).dropped === 1);
  assert.equal((await stats(page)).queued, 0);
});

test("an analytics request has used up the browser's keepalive allowance", async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  const held = fault.hold();
  world.endpoint.next(held);
  const large = await page.evaluate((url) => {
    const beacon = fetch(url, { method: 'POST', body: 'x'.repeat(60000), keepalive: true }).catch(() => {});
    window.beacon = beacon;
    return fetch(url, { method: 'POST', body: 'x'.repeat(10000), keepalive: true }).then(() => false, () => true);
  }, world.endpoint.url);
  assert.ok(large, 'the browser refuses more');
  await start(page, world.link(user));
  await screens(page, 40, 'x'.repeat(200));
  await world.arrived(user, Array(41).fill('onUIEvent'));
  held.release();
});
