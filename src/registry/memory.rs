//! The store that lives in memory: for demos and tests, gone with the server.

use super::store::{Backend, Blob, Bulk, Manifest, Open, Part, PartData, Push, Reference, Stamp};
use crate::context::lock;
use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock, Weak};

#[derive(Default)]
pub(super) struct Memory {
    repositories: RwLock<BTreeMap<String, Arc<Mutex<Repository>>>>,
    /// So that two pushes of the same bytes to different repositories keep them once.
    blobs: Mutex<HashMap<Digest, Weak<Stored>>>,
}

#[derive(Default)]
struct Repository {
    blobs: HashMap<Digest, Arc<Stored>>,
    manifests: HashMap<Digest, (String, Bytes)>,
    tags: BTreeMap<String, Digest>,
    referrers: HashMap<Digest, BTreeMap<Digest, Bytes>>,
}

struct Stored {
    chunks: Arc<Vec<Bytes>>,
    size: u64,
}

impl Memory {
    fn repository(&self, name: &str) -> Option<Arc<Mutex<Repository>>> {
        self.repositories.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }
    fn make(&self, name: &str) -> Arc<Mutex<Repository>> {
        if let Some(found) = self.repository(name) {
            return found;
        }
        let mut all = self.repositories.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.entry(name.to_owned()).or_default().clone()
    }
    /// Looks at a repository, or gives the neutral value where there is none.
    fn see<T: Default>(&self, name: &str, look: impl FnOnce(&mut Repository) -> T) -> Result<T> {
        Ok(self.repository(name).map(|r| look(&mut lock(&r))).unwrap_or_default())
    }
}

impl Backend for Memory {
    fn knows(&self, repository: &str) -> Result<bool> {
        Ok(self.repository(repository).is_some())
    }

    fn repositories(&self) -> Result<Vec<String>> {
        let all = self.repositories.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(all.keys().cloned().collect())
    }

    fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        self.see(repository, |r| Some(r.tags.keys().cloned().collect()))
    }

    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Option<Manifest>> {
        self.see(repository, |r| {
            let digest = match reference {
                Reference::Tag(tag) => r.tags.get(tag)?,
                Reference::Digest(digest) => digest,
            };
            let (media_type, body) = r.manifests.get(digest)?;
            Some(Manifest { digest: digest.clone(), media_type: media_type.clone(), body: body.clone() })
        })
    }

    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool> {
        self.see(repository, |r| r.manifests.contains_key(digest))
    }

    fn put_manifest(&self, repository: &str, push: &Push) -> Result<()> {
        let repository = self.make(repository);
        let mut r = lock(&repository);
        r.manifests.insert(push.digest.clone(), (push.media_type.clone(), push.body.clone()));
        if let Some((subject, descriptor)) = &push.subject {
            r.referrers.entry(subject.clone()).or_default().insert(push.digest.clone(), descriptor.clone());
        }
        if let Some(tag) = &push.tag {
            r.tags.insert(tag.clone(), push.digest.clone());
        }
        Ok(())
    }

    fn delete_tag(&self, repository: &str, tag: &str) -> Result<bool> {
        self.see(repository, |r| r.tags.remove(tag).is_some())
    }

    fn delete_manifest(&self, repository: &str, digest: &Digest, subject: Option<&Digest>) -> Result<bool> {
        self.see(repository, |r| {
            let found = r.manifests.remove(digest).is_some();
            r.tags.retain(|_, at| at != digest);
            if let Some(subject) = subject
                && let Some(list) = r.referrers.get_mut(subject)
            {
                list.remove(digest);
                if list.is_empty() {
                    r.referrers.remove(subject);
                }
            }
            found
        })
    }

    fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<(Digest, Bytes)>> {
        self.see(repository, |r| {
            let list = r.referrers.get(subject);
            list.into_iter().flatten().map(|(digest, bytes)| (digest.clone(), bytes.clone())).collect()
        })
    }

    fn blob(&self, repository: &str, digest: &Digest) -> Result<Option<Blob>> {
        let stored = self.see(repository, |r| r.blobs.get(digest).cloned())?;
        Ok(stored.map(|s| Blob { bulk: Bulk::Memory(s.chunks.clone()), size: s.size, unverified: None }))
    }

    fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        self.see(repository, |r| r.blobs.get(digest).map(|s| s.size))
    }

    fn mount(&self, from: &str, to: &str, digest: &Digest) -> Result<bool> {
        let Some(stored) = self.see(from, |r| r.blobs.get(digest).cloned())? else { return Ok(false) };
        lock(&self.make(to)).blobs.insert(digest.clone(), stored);
        Ok(true)
    }

    fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let removed = self.see(repository, |r| r.blobs.remove(digest))?;
        let found = removed.is_some();
        drop(removed);
        let mut blobs = lock(&self.blobs);
        if blobs.get(digest).is_some_and(|weak| weak.strong_count() == 0) {
            blobs.remove(digest);
        }
        Ok(found)
    }

    fn verified(&self, _: &Digest, _: Stamp, _: bool) {} // nobody else can reach these bytes

    fn begin(&self, _: &str, _: &str, algorithm: Algorithm) -> Result<Part> {
        let data = PartData::Memory(Vec::new());
        Ok(Part { data, hasher: Some(algorithm.hasher()), algorithm, size: 0 })
    }

    fn commit(&self, _: &str, repository: &str, part: Part, digest: &Digest) -> Result<()> {
        let PartData::Memory(chunks) = part.data else {
            return Err(Error::new(Code::Internal, "an upload of another store"));
        };
        let stored = {
            let mut blobs = lock(&self.blobs);
            let known = blobs.get(digest).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::new(Stored { chunks: Arc::new(chunks), size: part.size });
                blobs.insert(digest.clone(), Arc::downgrade(&new));
                new
            })
        };
        lock(&self.make(repository)).blobs.insert(digest.clone(), stored);
        Ok(())
    }

    fn discard(&self, _: &str, _: Part) -> Result<()> {
        Ok(())
    }

    fn open_uploads(&self) -> Result<Vec<Open>> {
        Ok(Vec::new())
    }
}
