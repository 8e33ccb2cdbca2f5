//! Which manifests of a repository name a manifest as their subject.

use super::Shared;
use super::listing::{limit, link};
use super::reply::{Answer, OCI_FILTERS, json_reply, set};
use super::route::{Query, encode};
use crate::digest::Digest;
use crate::error::{Code, Error};
use http::StatusCode;
use http::header::LINK;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Descriptors in one answer.
const PAGE: usize = 1000;
/// Bytes of descriptors in one answer: clients refuse longer indexes.
const PAGE_BYTES: usize = 3 << 20;

/// `GET …/referrers/<digest>`: an index, empty where there is nothing to tell.
pub(super) async fn list(shared: &Arc<Shared>, name: String, subject: Digest, query: &Query) -> Answer {
    let n = limit(query, PAGE)?;
    let (of, at) = (name.clone(), subject.clone());
    let all = shared.store.run(move |s| s.referrers(&of, &at)).await?;
    let filter = query.get("artifactType").filter(|t| !t.is_empty());
    let last = query.get("last").unwrap_or_default();
    let (mut page, mut bytes, mut next) = (Vec::<Box<RawValue>>::new(), 0, None);
    let mut previous = String::new();
    for (digest, descriptor) in &all {
        if digest.as_str() <= last {
            continue;
        }
        let text = std::str::from_utf8(descriptor).unwrap_or_default();
        let broken = |e| Error::new(Code::Malformed, format!("a referrers entry of the registry: {e}"));
        if let Some(filter) = filter {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Kind {
                artifact_type: Option<String>,
            }
            let kind: Kind = serde_json::from_str(text).map_err(broken)?;
            if kind.artifact_type.as_deref() != Some(filter) {
                continue;
            }
        }
        if page.len() >= n || (!page.is_empty() && bytes + text.len() > PAGE_BYTES) {
            next = Some(previous);
            break;
        }
        bytes += text.len();
        page.push(RawValue::from_string(text.to_owned()).map_err(broken)?);
        previous = digest.as_str().to_owned();
    }
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index {
        schema_version: u8,
        media_type: &'static str,
        manifests: Vec<Box<RawValue>>,
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::to_vec(&Index { schema_version: 2, media_type, manifests: page });
    let index = index.map_err(|e| Error::new(Code::Internal, e.to_string()))?;
    let mut reply = json_reply(StatusCode::OK, media_type, index);
    if filter.is_some() {
        set(&mut reply, OCI_FILTERS, "artifactType");
    }
    if let Some(last) = next.filter(|_| n > 0) {
        let filter = filter.map(|f| format!("&artifactType={}", encode(f))).unwrap_or_default();
        set(&mut reply, LINK, &link(&format!("/v2/{name}/referrers/{subject}?n={n}&last={last}{filter}")));
    }
    Ok(reply)
}
