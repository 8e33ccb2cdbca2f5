//! Images, indexes and layers made of what the host has: documents as bytes, blobs as bytes, as layers, or as streams
//! that it opens when they are asked for. What comes out is verified like everything else.

use crate::builder::layer_entry;
use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::index::{Child, Children, DEPTH, Index, NODES, too_deep};
use crate::layer::Layer;
use crate::oci::{Config, DEFAULT_MAX_MANIFEST, Descriptor, IndexManifest, Manifest, MediaType};
use crate::options::{Format, Options};
use crate::source::{Home, Memory, Place, Source};
use crate::stream::{Chunks, Compression, sniff, verified};
use crate::writer::{HostStream, pump};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{OnceCell, oneshot};

/// Opens blobs of the host. Its methods run on threads of their own and may wait.
pub trait BlobProvider: Send + Sync {
    /// The blob's bytes from `offset` on. `NotFound` where there is no such blob.
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>>;
    /// Whether the blob is there; `None`: it has to be opened to find out.
    fn exists(&self, blob: &Descriptor) -> Result<Option<bool>> {
        let _ = blob;
        Ok(None)
    }
}

/// The blobs and manifests that images, indexes and layers are made of. A clone has the same ones.
#[derive(Clone, Default)]
pub struct Blobs {
    known: HashMap<Digest, Arc<dyn Source>>,
    layers: HashMap<Digest, Layer>,
    images: HashMap<Digest, Image>,
    indexes: HashMap<Digest, Index>,
    provider: Option<Arc<dyn BlobProvider>>,
}

impl Blobs {
    /// None.
    pub fn new() -> Blobs {
        Blobs::default()
    }
    /// A config, manifest, or other blob, under its digest.
    pub fn add_bytes(&mut self, bytes: Bytes) -> &mut Self {
        let source: Arc<dyn Source> = Arc::new(Memory(bytes.clone()));
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            self.known.insert(Digest::of(algorithm, &bytes), source.clone());
        }
        self
    }
    /// A layer, wherever its bytes lie.
    pub fn add_layer(&mut self, layer: &Layer) -> &mut Self {
        self.known.insert(layer.descriptor().digest.clone(), layer.source().clone());
        self.layers.insert(layer.descriptor().digest.clone(), layer.clone());
        self
    }
    /// An image, with its manifest and all of its blobs.
    pub fn add_image(&mut self, image: &Image) -> &mut Self {
        self.add_bytes(image.manifest().raw().clone());
        let config = image.config_holder();
        self.known.insert(config.descriptor().digest.clone(), config.source().clone());
        image.layers().iter().for_each(|layer| {
            self.add_layer(layer);
        });
        self.images.insert(image.digest().clone(), image.clone());
        self
    }
    /// An index, with all that is below it, for the indexes that are made of these parts. Indexes that are nested in
    /// it are read where one of those names what may be in them.
    pub fn add_index(&mut self, index: &Index) -> &mut Self {
        self.add_bytes(index.manifest().raw().clone());
        self.indexes.insert(index.digest().clone(), index.clone());
        self
    }
    /// Who is asked for everything else.
    pub fn provider(&mut self, provider: Arc<dyn BlobProvider>) -> &mut Self {
        self.provider = Some(provider);
        self
    }

    fn source(&self, place: &Place) -> Arc<dyn Source> {
        Arc::new(Gathered { blobs: self.clone(), place: place.clone() })
    }
    /// Where this blob comes from: of those that no part has, the ones that stand in their descriptors come from there.
    fn source_of(&self, blob: &Descriptor, all: &Arc<dyn Source>) -> Arc<dyn Source> {
        match inline(blob).filter(|_| !self.known.contains_key(&blob.digest)) {
            Some(data) => Arc::new(Memory(data)),
            None => all.clone(),
        }
    }
    fn can_have(&self, blob: &Descriptor) -> bool {
        self.provider.is_some() || self.known.contains_key(&blob.digest) || inline(blob).is_some()
    }
}

impl Image {
    /// An image from its manifest. Its config and layers are among `blobs`, or opened by their provider when they are
    /// asked for; non-distributable layers may be missing.
    ///
    /// Errors: `Malformed`, `Unsupported`: no image manifest; `NotFound` names a blob that is not among the parts.
    pub fn from_parts(manifest: Bytes, blobs: &Blobs) -> Result<Image> {
        let manifest = Manifest::from_bytes(manifest, None)?;
        let (place, descriptor) = (Place::here()?, manifest.descriptor());
        let needed = manifest.layers().iter().filter(|d| d.media_type.is_distributable());
        if let Some(missing) = needed.chain([manifest.config()]).find(|d| !blobs.can_have(d)) {
            return Err(nowhere(missing));
        }
        let (source, home) = (blobs.source(&place), Home::Local(place));
        Ok(image_of(blobs, descriptor, manifest, &source, home))
    }

    /// An image from its config and layers; the manifest is made for them. The config stays byte for byte.
    ///
    /// Errors: `Malformed`: no image config, or its diff ids are not those of the layers; those of reading a layer
    /// whose diff id is not known. Options: format.
    pub fn from_config(config: Bytes, layers: &[Layer], options: &Options, ctx: &Context) -> Task<Image> {
        let start = || {
            options.only("an image from its config", &["format"])?;
            Ok((Config::from_bytes(config)?, Home::Local(Place::here()?)))
        };
        let (config, home) = match start() {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        let (layers, format) = (layers.to_vec(), options.format.unwrap_or(Format::Oci));
        let docker = format == Format::Docker;
        home.clone().spawn(ctx, |ctx| async move {
            let claimed = config.diff_ids();
            if claimed.len() != layers.len() {
                let why = format!("the config names {} diff ids for {} layers", claimed.len(), layers.len());
                return Err(malformed(why));
            }
            for (layer, claimed) in layers.iter().zip(claimed) {
                let found = layer.find_diff_id(&ctx).await?;
                if found != claimed {
                    let why = format!("the config names the diff id {claimed}, and the layer's is {found}");
                    return Err(malformed(why).subject(&layer.descriptor().digest));
                }
            }
            let config_type = if docker { MediaType::DOCKER_CONFIG } else { MediaType::OCI_CONFIG };
            let entries = layers.iter().map(|l| layer_entry(l.descriptor(), format)).collect();
            let manifest = Manifest::of(!docker, Descriptor::of(config_type, config.raw()), entries);
            Ok(Image::made(manifest.descriptor(), manifest, config, &layers, home))
        })
    }

    /// An image of no layers: the reference's `empty.Image` in Docker's format.
    pub fn empty(format: Format) -> Result<Image> {
        let manifest = Manifest::empty(format == Format::Oci);
        Ok(Image::made(manifest.descriptor(), manifest, Config::empty(), &[], Home::Local(Place::here()?)))
    }
}

impl Index {
    /// An index from its document. What it names is among `blobs`, or opened by their provider when it is asked for.
    ///
    /// Errors: `Malformed`, `Unsupported`: no index.
    pub fn from_parts(index: Bytes, blobs: &Blobs) -> Result<Index> {
        let manifest = IndexManifest::from_bytes(index, None)?;
        let place = Place::here()?;
        let children = Parts {
            source: blobs.source(&place),
            blobs: blobs.clone(),
            home: Home::Local(place.clone()),
            deep: OnceCell::new(),
        };
        Ok(Index::new(manifest.descriptor(), manifest, Arc::new(children), Home::Local(place)))
    }

    /// An index of nothing: the reference's `empty.Index` in OCI's format.
    pub fn empty(format: Format) -> Result<Index> {
        Index::from_parts(IndexManifest::empty(format == Format::Oci).raw().clone(), &Blobs::new())
    }

    /// An index of these images, in their order.
    pub(crate) fn of_images(format: Format, images: &[Image]) -> Result<Index> {
        let (mut edit, mut blobs) = (IndexManifest::empty(format == Format::Oci).edit(), Blobs::new());
        for image in images {
            edit.append(image.descriptor().clone());
            blobs.add_image(image);
        }
        Index::from_parts(edit.finish()?.raw().clone(), &blobs)
    }
}

impl Layer {
    /// A layer of which the host knows media type, digest and size, and perhaps the diff id and the size of the
    /// uncompressed tar. Its bytes are among `blobs`, or opened by their provider.
    ///
    /// Errors: `NotFound`: no part has it.
    pub fn from_parts(
        descriptor: Descriptor,
        diff_id: Option<Digest>,
        uncompressed_size: Option<u64>,
        blobs: &Blobs,
    ) -> Result<Layer> {
        if !blobs.can_have(&descriptor) {
            return Err(nowhere(&descriptor));
        }
        let place = Place::here()?;
        let source = blobs.source_of(&descriptor, &blobs.source(&place));
        let layer = match diff_id {
            Some(diff_id) => Layer::written(descriptor, diff_id, source, Home::Local(place)),
            None => Layer::named(descriptor, None, source, Home::Local(place)),
        };
        Ok(match uncompressed_size {
            Some(size) => layer.with_uncompressed_size(size),
            None => layer,
        })
    }

    /// These very bytes as a layer, whatever they are.
    pub fn fixed(bytes: Bytes, media_type: MediaType) -> Result<Layer> {
        let descriptor = Descriptor::of(media_type, &bytes);
        let (home, plain) = (Home::Local(Place::here()?), sniff(&bytes) == Compression::None);
        let source: Arc<dyn Source> = Arc::new(Memory(bytes));
        Ok(match plain {
            true => Layer::written(descriptor.clone(), descriptor.digest, source, home),
            false => Layer::named(descriptor, None, source, home),
        })
    }
}

/// An image whose blobs come from these parts; layers that were given as such stay what they are.
fn image_of(blobs: &Blobs, descriptor: Descriptor, manifest: Manifest, source: &Arc<dyn Source>, home: Home) -> Image {
    let layer = |d: &Descriptor| match blobs.layers.get(&d.digest) {
        Some(layer) => layer.clone(),
        None => Layer::named(d.clone(), None, blobs.source_of(d, source), home.clone()),
    };
    let layers: Vec<Layer> = manifest.layers().iter().map(layer).collect();
    Image::gathered(descriptor, manifest, source.clone(), &layers, home)
}

/// All parts as one source.
struct Gathered {
    blobs: Blobs,
    place: Place,
}

impl Source for Gathered {
    fn open<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        async move {
            if let Some(known) = self.blobs.known.get(&blob.digest) {
                return known.open(ctx, blob, offset).await;
            }
            if let Some(data) = inline(blob) {
                return Memory(data).open(ctx, blob, offset).await;
            }
            let Some(provider) = self.blobs.provider.clone() else { return Err(nowhere(blob)) };
            let stream = Opening { provider, blob: blob.clone(), offset, stream: None };
            let (chunks, _) = pump(&self.place, Box::new(stream))?;
            Ok(chunks)
        }
        .boxed()
    }
    fn open_range<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks>> {
        async move {
            match self.blobs.known.get(&blob.digest) {
                Some(known) => known.open_range(ctx, blob, range).await,
                None => Ok(self.open(ctx, blob, range.start).await?.take(range.end - range.start)),
            }
        }
        .boxed()
    }
    fn has<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool>> {
        async move {
            if let Some(known) = self.blobs.known.get(&blob.digest) {
                return known.has(ctx, blob).await;
            }
            if inline(blob).is_some() {
                return Ok(true);
            }
            let Some(provider) = self.blobs.provider.clone() else { return Ok(false) };
            let (tx, rx) = oneshot::channel();
            let blob = blob.clone();
            self.place.engine.callback(move || {
                let answer = match provider.exists(&blob) {
                    Ok(Some(known)) => Ok(known),
                    Ok(None) => match provider.open(&blob, 0) {
                        Ok(_) => Ok(true),
                        Err(e) if e.code() == Code::NotFound => Ok(false),
                        Err(e) => Err(e),
                    },
                    Err(e) => Err(e),
                };
                let _ = tx.send(answer);
            })?;
            rx.await.map_err(|_| Error::new(Code::Callback, "the exists callback did not come back"))?
        }
        .boxed()
    }
}

/// The content that stands in the descriptor itself, where it is the one that is meant.
fn inline(blob: &Descriptor) -> Option<Bytes> {
    let fits = |data: &&Bytes| data.len() as u64 == blob.size;
    let data = blob.data.as_ref().filter(fits)?;
    (Digest::of(blob.digest.algorithm(), data) == blob.digest).then(|| data.clone())
}

fn nowhere(blob: &Descriptor) -> Error {
    let why = match blob.data {
        Some(_) => "no part has this blob, and what its descriptor holds is another",
        None => "no part has this blob",
    };
    Error::new(Code::NotFound, why).subject(&blob.digest)
}

/// A stream of the host that is opened on the thread that reads it.
struct Opening {
    provider: Arc<dyn BlobProvider>,
    blob: Descriptor,
    offset: u64,
    stream: Option<Box<dyn HostStream>>,
}

impl HostStream for Opening {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(self.provider.open(&self.blob, self.offset)?),
        };
        stream.read(buf)
    }
}

/// What an index of parts names.
struct Parts {
    blobs: Blobs,
    source: Arc<dyn Source>,
    home: Home,
    /// Who gives what is below the indexes, nested ones too, once that was looked through.
    deep: OnceCell<HashMap<Digest, Arc<dyn Children>>>,
}

impl Parts {
    /// Who has this child below one of the indexes among the parts, as far as they were read.
    fn holder(&self, child: &Descriptor) -> Option<Arc<dyn Children>> {
        let names = |index: &&Index| index.manifest().manifests().iter().any(|d| d.digest == child.digest);
        let direct = self.blobs.indexes.values().find(names).map(|index| index.children().clone());
        direct.or_else(|| self.deep.get()?.get(&child.digest).cloned())
    }

    /// The same, for which the indexes are read now.
    async fn find_holder(&self, ctx: &Context, child: &Descriptor) -> Result<Option<Arc<dyn Children>>> {
        let Blobs { images, indexes, .. } = &self.blobs;
        let itself = images.contains_key(&child.digest) || indexes.contains_key(&child.digest);
        if !itself && self.holder(child).is_none() && !indexes.is_empty() {
            self.deep.get_or_try_init(|| below(indexes.values(), ctx)).await?;
        }
        Ok(self.holder(child))
    }
}

/// Everything below these indexes, with who gives it. A nested one that is missing has nothing.
async fn below<'a>(
    indexes: impl Iterator<Item = &'a Index>,
    ctx: &Context,
) -> Result<HashMap<Digest, Arc<dyn Children>>> {
    let mut holders: HashMap<Digest, Arc<dyn Children>> = HashMap::new();
    let mut next: Vec<(Index, usize)> = indexes.map(|index| (index.clone(), 1)).collect();
    while let Some((index, depth)) = next.pop() {
        if depth > DEPTH {
            return Err(too_deep());
        }
        for entry in index.manifest().manifests() {
            if holders.contains_key(&entry.digest) {
                continue;
            }
            if holders.len() >= NODES {
                return Err(Error::new(Code::LimitExceeded, format!("more than {NODES} manifests below the indexes")));
            }
            holders.insert(entry.digest.clone(), index.children().clone());
            if !entry.media_type.is_index() {
                continue;
            }
            match index.read(ctx, entry).await {
                Ok(Child::Index(nested)) => next.push((nested, depth + 1)),
                Ok(Child::Image(_)) => {}
                Err(e) if e.code() == Code::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(holders)
}

impl Children for Parts {
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
        async move {
            if child.size > DEFAULT_MAX_MANIFEST {
                let why = format!("the manifest is larger than {DEFAULT_MAX_MANIFEST} bytes");
                return Err(Error::new(Code::LimitExceeded, why).subject(&child.digest));
            }
            if !self.blobs.known.contains_key(&child.digest)
                && let Some(holder) = self.find_holder(ctx, child).await?
            {
                return holder.manifest(ctx, child).await;
            }
            let raw = self.source.open(ctx, child, 0).await?;
            let place = self.home.place();
            let checked = verified(&place.engine, raw, &child.digest, child.size, &place.stats);
            checked.collect(child.size as usize).await.map_err(|e| e.or_subject(&child.digest))
        }
        .boxed()
    }
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image {
        if let Some(image) = self.blobs.images.get(&descriptor.digest) {
            return image.renamed(descriptor, manifest, image.layers());
        }
        match self.holder(&descriptor) {
            Some(holder) => holder.image(descriptor, manifest),
            None => image_of(&self.blobs, descriptor, manifest, &self.source, self.home.clone()),
        }
    }
    fn ready<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Option<Child>>> {
        async move {
            match self.find_holder(ctx, child).await? {
                Some(holder) if !self.blobs.known.contains_key(&child.digest) => holder.ready(ctx, child).await,
                _ => Ok(None),
            }
        }
        .boxed()
    }
    fn nested(&self, child: &Descriptor) -> Option<Arc<dyn Children>> {
        match self.blobs.indexes.get(&child.digest) {
            Some(index) => Some(index.children().clone()),
            None => self.holder(child).map(|holder| holder.nested(child).unwrap_or(holder)),
        }
    }
}
