//! Which receiver, which Smile, and whose credentials.

use std::sync::Arc;

use anyhow::{Context, bail};
use shared::registration::{Desired, EventTypes, Registrar, Vault};
use shared::smile_api::{Client, Credentials, OPEN, SecretText, Settings, SystemPace};

use super::told;
use crate::cli::Usage;
use crate::operator::{Deployed, OperatorArgs};
use crate::simulate::DEFAULT_KEY;
use crate::ui::say;

/// The API of `smile simulate`, where it listens unless told otherwise.
const SIMULATOR: &str = "http://127.0.0.1:4580/v1";

/// Options of every `smile register` command.
#[derive(Debug, clap::Args)]
pub struct SettingArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// Smile's API [default: the stack's; for the local cloud, a simulator's]
    #[arg(long, value_name = "URL", env = "SMILE_API_URL", help_heading = "Smile")]
    api_url: Option<String>,
    /// The API key; better set in the variable
    #[arg(long, env = "SMILE_API_KEY", hide_env_values = true, value_name = "KEY", help_heading = "Smile")]
    api_key: Option<String>,
    /// Its secret; better set in the variable
    #[arg(
        long,
        env = "SMILE_API_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        help_heading = "Smile"
    )]
    api_secret: Option<String>,
    /// The registration's name, by which it is known as ours [default: the stack's name]
    #[arg(long, value_name = "NAME", help_heading = "What is registered")]
    name: Option<String>,
    /// Where events go [default: the stack's output `WebhookUrl`]
    #[arg(long, value_name = "URL", help_heading = "What is registered")]
    url: Option<String>,
}

/// Everything that a command needs.
pub struct Setting {
    /// Smile.
    pub client: Arc<Client>,
    /// The secrets that the functions accept.
    pub vault: Vault,
    /// What should be registered, with the secret that is the current one now.
    pub desired: Desired,
    /// The stack's own domain name, where another URL is registered.
    pub domain: Option<Domain>,
}

/// A domain name of the stack's own, at which nothing is registered.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The webhook's URL there.
    pub url: String,
    /// The name that its DNS record must point to.
    pub target: String,
}

impl SettingArgs {
    /// Reaches receiver and Smile.
    pub async fn reach(&self) -> anyhow::Result<Setting> {
        self.setting(self.operator.deployed().await?).await
    }

    /// The same, unless a deployment is under way, which may be about to change the same things.
    pub async fn reach_to_change(&self) -> anyhow::Result<Setting> {
        let stack = self.operator.deployed().await?;
        if stack.status.ends_with("_IN_PROGRESS") {
            bail!("the stack {} is being deployed ({}): try again afterwards", stack.name, stack.status);
        }
        self.setting(stack).await
    }

    async fn setting(&self, stack: Deployed) -> anyhow::Result<Setting> {
        let vault = Vault::new(&stack.sdk, stack.output("SecretArn")?);
        let credentials = self.credentials(&stack).await?;
        let settings = Settings::new(self.api_url(&stack), credentials);
        let client = Arc::new(Client::new(&settings, SystemPace::start())?);
        let types: EventTypes =
            stack.parameter("SmileEventTypes").map_or(Ok(EventTypes::all()), str::parse)?;
        let include_payload = stack.parameter("SmileIncludePayload") == Some("true");
        let (document, _) = vault.read().await?;
        let desired = Desired::new(
            self.name.as_deref().unwrap_or(&stack.name),
            match &self.url {
                Some(url) => url,
                None => stack.output("WebhookUrl")?,
            },
            types,
            include_payload,
            document.current().clone(),
        )?;
        let domain = stack.optional("DomainUrl").zip(stack.optional("DomainTarget"));
        let domain = domain.filter(|(url, _)| *url != desired.url());
        let domain = domain.map(|(url, target)| Domain { url: url.to_owned(), target: target.to_owned() });
        Ok(Setting { client, vault, desired, domain })
    }

    /// Given, of the stack, or a simulator's: the local cloud never asks the real Smile by itself.
    fn api_url(&self, stack: &Deployed) -> String {
        let given = self.api_url.as_deref().filter(|url| !url.is_empty());
        let of_stack = stack.parameter("SmileApiUrl").filter(|url| !stack.is_local() || *url != OPEN);
        let default = if stack.is_local() { SIMULATOR } else { OPEN };
        given.or(of_stack).unwrap_or(default).to_owned()
    }

    async fn credentials(&self, stack: &Deployed) -> anyhow::Result<Credentials> {
        let given =
            |value: &Option<String>| value.clone().filter(|value| !value.is_empty()).map(SecretText::new);
        match (given(&self.api_key), given(&self.api_secret)) {
            (Some(key), Some(secret)) => return Ok(Credentials { key, secret }),
            (None, None) => {}
            _ => return Err(Usage::new("SMILE_API_KEY and SMILE_API_SECRET go together").into()),
        }
        if let Some(arn) = stack.parameter("SmileCredentialsSecretArn") {
            let text = Vault::new(&stack.sdk, arn)
                .text()
                .await
                .context("the secret of SmileCredentialsSecretArn")?;
            return Ok(Credentials::from_document(&text)?);
        }
        if stack.is_local() {
            let simulator = SecretText::new(DEFAULT_KEY);
            return Ok(Credentials { key: simulator.clone(), secret: simulator });
        }
        Err(Usage::new(format!(
            "there are no credentials for Smile's API: set SMILE_API_KEY and SMILE_API_SECRET, or give the stack {} its parameter SmileCredentialsSecretArn",
            stack.name
        ))
        .into())
    }
}

impl Setting {
    /// A registrar that says nothing.
    pub(super) fn registrar(&self) -> Registrar {
        Registrar::new(Arc::clone(&self.client), |_| true)
    }

    /// A registrar that tells what it changes.
    pub(super) fn telling(&self) -> Registrar {
        Registrar::new(Arc::clone(&self.client), |call| {
            if let Some(told) = told(call) {
                say(&format!("  {told}"));
            }
            true
        })
    }
}
