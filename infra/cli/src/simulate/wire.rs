//! What goes over the wire: requests as they came, answers in Smile's envelope, and how texts are encoded.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// A request, as far as an operation needs it.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) authorization: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Whether the body says that it is JSON. A browser's page on another site cannot say that unasked.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.content_type.as_deref().unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    }
}

/// The parameters of a query; the first of a name counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let decoded = |text: &str| decoded(&text.replace('+', " "));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The value, where an empty one counts as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }
}

/// Without its percent signs.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    /// Seconds. Smile's specification has no such header; only a failure that asks for it sends one.
    pub(super) retry_after: Option<u32>,
}

impl Answer {
    /// Success. Smile's examples say `OK` for 201, too.
    pub(super) fn success(status: u16, data: Option<Value>, request_id: &str) -> Self {
        let mut body = json!({ "code": "OK", "message": "Success", "requestId": request_id });
        if let Some(data) = data {
            body["data"] = data;
        }
        Self { status, body, retry_after: None }
    }

    /// A refusal. Smile's errors have a `data` that may be left out, and is.
    pub(super) fn refusal(refusal: &Refusal, request_id: &str) -> Self {
        let body =
            json!({ "code": code(refusal.status), "message": refusal.message, "requestId": request_id });
        Self { status: refusal.status, body, retry_after: None }
    }
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Something in the request is not as it must be.
    pub(super) fn parameters(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn missing(what: &str) -> Self {
        Self::new(404, format!("There is no such {what}"))
    }
}

/// Smile's word for a status. The specification has both lists, but does not say which goes with which.
pub(super) fn code(status: u16) -> &'static str {
    match status {
        200 | 201 => "OK",
        401 => "INVALID_CREDENTIALS",
        403 => "UNAUTHORIZED_ACCESS",
        404 => "MISSING_RESOURCE",
        429 => "REQUEST_LIMIT_EXCEEDED",
        501 => "UNSUPPORTED_METHOD",
        503 => "SERVER_UNAVAILABLE",
        504 => "TIME_LIMIT_EXCEEDED",
        500..=599 => "SERVER_ERROR",
        _ => "INVALID_PARAMETERS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_query() {
        let query = Query::parse("userId=u%26+1&size=&cursor&userId=other");
        assert_eq!((query.get("userId"), query.get("size"), query.get("cursor")), (Some("u& 1"), None, None));
    }
}
