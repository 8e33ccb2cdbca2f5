//! Images and indexes in memory: put in, had back by name or digest, up to a number of bytes.

use crate::content::Content;
use crate::context::{Context, lock};
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::oci::{AnyManifest, Descriptor};
use crate::options::Options;
use crate::sink::SinkHandle;
use crate::source::{BlobWriter, Home, Memory, Place, Sink, Source};
use crate::stream::{BlobOut, Chunks, verified};
use crate::transfer::{Target, below};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// How many blobs are taken in at once, unless the options say.
const JOBS: u32 = 4;

/// A store in memory. A clone is the same store.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    max_bytes: u64,
    state: Mutex<State>,
    place: Place,
}

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Bytes>,
    /// Every manifest, by its digest.
    manifests: HashMap<Digest, Descriptor>,
    /// What was put in as such, and its names.
    roots: HashSet<Digest>,
    names: BTreeMap<String, Digest>,
    /// What is being put in needs these: how many times over. They stay until it is in, or has failed.
    pinned: HashMap<Digest, usize>,
    /// Bytes that are here or on their way.
    total: u64,
}

impl MemoryStore {
    /// An empty store that takes at most `max_bytes` of manifests and blobs.
    pub fn new(max_bytes: u64) -> Result<MemoryStore> {
        match max_bytes {
            0 => Err(invalid("max_bytes is 0")),
            _ => Ok(MemoryStore(Arc::new(Inner { max_bytes, state: Mutex::default(), place: Place::here()? }))),
        }
    }

    /// Takes an image in with all of its blobs, and gives it `name`, which another one may have had; `None`: it is
    /// found by its digest.
    ///
    /// Errors: `LimitExceeded`: there is no room; those of reading it. Options: jobs, foreign_layers.
    pub fn add_image(&self, name: Option<&str>, image: &Image, options: &Options, ctx: &Context) -> Task<()> {
        self.add(name, Child::Image(image.clone()), options, ctx)
    }
    /// As [`MemoryStore::add_image`], with all that is below the index.
    pub fn add_index(&self, name: Option<&str>, index: &Index, options: &Options, ctx: &Context) -> Task<()> {
        self.add(name, Child::Index(index.clone()), options, ctx)
    }
    /// The image with this name or digest; of an index, the one for the options' platform.
    ///
    /// Errors: `NotFound`; `InvalidArgument`: it is an index, and the options name no platform. Options: platform.
    pub fn image(&self, name_or_digest: &str, options: &Options, ctx: &Context) -> Task<Image> {
        let (wanted, rest) = (options.platform.clone(), Options { platform: None, ..options.clone() });
        let found = self.get(name_or_digest, &rest, ctx, Ok);
        Home::Local(self.0.place.clone()).spawn(ctx, |ctx| async move {
            match (found.await?, wanted) {
                (Child::Image(image), _) => Ok(image),
                (child, Some(platform)) => child.image_for(&ctx, &platform).await,
                (Child::Index(index), None) => {
                    let why = "this is an index, not an image: the option platform says which of its images";
                    Err(invalid(why).subject(index.digest()))
                }
            }
        })
    }
    /// The index with this name or digest. Errors: `NotFound`; `InvalidArgument`: it is an image. Options: none.
    pub fn index(&self, name_or_digest: &str, options: &Options, ctx: &Context) -> Task<Index> {
        self.get(name_or_digest, options, ctx, |child| match child {
            Child::Index(index) => Ok(index),
            Child::Image(image) => Err(invalid("this is an image, not an index").subject(image.digest())),
        })
    }
    /// Every name, sorted.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0.state).names.keys().cloned().collect()
    }
    /// How many bytes are in it.
    pub fn size(&self) -> u64 {
        lock(&self.0.state).total
    }
    /// Takes a name away, or an image or index by its digest with all its names; what nothing names any more is
    /// gone, but for values that were had before. Errors: `NotFound`.
    pub fn remove(&self, name_or_digest: &str) -> Result<()> {
        let mut state = lock(&self.0.state);
        let digest = state.find(name_or_digest)?;
        if state.names.remove(name_or_digest).is_none() {
            state.names.retain(|_, named| *named != digest);
            state.roots.remove(&digest);
        } else if !state.names.values().any(|named| *named == digest) {
            state.roots.remove(&digest);
        }
        state.collect();
        Ok(())
    }

    fn add(&self, name: Option<&str>, child: Child, options: &Options, ctx: &Context) -> Task<()> {
        if let Err(e) = options.only("adding to a memory store", &["jobs", "foreign_layers"]) {
            return Task::ready(Err(e));
        }
        if name.is_some_and(|name| name.is_empty() || name.parse::<Digest>().is_ok()) {
            return Task::ready(Err(invalid("name is empty, or a digest")));
        }
        let (name, jobs) = (name.map(ToOwned::to_owned), options.jobs.unwrap_or(JOBS).max(1) as usize);
        let pins = Pins { store: self.0.clone(), digests: Mutex::default() };
        let into = Into { store: self.0.clone(), pins, jobs, foreign_layers: options.foreign_layers };
        child.home().clone().spawn(ctx, |ctx| async move {
            below(&child, &into, &ctx).await?;
            into.take(child.descriptor(), child.raw())?;
            let (mut state, digest) = (lock(&into.store.state), child.descriptor().digest.clone());
            state.roots.insert(digest.clone());
            if let Some(name) = name {
                state.names.insert(name, digest);
            }
            Ok(())
        })
    }

    fn get<T: Send + 'static>(
        &self,
        name_or_digest: &str,
        options: &Options,
        ctx: &Context,
        of: fn(Child) -> Result<T>,
    ) -> Task<T> {
        let find = || {
            options.only("reading a memory store", &[])?;
            let state = lock(&self.0.state);
            let digest = state.find(name_or_digest)?;
            let found = state.manifests.get(&digest).cloned();
            found.ok_or_else(|| Error::new(Code::NotFound, "no manifest of the store").subject(&digest))
        };
        let root = match find() {
            Ok(root) => root,
            Err(e) => return Task::ready(Err(e)),
        };
        let home = Home::Local(self.0.place.clone());
        let content = Content { source: Arc::new(Stored(self.0.clone())), home: home.clone() };
        home.spawn(ctx, |ctx| async move { of(content.open(&ctx, &root).await?) })
    }
}

impl SinkHandle {
    /// A memory store as a place for new layers.
    pub fn memory(store: &MemoryStore) -> SinkHandle {
        SinkHandle(Arc::new(MemorySink(store.0.clone())))
    }
}

impl State {
    fn find(&self, name_or_digest: &str) -> Result<Digest> {
        if let Some(digest) = self.names.get(name_or_digest) {
            return Ok(digest.clone());
        }
        let digest = name_or_digest.parse().ok().filter(|digest| self.manifests.contains_key(digest));
        digest.ok_or_else(|| {
            Error::new(Code::NotFound, "nothing in the store has this name")
                .subject(crate::digest::shown(name_or_digest))
        })
    }

    /// Drops what can't be reached from what was put in, and is not on its way in.
    fn collect(&mut self) {
        let mut reached: HashSet<Digest> = HashSet::new();
        let mut next: Vec<Digest> = self.roots.iter().cloned().collect();
        while let Some(digest) = next.pop() {
            if !reached.insert(digest.clone()) {
                continue;
            }
            let (Some(descriptor), Some(raw)) = (self.manifests.get(&digest), self.blobs.get(&digest)) else {
                continue;
            };
            let below: Vec<Digest> = match AnyManifest::from_bytes(raw.clone(), Some(descriptor.media_type.as_str())) {
                Ok(AnyManifest::Image(m)) => m.layers().iter().chain([m.config()]).map(|d| d.digest.clone()).collect(),
                Ok(AnyManifest::Index(m)) => m.manifests().iter().map(|d| d.digest.clone()).collect(),
                Err(_) => Vec::new(), // it was read when it came
            };
            next.extend(below);
        }
        let pinned = &self.pinned;
        let stays = |digest: &Digest| reached.contains(digest) || pinned.contains_key(digest);
        let gone: u64 = self.blobs.iter().filter(|(d, _)| !stays(d)).map(|(_, b)| b.len() as u64).sum();
        self.blobs.retain(|digest, _| stays(digest));
        self.manifests.retain(|digest, _| stays(digest));
        self.total -= gone;
    }
}

impl Inner {
    /// Room for so many bytes, given back unless they are kept.
    fn reserve(self: &Arc<Inner>, bytes: u64, subject: impl std::fmt::Display) -> Result<Room> {
        let mut state = lock(&self.state);
        let total = state.total.saturating_add(bytes);
        if total > self.max_bytes {
            let why = format!("the memory store takes {} bytes, and has {}", self.max_bytes, state.total);
            return Err(Error::new(Code::LimitExceeded, why).subject(subject));
        }
        state.total = total;
        Ok(Room { store: self.clone(), bytes })
    }
}

struct Room {
    store: Arc<Inner>,
    bytes: u64,
}

impl Room {
    /// Puts a blob where room was made for it.
    fn keep(mut self, digest: &Digest, blob: Bytes, manifest: Option<&Descriptor>) {
        let mut state = lock(&self.store.state);
        if let Some(descriptor) = manifest {
            state.manifests.entry(digest.clone()).or_insert_with(|| descriptor.clone());
        }
        if !state.blobs.contains_key(digest) {
            state.blobs.insert(digest.clone(), blob);
            drop(state);
            self.bytes = 0;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes > 0 {
            lock(&self.store.state).total -= self.bytes;
        }
    }
}

/// What one image or index that is being put in needs.
struct Pins {
    store: Arc<Inner>,
    digests: Mutex<Vec<Digest>>,
}

impl Pins {
    /// Whether it is there already, and stays.
    fn add(&self, digest: &Digest) -> bool {
        let mut state = lock(&self.store.state);
        *state.pinned.entry(digest.clone()).or_default() += 1;
        lock(&self.digests).push(digest.clone());
        state.blobs.contains_key(digest)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut state = lock(&self.store.state);
        for digest in lock(&self.digests).drain(..) {
            if let Some(count) = state.pinned.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    state.pinned.remove(&digest);
                }
            }
        }
    }
}

/// Takes images into the store.
struct Into {
    store: Arc<Inner>,
    pins: Pins,
    jobs: usize,
    foreign_layers: bool,
}

impl Into {
    fn take(&self, descriptor: &Descriptor, raw: &Bytes) -> Result<()> {
        self.pins.add(&descriptor.digest);
        let room = self.store.reserve(raw.len() as u64, &descriptor.digest)?;
        // What stands in an index about it is that index's to say.
        let plain = Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size);
        room.keep(&descriptor.digest, raw.clone(), Some(&plain));
        Ok(())
    }
}

impl Target for Into {
    fn blob<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        source: &'a Arc<dyn Source>,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            if self.pins.add(&blob.digest) {
                return Ok(());
            }
            let room = self.store.reserve(blob.size, &blob.digest)?;
            let size = usize::try_from(blob.size).unwrap_or(usize::MAX);
            let place = &self.store.place;
            let raw = source.open(ctx, blob, 0).await?;
            let all = verified(&place.engine, raw, &blob.digest, blob.size, &place.stats).collect(size).await?;
            room.keep(&blob.digest, all, None);
            Ok(())
        }
        .boxed()
    }
    fn manifest<'a>(&'a self, _: &'a Context, child: &'a Child) -> BoxFuture<'a, Result<()>> {
        futures_util::future::ready(self.take(child.descriptor(), child.raw())).boxed()
    }
    fn jobs(&self) -> usize {
        self.jobs
    }
    fn foreign_layers(&self) -> bool {
        self.foreign_layers
    }
}

/// The store as a source.
struct Stored(Arc<Inner>);

impl Source for Stored {
    fn open<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        async move {
            let found = lock(&self.0.state).blobs.get(&blob.digest).cloned();
            match found {
                Some(bytes) => Memory(bytes).open(ctx, blob, offset).await,
                None => Err(Error::new(Code::NotFound, "the store has no such blob").subject(&blob.digest)),
            }
        }
        .boxed()
    }
    fn has<'a>(&'a self, _: &'a Context, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool>> {
        futures_util::future::ready(Ok(lock(&self.0.state).blobs.contains_key(&blob.digest))).boxed()
    }
}

/// The store as a place for new layers.
struct MemorySink(Arc<Inner>);

impl Sink for MemorySink {
    fn begin<'a>(&'a self, _: &'a Context, _: &'a Place) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        async move {
            let room = self.0.reserve(0, "a new layer")?;
            Ok(Box::new(Growing { room, bytes: BytesMut::new() }) as Box<dyn BlobWriter>)
        }
        .boxed()
    }
}

/// A layer that is being made.
struct Growing {
    room: Room,
    bytes: BytesMut,
}

impl BlobOut for Growing {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        let more = self.room.store.reserve(chunk.len() as u64, "a new layer").map(|mut more| {
            self.room.bytes += std::mem::take(&mut more.bytes);
            self.bytes.extend_from_slice(&chunk);
        });
        futures_util::future::ready(more).boxed()
    }
}

impl BlobWriter for Growing {
    fn commit(self: Box<Self>, blob: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>> {
        let bytes = self.bytes.freeze();
        self.room.keep(&blob.digest, bytes.clone(), None);
        futures_util::future::ready(Ok(Arc::new(Memory(bytes)) as Arc<dyn Source>)).boxed()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStore({} bytes)", self.size())
    }
}
