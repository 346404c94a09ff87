//! Tells a user's pages that something has changed: a rule on the bus invokes it with an event, and it sends
//! `{"type":…,"id":…,"entity":…}` on each of the user's connections. What has changed, the page asks for.
//!
//! All pages are told side by side, and all of them before a failure is. A message that the gateway did not take
//! fails the invocation, and Lambda tries again: so a page may be told twice. A page that cannot be told then, either,
//! is given up: it is forgotten, finds that out at its next ping, comes back, and reads everything. So one page that
//! takes nothing any more is not in the way of others. (Of an event that comes so late that it may be a further try,
//! the first is taken for one.) What is gone is forgotten, too; what cannot be forgotten just now is found gone again
//! by the next event.
//!
//! Pages that began to listen long after an event was stored are not told of it: they have read it. So a replay of what
//! was stored some hours ago reaches none.
//!
//! What browsers say is not sent back to browsers: the rule passes on `smile.webhook` and `smile.reconcile` alone
//! (`infra/template.yaml`).

pub mod config;
pub mod event;

use std::time::Duration;

use jiff::Timestamp;
use shared::aws::Patience;
use shared::id::UserId;
use shared::metrics::{Count, Metric};
use shared::socket::{Posted, Sockets};
use shared::table::{Fault, Table};

pub use self::config::Config;
pub use self::event::{BusEvent, Detail};

/// Of one call. [`CALLS`] go one after the other.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(4),
    attempts: 3,
};

/// The connections; a message on each; for those that are gone, two writes.
pub const CALLS: u32 = 4;

/// The longest that an invocation takes. Below the function's time-out (`infra/template.yaml`).
pub const BUDGET: Duration = PATIENCE.operation.saturating_mul(CALLS);

/// The function: its connections.
#[derive(Clone)]
pub struct Pusher {
    table: Table,
    sockets: Sockets,
}

/// What became of an event.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Pages that were told.
    pub told: usize,
    /// Connections that were gone.
    pub gone: usize,
    /// Pages that could not be told: the event must come again.
    pub failed: usize,
    /// Pages that could not be told again, and were forgotten: they come back, and read everything.
    pub given_up: usize,
}

/// What became of one page.
enum Page {
    Told,
    Gone,
    Failed,
    GivenUp,
}

impl Pusher {
    /// A function with these connections.
    pub fn new(table: Table, sockets: Sockets) -> Self {
        Self { table, sockets }
    }

    /// Tells the user's pages. A [`Fault`] says that it is not known which there are: the event must come again.
    pub async fn push(&self, detail: &Detail, now: Timestamp) -> Result<Pushed, Fault> {
        let Some(user) = detail.user() else { return Ok(Pushed::default()) };
        let (message, is_late) = (detail.message(), detail.is_late(now));
        let mut posts = tokio::task::JoinSet::new();
        for connection in self.table.connections(user, detail.known_to_pages_since(), now).await? {
            let (pusher, user, message) = (self.clone(), user.clone(), message.clone());
            posts.spawn(async move { pusher.post(&user, &connection, &message, is_late, now).await });
        }
        let mut pushed = Pushed::default();
        for posted in posts.join_all().await {
            match posted {
                Page::Told => pushed.told += 1,
                Page::Gone => pushed.gone += 1,
                Page::Failed => pushed.failed += 1,
                Page::GivenUp => pushed.given_up += 1,
            }
        }
        Ok(pushed)
    }

    async fn post(
        &self,
        user: &UserId,
        connection: &str,
        message: &str,
        is_late: bool,
        now: Timestamp,
    ) -> Page {
        let page = match self.sockets.post(connection, message).await {
            Ok(Posted::Sent) => return Page::Told,
            Ok(Posted::Gone) => Page::Gone,
            Err(error) => {
                tracing::warn!(connection, %error, is_late, "not told");
                if !is_late {
                    return Page::Failed;
                }
                Page::GivenUp
            }
        };
        match (self.table.forget(user, connection, now).await, page) {
            (Ok(()), page) => page,
            (Err(fault), Page::GivenUp) => {
                tracing::warn!(connection, %fault, "not told, and not forgotten");
                Page::Failed
            }
            (Err(fault), page) => {
                tracing::warn!(connection, %fault, "gone, and not forgotten yet");
                page
            }
        }
    }
}

impl Pushed {
    /// What is counted: one for each page.
    pub fn counts(self) -> impl Iterator<Item = Count> {
        let times = |metric, times| std::iter::repeat_n(metric, times).map(Count::of);
        times(Metric::Pushed, self.told).chain(times(Metric::PushFailed, self.failed + self.given_up))
    }
}
