//! Media types of manifests, configs and layers: an open set, with what is known about the usual ones.

use super::go::write_string;
use super::json::{Json, Read};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A media type; any text can be one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MediaType(Cow<'static, str>);

/// How a layer's media type says that it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerCompression {
    /// A plain tar.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: MediaType = MediaType(Cow::Borrowed($text));)*
        }
    };
}

media_types! {
    /// OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image config.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain tar.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// OCI layer that may not be distributed, plain tar.
    OCI_RESTRICTED_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    /// OCI layer that may not be distributed, gzip.
    OCI_RESTRICTED_LAYER_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    /// OCI layer that may not be distributed, zstd.
    OCI_RESTRICTED_LAYER_ZSTD = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
    /// The two bytes `{}`, where there is nothing to say.
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// Docker manifest list.
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image manifest, schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker image config.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, plain tar.
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, gzip.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, zstd.
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer that comes from elsewhere, plain tar.
    DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    /// Docker layer that comes from elsewhere, gzip.
    DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker image manifest, schema 1.
    DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker image manifest, schema 1, signed.
    DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

/// Every layer type: its name, its compression, whether it may be distributed.
const LAYERS: [(MediaType, LayerCompression, bool); 11] = [
    (MediaType::OCI_LAYER, LayerCompression::None, true),
    (MediaType::OCI_LAYER_GZIP, LayerCompression::Gzip, true),
    (MediaType::OCI_LAYER_ZSTD, LayerCompression::Zstd, true),
    (MediaType::OCI_RESTRICTED_LAYER, LayerCompression::None, false),
    (MediaType::OCI_RESTRICTED_LAYER_GZIP, LayerCompression::Gzip, false),
    (MediaType::OCI_RESTRICTED_LAYER_ZSTD, LayerCompression::Zstd, false),
    (MediaType::DOCKER_LAYER, LayerCompression::None, true),
    (MediaType::DOCKER_LAYER_GZIP, LayerCompression::Gzip, true),
    (MediaType::DOCKER_LAYER_ZSTD, LayerCompression::Zstd, true),
    (MediaType::DOCKER_FOREIGN_LAYER, LayerCompression::None, false),
    (MediaType::DOCKER_FOREIGN_LAYER_GZIP, LayerCompression::Gzip, false),
];

/// Types that mean the same in Docker's and in OCI's words.
const MATES: [(MediaType, MediaType); 8] = [
    (MediaType::DOCKER_LIST, MediaType::OCI_INDEX),
    (MediaType::DOCKER_MANIFEST, MediaType::OCI_MANIFEST),
    (MediaType::DOCKER_CONFIG, MediaType::OCI_CONFIG),
    (MediaType::DOCKER_LAYER, MediaType::OCI_LAYER),
    (MediaType::DOCKER_LAYER_GZIP, MediaType::OCI_LAYER_GZIP),
    (MediaType::DOCKER_LAYER_ZSTD, MediaType::OCI_LAYER_ZSTD),
    (MediaType::DOCKER_FOREIGN_LAYER, MediaType::OCI_RESTRICTED_LAYER),
    (MediaType::DOCKER_FOREIGN_LAYER_GZIP, MediaType::OCI_RESTRICTED_LAYER_GZIP),
];

impl MediaType {
    /// A media type from any text.
    pub fn new(text: impl Into<Cow<'static, str>>) -> MediaType {
        MediaType(text.into())
    }
    /// The type in a Content-Type header: without parameters, in lower case.
    pub fn from_content_type(header: &str) -> MediaType {
        MediaType(Cow::Owned(header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()))
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// An index or a manifest list.
    pub fn is_index(&self) -> bool {
        [Self::OCI_INDEX, Self::DOCKER_LIST].contains(self)
    }
    /// An image manifest of a kind that is supported.
    pub fn is_image(&self) -> bool {
        [Self::OCI_MANIFEST, Self::DOCKER_MANIFEST].contains(self)
    }
    /// An image manifest of Docker's first schema.
    pub fn is_schema1(&self) -> bool {
        [Self::DOCKER_SCHEMA1, Self::DOCKER_SCHEMA1_SIGNED].contains(self)
    }
    /// An image config.
    pub fn is_config(&self) -> bool {
        [Self::OCI_CONFIG, Self::DOCKER_CONFIG].contains(self)
    }
    /// A layer.
    pub fn is_layer(&self) -> bool {
        self.compression().is_some()
    }
    /// `false` for layers that their makers host themselves: they are not pushed unless asked for.
    pub fn is_distributable(&self) -> bool {
        LAYERS.iter().find(|(name, ..)| name == self).is_none_or(|(_, _, distributable)| *distributable)
    }
    /// One of Docker's types.
    pub fn is_docker(&self) -> bool {
        self.0.starts_with("application/vnd.docker.")
    }
    /// How a layer is compressed; `None` for anything that is not a known layer type.
    pub fn compression(&self) -> Option<LayerCompression> {
        LAYERS.iter().find(|(name, ..)| name == self).map(|(_, compression, _)| *compression)
    }
    /// The OCI type of the same meaning, or the type itself.
    pub fn to_oci(&self) -> MediaType {
        MATES.into_iter().find(|(docker, _)| docker == self).map_or_else(|| self.clone(), |(_, oci)| oci)
    }
    /// Docker's type of the same meaning, or the type itself.
    pub fn to_docker(&self) -> MediaType {
        MATES.into_iter().find(|(_, oci)| oci == self).map_or_else(|| self.clone(), |(docker, _)| docker)
    }
    /// Whether a Content-Type of this kind tells nothing: what servers of plain files answer.
    pub(super) fn is_generic(&self) -> bool {
        ["", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream"]
            .contains(&self.as_str())
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> MediaType {
        MediaType(Cow::Owned(text))
    }
}
impl From<&'static str> for MediaType {
    fn from(text: &'static str) -> MediaType {
        MediaType(Cow::Borrowed(text))
    }
}
impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Json for MediaType {
    fn absent() -> Read<Self> {
        Ok(MediaType::default())
    }
    fn read(value: &RawValue) -> Read<Self> {
        String::read(value).map(MediaType::from)
    }
    fn omit(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut String) {
        write_string(&self.0, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known() {
        assert!(MediaType::OCI_INDEX.is_index() && !MediaType::OCI_INDEX.is_image());
        assert!(MediaType::DOCKER_MANIFEST.is_image() && MediaType::DOCKER_MANIFEST.is_docker());
        assert!(MediaType::DOCKER_SCHEMA1_SIGNED.is_schema1() && !MediaType::DOCKER_SCHEMA1.is_image());
        assert!(!MediaType::DOCKER_FOREIGN_LAYER_GZIP.is_distributable() && MediaType::OCI_LAYER.is_distributable());
        assert_eq!(MediaType::OCI_LAYER_ZSTD.compression(), Some(LayerCompression::Zstd));
        let other = MediaType::new("application/vnd.cncf.helm.chart.content.v1.tar+gzip");
        assert!(other.is_distributable() && !other.is_layer() && other.to_oci() == other);
    }

    #[test]
    fn mates_and_headers() {
        for (docker, oci) in MATES {
            assert_eq!(docker.to_oci(), oci);
            assert_eq!(oci.to_docker(), docker);
            assert_eq!(docker.compression(), oci.compression());
            assert_eq!(docker.is_distributable(), oci.is_distributable());
        }
        let header = "Application/vnd.OCI.image.index.v1+json; charset=utf-8";
        assert_eq!(MediaType::from_content_type(header), MediaType::OCI_INDEX);
    }
}
