//! `smile quarantine`: what could not be filed, why, and back to the queue with it.
//!
//! In the night when Smile's address changes everything lies here: what is listed or released by a filter is read
//! page by page, and no more than one body is in memory.

mod asked;
mod release;

use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;
use shared::table::{QUARANTINE_DAYS, QuarantineKey, Quarantined, Reason, Table};

use self::asked::Asked;
pub use self::release::{Fate, Released, Tally, could_release, release};
use crate::cli::Usage;
use crate::confirm::Yes;
use crate::operator::{OperatorArgs, Receiver};
use crate::ui::{Body, plain, say, write_json, write_out};

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
  smile quarantine release --reason unlisted_source --day 2026-03-01

Reasons: not_utf8, not_json, no_id, no_type, id_length (no event can be read in it), id_conflict
(another body is stored under its id), unlisted_source (held by SOURCE_POLICY=quarantine),
undecodable (not of this project's form), item_too_large.

A body goes byte for byte into a pipe or a file. On a terminal, what would steer it stands there as
an escape. With --json it is in the object as it was received, or in base64 where it is no JSON.";

const RELEASE: &str = "\
What fits the filter, or several keys, is counted first and released when you say yes; one key needs
no question. What would be back in quarantine at once is left, and what fails is told; the rest goes
on. Killed in between, it sends one once more when it is run again, which is harmless. What comes
into quarantine after the count stays there.

Exit codes: 0 all are released, 1 something is left or failed, or it was stopped, 2 something is
wrong with what was typed.";

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
        /// Print the body, with whatever personal data is in it
        #[arg(long)]
        body: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// Send them to the queue again, as if they had just passed every check
    #[command(after_help = RELEASE)]
    Release {
        /// Keys, as `list` prints them; without any, all that fit the filter
        keys: Vec<QuarantineKey>,
        #[command(flatten)]
        filter: Filter,
        /// Only count and list
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        yes: Yes,
        /// Print one JSON object a line, for each of them
        #[arg(long)]
        json: bool,
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
    fn is_open(&self) -> bool {
        self.day.is_none() && self.reason.is_none()
    }

    fn holds(&self, item: &Quarantined) -> bool {
        self.reason.as_ref().is_none_or(|reason| item.reason == *reason)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let day = self.day.map(|day| ("day", day.to_string()));
        day.into_iter().chain(self.reason.clone().map(|reason| ("reason", reason))).collect()
    }
}

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { filter, json, operator } => {
            list(Pages::of(&operator.receiver().await?.table, filter, now), *json).await?;
        }
        Command::Show { key, body, json, operator } => {
            show(&operator.receiver().await?, key, *body, *json).await?;
        }
        Command::Release { keys, filter, dry_run, yes, json, operator } => {
            if keys.is_empty() == filter.is_open() {
                return Err(Usage::new("say what to release: either keys, or --reason or --day").into());
            }
            let deployed = operator.deployed().await?;
            let receiver = deployed.receiver()?;
            // Named twice, it is released once.
            let keys: Vec<_> = keys.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
            let pages = Pages::of(&receiver.table, filter, now);
            let asked = Asked { deployed, receiver, keys, pages, yes: *yes, dry_run: *dry_run, json: *json };
            return asked.answer().await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What fits a filter, page by page, oldest first.
#[derive(Clone)]
struct Pages<'a> {
    table: Table,
    filter: &'a Filter,
    days: VecDeque<Date>,
    after: Option<String>,
}

/// How many are read at a time, without their bodies.
const PAGE: usize = 500;

impl<'a> Pages<'a> {
    fn of(table: &Table, filter: &'a Filter, now: Timestamp) -> Self {
        let today = TimeZone::UTC.to_datetime(now).date();
        // What was received long before it was quarantined lies under the day of its receipt: a message can wait in a
        // queue for as long as SQS keeps it.
        let ago = (0..=2 * QUARANTINE_DAYS).rev();
        let all = || ago.map(|ago| today - SignedDuration::from_hours(24 * ago)).collect();
        let days = filter.day.map_or_else(all, |day| [day].into());
        Self { table: table.clone(), filter, days, after: None }
    }

    /// Some more, or for now none; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<Quarantined>>> {
        let Some(day) = self.days.front() else { return Ok(None) };
        let (mut found, reached) = self.table.quarantine_page(*day, self.after.as_deref(), PAGE).await?;
        if reached.is_none() {
            self.days.pop_front();
        }
        self.after = reached;
        found.retain(|item| self.filter.holds(item));
        Ok(Some(found))
    }
}

async fn list(mut pages: Pages<'_>, json: bool) -> anyhow::Result<()> {
    let mut count = 0;
    while let Some(items) = pages.next().await? {
        count += items.len();
        for item in items {
            if json {
                write_json(&item, false)?;
            } else {
                writeln!(std::io::stdout(), "{}", line(&item))?;
            }
        }
    }
    if !json {
        say(&format!("{count} in quarantine"));
    }
    Ok(())
}

fn line(item: &Quarantined) -> String {
    let id = plain(item.id.as_deref().unwrap_or("-"));
    let kind = plain(item.kind.as_deref().unwrap_or("-"));
    format!("{}  {:<15} {:>8} bytes  {kind} {id}", item.key, item.reason, item.bytes)
}

async fn show(receiver: &Receiver, key: &QuarantineKey, body: bool, json: bool) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct WithBody {
        #[serde(flatten)]
        item: Quarantined,
        #[serde(flatten)]
        body: Option<Body>,
    }
    let (item, bytes) = there(receiver, key).await?;
    let bytes = || bytes.with_context(|| format!("the body of {key} is not complete"));
    if json {
        let body = if body { Some(Body::new(&bytes()?)?) } else { None };
        write_json(&WithBody { item, body }, true)?;
    } else if body {
        write_out(&bytes()?)?;
    } else {
        let Quarantined { detail, received_at, stored_at, delivery, hash, .. } = &item;
        writeln!(
            std::io::stdout(),
            "{}\n  {}\n  received {received_at}, quarantined {stored_at}\n  delivery {}, sha-256 {hash}",
            line(&item),
            plain(detail),
            plain(delivery),
        )?;
    }
    Ok(())
}

async fn there(receiver: &Receiver, key: &QuarantineKey) -> anyhow::Result<(Quarantined, Option<Vec<u8>>)> {
    let found = receiver.table.quarantined(key).await?;
    found.with_context(|| format!("nothing lies in quarantine under {key}"))
}
