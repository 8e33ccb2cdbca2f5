//! Where repositories live: one trait of short, synchronous steps, implemented for memory and for a directory.
//!
//! The steps of the disk store touch files, so [`Store::run`] sends them to the pool; those of the memory store are
//! run where they are called. Bytes of blobs go through [`Part`] on their way in and [`Bulk`] on their way out, both
//! in blocks, so that no blob is ever whole in memory unless memory is the store.

use crate::digest::{Algorithm, Digest, Hasher};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes that one job reads, writes or hashes.
pub(super) const BLOCK: usize = 256 * 1024;
/// Bytes that are hashed on the spot, since handing them to the pool would cost more.
const INLINE: usize = 32 * 1024;

/// A tag or a digest, as it stands in a URL.
#[derive(Clone, Debug)]
pub(super) enum Reference {
    Tag(String),
    Digest(Digest),
}

/// A manifest as it was pushed.
pub(super) struct Manifest {
    pub digest: Digest,
    pub media_type: String,
    pub body: Bytes,
}

/// A manifest to be stored, with all that becomes visible together with it.
pub(super) struct Push {
    pub digest: Digest,
    pub media_type: String,
    pub body: Bytes,
    pub tag: Option<String>,
    /// What the manifest refers to, and the descriptor that the referrers list of that shall show.
    pub subject: Option<(Digest, Bytes)>,
}

/// A blob that can be read.
pub(super) struct Blob {
    pub bulk: Bulk,
    pub size: u64,
    /// Set where nobody has compared the bytes with the digest since the server started.
    pub unverified: Option<Stamp>,
}

/// What identifies a state of a file; bytes that were changed behind the server's back change it too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub file: (u64, u64),
    pub size: u64,
    pub modified: Option<SystemTime>,
}

/// An upload that was open when the server stopped.
pub(super) struct Open {
    pub id: String,
    pub repository: String,
    pub part: Part,
    pub touched: SystemTime,
}

/// The steps. All names were checked by the caller.
pub(super) trait Backend: Send + Sync + 'static {
    fn knows(&self, repository: &str) -> Result<bool>;
    /// Sorted by bytes.
    fn repositories(&self) -> Result<Vec<String>>;
    /// Sorted by bytes; `None` for an unknown repository.
    fn tags(&self, repository: &str) -> Result<Option<Vec<String>>>;
    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Option<Manifest>>;
    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool>;
    fn put_manifest(&self, repository: &str, push: &Push) -> Result<()>;
    fn delete_tag(&self, repository: &str, tag: &str) -> Result<bool>;
    /// Removes the manifest, the tags that point at it, and its entry in its subject's list.
    fn delete_manifest(&self, repository: &str, digest: &Digest, subject: Option<&Digest>) -> Result<bool>;
    /// The descriptors of the manifests that name `subject`, by digest.
    fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<(Digest, Bytes)>>;
    fn blob(&self, repository: &str, digest: &Digest) -> Result<Option<Blob>>;
    fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>>;
    fn mount(&self, from: &str, to: &str, digest: &Digest) -> Result<bool>;
    fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<bool>;
    /// Tells what a reader of an unverified blob found.
    fn verified(&self, digest: &Digest, stamp: Stamp, good: bool);
    fn begin(&self, id: &str, repository: &str, algorithm: Algorithm) -> Result<Part>;
    /// Makes the bytes of `part`, which the caller has verified, the blob `digest`.
    fn commit(&self, id: &str, repository: &str, part: Part, digest: &Digest) -> Result<()>;
    fn discard(&self, id: &str, part: Part) -> Result<()>;
    /// The uploads that are open at the start.
    fn open_uploads(&self) -> Result<Vec<Open>>;
}

/// A backend and how to call it.
#[derive(Clone)]
pub(super) struct Store {
    pub backend: Arc<dyn Backend>,
    pub engine: Arc<Engine>,
    /// Whether the steps touch a disk.
    pub blocking: bool,
}

impl Store {
    /// Runs one step.
    pub async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&dyn Backend) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if !self.blocking {
            return step(&*self.backend);
        }
        let backend = self.backend.clone();
        self.engine.pool().run(move || step(&*backend)).await?
    }

    /// Appends blocks to an upload. The part comes back with the outcome: a failed write leaves it as it was.
    pub async fn append(self, mut part: Part, blocks: Vec<Bytes>) -> Result<(Part, Result<()>)> {
        let small = blocks.iter().map(Bytes::len).sum::<usize>() <= INLINE;
        let job = move || {
            let outcome = part.append(blocks);
            (part, outcome)
        };
        match small && !self.blocking {
            true => Ok(job()),
            false => self.engine.pool().run(job).await,
        }
    }

    /// The digest of all bytes of a part or blob, a job per few blocks.
    pub async fn hash(&self, bulk: Bulk, size: u64, algorithm: Algorithm) -> Result<(Bulk, Hasher)> {
        let (mut bulk, mut hasher, mut at) = (bulk, algorithm.hasher(), 0);
        while at < size {
            let want = (size - at).min(4 * BLOCK as u64);
            let job = move || {
                let blocks = bulk.read(at, want)?;
                blocks.iter().for_each(|b| hasher.update(b));
                Ok::<_, Error>((bulk, hasher))
            };
            (bulk, hasher) = self.engine.pool().run(job).await??;
            at += want;
        }
        Ok((bulk, hasher))
    }
}

/// Bytes at rest.
#[derive(Debug)]
pub(super) enum Bulk {
    Memory(Arc<Vec<Bytes>>),
    File(File),
}

impl Bulk {
    /// Exactly `want` bytes from `at` on. Fewer there are an error: a blob doesn't shrink.
    pub fn read(&mut self, at: u64, want: u64) -> Result<Vec<Bytes>> {
        match self {
            Bulk::Memory(chunks) => Ok(slice(chunks, at, want)),
            Bulk::File(file) => {
                let mut buffer = Vec::with_capacity(usize::try_from(want).unwrap_or(BLOCK));
                let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.take(want).read_to_end(&mut buffer));
                let read = read.map_err(|e| Error::io("reading", "a blob of the registry", &e))?;
                if read as u64 != want {
                    return Err(
                        Error::new(Code::Io, "the file is shorter than it was").subject("a blob of the registry")
                    );
                }
                Ok(vec![buffer.into()])
            }
        }
    }
}

fn slice(chunks: &[Bytes], at: u64, want: u64) -> Vec<Bytes> {
    let (mut skip, mut left, mut out) = (at, want, Vec::new());
    for chunk in chunks {
        let len = chunk.len() as u64;
        if skip >= len {
            skip -= len;
            continue;
        }
        let take = (len - skip).min(left);
        if take == 0 {
            break;
        }
        // Both fit: they are at most the length of a slice.
        out.push(chunk.slice(skip as usize..(skip + take) as usize));
        (skip, left) = (0, left - take);
    }
    out
}

/// The bytes of an unfinished upload and the running hash over them.
pub(super) struct Part {
    pub data: PartData,
    /// `None` after a restart, until somebody needs it.
    pub hasher: Option<Hasher>,
    pub algorithm: Algorithm,
    pub size: u64,
}

pub(super) enum PartData {
    Memory(Vec<Bytes>),
    /// The file is open only while a request writes to it.
    File {
        path: PathBuf,
        file: Option<File>,
    },
}

impl Part {
    /// Appends and hashes in one go, while the bytes are in the processor's cache. After an error the part is as it
    /// was before.
    fn append(&mut self, mut blocks: Vec<Bytes>) -> Result<()> {
        let total: usize = blocks.iter().map(Bytes::len).sum();
        match &mut self.data {
            PartData::Memory(chunks) => {
                if total < BLOCK / 4 {
                    // A slice keeps the whole read buffer alive that it was cut from.
                    blocks = vec![blocks.concat().into()];
                }
                chunks.extend(blocks.iter().cloned());
            }
            PartData::File { path, file } => {
                let failed = |e: std::io::Error| Error::io("writing", "an upload of the registry", &e);
                let file = match file {
                    Some(file) => file,
                    None => {
                        let mut opened = File::options().read(true).write(true).open(path).map_err(failed)?;
                        opened.seek(SeekFrom::Start(self.size)).map_err(failed)?;
                        file.insert(opened)
                    }
                };
                if let Err(e) = blocks.iter().try_for_each(|b| file.write_all(b)) {
                    // What came through in part must not stand before what the client sends next.
                    let _ = file.set_len(self.size);
                    let _ = file.seek(SeekFrom::Start(self.size));
                    return Err(failed(e));
                }
            }
        }
        if let Some(hasher) = &mut self.hasher {
            blocks.iter().for_each(|b| hasher.update(b));
        }
        self.size += total as u64;
        Ok(())
    }

    /// Gives back what a request needs and the time between requests doesn't.
    pub fn rest(&mut self) {
        if let PartData::File { file, .. } = &mut self.data {
            *file = None;
        }
    }

    /// The bytes so far, to be read.
    pub fn bulk(&self) -> Result<Bulk> {
        match &self.data {
            PartData::Memory(chunks) => Ok(Bulk::Memory(Arc::new(chunks.clone()))),
            PartData::File { path, .. } => {
                let file = File::open(path).map_err(|e| Error::io("reading", "an upload of the registry", &e))?;
                Ok(Bulk::File(file))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_span_chunks() {
        let chunks: Vec<Bytes> = vec!["abc".into(), "".into(), "defg".into(), "h".into()];
        for at in 0..=8u64 {
            for want in 0..=(8 - at) {
                let got = slice(&chunks, at, want).concat();
                assert_eq!(got, b"abcdefgh"[at as usize..(at + want) as usize], "{at} {want}");
            }
        }
    }
}
