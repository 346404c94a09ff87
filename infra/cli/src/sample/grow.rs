//! Larger payloads: more incomes and transactions, each like a real one.

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Ids;
use super::fill::fill;

/// Adds incomes and transactions to the event's payload until its body has about `kilobytes` KB.
/// Smile itself stops at 300 entries a list, which is about 150 KB in these two; more is for trying
/// out limits. Returns whether the event has lists to add to.
pub fn grow(event: &mut Value, kilobytes: usize, ids: &Ids, now: Timestamp, rng: &mut Rng) -> bool {
    let wanted = kilobytes.saturating_mul(1000);
    let mut size = super::body(event).len();
    let in_account = event["data"]["payload"]["accounts"].is_array();
    let payload = if in_account { "/data/payload/accounts/0/payload" } else { "/data/payload" };
    let Some(Value::Object(payload)) =
        event.pointer_mut(payload).filter(|payload| payload.get("incomes").is_some())
    else {
        return false;
    };
    for (name, item) in
        [("incomes", income as fn(u64) -> Value), ("transactions", transaction)].iter().cycle()
    {
        if size >= wanted {
            break;
        }
        let list = payload.entry(*name).or_insert(Value::Null);
        if !list["items"].is_array() {
            *list = json!({ "nextCursor": null, "items": [] });
        }
        let Some(items) = list["items"].as_array_mut() else { break };
        let mut item = item(items.len() as u64);
        fill(&mut item, ids, now, rng);
        size += item.to_string().len() + 1;
        items.push(item);
    }
    true
}

/// Two a month, going back.
fn income(number: u64) -> Value {
    let end = -1 - 15 * i64::try_from(number % 500).unwrap_or_default();
    json!({
        "id": "{{new inc}}", "workItem": null, "employer": "{{employer}}",
        "startDate": format!("{{{{date {}}}}}", end - 14), "endDate": format!("{{{{date {end}}}}}"),
        "currency": "{{currency}}", "frequency": "Semimonthly",
        "baseAmount": "{{pay 0.5}}", "grossAmount": "{{pay 0.53}}", "netAmount": "{{pay 0.4575}}",
    })
}

/// One a day, going back.
fn transaction(number: u64) -> Value {
    let day = -1 - i64::try_from(number % 4000).unwrap_or_default();
    let (description, share) = match number % 4 {
        0 => ("Cash withdrawal", -0.08),
        1 => ("Groceries", -0.021),
        2 => ("Transfer to savings", -0.05),
        _ => ("Payroll {{employer}}", 0.4575),
    };
    json!({
        "id": "{{new t}}", "date": format!("{{{{date {day}}}}}"), "description": description,
        "currency": "{{currency}}", "amount": format!("{{{{pay {share}}}}}"), "referenceId": "T{{digits 10}}",
    })
}

#[cfg(test)]
mod tests {
    use shared::event::EventType;

    use super::*;
    use crate::sample::{body, event, has_payload};

    #[test]
    fn grows_to_about_the_size_asked_for() {
        let mut rng = Rng::with_seed(1);
        let ids = Ids::fresh(&mut rng);
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        for kind in EventType::KNOWN {
            let mut grown = event(kind, &ids, now, &mut rng);
            let before = body(&grown);
            assert_eq!(grow(&mut grown, 200, &ids, now, &mut rng), has_payload(kind), "{kind}");
            let after = body(&grown);
            if has_payload(kind) {
                assert!((200_000..201_000).contains(&after.len()), "{kind}: {}", after.len());
                assert!(!after.contains("{{"), "{kind}");
            } else {
                assert_eq!(before, after, "{kind}");
            }
        }
    }

    #[test]
    fn never_shrinks() {
        let mut rng = Rng::with_seed(2);
        let ids = Ids::fresh(&mut rng);
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let mut grown = event(&EventType::TaskFinished, &ids, now, &mut rng);
        let before = grown.clone();
        assert!(grow(&mut grown, 1, &ids, now, &mut rng));
        assert_eq!(grown, before);
    }
}
