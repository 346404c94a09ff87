//! Reads stored events one after the other, in the order in which they were stored: those of all days, or those on one
//! user's timeline. The partitions of either are read side by side and merged. Holds a page of each partition.

use std::collections::VecDeque;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use shared::event::Subject;
use shared::id::UserId;
use shared::table::{Fault, Filter, Partition, StoredEvent, Table, order_of, order_of_day};
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

/// What comes of one step of a walk.
pub enum Step {
    /// The next event.
    Event(Box<StoredEvent>),
    /// It has read on, and there may be more.
    Read,
    /// There is no more.
    End,
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
        walk.open(Partition::of_timeline(Subject::User(user), walk.filter.source));
        walk
    }

    fn within(table: Table, from: Timestamp, until: Timestamp, filter: Filter) -> Self {
        let (from, until) = (order_of(from), order_of(until));
        Self { table, filter, from, until, shards: Vec::new(), days: VecDeque::new() }
    }

    fn open(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        let from = &self.from;
        let shard = |partition| {
            let reached = match Partition::day(&partition) {
                Some(day) => from.clone().max(order_of_day(day)),
                None => from.clone(),
            };
            Shard { partition, ahead: VecDeque::new(), reached: Some(reached) }
        };
        self.shards = partitions.into_iter().map(shard).collect();
    }

    /// The next event; none at the end. After an error, asking again goes on where it was.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, Fault> {
        loop {
            match self.step().await? {
                Step::Event(event) => return Ok(Some(*event)),
                Step::Read => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// The next event, or one call on the way to it: an empty year is read in thousands of calls. Dropped before its
    /// end, or after an error, the next one goes on where it was.
    pub async fn step(&mut self) -> Result<Step, Fault> {
        if self.read_on().await? {
            return Ok(Step::Read);
        }
        let ahead = self.shards.iter_mut().filter(|shard| !shard.ahead.is_empty());
        let first = ahead.min_by_key(|shard| shard.ahead.front().map(StoredEvent::order));
        if let Some(event) = first.and_then(|shard| shard.ahead.pop_front()) {
            return Ok(Step::Event(Box::new(event)));
        }
        let Some(day) = self.days.pop_front() else { return Ok(Step::End) };
        self.open(Partition::of_day(day, self.filter.source));
        Ok(Step::Read)
    }

    /// Everything that was stored before this time has been given.
    pub fn place(&self) -> Timestamp {
        let reached = self.shards.iter().filter_map(|shard| match shard.ahead.front() {
            Some(event) => Some(order_of(event.stored_at)),
            None => shard.reached.clone(),
        });
        let next_day = self.days.front().map(|day| order_of_day(*day).max(self.from.clone()));
        let reached = reached.min().or(next_day).unwrap_or_else(|| self.until.clone());
        // An order begins with its time.
        let time = reached.split('#').next().and_then(|time| time.parse().ok());
        time.unwrap_or(Timestamp::MIN)
    }

    /// Reads on in every shard that has nothing ahead and is not at its end, one call each; says whether there was
    /// one.
    async fn read_on(&mut self) -> Result<bool, Fault> {
        let mut reading = JoinSet::new();
        for (at, shard) in self.shards.iter().enumerate().filter(|(_, shard)| shard.ahead.is_empty()) {
            let Some(after) = shard.reached.clone() else { continue };
            let (table, partition) = (self.table.clone(), shard.partition.clone());
            let (until, filter) = (self.until.clone(), self.filter.clone());
            reading.spawn(async move {
                (at, table.stretch(&partition, &after, Some(&until), &filter, LOOKS).await)
            });
        }
        let has_read = !reading.is_empty();
        while let Some(done) = reading.join_next().await {
            let (at, stretch) =
                done.map_err(|_| Fault::Retry("reading a day: a part of it panicked".to_owned()))?;
            let stretch = stretch?;
            self.shards[at].ahead.extend(stretch.events);
            self.shards[at].reached = stretch.reached;
        }
        Ok(has_read)
    }
}
