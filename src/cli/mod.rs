//! The command line: one file per command, each with its arguments and a `run` that only translates to the library.
//!
//! Results go to standard output, everything else to standard error. A failure is one line `Error: …` and exit code 1;
//! wrong usage is clap's exit code 2; who was ended by SIGINT or SIGTERM exits with 130 or 143.

mod append;
mod copy;
mod digest;
mod export;
mod flatten;
mod index;
mod medium;
mod mutate;
mod pull;
mod push;
mod rebase;
mod registry;
mod validate;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use parbuckle::{
    Child, Client, ClientOptions, Code, Compression, CompressionOptions, Context, Error, Options, Platform, Reference,
    Result,
};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// Container images: pull, change, push, serve.
#[derive(Parser)]
#[command(name = "parb", version, arg_required_else_help = true)]
struct Parb {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command that talks to a registry understands.
#[derive(Args)]
struct Global {
    /// Which image of an index is meant: os/arch[/variant][:osversion]
    #[arg(long, global = true, value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Push layers that their makers don't want distributed, too
    #[arg(long, global = true)]
    allow_nondistributable_artifacts: bool,
    /// A registry (host or host:port) to speak to without TLS; may be repeated
    #[arg(long, global = true, value_name = "REGISTRY")]
    plain_http: Vec<String>,
    #[arg(skip)]
    client: OnceLock<Client>,
}

impl Global {
    /// The one client of this run, made when it is needed: a copy between files reads no credentials.
    fn client(&self) -> Result<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let named = ClientOptions::new().user_agent(concat!("parb/", env!("CARGO_PKG_VERSION")));
        let client =
            Client::new(&self.plain_http.iter().fold(named, |options, registry| options.plain_http(registry)))?;
        Ok(self.client.get_or_init(|| client).clone())
    }
    /// The options of whatever reads an image.
    fn reading(&self) -> Options {
        match self.platform.last() {
            Some(platform) => Options::new().platform(platform.clone()),
            None => Options::new(),
        }
    }
    /// The options of whatever pushes.
    fn pushing(&self) -> Options {
        if self.allow_nondistributable_artifacts { Options::new().foreign_layers() } else { Options::new() }
    }
}

#[derive(Subcommand)]
enum Command {
    Append(append::Append),
    #[command(visible_alias = "cp")]
    Copy(copy::Copy),
    Digest(digest::Digest),
    Export(export::Export),
    Flatten(flatten::Flatten),
    Mutate(Box<mutate::Mutate>),
    Pull(pull::Pull),
    Push(push::Push),
    Index(index::Index),
    Rebase(rebase::Rebase),
    Registry(registry::Registry),
    Validate(validate::Validate),
}

impl Command {
    fn run(self, global: &Global) -> Result<()> {
        if let ([_, _, ..], false) = (&global.platform[..], self.takes_platforms()) {
            usage(ErrorKind::TooManyValues, "--platform is given more than once: it says which one image is meant");
        }
        let ctx = Context::new();
        // The server ends in its own way, and asking for a digest leaves nothing behind.
        if !matches!(self, Command::Registry(_) | Command::Digest(_)) {
            cancel_when_told(&ctx)?;
        }
        match self {
            Command::Append(command) => command.run(global, &ctx),
            Command::Copy(command) => command.run(global, &ctx),
            Command::Digest(command) => command.run(global, &ctx),
            Command::Export(command) => command.run(global, &ctx),
            Command::Flatten(command) => command.run(global, &ctx),
            Command::Mutate(command) => command.run(global, &ctx),
            Command::Pull(command) => command.run(global, &ctx),
            Command::Push(command) => command.run(global, &ctx),
            Command::Index(command) => command.run(global, &ctx),
            Command::Rebase(command) => command.run(global, &ctx),
            Command::Registry(command) => command.run(),
            Command::Validate(command) => command.run(global, &ctx),
        }
    }
}

impl Command {
    /// Whether several platforms make sense to it.
    fn takes_platforms(&self) -> bool {
        matches!(self, Command::Index(index) if index.takes_platforms())
    }
}

/// Ends the process as clap does where the arguments make no sense.
fn usage(kind: ErrorKind, why: &str) -> ! {
    Parb::command().error(kind, why).exit()
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let parb = Parb::parse();
    match parb.command.run(&parb.global) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.code() == Code::Cancelled => ExitCode::from(ENDED_BY.load(Ordering::Relaxed)),
        Err(e) => {
            eprintln!("Error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Pushes what was made of `source` to `tag`, or back to where it came from; a digest can't be pushed to, since what is
/// new has another one. Prints where it went.
fn push_back(global: &Global, source: &Reference, tag: Option<&Reference>, made: &Child, ctx: &Context) -> Result<()> {
    let digest = made.descriptor().digest.clone();
    let target = match tag {
        Some(tag) => tag.clone(),
        None if source.digest().is_some() => source.with_digest(digest.clone()),
        None => source.clone(),
    };
    global.client()?.push_any(&target, made, &global.pushing(), ctx).wait()?;
    print_pushed(&target, &digest);
    Ok(())
}

/// New layers are eStargz where this is 1, as in the forks of the reference that can do it.
fn asked_by_environment() -> Option<CompressionOptions> {
    let asked = std::env::var_os("GGCR_EXPERIMENT_ESTARGZ").is_some_and(|value| value == "1");
    asked.then_some(CompressionOptions { kind: Some(Compression::Estargz), level: None })
}

/// The exit code of who was ended by a signal, as a shell tells it: 130 for SIGINT, 143 for SIGTERM. The last signal
/// says which.
static ENDED_BY: AtomicU8 = AtomicU8::new(INTERRUPTED);
const INTERRUPTED: u8 = 128 + 2;
const TERMINATED: u8 = 128 + 15;

/// SIGINT and SIGTERM cancel what is under way, so that nothing half-written stays; a second one ends the process.
fn cancel_when_told(ctx: &Context) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let ctx = ctx.clone();
    let failed = |e: std::io::Error| Error::io("preparing for", "signals", &e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let wait = move || {
        let _ = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            for _ in 0..2 {
                let code = tokio::select! {
                    _ = interrupt.recv() => INTERRUPTED,
                    _ = terminate.recv() => TERMINATED,
                };
                ENDED_BY.store(code, Ordering::Relaxed);
                match ctx.is_cancelled() {
                    true => std::process::exit(code.into()),
                    false => ctx.cancel(),
                }
            }
            std::io::Result::Ok(())
        });
    };
    std::thread::Builder::new().name("parb-signals".into()).spawn(wait).map(drop).map_err(failed)
}

/// Prints where an image went: `repository@digest`.
fn print_pushed(reference: &Reference, digest: &parbuckle::Digest) {
    println!("{}@{digest}", reference.repository());
}
