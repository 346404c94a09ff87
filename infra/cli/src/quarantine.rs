//! `smile quarantine`: what could not be filed, why, and back to the queue with it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use shared::event::Envelope;
use shared::job::{Job, Source};
use shared::table::{QUARANTINE_DAYS, QuarantineKey, Quarantined, Reason};
use shared::verify::Verified;

use crate::cli::Usage;
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
            let receiver = operator.receiver().await?;
            let items = if keys.is_empty() {
                if filter.reason.is_none() && filter.day.is_none() {
                    return Err(Usage::new("say what to release: keys, --reason or --day").into());
                }
                found(&receiver, filter, now).await?
            } else {
                named(&receiver, keys).await?
            };
            return release(&receiver, items, *dry_run).await;
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

async fn release(receiver: &Receiver, items: Vec<Quarantined>, dry_run: bool) -> anyhow::Result<ExitCode> {
    let (mut released, mut left) = (0, 0);
    for item in items {
        let key: QuarantineKey = item.key.parse()?;
        let Some((item, body)) = receiver.table.quarantined(&key).await? else {
            say(&format!("gone  {key}: somebody else has released it meanwhile"));
            continue;
        };
        let obstacle = match &body {
            None => Some("its body is not complete: it may just be being written, try again".to_owned()),
            Some(body) => obstacle(&item, body),
        };
        if let Some(reason) = obstacle {
            say(&format!("left  {key}: {reason}"));
            left += 1;
            continue;
        }
        if !dry_run {
            release_one(receiver, &key, &item, &body.unwrap_or_default()).await?;
        }
        say(&format!("{}  {}", if dry_run { "would be released" } else { "released" }, line(&item)));
        released += 1;
    }
    say(&format!("{released} {}, {left} left", if dry_run { "would be released" } else { "released" }));
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
