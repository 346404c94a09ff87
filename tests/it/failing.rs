//! What fails comes again, alone; what can never work is quarantined.

use consumer::{Consumer, Outcome as Consumed, batch};
use serde_json::json;
use shared::id::EventId;
use shared::job::MAX_BODY_BYTES;
use shared::table::{Fault, Reason, Stored, Table};

use crate::cloud::failing;
use crate::receiver::{self, Receiver};
use crate::support::quarantined_on;

fn body(id: &str) -> Vec<u8> {
    json!({ "id": id, "version": 1, "type": "ACCOUNT_CREATED", "createdAt": "2026-03-01T10:00:00Z",
            "data": { "userId": "u-1", "accountId": "a-1" } })
    .to_string()
    .into_bytes()
}

async fn ten(receiver: &mut Receiver) -> Vec<aws_lambda_events::sqs::SqsMessage> {
    for at in 0..10 {
        receiver.send(&body(&format!("et-{at}"))).await;
    }
    receiver.cloud.receive()
}

#[tokio::test]
async fn what_the_table_refuses_comes_again_and_is_stored_later() {
    let mut receiver = Receiver::new().await;
    receiver.send(&body("et-1")).await;
    let message = receiver.cloud.receive().pop().unwrap();
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "AccessDeniedException"),
        (400, "ResourceNotFoundException"),
        (400, "ValidationException"),
        (500, "InternalServerError"),
        (503, "anything unknown"),
    ] {
        let table = Table::new(&failing(status, code), "table");
        let failing = Consumer::new(table, "1".parse().unwrap(), None);
        let fault = failing.process(&message, receiver.now).await.unwrap_err();
        assert!(matches!(&fault, Fault::Retry(text) if text.contains(code)), "{code}: {fault}");
    }
    let unreachable = Table::new(&crate::cloud::sdk("http://127.0.0.1:1"), "table");
    let fault = Consumer::new(unreachable, "1".parse().unwrap(), None)
        .process(&message, receiver.now)
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Retry(_)), "{fault}");
    let stored = receiver.consumer.process(&message, receiver.now).await.unwrap();
    assert!(matches!(stored, Consumed::Stored { stored: Stored::New { .. }, .. }), "{stored:?}");
}

#[tokio::test]
async fn a_panic_on_one_message_leaves_its_nine_neighbours_stored() {
    let mut receiver = Receiver::new().await;
    let messages = ten(&mut receiver).await;
    let (consumer, now) = (receiver.consumer.clone(), receiver.now);
    let response = batch::run(receiver::batch(messages), |message| {
        let consumer = consumer.clone();
        async move {
            assert!(!message.body.as_deref().unwrap().contains("et-4"), "on purpose");
            consumer.process(&message, now).await.is_ok()
        }
    })
    .await
    .unwrap();
    let failed: Vec<_> =
        response.batch_item_failures.iter().map(|item| item.item_identifier.as_str()).collect();
    assert_eq!(failed, ["m-4"]);
    for at in 0..10 {
        let event = receiver.table.event(&EventId::new(format!("et-{at}")).unwrap()).await.unwrap();
        assert_eq!(event.is_some(), at != 4, "et-{at}");
    }
}

#[tokio::test]
async fn messages_that_cannot_be_taken_apart_are_quarantined_or_wait() {
    let mut receiver = Receiver::new().await;
    receiver.send(&body("et-1")).await;
    let message = receiver.cloud.receive().pop().unwrap();
    let set = |name: &str, value: Option<&str>| {
        let mut message = message.clone();
        match value {
            Some(value) => {
                message.message_attributes.get_mut(name).unwrap().string_value = Some(value.to_owned());
            }
            None => drop(message.message_attributes.remove(name)),
        }
        message
    };
    // From a newer version of the webhook function: waits for the consumer to be deployed.
    let newer = receiver.consumer.process(&set("v", Some("2")), receiver.now).await.unwrap_err();
    assert!(matches!(&newer, Fault::Retry(text) if text.contains("version")), "{newer}");
    for broken in [set("v", None), set("source", Some("callback")), set("received_at", Some("yesterday"))] {
        for _ in 0..2 {
            let outcome = receiver.consumer.process(&broken, receiver.now).await.unwrap();
            assert_eq!(outcome, Consumed::Quarantined(Reason::Undecodable));
        }
    }
    let kept = quarantined_on(&receiver.table, "2026-03-01".parse().unwrap()).await;
    assert_eq!(kept.len(), 1, "our own queue's repeats make no further items: {kept:#?}");
}

#[tokio::test]
async fn facts_that_fit_no_item_are_quarantined() {
    let mut receiver = Receiver::new().await;
    // Far more subjects than a real payload has, each with an id of the greatest length.
    let accounts: Vec<_> = (0..2000).map(|at| json!({ "id": format!("{at:0256}") })).collect();
    let body = json!({ "id": "et-1", "version": 1, "type": "USER_SESSION_COMPLETED", "createdAt": "2026-03-01T10:00:00Z",
        "data": { "session": { "userId": "u-1" }, "payload": { "accounts": accounts } } });
    let body = body.to_string().into_bytes();
    assert!(body.len() < MAX_BODY_BYTES);
    assert_eq!(receiver.deliver(&body).await, Consumed::Quarantined(Reason::ItemTooLarge));
    let left =
        receiver.items().await.iter().filter(|item| item["sk"].as_s().unwrap().starts_with("BODY#")).count();
    assert_eq!(left, 0, "chunks without an event");
    let item = quarantined_on(&receiver.table, "2026-03-01".parse().unwrap()).await.pop().unwrap();
    let (_, kept) = receiver.table.quarantined(&item.key.parse().unwrap()).await.unwrap().unwrap();
    assert!(kept.unwrap() == body);
}
