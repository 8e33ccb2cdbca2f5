//! JSON values as they are written.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Below this depth values are compared by their texts.
const MAX_DEPTH: usize = 128;

pub(super) enum Parts<'a> {
    Object(BTreeMap<String, &'a RawValue>),
    List(Vec<&'a RawValue>),
    String(String),
    /// A number, a boolean or null, or what is compared by its text.
    Plain(&'a str),
}

pub(super) fn parts(value: &RawValue, depth: usize) -> Parts<'_> {
    let text = value.get();
    let parts = match text.as_bytes().first() {
        _ if depth >= MAX_DEPTH => None,
        Some(b'{') => serde_json::from_str(text).ok().map(Parts::Object),
        Some(b'[') => serde_json::from_str(text).ok().map(Parts::List),
        Some(b'"') => serde_json::from_str(text).ok().map(Parts::String),
        _ => None,
    };
    parts.unwrap_or(Parts::Plain(text)) // text that is no Unicode is compared by its escapes
}

/// Whether both are the same number, however large or precise, and however it is written.
pub(super) fn same_number(a: &str, b: &str) -> bool {
    a == b || matches!((normal(a), normal(b)), (Some(one), Some(other)) if one == other)
}

/// Whether it is below zero, its digits without zeros around them, and the power of ten of the last one. `None`: it is
/// no number, or its exponent has no bounds.
fn normal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = all.trim_end_matches('0');
    let zeros = i64::try_from(all.len() - digits.len()).ok()?;
    let power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    let digits = digits.trim_start_matches('0');
    match digits {
        "" => Some((false, String::new(), 0)),
        _ => Some((negative, digits.to_owned(), power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_or_not_to_their_last_digit() {
        for (a, b) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("100", "1E+2"),
            ("-0.50", "-5e-1"),
            ("0", "-0.000e7"),
            ("18446744073709551617", "1.8446744073709551617e19"),
            ("1e400", "10e399"),
        ] {
            assert!(same_number(a, b) && same_number(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("18446744073709551617", "18446744073709551618"),
            ("0.1", "0.1000000000000000000001"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("1", "-1"),
            ("10", "1"),
            ("1e400", "1e401"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("true", "false"),
            ("null", "0"),
        ] {
            assert!(!same_number(a, b) && !same_number(b, a), "{a} {b}");
        }
    }
}
