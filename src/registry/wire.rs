//! The connection under hyper: plain or TLS, with a switch that ends it in a given manner and limits on how long a
//! peer may keep it without using it.

use futures_util::task::AtomicWaker;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// How long a new connection may take until its first request is there, and each later request's head.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a client may take no byte of what is there for it.
const WRITE_IDLE: Duration = Duration::from_secs(120);

/// Ends a connection from outside.
#[derive(Default)]
pub(super) struct Switch {
    mode: AtomicU8,
    used: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The peer sees "connection reset"; what was not sent yet is lost.
    Reset = 1,
    /// The peer sees an orderly end.
    Close = 2,
}

impl Switch {
    pub fn fire(&self, end: End) {
        self.mode.store(end as u8, Ordering::Release);
        self.waker.wake();
    }
    /// The first request arrived.
    pub fn used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }
}

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(super) struct Wire {
    stream: Stream,
    switch: Arc<Switch>,
    opening: Option<Pin<Box<Sleep>>>,
    blocked: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub fn new(stream: Stream, switch: Arc<Switch>) -> Wire {
        Wire { stream, switch, opening: Some(Box::pin(tokio::time::sleep(HEAD_TIME))), blocked: None }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.switch.waker.register(cx.waker());
        match self.switch.mode.load(Ordering::Acquire) {
            0 => Ok(()),
            mode => {
                if mode == End::Reset as u8 {
                    let tcp = match &self.stream {
                        Stream::Plain(tcp) => tcp,
                        Stream::Tls(tls) => tls.get_ref().0,
                    };
                    tcp.set_zero_linger()?;
                }
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    }

    /// hyper's own limit on heads starts only once the protocol is known.
    fn check_opening(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.switch.used.load(Ordering::Relaxed) {
            self.opening = None;
        }
        let late = self.opening.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.blocked = None;
            return result;
        }
        let sleep = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_IDLE)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let read = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if read.is_pending() {
            self.check_opening(cx)?;
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        };
        self.written(cx, written)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        };
        self.written(cx, written)
    }
    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let flushed = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        };
        self.written(cx, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
