//! How new layers are made: read once, compressed once, hashed on the way, written into a sink while they come.
//!
//! What breaks on the sink's side is tried again where the bytes can be had again: a file or directory is read a
//! second time, a host's stream is rewound or was kept in a spool.

use crate::context::{Context, Event};
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::layer::Layer;
use crate::oci::Descriptor;
use crate::options::Options;
use crate::sink::{SinkHandle, Tee};
use crate::source::{BlobWriter, Home, Place};
use crate::stream::{Chunks, DirTar, Encoded, Input, Sender, TarEntries, channel, encode};
use crate::stream::{ESTARGZ_DIGEST, ESTARGZ_SIZE};
use crate::transport::Budget;
use bytes::Bytes;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is moved at once between the host and the pipeline.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the pipeline.
const QUEUE: usize = 2;
/// How often a layer is made again when its sink breaks.
const TRIES: u32 = 4;

/// A tar that can be read as often as needed.
pub(crate) type Reopen = Arc<dyn Fn() -> Result<Box<dyn Read + Send>> + Send + Sync>;

/// A stream of the host.
pub trait HostStream: Send {
    /// As [`Read::read`]; 0 is the end. It runs on a thread of its own and may wait.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize>;
    /// Back to the start; `None` where that can't be done.
    fn rewind(&mut self) -> Option<Result<()>> {
        None
    }
}

impl Layer {
    /// A layer from a file: a tar, plain or compressed with gzip or zstd (its bytes tell, not its name). A plain one
    /// is compressed; a compressed one is kept as it is unless the options ask for another compression.
    ///
    /// Errors: `NotFound`, `Io`; `Malformed` where it is no tar; those of the sink. Options: sink, compression.
    pub fn from_file(path: &Path, options: &Options, ctx: &Context) -> Task<Layer> {
        let path = path.to_owned();
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                let why = "a layer file is wanted, and this is a directory";
                return Task::ready(Err(Error::new(Code::InvalidArgument, why).subject(path.display())));
            }
            // A pipe may keep its reader waiting, and gives its bytes only once.
            Ok(found) if !found.is_file() => {
                return Layer::from_stream(Box::new(Pipe::new(&path, None)), options, ctx);
            }
            _ => {}
        }
        let subject = path.display().to_string();
        let open: Reopen = Arc::new(move || Ok(Box::new(open_layer(&path)?)));
        make(open, Some(subject), options, ctx)
    }

    /// A layer from a tar in memory. Options: sink, compression.
    pub fn from_bytes(tar: Bytes, options: &Options, ctx: &Context) -> Task<Layer> {
        make(Arc::new(move || Ok(Box::new(std::io::Cursor::new(tar.clone())))), None, options, ctx)
    }

    /// A layer from a directory's content: sorted names, owner 0:0, modification time 0 or `SOURCE_DATE_EPOCH`.
    /// Options: sink, compression.
    pub fn from_dir(path: &Path, options: &Options, ctx: &Context) -> Task<Layer> {
        let (path, mtime) = match source_date_epoch() {
            Ok(mtime) => (path.to_owned(), mtime),
            Err(e) => return Task::ready(Err(e)),
        };
        make(Arc::new(move || Ok(Box::new(DirTar::open(&path, mtime)?))), None, options, ctx)
    }

    /// A layer from a stream of the host, read on a thread of its own. Options: sink, compression.
    pub fn from_stream(stream: Box<dyn HostStream>, options: &Options, ctx: &Context) -> Task<Layer> {
        let (home, options) = match start("layer from a stream", options) {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        home.clone().spawn(ctx, |ctx| async move {
            let mut stream = stream;
            let mut budget = Budget::new(TRIES, Duration::from_millis(250));
            loop {
                let (chunks, back) = pump(home.place(), stream)?;
                let out = begin(&home, &options, Again::AskTheHost, &ctx, &ctx).await?; // it has tries of its own
                let failure = match fill(&home, &options, Input::Chunks(chunks), out, &ctx).await {
                    Err(e) if e.get_retry_after().is_some() => e,
                    other => return other,
                };
                // The bytes in the spool were enough for the retries of the upload; this is the whole once more.
                let used_up = back.await.map_err(|_| failure.clone())?;
                match rewound(home.place(), used_up).await? {
                    Some(rewound) => stream = rewound,
                    None => return Err(failure),
                }
                tokio::time::sleep(budget.spend(failure)?).await;
            }
        })
    }
}

/// Puts a small layer together, entry by entry. Parent directories are not added by themselves.
#[derive(Clone, Default)]
pub struct LayerBuilder(TarEntries);

impl LayerBuilder {
    /// No entries.
    pub fn new() -> LayerBuilder {
        LayerBuilder::default()
    }
    /// A file with these permission bits and this content. The path is relative, without `..`.
    pub fn add_bytes(&mut self, path: &str, mode: u32, data: &[u8]) -> Result<()> {
        self.0.add_bytes(path, mode, data.to_vec())
    }
    /// A local file, symbolic link, or directory with all that is in it; read when the layer is built.
    pub fn add_path(&mut self, local: &Path, path: &str) -> Result<()> {
        self.0.add_path(local, path)
    }
    /// A symbolic link.
    pub fn add_symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.0.add_symlink(path, target)
    }
    /// Removes what the layers below have under this name (image spec, layer.md, "Whiteouts").
    pub fn remove(&mut self, path: &str) -> Result<()> {
        self.0.remove(path)
    }
    /// The layer. Options: sink, compression.
    pub fn build(&self, options: &Options, ctx: &Context) -> Task<Layer> {
        let (entries, mtime) = match source_date_epoch() {
            Ok(mtime) => (self.0.clone(), mtime),
            Err(e) => return Task::ready(Err(e)),
        };
        make(Arc::new(move || Ok(Box::new(entries.read(mtime)))), None, options, ctx)
    }
}

/// A layer that the host writes, piece by piece. Dropped unfinished, it leaves nothing behind.
pub struct LayerWriter {
    pieces: Option<Sender>,
    layer: Option<Task<Layer>>,
    home: Home,
}

impl LayerWriter {
    /// A writer into the options' sink. Options: sink, compression.
    pub fn new(options: &Options, ctx: &Context) -> Task<LayerWriter> {
        let (home, options) = match start("layer writer", options) {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        home.clone().spawn(ctx, |ctx| async move {
            let life = Context::new(); // ends with the writer, not with the call that opened it
            let out = begin(&home, &options, Again::AskTheHost, &ctx, &life).await?;
            let (tx, chunks) = channel(QUEUE);
            let input = Input::Chunks(chunks);
            let inner = home.clone();
            let layer = home.spawn(&life, |ctx| async move { fill(&inner, &options, input, out, &ctx).await });
            Ok(LayerWriter { pieces: Some(tx), layer: Some(layer), home })
        })
    }

    /// Takes in the next bytes of the tar, all of them, or fails. Waits while the pipeline is full.
    ///
    /// Errors: those of the sink, `Malformed` where this is no tar; after one, the writer is of no more use.
    pub fn write(&mut self, tar: &[u8], ctx: &Context) -> Result<()> {
        ctx.check()?;
        crate::engine::may_wait()?;
        self.home.place().engine.check_pid()?;
        for (i, piece) in tar.chunks(PIECE).enumerate() {
            let Some(pieces) = self.pieces.clone() else { return Err(finished()) };
            let Some(piece) = pieces.try_send(Bytes::copy_from_slice(piece)) else { continue };
            match self.home.spawn(ctx, |_| async move { Ok(pieces.send(piece).await.is_ok()) }).wait() {
                Ok(true) => {}
                Ok(false) => return Err(self.failure()),
                Err(e) if i == 0 => return Err(e), // nothing was taken in: the same call may come again
                Err(e) => {
                    (self.pieces, self.layer) = (None, None); // half of it was, and nobody could tell which half
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// The layer, once everything is compressed and in its sink.
    pub fn finish(&mut self, ctx: &Context) -> Task<Layer> {
        match (self.layer.take(), self.pieces.take()) {
            (Some(layer), Some(pieces)) => self.home.spawn(ctx, |_| async move {
                let _ = pieces.finish().await; // if nobody reads any more, the layer tells why
                layer.await
            }),
            _ => Task::ready(Err(finished())),
        }
    }

    /// Why the pipeline ended before the tar did.
    fn failure(&mut self) -> Error {
        self.pieces = None;
        match self.layer.take().map(Task::wait) {
            Some(Err(e)) => e,
            _ => finished(),
        }
    }
}

fn finished() -> Error {
    Error::new(Code::InvalidState, "the layer writer is finished")
}

/// Whether the compressed bytes can be made again when an upload breaks.
#[derive(Clone, Copy, PartialEq)]
enum Again {
    Yes,
    AskTheHost,
}

fn start(call: &str, options: &Options) -> Result<(Home, Options)> {
    options.only(call, &["sink", "compression"])?;
    begin_change(call, options)
}

/// Makes a layer of what `open` gives, as often as it takes. `subject` is what errors concern that say nothing else.
/// Options: sink, compression.
pub(crate) fn make(open: Reopen, subject: Option<String>, options: &Options, ctx: &Context) -> Task<Layer> {
    let (home, options) = match start("making a layer", options) {
        Ok(started) => started,
        Err(e) => return Task::ready(Err(e)),
    };
    home.clone().spawn(ctx, |ctx| async move {
        let read = || async {
            let reopen = open.clone();
            Ok(Input::Read(home.place().engine.pool().run(move || reopen()).await??))
        };
        let named = |e: Error| subject.as_ref().map_or(e.clone(), |s| e.or_subject(s));
        repeatedly(&home, &options, &ctx, read).await.map_err(named)
    })
}

/// What a change to layers needs: who works, and the options for the new ones.
pub(crate) fn begin_change(call: &str, options: &Options) -> Result<(Home, Options)> {
    options.only(call, &["sink", "compression", "jobs"])?;
    let home = match home_of_sink(options) {
        Some(home) => home,
        None => Home::Local(Place::here()?),
    };
    Ok((home, options.clone()))
}

/// The client of the repository that new layers go into, where they do.
pub(crate) fn home_of_sink(options: &Options) -> Option<Home> {
    let (client, _) = options.sink.as_ref()?.0.repository()?;
    Some(Home::Client(client.clone()))
}

/// Makes a layer of a stream that `open` gives as often as it takes, compressed as the options say.
pub(crate) async fn layer_of<F>(
    home: &Home,
    options: &Options,
    ctx: &Context,
    open: impl Fn() -> F + Send + Sync,
) -> Result<Layer>
where
    F: Future<Output = Result<Chunks>> + Send,
{
    repeatedly(home, options, ctx, || async { Ok(Input::Chunks(open().await?)) }).await
}

/// Makes a layer, as often as it takes.
async fn repeatedly<F>(home: &Home, options: &Options, ctx: &Context, open: impl Fn() -> F) -> Result<Layer>
where
    F: Future<Output = Result<Input>>,
{
    let mut budget = Budget::new(TRIES, Duration::from_millis(250));
    let mut again = Again::Yes;
    loop {
        let input = open().await?;
        let out = begin(home, options, again, ctx, ctx).await?; // it has tries of its own
        let failure = match fill(home, options, input, out, ctx).await {
            // Not in one piece; from a spool it can go in several.
            Err(e) if e.get_http_status() == Some(413) && again == Again::Yes => {
                again = Again::AskTheHost;
                continue;
            }
            Err(e) if e.get_retry_after().is_some() => e,
            made => return made,
        };
        let message = failure.to_string();
        let delay = budget.spend(failure)?;
        ctx.emit(&Event { kind: "retry", subject: "layer".into(), done: 0, total: None, message });
        tokio::time::sleep(delay).await;
    }
}

/// Opens the sink under `ctx`; what goes on afterwards does so under `life`.
async fn begin(
    home: &Home,
    options: &Options,
    again: Again,
    ctx: &Context,
    life: &Context,
) -> Result<Box<dyn BlobWriter>> {
    let sink = options.sink.clone().unwrap_or_else(SinkHandle::spool);
    ctx.check()?;
    match sink.0.repository() {
        Some((client, reference)) if again == Again::AskTheHost => {
            let tee = Tee::begin(life, home.place(), client, &sink, reference).await?;
            Ok(Box::new(tee))
        }
        _ => sink.0.begin(life, home.place()).await,
    }
}

async fn fill(
    home: &Home,
    options: &Options,
    input: Input,
    mut out: Box<dyn BlobWriter>,
    ctx: &Context,
) -> Result<Layer> {
    let place = home.place();
    let compression = options.compression.unwrap_or_default();
    let mut told = 0;
    let progress = |n: u64| {
        ctx.count_bytes(n - told);
        told = n;
        ctx.emit(&Event { kind: "compress", subject: "layer".into(), done: n, total: None, message: String::new() });
    };
    let made = encode(&place.engine, &place.stats, &place.spool_dir, input, compression, &mut *out, progress).await?;
    let (subject, total) = (made.digest.to_string(), Some(made.uncompressed_size));
    ctx.emit(&Event { kind: "compress", subject, done: made.uncompressed_size, total, message: String::new() });
    let descriptor = descriptor_of(&made);
    let source = out.commit(descriptor.clone()).await?;
    Ok(Layer::written(descriptor, made.diff_id, source, home.clone()).with_uncompressed_size(made.uncompressed_size))
}

fn descriptor_of(made: &Encoded) -> Descriptor {
    let media_type = made.compression.media_type();
    let mut descriptor = Descriptor::new(media_type, made.digest.clone(), made.size);
    if let Some(toc) = &made.toc {
        descriptor.annotations.insert(ESTARGZ_DIGEST.into(), toc.to_string());
        descriptor.annotations.insert(ESTARGZ_SIZE.into(), made.uncompressed_size.to_string());
    }
    descriptor
}

/// Rewinds a stream of the host, on a thread that may wait; `None` where it can't be done.
async fn rewound(place: &Place, mut stream: Box<dyn HostStream>) -> Result<Option<Box<dyn HostStream>>> {
    let (tx, rx) = oneshot::channel();
    place.engine.callback(move || {
        let answer = match stream.rewind() {
            Some(Ok(())) => Ok(Some(stream)),
            Some(Err(e)) => Err(e),
            None => Ok(None),
        };
        let _ = tx.send(answer);
    })?;
    rx.await.map_err(|_| Error::new(Code::Callback, "the rewind callback did not come back"))?
}

fn open_layer(path: &Path) -> Result<std::fs::File> {
    std::fs::File::open(path).map_err(|e| Error::io("opening the layer", path.display(), &e))
}

/// What is named like a file and is none: opened when it is read, where waiting for its writer holds nobody up.
pub(crate) struct Pipe {
    path: std::path::PathBuf,
    file: Option<std::fs::File>,
}

impl Pipe {
    /// What is at `path`, opened when it is read; or `file`, which errors call so.
    pub(crate) fn new(path: &Path, file: Option<std::fs::File>) -> Pipe {
        Pipe { path: path.to_owned(), file }
    }
}

impl HostStream for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open_layer(&self.path)?),
        };
        let failed = |e| Error::io("reading", self.path.display(), &e);
        loop {
            match file.read(buf) {
                Ok(n) => return Ok(n),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                // Whoever opened it may have it not block, as runtimes with an event loop do.
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    crate::sys::ready::to_read(file).map_err(failed)?
                }
                Err(e) => return Err(failed(e)),
            }
        }
    }
}

pub(crate) type Back = oneshot::Receiver<Box<dyn HostStream>>;

/// Reads a stream of the host on a thread of its own, as fast as the pipeline takes it.
pub(crate) fn pump(place: &Place, mut stream: Box<dyn HostStream>) -> Result<(Chunks, Back)> {
    let (tx, chunks) = channel(QUEUE);
    let (give_back, back) = oneshot::channel();
    place.engine.callback(move || {
        let mut buf = vec![0; PIECE];
        loop {
            let piece = match stream.read(&mut buf) {
                Ok(0) => Ok(None),
                Ok(n) => Ok(Some(Bytes::copy_from_slice(&buf[..n.min(PIECE)]))),
                Err(e) => Err(e),
            };
            let more = matches!(piece, Ok(Some(_)));
            if !tx.blocking_send(piece) || !more {
                break;
            }
        }
        drop(tx);
        let _ = give_back.send(stream);
    })?;
    Ok((chunks, back))
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org), else 0.
pub(crate) fn source_date_epoch() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => text.parse().map_err(|_| {
            Error::new(Code::InvalidArgument, "SOURCE_DATE_EPOCH is no number of seconds")
                .subject(crate::digest::shown(&text))
        }),
        _ => Ok(0),
    }
}

impl std::fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerWriter").finish_non_exhaustive()
    }
}
