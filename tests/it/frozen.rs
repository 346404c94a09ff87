//! A table as an older release wrote it: its registers keep their meaning, and its events can be read.
//!
//! `frozen/` holds whole tables with what a reader was told of them then. They are never written anew: a new layout
//! gets a new file.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use consumer::Outcome as Consumed;
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use shared::event::Subject;
use shared::id::{EventId, UserId};
use shared::state::BodyHash;
use shared::state::view::StateView;
use shared::table::Stored;

use crate::histories::view;
use crate::receiver::Receiver;
use crate::support::{it_dir, quarantined_on, read_json};

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "B" => AttributeValue::B(Blob::new(base64_simd::STANDARD.decode_to_vec(text()).unwrap())),
        "SS" => AttributeValue::Ss(serde_json::from_value(value.clone()).unwrap()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(attribute).collect()),
        "M" => AttributeValue::M(attributes(value.as_object().unwrap())),
        other => panic!("{other}"),
    }
}

/// An item as the table takes it.
pub(crate) fn attributes(item: &Map<String, Value>) -> std::collections::HashMap<String, AttributeValue> {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

async fn frozen() -> (Receiver, Value) {
    let frozen: Value = read_json(&it_dir().join("frozen/table-2026-12.json"));
    let receiver = Receiver::new().await;
    for item in frozen["items"].as_array().unwrap() {
        let item = attributes(item.as_object().unwrap());
        receiver.dynamodb.put_item().table_name("table").set_item(Some(item)).send().await.unwrap();
    }
    (receiver, frozen)
}

/// Asserts that everything that was told then is told now. More may be told.
fn assert_told(then: &Value, now: &Value, at: &str) {
    match (then, now) {
        (Value::Object(then), Value::Object(_)) => {
            for (name, then) in then {
                assert_told(then, &now[name], &format!("{at}/{name}"));
            }
        }
        (Value::Array(then), Value::Array(now)) => {
            assert_eq!(then.len(), now.len(), "{at}");
            for (index, (then, now)) in then.iter().zip(now).enumerate() {
                assert_told(then, now, &format!("{at}/{index}"));
            }
        }
        _ => assert_eq!(then, now, "{at}"),
    }
}

#[tokio::test]
async fn what_was_told_of_a_frozen_table_is_told_still() {
    let (receiver, frozen) = frozen().await;
    let users = frozen["users"].as_object().unwrap();
    assert_eq!(users.len(), 4);
    for (user, then) in users {
        let state = receiver.table.user(&UserId::new(user.as_str()).unwrap()).await.unwrap();
        assert_told(then, &view(&state)["users"][user], user);
    }
    for (key, then) in frozen["others"].as_object().unwrap() {
        let state = receiver.table.state_of(&Subject::from_text(key).unwrap()).await.unwrap();
        assert_told(then, &serde_json::to_value(StateView::from(&state)).unwrap(), key);
    }
    let mut bodies = 0;
    for item in frozen["items"].as_array().unwrap().iter().filter(|item| item["sk"]["S"] == "EVENT") {
        let id = EventId::new(item["id"]["S"].as_str().unwrap()).unwrap();
        let (event, body) = receiver.table.event(&id).await.unwrap().unwrap();
        match (&body, &event.body_dropped) {
            (Some(body), None) => assert_eq!(BodyHash::of(body).as_str(), event.hash, "{id}"),
            (None, Some(reason)) => assert_eq!(reason, "revoked", "{id}"),
            other => panic!("{id}: {other:?}"),
        }
        bodies += usize::from(body.is_some());
    }
    assert!(bodies > 60, "{bodies}");
    let quarantined = quarantined_on(&receiver.table, Date::constant(2026, 3, 1)).await;
    let reasons: Vec<&str> = quarantined.iter().map(|item| item.reason.as_str()).collect();
    assert_eq!((reasons.len(), reasons.contains(&"id_conflict")), (2, true), "{reasons:?}");
}

#[tokio::test]
async fn what_comes_later_is_folded_beside_what_is_frozen() {
    let (mut receiver, frozen) = frozen().await;
    let event = |id: &str, kind: &str, more: Value| {
        let mut data = json!({ "userId": "u-frozen-3", "sourceId": "a-frozen-3", "sourceType": "ACCOUNT",
                               "accountId": "a-frozen-3", "taskType": "UPDATE_ACCOUNT" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T11:00:00Z", "data": data })
            .to_string()
    };
    receiver.deliver(event("et-later-1", "TASK_STARTED", json!({})).as_bytes()).await;
    let task = async |receiver: &Receiver| {
        let state = receiver.table.user(&UserId::new("u-frozen-3").unwrap()).await.unwrap();
        view(&state)["users"]["u-frozen-3"]["accounts"][0]["tasks"]["UPDATE_ACCOUNT"].clone()
    };
    assert_eq!(
        task(&receiver).await,
        json!({ "state": "STARTED", "at": "2026-03-01T11:00:00Z",
                "previous": { "status": "SUCCEEDED", "at": "2026-03-01T10:00:00Z" } })
    );
    receiver.deliver(event("et-later-2", "TASK_FINISHED", json!({ "status": "FAILED" })).as_bytes()).await;
    assert_eq!(
        task(&receiver).await,
        json!({ "state": "FINISHED", "status": "FAILED", "at": "2026-03-01T11:00:00Z" })
    );
    // A revocation of the older release holds.
    let gone = json!({ "userId": "u-frozen-2", "accountId": "a-frozen" });
    let late = json!({ "id": "et-later-3", "version": 1, "type": "INCOMES_ADDED",
                       "createdAt": "2026-03-01T11:00:00Z", "data": gone });
    let consumed = receiver.deliver(late.to_string().as_bytes()).await;
    assert!(matches!(consumed, Consumed::Stored { stored: Stored::New { body_kept: false }, .. }));
    // Delivered again, an event is a repeat, and says what is read of it today.
    let mut repaired = 0;
    for item in frozen["items"].as_array().unwrap().iter().filter(|item| item["sk"]["S"] == "EVENT") {
        let id = EventId::new(item["id"]["S"].as_str().unwrap()).unwrap();
        let (then, body) = receiver.table.event(&id).await.unwrap().unwrap();
        let Some(body) = body.filter(|_| then.source == "webhook") else { continue };
        let consumed = receiver.deliver(&body).await;
        assert!(
            matches!(consumed, Consumed::Stored { stored: Stored::Repeat { .. }, .. }),
            "{id}: {consumed:?}"
        );
        let (now, kept) = receiver.table.event(&id).await.unwrap().unwrap();
        // Some of it was revoked after it came: then the repeat takes the body out.
        assert!(kept == Some(body) || now.body_dropped.as_deref() == Some("revoked"), "{id}");
        let is_verification = then.kind == "VERIFICATION_COMPLETED";
        assert_eq!(now.facts.final_matches.is_some(), is_verification, "{id}");
        repaired += usize::from(then.facts != now.facts || then.register != now.register);
    }
    assert!(repaired > 20, "{repaired}");
    for (user, then) in frozen["users"].as_object().unwrap() {
        if user.starts_with("u-frozen-") {
            continue;
        }
        let state = receiver.table.user(&UserId::new(user.as_str()).unwrap()).await.unwrap();
        assert_told(then, &view(&state)["users"][user], user);
    }
}
