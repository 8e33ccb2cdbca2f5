//! Local files, and other readers that never wait long, as streams. Each read is a job, one ahead of the consumer.

use super::{BLOCK, Chunks};
use crate::block::Shelf;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::pool::Job;
use bytes::Bytes;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The `len` bytes of `file` from `offset` on; `subject` names it in errors. A file that has become shorter is an error.
pub(crate) fn read_file(
    engine: &Arc<Engine>,
    file: impl Into<Arc<File>>,
    subject: impl Into<Arc<str>>,
    offset: u64,
    len: u64,
) -> Chunks {
    let slice = Slice { file: file.into(), subject: subject.into(), at: offset, left: len };
    ahead(engine, slice, |slice, shelf| slice.block(shelf))
}

/// All of `reader`, on the pool: for what reads local things only.
pub(crate) fn read_all(engine: &Arc<Engine>, reader: Box<dyn Read + Send>) -> Chunks {
    ahead(engine, reader, |reader, shelf| {
        let mut block = shelf.take_len(BLOCK);
        let mut len = 0;
        while len < BLOCK {
            match reader.read(&mut block.bytes()[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        block.bytes().truncate(len);
        Ok(block.freeze())
    })
}

struct Slice {
    file: Arc<File>,
    subject: Arc<str>,
    at: u64,
    left: u64,
}

impl Slice {
    fn block(&mut self, shelf: &Arc<Shelf>) -> Result<Bytes> {
        let len = self.left.min(BLOCK as u64);
        let mut block = shelf.take_len(len as usize);
        self.file.read_exact_at(block.bytes(), self.at).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::new(Code::Io, "the file became shorter while it was read").subject(&self.subject)
            }
            _ => Error::io("reading", &self.subject, &e),
        })?;
        self.at += len;
        self.left -= len;
        Ok(block.freeze())
    }
}

type Read1<S> = Job<(S, Result<Bytes>)>;

/// What `read` gives until it gives nothing.
fn ahead<S: Send + 'static>(
    engine: &Arc<Engine>,
    state: S,
    read: impl Fn(&mut S, &Arc<Shelf>) -> Result<Bytes> + Send + Copy + 'static,
) -> Chunks {
    let engine = engine.clone();
    let start = move |mut state: S| -> Result<Read1<S>> {
        let shelf = engine.shelf().clone();
        engine.pool().start(move || {
            let block = read(&mut state, &shelf);
            (state, block)
        })
    };
    // Nothing is read before somebody asks.
    let first: (Option<Read1<S>>, Option<S>) = (None, Some(state));
    Chunks::unfold(first, move |(job, state)| {
        let job = match (job, state) {
            (Some(job), _) => Ok(Some(job)),
            (None, Some(state)) => start(state).map(Some),
            (None, None) => Ok(None),
        };
        let start = start.clone();
        async move {
            let Some(job) = job? else { return Ok(None) };
            let (state, block) = job.await?;
            let block = block?;
            if block.is_empty() {
                return Ok(None);
            }
            Ok(Some((block, (Some(start(state)?), None))))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(data: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(data).unwrap();
        file
    }

    #[test]
    fn reads_the_part_that_is_asked_for() {
        let engine = Engine::get().unwrap();
        let data: Vec<u8> = (0..BLOCK * 3 + 17).map(|i| (i / 333) as u8).collect();
        let shared = Arc::new(file(&data));
        for (offset, len) in [(0, data.len()), (0, 0), (5, BLOCK), (BLOCK, BLOCK * 2 + 17), (data.len(), 0)] {
            let chunks = read_file(&engine, shared.clone(), "f", offset as u64, len as u64);
            assert!(engine.handle().block_on(chunks.collect(len)).unwrap() == data[offset..offset + len]);
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let engine = Engine::get().unwrap();
        let chunks = read_file(&engine, file(&[1; BLOCK + 5]), "some/file", 0, BLOCK as u64 + 6);
        let e = engine.handle().block_on(chunks.collect(usize::MAX)).unwrap_err();
        assert_eq!((e.code(), e.get_subject()), (Code::Io, Some("some/file")));
    }

    /// Gives `left` bytes, a few at a time, and then fails if it is told to.
    struct Drip(usize, bool);
    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.min(buf.len()).min(1_000);
            buf[..n].fill(9);
            self.0 -= n;
            match n == 0 && self.1 {
                true => Err(Error::new(Code::Denied, "no more").into()),
                false => Ok(n),
            }
        }
    }

    #[test]
    fn readers_are_read_to_their_end_or_error() {
        let engine = Engine::get().unwrap();
        for len in [0, 1, BLOCK, BLOCK * 2 + 1] {
            let all = engine.handle().block_on(read_all(&engine, Box::new(Drip(len, false))).collect(len)).unwrap();
            assert_eq!(all.len(), len);
        }
        let broken = read_all(&engine, Box::new(Drip(BLOCK + 1, true)));
        assert_eq!(engine.handle().block_on(broken.collect(usize::MAX)).unwrap_err().code(), Code::Denied);
    }
}
