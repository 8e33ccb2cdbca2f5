//! Image manifests, and telling which kind of document a manifest is.

use super::json::{self, Extra, Members, object};
use super::{Config, Descriptor, IndexManifest, MediaType};
use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result, invalid, malformed};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

object! {
    /// The members of an image manifest.
    pub struct ManifestDoc {
        /// Always 2.
        schema_version: i64 = "schemaVersion" keep,
        /// What kind of manifest it is; OCI's may leave it out.
        media_type: MediaType = "mediaType" omit,
        /// The config.
        config: Descriptor = "config" keep,
        /// The layers, lowest first.
        layers: Option<Vec<Descriptor>> = "layers" keep,
        /// Remarks.
        annotations: BTreeMap<String, String> = "annotations" omit,
        /// What this is about: the manifest it refers to.
        subject: Option<Descriptor> = "subject" omit,
        /// What kind of artifact it is.
        artifact_type: String = "artifactType" omit,
    }
}

/// An image manifest, of OCI or Docker's schema 2: exact bytes and typed view. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Manifest {
    raw: Bytes,
    media_type: MediaType,
    doc: Arc<ManifestDoc>,
}

/// A manifest of either kind.
#[derive(Clone, Debug)]
pub enum AnyManifest {
    /// Of one image.
    Image(Manifest),
    /// Of several.
    Index(IndexManifest),
}

impl AnyManifest {
    /// Reads a manifest whose kind is not known.
    ///
    /// Errors: `Malformed`; `Unsupported` for schema 1 and for manifests of other kinds.
    pub fn from_bytes(raw: Bytes, content_type: Option<&str>) -> Result<AnyManifest> {
        let (media_type, members) = identify(&raw, content_type)?;
        if media_type.is_index() {
            let doc = json::document(members, "index")?;
            return Ok(AnyManifest::Index(IndexManifest::new(raw.clone(), media_type, doc)));
        }
        let doc = Arc::new(json::document(members, "manifest")?);
        Ok(AnyManifest::Image(Manifest { raw: raw.clone(), media_type, doc }))
    }
}

impl Manifest {
    /// Reads an image manifest. `content_type` is what it was served as.
    ///
    /// Errors: `Malformed`, also for an index; `Unsupported` for schema 1 and for manifests of other kinds.
    pub fn from_bytes(raw: Bytes, content_type: Option<&str>) -> Result<Manifest> {
        match AnyManifest::from_bytes(raw, content_type)? {
            AnyManifest::Image(manifest) => Ok(manifest),
            AnyManifest::Index(_) => Err(malformed("it is an index of several images, not an image manifest")),
        }
    }

    /// The manifest of an image without layers, as the reference has it: of Docker's types, or of OCI's.
    pub fn empty(oci: bool) -> Manifest {
        let config = Config::empty();
        let (media_type, config_type) = match oci {
            true => (MediaType::OCI_MANIFEST, MediaType::OCI_CONFIG),
            false => (MediaType::DOCKER_MANIFEST, MediaType::DOCKER_CONFIG),
        };
        let doc = ManifestDoc {
            schema_version: 2,
            media_type: media_type.clone(),
            config: Descriptor::of(config_type, config.raw()),
            layers: Some(Vec::new()),
            annotations: BTreeMap::new(),
            subject: None,
            artifact_type: String::new(),
            extra: Extra::default(),
        };
        Manifest { raw: json::to_bytes(&doc), media_type, doc: Arc::new(doc) }
    }

    /// The manifest of these parts, of OCI's or Docker's type.
    pub fn of(oci: bool, config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        let mut doc = (*Manifest::empty(oci).doc).clone();
        (doc.config, doc.layers) = (config, Some(layers));
        Manifest { raw: json::to_bytes(&doc), media_type: doc.media_type.clone(), doc: Arc::new(doc) }
    }

    /// The exact bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
    /// Every member.
    pub fn doc(&self) -> &ManifestDoc {
        &self.doc
    }
    /// What the manifest says it is, or was served as, or looks like, in this order.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }
    /// The descriptor of the manifest itself.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.media_type.clone(), &self.raw)
    }
    /// The config's descriptor.
    pub fn config(&self) -> &Descriptor {
        &self.doc.config
    }
    /// The layers' descriptors, lowest first.
    pub fn layers(&self) -> &[Descriptor] {
        self.doc.layers.as_deref().unwrap_or_default()
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
    /// Starts a change.
    pub fn edit(&self) -> ManifestEdit {
        ManifestEdit { base: self.clone(), doc: (*self.doc).clone(), changed: false }
    }
}

/// Changes to a manifest. Nothing is written before [`ManifestEdit::finish`], and nothing at all if nothing changed.
#[derive(Clone, Debug)]
pub struct ManifestEdit {
    base: Manifest,
    doc: ManifestDoc,
    changed: bool,
}

impl ManifestEdit {
    /// Every member as changed so far.
    pub fn doc(&self) -> &ManifestDoc {
        &self.doc
    }
    /// Every member, to change at will; the manifest counts as changed from now on.
    pub fn doc_mut(&mut self) -> &mut ManifestDoc {
        self.changed = true;
        &mut self.doc
    }
    /// Points to this config. A copy of the config within the manifest is renewed, where there was one.
    pub fn set_config(&mut self, raw: &Bytes) {
        let config = &mut self.doc_mut().config;
        config.digest = Digest::sha256(raw);
        config.size = raw.len() as u64;
        if config.data.is_some() {
            config.data = Some(raw.clone());
        }
    }
    /// Says what the config is.
    pub fn set_config_media_type(&mut self, media_type: MediaType) {
        self.doc_mut().config.media_type = media_type;
    }
    /// Says what the manifest is.
    pub fn set_media_type(&mut self, media_type: MediaType) {
        self.base.media_type = media_type.clone();
        self.doc_mut().media_type = media_type;
    }
    /// Puts a layer on top.
    pub fn append_layer(&mut self, layer: Descriptor) {
        self.doc_mut().layers.get_or_insert_default().push(layer);
    }
    /// Sets one remark.
    pub fn set_annotation(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.doc_mut().annotations.insert(key.into(), value.into());
    }
    /// Takes one remark away.
    pub fn unset_annotation(&mut self, key: &str) {
        self.doc_mut().annotations.remove(key);
    }
    /// Sets or clears what the manifest refers to. Unlike in the reference, it stays where this is not called.
    pub fn set_subject(&mut self, subject: Option<Descriptor>) {
        self.doc_mut().subject = subject;
    }
    /// Whether anything was called that changes.
    pub fn is_changed(&self) -> bool {
        self.changed
    }
    /// The changed manifest, or the original bytes if there was no change.
    ///
    /// Errors: `InvalidArgument` where the changes gave something that is not a manifest.
    pub fn finish(self) -> Result<Manifest> {
        if !self.changed {
            return Ok(self.base);
        }
        let raw = json::to_bytes(&self.doc);
        Manifest::from_bytes(raw, Some(self.base.media_type.as_str()))
            .map_err(|e| invalid("the changes don't give an image manifest").cause(e))
    }
}

/// Finds out what kind of manifest this is, from what it says, what it was served as, and its shape. Where these
/// contradict each other the document is refused: another program may have read it in the other way.
pub(super) fn identify<'a>(raw: &'a [u8], content_type: Option<&str>) -> Result<(MediaType, Members<'a>)> {
    let members = json::root(raw, "manifest")?;
    let has = |key: &str| members.iter().any(|(k, _)| k == key);
    let head: Head = json::document(
        members.iter().filter(|(key, _)| key == "schemaVersion" || key == "mediaType").cloned().collect(),
        "manifest",
    )?;
    let served = content_type.map(MediaType::from_content_type).filter(|t| !t.is_generic()).unwrap_or_default();
    if head.schema_version == 1 || head.media_type.is_schema1() || served.is_schema1() {
        return Err(Error::new(
            Code::Unsupported,
            "it is an image manifest of Docker's schema 1, which was given up in 2019: it can be copied as it is, but not read; build or push the image again to get a current one",
        ));
    }
    if !head.media_type.is_empty() && !served.is_empty() && head.media_type != served {
        return Err(malformed(format!(
            "it was served as {}, but says it is {}",
            shown(served.as_str()),
            shown(head.media_type.as_str())
        )));
    }
    let image_shape = has("config") || has("layers");
    if has("manifests") && image_shape {
        return Err(malformed("it has manifests, as an index has, and a config or layers, as an image manifest has"));
    }
    if has("fsLayers") {
        return Err(malformed("it has fsLayers, as schema 1 has, and is not of schema 1"));
    }
    let media_type = match () {
        _ if !head.media_type.is_empty() => head.media_type,
        _ if !served.is_empty() => served,
        _ if has("manifests") => MediaType::OCI_INDEX,
        _ if image_shape => MediaType::OCI_MANIFEST,
        _ => return Err(malformed("it is neither an index nor an image manifest")),
    };
    if !media_type.is_index() && !media_type.is_image() {
        let text = format!("a manifest of the type {} can be copied, but not read", shown(media_type.as_str()));
        return Err(Error::new(Code::Unsupported, text));
    }
    if head.schema_version != 2 {
        return Err(malformed(format!("its schemaVersion is {}, not 2", head.schema_version)));
    }
    if media_type.is_index() && image_shape || media_type.is_image() && has("manifests") {
        return Err(malformed(format!("it says it is {media_type} and has another shape")));
    }
    Ok((media_type, members))
}

object! {
    /// What tells the kind of a manifest.
    pub struct Head {
        /// 1 or 2.
        schema_version: i64 = "schemaVersion" keep,
        /// The kind.
        media_type: MediaType = "mediaType" omit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = r#"{"mediaType":"m","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#;

    fn parse(json: &str, content_type: Option<&str>) -> Result<Manifest> {
        Manifest::from_bytes(Bytes::from(json.replace("@", D)), content_type)
    }

    #[test]
    fn kinds() {
        let plain = r#"{"schemaVersion":2,"config":@,"layers":[@,@]}"#;
        for generic in [None, Some("application/json"), Some("text/plain; charset=utf-8"), Some("")] {
            assert_eq!(*parse(plain, generic).unwrap().media_type(), MediaType::OCI_MANIFEST);
        }
        let docker = MediaType::DOCKER_MANIFEST;
        assert_eq!(*parse(plain, Some(docker.as_str())).unwrap().media_type(), docker);
        let says = plain.replacen('{', &format!(r#"{{"mediaType":"{docker}","#), 1);
        let manifest = parse(&says, None).unwrap();
        assert_eq!((manifest.media_type(), manifest.layers().len()), (&docker, 2));
        assert_eq!(manifest.config().size, 2);
        let index = r#"{"schemaVersion":2,"manifests":[@]}"#.replace('@', D);
        assert!(matches!(AnyManifest::from_bytes(index.into(), None).unwrap(), AnyManifest::Index(_)));
        assert!(matches!(AnyManifest::from_bytes(plain.replace('@', D).into(), None).unwrap(), AnyManifest::Image(_)));
    }

    #[test]
    fn two_readings_are_refused() {
        let oci = Some("application/vnd.oci.image.manifest.v1+json");
        for (json, content_type) in [
            (r#"{"schemaVersion":2,"config":@,"layers":[],"manifests":[]}"#, None),
            (r#"{"schemaVersion":2,"config":@,"manifests":[@]}"#, None),
            (r#"{"schemaVersion":2,"config":@,"layers":[],"fsLayers":[]}"#, None),
            (r#"{"schemaVersion":2,"manifests":[@]}"#, oci),
            (r#"{"schemaVersion":2,"config":@,"layers":[]}"#, Some("application/vnd.oci.image.index.v1+json")),
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":@,"layers":[]}"#,
                oci,
            ),
            (r#"{"schemaVersion":2,"mediaType":"x","mediaType":"x","config":@,"layers":[]}"#, None),
            (r#"{"schemaVersion":3,"config":@,"layers":[]}"#, None),
            (r#"{"config":@,"layers":[]}"#, None),
            (r#"{"schemaVersion":2}"#, None),
            (r#"{"schemaVersion":2,"config":null,"layers":[]}"#, None),
            (r#"{"schemaVersion":2,"layers":[]}"#, None),
            (r#"{"schemaVersion":2,"config":@,"layers":[null]}"#, None),
            (r#"{"schemaVersion":2,"config":@,"layers":{}}"#, None),
            (r#"{"schemaVersion":2,"manifests":[@]}"#, None),
        ] {
            assert_eq!(parse(json, content_type).unwrap_err().code(), Code::Malformed, "{json}");
        }
        let error = parse(r#"{"schemaVersion":2,"config":@,"layers":[@,{"size":1,"digest":7}]}"#, None).unwrap_err();
        assert_eq!(error.message(), "manifest: layers[1].digest is a number, not a string");
    }

    #[test]
    fn other_kinds_are_unsupported() {
        for (json, content_type) in [
            (r#"{"schemaVersion":1,"name":"x","fsLayers":[],"history":[],"signatures":[]}"#, None),
            (r#"{"schemaVersion":2,"config":@}"#, Some("application/vnd.docker.distribution.manifest.v1+prettyjws")),
            (r#"{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}"#, None),
        ] {
            assert_eq!(parse(json, content_type).unwrap_err().code(), Code::Unsupported, "{json}");
        }
    }

    #[test]
    fn edits() {
        let json = r#"{"x": {"y":  1} ,"layers":null,"config":@,"subject":@,"schemaVersion":2}"#;
        let docker = Some(MediaType::DOCKER_MANIFEST);
        let manifest = parse(json, docker.as_ref().map(MediaType::as_str)).unwrap();
        assert_eq!(manifest.edit().finish().unwrap().raw(), manifest.raw());

        let mut edit = manifest.edit();
        assert!(!edit.is_changed());
        edit.set_annotation("b", "&");
        assert!(edit.is_changed() && edit.doc().annotations.len() == 1);
        edit.set_annotation("a", "1");
        edit.unset_annotation("a");
        edit.set_config(&Bytes::from_static(b"{}"));
        let layer = Descriptor::of(MediaType::OCI_LAYER, b"x");
        let written = edit.clone().finish().unwrap();
        assert_eq!(written.subject(), manifest.subject());
        assert_eq!(written.media_type(), manifest.media_type());
        let expected =
            r#"{"schemaVersion":2,"config":@,"layers":null,"annotations":{"b":"\u0026"},"subject":@,"x":{"y":  1}}"#;
        assert_eq!(written.raw(), expected.replace('@', D).as_bytes());

        edit.append_layer(layer.clone());
        edit.set_subject(None);
        edit.set_media_type(MediaType::OCI_MANIFEST);
        let written = edit.finish().unwrap();
        assert_eq!((written.layers(), written.subject()), (&[layer][..], None));
        assert_eq!(written.media_type(), &MediaType::OCI_MANIFEST);
        assert_eq!(written.doc().extra, manifest.doc().extra);

        let mut edit = manifest.edit();
        edit.set_annotation("a", "\0");
        assert_eq!(edit.finish().unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_copy_of_the_config_is_renewed() {
        let with = D.replacen('{', r#"{"data":"aGk=","#, 1);
        let manifest = parse(&format!(r#"{{"schemaVersion":2,"config":{with},"layers":[]}}"#), None).unwrap();
        let mut edit = manifest.edit();
        edit.set_config(&Bytes::from_static(b"abc"));
        let config = edit.finish().unwrap().config().clone();
        assert_eq!((config.data.as_deref(), config.size), (Some(&b"abc"[..]), 3));
        assert_eq!(config.digest, Digest::sha256(b"abc"));
    }
}
