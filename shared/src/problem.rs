//! What the HTTP functions answer when something is wrong: problem details (RFC 9457).
//!
//! The words are fixed: nothing of a request and nothing of an error inside is quoted. `code` is what a program
//! goes by; `detail` says what to do.

use serde::Serialize;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`: the status and the code say it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status's own phrase.
    pub title: &'static str,
    /// The status.
    pub status: u16,
    /// A stable word.
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub detail: String,
    /// Smile's id of its request, where Smile answered: what its support asks for.
    #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem with one of the statuses that are used here.
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            422 => "Unprocessable Content",
            429 => "Too Many Requests",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "Error",
        };
        Self { kind: "about:blank", title, status, code, detail: detail.into(), request_id: None }
    }

    /// The same, with Smile's id of its request.
    #[must_use]
    pub fn with_request_id(self, request_id: Option<String>) -> Self {
        Self { request_id, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_the_rfc() {
        let problem = Problem::new(404, "user_not_found", "There is no such user.");
        let json = serde_json::to_string(&problem.with_request_id(Some("r-1".to_owned()))).unwrap();
        assert_eq!(
            json,
            r#"{"type":"about:blank","title":"Not Found","status":404,"code":"user_not_found","detail":"There is no such user.","requestId":"r-1"}"#
        );
    }
}
