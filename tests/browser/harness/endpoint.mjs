/**
 * What the pages talk to: a small server in front of the receiver, or of the deployed function, that keeps a log and
 * does on request what networks and clouds do: refuse, cut, lose an answer, take its time.
 */
import { request as http, createServer } from 'node:http';
import { request as https } from 'node:https';
import { cors, problem } from './receiver.mjs';

/** One fault each, to be queued with `endpoint.next(…)` or set with `endpoint.always(…)`. */
export const fault = {
  /** An answer of ours instead of the receiver's. `opaque` leaves out CORS, as a gateway's own answers do. */
  status: (status, { retryAfter, opaque = false, code = 'unavailable' } = {}) => ({ status, retryAfter, opaque, code }),
  /** The connection breaks before anything was done. */
  cut: () => ({ cut: 'before' }),
  /** All is done, and the answer is lost. */
  lost: () => ({ cut: 'after' }),
  /** Nothing happens until `release` is called. */
  hold: () => {
    const held = {};
    held.until = new Promise((resolve) => (held.release = resolve));
    return held;
  },
};

export class Endpoint {
  /** Either a `receiver`, or the `upstream` URL of a deployed callback endpoint. */
  constructor({ receiver, upstream }) {
    this.receiver = receiver;
    this.upstream = upstream && new URL(upstream);
    this.server = createServer((request, response) => void this.serve(request, response));
    this.reset();
  }

  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.base = `http://127.0.0.1:${this.server.address().port}`;
    this.url = `${this.base}/v1/callbacks`;
    return this;
  }

  reset() {
    this.log = [];
    this.faults = [];
    this.standing = undefined;
  }

  /** These faults for the next requests that carry callbacks, one each. */
  next(...faults) {
    this.faults.push(...faults);
  }

  /** This fault for every further request; without one, back to order. */
  always(standing) {
    this.standing = standing;
  }

  /** The ids that came, with repeats, in order. */
  ids() {
    return this.log.flatMap(({ items }) => items.map(({ id }) => id));
  }

  async serve(request, response) {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    const { method, url: path, headers } = request;
    const carries = method === 'POST';
    const failing = carries ? (this.faults.shift() ?? this.standing) : undefined;
    if (carries) this.note(headers, body, failing);
    if (failing?.until) await failing.until;
    if (failing?.cut === 'before') return request.socket.destroy();
    const answer = failing?.status ? this.refuse(failing, headers) : await this.forward({ method, path, headers, body });
    if (failing?.cut === 'after') return request.socket.destroy();
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  note(headers, body, failing) {
    let items = [];
    try {
      items = JSON.parse(body).callbacks;
    } catch {
      // What is not JSON is the receiver's to refuse.
    }
    this.log.push({ items, bytes: body.length, token: headers.authorization?.slice(7), at: Date.now(), failing });
  }

  refuse({ status, retryAfter, opaque, code }, { origin }) {
    const answer = problem(status, code);
    if (retryAfter !== undefined) answer.headers['Retry-After'] = String(retryAfter);
    if (!opaque && origin) Object.assign(answer.headers, cors(origin));
    return answer;
  }

  async forward(request) {
    if (!this.upstream) return this.receiver.answer(request);
    const target = new URL(request.path === '/v1/callbacks' ? this.upstream.href : new URL(request.path.slice(4), this.upstream).href);
    const send = target.protocol === 'https:' ? https : http;
    const headers = { ...request.headers, host: target.host, connection: 'close' };
    return new Promise((resolve) => {
      const outgoing = send(target, { method: request.method, headers }, (incoming) => {
        const parts = [];
        incoming.on('data', (part) => parts.push(part));
        const { connection, 'transfer-encoding': _, ...kept } = incoming.headers;
        incoming.on('end', () => resolve({ status: incoming.statusCode, headers: kept, body: Buffer.concat(parts) }));
      });
      outgoing.on('error', () => resolve(problem(503, 'unavailable')));
      outgoing.end(request.body);
    });
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
