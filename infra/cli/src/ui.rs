//! What the terminal shows: steps with their time, tables of names and values, few colours.
//!
//! A terminal gets spinners; anything else gets plain lines; a library gets nothing. Colours follow
//! `NO_COLOR` and the like (crate `console`). All of this goes to stderr, which leaves stdout to data.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use console::{Style, Term};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

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

/// A text from outside that is to stand in a line, with escapes for what would steer the operator's terminal.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, steers, |c| c.escape_default().to_string())
}

/// Bytes from outside as a terminal may have them: lines stay lines, and what is no UTF-8 stands there in hex. Escapes
/// are JSON's: JSON stays JSON, and says the same.
fn harmless(bytes: &[u8]) -> String {
    let is_meant = |c| steers(c) && !matches!(c, '\n' | '\t');
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&escaped(chunk.valid(), is_meant, |c| format!("\\u{:04x}", u32::from(c))));
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Whether it does something to a terminal other than to show: control characters, and those that turn the direction
/// of what follows (Unicode, UAX #9).
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_meant: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.chars().any(&is_meant) {
        return text.into();
    }
    text.chars().map(|c| if is_meant(c) { escape(c) } else { c.to_string() }).collect::<String>().into()
}

/// Writes bytes from outside to stdout: byte for byte, but to a terminal without what would steer it.
pub fn write_out(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() { out.write_all(harmless(bytes).as_bytes()) } else { out.write_all(bytes) }
}

/// Writes JSON to stdout, pretty or on one line, as [`write_out`] does.
pub fn write_json(what: &impl Serialize, is_pretty: bool) -> anyhow::Result<()> {
    let text = if is_pretty { serde_json::to_string_pretty(what)? } else { serde_json::to_string(what)? };
    Ok(write_out(format!("{text}\n").as_bytes())?)
}

/// A word as a shell takes it for one.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%=".contains(c);
    if !word.is_empty() && word.chars().all(is_safe) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_steers_no_terminal() {
        assert_eq!(plain("et-1 é"), "et-1 é");
        assert_eq!(plain("\u{1b}[2J\n"), "\\u{1b}[2J\\n");
        assert_eq!(plain("\u{9b}2J \u{202e}1-te"), "\\u{9b}2J \\u{202e}1-te");
    }

    #[test]
    fn a_body_stays_the_json_that_it_is_and_keeps_its_lines() {
        let body = "{\n\t\"a\": \"é \u{9b}2J\u{7f}\u{9d}0;title\u{2066}\" }\r\n";
        let shown = harmless(body.as_bytes());
        assert_eq!(shown, "{\n\t\"a\": \"é \\u009b2J\\u007f\\u009d0;title\\u2066\" }\\u000d\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text.trim_end()).unwrap();
        assert_eq!(read(&shown.replace("\\u000d", "")), read(body));
        assert_eq!(harmless(b"a\x9b\xc3(\n\x1b[m"), "a\\x9b\\xc3(\n\\u001b[m");
    }

    #[test]
    fn a_shell_takes_a_quoted_word_for_one() {
        let words =
            ["TASK_FINISHED", "", "two words", "$HOME", "it's", "a;b", "*", "2026-03-01T10:00:00.5Z", "~"];
        let line = words.map(|word| quoted(word).into_owned()).join(" ");
        let printed =
            std::process::Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {line}")).output();
        assert_eq!(
            String::from_utf8(printed.unwrap().stdout).unwrap(),
            words.map(|word| format!("{word}\n")).concat()
        );
        assert_eq!(quoted("TASK_FINISHED"), "TASK_FINISHED");
    }

    #[test]
    fn values_stand_under_each_other() {
        console::set_colors_enabled_stderr(false);
        let text = table([("A", "1".to_owned()), ("Longer", "2".to_owned())]);
        assert_eq!(text, "  A       1\n  Longer  2");
    }
}
