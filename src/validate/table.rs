//! A table of contents, held against the tar that it is about: entry by entry as the tar passes.

use super::Found;
use crate::digest::{Digest, shown};
use crate::error::{Result, malformed};
use crate::source::Place;
use crate::stream::{
    Hashing, Kind, TOC_NAME, TarContent, TarEntry, TarStream, Toc, TocChunk, TocEntry, TocKind, clean,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is told of one table, at most.
const MOST_TOLD: usize = 100;

/// A table, and which of its entries were seen.
pub(super) struct Table {
    toc: Arc<Toc>,
    /// Whether it stands in the tar itself, as an entry that it does not list.
    inside: bool,
    /// One bit for each entry.
    seen: Vec<u64>,
    /// How often the paths came that the table has several times, by the first entry of each.
    several: HashMap<u32, usize>,
    /// Where in the table the entry before stood.
    last: Option<u32>,
    in_order: bool,
    /// Where the piece of a file before lies in the blob, and in what is decompressed from there.
    place: Option<(u64, u64)>,
    told: usize,
}

impl Table {
    pub(super) fn new(toc: Arc<Toc>, inside: bool) -> Table {
        let seen = vec![0; toc.entries().len().div_ceil(64)];
        Table { toc, inside, seen, several: HashMap::new(), last: None, in_order: true, place: None, told: 0 }
    }

    /// Notes what the table says otherwise than the tar of its next entry. Reads its content, where the table says
    /// something of that.
    pub(super) async fn entry(
        &mut self,
        entry: &TarEntry,
        tar: &mut TarStream,
        place: &Place,
        found: &mut Found,
    ) -> Result<()> {
        let path = as_in_json(&entry.name);
        let path = clean(&path).unwrap_or(path);
        if self.inside && path == TOC_NAME {
            return Ok(());
        }
        let Some(at) = self.take(&path) else {
            self.say(found, &path, "is not in the table of contents");
            return Ok(());
        };
        if self.last.is_some_and(|last| last > at) && std::mem::take(&mut self.in_order) {
            self.say(found, &path, "stands elsewhere in the order of the table of contents");
        }
        self.last = Some(at);
        let toc = self.toc.clone();
        let said = &toc.entries()[at as usize];
        let mut differs = differences(said, entry);
        differs.extend(self.misplaced(said));
        differs.iter().for_each(|what| self.say(found, &path, what));
        if differs.is_empty() && said.kind == TocKind::File {
            let differs = content(said, entry, tar, place).await?;
            differs.iter().for_each(|what| self.say(found, &path, what));
        }
        Ok(())
    }

    /// What is wrong with the places of a file's pieces: they follow each other as the pieces do.
    fn misplaced(&mut self, said: &TocEntry) -> Option<String> {
        for piece in said.chunks.iter().filter(|piece| !piece.range.is_empty()) {
            let place = (piece.range.start, piece.inner);
            if self.place.is_some_and(|before| before >= place) {
                return Some(format!("has a piece at byte {} of the blob, before that of an earlier one", place.0));
            }
            self.place = Some(place);
        }
        None
    }

    /// Notes what only the table has.
    pub(super) fn end(mut self, found: &mut Found) {
        let toc = self.toc.clone();
        for (at, entry) in toc.entries().iter().enumerate() {
            if self.seen[at / 64] & (1 << (at % 64)) == 0 {
                self.say(found, &entry.path, "is in the table of contents, and not in the layer");
            }
        }
    }

    /// The entry of this path whose turn it is: of several, they come in their order.
    fn take(&mut self, path: &str) -> Option<u32> {
        let at = match self.toc.called(path) {
            [] => return None,
            [only] => Some(*only).filter(|at| self.seen[*at as usize / 64] & (1 << (at % 64)) == 0),
            all => {
                let count = self.several.entry(all[0]).or_default();
                *count += 1;
                all.get(*count - 1).copied()
            }
        }?;
        self.seen[at as usize / 64] |= 1 << (at % 64);
        Some(at)
    }

    fn say(&mut self, found: &mut Found, path: &str, what: &str) {
        self.told += 1;
        let name = if path.is_empty() { "/".to_owned() } else { shown(path) };
        match self.told {
            ..=MOST_TOLD => found.push(malformed(format!("{name} {what}"))),
            n if n == MOST_TOLD + 1 => found.push(malformed("more is wrong with the table of contents")),
            _ => {}
        }
    }
}

/// What a table says otherwise of an entry, but for its content. Times are left out, of which tables know less, and
/// names of owners, which some tables have only where they change.
fn differences(said: &TocEntry, is: &TarEntry) -> Vec<String> {
    let kind = kind_of(is.kind);
    if Some(said.kind) != kind {
        let is = kind.map_or("of no kind that there is", TocKind::name);
        return vec![format!("is '{}' in the table of contents, and in the layer {is}", said.kind.name())];
    }
    let mut all = Vec::new();
    let mut hold = |what: &str, same: bool, said: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
        if !same {
            all.push(format!("has {what} {said} in the table of contents, and in the layer {is}"));
        }
    };
    if said.kind == TocKind::File {
        hold("the size", said.size == is.size, &said.size, &is.size);
    }
    if matches!(said.kind, TocKind::HardLink | TocKind::Symlink) {
        let link = as_in_json(&is.link);
        let same = said.link == link || said.kind == TocKind::HardLink && clean(&said.link) == clean(&link);
        hold("the target", same, &shown(&said.link), &shown(&link));
    }
    if matches!(said.kind, TocKind::CharDevice | TocKind::BlockDevice) {
        let ((major, minor), device) = (said.device, (u64::from(is.device.0), u64::from(is.device.1)));
        let text = |(major, minor): (u64, u64)| format!("{major}:{minor}");
        hold("the device", said.device == device, &text((major, minor)), &text(device));
    }
    let mode = is.mode & 0o7777;
    hold("the mode", said.mode == mode, &format!("{:o}", said.mode), &format!("{mode:o}"));
    let owner = |uid: u64, gid: u64| format!("{uid}:{gid}");
    let same = (said.uid, said.gid) == (is.uid, is.gid);
    hold("the owner", same, &owner(said.uid, said.gid), &owner(is.uid, is.gid));
    let xattrs: BTreeMap<String, &[u8]> = is.xattrs().map(|(key, value)| (as_in_json(key), value)).collect();
    let same = said.xattrs.len() == xattrs.len()
        && said.xattrs.iter().all(|(key, value)| xattrs.get(key).is_some_and(|is| *is == &value[..]));
    let names = |keys: Vec<&String>| keys.into_iter().map(|key| shown(key)).collect::<Vec<_>>().join(", ");
    hold("other extended attributes:", same, &names(said.xattrs.keys().collect()), &names(xattrs.keys().collect()));
    all
}

/// What a table says otherwise of a file's content, which has the size that it says.
async fn content(said: &TocEntry, entry: &TarEntry, tar: &mut TarStream, place: &Place) -> Result<Vec<String>> {
    let by_chunk = matches!(&said.chunks[..], [only] if only.digest.is_some() && only.digest == said.digest);
    let mut whole = said.digest.as_ref().filter(|_| !by_chunk).map(|digest| (digest, hashing(place, digest)));
    let (mut chunks, mut now, mut wrong) = (said.chunks.iter(), None::<Piece>, Vec::new());
    if said.digest.is_none() && said.chunks.iter().all(|c| c.digest.is_none() && !c.range.is_empty()) {
        return Ok(wrong); // nothing is said
    }
    let mut read = TarContent::new(entry)?;
    while let Some(mut bytes) = read.next(entry, tar).await? {
        if let Some((_, hashing)) = &mut whole {
            hashing.push(bytes.clone()).await?;
        }
        while !bytes.is_empty() {
            let piece = match &mut now {
                Some(piece) => piece,
                none => match chunks.next() {
                    Some(chunk) => none.insert(Piece::of(chunk, place)),
                    None => break, // the pieces are the file
                },
            };
            let n = usize::try_from(piece.left).unwrap_or(usize::MAX).min(bytes.len());
            piece.take(bytes.split_to(n)).await?;
            if piece.left == 0
                && let Some(done) = now.take()
            {
                wrong.extend(done.end().await?);
            }
        }
    }
    if let Some((digest, hashing)) = whole {
        let actual = hashing.finish().await?;
        if actual != *digest {
            wrong.push(format!("has the digest {digest} in the table of contents, and in the layer {actual}"));
        }
    }
    Ok(wrong)
}

/// A piece of a file on its way.
struct Piece<'a> {
    chunk: &'a TocChunk,
    left: u64,
    hashing: Option<Hashing>,
    /// Whether nothing but zeros came.
    zeros: bool,
}

impl Piece<'_> {
    fn of<'a>(chunk: &'a TocChunk, place: &Place) -> Piece<'a> {
        let hashing = chunk.digest.as_ref().map(|digest| hashing(place, digest));
        Piece { chunk, left: chunk.size, hashing, zeros: true }
    }

    async fn take(&mut self, bytes: Bytes) -> Result<()> {
        self.left -= bytes.len() as u64;
        if self.chunk.range.is_empty() {
            self.zeros &= bytes.iter().all(|b| *b == 0);
        }
        match &mut self.hashing {
            Some(hashing) => hashing.push(bytes).await,
            None => Ok(()),
        }
    }

    /// What was said otherwise of it.
    async fn end(self) -> Result<Option<String>> {
        let at = self.chunk.offset;
        if !self.zeros {
            return Ok(Some(format!("has zeros at byte {at} in the table of contents, and others in the layer")));
        }
        let (Some(hashing), Some(said)) = (self.hashing, &self.chunk.digest) else { return Ok(None) };
        let actual = hashing.finish().await?;
        let why = || format!("has the digest {said} at byte {at} in the table of contents, and in the layer {actual}");
        Ok((actual != *said).then(why))
    }
}

fn hashing(place: &Place, digest: &Digest) -> Hashing {
    Hashing::new(&place.engine, &place.stats, digest.algorithm().hasher())
}

fn kind_of(kind: Kind) -> Option<TocKind> {
    Some(match kind {
        Kind::File => TocKind::File,
        Kind::HardLink => TocKind::HardLink,
        Kind::Symlink => TocKind::Symlink,
        Kind::CharDevice => TocKind::CharDevice,
        Kind::BlockDevice => TocKind::BlockDevice,
        Kind::Directory => TocKind::Directory,
        Kind::Fifo => TocKind::Fifo,
        Kind::Other(_) => return None,
    })
}

/// A text as Go writes it into JSON: what is no UTF-8 becomes U+FFFD, byte by byte.
fn as_in_json(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        text.push_str(part.valid());
        text.extend(part.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}
