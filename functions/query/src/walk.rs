//! Reads what a page needs, and no more than it may.
//!
//! A timeline or a day is read partition by partition, side by side, merged in order. A filter that lets little
//! through, or many days without anything, makes pages of few entries or none, which say that there is more.

use std::collections::VecDeque;

use jiff::civil::Date;
use shared::event::Subject;
use shared::table::{
    BROWSER_DAY_SHARDS, DAY_SHARDS, Fault, Filter, Partition, StoredEvent, Stretch, Table, order_of_day,
};
use tokio::task::JoinSet;

use crate::parameters::LIMIT_MAX;

/// The most queries that one page of a timeline makes: eight of each partition.
const TIMELINE_QUERIES: usize = 16;

/// The most days without anything that one page of all events goes over.
const EMPTY_DAYS: usize = 32;

/// The most queries that one page of all events makes.
const DAY_QUERIES: usize = EMPTY_DAYS * (DAY_SHARDS + BROWSER_DAY_SHARDS) as usize;

/// How many events a query looks at when only some are wanted.
const LOOKS_FILTERED: u16 = 200;

/// A page ends before it has more than this, in bytes of JSON, but for its first entry.
const PAGE_BYTES: usize = 2_000_000;

/// Reads on in one timeline.
pub(crate) async fn timeline(
    table: &Table,
    owner: Subject,
    after: &str,
    filter: &Filter,
    limit: usize,
) -> Result<Stretch, Fault> {
    let partitions = Partition::of_timeline(owner, filter.source);
    let mut queries = TIMELINE_QUERIES;
    merged(table, partitions, (after, None), filter, limit, &mut queries).await
}

/// Reads on in all events, day by day.
pub(crate) async fn days(
    table: &Table,
    after: &str,
    until: &str,
    filter: &Filter,
    limit: usize,
) -> Result<Stretch, Fault> {
    let mut read = Stretch { events: Vec::new(), reached: Some(after.to_owned()) };
    let mut queries = DAY_QUERIES;
    while let Some(at) = read.reached.clone().filter(|at| at.as_str() < until) {
        let today: Date = at.get(..10).and_then(|day| day.parse().ok()).unwrap_or(Date::MAX);
        let tomorrow = today.tomorrow().map_or_else(|_| until.to_owned(), order_of_day);
        let end = until.min(tomorrow.as_str());
        let partitions = Partition::of_day(today, filter.source);
        let stretch = merged(table, partitions, (&at, Some(end)), filter, limit, &mut queries).await?;
        read.events.extend(stretch.events);
        // To the day's end, where that was reached.
        let is_part = stretch.reached.is_some();
        read.reached = Some(stretch.reached.unwrap_or_else(|| end.to_owned()));
        let is_full = read.events.len() >= limit && end < until;
        if cut(&mut read, limit) || is_part || is_full || queries < DAY_QUERIES / EMPTY_DAYS {
            return Ok(read);
        }
    }
    read.reached = None;
    Ok(read)
}

/// One partition of a list, as far as it has been read.
struct Shard {
    partition: Partition,
    ahead: VecDeque<StoredEvent>,
    /// `None` when it has been read to its end.
    reached: Option<String>,
}

/// Reads on in one list: its partitions side by side, merged in order. Takes the queries that it makes from those that
/// are `left`.
async fn merged(
    table: &Table,
    partitions: impl IntoIterator<Item = Partition>,
    (after, until): (&str, Option<&str>),
    filter: &Filter,
    limit: usize,
    left: &mut usize,
) -> Result<Stretch, Fault> {
    let shard = |partition| Shard { partition, ahead: VecDeque::new(), reached: Some(after.to_owned()) };
    let mut shards: Vec<Shard> = partitions.into_iter().map(shard).collect();
    // Twice what falls to each, of few no more than the page holds; one more tells whether there is more.
    let falls_to_each = (limit.div_ceil(shards.len().max(1)) * 2).min(limit);
    let looks = if filter.is_open() { looks(falls_to_each + 1) } else { LOOKS_FILTERED };
    let mut read = Stretch { events: Vec::new(), reached: None };
    loop {
        fill(table, &mut shards, (until, filter, looks), left).await?;
        // Up to here nothing can come in between any more.
        let reached = shards.iter().filter_map(|shard| shard.reached.clone()).min();
        let mut merged: Vec<(String, StoredEvent)> = Vec::new();
        for shard in &mut shards {
            while let Some(event) = shard.ahead.pop_front() {
                let order = event.order();
                if reached.as_ref().is_some_and(|reached| order > *reached) {
                    shard.ahead.push_front(event);
                    break;
                }
                merged.push((order, event));
            }
        }
        merged.sort_by(|(one, _), (other, _)| one.cmp(other));
        read.events.extend(merged.into_iter().map(|(_, event)| event));
        read.reached = reached;
        let is_out = *left < shards.len();
        if cut(&mut read, limit) || read.reached.is_none() || is_out {
            return Ok(read);
        }
    }
}

/// Reads on in every shard that is not at its end and has nothing ahead.
async fn fill(
    table: &Table,
    shards: &mut [Shard],
    (until, filter, looks): (Option<&str>, &Filter, u16),
    left: &mut usize,
) -> Result<(), Fault> {
    let mut reading = JoinSet::new();
    for (at, shard) in shards.iter().enumerate().filter(|(_, shard)| shard.ahead.is_empty()) {
        let Some(after) = shard.reached.clone() else { continue };
        let (table, partition) = (table.clone(), shard.partition.clone());
        let (until, filter) = (until.map(str::to_owned), filter.clone());
        *left = left.saturating_sub(1);
        reading.spawn(async move {
            (at, table.stretch(&partition, &after, until.as_deref(), &filter, looks).await)
        });
    }
    while let Some(done) = reading.join_next().await {
        let (at, stretch) =
            done.map_err(|_| Fault::Retry("reading a list: a part of it panicked".to_owned()))?;
        let stretch = stretch?;
        shards[at].ahead.extend(stretch.events);
        shards[at].reached = stretch.reached;
    }
    Ok(())
}

/// Cuts off what a page cannot hold. Says whether anything was, so that the page is full.
fn cut(read: &mut Stretch, limit: usize) -> bool {
    let mut bytes = 0;
    let fits = read.events.iter().take(limit).take_while(|event| {
        let before = bytes;
        bytes += serde_json::to_vec(event).map_or(0, |json| json.len());
        before == 0 || bytes <= PAGE_BYTES
    });
    let fits = fits.count();
    if fits == read.events.len() {
        return false;
    }
    read.events.truncate(fits);
    read.reached = read.events.last().map(StoredEvent::order);
    true
}

fn looks(events: usize) -> u16 {
    u16::try_from(events.min(LIMIT_MAX + 1)).unwrap_or(u16::MAX)
}
