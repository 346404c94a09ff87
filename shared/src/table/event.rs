//! Events: the order of writes, repeats, and what a stored one looks like.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::Packed;
use super::fault::{Fault, Poison};
use super::read::MAX_ITEMS;
use super::{DAY_SHARDS, Item, Table, day, fixed, number, text};
use crate::event::{Envelope, EventType, Facts, Subject};
use crate::job::Job;
use crate::state::{BodyHash, Entity, REVOCATION, REVOKED_UNDATED, Unfolded, Write, is_revocation};

/// The most sightings of one event that are told apart; Smile makes three tries.
const MAX_DELIVERIES: usize = 20;

/// The most things that one event may be about. Smile's largest events are about some dozens; each one
/// more is one more look whether it was revoked.
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
    /// Another body is there under this id. Nothing of this event was stored but its register.
    Conflict {
        /// Whether something that it carries was revoked, so that its body must not be kept anywhere.
        revoked: bool,
    },
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

impl Table {
    /// Stores an event: its registers, then itself. Safe to repeat at any point.
    pub async fn record(&self, record: Record<'_>) -> Result<Stored, Fault> {
        if record.facts.subjects.len() > MAX_SUBJECTS {
            return Err(Fault::Poison(Poison::ItemTooLarge));
        }
        let packed = Packed::new(record.body);
        let (pk, chunk_sk) = (event_pk(&record), |at| chunk_sk(&record, at));
        self.put_chunks(&packed, &pk, chunk_sk, record.expires).await?;
        let revoked = self.write_state(&record).await? || self.any_revoked(&record).await?;
        let stored = self.put_event(&record, (!revoked).then_some(&packed)).await;
        let chunks_belong =
            !revoked && !matches!(stored, Ok(Stored::Conflict { .. }) | Err(Fault::Poison(_)));
        if revoked && matches!(stored, Ok(Stored::Repeat { .. })) {
            self.strip(&record).await?;
        }
        if !chunks_belong {
            self.delete_chunks(packed.chunks().count(), &pk, chunk_sk).await?;
        }
        stored
    }

    /// Takes the body out of an event that is there: what it carries has been revoked since.
    async fn strip(&self, record: &Record<'_>) -> Result<(), Fault> {
        self.client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(event_pk(record)))
            .key("sk", text("EVENT"))
            .condition_expression("attribute_exists(pk)")
            .update_expression("SET body_dropped = :revoked REMOVE body, body_chunks, body_encoding")
            .expression_attribute_values(":revoked", text("revoked"))
            .send()
            .await
            .map_err(|error| Fault::of("removing a body", &error))?;
        Ok(())
    }

    /// Revokes what the event is about, where no register can say so. Says whether anything was.
    async fn revoke_undated(&self, record: &Record<'_>) -> Result<bool, Fault> {
        let facts = record.facts;
        let subject = match &record.envelope.kind {
            EventType::AccountDisconnected => facts.account.clone().map(Subject::Account),
            _ => facts.archive.clone().map(Subject::Archive),
        };
        let Some(subject) = subject.map(|subject| subject.to_string()) else { return Ok(false) };
        let items = match &facts.user {
            Some(user) => vec![(Subject::User(user.clone()).to_string(), subject.clone())],
            None => self.keys_by_own_id(&subject).await?,
        };
        for (pk, sk) in items {
            self.client
                .update_item()
                .table_name(&self.name)
                .key("pk", text(pk))
                .key("sk", text(sk))
                .update_expression(
                    "SET #at = if_not_exists(#at, :at), #owner = :owner, #order = :order, #erase = :erase, #due = :at",
                )
                .expression_attribute_names("#at", REVOKED_UNDATED)
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_names("#order", "order")
                .expression_attribute_names("#erase", "erase")
                .expression_attribute_names("#due", "erase_due")
                .expression_attribute_values(":at", text(fixed(record.stored_at)))
                .expression_attribute_values(":owner", text(&subject))
                .expression_attribute_values(":order", text("STATE"))
                .expression_attribute_values(":erase", text("DUE"))
                .send()
                .await
                .map_err(|error| Fault::of("revoking", &error))?;
        }
        Ok(true)
    }

    /// Offers each register to its item. Says whether one of these is revoked.
    pub(super) async fn write_state(&self, record: &Record<'_>) -> Result<bool, Fault> {
        let writes = match record.writes {
            Ok(writes) => writes,
            Err(_) if is_revocation(&record.envelope.kind) => return self.revoke_undated(record).await,
            Err(_) => return Ok(false),
        };
        let mut revoked = false;
        for write in writes {
            revoked |= self.offer(record, write).await?;
        }
        Ok(revoked)
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
            set.push_str(", #owner = :owner, #order = :order");
            update = update
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_names("#order", "order")
                .expression_attribute_values(":owner", text(owner))
                .expression_attribute_values(":order", text("STATE"));
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

    /// Whether any other account or archive that the event carries something of is revoked.
    async fn any_revoked(&self, record: &Record<'_>) -> Result<bool, Fault> {
        let written: Vec<_> =
            record.writes.iter().flat_map(|writes| *writes).map(|write| write.entity.keys()).collect();
        let (mut users, mut owned) = (Vec::new(), Vec::new());
        for subject in &record.facts.subjects {
            match subject {
                Subject::User(_) => users.push(subject.to_string()),
                Subject::Account(_) | Subject::Archive(_) => owned.push(subject.to_string()),
                _ => {}
            }
        }
        let mut keys = Vec::new();
        for subject in owned {
            match users.as_slice() {
                [user] => keys.push((user.clone(), subject)),
                // Whose it is does not follow from the event.
                _ => keys.extend(self.keys_by_own_id(&subject).await?),
            }
        }
        keys.retain(|key| !written.contains(key));
        for batch in keys.chunks(MAX_ITEMS) {
            if self.revoked_in(batch).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn revoked_in(&self, keys: &[(String, String)]) -> Result<bool, Fault> {
        let marks = KeysAndAttributes::builder()
            .projection_expression("pk, #revocation, #undated")
            .expression_attribute_names("#revocation", REVOCATION)
            .expression_attribute_names("#undated", REVOKED_UNDATED);
        Ok(self.items("reading revocations", keys, marks).await?.iter().any(is_revoked))
    }

    async fn put_event(&self, record: &Record<'_>, body: Option<&Packed<'_>>) -> Result<Stored, Fault> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item(record, body)?))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else { return Ok(Stored::New { body_kept: body.is_some() }) };
        let Some(PutItemError::ConditionalCheckFailedException(there)) = error.as_service_error() else {
            return Err(Fault::of("writing an event", &error));
        };
        let there = there.item().ok_or_else(|| {
            Fault::Retry("writing an event: the table did not give the one that is there".to_owned())
        })?;
        let hash = there.get("hash").and_then(|hash| hash.as_s().ok());
        if hash.map(String::as_str) != Some(record.hash.as_str()) {
            return Ok(Stored::Conflict { revoked: body.is_none() });
        }
        if let Some(body) = body {
            // They have been written anew, and would outlive the event, where nobody could find them to erase them.
            let chunks = body.chunks().count();
            self.end_chunks_with(there, chunks, &event_pk(record), |at| chunk_sk(record, at)).await?;
        }
        self.count_delivery(record, there).await
    }

    /// Adds this try of the vendor's to the tries that were seen.
    async fn count_delivery(&self, record: &Record<'_>, there: &Item) -> Result<Stored, Fault> {
        let seen = there.get("deliveries").and_then(|set| set.as_ss().ok()).map_or(&[][..], Vec::as_slice);
        if seen.contains(&record.job.delivery) || seen.len() >= MAX_DELIVERIES {
            return Ok(Stored::Repeat { deliveries: seen.len(), new_delivery: false });
        }
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(event_pk(record)))
            .key("sk", text("EVENT"))
            .update_expression("ADD #deliveries :delivery")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#deliveries", "deliveries")
            .expression_attribute_values(":delivery", AttributeValue::Ss(vec![record.job.delivery.clone()]))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                let set = answer.attributes.as_ref().and_then(|item| item.get("deliveries")?.as_ss().ok());
                Ok(Stored::Repeat { deliveries: set.map_or(0, Vec::len), new_delivery: true })
            }
            Err(error) => Err(Fault::of("counting a delivery", &error)),
        }
    }
}

fn is_revoked(item: &Item) -> bool {
    item.contains_key(REVOCATION) || item.contains_key(REVOKED_UNDATED)
}

fn event_pk(record: &Record<'_>) -> String {
    format!("EVENT#{}", record.envelope.id)
}

fn chunk_sk(record: &Record<'_>, at: usize) -> String {
    format!("BODY#{}#{at:02}", record.hash.short())
}

/// Whose timeline the event is on.
fn owner(facts: &Facts) -> Option<String> {
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

/// The shard of a day: from the body's hash, so that it is the same on every try.
fn shard(hash: &BodyHash) -> u32 {
    u32::from_str_radix(&hash.short()[..4], 16).unwrap_or_default() % DAY_SHARDS
}

fn item(record: &Record<'_>, body: Option<&Packed<'_>>) -> Result<Item, Fault> {
    let Record { envelope, facts, hash, job, .. } = record;
    let unwritable =
        |error: serde_dynamo::Error| Fault::Retry(format!("an event cannot be written: {error}"));
    let stored_at = fixed(record.stored_at);
    let mut item = Item::from([
        ("pk".to_owned(), text(event_pk(record))),
        ("sk".to_owned(), text("EVENT")),
        ("id".to_owned(), text(envelope.id.as_str())),
        ("type".to_owned(), text(envelope.kind.as_str())),
        ("source".to_owned(), text(job.source.as_str())),
        ("received_at".to_owned(), text(fixed(job.received_at))),
        ("stored_at".to_owned(), text(&stored_at)),
        ("hash".to_owned(), text(hash.as_str())),
        ("bytes".to_owned(), number(record.body.len())),
        ("deliveries".to_owned(), AttributeValue::Ss(vec![job.delivery.clone()])),
        ("facts".to_owned(), serde_dynamo::to_attribute_value(facts).map_err(unwritable)?),
        ("order".to_owned(), text(format!("{stored_at}#{}", envelope.id))),
        ("day".to_owned(), text(format!("DAY#{}#{}", day(record.stored_at), shard(hash)))),
        ("expires".to_owned(), number(record.expires.as_second())),
    ]);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), text(value));
        }
    };
    add("version", envelope.version.map(|version| version.chars().take(64).collect()));
    add("created_at", envelope.created_at.as_deref().map(|at| at.chars().take(64).collect()));
    add("owner", owner(facts));
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
