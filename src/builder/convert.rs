//! Docker's media types for OCI's, and the other way round, in all of an image.

use crate::error::{Code, Error, Result};
use crate::oci::{Descriptor, LayerCompression, Manifest, ManifestEdit, MediaType};
use crate::options::Format;
use std::collections::BTreeSet;

/// Whose media type a manifest has.
pub(crate) fn family(manifest: &Manifest) -> Format {
    if manifest.media_type().is_docker() { Format::Docker } else { Format::Oci }
}

/// Whether everything in a manifest is of this family already.
pub(crate) fn is_format(manifest: &Manifest, format: Format) -> bool {
    let same = |d: &Descriptor| mate(&d.media_type, format).as_ref() == Some(&d.media_type);
    family(manifest) == format && same(manifest.config()) && manifest.layers().iter().all(same)
}

/// Rewrites every media type but those of the `fixed` layers.
pub(super) fn convert(edit: &mut ManifestEdit, format: Format, fixed: &BTreeSet<usize>) -> Result<()> {
    let media_type = if format == Format::Oci { MediaType::OCI_MANIFEST } else { MediaType::DOCKER_MANIFEST };
    let no_mate = |d: &Descriptor| {
        let zstd = d.media_type.compression() == Some(LayerCompression::Zstd);
        let way_out = if zstd { "; compress the layer anew first" } else { "" };
        let why = format!("Docker has no media type that stands for {}{way_out}", d.media_type);
        Error::new(Code::Unsupported, why).subject(&d.digest)
    };
    let config = mate(&edit.doc().config.media_type, format).filter(|m| format == Format::Oci || m.is_config());
    let config = config.ok_or_else(|| no_mate(&edit.doc().config))?;
    let layers = edit.doc().layers.iter().flatten().enumerate();
    let layers = layers.map(|(i, d)| match fixed.contains(&i) {
        true => Ok(d.media_type.clone()),
        false => mate(&d.media_type, format).ok_or_else(|| no_mate(d)),
    });
    let layers: Vec<MediaType> = layers.collect::<Result<_>>()?;
    edit.set_config_media_type(config);
    for (layer, media_type) in edit.doc_mut().layers.iter_mut().flatten().zip(layers) {
        layer.media_type = media_type;
    }
    edit.set_media_type(media_type);
    Ok(())
}

/// The type that stands for this one; itself where it is nobody's or both's, nothing where there is none.
fn mate(media_type: &MediaType, format: Format) -> Option<MediaType> {
    match format {
        Format::Oci => Some(media_type.to_oci()),
        Format::Docker => {
            let docker = media_type.to_docker();
            (docker.is_docker() && docker.compression() != Some(LayerCompression::Zstd)).then_some(docker)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_mate() {
        for lone in [MediaType::OCI_LAYER_ZSTD, MediaType::OCI_EMPTY, MediaType::OCI_RESTRICTED_LAYER_ZSTD] {
            assert_eq!(mate(&lone, Format::Docker), None, "{lone}");
            assert_eq!(mate(&lone, Format::Oci), Some(lone));
        }
        assert_eq!(mate(&MediaType::DOCKER_LAYER_ZSTD, Format::Oci), Some(MediaType::OCI_LAYER_ZSTD));
        assert_eq!(
            mate(&MediaType::OCI_RESTRICTED_LAYER_GZIP, Format::Docker),
            Some(MediaType::DOCKER_FOREIGN_LAYER_GZIP)
        );
    }

    #[test]
    fn mixed_types_become_one_family() {
        let mut edit = Manifest::empty(false).edit();
        edit.append_layer(Descriptor::of(MediaType::OCI_LAYER_GZIP, b"a"));
        edit.append_layer(Descriptor::of(MediaType::DOCKER_LAYER, b"b"));
        let mixed = edit.finish().unwrap();
        assert!(!is_format(&mixed, Format::Docker) && !is_format(&mixed, Format::Oci));
        for format in [Format::Docker, Format::Oci] {
            let mut edit = mixed.edit();
            convert(&mut edit, format, &BTreeSet::new()).unwrap();
            assert!(is_format(&edit.finish().unwrap(), format));
        }
        let mut edit = mixed.edit();
        edit.append_layer(Descriptor::of(MediaType::OCI_LAYER_ZSTD, b"z"));
        assert_eq!(convert(&mut edit, Format::Docker, &BTreeSet::new()).unwrap_err().code(), Code::Unsupported);
    }
}
