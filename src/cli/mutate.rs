//! `parb mutate`.

use super::Global;
use super::medium::in_registry;
use parbuckle::{Code, Context, Error, ImageBuilder, Layer, Options, Platform, Reference, Result, SinkHandle};
use std::path::Path;

/// Change an image's config, annotations and layers, and push it
#[derive(clap::Args)]
pub(super) struct Mutate {
    /// The image
    #[arg(value_parser = in_registry)]
    image: Reference,
    /// An annotation KEY=VALUE to set; may be repeated or a comma-list
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = pair)]
    annotation: Vec<Pair>,
    /// A label KEY=VALUE to set; may be repeated or a comma-list
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = pair)]
    label: Vec<Pair>,
    /// A variable NAME=VALUE to set; may be repeated (a comma belongs to the value)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<Pair>,
    /// The new entry point, a comma-list; it clears the command. Empty: none
    #[arg(long, value_delimiter = ',')]
    entrypoint: Vec<String>,
    /// The new command, a comma-list. Empty: none
    #[arg(long, value_delimiter = ',')]
    cmd: Vec<String>,
    /// A layer to append: a tar, plain or compressed; may be repeated or a comma-list
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    append: Vec<String>,
    /// The new user. Empty: none
    #[arg(short, long)]
    user: Option<String>,
    /// The new working directory. Empty: none
    #[arg(short, long)]
    workdir: Option<String>,
    /// The exposed ports, a comma-list, in place of those there were. Empty: none
    #[arg(long, value_delimiter = ',')]
    exposed_ports: Vec<String>,
    /// The platform to write into the config: os/arch[/variant][:osversion]
    #[arg(long, value_name = "PLATFORM")]
    set_platform: Option<Platform>,
    /// Push to this repository, by digest
    #[arg(long, conflicts_with = "tag", value_parser = in_registry)]
    repo: Option<Reference>,
    /// Where the new image goes; without it, where the old one came from
    #[arg(short, long, value_parser = in_registry)]
    tag: Option<Reference>,
}

impl Mutate {
    pub(super) fn run(self, global: &Global, ctx: &Context) -> Result<()> {
        let client = global.client()?;
        let source = &self.image;
        let target = self.tag.as_ref().or(self.repo.as_ref()).unwrap_or(source).clone();
        let base = client.pull(source, &global.reading(), ctx).wait()?;
        let mut builder = ImageBuilder::new(&base);
        let mut into = Options::new().sink(&SinkHandle::repository(&client, &target));
        if let Some(compression) = super::asked_by_environment() {
            into = into.compression(compression);
        }
        for path in &self.append {
            builder.add_layer(&Layer::from_file(Path::new(path), &into, ctx).wait()?);
        }
        self.change(&mut builder)?;
        let made = builder.build(&Options::new(), ctx).wait()?;
        // A digest can't be pushed to: another image has another one.
        let by_digest = self.repo.is_some() || (self.tag.is_none() && source.digest().is_some());
        let to = if by_digest { target.with_digest(made.digest().clone()) } else { target };
        client.push(&to, &made, &global.pushing(), ctx).wait()?;
        super::print_pushed(&to, made.digest());
        Ok(())
    }

    fn change(&self, builder: &mut ImageBuilder) -> Result<()> {
        for (key, value) in &self.label {
            builder.set_label(key, Some(value))?;
        }
        for (name, value) in &self.env {
            builder.set_env(name, Some(value))?;
        }
        if !self.entrypoint.is_empty() {
            builder.set_entrypoint(unless_empty(&self.entrypoint)).set_cmd(None);
        }
        if !self.cmd.is_empty() {
            builder.set_cmd(unless_empty(&self.cmd));
        }
        if let Some(user) = &self.user {
            builder.set_user(user);
        }
        if let Some(path) = &self.workdir {
            builder.set_working_dir(path);
        }
        if !self.exposed_ports.is_empty() {
            builder.add_exposed_port(None)?;
        }
        for port in unless_empty(&self.exposed_ports).unwrap_or_default() {
            builder.add_exposed_port(Some(&port))?;
        }
        if let Some(platform) = &self.set_platform {
            builder.set_platform(platform);
        }
        for (key, value) in &self.annotation {
            builder.set_annotation(key, Some(value))?;
        }
        Ok(())
    }
}

/// `--cmd=` is a list of one empty text, and means none at all.
fn unless_empty(list: &[String]) -> Option<Vec<String>> {
    (list != [""]).then(|| list.to_vec())
}

type Pair = (String, String);

fn pair(text: &str) -> Result<Pair> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::new(Code::InvalidArgument, "it is written KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Command, Parb};
    use clap::Parser;
    use parbuckle::{Context, ImageBuilder, Options, Result};

    /// The config's `config` after these flags, one after the other, on an image from scratch.
    fn run(steps: &[&[&str]]) -> Result<String> {
        let mut builder = ImageBuilder::from_scratch();
        for flags in steps {
            let parsed = Parb::try_parse_from([&["parb", "mutate", "x"], *flags].concat()).unwrap();
            let Command::Mutate(mutate) = parsed.command else { panic!("another command") };
            mutate.change(&mut builder)?;
        }
        let ctx = Context::new();
        let config = builder.build(&Options::new(), &ctx).wait()?.config(&ctx).wait()?;
        let text = String::from_utf8(config.raw().to_vec()).unwrap();
        Ok(text.split_once(r#""config":"#).unwrap().1.strip_suffix('}').unwrap().to_owned())
    }

    #[test]
    fn empty_values_are_values_and_empty_lists_are_none() {
        assert_eq!(run(&[&["-e", "A=", "-l", "b="]]).unwrap(), r#"{"Env":["A="],"Labels":{"b":""}}"#);
        let all = ["--entrypoint=/e,x", "--cmd=c", "-u", "me", "-w", "/w", "--exposed-ports=80/tcp,443"];
        assert!(run(&[&all]).unwrap().contains(r#""Cmd":["c"],"Entrypoint":["/e","x"],"User":"me""#));
        assert_eq!(run(&[&all, &["--entrypoint=", "--user=", "--workdir=", "--exposed-ports="]]).unwrap(), "{}");
        assert!(!run(&[&all, &["--cmd="]]).unwrap().contains("Cmd"));
        for bad in ["A", "=b"] {
            assert!(Parb::try_parse_from(["parb", "mutate", "x", "-e", bad]).is_err(), "{bad}");
        }
    }
}
