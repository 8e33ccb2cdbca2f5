//! Media that are files: layouts, archives of every form, caches.

use super::made::{
    Files, docker, file, first, gzipped, image, image_of, index_of, nested, saved, tar_of, with_layout, zstd,
};
use super::reading::{Depth, Medium, Read, Span, ctx, flip, none};
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Cache, Child, Compression, Digest, Error, Format, Layout, Options,
};
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;

const GZ: Compression = Compression::Gzip;
const PLAIN: Compression = Compression::None;

/// A medium in a directory of its own: these files, the changes go to the first of them that has the place.
fn in_folder(files: &[(String, Vec<u8>)], read: impl Fn(&Path, Depth) -> Read + Send + 'static) -> Medium {
    let folder = tempfile::tempdir().unwrap();
    let mut open = Vec::new();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        open.push((File::options().write(true).open(&path).unwrap(), bytes.len()));
    }
    let put = move |bytes: &[u8], at: usize| {
        let mut start = 0;
        for (file, len) in &open {
            if at < start + len {
                return file.write_all_at(&bytes[at..=at], (at - start) as u64).unwrap();
            }
            start += len;
        }
    };
    Medium { put: Box::new(put), read: Box::new(move |depth| read(folder.path(), depth)) }
}

/// One after the other.
pub fn joined(files: &[(String, Vec<u8>)], span: impl Fn(&str, &[u8], Range<usize>) -> Span) -> (Vec<u8>, Vec<Span>) {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for (name, content) in files {
        spans.push(span(name, content, bytes.len()..bytes.len() + content.len()));
        bytes.extend_from_slice(content);
    }
    (bytes, spans)
}

/// The files in a directory, but for those of a lock.
pub fn files_in(path: &Path) -> Files {
    let files = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().map(|e| e.unwrap());
    let files = files.filter(|e| e.file_type().is_file()).map(|e| e.into_path());
    let name = |file: &Path| file.strip_prefix(path).unwrap().to_str().unwrap().to_owned();
    files.map(|file| (name(&file), std::fs::read(&file).unwrap())).filter(|(name, _)| !name.starts_with('.')).collect()
}

fn read_layout(path: &Path, depth: Depth) -> Read {
    let mut read = Read::default();
    let Some(layout) = read.got("layout", Layout::open(path, &none(), &ctx()).wait()) else { return read };
    if let Some(index) = read.got("names", layout.index(&none(), &ctx()).wait()) {
        read.note("names", Ok(format!("{:?}", index.manifest().manifests())));
    }
    if let Some(child) = read.got("all", layout.any(Some("all"), &none(), &ctx()).wait()) {
        read.child("all", &child, depth);
    }
    if depth != Depth::Plain
        && let Some(report) = read.got("fsck", layout.fsck(&none(), &ctx()).wait())
    {
        let first = report.findings().first().map(|f| Error::new(f.code, &f.message).subject(&f.subject));
        read.note("fsck", first.map_or(Ok(""), Err));
    }
    read
}

#[test]
fn layout() {
    super::alone("files::layout", || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layout");
        let layout = Layout::create(&path, &none(), &ctx()).wait().unwrap();
        layout.add_index(&nested(), Some("all"), &none(), &ctx()).wait().unwrap();
        let files = files_in(&path);
        assert_eq!(files.len(), 9, "two documents, three manifests, a config, three layers");
        let (bytes, spans) = joined(&files, |name, _, range| match name {
            // The directory is named where the damaged index.json has no such name any more.
            "index.json" => Span::new(range, &["index.json", "/.tmp"]).document().free(&["names"]),
            _ => Span::new(range, &[name.rsplit('/').next().unwrap()]),
        });
        flip("OCI directory", &bytes, &spans, &|| in_folder(&files, read_layout));
    });
}

/// The spans of an archive: headers, content, and what fills; of each file `span` may tell more.
fn spans_of(tar: &[u8], path: &str, span: impl Fn(&str, Span) -> Span) -> Vec<Span> {
    let (mut spans, mut at) = (Vec::new(), 0);
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let start = entry.raw_file_position() as usize;
        spans.push(Span::new(at..start, &[path]).filling());
        let digest = Digest::sha256(&content);
        let document =
            ["manifest.json", "index.json", "repositories"].contains(&name.as_str()) || name.ends_with("/json");
        let here = Span { document, ..Span::new(start..start + content.len(), &[&name, digest.hex()]) };
        spans.push(span(&name, here));
        at = start + content.len();
    }
    spans.push(Span::new(at..tar.len(), &[path]).filling());
    spans
}

fn read_archive(folder: &Path, depth: Depth) -> Read {
    let mut read = Read::default();
    let opened = Archive::open(&folder.join("the-archive"), &none(), &ctx()).wait();
    let Some(archive) = read.got("archive", opened) else { return read };
    read.note("names", Ok(archive.refs().join(" ")));
    let child = match archive.kind() {
        ArchiveFormat::Oci => archive.any(Some("all"), &none(), &ctx()).wait(),
        _ => archive.image(None, &none(), &ctx()).wait().map(Child::Image),
    };
    if let Some(child) = read.got("all", child) {
        read.child("all", &child, depth);
    }
    read
}

fn archive(what: &str, bytes: Vec<u8>, span: impl Fn(&str, Span) -> Span) {
    let spans = spans_of(&bytes, "the-archive", span);
    let files = [file("the-archive", &bytes)];
    flip(what, &bytes, &spans, &|| in_folder(&files, read_archive));
}

fn packed(what: &str, bytes: Vec<u8>) {
    let files = [file("the-archive", &bytes)];
    flip(what, &bytes, &[Span::new(0..bytes.len(), &["the-archive"])], &|| in_folder(&files, read_archive));
}

fn written(items: &[ArchiveItem], form: ArchiveFormat) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    Archive::write(&path, items, &Options::new().archive_format(form), &ctx()).wait().unwrap();
    std::fs::read(&path).unwrap()
}

fn oci() -> Vec<u8> {
    written(&[ArchiveItem::index(&nested(), Some("all"))], ArchiveFormat::Oci)
}

#[test]
fn oci_archive() {
    super::alone("files::oci_archive", || {
        archive("OCI archive", oci(), |name, span| match name {
            // Where it has no such name any more, the archive has none.
            "index.json" => span.or_named("the-archive").free(&["names"]),
            _ => span,
        });
    });
}

#[test]
fn compressed_archives() {
    super::alone("files::compressed_archives", || {
        packed("OCI archive, gzip", gzipped(&oci()));
        packed("OCI archive, zstd", zstd(&oci()));
        let item = [ArchiveItem::image(&docker(&[GZ, PLAIN]), Some("a:1"))];
        packed("docker archive, gzip", gzipped(&written(&item, ArchiveFormat::Docker)));
    });
}

/// manifest.json: what images are called.
fn of_docker(name: &str, span: Span) -> Span {
    match name {
        "manifest.json" => span.free(&["names"]),
        _ => span,
    }
}

#[test]
fn docker_archive_of_plain_layers() {
    super::alone("files::docker_archive_of_plain_layers", || {
        archive("docker archive, plain layers", tar_of(&saved(&docker(&[GZ, PLAIN]))), of_docker);
    });
}

#[test]
fn docker_archive_of_compressed_layers() {
    super::alone("files::docker_archive_of_compressed_layers", || {
        let made = docker(&[GZ, Compression::Zstd]);
        let item = [ArchiveItem::image(&made, Some("a:1"))];
        let ids = made.config(&ctx()).wait().unwrap().diff_ids().to_vec();
        archive("docker archive, compressed layers", written(&item, ArchiveFormat::Docker), |name, span| {
            // How a layer is compressed is vouched for by a manifest only, and there is none.
            match name.contains(".tar") {
                true => {
                    let id = &ids[usize::from(name.ends_with("zst"))];
                    span.or_named(id.hex()).free(&["layer 0 bytes", "layer 1 bytes", "manifest", "copied"])
                }
                false => of_docker(name, span),
            }
        });
    });
}

#[test]
fn docker_archive_with_a_layout() {
    super::alone("files::docker_archive_with_a_layout", || {
        archive(
            "docker archive with a layout",
            tar_of(&with_layout(&image_of(&[GZ, PLAIN], Format::Oci, "linux/amd64"))),
            |name, span| match name {
                // An entry that it no longer has is taken for one that was not saved: then manifest.json is what counts.
                "index.json" => span.free(&["all manifest", "all copied"]),
                _ => of_docker(name, span),
            },
        );
    });
}

#[test]
fn legacy_archives() {
    super::alone("files::legacy_archives", || {
        let made = docker(&[GZ, PLAIN]);
        let item = [ArchiveItem::image(&docker(&[GZ]), Some("a:1"))];
        archive("legacy archive with manifest.json", written(&item, ArchiveFormat::Legacy), of_docker);
        // There are no digests in it: what is read is what stands there.
        archive("legacy archive of the first docker", tar_of(&first(&made)), |name, span| match name {
            "repositories" => span.free(&["names"]),
            "a/json" | "b/json" => {
                // Where it does not say any more what is below, nothing is.
                let layers = ["layer 0 bytes", "layer 0 tar", "layer 1 bytes", "layer 1 tar"];
                span.free(&["manifest", "config", "copied"]).free(&layers)
            }
            "a/layer.tar" => span.free(&["manifest", "config", "copied", "layer 0 bytes", "layer 0 tar"]),
            "b/layer.tar" => span.free(&["manifest", "config", "copied", "layer 1 bytes", "layer 1 tar"]),
            _ => span,
        });
    });
}

/// A cache, and what it is filled from: what is damaged in it is had from there again.
fn filled() -> (TempDir, Cache, Archive) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path(), 1 << 20, &Options::new().uncompressed(), &ctx()).wait().unwrap();
    let index = index_of(&image_of(&[GZ], Format::Oci, "linux/amd64"));
    let origin = folder.path().join("origin");
    std::fs::write(&origin, written(&[ArchiveItem::index(&index, Some("all"))], ArchiveFormat::Oci)).unwrap();
    let origin = Archive::open(&origin, &none(), &ctx()).wait().unwrap();
    (folder, cache, origin)
}

fn read_cached(cache: &Cache, origin: &Archive, depth: Depth) -> Read {
    let mut read = Read::default();
    match origin.any(Some("all"), &none(), &ctx()).wait().unwrap() {
        Child::Index(index) => read.child("all", &Child::Index(index.cached(cache)), depth),
        Child::Image(_) => unreachable!(),
    }
    read
}

#[test]
fn cache() {
    super::alone("files::cache", || {
        let (folder, cache, origin) = filled();
        read_cached(&cache, &origin, Depth::Everything);
        let files: Files = files_in(&folder.path().join("blobs"));
        assert_eq!(files.len(), 4, "a manifest, a config, a layer and its tar");
        let (bytes, spans) = joined(&files, |_, _, range| Span::new(range, &[])); // there is no error
        let noticed = Arc::new(AtomicU64::new(0));
        let medium = || {
            let (folder, cache, origin) = filled();
            read_cached(&cache, &origin, Depth::Everything);
            let (files, noticed, reads) = (files.clone(), noticed.clone(), cache.clone());
            let put = move |bytes: &[u8], at: usize| {
                let mut start = 0;
                let (name, content) = files
                    .iter()
                    .find(|(_, content)| {
                        start += content.len();
                        at < start
                    })
                    .unwrap();
                start -= content.len();
                let (path, mut content) = (folder.path().join("blobs").join(name), content.clone());
                content[at - start] = bytes[at];
                // Not written over: it may be kept open.
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, content).unwrap();
            };
            let read = move |depth| {
                let before = reads.stats().corrupt;
                let read = read_cached(&reads, &origin, depth);
                noticed.fetch_add(reads.stats().corrupt - before, Relaxed);
                read
            };
            Medium { put: Box::new(put), read: Box::new(read) }
        };
        let (flips, failed) = flip("cache", &bytes, &spans, &medium);
        assert_eq!((noticed.load(Relaxed), failed), (flips as u64, 0), "each is noticed, and fetched anew");
    });
}

/// The sum of all sizes, in a file: what it says decides no more than when they are counted.
#[test]
fn the_sum_of_a_cache() {
    super::alone("files::the_sum_of_a_cache", || {
        let (folder, cache, origin) = filled();
        read_cached(&cache, &origin, Depth::Everything);
        let bytes = std::fs::read(folder.path().join("lock")).unwrap();
        let layer = image().layers()[0].descriptor().digest.hex().to_owned();
        let medium = || {
            let (folder, cache, origin) = filled();
            read_cached(&cache, &origin, Depth::Everything);
            let layer = layer.clone();
            let put = move |bytes: &[u8], _: usize| {
                std::fs::write(folder.path().join("lock"), bytes).unwrap();
                let _ = std::fs::remove_file(folder.path().join("blobs/sha256").join(&layer)); // so that it is put there
            };
            Medium { put: Box::new(put), read: Box::new(move |depth| read_cached(&cache, &origin, depth)) }
        };
        flip("the sum of a cache", &bytes, &[Span::new(0..bytes.len(), &[])], &medium);
    });
}
