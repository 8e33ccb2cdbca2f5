//! Manifests: checked when they come, kept byte for byte, given back as they came.

use super::Shared;
use super::blobs::{named, not_modified, unchanged};
use super::body::Inbound;
use super::reply::{Answer, DIGEST, OCI_SUBJECT, Refusal, empty, json_reply, set};
use super::store::{Backend, Push, Reference};
use crate::digest::{Digest, shown};
use crate::error::Result;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A manifest's bytes, at most.
pub(super) const MANIFEST_MAX: usize = 4 << 20;

/// Larger ones are hashed and parsed on the pool.
const POOLED: usize = 64 * 1024;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// `GET` and `HEAD`.
pub(super) async fn get(shared: &Arc<Shared>, parts: &Parts, name: String, reference: Reference) -> Answer {
    let (found, name, reference) = shared.store.run(move |s| find(s, name, reference)).await?;
    let Some(manifest) = found.manifest else { return Err(missing(found.known, &name, &reference)) };
    if unchanged(&parts.headers, &manifest.digest) {
        return Ok(not_modified(&manifest.digest));
    }
    let mut reply = json_reply(StatusCode::OK, &manifest.media_type, manifest.body);
    named(&mut reply, &manifest.digest);
    Ok(reply)
}

/// `DELETE`: a tag alone, or a manifest with all tags that point at it.
pub(super) async fn delete(shared: &Arc<Shared>, name: String, reference: Reference) -> Answer {
    let (found, known, name, reference) = shared
        .store
        .run(move |s| {
            let found = match &reference {
                Reference::Tag(tag) => s.delete_tag(&name, tag)?,
                Reference::Digest(digest) => {
                    let manifest = s.manifest(&name, &reference).unwrap_or_default(); // a broken one goes too
                    let subject = manifest.and_then(|m| Document::parse(&m.body).ok()?.subject?.digest.parse().ok());
                    s.delete_manifest(&name, digest, subject.as_ref())?
                }
            };
            Ok((found, s.knows(&name)?, name, reference))
        })
        .await?;
    match found {
        true => Ok(empty(StatusCode::ACCEPTED)),
        false => Err(missing(known, &name, &reference)),
    }
}

/// `PUT`.
pub(super) async fn put(
    shared: &Arc<Shared>,
    parts: &Parts,
    name: String,
    reference: Reference,
    body: &mut Inbound,
) -> Answer {
    let too_large = || {
        let why = format!("a manifest has at most {MANIFEST_MAX} bytes");
        Refusal::new(413, "MANIFEST_INVALID", why)
    };
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > MANIFEST_MAX as u64) {
        return Err(too_large());
    }
    let arrived = body.whole(MANIFEST_MAX).await;
    let arrived = arrived.map_err(|e| Refusal::manifest_invalid(format!("the body did not arrive: {e}")))?;
    let bytes = arrived.ok_or_else(too_large)?;
    let length = bytes.len();
    let announced = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let prepare = move || prepare(reference, bytes, announced.as_deref());
    let (push, needs) = match length > POOLED {
        true => shared.store.engine.pool().run(prepare).await??,
        false => prepare()?,
    };
    let pushed = shared.store.run(move |s| {
        let lacking = lacking(s, &name, needs)?;
        if lacking.is_empty() {
            s.put_manifest(&name, &push)?;
        }
        Ok((lacking, name, push))
    });
    let (lacking, name, push) = pushed.await?;
    if !lacking.is_empty() {
        let message = "manifest references a manifest or blob unknown to registry";
        let error =
            |digest: Digest| ("MANIFEST_BLOB_UNKNOWN", message.to_owned(), Some(json!({ "digest": digest.as_str() })));
        let mut refusal = Refusal::new(404, "MANIFEST_BLOB_UNKNOWN", message);
        refusal.errors = lacking.into_iter().map(error).collect();
        return Err(refusal);
    }
    let mut reply = empty(StatusCode::CREATED);
    set(&mut reply, LOCATION, &format!("/v2/{name}/manifests/{}", push.digest));
    set(&mut reply, DIGEST, push.digest.as_str());
    if let Some((subject, _)) = &push.subject {
        set(&mut reply, OCI_SUBJECT, subject.as_str());
    }
    Ok(reply)
}

/// Hashes and checks a manifest, and says what has to be there before it can be stored.
fn prepare(reference: Reference, bytes: Bytes, announced: Option<&str>) -> Answer<(Push, Vec<(Digest, bool)>)> {
    let (digest, tag) = match reference {
        Reference::Tag(tag) => (Digest::sha256(&bytes), Some(tag)),
        Reference::Digest(digest) => {
            let found = Digest::of(digest.algorithm(), &bytes);
            if found != digest {
                let refusal = Refusal::digest_invalid("provided digest did not match uploaded content");
                let detail = json!({ "provided": digest.as_str(), "content": found.as_str() });
                return Err(refusal.detail(detail));
            }
            (digest, None)
        }
    };
    let checked = check(&bytes, announced)?;
    let subject = match &checked.document.subject {
        Some(subject) => Some((parse_digest(subject)?, checked.descriptor(&digest, bytes.len()))),
        None => None,
    };
    let needs = checked.needs()?;
    Ok((Push { digest, media_type: checked.media_type, body: bytes, tag, subject }, needs))
}

/// What the server has to understand of a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    #[serde(rename = "size")]
    _size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl Document {
    fn parse(bytes: &[u8]) -> serde_json::Result<Document> {
        serde_json::from_slice(bytes)
    }
}

/// A document of a type.
struct Checked {
    media_type: String,
    document: Document,
}

fn check(bytes: &Bytes, announced: Option<&str>) -> Answer<Checked> {
    let announced = announced.map(|t| t.split(';').next().unwrap_or_default().trim()).filter(|t| !t.is_empty());
    let known = |t: &str| [OCI_INDEX, OCI_MANIFEST, OCI_ARTIFACT, DOCKER_LIST, DOCKER_MANIFEST].contains(&t);
    // Types that this registry knows nothing of are kept as they are, as long as they are JSON.
    if let Some(media_type) = announced.filter(|t| !known(t)) {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| broken(&e))?;
        if value.get("mediaType").and_then(Value::as_str).is_some_and(|inner| inner != media_type) {
            return Err(contradiction());
        }
        let document = Document {
            media_type: None,
            config: None,
            layers: None,
            blobs: None,
            manifests: None,
            subject: None,
            artifact_type: None,
            annotations: None,
        };
        return Ok(Checked { media_type: shown(media_type), document });
    }
    let document = Document::parse(bytes).map_err(|e| broken(&e))?;
    let inner = document.media_type.as_deref().filter(|t| !t.is_empty());
    let media_type = match (announced, inner) {
        (Some(outer), Some(inner)) if outer != inner => return Err(contradiction()),
        (Some(media_type), _) | (None, Some(media_type)) => media_type.to_owned(),
        (None, None) => return Err(Refusal::manifest_invalid("neither Content-Type nor mediaType say what this is")),
    };
    if !known(&media_type) {
        return Err(Refusal::manifest_invalid("the Content-Type is missing"));
    }
    // A document that could be read as an image and as an index would be another one to another reader.
    let index = media_type == OCI_INDEX || media_type == DOCKER_LIST;
    let foreign = match index {
        true => document.layers.is_some() || document.config.is_some(),
        false => document.manifests.is_some(),
    };
    let whole = match media_type.as_str() {
        OCI_MANIFEST | DOCKER_MANIFEST => document.config.is_some() && document.layers.is_some(),
        OCI_ARTIFACT => true,
        _ => document.manifests.is_some(),
    };
    match (foreign, whole) {
        (true, _) => Err(Refusal::manifest_invalid("the document is an image and an index at once")),
        (_, false) => Err(Refusal::manifest_invalid("the document lacks what a document of its type has")),
        _ => Ok(Checked { media_type, document }),
    }
}

impl Checked {
    /// What must be there before: blobs, and manifests or, in some tools' indexes, blobs.
    fn needs(&self) -> Answer<Vec<(Digest, bool)>> {
        let document = &self.document;
        let mut needs = Vec::new();
        for list in [&document.layers, &document.blobs] {
            for layer in list.iter().flatten() {
                let digest = parse_digest(layer)?;
                let elsewhere = layer.urls.as_ref().is_some_and(|urls| !urls.is_empty());
                let distributed = layer
                    .media_type
                    .as_deref()
                    .is_none_or(|t| !t.contains(".nondistributable.") && !t.contains(".rootfs.foreign."));
                if distributed && !elsewhere {
                    needs.push((digest, false));
                }
            }
        }
        if let Some(config) = &document.config {
            needs.push((parse_digest(config)?, false));
        }
        for child in document.manifests.iter().flatten() {
            needs.push((parse_digest(child)?, true));
        }
        needs.sort_unstable();
        needs.dedup();
        Ok(needs)
    }

    /// How the manifest shows in its subject's list of referrers.
    fn descriptor(&self, digest: &Digest, size: usize) -> Bytes {
        let document = &self.document;
        let own = document.artifact_type.as_deref().filter(|t| !t.is_empty());
        let config = document.config.as_ref().and_then(|c| c.media_type.as_deref());
        let mut descriptor = json!({ "mediaType": self.media_type, "digest": digest.as_str(), "size": size });
        if let Some(object) = descriptor.as_object_mut() {
            if let Some(artifact_type) = own.or(config) {
                object.insert("artifactType".into(), artifact_type.into());
            }
            if let Some(annotations) = &document.annotations {
                object.insert("annotations".into(), json!(annotations));
            }
        }
        descriptor.to_string().into()
    }
}

/// Which of them are not in the repository.
fn lacking(store: &dyn Backend, name: &str, needs: Vec<(Digest, bool)>) -> Result<Vec<Digest>> {
    let mut lacking = Vec::new();
    for (digest, child) in needs {
        let there = child && store.has_manifest(name, &digest)? || store.blob_size(name, &digest)?.is_some();
        if !there {
            lacking.push(digest);
        }
    }
    Ok(lacking)
}

struct Found {
    manifest: Option<super::store::Manifest>,
    known: bool,
}

fn find(store: &dyn Backend, name: String, reference: Reference) -> Result<(Found, String, Reference)> {
    let manifest = store.manifest(&name, &reference)?;
    let known = manifest.is_some() || store.knows(&name)?;
    Ok((Found { manifest, known }, name, reference))
}

fn missing(known: bool, name: &str, reference: &Reference) -> Refusal {
    match (known, reference) {
        (false, _) => Refusal::name_unknown(name),
        (true, Reference::Tag(tag)) => Refusal::manifest_unknown(tag),
        (true, Reference::Digest(digest)) => Refusal::manifest_unknown(digest.as_str()),
    }
}

fn parse_digest(descriptor: &Descriptor) -> Answer<Digest> {
    let refuse = |_| Refusal::manifest_invalid("a digest in the manifest is not a sha256 or sha512 digest");
    descriptor.digest.parse().map_err(refuse)
}

fn broken(e: &serde_json::Error) -> Refusal {
    Refusal::manifest_invalid(format!("the document can't be read: {e}"))
}

fn contradiction() -> Refusal {
    Refusal::manifest_invalid("the document's mediaType is not the request's Content-Type")
}
