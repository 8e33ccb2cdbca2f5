//! The same layers, compressed in another way: what is in them is verified on the way, and stays byte for byte. Only
//! eStargz puts entries of its own into the tars, so that the config gets other diff ids.

use super::anew;
use crate::builder::family;
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::options::Options;
use crate::source::Home;
use crate::stream::{Blocks, Compression, CompressionOptions, ESTARGZ_DIGEST, sniff};
use crate::writer;

impl Image {
    /// This image with every layer compressed as the options say, or, where they don't, with plain layers as gzip. The
    /// diff ids, and with them the config, stay as they are, but for eStargz: its landmark and its table are entries of
    /// the tar, and the config gets the new diff ids. What is in the layers is verified against the old ones on the way.
    /// Layers that are compressed so already are kept, unless a level is asked for; of eStargz, those whose descriptors
    /// name their tables. Left alone are layers that their makers host themselves, and what is no layer. Media types
    /// follow the content; annotations that describe the compressed bytes (the tables of contents of eStargz and
    /// zstd:chunked) and other addresses go with those bytes.
    ///
    /// In a Docker image zstd layers get the OCI's media type, as Docker has none that others read.
    ///
    /// Errors: `InvalidArgument` for a level of nothing; `DigestMismatch`; for eStargz, `Malformed` where config and
    /// layers are not in step; those of reading and of the sink. Options: compression, sink, jobs (by default 1).
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
    // What the config will say, where that may change.
    let mut said = match wanted.kind {
        Some(Compression::Estargz) if known => {
            let config = image.config_holder().get(ctx).await?;
            Some((config, anew::diff_ids(image, config)?))
        }
        _ => None,
    };
    let remake = |layer: Layer| async move {
        if wanted.level.is_none() {
            let is = content(&layer, ctx).await?;
            let stays = match wanted.kind {
                None => is != Compression::None,
                Some(Compression::Estargz) => is == Compression::Gzip && has_table(&layer, ctx).await?,
                Some(kind) => is == kind,
            };
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
                let mut entry = anew::entry(&old, new.descriptor(), family);
                if let Some(diff_id) = said.as_mut().and_then(|(_, diff_ids)| diff_ids.get_mut(i)) {
                    *diff_id = new.find_diff_id(ctx).await?.clone();
                    entry = anew::with_diff_id(entry, diff_id);
                }
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
    if let Some((config, diff_ids)) = said
        && config.diff_ids() != diff_ids
    {
        let mut doc = config.edit();
        doc.doc_mut().rootfs.diff_ids = Some(diff_ids);
        let config = doc.finish()?;
        edit.set_config(config.raw());
        let manifest = edit.finish()?;
        return Ok(Image::made(manifest.descriptor(), manifest, config, &layers, image.home().clone()));
    }
    if !edit.is_changed() {
        return Ok(image.clone());
    }
    let manifest = edit.finish()?;
    Ok(image.renamed(manifest.descriptor(), manifest, &layers))
}

/// Whether a gzip layer is the eStargz that its descriptor tells of.
async fn has_table(layer: &Layer, ctx: &Context) -> Result<bool> {
    if !layer.descriptor().annotations.contains_key(ESTARGZ_DIGEST) {
        return Ok(false);
    }
    match layer.find_toc(ctx).await {
        Ok(toc) => Ok(toc.is_some()),
        Err(e) if matches!(e.code(), Code::Malformed | Code::DigestMismatch | Code::Unsupported) => Ok(false),
        Err(e) => Err(e),
    }
}

/// How a layer is compressed: its first bytes tell, not its media type.
pub(super) async fn content(layer: &Layer, ctx: &Context) -> Result<Compression> {
    let mut blocks = Blocks::new(layer.chunks(ctx).await?, layer.home().place().engine.shelf());
    Ok(sniff(&blocks.peek().await?))
}
