//! Reading in pages: a bounded piece of a list a call, and where it ends.
//!
//! A list of events lies in partitions of an index, each ordered by [`StoredEvent::order`]: a timeline in one, a day in
//! [`DAY_SHARDS`](super::DAY_SHARDS). What browsers said lies in partitions of its own beside these, so that no browser
//! uses up what webhooks need; readers merge them. Indexes follow the table within moments, not at once.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Select};
use jiff::Timestamp;
use jiff::civil::Date;

use super::event::StoredEvent;
use super::fault::Fault;
use super::quarantine::{Quarantined, quarantines};
use super::read::{MAX_ITEMS, insert, key_of};
use super::{BROWSER_DAY_SHARDS, DAY_SHARDS, Item, Table, fixed, text};
use crate::event::Subject;
use crate::id::{EventId, UserId};
use crate::job::Source;
use crate::state::{Entity, State, WIDGET};

/// What follows every time: an `order` that begins with a letter is no event.
const AFTER_ALL_TIMES: &str = "A";

/// What no time precedes: each begins with the digits of its year.
const BEFORE_ALL_TIMES: &str = "0";

/// The attributes of an event that are no body. Indexes have all but the ids of other bodies.
const OF_EVENT: [&str; 18] = [
    "id",
    "type",
    "source",
    "version",
    "created_at",
    "received_at",
    "stored_at",
    "hash",
    "bytes",
    "deliveries",
    "subjects",
    "facts",
    "entity",
    "register",
    "unfolded",
    "body_dropped",
    "other_body_of",
    "other_bodies",
];

/// The attributes of what is quarantined that are no body.
const OF_QUARANTINED: [&str; 11] = [
    "sk",
    "reason",
    "detail",
    "id",
    "type",
    "source",
    "delivery",
    "received_at",
    "stored_at",
    "hash",
    "bytes",
];

/// The most users that are told to have an account, archive or invite of one id. Smile's ids are unique; two is
/// unheard of.
pub const MAX_OWNERS: usize = 50;

/// The most queries that one page of the quarantine makes of each partition: one reads 1 MB, bodies among it.
const QUARANTINE_QUERIES: usize = 8;

/// One partition of a list of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// The timeline of one user, record or verification, or of what has none of these.
    Timeline(Subject),
    /// What one user's browser said.
    BrowserTimeline(UserId),
    /// A shard of a day (UTC) by [`StoredEvent::stored_at`], from 0 to [`DAY_SHARDS`] less one.
    Day(Date, u32),
    /// A shard of what browsers said on a day (UTC), from 0 to [`BROWSER_DAY_SHARDS`] less one.
    BrowserDay(Date, u32),
}

impl Partition {
    /// All partitions of one timeline in which there can be something from this source, or from any.
    pub fn of_timeline(owner: Subject, source: Option<Source>) -> Vec<Self> {
        let browsers = match &owner {
            Subject::User(user) if may_be_callback(source) => Some(Self::BrowserTimeline(user.clone())),
            _ => None,
        };
        [Self::Timeline(owner)].into_iter().chain(browsers).collect()
    }

    /// All partitions of one day in which there can be something from this source, or from any.
    pub fn of_day(day: Date, source: Option<Source>) -> impl Iterator<Item = Self> {
        let browsers = if may_be_callback(source) { BROWSER_DAY_SHARDS } else { 0 };
        let vendors = (0..DAY_SHARDS).map(move |shard| Self::Day(day, shard));
        vendors.chain((0..browsers).map(move |shard| Self::BrowserDay(day, shard)))
    }

    /// The day of a shard.
    pub fn day(&self) -> Option<Date> {
        match self {
            Self::Day(day, _) | Self::BrowserDay(day, _) => Some(*day),
            Self::Timeline(_) | Self::BrowserTimeline(_) => None,
        }
    }

    /// The index, the name of its key, and the key.
    pub(super) fn keys(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::Timeline(owner) => ("by-owner", "owner", owner.to_string()),
            Self::BrowserTimeline(user) => ("by-owner", "owner", format!("{WIDGET}#{user}")),
            Self::Day(day, shard) => ("by-day", "day", format!("DAY#{day}#{shard}")),
            Self::BrowserDay(day, shard) => ("by-day", "day", format!("{WIDGET}_DAY#{day}#{shard}")),
        }
    }
}

/// Whether partitions of browsers are to be read. Those of webhooks are always: what browsers said lay there before it
/// had partitions of its own.
fn may_be_callback(source: Option<Source>) -> bool {
    source.is_none_or(|source| source == Source::Callback)
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this type only.
    pub kind: Option<String>,
    /// From this source only.
    pub source: Option<Source>,
}

impl Filter {
    /// Whether it lets everything through.
    pub fn is_open(&self) -> bool {
        self.kind.is_none() && self.source.is_none()
    }
}

/// A piece of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// What is wanted of it, in its order.
    pub events: Vec<StoredEvent>,
    /// Up to which order it was read, that included; `None` up to its end.
    pub reached: Option<String>,
}

impl StoredEvent {
    /// The place in every list: `stored_at#id`. Compared as text.
    pub fn order(&self) -> String {
        format!("{}#{}", order_of(self.stored_at), self.id)
    }
}

/// The order that precedes that of every event which was stored at this time or later.
pub fn order_of(at: Timestamp) -> String {
    fixed(at)
}

/// The order that precedes that of every event which was stored on this day (UTC) or later.
pub fn order_of_day(day: Date) -> String {
    format!("{day}T00:00:00.000000Z")
}

impl Table {
    /// Reads on in a partition: behind `after`, and before `until` if that is there. Looks at `looks` events at
    /// most, in one query.
    pub async fn stretch(
        &self,
        partition: &Partition,
        after: &str,
        until: Option<&str>,
        filter: &Filter,
        looks: u16,
    ) -> Result<Stretch, Fault> {
        // The next text there is: DynamoDB has no range that leaves out where it begins.
        let (from, until) = (format!("{after}\0"), until.unwrap_or(AFTER_ALL_TIMES));
        if from.as_str() > until {
            return Ok(Stretch { events: Vec::new(), reached: None });
        }
        let query = self.partition(partition, (&from, until), filter).limit(i32::from(looks.max(1)));
        let answer = query.send().await.map_err(|error| Fault::of("reading a list", &error))?;
        let reached = last_of(answer.last_evaluated_key, "order")?;
        let events = answer.items.unwrap_or_default().into_iter().map(event).collect::<Result<_, _>>()?;
        Ok(Stretch { events, reached })
    }

    /// Reads back in a partition from its end, or from before the order `before`: what is wanted, newest first. Looks at
    /// `looks` events at most, in one query.
    pub async fn stretch_back(
        &self,
        partition: &Partition,
        before: Option<&str>,
        filter: &Filter,
        looks: u16,
    ) -> Result<Stretch, Fault> {
        let until = before.unwrap_or(AFTER_ALL_TIMES);
        let query = self.partition(partition, (BEFORE_ALL_TIMES, until), filter);
        // DynamoDB has no range that leaves out where it ends: one more, which is not given again.
        let query = query.scan_index_forward(false).limit(i32::from(looks.max(1)) + 1);
        let answer = query.send().await.map_err(|error| Fault::of("reading a list back", &error))?;
        let reached = last_of(answer.last_evaluated_key, "order")?;
        let read: Vec<StoredEvent> =
            answer.items.unwrap_or_default().into_iter().map(event).collect::<Result<_, _>>()?;
        let events = read.into_iter().filter(|event| event.order().as_str() < until).collect();
        Ok(Stretch { events, reached })
    }

    /// The newest event in a partition that is wanted, among its `looks` newest, in one query.
    pub async fn newest(
        &self,
        partition: &Partition,
        filter: &Filter,
        looks: u16,
    ) -> Result<Option<StoredEvent>, Fault> {
        let query = self.partition(partition, (BEFORE_ALL_TIMES, AFTER_ALL_TIMES), filter);
        let query = query.scan_index_forward(false).limit(i32::from(looks.max(1)));
        let answer = query.send().await.map_err(|error| Fault::of("reading the newest event", &error))?;
        answer.items.unwrap_or_default().into_iter().next().map(event).transpose()
    }

    /// How many events a partition has, from the order `from` on and before `until`, and whether there are more
    /// than were counted: one query counts what lies in 1 MB.
    pub async fn count(&self, partition: &Partition, from: &str, until: &str) -> Result<(u64, bool), Fault> {
        let query = self.partition(partition, (from, until), &Filter::default()).select(Select::Count);
        let answer = query.send().await.map_err(|error| Fault::of("counting events", &error))?;
        let is_part = answer.last_evaluated_key.is_some_and(|key| !key.is_empty());
        Ok((u64::try_from(answer.count).unwrap_or_default(), is_part))
    }

    /// A query of what is wanted in a partition, between two orders.
    fn partition(
        &self,
        partition: &Partition,
        (from, until): (&str, &str),
        filter: &Filter,
    ) -> QueryFluentBuilder {
        let (index, key, value) = partition.keys();
        let mut query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(index)
            .key_condition_expression("#key = :key AND #order BETWEEN :from AND :until")
            .expression_attribute_names("#key", key)
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":key", text(value))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":until", text(until));
        let mut wanted = Vec::new();
        if let Some(kind) = &filter.kind {
            wanted.push("#type = :type");
            query = query
                .expression_attribute_names("#type", "type")
                .expression_attribute_values(":type", text(kind));
        }
        if let Some(source) = filter.source {
            wanted.push("#source = :source");
            query = query
                .expression_attribute_names("#source", "source")
                .expression_attribute_values(":source", text(source.as_str()));
        }
        if wanted.is_empty() { query } else { query.filter_expression(wanted.join(" AND ")) }
    }

    /// One event, without its body.
    pub async fn event_alone(&self, id: &EventId) -> Result<Option<StoredEvent>, Fault> {
        let (projection, names) = projection(&OF_EVENT);
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", text(format!("EVENT#{id}")))
            .key("sk", text("EVENT"))
            .consistent_read(true)
            .projection_expression(projection)
            .set_expression_attribute_names(Some(names))
            .send()
            .await
            .map_err(|error| Fault::of("reading an event", &error))?;
        answer.item.map(event).transpose()
    }

    /// The state of an account, archive or invite by its own id, and what browsers claim of it, for each user
    /// that has one of this id, up to [`MAX_OWNERS`].
    pub async fn state_with_claims(&self, subject: &Subject) -> Result<State, Fault> {
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("by-owner")
            .key_condition_expression("#owner = :owner AND #order = :state")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":owner", text(subject.to_string()))
            .expression_attribute_values(":state", text("STATE"))
            .limit(i32::try_from(MAX_OWNERS).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Fault::of("looking for an id", &error))?;
        let mut keys = Vec::new();
        for (pk, sk) in answer.items().iter().filter_map(key_of) {
            if let Some(Entity::Account(user, account)) = Entity::from_keys(&pk, &sk) {
                let claim = Entity::Claim(user, account);
                keys.push(claim.keys());
                keys.extend(claim.old_keys());
            }
            keys.push((pk, sk));
        }
        let mut state = State::default();
        for batch in keys.chunks(MAX_ITEMS) {
            for item in self.items("reading state", batch, KeysAndAttributes::builder()).await? {
                insert(&mut state, &item)?;
            }
        }
        Ok(state)
    }

    /// What was received on one day (UTC) and lies in quarantine, webhooks and callbacks, behind the key `after`, at most
    /// `limit`, in the order of receipt; and the key up to which that was read, `None` up to the day's end.
    pub async fn quarantine_page(
        &self,
        day: Date,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Quarantined>, Option<String>), Fault> {
        let (mut found, mut after) = (Vec::new(), after.map(str::to_owned));
        for _ in 0..QUARANTINE_QUERIES {
            let left = limit + 1 - found.len();
            let (mut items, mut reached) = (Vec::new(), None::<String>);
            for pk in quarantines(&day.to_string()) {
                let (of_one, end) = self.quarantine_query(pk, after.as_deref(), left).await?;
                items.extend(of_one);
                reached = reached.into_iter().chain(end).min();
            }
            let read = |item| {
                serde_dynamo::from_item(item)
                    .map_err(|error| Fault::Retry(format!("a quarantined item cannot be read: {error}")))
            };
            let mut read = items.into_iter().map(read).collect::<Result<Vec<Quarantined>, _>>()?;
            // Up to where both were read: behind it something can come in between.
            read.retain(|item| reached.as_ref().is_none_or(|reached| item.key <= *reached));
            read.sort_by(|one, other| one.key.cmp(&other.key));
            found.extend(read);
            if found.len() > limit {
                found.truncate(limit);
                let last = found.last().map(|last| last.key.clone());
                return Ok((found, last));
            }
            if reached.is_none() {
                return Ok((found, None));
            }
            after = reached;
        }
        Ok((found, after))
    }

    async fn quarantine_query(
        &self,
        pk: String,
        after: Option<&str>,
        looks: usize,
    ) -> Result<(Vec<Item>, Option<String>), Fault> {
        let (projection, names) = projection(&OF_QUARANTINED);
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("#pk = :pk AND #sk > :after")
            // A chunk of a body has none.
            .filter_expression("attribute_exists(#reason)")
            .projection_expression(projection)
            .set_expression_attribute_names(Some(names))
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_names("#sk", "sk")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":after", text(after.unwrap_or("0")))
            // Chunks are looked at, too.
            .limit(i32::try_from(looks).unwrap_or(i32::MAX).max(8))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::of("reading the quarantine", &error))?;
        Ok((answer.items.unwrap_or_default(), last_of(answer.last_evaluated_key, "sk")?))
    }
}

/// The part of the key where a query ended.
fn last_of(key: Option<Item>, part: &str) -> Result<Option<String>, Fault> {
    let Some(mut key) = key else { return Ok(None) };
    match key.remove(part) {
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        _ => Err(Fault::Retry("reading a list: the table did not say where it stopped".to_owned())),
    }
}

fn event(item: Item) -> Result<StoredEvent, Fault> {
    serde_dynamo::from_item(item).map_err(|error| Fault::Retry(format!("an event cannot be read: {error}")))
}

/// A projection of these attributes, some of whose names are words of DynamoDB's.
fn projection(attributes: &[&str]) -> (String, std::collections::HashMap<String, String>) {
    let names: BTreeMap<String, String> =
        attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect();
    let expression = names.keys().cloned().collect::<Vec<_>>().join(", ");
    (expression, names.into_iter().collect())
}
