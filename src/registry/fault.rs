//! Faults on demand: how a registry, or the network before it, fails a client in tests.

use crate::digest::shown;
use crate::error::{Error, Result, invalid};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// What is done to a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// After so many percent of the body the connection is reset: of the answer's for a download, of the request's
    /// for an upload. Requests without either are reset at once and not performed.
    Reset(u8),
    /// Half of a download and nothing more; anything else is read and never answered.
    Stall,
    /// As `Reset(50)`, but the connection ends in order, as if the body were complete.
    Truncate,
    /// A byte in the middle of a download is wrong; an upload is refused with DIGEST_INVALID.
    WrongDigest,
    /// Answered with this status and not performed.
    Status(u16, Option<u32>),
    /// Answered as if the token had run out.
    Expired,
    /// Performed, but the connection is reset instead of answering.
    DropReply,
    /// Performed after a while.
    Delay(Duration),
}

/// A fault, and the requests it is for.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    method: String,
    pattern: String,
    nth: u32,
    fault: Fault,
    text: String,
}

impl Rule {
    pub fn new(method: &str, pattern: &str, nth: u32, fault: &str) -> Result<Rule> {
        if method != "*" && (method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(invalid("the method of a fault is '*' or upper case, such as GET").subject(shown(method)));
        }
        if !pattern.starts_with(['/', '*']) {
            let why = "the path of a fault starts with '/' or '*'";
            return Err(invalid(why).subject(shown(pattern)));
        }
        let (method, pattern) = (method.to_owned(), pattern.to_owned());
        Ok(Rule { method, pattern, nth, fault: parse(fault)?, text: fault.to_owned() })
    }
    fn matches(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method == method) && wildcard(self.pattern.as_bytes(), path.as_bytes())
    }
}

/// The rules of a server, each with its count of matching requests.
pub(super) struct Faults(Vec<(Rule, AtomicU32)>);

impl Faults {
    pub fn new(rules: &[Rule]) -> Faults {
        Faults(rules.iter().map(|rule| (rule.clone(), AtomicU32::new(0))).collect())
    }
    /// What to do to this request: the first rule that is due. All that match count it.
    pub fn pick(&self, method: &str, path: &str) -> Option<(&Fault, &str)> {
        let mut due = None;
        for (rule, count) in &self.0 {
            if rule.matches(method, path) {
                let seen = count.fetch_add(1, Relaxed).saturating_add(1);
                if rule.nth == 0 || rule.nth == seen {
                    due = due.or(Some((&rule.fault, rule.text.as_str())));
                }
            }
        }
        due
    }
}

fn parse(text: &str) -> Result<Fault> {
    let wrong = || -> Error {
        let known = "reset@P%, stall, truncate, wrong-digest, drop-reply, delay=MS, status=NNN, '401 expired' or a \
                     status such as '503', '429 retry-after=1'";
        invalid(format!("not a fault; there are {known}")).subject(shown(text))
    };
    if let Some(percent) = text.strip_prefix("reset@").and_then(|p| p.strip_suffix('%')) {
        return percent.parse().ok().filter(|p| *p <= 100).map(Fault::Reset).ok_or_else(wrong);
    }
    if let Some(ms) = text.strip_prefix("delay=") {
        return ms.parse::<u32>().map(|ms| Fault::Delay(Duration::from_millis(ms.into()))).map_err(|_| wrong());
    }
    match text {
        "stall" => return Ok(Fault::Stall),
        "truncate" => return Ok(Fault::Truncate),
        "wrong-digest" => return Ok(Fault::WrongDigest),
        "drop-reply" => return Ok(Fault::DropReply),
        "401 expired" => return Ok(Fault::Expired),
        _ => {}
    }
    let mut words = text.split(' ');
    let status = words.next().map(|w| w.strip_prefix("status=").unwrap_or(w)).and_then(|w| w.parse::<u16>().ok());
    let status = status.filter(|s| (200..=599).contains(s)).ok_or_else(wrong)?;
    let after = match words.next() {
        None => None,
        Some(word) => Some(word.strip_prefix("retry-after=").and_then(|s| s.parse().ok()).ok_or_else(wrong)?),
    };
    match words.next() {
        None => Ok(Fault::Status(status, after)),
        Some(_) => Err(wrong()),
    }
}

/// Whether `text` is `pattern`, whose `*` stand for any bytes, slashes too. Linear in both.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|b| *b == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&[u8]> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        if piece.is_empty() {
            continue;
        }
        let Some(at) = rest.windows(piece.len()).position(|w| w == *piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "/v2/", true),
            ("/v2/", "/v2/", true),
            ("/v2/", "/v2/a", false),
            ("/v2/*/blobs/*", "/v2/a/b/blobs/sha256:x", true),
            ("/v2/*/blobs/*", "/v2/a/manifests/x", false),
            ("*uploads*", "/v2/a/blobs/uploads/", true),
            ("/a*a", "/a", false),
            ("/a**b", "/acb", true),
        ] {
            assert_eq!(wildcard(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn texts() {
        assert_eq!(parse("reset@50%").unwrap(), Fault::Reset(50));
        assert_eq!(parse("429 retry-after=1").unwrap(), Fault::Status(429, Some(1)));
        assert_eq!(parse("status=418").unwrap(), Fault::Status(418, None));
        assert_eq!(parse("500").unwrap(), Fault::Status(500, None));
        assert_eq!(parse("401 expired").unwrap(), Fault::Expired);
        assert_eq!(parse("delay=20").unwrap(), Fault::Delay(Duration::from_millis(20)));
        for bad in ["", "reset", "reset@", "reset@101%", "999", "429 soon", "503 retry-after=1 x", "stall "] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(Rule::new("get", "*", 1, "stall").is_err());
        assert!(Rule::new("GET", "v2", 1, "stall").is_err());
    }

    #[test]
    fn counting() {
        let rules = [Rule::new("GET", "/a*", 2, "500").unwrap(), Rule::new("*", "/ab", 0, "503").unwrap()];
        let faults = Faults::new(&rules);
        assert!(faults.pick("GET", "/a").is_none());
        assert_eq!(faults.pick("GET", "/ab").unwrap().1, "500");
        assert_eq!(faults.pick("GET", "/ab").unwrap().1, "503");
        assert!(faults.pick("PUT", "/a").is_none());
    }
}
