//! The query's parameters: each is known, stands there once, and is what it should be.

use std::borrow::Cow;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use shared::id::MAX_ID_BYTES;
use shared::job::Source;

use crate::cursor;
use crate::refusal::Refusal;

/// How many entries a page has, unless it is asked for otherwise.
pub const LIMIT_DEFAULT: usize = 50;

/// The most entries that a page has.
pub const LIMIT_MAX: usize = 200;

/// What stands in a query.
#[derive(Debug)]
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Reads a query as it stands in the URL, of which `known` may be there.
    pub fn read(query: &'a str, known: &'static [&'static str]) -> Result<Self, Refusal> {
        let mut read: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_ref()) {
                return Err(Refusal::UnknownParameter(known));
            }
            if read.iter().any(|(there, _)| *there == name) {
                return Err(Refusal::Repeated);
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_ref())
    }

    /// The id, which this parameter carries.
    pub fn id(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or(Refusal::IdMissing(name))
    }

    /// `limit`.
    pub fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.get("limit") else { return Ok(LIMIT_DEFAULT) };
        let is_number = text.bytes().all(|digit| digit.is_ascii_digit()) && text.len() <= 3;
        let limit = text.parse().ok().filter(|limit| is_number && (1..=LIMIT_MAX).contains(limit));
        limit.ok_or(Refusal::Limit)
    }

    /// `after`, a cursor of this list.
    pub fn after<P: DeserializeOwned>(&self, list: &str) -> Result<Option<P>, Refusal> {
        let read = self.get("after").map(|text| cursor::decode(list, text));
        read.transpose().map_err(|cursor::BadCursor| Refusal::Cursor)
    }

    /// `type`, also one that is not known yet.
    pub fn kind(&self) -> Result<Option<String>, Refusal> {
        match self.get("type") {
            Some(kind) if kind.is_empty() || kind.chars().count() > MAX_ID_BYTES => Err(Refusal::Type),
            kind => Ok(kind.map(str::to_owned)),
        }
    }

    /// `source`.
    pub fn source(&self) -> Result<Option<Source>, Refusal> {
        let Some(word) = self.get("source") else { return Ok(None) };
        let all = [Source::Webhook, Source::Reconcile, Source::Callback];
        all.into_iter().find(|source| source.as_str() == word).map(Some).ok_or(Refusal::Source)
    }

    /// `from` or `to`.
    pub fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
        self.get(name).map(|text| time(text).ok_or(Refusal::Time(name))).transpose()
    }

    /// `day`.
    pub fn day(&self) -> Result<Option<Date>, Refusal> {
        self.get("day").map(|text| day(text).ok_or(Refusal::Day)).transpose()
    }

    /// `body`: whether it is wanted.
    pub fn body(&self) -> Result<bool, Refusal> {
        match self.get("body") {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::Body),
        }
    }
}

/// As forms have it: percent signs, and plus signs for spaces (WHATWG URL, "application/x-www-form-urlencoded").
fn decoded(text: &str) -> Result<Cow<'_, str>, Refusal> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| Refusal::NotUtf8)?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| Refusal::NotUtf8)
}

/// Whether a text has this form, in which `0` stands for any digit.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

fn day(text: &str) -> Option<Date> {
    has_form(text, "0000-00-00").then(|| text.parse().ok())?
}

/// A time as RFC 3339 has it, and in no other of ISO 8601's forms. What lies beyond the times that can be
/// reckoned with, at the end of the year 9999, is their end.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.to_ascii_uppercase();
    let (clock, rest) = text.split_at_checked(19)?;
    if !has_form(clock, "0000-00-00T00:00:00") {
        return None;
    }
    let clock: DateTime = clock.parse().ok()?;
    let digits =
        rest.strip_prefix('.').map_or(0, |digits| digits.bytes().take_while(u8::is_ascii_digit).count());
    let fraction = match (rest.starts_with('.'), digits) {
        (false, _) => 0,
        (true, 0) => return None,
        // More than nanoseconds nobody keeps.
        (true, digits) => format!("{:0<9}", &rest[1..=digits.min(9)]).parse().ok()?,
    };
    let zone = rest.get(if digits == 0 { 0 } else { digits + 1 }..)?;
    let minutes = match zone {
        "Z" => 0,
        _ if has_form(zone, "+00:00") || has_form(zone, "-00:00") => {
            let (hours, minutes): (i64, i64) = (zone[1..3].parse().ok()?, zone[4..6].parse().ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if zone.starts_with('-') { minutes } else { -minutes }
        }
        _ => return None,
    };
    let clock = clock.with().subsec_nanosecond(fraction).build().ok()?;
    let clock = clock.saturating_add(SignedDuration::from_mins(minutes));
    let last = if clock.year() < 5000 { Timestamp::MIN } else { Timestamp::MAX };
    Some(jiff::tz::TimeZone::UTC.to_timestamp(clock).unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["after", "body", "day", "from", "limit", "source", "type"];

    fn read(query: &str) -> Result<Parameters<'_>, Refusal> {
        Parameters::read(query, KNOWN)
    }

    #[test]
    fn each_is_known_and_stands_there_once() {
        assert_eq!(read("typ=X").unwrap_err(), Refusal::UnknownParameter(KNOWN));
        assert_eq!(read("type=X&limit=1&type=X").unwrap_err(), Refusal::Repeated);
        assert_eq!(read("type=X&t%79pe=X").unwrap_err(), Refusal::Repeated);
        assert_eq!(read("type=%ff").unwrap_err(), Refusal::NotUtf8);
        assert_eq!(read("=").unwrap_err(), Refusal::UnknownParameter(KNOWN));
        let read = read("&type=A+%2B%c3%a9&&limit").unwrap();
        assert_eq!(read.kind(), Ok(Some("A +é".to_owned())));
        assert_eq!(read.limit(), Err(Refusal::Limit));
    }

    #[test]
    fn limits() {
        let limit = |text: &str| read(&format!("limit={text}")).unwrap().limit();
        assert_eq!((read("").unwrap().limit(), limit("1"), limit("200")), (Ok(50), Ok(1), Ok(200)));
        for wrong in ["0", "201", "-1", "%2B5", "+5", "5.0", "1e2", "", "ten", "0x10", "99999999999999999999"]
        {
            assert_eq!(limit(wrong), Err(Refusal::Limit), "{wrong}");
        }
    }

    #[test]
    fn types_and_sources() {
        let kind = |text: &str| read(&format!("type={text}")).unwrap().kind();
        assert_eq!(kind("NEW_TYPE"), Ok(Some("NEW_TYPE".to_owned())));
        assert!(kind(&"é".repeat(256)).is_ok());
        assert_eq!((kind(""), kind(&"x".repeat(257))), (Err(Refusal::Type), Err(Refusal::Type)));
        let source = |text: &str| read(&format!("source={text}")).unwrap().source();
        assert_eq!(source("callback"), Ok(Some(Source::Callback)));
        assert_eq!((source("Webhook"), source("")), (Err(Refusal::Source), Err(Refusal::Source)));
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (text, expected) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ("2026-03-01t10:00:00.5z", "2026-03-01T10:00:00.5Z"),
            ("2026-03-01T18:00:00.123456789123+08:00", "2026-03-01T10:00:00.123456789Z"),
            ("2026-02-28T23:30:00-10:30", "2026-03-01T10:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59-23:59", &Timestamp::MAX.to_string()),
        ] {
            assert_eq!(time(text).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "2026-03-01",
            "2026-03-01T10:00Z",
            "2026-03-01T10:00:00",
            "2026-03-01 10:00:00Z",
            "2026-03-01T10:00:00.Z",
            "2026-03-01T10:00:00+0800",
            "2026-03-01T10:00:00 08:00",
            "2026-03-01T10:00:00+24:00",
            "2026-03-01T10:00:00Z[UTC]",
            "2026-02-30T10:00:00Z",
            "2026-03-01T24:00:00Z",
            "20260301T100000Z",
            "+002026-03-01T10:00:00Z",
            "2026-03-01T10:00:0éZ",
            "now",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_and_bodies() {
        let of = |text: &str| read(&format!("day={text}")).unwrap().day();
        assert_eq!(of("2026-02-28").unwrap().unwrap().to_string(), "2026-02-28");
        for wrong in ["", "2026-02-29", "20260228", "2026-2-28", "2026-02-28T10:00:00Z", "today"] {
            assert_eq!(of(wrong), Err(Refusal::Day), "{wrong}");
        }
        let body = |text: &str| read(text).unwrap().body();
        assert_eq!((body(""), body("body=false"), body("body=true")), (Ok(false), Ok(false), Ok(true)));
        for wrong in ["body", "body=", "body=1", "body=True"] {
            assert_eq!(body(wrong), Err(Refusal::Body), "{wrong}");
        }
    }
}
