//! Fills the places of a sample: `{{user}}`, `{{new d}}`, `{{date -30}}`, `{{pay 0.5}}` and the like.
//!
//! A text that is one place and nothing else becomes what the place stands for, a number included.
//! A place that nobody knows stays as it is, for a test to find.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::Ids;
use super::ids::new;
use super::person::Person;

/// Fills every place, at any depth.
pub(super) fn fill(value: &mut Value, ids: &Ids, now: Timestamp, rng: &mut Rng) {
    match value {
        Value::String(text) if text.contains("{{") => *value = Places::new(ids, now).filled(text, rng),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, ids, now, rng)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, ids, now, rng)),
        _ => {}
    }
}

struct Places<'a> {
    ids: &'a Ids,
    person: &'static Person,
    now: Timestamp,
    today: Date,
}

impl<'a> Places<'a> {
    fn new(ids: &'a Ids, now: Timestamp) -> Self {
        Self { ids, person: Person::of(&ids.user), now, today: TimeZone::UTC.to_datetime(now).date() }
    }

    fn filled(&self, text: &str, rng: &mut Rng) -> Value {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((place, behind)) = after.split_once("}}") else { break };
            let value = self.value(place, rng);
            if before.is_empty() && behind.is_empty() && out.is_empty() {
                return value.unwrap_or_else(|| text.into());
            }
            out.push_str(before);
            match value {
                Some(Value::String(value)) => out.push_str(&value),
                Some(value) => out.push_str(&value.to_string()),
                None => out.extend(["{{", place, "}}"]),
            }
            rest = behind;
        }
        out.push_str(rest);
        out.into()
    }

    fn value(&self, place: &str, rng: &mut Rng) -> Option<Value> {
        let (name, argument) = place.split_once(' ').unwrap_or((place, ""));
        let person = self.person;
        Some(match name {
            "event" => new("et", rng).into(),
            "new" => new(argument, rng).into(),
            "digits" => (0..argument.parse().ok()?).map(|_| rng.digit(10)).collect::<String>().into(),
            "user" => self.ids.user.as_str().into(),
            "account" => self.ids.account.as_str().into(),
            "provider" => self.ids.provider.as_str().into(),
            "archive" => self.ids.archive.as_str().into(),
            "invite" => self.ids.invite.as_str().into(),
            "record" => self.ids.record.as_str().into(),
            "verification" => self.ids.verification.as_str().into(),
            // The site belongs to the tenant: one for all.
            "site" => "site-2f6c0b7de1a84f5c9b3d70a8e4156c92".into(),
            "now" => self.seconds_ago(0).into(),
            "ago" => self.seconds_ago(argument.parse().ok()?).into(),
            "date" => self.day(argument.parse().ok()?).to_string().into(),
            "month" => self
                .today
                .saturating_add(argument.parse::<i32>().ok()?.months())
                .strftime("%Y-%m")
                .to_string()
                .into(),
            "pay" => ((person.pay * argument.parse::<f64>().ok()? * 100.0).round() / 100.0).into(),
            "name" => person.name().into(),
            "first" => person.first.into(),
            "middle" => {
                if person.middle.is_empty() {
                    Value::Null
                } else {
                    person.middle.into()
                }
            }
            "last" => person.last.into(),
            "gender" => person.gender.into(),
            "dob" => person.born.into(),
            "login" => person.mail.into(),
            "phone" => person.phone.into(),
            "street" => person.street.into(),
            "city" => person.city.into(),
            "region" => person.region.into(),
            "zip" => person.zip.into(),
            "country" => person.country.into(),
            "currency" => person.currency.into(),
            "job" => person.job.into(),
            "employer" => person.employer.into(),
            "former" => person.former.into(),
            "document" => person.document.0.into(),
            "number" => person.document.1.into(),
            _ => return None,
        })
    }

    /// Whole seconds, as Smile writes them.
    fn seconds_ago(&self, seconds: i64) -> String {
        format!("{:.0}", self.now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(self.now))
    }

    fn day(&self, days: i32) -> Date {
        self.today.saturating_add(days.days())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Value {
        let mut rng = Rng::with_seed(1);
        let mut ids = Ids::fresh(&mut rng);
        ids.user = "demo-1".to_owned();
        let mut value = Value::from(text);
        fill(&mut value, &ids, "2026-03-01T10:00:00.9Z".parse().unwrap(), &mut rng);
        value
    }

    #[test]
    fn places_become_what_they_stand_for() {
        for (text, expected) in [
            ("{{now}}", "2026-03-01T10:00:00Z"),
            ("{{ago 60}}", "2026-03-01T09:59:00Z"),
            ("{{date -1}} to {{date 0}}", "2026-02-28 to 2026-03-01"),
            ("{{month -3}}", "2025-12"),
            ("user {{user}}.", "user demo-1."),
            ("{{what}} and {{user}}", "{{what}} and demo-1"),
            ("{{what}}", "{{what}}"),
            ("{{user", "{{user"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
        assert!(filled("{{pay 0.5}}").is_number());
        assert_eq!(filled("{{new d}}").as_str().unwrap().len(), 2 + 32);
        assert!(filled("C{{digits 11}}").as_str().unwrap()[1..].parse::<u64>().is_ok());
    }
}
