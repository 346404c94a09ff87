//! Who acts, and what becomes of it: every act of an operator is written down in the table before it begins and
//! completed when it ends. `smile audit` lists them.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use shared::aws::told;
use shared::table::{AuditKey, Audited, Begun, Progress, Standing, Table};

use crate::clock;
use crate::operator::{Deployed, OperatorArgs};
use crate::ui::{many, plain, say, write_json};

/// List what operators did: who, when, what, with how many
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only what was begun on this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "days")]
    day: Option<Date>,
    /// The last so many days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

const EXAMPLES: &str = "\
Examples:
  smile audit
  smile audit --day 2026-03-01 --json
  smile audit --days 30 --stack smile-receiver-production --region ap-southeast-1

Written down are redrive, replay, events resend, quarantine release and bring-over, by command or on
the console; dry runs are not. One that is \"begun\" goes on, or its command was killed: how far it
came, and where it goes on, is what was last noted, at most some seconds before. Acts are kept for
400 days.

Who is the ARN that STS tells for the caller's credentials. When STS cannot be asked, it is the id
of the access key and the user of the machine, and says so. Without any, nothing is done.";

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let table = args.operator.receiver().await?.table;
    let today = TimeZone::UTC.to_datetime(now).date();
    let days = match args.day {
        Some(day) => vec![day],
        None => {
            (0..i64::from(args.days)).rev().map(|ago| today - SignedDuration::from_hours(24 * ago)).collect()
        }
    };
    let mut count = 0;
    for day in days {
        for act in table.acts_on(day).await? {
            count += 1;
            if args.json {
                write_json(&act, false)?;
            } else {
                writeln!(std::io::stdout(), "{}", line(&act))?;
            }
        }
    }
    if !args.json {
        say(&many(count, "act"));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(act: &Audited) -> String {
    let parameters: Vec<String> =
        act.parameters.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
    let left = if act.left == 0 { String::new() } else { format!(", {} left", act.left) };
    let detail = act.detail.as_deref().map_or_else(String::new, |detail| format!(": {}", plain(detail)));
    format!(
        "{:.0}  {:<18} {:<7} {} of {}{left}  {}  {}{detail}",
        act.begun_at,
        act.action,
        act.standing.word(),
        act.done,
        act.meant,
        plain(&act.who),
        parameters.join(" "),
    )
}

/// From where somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The command line.
    Command,
    /// The console.
    Console,
}

/// Who acts, and where that is written down.
#[derive(Clone)]
pub struct Auditor {
    table: Table,
    who: Who,
    via: Via,
}

/// Who credentials belong to.
#[derive(Clone)]
struct Who {
    name: String,
    is_fallback: bool,
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It came to its end.
    Done,
    /// Somebody stopped it; and where it goes on, if that is known.
    Stopped(Option<String>),
    /// Something went wrong.
    Failed(String),
}

impl Outcome {
    /// What is written down of an act's result.
    pub fn of<T>(result: &anyhow::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

/// What became of an act that has ended.
#[derive(Debug)]
pub struct Ended<T> {
    /// What became of it.
    pub became: T,
    /// Why it still stands written down as begun, if so.
    pub unwritten: Option<String>,
}

impl<T> Ended<T> {
    /// Says why it is not written down how it ended, if so. Gives what became of the act, and whether all was written.
    pub fn told(self) -> (T, bool) {
        if let Some(why) = &self.unwritten {
            say(&format!("warning: {}", plain(why)));
        }
        (self.became, self.unwritten.is_none())
    }
}

/// An act that has begun. Dropped without [`Act::end`], it stays written down as begun.
pub struct Act {
    table: Table,
    key: AuditKey,
    noted: Instant,
}

/// How often it is noted how far an act has come.
const NOTED_EVERY: Duration = Duration::from_secs(5);

/// The most characters of what went wrong, or where it goes on, that are kept.
const DETAIL_MAX: usize = 1000;

impl Auditor {
    /// Finds out who acts. Nothing is done by nobody: an error, when there is no name at all.
    pub async fn of(deployed: &Deployed, via: Via) -> anyhow::Result<Self> {
        Ok(Self { table: deployed.table()?, who: who(&deployed.sdk).await?, via })
    }

    /// Who acts.
    pub fn who(&self) -> &str {
        &self.who.name
    }

    /// Whether that is not what STS tells, since it could not be asked: another time it may tell.
    pub fn is_fallback(&self) -> bool {
        self.who.is_fallback
    }

    /// Writes down that an act begins, about as many messages, events or items as `meant`. When that cannot be
    /// written, the act must not begin.
    pub async fn begin(
        &self,
        action: &str,
        parameters: &[(&str, String)],
        meant: u64,
    ) -> anyhow::Result<Act> {
        let via = match self.via {
            Via::Command => "command",
            Via::Console => "console",
        };
        let begun = Begun {
            who: &self.who.name,
            via,
            action,
            parameters,
            meant,
            at: clock::now(),
            random: fastrand::u64(..),
        };
        let key =
            self.table.begin_act(begun).await.context("nothing was done, since it cannot be written down")?;
        Ok(Act { table: self.table.clone(), key, noted: Instant::now() })
    }
}

impl Act {
    /// Notes how far it is and where it goes on, at most every five seconds: for whoever looks, and for when it is
    /// killed. That this fails ends no act.
    pub async fn note(&mut self, done: u64, left: u64, place: &str) {
        if self.noted.elapsed() < NOTED_EVERY {
            return;
        }
        self.noted = Instant::now();
        let progress = Progress { done, left, standing: Standing::Begun, detail: Some(place) };
        let _ = self.table.note_act(&self.key, progress, clock::now()).await;
    }

    /// Writes down how it ended. That this fails takes nothing away of the result: it is told beside it.
    pub async fn end<T>(
        self,
        done: u64,
        left: u64,
        outcome: &Outcome,
        result: anyhow::Result<T>,
    ) -> anyhow::Result<Ended<T>> {
        let (standing, detail) = match outcome {
            Outcome::Done => (Standing::Done, None),
            Outcome::Stopped(place) => (Standing::Stopped, place.as_ref()),
            Outcome::Failed(why) => (Standing::Failed, Some(why)),
        };
        let detail = detail.map(|detail| detail.chars().take(DETAIL_MAX).collect::<String>());
        let progress = Progress { done, left, standing, detail: detail.as_deref() };
        let written = self.table.note_act(&self.key, progress, clock::now()).await;
        let unwritten = written.err().map(|fault| {
            format!("{done} done, but smile audit will show it as begun: {:#}", anyhow::Error::from(fault))
        });
        match (result, unwritten) {
            (Ok(became), unwritten) => Ok(Ended { became, unwritten }),
            (Err(error), Some(unwritten)) => Err(error.context(unwritten)),
            (Err(error), None) => Err(error),
        }
    }
}

/// Who the credentials belong to; when STS cannot be asked, the key and the user of this machine.
async fn who(sdk: &SdkConfig) -> anyhow::Result<Who> {
    let why = match aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await {
        Ok(caller) => match caller.arn {
            Some(name) => return Ok(Who { name, is_fallback: false }),
            None => "STS named nobody".to_owned(),
        },
        Err(error) => told(&error),
    };
    let provider = sdk.credentials_provider().context("there are no credentials to act with")?;
    let credentials = provider
        .provide_credentials()
        .await
        .context("nothing is done by nobody, and there are no credentials to tell who acts")?;
    let uid = rustix::process::getuid().as_raw();
    let name = format!("access key {}, user {uid} of the machine", credentials.access_key_id());
    say(&format!("note: STS does not say who this is ({why}): written down is {name}"));
    Ok(Who { name, is_fallback: true })
}
