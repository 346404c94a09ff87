/** Checked by `npm run types`, never run: what a customer's code may rely on. */
import { flush, session, stats, wrap, type Wrapped, type SmileLinkModalConfig } from 'wink-events';
import { onChange, type Change } from 'wink-events/live';

declare class SmileLinkModal {
  constructor(config: Required<Pick<SmileLinkModalConfig, 'onClose' | 'onUIEvent'>>);
}

const options = { url: 'https://api.example.com/v1/callbacks', session: 'a.b.c' };

// The data of an inline callback has its type, and unknown options keep theirs.
const config = wrap(
  {
    userToken: 'token',
    apiHost: 'https://link-sandbox.smileapi.io/v1',
    providers: ['upwork'] as const,
    onAccountConnected: ({ accountId }) => accountId.length,
    onClose: async ({ reason }) => reason === 'exit',
  },
  options,
);
const providers: readonly ['upwork'] = config.providers;
const length: number = config.onAccountConnected({ accountId: 'a', userId: 'u', providerId: 'p' });
const closed: Promise<boolean> = config.onClose({ reason: 'exit' });
config.onUIEvent({ eventName: 'SomethingNew', eventTime: '', mode: 'SANDBOX', userId: 'u' });
config.onTokenExpired();
new SmileLinkModal(config);

// A customer's own, narrower type survives.
interface Mine extends SmileLinkModalConfig {
  theme: 'dark';
  onAccountError(data: { errorCode: string }): void;
}
const mine = (given: Mine): Wrapped<Mine> => wrap(given, { ...options, onSessionExpired: async () => 'a.b.c' });
const theme = (given: Mine): 'dark' => mine(given).theme;

// A page without callbacks of its own, and renewals that find nothing.
wrap({ userToken: 'token' }, { ...options, onSessionExpired: () => undefined, debug: true });

// @ts-expect-error a session is needed
wrap({ userToken: 'token' }, { url: options.url });
// @ts-expect-error a callback must be one
wrap({ userToken: 'token', onClose: 1 }, options);
// @ts-expect-error the data of onAccountCreated has no errorCode
wrap({ userToken: 'token', onAccountCreated: (data) => data.errorCode }, options);

// Live refresh: with a token or a function, and what it is told apart by.
const known = new Set<string>();
const stop: () => void = onChange(
  (change) => {
    if (change.type !== 'refresh' && change.id) known.add(change.id);
    const about: string | undefined = change.entity;
    return about;
  },
  { url: 'wss://live.example.com/live', session: async () => 'a.b.c' },
);
onChange(async (change) => (change as Change).entity, { url: 'wss://live.example.com/live', session: 'a.b.c' });
// @ts-expect-error a session is needed
onChange(() => {}, { url: 'wss://live.example.com/live' });

session('a.b.c');
const done: Promise<boolean> = flush(1000);
const queued: number = stats().queued;
export { closed, done, length, mine, providers, queued, stop, theme };
