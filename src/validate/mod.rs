//! Whether images, indexes and layers are what they say they are, and all there: one examination, which either ends
//! with the first thing that is wrong or reports all of them. What is said of a layer has the layer's digest as subject.
//!
//! * `layer`: one layer: its bytes, its tar, what is said of them;
//! * `table`: its table of contents.

mod layer;
mod table;

use crate::context::{Context, Event};
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, NODES, too_deep};
use crate::layer::Layer;
use crate::oci::{Config, Descriptor, Platform};
use crate::options::Options;
use crate::report::Report;
use crate::source::Source;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use layer::of_layer;
use std::collections::HashSet;
use std::sync::Arc;

/// How many blobs are read at once, unless the options say.
const JOBS: u32 = 4;
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
    /// media types that say otherwise than the bytes; paths that come twice in one layer; tables of contents (eStargz,
    /// zstd:chunked) that say otherwise than their layers; what config, history and manifest say of each other. Layers that their makers host themselves are left out, and told of as events.
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
    found.extend([image.manifest().config()].into_iter().chain(image.manifest().layers()).filter_map(inline));
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

/// What is wrong with the copy of a blob that its descriptor holds (image spec, descriptor.md, "Embedded Content").
fn inline(blob: &Descriptor) -> Option<Error> {
    let data = blob.data.as_ref()?;
    let is_right = data.len() as u64 == blob.size && Digest::of(blob.digest.algorithm(), data) == blob.digest;
    let why = "the data that its descriptor holds is another blob";
    (!is_right).then(|| Error::new(Code::DigestMismatch, why).subject(&blob.digest))
}

async fn is_there(source: &Arc<dyn Source>, blob: &Descriptor, ctx: &Context) -> Found {
    match source.has(ctx, blob).await {
        Ok(true) => Vec::new(),
        Ok(false) => vec![Error::new(Code::NotFound, "the blob is not there").subject(&blob.digest)],
        Err(e) => vec![e.within(&blob.digest)],
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
