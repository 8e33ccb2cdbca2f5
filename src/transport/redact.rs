//! URLs as they may be shown: no user, no password, no signature or token in the query.

use url::Url;

/// Query parameters whose values say nothing secret; all other values are hidden.
const OPEN: [&str; 9] =
    ["scope", "service", "mount", "from", "digest", "n", "last", "artifactType", "digest-algorithm"];

/// The URL with everything secret replaced by `REDACTED`.
pub(crate) fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(k, v)| match OPEN.contains(&&*k) {
                true => (k.into_owned(), v.into_owned()),
                false => (k.into_owned(), "REDACTED".into()),
            })
            .collect();
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    crate::digest::shown(shown.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_opens_doors() {
        let url = Url::parse("https://u:pw@s.example/b?X-Amz-Signature=abc&sig=def&digest=sha256:1#frag").unwrap();
        let shown = redacted(&url);
        for secret in ["pw", "abc", "def", "u:", "frag"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("digest=sha256"));
    }
}
