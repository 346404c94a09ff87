//! What the function is told by its variables.

use jiff::{SignedDuration, Timestamp};
use shared::table::QUARANTINE_DAYS;
use shared::variables::{Missing, Variables};

/// The variables of this function, read once.
#[derive(Debug)]
pub struct Config {
    /// `TABLE_NAME`: the table.
    pub table: String,
    /// `RETENTION_DAYS`: how long events and their bodies stay.
    pub retention: Retention,
    /// `CALLBACK_QUEUE_ARN`: the queue of what browsers say. Without it there is none.
    pub callback_queue: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of this function's counts.
    pub function_name: String,
}

/// How long things stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    days: i64,
}

impl std::str::FromStr for Retention {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(days @ 1..=3650) => Ok(Self { days }),
            _ => Err("it is a whole number of days from 1 to 3650"),
        }
    }
}

impl Retention {
    /// When an event that is stored now may go.
    pub fn event(self, now: Timestamp) -> Timestamp {
        now + SignedDuration::from_hours(24 * self.days)
    }

    /// When a body that is quarantined now may go.
    pub fn quarantine(self, now: Timestamp) -> Timestamp {
        now + SignedDuration::from_hours(24 * self.days.min(QUARANTINE_DAYS))
    }
}

impl Config {
    /// The names of all variables that [`Self::read`] reads, less those that Lambda sets.
    pub const VARIABLES: [&str; 3] = ["TABLE_NAME", "RETENTION_DAYS", "CALLBACK_QUEUE_ARN"];

    /// Reads the variables; what is missing is named.
    pub fn read(variables: &Variables<'_>) -> Result<Self, Missing> {
        Ok(Self {
            table: variables.required("TABLE_NAME")?,
            retention: variables.parsed("RETENTION_DAYS", "365")?,
            callback_queue: variables.optional("CALLBACK_QUEUE_ARN"),
            function_name: variables.function_name("consumer"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let read = |list: &[(&str, &str)]| {
            Config::read(&Variables::from_list(list)).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[]).unwrap_err(), "the variable TABLE_NAME is not set");
        for wrong in ["0", "3651", "-1", "a year"] {
            let error = read(&[("TABLE_NAME", "t"), ("RETENTION_DAYS", wrong)]).unwrap_err();
            assert!(error.starts_with("the variable RETENTION_DAYS cannot be used"), "{error}");
        }
    }

    #[test]
    fn the_quarantine_ends_first() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let days = |days: &str| days.parse::<Retention>().unwrap();
        assert_eq!(days("365").event(now).to_string(), "2027-03-01T00:00:00Z");
        assert_eq!(days("365").quarantine(now).to_string(), "2026-03-15T00:00:00Z");
        assert_eq!(days("3").quarantine(now).to_string(), "2026-03-04T00:00:00Z");
    }
}
