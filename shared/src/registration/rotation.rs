//! From one secret to the next, without a moment in which an event is refused.
//!
//! | step | the document | registered at Smile | after it, Smile may sign with |
//! |---|---|---|---|
//! | | current A | A | A |
//! | 1 [`Step::Begin`] | current A, **pending B** | A | A |
//! | 2 [`Step::Settle`]: every function accepts B | | A | A |
//! | 3 [`Step::Create`] | | A, **B** | A, B |
//! | 4 [`Step::Delete`] | | B | B; A in tries that are under way |
//! | 5 [`Step::Promote`] | **current B, previous A** for ten minutes | B | the same |
//! | 6 [`Step::RemovePrevious`], in a later run | current B | B | B |
//!
//! There is no other state than this document and these registrations. [`next`] looks at both and says what to
//! do next, so that whoever was killed runs again and goes on where the last one stopped. A pending secret is
//! never replaced: it may be in use at Smile.
//!
//! **How long step 2 is.** A warm function keeps the document for up to five minutes, but a signature from a
//! listed source that fits none of its secrets makes it look again at once, if its last look is ten seconds
//! ago (`functions/webhook`, `secrets.rs`). So it accepts B from the first event that is signed with B,
//! provided that its last look was not in the seconds right before step 1. [`SETTLES_WITHIN`] makes sure of
//! that, and no longer wait is needed. It is waited for by each run anew, since the clocks of the machine and
//! of AWS need not agree.

use std::time::Duration;

use jiff::Timestamp;

use super::desired::Desired;
use super::document::Document;
use super::registrar::Plan;
use crate::smile_api::{SecretText, Webhook, WebhookId};

/// How long step 2 is: the ten seconds between two looks of a function, and five more, since Secrets Manager
/// may give an older version for a moment (Secrets Manager, "eventual consistency").
pub const SETTLES_WITHIN: Duration = Duration::from_secs(15);

/// How many characters a secret has. Smile takes 64.
pub const SECRET_LENGTH: usize = 48;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write a pending secret into the document.
    Begin,
    /// Wait for [`SETTLES_WITHIN`].
    Settle,
    /// Register with [`Document::target`].
    Create,
    /// Delete these: another registration has taken their place.
    Delete(Vec<WebhookId>),
    /// Make the pending secret the current one.
    Promote,
    /// Take the previous secret out of the document: its time is up.
    RemovePrevious,
    /// Nothing.
    Done,
}

/// What this run may do, and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Whether it may begin a rotation. Otherwise it finishes what was begun, and tidies up.
    pub may_begin: bool,
    /// Whether it has waited since it saw the pending secret in the document.
    pub has_settled: bool,
}

/// Why there is no next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// There is nothing to rotate.
    #[error("nothing is registered with this URL and name: register it first (smile register create)")]
    NotRegistered,
    /// What is registered by another name would be refused after the rotation.
    #[error(
        "{0} goes to the same URL under another name, and would be refused after the rotation: delete it first"
    )]
    Stranger(WebhookId),
}

/// Says what to do next. `found` is everything that is registered at Smile.
pub fn next(
    document: &Document,
    found: &[Webhook],
    desired: &Desired,
    run: Run,
    now: Timestamp,
) -> Result<Step, Obstacle> {
    let desired = desired.with_secret(document.target());
    let is_stranger = |webhook: &&Webhook| webhook.url == desired.url() && !desired.is_ours(webhook);
    if let Some(stranger) = found.iter().find(is_stranger) {
        return Err(Obstacle::Stranger(stranger.id.clone()));
    }
    let plan = Plan::new(found, &desired);
    let has_pending = document.pending().is_some();
    if plan.keep.is_none() {
        return match (has_pending, plan.extra.is_empty()) {
            (false, true) => Err(Obstacle::NotRegistered),
            // Something of ours, and not as it should be: put right first.
            (false, false) => Ok(Step::Create),
            (true, _) if run.has_settled => Ok(Step::Create),
            (true, _) => Ok(Step::Settle),
        };
    }
    if !plan.extra.is_empty() {
        return Ok(Step::Delete(plan.extra.into_iter().map(|webhook| webhook.id.clone()).collect()));
    }
    Ok(match document.previous() {
        _ if has_pending => Step::Promote,
        // Beginning now would cut its time short.
        Some(previous) if previous.is_valid(now) => Step::Done,
        Some(_) => Step::RemovePrevious,
        None if run.may_begin => Step::Begin,
        None => Step::Done,
    })
}

/// A secret of letters and digits. `bytes` must come from the operating system's generator, and never end.
pub fn fresh_secret(bytes: impl Iterator<Item = u8>) -> SecretText {
    const SIGNS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // Of 256 values 248 are four for each sign; the others would make some signs likelier.
    let sign = |byte: u8| (byte < 248).then(|| char::from(SIGNS[usize::from(byte) % SIGNS.len()]));
    SecretText::new(bytes.filter_map(sign).take(SECRET_LENGTH).collect::<String>())
}
