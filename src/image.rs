//! An image: its manifest is always here, its config and layers are read when asked for.

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::layer::Layer;
use crate::oci::{Config, Descriptor, MAX_CONFIG, Manifest};
use crate::source::{Home, Source};
use crate::stream::verified;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// An image. A clone is the same image.
#[derive(Clone)]
pub struct Image(Arc<Inner>);

struct Inner {
    descriptor: Descriptor,
    manifest: Manifest,
    config: Arc<ConfigHolder>,
    layers: Vec<Layer>,
    home: Home,
}

/// An image's config, fetched once by whoever needs it first; its layers share it.
pub(crate) struct ConfigHolder {
    descriptor: Descriptor,
    cell: OnceCell<Config>,
    source: Arc<dyn Source>,
    home: Home,
}

impl ConfigHolder {
    pub(crate) async fn get(&self, ctx: &Context) -> Result<&Config> {
        self.cell
            .get_or_try_init(|| async {
                // Other bytes than promised once may be a bad moment of a proxy; twice is an answer.
                let bytes = match self.fetch(ctx).await {
                    Err(e) if e.code() == Code::DigestMismatch => self.fetch(ctx).await?,
                    other => other?,
                };
                Config::from_bytes(bytes).map_err(|e| e.or_subject(&self.descriptor.digest))
            })
            .await
    }

    /// The config's bytes, whatever they say: an artifact's may be no image config.
    pub(crate) async fn raw(&self, ctx: &Context) -> Result<Bytes> {
        match self.cell.get() {
            Some(config) => Ok(config.raw().clone()),
            None => self.fetch(ctx).await,
        }
    }

    async fn fetch(&self, ctx: &Context) -> Result<Bytes> {
        let blob = &self.descriptor;
        if blob.size > MAX_CONFIG {
            let why = format!("the config is larger than {MAX_CONFIG} bytes");
            return Err(Error::new(Code::LimitExceeded, why).subject(&blob.digest));
        }
        if let Some(data) = &blob.data
            && data.len() as u64 == blob.size
            && Digest::of(blob.digest.algorithm(), data) == blob.digest
        {
            return Ok(data.clone());
        }
        let raw = self.source.open(ctx, blob, 0).await?;
        let place = self.home.place();
        verified(&place.engine, raw, &blob.digest, blob.size, &place.stats).collect(MAX_CONFIG as usize).await
    }
}

impl Image {
    /// An image whose blobs all come from one source.
    pub(crate) fn new(descriptor: Descriptor, manifest: Manifest, source: &Arc<dyn Source>, home: Home) -> Image {
        let config = ConfigHolder {
            descriptor: manifest.config().clone(),
            cell: OnceCell::new(),
            source: source.clone(),
            home: home.clone(),
        };
        let config = Arc::new(config);
        let layer = |(i, d): (usize, &Descriptor)| {
            Layer::named(d.clone(), Some((config.clone(), i)), source.clone(), home.clone())
        };
        let layers = manifest.layers().iter().enumerate().map(layer).collect();
        Image(Arc::new(Inner { descriptor, manifest, config, layers, home }))
    }

    /// An image made here: its config is at hand, its layers lie where they lie.
    pub(crate) fn made(
        descriptor: Descriptor,
        manifest: Manifest,
        config: Config,
        layers: &[Layer],
        home: Home,
    ) -> Image {
        let raw = config.raw().clone();
        Image::with_config(descriptor, manifest, (raw, Some(config)), layers, home)
    }

    /// As [`Image::made`], with a config of any kind.
    pub(crate) fn made_of(
        descriptor: Descriptor,
        manifest: Manifest,
        config: Bytes,
        layers: &[Layer],
        home: Home,
    ) -> Image {
        Image::with_config(descriptor, manifest, (config, None), layers, home)
    }

    fn with_config(
        descriptor: Descriptor,
        manifest: Manifest,
        (raw, config): (Bytes, Option<Config>),
        layers: &[Layer],
        home: Home,
    ) -> Image {
        let source: Arc<dyn Source> = Arc::new(crate::source::Memory(raw));
        let holder = ConfigHolder {
            descriptor: manifest.config().clone(),
            cell: OnceCell::new_with(config),
            source,
            home: home.clone(),
        };
        Image::assembled(descriptor, manifest, Arc::new(holder), layers, home)
    }

    /// The same blobs under another manifest.
    pub(crate) fn renamed(&self, descriptor: Descriptor, manifest: Manifest, layers: &[Layer]) -> Image {
        Image::assembled(descriptor, manifest, self.0.config.clone(), layers, self.0.home.clone())
    }

    /// An image put together from parts that lie in different places.
    pub(crate) fn gathered(
        descriptor: Descriptor,
        manifest: Manifest,
        config: Arc<dyn Source>,
        layers: &[Layer],
        home: Home,
    ) -> Image {
        let descriptor_of_config = manifest.config().clone();
        let cell = OnceCell::new();
        let config = ConfigHolder { descriptor: descriptor_of_config, cell, source: config, home: home.clone() };
        Image::assembled(descriptor, manifest, Arc::new(config), layers, home)
    }

    /// The same image, each of its blobs read through what `wrap` makes of its source.
    pub(crate) fn through(&self, wrap: impl Fn(&Arc<dyn Source>) -> Arc<dyn Source>) -> Image {
        let old = &self.0.config;
        let config = ConfigHolder {
            descriptor: old.descriptor.clone(),
            cell: OnceCell::new_with(old.cell.get().cloned()),
            source: wrap(&old.source),
            home: old.home.clone(),
        };
        let layers: Vec<Layer> = self.0.layers.iter().map(|l| l.with_source(wrap(l.source()))).collect();
        let (descriptor, manifest) = (self.0.descriptor.clone(), self.0.manifest.clone());
        Image::assembled(descriptor, manifest, Arc::new(config), &layers, self.0.home.clone())
    }

    fn assembled(
        descriptor: Descriptor,
        manifest: Manifest,
        config: Arc<ConfigHolder>,
        layers: &[Layer],
        home: Home,
    ) -> Image {
        let named = manifest.layers().iter().zip(layers).enumerate();
        let layers = named.map(|(i, (d, l))| l.with_descriptor(d.clone(), Some((config.clone(), i)))).collect();
        Image(Arc::new(Inner { descriptor, manifest, config, layers, home }))
    }

    /// Media type, digest and size of the manifest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }
    /// The digest of the manifest.
    pub fn digest(&self) -> &Digest {
        &self.0.descriptor.digest
    }
    /// The manifest: its exact bytes and what they say.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }
    /// What kind of artifact it is: what the manifest says, else the media type of its config.
    pub fn artifact_type(&self) -> &str {
        self.0.manifest.artifact_type().unwrap_or(self.0.manifest.config().media_type.as_str())
    }
    /// Bytes of manifest, config and layers together, each counted as often as the manifest names it.
    pub fn size(&self) -> u64 {
        let blobs = self.0.manifest.layers().iter().chain([self.0.manifest.config()]);
        blobs.map(|d| d.size).fold(self.0.descriptor.size, u64::saturating_add)
    }
    /// The layers, base first.
    pub fn layers(&self) -> &[Layer] {
        &self.0.layers
    }
    /// One layer; `InvalidArgument` where there is none.
    pub fn layer(&self, i: usize) -> Result<&Layer> {
        let count = self.0.layers.len();
        self.0
            .layers
            .get(i)
            .ok_or_else(|| invalid(format!("layer {i} of an image with {count}")).subject(self.digest()))
    }
    /// The config, fetched once and verified.
    ///
    /// Errors: those of the network; `DigestMismatch`; `Malformed` where it is no image config; `LimitExceeded`.
    pub fn config(&self, ctx: &Context) -> Task<Config> {
        if let Some(known) = self.0.config.cell.get() {
            return Task::ready(Ok(known.clone()));
        }
        let image = self.clone();
        self.0.home.spawn(ctx, |ctx| async move { image.0.config.get(&ctx).await.cloned() })
    }

    /// Reads every blob to its end, verified against its descriptor, and keeps none: at most `jobs` at once.
    pub fn fetch(&self, options: &crate::Options, ctx: &Context) -> Task<()> {
        if let Err(e) = options.only("fetch", &["jobs"]) {
            return Task::ready(Err(e));
        }
        let (image, jobs) = (self.clone(), options.jobs.unwrap_or(4).max(1) as usize);
        self.0.home.spawn(ctx, |ctx| async move { crate::validate::fetch(&image, jobs, &ctx).await })
    }

    pub(crate) fn config_holder(&self) -> &Arc<ConfigHolder> {
        &self.0.config
    }
    pub(crate) fn home(&self) -> &Home {
        &self.0.home
    }
}

impl ConfigHolder {
    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    pub(crate) fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({})", self.digest())
    }
}
