//! What is answered, and what is counted: one function from outcome to status, one to counts.

use serde::Serialize;
use shared::event::EventType;
use shared::id::EventId;
use shared::metrics::{Count, Metric};
use shared::refusal::Refusal;
use shared::verify::Refused;

use crate::request::Form;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// SQS holds it, and it is an event.
    Queued {
        /// The event's id.
        id: EventId,
        /// The event's type.
        kind: EventType,
        /// From an unlisted source: stored apart until an operator releases it.
        held: bool,
    },
    /// SQS holds it, and the consumer will quarantine it: no event can be read in it.
    Quarantined {
        /// Why, as a stable word.
        reason: &'static str,
        /// From an unlisted source.
        held: bool,
    },
    /// Not from the vendor's network, or from nowhere that the gateway knows.
    RejectedSource {
        /// Signed like the vendor all the same.
        valid_signature: bool,
    },
    /// Not signed by the vendor.
    RejectedSignature(Refused),
    /// Authentic, but more than a message can carry.
    TooLarge,
    /// SQS was not reached, or refused.
    QueueUnavailable,
    /// There is no secret to check with, or no telling whether there is a newer one.
    SecretUnavailable,
}

/// What API Gateway and function URLs take for an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The status.
    pub status_code: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, JSON.
    pub body: String,
    is_base64_encoded: bool,
    /// Where the form has it, some readers of that form insist on it; to a REST API it would be a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[&'static str; 0]>,
}

/// The headers of every answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Headers {
    content_type: &'static str,
    cache_control: &'static str,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<&'static str>,
}

impl Outcome {
    /// The status for each outcome: the one place that decides it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Queued { .. } | Self::Quarantined { .. } => 200,
            Self::RejectedSignature(_) => Refusal::SIGNATURE.status,
            Self::RejectedSource { .. } => Refusal::SOURCE.status,
            Self::TooLarge => 413,
            Self::QueueUnavailable | Self::SecretUnavailable => 503,
        }
    }

    /// The answer. Its body is fixed, but for the event's id.
    pub fn answer(&self, form: Form) -> Answer {
        let body = match self {
            Self::Queued { id, .. } => {
                format!(r#"{{"status":"queued","id":{}}}"#, serde_json::Value::from(id.as_str()))
            }
            Self::Quarantined { .. } => r#"{"status":"quarantined"}"#.to_owned(),
            Self::RejectedSource { .. } => Refusal::SOURCE.body.to_owned(),
            Self::RejectedSignature(_) => Refusal::SIGNATURE.body.to_owned(),
            Self::TooLarge => r#"{"error":"body too large"}"#.to_owned(),
            Self::QueueUnavailable | Self::SecretUnavailable => {
                r#"{"error":"temporarily unavailable, try again"}"#.to_owned()
            }
        };
        let status_code = self.status();
        // Smile waits "a few dozen seconds" by itself; this is for whoever stands in between.
        let retry_after = (status_code == 503).then_some("30");
        let headers = Headers { content_type: "application/json", cache_control: "no-store", retry_after };
        let cookies = (form == Form::V2).then_some([]);
        Answer { status_code, headers, body, is_base64_encoded: false, cookies }
    }

    /// What is counted.
    pub fn counts(&self) -> Vec<Count> {
        let mut counts = match self {
            Self::Queued { kind, .. } => vec![Count::by(Metric::Received, kind.metric_word())],
            Self::Quarantined { reason, .. } => vec![Count::by(Metric::Quarantined, *reason)],
            Self::RejectedSource { .. } => Vec::new(),
            Self::RejectedSignature(_) => vec![Count::of(Metric::RejectedSignature)],
            Self::TooLarge => vec![Count::of(Metric::TooLarge)],
            Self::QueueUnavailable => vec![Count::of(Metric::QueueUnavailable)],
            Self::SecretUnavailable => vec![Count::of(Metric::SecretUnavailable)],
        };
        let (unlisted, valid) = match self {
            Self::RejectedSource { valid_signature } => (true, *valid_signature),
            Self::Queued { held, .. } | Self::Quarantined { held, .. } => (*held, *held),
            _ => (false, false),
        };
        counts.extend(unlisted.then(|| Count::of(Metric::RejectedSource)));
        counts.extend(valid.then(|| Count::of(Metric::ValidSignatureFromUnlistedSource)));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_status_body_and_counts() {
        let queued = |held| Outcome::Queued {
            id: EventId::new("et-\"1").unwrap(),
            kind: EventType::UserCreated,
            held,
        };
        for (outcome, status, body, counts) in [
            (queued(false), 200, r#"{"status":"queued","id":"et-\"1"}"#, "Received/USER_CREATED"),
            (
                queued(true),
                200,
                r#"{"status":"queued","id":"et-\"1"}"#,
                "Received/USER_CREATED RejectedSource ValidSignatureFromUnlistedSource",
            ),
            (
                Outcome::Quarantined { reason: "no_id", held: false },
                200,
                r#"{"status":"quarantined"}"#,
                "Quarantined/no_id",
            ),
            (
                Outcome::RejectedSource { valid_signature: false },
                403,
                r#"{"error":"source not allowed"}"#,
                "RejectedSource",
            ),
            (
                Outcome::RejectedSource { valid_signature: true },
                403,
                r#"{"error":"source not allowed"}"#,
                "RejectedSource ValidSignatureFromUnlistedSource",
            ),
            (
                Outcome::RejectedSignature(Refused::Missing),
                401,
                r#"{"error":"signature missing or wrong"}"#,
                "RejectedSignature",
            ),
            (Outcome::TooLarge, 413, r#"{"error":"body too large"}"#, "TooLarge"),
            (
                Outcome::QueueUnavailable,
                503,
                r#"{"error":"temporarily unavailable, try again"}"#,
                "QueueUnavailable",
            ),
            (
                Outcome::SecretUnavailable,
                503,
                r#"{"error":"temporarily unavailable, try again"}"#,
                "SecretUnavailable",
            ),
        ] {
            let answer = outcome.answer(Form::V2);
            assert_eq!((answer.status_code, answer.body.as_str()), (status, body), "{outcome:?}");
            assert_eq!(answer.headers.retry_after.is_some(), status == 503, "{outcome:?}");
            let told: Vec<String> = outcome
                .counts()
                .iter()
                .map(|count| match &count.by {
                    Some(value) => format!("{}/{value}", count.metric.name()),
                    None => count.metric.name().to_owned(),
                })
                .collect();
            assert_eq!(told.join(" "), counts, "{outcome:?}");
        }
    }

    #[test]
    fn an_answer_has_the_form_that_the_gateway_takes() {
        let answer = |form| serde_json::to_string(&Outcome::QueueUnavailable.answer(form)).unwrap();
        insta::assert_snapshot!(
            answer(Form::V1),
            @r#"{"statusCode":503,"headers":{"content-type":"application/json","cache-control":"no-store","retry-after":"30"},"body":"{\"error\":\"temporarily unavailable, try again\"}","isBase64Encoded":false}"#
        );
        insta::assert_snapshot!(
            answer(Form::V2),
            @r#"{"statusCode":503,"headers":{"content-type":"application/json","cache-control":"no-store","retry-after":"30"},"body":"{\"error\":\"temporarily unavailable, try again\"}","isBase64Encoded":false,"cookies":[]}"#
        );
    }
}
