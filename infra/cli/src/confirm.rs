//! Asks before an act that is about many.

use std::io::{BufRead, IsTerminal, Write};

use crate::cli::Usage;

/// The switch that answers beforehand.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Yes {
    /// Do it without asking; needed where there is no terminal
    #[arg(long, short)]
    yes: bool,
}

impl Yes {
    /// Asks `question` on the terminal, unless it was answered beforehand. Says whether to go on.
    pub fn asked(self, question: &str) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Err(Usage::new(format!("{question} There is no terminal to ask on: say --yes")).into());
        }
        write!(std::io::stderr(), "{question} [y/N] ")?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(is_yes(&answer))
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
