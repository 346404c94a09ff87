//! Which receiver an operator's command is about: one on AWS, by its stack, or the local cloud.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudformation::error::DisplayErrorContext;
use shared::aws::{Patience, Settings, config, http_client};
use shared::queue::Queue;
use shared::table::Table;

use crate::cli::LocalArgs;
use crate::dev;
use crate::stack::Stack;

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

/// A receiver's stack, as CloudFormation tells of it.
pub struct Deployed {
    /// The stack's name.
    pub name: String,
    /// Its state, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// Whether it is the local cloud's.
    pub is_local: bool,
    /// A way to its services, with the operator's credentials.
    pub sdk: SdkConfig,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl Deployed {
    /// The local cloud's, as far as its file tells of it.
    pub fn of_local(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self {
            name: dev::STACK.to_owned(),
            status: String::new(),
            is_local: true,
            sdk: stack.sdk()?,
            parameters: BTreeMap::new(),
            outputs: stack.outputs.clone(),
        })
    }

    /// A parameter that has a value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An output that every stack of this project has.
    pub fn output(&self, name: &str) -> anyhow::Result<&str> {
        let output = self.outputs.get(name).map(String::as_str);
        output.with_context(|| format!("the stack {} has no output {name}: is it this project's?", self.name))
    }

    /// An output that not every stack has.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An output that stands for a part which not every stack has, but which is needed now.
    pub fn needed(&self, name: &str, part: &str) -> anyhow::Result<&str> {
        self.optional(name).with_context(|| {
            format!(
                "the stack {} has no {part} (its output {name}): deploy the template of this version, with the \
                 parameters that it comes with",
                self.name
            )
        })
    }

    /// Its table and the queue of webhooks.
    pub fn receiver(&self) -> anyhow::Result<Receiver> {
        Ok(Receiver { table: self.table()?, queue: Queue::new(&self.sdk, self.output("QueueUrl")?) })
    }

    /// Its table.
    pub fn table(&self) -> anyhow::Result<Table> {
        Ok(Table::new(&self.sdk, self.output("TableName")?))
    }
}

impl Stack {
    /// A way to the local cloud's services.
    fn sdk(&self) -> std::io::Result<SdkConfig> {
        let (id, key) = (&self.access_key_id, &self.secret_access_key);
        config(Settings::at(&self.aws_endpoint, &self.region, id, key), PATIENCE)
    }
}

const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(10),
    operation: Duration::from_secs(30),
    attempts: 5,
};

impl OperatorArgs {
    /// A stack on AWS, whatever the variables say.
    pub fn of_stack(stack: String, profile: Option<String>, region: Option<String>) -> Self {
        Self { stack: Some(stack), profile, region, local: LocalArgs { dir: None } }
    }

    /// Reaches the receiver.
    pub async fn receiver(&self) -> anyhow::Result<Receiver> {
        if self.stack().is_none() {
            let (stack, sdk) = self.local()?;
            return Ok(Receiver {
                table: Table::new(&sdk, stack.table),
                queue: Queue::new(&sdk, stack.queue_url),
            });
        }
        self.deployed().await?.receiver()
    }

    /// These options as they are typed, for a command that is to go on with the same receiver.
    pub fn words(&self) -> Vec<String> {
        let option = |name: &str, value: Option<String>| value.map(|value| format!("--{name} {value}"));
        let dir = self.local.dir.as_ref().map(|dir| dir.display().to_string());
        let given = [
            option("stack", self.stack().map(str::to_owned)),
            option("profile", self.profile.clone()),
            option("region", self.region.clone()),
            option("dir", dir),
        ];
        given.into_iter().flatten().collect()
    }

    /// Looks the receiver's stack up.
    pub async fn deployed(&self) -> anyhow::Result<Deployed> {
        let (name, sdk) = match self.stack() {
            Some(name) => (name, self.sdk().await?),
            None => (dev::STACK, self.local()?.1),
        };
        let answer =
            aws_sdk_cloudformation::Client::new(&sdk).describe_stacks().stack_name(name).send().await;
        let answer = answer.map_err(|error| {
            anyhow::anyhow!("the stack {name} cannot be looked up: {}", DisplayErrorContext(error))
        })?;
        let stack = answer.stacks().first().with_context(|| format!("there is no stack {name}"))?;
        let status = stack.stack_status().map_or_else(String::new, |status| status.as_str().to_owned());
        let parameters = stack.parameters().iter().filter_map(|parameter| {
            Some((parameter.parameter_key()?.to_owned(), parameter.parameter_value()?.to_owned()))
        });
        let outputs = stack
            .outputs()
            .iter()
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())));
        Ok(Deployed {
            name: name.to_owned(),
            status,
            is_local: self.stack().is_none(),
            parameters: parameters.collect(),
            outputs: outputs.collect(),
            sdk,
        })
    }

    fn stack(&self) -> Option<&str> {
        self.stack.as_deref().filter(|name| !name.is_empty())
    }

    /// The local cloud, which must be running.
    fn local(&self) -> anyhow::Result<(Stack, SdkConfig)> {
        let Some(stack) = self.local.stack()? else {
            bail!(
                "no local cloud is running here: start one with cargo dev, or name a stack on AWS with --stack"
            );
        };
        let sdk = stack.sdk()?;
        Ok((stack, sdk))
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
