//! The OpenAPI document is true: real answers of every operation are what it says, and nothing besides.

use std::collections::BTreeSet;

use query::openapi::DOCUMENT;
use query::operation::Operation;
use serde_json::{Value, json};

use super::seeded;

/// Lets nothing through that the document does not name: in what stands for itself, not in a part of an `allOf`.
fn strict(schema: &mut Value, is_part: bool) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match (name.as_str(), member) {
                    ("allOf", Value::Array(parts)) => parts.iter_mut().for_each(|part| strict(part, true)),
                    (_, member) => strict(member, false),
                }
            }
            let stands_alone = members.contains_key("$ref") || members.contains_key("allOf");
            if stands_alone && !is_part {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strict(item, false)),
        _ => {}
    }
}

/// What the document says of an operation's answer with this status.
fn validator(operation: Operation, status: u16, media_type: &str) -> jsonschema::Validator {
    let answer = &DOCUMENT["paths"][operation.path()]["get"]["responses"][status.to_string()];
    let mut schema = answer["content"][media_type]["schema"].clone();
    assert!(schema.is_object(), "{operation:?} {status}");
    schema["components"] = DOCUMENT["components"].clone();
    strict(&mut schema["components"]["schemas"], false);
    if schema.get("$ref").is_some() {
        schema["unevaluatedProperties"] = json!(false);
    }
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

fn check(operation: Operation, status: u16, media_type: &str, body: &Value) {
    let validator = validator(operation, status, media_type);
    let wrong: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{operation:?} {status}: {wrong:#?}");
}

#[tokio::test]
async fn every_answer_is_what_the_document_says_and_nothing_besides() {
    let (api, ids, events) = seeded().await;
    let mut seen = BTreeSet::new();
    let by_query =
        |operation: Operation, id: &str| (operation, format!("{}?id={id}", operation.by_query().unwrap()));
    let mut found = vec![
        by_query(Operation::User, &ids.user),
        by_query(Operation::Account, &ids.account),
        by_query(Operation::Archive, &ids.archive),
        by_query(Operation::Invite, &ids.invite),
        by_query(Operation::Record, &ids.record),
        by_query(Operation::Verification, &ids.verification),
        by_query(Operation::Event, events[0]["id"].as_str().unwrap()),
        (Operation::OpenApi, "/v1/openapi.json".to_owned()),
        (Operation::User, format!("/v1/users/{}", ids.user)),
        (Operation::UserEvents, format!("/v1/timeline?user={}&limit=200", ids.user)),
        (Operation::UserEvents, format!("/v1/timeline?user={}&limit=1", ids.user)),
        (Operation::UserEvents, "/v1/timeline?user=nobody".to_owned()),
        (Operation::Account, format!("/v1/accounts/{}", ids.account)),
        (Operation::Archive, format!("/v1/archives/{}", ids.archive)),
        (Operation::Invite, format!("/v1/invites/{}", ids.invite)),
        (Operation::Record, format!("/v1/records/{}", ids.record)),
        (Operation::Verification, format!("/v1/verifications/{}", ids.verification)),
        (Operation::Events, "/v1/events?limit=200".to_owned()),
        (Operation::Events, "/v1/events?to=2026-01-01T00:00:00Z".to_owned()),
        (Operation::Quarantine, "/v1/quarantine".to_owned()),
        (Operation::Quarantine, "/v1/quarantine?limit=1".to_owned()),
    ];
    for event in &events {
        let id = event["id"].as_str().unwrap();
        found.push((Operation::Event, format!("/v1/events/{id}")));
        found.push((Operation::Event, format!("/v1/events/{id}?body=true")));
    }
    for (operation, url) in found {
        check(operation, 200, "application/json", &api.found(&url).await);
        seen.insert(operation.path());
    }
    assert_eq!(seen, Operation::ALL.iter().map(|operation| operation.path()).collect());
    for (operation, url, status) in [
        (Operation::User, "/v1/users/nobody", 404),
        (Operation::UserEvents, "/v1/timeline?user=u&limit=0", 400),
        (Operation::Events, "/v1/events?x=1", 400),
    ] {
        let answered = api.get(url).await;
        assert_eq!(answered.status, status);
        check(operation, status, "application/problem+json", &answered.body);
    }
}

/// The check itself: it must not let everything through.
#[tokio::test]
async fn what_the_document_does_not_name_is_seen() {
    let (api, ids, _) = seeded().await;
    let is_valid = |operation, body: &Value| validator(operation, 200, "application/json").is_valid(body);
    let user = api.found(&format!("/v1/users/{}", ids.user)).await;
    assert!(is_valid(Operation::User, &user));
    for pointer in ["", "/accounts/0", "/accounts/0/tasks/LINK_ACCOUNT", "/widget", "/session", "/archives/0"]
    {
        let mut more = user.clone();
        more.pointer_mut(pointer).unwrap()["loginName"] = json!("x");
        assert!(!is_valid(Operation::User, &more), "{pointer}");
    }
    let page = api.found("/v1/events?limit=1").await;
    for pointer in ["", "/events/0", "/events/0/facts"] {
        let mut more = page.clone();
        more.pointer_mut(pointer).unwrap()["loginName"] = json!("x");
        assert!(!is_valid(Operation::Events, &more), "{pointer}");
    }
    let mut odd = page;
    odd["events"][0]["stored_at"] = json!("yesterday");
    assert!(!is_valid(Operation::Events, &odd));
}
