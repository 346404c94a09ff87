//! Who may connect, and that what has ended does not come back.

use live::{Outcome, Why};
use serde_json::json;
use shared::session::Refused;
use shared::table::MAX_CONNECTIONS;

use super::{APP, PAGE, World, broken_table, minutes, now, offers, token};

#[tokio::test]
async fn a_page_needs_the_protocol_a_session_and_a_listed_origin() {
    let world = World::new(1).await;
    let good = token("u-1", now());
    let (said, _) = good.rsplit_once('.').unwrap();
    let refused = |why| Outcome::Refused(why);
    for (headers, outcome) in [
        (json!(null), refused(Why::TokenMissing)),
        (json!({}), refused(Why::TokenMissing)),
        (json!({ "sec-websocket-protocol": "smile.v1" }), refused(Why::TokenMissing)),
        (json!({ "sec-websocket-protocol": format!("smile.session.{good}") }), refused(Why::TokenMissing)),
        (offers(""), refused(Why::Token(Refused::Malformed))),
        (offers("rubbish"), refused(Why::Token(Refused::Malformed))),
        (offers(&format!("{said}.{}", "A".repeat(43))), refused(Why::Token(Refused::Signature))),
        (offers(&token("u-1", now() - minutes(60))), refused(Why::Token(Refused::Expired))),
        (
            json!({ "sec-websocket-protocol": format!("smile.v1, smile.session.{good}"), "origin": "https://evil.example" }),
            refused(Why::Origin),
        ),
        (
            json!({ "sec-websocket-protocol": format!("smile.v1, smile.session.{good}"), "origin": "ionic://localhost" }),
            refused(Why::Origin),
        ),
        // A page of a hybrid app.
        (
            json!({ "sec-websocket-protocol": format!("smile.v1, smile.session.{good}"), "origin": APP }),
            Outcome::Connected,
        ),
        // A native app sends no origin.
        (json!({ "sec-websocket-protocol": format!("smile.v1, smile.session.{good}") }), Outcome::Connected),
        (
            json!({ "SEC-WEBSOCKET-PROTOCOL": format!("smile.session.{good},smile.v1"), "ORIGIN": PAGE }),
            Outcome::Connected,
        ),
    ] {
        let id = if outcome == Outcome::Connected { headers.to_string() } else { "refused".to_owned() };
        assert_eq!(world.connect(&id, headers.clone(), now()).await, outcome, "{headers}");
    }
    // What is refused has left nothing.
    assert!(!world.table.is_connected("refused", now()).await.unwrap());
}

#[tokio::test]
async fn only_who_has_said_hello_listens_and_what_is_not_understood_is_ignored() {
    let world = World::new(2).await;
    world.connected("c-1", "u-1", now()).await;
    // Until the handshake is done the gateway says "gone", which nobody may believe.
    assert_eq!(world.push("u-1", "et-1", now()).await.unwrap().gone, 0);
    let mut hears = world.gateway.establish("c-1");
    for other in ["", "hello", "{}", r#"{"action":"Hello"}"#, r#"{"action":"refresh"}"#, "\u{0}"] {
        assert_eq!(world.message("c-1", other, now()).await, Outcome::Ignored, "{other}");
    }
    assert!(world.listeners("u-1", now()).await.is_empty());
    assert_eq!(world.say("c-1", "hello", now()).await, Outcome::Listening);
    assert_eq!(world.say("c-1", "ping", now()).await, Outcome::Answered);
    assert_eq!(world.push("u-1", "et-2", now()).await.unwrap().told, 1);
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(hears.recv().await.unwrap());
    }
    let told = r#"{"type":"USER_CREATED","id":"et-2","entity":"USER"}"#;
    assert_eq!(all, [r#"{"type":"refresh"}"#, r#"{"type":"pong"}"#, told]);
    assert!(hears.try_recv().is_err(), "nothing else is sent");
    // Whom nobody knows is sent away.
    world.gateway.establish("c-2");
    assert_eq!(world.say("c-2", "hello", now()).await, Outcome::Ended);
    assert!(!world.gateway.is_open("c-2"));
}

#[tokio::test]
async fn what_has_ended_stays_ended_in_any_order_and_repetition() {
    let world = World::new(3).await;
    // The end overtakes the beginning.
    world.disconnect("c-1", now()).await;
    world.disconnect("c-1", now()).await;
    assert_eq!(world.connect("c-1", offers(&token("u-1", now())), now()).await, Outcome::Ended);
    world.gateway.establish("c-1");
    assert_eq!(world.say("c-1", "hello", now()).await, Outcome::Ended);
    assert_eq!(world.say("c-1", "ping", now()).await, Outcome::Ended);
    // Twice begun is begun once; somebody else's it cannot become.
    world.connected("c-2", "u-1", now()).await;
    world.connected("c-2", "u-1", now()).await;
    assert_eq!(world.connect("c-2", offers(&token("u-2", now())), now()).await, Outcome::Ended);
    world.gateway.establish("c-2");
    for _ in 0..2 {
        assert_eq!(world.say("c-2", "hello", now()).await, Outcome::Listening);
    }
    assert_eq!(world.listeners("u-1", now()).await, ["c-2"]);
    assert!(world.listeners("u-2", now()).await.is_empty());
    world.disconnect("c-2", now()).await;
    assert!(world.listeners("u-1", now()).await.is_empty());
    assert_eq!(world.connect("c-2", offers(&token("u-1", now())), now()).await, Outcome::Ended);
    assert_eq!(world.say("c-2", "hello", now()).await, Outcome::Ended);
    assert_eq!(world.listener_items("u-1").await, 0);
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_session() {
    let world = World::new(4).await;
    let mut hears = world.listening("c-1", "u-1", now()).await;
    // A minute before the end all is well.
    assert_eq!(world.say("c-1", "ping", now() + minutes(59)).await, Outcome::Answered);
    assert_eq!(world.push("u-1", "et-1", now() + minutes(59)).await.unwrap().told, 1);
    // From the end on nothing is sent, though the table's TTL has removed nothing, and the next word ends it.
    let over = now() + minutes(60);
    assert_eq!(world.listener_items("u-1").await, 1);
    assert_eq!(world.push("u-1", "et-2", over).await.unwrap(), push::Pushed::default());
    assert_eq!(world.say("c-1", "ping", over).await, Outcome::Ended);
    assert_eq!(world.gateway.state().ended, ["c-1"]);
    assert_eq!(hears.recv().await.unwrap(), r#"{"type":"pong"}"#);
    assert!(hears.recv().await.unwrap().contains("et-1"));
    assert_eq!(hears.recv().await, None);
    // A session of five hours does not make a connection of five hours: the gateway's is two.
    let long = super::mint(
        &shared::id::UserId::new("u-2").unwrap(),
        [8; 16],
        minutes(300),
        now(),
        &shared::verify::Secret::new(super::SESSION_SECRET).unwrap(),
    );
    assert_eq!(world.connect("c-2", offers(&long.token), now()).await, Outcome::Connected);
    assert!(world.table.is_connected("c-2", now() + minutes(129)).await.unwrap());
    assert!(!world.table.is_connected("c-2", now() + minutes(131)).await.unwrap());
}

#[tokio::test]
async fn the_newest_of_too_many_pages_listen_and_nothing_grows() {
    let world = World::new(5).await;
    let at = |n: usize| now() + jiff::SignedDuration::from_secs(i64::try_from(n).unwrap());
    let id = |n: usize| format!("c-{:03}", 999 - n);
    let many = MAX_CONNECTIONS + 15;
    let mut hears = Vec::new();
    for n in 0..many {
        hears.push(world.listening(&id(n), "u-1", at(n)).await);
        assert!(world.listener_items("u-1").await <= MAX_CONNECTIONS);
    }
    let newest: Vec<String> = (many - MAX_CONNECTIONS..many).rev().map(id).collect();
    assert_eq!(world.listeners("u-1", at(many)).await, newest);
    assert_eq!(world.push("u-1", "et-1", at(many)).await.unwrap().told, MAX_CONNECTIONS);
    // Who is not listened for any more is sent away at the next ping, and then comes again.
    assert_eq!(world.say(&id(0), "ping", at(many)).await, Outcome::Ended);
    assert_eq!(world.say(&id(many - 1), "ping", at(many)).await, Outcome::Answered);
    // Expired ones count for nothing and are removed, twelve at a time, by those who come later.
    let later = now() + minutes(90);
    for n in 0..6 {
        world.listening(&format!("d-{n}"), "u-1", later).await;
    }
    assert_eq!(world.listener_items("u-1").await, 6);
}

#[tokio::test]
async fn many_who_come_at_the_same_moment_are_not_too_many_for_long() {
    let world = std::sync::Arc::new(World::new(6).await);
    // Some may be buried by others before they have heard that they listen.
    for flood in 0..3 {
        let mut pages = tokio::task::JoinSet::new();
        for n in 0..120 {
            let world = std::sync::Arc::clone(&world);
            pages.spawn(async move {
                let id = format!("c-{flood}-{n:03}");
                world.connected(&id, "u-1", now() + minutes(flood)).await;
                world.gateway.establish(&id);
                world.say(&id, "hello", now() + minutes(flood)).await
            });
        }
        let listening = pages.join_all().await.into_iter().filter(|said| *said == live::Outcome::Listening);
        assert!(listening.count() >= MAX_CONNECTIONS);
        // It does not grow from flood to flood.
        assert!(world.listener_items("u-1").await <= MAX_CONNECTIONS + 120);
    }
    for n in 0..12 {
        world.listening(&format!("d-{n:02}"), "u-1", now() + minutes(9)).await;
    }
    assert_eq!(world.listener_items("u-1").await, MAX_CONNECTIONS);
    let first = world.listeners("u-1", now() + minutes(9)).await;
    assert!(first[..12].iter().all(|id| id.starts_with("d-")), "{first:?}");
}

#[tokio::test]
async fn our_own_trouble_is_told_as_such_and_connects_nobody() {
    let world = World::new(7).await;
    let broken = super::live(broken_table("AccessDeniedException"), &world.gateway);
    let event = super::event("c-1", "$connect", &offers(&token("u-1", now())), "");
    assert_eq!(broken.handle(&event, now()).await, Outcome::Unavailable);
    for (route, body) in
        [("$default", r#"{"action":"hello"}"#), ("$default", r#"{"action":"ping"}"#), ("$disconnect", "")]
    {
        let event = super::event("c-1", route, &json!(null), body);
        assert_eq!(broken.handle(&event, now()).await, Outcome::Unavailable, "{route} {body}");
    }
    // A gateway that does not take the answer: the page hears nothing, and comes again.
    world.connected("c-2", "u-1", now()).await;
    world.gateway.establish("c-2");
    world.gateway.state().fails = Some((403, "ForbiddenException"));
    assert_eq!(world.say("c-2", "hello", now()).await, Outcome::Unavailable);
    // It listened before it would have been told to read: what is stored in between is told, or is read.
    assert_eq!(world.listeners("u-1", now()).await, ["c-2"]);
    assert_eq!(world.say("c-3", "ping", now()).await, Outcome::Unavailable);
    world.gateway.state().fails = None;
    assert_eq!(world.say("c-2", "hello", now()).await, Outcome::Listening);
}
