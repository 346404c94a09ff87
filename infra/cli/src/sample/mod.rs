//! Events as Smile would send them, with data that is ours: one sample of each type, and the whole
//! life of one user.
//!
//! The samples lie in `samples/<TYPE>.json` with places such as `{{user}}` that are filled here, so that
//! every event has ids of its own and times that lie in the recent past. The people in them are
//! invented, in four countries where Smile's providers are: the Philippines, Indonesia, Viet Nam and Thailand.
//! Nothing here reads a clock or a random source of its own: the same arguments give the same event.

mod fill;
mod grow;
mod ids;
mod life;
mod person;

use std::borrow::Cow;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::Value;
use shared::event::EventType;

pub use self::grow::grow;
pub use self::ids::Ids;
pub use self::life::life;

macro_rules! samples {
    ($($kind:literal)*) => {
        &[$(($kind, include_str!(concat!("../../samples/", $kind, ".json")))),*]
    };
}

/// Type and text of each sample.
const SAMPLES: &[(&str, &str)] = samples! {
    "USER_CREATED" "USER_SESSION_COMPLETED" "USER_SESSION_RESET"
    "ACCOUNT_CREATED" "ACCOUNT_CONNECTED" "ACCOUNT_DISCONNECTED" "ACCOUNT_FAILED" "ACCOUNT_SYNC_TASK_FINISHED"
    "TASK_STARTED" "TASK_FINISHED"
    "ARCHIVE_STARTED" "ARCHIVE_ANALYZED" "ARCHIVE_FAILED" "ARCHIVE_REVOKED"
    "INVITE_INVITED" "INVITE_LINKED"
    "IDENTITY_ADDED" "RATING_ADDED" "TRANSACTIONS_ADDED" "INSIGHT_ADDED" "LINK_ADDED"
    "DOCUMENTS_ADDED" "DOCUMENTS_UPDATED" "EMPLOYMENTS_ADDED" "EMPLOYMENTS_UPDATED"
    "INCOMES_ADDED" "INCOMES_UPDATED" "EINCOMES_ADDED" "EINCOMES_UPDATED"
    "CONTRIBUTIONS_ADDED" "CONTRIBUTIONS_UPDATED" "LIABILITIES_ADDED" "LIABILITIES_UPDATED"
    "VERIFICATION_STARTED" "VERIFICATION_COMPLETED" "RECORD_CREATED" "RECORD_COMPLETED"
};

/// What stands for a type that Smile does not have yet.
const OF_TOMORROW: &str = r#"{"id":"{{event}}","version":1,"type":"","createdAt":"{{now}}",
    "data":{"userId":"{{user}}","accountId":"{{account}}","providers":["{{provider}}"]}}"#;

/// A new event of this type about these ids, created at `now`. A type that is not known yet gets the
/// data that most types have.
///
/// # Panics
///
/// Never: the samples are part of this program, and a test reads every one.
pub fn event(kind: &EventType, ids: &Ids, now: Timestamp, rng: &mut Rng) -> Value {
    let text = SAMPLES.iter().find(|(name, _)| *name == kind.as_str()).map_or(OF_TOMORROW, |(_, text)| text);
    #[expect(clippy::expect_used, reason = "see above")]
    let mut event: Value = serde_json::from_str(text).expect("a sample is JSON");
    fill::fill(&mut event, ids, now, rng);
    event["type"] = kind.as_str().into();
    event
}

/// The body to send: the event on one line, its members in the order in which Smile writes them.
pub fn body(event: &Value) -> String {
    format!(
        r#"{{"id":{},"version":{},"type":{},"createdAt":{},"data":{}}}"#,
        event["id"], event["version"], event["type"], event["createdAt"], event["data"]
    )
}

/// Whether samples of this type carry lists that [`grow`] can make longer.
pub fn has_payload(kind: &EventType) -> bool {
    matches!(
        kind,
        EventType::TaskFinished | EventType::AccountSyncTaskFinished | EventType::UserSessionCompleted
    )
}

/// Reads what somebody typed as a type: any case, dashes or spaces for underscores.
pub fn kind(typed: &str) -> EventType {
    let word: Cow<'_, str> = typed.trim().to_uppercase().replace(['-', ' '], "_").into();
    EventType::from(word.as_ref())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::event::Envelope;
    use shared::state::{BodyHash, writes};
    use shared::verify::Verified;

    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T10:00:00.75Z".parse().unwrap()
    }

    #[test]
    fn providers_are_of_the_vendor_s_market() {
        let mut rng = Rng::with_seed(3);
        for number in 0..60 {
            let ids = Ids::of_user(format!("demo-{number}"), &mut rng);
            let country = ids.provider.rsplit('_').next().unwrap();
            assert!(["ph", "id", "vn", "th"].contains(&country), "{}", ids.provider);
        }
        for (kind, text) in SAMPLES {
            assert!(!text.contains("_mx\"") && !text.contains("MXN"), "{kind}");
        }
    }

    #[test]
    fn every_type_has_a_sample_that_is_read_and_folded() {
        let mut rng = Rng::with_seed(1);
        let mut seen = BTreeSet::new();
        for kind in EventType::KNOWN {
            assert!(SAMPLES.iter().any(|(name, _)| *name == kind.as_str()), "no sample of {kind}");
            let ids = Ids::fresh(&mut rng);
            let body = body(&event(kind, &ids, now(), &mut rng));
            assert!(!body.contains("{{"), "a place was not filled: {body}");
            let envelope = Envelope::parse(Verified::from_own_queue(body.as_bytes())).unwrap();
            assert_eq!(&envelope.kind, kind);
            assert_eq!(envelope.created_at.as_deref(), Some("2026-03-01T10:00:00Z"), "whole seconds");
            let facts = envelope.facts().unwrap();
            let named = [
                facts.user.as_ref().map(|id| (id.as_str(), &ids.user)),
                facts.account.as_ref().map(|id| (id.as_str(), &ids.account)),
                facts.archive.as_ref().map(|id| (id.as_str(), &ids.archive)),
                facts.invite.as_ref().map(|id| (id.as_str(), &ids.invite)),
                facts.record.as_ref().map(|id| (id.as_str(), &ids.record)),
                facts.verification.as_ref().map(|id| (id.as_str(), &ids.verification)),
            ];
            assert!(named.iter().any(Option::is_some), "{kind} is about nothing");
            for (found, given) in named.into_iter().flatten() {
                assert_eq!(found, given, "{kind}");
            }
            let written = writes(&envelope, &facts, &BodyHash::of(body.as_bytes()), now());
            assert!(written.is_ok(), "{kind}: {written:?}");
            assert!(seen.insert(envelope.id), "an id came twice");
        }
        assert_eq!((seen.len(), SAMPLES.len()), (37, 37));
    }

    /// Compared with the vendor's table of what each type's data carries.
    #[test]
    fn samples_say_what_the_vendor_says_of_their_type() {
        let mut rng = Rng::with_seed(2);
        let ids = Ids::fresh(&mut rng);
        let mut members = |kind: EventType| -> BTreeSet<String> {
            event(&kind, &ids, now(), &mut rng)["data"].as_object().unwrap().keys().cloned().collect()
        };
        let set = |names: &str| names.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
        for (kind, names) in [
            (EventType::AccountFailed, "userId accountId loginName errorCode errorMessage providers"),
            (EventType::TaskStarted, "userId sourceId sourceType taskType providers"),
            (
                EventType::TaskFinished,
                "userId sourceId sourceType taskType status errorCode providers datapoints payload",
            ),
            (
                EventType::AccountSyncTaskFinished,
                "userId sourceId sourceType providers status monitorStatus datapoints payload",
            ),
            (EventType::IdentityAdded, "userId accountId identityId providers"),
            (EventType::LinkAdded, "userId accountId id providers"),
            (EventType::TransactionsAdded, "userId accountId count providers"),
            (EventType::DocumentsUpdated, "userId accountId providers updatedIds count updatedAt"),
            (EventType::EincomesUpdated, "userId accountId providers count updatedFrom updatedTo updatedAt"),
            (EventType::VerificationCompleted, "verificationId resultCode resultMessage result"),
            (EventType::RecordCompleted, "recordId recordType status resultCode resultMessage payload"),
            (EventType::UserSessionCompleted, "session payload"),
        ] {
            assert_eq!(members(kind.clone()), set(names), "{kind}");
        }
    }

    #[test]
    fn the_same_arguments_give_the_same_event_and_others_another() {
        let ids = Ids::fresh(&mut Rng::with_seed(3));
        let make = |seed| event(&EventType::TaskFinished, &ids, now(), &mut Rng::with_seed(seed));
        assert_eq!(make(4), make(4));
        assert_ne!(make(4)["id"], make(5)["id"]);
        assert_eq!(make(4)["data"]["userId"], make(5)["data"]["userId"]);
    }

    #[test]
    fn a_type_of_tomorrow_is_an_event_too() {
        let mut rng = Rng::with_seed(6);
        let ids = Ids::fresh(&mut rng);
        let body = body(&event(&kind("assets-added"), &ids, now(), &mut rng));
        assert!(body.starts_with(r#"{"id":"et-"#) && body.contains(r#""type":"ASSETS_ADDED""#), "{body}");
    }

    #[test]
    fn types_may_be_typed_in_any_way() {
        for typed in ["account-connected", "ACCOUNT_CONNECTED", "Account Connected "] {
            assert_eq!(kind(typed), EventType::AccountConnected);
        }
    }
}
