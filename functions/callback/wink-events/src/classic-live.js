/** The classic build: the same function on `window.winkEvents`, beside those of wink-events. */
import { onChange } from './wink-live.js';

window.winkEvents = { ...window.winkEvents, onChange };
