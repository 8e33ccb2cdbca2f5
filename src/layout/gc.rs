//! Collecting garbage: blobs that nothing in index.json leads to, and what killed writers left.

use super::blobs::Blobs;
use super::files::{self, Unlinkable};
use super::lock::{self, Held};
use super::reach::{self, Named};
use super::{Layout, index_of};
use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::options::Options;
use std::collections::HashSet;

/// Files that one job removes: it holds a thread of the pool no longer than that takes.
const BATCH: usize = 64;

impl Layout {
    /// Removes every blob that nothing in index.json leads to, and what killed writers left; gives the digests and
    /// the paths of what was removed.
    ///
    /// Entries of index.json lead to everything below them, whatever its kind, and to the subjects they refer to,
    /// with everything below those. A manifest that refers to a kept one, but is not in index.json itself, is
    /// garbage: nobody can find it. Waits until nobody puts blobs any more (their index.json is to be written first);
    /// layers that were written by [`crate::SinkHandle::layout`] stay while they live. Programs other than this
    /// library know no such locks: don't collect while they write.
    ///
    /// Errors: `Malformed`, `DigestMismatch` where index.json or a manifest can't be read, and nothing is removed
    /// then: it might name what would be. Options: none.
    pub fn gc(&self, options: &Options, ctx: &Context) -> Task<Vec<String>> {
        if let Err(e) = options.only("gc", &[]) {
            return Task::ready(Err(e));
        }
        let blobs = self.blobs().clone();
        self.home().spawn(ctx, |_| async move {
            let held = lock::to_collect(&blobs.place, &blobs.root).await?;
            let keep = reachable(&blobs).await?;
            let mut removed = remove_others(&blobs, &keep, &held).await?;
            let root = blobs.root.clone();
            let swept = blobs.place.engine.pool().run(move || files::sweep(&root)).await??;
            removed.extend(swept.iter().map(|path| path.to_string_lossy().into_owned()));
            Ok(removed)
        })
    }
}

/// Whatever index.json leads to, there or not.
async fn reachable(blobs: &Blobs) -> Result<HashSet<Digest>> {
    let root = blobs.root.clone();
    let index = blobs.place.engine.pool().run(move || index_of(&root)).await??;
    let mut keep = HashSet::new();
    let mut read = HashSet::new();
    let mut todo = reach::named(index.raw()).unwrap_or_default();
    while let Some(named) = todo.pop() {
        if named.manifest && read.insert(named.digest.clone()) {
            todo.append(&mut below(blobs, &named).await?);
        }
        keep.insert(named.digest);
    }
    Ok(keep)
}

async fn below(blobs: &Blobs, manifest: &Named) -> Result<Vec<Named>> {
    let known = manifest.is_known_manifest();
    let raw = match blobs.manifest(&manifest.digest).await {
        Ok(Some(raw)) => raw,
        Ok(None) => return Ok(Vec::new()), // an index may name more than is here
        Err(e) if e.code() == Code::LimitExceeded && !known => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    match reach::named(&raw) {
        Some(found) => Ok(found),
        None if known => {
            Err(Error::new(Code::Malformed, "a manifest that is no JSON object").subject(&manifest.digest))
        }
        None => Ok(Vec::new()),
    }
}

async fn remove_others(blobs: &Blobs, keep: &HashSet<Digest>, held: &Held) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let folder = blobs.root.join("blobs").join(algorithm.name());
        let names = blobs.place.engine.pool().run(move || files::list(&folder)).await??;
        let digests = names.iter().filter_map(|name| format!("{}:{name}", algorithm.name()).parse::<Digest>().ok());
        let garbage: Vec<Digest> = digests.filter(|digest| !keep.contains(digest)).collect();
        for batch in garbage.chunks(BATCH) {
            let (batch, blobs, held) = (batch.to_vec(), blobs.clone(), held.clone());
            let engine = blobs.place.engine.clone();
            let job = move || {
                let _held = held; // what is removed must be garbage still
                let removed = batch.into_iter().filter_map(|digest| match collect(&blobs, &digest) {
                    Ok(true) => Some(Ok(digest.to_string())),
                    Ok(false) => None,
                    Err(e) => Some(Err(e)),
                });
                removed.collect::<Result<Vec<String>>>()
            };
            removed.append(&mut engine.pool().run(job).await??);
        }
    }
    Ok(removed)
}

fn collect(blobs: &Blobs, digest: &Digest) -> Result<bool> {
    let path = blobs.path(digest);
    match Unlinkable::open(&path)? {
        Some(file) => file.remove(&path),
        None => Ok(false), // a layer that was just made, or nothing of ours
    }
}
