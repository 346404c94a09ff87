//! What a browser claims, held against what the server has said.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::fault::Fault;
use super::{Item, Table, fixed, number, text};
use crate::id::{AccountId, UserId};
use crate::state::view::StateView;
use crate::state::{Entity, State, UNCONFIRMED};

/// Whether the server has said what a browser claimed: that an account is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It has, or it has said something else since, which is its right.
    Told,
    /// It has not. The claim now says so.
    Missing {
        /// Whether that is new: a look can be repeated by the queue.
        first: bool,
    },
    /// There is no such claim (any more).
    Moot,
}

/// The register of a claim that the account is connected.
const CONNECTED: &str = "connected";

impl Table {
    /// Looks whether the server has confirmed the connection that this user's browser claimed, and writes
    /// down on the claim when it has not. Not part of the fold: it says what was there at one moment.
    pub async fn confirm(
        &self,
        user: &UserId,
        account: &AccountId,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Confirmation, Fault> {
        let claim = Entity::Claim(user.clone(), account.clone());
        let (mut state, mut claimed) = (State::default(), None);
        for keys in [Some(claim.keys()), claim.old_keys()].into_iter().flatten() {
            let Some(mut item) = self.claim_item(&keys).await? else { continue };
            // Whatever the browser has said since: this is about the connection.
            item.retain(|name, _| matches!(name.as_str(), "pk" | "sk" | CONNECTED));
            let version = item.get(CONNECTED).and_then(|it| it.as_m().ok()?.get("v")?.as_s().ok()).cloned();
            // Of two, the one that is shown.
            claimed = claimed.max(version.map(|version| (version, keys)));
            super::read::insert(&mut state, &item)?;
        }
        // Nothing of the vendor's is read for a claim that is not there.
        let Some((version, keys)) = claimed else { return Ok(Confirmation::Moot) };
        let account = Entity::Account(user.clone(), account.clone());
        if let Some(item) = self.claim_item(&account.keys()).await? {
            super::read::insert(&mut state, &item)?;
        }
        let view = StateView::from(&state);
        let seen = view.users.values().flat_map(|user| &user.accounts).next();
        match seen.and_then(|account| account.claim.as_ref()) {
            Some(claimed) if claimed.differs_since.is_some() => {
                self.mark_unconfirmed(keys, text(version), now, expires).await
            }
            Some(_) => Ok(Confirmation::Told),
            None => Ok(Confirmation::Moot),
        }
    }

    async fn claim_item(&self, (pk, sk): &(String, String)) -> Result<Option<Item>, Fault> {
        let read = self.client.get_item().table_name(&self.name).key("pk", text(pk)).key("sk", text(sk));
        let read = read.consistent_read(true).send().await;
        Ok(read.map_err(|error| Fault::of("reading a claim", &error))?.item)
    }

    async fn mark_unconfirmed(
        &self,
        (pk, sk): (String, String),
        version: AttributeValue,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Confirmation, Fault> {
        // In the form of a register, so that readers need know no other.
        let mark = Item::from([
            ("v".to_owned(), text(format!("{}|0|-|-", fixed(now)))),
            ("at".to_owned(), text(fixed(now))),
            // Which claim: a later one is looked at anew.
            ("of".to_owned(), version.clone()),
        ]);
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .update_expression("SET #mark = :mark, #expires = :expires")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(#mark) OR #mark.#of <> :of)",
            )
            .expression_attribute_names("#mark", UNCONFIRMED)
            .expression_attribute_names("#of", "of")
            .expression_attribute_values(":of", version)
            .expression_attribute_names("#expires", "expires")
            .expression_attribute_values(":mark", AttributeValue::M(mark))
            .expression_attribute_values(":expires", number(expires.as_second()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Confirmation::Missing { first: true }),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                    Ok(Confirmation::Missing { first: false })
                }
                _ => Err(Fault::of("marking a claim", &error)),
            },
        }
    }
}
