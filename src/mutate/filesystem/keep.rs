//! Bytes that are kept for later: a little in memory, more in a temporary file.

use crate::error::Result;
use crate::source::Place;
use crate::stream::{BLOCK, BlobOut, Chunks, Spool, SpoolBlob};
use bytes::{Bytes, BytesMut};

/// Kept in memory, at most.
const MEMORY: usize = 4 * BLOCK;

pub(super) struct Keep {
    memory: BytesMut,
    spool: Option<Spool>,
    len: u64,
    place: Place,
}

/// What was kept.
pub(super) enum Kept {
    Memory(Bytes),
    File(SpoolBlob),
}

impl Keep {
    pub(super) fn new(place: &Place) -> Keep {
        Keep { memory: BytesMut::new(), spool: None, len: 0, place: place.clone() }
    }

    /// How much has been put in.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.len += bytes.len() as u64;
        if self.memory.len() + bytes.len() > MEMORY {
            let spool = match &mut self.spool {
                Some(spool) => spool,
                none => {
                    let Place { engine, spool_dir, stats } = &self.place;
                    none.insert(Spool::create(engine, spool_dir, stats).await?)
                }
            };
            spool.write(self.memory.split().freeze()).await?;
            if bytes.len() >= MEMORY / 8 {
                return spool.write(bytes).await;
            }
        }
        self.memory.extend_from_slice(&bytes);
        Ok(())
    }

    /// All of it.
    pub(super) async fn finish(self) -> Result<Kept> {
        let last = self.memory.freeze();
        match self.spool {
            Some(mut spool) => {
                spool.write(last).await?;
                Ok(Kept::File(spool.finish().await?))
            }
            None => Ok(Kept::Memory(last)),
        }
    }
}

impl Kept {
    /// The bytes from `offset` on.
    pub(super) fn open(&self, offset: u64) -> Chunks {
        match self {
            Kept::Memory(bytes) => Chunks::from_bytes(bytes.slice(bytes.len().min(offset as usize)..)),
            Kept::File(blob) => blob.open(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let place = Place::here().unwrap();
        for sizes in [&[][..], &[1, 2, 3], &[MEMORY, 1], &[10, MEMORY, 5, MEMORY / 8, 7], &[600_000; 5]] {
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
