//! `parb validate`.

use super::Global;
use super::medium::Medium;
use parbuckle::{ArchiveFormat, Child, Code, Context, Error, Options, Result};
use std::path::PathBuf;
use std::str::FromStr;

/// Check that images are what they say, and all there
#[derive(clap::Args)]
#[command(after_help = super::medium::FORMS)]
#[command(group(clap::ArgGroup::new("what").args(["remote", "tarball"]).required(true).multiple(true)))]
pub(super) struct Validate {
    /// An image or index in a registry, or at another place
    #[arg(long, value_name = "IMAGE")]
    remote: Option<Place>,
    /// An image in an archive
    #[arg(long, value_name = "FILE")]
    tarball: Option<PathBuf>,
    /// Only look whether everything is there, and read no layer
    #[arg(long)]
    fast: bool,
}

impl Validate {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let mut fine = true;
        if let Some(path) = self.tarball {
            let (name, format) = (path.display().to_string(), ArchiveFormat::Docker);
            fine &= examine(&Medium::Archive { path, name: None, format }, &name, self.fast, global, ctx)?;
        }
        if let Some(Place(name, place)) = self.remote {
            fine &= examine(&place, &name, self.fast, global, ctx)?;
        }
        match fine {
            true => Ok(()),
            false => Err(Error::new(Code::Malformed, "validation failed")),
        }
    }
}

/// A place, and how it was written.
#[derive(Clone)]
struct Place(String, Medium);

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Place> {
        Ok(Place(text.to_owned(), text.parse()?))
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
