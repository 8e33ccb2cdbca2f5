//! `parb export`.

use super::Global;
use super::medium::Medium;
use new_file::NewFile;
use parbuckle::{Archive, Child, Code, Context, Error, Image, Options, Result};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[path = "../stream/new_file.rs"]
mod new_file;

/// Write an image's file system as one tar
#[derive(clap::Args)]
#[command(after_help = super::medium::FORMS)]
pub(super) struct Export {
    /// The image; '-' is a docker archive on standard input
    image: String,
    /// The tar; '-', and no path at all, is standard output
    #[arg(default_value = "-")]
    path: PathBuf,
}

impl Export {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let image = self.image(global, ctx)?;
        let mut reader = image.filesystem(&Options::new(), ctx).wait()?;
        let mut copy = |out: &mut dyn Write, subject: &str| {
            loop {
                let chunk = reader.next(ctx).wait()?;
                if chunk.is_empty() {
                    return out.flush().map_err(|e| Error::io("writing", subject, &e));
                }
                out.write_all(&chunk).map_err(|e| Error::io("writing", subject, &e))?;
            }
        };
        if self.path == Path::new("-") {
            return copy(&mut io::stdout().lock(), "standard output");
        }
        let subject = self.path.display().to_string();
        let failed = |e: io::Error| Error::io("writing", &subject, &e);
        if std::fs::metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            return copy(&mut File::options().write(true).open(&self.path).map_err(failed)?, &subject);
        }
        // Whole or not at all.
        let new = NewFile::beside(&self.path).map_err(failed)?;
        copy(&mut new.file(), &subject)?;
        new.take_place().map_err(failed)
    }

    fn image(&self, global: &Global, ctx: &Context) -> Result<Image> {
        if self.image == "-" {
            let archive = Archive::open(Path::new("-"), &Options::new(), ctx).wait()?;
            return archive.image(None, &global.reading(), ctx).wait();
        }
        let place: Medium = self.image.parse()?;
        match place {
            Medium::Registry(reference) => global.client()?.pull(&reference, &global.reading(), ctx).wait(),
            place => match place.read(global, &place, ctx)? {
                Child::Image(image) => Ok(image),
                Child::Index(index) => {
                    let why = "this is an index: choose one of its images with --platform";
                    Err(Error::new(Code::InvalidArgument, why).subject(index.digest()))
                }
            },
        }
    }
}
