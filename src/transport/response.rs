//! Answers: their bodies within limits, and their failures in our words.

use crate::digest::shown;
use crate::error::{Code, Error, Result};
use crate::stream::{Chunks, Stats};
use crate::transport::redact::redacted;
use crate::transport::settings::{Settings, limits};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};
use url::Url;

/// Slower than this many bytes in this time counts as standing still.
const CRAWL: (u64, Duration) = (20 << 10, Duration::from_secs(20));

/// An answer whose headers are here.
pub(crate) struct Response {
    inner: reqwest::Response,
    registry: String,
    from_registry: bool,
    idle: Duration,
    stats: Arc<Stats>,
}

impl Response {
    pub(crate) fn new(
        inner: reqwest::Response,
        registry: &str,
        from_registry: bool,
        settings: &Settings,
        stats: Arc<Stats>,
    ) -> Response {
        Response { inner, registry: registry.to_owned(), from_registry, idle: settings.idle, stats }
    }
    pub(crate) fn status(&self) -> StatusCode {
        self.inner.status()
    }
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }
    pub(crate) fn url(&self) -> &Url {
        self.inner.url()
    }
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }
    /// Whether the registry itself answered, not a place it redirected to.
    pub(crate) fn is_from_registry(&self) -> bool {
        self.from_registry
    }
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }
    /// A TLS server that was spoken to plainly says so with this status and nothing a registry would say.
    pub(crate) fn speaks_https_only(&self) -> bool {
        self.status() == StatusCode::BAD_REQUEST && self.url().scheme() == "http" && !self.is_json()
    }
    fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|t| t.contains("json"))
    }

    pub(crate) fn protocol_error(&self, why: &str) -> Error {
        Error::new(Code::Protocol, why.to_owned()).subject(redacted(self.url())).http_status(self.status().as_u16())
    }

    /// The whole body, if it is no larger than `limit`.
    pub(crate) async fn bytes(self, limit: u64, what: &str) -> Result<Bytes> {
        let url = redacted(self.url());
        let too_large =
            || Error::new(Code::LimitExceeded, format!("{what} is larger than {limit} bytes")).subject(&url);
        if self.content_length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let mut chunks = self.chunks();
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await? {
            if (whole.len() + chunk.len()) as u64 > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }

    /// The body as it comes. A body that stands still, or crawls, is an error worth another try.
    pub(crate) fn chunks(self) -> Chunks {
        let url = self.url().clone();
        let Response { inner, idle, stats, .. } = self;
        let window = (Duration::ZERO, 0u64); // only the time in which somebody waits here counts
        Chunks::from_stream(futures_util::stream::try_unfold((inner, window), move |(mut inner, mut window)| {
            let (url, stats) = (url.clone(), stats.clone());
            async move {
                let stalled = || stalled(&url, "the body stood still");
                let asked = Instant::now();
                let next = tokio::time::timeout(idle, inner.chunk()).await.map_err(|_| stalled())?;
                let Some(chunk) = next.map_err(|e| network_error(e, &url, None))? else { return Ok(None) };
                stats.downloaded.add(chunk.len() as u64);
                window = (window.0 + asked.elapsed(), window.1 + chunk.len() as u64);
                if window.0 > CRAWL.1 {
                    if window.1 < CRAWL.0 {
                        return Err(stalled());
                    }
                    window = (Duration::ZERO, 0);
                }
                Ok(Some((chunk, (inner, window))))
            }
        }))
    }

    /// The failure that this answer reports, by its status and the registry's own words (distribution spec,
    /// "Error Codes").
    pub(crate) async fn into_error(self) -> Error {
        let status = self.status();
        let url = redacted(self.url());
        let delay = super::retry::asked_delay(self.headers());
        let body = match self.inner.content_length() {
            Some(n) if n > limits::ERROR => Bytes::new(),
            _ => tokio::time::timeout(Duration::from_secs(5), self.bytes(limits::ERROR, "the error's text"))
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default(),
        };
        let told = Told::parse(&body);
        let code = match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::Denied,
            404 => Code::NotFound,
            405 | 501 => Code::Unsupported,
            408 | 504 => Code::TimedOut,
            413 => Code::LimitExceeded,
            429 => Code::RateLimited,
            500..=599 => Code::Unavailable,
            _ => match told.code.as_deref() {
                Some("DIGEST_INVALID" | "SIZE_INVALID") => Code::DigestMismatch,
                Some("MANIFEST_INVALID" | "NAME_INVALID" | "TAG_INVALID") => Code::Malformed,
                Some("DENIED") => Code::Denied,
                _ => Code::Protocol,
            },
        };
        let mut text = format!("the registry answered {}", status.as_u16());
        for part in [told.code.as_deref(), told.message.as_deref()].into_iter().flatten() {
            text.push_str(": ");
            text.push_str(part);
        }
        let mut error = Error::new(code, text).subject(url).http_status(status.as_u16());
        if let Some(code) = told.code {
            error = error.registry_code(code);
        }
        if super::retry::is_worth_it(status) {
            error = error.retry_after(delay.unwrap_or(Duration::ZERO));
        }
        error
    }
}

/// What an error body says.
#[derive(Default)]
struct Told {
    code: Option<String>,
    message: Option<String>,
}

impl Told {
    fn parse(body: &[u8]) -> Told {
        #[derive(serde::Deserialize)]
        struct Body {
            errors: Vec<One>,
        }
        #[derive(serde::Deserialize)]
        struct One {
            code: Option<String>,
            message: Option<String>,
        }
        let short = |text: String| shown(&text.chars().take(limits::SHOWN).collect::<String>());
        match serde_json::from_slice::<Body>(body).ok().and_then(|b| b.errors.into_iter().next()) {
            Some(one) => Told { code: one.code.map(short), message: one.message.map(short).filter(|m| !m.is_empty()) },
            None => Told::default(),
        }
    }
}

/// What a request body did last, seen from the side that waits for the answer.
pub(crate) struct Activity {
    started: Instant,
    last_ms: AtomicU64,
    body_done: AtomicBool,
    /// The body waits for its source, not for the network.
    starved: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Activity {
    pub(crate) fn new() -> Activity {
        Activity {
            started: Instant::now(),
            last_ms: AtomicU64::new(0),
            body_done: true.into(), // until there is one
            starved: false.into(),
            failure: Mutex::new(None),
        }
    }
    fn touch(&self) {
        self.last_ms.store(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
    fn quiet_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Relaxed)))
    }
    /// Why the body could not be read, if it was that which broke the request.
    pub(crate) fn failure(&self) -> Option<Error> {
        crate::context::lock(&self.failure).take()
    }
}

/// Waits for the headers as long as the upload moves, and `first_byte` after its end.
pub(crate) async fn await_headers<T, E>(
    sending: impl Future<Output = Result<T, E>>,
    (first_byte, idle): (Duration, Duration),
    activity: &Activity,
) -> Result<Result<T, E>, Stalled> {
    tokio::pin!(sending);
    loop {
        let patience = if activity.body_done.load(Relaxed) { first_byte } else { first_byte.max(idle) };
        if activity.starved.load(Relaxed) {
            activity.touch();
        }
        let left = patience.saturating_sub(activity.quiet_for());
        if left.is_zero() {
            return Err(Stalled);
        }
        tokio::select! {
            done = &mut sending => return Ok(done),
            () = tokio::time::sleep(left) => {}
        }
    }
}

/// No header came in time.
pub(crate) struct Stalled;

/// An [`Upload`] as reqwest takes it.
pub(crate) fn upload_body(
    chunks: Chunks,
    activity: Arc<Activity>,
    stats: Arc<Stats>,
    len: Option<u64>,
) -> reqwest::Body {
    reqwest::Body::wrap(Upload::new(chunks, activity, stats, len))
}

/// A request body that tells of its activity, counts what leaves and knows its length, for any HTTP client.
pub(crate) struct Upload {
    /// In a lock that nobody ever takes, since reqwest wants what it sends to be shareable.
    chunks: Mutex<Chunks>,
    activity: Arc<Activity>,
    stats: Arc<Stats>,
    left: Option<u64>,
}

impl Upload {
    pub(crate) fn new(chunks: Chunks, activity: Arc<Activity>, stats: Arc<Stats>, len: Option<u64>) -> Upload {
        activity.body_done.store(len == Some(0), Relaxed);
        Upload { chunks: Mutex::new(chunks), activity, stats, left: len }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>>>> {
        let this = &mut *self;
        let chunks = this.chunks.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let polled = Pin::new(chunks).poll_next(cx);
        this.activity.starved.store(polled.is_pending(), Relaxed);
        let next = ready!(polled);
        this.activity.touch();
        Poll::Ready(match next {
            Some(Ok(chunk)) => {
                this.stats.uploaded.add(chunk.len() as u64);
                this.left = this.left.map(|left| left.saturating_sub(chunk.len() as u64));
                this.activity.body_done.store(this.left == Some(0), Relaxed);
                Some(Ok(http_body::Frame::data(chunk)))
            }
            Some(Err(e)) => {
                *crate::context::lock(&this.activity.failure) = Some(e.clone());
                Some(Err(e))
            }
            None => {
                this.activity.body_done.store(true, Relaxed);
                None
            }
        })
    }
    fn size_hint(&self) -> http_body::SizeHint {
        self.left.map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}

fn stalled(url: &Url, why: &str) -> Error {
    Error::new(Code::TimedOut, why.to_owned()).subject(redacted(url)).retry_after(Duration::ZERO)
}

/// What the network did, in our words. Worth another try unless nobody could be reached at all.
pub(crate) trait NetworkFailure {
    fn into_network_error(self, url: &Url, body: Option<Error>) -> Error;
}
pub(crate) fn network_error(e: impl NetworkFailure, url: &Url, body: Option<Error>) -> Error {
    e.into_network_error(url, body)
}

impl NetworkFailure for Stalled {
    fn into_network_error(self, url: &Url, _: Option<Error>) -> Error {
        stalled(url, "no answer came in time")
    }
}

impl NetworkFailure for reqwest::Error {
    fn into_network_error(self, url: &Url, body: Option<Error>) -> Error {
        if let Some(own) = body {
            return own; // the host's stream failed, or the file: not the network
        }
        let mut at: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&self);
        let mut os_code = None;
        let mut text = String::new();
        let (mut tls, mut own, mut refused, mut foreign) = (false, None, false, false);
        while let Some(e) = at {
            text = e.to_string();
            if let Some(e) = e.downcast_ref::<rustls::Error>() {
                tls = true;
                foreign = matches!(e, rustls::Error::InvalidMessage(_));
            }
            foreign |= e.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
            own = own.or_else(|| e.downcast_ref::<Error>().cloned());
            at = match e.downcast_ref::<std::io::Error>() {
                Some(io) => {
                    os_code = os_code.or(io.raw_os_error());
                    refused |= io.kind() == std::io::ErrorKind::ConnectionRefused;
                    io.get_ref().map(|inner| inner as _) // what it wraps is not among its sources
                }
                None => e.source(),
            };
        }
        if let Some(own) = own {
            return own.or_subject(redacted(url));
        }
        let host = url.host_str().unwrap_or_default();
        let text = shown(&text); // a certificate's names are the peer's to choose
        let error = match () {
            () if foreign => Error::new(Code::Protocol, format!("{host} does not speak {}: {text}", url.scheme())),
            () if tls => Error::new(Code::Tls, format!("no trusted connection to {host}: {text}")),
            () if self.is_timeout() && self.is_connect() => {
                Error::new(Code::TimedOut, format!("no connection to {host} in time"))
            }
            () if refused => Error::new(Code::Unavailable, format!("{host} refused the connection")),
            () if self.is_connect() => Error::new(Code::Unavailable, format!("no connection to {host}: {text}")),
            () => Error::new(Code::Unavailable, format!("the connection to {host} broke: {text}"))
                .retry_after(Duration::ZERO),
        };
        let error = error.subject(redacted(url));
        match os_code {
            Some(n) => error.os_code(n),
            None => error,
        }
    }
}
