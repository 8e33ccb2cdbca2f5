//! Buffers of one size that are used over and over: what streams through the library goes through them. Fresh memory
//! for each would be mapped and zeroed a thousand times a second, and be left in pieces in every thread's arena.

use crate::context::lock;
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// What goes through the pipelines at a time.
pub(crate) const BLOCK: usize = 256 << 10;
/// Blocks that wait for their next use, at most.
const SPARE: usize = 8;

/// Blocks that nobody uses.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Vec<Vec<u8>>>);

/// One in use: up to [`BLOCK`] bytes.
pub(crate) struct Block {
    bytes: Vec<u8>,
    shelf: Arc<Shelf>,
}

impl Shelf {
    /// An empty block.
    pub(crate) fn take(self: &Arc<Shelf>) -> Block {
        let spare = lock(&self.0).pop();
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(BLOCK));
        bytes.clear();
        Block { bytes, shelf: self.clone() }
    }
    /// A block of so many bytes, to be overwritten.
    pub(crate) fn take_len(self: &Arc<Shelf>, len: usize) -> Block {
        let spare = lock(&self.0).pop();
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(BLOCK));
        bytes.resize(len, 0); // what is there of an earlier use need not be zeroed
        Block { bytes, shelf: self.clone() }
    }
}

impl Block {
    /// Never to grow beyond its capacity.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What is in it. The block is back on its shelf when the last part of that is gone; little is copied, so that who
    /// keeps many small things doesn't keep blocks.
    pub(crate) fn freeze(self) -> Bytes {
        match self.bytes.len() < BLOCK / 4 {
            true => Bytes::copy_from_slice(&self.bytes),
            false => Bytes::from_owner(self),
        }
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = lock(&self.shelf.0);
        if spare.len() < SPARE && bytes.capacity() == BLOCK {
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_nobody_has_it_any_more() {
        let shelf = Arc::new(Shelf::default());
        let mut block = shelf.take();
        block.bytes().resize(BLOCK, 7);
        let at = block.bytes().as_ptr();
        let all = block.freeze();
        let part = all.slice(BLOCK - 5..);
        drop(all);
        assert!(shelf.take().bytes().as_ptr() != at, "a part of it is still there");
        assert_eq!(part, [7; 5][..]);
        drop(part);
        let mut again = [shelf.take(), shelf.take()];
        assert!(again.iter_mut().any(|block| block.bytes().as_ptr() == at && block.bytes().is_empty()));
    }

    #[test]
    fn little_does_not_hold_a_block() {
        let shelf = Arc::new(Shelf::default());
        let mut block = shelf.take();
        block.bytes().extend([1; 100]);
        let little = block.freeze();
        assert_eq!((little.len(), lock(&shelf.0).len()), (100, 1));
    }

    #[test]
    fn the_shelf_has_an_end() {
        let shelf = Arc::new(Shelf::default());
        drop((0..SPARE + 3).map(|_| shelf.take()).collect::<Vec<_>>());
        assert_eq!(lock(&shelf.0).len(), SPARE);
        assert_eq!(shelf.take_len(3).bytes().len(), 3);
    }
}
