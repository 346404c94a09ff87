//! `smile bring-over`: after the table was restored into a new one, the events that the old one alone has go to
//! the queue again, as webhooks that came late. State is the same for any order and any repetition.
//!
//! Some things cannot go to a queue and are written to the new table itself: an event whose body was dropped, with the
//! register that its facts make, and the quarantine.

use std::process::ExitCode;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use shared::event::EventType;
use shared::id::EventId;
use shared::state::is_revocation;
use shared::table::{NotBrought, QUARANTINE_DAYS, QuarantineKey, Quarantined, StoredEvent, Table};

use crate::again::Queues;
use crate::audit::{Auditor, Outcome, Via};
use crate::cli::Usage;
use crate::operator::OperatorArgs;
use crate::ui::{are, plain, say};

/// After a restore: send what the old table alone has to the queue again
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The table that was in use before
    #[arg(value_name = "OLD-TABLE")]
    old: String,
    /// The day (UTC) that was restored to; events from it on are compared
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Date,
    /// Only count and list
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

const EXAMPLES: &str = "\
Examples:
  smile bring-over smile-receiver-production-Table-1ABC --since 2026-03-01 --dry-run \\
    --stack smile-receiver-production --region ap-southeast-1

Run it when the stack uses the restored table (infra/restore.md). Running it again sends only what
is still missing. Events whose body was dropped, and what lies in quarantine, are copied from table
to table. Of the former, what browsers said shows up in the timeline and in no state.

Exit codes: 0 all that was missing is sent, 1 something was left.";

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let stack = args.operator.deployed().await?;
    let in_use = stack.output("TableName")?;
    if in_use == args.old {
        return Err(Usage::new(format!(
            "{in_use} is the table in use: deploy with RestoredTable first, and name the one from before"
        ))
        .into());
    }
    let (old, new) = (Table::new(&stack.sdk, &*args.old), Table::new(&stack.sdk, in_use));
    let queues = Queues::of(&stack)?;
    say(&format!("from the table {} to {}:", args.old, stack.told()));
    let today = TimeZone::UTC.to_datetime(now).date();
    let events = events(&old, args.since, today).await?;
    let quarantined = quarantined(&old, args.since, today).await?;
    let act = if args.dry_run {
        None
    } else {
        let parameters = [("old", args.old.clone()), ("since", args.since.to_string())];
        let auditor = Auditor::of(&stack, Via::Command).await?;
        Some(auditor.begin("bring-over", &parameters, (events.len() + quarantined.len()) as u64).await?)
    };
    let mut tally = Tally::default();
    let tables = (&old, &new);
    let mut result = bring(&events, tables, &queues, args.dry_run, &mut tally).await;
    if result.is_ok() {
        result = copy_quarantine(&quarantined, tables, args.dry_run, &mut tally).await;
    }
    let is_written = match act {
        Some(act) => act.end(tally.sent, tally.left, &Outcome::of(&result), result).await?.told().1,
        None => result.map(|()| true)?,
    };
    let Tally { there, sent, left } = tally;
    say(&format!("{there} {} there, {sent} {}, {left} left", are(there), sent_word(args.dry_run)));
    Ok(if left == 0 && is_written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of the events.
#[derive(Default)]
struct Tally {
    there: u64,
    sent: u64,
    left: u64,
}

impl Tally {
    fn count(&mut self, brought: Result<(), &'static str>, dry_run: bool, line: &str) {
        match brought {
            Ok(()) => {
                say(&format!("{}  {line}", sent_word(dry_run)));
                self.sent += 1;
            }
            Err(why) => {
                say(&format!("left  {line}: {why}"));
                self.left += 1;
            }
        }
    }
}

/// How many quarantined items are listed at a time, without their bodies.
const PAGE: usize = 500;

fn sent_word(dry_run: bool) -> &'static str {
    if dry_run { "would be sent" } else { "sent" }
}

async fn bring(
    events: &[StoredEvent],
    (old, new): (&Table, &Table),
    queues: &Queues,
    dry_run: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for event in events {
        let id = EventId::new(event.id.as_str())?;
        if new.event_alone(&id).await?.is_some() {
            tally.there += 1;
            continue;
        }
        let brought = if event.body_dropped.is_some() {
            copy(&id, (old, new), dry_run).await?
        } else {
            let body = old.event(&id).await?.and_then(|(_, body)| body);
            match queues.ready(event, body) {
                Ok(ready) if !dry_run => ready.send().await.map(Ok)?,
                ready => ready.map(|_| ()),
            }
        };
        let line = format!("{} {} {}", event.stored_at, plain(&event.kind), plain(&event.id));
        tally.count(brought, dry_run, &line);
    }
    Ok(())
}

/// An event without a body.
async fn copy(
    id: &EventId,
    (old, new): (&Table, &Table),
    dry_run: bool,
) -> anyhow::Result<Result<(), &'static str>> {
    if dry_run {
        return Ok(Ok(()));
    }
    Ok(new.bring_over(old, id).await?.map_err(|why| match why {
        NotBrought::Gone => "the old table has it no more",
        NotBrought::HasBody => "it has a body",
    }))
}

async fn copy_quarantine(
    quarantined: &[Quarantined],
    (old, new): (&Table, &Table),
    dry_run: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for item in quarantined {
        let key: QuarantineKey = item.key.parse()?;
        if new.quarantined(&key).await?.is_some() || was_released(new, item).await? {
            tally.there += 1;
            continue;
        }
        let brought = dry_run || new.bring_over_quarantined(old, &key).await?;
        let brought = if brought { Ok(()) } else { Err("the old table has it no more") };
        tally.count(
            brought,
            dry_run,
            &format!("{} in quarantine: {} {}", item.stored_at, item.reason, item.key),
        );
    }
    Ok(())
}

/// Whether it has become an event since: then it must not lie in quarantine once more.
async fn was_released(new: &Table, item: &Quarantined) -> anyhow::Result<bool> {
    let Some(id) = item.id.as_deref().and_then(|id| EventId::new(id).ok()) else { return Ok(false) };
    Ok(new.event_alone(&id).await?.is_some_and(|event| event.came_with(&item.hash)))
}

/// Every event from a day on, revocations first: what comes after one keeps no body.
async fn events(table: &Table, since: Date, today: Date) -> anyhow::Result<Vec<StoredEvent>> {
    let mut events = Vec::new();
    for day in since.series(jiff::Span::new().days(1)).take_while(|day| *day <= today) {
        events.extend(table.events_on(day).await?);
    }
    events.sort_by_key(|event| !is_revocation(&EventType::from(event.kind.as_str())));
    Ok(events)
}

/// Quarantined bodies that were stored from a day on. Each lies under the day of its receipt, and a message can wait in a queue for as
/// long as SQS keeps it.
async fn quarantined(table: &Table, since: Date, today: Date) -> anyhow::Result<Vec<Quarantined>> {
    let since = TimeZone::UTC.to_timestamp(since.to_datetime(Time::midnight()))?;
    let mut found = Vec::new();
    for ago in (0..=2 * QUARANTINE_DAYS).rev() {
        let (day, mut after) = (today - SignedDuration::from_hours(24 * ago), None);
        loop {
            let (page, reached) = table.quarantine_page(day, after.as_deref(), PAGE).await?;
            found.extend(page.into_iter().filter(|item| item.stored_at >= since));
            after = reached;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(found)
}
