//! What a restored table lacks and no queue can bring comes from the table before it, as that has it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use consumer::Outcome as Consumed;
use jiff::civil::Date;
use serde_json::{Value, json};
use shared::id::EventId;
use shared::table::{NotBrought, QuarantineKey, Stored};
use smile_cli::sample::{Ids, body, life};

use crate::receiver::Receiver;
use crate::support::quarantined_on;

type Item = HashMap<String, AttributeValue>;

/// All items of a table by their keys.
async fn items(receiver: &Receiver) -> BTreeMap<(String, String), Item> {
    let key = |item: &Item, name: &str| item[name].as_s().unwrap().clone();
    receiver.items().await.into_iter().map(|item| ((key(&item, "pk"), key(&item, "sk")), item)).collect()
}

/// A life whose accounts and archives are all revoked before anything else arrives, one of them with a version that nobody
/// knows.
fn events() -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(5);
    let now = "2026-03-01T10:00:00Z".parse().unwrap();
    let events: Vec<String> =
        life(&Ids::of_user("u-1".to_owned(), &mut rng), now, &mut rng).iter().map(body).collect();
    let mut revocations = BTreeMap::new();
    for event in &events {
        let data = &serde_json::from_str::<Value>(event).unwrap()["data"];
        for (name, kind) in [("accountId", "ACCOUNT_DISCONNECTED"), ("archiveId", "ARCHIVE_REVOKED")] {
            if let (Some(user), Some(id)) = (data["userId"].as_str(), data[name].as_str()) {
                revocations.insert((kind, id.to_owned()), json!({ "userId": user, name: id }));
            }
        }
    }
    let revocation = |(at, ((kind, _), data)): (usize, ((&str, String), Value))| {
        let version = if at == 0 { 2 } else { 1 };
        json!({ "id": format!("et-revoked-{at}"), "version": version, "type": kind,
            "createdAt": "2026-03-01T11:00:00Z", "data": data })
        .to_string()
    };
    revocations.into_iter().enumerate().map(revocation).chain(events).collect()
}

#[tokio::test]
async fn events_without_a_body_come_with_the_registers_that_they_wrote() {
    let (mut old, mut new) = (Receiver::new().await, Receiver::new().await);
    let events = events();
    for event in &events {
        old.deliver(event.as_bytes()).await;
    }
    let (mut without_body, mut with_body) = (Vec::new(), 0);
    for event in &events {
        let id = serde_json::from_str::<Value>(event).unwrap()["id"].as_str().unwrap().to_owned();
        let event_id = EventId::new(id.as_str()).unwrap();
        let (_, kept) = old.table.event(&event_id).await.unwrap().unwrap();
        let brought = new.table.bring_over(&old.table, &event_id).await.unwrap();
        if kept.is_some() {
            assert_eq!(brought, Err(NotBrought::HasBody), "{id}");
            assert!(new.table.event_alone(&event_id).await.unwrap().is_none(), "{id}");
            new.deliver(event.as_bytes()).await;
            with_body += 1;
        } else {
            assert_eq!(brought, Ok(()), "{id}");
            without_body.push((id, event));
        }
    }
    assert!(without_body.len() > 20 && with_body > 3, "{} and {with_body}", without_body.len());
    let gone = new.table.bring_over(&old.table, &EventId::new("et-nobodys").unwrap()).await.unwrap();
    assert_eq!(gone, Err(NotBrought::Gone));

    // All state is the same to the letter, marks of what is to be erased included, and so are these events.
    let (before, after) = (items(&old).await, items(&new).await);
    let is_event = |key: &(String, String)| key.0.starts_with("EVENT#");
    assert!(before.keys().eq(after.keys()));
    for (key, item) in before.iter().filter(|(key, _)| !is_event(key)) {
        assert_eq!(&after[key], item, "{key:?}");
    }
    for (id, _) in &without_body {
        let key = (format!("EVENT#{id}"), "EVENT".to_owned());
        assert_eq!(after[&key], before[&key], "{id}");
    }
    // Once more: nothing changes. A further delivery is a repeat, and brings no body back.
    for (id, event) in &without_body {
        let id = EventId::new(id.as_str()).unwrap();
        assert_eq!(new.table.bring_over(&old.table, &id).await.unwrap(), Ok(()));
        assert_eq!(new.table.event(&id).await.unwrap(), old.table.event(&id).await.unwrap(), "{id}");
        let again = new.deliver(event.as_bytes()).await;
        assert!(matches!(again, Consumed::Stored { stored: Stored::Repeat { .. }, .. }), "{id}: {again:?}");
        assert!(new.table.event(&id).await.unwrap().unwrap().1.is_none(), "{id}");
    }
}

#[tokio::test]
async fn what_lies_in_quarantine_is_copied_to_the_byte() {
    let (mut old, new) = (Receiver::new().await, Receiver::new().await);
    let mut large = vec![0; 600_000];
    fastrand::Rng::with_seed(8).fill(&mut large);
    old.deliver(b"authentic garbage").await;
    old.deliver(&large).await;
    let day = Date::constant(2026, 3, 1);
    let found = quarantined_on(&old.table, day).await;
    assert_eq!(found.len(), 2);
    assert!(old.items().await.len() > 3, "the large one lies in several items");
    for _ in 0..2 {
        for item in &found {
            let key: QuarantineKey = item.key.parse().unwrap();
            assert!(new.table.bring_over_quarantined(&old.table, &key).await.unwrap());
            assert_eq!(
                new.table.quarantined(&key).await.unwrap(),
                old.table.quarantined(&key).await.unwrap()
            );
        }
        assert_eq!(items(&new).await, items(&old).await);
    }
    let nothing: QuarantineKey = "2026-03-01T10:00:00.000000Z#0123456789abcdef".parse().unwrap();
    assert!(!new.table.bring_over_quarantined(&old.table, &nothing).await.unwrap());
}
