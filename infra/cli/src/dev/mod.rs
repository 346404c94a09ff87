//! `smile dev`: this project's cloud on this machine, IAM included.
//!
//! The functions are built for this machine, ministack plays AWS on a port of the loopback interface,
//! and the template is deployed to it as it would be to AWS. Beside it Smile is played, where the stack
//! registers its webhook, and a customer's web site with Smile's widget; a console shows what comes of it. Nothing reaches the real AWS: every client
//! has the local endpoint and local credentials, and ministack starts with an environment without any
//! others.
//!
//! | module | what it holds |
//! |---|---|
//! | `cloud` | [`LocalCloud`]: from nothing to ready, and its end |
//! | `beside` | [`Beside`]: Smile and a customer's web site, played beside it, and the console |
//! | `python` | the pinned Python packages |
//! | `build`, `package` | the functions' binaries, and the zip files that Lambda wants |
//! | `listen` | ministack on a port, and who else is there |
//! | `process` | ministack's process group, and that nothing is left of it |
//! | `deploy` | S3 and CloudFormation |
//! | `panel`, `log` | what is shown when it is ready, and when something failed |
//! | `environment` | the one reader of environment variables |

mod beside;
mod build;
mod cloud;
mod deploy;
mod environment;
mod listen;
mod log;
mod package;
mod panel;
mod process;
mod python;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Subcommand;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::beside::Beside;
pub use self::cloud::{Binaries, LocalCloud, Options};
pub(crate) use self::deploy::STACK;
pub use self::deploy::{BUCKET, LocalS3};
pub use self::environment::cargo;
pub use self::package::pack;
use crate::cli::LocalArgs;
use crate::loopback::origins;
use crate::stack::Stack;
use crate::ui::{Progress, say};
use crate::workspace::Workspace;
use crate::{console, site};

/// Run the whole receiver on this machine, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    /// The port of all services; 0 for any that is free
    #[arg(long, default_value_t = 4566)]
    port: u16,

    /// A parameter of the template; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    parameter: Vec<(String, String)>,

    /// The port of the web site to try with; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = site::DEFAULT_PORT)]
    site_port: u16,

    /// The port of the console; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = console::DEFAULT_PORT)]
    console_port: u16,

    /// Nothing beside it: no Smile to register at, no web site, no console
    #[arg(long, conflicts_with_all = ["site_port", "console_port"])]
    no_simulator: bool,

    /// Run what `sam build` has built into this folder (.aws-sam/build), instead of building
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,

    /// Print what is known of the local cloud as JSON on stdout
    #[arg(long)]
    json: bool,

    /// Leave it running and return when it is ready
    #[arg(long)]
    detach: bool,

    #[command(flatten)]
    local: LocalArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// End a local cloud that runs detached or in another terminal
    Stop {
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Play beside a local cloud that was left running
    #[command(hide = true)]
    Beside {
        #[arg(long)]
        site_port: u16,
        #[arg(long)]
        console_port: u16,
        #[arg(long)]
        dir: PathBuf,
    },
    /// Print variables: for AWS's own tools, and for cargo lambda watch --env-file
    Env {
        #[command(flatten)]
        local: LocalArgs,
    },
}

const EXAMPLES: &str = "\
Needs Rust and Python 3.10 or newer; no Docker, no AWS account.

Smile is played beside it: the stack registers its webhook there. The web site to try with has
Smile's widget with all its screens and callbacks; what you do in it, Smile tells the webhook. The
console shows all of it in one window.

Examples:
  smile dev                                  run it; Ctrl-C ends it
  smile dev --detach && smile send --all     for scripts
  smile dev stop
  smile dev --port 0 --site-port 0 --console-port 0 --dir target/other
                                             another one beside the first
  smile dev --parameter SourceAllowList=203.0.113.0/24
                                             see how a source that is not listed is refused";

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Some(Action::Stop { local }) => return stop(&local),
        Some(Action::Env { local }) => return env(&local),
        Some(Action::Beside { site_port, console_port, dir }) => {
            beside::run(site_port, console_port, &dir).await?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let started = Instant::now();
    let workspace = Workspace::find()?;
    let options = Options {
        dir: args.local.dir()?,
        workspace: workspace.clone(),
        port: args.port,
        parameters: args.parameter,
        beside: match (args.site_port, args.console_port) {
            _ if args.no_simulator => Beside::Nothing,
            (site_port, console_port) if args.detach => Beside::Apart { site_port, console_port },
            (site_port, console_port) => Beside::Here { site_port, console_port },
        },
        binaries: args.built.map_or(Binaries::Build, Binaries::OfSam),
        progress: Progress::of_stderr(),
    };
    // From here on a signal ends this in order, even while it starts.
    let mut signals = Signals::new()?;
    let cloud = tokio::select! {
        cloud = LocalCloud::start(options) => cloud?,
        () = signals.any() => return Ok(ExitCode::from(130)),
    };
    say(&panel::panel(cloud.stack(), cloud.dir(), &workspace, started.elapsed(), args.detach));
    if args.detach {
        print(&cloud.detach()?, args.json)?;
    } else {
        print(cloud.stack(), args.json)?;
        run_until_told(cloud, signals).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps it running until a signal comes or somebody ends it elsewhere.
async fn run_until_told(mut cloud: LocalCloud, mut signals: Signals) -> anyhow::Result<()> {
    tokio::select! {
        () = signals.any() => cloud.stop().await?,
        ended = cloud.ended() => ended?,
    }
    say("\nThe local cloud has ended.");
    Ok(())
}

/// The signals that ask a program to end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let receive = |kind| signal(kind).context("signals cannot be received");
        Ok(Self([
            receive(SignalKind::interrupt())?,
            receive(SignalKind::terminate())?,
            receive(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn print(stack: &Stack, json: bool) -> anyhow::Result<()> {
    if json {
        let mut out = std::io::stdout().lock();
        out.write_all(stack.to_json()?.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

fn stop(local: &LocalArgs) -> anyhow::Result<ExitCode> {
    let dir = local.dir()?;
    let was_there = match Stack::read(&dir)? {
        Some(stack) => process::end(&stack, &dir.canonicalize()?)?,
        None => false,
    };
    say(if was_there { "The local cloud has ended." } else { "No local cloud is running here." });
    Ok(ExitCode::SUCCESS)
}

/// The variables under which a function of this machine works on the running local cloud.
fn env(local: &LocalArgs) -> anyhow::Result<ExitCode> {
    let stack = local.stack()?.context("no local cloud is running here: start one with smile dev")?;
    let mut out = std::io::stdout().lock();
    for (name, value) in variables(&stack) {
        writeln!(out, "{name}={value}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the functions' configurations are made of. Those of callbacks are there with Smile beside the cloud.
fn variables(stack: &Stack) -> Vec<(&'static str, String)> {
    let origins = stack.site_url.as_deref().map(|url| origins(url).join(","));
    let output = |name| stack.output(name).map(str::to_owned);
    let all = [
        ("AWS_ENDPOINT_URL", Some(stack.aws_endpoint.clone())),
        ("AWS_REGION", Some(stack.region.clone())),
        // Python's tools, SAM among them, read this one only.
        ("AWS_DEFAULT_REGION", Some(stack.region.clone())),
        ("AWS_ACCESS_KEY_ID", Some(stack.access_key_id.clone())),
        ("AWS_SECRET_ACCESS_KEY", Some(stack.secret_access_key.clone())),
        ("WEBHOOK_QUEUE_URL", Some(stack.queue_url.clone())),
        ("SMILE_WEBHOOK_SECRET_ARN", Some(stack.secret_arn.clone())),
        ("SOURCE_ALLOW_LIST", Some("127.0.0.1/32".to_owned())),
        ("TABLE_NAME", Some(stack.table.clone())),
        ("SMILE_API_URL", stack.smile_url.clone()),
        ("SMILE_CREDENTIALS_SECRET_ARN", stack.smile_credentials_arn.clone()),
        ("SMILE_SESSION_SECRET_ARN", output("SessionSecretArn")),
        ("CALLBACK_QUEUE_URL", output("CallbackQueueUrl")),
        ("BACKEND_URL", output("BackendUrl")),
        ("CALLBACK_URL", output("CallbackUrl")),
        ("SCRIPT_URL", output("ScriptUrl")),
        ("LIVE_URL", output("LiveUrl")),
        // The same API, as its functions reach it.
        ("CONNECTIONS_URL", output("LiveUrl").map(|url| url.replacen("ws", "http", 1))),
        ("ALLOWED_ORIGINS", origins),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn tells_the_functions_what_is_there() {
        let mut stack = crate::stack::tests::a_stack();
        let names = |stack: &Stack| variables(stack).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&stack).last(), Some(&"TABLE_NAME"));
        stack.site_url = Some("http://127.0.0.1:4570".into());
        stack.outputs.insert("CallbackQueueUrl".into(), "url".into());
        assert_eq!(names(&stack)[9..], ["CALLBACK_QUEUE_URL", "ALLOWED_ORIGINS"]);
        assert!(
            variables(&stack)
                .contains(&("ALLOWED_ORIGINS", "http://127.0.0.1:4570,http://localhost:4570".into()))
        );
    }

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(std::iter::once("dev").chain(line.split_whitespace())).map(|line| line.args)
    }

    #[test]
    fn reads_the_options() {
        let args = parsed("--port 0 --json --detach --parameter A=b=c --parameter D= --built b").unwrap();
        assert_eq!((args.port, args.json, args.detach), (0, true, true));
        assert_eq!(args.parameter, [("A".into(), "b=c".into()), ("D".into(), String::new())]);
        let args = parsed("").unwrap();
        assert_eq!((args.port, args.site_port, args.console_port), (4566, 4570, 4571));
        assert!(!args.no_simulator);
        assert!(parsed("--no-simulator").unwrap().no_simulator);
        let apart = parsed("beside --site-port 1 --console-port 2 --dir /x").unwrap().action;
        assert!(
            matches!(apart, Some(Action::Beside { site_port: 1, console_port: 2, .. })),
            "what a detached cloud starts"
        );
        assert!(matches!(parsed("stop --dir /x").unwrap().action, Some(Action::Stop { .. })));
        for wrong in [
            "--port 70000",
            "--parameter A",
            "--parameter =b",
            "--json stop",
            "start",
            "--no-simulator --site-port 1",
            "--no-simulator --console-port 1",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
