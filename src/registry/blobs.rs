//! Blobs: read whole or in part, looked up, deleted.

use super::Shared;
use super::body::{BlobStream, Check, Content};
use super::reply::{Answer, DIGEST, Refusal, Reply, empty, set};
use super::store::{Blob, Bulk};
use crate::digest::Digest;
use crate::error::{Code, Error};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use std::sync::Arc;

/// Blobs up to here are read in the step that finds them.
const SMALL: u64 = 64 * 1024;

pub(super) fn location(name: &str, digest: &Digest) -> String {
    format!("/v2/{name}/blobs/{digest}")
}

/// `GET` and `HEAD`.
pub(super) async fn get(shared: &Arc<Shared>, parts: &Parts, name: String, digest: Digest) -> Answer {
    let of = digest.clone();
    if parts.method == Method::HEAD {
        let size = shared.store.run(move |s| Ok((s.blob_size(&name, &of)?, s.knows(&name)?, name))).await?;
        let (Some(size), _, _) = size else { return Err(missing(size.1, &size.2, &digest)) };
        return Ok(match unchanged(&parts.headers, &digest) {
            true => not_modified(&digest),
            false => reply(StatusCode::OK, &digest, size, Content::Empty),
        });
    }
    enum Found {
        No(bool, String),
        Whole(Bytes),
        Open(Blob),
    }
    let found = shared.store.run(move |s| {
        let Some(mut blob) = s.blob(&name, &of)? else { return Ok(Found::No(s.knows(&name)?, name)) };
        if blob.size > SMALL {
            return Ok(Found::Open(blob));
        }
        let bytes = match <[Bytes; 1]>::try_from(blob.bulk.read(0, blob.size)?) {
            Ok([one]) => one,
            Err(several) => several.concat().into(),
        };
        if let Some(stamp) = blob.unverified {
            let good = Digest::of(of.algorithm(), &bytes) == of;
            s.verified(&of, stamp, good);
            if !good {
                return Err(corrupt(&of));
            }
        }
        Ok(Found::Whole(bytes))
    });
    let blob = match found.await? {
        Found::No(known, name) => return Err(missing(known, &name, &digest)),
        _ if unchanged(&parts.headers, &digest) => return Ok(not_modified(&digest)),
        Found::Whole(bytes) => {
            let size = bytes.len() as u64;
            let wanted = wanted(&parts.headers, &digest, size)?;
            let (first, end) = wanted.unwrap_or((0, size));
            // Both are at most the length of the slice.
            return Ok(part(&digest, size, wanted, Content::Bytes(bytes.slice(first as usize..end as usize))));
        }
        Found::Open(blob) => blob,
    };
    let Blob { mut bulk, size, unverified } = blob;
    let wanted = wanted(&parts.headers, &digest, size)?;
    let mut check = None;
    match (unverified, wanted) {
        (None, _) => {}
        (Some(stamp), None) => {
            let backend = shared.store.backend.clone();
            check = Some(Check { backend, digest: digest.clone(), stamp, hasher: digest.algorithm().hasher() });
        }
        (Some(stamp), Some(_)) => {
            // A part can't be compared with the digest, so the whole is, once.
            let (back, hasher) = shared.store.hash(bulk, size, digest.algorithm()).await?;
            let good = hasher.finish() == digest;
            shared.store.backend.verified(&digest, stamp, good);
            if !good {
                return Err(corrupt(&digest).into());
            }
            bulk = back;
        }
    }
    Ok(stream(shared, &digest, size, wanted, bulk, check))
}

/// `DELETE`: from this repository. Other repositories keep it.
pub(super) async fn delete(shared: &Arc<Shared>, name: String, digest: Digest) -> Answer {
    let of = digest.clone();
    let (found, known, name) =
        shared.store.run(move |s| Ok((s.delete_blob(&name, &of)?, s.knows(&name)?, name))).await?;
    match found {
        true => Ok(empty(StatusCode::ACCEPTED)),
        false => Err(missing(known, &name, &digest)),
    }
}

fn stream(
    shared: &Arc<Shared>,
    digest: &Digest,
    size: u64,
    wanted: Option<(u64, u64)>,
    bulk: Bulk,
    check: Option<Check>,
) -> Reply {
    let (first, end) = wanted.unwrap_or((0, size));
    let content = Content::Blob(BlobStream::new(shared.store.engine.clone(), bulk, first, end, check));
    part(digest, size, wanted, content)
}

/// The whole blob, or the part from `first` to before `end`.
fn part(digest: &Digest, size: u64, wanted: Option<(u64, u64)>, content: Content) -> Reply {
    let Some((first, end)) = wanted else { return reply(StatusCode::OK, digest, size, content) };
    let mut reply = reply(StatusCode::PARTIAL_CONTENT, digest, end - first, content);
    set(&mut reply, CONTENT_RANGE, &format!("bytes {first}-{}/{size}", end - 1));
    reply
}

fn reply(status: StatusCode, digest: &Digest, length: u64, content: Content) -> Reply {
    let mut reply = Response::new(content);
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, "application/octet-stream");
    set(&mut reply, CONTENT_LENGTH, &length.to_string());
    named(&mut reply, digest);
    set(&mut reply, ACCEPT_RANGES, "bytes");
    set(&mut reply, CACHE_CONTROL, "max-age=31536000");
    reply
}

/// The headers that name content.
pub(super) fn named(reply: &mut Reply, digest: &Digest) {
    set(reply, DIGEST, digest.as_str());
    set(reply, ETAG, &format!("\"{digest}\""));
}

pub(super) fn not_modified(digest: &Digest) -> Reply {
    let mut reply = empty(StatusCode::NOT_MODIFIED);
    named(&mut reply, digest);
    reply
}

/// Whether the client has this very content.
pub(super) fn unchanged(headers: &HeaderMap, digest: &Digest) -> bool {
    let matching = |text: &str| {
        let tags = text.split(',').map(|t| t.trim().trim_start_matches("W/").trim_matches('"'));
        tags.into_iter().any(|t| t == "*" || t == digest.as_str())
    };
    text(headers, &IF_NONE_MATCH).is_some_and(matching)
}

/// The part that is asked for, if one is: from, and to before.
fn wanted(headers: &HeaderMap, digest: &Digest, size: u64) -> Answer<Option<(u64, u64)>> {
    let current = |tag: &str| tag.trim().trim_matches('"') == digest.as_str();
    if !text(headers, &IF_RANGE).is_none_or(current) {
        return Ok(None);
    }
    match text(headers, &RANGE).and_then(|range| byte_range(range, size)) {
        None => Ok(None),
        Some(Some(part)) => Ok(Some(part)),
        Some(None) => {
            let refusal = Refusal::new(416, "UNSUPPORTED", "the range lies outside the blob");
            Err(refusal.header(CONTENT_RANGE, format!("bytes */{size}")))
        }
    }
}

/// One range of bytes. `None` for what a server does best to ignore, `Some(None)` for a range outside.
fn byte_range(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |t: &str| t.trim().bytes().all(|b| b.is_ascii_digit()).then(|| t.trim().parse::<u64>().ok()).flatten();
    if first.trim().is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0 && size > 0).then(|| (size.saturating_sub(suffix), size)));
    }
    let first = number(first)?;
    let end = match last.trim().is_empty() {
        true => size,
        false => number(last)?.saturating_add(1).min(size),
    };
    if !last.trim().is_empty() && number(last)? < first {
        return None; // not a range at all
    }
    Some((first < size).then_some((first, end)))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

fn missing(known: bool, name: &str, digest: &Digest) -> Refusal {
    match known {
        true => Refusal::blob_unknown(digest.as_str()),
        false => Refusal::name_unknown(name),
    }
}

fn corrupt(digest: &Digest) -> Error {
    Error::new(Code::DigestMismatch, "a blob of the registry does not have its digest any more").subject(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-0", Some(Some((0, 1)))),
            ("bytes=2-", Some(Some((2, 10)))),
            ("bytes=2-99", Some(Some((2, 10)))),
            ("bytes=-3", Some(Some((7, 10)))),
            ("bytes=-99", Some(Some((0, 10)))),
            ("bytes=-0", Some(None)),
            ("bytes=10-", Some(None)),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
        ] {
            assert_eq!(byte_range(text, 10), expected, "{text}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Some(None));
    }
}
