//! What readers ask of the table. Nothing scans it.

use aws_sdk_dynamodb::types::builders::KeysAndAttributesBuilder;

use super::body::unpack;
use super::event::StoredEvent;
use super::fault::Fault;
use super::page::Partition;
use super::{Item, Table, text};
use crate::event::Subject;
use crate::id::{EventId, UserId};
use crate::state::{
    Entity, Fields, REVOKED_UNDATED, Register, Registers, State, UNFOLDED_SINCE, Version, WIDGET, Write,
};

/// The most items of what one user's browser said that are read.
pub(crate) const MAX_BROWSER_ITEMS: usize = 300;

/// The most keys that one `BatchGetItem` takes (Amazon DynamoDB API reference).
pub(super) const MAX_ITEMS: usize = 100;

impl Table {
    /// All state of one user, in two queries. Of what the user's browser said, at most 300 items: a browser can make as
    /// many as it likes.
    pub async fn user(&self, user: &UserId) -> Result<State, Fault> {
        let (mut state, mut from_browser) = (State::default(), 0);
        // The browser's own partition first: in the user's lies only what it said before it had one, after all that the
        // vendor's server said.
        for entity in [Entity::Widget(user.clone()), Entity::User(user.clone())] {
            self.insert_all(&mut state, &entity.keys().0, &mut from_browser).await?;
        }
        Ok(state)
    }

    /// Reads one partition of state, but of what browsers said no more than is left of 300 items.
    async fn insert_all(&self, state: &mut State, pk: &str, from_browser: &mut usize) -> Result<(), Fault> {
        let mut items = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk))
            .into_paginator()
            .items()
            .send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Fault::of("reading", &error))?;
            if is_from_browser(&item) {
                if *from_browser == MAX_BROWSER_ITEMS {
                    break;
                }
                *from_browser += 1;
            }
            insert(state, &item)?;
        }
        Ok(())
    }

    /// The state of one record, verification, or, by its own id, account, archive or invite. Of the
    /// latter three there can be several, when different users have one of the same id.
    pub async fn state_of(&self, subject: &Subject) -> Result<State, Fault> {
        let mut state = State::default();
        let items = match subject {
            Subject::User(user) => return self.user(user).await,
            Subject::Record(_) | Subject::Verification(_) => {
                self.query(None, "pk", &subject.to_string(), Some(("sk", "STATE"))).await?
            }
            _ => self.state_by_own_id(&subject.to_string()).await?,
        };
        for item in items {
            insert(&mut state, &item)?;
        }
        Ok(state)
    }

    /// Keys of the state items of one account, archive or invite, by its own id (such as `ACCOUNT#a-1`).
    pub(super) async fn keys_by_own_id(&self, subject: &str) -> Result<Vec<(String, String)>, Fault> {
        let items = self.query(Some("by-owner"), "owner", subject, Some(("order", "STATE"))).await?;
        Ok(items.iter().filter_map(key_of).collect())
    }

    async fn state_by_own_id(&self, subject: &str) -> Result<Vec<Item>, Fault> {
        let mut items = Vec::new();
        for (pk, sk) in self.keys_by_own_id(subject).await? {
            let answer = self
                .client
                .get_item()
                .table_name(&self.name)
                .key("pk", text(pk))
                .key("sk", text(sk))
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| Fault::of("reading state", &error))?;
            items.extend(answer.item);
        }
        Ok(items)
    }

    /// One event and its body, if that was kept.
    pub async fn event(&self, id: &EventId) -> Result<Option<(StoredEvent, Option<Vec<u8>>)>, Fault> {
        let items = self.query(None, "pk", &format!("EVENT#{id}"), None).await?;
        let sk = |item: &Item| item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
        let Some(item) = items.iter().find(|item| sk(item) == "EVENT") else { return Ok(None) };
        let event = stored_event(item.clone())?;
        // `get`: what stands in the table is not taken on trust.
        let prefix = format!("BODY#{}#", event.hash.get(..16).unwrap_or_default());
        let chunks: Vec<&Item> = items.iter().filter(|item| sk(item).starts_with(&prefix)).collect();
        Ok(Some((event, unpack(item, &chunks))))
    }

    /// The newest events on one timeline, at most `limit`, oldest first; `about` leaves those out that carry
    /// nothing of it.
    pub async fn events_of(
        &self,
        owner: &Subject,
        about: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, Fault> {
        let mut events = Vec::new();
        for partition in Partition::of_timeline(owner.clone(), None) {
            events.extend(self.newest_of(&partition, about, limit).await?);
        }
        events.sort_by_key(StoredEvent::order);
        let older = events.len().saturating_sub(limit);
        Ok(events.split_off(older))
    }

    /// The newest events in one partition of a timeline, at most `limit`, newest first.
    async fn newest_of(
        &self,
        partition: &Partition,
        about: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, Fault> {
        let (index, key, value) = partition.keys();
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(index)
            // Times begin with a digit; the one item that is no event has the key "STATE".
            .key_condition_expression("#key = :key AND #order < :letters")
            .expression_attribute_names("#key", key)
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":key", text(value))
            .expression_attribute_values(":letters", text("A"))
            .scan_index_forward(false);
        let query = match about {
            None => query.limit(i32::try_from(limit.clamp(1, 1000)).unwrap_or(1000)),
            Some(about) => query
                .filter_expression("contains(#subjects, :about)")
                .expression_attribute_names("#subjects", "subjects")
                .expression_attribute_values(":about", text(about.to_string())),
        };
        let mut events = query.into_paginator().items().send();
        let mut newest = Vec::new();
        while newest.len() < limit
            && let Some(item) = events.next().await
        {
            newest.push(stored_event(item.map_err(|error| Fault::of("reading a timeline", &error))?)?);
        }
        Ok(newest)
    }

    /// All events that were stored on a day, oldest first, as their index has them: a second late.
    pub async fn events_on(&self, day: jiff::civil::Date) -> Result<Vec<StoredEvent>, Fault> {
        let mut events = Vec::new();
        for partition in Partition::of_day(day, None) {
            let (index, key, value) = partition.keys();
            for item in self.query(Some(index), key, &value, None).await? {
                events.push(stored_event(item)?);
            }
        }
        events.sort_by_key(|event| event.stored_at);
        Ok(events)
    }

    /// Items by their keys, [`MAX_ITEMS`] at most, as they stand now; `what` may say which of their attributes.
    pub(super) async fn items(
        &self,
        doing: &str,
        keys: &[(String, String)],
        what: KeysAndAttributesBuilder,
    ) -> Result<Vec<Item>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.iter().map(|(pk, sk)| Item::from([("pk".into(), text(pk)), ("sk".into(), text(sk))]));
        let wanted = what
            .set_keys(Some(keys.collect()))
            .consistent_read(true)
            .build()
            .map_err(|error| Fault::Retry(error.to_string()))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.name, wanted)
            .send()
            .await
            .map_err(|error| Fault::of(doing, &error))?;
        if answer.unprocessed_keys().is_some_and(|left| !left.is_empty()) {
            return Err(Fault::Retry(format!("{doing}: the table left some unread")));
        }
        Ok(answer.responses.unwrap_or_default().into_values().flatten().collect())
    }

    /// All items under one key, whose second key begins with something: as many pages as it takes.
    pub(super) async fn query(
        &self,
        index: Option<&str>,
        key: &str,
        value: &str,
        begins: Option<(&str, &str)>,
    ) -> Result<Vec<Item>, Fault> {
        let mut query = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(index.map(str::to_owned))
            .consistent_read(index.is_none())
            .expression_attribute_names("#key", key)
            .expression_attribute_values(":key", text(value));
        query = match begins {
            None => query.key_condition_expression("#key = :key"),
            Some((name, prefix)) => query
                .key_condition_expression("#key = :key AND begins_with(#second, :second)")
                .expression_attribute_names("#second", name)
                .expression_attribute_values(":second", text(prefix)),
        };
        let mut pages = query.into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            items.extend(page.map_err(|error| Fault::of("reading", &error))?.items.unwrap_or_default());
        }
        Ok(items)
    }
}

pub(super) fn stored_event(item: Item) -> Result<StoredEvent, Fault> {
    serde_dynamo::from_item(item).map_err(|error| Fault::Retry(format!("an event cannot be read: {error}")))
}

/// An item's two keys.
pub(super) fn key_of(item: &Item) -> Option<(String, String)> {
    let key = |name: &str| item.get(name).and_then(|key| key.as_s().ok()).cloned();
    Some((key("pk")?, key("sk")?))
}

fn is_from_browser(item: &Item) -> bool {
    item.get("sk").and_then(|sk| sk.as_s().ok()).is_some_and(|sk| sk.starts_with(WIDGET))
}

pub(super) fn insert(state: &mut State, item: &Item) -> Result<(), Fault> {
    let key = |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
    let Some(entity) = Entity::from_keys(key("pk"), key("sk")) else { return Ok(()) };
    let mut registers: Registers = item
        .iter()
        // Keys and marks are texts; a register is a map.
        .filter(|(_, value)| value.is_m())
        .map(|(name, value)| Ok((name.clone(), serde_dynamo::from_attribute_value(value.clone())?)))
        .collect::<Result<_, serde_dynamo::Error>>()
        .map_err(|error| Fault::Retry(format!("the state of {entity} cannot be read: {error}")))?;
    for name in [REVOKED_UNDATED, UNFOLDED_SINCE] {
        if let Ok(at) = key(name).parse() {
            let mark = Register { v: Version::of_mark(at), fields: Fields::new() };
            registers.insert(name.to_owned(), mark);
        }
    }
    // Register by register: what a browser said can lie under two keys ([`Entity::old_keys`]).
    for (register, value) in registers {
        state.apply(Write { entity: entity.clone(), register, value });
    }
    Ok(())
}
