//! The WebSocket on which pages hear that something has changed: opened with a session, and ended with it.
//!
//! | route | what becomes of it |
//! |---|---|
//! | `$connect` | origin and session token are looked at, and the connection is written down |
//! | `$default` | `{"action":"hello"}`: the page listens from now on, and is told `refresh`. `{"action":"ping"}`: is told `pong`. Anything else is ignored |
//! | `$disconnect` | the connection is forgotten. The gateway's best effort: what it misses, `push` and the table's TTL find |
//!
//! A browser can send no header when it opens a WebSocket, and a token in a URL ends up in logs: it comes as a
//! second subprotocol, `smile.session.TOKEN`, beside `smile.v1`, which is the one that is agreed on.
//!
//! What happened before a page listened it learns by reading the state when it is told `refresh`; what happens from
//! then on it is told ([`shared::table`]). The gateway ends a connection after two hours, and after ten minutes
//! without a message (Amazon API Gateway, quotas), hence `ping`.
//!
//! A connection does not outlive its session: from its end on nothing is sent on it, and at the next message of its
//! page it is ended, so that the page comes back with a fresh one.
//!
//! No message is quoted anywhere: logs have the connection, the session's own id, and the gateway's request id.

pub mod config;
pub mod outcome;
pub mod request;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::aws::Patience;
use shared::origin::Origins;
use shared::secret_cache::Secrets;
use shared::session::{NoSession, Session};
use shared::socket::{GatewayRefused, Posted, Sockets};
use shared::table::{Fault, Table};

pub use self::config::Config;
pub use self::outcome::{Outcome, Why};
use self::request::{Event, Kind, Said};

/// Of one call. A request makes at most [`CALLS`], one after the other.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_millis(3500),
    attempts: 3,
};

/// The calls of a `hello`: the connection, the listener, the other listeners, those that are over, the answer.
pub const CALLS: u32 = 5;

/// The longest that a request takes. Below the function's time-out (`infra/template.yaml`).
pub const BUDGET: Duration = PATIENCE.operation.saturating_mul(CALLS);

/// The subprotocol that is spoken.
pub const PROTOCOL: &str = "smile.v1";

/// What begins the subprotocol that carries the session token.
pub const SESSION_PREFIX: &str = "smile.session.";

/// The longest that the gateway keeps a connection, with some room.
const LONGEST: SignedDuration = SignedDuration::from_mins(130);

const REFRESH: &str = r#"{"type":"refresh"}"#;
const PONG: &str = r#"{"type":"pong"}"#;

/// The function: its rules and its connections.
pub struct Live {
    origins: Origins,
    secrets: Secrets,
    table: Table,
    sockets: Sockets,
}

/// Our own trouble.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Table(#[from] Fault),
    #[error(transparent)]
    Gateway(#[from] GatewayRefused),
}

impl Live {
    /// A function with these rules and connections.
    pub fn new(origins: Origins, secrets: Secrets, table: Table, sockets: Sockets) -> Self {
        Self { origins, secrets, table, sockets }
    }

    /// Deals with one request.
    pub async fn handle(&self, event: &Event, now: Timestamp) -> Outcome {
        let (connection, delivery) = (event.connection(), event.delivery());
        let done = match event.kind() {
            Kind::Connect => self.connect(event, now).await,
            Kind::Disconnect => {
                self.table.disconnect(connection, now).await.map_err(Trouble::from).map(|()| Outcome::Ended)
            }
            Kind::Message => match event.said() {
                Some(said) => self.message(said, connection, now).await,
                None => Ok(Outcome::Ignored),
            },
        };
        let outcome = done.unwrap_or_else(|trouble| {
            tracing::error!(connection, delivery, error = %trouble, "not dealt with");
            Outcome::Unavailable
        });
        match outcome {
            Outcome::Refused(why) => tracing::info!(connection, delivery, reason = why.word(), "refused"),
            Outcome::Answered | Outcome::Ignored | Outcome::Unavailable => {}
            _ => tracing::info!(connection, delivery, outcome = ?outcome, "live"),
        }
        outcome
    }

    async fn connect(&self, event: &Event, now: Timestamp) -> Result<Outcome, Trouble> {
        // No header at all: no browser, but an app, which no other page can pose as.
        if event.origin().is_some_and(|origin| self.origins.find(origin).is_none()) {
            return Ok(Outcome::Refused(Why::Origin));
        }
        let Some(token) = event.session_token() else { return Ok(Outcome::Refused(Why::TokenMissing)) };
        let session = match Session::look(token, &self.secrets, now).await {
            Ok(session) => session,
            Err(NoSession::Refused(refused)) => return Ok(Outcome::Refused(Why::Token(refused))),
            Err(NoSession::SecretUnavailable) => {
                tracing::error!(
                    connection = event.connection(),
                    "there is no secret to check a session with"
                );
                return Ok(Outcome::Unavailable);
            }
        };
        let expires = session.expires_at().min(now + LONGEST);
        if !self.table.connect(session.user(), event.connection(), expires).await? {
            return Ok(Outcome::Ended);
        }
        tracing::info!(connection = event.connection(), session = session.id(), "has a session");
        Ok(Outcome::Connected)
    }

    async fn message(&self, said: Said, connection: &str, now: Timestamp) -> Result<Outcome, Trouble> {
        let (is_open, answer, outcome) = match said {
            Said::Hello => (self.table.listen(connection, now).await?, REFRESH, Outcome::Listening),
            Said::Ping => (self.table.is_connected(connection, now).await?, PONG, Outcome::Answered),
        };
        if !is_open {
            self.sockets.end(connection).await?;
            return Ok(Outcome::Ended);
        }
        match self.sockets.post(connection, answer).await? {
            Posted::Sent => Ok(outcome),
            Posted::Gone => Ok(Outcome::Ended),
        }
    }
}
