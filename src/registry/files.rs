//! Files that appear whole or not at all.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A store's directory.
pub(super) struct Directory {
    root: PathBuf,
    next: AtomicU64,
}

impl Directory {
    pub fn make(root: &Path) -> Result<Directory> {
        std::fs::create_dir_all(root).map_err(|e| Error::io("making", root.display(), &e))?;
        let root = root.canonicalize().map_err(|e| Error::io("opening", root.display(), &e))?;
        Ok(Directory { root, next: AtomicU64::new(0) })
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
    /// A name in `tmp` that nobody has.
    pub fn temp(&self) -> PathBuf {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.path("tmp").join(format!("{}-{n}", std::process::id()))
    }

    /// Makes a directory and those above it, and flushes the new names.
    pub fn ensure(&self, path: &Path) -> Result<()> {
        if path.is_dir() || path == self.root {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.ensure(parent)?;
        }
        match std::fs::create_dir(path) {
            Ok(()) => flush_parent(path),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(Error::io("making", path.display(), &e)),
        }
    }
    pub fn ensure_parent(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |parent| self.ensure(parent))
    }

    /// A file without a final name yet, its bytes flushed.
    pub fn flushed(&self, pieces: &[&[u8]]) -> Result<Staged> {
        let staged = Staged { path: Some(self.temp()) };
        let path = staged.path.as_deref().unwrap_or(&self.root);
        let write = || {
            let mut file = File::options().write(true).create_new(true).open(path)?;
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            file.sync_data()
        };
        write().map_err(|e| Error::io("writing", path.display(), &e))?;
        Ok(staged)
    }

    /// Writes a small file under its final name, whole and flushed.
    pub fn write(&self, bytes: &[u8], to: &Path) -> Result<()> {
        self.flushed(&[bytes])?.publish(to)?;
        flush_parent(to)
    }
}

/// Goes away with its file unless it was published.
pub(super) struct Staged {
    path: Option<PathBuf>,
}

impl Staged {
    /// Gives the file its final name, in place of what had it before.
    pub fn publish(&mut self, to: &Path) -> Result<()> {
        if let Some(path) = &self.path {
            std::fs::rename(path, to).map_err(|e| Error::io("storing", to.display(), &e))?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The whole file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if absent(&e) => Ok(None),
        Err(e) => Err(Error::io("reading", path.display(), &e)),
    }
}

/// The names in a directory, none if there is no such directory.
pub(super) fn list(path: &Path) -> Result<Vec<String>> {
    let failed = |e: std::io::Error| Error::io("listing", path.display(), &e);
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if absent(&e) => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // Names that aren't text are not ours.
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
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

/// Flushes the names in the directory of `path`.
pub(super) fn flush_parent(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let flushed = File::open(parent).and_then(|dir| dir.sync_all());
        flushed.map_err(|e| Error::io("flushing", parent.display(), &e))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// How many names a file has, where the platform counts them.
pub(super) fn links(path: &Path) -> Result<Option<u64>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.nlink())),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(Error::io("reading", path.display(), &e)),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(None)
    }
}

fn absent(e: &std::io::Error) -> bool {
    // `a/b` where `a` is a file is just as absent.
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
