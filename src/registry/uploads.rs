//! Upload sessions: started, fed in order, looked at, finished or cancelled; and ended when nobody comes back.
//!
//! A session belongs to one request at a time. A newer request that sends bytes takes it over: the older one's client
//! is most likely gone, and only the network doesn't know yet. What arrived before a connection broke is kept, and the
//! status tells the client where to go on. A finishing request whose digest is wrong ends the session, because nobody
//! can tell which of its bytes are the bad ones.

use super::body::Inbound;
use super::reply::{Answer, DIGEST, Refusal, Reply, UPLOAD_ID, empty, set};
use super::route::{Query, check_name};
use super::store::{BLOCK, Open, Part, Store};
use super::{Shared, blobs};
use crate::context::lock;
use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use http::request::Parts;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::MutexGuard;
use tokio_util::sync::CancellationToken;

/// Sessions that may be open at once.
pub(super) const UPLOADS_MAX: usize = 10_000;
/// A session that nobody used for so long is ended and its bytes are freed.
pub(super) const UPLOAD_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// Bytes that may wait in memory, per upload, for the disk.
const BACKLOG: usize = 4 * BLOCK;
/// How long a status waits for a request that is just ending.
const STATUS_WAIT: Duration = Duration::from_secs(1);

/// All open sessions.
pub(super) struct Uploads {
    table: Mutex<HashMap<String, Arc<Session>>>,
    limit: usize,
    expiry: Duration,
}

pub(super) struct Session {
    id: String,
    repository: String,
    /// `None` once it is finished or cancelled.
    part: tokio::sync::Mutex<Option<Part>>,
    size: AtomicU64,
    touched: Mutex<SystemTime>,
    /// Ends the request that has the session.
    holder: Mutex<CancellationToken>,
}

impl Uploads {
    pub fn new(limit: usize, expiry: Duration, open: Vec<Open>) -> Uploads {
        let sessions = open.into_iter().map(|o| {
            let session = Session {
                size: AtomicU64::new(o.part.size),
                part: tokio::sync::Mutex::new(Some(o.part)),
                repository: o.repository,
                touched: Mutex::new(o.touched),
                holder: Mutex::default(),
                id: o.id.clone(),
            };
            (o.id, Arc::new(session))
        });
        Uploads { table: Mutex::new(sessions.collect()), limit, expiry }
    }

    fn find(&self, repository: &str, id: &str) -> Answer<Arc<Session>> {
        let found = lock(&self.table).get(id).cloned();
        found.filter(|s| s.repository == repository).ok_or_else(Refusal::upload_unknown)
    }

    async fn open(&self, store: &Store, repository: String, algorithm: Algorithm) -> Answer<Arc<Session>> {
        if lock(&self.table).len() >= self.limit {
            self.sweep(store).await?;
        }
        if lock(&self.table).len() >= self.limit {
            return Err(Refusal::new(429, "TOOMANYREQUESTS", "too many uploads are open"));
        }
        let id = new_id()?;
        let (of, name) = (id.clone(), repository.clone());
        let part = store.run(move |s| s.begin(&of, &name, algorithm)).await?;
        let open = Open { id: id.clone(), repository, part, touched: SystemTime::now() };
        let session = Uploads::new(0, self.expiry, vec![open]).table;
        let session = session.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id);
        let session = session.ok_or_else(|| Error::new(Code::Internal, "an upload got lost"))?;
        lock(&self.table).insert(id, session.clone());
        Ok(session)
    }

    /// Ends the sessions that nobody used for too long.
    pub async fn sweep(&self, store: &Store) -> Result<()> {
        let now = SystemTime::now();
        let old = |s: &Arc<Session>| now.duration_since(*lock(&s.touched)).is_ok_and(|age| age >= self.expiry);
        let due: Vec<_> = lock(&self.table).values().filter(|s| old(s)).cloned().collect();
        for session in due {
            // One that a request holds is in use, however long ago it was touched.
            if let Ok(mut part) = session.part.try_lock() {
                self.end(store, &session, &mut part).await?;
            }
        }
        Ok(())
    }

    /// How often to look for sessions that are due.
    pub fn sweep_every(&self) -> Duration {
        (self.expiry / 4).clamp(Duration::from_millis(50), Duration::from_secs(60))
    }

    async fn end(&self, store: &Store, session: &Session, part: &mut Option<Part>) -> Result<()> {
        lock(&self.table).remove(&session.id);
        let Some(part) = part.take() else { return Ok(()) };
        let id = session.id.clone();
        store.run(move |s| s.discard(&id, part)).await
    }
}

impl Session {
    /// The session's bytes, for this request alone.
    async fn take_over(&self) -> Answer<(MutexGuard<'_, Option<Part>>, CancellationToken)> {
        let mine = CancellationToken::new();
        std::mem::replace(&mut *lock(&self.holder), mine.clone()).cancel();
        let part = self.part.lock().await;
        match part.is_some() {
            true => Ok((part, mine)),
            false => Err(Refusal::upload_unknown()),
        }
    }

    /// Gives the bytes back for the next request.
    fn put_back(&self, slot: &mut Option<Part>, mut part: Part) {
        part.rest();
        self.size.store(part.size, Relaxed);
        *lock(&self.touched) = SystemTime::now();
        *slot = Some(part);
    }

    fn reply(&self, status: StatusCode) -> Reply {
        let mut reply = empty(status);
        for (name, value) in self.headers() {
            set(&mut reply, name, &value);
        }
        reply
    }

    fn headers(&self) -> [(HeaderName, String); 3] {
        // An empty upload says 0-0 too: there is no other way to write it, and clients know this one.
        let last = self.size.load(Relaxed).saturating_sub(1);
        [
            (LOCATION, format!("/v2/{}/blobs/uploads/{}", self.repository, self.id)),
            (RANGE, format!("0-{last}")),
            (UPLOAD_ID, self.id.clone()),
        ]
    }

    fn out_of_order(&self, why: &str) -> Refusal {
        let refusal = Refusal::new(416, "BLOB_UPLOAD_INVALID", why);
        self.headers().into_iter().fold(refusal, |r, (name, value)| r.header(name, value))
    }
}

/// `POST …/blobs/uploads/`: a session, a whole blob, or a mount.
pub(super) async fn start(
    shared: &Arc<Shared>,
    parts: &Parts,
    name: String,
    query: &Query,
    body: &mut Inbound,
) -> Answer {
    if let Some(done) = mount(shared, parts, &name, query).await? {
        return Ok(done);
    }
    let digest = match query.get("digest") {
        Some(text) => Some(parse(text)?),
        None => None,
    };
    let algorithm = match (query.get("digest-algorithm"), &digest) {
        (_, Some(digest)) => digest.algorithm(),
        (None | Some("sha256"), None) => Algorithm::Sha256,
        (Some("sha512"), None) => Algorithm::Sha512,
        (Some(_), None) => return Err(Refusal::digest_invalid("the algorithm is neither sha256 nor sha512")),
    };
    let session = shared.uploads.open(&shared.store, name, algorithm).await?;
    let Some(digest) = digest else { return Ok(session.reply(StatusCode::ACCEPTED)) };
    let finished = finish(shared, parts, &session, digest, body).await;
    if finished.is_err() {
        // The client was never told of this session.
        let mut part = session.part.lock().await;
        shared.uploads.end(&shared.store, &session, &mut part).await?;
    }
    finished
}

/// A blob of another repository, if the client may have it. Any reason why not starts an upload instead.
async fn mount(shared: &Arc<Shared>, parts: &Parts, to: &str, query: &Query) -> Answer<Option<Reply>> {
    let Some(Ok(digest)) = query.get("mount").map(str::parse::<Digest>) else { return Ok(None) };
    let Some(from) = query.get("from") else { return Ok(None) };
    if check_name(from).is_err() || !shared.auth.may_pull(parts, from) {
        return Ok(None);
    }
    let (from, into, of) = (from.to_owned(), to.to_owned(), digest.clone());
    match shared.store.run(move |s| s.mount(&from, &into, &of)).await? {
        true => Ok(Some(created(to, &digest))),
        false => Ok(None),
    }
}

/// `PATCH`: more bytes.
pub(super) async fn patch(shared: &Arc<Shared>, parts: &Parts, name: String, id: &str, body: &mut Inbound) -> Answer {
    let session = shared.uploads.find(&name, id)?;
    let (mut slot, taken) = session.take_over().await?;
    feed(shared, parts, &session, &mut slot, &taken, body).await?;
    Ok(session.reply(StatusCode::ACCEPTED))
}

/// `PUT`: the last bytes, if there are more, and what all of them are called.
pub(super) async fn put(
    shared: &Arc<Shared>,
    parts: &Parts,
    name: String,
    id: &str,
    query: &Query,
    body: &mut Inbound,
) -> Answer {
    let session = shared.uploads.find(&name, id)?;
    let digest = query.get("digest").ok_or_else(|| Refusal::digest_invalid("the digest is missing"))?;
    finish(shared, parts, &session, parse(digest)?, body).await
}

/// `GET`: how far it came.
pub(super) async fn status(shared: &Arc<Shared>, name: String, id: &str) -> Answer {
    let session = shared.uploads.find(&name, id)?;
    // After a broken connection the last bytes may still be on their way to the disk.
    let _ = tokio::time::timeout(STATUS_WAIT, session.part.lock()).await;
    Ok(session.reply(StatusCode::NO_CONTENT))
}

/// `DELETE`: nobody wants it any more.
pub(super) async fn cancel(shared: &Arc<Shared>, name: String, id: &str) -> Answer {
    let session = shared.uploads.find(&name, id)?;
    let (mut slot, _) = session.take_over().await?;
    shared.uploads.end(&shared.store, &session, &mut slot).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn finish(shared: &Arc<Shared>, parts: &Parts, session: &Session, digest: Digest, body: &mut Inbound) -> Answer {
    let (mut slot, taken) = session.take_over().await?;
    if !body.is_empty() {
        feed(shared, parts, session, &mut slot, &taken, body).await?;
    }
    let Some(part) = slot.as_ref() else { return Err(Refusal::upload_unknown()) };
    let found = match part.hasher.clone().filter(|_| part.algorithm == digest.algorithm()) {
        Some(hasher) => hasher.finish(),
        None => shared.store.hash(part.bulk()?, part.size, digest.algorithm()).await?.1.finish(),
    };
    if found != digest {
        shared.uploads.end(&shared.store, session, &mut slot).await?;
        let refusal = Refusal::digest_invalid("provided digest did not match uploaded content");
        return Err(refusal.detail(serde_json::json!({ "provided": digest.as_str(), "content": found.as_str() })));
    }
    lock(&shared.uploads.table).remove(&session.id);
    let Some(part) = slot.take() else { return Err(Refusal::upload_unknown()) };
    let (id, name, of) = (session.id.clone(), session.repository.clone(), digest.clone());
    shared.store.run(move |s| s.commit(&id, &name, part, &of)).await?;
    Ok(created(&session.repository, &digest))
}

/// Appends the body, if it comes at its place.
async fn feed(
    shared: &Arc<Shared>,
    parts: &Parts,
    session: &Session,
    slot: &mut Option<Part>,
    taken: &CancellationToken,
    body: &mut Inbound,
) -> Answer<()> {
    let Some(before) = slot.as_ref().map(|p| p.size) else { return Err(Refusal::upload_unknown()) };
    let header = |name| parts.headers.get(name).map(|v: &http::HeaderValue| v.to_str().unwrap_or_default());
    let mut announced = None;
    if let Some(range) = header(CONTENT_RANGE) {
        let Some((first, last)) = content_range(range) else {
            return Err(session.out_of_order("the Content-Range is not of the form first-last"));
        };
        if first != before {
            return Err(session.out_of_order("the chunk does not start where the last one ended"));
        }
        let length = last - first + 1;
        if header(CONTENT_LENGTH).and_then(|l| l.parse().ok()).is_some_and(|l: u64| l != length) {
            return Err(Refusal::new(400, "SIZE_INVALID", "Content-Range and Content-Length contradict each other"));
        }
        announced = Some(length);
    }
    let Some(part) = slot.take() else { return Err(Refusal::upload_unknown()) };
    let (part, outcome) = receive(&shared.store, part, body, taken, &session.size).await?;
    let received = part.size - before;
    session.put_back(slot, part);
    match outcome {
        Outcome::Complete if announced.is_some_and(|a| a != received) => {
            // Which of the two is true can't be known, so what was stored can't be trusted.
            shared.uploads.end(&shared.store, session, slot).await?;
            Err(Refusal::new(400, "SIZE_INVALID", "provided length did not match content length"))
        }
        Outcome::Complete => Ok(()),
        Outcome::Broken(e) => Err(Refusal::new(400, "BLOB_UPLOAD_INVALID", format!("the body did not arrive: {e}"))),
        Outcome::Taken => Err(Refusal::new(409, "BLOB_UPLOAD_INVALID", "a newer request took the upload over")),
        Outcome::Failed(e) => Err(e.into()),
    }
}

enum Outcome {
    Complete,
    Broken(io::Error),
    Taken,
    Failed(Error),
}

type Append = Pin<Box<dyn Future<Output = Result<(Part, Result<()>)>> + Send>>;

/// Reads the body while the blocks before are being written and hashed.
async fn receive(
    store: &Store,
    part: Part,
    body: &mut Inbound,
    taken: &CancellationToken,
    size: &AtomicU64,
) -> Result<(Part, Outcome)> {
    let (mut part, mut job): (_, Option<Append>) = (Some(part), None);
    let (mut waiting, mut bytes, mut outcome) = (Vec::<Bytes>::new(), 0, None);
    loop {
        if (bytes >= BLOCK || (outcome.is_some() && bytes > 0))
            && let Some(part) = part.take()
        {
            job = Some(Box::pin(store.clone().append(part, std::mem::take(&mut waiting))));
            bytes = 0;
        }
        let running = async {
            match &mut job {
                Some(job) => job.await,
                None => std::future::pending().await,
            }
        };
        match (outcome.take(), part.take()) {
            (Some(outcome), Some(part)) if bytes == 0 => return Ok((part, outcome)),
            (o, p) => (outcome, part) = (o, p),
        }
        tokio::select! {
            biased;
            done = running => {
                job = None;
                let (back, written) = done?;
                size.store(back.size, Relaxed);
                part = Some(back);
                if let Err(e) = written {
                    (waiting, bytes, outcome) = (Vec::new(), 0, Some(Outcome::Failed(e)));
                }
            }
            () = taken.cancelled(), if outcome.is_none() => outcome = Some(Outcome::Taken),
            chunk = body.chunk(), if outcome.is_none() && bytes < BACKLOG => match chunk {
                None => outcome = Some(Outcome::Complete),
                Some(Err(e)) => outcome = Some(Outcome::Broken(e)),
                Some(Ok(chunk)) => {
                    bytes += chunk.len();
                    waiting.push(chunk);
                }
            },
        }
    }
}

fn created(name: &str, digest: &Digest) -> Reply {
    let mut reply = empty(StatusCode::CREATED);
    set(&mut reply, LOCATION, &blobs::location(name, digest));
    set(&mut reply, DIGEST, digest.as_str());
    reply
}

fn parse(text: &str) -> Answer<Digest> {
    text.parse().map_err(|_| Refusal::digest_invalid("this is not a sha256 or sha512 digest"))
}

/// `first-last`, both inclusive.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let number = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse().ok()).flatten();
    let (first, last) = text.split_once('-')?;
    let (first, last): (u64, u64) = (number(first)?, number(last)?);
    (first <= last && last < u64::MAX).then_some((first, last))
}

/// A random UUID, version 4.
fn new_id() -> Result<String> {
    let mut b = [0u8; 16];
    let drawn = SystemRandom::new().fill(&mut b);
    drawn.map_err(|_| Error::new(Code::Io, "the system has no random numbers"))?;
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("0-9"), Some((0, 9)));
        assert_eq!(content_range("5-5"), Some((5, 5)));
        for bad in ["", "-", "9-0", "+1-2", "bytes 0-9/10", "0-99999999999999999999", "0-18446744073709551615", "a-b"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_are_version_4() {
        let id = new_id().unwrap();
        assert_eq!((id.len(), id.as_bytes()[14], id.matches('-').count()), (36, b'4', 4));
        assert_ne!(id, new_id().unwrap());
    }
}
