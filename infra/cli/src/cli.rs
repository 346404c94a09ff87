//! The command line. A new subcommand is a module with `Args` and `run`, a variant here and a line in
//! [`Cli::run`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::stack::Stack;
use crate::workspace::Workspace;
use crate::{
    audit, bring_over, clock, console, dev, doctor, events, quarantine, redrive, register, replay, send,
    session, show, simulate, tail,
};

/// Smile's webhooks: run the receiver on this machine, send it events, look after it.
#[derive(Debug, Parser)]
#[command(name = "smile", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here, from the project's root:
  cargo smile dev                          the whole receiver on this machine, and Smile beside it
  cargo smile send ACCOUNT_CONNECTED       in another terminal: one signed event
  cargo smile send --all                   a user's whole life, all 37 types
  cargo smile show user ID                 what has become of it
  cargo smile tail                         events as they are stored
  cargo smile quarantine list              what could not be filed
  cargo smile redrive --dry-run            what lies in the dead letter queue
  cargo smile simulate --help              Smile by itself: its API and its webhooks";

#[derive(Debug, Subcommand)]
enum Command {
    Audit(audit::Args),
    BringOver(bring_over::Args),
    Console(console::Args),
    Dev(dev::Args),
    Doctor(doctor::Args),
    Events(events::Args),
    Quarantine(quarantine::Args),
    Redrive(redrive::Args),
    Register(register::Args),
    Replay(replay::Args),
    Send(send::Args),
    Session(session::Args),
    Show(show::Args),
    Simulate(simulate::Args),
    Tail(tail::Args),
}

impl Cli {
    /// Runs the command that was asked for.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let now = clock::now();
        match self.command {
            Command::Audit(args) => audit::run(&args, now).await,
            Command::BringOver(args) => bring_over::run(&args, now).await,
            Command::Console(args) => console::run(&args).await,
            Command::Dev(args) => dev::run(args).await,
            Command::Doctor(args) => doctor::run(&args, now).await,
            Command::Events(args) => events::run(&args).await,
            Command::Quarantine(args) => quarantine::run(&args, now).await,
            Command::Redrive(args) => redrive::run(&args, now).await,
            Command::Register(args) => register::run(args).await,
            Command::Replay(args) => replay::run(&args, now).await,
            Command::Send(args) => send::run(args, now).await,
            Command::Session(args) => session::run(args, now).await,
            Command::Show(args) => show::run(&args).await,
            Command::Simulate(args) => simulate::run(args).await,
            Command::Tail(args) => tail::run(&args).await,
        }
    }
}

/// Something is wrong with what was typed. Exit code 2, as clap's own complaints have.
#[derive(Debug)]
pub struct Usage(String);

impl Usage {
    /// A complaint: one sentence that says what to do.
    pub fn new(complaint: impl Into<String>) -> Self {
        Self(complaint.into())
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Which local cloud a command is about.
#[derive(Debug, Clone, clap::Args)]
pub struct LocalArgs {
    /// The local cloud's own directory [default: target/dev in the project]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

impl LocalArgs {
    /// The directory: the given one, or the project's own.
    pub fn dir(&self) -> anyhow::Result<PathBuf> {
        match &self.dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(Workspace::find()?.dev_dir()),
        }
    }

    /// The cloud that runs there, if one does.
    pub fn stack(&self) -> anyhow::Result<Option<Stack>> {
        match self.dir() {
            Ok(dir) => Stack::read(&dir),
            // Outside the project there is no local cloud, which is no error.
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_a_narrow_terminal() {
        let mut cli = Cli::command();
        cli.build();
        for mut command in [cli.clone()].into_iter().chain(cli.get_subcommands().cloned()) {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
        }
    }
}
