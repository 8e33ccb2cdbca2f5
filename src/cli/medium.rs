//! Where an image lies: what `parb copy` and its like take for a name.

use super::Global;
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Child, Code, Context, Daemon, Error, Format, Image, Layout, Options, Platform,
    Reference, Result, SinkHandle,
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

/// A reference to a registry, for what works there only. What is written as another place is not taken for the name of
/// a repository at Docker Hub.
pub(super) fn in_registry(text: &str) -> Result<Reference> {
    match text.parse()? {
        Medium::Registry(reference) => Ok(reference),
        _ => {
            let why = "this works in a registry only: REGISTRY/REPOSITORY[:TAG|@DIGEST], where 'parb copy' brings \
                       images from other places";
            Err(Error::new(Code::InvalidArgument, why))
        }
    }
}

/// Whose media types are wanted.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Types {
    Oci,
    Docker,
}

impl Types {
    /// The same with these media types throughout; what has them already stays as it is.
    pub(super) fn of(self, value: Child, ctx: &Context) -> Result<Child> {
        let format = match self {
            Types::Oci => Format::Oci,
            Types::Docker => Format::Docker,
        };
        match value {
            Child::Image(image) => image.convert(format, &Options::new(), ctx).wait().map(Child::Image),
            Child::Index(index) => index.convert(format, &Options::new(), ctx).wait().map(Child::Index),
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

    /// The image that lies there; of an index the one for the platform, which is linux/amd64 unless one is named.
    pub(super) fn image(&self, global: &Global, target: &Medium, ctx: &Context) -> Result<Image> {
        if let Medium::Registry(reference) = self {
            return global.client()?.pull(reference, &global.reading(), ctx).wait();
        }
        match self.read(global, target, ctx)? {
            Child::Image(image) => Ok(image),
            Child::Index(index) => {
                let wanted = Platform::default().to_string();
                index.image(&wanted, &Options::new(), ctx).wait().map_err(|e| e.or_subject(index.digest()))
            }
        }
    }

    /// What lies there, where it has a digest before anything is made of it.
    pub(super) fn exact(&self, global: &Global, ctx: &Context) -> Result<Child> {
        let has_manifests = match self {
            Medium::Registry(_) | Medium::Layout { .. } => true,
            Medium::Archive { path, .. } => {
                let archive = Archive::open(path, &Options::new(), ctx).wait()?;
                archive.index(None, &Options::new(), ctx).wait().is_ok()
            }
            Medium::Daemon { .. } => false,
        };
        match (has_manifests, self) {
            (true, _) => self.read(global, self, ctx),
            (false, Medium::Archive { path, .. }) => Err(no_digest("this archive").subject(path.display())),
            (false, _) => Err(no_digest("a daemon")),
        }
    }

    /// What it is called where it lies, as far as that says more than a tag.
    pub(super) fn full_name(&self) -> Option<String> {
        match self {
            Medium::Registry(reference) | Medium::Daemon { reference, .. } => Some(reference.to_string()),
            Medium::Layout { name, .. } | Medium::Archive { name, .. } => name.clone().filter(|n| n.contains('/')),
        }
    }

    /// Whether manifests, and so their media types, are kept there.
    pub(super) fn keeps_manifests(&self) -> bool {
        self.is_oci() || matches!(self, Medium::Registry(_))
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

fn no_digest(place: &str) -> Error {
    let why = format!(
        "{place} has no manifests, and so an image in it no digest yet: 'parb copy' brings it to a registry or to an \
         OCI layout (oci:DIRECTORY), where it has one"
    );
    Error::new(Code::Unsupported, why)
}

/// A place of `parb push`, told by what lies there: a directory is a layout, all else an archive.
pub(super) fn local(path: &Path) -> Medium {
    match path.is_dir() {
        true => Medium::Layout { path: path.to_owned(), name: None },
        false => Medium::Archive { path: path.to_owned(), name: None, format: ArchiveFormat::Docker },
    }
}
