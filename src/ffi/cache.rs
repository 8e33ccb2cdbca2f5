//! Caches: blobs in a directory that anything can be read through.

use crate::Cache;
use crate::ffi::boundary::{Opaque, Pointer, bounds, call, free, get, new, put, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::lists::parb_buf;
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::report::{ReportHandle, parb_report};
use crate::ffi::sink::parb_sink;
use crate::ffi::text::{path, text};
use crate::{Report, Result, SinkHandle, Task};
use bytes::Bytes;
use std::ffi::c_char;
use std::ptr::null_mut;

/// A cache of blobs in a directory, shared between threads, and its directory between processes. Yours to free.
pub struct parb_cache {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_cache {
    type Value = Cache;
    const NAME: &'static str = "parb_cache";
    const TAG: u64 = u64::from_le_bytes(*b"parbcach");
}

/// Opens the cache in a directory, or makes it, for its owner alone. Any number of processes may use it at once.
/// Every blob is checked against its digest before it is given; a wrong one is removed and read from its origin. Blocks
/// on the disk.
///
/// Errors: PARB_IO, PARB_DENIED with the path as subject; PARB_INVALID_ARGUMENT.
///
/// @param max_bytes  what is kept at most: what has not been used for longest goes
/// @param options    uncompressed
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_open(
    path: *const c_char,
    max_bytes: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_cache,
) -> *mut parb_error {
    call(|| put_waited(out, || cache_open(path, max_bytes, options, ctx), |cache| cache))
}

/// parb_cache_open that returns at once; the cache comes from parb_op_take_cache.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_open_start(
    path: *const c_char,
    max_bytes: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || cache_open(path, max_bytes, options, ctx)))
}

unsafe fn cache_open(
    path: *const c_char,
    max_bytes: u64,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Cache>> {
    Ok(Cache::open(&self::path(path, "path")?, max_bytes, &options_of(options)?, &bounds(ctx)?))
}

/// Another handle for the same cache; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_clone(cache: *const parb_cache) -> *mut parb_cache {
    get(null_mut(), || Ok(new(cache.get("cache")?.clone())))
}

/// Frees a cache. NULL is fine. Its directory stays, and so does what values read through it need.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_cache_free(cache: *mut parb_cache) {
    free(cache)
}

/// How many bytes are kept. After a process was killed it may be too many, until the next eviction counts anew.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_cache_size(cache: *const parb_cache) -> u64 {
    get(0, || Ok(cache.get("cache")?.size()))
}

/// What the cache has done since it was opened, as a JSON object: "hits", "misses", "corrupt", "stored", "evicted",
/// "failed". New members may come. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_stats(cache: *const parb_cache, out: *mut *mut parb_buf) -> *mut parb_error {
    call(|| put(out, || Ok(Bytes::from(cache.get("cache")?.stats().to_json()))))
}

/// Removes everything. What is being read can be read to its end. Blocks on the disk.
///
/// Errors: PARB_IO.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_clear(
    cache: *const parb_cache,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| cache_clear(cache, options, ctx)?.wait())
}

/// parb_cache_clear that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_clear_start(
    cache: *const parb_cache,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || cache_clear(cache, options, ctx)))
}

unsafe fn cache_clear(
    cache: *const parb_cache,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    Ok(cache.get("cache")?.clear(&options_of(options)?, &bounds(ctx)?))
}

/// Removes one blob. Blocks on the disk.
///
/// Errors: PARB_NOT_FOUND: it was not there; PARB_IO.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_remove(
    cache: *const parb_cache,
    digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| cache_remove(cache, digest, options, ctx)?.wait())
}

/// parb_cache_remove that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_remove_start(
    cache: *const parb_cache,
    digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || cache_remove(cache, digest, options, ctx)))
}

unsafe fn cache_remove(
    cache: *const parb_cache,
    digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (cache, digest) = (cache.get("cache")?, text(digest, "digest")?.parse()?);
    Ok(cache.remove(&digest, &options_of(options)?, &bounds(ctx)?))
}

/// Reads everything and reports what is not as it should be: content that has another digest than its name, strange
/// names, files of writers that are gone, more bytes than allowed. Changes nothing. Blocks while it reads.
///
/// Errors: PARB_IO.
///
/// @param options  jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_verify(
    cache: *const parb_cache,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || cache_verify(cache, options, ctx), ReportHandle::new))
}

/// parb_cache_verify that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_cache_verify_start(
    cache: *const parb_cache,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || cache_verify(cache, options, ctx)))
}

unsafe fn cache_verify(
    cache: *const parb_cache,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Report>> {
    Ok(cache.get("cache")?.verify(&options_of(options)?, &bounds(ctx)?))
}

/// The same image, its config and layers read through a cache. Never blocks; nothing is read yet.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_cached(
    image: *const parb_image,
    cache: *const parb_cache,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let cached = image.get("image")?.image().cached(cache.get("cache")?);
            Ok(ImageHandle::new(cached))
        })
    })
}

/// The same index; all that is below it is read through a cache. Never blocks; nothing is read yet.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_cached(
    index: *const parb_index,
    cache: *const parb_cache,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let cached = index.get("index")?.index().cached(cache.get("cache")?);
            Ok(IndexHandle::new(cached))
        })
    })
}

/// The same layer, read through a cache. Never blocks; nothing is read yet.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_cached(
    layer: *const parb_layer,
    cache: *const parb_cache,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let cached = layer.get("layer")?.layer().cached(cache.get("cache")?);
            Ok(LayerHandle::new(cached))
        })
    })
}

/// A cache as a sink. A layer that was written into it can be read for as long as a handle of it lives, evicted or not.
/// Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_sink_cache(cache: *const parb_cache, out: *mut *mut parb_sink) -> *mut parb_error {
    call(|| put(out, || Ok(SinkHandle::cache(cache.get("cache")?))))
}
