//! How a reader follows a list and misses nothing, though events come late and out of order.
//!
//! Lists are ordered by `stored_at`, which is taken when an event's message is begun. Until the event can be seen
//! takes up to 25 seconds (the consumer's patience with a message), and some more until it is in the index. So an
//! event can appear *behind* one that has been read. [`SETTLED_AFTER`] bounds that: what was stored longer ago is
//! *settled*, nothing comes between any more.
//!
//! A reader goes from page to page by `next`, and has a [`Place`] of two parts: up to `at` it has read, up to
//! `settled` it has read what was settled by then.
//!
//! 1. A page that begins where its reader is settled moves `settled` on, to the last of what it gives that is
//!    settled when it is read. A page that begins further on leaves it where it is.
//! 2. At the end of the list `next` leads back to `settled`. What is newer comes again, with what has come between
//!    it; readers know events by their id.
//! 3. A reader that comes so late that its `at` is settled meanwhile is led back to its `settled`, too, so that
//!    it goes on at the pace of its pages.
//!
//! Why nothing is missed: of all that is or will be in the list up to `settled`, everything has been on a page. It
//! is so at the beginning, where that is nothing. It stays so, since `settled` moves only over a stretch that one
//! page covered without a gap, and only over events that were settled at a time before the page was read, when no
//! other could come there any more. And every event is passed by `settled` in the end, since it is settled after a
//! minute, and every page from then on moves over something. `tests/it/query/follow.rs` shows it on a table.

use std::cmp::max;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::id::MAX_ID_BYTES;
use shared::table::{order_of, order_of_day};

/// After this much time nothing comes before an event any more: the 25 seconds that a message may take, and as
/// much again and more for the index and for clocks that differ.
pub const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Where a reader is in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The order up to which it has read.
    #[serde(rename = "a")]
    at: String,
    /// The order up to which it has read what was settled, where that is another.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    settled: Option<String>,
}

/// A list, as far as following it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<'a> {
    /// The order that ends it, if it has an end.
    pub until: Option<&'a str>,
    /// Whether days are walked through one by one: then a day that is over is not walked through again.
    pub by_day: bool,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Where the reader goes on; nowhere, when nothing can come any more.
    pub place: Option<Place>,
    /// Whether there is something to read at once.
    pub more: bool,
}

impl Place {
    /// Before everything that was stored at this time or later.
    pub fn before(at: Timestamp) -> Self {
        Self { at: order_of(at), settled: None }
    }

    /// The order behind which reading goes on.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Whether it can be a place in a list: both orders begin with a time, and stand in their order.
    pub fn is_sound(&self) -> bool {
        let is_order = |order: &str| {
            let time = order.split('#').next().unwrap_or_default();
            // A time, then an id: the table refuses what is too long to be a key.
            order.len() <= time.len() + 1 + MAX_ID_BYTES
                && time.parse().is_ok_and(|at: Timestamp| order_of(at) == time)
        };
        is_order(&self.at)
            && self.settled.as_ref().is_none_or(|settled| is_order(settled) && *settled < self.at)
    }

    /// Where a page begins that is read now, for a reader that is here.
    #[must_use]
    pub fn resumed(self, now: Timestamp) -> Self {
        if self.at > horizon(now) {
            return self;
        }
        Self { at: self.settled.unwrap_or(self.at), settled: None }
    }

    /// Where the reader is after a page that began here, at `now`, gave events of these `orders`, and
    /// `reached` an order, or (`None`) the end.
    pub fn after<'a>(
        &self,
        orders: impl IntoIterator<Item = &'a str>,
        reached: Option<&'a str>,
        bounds: Bounds<'_>,
        now: Timestamp,
    ) -> Next {
        let settled = self.settled.clone().unwrap_or_else(|| self.settled_by(orders, reached, bounds, now));
        let back = |settled| Some(Self { at: settled, settled: None });
        let Some(reached) = reached else {
            let is_over = bounds.until.is_some_and(|until| until <= horizon(now).as_str());
            return match &self.settled {
                None if is_over => Next { place: None, more: false },
                // If it is over: something may have come behind this reader, and is all there by now.
                _ => Next { place: back(settled), more: is_over },
            };
        };
        let at = reached.to_owned();
        let settled = Some(settled).filter(|settled| *settled != at);
        Next { place: Some(Self { at, settled }), more: true }
    }

    /// Up to where a reader who was settled here is, after a page.
    fn settled_by<'a>(
        &self,
        orders: impl IntoIterator<Item = &'a str>,
        reached: Option<&'a str>,
        bounds: Bounds<'_>,
        now: Timestamp,
    ) -> String {
        let horizon = horizon(now);
        let passed = orders.into_iter().chain(reached).filter(|order| *order <= horizon.as_str());
        let last = max(passed.max().unwrap_or_default(), self.at.as_str()).to_owned();
        let midnight = order_of_day(TimeZone::UTC.to_datetime(settled_until(now)).date());
        let is_passed = bounds.by_day && reached.is_none_or(|reached| reached >= midnight.as_str());
        if is_passed { max(last, midnight) } else { last }
    }
}

/// Until when all is settled just now.
fn settled_until(now: Timestamp) -> Timestamp {
    now.saturating_sub(SETTLED_AFTER).unwrap_or(now)
}

/// The order of what is settled just now.
fn horizon(now: Timestamp) -> String {
    order_of(settled_until(now))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const OPEN: Bounds<'_> = Bounds { until: None, by_day: false };

    fn time(seconds: i64) -> Timestamp {
        "2026-03-01T23:58:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn order(seconds: i64, id: &str) -> String {
        format!("{}#{id}", order_of(time(seconds)))
    }

    #[test]
    fn the_end_leads_back_to_what_is_settled() {
        let start = Place::before(time(0));
        let (old, new) = (order(1, "old"), order(50, "new"));
        let next = start.after([old.as_str(), new.as_str()], None, OPEN, time(70));
        assert_eq!(next, Next { place: Some(Place { at: old.clone(), settled: None }), more: false });
        // Nothing new: nothing changes, so that the answer is the same, too.
        let again = next.place.clone().unwrap().after([new.as_str()], None, OPEN, time(80));
        assert_eq!(again, next);
        // A minute later it is settled.
        let later = next.place.unwrap().after([new.as_str()], None, OPEN, time(111));
        assert_eq!(later.place, Some(Place { at: new, settled: None }));
    }

    #[test]
    fn pages_go_on_beyond_what_is_settled_and_late_readers_go_back() {
        let (first, second) = (order(5, "a"), order(50, "b"));
        let next =
            Place::before(time(0)).after([first.as_str(), second.as_str()], Some(&second), OPEN, time(70));
        let place = Place { at: second.clone(), settled: Some(first.clone()) };
        assert_eq!(next, Next { place: Some(place.clone()), more: true });
        assert_eq!(place.clone().resumed(time(71)), place);
        assert_eq!(place.clone().resumed(time(111)), Place { at: first.clone(), settled: None });
        // Until then, `settled` stays.
        let third = order(60, "c");
        let on = place.after([third.as_str()], Some(&third), OPEN, time(75));
        assert_eq!(on.place, Some(Place { at: third, settled: Some(first) }));
    }

    #[test]
    fn a_list_with_an_end_ends_when_it_is_settled() {
        let until = order_of(time(100));
        let bounds = Bounds { until: Some(&until), by_day: true };
        let start = Place::before(time(0));
        assert!(!start.after([], None, bounds, time(130)).more);
        assert!(start.after([], None, bounds, time(130)).place.is_some());
        assert_eq!(start.after([], None, bounds, time(160)), Next { place: None, more: false });
        // Not for a reader that something may have come behind.
        let ahead = Place { at: order(90, "x"), settled: Some(order(20, "y")) };
        let back = Next { place: Some(Place { at: order(20, "y"), settled: None }), more: true };
        assert_eq!(ahead.after([], None, bounds, time(160)), back);
    }

    #[test]
    fn days_that_are_over_are_not_walked_through_again() {
        let bounds = Bounds { until: None, by_day: true };
        let start = Place::before(time(0));
        // Two minutes to midnight and three more, less the minute.
        let next = start.after([], None, bounds, time(181));
        assert_eq!(next.place.unwrap().at(), "2026-03-02T00:00:00.000000Z");
        assert_eq!(start.after([], None, bounds, time(179)).place.unwrap(), start);
        let reached = order(10, "x");
        let next = start.after([], Some(&reached), bounds, time(181));
        assert_eq!(next.place.unwrap(), Place { at: reached, settled: None });
    }

    #[test]
    fn only_orders_make_a_place() {
        let place =
            |at: &str, settled: Option<&str>| Place { at: at.into(), settled: settled.map(Into::into) };
        let (early, late) = (order(1, "a#b"), order(2, ""));
        assert!(place(&early, None).is_sound() && place(&late, Some(&early)).is_sound());
        assert!(Place::before(time(0)).is_sound());
        let long = |bytes| order(1, &"x".repeat(bytes));
        assert!(place(&long(256), None).is_sound() && !place(&long(257), None).is_sound());
        for wrong in
            ["", "STATE", "#", "2026-03-01", "2026-03-01T10:00:00Z#a", "2026-03-01T10:00:00.000000+00:00#a"]
        {
            assert!(!place(wrong, None).is_sound() && !place(&late, Some(wrong)).is_sound(), "{wrong}");
        }
        assert!(!place(&early, Some(&late)).is_sound() && !place(&early, Some(&early)).is_sound());
    }

    /// Seconds: when it is stored, and how much later it can be seen.
    fn writes() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0..300_i64, 0..=25_i64), 0..60)
    }

    proptest! {
        /// Whatever comes when, and however fast the reader is: it sees everything, within a bounded time.
        #[test]
        fn nothing_is_missed(
            writes in writes(),
            limit in 1..6_usize,
            waits in prop::collection::vec(0..90_i64, 1..40),
            by_day in any::<bool>(),
            until in prop::option::of(0..300_i64),
        ) {
            let events: BTreeSet<(String, i64)> = writes
                .iter()
                .enumerate()
                .map(|(id, (stored, late))| (order(*stored, &id.to_string()), stored + late))
                .collect();
            let end = until.map(|until| order_of(time(until)));
            let bounds = Bounds { until: end.as_deref(), by_day };
            let within = |order: &str| end.as_deref().is_none_or(|end| order < end);
            let (mut now, mut seen) = (0, BTreeSet::new());
            let mut place = Some(Place::before(time(0)));
            let mut reads = 0;
            for wait in waits.iter().cycle() {
                let Some(here) = place else { break };
                reads += 1;
                prop_assert!(reads < 1000, "the reader stays behind");
                now += wait;
                let here = here.resumed(time(now));
                prop_assert!(here.is_sound());
                let mut page: Vec<&str> = events
                    .iter()
                    .filter(|(order, visible)| *visible <= now && order.as_str() > here.at() && within(order))
                    .map(|(order, _)| order.as_str())
                    .collect();
                let cut = page.len() > limit;
                page.truncate(limit);
                let reached = cut.then(|| page[limit - 1]);
                seen.extend(page.iter().map(|order| (*order).to_owned()));
                let next = here.after(page.iter().copied(), reached, bounds, time(now));
                let done = now > 300 + 25 + 60 && !next.more;
                place = next.place;
                if done {
                    break;
                }
                if wait == &0 {
                    now += 1;
                }
            }
            let all: BTreeSet<String> =
                events.iter().map(|(order, _)| order.clone()).filter(|order| within(order)).collect();
            prop_assert_eq!(seen, all);
        }
    }
}
