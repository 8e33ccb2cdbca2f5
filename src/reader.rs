//! Bytes on their way to the host.

use crate::context::Context;
use crate::engine::Task;
use crate::error::{Error, Result};
use crate::source::Home;
use crate::stream::Chunks;
use bytes::{Buf, Bytes};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A stream of verified bytes. Its end is only reached when every byte before it was right: after a failure there is
/// nothing but that failure.
pub struct Reader {
    home: Home,
    feed: Arc<Mutex<Feed>>,
    current: Bytes,
}

struct Feed {
    chunks: Chunks,
    failure: Option<Error>,
}

impl Reader {
    pub(crate) fn new(home: Home, chunks: Chunks) -> Reader {
        Reader { home, feed: Arc::new(Mutex::new(Feed { chunks, failure: None })), current: Bytes::new() }
    }

    /// The next piece, of whatever size it came; an empty one is the end. A cancelled call loses no bytes.
    pub fn next(&mut self, ctx: &Context) -> Task<Bytes> {
        if let Err(e) = ctx.check() {
            return Task::ready(Err(e));
        }
        if !self.current.is_empty() {
            return Task::ready(Ok(std::mem::take(&mut self.current)));
        }
        let feed = self.feed.clone();
        self.home.spawn(ctx, |_| async move { feed.lock().await.next().await })
    }

    /// Fills part of `buf`, waiting for at least one byte; 0 is the end (or an empty `buf`).
    pub fn read(&mut self, buf: &mut [u8], ctx: &Context) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        ctx.check()?; // also where bytes are at hand: who cancelled wants no more of them
        if self.current.is_empty() {
            crate::engine::may_wait()?; // before a piece is on its way that nobody would take
            self.current = self.next(ctx).wait()?;
        }
        let n = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

impl Feed {
    async fn next(&mut self) -> Result<Bytes> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone()); // the chunks themselves would end now, as if all had been well
        }
        loop {
            match self.chunks.next().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(chunk) => return Ok(chunk.unwrap_or_default()),
                Err(e) => {
                    self.failure = Some(e.clone());
                    return Err(e);
                }
            }
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
