/**
 * The world of a browser test: Chromium, a site with the customer's pages, and the endpoint.
 *
 * Without configuration the endpoint is the receiver beside this file. With WINK_CALLBACKS_URL it is a deployed one; then
 * WINK_SESSION_SECRET signs the sessions, WINK_TIMELINE_COMMAND prints the timeline of the user in $WINK_USER as a JSON
 * array of `{ type, clientId }`, and WINK_SITE_PORT is the port of the origin http://127.0.0.1:PORT that it allows.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { Endpoint } from './endpoint.mjs';
import { Receiver } from './receiver.mjs';
import { mint } from './session.mjs';

const { WINK_CALLBACKS_URL, WINK_SESSION_SECRET, WINK_TIMELINE_COMMAND, WINK_SITE_PORT, CHROMIUM = '/usr/bin/chromium' } = process.env;
const here = (path) => new URL(path, import.meta.url);
const guides = here('../../../functions/callback/wink-events/');
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', mjs: 'text/javascript; charset=utf-8' };

/** Whether the endpoint is a deployed one: a few tests need to look inside ours. */
export const deployed = Boolean(WINK_CALLBACKS_URL);

/** Milliseconds until something that must happen counts as not happening. */
const DEADLINE = deployed ? 60000 : 20000;

/** Waits until `look` neither throws nor returns false. */
export async function eventually(look, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  for (;;) {
    try {
      const found = await look();
      if (found !== false) return found;
      if (Date.now() > end) assert.fail(`still false after ${deadline} ms: ${look}`);
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The `nth` block of a language in a guide: what readers paste is what is tried. */
export function guide(page, language, nth = 0) {
  const text = readFileSync(new URL(page, guides), 'utf8');
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))];
  assert.ok(blocks[nth], `${page} has no ${language} block ${nth}`);
  return blocks[nth][1];
}

/** Bundles a React page from sources by name; `wink-events` is the package as a customer installs it. */
export async function bundle(files, entry) {
  const plugin = {
    name: 'given',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\// }, ({ path, importer, namespace }) =>
        namespace === 'given' || !importer ? { path: path.slice(2), namespace: 'given' } : undefined,
      );
      onLoad({ filter: /./, namespace: 'given' }, ({ path }) => {
        const found = Object.keys(files).find((name) => name === path || name.replace(/\.\w+$/, '') === path);
        return { contents: files[found], loader: 'jsx', resolveDir: here('..').pathname };
      });
    },
  };
  const result = await build({
    entryPoints: [`./${entry}`],
    bundle: true,
    write: false,
    format: 'iife',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
    plugins: [plugin],
    logLevel: 'warning',
  });
  return result.outputFiles[0].text;
}

export class World {
  static async start() {
    const world = new World();
    world.secret = WINK_SESSION_SECRET ?? randomBytes(32).toString('hex');
    world.origins = new Set();
    world.receiver = new Receiver(world.secret, world.origins);
    world.endpoint = await new Endpoint({ receiver: world.receiver, upstream: WINK_CALLBACKS_URL }).listen();
    world.pages = new Map();
    world.site = createServer((request, response) => world.serve(request, response));
    await new Promise((resolve) => world.site.listen(Number(WINK_SITE_PORT ?? 0), '127.0.0.1', resolve));
    world.origin = `http://127.0.0.1:${world.site.address().port}`;
    world.origins.add(world.origin);
    world.put('/v2/smile.v2.js', readFileSync(here('widget.js'), 'utf8'));
    if (!existsSync(CHROMIUM)) throw new Error(`there is no Chromium at ${CHROMIUM}: set CHROMIUM`);
    world.browser = await World.launch();
    return world;
  }

  static launch(more = {}) {
    return chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--js-flags=--max-old-space-size=512'],
      ...more,
    });
  }

  /** A user that nobody had before. */
  user() {
    return `u-${randomUUID()}`;
  }

  session(user, seconds) {
    return mint(this.secret, user, seconds);
  }

  /** What a back end would hand to the page: the answer of `POST /v1/links`. */
  link(user, seconds) {
    return {
      userId: user,
      userToken: `widget/${user}`,
      session: { token: this.session(user, seconds) },
      urls: { callbacks: this.endpoint.url, script: `${this.endpoint.base}/v1/wink-events.js` },
      mode: 'SANDBOX',
    };
  }

  async timeline(user) {
    if (!deployed) return this.receiver.timeline(user);
    const { stdout } = await promisify(execFile)('sh', ['-c', WINK_TIMELINE_COMMAND], { env: { ...process.env, WINK_USER: user } });
    return JSON.parse(stdout);
  }

  /** Waits until the timeline has exactly these types, in any order, and each client id once. */
  async arrived(user, expected) {
    return eventually(async () => {
      const events = await this.timeline(user);
      assert.deepEqual(events.map(({ type }) => type).sort(), [...expected].sort());
      assert.equal(new Set(events.map(({ clientId }) => clientId)).size, events.length);
      return events;
    });
  }

  serve(request, response) {
    const path = new URL(request.url, this.origin).pathname;
    const page = this.pages.get(path);
    if (!page) return response.writeHead(404).end();
    const type = types[path.split('.').pop()] ?? 'text/plain';
    response.writeHead(200, { 'Content-Type': type, ...page.headers }).end(page.body);
  }

  /**
   * Puts a page on the site, with the hosts of this world in place of those that the guides name. The driver could answer
   * for the vendor's host, too, but a browser whose requests are intercepted loses those of a page that goes.
   */
  put(path, body, headers = {}) {
    const here = (text) =>
      text.replaceAll('https://web.smileapi.io', this.origin).replaceAll('https://callbacks.example.com', this.endpoint.base);
    for (const name in headers) headers[name] = here(headers[name]);
    this.pages.set(path, { body: here(body), headers });
    return this.origin + path;
  }

  /** A browser profile of its own. */
  context(browser = this.browser, options = {}) {
    return browser.newContext(options);
  }

  async close() {
    await this.browser?.close();
    await this.endpoint.close();
    this.site.closeAllConnections();
    await new Promise((resolve) => this.site.close(resolve));
  }
}
