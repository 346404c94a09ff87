/** The classic build: the same functions as `window.winkEvents`. */
import { flush, session, stats, wrap } from './wink-events.js';

window.winkEvents = { wrap, session, flush, stats };
