//! `smile redrive`: from a dead letter queue back to the queue that the messages came from.
//!
//! | module | what it holds |
//! |---|---|
//! | `letter` | what a dead letter is about |
//! | `letters` | the queues, on SQS |
//! | `pass` | one pass over the letters: what is sent, deleted, given back, and in which order |
//! | `stretches` | times of the stream whose events are sent |
//!
//! SQS's own redrive (`StartMessageMoveTask`) takes all or nothing.

mod letter;
mod letters;
mod pass;
mod stretches;

use std::ops::{ControlFlow, RangeInclusive};
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;
use shared::job::Message;
use shared::queue::Queue;
use shared::table::{Filter, Table};

pub use self::letter::Letter;
use self::letters::Letters;
use self::pass::Sending;
pub use self::pass::{Look, Moved};
use self::stretches::Span;
use crate::audit::{Auditor, Ended, Outcome, Via};
use crate::clock::{self, Moment};
use crate::confirm::Yes;
use crate::interrupt::{Interrupt, heeding};
use crate::operator::{Deployed, OperatorArgs};
use crate::ui::{Progress, are, many, plain, say, table, write_json};
use crate::walk::{Step, Walk};

/// Send dead letters back to the queue that they came from
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Whose dead letters
    #[arg(default_value = "webhook")]
    which: Which,
    /// Only events of this type, as the dry run lists them; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only what was queued first at this time or since
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only what was queued first longer ago than this, such as 2h
    #[arg(long, value_name = "TIME")]
    older_than: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only count and list
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
  smile redrive --dry-run
  smile redrive webhook --type TASK_FINISHED --since 2h
  smile redrive callback --older-than 1d --limit 100 --yes
  smile redrive publish --stack smile-receiver-production --region ap-southeast-1 --dry-run

Mend the cause first: the consumer's log tells it. A letter is deleted only after SQS holds the copy
that was sent; killed in between, it is sent once more by the next redrive, which is harmless. What
the filter leaves stays where it is, visible. While a pass runs its letters are hidden from others,
and for five minutes when it is killed; Ctrl-C, SIGTERM or a closed terminal stop it in good order.
Bodies are never printed.

Exit codes: 0 all that was asked for is back, 1 something is not, 2 something is wrong with what was
typed.";

/// A queue that has dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// What Smile sent
    Webhook,
    /// What browsers sent
    Callback,
    /// Events that the bus refused
    Publish,
}

impl Which {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Webhook, Self::Callback, Self::Publish];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Callback => "callback",
            Self::Publish => "publish",
        }
    }

    /// The outputs with the queues' URLs: of the dead letters, and of their origin.
    fn outputs(self) -> (&'static str, &'static str) {
        match self {
            Self::Webhook => ("DeadLetterQueueUrl", "QueueUrl"),
            Self::Callback => ("CallbackDeadLetterQueueUrl", "CallbackQueueUrl"),
            Self::Publish => ("PublishDeadLetterQueueUrl", "PublishRetryQueueUrl"),
        }
    }
}

/// Which letters are asked for. By default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of these types; of any, when there is none.
    pub types: Vec<String>,
    /// Queued first at this time or later.
    pub since: Option<Timestamp>,
    /// Queued first before this time.
    pub until: Option<Timestamp>,
    /// At most so many.
    pub limit: Option<u64>,
}

impl Wanted {
    /// Whether a letter of this type, that was queued first at this time, is asked for.
    fn holds(&self, kind: &str, sent_at: Timestamp) -> bool {
        (self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind))
            && self.since.is_none_or(|since| sent_at >= since)
            && self.until.is_none_or(|until| sent_at < until)
    }

    fn parameters(&self, which: Which) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("queue", which.word().to_owned())];
        parameters.extend((!self.types.is_empty()).then(|| ("types", self.types.join(" "))));
        parameters.extend(self.since.map(|since| ("since", since.to_string())));
        parameters.extend(self.until.map(|until| ("until", until.to_string())));
        parameters.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        parameters
    }
}

/// The dead letters of one queue.
pub struct DeadLetters {
    which: Which,
    letters: Letters,
    origin: Queue,
    table: Table,
}

impl DeadLetters {
    /// A stack's. An error, when it has no such queue.
    pub fn of(deployed: &Deployed, which: Which) -> anyhow::Result<Self> {
        let (dead, origin) = which.outputs();
        let part = format!("{} queue", which.word());
        let (dead, origin) = (deployed.needed(dead, &part)?, deployed.needed(origin, &part)?);
        Ok(Self {
            which,
            letters: Letters::new(&deployed.sdk, dead, origin),
            origin: Queue::new(&deployed.sdk, origin),
            table: deployed.table()?,
        })
    }

    /// How many there are, by SQS's own estimate: those that can be received, and those that are hidden, since
    /// somebody looks at them.
    pub async fn about(&self) -> anyhow::Result<(u64, u64)> {
        self.letters.about().await
    }

    /// Looks at them and gives all back, up to 50,000. `heard` is told how many have been looked at, and may stop
    /// it.
    pub async fn look(
        &self,
        wanted: &Wanted,
        heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> anyhow::Result<Look> {
        pass::look(self, wanted, clock::now(), heard).await
    }

    /// Records of the stream that Lambda gave up name no event: every event that was stored in their time goes to
    /// the retry queue, by its id. Some of them are on the bus already, where a repeat does no harm. `heard` may stop
    /// it.
    async fn spread(
        &self,
        (from, to): Span,
        heard: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, String> {
        let mut walk = Walk::of_days(self.table.clone(), from, to, Filter::default());
        let mut messages = Vec::with_capacity(SPREAD);
        loop {
            let Some(step) = heeding(walk.step(), heard).await else { return Ok(ControlFlow::Break(())) };
            let is_end = match step.map_err(|fault| fault.to_string())? {
                Step::Event(event) => {
                    let body = json!({ "id": event.id }).to_string().into();
                    messages.push((Message { body, attributes: Vec::new() }, 0));
                    false
                }
                Step::Read => false,
                Step::End => true,
            };
            if messages.len() == SPREAD || is_end {
                if self.origin.send_all(&messages, None).await.contains(&false) {
                    return Err("not all events of a stretch of the stream".to_owned());
                }
                messages.clear();
                if is_end {
                    return Ok(ControlFlow::Continue(()));
                }
                if heard().is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
}

/// How many events go to the retry queue at a time.
const SPREAD: usize = 10;

/// Where one that was killed goes on: what it sent is among the dead letters no more.
const PLACE: &str =
    "when it was killed, run it again for the rest: letters are hidden for up to five minutes";

/// Sends letters back, and writes down who did it. It is never more than `meant`; when it is fewer,
/// [`Moved::unreceived`] says so. `heard` is told how far it is, and may stop it.
pub async fn redrive(
    dead: &DeadLetters,
    auditor: &Auditor,
    wanted: &Wanted,
    meant: RangeInclusive<u64>,
    heard: &mut dyn FnMut(&Moved) -> ControlFlow<()>,
) -> anyhow::Result<Ended<Moved>> {
    let mut act = auditor.begin("redrive", &wanted.parameters(dead.which), *meant.end()).await?;
    let mut sending = Sending::new(dead, wanted, meant, clock::now());
    let result = loop {
        match sending.step(heard).await {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
        act.note(sending.moved().moved, sending.moved().left, PLACE).await;
        if heard(sending.moved()).is_break() {
            sending.stop();
            break Ok(());
        }
    };
    let moved = sending.end().await;
    let outcome = match &result {
        Ok(()) if moved.failed + moved.twice + moved.unreceived > 0 => {
            Outcome::Failed(moved.notes().join("; "))
        }
        Ok(()) if moved.is_part => Outcome::Stopped(None),
        result => Outcome::of(result),
    };
    let left = moved.left + moved.failed + moved.unreceived;
    act.end(moved.moved, left, &outcome, result.map(|()| moved)).await
}

impl Moved {
    /// Why not everything went well, if so.
    pub fn why(&self) -> String {
        let reasons =
            self.reasons.iter().map(|(reason, count)| format!("{reason} ({})", many(*count, "time")));
        reasons.collect::<Vec<_>>().join(", ")
    }

    /// Whether all that was meant is sent and deleted.
    pub fn is_all(&self) -> bool {
        self.failed + self.twice + self.unreceived == 0 && !self.is_part
    }

    /// What is to be known of it beside the numbers, in sentences; nothing, when all went well.
    pub fn notes(&self) -> Vec<String> {
        let Self { failed, twice, unreceived, hidden, .. } = self;
        let note = |is_so: bool, words: String| is_so.then_some(words);
        let undone = format!("{failed} not sent, {twice} sent but not deleted: {}", self.why());
        let unreceived_words = format!(
            "{unreceived} could not be received: {} hidden for up to five minutes, or sent by somebody else",
            if *unreceived == 1 { "it is" } else { "they are" }
        );
        let hidden_words = format!(
            "{hidden} could not be given back, and are hidden for up to five minutes: {}",
            self.why()
        );
        let notes = [
            note(failed + twice > 0, undone),
            note(*unreceived > 0, unreceived_words),
            note(*hidden > 0, hidden_words),
            note(
                self.is_full,
                "what is not asked for fills the pass, and the next one may meet the same: send that back first"
                    .to_owned(),
            ),
            note(self.is_part && !self.is_full, "stopped before the end: run it again for the rest".to_owned()),
        ];
        notes.into_iter().flatten().collect()
    }
}

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let wanted = Wanted {
        types: args.types.clone(),
        since: args.since.map(|since| since.at(now)),
        until: args.older_than.map(|than| than.at(now)),
        limit: args.limit,
    };
    let deployed = args.operator.deployed().await?;
    let dead = DeadLetters::of(&deployed, args.which)?;
    let interrupt = Interrupt::listen();
    let (visible, hidden) = dead.about().await?;
    let step = Progress::of_stderr().step("looking at the dead letters");
    let look = dead
        .look(&wanted, &mut |count| {
            step.note(format!("looking at the dead letters: {count} of about {visible}"));
            interrupt.flow()
        })
        .await?;
    drop(step);
    if !args.json || !args.dry_run {
        tell(&look);
    }
    tell_hidden(&look, hidden);
    if interrupt.flow().is_break() {
        return Ok(ExitCode::FAILURE);
    }
    if args.dry_run {
        if args.json {
            write_json(&look, true)?;
        } else {
            say(&format!("{} would be sent back", look.wanted));
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Those that were not looked at are asked for, too.
    let meant =
        if look.is_part { visible.max(look.wanted).min(args.limit.unwrap_or(u64::MAX)) } else { look.wanted };
    if meant == 0 {
        say("nothing to send back");
        if args.json {
            write_json(&Moved { left: look.other, ..Moved::default() }, true)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let about = if look.is_part { "up to about " } else { "" };
    let question =
        format!("Send {about}{meant} back to the {} queue of {}?", args.which.word(), deployed.told());
    if !args.yes.asked(&question, &interrupt).await? {
        return Ok(ExitCode::FAILURE);
    }
    let auditor = Auditor::of(&deployed, Via::Command).await?;
    let step = Progress::of_stderr().step("sending");
    let ended = redrive(&dead, &auditor, &wanted, look.wanted.min(meant)..=meant, &mut |moved| {
        step.note(format!("sending: {} of {meant}", moved.moved));
        interrupt.flow()
    })
    .await?;
    let (moved, is_written) = ended.told();
    step.done(&format!("{} sent back, {} left", moved.moved, moved.left));
    moved.notes().iter().for_each(|note| say(&plain(note)));
    if args.json {
        write_json(&moved, true)?;
    }
    Ok(if moved.is_all() && is_written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The most letters that are listed for people.
const LISTED_MAX: usize = 20;

fn tell(look: &Look) {
    let count = |(name, count): (&str, &u64)| (name.to_owned(), count.to_string());
    let types = look.by_type.iter().map(|(kind, of)| count((&plain(kind), of)));
    let rows: Vec<_> = types.chain(look.by_age.iter().map(|(age, of)| count((age, of)))).collect();
    if !rows.is_empty() {
        say(&table(rows.iter().map(|(name, value)| (name.as_str(), value.clone()))));
    }
    for letter in look.letters.iter().take(LISTED_MAX) {
        let event = plain(letter.event.as_deref().unwrap_or("-"));
        let mark = if letter.is_wanted { "" } else { "  (left)" };
        say(&format!(
            "{:.0}  {} {event}, received {}{mark}",
            letter.sent_at,
            plain(&letter.kind),
            many(letter.receives.into(), "time")
        ));
        if let Some(stuck) = letter.stuck {
            say(&format!("    left: {stuck}"));
        }
    }
    let Look { wanted, over, other, .. } = look;
    let more = if look.is_part { " looked at, and there are more" } else { "" };
    let limit = if *over > 0 { format!(", {wanted} by the limit") } else { String::new() };
    let all = many(wanted + over + other, "dead letter");
    say(&format!("{all}{more}, {} of them asked for{limit}", wanted + over));
}

/// Letters that are not to be had for now: those of others, and those that could not be given back.
fn tell_hidden(look: &Look, hidden: u64) {
    if look.hidden > 0 {
        let why = plain(look.reasons.keys().next().map_or("", String::as_str));
        say(&format!(
            "{} of them could not be given back, and are hidden for up to five minutes: {why}",
            look.hidden
        ));
    }
    if hidden > 0 {
        say(&format!(
            "{hidden} more {} hidden for up to five minutes: somebody looks at them, or was stopped",
            are(hidden)
        ));
    }
}
