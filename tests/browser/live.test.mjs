/**
 * Live refresh in a browser, with the real script, before the whole deployed receiver: from Smile's webhook to the page.
 * Needs WINK_STACK (tests/browser/deployed sets it).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Cloud } from './harness/aws.mjs';
import { watch } from './harness/customer.mjs';
import { eventually, guide, World } from './harness/world.mjs';

const { WINK_STACK } = process.env;
const skip = WINK_STACK ? false : 'WINK_STACK is not set: see tests/browser/deployed';
const USERS = 20;
const TABS = 5;
const WINDOWS = 10;
const EVENTS = 250 * Number(process.env.SMILE_TEST_CASES ?? 1);
const DEADLINE = 120000;

let world, cloud, context;
before(async () => {
  if (skip) return;
  world = await World.start();
  cloud = new Cloud(WINK_STACK);
});
after(() => world?.close());
beforeEach(async () => {
  if (!skip) context = await world.context();
});
afterEach(() => context?.close());

const live = () => cloud.outputs.LiveUrl;
const some = (list) => list[Math.floor(Math.random() * list.length)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A page with the script; what it says on its console is kept, and its sockets can be reached. */
async function open() {
  const script = `<script src="${world.endpoint.base}/v1/wink-live.js" crossorigin="anonymous"></script>`;
  const sockets = `<script>
    window.sockets = [];
    WebSocket = class extends WebSocket { constructor(...given) { super(...given); sockets.push(this); } };
    window.tabs = [];
    /** A page that reads the state when it is told to, and notes what it is told. */
    window.follow = (user, url, token) => {
      const tab = { user, known: new Set(), refreshes: 0, told: 0, reads: 0 };
      tab.stop = winkEvents.onChange(async (change) => {
        if (change.type !== 'refresh') {
          tab.told++;
          tab.known.add(change.id);
          return;
        }
        tab.refreshes++;
        tab.reads++;
        try {
          const known = await (await fetch('/known/' + user + '.json')).json();
          known.forEach((id) => tab.known.add(id));
        } finally {
          tab.reads--;
        }
      }, { url, session: async () => token });
      tabs.push(tab);
    };
  </script>`;
  const page = watch(await context.newPage());
  page.console = [];
  page.on('console', (message) => page.console.push(message.text()));
  // The site asks the read API, as a customer's back end would.
  await page.route('**/known/*.json', async (route) => {
    const user = /known\/(.*)\.json/.exec(route.request().url())[1];
    await route.fulfill({ json: await cloud.eventsOf(user) });
  });
  await page.goto(world.put('/live.html', `<!DOCTYPE html><meta charset="utf-8"><title>live</title>${sockets}${script}`));
  return page;
}

let sent = 0;
const event = (user, type = 'ACCOUNT_CONNECTED') => {
  const id = `et-live-${process.pid}-${sent++}`;
  return { id, version: 1, type, createdAt: new Date().toISOString().slice(0, 19) + 'Z', data: { userId: user, accountId: `a-${sent % 5}`, providers: ['sss_ph'] } };
};

test('a webhook reaches every tab of its user, and nobody else', { skip }, async () => {
  const [user, other] = [world.user(), world.user()];
  const pages = [await open(), await open(), await open()];
  for (const [at, whose] of [user, user, other].entries()) {
    await pages[at].evaluate(([id, url, token]) => {
      window.heard = [];
      window.stop = winkEvents.onChange((change) => heard.push(change), { url, session: token });
    }, [whose, live(), world.session(whose)]);
  }
  const heard = (page) => page.evaluate(() => heard);
  for (const page of pages) await eventually(async () => assert.deepEqual(await heard(page), [{ type: 'refresh' }]));
  const change = event(user);
  assert.equal(await cloud.webhook(change), 200);
  const told = { type: 'ACCOUNT_CONNECTED', id: change.id, entity: `ACCOUNT#${change.data.accountId}` };
  for (const page of pages.slice(0, 2)) await eventually(async () => assert.deepEqual((await heard(page))[1], told));

  // Who has stopped hears no more, and its connection is forgotten.
  await pages[0].evaluate(() => stop());
  await eventually(async () => assert.equal((await cloud.listeners(user)).length, 1));
  const later = event(user);
  assert.equal(await cloud.webhook(later), 200);
  await eventually(async () => assert.equal((await heard(pages[1])).length, 3));
  assert.equal((await heard(pages[0])).length, 2);
  assert.deepEqual(await heard(pages[2]), [{ type: 'refresh' }]);
  for (const page of pages) assert.deepEqual([page.errors, page.console], [[], []]);
});

test('without a session, a listed origin and the protocol there is no connection', { skip }, async () => {
  const page = await open();
  const user = world.user();
  const good = world.session(user);
  const outcome = (protocols, from = page) =>
    from.evaluate(
      ([url, given]) =>
        new Promise((resolve) => {
          const socket = given ? new WebSocket(url, given) : new WebSocket(url);
          socket.onopen = () => resolve(`open, ${socket.protocol}`);
          socket.onclose = () => resolve('refused');
        }),
      [live(), protocols],
    );
  const forged = good.replace(/\.[^.]+$/, `.${'A'.repeat(43)}`);
  for (const [what, protocols] of [
    ['nothing', undefined],
    ['no session', ['smile.v1']],
    ['no protocol', [`smile.session.${good}`]],
    ['another protocol', ['smile.v2', `smile.session.${good}`]],
    ['rubbish', ['smile.v1', 'smile.session.rubbish']],
    ['a forged one', ['smile.v1', `smile.session.${forged}`]],
    ['an expired one', ['smile.v1', `smile.session.${world.session(user, -1)}`]],
  ]) {
    assert.equal(await outcome(protocols), 'refused', what);
  }
  assert.equal(await outcome(['smile.v1', `smile.session.${good}`]), 'open, smile.v1');
  const elsewhere = watch(await context.newPage());
  await elsewhere.goto(`${world.endpoint.base}/v1/wink-live.js`);
  assert.equal(await outcome(['smile.v1', `smile.session.${good}`], elsewhere), 'refused', 'another origin');
});

test('a session that is refused is asked for anew, and no token is said anywhere', { skip }, async () => {
  const page = await open();
  const user = world.user();
  const tokens = [world.session(user, -1), world.session(user)];
  const urls = [];
  page.on('websocket', (socket) => urls.push(socket.url()));
  await page.evaluate(([url, given]) => {
    window.heard = [];
    window.asked = 0;
    winkEvents.onChange((change) => heard.push(change), { url, session: async () => given[Math.min(asked++, 1)] });
  }, [live(), tokens]);
  await eventually(async () => assert.deepEqual(await page.evaluate(() => [asked, heard]), [2, [{ type: 'refresh' }]]));
  assert.deepEqual(page.errors, []);
  const said = [...page.console, ...urls].join('\n');
  for (const token of tokens) for (const part of token.split('.').slice(1)) assert.ok(!said.includes(part), said);
});

test('the plain page of the guide shows the state anew when something has changed', { skip }, async () => {
  const user = world.user();
  const refreshed = { ...world.link(user), urls: { ...world.link(user).urls, live: live() } };
  world.put('/api/link/refresh', JSON.stringify(refreshed), { 'Content-Type': 'application/json' });
  const link = guide('guides/plain-page.md', 'js', 0).split('async function open')[0];
  const tag = guide('guides/plain-page.md', 'html', 2);
  world.put('/follow.js', `${link}\n${guide('guides/plain-page.md', 'js', 2)}\nwindow.shown = [];\nfollow((state) => shown.push(state)).then((stop) => (window.stop = stop));`);
  const page = watch(await context.newPage());
  await page.route('**/api/state', async (route) => route.fulfill({ json: await cloud.eventsOf(user) }));
  await page.goto(world.put('/follow.html', `<!DOCTYPE html><meta charset="utf-8"><title>follow</title>${tag}<script src="/follow.js"></script>`));
  await eventually(async () => assert.deepEqual(await page.evaluate(() => shown), [[]]));
  const change = event(user);
  assert.equal(await cloud.webhook(change), 200);
  await eventually(async () => assert.deepEqual((await page.evaluate(() => shown)).at(-1), [change.id]));
  assert.deepEqual(page.errors, []);
});

test('a hundred pages, hundreds of events, and connections that break: who is connected knows of all of its user, and of nobody else', { skip, timeout: 600000 }, async (t) => {
  const users = Array.from({ length: USERS }, () => world.user());
  const windows = [];
  for (let n = 0; n < WINDOWS; n++) windows.push(await open());
  for (let n = 0; n < USERS * TABS; n++) {
    const user = users[n % USERS];
    await windows[n % WINDOWS].evaluate((given) => follow(...given), [user, live(), world.session(user)]);
  }
  const tabs = async () => (await Promise.all(windows.map((page) => page.evaluate(() => tabs.map((tab) => ({ ...tab, known: [...tab.known] })))))).flat();
  const began = Date.now();
  await eventually(async () => assert.ok((await tabs()).every(({ refreshes }) => refreshes)), DEADLINE);
  const connected = Date.now();

  let storming = true;
  let ended = 0;
  let closed = 0;
  /** From outside by the gateway, from inside by the page's own end of it. */
  const storm = async () => {
    while (storming) {
      await pause(400);
      const connection = some(await cloud.listeners(some(users)));
      if (connection && (await cloud.end(connection))) ended++;
      closed += await some(windows).evaluate(() => {
        const open = sockets.filter(({ readyState }) => readyState === 1);
        const one = open[Math.floor(Math.random() * open.length)];
        if (one) one.close();
        return one ? 1 : 0;
      });
    }
  };
  const thunder = storm();
  const ids = new Map(users.map((user) => [user, []]));
  let left = EVENTS;
  const smile = async () => {
    while (left-- > 0) {
      const change = event(some(users));
      ids.get(change.data.userId).push(change.id);
      await eventually(async () => assert.equal(await cloud.webhook(change), 200));
    }
  };
  await Promise.all([smile(), smile(), smile()]);
  const told = Date.now();
  // What was sent is stored: it is what the table says that is held against the pages.
  const expected = new Map();
  for (const user of users) {
    await eventually(async () => {
      expected.set(user, (await cloud.eventsOf(user)).sort());
      assert.deepEqual(expected.get(user), ids.get(user).sort());
    }, DEADLINE);
  }
  storming = false;
  await thunder;

  // No longer than it takes to come back, and to be told.
  await eventually(async () => {
    for (const tab of await tabs()) assert.deepEqual(tab.known.sort(), expected.get(tab.user), `a page of ${tab.user}`);
    assert.ok((await tabs()).every(({ reads }) => reads === 0));
  }, DEADLINE);
  const all = await tabs();
  const sum = (what) => all.reduce((total, tab) => total + tab[what], 0);
  t.diagnostic(
    `${all.length} pages connected in ${connected - began} ms, ${EVENTS} events sent in ${told - connected} ms, known everywhere ${Date.now() - told} ms later; ` +
      `${ended} connections ended, ${closed} closed; ${sum('refreshes')} refreshes, ${sum('told')} changes told`,
  );
  assert.equal(all.length, USERS * TABS);
  assert.ok(ended > 5 && closed > 5, 'it was a storm');
  assert.ok(sum('refreshes') > all.length + 5, 'pages came back');
  assert.ok(sum('told') > EVENTS, 'pages were told, and did not only read');
  for (const page of windows) assert.deepEqual([page.errors, page.console], [[], []]);
});
