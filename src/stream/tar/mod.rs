//! Tars that are written, of a directory, of single entries, and of both; and tars that are read as they stream by
//! ([`TarStream`]), whose entries can be written anew ([`TarEntry::encode`]).
//!
//! The same tree gives the same bytes. Entries are sorted by the bytes of their names, directory by directory, each
//! directory (`dir/`) before what is in it (`dir/file`), without a leading `./` and without an entry for the root, as
//! in the layers that docker writes. Owner is 0:0 without names, the time is given, permission bits are kept. Kept are
//! files, directories, symbolic links, hard links within the tree, devices and fifos; left out are sockets, which no
//! tar can hold, and extended attributes. Names over 100 bytes become GNU long names, which everything reads.

mod header;
mod read;
#[cfg(test)]
mod read_tests;
mod rewrite;
mod sparse;
mod write;

pub(crate) use header::{check_head, file_header};
pub(crate) use read::{Kind, TarEntry, TarStream, Timestamp, XATTR};
pub(crate) use rewrite::{Verdict, retime_headers, rewritten};
pub(crate) use sparse::Content as TarContent;
pub(crate) use write::{END, filling};

use crate::digest::shown;
use crate::error::{Code, Error, Result, invalid};
use ::tar::EntryType;
use bytes::{Buf, Bytes};
use header::Entry;
use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BLOCK: usize = 512;
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

/// Gives the bytes of a tar while it is made; holds no more than a header of it.
pub(crate) struct TarReader {
    items: VecDeque<Item>,
    walk: Option<Walk>,
    mtime: u64,
    /// Where files with several names were first.
    links: HashMap<(u64, u64), Vec<u8>>,
    ready: VecDeque<Bytes>,
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
        let ready = VecDeque::new();
        TarReader { items, walk: None, mtime, links, ready, data: None, ended: false, failed: None }
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        while !buf.is_empty() {
            if let Some(front) = self.ready.front_mut() {
                let n = buf.len().min(front.len());
                front.copy_to_slice(&mut buf[..n]);
                if front.is_empty() {
                    self.ready.pop_front();
                }
                if n > 0 {
                    return Ok(n);
                }
                continue;
            }
            if let Some(data) = &mut self.data {
                let n = data.read(buf)?;
                if n > 0 {
                    return Ok(n);
                }
                self.ready.push_back(filling(data.size));
                self.data = None;
            } else if self.ended {
                break;
            } else if !self.advance()? {
                self.ended = true;
                self.ready.push_back(Bytes::from_static(END));
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
                let padding = filling(data.len() as u64);
                self.ready.extend([entry.header(&name, &[], self.mtime).into(), data, padding]);
            }
            Item::Symlink { name, target } => {
                let entry = Entry { kind: EntryType::Symlink, mode: 0o777, ..Entry::default() };
                self.ready.push_back(entry.header(&name, &target, self.mtime).into());
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
        self.ready.push_back(entry.header(&name, &target, self.mtime).into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use ::tar::Header;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn bytes(mut reader: impl Read) -> Vec<u8> {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        assert_eq!(out.len() % BLOCK, 0);
        out
    }

    /// Name, kind, mode, size, target of each entry, as another implementation reads them.
    fn list(tar: &[u8]) -> Vec<(String, EntryType, u32, u64, String)> {
        let mut archive = ::tar::Archive::new(tar);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
            let target = entry.link_name_bytes().map(|b| text(&b)).unwrap_or_default();
            (text(&entry.path_bytes()), header.entry_type(), header.mode().unwrap(), entry.size(), target)
        });
        entries.collect()
    }

    fn names(tar: &[u8]) -> Vec<String> {
        list(tar).into_iter().map(|entry| entry.0).collect()
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("b/inner")).unwrap();
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::write(at("b/inner/file"), vec![5; 70_000]).unwrap();
        std::fs::write(at("b-c"), "x").unwrap();
        std::fs::write(at("a"), "").unwrap();
        std::fs::write(at("Z"), [1; 512]).unwrap();
        std::fs::write(at("é"), "text").unwrap();
        std::fs::write(at(&"long".repeat(40)), "l").unwrap();
        std::fs::write(at(&"n".repeat(100)), "n").unwrap();
        symlink("../else/where", at("link")).unwrap();
        symlink("t".repeat(300), at("long-link")).unwrap();
        std::fs::hard_link(at("b/inner/file"), at("z-hard")).unwrap();
        mode(&at("Z"), 0o4751);
        for file in ["a", "b-c", "b/inner/file"] {
            mode(&at(file), 0o640);
        }
        mode(&at("empty"), 0o1777);
        root
    }

    #[test]
    fn a_directory_becomes_a_sorted_tar_and_the_same_each_time() {
        let root = tree();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        let tar = bytes(DirTar::open(root.path(), 1_700_000_000).unwrap());
        assert!(tar == bytes(DirTar::open(root.path(), 1_700_000_000).unwrap()));
        assert!(tar != bytes(DirTar::open(root.path(), 0).unwrap()), "the time is in it");
        let (long, hundred) = ("long".repeat(40), "n".repeat(100));
        let expected = [
            "Z",
            "a",
            "b/",
            "b/inner/",
            "b/inner/file",
            "b-c",
            "empty/",
            "link",
            "long-link",
            &long,
            &hundred,
            "z-hard",
            "é",
        ];
        assert_eq!(names(&tar), expected);
        let entries = list(&tar);
        let get = |name: &str| entries.iter().find(|e| e.0 == name).unwrap();
        assert_eq!(get("Z").2, 0o4751);
        assert_eq!((get("empty/").1, get("empty/").2), (EntryType::Directory, 0o1777));
        assert_eq!((get("b/inner/file").1, get("b/inner/file").3), (EntryType::Regular, 70_000));
        assert_eq!((get("z-hard").1, get("z-hard").3, &*get("z-hard").4), (EntryType::Link, 0, "b/inner/file"));
        assert_eq!((get("link").1, &*get("link").4), (EntryType::Symlink, "../else/where"));
        assert_eq!(get("long-link").4, "t".repeat(300));
        check_head(&tar).unwrap();
    }

    #[test]
    fn a_copy_of_the_tree_gives_the_same_bytes() {
        let (one, two) = (tree(), tree());
        assert!(bytes(DirTar::open(one.path(), 0).unwrap()) == bytes(DirTar::open(two.path(), 0).unwrap()));
    }

    #[test]
    fn tar_of_the_system_lists_the_same() {
        let root = tree();
        let tar = bytes(DirTar::open(root.path(), 0).unwrap());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, &tar).unwrap();
        let args = ["--quoting-style=literal", "-tf"];
        let Ok(out) = std::process::Command::new("tar").args(args).arg(file.path()).output() else {
            return; // no tar here; the crate has read it above
        };
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        let theirs: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(theirs, names(&tar));
    }

    #[test]
    fn small_reads_give_the_same() {
        struct Small<R>(R);
        impl<R: Read> Read for Small<R> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = buf.len().min(7);
                self.0.read(&mut buf[..n])
            }
        }
        let root = tree();
        let open = || DirTar::open(root.path(), 0).unwrap();
        assert!(bytes(Small(open())) == bytes(open()));
    }

    #[test]
    fn a_fifo_is_kept_and_not_opened() {
        let root = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(root.path().join("f")).status();
        if !made.is_ok_and(|s| s.success()) {
            return; // a system without mkfifo
        }
        assert_eq!(list(&bytes(DirTar::open(root.path(), 0).unwrap()))[0].1, EntryType::Fifo);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn devices_keep_their_numbers() {
        let mut entries = TarEntries::default();
        entries.add_path(Path::new("/dev/null"), "null").unwrap();
        let tar = bytes(entries.read(0));
        let header = Header::from_byte_slice(&tar[..BLOCK]);
        assert_eq!(header.entry_type(), EntryType::Char);
        assert_eq!((header.device_major().unwrap(), header.device_minor().unwrap()), (Some(1), Some(3)));
    }

    #[test]
    fn a_file_that_changes_its_size_is_an_error() {
        for (new, how) in [(10, "shorter"), (200_000, "longer")] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("f");
            std::fs::write(&path, vec![1; 100_000]).unwrap();
            let mut tar = DirTar::open(root.path(), 0).unwrap();
            tar.read_exact(&mut [0; 600]).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(new).unwrap();
            let e: Error = io::copy(&mut tar, &mut io::sink()).unwrap_err().into();
            assert_eq!(e.code(), Code::Io);
            assert!(e.message().contains(how) && e.get_subject() == Some(&*path.to_string_lossy()), "{e}");
            assert!(tar.read(&mut [0; 10]).is_err(), "and it stays one");
        }
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(DirTar::open(file.path(), 0).err().unwrap().code(), Code::InvalidArgument);
        assert_eq!(DirTar::open(Path::new("/no/such"), 0).err().unwrap().code(), Code::NotFound);
    }

    #[test]
    fn entries_in_the_order_given() {
        let root = tree();
        let mut entries = TarEntries::default();
        entries.add_bytes("./etc//motd", 0o644, "hello").unwrap();
        entries.add_symlink("etc/link", "/abs/../x").unwrap();
        entries.remove("var/lib/old").unwrap();
        entries.remove("top").unwrap();
        entries.add_path(&root.path().join("b"), "app/b").unwrap();
        entries.add_path(&root.path().join("Z"), "app/z").unwrap();
        let tar = bytes(entries.read(0));
        assert!(tar == bytes(entries.read(0)), "it can be read again");
        let expected = [
            "etc/motd",
            "etc/link",
            "var/lib/.wh.old",
            ".wh.top",
            "app/b/",
            "app/b/inner/",
            "app/b/inner/file",
            "app/z",
        ];
        assert_eq!(names(&tar), expected);
        assert_eq!(&tar[BLOCK..BLOCK + 5], b"hello");
        assert!(names(&bytes(TarEntries::default().read(0))).is_empty());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let mut entries = TarEntries::default();
        for bad in ["", "/", ".", "/etc/passwd", "..", "a/../b", "a/..", "a\0b", "//x"] {
            assert_eq!(entries.add_bytes(bad, 0o644, "").unwrap_err().code(), Code::InvalidArgument, "{bad:?}");
            assert!(entries.remove(bad).is_err() && entries.add_symlink(bad, "x").is_err());
            assert!(entries.add_path(Path::new("/tmp"), bad).is_err());
        }
        assert!(entries.add_bytes("a..b/...", 0o644, "").is_ok());
        assert!(entries.add_symlink("a", "").is_err());
        assert!(entries.add_bytes("a", 0o100_644, "").is_err());
    }
}
