//! A whole image or index from where it lies to where it is wanted: written once, for every medium that takes them.
//!
//! Blobs come before the manifest that names them, children before the index that names them, each of them once.

use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, NODES, too_deep};
use crate::oci::Descriptor;
use crate::source::Source;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::collections::HashSet;
use std::sync::Arc;

/// What takes whole images: a repository, a layout, an archive. What it has already, it does not ask for.
pub(crate) trait Target: Sync {
    /// Takes one blob: reads as much of `source` as it needs, and checks what it reads.
    fn blob<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        source: &'a Arc<dyn Source>,
    ) -> BoxFuture<'a, Result<()>>;
    /// Takes the manifest of a child, under its digest.
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Child) -> BoxFuture<'a, Result<()>>;
    /// How many blobs it takes at once.
    fn jobs(&self) -> usize;
    /// Whether it takes blobs that their makers don't want distributed, too.
    fn foreign_layers(&self) -> bool;
}

/// Everything below `value`; its own manifest is left to the caller, who knows the name.
pub(crate) async fn below(value: &Child, to: &dyn Target, ctx: &Context) -> Result<()> {
    match value {
        Child::Image(image) => blobs(image, to, ctx).await,
        Child::Index(index) => children(index, to, ctx, 0, &mut HashSet::new()).await,
    }
}

/// Every blob of an image, each once, many at a time.
pub(crate) async fn blobs(image: &Image, to: &dyn Target, ctx: &Context) -> Result<()> {
    let mut seen: HashSet<&Digest> = HashSet::new();
    let config = image.config_holder();
    let layers = image.layers().iter().filter(|l| {
        let known = l.descriptor().media_type.is_distributable() && l.descriptor().urls.is_empty();
        known || to.foreign_layers()
    });
    let all = layers.map(|l| (l.descriptor(), l.source())).chain([(config.descriptor(), config.source())]);
    let once: Vec<_> = all.filter(|(d, _)| seen.insert(&d.digest)).collect();
    ctx.expect_bytes(once.iter().map(|(d, _)| d.size).sum());
    let moves: Vec<_> = once.into_iter().map(|(descriptor, source)| to.blob(ctx, descriptor, source)).collect();
    futures_util::stream::iter(moves).buffer_unordered(to.jobs()).try_collect::<()>().await
}

fn children<'a>(
    index: &'a Index,
    to: &'a dyn Target,
    ctx: &'a Context,
    depth: usize,
    seen: &'a mut HashSet<Digest>,
) -> BoxFuture<'a, Result<()>> {
    async move {
        if depth >= DEPTH {
            return Err(too_deep());
        }
        for child in index.manifest().manifests() {
            if !seen.insert(child.digest.clone()) {
                continue;
            }
            if seen.len() > NODES {
                return Err(Error::new(Code::LimitExceeded, format!("more than {NODES} manifests below one index")));
            }
            if !(child.media_type.is_image() || child.media_type.is_index()) {
                let why = format!("an index that names a {}", child.media_type);
                return Err(Error::new(Code::Unsupported, why).subject(&child.digest));
            }
            let read = index.read(ctx, child).await?;
            match &read {
                Child::Image(image) => blobs(image, to, ctx).await?,
                Child::Index(nested) => children(nested, to, ctx, depth + 1, &mut *seen).await?,
            }
            to.manifest(ctx, &read).await?;
        }
        Ok(())
    }
    .boxed()
}
