//! `smile tail`: events as they are stored.
//!
//! An event can be seen some time after it was stored, and so behind others that have been read
//! (`functions/query/src/follow.rs` says by how much). So every few reads go over all that is not settled yet, the
//! others over the last seconds, where nearly everything comes; events are known by their id, and each is told
//! once.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use console::Style;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use query::follow::SETTLED_AFTER;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shared::event::Subject;
use shared::id::{AccountId, UserId};
use shared::job::Source;
use shared::table::{Fault, Filter, Partition, StoredEvent, Table};
use tokio::task::JoinSet;

use crate::clock::Moment;
use crate::operator::OperatorArgs;
use crate::skew::CloudClock;
use crate::ui::{plain, say, write_json};
use crate::walk::Walk;

/// Show events as they are stored
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only events of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events of this user
    #[arg(long, value_name = "ID", value_parser = |id: &str| UserId::new(id))]
    user: Option<UserId>,
    /// Only events from this source
    #[arg(long, value_name = "SOURCE", value_parser = crate::replay::source)]
    source: Option<Source>,
    /// Only events that carry something of this account
    #[arg(long, value_name = "ID", value_parser = |id: &str| AccountId::new(id))]
    account: Option<AccountId>,
    /// Begin with what was stored at this time, such as 10m ago [default: now]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Begin with the last N events that were stored, of a month at most
    #[arg(long, value_name = "N", conflicts_with = "since", value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: Option<u16>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

const EXAMPLES: &str = "\
Examples:
  smile tail
  smile tail --last 50
  smile tail --type TASK_FINISHED --type ACCOUNT_FAILED --since 10m
  smile tail --user u-123 --json | jq .id
  smile tail --source callback --stack smile-receiver-production --region ap-southeast-1

One line an event: when it was stored (UTC), source, type, event id, user, account, status and error
code. An event can show up to half a minute late; each is shown once. Ctrl-C ends it.

It asks the table every second: 600 small queries a minute (300 read units while little happens),
120 with --user. Each event that is new is read some 20 times until it is settled.";

/// How often the table is asked.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// How often a read goes over all that is not settled. The others go over as much.
const WHOLE_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// The most events that the command reads before it shows them.
const PAGE: usize = 1000;

/// After so long without an answer those who wait are told.
const SLOW: Duration = Duration::from_secs(20);

/// After so many failures in a row it gives up.
const FAILURES_MAX: u32 = 30;

/// Which events are shown. By default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Of these types; of any, when there is none.
    pub types: Vec<String>,
    /// Of this user.
    pub user: Option<UserId>,
    /// From this source.
    pub source: Option<Source>,
    /// With something of this account.
    pub account: Option<AccountId>,
}

/// Follows what is stored.
pub struct Tail {
    table: Table,
    watch: Watch,
    /// Where it began.
    since: Timestamp,
    /// Everything that was stored before has been told.
    settled: Timestamp,
    /// When all that is not settled was read last.
    whole_at: Option<Timestamp>,
    /// What has been told and is not settled.
    told: HashMap<String, Timestamp>,
    /// Whether there is more than the last read gave.
    is_behind: bool,
}

impl Tail {
    /// From this time on.
    pub fn new(table: Table, watch: Watch, since: Timestamp) -> Self {
        Self { table, watch, since, settled: since, whole_at: None, told: HashMap::new(), is_behind: false }
    }

    /// What has come since the last time, in the order in which it was stored; what comes late, comes later. To be
    /// asked every [`INTERVAL`]. After an error, asking again leaves nothing out.
    pub async fn poll(&mut self, now: Timestamp) -> Result<Vec<StoredEvent>, Fault> {
        self.poll_some(now, usize::MAX).await
    }

    /// The first of what [`Self::poll`] gives, so that a long time back does not need memory for all of it. The next
    /// call goes on behind them.
    pub async fn poll_some(&mut self, now: Timestamp, most: usize) -> Result<Vec<StoredEvent>, Fault> {
        let fresh = now.saturating_sub(WHOLE_EVERY).unwrap_or(now);
        let is_whole = self.is_behind || self.whole_at.is_none_or(|at| at <= fresh);
        let from = if is_whole { self.settled } else { fresh.max(self.settled) };
        let mut walk = self.walk(from, now);
        let mut new: Vec<StoredEvent> = Vec::new();
        while new.len() < most
            && let Some(event) = walk.next().await?
        {
            if self.watch.holds(&event) && !self.told.contains_key(&event.id) {
                new.push(event);
            }
        }
        // Only now, when all of it was read.
        self.told.extend(new.iter().map(|event| (event.id.clone(), event.stored_at)));
        self.is_behind = new.len() == most;
        if is_whole {
            let settled = now.saturating_sub(SETTLED_AFTER).unwrap_or(now);
            // Before the last one everything was read.
            let settled = match new.last() {
                Some(last) if self.is_behind => settled.min(last.stored_at),
                _ => settled,
            };
            if !self.is_behind {
                self.whole_at = Some(now);
            }
            self.settled = self.settled.max(settled).max(self.since);
            self.told.retain(|_, stored_at| *stored_at >= self.settled);
        }
        Ok(new)
    }

    fn walk(&self, from: Timestamp, now: Timestamp) -> Walk {
        let filter = self.watch.filter();
        // Clocks differ: the other one may have begun the next day.
        let until = now.saturating_add(SETTLED_AFTER).unwrap_or(now);
        match &self.watch.user {
            Some(user) => Walk::of_user(self.table.clone(), user.clone(), from, until, filter),
            None => Walk::of_days(self.table.clone(), from, until, filter),
        }
    }
}

/// How many days (UTC) [`since_last`] looks back.
const DAYS_BACK: usize = 31;

/// The most events that one query of [`since_last`] looks at.
const LOOKS_BACK: u16 = 500;

/// When the first of the last `count` events was stored that are watched for; of fewer, the first that there is. `None`
/// when there is none within a month.
pub async fn since_last(
    table: &Table,
    watch: &Watch,
    count: u16,
    now: Timestamp,
) -> Result<Option<Timestamp>, Fault> {
    let count = usize::from(count);
    let filter = watch.filter();
    let mut found: Vec<Timestamp> = Vec::new();
    // Clocks differ: the other one may have begun the next day.
    let newest = now.saturating_add(SETTLED_AFTER).unwrap_or(now);
    let mut days =
        TimeZone::UTC.to_datetime(newest).date().series(-jiff::Span::new().days(1)).take(DAYS_BACK);
    loop {
        let partitions: Vec<Partition> = match &watch.user {
            Some(user) => Partition::of_timeline(Subject::User(user.clone()), filter.source),
            None => days.next().into_iter().flat_map(|day| Partition::of_day(day, filter.source)).collect(),
        };
        if partitions.is_empty() {
            break;
        }
        let mut reading = JoinSet::new();
        for partition in partitions {
            let (table, watch, filter) = (table.clone(), watch.clone(), filter.clone());
            reading.spawn(async move { last_of(&table, &partition, &watch, &filter, count).await });
        }
        while let Some(read) = reading.join_next().await {
            found.extend(read.map_err(|_| Fault::Retry("reading the last events panicked".to_owned()))??);
        }
        if found.len() >= count || watch.user.is_some() {
            break;
        }
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(count);
    Ok(found.pop())
}

/// When the last events of a partition were stored, newest first.
async fn last_of(
    table: &Table,
    partition: &Partition,
    watch: &Watch,
    filter: &Filter,
    count: usize,
) -> Result<Vec<Timestamp>, Fault> {
    let (mut found, mut before) = (Vec::new(), None);
    let looks = if watch.is_open() { u16::try_from(count).unwrap_or(LOOKS_BACK) } else { LOOKS_BACK };
    loop {
        let stretch = table.stretch_back(partition, before.as_deref(), filter, looks).await?;
        found.extend(stretch.events.iter().filter(|event| watch.holds(event)).map(|event| event.stored_at));
        before = stretch.reached;
        if found.len() >= count || before.is_none() {
            return Ok(found);
        }
    }
}

/// Waits for an answer, however long it takes, and tells `slow` once when it takes long.
pub async fn patiently<T>(answer: impl Future<Output = T>, slow: impl FnOnce(&str)) -> T {
    let mut answer = std::pin::pin!(answer);
    if let Ok(answer) = tokio::time::timeout(SLOW, &mut answer).await {
        return answer;
    }
    slow(&format!("the table has not answered for {} seconds", SLOW.as_secs()));
    answer.await
}

impl Watch {
    /// What the table can leave out by itself.
    fn filter(&self) -> Filter {
        let kind = match self.types.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        Filter { kind, source: self.source }
    }

    /// Whether every event is watched for.
    fn is_open(&self) -> bool {
        self.types.is_empty() && self.source.is_none() && self.account.is_none()
    }

    fn holds(&self, event: &StoredEvent) -> bool {
        let of_account =
            |account: &AccountId| event.subjects.contains(&Subject::Account(account.clone()).to_string());
        (self.types.is_empty() || self.types.contains(&event.kind))
            && self.account.as_ref().is_none_or(of_account)
    }
}

/// Runs the command.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let watch = Watch {
        types: args.types.clone(),
        user: args.user.clone(),
        source: args.source,
        account: args.account.clone(),
    };
    let receiver = args.operator.receiver().await?;
    let now = receiver.clock.now();
    let since = match (args.since, args.last) {
        (Some(since), _) => since.at(now),
        (None, Some(last)) => since_last(&receiver.table, &watch, last, now).await?.unwrap_or(now),
        (None, None) => now,
    };
    let tail = Tail::new(receiver.table, watch, since);
    tokio::select! {
        result = follow(tail, &receiver.clock, args.json) => result?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Until nobody reads any more.
async fn follow(mut tail: Tail, clock: &CloudClock, json: bool) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut failures, mut lines, mut has_begun) = (0, Lines::new(), false);
    while !is_closed(&std::io::stdout()) {
        if failures > 0 || !tail.is_behind {
            tick.tick().await;
        }
        let slow = |why: &str| say(&format!("{why}: still waiting"));
        match patiently(tail.poll_some(clock.now(), PAGE), slow).await {
            Ok(events) => {
                (failures, has_begun) = (0, true);
                for event in events {
                    if json {
                        write_json(&event, false)?;
                    } else {
                        writeln!(std::io::stdout(), "{}", lines.line(&event))?;
                    }
                }
                std::io::stdout().flush()?;
            }
            Err(fault) => {
                failures += 1;
                // Something is wrong from the start, or has been for long.
                if failures == FAILURES_MAX || !has_begun {
                    return Err(fault.into());
                }
                if failures == 1 {
                    say(&format!("{fault}: trying again"));
                }
            }
        }
    }
    Ok(())
}

/// Whether it is a pipe that nobody reads from any more: `smile tail | head`.
fn is_closed(out: &impl std::os::fd::AsFd) -> bool {
    let mut look = [PollFd::new(out, PollFlags::empty())];
    let found = poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    found.is_ok_and(|found| found > 0) && look[0].revents().intersects(PollFlags::ERR)
}

/// One line an event, in columns. Those of ids grow with what they hold: ids have no fixed length.
struct Lines {
    id: usize,
    user: usize,
    account: usize,
}

/// Widths of the other columns: all types and sources fit.
const TYPE_WIDTH: usize = 26;
const SOURCE_WIDTH: usize = 9;

/// The most that a column grows to.
const ID_WIDTH_MAX: usize = 40;

impl Lines {
    fn new() -> Self {
        Self { id: 1, user: 1, account: 1 }
    }

    fn line(&mut self, event: &StoredEvent) -> String {
        let facts = &event.facts;
        let told = |word: Option<&str>| plain(word.unwrap_or("-")).into_owned();
        let (user, account) = (
            told(facts.user.as_ref().map(UserId::as_str)),
            told(facts.account.as_ref().map(AccountId::as_str)),
        );
        let id = plain(&event.id);
        let grown = |width: usize, id: &str| width.max(id.chars().count()).min(ID_WIDTH_MAX);
        self.id = grown(self.id, &id);
        self.user = grown(self.user, &user);
        self.account = grown(self.account, &account);
        let words = [
            facts.task_type.as_ref().map(ToString::to_string),
            facts.status.as_ref().map(ToString::to_string),
            facts.error_code.as_ref().map(ToString::to_string),
        ];
        let words: Vec<String> = words.iter().flatten().map(|word| plain(word).into_owned()).collect();
        let of_words = if facts.error_code.is_some() { Style::new().red() } else { Style::new().green() };
        let line = [
            Style::new().dim().apply_to(format!("{:.3}", event.stored_at)).to_string(),
            of_source(&event.source).apply_to(format!("{:<SOURCE_WIDTH$}", plain(&event.source))).to_string(),
            Style::new().bold().apply_to(format!("{:<TYPE_WIDTH$}", plain(&event.kind))).to_string(),
            format!("{id:<width$}", width = self.id),
            format!("{user:<width$}", width = self.user),
            format!("{account:<width$}", width = self.account),
            of_words.apply_to(words.join(" ")).to_string(),
        ];
        line.join("  ").trim_end().to_owned()
    }
}

fn of_source(source: &str) -> Style {
    match source {
        "webhook" => Style::new().cyan(),
        "callback" => Style::new().magenta(),
        _ => Style::new().yellow(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_aligned_and_steers_no_terminal() {
        console::set_colors_enabled(false);
        let event: StoredEvent = serde_json::from_value(json!({
            "id": "et-1\u{7}", "type": "TASK_FINISHED", "source": "webhook", "hash": "00", "bytes": 1,
            "received_at": "2026-03-01T10:00:01Z", "stored_at": "2026-03-01T10:00:02.5Z",
            "facts": { "user": "u-1\u{1b}[2J", "account": "a-1", "status": "FAILED", "error_code": "MFA_TIMEOUT" },
        }))
        .unwrap();
        let mut lines = Lines::new();
        let expected = "2026-03-01T10:00:02.500Z  webhook    TASK_FINISHED               et-1\\u{7}  u-1\\u{1b}[2J  a-1  FAILED \
             MFA_TIMEOUT";
        assert_eq!(lines.line(&event), expected);
        let other = StoredEvent { facts: shared::event::Facts::default(), ..event };
        let expected =
            "2026-03-01T10:00:02.500Z  webhook    TASK_FINISHED               et-1\\u{7}  -             -";
        assert_eq!(lines.line(&other), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_is_told_and_still_gets_the_answer() {
        let answer = async |seconds| {
            let mut told = String::new();
            let answer = async {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                seconds
            };
            assert_eq!(patiently(answer, |why| told.push_str(why)).await, seconds);
            told
        };
        assert_eq!(answer(19).await, "");
        assert_eq!(answer(60).await, "the table has not answered for 20 seconds");
    }

    #[test]
    fn a_pipe_without_a_reader_is_closed() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(!is_closed(&writer));
        drop(reader);
        assert!(is_closed(&writer));
    }
}
