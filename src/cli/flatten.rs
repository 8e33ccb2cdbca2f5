//! `parb flatten`.

use super::Global;
use super::medium::in_registry;
use parbuckle::{Child, Context, Options, Reference, Result, SinkHandle};

/// Make one layer of all layers of an image (of each image of an index), and push it
#[derive(clap::Args)]
pub(super) struct Flatten {
    /// The image
    #[arg(value_parser = in_registry)]
    image: Reference,
    /// Where the new image goes; without it, where the old one came from
    #[arg(short, long, value_parser = in_registry)]
    tag: Option<Reference>,
}

impl Flatten {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let client = global.client()?;
        let value = client.pull_any(&self.image, &global.reading(), ctx).wait()?;
        let into = Options::new().sink(&SinkHandle::repository(&client, self.tag.as_ref().unwrap_or(&self.image)));
        let made = match &value {
            Child::Image(image) => Child::Image(image.flatten(&into, ctx).wait()?),
            Child::Index(index) => Child::Index(index.flatten(&into, ctx).wait()?),
        };
        super::push_back(global, &self.image, self.tag.as_ref(), &made, ctx)
    }
}
