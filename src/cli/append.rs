//! `parb append`.

use super::Global;
use super::medium::in_registry;
use parbuckle::{
    Code, CompressionOptions, Context, Error, Format, HostStream, ImageBuilder, Layer, Options, Reference, Result,
    SinkHandle, Task,
};
use std::io::Read;
use std::path::Path;

/// Layers that are made at once; each keeps all cores busy by itself where it has to be compressed.
const AT_ONCE: usize = 4;

/// Put layers on top of an image, and push it
#[derive(clap::Args)]
pub(super) struct Append {
    /// The image to append to; without it, an empty one
    #[arg(short, long, value_parser = in_registry)]
    base: Option<Reference>,
    /// Where the new image goes
    #[arg(short = 't', long = "new_tag", value_name = "IMAGE", value_parser = in_registry)]
    new_tag: Reference,
    /// A layer: a tar (plain, gzip or zstd), a directory, or '-' for standard input; may be repeated or a comma-list
    #[arg(short = 'f', long = "new_layer", value_name = "PATH", value_delimiter = ',', required = true)]
    new_layers: Vec<String>,
    /// Annotate the image with its base
    #[arg(long)]
    set_base_image_annotations: bool,
    /// How the layers are compressed: gzip, zstd, none or estargz, and a level after a colon; without it, plain ones
    /// become gzip and others stay as they are
    #[arg(long, value_name = "NAME[:LEVEL]", value_parser = compression)]
    compression: Option<CompressionOptions>,
    /// Without a base, start from an empty OCI image instead of Docker's
    #[arg(long, conflicts_with = "base")]
    oci_empty_base: bool,
}

impl Append {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let client = global.client()?;
        let target = self.new_tag;
        let base = match &self.base {
            Some(base) => Some((base, client.pull(base, &global.reading(), ctx).wait()?)),
            None => None,
        };
        let windows = match &base {
            Some((_, base)) => base.config(ctx).wait()?.platform().is_some_and(|p| p.os == "windows"),
            None => {
                eprintln!("base unspecified, using empty image");
                false
            }
        };
        let mut into = Options::new().sink(&SinkHandle::repository(&client, &target));
        if let Some(compression) = self.compression.or_else(super::asked_by_environment) {
            into = into.compression(compression);
        }
        let plain = Options::new();
        let mut builder = base.as_ref().map_or_else(ImageBuilder::from_scratch, |(_, base)| ImageBuilder::new(base));
        for some in self.new_layers.chunks(AT_ONCE) {
            let started: Vec<_> =
                some.iter().map(|path| layer(path, if windows { &plain } else { &into }, ctx)).collect();
            for layer in started {
                let layer = match windows {
                    // Its layers want their files below `Files/`.
                    true => layer.wait()?.for_windows(&into, ctx).wait()?,
                    false => layer.wait()?,
                };
                builder.add_layer(&layer);
            }
        }
        if let (true, Some((name, base))) = (self.set_base_image_annotations, &base) {
            builder.set_annotation("org.opencontainers.image.base.digest", Some(base.digest().as_str()))?;
            if name.digest().is_none() {
                builder.set_annotation("org.opencontainers.image.base.name", Some(&name.to_string()))?;
            }
        }
        let format = if self.oci_empty_base { Format::Oci } else { Format::Docker };
        let options = if base.is_some() { Options::new() } else { Options::new().format(format) };
        let made = builder.build(&options, ctx).wait()?;
        client.push(&target, &made, &global.pushing(), ctx).wait()?;
        super::print_pushed(&target, made.digest());
        Ok(())
    }
}

/// `NAME` or `NAME:LEVEL`.
fn compression(text: &str) -> Result<CompressionOptions> {
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let no_number = |_| Error::new(Code::InvalidArgument, "the level of the compression is no number").subject(text);
    let level = level.map(str::parse).transpose().map_err(no_number)?;
    let options = CompressionOptions { kind: Some(name.parse()?), level };
    options.check().map(|()| options)
}

fn layer(path: &str, into: &Options, ctx: &Context) -> Task<Layer> {
    match Path::new(path) {
        _ if path == "-" => Layer::from_stream(Box::new(Stdin), into, ctx),
        path if path.is_dir() => Layer::from_dir(path, into, ctx),
        path => Layer::from_file(path, into, ctx),
    }
}

struct Stdin;

impl HostStream for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        std::io::stdin().read(buf).map_err(|e| Error::io("reading", "standard input", &e))
    }
}
