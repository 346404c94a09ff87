//! What is told of an act: before it begins, and when it has ended.

use std::collections::BTreeMap;

use serde::Serialize;

/// How many that are left are told one by one.
const TOLD: usize = 50;

/// What an act is about.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Counted {
    pub(super) count: u64,
    /// By type, where there are types.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) by: BTreeMap<String, u64>,
    pub(super) left: Left,
    /// What is to be known beside the numbers, in sentences.
    pub(super) notes: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Outcome {
    pub(super) done: u64,
    /// Whether it is all that was meant.
    pub(super) whole: bool,
    pub(super) left: Left,
    /// What is to be known beside the numbers, in sentences.
    pub(super) notes: Vec<String>,
}

impl Outcome {
    /// Says, too, whether it is written down how the act ended.
    pub(super) fn written(mut self, unwritten: Option<String>) -> Self {
        self.whole &= unwritten.is_none();
        self.notes.push(unwritten.unwrap_or_else(|| "It is in the audit.".to_owned()));
        self
    }
}

/// What stays as it is: how many, and the first of them or the reasons.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Left {
    pub(super) count: u64,
    told: Vec<One>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct One {
    /// Which one; none, when it is a reason, of so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    times: u64,
    why: String,
}

impl Left {
    /// So many, of which nothing more is known.
    pub(super) fn of(count: u64) -> Self {
        Self { count, told: Vec::new() }
    }

    /// The same, and these among them.
    pub(super) fn among(count: u64, some: impl IntoIterator<Item = (String, String)>) -> Self {
        let told = some.into_iter().take(TOLD).map(|(what, why)| One { what: Some(what), times: 1, why });
        Self { count, told: told.collect() }
    }

    /// One more, and why.
    pub(super) fn add(&mut self, what: String, why: String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(One { what: Some(what), times: 1, why });
        }
    }

    /// So many for each reason.
    pub(super) fn by_reason<S: Into<String>>(reasons: BTreeMap<S, u64>) -> Self {
        let count = reasons.values().sum();
        let told = reasons.into_iter().map(|(why, times)| One { what: None, times, why: why.into() });
        Self { count, told: told.take(TOLD).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_left_is_counted_and_some_of_it_told() {
        let mut left = Left::default();
        for at in 0..120 {
            left.add(at.to_string(), "too old".to_owned());
        }
        assert_eq!((left.count, left.told.len()), (120, TOLD));
        let left = Left::by_reason(BTreeMap::from([("no body is kept", 500), ("too large", 2)]));
        let told = serde_json::to_value(&left).unwrap();
        assert_eq!(told["count"], 502, "not one a reason: {told}");
        assert_eq!(told["told"][0], serde_json::json!({ "times": 500, "why": "no body is kept" }));
    }
}
