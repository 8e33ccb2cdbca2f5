//! Tables of contents: what eStargz and zstd:chunked layers say about their files, and where in the blob it stands.
//!
//! eStargz (stargz-snapshotter, docs/estargz.md) is a gzip whose files have members of their own; a footer of 51 bytes
//! tells where the member with the table begins. zstd:chunked (containers/storage) does the same with zstd frames; there
//! annotations of the descriptor tell where the table stands. The entries are written alike in both.
//!
//! A table comes from a blob whose digest nobody has checked. It is of use only if it has the digest that the layer's
//! descriptor states, and what is read by it only if it has the digests that the table states.

use super::{Chunks, Limits, Stats, TarStream, decompressed};
use crate::digest::{Digest, shown};
use crate::engine::Engine;
use crate::error::{Code, Error, Result, malformed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The tar entry that holds an eStargz layer's table.
pub(crate) const TOC_NAME: &str = "stargz.index.json";
/// The file that says that nothing is to be fetched ahead, and the one that ends what is.
pub(crate) const LANDMARKS: [&str; 2] = [".no.prefetch.landmark", ".prefetch.landmark"];
/// All that a landmark contains.
pub(crate) const LANDMARK: &[u8] = &[0xf];

/// Annotation: the digest of an eStargz layer's table.
pub(crate) const ESTARGZ_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Annotation: how large the layer's tar is.
pub(crate) const ESTARGZ_SIZE: &str = "io.containers.estargz.uncompressed-size";
/// Annotation: the digest of a zstd:chunked layer's compressed table.
pub(crate) const CHUNKED_DIGEST: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// Annotation: `OFFSET:LENGTH:LENGTH UNCOMPRESSED:1`, where that is.
pub(crate) const CHUNKED_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";

/// A table that is larger, compressed or not, is not read.
pub(crate) const MAX_TOC: u64 = 50 << 20;
pub(crate) const FOOTER_LEN: usize = 51;
/// What is fetched of a blob's end at once: the footer, and in most layers all of the table.
const TAIL: u64 = 32 << 10;
/// Hard links to hard links are followed so far.
pub(crate) const MAX_LINKS: usize = 16;

/// The member without content that ends an eStargz layer.
pub(crate) fn footer(toc_at: u64) -> [u8; FOOTER_LEN] {
    let mut footer = [0; FOOTER_LEN];
    footer[..10].copy_from_slice(&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255]);
    footer[10..16].copy_from_slice(&[26, 0, b'S', b'G', 22, 0]);
    footer[16..38].copy_from_slice(format!("{toc_at:016x}STARGZ").as_bytes());
    footer[38..43].copy_from_slice(&[1, 0, 0, 0xff, 0xff]); // a last block with nothing in it
    footer
}

/// Where the table begins, if a blob that ends so is eStargz.
pub(crate) fn read_footer(tail: &[u8]) -> Option<u64> {
    let found = tail.last_chunk::<FOOTER_LEN>()?;
    let digits = std::str::from_utf8(&found[16..32]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let toc_at = u64::from_str_radix(digits, 16).ok()?;
    let expected = footer(toc_at);
    // Time, level and system in the header mean nothing, and the digits may be in upper case.
    let same = |range: Range<usize>| found[range.clone()] == expected[range];
    (same(0..4) && same(10..16) && same(32..FOOTER_LEN)).then_some(toc_at)
}

/// A layer's table of contents: every entry of its tar in the tar's order, but for the table itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toc {
    entries: Vec<TocEntry>,
    /// The entries in the order of their names; of one name, as they come in the tar.
    sorted: Vec<u32>,
}

/// One entry of a table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TocEntry {
    /// The path without a leading `/` or `./` and without a `/` at the end; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: TocKind,
    /// A file's size.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// The owner's name, or nothing.
    pub user: String,
    /// The group's name, or nothing.
    pub group: String,
    /// The time of the last change in RFC 3339, or nothing.
    pub mtime: String,
    /// The target of a hard or symbolic link, as it stands in the tar.
    pub link: String,
    /// Major and minor number of a device.
    pub device: (u64, u64),
    /// The extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The digest of a file's content, where the table states one.
    pub digest: Option<Digest>,
    /// The pieces of a file, in order and without gaps; none of an empty one.
    pub chunks: Vec<TocChunk>,
}

/// What an entry of a table of contents is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TocKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// Another name for a file of the same layer.
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// A piece of a file that can be read by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TocChunk {
    /// Where in the file it begins.
    pub offset: u64,
    /// Its size.
    pub size: u64,
    /// The digest of its content; none of a piece that is all zeros, and where the table has none.
    pub digest: Option<Digest>,
    /// Where in the blob its compressed bytes are; empty for a piece that is all zeros.
    pub range: Range<u64>,
    /// What stands before it in those bytes, when they are decompressed.
    pub(crate) inner: u64,
}

impl TocKind {
    const NAMES: [(&'static str, TocKind); 7] = [
        ("dir", TocKind::Directory),
        ("reg", TocKind::File),
        ("symlink", TocKind::Symlink),
        ("hardlink", TocKind::HardLink),
        ("char", TocKind::CharDevice),
        ("block", TocKind::BlockDevice),
        ("fifo", TocKind::Fifo),
    ];
    /// As it stands in the table: `dir`, `reg`, `symlink`, `hardlink`, `char`, `block` or `fifo`.
    pub fn name(self) -> &'static str {
        TocKind::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl Toc {
    /// All entries, in the tar's order.
    pub fn entries(&self) -> &[TocEntry] {
        &self.entries
    }
    /// The entry of this path: the last one, if there are several. Links are not followed.
    pub fn find(&self, path: &str) -> Option<&TocEntry> {
        let path = clean(path)?;
        let after = self.sorted.partition_point(|i| self.entries[*i as usize].path <= path);
        let last = &self.entries[*self.sorted.get(after.checked_sub(1)?)? as usize];
        (last.path == path).then_some(last)
    }
    /// The entries as a JSON list of objects: `path`, `type`, `size`, `mode`, `uid`, `gid`, and where there is something
    /// to say, `user`, `group`, `mtime`, `link`, `devMajor`, `devMinor`, `xattrs` (values in base64), `digest`.
    pub fn to_json(&self) -> String {
        let listed = self.entries.iter().map(|e| Listed {
            path: &e.path,
            kind: e.kind.name(),
            size: e.size,
            mode: e.mode,
            uid: e.uid,
            gid: e.gid,
            user: &e.user,
            group: &e.group,
            mtime: &e.mtime,
            link: &e.link,
            dev_major: e.device.0,
            dev_minor: e.device.1,
            xattrs: e.xattrs.iter().map(|(key, value)| (&**key, BASE64.encode(value))).collect(),
            digest: e.digest.as_ref().map_or("", Digest::as_str),
        });
        let listed: Vec<_> = listed.collect();
        serde_json::to_string(&listed).unwrap_or_default() // texts and numbers: nothing that could not be written
    }
    /// The file of this path; hard links are followed. `NotFound`, also where the name of a hard link leads out of the
    /// layer; `InvalidArgument` where it is no file.
    pub fn find_file(&self, path: &str) -> Result<&TocEntry> {
        let gone = |what: &str| Error::new(Code::NotFound, format!("{what} is not in the layer")).subject(shown(path));
        let mut entry = self.find(path).ok_or_else(|| gone("the file"))?;
        for _ in 0..MAX_LINKS {
            match entry.kind {
                TocKind::File => return Ok(entry),
                TocKind::HardLink => entry = self.find(&entry.link).ok_or_else(|| gone("the target of the link"))?,
                other => {
                    let why = format!("not a file, but '{}'", other.name());
                    return Err(Error::new(Code::InvalidArgument, why).subject(shown(path)));
                }
            }
        }
        Err(malformed("hard links of the table of contents go in circles").subject(shown(path)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    path: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    mode: u32,
    uid: u64,
    gid: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mtime: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link: &'a str,
    #[serde(skip_serializing_if = "zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'a str,
}

/// A path as the table is searched for it; `None` for one that leads upwards.
pub(crate) fn clean(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// One entry as it stands in the JSON.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Line {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "zero")]
    pub size: u64,
    #[serde(rename = "modtime", skip_serializing_if = "String::is_empty", deserialize_with = "or_null")]
    pub mtime: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub link_name: String,
    #[serde(skip_serializing_if = "zero")]
    pub mode: u64,
    #[serde(skip_serializing_if = "zero")]
    pub uid: u64,
    #[serde(skip_serializing_if = "zero")]
    pub gid: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group_name: String,
    #[serde(skip_serializing_if = "zero")]
    pub offset: u64,
    #[serde(skip_serializing_if = "zero")]
    pub inner_offset: u64,
    #[serde(skip_serializing)]
    pub end_offset: u64,
    #[serde(skip_serializing_if = "zero")]
    pub dev_major: u64,
    #[serde(skip_serializing_if = "zero")]
    pub dev_minor: u64,
    /// Values in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_null")]
    pub xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    #[serde(skip_serializing_if = "zero")]
    pub chunk_offset: u64,
    #[serde(skip_serializing_if = "zero")]
    pub chunk_size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chunk_digest: String,
    #[serde(skip_serializing)]
    pub chunk_type: String,
}

fn zero(n: &u64) -> bool {
    *n == 0
}

/// Go writes what has no value as null.
fn or_null<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
struct Document {
    version: i64,
    #[serde(default, deserialize_with = "or_null")]
    entries: Vec<Line>,
}

impl Toc {
    /// What the JSON says. All of the files' bytes stand before `data_end` in the blob.
    pub(crate) fn parse(json: &[u8], data_end: u64) -> Result<Toc> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|e| malformed(format!("the table of contents of the layer makes no sense: {e}")))?;
        if document.version != 1 {
            let why = format!("the table of contents has version {}, and 1 is known", document.version);
            return Err(Error::new(Code::Unsupported, why));
        }
        let ends = ends(&document.entries, data_end);
        let mut entries: Vec<TocEntry> = Vec::new();
        let mut lines = document.entries.into_iter().peekable();
        while let Some(line) = lines.next() {
            let name = line.name.clone();
            let entry = entry(line, &mut lines, &ends, data_end);
            entries
                .push(entry.map_err(|why| malformed(format!("the table of contents: {why}")).subject(shown(&name)))?);
        }
        let mut sorted: Vec<u32> = (0..entries.len() as u32).collect(); // fewer than MAX_TOC bytes
        sorted.sort_by(|a, b| entries[*a as usize].path.cmp(&entries[*b as usize].path)); // stable
        Ok(Toc { entries, sorted })
    }
}

/// Where members begin, and so the ones before them end.
fn ends(lines: &[Line], data_end: u64) -> Vec<u64> {
    let mut ends: Vec<u64> = lines.iter().map(|l| l.offset).filter(|at| *at > 0 && *at < data_end).collect();
    ends.push(data_end);
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// One entry, with the chunks that follow it.
fn entry(
    line: Line,
    more: &mut std::iter::Peekable<std::vec::IntoIter<Line>>,
    ends: &[u64],
    data_end: u64,
) -> Result<TocEntry, &'static str> {
    let kind = TocKind::NAMES.iter().find(|(name, _)| *name == line.kind);
    let kind = kind.map(|(_, kind)| *kind).ok_or("an entry is of a type that there is not")?;
    let mut chunks = Vec::new();
    if kind == TocKind::File && line.size > 0 {
        let mut next = more.next_if(|l| l.kind == "chunk");
        chunks.push(chunk(&line, line.size, next.as_ref(), ends, data_end)?);
        while let Some(this) = next.take() {
            next = more.next_if(|l| l.kind == "chunk");
            chunks.push(chunk(&this, line.size, next.as_ref(), ends, data_end)?);
        }
        let mut at = 0_u64;
        for chunk in &chunks {
            if chunk.offset != at {
                return Err("the pieces of a file do not follow each other");
            }
            at += chunk.size; // no piece ends behind the file
        }
        if at != line.size {
            return Err("the pieces of a file are not the file");
        }
    } else if more.peek().is_some_and(|l| l.kind == "chunk") {
        return Err("a piece belongs to no file");
    }
    let digest = digest(&line.digest)?;
    if let [only] = &mut chunks[..]
        && only.digest.is_none()
        && !only.range.is_empty()
    {
        only.digest = digest.clone();
    }
    let xattr = |(key, value): (String, String)| {
        let value = BASE64.decode(value);
        Ok((key, value.map_err(|_| "an extended attribute is not base64")?))
    };
    // A name that leads upwards stays as it is, and is never found.
    let path = clean(&line.name).unwrap_or(line.name);
    Ok(TocEntry {
        path,
        kind,
        size: line.size,
        mode: (line.mode & 0o7777) as u32,
        uid: line.uid,
        gid: line.gid,
        user: line.user_name,
        group: line.group_name,
        mtime: line.mtime,
        link: line.link_name,
        device: (line.dev_major, line.dev_minor),
        xattrs: line.xattrs.into_iter().map(xattr).collect::<Result<_, &str>>()?,
        digest,
        chunks,
    })
}

/// The piece that a line tells of; `next` is the line of the one after it.
fn chunk(line: &Line, file: u64, next: Option<&Line>, ends: &[u64], data_end: u64) -> Result<TocChunk, &'static str> {
    let offset = line.chunk_offset;
    // Zero says "up to the end", which is where the next one begins.
    let end = match line.chunk_size {
        0 => next.map_or(file, |n| n.chunk_offset),
        size => offset.checked_add(size).ok_or("a piece is larger than its file")?,
    };
    if end > file || end <= offset {
        return Err("a piece lies outside of its file");
    }
    let (size, digest) = (end - offset, digest(&line.chunk_digest)?);
    if line.chunk_type == "zeros" {
        return Ok(TocChunk { offset, size, digest: None, range: 0..0, inner: 0 });
    }
    // Where the file ends, and not only this piece of it, is what zstd:chunked tells.
    let next = ends.get(ends.partition_point(|at| *at <= line.offset)).copied().unwrap_or(data_end);
    let stop = if line.end_offset == 0 { next } else { next.min(line.end_offset) };
    if line.offset >= stop {
        return Err("a piece lies outside of the layer");
    }
    Ok(TocChunk { offset, size, digest, range: line.offset..stop, inner: line.inner_offset })
}

fn digest(text: &str) -> Result<Option<Digest>, &'static str> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "a digest is none"),
    }
}

/// How the ranges of a blob are had.
pub(crate) type Fetch<'a> = dyn Fn(Range<u64>) -> BoxFuture<'a, Result<Chunks>> + Send + Sync + 'a;

/// The JSON of an eStargz blob's table, and where in the blob its member begins; `None` if the blob is no eStargz.
pub(crate) async fn estargz(
    engine: &Arc<Engine>,
    stats: &Arc<Stats>,
    size: u64,
    fetch: &Fetch<'_>,
) -> Result<Option<(Bytes, u64)>> {
    let from = size.saturating_sub(TAIL);
    let tail = whole(fetch(from..size).await?, size - from).await?;
    let Some(toc_at) = read_footer(&tail) else { return Ok(None) };
    let end = size - FOOTER_LEN as u64; // there is a footer
    if toc_at >= end {
        return Err(malformed("the footer of the eStargz layer points behind its end"));
    }
    let packed = match toc_at.checked_sub(from) {
        Some(at) => tail.slice(at as usize..tail.len() - FOOTER_LEN),
        None => {
            check_size(end - toc_at)?;
            whole(fetch(toc_at..end).await?, end - toc_at).await?
        }
    };
    let limits = Limits { max_bytes: MAX_TOC + (1 << 20) };
    let mut tar = TarStream::new(decompressed(engine, Chunks::from_bytes(packed), None, limits, stats));
    let entry = tar.next().await?.ok_or_else(|| malformed("the table of contents is not where the footer points"))?;
    if clean(&String::from_utf8_lossy(&entry.name)).as_deref() != Some(TOC_NAME) {
        return Err(malformed("the table of contents is not where the footer points"));
    }
    check_size(entry.stored)?;
    let mut json = Vec::new();
    while let Some(piece) = tar.data().await? {
        json.extend_from_slice(&piece);
    }
    Ok(Some((json.into(), toc_at)))
}

/// Where a zstd:chunked table stands, and how large it is when decompressed, as its annotation tells.
pub(crate) fn chunked_position(text: &str, size: u64) -> Result<(Range<u64>, u64)> {
    let bad = || malformed("the position of the zstd:chunked table of contents makes no sense").subject(shown(text));
    let numbers: Vec<u64> = text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
    let [at, len, plain, kind] = numbers[..] else { return Err(bad()) };
    let end = at.checked_add(len).filter(|end| *end <= size && len > 0).ok_or_else(bad)?;
    if kind != 1 {
        let why = format!("the zstd:chunked table of contents is of type {kind}, and 1 is known");
        return Err(Error::new(Code::Unsupported, why));
    }
    check_size(len)?;
    check_size(plain)?;
    Ok((at..end, plain))
}

fn check_size(size: u64) -> Result<()> {
    match size > MAX_TOC {
        true => Err(Error::new(Code::LimitExceeded, format!("the table of contents is larger than {MAX_TOC} bytes"))),
        false => Ok(()),
    }
}

/// All of a range, or an error if there is less.
pub(crate) async fn whole(chunks: Chunks, len: u64) -> Result<Bytes> {
    let bytes = chunks.collect(usize::try_from(len).unwrap_or(usize::MAX)).await?;
    match bytes.len() as u64 == len {
        true => Ok(bytes),
        false => Err(Error::new(Code::DigestMismatch, "the layer ends before the size that it should have")),
    }
}
