//! The JSON of a table of contents, line by line.

use super::{Toc, TocChunk, TocEntry, TocKind, clean};
use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result, malformed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// One entry as it stands in the JSON.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::stream) struct Line {
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

pub(super) fn zero(n: &u64) -> bool {
    *n == 0
}

/// Go writes what has no value as null.
fn or_null<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Toc {
    /// What the JSON says. All of the files' bytes stand before `data_end` in the blob.
    pub(crate) fn parse(json: &[u8], data_end: u64) -> Result<Toc> {
        let Document { version, mut entries } = serde_json::from_slice(json)
            .map_err(|e| malformed(format!("the table of contents of the layer makes no sense: {e}")))?;
        if version != 1 {
            let why = format!("the table of contents has version {version}, and 1 is known");
            return Err(Error::new(Code::Unsupported, why));
        }
        entries.set_ends(data_end);
        if let Some((name, why)) = entries.wrong {
            return Err(malformed(format!("the table of contents: {why}")).subject(shown(&name)));
        }
        let entries = entries.all;
        let mut sorted: Vec<u32> = (0..entries.len() as u32).collect(); // fewer than MAX_TOC bytes
        sorted.sort_by(|a, b| entries[*a as usize].path.cmp(&entries[*b as usize].path)); // stable
        Ok(Toc { entries, sorted })
    }
}

#[derive(Deserialize)]
struct Document {
    version: i64,
    #[serde(default, deserialize_with = "or_null")]
    entries: Entries,
}

/// Entries as they are read, line by line: nothing but themselves is kept.
#[derive(Default)]
struct Entries {
    all: Vec<TocEntry>,
    /// Whether the last one is a file whose next piece may come.
    open: bool,
    /// The first entry that makes no sense.
    wrong: Option<(String, &'static str)>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Entries, D::Error> {
        from.deserialize_seq(Entries::default())
    }
}

impl<'de> serde::de::Visitor<'de> for Entries {
    type Value = Entries;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of entries")
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(mut self, mut lines: A) -> Result<Entries, A::Error> {
        while let Some(line) = lines.next_element::<Line>()? {
            if self.wrong.is_some() {
                continue;
            }
            let name = line.name.clone();
            let taken = if line.kind == "chunk" { self.piece(&line) } else { self.entry(line) };
            self.wrong = taken.err().map(|why| (name, why));
        }
        if let Err(why) = self.close()
            && self.wrong.is_none()
        {
            self.wrong = self.all.last().map(|e| (e.path.clone(), why));
        }
        Ok(self)
    }
}

impl Entries {
    fn entry(&mut self, line: Line) -> Result<(), &'static str> {
        self.close()?;
        let kind = TocKind::NAMES.iter().find(|(name, _)| *name == line.kind);
        let kind = kind.map(|(_, kind)| *kind).ok_or("an entry is of a type that there is not")?;
        self.open = kind == TocKind::File && line.size > 0;
        let chunks = if self.open { vec![chunk(&line)?] } else { Vec::new() };
        let xattr = |(key, value): (String, String)| {
            Ok((key, BASE64.decode(value).map_err(|_| "an extended attribute is not base64")?))
        };
        self.all.push(TocEntry {
            // A name that leads upwards stays as it is, and is never found.
            path: clean(&line.name).unwrap_or(line.name),
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
            digest: digest(&line.digest)?,
            chunks,
        });
        Ok(())
    }

    fn piece(&mut self, line: &Line) -> Result<(), &'static str> {
        let Some(file) = self.all.last_mut().filter(|_| self.open) else { return Err("a piece belongs to no file") };
        let piece = chunk(line)?;
        if let Some(last) = file.chunks.last_mut().filter(|last| last.size == 0) {
            last.size = piece.offset.saturating_sub(last.offset); // it said "up to the next one"
        }
        file.chunks.push(piece);
        Ok(())
    }

    /// No more pieces come for the last entry.
    fn close(&mut self) -> Result<(), &'static str> {
        let Some(file) = self.all.last_mut().filter(|_| self.open) else { return Ok(()) };
        self.open = false;
        if let Some(last) = file.chunks.last_mut().filter(|last| last.size == 0) {
            last.size = file.size.saturating_sub(last.offset); // it said "up to the end"
        }
        let mut at = 0_u64;
        for chunk in &file.chunks {
            if chunk.offset != at || chunk.size == 0 {
                return Err("the pieces of a file do not follow each other");
            }
            at = at.checked_add(chunk.size).ok_or("a piece is larger than its file")?;
        }
        if at != file.size {
            return Err("the pieces of a file are not the file");
        }
        match &mut file.chunks[..] {
            // The one piece is the file.
            [only] if only.digest.is_none() && only.range != ZEROS => only.digest = file.digest.clone(),
            _ => {}
        }
        Ok(())
    }

    /// Each piece ends where the next one in the blob begins, or before.
    fn set_ends(&mut self, data_end: u64) {
        let pieces = self.all.iter().flat_map(|e| &e.chunks).filter(|c| c.range != ZEROS);
        let mut starts: Vec<u64> = pieces.map(|c| c.range.start).collect();
        starts.sort_unstable();
        for entry in &mut self.all {
            for chunk in entry.chunks.iter_mut().filter(|c| c.range != ZEROS) {
                let next = starts.get(starts.partition_point(|at| *at <= chunk.range.start));
                let end = next.copied().unwrap_or(data_end).min(data_end);
                // Where the file ends, and not only this piece of it, is what zstd:chunked tells.
                chunk.range.end = if chunk.range.end == 0 { end } else { end.min(chunk.range.end) };
                if chunk.range.is_empty() && self.wrong.is_none() {
                    self.wrong = Some((entry.path.clone(), "a piece lies outside of the layer"));
                }
            }
        }
    }
}

/// The range of a piece that is all zeros; no other begins with the blob.
const ZEROS: Range<u64> = 0..0;

/// The piece that a line tells of; a size and an end of zero are not known yet.
fn chunk(line: &Line) -> Result<TocChunk, &'static str> {
    let (offset, size) = (line.chunk_offset, line.chunk_size);
    if line.chunk_type == "zeros" {
        return Ok(TocChunk { offset, size, digest: None, range: ZEROS, inner: 0 });
    }
    if line.offset == 0 {
        return Err("a piece lies outside of the layer"); // there, a header stands
    }
    let range = line.offset..line.end_offset;
    Ok(TocChunk { offset, size, digest: digest(&line.chunk_digest)?, range, inner: line.inner_offset })
}

fn digest(text: &str) -> Result<Option<Digest>, &'static str> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "a digest is none"),
    }
}
