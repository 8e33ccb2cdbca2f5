//! An index: images by platform, or other indexes.

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::oci::{AnyManifest, Descriptor, IndexManifest, Manifest, Platform};
use crate::options::Options;
use crate::source::Home;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Gives the manifests that an index names.
pub(crate) trait Children: Send + Sync {
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>>;
    /// The image whose manifest this is.
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image;
}

/// What a name can stand for, and an index can hold.
#[derive(Clone, Debug)]
pub enum Child {
    /// An image.
    Image(Image),
    /// An index.
    Index(Index),
}

impl Child {
    /// Media type, digest and size of the manifest.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Child::Image(i) => i.descriptor(),
            Child::Index(i) => i.descriptor(),
        }
    }
    /// The manifest's exact bytes.
    pub fn raw(&self) -> &Bytes {
        match self {
            Child::Image(i) => i.manifest().raw(),
            Child::Index(i) => i.manifest().raw(),
        }
    }
    pub(crate) fn home(&self) -> &Home {
        match self {
            Child::Image(i) => i.home(),
            Child::Index(i) => &i.0.home,
        }
    }
}

/// An index. A clone is the same index.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    descriptor: Descriptor,
    manifest: IndexManifest,
    children: Arc<dyn Children>,
    home: Home,
}

impl Index {
    pub(crate) fn new(
        descriptor: Descriptor,
        manifest: IndexManifest,
        children: Arc<dyn Children>,
        home: Home,
    ) -> Index {
        Index(Arc::new(Inner { descriptor, manifest, children, home }))
    }
    /// Media type, digest and size of the index.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }
    /// The digest of the index.
    pub fn digest(&self) -> &Digest {
        &self.0.descriptor.digest
    }
    /// The index document: its exact bytes and what they say.
    pub fn manifest(&self) -> &IndexManifest {
        &self.0.manifest
    }

    /// The image with this digest, or the best one for this platform.
    ///
    /// Errors: `NotFound` where the index names none; those of reading it. Options: none.
    pub fn image(&self, digest_or_platform: &str, options: &Options, ctx: &Context) -> Task<Image> {
        match options.only("index image", &[]).and_then(|()| self.find(digest_or_platform)) {
            Err(e) => Task::ready(Err(e)),
            Ok(found) => {
                let index = self.clone();
                self.0.home.spawn(ctx, |ctx| async move {
                    match index.read(&ctx, &found).await? {
                        Child::Image(image) => Ok(image),
                        Child::Index(_) => Err(invalid("this is an index, not an image").subject(&found.digest)),
                    }
                })
            }
        }
    }

    /// The nested index with this digest.
    pub fn child(&self, digest: &str, options: &Options, ctx: &Context) -> Task<Index> {
        match options.only("index child", &[]).and_then(|()| self.find(digest)) {
            Err(e) => Task::ready(Err(e)),
            Ok(found) => {
                let index = self.clone();
                self.0.home.spawn(ctx, |ctx| async move {
                    match index.read(&ctx, &found).await? {
                        Child::Index(index) => Ok(index),
                        Child::Image(_) => Err(invalid("this is an image, not an index").subject(&found.digest)),
                    }
                })
            }
        }
    }

    fn find(&self, digest_or_platform: &str) -> Result<Descriptor> {
        let manifests = self.0.manifest.manifests();
        let found = match digest_or_platform.parse::<Digest>() {
            Ok(digest) => manifests
                .iter()
                .find(|d| d.digest == digest)
                .ok_or_else(|| Error::new(Code::NotFound, "the index names no such manifest").subject(&digest))?,
            Err(_) => self.0.manifest.pick(&digest_or_platform.parse::<Platform>()?)?,
        };
        Ok(found.clone())
    }

    /// One child, verified against its descriptor.
    pub(crate) async fn read(&self, ctx: &Context, child: &Descriptor) -> Result<Child> {
        let raw = self.0.children.manifest(ctx, child).await?;
        match AnyManifest::from_bytes(raw, Some(child.media_type.as_str())).map_err(|e| e.or_subject(&child.digest))? {
            AnyManifest::Image(m) => Ok(Child::Image(self.0.children.image(child.clone(), m))),
            AnyManifest::Index(m) => {
                Ok(Child::Index(Index::new(child.clone(), m, self.0.children.clone(), self.0.home.clone())))
            }
        }
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({})", self.digest())
    }
}
