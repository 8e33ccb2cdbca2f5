//! From a reference to a descriptor, an image or an index (distribution spec, "Pulling manifests").

use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::index::{Child, Children, Index};
use crate::name::{Reference, Repository};
use crate::oci::{AnyManifest, DEFAULT_MAX_MANIFEST, Descriptor, IndexManifest, Manifest, MediaType, Platform};
use crate::options::Options;
use crate::remote::Client;
use crate::remote::blob::Remote;
use crate::source::{Home, Source};
use crate::transport::{Call, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::ACCEPT;
use http::{Method, StatusCode};
use std::sync::Arc;

/// Every kind of manifest, in one header: what a reference names is not known before.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json";

impl Client {
    /// What a reference names: media type, digest, size. With a platform in the options, the image for it, the same as
    /// [`Client::pull`] gives.
    ///
    /// Errors: `NotFound`, `Unauthenticated`, `Denied`, `Unavailable`; `DigestMismatch` where the answer is not what
    /// the reference's digest names. Options: platform.
    pub fn resolve(&self, reference: &Reference, options: &Options, ctx: &Context) -> Task<Descriptor> {
        if let Err(e) = options.only("resolve", &["platform"]) {
            return Task::ready(Err(e));
        }
        let (client, reference, platform) = (self.clone(), reference.clone(), options.platform.clone());
        self.spawn(ctx, |ctx| async move {
            let named = |e: Error| e.or_subject(&reference);
            match platform {
                None => client.head(&ctx, &reference).await.map_err(named),
                Some(platform) => match client.get(&ctx, &reference).await.map_err(named)? {
                    (_, Child::Index(index)) => Ok(index.entry_for(&ctx, &platform).await.map_err(named)?.1),
                    (descriptor, Child::Image(_)) => Ok(descriptor),
                },
            }
        })
    }

    /// The image that a reference names; of an index, the one for the options' platform (linux/amd64 by default), as
    /// [`Index::image`] finds it.
    ///
    /// Errors: as for [`Client::resolve`]; `NotFound` where the index has no such platform; `Malformed`,
    /// `Unsupported` (schema 1) for what is no image. Options: platform.
    pub fn pull(&self, reference: &Reference, options: &Options, ctx: &Context) -> Task<Image> {
        if let Err(e) = options.only("pull", &["platform"]) {
            return Task::ready(Err(e));
        }
        let (client, reference) = (self.clone(), reference.clone());
        let platform = options.platform.clone().unwrap_or_default();
        self.spawn(ctx, |ctx| async move {
            let found = client.find_image(&ctx, &reference, &platform).await;
            found.map_err(|e| e.or_subject(&reference))
        })
    }

    /// The index that a reference names. Errors: as for [`Client::resolve`]; `InvalidArgument` where it names an
    /// image. Options: none.
    pub fn pull_index(&self, reference: &Reference, options: &Options, ctx: &Context) -> Task<Index> {
        if let Err(e) = options.only("pull_index", &[]) {
            return Task::ready(Err(e));
        }
        let (client, reference) = (self.clone(), reference.clone());
        self.spawn(ctx, |ctx| async move {
            match client.get(&ctx, &reference).await.map_err(|e| e.or_subject(&reference))? {
                (_, Child::Index(index)) => Ok(index),
                (_, Child::Image(_)) => {
                    Err(Error::new(Code::InvalidArgument, "this names an image, not an index").subject(&reference))
                }
            }
        })
    }

    /// Whatever a reference names; with a platform in the options, the image for it.
    ///
    /// Errors: as for [`Client::pull`]. Options: platform.
    pub fn pull_any(&self, reference: &Reference, options: &Options, ctx: &Context) -> Task<Child> {
        if let Err(e) = options.only("pull_any", &["platform"]) {
            return Task::ready(Err(e));
        }
        let (client, reference, platform) = (self.clone(), reference.clone(), options.platform.clone());
        self.spawn(ctx, |ctx| async move {
            let found = match platform {
                Some(platform) => client.find_image(&ctx, &reference, &platform).await.map(Child::Image),
                None => client.get(&ctx, &reference).await.map(|(_, child)| child),
            };
            found.map_err(|e| e.or_subject(&reference))
        })
    }

    async fn find_image(&self, ctx: &Context, reference: &Reference, platform: &Platform) -> Result<Image> {
        self.get(ctx, reference).await?.1.image_for(ctx, platform).await
    }

    /// `HEAD`, or `GET` where a registry does not answer that in full.
    async fn head(&self, ctx: &Context, reference: &Reference) -> Result<Descriptor> {
        let path = format!("manifests/{}", reference.identifier());
        let call = Call::new(Method::HEAD, reference.repository(), &path).header(ACCEPT, ACCEPTED)?;
        let answer = self.transport().call(ctx, &mut self.budget(), &call).await?;
        if answer.status() == StatusCode::OK
            && let (Some(media_type), Some(size)) = (answer.header("content-type"), answer.content_length())
            && let Some(Ok(digest)) = answer.header("docker-content-digest").map(str::parse::<Digest>)
            && reference.digest().is_none_or(|wanted| *wanted == digest)
        {
            return Ok(Descriptor::new(MediaType::from_content_type(media_type), digest, size));
        }
        // A HEAD's failure has no body to tell why: GET does.
        let (bytes, media_type, digest) =
            self.get_raw(ctx, reference.repository(), reference.identifier(), reference.digest()).await?;
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    async fn get(&self, ctx: &Context, reference: &Reference) -> Result<(Descriptor, Child)> {
        let repository = reference.repository();
        let (bytes, media_type, digest) =
            self.get_raw(ctx, repository, reference.identifier(), reference.digest()).await?;
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        let remote = RemoteManifests { client: self.clone(), repository: repository.clone() };
        let child = match AnyManifest::from_bytes(bytes, Some(descriptor.media_type.as_str()))? {
            AnyManifest::Image(manifest) => {
                Child::Image(remote.image(typed(&descriptor, manifest.media_type()), manifest))
            }
            AnyManifest::Index(manifest) => {
                Child::Index(remote.index(typed(&descriptor, manifest.media_type()), manifest))
            }
        };
        Ok((child.descriptor().clone(), child))
    }

    /// A manifest's bytes, media type and digest. The digest is computed, never believed.
    async fn get_raw(
        &self,
        ctx: &Context,
        repository: &Repository,
        identifier: &str,
        wanted: Option<&Digest>,
    ) -> Result<(Bytes, MediaType, Digest)> {
        let path = format!("manifests/{identifier}");
        let call = Call::new(Method::GET, repository, &path).header(ACCEPT, ACCEPTED)?;
        let mut budget = self.budget();
        loop {
            let answer = self.transport().call(ctx, &mut budget, &call).await?;
            if answer.status() != StatusCode::OK {
                return Err(answer.into_error().await);
            }
            let failure = match read_manifest(answer, wanted).await {
                Err(e) if e.get_retry_after().is_some() => e,
                other => return other,
            };
            tokio::time::sleep(budget.spend(failure)?).await; // the body broke
        }
    }
}

async fn read_manifest(answer: Response, wanted: Option<&Digest>) -> Result<(Bytes, MediaType, Digest)> {
    let media_type = MediaType::from_content_type(answer.header("content-type").unwrap_or_default());
    let expected = answer.content_length();
    let told = answer.header("docker-content-digest").and_then(|t| t.parse::<Digest>().ok());
    let bytes = answer.bytes(DEFAULT_MAX_MANIFEST, "the manifest").await?;
    if expected.is_some_and(|n| n != bytes.len() as u64) {
        let why = "the manifest's body ended early";
        return Err(Error::new(Code::DigestMismatch, why).retry_after(std::time::Duration::ZERO));
    }
    let algorithm = wanted.or(told.as_ref()).map_or(Algorithm::Sha256, Digest::algorithm);
    let digest = Digest::of(algorithm, &bytes);
    // A tag's digest is the registry's word; what does not fit it was changed on the way. (Schema 1 is signed over
    // less than its bytes, and is refused later anyway.)
    let named = wanted.or(told.as_ref().filter(|_| !media_type.is_schema1()));
    match named {
        Some(named) if *named != digest => {
            let why = format!("the registry's answer has the digest {digest}, not {named}");
            Err(Error::new(Code::DigestMismatch, why))
        }
        _ => Ok((bytes, media_type, digest)),
    }
}

/// Registries leave the Content-Type out, or say something general; the document knows.
fn typed(descriptor: &Descriptor, media_type: &MediaType) -> Descriptor {
    Descriptor { media_type: media_type.clone(), ..descriptor.clone() }
}

/// A repository as a source of manifests.
struct RemoteManifests {
    client: Client,
    repository: Repository,
}

impl RemoteManifests {
    fn index(self, descriptor: Descriptor, manifest: IndexManifest) -> Index {
        let home = Home::Client(self.client.clone());
        Index::new(descriptor, manifest, Arc::new(self), home)
    }
}

impl Children for RemoteManifests {
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
        async move {
            if child.size > DEFAULT_MAX_MANIFEST {
                let why = format!("the manifest is larger than {DEFAULT_MAX_MANIFEST} bytes");
                return Err(Error::new(Code::LimitExceeded, why).subject(&child.digest));
            }
            let identifier = child.digest.as_str();
            let (bytes, _, _) = self.client.get_raw(ctx, &self.repository, identifier, Some(&child.digest)).await?;
            if bytes.len() as u64 != child.size {
                let why = format!("the manifest has {} bytes, and its index says {}", bytes.len(), child.size);
                return Err(Error::new(Code::DigestMismatch, why).subject(&child.digest));
            }
            Ok(bytes)
        }
        .boxed()
    }
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image {
        let source: Arc<dyn Source> =
            Arc::new(Remote { client: self.client.clone(), repository: self.repository.clone() });
        Image::new(descriptor, manifest, &source, Home::Client(self.client.clone()))
    }
}
