//! What a browser said is kept to the letter, once, and a revocation outranks that.

use lambda_http::http::HeaderValue;
use serde_json::{Value, json};
use shared::callback::event_id;
use shared::id::UserId;
use shared::metrics::{Count, Metric};
use shared::table::Reason;

use super::{Browser, account, item, webhook};
use crate::support::quarantined_on;

#[tokio::test]
async fn a_repeat_is_harmless_and_counted_as_one() {
    let mut browser = Browser::new().await;
    let closed = item("c-1", "onClose", "10:00:00.100", json!({ "reason": "exit" }));
    for _ in 0..3 {
        browser.say("u-1", std::slice::from_ref(&closed)).await;
    }
    // Twice within one batch, too.
    browser.say("u-1", &[closed.clone(), closed]).await;
    let id = event_id(&UserId::new("u-1").unwrap(), "c-1");
    let (event, body) = browser.receiver.table.event(&id).await.unwrap().unwrap();
    assert_eq!((event.kind.as_str(), event.source.as_str()), ("onClose", "callback"));
    assert_eq!(event.deliveries.len(), 4);
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "id": id, "version": 1, "type": "onClose", "createdAt": "2026-03-01T10:00:00.1Z",
                "data": { "userId": "u-1", "clientId": "c-1", "value": { "reason": "exit" } } })
    );
    assert_eq!(quarantined_on(&browser.receiver.table, "2026-03-01".parse().unwrap()).await, []);
}

#[tokio::test]
async fn unknown_callbacks_and_hostile_data_are_kept_to_the_letter_and_stay_inert() {
    let mut browser = Browser::new().await;
    let value = r#"{ "__proto__": {"admin": true}, "constructor": {"prototype": 1}, "a": "<script>alert(1)</script>", "n": 1.10, "é": "\u00e9" }"#;
    let body = format!(
        r#"{{"callbacks":[{{"id":"c-1","name":"onSomethingNew","at":"2026-03-01T10:00:00Z","data":{value}}}]}}"#
    );
    let request = browser.request("u-1", &body, |_| {});
    assert_eq!(browser.ask(&request, callback::PATH).await.status, 200);
    browser.consume().await;
    let id = event_id(&UserId::new("u-1").unwrap(), "c-1");
    let (event, body) = browser.receiver.table.event(&id).await.unwrap().unwrap();
    assert_eq!(event.unfolded.as_deref(), Some("unknown_type"));
    assert!(String::from_utf8(body.unwrap()).unwrap().contains(value));
}

#[tokio::test]
async fn another_text_under_the_same_id_is_quarantined_without_it_and_wakes_nobody() {
    let mut browser = Browser::new().await;
    browser.say("u-1", &[item("c-1", "onClose", "10:00:00", json!({ "reason": "exit" }))]).await;
    browser.send("u-1", &[item("c-1", "onClose", "10:00:00", json!({ "reason": "error" }))]).await;
    let message = browser.receiver.cloud.receive().remove(0);
    let outcome = browser.receiver.consumer.process(&message, browser.receiver.now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::CallbackQuarantined(Reason::IdConflict));
    assert_eq!(outcome.counts(), [Count::by(Metric::CallbackQuarantined, "id_conflict")]);
    // The fact alone, apart from webhooks' quarantine, and found by its key as well.
    let quarantined = quarantined_on(&browser.receiver.table, "2026-03-01".parse().unwrap()).await;
    assert_eq!(quarantined.iter().map(|item| item.bytes).collect::<Vec<_>>(), [0]);
    assert!(quarantined[0].detail.ends_with("is not kept"), "{}", quarantined[0].detail);
    let found = browser.receiver.table.quarantined(&quarantined[0].key.parse().unwrap()).await.unwrap();
    assert_eq!(found, Some((quarantined[0].clone(), Some(Vec::new()))));
    let pks = browser.receiver.items().await.into_iter().map(|item| item["pk"].as_s().unwrap().clone());
    assert_eq!(
        pks.filter(|pk| pk.contains("QUARANTINE")).collect::<Vec<_>>(),
        ["WIDGET_QUARANTINE#2026-03-01"]
    );
    // Another user's browser may choose the same id.
    let mut theirs = item("c-1", "onClose", "10:00:00", json!({ "reason": "error" }));
    theirs["data"]["userId"] = json!("u-2");
    browser.say("u-2", &[theirs]).await;
    assert_eq!(browser.user("u-2").await.widget.unwrap().close_reason.as_deref(), Some("error"));
}

#[tokio::test]
async fn an_account_that_is_revoked_keeps_no_body_of_what_a_browser_says_of_it() {
    let mut browser = Browser::new().await;
    browser.receiver.deliver(&webhook("et-1", "ACCOUNT_DISCONNECTED", "10:00:00")).await;
    browser
        .say(
            "u-1",
            &[
                item("c-1", "onAccountRemoved", "10:00:01", account("a-1")),
                item("c-2", "onAccountRemoved", "10:00:01", account("a-2")),
            ],
        )
        .await;
    for (client, kept) in [("c-1", false), ("c-2", true)] {
        let id = event_id(&UserId::new("u-1").unwrap(), client);
        let (_, body) = browser.receiver.table.event(&id).await.unwrap().unwrap();
        assert_eq!(body.is_some(), kept, "{client}");
    }
}

/// Wherever it is named: what a revocation takes must be found.
#[tokio::test]
async fn what_names_a_revoked_account_or_archive_anywhere_keeps_no_body() {
    let mut browser = Browser::new().await;
    browser.receiver.deliver(&webhook("et-1", "ACCOUNT_DISCONNECTED", "10:00:00")).await;
    let revoked = json!({ "id": "et-2", "version": 1, "type": "ARCHIVE_REVOKED", "createdAt": "2026-03-01T10:00:00Z",
                          "data": { "userId": "u-1", "archiveId": "r-1" } });
    browser.receiver.deliver(revoked.to_string().as_bytes()).await;
    let naming = [
        ("onSomethingNew", json!({ "accountId": "a-1" })),
        ("onClose", json!({ "accountId": "a-1", "reason": "exit" })),
        ("onTokenExpired", json!([{ "account": { "accountId": "a-1" } }])),
        ("onUIEvent", json!({ "accountId": "a-1", "eventName": "LoginPageOpened" })),
        ("onUIEvent", json!({ "eventName": "RevokeArchivePageOpened", "archive": "{\"id\":\"r-1\"}" })),
        ("onUploadsRemoved", json!({ "uploads": [{ "id": "r-1", "fileName": "payslip.pdf" }] })),
        ("onUploadsCreated", json!({ "uploads": "[{\"archiveId\":\"r-1\"}]" })),
    ];
    for (at, (name, data)) in naming.iter().enumerate() {
        browser.say("u-1", &[item(&format!("c-{at}"), name, "10:00:01", data.clone())]).await;
        let id = event_id(&UserId::new("u-1").unwrap(), &format!("c-{at}"));
        let (event, body) = browser.receiver.table.event(&id).await.unwrap().unwrap();
        assert_eq!((body, event.body_dropped.as_deref()), (None, Some("revoked")), "{name} {data}");
    }
    // Not in quarantine, either.
    browser.say("u-1", &[item("c-0", "onSomethingNew", "10:00:02", json!({ "accountId": "a-1" }))]).await;
    let quarantined = quarantined_on(&browser.receiver.table, "2026-03-01".parse().unwrap()).await;
    assert_eq!(quarantined.iter().map(|item| item.bytes).collect::<Vec<_>>(), [0]);
    let other = item("c-9", "onUploadsCreated", "10:00:01", json!({ "uploads": [{ "id": "r-2" }] }));
    browser.say("u-1", &[other]).await;
    let id = event_id(&UserId::new("u-1").unwrap(), "c-9");
    assert!(browser.receiver.table.event(&id).await.unwrap().unwrap().1.is_some());
}

/// The queue's name decides what a message is, not what the message says of itself.
#[tokio::test]
async fn what_a_message_says_of_its_source_is_not_believed() {
    let mut browser = Browser::new().await;
    // A webhook's body on the browsers' queue.
    assert_eq!(browser.receiver.send(&webhook("et-1", "ACCOUNT_CONNECTED", "10:00:00")).await.status(), 200);
    let mut forged = browser.receiver.cloud.receive().remove(0);
    forged.event_source_arn = Some(crate::cloud::queue_arn(crate::receiver::CALLBACK_QUEUE));
    let outcome = browser.receiver.consumer.process(&forged, browser.receiver.now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::CallbackQuarantined(Reason::Undecodable));
    // A browser's on the webhooks'.
    browser.send("u-1", &[item("c-1", "onAccountConnected", "10:00:00", account("a-1"))]).await;
    let mut forged = browser.receiver.cloud.receive().remove(0);
    forged.event_source_arn = Some(crate::cloud::queue_arn("http://fake.invalid/queue"));
    let outcome = browser.receiver.consumer.process(&forged, browser.receiver.now).await.unwrap();
    assert_eq!(outcome, consumer::Outcome::Quarantined(Reason::Undecodable));
    assert_eq!(browser.truth("u-1").await.items().count(), 0);
}

#[tokio::test]
async fn the_script_is_served_and_remembered() {
    let mut browser = Browser::new().await;
    for path in ["/v1/wink-events.js", "/v1/wink-events.mjs"] {
        let mut request = browser.request("u-1", "", |request| {
            *request.method_mut() = lambda_http::http::Method::GET;
            request.headers_mut().clear();
        });
        let plain = browser.ask(&request, path).await;
        let Value::String(text) = &plain.body else { panic!("{plain:?}") };
        assert_eq!(plain.status, 200);
        assert!(text.contains("onAccountConnected"), "{path}");
        assert_eq!(plain.headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(plain.headers["access-control-allow-origin"], "*");
        assert!(plain.headers["cache-control"].to_str().unwrap().contains("max-age=3600"));
        assert!(!plain.headers.contains_key("content-encoding"));

        request.headers_mut().insert("accept-encoding", HeaderValue::from_static("br, gzip;q=0.8"));
        let packed = browser.ask(&request, path).await;
        assert_eq!(packed.headers["content-encoding"], "gzip");
        assert!(packed.body["bytes"].as_u64().unwrap() < 3072, "{}", packed.body);

        request.headers_mut().insert("if-none-match", plain.headers["etag"].clone());
        let known = browser.ask(&request, path).await;
        assert_eq!((known.status, &known.body), (304, &Value::Null));
        assert_eq!(known.headers["etag"], plain.headers["etag"]);
    }
}
