//! `smile quarantine`: what could not be filed, why, and back to the queue with it.

use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;
use shared::event::Envelope;
use shared::job::{Job, Source};
use shared::table::{QUARANTINE_DAYS, QuarantineKey, Quarantined, Reason};
use shared::verify::Verified;

use crate::audit::{Act, Auditor, Ended, Outcome, Via};
use crate::cli::Usage;
use crate::interrupt::Interrupt;
use crate::operator::{OperatorArgs, Receiver};
use crate::ui::{plain, say};

/// Look after what could not be filed as an event
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  smile quarantine list
  smile quarantine show '2026-03-01T10:00:00.000000Z#0123456789abcdef' --body
  smile quarantine release --reason unlisted_source --dry-run
  smile quarantine release --reason unlisted_source

Reasons: not_utf8, not_json, no_id, no_type, id_length (no event can be read in it), id_conflict
(another body is stored under its id), unlisted_source (held by SOURCE_POLICY=quarantine),
undecodable (not of this project's form), item_too_large.";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what lies in quarantine
    List {
        #[command(flatten)]
        filter: Filter,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// Show one of them
    Show {
        /// The key, as `list` prints it
        key: QuarantineKey,
        /// Print the body, byte for byte, with whatever personal data is in it
        #[arg(long)]
        body: bool,
        /// Print one JSON object
        #[arg(long, conflicts_with = "body")]
        json: bool,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// Send them to the queue again, as if they had just passed every check
    Release {
        /// Keys, as `list` prints them; without any, all that fit the filter
        keys: Vec<QuarantineKey>,
        #[command(flatten)]
        filter: Filter,
        /// Only count and list
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        operator: OperatorArgs,
    },
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// Only what was received on this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
    /// Only what is here for this reason
    #[arg(long, value_name = "REASON", value_parser = clap::builder::PossibleValuesParser::new(Reason::WORDS))]
    reason: Option<String>,
}

impl Filter {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let day = self.day.map(|day| ("day", day.to_string()));
        day.into_iter().chain(self.reason.clone().map(|reason| ("reason", reason))).collect()
    }
}

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { filter, json, operator } => {
            list(&found(&operator.receiver().await?, filter, now).await?, *json)?;
        }
        Command::Show { key, body, json, operator } => {
            show(&operator.receiver().await?, key, *body, *json).await?;
        }
        Command::Release { keys, filter, dry_run, operator } => {
            let deployed = operator.deployed().await?;
            let receiver = deployed.receiver()?;
            let items = if keys.is_empty() {
                if filter.reason.is_none() && filter.day.is_none() {
                    return Err(Usage::new("say what to release: keys, --reason or --day").into());
                }
                found(&receiver, filter, now).await?
            } else {
                named(&receiver, keys).await?
            };
            let keys = items.iter().map(|item| Ok(item.key.parse()?)).collect::<anyhow::Result<Vec<_>>>()?;
            let interrupt = Interrupt::listen();
            let mut heard = |one: &Released| {
                say(&one.line(*dry_run));
                interrupt.flow()
            };
            let (tally, is_written) = if *dry_run {
                (could_release(&receiver, &keys, &mut heard).await?, true)
            } else {
                let auditor = Auditor::of(&deployed, Via::Command).await?;
                release(&receiver, &auditor, &keys, &filter.parameters(), &mut heard).await?.told()
            };
            let done = if *dry_run { "would be released" } else { "released" };
            say(&format!("{} {done}, {} left", tally.released, tally.left));
            if tally.is_part {
                say("stopped before the end: run it again for the rest");
            }
            let is_all = tally.left == 0 && !tally.is_part && is_written;
            return Ok(if is_all { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All items that fit the filter, oldest first.
async fn found(receiver: &Receiver, filter: &Filter, now: Timestamp) -> anyhow::Result<Vec<Quarantined>> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let days = match filter.day {
        Some(day) => vec![day],
        // What was received long before it was quarantined lies under the day of its receipt: a message
        // can wait in a queue for as long as SQS keeps it.
        None => {
            (0..=2 * QUARANTINE_DAYS).rev().map(|ago| today - SignedDuration::from_hours(24 * ago)).collect()
        }
    };
    let mut items = Vec::new();
    for day in days {
        items.extend(receiver.table.quarantined_on(day).await?);
    }
    items.retain(|item| filter.reason.as_ref().is_none_or(|reason| item.reason == *reason));
    Ok(items)
}

async fn named(receiver: &Receiver, keys: &[QuarantineKey]) -> anyhow::Result<Vec<Quarantined>> {
    let mut items = Vec::new();
    // Named twice, it is released once.
    for key in keys.iter().collect::<std::collections::BTreeSet<_>>() {
        let item = receiver.table.quarantined(key).await?;
        items.push(item.with_context(|| format!("nothing lies in quarantine under {key}"))?.0);
    }
    Ok(items)
}

fn list(items: &[Quarantined], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for item in items {
        if json {
            writeln!(out, "{}", serde_json::to_string(item)?)?;
        } else {
            writeln!(out, "{}", line(item))?;
        }
    }
    if !json {
        say(&format!("{} in quarantine", items.len()));
    }
    Ok(())
}

fn line(item: &Quarantined) -> String {
    let id = plain(item.id.as_deref().unwrap_or("-"));
    let kind = plain(item.kind.as_deref().unwrap_or("-"));
    format!("{}  {:<15} {:>8} bytes  {kind} {id}", item.key, item.reason, item.bytes)
}

async fn show(receiver: &Receiver, key: &QuarantineKey, body: bool, json: bool) -> anyhow::Result<()> {
    let Some((item, bytes)) = receiver.table.quarantined(key).await? else {
        bail!("nothing lies in quarantine under {key}");
    };
    let mut out = std::io::stdout().lock();
    if body {
        let bytes = bytes.with_context(|| format!("the body of {key} is not complete"))?;
        out.write_all(&bytes)?;
    } else if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&item)?)?;
    } else {
        writeln!(
            out,
            "{}\n  {}\n  received {}, quarantined {}",
            line(&item),
            item.detail,
            item.received_at,
            item.stored_at
        )?;
        writeln!(out, "  delivery {}, sha-256 {}", item.delivery, item.hash)?;
    }
    Ok(())
}

/// Why a body cannot go back to the queue, if so: it would be in quarantine again at once.
fn obstacle(item: &Quarantined, body: &[u8]) -> Option<String> {
    if item.source == Source::Callback.as_str() {
        return Some("a browser sent it, and what browsers send has a queue of its own".to_owned());
    }
    match item.reason.as_str() {
        "id_conflict" => {
            Some("another body is stored under its id, and it would be refused again".to_owned())
        }
        "undecodable" => Some("it is not a body but a message that cannot be taken apart".to_owned()),
        _ => Envelope::parse(Verified::from_own_queue(body))
            .and_then(|event| event.facts())
            .err()
            .map(|reason| format!("it still cannot be read: {reason}")),
    }
}

/// What became of one body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// Its key.
    pub key: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// Its description, unless it is gone.
    #[serde(skip)]
    pub item: Option<Quarantined>,
}

/// What became of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It is in the queue, or would be.
    Released,
    /// It stays.
    Left {
        /// Why.
        why: String,
    },
    /// Somebody else has released it meanwhile.
    Gone,
}

/// How many bodies met which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Released.
    pub released: u64,
    /// Left in quarantine.
    pub left: u64,
    /// Whether it was stopped before all were looked at.
    pub is_part: bool,
}

/// Sends bodies to the queue again, and writes down who did it. `heard` is told of each, and may stop it.
pub async fn release(
    receiver: &Receiver,
    auditor: &Auditor,
    keys: &[QuarantineKey],
    parameters: &[(&str, String)],
    heard: &mut dyn FnMut(&Released) -> ControlFlow<()>,
) -> anyhow::Result<Ended<Tally>> {
    let named = keys.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let parameters = [parameters, &[("keys", named)]].concat();
    let mut act = auditor.begin("quarantine release", &parameters, keys.len() as u64).await?;
    let mut tally = Tally::default();
    let result = each(receiver, keys, false, &mut tally, heard, Some(&mut act)).await;
    let outcome = if tally.is_part { Outcome::Stopped(None) } else { Outcome::of(&result) };
    act.end(tally.released, tally.left, &outcome, result.map(|()| tally)).await
}

/// The most keys that are written down.
const NAMED_MAX: usize = 50;

/// Says of each body what [`release`] would do with it. `heard` may stop it.
pub async fn could_release(
    receiver: &Receiver,
    keys: &[QuarantineKey],
    heard: &mut dyn FnMut(&Released) -> ControlFlow<()>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    each(receiver, keys, true, &mut tally, heard, None).await?;
    Ok(tally)
}

async fn each(
    receiver: &Receiver,
    keys: &[QuarantineKey],
    dry_run: bool,
    tally: &mut Tally,
    heard: &mut dyn FnMut(&Released) -> ControlFlow<()>,
    mut act: Option<&mut Act>,
) -> anyhow::Result<()> {
    for (at, key) in keys.iter().enumerate() {
        let (fate, item) = match receiver.table.quarantined(key).await? {
            None => (Fate::Gone, None),
            Some((item, body)) => {
                let obstacle = match &body {
                    None => {
                        Some("its body is not complete: it may just be being written, try again".to_owned())
                    }
                    Some(body) => obstacle(&item, body),
                };
                let fate = obstacle.map_or(Fate::Released, |why| Fate::Left { why });
                if fate == Fate::Released && !dry_run {
                    release_one(receiver, key, &item, &body.unwrap_or_default()).await?;
                }
                (fate, Some(item))
            }
        };
        match &fate {
            Fate::Released => tally.released += 1,
            Fate::Left { .. } => tally.left += 1,
            Fate::Gone => {}
        }
        let flow = heard(&Released { key: key.to_string(), fate, item });
        if let Some(act) = &mut act {
            act.note(tally.released, tally.left).await;
        }
        if flow.is_break() && at + 1 < keys.len() {
            tally.is_part = true;
            break;
        }
    }
    Ok(())
}

impl Released {
    fn line(&self, dry_run: bool) -> String {
        let Self { key, fate, item } = self;
        let item = item.as_ref().map_or_else(|| key.clone(), line);
        match fate {
            Fate::Released if dry_run => format!("would be released  {item}"),
            Fate::Released => format!("released  {item}"),
            Fate::Left { why } => format!("left  {key}: {why}"),
            Fate::Gone => format!("gone  {key}: somebody else has released it meanwhile"),
        }
    }
}

/// Sends first and removes after: a crash between the two sends it twice, which is harmless.
async fn release_one(
    receiver: &Receiver,
    key: &QuarantineKey,
    item: &Quarantined,
    body: &[u8],
) -> anyhow::Result<()> {
    let source = if item.source == Source::Reconcile.as_str() { Source::Reconcile } else { Source::Webhook };
    let job = Job {
        source,
        received_at: item.received_at,
        delivery: item.delivery.clone(),
        held: false,
        check: false,
    };
    receiver.queue.send(job.encode(body)?, None).await?;
    if !receiver.table.remove_quarantined(key, item).await? {
        say(&format!("note  {key}: it is in quarantine again, or somebody else has removed it"));
    }
    Ok(())
}
