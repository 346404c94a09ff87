// A stand-in of Smile's Wink Widget for trying things on this machine: the same constructor, `open()` and
// `close()`, the same screens and callbacks. Which follows which is WALK, data; how a screen looks is in
// screens.js; `smile dev` puts both in here. What a person does is done at the simulator, whose webhooks
// follow.
//
// `SmileLinkModal.standIn` is not the vendor's: it holds what somebody who tries things wants to go wrong.
(() => {
  'use strict';

  const WALK = {/* walk.json */};
  const STYLE = "/* widget.css */";
  const SMILE = new URL('.', document.currentScript.src);

  // Makes an element; functions become listeners, `true` an attribute without a value.
  const h = (tag, props = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (typeof value === 'function') element.addEventListener(name.slice(2).toLowerCase(), value);
      else if (value !== false && value != null) element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children.flat().filter((child) => child != null && child !== false));
    return element;
  };

  /* screens.js */

  class SmileLinkModal {
    static standIn = { twice: false, android: false };

    #config;
    #me = null;
    #dialog = null;
    #body = null;
    #screen = null;
    #now = {};
    #busy = false;

    constructor(config) {
      if (!config?.userToken) throw new TypeError('SmileLinkModal needs a userToken');
      this.#config = config;
    }

    open() {
      if (this.#dialog) return;
      this.#build();
      this.#dialog.showModal();
      this.#act('open', async () => {
        const answer = await this.#ask('me', {});
        this.#me = answer.body;
        return answer;
      });
    }

    close() {
      this.#end(WALK.closes.cross);
    }

    // Calls one of the customer's callbacks. What it throws is the customer's affair.
    #fire(name, data) {
      const callback = this.#config[name];
      if (typeof callback !== 'function') return;
      for (let times = SmileLinkModal.standIn.twice ? 2 : 1; times > 0; times -= 1) {
        try {
          if (data === undefined) callback();
          else callback(structuredClone(data));
        } catch (error) {
          console.error(`${name} threw`, error);
        }
      }
    }

    // Android's web view hands some objects over as texts that hold JSON.
    #form(value) {
      return value && SmileLinkModal.standIn.android ? JSON.stringify(value) : value;
    }

    #data(name) {
      if (name === 'onTokenExpired') return undefined;
      const { userId } = this.#me;
      const { accountId, providerId, errorCode, archiveId, fileType } = this.#now;
      if (name.startsWith('onUploads')) return { uploads: this.#form([{ id: archiveId, fileType }]), userId };
      return { accountId, userId, providerId, ...(name === 'onAccountError' && { errorCode }) };
    }

    // Shows a screen. One that is there already is not shown again, and nothing is called back.
    #show(name) {
      const isNew = name !== this.#screen;
      const { event, account, archive } = WALK.screens[name];
      this.#screen = name;
      this.#render();
      if (!isNew || !event) return;
      const carried = (keys) => (keys ? this.#form(Object.fromEntries(keys.map((key) => [key, this.#now[key]]))) : null);
      this.#fire('onUIEvent', {
        eventName: event,
        eventTime: new Date().toISOString(),
        mode: 'SANDBOX',
        userId: this.#me.userId,
        account: carried(account),
        archive: carried(archive),
      });
    }

    // Goes to another screen, which is about something.
    #go(way, about = {}) {
      const to = WALK.screens[this.#screen].goes[way];
      this.#now = { ...(to === 'providers' ? {} : this.#now), errorCode: undefined, ...about };
      this.#show(to);
    }

    // Has Smile do something, then calls back and goes on as the walk says for what came of it.
    async #act(name, work) {
      if (this.#busy) return;
      this.#busy = true;
      this.#render();
      let done = { outcome: 'broken' };
      try {
        done = await work();
      } catch (error) {
        console.error('Smile does not answer:', error.message);
      }
      this.#busy = false;
      if (!this.#dialog) return;
      const { fires = [], to = this.#screen } = WALK.acts[name][done.outcome] ?? WALK.anyAct[done.outcome];
      this.#now = { ...this.#now, ...done.about };
      for (const callback of fires) this.#fire(callback, this.#data(callback));
      this.#show(to);
    }

    async #ask(call, body) {
      const response = await fetch(new URL(call, SMILE), {
        method: 'POST',
        headers: { authorization: `Bearer ${this.#config.userToken}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (response.status === 401) return { outcome: 'expired' };
      if (!response.ok) throw new Error(`${call}: ${response.status}`);
      return { outcome: 'done', body: await response.json() };
    }

    // One step of linking. How it ends was chosen in the form, since this is a sandbox.
    #link(act, call, body, ending) {
      const errorCode = SCREENS.isError(ending) ? ending : undefined;
      this.#act(act, async () => {
        if (ending === 'broken') throw new Error('as it was asked for');
        const answer = await this.#ask(call, { ...body, ...(errorCode && { errorCode }) });
        if (answer.outcome !== 'done') return answer;
        const { turn, accountId } = answer.body;
        const about = { providerId: this.#now.providerId, accountId, errorCode };
        if (turn === 'connected') this.#me.accounts.push({ providerId: about.providerId, accountId });
        return { outcome: turn, about };
      });
    }

    // What the screens can do.
    #hands() {
      const without = (list, key, id) => list.filter((item) => item[key] !== id);
      return {
        me: this.#me,
        go: (way, about) => this.#go(way, about),
        finish: () => this.#end(this.#hasProblem() ? WALK.closes.problem : WALK.closes.finish),
        begin: (providerId, ending) => {
          this.#now = { ...this.#now, providerId };
          this.#link('link', 'begin', { providerId, turn: SCREENS.isError(ending) ? 'failed' : ending }, ending);
        },
        code: (accountId, ending) => this.#link('code', 'finish', { accountId }, ending),
        disconnect: (accountId) => this.#act('disconnect', async () => {
          const answer = await this.#ask('disconnect', { accountId });
          this.#me.accounts = without(this.#me.accounts, 'accountId', accountId);
          return answer;
        }),
        upload: (fileType, end) => this.#act('upload', async () => {
          if (end === 'broken') throw new Error('as it was asked for');
          const answer = await this.#ask('upload', { fileType, end });
          if (answer.body) this.#me.archives.push(answer.body);
          return { ...answer, about: answer.body };
        }),
        revoke: (archiveId) => this.#act('revoke', async () => {
          const answer = await this.#ask('revoke', { archiveId });
          this.#me.archives = without(this.#me.archives, 'archiveId', archiveId);
          return answer;
        }),
      };
    }

    #hasProblem() {
      return ['expired', 'broken'].includes(this.#screen);
    }

    #end(reason) {
      if (!this.#dialog) return;
      this.#dialog.close();
      this.#dialog.getRootNode().host.remove();
      this.#dialog = null;
      this.#screen = null;
      this.#fire('onClose', { reason });
    }

    #build() {
      const leave = () => this.#end(this.#hasProblem() ? WALK.closes.problem : WALK.closes.cross);
      const onCancel = (event) => {
        event.preventDefault();
        leave();
      };
      this.#body = h('div', { class: 'body' }, h('p', { class: 'wait', role: 'status' }, 'One moment …'));
      this.#dialog = h('dialog', { 'aria-labelledby': 'title', onCancel },
        h('header', {},
          h('span', { class: 'mark', 'aria-hidden': 'true' }, '◡'),
          h('b', {}, 'Smile'),
          h('span', { class: 'tag' }, 'stand-in'),
          h('button', { type: 'button', class: 'cross', 'aria-label': 'Close', onClick: leave }, '×')),
        this.#body);
      const host = h('div', { id: 'smile-widget' });
      const style = new CSSStyleSheet();
      style.replaceSync(STYLE);
      const root = host.attachShadow({ mode: 'open' });
      root.adoptedStyleSheets = [style];
      root.append(this.#dialog);
      document.body.append(host);
    }

    #render() {
      if (this.#busy) {
        for (const control of this.#body.querySelectorAll('button, input, select')) control.disabled = true;
        return;
      }
      this.#body.replaceChildren(...SCREENS[this.#screen](this.#hands(), this.#now).filter(Boolean));
      this.#body.dataset.screen = this.#screen;
      this.#body.scrollTop = 0;
      this.#body.querySelector('h2').focus();
    }
  }

  window.SmileLinkModal = SmileLinkModal;
})();
