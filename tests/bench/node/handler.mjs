// A webhook receiver on Node with the AWS SDK v3, and the least of a runtime client around it.
// For comparison only.

import { createHmac, timingSafeEqual } from "node:crypto";
import http from "node:http";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const { AWS_LAMBDA_RUNTIME_API, WEBHOOK_QUEUE_URL, WEBHOOK_SECRET, WEBHOOK_SOURCE } = process.env;
const sqs = new SQSClient({});

const text = (value) => ({ DataType: "String", StringValue: value });
const answer = (statusCode, body) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

async function handle(event) {
  const { http: origin, requestId } = event.requestContext;
  if (origin.sourceIp !== WEBHOOK_SOURCE) return answer(403, { error: "source not allowed" });
  const body = event.isBase64Encoded ? Buffer.from(event.body, "base64") : Buffer.from(event.body);
  const signature = Buffer.from(event.headers["smile-signature"] ?? "", "hex");
  const expected = createHmac("sha512", WEBHOOK_SECRET).update(body).digest();
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
    return answer(401, { error: "signature missing or wrong" });
  }
  const message = event.isBase64Encoded ? body.toString() : event.body;
  const { id } = JSON.parse(message);
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: WEBHOOK_QUEUE_URL,
      MessageBody: message,
      MessageAttributes: {
        v: text("1"),
        source: text("webhook"),
        received_at: text(String(Date.now())),
        delivery: text(requestId),
      },
    }),
  );
  return answer(200, { status: "queued", id });
}

const [host, port] = AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    const request = http.request({ host, port, agent, method, path: `/2018-06-01/runtime${path}`, headers });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    request.end(body);
  });
}

for (;;) {
  const next = await call("GET", "/invocation/next");
  const id = next.headers["lambda-runtime-aws-request-id"];
  try {
    await call("POST", `/invocation/${id}/response`, JSON.stringify(await handle(JSON.parse(next.body))));
  } catch (error) {
    await call("POST", `/invocation/${id}/error`, JSON.stringify({ errorMessage: String(error) }));
  }
}
