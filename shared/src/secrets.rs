//! The secrets that are valid at one moment: current, pending, and previous until its time is up.
//!
//! Secrets Manager holds one JSON document:
//! `{"current":"…","pending":"…","previous":{"secret":"…","not_after":"2026-03-01T10:00:00Z"}}`.
//! Only `current` is required. A value that is not a JSON object is the one current secret itself,
//! as somebody would paste it by hand.

use jiff::Timestamp;
use serde::Deserialize;

use crate::verify::{Secret, SecretLength};

/// All secrets of one webhook registration, with the times that bound them.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct SecretSet {
    always: Vec<Secret>,
    previous: Option<(Secret, Timestamp)>,
}

/// Why a document of secrets cannot be used. Never quotes the document.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSecrets {
    /// Not the document described above.
    #[error(
        "the secret is neither a plain text nor a JSON object with \"current\" (line {line}, column {column})"
    )]
    Malformed {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 1.
        column: usize,
    },
    /// A secret that Smile would not take.
    #[error(transparent)]
    Length(#[from] SecretLength),
    /// An empty list.
    #[error("there is no secret in the list")]
    Empty,
}

impl From<serde_json::Error> for UnusableSecrets {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { line: error.line(), column: error.column() }
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    current: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    pending: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    previous: Option<Previous<'a>>,
}

#[derive(Deserialize)]
struct Previous<'a> {
    #[serde(borrow)]
    secret: std::borrow::Cow<'a, str>,
    not_after: Timestamp,
}

impl SecretSet {
    /// Reads the value of the secret in Secrets Manager.
    pub fn from_document(text: &str) -> Result<Self, UnusableSecrets> {
        if !text.trim_start().starts_with('{') {
            return Ok(Self { always: vec![Secret::new(text.trim())?], previous: None });
        }
        let document: Document<'_> = serde_json::from_str(text)?;
        let mut always = vec![Secret::new(&document.current)?];
        if let Some(pending) = document.pending {
            always.push(Secret::new(&pending)?);
        }
        let previous = document
            .previous
            .map(|previous| Ok::<_, SecretLength>((Secret::new(&previous.secret)?, previous.not_after)))
            .transpose()?;
        Ok(Self { always, previous })
    }

    /// Reads a JSON array of secrets, all valid without an end: for tests and local runs.
    pub fn from_list(text: &str) -> Result<Self, UnusableSecrets> {
        let list: Vec<String> = serde_json::from_str(text)?;
        let always = list.iter().map(|secret| Secret::new(secret)).collect::<Result<Vec<_>, _>>()?;
        if always.is_empty() {
            return Err(UnusableSecrets::Empty);
        }
        Ok(Self { always, previous: None })
    }

    /// The secrets that are valid at `now`, the current one first.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let previous = self.previous.iter().filter(move |(_, not_after)| now <= *not_after);
        self.always.iter().chain(previous.map(|(secret, _)| secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(set: &SecretSet, now: &str) -> Vec<Secret> {
        set.at(now.parse().unwrap()).cloned().collect()
    }

    fn secrets(of: &[&str]) -> Vec<Secret> {
        of.iter().map(|text| Secret::new(text).unwrap()).collect()
    }

    #[test]
    fn reads_the_document_and_ends_the_previous_secret() {
        let set = SecretSet::from_document(
            r#"{"current":"c","pending":"p","previous":{"secret":"o","not_after":"2026-03-01T10:00:00Z"},"note":1}"#,
        )
        .unwrap();
        assert_eq!(at(&set, "2026-03-01T10:00:00Z"), secrets(&["c", "p", "o"]));
        assert_eq!(at(&set, "2026-03-01T10:00:00.001Z"), secrets(&["c", "p"]));
    }

    #[test]
    fn reads_a_pasted_secret_and_a_list() {
        assert_eq!(
            at(&SecretSet::from_document(" plain\n").unwrap(), "2026-01-01T00:00:00Z"),
            secrets(&["plain"])
        );
        assert_eq!(
            at(&SecretSet::from_list(r#"["a","b"]"#).unwrap(), "2026-01-01T00:00:00Z"),
            secrets(&["a", "b"])
        );
    }

    #[test]
    fn says_what_is_wrong_without_quoting_it() {
        for bad in [r#"{"curent":"hush"}"#, r#"{"current":"hush""#, r#"{"current":"hush","previous":"hush"}"#]
        {
            let error = SecretSet::from_document(bad).unwrap_err().to_string();
            assert!(error.contains("JSON object with \"current\"") && !error.contains("hush"), "{error}");
        }
        assert!(matches!(SecretSet::from_document(""), Err(UnusableSecrets::Length(_))));
        assert!(matches!(SecretSet::from_document(r#"{"current":""}"#), Err(UnusableSecrets::Length(_))));
        assert_eq!(SecretSet::from_list("[]"), Err(UnusableSecrets::Empty));
    }
}
