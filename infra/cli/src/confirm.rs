//! Asks before an act that is about many.

use std::io::{BufRead, IsTerminal, Write};

use tokio::sync::oneshot;

use crate::cli::Usage;
use crate::interrupt::Interrupt;
use crate::ui::say;

/// The switch that answers beforehand.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Yes {
    /// Do it without asking; needed where there is no terminal
    #[arg(long, short)]
    yes: bool,
}

impl Yes {
    /// Asks `question` on the terminal, or says it with its answer where that was given beforehand: it names what is
    /// about to be done, and to which receiver. Says whether to go on: Ctrl-C is a no.
    pub async fn asked(self, question: &str, interrupt: &Interrupt) -> anyhow::Result<bool> {
        if self.yes {
            say(&format!("{question} yes"));
            return Ok(true);
        }
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Err(Usage::new(format!("{question} There is no terminal to ask on: say --yes")).into());
        }
        write!(std::io::stderr(), "{question} [y/N] ")?;
        // A thread of its own, which nobody waits for at the end: a read of a terminal cannot be stopped.
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            let mut answer = String::new();
            let _ = tell.send(std::io::stdin().lock().read_line(&mut answer).map(|_| answer));
        });
        tokio::select! {
            answer = told => Ok(is_yes(&answer??)),
            () = interrupt.pressed() => Ok(false),
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        assert!(is_yes("y\n") && is_yes(" YES \n"));
        assert!(["", "\n", "n\n", "yess\n", "no"].iter().all(|answer| !is_yes(answer)));
    }
}
