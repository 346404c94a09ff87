use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::list::LARGEST_PAGE;
use super::server::{Asked, Reply, Server, answer};
use super::*;
use crate::event::EventType;

/// A clock that only waits move, and chance that is always the same.
#[derive(Clone, Default)]
struct FakePace(Arc<Mutex<(Duration, Vec<Duration>)>>);

impl FakePace {
    fn waits(&self) -> Vec<u128> {
        self.0.lock().unwrap().1.iter().map(Duration::as_millis).collect()
    }
}

impl Pace for FakePace {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn wait(&self, time: Duration) {
        let mut state = self.0.lock().unwrap();
        state.0 += time;
        state.1.push(time);
    }

    fn chance(&self) -> f64 {
        1.0
    }
}

fn credentials() -> Credentials {
    Credentials { key: SecretText::new("hush-key"), secret: SecretText::new("hush:secret") }
}

fn client(url: &str) -> (Client, FakePace) {
    let pace = FakePace::default();
    (Client::new(&Settings::new(url, credentials()), pace.clone()).unwrap(), pace)
}

fn ok(data: &Value) -> Reply {
    answer(200, &json!({ "code": "OK", "message": "Success", "requestId": "r-ok", "data": data }).to_string())
}

fn refused(status: u16, code: &str) -> Reply {
    let body =
        json!({ "code": code, "message": "hush-message", "requestId": "r-7", "data": {"x": "hush-data"} });
    answer(status, &body.to_string())
}

fn a_webhook(id: &str) -> Value {
    json!({
        "id": id, "createdAt": "2026-03-01T10:00:00Z", "updatedAt": "2026-03-01T10:00:00Z", "name": "n",
        "url": "https://h/hook", "eventTypes": ["ALL_EVENTS"], "active": true, "secret": "hush-webhook",
    })
}

fn new_webhook() -> NewWebhook {
    NewWebhook {
        name: "n".into(),
        url: "https://h/hook".into(),
        event_types: vec![EventType::UserCreated, EventType::from("ASSETS_ADDED")],
        active: true,
        secret: SecretText::new("hush-webhook"),
        include_payload: true,
    }
}

fn lines(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.line.as_str()).collect()
}

fn id(text: &str) -> WebhookId {
    WebhookId::new(text).unwrap()
}

#[test]
fn who_asks_is_in_the_header() {
    let server = Server::start([ok(&a_webhook("w1"))]);
    let (client, _) = client(&server.url);
    let webhook = client.webhook(&id("w1")).unwrap().unwrap();
    assert_eq!(webhook.id, id("w1"));
    assert!(webhook.secret.unwrap().is(&SecretText::new("hush-webhook")));
    let asked = server.finish();
    assert_eq!(lines(&asked), ["GET /v1/webhooks/w1"]);
    // printf 'hush-key:hush:secret' | base64
    assert!(asked[0].headers.contains("authorization: Basic aHVzaC1rZXk6aHVzaDpzZWNyZXQ=\n"), "{asked:?}");
}

#[test]
fn a_registration_is_what_smile_expects() {
    let server = Server::start([ok(&a_webhook("w1"))]);
    let (client, _) = client(&server.url);
    assert!(client.create_webhook(&new_webhook()).unwrap().is_for_all());
    let asked = server.finish();
    assert_eq!(lines(&asked), ["POST /v1/webhooks"]);
    assert!(asked[0].headers.contains("content-type: application/json\n"));
    assert_eq!(
        serde_json::from_str::<Value>(&asked[0].body).unwrap(),
        json!({
            "name": "n", "url": "https://h/hook", "eventTypes": ["USER_CREATED", "ASSETS_ADDED"],
            "active": true, "secret": "hush-webhook", "includePayload": true,
        })
    );
}

#[test]
fn users_and_tokens_are_created() {
    let token =
        json!({ "accessToken": "hush-token", "expiresAt": "2026-03-01T15:00:00Z", "mode": "SANDBOX" });
    let user = json!({ "id": "u/1", "createdAt": "2026-03-01T10:00:00Z", "externalMetadata": {"ours": "7"} });
    let server = Server::start([
        answer(201, &json!({ "code": "CREATED", "data": { "user": user, "token": token } }).to_string()),
        ok(&token),
        ok(&token),
    ]);
    let (client, _) = client(&server.url);
    let created = client.create_user(&[("ours".to_owned(), "7".to_owned())].into()).unwrap();
    assert_eq!(created.user.external_metadata.0["ours"], "7");
    assert_eq!(created.token.access_token.expose(), "hush-token");
    assert!(!format!("{created:?}").contains("hush"), "{created:?}");
    let token = client.create_token(&created.user.id).unwrap();
    assert_eq!(token.expires_at, Some("2026-03-01T15:00:00Z".parse().unwrap()));
    let error = client.create_user(&BTreeMap::new()).unwrap_err();
    assert!(error.may_have_happened(), "a token is not a user: {error}");
    let asked = server.finish();
    assert_eq!(lines(&asked), ["POST /v1/users", "POST /v1/tokens?userId=u%2F1", "POST /v1/users"]);
    assert_eq!(asked[0].body, r#"{"externalMetadata":{"ours":"7"}}"#);
    assert_eq!((asked[1].body.as_str(), asked[2].body.as_str()), ("", "{}"));
}

#[test]
fn a_list_is_followed_to_its_end() {
    let page = |ids: &[&str], cursor: Value| {
        ok(&json!({ "nextCursor": cursor, "items": ids.iter().map(|id| a_webhook(id)).collect::<Vec<_>>() }))
    };
    let server = Server::start([
        page(&["w1", "w2"], json!("12 34")),
        page(&[], json!("56")),
        page(&["w3"], Value::Null),
        page(&["w4"], json!("")),
    ]);
    let (client, _) = client(&server.url);
    let mut list = client.webhooks();
    assert_eq!(list.next().unwrap().unwrap().id, id("w1"));
    assert_eq!(list.cursor(), Some("12 34"));
    let rest: Vec<WebhookId> = list.by_ref().map(|webhook| webhook.unwrap().id).collect();
    assert_eq!(rest, [id("w2"), id("w3")]);
    assert!(list.next().is_none() && list.cursor().is_none());
    let again = client.webhooks().size(255).starting_at("56".into()).size(2);
    assert_eq!(again.count(), 1);
    assert_eq!(
        lines(&server.finish()),
        [
            "GET /v1/webhooks?size=150",
            "GET /v1/webhooks?size=150&cursor=12%2034",
            "GET /v1/webhooks?size=150&cursor=56",
            "GET /v1/webhooks?size=2&cursor=56",
        ]
    );
    assert_eq!(LARGEST_PAGE, 150);
}

#[test]
fn lists_are_asked_for_with_their_filters() {
    let empty = || ok(&json!({ "items": [] }));
    let server = Server::start([empty(), empty(), empty(), empty(), empty()]);
    let (client, _) = client(&server.url);
    let filter = Filter {
        user: Some(UserId::new("u&1").unwrap()),
        source: Some("a-1".into()),
        file_type: Some("PAYSLIP".into()),
        ..Filter::between("2026-03-01".parse().unwrap(), "2026-03-02".parse().unwrap())
    };
    assert!(client.users(&filter).next().is_none());
    assert!(client.accounts(&filter).next().is_none());
    assert!(client.tasks(&filter).next().is_none());
    assert!(client.archives(&filter).next().is_none());
    assert!(client.invites().next().is_none());
    assert_eq!(
        lines(&server.finish()),
        [
            "GET /v1/users?startDate=2026-03-01&endDate=2026-03-02&size=150",
            "GET /v1/accounts?userId=u%261&startDate=2026-03-01&endDate=2026-03-02&size=150",
            "GET /v1/tasks?userId=u%261&startDate=2026-03-01&endDate=2026-03-02&sourceId=a-1&size=150",
            "GET /v1/archives?userId=u%261&startDate=2026-03-01&endDate=2026-03-02&fileType=PAYSLIP&size=150",
            "GET /v1/invites?size=150",
        ]
    );
}

#[test]
fn one_bad_entry_is_one_error_and_a_bad_page_is_the_last() {
    let server = Server::start([
        ok(&json!({ "items": [a_webhook("w1"), {"id": ""}, a_webhook("w2")], "nextCursor": "1" })),
        ok(&json!({ "nextCursor": "2" })),
        ok(&json!({ "items": [], "nextCursor": "1" })),
        ok(&json!({ "items": [], "nextCursor": "1" })),
    ]);
    let (client, _) = client(&server.url);
    let shown = |list: Items<'_, Webhook>| -> Vec<String> {
        list.map(|item| item.map_or_else(|error| error.to_string(), |item| item.id.to_string())).collect()
    };
    let first = shown(client.webhooks());
    assert_eq!((first.len(), first[0].as_str(), first[2].as_str()), (4, "w1", "w2"), "{first:?}");
    assert!(first[1].contains("an entry's line 1, column") && first[1].contains("r-ok"), "{first:?}");
    assert!(
        first[3].contains("cannot be read at line 1, column"),
        "no items is not an empty page: {first:?}"
    );
    let second = shown(client.webhooks());
    assert!(second.len() == 1 && second[0].contains("leads back"), "{second:?}");
    server.finish();
}

#[test]
fn what_is_harmless_is_tried_again() {
    let server = Server::start([
        refused(503, "SERVER_UNAVAILABLE"),
        Reply::HangUp,
        Reply::BreakOff,
        answer(200, &json!({ "code": "OK", "requestId": "r" }).to_string()),
    ]);
    let (client, pace) = client(&server.url);
    assert_eq!(client.delete_webhook(&id("w1")), Ok(Deletion::Deleted));
    assert_eq!(pace.waits(), [250, 500, 1000]);
    assert_eq!(lines(&server.finish()), ["DELETE /v1/webhooks/w1"; 4]);
}

#[test]
fn tries_have_an_end() {
    let server = Server::start((0..4).map(|_| refused(500, "SERVER_ERROR")));
    let (client, _) = client(&server.url);
    let error = client.webhook(&id("w1")).unwrap_err();
    assert_eq!((error.tries, error.status(), error.is_transient()), (4, Some(500), true));
    assert!(!error.may_have_happened(), "reading does nothing");
    assert_eq!(server.finish().len(), 4);
}

#[test]
fn time_has_an_end() {
    let server = Server::start((0..3).map(|_| refused(500, "SERVER_ERROR")));
    let pace = FakePace::default();
    let mut settings = Settings::new(&server.url, credentials());
    settings.patience.tries = 100;
    settings.patience.total = Duration::from_secs(1);
    let client = Client::new(&settings, pace.clone()).unwrap();
    assert_eq!(client.webhook(&id("w1")).unwrap_err().tries, 3);
    assert_eq!(pace.waits(), [250, 500], "the next wait would be over the time");
    server.finish();
}

#[test]
fn retry_after_is_honoured_within_bounds() {
    let wait =
        |headers| Reply::Answer { status: 429, headers, body: r#"{"code":"REQUEST_LIMIT_EXCEEDED"}"#.into() };
    let server = Server::start([wait("retry-after: 3\r\n"), ok(&a_webhook("w1"))]);
    let (one, pace) = client(&server.url);
    one.create_webhook(&new_webhook()).unwrap();
    assert_eq!(pace.waits(), [3000], "429 did nothing, so that even a creation is tried again");
    server.finish();

    let server = Server::start([wait("retry-after: 3600\r\n")]);
    let (other, pace) = client(&server.url);
    let error = other.webhook(&id("w1")).unwrap_err();
    assert!(pace.waits().is_empty());
    assert!(
        matches!(error.fault, Fault::Refused { retry_after: Some(wait), .. } if wait == Duration::from_hours(1))
    );
    assert_eq!(error.code(), Some(&Code::RequestLimitExceeded));
    server.finish();
}

#[test]
fn a_refusal_is_not_tried_again() {
    for status in [400, 401, 403, 415, 501, 302] {
        let server = Server::start([refused(status, "INVALID_PARAMETERS")]);
        let (client, pace) = client(&server.url);
        let error = client.create_webhook(&new_webhook()).unwrap_err();
        assert_eq!((error.status(), error.tries, error.may_have_happened()), (Some(status), 1, false));
        assert_eq!(error.request_id(), Some("r-7"));
        assert!(pace.waits().is_empty());
        let text = format!("{error} {error:?}");
        assert!(text.contains("request r-7") && !text.contains("hush"), "{text}");
        server.finish();
    }
}

#[test]
fn an_unclear_creation_is_not_tried_again_and_says_so() {
    for reply in
        [refused(504, "TIME_LIMIT_EXCEEDED"), Reply::HangUp, Reply::BreakOff, answer(200, "<html>hush")]
    {
        let server = Server::start([reply]);
        let (client, _) = client(&server.url);
        let error = client.create_webhook(&new_webhook()).unwrap_err();
        assert!(error.may_have_happened() && error.tries == 1, "{error}");
        assert!(error.to_string().contains("not known") && !format!("{error:?}").contains("hush"), "{error}");
        server.finish();
    }
}

#[test]
fn nobody_there_means_that_nothing_happened() {
    let url =
        format!("http://{}/v1", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (client, _) = client(&url);
    let error = client.create_webhook(&new_webhook()).unwrap_err();
    assert_eq!(error.tries, 4, "nothing was asked, so that it can be asked again");
    assert!(!error.may_have_happened() && error.to_string().contains("refuses to connect"), "{error}");
}

#[test]
fn a_try_has_an_end() {
    // It lets a connection come about, but never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::new(format!("http://{}", listener.local_addr().unwrap()), credentials());
    settings.patience.attempt = Duration::from_millis(20);
    let client = Client::new(&settings, FakePace::default()).unwrap();
    let error = client.webhook(&id("w1")).unwrap_err();
    assert_eq!((error.tries, error.fault), (4, Fault::Lost("not within the time")));
    assert!(client.create_webhook(&new_webhook()).unwrap_err().may_have_happened());
}

#[test]
fn an_unclear_creation_is_found_by_its_url() {
    let mut elsewhere = a_webhook("w2");
    elsewhere["url"] = "https://h/hook/".into();
    let server = Server::start([
        Reply::HangUp,
        ok(&json!({ "items": [a_webhook("w1"), elsewhere, a_webhook("w3")] })),
    ]);
    let (client, _) = client(&server.url);
    assert!(client.create_webhook(&new_webhook()).unwrap_err().may_have_happened());
    let found: Vec<WebhookId> =
        client.webhooks_at("https://h/hook").unwrap().into_iter().map(|webhook| webhook.id).collect();
    assert_eq!(found, [id("w1"), id("w3")]);
    server.finish();
}

#[test]
fn what_is_not_there_is_none() {
    let missing = || refused(404, "MISSING_RESOURCE");
    let server = Server::start([missing(), missing(), missing(), missing()]);
    let (client, _) = client(&server.url);
    let account = AccountId::new("..").unwrap();
    assert!(client.webhook(&id("w1")).unwrap().is_none());
    assert!(client.account(&account).unwrap().is_none());
    assert!(client.account_payload(&account).unwrap().is_none());
    assert_eq!(client.delete_webhook(&id("w1")), Ok(Deletion::NotThere));
    assert_eq!(lines(&server.finish())[1..3], ["GET /v1/accounts/%2E%2E", "GET /v1/accounts/%2E%2E/payload"]);
}

#[test]
fn a_payload_is_kept_as_it_came_and_does_not_print() {
    let server = Server::start([answer(200, r#"{"data":{"identity" : {"fullName":"hush"}, "n":1.50}}"#)]);
    let (client, _) = client(&server.url);
    let payload = client.account_payload(&AccountId::new("a").unwrap()).unwrap().unwrap();
    assert_eq!(payload.get(), r#"{"identity" : {"fullName":"hush"}, "n":1.50}"#);
    assert_eq!(format!("{payload:?}"), "Payload(44 bytes)");
    server.finish();
}

#[test]
fn success_that_says_otherwise_is_none() {
    let server = Server::start([refused(200, "SERVER_ERROR"), refused(200, "hush code")]);
    let (client, _) = client(&server.url);
    let error = client.webhook(&id("w1")).unwrap_err();
    assert_eq!(error.code(), Some(&Code::ServerError));
    // What does not look like a code is none, so that this is read as a webhook, and cannot be.
    let error = client.webhook(&id("w1")).unwrap_err();
    assert!(
        matches!(error.fault, Fault::Unreadable { .. }) && !error.to_string().contains("hush"),
        "{error}"
    );
    server.finish();
}

#[test]
fn ten_calls_start_a_second() {
    let server = Server::start((0..12).map(|_| ok(&a_webhook("w1"))));
    let (client, pace) = client(&server.url);
    for _ in 0..12 {
        client.webhook(&id("w1")).unwrap();
    }
    assert_eq!(pace.waits(), [100; 11]);
    server.finish();
}

#[test]
fn secrets_are_not_printed() {
    let settings = Settings::new(SANDBOX, credentials());
    let (client, _) = client(OPEN);
    let webhook: Webhook = serde_json::from_value(a_webhook("w1")).unwrap();
    let printed = format!("{settings:?} {client:?} {:?} {webhook:?}", new_webhook());
    assert!(printed.contains("Secret(..)") && !printed.contains("hush"), "{printed}");
    assert!(printed.contains(SANDBOX) && printed.contains(OPEN));
}

#[test]
fn credentials_come_as_a_document() {
    let good = Credentials::from_document(r#"{"key":"k","secret":"s:1","note":1}"#).unwrap();
    assert_eq!((good.key.expose(), good.secret.expose()), ("k", "s:1"));
    for bad in ["hush", r#"{"key":"hush"}"#, r#"{"key":"hu:sh","secret":"s"}"#, r#"{"key":"","secret":"s"}"#]
    {
        let error = Credentials::from_document(bad).unwrap_err().to_string();
        assert!(error.contains("\"key\" and \"secret\"") && !error.contains("hush"), "{error}");
    }
    let settings = Settings::new("http://open.smileapi.io/v1", credentials());
    assert_eq!(Client::new(&settings, FakePace::default()).unwrap_err(), Unusable::BaseUrl);
}
