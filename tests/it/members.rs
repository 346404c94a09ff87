//! Every required member, every enum and every truth value of the vendor's 37 event schemas: each is read, or stands in
//! a list of what is left out, with the reason. A member that the vendor adds fails the test until somebody decides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use shared::event::{Envelope, EventType};
use shared::state::{self, BodyHash};
use shared::verify::Verified;

use crate::golden::vendor;

/// What is not read of an event's data, by how its place begins, and why. `*` stands for one name.
const LEFT_OUT: &[(&str, &str)] = &[
    ("loginName", "personal"),
    ("errorMessage", "free text, which can be personal; the code is read"),
    ("payload.*.items.0.*", "personal data of a person: it stays in the body, and only its number is told"),
    ("payload.identity.*", "personal data of a person"),
    ("payload.rating.*", "personal data of a person"),
    ("payload.insight.*", "personal data of a person"),
    ("payload.*.0.payload.*.items.0.*", "personal data of a person, in a session's account or archive"),
    ("payload.*.0.payload.identity.*", "personal data of a person, in a session's account or archive"),
    ("payload.*.0.payload.rating.*", "personal data of a person, in a session's account or archive"),
    ("payload.*.0.payload.insight.*", "personal data of a person, in a session's account or archive"),
    ("result.additionalData.ids.0.idNumber", "personal"),
    ("result.additionalData.*.active", "about the contact, not whether it is the person's"),
    ("result.additionalData.*.deliverable", "about the contact, not whether it is the person's"),
    ("result.additionalData.*.disposable", "about the contact, not whether it is the person's"),
    ("result.additionalData.*.freeProvider", "about the contact, not whether it is the person's"),
    ("payload.metadata", "repeats the session"),
    ("payload.status", "repeats the record's own"),
    ("payload.resultCode", "repeats the record's own"),
    ("payload.createdAt", "repeats the record's creation"),
    ("payload.result", "personal data of a person: it stays in the body"),
    ("payload.requestMeta", "personal data of a person: it stays in the body"),
];

/// Who and what an entry belongs to must be read wherever it stands, or nothing of it can be erased.
const NEVER_LEFT_OUT: [&str; 4] = ["userId", "accountId", "sourceId", "archiveId"];

fn is_left_out(place: &str, pattern: &str) -> bool {
    if place.contains(".metadata.") && NEVER_LEFT_OUT.iter().any(|name| place.ends_with(name)) {
        return false;
    }
    let (place, pattern): (Vec<&str>, Vec<&str>) = (place.split('.').collect(), pattern.split('.').collect());
    pattern.len() <= place.len()
        && pattern.iter().zip(&place).all(|(pattern, name)| *pattern == "*" || pattern == name)
}

struct Specification(Value);

impl Specification {
    /// A schema with references followed and parts put together.
    fn resolved(&self, schema: &Value) -> Value {
        if let Some(name) = schema["$ref"].as_str() {
            return self.resolved(&self.0[name.rsplit('/').next().unwrap()]);
        }
        if let Some(first) = schema["oneOf"].as_array().and_then(|one| one.first()) {
            return self.resolved(first);
        }
        let mut whole = schema.clone();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let part = self.resolved(part);
            let mut required = whole["required"].as_array().cloned().unwrap_or_default();
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
            let mut properties = whole["properties"].as_object().cloned().unwrap_or_default();
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            whole["required"] = json!(required);
            whole["properties"] = Value::Object(properties);
        }
        whole
    }

    /// A value that fits the schema, with every member there is, and each place where something must be read.
    fn example(&self, schema: &Value, place: &str, found: &mut BTreeSet<String>) -> Value {
        let schema = self.resolved(schema);
        let kind = schema["type"].as_str().unwrap_or(if schema["properties"].is_object() {
            "object"
        } else {
            "string"
        });
        if schema["enum"].is_array() || kind == "boolean" {
            found.insert(place.to_owned());
        }
        match kind {
            "object" => {
                let required: Vec<&str> =
                    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let mut members = Map::new();
                for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                    let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                    if required.contains(&name.as_str()) {
                        found.insert(place.clone());
                    }
                    members.insert(name.clone(), self.example(member, &place, found));
                }
                Value::Object(members)
            }
            "array" => json!([self.example(&schema["items"], &format!("{place}.0"), found)]),
            "boolean" => json!(true),
            "integer" | "number" => json!(3),
            _ => match schema["enum"].as_array() {
                Some(words) => words[0].clone(),
                None if schema["format"] == "date-time" => json!("2026-03-01T10:00:00Z"),
                None => json!(format!("w-{}", place.rsplit('.').next().unwrap())),
            },
        }
    }

    /// Another value for the same place.
    fn other(value: &Value, words: &[Value]) -> Value {
        match value {
            Value::Bool(value) => json!(!value),
            Value::Number(_) => json!(4),
            Value::String(word) if words.len() > 1 => {
                words.iter().find(|other| *other != word && !other.is_null()).unwrap().clone()
            }
            Value::String(text) if text.starts_with("2026") => json!("2026-03-02T10:00:00Z"),
            Value::String(_) => json!("another"),
            _ => Value::Null,
        }
    }

    /// The words of the enum at a place.
    fn words(&self, schema: &Value, place: &str) -> Vec<Value> {
        let mut schema = self.resolved(schema);
        for name in place.split('.') {
            schema = self.resolved(if name == "0" { &schema["items"] } else { &schema["properties"][name] });
        }
        schema["enum"].as_array().cloned().unwrap_or_default()
    }
}

/// All that is read of an event, and all that it writes.
fn read(kind: &EventType, data: &Value) -> Value {
    let body = json!({ "id": "et-1", "version": 1, "type": kind, "createdAt": "2026-03-01T10:00:00Z", "data": data });
    let body = body.to_string();
    let envelope = Envelope::parse(Verified::from_own_queue(body.as_bytes())).unwrap();
    let facts = envelope.facts().unwrap();
    let received_at = "2026-03-01T12:00:00Z".parse().unwrap();
    // One hash for all: it stands for the body, which differs.
    let writes = state::writes(&envelope, &facts, &BodyHash::of(b""), received_at);
    let writes = writes.map(|writes| {
        let write = |write: &state::Write| json!([write.entity.to_string(), write.register, write.value]);
        writes.iter().map(write).collect::<Vec<_>>()
    });
    let subjects: Vec<String> = facts.subjects.iter().map(ToString::to_string).collect();
    json!([facts, subjects, writes.map_err(state::Unfolded::word).unwrap_or_else(|word| vec![json!(word)])])
}

#[test]
fn every_member_is_read_or_left_out_for_a_reason() {
    let Some(vendor) = vendor() else {
        return println!("NOT held against the vendor's schemas: they are not beside this checkout");
    };
    println!("held against the vendor's schemas");
    let specification = smile_cli::template::load(vendor.join("openapi-v1.yaml")).unwrap();
    let specification = Specification(specification["components"]["schemas"].clone());
    let (mut unread, mut used, mut count) = (BTreeMap::new(), BTreeSet::new(), 0);
    for kind in EventType::KNOWN {
        let words = kind.as_str().split('_');
        let name: String =
            words.flat_map(|word| [word[..1].to_owned(), word[1..].to_ascii_lowercase()]).collect();
        let event = specification.resolved(&specification.0[format!("{name}Event")]);
        let schema = &event["properties"]["data"];
        assert!(!schema.is_null(), "{kind}");
        let mut places = BTreeSet::new();
        let example = specification.example(schema, "", &mut places);
        let before = read(kind, &example);
        for place in places {
            count += 1;
            let pointer = format!("/{}", place.replace('.', "/"));
            let mut changed = example.clone();
            let Some(value) = changed.pointer_mut(&pointer) else {
                panic!("{kind} {place}: required and not there")
            };
            *value = Specification::other(value, &specification.words(schema, &place));
            if read(kind, &changed) != before {
                continue;
            }
            match LEFT_OUT.iter().find(|(pattern, _)| is_left_out(&place, pattern)) {
                Some((pattern, _)) => drop(used.insert(*pattern)),
                None => unread.entry(place).or_insert_with(Vec::new).push(kind.to_string()),
            }
        }
    }
    println!("{count} members");
    assert!(count > 300, "{count}");
    assert!(unread.is_empty(), "neither read nor left out: {unread:#?}");
    let stale: Vec<_> = LEFT_OUT.iter().filter(|(pattern, _)| !used.contains(pattern)).collect();
    assert!(stale.is_empty(), "these leave nothing out any more: {stale:#?}");
}
