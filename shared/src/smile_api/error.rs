//! Why a call failed: what was called, how often, and what Smile or the network said. Never a body.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A call that failed, after all its tries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {fault} (tried {}{})", times(*.tries), if self.may_have_happened() { "; whether it took effect is not known" } else { "" })]
pub struct Error {
    /// The call, such as `POST /webhooks`.
    pub call: &'static str,
    /// How often it was tried.
    pub tries: u32,
    /// What went wrong at the last try.
    pub fault: Fault,
    /// Whether it creates something, so that an unclear outcome matters.
    pub(super) creates: bool,
}

/// What went wrong with one try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Smile answered, and not with success.
    #[error("Smile answered {status}{}{}", spaced(.code.as_ref()), request(.request_id.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The vendor's own code.
        code: Option<Code>,
        /// What Smile's support asks for.
        request_id: Option<String>,
        /// How long to wait, where Smile says so.
        retry_after: Option<Duration>,
    },
    /// Smile answered with success, but what it said cannot be understood.
    #[error("Smile's answer {status} cannot be read at {place}{}", request(.request_id.as_deref()))]
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// What Smile's support asks for.
        request_id: Option<String>,
        /// Where it went wrong: a line and column, or what is missing.
        place: String,
    },
    /// No connection, so that nothing was asked.
    #[error("no connection to Smile: {0}")]
    Unreachable(&'static str),
    /// A connection, but no whole answer: it may have been done nevertheless.
    #[error("no answer from Smile: {0}")]
    Lost(&'static str),
}

/// The vendor's word for what came of a call (Smile, `ObjectMetadataRefCode`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each variant is the vendor's word of the same name")]
pub enum Code {
    Ok,
    Created,
    InvalidCredentials,
    InvalidParameters,
    InvalidToken,
    UnauthorizedAccess,
    MissingResource,
    RequestLimitExceeded,
    ServerError,
    UnsupportedMethod,
    ServerUnavailable,
    TimeLimitExceeded,
    #[serde(untagged)]
    Unknown(String),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Error {
    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self.fault {
            Fault::Refused { status, .. } | Fault::Unreadable { status, .. } => Some(status),
            Fault::Unreachable(_) | Fault::Lost(_) => None,
        }
    }

    /// The vendor's code, if there was one.
    pub fn code(&self) -> Option<&Code> {
        match &self.fault {
            Fault::Refused { code, .. } => code.as_ref(),
            _ => None,
        }
    }

    /// What Smile's support asks for, if Smile said it.
    pub fn request_id(&self) -> Option<&str> {
        match &self.fault {
            Fault::Refused { request_id, .. } | Fault::Unreadable { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    /// Whether Smile has no such thing.
    pub fn is_missing(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the same call may succeed later: for a caller that has time and a queue.
    pub fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    /// Whether something may have been created although this is an error. Then look before trying again.
    pub fn may_have_happened(&self) -> bool {
        self.creates && self.fault.may_have_happened()
    }
}

impl Fault {
    /// Whether another try can go better. 501 says that it never will.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 429 || (*status >= 500 && *status != 501),
            Self::Unreadable { .. } => false,
            Self::Unreachable(_) | Self::Lost(_) => true,
        }
    }

    /// Whether the call may have taken effect. A status below 500 is a refusal, and so is 501; behind
    /// any other 5xx anything may have gone on.
    pub(super) fn may_have_happened(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 && *status != 501,
            Self::Unreadable { .. } | Self::Lost(_) => true,
            Self::Unreachable(_) => false,
        }
    }
}

fn times(tries: u32) -> String {
    if tries == 1 { "once".to_owned() } else { format!("{tries} times") }
}

fn spaced(code: Option<&Code>) -> String {
    code.map(|code| format!(" {code}")).unwrap_or_default()
}

fn request(id: Option<&str>) -> String {
    id.map(|id| format!(", request {id}")).unwrap_or_default()
}

/// Settings that no client can be made of. Never quotes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not a URL that credentials may be sent to.
    #[error("the API's base URL must begin with https://, or with http:// and a loopback address")]
    BaseUrl,
    /// Not a proxy.
    #[error("the proxy is not a URL that can be used")]
    Proxy,
    /// Not the document of credentials.
    #[error("the API credentials must be a JSON object with \"key\" and \"secret\", and no colon in the key")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_a_round_trip() {
        for word in ["OK", "REQUEST_LIMIT_EXCEEDED", "TIME_LIMIT_EXCEEDED", "A_NEW_ONE"] {
            let code: Code = serde_json::from_value(word.into()).unwrap();
            assert_eq!(matches!(code, Code::Unknown(_)), word == "A_NEW_ONE");
            assert_eq!(code.to_string(), word);
        }
    }

    #[test]
    fn says_what_was_called_how_often_and_what_came() {
        let refused = |status, creates| Error {
            call: "POST /webhooks",
            tries: 2,
            fault: Fault::Refused {
                status,
                code: Some(Code::ServerError),
                request_id: Some("r-1".into()),
                retry_after: None,
            },
            creates,
        };
        assert_eq!(
            refused(500, true).to_string(),
            "POST /webhooks: Smile answered 500 SERVER_ERROR, request r-1 (tried 2 times; whether it took effect is not known)"
        );
        assert!(!refused(500, false).may_have_happened());
        assert!(!refused(429, true).may_have_happened() && refused(429, true).is_transient());
        assert!(!refused(501, true).is_transient() && !refused(400, true).is_transient());
    }
}
