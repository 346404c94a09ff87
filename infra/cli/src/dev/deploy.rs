//! Deploys the template to the local cloud: code to S3, the stack through CloudFormation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_cloudformation::error::DisplayErrorContext;
use aws_sdk_cloudformation::types::{Capability, OnFailure, Parameter, StackEvent};
use serde_json::{Value, json};
use shared::aws::{Patience, Settings};
use shared::smile_api::Credentials;

use super::process::Access;
use super::{listen, package};
use crate::clock;
use crate::sigv4::Signer;
use crate::stack::Stack;
use crate::template::{self, Function};
use crate::ui::Step;

/// The stack's name, from which the template makes the names of functions and queues.
pub(crate) const STACK: &str = "smile";

/// The bucket of the functions' code and of templates.
pub const BUCKET: &str = "smile-dev";

/// The secret with the credentials of the simulator beside the cloud.
const CREDENTIALS: &str = "smile-simulator";

/// How long the stack may take. It takes a few seconds; on a busy machine more.
const DEADLINE: Duration = Duration::from_mins(3);

/// How long one upload may take.
const UPLOAD: Duration = Duration::from_mins(1);

const PAUSE: Duration = Duration::from_millis(100);

/// Clients of the local cloud, and of nothing else: endpoint and credentials are explicit.
pub(super) struct Deployment {
    s3: LocalS3,
    cloudformation: aws_sdk_cloudformation::Client,
    secrets: aws_sdk_secretsmanager::Client,
}

impl Deployment {
    pub(super) fn new(access: &Access) -> anyhow::Result<Self> {
        let endpoint = access.endpoint();
        let settings = Settings::at(&endpoint, access.region, access.key_id, &access.secret_key);
        let patience = Patience {
            connect: Duration::from_secs(2),
            attempt: Duration::from_mins(1),
            operation: Duration::from_mins(1),
            attempts: 1,
        };
        let config = shared::aws::config(settings, patience)?;
        Ok(Self {
            s3: LocalS3::new(&endpoint, Signer::new(access.region, access.key_id, &access.secret_key)),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        })
    }

    /// Packs and uploads the functions' code, and points the template to it.
    pub(super) async fn upload(
        &self,
        template: &mut Value,
        functions: &[Function],
        binaries: &BTreeMap<String, PathBuf>,
        step: &Step,
    ) -> anyhow::Result<()> {
        self.s3.create_bucket().await?;
        for function in functions {
            step.note(format!("Deploying: uploading {}", function.binary));
            let path = binaries.get(&function.binary).context("a function was not built")?;
            let binary = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let code = package::pack(&binary)?;
            let key = format!("{}.zip", function.binary);
            self.s3.put(&key, code).await?;
            template::set_code(template, function, BUCKET, &key);
        }
        Ok(())
    }

    /// Creates the stack and waits for it; gives its outputs and the number of its resources.
    pub(super) async fn create(
        &self,
        template: &Value,
        parameters: &[(String, String)],
        step: &Step,
    ) -> anyhow::Result<(BTreeMap<String, String>, usize)> {
        step.note("Deploying: making the stack".to_owned());
        // Through S3, where a template may be larger than in the call.
        let template_url = self.s3.put("template.json", serde_json::to_vec(template)?).await?;
        let parameters = parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build())
            .collect();
        self.cloudformation
            .create_stack()
            .stack_name(STACK)
            .template_url(template_url)
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityNamedIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .on_failure(OnFailure::DoNothing)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("the template was refused: {}", refusal(&error)))?;
        self.settled(step).await
    }

    async fn settled(&self, step: &Step) -> anyhow::Result<(BTreeMap<String, String>, usize)> {
        let mut waited = Duration::ZERO;
        loop {
            let answer =
                self.cloudformation.describe_stacks().stack_name(STACK).send().await.map_err(unanswered)?;
            let stack = answer.stacks().first().context("the local CloudFormation has lost the stack")?;
            let events = self.events().await?;
            let done: BTreeSet<&str> = events
                .iter()
                .filter(|event| status(event) == "CREATE_COMPLETE")
                .filter_map(StackEvent::logical_resource_id)
                .filter(|name| *name != STACK)
                .collect();
            match stack.stack_status().map_or("", aws_sdk_cloudformation::types::StackStatus::as_str) {
                "CREATE_COMPLETE" => {
                    let outputs = stack.outputs().iter().filter_map(|output| {
                        Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
                    });
                    return Ok((outputs.collect(), done.len()));
                }
                "CREATE_IN_PROGRESS" if waited < DEADLINE => {
                    let latest = events.first().and_then(StackEvent::logical_resource_id).unwrap_or_default();
                    step.note(format!("Deploying: {} resources so far, {latest}", done.len()));
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                "CREATE_IN_PROGRESS" => bail!("the stack is not ready after {} s", DEADLINE.as_secs()),
                other => match first_failure(&events) {
                    Some(failure) => bail!("the template was refused: {failure}"),
                    None => bail!(
                        "the template was refused: the stack is {other}: {}",
                        stack.stack_status_reason().unwrap_or("no reason was given")
                    ),
                },
            }
        }
    }

    /// The stack's events, the latest first.
    async fn events(&self) -> anyhow::Result<Vec<StackEvent>> {
        let pages = self.cloudformation.describe_stack_events().stack_name(STACK).into_paginator();
        pages.items().send().collect::<Result<_, _>>().await.map_err(unanswered)
    }

    /// Puts credentials of Smile's API into a secret, from which the stack's functions read them.
    pub(super) async fn keep_credentials(&self, credentials: &Credentials) -> anyhow::Result<String> {
        let document =
            json!({ "key": credentials.key.expose(), "secret": credentials.secret.expose() }).to_string();
        let create = self.secrets.create_secret().name(CREDENTIALS).secret_string(document);
        let answer = create.send().await.map_err(|error| {
            anyhow::anyhow!("the local Secrets Manager took no secret: {}", DisplayErrorContext(error))
        })?;
        answer.arn().map(str::to_owned).context("the local Secrets Manager gave a secret no ARN")
    }

    /// The webhook's current secret.
    pub(super) async fn secret(&self, arn: &str) -> anyhow::Result<String> {
        let answer = self.secrets.get_secret_value().secret_id(arn).send().await.map_err(|error| {
            anyhow::anyhow!(
                "the local Secrets Manager did not give the secret: {}",
                DisplayErrorContext(error)
            )
        })?;
        let document: Value = serde_json::from_str(answer.secret_string().unwrap_or_default())
            .context("the webhook's secret is not JSON")?;
        let current = document["current"].as_str().context("the webhook's secret has no \"current\"")?;
        Ok(current.to_owned())
    }
}

/// The local cloud's S3, as far as a deployment needs it.
pub struct LocalS3 {
    bucket_url: String,
    signer: Signer,
}

impl LocalS3 {
    fn new(endpoint: &str, signer: Signer) -> Self {
        Self { bucket_url: format!("{endpoint}/{BUCKET}"), signer }
    }

    /// The S3 of a running local cloud, whose bucket is there.
    pub fn of_stack(stack: &Stack) -> Self {
        Self::new(&stack.aws_endpoint, Signer::of_stack(stack))
    }

    async fn create_bucket(&self) -> anyhow::Result<()> {
        self.send(self.bucket_url.clone(), Vec::new()).await.context("the local S3 gave no bucket")
    }

    /// Stores an object; returns its URL.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
        let url = format!("{}/{key}", self.bucket_url);
        let sent = self.send(url.clone(), bytes).await;
        sent.with_context(|| format!("the local S3 did not take {key}"))?;
        Ok(url)
    }

    async fn send(&self, url: String, bytes: Vec<u8>) -> anyhow::Result<()> {
        let request = self.signer.sign("s3", http::Request::put(url).body(bytes)?, clock::now())?;
        tokio::task::spawn_blocking(move || listen::agent(UPLOAD).run(request)).await??;
        Ok(())
    }
}

fn status(event: &StackEvent) -> &str {
    event.resource_status().map_or("", aws_sdk_cloudformation::types::ResourceStatus::as_str)
}

/// The resource that failed by itself: others fail because it did.
fn first_failure(events: &[StackEvent]) -> Option<String> {
    let failed = events
        .iter()
        .rev()
        .filter(|event| status(event).ends_with("_FAILED") && event.logical_resource_id() != Some(STACK));
    let told = |event: &StackEvent| {
        format!(
            "{} ({}): {}",
            event.logical_resource_id().unwrap_or("a resource"),
            event.resource_type().unwrap_or("of no type"),
            event.resource_status_reason().unwrap_or("no reason was given")
        )
    };
    failed.map(told).find(|failure| !failure.contains("cancelled"))
}

/// CloudFormation's own sentence, where there is one.
fn refusal<E>(error: &E) -> String
where
    E: aws_sdk_cloudformation::error::ProvideErrorMetadata + std::error::Error,
{
    error.message().map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned)
}

fn unanswered<E: std::error::Error>(error: E) -> anyhow::Error {
    anyhow::anyhow!("the local CloudFormation did not answer: {}", DisplayErrorContext(error))
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::ResourceStatus;

    use super::*;

    fn event(resource: &str, status: ResourceStatus, reason: &str) -> StackEvent {
        StackEvent::builder()
            .logical_resource_id(resource)
            .resource_type("AWS::SQS::Queue")
            .resource_status(status)
            .resource_status_reason(reason)
            .build()
    }

    #[test]
    fn names_the_resource_that_failed_first() {
        let latest_first = [
            event(
                STACK,
                ResourceStatus::CreateFailed,
                "The following resource(s) failed to create: [Queue].",
            ),
            event("Other", ResourceStatus::CreateFailed, "Resource creation cancelled"),
            event("Queue", ResourceStatus::CreateFailed, "no such attribute"),
            event("Table", ResourceStatus::CreateComplete, ""),
        ];
        assert_eq!(first_failure(&latest_first).unwrap(), "Queue (AWS::SQS::Queue): no such attribute");
        assert_eq!(first_failure(&latest_first[3..]), None);
    }
}
