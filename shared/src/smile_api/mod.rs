//! Smile's API, as far as this project uses it: webhooks, users, tokens, and the lists that reconciling
//! reads.
//!
//! [`Client`] is blocking. It is `Send` and `Sync`, so that async code keeps it in an `Arc` and calls it
//! within `tokio::task::spawn_blocking`. It promises:
//!
//! - Calls start at most ten times a second, all threads of one client together. Smile refuses more than
//!   twenty a second from one address.
//! - A call ends within [`Patience::total`], its retries and waits included.
//! - What may be repeated harmlessly (`GET`, `DELETE`) is tried again on 429, on 5xx but 501, and when the
//!   transport fails, with growing waits and jitter, and not before `Retry-After`. A `Retry-After` beyond
//!   [`Patience::longest_retry_after`] ends the call, with the time in the error.
//! - What creates something (`POST`) is tried again only when the last try certainly did nothing: on 429,
//!   and when no connection came about. Everything else ends the call at once, with an error whose
//!   [`Error::may_have_happened`] is true. **Then the caller looks**: [`Client::webhooks_at`] finds
//!   registrations by their URL, and the one that was meant has the right name and secret. If it is there,
//!   it is the answer; if it is not, the call may be made again. To create blindly again may register
//!   twice, and then every event comes twice.
//! - Redirects are not followed, since the credentials would go along; `http` is for loopback alone.
//! - Errors and `Debug` show ids, statuses and the vendor's codes: never a body, a secret or a token.
//!
//! Reading is lenient: unknown fields are ignored, words that are not known yet are kept as `Unknown`, and
//! one list entry that cannot be read is one error, after which the list goes on.
//!
//! | module | what it holds |
//! |---|---|
//! | [`types`] | what Smile knows: webhooks, users, accounts and the rest |
//! | [`list`] | lists, page by page |
//! | [`error`] | why a call failed |
//! | [`pace`] | time and chance: the clock, waits, the bucket of ten a second |
//! | `exchange` | one call, its tries and its envelope |

pub mod error;
mod exchange;
pub mod list;
pub mod pace;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
pub mod types;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, Serializer};
use sha2::Sha512;

pub use self::error::{Code, Error, Fault, Unusable};
pub(crate) use self::exchange::transport as transport_fault;
use self::exchange::{Call, Exchange, Method};
pub use self::list::{Filter, Items};
pub use self::pace::{Pace, SystemPace};
pub use self::types::{
    Account, Archive, ArchiveStatus, ConnectionStatus, CreatedUser, Invite, InviteStatus, NewWebhook,
    Payload, Session, SessionStatus, Task, TaskId, TaskState, Token, User, Webhook, WebhookId,
};
use crate::id::{AccountId, UserId};

/// The API to try things out with.
pub const SANDBOX: &str = "https://sandbox.smileapi.io/v1";

/// The API of production.
pub const OPEN: &str = "https://open.smileapi.io/v1";

/// Something that must not be shown: an API secret, a webhook's secret, a link token. Prints as
/// `Secret(..)`; whoever needs it says so with [`SecretText::expose`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Box<str>);

impl SecretText {
    /// Hides a text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same, compared in constant time.
    pub fn is(&self, other: &Self) -> bool {
        fn mac(text: &SecretText) -> Hmac<Sha512> {
            #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
            let mac = Hmac::<Sha512>::new_from_slice(b"compare").expect("any key length");
            mac.chain_update(text.0.as_bytes())
        }
        mac(self).verify(&mac(other).finalize().into_bytes()).is_ok()
    }

    /// For the one field of a request that carries it.
    fn reveal<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An API key and its secret (Smile's portal, "API keys").
#[derive(Debug, Clone, Deserialize)]
pub struct Credentials {
    /// The key.
    pub key: SecretText,
    /// Its secret.
    pub secret: SecretText,
}

impl Credentials {
    /// Reads `{"key":"…","secret":"…"}`, as it is kept in Secrets Manager.
    pub fn from_document(text: &str) -> Result<Self, Unusable> {
        let credentials: Self = serde_json::from_str(text).map_err(|_| Unusable::Credentials)?;
        let is_usable = !credentials.key.expose().is_empty()
            && !credentials.key.expose().contains(':')
            && !credentials.secret.expose().is_empty();
        is_usable.then_some(credentials).ok_or(Unusable::Credentials)
    }
}

/// How long calls may take and how often they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To open a connection.
    pub connect: Duration,
    /// For one try.
    pub attempt: Duration,
    /// For one call: all its tries and waits.
    pub total: Duration,
    /// How many tries, the first included.
    pub tries: u32,
    /// The longest `Retry-After` that is waited for.
    pub longest_retry_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(15),
            total: Duration::from_mins(1),
            tries: 4,
            longest_retry_after: Duration::from_secs(20),
        }
    }
}

/// Where the API is and who asks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// [`SANDBOX`], [`OPEN`], or a simulator's address; `https` unless it is this machine's.
    pub base_url: String,
    /// Who asks.
    pub credentials: Credentials,
    /// How long it may take.
    pub patience: Patience,
    /// An HTTP proxy. The environment is not asked.
    pub proxy: Option<String>,
}

impl Settings {
    /// Settings with the usual patience and no proxy.
    pub fn new(base_url: impl Into<String>, credentials: Credentials) -> Self {
        Self { base_url: base_url.into(), credentials, patience: Patience::default(), proxy: None }
    }
}

/// What came of a deletion. Both leave nothing behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There was none: somebody else was quicker, or an earlier try whose answer was lost.
    NotThere,
}

/// Smile's API.
pub struct Client {
    exchange: Exchange,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.exchange.base_url()).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Calls nobody yet.
    pub fn new(settings: &Settings, pace: impl Pace + 'static) -> Result<Self, Unusable> {
        Ok(Self { exchange: Exchange::new(settings, Box::new(pace))? })
    }

    /// Registers a webhook. Not idempotent: see the page top for what to do when this fails and
    /// [`Error::may_have_happened`].
    pub fn create_webhook(&self, webhook: &NewWebhook) -> Result<Webhook, Error> {
        self.create("POST /webhooks", "/webhooks", Vec::new(), Some(webhook))
    }

    /// All webhooks, with their secrets.
    pub fn webhooks(&self) -> Items<'_, Webhook> {
        Items::new(self, "GET /webhooks", "/webhooks", Vec::new())
    }

    /// The webhooks with exactly this URL: what a creation whose outcome is unknown has left, too.
    pub fn webhooks_at(&self, url: &str) -> Result<Vec<Webhook>, Error> {
        self.webhooks()
            .filter(|webhook| webhook.as_ref().map_or(true, |webhook| webhook.url == url))
            .collect()
    }

    /// One webhook, or none when there is none with this id.
    pub fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, Error> {
        none_if_missing(self.get("GET /webhooks/{id}", path("/webhooks/", id.as_str(), "")))
    }

    /// Deletes a webhook. Smile has no call to change one: create the new one, then delete the old.
    pub fn delete_webhook(&self, id: &WebhookId) -> Result<Deletion, Error> {
        let call = Call::new("DELETE /webhooks/{id}", Method::Delete, path("/webhooks/", id.as_str(), ""));
        match self.exchange.call(&call) {
            Ok(_) => Ok(Deletion::Deleted),
            Err(error) if error.is_missing() => Ok(Deletion::NotThere),
            Err(error) => Err(error),
        }
    }

    /// Creates a user, with a first link token. Up to five pairs of metadata, texts of ASCII (Smile,
    /// `ObjectExternalMetadata`). Not idempotent; a user too many is an empty user.
    pub fn create_user(&self, metadata: &BTreeMap<String, String>) -> Result<CreatedUser, Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            external_metadata: &'a BTreeMap<String, String>,
        }
        self.create("POST /users", "/users", Vec::new(), Some(&Request { external_metadata: metadata }))
    }

    /// Creates a link token for the widget. Good for one use within about five hours.
    pub fn create_token(&self, user: &UserId) -> Result<Token, Error> {
        self.create("POST /tokens", "/tokens", vec![("userId", user.to_string())], None::<&()>)
    }

    /// Users. Of the filter, only the days count.
    pub fn users(&self, filter: &Filter) -> Items<'_, User> {
        Items::new(self, "GET /users", "/users", filter.days())
    }

    /// Accounts, by user and by day of linking.
    pub fn accounts(&self, filter: &Filter) -> Items<'_, Account> {
        Items::new(self, "GET /accounts", "/accounts", filter.user_and_days())
    }

    /// Tasks, by user, by source and by day of creation.
    pub fn tasks(&self, filter: &Filter) -> Items<'_, Task> {
        let mut query = filter.user_and_days();
        query.extend(filter.source.clone().map(|source| ("sourceId", source)));
        Items::new(self, "GET /tasks", "/tasks", query)
    }

    /// Archives, by user, by type of file and by day of creation.
    pub fn archives(&self, filter: &Filter) -> Items<'_, Archive> {
        let mut query = filter.user_and_days();
        query.extend(filter.file_type.clone().map(|kind| ("fileType", kind)));
        Items::new(self, "GET /archives", "/archives", query)
    }

    /// Invites. They cannot be filtered.
    pub fn invites(&self) -> Items<'_, Invite> {
        Items::new(self, "GET /invites", "/invites", Vec::new())
    }

    /// One account as it is now, or none. Smile removes an account's data 60 days after linking, so none
    /// does not mean revoked.
    pub fn account(&self, id: &AccountId) -> Result<Option<Account>, Error> {
        none_if_missing(self.get("GET /accounts/{id}", path("/accounts/", id.as_str(), "")))
    }

    /// All data of one account as it came, or none. Lists are plain arrays here, other than in webhooks
    /// (Smile, `AccountPayload` and `AllDatapointPayload`).
    pub fn account_payload(&self, id: &AccountId) -> Result<Option<Payload>, Error> {
        none_if_missing(self.get("GET /accounts/{id}/payload", path("/accounts/", id.as_str(), "/payload")))
    }

    fn get<T: for<'de> Deserialize<'de>>(&self, name: &'static str, path: String) -> Result<T, Error> {
        self.exchange.call(&Call::new(name, Method::Get, path))?.data()
    }

    fn create<T: for<'de> Deserialize<'de>>(
        &self,
        name: &'static str,
        path: &str,
        query: Vec<(&'static str, String)>,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let mut call = Call::new(name, Method::Post, path.to_owned());
        call.query = query;
        #[expect(clippy::expect_used, reason = "texts, booleans and lists of them")]
        let json = |body| serde_json::to_vec(body).expect("a request is JSON");
        call.body = body.map(json);
        self.exchange.call(&call)?.data()
    }
}

/// A path with an id in it, which is opaque and therefore encoded.
fn path(before: &str, id: &str, after: &str) -> String {
    format!("{before}{}{after}", exchange::encoded(id))
}

fn none_if_missing<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
