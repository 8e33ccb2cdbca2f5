//! Whether an image is what it says it is, and all there.

use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::layer::Layer;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

/// Every blob is read to its end: sizes and digests by the readers, diff ids here.
pub(crate) async fn image(image: &Image, jobs: usize, ctx: &Context) -> Result<()> {
    let config = image.config_holder().get(ctx).await?;
    let claimed = config.diff_ids();
    let distributable: Vec<&Layer> = image.layers().iter().collect();
    if claimed.len() != distributable.len() {
        let why = format!("the config names {} diff ids for {} layers", claimed.len(), distributable.len());
        return Err(Error::new(Code::Malformed, why).subject(image.digest()));
    }
    let history = config.history().iter().filter(|h| !h.empty_layer).count();
    if history != 0 && history != claimed.len() {
        let why = format!("the history tells of {history} layers, and there are {}", claimed.len());
        return Err(Error::new(Code::Malformed, why).subject(image.digest()));
    }
    let checks = distributable.into_iter().zip(claimed).map(|(layer, claimed)| check(layer, claimed, ctx).boxed());
    let checks: Vec<_> = checks.collect();
    futures_util::stream::iter(checks).buffer_unordered(jobs).try_collect::<()>().await
}

/// Every blob is read to its end once.
pub(crate) async fn fetch(image: &Image, jobs: usize, ctx: &Context) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    let layers = image.layers().iter().filter(|l| l.descriptor().media_type.is_distributable());
    let once: Vec<&Layer> = layers.filter(|l| seen.insert(&l.descriptor().digest)).collect();
    ctx.expect_bytes(once.iter().map(|l| l.descriptor().size).sum());
    let config = async { image.config_holder().raw(ctx).await.map(drop) }.boxed();
    let reads = once.into_iter().map(|layer| drain(layer, ctx).boxed());
    let reads: Vec<_> = std::iter::once(config).chain(reads).collect();
    futures_util::stream::iter(reads).buffer_unordered(jobs).try_collect::<()>().await
}

async fn drain(layer: &Layer, ctx: &Context) -> Result<()> {
    let mut chunks = layer.chunks(ctx).await?;
    while chunks.next().await?.is_some() {}
    Ok(())
}

async fn check(layer: &Layer, claimed: &Digest, ctx: &Context) -> Result<()> {
    if !layer.descriptor().media_type.is_distributable() {
        return Ok(()); // its bytes are nobody's to give
    }
    let mut chunks = layer.uncompressed_chunks(ctx, None).await?;
    let mut hasher = Algorithm::hasher(claimed.algorithm());
    while let Some(chunk) = chunks.next().await? {
        hasher.update(&chunk);
    }
    let found = hasher.finish();
    match found == *claimed {
        true => Ok(()),
        false => {
            let why = format!("the config names the diff id {claimed}, and the layer's is {found}");
            Err(Error::new(Code::DigestMismatch, why).subject(&layer.descriptor().digest))
        }
    }
}
