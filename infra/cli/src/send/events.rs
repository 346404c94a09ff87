//! From the options to the bodies that are sent.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::Value;
use shared::event::EventType;

use super::{Args, usage};
use crate::sample::{self, Ids};

/// One body on its way. Type and id are what it says of itself, for the report alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) user: Option<String>,
    pub(super) body: Vec<u8>,
    /// Whether it comes from a file, and not from a sample.
    pub(super) is_file: bool,
}

impl Outgoing {
    fn new(body: Vec<u8>, is_file: bool) -> Self {
        let event: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            kind: text(&event["type"]).unwrap_or_else(|| "-".to_owned()),
            id: text(&event["id"]).unwrap_or_else(|| "-".to_owned()),
            user: text(&event["data"]["userId"]).or_else(|| text(&event["data"]["session"]["userId"])),
            body,
            is_file,
        }
    }

    /// Where it stops being UTF-8, in bytes from its start, if it does.
    pub(super) fn not_utf8(&self) -> Option<usize> {
        std::str::from_utf8(&self.body).err().map(|error| error.valid_up_to())
    }
}

/// All bodies, in the order in which they are sent.
pub(super) fn collect(args: &Args, now: Timestamp, rng: &mut Rng) -> anyhow::Result<Vec<Outgoing>> {
    let sources =
        args.what.iter().map(|what| Source::of(what, args.any_type)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut bodies = Vec::new();
    for _ in 0..args.count.get() {
        let ids = ids(args, rng);
        if args.all {
            for event in sample::life(&ids, now, rng) {
                bodies.push(Outgoing::new(body(event, args, &ids, now, rng), false));
            }
        }
        for source in &sources {
            match source {
                Source::Sample(kind) => {
                    if args.payload_kb.is_some() && !sample::has_payload(kind) {
                        return usage(format!(
                            "--payload-kb has nothing to grow in {kind}: only TASK_FINISHED, ACCOUNT_SYNC_TASK_FINISHED and USER_SESSION_COMPLETED carry lists"
                        ));
                    }
                    let event = sample::event(kind, &ids, now, rng);
                    bodies.push(Outgoing::new(body(event, args, &ids, now, rng), false));
                }
                Source::Body(bytes) => bodies.push(Outgoing::new(bytes.clone(), true)),
            }
        }
    }
    let mut events: Vec<Outgoing> = Vec::with_capacity(bodies.len() * args.times.get());
    for event in bodies {
        events.extend(std::iter::repeat_n(event, args.times.get()));
    }
    if args.shuffle {
        rng.shuffle(&mut events);
    }
    Ok(events)
}

/// The user that all events are of, if they are of one.
pub(super) fn one_user(events: &[Outgoing]) -> Option<&str> {
    let mut users = events.iter().filter_map(|event| event.user.as_deref());
    let first = users.next()?;
    users.all(|user| user == first).then_some(first)
}

fn ids(args: &Args, rng: &mut Rng) -> Ids {
    let mut ids = match &args.user {
        Some(user) => Ids::of_user(user.clone(), rng),
        None => Ids::fresh(rng),
    };
    if let Some(account) = &args.account {
        ids.account.clone_from(account);
    }
    if let Some(archive) = &args.archive {
        ids.archive.clone_from(archive);
    }
    ids
}

fn body(mut event: Value, args: &Args, ids: &Ids, now: Timestamp, rng: &mut Rng) -> Vec<u8> {
    if let Some(kilobytes) = args.payload_kb {
        sample::grow(&mut event, kilobytes, ids, now, rng);
    }
    sample::body(&event).into_bytes()
}

/// What one argument means.
#[derive(Debug)]
enum Source {
    Sample(EventType),
    Body(Vec<u8>),
}

impl Source {
    fn of(what: &str, any_type: bool) -> anyhow::Result<Self> {
        if what == "-" {
            let mut body = Vec::new();
            std::io::stdin().lock().read_to_end(&mut body).context("standard input cannot be read")?;
            return Ok(Self::Body(body));
        }
        match sample::kind(what) {
            EventType::Unknown(_) if Path::new(what).is_file() => {
                std::fs::read(what).map(Self::Body).with_context(|| format!("{what} cannot be read"))
            }
            EventType::Unknown(word) if !any_type => usage(unknown(what, &word)),
            kind => Ok(Self::Sample(kind)),
        }
    }
}

/// Says that there is no such type, and which ones are near.
fn unknown(what: &str, word: &str) -> String {
    let mut near: Vec<(f64, &str)> = EventType::KNOWN
        .iter()
        .map(EventType::as_str)
        .map(|kind| {
            let contained = if kind.contains(word) && word.len() > 2 { 1.0 } else { 0.0 };
            (contained + strsim::jaro_winkler(kind, word), kind)
        })
        .filter(|(likeness, _)| *likeness > 0.85)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, kind)| kind).collect();
    let hint = match near.as_slice() {
        [] => String::new(),
        near => format!("did you mean {}? ", near.join(" or ")),
    };
    format!(
        "{what} is neither a file nor one of Smile's types: {hint}smile send --list shows them all, --any-type sends it as it is"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn collected(line: &str) -> anyhow::Result<Vec<Outgoing>> {
        let now = "2026-03-01T10:00:00Z".parse().unwrap();
        collect(&Args::from_line(line).unwrap(), now, &mut Rng::with_seed(1))
    }

    fn kinds(events: &[Outgoing]) -> Vec<&str> {
        events.iter().map(|event| event.kind.as_str()).collect()
    }

    #[test]
    fn given_ids_are_in_all_events() {
        let events =
            collected("account-created ARCHIVE_STARTED --user u1 --account a1 --archive r1").unwrap();
        assert_eq!(kinds(&events), ["ACCOUNT_CREATED", "ARCHIVE_STARTED"]);
        assert_eq!(one_user(&events), Some("u1"));
        let text = |index: usize| String::from_utf8_lossy(&events[index].body).into_owned();
        assert!(text(0).contains(r#""accountId":"a1""#) && text(1).contains(r#""archiveId":"r1""#));
    }

    #[test]
    fn times_repeats_bytes_and_count_makes_new_events() {
        let events = collected("USER_CREATED --times 2 --count 3").unwrap();
        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!((events.len(), ids.len()), (6, 3));
        assert_eq!(events[0], events[1]);
        assert_eq!(one_user(&events), None);
    }

    #[test]
    fn shuffling_changes_the_order_and_nothing_else() {
        let plain = collected("--all").unwrap();
        let shuffled = collected("--all --shuffle").unwrap();
        assert_ne!(kinds(&plain), kinds(&shuffled));
        let sorted =
            |events: &[Outgoing]| events.iter().map(|event| event.body.clone()).collect::<BTreeSet<_>>();
        assert_eq!(sorted(&plain), sorted(&shuffled));
    }

    #[test]
    fn a_file_goes_out_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("event.json");
        let body = b" {\"id\" : \"x\",\n\"type\":\"Y\"}\n\xff";
        std::fs::write(&file, body).unwrap();
        let events = collected(&file.display().to_string()).unwrap();
        assert_eq!(events[0].body, body);
        assert_eq!((events[0].kind.as_str(), events[0].id.as_str()), ("-", "-"));
        assert!(events[0].is_file && events[0].not_utf8() == Some(body.len() - 1));
    }

    #[test]
    fn an_unknown_type_is_told_with_near_ones() {
        let error = |line: &str| collected(line).unwrap_err().to_string();
        assert!(
            error("acount-conected").contains("did you mean ACCOUNT_CONNECTED"),
            "{}",
            error("acount-conected")
        );
        assert!(
            error("disconnected").contains("did you mean ACCOUNT_DISCONNECTED"),
            "{}",
            error("disconnected")
        );
        assert!(!error("zzz").contains("did you mean"), "{}", error("zzz"));
        assert_eq!(kinds(&collected("assets-added --any-type").unwrap()), ["ASSETS_ADDED"]);
        assert!(error("USER_CREATED --payload-kb 9").contains("nothing to grow"));
    }

    #[test]
    fn payloads_grow_where_there_are_lists() {
        let events = collected("--all --payload-kb 50").unwrap();
        let large = events.iter().filter(|event| event.body.len() > 45_000).count();
        assert!(large >= 4 && large < events.len() / 2, "{large}");
    }
}
