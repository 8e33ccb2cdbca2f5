//! What bounds a call and tells of its progress: cancel, deadline, progress.

use crate::error::{Code, Error, Result};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Bounds calls. A clone is the same context; [`Context::child`] makes one that ends with its parent.
#[derive(Clone, Default)]
pub struct Context(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancel: CancellationToken,
    deadline: Mutex<Option<Instant>>,
    parent: Option<Context>,
    progress: Progress,
}

/// Something a long call tells on its way.
#[derive(Clone, Debug)]
pub struct Event {
    /// `download`, `upload`, `compress`, `mount`, `exists`, `retry`; new kinds may come.
    pub kind: &'static str,
    /// A digest, a reference, or a path.
    pub subject: String,
    /// Bytes of this object so far; never falls.
    pub done: u64,
    /// Bytes of this object; `None` where that is not known yet.
    pub total: Option<u64>,
    /// What happened, for people; empty for plain progress.
    pub message: String,
}

type Callback = Arc<dyn Fn(&Event) + Send + Sync>;

#[derive(Default)]
struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    callback: Mutex<Option<Callback>>,
}

impl Context {
    /// A context that never ends by itself.
    pub fn new() -> Context {
        Context::default()
    }
    /// A context that ends when this one does, or earlier; its progress is counted here too.
    pub fn child(&self) -> Context {
        Context(Arc::new(Inner { cancel: self.0.cancel.child_token(), parent: Some(self.clone()), ..Inner::default() }))
    }
    /// A context that ends after so long.
    pub fn with_timeout(timeout: Duration) -> Context {
        let ctx = Context::new();
        ctx.set_timeout(timeout);
        ctx
    }
    /// Ends the context so long from now; calls that are under way keep the deadline they started with.
    pub fn set_timeout(&self, timeout: Duration) {
        // Past what the clock can hold is the same as never.
        *lock(&self.0.deadline) = Instant::now().checked_add(timeout);
    }
    /// Has `callback` called for each event, on a thread of the library; it must not wait.
    pub fn on_event(&self, callback: impl Fn(&Event) + Send + Sync + 'static) {
        let before = lock(&self.0.progress.callback).replace(Arc::new(callback));
        drop(before); // outside the lock: it may run code of the host
    }
    /// Ends what [`Context::on_event`] began.
    pub fn off_event(&self) {
        let before = lock(&self.0.progress.callback).take();
        drop(before);
    }
    /// Ends every call under this context and its children, at once and from any thread.
    pub fn cancel(&self) {
        self.0.cancel.cancel();
    }
    /// Whether [`Context::cancel`] was called here or above.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }
    /// Bytes moved, and bytes that are known to be moved in all, over all calls under this context.
    pub fn progress(&self) -> (u64, u64) {
        (self.0.progress.done.load(Relaxed), self.0.progress.total.load(Relaxed))
    }

    /// The earliest deadline of this context and those above.
    pub fn deadline(&self) -> Option<Instant> {
        let own = *lock(&self.0.deadline);
        let above = self.0.parent.as_ref().and_then(Context::deadline);
        own.into_iter().chain(above).min()
    }
    /// An error if the context has ended.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(cancelled());
        }
        match self.deadline() {
            Some(d) if d <= Instant::now() => Err(timed_out()),
            _ => Ok(()),
        }
    }
    /// Waits until the context ends, and says how.
    pub async fn ended(&self) -> Error {
        let deadline = self.deadline();
        let timer = async {
            match deadline {
                Some(d) => tokio::time::sleep_until(d.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.0.cancel.cancelled() => cancelled(),
            () = timer => timed_out(),
        }
    }

    /// Announces bytes that will be moved.
    pub(crate) fn expect_bytes(&self, n: u64) {
        self.each(|p| {
            p.total.fetch_add(n, Relaxed);
        });
    }
    /// Counts bytes that were moved.
    pub(crate) fn count_bytes(&self, n: u64) {
        self.each(|p| {
            p.done.fetch_add(n, Relaxed);
        });
    }
    /// Tells everybody who listens here or above.
    pub(crate) fn emit(&self, event: &Event) {
        self.each(|p| {
            let callback = lock(&p.callback).clone();
            if let Some(callback) = callback {
                callback(event);
            }
        });
    }
    fn each(&self, f: impl Fn(&Progress)) {
        let mut at = Some(self);
        while let Some(ctx) = at {
            f(&ctx.0.progress);
            at = ctx.0.parent.as_ref();
        }
    }
}

fn cancelled() -> Error {
    Error::new(Code::Cancelled, "the call was cancelled")
}
fn timed_out() -> Error {
    Error::new(Code::TimedOut, "the deadline passed")
}

/// A panic while a lock of this crate is held leaves nothing half-changed behind it, so poison says nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
