//! `parb validate`.

use super::Global;
use super::medium::Medium;
use parbuckle::{ArchiveFormat, Child, Code, Context, Error, Options, Result};
use std::path::PathBuf;

/// Check that images are what they say, and all there
#[derive(clap::Args)]
#[command(after_help = super::medium::FORMS)]
pub(super) struct Validate {
    /// An image or index in a registry, or at another place
    #[arg(long, value_name = "IMAGE")]
    remote: Option<String>,
    /// An image in an archive
    #[arg(long, value_name = "FILE")]
    tarball: Option<PathBuf>,
    /// Only look whether everything is there, and read no layer
    #[arg(long)]
    fast: bool,
}

impl Validate {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        if self.remote.is_none() && self.tarball.is_none() {
            return Err(Error::new(Code::InvalidArgument, "nothing to validate: --remote or --tarball says what"));
        }
        let mut fine = true;
        if let Some(path) = self.tarball {
            let (name, format) = (path.display().to_string(), ArchiveFormat::Docker);
            fine &= examine(&Medium::Archive { path, name: None, format }, &name, self.fast, global, ctx)?;
        }
        if let Some(name) = self.remote {
            fine &= examine(&name.parse()?, &name, self.fast, global, ctx)?;
        }
        match fine {
            true => Ok(()),
            false => Err(Error::new(Code::Malformed, "validation failed")),
        }
    }
}

fn examine(place: &Medium, name: &str, fast: bool, global: &Global, ctx: &Context) -> Result<bool> {
    let options = if fast { Options::new().fast() } else { Options::new() };
    let report = match place.read(global, place, ctx)? {
        Child::Image(image) => image.examine(&options, ctx).wait()?,
        Child::Index(index) => index.examine(&options, ctx).wait()?,
    };
    if report.is_clean() {
        println!("PASS: {name}");
    }
    for finding in report.findings() {
        println!("FAIL: {name}: {}: {}", finding.subject, finding.message);
    }
    Ok(report.is_clean())
}
