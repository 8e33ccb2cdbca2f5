//! A tar becomes a layer's blob: read once, compressed once, hashed before and after, written while it is made.
//!
//! Two halves run at the same time: one reads blocks, hashes them for the diff id and starts their compression, the
//! other takes the results in order, hashes them for the digest and hands them to their destination. The queue between
//! them bounds what is under way: as many blocks as the pool has threads, and one at each end.

use super::codec::{Compression, CompressionOptions, sniff};
use super::{Blocks, Chunks, Hashing, Limits, Stats, channel, decompressed, estargz, gzip, read_all, tar, zstd};
use crate::digest::{Algorithm, Digest};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::pool::Job;
use bytes::Bytes;
use futures_util::future::{BoxFuture, try_join, try_join3};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::mpsc;

/// Where a new layer's compressed bytes go.
pub(crate) trait BlobOut: Send {
    /// Takes the next bytes; waits for as long as there is no room for them.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>>;
}

/// Where a new layer comes from.
pub(crate) enum Input {
    /// A file, a directory's tar, memory: it is read on the pool, and so may not wait for anything but the disk.
    Read(Box<dyn Read + Send>),
    /// The host or the network.
    Chunks(Chunks),
}

/// What was made. Only now its name is known.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) diff_id: Digest,
    pub(crate) uncompressed_size: u64,
    pub(crate) compression: Compression,
    /// The digest of its table of contents, where it is eStargz that was asked for.
    pub(crate) toc: Option<Digest>,
}

/// Makes a blob of `input`, see [`CompressionOptions`]; `progress` is told how many bytes of it were read so far. On an
/// error, what `out` has got is of no use. What has to be kept meanwhile goes into files in `spool_dir`.
pub(crate) async fn encode(
    engine: &Arc<Engine>,
    stats: &Arc<Stats>,
    spool_dir: &Path,
    input: Input,
    options: CompressionOptions,
    out: &mut dyn BlobOut,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Encoded> {
    options.check()?;
    let chunks = match input {
        Input::Read(reader) => read_all(engine, reader),
        Input::Chunks(chunks) => chunks,
    };
    let read = Arc::new(AtomicU64::new(0));
    let count = read.clone();
    let chunks = chunks.inspect(move |chunk| {
        count.fetch_add(chunk.len() as u64, Relaxed);
    });
    let mut progress = move || progress(read.load(Relaxed));

    let mut blocks = Blocks::new(chunks, engine.shelf());
    let found = sniff(&blocks.peek().await?);
    let wanted = options.kind.unwrap_or(if found == Compression::None { Compression::Gzip } else { found });
    let work = Work { engine, stats };
    if found == wanted && found != Compression::None {
        return work.pass_through(blocks, found, out, progress).await;
    }
    let level = options.level_of(wanted)?;
    let shop = estargz::Shop { engine, stats, spool_dir };
    if wanted == Compression::Estargz && found == Compression::Gzip {
        let (kept, toc) = shop.keep(blocks.into_chunks()).await?;
        blocks = Blocks::new(kept.open(0), engine.shelf());
        if toc.is_some() {
            let encoded = work.pass_through(blocks, wanted, out, progress).await?;
            return Ok(Encoded { toc, ..encoded });
        }
    }
    if found != Compression::None {
        let plain = decompressed(engine, blocks.into_chunks(), None, Limits::default(), stats);
        blocks = Blocks::new(plain, engine.shelf());
    }
    if wanted == Compression::Estargz {
        tar::check_head(&blocks.peek().await?)?;
        let made = shop.write(blocks.into_chunks(), level, out, &mut progress).await?;
        let (digest, size, diff_id, uncompressed_size) = (made.digest, made.size, made.diff_id, made.plain);
        return Ok(Encoded { digest, size, diff_id, uncompressed_size, compression: wanted, toc: Some(made.toc) });
    }
    work.compress(blocks, wanted, level, out, progress).await
}

struct Work<'a> {
    engine: &'a Arc<Engine>,
    stats: &'a Arc<Stats>,
}

/// What the reading half hands to the writing half, in order.
enum Piece {
    Ready(Bytes),
    Deflating(Job<Deflated>),
}

struct Deflated {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
    plain: u64,
}

impl Work<'_> {
    async fn compress(
        &self,
        mut blocks: Blocks,
        kind: Compression,
        level: i32,
        out: &mut dyn BlobOut,
        progress: impl FnMut() + Send,
    ) -> Result<Encoded> {
        tar::check_head(&blocks.peek().await?)?;
        let (tx, rx) = mpsc::channel(self.engine.pool().threads());
        let reading = async {
            match kind {
                Compression::None => self.copy_blocks(blocks, tx, progress).await,
                // eStargz is written elsewhere.
                Compression::Gzip | Compression::Estargz => self.gzip_blocks(blocks, level, tx, progress).await,
                Compression::Zstd => self.zstd_blocks(blocks, level, tx, progress).await,
            }
        };
        let ((diff_id, uncompressed_size), (digest, size)) = try_join(reading, self.deliver(rx, kind, out)).await?;
        let digest = digest.unwrap_or_else(|| diff_id.clone());
        Ok(Encoded { digest, size, diff_id, uncompressed_size, compression: kind, toc: None })
    }

    async fn copy_blocks(
        &self,
        mut blocks: Blocks,
        tx: mpsc::Sender<Piece>,
        mut progress: impl FnMut(),
    ) -> Result<(Digest, u64)> {
        let (mut hash, mut size) = (self.hashing(), 0);
        while let Some(block) = blocks.next().await? {
            size += block.len() as u64;
            hash.push(block.clone()).await?;
            send(&tx, Piece::Ready(block)).await?;
            progress();
        }
        Ok((hash.finish().await?, size))
    }

    async fn gzip_blocks(
        &self,
        mut blocks: Blocks,
        level: i32,
        tx: mpsc::Sender<Piece>,
        mut progress: impl FnMut(),
    ) -> Result<(Digest, u64)> {
        let (mut hash, mut size) = (self.hashing(), 0);
        let mut before = Bytes::new();
        let mut block = blocks.next().await?.unwrap_or_default();
        loop {
            let next = blocks.next().await?;
            let (now, last, first) = (block.clone(), next.is_none(), size == 0);
            let stats = self.stats.clone();
            let job = self.engine.pool().start(move || {
                let header = gzip::header(level);
                let prefix = if first { &header[..] } else { &[] };
                let mut crc = crc32fast::Hasher::new();
                crc.update(&now);
                let bytes = gzip::compress_block(prefix, &now, &before, level, last);
                count(&stats, now.len(), bytes.len());
                Deflated { bytes, crc, plain: now.len() as u64 }
            })?;
            size += block.len() as u64;
            hash.push(block.clone()).await?;
            send(&tx, Piece::Deflating(job)).await?;
            progress();
            let Some(next) = next else { break };
            before = std::mem::replace(&mut block, next);
            before = before.slice(before.len() - gzip::DICTIONARY.min(before.len())..);
        }
        Ok((hash.finish().await?, size))
    }

    async fn zstd_blocks(
        &self,
        mut blocks: Blocks,
        level: i32,
        tx: mpsc::Sender<Piece>,
        mut progress: impl FnMut(),
    ) -> Result<(Digest, u64)> {
        let (mut hash, mut size) = (self.hashing(), 0);
        let mut encoder = zstd::Encoder::new(level)?;
        let mut next = Some(blocks.next().await?.unwrap_or_default());
        while let Some(block) = next {
            size += block.len() as u64;
            // The frame is ended by a step of its own, so that nothing depends on what is known about the end when.
            let now = block.clone();
            let stats = self.stats.clone();
            let job = self.engine.pool().start(move || {
                let bytes = encoder.step(&now, false);
                count(&stats, now.len(), bytes.as_ref().map_or(0, Vec::len));
                (encoder, bytes)
            })?;
            let meanwhile = async {
                hash.push(block).await?;
                blocks.next().await
            };
            let (done, following) = try_join(job, meanwhile).await?;
            encoder = done.0;
            send(&tx, Piece::Ready(done.1?.into())).await?;
            progress();
            next = following;
        }
        let stats = self.stats.clone();
        let end = self.engine.pool().run(move || {
            let bytes = encoder.step(&[], true);
            count(&stats, 0, bytes.as_ref().map_or(0, Vec::len));
            bytes
        });
        send(&tx, Piece::Ready(end.await??.into())).await?;
        Ok((hash.finish().await?, size))
    }

    /// The blob is the input. Its content is looked at on the side.
    async fn pass_through(
        &self,
        mut blocks: Blocks,
        kind: Compression,
        out: &mut dyn BlobOut,
        mut progress: impl FnMut() + Send,
    ) -> Result<Encoded> {
        let (tx, rx) = mpsc::channel(2);
        let (inner_tx, inner) = channel(2);
        let reading = async move {
            while let Some(block) = blocks.next().await? {
                send(&tx, Piece::Ready(block.clone())).await?;
                inner_tx.send(block).await?;
                progress();
            }
            inner_tx.finish().await
        };
        let looking = async {
            let mut plain =
                Blocks::new(decompressed(self.engine, inner, None, Limits::default(), self.stats), self.engine.shelf());
            tar::check_head(&plain.peek().await?)?;
            let (mut hash, mut size) = (self.hashing(), 0);
            while let Some(block) = plain.next().await? {
                size += block.len() as u64;
                hash.push(block).await?;
            }
            Ok((hash.finish().await?, size))
        };
        let joined = try_join3(looking, self.deliver(rx, kind, out), reading).await;
        let ((diff_id, uncompressed_size), (digest, size), ()) = joined?;
        let digest = digest.ok_or_else(|| Error::new(Code::Internal, "a compressed blob without a digest"))?;
        Ok(Encoded { digest, size, diff_id, uncompressed_size, compression: kind, toc: None })
    }

    /// The writing half: digest and size of the blob. No digest of a blob that is its own content.
    async fn deliver(
        &self,
        mut pieces: mpsc::Receiver<Piece>,
        kind: Compression,
        out: &mut dyn BlobOut,
    ) -> Result<(Option<Digest>, u64)> {
        let mut hash = (kind != Compression::None).then(|| self.hashing());
        let mut deflated: Option<crc32fast::Hasher> = None;
        let (mut size, mut plain_size) = (0, 0);
        loop {
            let piece = match pieces.recv().await {
                Some(Piece::Ready(bytes)) => bytes,
                Some(Piece::Deflating(job)) => {
                    let Deflated { bytes, crc, plain } = job.await?;
                    deflated.get_or_insert_with(crc32fast::Hasher::new).combine(&crc);
                    plain_size += plain;
                    bytes.into()
                }
                None => match deflated.take() {
                    Some(crc) => gzip::trailer(&crc, plain_size).to_vec().into(),
                    None => break,
                },
            };
            if piece.is_empty() {
                continue;
            }
            size += piece.len() as u64;
            if let Some(hash) = &mut hash {
                hash.push(piece.clone()).await?;
            }
            out.write(piece).await?;
        }
        match hash {
            Some(hash) => Ok((Some(hash.finish().await?), size)),
            None => Ok((None, size)),
        }
    }

    fn hashing(&self) -> Hashing {
        Hashing::new(self.engine, self.stats, Algorithm::Sha256.hasher())
    }
}

pub(super) fn count(stats: &Stats, read: usize, written: usize) {
    stats.compressing_here();
    stats.compress_in.add(read as u64);
    stats.compress_out.add(written as u64);
}

/// Waits for room. If the other half is gone, its own error is the one that is reported.
async fn send(tx: &mpsc::Sender<Piece>, piece: Piece) -> Result<()> {
    tx.send(piece).await.map_err(|_| Error::new(Code::InvalidState, "the writing half of a pipeline is gone"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::codec::Decoder;
    use super::super::{BLOCK, TarEntries};
    use super::*;
    use bytes::BytesMut;
    use futures_util::{FutureExt, stream};

    #[derive(Default)]
    struct Memory {
        bytes: BytesMut,
        /// Fails from here on.
        limit: Option<usize>,
    }

    impl BlobOut for Memory {
        fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
            async move {
                tokio::task::yield_now().await;
                if self.limit.is_some_and(|limit| self.bytes.len() > limit) {
                    return Err(Error::new(Code::Unavailable, "the connection is gone"));
                }
                self.bytes.extend_from_slice(&chunk);
                Ok(())
            }
            .boxed()
        }
    }

    pub(in crate::stream) struct Bench {
        pub(in crate::stream) engine: Arc<Engine>,
        pub(in crate::stream) stats: Arc<Stats>,
    }

    impl Bench {
        pub(in crate::stream) fn new(threads: usize) -> Bench {
            Bench { engine: Engine::with_pool(threads), stats: Arc::default() }
        }
        pub(in crate::stream) fn run(&self, input: Input, options: CompressionOptions) -> Result<(Encoded, Bytes)> {
            let mut out = Memory::default();
            let dir = std::env::temp_dir();
            let encode = encode(&self.engine, &self.stats, &dir, input, options, &mut out, |_| ());
            let encoded = self.engine.handle().block_on(encode)?;
            let bytes = out.bytes.freeze();
            assert_eq!((&encoded.digest, encoded.size), (&Digest::sha256(&bytes), bytes.len() as u64));
            Ok((encoded, bytes))
        }
        pub(in crate::stream) fn bytes(&self, data: &[u8], options: CompressionOptions) -> Result<(Encoded, Bytes)> {
            self.run(Input::Read(Box::new(std::io::Cursor::new(data.to_vec()))), options)
        }
    }

    fn auto() -> CompressionOptions {
        CompressionOptions::default()
    }

    pub(in crate::stream) fn ask(kind: Compression) -> CompressionOptions {
        CompressionOptions { kind: Some(kind), level: None }
    }

    /// A tar of some `len` bytes.
    fn tar_of(len: usize) -> Vec<u8> {
        let mut entries = TarEntries::default();
        entries.add_bytes("data", 0o644, gzip::tests::sample(len)).unwrap();
        let mut tar = Vec::new();
        entries.read(0).read_to_end(&mut tar).unwrap();
        tar
    }

    pub(in crate::stream) fn decode(mut data: Bytes) -> Vec<u8> {
        let mut decoder = Decoder::new(sniff(&data)).unwrap();
        let mut out = Vec::new();
        loop {
            let step = decoder.step(&mut data, BLOCK).unwrap();
            if step.is_empty() {
                decoder.finish().unwrap();
                return out;
            }
            out.extend(step);
        }
    }

    #[test]
    fn the_same_whatever_the_pool_and_the_cut() {
        let tar = tar_of(5 * BLOCK + 300);
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let (first, blob) = Bench::new(1).bytes(&tar, ask(kind)).unwrap();
            assert!(decode(blob) == tar);
            assert_eq!((first.diff_id.clone(), first.uncompressed_size), (Digest::sha256(&tar), tar.len() as u64));
            assert_eq!(first.compression, kind);
            assert_eq!(first.digest == first.diff_id, kind == Compression::None);
            let bench = Bench::new(4);
            arbtest::arbtest(|u| {
                let mut chunks = Vec::new();
                let mut left = Bytes::from(tar.clone());
                while !left.is_empty() {
                    let most = *u.choose(&[1_000, BLOCK, 3 * BLOCK])?;
                    let n = u.int_in_range(0..=most)?.min(left.len()).max(usize::from(chunks.len() > 500));
                    chunks.push(Ok(left.split_to(n)));
                    if u.is_empty() {
                        chunks.push(Ok(std::mem::take(&mut left)));
                    }
                }
                let input = Input::Chunks(Chunks::from_stream(stream::iter(chunks)));
                let (again, _) = bench.run(input, ask(kind)).unwrap();
                assert_eq!((&again.digest, &again.diff_id), (&first.digest, &first.diff_id), "{kind}");
                Ok(())
            })
            .budget_ms(300);
        }
    }

    #[test]
    fn each_byte_is_compressed_once_on_more_than_one_thread() {
        let tar = tar_of(64 << 20);
        let bench = Bench::new(4);
        let (encoded, _) = bench.bytes(&tar, auto()).unwrap();
        assert_eq!(encoded.compression, Compression::Gzip);
        assert_eq!(bench.stats.compress_in.get(), tar.len() as u64);
        assert_eq!(bench.stats.compress_out.get() + 8, encoded.size, "all but the trailer");
        assert!(bench.stats.compress_threads() >= 2);
        assert_eq!(bench.stats.hash_bytes.get(), tar.len() as u64 + encoded.size);
    }

    #[test]
    fn progress_tells_the_bytes_that_were_read() {
        let tar = tar_of(3 * BLOCK);
        let bench = Bench::new(2);
        let (packed, _) = bench.bytes(&tar, auto()).map(|(e, b)| (b, e)).unwrap();
        for data in [Bytes::from(tar), packed] {
            let mut seen = Vec::new();
            let mut out = Memory::default();
            let input = Input::Chunks(Chunks::from_bytes(data.clone()));
            let dir = std::env::temp_dir();
            let work = encode(&bench.engine, &bench.stats, &dir, input, auto(), &mut out, |n| seen.push(n));
            bench.engine.handle().block_on(work).unwrap();
            assert!(seen.is_sorted() && seen.last() == Some(&(data.len() as u64)), "{seen:?}");
        }
    }

    #[test]
    fn what_is_compressed_stays_as_it_is() {
        let tar = tar_of(2 * BLOCK + 5);
        for kind in [Compression::Gzip, Compression::Zstd] {
            let bench = Bench::new(2);
            let (made, blob) = bench.bytes(&tar, ask(kind)).unwrap();
            let compressed = bench.stats.compress_in.get();
            for options in [auto(), ask(kind)] {
                let (encoded, bytes) = bench.bytes(&blob, options).unwrap();
                assert!(bytes == blob);
                assert_eq!((encoded.digest, encoded.diff_id), (made.digest.clone(), made.diff_id.clone()));
                assert_eq!((encoded.uncompressed_size, encoded.compression), (tar.len() as u64, kind));
            }
            assert_eq!(bench.stats.compress_in.get(), compressed, "nothing was compressed again");
        }
    }

    #[test]
    fn another_compression_is_made_of_it_when_asked() {
        let tar = tar_of(2 * BLOCK + 5);
        let kinds = [Compression::None, Compression::Gzip, Compression::Zstd];
        let bench = Bench::new(2);
        let made = kinds.map(|kind| bench.bytes(&tar, ask(kind)).unwrap());
        for (_, from) in &made {
            for (to, _) in &made {
                let (encoded, _) = bench.bytes(from, ask(to.compression)).unwrap();
                assert_eq!((&encoded.digest, &encoded.diff_id), (&to.digest, &to.diff_id));
            }
        }
    }

    #[test]
    fn an_empty_layer_is_a_layer() {
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let (encoded, blob) = Bench::new(1).bytes(&[], ask(kind)).unwrap();
            assert_eq!((encoded.diff_id, encoded.uncompressed_size), (Digest::sha256(b""), 0));
            assert_eq!(blob.is_empty(), kind == Compression::None);
            assert!(decode(blob).is_empty());
        }
    }

    #[test]
    fn what_is_no_tar_is_refused() {
        let bench = Bench::new(2);
        let (_, twice) = bench.bytes(&tar_of(10), auto()).unwrap();
        let mut packed = gzip::header(2).to_vec();
        packed.extend(gzip::compress_block(&[], &twice, &[], 2, true));
        let mut crc = crc32fast::Hasher::new();
        crc.update(&twice);
        packed.extend(gzip::trailer(&crc, twice.len() as u64));
        for bad in [&b"hello"[..], &[b'x'; 4096], &packed] {
            for options in [auto(), ask(Compression::Zstd), ask(Compression::None)] {
                let e = bench.bytes(bad, options).unwrap_err();
                assert_eq!((e.code(), e.message()), (Code::Malformed, "not a tar archive"));
            }
        }
    }

    #[test]
    fn damaged_input_is_refused() {
        let bench = Bench::new(2);
        for kind in [Compression::Gzip, Compression::Zstd] {
            let (_, good) = bench.bytes(&tar_of(3 * BLOCK), ask(kind)).unwrap();
            let mut flipped = good.to_vec();
            flipped[good.len() - 3] ^= 1;
            for bad in [&flipped[..], &good[..good.len() - 1], &good[..good.len() / 2], &[&good[..], b"tail"].concat()]
            {
                for options in [auto(), ask(Compression::None)] {
                    assert_eq!(bench.bytes(bad, options).unwrap_err().code(), Code::Malformed);
                }
            }
        }
    }

    #[test]
    fn the_error_of_either_end_comes_through() {
        let bench = Bench::new(1);
        let tar = tar_of(20 * BLOCK);
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut out = Memory { limit: Some(100_000), ..Memory::default() };
            let input = Input::Chunks(Chunks::from_bytes(tar.clone()));
            let dir = std::env::temp_dir();
            let work = encode(&bench.engine, &bench.stats, &dir, input, ask(kind), &mut out, |_| ());
            assert_eq!(bench.engine.handle().block_on(work).unwrap_err().code(), Code::Unavailable);

            let broken = [Ok(Bytes::copy_from_slice(&tar[..5 * BLOCK])), Err(Error::new(Code::Callback, "no more"))];
            let input = Input::Chunks(Chunks::from_stream(stream::iter(broken)));
            assert_eq!(bench.run(input, ask(kind)).unwrap_err().code(), Code::Callback);
        }
    }

    /// Never gives more blocks than may be under way before what was made of the first ones is taken.
    #[test]
    fn a_slow_destination_holds_the_source_back() {
        struct Stuck;
        impl BlobOut for Stuck {
            fn write(&mut self, _: Bytes) -> BoxFuture<'_, Result<()>> {
                std::future::pending().boxed()
            }
        }
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let bench = Bench::new(2);
            let taken = Arc::new(AtomicU64::new(0));
            let count = taken.clone();
            let head = Bytes::from(tar_of(BLOCK)).slice(..BLOCK);
            let endless = stream::repeat_with(move || {
                count.fetch_add(1, Relaxed);
                Ok(head.clone())
            });
            let input = Input::Chunks(Chunks::from_stream(endless));
            let mut out = Stuck;
            let dir = std::env::temp_dir();
            let work = encode(&bench.engine, &bench.stats, &dir, input, ask(kind), &mut out, |_| ()).boxed();
            let waited = bench
                .engine
                .handle()
                .block_on(async { tokio::time::timeout(std::time::Duration::from_millis(150), work).await });
            assert!(waited.is_err());
            // zstd may swallow more before anything comes out; it is asked for its first output here.
            let most = if kind == Compression::Zstd { 12 } else { 2 + 3 };
            assert!(taken.load(Relaxed) <= most, "{kind}: {}", taken.load(Relaxed));
        }
    }
}
