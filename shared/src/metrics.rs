//! Counts, as CloudWatch's embedded metric format: one JSON line on standard output, and no call
//! (CloudWatch user guide, "Embedded metric format specification").
//!
//! Every count has the dimension `FunctionName`, which is unique to a stack; some also have one more
//! with a bounded set of words, and are then there both with and without it.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all of the receiver's metrics.
pub const NAMESPACE: &str = "SmileReceiver";

/// One thing that happened, to be counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The metric.
    pub name: &'static str,
    /// A further dimension and its value.
    pub by: Option<(&'static str, String)>,
}

impl Count {
    /// A count without a further dimension.
    pub fn of(name: &'static str) -> Self {
        Self { name, by: None }
    }

    /// A count with a further dimension. `value` must come from a bounded set.
    pub fn by(name: &'static str, dimension: &'static str, value: impl Into<String>) -> Self {
        Self { name, by: Some((dimension, value.into())) }
    }

    /// The line for CloudWatch.
    pub fn line(&self, function: &str, now: Timestamp) -> String {
        let mut dimensions = vec![json!(["FunctionName"])];
        let mut line = Map::new();
        line.insert("FunctionName".to_owned(), json!(function));
        if let Some((dimension, value)) = &self.by {
            dimensions.push(json!(["FunctionName", dimension]));
            line.insert((*dimension).to_owned(), json!(value));
        }
        line.insert(self.name.to_owned(), json!(1));
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": dimensions,
                    "Metrics": [{ "Name": self.name, "Unit": "Count" }],
                }],
            }),
        );
        Value::Object(line).to_string()
    }

    /// Writes the line. A log that cannot be written must not stop an event.
    pub fn write(&self, function: &str, now: Timestamp) {
        let _ = writeln!(std::io::stdout(), "{}", self.line(function, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_cloudwatch_reads() {
        let now = "2026-03-01T10:00:00Z".parse().unwrap();
        let read = |count: Count| serde_json::from_str::<Value>(&count.line("webhook", now)).unwrap();
        assert_eq!(
            read(Count::by("Received", "Type", "USER_CREATED")),
            json!({
                "FunctionName": "webhook",
                "Type": "USER_CREATED",
                "Received": 1,
                "_aws": {
                    "Timestamp": 1_772_359_200_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "SmileReceiver",
                        "Dimensions": [["FunctionName"], ["FunctionName", "Type"]],
                        "Metrics": [{ "Name": "Received", "Unit": "Count" }],
                    }],
                },
            })
        );
        let plain = read(Count::of("TooLarge"));
        assert_eq!(plain["TooLarge"], 1);
        assert_eq!(plain["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["FunctionName"]]));
        assert!(!Count::of("TooLarge").line("webhook", now).contains('\n'));
    }
}
