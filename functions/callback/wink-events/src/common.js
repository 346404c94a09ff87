/** What both scripts need. */

export function isFunction(value) {
  return typeof value === 'function';
}

export function isObject(value) {
  return typeof value === 'object' && !!value;
}

/** The object or array that a text holds, as Android's web view passes them; undefined for anything else. */
export function parsed(text) {
  const value = typeof text === 'string' && attempt(() => JSON.parse(text));
  return isObject(value) ? value : undefined;
}

/** What a session token says of itself, read without trusting it. Throws, or gives nothing, where it says nothing. */
export function claimsOf(token) {
  return parsed(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
}

/** What `action` returns, or undefined when it throws: storage that is full or forbidden, text that is no JSON. */
export function attempt(action) {
  try {
    return action();
  } catch (error) {
    // Every caller goes on without it.
  }
}
