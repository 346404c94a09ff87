//! `smile doctor`: what a stack needs of its AWS account, and whether the account has it.
//!
//! Lambda's concurrency is one quota for all functions of an account in a region. A new account may have 10 of the usual
//! 1,000 (Lambda developer guide, "Lambda quotas"). The functions behind queues and the stream can use up as many
//! as `Need` says; what they leave is for the webhook function and the other functions behind APIs.
//!
//! A function that nobody calls counts nothing, and no alarm on its counts need ring. So it also looks whether Lambda
//! reads the queues and the table's stream (`Source`).

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
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

/// Check the account's quota, and that queues and stream are read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It exits with 1 when something is missing. It needs lambda:GetAccountSettings and
lambda:ListEventSourceMappings beside cloudformation:DescribeStacks.

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
    let lambda = Lambda::of(&stack.sdk, now).await?;
    let account: Settings = lambda.get("/2016-08-19/account-settings", "lambda:GetAccountSettings").await?;
    let mut sources = Vec::new();
    for (output, kinds) in
        [("ConsumerFunctionName", &["sqs"][..]), ("PublishFunctionName", &["sqs", "dynamodb"])]
    {
        let function = stack.output(output)?;
        let path = format!("/2015-03-31/event-source-mappings?FunctionName={function}%3Alive");
        let found: Mappings = lambda.get(&path, "lambda:ListEventSourceMappings").await?;
        sources.extend(Source::all(function, kinds, &found));
    }
    let report = Report::new(need, account.account_limit, sources);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    /// Concurrency that no function has reserved.
    #[serde(rename(deserialize = "UnreservedConcurrentExecutions"))]
    unreserved: u32,
}

/// Something that Lambda reads for a function: a queue or the table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Source {
    function: String,
    /// `sqs` or `dynamodb`.
    kind: &'static str,
    /// Such as `Enabled`; none when there is no mapping.
    state: Option<String>,
    /// Of a stream, such as `OK` or `PROBLEM: …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_result: Option<String>,
}

impl Source {
    /// What is found of a function's sources, at least one entry for each of `kinds`.
    fn all(function: &str, kinds: &[&'static str], found: &Mappings) -> Vec<Self> {
        let mut all = Vec::new();
        for kind in kinds {
            let of_kind = |mapping: &&Mapping| mapping.arn.split(':').nth(2) == Some(*kind);
            let mut states: Vec<(Option<String>, Option<String>)> = found
                .mappings
                .iter()
                .filter(of_kind)
                .map(|mapping| (Some(mapping.state.clone()), mapping.last_result.clone()))
                .collect();
            if states.is_empty() {
                states.push((None, None));
            }
            let source =
                |(state, last_result)| Self { function: function.to_owned(), kind, state, last_result };
            all.extend(states.into_iter().map(source));
        }
        all
    }

    fn is_read(&self) -> bool {
        let is_on =
            self.state.as_deref().is_some_and(|state| ["Enabled", "Enabling", "Updating"].contains(&state));
        is_on && !self.last_result.as_deref().is_some_and(|result| result.starts_with("PROBLEM"))
    }
}

/// Lambda's answer to `ListEventSourceMappings`. A function here has fewer than one page of 100.
#[derive(Debug, Deserialize)]
struct Mappings {
    #[serde(rename = "EventSourceMappings")]
    mappings: Vec<Mapping>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    #[serde(rename = "EventSourceArn")]
    arn: String,
    #[serde(rename = "State")]
    state: String,
    #[serde(rename = "LastProcessingResult")]
    last_result: Option<String>,
}

/// What is needed, and what there is.
#[derive(Debug, Clone, Serialize)]
struct Report {
    need: Need,
    sum: u32,
    left_for_apis: u32,
    account: AccountLimit,
    is_enough: bool,
    sources: Vec<Source>,
}

impl Report {
    fn new(need: Need, account: AccountLimit, sources: Vec<Source>) -> Self {
        let sum = need.sum();
        let is_enough = account.unreserved >= sum + LEFT_FOR_APIS;
        let left_for_apis = account.unreserved.saturating_sub(sum);
        Self { need, sum, left_for_apis, account, is_enough, sources }
    }

    fn is_right(&self) -> bool {
        self.is_enough && self.sources.iter().all(Source::is_read)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { consumer_webhooks, consumer_callbacks, publish_retries, publish_stream } = self.need;
        let AccountLimit { concurrent_executions, unreserved } = self.account;
        writeln!(f, "Lambda concurrency")?;
        writeln!(f, "  account   {concurrent_executions}; not reserved: {unreserved}")?;
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
        writeln!(f, "Queues and stream")?;
        for Source { function, kind, state, last_result } in &self.sources {
            let state = state.as_deref().unwrap_or("not there");
            let result =
                last_result.as_deref().map_or(String::new(), |result| format!(", last result: {result}"));
            writeln!(f, "  {function}, {kind}: {state}{result}")?;
        }
        for Source { function, kind, .. } in self.sources.iter().filter(|source| !source.is_read()) {
            writeln!(
                f,
                "not right: Lambda does not read the {kind} source for {function}: infra/runbook.md, \"Publish stopped\" and \
                 \"Queue age\""
            )?;
        }
        if self.is_right() {
            return writeln!(f, "all is as it should be");
        }
        if self.is_enough {
            return Ok(());
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

/// Lambda's API, for two calls of it. The SDK's crate for Lambda is a large one to build.
struct Lambda {
    host: String,
    signer: Signer,
    agent: ureq::Agent,
    now: Timestamp,
}

/// Lambda's answer to `GetAccountSettings`.
#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(rename = "AccountLimit")]
    account_limit: AccountLimit,
}

impl Lambda {
    async fn of(sdk: &SdkConfig, now: Timestamp) -> anyhow::Result<Self> {
        let region = sdk.region().context("the stack's region is not known")?.as_ref();
        let provider = sdk.credentials_provider().context("there are no AWS credentials")?;
        let signer = Signer::with_credentials(region, provider.provide_credentials().await?);
        let host = match sdk.endpoint_url() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None if region.starts_with("cn-") => format!("https://lambda.{region}.amazonaws.com.cn"),
            None => format!("https://lambda.{region}.amazonaws.com"),
        };
        let mut config =
            ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        if let Some(file) = Variables::of_process().optional("AWS_CA_BUNDLE") {
            let pem = std::fs::read(&file).with_context(|| format!("the file {file} of AWS_CA_BUNDLE"))?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let roots = RootCerts::new_with_certs(&certificates.collect::<Vec<_>>());
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { host, signer, agent: config.build().into(), now })
    }

    /// Reads what Lambda has at a path. `action` is the permission that it takes.
    async fn get<T: DeserializeOwned>(&self, path: &str, action: &str) -> anyhow::Result<T> {
        let request = http::Request::get(format!("{}{path}", self.host)).body(Vec::new())?;
        let request = self.signer.sign("lambda", request, self.now)?;
        let agent = self.agent.clone();
        let mut response = tokio::task::spawn_blocking(move || agent.run(request))
            .await?
            .with_context(|| format!("Lambda cannot be asked ({action})"))?;
        match response.status().as_u16() {
            200 => serde_json::from_slice(&response.body_mut().read_to_vec()?)
                .with_context(|| format!("Lambda's answer cannot be read ({action})")),
            403 => bail!("Lambda refused to answer: these credentials need {action}"),
            status => bail!("Lambda answered {status} ({action})"),
        }
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
        Report::new(need, AccountLimit { concurrent_executions: unreserved, unreserved }, Vec::new())
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

    #[test]
    fn notices_a_queue_or_a_stream_that_nobody_reads() {
        let found = |mappings: serde_json::Value| {
            let found =
                serde_json::from_value(serde_json::json!({ "EventSourceMappings": mappings })).unwrap();
            Source::all("publish", &["sqs", "dynamodb"], &found)
                .iter()
                .map(Source::is_read)
                .collect::<Vec<_>>()
        };
        let mapping = |kind: &str, state: &str, result: Option<&str>| {
            serde_json::json!({ "EventSourceArn": format!("arn:aws:{kind}:eu-west-1:1:x"), "State": state,
                "LastProcessingResult": result })
        };
        let (queue, stream) = (mapping("sqs", "Enabled", None), mapping("dynamodb", "Enabled", Some("OK")));
        assert_eq!(found(serde_json::json!([queue, stream])), [true, true]);
        assert_eq!(found(serde_json::json!([queue])), [true, false], "no mapping");
        for stream in [
            mapping("dynamodb", "Disabled", Some("OK")),
            mapping("dynamodb", "Enabled", Some("PROBLEM: role")),
        ] {
            assert_eq!(found(serde_json::json!([queue, stream])), [true, false], "{stream}");
        }
        let fresh = mapping("dynamodb", "Enabled", Some("No records processed"));
        assert_eq!(found(serde_json::json!([queue, fresh])), [true, true]);
    }
}
