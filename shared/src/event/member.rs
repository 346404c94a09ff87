//! JSON objects and lists, member by member.
//!
//! A derived reader fails for the whole object when one member is there twice or one name is half a character,
//! and then says the same as for an empty object. This one gives every member there is, in order, and tells an
//! absent value from one that cannot be read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::words::text;

/// The name of a member. Half a character in it is replaced by U+FFFD, which no known name contains.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_bytes<E: Error>(self, name: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Name(String::from_utf8_lossy(name)))
            }

            fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(String::from_utf8_lossy(name).into_owned())))
            }
        }
        // As bytes, since a text that is half a character is an error.
        deserializer.deserialize_bytes(Bytes)
    }
}

/// What stands where an object or a list is expected.
#[derive(Debug)]
pub(super) enum Nested<'a> {
    /// Nothing, or `null`.
    Absent,
    /// An object: its members in order, repeated ones included.
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
    /// A list: its entries.
    List(Vec<&'a RawValue>),
    /// Anything else.
    Other,
}

impl<'a> Nested<'a> {
    /// Reads an object or a list. One that is written inside a text must be [unwrapped] first.
    pub(super) fn of(raw: &'a RawValue) -> Self {
        let json = raw.get();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        match json.as_bytes().first() {
            Some(b'{') => deserializer.deserialize_map(Members).map_or(Self::Other, Self::Object),
            Some(b'[') => deserializer.deserialize_seq(Entries).map_or(Self::Other, Self::List),
            _ if json == "null" => Self::Absent,
            _ => Self::Other,
        }
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(members)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Whether a value is a text that looks like an object or a list, as some clients pass them.
pub(super) fn is_wrapped(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
        && text(Some(raw)).is_some_and(|text| text.trim_start().starts_with(['{', '[']))
}

/// The object or the list that a text contains; any other value as it is.
pub(super) fn unwrapped(raw: &RawValue) -> Cow<'_, RawValue> {
    if !is_wrapped(raw) {
        return Cow::Borrowed(raw);
    }
    let inner = text(Some(raw)).and_then(|text| RawValue::from_string(text.trim().to_owned()).ok());
    inner.map_or(Cow::Borrowed(raw), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn every_member_is_there() {
        let raw = raw(r#"{"a":1,"a":null,"\ud800":2,"\u0062":[3]}"#);
        let Nested::Object(members) = Nested::of(&raw) else { panic!() };
        let members: Vec<_> = members.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(members[..2], [("a", "1"), ("a", "null")]);
        assert!(members[2].0.contains('\u{fffd}') && members[2].1 == "2");
        assert_eq!(members[3], ("b", "[3]"));
    }

    #[test]
    fn absent_is_not_unreadable() {
        let shape = |json: &str| match Nested::of(&raw(json)) {
            Nested::Absent => "absent",
            Nested::Object(_) => "object",
            Nested::List(_) => "list",
            Nested::Other => "other",
        };
        for (json, expected) in
            [("null", "absent"), ("{}", "object"), ("[]", "list"), ("1", "other"), (r#""{}""#, "other")]
        {
            assert_eq!(shape(json), expected, "{json}");
        }
    }

    #[test]
    fn an_object_in_a_text_is_unwrapped() {
        for (json, inner) in [
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#"" [1] ""#, "[1]"),
            (r#""{""#, r#""{""#),
            (r#""a""#, r#""a""#),
            ("{}", "{}"),
        ] {
            assert_eq!(unwrapped(&raw(json)).get(), inner, "{json}");
        }
    }
}
