//! One member of a detail: its name, what it takes from an event, and its schema. Each lets through what has its
//! form, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::event::words::{is_of_word, is_word};
use crate::id::MAX_ID_BYTES;
use crate::table::StoredEvent;

/// The most entries of a list; the rest is in the body.
const MAX_LIST: usize = 100;

/// The greatest count. Smile's lists are far from it; a number of somebody's is mostly above.
const MAX_COUNT: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
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
    Items,
    Cut,
    FileTypes,
    FinalMatches,
    Matched,
    Mismatched,
    Item,
    UpdatedIds,
    UpdatedFrom,
    UpdatedTo,
    UpdatedAt,
    Screen,
    Reason,
}

impl Member {
    pub(super) fn name(self) -> &'static str {
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
            Self::Items => "items",
            Self::Cut => "cut",
            Self::FileTypes => "fileTypes",
            Self::FinalMatches => "finalMatches",
            Self::Matched => "matched",
            Self::Mismatched => "mismatched",
            Self::Item => "itemId",
            Self::UpdatedIds => "updatedIds",
            Self::UpdatedFrom => "updatedFrom",
            Self::UpdatedTo => "updatedTo",
            Self::UpdatedAt => "updatedAt",
            Self::Screen => "screen",
            Self::Reason => "reason",
        }
    }

    pub(super) fn value(self, event: &StoredEvent) -> Option<Value> {
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
            Self::Count => facts.count.filter(|count| *count <= MAX_COUNT).map(Value::from),
            Self::Items => counts(&facts.items),
            Self::Cut => words(&facts.cut),
            Self::FileTypes => words(&facts.file_types),
            Self::FinalMatches => facts.final_matches.map(Value::from),
            Self::Matched => words(&facts.matched),
            Self::Mismatched => words(&facts.mismatched),
            Self::Item => word(facts.item.as_ref()),
            Self::UpdatedIds => words(&facts.updated_ids),
            Self::UpdatedFrom => time(facts.updated_from.as_ref()),
            Self::UpdatedTo => time(facts.updated_to.as_ref()),
            Self::UpdatedAt => time(facts.updated_at.as_ref()),
            Self::Screen => word(facts.screen.as_ref()),
            Self::Reason => word(facts.reason.as_ref()),
        }
    }

    pub(super) fn schema(self) -> Value {
        match self {
            Self::User | Self::Account | Self::Archive | Self::Invite | Self::Record | Self::Verification => {
                of_word_schema(MAX_ID_BYTES)
            }
            Self::Providers
            | Self::Datapoints
            | Self::UpdatedIds
            | Self::Cut
            | Self::FileTypes
            | Self::Matched
            | Self::Mismatched => {
                json!({ "type": "array", "items": word_schema(), "minItems": 1, "maxItems": MAX_LIST })
            }
            Self::Count => count_schema(),
            Self::Items => json!({
                "type": "object", "propertyNames": word_schema(), "additionalProperties": count_schema(),
                "minProperties": 1, "maxProperties": MAX_LIST,
            }),
            Self::FinalMatches => json!({ "type": "boolean" }),
            Self::UpdatedFrom | Self::UpdatedTo | Self::UpdatedAt => {
                json!({ "type": "string", "anyOf": [{ "format": "date-time" }, { "format": "date" }] })
            }
            Self::Status
            | Self::ErrorCode
            | Self::ResultCode
            | Self::TaskType
            | Self::SourceType
            | Self::MonitorStatus
            | Self::RecordType
            | Self::Item
            | Self::Screen
            | Self::Reason => word_schema(),
        }
    }
}

fn count_schema() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": MAX_COUNT })
}

pub(super) fn word_schema() -> Value {
    of_word_schema(64)
}

fn of_word_schema(longest: usize) -> Value {
    json!({ "type": "string", "pattern": format!("^[A-Za-z0-9_.:-]{{1,{longest}}}$") })
}

fn id(id: Option<&impl ToString>) -> Option<Value> {
    id.map(ToString::to_string).filter(|id| is_of_word(id)).map(Value::from)
}

fn word(word: Option<&impl ToString>) -> Option<Value> {
    word.map(ToString::to_string).filter(|word| is_word(word)).map(Value::from)
}

fn words(list: &[String]) -> Option<Value> {
    let words: Vec<&String> = list.iter().filter(|word| is_word(word)).take(MAX_LIST).collect();
    (!words.is_empty()).then(|| json!(words))
}

/// Numbers by name.
fn counts(items: &BTreeMap<String, u64>) -> Option<Value> {
    let is_told = |(name, count): &(&String, &u64)| is_word(name) && **count <= MAX_COUNT;
    let told: BTreeMap<&String, &u64> = items.iter().filter(is_told).take(MAX_LIST).collect();
    (!told.is_empty()).then(|| json!(told))
}

/// An instant, in UTC, or a day.
fn time(at: Option<&String>) -> Option<Value> {
    let at = at?;
    let instant = crate::event::instant(at).map(|at| json!(at));
    instant.or_else(|| at.parse::<jiff::civil::Date>().map(|day| json!(day)).ok())
}
