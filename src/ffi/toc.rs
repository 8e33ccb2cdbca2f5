//! Single files of layers, by the layer's table of contents where there is one.

use crate::ffi::boundary::{Pointer, bounds, call, get, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::layer::parb_layer;
use crate::ffi::lists::parb_buf;
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reader::parb_reader;
use crate::ffi::text::text;
use crate::{Reader, Result, Task};
use bytes::Bytes;
use std::ffi::c_char;
use std::sync::Mutex;

/// Whether the layer's descriptor tells of a table of contents, as those of eStargz and zstd:chunked layers do: then
/// single files are read without the rest. Never blocks.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_has_toc(layer: *const parb_layer) -> bool {
    get(false, || Ok(layer.get("layer")?.layer().has_toc()))
}

/// The layer's table of contents as a JSON list in the tar's order: objects with "path", "type" ("dir", "reg",
/// "symlink", "hardlink", "char", "block", "fifo"), "size", "mode", "uid", "gid", and where there is something to say
/// "user", "group", "mtime", "link", "devMajor", "devMinor", "xattrs" (values in base64), "digest". Blocks on the
/// network the first time.
///
/// Errors: PARB_NOT_FOUND: the descriptor tells of none; PARB_DIGEST_MISMATCH, PARB_MALFORMED: it is not what the
/// descriptor promises; PARB_LIMIT_EXCEEDED: larger than 50 MiB; PARB_UNSUPPORTED: of another version.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_toc_json(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_buf,
) -> *mut parb_error {
    call(|| put_waited(out, || toc_json(layer, options, ctx), |bytes| bytes))
}

/// parb_layer_toc_json that returns at once; the JSON comes from parb_op_take_buf.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_toc_json_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || toc_json(layer, options, ctx)))
}

unsafe fn toc_json(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Bytes>> {
    let layer = layer.get("layer")?.layer();
    options_of(options)?.only("parb_layer_toc_json", &[])?;
    Ok(layer.toc_json(&bounds(ctx)?))
}

/// Opens one file of the layer. With a table of contents only what is needed is fetched, and each part is verified;
/// without one the layer is read once and verified, before this returns. Hard links are followed. Of several entries
/// of the same name the last one counts; other layers play no part. Blocks on the network.
///
/// Errors: PARB_NOT_FOUND: no such file; PARB_INVALID_ARGUMENT: it is no file; those of parb_layer_open, and, where the
/// descriptor tells of a table of contents, of parb_layer_toc_json.
///
/// @param path     as in the tar; a leading "/" or "./" plays no part
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_file(
    layer: *const parb_layer,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || open_file(layer, path, options, ctx), Mutex::new))
}

/// parb_layer_open_file that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_file_start(
    layer: *const parb_layer,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open_file(layer, path, options, ctx)))
}

unsafe fn open_file(
    layer: *const parb_layer,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Reader>> {
    let (layer, path) = (layer.get("layer")?.layer(), text(path, "path")?);
    options_of(options)?.only("parb_layer_open_file", &[])?;
    Ok(layer.open_file(path, &bounds(ctx)?))
}
