//! Lists of names, in pages: the tags of a repository, the repositories.

use super::Shared;
use super::reply::{Answer, Refusal, Reply, json_reply, set};
use super::route::{Query, encode};
use http::StatusCode;
use http::header::LINK;
use serde_json::json;
use std::sync::Arc;

/// Names in one answer, whatever the client asks for.
const PAGE: usize = 10_000;

/// `GET …/tags/list`.
pub(super) async fn tags(shared: &Arc<Shared>, name: String, query: &Query) -> Answer {
    let n = limit(query, PAGE)?;
    let of = name.clone();
    let tags = shared.store.run(move |s| s.tags(&of)).await?.ok_or_else(|| Refusal::name_unknown(&name))?;
    let (page, next) = cut(tags, n, query.get("last"));
    let body = json!({ "name": name, "tags": page }).to_string();
    Ok(answer(body, next.map(|last| format!("/v2/{name}/tags/list?n={n}&last={}", encode(&last)))))
}

/// `GET /v2/_catalog`.
pub(super) async fn catalog(shared: &Arc<Shared>, query: &Query) -> Answer {
    let n = limit(query, PAGE)?;
    let names = shared.store.run(|s| s.repositories()).await?;
    let (page, next) = cut(names, n, query.get("last"));
    let body = json!({ "repositories": page }).to_string();
    Ok(answer(body, next.map(|last| format!("/v2/_catalog?n={n}&last={}", encode(&last)))))
}

/// How many entries the client wants, and at most `most`.
pub(super) fn limit(query: &Query, most: usize) -> Answer<usize> {
    match query.get("n") {
        None => Ok(most),
        Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(n.parse::<usize>().map_or(most, |n| n.min(most)))
        }
        Some(_) => Err(Refusal::new(400, "UNSUPPORTED", "n is not a number")),
    }
}

pub(super) fn link(path: &str) -> String {
    format!("<{path}>; rel=\"next\"")
}

/// The entries after `last`, and what the next page has to start after.
fn cut(mut sorted: Vec<String>, n: usize, last: Option<&str>) -> (Vec<String>, Option<String>) {
    if let Some(last) = last {
        let from = sorted.partition_point(|name| name.as_str() <= last);
        sorted.drain(..from);
    }
    let more = sorted.len() > n;
    sorted.truncate(n);
    let next = sorted.last().filter(|_| more).cloned();
    (sorted, next)
}

fn answer(body: String, next: Option<String>) -> Reply {
    let mut reply = json_reply(StatusCode::OK, "application/json", body);
    if let Some(next) = next {
        set(&mut reply, LINK, &link(&next));
    }
    reply
}
