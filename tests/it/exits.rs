//! Of what is revoked no copy stays, whatever way a message ends: every call of the consumer fails in turn, before it
//! takes effect and after it did, and two messages meet at every call.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use consumer::{Consumer, Outcome as Consumed};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::table::{Reason, Table};
use tokio::sync::oneshot;

use crate::cloud;
use crate::kept::large_body;
use crate::receiver::Receiver;

/// What happens at one call, and at those after it.
#[derive(Debug)]
enum Plan {
    /// The connection is gone before the call arrives, and stays so.
    LostBefore,
    /// The call takes effect, but its answer is lost, and so is everything after it.
    LostAfter,
    /// The call waits until it may go on.
    Wait { reached: Option<oneshot::Sender<()>>, go_on: Option<oneshot::Receiver<()>> },
}

/// A client of a table that fails or waits at the `at`-th call, from 0.
#[derive(Debug, Clone)]
struct Planned {
    inner: SharedHttpClient,
    plan: Arc<Mutex<(usize, Plan)>>,
    at: usize,
}

impl HttpClient for Planned {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, planned: self.clone() })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    inner: SharedHttpConnector,
    planned: Planned,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let lost = || ConnectorError::other("lost on purpose".into(), None);
            let (is_lost, wait) = {
                let mut plan = this.planned.plan.lock().unwrap();
                let number = plan.0;
                plan.0 += 1;
                let at = this.planned.at;
                match &mut plan.1 {
                    Plan::LostBefore if number >= at => return Err(lost()),
                    Plan::LostAfter if number > at => return Err(lost()),
                    Plan::LostAfter => (number == at, None),
                    Plan::Wait { reached, go_on } if number == at => {
                        reached.take().unwrap().send(()).unwrap();
                        (false, go_on.take())
                    }
                    _ => (false, None),
                }
            };
            if let Some(go_on) = wait {
                go_on.await.unwrap();
            }
            let answer = this.inner.call(request).await;
            if is_lost { Err(lost()) } else { answer }
        })
    }
}

/// A receiver whose database a second consumer reaches by a planned client.
struct Two {
    receiver: Receiver,
    sdk: aws_types::SdkConfig,
}

impl Two {
    async fn new() -> Self {
        let sdk = cloud::database().await;
        let mut receiver = Receiver::new().await;
        receiver.table = Table::new(&sdk, "table");
        receiver.dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
        receiver.consumer = Consumer::new(receiver.table.clone(), "365".parse().unwrap(), None);
        Self { receiver, sdk }
    }

    fn planned(&self, at: usize, plan: Plan) -> (Consumer, Arc<Mutex<(usize, Plan)>>) {
        let plan = Arc::new(Mutex::new((0, plan)));
        let client = Planned { inner: self.sdk.http_client().unwrap(), plan: plan.clone(), at };
        let sdk = self.sdk.to_builder().http_client(client).build();
        (Consumer::new(Table::new(&sdk, "table"), "365".parse().unwrap(), None), plan)
    }

    /// A message on the queue, as a try of the vendor's of its own.
    async fn message(&mut self, body: &[u8]) -> aws_lambda_events::sqs::SqsMessage {
        assert_eq!(self.receiver.send(body).await.status(), 200);
        self.receiver.cloud.receive().pop().unwrap()
    }

    /// Every place where something of a body lies.
    async fn copies(&self) -> Vec<String> {
        let items = self.receiver.items().await;
        let text = |item: &std::collections::HashMap<String, AttributeValue>, name: &str| {
            item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
        };
        let has_body = |item: &&std::collections::HashMap<String, AttributeValue>| {
            let is_empty = item.get("bytes").is_some_and(|bytes| bytes.as_n().unwrap() == "0");
            (item.contains_key("body") && !is_empty) || item.contains_key("body_chunks")
        };
        items
            .iter()
            .filter(has_body)
            .map(|item| format!("{} {}", text(item, "pk"), text(item, "sk")))
            .collect()
    }

    fn now(&self) -> Timestamp {
        self.receiver.now
    }
}

fn event(id: &str, kind: &str, data: &Value) -> Vec<u8> {
    json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z", "data": data })
        .to_string()
        .into_bytes()
}

/// Bodies that carry something of the account `a-1` of `u-1`, small and large, of one thing and of several, in a form
/// that is known and in one that is not.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let session = json!({ "session": { "userId": "u-1", "status": "COMPLETED" },
                          "payload": { "accounts": [{ "id": "a-2" }, { "id": "a-1" }] } });
    let unknown = json!({ "userId": "u-1", "new": { "of": ["a-1"] } });
    vec![
        ("small", event("et-1", "INCOMES_ADDED", &json!({ "userId": "u-1", "accountId": "a-1" }))),
        ("large", large_body(800_000)),
        ("session", event("et-1", "USER_SESSION_COMPLETED", &session)),
        ("unknown", event("et-1", "ASSETS_ADDED", &unknown)),
    ]
}

/// Revocations, in forms that take different ways.
fn revocations() -> Vec<(&'static str, Vec<u8>)> {
    let owned = json!({ "userId": "u-1", "accountId": "a-1" });
    let undated = String::from_utf8(event("et-gone", "ACCOUNT_DISCONNECTED", &owned)).unwrap();
    vec![
        ("dated", event("et-gone", "ACCOUNT_DISCONNECTED", &owned)),
        ("undated", undated.replace("2026-03-01T10:00:00Z", "yesterday").into_bytes()),
        ("without a user", event("et-gone", "ACCOUNT_DISCONNECTED", &json!({ "accountId": "a-1" }))),
    ]
}

/// What was there before: nothing, an earlier event of the account, or the event itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Account,
    TheEvent,
}

async fn prepared(before: Before, body: &[u8]) -> Two {
    let mut two = Two::new().await;
    let created = event("et-0", "ACCOUNT_CREATED", &json!({ "userId": "u-1", "accountId": "a-1" }));
    let first = match before {
        Before::Nothing => return two,
        Before::Account => &created[..],
        Before::TheEvent => body,
    };
    let message = two.message(first).await;
    two.receiver.consumer.process(&message, two.now()).await.unwrap();
    if before == Before::Account {
        // Its own body is no concern of these tests.
        let update = two.receiver.dynamodb.update_item().table_name("table");
        let update = update
            .key("pk", AttributeValue::S("EVENT#et-0".into()))
            .key("sk", AttributeValue::S("EVENT".into()));
        update.update_expression("REMOVE body").send().await.unwrap();
    }
    two
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_call_fails_no_copy_stays() {
    let mut tried = 0;
    for (body_name, body) in bodies() {
        for before in [Before::Nothing, Before::TheEvent] {
            for at in 0.. {
                let mut ended = 0;
                for plan in [Plan::LostBefore, Plan::LostAfter] {
                    let about = format!("{body_name} after {before:?}: call {at} {plan:?}");
                    let mut two = prepared(before, &body).await;
                    let message = two.message(&body).await;
                    let (consumer, calls) = two.planned(at, plan);
                    ended += usize::from(consumer.process(&message, two.now()).await.is_ok());
                    let gone = two.message(&revocations()[0].1).await;
                    two.receiver.consumer.process(&gone, two.now()).await.unwrap();
                    // The queue gives the message out again.
                    two.receiver.consumer.process(&message, two.now()).await.unwrap();
                    assert_eq!(two.copies().await, [""; 0], "{about}");
                    assert!(calls.lock().unwrap().0 > 0);
                    tried += 1;
                }
                if ended == 2 {
                    assert!(at >= 2, "{body_name}: {at} calls");
                    break;
                }
            }
        }
    }
    println!("{tried} failures");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_two_messages_meet_no_copy_stays() {
    let mut met = 0;
    for (body_name, body) in bodies() {
        for (revocation, gone) in revocations() {
            for before in [Before::Nothing, Before::Account, Before::TheEvent] {
                // A large body takes long to pack, and its way is the same for every revocation.
                if body_name == "large" && revocation != "dated" {
                    continue;
                }
                for data_waits in [true, false] {
                    for at in 0.. {
                        let about = format!("{body_name}, {revocation}, {before:?}, {data_waits}, call {at}");
                        let mut two = prepared(before, &body).await;
                        let (data, gone) = (two.message(&body).await, two.message(&gone).await);
                        let (slow, fast) = if data_waits { (&data, &gone) } else { (&gone, &data) };
                        let (reached, is_reached) = oneshot::channel();
                        let (go_on, may_go_on) = oneshot::channel();
                        let plan = Plan::Wait { reached: Some(reached), go_on: Some(may_go_on) };
                        let (consumer, plan) = two.planned(at, plan);
                        let (message, now) = (slow.clone(), two.now());
                        let waiting = tokio::spawn(async move { consumer.process(&message, now).await });
                        let waiting = tokio::select! {
                            reached = is_reached => { reached.unwrap(); waiting }
                            () = async { while !waiting.is_finished() { tokio::task::yield_now().await } } => {
                                // It needs no more calls than these.
                                drop(plan);
                                break;
                            }
                        };
                        two.receiver.consumer.process(fast, now).await.unwrap();
                        go_on.send(()).unwrap();
                        waiting.await.unwrap().unwrap();
                        // What is stored when a revocation takes hold is for erasure to find, and a further try takes
                        // its body out. What comes while it takes hold must leave nothing by itself; but in an
                        // unknown form it is looked for in two places, and stored between them.
                        let by_itself = data_waits && before != Before::TheEvent && body_name != "unknown";
                        if !by_itself {
                            two.receiver.consumer.process(&data, now).await.unwrap();
                        }
                        assert_eq!(two.copies().await, [""; 0], "{about}");
                        met += 1;
                    }
                }
            }
        }
    }
    println!("{met} meetings");
    assert!(met > 100, "{met}");
}

#[tokio::test]
async fn a_full_state_item_and_an_event_about_too_much_leave_no_copy() {
    let owned = json!({ "userId": "u-1", "accountId": "a-1" });
    // A state item without room for another register: DynamoDB takes items of 400 KB.
    for revoked in [false, true] {
        let mut receiver = Receiver::new().await;
        if revoked {
            receiver.deliver(&event("et-gone", "ACCOUNT_DISCONNECTED", &owned)).await;
        }
        let mut room = 409_600;
        loop {
            let update = receiver.dynamodb.update_item().table_name("table");
            let update = update
                .key("pk", AttributeValue::S("USER#u-1".into()))
                .key("sk", AttributeValue::S("ACCOUNT#a-1".into()))
                .update_expression("SET filled = :fill")
                .expression_attribute_values(":fill", AttributeValue::S("x".repeat(room)));
            if update.send().await.is_ok() {
                break;
            }
            room -= 10;
        }
        let consumed = receiver.deliver(&large_body(800_000)).await;
        assert_eq!(consumed, Consumed::Quarantined(Reason::ItemTooLarge));
        let chunks = |pk: &'static str| {
            let items = receiver.items();
            async move {
                let of = |item: &std::collections::HashMap<String, AttributeValue>| {
                    item["pk"].as_s().unwrap().starts_with(pk) && item["sk"].as_s().unwrap().contains("BODY#")
                };
                items.await.iter().filter(|item| of(item)).count()
            }
        };
        assert_eq!(chunks("EVENT#").await, 0, "{revoked}");
        assert_eq!(chunks("QUARANTINE#").await > 0, !revoked, "{revoked}");
    }
    // An event about more than 500 things, one of which was revoked.
    let mut receiver = Receiver::new().await;
    receiver.deliver(&event("et-gone", "ACCOUNT_DISCONNECTED", &owned)).await;
    let accounts: Vec<Value> = (0..600).map(|at| json!({ "id": format!("a-{at}") })).collect();
    let session =
        json!({ "session": { "userId": "u-1", "status": "COMPLETED" }, "payload": { "accounts": accounts } });
    let consumed = receiver.deliver(&event("et-many", "USER_SESSION_COMPLETED", &session)).await;
    assert_eq!(consumed, Consumed::Quarantined(Reason::ItemTooLarge));
    let copies = receiver.items().await.into_iter().filter(|item| {
        item.get("bytes").is_some_and(|bytes| bytes.as_n().unwrap() != "0") && item.contains_key("body")
    });
    assert_eq!(copies.count(), 0);
}
