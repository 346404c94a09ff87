//! Reads the command line, runs the command, and turns its outcome into an exit code.

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use smile_cli::cli::{Cli, Usage};
use smile_cli::ui::{plain_lines, say};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        // Whoever reads our output has heard enough: `smile send --list | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&plain_lines(&format!("smile: {error:#}")));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
