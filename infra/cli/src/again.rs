//! Stored events once more: onto the bus, or back through the consumer as they came.
//!
//! Both are safe to repeat. The bus delivers at least once anyway. To the consumer the event is a repeat: it
//! offers its registers again, which change nothing unless they are newer, and stores nothing. No body comes back
//! that was dropped, since it is the body that is sent. Nor is anything erased a second time: a revocation's own
//! body is never kept, so it goes back to no consumer.

use std::time::Duration;

use serde::Serialize;
use shared::bus::{Bus, Detail, MAX_ENTRIES};
use shared::id::EventId;
use shared::job::{Job, Source};
use shared::queue::Queue;
use shared::table::{StoredEvent, Table};
use tokio::task::JoinSet;

use crate::operator::Deployed;

/// Where stored events go once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// The event bus: your rules hear of them again
    Bus,
    /// The queue that they came by: they are folded into the state again
    Consumer,
}

impl Way {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Consumer => "consumer",
        }
    }
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resent {
    /// It is on the bus or in the queue.
    Sent,
    /// It cannot go there, for this reason.
    Left(&'static str),
    /// It was not taken, for this reason: it may be, later.
    Failed(String),
}

/// The queues that events come by.
#[derive(Clone)]
pub struct Queues {
    webhook: Queue,
    // Only a stack that knows Smile has one.
    callback: Option<Queue>,
}

/// An event that can go back to its queue.
pub struct Ready<'a> {
    queue: &'a Queue,
    job: Job,
    body: Vec<u8>,
}

impl Queues {
    /// A stack's queues.
    pub fn of(deployed: &Deployed) -> anyhow::Result<Self> {
        let webhook = Queue::new(&deployed.sdk, deployed.output("QueueUrl")?);
        let callback = deployed.optional("CallbackQueueUrl").map(|url| Queue::new(&deployed.sdk, url));
        Ok(Self { webhook, callback })
    }

    /// What there is to send of an event, or why there is nothing.
    pub fn ready(&self, event: &StoredEvent, body: Option<Vec<u8>>) -> Result<Ready<'_>, &'static str> {
        let job = job(event);
        let queue = self.queue(job.source)?;
        Ok(Ready { queue, job, body: body.ok_or("its body was not kept")? })
    }

    // What a browser said must never come as if a server had said it.
    fn queue(&self, source: Source) -> Result<&Queue, &'static str> {
        match source {
            Source::Callback => {
                self.callback.as_ref().ok_or("a browser sent it, and the stack takes no callbacks")
            }
            Source::Webhook | Source::Reconcile => Ok(&self.webhook),
        }
    }
}

impl Ready<'_> {
    /// Sends it.
    pub async fn send(&self) -> anyhow::Result<()> {
        Ok(self.queue.send(self.job.encode(&self.body)?, None).await?)
    }
}

/// Sends stored events on one way.
#[derive(Clone)]
pub struct Sender {
    table: Table,
    to: To,
}

#[derive(Clone)]
enum To {
    Bus(Bus),
    Consumer(Queues),
}

/// How often what was not taken is tried again, each time after twice as long.
const TRIES: u32 = 5;

const FIRST_WAIT: Duration = Duration::from_millis(200);

impl Sender {
    /// The most events of one call of [`Self::send`].
    pub const BATCH: usize = MAX_ENTRIES;

    /// A stack's way.
    pub fn of(deployed: &Deployed, way: Way) -> anyhow::Result<Self> {
        let to = match way {
            Way::Bus => {
                let name = deployed.needed("BusName", "event bus")?;
                To::Bus(Bus::new(&deployed.sdk, name))
            }
            Way::Consumer => To::Consumer(Queues::of(deployed)?),
        };
        Ok(Self { table: deployed.table()?, to })
    }

    /// Why an event would be left, as far as that can be seen without its body.
    pub fn obstacle(&self, event: &StoredEvent) -> Option<&'static str> {
        let To::Consumer(queues) = &self.to else { return None };
        queues.ready(event, event.body_dropped.is_none().then(Vec::new)).err()
    }

    /// Sends up to [`Self::BATCH`] events; says what became of each, in their order. What is not taken at once is
    /// tried again for some seconds.
    pub async fn send(&self, events: &[StoredEvent]) -> anyhow::Result<Vec<Resent>> {
        let mut became: Vec<Resent> = vec![Resent::Failed(String::new()); events.len()];
        let mut wait = FIRST_WAIT;
        for round in 0..TRIES {
            let due: Vec<usize> =
                (0..events.len()).filter(|at| matches!(became[*at], Resent::Failed(_))).collect();
            if due.is_empty() {
                break;
            }
            if round > 0 {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            let call: Vec<StoredEvent> = due.iter().map(|at| events[*at].clone()).collect();
            let told = match &self.to {
                To::Bus(bus) => put(bus, &call).await,
                To::Consumer(queues) => back(&self.table, queues, call).await?,
            };
            for (at, told) in due.into_iter().zip(told) {
                became[at] = told;
            }
        }
        Ok(became)
    }
}

async fn put(bus: &Bus, events: &[StoredEvent]) -> Vec<Resent> {
    let details: Vec<Detail> = events.iter().map(Detail::of).collect();
    let told = bus.put_told(&details, None).await.into_iter();
    told.map(|told| told.map_or_else(|why| Resent::Failed(format!("the bus: {why}")), |()| Resent::Sent))
        .collect()
}

async fn back(table: &Table, queues: &Queues, events: Vec<StoredEvent>) -> anyhow::Result<Vec<Resent>> {
    let mut became = vec![Resent::Failed("it was not sent".to_owned()); events.len()];
    let mut sending = JoinSet::new();
    for (at, event) in events.into_iter().enumerate() {
        let (table, queues) = (table.clone(), queues.clone());
        sending.spawn(async move { (at, back_one(&table, &queues, &event).await) });
    }
    while let Some(done) = sending.join_next().await {
        let (at, told) = done?;
        became[at] = told;
    }
    Ok(became)
}

/// As it stands in the table now: since it was listed, its body may have been erased.
async fn back_one(table: &Table, queues: &Queues, event: &StoredEvent) -> Resent {
    let failed = |error: String| Resent::Failed(error);
    let id = match EventId::new(event.id.as_str()) {
        Ok(id) => id,
        Err(error) => return failed(error.to_string()),
    };
    let (event, body) = match table.event(&id).await {
        Ok(Some(found)) => found,
        Ok(None) => return Resent::Left("it is gone from the table"),
        Err(fault) => return failed(fault.to_string()),
    };
    match queues.ready(&event, body) {
        Ok(ready) => ready.send().await.map_or_else(|error| failed(format!("{error:#}")), |()| Resent::Sent),
        Err(why) => Resent::Left(why),
    }
}

/// How it came, as far as is known.
fn job(event: &StoredEvent) -> Job {
    let sources = [Source::Reconcile, Source::Callback];
    let source =
        sources.into_iter().find(|source| source.as_str() == event.source).unwrap_or(Source::Webhook);
    let delivery = event.deliveries.first().cloned().unwrap_or_else(|| event.id.clone());
    Job { source, received_at: event.received_at, delivery, held: false, check: false, session: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use shared::aws::{Patience, Settings, config};

    use super::*;

    fn stored(source: &str) -> StoredEvent {
        serde_json::from_value(json!({
            "id": "et-1", "type": "onTokenExpired", "source": source, "hash": "00", "bytes": 1,
            "received_at": "2026-03-01T10:00:01Z", "stored_at": "2026-03-01T10:00:02Z", "deliveries": ["d-1"],
        }))
        .unwrap()
    }

    fn queues() -> Queues {
        let second = Duration::from_secs(1);
        let patience = Patience { connect: second, attempt: second, operation: second, attempts: 1 };
        let sdk = config(Settings::at("http://127.0.0.1:1", "us-east-1", "key", "key"), patience).unwrap();
        let queue = |name: &str| Queue::new(&sdk, name);
        Queues { webhook: queue("webhook"), callback: Some(queue("callback")) }
    }

    #[test]
    fn who_said_it_stays_who_said_it() {
        let queues = queues();
        for source in [Source::Webhook, Source::Reconcile, Source::Callback] {
            let event = stored(source.as_str());
            let ready = queues.ready(&event, Some(b"{}".to_vec())).map_err(str::to_owned).unwrap();
            assert_eq!((ready.job.source, ready.job.delivery.as_str()), (source, "d-1"));
            let is_callbacks = std::ptr::eq(ready.queue, queues.callback.as_ref().unwrap());
            assert_eq!(is_callbacks, source == Source::Callback, "{source:?} goes by its own queue");
        }
    }

    #[test]
    fn what_cannot_go_back_is_left() {
        let queues = queues();
        assert_eq!(queues.ready(&stored("webhook"), None).err(), Some("its body was not kept"));
        let deaf = Queues { callback: None, ..queues };
        let why = "a browser sent it, and the stack takes no callbacks";
        assert_eq!(deaf.ready(&stored("callback"), Some(b"{}".to_vec())).err(), Some(why));
    }
}
