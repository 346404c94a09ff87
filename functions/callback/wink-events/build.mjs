/**
 * Builds `dist/` from `src/`, and writes the integrity hashes into the guides.
 *
 *     node build.mjs           build
 *     node build.mjs --check   only look: is dist/ what the source builds, and under the ceiling?
 */
import { createHash } from 'node:crypto';
import { readFile, readdir, writeFile, mkdir } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** Property names that never leave the module: they may be shortened. */
const INTERNAL = /^(flying|leave|left|options|owner|renewed|ui)$/;

/** The builds, and the bytes that each may have after `gzip -9`. */
const BUILDS = [
  { name: 'wink-events.js', entry: 'src/classic.js', format: 'iife', ceiling: 3072 },
  { name: 'wink-events.mjs', entry: 'src/wink-events.js', format: 'esm', ceiling: 3072 },
  { name: 'wink-live.js', entry: 'src/classic-live.js', format: 'iife', ceiling: 1536 },
  { name: 'wink-live.mjs', entry: 'src/wink-live.js', format: 'esm', ceiling: 1536 },
];

const here = (path) => new URL(path, import.meta.url);
const checking = process.argv.includes('--check');
const wrong = [];

/** gzip without a time and without the name of this system. */
function pack(code) {
  const packed = gzipSync(code, { level: 9 });
  packed.fill(0, 4, 8);
  packed[9] = 255;
  return packed;
}

async function existing(path) {
  return readFile(here(path)).catch(() => Buffer.alloc(0));
}

/** Writes what differs, or, when only checking, says so. */
async function put(path, wanted, same) {
  if (same) return;
  if (checking) wrong.push(`${path} is not what the source builds: run npm run build`);
  else await writeFile(here(path), wanted);
}

/** Two builds of zlib may pack the same bytes differently: what counts is what it unpacks to. */
function unpacksTo(packed, code) {
  try {
    return gunzipSync(packed).equals(code) && packed.readUInt32LE(4) === 0 && packed[9] === 255;
  } catch {
    return false;
  }
}

await mkdir(here('dist'), { recursive: true });
const { version } = JSON.parse(await readFile(here('package.json')));
const integrity = {};
for (const { name, entry, format, ceiling } of BUILDS) {
  const result = await build({
    absWorkingDir: here('.').pathname,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    mangleProps: INTERNAL,
    format,
    target: 'es2019',
    charset: 'utf8',
    legalComments: 'none',
    banner: { js: `/*! ${name.split('.')[0]} ${version} | MIT OR Apache-2.0 */` },
    write: false,
  });
  const code = Buffer.from(result.outputFiles[0].contents);
  let packed = await existing(`dist/${name}.gz`);
  await put(`dist/${name}`, code, code.equals(await existing(`dist/${name}`)));
  if (!unpacksTo(packed, code)) {
    packed = pack(code);
    await put(`dist/${name}.gz`, packed, false);
  }
  if (packed.length >= ceiling) wrong.push(`${name} has ${packed.length} bytes packed, the ceiling is ${ceiling}`);
  integrity[name] = `sha384-${createHash('sha384').update(code).digest('base64')}`;
  console.log(`${name}: ${code.length} bytes, ${packed.length} packed, integrity ${integrity[name]}`);
}

/** In the documents, every hash is that of the build that was named last before it. */
const pages = ['README.md', '../../../README.md', ...(await readdir(here('guides'))).map((page) => `guides/${page}`)];
for (const page of pages) {
  const text = (await existing(page)).toString();
  const wanted = text.replace(
    /(wink-(?:events|live)\.m?js\b)((?:(?!wink-(?:events|live)\.m?js\b)[^])*?)sha384-[\w+/=]{64}/g,
    (all, name, between) => `${name}${between}${integrity[name]}`,
  );
  await put(page, wanted, wanted === text);
}

for (const what of wrong) console.error(`wrong: ${what}`);
if (checking && !wrong.length) console.log('dist is what the source builds, and under the ceiling');
process.exitCode = wrong.length ? 1 : 0;
