//! What became of bodies from files that the webhook has accepted: the consumer, which comes later, can still quarantine
//! one. Samples need no look: they are events that can be filed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use shared::id::EventId;
use shared::state::BodyHash;
use shared::table::{Fault, Quarantined, order_of};
use tokio::time::{Instant, sleep};

use super::Args;
use super::events::Outgoing;
use crate::operator::{Deployed, OperatorArgs, Receiver};
use crate::stack::Stack;
use crate::ui::{many, plain, say};

/// How long a body may take from the queue to the table before that is said.
const WAIT: Duration = Duration::from_secs(15);

/// How often the table is asked.
const INTERVAL: Duration = Duration::from_millis(300);

/// The most bodies that are looked for.
const MOST: usize = 20;

/// By how much another machine's clock may be behind.
const BEHIND: SignedDuration = SignedDuration::from_mins(2);

/// The most entries of the quarantine that one look reads.
const PAGE: usize = 200;

/// Prints to stderr what became of the accepted bodies, as far as the receiver's table can be read.
pub(super) async fn print_outcomes(args: &Args, stack: Option<&Stack>, accepted: &[Outgoing]) {
    let mut sought: BTreeMap<String, &Outgoing> = BTreeMap::new();
    for event in accepted {
        sought.insert(BodyHash::of(&event.body).as_str().to_owned(), event);
    }
    if sought.is_empty() || args.url.is_some() && args.stack.is_none() {
        return;
    }
    if sought.len() > MOST {
        return say("What could not be filed, if anything, lies in quarantine: smile quarantine list");
    }
    if let Err(error) = look(args, stack, sought).await {
        say(&format!("What became of it cannot be seen: {}", plain(&format!("{error:#}"))));
    }
}

async fn look(
    args: &Args,
    stack: Option<&Stack>,
    mut sought: BTreeMap<String, &Outgoing>,
) -> anyhow::Result<()> {
    let receiver = match (&args.stack, stack) {
        (Some(name), _) => {
            OperatorArgs::of_stack(name.clone(), args.profile.clone(), args.region.clone()).receiver().await?
        }
        (None, Some(stack)) => Deployed::of_local(stack)?.receiver()?,
        (None, None) => return Ok(()),
    };
    let began = Instant::now();
    let since = receiver.clock.now().saturating_sub(BEHIND)?;
    while !sought.is_empty() && began.elapsed() < WAIT {
        for item in quarantined(&receiver, since).await? {
            if let Some(event) = sought.remove(&item.hash) {
                say(&format!("{} is quarantined: {}", named(event), why(&item)));
            }
        }
        let mut missing = BTreeMap::new();
        for (hash, event) in sought {
            if !is_stored(&receiver, event, &hash).await? {
                missing.insert(hash, event);
            }
        }
        sought = missing;
        if !sought.is_empty() {
            sleep(INTERVAL).await;
        }
    }
    for event in sought.values() {
        say(&format!(
            "{} has not been stored within {}. smile show event finds it later; smile redrive --dry-run shows what failed.",
            named(event),
            many(WAIT.as_secs(), "second")
        ));
    }
    Ok(())
}

async fn is_stored(receiver: &Receiver, event: &Outgoing, hash: &str) -> Result<bool, Fault> {
    // Without an id it can only be in quarantine.
    let Ok(id) = EventId::new(event.id.as_str()) else { return Ok(false) };
    let stored = receiver.table.event_alone(&id).await?;
    Ok(stored.is_some_and(|stored| stored.came_with(hash)))
}

/// What was received since then and lies in quarantine.
async fn quarantined(receiver: &Receiver, since: Timestamp) -> Result<Vec<Quarantined>, Fault> {
    let day = |at| TimeZone::UTC.to_datetime(at).date();
    let mut found = Vec::new();
    for day in [day(since), day(receiver.clock.now())] {
        let mut after = Some(order_of(since));
        while let Some(from) = after {
            let (items, reached) = receiver.table.quarantine_page(day, Some(&from), PAGE).await?;
            found.extend(items);
            after = reached;
        }
    }
    Ok(found)
}

fn named(event: &Outgoing) -> String {
    if event.id == "-" { "The body".to_owned() } else { plain(&event.id).into_owned() }
}

fn why(item: &Quarantined) -> String {
    let detail = plain(&item.detail);
    format!("{}: {detail}\n  smile quarantine show '{}' --body", plain(&item.reason), item.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_steers_no_terminal_and_names_the_key() {
        let item: Quarantined = serde_json::from_value(serde_json::json!({
            "sk": "2026-03-01T10:00:00.000000Z#0123456789abcdef", "reason": "id_conflict", "detail": "x\u{1b}[2J",
            "source": "webhook", "delivery": "d", "received_at": "2026-03-01T10:00:00Z",
            "stored_at": "2026-03-01T10:00:00Z", "hash": "00", "bytes": 1,
        }))
        .unwrap();
        let told = why(&item);
        assert!(told.starts_with("id_conflict: x\\u{1b}[2J\n"), "{told}");
        assert!(told.ends_with("show '2026-03-01T10:00:00.000000Z#0123456789abcdef' --body"), "{told}");
    }
}
