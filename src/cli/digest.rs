//! `parb digest`.

use super::Global;
use parbuckle::{Context, Reference, Result};

/// Print the digest of an image
#[derive(clap::Args)]
pub(super) struct Digest {
    /// The image
    image: String,
    /// Print REPOSITORY@DIGEST instead of the digest alone
    #[arg(long)]
    full_ref: bool,
}

impl Digest {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let reference = Reference::parse(&self.image)?;
        let found = global.client()?.resolve(&reference, &global.reading(), ctx).wait()?;
        match self.full_ref {
            true => super::print_pushed(&reference, &found.digest),
            false => println!("{}", found.digest),
        }
        Ok(())
    }
}
