//! What is registered, with the secret masked, and what is wrong with it.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use shared::registration::{Answered, Desired, Document, Drift, EventTypes, SecretFound, Unanswered, drift};
use shared::smile_api::{Webhook, WebhookId};

use super::setting::Domain;

/// What is registered and what should be. Carries no secret.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    wanted: Wanted,
    registrations: Vec<Registration>,
    /// `pending` or `previous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<UnderWay>,
    drift: Vec<Drift>,
    /// Why the receiver is not known to answer at the wanted URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered: Option<String>,
    /// Whether that is known to be wrong.
    #[serde(skip)]
    is_silent: bool,
    /// What is left to do until Smile sends to the stack's own domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<NextUrl>,
}

/// The URL at the stack's own domain name, which is not the one that is wanted.
#[derive(Debug, Clone, Serialize)]
struct NextUrl {
    url: String,
    /// The name that the DNS record must point to.
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered: Option<String>,
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
        Self { wanted, registrations, rotation, drift, unanswered: None, is_silent: false, domain: None }
    }

    /// With the responses at the wanted URL and at the stack's own domain name.
    #[must_use]
    pub fn with_answers(
        self,
        answers: Result<Answered, Unanswered>,
        next: Option<(&Domain, Result<Answered, Unanswered>)>,
    ) -> Self {
        let unanswered = answers.err();
        let is_silent = unanswered.as_ref().is_some_and(is_silent);
        let domain = next.map(|(domain, answers)| NextUrl {
            url: domain.url.clone(),
            target: domain.target.clone(),
            unanswered: answers.err().map(|why| why.to_string()),
        });
        Self { unanswered: unanswered.map(|why| why.to_string()), is_silent, domain, ..self }
    }

    /// Whether there is nothing to put right.
    pub fn is_right(&self) -> bool {
        self.drift.is_empty() && self.rotation != Some(UnderWay::Pending) && !self.is_silent
    }
}

/// Whether a URL is known not to lead to the receiver. Something in front of it may let nobody but Smile through, and
/// answers others with 403.
pub(super) fn is_silent(why: &Unanswered) -> bool {
    *why != Unanswered::NotTheReceiver(403)
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
        if let Some(why) = &self.unanswered {
            let word = if self.is_silent { "not right" } else { "not known" };
            writeln!(f, "{word}: {} does not answer as this receiver does: {why}", wanted.url)?;
        }
        if let Some(NextUrl { url, target, unanswered }) = &self.domain {
            match unanswered {
                Some(why) => writeln!(
                    f,
                    "next    point the domain name's DNS record to {target}; once {url} answers, deploy with \
                     RegisteredUrl={url} (now: {why})"
                )?,
                None => writeln!(f, "next    {url} answers: deploy with RegisteredUrl={url}")?,
            }
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

    #[test]
    fn says_whether_the_url_answers_and_what_comes_before_a_switch() {
        let right = || status(&json!([webhook("w-1", "hush-a")]), &json!({ "current": "hush-a" }));
        let answers = |url: &str| {
            let refusal = shared::refusal::Refusal::SOURCE;
            Answered::from_response(url, refusal.status, refusal.body.as_bytes())
        };
        let silent = |why| Err(Unanswered::NoResponse(why));
        let dead = right().with_answers(silent("its host name is not found"), None);
        assert!(!dead.is_right());
        assert!(dead.to_string().contains("not right: https://hooks.example.com/ does not answer"), "{dead}");
        let closed = right().with_answers(Err(Unanswered::NotTheReceiver(403)), None);
        assert!(closed.is_right() && closed.to_string().contains("not known: "), "{closed}");
        let domain =
            Domain { url: "https://new.example.com/".to_owned(), target: "d-1.example.org".to_owned() };
        let waiting = right()
            .with_answers(answers("https://hooks.example.com/"), Some((&domain, silent("TLS failed"))));
        assert!(waiting.is_right(), "a domain name that is not in use yet is no fault");
        let text = waiting.to_string();
        for words in ["DNS record to d-1.example.org", "RegisteredUrl=https://new.example.com/", "TLS failed"]
        {
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(serde_json::to_value(&waiting).unwrap()["domain"]["target"], "d-1.example.org");
        let ready = right().with_answers(answers("u"), Some((&domain, answers("v")))).to_string();
        assert!(ready.contains("answers: deploy with RegisteredUrl=https://new.example.com/"), "{ready}");
    }
}
