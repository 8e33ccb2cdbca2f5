//! Layers: made at once from a file, a directory, bytes or a stream of the host.

use crate::error::{Code, Error};
use crate::ffi::boundary::{Pointer, alone, bounds, call, put_waited, slice};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reader::parb_source;
use crate::ffi::text::path;
use crate::{Layer, Result, Task};
use bytes::Bytes;
use std::ffi::c_char;

/// Makes a layer from a file: a tar, plain or compressed with gzip or zstd; its bytes tell which, not its name. It is
/// read once, compressed once if it is plain, and written into the options' sink on the way; if that breaks, the file
/// is read again. Blocks until the layer is in its sink.
///
/// Errors: PARB_NOT_FOUND, PARB_IO with the path as subject; PARB_MALFORMED: no tar; PARB_INVALID_ARGUMENT: a
/// directory; those of the sink.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_file(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_file(path, options, ctx), LayerHandle::new))
}

/// parb_layer_from_file that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_file_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_file(path, options, ctx)))
}

unsafe fn from_file(p: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Layer>> {
    Ok(Layer::from_file(&path(p, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// Makes a layer from a directory's content: names sorted, owner 0:0, modification time 0 or $SOURCE_DATE_EPOCH, so
/// that the same content is the same layer. Blocks until the layer is in its sink.
///
/// Errors: as for parb_layer_from_file; PARB_IO: a file changed its size while it was read.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_dir(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_dir(path, options, ctx), LayerHandle::new))
}

/// parb_layer_from_dir that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_dir_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_dir(path, options, ctx)))
}

unsafe fn from_dir(p: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Layer>> {
    Ok(Layer::from_dir(&path(p, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// Makes a layer from a tar in memory, which is copied. Blocks until the layer is in its sink.
///
/// Errors: as for parb_layer_from_file.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_bytes(
    tar: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_bytes(tar, len, options, ctx), LayerHandle::new))
}

/// parb_layer_from_bytes that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_bytes_start(
    tar: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_bytes(tar, len, options, ctx)))
}

unsafe fn from_bytes(
    tar: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let tar = Bytes::copy_from_slice(slice(tar, len, "tar")?);
    Ok(Layer::from_bytes(tar, &options_of(options)?, &bounds(ctx)?))
}

/// Makes a layer from a stream of the host, which is read on a thread of the library (at most 64 of them at once). If
/// an upload breaks, the stream is rewound where it can be; else its compressed bytes were kept in a file without a
/// name in $TMPDIR. The source is used up, whatever comes out. Blocks until the layer is in its sink.
///
/// Errors: as for parb_layer_from_file; what the callback returned; PARB_INVALID_STATE: the source was used before;
/// PARB_LIMIT_EXCEEDED: too many callbacks of the host are running.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_source(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_source(source, options, ctx), LayerHandle::new))
}

/// parb_layer_from_source that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_source_start(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_source(source, options, ctx)))
}

unsafe fn from_source(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let (source, options, ctx) = (source.get("source")?, options_of(options)?, bounds(ctx)?);
    let stream = alone(source, "source")?.take();
    let stream = stream.ok_or_else(|| Error::new(Code::InvalidState, "the source was used before"))?;
    Ok(Layer::from_stream(Box::new(stream), &options, &ctx))
}
