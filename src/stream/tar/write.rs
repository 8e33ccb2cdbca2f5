//! Entries that were read and are written again, perhaps changed.
//!
//! They come out as ustar headers, with PAX records for what does not fit in there; so a sparse file of PAX stays one.
//! An old GNU sparse file has its map in its header: it keeps that header, and long names stand in front as GNU has it.

use super::BLOCK;
use super::read::{Kind, Sparse, TarEntry};
use bytes::Bytes;

/// Two blocks of zeros end a tar.
pub(crate) const END: &[u8] = &[0; 2 * BLOCK];

/// What fills the last block of so many bytes.
pub(crate) fn filling(size: u64) -> Bytes {
    let over = (size % BLOCK as u64) as usize;
    Bytes::from_static(&END[..(BLOCK - over) % BLOCK])
}

impl TarEntry {
    /// The entry's headers as its fields are now; `stored` bytes of data and their filling follow. What `raw` and
    /// `globals` say plays no part, but for an old sparse file's map.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut name = self.name.clone();
        if self.kind == Kind::Directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        match &self.sparse {
            Some(Sparse::Old(map)) => self.encode_old(&name, map),
            _ => self.encode_pax(&name),
        }
    }

    fn encode_pax(&self, name: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        let mut block = [0; BLOCK];
        block[257..265].copy_from_slice(b"ustar\x0000");
        let mut text = |key: &[u8], value: &[u8], range: std::ops::Range<usize>| {
            let field = &mut block[range];
            let n = value.len().min(field.len());
            field[..n].copy_from_slice(&value[..n]);
            if value.len() > field.len() {
                record(&mut records, key, value);
            }
        };
        text(b"path", name, 0..100);
        text(b"linkpath", &self.link, 157..257);
        text(b"uname", &self.uname, 265..297);
        text(b"gname", &self.gname, 297..329);
        let mut numeric = |key: &[u8], value: u64, range: std::ops::Range<usize>| {
            if !put_number(&mut block[range], value as i64) && !key.is_empty() {
                record(&mut records, key, value.to_string().as_bytes());
            }
        };
        numeric(b"", u64::from(self.mode), 100..108);
        numeric(b"uid", self.uid, 108..116);
        numeric(b"gid", self.gid, 116..124);
        numeric(b"size", self.stored, 124..136);
        numeric(b"", u64::from(self.device.0), 329..337);
        numeric(b"", u64::from(self.device.1), 337..345);
        let mtime = self.mtime;
        if mtime.nanos > 0 || !put_number(&mut block[136..148], mtime.secs) {
            put_number(&mut block[136..148], mtime.secs.max(0));
            record(&mut records, b"mtime", decimal_time(mtime.secs, mtime.nanos).as_bytes());
        }
        block[156] = self.kind.flag();
        for (key, value) in &self.pax {
            record(&mut records, key, value);
        }
        if self.sparse.is_some() && self.pax("GNU.sparse.offset").is_none() {
            record(&mut records, b"GNU.sparse.name", name);
        }
        let mut out = Vec::with_capacity(BLOCK);
        if !records.is_empty() {
            out.extend(extension(b'x', b"PaxHeaders.0/", name, &records));
        }
        finish(&mut block);
        out.extend_from_slice(&block);
        out
    }

    fn encode_old(&self, name: &[u8], map: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut records = Vec::new();
        for (key, value) in &self.pax {
            record(&mut records, key, value);
        }
        if !records.is_empty() {
            out.extend(extension(b'x', b"PaxHeaders.0/", name, &records));
        }
        let mut block = [0; BLOCK];
        let own = self.raw.len() - map.len() - BLOCK; // the header is the last block before the map's
        block[345..].copy_from_slice(&self.raw[own + 345..own + BLOCK]);
        block[257..265].copy_from_slice(b"ustar  \0");
        for (flag, text, range) in [(b'L', name, 0..100), (b'K', &self.link, 157..257)] {
            let field = &mut block[range];
            let n = text.len().min(field.len());
            field[..n].copy_from_slice(&text[..n]);
            if text.len() > field.len() {
                out.extend(extension(flag, b"././@LongLink", b"", &[text, b"\0"].concat()));
            }
        }
        for (text, range) in [(&self.uname, 265..297), (&self.gname, 297..329)] {
            let n = text.len().min(32);
            block[range][..n].copy_from_slice(&text[..n]);
        }
        let numbers = [
            (i64::from(self.mode), 100..108),
            (self.uid as i64, 108..116),
            (self.gid as i64, 116..124),
            (self.stored as i64, 124..136),
            (self.mtime.secs, 136..148),
        ];
        for (value, range) in numbers {
            put_number(&mut block[range], value);
        }
        block[156] = b'S';
        finish(&mut block);
        out.extend_from_slice(&block);
        out.extend_from_slice(map);
        out
    }
}

/// A header that extends the next one, with its data.
fn extension(flag: u8, name: &[u8], of: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    let base = of.strip_suffix(b"/").unwrap_or(of).rsplit(|b| *b == b'/').next().unwrap_or_default();
    let name: Vec<u8> = name.iter().chain(base).copied().filter(u8::is_ascii).take(100).collect();
    block[..name.len()].copy_from_slice(&name);
    for (value, range) in
        [(0o644, 100..108), (0, 108..116), (0, 116..124), (data.len() as i64, 124..136), (0, 136..148)]
    {
        put_number(&mut block[range], value);
    }
    block[156] = flag;
    let magic: &[u8; 8] = if flag == b'x' { b"ustar\x0000" } else { b"ustar  \0" };
    block[257..265].copy_from_slice(magic);
    finish(&mut block);
    [&block[..], data, &filling(data.len() as u64)].concat()
}

/// Sets the time of a header that is complete.
pub(super) fn set_time(block: &mut [u8], seconds: i64) {
    if let Some(block) = block.first_chunk_mut::<BLOCK>() {
        put_number(&mut block[136..148], seconds);
        finish(block);
    }
}

/// Puts the checksum in.
fn finish(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Octal with a NUL behind it, or binary and `false` where that does not hold the number. So readers that don't know
/// the record that goes with it mostly read the same.
fn put_number(field: &mut [u8], value: i64) -> bool {
    let digits = field.len() - 1;
    if value >= 0 && (value as u64) >> (3 * digits) == 0 {
        field.copy_from_slice(format!("{value:0digits$o}\0").as_bytes());
        return true;
    }
    let bytes = i128::from(value).to_be_bytes();
    let bits = 8 * field.len() - 2; // the first two say how, and the sign
    match field.len() >= 9 || (value >> bits) == value >> 63 {
        true => field.copy_from_slice(&bytes[bytes.len() - field.len()..]),
        false => field.fill(0),
    }
    field[0] |= 0x80;
    false
}

fn decimal_time(secs: i64, nanos: u32) -> String {
    let text = match (secs, nanos) {
        (_, 0) => return secs.to_string(),
        (..=-1, _) => format!("-{}.{:09}", (secs + 1).unsigned_abs(), 1_000_000_000 - nanos),
        _ => format!("{secs}.{nanos:09}"),
    };
    text.trim_end_matches('0').to_owned()
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}
