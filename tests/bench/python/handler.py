"""A webhook receiver on Python with boto3, and the least of a runtime client around it.
For comparison only."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import time

import boto3

QUEUE_URL = os.environ["WEBHOOK_QUEUE_URL"]
SECRET = os.environ["WEBHOOK_SECRET"].encode()
SOURCE = os.environ["WEBHOOK_SOURCE"]
SQS = boto3.client("sqs")


def text(value):
    return {"DataType": "String", "StringValue": value}


def answer(status, body):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }


def handle(event):
    context = event["requestContext"]
    if context["http"]["sourceIp"] != SOURCE:
        return answer(403, {"error": "source not allowed"})
    message = event["body"]
    body = base64.b64decode(message) if event["isBase64Encoded"] else message.encode()
    expected = hmac.new(SECRET, body, hashlib.sha512).hexdigest()
    if not hmac.compare_digest(expected, event["headers"].get("smile-signature", "")):
        return answer(401, {"error": "signature missing or wrong"})
    envelope = json.loads(body)
    SQS.send_message(
        QueueUrl=QUEUE_URL,
        MessageBody=body.decode() if event["isBase64Encoded"] else message,
        MessageAttributes={
            "v": text("1"),
            "source": text("webhook"),
            "received_at": text(str(int(time.time() * 1000))),
            "delivery": text(context["requestId"]),
        },
    )
    return answer(200, {"status": "queued", "id": envelope["id"]})


def main():
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        response = runtime.getresponse()
        invocation = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(response.read())
        try:
            path, body = "response", json.dumps(handle(event))
        except Exception as error:  # noqa: BLE001
            path, body = "error", json.dumps({"errorMessage": str(error)})
        runtime.request("POST", f"/2018-06-01/runtime/invocation/{invocation}/{path}", body)
        runtime.getresponse().read()


main()
