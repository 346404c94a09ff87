//! `smile events resend`: single events once more, by their ids.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use shared::id::EventId;
use shared::table::{StoredEvent, Table};

use crate::again::{Resent, Sender, Way};
use crate::audit::{Auditor, Ended, Outcome, Via};
use crate::operator::{Deployed, OperatorArgs};
use crate::ui::{plain, say};

/// Act on single events
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  smile events resend et-123
  smile events resend et-123 et-124 --to consumer --dry-run

Exit codes: 0 all were sent, 1 one was not, 2 something is wrong with what was typed.";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send stored events once more: onto the bus, or back through the consumer
    #[command(after_help = RESEND)]
    Resend {
        /// The events' ids
        #[arg(required = true, value_name = "ID", value_parser = |id: &str| EventId::new(id))]
        ids: Vec<EventId>,
        /// Where to
        #[arg(long, default_value = "bus")]
        to: Way,
        /// Only look
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        operator: OperatorArgs,
    },
}

const RESEND: &str = "\
On the bus it is a repeat, known by its id. Through the consumer it changes nothing that is newer,
and needs its body: after a revocation there is none, and nothing is erased or brought back.";

/// Sends events once more, and writes down who did it. Says what became of each, in their order.
pub async fn resend(
    deployed: &Deployed,
    auditor: &Auditor,
    ids: &[EventId],
    way: Way,
) -> anyhow::Result<Ended<Vec<Resent>>> {
    let parameters = [("ids", joined(ids)), ("to", way.word().to_owned())];
    let act = auditor.begin("events resend", &parameters, ids.len() as u64).await?;
    let result = send(deployed, ids, way, false).await;
    let count = |of: fn(&Resent) -> bool| result.iter().flatten().filter(|became| of(became)).count() as u64;
    let (sent, left) = (count(|became| *became == Resent::Sent), count(|became| *became != Resent::Sent));
    let outcome = match &result {
        Ok(became) => became.iter().find_map(|became| match became {
            Resent::Failed(why) => Some(Outcome::Failed(why.clone())),
            _ => None,
        }),
        Err(_) => None,
    };
    act.end(sent, left, &outcome.unwrap_or_else(|| Outcome::of(&result)), result).await
}

/// The most characters of ids that are written down.
const IDS_MAX: usize = 2000;

fn joined(ids: &[EventId]) -> String {
    let all = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    all.chars().take(IDS_MAX).collect()
}

async fn send(deployed: &Deployed, ids: &[EventId], way: Way, dry_run: bool) -> anyhow::Result<Vec<Resent>> {
    let sender = Sender::of(deployed, way)?;
    let table = deployed.table()?;
    let mut became = Vec::with_capacity(ids.len());
    for batch in ids.chunks(Sender::BATCH) {
        match send_batch(&sender, &table, batch, dry_run).await {
            Ok(told) => became.extend(told),
            Err(error) if became.is_empty() => return Err(error),
            // What became of those before must not be lost.
            Err(error) => {
                became.resize(ids.len(), Resent::Failed(format!("{error:#}")));
                break;
            }
        }
    }
    Ok(became)
}

async fn send_batch(
    sender: &Sender,
    table: &Table,
    ids: &[EventId],
    dry_run: bool,
) -> anyhow::Result<Vec<Resent>> {
    let mut found: Vec<Option<StoredEvent>> = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(table.event_alone(id).await?);
    }
    let there: Vec<StoredEvent> = found.iter().flatten().cloned().collect();
    let told = if dry_run {
        let look = |event| sender.obstacle(event).map_or(Resent::Sent, Resent::Left);
        there.iter().map(look).collect()
    } else {
        sender.send(&there).await?
    };
    let mut told = told.into_iter();
    let became = found.iter().map(|found| {
        let there = found.as_ref().and_then(|_| told.next());
        there.unwrap_or(Resent::Left("no event of this id is stored"))
    });
    Ok(became.collect())
}

/// Runs the command.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Resend { ids, to, dry_run, json, operator } = &args.command;
    let deployed = operator.deployed().await?;
    say(&format!("to the {} of {}:", to.word(), deployed.told()));
    let (became, is_written) = if *dry_run {
        (send(&deployed, ids, *to, true).await?, true)
    } else {
        resend(&deployed, &Auditor::of(&deployed, Via::Command).await?, ids, *to).await?.told()
    };
    let sent = if *dry_run { "would be sent" } else { "sent" };
    for (id, became) in ids.iter().zip(&became) {
        if *json {
            let became = match became {
                Resent::Sent if *dry_run => json!("would_be_sent"),
                became => serde_json::to_value(became)?,
            };
            writeln!(std::io::stdout(), "{}", json!({ "id": id.as_str(), "outcome": became }))?;
            continue;
        }
        let id = plain(id.as_str());
        say(&match became {
            Resent::Sent => format!("{sent}  {id}"),
            Resent::Left(why) => format!("left  {id}: {why}"),
            Resent::Failed(why) => format!("failed  {id}: {}", plain(why)),
        });
    }
    let is_all = is_written && became.iter().all(|became| *became == Resent::Sent);
    Ok(if is_all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
