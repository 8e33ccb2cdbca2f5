//! Connections, and what happens to a request before and after its work: log, faults, draining.

use super::body::{Content, Inbound, Outbound, Spoil};
use super::fault::Fault;
use super::log::Record;
use super::reply::{Answer, Refusal, Reply};
use super::route::{self, Route};
use super::wire::{End, HEAD_TIME, Stream, Switch, Wire};
use super::{Shared, auth};
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 4096;
/// Before the next try where the system gives no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// Bytes of a request's head.
const HEAD_MAX: u32 = 64 * 1024;
/// Bytes that are read from a connection at a time.
const READ_BUFFER: usize = 512 * 1024;
/// A stalled request is given up after so long, whoever still waits.
const STALL_MAX: Duration = Duration::from_secs(600);
/// What a fault takes for the length of an upload that doesn't tell its own.
const UNKNOWN_LENGTH: u64 = 1 << 20;

pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let tls = tls.map(tokio_rustls::TlsAcceptor::from);
    loop {
        let next = async {
            let permit = room.clone().acquire_owned().await.expect("nobody closes it");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            next = next => next,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (shared, tls) = (shared.clone(), tls.clone());
        shared.tasks.clone().spawn(async move {
            let connection = connection(&shared, tcp, tls);
            tokio::select! {
                biased;
                () = shared.kill.cancelled() => {}
                () = connection => {}
            }
            drop(permit);
        });
    }
}

/// Ends uploads that nobody finishes.
pub(super) async fn housekeeping(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let mut every = tokio::time::interval(shared.uploads.sweep_every());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = every.tick() => {
                // A disk that fails now is noticed by those who push to it.
                let _ = shared.uploads.sweep(&shared.store).await;
            }
        }
    }
}

async fn connection(shared: &Arc<Shared>, tcp: TcpStream, tls: Option<tokio_rustls::TlsAcceptor>) {
    let _ = tcp.set_nodelay(true);
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(tls) => match tokio::time::timeout(HEAD_TIME, tls.accept(tcp)).await {
            Ok(Ok(tls)) => Stream::Tls(Box::new(tls)),
            _ => return,
        },
    };
    let switch = Arc::new(Switch::default());
    let wire = Wire::new(stream, switch.clone());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_MAX)
        .adaptive_window(true)
        .keep_alive_interval(HEAD_TIME);
    let service = service_fn(|request| {
        switch.used();
        serve(shared.clone(), switch.clone(), request)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
    tokio::select! {
        biased;
        _ = connection.as_mut() => return, // how a connection ends is no news
        () = shared.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn serve(
    shared: Arc<Shared>,
    switch: Arc<Switch>,
    request: Request<Incoming>,
) -> Result<Response<Outbound>, Infallible> {
    let (parts, body) = request.into_parts();
    let record = shared.log.open(&parts);
    let mut open = CloseUnlessAnswered { shared: &shared, record: &record, answered: false };
    let mut inbound = Inbound::new(body, record.clone());
    let fault = shared.faults.pick(parts.method.as_str(), parts.uri.path());
    let fault = fault.map(|(fault, text)| {
        record.fault(text);
        fault.clone()
    });
    let (reply, fault) = match fault {
        None => (work(&shared, &parts, inbound, &record).await, None),
        Some(fault) => {
            if let Some(reply) = before(&shared, &parts, &mut inbound, &fault, &switch).await {
                let reply = route::finish(&shared, &parts, &record, reply);
                leave(&shared, inbound);
                (reply, None)
            } else {
                (work(&shared, &parts, inbound, &record).await, Some(fault))
            }
        }
    };
    if fault == Some(Fault::DropReply) {
        switch.fire(End::Reset);
        std::future::pending::<()>().await;
    }
    let spoil = spoil(&parts, &reply, fault, &switch);
    record.status.store(reply.status().as_u16(), Relaxed);
    open.answered = true;
    drop(open);
    Ok(reply.map(|content| Outbound::new(content, spoil, record, shared)))
}

/// The request itself. What may change something goes on when the client is gone: a broken upload keeps what arrived.
async fn work(shared: &Arc<Shared>, parts: &Parts, mut inbound: Inbound, record: &Arc<Record>) -> Reply {
    if parts.method == Method::GET || parts.method == Method::HEAD {
        let answer = route::handle(shared, parts, &mut inbound).await;
        leave(shared, inbound);
        return route::finish(shared, parts, record, answer);
    }
    let (task_shared, task_parts, task_record) = (shared.clone(), parts.clone(), record.clone());
    let task = shared.tasks.spawn(async move {
        let answer = route::handle(&task_shared, &task_parts, &mut inbound).await;
        leave(&task_shared, inbound);
        route::finish(&task_shared, &task_parts, &task_record, answer)
    });
    task.await.unwrap_or_else(|_| Refusal::new(500, "UNKNOWN", "the registry failed").reply())
}

/// A body that nobody read is read away while the answer is sent; a connection that is closed with bytes unread would
/// be reset, and the answer with it.
fn leave(shared: &Arc<Shared>, inbound: Inbound) {
    if !inbound.is_empty() {
        shared.tasks.spawn(inbound.drain());
    }
}

/// What a fault does before the request is performed; an answer if it is not to be.
async fn before(
    shared: &Arc<Shared>,
    parts: &Parts,
    inbound: &mut Inbound,
    fault: &Fault,
    switch: &Arc<Switch>,
) -> Option<Answer> {
    let download = parts.method == Method::GET;
    match fault {
        Fault::Delay(time) => tokio::time::sleep(*time).await,
        Fault::Status(status, after) => {
            let code = match status {
                401 => "UNAUTHORIZED",
                403 => "DENIED",
                429 => "TOOMANYREQUESTS",
                _ => "UNSUPPORTED",
            };
            let refusal = Refusal::new(*status, code, "a fault that was asked for");
            return Some(Err(match after {
                Some(seconds) => refusal.header(RETRY_AFTER, seconds.to_string()),
                None => refusal,
            }));
        }
        Fault::Expired => {
            let need = Route::parse(&parts.method, parts.uri.path()).map(|r| r.need(&parts.method));
            return Some(Err(shared.auth.expired(parts, &need.unwrap_or(auth::Need::Login))));
        }
        Fault::WrongDigest if !download && !inbound.is_empty() || parts.method == Method::PUT => {
            return Some(Err(Refusal::digest_invalid("provided digest did not match uploaded content")));
        }
        Fault::Stall if !download => {
            // Reading on is what lets us notice that the client has gone.
            let never = async {
                while let Some(Ok(_)) = inbound.chunk().await {}
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout(STALL_MAX, never).await;
            switch.fire(End::Close);
        }
        Fault::Reset(_) | Fault::Truncate => {
            let (percent, end) = match fault {
                Fault::Reset(percent) => (*percent, End::Reset),
                _ => (50, End::Close),
            };
            if !inbound.is_empty() {
                let length = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
                inbound.cut_after(share(length.unwrap_or(UNKNOWN_LENGTH), percent), switch.clone(), end);
            } else if !download {
                switch.fire(end);
                std::future::pending::<()>().await;
            }
        }
        _ => {}
    }
    None
}

/// What a fault does to the answer.
fn spoil(parts: &Parts, reply: &Reply, fault: Option<Fault>, switch: &Arc<Switch>) -> Spoil {
    let length = match reply.body() {
        Content::Empty => 0,
        _ => reply.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0),
    };
    let download = parts.method == Method::GET;
    match fault {
        Some(Fault::Reset(percent)) if download => Spoil::Cut(share(length, percent), switch.clone(), End::Reset),
        Some(Fault::Truncate) if download => Spoil::Cut(length / 2, switch.clone(), End::Close),
        Some(Fault::Stall) if download => Spoil::Stall(length / 2),
        Some(Fault::WrongDigest) if download && reply.status() != StatusCode::NOT_FOUND => Spoil::Flip(length / 2),
        _ => Spoil::Nothing,
    }
}

fn share(length: u64, percent: u8) -> u64 {
    // Sizes are far below 2^64 / 100, and if one were not, the share would only be less exact.
    length.checked_mul(percent.into()).map_or(length / 100 * u64::from(percent), |n| n / 100)
}

/// A client that goes away while its request is being worked on ends the request without an answer.
struct CloseUnlessAnswered<'a> {
    shared: &'a Shared,
    record: &'a Record,
    answered: bool,
}

impl Drop for CloseUnlessAnswered<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.log.close(self.record);
        }
    }
}
