//! The threads that compute: compression, decompression, hashing, and reading local files.
//!
//! Work comes as short jobs that never wait for another job, for the network or for the host. So no stage of a
//! pipeline can hold a thread that another stage needs, however many pipelines there are, and `cores + 1` threads
//! keep all cores busy while one of them is in a disk read. The order of a pipeline's blocks is kept by the async
//! code that submits them (`stream::encode`), not by the threads.

use crate::context::lock;
use crate::error::{Code, Error, Result};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread without work for so long ends; the next job starts one anew in some 50 µs.
const IDLE: Duration = Duration::from_millis(500);

type Work = Box<dyn FnOnce() + Send>;

/// A job that was started; awaiting it gives its result.
pub(crate) struct Job<R>(tokio::sync::oneshot::Receiver<Result<R>>);

pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Work>,
    handles: Vec<Option<JoinHandle<()>>>,
    idle: usize,
    closed: bool,
}

thread_local! {
    static INDEX: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Pool {
        let state = State { handles: (0..threads).map(|_| None).collect(), ..State::default() };
        Pool { shared: Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() }), threads }
    }

    /// How many threads there are at most.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The number of the pool's thread that this runs on, for the counters.
    pub(crate) fn thread_index() -> Option<usize> {
        Some(INDEX.get()).filter(|i| *i != usize::MAX)
    }

    /// Runs `f` on a thread of the pool. The job runs even if nobody waits for its result any more.
    pub(crate) async fn run<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> Result<R> {
        self.start(f)?.await
    }

    /// As [`Pool::run`], but the job is under way before anybody waits for it.
    pub(crate) fn start<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> Result<Job<R>> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.submit(Box::new(move || {
            let _ = tx.send(catch_unwind(AssertUnwindSafe(f)).map_err(crate::engine::bug));
        }))?;
        Ok(Job(rx))
    }

    fn submit(&self, job: Work) -> Result<()> {
        let mut state = lock(&self.shared.state);
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            self.shared.wake.notify_one();
            return Ok(());
        }
        let Some(free) = state.handles.iter().position(Option::is_none) else { return Ok(()) };
        let shared = self.shared.clone();
        let _mask = crate::sys::signals::Guard::new();
        let started = std::thread::Builder::new().name(format!("parb-cpu-{free}")).spawn(move || {
            crate::engine::this_is_our_thread();
            INDEX.set(free);
            work(&shared, free);
        });
        match started {
            Ok(handle) => state.handles[free] = Some(handle),
            Err(e) if state.handles.iter().all(Option::is_none) => {
                state.jobs.pop_back();
                return Err(Error::io("starting a thread", "the compression pool", &e));
            }
            Err(_) => {} // the threads there are will come to it
        }
        Ok(())
    }
}

fn work(shared: &Shared, me: usize) {
    let mut state = lock(&shared.state);
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = lock(&shared.state);
            continue;
        }
        if state.closed {
            return;
        }
        state.idle += 1;
        let (back, timeout) = shared.wake.wait_timeout(state, IDLE).unwrap_or_else(std::sync::PoisonError::into_inner);
        state = back;
        state.idle -= 1;
        if timeout.timed_out() && state.jobs.is_empty() && !state.closed {
            state.handles[me] = None; // detached: it ends with the next instruction
            return;
        }
    }
}

impl<R> Future for Job<R> {
    type Output = Result<R>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Result<R>> {
        let gone = |_| Err(Error::new(Code::InvalidState, "the library was shut down"));
        Pin::new(&mut self.0).poll(cx).map(|sent| sent.unwrap_or_else(gone))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let handles = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            state.jobs.clear();
            std::mem::take(&mut state.handles)
        };
        self.shared.wake.notify_all();
        // Not by std::thread::current(): on a thread of the host it would leave something behind.
        let here = Pool::thread_index();
        for (index, handle) in handles.into_iter().enumerate() {
            if let Some(handle) = handle.filter(|_| here != Some(index)) {
                let _ = handle.join(); // jobs are short
            }
        }
    }
}
