//! The two roles of every medium that holds content: a [`Source`] gives blobs, a [`Sink`] takes them.

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::{Engine, Task};
use crate::error::{Code, Result};
use crate::name::{Reference, Repository};
use crate::oci::Descriptor;
use crate::remote::Client;
use crate::stream::{BlobOut, Chunks, SpoolBlob, Stats};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Gives blobs by descriptor. What it gives is not verified yet: [`crate::layer::Layer`] and its like do that.
pub(crate) trait Source: Send + Sync {
    /// The blob's bytes from `offset` on.
    fn open<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>>;
    /// Whether the blob is there, found out without reading it.
    fn has<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool>> {
        async move {
            match self.open(ctx, blob, 0).await {
                Ok(_) => Ok(true), // dropped: nothing of it flows
                Err(e) if e.code() == Code::NotFound => Ok(false),
                Err(e) => Err(e),
            }
        }
        .boxed()
    }
    /// Whether it keeps layers decompressed, too.
    fn keeps_plain(&self) -> bool {
        false
    }
    /// The tar with this digest that is inside the layer `blob`, where it is kept; not verified yet.
    fn open_plain<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Descriptor,
        _: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<Chunks>>> {
        futures_util::future::ready(Ok(None)).boxed()
    }
    /// The same chunks, which are inside the layer `blob`: kept as the tar with this digest while they pass, if that is
    /// what they are.
    fn keep_plain(&self, chunks: Chunks, _: &Descriptor, _: &Digest) -> Chunks {
        chunks
    }
    /// The blob's bytes in a range that lies within it. What can, fetches no more than these.
    fn open_range<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks>> {
        async move { Ok(self.open(ctx, blob, range.start).await?.take(range.end - range.start)) }.boxed()
    }
    /// The repository that holds its blobs, where it is one: a push there has nothing to send.
    fn repository(&self) -> Option<(&Client, &Repository)> {
        None
    }
}

/// Takes new blobs whose digest is not known before their last byte.
pub(crate) trait Sink: Send + Sync {
    fn begin<'a>(&'a self, ctx: &'a Context, place: &'a Place) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>>;
    /// The repository behind it, where it is one; its client's counters and life apply.
    fn repository(&self) -> Option<(&Client, &Reference)> {
        None
    }
}

/// A blob on its way into a sink. Dropped before `commit`, it leaves nothing behind.
pub(crate) trait BlobWriter: BlobOut {
    fn commit(self: Box<Self>, blob: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>>;
}

/// Where work is done: the engine, the counters, and the directory of spool files.
#[derive(Clone)]
pub(crate) struct Place {
    pub engine: Arc<Engine>,
    pub stats: Arc<Stats>,
    pub spool_dir: PathBuf,
}

impl Place {
    /// For work without a client. Reads the environment, so: on the caller's thread.
    pub(crate) fn here() -> Result<Place> {
        Ok(Place { engine: Engine::get()?, stats: Arc::default(), spool_dir: std::env::temp_dir() })
    }
}

/// Bytes in memory, whatever descriptor is asked for.
pub(crate) struct Memory(pub Bytes);

impl Source for Memory {
    fn open<'a>(&'a self, _: &'a Context, _: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        futures_util::future::ready(Ok(Chunks::from_bytes(self.0.slice(from..)))).boxed()
    }
}

impl Source for SpoolBlob {
    fn open<'a>(&'a self, _: &'a Context, _: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        futures_util::future::ready(Ok(SpoolBlob::open(self, offset))).boxed()
    }
}

/// Who does the work of a value: a client, or nobody in particular.
#[derive(Clone)]
pub(crate) enum Home {
    Client(Client),
    Local(Place),
}

impl Home {
    pub(crate) fn place(&self) -> &Place {
        match self {
            Home::Client(client) => client.place(),
            Home::Local(place) => place,
        }
    }
    pub(crate) fn spawn<T, F>(&self, ctx: &Context, future: impl FnOnce(Context) -> F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match self {
            Home::Client(client) => client.spawn(ctx, future),
            Home::Local(place) => place.engine.spawn(ctx, future),
        }
    }
}
