//! A layer: complete, immutable, its bytes somewhere they can be read from.

use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::Result;
use crate::image::ConfigHolder;
use crate::oci::Descriptor;
use crate::reader::Reader;
use crate::source::{Home, Source};
use crate::stream::{Chunks, Limits, Toc, decompressed, verified};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// One layer of an image. A clone is the same layer.
#[derive(Clone)]
pub struct Layer(Arc<Inner>);

struct Inner {
    descriptor: Descriptor,
    diff_id: OnceCell<Digest>,
    /// The table of contents, once it was asked for.
    toc: OnceCell<Option<Arc<Toc>>>,
    /// The image's config, and which of its diff ids is this layer's.
    claimed_by: Option<(Arc<ConfigHolder>, usize)>,
    source: Arc<dyn Source>,
    home: Home,
}

impl Layer {
    /// A layer whose bytes were just written and hashed.
    pub(crate) fn written(descriptor: Descriptor, diff_id: Digest, source: Arc<dyn Source>, home: Home) -> Layer {
        let diff_id = OnceCell::new_with(Some(diff_id));
        Layer(Arc::new(Inner { descriptor, diff_id, toc: OnceCell::new(), claimed_by: None, source, home }))
    }
    /// A layer that a manifest names.
    pub(crate) fn named(
        descriptor: Descriptor,
        claimed_by: Option<(Arc<ConfigHolder>, usize)>,
        source: Arc<dyn Source>,
        home: Home,
    ) -> Layer {
        Layer(Arc::new(Inner { descriptor, diff_id: OnceCell::new(), toc: OnceCell::new(), claimed_by, source, home }))
    }
    /// The same bytes as they are named in another manifest.
    pub(crate) fn with_descriptor(
        &self,
        descriptor: Descriptor,
        claimed_by: Option<(Arc<ConfigHolder>, usize)>,
    ) -> Layer {
        let diff_id = OnceCell::new_with(self.0.diff_id.get().cloned());
        let (source, home) = (self.0.source.clone(), self.0.home.clone());
        Layer(Arc::new(Inner { descriptor, diff_id, toc: OnceCell::new(), claimed_by, source, home }))
    }

    /// Media type, digest, size: what stands in a manifest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    pub(crate) fn home(&self) -> &Home {
        &self.0.home
    }
    pub(crate) fn source(&self) -> &Arc<dyn Source> {
        &self.0.source
    }
    pub(crate) fn toc_cell(&self) -> &OnceCell<Option<Arc<Toc>>> {
        &self.0.toc
    }

    /// The digest of the uncompressed tar: from the image's config, else by reading the layer once. Remembered.
    pub fn diff_id(&self, ctx: &Context) -> Task<Digest> {
        if let Some(known) = self.0.diff_id.get() {
            return Task::ready(Ok(known.clone()));
        }
        let layer = self.clone();
        self.0.home.spawn(ctx, |ctx| async move { layer.find_diff_id(&ctx).await.cloned() })
    }

    /// The same, for those who only want it to be known afterwards.
    pub(crate) fn learn_diff_id(&self, ctx: &Context) -> Task<()> {
        let layer = self.clone();
        self.0.home.spawn(ctx, |ctx| async move { layer.find_diff_id(&ctx).await.map(drop) })
    }

    pub(crate) async fn find_diff_id(&self, ctx: &Context) -> Result<&Digest> {
        self.0
            .diff_id
            .get_or_try_init(|| async {
                if let Some((config, at)) = &self.0.claimed_by
                    && config.descriptor().media_type.is_config()
                    && let Some(claimed) = config.get(ctx).await?.diff_ids().get(*at)
                {
                    return Ok(claimed.clone());
                }
                let mut chunks = self.uncompressed_chunks(ctx, None).await?;
                let mut hasher = Algorithm::Sha256.hasher();
                while let Some(chunk) = chunks.next().await? {
                    hasher.update(&chunk);
                }
                Ok(hasher.finish())
            })
            .await
    }

    /// The layer's bytes as they are stored; verified against the descriptor by their end.
    pub fn open(&self, ctx: &Context) -> Task<Reader> {
        let layer = self.clone();
        self.0.home.spawn(ctx, |ctx| async move {
            let chunks = layer.chunks(&ctx).await?;
            Ok(Reader::new(layer.0.home.clone(), chunks))
        })
    }

    /// The layer's tar: decompressed, whatever the media type says, and verified.
    pub fn open_uncompressed(&self, ctx: &Context) -> Task<Reader> {
        let layer = self.clone();
        self.0.home.spawn(ctx, |ctx| async move {
            let expected = layer.0.diff_id.get().cloned();
            let chunks = layer.uncompressed_chunks(&ctx, expected.as_ref()).await?;
            Ok(Reader::new(layer.0.home.clone(), chunks))
        })
    }

    pub(crate) async fn chunks(&self, ctx: &Context) -> Result<Chunks> {
        let blob = &self.0.descriptor;
        let raw = self.0.source.open(ctx, blob, 0).await?;
        let place = self.0.home.place();
        Ok(verified(&place.engine, raw, &blob.digest, blob.size, &place.stats))
    }

    pub(crate) async fn uncompressed_chunks(&self, ctx: &Context, expected: Option<&Digest>) -> Result<Chunks> {
        let place = self.0.home.place();
        let chunks = self.chunks(ctx).await?;
        Ok(decompressed(&place.engine, chunks, expected, Limits::default(), &place.stats))
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({})", self.0.descriptor.digest)
    }
}
