//! Reads stored events one after the other, in the order in which they were stored: those of all days, whose
//! shards are read side by side and merged, or those on one user's timeline. Holds a page of each shard.

use std::collections::VecDeque;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use shared::event::Subject;
use shared::id::UserId;
use shared::table::{Fault, Filter, Partition, StoredEvent, Table, order_of};
use tokio::task::JoinSet;

/// The most events that one query looks at. Without their bodies that is some hundreds of KB.
const LOOKS: u16 = 500;

/// A walk through the events that were stored from one time on, and before another.
pub struct Walk {
    table: Table,
    filter: Filter,
    from: String,
    until: String,
    shards: Vec<Shard>,
    /// The next days, the last one included.
    days: VecDeque<Date>,
}

/// One partition, as far as it has been read.
struct Shard {
    partition: Partition,
    ahead: VecDeque<StoredEvent>,
    /// `None` when it has been read to its end.
    reached: Option<String>,
}

impl Walk {
    /// Through all events.
    pub fn of_days(table: Table, from: Timestamp, until: Timestamp, filter: Filter) -> Self {
        let day = |at| TimeZone::UTC.to_datetime(at).date();
        let days = day(from).series(jiff::Span::new().days(1)).take_while(|next| *next <= day(until));
        let days = days.collect();
        Self { days, ..Self::within(table, from, until, filter) }
    }

    /// Through the events of one user.
    pub fn of_user(table: Table, user: UserId, from: Timestamp, until: Timestamp, filter: Filter) -> Self {
        let mut walk = Self::within(table, from, until, filter);
        walk.open([Partition::Timeline(Subject::User(user))]);
        walk
    }

    fn within(table: Table, from: Timestamp, until: Timestamp, filter: Filter) -> Self {
        let (from, until) = (order_of(from), order_of(until));
        Self { table, filter, from, until, shards: Vec::new(), days: VecDeque::new() }
    }

    fn open(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        let from = &self.from;
        let shard = |partition| Shard { partition, ahead: VecDeque::new(), reached: Some(from.clone()) };
        self.shards = partitions.into_iter().map(shard).collect();
    }

    /// The next event; none at the end. After an error, asking again goes on where it was.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, Fault> {
        loop {
            self.fill().await?;
            let ahead = self.shards.iter_mut().filter(|shard| !shard.ahead.is_empty());
            if let Some(first) = ahead.min_by_key(|shard| shard.ahead.front().map(StoredEvent::order)) {
                return Ok(first.ahead.pop_front());
            }
            let Some(day) = self.days.pop_front() else { return Ok(None) };
            self.open(Partition::of_day(day));
        }
    }

    /// Reads on in every shard that has nothing ahead, until it has or is at its end.
    async fn fill(&mut self) -> Result<(), Fault> {
        loop {
            let mut reading = JoinSet::new();
            for (at, shard) in self.shards.iter().enumerate().filter(|(_, shard)| shard.ahead.is_empty()) {
                let Some(after) = shard.reached.clone() else { continue };
                let (table, partition) = (self.table.clone(), shard.partition.clone());
                let (until, filter) = (self.until.clone(), self.filter.clone());
                reading.spawn(async move {
                    (at, table.stretch(&partition, &after, Some(&until), &filter, LOOKS).await)
                });
            }
            if reading.is_empty() {
                return Ok(());
            }
            while let Some(done) = reading.join_next().await {
                let (at, stretch) =
                    done.map_err(|_| Fault::Retry("reading a day: a part of it panicked".to_owned()))?;
                let stretch = stretch?;
                self.shards[at].ahead.extend(stretch.events);
                self.shards[at].reached = stretch.reached;
            }
        }
    }
}
