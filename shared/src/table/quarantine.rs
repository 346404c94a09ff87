//! The quarantine: authentic bodies that cannot be filed, byte for byte, with the reason.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::{Packed, chunk_count, unpack};
use super::fault::Fault;
use super::{Item, Table, day, fixed, number, text};
use crate::event::Unreadable;
use crate::job::Source;
use crate::state::{BodyHash, WIDGET};

/// The most, in bytes of their names, that an item in quarantine says it is about. Of 400 KB.
const MAX_SUBJECT_BYTES: usize = 200 * 1024;

/// Why something is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The body is no event that can be read.
    Unreadable(Unreadable),
    /// Another body is stored under the same id.
    IdConflict,
    /// It came from a source outside the allow list, with a valid signature, and waits for an operator.
    UnlistedSource,
    /// The message on our own queue cannot be taken apart.
    Undecodable,
    /// The event is about too many things to fit an item.
    ItemTooLarge,
    /// The event does not say in a form that is known what it is about.
    Unattributed,
}

impl Reason {
    /// Every word of [`Self::word`].
    pub const WORDS: [&str; 10] = [
        "not_utf8",
        "not_json",
        "no_id",
        "no_type",
        "id_length",
        "id_conflict",
        "unlisted_source",
        "undecodable",
        "item_too_large",
        "unattributed",
    ];

    /// A stable word for metrics and lists.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreadable(unreadable) => unreadable.word(),
            Self::IdConflict => "id_conflict",
            Self::UnlistedSource => "unlisted_source",
            Self::Undecodable => "undecodable",
            Self::ItemTooLarge => "item_too_large",
            Self::Unattributed => "unattributed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(unreadable) => unreadable.fmt(f),
            Self::IdConflict => f.write_str("another body is stored under the same id"),
            Self::UnlistedSource => f.write_str("it came from a source outside the allow list"),
            Self::Undecodable => f.write_str("the message on the queue cannot be taken apart"),
            Self::ItemTooLarge => f.write_str("the event is about too many things to fit an item"),
            Self::Unattributed => {
                f.write_str("the event does not say in a form that is known what it is about")
            }
        }
    }
}

/// What goes into quarantine.
#[derive(Clone, Copy)]
pub struct ToQuarantine<'a> {
    /// The body as it was received.
    pub body: &'a [u8],
    /// The body's hash.
    pub hash: &'a BodyHash,
    /// Why.
    pub reason: Reason,
    /// More about the reason, without anything personal.
    pub detail: &'a str,
    /// The event's id, as far as it is known.
    pub id: Option<&'a str>,
    /// The event's type, as far as it is known.
    pub kind: Option<&'a str>,
    /// What it carries something of, as far as that is known.
    pub subjects: &'a [String],
    /// `webhook`, `reconcile` or `callback`: which partition it goes to.
    pub source: &'a str,
    /// The gateway's request id.
    pub delivery: &'a str,
    /// When it was received. With the hash, the key: our own queue's repeat makes no second item.
    pub received_at: Timestamp,
    /// Now.
    pub stored_at: Timestamp,
    /// When it may go.
    pub expires: Timestamp,
}

/// Names one quarantined body: `received_at#hash`, the hash's first 16 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuarantineKey {
    received_at: Timestamp,
    hash: String,
}

/// Not a quarantine key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no quarantine key: it looks like 2026-03-01T10:00:00.000000Z#0123456789abcdef")]
pub struct NotAKey(String);

impl FromStr for QuarantineKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAKey(text.to_owned());
        let (at, hash) = text.split_once('#').ok_or_else(wrong)?;
        let hex = hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
        let received_at = at.parse().map_err(|_| wrong())?;
        if hex { Ok(Self { received_at, hash: hash.to_owned() }) } else { Err(wrong()) }
    }
}

impl fmt::Display for QuarantineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", fixed(self.received_at), self.hash)
    }
}

/// The partitions of one day: of webhooks, and of what browsers said, which must not fill the former.
pub(super) fn quarantines(day: &str) -> [String; 2] {
    [format!("QUARANTINE#{day}"), format!("{WIDGET}_QUARANTINE#{day}")]
}

impl QuarantineKey {
    /// The partitions in which it can lie. What browsers said lay in the first before it had one of its own.
    pub(super) fn pks(&self) -> [String; 2] {
        quarantines(&day(self.received_at))
    }

    /// The partition in which what came from this source is put.
    fn pk(&self, source: &str) -> String {
        let [webhooks, browsers] = self.pks();
        if source == Source::Callback.as_str() { browsers } else { webhooks }
    }

    /// Chunks belong to one write: removing those of an earlier one leaves a later one whole.
    fn chunk_sk(&self, stored_at: Timestamp, number: usize) -> String {
        format!("{self}#BODY#{}#{number:02}", fixed(stored_at))
    }
}

/// A quarantined body's description, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quarantined {
    /// The key, as text.
    #[serde(rename(deserialize = "sk"))]
    pub key: String,
    /// Why, as a stable word.
    pub reason: String,
    /// More about it.
    pub detail: String,
    /// The event's id, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The event's type, if it is known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `webhook`, `reconcile` or `callback`.
    pub source: String,
    /// The gateway's request id.
    pub delivery: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was put here.
    pub stored_at: Timestamp,
    /// SHA-256 of the body, in hex.
    pub hash: String,
    /// The body's length.
    pub bytes: u64,
}

impl Table {
    /// Puts a body into quarantine. Safe to repeat.
    pub async fn quarantine(&self, what: ToQuarantine<'_>) -> Result<QuarantineKey, Fault> {
        let key = QuarantineKey { received_at: what.received_at, hash: what.hash.short().to_owned() };
        let (pk, packed) = (key.pk(what.source), Packed::new(what.body));
        self.put_chunks(&packed, &pk, |at| key.chunk_sk(what.stored_at, at), what.expires).await?;
        let mut item = Item::from([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text(key.to_string())),
            ("reason".to_owned(), text(what.reason.word())),
            ("detail".to_owned(), text(what.detail)),
            ("source".to_owned(), text(what.source)),
            ("delivery".to_owned(), text(what.delivery)),
            ("received_at".to_owned(), text(fixed(what.received_at))),
            ("stored_at".to_owned(), text(fixed(what.stored_at))),
            ("hash".to_owned(), text(what.hash.as_str())),
            ("bytes".to_owned(), number(what.body.len())),
            ("expires".to_owned(), number(what.expires.as_second())),
        ]);
        item.extend(what.id.map(|id| ("id".to_owned(), text(id))));
        item.extend(what.kind.map(|kind| ("type".to_owned(), text(kind))));
        let room = what.subjects.iter().map(String::len).sum::<usize>() < MAX_SUBJECT_BYTES;
        if !what.subjects.is_empty() && room {
            let subjects = aws_sdk_dynamodb::types::AttributeValue::Ss(what.subjects.to_vec());
            item.insert("subjects".to_owned(), subjects);
        }
        packed.add_to(&mut item);
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| Fault::of("writing to the quarantine", &error))?;
        Ok(key)
    }

    /// One quarantined body and its description.
    pub async fn quarantined(
        &self,
        key: &QuarantineKey,
    ) -> Result<Option<(Quarantined, Option<Vec<u8>>)>, Fault> {
        let sk = |item: &Item| item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
        for pk in key.pks() {
            let items = self.query(None, "pk", &pk, Some(("sk", &key.to_string()))).await?;
            let Some(item) = items.iter().find(|item| sk(item) == key.to_string()) else { continue };
            let found = read(item.clone())?;
            let prefix = format!("{key}#BODY#{}#", fixed(found.stored_at));
            let chunks: Vec<&Item> = items.iter().filter(|item| sk(item).starts_with(&prefix)).collect();
            return Ok(Some((found, unpack(item, &chunks))));
        }
        Ok(None)
    }

    /// Removes a body from quarantine, unless it was put there anew since it was `seen`. Says whether it
    /// did.
    pub async fn remove_quarantined(&self, key: &QuarantineKey, seen: &Quarantined) -> Result<bool, Fault> {
        for pk in key.pks() {
            if self.remove_from(&pk, key, seen).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn remove_from(&self, pk: &str, key: &QuarantineKey, seen: &Quarantined) -> Result<bool, Fault> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(key.to_string()))
            .condition_expression("stored_at = :seen")
            .expression_attribute_values(":seen", text(fixed(seen.stored_at)))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await;
        let removed = match answer {
            Ok(answer) => answer.attributes,
            Err(error) => match error.as_service_error() {
                Some(error) if error.is_conditional_check_failed_exception() => return Ok(false),
                _ => return Err(Fault::of("removing from the quarantine", &error)),
            },
        };
        let chunks = removed.as_ref().map_or(0, chunk_count);
        self.delete_chunks(chunks, pk, |at| key.chunk_sk(seen.stored_at, at)).await?;
        Ok(true)
    }
}

fn read(item: Item) -> Result<Quarantined, Fault> {
    serde_dynamo::from_item(item)
        .map_err(|error| Fault::Retry(format!("a quarantined item cannot be read: {error}")))
}
