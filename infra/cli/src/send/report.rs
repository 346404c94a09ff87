//! What came of the events: a line each, a summary, an exit code.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use console::Style;

use super::events::Outgoing;
use super::post::Answer;
use crate::ui::{self, plain};

/// What should come of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Any 2xx.
    Acceptance,
    /// A 401.
    Refusal,
}

impl Expected {
    fn is_met_by(self, status: u16) -> bool {
        match self {
            Self::Acceptance => (200..300).contains(&status),
            Self::Refusal => status == 401,
        }
    }
}

/// One event that was answered.
pub(super) struct Outcome<'a> {
    pub(super) event: &'a Outgoing,
    pub(super) answer: Answer,
    pub(super) took: Duration,
}

/// Collects and tells.
pub(super) struct Report {
    expected: Expected,
    json: bool,
    started: Instant,
    statuses: BTreeMap<u16, usize>,
    unexpected: usize,
    times: Vec<Duration>,
    /// Where a body stops being UTF-8.
    not_utf8: Option<usize>,
    /// Bodies from files that were accepted.
    pub(super) accepted_files: Vec<Outgoing>,
}

impl Report {
    pub(super) fn new(expected: Expected, json: bool) -> Self {
        Self {
            expected,
            json,
            started: Instant::now(),
            statuses: BTreeMap::new(),
            unexpected: 0,
            times: Vec::new(),
            not_utf8: None,
            accepted_files: Vec::new(),
        }
    }

    /// Counts an outcome and writes its line.
    pub(super) fn add(&mut self, outcome: &Outcome<'_>, out: &mut impl Write) -> std::io::Result<()> {
        let Outcome { event, answer, took } = outcome;
        let met = self.expected.is_met_by(answer.status);
        *self.statuses.entry(answer.status).or_default() += 1;
        self.unexpected += usize::from(!met);
        self.times.push(*took);
        self.not_utf8 = self.not_utf8.or_else(|| event.not_utf8());
        if event.is_file && (200..300).contains(&answer.status) {
            self.accepted_files.push((*event).clone());
        }
        let ms = took.as_millis();
        if self.json {
            let line = serde_json::json!({
                "type": event.kind, "id": event.id, "status": answer.status, "outcome": answer.word,
                "bytes": event.body.len(), "ms": u64::try_from(ms).unwrap_or(u64::MAX), "expected": met,
            });
            return writeln!(out, "{}", ui::shown(&line.to_string()));
        }
        let style = if met { Style::new().green() } else { Style::new().red() };
        let word = plain(answer.word.as_deref().unwrap_or(""));
        writeln!(
            out,
            "{} {word:<11} {:<26} {:<35} {ms:>5} ms",
            style.apply_to(answer.status),
            plain(&event.kind),
            plain(&event.id)
        )
    }

    /// Writes the summary to stderr and decides the exit code.
    pub(super) fn finish(&mut self, user: Option<&str>) -> std::io::Result<ExitCode> {
        if !self.json {
            ui::say(&self.summary());
            if let Some(hint) = self.hint() {
                ui::say(&hint);
            }
            if let Some(user) = user.filter(|_| self.unexpected == 0 && self.expected == Expected::Acceptance)
            {
                ui::say(&ui::dim(&format!("User {}", plain(user))));
            }
        }
        std::io::stdout().flush()?;
        Ok(if self.unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What an answer that was not expected usually means.
    fn hint(&self) -> Option<String> {
        let unexpected = self.statuses.keys().find(|status| !self.expected.is_met_by(**status))?;
        if let (401, Some(at)) = (unexpected, self.not_utf8) {
            return Some(format!(
                "401: the body is not UTF-8 from byte {at} on. API Gateway replaces such bytes, so no signature fits what \
                 arrives. Smile sends UTF-8."
            ));
        }
        let hint = match unexpected {
            401 => "401: the receiver has another secret than the one that signed.",
            403 => "403: this machine's address is not in the receiver's SourceAllowList.",
            404 => "404: there is no webhook under this URL; its path is /v1/webhooks/smile.",
            429 => "429: too many requests at once for the gateway.",
            503 => "503: the receiver cannot reach its queue or its secret; Smile would try again.",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn summary(&mut self) -> String {
        let count = self.times.len();
        let statuses: Vec<String> =
            self.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        self.times.sort_unstable();
        let median = self.times.get(count / 2).copied().unwrap_or_default().as_millis();
        let slowest = self.times.last().copied().unwrap_or_default().as_millis();
        let times =
            if count > 2 { format!(", median {median} ms, slowest {slowest} ms") } else { String::new() };
        let verdict = match (self.unexpected, self.expected) {
            (0, Expected::Acceptance) => "all accepted",
            (0, Expected::Refusal) => "all refused, as they should be",
            (_, Expected::Acceptance) => "not all accepted",
            (_, Expected::Refusal) => "not all refused, which they should be",
        };
        let seconds = self.started.elapsed().as_secs_f64();
        let events = ui::many(count as u64, "event");
        format!("{events}, {verdict}: {} in {seconds:.1} s{times}", statuses.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(expected: Expected, statuses: &[u16]) -> (String, ExitCode) {
        let event =
            Outgoing { kind: "X".into(), id: "1".into(), user: None, body: Vec::new(), is_file: false };
        let mut report = Report::new(expected, true);
        for status in statuses {
            let answer = Answer { status: *status, word: None };
            let outcome = Outcome { event: &event, answer, took: Duration::from_millis(3) };
            report.add(&outcome, &mut Vec::new()).unwrap();
        }
        let summary = report.summary();
        (summary, report.finish(None).unwrap())
    }

    #[test]
    fn the_exit_code_follows_what_was_expected() {
        for (expected, statuses, code, words) in [
            (
                Expected::Acceptance,
                &[200, 202][..],
                ExitCode::SUCCESS,
                "2 events, all accepted: 1 × 200, 1 × 202",
            ),
            (Expected::Acceptance, &[200, 401], ExitCode::FAILURE, "2 events, not all accepted"),
            (Expected::Acceptance, &[302], ExitCode::FAILURE, "1 event, not all accepted"),
            (Expected::Acceptance, &[503], ExitCode::FAILURE, "1 event, not all accepted"),
            (Expected::Refusal, &[401], ExitCode::SUCCESS, "1 event, all refused"),
            (Expected::Refusal, &[401, 200], ExitCode::FAILURE, "2 events, not all refused"),
            (Expected::Refusal, &[403], ExitCode::FAILURE, "1 event, not all refused"),
        ] {
            let (summary, got) = report(expected, statuses);
            assert_eq!(format!("{got:?}"), format!("{code:?}"), "{statuses:?}");
            assert!(summary.starts_with(words), "{summary}");
        }
    }

    #[test]
    fn a_line_is_for_people_or_for_programs() {
        let event = |kind: &str, id: &str| Outgoing {
            kind: kind.into(),
            id: id.into(),
            user: None,
            body: vec![0; 9],
            is_file: true,
        };
        let line_of = |event: &Outgoing, json| {
            console::set_colors_enabled(false);
            let answer = Answer { status: 200, word: Some("queued".into()) };
            let mut out = Vec::new();
            let outcome = Outcome { event, answer, took: Duration::from_millis(12) };
            Report::new(Expected::Acceptance, json).add(&outcome, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let line = |json| line_of(&event("USER_CREATED", "et-1"), json);
        let words: Vec<String> = line(false).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["200", "queued", "USER_CREATED", "et-1", "12", "ms"]);
        let object: serde_json::Value = serde_json::from_str(&line(true)).unwrap();
        let expected = serde_json::json!({
            "type": "USER_CREATED", "id": "et-1", "status": 200, "outcome": "queued", "bytes": 9, "ms": 12,
            "expected": true,
        });
        assert_eq!(object, expected);
        let steering = line_of(&event("X\u{1b}[31m", "et-case-f7\u{1b}[2J\u{1b}]0;TITLE\u{7}"), false);
        assert!(!steering.trim_end().chars().any(char::is_control), "{steering:?}");
        assert!(steering.contains("et-case-f7\\u{1b}[2J\\u{1b}]0;TITLE\\u{7}"), "{steering:?}");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_named_as_the_cause() {
        let told = |body: &[u8]| {
            let event =
                Outgoing { kind: "-".into(), id: "-".into(), user: None, body: body.to_vec(), is_file: true };
            let mut report = Report::new(Expected::Acceptance, false);
            let answer = Answer { status: 401, word: None };
            let outcome = Outcome { event: &event, answer, took: Duration::ZERO };
            report.add(&outcome, &mut Vec::new()).unwrap();
            assert!(report.accepted_files.is_empty());
            report.hint().unwrap()
        };
        assert!(told(b"{\"a\":\"\xff\"}").contains("not UTF-8 from byte 6 on"), "{}", told(b"\xff"));
        assert!(told(b"{}").contains("another secret"));
    }
}
