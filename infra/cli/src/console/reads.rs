//! What can be looked at: the read API, and what only operators see.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use query::Request;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::event::Subject;
use shared::id::{AccountId, ArchiveId, EventId, IdLength, RecordId, UserId, VerificationId};
use shared::job::Source;
use shared::table::{QUARANTINE_DAYS, QuarantineKey, Quarantined};

use super::Scene;
use super::looking::look;
use crate::clock;
use crate::loopback::Answer;
use crate::redrive::{DeadLetters, Wanted, Which};
use crate::ui::harmless;

/// How many events of a timeline are told, unless it is asked for more.
const TIMELINE: usize = 200;

/// The most that are told.
const LONGEST_TIMELINE: usize = 1000;

/// How many entries of the quarantine are read at once.
const PAGE: usize = 200;

/// The most entries of the quarantine that are told.
const MOST_QUARANTINED: usize = 2000;

/// The most of these that browsers caused: no flood of theirs hides a webhook.
const MOST_OF_BROWSERS: usize = 500;

/// How many days of acts are told, unless it is asked for more.
const AUDIT_DAYS: i64 = 14;

/// The most days.
const MOST_AUDIT_DAYS: i64 = 100;

/// Answers a path behind `/api/`.
pub(super) async fn answer(scene: &Arc<Scene>, path: &str, query: &str) -> Answer {
    if path.starts_with("v1/") {
        return of_the_api(scene, path, query).await;
    }
    let found = match path {
        "about" => about(scene).await,
        "find" => find(scene, query).await,
        "timeline" => timeline(scene, query).await,
        "event/body" => event_body(scene, query).await,
        "quarantine" => quarantine(scene).await,
        "quarantine/body" => quarantined_body(scene, query).await,
        "dead-letters" => dead_letters(scene, query).await,
        "audit" => audit(scene, query).await,
        _ => return Answer::nowhere(),
    };
    found.unwrap_or_else(|trouble| trouble.0)
}

/// Why something cannot be shown.
struct Trouble(Answer);

impl Trouble {
    fn asked(detail: &str) -> Self {
        Self(Answer::refusal(400, detail))
    }
}

/// Something at AWS: its own words say what is not allowed.
impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(Answer::refusal(503, &format!("{:#}", error.into())))
    }
}

type Found = Result<Answer, Trouble>;

async fn of_the_api(scene: &Scene, path: &str, query: &str) -> Answer {
    let answer = scene.query.handle(&Request::get(format!("/{path}"), query), clock::now()).await.answer();
    if answer.status_code == 503
        && let Err(cause) = scene.table.quarantine_page(day(clock::now()), None, 1).await
    {
        // The API does not tell strangers why; an operator must know what is missing.
        return Answer::refusal(503, &format!("The table cannot be read: {cause}"));
    }
    Answer::passed_on(answer.status_code, answer.body)
}

async fn about(scene: &Scene) -> Found {
    let deployed = &scene.deployed;
    // Whoever may not ask who they are can still look.
    let who = scene.auditor().await.ok().map(|auditor| auditor.who().to_owned());
    let region = deployed.sdk.region().map(ToString::to_string);
    Ok(Answer::json(
        200,
        &json!({
            "stack": deployed.name, "region": region, "isLocal": deployed.is_local(), "site": scene.site, "who": who,
            "queues": Which::ALL.iter().filter(|which| DeadLetters::of(deployed, **which).is_ok())
                .map(|which| which.word()).collect::<Vec<_>>(),
            "bus": deployed.optional("BusName"),
        }),
    ))
}

/// What the API's paths for one thing are called.
const THINGS: [&str; 7] = ["user", "account", "event", "archive", "invite", "record", "verification"];

/// Which things are known under an id.
async fn find(scene: &Scene, query: &str) -> Found {
    let id = parameter(query, "id").unwrap_or_default();
    let id = utf8_percent_encode(&id, NON_ALPHANUMERIC).to_string();
    let mut known = Vec::new();
    for thing in THINGS {
        let answer = of_the_api(scene, &format!("v1/{thing}s/{id}"), "").await;
        match answer.status {
            200 => known.push(thing),
            404 => {}
            _ => return Ok(answer),
        }
    }
    Ok(Answer::json(200, &json!({ "known": known })))
}

/// The newest events of one thing, oldest first, as `smile show` has them: a page of the API begins with the oldest.
async fn timeline(scene: &Scene, query: &str) -> Found {
    let id = parameter(query, "id").unwrap_or_default();
    let subject = subject(parameter(query, "of").as_deref(), &id).map_err(|wrong| Trouble::asked(&wrong))?;
    let limit = parameter(query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(TIMELINE);
    let limit = limit.clamp(1, LONGEST_TIMELINE);
    // One more tells whether there are more.
    let mut events = scene.table.events_of(&subject, None, limit + 1).await?;
    let more = events.len() > limit;
    if more {
        events.remove(0);
    }
    Ok(Answer::json(200, &json!({ "events": events, "more": more && limit < LONGEST_TIMELINE, "cut": more })))
}

fn subject(of: Option<&str>, id: &str) -> Result<Subject, String> {
    let subject = match of {
        Some("user") => UserId::new(id).map(Subject::User),
        Some("account") => AccountId::new(id).map(Subject::Account),
        Some("archive") => ArchiveId::new(id).map(Subject::Archive),
        Some("record") => RecordId::new(id).map(Subject::Record),
        Some("verification") => VerificationId::new(id).map(Subject::Verification),
        _ => return Err("of must be user, account, archive, record or verification".to_owned()),
    };
    subject.map_err(|error: IdLength| error.to_string())
}

/// Everything in quarantine, newest first: what was received long before it was put there lies under the day of
/// its receipt.
async fn quarantine(scene: &Scene) -> Found {
    let today = day(clock::now());
    let mut all: Vec<Quarantined> = Vec::new();
    let mut of_browsers = 0;
    // A day is read from its oldest on: of one that is too full, the newest are missing.
    for ago in 0..=2 * QUARANTINE_DAYS {
        let mut after = None;
        let mut of_day = Vec::new();
        loop {
            let of = today - SignedDuration::from_hours(24 * ago);
            let (found, reached) = scene.table.quarantine_page(of, after.as_deref(), PAGE).await?;
            of_day.extend(found.into_iter().filter(|item| {
                let is_browsers = item.source == Source::Callback.as_str();
                of_browsers += usize::from(is_browsers);
                !is_browsers || of_browsers <= MOST_OF_BROWSERS
            }));
            after = reached;
            if after.is_none() || all.len() + of_day.len() > MOST_QUARANTINED {
                break;
            }
        }
        all.extend(of_day.into_iter().rev());
        if all.len() > MOST_QUARANTINED {
            break;
        }
    }
    let more = all.len() > MOST_QUARANTINED || of_browsers > MOST_OF_BROWSERS;
    all.truncate(MOST_QUARANTINED);
    Ok(Answer::json(200, &json!({ "quarantined": all, "more": more })))
}

async fn quarantined_body(scene: &Scene, query: &str) -> Found {
    let key: QuarantineKey = parameter(query, "key")
        .unwrap_or_default()
        .parse()
        .map_err(|_| Trouble::asked("key must be a key of the quarantine"))?;
    let Some((_, body)) = scene.table.quarantined(&key).await? else {
        return Ok(Answer::refusal(404, "It does not lie in quarantine any more: somebody has released it."));
    };
    let Some(body) = body else {
        return Ok(Answer::refusal(
            409,
            "Its body is not complete: it may just be being written. Try again.",
        ));
    };
    Ok(Answer::json(200, &received(&body)))
}

async fn event_body(scene: &Scene, query: &str) -> Found {
    let id = parameter(query, "id").unwrap_or_default();
    let id = EventId::new(id).map_err(|error| Trouble::asked(&error.to_string()))?;
    let Some((_, body)) = scene.table.event(&id).await? else {
        return Ok(Answer::refusal(404, "No such event is stored."));
    };
    let Some(body) = body else {
        return Ok(Answer::refusal(
            409,
            "The body is not there: it was not kept, or it may just be being written or removed. Try again.",
        ));
    };
    Ok(Answer::json(200, &received(&body)))
}

/// A body as a text, to the letter: what reads JSON and writes it changes numbers, order, and members that are there
/// twice. In what is no JSON, bytes that are no text are told in hex.
fn received(body: &[u8]) -> Value {
    let json = serde_json::from_slice::<&RawValue>(body).ok();
    let text = json.map_or_else(|| harmless(body), |json| json.get().to_owned());
    json!({ "text": text, "isJson": json.is_some() })
}

async fn dead_letters(scene: &Arc<Scene>, query: &str) -> Found {
    let which = parameter(query, "queue").as_deref().and_then(which);
    let which = which.ok_or_else(|| Trouble::asked("queue must be webhook, callback or publish"))?;
    Ok(Answer::json(200, &look(scene, which, Wanted::default()).await?))
}

/// A queue by its word.
pub(super) fn which(word: &str) -> Option<Which> {
    Which::ALL.iter().copied().find(|which| which.word() == word)
}

async fn audit(scene: &Scene, query: &str) -> Found {
    let days = parameter(query, "days").and_then(|days| days.parse().ok()).unwrap_or(AUDIT_DAYS);
    let days = days.clamp(1, MOST_AUDIT_DAYS);
    let today = day(clock::now());
    let mut acts = Vec::new();
    for ago in 0..days {
        let of_day = scene.table.acts_on(today - SignedDuration::from_hours(24 * ago)).await?;
        acts.extend(of_day.into_iter().rev());
    }
    Ok(Answer::json(200, &json!({ "acts": acts, "days": days })))
}

fn day(at: Timestamp) -> jiff::civil::Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// A parameter of a query, as `encodeURIComponent` writes it.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}
