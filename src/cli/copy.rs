//! `parb copy`.

use super::Global;
use super::medium::{FORMS, Medium};
use parbuckle::{Context, Result};

/// Copy an image or an index, with all that belongs to it, from one place to another
#[derive(clap::Args)]
#[command(after_help = FORMS)]
pub(super) struct Copy {
    /// Where it lies
    source: Medium,
    /// Where it goes
    target: Medium,
}

impl Copy {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let value = self.source.read(global, &self.target, ctx)?;
        self.target.write(global, &value, ctx)
    }
}
