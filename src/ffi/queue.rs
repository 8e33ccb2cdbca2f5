//! Completion queues: one descriptor to poll for any number of operations.

use crate::context::lock;
use crate::error::{Code, Error, Result, invalid};
use crate::ffi::boundary::{Opaque, Pointer, call, free, get, put, put_plain, wants};
use crate::ffi::error::parb_error;
use crate::ffi::op::parb_op;
use crate::sys::wakeup::Wakeup;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells which operations are done, by tags of the host's choice. Shared between threads. Yours to free.
pub struct parb_queue {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_queue {
    type Value = QueueHandle;
    const NAME: &'static str = "parb_queue";
    const TAG: u64 = u64::from_le_bytes(*b"parbqueu");
}

pub(crate) struct QueueHandle(Arc<Queue>);

struct Queue {
    pid: u32,
    state: Mutex<State>,
    ready: Condvar,
    wakeup: Wakeup,
}

#[derive(Default)]
struct State {
    tags: VecDeque<usize>,
    /// How many takes are to come back empty-handed.
    wakes: usize,
    waiting: usize,
    closed: bool,
}

impl Drop for QueueHandle {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        state.tags.clear();
        self.0.ready.notify_all();
    }
}

impl Queue {
    fn push(&self, tag: usize) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.tags.push_back(tag);
            self.wakeup.raise();
            self.ready.notify_one();
        }
    }

    fn take(&self, timeout: Option<Duration>, out: &mut [*mut c_void]) -> Result<usize> {
        // Past what the clock can hold is for ever.
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return Err(Error::new(Code::InvalidState, "the queue was freed"));
            }
            let n = out.len().min(state.tags.len());
            if n > 0 || state.wakes > 0 {
                for (place, tag) in out.iter_mut().zip(state.tags.drain(..n)) {
                    *place = std::ptr::without_provenance_mut(tag);
                }
                if n == 0 {
                    state.wakes -= 1;
                }
                if state.tags.is_empty() && state.wakes == 0 {
                    self.wakeup.lower();
                }
                return Ok(n);
            }
            let left = match until {
                None => Duration::from_secs(3600),
                Some(until) => until.saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                return Ok(0);
            }
            if crate::engine::on_our_thread() {
                return Err(Error::new(Code::InvalidState, "a call that waits, on a thread of parbuckle"));
            }
            state.waiting += 1;
            state = self.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    fn wake(&self) {
        let mut state = lock(&self.state);
        state.wakes += 1;
        self.wakeup.raise();
        self.ready.notify_one();
    }
}

/// A queue.
///
/// Errors: PARB_IO: no descriptor is to be had.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_queue_new(out: *mut *mut parb_queue) -> *mut parb_error {
    call(|| {
        put(out, || {
            let wakeup = Wakeup::new()?;
            Ok(QueueHandle(Arc::new(Queue {
                pid: std::process::id(),
                state: Mutex::default(),
                ready: Condvar::new(),
                wakeup,
            })))
        })
    })
}

/// Frees a queue. NULL is fine. Takes that wait come back with PARB_INVALID_STATE; tags not taken yet are dropped; the
/// operations live on. No other thread may use the queue's pointer from then on, but for takes that wait already.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_queue_free(queue: *mut parb_queue) {
    free(queue)
}

/// A file descriptor that is readable while there are tags to take. Poll it, and leave its content alone; it lives as
/// long as the queue. -1 for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_queue_fd(queue: *const parb_queue) -> isize {
    get(-1, || Ok(queue.get("queue")?.0.wakeup.fd()))
}

/// Has the queue give `tag` once when `op` is done, or now if it is. An operation may be in several queues.
///
/// Errors: PARB_FORKED: the operation belongs to the parent process.
///
/// @param tag  anything, also a number; it is never looked at
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_queue_add(
    queue: *const parb_queue,
    op: *mut parb_op,
    tag: *mut c_void,
) -> *mut parb_error {
    call(|| {
        let (queue, tag) = (queue.get("queue")?.0.clone(), tag.addr());
        op.get("op")?.on_done(move || queue.push(tag))
    })
}

/// Takes up to `cap` tags into `out_tags`, and writes their number to `out_n`. Blocks until there is one, `timeout_ms`
/// have passed, or parb_queue_wake was called; in both of the latter cases the number is 0.
///
/// Errors: PARB_INVALID_STATE: the queue was freed, or this is a thread of the library and would have to wait.
///
/// @param timeout_ms  0: does not wait; less than 0: waits as long as it takes
/// @param cap         how many tags `out_tags` has room for: 1 or more
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_queue_take(
    queue: *const parb_queue,
    timeout_ms: i64,
    out_tags: *mut *mut c_void,
    cap: usize,
    out_n: *mut usize,
) -> *mut parb_error {
    call(|| {
        let queue = queue.get("queue")?.0.clone();
        if queue.pid != std::process::id() {
            return Err(Error::new(Code::Forked, "a queue of the parent process, whose operations are not done here"));
        }
        wants(out_tags, "out_tags")?;
        if cap == 0 {
            return Err(invalid("cap is 0"));
        }
        let tags = std::slice::from_raw_parts_mut(out_tags, cap);
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        put_plain(out_n, "out_n", || queue.take(timeout, tags))
    })
}

/// Makes one take come back without a tag: one that waits, or the next one.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_queue_wake(queue: *const parb_queue) {
    get((), || {
        queue.get("queue")?.0.wake();
        Ok(())
    })
}
