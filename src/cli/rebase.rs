//! `parb rebase`.

use super::Global;
use super::medium::in_registry;
use parbuckle::{BaseAnnotations, Child, Client, Code, Context, Error, Options, Reference, Result};

/// Put an image, or every image of an index, on another base, and push it
#[derive(clap::Args)]
pub(super) struct Rebase {
    /// The image or index
    #[arg(value_parser = in_registry)]
    image: Reference,
    /// The base that it is on; without it, the one that its annotations name
    #[arg(long, alias = "old_base", value_name = "IMAGE", value_parser = in_registry)]
    old_base: Option<Reference>,
    /// The base that it shall be on; without it, what the name in its annotations stands for now
    #[arg(long, alias = "new_base", value_name = "IMAGE", value_parser = in_registry)]
    new_base: Option<Reference>,
    /// Where the new image goes; without it, where the old one came from
    #[arg(short, long, value_parser = in_registry)]
    tag: Option<Reference>,
}

impl Rebase {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let (client, options) = (global.client()?, global.reading());
        let source = self.image.clone();
        let original = client.pull_any(&source, &options, ctx).wait()?;
        let said = match &original {
            _ if self.old_base.is_some() && self.new_base.is_some() => BaseAnnotations::default(),
            Child::Image(image) => image.base_annotations(),
            // Its images say what the base is, each the same.
            Child::Index(index) => {
                let images = index.manifest().manifests().iter().filter(|d| d.media_type.is_image());
                let first = images.map(|d| d.digest.to_string()).next().unwrap_or_default();
                index.image(&first, &Options::new(), ctx).wait()?.base_annotations()
            }
        };
        let (old, new) = self.bases(&source, said)?;
        let made = match &original {
            Child::Image(image) => {
                let of = |client: &Client, base: &Reference| client.pull(base, &options, ctx).wait();
                let (old, from) = (of(&client, &old)?, of(&client, &new)?);
                Child::Image(image.rebase(&old, &from, Some(&new.to_string()), &Options::new(), ctx).wait()?)
            }
            Child::Index(index) => {
                let of = |client: &Client, base: &Reference| client.pull_index(base, &Options::new(), ctx).wait();
                let (old, from) = (of(&client, &old)?, of(&client, &new)?);
                Child::Index(index.rebase(&old, &from, Some(&new.to_string()), &Options::new(), ctx).wait()?)
            }
        };
        let target = match &self.tag {
            Some(tag) => tag.clone(),
            None if source.digest().is_some() => source.with_digest(made.descriptor().digest.clone()),
            None => source,
        };
        client.push_any(&target, &made, &global.pushing(), ctx).wait()?;
        super::print_pushed(&target, &made.descriptor().digest);
        Ok(())
    }

    fn bases(&self, source: &Reference, said: BaseAnnotations) -> Result<(Reference, Reference)> {
        let missing = |flag: &str, what: &str| {
            let why = format!("--{flag} is not given, and the image has no annotation with its base's {what}");
            Error::new(Code::InvalidArgument, why).subject(source)
        };
        let name = said.name.as_deref().map(Reference::parse).transpose()?;
        let new = match (&self.new_base, &name) {
            (Some(new), _) => new.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => return Err(missing("new-base", "name")),
        };
        let old = match (&self.old_base, said.digest) {
            (Some(old), _) => old.clone(),
            (None, Some(digest)) => name.unwrap_or_else(|| new.clone()).with_digest(digest),
            (None, None) => return Err(missing("old-base", "digest")),
        };
        Ok((old, new))
    }
}
