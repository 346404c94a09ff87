/** Session tokens, as `link` mints them: JWT, HS256. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (secret, text) => createHmac('sha256', secret).update(text).digest();

/** A token for `user` that is valid for `seconds` from now; a negative number gives an expired one. */
export function mint(secret, user, seconds = 3600) {
  const now = Math.floor(Date.now() / 1000);
  const iat = Math.min(now, now + seconds - 60);
  const claims = { iss: 'smile-receiver', aud: 'smile-session', sub: user, iat, exp: now + seconds, jti: randomBytes(16).toString('hex') };
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${sign(secret, text).toString('base64url')}`;
}

/** The claims of a good token, or `{ code }` with what is wrong. */
export function verify(secret, token) {
  const [head, claims, signature] = token.split('.');
  try {
    const given = Buffer.from(signature, 'base64url');
    const right = sign(secret, `${head}.${claims}`);
    if (JSON.parse(Buffer.from(head, 'base64url')).alg !== 'HS256') return { code: 'token_invalid' };
    if (given.length !== right.length || !timingSafeEqual(given, right)) return { code: 'token_invalid' };
    const read = JSON.parse(Buffer.from(claims, 'base64url'));
    if (read.iss !== 'smile-receiver' || read.aud !== 'smile-session') return { code: 'token_invalid' };
    return read.exp > Date.now() / 1000 ? read : { code: 'token_expired' };
  } catch {
    return { code: 'token_invalid' };
  }
}
