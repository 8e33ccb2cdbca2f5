//! `parb pull`, so far into nothing: every blob is fetched and verified.

use super::Global;
use parbuckle::{Code, Context, Error, Options, Reference, Result};

/// Fetch images and verify every blob of them
#[derive(clap::Args)]
pub(super) struct Pull {
    /// The images, and where they go: so far only to /dev/null
    #[arg(required = true, num_args = 2.., value_names = ["IMAGE", "PATH"])]
    images_and_path: Vec<String>,
    /// How many blobs are fetched at once
    #[arg(long, short, default_value_t = 4)]
    jobs: u32,
}

impl Pull {
    pub(super) fn run(mut self, global: &Global, ctx: &Context) -> Result<()> {
        let path = self.images_and_path.pop().unwrap_or_default();
        if path != "/dev/null" {
            let why = "this version writes no archives and layouts; /dev/null fetches and verifies";
            return Err(Error::new(Code::Unsupported, why).subject(path));
        }
        let client = global.client()?;
        for image in &self.images_and_path {
            let image = client.pull(&Reference::parse(image)?, &global.reading(), ctx).wait()?;
            image.fetch(&Options::new().jobs(self.jobs), ctx).wait()?;
        }
        Ok(())
    }
}
