//! Which receiver an operator's command is about: one on AWS, by its stack, or the local cloud.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
use clap::builder::NonEmptyStringValueParser;
use shared::aws::{Patience, ProxyConfig, Settings, config, http_client_by_proxy, told};
use shared::queue::Queue;
use shared::table::Table;
use shared::variables::Variables;

use crate::cli::{LocalArgs, Usage};
use crate::dev;
use crate::skew::CloudClock;
use crate::stack::Stack;
use crate::ui::quoted;

/// Options of every command that looks after a receiver.
#[derive(Debug, clap::Args)]
pub struct OperatorArgs {
    #[arg(long, value_name = "NAME", help = ABOUT_STACK, conflicts_with = "dir")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    stack: Option<String>,
    /// The profile of your AWS credentials
    #[arg(long, value_name = "NAME", conflicts_with = "dir")]
    profile: Option<String>,
    /// The stack's region
    #[arg(long, value_name = "REGION", conflicts_with = "dir")]
    region: Option<String>,
    #[command(flatten)]
    local: LocalArgs,
}

const ABOUT_STACK: &str = "\
A deployed stack on AWS [default: $SMILE_STACK, or the local cloud];
HTTPS_PROXY, NO_PROXY and AWS_CA_BUNDLE are honoured";

/// The variable that names a stack where no option names one, or a local cloud.
const STACK: &str = "SMILE_STACK";

/// A receiver's table and queue, as somebody with credentials reaches them.
pub struct Receiver {
    /// The table.
    pub table: Table,
    /// The queue of webhooks.
    pub queue: Queue,
    /// The clock that goes there.
    pub clock: CloudClock,
}

/// A receiver's stack, as CloudFormation tells of it.
pub struct Deployed {
    /// The stack's name.
    pub name: String,
    /// Its state, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// A way to its services, with the operator's credentials.
    pub sdk: SdkConfig,
    /// The clock that goes there.
    pub clock: CloudClock,
    place: Place,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl Deployed {
    /// The local cloud's, as far as its file tells of it.
    pub fn of_local(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self {
            name: dev::STACK.to_owned(),
            status: String::new(),
            sdk: stack.sdk()?,
            clock: CloudClock::default(),
            place: Place::Local(None),
            parameters: BTreeMap::new(),
            outputs: stack.outputs.clone(),
        })
    }

    /// What it is called where somebody has to know it from others, as before an act: `NAME in REGION`, or the local
    /// cloud and its directory.
    pub fn told(&self) -> String {
        self.place.to_string()
    }

    /// Whether it is the local cloud's.
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Local(_))
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
        let queue = Queue::new(&self.sdk, self.output("QueueUrl")?);
        Ok(Receiver { table: self.table()?, queue, clock: self.clock.clone() })
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

/// With every call, to AWS and to the local cloud. So many tries, since one read of thousands may be throttled
/// several times, and is no reason to end a replay.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(15),
    operation: Duration::from_secs(100),
    attempts: 8,
};

/// For the first call of a command. It fails for what trying does not mend, and somebody waits.
const TRIES_TO_LOOK_UP: u32 = 3;

/// Where a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A stack on AWS, and its region.
    Aws(String, String),
    /// The local cloud, and its directory, when somebody has asked for it by that.
    Local(Option<PathBuf>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(stack, region) => write!(f, "{stack} in {region}"),
            Self::Local(Some(dir)) => write!(f, "the local cloud in {}", dir.display()),
            Self::Local(None) => f.write_str("the local cloud"),
        }
    }
}

impl OperatorArgs {
    /// A stack on AWS, whatever the variables say.
    pub fn of_stack(stack: String, profile: Option<String>, region: Option<String>) -> Self {
        Self { stack: Some(stack), profile, region, local: LocalArgs { dir: None } }
    }

    /// Reaches the receiver.
    pub async fn receiver(&self) -> anyhow::Result<Receiver> {
        if self.stack(&Variables::of_process())?.is_none() {
            let (stack, sdk) = self.local()?;
            return Ok(Receiver {
                table: Table::new(&sdk, stack.table),
                queue: Queue::new(&sdk, stack.queue_url),
                clock: CloudClock::default(),
            });
        }
        self.deployed().await?.receiver()
    }

    /// These options as they are typed, for a command that is to go on with the same receiver.
    pub fn words(&self) -> Vec<String> {
        let option =
            |name: &str, value: Option<String>| value.map(|value| format!("--{name} {}", quoted(&value)));
        let stack = self.stack(&Variables::of_process()).ok().flatten();
        let dir = self.local.dir.as_ref().map(|dir| dir.display().to_string());
        let given = [
            option("stack", stack),
            option("profile", self.profile.clone()),
            option("region", self.region.clone()),
            option("dir", dir),
        ];
        given.into_iter().flatten().collect()
    }

    /// Looks the receiver's stack up.
    pub async fn deployed(&self) -> anyhow::Result<Deployed> {
        let variables = Variables::of_process();
        let Some(stack) = self.stack(&variables)? else {
            let place = Place::Local(self.local.dir().ok());
            return looked_up(dev::STACK, place, self.local()?.1, CloudClock::default()).await;
        };
        let clock = CloudClock::default();
        let sdk = self.sdk(&variables, &clock).await?;
        let region = sdk.region().with_context(|| {
            format!("the region of the stack {stack} is not known: say --region, or set AWS_REGION")
        })?;
        let place = Place::Aws(stack.clone(), region.to_string());
        looked_up(&stack, place, sdk, clock).await
    }

    /// The stack on AWS that is meant; none, when it is the local cloud.
    fn stack(&self, variables: &Variables<'_>) -> anyhow::Result<Option<String>> {
        // Who names a local cloud means it, whatever was exported some time ago.
        let by_variable = || variables.optional(STACK).filter(|_| self.local.dir.is_none());
        let stack = self.stack.clone().or_else(by_variable);
        if stack.is_none() && (self.profile.is_some() || self.region.is_some()) {
            let complaint =
                format!("--profile and --region are of a stack on AWS: name it with --stack or {STACK}");
            return Err(Usage::new(complaint).into());
        }
        Ok(stack)
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

    async fn sdk(&self, variables: &Variables<'_>, clock: &CloudClock) -> anyhow::Result<SdkConfig> {
        let bundle = variables.optional("AWS_CA_BUNDLE");
        let client = http_client_by_proxy(bundle.as_deref().map(Path::new), ProxyConfig::from_env())
            .context("the certificates that AWS_CA_BUNDLE names cannot be used")?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(clock.hearing(client))
            .timeout_config(PATIENCE.timeouts())
            .retry_config(RetryConfig::standard().with_max_attempts(PATIENCE.attempts));
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        Ok(loader.load().await)
    }
}

async fn looked_up(name: &str, place: Place, sdk: SdkConfig, clock: CloudClock) -> anyhow::Result<Deployed> {
    let tries = RetryConfig::standard().with_max_attempts(TRIES_TO_LOOK_UP);
    let once = sdk.to_builder().retry_config(tries).build();
    let answer = aws_sdk_cloudformation::Client::new(&once).describe_stacks().stack_name(name).send().await;
    let answer = answer.map_err(|error| {
        let told = told(&error);
        anyhow!("{place} cannot be looked up: {}: {}", on_a_line(&told), what_to_do(&place, &error))
    })?;
    let stack = answer.stacks().first().with_context(|| format!("there is no {place}"))?;
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
        parameters: parameters.collect(),
        outputs: outputs.collect(),
        sdk,
        clock,
        place,
    })
}

/// Where there are no credentials, all that was tried for some follows, on lines of its own.
fn on_a_line(told: &str) -> &str {
    let first = told.lines().next().unwrap_or_default();
    first.trim_start_matches("other: ").trim_end_matches(" Attempted:").trim_end_matches('.')
}

/// What whoever asked may do about it.
fn what_to_do(place: &Place, error: &SdkError<DescribeStacksError>) -> &'static str {
    if let Place::Local(_) = place {
        return "does it run? cargo dev starts it";
    }
    match error.as_service_error().map(ProvideErrorMetadata::code) {
        Some(Some("ValidationError")) => "look at --stack, --region and --profile",
        Some(Some("AccessDenied" | "AccessDeniedException")) => {
            "these credentials need cloudformation:DescribeStacks on it; --profile takes others"
        }
        Some(Some(
            "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch",
        )) => LOG_IN,
        Some(_) => "try it again",
        None if is_of_credentials(error) => LOG_IN,
        None => {
            "is AWS to be reached from here, and is --region right? HTTPS_PROXY and AWS_CA_BUNDLE are honoured"
        }
    }
}

const LOG_IN: &str = "log in (aws sso login), or take other credentials with --profile";

fn is_of_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(<dyn std::error::Error>::is::<CredentialsError>)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(stack: Option<&str>, region: Option<&str>, dir: Option<&str>) -> OperatorArgs {
        let local = LocalArgs { dir: dir.map(PathBuf::from) };
        let (stack, region) = (stack.map(str::to_owned), region.map(str::to_owned));
        OperatorArgs { stack, profile: None, region, local }
    }

    #[test]
    fn a_directory_means_the_local_cloud_whatever_was_exported() {
        let exported = Variables::from_list(&[(STACK, "production")]);
        let meant = |stack, dir| args(stack, None, dir).stack(&exported).unwrap();
        assert_eq!(meant(None, Some("target/other")), None);
        assert_eq!(meant(None, None).as_deref(), Some("production"));
        assert_eq!(meant(Some("staging"), None).as_deref(), Some("staging"));
        let (nothing, empty) = (Variables::from_list(&[]), Variables::from_list(&[(STACK, "")]));
        for variables in [nothing, empty] {
            assert_eq!(args(None, None, None).stack(&variables).unwrap(), None);
            let wrong = args(None, Some("eu-west-1"), None).stack(&variables).unwrap_err();
            assert!(wrong.is::<Usage>(), "{wrong}");
        }
    }

    #[test]
    fn a_place_is_known_from_others() {
        let local = |dir: Option<&str>| Place::Local(dir.map(PathBuf::from)).to_string();
        assert_eq!(Place::Aws("mine".into(), "eu-west-1".into()).to_string(), "mine in eu-west-1");
        assert_eq!(local(Some("target/dev")), "the local cloud in target/dev");
        assert_eq!(local(None), "the local cloud");
    }

    #[tokio::test]
    async fn no_call_to_aws_waits_for_ever() {
        let (variables, clock) = (Variables::from_list(&[]), CloudClock::default());
        let sdk = args(Some("mine"), Some("eu-west-1"), None).sdk(&variables, &clock).await.unwrap();
        let timeouts = sdk.timeout_config().unwrap();
        assert_eq!(timeouts.connect_timeout(), Some(PATIENCE.connect));
        assert_eq!(timeouts.operation_attempt_timeout(), Some(PATIENCE.attempt));
        assert_eq!(timeouts.operation_timeout(), Some(PATIENCE.operation));
        assert_eq!(sdk.retry_config().unwrap().max_attempts(), 8);
    }
}
