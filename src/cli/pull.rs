//! `parb pull`.

use super::Global;
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Cache, Child, Client, Context, Layout, Options, Reference, Result,
};
use std::path::{Path, PathBuf};

/// How many bytes a layer cache may hold.
const CACHE_BYTES: u64 = 64 << 30;

/// Pull images into a file or directory
#[derive(clap::Args)]
pub(super) struct Pull {
    /// The images, and where they go: a file, '-' for standard output, or a directory for --format oci. Into /dev/null
    /// they are fetched and verified, and nothing is kept
    #[arg(required = true, num_args = 2.., value_names = ["IMAGE", "PATH"])]
    images_and_path: Vec<String>,
    /// What is written: a docker archive (tarball), one of docker before 1.10 (legacy), an OCI layout (oci), or that in
    /// one tar (oci-archive)
    #[arg(long, default_value = "tarball", value_name = "FORMAT")]
    format: Form,
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

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Form {
    Tarball,
    Legacy,
    Oci,
    OciArchive,
}

impl Pull {
    pub(super) fn run(mut self, global: &Global, ctx: &Context) -> Result<()> {
        let path = PathBuf::from(self.images_and_path.pop().unwrap_or_default());
        let client = global.client()?;
        if path == Path::new("/dev/null") {
            return self.images_and_path.iter().try_for_each(|name| {
                let image = client.pull(&Reference::parse(name)?, &global.reading(), ctx).wait()?;
                image.fetch(&self.moving(Options::new()), ctx).wait()
            });
        }
        let mut values = Vec::new();
        for name in &self.images_and_path {
            values.push((name.clone(), self.read(global, &client, &Reference::parse(name)?, ctx)?));
        }
        match self.format {
            Form::Oci => self.to_layout(global, &path, &values, ctx),
            form => self.to_archive(global, form, &path, &values, ctx),
        }
    }

    fn read(&self, global: &Global, client: &Client, reference: &Reference, ctx: &Context) -> Result<Child> {
        // An archive of docker has images only: without a platform, the one for linux/amd64, as in the reference.
        let value = match self.format {
            Form::Oci | Form::OciArchive => client.pull_any(reference, &global.reading(), ctx).wait()?,
            Form::Tarball | Form::Legacy => Child::Image(client.pull(reference, &global.reading(), ctx).wait()?),
        };
        let Some(directory) = &self.cache_path else { return Ok(value) };
        let cache = Cache::open(directory, CACHE_BYTES, &Options::new(), ctx).wait()?;
        Ok(match value {
            Child::Image(image) => Child::Image(image.cached(&cache)),
            Child::Index(index) => Child::Index(index.cached(&cache)),
        })
    }

    fn to_layout(&self, global: &Global, path: &Path, values: &[(String, Child)], ctx: &Context) -> Result<()> {
        let layout = Layout::create(path, &Options::new(), ctx).wait()?;
        for (name, value) in values {
            let name = if self.annotate_ref { Some(Reference::parse(name)?.to_string()) } else { None };
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
        form: Form,
        path: &Path,
        values: &[(String, Child)],
        ctx: &Context,
    ) -> Result<()> {
        let format = match form {
            Form::Legacy => ArchiveFormat::Legacy,
            Form::OciArchive | Form::Oci => ArchiveFormat::Oci,
            Form::Tarball => ArchiveFormat::Docker,
        };
        let item = |(name, value): &(String, Child)| ArchiveItem::new(value, Some(name));
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
