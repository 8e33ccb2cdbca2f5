//! `parb push`.

use super::Global;
use super::medium::{Medium, in_registry, local};
use parbuckle::{Child, Code, Context, Error, Layout, Options, Reference, Result};
use std::path::PathBuf;

/// Push an image from a file or directory: a docker archive, an OCI archive, an OCI layout
#[derive(clap::Args)]
pub(super) struct Push {
    /// The archive (plain or compressed; '-' is standard input) or the directory of the layout
    path: PathBuf,
    /// Where it goes
    #[arg(value_parser = in_registry)]
    image: Reference,
    /// Push the whole index of a layout that has several entries
    #[arg(long)]
    index: bool,
    /// Write the digest of what was pushed, as repository@digest, to this file
    #[arg(long, value_name = "FILE")]
    image_refs: Option<PathBuf>,
}

impl Push {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let target = Medium::Registry(self.image.clone());
        let value = match local(&self.path) {
            Medium::Layout { path, .. } => self.of_layout(&path, global, ctx)?,
            archive => archive.read(global, &target, ctx)?,
        };
        target.write(global, &value, ctx)?;
        let pushed = format!("{}@{}", self.image.repository(), value.descriptor().digest);
        if let Some(file) = &self.image_refs {
            write_private(file, &pushed).map_err(|e| Error::io("writing", file.display(), &e))?;
        }
        println!("{pushed}");
        Ok(())
    }

    /// The only entry of the layout, or all of it.
    fn of_layout(&self, path: &std::path::Path, global: &Global, ctx: &Context) -> Result<Child> {
        let layout = Layout::open(path, &Options::new(), ctx).wait()?;
        let index = layout.index(&Options::new(), ctx).wait()?;
        match index.manifest().manifests().len() {
            1 => layout.any(None, &global.reading(), ctx).wait(),
            _ if self.index => Ok(Child::Index(index)),
            n => {
                let why = format!("the layout has {n} entries: --index pushes all of them as one index");
                Err(Error::new(Code::InvalidArgument, why).subject(path.display()))
            }
        }
    }
}

/// Only for the user's eyes: who knows the digest of a private image may know too much.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
