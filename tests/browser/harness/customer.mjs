/** A customer's page in the browser, open and watched: `page.errors` has what it threw. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const html = readFileSync(new URL('../pages/customer.html', import.meta.url), 'utf8');

/** Makes the page under `path`, with the classic build or the module one. */
export function putCustomer(world, build = 'classic', path = `/${build}.html`) {
  const from = `${world.endpoint.base}/v1/wink-events`;
  const tag =
    build === 'classic'
      ? `<script src="${from}.js"></script>`
      : `<script type="module">import * as winkEvents from '${from}.mjs'; window.winkEvents = winkEvents;</script>`;
  return world.put(path, html.replace('<!-- SCRIPT -->', tag));
}

export function watch(page) {
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error));
  return page;
}

/** Opens the page in a new tab, ready to `start`. */
export async function openCustomer(world, context, build = 'classic') {
  const page = watch(await context.newPage());
  await page.goto(putCustomer(world, build));
  await page.waitForFunction(() => window.winkEvents);
  return page;
}

export const start = (page, link) => page.evaluate((given) => void start(given).open(), link);
export const fire = (page, ...args) => page.evaluate((given) => void modal.fire(...given), args);
export const stats = (page) => page.evaluate(() => winkEvents.stats());

/** `count` UI events that differ. */
export const screens = (page, count, pad = '') =>
  page.evaluate(
    ([many, text]) => {
      for (let n = 0; n < many; n++) modal.screen(`Screen${n}Opened`, { providerId: text });
    },
    [count, pad],
  );

/** What `walk` of the stand-in fires. */
export const WALK = [
  ...Array(12).fill('onUIEvent'),
  'onAccountCreated',
  'onAccountError',
  'onAccountConnected',
  'onUploadsCreated',
  'onUploadsRemoved',
  'onAccountRemoved',
  'onTokenExpired',
  'onClose',
];

export const SCREENS = [
  'ConsentPageOpened',
  'ProviderListPageOpened',
  'LoginPageOpened',
  'MfaPageOpened',
  'ConnectSuccessPageOpened',
  'AccountRevokePageOpened',
  'LoginOptionsPageOpened',
  'EmployerSurveyPageOpened',
  'FileTypeListPageOpened',
  'FileTypePageOpened',
  'ArchiveSuccessPageOpened',
  'RevokeArchivePageOpened',
];

/** No token may ever lie in the page's storage. */
export async function storesNoToken(page, link) {
  const stored = await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }));
  for (const part of [link.session.token, ...link.session.token.split('.').slice(1), link.userToken]) {
    assert.ok(!stored.includes(part), 'a token is stored');
  }
  return stored;
}
