//! Counts, as CloudWatch's embedded metric format: one JSON line on standard output, and no call
//! (CloudWatch user guide, "Embedded metric format specification").
//!
//! Every count has the dimension `FunctionName`, which is unique to a stack; some also have one more
//! with a bounded set of words, and are then there both with and without it. CloudWatch charges for each value by the month,
//! so a further dimension is there only for an alarm or a graph (a test holds it to that).

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all of the receiver's metrics.
pub const NAMESPACE: &str = "SmileReceiver";

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident $(by $dimension:ident)?, from $($function:ident)+;)*) => {
        /// Everything that is counted. Alarms and dashboard (`infra/template.yaml`) and the runbook
        /// (`infra/runbook.md`) are held to this table by a test.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $($(#[$doc])* $name,)*
        }

        impl Metric {
            /// The whole table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The metric's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The further dimension, if it has one.
            pub const fn dimension(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => metrics!(@dimension $($dimension)?),)*
                }
            }

            /// The functions that count it.
            pub const fn functions(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$(stringify!($function)),+],)*
                }
            }
        }
    };
    (@dimension) => { None };
    (@dimension $dimension:ident) => { Some(stringify!($dimension)) };
}

metrics! {
    /// Webhooks that SQS holds, by the event's type.
    Received by Type, from webhook;
    /// Requests from a source that is not in the allow list.
    RejectedSource, from webhook;
    /// Validly signed ones among them, refused or held.
    ValidSignatureFromUnlistedSource, from webhook;
    /// Requests from a listed source whose signature is missing, malformed or wrong.
    RejectedSignature, from webhook;
    /// Authentic webhooks that no message can carry.
    TooLarge, from webhook;
    /// Authentic webhooks that SQS did not take.
    QueueUnavailable, from webhook;
    /// Requests that could not be checked or answered, since there was no secret.
    SecretUnavailable, from webhook callback link;
    /// Callbacks that SQS holds, by name.
    CallbackReceived by Type, from callback;
    /// Requests of browsers, and items of their batches, that were refused, by reason.
    CallbackRefused by Reason, from callback;
    /// Requests of browsers of which SQS did not take everything.
    CallbackQueueUnavailable, from callback;
    /// Link tokens that were handed out, by kind: `new` user, `existing` one, or `refresh`.
    Linked by Kind, from link;
    /// Requests for link tokens that failed, by reason.
    LinkRefused by Reason, from link;
    /// Events that were stored for the first time.
    Stored, from consumer;
    /// Webhooks among them that changed no state, by reason.
    Unfolded by Reason, from consumer;
    /// Callbacks among them that changed no state, by reason. Apart from webhooks: a browser can cause it.
    CallbackUnfolded by Reason, from consumer;
    /// Events that were stored for the first time and of which a part could not be read, or has a shape that is not
    /// known.
    PartlyRead, from consumer;
    /// Events under whose id another body had come before. They are stored beside the first one. Nothing rings: nothing
    /// is lost, and a change of the registered payload can cause some.
    OtherBody, from consumer;
    /// Further tries of the vendor's, by sighting: `Second` or `Later`.
    RepeatedDelivery by Sighting, from consumer;
    /// Webhooks that cannot be filed, by reason: the webhook function counts those it can tell, the consumer
    /// those that are in quarantine.
    Quarantined by Reason, from webhook consumer;
    /// Callbacks in quarantine, by reason. Apart from webhooks: a browser can cause it.
    CallbackQuarantined by Reason, from consumer;
    /// Messages of browser sessions that have had their share, and that were not stored.
    CallbackOverLimit, from consumer;
    /// Accounts that a browser said to be connected and that no webhook had confirmed in time.
    UnconfirmedConnection, from consumer;
    /// Messages that were given back to the queue.
    Retried, from consumer;
    /// Events that the bus has.
    Published, from publish;
    /// Events that the bus did not take, and that go another way round.
    BusRefused, from publish;
    /// Pages that listen: WebSocket connections that were made.
    LiveConnected, from live;
    /// Connections that were refused, by reason; as `unavailable` also messages that could not be dealt with.
    LiveRefused by Reason, from live;
    /// Messages to pages that the gateway has taken.
    Pushed, from push;
    /// Messages that it has not taken: the event comes again.
    PushFailed, from push;
    /// Deployments after which something may be registered at Smile that should not be.
    RegistrationOrphaned, from register;
}

/// One thing that happened, to be counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The metric.
    pub metric: Metric,
    /// The value of its further dimension.
    pub by: Option<String>,
}

impl Count {
    /// A count without a further dimension.
    pub fn of(metric: Metric) -> Self {
        debug_assert!(metric.dimension().is_none(), "{metric:?}");
        Self { metric, by: None }
    }

    /// A count with the metric's further dimension. `value` must come from a bounded set.
    pub fn by(metric: Metric, value: impl Into<String>) -> Self {
        debug_assert!(metric.dimension().is_some(), "{metric:?}");
        Self { metric, by: Some(value.into()) }
    }

    /// The line for CloudWatch.
    pub fn line(&self, function: &str, now: Timestamp) -> String {
        let mut dimensions = vec![json!(["FunctionName"])];
        let mut line = Map::new();
        line.insert("FunctionName".to_owned(), json!(function));
        if let (Some(dimension), Some(value)) = (self.metric.dimension(), &self.by) {
            dimensions.push(json!(["FunctionName", dimension]));
            line.insert(dimension.to_owned(), json!(value));
        }
        line.insert(self.metric.name().to_owned(), json!(1));
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": dimensions,
                    "Metrics": [{ "Name": self.metric.name(), "Unit": "Count" }],
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
            read(Count::by(Metric::Received, "USER_CREATED")),
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
        let plain = read(Count::of(Metric::TooLarge));
        assert_eq!(plain["TooLarge"], 1);
        assert_eq!(plain["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["FunctionName"]]));
        assert!(!Count::of(Metric::TooLarge).line("webhook", now).contains('\n'));
    }
}
