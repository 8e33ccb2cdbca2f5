//! Where an image lies: what `parb copy` and its like take for a name.

use super::Global;
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Child, Code, Context, Daemon, Error, Format, Layout, Options, Reference,
    Result, SinkHandle,
};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A place for an image or an index, with its name there.
#[derive(Clone, Debug)]
pub(super) enum Medium {
    Registry(Reference),
    Layout { path: PathBuf, name: Option<String> },
    Archive { path: PathBuf, name: Option<String>, format: ArchiveFormat },
    Daemon { host: Option<String>, reference: Reference },
}

/// What the help says of them.
pub(super) const FORMS: &str = "Places are written:
  REGISTRY/REPOSITORY[:TAG|@DIGEST]         a registry (also with docker:// before it)
  oci:DIRECTORY[:NAME]                      an OCI layout
  oci-archive:FILE[:NAME]                   the same in one tar
  docker-archive:FILE[:IMAGE]               what docker save writes
  legacy-archive:FILE[:IMAGE]               what docker save wrote before version 1.10
  docker-daemon:[HOST,]IMAGE                a Docker-compatible daemon; HOST as in DOCKER_HOST, which is the default
An archive may be compressed where it is read; '-' as its FILE is standard input or output.";

impl FromStr for Medium {
    type Err = Error;

    fn from_str(text: &str) -> Result<Medium> {
        let archive = |rest: &str, format| {
            let (path, name) = path_and_name(rest)?;
            Ok(Medium::Archive { path, name, format })
        };
        match text.split_once(':') {
            Some(("oci", rest)) => {
                let (path, name) = path_and_name(rest)?;
                Ok(Medium::Layout { path, name })
            }
            Some(("oci-archive", rest)) => archive(rest, ArchiveFormat::Oci),
            Some(("docker-archive", rest)) => archive(rest, ArchiveFormat::Docker),
            Some(("legacy-archive", rest)) => archive(rest, ArchiveFormat::Legacy),
            Some(("docker-daemon", rest)) => {
                let (host, image) = match rest.split_once(',') {
                    Some((host, image)) => (Some(host.to_owned()), image),
                    None => (None, rest),
                };
                Ok(Medium::Daemon { host, reference: Reference::parse(image)? })
            }
            Some(("docker", rest)) if rest.starts_with("//") => Ok(Medium::Registry(Reference::parse(&rest[2..])?)),
            _ => Ok(Medium::Registry(Reference::parse(text)?)),
        }
    }
}

/// `PATH` or `PATH:NAME`; the first colon divides.
fn path_and_name(text: &str) -> Result<(PathBuf, Option<String>)> {
    let (path, name) = match text.split_once(':') {
        Some((path, name)) => (path, Some(name.to_owned()).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    match path.is_empty() {
        true => Err(Error::new(Code::InvalidArgument, "a place without a path").subject(text)),
        false => Ok((path.into(), name)),
    }
}

impl Medium {
    /// What lies there: with a platform an image, else whatever it is. New blobs that reading it makes (an archive's
    /// plain layers, compressed) go where `target` is.
    pub(super) fn read(&self, global: &Global, target: &Medium, ctx: &Context) -> Result<Child> {
        let reading = global.reading();
        match self {
            Medium::Registry(reference) => global.client()?.pull_any(reference, &reading, ctx).wait(),
            Medium::Layout { path, name } => {
                Layout::open(path, &Options::new(), ctx).wait()?.any(name.as_deref(), &reading, ctx).wait()
            }
            Medium::Archive { path, name, .. } => {
                let archive = Archive::open(path, &Options::new(), ctx).wait()?;
                let mut packing = target.packing(global, reading)?;
                // Where a manifest has to be made, it is made for those who read the target.
                if target.is_oci() && archive.index(None, &Options::new(), ctx).wait().is_err() {
                    packing = packing.format(Format::Oci);
                }
                archive.any(name.as_deref(), &packing, ctx).wait()
            }
            Medium::Daemon { host, reference } => {
                let daemon = Daemon::connect(host.as_deref(), &Options::new(), ctx).wait()?;
                let mut packing = target.packing(global, reading)?;
                if target.is_oci() {
                    packing = packing.format(Format::Oci);
                }
                Ok(Child::Image(daemon.image(&reference.to_string(), &packing, ctx).wait()?))
            }
        }
    }

    /// Whether it is one of OCI's own media, in which some look for nothing but OCI's types.
    fn is_oci(&self) -> bool {
        matches!(self, Medium::Layout { .. } | Medium::Archive { format: ArchiveFormat::Oci, .. })
    }

    /// Options for reading plain layers on their way here: a registry is better served compressed ones, and they are
    /// compressed straight into it.
    fn packing(&self, global: &Global, options: Options) -> Result<Options> {
        match self {
            Medium::Registry(to) => Ok(options.sink(&SinkHandle::repository(&global.client()?, to))),
            _ => Ok(options),
        }
    }

    /// Puts it there.
    pub(super) fn write(&self, global: &Global, value: &Child, ctx: &Context) -> Result<()> {
        let options = global.pushing();
        match self {
            Medium::Registry(reference) => global.client()?.push_any(reference, value, &options, ctx).wait(),
            Medium::Layout { path, name } => {
                let layout = Layout::create(path, &Options::new(), ctx).wait()?;
                layout.replace_any(value, name.as_deref(), &options, ctx).wait().map(drop)
            }
            Medium::Archive { path, name, format } => {
                let item = ArchiveItem::new(value, name.as_deref());
                Archive::write(path, &[item], &options.archive_format(*format), ctx).wait()
            }
            Medium::Daemon { host, reference } => {
                let daemon = Daemon::connect(host.as_deref(), &Options::new(), ctx).wait()?;
                let Child::Image(image) = value else {
                    let why = "a daemon takes images: choose one of the index with --platform";
                    return Err(Error::new(Code::Unsupported, why).subject(reference));
                };
                daemon.load(image, Some(reference), &Options::new(), ctx).wait().map(drop)
            }
        }
    }
}

/// A place of `parb push` and `pull`, told by what lies there: a directory is a layout, all else an archive.
pub(super) fn local(path: &Path) -> Medium {
    match path.is_dir() {
        true => Medium::Layout { path: path.to_owned(), name: None },
        false => Medium::Archive { path: path.to_owned(), name: None, format: ArchiveFormat::Docker },
    }
}
