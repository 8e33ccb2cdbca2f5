//! Archives of `docker save` as they are since 1.10: manifest.json names configs and layers.

use super::oci::Layout;
use super::{Archive, Entries, Found, MAX_DOCUMENT, Wanted, which_one};
use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::layer::Layer;
use crate::oci::{Config, Descriptor, MAX_CONFIG, Manifest, SavedImage};
use crate::options::{Format, Options};
use crate::pick::no_image_for;
use crate::source::Source;
use crate::stream::{
    BlobOut, Chunks, Compression, CompressionOptions, Encoded, Hashing, Input, Limits, decompressed, encode, sniff,
};
use crate::writer::{Reopen, make};
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::sync::Arc;

/// Layers that are compressed at the same time: each has blocks under way on every core.
const AT_ONCE: usize = 2;
/// Layers that are hashed at the same time: each keeps one core busy.
const HASHED_AT_ONCE: usize = 4;

/// manifest.json, and the layout beside it since Docker 25.
pub(super) struct Saved {
    images: Vec<SavedImage>,
    layout: Option<Layout>,
}

/// That what the options ask for leaves the tars of the layers as they are. The config of what docker saved is given,
/// byte for byte, and names their diff ids.
pub(crate) fn check_tars_stay(options: &Options) -> Result<()> {
    match options.compression.and_then(|c| c.kind) {
        Some(Compression::Estargz) => {
            let why = "eStargz changes the layers' diff ids, and the config stays as it was saved; use recompress";
            Err(Error::new(Code::Unsupported, why))
        }
        _ => Ok(()),
    }
}

impl Saved {
    pub(super) async fn read(entries: &Entries, found: &Found) -> Result<Saved> {
        let raw = entries.small(found, MAX_DOCUMENT).await?;
        let images = SavedImage::list(&raw).map_err(|e| e.or_subject(entries.called("manifest.json")))?;
        if images.iter().any(|image| image.config.is_empty()) {
            let why = "manifest.json names no config for an image";
            return Err(malformed(why).subject(entries.called("manifest.json")));
        }
        let layout = match entries.find("index.json")? {
            Some(index) => Some(Layout::read(entries, &index).await?),
            None => None,
        };
        Ok(Saved { images, layout })
    }

    pub(super) fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.images.iter().flat_map(|i| i.repo_tags.iter().flatten()).cloned().collect()
    }

    pub(super) async fn image(
        &self,
        archive: &Archive,
        wanted: Option<&Wanted>,
        options: &Options,
        ctx: &Context,
    ) -> Result<Image> {
        check_tars_stay(options)?;
        let work = Work { archive, options, ctx };
        let mut meant: Vec<&SavedImage> = Vec::new();
        for image in &self.images {
            let named = |w: &Wanted| image.repo_tags.iter().flatten().any(|tag| w.is(tag));
            let by_config = match wanted.and_then(|w| w.digest.as_ref()) {
                Some(digest) => work.config(&image.config).await?.1 == *digest,
                None => false,
            };
            if wanted.is_none_or(named) || by_config {
                meant.push(image);
            }
        }
        if let (Some(platform), true) = (&options.platform, meant.len() > 1 || wanted.is_none()) {
            let (mut fit, mut there) = (Vec::new(), Vec::new());
            for image in meant {
                let said = work.config(&image.config).await?.0.platform();
                fit.extend(said.as_ref().and_then(|p| p.rank(platform)).map(|rank| (rank, image)));
                there.extend(said);
            }
            let Some(best) = fit.iter().map(|(rank, _)| *rank).min() else {
                return Err(no_image_for(platform, "the archive", &there));
            };
            meant = fit.into_iter().filter(|(rank, _)| *rank == best).map(|(_, image)| image).collect();
        }
        if let ([], Some(digest)) = (&meant[..], wanted.and_then(|w| w.digest.as_ref())) {
            for image in &self.images {
                let made = self.one(&work, image).await?;
                if made.digest() == digest {
                    return Ok(made);
                }
            }
        }
        match (&meant[..], wanted) {
            ([one], _) => self.one(&work, one).await,
            ([], Some(wanted)) => Err(wanted.not_found(&self.names())),
            (several, _) => Err(which_one(several.len(), &self.names())),
        }
    }

    async fn one(&self, work: &Work<'_>, image: &SavedImage) -> Result<Image> {
        let (config, digest) = work.config(&image.config).await?;
        let Options { format, sink, compression, .. } = work.options;
        let mut format = *format;
        if let Some(layout) = &self.layout
            && let Some(exact) = layout.image_of_config(work.archive, &digest, work.ctx).await?
        {
            let docker = exact.manifest().media_type().is_docker();
            let kept = format.is_none_or(|f| (f == Format::Docker) == docker);
            if kept && sink.is_none() && compression.is_none() {
                return Ok(exact);
            }
            format = format.or(Some(if docker { Format::Docker } else { Format::Oci }));
        }
        let layers = image.layers.clone().unwrap_or_default();
        if layers.len() != config.diff_ids().len() {
            let why = format!(
                "manifest.json names {} layers, and the config {} has {} diff ids",
                layers.len(),
                crate::digest::shown(&image.config),
                config.diff_ids().len()
            );
            return Err(malformed(why).subject(work.archive.0.entries.called("manifest.json")));
        }
        let mut parts = Vec::new();
        for (name, diff_id) in layers.iter().zip(config.diff_ids()) {
            let foreign = image.layer_sources.get(diff_id.as_str()).filter(|d| is_foreign(d));
            parts.push(Part { name: name.clone(), diff_id: Some(diff_id.clone()), foreign: foreign.cloned() });
        }
        let layers = work.layers(parts).await?;
        work.image((config, digest), &layers, format)
    }
}

fn is_foreign(layer: &Descriptor) -> bool {
    !layer.media_type.is_distributable() || !layer.urls.is_empty()
}

/// A layer as an archive names it.
pub(super) struct Part {
    pub(super) name: String,
    /// What the config says it is.
    pub(super) diff_id: Option<Digest>,
    /// What manifest.json says it is, where that counts.
    pub(super) foreign: Option<Descriptor>,
}

/// One image on its way out of an archive.
pub(super) struct Work<'a> {
    pub(super) archive: &'a Archive,
    pub(super) options: &'a Options,
    pub(super) ctx: &'a Context,
}

impl Work<'_> {
    fn entries(&self) -> &Entries {
        &self.archive.0.entries
    }

    /// A config and its digest, checked against its name where that has one.
    async fn config(&self, name: &str) -> Result<(Config, Digest)> {
        let entries = self.entries();
        let raw = entries.small(&entries.need(name)?, MAX_CONFIG).await?;
        let said = digest_in(name);
        let digest = Digest::of(said.as_ref().map_or(Algorithm::Sha256, Digest::algorithm), &raw);
        if said.is_some_and(|said| said != digest) {
            let why = format!("the config has digest {digest}, and is not what its name says");
            return Err(Error::new(Code::DigestMismatch, why).subject(entries.called(name)));
        }
        let config = Config::from_bytes(raw).map_err(|e| e.or_subject(entries.called(name)))?;
        Ok((config, digest))
    }

    /// The layers of an image, in their order; a layer that is there twice is looked at once.
    pub(super) async fn layers(&self, parts: Vec<Part>) -> Result<Vec<Layer>> {
        let entries = self.entries();
        let mut found = Vec::new();
        for part in &parts {
            found.push(match (entries.find(&part.name)?, &part.foreign) {
                (None, None) => Some(entries.need(&part.name)?), // says what is missing
                (found, _) => found,
            });
        }
        let heads = entries.heads(found.iter().flatten().cloned().collect()).await?;
        let mut heads = heads.into_iter();
        let kinds: Vec<Compression> = found
            .iter()
            .map(|found| found.as_ref().and_then(|_| heads.next()).map_or(Compression::None, |head| sniff(&head)))
            .collect();

        let only_hashed = parts.iter().all(|p| p.diff_id.is_some()) && !kinds.iter().any(|kind| self.wants(*kind));
        let mut places: HashMap<(Option<Arc<str>>, Option<Digest>), usize> = HashMap::new();
        let mut jobs = Vec::new();
        let mut order = Vec::new();
        for ((part, found), kind) in parts.into_iter().zip(found).zip(kinds) {
            let name = found.as_ref().map_or_else(|| part.name.as_str().into(), |f| f.name.clone());
            // Plain layers with one diff id are one layer, whatever they are called.
            let same = kind == Compression::None && part.diff_id.is_some() && part.foreign.is_none();
            let next = jobs.len();
            let at = *places.entry(((!same).then_some(name), part.diff_id.clone())).or_insert(next);
            order.push(at);
            if at == next {
                jobs.push(async move { self.layer(part, found, kind).await.map(|layer| (at, layer)) }.boxed());
            }
        }
        let at_once = if only_hashed { HASHED_AT_ONCE } else { AT_ONCE };
        let mut made: Vec<(usize, Layer)> =
            futures_util::stream::iter(jobs).buffer_unordered(at_once).try_collect().await?;
        made.sort_by_key(|(at, _)| *at);
        Ok(order.into_iter().map(|at| made[at].1.clone()).collect())
    }

    async fn layer(&self, part: Part, found: Option<Found>, kind: Compression) -> Result<Layer> {
        let Part { name, diff_id, foreign } = part;
        let source: Arc<dyn Source> = Arc::new(Slice { entries: self.entries().clone(), found: found.clone(), name });
        let named = |descriptor| Layer::named(descriptor, None, source.clone(), self.archive.home());
        if let Some(foreign) = foreign {
            return Ok(named(foreign));
        }
        let Some(found) = found else { return Err(Error::new(Code::Internal, "a layer that is nowhere")) };
        if self.wants(kind) {
            return self.compressed(&found, diff_id.as_ref()).await;
        }
        let descriptor = |digest| Descriptor::new(kind.media_type(), digest, found.size);
        match (kind, diff_id) {
            // What is read of a layer is checked against its digest, so that it need not be true before.
            (Compression::None, Some(diff_id)) => Ok(named(descriptor(diff_id))),
            // What is compressed nothing vouches for but its name, if that is its digest, or else its diff id.
            (_, Some(diff_id)) => {
                let digest = self.hashed(&found).await?;
                if digest_in(&found.name).as_ref() != Some(&digest) {
                    self.check(&found, &diff_id).await?;
                }
                Ok(named(descriptor(digest)))
            }
            (_, None) => {
                let made = self.read_through(&found, kind).await?;
                Ok(Layer::written(descriptor(made.digest), made.diff_id, source.clone(), self.archive.home()))
            }
        }
    }

    /// Whether the options have a layer of this compression compressed anew.
    fn wants(&self, kind: Compression) -> bool {
        let Options { sink, compression, .. } = self.options;
        let wanted = compression.and_then(|c| c.kind);
        match kind {
            Compression::None => (sink.is_some() || compression.is_some()) && wanted != Some(Compression::None),
            kind => wanted.is_some_and(|wanted| wanted != kind),
        }
    }

    async fn compressed(&self, found: &Found, diff_id: Option<&Digest>) -> Result<Layer> {
        let (entries, entry) = (self.entries().clone(), found.clone());
        let open: Reopen = Arc::new(move || Ok(Box::new(entries.reader(&entry))));
        let options =
            Options { sink: self.options.sink.clone(), compression: self.options.compression, ..Options::new() };
        let subject = self.entries().called(&found.name);
        let layer = make(open, Some(subject), &options, self.ctx).await?;
        self.same(found, layer.find_diff_id(self.ctx).await?, diff_id)?;
        Ok(layer)
    }

    /// The digest of a file, by the algorithm that its name is of.
    async fn hashed(&self, found: &Found) -> Result<Digest> {
        let place = &self.archive.0.place;
        let algorithm = digest_in(&found.name).map_or(Algorithm::Sha256, |said| said.algorithm());
        let mut hashing = Hashing::new(&place.engine, &place.stats, algorithm.hasher());
        let mut chunks = self.entries().read(found, 0);
        while let Some(chunk) = chunks.next().await? {
            hashing.push(chunk).await?;
        }
        hashing.finish().await
    }

    /// That a compressed layer is the one with this diff id.
    async fn check(&self, found: &Found, diff_id: &Digest) -> Result<()> {
        let place = &self.archive.0.place;
        let chunks = self.entries().read(found, 0);
        let mut plain = decompressed(&place.engine, chunks, Some(diff_id), Limits::default(), &place.stats);
        // Other bytes are an error with the diff id as its subject, which is no name of the archive's.
        while plain.next().await.map_err(|e| e.subject(self.entries().called(&found.name)))?.is_some() {}
        Ok(())
    }

    /// The digest and the diff id of a layer of which nothing is known, found by reading it once.
    async fn read_through(&self, found: &Found, kind: Compression) -> Result<Encoded> {
        let place = &self.archive.0.place;
        let input = Input::Chunks(self.entries().read(found, 0));
        let as_it_is = CompressionOptions { kind: Some(kind), level: None };
        let made = encode(&place.engine, &place.stats, &place.spool_dir, input, as_it_is, &mut Nowhere, |_| ()).await;
        made.map_err(|e| e.or_subject(self.entries().called(&found.name)))
    }

    fn same(&self, found: &Found, is: &Digest, said: Option<&Digest>) -> Result<()> {
        match said {
            Some(said) if said != is => {
                let why = format!("the layer has diff id {is}, and the config says {said}");
                Err(Error::new(Code::DigestMismatch, why).subject(self.entries().called(&found.name)))
            }
            _ => Ok(()),
        }
    }

    /// The image that these make, of Docker's types unless the format says otherwise.
    pub(super) fn image(
        &self,
        (config, digest): (Config, Digest),
        layers: &[Layer],
        format: Option<Format>,
    ) -> Result<Image> {
        let oci = format == Some(Format::Oci);
        let mut edit = Manifest::empty(oci).edit();
        edit.set_config(config.raw());
        edit.doc_mut().config.digest = digest;
        for layer in layers {
            let descriptor = layer.descriptor();
            let media_type = match (oci, descriptor.media_type.to_docker()) {
                (true, _) => descriptor.media_type.to_oci(),
                (false, docker) => docker,
            };
            edit.append_layer(Descriptor { media_type, ..descriptor.clone() });
        }
        let manifest = edit.finish()?;
        Ok(Image::made(manifest.descriptor(), manifest, config, layers, self.archive.home()))
    }
}

/// The digest that a name has: `sha256:<hex>`, `<hex>.json`, `<hex>.tar.gz`, `blobs/sha256/<hex>`. The length of the hex
/// says which algorithm it is of.
fn digest_in(name: &str) -> Option<Digest> {
    let base = name.rsplit_once('/').map_or(name, |(_, base)| base);
    let base = base.rsplit_once(':').map_or(base, |(_, base)| base);
    let hex = base.split_once('.').map_or(base, |(hex, _)| hex);
    [Algorithm::Sha256, Algorithm::Sha512].into_iter().find_map(|a| format!("{}:{hex}", a.name()).parse().ok())
}

/// One entry as the source of a layer.
struct Slice {
    entries: Entries,
    /// `None`: it is only named.
    found: Option<Found>,
    name: String,
}

impl Source for Slice {
    fn open<'a>(&'a self, _: &'a Context, _: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        let chunks = match &self.found {
            Some(found) => Ok(self.entries.read(found, offset)),
            None => {
                let why = "the layer comes from elsewhere and is not in the archive";
                Err(Error::new(Code::NotFound, why).subject(self.entries.called(&self.name)))
            }
        };
        ready(chunks).boxed()
    }
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl BlobOut for Nowhere {
    fn write(&mut self, _: Bytes) -> BoxFuture<'_, Result<()>> {
        ready(Ok(())).boxed()
    }
}
