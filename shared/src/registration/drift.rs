//! How what is registered differs from what is wanted.

use std::fmt;

use serde::Serialize;

use super::desired::{Desired, EventTypes};
use super::document::Document;
use super::registrar::sorted;
use crate::smile_api::{Webhook, WebhookId};

/// One difference. Carries ids, names, URLs and types, and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Drift {
    /// Nothing has our URL and our name.
    Missing,
    /// More than one has: every event comes as many times.
    Duplicate {
        /// All of them.
        ids: Vec<WebhookId>,
    },
    /// Something under our name goes elsewhere.
    Url {
        /// Which.
        id: WebhookId,
        /// Where.
        url: String,
    },
    /// Something else goes to our URL: every event comes once more, signed with we do not know what.
    Name {
        /// Which.
        id: WebhookId,
        /// What it is called.
        name: String,
    },
    /// It is switched off.
    Inactive {
        /// Which.
        id: WebhookId,
    },
    /// It is subscribed to other types.
    Types {
        /// Which.
        id: WebhookId,
        /// Wanted, and not subscribed to.
        missing: Vec<String>,
        /// Subscribed to, and not wanted.
        extra: Vec<String>,
    },
    /// It has the payload switch the other way.
    Payload {
        /// Which.
        id: WebhookId,
        /// How it has it.
        include_payload: bool,
    },
    /// It signs with another secret than it should.
    Secret {
        /// Which.
        id: WebhookId,
        /// With which.
        secret: SecretFound,
    },
}

/// Which of our secrets a registration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretFound {
    /// The current one.
    Current,
    /// The one that a rotation is bringing in.
    Pending,
    /// The one that a rotation has replaced.
    Previous,
    /// None of ours: what it sends is refused.
    Other,
    /// Smile does not say.
    Unseen,
}

impl SecretFound {
    /// Which of the document's secrets this registration has.
    pub fn of(found: &Webhook, document: &Document) -> Self {
        let Some(secret) = &found.secret else { return Self::Unseen };
        let previous = document.previous().map(super::Previous::secret);
        let ours = [
            (Some(document.current()), Self::Current),
            (document.pending(), Self::Pending),
            (previous, Self::Previous),
        ];
        let is = |(ours, _): &(Option<&_>, _)| ours.is_some_and(|ours| secret.is(ours));
        ours.into_iter().find(is).map_or(Self::Other, |(_, which)| which)
    }

    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Previous => "previous",
            Self::Other => "not ours",
            Self::Unseen => "not shown",
        }
    }
}

/// All differences between what Smile has and what is wanted. `found` is everything that is registered.
pub fn drift(found: &[Webhook], desired: &Desired, document: &Document) -> Vec<Drift> {
    let ours = sorted(found.iter().filter(|webhook| desired.is_ours(webhook)));
    let mut drift = Vec::new();
    match ours.as_slice() {
        [] => drift.push(Drift::Missing),
        [_] => {}
        several => {
            drift.push(Drift::Duplicate { ids: several.iter().map(|webhook| webhook.id.clone()).collect() });
        }
    }
    // Of several, the one that would be kept is looked at; the others go.
    let kept = ours.iter().find(|webhook| desired.fits(webhook)).or(ours.first());
    drift.extend(kept.into_iter().flat_map(|webhook| of_one(webhook, desired, document)));
    for webhook in found.iter().filter(|webhook| !desired.is_ours(webhook)) {
        let id = webhook.id.clone();
        if webhook.url == desired.url() {
            drift.push(Drift::Name { id, name: webhook.name.clone() });
        } else if webhook.name == desired.name() {
            drift.push(Drift::Url { id, url: webhook.url.clone() });
        }
    }
    drift
}

fn of_one(found: &Webhook, desired: &Desired, document: &Document) -> Vec<Drift> {
    let id = || found.id.clone();
    let mut drift = Vec::new();
    if !found.active {
        drift.push(Drift::Inactive { id: id() });
    }
    let types = EventTypes::of(found);
    if types != *desired.event_types() {
        let less = |one: &EventTypes, other: &EventTypes| -> Vec<String> {
            one.iter().filter(|word| !other.iter().any(|other| other == *word)).map(str::to_owned).collect()
        };
        drift.push(Drift::Types {
            id: id(),
            missing: less(desired.event_types(), &types),
            extra: less(&types, desired.event_types()),
        });
    }
    if found.include_payload != desired.include_payload() {
        drift.push(Drift::Payload { id: id(), include_payload: found.include_payload });
    }
    if !found.secret.as_ref().is_some_and(|secret| secret.is(desired.secret())) {
        drift.push(Drift::Secret { id: id(), secret: SecretFound::of(found, document) });
    }
    drift
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("nothing is registered with this URL and name"),
            Self::Duplicate { ids } => {
                let ids: Vec<&str> = ids.iter().map(WebhookId::as_str).collect();
                write!(
                    f,
                    "{} registrations with this URL and name, every event comes as often: {}",
                    ids.len(),
                    ids.join(", ")
                )
            }
            Self::Url { id, url } => write!(f, "{id} has this name and goes to another URL, {url}"),
            Self::Name { id, name } => write!(f, "{id} goes to this URL under another name, {name:?}"),
            Self::Inactive { id } => write!(f, "{id} is switched off"),
            Self::Types { id, missing, extra } => {
                write!(f, "{id} is subscribed to other types")?;
                for (word, types) in [("missing", missing), ("not wanted", extra)] {
                    if !types.is_empty() {
                        write!(f, "; {word}: {}", types.join(", "))?;
                    }
                }
                Ok(())
            }
            Self::Payload { id, include_payload: true } => write!(f, "{id} includes payloads"),
            Self::Payload { id, include_payload: false } => write!(f, "{id} does not include payloads"),
            Self::Secret { id, secret } => {
                write!(f, "{id} signs with another secret than it should ({})", secret.word())
            }
        }
    }
}
