//! Examination: what is wrong with a value, and what is different between two.

use crate::ffi::boundary::{Pointer, bounds, call, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::parb_image;
use crate::ffi::index::parb_index;
use crate::ffi::layer::parb_layer;
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::report::{ReportHandle, parb_report};
use crate::{Report, Result, Task};

/// Everything that is wrong with an image: digests, sizes and diff ids of all blobs, however they are compressed; media
/// types that say otherwise than the bytes; paths that come twice in one layer; what config, history and manifest say of
/// each other. Layers that their makers host themselves are left out, and told of as events ("skip"). Blocks while it
/// reads every blob; with the option fast only the config is read.
///
/// Errors: PARB_CANCELLED, PARB_TIMED_OUT; all else is in the report.
///
/// @param options  jobs, fast
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_examine(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || image_examine(image, options, ctx), ReportHandle::new))
}

/// parb_image_examine that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_examine_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_examine(image, options, ctx)))
}

unsafe fn image_examine(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Report>> {
    Ok(image.get("image")?.image().examine(&options_of(options)?, &bounds(ctx)?))
}

/// As parb_image_examine, of the index and everything below it, and whether its entries say what the images are. Blocks
/// while it reads.
///
/// Errors: as for parb_image_examine.
///
/// @param options  jobs, fast
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_examine(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || index_examine(index, options, ctx), ReportHandle::new))
}

/// parb_index_examine that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_examine_start(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_examine(index, options, ctx)))
}

unsafe fn index_examine(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Report>> {
    Ok(index.get("index")?.index().examine(&options_of(options)?, &bounds(ctx)?))
}

/// As parb_image_validate, of the index and everything below it. Blocks while it reads.
///
/// Errors: the first thing that parb_index_examine would report.
///
/// @param options  jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_validate(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| index_validate(index, options, ctx)?.wait())
}

/// parb_index_validate that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_validate_start(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_validate(index, options, ctx)))
}

unsafe fn index_validate(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    Ok(index.get("index")?.index().validate(&options_of(options)?, &bounds(ctx)?))
}

/// Reads a layer to its end and checks digest, size, diff id, media type and tar. Blocks while it reads.
///
/// Errors: the first thing that is wrong, with the layer's digest as subject.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_validate(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| layer_validate(layer, options, ctx)?.wait())
}

/// parb_layer_validate that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_validate_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || layer_validate(layer, options, ctx)))
}

unsafe fn layer_validate(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    Ok(layer.get("layer")?.layer().validate(&options_of(options)?, &bounds(ctx)?))
}

/// Every difference between two images, in manifests, configs and layers: a report whose findings have the code
/// PARB_DIGEST_MISMATCH and the field as subject. Blocks while it reads the configs.
///
/// Errors: those of reading.
///
/// @param options  files: layers that differ are compared file by file
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_compare(
    image: *const parb_image,
    other: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || image_compare(image, other, options, ctx), ReportHandle::new))
}

/// parb_image_compare that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_compare_start(
    image: *const parb_image,
    other: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_compare(image, other, options, ctx)))
}

unsafe fn image_compare(
    image: *const parb_image,
    other: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Report>> {
    let (image, other) = (image.get("image")?.image(), other.get("other")?.image());
    Ok(crate::compare::compare_images(image, other, &options_of(options)?, &bounds(ctx)?))
}

/// Every difference between two indexes, and between the images below them of the same platform or place: a report
/// whose findings have the code PARB_DIGEST_MISMATCH and the field as subject. Blocks while it reads the manifests
/// and configs.
///
/// Errors: those of reading.
///
/// @param options  files: layers that differ are compared file by file
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_compare(
    index: *const parb_index,
    other: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || index_compare(index, other, options, ctx), ReportHandle::new))
}

/// parb_index_compare that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_compare_start(
    index: *const parb_index,
    other: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_compare(index, other, options, ctx)))
}

unsafe fn index_compare(
    index: *const parb_index,
    other: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Report>> {
    let (index, other) = (index.get("index")?.index(), other.get("other")?.index());
    Ok(crate::compare::compare_indexes(index, other, &options_of(options)?, &bounds(ctx)?))
}

/// Every difference between two layers: a report whose findings have the code PARB_DIGEST_MISMATCH and the field as
/// subject. Blocks while it reads layers whose diff ids are not known.
///
/// Errors: those of reading.
///
/// @param options  files: layers that differ are compared file by file
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_compare(
    layer: *const parb_layer,
    other: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || layer_compare(layer, other, options, ctx), ReportHandle::new))
}

/// parb_layer_compare that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_compare_start(
    layer: *const parb_layer,
    other: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || layer_compare(layer, other, options, ctx)))
}

unsafe fn layer_compare(
    layer: *const parb_layer,
    other: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Report>> {
    let (layer, other) = (layer.get("layer")?.layer(), other.get("other")?.layer());
    Ok(crate::compare::compare_layers(layer, other, &options_of(options)?, &bounds(ctx)?))
}
