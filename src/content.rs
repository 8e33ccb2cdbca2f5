//! Images and indexes out of anything that gives content by its digest: a layout, an archive, memory.

use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::index::{Child, Children, DEPTH, Index, NODES, too_deep};
use crate::oci::{AnyManifest, DEFAULT_MAX_MANIFEST, Descriptor, IndexManifest, Manifest};
use crate::source::{Home, Source};
use crate::stream::verified;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::HashSet;
use std::sync::Arc;

/// A source whose manifests are blobs like all others.
#[derive(Clone)]
pub(crate) struct Content {
    pub source: Arc<dyn Source>,
    pub home: Home,
}

impl Content {
    /// The image or index that a descriptor names, verified against it.
    pub(crate) async fn open(&self, ctx: &Context, root: &Descriptor) -> Result<Child> {
        let raw = self.manifest(ctx, root).await?;
        match AnyManifest::from_bytes(raw, Some(root.media_type.as_str())).map_err(|e| e.or_subject(&root.digest))? {
            AnyManifest::Image(m) => Ok(Child::Image(self.image(root.clone(), m))),
            AnyManifest::Index(m) => {
                Ok(Child::Index(Index::new(root.clone(), m, Arc::new(self.clone()), self.home.clone())))
            }
        }
    }

    /// What has this digest among these entries, or in an index below them; `None` where nothing has. An index may name
    /// more than is here.
    pub(crate) async fn find(&self, ctx: &Context, entries: &IndexManifest, digest: &Digest) -> Result<Option<Child>> {
        let (mut seen, mut todo) = (HashSet::new(), vec![(0, entries.clone())]);
        while let Some((depth, index)) = todo.pop() {
            if let Some(entry) = index.manifests().iter().find(|d| d.digest == *digest) {
                return self.open(ctx, entry).await.map(Some);
            }
            if depth >= DEPTH || seen.len() > NODES {
                return Err(too_deep());
            }
            for entry in index.manifests().iter().filter(|d| d.media_type.is_index()) {
                if seen.insert(entry.digest.clone()) {
                    match self.open(ctx, entry).await {
                        Ok(Child::Index(nested)) => todo.push((depth + 1, nested.manifest().clone())),
                        Ok(Child::Image(_)) => {}
                        Err(e) if e.code() == Code::NotFound => {}
                        Err(e) => return Err(e),
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Children for Content {
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
        async move {
            if child.size > DEFAULT_MAX_MANIFEST {
                let why = format!("the manifest is larger than {DEFAULT_MAX_MANIFEST} bytes");
                return Err(Error::new(Code::LimitExceeded, why).subject(&child.digest));
            }
            let raw = self.source.open(ctx, child, 0).await?;
            let place = self.home.place();
            let checked = verified(&place.engine, raw, &child.digest, child.size, &place.stats);
            checked.collect(child.size as usize).await.map_err(|e| e.or_subject(&child.digest))
        }
        .boxed()
    }
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image {
        Image::new(descriptor, manifest, &self.source, self.home.clone())
    }
}
