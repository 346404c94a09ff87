//! What the lender does about an event.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue::S;
use serde::Deserialize;
use shared::aws::{self, Patience};

use crate::ask::ReadApi;

/// An event of the bus; its schema is `functions/publish/schemas/smile.webhook/TASK_FINISHED.json`. The rule in
/// `template.yaml` lets through only what has these members.
#[derive(Deserialize)]
pub(crate) struct BusEvent {
    pub(crate) detail: TaskFinished,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskFinished {
    id: String,
    user_id: String,
    account_id: String,
}

pub(crate) struct Lender {
    pub(crate) read_api: ReadApi,
    pub(crate) dynamodb: Client,
    pub(crate) table: String,
}

/// Within the function's time-out of 30 seconds, beside [`crate::ask::PATIENCE`].
pub(crate) const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(10),
    attempts: 3,
};

impl Lender {
    /// Puts the application on the list of those to be decided. An error has Lambda try again, and then keep the
    /// event in the dead letter queue.
    pub(crate) async fn act(&self, event: &TaskFinished) -> anyhow::Result<()> {
        let known = self.read_api.user(&event.user_id).await;
        let user = known.with_context(|| format!("event {}", event.id))?;
        let account = user.account(&event.account_id).with_context(|| format!("event {}", event.id))?;
        if !account.may_be_decided_on() {
            tracing::info!(event = event.id, "nothing to decide: the user has taken access back");
            return Ok(());
        }
        let item = [
            ("event", &event.id),
            ("user", &event.user_id),
            ("account", &event.account_id),
            ("account_status", &account.status),
        ];
        let item = item.map(|(name, value)| (name.to_owned(), S(value.clone()))).into();
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        match put.condition_expression("attribute_not_exists(event)").send().await {
            Ok(_) => tracing::info!(event = event.id, "to be decided"),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => {
                    tracing::info!(event = event.id, "known already");
                }
                _ => anyhow::bail!("event {}: {}", event.id, aws::told(&error)),
            },
        }
        Ok(())
    }
}
