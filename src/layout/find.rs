//! Which entry is meant: by name, by digest, by platform, or because it is the only one.

use super::Layout;
use crate::context::Context;
use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::matcher::{is_named, names_of};
use crate::oci::{Descriptor, IndexManifest, Platform};
use std::sync::Arc;

/// How many entries a message lists.
const MAX_LISTED: usize = 10;

/// Whether a text that is nobody's name is meant as a platform, and not as a name that is not there.
fn is_platform(text: &str) -> bool {
    const SYSTEMS: [&str; 8] = ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "android"];
    text.split_once('/').is_some_and(|(os, _)| SYSTEMS.contains(&os.to_ascii_lowercase().as_str()))
}

impl Layout {
    pub(super) async fn find_image(
        &self,
        ctx: &Context,
        which: Option<&str>,
        platform: Option<&Platform>,
    ) -> Result<Image> {
        let found = self.find(ctx, which, platform).await?;
        found.image_for(ctx, &platform.cloned().unwrap_or_default()).await
    }

    /// What is meant, image or index; of several entries the one for the platform.
    pub(super) async fn find(&self, ctx: &Context, which: Option<&str>, platform: Option<&Platform>) -> Result<Child> {
        let entries = self.entries().await?;
        let Some(text) = which else {
            let entries =
                only(&entries, |d| d.media_type.is_empty() || d.media_type.is_image() || d.media_type.is_index());
            return self.one_of(ctx, &entries?, platform).await;
        };
        match (text.parse::<Digest>(), named(&entries, text)?) {
            (Ok(digest), _) => self.with_digest(ctx, &entries, &digest).await,
            (Err(_), Some(named)) => self.one_of(ctx, &named, platform).await,
            (Err(_), None) => match is_platform(text).then(|| text.parse::<Platform>()) {
                Some(Ok(wanted)) => self.image_for(ctx, &entries, &wanted).await.map(Child::Image),
                _ => Err(not_named(&entries, text)),
            },
        }
    }

    pub(super) async fn find_index(&self, ctx: &Context, which: Option<&str>) -> Result<Index> {
        let entries = self.entries().await?;
        let found = match which {
            None => {
                let indexes = only(&entries, |d| d.media_type.is_index())?;
                let one = single(&indexes)?.ok_or_else(|| several(&indexes))?;
                self.content().open(ctx, one).await?
            }
            Some(text) => match (text.parse::<Digest>(), named(&entries, text)?) {
                (Ok(digest), _) => self.with_digest(ctx, &entries, &digest).await?,
                (Err(_), Some(named)) => {
                    let one = single(&named)?.ok_or_else(|| several(&named))?;
                    self.content().open(ctx, one).await?
                }
                (Err(_), None) => return Err(not_named(&entries, text)),
            },
        };
        match found {
            Child::Index(index) => Ok(index),
            Child::Image(image) => Err(invalid("this is an image, not an index").subject(image.digest())),
        }
    }

    /// The only entry; of several, the one for the platform, if the caller has said which.
    async fn one_of(&self, ctx: &Context, entries: &IndexManifest, platform: Option<&Platform>) -> Result<Child> {
        match (single(entries)?, platform) {
            (Some(one), _) => self.content().open(ctx, one).await,
            (None, Some(platform)) => Ok(Child::Image(self.image_for(ctx, entries, platform).await?)),
            (None, None) => Err(several(entries)),
        }
    }

    /// The image for a platform, as if the entries were an index.
    async fn image_for(&self, ctx: &Context, entries: &IndexManifest, platform: &Platform) -> Result<Image> {
        let content = self.content();
        let home = content.home.clone();
        Index::new(entries.descriptor(), entries.clone(), Arc::new(content), home).image_for(ctx, platform).await
    }

    /// The manifest with this digest, wherever it stands.
    async fn with_digest(&self, ctx: &Context, entries: &IndexManifest, digest: &Digest) -> Result<Child> {
        let found = self.content().find(ctx, entries, digest).await?;
        found.ok_or_else(|| Error::new(Code::NotFound, "the layout has no manifest with this digest").subject(digest))
    }
}

/// The entries of which this is true.
fn only(entries: &IndexManifest, keep: impl Fn(&Descriptor) -> bool) -> Result<IndexManifest> {
    let mut edit = entries.edit();
    edit.retain(keep);
    edit.finish()
}

/// The entries with this name; `None` where there is none.
fn named(entries: &IndexManifest, name: &str) -> Result<Option<IndexManifest>> {
    let found = only(entries, |d| is_named(d, name))?;
    Ok((!found.manifests().is_empty()).then_some(found))
}

/// The one thing that all entries name, artifacts left aside where there is anything else; `None` where there are
/// several.
fn single(entries: &IndexManifest) -> Result<Option<&Descriptor>> {
    let all = entries.manifests();
    let Some(any) = all.first() else {
        return Err(Error::new(Code::NotFound, "the layout has no such entry: it has none at all"));
    };
    let mut images = all.iter().filter(|d| d.artifact_type.is_empty());
    let first = images.next().unwrap_or(any);
    let mut others: Box<dyn Iterator<Item = &Descriptor>> = match first.artifact_type.is_empty() {
        true => Box::new(images),
        false => Box::new(all.iter()),
    };
    Ok(others.all(|d| d.digest == first.digest).then_some(first))
}

fn several(entries: &IndexManifest) -> Error {
    let count = entries.manifests().len();
    invalid(format!("{count} entries of the layout are meant, say which: {}", listed(entries)))
}

fn not_named(entries: &IndexManifest, name: &str) -> Error {
    let there = if entries.manifests().is_empty() { "nothing".to_owned() } else { listed(entries) };
    Error::new(Code::NotFound, format!("the layout has nothing named '{}', but {there}", shown(name)))
}

fn listed(entries: &IndexManifest) -> String {
    let all = entries.manifests();
    let shown = all.iter().take(MAX_LISTED).map(|d| {
        let name = names_of(d).next();
        let platform = d.platform.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
        shown(&format!("{}{platform}", name.unwrap_or(d.digest.as_str())))
    });
    let more = if all.len() > MAX_LISTED { ", …" } else { "" };
    shown.collect::<Vec<_>>().join(", ") + more
}
