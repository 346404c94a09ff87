//! What must not get in does not, and every refusal says what is wrong, in which item, and whether to try again.

use lambda_http::Request;
use lambda_http::http::{HeaderValue, Method};
use serde_json::{Value, json};
use shared::metrics::{Count, Metric};

use super::{APP, Answered, Browser, PAGE, account, item};

fn ok() -> Value {
    json!({ "callbacks": [item("c-1", "onClose", "10:00:00", Value::Null)] })
}

fn set(name: &'static str, value: &str) -> impl FnOnce(&mut Request) + use<> {
    let value = HeaderValue::from_str(value).unwrap();
    move |request| drop(request.headers_mut().insert(name, value))
}

fn without(name: &'static str) -> impl FnOnce(&mut Request) {
    move |request| drop(request.headers_mut().remove(name))
}

/// A token whose header names no algorithm.
fn unsigned(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let header = base64_simd::URL_SAFE_NO_PAD.encode_to_string(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{payload}.")
}

fn counted(answered: &Answered) -> Vec<Count> {
    answered.outcome.counts()
}

type Change = Box<dyn FnOnce(&mut Request)>;

#[tokio::test]
async fn requests_that_may_not_send_are_told_why_and_nothing_is_queued() {
    let mut browser = Browser::new().await;
    let good = browser.token("u-1");
    let foreign = browser.token_signed_with("u-1", "somebody-elses");
    let bearer = |token: &str| format!("Bearer {token}");
    let body = ok().to_string();
    let cases: Vec<(&str, Change, u16, &str)> = vec![
        ("a foreign page", Box::new(set("origin", "https://evil.example")), 403, "origin_not_allowed"),
        (
            "one that looks alike",
            Box::new(set("origin", "https://app.example.com.evil.example")),
            403,
            "origin_not_allowed",
        ),
        ("a page of no origin", Box::new(set("origin", "null")), 403, "origin_not_allowed"),
        ("no token", Box::new(without("authorization")), 401, "token_missing"),
        ("another scheme", Box::new(set("authorization", "Basic dTpw")), 401, "token_missing"),
        ("no token after the scheme", Box::new(set("authorization", "Bearer ")), 401, "token_missing"),
        ("alg none", Box::new(set("authorization", &bearer(&unsigned(&good)))), 401, "token_invalid"),
        ("another secret", Box::new(set("authorization", &bearer(&foreign))), 401, "token_invalid"),
        ("rubbish", Box::new(set("authorization", "Bearer rubbish")), 401, "token_invalid"),
        ("a form", Box::new(set("content-type", "text/plain")), 415, "unsupported_media_type"),
        ("no type", Box::new(without("content-type")), 415, "unsupported_media_type"),
    ];
    for (name, change, status, code) in cases {
        let request = browser.request("u-1", &body, change);
        let answered = browser.ask(&request, callback::PATH).await;
        assert_eq!(
            (answered.status, answered.body["code"].as_str()),
            (status, Some(code)),
            "{name}: {answered:?}"
        );
        assert_eq!(answered.body["status"], json!(status), "{name}");
        assert_eq!(answered.headers["content-type"], "application/problem+json", "{name}");
        assert_eq!(counted(&answered), [Count::by(Metric::CallbackRefused, code)], "{name}");
        assert_eq!(answered.headers.contains_key("www-authenticate"), status == 401, "{name}");
        // A page that is not listed may not even read why.
        assert_eq!(answered.headers.contains_key("access-control-allow-origin"), status != 403, "{name}");
        assert!(!answered.body.to_string().contains(&good), "{name}");
    }
    browser.receiver.now += jiff::SignedDuration::from_mins(60);
    let request = browser.request("u-1", &body, set("authorization", &bearer(&good)));
    let answered = browser.ask(&request, callback::PATH).await;
    assert_eq!((answered.status, &answered.body["code"]), (401, &json!("token_expired")));
    assert_eq!(browser.receiver.cloud.receive().len(), 0);
}

#[tokio::test]
async fn bodies_that_are_no_batch_are_told_where() {
    let mut browser = Browser::new().await;
    let many = |count: usize| json!({ "callbacks": vec![ok()["callbacks"][0].clone(); count] }).to_string();
    let large = format!(r#"{{"callbacks":[{{"id":"{}"}}]}}"#, "x".repeat(1024 * 1024));
    for (body, status, words) in [
        ("", 400, "line 1, column 1"),
        ("{", 400, "line 1, column 1"),
        ("[]", 400, "line 1, column 1"),
        ("{\"callbacks\":\n 7}", 400, "line 2"),
        (r#"{"callbacks":[]}"#, 400, "1 to 50 items, not 0"),
        (&many(51), 400, "not 51"),
        (&large, 413, "262144 bytes"),
    ] {
        let request = browser.request("u-1", body, |_| {});
        let answered = browser.ask(&request, callback::PATH).await;
        let detail = answered.body["detail"].as_str().unwrap();
        assert_eq!(answered.status, status, "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(browser.receiver.cloud.receive().len(), 0);
}

#[tokio::test]
async fn good_items_are_taken_beside_bad_ones() {
    let mut browser = Browser::new().await;
    let mut theirs = account("a-1");
    theirs["userId"] = json!("u-2");
    let items = [
        item("c-1", "onClose", "10:00:00", Value::Null),
        item("c-2", "onAccountConnected", "10:00:00", theirs),
        json!("no item"),
        item("et-1", "ACCOUNT_CONNECTED", "10:00:00", account("a-1")),
        item("c-5", "onTokenExpired", "10:00:00", Value::Null),
    ];
    let answered = browser.send("u-1", &items).await;
    let refused = |index: usize, id: Value, code: &str| (json!(index), id, json!(code));
    let told: Vec<_> = answered.body["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["index"].clone(), item["id"].clone(), item["code"].clone()))
        .collect();
    assert_eq!((answered.status, &answered.body["accepted"]), (200, &json!(2)));
    assert_eq!(
        told,
        [
            refused(1, json!("c-2"), "wrong_user"),
            refused(2, Value::Null, "malformed"),
            refused(3, json!("et-1"), "name"),
        ]
    );
    assert_eq!(browser.receiver.cloud.receive().len(), 2);
    // None that is good: a 4xx, since trying again does not help.
    let answered = browser.send("u-1", &items[1..4]).await;
    assert_eq!((answered.status, &answered.body["code"]), (422, &json!("none_accepted")));
    assert_eq!(answered.body["refused"].as_array().unwrap().len(), 3);
    assert_eq!(browser.receiver.cloud.receive().len(), 0);
}

#[tokio::test]
async fn our_own_trouble_asks_to_try_again_and_says_what_was_kept() {
    let mut browser = Browser::new().await;
    let items: Vec<Value> =
        (0..25).map(|at| item(&format!("c-{at}"), "onClose", "10:00:00", Value::Null)).collect();
    browser.receiver.cloud.state().sqs_fails = Some((503, "ServiceUnavailable"));
    let answered = browser.send("u-1", &items).await;
    assert_eq!((answered.status, &answered.body["code"]), (503, &json!("unavailable")));
    assert_eq!(answered.headers["retry-after"], "5");
    assert_eq!(counted(&answered), [Count::of(Metric::CallbackQueueUnavailable)]);

    // SQS takes the first call and a part of the second.
    browser.receiver.cloud.state().sqs_fails = None;
    browser.receiver.cloud.state().batches_take = Some(13);
    let answered = browser.send("u-1", &items).await;
    assert_eq!((answered.status, &answered.body["accepted"]), (200, &json!(13)));
    let refused = answered.body["refused"].as_array().unwrap();
    assert!(refused.iter().all(|item| item["code"] == "unavailable"), "{refused:?}");
    assert_eq!(refused.len(), 12);
    assert_eq!(browser.receiver.cloud.receive().len(), 13);
    browser.receiver.cloud.state().batches_take = None;
}

#[tokio::test]
async fn a_connection_counts_as_kept_only_with_the_look_that_follows_it() {
    let mut browser = Browser::new().await;
    browser.receiver.cloud.state().batches_take = Some(1);
    let items = [item("c-1", "onAccountConnected", "10:00:00", account("a-1"))];
    let answered = browser.send("u-1", &items).await;
    assert_eq!((answered.status, &answered.body["refused"][0]["code"]), (503, &json!("unavailable")));
    let first = browser.receiver.cloud.receive();
    browser.receiver.cloud.state().batches_take = None;
    let answered = browser.send("u-1", &items).await;
    assert_eq!(answered.status, 200);
    let delays: Vec<_> = browser
        .receiver
        .cloud
        .state()
        .messages
        .iter()
        .map(|message| message["DelaySeconds"].clone())
        .collect();
    assert_eq!(delays, [json!(0), json!(120)]);
    let again = browser.receiver.cloud.receive();
    assert_eq!(first[0].body, again[0].body, "a repeat has the same bytes");
}

#[tokio::test]
async fn a_secret_that_was_changed_is_fetched_and_one_that_cannot_be_had_is_our_trouble() {
    let mut browser = Browser::new().await;
    let newer = format!("Bearer {}", browser.token_signed_with("u-1", "the-next-secret"));
    browser.receiver.cloud.state().secret = json!({ "current": "the-next-secret" }).to_string();
    browser.receiver.now += jiff::SignedDuration::from_secs(10);
    let body = ok().to_string();
    let request = browser.request("u-1", &body, set("authorization", &newer));
    assert_eq!(browser.ask(&request, callback::PATH).await.status, 200);

    browser.receiver.cloud.state().secrets_fail = Some((400, "AccessDeniedException"));
    browser.receiver.now += jiff::SignedDuration::from_secs(10);
    let older = format!("Bearer {}", browser.token_signed_with("u-1", "an-older-secret"));
    let request = browser.request("u-1", &body, set("authorization", &older));
    let answered = browser.ask(&request, callback::PATH).await;
    assert_eq!((answered.status, &answered.body["code"]), (503, &json!("unavailable")));
    assert_eq!(counted(&answered), [Count::of(Metric::SecretUnavailable)]);
}

#[tokio::test]
async fn a_browser_that_asks_first_is_answered() {
    let mut browser = Browser::new().await;
    let ask = |origin: &'static str| {
        move |request: &mut Request| {
            *request.method_mut() = Method::OPTIONS;
            *request.body_mut() = lambda_http::Body::Empty;
            request.headers_mut().remove("authorization");
            request.headers_mut().insert("origin", HeaderValue::from_static(origin));
            request.headers_mut().insert("access-control-request-method", HeaderValue::from_static("POST"));
        }
    };
    for page in [PAGE, APP] {
        let request = browser.request("u-1", "", ask(page));
        let answered = browser.ask(&request, callback::PATH).await;
        assert_eq!((answered.status, &answered.body), (204, &Value::Null));
        assert_eq!(answered.headers["access-control-allow-origin"], page);
        assert_eq!(answered.headers["access-control-allow-headers"], "authorization, content-type");
        assert_eq!(answered.headers["vary"], "Origin");
        let request = browser.request("u-1", &ok().to_string(), set("origin", page));
        assert_eq!(browser.ask(&request, callback::PATH).await.status, 200, "{page}");
    }
    for page in ["https://evil.example", "https://localhost", "ionic://localhost"] {
        let request = browser.request("u-1", "", ask(page));
        let answered = browser.ask(&request, callback::PATH).await;
        assert_eq!(answered.status, 403, "{page}");
        assert!(!answered.headers.contains_key("access-control-allow-origin"), "{page}");
    }

    // A native app or a server has no origin: the token alone decides.
    let request = browser.request("u-1", &ok().to_string(), without("origin"));
    let answered = browser.ask(&request, callback::PATH).await;
    assert_eq!(answered.status, 200);
    for (method, path) in
        [(Method::GET, callback::PATH), (Method::POST, "/v1/other"), (Method::POST, "/v1/wink-events.js")]
    {
        let request = browser.request("u-1", &ok().to_string(), |request| *request.method_mut() = method);
        assert_eq!(browser.ask(&request, path).await.status, 404, "{path}");
    }
}
