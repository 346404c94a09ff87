//! The template deployed to the local cloud, IAM switched on, and the real binaries behind it.
//!
//! Each test has a cloud of its own, on a free port: what one breaks, another does not notice. They mostly wait, so
//! several run at once; not all of them, since each has a dozen processes.

mod callback_permissions;
mod callbacks;
mod example;
mod guarded;
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

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_sdk_cloudformation::types::{Capability, Parameter};
use aws_types::SdkConfig;
use serde_json::{Value, json};
use shared::aws::{Patience, Settings, config};
use shared::table::Table;
use smile_cli::dev::{Beside, LocalCloud, LocalS3, Options};
use smile_cli::sigv4::Signer;
use smile_cli::stack::Stack;
use smile_cli::ui::{Progress, say};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::binaries::functions;
use crate::receiver::signature;
use crate::support::it_dir;

/// How many local clouds run at once.
static CLOUDS: Semaphore = Semaphore::const_new(3);

/// Whether one of them has started in this run.
static HAS_STARTED: Mutex<bool> = Mutex::const_new(false);

/// What is polled for takes a second or two; a busy machine needs more.
const DEADLINE: Duration = Duration::from_mins(3);

/// A deployed receiver, as Smile and an operator see it.
struct Deployed {
    cloud: LocalCloud,
    table: Table,
    sqs: aws_sdk_sqs::Client,
    secrets: aws_sdk_secretsmanager::Client,
    cloudformation: aws_sdk_cloudformation::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    _permit: SemaphorePermit<'static>,
}

impl Deployed {
    async fn start(name: &str) -> Self {
        Self::beside(name, Beside::Nothing).await
    }

    /// The same with Smile, and a customer's web site, beside it.
    async fn beside(name: &str, beside: Beside) -> Self {
        let permit = CLOUDS.acquire().await.unwrap();
        let binaries = tokio::task::spawn_blocking(functions).await.unwrap();
        let options = Options { beside, binaries, ..Options::new(dir(name)).unwrap() };
        let cloud = start(options).await;
        let sdk = sdk(cloud.stack());
        Self {
            table: Table::new(&sdk, &cloud.stack().table),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            secrets: aws_sdk_secretsmanager::Client::new(&sdk),
            cloudformation: aws_sdk_cloudformation::Client::new(&sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            cloud,
            _permit: permit,
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
        LocalS3::of_stack(self.stack()).put("changed.json", template.into_bytes()).await.unwrap()
    }

    /// Deploys a stack of its own beside the receiver; gives its outputs.
    async fn deploy_beside(
        &self,
        name: &str,
        template: &Value,
        parameters: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let parameter = |(name, value): &(&str, &str)| {
            Parameter::builder().parameter_key(*name).parameter_value(*value).build()
        };
        self.cloudformation
            .create_stack()
            .stack_name(name)
            .template_url(self.template_url(template.to_string()).await)
            .set_parameters(Some(parameters.iter().map(parameter).collect()))
            .capabilities(Capability::CapabilityIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .send()
            .await
            .unwrap();
        until(name, async || {
            let described = self.cloudformation.describe_stacks().stack_name(name).send().await.unwrap();
            let stack = &described.stacks()[0];
            let status = stack.stack_status().unwrap().as_str();
            assert!(matches!(status, "CREATE_IN_PROGRESS" | "CREATE_COMPLETE"), "{status}: {stack:?}");
            let outputs = stack.outputs().iter().map(|output| {
                (output.output_key().unwrap().to_owned(), output.output_value().unwrap().to_owned())
            });
            (status == "CREATE_COMPLETE").then(|| outputs.collect())
        })
        .await
    }

    /// The lines that a function has written to its log.
    async fn log_of(&self, function: &str) -> Vec<String> {
        self.log_at(&format!("/aws/lambda/{function}")).await
    }

    async fn log_at(&self, group: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut next = Value::Null;
        loop {
            let mut asked = json!({ "logGroupName": group, "limit": 1000 });
            if !next.is_null() {
                asked["nextToken"] = next;
            }
            let mut page = self.aws("logs", "Logs_20140328.FilterLogEvents", asked).await;
            let events = page["events"].as_array().into_iter().flatten();
            lines.extend(events.filter_map(|event| event["message"].as_str().map(str::to_owned)));
            next = page["nextToken"].take();
            if next.is_null() {
                return lines;
            }
        }
    }

    /// Calls an AWS service without an SDK crate. Panics unless the status is 200.
    async fn aws(&self, service: &str, target: &str, asked: Value) -> Value {
        let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")];
        let url = format!("{}/", self.stack().aws_endpoint);
        let (status, _, answer) = self.ask_signed(service, "POST", url, &headers, asked.to_string()).await;
        assert_eq!(status, 200, "{target}: {answer}");
        answer
    }

    /// Sends a request with a signature (SigV4).
    async fn ask_signed(
        &self,
        service: &str,
        method: &'static str,
        url: String,
        headers: &[(&str, &str)],
        body: String,
    ) -> (u16, http::HeaderMap, Value) {
        #[expect(clippy::disallowed_methods, reason = "the local cloud has the real time, too")]
        let now = jiff::Timestamp::now();
        let request = http::Request::builder().method(method).uri(url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(Signer::of_stack(self.stack()).sign(service, request.body(body).unwrap(), now).unwrap()).await
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

/// Starts a local cloud. The first one may install Python packages, and says so; the others wait for it.
async fn start(options: Options) -> LocalCloud {
    let mut has_started = HAS_STARTED.lock().await;
    if *has_started {
        drop(has_started);
        return LocalCloud::start(options).await.unwrap();
    }
    say(
        "Starting the first local cloud; a new machine takes a minute to install its Python packages (90 MB)",
    );
    let cloud = LocalCloud::start(Options { progress: Progress::Lines, ..options }).await.unwrap();
    *has_started = true;
    cloud
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
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name.as_ref(), value);
    }
    answer(request.body(body).unwrap()).await
}

async fn answer(request: http::Request<String>) -> (u16, http::HeaderMap, Value) {
    tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.timeout_global(Some(Duration::from_mins(1))).build().into();
        let mut answer = agent.run(request).unwrap();
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
