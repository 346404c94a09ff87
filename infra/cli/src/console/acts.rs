//! What can be done: releases, redrives, sending again, replays. The commands' own code does it, and writes down
//! who did it.
//!
//! A request without `confirm` counts and changes nothing. One with `confirm` repeats the count: when it is another
//! one by now, nothing is done, and the answer (409) says so. A redrive takes at most as many as were confirmed.
//! What goes on tells how far it is; whoever closes the page stops a redrive or a replay in good order.

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use shared::id::EventId;
use shared::table::QuarantineKey;
use tokio::task::spawn_local;

use super::Scene;
use super::looking::look;
use super::reads::which;
use super::server::Reply;
use super::stream;
use super::told::{Counted, Left, Outcome};
use crate::again::{Resent, Sender, Way};
use crate::audit::{Auditor, Ended};
use crate::loopback::{Answer, read};
use crate::quarantine::{Fate, Released};
use crate::redrive::{DeadLetters, Look, Moved, Wanted, Which};
use crate::replay::{self, Span};
use crate::ui::are;
use crate::{events, quarantine, redrive};

/// The most keys or ids of one request.
const MANY: usize = 2000;

/// The longest span that is replayed from here, in hours: each day of it is some queries.
const LONGEST_SPAN: i64 = 400 * 24;

/// An act, as it is asked for.
enum Act {
    Release(Vec<QuarantineKey>),
    Redrive(Which, Wanted),
    Resend(Vec<EventId>, Way),
    Replay(Span),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    keys: Vec<String>,
    confirm: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redrive {
    queue: String,
    #[serde(default)]
    types: Vec<String>,
    confirm: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resend {
    ids: Vec<String>,
    into: String,
    confirm: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    from: Timestamp,
    to: Timestamp,
    #[serde(default)]
    types: Vec<String>,
    source: Option<String>,
    into: String,
    confirm: Option<u64>,
}

/// Counts, or begins to act.
pub(super) async fn answer(scene: &Arc<Scene>, name: &str, body: &[u8]) -> Result<Reply, Answer> {
    let (act, confirm) = asked(name, body)?;
    let trouble = |error: anyhow::Error| Answer::refusal(503, &format!("{error:#}"));
    let Some(meant) = confirm else {
        let count = count(scene, &act).await.map_err(trouble)?;
        return Ok(Answer::json(200, &count).into());
    };
    // Nothing is begun by somebody without a name.
    let auditor = scene.auditor().await.map_err(trouble)?;
    if !matches!(act, Act::Redrive(..)) {
        let now = count(scene, &act).await.map_err(trouble)?.count;
        if now != meant {
            return Err(Answer::refusal(409, &format!("You confirmed {meant}, and by now it is {now}.")));
        }
    }
    let going = scene.under_way.begin().map_err(trouble)?;
    let (writer, stream) = stream::open();
    let scene = Arc::clone(scene);
    spawn_local(async move {
        // A reader that is slow misses a number, not the end.
        let tell = |done: u64| {
            let _ = writer.try_send(stream::message("progress", &json!({ "done": done })));
            if writer.is_closed() { ControlFlow::Break(()) } else { going.flow() }
        };
        let message = match run(&scene, &auditor, &act, meant, &tell).await {
            Ok(done) => stream::message("done", &done),
            Err(error) => stream::message("failed", &json!({ "detail": format!("{error:#}") })),
        };
        let _ = writer.send(message).await;
        drop(going);
    });
    Ok(Reply::Stream(stream))
}

fn asked(name: &str, body: &[u8]) -> Result<(Act, Option<u64>), Answer> {
    let refusal = |detail: &str| Answer::refusal(400, detail);
    let way = |word: &str| {
        let found = [Way::Bus, Way::Consumer].into_iter().find(|way| way.word() == word);
        found.ok_or_else(|| refusal("into must be bus or consumer"))
    };
    let enough = |list: &[String]| {
        if (1..=MANY).contains(&list.len()) { Ok(()) } else { Err(refusal("from 1 to 2000 at a time")) }
    };
    Ok(match name {
        "release" => {
            let Release { keys, confirm } = read(body)?;
            enough(&keys)?;
            let mut keys = keys
                .iter()
                .map(|key| key.parse::<QuarantineKey>().map_err(|error| refusal(&error.to_string())))
                .collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            keys.dedup();
            (Act::Release(keys), confirm)
        }
        "redrive" => {
            let Redrive { queue, types, confirm } = read(body)?;
            let which = which(&queue).ok_or_else(|| refusal("queue must be webhook, callback or publish"))?;
            (Act::Redrive(which, Wanted { types, ..Wanted::default() }), confirm)
        }
        "resend" => {
            let Resend { ids, into, confirm } = read(body)?;
            enough(&ids)?;
            let ids =
                ids.iter().map(|id| EventId::new(id.as_str()).map_err(|error| refusal(&error.to_string())));
            (Act::Resend(ids.collect::<Result<_, _>>()?, way(&into)?), confirm)
        }
        "replay" => {
            let Replay { from, to, types, source, into, confirm } = read(body)?;
            if from >= to {
                return Err(refusal("The end of the span must come after its beginning."));
            }
            if to.duration_since(from) > SignedDuration::from_hours(LONGEST_SPAN) {
                return Err(refusal("A span is at most 400 days here: smile replay takes longer ones."));
            }
            let source = source.map(|word| replay::source(&word)).transpose();
            let source = source.map_err(|error| refusal(&error))?;
            (Act::Replay(Span { from, to, types, source, into: way(&into)? }), confirm)
        }
        _ => return Err(Answer::nowhere()),
    })
}

async fn count(scene: &Arc<Scene>, act: &Act) -> anyhow::Result<Counted> {
    let deployed = &scene.deployed;
    Ok(match act {
        Act::Release(keys) => {
            let mut left = Left::default();
            let mut heard = |one: &Released| {
                stays(one, &mut left);
                ControlFlow::Continue(())
            };
            let tally = quarantine::could_release(&deployed.receiver()?, keys, &mut heard).await;
            Counted { count: tally.released, left, ..Counted::default() }
        }
        Act::Redrive(which, wanted) => letters(look(scene, *which, wanted.clone()).await?, wanted),
        Act::Resend(ids, way) => {
            let sender = Sender::of(deployed, *way)?;
            let mut count = Counted::default();
            for id in ids {
                let why = match scene.table.event_alone(id).await? {
                    Some(event) => sender.obstacle(&event),
                    None => Some("no event of this id is stored"),
                };
                match why {
                    None => count.count += 1,
                    Some(why) => count.left.add(id.to_string(), why.to_owned()),
                }
            }
            count
        }
        Act::Replay(span) => {
            let counted = replay::count(deployed, span, &mut |_| ControlFlow::Continue(())).await?;
            let (count, left) = (counted.total - counted.left, Left::by_reason(counted.reasons));
            Counted { count, by: counted.by_type, left, notes: Vec::new() }
        }
    })
}

/// What a redrive of these would be about.
fn letters(look: Look, wanted: &Wanted) -> Counted {
    let is_wanted = |kind: &str| wanted.types.is_empty() || wanted.types.iter().any(|type_| type_ == kind);
    let by = look.by_type.into_iter().filter(|(kind, _)| is_wanted(kind)).collect();
    let stuck =
        look.letters.into_iter().filter_map(|letter| Some((letter.message, letter.stuck?.to_owned())));
    let hidden = (look.hidden > 0).then(|| {
        format!(
            "{} more {} hidden for up to five minutes: somebody looks at them, or was stopped.",
            look.hidden,
            are(look.hidden)
        )
    });
    let more =
        look.is_part.then(|| "There are more than were looked at: redrive again afterwards.".to_owned());
    Counted {
        count: look.wanted,
        by,
        left: Left::among(look.stuck, stuck),
        notes: [more, hidden].into_iter().flatten().collect(),
    }
}

async fn run(
    scene: &Scene,
    auditor: &Auditor,
    act: &Act,
    meant: u64,
    tell: &dyn Fn(u64) -> ControlFlow<()>,
) -> anyhow::Result<Outcome> {
    let deployed = &scene.deployed;
    let (outcome, unwritten) = match act {
        Act::Release(keys) => {
            let (mut left, mut released) = (Left::default(), 0);
            let mut heard = |one: &Released| {
                released += u64::from(one.fate == Fate::Released);
                stays(one, &mut left);
                tell(released)
            };
            let receiver = deployed.receiver()?;
            let Ended { became, unwritten } =
                quarantine::release(&receiver, auditor, keys, &mut heard).await?;
            let notes = became.is_part.then(|| "It was stopped before its end.".to_owned());
            let whole = left.count == 0 && !became.is_part;
            (Outcome { done: became.released, whole, left, notes: notes.into_iter().collect() }, unwritten)
        }
        Act::Redrive(which, wanted) => {
            let dead = DeadLetters::of(deployed, *which)?;
            let mut heard = |moved: &Moved| tell(moved.moved);
            let Ended { became, unwritten } =
                redrive::redrive(&dead, auditor, wanted, meant..=meant, &mut heard).await?;
            let left = Left::of(became.failed + became.unreceived);
            (Outcome { done: became.moved, whole: became.is_all(), left, notes: became.notes() }, unwritten)
        }
        Act::Resend(ids, way) => {
            let Ended { became, unwritten } = events::resend(deployed, auditor, ids, *way).await?;
            let (mut left, mut done) = (Left::default(), 0);
            for (id, became) in ids.iter().zip(became) {
                match became {
                    Resent::Sent => done += 1,
                    Resent::Left(why) => left.add(id.to_string(), why.to_owned()),
                    Resent::Failed(why) => left.add(id.to_string(), why),
                }
            }
            (Outcome { done, whole: left.count == 0, left, notes: Vec::new() }, unwritten)
        }
        Act::Replay(span) => {
            let mut heard = |replayed: &replay::Replayed| tell(replayed.sent);
            let Ended { became, unwritten } =
                replay::replay(deployed, auditor, span, replay::RATE, meant, &mut heard).await?;
            let stopped = became.stopped.as_ref().map(|replay::Stopped { why, at }| {
                let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                format!("It was stopped{why}. Go on from {at}.")
            });
            let (whole, left) = (stopped.is_none(), Left::of(became.left));
            (Outcome { done: became.sent, whole, left, notes: stopped.into_iter().collect() }, unwritten)
        }
    };
    Ok(outcome.written(unwritten))
}

/// Tells of a body that was not released, if so.
fn stays(one: &Released, left: &mut Left) {
    let why = match &one.fate {
        Fate::Released => return,
        Fate::Left { why } | Fate::Failed { why } => why.clone(),
        Fate::Gone => "somebody has released it meanwhile".to_owned(),
    };
    left.add(one.key.clone(), why);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_rightly_is_refused() {
        let status = |name: &str, body: &str| asked(name, body.as_bytes()).err().map(|answer| answer.status);
        let key = "2026-03-01T10:00:00.000000Z#0123456789abcdef";
        let release = format!(r#"{{"keys":["{key}","{key}"],"confirm":1}}"#);
        let (act, confirm) = asked("release", release.as_bytes()).unwrap_or_else(|_| panic!());
        assert!(matches!(act, Act::Release(keys) if keys.len() == 1), "named twice, it is one");
        assert_eq!(confirm, Some(1));
        assert_eq!(status("redrive", r#"{"queue":"webhook"}"#), None);
        assert_eq!(status("resend", r#"{"ids":["et-1"],"into":"bus","confirm":null}"#), None);
        let span = r#""from":"2026-03-01T10:00:00Z","to":"2026-03-01T11:00:00Z""#;
        assert_eq!(status("replay", &format!(r#"{{{span},"into":"consumer","source":"webhook"}}"#)), None);
        for (name, body) in [
            ("release", r#"{"keys":[]}"#),
            ("release", r#"{"keys":["all"]}"#),
            ("release", r#"{"keys":[],"all":true}"#),
            ("redrive", r#"{"queue":"mine"}"#),
            ("resend", r#"{"ids":["et-1"],"into":"both"}"#),
            ("resend", r#"{"ids":[""],"into":"bus"}"#),
            ("replay", r#"{"from":"2026-03-01T10:00:00Z","to":"2026-03-01T10:00:00Z","into":"bus"}"#),
            ("replay", &format!(r#"{{{span},"into":"bus","source":"me"}}"#)),
            ("replay", r#"{"from":"0026-03-01T10:00:00Z","to":"2026-03-01T10:00:00Z","into":"bus"}"#),
            ("replay", "not JSON"),
        ] {
            assert_eq!(status(name, body), Some(400), "{name} {body}");
        }
        assert_eq!(status("delete", "{}"), Some(404));
    }
}
