//! What must not reach the queue, and what the rotation of secrets does.

use jiff::SignedDuration;
use serde_json::{Value, json};
use webhook::{Outcome, SourcePolicy};

use crate::receiver::{Keys, Receiver, SECRET, SMILE, request, signature};

const BODY: &[u8] = br#"{"id":"et-1","version":1,"type":"USER_CREATED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u-1"}}"#;

fn signed() -> String {
    signature(SECRET, BODY)
}

#[tokio::test]
async fn nothing_unauthenticated_reaches_the_queue() {
    let good = signed();
    let flipped = |at: usize| {
        let mut digits = good.clone().into_bytes();
        digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(digits).unwrap()
    };
    let post = |signature: Option<&str>, source: &str| request(BODY, signature, source, "r");
    let with = |change: fn(&mut Value), source: &str| {
        let mut event = post(Some(&good), source);
        change(&mut event);
        event
    };
    let other_body = request(&BODY.to_ascii_lowercase(), Some(&good), SMILE, "r");
    let cases: Vec<(&str, Value, u16)> = vec![
        ("no signature", post(None, SMILE), 401),
        ("an empty signature", post(Some(""), SMILE), 401),
        ("the wrong secret", post(Some(&signature("wrong", BODY)), SMILE), 401),
        ("the first bit flipped", post(Some(&flipped(0)), SMILE), 401),
        ("the last bit flipped", post(Some(&flipped(127)), SMILE), 401),
        ("one digit short", post(Some(&good[1..]), SMILE), 401),
        ("one digit more", post(Some(&format!("{good}0")), SMILE), 401),
        ("no hex", post(Some(&"g".repeat(128)), SMILE), 401),
        ("a prefix", post(Some(&format!("sha512={good}")), SMILE), 401),
        ("two in one header", post(Some(&format!("{good},{good}")), SMILE), 401),
        ("another body", other_body, 401),
        ("base64 that is none", with(|event| event["isBase64Encoded"] = json!(true), SMILE), 401),
        ("no body", with(|event| event["body"] = Value::Null, SMILE), 401),
        ("another source", post(Some(&good), "18.142.61.231"), 403),
        ("another source, no signature", post(None, "203.0.113.9"), 403),
        (
            "another source, base64 that is none",
            with(|event| event["isBase64Encoded"] = json!(true), "203.0.113.9"),
            403,
        ),
        ("a source that is none", post(Some(&good), "smile"), 403),
        (
            "a forged X-Forwarded-For",
            with(|event| event["headers"]["x-forwarded-for"] = json!(SMILE), "203.0.113.9"),
            403,
        ),
        ("no source", with(|event| event["requestContext"]["http"] = json!({}), SMILE), 403),
        ("no context", with(|event| event["requestContext"] = json!({}), SMILE), 403),
        (
            "the source in the wrong place",
            with(|event| event["requestContext"] = json!({ "sourceIp": SMILE, "requestId": "r" }), SMILE),
            403,
        ),
        ("nothing at all", json!({}), 403),
    ];
    for (policy, name) in [(SourcePolicy::Refuse, "refuse"), (SourcePolicy::Quarantine, "quarantine")] {
        let receiver = Receiver::start(Keys::Fixed, policy).await;
        for (case, event, status) in &cases {
            let held = policy == SourcePolicy::Quarantine
                && matches!(*case, "another source" | "a forged X-Forwarded-For");
            let outcome = receiver.post(event).await;
            assert_eq!(
                outcome.status(),
                if held { 200 } else { *status },
                "{case}, policy {name}: {outcome:?}"
            );
            // What is held is queued, marked as such; everything else must not be there.
            let queued = std::mem::take(&mut receiver.cloud.state().messages);
            assert_eq!(queued.len(), usize::from(held), "{case}, policy {name}");
            for message in queued {
                assert_eq!(message["MessageAttributes"]["held"]["StringValue"], "true", "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_valid_signature_from_elsewhere_is_counted() {
    let receiver = Receiver::new().await;
    let outcome = receiver.post(&request(BODY, Some(&signed()), "203.0.113.9", "r")).await;
    assert_eq!(outcome, Outcome::RejectedSource { valid_signature: true });
    let outcome = receiver.post(&request(BODY, Some(&signature("x", BODY)), "203.0.113.9", "r")).await;
    assert_eq!(outcome, Outcome::RejectedSource { valid_signature: false });
}

#[tokio::test]
async fn every_form_of_the_gateway_is_taken() {
    let receiver = Receiver::new().await;
    let good = signed();
    let text = std::str::from_utf8(BODY).unwrap();
    let base64 = base64_simd::STANDARD.encode_to_string(BODY);
    let rest = json!({
        "resource": "/v1/webhooks/smile", "httpMethod": "POST",
        "headers": { "Smile-Signature": good }, "multiValueHeaders": { "Smile-Signature": [good] },
        "requestContext": { "identity": { "sourceIp": SMILE, "userAgent": null }, "requestId": "rest" },
        "body": text, "isBase64Encoded": false,
    });
    let mut base64_encoded = request(BODY, Some(&good), SMILE, "base64");
    base64_encoded["body"] = json!(base64);
    base64_encoded["isBase64Encoded"] = json!(true);
    let mut mapped = request(BODY, Some(&good), &format!("::ffff:{SMILE}"), "mapped");
    mapped["headers"] = json!({ "SMILE-SIGNATURE": good.to_uppercase() });
    for (delivery, event) in [
        ("http", request(BODY, Some(&good), SMILE, "http")),
        ("rest", rest),
        ("base64", base64_encoded),
        ("mapped", mapped),
    ] {
        let outcome = receiver.post(&event).await;
        assert!(
            matches!(&outcome, Outcome::Queued { id, held: false, .. } if id.as_str() == "et-1"),
            "{outcome:?}"
        );
        let message = receiver.cloud.state().messages.pop().unwrap();
        assert_eq!(message["MessageBody"], text);
        assert_eq!(message["MessageAttributes"]["delivery"]["StringValue"], delivery);
        let trace = &message["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"];
        assert!(trace.as_str().unwrap().starts_with("Root=1-"), "{trace}");
    }
}

#[tokio::test]
async fn rotated_secrets_go_in_and_out() {
    let mut receiver = Receiver::start(Keys::Store, SourcePolicy::Refuse).await;
    let with = |secret: &str| request(BODY, Some(&signature(secret, BODY)), SMILE, "r");
    let fetches = |receiver: &Receiver| {
        receiver.cloud.state().calls.iter().filter(|call| call.starts_with("secretsmanager")).count()
    };
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 200);
    assert_eq!(fetches(&receiver), 1, "cached from the start on");

    // A new secret is used by the vendor before we have heard of it: fetched at once.
    receiver.cloud.state().secret = json!({ "current": SECRET, "pending": "next" }).to_string();
    receiver.now += SignedDuration::from_secs(60);
    assert_eq!(receiver.post(&with("next")).await.status(), 200);
    assert_eq!(fetches(&receiver), 2);
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 200);

    // Promotion: the old one stays valid until its time is up, not longer.
    receiver.cloud.state().secret = json!({
        "current": "next",
        "previous": { "secret": SECRET, "not_after": receiver.now + SignedDuration::from_mins(10) },
    })
    .to_string();
    receiver.now += SignedDuration::from_mins(10);
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 200);
    receiver.now += SignedDuration::from_secs(11);
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 401);
    assert_eq!(receiver.post(&with("next")).await.status(), 200);

    // A forger with many tries does not make us hammer Secrets Manager.
    let before = fetches(&receiver);
    for _ in 0..100 {
        assert_eq!(receiver.post(&with("forged")).await.status(), 401);
    }
    assert_eq!(fetches(&receiver), before);
    receiver.now += SignedDuration::from_secs(10);
    assert_eq!(receiver.post(&with("forged")).await.status(), 401);
    assert_eq!(fetches(&receiver), before + 1);

    // Somebody who is not the vendor cannot cause a fetch at all.
    receiver.now += SignedDuration::from_secs(60);
    let elsewhere = request(BODY, Some(&signature("forged", BODY)), "203.0.113.9", "r");
    assert_eq!(receiver.post(&elsewhere).await.status(), 403);
    assert_eq!(fetches(&receiver), before + 1);
}

#[tokio::test]
async fn a_mismatch_while_secrets_manager_is_down_is_ours() {
    let mut receiver = Receiver::start(Keys::Store, SourcePolicy::Refuse).await;
    let with = |secret: &str| request(BODY, Some(&signature(secret, BODY)), SMILE, "r");
    receiver.cloud.state().secrets_fail = Some((400, "AccessDeniedException"));
    receiver.now += SignedDuration::from_secs(60);
    for _ in 0..3 {
        let outcome = receiver.post(&with("next")).await;
        assert_eq!((outcome.status(), &outcome), (503, &Outcome::SecretUnavailable));
        assert!(outcome.answer(webhook::request::Form::V2).headers.retry_after.is_some());
    }
    // What can be told without Secrets Manager is told.
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 200);
    assert_eq!(receiver.post(&request(BODY, None, SMILE, "r")).await.status(), 401);
    // Past five minutes the last known secrets still serve, past an hour they do not.
    receiver.now += SignedDuration::from_mins(50);
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 200);
    receiver.now += SignedDuration::from_mins(10);
    assert_eq!(receiver.post(&with(SECRET)).await, Outcome::SecretUnavailable);
    // And when it is back, so are we.
    receiver.cloud.state().secrets_fail = None;
    receiver.now += SignedDuration::from_secs(10);
    assert_eq!(receiver.post(&with(SECRET)).await.status(), 200);
}

#[tokio::test]
async fn without_a_usable_secret_the_function_does_not_start() {
    use shared::secret_store::SecretStore;
    let cloud = crate::cloud::Cloud::default();
    let fetch = || async {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        shared::secret_cache::Secrets::fetch(SecretStore::new(&cloud.sdk(), "arn"), now)
            .await
            .err()
            .map(|error| error.to_string())
    };
    cloud.state().secret = r#"{"pending":"hush-hush"}"#.to_owned();
    let error = fetch().await.unwrap();
    assert!(error.contains("cannot be used") && !error.contains("hush"), "{error}");
    cloud.state().secrets_fail = Some((400, "ResourceNotFoundException"));
    let error = fetch().await.unwrap();
    assert!(error.contains("Secrets Manager did not give the secret"), "{error}");
}

#[tokio::test]
async fn what_sqs_does_not_take_is_a_503() {
    let mut receiver = Receiver::new().await;
    for failure in
        [(500, "InternalFailure"), (400, "AccessDenied"), (400, "AWS.SimpleQueueService.NonExistentQueue")]
    {
        receiver.cloud.state().sqs_fails = Some(failure);
        let outcome = receiver.send(BODY).await;
        assert_eq!((outcome.status(), &outcome), (503, &Outcome::QueueUnavailable), "{failure:?}");
    }
    receiver.cloud.state().sqs_fails = None;
    assert_eq!(receiver.send(BODY).await.status(), 200);
    assert_eq!(receiver.cloud.state().messages.len(), 1);
}
