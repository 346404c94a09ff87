//! The OpenAPI document, made from the types that are answered.
//!
//! `utoipa` derives the schemas, and each operation stands at the function that answers it. What holds for all of
//! them is added here: what the gateway says, refusals, and headers. Nothing that is answered is ever `null`: what is
//! not known is left out, and the document says so.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use shared::problem::{MEDIA_TYPE, Problem};
use utoipa::OpenApi;

use crate::operation::{ID, Operation};
use crate::refusal::Refusal;
use crate::{lists, things};

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Smile receiver: what is known",
        description = "What Smile's webhooks, reconciliation and the Wink Widget's callbacks add up to, and the events themselves. \
            Read only. Times are UTC. What is not known is left out; nothing is ever null. New members can come; ignore those \
            that you do not know.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        things::user, things::account, things::archive, things::invite, things::record, things::verification, things::event,
        lists::user_events, lists::events, lists::quarantine
    ),
    components(schemas(Problem)),
    tags(
        (name = "State", description = "What events add up to."),
        (name = "Events", description = "The events, in the order in which they were stored."),
        (name = "Quarantine", description = "What is authentic and cannot be filed."),
        (name = "Document", description = "This document.")
    )
)]
struct Document;

fn document() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    without_null(&mut document);
    without_defaults(&mut document["components"]);
    document["components"]["securitySchemes"] = json!({
        "iam": {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "AWS Signature Version 4, service execute-api: the default.",
        },
        "jwt": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "With the stack's parameters JwtIssuer and JwtAudience. Needs the scope that JwtReadScope names, \
                smile:read if it names none; for bodies also the one of JwtBodiesScope, smile:read:bodies.",
        },
    });
    document["security"] = json!([{ "iam": [] }, { "jwt": [] }]);
    document["paths"]["/v1/openapi.json"]["get"] = json!({
        "operationId": "getOpenApi", "tags": ["Document"], "summary": "This document",
        "responses": { "200": {
            "description": "The document.", "content": { "application/json": { "schema": { "type": "object" } } },
        } },
    });
    for operation in Operation::ALL {
        if let Some(path) = operation.by_query() {
            document["paths"][path]["get"] = by_query(&document["paths"][operation.path()]["get"]);
        }
    }
    for operation in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        complete(&mut operation["get"]);
    }
    document["components"]["schemas"]["Message"] = json!({
        "type": "object", "required": ["message"], "properties": { "message": { "type": "string" } },
        "description": "What the gateway itself answers, before anything is read.",
    });
    document
}

/// The document with the URL of the API that serves it. Without one it is the URL's parent, as OpenAPI has it.
pub fn of_server(url: Option<&str>) -> Value {
    let mut document = DOCUMENT.clone();
    if let Some(url) = url {
        document["servers"] = json!([{ "url": url, "description": "The stack's output BackendUrl." }]);
    }
    document
}

/// The same operation with the id in the query, where it can be any.
fn by_query(operation: &Value) -> Value {
    let mut operation = operation.clone();
    operation["operationId"] =
        format!("{}ByQuery", operation["operationId"].as_str().unwrap_or_default()).into();
    operation["summary"] = format!("{}, by query", operation["summary"].as_str().unwrap_or_default()).into();
    for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
        if parameter["in"] == "path" {
            parameter["in"] = "query".into();
            parameter["description"] = "The vendor's id. Opaque: it is compared byte for byte.".into();
            parameter["schema"].as_object_mut().map(|schema| schema.remove("pattern"));
        }
    }
    operation
}

/// Adds to an operation what every one has.
fn complete(operation: &mut Value) {
    let tag =
        json!({ "description": "The answer's tag, for If-None-Match.", "schema": { "type": "string" } });
    let cache = json!({ "description": "Whether it may be kept.", "schema": { "type": "string" } });
    let has =
        |test: fn(&Value) -> bool| operation["parameters"].as_array().is_some_and(|all| all.iter().any(test));
    let (has_id, has_body) = (has(|one| one["name"] == ID), has(|one| one["name"] == "body"));
    let is_in_path = has(|one| one["in"] == "path");
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let known = json!({
        "name": "If-None-Match", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "The tag of the answer that the caller has: 304 says that it is still the same.",
    });
    operation["parameters"] = parameters.into_iter().chain([known]).collect();
    operation["responses"]["200"]["headers"] = json!({ "ETag": tag, "Cache-Control": cache });
    operation["responses"]["304"] =
        json!({ "description": "Still the same.", "headers": { "ETag": tag, "Cache-Control": cache } });
    let problem = |codes: &[Refusal], description: &str| {
        let codes: Vec<String> = codes.iter().map(|refusal| format!("`{}`", refusal.code())).collect();
        json!({
            "description": format!("{description} Code: {}.", codes.join(", ")),
            "content": { MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        })
    };
    let message = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Message" } } },
        })
    };
    let bad: Vec<Refusal> = Refusal::ALL.iter().copied().filter(|refusal| refusal.status() == 400).collect();
    let responses = &mut operation["responses"];
    responses["400"] =
        problem(&bad, "A parameter or an id is not what it should be; `detail` says what it should be.");
    responses["401"] = message("No token, or one that is not accepted (JWT).");
    responses["403"] = message("Not signed, or not allowed (IAM), or the token lacks a scope (JWT).");
    if has_body {
        responses["403"]["content"][MEDIA_TYPE] = problem(&[], "")["content"][MEDIA_TYPE].clone();
    }
    if has_id {
        responses["404"] = problem(&[Refusal::NotFound], "Nothing is known, or can be, under this id.");
    }
    if is_in_path {
        responses["404"]["description"] =
            "Nothing is known, or can be, under this id. Code: `not_found`. Or, as plain JSON, the gateway's own word: an id \
            with a slash has led nowhere."
                .into();
        responses["404"]["content"]["application/json"] = message("")["content"]["application/json"].clone();
    }
    responses["422"] = problem(&[Refusal::TooLarge], "There is more than an answer can carry.");
    responses["429"] = message("Too many requests.");
    responses["500"] = message("The function failed, or was too slow.");
    responses["503"] = problem(
        &[Refusal::Unavailable],
        "The table cannot be read just now; or, as plain JSON, the gateway's own word on a function whose start took too long.",
    );
    responses["503"]["content"]["application/json"] = message("")["content"]["application/json"].clone();
    responses["503"]["headers"] =
        json!({ "Retry-After": { "description": "Seconds.", "schema": { "type": "integer" } } });
}

/// Takes `null` out of what a member may be.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("oneOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(only)] = choices.as_mut_slice() {
                    let only = std::mem::take(only);
                    members.remove("oneOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Takes defaults out: they are for what is read, and none of these schemas is read.
fn without_defaults(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            // A property can have that name, too; a default stands beside a type or a reference.
            if members.contains_key("type") || members.contains_key("$ref") {
                members.remove("default");
            }
            members.values_mut().for_each(without_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_defaults),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::known;
    use crate::operation::USER;

    #[test]
    fn it_has_exactly_the_operations_and_parameters_that_there_are() {
        let paths = DOCUMENT["paths"].as_object().unwrap();
        let written: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
        let of_each =
            |operation: &Operation| operation.paths().map(|path| (*operation, path)).collect::<Vec<_>>();
        let forms: Vec<(Operation, &str)> = Operation::ALL.iter().flat_map(of_each).collect();
        assert_eq!(written, forms.iter().map(|(_, path)| *path).collect());
        for (operation, path) in &forms {
            let (is_by_query, name) = (Some(*path) == operation.by_query(), path);
            let path = &paths[*path];
            assert_eq!(path.as_object().unwrap().keys().collect::<Vec<_>>(), ["get"], "{path}");
            let parameters = path["get"]["parameters"].as_array().unwrap();
            let of = |place: &str| -> BTreeSet<&str> {
                let of = parameters.iter().filter(|one| one["in"] == place);
                of.map(|one| one["name"].as_str().unwrap()).collect()
            };
            assert_eq!(of("query"), known(*operation, is_by_query).iter().copied().collect(), "{name}");
            assert_eq!(of("path"), name.contains('{').then_some(ID).into_iter().collect());
        }
        let ids: BTreeSet<_> =
            paths.values().map(|path| path["get"]["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), forms.len());
    }

    #[test]
    fn it_names_its_server() {
        assert_eq!(of_server(Some("https://x.invalid"))["servers"][0]["url"], "https://x.invalid");
        assert_eq!(of_server(None), *DOCUMENT);
    }

    #[test]
    fn its_bounds_are_those_of_the_code() {
        let parameter = |path: &str, name: &str| {
            let all = DOCUMENT["paths"][path]["get"]["parameters"].as_array().unwrap();
            all.iter().find(|one| one["name"] == name).unwrap()["schema"].clone()
        };
        let limit = parameter("/v1/events", "limit");
        assert_eq!(limit["maximum"], crate::parameters::LIMIT_MAX);
        assert_eq!(
            (&limit["minimum"], &limit["default"]),
            (&json!(1), &json!(crate::parameters::LIMIT_DEFAULT))
        );
        for (path, name) in [("/v1/users/{id}", ID), ("/v1/users", ID), ("/v1/timeline", USER)] {
            assert_eq!(parameter(path, name)["maxLength"], shared::id::MAX_ID_BYTES, "{path}");
            assert_eq!(parameter(path, name)["pattern"].is_string(), path.contains('{'), "{path}");
        }
        let sources = ["webhook", "reconcile", "callback"];
        assert_eq!(parameter("/v1/timeline", "source")["enum"], json!(sources));
        assert_eq!(parameter("/v1/events", "from")["format"], "date-time");
        assert_eq!(parameter("/v1/quarantine", "day")["format"], "date");
    }

    #[test]
    fn nothing_in_it_is_null_and_every_reference_leads_somewhere() {
        let text = DOCUMENT.to_string();
        assert!(!text.contains("\"null\"") && !text.contains("null,"), "{text}");
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(DOCUMENT["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
