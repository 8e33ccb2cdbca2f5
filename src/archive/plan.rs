//! What will be in a new archive: names, sizes, and where the bytes come from. And those bytes.

use crate::context::{Context, Event};
use crate::error::{Code, Error, Result};
use crate::layer::Layer;
use crate::oci::Descriptor;
use crate::source::{Place, Source};
use crate::stream::{BlobOut, Chunks, Kind, Spool, TarEntry, Timestamp, verified};
use bytes::Bytes;
use std::sync::Arc;

const BLOCK: u64 = 512;
/// Two blocks of zeros end a tar.
const END: u64 = 2 * BLOCK;
/// The largest size that the field in a header can state.
const MAX_OCTAL: u64 = 0o777_7777_7777;
/// The longest name that the field in a header can hold.
const MAX_NAME: usize = 100;
/// An event is told when so many bytes of an entry have gone since the last.
const EVENT_EVERY: u64 = 4 << 20;

/// The entries of a new archive, in their order.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) entries: Vec<Entry>,
    /// The blobs were counted while the plan was made.
    pub(super) counted: bool,
}

/// A file of the archive.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) content: Content,
}

pub(super) enum Content {
    Bytes(Bytes),
    Blob(Box<Descriptor>, Arc<dyn Source>),
    /// A layer's tar, whose size nobody knows before it was decompressed.
    Plain(Layer),
}

impl Plan {
    pub(super) fn bytes(&mut self, name: impl Into<String>, bytes: impl Into<Bytes>) {
        self.entries.push(Entry { name: name.into(), content: Content::Bytes(bytes.into()) });
    }
    pub(super) fn blob(&mut self, name: impl Into<String>, blob: &Descriptor, source: &Arc<dyn Source>) {
        self.entries.push(Entry { name: name.into(), content: Content::Blob(Box::new(blob.clone()), source.clone()) });
    }
    pub(super) fn plain(&mut self, name: impl Into<String>, layer: &Layer) {
        self.entries.push(Entry { name: name.into(), content: Content::Plain(layer.clone()) });
    }

    /// Where each entry begins, and the size of it all; `None` where that will only be known at the end.
    pub(super) fn layout(&self) -> Option<(Vec<u64>, u64)> {
        let (mut offsets, mut at) = (Vec::with_capacity(self.entries.len()), 0u64);
        for entry in &self.entries {
            offsets.push(at);
            let size = entry.size()?;
            at = at
                .checked_add(header(&entry.name, size).len() as u64)?
                .checked_add(size.checked_next_multiple_of(BLOCK)?)?;
        }
        Some((offsets, at.checked_add(END)?))
    }

    /// All of it, in order.
    pub(super) async fn write(&self, place: &Place, out: &mut dyn BlobOut, ctx: &Context) -> Result<()> {
        self.announce(ctx);
        for entry in &self.entries {
            entry.write(place, out, ctx).await?;
        }
        out.write(Plan::end()).await
    }

    /// The end of the archive.
    pub(super) fn end() -> Bytes {
        Bytes::from_static(&[0; END as usize])
    }

    pub(super) fn announce(&self, ctx: &Context) {
        let new = |entry: &&Entry| !self.counted || matches!(entry.content, Content::Bytes(_));
        ctx.expect_bytes(self.entries.iter().filter(new).filter_map(Entry::size).sum());
    }
}

impl Entry {
    fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Blob(blob, _) => Some(blob.size),
            Content::Plain(_) => None,
        }
    }

    /// The header, the content, which is checked, and what fills its last block.
    pub(super) async fn write(&self, place: &Place, out: &mut dyn BlobOut, ctx: &Context) -> Result<()> {
        let (size, chunks) = match &self.content {
            Content::Bytes(bytes) => (bytes.len() as u64, Chunks::from_bytes(bytes.clone())),
            Content::Blob(blob, source) => {
                let raw = source.open(ctx, blob, 0).await.map_err(|e| e.or_subject(&blob.digest))?;
                (blob.size, verified(&place.engine, raw, &blob.digest, blob.size, &place.stats))
            }
            Content::Plain(layer) => {
                // The size stands before the content, so the content waits in a file: one layer at a time.
                let mut spool = Spool::create(&place.engine, &place.spool_dir, &place.stats).await?;
                let claimed = layer.find_diff_id(ctx).await?;
                let mut tar = layer.uncompressed_chunks(ctx, Some(claimed)).await?;
                while let Some(chunk) = tar.next().await.map_err(|e| e.or_subject(&layer.descriptor().digest))? {
                    spool.write(chunk).await?;
                }
                let kept = spool.finish().await?;
                ctx.expect_bytes(kept.size());
                (kept.size(), kept.open(0))
            }
        };
        out.write(header(&self.name, size).into()).await?;
        self.copy(chunks, size, out, ctx).await?;
        let over = (size % BLOCK) as usize;
        match over {
            0 => Ok(()),
            over => out.write(Bytes::from_static(&[0; BLOCK as usize]).slice(over..)).await,
        }
    }

    async fn copy(&self, mut chunks: Chunks, size: u64, out: &mut dyn BlobOut, ctx: &Context) -> Result<()> {
        let (mut done, mut told) = (0, 0);
        let tell = |done: u64| {
            let (subject, message) = (self.name.clone(), String::new());
            ctx.emit(&Event { kind: "write", subject, done, total: Some(size), message });
        };
        while let Some(chunk) = chunks.next().await.map_err(|e| e.or_subject(&self.name))? {
            let len = chunk.len() as u64;
            done += len;
            if done > size {
                break;
            }
            out.write(chunk).await?;
            ctx.count_bytes(len);
            if done - told >= EVENT_EVERY {
                tell(done);
                told = done;
            }
        }
        if done != size {
            let why = format!("the content has other than the {size} bytes it should have");
            return Err(Error::new(Code::DigestMismatch, why).subject(&self.name));
        }
        tell(done);
        Ok(())
    }
}

/// The header of a file, as Go's `archive/tar` writes it: ustar, with PAX records in front where the name is too long or
/// the size too large for it.
fn header(name: &str, size: u64) -> Vec<u8> {
    if name.len() > MAX_NAME {
        let entry = TarEntry::new(Kind::File, name.as_bytes(), 0o644, Timestamp::default());
        return TarEntry { size, stored: size, ..entry }.encode();
    }
    if size <= MAX_OCTAL {
        return block(name, size, b'0', 0o644).to_vec();
    }
    let mut record = String::new();
    let mut len = 0;
    while record.len() != len || len == 0 {
        len = record.len();
        record = format!("{len} size={size}\n"); // the length counts itself
    }
    let mut out = block(&format!("PaxHeaders.0/{name}"), record.len() as u64, b'x', 0).to_vec();
    out.extend_from_slice(record.as_bytes());
    out.resize(2 * BLOCK as usize, 0);
    out.extend_from_slice(&block(name, 0, b'0', 0o644));
    out
}

/// One header. The name fits; that of the one in front, which only says what it is, is cut.
fn block(name: &str, size: u64, kind: u8, mode: u32) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(MAX_NAME)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0"); // uid
    put(116, b"0000000\0"); // gid
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0"); // mtime
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0"); // devmajor
    put(337, b"0000000\0"); // devminor
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sizes_get_a_pax_record() {
        assert_eq!(header("a", MAX_OCTAL).len(), 512);
        let large = header("a", MAX_OCTAL + 1);
        assert_eq!(large.len(), 3 * 512);
        assert_eq!(&large[512..531], b"19 size=8589934592\n");
        let raw = tar::Header::from_byte_slice(&large[..512]);
        assert_eq!((raw.entry_size().unwrap(), raw.entry_type()), (19, tar::EntryType::XHeader));
    }

    #[test]
    fn long_names_get_a_pax_record() {
        assert_eq!(header(&"n".repeat(100), 3).len(), 512);
        for (name, size) in [("n".repeat(101), 3), (format!("blobs/sha512/{}", "0".repeat(128)), MAX_OCTAL + 1)] {
            let head = header(&name, size);
            assert_eq!(head.len(), 3 * 512);
            let mut tar = tar::Archive::new(&head[..]);
            let entry = tar.entries().unwrap().next().unwrap().unwrap();
            assert_eq!((entry.path_bytes().as_ref(), entry.size()), (name.as_bytes(), size));
        }
    }
}
