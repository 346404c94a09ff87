/** The guides: what a reader pastes is what runs here, with the names of this world's hosts in it. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { watch, WALK } from './harness/customer.mjs';
import { bundle, deployed, eventually, guide, World } from './harness/world.mjs';

/** Smile's quickstart page as its documentation describes it: widget, token, callbacks that log, open. */
const quickstart = (options) => `<!DOCTYPE html>
<html>
<head><meta charset="utf-8" /><title>Quickstart</title></head>
<body>
    <script src="https://web.smileapi.io/v2/smile.v2.js"></script>
    <!-- ADDED -->
    <script type="text/javascript">
        window.logged = [];
        const log = (...what) => logged.push(what[0]);
        const smileLinkModal = new SmileLinkModal({
            ${options}
            onAccountCreated: ({ accountId, userId, providerId }) => log('created', accountId, userId, providerId),
            onAccountConnected: ({ accountId, userId, providerId }) => log('connected', accountId, userId, providerId),
            onAccountRemoved: ({ accountId, userId, providerId }) => log('removed', accountId, userId, providerId),
            onTokenExpired: () => log('expired'),
            onClose: ({ reason }) => log('closed', reason),
            onAccountError: ({ accountId, userId, providerId, errorCode }) => log('error', errorCode),
            onUploadsCreated: ({ uploads, userId }) => log('uploaded', uploads),
            onUploadsRemoved: ({ uploads, userId }) => log('uploads removed', uploads),
            onUIEvent: ({ eventName, eventTime, mode, userId, account, archive }) => log(eventName)
        });
        smileLinkModal.open()
    </script>
</body>
</html>`;

let world, context;
before(async () => (world = await World.start()));
after(() => world.close());
beforeEach(async () => {
  world.endpoint.reset();
  context = await world.context();
});
afterEach(() => context.close());

/** A back end that links: the first session has expired, the refreshed one has not. */
function backEnd(user) {
  const type = { 'Content-Type': 'application/json' };
  world.put('/api/link', JSON.stringify(world.link(user, -60)), type);
  world.put('/api/link/refresh', JSON.stringify(world.link(user)), type);
}

async function open(path) {
  const page = watch(await context.newPage());
  await page.goto(world.origin + path);
  return page;
}

// All of a walk is there when the app is told to close. Of the deployed functions the queue has it then, and the table
// a moment later.
async function allArrived(user) {
  const timeline = async () => {
    const delivered = await world.timeline(user);
    assert.equal(delivered.length, 20, 'all of it had arrived when the app was told to close');
    return delivered;
  };
  return deployed ? eventually(timeline) : timeline();
}

test('plain page: the quickstart with two added lines', async () => {
  const user = world.user();
  const { userToken, session } = world.link(user);
  const added = guide('guides/plain-page.md', 'html', 0);
  assert.equal(added.trimEnd().split('\n').length, 2, 'two lines');
  const html = quickstart(`userToken: '${userToken}', templateId: 'wtpl-1',`);
  world.put('/quickstart.html', html.replace('<!-- ADDED -->', added.replace('<session>', session.token)));
  const page = await open('/quickstart.html');
  await page.evaluate(() => smileLinkModal.walk());
  await world.arrived(user, WALK);
  assert.equal((await page.evaluate(() => logged)).length, 20, "the page's own callbacks");
  assert.deepEqual(page.errors, []);
});

test('plain page: the quickstart works without the script, too', async () => {
  const user = world.user();
  const added = guide('guides/plain-page.md', 'html', 0).replace('wink-events.js', 'not-there.js');
  world.put('/quickstart.html', quickstart(`userToken: 'widget/${user}',`).replace('<!-- ADDED -->', added));
  const page = await open('/quickstart.html');
  await page.evaluate(() => smileLinkModal.walk());
  assert.equal((await page.evaluate(() => logged)).length, 20);
  assert.deepEqual(page.errors, []);
});

test('plain page: a page of your own, with integrity and a strict policy', async () => {
  const user = world.user();
  backEnd(user);
  const [, policy] = /^Content-Security-Policy: (.*)$/m.exec(guide('guides/plain-page.md', 'http'));
  world.put('/plain.html', guide('guides/plain-page.md', 'html', 1), { 'Content-Security-Policy': policy });
  world.put('/link.js', guide('guides/plain-page.md', 'js', 0));
  const page = await open('/plain.html');
  await page.click('#link');
  await page.waitForFunction(() => window.modals);
  await page.evaluate(() => modals[0].walk());
  await world.arrived(user, WALK);
  assert.deepEqual(page.errors, []);
});

test('plain page: as a module', async () => {
  const user = world.user();
  const link = world.link(user);
  const given = { url: link.urls.callbacks, session: link.session.token, userToken: link.userToken };
  const values = `<script>const { url, session, userToken } = ${JSON.stringify(given)};</script>`;
  const code = `<script type="module">${guide('guides/plain-page.md', 'js', 1)}</script>`;
  world.put('/module.html', `<!doctype html><script src="https://web.smileapi.io/v2/smile.v2.js"></script>${values}${code}`);
  const page = await open('/module.html');
  await world.arrived(user, ['onUIEvent']);
  assert.deepEqual(page.errors, []);
});

test('React: the button of the guide, in strict mode, with handlers that change', async () => {
  const user = world.user();
  backEnd(user);
  const files = { 'LinkButton.jsx': guide('guides/react.md', 'jsx', 0), 'App.jsx': guide('guides/react.md', 'jsx', 1) };
  world.put('/app.js', await bundle(files, 'App.jsx'));
  const vendor = guide('guides/react.md', 'html', 0);
  world.put('/react.html', `<!doctype html><title>React</title>${vendor}<div id="root"></div><script src="/app.js"></script>`);
  const page = await open('/react.html');
  await page.click('button');
  await page.waitForFunction(() => window.modals);
  await page.evaluate(() => modals[0].walk());
  await page.getByText('linked with upwork, closed').waitFor();
  await world.arrived(user, WALK);
  assert.equal(await page.evaluate(() => modals.length), 1);
  assert.deepEqual(page.errors, []);
});

/** Android's bridge: an object whose methods take strings and nothing else. */
async function androidBridge(page, link) {
  await page.addInitScript((given) => {
    window.crossed = [];
    const bridge = (name, answer) => (...args) => {
      for (const arg of args) if (arg !== undefined && arg !== null && typeof arg !== 'string') throw new TypeError(`${name}: not a string`);
      crossed.push([name, ...args]);
      return answer;
    };
    window.smileApp = {};
    for (const name of ['onAccountConnected', 'onUploadsCreated', 'onUIEvent', 'onClose', 'onSessionExpired']) smileApp[name] = bridge(name);
    smileApp.link = bridge('link', JSON.stringify(given));
  }, link);
}

test('Android: the page of the guide, a bridge of strings, and a session that the app renews', async () => {
  const user = world.user();
  world.put('/android.html', guide('guides/android.md', 'html', 0));
  const page = watch(await context.newPage());
  await androidBridge(page, world.link(user, -60));
  await page.goto(`${world.origin}/android.html`);
  await eventually(async () => (await page.evaluate(() => crossed.map(([name]) => name))).includes('onSessionExpired'));
  await page.evaluate((token) => winkEvents.session(token), world.session(user));
  await page.evaluate(() => modals[0].walk());
  await page.waitForFunction(() => crossed.some(([name]) => name === 'onClose'));
  const delivered = await allArrived(user);
  const crossed = await page.evaluate(() => window.crossed);
  assert.deepEqual(crossed.find(([name]) => name === 'onUploadsCreated')[1], JSON.stringify([{ fileType: 'SSS', archiveId: 'r-1' }]));
  assert.deepEqual(page.errors, []);
});

test('Android: without DOM storage, and with what a bridge passes on: strings, one a field', async () => {
  const user = world.user();
  world.put('/android.html', guide('guides/android.md', 'html', 0));
  const page = watch(await context.newPage());
  await page.addInitScript(() => Object.defineProperty(window, 'sessionStorage', { value: null }));
  await androidBridge(page, world.link(user));
  await page.goto(`${world.origin}/android.html`);
  const account = JSON.stringify({ providerId: 'upwork', accountId: 'a-1' });
  await page.evaluate(
    ([owner, text]) => {
      const { config } = modals[0];
      config.onUIEvent('MfaPageOpened', '2026-11-24T10:00:00Z', 'SANDBOX', owner, text, null);
      config.onUIEvent(JSON.stringify({ eventName: 'LoginPageOpened', eventTime: '2026-11-24T10:00:01Z', userId: owner, account: text }));
      config.onUploadsRemoved('[{"fileType":"SSS"}]', owner);
      config.onAccountError('a-1', owner, 'upwork', 'INVALID_AUTH');
    },
    [user, account],
  );
  const events = await world.arrived(user, ['onUIEvent', 'onUIEvent', 'onUIEvent', 'onUploadsRemoved', 'onAccountError']);
  if (!deployed) {
    const named = (name) => events.find(({ data }) => data.eventName === name).data;
    assert.equal(named('MfaPageOpened').account, account);
    assert.equal(named('LoginPageOpened').account, account);
    assert.equal(events.find(({ type }) => type === 'onAccountError').data.errorCode, 'INVALID_AUTH');
  }
});

test('iOS: the page of the guide, message handlers, and a reply that renews the session', async () => {
  const user = world.user();
  world.put('/ios.html', guide('guides/ios.md', 'html', 0));
  const page = watch(await context.newPage());
  await page.addInitScript(
    ([link, token]) => {
      window.smileLink = link;
      window.posted = [];
      const handler = (name, reply) => ({ postMessage: async (body) => (posted.push([name, structuredClone(body)]), reply) });
      const messageHandlers = {};
      for (const name of ['onAccountConnected', 'onClose']) messageHandlers[name] = handler(name);
      messageHandlers.smileSession = handler('smileSession', token);
      window.webkit = { messageHandlers };
    },
    [world.link(user, -60), world.session(user)],
  );
  await page.goto(`${world.origin}/ios.html`);
  await page.evaluate(() => modals[0].walk());
  await page.waitForFunction(() => posted.some(([name]) => name === 'onClose'));
  await allArrived(user);
  const posted = await page.evaluate(() => window.posted);
  assert.deepEqual(posted.filter(([name]) => name === 'smileSession').length, 1);
  assert.deepEqual(posted.find(([name]) => name === 'onClose')[1], { reason: 'exit' });
  assert.deepEqual(page.errors, []);
});
