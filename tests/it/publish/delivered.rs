//! Thousands of events through the table's stream while everything fails now and then: each gets on the bus, and
//! who knows events by their ids has each once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use fastrand::Rng;
use publish::Publisher;
use serde_json::{Value, json};
use shared::bus::Detail;
use shared::event::EventType;
use shared::job::Source;
use shared::table::StoredEvent;

use super::aws::{Fault, PUT, SEND};
use super::poll::Retries;
use super::{World, invoke, webhook};
use crate::support::cases;

/// Faults of every kind, and outages: of the bus alone, and of the bus and the queue behind it.
fn plan(mut rng: Rng) -> impl FnMut(&str) -> Fault {
    let (mut bus_away, mut both_away) = (0, 0);
    move |target| {
        let away = Fault::Refused(503, "ServiceUnavailable");
        if both_away > 0 {
            both_away -= 1;
            return away;
        }
        if target == PUT && bus_away > 0 {
            bus_away -= 1;
            return away;
        }
        match (rng.u32(..1000), target) {
            (0..5, PUT) => bus_away = rng.u32(20..60),
            (0..5, SEND) => both_away = rng.u32(5..20),
            (5..60, PUT) | (5..200, SEND) => return Fault::Part(rng.u16(..)),
            (60..90, PUT) => return Fault::Refused(400, "ThrottlingException"),
            (90..110, PUT) => return Fault::Refused(500, "InternalException"),
            (110..115, PUT) | (200..205, SEND) => return Fault::Silence { taken: rng.bool() },
            (115..140, PUT) | (205..260, SEND) => return Fault::LostAnswer,
            (140..160, PUT) => return Fault::Nonsense,
            (260..300, SEND) => return Fault::Refused(403, "AccessDenied"),
            _ => {}
        }
        Fault::Nothing
    }
}

type Item = HashMap<String, AttributeValue>;

/// The consumer's own item of an event of each type, and of an unknown one. Some come twice, which changes their
/// items: the stream has that, and the state they write, too.
async fn of_each_type(world: &World) -> Vec<Item> {
    let mut items = Vec::new();
    let kinds = EventType::KNOWN.iter().map(EventType::as_str).chain(["NEW_OF_TOMORROW"]);
    for (at, kind) in kinds.enumerate() {
        let id = format!("et-{at}");
        let data = json!({ "userId": format!("u-{at}"), "accountId": "a-1", "archiveId": "r-1", "inviteId": "i-1",
            "recordId": "ss-1", "verificationId": "v-1", "status": "SUCCEEDED", "count": at, "providers": ["sss_ph"] });
        for _ in 0..=at % 2 {
            world.store(&webhook(&id, kind, &data), Source::Webhook).await;
        }
        let get = world.dynamodb.get_item().table_name("table");
        let keys = [("pk", format!("EVENT#{id}")), ("sk", "EVENT".to_owned())];
        let get = keys.into_iter().fold(get, |get, (name, key)| get.key(name, AttributeValue::S(key)));
        items.push(get.send().await.unwrap().item.unwrap());
    }
    items
}

/// Stores many more like these, as quickly as the table takes them.
async fn write(dynamodb: aws_sdk_dynamodb::Client, like: Vec<Item>, events: usize) {
    let numbers: Vec<usize> = (like.len()..events).collect();
    for batch in numbers.chunks(25) {
        let put = |number: &usize| {
            let mut item = like[number % like.len()].clone();
            let id = format!("et-{number}");
            item.insert("pk".to_owned(), AttributeValue::S(format!("EVENT#{id}")));
            item.insert("id".to_owned(), AttributeValue::S(id));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        };
        let write = dynamodb.batch_write_item();
        let answer = write.request_items("table", batch.iter().map(put).collect()).send().await.unwrap();
        assert!(answer.unprocessed_items().is_none_or(HashMap::is_empty));
    }
}

/// The function, which is sometimes killed while it runs: after some steps, not after some time, since that would depend
/// on the machine.
async fn run(publisher: &Publisher, batch: Value, rng: &mut Rng) -> Option<Vec<String>> {
    let mut steps = if rng.u8(..3) == 0 { rng.usize(1..6) } else { usize::MAX };
    let mut invocation = std::pin::pin!(invoke(publisher, batch));
    std::future::poll_fn(|context| {
        if steps == 0 {
            return Poll::Ready(None);
        }
        steps -= 1;
        invocation.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_gets_on_the_bus_whatever_fails() {
    let events = cases(2500);
    let mut world = World::new(plan(Rng::with_seed(1))).await;
    let like = of_each_type(&world).await;
    let writer = tokio::spawn(write(world.dynamodb.clone(), like, events));
    let drained = Arc::new(AtomicBool::new(false));
    // The retry queue beside the stream, as on AWS.
    let (publisher, aws, stream_over) = (world.publisher.clone(), world.aws.clone(), Arc::clone(&drained));
    let retries = tokio::spawn(async move {
        let (mut retries, mut rng, mut invocations) = (Retries::default(), Rng::with_seed(2), 0);
        loop {
            let over = stream_over.load(Ordering::SeqCst);
            // SQS hands a message out twice now and then.
            let twice = aws.state().queue.front().cloned().filter(|_| rng.u8(..20) == 0);
            aws.state().queue.extend(twice);
            if retries.poll(&aws, async |batch| run(&publisher, batch, &mut rng).await).await {
                invocations += 1;
            } else if over {
                return invocations;
            } else {
                tokio::task::yield_now().await;
            }
        }
    });
    let (publisher, mut rng) = (world.publisher.clone(), Rng::with_seed(3));
    // What is stored meanwhile is published meanwhile.
    while !writer.is_finished() {
        if !world.stream.poll(async |batch| run(&publisher, batch, &mut rng).await).await {
            tokio::task::yield_now().await;
        }
    }
    writer.await.unwrap();
    while world.stream.poll(async |batch| run(&publisher, batch, &mut rng).await).await {}
    drained.store(true, Ordering::SeqCst);
    let batches = retries.await.unwrap();

    assert_eq!(world.aws.state().impossible, [""; 0]);
    let entries = std::mem::take(&mut world.aws.state().bus);
    let mut consumed: BTreeMap<String, Value> = BTreeMap::new();
    let mut repeats = 0;
    for mut entry in entries {
        // One call has one trace, and a repeat another one's.
        entry.as_object_mut().unwrap().remove("TraceHeader");
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        let id = detail["id"].as_str().unwrap().to_owned();
        if let Some(before) = consumed.insert(id, entry.clone()) {
            assert_eq!(before, entry, "a repeat says the same");
            repeats += 1;
        }
    }
    let mut stored = 0;
    let found = world.dynamodb.scan().table_name("table").filter_expression("sk = :event");
    let found = found.expression_attribute_values(":event", AttributeValue::S("EVENT".to_owned()));
    let mut found = found.into_paginator().items().send();
    while let Some(item) = found.next().await {
        let event: StoredEvent = serde_dynamo::from_item(item.unwrap()).unwrap();
        let (detail, entry) = (Detail::of(&event), consumed.get(&event.id).expect(&event.id));
        assert_eq!(entry["Detail"], detail.to_json());
        assert_eq!(entry["DetailType"], detail.detail_type());
        stored += 1;
    }
    assert_eq!((stored, consumed.len()), (events, events), "missing, or invented");
    let (from_the_lowest, whole) = world.stream.again;
    println!(
        "{events} events, {repeats} repeats, {from_the_lowest} times from the lowest failed record, {whole} times the \
         whole batch, {batches} batches of the retry queue"
    );
    // Or this would have shown too little.
    assert!(repeats > 100 && from_the_lowest > 2 && whole > 2 && batches > 20);
}
