//! What the terminal shows: steps with their time, tables of names and values, few colours.
//!
//! A terminal gets spinners; anything else gets plain lines; a library gets nothing. Colours follow
//! `NO_COLOR` and the like (crate `console`). All of this goes to stderr, which leaves stdout to data.

use std::io::Write;
use std::time::{Duration, Instant};

use console::{Style, Term};
use indicatif::{ProgressBar, ProgressStyle};

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Spinners that end as lines.
    Terminal,
    /// A line at the end of each step.
    Lines,
    /// Nothing at all: for tests.
    Silent,
}

impl Progress {
    /// What stderr can show.
    pub fn of_stderr() -> Self {
        if Term::stderr().features().is_attended() { Self::Terminal } else { Self::Lines }
    }

    /// Starts a step. Says nothing more when it is dropped before [`Step::done`].
    pub fn step(self, doing: &str) -> Step {
        let bar = (self == Self::Terminal).then(|| {
            let bar = ProgressBar::new_spinner().with_style(spinner());
            bar.set_message(doing.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step { progress: self, bar, started: Instant::now() }
    }

    /// A line of its own.
    pub fn line(self, line: &str) {
        if self != Self::Silent {
            say(line);
        }
    }
}

fn spinner() -> ProgressStyle {
    #[expect(clippy::expect_used, reason = "the text is constant")]
    ProgressStyle::with_template("  {spinner:.cyan} {wide_msg} {elapsed:>4}")
        .expect("a valid template")
        .tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "])
}

/// Something that takes a while.
pub struct Step {
    progress: Progress,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Step {
    /// Tells how far it is.
    pub fn note(&self, doing: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(doing);
        }
    }

    /// Lets another program write to the terminal in the meantime.
    pub fn pause(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Whether its spinner is on the terminal.
    pub fn is_running(&self) -> bool {
        self.bar.is_some()
    }

    /// Ends it with what came of it and how long it took.
    pub fn done(self, result: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        match self.progress {
            Progress::Terminal => {
                let time = Style::new().for_stderr().dim().apply_to(format!("{seconds:>6.1} s"));
                say(&format!("  {} {result:<70}{time}", good("✓")));
            }
            Progress::Lines => say(&format!("{result} ({seconds:.1} s)")),
            Progress::Silent => {}
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.pause();
    }
}

/// Writes a line to stderr. Nothing can be done when that fails.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Names and values, one pair a line, the values under each other.
pub fn table<'a>(rows: impl IntoIterator<Item = (&'a str, String)> + Clone) -> String {
    let width = rows.clone().into_iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value)| format!("  {}  {value}", dim(&format!("{name:<width$}")));
    rows.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// For what went well, on stderr.
pub fn good(text: &str) -> String {
    Style::new().for_stderr().green().apply_to(text).to_string()
}

/// For what matters less, on stderr.
pub fn dim(text: &str) -> String {
    Style::new().for_stderr().dim().apply_to(text).to_string()
}

/// For headings, on stderr.
pub fn bold(text: &str) -> String {
    Style::new().for_stderr().bold().apply_to(text).to_string()
}

/// A text from outside, with control characters as escapes: it must not steer the operator's terminal.
pub fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return text.into();
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_steers_no_terminal() {
        assert_eq!(plain("et-1 é"), "et-1 é");
        assert_eq!(plain("\u{1b}[2J\n"), "\\u{1b}[2J\\n");
    }

    #[test]
    fn values_stand_under_each_other() {
        console::set_colors_enabled_stderr(false);
        let text = table([("A", "1".to_owned()), ("Longer", "2".to_owned())]);
        assert_eq!(text, "  A       1\n  Longer  2");
    }
}
