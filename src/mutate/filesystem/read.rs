//! One file out of an image.

use super::files::tree_of;
use super::path::{clean, split, text};
use super::{layers_of, merged};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::options::Options;
use crate::reader::Reader;
use crate::stream::{Chunks, Kind, TarContent, TarEntry, TarStream};

/// Links that are followed, at most (as in Linux).
const MAX_LINKS: usize = 40;

impl Image {
    /// The content of one file; symbolic links are followed within the image. Layers are read from the topmost down to
    /// the one that has it, which is read to its end: only then the content is known to be right, and the reader ends.
    ///
    /// Errors: `NotFound`; `InvalidArgument` for what is no regular file; as for [`Image::filesystem`]. Options: none.
    pub fn read_file(&self, path: &str, options: &Options, ctx: &Context) -> Task<Reader> {
        if let Err(e) = options.only("read_file", &[]) {
            return Task::ready(Err(e));
        }
        let (image, path) = (self.clone(), path.as_bytes().to_vec());
        self.home().spawn(ctx, |ctx| async move {
            let content = find(&image, &path, &ctx).await?;
            Ok(Reader::new(image.home().clone(), content))
        })
    }
}

async fn find(image: &Image, path: &[u8], ctx: &Context) -> Result<Chunks> {
    let gone = || Error::new(Code::NotFound, "the image has no such file").subject(text(path));
    let mut wanted = clean(path, false).map_err(|_| gone())?;
    for _ in 0..MAX_LINKS {
        if wanted.is_empty() {
            return Err(invalid("it is a directory").subject(text(path)));
        }
        let mut tar = TarStream::new(merged(image, Some(wanted.clone()), ctx).await?);
        let Some(entry) = tar.next().await? else { return Err(gone()) };
        let name = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
        let below = wanted.get(name.len()..).unwrap_or_default(); // what is wanted below a link
        wanted = match entry.kind {
            Kind::File if below.is_empty() => return content(entry, tar),
            Kind::HardLink if below.is_empty() => entry.link,
            Kind::Symlink if is_plain(&entry.link) => {
                let mut parts: Vec<&[u8]> = match entry.link.starts_with(b"/") {
                    true => Vec::new(),
                    false => split(name).collect(),
                };
                parts.pop();
                for part in split(&entry.link).chain(split(below)) {
                    match part {
                        b"." => {}
                        b".." => drop(parts.pop()), // above the root is the root
                        _ => parts.push(part),
                    }
                }
                parts.join(&b'/')
            }
            Kind::Symlink => return exactly(image, path, ctx).await,
            Kind::Directory => return Err(invalid("it is a directory").subject(text(path))),
            _ if !below.is_empty() => return Err(gone()),
            _ => return Err(no_regular_file(path)),
        };
    }
    Err(Error::new(Code::NotFound, "too many symbolic links on the way").subject(text(path)))
}

/// Whether a link's target only goes up where it starts: what lies above another link is not known from names.
fn is_plain(target: &[u8]) -> bool {
    !split(target).skip_while(|part| matches!(*part, b".." | b".")).any(|part| part == b"..")
}

/// By the tree of all layers.
async fn exactly(image: &Image, path: &[u8], ctx: &Context) -> Result<Chunks> {
    let layers = layers_of(image, ctx).await?;
    let id = tree_of(&layers, |_, _| Ok(())).await?.find(path)?;
    let mut tar = TarStream::new(layers.open(id.layer).await?);
    let mut number = 0;
    while let Some(entry) = tar.next().await? {
        if number == id.entry {
            return match entry.kind {
                Kind::File => content(entry, tar),
                _ => Err(no_regular_file(path)),
            };
        }
        number += 1;
    }
    Err(Error::new(Code::Malformed, "the layer was another when it was read again"))
}

fn no_regular_file(path: &[u8]) -> Error {
    invalid("it is no regular file").subject(text(path))
}

/// The present entry's content, and then the rest of the tar, which verifies it.
fn content(entry: TarEntry, tar: TarStream) -> Result<Chunks> {
    let content = TarContent::new(&entry)?;
    Ok(Chunks::unfold((content, entry, tar), |(mut content, entry, mut tar)| async move {
        if let Some(piece) = content.next(&entry, &mut tar).await? {
            return Ok(Some((piece, (content, entry, tar))));
        }
        while tar.next().await?.is_some() {}
        Ok(None)
    }))
}
