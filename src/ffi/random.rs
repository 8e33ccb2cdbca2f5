//! Random content: the same seed gives the same bytes, on every machine.

use crate::ffi::boundary::{bounds, call, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::{Image, Index, Layer, Result, Task};

/// A layer with one file of so many random bytes; not compressed unless the options say so. Blocks until it is in its
/// sink.
///
/// Errors: those of the sink.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_random(
    size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || layer_random(size, seed, options, ctx), LayerHandle::new))
}

/// parb_layer_random that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_random_start(
    size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || layer_random(size, seed, options, ctx)))
}

unsafe fn layer_random(
    size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    Ok(Layer::random(size, seed, &options_of(options)?, &bounds(ctx)?))
}

/// An image of so many random layers, for linux/amd64. Blocks until they are in their sink.
///
/// Errors: PARB_INVALID_ARGUMENT: more than 1000 layers; those of the sink.
///
/// @param options  format, sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_random(
    layers: u32,
    layer_size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_random(layers, layer_size, seed, options, ctx), ImageHandle::new))
}

/// parb_image_random that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_random_start(
    layers: u32,
    layer_size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_random(layers, layer_size, seed, options, ctx)))
}

unsafe fn image_random(
    layers: u32,
    layer_size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    Ok(Image::random(layers, layer_size, seed, &options_of(options)?, &bounds(ctx)?))
}

/// An index of so many random images. Blocks until their layers are in their sink.
///
/// Errors: PARB_INVALID_ARGUMENT: more than 1000 images, or layers of one; those of the sink.
///
/// @param options  format, sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_random(
    images: u32,
    layers: u32,
    layer_size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || index_random(images, layers, layer_size, seed, options, ctx), IndexHandle::new))
}

/// parb_index_random that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_random_start(
    images: u32,
    layers: u32,
    layer_size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_random(images, layers, layer_size, seed, options, ctx)))
}

unsafe fn index_random(
    images: u32,
    layers: u32,
    layer_size: u64,
    seed: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    Ok(Index::random(images, layers, layer_size, seed, &options_of(options)?, &bounds(ctx)?))
}
