//! A stream that is read ahead of its consumer, on a disk where that takes more than a little memory: the next layer is
//! decompressed on one core while the present one is on another.

use crate::context::{Context, lock};
use crate::engine::{Engine, Task};
use crate::error::{Error, Result};
use crate::source::Place;
use crate::stream::{BLOCK, Chunks};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What is held in memory.
const MEMORY: usize = 4 * BLOCK;
/// What is held in a file beyond that. The producer waits then.
const DISK: u64 = 1 << 30;

/// The same chunks, fetched as they can be had. Dropped, it ends the transfer.
pub(crate) fn ahead(
    place: &Place,
    ctx: &Context,
    open: impl Future<Output = Result<Chunks>> + Send + 'static,
) -> Chunks {
    let shared = Arc::new(Shared::default());
    let fill = Fill { shared: shared.clone(), engine: place.engine.clone(), directory: place.spool_dir.clone() };
    let task = place.engine.spawn(ctx, |_| async move {
        let ended = fill.run(open).await;
        lock(&fill.shared.state).ended = Some(ended);
        fill.shared.filled.notify_one();
        Ok(())
    });
    let drain = Drain { shared, engine: place.engine.clone(), task };
    Chunks::unfold(drain, |drain| async move { Ok(drain.next().await?.map(|chunk| (chunk, drain))) })
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

/// What is in memory is older than what is in the file.
#[derive(Default)]
struct State {
    memory: VecDeque<Bytes>,
    len: usize,
    file: Option<Arc<File>>,
    from: u64,
    to: u64,
    ended: Option<Result<()>>,
}

struct Fill {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    directory: PathBuf,
}

impl Fill {
    async fn run(&self, open: impl Future<Output = Result<Chunks>>) -> Result<()> {
        let mut chunks = open.await?;
        while let Some(chunk) = chunks.next().await? {
            let place = loop {
                {
                    let mut state = lock(&self.shared.state);
                    if state.from == state.to && state.len < MEMORY {
                        state.len += chunk.len();
                        state.memory.push_back(chunk.clone());
                        break None;
                    }
                    if state.from == state.to {
                        (state.from, state.to) = (0, 0); // nobody reads there now
                    }
                    if state.to - state.from < DISK {
                        break Some((state.file.clone(), state.to));
                    }
                }
                self.shared.drained.notified().await;
            };
            if let Some((file, at)) = place {
                self.write(file, at, chunk).await?;
            }
            self.shared.filled.notify_one();
        }
        Ok(())
    }

    async fn write(&self, file: Option<Arc<File>>, at: u64, chunk: Bytes) -> Result<()> {
        let (directory, len) = (self.directory.clone(), chunk.len() as u64);
        let subject = directory.display().to_string();
        let written = self.engine.pool().run(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(directory)?),
            };
            file.write_all_at(&chunk, at)?;
            Ok(file)
        });
        let file = written.await?.map_err(|e| broken("writing", &subject, &e))?;
        let mut state = lock(&self.shared.state);
        state.file = Some(file);
        state.to += len;
        Ok(())
    }
}

struct Drain {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    task: Task<()>,
}

impl Drain {
    async fn next(&self) -> Result<Option<Bytes>> {
        let (file, at, len) = loop {
            {
                let mut state = lock(&self.shared.state);
                if let Some(chunk) = state.memory.pop_front() {
                    state.len -= chunk.len();
                    return Ok(Some(chunk));
                }
                if let (Some(file), true) = (&state.file, state.from < state.to) {
                    break (file.clone(), state.from, (state.to - state.from).min(BLOCK as u64));
                }
                if let Some(ended) = &state.ended {
                    return ended.clone().map(|()| None);
                }
            }
            if self.task.is_done() && lock(&self.shared.state).ended.is_none() {
                // It ended from outside: cancelled, or out of time.
                return match self.task.take() {
                    Err(e) => Err(e),
                    Ok(()) => Ok(None),
                };
            }
            tokio::select! {
                () = self.shared.filled.notified() => {}
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {} // the task may have been ended
            }
        };
        let mut block = self.engine.shelf().take_len(len as usize);
        let read = self.engine.pool().run(move || file.read_exact_at(block.bytes(), at).map(|()| block.freeze()));
        let block = read.await?.map_err(|e| broken("reading", "the layer read ahead", &e))?;
        lock(&self.shared.state).from += len;
        self.shared.drained.notify_one();
        Ok(Some(block))
    }
}

fn broken(doing: &str, subject: &str, e: &std::io::Error) -> Error {
    let error = Error::new(crate::error::Code::Io, format!("{doing} a temporary file: {e}")).subject(subject);
    match e.raw_os_error() {
        Some(code) => error.os_code(code),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use futures_util::stream;

    fn collected(chunks: Vec<Result<Bytes>>, slow: bool) -> Result<Vec<u8>> {
        let place = Place::here()?;
        let engine = place.engine.clone();
        let source = Chunks::from_stream(stream::iter(chunks));
        let mut ahead = ahead(&place, &Context::new(), async move { Ok(source) });
        engine.handle().block_on(async {
            let mut all = Vec::new();
            if slow {
                tokio::time::sleep(std::time::Duration::from_millis(150)).await; // everything is there by now
            }
            while let Some(chunk) = ahead.next().await? {
                assert!(!chunk.is_empty() && chunk.len() <= BLOCK);
                all.extend_from_slice(&chunk);
            }
            Ok(all)
        })
    }

    #[test]
    fn everything_comes_in_order() {
        for slow in [true, false] {
            let chunks: Vec<_> =
                (0..200_u32).map(|i| Bytes::from(vec![i as u8; 1 + (i as usize * 977) % BLOCK])).collect();
            let all = chunks.concat();
            assert!(all.len() > 4 * MEMORY);
            assert!(collected(chunks.into_iter().map(Ok).collect(), slow).unwrap() == all);
        }
        assert!(collected(Vec::new(), false).unwrap().is_empty());
    }

    #[test]
    fn an_error_comes_after_what_was_before_it() {
        let chunks = vec![Ok(Bytes::from_static(b"a")), Err(Error::new(Code::DigestMismatch, "no"))];
        assert_eq!(collected(chunks, true).unwrap_err().code(), Code::DigestMismatch);
    }
}
