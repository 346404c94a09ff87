//! What is answered, and what is counted: one function from outcome to status, one to counts.

use std::fmt;

use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Response};
use serde::Serialize;
use shared::callback::{Name, intake};
use shared::metrics::{Count, Metric};
use shared::problem::{MEDIA_TYPE, Problem};
use shared::session;

use crate::batch::BadBatch;
use crate::script::{File, Wanted};
use crate::{MAX_BODY_BYTES, PATH};

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The script was asked for.
    Script {
        /// Which.
        file: &'static File,
        /// In which form, and whether it is there already.
        request: Wanted,
    },
    /// No such path, or not by this method.
    NotFound,
    /// From a page that is not listed.
    OriginNotAllowed,
    /// From a page that is listed, or from no page.
    Answered {
        /// The page's origin.
        origin: Option<String>,
        /// What became of it.
        verdict: Verdict,
    },
}

/// What became of a request that may be dealt with.
#[derive(Debug)]
pub enum Verdict {
    /// A browser asked whether it may send.
    Preflight,
    /// More than [`MAX_BODY_BYTES`].
    TooLarge,
    /// Not sent as JSON.
    NotJson,
    /// No token.
    TokenMissing,
    /// A token that is not accepted.
    TokenRefused(session::Refused),
    /// There is no secret to check with, or no telling whether there is a newer one.
    SecretUnavailable,
    /// The body is no batch.
    BadBatch(BadBatch),
    /// What became of each item, with the id that its page gave it.
    Batch(Vec<(Item, Option<String>)>),
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// SQS holds it.
    Queued(Name),
    /// SQS does not: the one refusal after which trying again helps.
    Unavailable,
    /// It is wrong.
    Refused(intake::Refused),
}

#[derive(Serialize)]
struct Taken<'a> {
    accepted: usize,
    refused: Vec<RefusedItem<'a>>,
}

#[derive(Serialize)]
struct RefusedItem<'a> {
    index: usize,
    id: Option<&'a str>,
    code: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct NoneTaken<'a> {
    #[serde(flatten)]
    problem: Problem,
    refused: Vec<RefusedItem<'a>>,
}

/// After this many seconds a browser may try again.
const RETRY_AFTER: &str = "5";

/// How long a browser may remember the answer to a preflight: two hours, the most that Chromium honours.
const PREFLIGHT_SECONDS: &str = "7200";

impl Outcome {
    /// The status for each outcome: the one place that decides it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Script { file, request } => {
                if request.has(file) {
                    304
                } else {
                    200
                }
            }
            Self::NotFound => 404,
            Self::OriginNotAllowed => 403,
            Self::Answered { verdict, .. } => match verdict {
                Verdict::Preflight => 204,
                Verdict::TooLarge => 413,
                Verdict::NotJson => 415,
                Verdict::TokenMissing | Verdict::TokenRefused(_) => 401,
                Verdict::SecretUnavailable => 503,
                Verdict::BadBatch(_) => 400,
                Verdict::Batch(items) => {
                    let any = |wanted: fn(&Item) -> bool| items.iter().any(|(item, _)| wanted(item));
                    if any(|item| matches!(item, Item::Queued(_))) {
                        200
                    } else if any(|item| matches!(item, Item::Unavailable)) {
                        503
                    } else {
                        422
                    }
                }
            },
        }
    }

    /// The answer.
    pub fn answer(&self) -> Response<Body> {
        let mut answer = Response::new(self.body());
        *answer.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        match self {
            Self::Script { file, request } => file.headers(request, set),
            Self::NotFound | Self::OriginNotAllowed => {
                set(header::CONTENT_TYPE, MEDIA_TYPE);
                set(header::CACHE_CONTROL, "no-store");
                set(header::VARY, "Origin");
            }
            Self::Answered { origin, verdict } => {
                set(header::CACHE_CONTROL, "no-store");
                set(header::VARY, "Origin");
                if let Some(origin) = origin {
                    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After");
                }
                match (verdict, self.status()) {
                    (Verdict::Preflight, _) => {
                        set(header::ACCESS_CONTROL_ALLOW_METHODS, "POST");
                        set(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type");
                        set(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
                    }
                    (_, 200) => set(header::CONTENT_TYPE, "application/json"),
                    (_, status) => {
                        set(header::CONTENT_TYPE, MEDIA_TYPE);
                        if status == 503 {
                            set(header::RETRY_AFTER, RETRY_AFTER);
                        }
                        match verdict {
                            Verdict::TokenMissing => set(header::WWW_AUTHENTICATE, "Bearer"),
                            Verdict::TokenRefused(_) => {
                                set(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        answer
    }

    fn body(&self) -> Body {
        let json = match self {
            Self::Script { file, request } => return file.body(request),
            Self::NotFound => {
                to_json(&Problem::new(404, "not_found", format!("Callbacks go to POST {PATH}.")))
            }
            Self::OriginNotAllowed => to_json(&Problem::new(
                403,
                "origin_not_allowed",
                "This page's origin is not among those that may send callbacks (CallbackOrigins).",
            )),
            Self::Answered { verdict: Verdict::Preflight, .. } => return Body::Empty,
            Self::Answered { verdict: Verdict::Batch(items), .. } => {
                return Body::Text(batch(self.status(), items));
            }
            Self::Answered { verdict, .. } => to_json(&verdict.problem()),
        };
        Body::Text(json)
    }

    /// What is counted.
    pub fn counts(&self) -> Vec<Count> {
        let refused = |reason: &str| Count::by(Metric::CallbackRefused, reason);
        match self {
            Self::Script { .. } | Self::NotFound | Self::Answered { verdict: Verdict::Preflight, .. } => {
                Vec::new()
            }
            Self::OriginNotAllowed => vec![refused("origin_not_allowed")],
            Self::Answered { verdict: Verdict::SecretUnavailable, .. } => {
                vec![Count::of(Metric::SecretUnavailable)]
            }
            Self::Answered { verdict: Verdict::Batch(items), .. } => {
                let mut counts: Vec<Count> = items
                    .iter()
                    .filter_map(|(item, _)| match item {
                        Item::Queued(name) => Some(Count::by(Metric::CallbackReceived, name.metric_word())),
                        Item::Refused(why) => Some(refused(why.why.word())),
                        Item::Unavailable => None,
                    })
                    .collect();
                if items.iter().any(|(item, _)| *item == Item::Unavailable) {
                    counts.push(Count::of(Metric::CallbackQueueUnavailable));
                }
                counts
            }
            Self::Answered { verdict, .. } => vec![refused(verdict.problem().code)],
        }
    }
}

impl Verdict {
    fn problem(&self) -> Problem {
        match self {
            Self::TooLarge => Problem::new(
                413,
                "too_large",
                format!("A request has {MAX_BODY_BYTES} bytes at most; send fewer callbacks at once."),
            ),
            Self::NotJson => {
                Problem::new(415, "unsupported_media_type", "The Content-Type must be application/json.")
            }
            Self::TokenMissing => Problem::new(
                401,
                "token_missing",
                "The header Authorization must be Bearer and the session token that POST /v1/links gave.",
            ),
            Self::TokenRefused(session::Refused::Expired) => {
                Problem::new(401, "token_expired", "The session token has expired; get another one.")
            }
            Self::TokenRefused(refused) => Problem::new(401, "token_invalid", format!("{refused}.")),
            Self::BadBatch(why) => Problem::new(400, "bad_request", format!("{why}.")),
            Self::SecretUnavailable | Self::Preflight | Self::Batch(_) => unavailable(),
        }
    }
}

fn unavailable() -> Problem {
    Problem::new(503, "unavailable", "Nothing could be kept just now; try again.")
}

fn batch(status: u16, items: &[(Item, Option<String>)]) -> String {
    let mut accepted = 0;
    let mut refused = Vec::new();
    for (index, (item, id)) in items.iter().enumerate() {
        let (code, detail) = match item {
            Item::Queued(_) => {
                accepted += 1;
                continue;
            }
            Item::Unavailable => ("unavailable", "it could not be kept just now; try again".to_owned()),
            Item::Refused(refused) => (refused.why.word(), refused.why.to_string()),
        };
        refused.push(RefusedItem { index, id: id.as_deref(), code, detail });
    }
    match status {
        200 => to_json(&Taken { accepted, refused }),
        503 => to_json(&NoneTaken { problem: unavailable(), refused }),
        _ => {
            let detail = "None of the callbacks can be taken; see what is wrong with each.";
            to_json(&NoneTaken { problem: Problem::new(422, "none_accepted", detail), refused })
        }
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// For the log: what became of a batch, without anything that was in it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Batch(items) = self else { return f.write_str(self.problem().code) };
        let count = |wanted: fn(&Item) -> bool| items.iter().filter(|(item, _)| wanted(item)).count();
        write!(
            f,
            "{} queued, {} refused, {} not queued",
            count(|item| matches!(item, Item::Queued(_))),
            count(|item| matches!(item, Item::Refused(_))),
            count(|item| matches!(item, Item::Unavailable)),
        )
    }
}
