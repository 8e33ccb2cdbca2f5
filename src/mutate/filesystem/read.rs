//! One file out of an image.

use super::files::tree_of;
use super::keep::Keep;
use super::merge::Wanted;
use super::path::{clean, split, text};
use super::{by_toc, layers_of, merged};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::options::Options;
use crate::reader::Reader;
use crate::stream::{Chunks, Kind, TarContent, TarEntry, TarStream};
use std::collections::HashMap;

/// Links that are followed, at most (as in Linux).
const MAX_LINKS: usize = 40;

impl Image {
    /// The content of one file; symbolic links are followed within the image. Layers are read from the topmost down to
    /// the one that has it, which is read to its end: the content is verified before the reader gives any of it. What
    /// is larger than a mebibyte waits in a temporary file for that. Where all layers have a table of contents (eStargz,
    /// zstd:chunked), nothing is fetched but those and the file.
    ///
    /// Errors: `NotFound`; `InvalidArgument` for what is no regular file; as for [`Image::filesystem`]. Options: none.
    pub fn read_file(&self, path: impl AsRef<[u8]>, options: &Options, ctx: &Context) -> Task<Reader> {
        if let Err(e) = options.only("read_file", &[]) {
            return Task::ready(Err(e));
        }
        let (image, path) = (self.clone(), path.as_ref().to_vec());
        self.home().spawn(ctx, |ctx| async move {
            let content = match by_toc::find(&image, &path, &ctx).await? {
                Some(content) => content,
                None => find(&image, &path, &ctx).await?,
            };
            Ok(Reader::new(image.home().clone(), content))
        })
    }
}

/// What a pass over the layers found out about a path.
enum Seen {
    Nothing,
    Content(Chunks),
    /// A hard link to this.
    Link(Vec<u8>),
    /// The path itself, or something above it that is no directory.
    Entry(Box<TarEntry>),
}

async fn find(image: &Image, path: &[u8], ctx: &Context) -> Result<Chunks> {
    let gone = || Error::new(Code::NotFound, "the image has no such file").subject(text(path));
    let mut wanted = clean(path, false).map_err(|_| gone())?;
    let mut also = Vec::new();
    for _ in 0..MAX_LINKS {
        if wanted.is_empty() {
            return Err(invalid("it is a directory").subject(text(path)));
        }
        let entry = match look(image, &wanted, &also, ctx).await? {
            Seen::Nothing => return Err(gone()),
            Seen::Content(chunks) => return Ok(chunks),
            Seen::Link(target) => {
                also.push(target); // and once more, with an eye on that
                continue;
            }
            Seen::Entry(entry) => *entry,
        };
        also.clear();
        let name = own_name(&entry);
        let below = wanted.get(name.len()..).unwrap_or_default(); // what is wanted below a link
        wanted = match entry.kind {
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
            Kind::Symlink | Kind::HardLink => return exactly(image, path, ctx).await,
            Kind::Directory => return Err(invalid("it is a directory").subject(text(path))),
            _ if !below.is_empty() => return Err(gone()),
            _ => return Err(no_regular_file(path)),
        };
    }
    Err(Error::new(Code::NotFound, "too many symbolic links on the way").subject(text(path)))
}

/// Down to the layer that tells about this path; `also` are names that it is a hard link to.
async fn look(image: &Image, wanted: &[u8], also: &[Vec<u8>], ctx: &Context) -> Result<Seen> {
    let only = Wanted { path: wanted.to_vec(), also: also.to_vec() };
    let mut tar = TarStream::new(merged(image, Some(only), ctx).await?);
    let mut seen = Seen::Nothing;
    let mut itself = false;
    let mut contents: HashMap<Vec<u8>, Chunks> = HashMap::new();
    while let Some(entry) = tar.next().await? {
        let name = own_name(&entry).to_vec();
        let is_it = name == wanted;
        let counts = is_it || !itself; // what is above it was replaced by a directory otherwise
        match entry.kind {
            Kind::File if is_it || also.contains(&name) => {
                let mut keep = Keep::new(image.home().place());
                let mut content = TarContent::new(&entry)?;
                while let Some(piece) = content.next(&entry, &mut tar).await? {
                    keep.put(piece).await?;
                }
                contents.insert(name, keep.finish().await?.open(0));
            }
            Kind::HardLink if is_it || also.contains(&name) => match contents.remove(&entry.link) {
                Some(content) => drop(contents.insert(name, content)),
                None if also.contains(&entry.link) => return Ok(Seen::Entry(Box::new(entry))), // to what has no content
                None => return Ok(Seen::Link(entry.link)),
            },
            _ if also.contains(&name) => {}
            _ if counts => seen = Seen::Entry(Box::new(entry)),
            _ => {}
        }
        itself |= is_it; // a layer may have it twice: the last one counts
    }
    Ok(match contents.remove(wanted) {
        Some(content) => Seen::Content(content),
        None => seen,
    })
}

fn own_name(entry: &TarEntry) -> &[u8] {
    entry.name.strip_suffix(b"/").unwrap_or(&entry.name)
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
    let mut keep = None;
    while let Some(entry) = tar.next().await? {
        if number == id.entry {
            if entry.kind != Kind::File {
                return Err(no_regular_file(path));
            }
            let kept = keep.insert(Keep::new(image.home().place()));
            let mut content = TarContent::new(&entry)?;
            while let Some(piece) = content.next(&entry, &mut tar).await? {
                kept.put(piece).await?;
            }
        }
        number += 1;
    }
    match keep {
        Some(keep) => Ok(keep.finish().await?.open(0)),
        None => Err(Error::new(Code::Malformed, "the layer was another when it was read again")),
    }
}

fn no_regular_file(path: &[u8]) -> Error {
    invalid("it is no regular file").subject(text(path))
}
