//! Takes what the Wink Widget says in a user's browser: is there a session, is the page one of ours, does the
//! queue hold it? And serves the script that sends it.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/callbacks` | [`batch`] says what is in it, [`answer`] what becomes of it |
//! | `OPTIONS /v1/callbacks` | what a browser asks before it sends (CORS) |
//! | `GET /v1/wink-events.js`, `.mjs`, `/v1/wink-live.js`, `.mjs` | [`script`] |
//!
//! Everything that is taken becomes an event with an id that only we can make, on a queue of its own: no
//! flood of browsers delays a webhook. Nothing here changes what webhooks say.
//!
//! CORS is answered here, not by the gateway, so that a listed origin is what it is also where there is no
//! gateway, and so that a refusal says which it is. `Origin` is no proof: only browsers are bound to send it
//! truly. The session token is.

pub mod answer;
pub mod batch;
pub mod config;
pub mod script;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_http::http::{Method, header};
use lambda_http::{Body, Request};
use shared::aws::Patience;
use shared::callback::Said;
use shared::callback::intake::{self, Taken};
use shared::job::{Job, Source};
use shared::origin::Origins;
use shared::queue::Queue;
use shared::secret_cache::Secrets;
use shared::session::{NoSession, Session};

pub use self::answer::Outcome;
use self::answer::{Item, Verdict};
pub use self::config::Config;
use self::config::Seconds;

/// Of one call. [`BUDGET`] has the sum.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_millis(800),
    attempt: Duration::from_millis(1200),
    operation: Duration::from_millis(2500),
    attempts: 2,
};

/// The longest that a request takes: one call to Secrets Manager, which is rare, then calls to SQS. These begin
/// within four seconds ([`shared::queue::BEGINS_WITHIN`]), and the last one can take a whole operation more. Below the
/// function's time-out (`infra/template.yaml`), so that the function answers 503 itself.
pub const BUDGET: Duration =
    shared::queue::BEGINS_WITHIN.saturating_add(PATIENCE.operation.saturating_mul(2));

/// The most bytes that a request may have.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Where callbacks are sent.
pub const PATH: &str = "/v1/callbacks";

/// The function: its rules and its connections.
pub struct Callbacks {
    origins: Origins,
    secrets: Secrets,
    queue: Queue,
    unconfirmed_after: Seconds,
}

/// The circumstances of one request.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// When it came.
    pub now: Timestamp,
    /// The X-Ray header of this invocation.
    pub trace: Option<&'a str>,
    /// The gateway's id of this request.
    pub delivery: &'a str,
}

impl Callbacks {
    /// A function with these rules and connections.
    pub fn new(origins: Origins, secrets: Secrets, queue: Queue, unconfirmed_after: Seconds) -> Self {
        Self { origins, secrets, queue, unconfirmed_after }
    }

    /// Deals with one request. The path is the gateway's: behind its stage, as the route has it.
    pub async fn handle(&self, request: &Request, path: &str, arrival: Arrival<'_>) -> Outcome {
        if let Some(file) = script::find(path) {
            return match *request.method() {
                Method::GET | Method::HEAD => Outcome::Script { file, request: script::Wanted::of(request) },
                _ => Outcome::NotFound,
            };
        }
        if path != PATH {
            return Outcome::NotFound;
        }
        // No header at all: no browser, but an app or a server, which no CORS protects.
        let origin = match request.headers().get(header::ORIGIN) {
            None => None,
            Some(header) => match header.to_str().ok().and_then(|header| self.origins.find(header)) {
                Some(origin) => Some(origin.to_owned()),
                None => return Outcome::OriginNotAllowed,
            },
        };
        let verdict = match *request.method() {
            Method::OPTIONS => Verdict::Preflight,
            Method::POST => self.post(request, arrival).await,
            _ => return Outcome::NotFound,
        };
        Outcome::Answered { origin, verdict }
    }

    async fn post(&self, request: &Request, arrival: Arrival<'_>) -> Verdict {
        let body: &[u8] = match request.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            _ => &[],
        };
        if body.len() > MAX_BODY_BYTES {
            return Verdict::TooLarge;
        }
        if !is_json(request) {
            return Verdict::NotJson;
        }
        let Some(token) = bearer(request) else { return Verdict::TokenMissing };
        let session = match Session::look(token, &self.secrets, arrival.now).await {
            Ok(session) => session,
            Err(NoSession::Refused(refused)) => return Verdict::TokenRefused(refused),
            Err(NoSession::SecretUnavailable) => return Verdict::SecretUnavailable,
        };
        let items = match batch::read(body) {
            Ok(items) => items,
            Err(why) => return Verdict::BadBatch(why),
        };
        let items = items.into_iter().map(|item| intake::take(&session, item)).collect();
        let verdict = self.queue(&session, items, arrival).await;
        tracing::info!(session = session.id(), delivery = arrival.delivery, outcome = %verdict, "callbacks");
        verdict
    }

    async fn queue(
        &self,
        session: &Session,
        items: Vec<Result<Taken, intake::Refused>>,
        arrival: Arrival<'_>,
    ) -> Verdict {
        let (mut messages, mut of) = (Vec::new(), Vec::new());
        let mut received_at = arrival.now;
        for (at, item) in items.iter().enumerate() {
            let Ok(taken) = item else { continue };
            let job = Job {
                source: Source::Callback,
                received_at,
                delivery: arrival.delivery.to_owned(),
                held: false,
                check: false,
                session: Some(session.id().to_owned()),
            };
            // Where a browser's clock cannot be believed, its batch's order is that of these times.
            received_at += SignedDuration::from_micros(1);
            let check = Job { check: true, ..job.clone() };
            let looks_later = matches!(&taken.said, Said::AccountConnected(about) if about.account.is_some());
            let looks = looks_later.then_some((&check, self.unconfirmed_after.0));
            for (job, delay) in [(&job, 0)].into_iter().chain(looks) {
                // Its 16 KiB fit a message always.
                if let Ok(message) = job.encode(taken.body.as_bytes()) {
                    messages.push((message, delay));
                    of.push(at);
                }
            }
        }
        let held = self.queue.send_all(&messages, arrival.trace).await;
        let is_held = |at: usize| of.iter().zip(&held).filter(|(of, _)| **of == at).all(|(_, held)| *held);
        let verdicts = items.iter().enumerate().map(|(at, item)| match item {
            Ok(taken) if is_held(at) => Item::Queued(taken.name.clone()),
            Ok(_) => Item::Unavailable,
            Err(refused) => Item::Refused(refused.clone()),
        });
        let ids = items.iter().map(|item| match item {
            Ok(taken) => Some(taken.client_id.clone()),
            Err(refused) => refused.id.clone(),
        });
        Verdict::Batch(verdicts.zip(ids).collect())
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
