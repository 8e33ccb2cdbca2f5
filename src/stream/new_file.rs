//! A new file, which comes about beside its place and takes it when it is whole. The command has this module, too.
//!
//! Its writer holds a lock (flock) on it, which ends with the process, however that ends. So the next writer in the same
//! directory knows what those before it have left, and removes that.

use std::fs::{File, Permissions, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the names of such files begin with, and how many letters and digits follow.
const PREFIX: &str = ".parb-";
const RANDOM: usize = 16;
/// How often another writer may remove the file before it is locked.
const TRIES: usize = 10;

/// Dropped, it is gone.
pub(crate) struct NewFile {
    file: tempfile::NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// A file with the permissions of the one that it is to replace, or those that a new file has there.
    pub(crate) fn beside(path: &Path) -> Result<NewFile> {
        // A link stays one: what it points to is replaced.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        sweep(directory);
        let kept = std::fs::metadata(&target).ok().map(|old| Permissions::from_mode(old.permissions().mode() & 0o777));
        let file = locked(directory, kept.clone().unwrap_or_else(|| Permissions::from_mode(0o666)))?;
        if let Some(kept) = kept {
            file.as_file().set_permissions(kept)?; // what the umask took
        }
        Ok(NewFile { file, target })
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Replaces what is at the path.
    pub(crate) fn take_place(self) -> Result<()> {
        self.file.persist(self.target).map(drop).map_err(|e| e.error)
    }
}

fn locked(directory: &Path, permissions: Permissions) -> Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM).permissions(permissions);
    for _ in 0..TRIES {
        let made = builder.tempfile_in(directory)?;
        match made.as_file().try_lock() {
            // Somebody may have taken it for a dead one before it was locked.
            Ok(()) if made.as_file().metadata()?.nlink() > 0 => return Ok(made),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // Where files can't be locked, nobody takes them for dead ones, either.
            Err(TryLockError::Error(_)) => return Ok(made),
        }
    }
    Err(Error::new(ErrorKind::NotFound, "temporary files vanish as soon as they are made"))
}

/// Removes the files of writers that are gone. What is in its way is no trouble for the new file.
fn sweep(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if random.is_some_and(|r| r.len() == RANDOM && r.bytes().all(|b| b.is_ascii_alphanumeric())) {
            let _ = remove_if_dead(&entry.path());
        }
    }
}

fn remove_if_dead(path: &Path) -> Result<()> {
    let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let opened = file.metadata()?;
    if opened.is_file() && file.try_lock().is_ok() {
        // Under the lock: it may have taken its place meanwhile.
        let there = std::fs::symlink_metadata(path)?;
        if (there.dev(), there.ino()) == (opened.dev(), opened.ino()) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
