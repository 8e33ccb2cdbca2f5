//! Layers: streams of bytes, out of them and into them.

use crate::Reader;
use crate::ffi::boundary::{Opaque, Pointer, alone, bounds, call, free, get, new, put_plain, slice_mut};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::foreign::{Foreign, ForeignStream, parb_destroy_cb, parb_read_cb, parb_rewind_cb};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Mutex;

/// A stream of verified bytes. One thread at a time. Yours to free.
pub struct parb_reader {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_reader {
    type Value = Mutex<Reader>;
    const NAME: &'static str = "parb_reader";
    const TAG: u64 = u64::from_le_bytes(*b"parbread");
}

/// A stream of the host. It is used up by the first call that reads it. Yours to free.
pub struct parb_source {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_source {
    type Value = Mutex<Option<ForeignStream>>;
    const NAME: &'static str = "parb_source";
    const TAG: u64 = u64::from_le_bytes(*b"parbsrc\0");
    const THREADED: bool = false;
}

/// Reads up to `cap` bytes into `buf`, at least one; 0 is the end, which comes only if every byte was right. Blocks
/// until there are some. A call that was cancelled loses none.
///
/// Errors: PARB_DIGEST_MISMATCH: the content is not what was named; those of the network.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_reader_read(
    reader: *mut parb_reader,
    buf: *mut u8,
    cap: usize,
    ctx: *const parb_ctx,
    out_n: *mut usize,
) -> *mut parb_error {
    call(|| {
        let mut reader = alone(reader.get("reader")?, "reader")?;
        put_plain(out_n, "out_n", || reader.read(slice_mut(buf, cap, "buf")?, &bounds(ctx)?))
    })
}

/// Starts to read the next piece, of whatever size it comes; it comes from parb_op_take_buf, and an empty one is the
/// end. One at a time.
///
/// Errors: PARB_INVALID_STATE: two threads at once; those of parb_reader_read come out of the operation.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_reader_next_start(
    reader: *mut parb_reader,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        start(out, || {
            let mut reader = alone(reader.get("reader")?, "reader")?;
            options_of(options)?.only("parb_reader_next_start", &[])?;
            let ctx = bounds(ctx)?;
            Ok(reader.next(&ctx))
        })
    })
}

/// Frees a reader. NULL is fine. What was not read yet is not fetched.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_reader_free(reader: *mut parb_reader) {
    free(reader)
}

/// A stream of the host. NULL where `read` is NULL; `destroy` is called all the same.
///
/// @param rewind   goes back to the start; NULL: it can't
/// @param destroy  called once with `user` when the stream is not needed any more; may be NULL
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_source_new(
    read: parb_read_cb,
    rewind: parb_rewind_cb,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) -> *mut parb_source {
    get(null_mut(), || {
        let foreign = Foreign::new(user, destroy);
        let read = read.ok_or_else(|| crate::error::invalid("read is NULL"))?;
        Ok(new(Mutex::new(Some(ForeignStream { read, rewind, foreign }))))
    })
}

/// Frees a source. NULL is fine. One that is being read is destroyed when its callback returns.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_source_free(source: *mut parb_source) {
    free(source)
}
