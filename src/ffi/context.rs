//! Events, and the context: cancel, deadline, progress.

use crate::context::{Context, Event};
use crate::ffi::boundary::{Opaque, Pointer, free, get, is_ours, new, optional};
use crate::ffi::foreign::{Foreign, parb_destroy_cb, send_events};
use crate::ffi::text::c_string;
use std::ffi::{CString, c_char, c_void};
use std::ptr::null_mut;
use std::time::Duration;

/// Something that a call tells on its way. Lent to the callback for its duration.
pub struct parb_event {
    _private: [u8; 0],
}

// SAFETY: made by `Lent` only.
unsafe impl Opaque for parb_event {
    type Value = EventHandle;
    const NAME: &'static str = "parb_event";
    const TAG: u64 = u64::from_le_bytes(*b"parbevnt");
    const THREADED: bool = false;
}

pub(crate) struct EventHandle {
    kind: CString,
    subject: CString,
    message: CString,
    done: u64,
    total: u64,
}

impl EventHandle {
    pub(crate) fn new(event: &Event) -> EventHandle {
        EventHandle {
            kind: c_string(event.kind),
            subject: c_string(&event.subject),
            message: c_string(&event.message),
            done: event.done,
            total: event.total.unwrap_or(u64::MAX),
        }
    }
}

/// Bounds calls: cancel, deadline, progress. Shared freely between threads and calls. Yours to free.
pub struct parb_ctx {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_ctx {
    type Value = Context;
    const NAME: &'static str = "parb_ctx";
    const TAG: u64 = u64::from_le_bytes(*b"parbctx\0");
}

/// Told of an event. Runs on a thread of the library, one event after the other, and may lag behind the call: `destroy`
/// is the sign that no more will come. It may call everything that does not wait.
pub type parb_event_cb = Option<unsafe extern "C" fn(user: *mut c_void, event: *const parb_event)>;

/// What happened: "download", "upload", "exists", "mount", "compress", "retry", "cache", "skip"; new kinds may come.
/// Lives as long as the event.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_event_kind(event: *const parb_event) -> *const c_char {
    get(c"".as_ptr(), || Ok(event.get("event")?.kind.as_ptr()))
}

/// The digest, reference or path concerned; "" where there is none. Lives as long as the event.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_event_subject(event: *const parb_event) -> *const c_char {
    get(c"".as_ptr(), || Ok(event.get("event")?.subject.as_ptr()))
}

/// Bytes of the subject so far.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_event_done(event: *const parb_event) -> u64 {
    get(0, || Ok(event.get("event")?.done))
}

/// Bytes of the subject; UINT64_MAX where that is not known.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_event_total(event: *const parb_event) -> u64 {
    get(u64::MAX, || Ok(event.get("event")?.total))
}

/// Why, for people: of a "retry", what failed; "" where there is nothing to say. Lives as long as the event.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_event_message(event: *const parb_event) -> *const c_char {
    get(c"".as_ptr(), || Ok(event.get("event")?.message.as_ptr()))
}

/// A context. NULL where `parent` is neither NULL nor a context of this process.
///
/// @param parent  the new context ends with it, and tells it of its progress; NULL: none
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_ctx_new(parent: *const parb_ctx) -> *mut parb_ctx {
    get(null_mut(), || match optional(parent, "parent")? {
        Some(parent_of_new) if is_ours(parent) => Ok(new(parent_of_new.child())),
        Some(_) => Ok(null_mut()),
        None => Ok(new(Context::new())),
    })
}

/// Frees a context. NULL is fine. Calls under it go on, bounded as they were.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ctx_free(ctx: *mut parb_ctx) {
    free(ctx)
}

/// Ends the context so many milliseconds from now; less than 0: now. Calls that run already keep the deadline they
/// started with. Of a context and those above it, the earliest deadline counts.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ctx_set_timeout_ms(ctx: *mut parb_ctx, timeout_ms: i64) {
    get((), || {
        ctx.get("ctx")?.set_timeout(Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)));
        Ok(())
    })
}

/// Has `cb` told of each event of the calls under this context, in place of who was told before; NULL: nobody. To be
/// set before the calls. Who must not be called from foreign threads polls parb_ctx_progress instead.
///
/// @param destroy  called once with `user` when no more events will come; NULL: nothing is called
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ctx_set_progress(
    ctx: *mut parb_ctx,
    cb: parb_event_cb,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) {
    get((), || {
        let foreign = Foreign::new(user, destroy);
        send_events(ctx.get("ctx")?, cb, foreign)
    })
}

/// Ends every call under this context and those below it, at once. Any thread may call it, at any time before
/// parb_ctx_free.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ctx_cancel(ctx: *const parb_ctx) {
    get((), || {
        let context = ctx.get("ctx")?;
        if is_ours(ctx) {
            context.cancel(); // there is nothing to end in a forked child, and a thread of the parent may hold the locks
        }
        Ok(())
    })
}

/// Whether parb_ctx_cancel was called here or above. false for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ctx_is_cancelled(ctx: *const parb_ctx) -> bool {
    get(false, || Ok(ctx.get("ctx")?.is_cancelled()))
}

/// How many bytes the calls under this context have moved, and how many they know they will, so far. Both outputs may
/// be NULL; they are 0 where `ctx` is none.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ctx_progress(ctx: *const parb_ctx, out_done: *mut u64, out_total: *mut u64) {
    get((), || {
        let (done, total) = ctx.get("ctx").map_or((0, 0), Context::progress);
        for (out, value) in [(out_done, done), (out_total, total)] {
            if out.is_null() {
                continue;
            }
            out.write(value);
        }
        Ok(())
    })
}
