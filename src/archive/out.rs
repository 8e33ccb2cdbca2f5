//! Where a new archive's bytes go: into a file, at several places at once, or down a pipe.

use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::pool::Job;
use crate::stream::BlobOut;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Writes that may be under way at one place of a file.
const WRITES: usize = 2;
/// What one job writes at most.
const PIECE: usize = 1 << 20;
/// Chunks that wait for a pipe.
const QUEUE: usize = 4;

/// A file from some offset on.
pub(super) struct Region {
    engine: Arc<Engine>,
    file: Arc<File>,
    subject: Arc<str>,
    at: u64,
    writes: VecDeque<Job<std::io::Result<()>>>,
}

impl Region {
    pub(super) fn new(engine: &Arc<Engine>, file: &Arc<File>, subject: &Arc<str>, at: u64) -> Region {
        Region { engine: engine.clone(), file: file.clone(), subject: subject.clone(), at, writes: VecDeque::new() }
    }

    /// Waits until all of it is in the file.
    pub(super) async fn finish(mut self) -> Result<()> {
        while !self.writes.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    async fn put(&mut self, mut chunk: Bytes) -> Result<()> {
        while !chunk.is_empty() {
            if self.writes.len() >= WRITES {
                self.settle().await?;
            }
            let part = chunk.split_to(chunk.len().min(PIECE));
            let (file, at) = (self.file.clone(), self.at);
            self.at += part.len() as u64;
            self.writes.push_back(self.engine.pool().start(move || file.write_all_at(&part, at))?);
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        if let Some(job) = self.writes.front_mut() {
            let result = job.await;
            self.writes.pop_front();
            result?.map_err(|e| Error::io("writing the archive", &self.subject, &e))?;
        }
        Ok(())
    }
}

impl BlobOut for Region {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        self.put(chunk).boxed()
    }
}

/// What is written in order, by a thread that may wait for whoever reads it.
pub(super) struct Down {
    chunks: Option<mpsc::Sender<Bytes>>,
    end: oneshot::Receiver<Result<()>>,
}

impl Down {
    /// `open` runs on that thread: opening a fifo waits for its reader.
    pub(super) fn start(
        engine: &Engine,
        subject: &str,
        open: impl FnOnce() -> std::io::Result<File> + Send + 'static,
    ) -> Result<Down> {
        let (chunks, mut rx) = mpsc::channel::<Bytes>(QUEUE);
        let (tell, end) = oneshot::channel();
        let subject = subject.to_owned();
        engine.callback(move || {
            let write = || -> std::io::Result<()> {
                let mut file = open()?;
                while let Some(chunk) = rx.blocking_recv() {
                    let mut left = &chunk[..];
                    while !left.is_empty() {
                        match file.write(left) {
                            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                            Ok(n) => left = &left[n..],
                            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => crate::sys::ready::to_write(&file)?,
                            Err(e) => return Err(e),
                        }
                    }
                }
                file.flush()
            };
            let _ = tell.send(write().map_err(|e| Error::io("writing the archive", subject, &e)));
        })?;
        Ok(Down { chunks: Some(chunks), end })
    }

    /// Waits until all of it was taken.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.chunks = None;
        self.outcome().await
    }

    async fn put(&mut self, chunk: Bytes) -> Result<()> {
        let sent = match &self.chunks {
            Some(chunks) => chunks.send(chunk).await.is_ok(),
            None => false,
        };
        match sent {
            true => Ok(()),
            false => {
                self.chunks = None;
                self.outcome().await?;
                Err(Error::new(Code::InvalidState, "the pipe is closed"))
            }
        }
    }

    async fn outcome(&mut self) -> Result<()> {
        (&mut self.end).await.map_err(|_| Error::new(Code::Internal, "the thread that wrote is gone"))?
    }
}

impl BlobOut for Down {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        self.put(chunk).boxed()
    }
}
