//! Indexes.

use crate::ffi::boundary::{Lent, Opaque, Pointer, bounds, call, free, get, new, put, put_plain, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, lend_bytes, parb_image};
use crate::ffi::lists::{Map, Strings, parb_map, parb_strings};
use crate::ffi::matcher::{matcher_of, parb_matcher};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reference::{DescriptorHandle, parb_descriptor};
use crate::ffi::text::text;
use crate::{Image, Index, Result, Task};
use std::ffi::c_char;
use std::ptr::{null, null_mut};

/// An index: images by platform, or other indexes. Immutable, shared between threads. Yours to free.
pub struct parb_index {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_index {
    type Value = IndexHandle;
    const NAME: &'static str = "parb_index";
    const TAG: u64 = u64::from_le_bytes(*b"parbindx");
}

pub(crate) struct IndexHandle {
    index: Index,
    descriptor: Lent<parb_descriptor>,
    annotations: Lent<parb_map>,
    manifests: Vec<Lent<parb_descriptor>>,
}

impl IndexHandle {
    pub(crate) fn new(index: Index) -> IndexHandle {
        let manifests = index.manifest().manifests().iter();
        IndexHandle {
            descriptor: Lent::new(DescriptorHandle::new(index.descriptor().clone())),
            annotations: Lent::new(Map::new(index.manifest().annotations())),
            manifests: manifests.map(|d| Lent::new(DescriptorHandle::new(d.clone()))).collect(),
            index,
        }
    }
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }
}

/// Another handle for the same index; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_clone(index: *const parb_index) -> *mut parb_index {
    get(null_mut(), || Ok(new(IndexHandle::new(index.get("index")?.index.clone()))))
}

/// Frees an index. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_free(index: *mut parb_index) {
    free(index)
}

/// Media type, digest and size of the index. Lives as long as the index.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_descriptor(index: *const parb_index) -> *const parb_descriptor {
    get(null(), || Ok(index.get("index")?.descriptor.as_ptr()))
}

/// The index's exact bytes. They live as long as the index; NULL for NULL.
///
/// @param out_len  how many there are; may be NULL
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_manifest(index: *const parb_index, out_len: *mut usize) -> *const u8 {
    get(null(), || Ok(lend_bytes(index.get("index")?.index.manifest().raw(), out_len)))
}

/// The index's annotations, possibly none. Lives as long as the index.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_annotations(index: *const parb_index) -> *const parb_map {
    get(null(), || Ok(index.get("index")?.annotations.as_ptr()))
}

/// How many manifests the index names.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_count(index: *const parb_index) -> usize {
    get(0, || Ok(index.get("index")?.manifests.len()))
}

/// One of them; NULL past the end. Lives as long as the index.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_at(index: *const parb_index, i: usize) -> *const parb_descriptor {
    get(null(), || Ok(index.get("index")?.manifests.get(i).map_or(null(), Lent::as_ptr)))
}

/// The platforms that its entries name, each once. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_platforms(
    index: *const parb_index,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let platforms = index.get("index")?.index.platforms();
            Ok(Strings::new(platforms.iter().map(ToString::to_string)))
        })
    })
}

/// The digests of the entries that are meant, in their order. Nested indexes are not looked into. Never blocks.
///
/// Errors: the first mistake in the matcher.
///
/// @param matcher  NULL: all entries
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_find(
    index: *const parb_index,
    matcher: *const parb_matcher,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let found = index.get("index")?.index.find(&matcher_of(matcher)?);
            Ok(Strings::new(found.iter().map(|d| d.digest.as_str())))
        })
    })
}

/// Bytes of the index and of everything below it, each manifest and blob counted once. Blocks while it reads the
/// manifests, the first time, and answers from memory afterwards.
///
/// Errors: those of reading them; PARB_LIMIT_EXCEEDED: it nests too deep, or names too much.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_size(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out_size: *mut u64,
) -> *mut parb_error {
    call(|| {
        let index = &index.get("index")?.index;
        put_plain(out_size, "out_size", || index.size(&options_of(options)?, &bounds(ctx)?).wait())
    })
}

/// parb_index_size that returns at once. After parb_op_finish the call itself answers from memory.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_size_start(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        let index = &index.get("index")?.index;
        start(out, || Ok(index.learn_size(&options_of(options)?, &bounds(ctx)?)))
    })
}

/// The image with this digest, or the best one for this platform. Blocks on the network.
///
/// Errors: PARB_NOT_FOUND: the index names none; PARB_INVALID_ARGUMENT: the digest is an index's.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_image(
    index: *const parb_index,
    digest_or_platform: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image(index, digest_or_platform, options, ctx), ImageHandle::new))
}

/// parb_index_image that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_image_start(
    index: *const parb_index,
    digest_or_platform: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image(index, digest_or_platform, options, ctx)))
}

unsafe fn image(
    index: *const parb_index,
    digest_or_platform: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (index, name) = (index.get("index")?, text(digest_or_platform, "digest_or_platform")?);
    Ok(index.index.image(name, &options_of(options)?, &bounds(ctx)?))
}

/// The nested index with this digest. Blocks on the network.
///
/// Errors: PARB_NOT_FOUND: the index names none; PARB_INVALID_ARGUMENT: the digest is an image's.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_child(
    index: *const parb_index,
    digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || child(index, digest, options, ctx), IndexHandle::new))
}

/// parb_index_child that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_child_start(
    index: *const parb_index,
    digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || child(index, digest, options, ctx)))
}

unsafe fn child(
    index: *const parb_index,
    digest: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    Ok(index.get("index")?.index.child(text(digest, "digest")?, &options_of(options)?, &bounds(ctx)?))
}
