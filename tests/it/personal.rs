//! Nothing personal in logs and metrics: marked data goes through the real binaries, the failing paths
//! too, and no mark may come out. What the local cloud can do is in `deployed::observed`; here is what it
//! cannot: a table that throttles or quotes what it was given, a queue and a secret store that fail.

use serde_json::{Value, json};

use crate::observability::check_metric_line;
use crate::process::{Answer, Running};
use crate::receiver::{SMILE, request, signature};

/// A secret that must not be seen.
pub(crate) const SECRET: &str = "zq-secret-3f9c1e7a5b";

/// Names, numbers and login names, as an event of Smile's could have them.
pub(crate) const MARKS: [&str; 7] = [
    "Zqanastasia",
    "Zqreyes",
    "zqana.reyes@example.invalid",
    "0917-555-0199",
    "zq-login-name",
    "SSS-34-9999999-1",
    "98765432109876",
];

/// Marked data of a person.
pub(crate) fn person() -> Value {
    json!({
        "name": { "first": MARKS[0], "last": MARKS[1] },
        "email": MARKS[2],
        "phone": MARKS[3],
        "loginName": MARKS[4],
        "governmentId": MARKS[5],
        "bankAccount": { "number": MARKS[6].parse::<u64>().unwrap() },
    })
}

/// An event with marked data in every place that is not an id, a type or one of the words that are read.
pub(crate) fn event(id: &str, kind: &str, data: Value) -> Vec<u8> {
    let mut body = json!({
        "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z",
        "data": { "userId": "u-marked", "accountId": "a-marked", "payload": person() },
        "extra": person(),
    });
    if let Value::Object(more) = data {
        for (name, value) in more {
            body["data"][name] = value;
        }
    }
    body.to_string().into_bytes()
}

/// The marks that are found in a log: of the data, of the secret, and of these signatures.
pub(crate) fn found(log: &str, signatures: &[String]) -> Vec<String> {
    let signatures = signatures.iter().map(|signature| signature[..24].to_owned());
    let marks = MARKS.iter().map(ToString::to_string).chain([SECRET.to_owned()]).chain(signatures);
    let log = log.to_lowercase();
    let in_hex = |mark: &str| mark.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    // As it is, in hex, and in base64 at any place.
    let base64 = |mark: &str, skip: usize| {
        let text = base64_simd::STANDARD.encode_to_string([&b"xxx"[..skip], mark.as_bytes()].concat());
        text[4..text.len() - 4].to_lowercase()
    };
    marks
        .filter(|mark| {
            let forms =
                [mark.to_lowercase(), in_hex(mark), base64(mark, 0), base64(mark, 1), base64(mark, 2)];
            forms.iter().any(|form| log.contains(form))
        })
        .collect()
}

fn dir(name: &str) -> std::path::PathBuf {
    let dir = crate::support::it_dir().join(format!("../../target/it/{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn failed(status: u16, code: &str, message: &str) -> Answer {
    (status, json!({ "__type": code, "message": message }).to_string().into_bytes())
}

/// A batch of one message, as Lambda hands it over.
fn batch(body: &[u8], attributes: &[(&str, &str)]) -> Value {
    let attribute = |value: &str| json!({ "stringValue": value, "dataType": "String" });
    let mut all = json!({ "v": attribute("1"), "source": attribute("webhook"), "delivery": attribute("d-1"),
        "received_at": attribute("2026-03-01T10:00:01Z") });
    for (name, value) in attributes {
        all[*name] = attribute(value);
    }
    json!({ "Records": [{ "messageId": "m-1", "body": String::from_utf8(body.to_vec()).unwrap(),
        "messageAttributes": all, "attributes": { "SentTimestamp": "1772359200000" } }] })
}

#[test]
fn the_search_finds_what_is_planted() {
    let signatures = [signature(SECRET, b"body")];
    assert_eq!(found("an id and a type", &signatures), [""; 0]);
    let person = person().to_string();
    assert_eq!(found(&person, &signatures).len(), MARKS.len());
    for planted in [SECRET.to_owned(), signatures[0].clone(), signatures[0].to_uppercase()] {
        assert_eq!(found(&format!("x{planted}x"), &signatures).len(), 1, "{planted}");
    }
    for skip in ["", "x", "xx", "xxx"] {
        let packed = base64_simd::STANDARD.encode_to_string(format!("{skip}{person}"));
        assert_eq!(found(&packed, &signatures).len(), MARKS.len(), "base64 after {skip:?}");
    }
}

#[tokio::test]
async fn a_failing_table_makes_the_consumer_say_nothing_personal() {
    let dir = dir("personal-consumer");
    let quote = person().to_string();
    let quoted = quote.clone();
    // One answer after another, for all calls of one message.
    let turn = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let at = std::sync::Arc::clone(&turn);
    let variables = [("TABLE_NAME", "table"), ("RETENTION_DAYS", "365"), ("LOG_LEVEL", "trace")];
    let mut consumer = Running::start(&dir, "consumer", &variables, move |target, request| {
        let put = target.ends_with("PutItem");
        match at.load(std::sync::atomic::Ordering::SeqCst) {
            0 => failed(400, "ProvisionedThroughputExceededException", "The level of configured throughput was exceeded"),
            1 => failed(400, "ThrottlingException", "Rate of requests exceeds the allowed throughput."),
            // DynamoDB's complaints about values quote them.
            2 => failed(400, "ValidationException", &format!("Invalid value: {quoted}")),
            3 => failed(500, "InternalServerError", "Internal server error"),
            // The condition fails, and the item that is there comes back, with the body.
            4 if put => {
                let item = json!({ "pk": request["Item"]["pk"], "hash": { "S": "other" }, "body": { "S": quoted } });
                let answer = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "message": "The conditional request failed", "Item": item });
                // Into the quarantine it may go.
                if request["ConditionExpression"].is_null() { (200, b"{}".to_vec()) } else { (400, answer.to_string().into_bytes()) }
            }
            5 if put => failed(400, "ValidationException", "Item size has exceeded the maximum allowed size"),
            _ => (200, b"{}".to_vec()),
        }
    })
    .await;
    let mut failed = 0;
    for step in 0..7 {
        turn.store(step, std::sync::atomic::Ordering::SeqCst);
        let body = event(&format!("et-{step}"), "INCOMES_ADDED", json!({}));
        let answer = consumer.invoke(batch(&body, &[])).await;
        failed += answer["batchItemFailures"].as_array().unwrap().len();
    }
    // What cannot be taken apart, and what is held.
    let garbage = quote.as_bytes();
    for attributes in [
        &[][..],
        &[("encoding", "base64")],
        &[("encoding", quote.as_str())],
        &[("v", "2")],
        &[("held", "true")],
    ] {
        consumer.invoke(batch(garbage, attributes)).await;
    }
    // What is no batch at all: only somebody who may invoke the function could send that.
    for event in [json!({ "Records": quote }), json!(quote), json!({ "Records": [{ "body": person() }] })] {
        let answer = consumer.invoke(event).await;
        assert!(answer["errorType"].is_string(), "{answer}");
    }
    // The step in which even the quarantine refuses fails, too.
    assert_eq!(failed, 5, "{}", consumer.log());
    let log = consumer.log();
    assert_eq!(found(&log, &[]), [""; 0], "{log}");
    assert!(log.contains("ValidationException") && log.contains("ThrottlingException"), "{log}");
    let counted: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"_aws\""))
        .map(|line| check_metric_line(line).0.name())
        .collect();
    for metric in ["Retried", "Quarantined", "Stored"] {
        assert!(counted.contains(&metric), "{metric}: {log}");
    }
    every_line_is_json_with_known_fields(&log);
    std::fs::remove_dir_all(dir).unwrap();
}

/// The webhook function's, telling all that it can.
const VARIABLES: [(&str, &str); 4] = [
    ("WEBHOOK_QUEUE_URL", "http://127.0.0.1/queue"),
    ("SMILE_WEBHOOK_SECRET_ARN", "arn"),
    ("SOURCE_ALLOW_LIST", "18.142.61.230/32"),
    ("LOG_LEVEL", "trace"),
];

#[tokio::test]
async fn a_failing_queue_and_secret_store_make_the_webhook_say_nothing_personal() {
    let dir = dir("personal-webhook");
    let turn = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let at = std::sync::Arc::clone(&turn);
    let mut webhook = Running::start(&dir, "webhook", &VARIABLES, move |target, request| {
        let step = at.load(std::sync::atomic::Ordering::SeqCst);
        match target {
            "secretsmanager.GetSecretValue" if step == 3 => {
                failed(400, "AccessDeniedException", "not authorized")
            }
            "secretsmanager.GetSecretValue" => {
                let document = json!({ "current": SECRET }).to_string();
                (200, json!({ "SecretString": document }).to_string().into_bytes())
            }
            "AmazonSQS.SendMessage" if step == 1 => failed(500, "InternalFailure", "on purpose"),
            "AmazonSQS.SendMessage" if step == 2 => failed(400, "AccessDenied", "on purpose"),
            "AmazonSQS.SendMessage" => {
                assert!(request["MessageBody"].is_string());
                (200, json!({ "MessageId": "m", "MD5OfMessageBody": "x" }).to_string().into_bytes())
            }
            _ => (200, b"{}".to_vec()),
        }
    })
    .await;
    let mut signatures = Vec::new();
    let mut statuses = Vec::new();
    let garbage = person().to_string().into_bytes();
    let good = event("et-1", "INCOMES_ADDED", json!({}));
    for step in 0..3 {
        turn.store(step, std::sync::atomic::Ordering::SeqCst);
        for body in [&good, &garbage] {
            let signed = signature(SECRET, body);
            for (signature, source) in [
                (Some(&*signed), SMILE),
                (Some(&signed[1..]), SMILE),
                (Some(SECRET), SMILE),
                (None, SMILE),
                (Some(&*signed), "203.0.113.9"),
            ] {
                let answer = webhook.invoke(request(body, signature, source, "request")).await;
                statuses.push(answer["statusCode"].as_u64().unwrap());
            }
            signatures.push(signed);
        }
    }
    // Well-formed, and wrong: whether there is a newer secret cannot be told for ten seconds.
    turn.store(3, std::sync::atomic::Ordering::SeqCst);
    let forged = signature("another secret", &good);
    let since = std::time::Instant::now();
    loop {
        let answer = webhook.invoke(request(&good, Some(&forged), SMILE, "request")).await;
        if answer["statusCode"] == 503 {
            break;
        }
        assert!(since.elapsed().as_secs() < 30, "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    signatures.push(forged);
    for status in [200, 401, 403, 503] {
        assert!(statuses.contains(&status), "{status} is not among {statuses:?}");
    }
    let log = webhook.log();
    assert_eq!(found(&log, &signatures), [""; 0], "{log}");
    let counted: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"_aws\""))
        .map(|line| check_metric_line(line).0.name())
        .collect();
    for metric in [
        "Received",
        "Quarantined",
        "RejectedSignature",
        "QueueUnavailable",
        "SecretUnavailable",
        "ValidSignatureFromUnlistedSource",
    ] {
        assert!(counted.contains(&metric), "{metric}: {log}");
    }
    every_line_is_json_with_known_fields(&log);
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_stops_the_start_and_is_not_told() {
    let dir = dir("personal-start");
    for unusable in [
        json!({ "pending": SECRET }).to_string(),
        format!("{{\"current\": {SECRET}"),
        json!({ "current": [SECRET] }).to_string(),
    ] {
        let mut webhook = Running::start(&dir, "webhook", &VARIABLES, move |target, _| match target {
            "secretsmanager.GetSecretValue" => {
                (200, json!({ "SecretString": unusable }).to_string().into_bytes())
            }
            _ => (200, b"{}".to_vec()),
        })
        .await;
        webhook.end().await;
        let log = webhook.log();
        assert!(log.contains("cannot start"), "{log}");
        assert_eq!(found(&log, &[]), [""; 0], "{log}");
    }
    // And an answer of Secrets Manager that cannot be read.
    let mut webhook = Running::start(&dir, "webhook", &VARIABLES, move |target, _| match target {
        "secretsmanager.GetSecretValue" => (200, format!("{{\"SecretString\":\"{SECRET}").into_bytes()),
        _ => (200, b"{}".to_vec()),
    })
    .await;
    webhook.end().await;
    let log = webhook.log();
    assert_eq!(found(&log, &[]), [""; 0], "{log}");
    std::fs::remove_dir_all(dir).unwrap();
}

/// Stable names: whoever queries the logs can rely on them, and a new one is looked at for what it tells.
pub(crate) fn every_line_is_json_with_known_fields(log: &str) {
    const FIELDS: [&str; 35] = [
        "account",
        "at",
        "code",
        "connection",
        "delivery",
        "error",
        "event",
        "failed",
        "fault",
        "found",
        "given_up",
        "gone",
        "held",
        "is_late",
        "key",
        "level",
        "message",
        "message_id",
        "outcome",
        "reason",
        "registrations",
        "requestId",
        "session",
        "source",
        "span",
        "stored",
        "target",
        "timestamp",
        "told",
        "type",
        "unfolded",
        "unknown",
        "unread",
        "user",
        "xrayTraceId",
    ];
    for line in log.lines().filter(|line| !line.contains("\"_aws\"")) {
        let fields: serde_json::Map<String, Value> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let unknown: Vec<_> = fields.keys().filter(|name| !FIELDS.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {line}");
        assert_eq!(line.matches("\"message\":").count(), 1, "two messages: {line}");
    }
}
