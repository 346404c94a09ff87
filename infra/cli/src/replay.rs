//! `smile replay`: every event that was stored in a span of time once more, in the order in which it was stored.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use shared::job::Source;
use shared::table::{Filter, StoredEvent, Table};

use crate::again::{Resent, Sender, Way};
use crate::audit::{Auditor, Ended, Outcome, Via};
use crate::cli::Usage;
use crate::clock::Moment;
use crate::confirm::Yes;
use crate::interrupt::Interrupt;
use crate::operator::{Deployed, OperatorArgs};
use crate::ui::{Progress, plain, say, table};
use crate::walk::Walk;

/// Send every event that was stored in a span of time once more
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Events that were stored at this time or later
    #[arg(long, value_name = "TIME")]
    from: Moment,
    /// Events that were stored before this time [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// Only events of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events from this source
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    source: Option<Source>,
    /// Where to
    #[arg(long, default_value = "bus")]
    into: Way,
    /// At most so many events a second
    #[arg(long, value_name = "N", default_value_t = RATE, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

const EXAMPLES: &str = "\
Examples:
  smile replay --from 2h --dry-run
  smile replay --from 2026-03-01T10:00:00Z --to 2026-03-01T12:00:00Z --type TASK_FINISHED
  smile replay --from 2026-03-01 --to 2026-03-02 --into consumer --rate 20 --yes

Times are 2026-03-01T10:00:00Z, 2026-03-01 (UTC), or so long ago: 10m, 2h, 3d. On the bus each event
is a repeat, known by its id. Through the consumer it changes nothing that is newer. Erasures are
not fired again and no body comes back: after a revocation events have none, and are left. When it
is stopped, it says how to go on.

Exit codes: 0 everything that can be is sent, 1 it was stopped, 2 something is wrong with what was
typed.";

/// Events a second, unless it is said otherwise: a small part of what bus and queues take.
pub(crate) const RATE: u32 = 100;

pub(crate) fn source(text: &str) -> Result<Source, String> {
    let sources = [Source::Webhook, Source::Callback, Source::Reconcile];
    let found = sources.into_iter().find(|source| source.as_str() == text);
    found.ok_or_else(|| "it is webhook, callback or reconcile".to_owned())
}

/// Which events, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Stored at this time or later.
    pub from: Timestamp,
    /// Stored before this time.
    pub to: Timestamp,
    /// Of these types; of any, when there is none.
    pub types: Vec<String>,
    /// From this source.
    pub source: Option<Source>,
    /// Where to.
    pub into: Way,
}

/// What lies in a span.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// All events.
    pub total: u64,
    /// Of these, those that cannot go there.
    pub left: u64,
    /// All, by type.
    pub by_type: BTreeMap<String, u64>,
    /// Those that cannot go there, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// What became of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Events sent.
    pub sent: u64,
    /// Events that could not go there.
    pub left: u64,
    /// Why it did not come to its end, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// Where a replay stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Why; none, when somebody stopped it.
    pub why: Option<String>,
    /// Everything that was stored before this time is done: to go on, replay from here.
    pub at: Timestamp,
}

impl Span {
    fn walk(&self, table: Table) -> Walk {
        let kind = match self.types.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        Walk::of_days(table, self.from, self.to, Filter { kind, source: self.source })
    }

    fn holds(&self, event: &StoredEvent) -> bool {
        self.types.is_empty() || self.types.contains(&event.kind)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("from", self.from.to_string()),
            ("to", self.to.to_string()),
            ("into", self.into.word().to_owned()),
        ];
        parameters.extend((!self.types.is_empty()).then(|| ("types", self.types.join(" "))));
        parameters.extend(self.source.map(|source| ("source", source.as_str().to_owned())));
        parameters
    }
}

/// Counts what lies in a span. `heard` is told how many there are so far, and may stop it.
pub async fn count(
    deployed: &Deployed,
    span: &Span,
    heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<Counted> {
    let sender = Sender::of(deployed, span.into)?;
    let mut walk = span.walk(deployed.table()?);
    let mut counted = Counted::default();
    while let Some(event) = walk.next().await? {
        if !span.holds(&event) {
            continue;
        }
        counted.total += 1;
        if let Some(why) = sender.obstacle(&event) {
            counted.left += 1;
            *counted.reasons.entry(why).or_default() += 1;
        }
        *counted.by_type.entry(event.kind).or_default() += 1;
        if heard(counted.total).is_break() {
            break;
        }
    }
    Ok(counted)
}

/// Sends every event of a span once more, at most `rate` a second, and writes down who did it. `heard` is told how
/// far it is, and may stop it.
pub async fn replay(
    deployed: &Deployed,
    auditor: &Auditor,
    span: &Span,
    rate: u32,
    meant: u64,
    heard: &mut dyn FnMut(&Replayed) -> ControlFlow<()>,
) -> anyhow::Result<Ended<Replayed>> {
    let sender = Sender::of(deployed, span.into)?;
    let mut walk = span.walk(deployed.table()?);
    let mut parameters = span.parameters();
    parameters.push(("rate", rate.to_string()));
    let mut act = auditor.begin("replay", &parameters, meant).await?;
    let mut replayed = Replayed::default();
    let mut done_before = span.from;
    let since = Instant::now();
    loop {
        let mut batch = Vec::with_capacity(Sender::BATCH);
        let read = fill(&mut walk, span, &mut batch).await;
        // What was read before the table failed is sent; where it failed, the next replay begins.
        let failed = send(&sender, &batch, &mut replayed).await.err().or(read.err());
        if let Some(error) = failed {
            replayed.stopped = Some(Stopped { why: Some(format!("{error:#}")), at: done_before });
            break;
        }
        let Some(last) = batch.last() else { break };
        done_before = last.stored_at;
        let all = replayed.sent + replayed.left;
        act.note(replayed.sent, replayed.left).await;
        if heard(&replayed).is_break() {
            replayed.stopped = Some(Stopped { why: None, at: done_before });
            break;
        }
        let due = Duration::from_secs_f64(to_f64(all) / f64::from(rate));
        tokio::time::sleep(due.saturating_sub(since.elapsed())).await;
    }
    let outcome = match &replayed.stopped {
        None => Outcome::Done,
        Some(Stopped { why: None, at }) => Outcome::Stopped(Some(format!("go on from {at}"))),
        Some(Stopped { why: Some(why), at }) => Outcome::Failed(format!("go on from {at}: {why}")),
    };
    act.end(replayed.sent, replayed.left, &outcome, Ok(replayed)).await
}

#[expect(clippy::cast_precision_loss, reason = "a count of events")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

async fn fill(walk: &mut Walk, span: &Span, batch: &mut Vec<StoredEvent>) -> anyhow::Result<()> {
    while batch.len() < Sender::BATCH
        && let Some(event) = walk.next().await?
    {
        if span.holds(&event) {
            batch.push(event);
        }
    }
    Ok(())
}

async fn send(sender: &Sender, batch: &[StoredEvent], replayed: &mut Replayed) -> anyhow::Result<()> {
    let mut failed = None;
    for became in sender.send(batch).await? {
        match became {
            Resent::Sent => replayed.sent += 1,
            Resent::Left(_) => replayed.left += 1,
            Resent::Failed(why) => failed = Some(why),
        }
    }
    failed.map_or(Ok(()), |why| Err(anyhow::anyhow!(why)))
}

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let span = Span {
        from: args.from.at(now),
        to: args.to.map_or(now, |to| to.at(now)),
        types: args.types.clone(),
        source: args.source,
        into: args.into,
    };
    if span.from >= span.to {
        return Err(Usage::new(format!("--from {} is not before --to {}", span.from, span.to)).into());
    }
    let deployed = args.operator.deployed().await?;
    let interrupt = Interrupt::listen();
    let step = Progress::of_stderr().step("counting");
    let counted = count(&deployed, &span, &mut |total| {
        step.note(format!("counting: {total}"));
        interrupt.flow()
    })
    .await?;
    drop(step);
    if interrupt.flow().is_break() {
        return Ok(ExitCode::FAILURE);
    }
    let meant = counted.total - counted.left;
    if args.dry_run && args.json {
        tell_json(&counted)?;
        return Ok(ExitCode::SUCCESS);
    }
    tell(&counted);
    if args.dry_run || meant == 0 {
        say(&format!("{meant} would be sent to the {}, {} left", span.into.word(), counted.left));
        if args.json {
            tell_json(&Replayed { left: counted.left, ..Replayed::default() })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let question = format!("Send {meant} events to the {} once more?", span.into.word());
    if !args.yes.asked(&question, &interrupt).await? {
        return Ok(ExitCode::FAILURE);
    }
    let auditor = Auditor::of(&deployed, Via::Command).await?;
    let step = Progress::of_stderr().step("sending");
    let ended = replay(&deployed, &auditor, &span, args.rate, meant, &mut |replayed| {
        step.note(format!("sending: {} of {meant}", replayed.sent));
        interrupt.flow()
    })
    .await?;
    let (replayed, is_written) = ended.told();
    step.done(&format!("{} sent, {} left", replayed.sent, replayed.left));
    if args.json {
        tell_json(&replayed)?;
    }
    let Some(stopped) = &replayed.stopped else {
        return Ok(if is_written { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let why = stopped.why.as_ref().map_or_else(String::new, |why| format!(": {}", plain(why)));
    say(&format!("stopped{why}"));
    say(&format!(
        "everything stored before {} is sent; to go on:\n  {}",
        stopped.at,
        args.to_go_on(&span, stopped.at)
    ));
    Ok(ExitCode::FAILURE)
}

impl Args {
    /// The command that goes on where this one stopped.
    fn to_go_on(&self, span: &Span, at: Timestamp) -> String {
        let mut words = vec!["smile replay".to_owned(), format!("--from {at} --to {}", span.to)];
        words.extend(self.types.iter().map(|kind| format!("--type {}", plain(kind))));
        words.extend(self.source.map(|source| format!("--source {}", source.as_str())));
        words.push(format!("--into {} --rate {}", self.into.word(), self.rate));
        words.extend(self.operator.words());
        words.join(" ")
    }
}

fn tell_json(what: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(what)?)?)
}

fn tell(counted: &Counted) {
    let rows: Vec<_> = counted
        .by_type
        .iter()
        .map(|(kind, count)| (plain(kind).into_owned(), count.to_string()))
        .chain(counted.reasons.iter().map(|(why, count)| (format!("left: {why}"), count.to_string())))
        .collect();
    if !rows.is_empty() {
        say(&table(rows.iter().map(|(name, value)| (name.as_str(), value.clone()))));
    }
    say(&format!("{} events", counted.total));
}
