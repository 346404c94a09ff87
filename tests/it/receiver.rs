//! The whole receiver in one process: a request goes in at the webhook function, crosses a queue, and
//! ends in the table.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use consumer::{Consumer, Outcome as Consumed, Retention};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::queue::Queue;
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::secrets::SecretSet;
use shared::table::{Fault, Table};
use shared::verify::{Secret, sign};
use webhook::{Arrival, Outcome, Request, SourcePolicy, Webhook};

use crate::cloud::{Cloud, queue_arn, table};

pub(crate) const SMILE: &str = "18.142.61.230";
pub(crate) const CALLBACK_QUEUE: &str = "http://fake.invalid/callback";
pub(crate) const SECRET: &str = "the-secret-of-these-tests";

/// The receiver, the cloud around it and a clock.
pub(crate) struct Receiver {
    pub(crate) cloud: Cloud,
    pub(crate) table: Table,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) webhook: Webhook,
    pub(crate) consumer: Consumer,
    pub(crate) now: Timestamp,
    requests: usize,
}

/// How secrets come to the webhook function.
pub(crate) enum Keys {
    Fixed,
    Store,
}

impl Receiver {
    pub(crate) async fn start(keys: Keys, policy: SourcePolicy) -> Self {
        let cloud = Cloud::default();
        cloud.state().secret = json!({ "current": SECRET }).to_string();
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let sdk = cloud.sdk();
        let secrets = match keys {
            Keys::Fixed => {
                Secrets::Fixed(Arc::new(SecretSet::from_list(&json!([SECRET]).to_string()).unwrap()))
            }
            Keys::Store => Secrets::fetch(SecretStore::new(&sdk, "arn"), now).await.unwrap(),
        };
        let allow = format!("{SMILE}/32").parse().unwrap();
        let webhook = Webhook::new(allow, policy, secrets, Queue::new(&sdk, "http://fake.invalid/queue"));
        let (table, dynamodb) = table().await;
        let consumer = Consumer::new(
            table.clone(),
            "365".parse::<Retention>().unwrap(),
            Some(queue_arn(CALLBACK_QUEUE)),
        );
        Self { cloud, table, dynamodb, webhook, consumer, now, requests: 0 }
    }

    pub(crate) async fn new() -> Self {
        Self::start(Keys::Fixed, SourcePolicy::Refuse).await
    }

    /// Hands one gateway event to the webhook function.
    pub(crate) async fn post(&self, event: &Value) -> Outcome {
        let request: Request = serde_json::from_str(&event.to_string()).unwrap();
        let trace = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1");
        self.webhook.handle(request, Arrival { now: self.now, trace, invocation: "invocation" }).await
    }

    /// Sends a body as Smile does.
    pub(crate) async fn send(&mut self, body: &[u8]) -> Outcome {
        self.requests += 1;
        let request =
            request(body, Some(&signature(SECRET, body)), SMILE, &format!("request-{}", self.requests));
        self.post(&request).await
    }

    /// Lets the consumer deal with everything on the queue, a second later for each message.
    pub(crate) async fn consume(&mut self) -> Vec<Result<Consumed, Fault>> {
        let mut outcomes = Vec::new();
        for message in self.cloud.receive() {
            self.now += SignedDuration::from_secs(1);
            outcomes.push(self.consumer.process(&message, self.now).await);
        }
        outcomes
    }

    /// Sends a body and lets it be consumed.
    pub(crate) async fn deliver(&mut self, body: &[u8]) -> Consumed {
        let outcome = self.send(body).await;
        assert_eq!(outcome.status(), 200, "{outcome:?}");
        let mut outcomes = self.consume().await;
        assert_eq!(outcomes.len(), 1);
        outcomes.pop().unwrap().unwrap()
    }

    /// All items of the table.
    pub(crate) async fn items(
        &self,
    ) -> Vec<std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
        let scan = self.dynamodb.scan().table_name("table").into_paginator().items().send();
        scan.collect::<Result<_, _>>().await.unwrap()
    }
}

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    sign(&Secret::new(secret).unwrap(), body).to_string()
}

/// A request as an HTTP API hands it over (payload 2.0). What is no text comes base64-encoded.
pub(crate) fn request(body: &[u8], signature: Option<&str>, source: &str, id: &str) -> Value {
    let (text, is_base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (base64_simd::STANDARD.encode_to_string(body), true),
    };
    let mut headers = json!({ "content-type": "application/json", "user-agent": "smile" });
    if let Some(signature) = signature {
        headers["smile-signature"] = json!(signature);
    }
    json!({
        "version": "2.0",
        "routeKey": "POST /v1/webhooks/smile",
        "rawPath": "/v1/webhooks/smile",
        "rawQueryString": "",
        "headers": headers,
        "requestContext": { "apiId": "api", "http": { "method": "POST", "sourceIp": source }, "requestId": id },
        "body": text,
        "isBase64Encoded": is_base64,
    })
}

/// Messages as one batch.
pub(crate) fn batch(messages: Vec<aws_lambda_events::sqs::SqsMessage>) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = messages;
    event
}
