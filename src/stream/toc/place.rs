//! Where in a blob the table of contents stands, and how it is taken out.

use super::{MAX_TOC, TOC_NAME, clean};
use crate::digest::shown;
use crate::engine::Engine;
use crate::error::{Code, Error, Result, malformed};
use crate::stream::{Chunks, Limits, Stats, TarStream, decompressed};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::ops::Range;
use std::sync::Arc;

pub(crate) const FOOTER_LEN: usize = 51;
/// What is fetched of a blob's end at once: the footer, and in most layers all of the table.
const TAIL: u64 = 32 << 10;

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
    let mut json = Vec::with_capacity(entry.stored as usize);
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
