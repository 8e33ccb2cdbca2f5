//! A cache: blobs in a directory, under their digests, that any image, index or layer can be read through.
//!
//! ```text
//! blobs/<algorithm>/<hex>      a blob; its modification time is when it was last used
//! diff_ids/<algorithm>/<hex>   what was found in the layer of this digest when it was decompressed: diff id and size
//! tmp/<pid>-<n>                one on its way in, locked by its writer
//! lock                         held while a file is named or evicted; the sum of all sizes
//! ```
//!
//! * `store`: the directory, safe between processes;
//! * `flow`: reading through it, and writing into it.
//!
//! What is read through it is written beside, and gets its name when all of it has passed and its digest was right. Of
//! several readers of one blob in a process the first one writes; no reader ever waits for another.
//! A hit is hashed before its first byte goes out: one that is not what its name says is removed and read from its
//! origin. Decompressed layers are kept under their diff ids, like all else, and are given for the layers only in which
//! the cache has found them itself: what an image's config claims is not enough. Nothing is flushed to the disk: what a
//! power cut leaves behind is found out by its digest.

mod flow;
mod store;

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::Index;
use crate::layer::Layer;
use crate::options::Options;
use crate::report::Report;
use crate::sink::SinkHandle;
use crate::source::{Place, Source};
use flow::{CacheSink, Cached, CachedChildren, Hit};
use futures_util::StreamExt;
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use store::{Entry, Found, Store, What};

/// A cache in a directory. A clone is the same cache.
#[derive(Clone)]
pub struct Cache(Arc<Core>);

struct Core {
    place: Place,
    store: Store,
    uncompressed: bool,
    counters: Counters,
    /// Blobs that parts are read of, found right and kept open, so that not each part costs a look at the whole.
    in_parts: Mutex<VecDeque<(Digest, Hit)>>,
    /// What a reader is filling it with.
    filling: Mutex<HashSet<Digest>>,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    corrupt: AtomicU64,
    stored: AtomicU64,
    failed: AtomicU64,
}

/// What a cache has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Blobs that were there and right.
    pub hits: u64,
    /// Blobs that were not there.
    pub misses: u64,
    /// Blobs that were not what their names say; they were removed.
    pub corrupt: u64,
    /// Blobs that were added.
    pub stored: u64,
    /// Blobs that were removed to make room.
    pub evicted: u64,
    /// Blobs that could not be read from or written to the directory; who read them did not notice.
    pub failed: u64,
}

impl Cache {
    /// Opens the cache in `dir`, or makes it, readable by its owner alone. It keeps at most `max_bytes`: what has not
    /// been used for longest goes. Any number of processes may use it at the same time.
    ///
    /// Errors: `Io`, `Denied` with the path; `InvalidArgument` for 0 bytes. Options: uncompressed.
    pub fn open(dir: &Path, max_bytes: u64, options: &Options, ctx: &Context) -> Task<Cache> {
        let place = options.only("opening a cache", &["uncompressed"]).and_then(|()| match max_bytes {
            0 => Err(invalid("max_bytes is 0")),
            _ => Place::here(),
        });
        let place = match place {
            Ok(place) => place,
            Err(e) => return Task::ready(Err(e)),
        };
        let (dir, uncompressed) = (dir.to_owned(), options.uncompressed);
        place.engine.clone().spawn(ctx, |_| async move {
            let store = place.engine.pool().run(move || Store::open(&dir, max_bytes)).await??;
            Ok(Cache(Arc::new(Core {
                place,
                store,
                uncompressed,
                counters: Counters::default(),
                in_parts: Mutex::default(),
                filling: Mutex::default(),
            })))
        })
    }

    /// How many bytes are kept. After a process was killed it may be too many, until the next eviction counts anew.
    pub fn size(&self) -> u64 {
        self.0.store.size()
    }
    /// What was done so far.
    pub fn stats(&self) -> CacheStats {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let c = &self.0.counters;
        CacheStats {
            hits: of(&c.hits),
            misses: of(&c.misses),
            corrupt: of(&c.corrupt),
            stored: of(&c.stored),
            evicted: of(&self.0.store.evicted),
            failed: of(&c.failed),
        }
    }
    /// Removes everything. What is being read can be read to its end. Options: none.
    pub fn clear(&self, options: &Options, ctx: &Context) -> Task<()> {
        self.job("clearing a cache", options, ctx, |core| core.store.clear())
    }
    /// Removes one blob. Errors: `NotFound`. Options: none.
    pub fn remove(&self, digest: &Digest, options: &Options, ctx: &Context) -> Task<()> {
        let digest = digest.clone();
        self.job("removing from a cache", options, ctx, move |core| match core.store.remove(&digest)? {
            true => Ok(()),
            false => Err(Error::new(Code::NotFound, "the cache has no such blob").subject(&digest)),
        })
    }
    /// Reads everything and reports what is not as it should be: content that has another digest than its name,
    /// strange names, files of writers that are gone, more bytes than allowed. Changes nothing. Options: jobs.
    pub fn verify(&self, options: &Options, ctx: &Context) -> Task<Report> {
        if let Err(e) = options.only("verifying a cache", &["jobs"]) {
            return Task::ready(Err(e));
        }
        let (core, jobs) = (self.0.clone(), options.jobs.unwrap_or(2).max(1) as usize);
        self.0.place.engine.spawn(ctx, |_| async move {
            let here = core.clone();
            let look = move || Ok::<_, Error>((here.store.entries()?, here.store.leftovers()?));
            let (entries, leftovers) = core.place.engine.pool().run(look).await??;
            let mut report = Report::default();
            for path in leftovers {
                let (code, why) = match path.is_dir() {
                    true => (Code::Malformed, "a directory is here, which is none of the cache"),
                    false => (Code::InvalidState, "left over from a writer that is gone"),
                };
                report.add(code, path.display(), why);
            }
            let total = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.size));
            if total > core.store.max_bytes() {
                let why = format!("{total} bytes are kept, and {} are allowed", core.store.max_bytes());
                report.add(Code::LimitExceeded, core.store.root().display(), why);
            }
            let checks = entries.into_iter().map(|entry| examine(core.clone(), entry));
            let mut checks = futures_util::stream::iter(checks).buffered(jobs);
            while let Some(found) = checks.next().await {
                report.append(found?);
            }
            Ok(report)
        })
    }

    fn job(
        &self,
        call: &str,
        options: &Options,
        ctx: &Context,
        job: impl FnOnce(&Core) -> Result<()> + Send + 'static,
    ) -> Task<()> {
        if let Err(e) = options.only(call, &[]) {
            return Task::ready(Err(e));
        }
        let core = self.0.clone();
        self.0.place.engine.spawn(ctx, |_| async move {
            let here = core.clone();
            core.place.engine.pool().run(move || job(&here)).await?
        })
    }

    fn wrap(&self, origin: &Arc<dyn Source>) -> Arc<dyn Source> {
        Arc::new(Cached { cache: self.clone(), origin: origin.clone() })
    }
    fn around(&self, image: &Image) -> Image {
        image.through(|origin| self.wrap(origin))
    }
}

async fn examine(core: Arc<Core>, entry: Entry) -> Result<Report> {
    let mut report = Report::default();
    let digest = match entry.what {
        What::Blob(digest) => digest,
        What::DiffId(blob) => {
            let here = core.clone();
            match core.place.engine.pool().run(move || here.store.read_inside(&blob)).await? {
                Ok(Found::Here(_) | Found::Missing) => {} // evicted meanwhile
                Ok(Found::Wrong(_)) => {
                    report.add(Code::Malformed, entry.path.display(), "this is not what the cache wrote about a blob");
                }
                Err(e) => report.add_error(entry.path.display(), &e),
            }
            return Ok(report);
        }
        What::Unknown | What::Directory => {
            let directory = matches!(entry.what, What::Directory);
            let why = if directory {
                "a directory is here, which is none of the cache"
            } else {
                "no file of the cache has such a name"
            };
            report.add(Code::Malformed, entry.path.display(), why);
            return Ok(report);
        }
    };
    let path = entry.path.clone();
    let opened = core.place.engine.pool().run(move || store::open_file(&path)).await?;
    match opened {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {} // evicted meanwhile
        Err(e) => report.add_error(entry.path.display(), &Error::io("opening", entry.path.display(), &e)),
        Ok(file) => {
            if !core.is_right(&Core::hit_of(file, entry.size), &digest).await {
                report.add(Code::DigestMismatch, entry.path.display(), "the content has another digest than the name");
            }
        }
    }
    Ok(report)
}

impl CacheStats {
    /// A JSON object.
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "hits": self.hits, "misses": self.misses, "corrupt": self.corrupt,
            "stored": self.stored, "evicted": self.evicted, "failed": self.failed,
        })
        .to_string()
    }
}

impl Image {
    /// The same image, its config and layers read through a cache.
    pub fn cached(&self, cache: &Cache) -> Image {
        cache.around(self)
    }
}

impl Index {
    /// The same index; all that is below it is read through a cache.
    pub fn cached(&self, cache: &Cache) -> Index {
        let children = CachedChildren { cache: cache.clone(), inner: self.children().clone() };
        Index::new(self.descriptor().clone(), self.manifest().clone(), Arc::new(children), self.home().clone())
    }
}

impl Layer {
    /// The same layer, read through a cache.
    pub fn cached(&self, cache: &Cache) -> Layer {
        self.with_source(cache.wrap(self.source()))
    }
}

impl SinkHandle {
    /// A cache as a place for new layers. A layer that was written into it can be read for as long as the value lives,
    /// evicted or not.
    pub fn cache(cache: &Cache) -> SinkHandle {
        SinkHandle(Arc::new(CacheSink(cache.clone())))
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({})", self.0.store.root().display())
    }
}
