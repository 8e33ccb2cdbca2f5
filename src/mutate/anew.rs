//! Layers that are written anew: which, how many at once, and what a manifest says of them afterwards.

use crate::builder::layer_entry;
use crate::digest::Digest;
use crate::error::{Result, malformed};
use crate::image::Image;
use crate::layer::Layer;
use crate::oci::{Config, Descriptor};
use crate::options::Format;
use crate::stream::{CHUNKED, Compression};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::collections::{HashMap, HashSet};

/// Layers that are written at once: one is enough to keep all cores busy with gzip, and each more costs 10 MiB.
const AT_ONCE: u32 = 1;

/// Annotations of a layer's descriptor that describe its compressed bytes: tables of contents, and where they are.
const OF_THE_BYTES: [&str; 4] = ["containerd.io/snapshot/stargz/", "io.containers.estargz.", CHUNKED[0], CHUNKED[1]];

/// The annotation of a layer's descriptor that names its diff id.
const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// The diff ids of an image whose layers' tars will change: one for each layer.
pub(super) fn diff_ids(image: &Image, config: &Config) -> Result<Vec<Digest>> {
    let claimed = config.diff_ids();
    if claimed.len() != image.layers().len() {
        let why = format!("the config names {} diff ids for {} layers", claimed.len(), image.layers().len());
        return Err(malformed(why).subject(image.digest()));
    }
    Ok(claimed.to_vec())
}

/// What `remake` makes of every distributable layer, each blob once.
pub(super) async fn each<T: Send, F>(
    layers: &[Layer],
    jobs: Option<u32>,
    remake: impl Fn(Layer) -> F,
) -> Result<HashMap<Digest, T>>
where
    F: Future<Output = Result<T>> + Send,
{
    let mut seen = HashSet::new();
    let ours = |l: &&Layer| {
        let d = l.descriptor();
        d.media_type.is_layer() && d.media_type.is_distributable()
    };
    let once = layers.iter().filter(ours).filter(|l| seen.insert(l.descriptor().digest.clone()));
    let work = once.map(|layer| {
        let digest = layer.descriptor().digest.clone();
        let made = remake(layer.clone());
        async move { Ok((digest, made.await?)) }.boxed()
    });
    let work: Vec<_> = work.collect();
    let jobs = jobs.unwrap_or(AT_ONCE).max(1) as usize;
    futures_util::stream::iter(work).buffer_unordered(jobs).try_collect().await
}

/// What a manifest says of the new bytes: what it said of the old ones, but for what was about those bytes.
pub(super) fn entry(old: &Descriptor, new: &Descriptor, family: Format) -> Descriptor {
    let mut annotations = old.annotations.clone();
    annotations.retain(|key, _| !OF_THE_BYTES.iter().any(|start| key.starts_with(start)));
    annotations.extend(new.annotations.clone());
    let Descriptor { media_type, size, digest, .. } = layer_entry(new, family);
    Descriptor { media_type, size, digest, data: None, urls: Vec::new(), annotations, ..old.clone() }
}

/// The same entry of a layer that has this diff id.
pub(super) fn with_diff_id(mut entry: Descriptor, diff_id: &Digest) -> Descriptor {
    if let Some(said) = entry.annotations.get_mut(UNCOMPRESSED) {
        *said = diff_id.to_string();
    }
    entry
}

/// The same bytes under the name that fits them.
pub(super) fn named(old: &Descriptor, content: Compression, family: Format) -> Descriptor {
    let told = old.media_type.compression().map(of);
    if told == Some(content) {
        return old.clone();
    }
    let media_type = content.media_type();
    layer_entry(&Descriptor { media_type, ..old.clone() }, family)
}

fn of(said: crate::oci::LayerCompression) -> Compression {
    match said {
        crate::oci::LayerCompression::None => Compression::None,
        crate::oci::LayerCompression::Gzip => Compression::Gzip,
        crate::oci::LayerCompression::Zstd => Compression::Zstd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::MediaType;

    #[test]
    fn what_was_about_the_old_bytes_goes() {
        let mut old = Descriptor::of(MediaType::DOCKER_LAYER_GZIP, b"old");
        old.urls = vec!["https://elsewhere".into()];
        let tables = [
            "containerd.io/snapshot/stargz/toc.digest",
            "io.github.containers.zstd-chunked.manifest-position",
            "io.containers.zstd-chunked.manifest-checksum",
            "io.containers.zstd-chunked.manifest-position",
        ];
        for key in tables.into_iter().chain(["mine"]) {
            old.annotations.insert(key.into(), "x".into());
        }
        let new = Descriptor::of(MediaType::OCI_LAYER_GZIP, b"new");
        let entry = entry(&old, &new, Format::Docker);
        assert_eq!(entry.annotations.keys().collect::<Vec<_>>(), ["mine"]);
        assert_eq!((entry.media_type, entry.digest), (MediaType::DOCKER_LAYER_GZIP, new.digest));
        assert!(entry.urls.is_empty());
    }

    #[test]
    fn names_follow_the_content() {
        let lying = Descriptor::of(MediaType::DOCKER_LAYER_GZIP, b"x");
        assert_eq!(named(&lying, Compression::None, Format::Docker).media_type, MediaType::DOCKER_LAYER);
        assert_eq!(named(&lying, Compression::Gzip, Format::Docker), lying);
        assert_eq!(named(&lying, Compression::Zstd, Format::Oci).media_type, MediaType::OCI_LAYER_ZSTD);
    }
}
