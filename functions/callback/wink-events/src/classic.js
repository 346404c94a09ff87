/** The classic build: the same functions on `window.winkEvents`, beside those of wink-live. */
import { flush, session, stats, wrap } from './wink-events.js';

window.winkEvents = { ...window.winkEvents, wrap, session, flush, stats };
