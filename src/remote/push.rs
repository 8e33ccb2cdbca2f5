//! Images, indexes and layers into a repository: what it lacks, each blob once, the tag last.

use crate::context::{Context, Event};
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::layer::Layer;
use crate::name::{Reference, Repository};
use crate::oci::Descriptor;
use crate::options::Options;
use crate::remote::Client;
use crate::remote::upload::{Outcome, Uploader, put_manifest};
use crate::source::{Place, Source};
use crate::stream::{Chunks, verified};
use crate::transfer::{self, Target};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Blobs in flight where the options say nothing; how many of them really move depends on their size.
const JOBS: u32 = 16;
impl Client {
    /// Puts an image where the reference says: its blobs, as far as the repository lacks them, then its manifest,
    /// and the tag last.
    ///
    /// Errors: `Unauthenticated`, `Denied`; `DigestMismatch` where the reference has a digest that is not the
    /// image's, or a blob's source gives other bytes than promised. Options: jobs, mount_from, foreign_layers.
    pub fn push(&self, reference: &Reference, image: &Image, options: &Options, ctx: &Context) -> Task<()> {
        let image = image.clone();
        self.start_push(reference, options, ctx, move |push, name| {
            async move { push.all(&Child::Image(image), &name).await }.boxed()
        })
    }

    /// Puts an index and everything below it where the reference says. Errors and options: as for
    /// [`Client::push`]; `LimitExceeded` where it nests too deep.
    pub fn push_index(&self, reference: &Reference, index: &Index, options: &Options, ctx: &Context) -> Task<()> {
        let index = index.clone();
        self.start_push(reference, options, ctx, move |push, name| {
            async move { push.all(&Child::Index(index), &name).await }.boxed()
        })
    }

    /// Puts an image or an index where the reference says: [`Client::push`] or [`Client::push_index`].
    pub fn push_any(&self, reference: &Reference, value: &Child, options: &Options, ctx: &Context) -> Task<()> {
        match value {
            Child::Image(image) => self.push(reference, image, options, ctx),
            Child::Index(index) => self.push_index(reference, index, options, ctx),
        }
    }

    /// Makes sure that a layer's blob is in a repository. Options: jobs, mount_from.
    pub fn push_layer(&self, repository: &Reference, layer: &Layer, options: &Options, ctx: &Context) -> Task<()> {
        let layer = layer.clone();
        if options.foreign_layers {
            return Task::ready(Err(invalid("push_layer does not read the option 'foreign_layers'")));
        }
        self.start_push(repository, options, ctx, move |push, _| {
            async move { push.blob(layer.descriptor(), layer.source()).await }.boxed()
        })
    }

    fn start_push(
        &self,
        reference: &Reference,
        options: &Options,
        ctx: &Context,
        work: impl FnOnce(Push, Reference) -> BoxFuture<'static, Result<()>> + Send + 'static,
    ) -> Task<()> {
        if let Err(e) = options.only("push", &["jobs", "mount_from", "foreign_layers"]) {
            return Task::ready(Err(e));
        }
        let (client, reference, options) = (self.clone(), reference.clone(), options.clone());
        self.spawn(ctx, |ctx| async move {
            let up = Uploader { client, repository: reference.repository().clone(), ctx };
            let push = Push {
                up,
                jobs: options.jobs.unwrap_or(JOBS).max(1) as usize,
                mount_from: options.mount_from,
                foreign_layers: options.foreign_layers,
            };
            work(push, reference.clone()).await.map_err(|e| e.or_subject(&reference))
        })
    }
}

struct Push {
    up: Uploader,
    jobs: usize,
    mount_from: Option<Repository>,
    foreign_layers: bool,
}

impl Target for Push {
    fn blob<'a>(
        &'a self,
        _: &'a Context,
        blob: &'a Descriptor,
        source: &'a Arc<dyn Source>,
    ) -> BoxFuture<'a, Result<()>> {
        Push::blob(self, blob, source).boxed()
    }
    fn manifest<'a>(&'a self, _: &'a Context, child: &'a Child) -> BoxFuture<'a, Result<()>> {
        async move {
            let by_digest = Reference::parse(&format!("{}@{}", self.up.repository, child.descriptor().digest))?;
            self.put(child, &by_digest).await
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

impl Push {
    async fn all(&self, value: &Child, name: &Reference) -> Result<()> {
        transfer::below(value, self, &self.up.ctx).await?;
        self.put(value, name).await
    }

    async fn blob(&self, blob: &Descriptor, source: &Arc<dyn Source>) -> Result<()> {
        let to = &self.up.repository;
        let from = source.repository().filter(|(_, r)| r.registry() == to.registry()).map(|(_, r)| r);
        if from == Some(to) {
            return self.told(blob, Outcome::Existed);
        }
        let mount_from = from.or(self.mount_from.as_ref().filter(|r| r.registry() == to.registry() && *r != to));
        let _place = self.up.client.transport().transfer(to.registry(), blob.size).await;
        let open = opener(blob.clone(), source.clone(), self.up.ctx.clone(), self.up.client.place().clone());
        let outcome = self.up.put(blob, mount_from, open).await.map_err(|e| e.or_subject(&blob.digest))?;
        self.told(blob, outcome)
    }

    fn told(&self, blob: &Descriptor, outcome: Outcome) -> Result<()> {
        let kind = match outcome {
            Outcome::Existed => "exists",
            Outcome::Mounted => "mount",
            Outcome::Uploaded => "upload",
        };
        let subject = blob.digest.to_string();
        self.up.ctx.count_bytes(blob.size);
        self.up.ctx.emit(&Event { kind, subject, done: blob.size, total: Some(blob.size), message: String::new() });
        Ok(())
    }

    async fn put(&self, value: &Child, name: &Reference) -> Result<()> {
        let (descriptor, raw) = (value.descriptor(), value.raw());
        if let Some(wanted) = name.digest()
            && *wanted != Digest::of(wanted.algorithm(), raw)
        {
            let why = format!("the reference names {wanted}, and this is {}", descriptor.digest);
            return Err(Error::new(Code::DigestMismatch, why));
        }
        // Where the registry lost a blob that this client has seen there, once more with open eyes.
        let identifier = name.tag().unwrap_or(name.identifier());
        let put = put_manifest(&self.up, identifier, descriptor.media_type.as_str(), raw.clone()).await;
        match put {
            Err(e) if e.get_registry_code() == Some("MANIFEST_BLOB_UNKNOWN") => {
                self.up.client.unlearn(&self.up.repository);
                match value {
                    Child::Image(image) => transfer::blobs(image, self, &self.up.ctx).await?,
                    Child::Index(_) => return Err(e),
                }
                put_manifest(&self.up, identifier, descriptor.media_type.as_str(), raw.clone()).await
            }
            other => other,
        }
    }
}

/// A blob's verified bytes from an offset on, as often as asked for.
fn opener(
    blob: Descriptor,
    source: Arc<dyn Source>,
    ctx: Context,
    place: Place,
) -> Arc<dyn Fn(u64) -> BoxFuture<'static, Result<Chunks>> + Send + Sync> {
    Arc::new(move |offset| {
        let (blob, source, ctx, place) = (blob.clone(), source.clone(), ctx.clone(), place.clone());
        async move {
            let chunks = source.open(&ctx, &blob, offset).await?;
            // A part can't be verified by itself; the registry verifies the whole.
            Ok(if offset == 0 {
                verified(&place.engine, chunks, &blob.digest, blob.size, &place.stats)
            } else {
                chunks
            })
        }
        .boxed()
    })
}
