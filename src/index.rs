//! An index: images by platform, or other indexes.

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::matcher::Matcher;
use crate::oci::{AnyManifest, Descriptor, IndexManifest, Manifest, Platform};
use crate::options::Options;
use crate::source::Home;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// An index that nests deeper is a trap, not an index.
pub(crate) const DEPTH: usize = 8;
/// Manifests below one index, at most.
pub(crate) const NODES: usize = 10_000;

pub(crate) fn too_deep() -> Error {
    Error::new(Code::LimitExceeded, format!("indexes nested deeper than {DEPTH}"))
}

/// Gives the manifests that an index names.
pub(crate) trait Children: Send + Sync {
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>>;
    /// The image whose manifest this is.
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image;
    /// The child itself, where it comes from elsewhere than the others.
    fn ready<'a>(&'a self, _: &'a Context, _: &'a Descriptor) -> BoxFuture<'a, Result<Option<Child>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Who gives what a nested index names, where that is somebody else.
    fn nested(&self, _: &Descriptor) -> Option<Arc<dyn Children>> {
        None
    }
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
    /// The image itself, or the index's image for the platform.
    pub(crate) async fn image_for(self, ctx: &Context, platform: &Platform) -> Result<Image> {
        let mut found = self;
        for _ in 0..=DEPTH {
            match found {
                Child::Image(image) => return Ok(image),
                Child::Index(index) => {
                    let child = index.manifest().pick(platform)?.clone();
                    found = index.read(ctx, &child).await?;
                }
            }
        }
        Err(too_deep())
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
    /// Bytes of it and of all that is below, once they were counted.
    size: OnceCell<u64>,
}

impl Index {
    pub(crate) fn new(
        descriptor: Descriptor,
        manifest: IndexManifest,
        children: Arc<dyn Children>,
        home: Home,
    ) -> Index {
        Index(Arc::new(Inner { descriptor, manifest, children, home, size: OnceCell::new() }))
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

    /// What the index runs on, as its entries say: each platform once, in their order.
    pub fn platforms(&self) -> Vec<Platform> {
        let mut found: Vec<Platform> = Vec::new();
        for platform in self.0.manifest.manifests().iter().filter_map(|d| d.platform.as_ref()) {
            if !found.contains(platform) {
                found.push(platform.clone());
            }
        }
        found
    }
    /// The entries that are meant, in their order. Nested indexes are not looked into.
    pub fn find(&self, matcher: &Matcher) -> Vec<Descriptor> {
        self.0.manifest.manifests().iter().filter(|d| matcher.matches(d)).cloned().collect()
    }
    /// The images among the entries that are meant; read and verified. Options: none.
    pub fn images(&self, matcher: &Matcher, options: &Options, ctx: &Context) -> Task<Vec<Image>> {
        self.chosen(
            matcher,
            options,
            ctx,
            |d| d.media_type.is_image(),
            |child| match child {
                Child::Image(image) => Some(image),
                Child::Index(_) => None,
            },
        )
    }
    /// The indexes among the entries that are meant; read and verified. Options: none.
    pub fn indexes(&self, matcher: &Matcher, options: &Options, ctx: &Context) -> Task<Vec<Index>> {
        self.chosen(
            matcher,
            options,
            ctx,
            |d| d.media_type.is_index(),
            |child| match child {
                Child::Index(index) => Some(index),
                Child::Image(_) => None,
            },
        )
    }

    fn chosen<T: Send + 'static>(
        &self,
        matcher: &Matcher,
        options: &Options,
        ctx: &Context,
        kind: impl Fn(&Descriptor) -> bool,
        of: fn(Child) -> Option<T>,
    ) -> Task<Vec<T>> {
        if let Err(e) = options.only("finding in an index", &[]) {
            return Task::ready(Err(e));
        }
        let found: Vec<Descriptor> = self.find(matcher).into_iter().filter(kind).collect();
        let index = self.clone();
        self.0.home.spawn(ctx, |ctx| async move {
            let mut values = Vec::new();
            for entry in &found {
                values.extend(of(index.read(&ctx, entry).await?));
            }
            Ok(values)
        })
    }

    /// The image with this digest, or the best one for this platform.
    ///
    /// Errors: `NotFound` where the index names none; those of reading it. Options: none.
    pub fn image(&self, digest_or_platform: &str, options: &Options, ctx: &Context) -> Task<Image> {
        match options.only("index image", &[]).and_then(|()| self.locate(digest_or_platform)) {
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
        match options.only("index child", &[]).and_then(|()| self.locate(digest)) {
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

    fn locate(&self, digest_or_platform: &str) -> Result<Descriptor> {
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

    pub(crate) fn size_cell(&self) -> &OnceCell<u64> {
        &self.0.size
    }

    /// One child, verified against its descriptor.
    pub(crate) async fn read(&self, ctx: &Context, child: &Descriptor) -> Result<Child> {
        if let Some(ready) = self.0.children.ready(ctx, child).await? {
            return Ok(ready);
        }
        let raw = self.0.children.manifest(ctx, child).await?;
        match AnyManifest::from_bytes(raw, Some(child.media_type.as_str())).map_err(|e| e.or_subject(&child.digest))? {
            AnyManifest::Image(m) => Ok(Child::Image(self.0.children.image(child.clone(), m))),
            AnyManifest::Index(m) => {
                let children = self.0.children.nested(child).unwrap_or_else(|| self.0.children.clone());
                Ok(Child::Index(Index::new(child.clone(), m, children, self.0.home.clone())))
            }
        }
    }
}

impl Index {
    pub(crate) fn home(&self) -> &Home {
        &self.0.home
    }
    pub(crate) fn children(&self) -> &Arc<dyn Children> {
        &self.0.children
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({})", self.digest())
    }
}
