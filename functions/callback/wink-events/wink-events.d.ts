/**
 * Types of wink-events: `wrap` for the config of Smile's `SmileLinkModal`, and what goes with it.
 *
 * Callback data as in Smile's reference (Event Notifications, Callbacks). Native bridges pass `uploads`, `account`
 * and `archive` as JSON strings; both forms are delivered.
 */

/** Where a linking stands. */
export interface AccountData {
  accountId: string;
  userId: string;
  providerId: string;
}

export interface AccountErrorData extends AccountData {
  /** For instance `INVALID_CREDENTIALS`; more can come. */
  errorCode: string;
}

export interface CloseData {
  /** Newer widgets say how they were closed. */
  reason?: 'close' | 'exit' | 'error' | (string & {});
}

export interface UploadsData {
  uploads: unknown;
  userId: string;
}

/** The screens that Smile lists; new names can come. */
export type Screen =
  | 'ConsentPageOpened'
  | 'ProviderListPageOpened'
  | 'LoginPageOpened'
  | 'MfaPageOpened'
  | 'ConnectSuccessPageOpened'
  | 'AccountRevokePageOpened'
  | 'LoginOptionsPageOpened'
  | 'EmployerSurveyPageOpened'
  | 'FileTypeListPageOpened'
  | 'FileTypePageOpened'
  | 'ArchiveSuccessPageOpened'
  | 'RevokeArchivePageOpened'
  | (string & {});

export interface UIEventData {
  eventName: Screen;
  eventTime: string;
  mode: 'SANDBOX' | 'PRODUCTION' | (string & {});
  userId: string;
  account?: { providerId?: string; accountId?: string };
  archive?: { fileType?: string };
}

/** The nine callbacks. What they return is handed on to the widget, promises included. */
export interface SmileCallbacks {
  onAccountCreated?(data: AccountData): unknown;
  onAccountConnected?(data: AccountData): unknown;
  onAccountRemoved?(data: AccountData): unknown;
  onAccountError?(data: AccountErrorData): unknown;
  onTokenExpired?(): unknown;
  onClose?(data: CloseData): unknown;
  onUploadsCreated?(data: UploadsData): unknown;
  onUploadsRemoved?(data: UploadsData): unknown;
  onUIEvent?(data: UIEventData): unknown;
}

/** What `new SmileLinkModal(…)` takes. Options that are not named here pass through `wrap` with their own types. */
export interface SmileLinkModalConfig extends SmileCallbacks {
  /** The link token, `userToken` in the answer of `POST /v1/links`. */
  userToken?: string;
  templateId?: string;
}

export interface WrapOptions {
  /** Where callbacks go: `urls.callbacks` in the answer of `POST /v1/links`. */
  url: string;
  /** The session token: `session.token` in that answer. It is kept in memory only. */
  session: string;
  /**
   * Called when the session is no longer accepted; resolves to a new one of the same user. It is called once, and
   * again only after a session has worked. Without it, or when it resolves to nothing, delivery waits for
   * {@link session}. When it rejects, it is called again later.
   */
  onSessionExpired?(): Promise<string | null | undefined | void> | string | null | undefined | void;
  /** Says on the console what is refused, dropped or tried again: names, codes and counts, no data. */
  debug?: boolean;
}

/** What `wrap` returns: your own config, type and all, with all nine callbacks in place. */
export type Wrapped<C> = C & Omit<Required<SmileCallbacks>, keyof C>;

/**
 * A copy of `config` whose callbacks do what yours do, and are delivered as well.
 *
 * Never throws. With options that cannot work it warns on the console and returns `config` as it is. Wrapping again
 * for the same endpoint and user shares one queue; the options of the latest call count.
 */
export function wrap<C extends SmileLinkModalConfig>(config: C, options: WrapOptions): Wrapped<C>;

/** Gives a new session token to the queues of its user. */
export function session(token: string): void;

/**
 * Sends what waits now. Resolves to whether nothing waits any more, at the latest after `ms` (3,000 when not given).
 * For a web view whose app closes it in `onClose`.
 */
export function flush(ms?: number): Promise<boolean>;

/** Counts of this page, over all its queues. */
export interface Stats {
  /** In the queue, or under way. */
  queued: number;
  accepted: number;
  /** Refused for good by the endpoint, or pushed out of a full queue. */
  dropped: number;
}

export function stats(): Stats;

/** The classic build puts the same functions on `window.winkEvents`. */
export as namespace winkEvents;
