//! Which receiver an operator's command is about: one on AWS, by its stack, or the local cloud.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudformation::error::DisplayErrorContext;
use shared::aws::{Patience, Settings, config, http_client};
use shared::queue::Queue;
use shared::table::Table;

use crate::cli::LocalArgs;

/// Options of every command that looks after a receiver.
#[derive(Debug, clap::Args)]
pub struct OperatorArgs {
    /// A deployed stack on AWS, by name; without it, the local cloud
    #[arg(long, value_name = "NAME", env = "SMILE_STACK")]
    stack: Option<String>,
    /// The profile of your AWS credentials
    #[arg(long, value_name = "NAME", requires = "stack")]
    profile: Option<String>,
    /// The stack's region
    #[arg(long, value_name = "REGION", requires = "stack")]
    region: Option<String>,
    #[command(flatten)]
    local: LocalArgs,
}

/// A receiver's table and queue, as somebody with credentials reaches them.
pub struct Receiver {
    /// The table.
    pub table: Table,
    /// The queue of webhooks.
    pub queue: Queue,
}

const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(10),
    operation: Duration::from_secs(30),
    attempts: 5,
};

impl OperatorArgs {
    /// Reaches the receiver.
    pub async fn receiver(&self) -> anyhow::Result<Receiver> {
        let Some(name) = self.stack.as_deref().filter(|name| !name.is_empty()) else {
            let Some(stack) = self.local.stack()? else {
                bail!(
                    "no local cloud is running here: start one with cargo dev, or name a stack on AWS with --stack"
                );
            };
            let sdk = config(
                Settings::at(
                    &stack.aws_endpoint,
                    &stack.region,
                    &stack.access_key_id,
                    &stack.secret_access_key,
                ),
                PATIENCE,
            )?;
            return Ok(Receiver {
                table: Table::new(&sdk, stack.table),
                queue: Queue::new(&sdk, stack.queue_url),
            });
        };
        let sdk = self.sdk().await?;
        let answer =
            aws_sdk_cloudformation::Client::new(&sdk).describe_stacks().stack_name(name).send().await;
        let answer = answer.map_err(|error| {
            anyhow::anyhow!("the stack {name} cannot be looked up: {}", DisplayErrorContext(error))
        })?;
        let outputs = answer.stacks().first().map_or(&[][..], |stack| stack.outputs());
        let output = |key: &str| {
            outputs
                .iter()
                .find(|output| output.output_key() == Some(key))
                .and_then(|output| output.output_value())
                .with_context(|| format!("the stack {name} has no output {key}: is it this project's?"))
        };
        Ok(Receiver {
            table: Table::new(&sdk, output("TableName")?),
            queue: Queue::new(&sdk, output("QueueUrl")?),
        })
    }

    async fn sdk(&self) -> anyhow::Result<SdkConfig> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(None)?);
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        Ok(loader.load().await)
    }
}
