//! The function against a simulated Smile, and a Secrets Manager in the test.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::time::Duration;

use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use shared::aws::{Settings, config};
use shared::metrics::Count;
use shared::secrets::SecretSet;
use shared::session::Session;
use shared::variables::Variables;
use smile_cli::simulate::{Clock, Failing, Operation, Options, Simulator};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

const NOW: &str = "2026-03-01T10:00:00Z";

/// What must not be seen in a log.
const API_SECRET: &str = "zq-api-secret-7d1f";
const SESSION_SECRET: &str = "zq-session-secret-93ab";

/// Secrets Manager: two secrets, and whether it answers.
struct Vaults {
    credentials: String,
    session: String,
    fails: bool,
    asked: Vec<String>,
}

/// A function with everything around it.
struct Stage {
    smile: Simulator,
    vaults: Arc<Mutex<Vaults>>,
    link: Link,
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn clock() -> Clock {
    Clock::new(now)
}

fn sdk(vaults: &Arc<Mutex<Vaults>>) -> SdkConfig {
    let vaults = Arc::clone(vaults);
    let client = infallible_client_fn(move |request| {
        assert_eq!(request.headers().get("x-amz-target").unwrap(), "secretsmanager.GetSecretValue");
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut vaults = vaults.lock().unwrap();
        let id = body["SecretId"].as_str().unwrap();
        vaults.asked.push(id.to_owned());
        let (status, answer) = if vaults.fails {
            (400, json!({ "__type": "AccessDeniedException", "message": "on purpose" }))
        } else {
            let text = if id == "credentials" { &vaults.credentials } else { &vaults.session };
            (200, json!({ "SecretString": text, "VersionId": "v" }))
        };
        http::Response::builder().status(status).body(SdkBody::from(answer.to_string())).unwrap()
    });
    let settings = Settings::at("http://fake.invalid", "ap-southeast-1", "test", "test");
    config(settings, PATIENCE).unwrap().to_builder().http_client(client).build()
}

fn credentials(secret: &str) -> String {
    json!({ "key": "simulator", "secret": secret }).to_string()
}

async fn start(vaults: &Arc<Mutex<Vaults>>, smile_url: &str) -> anyhow::Result<Link> {
    let list = [
        ("SMILE_SESSION_SECRET_ARN", "session"),
        ("SMILE_CREDENTIALS_SECRET_ARN", "credentials"),
        ("SMILE_API_URL", smile_url),
        ("CALLBACK_URL", "https://h/v1/callbacks"),
        ("LIVE_URL", "wss://l/live"),
        ("SCRIPT_URL", "https://h/v1/wink-events.js"),
    ];
    let config = Config::read(&Variables::from_list(&list)).unwrap();
    let patience = smile_api::Patience { attempt: Duration::from_secs(1), tries: 2, ..smile::PATIENCE };
    Link::with_patience(&sdk(vaults), &config, patience, now()).await
}

impl Stage {
    async fn new() -> Self {
        // With one subscriber alone, tracing asks the thread that comes first whether anybody listens, and
        // that may be another test's.
        static LISTENS: Once = Once::new();
        LISTENS.call_once(|| {
            let nowhere = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
            tracing::subscriber::set_global_default(nowhere).unwrap();
        });
        let mut options = Options::new(clock());
        options.credentials.secret = smile_api::SecretText::new(API_SECRET);
        let smile = Simulator::start(options).unwrap();
        let vaults = Arc::new(Mutex::new(Vaults {
            credentials: credentials(API_SECRET),
            session: json!({ "current": SESSION_SECRET }).to_string(),
            fails: false,
            asked: Vec::new(),
        }));
        let link = start(&vaults, &smile.url()).await.unwrap();
        Self { smile, vaults, link }
    }

    fn vaults(&self) -> MutexGuard<'_, Vaults> {
        self.vaults.lock().unwrap()
    }

    /// Status, retry-after, body, and what is counted.
    async fn post_at(&self, at: &str, path: &str, body: &str) -> (u16, Option<String>, Value, String) {
        post(&self.link, at, path, body).await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Option<String>, Value, String) {
        self.post_at(NOW, path, body).await
    }

    fn users(&self) -> usize {
        self.smile.world(|world| world.users.len())
    }

    /// The calls that Smile got, as operation and status.
    fn calls(&self) -> Vec<(Option<Operation>, Option<u16>)> {
        self.smile.calls().iter().map(|call| (call.operation, call.status)).collect()
    }
}

async fn post(link: &Link, at: &str, path: &str, body: &str) -> (u16, Option<String>, Value, String) {
    let request = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "body": body,
        "requestContext": { "http": { "method": "POST" }, "stage": "$default", "requestId": "gateway-1" },
    });
    let request: Request = serde_json::from_value(request).unwrap();
    let arrival = Arrival { now: at.parse().unwrap(), session: [7; SESSION_ID_BYTES] };
    let outcome = link.handle(&request, arrival).await;
    let answer = outcome.answer(link.urls());
    assert_eq!(answer.headers.cache_control, "no-store");
    let counts: Vec<String> = outcome
        .counts()
        .iter()
        .map(|Count { metric, by }| format!("{}/{}", metric.name(), by.as_deref().unwrap_or("-")))
        .collect();
    let body = serde_json::from_str(&answer.body).unwrap();
    (answer.status_code, answer.headers.retry_after, body, counts.join(" "))
}

fn session_of(body: &Value, secret: &str) -> Session {
    let secrets = SecretSet::from_document(&json!({ "current": secret }).to_string()).unwrap();
    Session::check(body["session"]["token"].as_str().unwrap(), &secrets, now()).unwrap()
}

#[tokio::test]
async fn a_new_user_an_existing_one_and_a_refresh() {
    let stage = Stage::new().await;
    let (status, _, created, counted) = stage.post("/v1/links", "{}").await;
    assert_eq!((status, counted.as_str()), (201, "Linked/new"), "{created}");
    let user = created["userId"].as_str().unwrap().to_owned();
    assert_eq!(stage.users(), 1);
    let of = |user: &str| json!({ "userId": user }).to_string();
    let (status, _, existing, counted) = stage.post("/v1/links", &of(&user)).await;
    assert_eq!((status, counted.as_str()), (201, "Linked/existing"), "{existing}");
    let (status, _, refreshed, counted) = stage.post(&format!("/v1/links/{user}/refresh"), "").await;
    assert_eq!((status, counted.as_str()), (200, "Linked/refresh"), "{refreshed}");
    let mut tokens = Vec::new();
    for body in [&created, &existing, &refreshed] {
        assert_eq!((&body["userId"], &body["mode"]), (&json!(user), &json!("SANDBOX")));
        assert!(body["userTokenExpiresAt"].as_str().unwrap().parse::<Timestamp>().unwrap() > now());
        let session = session_of(body, SESSION_SECRET);
        assert_eq!((session.user().as_str(), session.id()), (user.as_str(), "07".repeat(16).as_str()));
        assert_eq!(session.expires_at().to_string(), "2026-03-01T11:00:00Z");
        assert_eq!(body["session"]["expiresAt"], "2026-03-01T11:00:00Z");
        assert_eq!(body["urls"]["callbacks"], "https://h/v1/callbacks");
        assert_eq!(body["urls"]["live"], "wss://l/live");
        tokens.push(body["userToken"].as_str().unwrap().to_owned());
    }
    let known: Vec<String> = stage
        .smile
        .world(|world| world.tokens.iter().map(|token| token.access_token.expose().to_owned()).collect());
    assert_eq!(tokens, known, "each is a token of Smile's, and another one");
    assert_eq!(stage.users(), 1, "no further user");
    // Once at the start each; not again for every request.
    assert_eq!(stage.vaults().asked.len(), 2);
}

#[tokio::test]
async fn what_smile_says_comes_back_as_problem_details() {
    let new = ("/v1/links", "{}");
    let existing = ("/v1/links", r#"{"userId":"u-1"}"#);
    let refresh = ("/v1/links/u-1/refresh", "{}");
    let (user, token) = (Operation::CreateUser, Operation::CreateToken);
    let failing = |operation, status| Failing::next(operation, u32::MAX, status);
    let slow = |operation| Failing { retry_after: Some(30), ..failing(operation, 429) };
    for (asked, failing, status, code, retry_after, calls) in [
        (existing, None, 404, "user_not_found", None, 1),
        (refresh, None, 404, "user_not_found", None, 1),
        (refresh, Some(failing(token, 400)), 400, "bad_request", None, 1),
        (new, Some(failing(user, 400)), 502, "smile_refused", None, 1),
        (new, Some(failing(user, 403)), 502, "smile_refused", None, 1),
        (new, Some(failing(user, 501)), 502, "smile_refused", None, 1),
        (new, Some(slow(user)), 429, "smile_rate_limited", Some("30"), 1),
        (refresh, Some(slow(token)), 429, "smile_rate_limited", Some("30"), 1),
        // Without a time of Smile's it is tried again, which a 429 allows.
        (new, Some(failing(user, 429)), 429, "smile_rate_limited", Some("5"), 2),
        // A token may be made twice; a user is not.
        (existing, Some(failing(token, 500)), 503, "smile_unavailable", Some("5"), 1),
        (existing, Some(failing(token, 503).with_effect()), 503, "smile_unavailable", Some("5"), 1),
        (existing, Some(failing(token, 500).by_hanging_up()), 503, "smile_unavailable", Some("5"), 1),
        (new, Some(failing(user, 500)), 502, "smile_unclear", None, 1),
        (new, Some(failing(user, 503)), 502, "smile_unclear", None, 1),
        (new, Some(failing(user, 500).by_hanging_up().with_effect()), 502, "smile_unclear", None, 1),
        (new, Some(failing(user, 504)), 504, "smile_timeout", None, 1),
        (existing, Some(failing(token, 504)), 504, "smile_timeout", None, 1),
    ] {
        let stage = Stage::new().await;
        let hung_up = failing.as_ref().is_some_and(|failing| failing.status.is_none());
        let had_effect = failing.as_ref().is_some_and(|failing| failing.effect && asked == new);
        if let Some(failing) = failing {
            stage.smile.fail(failing);
        }
        let (answered, after, body, counted) = stage.post(asked.0, asked.1).await;
        assert_eq!((answered, &body["code"]), (status, &json!(code)), "{asked:?} {body}");
        assert_eq!(after.as_deref(), retry_after, "{body}");
        assert_eq!(counted, format!("LinkRefused/{code}"));
        assert_eq!(stage.calls().len(), calls, "{body}: {:?}", stage.calls());
        assert_eq!(stage.users(), usize::from(had_effect), "{body}");
        // By which Smile's support finds the call.
        assert_eq!(body["requestId"].is_string(), !hung_up && code != "bad_request", "{body}");
        let second = body["detail"].as_str().unwrap().contains("may create a second one");
        assert_eq!(second, asked == new && status >= 502 && code != "smile_refused", "{body}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_does_not_answer() {
    let stage = Stage::new().await;
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |listener: &TcpListener| format!("http://{}/v1", listener.local_addr().unwrap());
    let (silent_url, gone_url) = (url(&silent), url(&gone));
    drop(gone);
    let existing = r#"{"userId":"u-1"}"#;
    for (url, body, status, code, words) in [
        (&silent_url, "{}", 504, "smile_timeout", "may create a second one"),
        (&silent_url, existing, 504, "smile_timeout", "in time. Try again."),
        (&gone_url, "{}", 503, "smile_unavailable", "Nothing was created"),
        (&gone_url, existing, 503, "smile_unavailable", "Nothing was created"),
    ] {
        let link = start(&stage.vaults, url).await.unwrap();
        let (answered, _, problem, _) = post(&link, NOW, "/v1/links", body).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
}

#[tokio::test]
async fn a_bad_request_asks_nobody_anything() {
    let stage = Stage::new().await;
    for (path, body, status, code) in [
        ("/v1/links", "", 400, "bad_request"),
        ("/v1/links", "{", 400, "bad_request"),
        ("/v1/links", r#"{"user":"u-1"}"#, 400, "bad_request"),
        ("/v1/links", r#"{"userId":null}"#, 400, "bad_request"),
        ("/v1/links/u-1/refresh", r#"{"a":1}"#, 400, "bad_request"),
        ("/v1/links/u-1", "{}", 404, "not_found"),
        ("/v1/links", &" ".repeat(5000), 413, "too_large"),
    ] {
        let (answered, _, problem, counted) = stage.post(path, body).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{problem}");
        assert_eq!(problem["errors"].is_array(), status == 400, "{problem}");
        assert_eq!(counted, format!("LinkRefused/{code}"));
    }
    assert_eq!((stage.calls().len(), stage.users()), (0, 0));
}

#[tokio::test]
async fn credentials_that_smile_does_not_want_are_fetched_again() {
    let stage = Stage::new().await;
    let old = "zq-old";
    stage.vaults().credentials = credentials(old);
    let link = start(&stage.vaults, &stage.smile.url()).await.unwrap();
    let asked = || stage.vaults().asked.iter().filter(|id| *id == "credentials").count();
    let before = asked();
    // Fetched a moment ago: there is nothing newer.
    let (status, _, problem, _) = post(&link, NOW, "/v1/links", "{}").await;
    assert_eq!((status, &problem["code"]), (502, &json!("smile_refused")), "{problem}");
    assert_eq!(asked(), before);
    // Looked at again, the same: Smile is not asked once more.
    let calls = stage.calls().len();
    let (status, ..) = post(&link, "2026-03-01T10:00:10Z", "/v1/links", "{}").await;
    assert_eq!((status, asked(), stage.calls().len()), (502, before + 1, calls + 1));
    // Changed in Secrets Manager meanwhile.
    stage.vaults().credentials = credentials(API_SECRET);
    let (status, _, body, _) = post(&link, "2026-03-01T10:00:20Z", "/v1/links", "{}").await;
    assert_eq!((status, asked(), stage.users()), (201, before + 2, 1), "{body}");
    let last: Vec<_> = stage.calls().iter().rev().take(2).rev().map(|call| call.1).collect();
    assert_eq!(last, [Some(401), Some(201)]);
}

#[tokio::test]
async fn secrets_are_fetched_every_five_minutes_and_serve_for_an_hour() {
    let stage = Stage::new().await;
    let asked = || stage.vaults().asked.len();
    assert_eq!(stage.post_at("2026-03-01T10:04:59Z", "/v1/links", "{}").await.0, 201);
    assert_eq!(asked(), 2);
    // Rotated: the next fetch knows, and signs with the current one.
    let previous = json!({ "secret": SESSION_SECRET, "not_after": "2027-01-01T00:00:00Z" });
    let rotated = json!({ "current": "other", "previous": previous });
    stage.vaults().session = rotated.to_string();
    let (status, _, body, _) = stage.post_at("2026-03-01T10:05:00Z", "/v1/links", "{}").await;
    assert_eq!((status, asked()), (201, 4), "{body}");
    assert_eq!(session_of(&body, "other").user().as_str(), body["userId"]);
    // Away: the last known ones serve.
    stage.vaults().fails = true;
    assert_eq!(stage.post_at("2026-03-01T11:04:59Z", "/v1/links", "{}").await.0, 201);
    let users = stage.users();
    let (status, after, problem, counted) = stage.post_at("2026-03-01T11:05:10Z", "/v1/links", "{}").await;
    assert_eq!((status, after.as_deref(), &problem["code"]), (503, Some("5"), &json!("unavailable")));
    assert_eq!(counted, "LinkRefused/unavailable SecretUnavailable/-");
    assert_eq!(stage.users(), users, "no user is created in vain");
    stage.vaults().fails = false;
    assert_eq!(stage.post_at("2026-03-01T11:05:20Z", "/v1/links", "{}").await.0, 201);
}

#[tokio::test]
async fn without_secrets_it_does_not_start() {
    let stage = Stage::new().await;
    let good = {
        let vaults = stage.vaults();
        (vaults.credentials.clone(), vaults.session.clone())
    };
    let unusable = format!(r#"{{"secret":"{API_SECRET}"}}"#);
    for (credentials, session, fails, words) in [
        (&unusable, &good.1, false, "\"key\" and \"secret\""),
        (&good.0, &unusable, false, "\"current\""),
        (&good.0, &good.1, true, "AccessDenied"),
    ] {
        {
            let mut vaults = stage.vaults();
            (vaults.credentials, vaults.session, vaults.fails) =
                (credentials.clone(), session.clone(), fails);
        }
        let error = format!("{:#}", start(&stage.vaults, "http://127.0.0.1:1/v1").await.err().unwrap());
        assert!(error.contains(words) && !error.contains(API_SECRET), "{error}");
    }
    {
        let mut vaults = stage.vaults();
        (vaults.credentials, vaults.session, vaults.fails) = (good.0, good.1, false);
    }
    let error = format!("{:#}", start(&stage.vaults, "http://open.smileapi.io/v1").await.err().unwrap());
    assert!(error.contains("https://"), "{error}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_log_names_user_and_reason_and_no_token() {
    let stage = Stage::new().await;
    let log = Log::default();
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(lines);
    let (_, _, created, _) = stage.post("/v1/links", "{}").await;
    let user = created["userId"].as_str().unwrap().to_owned();
    let (_, _, refreshed, _) = stage.post(&format!("/v1/links/{user}/refresh"), "{}").await;
    for _ in 0..2 {
        stage.smile.fail(Failing::next(Operation::CreateUser, 1, 500).with_effect());
        assert_eq!(stage.post("/v1/links", "{}").await.0, 502);
        stage.smile.fail(Failing::next(Operation::CreateUser, 1, 500).by_hanging_up());
        assert_eq!(stage.post("/v1/links", "{}").await.0, 502);
    }
    let mark = "zq-mark-in-a-body";
    assert_eq!(stage.post("/v1/links", &json!({ mark: mark }).to_string()).await.0, 400);
    assert_eq!(stage.post("/v1/links", &format!("{{\"{mark}")).await.0, 400);
    stage.vaults().credentials = format!(r#"{{"key":"{mark}""#);
    stage.vaults().session = format!(r#"{{"pending":"{SESSION_SECRET}"}}"#);
    assert_eq!(stage.post_at("2026-03-01T10:30:00Z", "/v1/links", "{}").await.0, 201);
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for word in [
        user.as_str(),
        &"07".repeat(16),
        "gateway-1",
        "POST /users: Smile answered 500",
        "smile_unclear",
        "bad_request",
        "the credentials of Smile's API could not be fetched",
        "the session secret could not be fetched",
    ] {
        assert!(log.contains(word), "{word}: {log}");
    }
    let tokens =
        [&created, &refreshed].into_iter().flat_map(|body| [&body["userToken"], &body["session"]["token"]]);
    for secret in tokens.map(|token| token.as_str().unwrap()).chain([mark, API_SECRET, SESSION_SECRET]) {
        assert!(secret.len() > 8 && !log.contains(secret), "{secret}: {log}");
    }
}
