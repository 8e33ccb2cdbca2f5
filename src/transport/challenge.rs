//! `WWW-Authenticate` (RFC 9110 section 11.6.1): which credentials a registry wants.

use http::header::{HeaderMap, WWW_AUTHENTICATE};
use std::collections::BTreeMap;

/// A challenge this library can meet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The best of the challenges in an answer: bearer before basic. `None` where there is neither.
    pub(crate) fn parse(headers: &HeaderMap) -> Option<Challenge> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            for (scheme, mut parameters) in split(value.to_str().unwrap_or_default()) {
                match &*scheme {
                    "bearer" => {
                        if let Some(realm) = parameters.remove("realm") {
                            return Some(Challenge::Bearer { realm, service: parameters.remove("service") });
                        }
                    }
                    "basic" => basic = Some(Challenge::Basic),
                    _ => {}
                }
            }
        }
        basic
    }

    pub(crate) fn is_bearer(&self) -> bool {
        matches!(self, Challenge::Bearer { .. })
    }
}

/// Splits one header value into challenges: scheme in lower case, and parameters.
fn split(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        if end == 0 {
            return found; // the end, or something that is no challenge
        }
        let word = rest[..end].to_ascii_lowercase();
        let after = rest[end..].trim_start_matches([' ', '\t']);
        match (after.strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let (value, remaining) = take_value(value.trim_start_matches([' ', '\t']));
                parameters.insert(word, value);
                rest = remaining;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push((word, BTreeMap::new()));
                rest = after;
            }
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A token or a quoted string with its escapes undone, and what follows it.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[i + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Option<Challenge> {
        let mut h = HeaderMap::new();
        for v in values {
            h.append(WWW_AUTHENTICATE, v.parse().unwrap());
        }
        Challenge::parse(&h)
    }

    #[test]
    fn what_registries_send() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push""#;
        assert_eq!(parse(&[hub]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(parse(&["bearer REALM=https://x/t"]), bearer("https://x/t", None));
        assert_eq!(parse(&[r#"Basic realm="a, b""#]), Some(Challenge::Basic));
        assert_eq!(parse(&["Basic realm=x", r#"Bearer realm="https://y""#]), bearer("https://y", None));
        assert_eq!(parse(&[r#"Basic realm="x", Bearer realm="q\"q""#]), bearer("q\"q", None));
        assert_eq!(parse(&["Negotiate"]), None);
        assert_eq!(parse(&["Bearer"]), None);
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn rubbish_ends() {
        for bad in ["=", "\"", "Bearer realm=\"", ",,,", "Bearer =x", "é", "Bearer realm=\"\\"] {
            let mut h = HeaderMap::new();
            if let Ok(v) = http::HeaderValue::from_bytes(bad.as_bytes()) {
                h.insert(WWW_AUTHENTICATE, v);
                let _ = Challenge::parse(&h);
            }
        }
    }
}
