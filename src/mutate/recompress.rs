//! The same layers, compressed in another way: what is in them stays, byte for byte, and is verified on the way.

use super::anew;
use crate::builder::family;
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::options::Options;
use crate::source::Home;
use crate::stream::{Blocks, Compression, CompressionOptions, sniff};
use crate::writer;

impl Image {
    /// This image with every layer compressed as the options say, or, where they don't, with plain layers as gzip. The diff ids, and with them the config,
    /// stay as they are, and are verified on the way. Layers that are compressed so already are kept, unless a level is
    /// asked for. Left alone are layers that their makers host themselves, and what is no layer. Media types follow the
    /// content; annotations that describe the compressed bytes (the tables of contents of eStargz and zstd:chunked)
    /// and other addresses go with those bytes.
    ///
    /// In a Docker image zstd layers get the OCI's media type, as Docker has none that others read.
    ///
    /// Errors: `InvalidArgument` for a level of nothing; `DigestMismatch`; those of reading and of the sink.
    /// Options: compression, sink, jobs (by default 1).
    pub fn recompress(&self, options: &Options, ctx: &Context) -> Task<Image> {
        let started =
            writer::begin_change("recompress", options).and_then(|(home, options)| match options.compression {
                Some(CompressionOptions { kind: None, level: Some(_) }) => Err(invalid("a level of what compression?")),
                _ => Ok((home, options)),
            });
        let (home, options) = match started {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        let image = self.clone();
        self.home().clone().spawn(ctx, |ctx| async move { recompress(&image, &home, &options, &ctx).await })
    }
}

async fn recompress(image: &Image, home: &Home, options: &Options, ctx: &Context) -> Result<Image> {
    let wanted = options.compression.unwrap_or_default();
    let family = family(image.manifest());
    let known = image.manifest().config().media_type.is_config();
    let remake = |layer: Layer| async move {
        if wanted.level.is_none() {
            let is = content(&layer, ctx).await?;
            let stays = wanted.kind.map_or(is != Compression::None, |kind| is == kind);
            if stays {
                return Ok(Err(is));
            }
        }
        // What the config claims is checked; without one, there is nothing to hold it against.
        let claimed = if known { Some(layer.find_diff_id(ctx).await?.clone()) } else { None };
        let open = || layer.uncompressed_chunks(ctx, claimed.as_ref());
        writer::layer_of(home, options, ctx, open).await.map_err(|e| e.or_subject(&layer.descriptor().digest)).map(Ok)
    };
    let made = anew::each(image.layers(), options.jobs, remake).await?;

    let mut edit = image.manifest().edit();
    let mut layers = image.layers().to_vec();
    for (i, layer) in layers.iter_mut().enumerate() {
        let old = layer.descriptor().clone();
        let Some(outcome) = made.get(&old.digest) else { continue };
        let new = match outcome {
            Ok(new) => {
                let entry = anew::entry(&old, new.descriptor(), family);
                *layer = new.clone();
                entry
            }
            // The content is right; its name may not be.
            Err(is) => anew::named(&old, *is, family),
        };
        if new != old
            && let Some(place) = edit.doc_mut().layers.as_mut().and_then(|all| all.get_mut(i))
        {
            *place = new;
        }
    }
    if !edit.is_changed() {
        return Ok(image.clone());
    }
    let manifest = edit.finish()?;
    Ok(image.renamed(manifest.descriptor(), manifest, &layers))
}

/// How a layer is compressed: its first bytes tell, not its media type.
pub(super) async fn content(layer: &Layer, ctx: &Context) -> Result<Compression> {
    let mut blocks = Blocks::new(layer.chunks(ctx).await?, layer.home().place().engine.shelf());
    Ok(sniff(&blocks.peek().await?))
}
