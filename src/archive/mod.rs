//! Images in one file: a tar of `docker save` in all its forms, or an OCI layout in a tar; read and written.
//!
//! What is read is indexed once, by its headers, and then read in place. Where it can't be (a pipe, a stream, a
//! compressed archive) it goes into a file without a name first. What is written is planned first, so that sizes are
//! known and nothing is ever looked back at: a pipe takes it as well as a file.
//!
//! * `tar`: what is in a tar, and where;
//! * `docker`, `legacy`, `oci`: the three forms, read;
//! * `plan`: what will be in a new archive, and its bytes; `save`, `save_v1`, `layout`: the three forms, written;
//! * `write`, `out`: new archives, and where their bytes go.

mod docker;
mod layout;
mod legacy;
mod oci;
mod out;
mod plan;
mod save;
mod save_v1;
mod tar;
mod write;

pub(crate) use docker::check_tars_stay;
pub use write::ArchiveItem;
pub(crate) use write::stream;

use crate::context::Context;
use crate::digest::{Digest, shown};
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::name::Reference;
use crate::options::{ArchiveFormat, Options};
use crate::source::{Home, Place};
use crate::stream::{BlobOut, Chunks, Compression, Spool, decompressed, read_file, sniff};
use crate::writer::{HostStream, Pipe, pump};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tar::{Entries, Found};

/// The largest manifest.json or `repositories`.
const MAX_DOCUMENT: u64 = 1 << 20;

/// An archive of images, open to be read. A clone is the same archive; images that came out of it keep it open.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    entries: Entries,
    place: Place,
    form: Form,
}

enum Form {
    Docker(docker::Saved),
    Oci(oci::Layout),
    Legacy(legacy::Saved),
}

impl Archive {
    /// Opens an archive. A file is read in place, and stays open; a pipe (or `-`: standard input) and an archive that
    /// is compressed as a whole with gzip or zstd go into a file without a name in the directory for temporary files.
    ///
    /// Errors: `NotFound`, `Io`; `Malformed` where it is no archive of images, or is cut off; `LimitExceeded`.
    /// Options: none.
    pub fn open(path: &Path, options: &Options, ctx: &Context) -> Task<Archive> {
        let begun = options.only("opening an archive", &[]).and_then(|()| Place::here());
        let place = match begun {
            Ok(place) => place,
            Err(e) => return Task::ready(Err(e)),
        };
        if path == Path::new("-") {
            return match standard_input() {
                Ok(file) => Archive::spooled(place, Box::new(Pipe::new(path, Some(file))), "standard input", ctx),
                Err(e) => Task::ready(Err(e)),
            };
        }
        let subject = path.display().to_string();
        match std::fs::metadata(path) {
            Err(e) => Task::ready(Err(Error::io("opening the archive", subject, &e))),
            Ok(found) if found.is_dir() => Task::ready(Err(invalid("an archive is a file").subject(subject))),
            Ok(found) if !found.is_file() => Archive::spooled(place, Box::new(Pipe::new(path, None)), &subject, ctx),
            Ok(_) => {
                let path = path.to_owned();
                Archive::in_place(place, move || File::open(path), subject, ctx)
            }
        }
    }

    /// Opens an archive that is open already: a file is read in place, from its start; anything else to its end. Errors
    /// and options: as for [`Archive::open`].
    pub fn open_file(file: File, options: &Options, ctx: &Context) -> Task<Archive> {
        const SUBJECT: &str = "the archive's descriptor";
        let place = match options.only("opening an archive", &[]).and_then(|()| Place::here()) {
            Ok(place) => place,
            Err(e) => return Task::ready(Err(e)),
        };
        match file.metadata() {
            Err(e) => Task::ready(Err(Error::io("opening the archive", SUBJECT, &e))),
            Ok(found) if found.is_file() => Archive::in_place(place, move || Ok(file), SUBJECT.into(), ctx),
            Ok(_) => Archive::spooled(place, Box::new(Pipe::new(Path::new(SUBJECT), Some(file))), SUBJECT, ctx),
        }
    }

    /// Opens an archive that comes from a stream of the host, which is read to its end, on a thread of its own, into a
    /// file without a name. Errors and options: as for [`Archive::open`]; those of the stream.
    pub fn from_stream(stream: Box<dyn HostStream>, options: &Options, ctx: &Context) -> Task<Archive> {
        match options.only("opening an archive", &[]).and_then(|()| Place::here()) {
            Ok(place) => Archive::spooled(place, stream, "archive", ctx),
            Err(e) => Task::ready(Err(e)),
        }
    }

    fn in_place(
        place: Place,
        open: impl FnOnce() -> std::io::Result<File> + Send + 'static,
        subject: String,
        ctx: &Context,
    ) -> Task<Archive> {
        Home::Local(place.clone()).spawn(ctx, |ctx| async move {
            let opened = place.engine.pool().run(move || open().and_then(look)).await?;
            let (file, size, head) = opened.map_err(|e| Error::io("opening the archive", &subject, &e))?;
            match sniff(&head) {
                Compression::None => Archive::indexed(place, file, size, &subject).await,
                _ => {
                    let chunks = read_file(&place.engine, file, subject.as_str(), 0, size);
                    Archive::from_chunks(&place, chunks, &subject, &ctx).await
                }
            }
        })
    }

    fn spooled(place: Place, stream: Box<dyn HostStream>, subject: &str, ctx: &Context) -> Task<Archive> {
        let subject = subject.to_owned();
        Home::Local(place.clone()).spawn(ctx, |ctx| async move {
            let (chunks, _) = pump(&place, stream)?;
            Archive::from_chunks(&place, chunks, &subject, &ctx).await
        })
    }

    /// The same from the library's own streams; `subject` is what errors call it.
    pub(crate) async fn from_chunks(place: &Place, chunks: Chunks, subject: &str, ctx: &Context) -> Result<Archive> {
        let mut plain = decompressed(&place.engine, chunks, None, Default::default(), &place.stats);
        let mut spool = Spool::create(&place.engine, &place.spool_dir, &place.stats).await?;
        while let Some(chunk) = plain.next().await.map_err(|e| e.or_subject(subject))? {
            ctx.count_bytes(chunk.len() as u64);
            spool.write(chunk).await?;
        }
        let kept = spool.finish().await?;
        Archive::indexed(place.clone(), kept.file().clone(), kept.size(), subject).await
    }

    async fn indexed(place: Place, file: Arc<File>, size: u64, subject: &str) -> Result<Archive> {
        let entries = Entries::scan(&place, file, size, subject).await?;
        let form = if let Some(found) = entries.find("manifest.json")? {
            Form::Docker(docker::Saved::read(&entries, &found).await?)
        } else if let Some(found) = entries.find("index.json")? {
            Form::Oci(oci::Layout::read(&entries, &found).await?)
        } else if let Some(saved) = legacy::Saved::read(&entries).await? {
            Form::Legacy(saved)
        } else {
            let why = "not an archive of images: there is no manifest.json, index.json or repositories in it";
            return Err(Error::new(Code::Malformed, why).subject(subject));
        };
        Ok(Archive(Arc::new(Inner { entries, place, form })))
    }

    /// Which form the archive has. One of Docker ≥ 25, which is both, counts as Docker's.
    pub fn kind(&self) -> ArchiveFormat {
        match &self.0.form {
            Form::Docker(_) => ArchiveFormat::Docker,
            Form::Oci(_) => ArchiveFormat::Oci,
            Form::Legacy(_) => ArchiveFormat::Legacy,
        }
    }

    /// The names of the images in the archive, in its order. They are what its maker wrote, and nobody vouches for them.
    pub fn refs(&self) -> Vec<String> {
        match &self.0.form {
            Form::Docker(saved) => saved.names(),
            Form::Oci(layout) => layout.names(),
            Form::Legacy(saved) => saved.names(),
        }
    }

    /// An image of the archive: by its name as it stands in the archive or fully written, or by the digest of its
    /// manifest or config; without a name the only one. Manifest and config are read and checked now.
    ///
    /// An archive of `docker save` has no manifests, so that one is made: of Docker's types, or of OCI's with the
    /// option format, for which compressed layers are read once: their names are not trusted to be their digests, and
    /// where they are not, a layer is decompressed too and has to be the one that the config names. The
    /// layers stay as they are, unless the options name a sink or a compression: then plain ones are compressed, and all
    /// that are compressed otherwise than asked for are compressed anew, in one pass into that sink. Where the archive
    /// has the manifest too (OCI, Docker ≥ 25) and nothing of that is asked for, it is the one that counts.
    ///
    /// Errors: `NotFound`; `InvalidArgument` where there are several and none is named; `Malformed` where manifest.json,
    /// config and layers don't fit; `DigestMismatch`; `Unsupported` for eStargz, where the archive has a config whose
    /// diff ids that would change: [`Image::recompress`] makes one. Options: platform, format, sink, compression.
    pub fn image(&self, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Image> {
        let only = options.only("the image of an archive", &["platform", "format", "sink", "compression"]);
        if let Err(e) = only {
            return Task::ready(Err(e));
        }
        let (archive, name, options) = (self.clone(), name.map(Wanted::new), options.clone());
        self.home().spawn(ctx, |ctx| async move {
            let made = match &archive.0.form {
                Form::Docker(saved) => saved.image(&archive, name.as_ref(), &options, &ctx).await,
                Form::Oci(layout) => layout.image(&archive, name.as_ref(), &options, &ctx).await,
                Form::Legacy(saved) => saved.image(&archive, name.as_ref(), &options, &ctx).await,
            };
            made.map_err(|e| e.or_subject(archive.0.entries.subject()))
        })
    }

    /// What is meant, as for [`Archive::image`], be it image or index. Where the archive has manifests, they count, and
    /// sink says nothing; with a platform, a format or a compression in the options it is an image.
    ///
    /// Errors and options: as for [`Archive::image`].
    pub fn any(&self, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Child> {
        let exact = options.platform.is_none() && options.format.is_none() && options.compression.is_none();
        let as_image = match (&self.0.form, self.layout().is_some() && exact) {
            (_, true) => {
                if let Err(e) = options.only("what is in an archive", &["sink"]) {
                    return Task::ready(Err(e));
                }
                None
            }
            (Form::Oci(_), false) => Some(Options { sink: None, ..options.clone() }),
            _ => Some(options.clone()),
        };
        if let Some(options) = as_image {
            let image = self.image(name, &options, ctx);
            return self.home().spawn(ctx, |_| async move { image.await.map(Child::Image) });
        }
        let (archive, name) = (self.clone(), name.map(Wanted::new));
        self.home().spawn(ctx, |ctx| async move {
            let found = match archive.layout() {
                Some(layout) => layout.child(&archive, name.as_ref(), None, &ctx).await,
                None => Err(Error::new(Code::InvalidState, "the archive has no index")),
            };
            found.map_err(|e| e.or_subject(archive.0.entries.subject()))
        })
    }

    /// The index.json in it, where there is one.
    fn layout(&self) -> Option<&oci::Layout> {
        match &self.0.form {
            Form::Docker(saved) => saved.layout(),
            Form::Oci(layout) => Some(layout),
            Form::Legacy(_) => None,
        }
    }

    /// An index of the archive, by its name or digest; without a name, its index.json, which names all that is in it.
    ///
    /// Errors: `Unsupported` where the archive has no index; `NotFound`; `InvalidArgument` where the name is an image's.
    /// Options: none.
    pub fn index(&self, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Index> {
        if let Err(e) = options.only("the index of an archive", &[]) {
            return Task::ready(Err(e));
        }
        let (archive, name) = (self.clone(), name.map(Wanted::new));
        self.home().spawn(ctx, |ctx| async move {
            let found = match archive.layout() {
                Some(layout) => layout.index(&archive, name.as_ref(), &ctx).await,
                None => Err(Error::new(Code::Unsupported, "an archive of this form has images only, and no index")),
            };
            found.map_err(|e| e.or_subject(archive.0.entries.subject()))
        })
    }

    fn home(&self) -> Home {
        Home::Local(self.0.place.clone())
    }
}

/// What a caller calls an image.
struct Wanted {
    text: String,
    reference: Option<Reference>,
    digest: Option<Digest>,
}

impl Wanted {
    fn new(text: &str) -> Wanted {
        Wanted { text: text.to_owned(), reference: text.parse().ok(), digest: text.parse().ok() }
    }
    /// Whether this name in an archive means the same.
    fn is(&self, name: &str) -> bool {
        let same = |wanted: &Reference| Reference::parse(name).is_ok_and(|name| name == *wanted);
        name == self.text || self.reference.as_ref().is_some_and(same)
    }
    fn not_found(&self, there: &[String]) -> Error {
        let names: Vec<String> = there.iter().take(10).map(|name| shown(name)).collect();
        let there = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
        Error::new(Code::NotFound, format!("the archive has no image {}; it has {there}", shown(&self.text)))
    }
}

/// Why no image was meant.
fn which_one(count: usize, names: &[String]) -> Error {
    match count {
        0 => Error::new(Code::NotFound, "there is no image in the archive"),
        n => {
            let names: Vec<String> = names.iter().take(10).map(|name| shown(name)).collect();
            invalid(format!("there are {n} images in the archive; name one of {}", names.join(", ")))
        }
    }
}

/// A file, its size and its first bytes.
fn look(file: File) -> std::io::Result<(Arc<File>, u64, Vec<u8>)> {
    let size = file.metadata()?.len();
    let mut head = vec![0; size.min(16) as usize];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut head, 0)?;
    Ok((Arc::new(file), size, head))
}

fn standard_input() -> Result<File> {
    use std::os::fd::AsFd;
    let owned = std::io::stdin().as_fd().try_clone_to_owned();
    owned.map(File::from).map_err(|e| Error::io("opening", "standard input", &e))
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive({})", self.0.entries.subject())
    }
}
