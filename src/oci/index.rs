//! Indexes: several images under one name.

use super::json::{self, object};
use super::{AnyManifest, Descriptor, MediaType};
use crate::error::{Result, invalid, malformed};
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
