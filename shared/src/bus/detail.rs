//! The detail of an event on the bus: an allow list for each type.
//!
//! What stands on a bus is copied to wherever its rules lead, and kept in archives: so it carries ids, types,
//! times, status words, codes, counts, providers and data points, each only for the types that have it. Words
//! and codes must look like some ([`crate::callback`] has the same rule for browsers): free text, which could be
//! anything, never gets on. A type that is not known yet carries ids alone.

use serde_json::{Map, Value, json};

use crate::callback::{Name, is_word};
use crate::event::EventType;
use crate::table::StoredEvent;

/// One event, as others may know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    source: String,
    detail_type: String,
    members: Map<String, Value>,
}

/// What a type's detail can have, besides the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    User,
    Account,
    Archive,
    Invite,
    Record,
    Verification,
    Providers,
    Status,
    ErrorCode,
    ResultCode,
    TaskType,
    SourceType,
    MonitorStatus,
    RecordType,
    Datapoints,
    Count,
    Item,
    UpdatedIds,
    UpdatedFrom,
    UpdatedTo,
    UpdatedAt,
    Screen,
    Reason,
}

use Member as M;

const ACCOUNT: &[Member] = &[M::User, M::Account, M::Providers];
const FAILED: &[Member] = &[M::User, M::Account, M::Providers, M::ErrorCode];
const ARCHIVE: &[Member] = &[M::User, M::Archive];
const ARCHIVE_FAILED: &[Member] = &[M::User, M::Archive, M::ErrorCode];
const TASK: &[Member] = &[M::User, M::Account, M::Archive, M::SourceType, M::TaskType, M::Providers];
const TASK_FINISHED: &[Member] = &[
    M::User,
    M::Account,
    M::Archive,
    M::SourceType,
    M::TaskType,
    M::Providers,
    M::Status,
    M::ErrorCode,
    M::Datapoints,
];
const SYNC: &[Member] = &[
    M::User,
    M::Account,
    M::Archive,
    M::SourceType,
    M::Providers,
    M::Status,
    M::MonitorStatus,
    M::Datapoints,
];
const ONE_ADDED: &[Member] = &[M::User, M::Account, M::Providers, M::Item];
const MANY_ADDED: &[Member] = &[M::User, M::Account, M::Providers, M::Count];
const IDS_UPDATED: &[Member] = &[M::User, M::Account, M::Providers, M::Count, M::UpdatedIds, M::UpdatedAt];
const SPAN_UPDATED: &[Member] =
    &[M::User, M::Account, M::Providers, M::Count, M::UpdatedFrom, M::UpdatedTo, M::UpdatedAt];
const INVITE: &[Member] = &[M::User, M::Invite];
const IDS: &[Member] = &[M::User, M::Account, M::Archive, M::Invite, M::Record, M::Verification];

fn of_webhook(kind: &EventType) -> &'static [Member] {
    use EventType as E;
    match kind {
        E::UserCreated => &[M::User],
        E::UserSessionCompleted | E::UserSessionReset => &[M::User, M::Status],
        E::AccountCreated | E::AccountConnected | E::AccountDisconnected => ACCOUNT,
        E::AccountFailed => FAILED,
        E::AccountSyncTaskFinished => SYNC,
        E::TaskStarted => TASK,
        E::TaskFinished => TASK_FINISHED,
        E::ArchiveStarted | E::ArchiveAnalyzed | E::ArchiveRevoked => ARCHIVE,
        E::ArchiveFailed => ARCHIVE_FAILED,
        E::InviteInvited | E::InviteLinked => INVITE,
        E::IdentityAdded | E::RatingAdded | E::InsightAdded | E::LinkAdded => ONE_ADDED,
        E::TransactionsAdded
        | E::DocumentsAdded
        | E::EmploymentsAdded
        | E::IncomesAdded
        | E::EincomesAdded
        | E::ContributionsAdded
        | E::LiabilitiesAdded => MANY_ADDED,
        E::DocumentsUpdated | E::EmploymentsUpdated | E::LiabilitiesUpdated => IDS_UPDATED,
        E::IncomesUpdated | E::EincomesUpdated | E::ContributionsUpdated => SPAN_UPDATED,
        E::VerificationStarted => &[M::Verification],
        E::VerificationCompleted => &[M::Verification, M::ResultCode],
        E::RecordCreated => &[M::Record, M::RecordType],
        E::RecordCompleted => &[M::Record, M::RecordType, M::Status, M::ResultCode],
        E::Unknown(_) => IDS,
    }
}

fn of_callback(name: &Name) -> &'static [Member] {
    match name {
        Name::AccountCreated | Name::AccountConnected | Name::AccountRemoved => ACCOUNT,
        Name::AccountError => FAILED,
        Name::TokenExpired => &[M::User],
        Name::Close => &[M::User, M::Reason],
        Name::UploadsCreated | Name::UploadsRemoved => &[M::User, M::Count],
        Name::UiEvent => &[M::User, M::Account, M::Providers, M::Screen],
        Name::Unknown(_) => IDS,
    }
}

/// The source's word for what browsers say.
const CALLBACK: &str = "callback";

fn members_of(source: &str, kind: &str) -> &'static [Member] {
    if source == CALLBACK { of_callback(&Name::from(kind)) } else { of_webhook(&EventType::from(kind)) }
}

impl Detail {
    /// What others may know of an event.
    pub fn of(event: &StoredEvent) -> Self {
        let mut members = Map::new();
        let detail_type = if is_word(&event.kind) { event.kind.clone() } else { "UNKNOWN".to_owned() };
        members.insert("id".to_owned(), json!(event.id));
        members.insert("type".to_owned(), json!(detail_type));
        members.insert("source".to_owned(), json!(event.source));
        members.insert("receivedAt".to_owned(), json!(event.received_at));
        members.insert("storedAt".to_owned(), json!(event.stored_at));
        if let Some(at) = event.created_at.as_deref().and_then(|at| at.parse::<jiff::Timestamp>().ok()) {
            members.insert("occurredAt".to_owned(), json!(at));
        }
        for member in members_of(&event.source, &event.kind) {
            if let Some(value) = member.value(event) {
                members.insert(member.name().to_owned(), value);
            }
        }
        Self { source: event.source.clone(), detail_type, members }
    }

    /// `webhook`, `callback` or `reconcile`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The event's type; `UNKNOWN` for one that is not even a word.
    pub fn detail_type(&self) -> &str {
        &self.detail_type
    }

    /// The event's id.
    pub fn id(&self) -> &str {
        self.members.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// The detail as it stands on the bus. At most some 20 KB: EventBridge takes 256 KB a call.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.members).unwrap_or_default()
    }

    /// The JSON schema of the detail of a type, from a source: every member it can have, and no others.
    pub fn schema(source: &str, kind: &str) -> Value {
        let time = json!({ "type": "string", "format": "date-time" });
        let mut properties = Map::new();
        properties.insert("id".to_owned(), id_schema());
        properties.insert("type".to_owned(), json!({ "const": kind }));
        properties.insert("source".to_owned(), json!({ "const": source }));
        for at in ["receivedAt", "storedAt", "occurredAt"] {
            properties.insert(at.to_owned(), time.clone());
        }
        for member in members_of(source, kind) {
            properties.insert(member.name().to_owned(), member.schema());
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": kind,
            "description": format!("The detail of smile.{source} / {kind} on the event bus"),
            "type": "object",
            "required": ["id", "type", "source", "receivedAt", "storedAt"],
            "properties": properties,
            "additionalProperties": false,
        })
    }
}

/// The most ids of one list: the rest is in the body.
const MAX_LIST: usize = 100;

impl Member {
    fn name(self) -> &'static str {
        match self {
            Self::User => "userId",
            Self::Account => "accountId",
            Self::Archive => "archiveId",
            Self::Invite => "inviteId",
            Self::Record => "recordId",
            Self::Verification => "verificationId",
            Self::Providers => "providers",
            Self::Status => "status",
            Self::ErrorCode => "errorCode",
            Self::ResultCode => "resultCode",
            Self::TaskType => "taskType",
            Self::SourceType => "sourceType",
            Self::MonitorStatus => "monitorStatus",
            Self::RecordType => "recordType",
            Self::Datapoints => "datapoints",
            Self::Count => "count",
            Self::Item => "itemId",
            Self::UpdatedIds => "updatedIds",
            Self::UpdatedFrom => "updatedFrom",
            Self::UpdatedTo => "updatedTo",
            Self::UpdatedAt => "updatedAt",
            Self::Screen => "screen",
            Self::Reason => "reason",
        }
    }

    fn value(self, event: &StoredEvent) -> Option<Value> {
        let facts = &event.facts;
        match self {
            Self::User => id(facts.user.as_ref()),
            Self::Account => id(facts.account.as_ref()),
            Self::Archive => id(facts.archive.as_ref()),
            Self::Invite => id(facts.invite.as_ref()),
            Self::Record => id(facts.record.as_ref()),
            Self::Verification => id(facts.verification.as_ref()),
            Self::Providers => words(&facts.providers),
            Self::Status => word(facts.status.as_ref()),
            Self::ErrorCode => word(facts.error_code.as_ref()),
            Self::ResultCode => word(facts.result_code.as_ref()),
            Self::TaskType => word(facts.task_type.as_ref()),
            Self::SourceType => word(facts.source_type.as_ref()),
            Self::MonitorStatus => word(facts.monitor_status.as_ref()),
            Self::RecordType => word(facts.record_type.as_ref()),
            Self::Datapoints => words(&facts.datapoints),
            Self::Count => facts.count.map(|count| json!(count)),
            Self::Item => word(facts.item.as_ref()),
            Self::UpdatedIds => words(&facts.updated_ids),
            Self::UpdatedFrom => word(facts.updated_from.as_ref()),
            Self::UpdatedTo => word(facts.updated_to.as_ref()),
            Self::UpdatedAt => word(facts.updated_at.as_ref()),
            Self::Screen => word(facts.screen.as_ref()),
            Self::Reason => word(facts.reason.as_ref()),
        }
    }

    fn schema(self) -> Value {
        let word = json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$" });
        match self {
            Self::User | Self::Account | Self::Archive | Self::Invite | Self::Record | Self::Verification => {
                id_schema()
            }
            Self::Providers | Self::Datapoints | Self::UpdatedIds => {
                json!({ "type": "array", "items": word, "minItems": 1, "maxItems": MAX_LIST })
            }
            Self::Count => json!({ "type": "integer", "minimum": 0 }),
            _ => word,
        }
    }
}

fn id_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 256 })
}

fn id(id: Option<&impl ToString>) -> Option<Value> {
    id.map(|id| json!(id.to_string()))
}

fn word(word: Option<&impl ToString>) -> Option<Value> {
    word.map(ToString::to_string).filter(|word| is_word(word)).map(Value::from)
}

fn words(list: &[String]) -> Option<Value> {
    let words: Vec<&String> = list.iter().filter(|word| is_word(word)).take(MAX_LIST).collect();
    (!words.is_empty()).then(|| json!(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(source: &str, kind: &str) -> StoredEvent {
        let text = "Juan dela Cruz, 1 Rizal Street";
        serde_json::from_value(json!({
            "id": "et-1", "type": kind, "source": source, "created_at": "2026-03-01T18:00:00+08:00",
            "received_at": "2026-03-01T10:00:01Z", "stored_at": "2026-03-01T10:00:02Z", "hash": "", "bytes": 0,
            "facts": {
                "user": "u-1", "account": "a-1", "archive": "r-1", "invite": "i-1", "record": "ss-1",
                "verification": "v-1", "providers": ["sss_ph", text], "status": text, "error_code": text,
                "result_code": text, "task_type": text, "source_type": text, "monitor_status": text,
                "record_type": text, "channel": text, "channel_id": text, "datapoints": [text], "count": 2,
                "item": text, "screen": text, "reason": text, "updated_ids": [text], "updated_from": text,
                "updated_to": text, "updated_at": text,
            },
        }))
        .unwrap()
    }

    fn kinds() -> impl Iterator<Item = (&'static str, String)> {
        let vendors = EventType::KNOWN.iter().map(|kind| ("webhook", kind.to_string()));
        let names = Name::KNOWN.iter().map(|name| (CALLBACK, name.to_string()));
        vendors.chain(names).chain([("webhook", "NEW_TYPE".to_owned()), (CALLBACK, "onNew".to_owned())])
    }

    #[test]
    fn free_text_gets_on_the_bus_for_no_type() {
        for (source, kind) in kinds() {
            let json = Detail::of(&event(source, &kind)).to_json();
            assert!(!json.contains("Juan") && !json.contains("Rizal"), "{kind}: {json}");
        }
        let odd = Detail::of(&event("webhook", "Juan dela Cruz"));
        assert_eq!(odd.detail_type(), "UNKNOWN");
        assert!(!odd.to_json().contains("Juan"));
    }

    #[test]
    fn a_browser_that_calls_itself_by_a_vendors_type_is_read_as_a_browser() {
        let detail = Detail::of(&event(CALLBACK, "TASK_FINISHED"));
        assert!(detail.to_json().contains("\"source\":\"callback\""));
        assert!(!detail.to_json().contains("taskType"));
    }

    #[test]
    fn an_unknown_type_carries_ids_alone() {
        let detail = Detail::of(&event("webhook", "NEW_TYPE"));
        let members: Vec<&str> = detail.members.keys().map(String::as_str).collect();
        let mut expected = vec!["id", "type", "source", "receivedAt", "storedAt", "occurredAt"];
        expected.extend(IDS.iter().map(|member| member.name()));
        let sorted = |mut list: Vec<&'static str>| {
            list.sort_unstable();
            list
        };
        let mut members: Vec<String> = members.into_iter().map(str::to_owned).collect();
        members.sort_unstable();
        assert_eq!(members, sorted(expected));
    }
}
