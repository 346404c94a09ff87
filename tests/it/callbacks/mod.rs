//! Callbacks: from a browser's request through the callback function, its queue and the consumer to the table.

mod before;
mod flood;
mod folded;
mod kept;
mod personal;
mod refused;

use callback::answer::Outcome;
use callback::{Arrival, Callbacks};
use jiff::SignedDuration;
use lambda_http::{Body, Request};
use serde_json::{Value, json};
use shared::id::UserId;
use shared::queue::Queue;
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::session::mint;
use shared::state::State;
use shared::state::view::{StateView, UserView};
use shared::verify::Secret;

use crate::receiver::{CALLBACK_QUEUE, Receiver};

const SESSION_SECRET: &str = "the-secret-of-sessions";
const PAGE: &str = "https://app.example.com";
/// A page of a hybrid app.
const APP: &str = "capacitor://localhost";

/// A receiver with a callback function beside it, and a user's browser.
struct Browser {
    receiver: Receiver,
    callbacks: Callbacks,
    requests: usize,
    /// What the session's id is made of.
    session: u8,
}

/// What a browser is answered.
#[derive(Debug)]
struct Answered {
    status: u16,
    headers: lambda_http::http::HeaderMap,
    body: Value,
    outcome: Outcome,
}

impl Browser {
    async fn new() -> Self {
        let receiver = Receiver::new().await;
        receiver.cloud.state().secret = json!({ "current": SESSION_SECRET }).to_string();
        let sdk = receiver.cloud.sdk();
        let secrets = Secrets::fetch(SecretStore::new(&sdk, "arn"), receiver.now).await.unwrap();
        let origins = format!("{PAGE},http://localhost:3000,{APP}").parse().unwrap();
        let queue = Queue::new(&sdk, CALLBACK_QUEUE);
        let callbacks = Callbacks::new(origins, secrets, queue, "120".parse().unwrap());
        Self { receiver, callbacks, requests: 0, session: 1 }
    }

    fn token(&self, user: &str) -> String {
        self.token_signed_with(user, SESSION_SECRET)
    }

    fn token_signed_with(&self, user: &str, secret: &str) -> String {
        let user = UserId::new(user).unwrap();
        let secret = Secret::new(secret).unwrap();
        mint(&user, [self.session; 16], SignedDuration::from_mins(60), self.receiver.now, &secret).token
    }

    /// A request as a browser makes it; `change` makes it another one.
    fn request(&self, user: &str, body: &str, change: impl FnOnce(&mut Request)) -> Request {
        let mut request = Request::new(Body::Text(body.to_owned()));
        *request.method_mut() = lambda_http::http::Method::POST;
        let headers = request.headers_mut();
        headers.insert("origin", PAGE.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("authorization", format!("Bearer {}", self.token(user)).parse().unwrap());
        change(&mut request);
        request
    }

    async fn ask(&mut self, request: &Request, path: &str) -> Answered {
        self.requests += 1;
        let delivery = format!("request-{}", self.requests);
        let arrival = Arrival { now: self.receiver.now, trace: None, delivery: &delivery };
        let outcome = self.callbacks.handle(request, path, arrival).await;
        let (parts, body) = outcome.answer().into_parts();
        let body = match body {
            Body::Text(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            Body::Binary(bytes) => json!({ "bytes": bytes.len() }),
            _ => Value::Null,
        };
        assert_eq!(parts.status.as_u16(), outcome.status());
        Answered { status: parts.status.as_u16(), headers: parts.headers, body, outcome }
    }

    /// Sends a batch as the user's browser does.
    async fn send(&mut self, user: &str, items: &[Value]) -> Answered {
        let request = self.request(user, &json!({ "callbacks": items }).to_string(), |_| {});
        self.ask(&request, callback::PATH).await
    }

    /// Sends a batch of which everything must be taken, and lets the consumer have it. Looks that are due
    /// later stay out; they are given back.
    async fn say(&mut self, user: &str, items: &[Value]) -> Vec<aws_lambda_events::sqs::SqsMessage> {
        let answered = self.send(user, items).await;
        assert_eq!((answered.status, &answered.body["accepted"]), (200, &json!(items.len())), "{answered:?}");
        self.consume().await
    }

    /// Lets the consumer have what is on the queue; gives back what is due later.
    async fn consume(&mut self) -> Vec<aws_lambda_events::sqs::SqsMessage> {
        let (later, now): (Vec<_>, Vec<_>) = self
            .receiver
            .cloud
            .receive()
            .into_iter()
            .partition(|message| message.message_attributes.contains_key("check"));
        for message in now {
            self.receiver.now += SignedDuration::from_secs(1);
            self.receiver.consumer.process(&message, self.receiver.now).await.unwrap();
        }
        later
    }

    async fn user(&self, user: &str) -> UserView {
        let state = self.receiver.table.user(&UserId::new(user).unwrap()).await.unwrap();
        StateView::from(&state).users.into_values().next().expect("a user")
    }

    /// What webhooks wrote of a user: everything but what browsers did.
    async fn truth(&self, user: &str) -> State {
        let mut truth = State::default();
        for (entity, registers) in
            self.receiver.table.user(&UserId::new(user).unwrap()).await.unwrap().items()
        {
            if !entity.is_from_browser() {
                truth.insert(entity.clone(), registers.clone());
            }
        }
        truth
    }
}

/// A callback; `at` is a time of the first of March 2026.
fn item(id: &str, name: &str, at: &str, data: Value) -> Value {
    let mut item = json!({ "id": id, "name": name, "at": format!("2026-03-01T{at}Z") });
    if !data.is_null() {
        item["data"] = data;
    }
    item
}

fn account(account: &str) -> Value {
    json!({ "accountId": account, "userId": "u-1", "providerId": "sss_ph" })
}

fn screen(name: &str, account: &Value) -> Value {
    json!({ "eventName": name, "eventTime": "2026-03-01T10:00:00Z", "mode": "SANDBOX", "userId": "u-1",
            "account": account, "archive": null })
}

/// One session, as the widget goes through it: all nine callbacks and all twelve screens.
fn walk() -> Vec<Value> {
    let provider = json!({ "providerId": "sss_ph" });
    let both = json!({ "providerId": "sss_ph", "accountId": "a-1" });
    let mut said: Vec<(&str, Value)> = vec![
        ("onUIEvent", screen("ConsentPageOpened", &Value::Null)),
        ("onUIEvent", screen("ProviderListPageOpened", &Value::Null)),
        ("onUIEvent", screen("LoginOptionsPageOpened", &Value::Null)),
        ("onUIEvent", screen("EmployerSurveyPageOpened", &Value::Null)),
        ("onUIEvent", screen("LoginPageOpened", &provider)),
        ("onAccountCreated", account("a-1")),
        ("onUIEvent", screen("MfaPageOpened", &provider)),
    ];
    let mut failed = account("a-1");
    failed["errorCode"] = json!("INVALID_MFA");
    said.extend([
        ("onAccountError", failed),
        ("onUIEvent", screen("ConnectSuccessPageOpened", &both)),
        ("onAccountConnected", account("a-1")),
        ("onUIEvent", screen("AccountRevokePageOpened", &both)),
        ("onAccountRemoved", account("a-1")),
        ("onUIEvent", screen("FileTypeListPageOpened", &Value::Null)),
        ("onUIEvent", screen("FileTypePageOpened", &Value::Null)),
        ("onUIEvent", screen("ArchiveSuccessPageOpened", &Value::Null)),
        ("onUploadsCreated", json!({ "uploads": [{ "id": "f-1" }, { "id": "f-2" }], "userId": "u-1" })),
        ("onUIEvent", screen("RevokeArchivePageOpened", &Value::Null)),
        ("onUploadsRemoved", json!({ "uploads": [{ "id": "f-1" }], "userId": "u-1" })),
        ("onTokenExpired", Value::Null),
        ("onClose", json!({ "reason": "exit" })),
    ]);
    let number = |(at, (name, data)): (usize, (&str, Value))| {
        item(&format!("c-{at}"), name, &format!("10:00:{at:02}.500"), data)
    };
    said.into_iter().enumerate().map(number).collect()
}

/// A webhook about account `a-1` of user `u-1`.
fn webhook(id: &str, kind: &str, at: &str) -> Vec<u8> {
    let data = json!({ "userId": "u-1", "accountId": "a-1", "providers": ["sss_ph"] });
    json!({ "id": id, "version": 1, "type": kind, "createdAt": format!("2026-03-01T{at}Z"), "data": data })
        .to_string()
        .into_bytes()
}
