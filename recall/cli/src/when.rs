//! Times as people type them.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads a time: RFC 3339, a date, a date and time or a time without a zone (UTC), or an age such as `3d`.
///
/// Used as a value parser, so that a wrong time is a usage error that names the flag.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text, Timestamp::now())
}

fn parse_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(age) = age(text) {
        return now.checked_sub(age).map_err(|_| "that is further back than any clock".to_owned());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let today = || now.to_zoned(TimeZone::UTC).date();
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.to_datetime(Time::midnight())))
        .or_else(|_| text.parse::<Time>().map(|time| today().to_datetime(time)));
    civil
        .and_then(|civil| civil.to_zoned(TimeZone::UTC))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| "expected a time such as 2026-05-04T10:21:00Z, 2026-05-04, 10:21, or an age such as 3d".to_owned())
}

/// The present as somebody gives it: a time, and where it is that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Present {
    pub(crate) at: Timestamp,
    /// Days that a question names begin at midnight here.
    pub(crate) time_zone: TimeZone,
}

impl Present {
    /// This time, where this machine is.
    pub(crate) fn here(at: Timestamp) -> Present {
        Present { at, time_zone: TimeZone::system() }
    }
}

/// As it is read again: RFC 3339 with the offset.
impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.at.display_with_offset(self.time_zone.to_offset(self.at)))
    }
}

/// Reads a time as [`parse`] does, with the offset that it has; one without an offset is UTC, an age is counted here.
pub(crate) fn parse_present(text: &str) -> Result<Present, String> {
    let (text, at) = (text.trim(), parse(text)?);
    if age(text).is_some() {
        return Ok(Present::here(at));
    }
    let time_zone = match Pieces::parse(text).ok().and_then(|pieces| pieces.offset()) {
        Some(PiecesOffset::Numeric(numeric)) => TimeZone::fixed(numeric.offset()),
        _ => TimeZone::UTC,
    };
    Ok(Present { at, time_zone })
}

/// An age: a number and one of `s`, `min` or `m`, `h`, `d`, `w`, `y` (365 days).
fn age(text: &str) -> Option<SignedDuration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(seconds).map(SignedDuration::from_secs)
}

/// How long ago that was, in words: `3 days ago`, `just now`, `in 2 hours`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    let (size, future) = (seconds.unsigned_abs(), seconds < 0);
    let (number, unit) = match size {
        0..60 => return "just now".to_owned(),
        60..3_600 => (size / 60, "minute"),
        3_600..86_400 => (size / 3_600, "hour"),
        86_400..5_184_000 => (size / 86_400, "day"),
        5_184_000..63_072_000 => (size / 2_629_746, "month"),
        _ => (size / 31_556_952, "year"),
    };
    let plural = if number == 1 { "" } else { "s" };
    if future { format!("in {number} {unit}{plural}") } else { format!("{number} {unit}{plural} ago") }
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_understood_as_people_type_them() {
        let now = at("2026-05-04T10:00:00Z");
        for (given, time) in [
            ("2026-05-01T08:00:00Z", "2026-05-01T08:00:00Z"),
            ("2026-05-01T08:00:00+02:00", "2026-05-01T06:00:00Z"),
            ("2026-05-01 08:00", "2026-05-01T08:00:00Z"),
            ("2026-05-01T08:00:30", "2026-05-01T08:00:30Z"),
            ("2026-05-01", "2026-05-01T00:00:00Z"),
            ("09:30", "2026-05-04T09:30:00Z"),
            ("3d", "2026-05-01T10:00:00Z"),
            ("90min", "2026-05-04T08:30:00Z"),
        ] {
            assert_eq!(parse_at(given, now).unwrap(), at(time), "{given}");
        }
        for bad in ["", "soon", "3", "d", "2026-13-01", "-3d", "99999999999999999999d", "9223372036854775807y"] {
            assert!(parse_at(bad, now).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_present_keeps_its_offset() {
        for (given, printed) in [
            ("2026-05-01T07:00:00+08:00", "2026-05-01T07:00:00+08:00"),
            ("2026-05-01 07:00-03:30", "2026-05-01T07:00:00-03:30"),
            ("2026-05-01T07:00:00Z", "2026-05-01T07:00:00+00:00"),
            ("2026-05-01", "2026-05-01T00:00:00+00:00"),
        ] {
            let present = parse_present(given).unwrap();
            assert_eq!(present.to_string(), printed);
            assert_eq!(parse_present(printed).unwrap().at, present.at);
        }
        assert!(parse_present("soon").is_err());
    }

    #[test]
    fn ages_read_like_speech() {
        let now = at("2026-05-04T10:00:00Z");
        for (then, words) in [
            ("2026-05-04T09:59:30Z", "just now"),
            ("2026-05-04T09:58:59Z", "1 minute ago"),
            ("2026-05-01T10:00:00Z", "3 days ago"),
            ("2026-01-01T10:00:00Z", "4 months ago"),
            ("2023-01-01T10:00:00Z", "3 years ago"),
            ("2026-05-04T12:00:01Z", "in 2 hours"),
        ] {
            assert_eq!(ago(at(then), now), words);
        }
    }
}
