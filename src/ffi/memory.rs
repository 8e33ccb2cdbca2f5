//! Memory: images and indexes that are held in the process.

use crate::ffi::boundary::{Opaque, Pointer, bounds, call, free, get, new, put, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::lists::{Strings, parb_strings};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::sink::parb_sink;
use crate::ffi::text::{optional_text, text};
use crate::{Image, Index, MemoryStore, Result, SinkHandle, Task};
use std::ffi::c_char;
use std::ptr::null_mut;

/// A store of images and indexes in memory, shared between threads. Yours to free.
pub struct parb_memory {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_memory {
    type Value = MemoryStore;
    const NAME: &'static str = "parb_memory";
    const TAG: u64 = u64::from_le_bytes(*b"parbmemo");
}

/// An empty store.
///
/// Errors: PARB_INVALID_ARGUMENT: 0 bytes.
///
/// @param max_bytes  of manifests and blobs, at most
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_new(max_bytes: u64, out: *mut *mut parb_memory) -> *mut parb_error {
    call(|| put(out, || MemoryStore::new(max_bytes)))
}

/// Another handle for the same store; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_clone(memory: *const parb_memory) -> *mut parb_memory {
    get(null_mut(), || Ok(new(memory.get("memory")?.clone())))
}

/// Frees a store. NULL is fine. Values that were had from it keep what they need.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_memory_free(memory: *mut parb_memory) {
    free(memory)
}

/// Takes an image in with all of its blobs, under a name that another one may have had: that one goes once this one is
/// in, so that there must be room for both. What is there already needs no room. What was put in without a name stays
/// until it is removed by its digest, whatever becomes of names that it has besides. Blocks while it reads.
///
/// Errors: PARB_LIMIT_EXCEEDED: there is no room; PARB_DIGEST_MISMATCH and others of reading.
///
/// @param name     NULL: it is found by its digest alone
/// @param options  jobs, foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_put_image(
    memory: *const parb_memory,
    name: *const c_char,
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| memory_put_image(memory, name, image, options, ctx)?.wait())
}

/// parb_memory_put_image that returns at once; the outcome comes from parb_op_finish.
///
/// @param name  NULL: it is found by its digest alone
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_put_image_start(
    memory: *const parb_memory,
    name: *const c_char,
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || memory_put_image(memory, name, image, options, ctx)))
}

unsafe fn memory_put_image(
    memory: *const parb_memory,
    name: *const c_char,
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (memory, name) = (memory.get("memory")?, optional_text(name, "name")?);
    let image = image.get("image")?.image();
    Ok(memory.add_image(name, image, &options_of(options)?, &bounds(ctx)?))
}

/// Takes an index in with all that is below it, under a name that another one may have had; otherwise as
/// parb_memory_put_image. Blocks while it reads.
///
/// Errors: PARB_LIMIT_EXCEEDED: there is no room; PARB_DIGEST_MISMATCH and others of reading.
///
/// @param name     NULL: it is found by its digest alone
/// @param options  jobs, foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_put_index(
    memory: *const parb_memory,
    name: *const c_char,
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| memory_put_index(memory, name, index, options, ctx)?.wait())
}

/// parb_memory_put_index that returns at once; the outcome comes from parb_op_finish.
///
/// @param name  NULL: it is found by its digest alone
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_put_index_start(
    memory: *const parb_memory,
    name: *const c_char,
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || memory_put_index(memory, name, index, options, ctx)))
}

unsafe fn memory_put_index(
    memory: *const parb_memory,
    name: *const c_char,
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (memory, name) = (memory.get("memory")?, optional_text(name, "name")?);
    let index = index.get("index")?.index();
    Ok(memory.add_index(name, index, &options_of(options)?, &bounds(ctx)?))
}

/// The image with this name or digest, or below an index with one; of an index, the one for the option platform. For as
/// long as the image or a layer of it lives, all of it stays in the store, removed or not. Blocks for a moment.
///
/// Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: it is an index, and no platform is set.
///
/// @param options  platform
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_image(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || memory_image(memory, name_or_digest, options, ctx), ImageHandle::new))
}

/// parb_memory_image that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_image_start(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || memory_image(memory, name_or_digest, options, ctx)))
}

unsafe fn memory_image(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (memory, name) = (memory.get("memory")?, text(name_or_digest, "name_or_digest")?);
    Ok(memory.image(name, &options_of(options)?, &bounds(ctx)?))
}

/// The index with this name or digest; it stays in the store for as long as it lives, removed or not. Blocks for a
/// moment.
///
/// Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: it is an image.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_index(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || memory_index(memory, name_or_digest, options, ctx), IndexHandle::new))
}

/// parb_memory_index that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_index_start(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || memory_index(memory, name_or_digest, options, ctx)))
}

unsafe fn memory_index(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let (memory, name) = (memory.get("memory")?, text(name_or_digest, "name_or_digest")?);
    Ok(memory.index(name, &options_of(options)?, &bounds(ctx)?))
}

/// Takes a name away, or an image or index by its digest with all its names. What can't be reached from a name, from
/// what was put in without one, or from a value that was had, is gone. Never blocks.
///
/// Errors: PARB_NOT_FOUND; PARB_INVALID_STATE: it is there as a part of something else only, which the message names.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_remove(
    memory: *const parb_memory,
    name_or_digest: *const c_char,
) -> *mut parb_error {
    call(|| memory.get("memory")?.remove(text(name_or_digest, "name_or_digest")?))
}

/// Every name, sorted. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_memory_names(memory: *const parb_memory, out: *mut *mut parb_strings) -> *mut parb_error {
    call(|| put(out, || Ok(Strings::new(memory.get("memory")?.names()))))
}

/// How many bytes are in it, with those on their way in.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_memory_size(memory: *const parb_memory) -> u64 {
    get(0, || Ok(memory.get("memory")?.size()))
}

/// A store in memory as a sink. A layer that was made into it stays there while it lives, and for as long as what is put
/// in with it. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_sink_memory(memory: *const parb_memory, out: *mut *mut parb_sink) -> *mut parb_error {
    call(|| put(out, || Ok(SinkHandle::memory(memory.get("memory")?))))
}
