/**
 * Stands in for https://web.smileapi.io/v2/smile.v2.js: the same class, the same callbacks in the same order, without
 * screens. Tests reach it as `modals`, and call `fire` or `walk`.
 */
(() => {
  const userOf = (token) => token.split('/')[1] ?? 'unknown';

  class SmileLinkModal {
    constructor(config) {
      this.config = config;
      this.userId = userOf(config.userToken);
      (window.modals ??= []).push(this);
    }

    open() {
      this.screen('ConsentPageOpened');
    }

    fire(name, ...args) {
      return this.config[name]?.(...args);
    }

    screen(eventName, account, archive) {
      const eventTime = new Date().toISOString();
      return this.fire('onUIEvent', { eventName, eventTime, mode: 'SANDBOX', userId: this.userId, account, archive });
    }

    /** One user's way through everything: all twelve screens and all nine callbacks. */
    walk() {
      const providerId = 'upwork';
      const account = { accountId: 'a-1', providerId };
      const of = { ...account, userId: this.userId };
      const uploads = [{ fileType: 'SSS', archiveId: 'r-1' }];
      this.screen('ProviderListPageOpened');
      this.screen('EmployerSurveyPageOpened');
      this.screen('LoginOptionsPageOpened');
      this.screen('LoginPageOpened', { providerId });
      this.fire('onAccountCreated', of);
      this.fire('onAccountError', { ...of, errorCode: 'INVALID_CREDENTIALS' });
      this.screen('MfaPageOpened', { providerId });
      this.screen('ConnectSuccessPageOpened', account);
      this.fire('onAccountConnected', of);
      this.screen('FileTypeListPageOpened');
      this.screen('FileTypePageOpened', undefined, { fileType: 'SSS' });
      this.fire('onUploadsCreated', { uploads, userId: this.userId });
      this.screen('ArchiveSuccessPageOpened', undefined, { fileType: 'SSS' });
      this.screen('RevokeArchivePageOpened', undefined, { fileType: 'SSS' });
      this.fire('onUploadsRemoved', { uploads, userId: this.userId });
      this.screen('AccountRevokePageOpened', account);
      this.fire('onAccountRemoved', of);
      this.fire('onTokenExpired');
      this.fire('onClose', { reason: 'exit' });
    }
  }

  window.SmileLinkModal = SmileLinkModal;
})();
