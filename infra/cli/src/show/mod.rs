//! `smile show`: what the receiver knows of one thing.

mod page;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use serde_json::json;
use shared::event::Subject;
use shared::id::{AccountId, ArchiveId, EventId, IdLength, InviteId, RecordId, UserId, VerificationId};
use shared::state::State;
use shared::state::view::StateView;
use shared::table::StoredEvent;

use crate::cli::Usage;
use crate::operator::{OperatorArgs, Receiver};
use crate::ui::{Body, write_json, write_out};

/// Show what the receiver knows of one thing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What it is
    kind: Kind,
    /// Its id at Smile
    id: String,
    /// How many of its newest events to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    events: usize,
    /// Print the body of an event, with whatever personal data is in it
    #[arg(long)]
    body: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

const EXAMPLES: &str = "\
Examples:
  smile show user u-123
  smile show account a-123 --json
  smile show event et-123 --body
  smile show event et-123 --body | sha256sum
  smile show user u-123 --stack smile-receiver-production --region ap-southeast-1

Into a pipe or a file --body writes the body alone, byte for byte: its SHA-256 is the one that is
shown. On a terminal, what would steer it stands there as an escape. With --json the body is in the
object as it was received, or in base64 where it is no JSON.

Exit codes: 0 it is known, 1 it is not, 2 something is wrong with what was typed.";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    User,
    Account,
    Archive,
    Invite,
    Record,
    Verification,
    Event,
}

/// Runs the command.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.body && !matches!(args.kind, Kind::Event) {
        return Err(Usage::new("only an event has a body: smile show event ID --body").into());
    }
    let subject =
        subject(args.kind, &args.id).map_err(|error| Usage::new(format!("{:?}: {error}", args.id)))?;
    let receiver = args.operator.receiver().await?;
    match subject {
        None => event(args, &receiver, &EventId::new(args.id.as_str())?).await?,
        Some(subject) => state(args, &receiver, &subject).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The subject that is asked for; none for an event.
fn subject(kind: Kind, id: &str) -> Result<Option<Subject>, IdLength> {
    Ok(Some(match kind {
        Kind::User => Subject::User(UserId::new(id)?),
        Kind::Account => Subject::Account(AccountId::new(id)?),
        Kind::Archive => Subject::Archive(ArchiveId::new(id)?),
        Kind::Invite => Subject::Invite(InviteId::new(id)?),
        Kind::Record => Subject::Record(RecordId::new(id)?),
        Kind::Verification => Subject::Verification(VerificationId::new(id)?),
        Kind::Event => return EventId::new(id).map(|_| None),
    }))
}

#[derive(Serialize)]
struct WithBody {
    #[serde(flatten)]
    event: StoredEvent,
    #[serde(flatten)]
    body: Option<Body>,
}

async fn event(args: &Args, receiver: &Receiver, id: &EventId) -> anyhow::Result<()> {
    let Some((event, body)) = receiver.table.event(id).await? else {
        bail!("no event {id} is stored; it may be in quarantine: smile quarantine list");
    };
    if args.body && body.is_none() {
        match &event.body_dropped {
            Some(reason) => bail!("the body of {id} was not kept: {reason}"),
            None => {
                bail!("the body of {id} is not complete: it may just be being written or removed, try again")
            }
        }
    }
    let body = body.filter(|_| args.body);
    if args.json {
        let body = body.as_deref().map(Body::new).transpose()?;
        return write_json(&WithBody { event, body }, true);
    }
    match body {
        // So that what reads the pipe has the bytes that were signed, and no others.
        Some(body) if !std::io::stdout().is_terminal() => Ok(write_out(&body)?),
        body => {
            writeln!(std::io::stdout(), "{}", page::event(&event))?;
            body.map_or(Ok(()), |body| Ok(write_out(&[b"\n".as_slice(), &body, b"\n"].concat())?))
        }
    }
}

async fn state(args: &Args, receiver: &Receiver, subject: &Subject) -> anyhow::Result<()> {
    let state = receiver.table.state_of(subject).await?;
    let events = events(args, receiver, subject, &state).await?;
    let view = StateView::from(&state);
    if view == StateView::default() && events.is_empty() {
        bail!("nothing is known of the {} {}", format!("{:?}", args.kind).to_lowercase(), args.id);
    }
    if args.json {
        let mut json = serde_json::to_value(&view)?;
        json["events"] = json!(events);
        return write_json(&json, true);
    }
    Ok(writeln!(std::io::stdout(), "{}", page::state(&view, &events))?)
}

/// The newest events that carry something of the subject. Most lie on its user's timeline.
async fn events(
    args: &Args,
    receiver: &Receiver,
    subject: &Subject,
    state: &State,
) -> anyhow::Result<Vec<StoredEvent>> {
    let mut events = receiver.table.events_of(subject, None, args.events).await?;
    for (entity, _) in state.items() {
        let (pk, _) = entity.keys();
        if let Some(user) = pk.strip_prefix("USER#").filter(|_| !matches!(subject, Subject::User(_))) {
            let user = Subject::User(UserId::new(user)?);
            events.extend(receiver.table.events_of(&user, Some(subject), args.events).await?);
        }
    }
    events.sort_by_key(|event| event.stored_at);
    let older = events.len().saturating_sub(args.events);
    Ok(events.split_off(older))
}
