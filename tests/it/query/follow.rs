//! Who follows a list by its cursors misses nothing: events come late, out of order, side by side, across midnight,
//! and readers are quick or slow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use query::Query;
use query::follow::SETTLED_AFTER;
use serde_json::{Value, json};
use shared::callback::event_id;
use shared::id::UserId;
use shared::job::Source;
use shared::table::{Filter, Partition, StoredEvent, order_of};

use super::{Api, Caller, answered, front, message};

/// A clock that all share. Nothing here waits: it goes on by what is done.
#[derive(Clone)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn new(at: &str) -> Self {
        Self(Arc::new(AtomicI64::new(at.parse::<Timestamp>().unwrap().as_millisecond())))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn pass(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

/// What a reader got, and how.
#[derive(Default)]
struct Log {
    first: BTreeMap<String, usize>,
    /// How many were seen for the first time after one that stands behind them.
    late: usize,
    read: usize,
    pages: usize,
}

impl Log {
    fn take(&mut self, page: &Value) {
        self.pages += 1;
        let last = self.first.keys().next_back().cloned().unwrap_or_default();
        for event in page["events"].as_array().unwrap() {
            let event: StoredEvent = serde_json::from_value(event.clone()).unwrap();
            let order = event.order();
            self.read += 1;
            if !self.first.contains_key(&order) {
                self.late += usize::from(order < last);
                self.first.insert(order, self.pages);
            }
        }
    }

    fn ids(&self) -> BTreeSet<String> {
        self.first.keys().map(|order| order.split_once('#').unwrap().1.to_owned()).collect()
    }
}

/// Follows a list until it has read everything that was stored before `done`, pausing between pages.
async fn follow(query: Arc<Query>, url: String, pause: i64, clock: Clock, done: Arc<AtomicBool>) -> Log {
    let (mut log, mut after) = (Log::default(), String::new());
    loop {
        let over = done.load(Ordering::SeqCst);
        let event = front::event("GET", &format!("{url}{after}"), &json!({}), Caller::Iam);
        let page = answered(&query, &event, clock.now()).await;
        assert_eq!(page.status, 200, "{page:?}");
        log.take(&page.body);
        after = format!("&after={}", page.body["next"].as_str().unwrap());
        let more = page.body["more"].as_bool().unwrap();
        if over && !more {
            return log;
        }
        if pause > 0 {
            clock.pass(pause);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_misses_nothing_whatever_comes_late() {
    const WRITERS: usize = 6;
    const EACH: usize = 60;
    let api = Api::new().await;
    let clock = Clock::new("2026-03-01T23:59:00Z");
    let start = clock.now();
    let (query, done) = (Arc::new(Query::new(api.receiver.table.clone())), Arc::new(AtomicBool::new(false)));
    let from = "from=2026-03-01T23:58:00Z";
    let readers: Vec<_> = [
        ("/v1/timeline?user=u-1&limit=200".to_owned(), 0),
        ("/v1/timeline?user=u-1&limit=7".to_owned(), 0),
        ("/v1/timeline?user=u-1&limit=3&type=INVITE_INVITED".to_owned(), 40),
        ("/v1/timeline?user=u-1&limit=5&source=webhook".to_owned(), 700),
        ("/v1/timeline?user=u-1&limit=4&source=callback".to_owned(), 100),
        (format!("/v1/events?{from}&limit=200"), 0),
        (format!("/v1/events?{from}&limit=11"), 0),
        (format!("/v1/events?{from}&limit=2&type=INVITE_INVITED"), 250),
    ]
    .into_iter()
    .map(|(url, pause)| {
        tokio::spawn(follow(Arc::clone(&query), url, pause, clock.clone(), Arc::clone(&done)))
    })
    .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (consumer, clock) = (api.receiver.consumer.clone(), clock.clone());
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(u64::try_from(writer).unwrap());
                let mut written = Vec::new();
                for number in 0..EACH {
                    let kind = *rng.choice(&["INVITE_INVITED", "USER_CREATED", "onClose"]).unwrap();
                    let name = format!("{writer}-{number}");
                    // What browsers say lies in partitions of its own, which readers merge with those of webhooks.
                    let (id, source, data) = if kind == "onClose" {
                        let id = event_id(&UserId::new("u-1").unwrap(), &name).to_string();
                        (id, Source::Callback, json!({ "userId": "u-1", "clientId": name, "value": null }))
                    } else {
                        let id = format!("et-{name}");
                        (id, Source::Webhook, json!({ "userId": "u-1", "inviteId": format!("i-{name}") }))
                    };
                    let body = json!({ "id": id, "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z",
                        "data": data });
                    // Begun a while ago: as late as a message can be, less what passes until it is there.
                    let begun = clock.now() - SignedDuration::from_millis(rng.i64(0..20_000));
                    let message = message(&body.to_string(), source, begun);
                    consumer.process(&message, begun).await.unwrap();
                    clock.pass(rng.i64(0..500));
                    written.push((id, kind, clock.now() - begun));
                    tokio::task::yield_now().await;
                }
                written
            })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    let longest = written.iter().map(|(_, _, took)| *took).max().unwrap();
    assert!(longest.as_secs() >= 15 && longest < SETTLED_AFTER, "{longest:?}");
    let end = clock.now();
    assert!(end.to_string().starts_with("2026-03-02"), "{end}");
    assert!(end.duration_since(start) > SETTLED_AFTER, "what was read first is settled before the end");
    // The last is settled, too: whatever page begins now gives what is missing.
    clock.pass(61_000);
    done.store(true, Ordering::SeqCst);
    let ids = |of: &[&str]| -> BTreeSet<String> {
        written.iter().filter(|(_, kind, _)| of.contains(kind)).map(|(id, ..)| id.clone()).collect()
    };
    let mut late = 0;
    for (at, reader) in readers.into_iter().enumerate() {
        let log = reader.await.unwrap();
        let all = match at {
            2 | 7 => ids(&["INVITE_INVITED"]),
            3 => ids(&["INVITE_INVITED", "USER_CREATED"]),
            4 => ids(&["onClose"]),
            _ => ids(&["INVITE_INVITED", "USER_CREATED", "onClose"]),
        };
        let missed: Vec<_> = all.difference(&log.ids()).cloned().collect();
        assert!(missed.is_empty() && log.ids() == all, "reader {at} missed {missed:?}");
        late += log.late;
    }
    // Readers that only go ahead would have missed these.
    assert!(late > 100, "only {late} came late: this shows too little");
}

#[tokio::test]
async fn what_the_consumer_may_take_is_settled_by_then() {
    let patience = SignedDuration::try_from(consumer::batch::PATIENCE).unwrap();
    assert!(patience * 2 < SETTLED_AFTER, "as much again for the index and for clocks");
}

#[tokio::test]
async fn a_reader_that_has_everything_is_answered_the_same_and_reads_little() {
    let mut api = Api::new().await;
    for number in 0..20 {
        let body = json!({ "id": format!("et-{number}"), "version": 1, "type": "USER_CREATED",
            "createdAt": "2026-03-01T10:00:00Z", "data": { "userId": "u-1" } });
        api.receiver.deliver(body.to_string().as_bytes()).await;
    }
    for url in ["/v1/timeline?user=u-1&limit=200", "/v1/events?from=2026-03-01T00:00:00Z&limit=200"] {
        let page = api.found(url).await;
        assert_eq!((page["events"].as_array().unwrap().len(), &page["more"]), (20, &json!(false)));
        // Nothing is settled yet: it leads back to where it began.
        let again = api.found(&format!("{url}&after={}", page["next"].as_str().unwrap())).await;
        assert_eq!((again["events"].as_array().unwrap().len(), &again["next"]), (20, &page["next"]));
        api.receiver.now += SignedDuration::from_secs(70);
        let settled = api.found(&format!("{url}&after={}", page["next"].as_str().unwrap())).await;
        let next = format!("{url}&after={}", settled["next"].as_str().unwrap());
        let first = api.get(&next).await;
        assert_eq!(first.body["events"], json!([]));
        api.receiver.now += SignedDuration::from_secs(3600);
        let tag = json!({ "if-none-match": first.headers["etag"] });
        assert_eq!(api.ask(&front::event("GET", &next, &tag, Caller::Iam)).await.status, 304);
        api.receiver.now -= SignedDuration::from_secs(3670);
    }
}

#[tokio::test]
async fn pages_are_the_list_whatever_their_size_and_filter() {
    let (mut api, ids, _) = super::seeded().await;
    api.receiver.now += SignedDuration::from_secs(90);
    let user = format!("/v1/timeline?user={}", ids.user);
    let settled = api.receiver.now - SETTLED_AFTER;
    let all = format!("/v1/events?from=2026-02-28T00:00:00Z&to={settled}");
    for list in [
        user.clone(),
        format!("{user}&source=callback"),
        format!("{user}&type=TASK_FINISHED&source=webhook"),
        format!("{user}&type=NEW_OF_TOMORROW"),
        all.clone(),
        format!("{all}&type=TASK_FINISHED"),
    ] {
        let mut told: Vec<Vec<Value>> = Vec::new();
        for limit in [1, 3, 50, 200] {
            let (mut events, mut after) = (Vec::new(), String::new());
            loop {
                let page = api.found(&format!("{list}&limit={limit}{after}")).await;
                let these = page["events"].as_array().unwrap();
                assert!(these.len() <= limit, "{list}");
                events.extend(these.iter().cloned());
                if page["more"] == json!(false) {
                    // Only what has an end is over.
                    assert_eq!(page.get("next").is_none(), list.contains("to="), "{list}");
                    break;
                }
                after = format!("&after={}", page["next"].as_str().unwrap());
            }
            let orders: Vec<String> = events
                .iter()
                .map(|event| serde_json::from_value::<StoredEvent>(event.clone()).unwrap().order())
                .collect();
            assert!(orders.is_sorted_by(|one, next| one < next), "{list}: in order, each once");
            assert!(!events.is_empty(), "{list}");
            told.push(events);
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{list}");
    }
}

#[tokio::test]
async fn long_silence_takes_few_pages_and_none_is_walked_through_twice() {
    let mut api = Api::new().await;
    let body = json!({ "id": "et-1", "version": 1, "type": "USER_CREATED", "createdAt": "2026-03-01T10:00:00Z",
        "data": { "userId": "u-1" } });
    api.receiver.deliver(body.to_string().as_bytes()).await;
    api.receiver.now += SignedDuration::from_hours(24 * 100);
    let (mut url, mut events, mut pages) = ("/v1/events?from=2026-02-01T00:00:00Z".to_owned(), Vec::new(), 0);
    let last = loop {
        let page = api.found(&url).await;
        pages += 1;
        events.extend(page["events"].as_array().unwrap().iter().map(|event| event["id"].clone()));
        url = format!("/v1/events?from=2026-02-01T00:00:00Z&after={}", page["next"].as_str().unwrap());
        if page["more"] == json!(false) {
            break url;
        }
    };
    assert_eq!(events, [json!("et-1")]);
    // 129 days, 32 a page.
    assert_eq!(pages, 5);
    assert_eq!(api.found(&last).await["more"], json!(false), "one page from then on");
}

#[tokio::test]
async fn the_newest_of_a_day_and_how_many_there_are_is_told_without_reading_all_of_it() {
    let (api, _, _) = super::seeded().await;
    let table = &api.receiver.table;
    let day = TimeZone::UTC.to_datetime(api.receiver.now).date();
    let events = table.events_on(day).await.unwrap();
    for source in [None, Some(Source::Webhook), Some(Source::Callback)] {
        let filter = Filter { source, ..Filter::default() };
        let mut newest = None;
        for partition in Partition::of_day(day, source) {
            let of_shard = table.newest(&partition, &filter, 100).await.unwrap();
            newest = newest.max(of_shard.map(|event| event.order()));
        }
        let wanted = |event: &&StoredEvent| source.is_none_or(|source| event.source == source.as_str());
        let expected = events.iter().filter(wanted).map(StoredEvent::order).max();
        assert!(expected.is_some());
        assert_eq!(newest, expected, "{source:?}");
    }
    let (from, until) = (events[events.len() / 3].stored_at, events[events.len() * 2 / 3].stored_at);
    let mut count = 0;
    for partition in Partition::of_day(day, None) {
        let (of_shard, more) = table.count(&partition, &order_of(from), &order_of(until)).await.unwrap();
        assert!(!more, "they fit one query");
        count += of_shard;
    }
    let between = events.iter().filter(|event| event.stored_at >= from && event.stored_at < until).count();
    assert!(between > 0);
    assert_eq!(count, between as u64);
}
