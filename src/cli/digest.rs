//! `parb digest`.

use super::Global;
use super::medium::{FORMS, Medium};
use clap::error::ErrorKind;
use parbuckle::{Context, Result};

/// Print the digest of an image or an index
#[derive(clap::Args)]
#[command(after_help = FORMS)]
pub(super) struct Digest {
    /// The image, where there are manifests: a registry, an OCI layout, an OCI archive or one of Docker since version 25
    image: Medium,
    /// Print REPOSITORY@DIGEST instead of the digest alone
    #[arg(long)]
    full_ref: bool,
}

impl Digest {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let Medium::Registry(reference) = &self.image else {
            if self.full_ref {
                super::usage(ErrorKind::ArgumentConflict, "--full-ref is for an image in a registry");
            }
            println!("{}", self.image.exact(global, ctx)?.descriptor().digest);
            return Ok(());
        };
        let found = global.client()?.resolve(reference, &global.reading(), ctx).wait()?;
        match self.full_ref {
            true => super::print_pushed(reference, &found.digest),
            false => println!("{}", found.digest),
        }
        Ok(())
    }
}
