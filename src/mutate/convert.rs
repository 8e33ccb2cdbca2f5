//! An image, or an index with all its images, in Docker's or OCI's media types.

use super::rebase::REFERENCE;
use crate::builder::ImageBuilder;
use crate::context::Context;
use crate::engine::Task;
use crate::error::Result;
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, too_deep};
use crate::index_builder::IndexBuilder;
use crate::matcher::Matcher;
use crate::options::{Format, Options};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

impl Image {
    /// The same image in Docker's or OCI's media types: manifest, config and layers. No blob changes, and an image that
    /// is of that kind already is given back.
    ///
    /// Errors: `Unsupported` where Docker has no word for something, see [`ImageBuilder::set_format`]. Options: none.
    pub fn convert(&self, format: Format, options: &Options, ctx: &Context) -> Task<Image> {
        ImageBuilder::new(self).set_format(format).build(options, ctx)
    }
}

impl Index {
    /// The same index in Docker's or OCI's media types, with all images and indexes below it. Entries that name the
    /// digest of another one (`vnd.docker.reference.digest`, of attestations) name its new digest.
    ///
    /// Errors: those of reading the manifests; `Unsupported` where Docker has no word for something, as for the
    /// attestations of BuildKit: take them away first. Options: none.
    pub fn convert(&self, format: Format, options: &Options, ctx: &Context) -> Task<Index> {
        if let Err(e) = options.only("convert", &[]) {
            return Task::ready(Err(e));
        }
        let index = self.clone();
        self.home().clone().spawn(ctx, |ctx| async move { convert(&index, format, &ctx, 0).await })
    }
}

fn convert<'a>(index: &'a Index, format: Format, ctx: &'a Context, depth: usize) -> BoxFuture<'a, Result<Index>> {
    async move {
        if depth >= DEPTH {
            return Err(too_deep());
        }
        let mut builder = IndexBuilder::new(index);
        for entry in index.manifest().manifests() {
            let new = match index.read(ctx, entry).await? {
                Child::Image(image) => {
                    let home = image.home().clone();
                    let mut builder = ImageBuilder::new(&image);
                    builder.set_format(format);
                    Child::Image(builder.make(format, home, ctx).await.map_err(|e| e.or_subject(&entry.digest))?)
                }
                Child::Index(nested) => Child::Index(convert(&nested, format, ctx, depth + 1).await?),
            };
            let now = &new.descriptor().digest;
            if *now != entry.digest {
                let pointing = Matcher::new().annotation(REFERENCE, Some(entry.digest.as_str()));
                builder.annotate(&pointing, REFERENCE, Some(now.as_str()))?;
                builder.replace(&entry.digest, new);
            }
        }
        let docker = index.manifest().media_type().is_docker();
        if docker != (format == Format::Docker) {
            builder.set_format(format);
        }
        builder.make(format, index.home().clone(), ctx).await
    }
    .boxed()
}
