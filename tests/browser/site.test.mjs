/**
 * The customer's web site of `smile dev`, with the widget's stand-in and Smile simulated, before the whole deployed
 * receiver: what a person does there is in the table, once, and an account is connected only when Smile says so.
 * Needs WINK_SITE_URL (tests/browser/deployed sets it).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, World } from './harness/world.mjs';

const url = process.env.WINK_SITE_URL;
const skip = url ? false : 'WINK_SITE_URL is not set: see tests/browser/deployed';

let browser;
before(async () => {
  if (url) browser = await World.launch();
});
after(() => browser?.close());

/** The site in a browser of its own, as a new customer. */
class Visit {
  static async open(more = {}) {
    const visit = new Visit();
    visit.context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...more });
    visit.page = await visit.context.newPage();
    visit.faults = [];
    visit.page.on('pageerror', (error) => visit.faults.push(error.message));
    await visit.page.goto(url);
    await visit.page.locator('#webhooks').evaluate((option) => { option.closest('details').open = true; });
    return visit;
  }

  async close() {
    await this.webhooks('come as usual');
    await this.context.close();
    assert.deepEqual(this.faults, []);
  }

  webhooks(label) {
    return this.page.locator('#webhooks').selectOption({ label });
  }

  connect() {
    return this.page.getByRole('button', { name: 'Connect my income' }).click();
  }

  click(name) {
    return this.page.locator('dialog').getByRole('button', { name }).first().click();
  }

  ends(how) {
    return this.page.locator('dialog select').selectOption(how);
  }

  screen(name) {
    return this.page.locator(`dialog .body[data-screen=${name}]`).waitFor();
  }

  /** What the page has been told by the widget, in order. */
  said() {
    return this.page.locator('#callbacks b').allTextContents();
  }

  /** What the table has of this customer. */
  async table() {
    return this.page.evaluate(async () => {
      const user = sessionStorage.getItem('user');
      return (await (await fetch(`/watch?user=${user}`)).json()).table;
    });
  }

  async callbacks() {
    return ((await this.table())?.events ?? []).filter(({ source }) => source === 'callback');
  }

  /** Waits until the table has as many callbacks as the page was told of, each once. */
  async arrived() {
    return eventually(async () => {
      const [said, stored] = [await this.said(), await this.callbacks()];
      assert.equal(stored.length, said.length);
      assert.equal(new Set(stored.map(({ id }) => id)).size, stored.length);
      return stored;
    });
  }

  /** The short way: one account, connected. */
  async link() {
    await this.connect();
    await this.screen('consent');
    await this.click('I agree');
    await this.click('SSS');
    await this.ends('connected');
    await this.click('Log in');
    await this.screen('success');
    await this.click('Finish');
  }
}

test('a person walks the whole widget: all twelve screens, each callback once, connected only by the webhook', { skip }, async () => {
  const visit = await Visit.open();
  await visit.webhooks('come 5 seconds late');
  await visit.connect();
  await visit.screen('consent');
  await visit.click('I agree');
  await visit.click('Mine is not listed');
  await visit.screen('employer');
  await visit.click('Back');
  await visit.click('Upwork');
  await visit.screen('loginOptions');
  await visit.click('Phone number');
  await visit.screen('login');
  await visit.click('Back');
  await visit.click('SSS');
  await visit.screen('login');
  await visit.ends('INVALID_CREDENTIALS');
  await visit.click('Log in');
  await visit.page.locator('dialog .problem').waitFor();
  await visit.ends('mfa');
  await visit.click('Log in');
  await visit.screen('mfa');
  await visit.click('Go on');
  await visit.screen('success');

  // The browser says connected. The server has not said so, and nobody is told that it has.
  const claimed = await eventually(async () => {
    const account = (await visit.table())?.user?.accounts?.find(({ claim }) => claim?.status === 'CONNECTED');
    assert.ok(account);
    return account;
  });
  assert.notEqual(claimed.status, 'CONNECTED');
  assert.ok(claimed.claim.differs_since);
  await eventually(async () => {
    const { accounts } = (await visit.table()).user;
    const account = accounts.find(({ account }) => account === claimed.account);
    assert.deepEqual([account.status, account.claim.differs_since], ['CONNECTED', undefined]);
  });

  await visit.webhooks('come as usual');
  await visit.click('Connect another one');
  await visit.click('Tax number, Philippines');
  await visit.screen('success');
  await visit.click('Take access back');
  await visit.screen('accountRevoke');
  await visit.click('Take access back');
  await visit.screen('providers');
  await visit.click('Upload documents');
  await visit.screen('fileTypes');
  await visit.click('Payslip');
  await visit.screen('fileType');
  await visit.click('Send the file');
  await visit.screen('archiveSuccess');
  await visit.click('Take it back');
  await visit.screen('archiveRevoke');
  await visit.click('Take it back');
  await visit.screen('providers');
  await visit.click('Finish');

  const stored = await visit.arrived();
  const names = new Set(stored.map(({ type }) => type));
  // The token does not expire on this walk.
  for (const name of ['onUIEvent', 'onAccountCreated', 'onAccountError', 'onAccountConnected', 'onAccountRemoved',
    'onUploadsCreated', 'onUploadsRemoved', 'onClose']) {
    assert.ok(names.has(name), name);
  }
  const { funnel } = (await visit.table()).user.widget;
  assert.deepEqual(
    new Set(Object.values(funnel).flatMap((screens) => Object.keys(screens))),
    new Set(['ConsentPageOpened', 'ProviderListPageOpened', 'LoginPageOpened', 'MfaPageOpened',
      'ConnectSuccessPageOpened', 'AccountRevokePageOpened', 'LoginOptionsPageOpened', 'EmployerSurveyPageOpened',
      'FileTypeListPageOpened', 'FileTypePageOpened', 'ArchiveSuccessPageOpened', 'RevokeArchivePageOpened']),
  );
  assert.ok(funnel.sss_ph.LoginPageOpened < funnel.sss_ph.MfaPageOpened);
  await visit.close();
});

test('callbacks doubled, in the form of an Android web view: nothing twice', { skip }, async () => {
  const visit = await Visit.open();
  await visit.page.locator('#twice').check();
  await visit.page.locator('#android').check();
  await visit.link();
  const said = await visit.said();
  const stored = await eventually(async () => {
    const stored = await visit.callbacks();
    assert.equal(stored.length, said.length / 2);
    return stored;
  });
  assert.equal(stored.filter(({ type }) => type === 'onAccountConnected').length, 1);
  const { funnel } = (await visit.table()).user.widget;
  assert.ok(funnel.sss_ph.LoginPageOpened, 'the text that holds JSON was read');
  await visit.close();
});

test('without a network for a while, nothing is lost', { skip }, async () => {
  const visit = await Visit.open();
  await visit.page.route('**/v1/callbacks', (route) => route.abort());
  await visit.link();
  assert.deepEqual(await visit.callbacks(), []);
  await visit.page.unroute('**/v1/callbacks');
  await visit.arrived();
  await visit.close();
});

test('a session that is refused at first is renewed', { skip }, async () => {
  const visit = await Visit.open();
  await visit.page.locator('#refused').check();
  await visit.link();
  await visit.arrived();
  await visit.close();
});

test('a link token that has expired is told of, and the next one works', { skip }, async () => {
  const visit = await Visit.open();
  await visit.page.locator('#token').selectOption('0');
  await visit.connect();
  await visit.screen('expired');
  await visit.click('Close');
  const stored = await visit.arrived();
  assert.ok(stored.some(({ type }) => type === 'onTokenExpired'));
  await visit.page.locator('#token').selectOption('');
  await visit.connect();
  await visit.screen('consent');
  await visit.close();
});

test('webhooks that are lost leave a difference that is shown', { skip }, async () => {
  const visit = await Visit.open();
  await visit.webhooks('get lost');
  await visit.link();
  await visit.arrived();
  const [account] = (await visit.table()).user.accounts;
  assert.deepEqual([account.status, account.claim.status], ['UNKNOWN', 'CONNECTED']);
  await visit.page.locator('.account', { hasText: 'They differ since' }).waitFor();
  await visit.close();
});
