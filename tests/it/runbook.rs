//! The runbook's queries are held to what is logged: by our functions (the macros in their sources), by API Gateway (the
//! access logs' formats in the template) and by Lambda itself ([`PLATFORM`]). A query for a field that no line has finds
//! nothing, and says so to nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{it_dir, template};

/// Fields of Lambda's own lines under `LogFormat: JSON` that queries use (Lambda developer guide, "Lambda Telemetry API
/// Event schema reference", `platform.report`). A time-out is `record.status` `timeout`.
const PLATFORM: [&str; 4] = ["type", "record.requestId", "record.status", "record.errorType"];

/// Values of `record.status` (the same page, `Status`).
const STATUSES: [&str; 4] = ["success", "failure", "error", "timeout"];

/// Fields of every line of ours (`shared::log`).
const OURS: [&str; 4] = ["level", "message", "target", "timestamp"];

/// Words of CloudWatch Logs Insights' language that are no fields.
const WORDS: [&str; 26] = [
    "and",
    "as",
    "asc",
    "avg",
    "bin",
    "by",
    "coalesce",
    "count",
    "desc",
    "display",
    "earliest",
    "fields",
    "filter",
    "in",
    "ispresent",
    "latest",
    "like",
    "limit",
    "max",
    "min",
    "not",
    "or",
    "sort",
    "stats",
    "sum",
    "m",
];

/// A query, where it stands, and the text before it that says which log it is for.
struct Query {
    section: String,
    before: String,
    text: String,
}

fn queries() -> Vec<Query> {
    let runbook = std::fs::read_to_string(it_dir().join("../../infra/runbook.md")).unwrap();
    let mut queries = Vec::new();
    for section in runbook.split("\n## ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap();
        let parts: Vec<&str> = text.split("```").collect();
        for at in (1..parts.len()).step_by(2) {
            let text = parts[at].trim();
            if ["fields ", "filter ", "stats "].iter().any(|word| text.starts_with(word)) {
                let before = parts[at - 1].rsplit("\n\n").find(|part| !part.trim().is_empty()).unwrap();
                queries.push(Query {
                    section: heading.to_owned(),
                    before: before.to_owned(),
                    text: text.to_owned(),
                });
            }
        }
    }
    queries
}

/// The texts between quotes, and the query without them.
fn unquoted(query: &str) -> (Vec<String>, String) {
    let parts: Vec<&str> = query.split('"').collect();
    assert_eq!(parts.len() % 2, 1, "{query}");
    let texts = parts.iter().skip(1).step_by(2).map(ToString::to_string).collect();
    (texts, parts.iter().step_by(2).copied().collect::<Vec<_>>().join(" "))
}

/// The fields that a query names.
fn fields_of(query: &str) -> BTreeSet<String> {
    let (_, code) = unquoted(query);
    let code: String = code
        .lines()
        // A pattern between slashes is no field.
        .map(|line| line.split('/').step_by(2).collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    let tokens: Vec<String> = code
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_.@".contains(c)))
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect();
    let named: BTreeSet<&String> =
        tokens.windows(2).filter(|pair| pair[0] == "as").map(|pair| &pair[1]).collect();
    tokens
        .iter()
        .filter(|token| !WORDS.contains(&token.as_str()) && !named.contains(token))
        .filter(|token| !token.starts_with('@') && !token.starts_with(|c: char| c.is_ascii_digit()))
        .cloned()
        .collect()
}

/// A line that a function logs: its message, as far as it is fixed, and its fields.
#[derive(Debug)]
struct Line {
    file: PathBuf,
    message: String,
    fields: BTreeSet<String>,
}

/// Every call of `tracing`'s macros in the sources of functions and shared crate.
fn lines() -> Vec<Line> {
    fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = it_dir().join("../..").canonicalize().unwrap();
    let mut files = Vec::new();
    for function in std::fs::read_dir(root.join("functions")).unwrap() {
        sources(&function.unwrap().path().join("src"), &mut files);
    }
    sources(&root.join("shared/src"), &mut files);
    let mut lines = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        for level in ["info", "warn", "error"] {
            for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                let (message, fields) = arguments(call);
                let file = file.strip_prefix(&root).unwrap().to_owned();
                lines.push(Line { file, message, fields });
            }
        }
    }
    lines
}

/// Message and fields of a macro's call, whose text begins after its opening parenthesis.
fn arguments(call: &str) -> (String, BTreeSet<String>) {
    let (mut depth, mut in_text, mut escaped) = (1, false, false);
    let mut parts = vec![String::new()];
    let call: String =
        call.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("//")).collect();
    for c in call.chars() {
        match c {
            '"' if !escaped => in_text = !in_text,
            '(' | '[' | '{' if !in_text => depth += 1,
            ')' | ']' | '}' if !in_text => depth -= 1,
            _ => {}
        }
        escaped = in_text && c == '\\' && !escaped;
        if depth == 0 {
            break;
        }
        if c == ',' && depth == 1 && !in_text {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let (mut message, mut fields) = (String::new(), BTreeSet::new());
    for part in parts {
        let part = part.trim();
        if let Some(text) = part.strip_prefix('"') {
            text.split(['"', '{']).next().unwrap().clone_into(&mut message);
        } else if !part.is_empty() {
            let name = part.split('=').next().unwrap().trim().trim_start_matches(['%', '?']);
            fields.insert(name.trim_start_matches("r#").to_owned());
        }
    }
    (message, fields)
}

/// The fields of an API's access log.
fn access_log(stage: &str) -> BTreeSet<String> {
    let format =
        template()["Resources"][stage]["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
    serde_json::from_str::<Value>(format).unwrap().as_object().unwrap().keys().cloned().collect()
}

/// The folders of the sources that log to what a text names: one function's and the shared ones, or all.
fn folders(before: &str) -> Vec<String> {
    let named: Vec<String> =
        ["webhook", "consumer", "publish", "push", "callback", "link", "live", "query", "register"]
            .iter()
            .filter(|name| {
                let capitalised = name[..1].to_uppercase() + &name[1..];
                before.contains(&format!("/aws/lambda/STACK-{name}"))
                    || before.contains(&format!("The {name} function's log"))
                    || before.contains(&format!("`-{name}`"))
                    || [":", " ("].iter().any(|after| before.contains(&format!("{capitalised}{after}")))
                    || before.contains(&format!("Else {name},"))
            })
            .map(|name| format!("functions/{name}/"))
            .collect();
    if named.is_empty() { vec!["functions/".to_owned()] } else { named }
}

#[test]
fn every_query_asks_for_fields_that_its_log_has() {
    let lines = lines();
    assert!(lines.len() > 40, "{}", lines.len());
    let logs: BTreeMap<&str, BTreeSet<String>> = [
        ("/aws/vendedlogs/STACK-webhook", access_log("WebhookStage")),
        ("/aws/vendedlogs/STACK-callback", access_log("CallbackStage")),
        ("/aws/vendedlogs/STACK-backend", access_log("BackendStage")),
    ]
    .into();
    let queries = queries();
    assert!(queries.len() >= 24, "{}", queries.len());
    let mut by_gateway = 0;
    for Query { section, before, text } in &queries {
        let fields = fields_of(text);
        let (texts, _) = unquoted(text);
        // The log that is named last before the query.
        let gateway = logs.iter().filter_map(|(name, fields)| Some((before.rfind(name)?, fields))).max();
        if let Some((_, known)) = gateway.filter(|_| !text.contains("message")) {
            by_gateway += 1;
            let unknown: Vec<&String> = fields.difference(known).collect();
            assert!(unknown.is_empty(), "{section}: the access log has no {unknown:?}: {text}");
            continue;
        }
        let folders = folders(before);
        let is_of = |line: &&Line| {
            let file = line.file.to_str().unwrap();
            file.starts_with("shared/") || folders.iter().any(|folder| file.starts_with(folder))
        };
        let mut all: BTreeSet<String> =
            lines.iter().filter(is_of).flat_map(|line| line.fields.clone()).collect();
        all.extend(OURS.map(str::to_owned));
        all.extend(PLATFORM.map(str::to_owned));
        // `shared::log` logs the place of a panic, in every function.
        all.insert("at".to_owned());
        let unknown: Vec<&String> = fields.difference(&all).collect();
        assert!(unknown.is_empty(), "{section}: no line of {folders:?} has {unknown:?}: {text}");
        if fields.contains("record.status") {
            let of_status = texts.iter().filter(|text| STATUSES.contains(&text.as_str())).count();
            assert!(of_status > 0, "{section}: {text}");
        }
        // A query for one message is for that line: it must have every field itself.
        for message in texts.iter().filter(|one| text.contains(&format!("message = \"{one}\""))) {
            let of_message: Vec<&Line> =
                lines.iter().filter(is_of).filter(|line| line.message == *message).collect();
            assert!(!of_message.is_empty(), "{section}: nobody logs {message:?}");
            for line in of_message {
                let missing: Vec<&String> = fields
                    .iter()
                    .filter(|field| !line.fields.contains(*field) && !OURS.contains(&field.as_str()))
                    .collect();
                assert!(missing.is_empty(), "{section}: {line:?} has no {missing:?}");
            }
        }
        for pattern in texts.iter().filter(|one| text.contains(&format!("message like \"{one}\""))) {
            assert!(lines.iter().any(|line| line.message.contains(pattern)), "{section}: {pattern:?}");
        }
    }
    assert!(by_gateway >= 5, "{by_gateway}");
}

#[test]
fn a_query_for_what_nobody_logs_is_noticed() {
    let text = "filter message = \"x\" and ispresent(record.status)\n| stats count() as times, latest(fault) by found, account\n\
                | filter routeKey like /GET/\n| sort times desc";
    let named: BTreeSet<String> =
        ["account", "fault", "found", "message", "record.status", "routeKey"].map(str::to_owned).into();
    assert_eq!(fields_of(text), named);
    let (message, fields) = arguments(
        "\n // why, (in words)\n r#type = f(a, \"b, c\"), %fault, ?found, delivery = job.delivery, \"looked: {error:#}\" ); x",
    );
    assert_eq!(message, "looked: ");
    assert_eq!(fields, ["delivery", "fault", "found", "type"].map(str::to_owned).into());
}
