//! Requests to a daemon: one connection each, over a socket or TCP, with limits on silence and on what is kept.
//!
//! Dropping an [`Answer`], or the future that waits for it, closes the connection, whatever was under way on it.

use super::host::{At, Host};
use crate::context::lock;
use crate::digest::shown;
use crate::error::{Code, Error, Result, invalid};
use crate::stream::{Chunks, Stats};
use crate::transport::{Activity, Stalled, Upload, await_headers};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// For a connection to come about, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a daemon may be silent over a question.
pub(super) const ANSWER: Duration = Duration::from_secs(60);
/// How long it may be silent over an image, which it copies on its disk before it says anything.
pub(super) const WORK: Duration = Duration::from_secs(15 * 60);
/// An answer that is kept in memory.
pub(super) const MAX_JSON: usize = 8 << 20;
/// The body of an error answer.
const MAX_ERROR: usize = 64 << 10;
/// How much of an error's text is shown.
const SHOWN: usize = 1 << 10;

/// What goes along with a request.
pub(super) enum Body {
    Empty,
    /// A tar, of a length that may be known.
    Tar(Option<u64>, Chunks),
}

/// Makes the requests.
#[derive(Clone)]
pub(super) struct Wire {
    pub host: Arc<Host>,
    pub stats: Arc<Stats>,
}

/// An answer whose headers are here.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    idle: Duration,
    host: Arc<Host>,
    stats: Arc<Stats>,
    _connection: Connection,
}

/// The task that moves the bytes; it ends with the answer.
struct Connection {
    task: tokio::task::AbortHandle,
    failure: Arc<Mutex<Option<hyper::Error>>>,
}

impl Connection {
    fn start(moving: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Connection {
        let failure = Arc::new(Mutex::new(None));
        let into = failure.clone();
        let task = tokio::spawn(async move { *lock(&into) = moving.await.err() });
        Connection { task: task.abort_handle(), failure }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Sends one request. `path` is escaped already. No side may be silent longer than `patience`; a body whose own
    /// source is slow is not the daemon's silence.
    ///
    /// Errors: `Unavailable` where nobody listens, `Denied` where we may not ask, `TimedOut`, `Tls`; the body's own.
    pub(super) async fn send(&self, method: Method, path: &str, body: Body, patience: Duration) -> Result<Answer> {
        self.stats.requests.add(1);
        let connected = tokio::time::timeout(CONNECT, self.connect()).await;
        let stream = connected.map_err(|_| self.error(Code::TimedOut, "no connection in time"))??;
        let activity = Arc::new(Activity::new());
        let has_body = !matches!(method, Method::GET | Method::HEAD);
        let (len, chunks) = match body {
            Body::Empty => (has_body.then_some(0), Chunks::from_bytes(Bytes::new())),
            Body::Tar(len, chunks) => (len, chunks),
        };
        let mut request =
            Request::new(Upload::new(chunks, activity.clone(), self.stats.clone(), len.or((!has_body).then_some(0))));
        *request.method_mut() = method;
        let target = format!("{}{path}", self.host.base);
        *request.uri_mut() = target.parse().map_err(|_| invalid("not a path of a URL").subject(shown(&target)))?;
        let headers = request.headers_mut();
        let header =
            |text: &str| http::HeaderValue::from_str(text).map_err(|_| invalid("not a host").subject(shown(text)));
        headers.insert(HOST, header(&self.host.authority)?);
        headers.insert(USER_AGENT, http::HeaderValue::from_static(concat!("parbuckle/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONNECTION, http::HeaderValue::from_static("close"));
        if let Some(len) = len {
            headers.insert(CONTENT_LENGTH, len.into());
        }
        if len != Some(0) && has_body {
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-tar"));
        }
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(Listening { stream, deaf: false })).await;
        let (mut sender, connection) = shaken.map_err(|e| self.broken(&e))?;
        let connection = Connection::start(connection);
        let answer = await_headers(sender.send_request(request), (patience, patience), &activity).await;
        let answer = answer.map_err(|Stalled| self.error(Code::TimedOut, "no answer in time"))?;
        // What broke off the body is why there is no answer.
        let answer = answer.map_err(|e| {
            let deeper = lock(&connection.failure).take().filter(|_| e.is_canceled());
            activity.failure().unwrap_or_else(|| self.broken(deeper.as_ref().unwrap_or(&e)))
        })?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            idle: patience,
            host: self.host.clone(),
            stats: self.stats.clone(),
            _connection: connection,
        })
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        match &self.host.at {
            At::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| self.unreached(&e))?;
                Ok(Box::new(stream))
            }
            At::Tcp(host, port, tls) => {
                let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(|e| self.unreached(&e))?;
                let _ = tcp.set_nodelay(true); // slower without, not wrong
                let Some(tls) = tls else { return Ok(Box::new(tcp)) };
                let connector = tokio_rustls::TlsConnector::from(tls.config.clone());
                let secure = connector.connect(tls.name.clone(), tcp).await;
                let secure = secure.map_err(|e| {
                    let tls = e.get_ref().is_some_and(|e| e.is::<rustls::Error>());
                    let code = if tls { Code::Tls } else { Code::Unavailable };
                    self.error(code, &format!("no trusted connection: {}", shown(&e.to_string())))
                })?;
                Ok(Box::new(secure))
            }
        }
    }

    fn error(&self, code: Code, why: &str) -> Error {
        Error::new(code, why).subject(&self.host.name)
    }

    fn unreached(&self, e: &std::io::Error) -> Error {
        let code = match e.kind() {
            ErrorKind::PermissionDenied => Code::Denied,
            ErrorKind::InvalidInput => Code::InvalidArgument, // a path that is too long for a socket
            ErrorKind::TimedOut => Code::TimedOut,
            _ => Code::Unavailable,
        };
        let error = self.error(code, &format!("the daemon can't be reached: {e}"));
        match e.raw_os_error() {
            Some(n) => error.os_code(n),
            None => error,
        }
    }

    fn broken(&self, e: &hyper::Error) -> Error {
        broken(&self.host, e)
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    /// How long the body says it is.
    pub(super) fn len(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// This answer if it is a good one, else what it reports; `subject` is what was asked for.
    pub(super) async fn good(self, subject: &str) -> Result<Answer> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(self.into_error(subject).await),
        }
    }

    /// The body as it comes. It fails where it stands still or breaks off.
    pub(super) fn chunks(self) -> Chunks {
        Chunks::unfold(self, |mut answer| async move {
            loop {
                let next = tokio::time::timeout(answer.idle, answer.body.frame()).await;
                let next =
                    next.map_err(|_| Error::new(Code::TimedOut, "the answer stood still").subject(&answer.host.name))?;
                let Some(frame) = next else { return Ok(None) };
                let frame = frame.map_err(|e| broken(&answer.host, &e))?;
                if let Ok(data) = frame.into_data() {
                    answer.stats.downloaded.add(data.len() as u64);
                    return Ok(Some((data, answer)));
                }
            }
        })
    }

    /// The whole body: a document.
    pub(super) async fn json(self) -> Result<Bytes> {
        let name = self.host.name.clone();
        self.chunks().collect(MAX_JSON).await.map_err(|e| e.or_subject(&name))
    }

    /// The failure that it reports, in the daemon's own words.
    async fn into_error(self, subject: &str) -> Error {
        let status = self.status;
        let body = tokio::time::timeout(Duration::from_secs(5), self.chunks().collect(MAX_ERROR)).await;
        let message = body.ok().and_then(Result::ok).map(|b| message(&b)).unwrap_or_default();
        let code = match status.as_u16() {
            400 if message.contains("client version") => Code::Unsupported,
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::Denied,
            404 => Code::NotFound,
            405 | 501 => Code::Unsupported,
            408 | 504 => Code::TimedOut,
            409 => Code::InvalidState,
            413 => Code::LimitExceeded,
            429 => Code::RateLimited,
            500..=599 => Code::Unavailable,
            _ => Code::Protocol,
        };
        let mut text = format!("the daemon answered {}", status.as_u16());
        if !message.is_empty() {
            text = format!("{text}: {message}");
        }
        Error::new(code, text).subject(subject).http_status(status.as_u16())
    }
}

/// What an error body says: Docker's `{"message": …}`, or the text itself.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Told {
        message: String,
    }
    let text = match serde_json::from_slice::<Told>(body) {
        Ok(told) => told.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    printable(&text)
}

/// A daemon's words, which may hold an image's, for people.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim().chars().take(SHOWN).map(shown).collect()
}

fn broken(host: &Host, e: &hyper::Error) -> Error {
    let (mut text, mut os_code, mut tls) = (e.to_string(), None, false);
    let mut at = std::error::Error::source(e);
    while let Some(cause) = at {
        text = cause.to_string();
        tls |= cause.is::<rustls::Error>();
        at = match cause.downcast_ref::<std::io::Error>() {
            Some(io) => {
                os_code = os_code.or(io.raw_os_error());
                io.get_ref().map(|inner| inner as _) // what it wraps is not among its sources
            }
            None => cause.source(),
        };
    }
    let text = shown(&text);
    let error = match () {
        () if e.is_parse() => {
            Error::new(Code::Protocol, format!("what listens there does not speak HTTP as a daemon does: {text}"))
        }
        () if tls => Error::new(Code::Tls, format!("the daemon does not trust us, or its TLS is broken: {text}")),
        () => Error::new(Code::Unavailable, format!("the connection to the daemon broke: {text}")),
    };
    let error = error.subject(&host.name);
    match os_code {
        Some(n) => error.os_code(n),
        None => error,
    }
}

/// A connection whose other side may have enough before we have said everything. What can't be written then is not
/// the failure: the answer that was sent before, or the end of the connection, is what counts.
struct Listening {
    stream: Box<dyn Stream>,
    deaf: bool,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        if !self.deaf {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
            match written {
                Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => self.deaf = true,
                other => return Poll::Ready(other),
            }
        }
        Poll::Pending // whoever reads is woken by the answer or the end
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        match self.deaf {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection of any kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::host::Environment;
    use crate::engine::Engine;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use rustls::server::WebPkiClientVerifier;
    use std::path::Path;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// An authority, and certificates of it: for a server on this machine and for a client.
    struct Authority {
        pem: String,
        server: (String, String),
        client: (String, String),
    }

    fn authority() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::from_params(&params, &key);
        let issue = |usage: ExtendedKeyUsagePurpose| {
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (server, client) = (issue(ExtendedKeyUsagePurpose::ServerAuth), issue(ExtendedKeyUsagePurpose::ClientAuth));
        Authority { pem, server, client }
    }

    /// A folder as DOCKER_CERT_PATH names one.
    fn folder(ca: &str, client: Option<&(String, String)>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", ca);
        if let Some((cert, key)) = client {
            write("cert.pem", cert);
            write("key.pem", key);
        }
        folder
    }

    /// A daemon that lets nobody in without a certificate of this authority; its address.
    async fn secure(a: &Authority) -> String {
        use rustls_pki_types::pem::PemObject;
        let certificate = |pem: &str| rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate(&a.pem)).unwrap();
        let known = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(a.server.1.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(known)
            .with_single_cert(vec![certificate(&a.server.0)], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
                let _ = stream.shutdown().await;
            }
        });
        format!("tcp://{at}")
    }

    async fn ask(host: &str, certificates: &Path) -> Result<Bytes> {
        let host = Arc::new(Environment::with_certificates(certificates).host(Some(host))?);
        let wire = Wire { host, stats: Arc::default() };
        wire.send(Method::GET, "/x", Body::Empty, ANSWER).await?.json().await
    }

    #[test]
    fn tls_is_verified_both_ways() {
        let (ours, other) = (authority(), authority());
        Engine::get().unwrap().handle().block_on(async {
            let host = secure(&ours).await;
            let good = folder(&ours.pem, Some(&ours.client));
            assert_eq!(ask(&host, good.path()).await.unwrap(), "hi");
            let distrusted = folder(&other.pem, Some(&ours.client));
            let e = ask(&host, distrusted.path()).await.unwrap_err();
            assert_eq!((e.code(), e.get_subject()), (Code::Tls, Some(host.as_str())), "{e}");
            for nobody in [folder(&ours.pem, None), folder(&ours.pem, Some(&other.client))] {
                let e = ask(&host, nobody.path()).await.unwrap_err();
                assert_eq!(e.code(), Code::Tls, "{e}");
            }
        });
    }

    #[test]
    fn silence_has_an_end_and_a_slow_source_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let engine = Engine::get().unwrap();
        engine.handle().block_on(async {
            let listener = tokio::net::UnixListener::bind(&path).unwrap();
            tokio::spawn(async move {
                let mut held = Vec::new();
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut buf = vec![0; 1 << 20];
                    let mut seen = String::new();
                    while !seen.ends_with("\r\n\r\n") {
                        let n = stream.read(&mut buf).await.unwrap();
                        seen += &String::from_utf8_lossy(&buf[..n]);
                        if seen.contains("GET /half") {
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await;
                        }
                        if seen.contains("POST /slow") && seen.ends_with("0\r\n\r\n") {
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
                        }
                        if seen.contains("POST /slow") && !seen.ends_with("\r\n0\r\n\r\n") {
                            seen.push(' '); // the headers are not the end of it
                        }
                    }
                    held.push(stream);
                }
            });
            let host = Environment::default().host(Some(&format!("unix://{}", path.display()))).unwrap();
            let wire = Wire { host: Arc::new(host), stats: Arc::default() };
            let short = Duration::from_millis(150);
            let e = wire.send(Method::GET, "/silent", Body::Empty, short).await.err().unwrap();
            assert_eq!((e.code(), e.get_subject()), (Code::TimedOut, Some(&*wire.host.name)));
            let e = wire.send(Method::GET, "/half", Body::Empty, short).await.unwrap().json().await.unwrap_err();
            assert_eq!(e.code(), Code::TimedOut);
            let slow = Chunks::unfold(0, |i| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok((i < 5).then(|| (Bytes::from_static(b"x"), i + 1)))
            });
            let answer = wire.send(Method::POST, "/slow", Body::Tar(None, slow), short).await.unwrap();
            assert_eq!(answer.json().await.unwrap(), "hi");
            let failing =
                Chunks::from_stream(futures_util::stream::iter([Err(Error::new(Code::Io, "disk").subject("f"))]));
            let e = wire.send(Method::POST, "/slow", Body::Tar(None, failing), ANSWER).await.err().unwrap();
            assert_eq!((e.code(), e.get_subject()), (Code::Io, Some("f")));
        });
    }

    #[test]
    fn a_socket_that_is_not_ours_is_denied() {
        let host = Environment::default().host(Some("unix:///run/s")).unwrap();
        let wire = Wire { host: Arc::new(host), stats: Arc::default() };
        let e = wire.unreached(&std::io::Error::from_raw_os_error(libc::EACCES));
        let facts = (e.code(), e.get_subject(), e.get_os_code());
        assert_eq!(facts, (Code::Denied, Some("unix:///run/s"), Some(libc::EACCES)));
    }

    #[test]
    fn words_of_a_daemon_are_printable() {
        assert_eq!(message(b"{\"message\":\" a\\nb\\u001bc \"}"), "a b\u{fffd}c");
        assert_eq!(message(b"plain"), "plain");
        assert_eq!(message(&[b'x'; 5000]).len(), SHOWN);
    }
}
