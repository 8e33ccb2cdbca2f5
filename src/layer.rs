//! A layer: complete, immutable, its bytes somewhere they can be read from.

use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::ConfigHolder;
use crate::oci::Descriptor;
use crate::reader::Reader;
use crate::source::{Home, Source};
use crate::stream::{Chunks, Limits, Toc, decompressed, verified, verified_from};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// One layer of an image. A clone is the same layer.
#[derive(Clone)]
pub struct Layer(Arc<Inner>);

struct Inner {
    descriptor: Descriptor,
    found_out: FoundOut,
    /// The image's config, and which of its diff ids is this layer's.
    claimed_by: Option<(Arc<ConfigHolder>, usize)>,
    source: Arc<dyn Source>,
    home: Home,
}

/// What is not in the descriptor, and remembered once it is known.
#[derive(Clone, Default)]
struct FoundOut {
    diff_id: OnceCell<Digest>,
    /// Bytes of the uncompressed tar.
    plain_size: OnceCell<u64>,
    /// The table of contents, or that there is none.
    toc: OnceCell<Option<Arc<Toc>>>,
}

impl Layer {
    /// A layer whose bytes were just written and hashed.
    pub(crate) fn written(descriptor: Descriptor, diff_id: Digest, source: Arc<dyn Source>, home: Home) -> Layer {
        let found_out = FoundOut { diff_id: OnceCell::new_with(Some(diff_id)), ..FoundOut::default() };
        Layer(Arc::new(Inner { descriptor, found_out, claimed_by: None, source, home }))
    }
    /// A layer that a manifest names.
    pub(crate) fn named(
        descriptor: Descriptor,
        claimed_by: Option<(Arc<ConfigHolder>, usize)>,
        source: Arc<dyn Source>,
        home: Home,
    ) -> Layer {
        Layer(Arc::new(Inner { descriptor, found_out: FoundOut::default(), claimed_by, source, home }))
    }
    /// The same bytes as they are named in another manifest.
    pub(crate) fn with_descriptor(
        &self,
        descriptor: Descriptor,
        claimed_by: Option<(Arc<ConfigHolder>, usize)>,
    ) -> Layer {
        // The annotations say whether there is a table of contents, and they are the descriptor's.
        let found_out = FoundOut { toc: OnceCell::new(), ..self.0.found_out.clone() };
        let (source, home) = (self.0.source.clone(), self.0.home.clone());
        Layer(Arc::new(Inner { descriptor, found_out, claimed_by, source, home }))
    }

    /// The same layer, read from elsewhere.
    pub(crate) fn with_source(&self, source: Arc<dyn Source>) -> Layer {
        let (descriptor, claimed_by) = (self.0.descriptor.clone(), self.0.claimed_by.clone());
        let (found_out, home) = (self.0.found_out.clone(), self.0.home.clone());
        Layer(Arc::new(Inner { descriptor, found_out, claimed_by, source, home }))
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
        &self.0.found_out.toc
    }

    /// The digest of the uncompressed tar: from the image's config, else by reading the layer once. Remembered.
    pub fn diff_id(&self, ctx: &Context) -> Task<Digest> {
        if let Some(known) = self.0.found_out.diff_id.get() {
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
            .found_out
            .diff_id
            .get_or_try_init(|| async {
                if let Some(claimed) = self.claimed_diff_id(ctx).await? {
                    return Ok(claimed);
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

    /// Bytes of the uncompressed tar: what the maker of the layer told, else by reading the layer once. Remembered.
    pub fn uncompressed_size(&self, ctx: &Context) -> Task<u64> {
        if let Some(known) = self.0.found_out.plain_size.get() {
            return Task::ready(Ok(*known));
        }
        let layer = self.clone();
        self.0.home.spawn(ctx, |ctx| async move { layer.count(&ctx).await })
    }

    /// The same, for those who only want it to be known afterwards.
    pub(crate) fn learn_uncompressed_size(&self, ctx: &Context) -> Task<()> {
        let layer = self.clone();
        self.0.home.spawn(ctx, |ctx| async move { layer.count(&ctx).await.map(drop) })
    }

    async fn count(&self, ctx: &Context) -> Result<u64> {
        let count = || async {
            let (mut chunks, mut total) = (self.plain_chunks(ctx).await?, 0u64);
            while let Some(chunk) = chunks.next().await? {
                total += chunk.len() as u64;
            }
            Ok(total)
        };
        self.0.found_out.plain_size.get_or_try_init(count).await.copied()
    }

    /// As it is told by whoever made it.
    pub(crate) fn with_uncompressed_size(self, size: u64) -> Layer {
        let _ = self.0.found_out.plain_size.set(size); // what is known already stays
        self
    }

    /// The same, where it is known.
    pub(crate) fn told_size(&self) -> Option<u64> {
        self.0.found_out.plain_size.get().copied()
    }

    /// The diff id, where it can be had without reading the layer.
    pub(crate) async fn known_diff_id(&self, ctx: &Context) -> Result<Option<Digest>> {
        match self.0.found_out.diff_id.get() {
            Some(known) => Ok(Some(known.clone())),
            None => self.claimed_diff_id(ctx).await,
        }
    }

    /// The diff id that the image's config has for this layer.
    async fn claimed_diff_id(&self, ctx: &Context) -> Result<Option<Digest>> {
        match &self.0.claimed_by {
            Some((config, at)) if config.descriptor().media_type.is_config() => {
                Ok(config.get(ctx).await?.diff_ids().get(*at).cloned())
            }
            _ => Ok(None),
        }
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
            let chunks = layer.plain_chunks(&ctx).await?;
            Ok(Reader::new(layer.0.home.clone(), chunks))
        })
    }

    pub(crate) async fn chunks(&self, ctx: &Context) -> Result<Chunks> {
        let blob = &self.0.descriptor;
        let raw = self.0.source.open(ctx, blob, 0).await.map_err(|e| e.or_subject(&blob.digest))?;
        let place = self.0.home.place();
        Ok(verified(&place.engine, raw, &blob.digest, blob.size, &place.stats).concerning(&blob.digest))
    }

    /// The layer's tar, from wherever it is had most cheaply: a source may keep it decompressed.
    pub(crate) async fn plain_chunks(&self, ctx: &Context) -> Result<Chunks> {
        let known = self.0.found_out.diff_id.get().cloned();
        let named = match &known {
            Some(known) => Some(known.clone()),
            // A config that can't be had stands in nobody's way who wants the layer.
            None if self.0.source.keeps_plain() => self.claimed_diff_id(ctx).await.unwrap_or_default(),
            None => None,
        };
        if let Some(diff_id) = &named
            && let Some(plain) = self.0.source.open_plain(ctx, &self.0.descriptor, diff_id).await?
        {
            let place = self.0.home.place();
            return Ok(verified_from(
                &place.engine,
                plain,
                diff_id,
                self.told_size(),
                diff_id.algorithm().hasher(),
                0,
                &place.stats,
            ));
        }
        let chunks = self.uncompressed_chunks(ctx, known.as_ref()).await?;
        Ok(match named {
            Some(diff_id) => self.0.source.keep_plain(chunks, &self.0.descriptor, &diff_id),
            None => chunks,
        })
    }

    pub(crate) async fn uncompressed_chunks(&self, ctx: &Context, expected: Option<&Digest>) -> Result<Chunks> {
        let place = self.0.home.place();
        let chunks = self.chunks(ctx).await?;
        let plain = decompressed(&place.engine, chunks, expected, Limits::default(), &place.stats);
        let plain = plain.concerning(&self.0.descriptor.digest);
        let Some(told) = self.told_size() else { return Ok(plain) };
        let check = Measured { plain, seen: 0, told, digest: self.0.descriptor.digest.clone() };
        Ok(Chunks::unfold(check, |mut check| async move { Ok(check.next().await?.map(|chunk| (chunk, check))) }))
    }
}

/// A layer's tar, which is to have the size that was told of it.
struct Measured {
    plain: Chunks,
    seen: u64,
    told: u64,
    digest: Digest,
}

impl Measured {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.plain.next().await?;
        self.seen += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.seen <= self.told && (chunk.is_some() || self.seen == self.told) {
            return Ok(chunk);
        }
        let is = if self.seen > self.told { "more" } else { "fewer" };
        let why = format!("the layer has {is} than the {} bytes uncompressed that it was given with", self.told);
        Err(Error::new(Code::DigestMismatch, why).subject(&self.digest))
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({})", self.0.descriptor.digest)
    }
}
