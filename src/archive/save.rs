//! New archives of the form that `docker save` has, entry for entry as the reference writes them: for each image its
//! config and those of its layers that are not there yet, manifest.json at the end.

use super::plan::Plan;
use super::write::ArchiveItem;
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::index::Child;
use crate::name::{DEFAULT_TAG, Reference};
use crate::oci::{Descriptor, LayerCompression, SavedImage};
use std::collections::HashSet;

/// An image and all its names.
pub(super) struct Named {
    pub(super) image: Image,
    pub(super) tags: Vec<String>,
}

/// Each image once, in the order of their names, so that the same images make the same archive.
///
/// Errors: `Unsupported` for indexes and for artifacts; `InvalidArgument` for names that are none.
pub(super) fn images(items: &[ArchiveItem]) -> Result<Vec<Named>> {
    let mut images: Vec<Named> = Vec::new();
    for item in items {
        let Child::Image(image) = &item.value else {
            let why =
                "an archive of Docker's form has images, and this is an index: choose one of its images, or OCI's form";
            return Err(Error::new(Code::Unsupported, why).subject(&item.value.descriptor().digest));
        };
        let config = &image.manifest().config().media_type;
        if !config.is_config() {
            let why = format!("an archive of Docker's form has images only, and the config of this is a {config}");
            return Err(Error::new(Code::Unsupported, why).subject(image.digest()));
        }
        let tag = item.name.as_deref().map(tag).transpose()?.flatten();
        match images.iter_mut().find(|named| named.image.digest() == image.digest()) {
            Some(named) => named.tags.extend(tag),
            None => images.push(Named { image: image.clone(), tags: tag.into_iter().collect() }),
        }
    }
    for named in &mut images {
        named.tags.sort();
        named.tags.dedup();
    }
    images.sort_by_cached_key(|n| (n.tags.join(","), n.image.digest().to_string()));
    Ok(images)
}

/// What an image is called in the archive: the caller's own words with the tag that they mean. A digest is no name.
fn tag(name: &str) -> Result<Option<String>> {
    let reference = Reference::parse(name)?;
    if reference.digest().is_some() {
        return Ok(None);
    }
    let said = name.rsplit_once(':').is_some_and(|(_, tag)| !tag.contains('/'));
    Ok(Some(if said { name.to_owned() } else { format!("{name}:{DEFAULT_TAG}") }))
}

/// The whole archive.
pub(super) async fn plan(items: &[ArchiveItem], foreign_layers: bool, ctx: &Context) -> Result<Plan> {
    let (mut plan, mut list) = (Plan::default(), Vec::new());
    let mut there: HashSet<String> = HashSet::new();
    for Named { image, tags } in images(items)? {
        let config = image.config_holder();
        let name = config.descriptor().digest.to_string();
        if there.insert(name.clone()) {
            plan.blob(&name, config.descriptor(), config.source());
        }
        let mut saved = SavedImage::new(name, (!tags.is_empty()).then_some(tags), Vec::new());
        let mut names = Vec::new();
        for (i, layer) in image.layers().iter().enumerate() {
            let descriptor = layer.descriptor();
            let name = file_name(descriptor);
            let foreign = !descriptor.media_type.is_distributable();
            if foreign {
                let diff_id = diff_id(&image, i, ctx).await?;
                saved.layer_sources.insert(diff_id.to_string(), descriptor.clone());
            }
            if (foreign_layers || !foreign) && there.insert(name.clone()) {
                plan.blob(&name, descriptor, layer.source());
            }
            names.push(name);
        }
        saved.layers = Some(names);
        list.push(saved);
    }
    plan.bytes("manifest.json", SavedImage::to_bytes(&list));
    Ok(plan)
}

fn file_name(layer: &Descriptor) -> String {
    let extension = match layer.media_type.compression() {
        Some(LayerCompression::None) => "tar",
        Some(LayerCompression::Zstd) => "tar.zst",
        Some(LayerCompression::Gzip) | None => "tar.gz",
    };
    format!("{}.{extension}", layer.digest.hex())
}

async fn diff_id(image: &Image, layer: usize, ctx: &Context) -> Result<Digest> {
    let config = image.config_holder().get(ctx).await?;
    let missing = || malformed("the config has fewer diff ids than there are layers").subject(image.digest());
    config.diff_ids().get(layer).cloned().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_tag_they_mean() {
        for (name, expected) in [
            ("alpine", Some("alpine:latest")),
            ("localhost:5000/a", Some("localhost:5000/a:latest")),
            ("localhost:5000/a:b", Some("localhost:5000/a:b")),
            ("docker.io/library/a:b", Some("docker.io/library/a:b")),
        ] {
            assert_eq!(tag(name).unwrap().as_deref(), expected);
        }
        assert_eq!(tag(&format!("a:1@{}", Digest::sha256(b""))).unwrap(), None);
        assert!(tag("A B").is_err());
    }
}
