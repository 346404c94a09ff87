//! schemathesis against the real handler: thousands of requests made from the OpenAPI document, right ones and wrong
//! ones, each answer held to it by all of its checks.
//!
//! It runs twice. A cursor is opaque: no schema says which texts are some, so that a right request can be a 400 for
//! its cursor. The first run has the whole document and allows just that to the lists; in the second, lists have no
//! cursors, and whatever is right by the document must be answered.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use query::Query;
use query::openapi::DOCUMENT;
use query::operation::Operation;
use serde_json::{Value, json};
use smile_cli::ui::say;

use super::{Api, front, seeded};
use crate::support::{cases, it_dir};

/// How many requests an operation is fuzzed with, beside those that cover the document's edges.
const EACH: usize = 100;

/// The packages, with all that they need.
const PINS: &str = include_str!("schemathesis.txt");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() {
    let Some(schemathesis) = installed() else {
        eprintln!("NOT RUN: schemathesis needs Python 3.10 or newer, and python3 is none");
        return;
    };
    let (api, ids, events) = seeded().await;
    let cursors = [
        ("listUserEvents", cursor(&api, &format!("/v1/timeline?user={}", ids.user)).await),
        ("listEvents", cursor(&api, "/v1/events").await),
        ("listQuarantine", cursor(&api, "/v1/quarantine").await),
    ];
    let dir = it_dir().join("../../target/schemathesis");
    std::fs::create_dir_all(&dir).unwrap();
    let (address, tally) = front::serve(Query::new(api.receiver.table.clone()), api.receiver.now).await;
    let events: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    let mut known: Vec<(String, &str, Vec<&str>)> =
        vec![("listUserEvents".to_owned(), "query.user", vec![&ids.user])];
    for (operation, ids, others) in [
        ("getUser", vec![ids.user.as_str(), "ü"], &["u/1", "100%", "x/events"][..]),
        ("getAccount", vec![&ids.account], &[]),
        ("getArchive", vec![&ids.archive], &[]),
        ("getInvite", vec![&ids.invite], &[]),
        ("getRecord", vec![&ids.record], &[]),
        ("getVerification", vec![&ids.verification], &[]),
        ("getEvent", events, &[]),
    ] {
        known.push((format!("{operation}ByQuery"), "query.id", [&ids, others].concat()));
        known.push((operation.to_owned(), "path.id", ids));
    }
    let mut without_cursors = DOCUMENT.clone();
    for path in without_cursors["paths"].as_object_mut().unwrap().values_mut() {
        path["get"]["parameters"].as_array_mut().unwrap().retain(|parameter| parameter["name"] != "after");
    }
    for (name, document, cursors) in
        [("whole", &*DOCUMENT, &cursors[..]), ("without-cursors", &without_cursors, &[])]
    {
        tally.lock().unwrap().clear();
        let phases = if cursors.is_empty() { "coverage,fuzzing" } else { "coverage,fuzzing,stateful" };
        let run = Run { schemathesis: &schemathesis, dir: &dir, address: &address, name, phases };
        let output = run.run(document, &config(&known, cursors)).await;
        let tally = tally.lock().unwrap();
        println!("{name}: {} requests\n{output}", tally.values().sum::<usize>());
        for ((path, status), count) in tally.iter() {
            println!("{count:>6} {status} {path}");
        }
        assert!(tally.values().sum::<usize>() > 1000, "{name}");
        // What is never answered is not tried. The document alone has nothing that could be wrong. An operation with two
        // paths answers in either form: which one gets how many requests is left to chance.
        for operation in Operation::ALL {
            let of =
                |path: &'static str, status: u16| tally.get(&(path, status)).copied().unwrap_or_default();
            let all = |status| operation.paths().map(|path| of(path, status)).sum::<usize>();
            assert!(all(200) > 3 && all(304) > 0, "{name}: {operation:?}");
            for path in operation.paths() {
                let is_refused = path == Operation::OpenApi.path() || of(path, 400) > 0;
                let is_found = of(path, 200) + of(path, 304) > 3;
                assert!(is_found && is_refused && of(path, 401) > 0 && of(path, 405) > 0, "{name}: {path}");
            }
        }
    }
}

/// A cursor of a list, so that some requests go on.
async fn cursor(api: &Api, list: &str) -> String {
    let separator = if list.contains('?') { '&' } else { '?' };
    api.found(&format!("{list}{separator}limit=1")).await["next"].as_str().unwrap().to_owned()
}

/// Of schemathesis: ids that are there, mixed with any; and cursors, where there are some.
fn config(ids: &[(String, &str, Vec<&str>)], cursors: &[(&str, String)]) -> String {
    let mut config = String::new();
    let mut operations: BTreeMap<&str, String> = BTreeMap::new();
    let mut bind = |operation, parameter, dictionary: &str, values: &[&str], probability: f32| {
        writeln!(config, "[dictionaries.{dictionary}]\nvalues = {}", json!(values)).unwrap();
        let bound = operations.entry(operation).or_default();
        writeln!(
            bound,
            "parameters.\"{parameter}\" = {{ dictionary = \"{dictionary}\", probability = {probability} }}"
        )
        .unwrap();
    };
    for (operation, parameter, ids) in ids {
        bind(operation, *parameter, operation, ids, 0.8);
    }
    for (operation, cursor) in cursors {
        bind(operation, "query.after", &format!("{operation}-after"), &[cursor], 0.7);
    }
    // Every tag fits an asterisk, so that 304 does not depend on luck.
    for path in DOCUMENT["paths"].as_object().unwrap().values() {
        let id = path["get"]["operationId"].as_str().unwrap();
        bind(id, "header.If-None-Match", &format!("{id}-tags"), &["*"], 0.3);
    }
    for (operation, bound) in operations {
        write!(config, "[[operations]]\ninclude-operation-id = \"{operation}\"\n{bound}").unwrap();
        if cursors.iter().any(|(list, _)| *list == operation) {
            config.push_str("checks.positive_data_acceptance.expected-statuses = [200, 304, 400, 404]\n");
        }
    }
    config
}

struct Run<'a> {
    schemathesis: &'a Path,
    dir: &'a Path,
    address: &'a str,
    name: &'a str,
    phases: &'a str,
}

impl Run<'_> {
    /// Runs all checks; gives what it said, and fails with it when there is a finding.
    async fn run(&self, document: &Value, config: &str) -> String {
        let (file, configured) =
            (self.dir.join(format!("{}.json", self.name)), self.dir.join(format!("{}.toml", self.name)));
        std::fs::write(&file, document.to_string()).unwrap();
        std::fs::write(&configured, config).unwrap();
        let mut command = Command::new(self.schemathesis);
        command
            .current_dir(self.dir)
            .arg("--config-file")
            .arg(&configured)
            .args([
                "run",
                "--url",
                self.address,
                "--checks",
                "all",
                "--max-examples",
                &cases(EACH).to_string(),
                "--seed",
                "5",
            ])
            .args(["--workers", "2", "--no-color", "--continue-on-failure", "--generation-database", "none"])
            .args(["--header", &format!("Authorization: Bearer {}", front::TOKEN)])
            .args(["--phases", self.phases])
            .arg(&file);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{}:\n{said}", self.name);
        said
    }
}

/// The program, in `target/tools/schemathesis`, with exactly the pinned packages; `None` without Python.
fn installed() -> Option<PathBuf> {
    let tools = it_dir().join("../../target/tools");
    let (venv, stamp) = (tools.join("schemathesis"), tools.join("schemathesis/pins.txt"));
    let program = venv.join("bin/schemathesis");
    if program.exists() && std::fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == PINS) {
        return Some(program);
    }
    let new_enough = "import sys; sys.exit(sys.version_info < (3, 10))";
    if !Command::new("python3").args(["-c", new_enough]).status().is_ok_and(|status| status.success()) {
        return None;
    }
    std::fs::create_dir_all(&tools).unwrap();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    say("Installing schemathesis into target/tools; once, up to a minute");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    let pins = it_dir().join("query/schemathesis.txt");
    let quiet =
        ["install", "--quiet", "--no-deps", "--no-input", "--disable-pip-version-check", "--requirement"];
    run(Command::new(venv.join("bin/pip")).args(quiet).arg(pins));
    std::fs::write(stamp, PINS).unwrap();
    Some(program)
}
