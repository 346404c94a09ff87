//! Releases bodies, one after the other, and says what became of each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use shared::event::Envelope;
use shared::job::{Job, Source};
use shared::table::{QuarantineKey, Quarantined};
use shared::verify::Verified;

use super::{Pages, line};
use crate::audit::{Act, Auditor, Ended, Outcome};
use crate::operator::Receiver;
use crate::ui::{many, plain, say};

/// Why a body cannot go back to the queue, if so: it would be in quarantine again at once.
fn obstacle(item: &Quarantined, body: &[u8]) -> Option<String> {
    if item.source == Source::Callback.as_str() {
        return Some("a browser sent it, and what browsers send has a queue of its own".to_owned());
    }
    match item.reason.as_str() {
        "id_conflict" => {
            Some("another body is stored under its id, and it would be refused again".to_owned())
        }
        "undecodable" => Some("it is not a body but a message that cannot be taken apart".to_owned()),
        _ => Envelope::parse(Verified::from_own_queue(body))
            .and_then(|event| event.facts())
            .err()
            .map(|reason| format!("it still cannot be read: {reason}")),
    }
}

/// What became of one body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// Its key.
    pub key: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// Its description, unless it is gone.
    #[serde(skip)]
    pub item: Option<Quarantined>,
}

/// What became of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It is in the queue, or would be.
    Released,
    /// It stays.
    Left {
        /// Why.
        why: String,
    },
    /// Something went wrong: it stays, unless that says otherwise.
    Failed {
        /// What.
        why: String,
    },
    /// Somebody else has released it meanwhile.
    Gone,
}

/// How many bodies met which fate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Released.
    pub released: u64,
    /// Left in quarantine.
    pub left: u64,
    /// Not released, since something went wrong.
    pub failed: u64,
    /// What went wrong, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// Whether it ended before all were looked at.
    pub is_part: bool,
}

impl Tally {
    /// Whether all that was asked for is released.
    pub fn is_all(&self) -> bool {
        self.left + self.failed == 0 && self.reasons.is_empty() && !self.is_part
    }

    /// What went wrong, in words.
    fn why(&self) -> String {
        let reasons =
            self.reasons.iter().map(|(reason, count)| format!("{reason} ({})", many(*count, "time")));
        reasons.collect::<Vec<_>>().join(", ")
    }

    fn outcome(&self) -> Outcome {
        match (self.reasons.is_empty(), self.is_part) {
            (true, false) => Outcome::Done,
            (true, true) => Outcome::Stopped(Some("run it again for the rest".to_owned())),
            (false, _) => Outcome::Failed(self.why()),
        }
    }

    pub(super) fn tell(&self, dry_run: bool) {
        let done = if dry_run { "would be released" } else { "released" };
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        say(&format!("{} {done}, {} left{failed}", self.released, self.left));
        if !self.reasons.is_empty() {
            say(&format!("what went wrong: {}", plain(&self.why())));
        }
        if self.is_part {
            say("stopped before the end: run it again for the rest");
        }
    }
}

/// Sends bodies to the queue again, and writes down who did it. `heard` is told of each, and may stop it.
pub async fn release(
    receiver: &Receiver,
    auditor: &Auditor,
    keys: &[QuarantineKey],
    heard: &mut dyn FnMut(&Released) -> ControlFlow<()>,
) -> anyhow::Result<Ended<Tally>> {
    let act = auditor.begin(ACTION, &named(keys), keys.len() as u64).await?;
    Releasing::new(receiver, Some(act), heard).end(&mut Which::Named(keys)).await
}

pub(super) const ACTION: &str = "quarantine release";

/// Where one that was killed goes on: what it released is in quarantine no more.
const PLACE: &str = "when it was killed, run it again for the rest";

/// The most keys that are written down.
const NAMED_MAX: usize = 50;

pub(super) fn named(keys: &[QuarantineKey]) -> Vec<(&'static str, String)> {
    let keys = keys.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>();
    vec![("keys", keys.join(" "))]
}

/// Says of each body what [`release`] would do with it. `heard` may stop it.
pub async fn could_release(
    receiver: &Receiver,
    keys: &[QuarantineKey],
    heard: &mut dyn FnMut(&Released) -> ControlFlow<()>,
) -> Tally {
    Releasing::new(receiver, None, heard).run(&mut Which::Named(keys)).await.0
}

/// Which bodies are to be released.
pub(super) enum Which<'a> {
    /// These, all at once.
    Named(&'a [QuarantineKey]),
    /// What was counted: put there until `newest`, and as many.
    Found { pages: Pages<'a>, newest: Timestamp, left: u64 },
}

impl Which<'_> {
    /// Some more, or for now none; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<QuarantineKey>>> {
        match self {
            Self::Named([]) | Self::Found { left: 0, .. } => Ok(None),
            Self::Named(keys) => Ok(Some(std::mem::take(keys).to_vec())),
            Self::Found { pages, newest, left } => {
                let Some(items) = pages.next().await? else { return Ok(None) };
                let counted = items.into_iter().filter(|item| item.stored_at <= *newest);
                let keys = counted.take(usize::try_from(*left).unwrap_or(usize::MAX));
                let keys = keys.map(|item| Ok(item.key.parse()?)).collect::<anyhow::Result<Vec<_>>>()?;
                *left -= keys.len() as u64;
                Ok(Some(keys))
            }
        }
    }

    /// How many of those that were counted are not there any more, or were put there anew meanwhile.
    fn not_found_again(&self) -> u64 {
        match self {
            Self::Named(_) => 0,
            Self::Found { left, .. } => *left,
        }
    }

    fn is_at_end(&self) -> bool {
        match self {
            Self::Named(keys) => keys.is_empty(),
            Self::Found { pages, left, .. } => *left == 0 || pages.days.is_empty(),
        }
    }
}

/// After so many failures in a row it ends.
const IN_VAIN_MAX: u32 = 5;

/// A release that is under way; without an act only a look at what it would do.
pub(super) struct Releasing<'a> {
    receiver: &'a Receiver,
    act: Option<Act>,
    heard: &'a mut dyn FnMut(&Released) -> ControlFlow<()>,
    in_vain: u32,
    tally: Tally,
}

impl<'a> Releasing<'a> {
    pub(super) fn new(
        receiver: &'a Receiver,
        act: Option<Act>,
        heard: &'a mut dyn FnMut(&Released) -> ControlFlow<()>,
    ) -> Self {
        Self { receiver, act, heard, in_vain: 0, tally: Tally::default() }
    }

    /// To the end, or until somebody stops it; and writes down what came of it.
    pub(super) async fn end(self, which: &mut Which<'_>) -> anyhow::Result<Ended<Tally>> {
        let (tally, act) = self.run(which).await;
        match act {
            Some(act) => {
                act.end(tally.released, tally.left + tally.failed, &tally.outcome(), Ok(tally.clone())).await
            }
            None => Ok(Ended { became: tally, unwritten: None }),
        }
    }

    pub(super) async fn run(mut self, which: &mut Which<'_>) -> (Tally, Option<Act>) {
        loop {
            let keys = match which.next().await {
                Ok(Some(keys)) => keys,
                Ok(None) => break,
                Err(error) => {
                    self.tally.reasons.insert(format!("{error:#}"), 1);
                    self.tally.is_part = true;
                    break;
                }
            };
            for (at, key) in keys.iter().enumerate() {
                if self.one(key).await.is_break() {
                    self.tally.is_part = at + 1 < keys.len() || !which.is_at_end();
                    return (self.tally, self.act);
                }
            }
        }
        self.tally.left += which.not_found_again();
        (self.tally, self.act)
    }

    /// Releases one, and says whether to go on.
    async fn one(&mut self, key: &QuarantineKey) -> ControlFlow<()> {
        let (fate, item) = self.fate(key).await;
        self.in_vain = if matches!(fate, Fate::Failed { .. }) { self.in_vain + 1 } else { 0 };
        match &fate {
            Fate::Released => self.tally.released += 1,
            Fate::Left { .. } => self.tally.left += 1,
            Fate::Gone => {}
            Fate::Failed { why } => {
                self.tally.failed += 1;
                *self.tally.reasons.entry(why.clone()).or_default() += 1;
            }
        }
        let flow = (self.heard)(&Released { key: key.to_string(), fate, item });
        if let Some(act) = &mut self.act {
            act.note(self.tally.released, self.tally.left + self.tally.failed, PLACE).await;
        }
        if self.in_vain == IN_VAIN_MAX { ControlFlow::Break(()) } else { flow }
    }

    async fn fate(&self, key: &QuarantineKey) -> (Fate, Option<Quarantined>) {
        let (item, body) = match self.receiver.table.quarantined(key).await {
            Ok(Some(found)) => found,
            Ok(None) => return (Fate::Gone, None),
            Err(fault) => return (Fate::Failed { why: fault.to_string() }, None),
        };
        let obstacle = match &body {
            None => Some("its body is not complete: it may just be being written, try again".to_owned()),
            Some(body) => obstacle(&item, body),
        };
        let fate = match obstacle {
            Some(why) => Fate::Left { why },
            None if self.act.is_none() => Fate::Released,
            None => match release_one(self.receiver, key, &item, &body.unwrap_or_default()).await {
                Ok(()) => Fate::Released,
                Err(error) => Fate::Failed { why: format!("{error:#}") },
            },
        };
        (fate, Some(item))
    }
}

impl Released {
    pub(super) fn line(&self, dry_run: bool) -> String {
        let Self { key, fate, item } = self;
        let item = item.as_ref().map_or_else(|| key.clone(), line);
        match fate {
            Fate::Released if dry_run => format!("would be released  {item}"),
            Fate::Released => format!("released  {item}"),
            Fate::Left { why } => format!("left  {key}: {}", plain(why)),
            Fate::Failed { why } => format!("failed  {key}: {}", plain(why)),
            Fate::Gone => format!("gone  {key}: somebody else has released it meanwhile"),
        }
    }
}

/// Sends first and removes after: a crash between the two sends it twice, which is harmless.
async fn release_one(
    receiver: &Receiver,
    key: &QuarantineKey,
    item: &Quarantined,
    body: &[u8],
) -> anyhow::Result<()> {
    let source = if item.source == Source::Reconcile.as_str() { Source::Reconcile } else { Source::Webhook };
    let job = Job {
        source,
        received_at: item.received_at,
        delivery: item.delivery.clone(),
        held: false,
        check: false,
        session: None,
    };
    receiver.queue.send(job.encode(body)?, None).await?;
    let removed = receiver.table.remove_quarantined(key, item).await;
    if !removed.context("sent, but still in quarantine: released again, it is sent once more")? {
        say(&format!("note  {key}: it is in quarantine again, or somebody else has removed it"));
    }
    Ok(())
}
