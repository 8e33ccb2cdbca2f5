//! An OCI layout in a tar: index.json names manifests, and all content lies under its digest.

use super::{Archive, Entries, Found, Wanted, which_one};
use crate::content::Content;
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, NODES, too_deep};
use crate::matcher::names_of;
use crate::oci::{DEFAULT_MAX_MANIFEST, Descriptor, IndexManifest};
use crate::options::{Format, Options};
use crate::source::Source;
use crate::stream::Chunks;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::HashSet;
use std::sync::Arc;

/// index.json.
pub(super) struct Layout {
    index: IndexManifest,
}

impl Layout {
    pub(super) async fn read(entries: &Entries, found: &Found) -> Result<Layout> {
        let raw = entries.small(found, DEFAULT_MAX_MANIFEST).await?;
        let index = IndexManifest::from_bytes(raw, None).map_err(|e| e.or_subject(entries.called("index.json")))?;
        Ok(Layout { index })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.index.manifests().iter().filter_map(|d| names_of(d).next()).map(str::to_owned).collect()
    }

    pub(super) async fn image(
        &self,
        archive: &Archive,
        wanted: Option<&Wanted>,
        options: &Options,
        ctx: &Context,
    ) -> Result<Image> {
        if options.sink.is_some() || options.compression.is_some() || options.format == Some(Format::Docker) {
            let why =
                "an image of an OCI archive comes as it is, and is not compressed anew or converted by opening it";
            return Err(Error::new(Code::Unsupported, why));
        }
        let child = self.child(archive, wanted, ctx).await?;
        child.image_for(ctx, &options.platform.clone().unwrap_or_default()).await
    }

    pub(super) async fn index(&self, archive: &Archive, wanted: Option<&Wanted>, ctx: &Context) -> Result<Index> {
        let Some(wanted) = wanted else {
            let (content, index) = (content(archive), self.index.clone());
            let home = content.home.clone();
            return Ok(Index::new(index.descriptor(), index, Arc::new(content), home));
        };
        match self.child(archive, Some(wanted), ctx).await? {
            Child::Index(index) => Ok(index),
            Child::Image(_) => {
                Err(invalid(format!("{} is an image, not an index", crate::digest::shown(&wanted.text))))
            }
        }
    }

    /// The entry that is meant, or what has this digest below one.
    pub(super) async fn child(&self, archive: &Archive, wanted: Option<&Wanted>, ctx: &Context) -> Result<Child> {
        let content = content(archive);
        let manifests = self.index.manifests();
        let mut seen = HashSet::new();
        let meant: Vec<&Descriptor> = manifests
            .iter()
            .filter(|d| {
                wanted.is_none_or(|w| names_of(d).any(|name| w.is(name)) || w.digest.as_ref() == Some(&d.digest))
            })
            .filter(|d| seen.insert(&d.digest))
            .collect();
        match (&meant[..], wanted) {
            ([one], _) => content.open(ctx, one).await,
            ([], Some(wanted)) => match &wanted.digest {
                Some(digest) => {
                    let found = content.find(ctx, &self.index, digest).await?;
                    found.ok_or_else(|| wanted.not_found(&self.names()))
                }
                None => Err(wanted.not_found(&self.names())),
            },
            (several, _) => Err(which_one(several.len(), &self.names())),
        }
    }

    /// The image with this config, wherever it is below index.json; what is named and not there is left out, as in
    /// what Docker saves of one platform.
    pub(super) async fn image_of_config(
        &self,
        archive: &Archive,
        config: &Digest,
        ctx: &Context,
    ) -> Result<Option<Image>> {
        let content = content(archive);
        let mut waiting: Vec<(Descriptor, usize)> = self.index.manifests().iter().map(|d| (d.clone(), 0)).collect();
        waiting.reverse();
        let mut seen = HashSet::new();
        while let Some((descriptor, depth)) = waiting.pop() {
            let known = descriptor.media_type.is_image() || descriptor.media_type.is_index();
            let there = known && archive.0.entries.find(&blob_name(&descriptor.digest))?.is_some();
            if !there || !seen.insert(descriptor.digest.clone()) {
                continue;
            }
            if depth >= DEPTH || seen.len() > NODES {
                return Err(too_deep());
            }
            match content.open(ctx, &descriptor).await? {
                Child::Image(image) if image.manifest().config().digest == *config => return Ok(Some(image)),
                Child::Image(_) => {}
                Child::Index(index) => {
                    waiting.extend(index.manifest().manifests().iter().rev().map(|d| (d.clone(), depth + 1)));
                }
            }
        }
        Ok(None)
    }
}

/// Where a layout has this content.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn content(archive: &Archive) -> Content {
    Content { source: Arc::new(Blobs(archive.0.entries.clone())), home: archive.home() }
}

/// The content of a layout, by its digest.
struct Blobs(Entries);

impl Source for Blobs {
    fn open<'a>(&'a self, _: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        let name = blob_name(&blob.digest);
        let chunks = self.0.find(&name).and_then(|found| match found {
            Some(found) => Ok(self.0.read(&found, offset)),
            None => {
                Err(Error::new(Code::NotFound, "the archive does not have this content").subject(self.0.called(&name)))
            }
        });
        ready(chunks).boxed()
    }
}
