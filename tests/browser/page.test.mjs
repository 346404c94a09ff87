/** The page does not notice: its own errors, its policies, its speed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fire, openCustomer, screens, start, stats, watch } from './harness/customer.mjs';
import { fault } from './harness/endpoint.mjs';
import { eventually, World } from './harness/world.mjs';

let world, context;
before(async () => (world = await World.start()));
after(() => world.close());
beforeEach(async () => {
  world.endpoint.reset();
  context = await world.context();
});
afterEach(() => context.close());

test("a callback of the customer's that throws, or rejects, throws and rejects as before", async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  const caught = await page.evaluate(async (link) => {
    window.callbacks = {
      onAccountError: () => {
        throw new Error('mine');
      },
      onClose: async () => Promise.reject(new Error('mine, later')),
    };
    start(link);
    const messages = [];
    try {
      modal.fire('onAccountError', { accountId: 'a-1', userId: link.userId, providerId: 'upwork', errorCode: 'INVALID_AUTH' });
    } catch ({ message }) {
      messages.push(message);
    }
    await modal.fire('onClose', { reason: 'exit' }).catch(({ message }) => messages.push(message));
    return messages;
  }, world.link(user));
  assert.deepEqual(caught, ['mine', 'mine, later']);
  await fire(page, 'onAccountError', { accountId: 'a-2', userId: user, providerId: 'upwork', errorCode: 'INVALID_AUTH' }).catch(() => {});
  await world.arrived(user, ['onAccountError', 'onClose', 'onAccountError']);
});

test('10,000 UI events: bounded, and the page goes on', async (t) => {
  const user = world.user();
  const page = await openCustomer(world, context);
  world.endpoint.always(fault.status(503, { retryAfter: 1 }));
  await start(page, world.link(user));
  await fire(page, 'onAccountConnected', { accountId: 'a-1', userId: user, providerId: 'upwork' });
  const took = await page.evaluate(() => {
    const from = performance.now();
    for (let n = 0; n < 10000; n++) modal.screen(`Screen${n}Opened`);
    return performance.now() - from;
  });
  t.diagnostic(`10,000 callbacks took ${took.toFixed(0)} ms of the page's time`);
  assert.deepEqual(await stats(page), { queued: 200, accepted: 0, dropped: 9802 });
  const size = await page.evaluate(() => Object.entries(sessionStorage).reduce((sum, [key, value]) => sum + key.length + value.length, 0));
  assert.ok(size < 300 * 1024, `${size} characters stored`);
  world.endpoint.always(undefined);
  await world.arrived(user, [...Array(199).fill('onUIEvent'), 'onAccountConnected']);
  assert.ok(took < 10000, `${took} ms`);
});

test('data that cannot be serialised, is huge or is hostile harms nothing', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  await start(page, world.link(user));
  await page.evaluate((owner) => {
    const circular = { accountId: 'a-1', userId: owner };
    circular.self = circular;
    modal.fire('onAccountCreated', circular);
    modal.fire('onAccountConnected', { accountId: 'a-1', userId: owner, node: document.body, view: window });
    modal.fire('onUploadsCreated', { uploads: Array(100000).fill({ name: '日本' }), userId: owner });
    modal.fire('onUploadsRemoved', { uploads: '<script>alert(1)</script>\ud83d', userId: owner });
    modal.fire('onAccountRemoved', JSON.parse(`{"__proto__":{"polluted":1},"userId":"${owner}"}`));
    modal.fire('onClose', new Event('click'));
  }, user);
  const types = ['onAccountCreated', 'onAccountConnected', 'onUploadsCreated', 'onUploadsRemoved', 'onAccountRemoved', 'onClose'];
  await world.arrived(user, ['onUIEvent', ...types]);
  assert.equal(await page.evaluate(() => ({}).polluted), undefined);
  assert.equal((await stats(page)).dropped, 0);
  assert.deepEqual(page.errors, []);
});

test('a strict Content-Security-Policy and integrity, with both builds', async () => {
  const policy = "default-src 'none'; script-src 'self' https://callbacks.example.com; connect-src https://callbacks.example.com";
  for (const [ext, attributes] of [['js', ''], ['mjs', 'type="module"']]) {
    const user = world.user();
    const code = await (await fetch(`${world.endpoint.base}/v1/wink-events.${ext}`)).text();
    const integrity = (text) => `sha384-${createHash('sha384').update(text).digest('base64')}`;
    const app = `
      window.violations = [];
      document.addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));
      const link = ${JSON.stringify(world.link(user))};
      ${ext === 'js' ? '' : `import * as winkEvents from '${world.endpoint.base}/v1/wink-events.mjs';`}
      new SmileLinkModal(winkEvents.wrap({ userToken: link.userToken }, { url: link.urls.callbacks, session: link.session.token })).open();`;
    world.put('/strict.js', app);
    const tag = (hash) => `<script ${attributes} src="https://callbacks.example.com/v1/wink-events.${ext}" integrity="${hash}" crossorigin="anonymous"></script>`;
    const html = (hash) => `<!doctype html><script src="/v2/smile.v2.js"></script>${tag(hash)}<script ${attributes} src="/strict.js"></script>`;
    const page = watch(await context.newPage());
    await page.goto(world.put('/strict.html', html(integrity(code)), { 'Content-Security-Policy': policy }));
    await world.arrived(user, ['onUIEvent']);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
    assert.deepEqual(page.errors, []);
    if (ext === 'js') {
      await page.goto(world.put('/strict.html', html(integrity(`${code} `)), { 'Content-Security-Policy': policy }));
      assert.match(page.errors.join(), /winkEvents is not defined/, 'another file does not run');
    }
  }
});

test('a policy that forbids the endpoint costs the callbacks, not the page', async () => {
  const user = world.user();
  await openCustomer(world, context);
  const { body } = world.pages.get('/classic.html');
  const page = watch(await context.newPage());
  await page.goto(world.put('/closed.html', body, { 'Content-Security-Policy': "connect-src 'none'" }));
  await start(page, world.link(user));
  assert.equal(await page.evaluate(() => winkEvents.flush(1000)), false);
  assert.deepEqual(page.errors, []);
  assert.equal(world.endpoint.log.length, 0);
});

test('an endpoint that hangs does not hold up the widget', async () => {
  const user = world.user();
  const page = await openCustomer(world, context);
  const held = fault.hold();
  world.endpoint.next(held);
  await start(page, world.link(user));
  await eventually(() => world.endpoint.log.length === 1);
  const slowest = await page.evaluate(() => {
    let most = 0;
    for (let n = 0; n < 100; n++) {
      const from = performance.now();
      modal.screen(`Screen${n}Opened`);
      most = Math.max(most, performance.now() - from);
    }
    return most;
  });
  assert.ok(slowest < 1000, `${slowest} ms`);
  assert.equal((await stats(page)).queued, 101);
  held.release();
  await world.arrived(user, Array(101).fill('onUIEvent'));
});

test('options that cannot work leave a working widget', async () => {
  const page = await openCustomer(world, context);
  const opened = await page.evaluate(() => {
    window.seen = [];
    const config = { userToken: 'widget/u', onUIEvent: ({ eventName }) => seen.push(eventName) };
    for (const options of [undefined, {}, { url: '/x' }, { session: 'x' }]) new SmileLinkModal(winkEvents.wrap(config, options)).open();
    return seen.length;
  });
  assert.equal(opened, 4);
  await screens(page, 0);
  assert.deepEqual(page.errors, []);
});

test('the script comes packed, cached and open to every page', async () => {
  for (const name of ['wink-events.js', 'wink-events.mjs']) {
    const url = `${world.endpoint.base}/v1/${name}`;
    const response = await fetch(url, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('Content-Type'), 'text/javascript; charset=utf-8');
    assert.equal(response.headers.get('Access-Control-Allow-Origin'), '*');
    assert.equal(response.headers.get('X-Content-Type-Options'), 'nosniff');
    assert.match(response.headers.get('Cache-Control'), /max-age=3600/);
    const again = await fetch(url, { headers: { 'Accept-Encoding': 'gzip', 'If-None-Match': response.headers.get('ETag') } });
    assert.equal(again.status, 304);
  }
});
