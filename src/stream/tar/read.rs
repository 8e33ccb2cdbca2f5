//! Tars that are read as they stream by: entry after entry, nothing held but one entry's headers.
//!
//! Where readers of tars differ, Go's decides, since the container engines are written in it: a PAX size beats the
//! header's (and nothing is ever read between the two), links, devices and directories have no data, a global header
//! applies to nothing. What would be read in two ways by GNU tar and Go, and what is broken, is `Malformed` and names
//! the entry.

use super::BLOCK;
use super::header::checksum_is_good;
use crate::digest::shown;
use crate::error::{Code, Error, Result, malformed};
use crate::stream::Chunks;
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};

/// A PAX header or GNU long name that is larger is refused.
pub(crate) const MAX_EXTENDED: u64 = 1 << 20;
/// All headers of one entry, at most.
const MAX_HEADERS: usize = 4 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
    /// A type that no file system has a file for.
    Other(u8),
}

impl Kind {
    /// What a header's type field means.
    pub(crate) fn of(flag: u8) -> Kind {
        match flag {
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => Kind::Other(other),
        }
    }
    /// The type field of its headers.
    pub(crate) fn flag(self) -> u8 {
        match self {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::CharDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::Other(flag) => flag,
        }
    }
}

/// The forms in which tars leave out the zeros of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sparse {
    /// Old GNU: the map is in the header and in blocks that follow it, which are these.
    Old(Bytes),
    /// PAX 0.0, 0.1 (the map is in the records) and 1.0 (it begins the data).
    Pax,
}

/// Seconds since 1970 and the part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp {
    pub secs: i64,
    pub nanos: u32,
}

/// One entry as its headers tell it. [`TarEntry::encode`] writes it anew, after changes too.
#[derive(Clone, Debug)]
pub(crate) struct TarEntry {
    pub kind: Kind,
    pub name: Vec<u8>,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub uname: Vec<u8>,
    pub gname: Vec<u8>,
    pub mtime: Timestamp,
    /// Major and minor.
    pub device: (u32, u32),
    /// The file's size; of a sparse one that with its holes.
    pub size: u64,
    /// The bytes that follow in the tar.
    pub stored: u64,
    pub sparse: Option<Sparse>,
    /// PAX records that no other field tells: extended attributes, times, whatever there is; in the tar's order.
    pub pax: Vec<(Bytes, Bytes)>,
    /// The headers as they stand in the tar, those of long names and PAX first.
    pub raw: Bytes,
    /// Global PAX headers that stand before them; they apply to nothing.
    pub globals: Bytes,
}

/// PAX records whose names begin so hold extended attributes.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

impl TarEntry {
    /// A directory of root's, mode 755, time 0: as if it had been made on the way to what is in it.
    pub(crate) fn directory(name: &[u8]) -> TarEntry {
        TarEntry::new(Kind::Directory, name, 0o755, Timestamp::default())
    }
    /// A root's entry without data.
    pub(crate) fn new(kind: Kind, name: &[u8], mode: u32, mtime: Timestamp) -> TarEntry {
        TarEntry {
            kind,
            name: name.to_vec(),
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            uname: Vec::new(),
            gname: Vec::new(),
            mtime,
            device: (0, 0),
            size: 0,
            stored: 0,
            sparse: None,
            pax: Vec::new(),
            raw: Bytes::new(),
            globals: Bytes::new(),
        }
    }
    /// Names and values of the extended attributes.
    pub(crate) fn xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pax.iter().filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?, &value[..])))
    }
    pub(crate) fn pax(&self, key: &str) -> Option<&[u8]> {
        self.pax.iter().find(|(k, _)| k == key.as_bytes()).map(|(_, v)| &v[..])
    }
    /// The name for people.
    pub(crate) fn shown(&self) -> String {
        shown(&String::from_utf8_lossy(&self.name))
    }
}

/// Reads a tar that streams by.
pub(crate) struct TarStream {
    chunks: Chunks,
    rest: Bytes,
    /// Bytes that were taken so far.
    at: u64,
    /// Of the present entry's data, and of what fills its last block.
    left: u64,
    padding: usize,
    /// The present entry, for errors.
    name: String,
    ended: bool,
}

impl TarStream {
    pub(crate) fn new(chunks: Chunks) -> TarStream {
        TarStream { chunks, rest: Bytes::new(), at: 0, left: 0, padding: 0, name: String::new(), ended: false }
    }

    /// The next entry; what was not taken of the data before is skipped. `None` comes after the last byte of the whole
    /// stream, which is verified then if it is a verified one.
    pub(crate) async fn next(&mut self) -> Result<Option<TarEntry>> {
        let entry = self.entry().await.map_err(|e| self.named(e))?;
        if let Some(entry) = &entry {
            self.name = entry.shown();
        }
        Ok(entry)
    }

    /// The next piece of the present entry's data as it is stored; `None` at its end.
    pub(crate) async fn data(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        if !self.fill().await? {
            return Err(self.named(malformed("the tar ends within an entry's data")));
        }
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.rest.len());
        self.left -= n as u64;
        Ok(Some(self.take(n)))
    }

    /// Where in the tar the next byte stands that will be read.
    #[cfg(test)]
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    fn named(&self, e: Error) -> Error {
        match e.code() {
            // Other failures are the stream's own, and say what they concern.
            Code::Malformed | Code::LimitExceeded if !self.name.is_empty() => e.or_subject(&self.name),
            _ => e,
        }
    }

    async fn entry(&mut self) -> Result<Option<TarEntry>> {
        while self.data().await?.is_some() {}
        let padding = std::mem::take(&mut self.padding);
        self.up_to(padding).await?; // may be missing at the end
        let mut headers = Headers::default();
        loop {
            let Some(block) = self.header_block(headers.is_empty()).await? else { return Ok(None) };
            headers.hold(&block)?;
            match block[156] {
                b'g' if headers.pending => {
                    return Err(malformed("a global PAX header stands between a header and its extension"));
                }
                b'g' => {
                    let text = self.extension(&block, &mut headers).await?;
                    global(&records(&text)?)?;
                    headers.globals.extend_from_slice(&headers.raw.split());
                }
                b'x' => {
                    headers.pax = records(&self.extension(&block, &mut headers).await?)?;
                    headers.pending = true;
                }
                b'L' => {
                    headers.long_name = Some(self.extension(&block, &mut headers).await?);
                    headers.pending = true;
                }
                b'K' => {
                    headers.long_link = Some(self.extension(&block, &mut headers).await?);
                    headers.pending = true;
                }
                _ => {
                    let mut entry = headers.entry(&block)?;
                    self.name = entry.shown();
                    if let Some(Sparse::Old(blocks)) = &mut entry.sparse {
                        *blocks = self.sparse_blocks(&block, &mut headers).await?;
                    }
                    entry.raw = headers.raw.freeze();
                    entry.globals = headers.globals.freeze();
                    self.left = entry.stored;
                    self.padding = pad(entry.stored);
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The next header, `None` at the end, which only comes between entries.
    async fn header_block(&mut self, may_end: bool) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let block = self.up_to(BLOCK).await?;
        let zeros = block.len() == BLOCK && block.iter().all(|b| *b == 0);
        if !block.is_empty() && !zeros {
            if block.len() < BLOCK {
                return Err(malformed("the tar ends within a header"));
            }
            return match checksum_is_good(&block) {
                true => Ok(Some(block)),
                false => Err(malformed(format!("no tar header at byte {}", self.at - BLOCK as u64)).subject(
                    match self.name.is_empty() {
                        true => "the tar".to_owned(),
                        false => format!("after {}", self.name),
                    },
                )),
            };
        }
        if !may_end {
            return Err(malformed("the tar ends between an extended header and its entry"));
        }
        if zeros {
            let second = self.up_to(BLOCK).await?;
            if second.iter().any(|b| *b != 0) {
                return Err(malformed("a single block of zeros within the tar"));
            }
        }
        // Whatever follows the end belongs to the blob and to its digest.
        self.at += self.rest.len() as u64;
        self.rest = Bytes::new();
        while let Some(chunk) = self.chunks.next().await? {
            self.at += chunk.len() as u64;
        }
        self.ended = true;
        Ok(None)
    }

    /// The data of a header that extends another.
    async fn extension(&mut self, block: &Bytes, headers: &mut Headers) -> Result<Bytes> {
        let size = size_of(block)?;
        if size > MAX_EXTENDED {
            let why = format!("an extended header of the tar is larger than {MAX_EXTENDED} bytes");
            return Err(Error::new(Code::LimitExceeded, why));
        }
        let len = size as usize;
        let data = self.up_to(len + pad(size)).await?;
        if data.len() < len {
            return Err(malformed("the tar ends within an extended header"));
        }
        headers.hold(&data)?;
        Ok(data.slice(..len))
    }

    async fn sparse_blocks(&mut self, block: &Bytes, headers: &mut Headers) -> Result<Bytes> {
        let mut all = BytesMut::new();
        let mut more = block[482] != 0;
        while more {
            let next = self.up_to(BLOCK).await?;
            if next.len() < BLOCK {
                return Err(malformed("the tar ends within the map of a sparse file"));
            }
            headers.hold(&next)?;
            all.extend_from_slice(&next);
            more = next[504] != 0;
        }
        Ok(all.freeze())
    }

    /// The next `len` bytes, or those that are left.
    async fn up_to(&mut self, len: usize) -> Result<Bytes> {
        if self.rest.len() >= len {
            return Ok(self.take(len));
        }
        let mut all = BytesMut::new();
        while all.len() < len && self.fill().await? {
            let part = self.take((len - all.len()).min(self.rest.len()));
            all.extend_from_slice(&part);
        }
        Ok(all.freeze())
    }

    fn take(&mut self, n: usize) -> Bytes {
        self.at += n as u64;
        self.rest.split_to(n)
    }

    /// Whether there are bytes, after fetching some if need be.
    async fn fill(&mut self) -> Result<bool> {
        while self.rest.is_empty() {
            match self.chunks.next().await? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

type Records = Vec<(Bytes, Bytes)>;

/// The headers of one entry as they come.
#[derive(Default)]
struct Headers {
    raw: BytesMut,
    globals: BytesMut,
    pax: Records,
    long_name: Option<Bytes>,
    long_link: Option<Bytes>,
    /// An extension waits for its entry.
    pending: bool,
}

impl Headers {
    fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<()> {
        if self.raw.len() + self.globals.len() + bytes.len() > MAX_HEADERS {
            let why = format!("an entry of the tar has more than {MAX_HEADERS} bytes of headers");
            return Err(Error::new(Code::LimitExceeded, why));
        }
        self.raw.extend_from_slice(bytes);
        Ok(())
    }

    fn entry(&mut self, block: &Bytes) -> Result<TarEntry> {
        let mut entry = plain(block)?;
        let size = size_of(block);
        // The header's size counts only where no record tells another.
        let mut size = match self.pax.iter().any(|(key, _)| key == "size") {
            true => size.unwrap_or_default(),
            false => size.map_err(|e| e.or_subject(entry.shown()))?,
        };
        let mut sparse_name = None;
        let mut real_size = None;
        for (key, value) in std::mem::take(&mut self.pax) {
            let text = || std::str::from_utf8(&value).map_err(|_| bad_record(&key));
            match &key[..] {
                b"path" => entry.name = value.to_vec(),
                b"linkpath" => entry.link = value.to_vec(),
                b"uname" => entry.uname = value.to_vec(),
                b"gname" => entry.gname = value.to_vec(),
                b"uid" => entry.uid = decimal(&key, text()?)?,
                b"gid" => entry.gid = decimal(&key, text()?)?,
                b"size" => size = decimal(&key, text()?)?,
                b"mtime" => entry.mtime = time(text()?).ok_or_else(|| bad_record(&key))?,
                b"GNU.sparse.name" => sparse_name = Some(value),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                    real_size = Some(decimal(&key, text()?)?);
                    entry.pax.push((key, value));
                }
                _ => entry.pax.push((key, value)),
            }
        }
        for (long, name) in [(self.long_name.take(), &mut entry.name), (self.long_link.take(), &mut entry.link)] {
            let Some(long) = long else { continue };
            let long = until_nul(&long);
            let extended = name.len() > 100; // it came from a record; the field's text is the beginning of the long one
            if long.is_empty() || (extended && name != long) {
                return Err(malformed("two extended headers tell different names").subject(entry_shown(name)));
            }
            *name = long.to_vec();
        }
        let flag = block[156];
        if flag == 0 && entry.name.ends_with(b"/") {
            entry.kind = Kind::Directory; // as before 1988
        }
        entry.stored = match entry.kind {
            Kind::File | Kind::Other(_) => size,
            _ => 0,
        };
        entry.size = entry.stored;
        if flag == b'S' {
            entry.size = number(&block[483..495])
                .and_then(|n| u64::try_from(n).ok())
                .ok_or_else(|| malformed("the size of a sparse file is no number").subject(entry.shown()))?;
            entry.sparse = Some(Sparse::Old(Bytes::new()));
        } else if let (Some(real), Kind::File) = (real_size, entry.kind) {
            entry.size = real;
            entry.sparse = Some(Sparse::Pax);
            entry.name = sparse_name.map_or(entry.name, |name| name.to_vec());
        }
        if entry.name.is_empty() {
            return Err(malformed("an entry of the tar has no name"));
        }
        Ok(entry)
    }
}

fn entry_shown(name: &[u8]) -> String {
    shown(&String::from_utf8_lossy(name))
}

/// What the header's own fields say, but for the size.
fn plain(block: &[u8]) -> Result<TarEntry> {
    let ustar = &block[257..263] == b"ustar\0";
    let star = ustar && &block[508..512] == b"tar\0";
    let gnu = &block[257..265] == b"ustar  \0";
    let mut name = until_nul(&block[..100]).to_vec();
    // Go before 1.8 put the start of long names here under GNU's magic, where others have times.
    let misplaced = || {
        let times = [&block[345..357], &block[357..369]];
        times.iter().any(|t| t[0] != 0 && number(t).is_none()) && until_nul(&block[345..500]).is_ascii()
    };
    let prefix = match () {
        () if star => until_nul(&block[345..476]),
        () if ustar || (gnu && misplaced()) => until_nul(&block[345..500]),
        () => &[],
    };
    if !prefix.is_empty() {
        name = [prefix, b"/", &name].concat();
    }
    let shown = entry_shown(&name);
    let field = |what: &str, bytes: &[u8]| {
        number(bytes).ok_or_else(|| malformed(format!("the {what} in a tar header is no number")).subject(&shown))
    };
    let unsigned = |what: &str, bytes: &[u8]| {
        let n = field(what, bytes)?;
        u64::try_from(n).map_err(|_| malformed(format!("the {what} in a tar header is negative")).subject(&shown))
    };
    let kind = Kind::of(block[156]);
    let device = match kind {
        Kind::CharDevice | Kind::BlockDevice if ustar || gnu => {
            let narrow = |n: u64| u32::try_from(n).map_err(|_| malformed("a device number is too large"));
            (narrow(unsigned("device", &block[329..337])?)?, narrow(unsigned("device", &block[337..345])?)?)
        }
        _ => (0, 0),
    };
    let names = |range: std::ops::Range<usize>| match ustar || gnu {
        true => until_nul(&block[range]).to_vec(),
        false => Vec::new(),
    };
    Ok(TarEntry {
        kind,
        link: until_nul(&block[157..257]).to_vec(),
        mode: (field("mode", &block[100..108])? & 0o7777) as u32, // some write the type there as well
        uid: unsigned("owner", &block[108..116])?,
        gid: unsigned("group", &block[116..124])?,
        uname: names(265..297),
        gname: names(297..329),
        mtime: Timestamp { secs: field("time", &block[136..148])?, nanos: 0 },
        device,
        ..TarEntry::directory(&name)
    })
}

fn size_of(block: &[u8]) -> Result<u64> {
    let size = number(&block[124..136]).and_then(|n| u64::try_from(n).ok());
    size.ok_or_else(|| malformed("the size in a tar header is no number"))
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|b| *b == 0).unwrap_or(field.len())]
}

fn pad(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    (BLOCK - over) % BLOCK
}

/// A number of a header: octal digits, or big-endian binary where the first bit is set. Nothing is zero.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (first, more) = field.split_first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let start = if negative { -1 } else { 0 };
        let head = i64::from(if negative { (first | 0x80) as i8 } else { (first & 0x3f) as i8 });
        debug_assert!(head >> 7 == start);
        return more.iter().try_fold(head, |n, b| n.checked_mul(256)?.checked_add(i64::from(*b)));
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let from = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let to = field.iter().rposition(|b| !blank(b)).map_or(from, |at| at + 1);
    // Everything behind a NUL is rubbish that some old writers left.
    until_nul(&field[from..to]).iter().try_fold(0_i64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

fn bad_record(key: &[u8]) -> Error {
    malformed(format!("the PAX record {} makes no sense", shown(&String::from_utf8_lossy(key))))
}

fn decimal(key: &[u8], text: &str) -> Result<u64> {
    let n = text.parse::<i64>().ok().and_then(|n| u64::try_from(n).ok());
    n.filter(|_| !text.starts_with('+')).ok_or_else(|| bad_record(key))
}

/// `[-]SECONDS[.FRACTION]`.
fn time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole.strip_prefix('-').unwrap_or(whole)) || !digits(fraction) {
        return None;
    }
    let secs: i64 = whole.parse().ok()?;
    let nanos: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    match (whole.starts_with('-'), nanos) {
        (true, 1..) => Some(Timestamp { secs: secs.checked_sub(1)?, nanos: 1_000_000_000 - nanos }),
        _ => Some(Timestamp { secs, nanos }),
    }
}

/// The records of a PAX header: `LENGTH KEY=VALUE\n` each. An empty value takes the key away.
fn records(text: &Bytes) -> Result<Records> {
    let bad = || malformed("a PAX header is broken");
    let (mut all, mut known) = (Vec::new(), HashMap::new());
    let mut rest = text.clone();
    while !rest.is_empty() {
        let space = rest.iter().take(8).position(|b| *b == b' ').ok_or_else(bad)?;
        let digits = std::str::from_utf8(&rest[..space]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let len: usize = digits.and_then(|d| d.parse().ok()).ok_or_else(bad)?;
        if len > rest.len() || len < space + 4 {
            return Err(bad());
        }
        let record = rest.split_to(len);
        let body = record.slice(space + 1..len - 1);
        let equals = body.iter().position(|b| *b == b'=').filter(|at| *at > 0).ok_or_else(bad)?;
        if record[len - 1] != b'\n' {
            return Err(bad());
        }
        let (key, value) = (body.slice(..equals), body.slice(equals + 1..));
        let text_value = matches!(&key[..], b"path" | b"linkpath" | b"uname" | b"gname" | b"GNU.sparse.name");
        if key.contains(&0) || (text_value && value.contains(&0)) {
            return Err(bad());
        }
        let slot = Some((key.clone(), value));
        match known.entry(key) {
            // These two come in pairs and stay in their order.
            Occupied(entry) if matches!(&entry.key()[..], b"GNU.sparse.offset" | b"GNU.sparse.numbytes") => {
                all.push(slot);
            }
            Occupied(mut entry) => {
                all[*entry.get()] = None;
                entry.insert(all.len());
                all.push(slot);
            }
            Vacant(entry) => {
                entry.insert(all.len());
                all.push(slot);
            }
        }
    }
    let kept = |(key, value): &(Bytes, Bytes)| !value.is_empty() || key.starts_with(XATTR);
    Ok(all.into_iter().flatten().filter(kept).collect())
}

/// Go leaves global headers to its caller, who ignores them; GNU tar applies them. What says other names or sizes would
/// then be two different tars.
fn global(records: &Records) -> Result<()> {
    let structure = |key: &[u8]| matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.");
    match records.iter().find(|(key, _)| structure(key)) {
        Some((key, _)) => {
            let key = String::from_utf8_lossy(key);
            Err(malformed(format!("a global PAX header sets {key} for every entry")))
        }
        None => Ok(()),
    }
}
