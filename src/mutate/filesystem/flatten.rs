//! Images of one layer, with what several layers made.

use super::{layers_of, merged};
use crate::builder::{family, layer_entry};
use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::index::{Child, Children, DEPTH, Index, too_deep};
use crate::mutate::rebase::is_attestation;
use crate::oci::{Descriptor, History, Manifest};
use crate::options::Options;
use crate::source::{Home, Memory, Source};
use crate::writer::{home_of_sink, layer_of};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;

impl Image {
    /// The image with one layer in place of all: the tar of [`Image::filesystem`], compressed straight into the sink.
    /// The history becomes one entry, whose comment has the old one as JSON. The layer's media type follows the
    /// image's; all else in config and manifest stays as it is.
    ///
    /// Errors: as for [`Image::filesystem`]; `Unsupported` where there is no image config; those of the sink. Options:
    /// sink, compression.
    pub fn flatten(&self, options: &Options, ctx: &Context) -> Task<Image> {
        if let Err(e) = options.only("flatten", &["sink", "compression"]) {
            return Task::ready(Err(e));
        }
        let (image, options) = (self.clone(), options.clone());
        self.home().spawn(ctx, |ctx| async move { flat(&image, &options, &ctx).await })
    }
}

impl Index {
    /// The index with each image flattened ([`Image::flatten`]). Attestations are left out, as they are about images
    /// that are no longer there; what has no image config stays as it is.
    ///
    /// Errors: as for [`Image::flatten`]. Options: sink, compression.
    pub fn flatten(&self, options: &Options, ctx: &Context) -> Task<Index> {
        if let Err(e) = options.only("index flatten", &["sink", "compression"]) {
            return Task::ready(Err(e));
        }
        let (index, options) = (self.clone(), options.clone());
        let home = Child::Index(self.clone()).home().clone();
        home.clone().spawn(ctx, |ctx| async move {
            let mut held = HashMap::new();
            let manifest = children(&index, &options, &ctx, &mut held, 0).await?;
            let held = Arc::new(Held(held, home.clone()));
            Ok(Index::new(manifest.descriptor(), manifest, held, home))
        })
    }
}

async fn flat(image: &Image, options: &Options, ctx: &Context) -> Result<Image> {
    let kind = &image.manifest().config().media_type;
    if !kind.is_config() {
        let why = format!("an image is flattened, and this has no image config but a {kind}");
        return Err(Error::new(Code::Unsupported, why).subject(image.digest()));
    }
    layers_of(image, ctx).await?;
    let home = home_of_sink(options).unwrap_or_else(|| image.home().clone());
    let layer = layer_of(&home, options, ctx, || merged(image, None, ctx).boxed()).await?;
    let config = image.config_holder().get(ctx).await?;
    let mut edit = config.edit();
    let comment = config.history_json();
    let doc = edit.doc_mut();
    doc.rootfs.diff_ids = Some(vec![layer.find_diff_id(ctx).await?.clone()]);
    let created_by = format!("parb flatten {}", image.digest());
    doc.history = vec![History { created_by, comment, ..History::default() }];
    let config = edit.finish()?;

    let mut edit = image.manifest().edit();
    edit.doc_mut().layers = Some(vec![layer_entry(layer.descriptor(), family(image.manifest()))]);
    edit.set_config(config.raw());
    let manifest = edit.finish()?;
    Ok(Image::made(manifest.descriptor(), manifest, config, &[layer], image.home().clone()))
}

/// The index's document with its children flattened, which `held` gets.
fn children<'a>(
    index: &'a Index,
    options: &'a Options,
    ctx: &'a Context,
    held: &'a mut HashMap<Digest, Child>,
    depth: usize,
) -> BoxFuture<'a, Result<crate::oci::IndexManifest>> {
    async move {
        if depth >= DEPTH {
            return Err(too_deep());
        }
        let mut entries = Vec::new();
        let mut done: HashMap<&Digest, Descriptor> = HashMap::new();
        for entry in index.manifest().manifests() {
            if is_attestation(entry) {
                continue;
            }
            let made = match done.get(&entry.digest) {
                Some(made) => made.clone(),
                None => {
                    let child = match index.read(ctx, entry).await? {
                        Child::Image(image) if image.manifest().config().media_type.is_config() => {
                            Child::Image(flat(&image, options, ctx).await?)
                        }
                        Child::Image(other) => Child::Image(other),
                        Child::Index(nested) => {
                            let manifest = children(&nested, options, ctx, &mut *held, depth + 1).await?;
                            let home = Child::Index(nested).home().clone();
                            let nobody = Arc::new(Held(HashMap::new(), home.clone())); // read from the outermost index only
                            Child::Index(Index::new(manifest.descriptor(), manifest, nobody, home))
                        }
                    };
                    let made = child.descriptor().clone();
                    held.insert(made.digest.clone(), child);
                    done.insert(&entry.digest, made.clone());
                    made
                }
            };
            let urls = if made.digest == entry.digest { entry.urls.clone() } else { Vec::new() }; // of the old manifest
            let data = entry.data.as_ref().and_then(|_| held.get(&made.digest)).map(|child| child.raw().clone());
            entries.push(Descriptor { digest: made.digest, size: made.size, data, urls, ..entry.clone() });
        }
        let mut edit = index.manifest().edit();
        edit.doc_mut().manifests = Some(entries);
        edit.finish()
    }
    .boxed()
}

/// Children that were made here.
struct Held(HashMap<Digest, Child>, Home);

impl Children for Held {
    fn manifest<'a>(&'a self, _: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
        let found = self.0.get(&child.digest).map(|held| held.raw().clone());
        let gone = || Error::new(Code::NotFound, "the index has no such child").subject(&child.digest);
        std::future::ready(found.ok_or_else(gone)).boxed()
    }
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image {
        match self.0.get(&descriptor.digest) {
            Some(Child::Image(image)) => image.renamed(descriptor, manifest, image.layers()),
            // Only what `manifest` gave is asked for.
            _ => {
                let nothing: Arc<dyn Source> = Arc::new(Memory(Bytes::new()));
                Image::new(descriptor, manifest, &nothing, self.1.clone())
            }
        }
    }
}
