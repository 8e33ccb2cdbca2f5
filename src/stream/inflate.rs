//! Streams of what is inside compressed streams.

use super::codec::{Decoder, MAGIC_LEN, sniff};
use super::{BLOCK, Chunks, Stats, verified_from};
use crate::block::Block;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::pool::Job;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;

/// Compressed bytes that are held at most, but for what the last chunk brings.
const AHEAD: usize = 2 * BLOCK;

/// What decompressing is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// More bytes than this are `LimitExceeded`.
    pub(crate) max_bytes: u64,
}

impl Default for Limits {
    /// Any size: the stream is never held, whatever comes out of it.
    fn default() -> Limits {
        Limits { max_bytes: u64::MAX }
    }
}

/// What is inside `chunks`, whose compression is told by their first bytes; if they have none, the same bytes. Checked
/// against `diff_id` where that is known, as [`super::verified`] does. The next block is decompressed while the
/// consumer is busy with this one.
pub(crate) fn decompressed(
    engine: &Arc<Engine>,
    chunks: Chunks,
    diff_id: Option<&Digest>,
    limits: Limits,
    stats: &Arc<Stats>,
) -> Chunks {
    let inflating = Inflating {
        engine: engine.clone(),
        stats: stats.clone(),
        limits,
        input: Input { chunks, ready: VecDeque::new(), len: 0, lent: 0, ended: false },
        decoder: None,
        job: None,
        out: 0,
    };
    let plain = Chunks::unfold(inflating, |mut i| async move { Ok(i.next().await?.map(|chunk| (chunk, i))) });
    match diff_id {
        Some(id) => verified_from(engine, plain, id, None, id.algorithm().hasher(), 0, stats),
        None => plain,
    }
}

struct Inflating {
    engine: Arc<Engine>,
    stats: Arc<Stats>,
    limits: Limits,
    input: Input,
    /// `None` before the first bytes are known, and while a job has it.
    decoder: Option<Decoder>,
    job: Option<Job<Result<Step>>>,
    out: u64,
}

/// Compressed bytes that wait for their turn.
struct Input {
    chunks: Chunks,
    ready: VecDeque<Bytes>,
    /// Bytes that are here or with the job.
    len: usize,
    /// Those of them that the job has.
    lent: usize,
    ended: bool,
}

/// What a job gives back: the decoder, the input that it left, and what it made of the rest.
struct Step {
    decoder: Decoder,
    rest: VecDeque<Bytes>,
    out: Bytes,
    more_inside: bool,
}

impl Inflating {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(step) = self.step().await? else { return Ok(None) };
            let Step { decoder, rest, out, more_inside } = step;
            self.decoder = Some(decoder);
            self.input.put_back(rest);
            if more_inside || !self.input.ready.is_empty() {
                self.start()?;
            }
            self.out = self.out.saturating_add(out.len() as u64);
            if self.out > self.limits.max_bytes {
                let why = format!("more than {} bytes when decompressed", self.limits.max_bytes);
                return Err(Error::new(Code::LimitExceeded, why));
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
    }

    /// The outcome of the next job, `None` if there is nothing left to do.
    async fn step(&mut self) -> Result<Option<Step>> {
        if self.job.is_none() {
            let wanted = if self.decoder.is_none() { MAGIC_LEN } else { 1 };
            while self.input.len < wanted && !self.input.ended {
                self.input.fetch().await?;
            }
            if self.decoder.is_none() {
                self.decoder = Some(Decoder::new(self.input.sniff())?);
            }
            if self.input.ready.is_empty() {
                return match &self.decoder {
                    Some(decoder) => decoder.finish().map(|()| None),
                    None => Ok(None),
                };
            }
            self.start()?;
        }
        let Some(job) = &mut self.job else { return Ok(None) };
        let done = loop {
            // A job that makes much out of little leaves the most of its input, so that counts here.
            if self.input.ended || self.input.len >= AHEAD {
                break job.await;
            }
            // The job has not come back yet: see to its next input.
            tokio::select! {
                biased;
                done = &mut *job => break done,
                fetched = self.input.fetch() => fetched?,
            }
        };
        self.job = None;
        done?.map(Some)
    }

    fn start(&mut self) -> Result<()> {
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let input = self.input.take();
        let stats = self.stats.clone();
        let block = self.engine.shelf().take();
        self.job = Some(self.engine.pool().start(move || work(decoder, input, block, &stats))?);
        Ok(())
    }
}

/// One block of output, or as much as the input gives.
fn work(mut decoder: Decoder, mut input: VecDeque<Bytes>, mut block: Block, stats: &Stats) -> Result<Step> {
    let out = block.bytes();
    let before: usize = input.iter().map(Bytes::len).sum();
    loop {
        let mut chunk = input.pop_front().unwrap_or_default();
        decoder.decode_into(&mut chunk, out)?;
        if !chunk.is_empty() {
            input.push_front(chunk);
        }
        if input.is_empty() || out.len() == out.capacity() {
            break;
        }
    }
    let after: usize = input.iter().map(Bytes::len).sum();
    stats.inflate_in.add((before - after) as u64);
    stats.inflate_out.add(out.len() as u64);
    let more_inside = out.len() == out.capacity();
    Ok(Step { decoder, rest: input, out: block.freeze(), more_inside })
}

impl Input {
    async fn fetch(&mut self) -> Result<()> {
        match self.chunks.next().await? {
            Some(chunk) if chunk.is_empty() => {}
            Some(chunk) => {
                self.len += chunk.len();
                self.ready.push_back(chunk);
            }
            None => self.ended = true,
        }
        Ok(())
    }

    fn sniff(&self) -> super::Compression {
        let mut head = BytesMut::new();
        for chunk in &self.ready {
            head.extend_from_slice(&chunk[..chunk.len().min(MAGIC_LEN)]);
        }
        sniff(&head)
    }

    fn take(&mut self) -> VecDeque<Bytes> {
        self.lent = self.len;
        std::mem::take(&mut self.ready)
    }

    fn put_back(&mut self, mut rest: VecDeque<Bytes>) {
        self.len = self.len - self.lent + rest.iter().map(Bytes::len).sum::<usize>();
        self.lent = 0;
        rest.append(&mut self.ready);
        self.ready = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::super::gzip::tests::{compress, sample};
    use super::super::{gzip, zstd};
    use super::*;
    use futures_util::stream;

    fn engine() -> Arc<Engine> {
        Engine::get().unwrap()
    }

    fn cut_into(data: &[u8], cut: usize) -> Chunks {
        let pieces: Vec<_> = data.chunks(cut).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
        Chunks::from_stream(stream::iter(pieces))
    }

    #[test]
    fn all_kinds_in_any_cut_and_any_pool() {
        let data = sample(BLOCK * 2 + 999);
        let id = Digest::sha256(&data);
        let z = zstd::Encoder::new(3).unwrap().step(&data, true).unwrap();
        for packed in [compress(&data, 2, BLOCK), z, data.clone()] {
            for (cut, threads) in [(777, 1), (100_000, 4), (packed.len(), 2)] {
                let engine = Engine::with_pool(threads);
                let stats = Arc::default();
                let chunks = decompressed(&engine, cut_into(&packed, cut), Some(&id), Limits::default(), &stats);
                assert!(engine.handle().block_on(chunks.collect(data.len())).unwrap() == data);
                assert_eq!((stats.inflate_in.get(), stats.inflate_out.get()), (packed.len() as u64, data.len() as u64));
            }
        }
        let engine = engine();
        let tiny = decompressed(&engine, cut_into(&compress(b"x", 1, 9), 1), None, Limits::default(), &Arc::default());
        assert_eq!(engine.handle().block_on(tiny.collect(1)).unwrap(), "x");
        let none = decompressed(&engine, Chunks::from_bytes(""), None, Limits::default(), &Arc::default());
        assert!(engine.handle().block_on(none.collect(0)).unwrap().is_empty());
    }

    #[test]
    fn wrong_content_is_refused() {
        let engine = engine();
        let read = |packed: &[u8], id: Option<&Digest>, max_bytes| {
            let chunks = decompressed(&engine, cut_into(packed, 5_000), id, Limits { max_bytes }, &Arc::default());
            engine.handle().block_on(chunks.collect(usize::MAX)).err().map(|e| e.code())
        };
        let data = sample(BLOCK + 5);
        let gz = compress(&data, 2, BLOCK);
        assert_eq!(read(&gz, None, data.len() as u64), None);
        assert_eq!(read(&gz, None, data.len() as u64 - 1), Some(Code::LimitExceeded));
        assert_eq!(read(&gz, Some(&Digest::sha256(b"")), u64::MAX), Some(Code::DigestMismatch));
        assert_eq!(read(&gz[..gz.len() - 1], None, u64::MAX), Some(Code::Malformed));
        assert_eq!(read(&gz[..gz.len() - 9], None, u64::MAX), Some(Code::Malformed));
        assert_eq!(read(&[&gz[..], &[0; 20]].concat(), None, u64::MAX), Some(Code::Malformed));
        assert_eq!(read(&gz[..3], None, u64::MAX), Some(Code::Malformed));
    }

    #[test]
    fn two_gibibytes_of_zeros_pass_in_blocks() {
        const ZEROS: &[u8] = &[0; BLOCK];
        let count = (2 << 30) / BLOCK;
        let first = gzip::compress_block(&gzip::header(1), ZEROS, &[], 1, false);
        let middle = Bytes::from(gzip::compress_block(&[], ZEROS, ZEROS, 1, false));
        let mut crc = crc32fast::Hasher::new();
        let mut block = crc32fast::Hasher::new();
        block.update(ZEROS);
        (0..count).for_each(|_| crc.combine(&block));
        let mut last = gzip::compress_block(&[], &[], ZEROS, 1, true);
        last.extend(gzip::trailer(&crc, 2 << 30));

        let bomb = [first.into()].into_iter().chain(std::iter::repeat_n(middle, count - 1)).chain([last.into()]);
        let engine = engine();
        let chunks = Chunks::from_stream(stream::iter(bomb.map(Ok)));
        let mut plain = decompressed(&engine, chunks, None, Limits::default(), &Arc::default());
        let total = engine.handle().block_on(async {
            let mut total = 0;
            while let Some(chunk) = plain.next().await.unwrap() {
                assert!(chunk.len() <= BLOCK);
                total += chunk.len() as u64;
            }
            total
        });
        assert_eq!(total, 2 << 30);
    }

    #[test]
    fn input_is_not_piled_up() {
        // Half of it compresses to nothing: a block of output takes less than a block of input.
        let mut data = sample(160 * BLOCK);
        data.chunks_exact_mut(1_000).for_each(|chunk| chunk[..500].fill(0));
        let packed = zstd::Encoder::new(3).unwrap().step(&data, true).unwrap();
        assert!(packed.len() > 4 * AHEAD, "{}", packed.len());
        let (engine, stats): (_, Arc<Stats>) = (Engine::with_pool(1), Arc::default());
        let fetched = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = fetched.clone();
        let chunks = cut_into(&packed, 50_000).inspect(move |chunk| {
            count.fetch_add(chunk.len() as u64, std::sync::atomic::Ordering::Relaxed);
        });
        let mut plain = decompressed(&engine, chunks, None, Limits::default(), &stats);
        engine.handle().block_on(async {
            while plain.next().await.unwrap().is_some() {
                let used = stats.inflate_in.get();
                let held = fetched.load(std::sync::atomic::Ordering::Relaxed).saturating_sub(used);
                assert!(held <= (AHEAD + 50_000) as u64, "{held}");
            }
        });
    }

    #[test]
    fn the_next_block_is_made_before_it_is_asked_for() {
        let engine = Engine::with_pool(1);
        let stats: Arc<Stats> = Arc::default();
        let gz = compress(&vec![0; 4 * BLOCK], 1, BLOCK);
        let mut plain = decompressed(&engine, Chunks::from_bytes(gz), None, Limits::default(), &stats);
        engine.handle().block_on(async {
            plain.next().await.unwrap();
            engine.pool().run(|| ()).await.unwrap(); // the one thread has done all that was started before
        });
        assert_eq!(stats.inflate_out.get(), 2 * BLOCK as u64);
    }
}
