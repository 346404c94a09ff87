//! The one table, on DynamoDB: state, events, their bodies, and the quarantine.
//!
//! What keeps it right under any order, any repetition and a crash at any point:
//!
//! 1. State is written before the event. A register is one conditional `UpdateItem` ("is mine
//!    newer?"), which gives the item back either way: nothing is read first, nothing is merged.
//! 2. The event is one `PutItem` that must find no event of that id. So the stream shows an event only
//!    when its state is there, and shows it once. "Already there" is [`Stored::Repeat`].
//! 3. A body too large for the event's item lies beside it in chunks, which are written before it, once the
//!    state has said that nothing is revoked. Their keys carry the body's hash, so that another body under the
//!    same id never overwrites them.
//! 4. A subject that was revoked keeps no body: the state's own answer says so for the item that the
//!    event writes to, and a read for whatever else the event carries something of. That is asked once more when the
//!    event is there, since a revocation can come between the two. Whatever way it ends, no chunk of a revoked subject
//!    stays.
//! 5. Another body under the id of an event is an event of its own, under the id with `~` and the start of the body's
//!    hash after it. Each names the other.
//!
//! | item | pk / sk |
//! |---|---|
//! | state | [`Entity::keys`](crate::state::Entity::keys) |
//! | what a browser said | `WIDGET#user` / `WIDGET…`, also [`Entity::keys`](crate::state::Entity::keys); before, [`Entity::old_keys`](crate::state::Entity::old_keys) |
//! | event | `EVENT#id` / `EVENT` |
//! | tombstone of what was revoked | `ACCOUNT#id` or `ARCHIVE#id` / `REVOKED` |
//! | chunk of a body | `EVENT#id` / `BODY#hash#nn` |
//! | quarantined | `QUARANTINE#yyyy-mm-dd`, of browsers `WIDGET_QUARANTINE#yyyy-mm-dd` / `received_at#hash`, its chunks with `#BODY#stored_at#nn` after it |
//! | messages of a browser session | `WIDGET_SESSION#jti` / `SESSION` |
//! | connection | `CONNECTION#id` / `CONNECTION`, and once it listens `LISTENERS#user` / `CONNECTION#id` |
//!
//! Indexes carry no bodies: `by-owner` (`owner`, `order`), `by-day` (`day`, `order`), `by-erase`
//! (`erase`, `erase_due`).
//!
//! A browser writes to no partition that a webhook writes to, neither of the table nor of an index: a partition takes
//! 1,000 writes a second. The event of a callback has an id that no browser can choose
//! ([`event_id`](crate::callback::event_id)), its `owner` is `WIDGET#user`, and its `day` is
//! `WIDGET_DAY#yyyy-mm-dd#shard`. Of callbacks stored before that, the owner is `USER#user` and the day
//! `DAY#yyyy-mm-dd#shard`, as of webhooks: readers merge both ([`Partition`]).

mod audit;
mod body;
mod bring_over;
mod claim;
mod connection;
mod event;
mod fault;
mod limit;
mod page;
mod quarantine;
mod read;
mod revoked;

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;
use jiff::Timestamp;

pub use self::audit::{AUDIT_DAYS, AuditKey, Audited, Begun, Progress, Standing};
pub use self::bring_over::NotBrought;
pub use self::claim::Confirmation;
pub use self::connection::MAX_CONNECTIONS;
pub use self::event::{Record, Stored, StoredEvent};
pub use self::fault::{Fault, Poison};
pub use self::limit::MAX_OF_SESSION;
pub use self::page::{Filter, MAX_OWNERS, Partition, Stretch, order_of, order_of_day};
pub use self::quarantine::{QuarantineKey, Quarantined, Reason, ToQuarantine};

/// How many partitions a day's events are spread over: one partition takes 1,000 writes a second
/// (Amazon DynamoDB, "Partitions and data distribution").
pub const DAY_SHARDS: u32 = 8;

/// How many partitions a day's callbacks are spread over, apart from webhooks. Fewer, since each costs every reader one
/// more query, and callbacks that wait hold up nobody else.
pub const BROWSER_DAY_SHARDS: u32 = 2;

/// How long what is in quarantine stays, unless events are kept for less.
pub const QUARANTINE_DAYS: i64 = 14;

/// One table.
#[derive(Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table of this name.
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self::with_client(Client::new(config), name)
    }

    /// The table of this name, by a client that is there already.
    pub fn with_client(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }
}

type Item = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;

fn text(value: impl Into<String>) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::S(value.into())
}

#[expect(clippy::needless_pass_by_value, reason = "numbers are copied")]
fn number(value: impl ToString) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::N(value.to_string())
}

/// A time as text that sorts: UTC, always six digits of a second.
fn fixed(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn day(at: Timestamp) -> String {
    fixed(at)[..10].to_owned()
}
