//! OCI image layouts in directories.

use crate::ffi::boundary::{Opaque, Pointer, bounds, call, free, get, new, put, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::lists::{Strings, parb_strings};
use crate::ffi::matcher::{matcher_of, parb_matcher};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reference::{DescriptorHandle, parb_descriptor};
use crate::ffi::report::{ReportHandle, parb_report};
use crate::ffi::sink::parb_sink;
use crate::ffi::text::{optional_text, path, path_out, text};
use crate::{Descriptor, Image, Index, Layout, Report, Result, SinkHandle, Task};
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

/// An OCI image layout: images and indexes in a directory. Several processes may work in one at once. Immutable,
/// shared between threads: index.json is read anew by each call. Yours to free.
pub struct parb_layout {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_layout {
    type Value = LayoutHandle;
    const NAME: &'static str = "parb_layout";
    const TAG: u64 = u64::from_le_bytes(*b"parblayo");
}

pub(crate) struct LayoutHandle {
    layout: Layout,
    path: CString,
}

impl LayoutHandle {
    pub(crate) fn new(layout: Layout) -> LayoutHandle {
        LayoutHandle { path: path_out(layout.path()), layout }
    }
}

/// Opens a layout that is there. Blocks on the disk.
///
/// Errors: PARB_NOT_FOUND: there is none; PARB_MALFORMED, PARB_UNSUPPORTED: oci-layout or index.json is not what it has
/// to be.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_open(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layout,
) -> *mut parb_error {
    call(|| put_waited(out, || open(path, options, ctx), LayoutHandle::new))
}

/// parb_layout_open that returns at once; the layout comes from parb_op_take_layout.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_open_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open(path, options, ctx)))
}

unsafe fn open(path: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Layout>> {
    Ok(Layout::open(&self::path(path, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// Opens a layout, or makes one without entries where there is none, with the directories above it. Blocks on the disk.
///
/// Errors: as for parb_layout_open, where something else is there; PARB_IO.
///
/// @param options  durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_create(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layout,
) -> *mut parb_error {
    call(|| put_waited(out, || create(path, options, ctx), LayoutHandle::new))
}

/// parb_layout_create that returns at once; the layout comes from parb_op_take_layout.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_create_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || create(path, options, ctx)))
}

unsafe fn create(path: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Layout>> {
    Ok(Layout::create(&self::path(path, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// Another handle for the same layout; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_clone(layout: *const parb_layout) -> *mut parb_layout {
    get(null_mut(), || Ok(new(LayoutHandle::new(layout.get("layout")?.layout.clone()))))
}

/// Frees a layout. NULL is fine. The directory stays.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layout_free(layout: *mut parb_layout) {
    free(layout)
}

/// The directory, as it was given. Lives as long as the layout.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layout_path(layout: *const parb_layout) -> *const c_char {
    get(null(), || Ok(layout.get("layout")?.path.as_ptr()))
}

/// index.json as it is now: its entries, and the images and indexes they name. Blocks on the disk.
///
/// Errors: PARB_MALFORMED, PARB_LIMIT_EXCEEDED (over 8 MiB), PARB_IO.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_index(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || index(layout, options, ctx), IndexHandle::new))
}

/// parb_layout_index that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_index_start(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index(layout, options, ctx)))
}

unsafe fn index(layout: *const parb_layout, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Index>> {
    Ok(layout.get("layout")?.layout.index(&options_of(options)?, &bounds(ctx)?))
}

/// An image of the layout. Where an index is meant, it is the index's image for the options' platform. Blocks on the
/// disk.
///
/// Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: several are meant, and the message lists them; PARB_DIGEST_MISMATCH,
/// PARB_MALFORMED: it is damaged.
///
/// @param which  a name (annotation org.opencontainers.image.ref.name or io.containerd.image.name), a digest or a
///               platform; NULL: the only image there is
/// @param options  platform (linux/amd64 by default)
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_image(
    layout: *const parb_layout,
    which: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image(layout, which, options, ctx), ImageHandle::new))
}

/// parb_layout_image that returns at once; the image comes from parb_op_take_image.
///
/// @param which  NULL: the only image there is
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_image_start(
    layout: *const parb_layout,
    which: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image(layout, which, options, ctx)))
}

unsafe fn image(
    layout: *const parb_layout,
    which: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let which = optional_text(which, "which")?;
    Ok(layout.get("layout")?.layout.image(which, &options_of(options)?, &bounds(ctx)?))
}

/// A nested index of the layout. Blocks on the disk.
///
/// Errors: as for parb_layout_image; PARB_INVALID_ARGUMENT: it is an image.
///
/// @param which  a name or a digest; NULL: the only index there is
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_child(
    layout: *const parb_layout,
    which: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || child(layout, which, options, ctx), IndexHandle::new))
}

/// parb_layout_child that returns at once; the index comes from parb_op_take_index.
///
/// @param which  NULL: the only index there is
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_child_start(
    layout: *const parb_layout,
    which: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || child(layout, which, options, ctx)))
}

unsafe fn child(
    layout: *const parb_layout,
    which: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let which = optional_text(which, "which")?;
    Ok(layout.get("layout")?.layout.child(which, &options_of(options)?, &bounds(ctx)?))
}

/// Puts an image into the layout: the blobs it lacks, then an entry at the end of index.json, unless one of the same
/// digest and name is there. The entry is the image's own descriptor with this name or none, and with the platform of
/// its config. Several entries may have one name. A blob that is there with the right size is not written again. Blocks
/// while blobs are moved.
///
/// Errors: PARB_DIGEST_MISMATCH: a source gives other bytes than promised; those of the source; PARB_IO.
///
/// @param name  of the entry; NULL: it has none
/// @param options  jobs, foreign_layers, durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_add_image(
    layout: *const parb_layout,
    image: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_descriptor,
) -> *mut parb_error {
    call(|| put_waited(out, || add_image(layout, image, name, options, ctx), DescriptorHandle::new))
}

/// parb_layout_add_image that returns at once; the entry comes from parb_op_take_descriptor.
///
/// @param name  NULL: the entry has none
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_add_image_start(
    layout: *const parb_layout,
    image: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || add_image(layout, image, name, options, ctx)))
}

unsafe fn add_image(
    layout: *const parb_layout,
    image: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Descriptor>> {
    let (layout, name) = (&layout.get("layout")?.layout, optional_text(name, "name")?);
    let image = image.get("image")?.image();
    Ok(layout.add_image(image, name, &options_of(options)?, &bounds(ctx)?))
}

/// Puts an index and everything below it into the layout; otherwise as parb_layout_add_image. Blocks while blobs are
/// moved.
///
/// Errors: as for parb_layout_add_image; PARB_LIMIT_EXCEEDED: it nests too deep.
///
/// @param name  of the entry; NULL: it has none
/// @param options  jobs, foreign_layers, durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_add_index(
    layout: *const parb_layout,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_descriptor,
) -> *mut parb_error {
    call(|| put_waited(out, || add_index(layout, index, name, options, ctx), DescriptorHandle::new))
}

/// parb_layout_add_index that returns at once; the entry comes from parb_op_take_descriptor.
///
/// @param name  NULL: the entry has none
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_add_index_start(
    layout: *const parb_layout,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || add_index(layout, index, name, options, ctx)))
}

unsafe fn add_index(
    layout: *const parb_layout,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Descriptor>> {
    let (layout, name) = (&layout.get("layout")?.layout, optional_text(name, "name")?);
    let index = index.get("index")?.index();
    Ok(layout.add_index(index, name, &options_of(options)?, &bounds(ctx)?))
}

/// parb_layout_add_image in the place of the entries with this name: they go, and their blobs stay until parb_layout_gc.
/// It keeps the name in full that containerd gave them. Without a name it takes the place of the entries of this digest
/// that have none, and names of it stay. Blocks while blobs are moved.
///
/// Errors: as for parb_layout_add_image; PARB_INVALID_ARGUMENT: the name is short for several names in full.
///
/// @param name  of the entry; NULL: it has none
/// @param options  jobs, foreign_layers, durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_replace_image(
    layout: *const parb_layout,
    image: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_descriptor,
) -> *mut parb_error {
    call(|| put_waited(out, || replace_image(layout, image, name, options, ctx), DescriptorHandle::new))
}

/// parb_layout_replace_image that returns at once; the entry comes from parb_op_take_descriptor.
///
/// @param name  NULL: the entry has none
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_replace_image_start(
    layout: *const parb_layout,
    image: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || replace_image(layout, image, name, options, ctx)))
}

unsafe fn replace_image(
    layout: *const parb_layout,
    image: *const parb_image,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Descriptor>> {
    let (layout, name) = (&layout.get("layout")?.layout, optional_text(name, "name")?);
    let image = image.get("image")?.image();
    Ok(layout.replace_image(image, name, &options_of(options)?, &bounds(ctx)?))
}

/// parb_layout_add_index in the place of entries as parb_layout_replace_image. Blocks while blobs are moved.
///
/// Errors: as for parb_layout_add_index; PARB_INVALID_ARGUMENT: the name is short for several names in full.
///
/// @param name  of the entry; NULL: it has none
/// @param options  jobs, foreign_layers, durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_replace_index(
    layout: *const parb_layout,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_descriptor,
) -> *mut parb_error {
    call(|| put_waited(out, || replace_index(layout, index, name, options, ctx), DescriptorHandle::new))
}

/// parb_layout_replace_index that returns at once; the entry comes from parb_op_take_descriptor.
///
/// @param name  NULL: the entry has none
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_replace_index_start(
    layout: *const parb_layout,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || replace_index(layout, index, name, options, ctx)))
}

unsafe fn replace_index(
    layout: *const parb_layout,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Descriptor>> {
    let (layout, name) = (&layout.get("layout")?.layout, optional_text(name, "name")?);
    let index = index.get("index")?.index();
    Ok(layout.replace_index(index, name, &options_of(options)?, &bounds(ctx)?))
}

/// Takes entries out of index.json, and gives their digests. Their blobs stay until parb_layout_gc. Blocks on the disk.
///
/// Errors: PARB_MALFORMED, PARB_IO.
///
/// @param matcher  has to be there; one without any condition means every entry
/// @param options  durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_remove(
    layout: *const parb_layout,
    matcher: *const parb_matcher,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| put_waited(out, || remove(layout, matcher, options, ctx), Strings::new))
}

/// parb_layout_remove that returns at once; the digests come from parb_op_take_strings.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_remove_start(
    layout: *const parb_layout,
    matcher: *const parb_matcher,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || remove(layout, matcher, options, ctx)))
}

unsafe fn remove(
    layout: *const parb_layout,
    matcher: *const parb_matcher,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Vec<String>>> {
    Ok(layout.get("layout")?.layout.remove(&matcher.get("matcher")?.ready()?, &options_of(options)?, &bounds(ctx)?))
}

/// Sets an annotation of entries of index.json. Blocks on the disk.
///
/// Errors: PARB_NOT_FOUND: no entry is meant; PARB_INVALID_ARGUMENT: an empty key; PARB_MALFORMED, PARB_IO.
///
/// @param matcher  NULL: every entry
/// @param value  NULL: the annotation is removed
/// @param options  durable
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_annotate(
    layout: *const parb_layout,
    matcher: *const parb_matcher,
    key: *const c_char,
    value: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| annotate(layout, matcher, key, value, options, ctx)?.wait())
}

/// parb_layout_annotate that returns at once; the outcome comes from parb_op_finish.
///
/// @param matcher  NULL: every entry
/// @param value    NULL: the annotation is removed
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_annotate_start(
    layout: *const parb_layout,
    matcher: *const parb_matcher,
    key: *const c_char,
    value: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || annotate(layout, matcher, key, value, options, ctx)))
}

unsafe fn annotate(
    layout: *const parb_layout,
    matcher: *const parb_matcher,
    key: *const c_char,
    value: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (key, value) = (text(key, "key")?, optional_text(value, "value")?);
    let (layout, matcher) = (&layout.get("layout")?.layout, matcher_of(matcher)?);
    Ok(layout.annotate(&matcher, key, value, &options_of(options)?, &bounds(ctx)?))
}

/// Removes the blobs that nothing in index.json leads to, and what killed writers left; gives the digests and paths of
/// what was removed. Entries lead to everything below them, artifacts included, and to their subjects; what refers to a
/// kept manifest stays if it is an entry itself. Blocks until nobody puts blobs any more. Layers that were just written
/// into parb_sink_layout stay while they live. Programs other than this library don't know its locks: not while they
/// write.
///
/// Errors: PARB_MALFORMED, PARB_DIGEST_MISMATCH: a manifest can't be read, so nothing is removed; PARB_IO.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_gc(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| put_waited(out, || gc(layout, options, ctx), Strings::new))
}

/// parb_layout_gc that returns at once; the list comes from parb_op_take_strings.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_gc_start(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || gc(layout, options, ctx)))
}

unsafe fn gc(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Vec<String>>> {
    Ok(layout.get("layout")?.layout.gc(&options_of(options)?, &bounds(ctx)?))
}

/// Reads every file of the layout and reports what is wrong: blobs that are missing, of another size or other content,
/// manifests that can't be read, files that don't belong there, entries that are there twice, what killed writers left.
/// Garbage is no damage. Findings have a digest or a path as subject. Blocks while it reads.
///
/// Errors: PARB_NOT_FOUND: there is no directory; PARB_IO.
///
/// @param options  jobs
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_fsck(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_report,
) -> *mut parb_error {
    call(|| put_waited(out, || fsck(layout, options, ctx), ReportHandle::new))
}

/// parb_layout_fsck that returns at once; the report comes from parb_op_take_report.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layout_fsck_start(
    layout: *const parb_layout,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || fsck(layout, options, ctx)))
}

unsafe fn fsck(layout: *const parb_layout, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Report>> {
    Ok(layout.get("layout")?.layout.fsck(&options_of(options)?, &bounds(ctx)?))
}

/// A layout as a sink: new layers are written straight into it while they are compressed, and adding an image that has
/// them finds them there. They are garbage until then, but not collected while the layer lives. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_sink_layout(layout: *const parb_layout, out: *mut *mut parb_sink) -> *mut parb_error {
    call(|| put(out, || Ok(SinkHandle::layout(&layout.get("layout")?.layout))))
}
