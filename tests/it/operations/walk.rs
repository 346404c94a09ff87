//! A walk gives everything in order, says at any time where it is, and may be left and taken up again.

use jiff::{SignedDuration, Timestamp};
use shared::job::Source;
use shared::table::{Filter, StoredEvent};
use smile_cli::walk::{Step, Walk};

use crate::query::message;
use crate::receiver::Receiver;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Events all over three days, with an empty one in between.
async fn stored(receiver: &Receiver) -> Vec<Timestamp> {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut times = Vec::new();
    for number in 0..60 {
        let day = if number % 2 == 0 { at("2026-03-01T00:00:00Z") } else { at("2026-03-03T00:00:00Z") };
        let stored_at = day + SignedDuration::from_millis(rng.i64(0..86_400_000));
        let kind = if number % 5 == 0 { "ACCOUNT_CREATED" } else { "ACCOUNT_CONNECTED" };
        let body = format!(
            r#"{{"id":"et-{number}","version":1,"type":"{kind}","createdAt":"2026-03-01T10:00:00Z","data":{{"userId":"u-1","accountId":"a-1"}}}}"#
        );
        receiver.consumer.process(&message(&body, Source::Webhook, stored_at), stored_at).await.unwrap();
        times.push(stored_at);
    }
    times.sort_unstable();
    times
}

#[tokio::test]
async fn everything_before_its_place_has_been_given() {
    let receiver = Receiver::new().await;
    let times = stored(&receiver).await;
    let (from, until) = (at("2026-03-01T06:00:00.25Z"), at("2026-03-03T20:00:00Z"));
    let wanted: Vec<_> = times.into_iter().filter(|time| (from..until).contains(time)).collect();
    let mut walk = Walk::of_days(receiver.table.clone(), from, until, Filter::default());
    let (mut given, mut place, mut calls): (Vec<StoredEvent>, _, _) = (Vec::new(), walk.place(), 0);
    assert_eq!(place, from);
    loop {
        match walk.step().await.unwrap() {
            Step::Event(event) => given.push(*event),
            Step::Read => calls += 1,
            Step::End => break,
        }
        assert!(walk.place() >= place, "it went back to {} from {place}", walk.place());
        place = walk.place();
        let before = wanted.iter().filter(|time| **time < place).count();
        assert!(given.len() >= before, "{} of {before} before {place}", given.len());
    }
    assert_eq!(given.iter().map(|event| event.stored_at).collect::<Vec<_>>(), wanted);
    assert_eq!((place, calls >= 6), (until, true), "{calls} calls");
    // From its place another one goes on, also in the middle of a day.
    let mut walk = Walk::of_days(receiver.table.clone(), from, until, Filter::default());
    for event in &given[..20] {
        assert_eq!(walk.next().await.unwrap().as_ref(), Some(event));
    }
    let mut rest = Walk::of_days(receiver.table.clone(), walk.place(), until, Filter::default());
    for event in &given[20..] {
        assert_eq!(rest.next().await.unwrap().as_ref(), Some(event));
    }
    assert!(rest.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_step_that_nobody_waits_for_loses_nothing() {
    let receiver = Receiver::new().await;
    let times = stored(&receiver).await;
    let (from, until) = (at("2026-03-01T00:00:00Z"), at("2026-03-04T00:00:00Z"));
    let mut walk = Walk::of_days(receiver.table.clone(), from, until, Filter::default());
    let mut given = Vec::new();
    for round in 0.. {
        // Every other one is dropped in the middle.
        let step = if round % 2 == 0 {
            let patience = std::time::Duration::from_micros(round % 700);
            tokio::time::timeout(patience, walk.step()).await.ok()
        } else {
            Some(walk.step().await)
        };
        match step.map(Result::unwrap) {
            Some(Step::Event(event)) => given.push(event.stored_at),
            Some(Step::Read) | None => {}
            Some(Step::End) => break,
        }
    }
    assert_eq!(given, times);
}
