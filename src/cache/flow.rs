//! Blobs on their way out of the cache, and into it while somebody reads them.

use super::store::{Found, Inside, Temp};
use super::{Cache, Core};
use crate::context::{Context, Event, lock};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::index::{Child, Children};
use crate::name::{Reference, Repository};
use crate::oci::{Descriptor, Manifest};
use crate::pool::Job;
use crate::remote::Client;
use crate::source::{BlobWriter, Place, Sink, Source};
use crate::stream::{BLOCK, BlobOut, Chunks, Hashing, read_file};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Writes that may be under way for one blob.
const WRITES: usize = 2;

/// A source that is asked only for what the cache lacks.
pub(super) struct Cached {
    pub cache: Cache,
    pub origin: Arc<dyn Source>,
}

impl Source for Cached {
    fn open<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        async move {
            let core = &self.cache.0;
            if let Some(hit) = core.hit(&blob.digest, blob.size).await? {
                return Ok(core.told(hit, ctx, &blob.digest, offset));
            }
            let chunks = self.origin.open(ctx, blob, offset).await?;
            let whole = offset == 0 && blob.size <= core.store.max_bytes();
            Ok(if whole { fill(core, chunks, Content::Blob(blob.digest.clone(), blob.size)) } else { chunks })
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
            let core = &self.cache.0;
            match core.open_hit(&blob.digest, blob.size).await? {
                Some(hit) => Ok(core.told(hit, ctx, &blob.digest, range.start).take(range.end - range.start)),
                None => self.origin.open_range(ctx, blob, range).await, // a part is not kept
            }
        }
        .boxed()
    }
    fn has<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool>> {
        async move {
            let (core, digest, size) = (self.cache.0.clone(), blob.digest.clone(), blob.size);
            let look = move || matches!(core.store.find(&digest, size), Ok(Found::Here(_)));
            if self.cache.0.place.engine.pool().run(look).await? {
                return Ok(true);
            }
            self.origin.has(ctx, blob).await
        }
        .boxed()
    }
    fn keeps_plain(&self) -> bool {
        self.cache.0.uncompressed || self.origin.keeps_plain()
    }
    fn open_plain<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        diff_id: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<Chunks>>> {
        async move {
            // A layer that is not compressed is its own tar, and has its place under the same name already.
            if self.cache.0.uncompressed
                && *diff_id != blob.digest
                && let Some(size) = self.cache.0.size_inside(&blob.digest, diff_id).await?
                && let Some(hit) = self.cache.0.hit(diff_id, size).await?
            {
                return Ok(Some(self.cache.0.told(hit, ctx, diff_id, 0)));
            }
            self.origin.open_plain(ctx, blob, diff_id).await
        }
        .boxed()
    }
    fn keep_plain(&self, chunks: Chunks, blob: &Descriptor, diff_id: &Digest) -> Chunks {
        let chunks = self.origin.keep_plain(chunks, blob, diff_id);
        match self.cache.0.uncompressed && *diff_id != blob.digest {
            true => fill(&self.cache.0, chunks, Content::Inside(blob.digest.clone(), diff_id.clone())),
            false => chunks,
        }
    }
    fn repository(&self) -> Option<(&Client, &Repository)> {
        self.origin.repository() // what a registry has, it has whether or not it was read through a cache
    }
}

/// The manifests of an index, kept like blobs.
pub(super) struct CachedChildren {
    pub cache: Cache,
    pub inner: Arc<dyn Children>,
}

impl Children for CachedChildren {
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
        async move {
            let core = &self.cache.0;
            if child.size <= crate::oci::DEFAULT_MAX_MANIFEST
                && let Some(hit) = core.hit(&child.digest, child.size).await?
            {
                return core.told(hit, ctx, &child.digest, 0).collect(child.size as usize).await;
            }
            let raw = self.inner.manifest(ctx, child).await?;
            let passing = Chunks::from_bytes(raw.clone());
            fill(core, passing, Content::Blob(child.digest.clone(), raw.len() as u64)).collect(raw.len()).await
        }
        .boxed()
    }
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image {
        self.cache.around(&self.inner.image(descriptor, manifest))
    }
    fn ready<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Option<Child>>> {
        async move {
            Ok(self.inner.ready(ctx, child).await?.map(|ready| match ready {
                Child::Image(image) => Child::Image(self.cache.around(&image)),
                Child::Index(index) => Child::Index(index.cached(&self.cache)),
            }))
        }
        .boxed()
    }
    fn nested(&self, child: &Descriptor) -> Option<Arc<dyn Children>> {
        let inner = self.inner.nested(child)?;
        Some(Arc::new(CachedChildren { cache: self.cache.clone(), inner }))
    }
}

/// A blob of the cache, whose content was right a moment ago. Evicted, it can be read to its end all the same.
#[derive(Clone)]
pub(super) struct Hit {
    file: Arc<File>,
    size: u64,
}

impl Core {
    /// The blob, if its content is what its name says. Trouble with the cache is no trouble for who reads.
    async fn hit(self: &Arc<Core>, digest: &Digest, size: u64) -> Result<Option<Hit>> {
        let (core, name) = (self.clone(), digest.clone());
        let counter = match self.place.engine.pool().run(move || core.store.find(&name, size)).await? {
            Ok(Found::Here((file, len))) => {
                let hit = Hit { file: Arc::new(file), size: len };
                if self.is_right(&hit, digest).await {
                    self.counters.hits.fetch_add(1, Relaxed);
                    return Ok(Some(hit));
                }
                let (core, name) = (self.clone(), digest.clone());
                self.place.engine.pool().run(move || core.store.discard(&name, &hit.file, hit.size)).await?;
                &self.counters.corrupt
            }
            Ok(Found::Wrong(())) => &self.counters.corrupt,
            Ok(Found::Missing) => &self.counters.misses,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Relaxed);
        Ok(None)
    }

    /// The size of the tar in a layer, if the cache has found out by itself that it is the one with this digest.
    async fn size_inside(self: &Arc<Core>, blob: &Digest, diff_id: &Digest) -> Result<Option<u64>> {
        let (core, name) = (self.clone(), blob.clone());
        let counter = match self.place.engine.pool().run(move || core.store.inside(&name)).await? {
            Ok(Found::Here(inside)) if inside.diff_id == *diff_id => return Ok(Some(inside.size)),
            Ok(Found::Here(_) | Found::Missing) => &self.counters.misses,
            Ok(Found::Wrong(())) => &self.counters.corrupt,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Relaxed);
        Ok(None)
    }

    /// As [`Core::hit`]; what was found right lately is not looked at again: nobody writes into a blob.
    async fn open_hit(self: &Arc<Core>, digest: &Digest, size: u64) -> Result<Option<Hit>> {
        const MOST: usize = 8;
        let known = lock(&self.in_parts).iter().find(|(d, h)| d == digest && h.size == size).map(|(_, h)| h.clone());
        if known.is_some() {
            return Ok(known);
        }
        let found = self.hit(digest, size).await?;
        if let Some(hit) = &found {
            let mut open = lock(&self.in_parts);
            open.push_back((digest.clone(), hit.clone()));
            if open.len() > MOST {
                open.pop_front();
            }
        }
        Ok(found)
    }

    pub(super) async fn is_right(&self, hit: &Hit, digest: &Digest) -> bool {
        let mut hashing = Hashing::new(&self.place.engine, &self.place.stats, digest.algorithm().hasher());
        let mut chunks = self.read(hit, 0);
        let read = async {
            while let Some(chunk) = chunks.next().await? {
                hashing.push(chunk).await?;
            }
            hashing.finish().await
        };
        read.await.is_ok_and(|found| found == *digest)
    }

    pub(super) fn hit_of(file: File, size: u64) -> Hit {
        Hit { file: Arc::new(file), size }
    }

    fn read(&self, hit: &Hit, offset: u64) -> Chunks {
        let left = hit.size.saturating_sub(offset);
        read_file(&self.place.engine, hit.file.clone(), self.store.root().to_string_lossy(), offset, left)
    }

    /// The blob's bytes, which `ctx` is told of as of a download.
    fn told(&self, hit: Hit, ctx: &Context, digest: &Digest, offset: u64) -> Chunks {
        let total = Some(hit.size);
        let subject = digest.to_string();
        ctx.emit(&Event { kind: "cache", subject, done: hit.size, total, message: String::new() });
        let ctx = ctx.clone();
        self.read(&hit, offset).inspect(move |chunk| ctx.count_bytes(chunk.len() as u64))
    }
}

/// The same chunks; they are kept under their digest once all of them have passed and were right. While one reader
/// fills it, others of the process read past it.
fn fill(core: &Arc<Core>, chunks: Chunks, content: Content) -> Chunks {
    let filling = Filling { core: core.clone(), content, seen: 0, state: State::New };
    Chunks::unfold((chunks, filling), |(mut chunks, mut filling)| async move {
        let chunk = chunks.next().await?;
        match &chunk {
            Some(chunk) => filling.pass(chunk).await,
            None => filling.end().await,
        }
        Ok(chunk.map(|chunk| (chunk, (chunks, filling))))
    })
}

/// What passes.
enum Content {
    /// The blob with this digest and size.
    Blob(Digest, u64),
    /// What is in the blob with the first digest, which is verified by its end; it is said to have the second one.
    Inside(Digest, Digest),
}

impl Content {
    fn digest(&self) -> &Digest {
        let (Content::Blob(digest, _) | Content::Inside(_, digest)) = self;
        digest
    }
    fn size(&self) -> Option<u64> {
        match self {
            Content::Blob(_, size) => Some(*size),
            Content::Inside(..) => None,
        }
    }
}

struct Filling {
    core: Arc<Core>,
    content: Content,
    seen: u64,
    state: State,
}

enum State {
    New,
    Writing(Box<(Writing, Hashing, Flight)>),
    /// It is kept, or will not be.
    Over,
}

impl Filling {
    /// What goes wrong here ends the filling, and not the reading.
    async fn pass(&mut self, chunk: &Bytes) {
        self.seen = self.seen.saturating_add(chunk.len() as u64);
        if self.seen > self.content.size().unwrap_or(u64::MAX).min(self.core.store.max_bytes()) {
            self.state = State::Over;
        }
        if let Err(_failure) = self.write(chunk).await {
            self.core.counters.failed.fetch_add(1, Relaxed);
            self.state = State::Over;
        }
        // The reader may ask for no more than the size it knows.
        if self.content.size() == Some(self.seen) {
            self.end().await;
        }
    }

    async fn write(&mut self, chunk: &Bytes) -> Result<()> {
        if matches!(self.state, State::New) {
            self.state = self.begin().await?;
        }
        if let State::Writing(under_way) = &mut self.state {
            let (writing, hashing, _) = &mut **under_way;
            hashing.push(chunk.clone()).await?;
            writing.put(chunk.clone()).await?;
        }
        Ok(())
    }

    async fn begin(&self) -> Result<State> {
        let digest = self.content.digest();
        let Some(flight) = Flight::begin(&self.core, digest) else { return Ok(State::Over) };
        let (core, name) = (self.core.clone(), digest.clone());
        let size = match &self.content {
            Content::Blob(_, size) => Some(*size),
            Content::Inside(blob, _) => {
                let (core, blob) = (self.core.clone(), blob.clone());
                match self.core.place.engine.pool().run(move || core.store.inside(&blob)).await?? {
                    Found::Here(inside) if inside.diff_id == *digest => Some(inside.size),
                    _ => None,
                }
            }
        };
        let is_kept = move || size.is_some_and(|size| core.store.is_kept(&name, size));
        if self.core.place.engine.pool().run(is_kept).await? {
            return Ok(State::Over); // since it was looked for
        }
        let place = &self.core.place;
        let hashing = Hashing::new(&place.engine, &place.stats, digest.algorithm().hasher());
        Ok(State::Writing(Box::new((Writing::begin(&self.core).await?, hashing, flight))))
    }

    async fn end(&mut self) {
        if self.seen == 0 && matches!(self.state, State::New) && self.write(&Bytes::new()).await.is_err() {
            self.state = State::Over;
        }
        let State::Writing(under_way) = std::mem::replace(&mut self.state, State::Over) else { return };
        let (writing, hashing, _flight) = *under_way;
        let kept = async {
            let digest = self.content.digest();
            let whole = self.content.size().is_none_or(|size| size == self.seen);
            if !whole || hashing.finish().await? != *digest {
                return Ok(());
            }
            writing.commit(digest).await?;
            if let Content::Inside(blob, diff_id) = &self.content {
                let (core, blob) = (self.core.clone(), blob.clone());
                let inside = Inside { diff_id: diff_id.clone(), size: self.seen };
                self.core.place.engine.pool().run(move || core.store.remember(&blob, &inside)).await??;
            }
            Ok::<(), Error>(())
        };
        if kept.await.is_err() {
            self.core.counters.failed.fetch_add(1, Relaxed);
        }
    }
}

/// The one filling of a blob that is under way in this process.
struct Flight {
    core: Arc<Core>,
    digest: Digest,
}

impl Flight {
    fn begin(core: &Arc<Core>, digest: &Digest) -> Option<Flight> {
        let first = lock(&core.filling).insert(digest.clone());
        first.then(|| Flight { core: core.clone(), digest: digest.clone() })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // In a forked child a thread of the parent may have it locked for ever.
        if self.core.place.engine.check_pid().is_ok() {
            lock(&self.core.filling).remove(&self.digest);
        }
    }
}

/// A file of the cache that is being written.
struct Writing {
    core: Arc<Core>,
    temp: Option<Temp>,
    at: u64,
    writes: VecDeque<Job<std::io::Result<()>>>,
}

impl Writing {
    async fn begin(core: &Arc<Core>) -> Result<Writing> {
        let here = core.clone();
        let temp = core.place.engine.pool().run(move || here.store.temp()).await??;
        Ok(Writing { core: core.clone(), temp: Some(temp), at: 0, writes: VecDeque::new() })
    }

    async fn put(&mut self, mut chunk: Bytes) -> Result<()> {
        while let Some(temp) = self.temp.as_ref().filter(|_| !chunk.is_empty()) {
            let file = temp.file.clone();
            if self.writes.len() >= WRITES {
                self.settle().await?;
            }
            let part = chunk.split_to(chunk.len().min(4 * BLOCK));
            let (at, len) = (self.at, part.len() as u64);
            let write = move || std::os::unix::fs::FileExt::write_all_at(&*file, &part, at);
            self.writes.push_back(self.core.place.engine.pool().start(write)?);
            self.at += len;
        }
        Ok(())
    }

    /// Waits for the oldest write.
    async fn settle(&mut self) -> Result<()> {
        if let Some(job) = self.writes.front_mut() {
            let result = job.await;
            self.writes.pop_front();
            result?.map_err(|e| Error::io("writing", self.core.store.root().join("tmp").display(), &e))?;
        }
        Ok(())
    }

    /// Gives the file its name; it can be read whether or not there was room for it.
    async fn commit(mut self, digest: &Digest) -> Result<Option<Hit>> {
        while !self.writes.is_empty() {
            self.settle().await?;
        }
        let Some(temp) = self.temp.take() else { return Ok(None) };
        let hit = Hit { file: temp.file.clone(), size: self.at };
        let (core, name) = (self.core.clone(), digest.clone());
        if self.core.place.engine.pool().run(move || core.store.commit(temp, &name)).await?? {
            self.core.counters.stored.fetch_add(1, Relaxed);
        }
        Ok(Some(hit))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(temp) = self.temp.take() {
            let _ = self.core.place.engine.pool().start(move || drop(temp)); // a large file takes its time to go
        }
    }
}

/// The cache as a place for new layers.
pub(super) struct CacheSink(pub Cache);

impl Sink for CacheSink {
    fn begin<'a>(&'a self, _: &'a Context, _: &'a Place) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        async move { Ok(Box::new(Writing::begin(&self.0.0).await?) as Box<dyn BlobWriter>) }.boxed()
    }
    fn repository(&self) -> Option<(&Client, &Reference)> {
        None
    }
}

impl BlobOut for Writing {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        self.put(chunk).boxed()
    }
}

impl BlobWriter for Writing {
    fn commit(self: Box<Self>, blob: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>> {
        async move {
            let core = self.core.clone();
            let hit = Writing::commit(*self, &blob.digest).await?;
            let hit = hit.ok_or_else(|| Error::new(crate::error::Code::InvalidState, "the blob was written before"))?;
            Ok(Arc::new(Written { core, hit }) as Arc<dyn Source>)
        }
        .boxed()
    }
}

/// A layer that was written into the cache: it outlives its eviction.
struct Written {
    core: Arc<Core>,
    hit: Hit,
}

impl Source for Written {
    fn open<'a>(&'a self, _: &'a Context, _: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        futures_util::future::ready(Ok(self.core.read(&self.hit, offset))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, CompressionOptions, Layer, LayerBuilder, Options};

    fn read(layer: &Layer, path: &str) -> usize {
        let ctx = Context::default();
        let mut reader = layer.open_file(path, &ctx).wait().unwrap();
        let (mut total, mut buf) = (0, vec![0; 100_000]);
        loop {
            match reader.read(&mut buf, &ctx).unwrap() {
                0 => return total,
                n => total += n,
            }
        }
    }

    /// A file of a layer with a table of contents is read in parts: the end, and each of its chunks.
    #[test]
    fn a_blob_that_parts_are_read_of_is_hashed_once() {
        let (dir, ctx) = (tempfile::tempdir().unwrap(), Context::default());
        let cache = Cache::open(dir.path(), 64 << 20, &Options::new(), &ctx).wait().unwrap();
        let mut builder = LayerBuilder::new();
        for i in 0..3u8 {
            builder.add_bytes(&format!("{i}"), 0o644, &vec![i; 9 << 20]).unwrap();
        }
        let estargz = CompressionOptions { kind: Some(Compression::Estargz), level: None };
        let layer = builder.build(&Options::new().compression(estargz), &ctx).wait().unwrap().cached(&cache);
        layer.validate(&Options::new(), &ctx).wait().unwrap(); // fills the cache
        assert_eq!(cache.stats().stored, 1);
        let hashed = &cache.0.place.stats.hash_bytes;
        let before = hashed.get();
        for path in ["0", "1", "2", "0"] {
            assert_eq!(read(&layer, path), 9 << 20);
        }
        assert_eq!(hashed.get() - before, layer.descriptor().size, "the blob, once");
        assert_eq!(cache.stats().hits, 1);
    }
}
