//! The benchmark: the product's binaries beside handlers that do the same work. See `../README.md`.

mod cloud;
mod consumer;
mod handlers;
mod http;
mod lambda;
mod machine;
mod report;
mod rounds;
mod samples;

use std::fs::File;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::cloud::Cloud;
use crate::handlers::Folders;
use crate::report::Line;
use crate::rounds::{Events, Plan};

const USAGE: &str = "tests/bench/run [--quick] [--json] [--check] [--awake] [--beside FILE]...

  --quick   twenty seconds instead of four minutes, for a look
  --json    print JSON instead of tables (it also goes to target/bench/result.json)
  --check   end with 1 when a target is missed
  --awake   keep the processors from sleeping: steadier, but the targets were set without
  --beside  measure another build of webhook, too: what a change is worth";

fn main() -> Result<ExitCode> {
    let (mut as_json, mut check, mut awake, mut plan) = (false, false, false, Plan::FULL);
    let mut beside = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--beside" => {
                let file = arguments.next().context("--beside which file?")?;
                beside.push(std::fs::canonicalize(&file).context(file)?);
            }
            "--json" => as_json = true,
            "--check" => check = true,
            "--awake" => awake = true,
            "--quick" => plan = Plan::QUICK,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            other => bail!("{other} is not known\n\n{USAGE}"),
        }
    }
    let folders = Folders::find()?;
    // Two runs would disturb each other, and write each other's certificates.
    let lock = File::create(folders.target.join("lock"))?;
    lock.try_lock().context("another run is at work")?;
    let cloud = Cloud::start(&folders.target)?;
    let handlers = handlers::all(&folders, &cloud, &beside)?;
    let events = Events::new();
    for handler in &handlers {
        for body in [&events.small, &events.large] {
            handlers::try_out(handler, &cloud, body)
                .with_context(|| format!("{} does not do its work", handler.spec.name))?;
        }
    }
    let load_before = machine::load();
    if awake {
        machine::keep_awake()?;
    }
    let (figures, disturbed) = rounds::run(&handlers, &cloud, &events, plan)?;
    let spec = handlers::consumer(&folders, &cloud);
    let consumed = consumer::run(&spec, &cloud, &folders.root.join("infra/cli/samples"))?;
    let lines = handlers
        .iter()
        .zip(&figures)
        .map(|(handler, of)| Line::new(handler, of))
        .collect::<Result<Vec<_>>>()?;
    let targets = report::targets(&lines, &consumed)?;
    let circumstances = json!({
        "unix_time": SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        "machine": machine::name(),
        "load_before": load_before,
        "load_after": machine::load(),
        "kept_awake": awake,
        "rounds": plan.rounds,
        "turns_beside_other_work": disturbed,
        "body_bytes": [events.small.len(), events.large.len()],
    });
    let result = report::json(&lines, &consumed, &targets, circumstances.clone());
    std::fs::write(folders.target.join("result.json"), format!("{result:#}\n"))?;
    if as_json {
        println!("{result:#}");
    } else {
        println!("{circumstances}\n\n{}", report::text(&lines, &consumed, &targets));
    }
    let missed = targets.iter().any(report::Target::missed);
    Ok(if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
