//! What files there are: in an image as its container sees it, and in one layer as it stands there.

use super::ahead::ahead;
use super::layers_of;
use super::merge::{Layers, open};
use super::path::{Named, clean, named};
use super::tree::{Fact, Id, Tree};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::layer::Layer;
use crate::options::Options;
use crate::stream::{Kind, TarEntry, TarStream};
use std::collections::HashMap;

/// Files in one list, at most.
const MAX_FILES: usize = 1_000_000;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that comes before it.
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// In layers only: removes what lower layers have at this path.
    Whiteout,
    /// In layers only: removes what lower layers have in this directory.
    Opaque,
    /// In layers only: an entry that is no file.
    Other,
}

impl FileKind {
    /// One letter: `f`, `d`, `l`, `h`, `c`, `b`, `p`, and `w`, `o`, `?` in layers.
    pub fn letter(self) -> char {
        match self {
            FileKind::File => 'f',
            FileKind::Directory => 'd',
            FileKind::Symlink => 'l',
            FileKind::HardLink => 'h',
            FileKind::CharDevice => 'c',
            FileKind::BlockDevice => 'b',
            FileKind::Fifo => 'p',
            FileKind::Whiteout => 'w',
            FileKind::Opaque => 'o',
            FileKind::Other => '?',
        }
    }
}

/// One file of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct File {
    /// Relative to the root, which is `.`; mostly UTF-8.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, set-id bits and the sticky bit.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content; 0 for all but files and hard links.
    pub size: u64,
    /// Time of modification: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Where a link leads: a symbolic one as it says, a hard one by the path of the file.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Names and values of extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which layer of the image it comes from, base first; of a hard link, the one with the link.
    pub layer: usize,
}

/// A list of files; a clone is the same list.
pub type Files = std::sync::Arc<[File]>;

impl Image {
    /// Every path of the image's file system: a directory before what is in it, sorted by name. Directories that no
    /// layer names are in it, with mode 755. Every layer is read to its end and verified.
    ///
    /// Errors: as for [`Image::filesystem`]; `LimitExceeded` for more than a million files. Options: none.
    pub fn files(&self, options: &Options, ctx: &Context) -> Task<Files> {
        if let Err(e) = options.only("files", &[]) {
            return Task::ready(Err(e));
        }
        let image = self.clone();
        self.home().spawn(ctx, |ctx| async move {
            let layers = layers_of(&image, &ctx).await?;
            let mut facts = HashMap::new();
            let tree = tree_of(&layers, |id, entry| {
                facts.insert(id, file_of(entry, id.layer as usize));
                at_most(facts.len())
            })
            .await?;
            Ok(listed(&tree, &facts).into())
        })
    }
}

impl Layer {
    /// The layer's own entries in its own order, whiteouts among them. Names are cleaned where they can be, and given as
    /// they are where they lead out of the root. The layer is read to its end and verified.
    ///
    /// Errors: `Malformed` where it is no tar; `LimitExceeded` for more than a million entries; those of reading it.
    /// Options: none.
    pub fn files(&self, options: &Options, ctx: &Context) -> Task<Files> {
        if let Err(e) = options.only("layer files", &[]) {
            return Task::ready(Err(e));
        }
        let layer = self.clone();
        self.home().spawn(ctx, |ctx| async move {
            let mut tar = TarStream::new(layer.uncompressed_chunks(&ctx, None).await?);
            let mut files = Vec::new();
            while let Some(entry) = tar.next().await.map_err(|e| e.or_subject(&layer.descriptor().digest))? {
                at_most(files.len() + 1)?;
                let mut file = file_of(&entry, 0);
                match named(&entry.name, true) {
                    Ok(Named::Entry(path)) => file.path = path,
                    Ok(Named::Whiteout(path)) => (file.path, file.kind) = (path, FileKind::Whiteout),
                    Ok(Named::Opaque(path)) => (file.path, file.kind) = (path, FileKind::Opaque),
                    Ok(Named::Ignored) => file.kind = FileKind::Other,
                    Err(_) => {}
                }
                if file.kind == FileKind::HardLink {
                    file.link = clean(&file.link, true).unwrap_or(file.link);
                }
                if file.path.is_empty() {
                    file.path = b".".to_vec();
                }
                files.push(file);
            }
            Ok(files.into())
        })
    }
}

fn at_most(count: usize) -> Result<()> {
    match count > MAX_FILES {
        true => Err(Error::new(Code::LimitExceeded, format!("more than {MAX_FILES} files to list"))),
        false => Ok(()),
    }
}

/// The exact tree of all layers; `each` sees all entries, the lowest layer's first.
pub(super) async fn tree_of(layers: &Layers, mut each: impl FnMut(Id, &TarEntry) -> Result<()>) -> Result<Tree> {
    let mut tree = Tree::new(layers.windows);
    let count = layers.image.layers().len() as u32;
    let mut next = None;
    for layer in 0..count {
        let chunks = match next.take() {
            Some(chunks) => chunks,
            None => layers.open(layer).await?,
        };
        if layer + 1 < count {
            let place = layers.image.home().place();
            next = Some(ahead(place, &layers.ctx, open(layers.image.clone(), layers.ctx.clone(), layer + 1)));
        }
        let mut tar = TarStream::new(chunks);
        let mut number = 0;
        while let Some(entry) = tar.next().await.map_err(|e| layers.within(layer, e))? {
            let id = Id { layer, entry: number };
            let fact = Fact { kind: entry.kind, name: &entry.name, link: &entry.link };
            tree.apply(id, &fact).map_err(|e| layers.within(layer, e.or_subject(entry.shown())))?;
            each(id, &entry)?;
            number += 1;
        }
    }
    Ok(tree)
}

fn listed(tree: &Tree, facts: &HashMap<Id, File>) -> Vec<File> {
    let mut files = Vec::new();
    let mut first: HashMap<Id, Vec<u8>> = HashMap::new();
    tree.walk(&mut |found| {
        let path = if found.path.is_empty() { b".".to_vec() } else { found.path.to_vec() };
        let fact = found.content.and_then(|id| facts.get(&id)).cloned();
        let mut file = fact.unwrap_or_else(|| implied(found.layer as usize));
        if let Some(by) = found.by {
            file.layer = by.layer as usize;
        }
        if let Some(content) = found.content.filter(|_| !found.directory) {
            match first.get(&content) {
                Some(before) => (file.kind, file.link) = (FileKind::HardLink, before.clone()),
                None => drop(first.insert(content, path.clone())),
            }
        }
        file.path = path;
        files.push(file);
    });
    files
}

/// A directory that no layer names.
fn implied(layer: usize) -> File {
    File {
        path: Vec::new(),
        kind: FileKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: (0, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        layer,
    }
}

fn file_of(entry: &TarEntry, layer: usize) -> File {
    let kind = match entry.kind {
        Kind::File => FileKind::File,
        Kind::HardLink => FileKind::HardLink,
        Kind::Symlink => FileKind::Symlink,
        Kind::CharDevice => FileKind::CharDevice,
        Kind::BlockDevice => FileKind::BlockDevice,
        Kind::Directory => FileKind::Directory,
        Kind::Fifo => FileKind::Fifo,
        Kind::Other(_) => FileKind::Other,
    };
    File {
        path: entry.name.clone(),
        kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size,
        mtime: (entry.mtime.secs, entry.mtime.nanos),
        link: entry.link.clone(),
        device: entry.device,
        xattrs: entry.xattrs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        layer,
    }
}
