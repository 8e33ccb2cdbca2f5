//! Descriptors: what a piece of content is, how large, and its digest.

use super::json::{Json, Read, Wrong, object};
use super::{MediaType, Platform};
use crate::digest::Digest;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The largest size that a descriptor can state: the last integer that every JSON reader gets right.
pub const MAX_SIZE: u64 = (1 << 53) - 1;

object! {
    /// Points to content by its digest.
    pub struct Descriptor {
        /// What the content is.
        media_type: MediaType = "mediaType" keep,
        /// Its length in bytes.
        size: u64 = "size" keep,
        /// Its digest.
        digest: Digest = "digest" keep,
        /// A copy of the content, which nobody has verified.
        data: Option<Bytes> = "data" omit,
        /// Where else it can be had.
        urls: Vec<String> = "urls" omit,
        /// Remarks.
        annotations: BTreeMap<String, String> = "annotations" omit,
        /// What it runs on.
        platform: Option<Platform> = "platform" omit,
        /// What kind of artifact the content is the manifest of.
        artifact_type: String = "artifactType" omit,
    }
}

impl Descriptor {
    /// A descriptor with what every descriptor has.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type,
            size,
            digest,
            data: None,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: String::new(),
            extra: Default::default(),
        }
    }
    /// The descriptor of these bytes, under their SHA-256 digest.
    pub fn of(media_type: MediaType, content: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::sha256(content), content.len() as u64)
    }
}

/// A size. It is compared with what comes, and nothing is ever allocated by it.
impl Json for u64 {
    fn absent() -> Read<Self> {
        Err(Wrong::new("is missing"))
    }
    fn read(value: &RawValue) -> Read<Self> {
        let size = i64::read(value)?;
        let size = u64::try_from(size).map_err(|_| Wrong::new("is negative"))?;
        if size > MAX_SIZE { Err(Wrong::new(format!("is over {MAX_SIZE}"))) } else { Ok(size) }
    }
    fn write(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::{document, root, to_bytes};
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(json: &str) -> crate::Result<Descriptor> {
        document(root(json.as_bytes(), "descriptor")?, "descriptor")
    }

    #[test]
    fn written_in_the_order_of_the_reference() {
        let json = format!(
            r#"{{"x":[1, 2],"artifactType":"t","platform":{{"os":"linux","y":1.0,"architecture":"arm","variant":"v7"}},
            "annotations":{{"b":"<","a":null}},"urls":["u"],"data":"aGk=","digest":"{EMPTY}","size":-0,"mediaType":null}}"#
        );
        let expected = format!(
            r#"{{"mediaType":"","size":0,"digest":"{EMPTY}","data":"aGk=","urls":["u"],"annotations":{{"a":"","b":"\u003c"}},"#
        ) + r#""platform":{"architecture":"arm","os":"linux","variant":"v7","y":1.0},"artifactType":"t","x":[1, 2]}"#;
        let descriptor = parse(&json).unwrap();
        assert_eq!(to_bytes(&descriptor), expected);
        assert_eq!(descriptor.extra.get("x"), Some("[1, 2]"));
        assert_eq!(parse(&expected).unwrap(), descriptor);
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        for size in ["-1", "4611686018427387904", "9223372036854775808", "1e3", "1.0", "\"1\"", "null", "true", "[]"] {
            let error = parse(&format!(r#"{{"mediaType":"m","digest":"{EMPTY}","size":{size}}}"#)).unwrap_err();
            assert_eq!(error.code(), crate::Code::Malformed);
            assert!(error.message().contains("descriptor: size is"), "{error}");
        }
        assert!(parse(&format!(r#"{{"digest":"{EMPTY}"}}"#)).is_err());
        assert_eq!(parse(&format!(r#"{{"digest":"{EMPTY}","size":{MAX_SIZE}}}"#)).unwrap().size, MAX_SIZE);
    }

    #[test]
    fn digests_that_are_none_are_refused() {
        for digest in ["", "sha256:", "sha256:../../etc", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
            assert!(parse(&format!(r#"{{"size":1,"digest":"{digest}"}}"#)).is_err(), "{digest}");
        }
        let upper = format!("sha256:{}", EMPTY[7..].to_uppercase());
        assert!(parse(&format!(r#"{{"size":1,"digest":"{upper}"}}"#)).is_err());
    }
}
