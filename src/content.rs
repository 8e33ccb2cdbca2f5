//! Images and indexes out of anything that gives content by its digest: a layout, an archive, memory.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::index::{Child, Children, Index};
use crate::oci::{AnyManifest, DEFAULT_MAX_MANIFEST, Descriptor, Manifest};
use crate::source::{Home, Source};
use crate::stream::verified;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
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
