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
    manifests: HashMap<Digest, Kept>,
    /// What was put in without a name.
    roots: HashSet<Digest>,
    names: BTreeMap<String, Digest>,
    /// What is being put in, and values that were had, need these and all below them: how many times over.
    pinned: HashMap<Digest, usize>,
    /// Bytes that are here or on their way.
    total: u64,
}

struct Kept {
    descriptor: Descriptor,
    /// What it names.
    below: Vec<Digest>,
}

impl MemoryStore {
    /// An empty store that takes at most `max_bytes` of manifests and blobs.
    pub fn new(max_bytes: u64) -> Result<MemoryStore> {
        match max_bytes {
            0 => Err(invalid("max_bytes is 0")),
            _ => Ok(MemoryStore(Arc::new(Inner { max_bytes, state: Mutex::default(), place: Place::here()? }))),
        }
    }

    /// Takes an image in with all of its blobs, and gives it `name`, which another one may have had: that one goes once
    /// this one is in, so that there must be room for both. `None`: it is found by its digest, and stays until it is
    /// removed by its digest, whatever becomes of names that it has besides. What is there already needs no room.
    ///
    /// Errors: `LimitExceeded`: there is no room; those of reading it. Options: jobs, foreign_layers.
    pub fn add_image(&self, name: Option<&str>, image: &Image, options: &Options, ctx: &Context) -> Task<()> {
        self.add(name, Child::Image(image.clone()), options, ctx)
    }
    /// As [`MemoryStore::add_image`], with all that is below the index.
    pub fn add_index(&self, name: Option<&str>, index: &Index, options: &Options, ctx: &Context) -> Task<()> {
        self.add(name, Child::Index(index.clone()), options, ctx)
    }
    /// The image with this name or digest, or below an index with one; of an index, the one for the options' platform.
    /// For as long as it lives, or a layer of it, all of it stays in the store, removed or not.
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
    /// The index with this name or digest, as [`MemoryStore::image`]. Errors: `NotFound`; `InvalidArgument`: it is an image. Options: none.
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
    /// How many bytes are in it, with those on their way in.
    pub fn size(&self) -> u64 {
        lock(&self.0.state).total
    }
    /// Takes a name away, or an image or index by its digest with all its names. What can't be reached from a name, from
    /// what was put in without one, or from a value that was had, is gone.
    ///
    /// Errors: `NotFound`; `InvalidState`: it is there as a part of something else only, which the message names.
    pub fn remove(&self, name_or_digest: &str) -> Result<()> {
        let mut state = lock(&self.0.state);
        if state.names.remove(name_or_digest).is_none() {
            let digest = state.find(name_or_digest)?;
            if !state.is_held(&digest) {
                let why = format!("it is part of {}, and goes with it", state.holder(&digest));
                return Err(Error::new(Code::InvalidState, why).subject(&digest));
            }
            state.names.retain(|_, named| *named != digest);
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
        let pins = Pins::new(&self.0);
        let into = Into { store: self.0.clone(), pins, jobs, foreign_layers: options.foreign_layers };
        child.home().clone().spawn(ctx, |ctx| async move {
            below(&child, &into, &ctx).await?;
            into.take(child.descriptor(), child.raw())?;
            let (mut state, digest) = (lock(&into.store.state), child.descriptor().digest.clone());
            match name {
                Some(name) => drop(state.names.insert(name, digest)),
                None => drop(state.roots.insert(digest)),
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
            let found = state.manifests.get(&digest).map(|kept| kept.descriptor.clone());
            drop(state);
            let found = found.ok_or_else(|| Error::new(Code::NotFound, "no manifest of the store").subject(&digest))?;
            Ok((found, self.0.pinned(&digest)?))
        };
        let (root, pins) = match find() {
            Ok(found) => found,
            Err(e) => return Task::ready(Err(e)),
        };
        let home = Home::Local(self.0.place.clone());
        let content = Content { source: Arc::new(Stored(pins)), home: home.clone() };
        home.spawn(ctx, |ctx| async move { of(content.open(&ctx, &root).await?) })
    }
}

impl SinkHandle {
    /// A memory store as a place for new layers. A layer that was made into it stays there while it lives, and for as
    /// long as what is put in with it.
    pub fn memory(store: &MemoryStore) -> SinkHandle {
        SinkHandle(Arc::new(MemorySink(store.0.clone())))
    }
}

impl State {
    fn find(&self, name_or_digest: &str) -> Result<Digest> {
        if let Some(digest) = self.names.get(name_or_digest) {
            return Ok(digest.clone());
        }
        let digest = name_or_digest.parse().ok().filter(|digest| {
            let there = self.manifests.contains_key(digest);
            there
                && (self.is_held(digest) || self.reached(self.roots.iter().chain(self.names.values())).contains(digest))
        });
        digest.ok_or_else(|| {
            Error::new(Code::NotFound, "nothing in the store has this name")
                .subject(crate::digest::shown(name_or_digest))
        })
    }

    /// Whether it has a name, or was put in without one.
    fn is_held(&self, digest: &Digest) -> bool {
        self.roots.contains(digest) || self.names.values().any(|named| named == digest)
    }

    /// What has this among its parts, with a name where it has one.
    fn holder(&self, part: &Digest) -> String {
        let named =
            self.names.iter().map(|(name, digest)| (format!("{} ({digest})", crate::digest::shown(name)), digest));
        let mut all = named.chain(self.roots.iter().map(|digest| (digest.to_string(), digest)));
        let found = all.find(|(_, digest)| self.reached([*digest]).contains(part));
        found.map_or_else(|| "something else".to_owned(), |(name, _)| name)
    }

    /// These and all below them.
    fn reached<'a>(&'a self, from: impl IntoIterator<Item = &'a Digest>) -> HashSet<&'a Digest> {
        let (mut reached, mut next) = (HashSet::new(), from.into_iter().collect::<Vec<_>>());
        while let Some(digest) = next.pop() {
            if reached.insert(digest) {
                next.extend(self.manifests.get(digest).into_iter().flat_map(|kept| &kept.below));
            }
        }
        reached
    }

    /// Drops what can't be reached from what has a name, was put in without one, or is pinned.
    fn collect(&mut self) {
        let reached = self.reached(self.roots.iter().chain(self.names.values()).chain(self.pinned.keys()));
        let gone: Vec<Digest> = self.blobs.keys().filter(|digest| !reached.contains(digest)).cloned().collect();
        for digest in gone {
            self.manifests.remove(&digest);
            self.total -= self.blobs.remove(&digest).map_or(0, |blob| blob.len() as u64);
        }
    }

    /// Remembers that a blob is a manifest.
    fn keep_manifest(&mut self, descriptor: &Descriptor, raw: &Bytes) {
        let below = match AnyManifest::from_bytes(raw.clone(), Some(descriptor.media_type.as_str())) {
            Ok(AnyManifest::Image(m)) => m.layers().iter().chain([m.config()]).map(|d| d.digest.clone()).collect(),
            Ok(AnyManifest::Index(m)) => m.manifests().iter().map(|d| d.digest.clone()).collect(),
            Err(_) => Vec::new(), // it was read when it came
        };
        // What stands in an index about it is that index's to say.
        let plain = Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size);
        self.manifests.entry(descriptor.digest.clone()).or_insert(Kept { descriptor: plain, below });
    }
}

impl Inner {
    /// A hold on something that is there, and all below it.
    fn pinned(self: &Arc<Inner>, digest: &Digest) -> Result<Pins> {
        let pins = Pins::new(self);
        match pins.add(digest) {
            true => Ok(pins),
            false => Err(Error::new(Code::NotFound, "it was removed just now").subject(digest)),
        }
    }

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
    fn keep(mut self, digest: &Digest, blob: Bytes) {
        let mut state = lock(&self.store.state);
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

/// What somebody needs: one image or index that is being put in, or a value that was had. What nobody needs any more
/// is gone with the last of them.
struct Pins {
    store: Arc<Inner>,
    digests: Mutex<Vec<Digest>>,
}

impl Pins {
    fn new(store: &Arc<Inner>) -> Pins {
        Pins { store: store.clone(), digests: Mutex::default() }
    }
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
        if self.store.place.engine.check_pid().is_err() {
            return; // in a forked child a thread of the parent may have it locked for ever
        }
        let mut state = lock(&self.store.state);
        let mut free = false;
        for digest in lock(&self.digests).drain(..) {
            if let Some(count) = state.pinned.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    state.pinned.remove(&digest);
                    free = true;
                }
            }
        }
        if free {
            state.collect();
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
        if !self.pins.add(&descriptor.digest) {
            let room = self.store.reserve(raw.len() as u64, &descriptor.digest)?;
            room.keep(&descriptor.digest, raw.clone());
        }
        lock(&self.store.state).keep_manifest(descriptor, raw);
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
            room.keep(&blob.digest, all);
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

/// The store as a source of what is pinned.
struct Stored(Pins);

impl Source for Stored {
    fn open<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        async move {
            let found = lock(&self.0.store.state).blobs.get(&blob.digest).cloned();
            match found {
                Some(bytes) => Memory(bytes).open(ctx, blob, offset).await,
                None => Err(Error::new(Code::NotFound, "the store has no such blob").subject(&blob.digest)),
            }
        }
        .boxed()
    }
    fn has<'a>(&'a self, _: &'a Context, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool>> {
        futures_util::future::ready(Ok(lock(&self.0.store.state).blobs.contains_key(&blob.digest))).boxed()
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
        let pins = Pins::new(&self.room.store);
        pins.add(&blob.digest);
        self.room.keep(&blob.digest, self.bytes.freeze());
        futures_util::future::ready(Ok(Arc::new(Stored(pins)) as Arc<dyn Source>)).boxed()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStore({} bytes)", self.size())
    }
}
