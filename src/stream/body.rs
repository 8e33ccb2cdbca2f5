//! The stream of bytes that is used all over the crate.

use crate::block::{BLOCK, Block, Shelf};
use crate::error::{Code, Error, Result};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Chunks that come one after the other; dropping it ends the transfer.
pub(crate) struct Chunks(BoxStream<'static, Result<Bytes>>);

impl Chunks {
    pub(crate) fn from_stream(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Chunks {
        Chunks(stream.fuse().boxed()) // asked again after its end, it ends again
    }

    pub(crate) fn from_bytes(bytes: impl Into<Bytes>) -> Chunks {
        let bytes = bytes.into();
        let some = (!bytes.is_empty()).then_some(Ok(bytes));
        Chunks::from_stream(stream::iter(some))
    }

    /// What `next` gives from `state` until it gives `None` or an error.
    pub(crate) fn unfold<S, F>(state: S, next: impl FnMut(S) -> F + Send + 'static) -> Chunks
    where
        S: Send + 'static,
        F: Future<Output = Result<Option<(Bytes, S)>>> + Send + 'static,
    {
        Chunks::from_stream(stream::try_unfold(state, next))
    }

    /// The next chunk, `None` at the end. Nothing is lost if the wait for it is given up.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.next().await.transpose()
    }

    /// The first `len` bytes.
    pub(crate) fn take(self, len: u64) -> Chunks {
        Chunks::unfold((self, len), |(mut chunks, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let Some(mut chunk) = chunks.next().await? else { return Ok(None) };
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - chunk.len() as u64;
            Ok(Some((chunk, (chunks, left))))
        })
    }
    /// What follows the first `n` bytes, which are fetched and dropped.
    pub(crate) fn skip(self, n: u64) -> Chunks {
        if n == 0 {
            return self;
        }
        Chunks::unfold((self, n), |(mut chunks, mut n)| async move {
            while let Some(mut chunk) = chunks.next().await? {
                let drop = usize::try_from(n).unwrap_or(usize::MAX).min(chunk.len());
                n -= drop as u64;
                let rest = chunk.split_off(drop);
                if !rest.is_empty() {
                    return Ok(Some((rest, (chunks, n))));
                }
            }
            Ok(None)
        })
    }
    /// All of it, if it is no more than `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if chunk.len() > limit - all.len() {
                return Err(Error::new(Code::LimitExceeded, format!("more than {limit} bytes")));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The same chunks; `each` sees them pass.
    pub(crate) fn inspect(self, mut each: impl FnMut(&Bytes) + Send + 'static) -> Chunks {
        Chunks::from_stream(self.0.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                each(chunk);
            }
        }))
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// A stream that is fed from elsewhere, with room for so many chunks.
pub(crate) fn channel(capacity: usize) -> (Sender, Chunks) {
    let (tx, rx) = mpsc::channel(capacity);
    let chunks = Chunks::unfold(rx, |mut rx: mpsc::Receiver<Result<Option<Bytes>>>| async move {
        match rx.recv().await {
            Some(Ok(Some(chunk))) => Ok(Some((chunk, rx))),
            Some(Ok(None)) => Ok(None),
            Some(Err(e)) => Err(e),
            None => Err(Error::new(Code::Io, "the stream broke off: its writer is gone")),
        }
    });
    (Sender(tx), chunks)
}

/// Feeds a stream. Dropped without [`Sender::finish`], it makes the stream fail rather than end.
#[derive(Clone)]
pub(crate) struct Sender(mpsc::Sender<Result<Option<Bytes>>>);

impl Sender {
    /// Waits for room. An error if nobody reads the stream any more.
    pub(crate) async fn send(&self, chunk: Bytes) -> Result<()> {
        self.put(Ok(Some(chunk))).await
    }
    /// Ends the stream well.
    pub(crate) async fn finish(self) -> Result<()> {
        self.put(Ok(None)).await
    }
    /// Ends the stream with this error.
    pub(crate) async fn fail(self, error: Error) {
        let _ = self.put(Err(error)).await;
    }
    /// Puts the chunk in if there is room now, else gives it back.
    pub(crate) fn try_send(&self, chunk: Bytes) -> Option<Bytes> {
        match self.0.try_send(Ok(Some(chunk))) {
            Err(mpsc::error::TrySendError::Full(Ok(chunk)) | mpsc::error::TrySendError::Closed(Ok(chunk))) => chunk,
            _ => None,
        }
    }
    /// What comes from a thread that may wait: a chunk, the end, or why there is none. Whether somebody reads on.
    pub(crate) fn blocking_send(&self, item: Result<Option<Bytes>>) -> bool {
        self.0.blocking_send(item).is_ok()
    }
    async fn put(&self, item: Result<Option<Bytes>>) -> Result<()> {
        self.0.send(item).await.map_err(|_| Error::new(Code::Io, "the stream broke off: its reader is gone"))
    }
}

/// A stream cut anew: every block has [`BLOCK`] bytes, the last one may have fewer, and none is empty.
pub(crate) struct Blocks {
    chunks: Chunks,
    front: Option<Bytes>,
    rest: Bytes,
    ended: bool,
    shelf: Arc<Shelf>,
}

impl Blocks {
    pub(crate) fn new(chunks: Chunks, shelf: &Arc<Shelf>) -> Blocks {
        Blocks { chunks, front: None, rest: Bytes::new(), ended: false, shelf: shelf.clone() }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.front.take() {
            Some(block) => Ok(Some(block)),
            None => self.fetch().await,
        }
    }

    /// The next block, which stays; empty at the end.
    pub(crate) async fn peek(&mut self) -> Result<Bytes> {
        if self.front.is_none() {
            self.front = self.fetch().await?;
        }
        Ok(self.front.clone().unwrap_or_default())
    }

    async fn fetch(&mut self) -> Result<Option<Bytes>> {
        let mut block: Option<Block> = None;
        loop {
            if block.is_none() && self.rest.len() >= BLOCK {
                return Ok(Some(self.rest.split_to(BLOCK))); // nothing to copy
            }
            if !self.rest.is_empty() {
                let bytes = block.get_or_insert_with(|| self.shelf.take()).bytes();
                let n = self.rest.len().min(BLOCK - bytes.len());
                bytes.extend_from_slice(&self.rest.split_to(n));
                if bytes.len() == BLOCK {
                    return Ok(block.map(Block::freeze));
                }
            }
            match self.ended {
                true => return Ok(block.map(Block::freeze)),
                false => match self.chunks.next().await? {
                    Some(chunk) => self.rest = chunk,
                    None => self.ended = true,
                },
            }
        }
    }

    /// What has not been taken, as a stream.
    pub(crate) fn into_chunks(self) -> Chunks {
        let mut known = Vec::new();
        known.extend(self.front.map(Ok));
        known.push(Ok(self.rest));
        Chunks::from_stream(stream::iter(known).chain(self.chunks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn now<T>(f: impl Future<Output = T>) -> T {
        f.now_or_never().expect("nothing to wait for")
    }

    #[test]
    fn blocks_have_one_size_whatever_the_chunks() {
        arbtest::arbtest(|u| {
            let mut chunks = Vec::new();
            let mut all = Vec::new();
            for i in 0..u.int_in_range(0..=8)? {
                let len = *u.choose(&[0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])?;
                let chunk = vec![i as u8; len];
                all.extend_from_slice(&chunk);
                chunks.push(Ok(Bytes::from(chunk)));
            }
            let mut blocks = Blocks::new(Chunks::from_stream(stream::iter(chunks)), &Arc::default());
            let head = now(blocks.peek()).unwrap();
            assert!(head == all[..all.len().min(BLOCK)]);
            for block in all.chunks(BLOCK) {
                assert!(now(blocks.next()).unwrap().unwrap() == block);
            }
            assert!(now(blocks.next()).unwrap().is_none());
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn the_rest_of_the_blocks_is_complete() {
        let all: Vec<u8> = (0..3 * BLOCK + 5).map(|i| (i / 1000) as u8).collect();
        let mut blocks = Blocks::new(Chunks::from_bytes(all.clone()), &Arc::default());
        now(blocks.next()).unwrap();
        now(blocks.peek()).unwrap();
        assert!(now(blocks.into_chunks().collect(all.len())).unwrap() == all[BLOCK..]);
    }

    #[test]
    fn a_channel_ends_only_when_told() {
        let (tx, mut chunks) = channel(2);
        now(tx.send(Bytes::from_static(b"a"))).unwrap();
        now(tx.finish()).unwrap();
        assert_eq!(now(chunks.next()).unwrap().unwrap(), "a");
        assert!(now(chunks.next()).unwrap().is_none());
        assert!(now(chunks.next()).unwrap().is_none(), "and stays at its end");

        let (tx, mut chunks) = channel(2);
        now(tx.send(Bytes::from_static(b"a"))).unwrap();
        drop(tx);
        assert!(now(chunks.next()).unwrap().is_some());
        assert_eq!(now(chunks.next()).unwrap_err().code(), Code::Io);

        let (tx, mut chunks) = channel(1);
        now(tx.fail(Error::new(Code::Callback, "no")));
        assert_eq!(now(chunks.next()).unwrap_err().code(), Code::Callback);

        let (tx, chunks) = channel(1);
        drop(chunks);
        assert_eq!(now(tx.send(Bytes::new())).unwrap_err().code(), Code::Io);
    }

    #[test]
    fn a_full_channel_waits() {
        let (tx, mut chunks) = channel(1);
        now(tx.send(Bytes::from_static(b"a"))).unwrap();
        let mut second = Box::pin(tx.send(Bytes::from_static(b"b")));
        assert!((&mut second).now_or_never().is_none());
        now(chunks.next()).unwrap();
        now(second).unwrap();
    }

    #[test]
    fn collecting_is_limited() {
        assert_eq!(now(Chunks::from_bytes("abc").collect(3)).unwrap(), "abc");
        assert_eq!(now(Chunks::from_bytes("abc").collect(2)).unwrap_err().code(), Code::LimitExceeded);
    }
}
