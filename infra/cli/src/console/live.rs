//! Events as they come in: one reading of the table for all who look, as long as anybody does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::table::{Fault, StoredEvent, Table};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::Scene;
use super::stream::{self, PING, Stream};
use crate::tail::{INTERVAL, Tail, Watch, patiently, since_last};

/// How far back somebody sees who begins to look.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// How many events somebody sees at least who begins to look, however old they are.
const LAST: u16 = 50;

/// How many events somebody sees at most who begins to look.
const AT_FIRST: usize = 100;

/// How many messages one reader may be behind, before some are left out.
const BEHIND: usize = 1024;

/// After so long without an event a reader is told that we are still here.
const QUIET: Duration = Duration::from_secs(10);

/// Who reads, and what was read last.
pub(super) struct Live {
    table: Table,
    told: broadcast::Sender<Bytes>,
    /// What those see who come later; `None` while nobody looks.
    recent: Mutex<Option<Recent>>,
}

#[derive(Default)]
struct Recent {
    /// Whether it is well, or what is wrong; none before the first answer of the table.
    standing: Option<Bytes>,
    events: VecDeque<Bytes>,
}

impl Live {
    pub(super) fn new(table: Table) -> Self {
        Self { table, told: broadcast::channel(BEHIND).0, recent: Mutex::new(None) }
    }

    /// Begins to read, if nobody does yet. Gives what was read last, and what comes.
    fn join(&self) -> (bool, Vec<Bytes>, broadcast::Receiver<Bytes>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = recent.is_none();
        let recent = recent.get_or_insert_default();
        let told = recent.standing.iter().chain(&recent.events).cloned();
        (is_first, told.collect(), self.told.subscribe())
    }

    fn tell(&self, message: Bytes) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = recent.get_or_insert_default();
        recent.events.push_back(message.clone());
        if recent.events.len() > AT_FIRST {
            recent.events.pop_front();
        }
        let _ = self.told.send(message);
    }

    /// Tells that it is well, or what is wrong, unless that is known.
    fn stand(&self, message: Bytes) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = recent.get_or_insert_default();
        if recent.standing.as_ref() == Some(&message) {
            return;
        }
        recent.standing = Some(message.clone());
        let _ = self.told.send(message);
    }

    /// Whether nobody looks any more. Then what was read last is forgotten.
    fn is_over(&self) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = self.told.receiver_count() == 0;
        if is_over {
            *recent = None;
        }
        is_over
    }
}

/// What somebody sees who looks: `event: well` as soon as the table answers, `event: stored` with an event, `event:
/// trouble` with what is wrong, `event: gap` when some were left out.
pub(super) fn follow(scene: &Arc<Scene>) -> Stream {
    let (is_first, recent, mut coming) = scene.live.join();
    if is_first {
        spawn_local(read(Arc::clone(scene)));
    }
    let (writer, stream) = stream::open();
    spawn_local(async move {
        for message in recent {
            if writer.send(message).await.is_err() {
                return;
            }
        }
        loop {
            let message = match timeout(QUIET, coming.recv()).await {
                Ok(Ok(message)) => message,
                Ok(Err(RecvError::Lagged(left_out))) => {
                    stream::message("gap", &json!({ "leftOut": left_out }))
                }
                Ok(Err(RecvError::Closed)) => return,
                Err(_) => Bytes::from_static(PING.as_bytes()),
            };
            if writer.send(message).await.is_err() {
                return;
            }
        }
    });
    stream
}

/// The events so far. It begins with the last ones that are stored.
async fn poll(tail: &mut Option<Tail>, table: &Table, now: Timestamp) -> Result<Vec<StoredEvent>, Fault> {
    let tail = if let Some(tail) = tail {
        tail
    } else {
        let last = since_last(table, &Watch::default(), LAST, now).await?;
        let recent = now.saturating_sub(RECENT).unwrap_or_default();
        let since = last.map_or(recent, |last| last.min(recent));
        tail.insert(Tail::new(table.clone(), Watch::default(), since))
    };
    tail.poll(now).await
}

async fn read(scene: Arc<Scene>) {
    let (live, clock) = (&scene.live, &scene.deployed.clock);
    let trouble = |detail: &str| live.stand(stream::message("trouble", &json!({ "detail": detail })));
    let mut tail = None;
    let mut is_first = true;
    while !live.is_over() {
        match patiently(poll(&mut tail, &live.table, clock.now()), trouble).await {
            Ok(events) => {
                live.stand(stream::message("well", &json!({})));
                // What was there before is not what was missed.
                let unseen = if is_first { events.len().saturating_sub(AT_FIRST) } else { 0 };
                is_first = false;
                for event in &events[unseen..] {
                    live.tell(stream::message("stored", event));
                }
            }
            Err(error) => trouble(&format!("{error:#}")),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
