//! The document of secrets as something that changes: `current`, `pending` while a rotation is under way, and
//! `previous` for ten minutes after it. [`crate::secrets`] is how the functions read it.
//!
//! Fields that are not known here stay where they are.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::secrets::{SecretSet, UnusableSecrets};
use crate::smile_api::{SecretText, Webhook};

use super::Desired;

/// How long a secret is accepted after its successor was promoted. Smile's last try of an event comes about
/// two minutes after the first (Smile, webhooks reference), and a function looks at the document every five
/// minutes: each has seen this one long before its time is up.
pub const PREVIOUS_LASTS: SignedDuration = SignedDuration::from_mins(10);

/// The document. Prints no secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Document {
    #[serde(serialize_with = "reveal")]
    current: SecretText,
    #[serde(default, serialize_with = "reveal_some", skip_serializing_if = "Option::is_none")]
    pending: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A secret on its way out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Previous {
    #[serde(serialize_with = "reveal")]
    secret: SecretText,
    not_after: Timestamp,
}

/// The unknown fields stay out: nobody knows what they hold.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("current", &self.current)
            .field("pending", &self.pending)
            .field("previous", &self.previous)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Reads what the functions would read: the document, or a plain text that is the current secret.
    pub fn parse(text: &str) -> Result<Self, UnusableSecrets> {
        SecretSet::from_document(text)?;
        if !text.trim_start().starts_with('{') {
            let current = SecretText::new(text.trim());
            return Ok(Self { current, pending: None, previous: None, rest: Map::new() });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The document's text, secrets included.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "texts, a time, and JSON are JSON")]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a document is JSON")
    }

    /// What Smile signs with when no rotation is under way.
    pub fn current(&self) -> &SecretText {
        &self.current
    }

    /// What a rotation is bringing in.
    pub fn pending(&self) -> Option<&SecretText> {
        self.pending.as_ref()
    }

    /// What a rotation has replaced.
    pub fn previous(&self) -> Option<&Previous> {
        self.previous.as_ref()
    }

    /// What Smile should sign with: the pending secret while there is one.
    pub fn target(&self) -> &SecretText {
        self.pending.as_ref().unwrap_or(&self.current)
    }

    /// What to ask of a registration without going against a rotation that is under way: one with the pending
    /// secret is right, and where there is none yet, one with the current.
    pub fn wanted(&self, desired: &Desired, found: &[Webhook]) -> Desired {
        let pending = self.pending.as_ref().map(|pending| desired.with_secret(pending));
        pending
            .filter(|desired| found.iter().any(|webhook| desired.fits(webhook)))
            .unwrap_or_else(|| desired.with_secret(&self.current))
    }

    /// With a pending secret.
    #[must_use]
    pub fn begun(&self, pending: SecretText) -> Self {
        Self { pending: Some(pending), ..self.clone() }
    }

    /// The pending secret is the current one, and the current one the previous; none, if there is no pending
    /// secret.
    pub fn promoted(&self, now: Timestamp) -> Option<Self> {
        let current = self.pending.clone()?;
        let previous = Previous { secret: self.current.clone(), not_after: now + PREVIOUS_LASTS };
        Some(Self { current, pending: None, previous: Some(previous), rest: self.rest.clone() })
    }

    /// With another current secret at once, and the present one valid until then, or no longer.
    #[must_use]
    pub fn replaced(&self, current: SecretText, until: Option<Timestamp>) -> Self {
        let previous = until.map(|not_after| Previous { secret: self.current.clone(), not_after });
        Self { current, pending: None, previous, rest: self.rest.clone() }
    }

    /// Without a previous secret.
    #[must_use]
    pub fn without_previous(&self) -> Self {
        Self { previous: None, ..self.clone() }
    }
}

impl Previous {
    /// The secret.
    pub fn secret(&self) -> &SecretText {
        &self.secret
    }

    /// Until when the functions accept it.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether the functions accept it still.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now <= self.not_after
    }
}

fn reveal<S: Serializer>(secret: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// As serde calls it.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn reveal_some<S: Serializer>(secret: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(SecretText::expose).serialize(serializer)
}
