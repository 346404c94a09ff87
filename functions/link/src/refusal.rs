//! Why there is no link, and what the caller is told: problem details (RFC 9457) with a `code` that programs
//! can go by, in fixed words. Smile's own words are not among them.
//!
//! A user that Smile may have created although its answer was lost cannot be found again: a new user has
//! nothing to find it by. So [`Refusal::SmileUnclear`] and [`Refusal::SmileTimeout`] say that trying again
//! may create a second one, which is an empty user and does no harm.

use std::time::Duration;

use serde::Serialize;
use shared::problem::Problem;
use shared::smile_api::{Error, Fault};

use crate::request::{MAX_BODY_BYTES, pointer};

/// How long to wait where Smile does not say, in seconds.
const WAIT: u64 = 5;

/// The longest wait that is passed on, in seconds.
const LONGEST_WAIT: u64 = 3600;

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is there.
    NoRoute,
    /// The request is not one that can be understood.
    BadRequest(Vec<Wrong>),
    /// The body is too long to be looked at.
    TooLarge,
    /// Smile has no such user.
    UserNotFound(Smile),
    /// Smile takes no more calls for now.
    SmileRateLimited(Smile),
    /// Smile does not want these credentials, or says something that is not understood.
    SmileRefused(Smile),
    /// Whether Smile has created a user is not known.
    SmileUnclear(Smile),
    /// Smile is not there, or fails.
    SmileUnavailable(Smile),
    /// Smile did not answer in time. With `true`, it may have created a user.
    SmileTimeout(Smile, bool),
    /// There is no secret to sign a session with, or none for Smile's API.
    NoSecret,
}

/// What Smile said, as far as it is passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smile {
    /// What Smile's support asks for.
    pub request_id: Option<String>,
    /// How long to wait, in seconds.
    pub retry_after: Option<u64>,
}

/// What is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// A place in the body, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// A part of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'static str>,
    detail: String,
}

impl Wrong {
    /// Something in the body: a member, or the whole of it, which has no name.
    pub(crate) fn in_body(member: &str, detail: String) -> Self {
        Self { pointer: Some(pointer(member)), parameter: None, detail }
    }

    /// A part of the path.
    pub(crate) fn in_path(parameter: &'static str, detail: String) -> Self {
        Self { pointer: None, parameter: Some(parameter), detail }
    }
}

/// What was asked of Smile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A new user.
    CreateUser,
    /// A token for a user. To make two of them does no harm.
    CreateToken,
}

impl Refusal {
    /// What an error of Smile's API means to the caller.
    pub(crate) fn of(error: &Error, call: Call) -> Self {
        let wait =
            |time: Duration| (time.as_secs() + u64::from(time.subsec_nanos() > 0)).clamp(1, LONGEST_WAIT);
        let smile = Smile {
            request_id: error.request_id().map(str::to_owned),
            retry_after: match error.fault {
                Fault::Refused { retry_after, .. } => retry_after.map(wait),
                _ => None,
            },
        };
        let may_be_created = call == Call::CreateUser && error.may_have_happened();
        match (&error.fault, call) {
            (Fault::Refused { status: 404, .. }, Call::CreateToken) => Self::UserNotFound(smile),
            // All that a token is asked for with is the user.
            (Fault::Refused { status: 400, .. }, Call::CreateToken) => {
                Self::BadRequest(vec![Wrong::in_body("userId", "Smile does not take it".to_owned())])
            }
            (Fault::Refused { status: 429, .. }, _) => Self::SmileRateLimited(smile),
            (Fault::Refused { status: 408 | 504, .. } | Fault::Lost("not within the time"), _) => {
                Self::SmileTimeout(smile, may_be_created)
            }
            _ if may_be_created => Self::SmileUnclear(smile),
            _ if error.is_transient() => Self::SmileUnavailable(smile),
            _ => Self::SmileRefused(smile),
        }
    }

    /// The code that programs go by, and the value that it is counted under.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoute => "not_found",
            Self::BadRequest(_) => "bad_request",
            Self::TooLarge => "too_large",
            Self::UserNotFound(_) => "user_not_found",
            Self::SmileRateLimited(_) => "smile_rate_limited",
            Self::SmileRefused(_) => "smile_refused",
            Self::SmileUnclear(_) => "smile_unclear",
            Self::SmileUnavailable(_) => "smile_unavailable",
            Self::SmileTimeout(..) => "smile_timeout",
            Self::NoSecret => "unavailable",
        }
    }

    /// The status for each refusal: the one place that decides it.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NoRoute | Self::UserNotFound(_) => 404,
            Self::TooLarge => 413,
            Self::SmileRateLimited(_) => 429,
            Self::SmileRefused(_) | Self::SmileUnclear(_) => 502,
            Self::SmileUnavailable(_) | Self::NoSecret => 503,
            Self::SmileTimeout(..) => 504,
        }
    }

    /// When to try again, in seconds, where that is known to help.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::SmileRateLimited(smile) | Self::SmileUnavailable(smile) => {
                Some(smile.retry_after.unwrap_or(WAIT))
            }
            Self::NoSecret => Some(WAIT),
            _ => None,
        }
    }

    fn smile(&self) -> Option<&Smile> {
        match self {
            Self::UserNotFound(smile)
            | Self::SmileRateLimited(smile)
            | Self::SmileRefused(smile)
            | Self::SmileUnclear(smile)
            | Self::SmileUnavailable(smile)
            | Self::SmileTimeout(smile, _) => Some(smile),
            Self::NoRoute | Self::BadRequest(_) | Self::TooLarge | Self::NoSecret => None,
        }
    }

    fn detail(&self) -> String {
        let told = match self {
            Self::NoRoute => "There are POST /v1/links and POST /v1/links/{userId}/refresh.",
            Self::BadRequest(_) => {
                "This request cannot be understood. What is wrong, and where, is in errors."
            }
            Self::TooLarge => return format!("A body has at most {MAX_BODY_BYTES} bytes."),
            Self::UserNotFound(_) => "Smile has no user with this id.",
            Self::SmileRateLimited(_) => "Smile takes no more calls for now. Try again later.",
            Self::SmileRefused(_) => {
                "Smile refused, or said something that is not understood. The receiver's log says why."
            }
            Self::SmileUnclear(_) => {
                "Smile failed, and may have created a user nevertheless. Trying again may create a second one."
            }
            Self::SmileUnavailable(_) => {
                "Smile cannot be reached, or fails. Nothing was created. Try again later."
            }
            Self::SmileTimeout(_, true) => {
                "Smile did not answer in time, and may have created a user nevertheless. Trying again may create \
                 a second one."
            }
            Self::SmileTimeout(_, false) => "Smile did not answer in time. Try again.",
            Self::NoSecret => "A secret cannot be had. Try again later.",
        };
        told.to_owned()
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Body<'_> {
        let problem = Problem::new(self.status(), self.code(), self.detail());
        Body {
            problem: problem.with_request_id(self.smile().and_then(|smile| smile.request_id.clone())),
            errors: if let Self::BadRequest(wrong) = self { wrong } else { &[] },
        }
    }
}

/// A problem, and what is wrong with the request.
#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    #[serde(flatten)]
    problem: Problem,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Wrong],
}
