//! Bytes on their way to the host.

use crate::context::Context;
use crate::engine::Task;
use crate::error::Result;
use crate::source::Home;
use crate::stream::Chunks;
use bytes::{Buf, Bytes};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A stream of verified bytes. Its end is only reached when every byte before it was right.
pub struct Reader {
    home: Home,
    chunks: Arc<Mutex<Chunks>>,
    current: Bytes,
}

impl Reader {
    pub(crate) fn new(home: Home, chunks: Chunks) -> Reader {
        Reader { home, chunks: Arc::new(Mutex::new(chunks)), current: Bytes::new() }
    }

    /// The next piece, of whatever size it came; an empty one is the end. A cancelled call loses no bytes.
    pub fn next(&mut self, ctx: &Context) -> Task<Bytes> {
        if let Err(e) = ctx.check() {
            return Task::ready(Err(e));
        }
        if !self.current.is_empty() {
            return Task::ready(Ok(std::mem::take(&mut self.current)));
        }
        let chunks = self.chunks.clone();
        self.home.spawn(ctx, |_| async move {
            let mut chunks = chunks.lock().await;
            while let Some(chunk) = chunks.next().await? {
                if !chunk.is_empty() {
                    return Ok(chunk);
                }
            }
            Ok(Bytes::new())
        })
    }

    /// Fills part of `buf`, waiting for at least one byte; 0 is the end (or an empty `buf`).
    pub fn read(&mut self, buf: &mut [u8], ctx: &Context) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        ctx.check()?; // also where bytes are at hand: who cancelled wants no more of them
        if self.current.is_empty() {
            self.current = self.next(ctx).wait()?;
        }
        let n = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
