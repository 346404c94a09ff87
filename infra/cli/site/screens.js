  // How each screen of the walk looks. `w` is what it can do; the second argument is what it is about.
  const SCREENS = (() => {
    const NAMES = {
      sss_ph: 'SSS', upwork: 'Upwork', tin_ph: 'Tax number, Philippines', bpjstk_id: 'BPJS Ketenagakerjaan',
      gojek_id: 'Gojek', npwp_id: 'Tax number, Indonesia', vssid_vn: 'VssID', grab_vn: 'Grab', mst_vn: 'Tax number, Viet Nam',
      sso_th: 'Social Security Office, Thailand', lineman_th: 'LINE MAN', tin_th: 'Tax number, Thailand',
    };
    const WITH_LOGIN_OPTIONS = ['upwork', 'gojek_id', 'grab_vn', 'lineman_th'];
    const FILE_TYPES = {
      PAYSLIP: 'Payslip', TAX_DOCUMENT: 'Tax document', EMPLOYMENT_CERTIFICATE: 'Certificate of employment',
      BANK_STATEMENT: 'Bank statement', GOVERNMENT_ID: 'Government ID',
    };
    const ERRORS = {
      INVALID_CREDENTIALS: 'The user name or the password is not right.',
      ACCOUNT_LOCKED: 'This account is locked. The provider can unlock it.',
      SERVICE_UNAVAILABLE: 'The provider does not answer just now.',
      INVALID_MFA: 'That code is not right.',
      MFA_TIMEOUT: 'The code came too late.',
    };
    const CONNECTED = { connected: 'It is connected' };
    const SILENCE = { broken: 'Smile does not answer' };

    const title = (text) => h('h2', { id: 'title', tabindex: '-1' }, text);
    const text = (words) => h('p', {}, words);
    const button = (label, onClick, kind = '') => h('button', { type: 'button', class: kind, onClick }, label);
    const main = (label, onClick) => button(label, onClick, 'main');
    const row = (label, note, onClick) =>
      h('button', { type: 'button', class: 'row', onClick }, h('span', {}, label), h('small', {}, note));
    const list = (heading, rows) => rows.length > 0 && h('div', { class: 'list' }, heading && h('h3', {}, heading), rows);
    const tick = () => h('p', { class: 'tick', 'aria-hidden': 'true' }, '✓');
    const problem = (code) =>
      code && h('p', { class: 'problem', role: 'alert' }, ERRORS[code] ?? 'It did not work.', ' ', h('small', {}, code));
    const field = (label, props) => h('label', {}, label, h('input', { autocomplete: 'off', ...props }));
    const codes = (...names) => Object.fromEntries(names.map((name) => [name, `Error ${name}`]));
    const ending = (choices) => h('label', { class: 'sandbox' }, 'Sandbox: how should it end?',
      h('select', { name: 'ending' }, Object.entries(choices).map(([value, label]) => h('option', { value }, label))));
    const form = (send, label, ...children) => h('form', { onSubmit: (event) => {
      event.preventDefault();
      send(new FormData(event.target).get('ending'));
    } }, children, h('button', { class: 'main' }, label));
    const provider = (id) => NAMES[id] ?? id;
    const fileType = (id) => FILE_TYPES[id] ?? id;

    return {
      isError: (word) => word in ERRORS,

      consent: (w) => [
        title('Share your income data'),
        text('You choose what you connect. The lender sees your identity, your employment and your income from there, and nothing else.'),
        text('You can take access back at any time.'),
        main('I agree', () => w.go('agree')),
        button('Not now', w.finish),
      ],

      providers: (w) => {
        const mine = [
          ...w.me.accounts.map((it) => row(provider(it.providerId), 'connected, take back', () => w.go('account', it))),
          ...w.me.archives.map((it) => row(fileType(it.fileType), 'uploaded, take back', () => w.go('archive', it))),
        ];
        const choose = ({ id, login }) => {
          if (!login) w.begin(id, 'connected');
          else w.go(WITH_LOGIN_OPTIONS.includes(id) ? 'chooseWithOptions' : 'choose', { providerId: id });
        };
        return [
          title('Where do you earn?'),
          list('Yours', mine),
          mine.length > 0 && main('Finish', w.finish),
          list('Providers', w.me.providers.map((it) => row(provider(it.id), it.login ? '' : 'no login', () => choose(it)))),
          button('Upload documents instead', () => w.go('upload')),
          button('Mine is not listed', () => w.go('notListed')),
        ];
      },

      employer: (w) => [
        title('Whom do you work for?'),
        text('It helps to know which providers are missing.'),
        form(() => w.go('back'), 'Send', field('Employer', { name: 'employer', required: true })),
        button('Back', () => w.go('back')),
      ],

      loginOptions: (w, { providerId }) => [
        title(`How do you log in at ${provider(providerId)}?`),
        list('', ['Email address', 'Phone number', 'User name'].map((option) => row(option, '', () => w.go('choose')))),
        button('Back', () => w.go('back')),
      ],

      login: (w, { providerId, errorCode }) => [
        title(`Log in at ${provider(providerId)}`),
        problem(errorCode),
        form((how) => w.begin(providerId, how), 'Log in',
          field('User name', { name: 'user', value: 'maria' }),
          field('Password', { name: 'password', type: 'password', value: 'not a real one' }),
          ending({ mfa: 'It asks for a code', ...CONNECTED, ...codes('INVALID_CREDENTIALS', 'ACCOUNT_LOCKED', 'SERVICE_UNAVAILABLE'), ...SILENCE })),
        button('Back', () => w.go('back')),
      ],

      mfa: (w, { providerId, accountId }) => [
        title('Enter your code'),
        text(`${provider(providerId)} has sent a code to your phone.`),
        form((how) => w.code(accountId, how), 'Go on',
          field('Code', { name: 'code', inputmode: 'numeric', value: '123456' }),
          ending({ ...CONNECTED, ...codes('INVALID_MFA', 'MFA_TIMEOUT'), ...SILENCE })),
      ],

      success: (w, { providerId }) => [
        tick(),
        title(`${provider(providerId)} is connected`),
        text('So this browser says. The lender believes it when Smile’s server says so, too.'),
        main('Finish', w.finish),
        button('Connect another one', () => w.go('more')),
        button('Take access back', () => w.go('revoke')),
      ],

      accountRevoke: (w, { providerId, accountId }) => [
        title(`Take back access to ${provider(providerId)}?`),
        text('Smile then deletes its copy of your data.'),
        button('Take access back', () => w.disconnect(accountId), 'main danger'),
        button('Keep it', () => w.go('back')),
      ],

      fileTypes: (w) => [
        title('What would you like to upload?'),
        list('', Object.entries(FILE_TYPES).map(([id, label]) => row(label, '', () => w.go('choose', { fileType: id })))),
        button('Back', () => w.go('back')),
      ],

      fileType: (w, { fileType: id }) => [
        title(fileType(id)),
        text('A sample is sent. Nothing of yours leaves this page.'),
        form((how) => w.upload(id, how), 'Send the file',
          ending({ analyzed: 'It can be read', failed: 'It cannot be read', started: 'It is still being read', ...SILENCE })),
        button('Back', () => w.go('back')),
      ],

      archiveSuccess: (w, { fileType: id }) => [
        tick(),
        title('Thank you'),
        text(`${fileType(id)}: Smile reads it now.`),
        main('Finish', w.finish),
        button('Add something else', () => w.go('more')),
        button('Take it back', () => w.go('revoke')),
      ],

      archiveRevoke: (w, { fileType: id, archiveId }) => [
        title('Take your file back?'),
        text(`${fileType(id)}. Smile then deletes it.`),
        button('Take it back', () => w.revoke(archiveId), 'main danger'),
        button('Keep it', () => w.go('back')),
      ],

      expired: (w) => [
        title('This took too long'),
        text('The link has expired. Close this and begin again.'),
        main('Close', w.finish),
      ],

      broken: (w) => [
        title('Something went wrong'),
        text('Smile does not answer. Close this and try again later.'),
        main('Close', w.finish),
      ],
    };
  })();
