//! `smile dev`: this project's cloud on this machine, IAM included.
//!
//! The functions are built for this machine, ministack plays AWS on a port of the loopback interface,
//! and the template is deployed to it as it would be to AWS. Nothing reaches the real AWS: every client
//! has the local endpoint and local credentials, and ministack starts with an environment without any
//! others.
//!
//! | module | what it holds |
//! |---|---|
//! | `cloud` | [`LocalCloud`]: from nothing to ready, and its end |
//! | `python` | the pinned Python packages |
//! | `build`, `package` | the functions' binaries, and the zip files that Lambda wants |
//! | `listen` | ministack on a port, and who else is there |
//! | `process` | ministack's process group, and that nothing is left of it |
//! | `deploy` | S3 and CloudFormation |
//! | `panel`, `log` | what is shown when it is ready, and when something failed |
//! | `environment` | the one reader of environment variables |

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
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Subcommand;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::cloud::{LocalCloud, Options};
pub(crate) use self::deploy::STACK;
use crate::cli::LocalArgs;
use crate::stack::Stack;
use crate::ui::{Progress, say};
use crate::workspace::Workspace;

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
    /// Print the variables of the functions, for cargo lambda watch --env-file
    Env {
        #[command(flatten)]
        local: LocalArgs,
    },
}

const EXAMPLES: &str = "\
Needs Rust and Python 3.10 or newer; no Docker, no AWS account.

Examples:
  smile dev                                  run it; Ctrl-C ends it
  smile dev --detach && smile send --all     for scripts
  smile dev stop
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
        None => {}
    }
    let started = Instant::now();
    let workspace = Workspace::find()?;
    let options = Options {
        dir: args.local.dir()?,
        workspace: workspace.clone(),
        port: args.port,
        parameters: args.parameter,
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
    for (name, value) in [
        ("AWS_ENDPOINT_URL", stack.aws_endpoint.as_str()),
        ("AWS_REGION", &stack.region),
        ("AWS_ACCESS_KEY_ID", &stack.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &stack.secret_access_key),
        ("WEBHOOK_QUEUE_URL", &stack.queue_url),
        ("SMILE_WEBHOOK_SECRET_ARN", &stack.secret_arn),
        ("SOURCE_ALLOW_LIST", "127.0.0.1/32"),
        ("TABLE_NAME", &stack.table),
    ] {
        writeln!(out, "{name}={value}")?;
    }
    Ok(ExitCode::SUCCESS)
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

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(std::iter::once("dev").chain(line.split_whitespace())).map(|line| line.args)
    }

    #[test]
    fn reads_the_options() {
        let args = parsed("--port 0 --json --detach --parameter A=b=c --parameter D=").unwrap();
        assert_eq!((args.port, args.json, args.detach), (0, true, true));
        assert_eq!(args.parameter, [("A".into(), "b=c".into()), ("D".into(), String::new())]);
        assert_eq!(parsed("").unwrap().port, 4566);
        assert!(matches!(parsed("stop --dir /x").unwrap().action, Some(Action::Stop { .. })));
        for wrong in ["--port 70000", "--parameter A", "--parameter =b", "--json stop", "start"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
