//! The engine room: one tokio runtime and one pool per process, made by the first value that needs them, ended by
//! the last; and [`Task`], a call that is under way on them.
//!
//! The engine is found by process id, so that a forked child makes its own, and nothing that could be locked at the
//! moment of a fork stands between the child and it.
#![allow(unsafe_code)]

use crate::block::Shelf;
use crate::context::{Context, lock};
use crate::error::{Code, Error, Result};
use crate::pool::Pool;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Threads that run callbacks of the host, at most.
const CALLBACK_THREADS: usize = 64;
/// How long the last reference waits for the threads to end.
const JOIN: Duration = Duration::from_millis(100);

pub(crate) struct Engine {
    runtime: Option<tokio::runtime::Runtime>,
    pool: Option<Pool>,
    callbacks: Arc<AtomicUsize>,
    shelf: Arc<Shelf>,
    pid: u32,
}

struct Slot {
    pid: u32,
    engine: Mutex<Weak<Engine>>,
}

static SLOT: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread as one of this library's: signals are blocked, and calls that wait are refused.
pub(crate) fn this_is_our_thread() {
    crate::sys::signals::block_on_this_thread();
    OURS.set(true);
}

/// Whether the calling thread belongs to this library, so that waiting on it could wait for itself.
pub(crate) fn on_our_thread() -> bool {
    OURS.get()
}

/// An error on threads of this library. What waits and has effects of its own asks first.
pub(crate) fn may_wait() -> Result<()> {
    match on_our_thread() {
        true => Err(Error::new(Code::InvalidState, "a call that waits, on a thread of parbuckle")),
        false => Ok(()),
    }
}

impl Engine {
    /// The process's engine, made if there is none.
    pub(crate) fn get() -> Result<Arc<Engine>> {
        let slot = slot();
        let mut weak = lock(&slot.engine);
        if let Some(engine) = weak.upgrade() {
            return Ok(engine);
        }
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let engine = Arc::new(Engine::start(cores, cores + 1, slot.pid)?);
        *weak = Arc::downgrade(&engine);
        Ok(engine)
    }

    /// An engine besides the process's own, with so many threads that compute.
    #[cfg(test)]
    pub(crate) fn with_pool(threads: usize) -> Arc<Engine> {
        Arc::new(Engine::start(2, threads, std::process::id()).expect("threads can be started"))
    }

    fn start(cores: usize, threads: usize, pid: u32) -> Result<Engine> {
        let _mask = crate::sys::signals::Guard::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.clamp(2, 16))
            .thread_name("parb-io")
            .thread_keep_alive(Duration::from_secs(1))
            .on_thread_start(this_is_our_thread)
            .enable_all()
            .build()
            .map_err(|e| Error::io("starting threads", "the runtime", &e))?;
        Ok(Engine {
            runtime: Some(runtime),
            pool: Some(Pool::new(threads)),
            callbacks: Arc::default(),
            shelf: Arc::default(),
            pid,
        })
    }

    /// An error in a forked child, where this engine's threads don't exist.
    pub(crate) fn check_pid(&self) -> Result<()> {
        match self.pid == std::process::id() {
            true => Ok(()),
            false => Err(Error::new(Code::Forked, "made before a fork; make a new client in this process")),
        }
    }

    /// `work`, where this engine can do it. In a forked child it can't, and what the work holds is left as it is: a
    /// thread of the parent may have had it locked, and nobody would ever unlock it here.
    pub(crate) fn takes<W>(&self, work: W) -> Result<W> {
        match self.check_pid() {
            Ok(()) => Ok(work),
            Err(e) => {
                std::mem::forget(work);
                Err(e)
            }
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.pool.as_ref().expect("taken only in drop")
    }

    /// Buffers for what streams by.
    pub(crate) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// The runtime's handle, for tasks that belong to no call (the server's).
    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime.as_ref().expect("taken only in drop").handle()
    }

    /// Starts `future` under a child of `ctx`; dropping the task ends it.
    pub(crate) fn spawn<T, F>(&self, ctx: &Context, future: impl FnOnce(Context) -> F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let future = match self.takes(future).and_then(|future| ctx.check().map(|()| future)) {
            Ok(future) => future,
            Err(e) => return Task::ready(Err(e)),
        };
        let ctx = ctx.child();
        let future = future(ctx.clone());
        self.run(ctx, future.boxed())
    }

    /// In a box, so that what is around a call is compiled once for each result, not for each call.
    fn run<T: Send + 'static>(&self, ctx: Context, future: BoxFuture<'static, Result<T>>) -> Task<T> {
        let cell = Arc::new(TaskCell::default());
        let answer = Answer(cell.clone());
        let bounds = ctx.clone();
        self.handle().spawn(async move {
            let result = {
                let guarded = AssertUnwindSafe(future).catch_unwind();
                tokio::select! {
                    biased;
                    e = bounds.ended() => Err(e),
                    r = guarded => r.unwrap_or_else(|p| Err(bug(p))),
                }
            }; // everything the future held is gone before anybody hears of its end
            answer.0.set(result);
        });
        Task { cell, ctx, started: true }
    }

    /// Runs `f`, which may wait for the host as long as it likes, on a thread of its own.
    pub(crate) fn callback(&self, f: impl FnOnce() + Send + 'static) -> Result<()> {
        struct Count(Arc<AtomicUsize>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let count = Count(self.callbacks.clone());
        if count.0.fetch_add(1, Ordering::Relaxed) >= CALLBACK_THREADS {
            let why = format!("{CALLBACK_THREADS} callbacks of the host are running already");
            return Err(Error::new(Code::LimitExceeded, why));
        }
        let _mask = crate::sys::signals::Guard::new();
        std::thread::Builder::new()
            .name("parb-callback".into())
            .spawn(move || {
                this_is_our_thread();
                let _ = std::panic::catch_unwind(AssertUnwindSafe(f));
                drop(count);
            })
            .map(drop)
            .map_err(|e| Error::io("starting a thread", "a callback", &e))
    }
}

fn slot() -> &'static Slot {
    let pid = std::process::id();
    loop {
        let at = SLOT.load(Ordering::Acquire);
        // SAFETY: slots are leaked, never freed.
        if let Some(slot) = unsafe { at.as_ref() }
            && slot.pid == pid
        {
            return slot;
        }
        let new = Box::into_raw(Box::new(Slot { pid, engine: Mutex::new(Weak::new()) }));
        if SLOT.compare_exchange(at, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let (runtime, pool) = (self.runtime.take(), self.pool.take());
        if self.pid != std::process::id() {
            std::mem::forget((runtime, pool)); // joining threads that exist in the parent only would never end
            return;
        }
        let end = move || {
            drop(pool);
            if let Some(runtime) = runtime {
                runtime.shutdown_timeout(JOIN);
            }
        };
        // A runtime can't be ended from within: not from a thread of ours, nor inside a tokio of the host.
        if on_our_thread() || tokio::runtime::Handle::try_current().is_ok() {
            let _ = std::thread::Builder::new().name("parb-end".into()).spawn(|| {
                this_is_our_thread();
                end();
            });
        } else {
            end();
        }
    }
}

pub(crate) fn bug(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    Error::new(Code::Internal, format!("bug in parbuckle: {}", text.unwrap_or("panic")))
}

/// A call under way. Await it, [`wait`](Task::wait) for it, or drop it: that ends it.
#[must_use = "a dropped task is a cancelled one"]
pub struct Task<T> {
    cell: Arc<TaskCell<T>>,
    ctx: Context,
    started: bool,
}

struct TaskCell<T> {
    state: Mutex<TaskState<T>>,
    ready: Condvar,
}

struct TaskState<T> {
    result: Option<Result<T>>,
    done: bool,
    waker: Option<Waker>,
    hooks: Vec<Box<dyn FnOnce() + Send>>,
}

impl<T> Default for TaskCell<T> {
    fn default() -> Self {
        let state = TaskState { result: None, done: false, waker: None, hooks: Vec::new() };
        TaskCell { state: Mutex::new(state), ready: Condvar::new() }
    }
}

impl<T> TaskCell<T> {
    fn set(&self, result: Result<T>) {
        let mut state = lock(&self.state);
        if state.done {
            return;
        }
        state.result = Some(result);
        state.done = true;
        let (waker, hooks) = (state.waker.take(), std::mem::take(&mut state.hooks));
        drop(state);
        self.ready.notify_all();
        waker.into_iter().for_each(Waker::wake);
        hooks.into_iter().for_each(|hook| hook());
    }
}

/// Answers even if the runtime ends before the future does.
struct Answer<T>(Arc<TaskCell<T>>);
impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.0.set(Err(Error::new(Code::InvalidState, "the library was shut down")));
    }
}

impl<T> Task<T> {
    /// A task that has ended already.
    pub(crate) fn ready(result: Result<T>) -> Task<T> {
        let cell = Arc::new(TaskCell::default());
        cell.set(result);
        Task { cell, ctx: Context::new(), started: false }
    }
    /// Why nothing was started, where that is so: a caller who can be told at once is not made to wait for it.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let mut state = lock(&self.cell.state);
        match state.result.take() {
            Some(Err(e)) if !self.started => Some(e),
            other => {
                state.result = other;
                None
            }
        }
    }
    /// Blocks until the outcome is there. On a thread of this library: `InvalidState`.
    pub fn wait(self) -> Result<T> {
        if self.started {
            may_wait()?; // even if it happens to be done by now: who calls this is to learn of it at once
        }
        self.wait_done(None)?;
        self.take()
    }
    /// Blocks until the task is done or `ctx` ends, and takes nothing.
    pub(crate) fn wait_done(&self, ctx: Option<&Context>) -> Result<()> {
        if self.is_done() {
            return Ok(());
        }
        may_wait()?;
        // The context has no condition variable of ours: look at it ten times as often as anybody promised.
        let slice = Duration::from_millis(20);
        let mut state = lock(&self.cell.state);
        while !state.done {
            state = match ctx {
                None => self.cell.ready.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(ctx) => {
                    ctx.check()?;
                    let until =
                        ctx.deadline().map_or(slice, |d| d.saturating_duration_since(Instant::now()).min(slice));
                    let waited = self.cell.ready.wait_timeout(state, until.max(Duration::from_millis(1)));
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
        Ok(())
    }
    /// Whether the outcome is there.
    pub fn is_done(&self) -> bool {
        lock(&self.cell.state).done
    }
    /// Takes the outcome, once; `InvalidState` before the end and the second time.
    pub fn take(&self) -> Result<T> {
        let mut state = lock(&self.cell.state);
        match (state.result.take(), state.done) {
            (Some(result), _) => result,
            (None, true) => Err(Error::new(Code::InvalidState, "the result was taken already")),
            (None, false) => Err(Error::new(Code::InvalidState, "the operation is still running")),
        }
    }
    /// Ends the task; its outcome will be `Cancelled` unless it was done.
    pub fn cancel(&self) {
        self.ctx.cancel();
    }
    /// Has `hook` run when the task is done, or now if it is. It runs on a thread of the library and must not wait.
    pub(crate) fn on_done(&self, hook: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.cell.state);
        if state.done {
            drop(state);
            hook();
        } else {
            state.hooks.push(Box::new(hook));
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;
    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Result<T>> {
        let mut state = lock(&self.cell.state);
        if state.done {
            drop(state);
            return Poll::Ready(self.take());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if !self.is_done() {
            self.ctx.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_lets_go_of_nothing_that_the_parents_threads_may_have_locked() {
        let inherited = Engine::start(1, 1, std::process::id() + 1).unwrap();
        let held = Arc::new(());
        let holds = held.clone();
        let task = inherited.spawn(&Context::new(), |_| async move {
            drop(holds);
            Ok(())
        });
        assert_eq!(task.wait().unwrap_err().code(), Code::Forked);
        assert_eq!(Arc::strong_count(&held), 2, "what was to be done was dropped");
    }
}
