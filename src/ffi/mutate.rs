//! Changes that make new layers, or take several images.

use crate::ffi::boundary::{Pointer, bounds, call, put_waited, slice};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{format_of, options_of, parb_options};
use crate::ffi::text::{optional_text, text};
use crate::{Image, Index, Layer, Result, Task};
use bytes::Bytes;
use std::ffi::c_char;

/// The image with every layer compressed as the options say, or plain layers as gzip where they don't, streaming: the
/// diff ids, and with them the config, stay, and are verified on the way. Layers that are compressed so already are
/// kept, unless a level is asked for; layers that their makers host themselves, and what is no layer, are left alone.
/// Media types follow the content (in a Docker image zstd has the OCI's). Blocks while layers are read and written.
///
/// Errors: PARB_DIGEST_MISMATCH; those of the network and the sink.
///
/// @param options  compression, sink, jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_recompress(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_recompress(image, options, ctx), ImageHandle::new))
}

/// parb_image_recompress that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_recompress_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_recompress(image, options, ctx)))
}

unsafe fn image_recompress(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let image = image.get("image")?.image();
    Ok(image.recompress(&options_of(options)?, &bounds(ctx)?))
}

/// The image with one time everywhere: in every entry of every layer, in the config and in its history. All else stays:
/// extended attributes, sparse and long names, devices, the kind of compression, members of the config that are not
/// known. Layers that their makers host themselves are left alone. The same input gives the same digest. Blocks while
/// layers are read and written.
///
/// Errors: PARB_INVALID_ARGUMENT: no time, or one that no tar can hold; PARB_MALFORMED: a layer that is no tar; those
/// of the network and the sink.
///
/// @param rfc3339  the time; the zero time 0001-01-01T00:00:00Z is 1970 in the layers, as in the reference
/// @param options  compression (by default each layer's own), sink, jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_with_time(
    image: *const parb_image,
    rfc3339: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || with_time(image, rfc3339, options, ctx), ImageHandle::new))
}

/// parb_image_with_time that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_with_time_start(
    image: *const parb_image,
    rfc3339: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || with_time(image, rfc3339, options, ctx)))
}

unsafe fn with_time(
    image: *const parb_image,
    rfc3339: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (image, time) = (image.get("image")?.image(), text(rfc3339, "rfc3339")?);
    Ok(image.with_time(time, &options_of(options)?, &bounds(ctx)?))
}

/// parb_image_with_time with the zero time; the config's container, docker_version and Hostname are removed as well, so
/// that builds that differ only in when and where they ran give one digest. Blocks as that does.
///
/// Errors: those of parb_image_with_time.
///
/// @param options  compression (by default each layer's own), sink, jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_canonical(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_canonical(image, options, ctx), ImageHandle::new))
}

/// parb_image_canonical that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_canonical_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_canonical(image, options, ctx)))
}

unsafe fn image_canonical(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let image = image.get("image")?.image();
    Ok(image.canonical(&options_of(options)?, &bounds(ctx)?))
}

/// The image on another base: layers and history of the old base, which must be the image's lowest layers, give way to
/// the new one's. The platform is the new base's; all else stays the image's, its media types included. The annotations
/// org.opencontainers.image.base.digest and base.name follow, where they are there or `name` is given. Moves no layer;
/// blocks on the network where a config is not known yet.
///
/// Errors: PARB_INVALID_ARGUMENT: the image is not on that base; PARB_MALFORMED: history and layers don't agree; those
/// of parb_image_config.
///
/// @param name     what the new base is called in the annotations; NULL: the name stays as it is
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_rebase(
    image: *const parb_image,
    old_base: *const parb_image,
    new_base: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_rebase(image, old_base, new_base, name, options, ctx), ImageHandle::new))
}

/// parb_image_rebase that returns at once; the image comes from parb_op_take_image. `name` may be NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_rebase_start(
    image: *const parb_image,
    old_base: *const parb_image,
    new_base: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_rebase(image, old_base, new_base, name, options, ctx)))
}

unsafe fn image_rebase(
    image: *const parb_image,
    old_base: *const parb_image,
    new_base: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (image, old) = (image.get("image")?.image(), old_base.get("old_base")?.image());
    let (new, name) = (new_base.get("new_base")?.image(), optional_text(name, "name")?);
    Ok(image.rebase(old, new, name, &options_of(options)?, &bounds(ctx)?))
}

/// parb_image_rebase for every image of an index, with the images of the bases for its platform. What is no image
/// stays; attestations of images that changed are left out, as they no longer hold. Blocks on the network.
///
/// Errors: those of parb_image_rebase; PARB_NOT_FOUND: a base has no image for a platform.
///
/// @param name     what the new base is called in the annotations; NULL: the name stays as it is
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_rebase(
    index: *const parb_index,
    old_base: *const parb_index,
    new_base: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || index_rebase(index, old_base, new_base, name, options, ctx), IndexHandle::new))
}

/// parb_index_rebase that returns at once; the index comes from parb_op_take_index. `name` may be NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_rebase_start(
    index: *const parb_index,
    old_base: *const parb_index,
    new_base: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_rebase(index, old_base, new_base, name, options, ctx)))
}

unsafe fn index_rebase(
    index: *const parb_index,
    old_base: *const parb_index,
    new_base: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let (index, old) = (index.get("index")?.index(), old_base.get("old_base")?.index());
    let (new, name) = (new_base.get("new_base")?.index(), optional_text(name, "name")?);
    Ok(index.rebase(old, new, name, &options_of(options)?, &bounds(ctx)?))
}

/// The image in Docker's or OCI's media types: manifest, config and layers. No blob changes; an image that is of that
/// kind already is given back. Blocks no longer than a moment.
///
/// Errors: PARB_UNSUPPORTED: Docker has no type for zstd layers (recompress first) and for artifacts.
///
/// @param oci_or_docker  "oci" or "docker"
/// @param options        none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_convert(
    image: *const parb_image,
    oci_or_docker: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_convert(image, oci_or_docker, options, ctx), ImageHandle::new))
}

/// parb_image_convert that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_convert_start(
    image: *const parb_image,
    oci_or_docker: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_convert(image, oci_or_docker, options, ctx)))
}

unsafe fn image_convert(
    image: *const parb_image,
    oci_or_docker: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (image, format) = (image.get("image")?.image(), format_of(oci_or_docker)?);
    Ok(image.convert(format, &options_of(options)?, &bounds(ctx)?))
}

/// parb_image_convert for an index, and for all images and indexes below it. Blocks on the network.
///
/// Errors: those of parb_image_convert; those of reading the manifests.
///
/// @param oci_or_docker  "oci" or "docker"
/// @param options        none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_convert(
    index: *const parb_index,
    oci_or_docker: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || index_convert(index, oci_or_docker, options, ctx), IndexHandle::new))
}

/// parb_index_convert that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_convert_start(
    index: *const parb_index,
    oci_or_docker: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_convert(index, oci_or_docker, options, ctx)))
}

unsafe fn index_convert(
    index: *const parb_index,
    oci_or_docker: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let (index, format) = (index.get("index")?.index(), format_of(oci_or_docker)?);
    Ok(index.convert(format, &options_of(options)?, &bounds(ctx)?))
}

/// The layer in the form that Windows images want: everything below Files/, beside an empty Hives/, with the owner that
/// Windows needs. Hard links point there, too. A layer that is in this form already is given back. Blocks while the
/// layer is read and written.
///
/// Errors: PARB_MALFORMED: no tar; PARB_INVALID_ARGUMENT: partly in this form; those of the network and the sink.
///
/// @param options  sink, compression (by default the layer's own)
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_for_windows(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || layer_for_windows(layer, options, ctx), LayerHandle::new))
}

/// parb_layer_for_windows that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_for_windows_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || layer_for_windows(layer, options, ctx)))
}

unsafe fn layer_for_windows(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let layer = layer.get("layer")?.layer();
    Ok(layer.for_windows(&options_of(options)?, &bounds(ctx)?))
}

/// The image with another content of one file, which is a layer on top. Mode and owner of the file that was there stay;
/// a new one is 0644 and root's. Blocks while the layers are searched for the old file and the new layer is written.
///
/// Errors: PARB_INVALID_ARGUMENT: the path is none, or names a directory; those of the network and the sink.
///
/// @param path     from the root of the image's file system, with or without a leading slash
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_edit_file(
    image: *const parb_image,
    path: *const c_char,
    data: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_edit_file(image, path, data, len, options, ctx), ImageHandle::new))
}

/// parb_image_edit_file that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_edit_file_start(
    image: *const parb_image,
    path: *const c_char,
    data: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_edit_file(image, path, data, len, options, ctx)))
}

unsafe fn image_edit_file(
    image: *const parb_image,
    path: *const c_char,
    data: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (image, path) = (image.get("image")?.image(), text(path, "path")?);
    let data = Bytes::copy_from_slice(slice(data, len, "data")?);
    Ok(image.edit_file(path, Some(data), &options_of(options)?, &bounds(ctx)?))
}

/// The image without a file, or without a directory and all that is in it, by a layer on top that hides it. Blocks
/// while the new layer is written.
///
/// Errors: PARB_INVALID_ARGUMENT: the path is none; PARB_NOT_FOUND: there is nothing of this name; those of the network
/// and the sink.
///
/// @param path     from the root of the image's file system, with or without a leading slash
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_remove_file(
    image: *const parb_image,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_remove_file(image, path, options, ctx), ImageHandle::new))
}

/// parb_image_remove_file that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_remove_file_start(
    image: *const parb_image,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_remove_file(image, path, options, ctx)))
}

unsafe fn image_remove_file(
    image: *const parb_image,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (image, path) = (image.get("image")?.image(), text(path, "path")?);
    Ok(image.edit_file(path, None, &options_of(options)?, &bounds(ctx)?))
}
