//! Events: the order of writes, repeats, other bodies under an id, and what a stored one looks like.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::body::Packed;
use super::fault::{Fault, Poison};
use super::page::Partition;
use super::revoked::{Carried, is_revoked};
use super::{BROWSER_DAY_SHARDS, DAY_SHARDS, Item, Table, fixed, number, text};
use crate::event::{Envelope, Facts, Subject};
use crate::id::{EventId, MAX_ID_BYTES};
use crate::job::{Job, Source};
use crate::state::{BodyHash, Entity, REVOCATION, UNFOLDED_SINCE, Unfolded, Write, about, is_revocation};

/// The most sightings of one event that are told apart; Smile makes three tries.
const MAX_DELIVERIES: usize = 20;

/// How many digits of a body's hash tell it apart from the first one under its id.
const OTHER_BODY_DIGITS: usize = 8;

/// The most things that one event may be about. Smile's largest events are about some dozens.
const MAX_SUBJECTS: usize = 500;

/// An event, with all that is known of it.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The envelope.
    pub envelope: &'a Envelope<'a>,
    /// What was read of its data.
    pub facts: &'a Facts,
    /// The body as it was received.
    pub body: &'a [u8],
    /// The body's hash.
    pub hash: &'a BodyHash,
    /// How it came.
    pub job: &'a Job,
    /// The registers that it writes, or why it writes none. A webhook writes exactly one.
    pub writes: Result<&'a [Write], Unfolded>,
    /// Now.
    pub stored_at: Timestamp,
    /// When event and body may go.
    pub expires: Timestamp,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is there now.
    New {
        /// Whether its body is, too: not when something that it carries was revoked.
        body_kept: bool,
    },
    /// It was there.
    Repeat {
        /// How many tries of the vendor's have been seen, this one included.
        deliveries: usize,
        /// Whether this one had not been seen: false when it was our own queue that repeated.
        new_delivery: bool,
    },
    /// Another body was there under this id. This one is stored, too, under an id of its own.
    OtherBody {
        /// Whether its body is.
        body_kept: bool,
    },
    /// What a browser said is there under this id with another body. Nothing of this one was stored but its registers.
    Conflict,
}

/// An event as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event))]
pub struct StoredEvent {
    /// The vendor's id.
    pub id: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The schema's version, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it happened, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// `webhook`, `reconcile` or `callback`.
    pub source: String,
    /// When we received it first.
    pub received_at: Timestamp,
    /// When we stored it: the order in which events are read. Taken when its message is begun, which can
    /// be up to 25 seconds before it can be seen: whoever reads on from a time overlaps by that.
    pub stored_at: Timestamp,
    /// SHA-256 of the body, in hex.
    pub hash: String,
    /// The body's length.
    pub bytes: u64,
    /// The gateway's request ids under which it came.
    #[serde(default)]
    pub deliveries: BTreeSet<String>,
    /// Everything that it carries something of.
    #[serde(default)]
    pub subjects: BTreeSet<String>,
    /// What was read of its data.
    #[serde(default)]
    pub facts: Facts,
    /// The state item that it wrote to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// The id under which Smile sent it, where another body had come under that id before. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_body_of: Option<String>,
    /// The ids of further bodies that came under this id. Not in lists.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub other_bodies: BTreeSet<String>,
    /// The register that it wrote; of two, the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<String>,
    /// Why it wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfolded: Option<String>,
    /// Why no body was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_dropped: Option<String>,
}

impl StoredEvent {
    /// Whether a body with this hash, in hex, came under this id: as the first or as another one.
    pub fn came_with(&self, hash: &str) -> bool {
        let other = hash.get(..OTHER_BODY_DIGITS).map(|digits| format!("~{digits}"));
        self.hash == hash
            || other.is_some_and(|other| self.other_bodies.iter().any(|id| id.ends_with(&other)))
    }
}

impl Table {
    /// Stores an event: its registers, then itself. Safe to repeat at any point.
    pub async fn record(&self, record: Record<'_>) -> Result<Stored, Fault> {
        let stored = self.try_record(&record).await;
        if matches!(stored, Err(Fault::Poison(_))) {
            // This try or an earlier one can have written them.
            let chunks = Packed::new(record.body).chunks().count();
            self.delete_chunks(chunks, &Place::of_first(&record).pk(), |at| chunk_sk(&record, at)).await?;
        }
        stored
    }

    async fn try_record(&self, record: &Record<'_>) -> Result<Stored, Fault> {
        if record.facts.subjects.len() > MAX_SUBJECTS {
            return Err(Fault::Poison(Poison::ItemTooLarge));
        }
        let carried = record.carried();
        let is_marked = self.write_state(record).await?;
        // What was written has answered for itself. With only that, one look at the end is enough.
        let is_answered = carried.is_within(record.writes.unwrap_or_default());
        let revoked = is_marked || (!is_answered && self.any_revoked(&carried, record.stored_at).await?);
        match self.put_at(record, &Place::of_first(record), &carried, revoked).await? {
            Stored::Conflict if record.job.source != Source::Callback => {
                let other = Place::of_other_body(record)?;
                self.name_other_body(record, &other).await?;
                match self.put_at(record, &other, &carried, revoked).await? {
                    Stored::New { body_kept } => Ok(Stored::OtherBody { body_kept }),
                    // Two bodies of which the hashes begin with the same eight digits.
                    Stored::Conflict => Err(Fault::Poison(Poison::ItemTooLarge)),
                    repeat => Ok(repeat),
                }
            }
            stored => Ok(stored),
        }
    }

    /// Stores the event and its body under one id.
    async fn put_at(
        &self,
        record: &Record<'_>,
        place: &Place,
        carried: &Carried,
        revoked: bool,
    ) -> Result<Stored, Fault> {
        let packed = Packed::new(record.body);
        let (pk, chunk_sk) = (place.pk(), |at| chunk_sk(record, at));
        if revoked {
            // An earlier try can have written them, and ended before it could remove them.
            self.delete_chunks(packed.chunks().count(), &pk, chunk_sk).await?;
        } else {
            self.put_chunks(&packed, &pk, chunk_sk, record.expires).await?;
        }
        let put = self.put_event(record, place, (!revoked).then_some(&packed)).await;
        // After a fault it may be there: the next try finds out.
        let (stored, has_body) = put?;
        // A revocation can have come since the state was asked.
        let strip = has_body && (revoked || self.any_revoked(carried, record.stored_at).await?);
        if strip {
            self.strip(place).await?;
        }
        if !revoked && (strip || !has_body) {
            self.delete_chunks(packed.chunks().count(), &pk, chunk_sk).await?;
        }
        Ok(match stored {
            Stored::New { .. } => Stored::New { body_kept: has_body && !strip },
            stored => stored,
        })
    }

    /// An update of the event's own item, which must be there.
    fn update_event(&self, place: &Place) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(place.pk()))
            .key("sk", text("EVENT"))
            .condition_expression("attribute_exists(pk)")
    }

    /// Takes the body out of an event that is there: what it carries has been revoked since.
    async fn strip(&self, place: &Place) -> Result<(), Fault> {
        self.update_event(place)
            .update_expression("SET body_dropped = :revoked REMOVE body, body_chunks, body_encoding")
            .expression_attribute_values(":revoked", text("revoked"))
            .send()
            .await
            .map_err(|error| Fault::of("removing a body", &error))?;
        Ok(())
    }

    /// Names another body at the event whose id it came under.
    async fn name_other_body(&self, record: &Record<'_>, other: &Place) -> Result<(), Fault> {
        self.update_event(&Place::of_first(record))
            .update_expression("ADD #others :other")
            .expression_attribute_names("#others", "other_bodies")
            .expression_attribute_values(":other", AttributeValue::Ss(vec![other.id.to_string()]))
            .send()
            .await
            .map_err(|error| Fault::of("naming another body", &error))?;
        Ok(())
    }

    /// Writes what the event says, or that it could not be folded. Says whether an item that it writes to is revoked.
    pub(super) async fn write_state(&self, record: &Record<'_>) -> Result<bool, Fault> {
        let kind = &record.envelope.kind;
        let writes = match record.writes {
            Ok(writes) => writes,
            Err(_) if record.job.source == Source::Callback => return Ok(false),
            Err(_) if is_revocation(kind) => {
                self.revoke(kind, record.facts, record.body, record.stored_at).await?;
                return Ok(true);
            }
            Err(_) => return self.mark_unfolded(record).await,
        };
        if is_revocation(kind) {
            self.put_tombstones(kind, record.facts, record.stored_at).await?;
        }
        let mut revoked = false;
        for write in writes {
            revoked |= self.offer(record, write).await?;
        }
        if is_revocation(kind) && !record.facts.unread.is_empty() {
            // It may mean more than its registers say.
            self.revoke(kind, record.facts, record.body, record.stored_at).await?;
        }
        Ok(revoked)
    }

    /// Marks the item that the event is about: it is known, and something about it could not be folded. Says whether
    /// it is revoked.
    async fn mark_unfolded(&self, record: &Record<'_>) -> Result<bool, Fault> {
        let Some(entity) = about(&record.envelope.kind, record.facts) else { return Ok(false) };
        let (pk, sk) = entity.keys();
        let mut set = "SET #since = if_not_exists(#since, :now)".to_owned();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .expression_attribute_names("#since", UNFOLDED_SINCE)
            .expression_attribute_values(":now", text(fixed(record.stored_at)))
            .return_values(ReturnValue::AllNew);
        if let Some(owner) = entity.own_index_key() {
            update = found_by(&owner, update, &mut set);
        }
        let answer = update.update_expression(set).send().await;
        let answer = answer.map_err(|error| Fault::of("marking state", &error))?;
        Ok(answer.attributes.as_ref().is_some_and(is_revoked))
    }

    /// Offers one register to its item. Says whether that item is revoked.
    async fn offer(&self, record: &Record<'_>, write: &Write) -> Result<bool, Fault> {
        let (pk, sk) = write.entity.keys();
        let value = serde_dynamo::to_attribute_value(&write.value)
            .map_err(|error| Fault::Retry(format!("a register cannot be written: {error}")))?;
        let mut set = "SET #register = :register".to_owned();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .condition_expression(if write.entity.keeps_first() {
                "attribute_not_exists(#register) OR #register.v > :version"
            } else {
                "attribute_not_exists(#register) OR #register.v < :version"
            })
            .expression_attribute_names("#register", &write.register)
            .expression_attribute_values(":register", value)
            .expression_attribute_values(":version", text(write.value.v.as_str()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // Found by its own id, too, where its key begins with the user's.
        if let Some(owner) = write.entity.own_index_key() {
            update = found_by(&owner, update, &mut set);
        }
        // What a browser said ends with the events that it is made of. The vendor's state stays.
        if write.entity.is_from_browser() {
            set.push_str(", #expires = :expires");
            update = update
                .expression_attribute_names("#expires", "expires")
                .expression_attribute_values(":expires", number(record.expires.as_second()));
        }
        if write.register == REVOCATION {
            set.push_str(", #erase = :erase, #due = :due");
            update = update
                .expression_attribute_names("#erase", "erase")
                .expression_attribute_names("#due", "erase_due")
                .expression_attribute_values(":erase", text("DUE"))
                .expression_attribute_values(":due", text(fixed(record.stored_at)));
        }
        match update.update_expression(set).send().await {
            Ok(answer) => Ok(answer.attributes.as_ref().is_some_and(is_revoked)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(newer)) => {
                    Ok(newer.item().is_some_and(is_revoked))
                }
                _ => Err(Fault::of("writing state", &error)),
            },
        }
    }

    /// Puts the event where there is none of its id. Says whether the event that is there now has this body.
    async fn put_event(
        &self,
        record: &Record<'_>,
        place: &Place,
        body: Option<&Packed<'_>>,
    ) -> Result<(Stored, bool), Fault> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item(record, place, body)?))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else { return Ok((Stored::New { body_kept: body.is_some() }, body.is_some())) };
        let Some(PutItemError::ConditionalCheckFailedException(there)) = error.as_service_error() else {
            return Err(Fault::of("writing an event", &error));
        };
        let there = there.item().ok_or_else(|| {
            Fault::Retry("writing an event: the table did not give the one that is there".to_owned())
        })?;
        let hash = there.get("hash").and_then(|hash| hash.as_s().ok());
        if hash.map(String::as_str) != Some(record.hash.as_str()) {
            return Ok((Stored::Conflict, false));
        }
        // One whose body was taken out since must not get chunks again.
        let has_body = !there.contains_key("body_dropped");
        if let Some(body) = body.filter(|_| has_body) {
            // They have been written anew, and would outlive the event, where nobody could find them to erase them.
            let chunks = body.chunks().count();
            self.end_chunks_with(there, chunks, &place.pk(), |at| chunk_sk(record, at)).await?;
        }
        Ok((self.repeat(record, place, there).await?, has_body))
    }

    /// Adds this try of the vendor's to the tries that were seen. What an older release read of the same body and this
    /// one reads differently is replaced, so that a replay repairs it.
    async fn repeat(&self, record: &Record<'_>, place: &Place, there: &Item) -> Result<Stored, Fault> {
        let item = item(record, place, None)?;
        let seen = there.get("deliveries").and_then(|set| set.as_ss().ok()).map_or(&[][..], Vec::as_slice);
        let new_delivery = !seen.contains(&record.job.delivery) && seen.len() < MAX_DELIVERIES;
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        let mut update = self.update_event(place).return_values(ReturnValue::AllNew);
        for name in ["facts", "subjects", "owner", "entity", "register", "unfolded"] {
            if is_same(there.get(name), item.get(name)) {
                continue;
            }
            update = update.expression_attribute_names(format!("#{name}"), name);
            if let Some(value) = item.get(name) {
                set.push(format!("#{name} = :{name}"));
                update = update.expression_attribute_values(format!(":{name}"), value.clone());
            } else {
                remove.push(format!("#{name}"));
            }
        }
        let mut clauses = Vec::new();
        for (clause, parts) in [("SET", &set), ("REMOVE", &remove)] {
            if !parts.is_empty() {
                clauses.push(format!("{clause} {}", parts.join(", ")));
            }
        }
        if new_delivery {
            clauses.push("ADD #deliveries :delivery".to_owned());
            update =
                update.expression_attribute_names("#deliveries", "deliveries").expression_attribute_values(
                    ":delivery",
                    AttributeValue::Ss(vec![record.job.delivery.clone()]),
                );
        }
        if clauses.is_empty() {
            return Ok(Stored::Repeat { deliveries: seen.len(), new_delivery });
        }
        match update.update_expression(clauses.join(" ")).send().await {
            Ok(answer) => {
                let set = answer.attributes.as_ref().and_then(|item| item.get("deliveries")?.as_ss().ok());
                Ok(Stored::Repeat { deliveries: set.map_or(0, Vec::len), new_delivery })
            }
            Err(error) => Err(Fault::of("counting a delivery", &error)),
        }
    }
}

/// Lets a state item be found by its own id, too, where its key begins with the user's.
pub(super) fn found_by(
    owner: &str,
    update: UpdateItemFluentBuilder,
    set: &mut String,
) -> UpdateItemFluentBuilder {
    set.push_str(", #owner = :owner, #order = :order");
    update
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_names("#order", "order")
        .expression_attribute_values(":owner", text(owner))
        .expression_attribute_values(":order", text("STATE"))
}

/// Whether two attributes say the same; a set has no order.
fn is_same(one: Option<&AttributeValue>, other: Option<&AttributeValue>) -> bool {
    match (one, other) {
        (Some(AttributeValue::Ss(one)), Some(AttributeValue::Ss(other))) => {
            one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
        }
        (one, other) => one == other,
    }
}

impl Record<'_> {
    fn carried(&self) -> Carried {
        // What another version means by its members is not known, however familiar they look.
        let is_understood = self.job.source == Source::Callback || self.writes.is_ok();
        Carried::new(self.facts, self.body, is_understood)
    }
}

/// Where an event lies.
struct Place {
    /// Its id in the table.
    id: EventId,
    /// The id under which it was sent, where that is another one.
    other_body_of: Option<EventId>,
}

impl Place {
    fn pk(&self) -> String {
        format!("EVENT#{}", self.id)
    }

    /// Under the id with which it was sent.
    fn of_first(record: &Record<'_>) -> Self {
        Self { id: record.envelope.id.clone(), other_body_of: None }
    }

    /// Beside the event that has the id. A longer id than there is room for loses its end: the hash tells it apart.
    fn of_other_body(record: &Record<'_>) -> Result<Self, Fault> {
        let id = &record.envelope.id;
        let hash = &record.hash.short()[..OTHER_BODY_DIGITS];
        let end = id.as_str().floor_char_boundary(MAX_ID_BYTES - 1 - hash.len());
        let own = EventId::new(format!("{}~{hash}", &id.as_str()[..end]));
        let own = own.map_err(|error| Fault::Retry(format!("an id cannot be made: {error}")))?;
        Ok(Self { id: own, other_body_of: Some(id.clone()) })
    }
}

fn chunk_sk(record: &Record<'_>, at: usize) -> String {
    format!("BODY#{}#{at:02}", record.hash.short())
}

/// Whose timeline the event is on: what a browser said is on one of its own.
fn owner(record: &Record<'_>) -> Option<String> {
    let facts = record.facts;
    if record.job.source == Source::Callback {
        return facts.user.clone().map(|user| Partition::BrowserTimeline(user).keys().2);
    }
    let subjects = [
        facts.user.clone().map(Subject::User),
        facts.record.clone().map(Subject::Record),
        facts.verification.clone().map(Subject::Verification),
        facts.account.clone().map(Subject::Account),
        facts.archive.clone().map(Subject::Archive),
        facts.invite.clone().map(Subject::Invite),
    ];
    subjects.into_iter().flatten().next().map(|subject| subject.to_string())
}

/// The partition of the day. Its shard follows from the body's hash, so that it is the same on every try; a browser can
/// choose it, and therefore has shards of its own.
fn day_partition(record: &Record<'_>) -> String {
    let number = u32::from_str_radix(&record.hash.short()[..4], 16).unwrap_or_default();
    let day = TimeZone::UTC.to_datetime(record.stored_at).date();
    let partition = match record.job.source {
        Source::Callback => Partition::BrowserDay(day, number % BROWSER_DAY_SHARDS),
        Source::Webhook | Source::Reconcile => Partition::Day(day, number % DAY_SHARDS),
    };
    partition.keys().2
}

fn item(record: &Record<'_>, place: &Place, body: Option<&Packed<'_>>) -> Result<Item, Fault> {
    let Record { envelope, facts, hash, job, .. } = record;
    let unwritable =
        |error: serde_dynamo::Error| Fault::Retry(format!("an event cannot be written: {error}"));
    let stored_at = fixed(record.stored_at);
    let mut item = Item::from([
        ("pk".to_owned(), text(place.pk())),
        ("sk".to_owned(), text("EVENT")),
        ("id".to_owned(), text(place.id.as_str())),
        ("type".to_owned(), text(envelope.kind.as_str())),
        ("source".to_owned(), text(job.source.as_str())),
        ("received_at".to_owned(), text(fixed(job.received_at))),
        ("stored_at".to_owned(), text(&stored_at)),
        ("hash".to_owned(), text(hash.as_str())),
        ("bytes".to_owned(), number(record.body.len())),
        ("deliveries".to_owned(), AttributeValue::Ss(vec![job.delivery.clone()])),
        ("facts".to_owned(), serde_dynamo::to_attribute_value(facts).map_err(unwritable)?),
        ("order".to_owned(), text(format!("{stored_at}#{}", place.id))),
        ("day".to_owned(), text(day_partition(record))),
        ("expires".to_owned(), number(record.expires.as_second())),
    ]);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), text(value));
        }
    };
    add("version", envelope.version.map(|version| version.chars().take(64).collect()));
    add("created_at", envelope.created_at.as_deref().map(|at| at.chars().take(64).collect()));
    add("owner", owner(record));
    add("other_body_of", place.other_body_of.as_ref().map(ToString::to_string));
    let first = record.writes.ok().and_then(<[Write]>::first);
    add("entity", first.map(|write| write.entity.to_string()));
    add("register", first.map(|write| write.register.clone()));
    add("unfolded", record.writes.err().map(|reason| reason.word().to_owned()));
    add("body_dropped", body.is_none().then(|| "revoked".to_owned()));
    if !facts.subjects.is_empty() {
        let subjects = facts.subjects.iter().map(ToString::to_string).collect();
        item.insert("subjects".to_owned(), AttributeValue::Ss(subjects));
    }
    if let Some(body) = body {
        body.add_to(&mut item);
    }
    Ok(item)
}

impl Entity {
    /// The index key under which an item whose partition is the user's is found by its own id.
    fn own_index_key(&self) -> Option<String> {
        match self {
            Self::Account(_, id) => Some(format!("ACCOUNT#{id}")),
            Self::Archive(_, id) => Some(format!("ARCHIVE#{id}")),
            Self::Invite(_, id) => Some(format!("INVITE#{id}")),
            // What a browser claims of an account must not be found under the account's own id: it may be
            // somebody else's.
            Self::User(_)
            | Self::Record(_)
            | Self::Verification(_)
            | Self::Widget(_)
            | Self::Funnel(..)
            | Self::Claim(..) => None,
        }
    }
}
