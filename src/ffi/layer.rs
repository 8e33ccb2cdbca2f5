//! Layers: complete and immutable.

use crate::ffi::boundary::{Lent, Opaque, Pointer, bounds, call, free, get, new, put_plain, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reader::parb_reader;
use crate::ffi::reference::{DescriptorHandle, parb_descriptor};
use crate::ffi::text::c_string;
use crate::{Layer, Reader, Result, Task};
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock};

/// A layer: complete, immutable, shared between threads, keeps alive what its bytes are read from. Yours to free.
pub struct parb_layer {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_layer {
    type Value = LayerHandle;
    const NAME: &'static str = "parb_layer";
    const TAG: u64 = u64::from_le_bytes(*b"parblayr");
}

pub(crate) struct LayerHandle {
    layer: Layer,
    descriptor: Lent<parb_descriptor>,
    diff_id: OnceLock<CString>,
}

impl LayerHandle {
    pub(crate) fn new(layer: Layer) -> LayerHandle {
        let descriptor = Lent::new(DescriptorHandle::new(layer.descriptor().clone()));
        LayerHandle { layer, descriptor, diff_id: OnceLock::new() }
    }
    pub(crate) fn layer(&self) -> &Layer {
        &self.layer
    }
}

/// Another handle for the same layer; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_clone(layer: *const parb_layer) -> *mut parb_layer {
    get(null_mut(), || Ok(new(LayerHandle::new(layer.get("layer")?.layer.clone()))))
}

/// Frees a layer. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_free(layer: *mut parb_layer) {
    free(layer)
}

/// Media type, digest and size of the layer's blob. Lives as long as the layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_descriptor(layer: *const parb_layer) -> *const parb_descriptor {
    get(null(), || Ok(layer.get("layer")?.descriptor.as_ptr()))
}

/// The digest of the layer's uncompressed tar: from the image's config, else by reading the layer. Blocks on the
/// network the first time, and answers from memory afterwards. What it gives lives as long as the layer.
///
/// Errors: as for parb_image_config and parb_layer_open.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_diff_id(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *const c_char,
) -> *mut parb_error {
    call(|| {
        let handle = layer.get("layer")?;
        options_of(options)?.only("parb_layer_diff_id", &[])?;
        put_plain(out, "out", || {
            let found = handle.layer.diff_id(&bounds(ctx)?).wait()?;
            Ok(handle.diff_id.get_or_init(|| c_string(found.as_str())).as_ptr())
        })
    })
}

/// parb_layer_diff_id that returns at once. After parb_op_finish the call itself answers from memory.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_diff_id_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        start(out, || {
            let layer = &layer.get("layer")?.layer;
            options_of(options)?.only("parb_layer_diff_id", &[])?;
            Ok(layer.learn_diff_id(&bounds(ctx)?))
        })
    })
}

/// Bytes of the layer's uncompressed tar: as its maker knew, else by reading the layer. Blocks on the network the first
/// time, and answers from memory afterwards.
///
/// Errors: as for parb_layer_open_uncompressed.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_uncompressed_size(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out_size: *mut u64,
) -> *mut parb_error {
    call(|| {
        let layer = &layer.get("layer")?.layer;
        options_of(options)?.only("parb_layer_uncompressed_size", &[])?;
        put_plain(out_size, "out_size", || layer.uncompressed_size(&bounds(ctx)?).wait())
    })
}

/// parb_layer_uncompressed_size that returns at once. After parb_op_finish the call itself answers from memory.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_uncompressed_size_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        start(out, || {
            let layer = &layer.get("layer")?.layer;
            options_of(options)?.only("parb_layer_uncompressed_size", &[])?;
            Ok(layer.learn_uncompressed_size(&bounds(ctx)?))
        })
    })
}

/// Opens the layer's bytes as they are stored. Blocks on the network until they begin to come.
///
/// Errors: PARB_NOT_FOUND and others of the network; PARB_INVALID_STATE: its client was closed.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || open(layer, options, ctx), Mutex::new))
}

/// parb_layer_open that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open(layer, options, ctx)))
}

unsafe fn open(layer: *const parb_layer, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Reader>> {
    let layer = &layer.get("layer")?.layer;
    options_of(options)?.only("parb_layer_open", &[])?;
    Ok(layer.open(&bounds(ctx)?))
}

/// Opens the layer's tar, decompressed if it is compressed. Blocks on the network until it begins to come.
///
/// Errors: as for parb_layer_open; PARB_MALFORMED while reading: the compression is broken.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_uncompressed(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || open_uncompressed(layer, options, ctx), Mutex::new))
}

/// parb_layer_open_uncompressed that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_uncompressed_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open_uncompressed(layer, options, ctx)))
}

unsafe fn open_uncompressed(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Reader>> {
    let layer = &layer.get("layer")?.layer;
    options_of(options)?.only("parb_layer_open_uncompressed", &[])?;
    Ok(layer.open_uncompressed(&bounds(ctx)?))
}
