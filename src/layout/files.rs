//! The files of a layout: opened without following links, and written whole or not at all.

use crate::error::{Code, Error, Result};
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempPath;

/// Where locks and files on their way are kept, within the layout. The image spec lets other files be there.
pub(super) const OWN: &str = ".parbuckle";
/// What the names of files on their way begin with.
const TEMP: &str = "tmp-";
/// How often a temporary file is made anew because somebody swept it in its first moment.
const TRIES: u32 = 16;

/// A regular file and its size; `None` where there is none. Links, pipes and the like are refused: a layout may come
/// from anywhere, and is not to lead out of itself or keep its reader waiting.
///
/// Errors: `Malformed` for what is no regular file; `Io`.
pub(super) fn open(path: &Path) -> Result<Option<(File, u64)>> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(e) if absent(&e) => return Ok(None),
        Err(_) if is_link(path) => return Err(irregular(path, "it is a symbolic link")),
        Err(e) => return Err(Error::io("opening", path.display(), &e)),
    };
    let meta = file.metadata().map_err(|e| Error::io("opening", path.display(), &e))?;
    match meta.is_file() {
        true => Ok(Some((file, meta.len()))),
        false => Err(irregular(path, "it is not a regular file")),
    }
}

/// The whole of a small file; `None` where there is none. Errors: as for [`open`]; `LimitExceeded`.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match open(path)? {
        Some((file, _)) => read_open(&file, path, limit).map(Some),
        None => Ok(None),
    }
}

/// The whole of a small file that is open.
pub(super) fn read_open(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io("reading", path.display(), &e))?;
    match bytes.len() as u64 > limit {
        true => Err(Error::new(Code::LimitExceeded, format!("more than {limit} bytes")).subject(path.display())),
        false => Ok(bytes),
    }
}

/// Whether this is a directory, and none by way of a link. Errors: `Malformed` for anything else that is there.
pub(super) fn is_dir(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(true),
        Ok(_) => Err(irregular(path, "it is not a directory")),
        Err(e) if absent(&e) => Ok(false),
        Err(e) => Err(Error::io("opening", path.display(), &e)),
    }
}

/// Makes a directory within the layout unless it is there.
pub(super) fn ensure_dir(path: &Path, durable: bool) -> Result<()> {
    if is_dir(path)? {
        return Ok(());
    }
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) if durable => path.parent().map_or(Ok(()), flush_dir),
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => is_dir(path).map(drop),
        Err(e) => Err(Error::io("making", path.display(), &e)),
    }
}

/// The names in a directory, sorted; none where there is no directory. Names that are not UTF-8 are shown as they can.
pub(super) fn list(path: &Path) -> Result<Vec<String>> {
    let failed = |e: std::io::Error| Error::io("listing", path.display(), &e);
    if !is_dir(path)? {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a file, and says whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if absent(&e) => Ok(false),
        Err(e) => Err(Error::io("removing", path.display(), &e)),
    }
}

/// Flushes the names in a directory.
pub(super) fn flush_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("flushing", path.display(), &e))
}

/// A file without its final name yet. A lock on it tells that its owner is alive; it goes away with this value, and
/// with the next writer's [`sweep`] where the process was killed.
pub(super) struct Temp {
    file: Arc<File>,
    path: TempPath,
}

impl Temp {
    pub(super) fn make(root: &Path) -> Result<Temp> {
        let own = root.join(OWN);
        ensure_dir(&own, false)?;
        let failed = |e: std::io::Error| crate::layout::files::failed(root, "making a temporary file", &e);
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMP).rand_bytes(16).permissions(std::fs::Permissions::from_mode(0o644));
        for _ in 0..TRIES {
            let (file, path) = builder.tempfile_in(&own).map_err(failed)?.into_parts();
            match file.try_lock_shared() {
                Ok(()) if is_named(&file).map_err(failed)? => return Ok(Temp { file: Arc::new(file), path }),
                Ok(()) | Err(std::fs::TryLockError::WouldBlock) => {} // swept before it was locked
                Err(std::fs::TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
        Err(Error::new(Code::Io, "temporary files vanish as soon as they are made").subject(own.display()))
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Gives the file its final name, in place of what had it before, and gives the file back, still locked.
    pub(super) fn publish(self, to: &Path, durable: bool) -> Result<Arc<File>> {
        let Temp { file, path } = self;
        if durable {
            file.sync_all().map_err(|e| Error::io("flushing", to.display(), &e))?;
        }
        path.persist(to).map_err(|e| Error::io("storing", to.display(), &e.error))?;
        if let (true, Some(parent)) = (durable, to.parent()) {
            flush_dir(parent)?;
        }
        Ok(file)
    }
}

/// Writes a small file whole.
pub(super) fn write(root: &Path, bytes: &[u8], to: &Path, durable: bool) -> Result<()> {
    let temp = Temp::make(root)?;
    (&**temp.file()).write_all(bytes).map_err(|e| failed(root, "writing a temporary file", &e))?;
    temp.publish(to, durable).map(drop)
}

/// The temporary files whose owners are gone.
pub(super) fn leftovers(root: &Path) -> Result<Vec<(PathBuf, Unlinkable)>> {
    let own = root.join(OWN);
    let mut found = Vec::new();
    for name in list(&own)?.iter().filter(|name| name.starts_with(TEMP)) {
        let path = own.join(name);
        found.extend(Unlinkable::open(&path)?.map(|file| (path, file)));
    }
    Ok(found)
}

/// Removes the temporary files whose owners are gone, and gives their paths.
pub(super) fn sweep(root: &Path) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for (path, file) in leftovers(root)? {
        if file.remove(&path)? {
            removed.push(path);
        }
    }
    Ok(removed)
}

/// A file that nobody works with, and nobody can begin to while this lives.
pub(super) struct Unlinkable(#[expect(dead_code, reason = "held for its lock")] File);

impl Unlinkable {
    /// `None` where there is no such file, or somebody works with it.
    pub(super) fn open(path: &Path) -> Result<Option<Unlinkable>> {
        let Ok(Some((file, _))) = open(path) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(Unlinkable(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => Err(Error::io("locking", path.display(), &e)),
        }
    }
    pub(super) fn remove(self, path: &Path) -> Result<bool> {
        remove(path)
    }
}

/// Whether the file still has a name.
fn is_named(file: &File) -> std::io::Result<bool> {
    Ok(file.metadata()?.nlink() > 0)
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
}

fn irregular(path: &Path, what: &str) -> Error {
    Error::new(Code::Malformed, format!("{what}, which is refused in a layout")).subject(path.display())
}

/// A missing directory or a full disk is the layout's trouble: "not found" would be taken for what was asked for.
fn failed(root: &Path, doing: &str, e: &std::io::Error) -> Error {
    let error = Error::new(Code::Io, format!("{doing}: {e}")).subject(root.display());
    match e.raw_os_error() {
        Some(code) => error.os_code(code),
        None => error,
    }
}

fn absent(e: &std::io::Error) -> bool {
    // `a/b` where `a` is a file is just as absent.
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
