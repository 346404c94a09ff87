//! No token, and nothing that a page says, gets into the logs of the live and push functions, whatever fails: the real
//! binaries, with an AWS and a gateway that quote what they were given.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::gateway::Gateway;
use super::{PAGE, minutes};
use crate::observability::check_metric_line;
use crate::personal::{SECRET, every_line_is_json_with_known_fields, found, person};
use crate::process::{Answer, Running};

fn token(lifetime: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the function has the real time, too")]
    let now = Timestamp::now();
    let user = shared::id::UserId::new("u-1").unwrap();
    let secret = shared::verify::Secret::new(SECRET).unwrap();
    shared::session::mint(&user, [1; 16], minutes(lifetime), now, &secret).token
}

/// A table and a secret, and from the second step on nothing but complaints, which quote a person where AWS could.
fn aws(step: usize, target: &str) -> Answer {
    let answer = |status: u16, answer: Value| (status, answer.to_string().into_bytes());
    let text = |text: &str| json!({ "S": text });
    match (target, step) {
        ("secretsmanager.GetSecretValue", _) => {
            answer(200, json!({ "SecretString": json!({ "current": SECRET }).to_string() }))
        }
        (_, 1) => answer(400, json!({ "__type": "ValidationException", "message": person().to_string() })),
        (_, 2) => answer(400, json!({ "__type": "AccessDeniedException", "message": "not authorized" })),
        (_, 3) => (500, person().to_string().into_bytes()),
        ("DynamoDB_20120810.GetItem", _) => answer(
            200,
            json!({ "Item": { "pk": text("CONNECTION#c-1"), "user": text("u-1"), "expires": { "N": "99999999999" } } }),
        ),
        ("DynamoDB_20120810.Query", _) => answer(
            200,
            json!({ "Items": [{ "sk": text("CONNECTION#c-1"), "since": { "N": "1" }, "expires": { "N": "99999999999" } }] }),
        ),
        _ => answer(200, json!({})),
    }
}

fn counted(log: &str) -> BTreeSet<&'static str> {
    let lines = log.lines().filter(|line| line.contains("\"_aws\""));
    lines.map(|line| check_metric_line(line).0.name()).collect()
}

#[tokio::test]
async fn pages_of_a_marked_person_leave_no_mark_whatever_fails() {
    let dir = crate::support::it_dir().join(format!("../../target/it/personal-live-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let gateway = Gateway::start(21).await;
    gateway.state().says = person().to_string();
    let turn = Arc::new(AtomicUsize::new(0));
    let start = async |function: &str, more: &[(&str, &str)]| {
        let mut variables =
            vec![("TABLE_NAME", "table"), ("CONNECTIONS_URL", gateway.url.as_str()), ("LOG_LEVEL", "trace")];
        variables.extend(more);
        let at = Arc::clone(&turn);
        Running::start(&dir, function, &variables, move |target, _| aws(at.load(Ordering::SeqCst), target))
            .await
    };
    let mut live = start("live", &[("SMILE_SESSION_SECRET_ARN", "arn"), ("ALLOWED_ORIGINS", PAGE)]).await;
    let mut push = start("push", &[]).await;

    let request = |route: &str, token: &str, origin: &str, body: &str| {
        json!({
            "requestContext": { "connectionId": "c-1", "routeKey": route, "requestId": "request-1" },
            "headers": { "Sec-WebSocket-Protocol": format!("smile.v1, smile.session.{token}"), "Origin": origin },
            "body": body, "isBase64Encoded": false,
        })
    };
    let (valid, expired) = (token(60), token(-1));
    let said = person().to_string();
    let mut statuses = BTreeSet::new();
    for (step, gateway_fails) in [
        (0, None),
        (0, Some((500, "InternalServerError"))),
        (0, Some((403, "Forbidden"))),
        (1, None),
        (2, None),
        (3, None),
    ] {
        turn.store(step, Ordering::SeqCst);
        gateway.state().fails = gateway_fails;
        let _hears = gateway.establish("c-1");
        for (route, token, origin, body) in [
            ("$connect", valid.as_str(), PAGE, ""),
            ("$connect", &expired, PAGE, ""),
            ("$connect", &valid[..valid.len() - 5], PAGE, ""),
            ("$connect", SECRET, PAGE, ""),
            ("$connect", &valid, "https://zqreyes.example", ""),
            ("$default", "", "", r#"{"action":"hello"}"#),
            ("$default", "", "", r#"{"action":"ping","who":"Zqanastasia"}"#),
            ("$default", "", "", &said),
            ("$default", "", "", r#"{"action":"Zqreyes"}"#),
            ("$disconnect", "", "", ""),
        ] {
            let answer = live.invoke(request(route, token, origin, body)).await;
            statuses.insert(answer["statusCode"].as_u64().unwrap());
            assert!(found(&answer.to_string(), &[]).is_empty(), "{answer}");
        }
        let event = json!({ "source": "smile.webhook", "detail-type": "USER_CREATED", "account": "1", "detail": {
            "id": "et-1", "type": "USER_CREATED", "userId": "u-1", "status": person() } });
        let answer = push.invoke(event).await;
        assert!(found(&answer.to_string(), &[]).is_empty(), "{answer}");
        // Told, or failed: never both silent.
        assert_eq!(answer.is_null(), step == 0 && gateway_fails.is_none(), "{answer}");
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 401, 403, 410, 503]);
    let parts: Vec<String> =
        [&valid, &expired].iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned).collect();
    for (function, log, metrics) in [
        ("live", live.log(), ["LiveConnected", "LiveRefused"]),
        ("push", push.log(), ["PushFailed", "Pushed"]),
    ] {
        assert_eq!(found(&log, &parts), [""; 0], "{log}");
        assert_eq!(counted(&log), metrics.into(), "{function}");
        every_line_is_json_with_known_fields(&log);
    }
    std::fs::remove_dir_all(dir).unwrap();
}
