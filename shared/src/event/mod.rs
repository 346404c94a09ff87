//! What Smile says: the envelope, and what is read of its data.
//!
//! Two steps, since the webhook function needs only the first: [`Envelope::parse`] finds the id, the
//! type and where the data lies, borrowing from the body; [`Envelope::facts`] reads ids and facts out
//! of the data. Reading is lenient: what is missing, of another shape or new is left out, and the body
//! is kept as it came. Only an envelope without a usable id or type, or an id outside its bounds,
//! cannot be filed at all: [`Unreadable`].

mod facts;
pub(crate) mod words;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::facts::{Facts, Subject};
pub use self::words::{EventType, MonitorStatus, SourceType, Status, TaskType};
use crate::id::EventId;
use crate::verify::Verified;

/// One event, as far as it can be known without reading its data.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// The vendor's id; the same on every repeat.
    pub id: EventId,
    /// The type, known or not.
    pub kind: EventType,
    /// The schema's major version as it was written, such as `1`.
    pub version: Option<&'a str>,
    /// When it happened, as it was written. Whole seconds (Smile, webhooks reference).
    pub created_at: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
}

/// Why an authentic body cannot be filed as an event. Says where, never what was written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not UTF-8 text.
    #[error("the body is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// Not a JSON object, or one that says `id`, `type`, `version`, `createdAt` or `data` twice.
    #[error("the body is not a JSON object that can be read (line {line}, column {column})")]
    NotJson {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 1.
        column: usize,
    },
    /// No text under `id`.
    #[error("the event has no id")]
    NoId,
    /// No text, or one of more than 256 bytes, under `type`.
    #[error("the event has no type of 1 to 256 bytes")]
    NoType,
    /// An id, of the event or in its data, that is empty or too long.
    #[error("the id in {field} has {bytes} bytes, not 1 to 256")]
    IdLength {
        /// Where the id stands.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
}

impl Unreadable {
    /// A stable word for metrics and lists.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotUtf8(_) => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::NoId => "no_id",
            Self::NoType => "no_type",
            Self::IdLength { .. } => "id_length",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope in one pass over the body.
    pub fn parse(body: Verified<'a>) -> Result<Self, Unreadable> {
        let text =
            std::str::from_utf8(body.bytes()).map_err(|error| Unreadable::NotUtf8(error.valid_up_to()))?;
        // An array would do for a struct, too, member by member.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Unreadable::NotJson { line: 1, column: 1 });
        }
        let wire: Wire<'a> = serde_json::from_str(text)
            .map_err(|error| Unreadable::NotJson { line: error.line(), column: error.column() })?;
        let id = words::text(wire.id).ok_or(Unreadable::NoId)?;
        let id = EventId::new(id).map_err(|length| Unreadable::IdLength { field: "id", bytes: length.0 })?;
        let kind = words::text(wire.kind)
            .filter(|kind| (1..=crate::id::MAX_ID_BYTES).contains(&kind.len()))
            .ok_or(Unreadable::NoType)?;
        Ok(Self {
            id,
            kind: EventType::from(kind.as_ref()),
            version: wire.version.map(RawValue::get),
            created_at: words::text(wire.created_at),
            data: wire.data,
        })
    }

    /// Reads ids and facts out of the data. Fails only on an id outside its bounds.
    pub fn facts(&self) -> Result<Facts, Unreadable> {
        Facts::read(self.data)
    }

    /// `createdAt` as the instant it is, if it is one that a version can be made of: years outside four
    /// digits would break its fixed width.
    pub(crate) fn occurred_at(&self) -> Option<Timestamp> {
        let at: Timestamp = self.created_at.as_deref()?.parse().ok()?;
        (at.as_second() >= -62_135_596_800).then_some(at)
    }

    /// The data, unread.
    pub(crate) fn raw_data(&self) -> Option<&'a RawValue> {
        self.data
    }

    /// Whether the version is one whose meaning is known: 1, however it is written.
    pub fn is_known_version(&self) -> bool {
        #[expect(clippy::float_cmp, reason = "exactly one version is known")]
        self.version.and_then(|version| version.parse::<f64>().ok()).is_some_and(|version| version == 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &[u8]) -> Result<Envelope<'_>, Unreadable> {
        Envelope::parse(Verified::from_own_queue(body))
    }

    #[test]
    fn borrows_what_it_can() {
        let body = br#" {"type":"TASK_\u0046INISHED","id":"et-1","version":1.0,"createdAt":"2026-03-01T10:00:00Z","data":{"a":[1]},"new":{}} "#;
        let event = parse(body).unwrap();
        assert_eq!((event.id.as_str(), &event.kind), ("et-1", &EventType::TaskFinished));
        assert!(event.is_known_version());
        assert!(matches!(event.created_at, Some(Cow::Borrowed("2026-03-01T10:00:00Z"))));
        let data = event.data.unwrap().get();
        assert_eq!(data, r#"{"a":[1]}"#);
        assert!(body.as_ptr_range().contains(&data.as_ptr()), "the data was copied");
    }

    #[test]
    fn is_lenient_where_it_can_be() {
        let event = parse(br#"{"id":"1","type":"X","version":"2","createdAt":5}"#).unwrap();
        assert_eq!(event.kind, EventType::Unknown("X".into()));
        assert_eq!((event.created_at.as_deref(), event.is_known_version()), (None, false));
        assert_eq!(event.facts().unwrap(), Facts::default());
    }

    #[test]
    fn says_why_it_cannot_be_filed() {
        let long = format!(r#"{{"id":"{}","type":"X"}}"#, "x".repeat(257));
        for (body, word) in [
            (&b"\xff{}"[..], "not_utf8"),
            (b"", "not_json"),
            (b"\xef\xbb\xbf{}", "not_json"),
            (b"[]", "not_json"),
            (br#"["et-1","X"]"#, "not_json"),
            (b"null", "not_json"),
            (b"{} {}", "not_json"),
            (br#"{"id":"a","id":"b","type":"X"}"#, "not_json"),
            (br#"{"id":"\ud800","type":"X"}"#, "no_id"),
            (b"{}", "no_id"),
            (br#"{"id":7,"type":"X"}"#, "no_id"),
            (br#"{"id":"a"}"#, "no_type"),
            (br#"{"id":"a","type":""}"#, "no_type"),
            (br#"{"id":"","type":"X"}"#, "id_length"),
            (long.as_bytes(), "id_length"),
        ] {
            assert_eq!(parse(body).unwrap_err().word(), word, "{}", String::from_utf8_lossy(body));
        }
    }
}
