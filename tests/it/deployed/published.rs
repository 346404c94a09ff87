//! From the table's stream to the bus, on the deployed template: what a rule of somebody's gets, and what becomes of
//! events that the bus does not take.
//!
//! Not the publish role's statements `Stream` and `DeadLetters`, nor that a record comes again from the stream: the local
//! cloud reads the stream by itself, asks no role, and takes no partial failures there. `template` holds the statements,
//! and `publish` the failures.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use shared::bus::Detail;
use smile_cli::sample::{Ids, body, life};

use super::{Deployed, sdk, until};

/// A rule for all of the bus, and the queue behind it.
struct Rule {
    queue: String,
    seen: BTreeMap<String, Vec<Value>>,
}

impl Rule {
    async fn of(deployed: &Deployed) -> Self {
        let events = aws_sdk_eventbridge::Client::new(&sdk(deployed.stack()));
        let queue = deployed.sqs.create_queue().queue_name("seen").send().await.unwrap().queue_url.unwrap();
        let arn = QueueAttributeName::QueueArn;
        let asked = deployed.sqs.get_queue_attributes().queue_url(&queue).attribute_names(arn.clone());
        let arn = asked.send().await.unwrap().attributes.unwrap()[&arn].clone();
        let bus = &deployed.stack().outputs["BusName"];
        let rule = events.put_rule().name("all").event_bus_name(bus);
        rule.event_pattern(json!({ "source": [{ "prefix": "smile." }] }).to_string()).send().await.unwrap();
        let target = Target::builder().id("queue").arn(arn).build().unwrap();
        events.put_targets().rule("all").event_bus_name(bus).targets(target).send().await.unwrap();
        Self { queue, seen: BTreeMap::new() }
    }

    /// Takes what has come, and says whether these events are all among it.
    async fn has(&mut self, deployed: &Deployed, ids: &BTreeSet<String>) -> bool {
        let taken = deployed.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10);
        for message in taken.send().await.unwrap().messages() {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let id = event["detail"]["id"].as_str().unwrap().to_owned();
            self.seen.entry(id).or_default().push(event);
            let receipt = message.receipt_handle().unwrap();
            let done = deployed.sqs.delete_message().queue_url(&self.queue).receipt_handle(receipt);
            done.send().await.unwrap();
        }
        ids.iter().all(|id| self.seen.contains_key(id))
    }

    async fn gets(&mut self, deployed: &Deployed, ids: &BTreeSet<String>) {
        until("the bus", async || self.has(deployed, ids).await.then_some(())).await;
    }
}

fn id(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

fn event(id: &str) -> String {
    json!({ "id": id, "version": 1, "type": "ACCOUNT_CONNECTED", "createdAt": "2026-03-01T10:00:00Z",
        "data": { "userId": "u-1", "accountId": "a-1" } })
    .to_string()
}

#[tokio::test]
async fn what_is_stored_gets_on_the_bus_and_what_the_bus_refuses_comes_again() {
    let deployed = Deployed::start("published").await;
    let mut rule = Rule::of(&deployed).await;
    let queue = &deployed.stack().outputs["PublishRetryQueueUrl"];
    // Not the six minutes of production, and no dead letter while two updates are made.
    let redrive = deployed.sqs.get_queue_attributes().queue_url(queue);
    let redrive = redrive.attribute_names(QueueAttributeName::RedrivePolicy).send().await.unwrap();
    let redrive = &redrive.attributes.unwrap()[&QueueAttributeName::RedrivePolicy];
    let mut redrive: Value = serde_json::from_str(redrive).unwrap();
    redrive["maxReceiveCount"] = json!(1000);
    let again = deployed.sqs.set_queue_attributes().queue_url(queue);
    let again = again.attributes(QueueAttributeName::RedrivePolicy, redrive.to_string());
    again.attributes(QueueAttributeName::VisibilityTimeout, "3").send().await.unwrap();

    // A whole life, all 37 types; each detail is what its type's schema says, and no more.
    let mut rng = fastrand::Rng::with_seed(17);
    let ids = Ids::of_user("tenant-published".to_owned(), &mut rng);
    #[expect(clippy::disallowed_methods, reason = "the functions have the real time, too")]
    let now = jiff::Timestamp::now();
    let bodies: Vec<String> = life(&ids, now, &mut rng).iter().map(body).collect();
    for body in &bodies {
        assert_eq!(deployed.send(body.as_bytes()).await.0, 200);
    }
    rule.gets(&deployed, &bodies.iter().map(|body| id(body)).collect()).await;
    let schemas: BTreeMap<String, Value> = Detail::schemas().collect();
    for event in rule.seen.values().flatten() {
        let kind = event["detail-type"].as_str().unwrap();
        assert_eq!((&event["source"], &event["detail"]["type"]), (&json!("smile.webhook"), &json!(kind)));
        let schema = &schemas[&format!("smile.webhook/{kind}.json")];
        assert!(jsonschema::is_valid(schema, &event["detail"]), "{event}");
    }
    let kinds: BTreeSet<&str> =
        rule.seen.values().flatten().map(|event| event["detail-type"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 37);

    // Without the bus, an event waits by its id, and is on the bus when it is mended.
    deployed.update(Some(("PublishRole", "Bus")), &[]).await;
    assert_eq!(deployed.send(event("et-refused").as_bytes()).await.0, 200);
    let refused = BTreeSet::from(["et-refused".to_owned()]);
    until("the refusal", async || {
        let log = deployed.log_of("smile-publish").await;
        log.iter().any(|line| line.contains("\"BusRefused\":1")).then_some(())
    })
    .await;
    assert!(!rule.has(&deployed, &refused).await);
    // Nor without the table, where it is read again.
    deployed.update(Some(("PublishRole", "Table")), &[]).await;
    until("a reading that is refused", async || {
        let log = deployed.log_of("smile-publish").await;
        log.iter()
            .any(|line| line.contains("it comes again") && line.contains("reading an event"))
            .then_some(())
    })
    .await;
    assert!(!rule.has(&deployed, &refused).await);
    deployed.update(None, &[]).await;
    rule.gets(&deployed, &refused).await;
    deployed.stop().await;
}
