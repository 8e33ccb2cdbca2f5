//! Layers that an old daemon can't read, made plain for it.

use super::{ApiVersion, Daemon};
use crate::context::Context;
use crate::error::Result;
use crate::image::Image;
use crate::layer::Layer;
use crate::oci::{Descriptor, LayerCompression, MediaType};
use crate::source::{Home, Source};
use crate::stream::{Compression, CompressionOptions, Input, Spool, encode};
use std::sync::Arc;

/// Docker 23, the first that reads zstd.
const READS_ZSTD: ApiVersion = ApiVersion(1, 42);

impl Daemon {
    /// The same image, with layers that this daemon can read. Each that has to be changed lies in a file without a name
    /// meanwhile: a tar states an entry's size before its bytes.
    pub(super) async fn readable(&self, image: Image, ctx: &Context) -> Result<Image> {
        let is_zstd = |l: &Layer| l.descriptor().media_type.compression() == Some(LayerCompression::Zstd);
        if self.0.api >= READS_ZSTD || !image.layers().iter().any(is_zstd) {
            return Ok(image);
        }
        let mut layers = Vec::new();
        for layer in image.layers() {
            layers.push(if is_zstd(layer) { self.plain(layer, ctx).await? } else { layer.clone() });
        }
        let mut edit = image.manifest().edit();
        edit.doc_mut().layers = Some(layers.iter().map(|l| l.descriptor().clone()).collect());
        let manifest = edit.finish()?;
        Ok(image.renamed(manifest.descriptor(), manifest, &layers))
    }

    async fn plain(&self, layer: &Layer, ctx: &Context) -> Result<Layer> {
        let place = &self.0.place;
        let tar = Input::Chunks(layer.uncompressed_chunks(ctx, None).await?);
        let as_it_is = CompressionOptions { kind: Some(Compression::None), level: None };
        let mut spool = Spool::create(&place.engine, &place.spool_dir, &place.stats).await?;
        let made = encode(&place.engine, &place.stats, &place.spool_dir, tar, as_it_is, &mut spool, |_| ()).await;
        let made = made.map_err(|e| e.or_subject(&layer.descriptor().digest))?;
        let source: Arc<dyn Source> = Arc::new(spool.finish().await?);
        let descriptor = Descriptor::new(MediaType::OCI_LAYER, made.digest, made.size);
        Ok(Layer::written(descriptor, made.diff_id, source, Home::Local(place.clone())))
    }
}
