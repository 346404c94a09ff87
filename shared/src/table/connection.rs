//! Who is listening: the WebSocket connections of each user.
//!
//! A connection has an item by its id, since its end and its messages name nothing else. It is written when the
//! connection is made. Once its page has said that it is there, it has one more in the partition of its user's
//! listeners, since an event names only the user. Not before: until the handshake is done, the gateway says of a
//! connection that it is gone, and whoever believed it would forget a page that is just coming.
//!
//! 1. What has ended stays ended: the item by its id becomes a tombstone, which neither a late nor a repeated
//!    beginning overwrites, and without which nobody becomes a listener.
//! 2. What has expired does not listen, however late the table's TTL removes it.
//! 3. A user has [`MAX_CONNECTIONS`] listeners at most, the newest: each that comes removes what is over. The
//!    others find at their next ping that they are not listened for, and come again.
//!
//! Listeners are read consistently: a page that listens misses nothing that is stored from then on. What was stored
//! before it learns when it reads the state, which it is told to do.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, DeleteRequest, Put, PutRequest, ReturnValue, TransactWriteItem,
    WriteRequest,
};
use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::{Item, Table, number, text};
use crate::id::UserId;

/// The most connections of one user that are told of an event: tabs and devices of one person.
pub const MAX_CONNECTIONS: usize = 50;

/// How long it is known that a connection has ended: longer than any beginning can be late.
const TOMBSTONE: SignedDuration = SignedDuration::from_mins(15);

/// The most writes of one call (Amazon DynamoDB API reference, `BatchWriteItem`).
const MAX_BATCH: usize = 25;

/// Since when, in milliseconds, and the connection.
type Listener = (Option<i64>, String);

/// There, and not a tombstone.
const IS_OPEN: &str = "attribute_exists(pk) AND attribute_not_exists(ended)";

/// Nobody's yet, or this user's already.
const IS_FREE: &str = "attribute_not_exists(pk) OR (#user = :user AND attribute_not_exists(ended))";

impl Table {
    /// Writes down whose connection this is, until `expires` at the latest. Not when it has ended, or is
    /// somebody else's: then this says `false`.
    pub async fn connect(&self, user: &UserId, connection: &str, expires: Timestamp) -> Result<bool, Fault> {
        let mut item = key(by_id(connection));
        item.insert("user".to_owned(), text(user.as_str()));
        item.insert("expires".to_owned(), number(expires.as_second()));
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = put.condition_expression(IS_FREE).expression_attribute_names("#user", "user");
        match put.expression_attribute_values(":user", text(user.as_str())).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(error.as_service_error()) => Ok(false),
            Err(error) => Err(Fault::of("writing a connection", &error)),
        }
    }

    /// Lets a connection hear of its user's events from now on. `false` says that it has ended or expired, or was
    /// never made.
    pub async fn listen(&self, connection: &str, now: Timestamp) -> Result<bool, Fault> {
        let Some((user, expires)) = self.open(connection, now).await? else { return Ok(false) };
        let mut listener = key(by_user(&user, connection));
        listener.insert("since".to_owned(), number(now.as_millisecond()));
        listener.insert("expires".to_owned(), number(expires));
        let check = ConditionCheck::builder().table_name(&self.name).set_key(Some(key(by_id(connection))));
        let check = check.condition_expression(IS_OPEN).build();
        let put = Put::builder().table_name(&self.name).set_item(Some(listener)).build();
        let (check, put) = check.and_then(|check| Ok((check, put?))).map_err(unbuilt)?;
        let write = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .transact_items(TransactWriteItem::builder().put(put).build());
        match write.send().await {
            Ok(_) => {}
            Err(error) if has_ended(error.as_service_error()) => return Ok(false),
            Err(error) => return Err(Fault::of("writing a listener", &error)),
        }
        self.trim(&user, connection, now).await?;
        Ok(true)
    }

    /// Whether a connection is still to be: neither ended nor expired.
    pub async fn is_connected(&self, connection: &str, now: Timestamp) -> Result<bool, Fault> {
        Ok(self.open(connection, now).await?.is_some())
    }

    /// Ends a connection, known or not.
    pub async fn disconnect(&self, connection: &str, now: Timestamp) -> Result<(), Fault> {
        match self.bury(connection, now).await? {
            Some(user) => self.unlisten(&user, connection).await,
            None => Ok(()),
        }
    }

    /// Ends a connection of this user's that is found to be gone.
    pub async fn forget(&self, user: &UserId, connection: &str, now: Timestamp) -> Result<(), Fault> {
        self.bury(connection, now).await?;
        self.unlisten(user, connection).await
    }

    /// The connections on which a user's pages listen, the newest first, up to [`MAX_CONNECTIONS`]; of these, the
    /// ones that have done so since `began_by` or before.
    pub async fn connections(
        &self,
        user: &UserId,
        began_by: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<String>, Fault> {
        let (live, _) = self.listeners(user, now).await?;
        let newest = live.into_iter().take(MAX_CONNECTIONS);
        let old = newest.filter(|(since, _)| since.is_none_or(|since| since <= began_by.as_millisecond()));
        Ok(old.map(|(_, id)| id).collect())
    }

    /// Whose connection this is and when it expires, while it is open.
    async fn open(&self, connection: &str, now: Timestamp) -> Result<Option<(UserId, i64)>, Fault> {
        let read = self.client.get_item().table_name(&self.name).set_key(Some(key(by_id(connection))));
        let answer = read.consistent_read(true).send().await;
        let answer = answer.map_err(|error| Fault::of("reading a connection", &error))?;
        let Some(item) = answer.item.filter(|item| !item.contains_key("ended")) else { return Ok(None) };
        let expires = whole(&item, "expires").filter(|expires| *expires > now.as_second());
        Ok(user_of(&item).zip(expires))
    }

    /// Puts a tombstone over a connection; gives the user who had it.
    async fn bury(&self, connection: &str, now: Timestamp) -> Result<Option<UserId>, Fault> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(tombstone(connection, now)));
        let answer = put.return_values(ReturnValue::AllOld).send().await;
        let answer = answer.map_err(|error| Fault::of("ending a connection", &error))?;
        Ok(answer.attributes().and_then(user_of))
    }

    async fn unlisten(&self, user: &UserId, connection: &str) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.name);
        let delete = delete.set_key(Some(key(by_user(user, connection)))).send().await;
        delete.map_err(|error| Fault::of("ending a listener", &error))?;
        Ok(())
    }

    /// Removes listeners that have expired or are over the most, as many as go into one call. Each that comes removes
    /// more than itself, and begins at a place of its own, so that many at the same moment do not all remove the
    /// same ones: there are never many more than may be.
    async fn trim(&self, user: &UserId, newest: &str, now: Timestamp) -> Result<(), Fault> {
        let (mut live, expired) = self.listeners(user, now).await?;
        let mut over = live.split_off(live.len().min(MAX_CONNECTIONS));
        over.extend(expired);
        if over.is_empty() {
            return Ok(());
        }
        let start = newest.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let many = over.len();
        over.rotate_left(start % many);
        let mut writes = Vec::new();
        for (_, connection) in over.iter().take(MAX_BATCH / 2) {
            let bury = PutRequest::builder().set_item(Some(tombstone(connection, now))).build();
            writes.push(WriteRequest::builder().put_request(bury.map_err(unbuilt)?).build());
            let delete = DeleteRequest::builder().set_key(Some(key(by_user(user, connection)))).build();
            writes.push(WriteRequest::builder().delete_request(delete.map_err(unbuilt)?).build());
        }
        let write = self.client.batch_write_item().request_items(&self.name, writes);
        // What the table did not get to, the next one removes.
        write.send().await.map_err(|error| Fault::of("removing listeners", &error))?;
        Ok(())
    }

    /// A user's listeners: those that are, the newest first, and those that have expired, each with the time since
    /// when. One page, of 1 MB: some thousands. What a flood might add beyond costs nobody another read.
    async fn listeners(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Result<(Vec<Listener>, Vec<Listener>), Fault> {
        let query = self.client.query().table_name(&self.name).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk");
        let page = query.expression_attribute_values(":pk", text(by_user(user, "").0)).send().await;
        let page = page.map_err(|error| Fault::of("reading listeners", &error))?;
        let (mut live, mut expired) = (Vec::new(), Vec::new());
        for item in page.items() {
            let id = item.get("sk").and_then(|sk| sk.as_s().ok()?.strip_prefix("CONNECTION#"));
            let Some(id) = id.map(str::to_owned) else { continue };
            let is_live = whole(item, "expires").is_some_and(|end| end > now.as_second());
            if is_live { &mut live } else { &mut expired }.push((whole(item, "since"), id));
        }
        live.sort_unstable_by(|one, other| other.cmp(one));
        Ok((live, expired))
    }
}

fn by_id(connection: &str) -> (String, String) {
    (format!("CONNECTION#{connection}"), "CONNECTION".to_owned())
}

fn by_user(user: &UserId, connection: &str) -> (String, String) {
    (format!("LISTENERS#{user}"), format!("CONNECTION#{connection}"))
}

fn key((pk, sk): (String, String)) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

fn tombstone(connection: &str, now: Timestamp) -> Item {
    let mut item = key(by_id(connection));
    item.insert("ended".to_owned(), AttributeValue::Bool(true));
    item.insert("expires".to_owned(), number((now + TOMBSTONE).as_second()));
    item
}

fn user_of(item: &Item) -> Option<UserId> {
    UserId::new(item.get("user")?.as_s().ok()?.clone()).ok()
}

fn whole(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn is_condition(error: Option<&PutItemError>) -> bool {
    error.is_some_and(PutItemError::is_conditional_check_failed_exception)
}

/// Whether a transaction was cancelled for its condition, not for a conflict or a throttle.
fn has_ended(error: Option<&TransactWriteItemsError>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error else { return false };
    cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err has it")]
fn unbuilt(error: aws_sdk_dynamodb::error::BuildError) -> Fault {
    Fault::Retry(error.to_string())
}
