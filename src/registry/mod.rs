//! An embedded registry: the OCI distribution API from memory or a directory, in this process.
//!
//! It is what the demos and the tests of every language talk to, and a registry of its own: everything a push has been
//! told is stored is there after a restart. [`ServerOptions`] says how it is to be, [`Server::start`] runs it on the
//! library's runtime, dropping it ends it.
//!
//! A request goes `serve` (connections) → `route` (what is wanted, may it) → `blobs`, `manifests`, `uploads`,
//! `referrers`, `listing` (the work) → `store` (`memory` or `disk`). `fault` spoils requests where a test asked for it,
//! `log` remembers them.

mod auth;
mod blobs;
mod body;
mod disk;
mod fault;
mod files;
mod listing;
mod log;
mod manifests;
mod memory;
mod referrers;
mod reply;
mod route;
mod serve;
mod store;
mod tls;
mod uploads;
mod wire;

use crate::context::Context;
use crate::engine::{Engine, Task};
use crate::error::{Code, Error, Result, invalid};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a [`Server`] is to be. The default: in memory, on a free port of 127.0.0.1, open to everybody who can reach it.
#[derive(Clone)]
pub struct ServerOptions {
    address: String,
    storage_dir: Option<PathBuf>,
    users: Vec<(String, String)>,
    token_auth: Option<Duration>,
    anonymous_read: bool,
    tls: Option<tls::Choice>,
    faults: Vec<fault::Rule>,
    log: Option<log::Sink>,
    uploads: (usize, Duration),
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            address: "127.0.0.1:0".into(),
            storage_dir: None,
            users: Vec::new(),
            token_auth: None,
            anonymous_read: false,
            tls: None,
            faults: Vec::new(),
            log: None,
            uploads: (uploads::UPLOADS_MAX, uploads::UPLOAD_EXPIRY),
        }
    }
}

impl ServerOptions {
    /// The default options.
    pub fn new() -> ServerOptions {
        ServerOptions::default()
    }
    /// Where to listen: `HOST:PORT`, or `:PORT` for all interfaces. Port 0 takes a free one.
    pub fn address(&mut self, address: impl Into<String>) -> &mut Self {
        self.address = address.into();
        self
    }
    /// Keeps everything in this directory, which is made if it is not there. One server at a time can use it.
    pub fn storage_dir(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.storage_dir = Some(path.into());
        self
    }
    /// Lets in only the users that were added, each to everything.
    pub fn add_user(&mut self, name: impl Into<String>, password: impl Into<String>) -> &mut Self {
        self.users.push((name.into(), password.into()));
        self
    }
    /// Wants bearer tokens that live for `expires`, and gives them to the users at `/token`.
    pub fn token_auth(&mut self, expires: Duration) -> &mut Self {
        self.token_auth = Some(expires);
        self
    }
    /// Lets everybody pull, although there are users.
    pub fn anonymous_read(&mut self, yes: bool) -> &mut Self {
        self.anonymous_read = yes;
        self
    }
    /// Serves TLS with a certificate chain and its key, both PEM files.
    pub fn tls_files(&mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> &mut Self {
        self.tls = Some(tls::Choice::Files(cert.into(), key.into()));
        self
    }
    /// Serves TLS with a certificate for `name`, `localhost`, 127.0.0.1 and ::1, of an authority that is made for this
    /// server; see [`Server::ca_pem`].
    pub fn tls_domain(&mut self, name: impl Into<String>) -> &mut Self {
        self.tls = Some(tls::Choice::Domain(name.into()));
        self
    }
    /// Spoils the `nth` request (from 1; 0: each one) with this method (`*`: any) whose path matches `pattern`, in
    /// which `*` stands for anything.
    ///
    /// The faults: `reset@P%` (the connection is reset after P percent of the body, of an upload or a download; an
    /// upload of unknown length counts as 1 MiB), `stall` (half of a download, then nothing; anything else is never
    /// answered), `truncate` (half of the body, then an orderly end), `wrong-digest` (one byte of a download is
    /// wrong; an upload is refused with DIGEST_INVALID), `drop-reply` (done, but the connection is reset instead of
    /// an answer), `delay=MS`, `401 expired` (as if the token had run out), and any status: `500`, `status=418`,
    /// `429 retry-after=1`.
    ///
    /// Errors: `InvalidArgument`.
    pub fn add_fault(&mut self, method: &str, pattern: &str, nth: u32, fault: &str) -> Result<&mut Self> {
        self.faults.push(fault::Rule::new(method, pattern, nth, fault)?);
        Ok(self)
    }
    /// Writes a line for each request that ended, as [`Server::requests`] gives them.
    pub fn log(&mut self, sink: impl Write + Send + 'static) -> &mut Self {
        self.log = Some(Arc::new(Mutex::new(Box::new(sink))));
        self
    }
    /// How many uploads may be open at once, and how long one lives that nobody uses: 10,000 and a day unless set.
    pub fn upload_limits(&mut self, open: usize, expiry: Duration) -> &mut Self {
        self.uploads = (open, expiry);
        self
    }
}

/// A running registry. Dropping it ends it at once; [`Server::stop`] lets running requests finish.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    ca_pem: Option<String>,
}

/// What all parts of a server know.
struct Shared {
    engine: Arc<Engine>,
    store: store::Store,
    auth: auth::Auth,
    faults: fault::Faults,
    log: log::Log,
    uploads: uploads::Uploads,
    /// No new connections, and each ends after its request.
    stop: CancellationToken,
    /// Everything ends now.
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts a server; it accepts connections when this returns.
    ///
    /// Errors: `InvalidArgument` (address), `Io` (directory, port), `InvalidState` (another server uses the
    /// directory), `Tls` (certificate).
    pub fn start(options: &ServerOptions) -> Result<Server> {
        if options.token_auth.is_some_and(|expires| expires.is_zero()) {
            return Err(invalid("tokens that expire at once let nobody in"));
        }
        if options.token_auth.is_some() && options.users.is_empty() && !options.anonymous_read {
            return Err(invalid("token authentication without a user lets nobody in"));
        }
        let engine = Engine::get()?;
        let tls = options.tls.as_ref().map(tls::Tls::new).transpose()?;
        let backend: Arc<dyn store::Backend> = match &options.storage_dir {
            None => Arc::new(memory::Memory::default()),
            Some(path) => Arc::new(disk::Disk::open(path)?),
        };
        let open = backend.open_uploads()?;
        let store = store::Store { backend, engine: engine.clone(), blocking: options.storage_dir.is_some() };
        let listener = bind(&options.address)?;
        let failed = |e: std::io::Error| Error::io("listening", &options.address, &e);
        let mut address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = {
            let _inside = engine.handle().enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        // Every interface is reached by the loopback one too, and nobody can connect to 0.0.0.0 for certain.
        if address.ip().is_unspecified() {
            address.set_ip(match address.is_ipv4() {
                true => std::net::Ipv4Addr::LOCALHOST.into(),
                false => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let auth = auth::Auth::new(&options.users, options.token_auth, options.anonymous_read, tls.is_some())?;
        let shared = Arc::new(Shared {
            log: log::Log::new(&engine, options.log.clone())?,
            faults: fault::Faults::new(&options.faults),
            uploads: uploads::Uploads::new(options.uploads.0, options.uploads.1, open),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
            engine,
            store,
            auth,
        });
        let (config, ca_pem) = tls.map_or((None, None), |t| (Some(t.config), t.ca_pem));
        let url = format!("{}://{address}", if config.is_some() { "https" } else { "http" });
        let handle = shared.engine.handle();
        handle.spawn(serve::accept(shared.clone(), listener, config));
        handle.spawn(serve::housekeeping(shared.clone()));
        Ok(Server { shared, address, url, ca_pem })
    }

    /// `http://127.0.0.1:PORT`, or `https://…`.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// Where it listens; 127.0.0.1 (or ::1) if that is everywhere.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// The certificate of the authority that [`ServerOptions::tls_domain`] made, in PEM.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }
    /// The last 10,000 requests in the order of their arrival, a line of JSON each: `n`, `method`, `path`, `query`,
    /// `status`, `sent`, `received`, `user_agent`, `fault`, `error`, `ms`, `running`. What does not apply is absent.
    pub fn requests(&self) -> Vec<String> {
        self.shared.log.lines()
    }
    /// Accepts nothing more and waits for the running requests. If `ctx` ends before them, they are cut off.
    pub fn stop(&self, ctx: &Context) -> Task<()> {
        let shared = self.shared.clone();
        self.shared.engine.spawn(ctx, |_| async move {
            let cut_off = shared.kill.clone().drop_guard();
            shared.stop.cancel();
            shared.tasks.close();
            shared.tasks.wait().await;
            shared.log.flush().await;
            drop(cut_off);
            Ok(())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.kill.cancel();
    }
}

/// Lets this process open as many files and connections as the system allows it. A program whose main purpose is to
/// serve calls this once at its start; the library never does so by itself.
pub fn raise_descriptor_limit() {
    crate::sys::limits::raise_descriptors();
}

fn bind(address: &str) -> Result<TcpListener> {
    let all = address.starts_with(':').then(|| format!("0.0.0.0{address}"));
    let text = all.as_deref().unwrap_or(address);
    let resolved = text.to_socket_addrs();
    let resolved = resolved.map_err(|e| invalid(format!("not an address to listen on: {e}")).subject(address))?;
    let mut last = Error::new(Code::InvalidArgument, "the address names no place to listen on").subject(address);
    for one in resolved {
        match TcpListener::bind(one) {
            Ok(listener) => return Ok(listener),
            Err(e) => last = Error::io("listening", one, &e),
        }
    }
    Err(last)
}
