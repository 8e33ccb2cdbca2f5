//! `parb copy`.

use super::Global;
use super::medium::{FORMS, Medium, Types};
use clap::error::ErrorKind;
use parbuckle::{Context, Result};

/// Copy an image or an index, with all that belongs to it, from one place to another
#[derive(clap::Args)]
#[command(after_help = FORMS)]
pub(super) struct Copy {
    /// Where it lies
    source: Medium,
    /// Where it goes: a registry, an OCI layout or an OCI archive for --format
    target: Medium,
    /// Write manifests, configs and layers with these media types throughout; without it they stay as they are, and so
    /// do digests. Some read nothing but OCI's types in an OCI layout or archive, skopeo and umoci among them
    #[arg(long, visible_alias = "media-types", value_name = "FORMAT")]
    format: Option<Types>,
}

impl Copy {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        if self.format.is_some() && !self.target.keeps_manifests() {
            let why = "--format is for a registry, an OCI layout or an OCI archive: other places keep no media types";
            super::usage(ErrorKind::ArgumentConflict, why);
        }
        let value = self.source.read(global, &self.target, ctx)?;
        let value = match self.format {
            Some(types) => types.of(value, ctx)?,
            None => value,
        };
        self.target.write(global, &value, ctx)
    }
}
