//! Secrets in Secrets Manager: those of webhooks and of sessions.

use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;

use crate::aws::told;
use crate::secrets::{SecretSet, UnusableSecrets};

/// Reads one secret.
#[derive(Clone)]
pub struct SecretStore {
    client: Client,
    arn: String,
    name: &'static str,
}

/// Why the secret could not be had. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum NoSecret {
    /// Secrets Manager did not give it.
    #[error("Secrets Manager did not give the secret: {0}")]
    Unavailable(String),
    /// It is there, but cannot be used.
    #[error("the secret in Secrets Manager cannot be used: {0}")]
    Unusable(#[from] UnusableSecrets),
}

impl SecretStore {
    /// A reader of the secret with this ARN or name.
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self { client: Client::new(config), arn: arn.into(), name: "the secret" }
    }

    /// The same, called so in a log.
    #[must_use]
    pub fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// What it is called in a log.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Fetches the secret as it is now.
    pub async fn fetch(&self) -> Result<SecretSet, NoSecret> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .send()
            .await
            .map_err(|error| NoSecret::Unavailable(told(&error)))?;
        let text = answer.secret_string().ok_or_else(|| NoSecret::Unavailable("it is binary".to_owned()))?;
        Ok(SecretSet::from_document(text)?)
    }
}
