//! Lists, a page at a time: events of a user, events by day, and the quarantine.
//!
//! `walk` reads what a page needs; [`follow`](crate::follow) says where its reader goes on.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::event::Subject;
use shared::id::UserId;
use shared::job::Source;
use shared::table::{Filter, Quarantined, StoredEvent, Stretch, Table, order_of};
use utoipa::{IntoParams, ToSchema};

use crate::cursor;
use crate::follow::{Bounds, Next, Place, SETTLED_AFTER};
use crate::operation::USER;
use crate::parameters::Parameters;
use crate::refusal::Refusal;
use crate::things::checked;
use crate::walk::{days, timeline};

/// Nothing is kept for longer (`RetentionDays`), so that nothing is looked for before.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// Where a list of all events begins, unless it is asked for otherwise: a day ago.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// A page of events, in the order in which they were stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// Whose events these are; absent in the list of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The events, without their bodies.
    #[schema(max_items = 200)]
    pub events: Vec<StoredEvent>,
    /// What `after` is in the next request of this same list. Absent when nothing can come any more, in a list that
    /// has an end (`to`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether there is something to read at once, even if this page is empty. If not, ask again later: `next` then
    /// leads back by up to a minute, since events can still come before the last ones, and what was there comes
    /// again. Who keeps the ids of the last minutes and follows `next` gets every event.
    pub more: bool,
}

/// A page of what was received on one day and lies in quarantine, in the order of receipt.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantinePage {
    /// What lies there. Bodies are given to operators only.
    #[schema(max_items = 200)]
    pub quarantined: Vec<Quarantined>,
    /// What `after` is in the next request of this same list. Absent at the day's end. A day can still grow, and
    /// anywhere, since what failed for a while is put here late: to follow it, read it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether there is something to read at once.
    pub more: bool,
}

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct Page {
    /// Where to go on: what `next` was in an answer to the same path with the same parameters, but for `limit`.
    after: Option<String>,
    /// How many entries the page has at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
}

/// Whose events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct OfUser {
    /// The user's id. Opaque: it is compared byte for byte.
    #[param(min_length = 1, max_length = 256)]
    user: String,
}

/// Which events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct OfType {
    /// Of this type only, such as `ACCOUNT_CONNECTED`; also one that is not known yet.
    #[param(rename = "type", min_length = 1, max_length = 256)]
    kind: Option<String>,
}

/// From where.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct FromSource {
    /// From this source only.
    #[param(inline)]
    source: Option<SourceWord>,
}

/// Who said that an event happened: Smile's server, its API asked by us, or a user's browser.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) enum SourceWord {
    Webhook,
    Reconcile,
    Callback,
}

/// Stored when.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct Stored {
    /// Stored at this time or later. A day ago, when it is left out.
    from: Option<Timestamp>,
    /// Stored before this time. Without it the list has no end, and can be followed.
    to: Option<Timestamp>,
}

/// Received when.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's form of what `Parameters` reads")]
pub(crate) struct OnDay {
    /// The day of receipt (UTC). Today, when it is left out.
    day: Option<Date>,
}

/// What a timeline may be asked for with.
pub const OF_TIMELINE: &[&str] = &[USER, "after", "limit", "type", "source"];

/// The events of a user
///
/// Webhooks, what reconciliation found, and callbacks, in the order in which they were stored. A user of whom nothing
/// is known has none. Without `after` it begins with the oldest that is kept.
#[utoipa::path(get, path = "/v1/timeline", operation_id = "listUserEvents", tag = "Events",
    params(OfUser, Page, OfType, FromSource),
    responses((status = 200, description = "A page of the user's events.", body = EventPage)))]
pub async fn user_events(
    table: &Table,
    id: &str,
    parameters: &Parameters<'_>,
    now: Timestamp,
) -> Result<EventPage, Refusal> {
    let filter = Filter { kind: parameters.kind()?, source: parameters.source()? };
    let limit = parameters.limit()?;
    let list = name(&("user", id, &filter.kind, filter.source.map(Source::as_str)));
    let place =
        place(parameters, &list)?.unwrap_or_else(|| Place::before(Timestamp::UNIX_EPOCH)).resumed(now);
    let owner = Subject::User(checked(id, UserId::new)?);
    let stretch = timeline(table, owner, place.at(), &filter, limit).await?;
    let page = page(&list, &place, stretch, Bounds { until: None, by_day: false }, now);
    Ok(EventPage { user: Some(id.to_owned()), ..page })
}

/// What all events may be asked for with.
pub const OF_EVENTS: &[&str] = &["after", "limit", "type", "from", "to"];

/// All events
///
/// In the order in which they were stored. For a system that must know of everything: follow `next`. A page makes a
/// bounded number of reads; where there is nothing for weeks it can be empty and yet have `more`.
#[utoipa::path(get, path = "/v1/events", operation_id = "listEvents", tag = "Events",
    params(Page, OfType, Stored),
    responses((status = 200, description = "A page of events.", body = EventPage)))]
pub async fn events(
    table: &Table,
    parameters: &Parameters<'_>,
    now: Timestamp,
) -> Result<EventPage, Refusal> {
    let filter = Filter { kind: parameters.kind()?, source: None };
    let (limit, from, to) = (parameters.limit()?, parameters.time("from")?, parameters.time("to")?);
    let list = name(&("all", &filter.kind, from, to));
    let before = |time: Timestamp, span| time.saturating_sub(span).unwrap_or(time);
    let start = from.unwrap_or(before(now, RECENT)).max(before(now, KEPT));
    let place = place(parameters, &list)?.unwrap_or_else(|| Place::before(start)).resumed(now);
    let end = to.map(order_of);
    let until = order_of(to.map_or(ahead(now), |to| to.min(ahead(now))));
    let stretch = days(table, place.at(), &until, &filter, limit).await?;
    Ok(page(&list, &place, stretch, Bounds { until: end.as_deref(), by_day: true }, now))
}

/// What the quarantine may be asked for with.
pub const OF_QUARANTINE: &[&str] = &["after", "limit", "day"];

/// What lies in quarantine
///
/// Authentic bodies that cannot be filed as events, with the reason. Never the bodies themselves.
#[utoipa::path(get, path = "/v1/quarantine", operation_id = "listQuarantine", tag = "Quarantine",
    params(Page, OnDay),
    responses((status = 200, description = "A page of the quarantine.", body = QuarantinePage)))]
pub async fn quarantine(
    table: &Table,
    parameters: &Parameters<'_>,
    now: Timestamp,
) -> Result<QuarantinePage, Refusal> {
    /// Where a reader is: on a day, behind a key of it.
    #[derive(Serialize, Deserialize)]
    struct Key(Date, String);
    let (limit, asked) = (parameters.limit()?, parameters.day()?);
    let list = name(&("quarantine", asked));
    let key: Option<Key> = parameters.after(&list)?;
    // A list without a day stays with the one that it began on.
    let day = asked.or(key.as_ref().map(|key| key.0)).unwrap_or_else(|| day_of(now));
    let after = key.as_ref().map(|key| key.1.as_str());
    if after.is_some_and(|after| after.is_empty() || after.len() > 1024) {
        return Err(Refusal::Cursor);
    }
    let (quarantined, reached) = table.quarantine_page(day, after, limit).await?;
    let next = reached.map(|reached| cursor::encode(&list, &Key(day, reached)));
    Ok(QuarantinePage { quarantined, more: next.is_some(), next })
}

/// What tells a list from every other: cursors are held to it.
fn name(list: &impl Serialize) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

fn place(parameters: &Parameters<'_>, list: &str) -> Result<Option<Place>, Refusal> {
    let place: Option<Place> = parameters.after(list)?;
    place.map(|place| if place.is_sound() { Ok(place) } else { Err(Refusal::Cursor) }).transpose()
}

fn page(list: &str, place: &Place, stretch: Stretch, bounds: Bounds<'_>, now: Timestamp) -> EventPage {
    let orders: Vec<String> = stretch.events.iter().map(StoredEvent::order).collect();
    let orders = orders.iter().map(String::as_str);
    let Next { place, more } = place.after(orders, stretch.reached.as_deref(), bounds, now);
    EventPage {
        user: None,
        events: stretch.events,
        next: place.map(|place| cursor::encode(list, &place)),
        more,
    }
}

/// The time before which everything was stored that can be seen by now, by whatever clock.
fn ahead(now: Timestamp) -> Timestamp {
    now.saturating_add(SETTLED_AFTER).unwrap_or(now)
}

fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}
