//! The clock of commands that take a while, and times as they are typed.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the one clock of commands that take a while")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A moment as it is typed: `2026-03-01T10:00:00Z`, `2026-03-01` (UTC), or `10m`, `2h`, `3d` ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This time.
    At(Timestamp),
    /// So long ago.
    Ago(SignedDuration),
}

/// Not a moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time: write 2026-03-01T10:00:00Z, 2026-03-01 (UTC), or 10m, 2h or 3d for so long ago")]
pub struct NotAMoment(String);

impl Moment {
    /// The time that is meant, if it is `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAMoment(text.to_owned());
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        // Its parser would take a time after the date, and forget it.
        if text.len() == "2026-03-01".len()
            && let Ok(day) = text.parse::<Date>()
        {
            let midnight = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| wrong())?;
            return Ok(Self::At(midnight));
        }
        let ago = match text.strip_suffix('d').map(str::parse::<u16>) {
            Some(Ok(days)) => SignedDuration::from_hours(24 * i64::from(days)),
            _ => text.parse().map_err(|_| wrong())?,
        };
        if ago.is_negative() { Err(wrong()) } else { Ok(Self::Ago(ago)) }
    }
}

/// As an option of this command would be typed.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(f),
            Self::Ago(ago) => write!(f, "{ago:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_typed() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        for (text, at) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ("2026-03-01T18:00:00.25+08:00", "2026-03-01T10:00:00.25Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("10m", "2026-03-01T23:50:00Z"),
            ("1h30m", "2026-03-01T22:30:00Z"),
            ("3d", "2026-02-27T00:00:00Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.at(now), at.parse().unwrap(), "{text}");
            assert_eq!(moment.to_string().parse::<Moment>().unwrap(), moment);
        }
        // A time without its zone could be anybody's.
        for text in ["", "now", "10", "-10m", "2026-03-01T10:00:00", "2026-3-1", "yesterday"] {
            assert_eq!(text.parse::<Moment>(), Err(NotAMoment(text.to_owned())), "{text}");
        }
    }
}
