//! `parb pull`.

use super::Global;
use super::medium::{FORMS, Medium, Types};
use clap::error::ErrorKind;
use parbuckle::{Archive, ArchiveFormat, ArchiveItem, Cache, Child, Context, Layout, Options, Result};
use std::path::{Path, PathBuf};

/// How many bytes a layer cache may hold.
const CACHE_BYTES: u64 = 64 << 30;

/// Pull images into a file or directory
#[derive(clap::Args)]
#[command(after_help = FORMS)]
pub(super) struct Pull {
    /// The images, wherever they lie, and where they go: a file, '-' for standard output, or a directory for --format oci. Into /dev/null
    /// they are fetched and verified, and nothing is kept
    #[arg(required = true, num_args = 2.., value_names = ["IMAGE", "PATH"])]
    images_and_path: Vec<String>,
    /// What is written: a docker archive (tarball), one of docker before 1.10 (legacy), an OCI layout (oci), or that in
    /// one tar (oci-archive)
    #[arg(long, default_value = "tarball", value_name = "FORMAT")]
    format: Form,
    /// Write manifests, configs and layers with these media types throughout; for --format oci and oci-archive, in which
    /// skopeo and umoci read nothing but OCI's types. Without it they stay as they are, and so do digests
    #[arg(long, value_name = "FORMAT")]
    media_types: Option<Types>,
    /// In an OCI layout, name each image by its reference
    #[arg(long)]
    annotate_ref: bool,
    /// Keep layers in this directory, and take those that are there
    #[arg(long, short, value_name = "DIRECTORY")]
    cache_path: Option<PathBuf>,
    /// How many blobs are fetched at once
    #[arg(long, short)]
    jobs: Option<u32>,
}

/// What was asked for, in words; what it is, and where it lay.
type Pulled<'a> = (&'a str, Child, Medium);

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Form {
    Tarball,
    Legacy,
    Oci,
    OciArchive,
}

impl Form {
    fn at(self, path: &Path) -> Medium {
        let archive = |format| Medium::Archive { path: path.to_owned(), name: None, format };
        match self {
            Form::Oci => Medium::Layout { path: path.to_owned(), name: None },
            Form::Tarball => archive(ArchiveFormat::Docker),
            Form::Legacy => archive(ArchiveFormat::Legacy),
            Form::OciArchive => archive(ArchiveFormat::Oci),
        }
    }
}

impl Pull {
    pub(super) fn run(mut self, global: &Global, ctx: &Context) -> Result<()> {
        let path = PathBuf::from(self.images_and_path.pop().unwrap_or_default());
        if self.media_types.is_some() && !matches!(self.format, Form::Oci | Form::OciArchive) {
            super::usage(ErrorKind::ArgumentConflict, "--media-types is for --format oci and oci-archive");
        }
        let mut images = Vec::new();
        for text in &self.images_and_path {
            match text.parse::<Medium>() {
                Ok(medium) => images.push((text.as_str(), medium)),
                Err(e) => super::usage(ErrorKind::ValueValidation, &e.to_string()),
            }
        }
        let to = self.format.at(&path);
        if path == Path::new("/dev/null") {
            return images.iter().try_for_each(|(_, from)| {
                from.image(global, &to, ctx)?.fetch(&self.moving(Options::new()), ctx).wait()
            });
        }
        let mut values = Vec::new();
        for (text, from) in images {
            values.push((text, self.read(global, &from, &to, ctx)?, from));
        }
        match &to {
            Medium::Archive { format, .. } => self.to_archive(global, *format, &path, &values, ctx),
            _ => self.to_layout(global, &path, &values, ctx),
        }
    }

    fn read(&self, global: &Global, from: &Medium, to: &Medium, ctx: &Context) -> Result<Child> {
        // An archive of docker has images only: without a platform, the one for linux/amd64, as in the reference.
        let mut value = match self.format {
            Form::Oci | Form::OciArchive => from.read(global, to, ctx)?,
            Form::Tarball | Form::Legacy => Child::Image(from.image(global, to, ctx)?),
        };
        if let Some(directory) = &self.cache_path {
            let cache = Cache::open(directory, CACHE_BYTES, &Options::new(), ctx).wait()?;
            value = match value {
                Child::Image(image) => Child::Image(image.cached(&cache)),
                Child::Index(index) => Child::Index(index.cached(&cache)),
            };
        }
        match self.media_types {
            Some(types) => types.of(value, ctx),
            None => Ok(value),
        }
    }

    fn to_layout(&self, global: &Global, path: &Path, values: &[Pulled], ctx: &Context) -> Result<()> {
        let layout = Layout::create(path, &Options::new(), ctx).wait()?;
        for (_, value, from) in values {
            let name = if self.annotate_ref { from.full_name() } else { None };
            let options = self.moving(global.pushing());
            match name {
                // A name stands for what was pulled last; what has none is added, as in the reference.
                Some(name) => layout.replace_any(value, Some(&name), &options, ctx).wait()?,
                None => layout.add_any(value, None, &options, ctx).wait()?,
            };
        }
        Ok(())
    }

    fn to_archive(
        &self,
        global: &Global,
        format: ArchiveFormat,
        path: &Path,
        values: &[Pulled],
        ctx: &Context,
    ) -> Result<()> {
        let item = |(text, value, from): &Pulled| match from {
            Medium::Registry(_) => ArchiveItem::new(value, Some(text.strip_prefix("docker://").unwrap_or(text))),
            from => ArchiveItem::new(value, from.full_name().as_deref()),
        };
        let items: Vec<_> = values.iter().map(item).collect();
        Archive::write(path, &items, &self.moving(global.pushing()).archive_format(format), ctx).wait()
    }

    fn moving(&self, options: Options) -> Options {
        match self.jobs {
            Some(jobs) => options.jobs(jobs),
            None => options,
        }
    }
}
