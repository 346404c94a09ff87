//! What gets on the bus: for every type what its schema says, and nothing personal, wherever in a body it stands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fastrand::Rng;
use jsonschema::Validator;
use serde_json::{Value, json};
use shared::callback::Name;
use shared::event::EventType;
use shared::job::Source;
use smile_cli::sample::{self, Ids};

use super::aws::Fault;
use super::{World, callback, now};
use crate::golden::examples;
use crate::personal::{MARKS, found, person};
use crate::support::{it_dir, read_json};

/// Members of a body that the bus may carry something of: those of [`shared::bus::detail`], by the vendor's names.
const ALLOWED: [&str; 32] = [
    "idType",
    "fileType",
    "userId",
    "accountId",
    "archiveId",
    "inviteId",
    "recordId",
    "verificationId",
    "sourceId",
    "identityId",
    "ratingId",
    "id",
    "providers",
    "providerId",
    "status",
    "errorCode",
    "resultCode",
    "taskType",
    "sourceType",
    "monitorStatus",
    "recordType",
    "datapoints",
    "dataPoints",
    "count",
    "updatedIds",
    "updatedFrom",
    "updatedTo",
    "updatedAt",
    "eventName",
    "reason",
    "clientId",
    "uploads",
];

/// The schemas as they lie in the folder, by source and type.
fn schemas() -> BTreeMap<(String, String), Validator> {
    let folder = it_dir().join("../../functions/publish/schemas");
    let files = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut schemas = BTreeMap::new();
    for source in files(folder).filter(|path| path.is_dir()) {
        for file in files(source.clone()) {
            let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
            let schema: Value = read_json(&file);
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            // "smile.webhook" has an extension of its own.
            let source = source.file_name().unwrap().to_string_lossy().into_owned();
            schemas.insert((source, name(&file)), validator);
        }
    }
    schemas
}

/// One event of each of Smile's types, and one of tomorrow's: Smile's own examples where they are there, and
/// samples of ours.
fn webhooks() -> Vec<Value> {
    let mut rng = Rng::with_seed(7);
    let kinds = EventType::KNOWN.iter().cloned().chain([EventType::Unknown("NEW_OF_TOMORROW".to_owned())]);
    let ours = kinds.map(|kind| sample::event(&kind, &Ids::fresh(&mut rng), now(), &mut rng));
    let mut all: Vec<Value> = ours.collect();
    all.extend(examples().iter().map(|example| serde_json::from_slice(&example.body).unwrap()));
    for (at, event) in all.iter_mut().enumerate() {
        event["id"] = json!(format!("et-{at}"));
    }
    all
}

/// The nine callbacks, and two that a browser made up.
fn callbacks() -> Vec<Value> {
    let account = json!({ "accountId": "a-1", "userId": "u-1", "providerId": "sss_ph" });
    let value = |name: &str| match name {
        "onClose" => json!({ "reason": "exit", "more": "text" }),
        "onUploadsCreated" | "onUploadsRemoved" => {
            json!({ "uploads": [{ "id": "f", "name": "text" }], "userId": "u-1" })
        }
        "onUIEvent" => json!({ "eventName": "LoginPageOpened", "mode": "SANDBOX", "account": account,
            "archive": { "fileType": "PAYSLIP" } }),
        _ => {
            json!({ "accountId": "a-1", "userId": "u-1", "providerId": "sss_ph", "errorCode": "MFA_TIMEOUT", "more": "text" })
        }
    };
    let names = Name::KNOWN.iter().map(Name::as_str).chain(["onSomethingNew", "onZqanastasia"]);
    names.enumerate().map(|(at, name)| callback(&format!("c-{at}"), name, &value(name))).collect()
}

/// Plants a text in every leaf that may have one; further members, with data of a person, in every object.
fn plant(value: &mut Value, name: &str, text: &impl Fn(&str) -> Option<Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                plant(member, name, text);
            }
            members.insert("zqperson".to_owned(), person());
        }
        Value::Array(list) => list.iter_mut().for_each(|item| plant(item, name, text)),
        Value::Bool(_) => {}
        leaf => {
            if let Some(text) = text(name) {
                *leaf = if leaf.is_number() { json!(98_765_432_109_876_u64) } else { text };
            }
        }
    }
}

/// What of a person is planted where.
type Planted = (&'static str, fn(&str) -> Option<Value>);

fn sentence() -> Value {
    json!(MARKS.join(" "))
}

const WAYS: [Planted; 2] = [
    // Free text everywhere, in ids, codes and counts, too.
    ("text", |_| Some(sentence())),
    // Single words, which could be a code, wherever none of what is told stands.
    ("words", |name| (!ALLOWED.contains(&name)).then(|| json!(MARKS[name.len() % MARKS.len()]))),
];

/// Has everything stored by the consumer and published from the stream; gives what is on the bus.
async fn published(webhooks: &[Value], callbacks: &[Value]) -> Vec<Value> {
    let mut world = World::new(|_: &str| Fault::Nothing).await;
    for body in webhooks {
        world.store(body, Source::Webhook).await;
        let mut reconciled = body.clone();
        reconciled["id"] = json!(format!("rc-{}", body["id"].as_str().unwrap()));
        world.store(&reconciled, Source::Reconcile).await;
    }
    for body in callbacks {
        world.store(body, Source::Callback).await;
    }
    world.run_dry().await;
    let entries = world.aws.state().bus.clone();
    assert_eq!(entries.len(), 2 * webhooks.len() + callbacks.len());
    entries
}

/// Holds an entry to the schema of its source and type.
fn held_to_its_schema(entry: &Value, schemas: &BTreeMap<(String, String), Validator>) -> Value {
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    let source = entry["Source"].as_str().unwrap().replace("reconcile", "webhook");
    let of = |kind: &str| schemas.get(&(source.clone(), kind.to_owned()));
    let kind = entry["DetailType"].as_str().unwrap();
    assert_eq!(
        (&detail["type"], format!("smile.{}", detail["source"].as_str().unwrap())),
        (&json!(kind), entry["Source"].as_str().unwrap().to_owned())
    );
    let schema = of(kind).or_else(|| of("UNKNOWN")).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&detail).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{kind}: {wrong:?} in {detail}");
    detail
}

#[tokio::test]
async fn every_type_is_what_its_schema_says() {
    let (schemas, webhooks) = (schemas(), webhooks());
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in published(&webhooks, &callbacks()).await {
        let detail = held_to_its_schema(&entry, &schemas);
        let of = (entry["Source"].as_str().unwrap().to_owned(), detail["type"].as_str().unwrap().to_owned());
        // More than the envelope, but for what says nothing more.
        let members = detail.as_object().unwrap().len();
        assert!(members >= 7, "{detail}");
        *seen.entry(of).or_default() += 1;
    }
    for kind in EventType::KNOWN {
        for source in ["smile.webhook", "smile.reconcile"] {
            assert!(seen.contains_key(&(source.to_owned(), kind.to_string())), "{kind}");
        }
    }
    for name in Name::KNOWN {
        assert!(seen.contains_key(&("smile.callback".to_owned(), name.to_string())), "{name}");
    }
    assert_eq!(seen[&("smile.callback".to_owned(), "UNKNOWN".to_owned())], 2);
    assert_eq!(seen.len(), 2 * 38 + 10);
}

#[tokio::test]
async fn the_schemas_refuse_what_is_not_allowed() {
    let schemas = schemas();
    assert_eq!(schemas.len(), 38 + 10);
    let good = json!({ "id": "et-1", "type": "TASK_FINISHED", "source": "webhook", "userId": "u-1",
        "receivedAt": "2026-03-01T10:00:01Z", "storedAt": "2026-03-01T10:00:02.5Z", "datapoints": ["INCOMES"] });
    let schema = &schemas[&("smile.webhook".to_owned(), "TASK_FINISHED".to_owned())];
    assert!(schema.is_valid(&good));
    for (name, wrong) in [
        ("id", Value::Null),
        ("id", json!("")),
        ("type", json!("TASK_STARTED")),
        ("source", json!("callback")),
        ("storedAt", json!("yesterday")),
        ("userId", json!("Juan dela Cruz")),
        ("datapoints", json!([])),
        ("loginName", json!("juan")),
        ("count", json!(1)),
    ] {
        let mut changed = good.clone();
        changed[name] = wrong;
        assert!(!schema.is_valid(&changed), "{changed}");
    }
}

#[tokio::test]
async fn nothing_personal_gets_on_the_bus_wherever_it_stands() {
    let schemas = schemas();
    for (way, text) in WAYS {
        let planted = |mut event: Value| {
            // A body that no callback function makes would be set aside.
            let from_browser = event["data"].get("clientId").is_some();
            let data = if from_browser { &mut event["data"]["value"] } else { &mut event["data"] };
            plant(data, "", &text);
            event["extra"] = person();
            event
        };
        let mut webhooks: Vec<Value> = webhooks().into_iter().map(planted).collect();
        if way == "text" {
            // In the envelope, too.
            for (at, name) in ["type", "createdAt", "version"].into_iter().enumerate() {
                let mut odd = webhooks[at].clone();
                odd["id"] = json!(format!("et-odd-{at}"));
                odd[name] = sentence();
                webhooks.push(odd);
            }
        }
        let callbacks: Vec<Value> = callbacks().into_iter().map(planted).collect();
        let all = json!([webhooks, callbacks]).to_string();
        assert_eq!(found(&all, &[]).len(), MARKS.len(), "planted");
        let mut with_ids = 0;
        for entry in published(&webhooks, &callbacks).await {
            assert_eq!(found(&entry.to_string(), &[]), [""; 0], "{way}: {entry}");
            let detail = held_to_its_schema(&entry, &schemas);
            with_ids += usize::from(detail.get("userId").is_some());
        }
        // The search is for what should not be there, not for nothing at all.
        assert!(with_ids > if way == "text" { 8 } else { 80 }, "{way}: {with_ids}");
    }
}
