//! Links a user: the customer's back end gets a token for the Wink Widget from Smile, and with it a session
//! token with which the user's browser delivers callbacks. Smile's API key never leaves this function.
//!
//! | asked | answered |
//! |---|---|
//! | `POST /v1/links` `{}` | 201, a new user at Smile with a first token |
//! | `POST /v1/links` `{"userId":"…"}` | 201, a token for a user who is there |
//! | `POST /v1/links/{userId}/refresh` | 200, the next token and session, for `onTokenExpired` |
//!
//! Who may ask is the gateway's to decide (IAM, or a JWT with a scope). What goes wrong comes back as problem
//! details (RFC 9457, [`refusal`]). No answer may be cached; no token, secret or body is logged.
//!
//! A user is created at most once a request: what may have happened at Smile is never repeated from here. A
//! new user has no key to be found by, so that a lost answer stays lost: the caller is told, and decides. The
//! session's secret is at hand before Smile is asked, so that no user is created in vain.
//!
//! The gateway's events are read by a small type of this crate's own: `lambda_http` would bring 36 more crates
//! along (`cargo tree`), for URLs and character sets that nothing here needs, and hides whether the path that
//! it was given is still percent-encoded.
//!
//! | module | what it holds |
//! |---|---|
//! | [`request`] | what is asked for |
//! | `smile` | Smile, with the credentials of the moment |
//! | [`refusal`] | why there is no link, in words and status |
//! | [`answer`] | what is answered and counted |
//! | [`config`] | the variables |

pub mod answer;
pub mod config;
pub mod refusal;
pub mod request;
mod smile;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::Context;
use aws_types::SdkConfig;
use jiff::Timestamp;
use shared::aws::Patience;
use shared::secret_cache::Secrets;
use shared::secret_store::SecretStore;
use shared::session::{SESSION_ID_BYTES, mint};
use shared::smile_api;

pub use self::answer::{Answer, Linked, Outcome};
pub use self::config::{Config, Lifetime, Urls};
pub use self::refusal::Refusal;
pub use self::request::{Asked, Request};
pub use self::smile::CALL;
use self::smile::Smile;

/// Of one call to Secrets Manager. [`BUDGET`] has the sum.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(1),
    operation: Duration::from_secs(2),
    attempts: 2,
};

/// The longest that a request takes: three calls to Secrets Manager and two to Smile ([`CALL`]). Below the function's
/// time-out (`infra/template.yaml`).
pub const BUDGET: Duration = PATIENCE.operation.saturating_mul(3).saturating_add(CALL.saturating_mul(2));

/// The function: its secrets, and where a browser is sent.
pub struct Link {
    smile: Smile,
    secret: Secrets,
    session: Lifetime,
    urls: Urls,
}

/// The circumstances of one request.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it came.
    pub now: Timestamp,
    /// Random: the id of the session that it may begin.
    pub session: [u8; SESSION_ID_BYTES],
}

impl Link {
    /// Fetches the secrets. Without them the function must not start.
    pub async fn start(sdk: &SdkConfig, config: &Config, now: Timestamp) -> anyhow::Result<Self> {
        Self::with_patience(sdk, config, smile::PATIENCE, now).await
    }

    async fn with_patience(
        sdk: &SdkConfig,
        config: &Config,
        patience: smile_api::Patience,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let secret = SecretStore::new(sdk, &config.session_secret_arn).called("the session secret");
        let (smile, secret) = tokio::join!(
            Smile::fetch(sdk, &config.credentials_arn, &config.smile_url, patience, now),
            Secrets::fetch(secret, now),
        );
        Ok(Self {
            smile: smile.context("Smile's API cannot be asked")?,
            secret: secret.context("sessions cannot be signed")?,
            session: config.session,
            urls: config.urls.clone(),
        })
    }

    /// Where a browser is sent.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Deals with one request.
    pub async fn handle(&self, request: &Request, arrival: Arrival) -> Outcome {
        let outcome = match request.asked() {
            Ok(asked) => self.link(asked, arrival).await,
            Err(refusal) => Err(refusal),
        };
        let delivery = request.id();
        match &outcome {
            Ok(linked) => {
                let (user, kind) = (&linked.user, linked.asked.kind());
                // By which the session's callbacks are found in the callback function's log.
                let session = format!("{:032x}", u128::from_be_bytes(arrival.session));
                tracing::info!(%user, r#type = kind, session, delivery, "linked");
            }
            Err(refusal) => tracing::warn!(reason = refusal.code(), delivery, "not linked"),
        }
        Outcome(outcome)
    }

    async fn link(&self, asked: Asked, arrival: Arrival) -> Result<Linked, Refusal> {
        let secrets = self.secret.current(arrival.now).await.ok_or(Refusal::NoSecret)?;
        let secret = secrets.at(arrival.now).next().ok_or(Refusal::NoSecret)?;
        let (user, token) = self.smile.link(&asked, arrival.now).await?;
        let session = mint(&user, arrival.session, self.session.duration(), arrival.now, secret);
        Ok(Linked { asked, user, token, session })
    }
}
