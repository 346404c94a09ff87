/** Sessions expire, are renewed, and are of one user. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fire, openCustomer, start, stats, storesNoToken, watch } from './harness/customer.mjs';
import { deployed, eventually, World } from './harness/world.mjs';

let world, context;
before(async () => (world = await World.start()));
after(() => world.close());
beforeEach(async () => {
  world.endpoint.reset();
  context = await world.context();
});
afterEach(() => context.close());

test('an expired session is renewed by the page, once, and nothing is lost', async () => {
  const user = world.user();
  const expired = world.link(user, -60);
  const page = await openCustomer(world, context);
  await page.evaluate(
    ([link, token]) => {
      window.asked = 0;
      start(link, { onSessionExpired: async () => (window.asked++, token) }).open();
    },
    [expired, world.session(user)],
  );
  await world.arrived(user, ['onUIEvent']);
  await fire(page, 'onClose', { reason: 'exit' });
  await world.arrived(user, ['onUIEvent', 'onClose']);
  assert.equal(await page.evaluate(() => window.asked), 1);
  assert.deepEqual(page.errors, []);
});

test('an expired session without a renewal waits for session(), over a reload if need be', async () => {
  const user = world.user();
  const expired = world.link(user, -60);
  const page = await openCustomer(world, context);
  await start(page, expired);
  await eventually(() => world.endpoint.log.length === 1);
  await fire(page, 'onClose', { reason: 'exit' });
  await storesNoToken(page, expired);
  await page.reload();
  await start(page, expired);
  await page.evaluate((token) => winkEvents.session(token), world.session(world.user()));
  assert.ok((await stats(page)).queued >= 2);
  await page.evaluate((token) => winkEvents.session(token), world.session(user));
  await world.arrived(user, ['onUIEvent', 'onUIEvent', 'onClose']);
  for (const { token } of world.endpoint.log) {
    assert.equal(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sub, user);
  }
});

test('a session that nobody signed delivers nothing, and harms nothing', async () => {
  const user = world.user();
  const link = world.link(user);
  link.session.token = link.session.token.replace(/[^.]*$/, 'bm9ib2R5');
  const page = await openCustomer(world, context);
  await start(page, link);
  await eventually(() => world.endpoint.log.length === 1);
  await fire(page, 'onClose', { reason: 'exit' });
  await page.evaluate(() => winkEvents.flush(500));
  assert.equal(world.endpoint.log.length, 1, 'it does not knock twice with it');
  assert.deepEqual(await world.timeline(user), []);
  assert.deepEqual(page.errors, []);
});

test('a page of an origin that is not allowed delivers nothing', async () => {
  const user = world.user();
  const page = watch(await context.newPage());
  await openCustomer(world, context);
  // The same site under another name is another origin.
  await page.goto(`${world.origin.replace('127.0.0.1', 'localhost')}/classic.html`);
  await page.waitForFunction(() => window.winkEvents);
  await start(page, world.link(user));
  assert.equal(await page.evaluate(() => winkEvents.flush(1000)), false);
  assert.equal((await stats(page)).accepted, 0);
  assert.deepEqual(await world.timeline(user), []);
  assert.deepEqual(page.errors, []);
});

test('a sandboxed frame has no origin and no storage: it delivers where "null" is allowed', { skip: deployed && 'the deployed one does not allow null' }, async () => {
  const user = world.user();
  await openCustomer(world, context);
  const page = watch(await context.newPage());
  await page.goto(world.put('/frame.html', '<!doctype html><iframe sandbox="allow-scripts" src="/classic.html"></iframe>'));
  const [, frame] = page.frames();
  await frame.waitForFunction(() => window.winkEvents);
  assert.equal(await frame.evaluate(() => origin), 'null');
  await start(frame, world.link(user));
  assert.equal(await frame.evaluate(() => winkEvents.flush(1000)), false, 'not allowed yet');
  world.origins.add('null');
  try {
    await world.arrived(user, ['onUIEvent']);
  } finally {
    world.origins.delete('null');
  }
  assert.deepEqual(page.errors, []);
});
