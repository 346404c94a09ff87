//! Puts stored events on a bus: from the table's stream, so that nothing that was stored is forgotten, and with
//! no more of an event than others may know ([`shared::bus::detail`]).
//!
//! | module | what it holds |
//! |---|---|
//! | [`records`] | what the function is invoked with |
//! | [`config`] | the variables |
//!
//! Each event is on the bus at least once:
//!
//! 1. What the bus refuses, and whose image cannot be read, goes by id to a queue of its own. From there the event
//!    is read again from the table and tried again, until it is a dead letter: one event must not hold up the
//!    shard behind it.
//! 2. Only when that queue does not take it either, the shard begins again with the first such record. What comes
//!    after it may then be on the bus twice.
//! 3. An event that is gone from the table when it is tried again was erased or has expired: there is nothing to
//!    tell.

pub mod config;
pub mod records;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::{Context, ensure};
use shared::aws::Patience;
use shared::bus::{Bus, Detail, MAX_ENTRIES};
use shared::id::EventId;
use shared::job;
use shared::metrics::{Count, Metric};
use shared::queue::Queue;
use shared::table::Table;
use tokio::task::JoinSet;

pub use self::config::Config;
use self::records::{Again, Batch, Change, Failures, Message, Records};

/// Of one call. [`BUDGET`] has the sum.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(10),
    attempts: 3,
};

/// The longest that an invocation takes: the calls to the bus, side by side, then calls to the retry queue. These begin
/// within four seconds ([`shared::queue::BEGINS_WITHIN`]), and the last one can take a whole operation more. A message
/// of the retry queue takes less: one read and one call to the bus. Below the function's time-out
/// (`infra/template.yaml`).
pub const BUDGET: Duration =
    shared::queue::BEGINS_WITHIN.saturating_add(PATIENCE.operation.saturating_mul(2));

/// Seconds after which what the bus refused is tried again for the first time.
const RETRY_AFTER: u16 = 10;

/// The function: its connections.
#[derive(Clone)]
pub struct Publisher {
    bus: Bus,
    retry: Queue,
    table: Table,
}

/// What became of one invocation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is to come again.
    pub failures: Failures,
    /// Events that the bus has, by type: a bounded set of words.
    pub published: Vec<String>,
    /// Events that go another way round, by the retry queue.
    pub deferred: usize,
    /// Events that came from there, and that the bus refused again.
    pub refused_again: usize,
}

/// Why a further try came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("the bus refused it")]
struct Refused;

/// An event of the stream, by the record that it came in.
struct Due {
    place: usize,
    sequence_number: String,
    id: String,
}

impl Publisher {
    /// A function with these connections.
    pub fn new(bus: Bus, retry: Queue, table: Table) -> Self {
        Self { bus, retry, table }
    }

    /// Deals with the records of one invocation.
    pub async fn publish(&self, batch: Batch, trace: Option<&str>) -> Outcome {
        match batch.records {
            Records::Changes(changes) => self.stored(&changes, trace).await,
            Records::Messages(messages) => self.again(messages, trace).await,
        }
    }

    /// Publishes what was stored.
    async fn stored(&self, changes: &[Change], trace: Option<&str>) -> Outcome {
        let (mut ready, mut refused) = (Vec::new(), Vec::new());
        for (place, change) in changes.iter().enumerate() {
            let Some((sequence_number, id)) = change.stored() else { continue };
            let due = Due { place, sequence_number: sequence_number.to_owned(), id: id.to_owned() };
            let read = catch_unwind(AssertUnwindSafe(|| change.event().as_ref().map(Detail::of)));
            if let Some(detail) = read.ok().flatten() {
                ready.push((due, detail));
            } else {
                tracing::error!(event = id, "its image cannot be read");
                refused.push(due);
            }
        }
        let published = self.put(ready, trace, &mut refused).await;
        refused.sort_by_key(|due| due.place);
        let held = self.defer(&refused, trace).await;
        let deferred = held.iter().filter(|held| **held).count();
        let first_lost = refused.into_iter().zip(held).find(|(_, held)| !held);
        Outcome {
            failures: first_lost.into_iter().map(|(due, _)| due.sequence_number).collect(),
            published,
            deferred,
            refused_again: 0,
        }
    }

    /// Puts all on the bus, and what it does not take with the rest that was refused; gives the types of those that
    /// it has.
    async fn put(
        &self,
        ready: Vec<(Due, Detail)>,
        trace: Option<&str>,
        refused: &mut Vec<Due>,
    ) -> Vec<String> {
        let (mut calls, mut running) = (JoinSet::new(), BTreeMap::new());
        let mut rest = ready.into_iter().peekable();
        while rest.peek().is_some() {
            let (dues, details): (Vec<_>, Vec<_>) = rest.by_ref().take(MAX_ENTRIES).unzip();
            let (bus, trace) = (self.bus.clone(), trace.map(str::to_owned));
            let call = calls.spawn(async move {
                let taken = bus.put(&details, trace.as_deref()).await;
                details.into_iter().zip(taken).map(|(detail, taken)| taken.then_some(detail)).collect()
            });
            running.insert(call.id(), dues);
        }
        let mut published = Vec::new();
        while let Some(ended) = calls.join_next_with_id().await {
            let (call, on_the_bus): (_, Vec<Option<Detail>>) = ended.unwrap_or_else(|error| {
                tracing::error!("a call's task panicked; its events go another way round");
                (error.id(), Vec::new())
            });
            let all = on_the_bus.into_iter().chain(std::iter::repeat(None));
            for (due, detail) in running.remove(&call).into_iter().flatten().zip(all) {
                match detail {
                    Some(detail) => published.push(told(&detail)),
                    None => refused.push(due),
                }
            }
        }
        published
    }

    /// Hands events to the retry queue, by id. Says of each whether it is held there.
    async fn defer(&self, refused: &[Due], trace: Option<&str>) -> Vec<bool> {
        let message = |due: &Due| {
            let again = serde_json::to_string(&Again { id: due.id.clone() }).unwrap_or_default();
            (job::Message { body: again.into(), attributes: Vec::new() }, RETRY_AFTER)
        };
        self.retry.send_all(&refused.iter().map(message).collect::<Vec<_>>(), trace).await
    }

    /// Publishes what the bus did not take before. What fails comes again, alone, and at last is a dead letter.
    async fn again(&self, messages: Vec<Message>, trace: Option<&str>) -> Outcome {
        let (mut tasks, mut left) = (JoinSet::new(), BTreeMap::new());
        for Message { message_id, body } in messages {
            let (publisher, trace) = (self.clone(), trace.map(str::to_owned));
            let task = tasks.spawn(async move { publisher.once_more(&body, trace.as_deref()).await });
            left.insert(task.id(), message_id);
        }
        let (mut published, mut refused_again) = (Vec::new(), 0);
        while let Some(ended) = tasks.join_next_with_id().await {
            match ended {
                Ok((task, Ok(kind))) => {
                    published.extend(kind);
                    left.remove(&task);
                }
                Ok((task, Err(error))) => {
                    refused_again += usize::from(error.is::<Refused>());
                    tracing::error!(message_id = left[&task], error = format!("{error:#}"), "it comes again");
                }
                Err(error) => {
                    let message_id = &left[&error.id()];
                    tracing::error!(message_id, "a message's task panicked; it comes again");
                }
            }
        }
        Outcome { failures: left.into_values().collect(), published, deferred: 0, refused_again }
    }

    /// Publishes one event, by the message about it; gives its type, if it is there still.
    async fn once_more(&self, message: &str, trace: Option<&str>) -> anyhow::Result<Option<String>> {
        // What stands in a message that is not ours is nobody's business.
        let again = serde_json::from_str::<Again>(message).ok();
        let id = again.and_then(|again| EventId::new(again.id).ok()).context("the message names no event")?;
        let event = self.table.event_alone(&id).await.with_context(|| format!("event {id}"))?;
        let Some(event) = event else {
            tracing::info!(event = %id, "gone before it was published");
            return Ok(None);
        };
        let detail = Detail::of(&event);
        let taken = self.bus.put(std::slice::from_ref(&detail), trace).await;
        ensure!(taken == [true], anyhow::Error::new(Refused).context(format!("event {id}")));
        Ok(Some(told(&detail)))
    }
}

/// Tells the log of an event that the bus has; gives its type for the counts.
fn told(detail: &Detail) -> String {
    tracing::info!(event = detail.id(), r#type = detail.detail_type(), "published");
    detail.metric_word().to_owned()
}

impl Outcome {
    /// What is counted.
    pub fn counts(&self) -> Vec<Count> {
        let published = self.published.iter().map(|_| Count::of(Metric::Published));
        let refused = (0..self.deferred + self.refused_again).map(|_| Count::of(Metric::BusRefused));
        published.chain(refused).collect()
    }
}
