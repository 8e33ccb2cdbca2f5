//! Bytes that are kept for later: a little in memory, more in a temporary file.

use crate::error::Result;
use crate::source::Place;
use crate::stream::{BLOCK, BlobOut, Chunks, Spool};
use bytes::{Bytes, BytesMut};

/// Kept in memory, at most.
const MEMORY: usize = 4 * BLOCK;

pub(super) struct Keep {
    memory: BytesMut,
    spool: Option<Spool>,
    place: Place,
}

impl Keep {
    pub(super) fn new(place: &Place) -> Keep {
        Keep { memory: BytesMut::new(), spool: None, place: place.clone() }
    }

    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<()> {
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
    pub(super) async fn finish(self) -> Result<Chunks> {
        let last = self.memory.freeze();
        match self.spool {
            Some(mut spool) => {
                spool.write(last).await?;
                Ok(spool.finish().await?.open(0))
            }
            None => Ok(Chunks::from_bytes(last)),
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
                keep.finish().await?.collect(1 << 30).await
            });
            assert!(kept.unwrap() == all.concat(), "{sizes:?}");
        }
    }
}
