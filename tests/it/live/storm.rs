//! A hundred pages, hundreds of events, and connections that break all the time: whoever is connected at the end knows
//! of everything of its user's, and nobody has heard of anybody else's.
//!
//! A page reads the state when it is told `refresh`, and notes what it is told from then on: nothing else. Events
//! are stored by the consumer, and each is pushed by Lambda's rules: again after a failure, three times in all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use consumer::{Consumer, Retention};
use live::Outcome;
use serde_json::{Value, json};
use shared::bus::Detail;
use shared::event::Subject;
use shared::id::{EventId, UserId};
use shared::job::Source;
use tokio::time::sleep;

use super::gateway::Weather;
use super::{World, now, offers, token};
use crate::query::message;
use crate::support::cases;

const USERS: usize = 20;
const TABS: usize = 5;
/// Of Lambda, for an asynchronous call: the first one, and two more.
const TRIES: usize = 3;
const DEADLINE: Duration = Duration::from_mins(3);

/// A page, as its user sees it.
struct Page {
    user: String,
    /// Events that it knows of, since it has read them or was told.
    known: Mutex<BTreeSet<String>>,
    /// Whether it has read the state on the connection that it has now.
    listens: AtomicBool,
    refreshes: AtomicUsize,
    told: AtomicUsize,
}

/// All that goes on at once.
struct Storm {
    world: World,
    pages: Vec<Page>,
    /// How many events there will be.
    events: usize,
    connections: AtomicUsize,
    /// Whether connections still break.
    blows: AtomicBool,
    dead_letters: AtomicUsize,
}

fn user(n: usize) -> String {
    format!("u-{:02}", n % USERS)
}

impl Storm {
    fn chance(&self, of_a_thousand: u32) -> bool {
        self.blows.load(Ordering::SeqCst) && fastrand::u32(..1000) < of_a_thousand
    }

    /// A page's life: connects, listens, is cut off, comes back.
    async fn live(self: Arc<Self>, at: usize) {
        let page = &self.pages[at];
        loop {
            let id = format!("c-{}", self.connections.fetch_add(1, Ordering::SeqCst));
            self.once(page, &id).await;
            page.listens.store(false, Ordering::SeqCst);
            self.world.gateway.hang_up(&id);
            // The gateway's word that it has ended comes at once, late, or never.
            match fastrand::u8(..5) {
                0 => {}
                1 => {
                    let storm = Arc::clone(&self);
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(fastrand::u64(..50))).await;
                        storm.world.disconnect(&id, now()).await;
                    });
                }
                _ => self.world.disconnect(&id, now()).await,
            }
            sleep(Duration::from_millis(fastrand::u64(..20))).await;
        }
    }

    /// One connection, until it ends.
    async fn once(&self, page: &Page, id: &str) {
        let outcome = self.world.connect(id, offers(&token(&page.user, now())), now()).await;
        assert_eq!(outcome, Outcome::Connected);
        if self.chance(50) {
            return;
        }
        let mut hears = self.world.gateway.establish(id);
        if self.world.say(id, "hello", now()).await != Outcome::Listening {
            return;
        }
        while let Some(text) = hears.recv().await {
            // What was under way when it broke has not come.
            if !self.world.gateway.is_open(id) || self.chance(10) {
                return;
            }
            let said: Value = serde_json::from_str(&text).unwrap();
            if said["type"] == "refresh" {
                let subject = Subject::User(UserId::new(&page.user).unwrap());
                let events = self.world.table.events_of(&subject, None, self.events).await.unwrap();
                page.known.lock().unwrap().extend(events.into_iter().map(|event| event.id));
                page.refreshes.fetch_add(1, Ordering::SeqCst);
                page.listens.store(true, Ordering::SeqCst);
            } else {
                page.told.fetch_add(1, Ordering::SeqCst);
                page.known.lock().unwrap().insert(said["id"].as_str().unwrap().to_owned());
            }
            self.world.gateway.read(id);
        }
    }

    /// Ends connections from outside, as an operator or the gateway itself can.
    async fn thunder(self: Arc<Self>) {
        let sockets = self.world.gateway.sockets();
        while self.blows.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(40)).await;
            if let Some(one) = fastrand::choice(self.world.gateway.open()) {
                sockets.end(&one).await.unwrap();
            }
        }
    }

    /// Lambda's way with an event of the bus, which itself comes at least once.
    async fn deliver(self: Arc<Self>, detail: String) {
        let detail: push::Detail = serde_json::from_str(&detail).unwrap();
        for _ in 0..if fastrand::u8(..20) == 0 { 2 } else { 1 } {
            sleep(Duration::from_millis(fastrand::u64(..30))).await;
            let mut tries = 0;
            while self.world.pusher.push(&detail, now()).await.unwrap().failed > 0 {
                tries += 1;
                if tries == TRIES {
                    self.dead_letters.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                sleep(Duration::from_millis(fastrand::u64(..30))).await;
            }
        }
    }

    fn is_calm(&self) -> bool {
        let all_listen = self.pages.iter().all(|page| page.listens.load(Ordering::SeqCst));
        all_listen
            && self.world.gateway.state().are_read()
            && self.world.gateway.open().len() == self.pages.len()
    }
}

fn body(n: usize) -> Value {
    let id = format!("et-{n}");
    let data = json!({ "userId": user(fastrand::usize(..USERS)), "accountId": format!("a-{}", n % 7), "providers": ["sss_ph"] });
    json!({ "id": id, "version": 1, "type": "ACCOUNT_CONNECTED", "createdAt": "2026-03-01T10:00:00Z", "data": data })
}

#[tokio::test]
async fn whoever_is_connected_at_the_end_knows_of_everything_of_its_users_and_of_nobody_elses() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    fastrand::seed(seed);
    let world = World::new(seed).await;
    world.gateway.state().weather = Weather { refused: 80, answer_lost: 40, dropped: 20 };
    let page = |n: usize| Page {
        user: user(n),
        known: Mutex::default(),
        listens: AtomicBool::new(false),
        refreshes: AtomicUsize::new(0),
        told: AtomicUsize::new(0),
    };
    let storm = Arc::new(Storm {
        world,
        pages: (0..USERS * TABS).map(page).collect(),
        events: cases(250),
        connections: AtomicUsize::new(0),
        blows: AtomicBool::new(true),
        dead_letters: AtomicUsize::new(0),
    });
    let mut lives = tokio::task::JoinSet::new();
    for at in 0..storm.pages.len() {
        lives.spawn(Arc::clone(&storm).live(at));
    }
    let thunder = tokio::spawn(Arc::clone(&storm).thunder());

    let consumer = Consumer::new(storm.world.table.clone(), "365".parse::<Retention>().unwrap(), None);
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut pushes = tokio::task::JoinSet::new();
    for n in 0..storm.events {
        let body = body(n);
        let outcome =
            consumer.process(&message(&body.to_string(), Source::Webhook, now()), now()).await.unwrap();
        assert!(matches!(outcome, consumer::Outcome::Stored { .. }), "{outcome:?}");
        let id = body["id"].as_str().unwrap().to_owned();
        let stored = storm.world.table.event(&EventId::new(&id).unwrap()).await.unwrap().unwrap();
        pushes.spawn(Arc::clone(&storm).deliver(Detail::of(&stored.0).to_json()));
        expected.entry(body["data"]["userId"].as_str().unwrap().to_owned()).or_default().insert(id);
    }
    pushes.join_all().await;
    storm.blows.store(false, Ordering::SeqCst);
    storm.world.gateway.state().weather = Weather::default();
    thunder.await.unwrap();
    let since = Instant::now();
    // All are back, and have read what was sent to them. No longer: what they do not know by then they never will.
    while !storm.is_calm() {
        assert!(since.elapsed() < DEADLINE, "a page does not come back");
        sleep(Duration::from_millis(20)).await;
        if let Some(ended) = lives.try_join_next() {
            ended.unwrap();
        }
    }

    let mut heard = (0, 0);
    for page in &storm.pages {
        // What was told, and by whom, is in one place: what is known is its user's, and all of it.
        assert_eq!(*page.known.lock().unwrap(), expected[&page.user], "{}", page.user);
        heard.0 += page.refreshes.load(Ordering::SeqCst);
        heard.1 += page.told.load(Ordering::SeqCst);
    }
    let state = storm.world.gateway.state();
    eprintln!(
        "{} connections, {} ended, {} dropped, {} gone, {} refusals, {} dead letters; {} refreshes, {} changes told",
        storm.connections.load(Ordering::SeqCst),
        state.ended.len(),
        state.dropped,
        state.gone,
        state.refused,
        storm.dead_letters.load(Ordering::SeqCst),
        heard.0,
        heard.1,
    );
    // It was a storm, and pages were told by push, not by reading alone.
    let some = storm.events / 20;
    assert!(state.ended.len() > some && state.dropped > some && state.gone > some && state.refused > some);
    assert!(heard.0 > 2 * storm.pages.len() && heard.1 > storm.events);
}
