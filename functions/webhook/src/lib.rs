//! Takes a webhook: is it from the vendor's network, did the vendor sign it, does the queue hold it?
//! Only then it is answered with 200.
//!
//! | module | what it holds |
//! |---|---|
//! | [`request`] | what the gateway hands over |
//! | [`answer`] | what is answered and counted |
//! | [`config`] | the variables |

pub mod answer;
pub mod config;
pub mod request;

use std::time::Duration;

use jiff::Timestamp;
use shared::aws::Patience;
use shared::event::Envelope;
use shared::job::{Job, Source};
use shared::queue::Queue;
use shared::secret_cache::{SecondLook, Secrets};
use shared::source::AllowList;
use shared::verify::{self, Refused, Verified};

pub use self::answer::{Answer, Outcome};
pub use self::config::{Config, SourcePolicy};
pub use self::request::Request;

/// Of one call. [`BUDGET`] has the sum.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(4),
    attempts: 3,
};

/// The longest that a request takes: one call to Secrets Manager and one to SQS. Below the function's time-out
/// (`infra/template.yaml`), so that the function answers 503 itself.
pub const BUDGET: Duration = PATIENCE.operation.saturating_mul(2);

/// The function: its rules and its connections.
pub struct Webhook {
    allow_list: AllowList,
    policy: SourcePolicy,
    secrets: Secrets,
    queue: Queue,
}

/// The circumstances of one request.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// When it came.
    pub now: Timestamp,
    /// The X-Ray header of this invocation.
    pub trace: Option<&'a str>,
    /// Lambda's id of this invocation: stands in where the gateway gave no request id.
    pub invocation: &'a str,
}

impl Webhook {
    /// A function with these rules and connections.
    pub fn new(allow_list: AllowList, policy: SourcePolicy, secrets: Secrets, queue: Queue) -> Self {
        Self { allow_list, policy, secrets, queue }
    }

    /// Deals with one request.
    pub async fn handle(&self, mut request: Request, arrival: Arrival<'_>) -> Outcome {
        let source = request.source();
        let listed = source.is_some_and(|source| self.allow_list.contains(source));
        let delivery = request.id().unwrap_or(arrival.invocation).to_owned();
        let signature = request.take_signature();
        let Some(body) = request.into_body() else {
            return if listed {
                Outcome::RejectedSignature(Refused::Mismatch)
            } else {
                Outcome::RejectedSource { valid_signature: false }
            };
        };
        let checked = self.check(&body, signature.as_deref(), listed, arrival.now).await;
        let verified = match (checked, listed) {
            (Ok(verified), true) => verified,
            (Err(outcome), true) => {
                // Why, for whoever looks into it. A stranger's requests stand in the API's own log only.
                if let Outcome::RejectedSignature(reason) = &outcome {
                    tracing::warn!(%reason, delivery, "refused: the signature");
                } else {
                    tracing::error!(delivery, "refused for now: no secret to check with");
                }
                return outcome;
            }
            (Err(_), false) => return Outcome::RejectedSource { valid_signature: false },
            (Ok(verified), false) => {
                // The one address that is logged: it is the vendor's, which may have moved.
                tracing::warn!(?source, "a valid signature from a source outside the allow list");
                // Without a source, the request came through no gateway that we know.
                if self.policy == SourcePolicy::Refuse || source.is_none() {
                    return Outcome::RejectedSource { valid_signature: true };
                }
                verified
            }
        };
        let job = Job {
            source: Source::Webhook,
            received_at: arrival.now,
            delivery,
            held: !listed,
            check: false,
            session: None,
        };
        self.queue(verified, &job, arrival.trace).await
    }

    /// Checks the signature; looks for newer secrets only for a listed source.
    async fn check<'b>(
        &self,
        body: &'b [u8],
        signature: Option<&str>,
        listed: bool,
        now: Timestamp,
    ) -> Result<Verified<'b>, Outcome> {
        let set = self.secrets.current(now).await.ok_or(Outcome::SecretUnavailable)?;
        match verify::verify(body, signature, set.at(now)) {
            Ok(verified) => return Ok(verified),
            Err(Refused::Mismatch) if listed => {}
            Err(refused) => return Err(Outcome::RejectedSignature(refused)),
        }
        match self.secrets.look_again(now).await {
            SecondLook::Fetched(set) => {
                verify::verify(body, signature, set.at(now)).map_err(Outcome::RejectedSignature)
            }
            SecondLook::NothingNewer => Err(Outcome::RejectedSignature(Refused::Mismatch)),
            SecondLook::Unavailable => Err(Outcome::SecretUnavailable),
        }
    }

    async fn queue(&self, body: Verified<'_>, job: &Job, trace: Option<&str>) -> Outcome {
        let message = match job.encode(body.bytes()) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(%error, delivery = job.delivery, "too large");
                return Outcome::TooLarge;
            }
        };
        if let Err(error) = self.queue.send(message, trace).await {
            tracing::error!(%error, delivery = job.delivery, "not queued");
            return Outcome::QueueUnavailable;
        }
        match Envelope::parse(body) {
            Ok(event) => {
                tracing::info!(event = %event.id, r#type = %event.kind, delivery = job.delivery, held = job.held, "queued");
                Outcome::Queued { id: event.id, kind: event.kind, held: job.held }
            }
            Err(reason) => {
                tracing::warn!(%reason, delivery = job.delivery, held = job.held, "queued for the quarantine");
                Outcome::Quarantined { reason: reason.word(), held: job.held }
            }
        }
    }
}
