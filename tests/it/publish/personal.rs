//! Nothing personal gets into the function's log, whatever fails: the real binary, with an AWS that quotes what it
//! was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::observability::check_metric_line;
use crate::personal::{every_line_is_json_with_known_fields, found, person};
use crate::process::{Answer, Running};

const VARIABLES: [(&str, &str); 4] = [
    ("EVENT_BUS_NAME", "smile"),
    ("PUBLISH_RETRY_QUEUE_URL", "http://127.0.0.1/publish"),
    ("TABLE_NAME", "table"),
    ("LOG_LEVEL", "trace"),
];

/// An event's item with marked data in each place that is not an id, a type or a time.
fn item(id: &str) -> Value {
    let quote = json!({ "S": person().to_string() });
    json!({
        "pk": { "S": format!("EVENT#{id}") }, "sk": { "S": "EVENT" },
        "id": { "S": id }, "type": { "S": "TASK_FINISHED" }, "source": { "S": "webhook" }, "version": quote,
        "created_at": quote, "received_at": { "S": "2026-03-01T10:00:01Z" },
        "stored_at": { "S": "2026-03-01T10:00:02Z" }, "hash": quote, "bytes": { "N": "7" }, "body": quote,
        "facts": { "M": { "user": { "S": "u-1" }, "status": quote, "error_code": quote, "providers": { "L": [quote] } } },
    })
}

/// The same, but it cannot be read: whoever complains may quote it.
fn unreadable(id: &str) -> Value {
    let mut item = item(id);
    item["stored_at"] = json!({ "S": person().to_string() });
    item["bytes"] = json!({ "S": person().to_string() });
    item
}

fn change(at: usize, item: &Value) -> Value {
    json!({ "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {
        "SequenceNumber": format!("10{at}"), "Keys": { "pk": item["pk"], "sk": item["sk"] }, "NewImage": item } })
}

fn aws(step: usize, target: &str, request: &Value) -> Answer {
    let quote = person().to_string();
    let answer = |status: u16, answer: Value| (status, answer.to_string().into_bytes());
    let failed = |status, code: &str| answer(status, json!({ "__type": code, "message": quote }));
    let entries = request["Entries"].as_array().cloned().unwrap_or_default();
    match (target, step) {
        ("AWSEvents.PutEvents" | "AmazonSQS.SendMessageBatch", 1) | ("DynamoDB_20120810.GetItem", 5) => {
            failed(400, "ValidationException")
        }
        ("AWSEvents.PutEvents" | "AmazonSQS.SendMessageBatch", 2) => failed(500, "InternalException"),
        ("AWSEvents.PutEvents", 3) => {
            let refused = |_| json!({ "ErrorCode": "InternalFailure", "ErrorMessage": quote });
            answer(
                200,
                json!({ "FailedEntryCount": entries.len(), "Entries": entries.iter().map(refused).collect::<Vec<_>>() }),
            )
        }
        ("AmazonSQS.SendMessageBatch", 3) => {
            let refused = |entry: &Value| json!({ "Id": entry["Id"], "Code": "InternalError", "Message": quote, "SenderFault": false });
            answer(
                200,
                json!({ "Successful": [], "Failed": entries.iter().map(refused).collect::<Vec<_>>() }),
            )
        }
        ("AWSEvents.PutEvents", 4) => (200, quote.into_bytes()),
        ("AWSEvents.PutEvents", _) => {
            let taken = |_| json!({ "EventId": "e" });
            answer(
                200,
                json!({ "FailedEntryCount": 0, "Entries": entries.iter().map(taken).collect::<Vec<_>>() }),
            )
        }
        ("AmazonSQS.SendMessageBatch", _) => {
            let taken =
                |entry: &Value| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" });
            answer(200, json!({ "Successful": entries.iter().map(taken).collect::<Vec<_>>(), "Failed": [] }))
        }
        ("DynamoDB_20120810.GetItem", 6) => answer(200, json!({ "Item": unreadable("et-1") })),
        ("DynamoDB_20120810.GetItem", 7) => answer(200, json!({})),
        ("DynamoDB_20120810.GetItem", _) => answer(200, json!({ "Item": item("et-1") })),
        other => panic!("nobody should call {other:?}"),
    }
}

#[tokio::test]
async fn whatever_fails_leaves_no_mark_in_the_log() {
    let dir =
        crate::support::it_dir().join(format!("../../target/it/personal-publish-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&turn);
    let mut publish = Running::start(&dir, "publish", &VARIABLES, move |target, request| {
        aws(at.load(Ordering::SeqCst), target, request)
    })
    .await;
    let changes = json!({ "Records": [change(0, &item("et-0")), change(1, &unreadable("et-1")), change(2, &item("et-2"))] });
    let message = |body: String| json!({ "messageId": "m-1", "body": body, "eventSource": "aws:sqs" });
    let messages =
        json!({ "Records": [message(json!({ "id": "et-1" }).to_string()), message(person().to_string())] });
    let mut failed = Vec::new();
    for step in 0..8 {
        turn.store(step, Ordering::SeqCst);
        for event in [&changes, &messages] {
            let answer = publish.invoke(event.clone()).await;
            failed.push(answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("{answer}")).len());
        }
    }
    // Of the stream: one when the queue refuses, too. Of the queue: the message that is none, and more.
    assert_eq!(failed, [0, 1, 1, 2, 1, 2, 1, 2, 0, 2, 0, 2, 0, 2, 0, 1], "{}", publish.log());
    // What is no batch: only somebody who may invoke the function could send that.
    for event in [json!({ "Records": person() }), json!(person().to_string())] {
        let answer = publish.invoke(event).await;
        assert!(answer["errorType"].is_string(), "{answer}");
    }
    let log = publish.log();
    assert_eq!(found(&log, &[]), [""; 0], "{log}");
    let counted: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"_aws\""))
        .map(|line| check_metric_line(line).0.name())
        .collect();
    for metric in ["Published", "BusRefused"] {
        assert!(counted.contains(&metric), "{metric}: {log}");
    }
    every_line_is_json_with_known_fields(&log);
    std::fs::remove_dir_all(dir).unwrap();
}
