//! `smile register`: the webhook's registration at Smile, and the rotation of its secret.
//!
//! What is registered is `shared::registration`'s work; this is how an operator has it done, for a stack on AWS
//! or for the local cloud and a simulator. Whatever changes something tells each step when it is done, and can
//! be run again after it was stopped anywhere.
//!
//! | module | what it holds |
//! |---|---|
//! | [`setting`] | which receiver, which Smile, and whose credentials |
//! | [`status`] | what is registered, and what is wrong with it |
//! | [`rotate`] | the rotation, driven step by step |

pub mod rotate;
pub mod setting;
pub mod status;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use shared::registration::rotation::fresh_secret;
use shared::registration::{Answered, Call, Drift, Registrar, Unanswered, drift, probe};
use shared::smile_api::{SecretText, SystemPace, WebhookId};

use self::rotate::{Around, Rotation};
use self::setting::{Setting, SettingArgs};
use self::status::Status;
use crate::ui::{Progress, say};

/// Look after the webhook's registration at Smile
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
The API key and its secret are taken from SMILE_API_KEY and SMILE_API_SECRET; without these,
from the stack's own secret (parameter SmileCredentialsSecretArn). For the local cloud, a
simulator's are taken: smile simulate.

Examples:
  smile register status --stack smile-receiver-production
  smile register create --stack smile-receiver-production
  smile register rotate --stack smile-receiver-production --dry-run
  smile register rotate --stack smile-receiver-production";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what is registered; exit 1 when it is not as it should be
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        setting: SettingArgs,
    },
    /// Register the webhook, or put its registration right
    Create {
        #[command(flatten)]
        setting: SettingArgs,
    },
    /// Delete the registration: Smile then sends nothing
    Delete {
        #[command(flatten)]
        setting: SettingArgs,
    },
    /// Change the secret without refusing a webhook, or finish a rotation that was stopped
    Rotate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Begin nothing: finish what was begun, and remove the previous secret when its time is up
        #[arg(long)]
        finish: bool,
        #[command(flatten)]
        setting: SettingArgs,
    },
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Status { json, setting } => show(&setting.reach().await?, json).await,
        Command::Create { setting } => create(&setting.reach_to_change().await?).await,
        Command::Delete { setting } => delete(setting.reach_to_change().await?).await,
        Command::Rotate { dry_run: true, finish, setting } => plan(&setting.reach().await?, finish).await,
        Command::Rotate { dry_run: false, finish, setting } => {
            rotate_it(&setting, &setting.reach_to_change().await?, finish).await
        }
    }
}

async fn show(setting: &Setting, json: bool) -> anyhow::Result<ExitCode> {
    let status = status(setting, now()).await?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        write!(out, "{status}")?;
    }
    Ok(if status.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn status(setting: &Setting, now: Timestamp) -> anyhow::Result<Status> {
    let (document, _) = setting.vault.read().await?;
    let url = setting.desired.url().to_owned();
    let (found, _) = blocking(setting.registrar(), move |registrar| registrar.found(&url)).await?;
    let answers = ask(setting.desired.url().to_owned()).await?;
    let next = match &setting.domain {
        Some(domain) => Some((domain, ask(domain.url.clone()).await?)),
        None => None,
    };
    Ok(Status::new(found, &setting.desired, &document, now).with_answers(answers, next))
}

/// Asks once whether the receiver answers at a URL.
async fn ask(url: String) -> anyhow::Result<Result<Answered, Unanswered>> {
    let asked = move || probe(&url, &SystemPace::start(), &|| false);
    tokio::task::spawn_blocking(asked).await.context("the request to the receiver broke off")
}

async fn create(setting: &Setting) -> anyhow::Result<ExitCode> {
    let (document, _) = setting.vault.read().await?;
    let url = setting.desired.url().to_owned();
    let (found, registrar) = blocking(setting.telling(), move |registrar| registrar.found(&url)).await?;
    let desired = document.wanted(&setting.desired, &found);
    let (ensured, _) = blocking(registrar, move |registrar| registrar.ensure(&desired)).await?;
    let how = if ensured.is_new { "registered" } else { "was registered already" };
    say(&format!("{} {how} as {}", setting.desired.url(), ensured.id));
    warn(setting).await
}

async fn delete(setting: Setting) -> anyhow::Result<ExitCode> {
    let desired = setting.desired.clone();
    let remove = move |registrar: &mut Registrar| registrar.remove(desired.name(), desired.url());
    let (deleted, _) = blocking(setting.telling(), remove).await?;
    say(&format!("{} deleted", deleted.len()));
    Ok(ExitCode::SUCCESS)
}

async fn plan(setting: &Setting, finish: bool) -> anyhow::Result<ExitCode> {
    let steps = rotation(setting).plan(!finish, now()).await?;
    for step in &steps {
        say(&format!("would {step}"));
    }
    if steps.is_empty() {
        say("there is nothing to do");
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate_it(args: &SettingArgs, setting: &Setting, finish: bool) -> anyhow::Result<ExitCode> {
    let progress = Progress::of_stderr();
    let mut tell = |done: &str| progress.line(&format!("  {done}"));
    let around = Around {
        now: &now,
        wait: &|time| Box::pin(wait(progress, time)),
        fresh: &fresh,
        // A deployment could register with the secret that is being replaced.
        guard: &|| Box::pin(async { args.reach_to_change().await.map(|_| ()) }),
        tell: &mut tell,
    };
    let done = rotation(setting).run(!finish, around).await?;
    match done.previous_until {
        Some(until) => say(&format!(
            "The previous secret is accepted until {until}; the next rotation, or smile register rotate --finish, removes it."
        )),
        None => say("No rotation is under way."),
    }
    warn(setting).await
}

fn rotation(setting: &Setting) -> Rotation {
    Rotation {
        client: Arc::clone(&setting.client),
        vault: setting.vault.clone(),
        desired: setting.desired.clone(),
    }
}

async fn wait(progress: Progress, time: Duration) {
    let step = progress.step(&format!("Waiting {} s, until every function accepts it", time.as_secs()));
    tokio::time::sleep(time).await;
    drop(step);
}

/// A secret from the operating system's generator.
pub(crate) fn fresh() -> anyhow::Result<SecretText> {
    use std::io::Read;
    let file = std::fs::File::open("/dev/urandom").context("there is no /dev/urandom for a secret")?;
    // More than twice as many as are needed, of which one in 32 is left out.
    let mut bytes = Vec::with_capacity(128);
    file.take(128).read_to_end(&mut bytes).context("/dev/urandom gave nothing for a secret")?;
    let secret = fresh_secret(bytes.into_iter());
    anyhow::ensure!(
        secret.expose().len() == shared::registration::rotation::SECRET_LENGTH,
        "/dev/urandom gave too little for a secret"
    );
    Ok(secret)
}

/// What is still wrong, and the exit code that goes with it.
async fn warn(setting: &Setting) -> anyhow::Result<ExitCode> {
    let (document, _) = setting.vault.read().await?;
    let url = setting.desired.url().to_owned();
    let (found, _) = blocking(setting.registrar(), move |registrar| registrar.found(&url)).await?;
    let drift: Vec<Drift> = drift(&found, &document.wanted(&setting.desired, &found), &document);
    for drift in &drift {
        say(&format!("not right: {drift}"));
    }
    let url = setting.desired.url();
    let unanswered = ask(url.to_owned()).await?.err().filter(status::is_silent);
    if let Some(why) = &unanswered {
        say(&format!("not right: {url} does not answer as this receiver does: {why}"));
    }
    Ok(if drift.is_empty() && unanswered.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Has a registrar do something, away from the async threads, and gives it back.
async fn blocking<T: Send + 'static>(
    mut registrar: Registrar,
    work: impl FnOnce(&mut Registrar) -> Result<T, shared::registration::Failure> + Send + 'static,
) -> anyhow::Result<(T, Registrar)> {
    let (done, registrar) = tokio::task::spawn_blocking(move || (work(&mut registrar), registrar))
        .await
        .context("the calls to Smile broke off")?;
    let done = done.map_err(|failure| {
        let ids: Vec<&str> = failure.left.ids.iter().map(WebhookId::as_str).collect();
        let there = match ids.as_slice() {
            [] => String::new(),
            ids => format!("; still there, and not wanted: {}", ids.join(", ")),
        };
        let unknown =
            if failure.left.unknown { "; smile register status tells what is registered now" } else { "" };
        anyhow::anyhow!("{}{there}{unknown}", failure.cause)
    })?;
    Ok((done, registrar))
}

/// What a call is, as it is told.
fn told(call: &Call) -> Option<String> {
    match call {
        Call::List | Call::Look(_) => None,
        Call::Create => Some("creating a registration".to_owned()),
        Call::Delete(id) => Some(format!("deleting {id}")),
    }
}

#[expect(clippy::disallowed_methods, reason = "this command's clock, read anew for each step")]
fn now() -> Timestamp {
    Timestamp::now()
}
