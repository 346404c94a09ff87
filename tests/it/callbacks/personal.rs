//! Nothing personal, and no token, gets into the logs of the callback function or of the consumer behind it,
//! whatever fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::id::UserId;
use shared::session::mint;
use shared::verify::Secret;

use super::{PAGE, item};
use crate::observability::check_metric_line;
use crate::personal::{SECRET, every_line_is_json_with_known_fields, found, person};
use crate::process::Running;

const VARIABLES: [(&str, &str); 4] = [
    ("CALLBACK_QUEUE_URL", "http://127.0.0.1/callback"),
    ("SMILE_SESSION_SECRET_ARN", "arn"),
    ("ALLOWED_ORIGINS", PAGE),
    ("LOG_LEVEL", "trace"),
];

fn token(lifetime: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the function has the real time, too")]
    let now = Timestamp::now();
    let lifetime = SignedDuration::from_mins(lifetime);
    mint(&UserId::new("u-1").unwrap(), [1; 16], lifetime, now, &Secret::new(SECRET).unwrap()).token
}

fn request(body: &str, token: &str, origin: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "POST /v1/callbacks", "rawPath": "/v1/callbacks", "rawQueryString": "",
        "headers": { "content-type": "application/json", "authorization": format!("Bearer {token}"), "origin": origin },
        "requestContext": {
            "accountId": "1", "apiId": "api", "domainName": "d", "domainPrefix": "d", "requestId": "request-1",
            "routeKey": "POST /v1/callbacks", "stage": "$default", "time": "01/Mar/2026:10:00:00 +0000",
            "timeEpoch": 1_772_359_200_000_i64,
            "http": { "method": "POST", "path": "/v1/callbacks", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9", "userAgent": "a" },
        },
        "body": body, "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn callbacks_of_a_marked_person_leave_no_mark_whatever_fails() {
    let dir =
        crate::support::it_dir().join(format!("../../target/it/personal-callback-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&turn);
    let quoted = person().to_string();
    let mut callback = Running::start(&dir, "callback", &VARIABLES, move |target, request| {
        let failed = |status, code: &str| {
            (status, json!({ "__type": code, "message": quoted }).to_string().into_bytes())
        };
        match (target, at.load(Ordering::SeqCst)) {
            ("secretsmanager.GetSecretValue", _) => {
                let document = json!({ "current": SECRET }).to_string();
                (200, json!({ "SecretString": document }).to_string().into_bytes())
            }
            ("AmazonSQS.SendMessageBatch", 1) => failed(500, "InternalFailure"),
            ("AmazonSQS.SendMessageBatch", 2) => failed(400, "AccessDenied"),
            ("AmazonSQS.SendMessageBatch", step) => {
                let ids: Vec<&Value> =
                    request["Entries"].as_array().unwrap().iter().map(|entry| &entry["Id"]).collect();
                let told = |id: &&Value| match step {
                    3 => {
                        json!({ "Id": id, "Code": "InternalError", "Message": quoted, "SenderFault": false })
                    }
                    _ => json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "x" }),
                };
                let told: Vec<Value> = ids.iter().map(told).collect();
                let list = if step == 3 { "Failed" } else { "Successful" };
                (200, json!({ list: told }).to_string().into_bytes())
            }
            _ => (200, b"{}".to_vec()),
        }
    })
    .await;
    let good = item("c-1", "onAccountConnected", "10:00:00", json!({ "accountId": "a-1", "more": person() }));
    let odd = item("c-2", "onSomethingNew", "10:00:00", person());
    let theirs = item("c-3", "onClose", "10:00:00", json!({ "userId": "zq-login-name" }));
    let bodies = [
        json!({ "callbacks": [good, odd, theirs] }).to_string(),
        json!({ "callbacks": [person(), "Zqreyes"] }).to_string(),
        json!({ "callbacks": person() }).to_string(),
        format!("{{\"callbacks\": [{}", person()),
        person().to_string(),
    ];
    let (valid, expired) = (token(60), token(-1));
    let tokens = [valid.as_str(), expired.as_str(), &valid[..valid.len() - 5], SECRET, "0917-555-0199"];
    let mut statuses = std::collections::BTreeSet::new();
    for step in 0..4 {
        turn.store(step, Ordering::SeqCst);
        for body in &bodies {
            for token in tokens {
                let answer = callback.invoke(request(body, token, PAGE)).await;
                statuses.insert(answer["statusCode"].as_u64().unwrap());
                assert!(found(&answer.to_string(), &[]).is_empty(), "{answer}");
            }
        }
        let answer = callback.invoke(request(&bodies[0], &valid, "https://zqreyes.example")).await;
        statuses.insert(answer["statusCode"].as_u64().unwrap());
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 400, 401, 403, 422, 503]);
    let log = callback.log();
    let parts: Vec<String> =
        [&valid, &expired].iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned).collect();
    assert_eq!(found(&log, &parts), [""; 0], "{log}");
    let counted: Vec<_> = log
        .lines()
        .filter(|line| line.contains("\"_aws\""))
        .map(|line| check_metric_line(line).0.name())
        .collect();
    for metric in ["CallbackReceived", "CallbackRefused", "CallbackQueueUnavailable"] {
        assert!(counted.contains(&metric), "{metric}: {log}");
    }
    every_line_is_json_with_known_fields(&log);
    std::fs::remove_dir_all(dir).unwrap();
}
