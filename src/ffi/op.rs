//! Operations: calls that are under way.

use crate::engine::{Engine, Task};
use crate::error::{Code, Error, Result};
use crate::ffi::archive::{ArchiveHandle, parb_archive};
use crate::ffi::boundary::{Opaque, Pointer, bounds, call, free, get, put};
use crate::ffi::cache::parb_cache;
use crate::ffi::config::{ConfigHandle, parb_config};
use crate::ffi::context::parb_ctx;
use crate::ffi::daemon::{DaemonHandle, parb_daemon};
use crate::ffi::error::parb_error;
use crate::ffi::filesystem::{FilesHandle, parb_files};
use crate::ffi::foreign::{Foreign, parb_destroy_cb};
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::layer_writer::parb_layer_writer;
use crate::ffi::layout::{LayoutHandle, parb_layout};
use crate::ffi::lists::{Strings, parb_buf, parb_strings};
use crate::ffi::reader::parb_reader;
use crate::ffi::reference::{DescriptorHandle, parb_descriptor};
use crate::ffi::report::{ReportHandle, parb_report};
use crate::{
    Archive, Cache, Config, Context, Daemon, Descriptor, Files, Image, Index, Layer, LayerWriter, Layout, Reader,
    Report,
};
use bytes::Bytes;
use std::any::Any;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

/// A call under way, started by a function whose name ends in _start. Its outcome is there when it is done (wait for
/// it, be called, or use a queue) and is taken once, by the parb_op_take_ function of its result or by parb_op_finish.
/// Yours to free.
pub struct parb_op {
    _private: [u8; 0],
}

// SAFETY: made by `start` only.
unsafe impl Opaque for parb_op {
    type Value = Op;
    const NAME: &'static str = "parb_op";
    const TAG: u64 = u64::from_le_bytes(*b"parbop\0\0");
}

pub(crate) struct Op {
    task: Box<dyn Running>,
    engine: Arc<Engine>,
}

/// What every task can be asked, whatever it results in.
trait Running: Any + Send + Sync {
    fn is_done(&self) -> bool;
    fn wait(&self, ctx: &Context) -> Result<()>;
    fn cancel(&self);
    fn on_done(&self, hook: Box<dyn FnOnce() + Send>);
}

impl<T: Send + 'static> Running for Task<T> {
    fn is_done(&self) -> bool {
        Task::is_done(self)
    }
    fn wait(&self, ctx: &Context) -> Result<()> {
        self.wait_done(Some(ctx))
    }
    fn cancel(&self) {
        Task::cancel(self);
    }
    fn on_done(&self, hook: Box<dyn FnOnce() + Send>) {
        Task::on_done(self, hook);
    }
}

impl Op {
    pub(crate) fn on_done(&self, hook: impl FnOnce() + Send + 'static) -> Result<()> {
        self.engine.check_pid()?; // in a forked child nobody would ever call it
        self.task.on_done(Box::new(hook));
        Ok(())
    }

    fn take<T: Send + 'static>(&self) -> Result<T> {
        let task: &dyn Any = &*self.task;
        match task.downcast_ref::<Task<T>>() {
            Some(task) => task.take(),
            None => Err(Error::new(Code::InvalidState, "op has another kind of result than is to be taken")),
        }
    }
}

/// Begins a task and hands it to C, unless it fails before it starts.
pub(crate) unsafe fn start<T: Send + 'static>(
    out: *mut *mut parb_op,
    task: impl FnOnce() -> Result<Task<T>>,
) -> Result<()> {
    put(out, || {
        let task = task()?;
        match task.refusal() {
            Some(e) => Err(e),
            None => Ok(Op { task: Box::new(task), engine: Engine::get()? }),
        }
    })
}

/// Whether the operation is done, so that nothing about it waits any more. false for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_op_is_done(op: *const parb_op) -> bool {
    get(false, || Ok(op.get("op")?.task.is_done()))
}

/// Blocks until the operation is done or `ctx` ends; the operation itself runs on. NULL: it is done, and its outcome,
/// good or bad, is still to be taken.
///
/// Errors: PARB_CANCELLED, PARB_TIMED_OUT: `ctx` ended first. PARB_INVALID_STATE: on a thread of the library.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_wait(op: *const parb_op, ctx: *const parb_ctx) -> *mut parb_error {
    call(|| {
        let op = op.get("op")?;
        op.engine.check_pid()?; // in a forked child it would never be done
        op.task.wait(&bounds(ctx)?)
    })
}

/// Ends the operation; unless it was done, its outcome will be PARB_CANCELLED. Returns at once.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_op_cancel(op: *const parb_op) {
    get((), || {
        op.get("op")?.task.cancel();
        Ok(())
    })
}

/// Has `cb` called once when the operation is done, or now if it is, on a thread of the library. It may call everything
/// that does not wait, parb_op_take_image and its like included. Where 64 callbacks of the host run already, only
/// `destroy` is called; the outcome can be taken all the same.
///
/// Errors: PARB_FORKED: the operation belongs to the parent process. `destroy` is called all the same.
///
/// @param destroy  called once with `user` when `cb` has returned or will not be called; may be NULL
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_on_done(
    op: *mut parb_op,
    cb: parb_done_cb,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) -> *mut parb_error {
    call(|| {
        let foreign = Foreign::new(user, destroy);
        let op = op.get("op")?;
        let cb = cb.ok_or_else(|| crate::error::invalid("cb is NULL"))?;
        let engine = op.engine.clone();
        op.on_done(move || {
            let run = move || {
                let foreign = foreign;
                // SAFETY: the host's function, called with what the host gave for it.
                unsafe { cb(foreign.user()) };
            };
            let _ = engine.callback(run); // refused: `destroy` tells, and the outcome is there to be taken
        })
    })
}

/// Called when an operation is done, on a thread of the library. It may call everything that does not wait.
pub type parb_done_cb = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// Takes the outcome of an operation without a result, such as a push.
///
/// Errors: those of the call; PARB_INVALID_STATE: still running, taken already, or it has a result of its own.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_finish(op: *mut parb_op) -> *mut parb_error {
    call(|| op.get("op")?.take::<()>())
}

/// Takes an image out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_image(op: *mut parb_op, out: *mut *mut parb_image) -> *mut parb_error {
    call(|| take_into::<Image, _>(op, out, ImageHandle::new))
}

/// Takes a cache out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_cache(op: *mut parb_op, out: *mut *mut parb_cache) -> *mut parb_error {
    call(|| take_into::<Cache, _>(op, out, |cache| cache))
}

/// Takes an index out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_index(op: *mut parb_op, out: *mut *mut parb_index) -> *mut parb_error {
    call(|| take_into::<Index, _>(op, out, IndexHandle::new))
}

/// Takes a layer out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_layer(op: *mut parb_op, out: *mut *mut parb_layer) -> *mut parb_error {
    call(|| take_into::<Layer, _>(op, out, LayerHandle::new))
}

/// Takes a layer writer out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_layer_writer(
    op: *mut parb_op,
    out: *mut *mut parb_layer_writer,
) -> *mut parb_error {
    call(|| take_into::<LayerWriter, _>(op, out, Mutex::new))
}

/// Takes a config out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_config(op: *mut parb_op, out: *mut *mut parb_config) -> *mut parb_error {
    call(|| take_into::<Config, _>(op, out, ConfigHandle::new))
}

/// Takes a descriptor out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_descriptor(op: *mut parb_op, out: *mut *mut parb_descriptor) -> *mut parb_error {
    call(|| take_into::<Descriptor, _>(op, out, DescriptorHandle::new))
}

/// Takes a reader out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_reader(op: *mut parb_op, out: *mut *mut parb_reader) -> *mut parb_error {
    call(|| take_into::<Reader, _>(op, out, Mutex::new))
}

/// Takes bytes out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_buf(op: *mut parb_op, out: *mut *mut parb_buf) -> *mut parb_error {
    call(|| take_into::<Bytes, _>(op, out, |bytes| bytes))
}

/// Takes a list of texts out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_strings(op: *mut parb_op, out: *mut *mut parb_strings) -> *mut parb_error {
    call(|| take_into::<Vec<String>, _>(op, out, Strings::new))
}

/// Takes an archive out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_archive(op: *mut parb_op, out: *mut *mut parb_archive) -> *mut parb_error {
    call(|| take_into::<Archive, _>(op, out, ArchiveHandle::new))
}

/// Takes a report out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_report(op: *mut parb_op, out: *mut *mut parb_report) -> *mut parb_error {
    call(|| take_into::<Report, _>(op, out, ReportHandle::new))
}

/// Takes a daemon out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_daemon(op: *mut parb_op, out: *mut *mut parb_daemon) -> *mut parb_error {
    call(|| take_into::<Daemon, _>(op, out, DaemonHandle::new))
}

/// Takes a layout out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_layout(op: *mut parb_op, out: *mut *mut parb_layout) -> *mut parb_error {
    call(|| take_into::<Layout, _>(op, out, LayoutHandle::new))
}

/// Takes a list of files out of an operation. Errors: as for parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_files(op: *mut parb_op, out: *mut *mut parb_files) -> *mut parb_error {
    call(|| take_into::<Files, _>(op, out, FilesHandle::new))
}

/// Frees an operation. NULL is fine. One that still runs is cancelled; this never waits for it, and a queue it was
/// added to still gives its tag.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_op_free(op: *mut parb_op) {
    free(op)
}

unsafe fn take_into<T: Send + 'static, O: Opaque>(
    op: *mut parb_op,
    out: *mut *mut O,
    wrap: impl FnOnce(T) -> O::Value,
) -> Result<()> {
    let op = op.get("op")?;
    put(out, || Ok(wrap(op.take::<T>()?)))
}
