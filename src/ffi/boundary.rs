//! The whole boundary: handles, and the four kinds of function bodies.
//!
//! What all of it rests on: a pointer that C passes is NULL, or points to at least eight readable bytes, which are
//! the tag of a live handle if and only if this library made it. A wrong pointer is then an error, not a crash.

use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

/// A name that C knows for `Handle<Self::Value>`.
///
/// # Safety
/// Every live pointer to `Self` was made by [`new`] or [`Lent`].
pub(crate) unsafe trait Opaque: Sized {
    type Value: Send + Sync;
    /// What C calls it.
    const NAME: &'static str;
    /// The first eight bytes of every live handle.
    const TAG: u64;
    /// Whether dropping the value may touch threads: after a fork it is leaked instead.
    const THREADED: bool = true;
}

#[repr(C, align(8))]
struct Handle<T> {
    tag: u64,
    pid: u32,
    value: T,
}

impl<T> Handle<T> {
    fn of<O: Opaque<Value = T>>(value: T) -> Box<Handle<T>> {
        Box::new(Handle { tag: O::TAG, pid: std::process::id(), value })
    }
}

/// What a pointer from C can be asked for: the value, or an error that names the parameter.
pub(crate) trait Pointer<T: Opaque> {
    unsafe fn get<'a>(self, name: &str) -> Result<&'a T::Value>;
}

impl<T: Opaque> Pointer<T> for *const T {
    unsafe fn get<'a>(self, name: &str) -> Result<&'a T::Value> {
        if self.is_null() {
            return Err(invalid(format!("{name} is NULL")));
        }
        if !is_live(self) {
            return Err(invalid(format!("{name} is not a {}", T::NAME)));
        }
        Ok(&(*self.cast::<Handle<T::Value>>()).value)
    }
}

impl<T: Opaque> Pointer<T> for *mut T {
    unsafe fn get<'a>(self, name: &str) -> Result<&'a T::Value> {
        self.cast_const().get(name)
    }
}

/// The value behind a pointer that may be NULL.
pub(crate) unsafe fn optional<'a, T: Opaque>(p: *const T, name: &str) -> Result<Option<&'a T::Value>> {
    if p.is_null() { Ok(None) } else { p.get(name).map(Some) }
}

unsafe fn is_live<T: Opaque>(p: *const T) -> bool {
    p.addr().is_multiple_of(align_of::<u64>()) && *p.cast::<u64>() == T::TAG
}

/// A handle that C owns from now on.
pub(crate) fn new<T: Opaque>(value: T::Value) -> *mut T {
    Box::into_raw(Handle::of::<T>(value)).cast()
}

/// A handle that lives inside another and is only lent to C.
pub(crate) struct Lent<T: Opaque>(Box<Handle<T::Value>>);

impl<T: Opaque> Lent<T> {
    pub(crate) fn new(value: T::Value) -> Lent<T> {
        Lent(Handle::of::<T>(value))
    }
    pub(crate) fn as_ptr(&self) -> *const T {
        (&raw const *self.0).cast()
    }
}

/// Writes an owned result. `make` does the work for it: nothing is begun where `out` is NULL, and what fails leaves
/// `out` untouched.
pub(crate) unsafe fn put<T: Opaque>(out: *mut *mut T, make: impl FnOnce() -> Result<T::Value>) -> Result<()> {
    put_plain(out, "out", || make().map(new))
}

/// Writes a plain result, likewise.
pub(crate) unsafe fn put_plain<T>(out: *mut T, name: &str, make: impl FnOnce() -> Result<T>) -> Result<()> {
    wants(out, name)?;
    out.write(make()?);
    Ok(())
}

/// Refuses a NULL place for a result before any work is done for it.
pub(crate) fn wants<T>(out: *mut T, name: &str) -> Result<()> {
    if out.is_null() { Err(invalid(format!("{name} is NULL"))) } else { Ok(()) }
}

/// The body of every `_free`. NULL, and what is no handle (any more), is left alone.
pub(crate) unsafe fn free<T: Opaque>(p: *mut T) {
    if p.is_null() || !is_live(p) {
        return;
    }
    // A plain store before a free is dead, and the optimiser drops it.
    p.cast::<u64>().write_volatile(0);
    let handle = Box::from_raw(p.cast::<Handle<T::Value>>());
    if T::THREADED && handle.pid != std::process::id() {
        std::mem::forget(handle);
        return;
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
}

/// The body of every function that can fail.
pub(crate) fn call(f: impl FnOnce() -> Result<()>) -> *mut parb_error {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => std::ptr::null_mut(),
        Ok(Err(e)) => crate::ffi::error::owned(e),
        Err(p) => crate::ffi::error::owned(crate::engine::bug(p)),
    }
}

/// The body of every getter: what goes wrong gives the neutral value.
pub(crate) fn get<R>(otherwise: R, f: impl FnOnce() -> Result<R>) -> R {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(r)) => r,
        _ => otherwise,
    }
}

/// Begins the task of a blocking call, waits for it and hands its result to C.
pub(crate) unsafe fn put_waited<T, O: Opaque>(
    out: *mut *mut O,
    task: impl FnOnce() -> Result<Task<T>>,
    wrap: impl FnOnce(T) -> O::Value,
) -> Result<()> {
    put(out, || Ok(wrap(task()?.wait()?)))
}

/// The context of a call; NULL is one that never ends.
pub(crate) unsafe fn bounds(ctx: *const parb_ctx) -> Result<Context> {
    let Some(context) = optional(ctx, "ctx")? else { return Ok(Context::default()) };
    if !is_ours(ctx) {
        return Err(Error::new(Code::Forked, "a context of the parent process; make a new one in this process"));
    }
    Ok(context.clone())
}

/// Whether a handle was made in this process: what waits for one made before a fork exists in the parent only.
pub(crate) unsafe fn is_ours<T: Opaque>(p: *const T) -> bool {
    (*p.cast::<Handle<T::Value>>()).pid == std::process::id()
}

/// Bytes that C lends for the duration of a call: NULL with 0, or so many readable ones.
pub(crate) unsafe fn slice<'a>(data: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(invalid(format!("{name} is NULL"))),
        (false, _) => Ok(std::slice::from_raw_parts(data, len)),
    }
}

/// As [`slice`], to be written to.
pub(crate) unsafe fn slice_mut<'a>(data: *mut u8, len: usize, name: &str) -> Result<&'a mut [u8]> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(invalid(format!("{name} is NULL"))),
        (false, _) => Ok(std::slice::from_raw_parts_mut(data, len)),
    }
}

/// Builders and option objects: a draft, its first mistake, and whether a setter met another thread in it. Any number
/// of calls may use it at once.
pub(crate) struct Draft<D> {
    inner: RwLock<(D, Option<Error>)>,
    misused: AtomicBool,
}

impl<D: Clone> Draft<D> {
    pub(crate) fn new(draft: D) -> Draft<D> {
        Draft { inner: RwLock::new((draft, None)), misused: AtomicBool::new(false) }
    }
    /// A copy of the draft, or the first mistake in it: what the call that uses it starts with.
    pub(crate) fn ready(&self) -> Result<D> {
        let inner = self.inner.try_read().ok().filter(|_| !self.misused.load(Relaxed));
        let why = "changed by one thread while another used it, or broken by a panic";
        let inner = inner.ok_or_else(|| Error::new(Code::InvalidState, why))?;
        match &inner.1 {
            Some(mistake) => Err(mistake.clone()),
            None => Ok(inner.0.clone()),
        }
    }
}

/// The body of every setter: it can't fail, and keeps the first mistake. A lock it can't take is remembered outside.
pub(crate) unsafe fn edit<T: Opaque<Value = Draft<D>>, D>(p: *mut T, f: impl FnOnce(&mut D) -> Result<()>) {
    get((), || {
        let draft = p.get("builder")?;
        let Ok(mut inner) = draft.inner.try_write() else {
            draft.misused.store(true, Relaxed);
            return Ok(());
        };
        if let (value, mistake @ None) = &mut *inner {
            *mistake = f(value).err();
        }
        Ok(())
    });
}

/// Handles that one thread at a time may use: a second one is told, not corrupted.
pub(crate) fn alone<'a, T>(mutex: &'a Mutex<T>, name: &str) -> Result<MutexGuard<'a, T>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(p)) => Ok(PoisonError::into_inner(p)),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(Code::InvalidState, format!("{name} is used by two threads at once")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_shared_for_reading_and_tell_who_meets_while_changing() {
        let draft = Draft::new(1);
        let reading = draft.inner.try_read().unwrap();
        assert_eq!(draft.ready().unwrap(), 1, "another call reads at the same time");
        drop(reading);
        let changing = draft.inner.try_write().unwrap();
        assert_eq!(draft.ready().unwrap_err().code(), Code::InvalidState);
        drop(changing);
        assert_eq!(draft.ready().unwrap(), 1);
    }
}
