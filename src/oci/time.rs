//! A time as RFC 3339 text, in the form in which Go prints it again.

use super::go::write_string;
use super::json::{Json, Read, Wrong};
use crate::digest::shown;
use crate::error::{Error, Result, invalid};
use serde_json::value::RawValue;
use std::fmt;
use std::str::FromStr;

/// A time with up to nine digits of fraction, in the offset it was written in. The default is Go's zero time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Time(String);

const ZERO: &str = "0001-01-01T00:00:00Z";
/// `2006-01-02T15:04:05`
const SECONDS_END: usize = 19;
/// Go keeps nanoseconds and drops what follows.
const MAX_FRACTION: usize = 9;

impl Time {
    /// RFC 3339 text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Seconds since 1970, without the part of one.
    pub fn unix(&self) -> i64 {
        let number = |from: usize, to: usize| self.0.get(from..to).and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
        let days = days_since_1970(number(0, 4), number(5, 7), number(8, 10));
        let seconds = days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
        match self.0.strip_suffix('Z') {
            Some(_) => seconds,
            None => {
                let at = self.0.len() - "+00:00".len();
                let offset = number(at + 1, at + 3) * 3600 + number(at + 4, at + 6) * 60;
                if self.0.as_bytes()[at] == b'-' { seconds + offset } else { seconds - offset }
            }
        }
    }
    /// Whether it is the time that stands for none.
    pub fn is_zero(&self) -> bool {
        self.0 == ZERO
    }
}

impl Default for Time {
    fn default() -> Time {
        Time(ZERO.to_owned())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Time {
    type Err = Error;
    /// Errors: `InvalidArgument` for anything but RFC 3339 with `T` and `Z` in upper case.
    fn from_str(text: &str) -> Result<Time> {
        canonical(text).map(Time).ok_or_else(|| invalid("not a time as of RFC 3339").subject(shown(text)))
    }
}

impl Json for Time {
    fn absent() -> Read<Self> {
        Ok(Time::default())
    }
    fn read(value: &RawValue) -> Read<Self> {
        String::read(value)?.parse().map_err(|_| Wrong::new("is not a time as of RFC 3339"))
    }
    fn write(&self, out: &mut String) {
        write_string(&self.0, out);
    }
}

/// Checks a time and drops what Go would not print: fraction digits without meaning, an offset of nothing.
fn canonical(text: &str) -> Option<String> {
    let (seconds, rest) = text.split_at_checked(SECONDS_END)?;
    let shape = |(i, c): (usize, u8)| match i {
        4 | 7 => c == b'-',
        10 => c == b'T',
        13 | 16 => c == b':',
        _ => c.is_ascii_digit(),
    };
    if !seconds.bytes().enumerate().all(shape) {
        return None;
    }
    let number = |from: usize, to: usize| seconds.get(from..to)?.parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if day < 1 || day > days_in(month, year)? || number(11, 13)? > 23 || number(14, 16)? > 59 || number(17, 19)? > 59 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
    };
    if fraction.is_empty() && rest.starts_with('.') {
        return None;
    }
    let fraction = fraction.get(..MAX_FRACTION).unwrap_or(fraction).trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{seconds}{dot}{fraction}{}", offset(zone)?))
}

/// Of a day in the calendar that is in use since 1582, and was before in the mind of computers.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their odd day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_1970 = 719_468;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - days_before_1970
}

fn offset(zone: &str) -> Option<&str> {
    if zone == "Z" {
        return Some("Z");
    }
    let &[b'+' | b'-', h1, h2, b':', m1, m2] = zone.as_bytes() else { return None };
    let two = |a: u8, b: u8| (a.is_ascii_digit() && b.is_ascii_digit()).then(|| (a - b'0') * 10 + (b - b'0'));
    match (two(h1, h2)?, two(m1, m2)?) {
        (0, 0) => Some("Z"),
        (0..=23, 0..=59) => Some(zone),
        _ => None,
    }
}

fn days_in(month: u32, year: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        1..=12 => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_as_go_prints_it() {
        for (text, printed) in [
            ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
            ("2024-01-02T03:04:05.120000000Z", "2024-01-02T03:04:05.12Z"),
            ("2024-01-02T03:04:05.000Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05.1234567899+02:00", "2024-01-02T03:04:05.123456789+02:00"),
            ("2024-01-02T03:04:05-00:00", "2024-01-02T03:04:05Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(text.parse::<Time>().unwrap().as_str(), printed);
        }
        assert!(Time::default().is_zero());
    }

    #[test]
    fn seconds_since_1970() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T23:59:59.9Z", 1_709_251_199),
            ("2024-03-01T00:00:00Z", 1_709_251_200),
            ("2000-01-01T00:00:00+02:30", 946_684_800 - 9_000),
            ("1999-12-31T23:00:00-01:00", 946_684_800),
            ("1969-12-31T23:59:58Z", -2),
            ("0001-01-01T00:00:00Z", -62_135_596_800),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(text.parse::<Time>().unwrap().unix(), seconds, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for bad in [
            "",
            "2024-01-02",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.5",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+0:00",
            "2024-01-01T00:00:00ZZ",
            "2024-01-01T00:00:0é",
            "+024-01-01T00:00:00Z",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }
}
