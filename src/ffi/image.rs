//! Images: immutable; the manifest is always in memory.

use crate::Image;
use crate::ffi::boundary::{Lent, Opaque, Pointer, bounds, call, free, get, new, put, put_plain, put_waited};
use crate::ffi::config::{ConfigHandle, parb_config};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::lists::{Map, parb_map};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reference::{DescriptorHandle, parb_descriptor};
use crate::ffi::text::{c_string, lend};
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

/// An image: immutable, shared between threads, keeps alive what its blobs are read from. Yours to free.
pub struct parb_image {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_image {
    type Value = ImageHandle;
    const NAME: &'static str = "parb_image";
    const TAG: u64 = u64::from_le_bytes(*b"parbimag");
}

pub(crate) struct ImageHandle {
    image: Image,
    descriptor: Lent<parb_descriptor>,
    annotations: Lent<parb_map>,
    artifact_type: CString,
}

impl ImageHandle {
    pub(crate) fn new(image: Image) -> ImageHandle {
        ImageHandle {
            descriptor: Lent::new(DescriptorHandle::new(image.descriptor().clone())),
            annotations: Lent::new(Map::new(image.manifest().annotations())),
            artifact_type: c_string(image.artifact_type()),
            image,
        }
    }
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }
}

/// Another handle for the same image; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_clone(image: *const parb_image) -> *mut parb_image {
    get(null_mut(), || Ok(new(ImageHandle::new(image.get("image")?.image.clone()))))
}

/// Frees an image. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_free(image: *mut parb_image) {
    free(image)
}

/// Media type, digest and size of the manifest. Lives as long as the image.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_descriptor(image: *const parb_image) -> *const parb_descriptor {
    get(null(), || Ok(image.get("image")?.descriptor.as_ptr()))
}

/// The digest of the manifest. Lives as long as the image.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_digest(image: *const parb_image) -> *const c_char {
    get(null(), || Ok(crate::ffi::reference::parb_descriptor_digest(image.get("image")?.descriptor.as_ptr())))
}

/// The media type of the manifest. Lives as long as the image.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_media_type(image: *const parb_image) -> *const c_char {
    get(null(), || Ok(crate::ffi::reference::parb_descriptor_media_type(image.get("image")?.descriptor.as_ptr())))
}

/// The manifest's exact bytes. They live as long as the image; NULL for NULL.
///
/// @param out_len  how many there are; may be NULL
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_manifest(image: *const parb_image, out_len: *mut usize) -> *const u8 {
    get(null(), || Ok(lend_bytes(image.get("image")?.image.manifest().raw(), out_len)))
}

/// The manifest's annotations, possibly none. Lives as long as the image.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_annotations(image: *const parb_image) -> *const parb_map {
    get(null(), || Ok(image.get("image")?.annotations.as_ptr()))
}

/// What kind of artifact the image is: what its manifest says, else the media type of its config. Lives as long as
/// the image.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_artifact_type(image: *const parb_image) -> *const c_char {
    get(null(), || Ok(lend(Some(&image.get("image")?.artifact_type))))
}

/// Bytes of manifest, config and layers together.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_size(image: *const parb_image) -> u64 {
    get(0, || Ok(image.get("image")?.image.size()))
}

/// How many layers the image has.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_layer_count(image: *const parb_image) -> usize {
    get(0, || Ok(image.get("image")?.image.layers().len()))
}

/// A layer of the image, base first. Never blocks; nothing is read yet.
///
/// Errors: PARB_INVALID_ARGUMENT: past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_layer_at(
    image: *const parb_image,
    i: usize,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put(out, || Ok(LayerHandle::new(image.get("image")?.image.layer(i)?.clone()))))
}

/// The image's config. Blocks on the network the first time, and answers from memory afterwards.
///
/// Errors: those of the network; PARB_DIGEST_MISMATCH; PARB_MALFORMED: not an image config; PARB_LIMIT_EXCEEDED: over
/// 8 MiB; PARB_INVALID_STATE: its client was closed.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_config(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_config,
) -> *mut parb_error {
    call(|| put_waited(out, || config(image, options, ctx), ConfigHandle::new))
}

/// parb_image_config that returns at once; the config comes from parb_op_take_config.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_config_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || config(image, options, ctx)))
}

unsafe fn config(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> crate::Result<crate::Task<crate::Config>> {
    let image = &image.get("image")?.image;
    options_of(options)?.only("parb_image_config", &[])?;
    Ok(image.config(&bounds(ctx)?))
}

/// Reads every blob of the image to its end and checks all that parb_image_examine does. Blocks while it reads.
///
/// Errors: PARB_DIGEST_MISMATCH, PARB_MALFORMED with the blob's digest as subject; those of the network.
///
/// @param options  jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_validate(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| validate(image, options, ctx)?.wait())
}

/// parb_image_validate that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_validate_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || validate(image, options, ctx)))
}

unsafe fn validate(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> crate::Result<crate::Task<()>> {
    Ok(image.get("image")?.image.validate(&options_of(options)?, &bounds(ctx)?))
}

/// Bytes that live in a value, and their number where C wants it.
pub(crate) unsafe fn lend_bytes(bytes: &[u8], out_len: *mut usize) -> *const u8 {
    let _ = put_plain(out_len, "out_len", || Ok(bytes.len())); // NULL: not wanted
    bytes.as_ptr()
}
