//! What can be done: releases, redrives, sending again, replays. The commands' own code does it, and writes down
//! who did it.
//!
//! A request without `confirm` counts and changes nothing. One with `confirm` repeats the count: when it is another
//! one by now, nothing is done, and the answer (409) says so. A redrive takes at most as many as were confirmed.
//! What goes on tells how far it is; whoever closes the page stops a redrive or a replay in good order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::id::EventId;
use shared::table::QuarantineKey;
use tokio::task::spawn_local;

use super::Scene;
use super::reads::which;
use super::server::Reply;
use super::stream::{self, Writer};
use crate::again::{Resent, Sender, Way};
use crate::loopback::{Answer, read};
use crate::quarantine::{Fate, Released};
use crate::redrive::{DeadLetters, Wanted, Which};
use crate::replay::{self, Span};
use crate::{events, quarantine, redrive};

/// The most keys or ids of one request.
const MANY: usize = 2000;

/// How many that are left are told one by one.
const TOLD: usize = 100;

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

/// What an act is about.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Counted {
    count: u64,
    /// By type, where there are types.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    by: BTreeMap<String, u64>,
    left: Vec<Left>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Outcome {
    done: u64,
    left: Vec<Left>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What stays as it is, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Left {
    what: String,
    why: String,
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
    scene.auditor().await.map_err(trouble)?;
    if !matches!(act, Act::Redrive(..)) {
        let now = count(scene, &act).await.map_err(trouble)?.count;
        if now != meant {
            return Err(Answer::refusal(409, &format!("You confirmed {meant}, and by now it is {now}.")));
        }
    }
    let (writer, stream) = stream::open();
    let scene = Arc::clone(scene);
    spawn_local(async move {
        let message = match run(&scene, &act, meant, &writer).await {
            Ok(done) => stream::message("done", &done),
            Err(error) => stream::message("failed", &json!({ "detail": format!("{error:#}") })),
        };
        let _ = writer.send(message).await;
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
            let source = source.map(|word| replay::source(&word)).transpose();
            let source = source.map_err(|error| refusal(&error))?;
            (Act::Replay(Span { from, to, types, source, into: way(&into)? }), confirm)
        }
        _ => return Err(Answer::nowhere()),
    })
}

async fn count(scene: &Scene, act: &Act) -> anyhow::Result<Counted> {
    let deployed = &scene.deployed;
    Ok(match act {
        Act::Release(keys) => {
            let mut left = Vec::new();
            let mut heard = |one: &Released| left.extend(stays(one));
            let tally = quarantine::could_release(&deployed.receiver()?, keys, &mut heard).await?;
            Counted { count: tally.released, left: few(left), ..Counted::default() }
        }
        Act::Redrive(which, wanted) => {
            let dead = DeadLetters::of(deployed, *which)?;
            let look = dead.look(wanted, &mut |_| ControlFlow::Continue(())).await?;
            let wanted =
                |kind: &str| wanted.types.is_empty() || wanted.types.iter().any(|type_| type_ == kind);
            let by = look.by_type.into_iter().filter(|(kind, _)| wanted(kind)).collect();
            let stuck = look.letters.into_iter().filter_map(|letter| Some((letter.message, letter.stuck?)));
            let left = stuck.map(|(what, why)| Left { what, why: why.to_owned() });
            let detail = look
                .is_part
                .then(|| "There are more than one pass takes: redrive again afterwards.".to_owned());
            Counted { count: look.wanted, by, left: few(left), detail }
        }
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
                    Some(why) => count.left.push(Left { what: id.to_string(), why: why.to_owned() }),
                }
            }
            count
        }
        Act::Replay(span) => {
            let counted = replay::count(deployed, span, &mut |_| ControlFlow::Continue(())).await?;
            let left = by_reason(counted.reasons);
            Counted { count: counted.total - counted.left, by: counted.by_type, left, detail: None }
        }
    })
}

async fn run(scene: &Scene, act: &Act, meant: u64, writer: &Writer) -> anyhow::Result<Outcome> {
    let (deployed, auditor) = (&scene.deployed, scene.auditor().await?);
    // A reader that is slow misses a number, not the end.
    let tell = |done: u64| {
        let _ = writer.try_send(stream::message("progress", &json!({ "done": done })));
        if writer.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    Ok(match act {
        Act::Release(keys) => {
            let (mut left, mut released) = (Vec::new(), 0);
            let mut heard = |one: &Released| {
                released += u64::from(one.fate == Fate::Released);
                left.extend(stays(one));
                let _ = tell(released);
            };
            let receiver = deployed.receiver()?;
            let tally = quarantine::release(&receiver, auditor, keys, &[], &mut heard).await?;
            Outcome { done: tally.released, left: few(left), detail: None }
        }
        Act::Redrive(which, wanted) => {
            let dead = DeadLetters::of(deployed, *which)?;
            let moved =
                redrive::redrive(&dead, auditor, wanted, meant, &mut |moved| tell(moved.moved)).await?;
            let twice = (moved.twice > 0).then(|| {
                format!(
                    "{} could not be deleted from the dead letters: the next redrive sends them once more.",
                    moved.twice
                )
            });
            Outcome { done: moved.moved, left: by_reason(moved.reasons), detail: twice }
        }
        Act::Resend(ids, way) => {
            let became = events::resend(deployed, auditor, ids, *way).await?;
            let left = ids.iter().zip(&became).filter_map(|(id, became)| {
                let why = match became {
                    Resent::Sent => return None,
                    Resent::Left(why) => (*why).to_owned(),
                    Resent::Failed(why) => why.clone(),
                };
                Some(Left { what: id.to_string(), why })
            });
            let left: Vec<Left> = left.collect();
            let done = u64::try_from(became.len() - left.len())?;
            Outcome { done, left: few(left), detail: None }
        }
        Act::Replay(span) => {
            let mut heard = |replayed: &replay::Replayed| tell(replayed.sent);
            let replayed = replay::replay(deployed, auditor, span, replay::RATE, meant, &mut heard).await?;
            if let Some(replay::Stopped { why: Some(why), at }) = replayed.stopped {
                anyhow::bail!("{} were sent, then it stopped: {why}. Go on from {at}.", replayed.sent);
            }
            Outcome { done: replayed.sent, ..Outcome::default() }
        }
    })
}

/// What became of a body that was not released, if so.
fn stays(one: &Released) -> Option<Left> {
    let why = match &one.fate {
        Fate::Released => return None,
        Fate::Left { why } => why.clone(),
        Fate::Gone => "somebody has released it meanwhile".to_owned(),
    };
    Some(Left { what: one.key.clone(), why })
}

fn few(left: impl IntoIterator<Item = Left>) -> Vec<Left> {
    left.into_iter().take(TOLD).collect()
}

fn by_reason<S: Into<String>>(reasons: BTreeMap<S, u64>) -> Vec<Left> {
    let told = reasons.into_iter().map(|(why, count)| Left { what: count.to_string(), why: why.into() });
    few(told)
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
            ("replay", "not JSON"),
        ] {
            assert_eq!(status(name, body), Some(400), "{name} {body}");
        }
        assert_eq!(status("delete", "{}"), Some(404));
    }
}
