//! Tars that are written: of a directory, of single entries, and of both.
//!
//! The same tree gives the same bytes. Entries are sorted by the bytes of their names, directory by directory, each
//! directory (`dir/`) before what is in it (`dir/file`), without a leading `./` and without an entry for the root, as
//! in the layers that docker writes. Owner is 0:0 without names, the time is given, permission bits are kept. Kept are
//! files, directories, symbolic links, hard links within the tree, devices and fifos; left out are sockets, which no
//! tar can hold, and extended attributes. Names over 100 bytes become GNU long names, which everything reads.

use crate::digest::shown;
use crate::error::{Code, Error, Result, invalid, malformed};
use ::tar::{EntryType, Header};
use bytes::{Buf, Bytes};
use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BLOCK: usize = 512;
/// Two blocks of zeros end a tar.
const END: &[u8] = &[0; 2 * BLOCK];
const WHITEOUT: &str = ".wh.";

/// The tar of a directory.
pub(crate) struct DirTar;

impl DirTar {
    /// `mtime` is the time of every entry, in seconds since 1970. Nothing of a file is read before its turn.
    pub(crate) fn open(directory: &Path, mtime: u64) -> Result<TarReader> {
        let meta = std::fs::metadata(directory).map_err(|e| Error::io("opening", directory.display(), &e))?;
        if !meta.is_dir() {
            return Err(invalid("not a directory").subject(directory.display()));
        }
        let local = Item::Local { path: directory.to_owned(), name: Vec::new() };
        Ok(TarReader::new(VecDeque::from([local]), mtime))
    }
}

/// Entries for a small tar, in the order in which they were added. Parents are not added by themselves.
#[derive(Clone, Default)]
pub(crate) struct TarEntries {
    items: VecDeque<Item>,
}

#[derive(Clone)]
enum Item {
    Bytes {
        name: Vec<u8>,
        mode: u32,
        data: Bytes,
    },
    Symlink {
        name: Vec<u8>,
        target: Vec<u8>,
    },
    /// What is in the file system; a directory with all that is in it. No name: only what is in it.
    Local {
        path: PathBuf,
        name: Vec<u8>,
    },
}

impl TarEntries {
    /// A file with these permission bits.
    pub(crate) fn add_bytes(&mut self, name: &str, mode: u32, data: impl Into<Bytes>) -> Result<()> {
        if mode > 0o7777 {
            return Err(invalid(format!("mode {mode:o} has more than permission bits")).subject(shown(name)));
        }
        self.items.push_back(Item::Bytes { name: clean(name)?, mode, data: data.into() });
        Ok(())
    }

    /// A symbolic link; its target may be anything.
    pub(crate) fn add_symlink(&mut self, name: &str, target: &str) -> Result<()> {
        if target.is_empty() || target.contains('\0') {
            return Err(invalid("the target of a symbolic link is empty or has a NUL").subject(shown(name)));
        }
        self.items.push_back(Item::Symlink { name: clean(name)?, target: target.into() });
        Ok(())
    }

    /// A local file, or directory with all that is in it, under this name. Read when the tar is.
    pub(crate) fn add_path(&mut self, local: &Path, name: &str) -> Result<()> {
        self.items.push_back(Item::Local { path: local.to_owned(), name: clean(name)? });
        Ok(())
    }

    /// Hides what lower layers have under this name.
    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        let name = clean(name)?;
        let base = name.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let name = [&name[..base], WHITEOUT.as_bytes(), &name[base..]].concat();
        self.items.push_back(Item::Bytes { name, mode: 0o600, data: Bytes::new() });
        Ok(())
    }

    /// The tar; `mtime` as in [`DirTar::open`].
    pub(crate) fn read(&self, mtime: u64) -> TarReader {
        TarReader::new(self.items.clone(), mtime)
    }
}

/// A name as it stands in the tar: relative, no `..`, and none of what means nothing (`./`, `//`, a slash at the end).
fn clean(name: &str) -> Result<Vec<u8>> {
    let wrong = |why: &str| Err(invalid(format!("the name of an entry {why}")).subject(shown(name)));
    if name.starts_with('/') {
        return wrong("is absolute");
    }
    if name.contains('\0') {
        return wrong("has a NUL");
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return wrong("has a `..`");
    }
    match parts.is_empty() {
        true => wrong("is empty"),
        false => Ok(parts.join("/").into()),
    }
}

/// An error unless a stream that begins so can be a tar: a header with a good checksum, the zeros of an empty tar, or
/// nothing at all. `head` has 512 bytes, or all that there is.
pub(crate) fn check_head(head: &[u8]) -> Result<()> {
    let no = || Err(malformed("not a tar archive"));
    if head.is_empty() {
        return Ok(());
    }
    let Some(header) = head.get(..BLOCK) else { return no() };
    if header.iter().all(|b| *b == 0) {
        return Ok(());
    }
    let Ok(said) = Header::from_byte_slice(header).cksum() else { return no() };
    let field = 148..156; // counts as spaces
    let bytes = || header.iter().enumerate().map(|(i, b)| if field.contains(&i) { b' ' } else { *b });
    let sum: u32 = bytes().map(u32::from).sum();
    let signed: i32 = bytes().map(|b| i32::from(b as i8)).sum(); // as old tars did it
    if said == sum || i64::from(said) == i64::from(signed) { Ok(()) } else { no() }
}

/// Gives the bytes of a tar while it is made; holds no more than a header of it.
pub(crate) struct TarReader {
    items: VecDeque<Item>,
    walk: Option<Walk>,
    mtime: u64,
    /// Where files with several names were first.
    links: HashMap<(u64, u64), Vec<u8>>,
    ready: Bytes,
    data: Option<Data>,
    ended: bool,
    failed: Option<Error>,
}

struct Walk {
    entries: walkdir::IntoIter,
    root: PathBuf,
    name: Vec<u8>,
}

/// What is left of a file.
struct Data {
    file: File,
    path: Arc<Path>,
    size: u64,
    left: u64,
}

impl Read for TarReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(e) = &self.failed {
            return Err(e.clone().into());
        }
        self.fill(buf).map_err(|e| {
            self.failed = Some(e.clone());
            e.into()
        })
    }
}

impl TarReader {
    fn new(items: VecDeque<Item>, mtime: u64) -> TarReader {
        let links = HashMap::new();
        TarReader { items, walk: None, mtime, links, ready: Bytes::new(), data: None, ended: false, failed: None }
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        while !buf.is_empty() {
            if !self.ready.is_empty() {
                let n = buf.len().min(self.ready.len());
                self.ready.copy_to_slice(&mut buf[..n]);
                return Ok(n);
            }
            if let Some(data) = &mut self.data {
                let n = data.read(buf)?;
                if n > 0 {
                    return Ok(n);
                }
                self.ready = padding(data.size);
                self.data = None;
            } else if self.ended {
                break;
            } else if !self.advance()? {
                self.ended = true;
                self.ready = Bytes::from_static(END);
            }
        }
        Ok(0)
    }

    /// Makes the next entry ready; false if there is none.
    fn advance(&mut self) -> Result<bool> {
        if let Some(walk) = &mut self.walk {
            match walk.next()? {
                Some((path, name, meta)) => self.local(path.into(), name, &meta)?,
                None => self.walk = None,
            }
            return Ok(true);
        }
        let Some(item) = self.items.pop_front() else { return Ok(false) };
        match item {
            Item::Bytes { name, mode, data } => {
                let entry = Entry { kind: EntryType::Regular, mode, size: data.len() as u64, ..Entry::default() };
                let mut out = entry.header(&name, &[], self.mtime);
                out.extend_from_slice(&data);
                out.extend_from_slice(&padding(data.len() as u64));
                self.ready = out.into();
            }
            Item::Symlink { name, target } => {
                let entry = Entry { kind: EntryType::Symlink, mode: 0o777, ..Entry::default() };
                self.ready = entry.header(&name, &target, self.mtime).into();
            }
            Item::Local { path, name } => self.walk = Some(Walk::new(path, name)?),
        }
        Ok(true)
    }

    fn local(&mut self, path: Arc<Path>, mut name: Vec<u8>, meta: &Metadata) -> Result<()> {
        let kind = meta.file_type();
        let mut entry = Entry { mode: meta.mode() & 0o7777, ..Entry::default() };
        let mut target = Vec::new();
        if kind.is_file() {
            match (meta.nlink() > 1).then(|| self.links.get(&(meta.dev(), meta.ino()))).flatten() {
                Some(first) => {
                    entry.kind = EntryType::Link;
                    target = first.clone();
                }
                None => {
                    let data = Data::open(path, meta)?;
                    entry.size = data.size;
                    self.data = Some(data);
                    if meta.nlink() > 1 {
                        self.links.insert((meta.dev(), meta.ino()), name.clone());
                    }
                }
            }
        } else if kind.is_dir() {
            entry.kind = EntryType::Directory;
            name.push(b'/');
        } else if kind.is_symlink() {
            entry.kind = EntryType::Symlink;
            entry.mode = 0o777; // systems differ in what they say, and none looks at it
            let link = std::fs::read_link(&path).map_err(|e| Error::io("reading the link", path.display(), &e))?;
            target = link.as_os_str().as_bytes().into();
        } else if kind.is_fifo() {
            entry.kind = EntryType::Fifo;
        } else if kind.is_char_device() || kind.is_block_device() {
            entry.kind = if kind.is_char_device() { EntryType::Char } else { EntryType::Block };
            let device = meta.rdev() as libc::dev_t;
            entry.device = Some((libc::major(device) as u32, libc::minor(device) as u32));
        } else {
            return Ok(()); // a socket
        }
        self.ready = entry.header(&name, &target, self.mtime).into();
        Ok(())
    }
}

impl Walk {
    fn new(path: PathBuf, name: Vec<u8>) -> Result<Walk> {
        // Whoever names a link means what it points to.
        let root = std::fs::canonicalize(&path).map_err(|e| Error::io("opening", path.display(), &e))?;
        let entries = walkdir::WalkDir::new(&root)
            .min_depth(if name.is_empty() { 1 } else { 0 })
            .sort_by(|a, b| a.file_name().cmp(b.file_name()))
            .into_iter();
        Ok(Walk { entries, root, name })
    }

    fn next(&mut self) -> Result<Option<(PathBuf, Vec<u8>, Metadata)>> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let (entry, meta) = entry.and_then(|e| e.metadata().map(|meta| (e, meta))).map_err(|e| {
            let path = e.path().unwrap_or(&self.root).display().to_string();
            match e.io_error() {
                Some(io) => Error::io("reading the directory", path, io),
                None => Error::new(Code::Io, format!("reading the directory: {e}")).subject(path),
            }
        })?;
        let path = entry.into_path();
        let inner = path.strip_prefix(&self.root).map_or(&[][..], |p| p.as_os_str().as_bytes());
        let mut name = self.name.clone();
        if !name.is_empty() && !inner.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(inner);
        Ok(Some((path, name, meta)))
    }
}

impl Data {
    fn open(path: Arc<Path>, seen: &Metadata) -> Result<Data> {
        // What was a file a moment ago may be a link or a fifo now: follow nothing, wait for nothing.
        let open = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
        let opened = open.and_then(|file| file.metadata().map(|meta| (file, meta)));
        let (file, meta) = opened.map_err(|e| Error::io("opening", path.display(), &e))?;
        if (meta.dev(), meta.ino()) != (seen.dev(), seen.ino()) {
            return Err(changed(&path, "was replaced"));
        }
        Ok(Data { file, path, size: meta.len(), left: meta.len() })
    }

    /// Zero at the end, and only there.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let failed = |e: &io::Error| Error::io("reading", self.path.display(), e);
        if self.left == 0 {
            return match retry(|| self.file.read(&mut [0])).map_err(|e| failed(&e))? {
                0 => Ok(0),
                _ => Err(changed(&self.path, "became longer")),
            };
        }
        let n = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        match retry(|| self.file.read(&mut buf[..n])).map_err(|e| failed(&e))? {
            0 => Err(changed(&self.path, "became shorter")),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

fn changed(path: &Path, how: &str) -> Error {
    Error::new(Code::Io, format!("the file {how} while it was read")).subject(path.display())
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

struct Entry {
    kind: EntryType,
    mode: u32,
    size: u64,
    device: Option<(u32, u32)>,
}

impl Default for Entry {
    fn default() -> Entry {
        Entry { kind: EntryType::Regular, mode: 0, size: 0, device: None }
    }
}

impl Entry {
    fn header(&self, name: &[u8], target: &[u8], mtime: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK);
        let mut header = Header::new_gnu();
        let fields = header.as_old_mut();
        put(&mut out, EntryType::GNULongName, &mut fields.name, name);
        put(&mut out, EntryType::GNULongLink, &mut fields.linkname, target);
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.size);
        header.set_mtime(mtime);
        if let (Some((major, minor)), Some(gnu)) = (self.device, header.as_gnu_mut()) {
            gnu.set_device_major(major);
            gnu.set_device_minor(minor);
        }
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out
    }
}

/// Puts `text` into its field, and what is too long for it in front of the entry as well.
fn put(out: &mut Vec<u8>, kind: EntryType, field: &mut [u8; 100], text: &[u8]) {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text[..n]);
    if text.len() <= field.len() {
        return;
    }
    let size = text.len() as u64 + 1; // with a NUL
    let entry = Entry { kind, mode: 0o644, size, device: None };
    out.extend_from_slice(&entry.header(b"././@LongLink", &[], 0));
    out.extend_from_slice(text);
    out.push(0);
    out.extend_from_slice(&padding(size));
}

fn padding(size: u64) -> Bytes {
    let over = (size % BLOCK as u64) as usize;
    Bytes::from_static(&END[..(BLOCK - over) % BLOCK])
}
