//! The store in a directory: what it has acknowledged is there after a restart, a kill or a power cut.
//!
//! ```text
//! version                                     "1"
//! lock                                        held while a server uses the directory
//! tmp/                                        files on their way to a final name; swept at the start
//! uploads/<id>.json, <id>.data                an open upload: whose it is, and the bytes so far
//! blobs/sha256/ab/<hex>                       one copy of each blob
//! repositories/<name>/_blobs/sha256/<hex>     the same file, for each repository that may read it (a hard link)
//! repositories/<name>/_manifests/sha256/<hex> media type, line feed, the manifest's bytes
//! repositories/<name>/_tags/<tag>             the digest it points at
//! repositories/<name>/_referrers/sha256/<hex of the subject>/sha256-<hex>   the descriptor to be listed
//! ```
//!
//! Components of repository names don't start with an underscore, so the two kinds of directories can't meet. Every
//! file gets its final name by a rename after its bytes were flushed, and the directory is flushed after that. A
//! blob's link count says when nobody needs its bytes any more.

use super::files::{self, Directory};
use super::store::{Backend, Blob, Bulk, Manifest, Open, Part, PartData, Push, Reference, Stamp};
use crate::context::lock;
use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// What this code reads and writes.
const VERSION: &str = "1\n";
/// How long a start waits for the server before it to let go of the directory.
const TAKEOVER: Duration = Duration::from_secs(3);
/// Locks that repositories and blobs share; held for a few renames, never while bytes are written.
const STRIPES: usize = 64;
/// Blobs whose state is remembered; past that all are forgotten, which costs a hash each at their next read.
const REMEMBERED: usize = 100_000;

pub(super) struct Disk {
    root: Directory,
    stripes: Vec<Mutex<()>>,
    states: Mutex<HashMap<Digest, (Stamp, bool)>>,
    /// Its lock goes with the file.
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct UploadFile {
    repository: String,
    algorithm: String,
}

impl Disk {
    /// Opens the directory, or makes one, and clears away what a killed server left unfinished.
    pub fn open(path: &Path) -> Result<Disk> {
        let root = Directory::make(path)?;
        for name in ["tmp", "uploads", "blobs", "repositories"] {
            root.ensure(&root.path(name))?;
        }
        let lock = take_lock(&root)?;
        let version = root.path("version");
        match files::read(&version)? {
            None => root.write(VERSION.as_bytes(), &version)?,
            Some(found) if found == VERSION.as_bytes() => {}
            Some(_) => {
                let why = "the directory was made by another version of this registry";
                return Err(Error::new(Code::Unsupported, why).subject(path.display()));
            }
        }
        for file in files::list(&root.path("tmp"))? {
            files::remove(&root.path("tmp").join(file))?;
        }
        #[cfg(unix)]
        sweep_orphans(&root)?;
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Ok(Disk { root, stripes, states: Mutex::default(), _lock: lock })
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.root.path("repositories").join(name)
    }
    fn content(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.path("blobs").join(digest.algorithm().name()).join(&hex[..2]).join(hex)
    }
    fn link(&self, repository: &str, digest: &Digest) -> PathBuf {
        by_digest(self.repository(repository).join("_blobs"), digest)
    }
    fn manifest_file(&self, repository: &str, digest: &Digest) -> PathBuf {
        by_digest(self.repository(repository).join("_manifests"), digest)
    }
    fn tag_file(&self, repository: &str, tag: &str) -> PathBuf {
        self.repository(repository).join("_tags").join(tag)
    }
    fn referrer_file(&self, repository: &str, subject: &Digest, digest: &Digest) -> PathBuf {
        let list = by_digest(self.repository(repository).join("_referrers"), subject);
        list.join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
    }
    fn upload(&self, id: &str, kind: &str) -> PathBuf {
        self.root.path("uploads").join(format!("{id}.{kind}"))
    }

    fn stripe(&self, key: &impl Hash) -> std::sync::MutexGuard<'_, ()> {
        let mut hasher = std::hash::DefaultHasher::new();
        key.hash(&mut hasher);
        lock(&self.stripes[(hasher.finish() % STRIPES as u64) as usize])
    }

    fn tagged(&self, path: &Path) -> Result<Option<Digest>> {
        let Some(bytes) = files::read(path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let digest = text.trim().parse().map_err(|e: Error| {
            let why = "a tag of the registry does not hold a digest";
            Error::new(Code::Malformed, why).subject(path.display()).cause(e)
        })?;
        Ok(Some(digest))
    }

    fn remember(&self, digest: &Digest, stamp: Stamp, good: bool) {
        let mut states = lock(&self.states);
        if states.len() >= REMEMBERED {
            states.clear();
        }
        states.insert(digest.clone(), (stamp, good));
    }
    /// What is known of this very file: whether its bytes are those of the digest.
    fn state(&self, digest: &Digest, stamp: Stamp) -> Option<bool> {
        let states = lock(&self.states);
        states.get(digest).filter(|(known, _)| *known == stamp).map(|(_, good)| *good)
    }

    /// Gives a repository its name for a blob. A filesystem that allows no more links to one file gets a second copy.
    fn give(&self, content: &Path, link: &Path) -> Result<()> {
        let failed = |e: std::io::Error| Error::io("linking", link.display(), &e);
        match std::fs::hard_link(content, link) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // Maybe another file with the same bytes: the new one is known to be good.
                let fresh = self.root.temp();
                std::fs::hard_link(content, &fresh).map_err(failed)?;
                std::fs::rename(&fresh, link).map_err(failed)?;
                files::remove(&fresh).map(drop) // a rename onto another name of the same file leaves both
            }
            Err(e) if e.kind() == ErrorKind::TooManyLinks => {
                let fresh = self.root.temp();
                std::fs::copy(content, &fresh).map_err(failed)?;
                File::open(&fresh).and_then(|f| f.sync_all()).map_err(failed)?;
                std::fs::rename(&fresh, link).map_err(failed)
            }
            Err(e) => Err(failed(e)),
        }
    }
}

impl Backend for Disk {
    fn knows(&self, repository: &str) -> Result<bool> {
        let at = self.repository(repository);
        Ok(at.join("_blobs").is_dir() || at.join("_manifests").is_dir())
    }

    fn repositories(&self) -> Result<Vec<String>> {
        let top = self.root.path("repositories");
        let (mut found, mut todo) = (Vec::new(), vec![String::new()]);
        while let Some(name) = todo.pop() {
            let mut is_repository = false;
            for entry in files::list(&top.join(&name))? {
                if entry.starts_with('_') {
                    is_repository |= entry == "_blobs" || entry == "_manifests";
                } else if name.is_empty() {
                    todo.push(entry);
                } else {
                    todo.push(format!("{name}/{entry}"));
                }
            }
            if is_repository {
                found.push(name);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let mut tags = files::list(&self.repository(repository).join("_tags"))?;
        if tags.is_empty() && !self.knows(repository)? {
            return Ok(None);
        }
        tags.sort_unstable();
        Ok(Some(tags))
    }

    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Option<Manifest>> {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => match self.tagged(&self.tag_file(repository, tag))? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        let path = self.manifest_file(repository, &digest);
        let Some(bytes) = files::read(&path)? else { return Ok(None) };
        let line = bytes.iter().position(|b| *b == b'\n');
        let parts = line.and_then(|at| Some((std::str::from_utf8(&bytes[..at]).ok()?.to_owned(), at + 1)));
        let parts = parts.filter(|(_, at)| Digest::of(digest.algorithm(), &bytes[*at..]) == digest);
        let Some((media_type, at)) = parts else {
            let why = "a manifest of the registry does not have its digest any more";
            return Err(Error::new(Code::DigestMismatch, why).subject(path.display()));
        };
        Ok(Some(Manifest { digest, media_type, body: Bytes::from(bytes).slice(at..) }))
    }

    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool> {
        Ok(self.manifest_file(repository, digest).is_file())
    }

    fn put_manifest(&self, repository: &str, push: &Push) -> Result<()> {
        // Each with its bytes flushed before anything is visible; the renames then are quick.
        let mut moves = Vec::new();
        if let Some((subject, descriptor)) = &push.subject {
            moves.push((self.root.flushed(&[descriptor])?, self.referrer_file(repository, subject, &push.digest)));
        }
        let manifest = self.manifest_file(repository, &push.digest);
        let staged = self.root.flushed(&[push.media_type.as_bytes(), b"\n", &push.body])?;
        moves.push((staged, manifest));
        if let Some(tag) = &push.tag {
            let staged = self.root.flushed(&[push.digest.as_str().as_bytes(), b"\n"])?;
            moves.push((staged, self.tag_file(repository, tag)));
        }
        for (_, to) in &moves {
            self.root.ensure_parent(to)?;
        }
        {
            let _one = self.stripe(&repository);
            for (staged, to) in &mut moves {
                staged.publish(to)?;
            }
        }
        moves.iter().try_for_each(|(_, to)| files::flush_parent(to))
    }

    fn delete_tag(&self, repository: &str, tag: &str) -> Result<bool> {
        let _one = self.stripe(&repository);
        let path = self.tag_file(repository, tag);
        let found = files::remove(&path)?;
        if found {
            files::flush_parent(&path)?;
        }
        Ok(found)
    }

    fn delete_manifest(&self, repository: &str, digest: &Digest, subject: Option<&Digest>) -> Result<bool> {
        let _one = self.stripe(&repository);
        let path = self.manifest_file(repository, digest);
        if !path.is_file() {
            return Ok(false);
        }
        for tag in files::list(&self.repository(repository).join("_tags"))? {
            let tag = self.tag_file(repository, &tag);
            if self.tagged(&tag)?.as_ref() == Some(digest) {
                files::remove(&tag)?;
            }
        }
        let found = files::remove(&path)?;
        if let Some(subject) = subject {
            files::remove(&self.referrer_file(repository, subject, digest))?;
        }
        files::flush_parent(&path)?;
        Ok(found)
    }

    fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<(Digest, Bytes)>> {
        let list = by_digest(self.repository(repository).join("_referrers"), subject);
        let mut found = Vec::new();
        for name in files::list(&list)? {
            let Ok(digest) = name.replacen('-', ":", 1).parse::<Digest>() else { continue };
            // The entry is written before its manifest and removed after it: only both together count.
            if self.has_manifest(repository, &digest)?
                && let Some(bytes) = files::read(&list.join(&name))?
            {
                found.push((digest, bytes.into()));
            }
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn blob(&self, repository: &str, digest: &Digest) -> Result<Option<Blob>> {
        let path = self.link(repository, digest);
        let failed = |e: std::io::Error| Error::io("reading", path.display(), &e);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let stamp = stamp(&file.metadata().map_err(failed)?);
        let unverified = match self.state(digest, stamp) {
            Some(false) => return Ok(None),
            Some(true) => None,
            None => Some(stamp),
        };
        Ok(Some(Blob { bulk: Bulk::File(file), size: stamp.size, unverified }))
    }

    fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        let path = self.link(repository, digest);
        match std::fs::metadata(&path) {
            Ok(meta) => {
                let stamp = stamp(&meta);
                Ok(Some(stamp.size).filter(|_| self.state(digest, stamp) != Some(false)))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("reading", path.display(), &e)),
        }
    }

    fn mount(&self, from: &str, to: &str, digest: &Digest) -> Result<bool> {
        if self.blob_size(from, digest)?.is_none() {
            return Ok(false);
        }
        let (source, link) = (self.link(from, digest), self.link(to, digest));
        self.root.ensure_parent(&link)?;
        {
            let _one = self.stripe(digest);
            match self.give(&source, &link) {
                Err(e) if e.code() == Code::NotFound => return Ok(false), // deleted in this moment
                given => given?,
            }
        }
        files::flush_parent(&link)?;
        Ok(true)
    }

    fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let (link, content) = (self.link(repository, digest), self.content(digest));
        let _one = self.stripe(digest);
        if !files::remove(&link)? {
            return Ok(false);
        }
        if files::links(&content)? == Some(1) {
            files::remove(&content)?;
        }
        files::flush_parent(&link)?;
        Ok(true)
    }

    fn verified(&self, digest: &Digest, stamp: Stamp, good: bool) {
        self.remember(digest, stamp, good);
    }

    fn begin(&self, id: &str, repository: &str, algorithm: Algorithm) -> Result<Part> {
        let about = UploadFile { repository: repository.to_owned(), algorithm: algorithm.name().to_owned() };
        let about = serde_json::to_vec(&about).map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let path = self.upload(id, "data");
        let failed = |e: std::io::Error| Error::io("making", path.display(), &e);
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        // An upload is worth nothing to a registry that lost its power: no flush.
        std::fs::write(self.upload(id, "json"), about).map_err(failed)?;
        let data = PartData::File { path, file: Some(file) };
        Ok(Part { data, hasher: Some(algorithm.hasher()), algorithm, size: 0 })
    }

    fn commit(&self, id: &str, repository: &str, part: Part, digest: &Digest) -> Result<()> {
        let PartData::File { path, file } = part.data else {
            return Err(Error::new(Code::Internal, "an upload of another store"));
        };
        let failed = |e: std::io::Error| Error::io("storing", path.display(), &e);
        let file = file.map_or_else(|| File::open(&path), Ok).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        let fresh = stamp(&file.metadata().map_err(failed)?);
        drop(file);
        let (content, link) = (self.content(digest), self.link(repository, digest));
        self.root.ensure_parent(&content)?;
        self.root.ensure_parent(&link)?;
        {
            let _one = self.stripe(digest);
            let there = std::fs::metadata(&content).ok().map(|meta| stamp(&meta));
            if there.is_some_and(|stamp| self.state(digest, stamp) == Some(true)) {
                files::remove(&path)?;
            } else {
                std::fs::rename(&path, &content).map_err(failed)?;
                self.remember(digest, fresh, true);
            }
            self.give(&content, &link)?;
        }
        files::remove(&self.upload(id, "json"))?;
        files::flush_parent(&content)?;
        files::flush_parent(&link)
    }

    fn discard(&self, id: &str, part: Part) -> Result<()> {
        drop(part);
        files::remove(&self.upload(id, "data"))?;
        files::remove(&self.upload(id, "json")).map(drop)
    }

    fn open_uploads(&self) -> Result<Vec<Open>> {
        let mut found = Vec::new();
        for name in files::list(&self.root.path("uploads"))? {
            let Some((id, kind)) = name.rsplit_once('.') else { continue };
            let (about, data) = (self.upload(id, "json"), self.upload(id, "data"));
            let known = files::read(&about)?.and_then(|bytes| serde_json::from_slice::<UploadFile>(&bytes).ok());
            let algorithm = known.as_ref().and_then(|u| match u.algorithm.as_str() {
                "sha256" => Some(Algorithm::Sha256),
                "sha512" => Some(Algorithm::Sha512),
                _ => None,
            });
            match (known, algorithm, std::fs::metadata(&data)) {
                (Some(known), Some(algorithm), Ok(meta)) if kind == "data" => {
                    let part = Part {
                        data: PartData::File { path: data, file: None },
                        hasher: None,
                        algorithm,
                        size: meta.len(),
                    };
                    let touched = meta.modified().unwrap_or_else(|_| SystemTime::now());
                    found.push(Open { id: id.to_owned(), repository: known.repository, part, touched });
                }
                (Some(_), Some(_), Ok(_)) => {} // comes by its data
                _ => {
                    files::remove(&about)?;
                    files::remove(&data)?;
                }
            }
        }
        Ok(found)
    }
}

/// Removes blobs that no repository got before the server was killed.
#[cfg(unix)]
fn sweep_orphans(root: &Directory) -> Result<()> {
    let blobs = root.path("blobs");
    for algorithm in files::list(&blobs)? {
        for first in files::list(&blobs.join(&algorithm))? {
            let folder = blobs.join(&algorithm).join(first);
            for name in files::list(&folder)? {
                let blob = folder.join(name);
                if files::links(&blob)? == Some(1) {
                    files::remove(&blob)?;
                }
            }
        }
    }
    Ok(())
}

fn by_digest(folder: PathBuf, digest: &Digest) -> PathBuf {
    folder.join(digest.algorithm().name()).join(digest.hex())
}

fn stamp(meta: &std::fs::Metadata) -> Stamp {
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::MetadataExt;
        (meta.dev(), meta.ino())
    };
    #[cfg(not(unix))]
    let file = (0, 0);
    Stamp { file, size: meta.len(), modified: meta.modified().ok() }
}

fn take_lock(root: &Directory) -> Result<File> {
    let path = root.path("lock");
    let failed = |e: &std::io::Error| Error::io("locking", path.display(), e);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| failed(&e))?;
    let until = Instant::now() + TAKEOVER;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(e)) => return Err(failed(&e)),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let why = "another server is using this directory";
                return Err(Error::new(Code::InvalidState, why).subject(root.root().display()));
            }
        }
    }
}
