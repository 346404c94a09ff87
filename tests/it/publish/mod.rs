//! From the table's real stream to the bus: each stored event at least once, whatever fails, and nothing personal.

mod allowed;
mod aws;
mod delivered;
mod failing;
mod personal;
mod poll;

use std::time::Duration;

use aws_types::SdkConfig;
use consumer::{Consumer, Retention};
use jiff::Timestamp;
use publish::Publisher;
use serde_json::{Value, json};
use shared::aws::{Patience, Settings, config};
use shared::bus::Bus;
use shared::callback::event_id;
use shared::id::UserId;
use shared::job::Source;
use shared::queue::Queue;
use shared::table::Table;

use self::aws::{Aws, Fault};
use self::poll::{Retries, Stream};
use crate::cloud::{database, queue_arn};
use crate::query::message;
use crate::receiver::CALLBACK_QUEUE;

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";

/// The function's, but for its time: what is injected here must not be waited for.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(5),
    attempts: 2,
};

/// A table with its stream, what fills it, and what publishes from it.
struct World {
    aws: Aws,
    table: Table,
    dynamodb: aws_sdk_dynamodb::Client,
    consumer: Consumer,
    publisher: Publisher,
    stream: Stream,
}

impl World {
    /// `plan` says of each call of `PutEvents` and `SendMessageBatch` what goes wrong with it.
    async fn new(plan: impl FnMut(&str) -> Fault + Send + 'static) -> Self {
        let aws = Aws::start(plan).await;
        let settings = Settings::at(aws.endpoint(), "ap-southeast-1", "test", "test");
        let sdk = config(settings, PATIENCE).unwrap();
        Self::with(aws, &sdk).await
    }

    async fn with(aws: Aws, sdk: &SdkConfig) -> Self {
        let database = database().await;
        let table = Table::new(&database, "table");
        let retention = "365".parse::<Retention>().unwrap();
        let (bus, queue) = (Bus::new(sdk, "smile"), Queue::new(sdk, "http://fake.invalid/publish"));
        Self {
            aws,
            publisher: Publisher::new(bus, queue, table.clone()),
            consumer: Consumer::new(table.clone(), retention, Some(queue_arn(CALLBACK_QUEUE))),
            table,
            dynamodb: aws_sdk_dynamodb::Client::new(&database),
            stream: Stream::open(&database).await,
        }
    }

    /// Has the consumer store what Smile or a browser says.
    async fn store(&self, body: &Value, source: Source) {
        let outcome = self.consumer.process(&message(&body.to_string(), source, now()), now()).await.unwrap();
        assert!(matches!(outcome, consumer::Outcome::Stored { .. }), "{outcome:?}");
    }

    /// Lets the stream run dry, then the retry queue.
    async fn run_dry(&mut self) {
        let publisher = &self.publisher;
        while self.stream.poll(async |batch| Some(invoke(publisher, batch).await)).await {}
        let mut retries = Retries::default();
        while retries.poll(&self.aws, async |batch| Some(invoke(publisher, batch).await)).await {}
    }
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// What the function answers to an event of Lambda's; the names of what is to come again.
async fn invoke(publisher: &Publisher, event: Value) -> Vec<String> {
    let outcome = publisher.publish(serde_json::from_value(event).unwrap(), Some(TRACE)).await;
    let answer = serde_json::to_value(outcome.failures).unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

fn webhook(id: &str, kind: &str, data: &Value) -> Value {
    json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z", "data": data })
}

/// What `callback` makes of a browser's word.
fn callback(client_id: &str, name: &str, value: &Value) -> Value {
    let id = event_id(&UserId::new("u-1").unwrap(), client_id);
    let data = json!({ "userId": "u-1", "clientId": client_id, "value": value });
    json!({ "id": id, "version": 1, "type": name, "createdAt": "2026-03-01T10:00:00.5Z", "data": data })
}
