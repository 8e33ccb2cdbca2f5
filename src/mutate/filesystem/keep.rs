//! Bytes that are kept for later: a little in memory, more in a temporary file.

use crate::block::{BLOCK, Block};
use crate::error::Result;
use crate::source::Place;
use crate::stream::{BlobOut, Chunks, Spool, SpoolBlob};
use bytes::{Buf, Bytes};
use futures_util::stream;

/// Kept in memory, at most, and a block that is being filled.
const MEMORY: u64 = 4 * BLOCK as u64;
/// Pieces that are smaller are gathered.
const SMALL: usize = BLOCK / 4;

pub(super) struct Keep {
    gathered: Option<Block>,
    memory: Vec<Bytes>,
    spool: Option<Spool>,
    len: u64,
    place: Place,
}

/// What was kept.
pub(super) enum Kept {
    Memory(Vec<Bytes>),
    File(SpoolBlob),
}

impl Keep {
    pub(super) fn new(place: &Place) -> Keep {
        Keep { gathered: None, memory: Vec::new(), spool: None, len: 0, place: place.clone() }
    }

    /// How much has been put in.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.len += bytes.len() as u64;
        if self.gathered.as_mut().is_some_and(|block| block.bytes().len() + bytes.len() > BLOCK) || bytes.len() >= SMALL
        {
            self.flush().await?;
        }
        if bytes.len() >= SMALL {
            return self.store(bytes).await;
        }
        let shelf = self.place.engine.shelf();
        self.gathered.get_or_insert_with(|| shelf.take()).bytes().extend_from_slice(&bytes);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        match self.gathered.take() {
            Some(block) => self.store(block.freeze()).await,
            None => Ok(()),
        }
    }

    async fn store(&mut self, bytes: Bytes) -> Result<()> {
        if let Some(spool) = &mut self.spool {
            return spool.write(bytes).await;
        }
        self.memory.push(bytes);
        if self.len > MEMORY {
            let Place { engine, spool_dir, stats } = &self.place;
            let spool = self.spool.insert(Spool::create(engine, spool_dir, stats).await?);
            for bytes in std::mem::take(&mut self.memory) {
                spool.write(bytes).await?;
            }
        }
        Ok(())
    }

    /// All of it.
    pub(super) async fn finish(mut self) -> Result<Kept> {
        self.flush().await?;
        match self.spool {
            Some(spool) => Ok(Kept::File(spool.finish().await?)),
            None => Ok(Kept::Memory(self.memory)),
        }
    }
}

impl Kept {
    /// The bytes from `offset` on.
    pub(super) fn open(&self, offset: u64) -> Chunks {
        match self {
            Kept::File(blob) => blob.open(offset),
            Kept::Memory(parts) => {
                let mut skip = offset as usize; // what is in memory is small
                let mut left = parts.clone();
                left.retain_mut(|part| {
                    let n = skip.min(part.len());
                    part.advance(n);
                    skip -= n;
                    !part.is_empty()
                });
                Chunks::from_stream(stream::iter(left.into_iter().map(Ok)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let place = Place::here().unwrap();
        for sizes in [
            &[][..],
            &[1, 2, 3],
            &[4 * BLOCK, 1],
            &[10, 4 * BLOCK, 5, SMALL, 7],
            &[600_000; 5],
            &[SMALL - 1; 30],
            &[SMALL - 1, SMALL, 0, SMALL - 1],
        ] {
            let all: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8 + 1; *n]).collect();
            let kept = place.engine.handle().block_on(async {
                let mut keep = Keep::new(&place);
                for piece in &all {
                    keep.put(piece.clone().into()).await?;
                }
                assert_eq!(keep.len(), sizes.iter().sum::<usize>() as u64);
                let kept = keep.finish().await?;
                let end = kept.open(all.concat().len() as u64 / 2).collect(1 << 30).await?;
                assert!(all.concat().ends_with(&end));
                kept.open(0).collect(1 << 30).await
            });
            assert!(kept.unwrap() == all.concat(), "{sizes:?}");
        }
    }
}
