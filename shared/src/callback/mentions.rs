//! Whom and what a callback's argument names, wherever it stands in it.
//!
//! Two promises hang on this: an item that names another user is refused, and what names an account or an
//! archive that was revoked keeps no body. Hence every occurrence counts: at any depth, of a member that is
//! there twice, within lists, and within texts that hold JSON, as Android's web view passes them.

use std::collections::BTreeSet;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::id::{AccountId, ArchiveId};

/// The most accounts and archives that one callback may name. The widget names one, or a file each.
const MAX_NAMED: usize = 100;

/// How many texts that hold JSON may lie in each other.
const MAX_TEXTS: u8 = 3;

/// What is named.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    pub(super) users: BTreeSet<String>,
    pub(super) accounts: BTreeSet<AccountId>,
    pub(super) archives: BTreeSet<ArchiveId>,
}

impl Mentions {
    /// Reads an argument. None when it cannot be read to its end, or names too much: a reader that came
    /// after could not read it either.
    pub(super) fn of(value: &RawValue) -> Option<Self> {
        let mut found = Self::default();
        let look = Look { found: &mut found, key: Key::Other, in_files: false, texts: MAX_TEXTS };
        look.deserialize(&mut serde_json::Deserializer::from_str(value.get())).ok()?;
        Some(found)
    }

    fn note(&mut self, key: Key, text: &str) -> bool {
        match key {
            Key::Other => {}
            Key::User => drop(self.users.insert(text.to_owned())),
            Key::Account => self.accounts.extend(AccountId::new(text)),
            Key::Archive => self.archives.extend(ArchiveId::new(text)),
        }
        self.users.len() + self.accounts.len() + self.archives.len() <= MAX_NAMED
    }
}

#[derive(Clone, Copy)]
enum Key {
    Other,
    User,
    Account,
    Archive,
}

/// Looks at one value.
struct Look<'a> {
    found: &'a mut Mentions,
    key: Key,
    /// Within `archive` or `uploads`, where an `id` is an archive's.
    in_files: bool,
    texts: u8,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let key = match name.as_str() {
                "userId" => Key::User,
                "accountId" => Key::Account,
                "archiveId" => Key::Archive,
                "id" if self.in_files => Key::Archive,
                _ => Key::Other,
            };
            let in_files = matches!(name.as_str(), "archive" | "archives" | "uploads");
            map.next_value_seed(Look { found: &mut *self.found, key, in_files, texts: self.texts })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { found, key, in_files, texts } = self;
        while list.next_element_seed(Look { found: &mut *found, key, in_files, texts })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if !self.found.note(self.key, text) {
            return Err(E::custom("it names too much"));
        }
        if self.texts > 0 && text.trim_ascii_start().starts_with(['{', '[']) {
            let inner = Look { key: Key::Other, texts: self.texts - 1, ..self };
            // A text that only begins like JSON is a text.
            let _ = inner.deserialize(&mut serde_json::Deserializer::from_str(text));
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<Mentions> {
        Mentions::of(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn every_occurrence_counts() {
        let found = of(
            r#"{"userId":"u-1","userId":"u-2","a":[{"userId":7}],"text":"{\"userId\":\"u-3\",\"in\":\"[{\\\"userId\\\":\\\"u-4\\\"}]\"}",
                "accountId":["a-1","a-2"],"account":{"accountId":"a-3","id":"no"},"archive":"{\"id\":\"r-1\"}",
                "uploads":[{"id":"r-2","archiveId":"r-3"}]}"#,
        )
        .unwrap();
        assert_eq!(found.users.into_iter().collect::<Vec<_>>(), ["7", "u-1", "u-2", "u-3", "u-4"]);
        assert_eq!(found.accounts.iter().map(AccountId::as_str).collect::<Vec<_>>(), ["a-1", "a-2", "a-3"]);
        assert_eq!(found.archives.iter().map(ArchiveId::as_str).collect::<Vec<_>>(), ["r-1", "r-2", "r-3"]);
    }

    #[test]
    fn what_no_reader_could_read_is_not_read() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let many: Vec<String> = (0..=MAX_NAMED).map(|at| format!("\"a-{at}\"")).collect();
        let many = format!("{{\"accountId\":[{}]}}", many.join(","));
        for unreadable in ["{\"x\":1e999}", r#"{"x":"\ud800"}"#, deep.as_str(), many.as_str()] {
            assert!(of(unreadable).is_none(), "{unreadable}");
        }
        for readable in ["null", "7", "1.5", "\"{no json\"", "[]", "true"] {
            assert!(of(readable).is_some(), "{readable}");
        }
    }
}
