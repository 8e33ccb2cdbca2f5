//! From a URL to what is wanted, from that to the code that does it.

use super::auth::{Action, Need};
use super::body::Inbound;
use super::reply::{API_VERSION, Answer, Refusal, Reply, json_reply, set};
use super::store::Reference;
use super::{Shared, blobs, listing, manifests, referrers, uploads};
use crate::digest::Digest;
use http::header::ALLOW;
use http::request::Parts;
use http::{Method, StatusCode};
use std::sync::Arc;

/// A request's target, its names checked.
#[derive(Debug)]
pub(super) enum Route {
    Base,
    Token,
    Catalog,
    Tags(String),
    Manifest(String, Reference),
    Blob(String, Digest),
    UploadStart(String),
    Upload(String, String),
    Referrers(String, Digest),
}

impl Route {
    pub fn parse(method: &Method, path: &str) -> Answer<Route> {
        let lost = || Refusal::new(404, "UNSUPPORTED", "there is no such page in this registry");
        let decoded = decode(path, false).ok_or_else(lost)?;
        if decoded == "/token" {
            return Ok(Route::Token);
        }
        let rest = decoded.strip_prefix("/v2").ok_or_else(lost)?;
        let rest = match rest {
            "" | "/" => return Ok(Route::Base),
            "/_catalog" => return Ok(Route::Catalog),
            _ => rest.strip_prefix('/').ok_or_else(lost)?,
        };
        // Names may hold words such as `blobs` themselves: the end of the path decides.
        let parts: Vec<&str> = rest.split('/').collect();
        let named = |used: usize| {
            let name = parts[..parts.len() - used].join("/");
            check_name(&name).map(|()| name)
        };
        match parts.as_slice() {
            [_, .., "tags", "list"] => Ok(Route::Tags(named(2)?)),
            [_, .., "blobs", "uploads"] => Ok(Route::UploadStart(named(2)?)),
            [_, .., "blobs", "uploads", ""] => Ok(Route::UploadStart(named(3)?)),
            [_, .., "blobs", "uploads", id] => Ok(Route::Upload(named(3)?, (*id).to_owned())),
            [_, .., "manifests", reference] => Ok(Route::Manifest(named(2)?, parse_reference(method, reference)?)),
            [_, .., "blobs", digest] => Ok(Route::Blob(named(2)?, parse_digest(digest)?)),
            [_, .., "referrers", digest] => Ok(Route::Referrers(named(2)?, parse_digest(digest)?)),
            _ => Err(lost()),
        }
    }

    /// What the request needs permission for.
    pub fn need(&self, method: &Method) -> Need {
        let action = match *method {
            Method::GET | Method::HEAD => Action::Pull,
            Method::DELETE => Action::Delete,
            _ => Action::Push,
        };
        match self {
            Route::Base | Route::Token => Need::Login,
            Route::Catalog => Need::Catalog,
            Route::Upload(name, _) => Need::Repository(name.clone(), Action::Push),
            Route::Tags(name)
            | Route::Manifest(name, _)
            | Route::Blob(name, _)
            | Route::UploadStart(name)
            | Route::Referrers(name, _) => Need::Repository(name.clone(), action),
        }
    }

    fn methods(&self) -> &'static [Method] {
        match self {
            Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => &[Method::GET, Method::HEAD],
            Route::Token => &[Method::GET, Method::POST],
            Route::Manifest(..) => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
            Route::Blob(..) => &[Method::GET, Method::HEAD, Method::DELETE],
            Route::UploadStart(_) => &[Method::POST],
            Route::Upload(..) => &[Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE],
        }
    }
}

/// Does what a request asks for; every outcome is an answer.
pub(super) async fn handle(shared: &Arc<Shared>, parts: &Parts, body: &mut Inbound) -> Answer {
    let route = Route::parse(&parts.method, parts.uri.path())?;
    if !route.methods().contains(&parts.method) {
        let allowed = route.methods().iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let refusal = Refusal::new(405, "UNSUPPORTED", "this can't be done here");
        return Err(refusal.header(ALLOW, allowed));
    }
    if matches!(route, Route::Token) {
        return shared.auth.token(parts, body).await;
    }
    shared.auth.check(parts, &route.need(&parts.method))?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match (route, &parts.method) {
        (Route::Base | Route::Token, _) => Ok(json_reply(StatusCode::OK, "application/json", "{}")),
        (Route::Catalog, _) => listing::catalog(shared, &query).await,
        (Route::Tags(name), _) => listing::tags(shared, name, &query).await,
        (Route::Referrers(name, digest), _) => referrers::list(shared, name, digest, &query).await,
        (Route::Manifest(name, reference), &Method::PUT) => manifests::put(shared, parts, name, reference, body).await,
        (Route::Manifest(name, reference), &Method::DELETE) => manifests::delete(shared, name, reference).await,
        (Route::Manifest(name, reference), _) => manifests::get(shared, parts, name, reference).await,
        (Route::Blob(name, digest), &Method::DELETE) => blobs::delete(shared, name, digest).await,
        (Route::Blob(name, digest), _) => blobs::get(shared, parts, name, digest).await,
        (Route::UploadStart(name), _) => uploads::start(shared, parts, name, &query, body).await,
        (Route::Upload(name, id), &Method::PATCH) => uploads::patch(shared, parts, name, &id, body).await,
        (Route::Upload(name, id), &Method::PUT) => uploads::put(shared, parts, name, &id, &query, body).await,
        (Route::Upload(name, id), &Method::DELETE) => uploads::cancel(shared, name, &id).await,
        (Route::Upload(name, id), _) => uploads::status(shared, name, &id).await,
    }
}

/// An outcome as it goes to the client, with what every answer has.
pub(super) fn finish(shared: &Shared, parts: &Parts, record: &super::log::Record, answer: Answer) -> Reply {
    let mut reply = answer.unwrap_or_else(|refusal| {
        if let Some(cause) = &refusal.cause {
            record.error(cause);
        }
        refusal.reply()
    });
    set(&mut reply, API_VERSION, "registry/2.0");
    if parts.method == Method::HEAD {
        *reply.body_mut() = super::body::Content::Empty;
    }
    if shared.stop.is_cancelled() && parts.version < http::Version::HTTP_2 {
        set(&mut reply, http::header::CONNECTION, "close");
    }
    reply
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` for each component, 255 bytes in all.
pub(super) fn check_name(name: &str) -> Answer<()> {
    let plain = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let component = |text: &str| {
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
        let gaps = bytes.split(plain).filter(|gap| !gap.is_empty());
        ends && gaps.into_iter().all(|gap| matches!(gap, b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
    };
    if name.len() <= 255 && name.split('/').all(component) {
        return Ok(());
    }
    Err(Refusal::new(400, "NAME_INVALID", "invalid repository name"))
}

fn parse_digest(text: &str) -> Answer<Digest> {
    text.parse().map_err(|_| Refusal::digest_invalid("this is not a sha256 or sha512 digest"))
}

fn parse_reference(method: &Method, text: &str) -> Answer<Reference> {
    if text.contains(':') {
        return Ok(Reference::Digest(parse_digest(text)?));
    }
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let fine =
        first && text.len() <= 128 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    match fine {
        true => Ok(Reference::Tag(text.to_owned())),
        // There can't be one, so it is not found; and there shall not be one.
        false if *method == Method::PUT => Err(Refusal::manifest_invalid("this is neither a tag nor a digest")),
        false => Err(Refusal::manifest_unknown(&crate::digest::shown(text))),
    }
}

/// The parameters of a query or form, in order.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = |t| decode(t, true).unwrap_or_else(|| t.to_owned());
            (text(name), text(value))
        });
        Query(pairs.collect())
    }
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Percent-decodes; `None` for broken escapes and what is no text.
fn decode(text: &str, form: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(b) = bytes.next() {
        out.push(match b {
            // Media types in queries carry a plus that most clients don't escape: only a form's plus is a space, and
            // no value that this server reads has a space but the scopes of a token.
            b'+' if form && !text.contains('/') => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b => b,
        });
    }
    String::from_utf8(out).ok()
}

/// For a value in a query.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => out.push(b as char),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "a/b", "a.b_c__d-e--f/0", "blobs/uploads"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "A", "a..b", "a___b", "_a", "a-", "a/../b", "a._b", "\u{e9}"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name(&"a".repeat(256)).is_err());
    }

    #[test]
    fn paths() {
        let hex = "0".repeat(64);
        let get = |path: &str| Route::parse(&Method::GET, path);
        assert!(matches!(get("/v2/"), Ok(Route::Base)));
        assert!(matches!(get("/v2"), Ok(Route::Base)));
        assert!(matches!(get("/v2/a/blobs/uploads/"), Ok(Route::UploadStart(n)) if n == "a"));
        assert!(matches!(get("/v2/a/blobs/uploads/x"), Ok(Route::Upload(n, id)) if n == "a" && id == "x"));
        assert!(matches!(get("/v2/a/blobs/manifests/x"), Ok(Route::Manifest(n, _)) if n == "a/blobs"));
        assert!(matches!(get(&format!("/v2/a%2Fb/blobs/sha256%3A{hex}")), Ok(Route::Blob(n, _)) if n == "a/b"));
        assert_eq!(get("/v2/a/blobs/sha256:../x").unwrap_err().status, 404);
        assert_eq!(get("/v2/a/blobs/sha256:..").unwrap_err().status, 400);
        assert_eq!(get("/v2/../blobs/uploads/").unwrap_err().status, 400);
        assert_eq!(get("/v2/tags/list").unwrap_err().status, 404);
        assert_eq!(get("/other").unwrap_err().status, 404);
        assert_eq!(get("/v2/a/manifests/.x").unwrap_err().status, 404);
        assert_eq!(Route::parse(&Method::PUT, "/v2/a/manifests/.x").unwrap_err().status, 400);
    }

    #[test]
    fn queries() {
        let q = Query::parse("a=1&b=x%2By&c&scope=repository:a:pull,push+registry:catalog:*&t=application/x+json");
        assert_eq!((q.get("a"), q.get("b"), q.get("c"), q.get("d")), (Some("1"), Some("x+y"), Some(""), None));
        assert_eq!(q.get("scope"), Some("repository:a:pull,push registry:catalog:*"));
        assert_eq!(q.get("t"), Some("application/x+json"));
    }
}
