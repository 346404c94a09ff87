//! The document of secrets in Secrets Manager, for those who change it.
//!
//! Secrets Manager has no condition on writing a value. It has one on moving a label: a new version is stored
//! beside the one in use, and then `AWSCURRENT` is moved to it *from the version that was read*, which fails
//! when it is not there any more (Secrets Manager, `UpdateSecretVersionStage`). So of two who change the
//! document at once one is told, and nobody's secret is lost.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;

use super::document::Document;
use crate::aws::told_by_code;
use crate::secrets::UnusableSecrets;

/// The label in use.
const CURRENT: &str = "AWSCURRENT";

/// The label of a version that is about to be the current one. One that was never used goes with its label.
const NEXT: &str = "SMILE_NEXT";

/// Reads and changes one secret.
#[derive(Clone)]
pub struct Vault {
    client: Client,
    arn: String,
}

/// The version of a document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// Why a document was not read or written. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum NoVault {
    /// Secrets Manager did not do it.
    #[error("Secrets Manager failed: {0}")]
    Unavailable(String),
    /// It is not the document of secrets.
    #[error("the secret in Secrets Manager cannot be used: {0}")]
    Unusable(#[from] UnusableSecrets),
    /// Somebody else has changed it since it was read.
    #[error("somebody else has changed the secret in Secrets Manager at the same time: run this again")]
    Changed,
}

impl Vault {
    /// The secret with this ARN or name.
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self { client: Client::new(config), arn: arn.into() }
    }

    /// The text, whatever it is.
    pub async fn text(&self) -> Result<String, NoVault> {
        Ok(self.get().await?.0)
    }

    /// The document as it is now, and its version.
    pub async fn read(&self) -> Result<(Document, Version), NoVault> {
        let (text, version) = self.get().await?;
        Ok((Document::parse(&text)?, version))
    }

    /// Replaces the version that was read. After an error other than [`NoVault::Changed`] it may have been
    /// replaced or not: [`Vault::read`] tells.
    pub async fn replace(&self, read: &Version, document: &Document) -> Result<(), NoVault> {
        let stored = self
            .client
            .put_secret_value()
            .secret_id(&self.arn)
            .secret_string(document.to_text())
            .version_stages(NEXT)
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        let stored =
            stored.version_id().ok_or_else(|| NoVault::Unavailable("it named no version".to_owned()))?;
        let moved = self
            .client
            .update_secret_version_stage()
            .secret_id(&self.arn)
            .version_stage(CURRENT)
            .move_to_version_id(stored)
            .remove_from_version_id(&read.0)
            .send()
            .await;
        let Err(error) = moved else { return Ok(()) };
        // A try whose answer was lost may have moved it, and the next one then finds it moved.
        match self.get().await?.1 {
            Version(current) if current == stored => Ok(()),
            current if current == *read => Err(unavailable(&error)),
            _ => Err(NoVault::Changed),
        }
    }

    async fn get(&self) -> Result<(String, Version), NoVault> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        let part = |part: Option<&str>, what: &str| {
            part.map(str::to_owned).ok_or_else(|| NoVault::Unavailable(what.to_owned()))
        };
        let text = part(answer.secret_string(), "the secret is binary")?;
        Ok((text, Version(part(answer.version_id(), "it named no version")?)))
    }
}

fn unavailable<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> NoVault {
    NoVault::Unavailable(told_by_code(error))
}
