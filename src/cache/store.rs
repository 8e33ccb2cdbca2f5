//! The cache's directory. Everything here is a short job for the pool.
//!
//! A file in `tmp` is locked (flock) for as long as its writer lives, however that ends; one that is not locked is
//! left over. `lock` is held while a file gets its name or goes, and has the sum of all sizes in it: it is raised
//! before a file appears and lowered after one is gone, so that a process that is killed in between leaves it too high,
//! never too low, and the next eviction counts anew. Files in `diff_ids` count like blobs, and go like them. Directories among the files are none of ours: they stay.

use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Result};
use std::fs::{DirBuilder, File, FileTimes, Metadata, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

const BLOBS: &str = "blobs";
const DIFF_IDS: &str = "diff_ids";
/// How long a job waits for another process to name or evict a file; then the blob is not kept.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// More than the longest record.
const MAX_RECORD: u64 = 512;
/// An eviction makes so much room at once, in percent, that the next one is not due with the next blob.
const KEEP_PERCENT: u64 = 90;

pub(super) struct Store {
    root: PathBuf,
    max_bytes: u64,
    next: AtomicU64,
    pub evicted: AtomicU64,
}

/// What lies where the files of the cache are.
pub(super) struct Entry {
    pub path: PathBuf,
    pub what: What,
    pub size: u64,
    used: SystemTime,
}

pub(super) enum What {
    Blob(Digest),
    /// The diff id of the blob with this digest.
    DiffId(Digest),
    /// No file of the cache has such a name.
    Unknown,
    Directory,
}

/// A file that has no name as a blob yet. Dropped, it is gone.
pub(super) struct Temp {
    path: Option<PathBuf>,
    pub file: Arc<File>,
}

impl Store {
    /// Makes the directory where it is missing, removes what writers that are gone have left, and counts.
    pub fn open(root: &Path, max_bytes: u64) -> Result<Store> {
        for dir in ["", BLOBS, "blobs/sha256", "blobs/sha512", DIFF_IDS, "diff_ids/sha256", "diff_ids/sha512", "tmp"] {
            let path = root.join(dir);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|e| Error::io("making", path.display(), &e))?;
        }
        let root = root.canonicalize().map_err(|e| Error::io("opening", root.display(), &e))?;
        let store = Store { root, max_bytes, next: AtomicU64::new(0), evicted: AtomicU64::new(0) };
        store.sweep()?;
        store.locked(|store, ledger| {
            ledger.total = store.evict_to(max_bytes)?;
            Ok(())
        })?;
        Ok(store)
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(BLOBS).join(digest.algorithm().name()).join(digest.hex())
    }
    fn diff_id_path(&self, blob: &Digest) -> PathBuf {
        self.root.join(DIFF_IDS).join(blob.algorithm().name()).join(blob.hex())
    }

    /// The blob's file and its length; it counts as used now. One of another length than `size` is removed.
    pub fn find(&self, digest: &Digest, size: u64) -> Result<Found<(File, u64)>> {
        let path = self.path(digest);
        let file = match open_file(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
            Err(e) => return Err(Error::io("opening", path.display(), &e)),
        };
        let meta = file.metadata().map_err(|e| Error::io("reading", path.display(), &e))?;
        if !meta.is_file() || meta.len() != size {
            self.discard(digest, &file, size);
            return Ok(Found::Wrong(()));
        }
        used_now(&file);
        Ok(Found::Here((file, meta.len())))
    }

    /// What is in a blob, if that was found out before. A record that says something else than was written is removed.
    pub fn inside(&self, blob: &Digest) -> Result<Found<Inside>> {
        Ok(match self.read_inside(blob)? {
            Found::Here((file, inside)) => {
                used_now(&file);
                Found::Here(inside)
            }
            Found::Wrong(file) => {
                self.discard_file(&self.diff_id_path(blob), &file, None);
                Found::Wrong(())
            }
            Found::Missing => Found::Missing,
        })
    }

    /// The same; nothing is changed.
    pub fn read_inside(&self, blob: &Digest) -> Result<Found<(File, Inside), File>> {
        let path = self.diff_id_path(blob);
        let file = match open_file(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
            Err(e) => return Err(Error::io("opening", path.display(), &e)),
        };
        let mut text = String::new();
        let read = (&file).take(MAX_RECORD).read_to_string(&mut text);
        Ok(match read.ok().and_then(|_| Inside::of_record(&text, blob)) {
            Some(inside) => Found::Here((file, inside)),
            None => Found::Wrong(file),
        })
    }

    /// Remembers what is in a blob. The caller has decompressed it and hashed both.
    pub fn remember(&self, blob: &Digest, inside: &Inside) -> Result<bool> {
        let temp = self.temp()?;
        let written = (&*temp.file).write_all(inside.record(blob).as_bytes());
        written.map_err(|e| Error::io("writing", self.root.join("tmp").display(), &e))?;
        self.name(temp, self.diff_id_path(blob))
    }

    /// Whether there is a file of this length, whatever is in it.
    pub fn is_kept(&self, digest: &Digest, size: u64) -> bool {
        let meta = std::fs::symlink_metadata(self.path(digest));
        meta.is_ok_and(|meta| meta.is_file() && size == meta.len())
    }

    /// Removes the blob, which should have `size` bytes, if it still is this very file.
    pub fn discard(&self, digest: &Digest, file: &File, size: u64) {
        self.discard_file(&self.path(digest), file, Some(size));
    }

    fn discard_file(&self, path: &Path, file: &File, size: Option<u64>) {
        let remove = || {
            let same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
            match (file.metadata(), std::fs::symlink_metadata(path)) {
                (Ok(a), Ok(b)) if same(&a, &b) && removed(path).unwrap_or_default() => counted(&b, size),
                _ => 0,
            }
        };
        let lowered = self.locked(|_, ledger| {
            ledger.total = ledger.total.saturating_sub(remove());
            Ok(())
        });
        if lowered.is_err() {
            remove(); // what is wrong goes at any rate
        }
    }

    /// Removes the blob and what is known of it, and says whether it was there.
    pub fn remove(&self, digest: &Digest) -> Result<bool> {
        self.locked(|store, ledger| {
            let mut remove = |path: PathBuf| {
                let Some(meta) = std::fs::symlink_metadata(&path).ok().filter(|meta| !meta.is_dir()) else {
                    return Ok(false);
                };
                let removed = removed(&path)?;
                ledger.total = ledger.total.saturating_sub(if removed { counted(&meta, None) } else { 0 });
                Ok(removed)
            };
            remove(store.diff_id_path(digest))?;
            remove(store.path(digest))
        })
    }

    /// Removes every file.
    pub fn clear(&self) -> Result<()> {
        self.sweep()?;
        self.locked(|store, ledger| {
            for entry in store.files()? {
                removed(&entry.path)?;
            }
            ledger.total = 0;
            Ok(())
        })
    }

    /// A new file, locked.
    pub fn temp(&self) -> Result<Temp> {
        loop {
            let n = self.next.fetch_add(1, Relaxed);
            let path = self.root.join("tmp").join(format!("{}-{n}", std::process::id()));
            let failed = |e: &std::io::Error| Error::io("making", path.display(), e);
            let file = match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue, // of a process in another namespace
                Err(e) => return Err(failed(&e)),
            };
            let temp = Temp { path: Some(path.clone()), file: Arc::new(file) };
            temp.file.lock().map_err(|e| failed(&e))?; // at most for as long as a sweeper looks at it
            if temp.file.metadata().map_err(|e| failed(&e))?.nlink() > 0 {
                return Ok(temp);
            }
            // Swept between its making and its lock.
        }
    }

    /// Gives a complete file its name, and evicts what has not been used for longest where there is no room. One that
    /// is larger than the whole cache is not kept.
    pub fn commit(&self, temp: Temp, digest: &Digest) -> Result<bool> {
        self.name(temp, self.path(digest))
    }

    fn name(&self, mut temp: Temp, to: PathBuf) -> Result<bool> {
        let Some(from) = temp.path.clone() else { return Ok(false) };
        let size = temp.file.metadata().map_err(|e| Error::io("reading", from.display(), &e))?.len();
        if size > self.max_bytes {
            return Ok(false);
        }
        self.locked(|store, ledger| {
            let old = || std::fs::symlink_metadata(&to).map_or(0, |meta| counted(&meta, Some(size)));
            let with_it = |total: u64| total.saturating_sub(old()).saturating_add(size);
            if with_it(ledger.total) > store.max_bytes {
                let most = (store.max_bytes / 100).saturating_mul(KEEP_PERCENT).saturating_sub(size);
                ledger.total = store.evict_to(most)?;
                if with_it(ledger.total) > store.max_bytes {
                    return Ok(false); // what is there can't be removed
                }
            }
            let old = old(); // an eviction may have taken it
            ledger.total = ledger.total.saturating_add(size);
            ledger.write()?;
            if let Err(e) = std::fs::rename(&from, &to) {
                ledger.total = ledger.total.saturating_sub(size);
                return Err(Error::io("storing", to.display(), &e));
            }
            temp.path = None;
            ledger.total = ledger.total.saturating_sub(old);
            Ok(true)
        })
    }

    /// Removes the files of writers that are gone.
    pub fn sweep(&self) -> Result<()> {
        for path in self.leftovers()?.into_iter().filter(|path| !path.is_dir()) {
            let Ok(file) = open_file(&path) else { continue }; // gone meanwhile
            if file.try_lock().is_ok() {
                removed(&path)?;
            }
        }
        Ok(())
    }

    /// What is in `tmp` without a writer.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        each_file(&self.root.join("tmp"), &mut |path, _| {
            // Locked and still there: one that has just got its name as a blob is not locked any more, either.
            let left = open_file(&path).is_ok_and(|file| file.try_lock().is_ok() && path.exists());
            found.extend(left.then_some(path));
        })?;
        Ok(found)
    }

    /// Everything that lies where the files are.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let places =
            [BLOBS, DIFF_IDS].into_iter().flat_map(|dir| ["sha256", "sha512"].map(|algorithm| (dir, algorithm)));
        for (dir, algorithm) in places {
            each_file(&self.root.join(dir).join(algorithm), &mut |path, meta| {
                let hex = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                let what = match format!("{algorithm}:{hex}").parse() {
                    _ if meta.is_dir() => What::Directory,
                    Ok(digest) if dir == BLOBS => What::Blob(digest),
                    Ok(digest) => What::DiffId(digest),
                    Err(_) => What::Unknown,
                };
                let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let size = if meta.is_dir() { 0 } else { meta.len() };
                found.push(Entry { what, size, used, path });
            })?;
        }
        Ok(found)
    }

    fn files(&self) -> Result<Vec<Entry>> {
        let mut entries = self.entries()?;
        entries.retain(|e| !matches!(e.what, What::Directory));
        Ok(entries)
    }

    /// What `lock` says that all files have together.
    pub fn size(&self) -> u64 {
        std::fs::read_to_string(self.root.join("lock")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Removes the files that have not been used for longest until the rest is no more than `most`, and gives the rest.
    fn evict_to(&self, most: u64) -> Result<u64> {
        let mut entries = self.files()?;
        let mut total = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.size));
        entries.sort_by_key(|e| e.used);
        for entry in entries {
            if total <= most {
                break;
            }
            match removed(&entry.path) {
                Ok(true) => drop(self.evicted.fetch_add(1, Relaxed)),
                Ok(false) => {}
                Err(_) => continue, // one that can't be removed is no reason to keep the others
            }
            total -= entry.size;
        }
        Ok(total)
    }

    /// Runs `f` while no other process names or evicts files.
    fn locked<R>(&self, f: impl FnOnce(&Store, &mut Ledger) -> Result<R>) -> Result<R> {
        let path = self.root.join("lock");
        let failed = |e: &std::io::Error| Error::io("locking", path.display(), e);
        let options = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = options.map_err(|e| failed(&e))?;
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    let why = "another process has held the lock of the cache for too long";
                    return Err(Error::new(Code::TimedOut, why).subject(path.display()));
                }
                Err(TryLockError::Error(e)) => return Err(failed(&e)),
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|e| failed(&e))?;
        let total = text.trim().parse().unwrap_or(u64::MAX); // no number: the next blob has all of it counted
        let mut ledger = Ledger { file, path: path.clone(), total };
        let result = f(self, &mut ledger);
        ledger.write()?;
        result
    }
}

/// What a look for a blob gives.
pub(super) enum Found<T, W = ()> {
    Here(T),
    Missing,
    /// It is not what its name says.
    Wrong(W),
}

/// What is in a compressed layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inside {
    pub diff_id: Digest,
    pub size: u64,
}

impl Inside {
    /// One line, ending in its own digest together with the blob's.
    fn record(&self, blob: &Digest) -> String {
        let facts = format!("{} {}", self.diff_id, self.size);
        let sum = Digest::of(Algorithm::Sha256, format!("{blob} {facts}").as_bytes());
        format!("{facts} {sum}\n")
    }
    fn of_record(text: &str, blob: &Digest) -> Option<Inside> {
        let mut parts = text.split(' ');
        let inside = Inside { diff_id: parts.next()?.parse().ok()?, size: parts.next()?.parse().ok()? };
        (inside.record(blob) == text).then_some(inside)
    }
}

struct Ledger {
    file: File,
    path: PathBuf,
    total: u64,
}

impl Ledger {
    fn write(&mut self) -> Result<()> {
        let text = format!("{:<20}\n", self.total); // always as long, so that it is never cut to another number
        self.file
            .rewind()
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|e| Error::io("writing", self.path.display(), &e))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens a file of the cache: not what a link points to, and without waiting for the writer of a pipe.
pub(super) fn open_file(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// What the ledger has at least for a file that should have `size` bytes: somebody may have written more into it.
fn counted(meta: &Metadata, size: Option<u64>) -> u64 {
    if meta.is_dir() { 0 } else { meta.len().min(size.unwrap_or(u64::MAX)) }
}

/// A file that seems older is evicted earlier.
fn used_now(file: &File) {
    let now = SystemTime::now();
    let _ = file.set_times(FileTimes::new().set_accessed(now).set_modified(now));
}

/// Removes a file, and says whether it was there.
fn removed(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("removing", path.display(), &e)),
    }
}

fn each_file(dir: &Path, each: &mut dyn FnMut(PathBuf, Metadata)) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("listing", dir.display(), &e);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(meta) = entry.metadata() {
            each(entry.path(), meta); // otherwise gone meanwhile
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, content: &[u8]) -> (Digest, bool) {
        let (mut temp, digest) = (store.temp().unwrap(), Digest::of(Algorithm::Sha256, content));
        Arc::get_mut(&mut temp.file).unwrap().write_all(content).unwrap();
        let kept = store.commit(temp, &digest).unwrap();
        std::thread::sleep(Duration::from_millis(5)); // times of use are told apart
        (digest, kept)
    }
    fn on_disk(store: &Store) -> u64 {
        store.entries().unwrap().iter().map(|e| e.size).sum()
    }

    #[test]
    fn the_ledger_is_never_too_low() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1000).unwrap();
        let (a, b) = ([1; 400], [2; 450]);
        let (digest, _) = put(&store, &a);
        put(&store, &b);
        assert_eq!(store.size(), 850);
        // One that was cut, and goes when its successor needs room.
        let path = store.path(&digest);
        let old = path.metadata().unwrap().modified().unwrap();
        let cut = File::options().write(true).open(&path).unwrap();
        cut.set_len(100).unwrap();
        cut.set_times(FileTimes::new().set_modified(old)).unwrap();
        put(&store, &a);
        assert_eq!((store.size(), on_disk(&store)), (850, 850));
        // One that somebody wrote more into than was counted.
        File::options().append(true).open(&path).unwrap().write_all(&[0; 50]).unwrap();
        put(&store, &a);
        assert_eq!((store.size(), on_disk(&store)), (850, 850));
        // What is discarded does not count any more; at most as much goes as was there.
        store.discard(&digest, &open_file(&path).unwrap(), 400);
        assert_eq!((store.size(), on_disk(&store)), (450, 450));
        put(&store, &a);
        File::options().append(true).open(&path).unwrap().write_all(&[0; 50]).unwrap();
        assert!(matches!(store.find(&digest, 400).unwrap(), Found::Wrong(_)));
        assert_eq!((store.size(), on_disk(&store)), (450, 450));
        // A file that another one has taken the place of stays.
        let other = File::open("/dev/null").unwrap();
        put(&store, &a);
        store.discard(&digest, &other, 400);
        assert_eq!((store.size(), on_disk(&store)), (850, 850));
    }

    #[test]
    fn what_is_inside_a_blob_is_remembered_as_long_as_nobody_changes_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1000).unwrap();
        let [blob, diff_id, other] = [1, 2, 3].map(|n| Digest::of(Algorithm::Sha256, &[n]));
        let inside = || Inside { diff_id: diff_id.clone(), size: 10_240 };
        assert!(matches!(store.inside(&blob).unwrap(), Found::Missing));
        assert!(store.remember(&blob, &inside()).unwrap());
        assert!(matches!(store.inside(&blob).unwrap(), Found::Here(found) if found == inside()));
        assert!(store.size() > 0 && store.size() == on_disk(&store));
        // Under another name it says nothing, nor where a digit is another, nor where it is cut or longer.
        let path = store.diff_id_path(&blob);
        let text = std::fs::read_to_string(&path).unwrap();
        let bad =
            [text.replace(" 10240 ", " 10241 "), text[..text.len() - 1].into(), text.clone() + "x", "x".repeat(9999)];
        for (at, text) in bad.iter().map(|text| (&blob, text)).chain([(&other, &text), (&blob, &String::new())]) {
            std::fs::write(store.diff_id_path(at), text).unwrap();
            assert!(matches!(store.inside(at).unwrap(), Found::Wrong(_)), "{text}");
            assert!(matches!(store.inside(at).unwrap(), Found::Missing), "{text}");
        }
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(store.inside(&blob).is_err());
        store.remember(&blob, &inside()).unwrap();
        assert!(!store.remove(&blob).unwrap(), "it has no such blob");
        assert!(matches!(store.inside(&blob).unwrap(), Found::Missing), "what is known of it is gone");
    }

    #[test]
    fn a_blob_that_can_not_get_its_name_costs_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1000).unwrap();
        let digest = Digest::of(Algorithm::Sha256, &[1; 400]);
        std::fs::create_dir(store.path(&digest)).unwrap();
        let mut temp = store.temp().unwrap();
        Arc::get_mut(&mut temp.file).unwrap().write_all(&[1; 400]).unwrap();
        assert_eq!(store.commit(temp, &digest).unwrap_err().code(), Code::Io);
        assert_eq!(store.size(), 0);
        assert!(!store.remove(&digest).unwrap(), "a directory is no blob");
    }
}
