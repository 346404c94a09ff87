/** What events add up to: a user's things, and where the browser and Smile do not agree. */
import { find } from './api.js';
import { chip, facts, h, loading, many, note, route, time, wrong } from './dom.js';

const screen = (name) => name.replace(/PageOpened$/, '');
const words = (...parts) => parts.filter(Boolean).flatMap((part, at) => (at ? [' · ', part] : [part]));

/** Accounts of which the browser claims something that Smile has not said. */
export const differing = (user) => user.accounts?.filter(({ claim }) => claim?.differs_since) ?? [];

export function difference({ account, status, claim }) {
  return h('p', { class: 'difference' }, chip('They differ', 'differs'), ` The browser says ${claim.status} of `, h('span', { class: 'id' }, account),
    `; Smile says ${status === 'UNKNOWN' ? 'nothing of it' : status}. Since `, time(claim.differs_since), '.');
}

function work({ sync, tasks, data }) {
  const points = (list) => list && (list.length > 3 ? many(list.length, 'data point') : list.join(', '));
  return [
    sync && ['Sync', words(sync.status, points(sync.datapoints), time(sync.at))],
    ...Object.entries(tasks ?? {}).map(([kind, task]) => [kind, words(task.status ?? task.state, task.error_code, points(task.datapoints), time(task.at))]),
    ...Object.entries(data ?? {}).map(([point, one]) => [point, words(one.change, one.count !== undefined && `${one.count}`, time(one.at))]),
  ].filter(Boolean);
}

function card(kind, id, status, about, rows, ...more) {
  return h('section', { class: `card thing${about === `${kind.toUpperCase()}#${id}` ? ' about' : ''}`, 'aria-label': `${kind} ${id}` },
    h('div', { class: 'head' }, h('h3', {}, kind[0].toUpperCase() + kind.slice(1)), status && chip(status)), h('p', { class: 'id' }, id), more, facts(rows));
}

function account(one, about) {
  const { claim } = one;
  return card('account', one.account, one.status, about, [
    ['Since', time(one.status_at)], ['Error', one.error_code], ['Revoked', time(one.revoked_at)],
    ['Browser says', claim && words(claim.status, claim.error_code, time(claim.at))],
    ['Unconfirmed', claim?.unconfirmed_at && words('no webhook had come by', time(claim.unconfirmed_at))],
    ['Providers', one.providers?.join(', ')], ['Monitor', one.monitor && words(one.monitor.status, time(one.monitor.at))], ...work(one),
  ], claim?.differs_since && difference(one));
}

function widget(said) {
  const { last_error: error, uploads } = said;
  return h('section', { class: 'card thing' }, h('h3', {}, 'Widget, as the browser says'), facts([
    ['Last screen', said.screen && words(screen(said.screen), said.provider, time(said.screen_at))],
    ['Last error', error && words(error.error_code, error.provider, time(error.at))],
    ['Uploads', uploads && words(uploads.change, uploads.count !== undefined && `${uploads.count}`, time(uploads.at))],
    ['Token expired', time(said.token_expired_at)], ['Closed', said.closed_at && words(said.close_reason, time(said.closed_at))], ['Mode', said.mode],
  ]), Object.entries(said.funnel ?? {}).map(([provider, screens]) => funnel(provider, screens)));
}

function funnel(provider, screens) {
  const steps = Object.entries(screens).sort(([, one], [, other]) => new Date(one) - new Date(other));
  const start = new Date(steps[0]?.[1]);
  return [h('h4', {}, provider === '-' ? 'Funnel' : `Funnel, ${provider}`), h('ol', { class: 'funnel' }, steps.map(([name, at]) =>
    h('li', {}, screen(name), ' ', h('small', {}, `+${Math.round((new Date(at) - start) / 1000)} s`))))];
}

/** All that is known of a user, beside the timeline. `about` is what was looked for, such as `ACCOUNT#a-1`. */
export function user(view, about) {
  const { session } = view;
  return [
    session && h('section', { class: 'card thing' }, h('div', { class: 'head' }, h('h3', {}, 'Session'), session.status && chip(session.status)),
      facts([['Channel', words(session.channel, session.channel_id)], ['Since', time(session.at)], ['User since', time(view.created_at)]])),
    (view.accounts ?? []).map((one) => account(one, about)),
    (view.archives ?? []).map((one) => card('archive', one.archive, one.status, about, [['Since', time(one.status_at)], ['Error', one.error_code], ['Revoked', time(one.revoked_at)], ...work(one)])),
    (view.invites ?? []).map((one) => card('invite', one.invite, one.status, about, [['Since', time(one.at)]])),
    view.widget && widget(view.widget),
  ];
}

/** The view of a record or a verification: it belongs to no user. */
export async function record(main, kind, id, events) {
  const heading = h('h1', {}, `${kind === 'record' ? 'Record' : 'Verification'} ${id}`);
  main.replaceChildren(heading, loading(`the ${kind}`));
  try {
    const known = await find(`v1/${kind}s/${encodeURIComponent(id)}`);
    const state = known
      ? h('section', {}, h('h2', {}, 'State'), card(kind, id, known.status, undefined, [['Type', known.type], ['Result', known.result_code], ['Since', time(known.at)]]))
      : note('empty', `Nothing is known of the ${kind} ${id}.`);
    main.replaceChildren(heading, state, await events());
  } catch (error) {
    main.replaceChildren(heading, wrong(error, () => record(main, kind, id, events)));
  }
}

/** The view of an account, archive or invite: its user's, or a choice where several have one of this id. */
export async function owned(main, kind, id) {
  const heading = h('h1', {}, `${kind[0].toUpperCase()}${kind.slice(1)} ${id}`);
  main.replaceChildren(heading, loading(`the ${kind}`));
  try {
    const found = (await find(`v1/${kind}s/${encodeURIComponent(id)}`))?.[`${kind}s`] ?? [];
    const to = ({ user }) => route(['user', user], { about: `${kind.toUpperCase()}#${id}` });
    if (found.length === 1) return location.replace(to(found[0]));
    main.replaceChildren(heading, found.length
      ? h('ul', { class: 'found' }, found.map((one) => h('li', {}, h('a', { href: to(one) }, `of user ${one.user}`))))
      : note('empty', `Nothing is known of the ${kind} ${id}.`, 'Look at the id again; an event of it may be in quarantine.'));
  } catch (error) {
    main.replaceChildren(heading, wrong(error, () => owned(main, kind, id)));
  }
}
