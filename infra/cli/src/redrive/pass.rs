//! One pass over the dead letters, to look at them or to send them where they came from.
//!
//! 1. A letter is deleted only after SQS holds the copy that was sent. Killed in between, it is sent again by the
//!    next redrive: a repeat, which the consumer, and whoever listens on the bus, take for what it is.
//! 2. What stays is made visible again at the end, whatever the end is, and by SQS after five minutes when this
//!    program is killed.
//! 3. A letter that comes again in the same pass is known by its id: it is not sent a second time.
//! 4. What was queued after the pass began stays: a message that fails again at once would go round and round.
//! 5. Memory is bounded: at most [`HELD_MAX`] handles of what stays are kept, and no body longer than its call.
//! 6. Records of the stream that Lambda gave up name no events: those of their time are sent, once a pass, however
//!    many letters are about that time.
//! 7. A pass that finds fewer letters than it was meant to send says so: others hold them, for up to five minutes.

use std::collections::{BTreeMap, HashMap};
use std::ops::{ControlFlow, RangeInclusive};

use jiff::Timestamp;
use serde::Serialize;

use super::letter::Letter;
use super::letters::{Letters, Received};
use super::stretches::{Span, Stretches};
use super::{DeadLetters, Wanted};

/// The most letters that are hidden from others at once. SQS allows 120,000 of a queue; but at 60 ms for a call of
/// ten the first of so many are visible again when the last one is received.
pub(super) const HELD_MAX: usize = 50_000;

/// The most letters that are told one by one.
const TOLD_MAX: usize = 100;

/// After so many calls in a row that gave nothing new, or of which nothing was taken, a pass ends.
const IN_VAIN_MAX: u32 = 3;

/// A pass ends when so many letters were sent that cannot be deleted: each will be sent again.
const UNDELETED_MAX: usize = 30;

/// What lies in a dead letter queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// How many are asked for, and can go back to their queue. No more than the limit.
    pub wanted: u64,
    /// How many more would be asked for without the limit.
    pub over: u64,
    /// How many others there are.
    pub other: u64,
    /// How many of the others cannot go back, see [`Letter::stuck`].
    pub stuck: u64,
    /// How many were looked at and could not be given back: they are hidden for up to five minutes.
    pub hidden: u64,
    /// Why they could not, and how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, u64>,
    /// Whether there are more than one look takes, or it was stopped.
    pub is_part: bool,
    /// All of them, by type.
    pub by_type: BTreeMap<String, u64>,
    /// All of them, by the time since they were queued first.
    pub by_age: BTreeMap<&'static str, u64>,
    /// The first of them, up to 100.
    pub letters: Vec<Letter>,
}

/// What became of the letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Sent to their queue.
    pub moved: u64,
    /// Of these, those that could not be deleted here: the next redrive sends them once more.
    pub twice: u64,
    /// Wanted, but not sent: SQS did not take them.
    pub failed: u64,
    /// Not wanted, or over the limit.
    pub left: u64,
    /// Meant to be sent, but not among those that could be received: somebody else holds them, for up to five
    /// minutes, or has sent them.
    pub unreceived: u64,
    /// Of those that stay, so many could not be given back: hidden for up to five minutes.
    pub hidden: u64,
    /// Why calls failed, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// Whether there is more than one pass takes, or it was stopped.
    pub is_part: bool,
    /// Whether what was not asked for filled the pass: another one may meet the same letters first.
    pub is_full: bool,
}

/// Letters that stay, by their id, with what they are given back by.
#[derive(Default)]
struct Held(HashMap<String, String>);

impl Held {
    /// Whether the letter is known; then its newest handle is kept.
    fn knows(&mut self, received: &Received) -> bool {
        let known = self.0.get_mut(&received.id);
        known.map(|handle| handle.clone_from(&received.handle)).is_some()
    }

    fn keep(&mut self, received: Received) {
        self.0.insert(received.id, received.handle);
    }

    fn handles(&self) -> Vec<&str> {
        self.0.values().map(String::as_str).collect()
    }
}

/// Looks at all letters, and gives all back.
pub(super) async fn look(
    dead: &DeadLetters,
    wanted: &Wanted,
    now: Timestamp,
    heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<Look> {
    let (mut look, mut held) = (Look::default(), Held::default());
    let result = look_on(dead, wanted, now, heard, &mut look, &mut held).await;
    look.reasons = dead.letters.give_back(&held.handles()).await;
    look.hidden = look.reasons.values().sum();
    result.map(|()| look)
}

async fn look_on(
    dead: &DeadLetters,
    wanted: &Wanted,
    now: Timestamp,
    heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
    look: &mut Look,
    held: &mut Held,
) -> anyhow::Result<()> {
    let mut in_vain = 0;
    while in_vain < IN_VAIN_MAX {
        if held.0.len() >= HELD_MAX || heard(look.wanted + look.other).is_break() {
            look.is_part = true;
            break;
        }
        let received = dead.letters.receive().await?;
        if received.is_empty() {
            break;
        }
        let new: Vec<Received> = received.into_iter().filter(|received| !held.knows(received)).collect();
        in_vain = if new.is_empty() { in_vain + 1 } else { 0 };
        let letters = Letter::all(&new, dead.which, &dead.table, wanted).await;
        for received in new {
            held.keep(received);
        }
        letters?.into_iter().for_each(|letter| look.count(letter, now));
    }
    // The first are visible again, and hide those that were not reached.
    look.is_part |= in_vain == IN_VAIN_MAX;
    let limit = wanted.limit.unwrap_or(u64::MAX);
    (look.wanted, look.over) = (look.wanted.min(limit), look.wanted.saturating_sub(limit));
    Ok(())
}

impl Look {
    fn count(&mut self, letter: Letter, now: Timestamp) {
        *if letter.is_wanted { &mut self.wanted } else { &mut self.other } += 1;
        self.stuck += u64::from(letter.stuck.is_some());
        *self.by_type.entry(letter.kind.clone()).or_default() += 1;
        *self.by_age.entry(letter.age(now)).or_default() += 1;
        if self.letters.len() < TOLD_MAX {
            self.letters.push(letter);
        }
    }
}

/// A pass that sends.
pub(super) struct Sending<'a> {
    dead: &'a DeadLetters,
    wanted: &'a Wanted,
    meant: RangeInclusive<u64>,
    began: Timestamp,
    /// Calls in a row of which nothing was taken, or that gave nothing new.
    in_vain: u32,
    /// Calls in a row that gave nothing.
    empty: u32,
    held: Held,
    /// Sent, and still to be deleted.
    sent: Held,
    /// Times whose events are sent.
    spread: Stretches,
    moved: Moved,
}

/// What became of a letter.
enum Fate {
    Sent,
    Failed(String),
    /// Somebody stopped it.
    Stays,
}

impl From<Result<(), String>> for Fate {
    fn from(told: Result<(), String>) -> Self {
        told.map_or_else(Self::Failed, |()| Self::Sent)
    }
}

impl<'a> Sending<'a> {
    /// A pass over what was queued before `began`, that sends as many as are `meant`: never more, and when it is
    /// fewer, it says so.
    pub(super) fn new(
        dead: &'a DeadLetters,
        wanted: &'a Wanted,
        meant: RangeInclusive<u64>,
        began: Timestamp,
    ) -> Self {
        let (held, sent, spread) = (Held::default(), Held::default(), Stretches::default());
        Self { dead, wanted, meant, began, in_vain: 0, empty: 0, held, sent, spread, moved: Moved::default() }
    }

    /// How far it is.
    pub(super) fn moved(&self) -> &Moved {
        &self.moved
    }

    /// One step: receives up to ten, sends, deletes. Says whether to go on. `heard` may stop it where it takes long.
    pub(super) async fn step(
        &mut self,
        heard: &mut dyn FnMut(&Moved) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        if self.moved.moved >= *self.meant.end() {
            return Ok(false);
        }
        if self.held.0.len() >= HELD_MAX {
            (self.moved.is_part, self.moved.is_full) = (true, true);
            return Ok(false);
        }
        let received = self.letters().receive().await?;
        if received.is_empty() {
            return Ok(self.is_to_be_asked_again());
        }
        (self.empty, self.moved.unreceived) = (0, 0);
        let is_new = |received: &Received| !self.sent.knows(received) && !self.held.knows(received);
        let new: Vec<Received> = received.into_iter().filter(is_new).collect();
        if new.is_empty() {
            self.in_vain += 1;
            self.moved.is_part |= self.in_vain == IN_VAIN_MAX;
            return Ok(self.in_vain < IN_VAIN_MAX);
        }
        let letters = match Letter::all(&new, self.dead.which, &self.dead.table, self.wanted).await {
            Ok(letters) => letters,
            Err(error) => {
                for letter in new {
                    self.held.keep(letter);
                }
                return Err(error);
            }
        };
        let (mut due, mut streams) = (Vec::new(), Vec::new());
        for (next, letter) in new.into_iter().zip(letters) {
            let is_over = self.moved.moved + (due.len() + streams.len()) as u64 >= *self.meant.end();
            match letter.span {
                _ if !letter.is_wanted || is_over || next.sent_at >= self.began => {
                    self.moved.left += 1;
                    self.held.keep(next);
                }
                None => due.push(next),
                Some(span) => streams.push((next, span)),
            }
        }
        Ok(self.send(due, streams, heard).await)
    }

    /// After a call that gave nothing: whether to ask once more. Fewer than are meant are believed after some calls.
    fn is_to_be_asked_again(&mut self) -> bool {
        self.moved.unreceived = self.meant.start().saturating_sub(self.moved.moved + self.moved.failed);
        self.empty += 1;
        self.moved.unreceived > 0 && self.empty < IN_VAIN_MAX
    }

    async fn send(
        &mut self,
        mut due: Vec<Received>,
        streams: Vec<(Received, Span)>,
        heard: &mut dyn FnMut(&Moved) -> ControlFlow<()>,
    ) -> bool {
        let mut fates: Vec<Fate> = self.letters().send(&due).await.into_iter().map(Fate::from).collect();
        for (letter, span) in streams {
            fates.push(if self.moved.is_part { Fate::Stays } else { self.spread(span, heard).await });
            due.push(letter);
        }
        let is_in_vain = !due.is_empty() && fates.iter().all(|fate| matches!(fate, Fate::Failed(_)));
        self.in_vain = if is_in_vain { self.in_vain + 1 } else { 0 };
        for (letter, fate) in due.into_iter().zip(fates) {
            match fate {
                Fate::Sent => {
                    self.moved.moved += 1;
                    self.sent.keep(letter);
                }
                Fate::Failed(why) => {
                    self.moved.failed += 1;
                    *self.moved.reasons.entry(format!("not sent: {why}")).or_default() += 1;
                    self.held.keep(letter);
                }
                Fate::Stays => self.held.keep(letter),
            }
        }
        self.delete().await;
        !self.moved.is_part && self.in_vain < IN_VAIN_MAX && self.sent.0.len() < UNDELETED_MAX
    }

    /// Sends the events of a time, as far as they are not sent yet.
    async fn spread(&mut self, span: Span, heard: &mut dyn FnMut(&Moved) -> ControlFlow<()>) -> Fate {
        for part in self.spread.rest(span) {
            match self.dead.spread(part, &mut || heard(&self.moved)).await {
                Ok(ControlFlow::Continue(())) => self.spread.add(part),
                Ok(ControlFlow::Break(())) => {
                    self.stop();
                    return Fate::Stays;
                }
                Err(why) => return Fate::Failed(why),
            }
        }
        Fate::Sent
    }

    /// Deletes all that was sent; what cannot be is tried again with the next.
    async fn delete(&mut self) {
        let sent = std::mem::take(&mut self.sent.0);
        let handles: Vec<&str> = sent.values().map(String::as_str).collect();
        let told = self.letters().delete(&handles).await;
        self.moved.twice = 0;
        for ((id, handle), told) in sent.iter().zip(told) {
            if let Err(why) = told {
                self.moved.twice += 1;
                *self.moved.reasons.entry(format!("not deleted: {why}")).or_default() += 1;
                self.sent.0.insert(id.clone(), handle.clone());
            }
        }
    }

    /// Gives back what stays.
    pub(super) async fn end(mut self) -> Moved {
        if !self.sent.0.is_empty() {
            self.delete().await;
        }
        let handles = [self.held.handles(), self.sent.handles()].concat();
        for (why, count) in self.letters().give_back(&handles).await {
            self.moved.hidden += count;
            self.moved.reasons.insert(format!("not given back: {why}"), count);
        }
        self.moved
    }

    /// Stops it before its end.
    pub(super) fn stop(&mut self) {
        self.moved.is_part = true;
    }

    fn letters(&self) -> &'a Letters {
        &self.dead.letters
    }
}
