//! Layers: put together entry by entry.

use crate::ffi::boundary::{Draft, Opaque, Pointer, bounds, call, edit, free, get, new, put_waited, slice};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::text::{path, text};
use crate::{Layer, LayerBuilder, Result, Task};
use std::ffi::c_char;
use std::ptr::null_mut;

/// Puts a small layer together, entry by entry. Calls on any number of threads may use it while nobody changes it.
/// Yours to free.
pub struct parb_layer_builder {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_layer_builder {
    type Value = Draft<LayerBuilder>;
    const NAME: &'static str = "parb_layer_builder";
    const TAG: u64 = u64::from_le_bytes(*b"parblbld");
    const THREADED: bool = false;
}

/// A builder of a small layer, without entries. Parent directories are not added by themselves.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_builder_new() -> *mut parb_layer_builder {
    get(null_mut(), || Ok(new(Draft::new(LayerBuilder::new()))))
}

/// Adds a file with this content, which is copied.
///
/// @param path  within the layer: relative, without ".."
/// @param mode  permission bits, such as 0644
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_add_bytes(
    builder: *mut parb_layer_builder,
    path: *const c_char,
    mode: u32,
    data: *const u8,
    len: usize,
) {
    edit(builder, |b| b.add_bytes(text(path, "path")?, mode, slice(data, len, "data")?))
}

/// Adds a local file, directory (with all that is in it) or symbolic link under a name of its own. It is read when the
/// layer is built.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_add_path(
    builder: *mut parb_layer_builder,
    local: *const c_char,
    path: *const c_char,
) {
    edit(builder, |b| b.add_path(&self::path(local, "local")?, text(path, "path")?))
}

/// Adds a symbolic link.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_add_symlink(
    builder: *mut parb_layer_builder,
    path: *const c_char,
    target: *const c_char,
) {
    edit(builder, |b| b.add_symlink(text(path, "path")?, text(target, "target")?))
}

/// Removes what the layers below have under this name (a whiteout).
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_remove(builder: *mut parb_layer_builder, path: *const c_char) {
    edit(builder, |b| b.remove(text(path, "path")?))
}

/// Makes the layer, with its entries in the order they were added. Blocks until the layer is in its sink.
///
/// Errors: the first mistake of the setters; as for parb_layer_from_dir.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_builder_build(
    builder: *const parb_layer_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || build(builder, options, ctx), LayerHandle::new))
}

/// parb_layer_builder_build that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_builder_build_start(
    builder: *const parb_layer_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || build(builder, options, ctx)))
}

unsafe fn build(
    builder: *const parb_layer_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let builder = builder.get("builder")?.ready()?;
    Ok(builder.build(&options_of(options)?, &bounds(ctx)?))
}

/// Frees a builder. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_free(builder: *mut parb_layer_builder) {
    free(builder)
}
