//! The content of sparse files: what is stored, with the zeros between.

use super::read::{Sparse, TarEntry, TarStream, number};
use crate::error::{Error, Result, malformed};
use bytes::Bytes;
use std::collections::VecDeque;

/// Parts of a sparse file, at most.
const MAX_PARTS: usize = 1 << 16;
/// Zeros are given in pieces of so many.
const ZEROS: &[u8] = &[0; 64 << 10];

/// The present entry's content as a file has it.
pub(crate) struct Content {
    /// Offset and length of what is stored; `None` where all is.
    parts: Option<VecDeque<(u64, u64)>>,
    /// PAX 1.0: the map comes with the data.
    map_first: bool,
    size: u64,
    at: u64,
    rest: Bytes,
}

impl Content {
    /// `entry` is the one whose data come next.
    pub(crate) fn new(entry: &TarEntry) -> Result<Content> {
        let bad = || bad_map(entry);
        let mut parts = None;
        let mut map_first = false;
        match &entry.sparse {
            None => {}
            Some(Sparse::Old(blocks)) => {
                let header = &entry.raw[entry.raw.len() - blocks.len() - 512..];
                let places = [&header[386..482]].into_iter().chain(blocks.chunks(512).map(|block| &block[..504]));
                let mut all = Vec::new();
                for pair in places.flat_map(|place| place.chunks_exact(24)) {
                    if pair[0] == 0 {
                        break;
                    }
                    let read = |field: &[u8]| number(field).and_then(|n| u64::try_from(n).ok());
                    all.push((read(&pair[..12]).ok_or_else(bad)?, read(&pair[12..]).ok_or_else(bad)?));
                }
                parts = Some(checked(all, entry)?);
            }
            Some(Sparse::Pax) => {
                let text = |key: &str| entry.pax(key).and_then(|v| std::str::from_utf8(v).ok());
                let numbers = |text: &str| -> Option<Vec<u64>> { text.split(',').map(|n| n.parse().ok()).collect() };
                if let Some(map) = text("GNU.sparse.map") {
                    let all = numbers(map).filter(|n| n.len().is_multiple_of(2)).ok_or_else(bad)?;
                    parts = Some(checked(all.chunks_exact(2).map(|p| (p[0], p[1])).collect(), entry)?);
                } else if text("GNU.sparse.major") == Some("1") {
                    map_first = true;
                } else {
                    let of = |name: &'static str| {
                        let records = entry.pax.iter().filter(move |(key, _)| key == name);
                        records.map(|(_, v)| std::str::from_utf8(v).ok().and_then(|n| n.parse().ok()).ok_or_else(bad))
                    };
                    let offsets: Vec<u64> = of("GNU.sparse.offset").collect::<Result<_>>()?;
                    let lengths: Vec<u64> = of("GNU.sparse.numbytes").collect::<Result<_>>()?;
                    if offsets.len() != lengths.len() {
                        return Err(bad());
                    }
                    parts = Some(checked(offsets.into_iter().zip(lengths).collect(), entry)?);
                }
            }
        }
        Ok(Content { parts, map_first, size: entry.size, at: 0, rest: Bytes::new() })
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self, entry: &TarEntry, tar: &mut TarStream) -> Result<Option<Bytes>> {
        if std::mem::take(&mut self.map_first) {
            let map = read_map(entry, tar, &mut self.rest).await?;
            self.parts = Some(checked(map, entry)?);
        }
        let Some(parts) = &mut self.parts else { return tar.data().await };
        while parts.front().is_some_and(|(_, len)| *len == 0) {
            parts.pop_front();
        }
        let until = parts.front().map_or(self.size, |(offset, _)| *offset);
        if self.at < until {
            let n = (until - self.at).min(ZEROS.len() as u64);
            self.at += n;
            return Ok(Some(Bytes::from_static(&ZEROS[..n as usize])));
        }
        let Some((offset, len)) = parts.front_mut() else { return Ok(None) };
        if self.rest.is_empty() {
            self.rest = tar.data().await?.ok_or_else(|| bad_map(entry))?;
        }
        let n = usize::try_from(*len).unwrap_or(usize::MAX).min(self.rest.len());
        (*offset, *len, self.at) = (*offset + n as u64, *len - n as u64, self.at + n as u64);
        Ok(Some(self.rest.split_to(n)))
    }
}

fn bad_map(entry: &TarEntry) -> Error {
    malformed("the map of a sparse file makes no sense").subject(entry.shown())
}

/// In order, within the file.
fn checked(parts: Vec<(u64, u64)>, entry: &TarEntry) -> Result<VecDeque<(u64, u64)>> {
    let mut end = 0;
    for (offset, len) in &parts {
        let next = offset.checked_add(*len).filter(|_| *offset >= end);
        end = next.filter(|next| *next <= entry.size).ok_or_else(|| bad_map(entry))?;
    }
    match parts.len() <= MAX_PARTS {
        true => Ok(parts.into()),
        false => Err(bad_map(entry)),
    }
}

/// Lines of decimals: how many parts, then offset and length of each, filled up to a block.
async fn read_map(entry: &TarEntry, tar: &mut TarStream, rest: &mut Bytes) -> Result<Vec<(u64, u64)>> {
    let (mut numbers, mut number, mut read, mut wanted) = (Vec::new(), None::<u64>, 0_usize, usize::MAX);
    while numbers.len() < wanted {
        if rest.is_empty() {
            *rest = tar.data().await?.ok_or_else(|| bad_map(entry))?;
        }
        let byte = rest.split_to(1)[0];
        read += 1;
        match byte {
            b'0'..=b'9' => {
                let more = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0')));
                number = Some(more.ok_or_else(|| bad_map(entry))?);
            }
            b'\n' => {
                let found = number.take().ok_or_else(|| bad_map(entry))?;
                if wanted == usize::MAX {
                    let count = usize::try_from(found).ok().filter(|n| *n <= MAX_PARTS);
                    wanted = 2 * count.ok_or_else(|| bad_map(entry))?;
                } else {
                    numbers.push(found);
                }
            }
            _ => return Err(bad_map(entry)),
        }
    }
    let mut fill = read.next_multiple_of(512) - read;
    while fill > 0 {
        if rest.is_empty() {
            *rest = tar.data().await?.ok_or_else(|| bad_map(entry))?;
        }
        let n = fill.min(rest.len());
        drop(rest.split_to(n));
        fill -= n;
    }
    Ok(numbers.chunks_exact(2).map(|p| (p[0], p[1])).collect())
}
