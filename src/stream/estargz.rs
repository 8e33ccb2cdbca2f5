//! The eStargz that this library writes: a gzip of many members, a table of contents, a footer.
//!
//! The entries stay as they are and in their order. In front of them stands the landmark that says that nothing is to
//! be fetched ahead, as the format demands where no file is preferred; landmarks and a table that were there before are
//! left out, and so is what follows the tar's end. A member begins with the blob, with the content of every file, with
//! every further [`CHUNK`] of it, and with the table; a header stands in the member of the content before it.
//!
//! As in `encode`, one half reads and starts jobs, and the other takes the results in order. A member is cut at
//! multiples of [`BLOCK`] as the plain gzip is, so that all cores work on a large file too; small members share a job.
//! What comes out depends on the tar and the level alone. Where a member begins in the blob is known to the writing
//! half, and so that writes the table, into a spool file once it is no longer small.

use super::toc::{self, LANDMARK, LANDMARKS, Line, TOC_NAME};
use super::{BLOCK, BlobOut, Chunks, Hashing, Kind, Spool, SpoolBlob, Stats, TarEntry, TarStream};
use super::{TAR_END, Toc, gzip, tar, tar_filling};
use crate::digest::{Algorithm, Digest};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::pool::Job;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::try_join;
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// So much of a file can be read by itself.
pub(super) const CHUNK: u64 = 4 << 20;
/// Members that share a job, at most.
const MEMBERS: usize = 512;

/// What was written.
pub(super) struct Written {
    pub digest: Digest,
    pub size: u64,
    pub diff_id: Digest,
    pub plain: u64,
    pub toc: Digest,
}

/// Where the work is done.
pub(super) struct Shop<'a> {
    pub engine: &'a Arc<Engine>,
    pub stats: &'a Arc<Stats>,
    pub spool_dir: &'a Path,
}

impl Shop<'_> {
    fn hashing(&self) -> Hashing {
        Hashing::new(self.engine, self.stats, Algorithm::Sha256.hasher())
    }

    /// Makes an eStargz blob of a tar.
    pub(super) async fn write(
        &self,
        tar: Chunks,
        level: i32,
        out: &mut dyn BlobOut,
        progress: &mut (dyn FnMut() + Send),
    ) -> Result<Written> {
        let mut writing = Writing {
            out,
            hash: self.hashing(),
            size: 0,
            member: Member::default(),
            starts: VecDeque::new(),
            table: Table::new(self),
        };
        let (tx, rx) = mpsc::channel(self.engine.pool().threads());
        let mut reading = Reading {
            shop: self,
            level,
            tx,
            progress,
            diff_id: self.hashing(),
            plain: 0,
            block: BytesMut::new(),
            before: Bytes::new(),
            begins: Some(Begins::Other),
            batch: Batch::default(),
            large: HashSet::new(),
        };
        let entries = async {
            reading.entries(TarStream::new(tar)).await?;
            let (tx, rx) = mpsc::channel(self.engine.pool().threads());
            reading.tx = tx; // the other half comes to its end
            Ok(rx)
        };
        let (rx, ()) = try_join(entries, writing.take_in(rx)).await?;
        let toc_at = writing.size;
        let (toc, len, json) = writing.table.finish().await?;
        writing.table = Table::new(self);
        let table = async {
            reading.table(json, len).await?;
            let Reading { diff_id, plain, .. } = reading;
            Ok((diff_id.finish().await?, plain))
        };
        let ((diff_id, plain), ()) = try_join(table, writing.take_in(rx)).await?;
        writing.put(Bytes::copy_from_slice(&toc::footer(toc_at))).await?;
        Ok(Written { digest: writing.hash.finish().await?, size: writing.size, diff_id, plain, toc })
    }

    /// Keeps gzip of which nobody knows before its end whether it is eStargz: with the digest of its table if it is.
    pub(super) async fn keep(&self, mut gzip: Chunks) -> Result<(SpoolBlob, Option<Digest>)> {
        let mut spool = Spool::create(self.engine, self.spool_dir, self.stats).await?;
        let mut size = 0;
        while let Some(chunk) = gzip.next().await? {
            size += chunk.len() as u64;
            spool.write(chunk).await?;
        }
        let blob = spool.finish().await?;
        let kept = blob.clone();
        let fetch = move |range: std::ops::Range<u64>| {
            futures_util::future::ready(Ok(kept.open(range.start).take(range.end - range.start))).boxed()
        };
        // What only looks like eStargz is a gzip like any other.
        let table = match toc::estargz(self.engine, self.stats, size, &fetch).await {
            Ok(Some((json, toc_at))) => {
                let read = move || Toc::parse(&json, toc_at).is_ok().then(|| Digest::sha256(&json));
                self.engine.pool().run(read).await?
            }
            Err(e) if e.code() != Code::Malformed => return Err(e),
            _ => None,
        };
        Ok((blob, table))
    }
}

/// Why a member begins.
#[derive(Clone, Copy, PartialEq)]
enum Begins {
    Chunk,
    Other,
}

/// A part of a member, no larger than a block.
struct Part {
    data: Bytes,
    before: Bytes,
    begins: Option<Begins>,
    ends: bool,
}

struct Deflated {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
    plain: u64,
    begins: Option<Begins>,
    ends: bool,
}

/// An entry whose chunks are in this batch or in earlier ones.
struct Listed {
    line: Line,
    /// Size and digest of each chunk.
    chunks: Vec<(u64, Digest)>,
}

/// What goes to the pool at once.
#[derive(Default)]
struct Batch {
    parts: Vec<Part>,
    len: usize,
    entries: Vec<Listed>,
}

/// What the reading half hands over.
struct Sent {
    job: Job<Vec<Deflated>>,
    entries: Vec<Listed>,
}

struct Reading<'a> {
    shop: &'a Shop<'a>,
    level: i32,
    tx: mpsc::Sender<Sent>,
    progress: &'a mut (dyn FnMut() + Send),
    diff_id: Hashing,
    plain: u64,
    /// What of the member is in no part yet.
    block: BytesMut,
    /// What precedes that in the member.
    before: Bytes,
    /// Why the member began, while none of its parts is made.
    begins: Option<Begins>,
    batch: Batch,
    /// Names of files of more than one chunk.
    large: HashSet<Vec<u8>>,
}

impl Reading<'_> {
    async fn entries(&mut self, mut tar: TarStream) -> Result<()> {
        let size = LANDMARK.len() as u64;
        self.put(tar::file_header(LANDMARKS[0], 0o644, size).into()).await?;
        self.member(Begins::Chunk).await?;
        self.put(Bytes::from_static(LANDMARK)).await?;
        self.put(tar_filling(size)).await?;
        let digest = Digest::sha256(LANDMARK);
        let mut line = Line { name: LANDMARKS[0].into(), kind: "reg".into(), mode: 0o644, ..Line::default() };
        (line.size, line.digest) = (size, digest.to_string());
        self.batch.entries.push(Listed { line, chunks: vec![(size, digest)] });
        while let Some(entry) = tar.next().await? {
            if is_ours(&entry.name) {
                continue;
            }
            let name = entry.shown();
            self.entry(&mut tar, entry).await.map_err(|e| match e.code() {
                Code::Unsupported => e.or_subject(name),
                _ => e,
            })?;
        }
        self.part(true).await?;
        self.submit().await
    }

    async fn entry(&mut self, tar: &mut TarStream, entry: TarEntry) -> Result<()> {
        let mut line = line(&entry)?;
        if self.large.contains(&entry.name) {
            return unsupported("eStargz can't hold a large file and another entry of the same name");
        }
        self.put(entry.globals.clone()).await?;
        self.put(entry.raw.clone()).await?;
        let mut chunks = Vec::new();
        if entry.kind == Kind::File {
            let mut whole = (entry.size > CHUNK).then(|| self.shop.hashing());
            let (mut left, mut piece) = (entry.size, Bytes::new());
            while left > 0 {
                self.member(Begins::Chunk).await?;
                let size = left.min(CHUNK);
                let digest = self.chunk(tar, &mut piece, size, whole.as_mut()).await?;
                chunks.push((size, digest));
                left -= size;
            }
            self.put(tar_filling(entry.size)).await?;
            let digest = match (whole, &chunks[..]) {
                (Some(whole), _) => {
                    self.large.insert(entry.name);
                    whole.finish().await?
                }
                (None, [(_, only)]) => only.clone(),
                _ => Digest::sha256(b""),
            };
            line.digest = digest.to_string();
        }
        self.batch.entries.push(Listed { line, chunks });
        Ok(())
    }

    /// One chunk of a file; `rest` is what of the last piece belongs to it, and to the next one.
    async fn chunk(
        &mut self,
        tar: &mut TarStream,
        rest: &mut Bytes,
        size: u64,
        mut whole: Option<&mut Hashing>,
    ) -> Result<Digest> {
        let (mut left, mut hash) = (size, self.shop.hashing());
        while left > 0 {
            if rest.is_empty() {
                let ends = || Error::new(Code::Malformed, "the tar ends within an entry's data");
                *rest = tar.data().await?.ok_or_else(ends)?;
            }
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let piece = rest.split_to(n);
            left -= n as u64;
            hash.push(piece.clone()).await?;
            if let Some(whole) = &mut whole {
                whole.push(piece.clone()).await?;
            }
            self.put(piece).await?;
        }
        hash.finish().await
    }

    /// The entry of the table, and the end of the tar.
    async fn table(&mut self, mut json: Chunks, len: u64) -> Result<()> {
        self.begins = Some(Begins::Other);
        self.put(tar::file_header(TOC_NAME, 0o644, len).into()).await?;
        while let Some(chunk) = json.next().await? {
            self.put(chunk).await?;
        }
        self.put(tar_filling(len)).await?;
        self.put(Bytes::from_static(TAR_END)).await?;
        self.part(true).await?;
        self.submit().await?;
        let (tx, _) = mpsc::channel(1);
        self.tx = tx; // the other half comes to its end
        Ok(())
    }

    /// Ends the member; what comes now is in the next one.
    async fn member(&mut self, begins: Begins) -> Result<()> {
        self.part(true).await?;
        self.begins = Some(begins);
        Ok(())
    }

    /// Takes in more of the tar.
    async fn put(&mut self, mut bytes: Bytes) -> Result<()> {
        self.plain += bytes.len() as u64;
        self.diff_id.push(bytes.clone()).await?;
        while !bytes.is_empty() {
            // A full block waits for what follows: it may be the member's last.
            if self.block.len() == BLOCK {
                self.part(false).await?;
            }
            if self.block.capacity() == self.block.len() {
                self.block.reserve(BLOCK);
            }
            let n = bytes.len().min(BLOCK - self.block.len());
            self.block.extend_from_slice(&bytes.split_to(n));
        }
        Ok(())
    }

    async fn part(&mut self, ends: bool) -> Result<()> {
        let data = self.block.split().freeze();
        let tail = data.slice(data.len() - gzip::DICTIONARY.min(data.len())..);
        let before = std::mem::replace(&mut self.before, if ends { Bytes::new() } else { tail });
        self.batch.len += data.len();
        self.batch.parts.push(Part { data, before, begins: self.begins.take(), ends });
        match self.batch.len >= BLOCK || self.batch.parts.len() >= MEMBERS {
            true => self.submit().await,
            false => Ok(()),
        }
    }

    async fn submit(&mut self) -> Result<()> {
        let Batch { parts, entries, .. } = std::mem::take(&mut self.batch);
        let (level, stats) = (self.level, self.shop.stats.clone());
        let job =
            self.shop.engine.pool().start(move || parts.into_iter().map(|p| p.deflate(level, &stats)).collect())?;
        let gone = |_| Error::new(Code::InvalidState, "the writing half of a pipeline is gone");
        self.tx.send(Sent { job, entries }).await.map_err(gone)?;
        (self.progress)();
        Ok(())
    }
}

impl Part {
    fn deflate(self, level: i32, stats: &Stats) -> Deflated {
        let header = gzip::header(level);
        let prefix = if self.begins.is_some() { &header[..] } else { &[] };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.data);
        let bytes = gzip::compress_block(prefix, &self.data, &self.before, level, self.ends);
        super::encode::count(stats, self.data.len(), bytes.len());
        Deflated { bytes, crc, plain: self.data.len() as u64, begins: self.begins, ends: self.ends }
    }
}

#[derive(Default)]
struct Member {
    crc: crc32fast::Hasher,
    plain: u64,
}

struct Writing<'a> {
    out: &'a mut dyn BlobOut,
    hash: Hashing,
    size: u64,
    member: Member,
    /// Where the chunks begin that are in no listed entry yet.
    starts: VecDeque<u64>,
    table: Table<'a>,
}

impl Writing<'_> {
    async fn take_in(&mut self, mut sent: mpsc::Receiver<Sent>) -> Result<()> {
        while let Some(Sent { job, entries }) = sent.recv().await {
            let parts = job.await?;
            let mut bytes = BytesMut::with_capacity(parts.iter().map(|p| p.bytes.len() + 8).sum());
            for part in parts {
                if let Some(begins) = part.begins {
                    self.member = Member::default();
                    if begins == Begins::Chunk {
                        self.starts.push_back(self.size + bytes.len() as u64);
                    }
                }
                bytes.extend_from_slice(&part.bytes);
                self.member.crc.combine(&part.crc);
                self.member.plain += part.plain;
                if part.ends {
                    bytes.extend_from_slice(&gzip::trailer(&self.member.crc, self.member.plain));
                }
            }
            self.put(bytes.freeze()).await?;
            for entry in entries {
                self.list(entry).await?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        self.hash.push(bytes.clone()).await?;
        self.out.write(bytes).await
    }

    /// Puts an entry into the table, which says it as the format wants it: one line for each chunk.
    async fn list(&mut self, entry: Listed) -> Result<()> {
        let Listed { mut line, chunks } = entry;
        let bug = || Error::new(Code::Internal, "a chunk that was never written");
        if chunks.is_empty() {
            return self.table.add(&line).await;
        }
        let (last, mut offset) = (chunks.len() - 1, 0);
        for (i, (size, digest)) in chunks.into_iter().enumerate() {
            line.offset = self.starts.pop_front().ok_or_else(bug)?;
            line.chunk_offset = offset;
            line.chunk_size = if i == last { 0 } else { size }; // zero: up to the file's end
            line.chunk_digest = digest.to_string();
            self.table.add(&line).await?;
            offset += size;
            line = Line { name: line.name, kind: "chunk".into(), ..Line::default() };
        }
        Ok(())
    }
}

/// The table as JSON while it is written.
struct Table<'a> {
    shop: &'a Shop<'a>,
    hash: Hashing,
    size: u64,
    ready: BytesMut,
    spool: Option<Spool>,
}

impl<'a> Table<'a> {
    fn new(shop: &'a Shop<'a>) -> Table<'a> {
        let ready = BytesMut::from(&b"{\"version\":1,\"entries\":["[..]);
        Table { shop, hash: shop.hashing(), size: 0, ready, spool: None }
    }

    async fn add(&mut self, line: &Line) -> Result<()> {
        if self.ready.last() == Some(&b'}') || self.size > 0 {
            self.ready.extend_from_slice(b",");
        }
        self.ready.extend_from_slice(b"\n");
        let bug = |e| Error::new(Code::Internal, format!("a line of the table of contents: {e}"));
        self.ready.extend_from_slice(&serde_json::to_vec(line).map_err(bug)?);
        if self.ready.len() < BLOCK {
            return Ok(());
        }
        let bytes = self.ready.split().freeze();
        self.size += bytes.len() as u64;
        self.hash.push(bytes.clone()).await?;
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(Spool::create(self.shop.engine, self.shop.spool_dir, self.shop.stats).await?),
        };
        spool.write(bytes).await
    }

    /// Digest, size and all of it.
    async fn finish(mut self) -> Result<(Digest, u64, Chunks)> {
        self.ready.extend_from_slice(b"\n]}");
        let rest = self.ready.freeze();
        self.size += rest.len() as u64;
        self.hash.push(rest.clone()).await?;
        let digest = self.hash.finish().await?;
        let json = match self.spool {
            None => Chunks::from_bytes(rest),
            Some(mut spool) => {
                spool.write(rest).await?;
                spool.finish().await?.open(0)
            }
        };
        Ok((digest, self.size, json))
    }
}

/// Whether an entry is one that the format itself puts in.
fn is_ours(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    matches!(parts[..], [only] if only == TOC_NAME || LANDMARKS.contains(&only))
}

fn unsupported<T>(why: &str) -> Result<T> {
    Err(Error::new(Code::Unsupported, why))
}

/// What the table says of an entry, but for its content.
fn line(entry: &TarEntry) -> Result<Line> {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => unsupported("eStargz can't hold a name that is not UTF-8"),
    };
    let kind = match entry.kind {
        Kind::File => "reg",
        Kind::HardLink => "hardlink",
        Kind::Symlink => "symlink",
        Kind::CharDevice => "char",
        Kind::BlockDevice => "block",
        Kind::Directory => "dir",
        Kind::Fifo => "fifo",
        Kind::Other(_) => return unsupported("eStargz can't hold an entry of this type"),
    };
    if entry.sparse.is_some() {
        return unsupported("eStargz can't hold a sparse file");
    }
    let mut line = Line { name: text(&entry.name)?, kind: kind.into(), ..Line::default() };
    match entry.kind {
        Kind::File => line.size = entry.size,
        Kind::HardLink | Kind::Symlink => line.link_name = text(&entry.link)?,
        Kind::CharDevice | Kind::BlockDevice => {
            (line.dev_major, line.dev_minor) = (u64::from(entry.device.0), u64::from(entry.device.1));
        }
        _ => {}
    }
    line.mtime = mtime(entry);
    (line.mode, line.uid, line.gid) = (u64::from(entry.mode), entry.uid, entry.gid);
    (line.user_name, line.group_name) = (text(&entry.uname)?, text(&entry.gname)?);
    for (key, value) in entry.xattrs() {
        use base64::Engine as _;
        line.xattrs.insert(text(key)?, base64::engine::general_purpose::STANDARD.encode(value));
    }
    Ok(line)
}

/// To the second. Zero, and what RFC 3339 has no year for, is unknown.
fn mtime(entry: &TarEntry) -> String {
    let at = entry.mtime.secs.saturating_add(i64::from(entry.mtime.nanos >= 500_000_000));
    let time = time::OffsetDateTime::from_unix_timestamp(at).ok().filter(|t| entry.mtime.secs != 0 && t.year() >= 0);
    time.and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok()).unwrap_or_default()
}
