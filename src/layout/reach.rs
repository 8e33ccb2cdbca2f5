//! What a manifest of any kind names. Only the shape of descriptors is asked for, not which kind of manifest it is, so
//! that nothing is taken for garbage because this code is older than what named it.

use crate::digest::Digest;
use crate::oci::{Descriptor, MediaType};
use serde_json::Value;

/// The manifest of artifacts in drafts of the image spec.
const OLD_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// Something that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub digest: Digest,
    pub size: Option<u64>,
    pub media_type: MediaType,
    /// It may name more: it stands where manifests stand, or says that it is one.
    pub manifest: bool,
    /// It may be absent: a subject, or a layer that its maker doesn't want distributed.
    pub optional: bool,
}

impl Named {
    pub(super) fn entry(entry: &Descriptor) -> Named {
        Named {
            digest: entry.digest.clone(),
            size: Some(entry.size),
            media_type: entry.media_type.clone(),
            manifest: true,
            optional: false,
        }
    }
    /// Whether it has to be a document that names things; of others it is only guessed.
    pub(super) fn is_known_manifest(&self) -> bool {
        self.media_type.is_image() || self.media_type.is_index() || self.media_type.is_schema1()
    }
}

/// Everything that a document names; `None` where it is no JSON object.
pub(super) fn named(document: &[u8]) -> Option<Vec<Named>> {
    let value: Value = serde_json::from_slice(document).ok()?;
    value.is_object().then(|| {
        let mut found = Vec::new();
        // The document itself is no descriptor, whatever members it has.
        for (key, member) in value.as_object().into_iter().flatten() {
            collect(key, member, &mut found);
        }
        found
    })
}

fn collect(key: &str, value: &Value, found: &mut Vec<Named>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(key, item, found)),
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            // Schema 1 has its own word for it.
            if let Some(Ok(digest)) = text("digest").or(text("blobSum")).map(str::parse) {
                let media_type = MediaType::new(text("mediaType").unwrap_or_default().to_owned());
                let elsewhere = members.get("urls").and_then(Value::as_array).is_some_and(|urls| !urls.is_empty());
                let says = media_type.is_image() || media_type.is_index() || media_type.is_schema1();
                found.push(Named {
                    digest,
                    size: members.get("size").and_then(Value::as_u64),
                    manifest: matches!(key, "manifests" | "subject") || says || media_type.as_str() == OLD_ARTIFACT,
                    optional: key == "subject" || elsewhere || !media_type.is_distributable(),
                    media_type,
                });
            }
            members.iter().for_each(|(key, member)| collect(key, member, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_found_wherever_they_stand() {
        let d = |n: u8| Digest::sha256(&[n]);
        let image = MediaType::OCI_MANIFEST;
        let json = serde_json::json!({
            "digest": d(0).as_str(), "config": {"digest": d(1).as_str(), "size": 3, "mediaType": "c"},
            "layers": [{"digest": d(2).as_str(), "urls": ["u"]}, {"digest": d(3).as_str(), "mediaType": "l", "urls": []}],
            "blobs": [{"digest": d(4).as_str(), "more": {"deep": [[{"digest": d(5).as_str(), "mediaType": image.as_str()}]]}}],
            "manifests": [{"digest": d(6).as_str()}], "subject": {"digest": d(7).as_str()}, "fsLayers": [{"blobSum": d(8).as_str()}],
            "annotations": {"digest": "x"}, "other": {"digest": "sha256:../../etc/passwd"}, "n": [{"digest": 5}],
        });
        let json = json.to_string();
        let found = named(json.as_bytes()).unwrap();
        let of = |n: u8| found.iter().find(|f| f.digest == d(n)).unwrap_or_else(|| panic!("{n}"));
        assert_eq!(found.len(), 8);
        assert_eq!((of(1).size, of(1).media_type.as_str(), of(1).manifest), (Some(3), "c", false));
        assert_eq!([2, 3, 7].map(|n| of(n).optional), [true, false, true]);
        assert_eq!([1, 4, 5, 6, 7, 8].map(|n| of(n).manifest), [false, false, true, true, true, false]);
        assert_eq!(named(b"[]"), None);
        assert_eq!(named(b"\x1f\x8b"), None);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(named(deep.as_bytes()), None);
    }
}
