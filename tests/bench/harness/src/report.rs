//! What comes out: the table, the targets ("To reach" in the project's notes on speed), and all of it
//! as JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::consumer::{Consumed, is_read};
use crate::handlers::{FLOOR, Handler, NODE, PYTHON, TUTORIAL, WEBHOOK, WEBHOOK_ARN};
use crate::rounds::{Figures, median};

/// One handler's line.
pub struct Line {
    name: String,
    init: f64,
    first: f64,
    cold: f64,
    small: (f64, f64),
    large: (f64, f64),
    cpu: (f64, f64),
    rss: f64,
    peak: f64,
    zip: f64,
}

impl Line {
    /// The medians of one handler's figures.
    pub fn new(handler: &Handler, figures: &Figures) -> Result<Self> {
        let of = |pairs: &[(f64, f64)]| {
            let (half, most): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            (median(&half), median(&most))
        };
        Ok(Self {
            name: handler.spec.name.clone(),
            init: median(&figures.init),
            first: median(&figures.first),
            cold: median(&figures.cold),
            small: of(&figures.small),
            large: of(&figures.large),
            cpu: (median(&figures.cpu_small), median(&figures.cpu_large)),
            rss: median(&figures.rss),
            peak: median(&figures.peak),
            zip: zip_megabytes(&handler.artifact).with_context(|| handler.artifact.display().to_string())?,
        })
    }

    fn json(&self) -> Value {
        json!({
            "handler": self.name,
            "init_ms": self.init,
            "first_invoke_ms": self.first,
            "init_and_first_ms": self.cold,
            "warm_1kb_us": { "p50": self.small.0, "p99": self.small.1 },
            "warm_100kb_us": { "p50": self.large.0, "p99": self.large.1 },
            "cpu_ms_per_1000": { "1kb": self.cpu.0, "100kb": self.cpu.1 },
            "rss_mib": { "after_1kb": self.rss, "peak": self.peak },
            "zip_mb": self.zip,
        })
    }
}

/// One target and what was reached.
pub struct Target {
    what: String,
    value: f64,
    limit: f64,
    /// Whether a miss counts: what lies "beyond" is only told.
    binding: bool,
}

impl Target {
    /// Whether it was reached.
    pub fn reached(&self) -> bool {
        self.value <= self.limit
    }

    /// Whether it is one that must be reached, and was not.
    pub fn missed(&self) -> bool {
        self.binding && !self.reached()
    }
}

/// The targets of the project's notes on speed.
pub fn targets(lines: &[Line], consumed: &Consumed) -> Result<Vec<Target>> {
    let line = |name: &str| lines.iter().find(|line| line.name == name).context("a handler is missing");
    let (webhook, fetched) = (line(WEBHOOK)?, line(WEBHOOK_ARN)?);
    let (tutorial, node, python, floor) = (line(TUTORIAL)?, line(NODE)?, line(PYTHON)?, line(FLOOR)?);
    let mut targets = Vec::new();
    let mut add = |what: &str, value: f64, limit: f64, binding: bool| {
        targets.push(Target { what: what.to_owned(), value, limit, binding });
    };
    add("init + first invoke, × tutorial Rust", webhook.cold / tutorial.cold, 0.10, true);
    add("the same with the secret fetched, × tutorial Rust", fetched.cold / tutorial.cold, 0.10, true);
    add("warm 1 KB p50, × tutorial Rust", webhook.small.0 / tutorial.small.0, 0.58, true);
    add("warm 1 KB p50, × Node", webhook.small.0 / node.small.0, 0.25, true);
    add("warm 1 KB p50, × Python", webhook.small.0 / python.small.0, 0.25, true);
    add("warm 100 KB p50, × tutorial Rust (a stretch)", webhook.large.0 / tutorial.large.0, 0.65, true);
    add("RSS, the most ever, MiB", webhook.peak, 7.0, true);
    add("zip, MB", webhook.zip, 2.5, true);
    add("beyond: warm 1 KB p50, × floor", webhook.small.0 / floor.small.0, 2.0, false);
    add("beyond: warm 100 KB p50, × floor", webhook.large.0 / floor.large.0, 2.0, false);
    add("beyond: init + first invoke, × floor", webhook.cold / floor.cold, 2.0, false);
    add("consumer: table calls for a small event", consumed.small.values().sum::<u64>() as f64, 2.0, true);
    let reads = consumed.small.iter().filter(|(operation, _)| is_read(operation)).map(|(_, count)| count);
    add("consumer: reads among them", reads.sum::<u64>() as f64, 0.0, true);
    for (latency, _, later) in &consumed.batches {
        let what = format!("consumer: a batch of 10, in calls of {} ms", latency.as_millis());
        add(&what, *later, 3.0, true);
    }
    Ok(targets)
}

/// All as JSON.
pub fn json(lines: &[Line], consumed: &Consumed, targets: &[Target], circumstances: Value) -> Value {
    json!({
        "circumstances": circumstances,
        "handlers": lines.iter().map(Line::json).collect::<Vec<_>>(),
        "consumer": {
            "calls_for_a_small_event": consumed.small,
            "event_types": consumed.types,
            "event_types_with_other_calls": consumed.others,
            "batch_of_10": consumed.batches.iter().map(|(latency, first, later)| json!({
                "call_ms": latency.as_millis() as u64,
                "first_in_calls": first,
                "later_in_calls": later,
            })).collect::<Vec<_>>(),
        },
        "targets": targets.iter().map(|target| json!({
            "target": target.what,
            "value": target.value,
            "limit": target.limit,
            "reached": target.reached(),
            "binding": target.binding,
        })).collect::<Vec<_>>(),
    })
}

/// All as text.
pub fn text(lines: &[Line], consumed: &Consumed, targets: &[Target]) -> String {
    let mut out = String::new();
    let _ = table(&mut out, lines, consumed, targets);
    out
}

fn table(out: &mut String, lines: &[Line], consumed: &Consumed, targets: &[Target]) -> std::fmt::Result {
    writeln!(
        out,
        "| handler | init ms | first ms | both ms | 1 KB p50 µs | p99 | 100 KB p50 µs | p99 | CPU ms/1000 at 1 KB | at 100 KB | RSS MiB | most | zip MB |"
    )?;
    writeln!(out, "|---|{}", "--:|".repeat(12))?;
    for line in lines {
        write!(out, "| {} | {:.2} | {:.2} | {:.2} ", line.name, line.init, line.first, line.cold)?;
        for (value, digits) in [
            (line.small.0, 0),
            (line.small.1, 0),
            (line.large.0, 0),
            (line.large.1, 0),
            (line.cpu.0, 0),
            (line.cpu.1, 0),
            (line.rss, 1),
            (line.peak, 1),
        ] {
            if value.is_nan() { write!(out, "| ")? } else { write!(out, "| {value:.digits$} ")? }
        }
        writeln!(out, "| {:.2} |", line.zip)?;
    }
    writeln!(out, "\nConsumer: a small event costs {:?}.", consumed.small)?;
    for (latency, first, later) in &consumed.batches {
        writeln!(
            out,
            "A batch of 10, calls of {} ms: {later:.2} calls; the first of a process {first:.2}.",
            latency.as_millis()
        )?;
    }
    for (kind, calls) in &consumed.others {
        writeln!(out, "Other calls: {kind} {calls:?}")?;
    }
    writeln!(out, "Samples of {} types; the others cost two calls without a read.", consumed.types)?;
    writeln!(out, "\n| target | reached | at most | |\n|---|--:|--:|---|")?;
    for target in targets {
        let word = match (target.reached(), target.binding) {
            (true, _) => "pass",
            (false, true) => "**miss**",
            (false, false) => "not reached",
        };
        writeln!(out, "| {} | {:.3} | {} | {word} |", target.what, target.value, target.limit)?;
    }
    Ok(())
}

/// The size of a zip with this file, or with all in this folder, in MB.
fn zip_megabytes(artifact: &Path) -> Result<f64> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    add(&mut writer, artifact, "")?;
    Ok(writer.finish()?.into_inner().len() as f64 / 1e6)
}

fn add(writer: &mut zip::ZipWriter<std::io::Cursor<Vec<u8>>>, path: &Path, inside: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add(writer, entry, &format!("{inside}{name}/")));
    }
    let options = zip::write::SimpleFileOptions::default().compression_level(Some(9));
    writer.start_file(format!("{inside}{name}"), options)?;
    Ok(writer.write_all(&std::fs::read(path)?)?)
}
