//! Tables of contents: what eStargz and zstd:chunked layers say about their files, and where in the blob it stands.
//!
//! eStargz (stargz-snapshotter, docs/estargz.md) is a gzip whose files have members of their own; a footer of 51 bytes
//! tells where the member with the table begins. zstd:chunked (containers/storage) does the same with zstd frames; there
//! annotations of the descriptor tell where the table stands. The entries are written alike in both.
//!
//! A table comes from a blob whose digest nobody has checked. It is of use only if it has the digest that the layer's
//! descriptor states, and what is read by it only if it has the digests that the table states.

mod json;
mod place;

pub(super) use json::Line;
pub(super) use place::footer;
pub(crate) use place::{FOOTER_LEN, chunked_position, estargz, read_footer, whole};

use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result, malformed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use json::zero;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

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
/// What the annotations of a zstd:chunked layer begin with: today, and as podman and skopeo wrote them until 2023.
pub(crate) const CHUNKED: [&str; 2] = ["io.github.containers.zstd-chunked.", "io.containers.zstd-chunked."];
/// Annotation: the digest of a zstd:chunked layer's compressed table.
const CHUNKED_DIGEST: &str = "manifest-checksum";
/// Annotation: `OFFSET:LENGTH:LENGTH UNCOMPRESSED:1`, where that is.
const CHUNKED_POSITION: &str = "manifest-position";

/// A table that is larger, compressed or not, is not read.
pub(crate) const MAX_TOC: u64 = 50 << 20;
/// Hard links to hard links are followed so far.
pub(crate) const MAX_LINKS: usize = 16;

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
        self.called(&clean(path)?).last().map(|i| &self.entries[*i as usize])
    }
    /// Which entries have this clean path, in the tar's order.
    pub(crate) fn called(&self, path: &str) -> &[u32] {
        let path_of = |i: &u32| self.entries[*i as usize].path.as_str();
        let from = self.sorted.partition_point(|i| path_of(i) < path);
        let len = self.sorted[from..].partition_point(|i| path_of(i) == path);
        &self.sorted[from..from + len]
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

/// What a descriptor's annotations say of a zstd:chunked table: the digest of its compressed bytes, and its position.
pub(crate) fn chunked(annotations: &BTreeMap<String, String>) -> Option<(&str, &str)> {
    CHUNKED.iter().find_map(|start| {
        let said = |end: &str| annotations.get(&format!("{start}{end}")).map(String::as_str);
        Some((said(CHUNKED_DIGEST)?, said(CHUNKED_POSITION)?))
    })
}

/// Whether annotations tell of a table of contents, or of a part of one.
pub(crate) fn tell_of_table(annotations: &BTreeMap<String, String>) -> bool {
    let ends = [CHUNKED_DIGEST, CHUNKED_POSITION];
    let half =
        |key: &String| CHUNKED.iter().any(|start| key.strip_prefix(start).is_some_and(|end| ends.contains(&end)));
    annotations.contains_key(ESTARGZ_DIGEST) || annotations.keys().any(half)
}

/// A path as the table is searched for it; `None` for one that leads upwards.
pub(crate) fn clean(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}
