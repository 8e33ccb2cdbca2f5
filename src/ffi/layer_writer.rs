//! Layers: written piece by piece.

use crate::ffi::boundary::{Opaque, Pointer, alone, bounds, call, free, put_waited, slice};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::{Layer, LayerWriter, Result, Task};
use std::sync::Mutex;

/// Takes in a layer's tar piece by piece. One thread at a time. Yours to free.
pub struct parb_layer_writer {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_layer_writer {
    type Value = Mutex<LayerWriter>;
    const NAME: &'static str = "parb_layer_writer";
    const TAG: u64 = u64::from_le_bytes(*b"parbwrit");
}

/// Opens a writer for a layer's tar (plain, or compressed with gzip or zstd) into the options' sink. Blocks on the
/// network where the sink is a repository.
///
/// Errors: those of the sink; PARB_IO: no file in $TMPDIR; PARB_INVALID_ARGUMENT: an option that is not read.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_new(
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer_writer,
) -> *mut parb_error {
    call(|| put_waited(out, || writer(options, ctx), Mutex::new))
}

/// parb_layer_writer_new that returns at once; the writer comes from parb_op_take_layer_writer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_new_start(
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || writer(options, ctx)))
}

unsafe fn writer(options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<LayerWriter>> {
    Ok(LayerWriter::new(&options_of(options)?, &bounds(ctx)?))
}

/// Takes in the next bytes, all of them. Blocks while the compressor or the sink are behind.
///
/// Errors: those of the sink; PARB_MALFORMED: no tar. After an error the writer is of no more use, but for
/// PARB_CANCELLED and PARB_TIMED_OUT before anything was taken in.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_write(
    writer: *mut parb_layer_writer,
    tar: *const u8,
    len: usize,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| {
        let mut writer = alone(writer.get("writer")?, "writer")?;
        writer.write(slice(tar, len, "tar")?, &bounds(ctx)?)
    })
}

/// Ends the tar and gives the layer. Blocks until the layer is in its sink. The writer is of no more use, and still to
/// be freed.
///
/// Errors: those of the sink; PARB_MALFORMED: no tar; PARB_INVALID_STATE: finished before.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_finish(
    writer: *mut parb_layer_writer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || finish(writer, options, ctx), LayerHandle::new))
}

/// parb_layer_writer_finish that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_finish_start(
    writer: *mut parb_layer_writer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || finish(writer, options, ctx)))
}

unsafe fn finish(
    writer: *mut parb_layer_writer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let writer = writer.get("writer")?;
    options_of(options)?.only("parb_layer_writer_finish", &[])?;
    let ctx = bounds(ctx)?;
    Ok(alone(writer, "writer")?.finish(&ctx))
}

/// Frees a writer. NULL is fine. One that was not finished leaves nothing behind.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_writer_free(writer: *mut parb_layer_writer) {
    free(writer)
}
