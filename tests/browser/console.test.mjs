/**
 * The console of `smile dev` before the whole deployed receiver: what an operator looks for, sees and does. Needs
 * WINK_STACK, the local cloud's file (tests/browser/deployed sets it).
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { isShown, tokens } from '../../infra/cli/src/console/page/mask.js';
import { Cloud } from './harness/cloud.mjs';
import { eventually, World } from './harness/world.mjs';

const skip = process.env.WINK_STACK ? false : 'WINK_STACK is not set: see tests/browser/deployed';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const PERSON = 'Maria Clara Santos';

let [browser, cloud, origin] = [];
before(async () => {
  if (skip) return;
  browser = await World.launch();
  cloud = new Cloud(process.env.WINK_STACK);
  ({ origin } = new URL(cloud.stack.console_url));
});
after(() => browser?.close());

const fresh = (kind) => `${kind}-${randomUUID()}`;
const exactly = (name) => ({ name, exact: true });

/** The console in a browser of its own. */
class Visit {
  static async open({ view = '#/', url = cloud.stack.console_url, ...more } = {}) {
    const visit = new Visit();
    visit.context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...more });
    visit.page = await visit.context.newPage();
    visit.faults = [];
    visit.page.on('pageerror', (error) => visit.faults.push(error.message));
    visit.page.on('console', (message) => message.text().includes('Content Security Policy') && visit.faults.push(message.text()));
    await visit.page.goto(url);
    await visit.page.locator('h1').waitFor();
    if (view !== '#/') await visit.go(view);
    return visit;
  }

  async close() {
    await this.context.close();
    assert.deepEqual(this.faults, []);
  }

  async go(view) {
    await this.page.evaluate((hash) => { location.hash = hash; }, view);
    await this.page.waitForFunction(() => !document.querySelector('.loading'));
  }

  async search(id) {
    await this.page.keyboard.press('/');
    await this.page.keyboard.type(id);
    await this.page.keyboard.press('Enter');
  }

  button(name) {
    return this.page.getByRole('button', exactly(name));
  }

  dialog() {
    return this.page.locator('dialog[open]');
  }

  /** What the server of the console says. */
  api(path, body) {
    return this.page.evaluate(async ([path, body]) => {
      const headers = { authorization: `Bearer ${sessionStorage.getItem('smile-console-key')}`, 'content-type': 'application/json' };
      const answer = await fetch(`/api/${path}`, body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers });
      return { status: answer.status, text: await answer.text() };
    }, [path, body]);
  }

  /** Waits until an event is stored. */
  stored(id) {
    return eventually(async () => (await this.api(`v1/events/${id}`)).status === 200);
  }
}

/** By how many pixels a page is longer than the window and what is in it. */
const tooTall = (page) => page.evaluate(() =>
  document.documentElement.scrollHeight - Math.ceil(Math.max(innerHeight, document.body.getBoundingClientRect().bottom + scrollY)));

/** A task that has brought something personal. */
const finished = (user) => cloud.event('TASK_FINISHED', { userId: user, sourceId: fresh('a'), sourceType: 'ACCOUNT', taskType: 'LINK_ACCOUNT',
  status: 'SUCCEEDED', errorCode: null, providers: ['sss_ph'], datapoints: ['IDENTITIES'],
  payload: { identity: { id: fresh('i'), fullName: PERSON, dob: '1990-03-01', latitude: 14.5, emails: [{ address: 'maria@example.com', type: 'Primary' }] } } });

test('tokens are the text that they were written in', () => {
  const text = ' {"a\\"}":[1.0,-0,1e400 ,"\\u0041\\\\"],"a":{} ,"":[ ]}\n';
  assert.deepEqual([...tokens(text)], ['{', '"a\\"}"', ':', '[', '1.0', ',', '-0', ',', '1e400', ',', '"\\u0041\\\\"', ']', ',', '"a"', ':', '{', '}', ',', '""', ':', '[', ']', '}']);
});

test('what could be personal is hidden, whatever it is called', () => {
  for (const [member, value] of [['id', 'et-0123456789abcdef'], ['userId', 'tenant-26ff48a2311ce24ee8de0f662224b2f3'], ['type', 'TASK_FINISHED'],
    ['createdAt', '2026-03-01T10:00:00Z'], ['status', 'SUCCEEDED'], ['providers', 'sss_ph'], ['version', 1], ['fullName', null],
    ['id', '26ff48a2-311c-4ee4-8de0-f662224b2f33']]) {
    assert.ok(isShown(member, value), `${member} ${value}`);
  }
  for (const [member, value] of [['fullName', PERSON], ['name', 'onClose'], ['loginName', 'maria'], ['docId', '0123456789abcdef'], ['referenceId', 'C12345678901'],
    ['netAmount', 1], ['latitude', 14.5], ['married', true], ['newMember', 'x'], ['type', PERSON], ['type', 'maria@example.com'], ['status', '+63 912 345'],
    ['id', 7], ['id', '4111111111111111'], ['id', '4111-1111-1111-1111'], ['userId', '1234567890123456'], ['version', 1.5], ['createdAt', '1990-03-01'], ['reason', 'she said so'], ['__proto__', 'x'], ['constructor', 'x']]) {
    assert.ok(!isShown(member, value), `${member} ${value}`);
  }
});

test('without its key the page shows nothing and says where the key is', { skip }, async () => {
  const visit = await Visit.open({ url: origin });
  await visit.page.getByText('This page needs its key.').waitFor();
  assert.equal((await visit.api('about')).status, 401);
  // It begins anew by itself.
  await visit.page.goto(`${origin}/#key=made-up`);
  await visit.page.getByText('open the address that smile console printed').waitFor();

  // The right address in the same tab: a start of its own, with nothing of the one before.
  await visit.page.goto(cloud.stack.console_url);
  await visit.page.locator('#health').getByText('Dead letters').waitFor();
  await visit.page.getByRole('status').getByText('listening').waitFor();
  const asked = visit.page.waitForRequest(/api\/about/);
  await visit.page.goto(cloud.stack.console_url);
  await asked;
  await visit.close();
});

test('the row at the top says how old it is when no look comes back', { skip }, async () => {
  const visit = await Visit.open();
  await visit.page.locator('#health').getByText('Dead letters').waitFor();
  const age = visit.page.locator('#health').getByText(/Seen \d+ s ago: since then no look has come back/);
  await visit.page.route(/api\/health/, () => {});
  await visit.page.waitForRequest(/api\/health/);
  assert.equal(await age.count(), 0);
  await visit.page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 60000;
  });
  await age.waitFor();
  await visit.close();
});

test('a view that is opened before the stack is known shows what there is as soon as it is', { skip }, async () => {
  const visit = await Visit.open();
  let [asked, goOn] = [];
  const isAsked = new Promise((resolve) => { asked = resolve; });
  const mayGoOn = new Promise((resolve) => { goOn = resolve; });
  await visit.page.route('**/api/about', async (route) => {
    asked();
    await mayGoOn;
    await route.continue();
  });
  await visit.page.reload({ waitUntil: 'commit' });
  await isAsked;
  await visit.go('#/dead-letters');
  await visit.page.getByRole('heading', exactly('Dead letters')).waitFor();
  goOn();
  await visit.page.getByRole('region', { name: 'Webhook queue' }).waitFor();
  await visit.close();
});

test('the live view says how it stands, and the page is no longer than what is in it', { skip }, async (t) => {
  const visit = await Visit.open();
  const { id } = await cloud.webhook(cloud.event('USER_CREATED', { userId: fresh('u') }));
  await visit.stored(id);
  const first = await visit.page.evaluate(async () => {
    const leaving = new AbortController();
    const headers = { authorization: `Bearer ${sessionStorage.getItem('smile-console-key')}` };
    const answer = await fetch('/api/live', { headers, signal: leaving.signal });
    const { value } = await answer.body.pipeThrough(new TextDecoderStream()).getReader().read();
    leaving.abort();
    return value;
  });
  assert.match(first, /^event: well\n/, 'without any event, too');

  // A stream that says what this test says.
  const stored = JSON.parse((await visit.api(`v1/events/${id}`)).text);
  let server;
  const told = new Promise((resolve) => {
    server = createServer((_, answer) => {
      answer.writeHead(200, { 'content-type': 'text/event-stream' });
      resolve((event, data) => answer.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    }).listen(0, '127.0.0.1');
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await visit.page.route('**/api/live', (route) => route.continue({ url: `http://127.0.0.1:${server.address().port}/api/live` }));
  await visit.page.reload();
  const say = await told;
  const status = visit.page.locator('p.status');
  say('well', {});
  await status.getByText('listening').waitFor();
  say('gap', { leftOut: 3 });
  await status.getByText('some were left out').waitFor();
  for (let count = 0; count < 100; count += 1) say('stored', { ...stored, id: `et-${count}`, facts: { ...stored.facts, reason: 'two\u2028lines' } });
  await visit.page.locator('.feed [data-id="et-99"]').waitFor();
  assert.match(await status.textContent(), /some were left out/, 'it stays true');

  await visit.go('#/customer');
  assert.equal(await visit.page.locator('.feed li').count(), 100);
  assert.ok(await tooTall(visit.page) <= 0);
  await visit.close();
});

test('a body that is nested 20,000 deep is shown, and every token as it was written', { skip }, async () => {
  const visit = await Visit.open();
  const event = cloud.event('NEW_OF_TOMORROW', { userId: fresh('u') });
  const deep = `${'{"a":['.repeat(10_000)}${']}'.repeat(10_000)}`;
  const sent = JSON.stringify(event).replace('"data":{', `"data":{"deep":${deep},`);
  await cloud.webhook(event, sent);
  await visit.stored(event.id);
  await visit.go(`#/event/${event.id}`);
  await visit.button('Show body').click();
  const body = visit.page.locator('.body pre');
  await body.waitFor();
  assert.equal((await body.textContent()).replaceAll(/[\s•]/g, ''), sent.replaceAll(/\s/g, ''));
  await visit.close();
});

test('the first view begins with the last events', { skip }, async () => {
  const before = await Visit.open();
  const event = await cloud.webhook(cloud.event('USER_CREATED', { userId: fresh('u') }));
  await before.stored(event.id);
  await before.close();
  const visit = await Visit.open();
  await visit.page.locator(`.feed [data-id="${event.id}"]`).waitFor();
  assert.equal(await visit.page.locator('.feed + .note').isVisible(), false);
  await visit.close();
});

test('from search to a user, an event, and its body: shown on request, personal values one by one', { skip }, async () => {
  const user = fresh('u');
  const visit = await Visit.open();
  assert.ok(!visit.page.url().includes('key'), 'the key is taken out of the address');
  // Numbers that a browser would write in another way, a member twice, and an order that is not its own.
  const odd = '14.50,"big":123456789012345678901234567890.1,"zero":-0,"twice":1,"twice":2,"9":1,"8":2';
  const event = finished(user);
  await cloud.webhook(event, JSON.stringify(event).replace('14.5', odd));
  await visit.stored(event.id);
  const bodies = [];
  visit.page.on('request', (request) => request.url().includes('body') && bodies.push(request.url()));

  await visit.search(event.data.sourceId);
  await visit.page.getByRole('heading', { name: `User ${user}` }).waitFor();
  assert.match(visit.page.url(), /about=ACCOUNT/, 'an account leads to its user');
  await visit.page.getByRole('region', { name: `account ${event.data.sourceId}` }).getByText('CONNECTED').waitFor();
  const step = visit.page.locator(`.step [data-id="${event.id}"]`);
  await step.focus();
  await visit.page.keyboard.press('Enter');
  await visit.dialog().getByRole('heading', exactly('TASK_FINISHED')).waitFor();
  assert.deepEqual(bodies, []);

  await visit.dialog().getByRole('button', exactly('Show body')).click();
  const body = visit.dialog().locator('.body pre');
  await body.waitFor();
  assert.equal(bodies.length, 1);
  assert.match(await body.textContent(), /"taskType": "LINK_ACCOUNT"/);
  for (const hidden of [PERSON, '1990-03-01', '14.5', 'maria@example.com']) assert.ok(!(await body.textContent()).includes(hidden), hidden);
  await visit.page.getByRole('button', exactly('Reveal fullName')).click();
  assert.ok((await body.textContent()).includes(PERSON));
  assert.ok(!(await body.textContent()).includes('maria@example.com'));
  await visit.button('Reveal all').click();
  const shown = (await body.textContent()).replace(/\s+/g, '');
  assert.ok(shown.includes(`"latitude":${odd},"emails"`), 'as it was received');
  assert.ok((await body.textContent()).includes('maria@example.com'));
  await visit.button('Hide all').click();
  assert.ok(!(await body.textContent()).includes(PERSON));

  await visit.page.keyboard.press('Escape');
  await visit.dialog().waitFor({ state: 'detached' });
  assert.ok(await step.evaluate((link) => link === document.activeElement), 'the focus is where it was');
  assert.ok(!visit.page.url().includes('event='));
  await visit.search('nobody-has-this-id');
  await visit.page.getByText('Nothing is known under this id.').waitFor();
  await visit.page.goBack();
  await visit.page.getByRole('heading', { name: `User ${user}` }).waitFor();
  await visit.close();
});

test('the whole product in one window: the widget, what it says live, and where Smile does not agree', { skip }, async () => {
  const visit = await Visit.open({ view: '#/customer' });
  const site = visit.page.frameLocator('iframe');
  const click = (name) => site.locator('dialog').getByRole('button', { name }).first().click();
  const screen = (name) => site.locator(`dialog .body[data-screen=${name}]`).waitFor();
  await site.getByText('Let something go wrong').click();
  await site.getByRole('button', { name: 'Connect my income' }).click();
  await screen('consent');
  await click('I agree');
  await click('SSS');
  await site.locator('dialog select').selectOption('connected');
  await site.locator('#webhooks').selectOption({ label: 'get lost' });
  await click('Log in');
  await screen('success');
  await click('Finish');
  await site.locator('#webhooks').selectOption({ label: 'come as usual' });
  const said = visit.page.locator('.feed li', { hasText: 'onAccountConnected' }).first();
  await said.waitFor();
  await said.locator('a.user').click();

  const claim = visit.page.locator('.step.marked', { hasText: 'onAccountConnected' });
  await claim.getByText('Smile has not said so').waitFor();
  await visit.page.locator('.differences').getByText('The browser says CONNECTED').waitFor();
  assert.equal(await visit.page.locator('.step.marked').count(), 1);
  const left = await visit.page.locator('.step.smile .card').first().boundingBox();
  const right = await claim.locator('.card').boundingBox();
  assert.ok(left.x + left.width < right.x, 'webhooks on the left, callbacks on the right');

  // Smile says it, and the page hears of it.
  const user = decodeURIComponent(visit.page.url().split('#/user/')[1]);
  const [{ account }] = JSON.parse((await visit.api(`v1/users/${user}`)).text).accounts;
  await cloud.webhook(cloud.event('ACCOUNT_CONNECTED', { userId: user, accountId: account, providers: ['sss_ph'] }));
  await claim.waitFor({ state: 'detached' });
  await visit.page.locator('.differences').getByText('The browser says').waitFor({ state: 'detached' });
  await visit.close();
});

test('an event that comes while one looks is shown at once, and a pause keeps it back', { skip }, async () => {
  const visit = await Visit.open();
  const first = await cloud.webhook(cloud.event('USER_CREATED', { userId: fresh('u') }));
  const row = (event) => visit.page.locator(`.feed [data-id="${event.id}"]`);
  await row(first).waitFor();
  await visit.button('Pause').click();
  const second = await cloud.webhook(cloud.event('USER_CREATED', { userId: fresh('u') }));
  const go = visit.page.getByRole('button', { name: /^Go on \(\d+ new\)$/ });
  await go.waitFor();
  assert.equal(await row(second).count(), 0);
  await go.click();
  await row(second).waitFor();
  await visit.page.getByLabel('From').selectOption('browser');
  assert.equal(await row(second).count(), 0);
  await visit.page.getByLabel('From').selectOption('smile');
  assert.equal(await row(second).count(), 1);
  await visit.close();
});

test('the quarantine is released after a count and a confirmation, and not when it has changed meanwhile', { skip }, async () => {
  const visit = await Visit.open();
  const events = [1, 2, 3].map(() => cloud.event('ACCOUNT_CREATED', { userId: fresh('u'), accountId: fresh('a'), providers: ['sss_ph'] }));
  for (const event of events) await cloud.held(event);
  const received = new Date().toISOString();
  await cloud.queue(cloud.stack.queue_url, { type: 'NO_ID', data: { fullName: PERSON } }, { received_at: received });
  const broken = received.replace('Z', '000Z#');
  const card = (text) => visit.page.locator('.held', { hasText: text });
  await eventually(async () => {
    await visit.go('#/audit');
    await visit.go('#/quarantine');
    assert.equal(await card(broken).count(), 1);
    for (const { id } of events) assert.equal(await card(id).count(), 1);
  });

  // What cannot be read is left, and there is nothing to confirm.
  await card(broken).getByRole('button', exactly('Show body')).click();
  assert.ok(!(await card(broken).locator('.body').textContent()).includes(PERSON));
  await card(broken).getByRole('button', exactly('Release …')).click();
  await visit.dialog().getByText('it still cannot be read').waitFor();
  assert.equal(await visit.dialog().getByRole('button', { name: /^Release/ }).count(), 0);
  await visit.page.keyboard.press('Escape');

  for (const { id } of events.slice(0, 2)) await card(id).getByRole('checkbox').check();
  await visit.button('Release 2 chosen …').click();
  await visit.dialog().getByText('This is about 2 items.').waitFor();
  assert.equal((await visit.api(`v1/events/${events[0].id}`)).status, 404, 'the count does nothing');
  await visit.dialog().getByRole('button', exactly('Release 2 items')).click();
  await visit.dialog().getByText('Done with 2 items.').waitFor();
  await visit.dialog().getByRole('button', exactly('Close')).click();
  await card(events[0].id).waitFor({ state: 'detached' });
  await visit.stored(events[0].id);
  await visit.stored(events[1].id);

  const third = card(events[2].id);
  const key = await third.locator('code').first().textContent();
  await third.getByRole('button', exactly('Release …')).click();
  const confirm = visit.dialog().getByRole('button', exactly('Release 1 item'));
  await confirm.waitFor();
  const meanwhile = await visit.api('acts/release', { keys: [key], confirm: 1 });
  assert.match(meanwhile.text, /event: done\ndata: \{"done":1,/);
  await confirm.click();
  await visit.dialog().getByText('It has changed meanwhile.').waitFor();
  await visit.dialog().getByRole('button', exactly('Cancel')).click();

  await visit.go('#/audit');
  await visit.page.locator('tr', { hasText: 'quarantine release' }).filter({ hasText: '2 of 2' }).first().getByText('by console').waitFor();
  await visit.close();
});

test('a release that is stopped stops', { skip }, async () => {
  const visit = await Visit.open();
  const meant = 200;
  const events = Array.from({ length: meant }, () => cloud.event('ACCOUNT_CREATED', { userId: fresh('u'), accountId: fresh('a'), providers: ['sss_ph'] }));
  for (const event of events) await cloud.held(event);
  const ids = new Set(events.map(({ id }) => id));
  const keys = await eventually(async () => {
    const { quarantined } = JSON.parse((await visit.api('quarantine')).text);
    const keys = quarantined.filter(({ id }) => ids.has(id)).map(({ key }) => key);
    assert.equal(keys.length, meant);
    return keys;
  });
  await visit.page.evaluate(async (keys) => {
    const headers = { authorization: `Bearer ${sessionStorage.getItem('smile-console-key')}`, 'content-type': 'application/json' };
    const stop = new AbortController();
    const answer = await fetch('/api/acts/release', { method: 'POST', headers, body: JSON.stringify({ keys, confirm: keys.length }), signal: stop.signal });
    await answer.body.getReader().read();
    stop.abort();
  }, keys);
  const act = await eventually(async () => {
    const { acts } = JSON.parse((await visit.api('audit')).text);
    const act = acts.find(({ action, meant: of }) => action === 'quarantine release' && of === meant);
    assert.equal(act?.standing, 'stopped');
    return act;
  });
  assert.ok(act.done > 0 && act.done < meant, `${act.done}`);
  const { quarantined } = JSON.parse((await visit.api('quarantine')).text);
  const rest = quarantined.filter(({ id }) => ids.has(id)).map(({ key }) => key);
  assert.equal(rest.length, meant - act.done);
  assert.match((await visit.api('acts/release', { keys: rest, confirm: rest.length })).text, /"whole":true/);
  await visit.close();
});

test('dead letters are looked into, and those of one type go back', { skip }, async () => {
  const visit = await Visit.open();
  const letter = (type) => cloud.dead(cloud.event(type, { userId: fresh('u'), archiveId: fresh('ar') }));
  const [one, two, other] = [await letter('ARCHIVE_STARTED'), await letter('ARCHIVE_STARTED'), await letter('ARCHIVE_ANALYZED')];
  // Whoever leaves while they are looked into leaves none of them hidden.
  for (const after of [15, 100]) {
    await visit.page.evaluate(async (after) => {
      const headers = { authorization: `Bearer ${sessionStorage.getItem('smile-console-key')}` };
      await fetch('/api/dead-letters?queue=webhook', { headers, signal: AbortSignal.timeout(after) }).catch(() => undefined);
    }, after);
    await eventually(async () => {
      const { wanted, hidden } = JSON.parse((await visit.api('dead-letters?queue=webhook')).text);
      assert.deepEqual([wanted, hidden], [3, 0]);
    });
  }
  await visit.go('#/dead-letters');
  const queue = visit.page.getByRole('region', { name: 'Webhook queue' });
  await queue.getByRole('button', exactly('Look into them')).click();
  await queue.getByRole('link', exactly(other.id)).waitFor();
  await queue.locator('select').selectOption('ARCHIVE_STARTED');
  await queue.getByRole('button', exactly('Redrive …')).click();
  await visit.dialog().getByRole('button', exactly('Redrive 2 messages')).click();
  await visit.dialog().getByText('Done with 2 messages.').waitFor();
  await visit.dialog().getByRole('button', exactly('Close')).click();
  await visit.stored(one.id);
  await visit.stored(two.id);
  await queue.getByRole('link', exactly(other.id)).waitFor();
  assert.equal(await queue.getByRole('link').count(), 1);
  assert.equal((await visit.api(`v1/events/${other.id}`)).status, 404);

  await queue.getByRole('button', exactly('Redrive …')).click();
  await visit.dialog().getByRole('button', exactly('Redrive 1 message')).click();
  await visit.dialog().getByText('Done with 1 message.').waitFor();
  await visit.dialog().getByRole('button', exactly('Close')).click();
  await queue.getByText('No dead letters.').waitFor();
  await visit.close();
});

test('an event is sent again, and a span of time is replayed, each counted and written down', { skip }, async () => {
  const visit = await Visit.open();
  const type = `CONSOLE_${randomUUID().slice(0, 8).toUpperCase()}`;
  const events = [1, 2].map(() => cloud.event(type, { userId: fresh('u') }));
  for (const event of events) await cloud.webhook(event);
  for (const { id } of events) await visit.stored(id);

  await visit.go(`#/event/${events[0].id}`);
  await visit.button('Send again …').click();
  await visit.dialog().getByRole('button', { name: 'To the bus' }).click();
  await visit.dialog().getByRole('button', exactly('Send 1 event')).click();
  await visit.dialog().getByText('Done with 1 event.').waitFor();
  await visit.dialog().getByRole('button', exactly('Close')).click();

  await visit.go('#/replay');
  const minute = (ago) => new Date(Date.now() - ago).toISOString().slice(0, 16);
  await visit.page.getByLabel('Stored from').fill(minute(600000));
  await visit.page.getByLabel('Before').fill(minute(-120000));
  await visit.page.getByLabel('Types').fill(type);
  await visit.page.getByLabel('The consumer').check();
  // Counting can be left.
  await visit.page.route('**/api/acts/replay', () => undefined);
  const left = visit.page.waitForEvent('requestfailed', (request) => request.url().endsWith('/acts/replay'));
  await visit.button('Count …').click();
  await visit.dialog().getByRole('button', exactly('Cancel')).click();
  await left;
  await visit.dialog().waitFor({ state: 'detached' });
  await visit.page.unroute('**/api/acts/replay');

  await visit.button('Count …').click();
  await visit.dialog().getByText('This is about 2 events.').waitFor();
  await visit.dialog().getByRole('button', exactly('Replay 2 events')).click();
  await visit.dialog().getByText('Done with 2 events.').waitFor();
  await visit.dialog().getByRole('button', exactly('Close')).click();
  await visit.go('#/audit');
  await visit.page.locator('tr', { hasText: 'events resend' }).filter({ hasText: events[0].id }).getByText('1 of 1').waitFor();
  await visit.page.locator('tr', { hasText: 'replay' }).filter({ hasText: type }).getByText('2 of 2').waitFor();
  await visit.close();
});

test('everything can be done with the keyboard', { skip }, async () => {
  const user = fresh('u');
  const visit = await Visit.open();
  const events = [];
  for (const type of ['USER_CREATED', 'USER_SESSION_RESET', 'CONSOLE_KEYS']) {
    events.push(await cloud.webhook(cloud.event(type, { userId: user, session: { userId: user, status: 'IN_PROGRESS' } })));
    await visit.stored(events.at(-1).id);
  }
  const focused = () => visit.page.evaluate(() => document.activeElement.dataset.id ?? document.activeElement.id);
  await visit.page.keyboard.press('Tab');
  assert.equal(await visit.page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await visit.page.keyboard.press('Enter');
  assert.equal(await focused(), 'main');
  await visit.search(user);
  await visit.page.locator('.step').nth(2).waitFor();
  const newest = events.toReversed().map(({ id }) => id);
  await visit.page.keyboard.press('j');
  assert.equal(await focused(), newest[0]);
  await visit.page.keyboard.press('j');
  await visit.page.keyboard.press('ArrowDown');
  assert.equal(await focused(), newest[2]);
  await visit.page.keyboard.press('j');
  assert.equal(await focused(), newest[2], 'the last one');
  await visit.page.keyboard.press('k');
  assert.equal(await focused(), newest[1]);
  const outline = await visit.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid', 'the focus can be seen');
  await visit.page.keyboard.press('Enter');
  await visit.dialog().getByRole('heading', exactly('USER_SESSION_RESET')).waitFor();
  for (let presses = 0; presses < 12; presses += 1) {
    await visit.page.keyboard.press('Tab');
    // Past the last one the browser's own controls come, and no page has the focus.
    const at = await visit.page.evaluate(() => (document.activeElement === document.body ? 'none' : document.activeElement.closest('dialog') ? 'dialog' : 'page'));
    assert.notEqual(at, 'page', 'the focus stays in the dialog');
  }
  await visit.page.keyboard.press('Escape');
  await visit.dialog().waitFor({ state: 'detached' });
  assert.equal(await focused(), newest[1]);
  await visit.close();
});

test('axe finds nothing, in any view, light and dark, wide and narrow', { skip }, async () => {
  const user = fresh('u');
  const event = await cloud.webhook(finished(user));
  await cloud.held(cloud.event('ACCOUNT_CREATED', { userId: user, accountId: fresh('a'), providers: ['sss_ph'] }));
  await cloud.dead(cloud.event('ARCHIVE_STARTED', { userId: user, archiveId: fresh('ar') }));
  const [record, verification] = [fresh('ss'), fresh('ver')];
  const nobodys = [cloud.event('RECORD_COMPLETED', { recordId: record, recordType: 'SOCIAL_SECURITY', status: 'COMPLETED', resultCode: 'SUCCESS' }),
    cloud.event('VERIFICATION_COMPLETED', { verificationId: verification, resultCode: 'SUCCESS' })];
  for (const one of nobodys) await cloud.webhook(one);
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
      const visit = await Visit.open({ colorScheme, viewport });
      for (const { id } of [event, ...nobodys]) await visit.stored(id);
      const look = async (what) => {
        await visit.page.evaluate(axe);
        const { violations, passes } = await visit.page.evaluate((tags) => window.axe.run({ runOnly: tags }), TAGS);
        assert.ok(passes.length > 10, what);
        const where = `${what}, ${colorScheme}, ${viewport.width} px`;
        found.push(...violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes[0].html.slice(0, 200)}`));
        const over = await visit.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) found.push(`${where}: ${over} px too wide`);
        const more = await tooTall(visit.page);
        if (more > 0) found.push(`${where}: ${more} px too tall`);
      };
      const views = { live: '#/', health: '#/health', user: `#/user/${user}`, event: `#/event/${event.id}`, quarantine: '#/quarantine', replay: '#/replay',
        record: `#/record/${record}`, verification: `#/verification/${verification}`, audit: '#/audit', customer: '#/customer', nothing: '#/find/nobody', nowhere: '#/nowhere' };
      for (const [name, view] of Object.entries(views)) {
        await visit.go(view);
        if (name === 'event') {
          await visit.button('Show body').click();
          await visit.page.locator('.body pre').waitFor();
        }
        if (name === 'record' || name === 'verification') await visit.page.locator('.step').first().waitFor();
        await look(name);
      }
      await visit.go('#/dead-letters');
      await visit.button('Look into them').first().click();
      await visit.page.getByRole('button', exactly('Redrive …')).click();
      await visit.dialog().getByRole('button', { name: /^Redrive \d/ }).waitFor();
      await look('an act');
      await visit.page.keyboard.press('Escape');
      await look('dead letters');
      await visit.go(`#/user/${user}?event=${event.id}`);
      await visit.dialog().getByRole('heading', exactly('TASK_FINISHED')).waitFor();
      await look('an event beside its user');
      await visit.close();
    }
  }
  assert.deepEqual(found, []);
});
