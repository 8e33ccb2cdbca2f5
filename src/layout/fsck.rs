//! Looking for damage: every file is read, and everything that is named is looked for.

use super::blobs::Blobs;
use super::files::{self, OWN};
use super::reach::{self, Named};
use super::{Layout, check_mark, index_of, lock};
use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::matcher::REF_NAME;
use crate::oci::{AnyManifest, Descriptor, IndexManifest};
use crate::options::Options;
use crate::report::Report;
use crate::stream::{read_file, verified};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Blobs that are read at once where the options say nothing.
const JOBS: u32 = 4;

impl Layout {
    /// Reads every file of the layout and tells everything that is wrong: `oci-layout` and index.json, blobs that are
    /// named and missing or of another size, blobs without the digest of their name, manifests that can't be read,
    /// files that don't belong where they are, entries that are there twice, what killed writers left. Garbage is no
    /// damage; layers that must not be distributed and subjects may be absent. Findings name a digest or a path.
    ///
    /// Errors: `NotFound` where there is no directory; `Io` where it can't be read. Options: jobs.
    pub fn fsck(&self, options: &Options, ctx: &Context) -> Task<Report> {
        if let Err(e) = options.only("fsck", &["jobs"]) {
            return Task::ready(Err(e));
        }
        let (blobs, jobs) = (self.blobs().clone(), options.jobs.unwrap_or(JOBS).max(1) as usize);
        self.home().spawn(ctx, |ctx| async move { check(&blobs, jobs, &ctx).await })
    }
}

async fn check(blobs: &Blobs, jobs: usize, ctx: &Context) -> Result<Report> {
    // Nothing is to be collected meanwhile; without locks nobody collects.
    let _held = lock::to_look(&blobs.place, &blobs.root).await;
    let root = blobs.root.clone();
    let ground = move || {
        let mut report = Report::default();
        let found = std::fs::metadata(&root).map_err(|e| Error::io("opening", root.display(), &e))?;
        if !found.is_dir() {
            return Err(Error::new(Code::NotFound, "the layout is no directory").subject(root.display()));
        }
        let index = note(&mut report, &root.join("oci-layout"), check_mark(&root)).and(note(
            &mut report,
            &root.join("index.json"),
            index_of(&root),
        ));
        Ok((report, index))
    };
    let (mut report, index) = blobs.place.engine.pool().run(ground).await??;
    if let Some(index) = index {
        doubles(&index, &blobs.root.join("index.json"), &mut report);
        report.append(references(blobs, &index).await?);
    }
    report.append(contents(blobs, jobs, ctx).await?);
    let root = blobs.root.clone();
    report.append(blobs.place.engine.pool().run(move || leftovers(&root)).await??);
    Ok(report)
}

/// What could be read; else it is a finding.
fn note<T>(report: &mut Report, subject: &Path, read: Result<T>) -> Option<T> {
    read.map_err(|e| report.add_error(subject.display(), &e)).ok()
}

/// Entries that nobody can tell from each other.
fn doubles(index: &IndexManifest, path: &Path, report: &mut Report) {
    let mut seen: HashMap<(Option<&String>, String), &Descriptor> = HashMap::new();
    for entry in index.manifests() {
        let platform = entry.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = entry.annotations.get(REF_NAME);
        match (seen.insert((name, platform), entry), name) {
            (Some(before), _) if before.digest == entry.digest => {
                report.add(Code::AlreadyExists, &entry.digest, format!("{} names it twice", path.display()));
            }
            (Some(_), Some(name)) => {
                let why = format!("two entries are named '{}'", crate::digest::shown(name));
                report.add(Code::AlreadyExists, path.display(), why);
            }
            _ => {}
        }
    }
}

/// What is named, and not there as it is named.
async fn references(blobs: &Blobs, index: &IndexManifest) -> Result<Report> {
    let mut report = Report::default();
    let (mut read, mut told) = (HashSet::new(), HashSet::new());
    let mut todo: Vec<Named> = index.manifests().iter().rev().map(Named::entry).collect();
    todo.extend(index.subject().map(|d| Named { optional: true, ..Named::entry(d) }));
    while let Some(named) = todo.pop() {
        let (seen, digest) = (blobs.clone(), named.digest.clone());
        let found = blobs.place.engine.pool().run(move || seen.find(&digest)).await?;
        let wrong = match found {
            Err(_) => continue, // told of with the contents
            Ok(None) if named.optional => continue,
            Ok(None) => Some((Code::NotFound, "it is named, and not in the layout".to_owned())),
            Ok(Some((_, is))) => match named.size {
                Some(size) if size != is => {
                    Some((Code::DigestMismatch, format!("it is named with {size} bytes, and has {is}")))
                }
                _ => None,
            },
        };
        if let Some((code, why)) = wrong {
            if told.insert((named.digest.clone(), why.clone())) {
                report.add(code, &named.digest, why);
            }
            continue;
        }
        if named.manifest && read.insert(named.digest.clone()) {
            match below(blobs, &named).await {
                Ok(mut found) => todo.append(&mut found),
                Err(e) if e.code() == Code::DigestMismatch => {} // told of with the contents
                Err(e) => report.add_error(&named.digest, &e),
            }
        }
    }
    Ok(report)
}

async fn below(blobs: &Blobs, manifest: &Named) -> Result<Vec<Named>> {
    let raw = match blobs.manifest(&manifest.digest).await {
        Ok(raw) => raw.unwrap_or_default(),
        Err(e) if e.code() == Code::LimitExceeded && !manifest.is_known_manifest() => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    if manifest.media_type.is_image() || manifest.media_type.is_index() || manifest.media_type.is_empty() {
        AnyManifest::from_bytes(raw.clone(), Some(manifest.media_type.as_str()))?;
    }
    let mut found = reach::named(&raw).unwrap_or_default();
    found.reverse(); // the last is looked at first
    Ok(found)
}

/// Every file below `blobs`, read to its end.
async fn contents(blobs: &Blobs, jobs: usize, ctx: &Context) -> Result<Report> {
    let here = blobs.clone();
    let (report, found) = blobs.place.engine.pool().run(move || listed(&here)).await??;
    ctx.expect_bytes(found.iter().map(|(_, size)| size).sum());
    let reads: Vec<_> = found.into_iter().map(|(digest, _)| hash(blobs, digest, ctx).boxed()).collect();
    let parts: Vec<Report> = futures_util::stream::iter(reads).buffered(jobs).try_collect().await?;
    Ok(parts.into_iter().fold(report, |mut all, part| {
        all.append(part);
        all
    }))
}

/// The blobs, and a report of what is there and is none.
fn listed(blobs: &Blobs) -> Result<(Report, Vec<(Digest, u64)>)> {
    let (mut report, mut found) = (Report::default(), Vec::new());
    let top = blobs.root.join("blobs");
    let folders = match files::list(&top) {
        Ok(folders) => folders,
        Err(e) if e.code() == Code::Malformed => {
            report.add_error(top.display(), &e);
            return Ok((report, found));
        }
        Err(e) => return Err(e),
    };
    for folder in folders {
        let path = top.join(&folder);
        let known = [Algorithm::Sha256, Algorithm::Sha512].iter().any(|a| a.name() == folder);
        if !known {
            report.add(Code::Unsupported, path.display(), "not the name of a digest algorithm that is known here");
            continue;
        }
        let names = match files::list(&path) {
            Err(e) if e.code() == Code::Malformed => {
                report.add_error(path.display(), &e);
                continue;
            }
            other => other?,
        };
        for name in names {
            let path = path.join(&name);
            let Ok(digest) = format!("{folder}:{name}").parse::<Digest>() else {
                report.add(Code::Malformed, path.display(), "a file among the blobs whose name is no digest");
                continue;
            };
            match files::open(&path) {
                Ok(Some((_, size))) => found.push((digest, size)),
                Ok(None) => {} // gone since
                Err(e) => report.add_error(&digest, &e),
            }
        }
    }
    Ok((report, found))
}

async fn hash(blobs: &Blobs, digest: Digest, ctx: &Context) -> Result<Report> {
    let (here, wanted) = (blobs.clone(), digest.clone());
    let place = &blobs.place;
    let mut report = Report::default();
    let Some((file, size)) = place.engine.pool().run(move || here.find(&wanted)).await?? else { return Ok(report) };
    let name = blobs.path(&digest).to_string_lossy().into_owned();
    let chunks = read_file(&place.engine, file, name, 0, size);
    let mut chunks = verified(&place.engine, chunks, &digest, size, &place.stats);
    loop {
        match chunks.next().await {
            Ok(Some(chunk)) => ctx.count_bytes(chunk.len() as u64),
            Ok(None) => return Ok(report),
            Err(e) if matches!(e.code(), Code::DigestMismatch | Code::Io) => {
                report.add_error(&digest, &e); // a sector that can't be read is damage, too
                return Ok(report);
            }
            Err(e) => return Err(e),
        }
    }
}

fn leftovers(root: &Path) -> Result<Report> {
    let mut report = Report::default();
    match files::leftovers(root) {
        Ok(found) => {
            for (path, _) in found {
                report.add(Code::InvalidState, path.display(), "a temporary file whose writer is gone");
            }
        }
        Err(e) if e.code() == Code::Malformed => report.add_error(root.join(OWN).display(), &e),
        Err(e) => return Err(e),
    }
    Ok(report)
}
