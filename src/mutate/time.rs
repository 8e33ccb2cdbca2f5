//! One time everywhere: in every entry of every layer, in the config and its history.

use super::anew;
use super::recompress::content;
use crate::builder::family;
use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::oci::Time;
use crate::options::Options;
use crate::source::Home;
use crate::stream::{CompressionOptions, TarEntry, Timestamp, Verdict, rewritten};
use crate::writer;
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;

/// PAX records that tell times other than that of the last change.
const OTHER_TIMES: [&[u8]; 3] = [b"atime", b"ctime", b"LIBARCHIVE.creationtime"];

impl Image {
    /// This image with one time, in RFC 3339: every entry of every layer was changed then, and last accessed never; the
    /// image and each step of its history were made then. All else stays: extended attributes, sparse and long names,
    /// devices, each layer's kind of compression, members of the config that are not known. Layers that their makers
    /// host themselves are left alone. Entries take whole seconds; of the zero time, 1970, as in the reference.
    /// Annotations about the old bytes of a layer go with them. The same input gives the same digest.
    ///
    /// Errors: `InvalidArgument` where this is no time, or the image has no image config; `Malformed` for a layer that
    /// is no tar, with the entry that is wrong; those of reading and of the sink. Options: compression (by default each
    /// layer's own kind), sink, jobs (by default 1).
    pub fn with_time(&self, rfc3339: &str, options: &Options, ctx: &Context) -> Task<Image> {
        self.timed("with_time", rfc3339.parse(), false, options, ctx)
    }

    /// [`Image::with_time`] with the zero time, without the config's `container`, `docker_version` and `Hostname`: what
    /// differs between two builds of the same thing.
    ///
    /// Errors and options: as there.
    pub fn canonical(&self, options: &Options, ctx: &Context) -> Task<Image> {
        self.timed("canonical", Ok(Time::default()), true, options, ctx)
    }

    fn timed(&self, call: &str, time: Result<Time>, bare: bool, options: &Options, ctx: &Context) -> Task<Image> {
        let started = writer::begin_change(call, options).and_then(|started| Ok((started, time?)));
        let ((home, options), time) = match started {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        let image = self.clone();
        self.home().clone().spawn(ctx, |ctx| async move {
            let timing = Timing { image: &image, home: &home, options: &options, time };
            timing.run(bare, &ctx).await
        })
    }
}

struct Timing<'a> {
    image: &'a Image,
    home: &'a Home,
    options: &'a Options,
    time: Time,
}

impl Timing<'_> {
    async fn run(&self, bare: bool, ctx: &Context) -> Result<Image> {
        let (image, manifest) = (self.image, self.image.manifest());
        if !manifest.config().media_type.is_config() {
            let what = &manifest.config().media_type;
            return Err(invalid(format!("the image has no image config to change, but a {what}")));
        }
        let config = image.config_holder().get(ctx).await?;
        let mut diff_ids = anew::diff_ids(image, config)?;
        let seconds = if self.time.is_zero() { 0 } else { self.time.unix() };
        let remake = |layer: Layer| async move { self.layer(&layer, seconds, ctx).await };
        let made: HashMap<Digest, Layer> = anew::each(image.layers(), self.options.jobs, remake).await?;

        let (mut edit, mut doc) = (manifest.edit(), config.edit());
        let mut layers = image.layers().to_vec();
        let mut entries = manifest.layers().to_vec();
        for ((layer, entry), diff_id) in layers.iter_mut().zip(&mut entries).zip(&mut diff_ids) {
            let Some(new) = made.get(&entry.digest) else { continue };
            *diff_id = new.find_diff_id(ctx).await?.clone();
            *entry = anew::with_diff_id(anew::entry(entry, new.descriptor(), family(manifest)), diff_id);
            *layer = new.clone();
        }
        let config = doc.doc_mut();
        config.rootfs.diff_ids = Some(diff_ids);
        config.created = self.time.clone();
        config.history.iter_mut().for_each(|line| line.created = self.time.clone());
        if bare {
            config.container.clear();
            config.docker_version.clear();
            config.config.hostname.clear();
        }
        let config = doc.finish()?;
        edit.doc_mut().layers = Some(entries);
        edit.set_config(config.raw());
        let manifest = edit.finish()?;
        Ok(Image::made(manifest.descriptor(), manifest, config, &layers, image.home().clone()))
    }

    async fn layer(&self, layer: &Layer, seconds: i64, ctx: &Context) -> Result<Layer> {
        let options = keeping(layer, self.options, ctx).await?;
        let claimed = layer.find_diff_id(ctx).await?;
        let open = || async move {
            let tar = layer.uncompressed_chunks(ctx, Some(claimed)).await?;
            Ok(rewritten(tar, Vec::new(), move |entry| {
                retime(entry, seconds);
                Ok(Verdict::Keep)
            }))
        };
        let made = writer::layer_of(self.home, &options, ctx, open).await;
        made.map_err(|e| e.or_subject(&layer.descriptor().digest))
    }
}

/// The options with the layer's own kind of compression, where they name none.
pub(super) async fn keeping(layer: &Layer, options: &Options, ctx: &Context) -> Result<Options> {
    let said = options.compression.unwrap_or_default();
    let kind = match said.kind {
        Some(kind) => kind,
        None => content(layer, ctx).await?,
    };
    Ok(options.clone().compression(CompressionOptions { kind: Some(kind), ..said }))
}

fn retime(entry: &mut TarEntry, seconds: i64) {
    entry.mtime = Timestamp { secs: seconds, nanos: 0 };
    entry.pax.retain(|(key, _)| !OTHER_TIMES.contains(&&key[..]));
    entry.forget_times();
    entry.globals = retimed_globals(&entry.globals, seconds);
}

/// Global headers are said to be of some time, too; what they say stays.
fn retimed_globals(globals: &Bytes, seconds: i64) -> Bytes {
    let mut all = BytesMut::from(&globals[..]);
    crate::stream::retime_headers(&mut all, seconds);
    all.freeze()
}
