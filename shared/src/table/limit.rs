//! How much one browser session may have stored.
//!
//! Enforced by the consumer: it alone writes what browsers said, and the table is the one place that all of its instances
//! share. The callback function has no access to the table, and a count in its memory would be evaded by requests side
//! by side.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::{Table, number, text};
use crate::state::WIDGET;

/// The most messages of one session, repeats and looks for the server's word included. A session lasts five hours at most
/// (`SessionMinutes`); a user who goes through the whole widget makes some twenty callbacks.
pub const MAX_OF_SESSION: u32 = 1000;

/// How long a session's count stays after its last message: longer than the session, and than its messages wait in a
/// queue (Amazon SQS: 14 days at most).
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 15);

impl Table {
    /// Counts one message of a session. `false` says that the session has had its share.
    pub async fn count_of_session(&self, session: &str, now: Timestamp) -> Result<bool, Fault> {
        let expires = now.saturating_add(KEPT).unwrap_or(now);
        let counted = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(format!("{WIDGET}_SESSION#{session}")))
            .key("sk", text("SESSION"))
            .update_expression("SET #expires = :expires ADD #messages :one")
            .condition_expression("attribute_not_exists(#messages) OR #messages < :most")
            .expression_attribute_names("#expires", "expires")
            .expression_attribute_names("#messages", "messages")
            .expression_attribute_values(":expires", number(expires.as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(MAX_OF_SESSION))
            .send()
            .await;
        match counted {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(Fault::of("counting a session's messages", &error)),
            },
        }
    }
}
