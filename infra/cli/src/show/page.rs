//! State and events as lines to read. Colours go when stdout is no terminal.

use std::fmt::Write;

use console::Style;
use jiff::Timestamp;
use shared::callback::fold::NO_PROVIDER;
use shared::state::view::{
    AccountView, ArchiveView, ChangeView, InviteView, OutcomeView, RecordView, Standing, StateView, UserView,
    VerificationView, WidgetView, WorkView,
};
use shared::table::StoredEvent;

use crate::ui::plain;

/// Everything that a state holds, and events below it.
pub(super) fn state(view: &StateView, events: &[StoredEvent]) -> String {
    let mut page = Page::default();
    view.users.values().for_each(|it| user(&mut page, it));
    view.records.values().for_each(|it| record(&mut page, it));
    view.verifications.values().for_each(|it| verification(&mut page, it));
    if !events.is_empty() {
        page.blank();
        page.head("events, newest last", "", None);
        for event in events {
            let from_browser = (event.source == "callback").then(|| "the browser's word".to_owned());
            let notes = [
                from_browser,
                event.facts.screen.clone(),
                (event.deliveries.len() > 1).then(|| format!("{} deliveries", event.deliveries.len())),
                event.unfolded.as_ref().map(|reason| format!("not folded: {reason}")),
                event.body_dropped.clone(),
            ];
            let notes: Vec<String> = notes.into_iter().flatten().collect();
            let at = seconds(event.stored_at);
            let (kind, id) = (plain(&event.kind), plain(&event.id));
            page.line(&format!("{at} {kind:<26} {id} {}", dim(&notes.join(", "))));
        }
    }
    page.0.trim_end().to_owned()
}

/// One event, without its body.
pub(super) fn event(event: &StoredEvent) -> String {
    let mut page = Page::default();
    page.head("event", &event.id, Some(&event.kind));
    let list = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    let wrote = event
        .entity
        .as_ref()
        .zip(event.register.as_ref())
        .map(|(entity, register)| format!("{register} of {entity}"));
    for (name, value) in [
        ("created", event.created_at.clone()),
        ("received", Some(event.received_at.to_string())),
        ("stored", Some(event.stored_at.to_string())),
        ("source", Some(event.source.clone())),
        ("version", event.version.clone()),
        ("deliveries", Some(format!("{}: {}", event.deliveries.len(), list(&event.deliveries)))),
        ("wrote", wrote),
        ("not folded", event.unfolded.clone()),
        ("sent as", event.other_body_of.clone()),
        ("others", (!event.other_bodies.is_empty()).then(|| list(&event.other_bodies))),
        ("subjects", Some(list(&event.subjects))),
        ("facts", serde_json::to_string(&event.facts).ok()),
        ("body", Some(body_of(event))),
        ("sha-256", Some(event.hash.clone())),
    ] {
        page.pair(name, value.as_deref());
    }
    page.0.trim_end().to_owned()
}

fn body_of(event: &StoredEvent) -> String {
    match &event.body_dropped {
        Some(reason) => format!("not kept: {reason}"),
        None => format!("{} bytes (--body prints them)", event.bytes),
    }
}

fn user(page: &mut Page, view: &UserView) {
    page.blank();
    page.head("user", view.user.as_str(), None);
    page.pair("created", view.created_at.map(seconds).as_deref());
    page.pair("unfolded", unfolded(view.unfolded_since).as_deref());
    for session in &view.sessions {
        let words = [
            session.status.clone(),
            session.channel.clone(),
            session.channel_id.clone(),
            (!session.providers.is_empty()).then(|| session.providers.join(" ")),
            (!session.cut.is_empty()).then(|| format!("cut: {}", session.cut.join(" "))),
            session.at.map(since),
        ];
        page.pair("session", Some(&joined(words)));
    }
    view.accounts.iter().for_each(|it| account(page, it));
    view.archives.iter().for_each(|it| archive(page, it));
    view.invites.iter().for_each(|it| invite(page, it));
    if let Some(said) = &view.widget {
        widget(page, said);
    }
}

/// What the browser said. Times by its clock.
fn widget(page: &mut Page, view: &WidgetView) {
    page.blank();
    page.head("widget, as the browser says", "", view.mode.as_deref());
    if view.screen.is_some() {
        let words = [view.screen.clone(), view.provider.clone(), view.screen_at.map(since)];
        page.pair("screen", Some(&joined(words)));
    }
    if let Some(error) = &view.last_error {
        let words = [error.error_code.clone(), error.provider.clone(), error.at.map(since)];
        page.pair("last error", Some(&joined(words)));
    }
    if let Some(uploads) = &view.uploads {
        let count = uploads.count.map(|count| count.to_string());
        page.pair("uploads", Some(&joined([uploads.change.clone(), count, uploads.at.map(since)])));
    }
    page.pair("token", view.token_expired_at.map(|at| format!("expired {}", since(at))).as_deref());
    if let Some(at) = view.closed_at {
        page.pair("closed", Some(&joined([view.close_reason.clone(), Some(since(at))])));
    }
    for (provider, screens) in &view.funnel {
        let mut steps: Vec<_> = screens.iter().collect();
        steps.sort_by_key(|(_, first)| **first);
        let start = steps.first().map(|(_, first)| **first).unwrap_or_default();
        let step = |(screen, first): &(&String, &Timestamp)| {
            let after = first.duration_since(start).as_secs();
            format!("{} +{after} s", screen.strip_suffix("PageOpened").unwrap_or(screen))
        };
        let name = if provider == NO_PROVIDER { "funnel".to_owned() } else { format!("funnel {provider}") };
        page.pair(&name, Some(&steps.iter().map(step).collect::<Vec<_>>().join(", ")));
    }
}

fn account(page: &mut Page, view: &AccountView) {
    standing(page, "account", view.account.as_str(), &view.standing);
    if let Some(claim) = &view.claim {
        let differs = claim.differs_since.map(|at| format!("DIFFERS since {}", seconds(at)));
        let unconfirmed = claim.unconfirmed_at.map(|at| format!("unconfirmed at {}", seconds(at)));
        let words = [
            Some(claim.status.to_owned()),
            claim.error_code.clone(),
            claim.at.map(since),
            differs,
            unconfirmed,
        ];
        page.pair("browser", Some(&joined(words)));
    }
    page.pair("providers", (!view.providers.is_empty()).then(|| view.providers.join(", ")).as_deref());
    if let Some(monitor) = &view.monitor {
        page.pair("monitor", Some(&joined([Some(monitor.status.to_string()), monitor.at.map(since)])));
    }
    work(page, &view.work);
}

fn archive(page: &mut Page, view: &ArchiveView) {
    standing(page, "archive", view.archive.as_str(), &view.standing);
    work(page, &view.work);
}

fn standing(page: &mut Page, kind: &str, id: &str, standing: &Standing) {
    page.blank();
    page.head(kind, id, Some(&standing.status));
    page.pair("since", standing.status_at.map(seconds).as_deref());
    page.pair("error", standing.error_code.as_deref());
    page.pair("unfolded", unfolded(standing.unfolded_since).as_deref());
    page.pair("revoked", standing.revoked_at.map(seconds).as_deref());
}

fn work(page: &mut Page, work: &WorkView) {
    if let Some(sync) = &work.sync {
        page.pair(
            "sync",
            Some(&joined([sync.status.clone(), Some(points(&sync.datapoints)), sync.at.map(since)])),
        );
    }
    for (kind, task) in &work.tasks {
        let outcome = |outcome: &OutcomeView, state: Option<&String>| {
            joined([
                Some(kind.clone()),
                outcome.status.clone().or_else(|| state.cloned()),
                outcome.error_code.clone(),
                Some(points(&outcome.datapoints)),
                outcome.at.map(since),
            ])
        };
        page.pair("task", Some(&outcome(&task.outcome, task.state.as_ref())));
        if let Some(previous) = &task.previous {
            page.pair("before", Some(&outcome(previous, None)));
        }
    }
    for (point, data) in &work.data {
        let change = |change: &ChangeView| {
            let ids = change.updated_ids.len();
            let updated = (ids > 0).then(|| format!("updated: {ids}"));
            joined([
                Some(point.clone()),
                change.change.clone(),
                change.count.map(|count| count.to_string()),
                change.item.clone(),
                updated,
                change.at.map(since),
            ])
        };
        page.pair("data", Some(&change(&data.last)));
        if let Some(previous) = &data.previous {
            page.pair("before", Some(&change(previous)));
        }
    }
}

/// Tells that what is shown may be out of date.
fn unfolded(since: Option<Timestamp>) -> Option<String> {
    since.map(|since| format!("since {}: some events could not be folded, see its events", seconds(since)))
}

fn invite(page: &mut Page, view: &InviteView) {
    page.blank();
    page.head("invite", view.invite.as_str(), view.status.as_deref());
    page.pair("unfolded", unfolded(view.unfolded_since).as_deref());
    page.pair("since", view.at.map(seconds).as_deref());
}

fn record(page: &mut Page, view: &RecordView) {
    page.blank();
    page.head("record", view.record.as_str(), view.status.as_deref());
    page.pair("unfolded", unfolded(view.unfolded_since).as_deref());
    page.pair("type", view.kind.as_deref());
    page.pair("result", view.result_code.as_deref());
    page.pair("since", view.at.map(seconds).as_deref());
}

fn verification(page: &mut Page, view: &VerificationView) {
    page.blank();
    page.head("verification", view.verification.as_str(), view.status.as_deref());
    page.pair("result", view.result_code.as_deref());
    let passed = view.final_matches.map(|matches| if matches { "passed" } else { "NOT passed" });
    page.pair("conclusion", passed);
    page.pair("matched", (!view.matched.is_empty()).then(|| view.matched.join(", ")).as_deref());
    page.pair("mismatched", (!view.mismatched.is_empty()).then(|| view.mismatched.join(", ")).as_deref());
    page.pair("unfolded", unfolded(view.unfolded_since).as_deref());
    page.pair("since", view.at.map(seconds).as_deref());
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn blank(&mut self) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
    }

    fn head(&mut self, kind: &str, id: &str, status: Option<&str>) {
        let _ = writeln!(
            self.0,
            "{} {}  {}",
            Style::new().bold().apply_to(kind),
            plain(id),
            status.map_or_else(String::new, |status| coloured(&plain(status)))
        );
        self.0.truncate(self.0.trim_end().len());
        self.0.push('\n');
    }

    fn pair(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = writeln!(self.0, "  {} {}", dim(&format!("{name:<11}")), dimmed(value));
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "  {}", dimmed(line.trim_end()));
    }
}

/// A line with words from outside in it, which keeps what [`dim`] makes, and nothing else that steers a terminal.
fn dimmed(line: &str) -> String {
    let bright = |text: &str| text.split(BRIGHT).map(plain).collect::<Vec<_>>().join(BRIGHT);
    line.split(DIM).map(bright).collect::<Vec<_>>().join(DIM)
}

const DIM: &str = "\u{1b}[2m";
const BRIGHT: &str = "\u{1b}[0m";

/// A few data points by name, many by number.
fn points(of: &[String]) -> String {
    if of.len() > 4 { format!("{} data points", of.len()) } else { of.join(", ") }
}

fn joined<const N: usize>(words: [Option<String>; N]) -> String {
    words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("  ")
}

fn since(at: Timestamp) -> String {
    dim(&seconds(at))
}

/// Whole seconds: the vendor's times have no more.
fn seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}

fn dim(text: &str) -> String {
    Style::new().dim().apply_to(text).to_string()
}

fn coloured(status: &str) -> String {
    let style = match status {
        "CONNECTED" | "ANALYZED" | "LINKED" | "COMPLETED" => Style::new().green(),
        "ERROR" | "DISCONNECTED" | "REVOKED" => Style::new().red(),
        _ => Style::new().yellow(),
    };
    style.apply_to(status).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_from_outside_steers_no_terminal() {
        let dim = Style::new().dim().force_styling(true);
        let mut page = Page::default();
        page.pair("error", Some(&format!("a\u{9b}2J\u{1b}[31m\u{202e} {}", dim.apply_to("since noon"))));
        page.line("b\u{1b}]0;title\u{7}");
        let shown = page.0.replace(&super::dim("error      "), "error      ");
        let expected = "  error       a\\u{9b}2J\\u{1b}[31m\\u{202e} \u{1b}[2msince noon\u{1b}[0m\n  b\\u{1b}]0;title\\u{7}\n";
        assert_eq!(shown, expected);
    }
}
