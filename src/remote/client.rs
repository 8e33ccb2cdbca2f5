//! The client: connections, tokens and counters that calls share, and the life of what runs on them.

use crate::auth::Keychain;
use crate::context::{Context, lock};
use crate::digest::Digest;
use crate::engine::{Engine, Task};
use crate::error::{Code, Error, Result, invalid};
use crate::name::Repository;
use crate::source::Place;
use crate::stream::Stats;
use crate::transport::{Budget, Settings, Transport, proxies_from_environment};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How a client is to be. The first mistake in it is reported by [`Client::new`].
#[derive(Clone, Default)]
pub struct ClientOptions {
    keychain: Option<Keychain>,
    user_agent: Option<String>,
    ca_pems: Vec<Vec<u8>>,
    ca_files: Vec<std::path::PathBuf>,
    plain_http: Vec<String>,
    timeouts: Option<(Duration, Duration, Duration)>,
    retry: Option<(u32, Duration)>,
}

impl ClientOptions {
    /// The defaults: what `docker login` left behind, the system's certificates, https but for loopback names.
    pub fn new() -> ClientOptions {
        ClientOptions::default()
    }
    /// Where credentials come from.
    pub fn keychain(mut self, keychain: &Keychain) -> ClientOptions {
        self.keychain = Some(keychain.clone());
        self
    }
    /// What stands first in `User-Agent`; parbuckle's own name follows it.
    pub fn user_agent(mut self, text: &str) -> ClientOptions {
        self.user_agent = Some(text.to_owned());
        self
    }
    /// Certificates to trust besides the system's, in PEM form.
    pub fn ca_pem(mut self, pem: &[u8]) -> ClientOptions {
        self.ca_pems.push(pem.to_vec());
        self
    }
    /// The same from a file, read by [`Client::new`].
    pub fn ca_file(mut self, path: &std::path::Path) -> ClientOptions {
        self.ca_files.push(path.to_owned());
        self
    }
    /// A registry (`host` or `host:port`) that is spoken to without TLS.
    pub fn plain_http(mut self, registry: &str) -> ClientOptions {
        self.plain_http.push(registry.to_owned());
        self
    }
    /// How long to wait for a connection, for an answer's first byte, and for the next byte of a body.
    pub fn timeouts(mut self, connect: Duration, first_byte: Duration, idle: Duration) -> ClientOptions {
        self.timeouts = Some((connect, first_byte, idle));
        self
    }
    /// How often a request is tried at most, and how long to wait before the second try.
    pub fn retry(mut self, attempts: u32, first_delay: Duration) -> ClientOptions {
        self.retry = Some((attempts, first_delay));
        self
    }

    fn settings(&self) -> Result<Settings> {
        let own = concat!("parbuckle/", env!("CARGO_PKG_VERSION"));
        let user_agent = match &self.user_agent {
            Some(text) => format!("{text} {own}"),
            None => own.to_owned(),
        };
        let user_agent = HeaderValue::from_str(&user_agent);
        let mut ca_pems = self.ca_pems.clone();
        for path in &self.ca_files {
            ca_pems.push(std::fs::read(path).map_err(|e| Error::io("reading certificates", path.display(), &e))?);
        }
        for registry in &self.plain_http {
            crate::name::check_registry(registry)
                .map_err(|why| invalid(why).subject(crate::digest::shown(registry)))?;
        }
        let (connect, first_byte, idle) =
            self.timeouts.unwrap_or((Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(30)));
        let (attempts, first_delay) = self.retry.unwrap_or((5, Duration::from_millis(250)));
        if connect.is_zero() || first_byte.is_zero() || idle.is_zero() || attempts == 0 {
            return Err(invalid("timeouts and the number of tries must be more than zero"));
        }
        Ok(Settings {
            keychain: match &self.keychain {
                Some(keychain) => keychain.clone(),
                None => Keychain::from_environment()?,
            },
            user_agent: user_agent.map_err(|_| invalid("user agent: control characters"))?,
            ca_pems,
            plain_http: self.plain_http.clone(),
            proxies: proxies_from_environment()?,
            connect,
            first_byte,
            idle,
            attempts,
            first_delay,
        })
    }
}

/// Talks to registries; a clone is the same client. Values made through it keep it alive.
#[derive(Clone)]
pub struct Client(Arc<Core>);

struct Core {
    place: Place,
    transport: Transport,
    closed: CancellationToken,
    running: TaskTracker,
    known: Mutex<HashSet<(Repository, Digest)>>,
}

impl Client {
    /// A client. Reads the environment and the files it names, on the calling thread; opens no connection.
    ///
    /// Errors: the first mistake in `options`; `Malformed` and `Io` for certificates and credential files.
    pub fn new(options: &ClientOptions) -> Result<Client> {
        let place =
            Place { engine: Engine::get()?, stats: Arc::new(Stats::default()), spool_dir: std::env::temp_dir() };
        let transport = Transport::new(options.settings()?, place.stats.clone())?;
        Ok(Client(Arc::new(Core {
            place,
            transport,
            closed: CancellationToken::new(),
            running: TaskTracker::new(),
            known: Mutex::default(),
        })))
    }

    /// The counters so far, as JSON: bytes and threads of each stage, requests, retries.
    pub fn stats(&self) -> String {
        self.0.place.stats.to_json()
    }

    /// Ends everything that runs on this client and waits until it is gone, at most until `ctx` ends. Afterwards
    /// its values answer `InvalidState` to whatever needs the network, and keep their facts.
    ///
    /// Errors: `TimedOut`, `Cancelled` when `ctx` ended first; call again to wait on.
    pub fn close(&self, ctx: &Context) -> Result<()> {
        self.0.place.engine.check_pid()?; // before anything that a thread of the parent may have locked
        crate::engine::may_wait()?;
        self.0.closed.cancel();
        self.0.running.close();
        if self.0.running.is_empty() {
            return Ok(());
        }
        let running = self.0.running.clone();
        self.0
            .place
            .engine
            .spawn(ctx, |_| async move {
                running.wait().await;
                Ok(())
            })
            .wait()
    }

    /// Runs `future` until it is done, its context ends or the client is closed.
    pub(crate) fn spawn<T, F>(&self, ctx: &Context, future: impl FnOnce(Context) -> F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let future = match self.0.place.engine.takes(future).and_then(|future| self.check_open().map(|()| future)) {
            Ok(future) => future,
            Err(e) => return Task::ready(Err(e)),
        };
        let token = self.0.closed.clone();
        let running = self.0.running.token();
        self.0.place.engine.spawn(ctx, |ctx| until_closed(token, running, future(ctx).boxed()))
    }

    /// An error once the client is closed; what runs outside [`Client::spawn`] asks this.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self.0.closed.is_cancelled() {
            true => Err(closed()),
            false => Ok(()),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }
    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }
    pub(crate) fn budget(&self) -> Budget {
        self.0.transport.settings().budget()
    }

    /// Whether this client has seen the blob in the repository.
    pub(crate) fn knows(&self, repository: &Repository, digest: &Digest) -> bool {
        lock(&self.0.known).contains(&(repository.clone(), digest.clone()))
    }
    pub(crate) fn learn(&self, repository: &Repository, digest: &Digest) {
        /// What is remembered is worth a request each, not unbounded memory.
        const MOST: usize = 100_000;
        let mut known = lock(&self.0.known);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((repository.clone(), digest.clone()));
    }
    pub(crate) fn unlearn(&self, repository: &Repository) {
        lock(&self.0.known).retain(|(r, _)| r != repository);
    }
}

/// In a box, so that it is compiled once for each result, not for each call.
async fn until_closed<T>(
    token: CancellationToken,
    running: TaskTrackerToken,
    future: BoxFuture<'static, Result<T>>,
) -> Result<T> {
    let _running = running;
    tokio::select! {
        biased;
        () = token.cancelled() => Err(closed()),
        r = future => r,
    }
}

fn closed() -> Error {
    Error::new(Code::InvalidState, "the client is closed")
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
