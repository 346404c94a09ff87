//! The vendor's own example of each of its 37 event types, against hand-written expectations.
//!
//! The examples are the vendor's and not part of this project: the tests read them where a checkout has
//! them beside itself, and say so when it has not. The expectations (`golden/`) are ours.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::event::{Envelope, EventType};
use shared::state::{self, BodyHash};
use shared::verify::{self, Secret};

use crate::support::{it_dir, read_json};

/// What one example must be read as.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    facts: Value,
    subjects: Vec<String>,
    entity: String,
    register: String,
    rank: u8,
    fields: Value,
}

/// The vendor's documents, if they lie beside this checkout.
pub(crate) fn vendor() -> Option<PathBuf> {
    let beside = it_dir().join("../../../shared/smile");
    beside.is_dir().then_some(beside)
}

/// The vendor's examples by type; empty where they are not there.
pub(crate) fn examples() -> Vec<(String, Vec<u8>)> {
    let Some(vendor) = vendor() else {
        println!("NOT held against the vendor's examples: they are not beside this checkout");
        return Vec::new();
    };
    println!("held against the vendor's examples");
    let mut examples: Vec<_> = std::fs::read_dir(vendor.join("events"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (stem(&file), std::fs::read(&file).unwrap()))
        .collect();
    examples.sort();
    examples
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn each_example_is_authentic_read_right_and_writes_its_register() {
    let secret = Secret::new("a secret of 1 to 64 characters").unwrap();
    let received_at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let examples = examples();
    assert!(examples.is_empty() || examples.len() == 37);
    for (kind, body) in &examples {
        let golden: Golden = read_json(&it_dir().join(format!("golden/{kind}.json")));
        let signature = verify::sign(&secret, body).to_string();
        let verified = verify::verify(body, Some(&signature), [&secret]).unwrap();
        let event = Envelope::parse(verified).unwrap();
        assert_eq!(event.kind.as_str(), kind);
        let facts = event.facts().unwrap();
        assert_eq!(serde_json::to_value(&facts).unwrap(), golden.facts, "{kind}");
        let subjects: Vec<String> = facts.subjects.iter().map(ToString::to_string).collect();
        assert_eq!(subjects, golden.subjects, "{kind}");
        let write = state::writes(&event, &facts, &BodyHash::of(body), received_at).unwrap().pop().unwrap();
        let written = json!({
            "entity": write.entity.to_string(),
            "register": write.register,
            "rank": write.value.v.rank(),
            "fields": write.value.fields,
        });
        let Golden { entity, register, rank, fields, .. } = golden;
        assert_eq!(
            written,
            json!({ "entity": entity, "register": register, "rank": rank, "fields": fields }),
            "{kind}"
        );
    }
}

#[test]
fn every_type_has_an_expectation() {
    for kind in EventType::KNOWN {
        let golden: Golden = read_json(&it_dir().join(format!("golden/{kind}.json")));
        assert!(!golden.register.is_empty(), "{kind}");
    }
}

/// The types, and the words of the vendor's enums, as its specification lists them.
#[test]
fn the_words_are_those_of_the_specification() {
    let Some(vendor) = vendor() else {
        return println!("NOT held against the vendor's specification: it is not beside this checkout");
    };
    println!("held against the vendor's specification");
    let specification = std::fs::read_to_string(vendor.join("openapi-v1.yaml")).unwrap();
    let listed = enum_of(&specification, "RefWebhookEventType");
    assert!(listed.len() >= 37, "{listed:?}");
    let unknown: Vec<_> = listed
        .iter()
        .filter(|word| {
            matches!(EventType::from(word.as_str()), EventType::Unknown(_)) && *word != "ALL_EVENTS"
        })
        .collect();
    assert!(unknown.is_empty(), "the specification has types that are not known: {unknown:?}");
    for kind in EventType::KNOWN {
        assert!(listed.iter().any(|word| word == kind.as_str()), "{kind} is not in the specification");
    }
}

/// The words under `enum:` of one schema of the specification, which is a file of one fixed form.
fn enum_of(specification: &str, schema: &str) -> Vec<String> {
    let head = format!("    {schema}:");
    let mut words = Vec::new();
    let mut inside = false;
    for line in specification.lines().skip_while(|line| *line != head).skip(1) {
        let indent = line.len() - line.trim_start().len();
        if indent <= 4 && !line.trim().is_empty() {
            break;
        }
        match line.trim() {
            "enum:" => inside = true,
            item if inside && item.starts_with("- ") => {
                words.push(item[2..].trim_matches(['"', '\'']).to_owned());
            }
            _ => inside = false,
        }
    }
    words
}
