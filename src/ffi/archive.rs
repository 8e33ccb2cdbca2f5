//! Archives: images in one file.

use crate::error::{Code, Error, invalid};
use crate::ffi::boundary::{Lent, Opaque, Pointer, alone, bounds, call, free, get, new, optional, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::lists::{Strings, parb_strings};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reader::parb_source;
use crate::ffi::text::{optional_text, path};
use crate::{Archive, ArchiveFormat, ArchiveItem, Image, Index, Result, Task};
use std::ffi::{CStr, c_char};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::ptr::{null, null_mut};

/// An archive of images that is open to be read. Immutable, shared between threads; images that came out of it keep
/// its file open. Yours to free.
pub struct parb_archive {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_archive {
    type Value = ArchiveHandle;
    const NAME: &'static str = "parb_archive";
    const TAG: u64 = u64::from_le_bytes(*b"parbarch");
}

pub(crate) struct ArchiveHandle {
    archive: Archive,
    refs: Lent<parb_strings>,
}

impl ArchiveHandle {
    pub(crate) fn new(archive: Archive) -> ArchiveHandle {
        let refs = Lent::new(Strings::new(archive.refs()));
        ArchiveHandle { archive, refs }
    }
}

/// Opens an archive: what docker save writes in all its forms, or an OCI layout in a tar. A file is indexed and read in
/// place, and is not to change as long as it is open. A pipe ("-": standard input), and an archive that is compressed
/// as a whole with gzip or zstd, goes into a file without a name in $TMPDIR. Blocks while it is read.
///
/// Errors: PARB_NOT_FOUND, PARB_IO with the path as subject; PARB_MALFORMED: no archive of images, or cut off;
/// PARB_LIMIT_EXCEEDED: more than 100,000 entries, a manifest.json over 1 MiB.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_open(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_archive,
) -> *mut parb_error {
    call(|| put_waited(out, || open(path, options, ctx), ArchiveHandle::new))
}

/// parb_archive_open that returns at once; the archive comes from parb_op_take_archive.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_open_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open(path, options, ctx)))
}

unsafe fn open(p: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Archive>> {
    Ok(Archive::open(&path(p, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// parb_archive_open with what is open already. A file is read from its start, whatever its position; a pipe or socket
/// to its end, on a thread of the library. The descriptor is duplicated and stays yours. Blocks while it is read.
///
/// Errors: as for parb_archive_open; PARB_IO: not an open descriptor.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_open_fd(
    fd: i32,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_archive,
) -> *mut parb_error {
    call(|| put_waited(out, || open_fd(fd, options, ctx), ArchiveHandle::new))
}

/// parb_archive_open_fd that returns at once; the archive comes from parb_op_take_archive.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_open_fd_start(
    fd: i32,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open_fd(fd, options, ctx)))
}

unsafe fn open_fd(fd: i32, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Archive>> {
    Ok(Archive::open_file(duplicate(fd)?, &options_of(options)?, &bounds(ctx)?))
}

/// parb_archive_open with a stream of the host, which is read to its end on a thread of the library. The source is used
/// up, whatever comes out. Blocks while it is read.
///
/// Errors: as for parb_archive_open; what the callback returned; PARB_INVALID_STATE: the source was used before;
/// PARB_LIMIT_EXCEEDED: too many callbacks of the host are running.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_open_source(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_archive,
) -> *mut parb_error {
    call(|| put_waited(out, || open_source(source, options, ctx), ArchiveHandle::new))
}

/// parb_archive_open_source that returns at once; the archive comes from parb_op_take_archive.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_open_source_start(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open_source(source, options, ctx)))
}

unsafe fn open_source(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Archive>> {
    let (source, options, ctx) = (source.get("source")?, options_of(options)?, bounds(ctx)?);
    let stream = alone(source, "source")?.take();
    let stream = stream.ok_or_else(|| Error::new(Code::InvalidState, "the source was used before"))?;
    Ok(Archive::from_stream(Box::new(stream), &options, &ctx))
}

/// Another handle for the same archive; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_clone(archive: *const parb_archive) -> *mut parb_archive {
    get(null_mut(), || Ok(new(ArchiveHandle::new(archive.get("archive")?.archive.clone()))))
}

/// Frees an archive. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_archive_free(archive: *mut parb_archive) {
    free(archive)
}

/// The archive's form: "docker" (with a manifest.json, as docker save writes it since 1.10), "oci" or "legacy". Static
/// text; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_archive_kind(archive: *const parb_archive) -> *const c_char {
    get(null(), || {
        let kind: &'static CStr = match archive.get("archive")?.archive.kind() {
            ArchiveFormat::Docker => c"docker",
            ArchiveFormat::Oci => c"oci",
            ArchiveFormat::Legacy => c"legacy",
        };
        Ok(kind.as_ptr())
    })
}

/// The names of the images, in the archive's order: what its maker wrote, for which nobody vouches. Lives as long as
/// the archive.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_archive_refs(archive: *const parb_archive) -> *const parb_strings {
    get(null(), || Ok(archive.get("archive")?.refs.as_ptr()))
}

/// An image of the archive. An archive of docker save has no manifests, so that one is made: of Docker's types, or of
/// OCI's with the option format. Layers that are compressed in it are read and hashed once for that: their names are
/// not trusted to be their digests, and the archive does not say these elsewhere. Layers stay as they are, plain ones
/// too, unless a sink or a compression is among the options: then plain layers are compressed, and those that are
/// compressed otherwise than asked for are compressed anew, in one pass into that sink. Where the archive has the
/// manifest too (OCI, Docker 25 and later) and nothing of that is asked for, it counts, and the digest with it. Blocks
/// while config and manifest are read, while layers are hashed or compressed, and on the sink.
///
/// Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: there are several images and none is named; PARB_MALFORMED:
/// manifest.json, config and layers don't fit; PARB_DIGEST_MISMATCH: content is not what its name says;
/// PARB_UNSUPPORTED: a sink, a compression or the format "docker" for an image of an OCI archive; those of the sink.
///
/// @param name     a name as it stands in the archive or fully written, or the digest of the manifest or the config;
///                 NULL: the only image
/// @param options  platform, format, sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_image(
    archive: *const parb_archive,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image(archive, name, options, ctx), ImageHandle::new))
}

/// parb_archive_image that returns at once; the image comes from parb_op_take_image.
///
/// @param name  NULL: the only image
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_image_start(
    archive: *const parb_archive,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image(archive, name, options, ctx)))
}

unsafe fn image(
    archive: *const parb_archive,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (archive, name) = (&archive.get("archive")?.archive, optional_text(name, "name")?);
    Ok(archive.image(name, &options_of(options)?, &bounds(ctx)?))
}

/// An index of the archive. Blocks while it is read.
///
/// Errors: PARB_UNSUPPORTED: the archive has no index; PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: the name is an image's.
///
/// @param name     its name or digest; NULL: index.json, which names all that is in the archive
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_index(
    archive: *const parb_archive,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || index(archive, name, options, ctx), IndexHandle::new))
}

/// parb_archive_index that returns at once; the index comes from parb_op_take_index.
///
/// @param name  NULL: index.json
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_index_start(
    archive: *const parb_archive,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index(archive, name, options, ctx)))
}

unsafe fn index(
    archive: *const parb_archive,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let (archive, name) = (&archive.get("archive")?.archive, optional_text(name, "name")?);
    Ok(archive.index(name, &options_of(options)?, &bounds(ctx)?))
}

/// Writes images into a new archive: of Docker's form with the same bytes as crane pull, or as the option
/// archive_format says. Layers stay as they are; the legacy form has them plain. A file comes about beside its place
/// and takes it when it is whole, so that nobody sees half of it; a pipe or device at that path, or "-" for standard
/// output, is written to in order. An image that is there several times is written once, with all its names. Blocks
/// until all is written.
///
/// Errors: PARB_IO with the path as subject; PARB_INVALID_ARGUMENT: a name is no reference, or there are no images;
/// PARB_UNSUPPORTED: an artifact, in a form that has images only; PARB_DIGEST_MISMATCH: a blob is not what it should
/// be; those of the places that the blobs come from.
///
/// @param refs     the name of each image, in the same order; "": it gets none. In Docker's form and in the legacy one a
///                 name is a reference, which means "latest" without a tag, and no name with a digest; in OCI's it is
///                 any text. NULL: no names at all
/// @param options  archive_format, jobs, foreign_layers (the legacy form has all layers, whatever it says)
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write(
    path: *const c_char,
    images: *const *const parb_image,
    count: usize,
    refs: *const parb_strings,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| write(path, images, count, refs, options, ctx)?.wait())
}

/// parb_archive_write that returns at once; the outcome comes from parb_op_finish.
///
/// @param refs  NULL: no names at all
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_start(
    path: *const c_char,
    images: *const *const parb_image,
    count: usize,
    refs: *const parb_strings,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || write(path, images, count, refs, options, ctx)))
}

unsafe fn write(
    p: *const c_char,
    images: *const *const parb_image,
    count: usize,
    refs: *const parb_strings,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (path, images, refs) = (path(p, "path")?, handles(images, count)?, optional(refs, "refs")?);
    let (options, ctx) = (options_of(options)?, bounds(ctx)?);
    Ok(Archive::write(&path, &items(images, refs)?, &options, &ctx))
}

/// parb_archive_write to what is open already, from its position on, in order: a pipe, a socket, a file. The descriptor
/// is duplicated and stays yours. A thread of the library writes to it and waits for whoever reads; where it waits, a
/// cancelled call returns and the thread stays until the other end reads on or is closed. Blocks until all is written.
///
/// Errors: as for parb_archive_write; PARB_IO: not an open descriptor, or the other end was closed.
///
/// @param refs     as for parb_archive_write; NULL: no names at all
/// @param options  archive_format, foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_fd(
    fd: i32,
    images: *const *const parb_image,
    count: usize,
    refs: *const parb_strings,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| write_fd(fd, images, count, refs, options, ctx)?.wait())
}

/// parb_archive_write_fd that returns at once; the outcome comes from parb_op_finish.
///
/// @param refs  NULL: no names at all
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_fd_start(
    fd: i32,
    images: *const *const parb_image,
    count: usize,
    refs: *const parb_strings,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || write_fd(fd, images, count, refs, options, ctx)))
}

unsafe fn write_fd(
    fd: i32,
    images: *const *const parb_image,
    count: usize,
    refs: *const parb_strings,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (images, refs) = (handles(images, count)?, optional(refs, "refs")?);
    let (options, ctx) = (options_of(options)?, bounds(ctx)?);
    Ok(Archive::write_to(duplicate(fd)?, &items(images, refs)?, &options, &ctx))
}

/// Writes an index with all that it names into a new OCI archive, as parb_archive_write does. Its bytes, and so its
/// digest, stay. Blocks until all is written.
///
/// Errors: as for parb_archive_write; PARB_UNSUPPORTED: the option archive_format is not "oci", or an entry is
/// neither an image nor an index; PARB_LIMIT_EXCEEDED: indexes nested deeper than 8, more than 16 MiB of manifests.
///
/// @param name     what index.json calls it; NULL: nothing
/// @param options  archive_format, which has to be "oci"; jobs, foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_index(
    path: *const c_char,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| write_index(path, index, name, options, ctx)?.wait())
}

/// parb_archive_write_index that returns at once; the outcome comes from parb_op_finish.
///
/// @param name  NULL: index.json calls it nothing
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_index_start(
    path: *const c_char,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || write_index(path, index, name, options, ctx)))
}

unsafe fn write_index(
    p: *const c_char,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let path = path(p, "path")?;
    let item = ArchiveItem::index(index.get("index")?.index(), optional_text(name, "name")?);
    Ok(Archive::write(&path, &[item], &options_of(options)?, &bounds(ctx)?))
}

/// parb_archive_write_index to what is open already, as parb_archive_write_fd does. Blocks until all is written.
///
/// Errors: as for parb_archive_write_index and parb_archive_write_fd.
///
/// @param name     what index.json calls it; NULL: nothing
/// @param options  archive_format, which has to be "oci"; foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_index_fd(
    fd: i32,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| write_index_fd(fd, index, name, options, ctx)?.wait())
}

/// parb_archive_write_index_fd that returns at once; the outcome comes from parb_op_finish.
///
/// @param name  NULL: index.json calls it nothing
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_archive_write_index_fd_start(
    fd: i32,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || write_index_fd(fd, index, name, options, ctx)))
}

unsafe fn write_index_fd(
    fd: i32,
    index: *const parb_index,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let item = ArchiveItem::index(index.get("index")?.index(), optional_text(name, "name")?);
    Ok(Archive::write_to(duplicate(fd)?, &[item], &options_of(options)?, &bounds(ctx)?))
}

unsafe fn handles<'a>(images: *const *const parb_image, count: usize) -> Result<Vec<&'a Image>> {
    if images.is_null() && count > 0 {
        return Err(invalid("images is NULL"));
    }
    (0..count).map(|i| Ok((*images.add(i)).get("images")?.image())).collect()
}

/// Images with their names, where there are some.
fn items(images: Vec<&Image>, refs: Option<&Strings>) -> Result<Vec<ArchiveItem>> {
    let Some(names) = refs.map(Strings::to_vec) else {
        return Ok(images.into_iter().map(|image| ArchiveItem::image(image, None)).collect());
    };
    if names.len() != images.len() {
        return Err(invalid(format!("refs has {} names for {} images", names.len(), images.len())));
    }
    let named =
        |(image, name): (&Image, &String)| ArchiveItem::image(image, Some(name.as_str()).filter(|n| !n.is_empty()));
    Ok(images.into_iter().zip(&names).map(named).collect())
}

/// A descriptor of our own for what the host has open.
unsafe fn duplicate(fd: i32) -> Result<File> {
    if fd < 0 {
        return Err(invalid("fd is no descriptor"));
    }
    let owned = BorrowedFd::borrow_raw(fd).try_clone_to_owned();
    owned.map(File::from).map_err(|e| Error::io("duplicating", format!("descriptor {fd}"), &e))
}
