//! What is registered, with the secret masked, and what is wrong with it.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use shared::registration::{Desired, Document, Drift, EventTypes, SecretFound, drift};
use shared::smile_api::{Webhook, WebhookId};

/// What is registered and what should be. Carries no secret.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    wanted: Wanted,
    registrations: Vec<Registration>,
    /// `pending` or `previous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<UnderWay>,
    drift: Vec<Drift>,
}

#[derive(Debug, Clone, Serialize)]
struct Wanted {
    name: String,
    url: String,
    event_types: Vec<String>,
    include_payload: bool,
}

/// A registration that has our URL or our name.
#[derive(Debug, Clone, Serialize)]
struct Registration {
    id: WebhookId,
    name: String,
    url: String,
    event_types: Vec<String>,
    include_payload: bool,
    active: bool,
    /// Which secret it has, not what it is.
    secret: SecretFound,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum UnderWay {
    /// It was begun, and is to be finished.
    Pending,
    /// It is over, and the functions accept the secret of before it until then.
    Previous { until: Timestamp },
}

impl Status {
    /// Compares. `found` is everything that is registered.
    pub fn new(found: Vec<Webhook>, desired: &Desired, document: &Document, now: Timestamp) -> Self {
        let words = |types: &EventTypes| types.iter().map(str::to_owned).collect();
        let drift = drift(&found, &document.wanted(desired, &found), document);
        let ours = found
            .into_iter()
            .filter(|webhook| webhook.url == desired.url() || webhook.name == desired.name());
        let registrations = ours
            .map(|webhook| Registration {
                secret: SecretFound::of(&webhook, document),
                event_types: words(&EventTypes::of(&webhook)),
                id: webhook.id,
                name: webhook.name,
                url: webhook.url,
                include_payload: webhook.include_payload,
                active: webhook.active,
                created_at: webhook.created_at,
            })
            .collect();
        let previous = document.previous().filter(|previous| previous.is_valid(now));
        let rotation = match (document.pending(), previous) {
            (Some(_), _) => Some(UnderWay::Pending),
            (None, Some(previous)) => Some(UnderWay::Previous { until: previous.not_after() }),
            (None, None) => None,
        };
        let wanted = Wanted {
            name: desired.name().to_owned(),
            url: desired.url().to_owned(),
            event_types: words(desired.event_types()),
            include_payload: desired.include_payload(),
        };
        Self { wanted, registrations, rotation, drift }
    }

    /// Whether there is nothing to do.
    pub fn is_right(&self) -> bool {
        self.drift.is_empty() && self.rotation != Some(UnderWay::Pending)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = |include: bool| if include { ", with payloads" } else { "" };
        let wanted = &self.wanted;
        writeln!(f, "wanted  {:?} at {}", wanted.name, wanted.url)?;
        writeln!(f, "        {}{}", wanted.event_types.join(","), payload(wanted.include_payload))?;
        for found in &self.registrations {
            let inactive = if found.active { "" } else { ", switched off" };
            writeln!(f, "found   {} {:?} at {}", found.id, found.name, found.url)?;
            writeln!(
                f,
                "        {}{}{inactive}, secret ******** ({})",
                found.event_types.join(","),
                payload(found.include_payload),
                found.secret.word()
            )?;
        }
        match self.rotation {
            Some(UnderWay::Pending) => {
                writeln!(
                    f,
                    "not right: a rotation was begun: finish it with smile register rotate --finish"
                )?;
            }
            Some(UnderWay::Previous { until }) => {
                writeln!(f, "        the previous secret is accepted until {until}")?;
            }
            None => {}
        }
        for drift in &self.drift {
            writeln!(f, "not right: {drift}")?;
        }
        if self.is_right() {
            writeln!(f, "all is as it should be")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::smile_api::SecretText;

    use super::*;

    fn status(found: &Value, document: &Value) -> Status {
        let found: Vec<Webhook> = serde_json::from_value(found.clone()).unwrap();
        let document = Document::parse(&document.to_string()).unwrap();
        let url = "https://hooks.example.com/";
        let desired =
            Desired::new("receiver", url, EventTypes::all(), false, SecretText::new("hush-a")).unwrap();
        Status::new(found, &desired, &document, "2026-03-01T10:00:00Z".parse().unwrap())
    }

    fn webhook(id: &str, secret: &str) -> Value {
        json!({ "id": id, "name": "receiver", "url": "https://hooks.example.com/", "eventTypes": ["ALL_EVENTS"],
            "active": true, "secret": secret, "createdAt": "2026-03-01T09:00:00Z" })
    }

    #[test]
    fn shows_what_is_there_and_never_a_secret() {
        let right = status(&json!([webhook("w-1", "hush-a")]), &json!({ "current": "hush-a" }));
        assert!(right.is_right());
        assert!(right.to_string().ends_with("(current)\nall is as it should be\n"), "{right}");
        let drifted = status(&json!([webhook("w-1", "hush-x")]), &json!({ "current": "hush-a" }));
        assert!(!drifted.is_right());
        assert!(drifted.to_string().contains("not right: w-1 signs with another secret"), "{drifted}");
        let begun =
            status(&json!([webhook("w-1", "hush-b")]), &json!({ "current": "hush-a", "pending": "hush-b" }));
        assert!(!begun.is_right() && begun.drift.is_empty(), "{begun}");
        let over = json!({ "current": "hush-b", "previous": { "secret": "hush-a", "not_after": "2026-03-01T10:05:00Z" } });
        let over = status(&json!([webhook("w-1", "hush-b")]), &over);
        assert!(over.is_right() && over.to_string().contains("until 2026-03-01T10:05:00Z"), "{over}");
        for status in [right, drifted, begun, over] {
            let all = format!("{status}{status:?}{}", serde_json::to_string(&status).unwrap());
            assert!(!all.contains("hush"), "{all}");
        }
    }
}
