//! `parb registry serve`.

use clap::error::ErrorKind;
use clap::{Args, Subcommand};
use parbuckle::registry::{Server, ServerOptions, raise_descriptor_limit};
use parbuckle::{Code, Context, Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long requests that are running at the end may take.
const GRACE: Duration = Duration::from_secs(10);
/// Users that don't show in the list of processes: `NAME:PASSWORD`, one on each line.
const USERS: &str = "PARB_REGISTRY_USERS";

/// Work with registries of your own
#[derive(Args)]
pub struct Registry {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Serve),
}

impl Registry {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(serve) => serve.run(),
        }
    }
}

/// Serve a registry until SIGINT or SIGTERM
///
/// Without --disk everything is kept in memory. The address is printed to standard error once the server is ready.
#[derive(Args)]
struct Serve {
    /// Where to listen [default: a free port of 127.0.0.1; with PORT in the environment, that port of all interfaces]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Keep everything in this directory
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Let in only such users; can be given more than once, and as lines in PARB_REGISTRY_USERS
    #[arg(long = "user", value_name = "NAME:PASSWORD")]
    users: Vec<String>,
    /// Want bearer tokens that live for so long, and give them to the users
    #[arg(long, value_name = "SECONDS")]
    token_auth: Option<u32>,
    /// Let everybody pull
    #[arg(long)]
    anonymous_read: bool,
    /// Serve TLS for this name, with a certificate authority made for the occasion
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert")]
    tls_domain: Option<String>,
    /// Serve TLS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Write the authority's certificate here
    #[arg(long, value_name = "FILE", requires = "tls_domain")]
    ca_out: Option<PathBuf>,
    /// Append a line of JSON for each request to this file; -: standard error
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Spoil requests, for tests: "GET /v2/*/blobs/* 1 reset@50%"; can be given more than once
    #[arg(long = "fault", value_name = "METHOD PATTERN NTH FAULT")]
    faults: Vec<String>,
    /// Write the server's URL here once it is ready
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
}

impl Serve {
    fn run(self) -> Result<()> {
        let options = match self.options() {
            Err(e) if e.code() == Code::InvalidArgument => super::usage(ErrorKind::ValueValidation, &e.to_string()),
            options => options?,
        };
        raise_descriptor_limit();
        // Signals have to be caught before anybody is told that the server runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signal = runtime.block_on(async { Signals::new() })?;
        let server = Server::start(&options)?;
        if let (Some(path), Some(pem)) = (&self.ca_out, server.ca_pem()) {
            write_whole(path, pem)?;
        }
        if let Some(path) = &self.url_file {
            write_whole(path, server.url())?;
        }
        eprintln!("serving on {}", server.url());
        runtime.block_on(signal.wait());
        match server.stop(&Context::with_timeout(GRACE)).wait() {
            Err(e) if e.code() != Code::TimedOut => Err(e),
            _ => Ok(()), // whoever is not done by now has been cut off, as said
        }
    }

    fn options(&self) -> Result<ServerOptions> {
        let mut options = ServerOptions::new();
        match (&self.address, std::env::var("PORT")) {
            (Some(address), _) => {
                options.address(address);
            }
            (None, Ok(port)) if !port.is_empty() => {
                options.address(format!(":{port}"));
            }
            _ => {}
        }
        if let Some(disk) = &self.disk {
            options.storage_dir(disk);
        }
        let from_environment = std::env::var(USERS).unwrap_or_default();
        let lines = from_environment.lines().filter(|line| !line.is_empty());
        for user in self.users.iter().map(String::as_str).chain(lines) {
            let (name, password) = user.split_once(':').ok_or_else(|| wrong("a user is written NAME:PASSWORD"))?;
            options.add_user(name, password);
        }
        if let Some(seconds) = self.token_auth {
            options.token_auth(Duration::from_secs(seconds.into()));
        }
        options.anonymous_read(self.anonymous_read);
        if let Some(name) = &self.tls_domain {
            options.tls_domain(name);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options.tls_files(cert, key);
        }
        match &self.log {
            None => {}
            Some(path) if path == Path::new("-") => {
                options.log(std::io::stderr());
            }
            Some(path) => {
                let file = std::fs::File::options().append(true).create(true).open(path);
                options.log(file.map_err(|e| Error::io("opening", path.display(), &e))?);
            }
        }
        for fault in &self.faults {
            let words: Vec<&str> = fault.splitn(4, ' ').collect();
            let [method, pattern, nth, kind] = words[..] else {
                return Err(wrong("a fault is written 'METHOD PATTERN NTH FAULT'"));
            };
            let nth = nth.parse().map_err(|_| wrong("the third word of a fault is a number"))?;
            options.add_fault(method, pattern, nth, kind)?;
        }
        Ok(options)
    }
}

/// Whoever waits for the file sees all of it or nothing.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".parb-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path).map_err(|e| e.error)
    };
    write().map(drop).map_err(|e| Error::io("writing", path.display(), &e))
}

fn wrong(why: &str) -> Error {
    Error::new(Code::InvalidArgument, why)
}

/// What ends the server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
        }
        #[cfg(not(unix))]
        Ok(Signals {})
    }
    async fn wait(self) {
        #[cfg(unix)]
        {
            let Signals { mut terminate, mut interrupt } = self;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
