//! Where the bytes of new layers go while they are made.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::name::Reference;
use crate::oci::Descriptor;
use crate::remote::{Client, Uploader};
use crate::source::{BlobWriter, Place, Sink, Source};
use crate::stream::{BlobOut, Spool, SpoolBlob};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A place for new layers; a clone is the same place.
#[derive(Clone)]
pub struct SinkHandle(pub(crate) Arc<dyn Sink>);

impl SinkHandle {
    /// A repository of a registry: the layer is uploaded while it is compressed, and a push of an image with it finds
    /// it there. Tag and digest of the reference play no part.
    pub fn repository(client: &Client, reference: &Reference) -> SinkHandle {
        SinkHandle(Arc::new(RepositorySink { client: client.clone(), reference: reference.clone() }))
    }
    /// A file without a name in the directory for temporary files: gone with the last value that reads it.
    pub fn spool() -> SinkHandle {
        SinkHandle(Arc::new(SpoolSink))
    }
}

struct RepositorySink {
    client: Client,
    reference: Reference,
}

impl Sink for RepositorySink {
    fn begin<'a>(&'a self, ctx: &'a Context, _: &'a Place) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        let up =
            Uploader { client: self.client.clone(), repository: self.reference.repository().clone(), ctx: ctx.clone() };
        async move { Ok(Box::new(up.stream().await?) as Box<dyn BlobWriter>) }.boxed()
    }
    fn repository(&self) -> Option<(&Client, &Reference)> {
        Some((&self.client, &self.reference))
    }
}

struct SpoolSink;

impl Sink for SpoolSink {
    fn begin<'a>(&'a self, _: &'a Context, place: &'a Place) -> BoxFuture<'a, Result<Box<dyn BlobWriter>>> {
        async move { Ok(Box::new(spool(place).await?) as Box<dyn BlobWriter>) }.boxed()
    }
}

async fn spool(place: &Place) -> Result<Spool> {
    Spool::create(&place.engine, &place.spool_dir, &place.stats).await
}

impl BlobWriter for Spool {
    fn commit(self: Box<Self>, _: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>> {
        async move { Ok(Arc::new(self.finish().await?) as Arc<dyn Source>) }.boxed()
    }
}

/// An upload of bytes that can't be had a second time: they are kept in a spool until the registry has them all.
pub(crate) struct Tee {
    spool: Box<Spool>,
    upload: Option<Box<dyn BlobWriter>>,
    up: Uploader,
}

impl Tee {
    pub(crate) async fn begin(
        ctx: &Context,
        place: &Place,
        client: &Client,
        sink: &SinkHandle,
        reference: &Reference,
    ) -> Result<Tee> {
        let spool = Box::new(spool(place).await?);
        let upload = Some(sink.0.begin(ctx, place).await?);
        let up = Uploader { client: client.clone(), repository: reference.repository().clone(), ctx: ctx.clone() };
        Ok(Tee { spool, upload, up })
    }
}

/// Whether an upload that failed so may succeed once the whole blob is there: later, in pieces, or in a new session.
fn from_the_spool(e: &Error) -> bool {
    let session = matches!(e.get_registry_code(), Some("BLOB_UPLOAD_UNKNOWN" | "BLOB_UPLOAD_INVALID"));
    e.get_retry_after().is_some() || e.get_http_status() == Some(413) || session
}

impl BlobOut for Tee {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            self.spool.write(chunk.clone()).await?;
            if let Some(upload) = &mut self.upload {
                match upload.write(chunk).await {
                    Ok(()) => {}
                    // It can be sent again from the spool, once it is whole.
                    Err(e) if from_the_spool(&e) => self.upload = None,
                    Err(e) => return Err(e),
                }
            }
            Ok(())
        }
        .boxed()
    }
}

impl BlobWriter for Tee {
    fn commit(self: Box<Self>, blob: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>> {
        async move {
            let Tee { spool, upload, up } = *self;
            if let Some(upload) = upload {
                match upload.commit(blob.clone()).await {
                    Err(e) if from_the_spool(&e) => {}
                    other => return other,
                }
            }
            let kept = Arc::new(spool.finish().await?);
            let open = kept.clone();
            up.put(
                &blob,
                None,
                Arc::new(move |offset| {
                    let chunks = SpoolBlob::open(&open, offset);
                    async move { Ok(chunks) }.boxed()
                }),
            )
            .await?;
            Ok(kept as Arc<dyn Source>)
        }
        .boxed()
    }
}

impl std::fmt::Debug for SinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkHandle").finish_non_exhaustive()
    }
}
