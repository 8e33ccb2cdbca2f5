//! Bodies on their way in and out, counted for the log, and spoiled where a fault says so.

use super::Shared;
use super::log::Record;
use super::store::{BLOCK, Backend, Bulk, Stamp};
use super::wire::{End, Switch};
use crate::digest::{Digest, Hasher};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// How long a client may send nothing in the middle of a body.
const BODY_IDLE: Duration = Duration::from_secs(60);
/// What is still read of a body that nobody wants, so that the client gets to see the answer.
const DRAIN: (u64, Duration) = (64 << 20, Duration::from_secs(5));
/// Before a connection is cut in mid-answer: time for what was sent to arrive.
const SETTLE: Duration = Duration::from_millis(50);

/// The body of a request.
pub(super) struct Inbound {
    body: Incoming,
    record: Arc<Record>,
    /// Cut the connection after so many bytes.
    cut: Option<(u64, Arc<Switch>, End)>,
    ended: bool,
}

impl Inbound {
    pub fn new(body: Incoming, record: Arc<Record>) -> Inbound {
        Inbound { ended: body.is_end_stream(), body, record, cut: None }
    }
    pub fn is_empty(&self) -> bool {
        self.ended
    }
    pub fn cut_after(&mut self, bytes: u64, switch: Arc<Switch>, end: End) {
        self.cut = Some((bytes, switch, end));
    }

    /// The next bytes; `None` at the end. An error says that the client is gone, or slower than is good.
    pub async fn chunk(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some((0, switch, end)) = &self.cut {
                switch.fire(*end);
                self.ended = true;
                return Some(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if self.ended {
                return None;
            }
            let frame = match tokio::time::timeout(BODY_IDLE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    self.ended = true;
                    return None;
                }
                Ok(Some(Err(e))) => {
                    self.ended = true;
                    return Some(Err(io::Error::other(e)));
                }
                Err(_) => {
                    self.ended = true;
                    return Some(Err(io::ErrorKind::TimedOut.into()));
                }
            };
            let Ok(mut data) = frame.into_data() else { continue };
            if let Some((left, _, _)) = &mut self.cut {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
            }
            if !data.is_empty() {
                self.record.received.fetch_add(data.len() as u64, Relaxed);
                return Some(Ok(data));
            }
        }
    }

    /// The whole body, if it has at most `limit` bytes.
    pub async fn whole(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            let chunk = chunk?;
            if all.len() + chunk.len() > limit {
                return Ok(None);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(Some(all.into()))
    }

    /// Reads on for a while.
    pub async fn drain(mut self) {
        let reading = async {
            let mut seen = 0;
            while let Some(Ok(chunk)) = self.chunk().await {
                seen += chunk.len() as u64;
                if seen > DRAIN.0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN.1, reading).await;
    }
}

/// The body of an answer, before anything is done to it.
pub(super) enum Content {
    Empty,
    Bytes(Bytes),
    Blob(BlobStream),
}

/// What a fault does to the body of an answer.
pub(super) enum Spoil {
    Nothing,
    /// After so many bytes the connection ends.
    Cut(u64, Arc<Switch>, End),
    /// After so many bytes nothing more comes.
    Stall(u64),
    /// The byte at this place is another one.
    Flip(u64),
}

/// The body of an answer.
pub(super) struct Outbound {
    content: Content,
    spoil: Spoil,
    settle: Option<Pin<Box<Sleep>>>,
    sent: u64,
    record: Arc<Record>,
    shared: Arc<Shared>,
}

impl Outbound {
    pub fn new(content: Content, spoil: Spoil, record: Arc<Record>, shared: Arc<Shared>) -> Outbound {
        Outbound { content, spoil, settle: None, sent: 0, record, shared }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let stop = match &this.spoil {
            Spoil::Cut(at, _, _) | Spoil::Stall(at) => *at,
            _ => u64::MAX,
        };
        if this.sent >= stop {
            if let Spoil::Cut(_, switch, end) = &this.spoil {
                let settle = this.settle.get_or_insert_with(|| Box::pin(tokio::time::sleep(SETTLE)));
                ready!(settle.as_mut().poll(cx));
                switch.fire(*end);
                this.spoil = Spoil::Stall(stop);
            }
            return Poll::Pending; // the connection's own task hears of its end
        }
        let next = match &mut this.content {
            Content::Empty => None,
            Content::Bytes(bytes) => Some(std::mem::take(bytes)).filter(|b| !b.is_empty()),
            Content::Blob(blob) => match ready!(blob.poll_next(cx)) {
                None => None,
                Some(Ok(block)) => Some(block),
                Some(Err(e)) => {
                    this.record.error(&e);
                    return Poll::Ready(Some(Err(e.into())));
                }
            },
        };
        let Some(mut block) = next else { return Poll::Ready(None) };
        block.truncate(usize::try_from(stop - this.sent).unwrap_or(usize::MAX));
        if let Spoil::Flip(at) = this.spoil
            && let Some(at) = at.checked_sub(this.sent).and_then(|at| usize::try_from(at).ok())
            && at < block.len()
        {
            let mut bytes = block.to_vec();
            bytes[at] ^= 1;
            block = bytes.into();
        }
        this.sent += block.len() as u64;
        this.record.sent.store(this.sent, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        if !matches!(self.spoil, Spoil::Nothing | Spoil::Flip(_)) {
            return false;
        }
        match &self.content {
            Content::Empty => true,
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Blob(blob) => blob.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Blob(blob) => SizeHint::with_exact(blob.left),
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.shared.log.close(&self.record);
    }
}

/// A blob, or part of one, read block by block, one block ahead of what is sent.
pub(super) struct BlobStream {
    engine: Arc<Engine>,
    reader: Option<Box<Reader>>,
    job: Option<Job>,
    ready: VecDeque<Bytes>,
    /// Bytes that are still to be sent.
    left: u64,
}

type Job = Pin<Box<dyn Future<Output = Result<(Box<Reader>, Vec<Bytes>)>> + Send>>;

struct Reader {
    bulk: Bulk,
    at: u64,
    end: u64,
    check: Option<Check>,
}

/// Compares a blob with its digest while it is sent for the first time.
pub(super) struct Check {
    pub backend: Arc<dyn Backend>,
    pub digest: Digest,
    pub stamp: Stamp,
    pub hasher: Hasher,
}

impl BlobStream {
    pub fn new(engine: Arc<Engine>, bulk: Bulk, at: u64, end: u64, check: Option<Check>) -> BlobStream {
        let reader = Some(Box::new(Reader { bulk, at, end, check }));
        BlobStream { engine, reader, job: None, ready: VecDeque::new(), left: end - at }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            self.start(cx);
            if let Some(block) = self.ready.pop_front() {
                self.left -= block.len() as u64;
                return Poll::Ready(Some(Ok(block)));
            }
            let Some(job) = &mut self.job else { return Poll::Ready(None) };
            let done = ready!(job.as_mut().poll(cx));
            self.job = None;
            self.take(done?);
        }
    }

    /// Sees that the next block is being read.
    fn start(&mut self, cx: &mut Context<'_>) {
        if self.job.is_some() || self.ready.len() > 1 {
            return;
        }
        let Some(mut reader) = self.reader.take_if(|r| r.at < r.end) else { return };
        if matches!(reader.bulk, Bulk::Memory(_)) {
            // Nothing to wait for: these are the very bytes.
            if let Ok(blocks) = reader.step(u64::MAX) {
                self.take((reader, blocks));
            }
            return;
        }
        let engine = self.engine.clone();
        let mut job: Job = Box::pin(async move {
            let run = move || reader.step(BLOCK as u64).map(|blocks| (reader, blocks));
            engine.pool().run(run).await?
        });
        // Polled once here: that is what hands it to the pool.
        match job.as_mut().poll(cx) {
            Poll::Pending => self.job = Some(job),
            Poll::Ready(done) => self.job = Some(Box::pin(std::future::ready(done))),
        }
    }

    fn take(&mut self, (reader, blocks): (Box<Reader>, Vec<Bytes>)) {
        self.reader = Some(reader);
        self.ready.extend(blocks);
    }
}

impl Reader {
    fn step(&mut self, most: u64) -> Result<Vec<Bytes>> {
        let want = (self.end - self.at).min(most);
        let blocks = self.bulk.read(self.at, want)?;
        self.at += want;
        if let Some(check) = &mut self.check {
            blocks.iter().for_each(|b| check.hasher.update(b));
            if self.at == self.end
                && let Some(check) = self.check.take()
            {
                let good = check.hasher.finish() == check.digest;
                check.backend.verified(&check.digest, check.stamp, good);
                if !good {
                    // The last block stays here, so that nobody takes the body for complete.
                    let why = "a blob of the registry does not have its digest any more";
                    return Err(Error::new(Code::DigestMismatch, why).subject(check.digest));
                }
            }
        }
        Ok(blocks)
    }
}
