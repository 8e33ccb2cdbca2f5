//! Whether images, indexes and layers are what they say they are, and all there: one examination, which either ends
//! with the first thing that is wrong or reports all of them.

use crate::context::{Context, Event, lock};
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, NODES, too_deep};
use crate::layer::Layer;
use crate::oci::{Config, Descriptor, LayerCompression, Platform};
use crate::options::Options;
use crate::report::Report;
use crate::source::Source;
use crate::stream::{Blocks, Chunks, Compression, Limits, TarStream, decompressed, sniff};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex};

/// How many blobs are read at once, unless the options say.
const JOBS: u32 = 4;
/// Paths of one layer that are looked at for being there twice.
const MOST_PATHS: usize = 1 << 19;
/// Of them, those that are told.
const MOST_PATHS_TOLD: usize = 100;

impl Image {
    /// Reads every blob to its end and checks all that [`Image::examine`] does. Options: jobs.
    ///
    /// Errors: the first thing that is wrong; `DigestMismatch` and `Malformed` name the blob.
    pub fn validate(&self, options: &Options, ctx: &Context) -> Task<()> {
        let (image, how) = (self.clone(), How::first(options));
        match options.only("validate", &["jobs"]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self.home().spawn(ctx, |ctx| async move { outcome(of_image(&image, how, &ctx).await) }),
        }
    }

    /// Everything that is wrong with the image: digests, sizes and diff ids of all blobs, however they are compressed;
    /// media types that say otherwise than the bytes; paths that come twice in one layer; what config, history and
    /// manifest say of each other. Layers that their makers host themselves are left out, and told of as events.
    ///
    /// Options: jobs; fast (nothing is read but the config: layers must only be there).
    pub fn examine(&self, options: &Options, ctx: &Context) -> Task<Report> {
        let (image, how) = (self.clone(), How::all(options));
        match options.only("examine", &["jobs", "fast"]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self
                .home()
                .spawn(ctx, |ctx| async move { Ok(report(image.digest(), of_image(&image, how, &ctx).await)) }),
        }
    }
}

impl Index {
    /// As [`Image::validate`], of the index and all that is below it. Options: jobs.
    pub fn validate(&self, options: &Options, ctx: &Context) -> Task<()> {
        let (index, how) = (self.clone(), How::first(options));
        match options.only("validate", &["jobs"]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self.home().spawn(ctx, |ctx| async move { outcome(of_index(&index, how, &ctx).await) }),
        }
    }

    /// As [`Image::examine`], of the index and all that is below it; and whether its entries say what the images are.
    /// Options: jobs, fast.
    pub fn examine(&self, options: &Options, ctx: &Context) -> Task<Report> {
        let (index, how) = (self.clone(), How::all(options));
        match options.only("examine", &["jobs", "fast"]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self
                .home()
                .spawn(ctx, |ctx| async move { Ok(report(index.digest(), of_index(&index, how, &ctx).await)) }),
        }
    }

    /// Bytes of the index and of everything below it, each manifest and blob counted once. Reads the manifests.
    ///
    /// Errors: those of reading them; `LimitExceeded` where it nests too deep or names too much. Options: none.
    pub fn size(&self, options: &Options, ctx: &Context) -> Task<u64> {
        self.counted(options, ctx, |size| size)
    }

    /// The same, for those who only want it to be known afterwards.
    pub(crate) fn learn_size(&self, options: &Options, ctx: &Context) -> Task<()> {
        self.counted(options, ctx, drop)
    }

    fn counted<T: Send + 'static>(&self, options: &Options, ctx: &Context, of: fn(u64) -> T) -> Task<T> {
        if let Some(known) = self.size_cell().get() {
            return Task::ready(options.only("index size", &[]).map(|()| of(*known)));
        }
        let index = self.clone();
        match options.only("index size", &[]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self.home().spawn(ctx, |ctx| async move {
                let count = || async {
                    let mut seen = HashSet::from([index.digest().clone()]);
                    let below = sizes(&index, &ctx, 0, &mut seen).await?;
                    Ok(index.descriptor().size.saturating_add(below))
                };
                index.size_cell().get_or_try_init(count).await.map(|size| of(*size))
            }),
        }
    }
}

impl Layer {
    /// Reads the layer to its end and checks what [`Image::examine`] does of a layer. Options: none.
    ///
    /// Errors: the first thing that is wrong.
    pub fn validate(&self, options: &Options, ctx: &Context) -> Task<()> {
        let layer = self.clone();
        match options.only("validate", &[]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self.home().spawn(ctx, |ctx| async move {
                let claimed = layer.known_diff_id(&ctx).await?;
                outcome(of_layer(&layer, claimed.as_ref(), true, &ctx).await)
            }),
        }
    }
}

/// Every blob is read to its end once.
pub(crate) async fn fetch(image: &Image, jobs: usize, ctx: &Context) -> Result<()> {
    let mut seen = HashSet::new();
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

/// What is wrong, in the order of the examined things.
type Found = Vec<Error>;

#[derive(Clone, Copy)]
struct How {
    jobs: usize,
    /// Layers are looked for, and not read.
    fast: bool,
    /// The first thing that is wrong is enough.
    first: bool,
}

impl How {
    fn first(options: &Options) -> How {
        How { first: true, ..How::all(options) }
    }
    fn all(options: &Options) -> How {
        How { jobs: options.jobs.unwrap_or(JOBS).max(1) as usize, fast: options.fast, first: false }
    }
    fn is_enough(&self, found: &Found) -> bool {
        self.first && !found.is_empty()
    }
}

fn outcome(found: Found) -> Result<()> {
    found.into_iter().next().map_or(Ok(()), Err)
}

fn report(subject: &Digest, found: Found) -> Report {
    let mut report = Report::default();
    found.iter().for_each(|e| report.add_error(subject, e));
    report
}

async fn of_image(image: &Image, how: How, ctx: &Context) -> Found {
    let mut found = manifest(image.descriptor(), image.manifest().raw(), image.digest());
    if how.is_enough(&found) {
        return found;
    }
    let config = match config(image, ctx).await {
        Ok(config) => config,
        Err(e) => {
            found.push(e);
            None
        }
    };
    if let Some(config) = &config {
        found.extend(claims(image, config));
    }
    if how.is_enough(&found) {
        return found;
    }
    let claimed = config.as_ref().map(Config::diff_ids).unwrap_or_default();
    let is_image = image.config_holder().descriptor().media_type.is_config();
    let checks = image.layers().iter().enumerate().map(|(i, layer)| {
        let claimed = claimed.get(i);
        async move {
            if !layer.descriptor().media_type.is_distributable() {
                left_out(layer.descriptor(), ctx); // its bytes are nobody's to give
                return Vec::new();
            }
            match how.fast {
                true => is_there(layer.source(), layer.descriptor(), ctx).await,
                false => of_layer(layer, claimed, is_image, ctx).await,
            }
        }
        .boxed()
    });
    let checks: Vec<BoxFuture<'_, Found>> = checks.collect();
    let mut checks = futures_util::stream::iter(checks).buffered(how.jobs);
    while let Some(more) = checks.next().await {
        found.extend(more);
        if how.is_enough(&found) {
            break;
        }
    }
    found
}

/// Whether a descriptor is the one of these bytes.
fn manifest(descriptor: &Descriptor, raw: &[u8], subject: &Digest) -> Found {
    let mut found = Vec::new();
    let actual = Digest::of(descriptor.digest.algorithm(), raw);
    if actual != descriptor.digest {
        let why = format!("the manifest has the digest {actual}");
        found.push(Error::new(Code::DigestMismatch, why).subject(subject));
    }
    if raw.len() as u64 != descriptor.size {
        let why = format!("the manifest has {} bytes, and {} are named", raw.len(), descriptor.size);
        found.push(Error::new(Code::DigestMismatch, why).subject(subject));
    }
    found
}

/// The image config, verified; `None` where an artifact has something else there, which was verified all the same.
async fn config(image: &Image, ctx: &Context) -> Result<Option<Config>> {
    let holder = image.config_holder();
    match holder.descriptor().media_type.is_config() {
        true => holder.get(ctx).await.cloned().map(Some),
        false => holder.raw(ctx).await.map(|_| None),
    }
}

/// What the config says, against the manifest and against itself.
fn claims(image: &Image, config: &Config) -> Found {
    let mut found = Vec::new();
    let mut say = |why: String| found.push(malformed(why).subject(image.digest()));
    let (claimed, layers) = (config.diff_ids().len(), image.layers().len());
    if claimed != layers {
        say(format!("the config names {claimed} diff ids for {layers} layers"));
    }
    let history = config.history().iter().filter(|h| !h.empty_layer).count();
    if history != 0 && history != claimed {
        say(format!("the history tells of {history} layers, and there are {claimed}"));
    }
    let kind = &config.doc().rootfs.kind;
    if kind != "layers" {
        say(format!("the config's rootfs is of the type \"{}\", not \"layers\"", crate::digest::shown(kind)));
    }
    found
}

async fn is_there(source: &Arc<dyn Source>, blob: &Descriptor, ctx: &Context) -> Found {
    match source.has(ctx, blob).await {
        Ok(true) => Vec::new(),
        Ok(false) => vec![Error::new(Code::NotFound, "the blob is not there").subject(&blob.digest)],
        Err(e) => vec![e.or_subject(&blob.digest)],
    }
}

/// `of_image`: it is to be a layer. An artifact's content is known by its digest alone, whatever its type says.
async fn of_layer(layer: &Layer, claimed: Option<&Digest>, of_image: bool, ctx: &Context) -> Found {
    let mut found = Vec::new();
    let read = match of_image {
        true => read_layer(layer, claimed, ctx, &mut found).await,
        false => drain(layer, ctx).await,
    };
    if let Err(e) = read {
        found.push(e.or_subject(&layer.descriptor().digest));
    }
    found
}

/// Reads a layer to its end. An error is one of reading; what is wrong otherwise is noted.
async fn read_layer(layer: &Layer, claimed: Option<&Digest>, ctx: &Context, found: &mut Found) -> Result<()> {
    let blob = layer.descriptor();
    let place = layer.home().place();
    let mut blocks = Blocks::new(layer.chunks(ctx).await?, place.engine.shelf());
    let is = sniff(&blocks.peek().await?);
    if let Some(said) = blob.media_type.compression()
        && said != in_words_of_types(is)
    {
        let why = format!("the media type is {}, and the bytes are {}", blob.media_type, name(is));
        found.push(malformed(why).subject(&blob.digest));
    }
    let plain = decompressed(&place.engine, blocks.into_chunks(), None, Limits::default(), &place.stats);
    let hasher = Arc::new(Mutex::new(claimed.map_or(Algorithm::Sha256, Digest::algorithm).hasher()));
    let hashing = hasher.clone();
    let mut plain = plain.inspect(move |chunk| lock(&hashing).update(chunk));
    match blob.media_type.is_layer() {
        true => twice(plain, &blob.digest, found).await?,
        false => while plain.next().await?.is_some() {}, // of some other kind, and none of ours to read
    }
    let actual = lock(&hasher).clone().finish();
    if let Some(claimed) = claimed.filter(|claimed| **claimed != actual) {
        let why = format!("the config names the diff id {claimed}, and the layer's is {actual}");
        found.push(Error::new(Code::DigestMismatch, why).subject(&blob.digest));
    }
    Ok(())
}

/// Notes the paths that come twice in a tar.
async fn twice(plain: Chunks, subject: &Digest, found: &mut Found) -> Result<()> {
    let (mut tar, mut paths) = (TarStream::new(plain), Paths::default());
    while let Some(entry) = tar.next().await? {
        if !paths.insert(&entry.name) && paths.twice <= MOST_PATHS_TOLD {
            found.push(malformed(format!("{} is there twice", entry.shown())).subject(subject));
        }
    }
    Ok(())
}

/// The paths of a tar, as hashes that nobody can foresee: half a million of them take no more than 10 MiB.
#[derive(Default)]
struct Paths {
    seen: HashSet<u64>,
    keys: RandomState,
    twice: usize,
}

impl Paths {
    /// Whether it is a new one.
    fn insert(&mut self, name: &[u8]) -> bool {
        let mut hash = self.keys.build_hasher();
        for part in name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
            hash.write(part);
            hash.write_u8(b'/');
        }
        let new = self.seen.len() >= MOST_PATHS || self.seen.insert(hash.finish());
        self.twice += usize::from(!new);
        new
    }
}

fn in_words_of_types(compression: Compression) -> LayerCompression {
    match compression {
        Compression::None => LayerCompression::None,
        Compression::Gzip | Compression::Estargz => LayerCompression::Gzip,
        Compression::Zstd => LayerCompression::Zstd,
    }
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "not compressed",
        Compression::Gzip | Compression::Estargz => "gzip",
        Compression::Zstd => "zstd",
    }
}

fn left_out(blob: &Descriptor, ctx: &Context) {
    let (subject, message) = (blob.digest.to_string(), "not distributable, so not examined".to_owned());
    ctx.emit(&Event { kind: "skip", subject, done: 0, total: Some(blob.size), message });
}

async fn of_index(index: &Index, how: How, ctx: &Context) -> Found {
    let mut found = manifest(index.descriptor(), index.manifest().raw(), index.digest());
    let mut seen = HashSet::from([index.digest().clone()]);
    if !how.is_enough(&found) {
        below(index, how, ctx, 0, &mut seen, &mut found).await;
    }
    found
}

fn below<'a>(
    index: &'a Index,
    how: How,
    ctx: &'a Context,
    depth: usize,
    seen: &'a mut HashSet<Digest>,
    found: &'a mut Found,
) -> BoxFuture<'a, ()> {
    async move {
        if depth >= DEPTH {
            return found.push(too_deep().subject(index.digest()));
        }
        for entry in index.manifest().manifests() {
            if how.is_enough(found) {
                return;
            }
            if !seen.insert(entry.digest.clone()) {
                continue;
            }
            if seen.len() > NODES {
                return found.push(too_many(index.digest()));
            }
            if !entry.media_type.is_distributable() {
                left_out(entry, ctx);
                continue;
            }
            if !(entry.media_type.is_image() || entry.media_type.is_index()) {
                let why = format!("an index that names a {}", entry.media_type);
                found.push(Error::new(Code::Unsupported, why).subject(&entry.digest));
                continue;
            }
            match index.read(ctx, entry).await {
                Err(e) => found.push(e.or_subject(&entry.digest)),
                Ok(Child::Index(nested)) => below(&nested, how, ctx, depth + 1, &mut *seen, &mut *found).await,
                Ok(Child::Image(image)) => {
                    found.extend(of_image(&image, how, ctx).await);
                    // Its errors have been told; a config that can't be read says nothing of the platform.
                    if let (Some(said), Ok(Some(config))) = (&entry.platform, config(&image, ctx).await) {
                        found.extend(platform(said, config.platform().as_ref(), &entry.digest));
                    }
                }
            }
        }
    }
    .boxed()
}

/// Whether an entry's platform is the one of the config.
fn platform(said: &Platform, is: Option<&Platform>, subject: &Digest) -> Option<Error> {
    let told = said.normalized();
    // Attestations and the like are of no platform.
    if told.os == "unknown" && told.architecture == "unknown" {
        return None;
    }
    let actual = is.map(Platform::normalized);
    let same = actual.as_ref().is_some_and(|actual| {
        let both = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        told.os == actual.os
            && told.architecture == actual.architecture
            && both(&told.variant, &actual.variant)
            && both(&told.os_version, &actual.os_version)
    });
    let is = is.map_or_else(|| "nothing".to_owned(), Platform::to_string);
    (!same).then(|| malformed(format!("the index says {said}, and the config says {is}")).subject(subject))
}

fn too_many(subject: &Digest) -> Error {
    Error::new(Code::LimitExceeded, format!("more than {NODES} manifests and blobs below one index")).subject(subject)
}

/// Bytes of all that is below, each thing once.
fn sizes<'a>(
    index: &'a Index,
    ctx: &'a Context,
    depth: usize,
    seen: &'a mut HashSet<Digest>,
) -> BoxFuture<'a, Result<u64>> {
    async move {
        if depth >= DEPTH {
            return Err(too_deep().subject(index.digest()));
        }
        let mut total = 0u64;
        for entry in index.manifest().manifests() {
            if !seen.insert(entry.digest.clone()) {
                continue;
            }
            if seen.len() > NODES {
                return Err(too_many(index.digest()));
            }
            total = total.saturating_add(entry.size);
            if !(entry.media_type.is_image() || entry.media_type.is_index()) {
                continue; // whatever it is, it is not read
            }
            match index.read(ctx, entry).await? {
                Child::Index(nested) => total = total.saturating_add(sizes(&nested, ctx, depth + 1, &mut *seen).await?),
                Child::Image(image) => {
                    let manifest = image.manifest();
                    for blob in manifest.layers().iter().chain([manifest.config()]) {
                        if seen.insert(blob.digest.clone()) {
                            total = total.saturating_add(blob.size);
                        }
                    }
                }
            }
        }
        Ok(total)
    }
    .boxed()
}
