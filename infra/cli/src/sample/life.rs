//! One user's life with Smile, in the order in which things happen. All 37 types occur.
//!
//! | chapter | what it shows |
//! |---|---|
//! | opening | user, invite, widget session |
//! | first account | a provider with a login: refused once, connected, read, then watched and updated |
//! | second account | a provider without a login: known by its `LINK_ACCOUNT` task alone |
//! | archives | one that fails and is read at the second try; one that is revoked |
//! | apart from the user | a record and a verification |
//! | third account | connected, and disconnected at the end |
//!
//! Several steps share a second on purpose: the vendor's times have whole seconds.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::event::EventType as E;

use super::person::Person;
use super::{Ids, event};

/// From the first event to the last.
const LENGTH: SignedDuration = SignedDuration::from_secs(941);

/// The whole life of the user of `ids`, whose account and archive are the first ones here. The last
/// event happens at `now`.
pub fn life(ids: &Ids, now: Timestamp, rng: &mut Rng) -> Vec<Value> {
    let person = Person::of(&ids.user);
    let mut other =
        |provider: &str| Ids { provider: provider.to_owned(), ..Ids::of_user(ids.user.clone(), rng) };
    let second = other(person.providers.without_login);
    let third = other(person.providers.third);
    let mut story = Story { at: now.saturating_sub(LENGTH).unwrap_or(now), rng, events: Vec::new() };
    opening(&mut story, ids);
    first_account(&mut story, ids);
    second_account(&mut story, &second);
    archives(&mut story, ids, &second);
    closing_of_the_widget(&mut story, ids);
    apart_from_the_user(&mut story, ids);
    first_account_later(&mut story, ids);
    third_account(&mut story, &third);
    story.events
}

struct Story<'a> {
    at: Timestamp,
    rng: &'a mut Rng,
    events: Vec<Value>,
}

impl Story<'_> {
    /// What happens next, so many seconds after what happened last. Gives the event's data, to change.
    fn then(&mut self, seconds: i64, kind: &E, ids: &Ids) -> &mut Value {
        self.at = self.at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(self.at);
        let index = self.events.len();
        self.events.push(event(kind, ids, self.at, self.rng));
        &mut self.events[index]["data"]
    }
}

fn opening(story: &mut Story<'_>, ids: &Ids) {
    story.then(0, &E::UserCreated, ids);
    story.then(2, &E::InviteInvited, ids);
    story.then(95, &E::InviteLinked, ids);
}

fn first_account(story: &mut Story<'_>, ids: &Ids) {
    story.then(40, &E::AccountCreated, ids);
    story.then(0, &E::TaskStarted, ids);
    story.then(11, &E::AccountFailed, ids);
    let task = story.then(0, &E::TaskFinished, ids);
    task["status"] = json!("FAILED");
    task["errorCode"] = json!("INVALID_CREDENTIALS");
    task["datapoints"] = json!([]);
    task["payload"] = Value::Null;
    story.then(34, &E::TaskStarted, ids);
    story.then(14, &E::AccountConnected, ids);
    for (seconds, kind) in [
        (3, E::IdentityAdded),
        (0, E::RatingAdded),
        (1, E::EmploymentsAdded),
        (0, E::IncomesAdded),
        (1, E::EincomesAdded),
        (0, E::ContributionsAdded),
        (0, E::LiabilitiesAdded),
        (1, E::TransactionsAdded),
        (0, E::DocumentsAdded),
        (2, E::LinkAdded),
        (0, E::InsightAdded),
        (1, E::TaskFinished),
    ] {
        story.then(seconds, &kind, ids);
    }
}

fn second_account(story: &mut Story<'_>, ids: &Ids) {
    story.then(25, &E::TaskStarted, ids);
    story.then(6, &E::IdentityAdded, ids);
    let task = story.then(0, &E::TaskFinished, ids);
    task["datapoints"] = json!(["IDENTITIES"]);
    keep_only_identity(&mut task["payload"]);
}

fn archives(story: &mut Story<'_>, first: &Ids, second: &Ids) {
    story.then(50, &E::ArchiveStarted, first);
    story.then(9, &E::ArchiveFailed, first);
    story.then(48, &E::ArchiveStarted, first);
    analysis(story.then(0, &E::TaskStarted, first), first);
    story.then(17, &E::ArchiveAnalyzed, first);
    let task = story.then(0, &E::TaskFinished, first);
    analysis(task, first);
    task["datapoints"] = json!(["INCOMES"]);
    if let Some(payload) = task["payload"].as_object_mut() {
        payload
            .iter_mut()
            .filter(|(name, _)| *name != "incomes")
            .for_each(|(_, section)| *section = Value::Null);
    }
    story.then(21, &E::ArchiveStarted, second);
    story.then(12, &E::ArchiveAnalyzed, second);
    // The session so far shows the archive that is taken back a minute later.
    story.then(30, &E::UserSessionCompleted, first)["payload"]["archives"][0]["id"] = json!(second.archive);
    story.then(58, &E::ArchiveRevoked, second);
}

fn closing_of_the_widget(story: &mut Story<'_>, ids: &Ids) {
    story.then(4, &E::UserSessionReset, ids);
    story.then(73, &E::UserSessionCompleted, ids);
}

fn apart_from_the_user(story: &mut Story<'_>, ids: &Ids) {
    story.then(20, &E::VerificationStarted, ids);
    story.then(8, &E::VerificationCompleted, ids);
    story.then(31, &E::RecordCreated, ids);
    story.then(44, &E::RecordCompleted, ids);
}

fn first_account_later(story: &mut Story<'_>, ids: &Ids) {
    story.then(120, &E::EmploymentsUpdated, ids);
    story.then(0, &E::IncomesUpdated, ids);
    story.then(1, &E::EincomesUpdated, ids);
    story.then(0, &E::ContributionsUpdated, ids);
    story.then(0, &E::LiabilitiesUpdated, ids);
    story.then(1, &E::DocumentsUpdated, ids);
    story.then(1, &E::AccountSyncTaskFinished, ids);
}

fn third_account(story: &mut Story<'_>, ids: &Ids) {
    story.then(65, &E::AccountCreated, ids);
    story.then(1, &E::TaskStarted, ids);
    story.then(16, &E::AccountConnected, ids);
    story.then(2, &E::IdentityAdded, ids);
    let task = story.then(0, &E::TaskFinished, ids);
    task["datapoints"] = json!(["IDENTITIES"]);
    keep_only_identity(&mut task["payload"]);
    story.then(73, &E::AccountDisconnected, ids);
}

fn analysis(task: &mut Value, ids: &Ids) {
    task["taskType"] = json!("ANALYZE_ARCHIVE");
    task["sourceType"] = json!("ARCHIVE");
    task["sourceId"] = json!(ids.archive);
    task["providers"] = json!([]);
}

fn keep_only_identity(payload: &mut Value) {
    if let Some(payload) = payload.as_object_mut() {
        payload
            .iter_mut()
            .filter(|(name, _)| *name != "identity")
            .for_each(|(_, section)| *section = Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::event::Envelope;
    use shared::state::view::StateView;
    use shared::state::{BodyHash, State, writes};
    use shared::verify::Verified;

    use super::*;
    use crate::sample::body;

    fn now() -> Timestamp {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    fn a_life() -> (Ids, Vec<Value>) {
        let mut rng = Rng::with_seed(7);
        let ids = Ids::fresh(&mut rng);
        let events = life(&ids, now(), &mut rng);
        (ids, events)
    }

    #[test]
    fn every_type_occurs_each_event_once_and_in_order() {
        let (_, events) = a_life();
        let kinds: BTreeSet<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let known: BTreeSet<&str> = E::KNOWN.iter().map(E::as_str).collect();
        assert_eq!(kinds, known);
        let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), events.len());
        let times: Vec<&str> = events.iter().map(|event| event["createdAt"].as_str().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!((times[0], times[times.len() - 1]), ("2026-03-01T09:44:19Z", "2026-03-01T10:00:00Z"));
    }

    #[test]
    fn the_events_add_up_to_the_life_that_was_told() {
        let (ids, events) = a_life();
        let mut state = State::default();
        for event in &events {
            let body = body(event);
            let envelope = Envelope::parse(Verified::from_own_queue(body.as_bytes())).unwrap();
            let facts = envelope.facts().unwrap();
            writes(&envelope, &facts, &BodyHash::of(body.as_bytes()), now())
                .unwrap()
                .into_iter()
                .for_each(|write| state.apply(write));
        }
        let view = serde_json::to_value(StateView::from(&state)).unwrap();
        let user = &view["users"][&ids.user];
        let text = serde_json::to_string_pretty(&user).unwrap();
        assert_eq!(user["session"]["status"], "COMPLETED", "{text}");
        assert_eq!(user["invites"][0]["status"], "LINKED", "{text}");
        let accounts = user["accounts"].as_array().unwrap();
        let statuses: BTreeSet<_> =
            accounts.iter().map(|account| account["status"].as_str().unwrap()).collect();
        assert_eq!((accounts.len(), statuses), (3, ["CONNECTED", "DISCONNECTED"].into()), "{text}");
        let first = accounts.iter().find(|account| account["account"] == ids.account).unwrap();
        assert_eq!(first["monitor"]["status"], "ACTIVE", "{text}");
        assert_eq!(first["data"].as_object().unwrap().len(), 11, "{text}");
        let archives = user["archives"].as_array().unwrap();
        let statuses: BTreeSet<_> =
            archives.iter().map(|archive| archive["status"].as_str().unwrap()).collect();
        assert_eq!((archives.len(), statuses), (2, ["ANALYZED", "REVOKED"].into()), "{text}");
    }
}
