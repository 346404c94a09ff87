//! What becomes of one event: told, gone, failed.

use jiff::SignedDuration;
use push::{Pushed, Pusher};
use serde_json::json;
use shared::bus::Detail;

use super::{World, broken_table, change, now};

#[tokio::test]
async fn every_page_of_the_user_is_told_and_nobody_elses() {
    let world = World::new(11).await;
    let mut tabs = Vec::new();
    for (id, user) in [("c-1", "u-1"), ("c-2", "u-1"), ("c-3", "u-2"), ("c-4", "u-1")] {
        tabs.push((user, world.listening(id, user, now()).await));
    }
    let pushed = world.push("u-1", "et-1", now()).await.unwrap();
    assert_eq!(pushed, Pushed { told: 3, ..Default::default() });
    let told = r#"{"type":"USER_CREATED","id":"et-1","entity":"USER"}"#;
    for (user, hears) in &mut tabs {
        assert_eq!(hears.try_recv().ok().as_deref(), (*user == "u-1").then_some(told), "{user}");
        assert!(hears.try_recv().is_err());
    }
    // Nobody's event has no page, and one of a user without a page is told to nobody.
    let nobodys = json!({ "detail": { "id": "et-2", "type": "RECORD_CREATED", "recordId": "ss-1" } });
    let nobodys: push::BusEvent = serde_json::from_value(nobodys).unwrap();
    assert_eq!(world.pusher.push(&nobodys.detail, now()).await.unwrap(), Pushed::default());
    assert_eq!(world.push("u-9", "et-3", now()).await.unwrap(), Pushed::default());
}

#[tokio::test]
async fn a_connection_that_is_gone_is_forgotten_and_the_others_are_told() {
    let world = World::new(12).await;
    let (_one, _two) =
        (world.listening("c-1", "u-1", now()).await, world.listening("c-2", "u-1", now()).await);
    world.gateway.hang_up("c-1");
    assert_eq!(
        world.push("u-1", "et-1", now()).await.unwrap(),
        Pushed { told: 1, gone: 1, ..Default::default() }
    );
    assert_eq!(world.push("u-1", "et-2", now()).await.unwrap(), Pushed { told: 1, ..Default::default() });
    // The gateway tells of its end later: nothing is left to forget.
    world.disconnect("c-1", now()).await;
    assert_eq!(world.listeners("u-1", now()).await, ["c-2"]);
}

#[tokio::test]
async fn what_a_page_could_not_be_told_fails_and_comes_again() {
    let world = World::new(13).await;
    let mut hears = world.listening("c-1", "u-1", now()).await;
    for failure in
        [(500, "InternalServerErrorException"), (429, "LimitExceededException"), (403, "ForbiddenException")]
    {
        world.gateway.state().fails = Some(failure);
        let pushed = world.push("u-1", "et-1", now()).await.unwrap();
        assert_eq!(pushed, Pushed { failed: 1, ..Default::default() }, "{failure:?}");
        let counted: Vec<&str> = pushed.counts().map(|count| count.metric.name()).collect();
        assert_eq!(counted, ["PushFailed"]);
    }
    world.gateway.state().fails = None;
    assert_eq!(world.push("u-1", "et-1", now()).await.unwrap().told, 1);
    assert!(hears.recv().await.unwrap().contains("et-1"));
    // Where it cannot be seen who listens, nobody is told, and that is a failure, not "nobody listens".
    let blind = Pusher::new(broken_table("AccessDeniedException"), world.gateway.sockets());
    assert!(blind.push(&change("u-1", "et-2"), now()).await.is_err());
}

#[tokio::test]
async fn a_page_that_cannot_be_told_again_is_given_up_and_finds_out_at_its_ping() {
    let world = World::new(14).await;
    let mut hears = world.listening("c-1", "u-1", now()).await;
    let change: push::Detail = serde_json::from_value(json!({ "id": "et-1", "type": "USER_CREATED",
        "userId": "u-1", "storedAt": "2026-03-01T12:00:00Z" }))
    .unwrap();
    world.gateway.state().fails = Some((429, "LimitExceededException"));
    assert_eq!(world.pusher.push(&change, now()).await.unwrap().failed, 1);
    let second = now() + SignedDuration::from_secs(60);
    let pushed = world.pusher.push(&change, second).await.unwrap();
    assert_eq!(pushed, Pushed { given_up: 1, ..Default::default() });
    assert_eq!(pushed.counts().count(), 1);
    // Nobody is told again, nor in the way of another event.
    assert_eq!(world.pusher.push(&change, second).await.unwrap(), Pushed::default());
    world.gateway.state().fails = None;
    world.say("c-1", "ping", second).await;
    while let Some(said) = hears.recv().await {
        assert!(!said.contains("pong"), "it is ended, and so comes back");
    }
}

#[tokio::test]
async fn what_a_page_has_read_when_it_began_it_is_not_told() {
    let world = World::new(15).await;
    let minutes = |minutes| now() + SignedDuration::from_mins(minutes);
    let mut before = world.listening("c-before", "u-1", minutes(170)).await;
    let mut after = world.listening("c-after", "u-1", minutes(190)).await;
    let change: push::Detail = serde_json::from_value(json!({ "id": "et-1", "type": "USER_CREATED",
        "userId": "u-1", "storedAt": now().to_string() }))
    .unwrap();
    // The bus brings it late, or once more.
    let pushed = world.pusher.push(&change, minutes(195)).await.unwrap();
    assert_eq!(pushed, Pushed { told: 1, ..Default::default() });
    assert!(before.try_recv().is_ok() && after.try_recv().is_err());
}

#[tokio::test]
async fn what_stands_on_the_bus_is_what_push_reads() {
    let stored = json!({
        "id": "et-1", "type": "ACCOUNT_CONNECTED", "source": "webhook", "created_at": "2026-03-01T10:00:00Z",
        "received_at": "2026-03-01T10:00:01Z", "stored_at": "2026-03-01T10:00:02Z", "hash": "", "bytes": 0,
        "facts": { "user": "u-1", "account": "a-1", "providers": ["sss_ph"] },
    });
    let on_the_bus = Detail::of(&serde_json::from_value(stored).unwrap()).to_json();
    let read: push::Detail = serde_json::from_str(&on_the_bus).unwrap();
    assert_eq!(read.user().unwrap().as_str(), "u-1");
    assert_eq!(read.message(), r#"{"type":"ACCOUNT_CONNECTED","id":"et-1","entity":"ACCOUNT#a-1"}"#);
}
