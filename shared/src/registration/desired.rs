//! What a registration should be.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::event::EventType;
use crate::smile_api::types::ALL_EVENTS;
use crate::smile_api::{NewWebhook, SecretText, Webhook};

/// What should be registered. Prints without the secret.
#[derive(Debug, Clone)]
pub struct Desired {
    name: String,
    url: String,
    event_types: EventTypes,
    include_payload: bool,
    secret: SecretText,
}

/// Why something cannot be registered. Quotes nothing but the word that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unregistrable {
    /// Smile takes `https` alone; this machine's simulator also `http` on loopback.
    #[error(
        "the URL must begin with https:// (with http:// on this machine only) and have 1 to 500 characters"
    )]
    Url,
    /// Smile, `WebhookPostRequest`.
    #[error("the name must have 1 to 200 characters")]
    Name,
    /// Smile, `WebhookPostRequest`.
    #[error("the secret must have 1 to 64 characters")]
    Secret,
    /// Not a list of types.
    #[error(
        "event types are words such as ACCOUNT_CONNECTED with commas between them, or {ALL_EVENTS}; {0:?} is none"
    )]
    EventTypes(String),
}

impl Desired {
    /// Checks what Smile would refuse (Smile, `WebhookPostRequest`).
    pub fn new(
        name: impl Into<String>,
        url: impl Into<String>,
        event_types: EventTypes,
        include_payload: bool,
        secret: SecretText,
    ) -> Result<Self, Unregistrable> {
        let (name, url) = (name.into(), url.into());
        let is_local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"]
            .iter()
            .any(|local| url.starts_with(local));
        let has_host = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
        if !(is_local || has_host) || url.chars().count() > 500 {
            return Err(Unregistrable::Url);
        }
        if !(1..=200).contains(&name.chars().count()) {
            return Err(Unregistrable::Name);
        }
        if !(1..=64).contains(&secret.expose().chars().count()) {
            return Err(Unregistrable::Secret);
        }
        Ok(Self { name, url, event_types, include_payload, secret })
    }

    /// The name that marks it as ours.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where events should go.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which events.
    pub fn event_types(&self) -> &EventTypes {
        &self.event_types
    }

    /// Whether two types should carry the data themselves.
    pub fn include_payload(&self) -> bool {
        self.include_payload
    }

    /// What Smile should sign with.
    pub fn secret(&self) -> &SecretText {
        &self.secret
    }

    /// The same with another secret, one that [`super::Document`] has checked.
    #[must_use]
    pub fn with_secret(&self, secret: &SecretText) -> Self {
        Self { secret: secret.clone(), ..self.clone() }
    }

    /// Whether a registration is ours: it has our URL and our name.
    pub fn is_ours(&self, found: &Webhook) -> bool {
        found.url == self.url && found.name == self.name
    }

    /// Whether a registration is exactly this one. One whose secret cannot be seen does not fit.
    pub fn fits(&self, found: &Webhook) -> bool {
        self.is_ours(found)
            && found.active
            && self.event_types.are_of(found)
            && found.include_payload == self.include_payload
            && found.secret.as_ref().is_some_and(|secret| secret.is(&self.secret))
    }

    /// The request that registers it.
    pub fn request(&self) -> NewWebhook {
        NewWebhook {
            name: self.name.clone(),
            url: self.url.clone(),
            event_types: self.event_types.0.iter().cloned().collect(),
            active: true,
            secret: self.secret.clone(),
            include_payload: self.include_payload,
        }
    }
}

/// The types that are subscribed to, in any order: some, or all of today and tomorrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypes(BTreeSet<EventType>);

impl EventTypes {
    /// Every type, those to come included.
    pub fn all() -> Self {
        Self([EventType::from(ALL_EVENTS)].into())
    }

    /// The types of a registration. `ALL_EVENTS` beside others makes the others say nothing.
    pub fn of(found: &Webhook) -> Self {
        if found.is_for_all() { Self::all() } else { Self(found.event_types.iter().cloned().collect()) }
    }

    /// Whether a registration has exactly these.
    fn are_of(&self, found: &Webhook) -> bool {
        *self == Self::of(found)
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(EventType::as_str)
    }
}

impl FromStr for EventTypes {
    type Err = Unregistrable;

    /// Reads words with commas between them. One that is not known yet may be of tomorrow, and Smile decides.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |word: &str| {
            let word = word.trim();
            let is_word =
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            is_word.then(|| EventType::from(word)).ok_or_else(|| Unregistrable::EventTypes(word.to_owned()))
        };
        let types = text.split(',').map(word).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(if types.iter().any(|kind| kind.as_str() == ALL_EVENTS) { Self::all() } else { Self(types) })
    }
}

impl fmt::Display for EventTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(","))
    }
}
