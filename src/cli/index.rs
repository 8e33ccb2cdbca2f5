//! `parb index`.

use super::Global;
use super::medium::in_registry;
use parbuckle::{Child, Code, Context, Error, Format, IndexBuilder, Matcher, Options, Platform, Reference, Result};

/// Put indexes together, and take them apart
#[derive(clap::Args)]
pub(super) struct Index {
    #[command(subcommand)]
    command: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Append(Append),
    Filter(Filter),
}

impl Index {
    pub(super) fn takes_platforms(&self) -> bool {
        matches!(self.command, Verb::Filter(_))
    }
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        match self.command {
            Verb::Append(command) => command.run(global, ctx),
            Verb::Filter(command) => command.run(global, ctx),
        }
    }
}

/// Add images and indexes to an index, and push it
#[derive(clap::Args)]
struct Append {
    /// The index to add to; without it, an empty one
    #[arg(value_parser = in_registry)]
    base: Option<Reference>,
    /// What is added; may be repeated or a comma-list
    #[arg(short, long, value_name = "IMAGE", value_delimiter = ',', required = true, value_parser = in_registry)]
    manifest: Vec<Reference>,
    /// Where the new index goes; without it, where the base came from
    #[arg(short, long, required_unless_present = "base", value_parser = in_registry)]
    tag: Option<Reference>,
    /// Without a base, start from an empty Docker manifest list instead of an OCI index
    #[arg(long, conflicts_with = "base")]
    docker_empty_base: bool,
    /// Add an index's entries instead of the index itself
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    flatten: bool,
}

impl Append {
    fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let client = global.client()?;
        let mut builder = match &self.base {
            Some(base) => IndexBuilder::new(&client.pull_index(base, &Options::new(), ctx).wait()?),
            None => IndexBuilder::from_scratch(),
        };
        for name in &self.manifest {
            match client.pull_any(name, &global.reading(), ctx).wait()? {
                Child::Image(image) => builder.add_image(&image),
                Child::Index(index) if self.flatten => builder.add_children(&index),
                Child::Index(index) => builder.add_index(&index),
            };
        }
        let format = if self.docker_empty_base { Format::Docker } else { Format::Oci };
        let options = if self.base.is_some() { Options::new() } else { Options::new().format(format) };
        let made = builder.build(&options, ctx).wait()?;
        push(global, &client, self.tag, self.base, &made, ctx)
    }
}

/// Keep the images for some platforms, and push the index
#[derive(clap::Args)]
struct Filter {
    /// The index
    #[arg(value_parser = in_registry)]
    index: Reference,
    /// A platform to keep, and no other: os[/arch[/variant]][:osversion]; what is left out does not matter; may be
    /// repeated
    #[arg(long = "keep", value_name = "PLATFORM", required_unless_present = "platform")]
    keep: Vec<Platform>,
    /// Where the new index goes; without it, where the old one came from
    #[arg(short, long, value_parser = in_registry)]
    tag: Option<Reference>,
}

impl Filter {
    fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let client = global.client()?;
        let index = client.pull_index(&self.index, &Options::new(), ctx).wait()?;
        let wanted = self.keep.iter().chain(&global.platform).cloned();
        let matcher = wanted.fold(Matcher::new(), Matcher::platform);
        let made = index.filter(&matcher, &Options::new(), ctx).wait()?;
        push(global, &client, self.tag, Some(self.index), &made, ctx)
    }
}

fn push(
    global: &Global,
    client: &parbuckle::Client,
    tag: Option<Reference>,
    source: Option<Reference>,
    made: &parbuckle::Index,
    ctx: &Context,
) -> Result<()> {
    let target = match (tag, source) {
        (Some(tag), _) => tag,
        (None, Some(source)) if source.digest().is_some() => source.with_digest(made.digest().clone()),
        (None, Some(source)) => source,
        (None, None) => return Err(Error::new(Code::InvalidArgument, "no --tag says where the index goes")),
    };
    client.push_index(&target, made, &global.pushing(), ctx).wait()?;
    super::print_pushed(&target, made.digest());
    Ok(())
}
