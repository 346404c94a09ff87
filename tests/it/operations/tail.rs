//! Tail misses nothing and tells nothing twice, whatever comes late, across midnight, and however often it asks.

use std::collections::BTreeSet;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::id::{AccountId, UserId};
use shared::job::Source;
use shared::table::StoredEvent;
use smile_cli::tail::{Tail, Watch, since_last};

use crate::query::message;
use crate::receiver::Receiver;

/// Two minutes around midnight.
const SECONDS: i64 = 120;

/// As late as a message can be (`functions/query/src/follow.rs`), and some more for the index.
const LATE_MAX: i64 = 40_000;

struct Event {
    id: String,
    kind: &'static str,
    user: &'static str,
    account: &'static str,
    stored_at: Timestamp,
    seen_from: Timestamp,
}

impl Event {
    fn random(number: u32, start: Timestamp, rng: &mut Rng) -> Self {
        let stored_at = start + SignedDuration::from_millis(rng.i64(0..SECONDS * 1000));
        // Nearly all come at once.
        let late = if rng.u8(..4) == 0 { rng.i64(0..LATE_MAX) } else { rng.i64(0..800) };
        Self {
            id: format!("et-{number}"),
            kind: rng.choice(["ACCOUNT_CREATED", "ACCOUNT_CONNECTED"]).unwrap(),
            user: rng.choice(["u-1", "u-2"]).unwrap(),
            account: rng.choice(["a-1", "a-2", "a-3"]).unwrap(),
            stored_at,
            seen_from: stored_at + SignedDuration::from_millis(late),
        }
    }

    fn body(&self) -> String {
        json!({ "id": self.id, "version": 1, "type": self.kind, "createdAt": "2026-03-01T10:00:00Z",
            "data": { "userId": self.user, "accountId": self.account } })
        .to_string()
    }
}

/// Whether an event is watched for.
type Wants = fn(&Event) -> bool;

/// A tail, how many events it reads at most at a time, what it has told, and how long it pauses.
struct Reader {
    tail: Tail,
    most: usize,
    wants: Wants,
    told: Vec<String>,
    pause: std::ops::Range<i64>,
    due: Timestamp,
}

#[tokio::test]
async fn everything_is_told_once_whatever_comes_late() {
    let receiver = Receiver::new().await;
    let start: Timestamp = "2026-03-01T23:59:00Z".parse().unwrap();
    let mut rng = Rng::with_seed(7);
    let mut events: Vec<Event> = (0..240).map(|number| Event::random(number, start, &mut rng)).collect();
    events.sort_by_key(|event| event.seen_from);
    let user = Watch { user: Some(UserId::new("u-1").unwrap()), ..Watch::default() };
    let account = Watch {
        account: Some(AccountId::new("a-2").unwrap()),
        types: vec!["ACCOUNT_CREATED".to_owned()],
        ..Watch::default()
    };
    let callbacks = Watch { source: Some(Source::Callback), ..Watch::default() };
    let reader = |watch, wants, pause| {
        let tail = Tail::new(receiver.table.clone(), watch, start);
        Reader { tail, most: usize::MAX, wants, told: Vec::new(), pause, due: start }
    };
    let mut readers: [Reader; 6] = [
        reader(Watch::default(), |_| true, 1_000..1_001),
        // On a bad connection, or on a machine that sleeps.
        reader(Watch::default(), |_| true, 500..50_000),
        reader(user, |event| event.user == "u-1", 1_000..1_100),
        reader(account, |event| event.account == "a-2" && event.kind == "ACCOUNT_CREATED", 1_000..3_000),
        reader(callbacks, |_| false, 1_000..1_001),
        // Page by page, and often behind.
        Reader { most: 7, ..reader(Watch::default(), |_| true, 500..9_000) },
    ];
    let mut late = 0;
    let mut coming = events.iter().peekable();
    for second in 0..SECONDS + 150 {
        let now = start + SignedDuration::from_secs(second);
        while let Some(event) = coming.next_if(|event| event.seen_from <= now) {
            late += u32::from(event.seen_from.duration_since(event.stored_at).as_secs() > 5);
            let message = message(&event.body(), Source::Webhook, event.stored_at);
            receiver.consumer.process(&message, event.stored_at).await.unwrap();
        }
        for reader in &mut readers {
            if reader.due <= now {
                let new = reader.tail.poll_some(now, reader.most).await.unwrap();
                let orders: Vec<_> = new.iter().map(StoredEvent::order).collect();
                assert!(orders.is_sorted(), "{orders:?}");
                reader.told.extend(new.into_iter().map(|event| event.id));
                reader.due = now + SignedDuration::from_millis(rng.i64(reader.pause.clone()));
            }
        }
    }
    assert!(coming.peek().is_none() && late > 20, "{late} came late enough to be looked for");
    for reader in &readers {
        let wanted: BTreeSet<_> =
            events.iter().filter(|event| (reader.wants)(event)).map(|event| &event.id).collect();
        assert_eq!(reader.told.iter().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(reader.told.len(), wanted.len(), "one was told twice");
    }
}

#[tokio::test]
async fn what_was_there_before_it_began_is_told_only_when_asked_for() {
    let receiver = Receiver::new().await;
    let mut rng = Rng::with_seed(8);
    let now: Timestamp = "2026-03-03T00:00:10Z".parse().unwrap();
    let stored = ["2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z", "2026-03-03T00:00:05Z"];
    for (number, stored_at) in (0..).zip(stored) {
        let event = Event { stored_at: stored_at.parse().unwrap(), ..Event::random(number, now, &mut rng) };
        let message = message(&event.body(), Source::Webhook, event.stored_at);
        receiver.consumer.process(&message, event.stored_at).await.unwrap();
    }
    let told = async |since: &str| {
        let mut tail = Tail::new(receiver.table.clone(), Watch::default(), since.parse().unwrap());
        let new = tail.poll(now).await.unwrap();
        assert!(tail.poll(now).await.unwrap().is_empty());
        new.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert!(told("2026-03-03T00:00:10Z").await.is_empty());
    assert_eq!(told("2026-03-03T00:00:00Z").await, ["et-2"]);
    assert_eq!(told("2026-03-01T00:00:00Z").await, ["et-1", "et-2"]);
    let since = "2026-02-28T00:00:00Z".parse().unwrap();
    let mut tail = Tail::new(receiver.table.clone(), Watch::default(), since);
    for id in ["et-0", "et-1", "et-2"] {
        let page = tail.poll_some(now, 1).await.unwrap();
        assert_eq!(page.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), [id], "page by page");
    }
    assert!(tail.poll_some(now, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn it_can_begin_with_the_last_events_however_old_they_are() {
    let receiver = Receiver::new().await;
    let mut rng = Rng::with_seed(9);
    let now: Timestamp = "2026-03-29T00:00:10Z".parse().unwrap();
    let mut stored: Vec<(Timestamp, Event)> = Vec::new();
    // Some days with many, others with none; one longer ago than a month.
    let days = [("2026-02-01", 1), ("2026-03-01", 40), ("2026-03-14", 30), ("2026-03-28", 4)];
    for (day, count) in days {
        for _ in 0..count {
            let day: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
            let stored_at = day + SignedDuration::from_millis(rng.i64(0..86_400_000));
            let number = u32::try_from(stored.len()).unwrap();
            let event = Event { stored_at, ..Event::random(number, now, &mut rng) };
            let message = message(&event.body(), Source::Webhook, stored_at);
            receiver.consumer.process(&message, stored_at).await.unwrap();
            stored.push((stored_at, event));
        }
    }
    stored.sort_by_key(|(stored_at, _)| *stored_at);
    let table = &receiver.table;
    let account = AccountId::new("a-2").unwrap();
    let watches: [(Watch, Wants); 4] = [
        (Watch::default(), |_| true),
        (Watch { user: Some(UserId::new("u-1").unwrap()), ..Watch::default() }, |event| event.user == "u-1"),
        (Watch { account: Some(account), ..Watch::default() }, |event| event.account == "a-2"),
        (Watch { types: vec!["ACCOUNT_CREATED".to_owned()], ..Watch::default() }, |event| {
            event.kind == "ACCOUNT_CREATED"
        }),
    ];
    for (watch, wants) in watches {
        let wanted: Vec<_> = stored.iter().filter(|(_, event)| wants(event)).map(|(at, _)| *at).collect();
        for count in [1, 3, 5, 17, 50] {
            let first = wanted[wanted.len().saturating_sub(usize::from(count))];
            // On a user's timeline a month is no bound.
            let month: Timestamp = "2026-02-27T00:00:00Z".parse().unwrap();
            let first = if watch.user.is_some() { first } else { first.max(month) };
            let since = since_last(table, &watch, count, now).await.unwrap().unwrap();
            let expected = wanted.iter().find(|at| **at >= first).unwrap();
            assert_eq!(since, *expected, "{count} of {watch:?}");
            let mut tail = Tail::new(table.clone(), watch.clone(), since);
            let told = tail.poll(now).await.unwrap().len();
            assert_eq!(told, wanted.iter().filter(|at| **at >= since).count());
            assert!(told <= usize::from(count), "{told}");
        }
    }
    let later: Timestamp = "2027-03-29T00:00:00Z".parse().unwrap();
    assert_eq!(since_last(table, &Watch::default(), 50, later).await.unwrap(), None);
}
