//! One local cloud, from nothing to ready: Python, build, ministack, deployment, and a first answer of
//! the webhook.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::beside::{self, Beside, Playing};
use super::deploy::Deployment;
use super::process::{self, Access, Process};
use super::{build, listen, log, python};
use crate::cli::Usage;
use crate::simulate::Simulator;
use crate::stack::Stack;
use crate::template;
use crate::ui::Progress;
use crate::workspace::Workspace;

/// How long the first answer of the webhook may take: its function is started for it.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// Where the functions' binaries come from.
#[derive(Debug, Clone)]
pub enum Binaries {
    /// Cargo builds them for this machine.
    Build,
    /// `sam build` has filled this folder.
    OfSam(PathBuf),
    /// Cargo has built them into this folder, each by its name.
    OfCargo(PathBuf),
}

/// What a local cloud should be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project.
    pub workspace: Workspace,
    /// Its own directory, which no other local cloud shares.
    pub dir: PathBuf,
    /// The port of all its services; 0 for any that is free.
    pub port: u16,
    /// Parameters of the template, besides or instead of the local ones.
    pub parameters: Vec<(String, String)>,
    /// What is played beside it.
    pub beside: Beside,
    /// Where the functions' binaries come from.
    pub binaries: Binaries,
    /// How progress is told.
    pub progress: Progress,
}

impl Options {
    /// A silent local cloud on a free port with nothing beside it, as tests want it.
    pub fn new(dir: impl Into<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self {
            workspace: Workspace::find()?,
            dir: dir.into(),
            port: 0,
            parameters: Vec::new(),
            beside: Beside::Nothing,
            binaries: Binaries::Build,
            progress: Progress::Silent,
        })
    }
}

/// A running local cloud. Ends when it is dropped.
pub struct LocalCloud {
    process: Process,
    playing: Playing,
    stack: Stack,
    dir: PathBuf,
}

/// Without the secrets.
impl std::fmt::Debug for LocalCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalCloud")
            .field("dir", &self.dir)
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

impl LocalCloud {
    /// Starts one and waits until the webhook answers. A failure leaves nothing running.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let Options { workspace, dir, port, parameters, beside, binaries, progress } = options;
        std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let dir = dir.canonicalize()?;
        let _starting = process::lock(&dir)?;
        process::clean_up(&dir)?;
        if port != 0 {
            listen::refuse_taken(port)?;
        }
        let here = beside.prepare()?;
        let mut template = template::load(workspace.template())?;
        let functions = template::functions(&template);
        check(&template, &parameters)?;
        let python = python::prepare(&workspace, &dir, progress).await?;
        let binaries = match &binaries {
            Binaries::Build => build::build(&workspace, &functions, progress).await?,
            Binaries::OfSam(folder) => build::by_sam(folder, &functions)?,
            Binaries::OfCargo(folder) => build::by_cargo(folder, &functions),
        };

        let step = progress.step("Starting the local cloud");
        let (mut process, access) = listen::start(&python, &dir, port).await?;
        step.done(&format!("Local cloud is listening on port {}", access.port));

        let mut playing = beside.play(here, &process, &dir).await?;
        let step = progress.step("Deploying");
        let deployment = Deployment::new(&access)?;
        let deployed = async {
            let credentials = match playing.addresses() {
                Some(_) => Some(deployment.keep_credentials(&beside::credentials()).await?),
                None => None,
            };
            let parameters = merged(&template, playing.parameters(credentials.as_deref()), parameters);
            deployment.upload(&mut template, &functions, &binaries, &step).await?;
            let (outputs, resources) = deployment.create(&template, &parameters, &step).await?;
            Ok((outputs, resources, credentials))
        };
        let (outputs, resources, credentials) = deployed.await.map_err(|error| match process.ended() {
            Some(_) => process::ended_by_itself(&dir),
            None => error,
        })?;
        step.note("Waiting for the webhook's first answer".to_owned());
        let mut stack = stack(&access, &deployment, outputs, process.pid()).await?;
        stack.smile_credentials_arn = credentials;
        first_answer(&stack, &dir).await?;
        playing.open(&mut stack).await?;
        step.done(&format!("Template is deployed: {resources} resources, and the webhook answers"));
        stack.write(&dir)?;
        Ok(Self { process, playing, stack, dir })
    }

    /// What is known of it.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Smile, as it is played beside it by this process.
    pub fn simulator(&self) -> Option<&Simulator> {
        self.playing.simulator()
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends it and removes its files, the log excepted.
    pub async fn stop(self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || drop(self)).await.context("the local cloud could not be ended")
    }

    /// Lets it run on after this process, and what is played apart beside it. `smile dev stop` ends both.
    pub fn detach(mut self) -> anyhow::Result<Stack> {
        self.stack.owner = None;
        self.stack.write(&self.dir)?;
        self.process.let_go()?;
        self.playing.let_go();
        Ok(self.stack)
    }

    /// Waits until it ends by itself: `Ok` when somebody ended it with `smile dev stop`.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        while self.process.ended().is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if Stack::path(&self.dir).exists() { Err(process::ended_by_itself(&self.dir)) } else { Ok(()) }
    }
}

/// Complains of a parameter that the template does not have.
fn check(template: &Value, given: &[(String, String)]) -> anyhow::Result<()> {
    let Some((unknown, _)) = given.iter().find(|(name, _)| template["Parameters"][name].is_null()) else {
        return Ok(());
    };
    let known = template["Parameters"].as_object().into_iter().flat_map(|known| known.keys());
    let mut known: Vec<&str> = known.map(String::as_str).collect();
    known.sort_unstable();
    Err(Usage::new(format!("the template has no parameter {unknown}; it has {}", known.join(", "))).into())
}

/// The parameters of a local stack, as far as the template has them; given ones come first.
fn merged(
    template: &Value,
    of_smile: Vec<(&'static str, String)>,
    given: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x86_64" };
    let local = [("Local", "true"), ("SourceAllowList", "127.0.0.1/32"), ("Architecture", architecture)];
    let mut merged: BTreeMap<String, String> = local
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .chain(of_smile)
        .filter(|(name, _)| !template["Parameters"][name].is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    merged.extend(given);
    merged.into_iter().collect()
}

async fn stack(
    access: &Access,
    deployment: &Deployment,
    outputs: BTreeMap<String, String>,
    pid: u32,
) -> anyhow::Result<Stack> {
    let output =
        |name: &str| outputs.get(name).cloned().with_context(|| format!("the template has no output {name}"));
    let secret_arn = output("SecretArn")?;
    Ok(Stack {
        aws_endpoint: access.endpoint(),
        region: access.region.to_owned(),
        access_key_id: access.key_id.to_owned(),
        secret_access_key: access.secret_key.clone(),
        // By path, since names under localhost are not known everywhere.
        webhook_url: format!(
            "{}/_aws/execute-api/{}/v1/webhooks/smile",
            access.endpoint(),
            output("WebhookApiId")?
        ),
        webhook_headers: BTreeMap::new(),
        webhook_secret: deployment.secret(&secret_arn).await?,
        table: output("TableName")?,
        queue_url: output("QueueUrl")?,
        dlq_url: output("DeadLetterQueueUrl")?,
        webhook_function: output("WebhookFunctionName")?,
        consumer_function: output("ConsumerFunctionName")?,
        secret_arn,
        outputs,
        smile_credentials_arn: None,
        smile_url: None,
        simulator_url: None,
        site_url: None,
        console_url: None,
        beside_pid: None,
        pid,
        owner: Some(std::process::id()),
    })
}

/// Waits until the webhook refuses a post without a signature: then it is there, and has its secret.
async fn first_answer(stack: &Stack, dir: &Path) -> anyhow::Result<()> {
    let url = stack.webhook_url.clone();
    match tokio::task::spawn_blocking(move || listen::agent(FIRST_ANSWER).post(url).send("{}")).await? {
        Err(ureq::Error::StatusCode(401 | 403)) => Ok(()),
        Ok(_) => bail!("the webhook took a post without a signature"),
        Err(error) => {
            let log = process::log_path(dir);
            bail!("the webhook does not work ({error}); {} ends so:\n{}", log.display(), log::tail(&log))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn given_parameters_come_first_and_unknown_local_ones_stay_out() {
        let template = json!({ "Parameters": { "Local": {}, "SourceAllowList": {}, "Other": {} } });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let error = check(&template, &[pair("Loacl", "1")]).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("it has Local, Other"), "{error}");
        let given = vec![pair("SourceAllowList", "10.0.0.0/8"), pair("Other", "1")];
        check(&template, &given).unwrap();
        let of_smile = vec![("SmileApiUrl", "not in this template".to_owned()), ("Other", "2".to_owned())];
        let all = merged(&template, of_smile, given);
        let pairs: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, [("Local", "true"), ("Other", "1"), ("SourceAllowList", "10.0.0.0/8")]);
    }
}
