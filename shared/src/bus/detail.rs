//! The detail of an event on the bus: an allow list for each type.
//!
//! What stands on a bus is copied to wherever its rules lead, and kept in archives: so it carries ids, types,
//! times, status words, codes, counts, providers and data points, each only for the types that have it. Each must
//! have its form: an id or a word is `A-Za-z0-9_.:-`, a time is one. Free text, which could be anything, never
//! gets on; of the event's own id alone every form is let through, since nothing could be told apart without it.
//! A type that is not known yet carries ids alone.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::allowed::{of_callback, of_webhook};
use super::member::{Member, word_schema};
use crate::callback::Name;
use crate::event::words::is_word;
use crate::event::{EventType, instant};
use crate::id::MAX_ID_BYTES;
use crate::job::Source;
use crate::table::StoredEvent;

/// What a type is called that cannot be told: one that is no word, or a callback that a browser made up.
const UNKNOWN: &str = "UNKNOWN";

/// One event, as others may know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    source: String,
    kind: Kind,
    id: String,
    stored_at: Timestamp,
    members: Map<String, Value>,
}

/// Who said it, and what.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Webhook(EventType),
    Callback(Name),
}

impl Kind {
    fn of(source: &str, kind: &str) -> Self {
        if source == Source::Callback.as_str() {
            Self::Callback(Name::from(kind))
        } else {
            Self::Webhook(EventType::from(kind))
        }
    }

    /// Every one that is known, and one that is not.
    fn all() -> impl Iterator<Item = Self> {
        let types = EventType::KNOWN.iter().cloned().chain([EventType::Unknown(UNKNOWN.to_owned())]);
        let names = Name::KNOWN.iter().cloned().chain([Name::Unknown(UNKNOWN.to_owned())]);
        types.map(Self::Webhook).chain(names.map(Self::Callback))
    }

    fn members(&self) -> &'static [Member] {
        match self {
            Self::Webhook(kind) => of_webhook(kind),
            Self::Callback(name) => of_callback(name),
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Webhook(EventType::Unknown(kind)) if !is_word(kind) => UNKNOWN,
            Self::Webhook(kind) => kind.as_str(),
            Self::Callback(Name::Unknown(_)) => UNKNOWN,
            Self::Callback(name) => name.as_str(),
        }
    }

    /// Every member that the detail can have, and no others.
    fn schema(&self) -> Value {
        let (sources, kind_schema) = match self {
            Self::Webhook(EventType::Unknown(_)) => (json!(["webhook", "reconcile"]), word_schema()),
            Self::Webhook(_) => (json!(["webhook", "reconcile"]), json!({ "const": self.word() })),
            Self::Callback(_) => (json!(["callback"]), json!({ "const": self.word() })),
        };
        let mut properties = Map::new();
        let mut add = |name: &str, schema: Value| properties.insert(name.to_owned(), schema);
        add("id", json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES }));
        add("type", kind_schema);
        add("source", json!({ "enum": sources }));
        if matches!(self, Self::Webhook(_)) {
            add("otherBodyOf", json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES }));
        }
        for at in ["receivedAt", "storedAt", "occurredAt"] {
            add(at, json!({ "type": "string", "format": "date-time" }));
        }
        for member in self.members() {
            add(member.name(), member.schema());
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.word(),
            "type": "object",
            "required": ["id", "type", "source", "receivedAt", "storedAt"],
            "properties": properties,
            "additionalProperties": false,
        })
    }
}

impl Detail {
    /// What others may know of an event.
    pub fn of(event: &StoredEvent) -> Self {
        let kind = Kind::of(&event.source, &event.kind);
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
        add("id", json!(event.id));
        add("type", json!(kind.word()));
        add("source", json!(event.source));
        add("receivedAt", json!(event.received_at));
        add("storedAt", json!(event.stored_at));
        if let Some(first) = event.other_body_of.as_ref().filter(|_| matches!(kind, Kind::Webhook(_))) {
            add("otherBodyOf", json!(first));
        }
        if let Some(at) = event.created_at.as_deref().and_then(instant) {
            add("occurredAt", json!(at));
        }
        for member in kind.members() {
            if let Some(value) = member.value(event) {
                add(member.name(), value);
            }
        }
        let (source, id) = (event.source.clone(), event.id.clone());
        Self { source, kind, id, stored_at: event.stored_at, members }
    }

    /// `webhook`, `callback` or `reconcile`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The event's type. `UNKNOWN` for one that is no word, and for a callback that is not known: a browser can
    /// make a name up.
    pub fn detail_type(&self) -> &str {
        self.kind.word()
    }

    /// A bounded set of words for metrics.
    pub fn metric_word(&self) -> &str {
        match &self.kind {
            Kind::Webhook(kind) => kind.metric_word(),
            Kind::Callback(name) => name.metric_word(),
        }
    }

    /// The event's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it was stored.
    pub fn stored_at(&self) -> Timestamp {
        self.stored_at
    }

    /// The detail as it stands on the bus.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.members).unwrap_or_default()
    }

    /// The JSON schema of the detail of every type: by a file's name, such as `smile.webhook/TASK_FINISHED.json`.
    /// What was reconciled has the schema of the webhook that it stands for.
    pub fn schemas() -> impl Iterator<Item = (String, Value)> {
        Kind::all().map(|kind| {
            let source = if matches!(kind, Kind::Webhook(_)) { Source::Webhook } else { Source::Callback };
            (format!("smile.{}/{}.json", source.as_str(), kind.word()), kind.schema())
        })
    }

    /// The JSON schema of the detail of one type, from a source.
    pub fn schema(source: &str, kind: &str) -> Value {
        Kind::of(source, kind).schema()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::MAX_ENTRIES;
    use super::*;

    /// An event that says everything that an event can say.
    fn event(source: &str, kind: &str, say: impl Fn(&str) -> Value) -> StoredEvent {
        let one = [
            "user",
            "account",
            "archive",
            "invite",
            "record",
            "verification",
            "status",
            "error_code",
            "result_code",
            "task_type",
            "source_type",
            "monitor_status",
            "record_type",
            "channel",
            "channel_id",
            "item",
            "screen",
            "reason",
            "updated_from",
            "updated_to",
            "updated_at",
        ];
        let mut facts: Map<String, Value> =
            one.map(|name| (name.to_owned(), say(name))).into_iter().collect();
        for list in ["providers", "datapoints", "updated_ids", "cut", "file_types", "matched", "mismatched"] {
            facts.insert(list.to_owned(), json!(vec![say(list); 300]));
        }
        facts.insert("count".to_owned(), json!(2));
        facts.insert("final_matches".to_owned(), json!(false));
        facts.insert("items".to_owned(), json!({ say("items").as_str().unwrap_or_default(): 2 }));
        serde_json::from_value(json!({
            "id": "et-1", "type": kind, "source": source, "created_at": "2026-03-01T18:00:00+08:00",
            "received_at": "2026-03-01T10:00:01Z", "stored_at": "2026-03-01T10:00:02Z", "hash": "", "bytes": 0,
            "facts": facts,
        }))
        .unwrap()
    }

    fn kinds() -> impl Iterator<Item = (&'static str, String)> {
        let of = |kind: Kind| match kind {
            Kind::Webhook(kind) => vec![("webhook", kind.to_string()), ("reconcile", kind.to_string())],
            Kind::Callback(name) => vec![("callback", name.to_string())],
        };
        Kind::all().flat_map(of).chain([("webhook", "NEW_TYPE".to_owned()), ("callback", "onNew".to_owned())])
    }

    #[test]
    fn free_text_gets_on_the_bus_for_no_type() {
        for (source, kind) in kinds() {
            let detail = Detail::of(&event(source, &kind, |_| json!("Juan dela Cruz, 1 Rizal Street")));
            let json = detail.to_json();
            assert!(!json.contains("Juan") && !json.contains("Rizal"), "{kind}: {json}");
            let left: BTreeSet<&str> = detail.members.keys().map(String::as_str).collect();
            let envelope = ["id", "type", "source", "receivedAt", "storedAt", "occurredAt"];
            let numbers = ["count", "finalMatches"];
            assert!(
                left.iter().all(|name| numbers.contains(name) || envelope.contains(name)),
                "{kind}: {json}"
            );
        }
        let odd = Detail::of(&event("webhook", "Juan dela Cruz", |_| json!("x")));
        assert_eq!((odd.detail_type(), odd.metric_word()), ("UNKNOWN", "UNKNOWN"));
        assert!(!odd.to_json().contains("Juan"));
        let mut counted = event("webhook", "INCOMES_ADDED", |_| json!("x"));
        counted.facts.count = Some(9_175_550_199);
        assert!(!Detail::of(&counted).members.contains_key("count"), "no count, but somebody's number");
    }

    #[test]
    fn a_name_that_a_browser_made_up_is_not_told() {
        for name in ["TASK_FINISHED", "onJuanDelaCruz"] {
            let detail = Detail::of(&event("callback", name, |_| json!("x")));
            assert_eq!((detail.detail_type(), detail.metric_word()), ("UNKNOWN", "unknown"));
            assert!(!detail.to_json().contains(name) && !detail.to_json().contains("taskType"));
        }
        assert_eq!(Detail::of(&event("callback", "onClose", |_| json!("x"))).detail_type(), "onClose");
        // Smile's are authentic.
        assert_eq!(Detail::of(&event("webhook", "NEW_TYPE", |_| json!("x"))).detail_type(), "NEW_TYPE");
    }

    #[test]
    fn an_unknown_type_carries_ids_alone() {
        let ids = ["userId", "accountId", "archiveId", "inviteId", "recordId", "verificationId"];
        let envelope = ["id", "type", "source", "receivedAt", "storedAt", "occurredAt"];
        for (source, kind) in [("webhook", "NEW_TYPE"), ("callback", "onNew")] {
            let detail = Detail::of(&event(source, kind, |_| json!("x")));
            let members: BTreeSet<&str> = detail.members.keys().map(String::as_str).collect();
            assert_eq!(members, ids.into_iter().chain(envelope).collect());
        }
    }

    #[test]
    fn times_are_instants_or_days() {
        for (written, told) in [
            ("2026-03-01T18:00:00+08:00", json!("2026-03-01T10:00:00Z")),
            ("2026-03-01", json!("2026-03-01")),
            ("34-9999999-1", Value::Null),
            ("yesterday", Value::Null),
        ] {
            let detail = Detail::of(&event("webhook", "INCOMES_UPDATED", |_| json!(written)));
            let at = |name: &str| detail.members.get(name).cloned().unwrap_or_default();
            for name in ["updatedFrom", "updatedTo", "updatedAt"] {
                assert_eq!(at(name), told, "{written}");
            }
            assert_eq!(at("occurredAt"), "2026-03-01T10:00:00Z");
        }
    }

    /// EventBridge counts source, type and detail in UTF-8, and 14 bytes for the time.
    #[test]
    fn ten_of_the_largest_fit_in_one_call() {
        for (source, kind) in kinds() {
            let ids = ["user", "account", "archive", "invite", "record", "verification"];
            let longest = |name: &str| json!("x".repeat(if ids.contains(&name) { MAX_ID_BYTES } else { 64 }));
            let mut event = event(source, &kind, longest);
            // The one text that is let through whatever it holds; six bytes for each of these.
            event.id = "\u{1}".repeat(MAX_ID_BYTES);
            let detail = Detail::of(&event);
            let entry =
                "smile.".len() + source.len() + detail.detail_type().len() + detail.to_json().len() + 14;
            assert!(entry * MAX_ENTRIES < 256 * 1024, "{kind}: {entry}");
        }
    }
}
