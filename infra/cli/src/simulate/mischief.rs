//! What can go wrong on purpose: with the events that are sent, and with the calls that are answered.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::operation::Operation;

/// What is done to events on their way, until it is set anew.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Mischief {
    /// How likely an event is not sent at all: 0 never, 1 always. Rolled for each webhook.
    pub drop: f64,
    /// How often each event is sent again, as other deliveries of the same bytes.
    pub repeat: u32,
    /// Whether what happens at one moment is sent in any order. With `delay_ms`, each delivery waits for
    /// any time up to it, so that moments mix, too.
    pub reorder: bool,
    /// How long a delivery waits before its first try, in milliseconds.
    pub delay_ms: u64,
    /// How large payloads are made, where a type has one: about so many KB. Above 150 KB Smile would cut
    /// them.
    pub grow_kb: Option<usize>,
}

/// What happens to calls of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Failing {
    /// Only to calls of this operation.
    pub operation: Option<Operation>,
    /// So many of these calls go well first.
    pub after: u32,
    /// So many fail.
    pub times: u32,
    /// With this status; none closes the connection without an answer.
    pub status: Option<u16>,
    /// Whether the call takes effect nevertheless.
    pub effect: bool,
    /// Seconds for a `Retry-After`.
    pub retry_after: Option<u32>,
}

impl Default for Failing {
    /// The next call fails with 500 and does nothing.
    fn default() -> Self {
        Self { operation: None, after: 0, times: 1, status: Some(500), effect: false, retry_after: None }
    }
}

impl Failing {
    /// The next calls of an operation fail with a status and do nothing.
    pub fn next(operation: Operation, times: u32, status: u16) -> Self {
        Self { operation: Some(operation), times, status: Some(status), ..Self::default() }
    }

    /// The call after so many good ones fails, whatever it is: for tests that fail every call in turn.
    pub fn nth(after: u32, status: u16) -> Self {
        Self { after, status: Some(status), ..Self::default() }
    }

    /// The call takes effect all the same, and only the answer is lost.
    #[must_use]
    pub fn with_effect(self) -> Self {
        Self { effect: true, ..self }
    }

    /// The connection is closed without an answer.
    #[must_use]
    pub fn by_hanging_up(self) -> Self {
        Self { status: None, ..self }
    }
}

/// The failures that were asked for, in their order.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<Failing>);

impl Failures {
    pub(super) fn add(&mut self, failing: Failing) {
        self.0.push(failing);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn list(&self) -> &[Failing] {
        &self.0
    }

    /// Counts a call, and gives the failure that it meets.
    pub(super) fn meet(&mut self, operation: Operation) -> Option<Failing> {
        let mut met = None;
        for failing in &mut self.0 {
            if failing.operation.is_some_and(|only| only != operation) {
                continue;
            }
            if failing.after > 0 {
                failing.after -= 1;
            } else if met.is_none() && failing.times > 0 {
                failing.times -= 1;
                met = Some(failing.clone());
            }
        }
        self.0.retain(|failing| failing.times > 0);
        met
    }
}

/// Calls of the last second, by address. Smile takes so many and no more.
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<IpAddr, VecDeque<Duration>>);

impl Limits {
    /// Whether one more call from there is within the limit. A refused one does not count.
    pub(super) fn takes(&mut self, from: IpAddr, a_second: usize, now: Duration) -> bool {
        let calls = self.0.entry(from).or_default();
        while calls.front().is_some_and(|at| *at + Duration::from_secs(1) <= now) {
            calls.pop_front();
        }
        let is_within = calls.len() < a_second;
        if is_within {
            calls.push_back(now);
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_met_in_turn() {
        let mut failures = Failures::default();
        failures.add(Failing::nth(2, 503));
        failures.add(Failing::next(Operation::CreateWebhook, 2, 500));
        let mut meet = |operation| failures.meet(operation).and_then(|failing| failing.status);
        assert_eq!(meet(Operation::ListWebhooks), None);
        assert_eq!(meet(Operation::CreateWebhook), Some(500));
        assert_eq!(meet(Operation::CreateWebhook), Some(503), "the earlier one comes first");
        assert_eq!(meet(Operation::CreateWebhook), Some(500));
        assert_eq!(meet(Operation::CreateWebhook), None);
        assert!(failures.list().is_empty());
    }

    #[test]
    fn twenty_a_second_and_address() {
        let mut limits = Limits::default();
        let (one, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let mut takes = |from, millis| limits.takes(from, 20, Duration::from_millis(millis));
        assert!((0..20).all(|number| takes(one, number * 10)));
        assert!(!takes(one, 999), "the 21st within a second");
        assert!(takes(other, 999));
        assert!(takes(one, 1000), "the first is a second ago");
        assert!(!takes(one, 1009));
    }
}
