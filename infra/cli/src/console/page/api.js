/**
 * Requests to the console's own server. Its key comes in the address's fragment, which browsers send to nobody; it is
 * taken out of the address at once, and kept for this tab.
 */

const KEY = 'smile-console-key';

/** Takes the key out of the address, if it is there; says whether it was. */
export function takeKey() {
  const [, key] = /^#key=([\w-]+)$/.exec(location.hash) ?? [];
  if (!key) return false;
  sessionStorage.setItem(KEY, key);
  history.replaceState(null, '', '#/');
  return true;
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Something is wrong: `status` says what, `message` what to do. */
export class Wrong extends Error {
  constructor(status, message, more) {
    super(message);
    this.status = status;
    this.more = more;
    if (status === 401) this.title = 'This page needs its key.';
    if (status === 0) this.title = 'The console does not answer.';
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    const headers = { authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ''}`, ...options.headers };
    answer = await fetch(`/api/${path}`, { ...options, headers });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Wrong(0, 'It was ended, or this machine sleeps. Start it again, and open the address that it prints.');
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Wrong(answer.status, told.detail ?? `The answer was ${answer.status}.`, told);
}

export async function get(path) {
  return (await ask(path)).json();
}

/** The same, or `undefined` where nothing is known. */
export async function find(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error.status === 404) return undefined;
    throw error;
  }
}

export async function post(path, body, signal) {
  const headers = { 'content-type': 'application/json' };
  return (await ask(path, { method: 'POST', headers, body: JSON.stringify(body), signal })).json();
}

/** Reads an answer that goes on, and calls `heard(event, data)` for each message. Ends when it ends. */
export async function stream(path, heard, { signal, body } = {}) {
  const post = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await ask(path, { signal, ...post });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const messages = (rest + value).split('\n\n');
    rest = messages.pop();
    for (const message of messages) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(message) ?? [];
      if (event) heard(event, JSON.parse(data));
    }
  }
}
