//! What became of a request: what is answered, and what is counted.

use serde_json::{Value, json};
use shared::metrics::{Count, Metric};
use shared::session;

use crate::PROTOCOL;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The page is connected.
    Connected,
    /// It is not.
    Refused(Why),
    /// The page listens, and was told to read the state.
    Listening,
    /// A ping was answered.
    Answered,
    /// The connection has ended, was found to be over and ended, or was never made.
    Ended,
    /// The message is none that is understood.
    Ignored,
    /// Our own trouble.
    Unavailable,
}

/// Why a page is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Another page's.
    Origin,
    /// There is no token, or the protocol is not offered.
    TokenMissing,
    /// The token is not accepted.
    Token(session::Refused),
}

impl Why {
    /// One of each.
    pub const ALL: [Self; 5] = [
        Self::Origin,
        Self::TokenMissing,
        Self::Token(session::Refused::Malformed),
        Self::Token(session::Refused::Signature),
        Self::Token(session::Refused::Expired),
    ];

    /// The reason, for counts and logs: the words of the callback API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Origin => "origin_not_allowed",
            Self::TokenMissing => "token_missing",
            Self::Token(session::Refused::Expired) => "token_expired",
            Self::Token(_) => "token_invalid",
        }
    }
}

impl Outcome {
    /// The status of each outcome. To a browser any but 200 is a connection that failed, without a reason.
    pub fn status(self) -> u16 {
        match self {
            Self::Connected | Self::Listening | Self::Answered | Self::Ignored => 200,
            Self::Refused(Why::Origin) => 403,
            Self::Refused(_) => 401,
            Self::Ended => 410,
            Self::Unavailable => 503,
        }
    }

    /// What the gateway takes for an answer.
    pub fn answer(self) -> Value {
        let mut answer = json!({ "statusCode": self.status() });
        if self == Self::Connected {
            // Without it a browser ends the connection that it has just made.
            answer["headers"] = json!({ "Sec-WebSocket-Protocol": PROTOCOL });
        }
        answer
    }

    /// What is counted.
    pub fn counts(self) -> Vec<Count> {
        match self {
            Self::Connected => vec![Count::of(Metric::LiveConnected)],
            Self::Refused(why) => vec![Count::by(Metric::LiveRefused, why.word())],
            Self::Unavailable => vec![Count::by(Metric::LiveRefused, "unavailable")],
            Self::Listening | Self::Answered | Self::Ended | Self::Ignored => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_status_and_count() {
        let refused = |why| Outcome::Refused(why);
        for (outcome, status, counted) in [
            (Outcome::Connected, 200, Some("LiveConnected")),
            (refused(Why::Origin), 403, Some("LiveRefused/origin_not_allowed")),
            (refused(Why::TokenMissing), 401, Some("LiveRefused/token_missing")),
            (refused(Why::Token(session::Refused::Malformed)), 401, Some("LiveRefused/token_invalid")),
            (refused(Why::Token(session::Refused::Signature)), 401, Some("LiveRefused/token_invalid")),
            (refused(Why::Token(session::Refused::Expired)), 401, Some("LiveRefused/token_expired")),
            (Outcome::Listening, 200, None),
            (Outcome::Answered, 200, None),
            (Outcome::Ended, 410, None),
            (Outcome::Ignored, 200, None),
            (Outcome::Unavailable, 503, Some("LiveRefused/unavailable")),
        ] {
            let word = |count: &Count| match &count.by {
                Some(by) => format!("{}/{by}", count.metric.name()),
                None => count.metric.name().to_owned(),
            };
            assert_eq!(outcome.counts().iter().map(word).next().as_deref(), counted);
            let answer = outcome.answer();
            assert_eq!(answer["statusCode"], status);
            assert_eq!(answer.get("headers").is_some(), outcome == Outcome::Connected, "{outcome:?}");
        }
    }
}
