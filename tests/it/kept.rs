//! What is authentic is never lost: whatever it is, it can be read again byte for byte.

use consumer::Outcome as Consumed;
use jiff::civil::Date;
use serde_json::{Value, json};
use shared::event::Subject;
use shared::id::{AccountId, EventId, UserId};
use shared::state::view::StateView;
use shared::table::{Reason, Stored};
use webhook::{Outcome, SourcePolicy};

use crate::golden::examples;
use crate::histories::view;
use crate::receiver::{Keys, Receiver, SECRET, request, signature};
use crate::support::quarantined_on;

fn event(id: &str, kind: &str, data: &Value) -> Vec<u8> {
    json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z", "data": data })
        .to_string()
        .into_bytes()
}

impl Receiver {
    /// The body of a stored event.
    pub(crate) async fn body(&self, id: &str) -> Option<Vec<u8>> {
        self.table.event(&EventId::new(id).unwrap()).await.unwrap().unwrap().1
    }

    /// Reasons, ids and bodies of all that lies in quarantine.
    async fn quarantine(&self) -> Vec<(String, Option<String>, Vec<u8>)> {
        let mut all = Vec::new();
        for item in quarantined_on(&self.table, Date::constant(2026, 3, 1)).await {
            let (found, body) = self.table.quarantined(&item.key.parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(found, item);
            all.push((item.reason, item.id, body.unwrap()));
        }
        all
    }
}

fn is_new(consumed: &Consumed) -> bool {
    matches!(consumed, Consumed::Stored { stored: Stored::New { body_kept: true }, .. })
}

#[tokio::test]
async fn an_example_of_each_type_is_stored() {
    for example in examples() {
        let (kind, body) = (&example.kind, example.body.clone());
        let mut receiver = Receiver::new().await;
        let consumed = receiver.deliver(&body).await;
        // A revocation is the one event whose own body must not stay.
        let revokes = matches!(kind.as_str(), "ACCOUNT_DISCONNECTED" | "ARCHIVE_REVOKED");
        assert_eq!(is_new(&consumed), !revokes, "{kind}: {consumed:?}");
        let id = serde_json::from_slice::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned();
        let (event, stored) = receiver.table.event(&EventId::new(&id).unwrap()).await.unwrap().unwrap();
        assert_eq!((event.kind.as_str(), event.unfolded), (kind.as_str(), None));
        assert_eq!(stored, (!revokes).then_some(body), "{kind}");
        let facts = serde_json::to_value(&event.facts).unwrap();
        let subjects = event.subjects.iter().cloned().collect();
        example.check(&facts, subjects, &event.entity.unwrap(), &event.register.unwrap());
    }
}

#[tokio::test]
async fn the_future_is_stored_too() {
    let mut receiver = Receiver::new().await;
    let unknown_type = event("et-1", "ASSETS_ADDED", &json!({ "userId": "u-1", "accountId": "a-1" }));
    let version_2 = br#"{"id":"et-2","version":2,"type":"ACCOUNT_CONNECTED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u-1","accountId":"a-1"}}"#;
    let in_2099 = br#"{"id":"et-3","version":1,"type":"ACCOUNT_CONNECTED","createdAt":"2099-03-01T10:00:00Z","data":{"userId":"u-1","accountId":"a-1"}}"#;
    let in_1970 = br#"{"id":"et-4","version":1,"type":"ACCOUNT_CONNECTED","createdAt":0,"data":{"userId":"u-1","accountId":"a-1"}}"#;
    let in_2014 = br#"{"id":"et-5","version":"1","type":"ACCOUNT_CONNECTED","createdAt":"2014-12-31T23:59:59Z","data":{"userId":"u-1","accountId":"a-1"}}"#;
    let no_zone = br#"{"id":"et-6","version":1,"type":"ACCOUNT_CONNECTED","createdAt":"2026-03-01T10:00:00","data":{"userId":"u-1","accountId":"a-1"}}"#;
    let no_kind = br#"{"id":"et-7","version":1,"type":"TASK_FINISHED","createdAt":"2026-03-01T10:00:00Z","data":{"userId":"u-1","sourceId":"a-1","sourceType":"UPLOAD","status":"SUCCEEDED"}}"#;
    for (id, body, reason) in [
        ("et-1", &unknown_type[..], "unknown_type"),
        ("et-2", version_2, "version"),
        ("et-3", in_2099, "created_at_ahead"),
        ("et-4", in_1970, "created_at_unreadable"),
        ("et-5", in_2014, "created_at_before_2015"),
        ("et-6", no_zone, "created_at_unreadable"),
        ("et-7", no_kind, "no_entity"),
    ] {
        let consumed = receiver.deliver(body).await;
        assert!(
            matches!(&consumed, Consumed::Stored { unfolded: Some(r), .. } if *r == reason),
            "{consumed:?}"
        );
        assert_eq!(receiver.body(id).await.unwrap(), body);
    }
    let user = Subject::User(UserId::new("u-1").unwrap());
    let timeline = receiver.table.events_of(&user, None, 100).await.unwrap();
    assert_eq!(receiver.table.events_of(&user, None, 1).await.unwrap(), timeline[6..]);
    assert_eq!(
        timeline.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(),
        ["et-1", "et-2", "et-3", "et-4", "et-5", "et-6", "et-7"]
    );
    assert!(timeline.iter().all(|event| event.subjects.contains("ACCOUNT#a-1")));
    let state = receiver.table.user(&UserId::new("u-1").unwrap()).await.unwrap();
    let account = &view(&state)["users"]["u-1"]["accounts"][0];
    assert_eq!(
        account,
        &json!({ "account": "a-1", "user": "u-1", "status": "UNKNOWN", "unfolded_since": "2026-03-01T12:00:01Z" })
    );
}

#[tokio::test]
async fn what_cannot_be_filed_is_quarantined_with_its_reason() {
    let mut receiver = Receiver::new().await;
    let long_id = event(&"x".repeat(257), "USER_CREATED", &json!({}));
    let long_inside =
        event("et-2", "ACCOUNT_CREATED", &json!({ "userId": "u", "accountId": "y".repeat(300) }));
    let refused_by_sqs = b"{\"id\":\"et-\x01\"}".to_vec();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not_json", b"authentic garbage".to_vec()),
        ("not_json", Vec::new()),
        ("not_json", b"\x00\x01\x02\xef\xbf\xbe".to_vec()),
        ("not_utf8", b"\xff\xfe\x00{}".to_vec()),
        ("not_json", b"[1,2,3]".to_vec()),
        ("no_id", br#"{"type":"USER_CREATED"}"#.to_vec()),
        ("no_type", br#"{"id":"et-1"}"#.to_vec()),
        ("id_length", long_id),
        ("id_length", long_inside.clone()),
        ("not_json", refused_by_sqs),
        ("not_json", vec![b'['; 100_000]),
    ];
    for (reason, body) in &cases {
        let outcome = receiver.send(body).await;
        assert_eq!(outcome.status(), 200, "{reason}");
        // An id inside the data is the consumer's to find: the webhook function reads the envelope only.
        let at_once = !body.ends_with(&long_inside[long_inside.len() - 50..]);
        assert_eq!(matches!(outcome, Outcome::Quarantined { .. }), at_once, "{reason}: {outcome:?}");
        let consumed = receiver.consume().await.pop().unwrap().unwrap();
        assert!(
            matches!(&consumed, Consumed::Quarantined(r) if r.word() == *reason),
            "{reason}: {consumed:?}"
        );
    }
    let mut kept: Vec<Vec<u8>> = receiver.quarantine().await.into_iter().map(|(_, _, body)| body).collect();
    let mut sent: Vec<Vec<u8>> = cases.into_iter().map(|(_, body)| body).collect();
    kept.sort();
    sent.sort();
    assert_eq!(kept, sent);
}

/// A payload as large as Lambda's event of 6 MB lets in, of incomes as Smile would list them.
pub(crate) fn large_body(bytes: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut items = Vec::new();
    let mut length = 0;
    while length < bytes {
        let item = json!({
            "id": format!("in-{:032x}", rng.u128(..)), "amount": f64::from(rng.u32(1_000_000..9_000_000)) / 100.0,
            "currency": "PHP", "type": "SALARY", "date": format!("2025-{:02}-{:02}", rng.u8(1..13), rng.u8(1..29)),
            "employer": "Bayani Logistics \u{d1}", "metadata": { "userId": "u-1", "sourceId": "a-1", "sourceType": "ACCOUNT" },
        });
        length += item.to_string().len() + 1;
        items.push(item);
    }
    event(
        "et-large",
        "TASK_FINISHED",
        &json!({
            "userId": "u-1", "sourceId": "a-1", "sourceType": "ACCOUNT", "taskType": "UPDATE_ACCOUNT", "status": "SUCCEEDED",
            "payload": { "incomes": { "nextCursor": null, "items": items } },
        }),
    )
}

#[tokio::test]
async fn four_and_a_half_megabytes_are_kept() {
    let mut receiver = Receiver::new().await;
    let body = large_body(4_500_000);
    assert!(body.len() >= 4_500_000);
    assert_eq!(receiver.send(&body).await.status(), 200);
    assert_eq!(
        receiver.cloud.state().messages[0]["MessageAttributes"]["encoding"]["StringValue"],
        "zstd+base64"
    );
    assert!(is_new(&receiver.consume().await.pop().unwrap().unwrap()));
    assert!(receiver.body("et-large").await.unwrap() == body, "not the bytes that were sent");
    let chunks =
        receiver.items().await.iter().filter(|item| item["sk"].as_s().unwrap().starts_with("BODY#")).count();
    assert!(chunks >= 2, "{chunks}");
    // Its repeat changes nothing, and neither does another body of that size under its id.
    assert!(matches!(
        receiver.deliver(&body).await,
        Consumed::Stored { stored: Stored::Repeat { deliveries: 2, .. }, .. }
    ));
    let other = String::from_utf8(body.clone()).unwrap().replace("PHP", "IDR").into_bytes();
    assert!(matches!(
        receiver.deliver(&other).await,
        Consumed::Stored { stored: Stored::OtherBody { body_kept: true }, .. }
    ));
    assert!(receiver.body("et-large").await.unwrap() == body, "another body took its place");
    let (event, _) = receiver.table.event(&EventId::new("et-large").unwrap()).await.unwrap().unwrap();
    let beside = event.other_bodies.first().unwrap();
    for (body, came) in [(&body, true), (&other, true), (&b"{}".to_vec(), false)] {
        assert_eq!(event.came_with(shared::state::BodyHash::of(body).as_str()), came);
    }
    assert!(receiver.body(beside).await.unwrap() == other);
    assert_eq!(receiver.quarantine().await, []);
    // Its repeat is one, too.
    assert!(matches!(
        receiver.deliver(&other).await,
        Consumed::Stored { stored: Stored::Repeat { deliveries: 2, .. }, .. }
    ));
}

#[tokio::test]
async fn over_the_ceiling_is_a_413() {
    let mut receiver = Receiver::new().await;
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(900_000).collect();
    assert_eq!(receiver.send(&noise).await, Outcome::TooLarge);
    assert!(receiver.cloud.state().messages.is_empty());
    // What is below it goes all the way, in chunks, even as noise.
    assert_eq!(receiver.send(&noise[..700_000]).await.status(), 200);
    receiver.consume().await;
    assert!(receiver.quarantine().await[0].2 == noise[..700_000]);
}

#[tokio::test]
async fn what_is_held_is_apart_until_it_is_released() {
    let mut receiver = Receiver::start(Keys::Fixed, SourcePolicy::Quarantine).await;
    let body = event("et-1", "ACCOUNT_CONNECTED", &json!({ "userId": "u-1", "accountId": "a-1" }));
    let outcome = receiver.post(&request(&body, Some(&signature(SECRET, &body)), "203.0.113.9", "r")).await;
    assert!(matches!(outcome, Outcome::Queued { held: true, .. }), "{outcome:?}");
    assert_eq!(
        receiver.consume().await.pop().unwrap().unwrap(),
        Consumed::Quarantined(Reason::UnlistedSource)
    );
    assert_eq!(receiver.quarantine().await, [("unlisted_source".to_owned(), Some("et-1".to_owned()), body)]);
    assert!(receiver.table.event(&EventId::new("et-1").unwrap()).await.unwrap().is_none(), "published");
    let account = Subject::Account(AccountId::new("a-1").unwrap());
    assert_eq!(
        StateView::from(&receiver.table.state_of(&account).await.unwrap()),
        StateView::default(),
        "folded"
    );
}

#[tokio::test]
async fn the_quarantine_gives_back_only_what_was_seen() {
    let mut receiver = Receiver::new().await;
    receiver.deliver(b"garbage").await;
    let seen = quarantined_on(&receiver.table, Date::constant(2026, 3, 1)).await.pop().unwrap();
    let key = seen.key.parse().unwrap();
    let mut older = seen.clone();
    older.stored_at -= jiff::SignedDuration::from_secs(1);
    assert!(!receiver.table.remove_quarantined(&key, &older).await.unwrap(), "put there anew since");
    assert!(receiver.table.remove_quarantined(&key, &seen).await.unwrap());
    assert!(!receiver.table.remove_quarantined(&key, &seen).await.unwrap(), "not there any more");
    assert!(receiver.items().await.is_empty());
}

#[tokio::test]
async fn after_a_revocation_no_body_comes_back() {
    let mut receiver = Receiver::new().await;
    let data = json!({ "userId": "u-1", "accountId": "a-1", "providers": ["p"] });
    receiver.deliver(&event("et-1", "ACCOUNT_DISCONNECTED", &data)).await;
    let session = json!({
        "session": { "userId": "u-1", "status": "COMPLETED" },
        "payload": { "accounts": [{ "id": "a-2" }, { "id": "a-1" }] },
    });
    let without_user = json!({ "accountId": "a-1" });
    for (id, body) in [
        ("et-small", event("et-small", "INCOMES_ADDED", &data)),
        ("et-large", large_body(3_000_000)),
        ("et-session", event("et-session", "USER_SESSION_COMPLETED", &session)),
        ("et-unknown", event("et-unknown", "ASSETS_ADDED", &data)),
        ("et-no-user", event("et-no-user", "ASSETS_ADDED", &without_user)),
        // Dated before the revocation, delivered after it.
        ("et-late", event("et-late", "ACCOUNT_CREATED", &data)),
    ] {
        let consumed = receiver.deliver(&body).await;
        let dropped = matches!(consumed, Consumed::Stored { stored: Stored::New { body_kept: false }, .. });
        assert!(dropped, "{id}: {consumed:?}");
        let (event, body) = receiver.table.event(&EventId::new(id).unwrap()).await.unwrap().unwrap();
        assert_eq!((body, event.body_dropped.as_deref()), (None, Some("revoked")), "{id}");
    }
    let chunks =
        receiver.items().await.into_iter().filter(|item| item["sk"].as_s().unwrap().starts_with("BODY#"));
    assert_eq!(chunks.count(), 0);
    // Another account of the same user is not concerned.
    let other = event("et-other", "INCOMES_ADDED", &json!({ "userId": "u-1", "accountId": "a-2" }));
    assert!(is_new(&receiver.deliver(&other).await));
    // And the account is due for erasure.
    let account =
        receiver.items().await.into_iter().find(|item| item["sk"].as_s().unwrap() == "ACCOUNT#a-1").unwrap();
    assert_eq!(account["erase"].as_s().unwrap(), "DUE");
    assert!(account["erase_due"].as_s().unwrap().starts_with("2026-03-01T12:00:01"), "{account:?}");
}

#[tokio::test]
async fn a_revocation_that_cannot_be_dated_takes_hold_all_the_same() {
    let of = |id: &str, kind: &str, created_at: &str, version: u8, data: Value| {
        json!({ "id": id, "version": version, "type": kind, "createdAt": created_at, "data": data })
            .to_string()
            .into_bytes()
    };
    let owned = || json!({ "userId": "u-1", "accountId": "a-1" });
    for (case, at, version, data) in [
        ("ahead", "2099-01-01T00:00:00Z", 1, owned()),
        ("no date", "yesterday", 1, owned()),
        ("version 2", "2026-03-01T10:00:00Z", 2, owned()),
        ("no user", "yesterday", 1, json!({ "accountId": "a-1" })),
    ] {
        let mut receiver = Receiver::new().await;
        receiver.deliver(&of("et-0", "ACCOUNT_CONNECTED", "2026-03-01T10:00:00Z", 1, owned())).await;
        receiver.deliver(&of("et-1", "ACCOUNT_DISCONNECTED", at, version, data)).await;
        receiver.deliver(&of("et-2", "INCOMES_ADDED", "2026-03-01T10:00:01Z", 1, owned())).await;
        for id in ["et-1", "et-2"] {
            assert_eq!(receiver.body(id).await, None, "{case}: {id}");
        }
        let due = receiver.items().await.iter().filter(|item| item.contains_key("erase_due")).count();
        assert_eq!(due, 1, "{case}");
        // Nobody decides on an account that looks connected.
        let state = receiver.table.user(&UserId::new("u-1").unwrap()).await.unwrap();
        let account = &view(&state)["users"]["u-1"]["accounts"][0];
        assert!(account["revoked_at"].as_str().unwrap().starts_with("2026-03-01T12:"), "{case}: {account}");
    }
}

#[tokio::test]
async fn a_repeat_lets_no_chunk_outlive_its_event() {
    let mut receiver = Receiver::new().await;
    assert!(is_new(&receiver.deliver(&large_body(2_500_000)).await));
    let expires = async |receiver: &Receiver| {
        let items = receiver.items().await;
        let of = |begin: &str| {
            let items = items.iter().filter(|item| item["sk"].as_s().unwrap().starts_with(begin));
            items
                .map(|item| item["expires"].as_n().unwrap().clone())
                .collect::<std::collections::BTreeSet<_>>()
        };
        (of("EVENT"), of("BODY#"))
    };
    let (event, chunks) = expires(&receiver).await;
    assert!(event.len() == 1 && event == chunks);
    // Three hundred days later it is replayed.
    receiver.now += jiff::SignedDuration::from_hours(300 * 24);
    receiver.deliver(&large_body(2_500_000)).await;
    assert_eq!(expires(&receiver).await, (event.clone(), event));
}

#[tokio::test]
async fn a_repeat_after_a_revocation_takes_the_body_out() {
    let data = json!({ "userId": "u-1", "accountId": "a-1" });
    for (id, body) in
        [("et-small", event("et-small", "INCOMES_ADDED", &data)), ("et-large", large_body(2_500_000))]
    {
        let mut receiver = Receiver::new().await;
        assert!(is_new(&receiver.deliver(&body).await));
        receiver.deliver(&event("et-gone", "ACCOUNT_DISCONNECTED", &data)).await;
        receiver.deliver(&body).await;
        let (event, kept) = receiver.table.event(&EventId::new(id).unwrap()).await.unwrap().unwrap();
        assert_eq!((kept, event.body_dropped.as_deref()), (None, Some("revoked")), "{id}");
        let left = receiver
            .items()
            .await
            .iter()
            .filter(|item| item["sk"].as_s().unwrap().starts_with("BODY#"))
            .count();
        assert_eq!(left, 0, "{id}");
        // Nor does another body under its id stay anywhere.
        let other = String::from_utf8(body).unwrap().replace("u-1\"", "u-1\" ").into_bytes();
        assert!(matches!(
            receiver.deliver(&other).await,
            Consumed::Stored { stored: Stored::OtherBody { body_kept: false }, .. }
        ));
        let items = receiver.items().await;
        assert!(
            items.iter().all(|item| !item.contains_key("body") || item["id"].as_s().unwrap() == "et-gone"),
            "{id}"
        );
    }
}

#[tokio::test]
async fn releasing_cannot_harm_what_was_put_there_anew() {
    let mut receiver = Receiver::new().await;
    let mut rng = fastrand::Rng::with_seed(5);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(500_000).collect();
    receiver.send(&noise).await;
    let message = receiver.cloud.receive().pop().unwrap();
    receiver.consumer.process(&message, receiver.now).await.unwrap();
    let seen = quarantined_on(&receiver.table, Date::constant(2026, 3, 1)).await.pop().unwrap();
    // The consumer puts it there again, under the same key, before the first one is removed.
    let later = receiver.now + jiff::SignedDuration::from_secs(1);
    receiver.consumer.process(&message, later).await.unwrap();
    assert!(!receiver.table.remove_quarantined(&seen.key.parse().unwrap(), &seen).await.unwrap());
    assert!(receiver.quarantine().await[0].2 == noise);
    // Or after its item is removed, while its chunks still are: those are not the new one's.
    let seen = quarantined_on(&receiver.table, Date::constant(2026, 3, 1)).await.pop().unwrap();
    assert!(receiver.table.remove_quarantined(&seen.key.parse().unwrap(), &seen).await.unwrap());
    assert!(quarantined_on(&receiver.table, Date::constant(2026, 3, 1)).await.is_empty());
}
