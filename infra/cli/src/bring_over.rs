//! `smile bring-over`: after the table was restored into a new one, the events that the old one alone has go to
//! the queue again, as webhooks that came late. State is the same for any order and any repetition.

use std::process::ExitCode;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;
use shared::event::EventType;
use shared::id::EventId;
use shared::job::{Job, Source};
use shared::queue::Queue;
use shared::state::is_revocation;
use shared::table::{StoredEvent, Table};

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
    let queue = Queue::new(&stack.sdk, stack.output("QueueUrl")?);
    // Only a stack that knows Smile has one.
    let callbacks = stack.output("CallbackQueueUrl").ok().map(|url| Queue::new(&stack.sdk, url));
    let (mut there, mut sent, mut left) = (0, 0, 0);
    for event in events(&old, args.since, TimeZone::UTC.to_datetime(now).date()).await? {
        let id = EventId::new(event.id.as_str())?;
        let line = format!("{} {} {}", event.stored_at, plain(&event.kind), plain(&event.id));
        if new.event(&id).await?.is_some() {
            there += 1;
            continue;
        }
        let Some(body) =
            old.event(&id).await?.and_then(|(event, body)| body.or_else(|| without_body(&event)))
        else {
            say(&format!("left  {line}: its body was not kept"));
            left += 1;
            continue;
        };
        let job = job(&event);
        // What a browser said must never come as if a server had said it.
        let queue = if job.source == Source::Callback { callbacks.as_ref() } else { Some(&queue) };
        let Some(queue) = queue else {
            say(&format!("left  {line}: a browser sent it, and the stack takes no callbacks"));
            left += 1;
            continue;
        };
        if !args.dry_run {
            queue.send(job.encode(&body)?, None).await?;
        }
        say(&format!("{}  {line}", if args.dry_run { "would be sent" } else { "sent" }));
        sent += 1;
    }
    let done = if args.dry_run { "would be sent" } else { "sent" };
    say(&format!("{there} are there, {sent} {done}, {left} left"));
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// How it came, as far as is known.
fn job(event: &StoredEvent) -> Job {
    let sources = [Source::Reconcile, Source::Callback];
    let source =
        sources.into_iter().find(|source| source.as_str() == event.source).unwrap_or(Source::Webhook);
    let delivery = event.deliveries.first().cloned().unwrap_or_else(|| event.id.clone());
    Job { source, received_at: event.received_at, delivery, held: false, check: false }
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
    fn who_said_it_stays_who_said_it() {
        for source in [Source::Webhook, Source::Reconcile, Source::Callback] {
            let event = StoredEvent { source: source.as_str().to_owned(), ..stored("onTokenExpired") };
            assert_eq!(job(&event).source, source);
        }
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
