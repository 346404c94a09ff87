//! The read API: what is known of users, accounts, archives, invites, records, verifications and events.
//!
//! | asked | answered |
//! |---|---|
//! | `GET /v1/users/{id}` | everything known of a user, what its browser says beside it |
//! | `GET /v1/accounts/{id}`, `/v1/archives/{id}`, `/v1/invites/{id}` | the same thing, of each user that has it |
//! | `GET /v1/records/{id}`, `/v1/verifications/{id}` | one record, one verification |
//! | `GET /v1/users?id=` and so on | the same, for any id: a path cannot carry every one ([`operation`]) |
//! | `GET /v1/timeline?user=`, `/v1/events` | events, of a user or all, page by page; can be followed |
//! | `GET /v1/events/{id}`, `/v1/event?id=` | one event; with `body=true` what Smile sent |
//! | `GET /v1/quarantine` | what could not be filed, without bodies |
//! | `GET /v1/openapi.json` | all of this, for programs |
//!
//! What it promises:
//!
//! 1. No request scans the table, and none makes more than a bounded number of reads (`walk`).
//! 2. Whoever follows a list of events by its cursors gets every one ([`follow`]).
//! 3. The OpenAPI document is made from the types that are answered ([`openapi`]), and tests hold every answer to it.
//! 4. Who may ask is the gateway's to decide; who may have bodies is looked at here ([`scope`]).
//! 5. Nothing of a request or of an answer is logged but the operation, the status and the gateway's request id; of
//!    bodies that were given, the event's id.
//!
//! | module | what it holds |
//! |---|---|
//! | [`request`] | one request, as the gateway hands it over |
//! | [`operation`] | what can be asked for |
//! | [`parameters`] | the query's parameters |
//! | [`scope`] | who may read bodies |
//! | [`things`] | one thing at a time |
//! | [`lists`] | lists, a page at a time |
//! | `walk` | the reads that a page makes |
//! | [`follow`], [`cursor`] | how a reader goes on |
//! | [`refusal`] | why there is no answer |
//! | [`answer`] | what is answered |
//! | [`openapi`] | the document |
//! | [`config`] | the variables |

pub mod answer;
pub mod config;
pub mod cursor;
pub mod follow;
pub mod lists;
pub mod openapi;
pub mod operation;
pub mod parameters;
pub mod refusal;
pub mod request;
pub mod scope;
pub mod things;
mod walk;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use shared::aws::Patience;
use shared::table::{Fault, Table};
use tokio::time::timeout;

pub use self::answer::{Answer, Outcome};
use self::answer::{Found, Keep};
pub use self::config::Config;
use self::operation::{IdPlace, Operation};
use self::parameters::Parameters;
use self::refusal::Refusal;
pub use self::request::Request;

/// Of one read; [`WITHIN`] bounds all of a request's together.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(2),
    operation: Duration::from_secs(4),
    attempts: 3,
};

/// How long a request may take: below the function's time-out of 10 seconds (`infra/template.yaml`).
pub const WITHIN: Duration = Duration::from_secs(8);

/// The function: its table, and who may have bodies.
pub struct Query {
    table: Table,
    bodies_scope: String,
    url: Option<String>,
}

impl Query {
    /// A function that reads this table. With a JWT bodies need the scope [`scope::BODIES`].
    pub fn new(table: Table) -> Self {
        Self { table, bodies_scope: scope::BODIES.to_owned(), url: None }
    }

    /// With a JWT bodies need this scope instead.
    #[must_use]
    pub fn with_bodies_scope(self, bodies_scope: String) -> Self {
        Self { bodies_scope, ..self }
    }

    /// Where callers reach this API, which its document names.
    #[must_use]
    pub fn with_url(self, url: String) -> Self {
        Self { url: Some(url), ..self }
    }

    /// Deals with one request.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Outcome {
        let (operation, found) = match Operation::find(request.route(), request.path()) {
            Err(refusal) => (None, Err(refusal)),
            Ok((operation, _)) if request.method() != "GET" => (Some(operation), Err(Refusal::NotGet)),
            Ok((operation, id)) => {
                let read = self.read(operation, id, request, now);
                let found = timeout(WITHIN, read).await.unwrap_or_else(|_| {
                    tracing::error!("the table did not answer in time");
                    Err(Refusal::Unavailable)
                });
                (Some(operation), found)
            }
        };
        let outcome = Outcome { operation, found };
        let operation = operation.map(Operation::name);
        let (status, delivery) = (outcome.status(), request.id());
        match &outcome.found {
            Ok(_) => tracing::info!(operation, status, delivery, "answered"),
            Err(refusal) => tracing::info!(operation, status, delivery, reason = refusal.code(), "refused"),
        }
        outcome
    }

    async fn read(
        &self,
        operation: Operation,
        id: IdPlace<'_>,
        request: &Request,
        now: Timestamp,
    ) -> Result<Found, Refusal> {
        let is_in_query = matches!(id, IdPlace::Query(_));
        let parameters = Parameters::read(request.query(), known(operation, is_in_query))?;
        let id = match &id {
            IdPlace::Nowhere => "",
            IdPlace::Path(id) => id,
            IdPlace::Query(name) => parameters.id(name)?,
        };
        let table = &self.table;
        let found = |thing: &dyn Told| Found::new(thing.told(), Keep::Checked, |tag| request.has(tag));
        match operation {
            Operation::OpenApi => found(&openapi::of_server(self.url.as_deref())),
            Operation::User => found(&things::user(table, id).await?),
            Operation::UserEvents => found(&lists::user_events(table, id, &parameters, now).await?),
            Operation::Account => found(&things::account(table, id).await?),
            Operation::Archive => found(&things::archive(table, id).await?),
            Operation::Invite => found(&things::invite(table, id).await?),
            Operation::Record => found(&things::record(table, id).await?),
            Operation::Verification => found(&things::verification(table, id).await?),
            Operation::Events => found(&lists::events(table, &parameters, now).await?),
            Operation::Quarantine => found(&lists::quarantine(table, &parameters, now).await?),
            Operation::Event => {
                let with_body = parameters.body()?;
                if !with_body {
                    return found(&things::event(table, id, false).await?);
                }
                if !request.may_have_bodies(&self.bodies_scope) {
                    return Err(Refusal::ScopeMissing);
                }
                let event = things::event(table, id, true).await?;
                tracing::info!(event = event.event.id, delivery = request.id(), "gave a body");
                Found::new(event.told(), Keep::Never, |tag| request.has(tag))
            }
        }
    }
}

/// The query's parameters that an operation knows, whether it has its id in the query or in the path.
pub const fn known(operation: Operation, is_in_query: bool) -> &'static [&'static str] {
    match operation {
        Operation::UserEvents => lists::OF_TIMELINE,
        Operation::Events => lists::OF_EVENTS,
        Operation::Quarantine => lists::OF_QUARANTINE,
        Operation::Event if is_in_query => &[operation::ID, "body"],
        Operation::Event => &["body"],
        _ if is_in_query => &[operation::ID],
        _ => &[],
    }
}

/// What can be told as JSON.
trait Told {
    fn told(&self) -> String;
}

impl<T: Serialize> Told for T {
    #[expect(clippy::expect_used, reason = "texts, numbers, lists and maps by text")]
    fn told(&self) -> String {
        serde_json::to_string(self).expect("an answer is JSON")
    }
}

/// Told where it is met: what is answered says only that there was one.
impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        tracing::error!(%fault, "the table cannot be read");
        Self::Unavailable
    }
}
