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
use serde_json::value::RawValue;

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

/// Writes lines of this tool's own words to stderr; they may have its colours. What else would steer the terminal stands
/// there as an escape, whoever forgot [`plain`]. Nothing can be done when the writing fails.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", guarded(line));
}

/// A text without anything that steers a terminal, but for line ends, tabs and colours.
fn guarded(text: &str) -> Cow<'_, str> {
    let is_meant = |c| steers(c) && !matches!(c, '\n' | '\t');
    if !text.chars().any(is_meant) {
        return text.into();
    }
    let mut guarded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_meant) {
        let (before, after) = rest.split_at(at);
        guarded.push_str(before);
        let colour = colour(after);
        let taken = colour.unwrap_or_else(|| after.chars().next().map_or(0, char::len_utf8));
        let (steering, after) = after.split_at(taken);
        guarded.push_str(&if colour.is_some() { steering.into() } else { plain(steering) });
        rest = after;
    }
    guarded.push_str(rest);
    guarded.into()
}

/// The length of the colour that a text begins with (ECMA-48, "select graphic rendition").
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

/// A text from outside of several lines, with escapes for what else would steer the operator's terminal.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && !matches!(c, '\n' | '\t'), |c| c.escape_default().to_string())
}

/// A count with its noun, such as `1 event` and `2 events`.
pub fn many(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
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
pub(crate) fn harmless(bytes: &[u8]) -> String {
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

/// The verb of a count: `is` of one, `are` of none and of several.
pub fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// A line for stdout: to a terminal without what would steer it, in JSON's escapes.
pub fn shown(line: &str) -> Cow<'_, str> {
    if std::io::stdout().is_terminal() { harmless(line.as_bytes()).into() } else { line.into() }
}

/// A body in an object of JSON: as it was received where it is JSON itself, else as base64.
#[derive(Debug, Serialize)]
pub struct Body {
    body: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

impl Body {
    /// Wraps the bytes as they were received.
    pub fn new(bytes: &[u8]) -> serde_json::Result<Self> {
        if let Ok(json) = serde_json::from_slice::<&RawValue>(bytes) {
            return Ok(Self { body: json.to_owned(), encoding: None });
        }
        // Base64 has no character that JSON would escape.
        let text = format!("\"{}\"", base64_simd::STANDARD.encode_to_string(bytes));
        Ok(Self { body: RawValue::from_string(text)?, encoding: Some("base64") })
    }
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
    fn a_line_of_our_own_keeps_its_colours_and_nothing_else_steers() {
        let line = "\u{1b}[1;31mred\u{1b}[0m\n\tx\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}2J\u{1b}[\u{1b}\r\u{202e}";
        let shown =
            "\u{1b}[1;31mred\u{1b}[0m\n\tx\\u{1b}[2J\\u{1b}]0;t\\u{7}\\u{9b}2J\\u{1b}[\\u{1b}\\r\\u{202e}";
        assert_eq!(guarded(line), shown);
        assert_eq!(guarded("plain ✓"), "plain ✓");
        assert_eq!(plain_lines("a\n\u{1b}[31m"), "a\n\\u{1b}[31m");
    }

    #[test]
    fn a_body_in_json_is_as_it_was_received() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        let numbers = r#"{"gross":123456789012345678901234567890.123456789,"amount":-0,"x":1,"x":2,"a":1.0}"#;
        for body in [numbers, &deep] {
            let object = serde_json::to_string(&Body::new(body.as_bytes()).unwrap()).unwrap();
            assert_eq!(object, format!("{{\"body\":{body}}}"));
        }
        let object = serde_json::to_string(&Body::new(b"\xff").unwrap()).unwrap();
        assert_eq!(object, r#"{"body":"/w==","encoding":"base64"}"#);
    }

    /// A count before a noun in the plural is wrong once: [`many`] knows the singular.
    #[test]
    fn no_count_stands_before_a_plural() {
        // What cannot be one, or is none of several things.
        const ALLOWED: [&str; 8] = [
            "(event.deliveries.len() > 1).then(",
            "held against the vendor's OpenAPI",
            "1 to {longest} characters",
            "an id has 1 to",
            "not answered for {} seconds",
            "no answer in {} seconds",
            "received {} times",
            "came ${event.deliveries.length} times",
        ];
        let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut dirs = vec![src.join("src"), src.join("site")];
        let mut wrong = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let is_read = path.extension().is_some_and(|kind| kind == "rs" || kind == "js");
                let text = if is_read { std::fs::read_to_string(&path).unwrap() } else { String::new() };
                let code = text.split("#[cfg(test)]").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                for line in lines.filter(|line| !ALLOWED.iter().any(|allowed| line.contains(allowed))) {
                    // Only in a text: what follows a placeholder's brace.
                    let words = line
                        .split("} ")
                        .skip(1)
                        .filter_map(|after| after.split(|c: char| !c.is_ascii_lowercase()).next());
                    let nouns = [
                        "events",
                        "acts",
                        "letters",
                        "items",
                        "records",
                        "registrations",
                        "users",
                        "times",
                        "entries",
                        "deliveries",
                        "values",
                        "characters",
                        "lines",
                        "days",
                        "seconds",
                        "minutes",
                        "hours",
                        "webhooks",
                        "callbacks",
                        "sessions",
                        "messages",
                        "secrets",
                        "pages",
                        "bodies",
                        "alarms",
                        "files",
                        "tests",
                        "calls",
                    ];
                    // A verb may follow after a word: `{hidden} more are hidden`.
                    let verb = |after: &str| {
                        after.split(' ').take(3).any(|word| ["are", "were", "have"].contains(&word))
                            && !after.contains("there are more")
                    };
                    let is_wrong_verb = line.contains('"') && line.split("} ").skip(1).any(verb);
                    if is_wrong_verb || words.into_iter().any(|word| nouns.contains(&word)) {
                        wrong.push(format!("{}: {}", path.display(), line.trim()));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(
            (many(0, "event"), many(1, "event"), many(2, "event")),
            ("0 events".into(), "1 event".into(), "2 events".into())
        );
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
