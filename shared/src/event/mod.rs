//! What Smile says: the envelope, and what is read of its data.
//!
//! Two steps, since the webhook function needs only the first: [`Envelope::parse`] finds the id, the
//! type and where the data lies, borrowing from the body; [`Envelope::facts`] reads ids and facts out
//! of the data. Reading is lenient: what is missing, of another shape or new is left out, and the body
//! is kept as it came. Only an envelope without a usable id or type, or an id outside its bounds,
//! cannot be filed at all: [`Unreadable`].

mod facts;
mod member;
mod strings;
pub(crate) mod words;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::member::Name;

pub use self::facts::{Facts, Subject};
pub use self::strings::strings;
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
    /// When it happened, as it was written: a text, or a number since 1970. Whole seconds (Smile, webhooks reference).
    pub created_at: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
}

/// Why an authentic body cannot be filed as an event. Says where, never what was written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not UTF-8 text.
    #[error("the body is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// Not a JSON object, or one with two different values of `id`, `type`, `version`, `createdAt` or `data`.
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

/// The members of the envelope, unread.
#[derive(Default)]
struct Wire<'a> {
    id: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    version: Option<&'a RawValue>,
    created_at: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut wire = Wire::default();
                while let Some((Name(name), value)) = map.next_entry::<Name<'_>, &RawValue>()? {
                    let member = match name.as_ref() {
                        "id" => &mut wire.id,
                        "type" => &mut wire.kind,
                        "version" => &mut wire.version,
                        "createdAt" => &mut wire.created_at,
                        "data" => &mut wire.data,
                        _ => continue,
                    };
                    // The same value twice says the same. Of two different ones, nobody knows which is meant.
                    if member.is_some_and(|there| there.get() != value.get()) {
                        return Err(A::Error::custom("two values"));
                    }
                    *member = Some(value);
                }
                Ok(wire)
            }
        }
        deserializer.deserialize_map(Members)
    }
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
            created_at: words::text(wire.created_at).or_else(|| number(wire.created_at)),
            data: wire.data,
        })
    }

    /// Reads ids and facts out of the data. Fails only on an id outside its bounds.
    pub fn facts(&self) -> Result<Facts, Unreadable> {
        match self.facts_and_fault() {
            (facts, None) => Ok(facts),
            (_, Some(unreadable)) => Err(unreadable),
        }
    }

    /// All facts that can be read, and what is wrong with the event nevertheless.
    pub fn facts_and_fault(&self) -> (Facts, Option<Unreadable>) {
        Facts::read(&self.kind, self.data)
    }

    /// `createdAt` as the instant it is, if it is one.
    pub(crate) fn occurred_at(&self) -> Option<Timestamp> {
        instant(self.created_at.as_deref()?)
    }

    /// The data, unread.
    pub(crate) fn raw_data(&self) -> Option<&'a RawValue> {
        self.data
    }

    /// Whether the version is one whose meaning is known: 1, however it is written, also as a text.
    pub fn is_known_version(&self) -> bool {
        let number = self.version.and_then(|version| version.trim_matches('"').parse::<f64>().ok());
        #[expect(clippy::float_cmp, reason = "exactly one version is known")]
        number.is_some_and(|version| version == 1.0)
    }
}

/// The types and the facts of a body that cannot be filed, as far as they can be read: so that a revocation takes hold
/// and a revoked subject is found, whatever else is wrong. None of what is no JSON object.
pub fn salvaged(body: &[u8]) -> Option<(Vec<EventType>, Facts)> {
    let text = String::from_utf8_lossy(body);
    let mut raw: &RawValue = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    if let member::Nested::List(entries) = member::Nested::of(raw)
        && let [entry] = entries.as_slice()
    {
        raw = entry;
    }
    let member::Nested::Object(members) = member::Nested::of(raw) else { return None };
    let all = |wanted: &'static str| members.iter().filter(move |(name, _)| name == wanted);
    let kinds: Vec<EventType> = all("type")
        .flat_map(|(_, value)| strings(value.get()))
        .map(|kind| EventType::from(kind.as_ref()))
        .collect();
    let kind = kinds.first().cloned().unwrap_or(EventType::Unknown(String::new()));
    let mut facts = Facts::default();
    for (_, data) in all("data") {
        let (read, _) = Facts::read(&kind, Some(data));
        facts.subjects.extend(read.subjects.iter().cloned());
        facts.named.extend(read.named.iter().cloned());
        facts.unread.extend(read.unread);
    }
    Some((kinds, facts))
}

/// A number, as it is written.
fn number(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = raw?.get();
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(Cow::Borrowed(json))
}

/// The instant that a `createdAt` means: RFC 3339 with any number of fractional digits, of which nine count; or a
/// whole number of seconds (10 digits) or milliseconds (13 digits) since 1970. A date without a zone means none.
/// Years outside four digits are refused, since a version has a fixed width.
pub fn instant(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let at = match text.len() {
        10 if digits => Timestamp::from_second(text.parse().ok()?).ok()?,
        13 if digits => Timestamp::from_millisecond(text.parse().ok()?).ok()?,
        _ => text.parse().or_else(|_| nine_digits(text).parse()).ok()?,
    };
    (at.as_second() >= -62_135_596_800).then_some(at)
}

/// The same date with no more than nine fractional digits.
fn nine_digits(text: &str) -> String {
    let Some((whole, rest)) = text.split_once('.') else { return text.to_owned() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    format!("{whole}.{}{}", &rest[..digits.min(9)], &rest[digits..])
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
        let event =
            parse(br#"{"id":"1","id":"1","type":"X","version":"2","createdAt":5,"\ud800":1}"#).unwrap();
        assert_eq!(event.kind, EventType::Unknown("X".into()));
        assert_eq!((event.created_at.as_deref(), event.is_known_version()), (Some("5"), false));
        assert_eq!(event.facts().unwrap(), Facts::default());
    }

    #[test]
    fn a_version_and_a_date_count_where_their_meaning_is_plain() {
        for (version, is_known) in [
            ("1", true),
            ("1.0", true),
            ("\"1\"", true),
            ("2", false),
            ("\"\"", false),
            ("null", false),
            ("[1]", false),
        ] {
            let body = format!(r#"{{"id":"1","type":"X","version":{version}}}"#);
            assert_eq!(parse(body.as_bytes()).unwrap().is_known_version(), is_known, "{version}");
        }
        for (written, meant) in [
            ("\"2026-03-01T10:00:00Z\"", Some("2026-03-01T10:00:00Z")),
            ("\"2026-03-01t18:00:00.1234567890123+08:00\"", Some("2026-03-01T10:00:00.123456789Z")),
            ("1772359200000", Some("2026-03-01T10:00:00Z")),
            ("1772359200", Some("2026-03-01T10:00:00Z")),
            ("\"1772359200000\"", Some("2026-03-01T10:00:00Z")),
            ("1.7723592e12", None),
            ("20260301", None),
            ("\"2026-03-01T10:00:00\"", None),
            ("\"2026-03-01\"", None),
            ("\"2026-03-01T10:00:00.é\"", None),
            ("\"-000001-03-01T10:00:00Z\"", None),
            ("null", None),
            ("{}", None),
        ] {
            let body = format!(r#"{{"id":"1","type":"X","createdAt":{written}}}"#);
            let at = parse(body.as_bytes()).unwrap().occurred_at().map(|at| at.to_string());
            assert_eq!(at.as_deref(), meant, "{written}");
        }
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
