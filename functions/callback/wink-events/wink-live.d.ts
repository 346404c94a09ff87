/** Types of wink-live: `onChange`, which tells a page when something of its user has changed. */

/** Something has changed: what, the page asks its back end. */
export interface Change {
  /** The event's type, for instance `ACCOUNT_CONNECTED`; new ones can come. */
  type: string;
  /** The event. The same one can be told twice. */
  id: string;
  /** What it is about: `ACCOUNT#id`, `ARCHIVE#id`, `INVITE#id`, or `USER`. */
  entity: string;
}

/** The page has begun to listen, again or for the first time: what happened before, it learns by reading the state. */
export interface Refresh {
  type: 'refresh';
  id?: undefined;
  entity?: undefined;
}

/** A session token, or none where nobody is logged in any more. */
type MaybeSession = string | null | undefined;

export interface ChangeOptions {
  /** The WebSocket: `urls.live` in the answer of `POST /v1/links`. */
  url: string;
  /**
   * The session token: `session.token` in that answer. Or a function that gives a fresh one of the same user: it is
   * asked at the beginning, before a session ends, and after several failures in a row. With a token alone, listening
   * ends when the session does; with a function, when it gives null or nothing.
   */
  session: string | (() => MaybeSession | Promise<MaybeSession>);
}

/**
 * Calls `callback` when something of the session's user has changed, until the function that it returns is called.
 *
 * Never throws. With options that cannot work it warns on the console. What `callback` throws goes to the page's own
 * `error` event, and listening goes on.
 */
export function onChange(callback: (change: Change | Refresh) => unknown, options: ChangeOptions): () => void;
