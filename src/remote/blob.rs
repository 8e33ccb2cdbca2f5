//! Blobs from a registry: streamed, and taken up again where a connection broke.

use crate::context::{Context, Event};
use crate::error::{Code, Error, Result};
use crate::name::Repository;
use crate::oci::Descriptor;
use crate::remote::Client;
use crate::source::Source;
use crate::stream::Chunks;
use crate::transport::{Budget, Call};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::RANGE;
use http::{Method, StatusCode};
use std::ops::Range;
use std::time::Duration;

/// An event is told when so many bytes have come since the last.
const EVENT_EVERY: u64 = 256 << 10;

/// A repository as a source of its blobs.
pub(crate) struct Remote {
    pub client: Client,
    pub repository: Repository,
}

impl Source for Remote {
    fn open<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        self.download(ctx, blob, offset..blob.size).boxed()
    }
    fn open_range<'a>(
        &'a self,
        ctx: &'a Context,
        blob: &'a Descriptor,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks>> {
        let len = range.end - range.start;
        async move { Ok(self.download(ctx, blob, range).await?.take(len)) }.boxed()
    }
    fn has<'a>(&'a self, ctx: &'a Context, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool>> {
        async move {
            let path = format!("blobs/{}", blob.digest);
            let call = Call::new(Method::HEAD, &self.repository, &path);
            let answer = self.client.transport().call(ctx, &mut self.client.budget(), &call).await?;
            match answer.status() {
                StatusCode::OK => Ok(true),
                StatusCode::NOT_FOUND => Ok(false),
                _ => Err(answer.into_error().await),
            }
        }
        .boxed()
    }
    fn repository(&self) -> Option<(&Client, &Repository)> {
        Some((&self.client, &self.repository))
    }
}

impl Remote {
    async fn download(&self, ctx: &Context, blob: &Descriptor, range: Range<u64>) -> Result<Chunks> {
        let mut download = Download {
            client: self.client.clone(),
            repository: self.repository.clone(),
            blob: blob.clone(),
            ctx: ctx.clone(),
            at: range.start,
            end: range.end,
            told: range.start,
            budget: self.client.budget(),
            body: None,
        };
        if range.start < range.end {
            download.connect_with_retries().await?; // what is wrong with the name or the credentials shows here
        }
        Ok(Chunks::from_stream(futures_util::stream::try_unfold(download, |mut d| async move {
            Ok(d.next().await?.map(|chunk| (chunk, d)))
        })))
    }
}

struct Download {
    client: Client,
    repository: Repository,
    blob: Descriptor,
    ctx: Context,
    /// How many bytes were given on; a new connection starts here.
    at: u64,
    /// What is wanted ends here: with the blob, or before.
    end: u64,
    told: u64,
    budget: Budget,
    body: Option<Chunks>,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            self.client.check_open()?;
            if self.at >= self.end {
                if self.end < self.blob.size {
                    return Ok(None);
                }
                // One more look: a body that goes on is not the blob, and the verifier is to see it.
                return match &mut self.body {
                    Some(body) => body.next().await.or(Ok(None)), // all of it is here, however the connection ends
                    None => Ok(None),
                };
            }
            let failure = match &mut self.body {
                None => {
                    self.connect_with_retries().await?;
                    continue;
                }
                Some(body) => match body.next().await {
                    Ok(Some(chunk)) if chunk.is_empty() => continue,
                    Ok(Some(chunk)) => {
                        self.at += chunk.len() as u64;
                        self.budget.refill();
                        self.tell(chunk.len() as u64);
                        return Ok(Some(chunk));
                    }
                    Ok(None) => Error::new(
                        Code::DigestMismatch,
                        format!("the body ended after {} of {} bytes", self.at, self.end),
                    )
                    .subject(&self.blob.digest)
                    .retry_after(Duration::ZERO),
                    Err(e) if e.get_retry_after().is_none() => return Err(e),
                    Err(e) => e,
                },
            };
            self.body = None;
            self.pause(failure).await?;
        }
    }

    async fn connect_with_retries(&mut self) -> Result<()> {
        loop {
            match self.connect().await {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(e) if e.get_retry_after().is_none() => return Err(e),
                Err(e) => self.pause(e).await?,
            }
        }
    }

    async fn pause(&mut self, failure: Error) -> Result<()> {
        let message = failure.to_string();
        let delay = self.budget.spend(failure)?;
        let subject = self.blob.digest.to_string();
        self.ctx.emit(&Event { kind: "retry", subject, done: self.at, total: Some(self.blob.size), message });
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn connect(&mut self) -> Result<Chunks> {
        let path = format!("blobs/{}", self.blob.digest);
        let mut call = Call::new(Method::GET, &self.repository, &path);
        if self.end < self.blob.size {
            call = call.header(RANGE, format!("bytes={}-{}", self.at, self.end - 1))?;
        } else if self.at > 0 {
            call = call.header(RANGE, format!("bytes={}-", self.at))?;
        }
        let answer = self.client.transport().call(&self.ctx, &mut self.budget, &call).await?;
        let start = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => match answer.header("content-range").and_then(first_of_range) {
                Some(start) if start <= self.at => start,
                _ => return Err(answer.protocol_error("the range is not the one that was asked for")),
            },
            StatusCode::RANGE_NOT_SATISFIABLE if self.at > 0 || self.end < self.blob.size => {
                // It may know no ranges; once more from the start, and what we have is skipped.
                let call = Call::new(Method::GET, &self.repository, &path);
                let answer = self.client.transport().call(&self.ctx, &mut self.budget, &call).await?;
                if answer.status() != StatusCode::OK {
                    return Err(answer.into_error().await);
                }
                return Ok(answer.chunks().skip(self.at));
            }
            _ => return Err(answer.into_error().await),
        };
        if let (0, Some(length)) = (start, answer.content_length())
            && length > self.blob.size
        {
            return Err(too_long(&self.blob));
        }
        Ok(answer.chunks().skip(self.at - start))
    }

    fn tell(&mut self, n: u64) {
        self.ctx.count_bytes(n);
        if self.at - self.told >= EVENT_EVERY || self.at == self.blob.size {
            self.told = self.at;
            let subject = self.blob.digest.to_string();
            let message = String::new();
            self.ctx.emit(&Event { kind: "download", subject, done: self.at, total: Some(self.blob.size), message });
        }
    }
}

fn too_long(blob: &Descriptor) -> Error {
    let why = format!("the registry sends more than the {} bytes it announced", blob.size);
    Error::new(Code::DigestMismatch, why).subject(&blob.digest)
}

/// The first byte of `Content-Range: bytes FIRST-LAST/SIZE` (RFC 9110 section 14.4).
fn first_of_range(text: &str) -> Option<u64> {
    text.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}
