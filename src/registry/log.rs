//! The request log: the last requests, each with what came of it, one JSON object per line.
//!
//! A request is in the log from its first moment, so that whoever looks sees also those that hang. No header but the
//! user agent gets in, so no credentials do.

use crate::context::lock;
use crate::digest::shown;
use crate::engine::Engine;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// Requests that are remembered; older ones are dropped.
pub(super) const LOG_LINES: usize = 10_000;
/// Lines that may wait for a slow sink; what doesn't fit is counted and left out.
const SINK_QUEUE: usize = 65_536;

/// One request.
pub(super) struct Record {
    n: u64,
    method: String,
    path: String,
    query: Option<String>,
    user_agent: Option<String>,
    started: Instant,
    pub status: AtomicU16,
    pub sent: AtomicU64,
    pub received: AtomicU64,
    micros: AtomicU64,
    done: AtomicBool,
    fault: OnceLock<String>,
    error: OnceLock<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    /// 0 until the answer begins, and where none ever did.
    status: u16,
    sent: u64,
    received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    ms: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    running: bool,
}

impl Record {
    /// Names the fault that was played on this request.
    pub fn fault(&self, text: &str) {
        let _ = self.fault.set(text.to_owned());
    }
    /// Notes a failure of the server itself, which the client is not told in full.
    pub fn error(&self, e: &Error) {
        let _ = self.error.set(e.to_string());
    }
    fn line(&self) -> String {
        let done = self.done.load(Relaxed);
        let micros = if done { self.micros.load(Relaxed) } else { micros(self.started) };
        let line = Line {
            n: self.n,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            status: self.status.load(Relaxed),
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
            user_agent: self.user_agent.as_deref(),
            fault: self.fault.get().map(String::as_str),
            error: self.error.get().map(String::as_str),
            ms: micros as f64 / 1000.0,
            running: !done,
        };
        serde_json::to_string(&line).unwrap_or_default() // strings and numbers always serialise
    }
}

/// The log.
pub(super) struct Log {
    records: Mutex<(u64, VecDeque<Arc<Record>>)>,
    sink: Option<SyncSender<Message>>,
    lost: AtomicU64,
}

enum Message {
    Line(String),
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// Where lines go besides memory.
pub(super) type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

impl Log {
    pub fn new(engine: &Engine, sink: Option<Sink>) -> Result<Log> {
        let sink = match sink {
            None => None,
            Some(sink) => {
                let (tx, rx) = sync_channel(SINK_QUEUE);
                // A sink may block for as long as it likes, so it has a thread to itself.
                engine.callback(move || write_out(&sink, &rx))?;
                Some(tx)
            }
        };
        Ok(Log { records: Mutex::default(), sink, lost: AtomicU64::new(0) })
    }

    /// Enters a request.
    pub fn open(&self, parts: &http::request::Parts) -> Arc<Record> {
        let agent = parts.headers.get(http::header::USER_AGENT).map(|v| shown(&String::from_utf8_lossy(v.as_bytes())));
        let mut records = lock(&self.records);
        records.0 += 1;
        let record = Arc::new(Record {
            n: records.0,
            method: shown(parts.method.as_str()),
            path: cut(parts.uri.path()),
            query: parts.uri.query().map(cut),
            user_agent: agent,
            started: Instant::now(),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            done: AtomicBool::new(false),
            fault: OnceLock::new(),
            error: OnceLock::new(),
        });
        if records.1.len() >= LOG_LINES {
            records.1.pop_front();
        }
        records.1.push_back(record.clone());
        record
    }

    /// The request is over: its line goes to the sink.
    pub fn close(&self, record: &Record) {
        record.micros.store(micros(record.started), Relaxed);
        if record.done.swap(true, Relaxed) {
            return;
        }
        let Some(sink) = &self.sink else { return };
        let mut line = record.line();
        let lost = self.lost.swap(0, Relaxed);
        if lost > 0 {
            line = format!("{{\"lost\":{lost}}}\n{line}");
        }
        if sink.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(lost + 1, Relaxed);
        }
    }

    pub fn lines(&self) -> Vec<String> {
        let records: Vec<_> = lock(&self.records).1.iter().cloned().collect();
        records.iter().map(|r| r.line()).collect()
    }

    /// Waits until the sink has what was sent so far.
    pub async fn flush(&self) {
        if let Some(sink) = &self.sink {
            let (tx, rx) = tokio::sync::oneshot::channel();
            if sink.try_send(Message::Flush(tx)).is_ok() {
                let _ = rx.await;
            }
        }
    }
}

fn write_out(sink: &Sink, lines: &Receiver<Message>) {
    while let Ok(first) = lines.recv() {
        let mut sink = lock(sink);
        for message in std::iter::once(first).chain(lines.try_iter()) {
            match message {
                // A sink that is gone is no reason to stop serving.
                Message::Line(line) => drop(writeln!(sink, "{line}")),
                Message::Flush(done) => {
                    let _ = sink.flush();
                    let _ = done.send(());
                }
            }
        }
        let _ = sink.flush();
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// URLs can be long.
fn cut(text: &str) -> String {
    text.chars().take(2048).collect()
}
