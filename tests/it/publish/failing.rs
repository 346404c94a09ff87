//! What fails comes again, and takes nothing with it: from the stream by the lowest sequence number, from the retry
//! queue alone. What can never work ends as a dead letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use publish::Outcome;
use publish::records::Batch;
use serde_json::{Value, json};
use shared::id::EventId;
use shared::job::Source;

use super::aws::{Aws, Fault, PUT};
use super::{TRACE, World, invoke, webhook};

/// Records of the stream as Lambda hands them over, by event.
fn changes(ids: &[&str]) -> Value {
    let record = |(at, id): (usize, &&str)| {
        json!({ "eventName": "INSERT", "dynamodb": {
            "SequenceNumber": format!("10{at}"),
            "Keys": { "pk": { "S": format!("EVENT#{id}") }, "sk": { "S": "EVENT" } },
            "NewImage": {
                "id": { "S": id }, "type": { "S": "USER_CREATED" }, "source": { "S": "webhook" },
                "received_at": { "S": "2026-03-01T10:00:01Z" }, "stored_at": { "S": "2026-03-01T10:00:02.5Z" },
                "hash": { "S": "" }, "bytes": { "N": "7" },
            },
        } })
    };
    json!({ "Records": ids.iter().enumerate().map(record).collect::<Vec<_>>() })
}

fn messages(bodies: &[Value]) -> Value {
    let record = |(at, body): (usize, &Value)| {
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        json!({ "messageId": format!("m-{at}"), "body": body })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// One fault after another; nothing fails when they are over.
fn plan<const B: usize, const Q: usize>(
    of_bus: [Fault; B],
    of_queue: [Fault; Q],
) -> impl FnMut(&str) -> Fault {
    let (mut of_bus, mut of_queue) = (of_bus.into_iter(), of_queue.into_iter());
    move |target| if target == PUT { of_bus.next() } else { of_queue.next() }.unwrap_or(Fault::Nothing)
}

const NOTHING_TAKEN: Fault = Fault::Refused(403, "AccessDeniedException");

fn on_the_bus(world: &World) -> Vec<String> {
    world.aws.details().iter().map(|detail| detail["id"].as_str().unwrap().to_owned()).collect()
}

async fn outcome(world: &World, event: Value) -> Outcome {
    world.publisher.publish(serde_json::from_value::<Batch>(event).unwrap(), Some(TRACE)).await
}

#[tokio::test]
async fn an_entry_says_where_from_what_and_when() {
    let world = World::new(plan([], [])).await;
    assert_eq!(invoke(&world.publisher, changes(&["et-1"])).await, [""; 0]);
    let entry = world.aws.state().bus[0].clone();
    assert_eq!(
        (&entry["Source"], &entry["DetailType"], &entry["EventBusName"], &entry["TraceHeader"]),
        (&json!("smile.webhook"), &json!("USER_CREATED"), &json!("smile"), &json!(TRACE))
    );
    // When it was stored: the same for every repeat, and by no clock but ours.
    assert_eq!(entry["Time"], json!(1_772_359_202.5));
    assert_eq!(
        world.aws.details(),
        [json!({ "id": "et-1", "type": "USER_CREATED", "source": "webhook",
            "receivedAt": "2026-03-01T10:00:01Z", "storedAt": "2026-03-01T10:00:02.5Z" })]
    );
}

#[tokio::test]
async fn what_the_bus_refuses_goes_another_way_and_holds_nobody_up() {
    let mut world = World::new(plan([Fault::Part(0b1010)], [])).await;
    for at in 0..4 {
        world.store(&webhook(&format!("et-{at}"), "USER_CREATED", &json!({})), Source::Webhook).await;
    }
    let outcome = outcome(&world, changes(&["et-0", "et-1", "et-2", "et-3"])).await;
    assert_eq!((outcome.failures.batch_item_failures.len(), outcome.deferred), (0, 2));
    assert_eq!(outcome.published, ["USER_CREATED"; 2]);
    let counted: Vec<&str> = outcome.counts().iter().map(|count| count.metric.name()).collect();
    assert_eq!(counted, ["Published", "Published", "BusRefused", "BusRefused"]);
    assert_eq!(world.aws.state().queue, [r#"{"id":"et-1"}"#, r#"{"id":"et-3"}"#], "by id alone");
    assert_eq!(on_the_bus(&world), ["et-0", "et-2"]);
    // Its way round.
    let mut retries = super::Retries::default();
    let publisher = world.publisher.clone();
    while retries.poll(&world.aws, async |batch| Some(invoke(&publisher, batch).await)).await {}
    let mut all = on_the_bus(&world);
    all.sort_unstable();
    assert_eq!(all, ["et-0", "et-1", "et-2", "et-3"]);
    // And the stream, read as it stands, tells them once more: at least once.
    world.run_dry().await;
    assert_eq!(on_the_bus(&world).len(), 8);
}

#[tokio::test]
async fn the_stream_begins_again_with_the_first_that_nobody_took() {
    let ids = ["et-0", "et-1", "et-2", "et-3", "et-4"];
    for (of_bus, of_queue, first) in [
        // Of the three that the bus refuses, the queue takes the first, or the last two, or none.
        (Fault::Part(0b11010), Fault::Part(0b110), Some("103")),
        (Fault::Part(0b11010), Fault::Part(0b001), Some("101")),
        (Fault::Part(0b11010), NOTHING_TAKEN, Some("101")),
        (NOTHING_TAKEN, NOTHING_TAKEN, Some("100")),
        (NOTHING_TAKEN, Fault::Nothing, None),
        // Whatever of it was taken, nobody knows.
        (Fault::Nonsense, Fault::Nothing, None),
        (Fault::LostAnswer, Fault::Part(0b10000), Some("104")),
        (Fault::Silence { taken: true }, Fault::Part(0b1), Some("100")),
    ] {
        let world = World::new(plan([of_bus; 2], [of_queue; 2])).await;
        let failed = invoke(&world.publisher, changes(&ids)).await;
        assert_eq!(failed, first.into_iter().collect::<Vec<_>>(), "{of_bus:?} {of_queue:?}");
        let held: Vec<String> = world.aws.state().queue.iter().map(ToString::to_string).collect();
        for (at, id) in ids.iter().enumerate() {
            let known = on_the_bus(&world).iter().chain(&held).any(|text| text.contains(id));
            let comes_again = first.is_some_and(|first| format!("10{at}").as_str() >= first);
            assert!(known || comes_again, "{id} is lost: {of_bus:?} {of_queue:?}");
        }
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_read_is_read_by_id_and_never_in_the_way() {
    let mut world = World::new(plan([], [])).await;
    world.store(&webhook("et-1", "USER_CREATED", &json!({})), Source::Webhook).await;
    let mut batch = changes(&["et-0", "et-1", "et-2"]);
    batch["Records"][1]["dynamodb"]["NewImage"] = json!({ "id": { "OF_TOMORROW": "et-1" } });
    assert_eq!(invoke(&world.publisher, batch).await, [""; 0]);
    assert_eq!(on_the_bus(&world), ["et-0", "et-2"]);
    world.run_dry().await;
    assert!(on_the_bus(&world).contains(&"et-1".to_owned()));
    assert_eq!(world.aws.state().queue.len(), 0);
}

#[tokio::test]
async fn from_the_queue_each_comes_again_alone_and_what_is_gone_does_not() {
    let world = World::new(plan([], [])).await;
    for id in ["et-0", "et-odd", "et-1"] {
        world.store(&webhook(id, "USER_CREATED", &json!({})), Source::Webhook).await;
    }
    // Damaged in the table: never to be read again.
    let update = world.dynamodb.update_item().table_name("table");
    update
        .key("pk", AttributeValue::S("EVENT#et-odd".to_owned()))
        .key("sk", AttributeValue::S("EVENT".to_owned()))
        .update_expression("SET stored_at = :odd")
        .expression_attribute_values(":odd", AttributeValue::S("yesterday".to_owned()))
        .send()
        .await
        .unwrap();
    let id = |id: &str| json!({ "id": id });
    let batch = messages(&[
        id("et-0"),
        id("et-odd"),
        id("et-erased"),
        json!("not JSON"),
        json!({ "event": "et-0" }),
        id(""),
        id("et-1"),
    ]);
    let (mut again, mut first) = (invoke(&world.publisher, batch.clone()).await, on_the_bus(&world));
    again.sort_unstable();
    first.sort_unstable();
    // Those that name no event are no more acknowledged than the one that cannot be read.
    assert_eq!(again, ["m-1", "m-3", "m-4", "m-5"]);
    assert_eq!(first, ["et-0", "et-1"]);
    // It fails each time, and after `maxReceiveCount` of them SQS puts it aside.
    let alone = messages(&[id("et-odd")]);
    for _ in 0..3 {
        assert_eq!(invoke(&world.publisher, alone.clone()).await, ["m-0"]);
    }
}

#[tokio::test]
async fn from_the_queue_what_the_bus_refuses_comes_again() {
    let world = World::new(plan([NOTHING_TAKEN, Fault::Part(1), Fault::Nonsense], [])).await;
    world.store(&webhook("et-0", "USER_CREATED", &json!({})), Source::Webhook).await;
    let batch = messages(&[json!({ "id": "et-0" })]);
    for refused in [true, true, true, false] {
        let outcome = outcome(&world, batch.clone()).await;
        let failed: Vec<_> =
            outcome.failures.batch_item_failures.iter().map(|failure| &failure.item_identifier).collect();
        assert_eq!(failed, if refused { vec!["m-0"] } else { vec![] });
        // Each try that came to nothing is counted: where little happens, nothing else would tell for hours.
        let counted: Vec<&str> = outcome.counts().iter().map(|count| count.metric.name()).collect();
        assert_eq!(counted, [if refused { "BusRefused" } else { "Published" }]);
    }
    assert_eq!(world.aws.state().queue.len(), 0, "it goes round by SQS, not by a new message");
}

#[tokio::test]
async fn a_panic_loses_nothing() {
    // An AWS that panics inside the client at every third call to the bus.
    let aws = Aws::start(plan([], [])).await;
    let (state, calls) = (aws.clone(), Arc::new(AtomicUsize::new(0)));
    let client = infallible_client_fn(move |request| {
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let entries = body["Entries"].as_array().unwrap();
        let answer = if request.headers().get("x-amz-target").unwrap() == PUT {
            assert!(calls.fetch_add(1, Ordering::SeqCst) % 3 != 0, "on purpose");
            state.state().bus.extend(entries.iter().cloned());
            json!({ "FailedEntryCount": 0, "Entries": entries.iter().map(|_| json!({ "EventId": "e" })).collect::<Vec<_>>() })
        } else {
            let bodies = entries.iter().map(|entry| entry["MessageBody"].as_str().unwrap().to_owned());
            state.state().queue.extend(bodies);
            json!({ "Successful": entries.iter().map(|entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" })).collect::<Vec<_>>(), "Failed": [] })
        };
        http::Response::builder().body(SdkBody::from(answer.to_string())).unwrap()
    });
    let sdk = crate::cloud::sdk("http://fake.invalid").to_builder().http_client(client).build();
    let world = World::with(aws, &sdk).await;
    let ids: Vec<String> = (0..35).map(|at| format!("et-{at}")).collect();
    let batch = changes(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let outcome = outcome(&world, batch).await;
    assert_eq!(outcome.failures.batch_item_failures, []);
    assert_eq!(outcome.deferred + outcome.published.len(), ids.len());
    assert!(outcome.deferred >= 10 && outcome.published.len() >= 15, "{outcome:?}");
    let mut known = on_the_bus(&world);
    known.extend(world.aws.state().queue.iter().map(|body| body[7..body.len() - 2].to_owned()));
    known.sort_unstable();
    let mut expected = ids;
    expected.sort_unstable();
    assert_eq!(known, expected);
    // From the queue it is one message's failure.
    let ids = ["et-0", "et-1", "et-2"];
    for id in ids {
        world.store(&webhook(id, "USER_CREATED", &json!({})), Source::Webhook).await;
    }
    let batch = messages(&ids.map(|id| json!({ "id": id })));
    assert_eq!(invoke(&world.publisher, batch).await.len(), 1);
}

#[tokio::test]
async fn what_was_erased_meanwhile_is_told_without_what_it_had() {
    let mut world = World::new(plan([], [])).await;
    let data = json!({ "userId": "u-1", "accountId": "a-1" });
    world.store(&webhook("et-0", "INCOMES_ADDED", &data), Source::Webhook).await;
    world.store(&webhook("et-1", "ACCOUNT_DISCONNECTED", &data), Source::Webhook).await;
    world.store(&webhook("et-0", "INCOMES_ADDED", &data), Source::Webhook).await;
    let (_, body) = world.table.event(&EventId::new("et-0").unwrap()).await.unwrap().unwrap();
    assert_eq!(body, None);
    world.run_dry().await;
    assert_eq!(on_the_bus(&world), ["et-0", "et-1"], "a repeat and a body's end are no events");
}
