//! Indexes: several images under one name.

use super::json::{self, object};
use super::platform::ASSUMED;
use super::{AnyManifest, Descriptor, MediaType, Platform};
use crate::digest::shown;
use crate::error::{Code, Error, Result, invalid, malformed};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

object! {
    /// The members of an index.
    pub struct IndexDoc {
        /// Always 2.
        schema_version: i64 = "schemaVersion" keep,
        /// What kind of index it is; OCI's may leave it out.
        media_type: MediaType = "mediaType" omit,
        /// The images, and other indexes.
        manifests: Option<Vec<Descriptor>> = "manifests" keep,
        /// Remarks.
        annotations: BTreeMap<String, String> = "annotations" omit,
        /// What this is about: the manifest it refers to.
        subject: Option<Descriptor> = "subject" omit,
        /// What kind of artifact it is.
        artifact_type: String = "artifactType" omit,
    }
}

/// An OCI index or a Docker manifest list: exact bytes and typed view. Clones are cheap.
#[derive(Clone, Debug)]
pub struct IndexManifest {
    raw: Bytes,
    media_type: MediaType,
    doc: Arc<IndexDoc>,
}

/// How many platforms a message lists.
const MAX_LISTED: usize = 20;

impl IndexManifest {
    /// Reads an index. `content_type` is what it was served as.
    ///
    /// Errors: `Malformed`, also for an image manifest; `Unsupported` for schema 1 and for manifests of other kinds.
    pub fn from_bytes(raw: Bytes, content_type: Option<&str>) -> Result<IndexManifest> {
        match AnyManifest::from_bytes(raw, content_type)? {
            AnyManifest::Index(index) => Ok(index),
            AnyManifest::Image(_) => Err(malformed("it is an image manifest, not an index of several images")),
        }
    }
    pub(super) fn new(raw: Bytes, media_type: MediaType, doc: IndexDoc) -> IndexManifest {
        IndexManifest { raw, media_type, doc: Arc::new(doc) }
    }

    /// The exact bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
    /// Every member.
    pub fn doc(&self) -> &IndexDoc {
        &self.doc
    }
    /// What the index says it is, or was served as, or looks like, in this order.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }
    /// The descriptor of the index itself.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.media_type.clone(), &self.raw)
    }
    /// What is in it, in its order.
    pub fn manifests(&self) -> &[Descriptor] {
        self.doc.manifests.as_deref().unwrap_or_default()
    }
    /// Remarks, sorted by key.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.doc.annotations
    }
    /// The manifest that this one refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.doc.subject.as_ref()
    }
    /// What kind of artifact it says it is.
    pub fn artifact_type(&self) -> Option<&str> {
        Some(self.doc.artifact_type.as_str()).filter(|text| !text.is_empty())
    }

    /// An index of nothing.
    pub fn empty(oci: bool) -> IndexManifest {
        let media_type = if oci { MediaType::OCI_INDEX } else { MediaType::DOCKER_LIST };
        let doc = IndexDoc {
            schema_version: 2,
            media_type: media_type.clone(),
            manifests: Some(Vec::new()),
            annotations: BTreeMap::new(),
            subject: None,
            artifact_type: String::new(),
            extra: Default::default(),
        };
        IndexManifest::new(json::to_bytes(&doc), media_type, doc)
    }
    /// Starts a change.
    pub fn edit(&self) -> IndexEdit {
        IndexEdit { base: self.clone(), doc: (*self.doc).clone(), changed: false }
    }

    /// The manifest that fits best: the very variant before lower ones, the first of equals. One that doesn't say
    /// what it runs on is taken for `linux/amd64` (as in the reference), after those that do.
    ///
    /// Errors: `NotFound`, with the platforms that there are.
    pub fn pick(&self, wanted: &Platform) -> Result<&Descriptor> {
        let runnable = |d: &&Descriptor| d.media_type.is_empty() || d.media_type.is_image() || d.media_type.is_index();
        let assumed = Platform::default();
        let rank = |d: &Descriptor| match &d.platform {
            Some(platform) => platform.rank(wanted),
            None => assumed.rank(wanted).map(|rank| rank + ASSUMED),
        };
        let ranked = self.manifests().iter().filter(runnable).filter_map(|d| Some((rank(d)?, d)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, d)| d).ok_or_else(|| {
            let names = self.manifests().iter().filter_map(|d| d.platform.as_ref()).map(Platform::to_string);
            let mut names: Vec<String> = names.filter(|name| name != "unknown/unknown").collect();
            let more = if names.len() > MAX_LISTED { ", …" } else { "" };
            names.truncate(MAX_LISTED);
            let there = if names.is_empty() { "none that says its platform".into() } else { shown(&names.join(", ")) };
            Error::new(Code::NotFound, format!("there is no image for {wanted} in the index, but {there}{more}"))
        })
    }
}

/// Changes to an index. Nothing is written before [`IndexEdit::finish`], and nothing at all if nothing changed.
#[derive(Clone, Debug)]
pub struct IndexEdit {
    base: IndexManifest,
    doc: IndexDoc,
    changed: bool,
}

impl IndexEdit {
    /// Every member as changed so far.
    pub fn doc(&self) -> &IndexDoc {
        &self.doc
    }
    /// Every member, to change at will; the index counts as changed from now on.
    pub fn doc_mut(&mut self) -> &mut IndexDoc {
        self.changed = true;
        &mut self.doc
    }
    /// Says what the index is.
    pub fn set_media_type(&mut self, media_type: MediaType) {
        self.base.media_type = media_type.clone();
        self.doc_mut().media_type = media_type;
    }
    /// Puts an entry at the end.
    pub fn append(&mut self, entry: Descriptor) {
        self.doc_mut().manifests.get_or_insert_default().push(entry);
    }
    /// Keeps the entries of which this is true; the index is unchanged where it is true of all.
    pub fn retain(&mut self, keep: impl Fn(&Descriptor) -> bool) {
        if self.doc.manifests.iter().flatten().any(|d| !keep(d)) {
            self.doc_mut().manifests.get_or_insert_default().retain(keep);
        }
    }
    /// Sets one remark.
    pub fn set_annotation(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.doc_mut().annotations.insert(key.into(), value.into());
    }
    /// Takes one remark away.
    pub fn unset_annotation(&mut self, key: &str) {
        self.doc_mut().annotations.remove(key);
    }
    /// Sets or clears what the index refers to.
    pub fn set_subject(&mut self, subject: Option<Descriptor>) {
        self.doc_mut().subject = subject;
    }
    /// Whether anything was called that changes.
    pub fn is_changed(&self) -> bool {
        self.changed
    }
    /// The changed index, or the original bytes if there was no change.
    ///
    /// Errors: `InvalidArgument` where the changes gave something that is not an index.
    pub fn finish(self) -> Result<IndexManifest> {
        if !self.changed {
            return Ok(self.base);
        }
        let raw = json::to_bytes(&self.doc);
        IndexManifest::from_bytes(raw, Some(self.base.media_type.as_str()))
            .map_err(|e| invalid("the changes don't give an index").cause(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// An index of images for these platforms (empty: none said), each named by its place.
    fn index(platforms: &[&str]) -> IndexManifest {
        let descriptor = |(i, text): (usize, &&str)| {
            let platform = match text.parse::<Platform>() {
                Ok(p) => format!(
                    r#","platform":{{"os":"{}","architecture":"{}","variant":"{}"}}"#,
                    p.os, p.architecture, p.variant
                ),
                Err(_) => String::new(),
            };
            let digest = Digest::sha256(&[i as u8]);
            format!(r#"{{"mediaType":"{}","size":1,"digest":"{digest}"{platform}}}"#, MediaType::OCI_MANIFEST)
        };
        let list: Vec<String> = platforms.iter().enumerate().map(descriptor).collect();
        let json = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","));
        IndexManifest::from_bytes(json.into(), None).unwrap()
    }

    fn picked(platforms: &[&str], wanted: &str) -> Option<usize> {
        let index = index(platforms);
        let picked = index.pick(&wanted.parse().unwrap()).ok()?;
        index.manifests().iter().position(|d| d.digest == picked.digest)
    }

    #[test]
    fn the_best_is_picked() {
        let arm = ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"];
        assert_eq!(picked(&arm, "linux/amd64"), Some(4));
        assert_eq!(picked(&arm, "linux/arm"), Some(2));
        assert_eq!(picked(&arm, "linux/arm/v6"), Some(1));
        assert_eq!(picked(&arm, "linux/arm/v8"), Some(2));
        assert_eq!(picked(&arm[..2], "linux/arm/v7"), Some(1));
        assert_eq!(picked(&arm[1..], "linux/arm/v5"), None);
        assert_eq!(picked(&arm, "linux/arm64"), Some(3));
        assert_eq!(picked(&arm, "linux/aarch64/v9"), Some(3));
        assert_eq!(picked(&["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"], "linux/amd64"), Some(2));
        assert_eq!(picked(&["linux/amd64/v3", "linux/amd64/v2"], "linux/x86_64"), Some(1));
        assert_eq!(picked(&["linux/arm/v7", "linux/arm/v7"], "linux/arm"), Some(0));
        assert_eq!(picked(&["", "linux/amd64"], "linux/amd64"), Some(1));
        assert_eq!(picked(&["", "linux/amd64/v3"], "linux/amd64"), Some(1));
        assert_eq!(picked(&["linux/arm64", ""], "linux/amd64"), Some(1));
        assert_eq!(picked(&["linux/arm64", ""], "windows/amd64"), None);
        assert_eq!(picked(&[], "linux/amd64"), None);
    }

    #[test]
    fn what_does_not_run_is_not_picked() {
        let json = index(&["", ""]).raw().clone();
        let json = String::from_utf8(json.to_vec()).unwrap();
        let json = json.replacen(MediaType::OCI_MANIFEST.as_str(), MediaType::OCI_CONFIG.as_str(), 1);
        let json = json.replacen(MediaType::OCI_MANIFEST.as_str(), MediaType::OCI_INDEX.as_str(), 1);
        let index = IndexManifest::from_bytes(json.into(), None).unwrap();
        assert_eq!(index.pick(&Platform::default()).unwrap().media_type, MediaType::OCI_INDEX);
    }

    #[test]
    fn what_is_there_is_told() {
        let error = index(&["linux/arm64", "unknown/unknown"]).pick(&Platform::default()).unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(error.message(), "there is no image for linux/amd64 in the index, but linux/arm64");
    }

    #[test]
    fn members_are_read() {
        let subject = format!(r#"{{"mediaType":"m","size":1,"digest":"{}"}}"#, Digest::sha256(b"s"));
        let json = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":null,"annotations":{{"a":"b"}},"subject":{subject},"artifactType":"t"}}"#,
            MediaType::OCI_INDEX
        );
        let index = IndexManifest::from_bytes(json.clone().into(), None).unwrap();
        assert_eq!(index.raw(), json.as_bytes());
        assert!(index.manifests().is_empty());
        assert_eq!(index.annotations()["a"], "b");
        assert_eq!(index.subject().unwrap().digest, Digest::sha256(b"s"));
        assert_eq!(index.artifact_type(), Some("t"));
        assert_eq!(index.descriptor().size, json.len() as u64);
        assert!(IndexManifest::from_bytes(r#"{"schemaVersion":2,"layers":[]}"#.into(), None).is_err());
    }
}
