//! The blobs of a layout: files named by their digests, read and written without trust in what lies there.

use super::files::{self, Temp};
use super::lock::Held;
use crate::context::{Context, Event};
use crate::digest::Digest;
use crate::error::{Code, Error, Result};
use crate::index::Child;
use crate::oci::{DEFAULT_MAX_MANIFEST, Descriptor};
use crate::sink::SinkHandle;
use crate::source::{BlobWriter, Place, Sink, Source};
use crate::stream::{BlobOut, Chunks, FileWriter, read_file, verified};
use crate::transfer::Target;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A layout as a source of its blobs.
#[derive(Clone)]
pub(super) struct Blobs {
    pub root: Arc<Path>,
    pub place: Place,
}

impl Blobs {
    /// Where the blob lies, if it is there.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder(digest).join(digest.hex())
    }
    fn folder(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name())
    }

    /// The blob's file and its size. Errors: `Malformed` where a link or the like is on the way to it.
    pub(super) fn find(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        if !files::is_dir(&self.root.join("blobs"))? || !files::is_dir(&self.folder(digest))? {
            return Ok(None);
        }
        files::open(&self.path(digest))
    }

    /// All of a manifest, verified; `None` where it is not there.
    ///
    /// Errors: `LimitExceeded`, `DigestMismatch`, `Malformed`, `Io`.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let (blobs, digest) = (self.clone(), digest.clone());
        let read = move || {
            let Some((file, _)) = blobs.find(&digest)? else { return Ok(None) };
            let bytes = files::read_open(&file, &blobs.path(&digest), DEFAULT_MAX_MANIFEST)?;
            let found = Digest::of(digest.algorithm(), &bytes);
            match found == digest {
                true => Ok(Some(bytes.into())),
                false => {
                    let why = format!("the content has digest {found}, not {digest}");
                    Err(Error::new(Code::DigestMismatch, why).subject(&digest))
                }
            }
        };
        self.place.engine.pool().run(read).await?
    }

    /// Makes the directory that the blob belongs into.
    fn prepare(&self, digest: &Digest, durable: bool) -> Result<()> {
        files::ensure_dir(&self.root.join("blobs"), durable)?;
        files::ensure_dir(&self.folder(digest), durable)
    }

    /// Whether a file of this name and size is there; where it is to last, it is flushed.
    fn has(&self, blob: &Descriptor, durable: bool) -> Result<bool> {
        match self.find(&blob.digest) {
            Ok(Some((file, size))) if size == blob.size => {
                if durable {
                    let path = self.path(&blob.digest);
                    file.sync_all().map_err(|e| Error::io("flushing", path.display(), &e))?;
                }
                Ok(true)
            }
            // A link or a file of another size gives way to the blob.
            Ok(_) => Ok(false),
            Err(e) if e.code() == Code::Malformed => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Source for Blobs {
    fn open<'a>(&'a self, _: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        async move {
            let (blobs, digest) = (self.clone(), blob.digest.clone());
            let found = self.place.engine.pool().run(move || blobs.find(&digest)).await??;
            let Some((file, size)) = found else {
                let why = format!("the blob is not in the layout {}", self.root.display());
                return Err(Error::new(Code::NotFound, why).subject(&blob.digest));
            };
            if size != blob.size {
                let why = format!("the blob's file has {size} bytes, not {}", blob.size);
                return Err(Error::new(Code::DigestMismatch, why).subject(&blob.digest));
            }
            let name = self.path(&blob.digest).to_string_lossy().into_owned();
            Ok(read_file(&self.place.engine, file, name, offset, size.saturating_sub(offset)))
        }
        .boxed()
    }
}

/// Whole images and indexes into a layout. While it lives, no garbage is collected there.
pub(super) struct Fill {
    pub blobs: Blobs,
    pub jobs: usize,
    pub foreign_layers: bool,
    pub durable: bool,
    pub held: Held,
}

impl Target for Fill {
    fn blob<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        source: &'a Arc<dyn Source>,
    ) -> BoxFuture<'a, Result<()>> {
        async move { self.copy(ctx, blob, source).await.map_err(|e| e.or_subject(&blob.digest)) }.boxed()
    }

    fn manifest<'a>(&'a self, _: &'a Context, child: &'a Child) -> BoxFuture<'a, Result<()>> {
        async move {
            let (descriptor, raw) = (child.descriptor().clone(), child.raw().clone());
            let (blobs, durable, held) = (self.blobs.clone(), self.durable, self.held.clone());
            let put = move || {
                let _held = held;
                if Digest::of(descriptor.digest.algorithm(), &raw) != descriptor.digest {
                    let why = "the manifest does not have the digest it was named by";
                    return Err(Error::new(Code::DigestMismatch, why).subject(&descriptor.digest));
                }
                blobs.prepare(&descriptor.digest, durable)?;
                match blobs.has(&descriptor, durable)? {
                    true => Ok(()),
                    false => files::write(&blobs.root, &raw, &blobs.path(&descriptor.digest), durable),
                }
            };
            self.blobs.place.engine.pool().run(put).await?
        }
        .boxed()
    }

    fn jobs(&self) -> usize {
        self.jobs
    }
    fn foreign_layers(&self) -> bool {
        self.foreign_layers
    }
}

impl Fill {
    async fn copy(&self, ctx: &Context, blob: &Descriptor, source: &Arc<dyn Source>) -> Result<()> {
        let place = &self.blobs.place;
        let (blobs, wanted, durable) = (self.blobs.clone(), blob.clone(), self.durable);
        let look = move || {
            blobs.prepare(&wanted.digest, durable)?;
            blobs.has(&wanted, durable)
        };
        if place.engine.pool().run(look).await?? {
            ctx.count_bytes(blob.size);
            tell(ctx, "exists", blob);
            return Ok(());
        }
        let chunks = source.open(ctx, blob, 0).await?;
        let mut chunks = verified(&place.engine, chunks, &blob.digest, blob.size, &place.stats);
        let counted = source.repository().is_some(); // a download counts itself
        let mut out = Writing::begin(&self.blobs).await?;
        while let Some(chunk) = chunks.next().await? {
            if !counted {
                ctx.count_bytes(chunk.len() as u64);
            }
            out.writer.put(chunk).await?;
        }
        out.publish(blob.clone(), self.durable).await?;
        tell(ctx, "stored", blob);
        Ok(())
    }
}

fn tell(ctx: &Context, kind: &'static str, blob: &Descriptor) {
    let subject = blob.digest.to_string();
    ctx.emit(&Event { kind, subject, done: blob.size, total: Some(blob.size), message: String::new() });
}

/// A blob on its way. Dropped before it is published, it leaves nothing.
struct Writing {
    blobs: Blobs,
    temp: Temp,
    writer: FileWriter,
}

impl Writing {
    async fn begin(blobs: &Blobs) -> Result<Writing> {
        let root = blobs.root.clone();
        let temp = blobs.place.engine.pool().run(move || Temp::make(&root)).await??;
        let subject = blobs.root.to_string_lossy().into_owned();
        let writer = FileWriter::new(&blobs.place.engine, temp.file().clone(), subject);
        Ok(Writing { blobs: blobs.clone(), temp, writer })
    }

    /// The blob under its digest, which the caller has seen to be its own.
    async fn publish(self, blob: Descriptor, durable: bool) -> Result<Arc<File>> {
        let Writing { blobs, temp, writer } = self;
        let size = writer.finish().await?;
        if size != blob.size {
            let why = format!("{size} bytes were written of a blob of {}", blob.size);
            return Err(Error::new(Code::Internal, why).subject(&blob.digest));
        }
        let engine = blobs.place.engine.clone();
        let publish = move || {
            blobs.prepare(&blob.digest, durable)?;
            temp.publish(&blobs.path(&blob.digest), durable)
        };
        engine.pool().run(publish).await?
    }
}

impl SinkHandle {
    /// A layout: the layer is written straight into it while it is compressed, and adding an image with it finds it
    /// there. It is garbage until then, but not collected while the layer lives.
    pub fn layout(layout: &super::Layout) -> SinkHandle {
        SinkHandle(Arc::new(LayoutSink(layout.blobs().clone())))
    }
}

struct LayoutSink(Blobs);

impl Sink for LayoutSink {
    fn begin<'a>(&'a self, _: &'a Context, _: &'a Place) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        async move {
            let root = self.0.root.clone();
            self.0.place.engine.pool().run(move || files::sweep(&root)).await??;
            Ok(Box::new(Writing::begin(&self.0).await?) as Box<dyn BlobWriter>)
        }
        .boxed()
    }
}

impl BlobOut for Writing {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        self.writer.put(chunk).boxed()
    }
}

impl BlobWriter for Writing {
    fn commit(self: Box<Self>, blob: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>> {
        async move {
            let (place, name) = (self.blobs.place.clone(), self.blobs.path(&blob.digest));
            let (name, size) = (name.to_string_lossy().into(), blob.size);
            let file = self.publish(blob, false).await?;
            Ok(Arc::new(Kept { place, file, name, size }) as Arc<dyn Source>)
        }
        .boxed()
    }
}

/// A blob that was just written here. The lock on its file, which it had as a temporary one, keeps it from being
/// collected.
struct Kept {
    place: Place,
    file: Arc<File>,
    name: Arc<str>,
    size: u64,
}

impl Source for Kept {
    fn open<'a>(&'a self, _: &'a Context, _: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        let left = self.size.saturating_sub(offset);
        let chunks = read_file(&self.place.engine, self.file.clone(), self.name.clone(), offset, left);
        futures_util::future::ready(Ok(chunks)).boxed()
    }
}
