//! `parb validate`.

use super::Global;
use super::medium::Medium;
use parbuckle::{Child, Code, Context, Error, Options, Result};
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
        let mut bad = 0;
        let places = [self.tarball.as_ref().map(|p| format!("docker-archive:{}", p.display())), self.remote.clone()];
        for (place, name) in places
            .into_iter()
            .flatten()
            .zip([self.tarball.map(|p| p.display().to_string()), self.remote].into_iter().flatten())
        {
            bad += usize::from(!examine(&place, &name, self.fast, global, ctx)?);
        }
        match bad {
            0 => Ok(()),
            _ => Err(Error::new(Code::Malformed, "validation failed")),
        }
    }
}

fn examine(place: &str, name: &str, fast: bool, global: &Global, ctx: &Context) -> Result<bool> {
    let place: Medium = place.parse()?;
    let options = if fast { Options::new().fast() } else { Options::new() };
    let report = match place.read(global, &place, ctx)? {
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
