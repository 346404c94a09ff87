//! An example of each of the vendor's 37 event types, against hand-written expectations (`golden/`).
//!
//! Two sets of examples: the samples of `smile send`, which are ours and always there; and the vendor's own, which are not
//! part of this project. The tests read these where a checkout has them beside itself, and say so when it has not. The
//! expectations are what the vendor's say, to the letter; of a sample they hold what it is about, and which register it
//! writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::event::{Envelope, EventType, MonitorStatus, SourceType, Status, TaskType};
use shared::smile_api::{ArchiveStatus, ConnectionStatus, InviteStatus, SessionStatus, TaskState};
use shared::state::{self, BodyHash};
use shared::verify::{self, Secret};
use smile_cli::sample::{self, Ids};

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

/// One example.
pub(crate) struct Example {
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
    is_vendors: bool,
}

impl Example {
    /// Compares what the example was read as with what it should be.
    pub(crate) fn check(&self, facts: &Value, mut subjects: Vec<String>, entity: &str, register: &str) {
        let kind = &self.kind;
        let mut golden: Golden = read_json(&it_dir().join(format!("golden/{kind}.json")));
        // Our sample's session has a channel of its own.
        let of = |register: &str| register.split("#site-").next().unwrap().to_owned();
        assert_eq!(of(register), of(&golden.register), "{kind}");
        if self.is_vendors {
            subjects.sort();
            golden.subjects.sort();
            let expected = (&golden.facts, golden.subjects, golden.entity.as_str());
            assert_eq!((facts, subjects, entity), expected, "{kind}");
            return;
        }
        let thing = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
        let things = |all: &[String]| all.iter().map(|subject| thing(subject)).collect::<BTreeSet<_>>();
        assert_eq!(thing(entity), thing(&golden.entity), "{kind}");
        assert!(things(&golden.subjects).is_subset(&things(&subjects)), "{kind}: {subjects:?}");
        let names = |facts: &Value| facts.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let missing: Vec<_> = names(&golden.facts).difference(&names(facts)).cloned().collect();
        assert!(missing.is_empty(), "{kind} lacks {missing:?}: {facts}");
    }
}

/// The vendor's documents, if they lie beside this checkout.
pub(crate) fn vendor() -> Option<PathBuf> {
    let beside = it_dir().join("../../../shared/smile");
    beside.is_dir().then_some(beside)
}

/// An example of each type, and the vendor's own of each where they are there.
pub(crate) fn examples() -> Vec<Example> {
    let mut rng = Rng::with_seed(37);
    let now = "2026-03-01T10:00:00Z".parse().unwrap();
    let ours = EventType::KNOWN.iter().map(|kind| {
        let body = sample::body(&sample::event(kind, &Ids::fresh(&mut rng), now, &mut rng)).into_bytes();
        Example { kind: kind.to_string(), body, is_vendors: false }
    });
    let mut examples: Vec<Example> = ours.collect();
    let Some(vendor) = vendor() else {
        println!("NOT held against the vendor's examples: they are not beside this checkout");
        return examples;
    };
    println!("held against the vendor's examples");
    let files = std::fs::read_dir(vendor.join("events")).unwrap().map(|file| file.unwrap().path());
    examples.extend(files.map(|file| Example {
        kind: stem(&file),
        body: std::fs::read(&file).unwrap(),
        is_vendors: true,
    }));
    assert_eq!(examples.len(), 2 * EventType::KNOWN.len());
    examples
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn each_example_is_authentic_read_right_and_writes_its_register() {
    let secret = Secret::new("a secret of 1 to 64 characters").unwrap();
    let received_at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    for example in examples() {
        let Example { kind, body, is_vendors } = &example;
        let signature = verify::sign(&secret, body).to_string();
        let verified = verify::verify(body, Some(&signature), [&secret]).unwrap();
        let event = Envelope::parse(verified).unwrap();
        assert_eq!(event.kind.as_str(), kind);
        let facts = event.facts().unwrap();
        let subjects: Vec<String> = facts.subjects.iter().map(ToString::to_string).collect();
        let writes = state::writes(&event, &facts, &BodyHash::of(body), received_at).unwrap();
        let [write] = writes.as_slice() else { panic!("{kind}: {writes:?}") };
        let facts = serde_json::to_value(&facts).unwrap();
        example.check(&facts, subjects, &write.entity.to_string(), &write.register);
        let golden: Golden = read_json(&it_dir().join(format!("golden/{kind}.json")));
        assert_eq!(write.value.v.rank(), golden.rank, "{kind}");
        if *is_vendors {
            assert_eq!(json!(write.value.fields), golden.fields, "{kind}");
        }
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
    let hold = |schemas: &[&str], known: &[&str], unknown: &[&str]| {
        let listed = schemas.iter().flat_map(|schema| enum_of(&specification, schema));
        let listed: BTreeSet<String> = listed.filter(|word| word != "null").collect();
        let ours = known.iter().chain(unknown).map(|word| (*word).to_owned()).collect();
        assert_eq!(listed, ours, "{schemas:?}");
    };
    let known: Vec<_> = SourceType::KNOWN.iter().map(SourceType::as_str).collect();
    hold(&["RefSourceType"], &known, &[]);
    let known: Vec<_> = TaskType::KNOWN.iter().map(TaskType::as_str).collect();
    hold(&["TaskType"], &known, &[]);
    let known: Vec<_> = MonitorStatus::KNOWN.iter().map(MonitorStatus::as_str).collect();
    hold(&["AccountMonitorStatus"], &known, &[]);
    // A session that was revoked is listed by the API alone: no event says so.
    let of_events = [
        "TaskFinishedEventData",
        "SocialSecurityCompletedEventData.status",
        "UserSessionStatus",
        "AccountSyncTaskFinishedEvent",
    ];
    let known: Vec<_> = Status::KNOWN.iter().map(Status::as_str).collect();
    hold(&of_events, &known, &["REVOKED"]);
    is_read::<ConnectionStatus>(&specification, "AccountConnectionStatus");
    is_read::<SessionStatus>(&specification, "UserSessionStatus");
    is_read::<InviteStatus>(&specification, "InviteStatus");
    is_read::<TaskState>(&specification, "Task");
    is_read::<ArchiveStatus>(&specification, "Archive.status");
}

/// Whether each word of an enum of the specification is one that a type knows.
fn is_read<T: DeserializeOwned + std::fmt::Debug>(specification: &str, schema: &str) {
    let words = enum_of(specification, schema);
    assert!(words.len() > 1, "{schema}: {words:?}");
    for word in words.iter().filter(|word| *word != "null") {
        let read: T = serde_json::from_value(json!(word)).unwrap();
        assert!(!format!("{read:?}").starts_with("Unknown"), "{schema}: {word} is not known");
    }
}

/// The words under `enum:` of a schema of the specification, `Schema`, or of one member of it, `Schema.member`. The
/// specification is a file of one fixed form.
fn enum_of(specification: &str, schema: &str) -> Vec<String> {
    let (schema, member) = match schema.split_once('.') {
        Some((schema, member)) => (schema, Some(member)),
        None => (schema, None),
    };
    let head = format!("    {schema}:");
    let mut words = Vec::new();
    let (mut inside, mut of) = (false, "");
    for line in specification.lines().skip_while(|line| *line != head).skip(1) {
        let indent = line.len() - line.trim_start().len();
        if indent <= 4 && !line.trim().is_empty() {
            break;
        }
        match line.trim() {
            "enum:" => inside = member.is_none_or(|member| member == of),
            item if inside && item.starts_with("- ") => {
                words.push(item[2..].trim_matches(['"', '\'']).to_owned());
            }
            item => {
                inside = false;
                let name = item.strip_suffix(':').filter(|name| !name.contains(' '));
                of = name.unwrap_or(of);
            }
        }
    }
    words
}
