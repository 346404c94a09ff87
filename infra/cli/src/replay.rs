//! `smile replay`: every event that was stored in a span of time once more, in the order in which it was stored.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use shared::job::Source;
use shared::table::{Filter, StoredEvent, Table};

use crate::again::{Resent, Sender, Way};
use crate::audit::{Act, Auditor, Ended, Outcome, Via};
use crate::cli::Usage;
use crate::clock::Moment;
use crate::confirm::Yes;
use crate::interrupt::{Interrupt, heeding};
use crate::operator::{Deployed, OperatorArgs};
use crate::ui::{Progress, many, plain, quoted, say, table, write_json};
use crate::walk::{Step, Walk};

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
not fired again and no body comes back: after a revocation events have none, and are left.

Ctrl-C stops it in good order, as do SIGTERM and a terminal that is closed, unless it was started
with nohup; it says how to go on. When it is killed, smile audit says from where.

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
    /// Everything that was stored before this time is counted.
    #[serde(skip)]
    pub at: Timestamp,
}

/// What became of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Events sent.
    pub sent: u64,
    /// Events that could not go there.
    pub left: u64,
    /// Everything that was stored before this time is done.
    #[serde(skip)]
    pub at: Timestamp,
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

/// Counts what lies in a span. `heard` is told how far it is, also while nothing is found, and may stop it.
pub async fn count(
    deployed: &Deployed,
    span: &Span,
    heard: &mut dyn FnMut(&Counted) -> ControlFlow<()>,
) -> anyhow::Result<Counted> {
    let sender = Sender::of(deployed, span.into)?;
    let mut walk = span.walk(deployed.table()?);
    let mut counted = Counted { at: span.from, ..Counted::default() };
    while heard(&counted).is_continue()
        && let Some(step) = heeding(walk.step(), &mut || heard(&counted)).await
    {
        match step? {
            Step::Event(event) if span.holds(&event) => counted.add(*event, &sender),
            Step::Event(_) | Step::Read => {}
            Step::End => break,
        }
        counted.at = walk.place();
    }
    Ok(counted)
}

impl Counted {
    fn add(&mut self, event: StoredEvent, sender: &Sender) {
        self.total += 1;
        if let Some(why) = sender.obstacle(&event) {
            self.left += 1;
            *self.reasons.entry(why).or_default() += 1;
        }
        *self.by_type.entry(event.kind).or_default() += 1;
    }
}

/// Sends every event of a span once more, at most `rate` a second, and writes down who did it. `heard` is told how
/// far it is, also while nothing is found, and may stop it.
pub async fn replay(
    deployed: &Deployed,
    auditor: &Auditor,
    span: &Span,
    rate: u32,
    meant: u64,
    heard: &mut dyn FnMut(&Replayed) -> ControlFlow<()>,
) -> anyhow::Result<Ended<Replayed>> {
    let sender = Sender::of(deployed, span.into)?;
    let walk = span.walk(deployed.table()?);
    let mut parameters = span.parameters();
    parameters.push(("rate", rate.to_string()));
    let act = auditor.begin("replay", &parameters, meant).await?;
    let replayed = Replayed { at: span.from, ..Replayed::default() };
    let mut running = Running { sender, walk, span, act, replayed, heard };
    let result = running.run(rate).await;
    let Running { act, mut replayed, .. } = running;
    let at = replayed.at;
    let outcome = match result {
        Ok(ControlFlow::Continue(())) => Outcome::Done,
        Ok(ControlFlow::Break(())) => {
            replayed.stopped = Some(Stopped { why: None, at });
            Outcome::Stopped(Some(go_on_from(at)))
        }
        Err(error) => {
            let why = format!("{error:#}");
            let outcome = Outcome::Failed(format!("{}: {why}", go_on_from(at)));
            replayed.stopped = Some(Stopped { why: Some(why), at });
            outcome
        }
    };
    act.end(replayed.sent, replayed.left, &outcome, Ok(replayed)).await
}

fn go_on_from(at: Timestamp) -> String {
    format!("go on from {at}")
}

/// A replay that is under way.
struct Running<'a> {
    sender: Sender,
    walk: Walk,
    span: &'a Span,
    act: Act,
    replayed: Replayed,
    heard: &'a mut dyn FnMut(&Replayed) -> ControlFlow<()>,
}

impl Running<'_> {
    /// To the end, or until somebody stops it.
    async fn run(&mut self, rate: u32) -> anyhow::Result<ControlFlow<()>> {
        let since = Instant::now();
        loop {
            let mut batch = Vec::with_capacity(Sender::BATCH);
            let read = self.fill(&mut batch).await;
            if matches!(read, Ok(ControlFlow::Break(()))) {
                return Ok(ControlFlow::Break(()));
            }
            // What was read before the table failed is sent; where it failed, the next replay begins.
            self.send(&batch).await?;
            self.replayed.at = self.walk.place();
            self.note().await;
            if read.is_err() || batch.is_empty() {
                return read;
            }
            let all = self.replayed.sent + self.replayed.left;
            let due = Duration::from_secs_f64(to_f64(all) / f64::from(rate));
            let pause = tokio::time::sleep(due.saturating_sub(since.elapsed()));
            if self.is_stopped() || heeding(pause, &mut || (self.heard)(&self.replayed)).await.is_none() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Reads until there is a batch, the end, or somebody who stops it.
    async fn fill(&mut self, batch: &mut Vec<StoredEvent>) -> anyhow::Result<ControlFlow<()>> {
        while batch.len() < Sender::BATCH {
            let Self { walk, heard, replayed, .. } = &mut *self;
            let Some(step) = heeding(walk.step(), &mut || heard(replayed)).await else {
                return Ok(ControlFlow::Break(()));
            };
            match step? {
                Step::Event(event) if self.span.holds(&event) => batch.push(*event),
                Step::Read if batch.is_empty() => {
                    self.replayed.at = self.walk.place();
                    self.note().await;
                    if self.is_stopped() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Step::Event(_) | Step::Read => {}
                Step::End => break,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn send(&mut self, batch: &[StoredEvent]) -> anyhow::Result<()> {
        let mut failed = None;
        for became in self.sender.send(batch).await? {
            match became {
                Resent::Sent => self.replayed.sent += 1,
                Resent::Left(_) => self.replayed.left += 1,
                Resent::Failed(why) => failed = Some(why),
            }
        }
        failed.map_or(Ok(()), |why| Err(anyhow::anyhow!(why)))
    }

    async fn note(&mut self) {
        let Replayed { sent, left, at, .. } = self.replayed;
        self.act.note(sent, left, &go_on_from(at)).await;
    }

    fn is_stopped(&mut self) -> bool {
        (self.heard)(&self.replayed).is_break()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of events")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let span = args.span(now)?;
    let deployed = args.operator.deployed().await?;
    let interrupt = Interrupt::listen();
    let step = Progress::of_stderr().step("counting");
    let counted = count(&deployed, &span, &mut |counted| {
        step.note(format!("counting: {}, up to {:.0}", counted.total, counted.at));
        interrupt.flow()
    })
    .await?;
    drop(step);
    if interrupt.flow().is_break() {
        return Ok(ExitCode::FAILURE);
    }
    let meant = counted.total - counted.left;
    if args.dry_run && args.json {
        write_json(&counted, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    tell(&counted);
    if args.dry_run || meant == 0 {
        say(&format!("{meant} would be sent to the {}, {} left", span.into.word(), counted.left));
        if args.json {
            write_json(&Replayed { left: counted.left, ..Replayed::default() }, true)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let question = format!(
        "Send {} to the {} of {} once more?",
        many(meant, "event"),
        span.into.word(),
        deployed.told()
    );
    if !args.yes.asked(&question, &interrupt).await? {
        return Ok(ExitCode::FAILURE);
    }
    let auditor = Auditor::of(&deployed, Via::Command).await?;
    let step = Progress::of_stderr().step("sending");
    let ended = replay(&deployed, &auditor, &span, args.rate, meant, &mut |replayed| {
        step.note(format!("sending: {} of {meant}, up to {:.0}", replayed.sent, replayed.at));
        interrupt.flow()
    })
    .await?;
    let (replayed, is_written) = ended.told();
    step.done(&format!("{} sent, {} left", replayed.sent, replayed.left));
    if args.json {
        write_json(&replayed, true)?;
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
    fn span(&self, now: Timestamp) -> Result<Span, Usage> {
        let (from, to) = (self.from.at(now), self.to.map_or(now, |to| to.at(now)));
        if from >= to {
            return Err(Usage::new(format!("--from {from} is not before --to {to}")));
        }
        if from >= now {
            return Err(Usage::new(format!("--from {from} is not before now, {now:.0}")));
        }
        if to > now {
            say(&format!("--to {to} is still to come: what is stored before now, {now:.0}, is meant"));
        }
        let (types, source, into) = (self.types.clone(), self.source, self.into);
        Ok(Span { from, to: to.min(now), types, source, into })
    }

    /// The command that goes on where this one stopped.
    fn to_go_on(&self, span: &Span, at: Timestamp) -> String {
        let mut words = vec!["smile replay".to_owned(), format!("--from {at} --to {}", span.to)];
        words.extend(self.types.iter().map(|kind| format!("--type {}", quoted(&plain(kind)))));
        words.extend(self.source.map(|source| format!("--source {}", source.as_str())));
        words.push(format!("--into {} --rate {}", self.into.word(), self.rate));
        words.extend(self.operator.words());
        words.join(" ")
    }
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
    say(&many(counted.total, "event"));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &[&str]) -> Args {
        Line::try_parse_from(["smile"].iter().chain(words)).unwrap_or_else(|error| panic!("{error}")).args
    }

    #[test]
    fn nothing_is_replayed_that_is_still_to_come() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let span = |words: &[&str]| typed(words).span(now).map(|span| (span.from, span.to));
        let from = "2026-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(span(&["--from", "1d"]).unwrap(), (from, now));
        assert_eq!(span(&["--from", "1d", "--to", "2099-01-01"]).unwrap(), (from, now));
        let to = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(span(&["--from", "2026-03-01", "--to", "12h"]).unwrap(), (from, to));
        let complaint = |words: &[&str]| span(words).unwrap_err().to_string();
        let told = complaint(&["--from", "2026-03-01", "--to", "2026-02-01"]);
        assert_eq!(told, "--from 2026-03-01T00:00:00Z is not before --to 2026-02-01T00:00:00Z");
        let told = complaint(&["--from", "2098-01-01", "--to", "2099-01-01"]);
        assert_eq!(told, "--from 2098-01-01T00:00:00Z is not before now, 2026-03-02T00:00:00Z");
    }

    #[test]
    fn what_goes_on_can_be_pasted() {
        let words = ["--from", "1d", "--type", "two words", "--type", "A", "--rate", "5", "--dir", "/a b/$c"];
        let args = typed(&words);
        let at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let span = args.span("2026-03-02T00:00:00Z".parse().unwrap()).unwrap();
        let expected = "smile replay --from 2026-03-01T12:00:00Z --to 2026-03-02T00:00:00Z --type 'two words' \
             --type A --into bus --rate 5 --dir '/a b/$c'";
        assert_eq!(args.to_go_on(&span, at), expected);
    }
}
