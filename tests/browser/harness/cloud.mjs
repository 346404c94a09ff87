/**
 * The local cloud behind a console: what its stack file says, webhooks as Smile signs them, and its queues by their API.
 */
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

export class Cloud {
  constructor(file) {
    this.stack = JSON.parse(readFileSync(file, 'utf8'));
  }

  /** An event as Smile would send it. */
  event(type, data, more = {}) {
    return { id: `et-${randomUUID().replaceAll('-', '')}`, version: 1, type, createdAt: new Date().toISOString().replace(/\.\d+/, ''), data, ...more };
  }

  /** Posts an event to the webhook, signed, in this or another form; gives it back. */
  async webhook(event, body = JSON.stringify(event)) {
    const signature = createHmac('sha512', this.stack.webhook_secret).update(body).digest('hex');
    const answer = await fetch(this.stack.webhook_url, { method: 'POST', body, headers: { 'content-type': 'application/json', 'smile-signature': signature } });
    assert.equal(answer.status, 200, await answer.text());
    return event;
  }

  /** Puts an event on a queue, as the webhook function does, with other attributes. */
  async queue(url, event, more = {}) {
    const attributes = { v: '1', source: 'webhook', received_at: new Date().toISOString(), delivery: randomUUID(), ...more };
    const told = Object.entries(attributes).map(([name, value]) => [name, { DataType: 'String', StringValue: value }]);
    await this.aws('sqs', 'AmazonSQS.SendMessage', { QueueUrl: url, MessageBody: JSON.stringify(event), MessageAttributes: Object.fromEntries(told) });
    return event;
  }

  /** An event that the consumer holds in quarantine until somebody releases it. */
  held(event) {
    return this.queue(this.stack.queue_url, event, { held: 'true' });
  }

  /** An event among the dead letters of the webhook queue. */
  dead(event) {
    return this.queue(this.stack.dlq_url, event);
  }

  async aws(service, target, body) {
    const { aws_endpoint: endpoint, region, access_key_id: id, secret_access_key: key } = this.stack;
    const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--fail-with-body', `${endpoint}/`,
      '--aws-sigv4', `aws:amz:${region}:${service}`, '--user', `${id}:${key}`, '--header', 'Content-Type: application/x-amz-json-1.0',
      '--header', `X-Amz-Target: ${target}`, '--data', JSON.stringify(body)]);
    return stdout && JSON.parse(stdout);
  }
}
