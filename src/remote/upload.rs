//! Blobs to a registry (distribution spec, "Pushing blobs").
//!
//! A blob whose digest is known goes up in two requests: `POST` opens a session (or mounts the blob from another
//! repository, and that was all), `PUT` brings the bytes and closes it. A blob that is still being made goes up in
//! one streamed `PATCH`, and `PUT` gives its digest at the end.

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::name::Repository;
use crate::oci::Descriptor;
use crate::remote::Client;
use crate::remote::blob::Remote;
use crate::source::{BlobWriter, Source};
use crate::stream::{BlobOut, Chunks, Sender, channel};
use crate::transport::{Body, Budget, Call, Opener, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName};
use http::{Method, StatusCode};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use url::Url;

/// From this size on a look whether the blob is there costs less than sending it.
const WORTH_ASKING: u64 = 256 << 10;
/// The pieces for registries (or proxies before them) that refuse a whole blob in one request.
const PIECE: u64 = 8 << 20;
/// How long the courtesy of giving a session up may take, and a request for one that nobody waits for any more.
const ABANDON: Duration = Duration::from_secs(1);
/// Chunks between whoever makes a blob and its request.
const QUEUE: usize = 4;

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Existed,
    Mounted,
    Uploaded,
}

/// One repository that blobs are put into.
#[derive(Clone)]
pub(crate) struct Uploader {
    pub client: Client,
    pub repository: Repository,
    pub ctx: Context,
}

impl Uploader {
    /// Makes sure that the blob is in the repository. `open` gives its bytes from an offset on, as often as needed.
    pub(crate) async fn put(
        &self,
        blob: &Descriptor,
        mount_from: Option<&Repository>,
        open: Arc<dyn Fn(u64) -> BoxFuture<'static, Result<Chunks>> + Send + Sync>,
    ) -> Result<Outcome> {
        if self.client.knows(&self.repository, &blob.digest) {
            return Ok(Outcome::Existed);
        }
        let worth_asking = blob.size >= WORTH_ASKING && mount_from.is_none();
        if worth_asking && self.exists(&blob.digest, &mut self.client.budget()).await? {
            self.client.learn(&self.repository, &blob.digest);
            return Ok(Outcome::Existed);
        }
        let mut budget = self.client.budget();
        let mut in_pieces = false;
        loop {
            let tried = self.try_put(blob, mount_from, &open, in_pieces).await;
            let failure = match tried {
                Ok(outcome) => {
                    self.client.learn(&self.repository, &blob.digest);
                    return Ok(outcome);
                }
                Err(e) if e.get_http_status() == Some(413) && !in_pieces => {
                    in_pieces = true;
                    continue;
                }
                Err(e) if e.get_retry_after().is_none() => return Err(e),
                Err(e) => e,
            };
            let delay = budget.spend(failure)?;
            tokio::time::sleep(delay).await;
            // The answer may have been lost, not the request.
            if self.exists(&blob.digest, &mut one_try()).await.unwrap_or(false) {
                self.client.learn(&self.repository, &blob.digest);
                return Ok(Outcome::Uploaded);
            }
        }
    }

    async fn try_put(
        &self,
        blob: &Descriptor,
        mount_from: Option<&Repository>,
        open: &Arc<dyn Fn(u64) -> BoxFuture<'static, Result<Chunks>> + Send + Sync>,
        in_pieces: bool,
    ) -> Result<Outcome> {
        let mount = mount_from.map(|from| (&blob.digest, from));
        let Some(session) = self.start(mount, one_try()).await? else {
            return Ok(Outcome::Mounted);
        };
        let location = match in_pieces {
            false => session.url.clone(),
            true => self.patch_pieces(session.url.clone(), blob, open).await?,
        };
        let mut url = location;
        url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let mut call = Call::at(Method::PUT, &self.repository, url).header(CONTENT_TYPE, "application/octet-stream")?;
        if !in_pieces {
            let open = open.clone();
            let opener: Opener = Arc::new(move || open(0));
            call = call.body(Body::Stream { len: blob.size, open: opener });
        }
        // A PUT that failed has closed its session, or left it in a state nobody can tell: a new one is cheap, and this
        // one is given up with its value.
        match self.once(&call).await.and_then_status(&[StatusCode::CREATED, StatusCode::NO_CONTENT]).await {
            Ok(_) => {
                session.done();
                Ok(Outcome::Uploaded)
            }
            Err(e) => {
                // Half a body is what the registry saw when the connection broke under us: the bytes themselves are
                // verified where they come from.
                let broken = matches!(
                    e.get_registry_code(),
                    Some("BLOB_UPLOAD_UNKNOWN" | "BLOB_UPLOAD_INVALID" | "SIZE_INVALID")
                );
                Err(if broken && e.get_retry_after().is_none() { e.retry_after(Duration::ZERO) } else { e })
            }
        }
    }

    /// Opens a session; `None` where the registry mounted the blob instead.
    async fn start(&self, mount: Option<(&Digest, &Repository)>, budget: Budget) -> Result<Option<Session>> {
        let (this, mount) = (self.clone(), mount.map(|(digest, from)| (digest.clone(), from.clone())));
        // Whoever asked may go away before the answer comes. The session that it names has to be given up then, too.
        let engine = self.client.place().engine.clone();
        Opening::run(&engine, async move { this.open(mount, budget).await }).await
    }

    async fn open(&self, mount: Option<(Digest, Repository)>, mut budget: Budget) -> Result<Option<Session>> {
        let path = match &mount {
            None => "blobs/uploads/".to_owned(),
            Some((digest, from)) => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("mount", digest.as_str())
                    .append_pair("from", from.path())
                    .finish();
                format!("blobs/uploads/?{query}")
            }
        };
        let mut call = Call::new(Method::POST, &self.repository, &path);
        call.also_pull = mount.as_ref().map(|(_, from)| from);
        let answer = self.client.transport().call(&self.ctx, &mut budget, &call).await;
        let answer = match answer {
            // Without a right to read the other repository there is still the plain way.
            Err(e) if mount.is_some() && matches!(e.code(), Code::Denied | Code::Unauthenticated) => {
                return Box::pin(self.open(None, budget)).await;
            }
            other => other?,
        };
        match answer.status() {
            StatusCode::CREATED if mount.is_some() => Ok(None),
            StatusCode::ACCEPTED => {
                let url = self.client.transport().resolve_location(&answer)?;
                Ok(Some(Session { up: self.clone(), url, open: true }))
            }
            _ if mount.is_some() => Box::pin(self.open(None, budget)).await,
            _ => Err(answer.into_error().await),
        }
    }

    async fn patch_pieces(
        &self,
        mut location: Url,
        blob: &Descriptor,
        open: &Arc<dyn Fn(u64) -> BoxFuture<'static, Result<Chunks>> + Send + Sync>,
    ) -> Result<Url> {
        let mut at = 0;
        while at < blob.size {
            let len = PIECE.min(blob.size - at);
            let open = open.clone();
            let opener: Opener = Arc::new(move || {
                let opened = open(at);
                async move { Ok(opened.await?.take(len)) }.boxed()
            });
            let call = Call::at(Method::PATCH, &self.repository, location)
                .header(CONTENT_TYPE, "application/octet-stream")?
                .header(CONTENT_RANGE, format!("{at}-{}", at + len - 1))?
                .body(Body::Stream { len, open: opener });
            let answer =
                self.once(&call).await.and_then_status(&[StatusCode::ACCEPTED, StatusCode::NO_CONTENT]).await?;
            location = self.client.transport().resolve_location(&answer)?;
            at += len;
        }
        Ok(location)
    }

    /// Whether the blob is in the repository. Registries that know no HEAD are taken at "no".
    async fn exists(&self, digest: &Digest, budget: &mut Budget) -> Result<bool> {
        let path = format!("blobs/{digest}");
        let call = Call { actions: "pull,push", ..Call::new(Method::HEAD, &self.repository, &path) };
        let answer = self.client.transport().call(&self.ctx, budget, &call).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            s if s.is_client_error() => Ok(false),
            _ => Err(answer.into_error().await),
        }
    }

    /// One try: what to do after a failure depends on the session, which the transport does not know.
    async fn once(&self, call: &Call<'_>) -> Result<Response> {
        self.client.transport().call(&self.ctx, &mut one_try(), call).await
    }

    /// Opens an upload for a blob that is still being made.
    pub(crate) async fn stream(&self) -> Result<StreamingUpload> {
        let session = self.start(None, self.client.budget()).await?;
        let session = session.ok_or_else(|| Error::new(Code::Protocol, "the registry mounted nothing we asked for"))?;
        let (tx, chunks) = channel(QUEUE);
        let (this, url) = (self.clone(), session.url.clone());
        let patch = self.client.place().engine.handle().spawn(async move {
            let call = Call::at(Method::PATCH, &this.repository, url)
                .header(CONTENT_TYPE, "application/octet-stream")?
                .body(Body::Once(Mutex::new(Some(chunks))));
            let answer =
                this.once(&call).await.and_then_status(&[StatusCode::ACCEPTED, StatusCode::NO_CONTENT]).await?;
            this.client.transport().resolve_location(&answer)
        });
        Ok(StreamingUpload { session, chunks: Some(tx), patch: Some(patch) })
    }
}

/// An open upload session. Dropped before it is done, it is given up: nobody will go on with it.
struct Session {
    up: Uploader,
    url: Url,
    open: bool,
}

impl Session {
    /// The registry closed it.
    fn done(mut self) {
        self.open = false;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        // In the background, and only as a courtesy.
        let (up, url) = (self.up.clone(), self.url.clone());
        self.up.client.place().engine.handle().spawn(async move {
            let call = Call::at(Method::DELETE, &up.repository, url);
            let _ = tokio::time::timeout(ABANDON, up.once(&call)).await;
        });
    }
}

/// A request for a session, which goes on for a moment when nobody waits for it any more.
struct Opening {
    engine: Arc<Engine>,
    request: Option<JoinHandle<Result<Option<Session>>>>,
}

impl Opening {
    async fn run(
        engine: &Arc<Engine>,
        request: impl Future<Output = Result<Option<Session>>> + Send + 'static,
    ) -> Result<Option<Session>> {
        let mut opening = Opening { engine: engine.clone(), request: Some(engine.handle().spawn(request)) };
        let Some(request) = &mut opening.request else { return Ok(None) };
        let opened = request.await;
        opening.request = None;
        opened.unwrap_or_else(|_| Err(Error::new(Code::InvalidState, "the library was shut down")))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(mut request) = self.request.take() {
            self.engine.handle().spawn(async move {
                if tokio::time::timeout(ABANDON, &mut request).await.is_err() {
                    request.abort();
                }
            });
        }
    }
}

/// A blob that goes up while it is made. Dropped unfinished, its session is given up.
pub(crate) struct StreamingUpload {
    session: Session,
    chunks: Option<Sender>,
    patch: Option<JoinHandle<Result<Url>>>,
}

impl StreamingUpload {
    /// The request ended: with the location to finish at, or why not.
    async fn patched(&mut self) -> Result<Url> {
        if let Some(chunks) = self.chunks.take() {
            let _ = chunks.finish().await; // if nobody listens any more, the request tells why
        }
        let gone = || Error::new(Code::InvalidState, "the upload was given up");
        let Some(patch) = &mut self.patch else { return Err(gone()) };
        let outcome = patch.await.map_err(|_| gone());
        self.patch = None;
        // A stream has no second try here; whoever feeds it may have one.
        outcome?
    }

    async fn finish(mut self: Box<Self>, blob: Descriptor) -> Result<Arc<dyn Source>> {
        let mut url = self.patched().await?;
        url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let up = self.session.up.clone();
        let call = Call::at(Method::PUT, &up.repository, url);
        let put = up.once(&call).await;
        if let Err(e) = put.and_then_status(&[StatusCode::CREATED, StatusCode::NO_CONTENT]).await
            && !up.exists(&blob.digest, &mut one_try()).await.unwrap_or(false)
        {
            return Err(e);
        }
        self.session.open = false;
        up.client.learn(&up.repository, &blob.digest);
        Ok(Arc::new(Remote { client: up.client.clone(), repository: up.repository.clone() }))
    }
}

impl BlobOut for StreamingUpload {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            let sent = match &self.chunks {
                Some(tx) => tx.send(chunk).await.is_ok(),
                None => false,
            };
            match sent {
                true => Ok(()),
                // The request ended before the blob did: what it says is the reason.
                false => Err(match self.patched().await {
                    Err(e) => e,
                    Ok(_) => {
                        Error::new(Code::Protocol, "the registry ended the upload early").retry_after(Duration::ZERO)
                    }
                }),
            }
        }
        .boxed()
    }
}

impl BlobWriter for StreamingUpload {
    fn commit(self: Box<Self>, blob: Descriptor) -> BoxFuture<'static, Result<Arc<dyn Source>>> {
        self.finish(blob).boxed()
    }
}

impl Drop for StreamingUpload {
    fn drop(&mut self) {
        if let Some(patch) = self.patch.take() {
            patch.abort();
        }
    }
}

/// For requests that belong to something larger, which has tries of its own.
fn one_try() -> Budget {
    Budget::new(1, Duration::ZERO)
}

/// Turns every status but the expected ones into the error it reports.
trait ExpectStatus {
    async fn and_then_status(self, expected: &[StatusCode]) -> Result<Response>;
}
impl ExpectStatus for Result<Response> {
    async fn and_then_status(self, expected: &[StatusCode]) -> Result<Response> {
        let answer = self?;
        match expected.contains(&answer.status()) {
            true => Ok(answer),
            false => Err(answer.into_error().await),
        }
    }
}

/// Puts a manifest under a tag or digest.
pub(crate) async fn put_manifest(up: &Uploader, identifier: &str, media_type: &str, bytes: Bytes) -> Result<()> {
    let path = format!("manifests/{identifier}");
    let call = Call::new(Method::PUT, &up.repository, &path)
        .header(CONTENT_TYPE, media_type)?
        .body(Body::Bytes(bytes.clone()));
    let answer = up.client.transport().call(&up.ctx, &mut up.client.budget(), &call).await;
    let answer = answer.and_then_status(&[StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED]).await?;
    let digest = HeaderName::from_static("docker-content-digest");
    if let Some(told) = answer.headers().get(digest).and_then(|v| v.to_str().ok())
        && let Ok(told) = told.parse::<Digest>()
        && Digest::of(told.algorithm(), &bytes) != told
    {
        let why = "the registry stored the manifest under another digest than its own";
        return Err(Error::new(Code::DigestMismatch, why).subject(told));
    }
    Ok(())
}
