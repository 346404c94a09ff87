// The customer's page: it asks its back end for a link, opens the widget, and, for whoever tries this, shows
// what the browser said, what Smile said, and what the receiver's table has.
(() => {
  'use strict';

  const CALLBACKS = [
    'onAccountCreated', 'onAccountConnected', 'onAccountRemoved', 'onAccountError', 'onTokenExpired', 'onClose',
    'onUploadsCreated', 'onUploadsRemoved', 'onUIEvent',
  ];
  const EVERY = 1000;
  const $ = (id) => document.getElementById(id);
  const hasCallbacks = document.documentElement.dataset.callbacks === 'there';

  let link = null;
  let user = sessionStorage.getItem('user');
  let shown = '';
  const delivered = new Set();

  const h = (tag, props = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) if (value) element.setAttribute(name, value);
    element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
    return element;
  };
  // Where there is little room, a long name breaks between its parts.
  const breakable = (name) => name.split(/(?<=_)|(?=PageOpened)/).flatMap((part) => [h('wbr'), part]);
  const many = (number, what) => `${number} ${what}${number === 1 ? '' : 's'}`;
  const chip = (text, kind) => h('span', { class: `chip ${kind ?? ''}` }, text);
  const clock = (at) => at && new Date(at).toLocaleTimeString('en-GB');
  const short = (id) => (id?.length > 14 ? `${id.slice(0, 10)}…` : id);

  // The customer's back end, and what lets things go wrong.
  async function post(path, body) {
    const response = await fetch(path, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const words = answer.detail ?? answer.title ?? answer.message ?? `${path}: ${response.status}`;
    throw Object.assign(new Error(words), { status: response.status });
  }

  async function freshLink() {
    const again = user && await post('/api/refresh', { userId: user }).catch((error) => {
      // This tab remembers somebody of an earlier local cloud.
      if (error.status !== 404) throw error;
    });
    link = again || await post('/api/links', {});
    user = link.userId;
    sessionStorage.setItem('user', user);
    $('anew').hidden = false;
    return link;
  }

  async function connect() {
    if ($('connect').ariaBusy === 'true') return;
    $('connect').ariaBusy = 'true';
    say('');
    try {
      await freshLink();
      const callbacks = CALLBACKS.map((name) => [name, (data) => heard(name, data)]);
      let config = { ...Object.fromEntries(callbacks), userToken: link.userToken };
      if (window.winkEvents && link.session) {
        const { token } = link.session;
        config = winkEvents.wrap(config, {
          url: link.urls.callbacks,
          // With another end of its signature it is nobody's.
          session: $('refused').checked ? `${token.slice(0, -6)}AAAAAA` : token,
          onSessionExpired: async () => (await freshLink()).session.token,
        });
      }
      const lasts = $('token').value;
      if (lasts === '0') await trouble({ expire: user });
      if (lasts > 0) setTimeout(trouble, lasts, { expire: user });
      new SmileLinkModal(config).open();
    } catch (error) {
      say(`That did not work: ${error.message}`);
    }
    $('connect').ariaBusy = 'false';
  }

  function say(text) {
    $('said').textContent = text;
  }

  // A callback, as the customer's own code gets it.
  function heard(name, data) {
    const read = (value) => (typeof value === 'string' ? { ...JSON.parse(value), form: 'as a text' } : value ?? {});
    const { providerId, fileType, form } = { ...data, ...read(data?.account), ...read(data?.archive) };
    const uploads = typeof data?.uploads === 'string' ? JSON.parse(data.uploads) : data?.uploads;
    const details = [providerId, fileType, data?.errorCode, data?.reason, uploads && many(uploads.length, 'upload'), form];
    append($('callbacks'), h('li', {}, h('time', {}, clock(Date.now())), h('b', {}, breakable(data?.eventName ?? name)),
      data?.eventName && chip(name), h('small', {}, details.filter(Boolean).join(', '))));
    if (name === 'onTokenExpired') say('The link has expired. Close the widget and connect again: a new one is asked for.');
    if (name === 'onClose') setTimeout(look);
  }

  function append(list, item) {
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(item);
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  // Webhooks as they were delivered, and the table.
  async function look() {
    if (!user || document.hidden) return;
    let seen;
    try {
      const response = await fetch(`/watch?user=${encodeURIComponent(user)}`);
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      seen = await response.json();
    } catch (error) {
      $('state').replaceChildren(h('p', { class: 'differs' }, `smile dev does not answer: ${error.message}`));
      shown = '';
      return;
    }
    // What is not new is not drawn anew: nobody's place in it is lost.
    const text = JSON.stringify(seen);
    if (text === shown) return;
    shown = text;
    deliveries(seen.deliveries);
    if (seen.table) table(seen.table);
    else $('state').replaceChildren(h('p', { class: 'differs' }, `The table cannot be read: ${seen.unreadable}`));
  }

  function deliveries(all) {
    for (const { event, status, at, type, try: number } of all) {
      const key = `${event} ${number} ${at}`;
      if (delivered.has(key)) continue;
      delivered.add(key);
      const kind = number === 0 ? 'wait' : status >= 200 && status < 300 ? 'good' : 'bad';
      append($('deliveries'), h('li', {}, h('time', {}, clock(at)), h('b', {}, breakable(type)),
        chip(number === 0 ? 'lost' : status ?? 'no answer', kind), number > 1 && h('small', {}, `try ${number}`)));
    }
  }

  function table({ user: state, events }) {
    const accounts = state?.accounts ?? [];
    const from = (source) => events.filter((event) => event.source === source).length;
    const repeats = events.filter((event) => event.deliveries > 1).length;
    const again = repeats ? `; ${many(repeats, 'event')} came more than once` : '';
    const count = `${many(from('webhook'), 'webhook')} and ${many(from('callback'), 'callback')} stored${again}`;
    $('state').replaceChildren(...[
      h('p', { class: 'empty' }, count),
      accounts.length > 0 && h('div', { class: 'accounts' }, accounts.map(account)),
      archives(state?.archives ?? []),
      widget(state?.widget),
      ...Object.entries(state?.widget?.funnel ?? {}).map(funnel),
    ].filter(Boolean));
    $('income').replaceChildren(...accounts.map(believed).filter(Boolean));
  }

  const KINDS = { CONNECTED: 'good', ANALYZED: 'good', PENDING: 'wait', STARTED: 'wait', UNKNOWN: 'wait', ERROR: 'bad' };
  const standing = (status) => chip(status, KINDS[status]);
  const nameOf = (account) => account.providers?.[0] ?? account.claim?.provider ?? short(account.account);

  // Both sides of one account. Only the server's word counts.
  function account(it) {
    const { claim } = it;
    const isSilent = it.status === 'UNKNOWN';
    return h('article', { class: 'account' },
      h('b', {}, nameOf(it)), ' ', h('small', {}, short(it.account)),
      h('dl', {},
        h('dt', {}, 'Browser'), h('dd', {}, claim ? chip(claim.status, 'claim') : hasCallbacks ? '…' : 'not stored', ' ', h('small', {}, claim?.error_code ?? clock(claim?.at))),
        h('dt', {}, 'Smile'), h('dd', {}, isSilent ? chip('nothing yet', 'wait') : standing(it.status), ' ', h('small', {}, it.error_code ?? clock(it.status_at)))),
      claim?.differs_since && h('p', { class: 'differs' }, `They differ since ${clock(claim.differs_since)}.`),
      claim?.unconfirmed_at && h('p', { class: 'differs' }, `Not confirmed in time: counted at ${clock(claim.unconfirmed_at)}.`));
  }

  // What the customer believes of an account.
  function believed(it) {
    if (it.status === 'CONNECTED') return h('li', {}, h('b', {}, nameOf(it)), chip('connected', 'good'));
    const isPending = it.claim?.status === 'CONNECTED' && it.claim.differs_since;
    return isPending && h('li', {}, h('b', {}, nameOf(it)), chip('being confirmed', 'wait'));
  }

  function archives(all) {
    if (all.length === 0) return null;
    return h('dl', { class: 'facts' }, all.map((it) => [
      h('dt', {}, 'Archive'), h('dd', {}, standing(it.status), ' ', h('small', {}, [short(it.archive), it.error_code].filter(Boolean).join(', '))),
    ]));
  }

  function widget(it) {
    if (!it) return null;
    const { last_error: error, uploads } = it;
    const facts = {
      'Last screen': it.screen && [it.screen, it.provider, it.mode, clock(it.screen_at)],
      'Last error': error && [error.error_code, error.provider, clock(error.at)],
      Uploads: uploads && [uploads.change, uploads.count, clock(uploads.at)],
      'Token expired': it.token_expired_at && [clock(it.token_expired_at)],
      Closed: it.closed_at && [it.close_reason, clock(it.closed_at)],
    };
    return h('dl', { class: 'facts' }, Object.entries(facts).filter(([, words]) => words).map(([name, words]) => [
      h('dt', {}, name), h('dd', {}, words.filter((word) => word != null).join(', ')),
    ]));
  }

  // The first time of each screen, from the first one on.
  function funnel([provider, firsts]) {
    const steps = Object.entries(firsts).sort(([, a], [, b]) => Date.parse(a) - Date.parse(b));
    const begin = Date.parse(steps[0]?.[1]);
    return h('div', {}, h('b', {}, provider === '-' ? 'Funnel' : `Funnel at ${provider}`),
      h('ol', { class: 'funnel' }, steps.map(([screen, at]) =>
        h('li', {}, chip(`${screen.replace('PageOpened', '')} +${((Date.parse(at) - begin) / 1000).toFixed(1)} s`)))));
  }

  async function trouble(body) {
    try {
      await post('/trouble', body);
    } catch (error) {
      say(`That did not work: ${error.message}`);
    }
  }

  $('no-callbacks').hidden = hasCallbacks;
  $('anew').hidden = !user;
  $('connect').addEventListener('click', connect);
  $('anew').addEventListener('click', () => {
    sessionStorage.removeItem('user');
    location.reload();
  });
  $('twice').addEventListener('change', (event) => { SmileLinkModal.standIn.twice = event.target.checked; });
  $('android').addEventListener('change', (event) => { SmileLinkModal.standIn.android = event.target.checked; });
  $('webhooks').addEventListener('change', (event) => trouble({ mischief: JSON.parse(event.target.value) }));
  document.addEventListener('visibilitychange', look);
  const again = () => look().finally(() => setTimeout(again, EVERY));
  again();
})();
