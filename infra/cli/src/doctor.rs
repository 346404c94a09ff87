//! `smile doctor`: what a stack needs of its AWS account, and whether the account has it.
//!
//! Lambda's concurrency is one quota for all functions of an account in a region. A new account may have 10 of the usual
//! 1,000 (Lambda developer guide, "Lambda quotas"). The functions behind queues and the stream can use up as many
//! as [`Need`] says; what they leave is for the webhook function and the other functions behind APIs.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::variables::Variables;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::operator::{Deployed, OperatorArgs};
use crate::sigv4::Signer;
use crate::ui::say;

/// The concurrency of the queue of events that the bus did not take (`PublishRetrySource` in the template).
pub const PUBLISH_RETRIES: u32 = 2;

/// One execution a shard of the table's stream. A new table on demand has four partitions (DynamoDB developer guide,
/// "On-demand capacity mode": 4,000 writes a second; 1,000 a partition), and its stream as many shards. A table that has
/// grown has more.
pub const PUBLISH_SHARDS: u32 = 4;

/// The least that must be left for the functions behind APIs and for push. At the webhook API's default throttle of 100
/// requests a second, a webhook function that takes 50 ms runs five times at once.
pub const LEFT_FOR_APIS: u32 = 10;

/// The longest time that Lambda's answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Check what a stack needs of its AWS account; exit 1 when something is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It asks for lambda:GetAccountSettings beside cloudformation:DescribeStacks.

Examples:
  smile doctor --stack smile-receiver-production --region ap-southeast-1")]
pub struct Args {
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: &Args, now: Timestamp) -> anyhow::Result<ExitCode> {
    let stack = args.operator.deployed().await?;
    if stack.is_local() {
        say("the local cloud has no quotas: there is nothing to check");
        return Ok(ExitCode::SUCCESS);
    }
    let need = Need::of(&stack)?;
    let report = Report::new(need, account_limit(&stack.sdk, now).await?);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.is_enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The concurrency that the functions behind queues and the stream can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Need {
    consumer_webhooks: u32,
    consumer_callbacks: u32,
    publish_retries: u32,
    publish_stream: u32,
}

impl Need {
    fn of(stack: &Deployed) -> anyhow::Result<Self> {
        let number = |name: &str| {
            let text = stack.parameter(name).with_context(|| format!("the stack has no parameter {name}"))?;
            text.parse::<u32>().with_context(|| format!("the parameter {name} is no number"))
        };
        let has_callbacks = stack.parameter("SmileCredentialsSecretArn").is_some();
        Ok(Self {
            consumer_webhooks: number("ConsumerConcurrency")?,
            consumer_callbacks: if has_callbacks { number("CallbackConcurrency")? } else { 0 },
            publish_retries: PUBLISH_RETRIES,
            publish_stream: PUBLISH_SHARDS,
        })
    }

    fn sum(self) -> u32 {
        self.consumer_webhooks + self.consumer_callbacks + self.publish_retries + self.publish_stream
    }
}

/// Lambda's limits of an account in a region (`GetAccountSettings`).
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
struct AccountLimit {
    #[serde(rename(deserialize = "ConcurrentExecutions"))]
    concurrent_executions: u32,
    /// What no function has reserved.
    #[serde(rename(deserialize = "UnreservedConcurrentExecutions"))]
    unreserved: u32,
}

/// What is needed, and what there is.
#[derive(Debug, Clone, Copy, Serialize)]
struct Report {
    need: Need,
    sum: u32,
    left_for_apis: u32,
    account: AccountLimit,
    is_enough: bool,
}

impl Report {
    fn new(need: Need, account: AccountLimit) -> Self {
        let sum = need.sum();
        let is_enough = account.unreserved >= sum + LEFT_FOR_APIS;
        Self { need, sum, left_for_apis: account.unreserved.saturating_sub(sum), account, is_enough }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { consumer_webhooks, consumer_callbacks, publish_retries, publish_stream } = self.need;
        let AccountLimit { concurrent_executions, unreserved } = self.account;
        writeln!(f, "Lambda concurrency")?;
        writeln!(f, "  account   {concurrent_executions}, of which {unreserved} are not reserved")?;
        writeln!(
            f,
            "  needed    {} = consumer {consumer_webhooks} (ConsumerConcurrency) + {consumer_callbacks} \
             (CallbackConcurrency), publish {publish_retries} (retries) + {publish_stream} (a new table's stream)",
            self.sum
        )?;
        writeln!(
            f,
            "  left      {} for the webhook function, the other functions behind APIs, and push; {LEFT_FOR_APIS} or \
             more are needed",
            self.left_for_apis
        )?;
        if self.is_enough {
            return writeln!(f, "all is as it should be");
        }
        writeln!(
            f,
            "not right: under load the webhook function may find no concurrency left, and Smile's webhooks are answered \
             with 5xx. Ask for a quota of at least {} (Service Quotas, AWS Lambda, \"Concurrent executions\", \
             L-B99A9384). Until then keep ConsumerConcurrency and CallbackConcurrency at 2, their least",
            self.sum + LEFT_FOR_APIS + concurrent_executions.saturating_sub(unreserved)
        )
    }
}

async fn account_limit(sdk: &SdkConfig, now: Timestamp) -> anyhow::Result<AccountLimit> {
    let region = sdk.region().context("the stack's region is not known")?.as_ref();
    let provider = sdk.credentials_provider().context("there are no AWS credentials")?;
    let credentials = provider.provide_credentials().await?;
    let host = match sdk.endpoint_url() {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://lambda.{region}.amazonaws.com.cn"),
        None => format!("https://lambda.{region}.amazonaws.com"),
    };
    // The SDK's crate for Lambda is a large one to build for this one call.
    let request = http::Request::get(format!("{host}/2016-08-19/account-settings")).body(Vec::new())?;
    let request = Signer::with_credentials(region, credentials).sign("lambda", request, now)?;
    let bundle = Variables::of_process().optional("AWS_CA_BUNDLE");
    tokio::task::spawn_blocking(move || ask(request, bundle)).await?
}

fn ask(request: http::Request<Vec<u8>>, bundle: Option<String>) -> anyhow::Result<AccountLimit> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(rename = "AccountLimit")]
        account_limit: AccountLimit,
    }
    let mut config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
    if let Some(file) = bundle {
        let pem = std::fs::read(&file).with_context(|| format!("the file {file} of AWS_CA_BUNDLE"))?;
        let certificates = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let roots = RootCerts::new_with_certs(&certificates.collect::<Vec<_>>());
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.run(request).context("Lambda cannot be asked for the account's quota")?;
    match response.status().as_u16() {
        200 => {
            let settings: Settings = serde_json::from_slice(&response.body_mut().read_to_vec()?)
                .context("Lambda's answer about the account's quota cannot be read")?;
            Ok(settings.account_limit)
        }
        403 => bail!(
            "Lambda refused to tell the account's quota: these credentials need lambda:GetAccountSettings"
        ),
        status => bail!("Lambda did not tell the account's quota: status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(consumers: u32, unreserved: u32) -> Report {
        let need = Need {
            consumer_webhooks: consumers,
            consumer_callbacks: 2,
            publish_retries: PUBLISH_RETRIES,
            publish_stream: PUBLISH_SHARDS,
        };
        Report::new(need, AccountLimit { concurrent_executions: unreserved, unreserved })
    }

    #[test]
    fn says_what_a_small_account_lacks() {
        let new_account = report(2, 10);
        assert!(!new_account.is_enough);
        assert_eq!((new_account.sum, new_account.left_for_apis), (10, 0));
        assert!(new_account.to_string().contains("a quota of at least 20 "), "{new_account}");
        assert!(report(2, 20).is_enough && !report(2, 19).is_enough);
        let usual = report(100, 1000);
        assert!(usual.is_enough && usual.to_string().ends_with("all is as it should be\n"), "{usual}");
        assert!(!report(990, 1000).is_enough);
    }
}
