//! The read API on a real table: what it tells, what it refuses, and that who follows it misses nothing.

mod follow;
mod front;
mod fuzzed;
mod refused;
mod schema;
mod things;

use aws_lambda_events::sqs::SqsMessage;
use consumer::Outcome;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use query::{Query, Request};
use serde_json::{Value, json};
use shared::callback::event_id;
use shared::id::UserId;
use shared::job::{Job, Source};
use smile_cli::sample::{self, Ids};

use crate::cloud::queue_arn;
use crate::receiver::{CALLBACK_QUEUE, Receiver};

/// Who asks, as the gateway's authorizer says it.
#[derive(Debug, Clone, Copy)]
enum Caller {
    Iam,
    /// With a JWT that has these scopes.
    Jwt(&'static str),
}

/// A receiver with the read API beside it.
struct Api {
    receiver: Receiver,
    query: Query,
}

/// What a caller is answered.
#[derive(Debug)]
struct Answered {
    status: u16,
    headers: Value,
    text: String,
    body: Value,
}

impl Api {
    async fn new() -> Self {
        let receiver = Receiver::new().await;
        let query = Query::new(receiver.table.clone());
        Self { receiver, query }
    }

    async fn get(&self, url: &str) -> Answered {
        self.ask(&front::event("GET", url, &json!({}), Caller::Iam)).await
    }

    /// Asks, and is answered with 200.
    async fn found(&self, url: &str) -> Value {
        let answered = self.get(url).await;
        assert_eq!(answered.status, 200, "{url}: {answered:?}");
        answered.body
    }

    async fn ask(&self, event: &Value) -> Answered {
        answered(&self.query, event, self.receiver.now).await
    }

    /// Hands a browser's word to the consumer, as it comes from the callback queue.
    async fn say(&mut self, user: &str, client_id: &str, name: &str, value: Value) {
        let id = event_id(&UserId::new(user).unwrap(), client_id);
        self.receiver.now += SignedDuration::from_secs(1);
        let body = json!({
            "id": id, "version": 1, "type": name, "createdAt": self.receiver.now,
            "data": { "userId": user, "clientId": client_id, "value": value },
        });
        let message = message(&body.to_string(), Source::Callback, self.receiver.now);
        let outcome = self.receiver.consumer.process(&message, self.receiver.now).await.unwrap();
        assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
    }
}

async fn answered(query: &Query, event: &Value, now: Timestamp) -> Answered {
    let request: Request = serde_json::from_value(event.clone()).unwrap();
    let answer = serde_json::to_value(query.handle(&request, now).await.answer()).unwrap();
    let text = answer["body"].as_str().unwrap().to_owned();
    Answered {
        status: u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap(),
        headers: answer["headers"].clone(),
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
    }
}

/// A message as Lambda hands it to the consumer.
pub(crate) fn message(body: &str, source: Source, received_at: Timestamp) -> SqsMessage {
    let job =
        Job { source, received_at, delivery: "request".to_owned(), held: false, check: false, session: None };
    let encoded = job.encode(body.as_bytes()).unwrap();
    let attributes: serde_json::Map<String, Value> = encoded
        .attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({ "stringValue": value, "dataType": "String" })))
        .collect();
    let queue = if source == Source::Callback { CALLBACK_QUEUE } else { "http://fake.invalid/queue" };
    serde_json::from_value(json!({
        "messageId": "m", "body": encoded.body, "messageAttributes": attributes, "eventSourceARN": queue_arn(queue),
    }))
    .unwrap()
}

/// A receiver that has seen a whole life, another user with an account of the same id, what a browser says, and
/// some that cannot be filed.
async fn seeded() -> (Api, Ids, Vec<Value>) {
    let mut api = Api::new().await;
    let mut rng = Rng::with_seed(5);
    let ids = Ids::fresh(&mut rng);
    let mut events = sample::life(&ids, api.receiver.now, &mut rng);
    let other = Ids { account: ids.account.clone(), ..Ids::fresh(&mut rng) };
    events.push(sample::event(&sample::kind("ACCOUNT_CREATED"), &other, api.receiver.now, &mut rng));
    let mut large = sample::event(&sample::kind("TASK_FINISHED"), &ids, api.receiver.now, &mut rng);
    sample::grow(&mut large, 3000, &ids, api.receiver.now, &mut rng);
    events.push(large);
    events.push(sample::event(&sample::kind("NEW_OF_TOMORROW"), &ids, api.receiver.now, &mut rng));
    for event in &events {
        api.receiver.deliver(sample::body(event).as_bytes()).await;
    }
    let account = json!({ "accountId": ids.account, "userId": ids.user, "providerId": ids.provider });
    api.say(&ids.user, "1", "onAccountConnected", account.clone()).await;
    let lost = json!({ "accountId": "a-lost", "userId": ids.user, "providerId": ids.provider });
    api.say(&ids.user, "2", "onAccountConnected", lost).await;
    let screen =
        json!({ "eventName": "LoginPageOpened", "mode": "SANDBOX", "account": { "providerId": "sss_ph" } });
    api.say(&ids.user, "3", "onUIEvent", screen).await;
    api.say(&ids.user, "4", "onAccountError", {
        let mut error = account;
        error["errorCode"] = json!("MFA_TIMEOUT");
        error
    })
    .await;
    api.say(&ids.user, "5", "onUploadsCreated", json!({ "uploads": ["x"], "userId": ids.user })).await;
    api.say(&ids.user, "6", "onClose", json!({ "reason": "exit" })).await;
    api.say(&ids.user, "7", "onTokenExpired", Value::Null).await;
    let noise: String = std::iter::repeat_with(|| rng.alphanumeric()).take(900_000).collect();
    for body in ["not json".to_owned(), r#"{"id":"et-1"}"#.to_owned(), noise] {
        api.receiver.deliver(body.as_bytes()).await;
    }
    (api, ids, events)
}
