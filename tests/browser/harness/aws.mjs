/** Signed calls to a local cloud (AWS Signature Version 4), and webhooks as Smile sends them. */
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const mac = (key, text) => createHmac('sha256', key).update(text).digest();

export class Cloud {
  constructor(file) {
    this.stack = JSON.parse(readFileSync(file, 'utf8'));
    this.outputs = this.stack.outputs;
  }

  /** Sends a request as the operator; gives status and text. */
  async call(service, method, address, body = '', headers = {}) {
    const { region, access_key_id: id, secret_access_key: secret } = this.stack;
    const url = new URL(address);
    const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
    const all = { ...headers, host: url.host, 'x-amz-date': time };
    const names = Object.keys(all).sort();
    const path = url.pathname.split('/').map(encodeURIComponent).join('/');
    url.searchParams.sort();
    const canonical = [method, path, url.searchParams.toString(), ...names.map((name) => `${name}:${all[name]}`), '', names.join(';'), sha256(body)];
    const text = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical.join('\n'))].join('\n');
    const key = scope.split('/').reduce(mac, `AWS4${secret}`);
    const signature = mac(key, text).toString('hex');
    all.authorization = `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
    return send(method, url, body, all);
  }

  /** All events that webhooks have told of a user, by the read API. */
  async eventsOf(user) {
    const ids = [];
    let after = '';
    for (;;) {
      const { status, text } = await this.call('execute-api', 'GET', `${this.outputs.BackendUrl}/v1/timeline?user=${user}&limit=100&source=webhook${after}`);
      // Of a user of whom nothing has come, nothing is known.
      if (status === 404) return ids;
      if (status !== 200) throw new Error(`the read API says ${status}: ${text}`);
      const page = JSON.parse(text);
      ids.push(...page.events.map(({ id }) => id));
      if (!page.more) return ids;
      after = `&after=${encodeURIComponent(page.next)}`;
    }
  }

  /** The connections on which a user's pages listen, as the table has them. */
  async listeners(user) {
    const query = { TableName: this.outputs.TableName, KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: { ':pk': { S: `LISTENERS#${user}` } } };
    const target = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'DynamoDB_20120810.Query' };
    const { text } = await this.call('dynamodb', 'POST', `${this.stack.aws_endpoint}/`, JSON.stringify(query), target);
    return JSON.parse(text).Items.map(({ sk }) => sk.S.replace('CONNECTION#', ''));
  }

  /** Ends a connection, as an operator can; whether it was there. */
  async end(connection) {
    const { status } = await this.call('execute-api', 'DELETE', `${this.outputs.LiveUrl.replace(/^ws/, 'http')}/@connections/${connection}`);
    return status === 204;
  }

  /** Sends one webhook; gives the status. */
  async webhook(event) {
    const body = JSON.stringify(event);
    const signature = createHmac('sha512', this.stack.webhook_secret).update(body).digest('hex');
    const { status } = await send('POST', new URL(this.stack.webhook_url), body, { 'content-type': 'application/json', 'smile-signature': signature });
    return status;
  }
}

function send(method, url, body, headers) {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers: { ...headers, 'content-length': Buffer.byteLength(body) } }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => resolve({ status: answer.statusCode, text: Buffer.concat(chunks).toString() }));
      answer.on('error', reject);
    });
    call.on('error', reject);
    call.end(body);
  });
}
