//! Reads what a page needs, and no more than it may.
//!
//! A timeline is read query by query, a day by its shards side by side, merged in order. A filter that lets little
//! through, or many days without anything, makes pages of few entries or none, which say that there is more.

use std::collections::VecDeque;

use jiff::civil::Date;
use shared::event::Subject;
use shared::table::{Fault, Filter, Partition, StoredEvent, Stretch, Table, order_of_day};
use tokio::task::JoinSet;

use crate::parameters::LIMIT_MAX;

/// The most queries that one page of a timeline makes.
const TIMELINE_QUERIES: usize = 8;

/// The most queries that one page of all events makes: 32 days without anything.
const DAY_QUERIES: usize = 256;

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
    let partition = Partition::Timeline(owner);
    let mut read = Stretch { events: Vec::new(), reached: Some(after.to_owned()) };
    for _ in 0..TIMELINE_QUERIES {
        let Some(at) = read.reached.take() else { break };
        // One more than wanted tells whether there is more.
        let looks = if filter.is_open() { looks(limit + 1 - read.events.len()) } else { LOOKS_FILTERED };
        let stretch = table.stretch(&partition, &at, None, filter, looks).await?;
        read.events.extend(stretch.events);
        read.reached = stretch.reached;
        if cut(&mut read, limit) {
            break;
        }
    }
    Ok(read)
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
        let stretch = day(table, today, (&at, end), filter, limit, &mut queries).await?;
        read.events.extend(stretch.events);
        // To the day's end, where that was reached.
        let is_part = stretch.reached.is_some();
        read.reached = Some(stretch.reached.unwrap_or_else(|| end.to_owned()));
        let is_full = read.events.len() >= limit && end < until;
        if cut(&mut read, limit) || is_part || is_full || queries < DAY_QUERIES / 32 {
            return Ok(read);
        }
    }
    read.reached = None;
    Ok(read)
}

/// One shard of a day, as far as it has been read.
struct Shard {
    partition: Partition,
    ahead: VecDeque<StoredEvent>,
    /// `None` when it has been read to its end.
    reached: Option<String>,
}

/// Reads on in one day: its shards side by side, merged in order. Takes the queries that it makes from those that
/// are `left`.
async fn day(
    table: &Table,
    day: Date,
    (after, until): (&str, &str),
    filter: &Filter,
    limit: usize,
    left: &mut usize,
) -> Result<Stretch, Fault> {
    let of_day = Partition::of_day(day);
    let mut shards: Vec<Shard> = of_day
        .map(|partition| Shard { partition, ahead: VecDeque::new(), reached: Some(after.to_owned()) })
        .collect();
    // Twice what falls to each.
    let looks = if filter.is_open() { looks(limit.div_ceil(shards.len()) * 2 + 1) } else { LOOKS_FILTERED };
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
    (until, filter, looks): (&str, &Filter, u16),
    left: &mut usize,
) -> Result<(), Fault> {
    let mut reading = JoinSet::new();
    for (at, shard) in shards.iter().enumerate().filter(|(_, shard)| shard.ahead.is_empty()) {
        let Some(after) = shard.reached.clone() else { continue };
        let (table, partition) = (table.clone(), shard.partition.clone());
        let (until, filter) = (until.to_owned(), filter.clone());
        *left = left.saturating_sub(1);
        reading.spawn(
            async move { (at, table.stretch(&partition, &after, Some(&until), &filter, looks).await) },
        );
    }
    while let Some(done) = reading.join_next().await {
        let (at, stretch) =
            done.map_err(|_| Fault::Retry("reading a day: a part of it panicked".to_owned()))?;
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
