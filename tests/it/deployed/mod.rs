//! The template deployed to the local cloud, IAM switched on, and the real binaries behind it.
//!
//! Each test has a cloud of its own, on a free port: what one breaks, another does not notice. They take
//! turns, since each needs a machine's worth of processes.

mod callback_permissions;
mod callbacks;
mod example;
mod live_permissions;
mod observed;
mod operated;
mod permissions;
mod published;
mod query;
mod registration;
mod registration_permissions;
mod restored;
mod socket;
mod way;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_types::SdkConfig;
use serde_json::Value;
use shared::aws::{Patience, Settings, config};
use shared::table::Table;
use smile_cli::dev::{Beside, LocalCloud, Options};
use smile_cli::stack::Stack;
use tokio::sync::{Mutex, MutexGuard};

use crate::receiver::signature;
use crate::support::{built_by_sam, it_dir};

static TURN: Mutex<()> = Mutex::const_new(());

/// What is polled for takes a second or two; a busy machine needs more.
const DEADLINE: Duration = Duration::from_secs(90);

/// A deployed receiver, as Smile and an operator see it.
struct Deployed {
    cloud: LocalCloud,
    table: Table,
    sqs: aws_sdk_sqs::Client,
    secrets: aws_sdk_secretsmanager::Client,
    cloudformation: aws_sdk_cloudformation::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    _turn: MutexGuard<'static, ()>,
}

impl Deployed {
    async fn start(name: &str) -> Self {
        Self::beside(name, Beside::Nothing).await
    }

    /// The same with Smile, and a customer's web site, beside it.
    async fn beside(name: &str, beside: Beside) -> Self {
        let turn = TURN.lock().await;
        let options = Options { beside, built: built_by_sam(), ..Options::new(dir(name)).unwrap() };
        let cloud = LocalCloud::start(options).await.unwrap();
        let sdk = sdk(cloud.stack());
        Self {
            table: Table::new(&sdk, &cloud.stack().table),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            secrets: aws_sdk_secretsmanager::Client::new(&sdk),
            cloudformation: aws_sdk_cloudformation::Client::new(&sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
            cloud,
            _turn: turn,
        }
    }

    fn stack(&self) -> &Stack {
        self.cloud.stack()
    }

    /// Ends it, and sees that nothing is left but its log and its lock.
    async fn stop(self) {
        let dir = self.cloud.dir().to_owned();
        let pid = self.stack().pid;
        self.cloud.stop().await.unwrap();
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "the local cloud still runs");
        let mut left: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort_unstable();
        assert_eq!(left, ["local-cloud.log", "lock"]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Puts a template where CloudFormation takes one from that is too large for a call.
    async fn template_url(&self, template: String) -> String {
        let s3 = aws_sdk_s3::config::Builder::from(&sdk(self.stack())).force_path_style(true).build();
        let put = aws_sdk_s3::Client::from_conf(s3).put_object().bucket("smile-dev").key("changed.json");
        put.body(template.into_bytes().into()).send().await.unwrap();
        format!("{}/smile-dev/changed.json", self.stack().aws_endpoint)
    }

    /// The lines that a function has written to its log.
    async fn log_of(&self, function: &str) -> Vec<String> {
        self.log_at(&format!("/aws/lambda/{function}")).await
    }

    async fn log_at(&self, group: &str) -> Vec<String> {
        let log = self.logs.filter_log_events().log_group_name(group);
        let mut pages = log.into_paginator().page_size(1000).send();
        let mut lines = Vec::new();
        while let Some(page) = pages.next().await {
            lines.extend(page.unwrap().events().iter().filter_map(|event| event.message.clone()));
        }
        lines
    }

    /// Posts a body with whatever headers; gives the status and the answer's body.
    async fn post(&self, body: &[u8], headers: &[(&str, &str)]) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        let mut request = agent.post(&self.stack().webhook_url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.to_vec();
        tokio::task::spawn_blocking(move || {
            let mut answer = request.send(&body[..]).unwrap();
            let text = answer.body_mut().read_to_string().unwrap();
            (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
        .await
        .unwrap()
    }

    /// Sends a body as Smile does.
    async fn send(&self, body: &[u8]) -> (u16, Value) {
        let signature = signature(&self.stack().webhook_secret, body);
        self.post(body, &[("smile-signature", &signature)]).await
    }
}

/// A directory that no other run uses. What a killed run left is removed.
fn dir(name: &str) -> PathBuf {
    let all = it_dir().join("../../target/it");
    std::fs::create_dir_all(&all).unwrap();
    for left in std::fs::read_dir(&all).unwrap().map(|entry| entry.unwrap()) {
        let pid = left.file_name().to_string_lossy().rsplit('-').next().unwrap_or_default().to_owned();
        if !PathBuf::from("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(left.path());
        }
    }
    all.join(format!("{name}-{}", std::process::id()))
}

fn sdk(stack: &Stack) -> SdkConfig {
    let settings =
        Settings::at(&stack.aws_endpoint, &stack.region, &stack.access_key_id, &stack.secret_access_key);
    let seconds = Duration::from_secs;
    config(
        settings,
        Patience { connect: seconds(5), attempt: seconds(60), operation: seconds(60), attempts: 1 },
    )
    .unwrap()
}

/// A request to this machine, with whatever headers; the answer's status, headers and body.
async fn ask(
    method: &'static str,
    url: String,
    headers: Vec<(impl AsRef<str> + Send + 'static, String)>,
    body: String,
) -> (u16, http::HeaderMap, Value) {
    tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.timeout_global(Some(Duration::from_mins(1))).build().into();
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name.as_ref(), value);
        }
        let mut answer = agent.run(request.body(body).unwrap()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (answer.status().as_u16(), answer.headers().clone(), json)
    })
    .await
    .unwrap()
}

/// Polls until there is something, or says what was waited for.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < DEADLINE, "waited {} s for {what}", DEADLINE.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
