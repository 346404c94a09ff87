/**
 * An endpoint that does what `POST /v1/callbacks` promises, in memory: sessions, origins, item checks, one entry for
 * an id however often it comes. It is honest: what the real one refuses, it refuses.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { verify } from './session.mjs';

const dist = new URL('../../../functions/callback/wink-events/dist/', import.meta.url);
const TITLES = { 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 413: 'Content Too Large', 415: 'Unsupported Media Type', 422: 'Unprocessable Content', 503: 'Service Unavailable' };

export function problem(status, code, more = {}) {
  const body = { type: 'about:blank', title: TITLES[status] ?? 'Error', status, code, detail: code, ...more };
  return { status, headers: { 'Content-Type': 'application/problem+json' }, body: JSON.stringify(body) };
}

/** What a page of `origin` needs to see to read an answer. */
export function cors(origin) {
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Methods': 'POST',
    'Access-Control-Allow-Headers': 'authorization, content-type',
    'Access-Control-Expose-Headers': 'Retry-After',
    'Access-Control-Max-Age': '7200',
    Vary: 'Origin',
  };
}

/** An object, also when it comes as a string of JSON; undefined for what is neither. */
function object(value) {
  if (typeof value === 'string') {
    try {
      value = JSON.parse(value);
    } catch {
      return undefined;
    }
  }
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined;
}

/** What is wrong with one item, if anything. */
function wrong(item, user) {
  if (!object(item)) return 'malformed';
  if (typeof item.id !== 'string' || !/^[A-Za-z0-9._:-]{1,64}$/.test(item.id)) return 'id';
  if (typeof item.name !== 'string' || !/^on[A-Z][A-Za-z0-9]{0,62}$/.test(item.name)) return 'name';
  if (typeof item.at !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(item.at)) return 'at';
  if (item.data === undefined || item.data === null) return undefined;
  if (Buffer.byteLength(JSON.stringify(item.data)) > 16 * 1024) return 'data_too_large';
  const data = object(item.data);
  if (!data) return 'malformed';
  return data.userId !== undefined && data.userId !== user ? 'wrong_user' : undefined;
}

export class Receiver {
  /** `origins` may grow while it runs. */
  constructor(secret, origins) {
    this.secret = secret;
    this.origins = origins;
    this.users = new Map();
    this.oddities = [];
  }

  /** What is kept of a user: `{ type, clientId, at, data }`, one an id. */
  timeline(user) {
    return [...(this.users.get(user) ?? new Map()).values()];
  }

  answer({ method, path, headers, body }) {
    if (method === 'GET') return this.script(path, headers);
    const { origin } = headers;
    if (origin !== undefined && !this.origins.has(origin)) return problem(403, 'origin_not_allowed');
    const answer = method === 'OPTIONS' ? { status: 204, headers: {}, body: '' } : this.take(headers, body);
    return { ...answer, headers: { ...answer.headers, ...(origin && cors(origin)) } };
  }

  take(headers, body) {
    const refusal = (code) => {
      const answer = problem(401, code);
      answer.headers['WWW-Authenticate'] = 'Bearer error="invalid_token"';
      return answer;
    };
    const [, token] = /^Bearer (.+)$/.exec(headers.authorization ?? '') ?? [];
    if (!token) return refusal('token_missing');
    const session = verify(this.secret, token);
    if (session.code) return refusal(session.code);
    if (headers['content-type'] !== 'application/json') return problem(415, 'unsupported_media_type');
    if (body.length > 256 * 1024) return problem(413, 'too_large');
    let items;
    try {
      items = JSON.parse(body).callbacks;
    } catch {
      return problem(400, 'malformed');
    }
    if (!Array.isArray(items) || items.length < 1 || items.length > 50) return problem(400, 'malformed');

    const refused = [];
    items.forEach((item, index) => {
      const code = wrong(item, session.sub);
      if (code) refused.push({ index, id: typeof item?.id === 'string' ? item.id : null, code, detail: code });
      else this.keep(session.sub, item);
    });
    const accepted = items.length - refused.length;
    if (!accepted) return problem(422, 'nothing_accepted', { refused });
    return { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ accepted, refused }) };
  }

  keep(user, { id, name, at, data }) {
    const events = this.users.get(user) ?? new Map();
    this.users.set(user, events);
    const event = { type: name, clientId: id, at, data: object(data) };
    const before = events.get(id);
    // The real one quarantines an id that comes back with other words.
    if (before && JSON.stringify(before) !== JSON.stringify(event)) this.oddities.push({ before, event });
    else events.set(id, event);
  }

  script(path, headers) {
    const name = /^\/v1\/(wink-(?:events|live)\.m?js)$/.exec(path)?.[1];
    if (!name) return problem(404, 'not_found');
    const gzip = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
    const body = readFileSync(new URL(gzip ? `${name}.gz` : name, dist));
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`;
    const about = {
      ETag: etag,
      'Cache-Control': 'public, max-age=3600',
      'Access-Control-Allow-Origin': '*',
      'X-Content-Type-Options': 'nosniff',
      Vary: 'Accept-Encoding',
    };
    if (headers['if-none-match'] === etag) return { status: 304, headers: about, body: '' };
    const type = { 'Content-Type': 'text/javascript; charset=utf-8', ...(gzip && { 'Content-Encoding': 'gzip' }) };
    return { status: 200, headers: { ...about, ...type }, body };
  }
}
