//! The simulator's answers against the vendor's specification, by an independent validator (crate
//! `jsonschema`).
//!
//! The file is the vendor's and not part of this project: the test reads it where a checkout has it beside
//! itself, and says so when it has not. The schemas are made stricter in one way: an object takes no
//! members but those that its schema names. The specification's `nullable` becomes a type of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use jsonschema::{Draft, Validator};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use super::tests::options;
use super::*;

/// The vendor's file, if it lies beside this checkout.
fn specification() -> Option<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/smile/openapi-v1.yaml");
    let text = std::fs::read_to_string(file).ok()?;
    Some(converted(&Yaml::load_from_str(&text).unwrap()[0]))
}

fn converted(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(converted).collect(),
        Yaml::Mapping(members) => {
            let member = |(key, value): (&Yaml<'_>, &Yaml<'_>)| {
                let key = converted(key);
                (key.as_str().map_or_else(|| key.to_string(), str::to_owned), converted(value))
            };
            members.iter().map(member).collect::<Map<_, _>>().into()
        }
        other => panic!("a value cannot be read: {other:?}"),
    }
}

/// From the specification's schemas to JSON Schema's, and stricter.
fn strict(value: &Value) -> Value {
    let Value::Object(members) = value else {
        return value.as_array().map_or_else(|| value.clone(), |items| items.iter().map(strict).collect());
    };
    let is_schema = |name: &str| !name.starts_with("x-") && name != "example" && name != "examples";
    let mut out: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| is_schema(name))
        .map(|(name, member)| (name.clone(), strict(member)))
        .collect();
    if out.get("properties").is_some_and(Value::is_object) && !out.contains_key("allOf") {
        out.entry("additionalProperties").or_insert(json!(false));
    }
    if out.get("nullable") == Some(&json!(true)) {
        if let Some(kind) = out.get("type").filter(|kind| kind.is_string()).cloned() {
            out.insert("type".into(), json!([kind, "null"]));
        }
        if let Some(Value::Array(words)) = out.get_mut("enum")
            && !words.contains(&Value::Null)
        {
            words.push(Value::Null);
        }
    }
    out.into()
}

/// What holds answers against the specification.
struct Judge {
    paths: Value,
    components: Value,
    validators: BTreeMap<String, Validator>,
    /// Operation and status, for those that the specification has.
    held: BTreeSet<(Operation, u16)>,
    /// And for those that it does not list for their operation.
    unlisted: BTreeSet<(Operation, u16)>,
    answers: usize,
}

impl Judge {
    fn new(specification: &Value) -> Self {
        Self {
            paths: specification["paths"].clone(),
            components: strict(&specification["components"]),
            validators: BTreeMap::new(),
            held: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            answers: 0,
        }
    }

    /// The operation with this name.
    fn operation(&self, id: &str) -> &Value {
        let paths = self.paths.as_object().unwrap().values();
        let mut operations = paths.flat_map(|path| path.as_object().unwrap().values());
        operations.find(|operation| operation["operationId"] == id).unwrap_or_else(|| panic!("no {id}"))
    }

    /// What a schema says against a value.
    fn complaints(&mut self, schema: &Value, value: &Value) -> Vec<String> {
        let components = &self.components;
        let validator = self.validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = strict(schema);
            root["components"] = components.clone();
            let mut options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
            options = options.should_ignore_unknown_formats(false);
            options.build(&root).unwrap()
        });
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn schema(&self, operation: Operation, status: u16) -> (Value, bool) {
        let responses = &self.operation(operation.id())["responses"];
        let listed = responses.get(status.to_string()).or_else(|| responses.get("default"));
        let response = match listed {
            Some(response) if response.get("$ref").is_none() => response.clone(),
            _ => self.components["responses"]["Standard-Errors"].clone(),
        };
        (response["content"]["application/json"]["schema"].clone(), listed.is_some())
    }

    /// Holds one answer against its schema.
    fn hold(&mut self, operation: Operation, status: u16, body: &Value) {
        let (schema, is_listed) = self.schema(operation, status);
        assert!(schema.is_object(), "{operation} {status}: there is no schema");
        let complaints = self.complaints(&schema, body);
        assert!(complaints.is_empty(), "{operation} {status}: {complaints:#?}\n{body:#}");
        for member in ["code", "message", "requestId"] {
            assert!(body[member].is_string(), "{operation} {status} lacks {member}");
        }
        assert_eq!(body["code"] == "OK", status < 300, "{operation} {status}");
        let known = if is_listed { &mut self.held } else { &mut self.unlisted };
        known.insert((operation, status));
        self.answers += 1;
    }
}

/// Calls an API and holds what it says.
struct Caller<'a> {
    simulator: &'a Simulator,
    judge: &'a mut Judge,
    agent: ureq::Agent,
}

impl<'a> Caller<'a> {
    fn new(simulator: &'a Simulator, judge: &'a mut Judge) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        Self { simulator, judge, agent: config.into() }
    }

    /// Asks as it is, and gives what came.
    fn ask(
        &self,
        operation: Operation,
        id: &str,
        query: &str,
        body: Option<&str>,
        key: &str,
    ) -> (u16, Value) {
        let (method, path) = place(operation);
        let authorization = base64_simd::STANDARD.encode_to_string(format!("{key}:{key}"));
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{}{query}", self.simulator.url(), path.replace("{id}", id)))
            .header("authorization", format!("Basic {authorization}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body.unwrap_or_default().to_owned()).unwrap();
        let mut response = self.agent.run(request).unwrap();
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), body.parse().unwrap())
    }

    /// Asks, expects a status, and holds the answer.
    fn expect(
        &mut self,
        status: u16,
        operation: Operation,
        id: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Value {
        let body = body.map(Value::to_string);
        let (got, answer) = self.ask(operation, id, query, body.as_deref(), DEFAULT_KEY);
        assert_eq!(got, status, "{operation}: {answer}");
        self.judge.hold(operation, status, &answer);
        answer["data"].clone()
    }
}

fn place(operation: Operation) -> (&'static str, &'static str) {
    use Operation as O;
    match operation {
        O::ListUsers => ("GET", "/users"),
        O::CreateUser => ("POST", "/users"),
        O::GetUser => ("GET", "/users/{id}"),
        O::GetUserPayload => ("GET", "/users/{id}/payload"),
        O::ResetUserSession => ("POST", "/users/{id}/resetSession"),
        O::CreateToken => ("POST", "/tokens"),
        O::ListWebhooks => ("GET", "/webhooks"),
        O::CreateWebhook => ("POST", "/webhooks"),
        O::GetWebhook => ("GET", "/webhooks/{id}"),
        O::DeleteWebhook => ("DELETE", "/webhooks/{id}"),
        O::ListTasks => ("GET", "/tasks"),
        O::GetTask => ("GET", "/tasks/{id}"),
        O::ListAccounts => ("GET", "/accounts"),
        O::GetAccount => ("GET", "/accounts/{id}"),
        O::DeleteAccount => ("DELETE", "/accounts/{id}"),
        O::GetAccountPayload => ("GET", "/accounts/{id}/payload"),
        O::ListInvites => ("GET", "/invites"),
        O::CreateInvite => ("POST", "/invites"),
        O::GetInvite => ("GET", "/invites/{id}"),
        O::ListArchives => ("GET", "/archives"),
        O::GetArchive => ("GET", "/archives/{id}"),
        O::DeleteArchive => ("DELETE", "/archives/{id}"),
    }
}

/// Straight to the terminal, past what the test harness keeps to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[test]
fn every_answer_is_as_the_specification_says() {
    let Some(specification) = specification() else {
        say("The simulator was NOT held against the vendor's OpenAPI file: it is not beside this checkout.");
        return;
    };
    let mut judge = Judge::new(&specification);
    the_validator_is_strict(&mut judge);
    for operation in Operation::ALL {
        let (method, path) = place(*operation);
        let told = &judge.paths[path][method.to_lowercase()]["operationId"];
        assert_eq!(told, operation.id(), "{method} {path}");
    }
    let simulator = Simulator::start(options()).unwrap();
    for _ in 0..3 {
        simulator.life(None);
        simulator.link(&Link::default());
        simulator.link(&Link::default().without_login());
        simulator.fail_link(&Link::default());
        for end in [ArchiveEnd::Started, ArchiveEnd::Analyzed, ArchiveEnd::Failed] {
            simulator.upload(None, end);
        }
    }
    let mut caller = Caller::new(&simulator, &mut judge);
    successes(&mut caller);
    refusals(&mut caller);
    let busy = Simulator::start(Options { calls_a_second: 0, ..options() }).unwrap();
    let mut caller = Caller::new(&busy, &mut judge);
    for operation in Operation::ALL {
        caller.expect(429, *operation, "x", "", None);
    }
    for operation in Operation::ALL {
        let all = judge.held.union(&judge.unlisted);
        let statuses: Vec<u16> = all.filter(|(of, _)| of == operation).map(|(_, status)| *status).collect();
        assert!(statuses.iter().any(|status| *status < 300), "{operation}: no success was held");
        assert!(statuses.len() > 5, "{operation}: {statuses:?}");
    }
    say(&format!(
        "The simulator was held against the vendor's OpenAPI {}: {} answers of {} operations, {} pairs of operation and status; {} more pairs are not listed there and were held against its standard errors.",
        specification["info"]["version"].as_str().unwrap(),
        judge.answers,
        Operation::ALL.len(),
        judge.held.len(),
        judge.unlisted.len(),
    ));
}

/// It would notice.
fn the_validator_is_strict(judge: &mut Judge) {
    let schema = json!({ "$ref": "#/components/schemas/WebhookGetResponse" });
    let good = json!({ "code": "OK", "message": "m", "requestId": "r", "data": {
        "id": "w", "createdAt": "2026-03-01T10:00:00Z", "updatedAt": "2026-03-01T10:00:00Z", "name": "n",
        "url": "https://h", "eventTypes": ["ALL_EVENTS"], "active": true, "includePayload": false, "secret": "s",
    }});
    assert_eq!(judge.complaints(&schema, &good), Vec::<String>::new());
    for (pointer, wrong) in [
        ("/code", json!("FINE")),
        ("/requestId", Value::Null),
        ("/data/createdAt", json!("yesterday")),
        ("/data/eventTypes", json!(["ASSETS_ADDED"])),
        ("/data/active", json!("true")),
        ("/data/secret", Value::Null),
        ("/data", json!({ "id": "w" })),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!judge.complaints(&schema, &bad).is_empty(), "{pointer}");
    }
    for pointer in ["", "/data"] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).unwrap()["more"] = json!(1);
        assert!(!judge.complaints(&schema, &bad).is_empty(), "one field more in {pointer:?}");
    }
}

fn successes(caller: &mut Caller<'_>) {
    use Operation as O;
    let webhook = json!({
        "name": "n", "url": "https://h/hook", "eventTypes": ["USER_CREATED", "ALL_EVENTS"], "active": false,
        "secret": "s", "includePayload": true,
    });
    let request = caller.judge.operation("create-webhook")["requestBody"].clone();
    let request = request["content"]["application/json"]["schema"].clone();
    assert_eq!(caller.judge.complaints(&request, &webhook), Vec::<String>::new());
    let created: Vec<Value> =
        (0..3).map(|_| caller.expect(200, O::CreateWebhook, "", "", Some(&webhook))).collect();
    let id = |data: &Value| data["id"].as_str().unwrap().to_owned();
    caller.expect(200, O::GetWebhook, &id(&created[0]), "", None);
    caller.expect(200, O::DeleteWebhook, &id(&created[0]), "", None);
    let user = caller.expect(201, O::CreateUser, "", "", Some(&json!({ "externalMetadata": {"a": "b"} })));
    caller.expect(201, O::CreateUser, "", "", None);
    let user = id(&user["user"]);
    caller.expect(201, O::CreateToken, "", &format!("?userId={user}"), None);
    let invite = json!({ "fullName": "A B", "lastName": "B", "email": "a@example.com", "templateId": "t" });
    caller.expect(201, O::CreateInvite, "", "", Some(&invite));
    for (list, get) in [
        (O::ListUsers, vec![O::GetUser, O::GetUserPayload, O::ResetUserSession]),
        (O::ListWebhooks, vec![O::GetWebhook]),
        (O::ListTasks, vec![O::GetTask]),
        (O::ListAccounts, vec![O::GetAccount, O::GetAccountPayload]),
        (O::ListInvites, vec![O::GetInvite]),
        (O::ListArchives, vec![O::GetArchive]),
    ] {
        let first = caller.expect(200, list, "", "?size=1", None);
        let cursor = first["nextCursor"].as_str().unwrap().to_owned();
        caller.expect(200, list, "", &format!("?size=1&cursor={cursor}"), None);
        let all = caller.expect(200, list, "", "?size=150", None);
        for item in all["items"].as_array().unwrap() {
            for operation in &get {
                caller.expect(200, *operation, &id(item), "", None);
            }
        }
    }
    for (list, delete, get) in [
        (O::ListAccounts, O::DeleteAccount, vec![O::GetAccount, O::GetAccountPayload]),
        (O::ListArchives, O::DeleteArchive, vec![O::GetArchive]),
    ] {
        let all = caller.expect(200, list, "", "?size=150", None);
        for item in all["items"].as_array().unwrap() {
            caller.expect(200, delete, &id(item), "", None);
            for operation in &get {
                caller.expect(200, *operation, &id(item), "", None);
            }
        }
        caller.expect(200, list, "", "?size=150", None);
    }
}

fn refusals(caller: &mut Caller<'_>) {
    let nobody = "x".repeat(201);
    for operation in Operation::ALL.iter().copied() {
        let (method, path) = place(operation);
        let (status, answer) = caller.ask(operation, "x", "", None, "wrong");
        assert_eq!(status, 401);
        caller.judge.hold(operation, 401, &answer);
        for status in [403, 500, 501, 503, 504] {
            caller.simulator.fail(Failing::next(operation, 1, status));
            caller.expect(status, operation, "x", "", None);
        }
        if path.contains("{id}") {
            caller.expect(404, operation, "nobody", "", None);
            caller.expect(400, operation, &nobody, "", None);
        } else if method == "GET" {
            caller.expect(400, operation, "", "?size=0", None);
            caller.expect(400, operation, "", "?cursor=1", None);
        }
    }
    for operation in [Operation::CreateWebhook, Operation::CreateInvite, Operation::CreateUser] {
        caller.expect(400, operation, "", "", Some(&json!([])));
        caller.expect(400, operation, "", "", Some(&json!({ "externalMetadata": 1 })));
    }
    for operation in [Operation::CreateWebhook, Operation::CreateInvite] {
        caller.expect(415, operation, "", "", None);
    }
    caller.expect(400, Operation::CreateToken, "", "", None);
    caller.expect(404, Operation::CreateToken, "", "?userId=nobody", None);
}
