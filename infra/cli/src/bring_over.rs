//! `smile bring-over`: after the table was restored into a new one, the events that the old one alone has go to
//! the queue again, as webhooks that came late. State is the same for any order and any repetition.

use std::process::ExitCode;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;
use shared::event::EventType;
use shared::id::EventId;
use shared::state::is_revocation;
use shared::table::{StoredEvent, Table};

use crate::again::Queues;
use crate::audit::{Auditor, Outcome, Via};
use crate::cli::Usage;
use crate::operator::OperatorArgs;
use crate::ui::{plain, say};

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
is still missing. Of events without a body only revocations are sent, which need none.

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
    let events = events(&old, args.since, TimeZone::UTC.to_datetime(now).date()).await?;
    let act = if args.dry_run {
        None
    } else {
        let parameters = [("old", args.old.clone()), ("since", args.since.to_string())];
        let auditor = Auditor::of(&stack, Via::Command).await?;
        Some(auditor.begin("bring-over", &parameters, events.len() as u64).await?)
    };
    let mut tally = Tally::default();
    let result = bring(&events, (&old, &new), &queues, args.dry_run, &mut tally).await;
    let is_written = match act {
        Some(act) => act.end(tally.sent, tally.left, &Outcome::of(&result), result).await?.told().1,
        None => result.map(|()| true)?,
    };
    let Tally { there, sent, left } = tally;
    say(&format!("{there} are there, {sent} {}, {left} left", sent_word(args.dry_run)));
    Ok(if left == 0 && is_written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of the events.
#[derive(Default)]
struct Tally {
    there: u64,
    sent: u64,
    left: u64,
}

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
        let line = format!("{} {} {}", event.stored_at, plain(&event.kind), plain(&event.id));
        if new.event_alone(&id).await?.is_some() {
            tally.there += 1;
            continue;
        }
        let body = old.event(&id).await?.and_then(|(event, body)| body.or_else(|| without_body(&event)));
        match queues.ready(event, body) {
            Err(why) => {
                say(&format!("left  {line}: {why}"));
                tally.left += 1;
            }
            Ok(ready) => {
                if !dry_run {
                    ready.send().await?;
                }
                say(&format!("{}  {line}", sent_word(dry_run)));
                tally.sent += 1;
            }
        }
    }
    Ok(())
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

/// A revocation, whose body is never kept, from its facts: all that its register is made of.
fn without_body(event: &StoredEvent) -> Option<Vec<u8>> {
    if !is_revocation(&EventType::from(event.kind.as_str())) {
        return None;
    }
    let facts = &event.facts;
    let version = event.version.as_ref().map(|version| {
        // As it was written: a number, nearly always.
        serde_json::from_str(version).unwrap_or_else(|_| json!(version))
    });
    let body = json!({
        "id": event.id,
        "version": version,
        "type": event.kind,
        "createdAt": event.created_at,
        "data": { "userId": facts.user, "accountId": facts.account, "archiveId": facts.archive },
    });
    Some(body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use shared::event::Envelope;
    use shared::state::BodyHash;
    use shared::verify::Verified;

    use super::*;

    fn stored(kind: &str) -> StoredEvent {
        serde_json::from_value(json!({
            "id": "et-1", "type": kind, "version": "1", "created_at": "2026-03-01T10:00:00Z",
            "source": "webhook", "received_at": "2026-03-01T10:00:01Z", "stored_at": "2026-03-01T10:00:02Z",
            "hash": "00", "bytes": 1, "facts": { "user": "u-1", "account": "a-1" },
        }))
        .unwrap()
    }

    #[test]
    fn a_revocation_is_made_anew_from_its_facts_and_nothing_else_is() {
        let body = without_body(&stored("ACCOUNT_DISCONNECTED")).unwrap();
        let envelope = Envelope::parse(Verified::from_own_queue(&body)).unwrap();
        let facts = envelope.facts().unwrap();
        let now = "2026-03-02T00:00:00Z".parse().unwrap();
        let facts_then = stored("ACCOUNT_DISCONNECTED").facts;
        assert_eq!((&facts.user, &facts.account), (&facts_then.user, &facts_then.account));
        assert!(shared::state::write(&envelope, &facts, &BodyHash::of(&body), now).is_ok());
        assert_eq!(without_body(&stored("ACCOUNT_CONNECTED")), None);
    }
}
