//! `smile session rotate`: another secret for the sessions of browsers.
//!
//! One write does it. New sessions are signed with the new secret once `link` has seen it, within five minutes;
//! who checks one looks for a newer secret when it fits none. The old secret stays valid for as long as a
//! session that was signed with it can last, so that no page notices.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::registration::{Document, Vault};

use crate::operator::OperatorArgs;
use crate::register::fresh;
use crate::ui::say;

/// How long `link` may still sign with a secret that was replaced: it looks every five minutes.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_mins(6);

/// The sessions of browsers: their secret
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Replace the secret that sessions are signed with
    #[command(after_help = "\
No page notices: sessions that are signed with the old secret stay valid until they end.
With --end-sessions, for a secret that has leaked, they end within five minutes. Until link has
seen the new secret, which takes as long, sessions that it hands out may be refused, too.
WebSockets that are open by then go on until their session's time is up, two hours at most.")]
    Rotate {
        #[command(flatten)]
        operator: OperatorArgs,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Let all sessions end now
        #[arg(long)]
        end_sessions: bool,
        /// Print the outcome as JSON on stdout
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub async fn run(args: Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let Action::Rotate { operator, dry_run, end_sessions, json } = args.action;
    let stack = operator.deployed().await?;
    let arn = stack.output("SessionSecretArn").context(
        "sessions need the stack's parameter SmileCredentialsSecretArn: without it there are none to rotate",
    )?;
    let minutes = stack.parameter("SessionMinutes").map_or(Ok(60), str::parse);
    let lifetime = SignedDuration::from_mins(minutes.context("the parameter SessionMinutes is no number")?);
    let vault = Vault::new(&stack.sdk, arn);
    let (document, version) = vault.read().await?;
    let until = valid_until(&document, lifetime, end_sessions, now)?;
    if !dry_run {
        vault.replace(&version, &document.replaced(fresh()?, until)).await?;
    }
    let be = if dry_run { "would be" } else { "is" };
    match until {
        Some(until) => say(&format!("The secret {be} replaced; the old one {be} accepted until {until:.0}.")),
        None => say(&format!("The secret {be} replaced; every session that it signed {be} ended.")),
    }
    if json {
        println!("{}", json!({ "rotated": !dry_run, "previous_until": until }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Until when the present secret stays valid after it was replaced.
fn valid_until(
    document: &Document,
    lifetime: SignedDuration,
    end_sessions: bool,
    now: Timestamp,
) -> anyhow::Result<Option<Timestamp>> {
    if end_sessions {
        return Ok(None);
    }
    // Only one previous secret is kept: replacing again would end its sessions before their time.
    if let Some(previous) = document.previous().filter(|previous| previous.is_valid(now)) {
        bail!(
            "sessions of the secret before are valid until {:.0}: rotate after that, or end them with --end-sessions",
            previous.not_after()
        );
    }
    Ok(Some(now + SEEN_WITHIN + lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_ends_before_its_time_unless_that_is_wanted() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let until = |document: &str, end| {
            let document = Document::parse(document).unwrap();
            valid_until(&document, SignedDuration::from_mins(60), end, now).map_err(|error| error.to_string())
        };
        assert_eq!(until(r#"{"current":"a"}"#, false).unwrap().unwrap().to_string(), "2026-03-01T11:06:00Z");
        let rotated = r#"{"current":"b","previous":{"secret":"a","not_after":"2026-03-01T10:30:00Z"}}"#;
        assert!(until(rotated, false).unwrap_err().contains("until 2026-03-01T10:30:00Z"));
        assert_eq!(until(rotated, true), Ok(None));
        let long_ago = r#"{"current":"b","previous":{"secret":"a","not_after":"2026-03-01T09:30:00Z"}}"#;
        assert!(until(long_ago, false).unwrap().is_some());
    }
}
