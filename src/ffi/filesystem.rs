//! The file systems of images, and what is in layers.

use crate::error::Result;
use crate::ffi::boundary::{Lent, Opaque, Pointer, bounds, call, free, get, put_plain, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, lend_bytes, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::parb_layer;
use crate::ffi::lists::{Strings, parb_strings};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reader::parb_reader;
use crate::ffi::text::{lend, path, text};
use crate::{File, Files, Image, Index, Reader, Task};
use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::ptr::null;
use std::sync::Mutex;

/// A list of files. Immutable, shared between threads. Yours to free.
pub struct parb_files {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_files {
    type Value = FilesHandle;
    const NAME: &'static str = "parb_files";
    const TAG: u64 = u64::from_le_bytes(*b"parbfile");
    const THREADED: bool = false;
}

pub(crate) struct FilesHandle {
    files: Files,
    /// Paths and targets.
    texts: Vec<(CString, CString)>,
    /// The names of extended attributes of those that have some.
    xattrs: HashMap<usize, Lent<parb_strings>>,
}

impl FilesHandle {
    pub(crate) fn new(files: Files) -> FilesHandle {
        // No name in a tar has a NUL.
        let text = |bytes: &Vec<u8>| CString::new(bytes.as_slice()).unwrap_or_default();
        let texts = files.iter().map(|f| (text(&f.path), text(&f.link))).collect();
        let names = |f: &File| Strings::new(f.xattrs.iter().map(|(name, _)| String::from_utf8_lossy(name)));
        let some = files.iter().enumerate().filter(|(_, f)| !f.xattrs.is_empty());
        let xattrs = some.map(|(i, f)| (i, Lent::new(names(f)))).collect();
        FilesHandle { files, texts, xattrs }
    }
}

/// Opens the file system of an image as one tar: what a container made of it sees. Whiteouts are applied; names are
/// relative to the root; hard links come after their targets; nothing lies behind a symbolic link. The same image gives
/// the same bytes. Blocks on the network until it begins to come. What is read is verified by the reader's end.
///
/// Errors: PARB_UNSUPPORTED: a layer that is no file system; while reading also PARB_MALFORMED: layers that no engine
/// could unpack; PARB_DIGEST_MISMATCH.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_filesystem(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || filesystem(image, options, ctx), Mutex::new))
}

/// parb_image_filesystem that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_filesystem_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || filesystem(image, options, ctx)))
}

unsafe fn filesystem(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Reader>> {
    Ok(image.get("image")?.image().filesystem(&options_of(options)?, &bounds(ctx)?))
}

/// Makes an image with one layer in place of all: the tar of parb_image_filesystem, compressed straight into the sink.
/// The history becomes one entry, whose comment has the old one as JSON. All else in config and manifest stays. Blocks
/// while it reads and writes.
///
/// Errors: as for parb_image_filesystem; PARB_UNSUPPORTED: no image config; those of the sink.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_flatten(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || flatten(image, options, ctx), ImageHandle::new))
}

/// parb_image_flatten that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_flatten_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || flatten(image, options, ctx)))
}

unsafe fn flatten(image: *const parb_image, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Image>> {
    Ok(image.get("image")?.image().flatten(&options_of(options)?, &bounds(ctx)?))
}

/// Makes an index whose images are flattened as by parb_image_flatten. Attestations are left out; what has no image
/// config stays as it is. Blocks while it reads and writes.
///
/// Errors: as for parb_image_flatten.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_flatten(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || index_flatten(index, options, ctx), IndexHandle::new))
}

/// parb_index_flatten that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_flatten_start(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || index_flatten(index, options, ctx)))
}

unsafe fn index_flatten(
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    Ok(index.get("index")?.index().flatten(&options_of(options)?, &bounds(ctx)?))
}

/// Lists every path of an image's file system: a directory before what is in it, sorted by name, each with the layer it
/// comes from. Every layer is read and verified. Blocks while it reads.
///
/// Errors: as for parb_image_filesystem; PARB_LIMIT_EXCEEDED: more than a million files.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_files(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_files,
) -> *mut parb_error {
    call(|| put_waited(out, || image_files(image, options, ctx), FilesHandle::new))
}

/// parb_image_files that returns at once; the list comes from parb_op_take_files.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_files_start(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_files(image, options, ctx)))
}

unsafe fn image_files(
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Files>> {
    Ok(image.get("image")?.image().files(&options_of(options)?, &bounds(ctx)?))
}

/// Lists a layer's own entries in their order, whiteouts among them. Blocks while it reads the layer.
///
/// Errors: PARB_MALFORMED: no tar; PARB_LIMIT_EXCEEDED: more than a million entries; those of parb_layer_open.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_files(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_files,
) -> *mut parb_error {
    call(|| put_waited(out, || layer_files(layer, options, ctx), FilesHandle::new))
}

/// parb_layer_files that returns at once; the list comes from parb_op_take_files.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_files_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || layer_files(layer, options, ctx)))
}

unsafe fn layer_files(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Files>> {
    Ok(layer.get("layer")?.layer().files(&options_of(options)?, &bounds(ctx)?))
}

/// Opens one file of an image; symbolic links are followed within the image. Layers are read from the topmost down to
/// the one that has the file, and that one to its end: the content is verified before the first byte. Blocks until then.
///
/// Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: no regular file; as for parb_image_filesystem.
///
/// @param path     as in parb_files_path_at, or with a '/' in front; not necessarily UTF-8
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_open_file(
    image: *const parb_image,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || open_file(image, path, options, ctx), Mutex::new))
}

/// parb_image_open_file that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_open_file_start(
    image: *const parb_image,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open_file(image, path, options, ctx)))
}

unsafe fn open_file(
    image: *const parb_image,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Reader>> {
    let image = image.get("image")?.image();
    let path = self::path(path, "path")?;
    Ok(image.read_file(path.as_os_str().as_encoded_bytes(), &options_of(options)?, &bounds(ctx)?))
}

/// Frees a list of files. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_free(files: *mut parb_files) {
    free(files)
}

/// How many files there are.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_count(files: *const parb_files) -> usize {
    get(0, || Ok(files.get("files")?.files.len()))
}

/// The path, relative to the root, which is "."; as it stands in the layer, so not necessarily UTF-8. Lives as long as
/// the list; NULL past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_path_at(files: *const parb_files, i: usize) -> *const c_char {
    get(null(), || Ok(files.get("files")?.texts.get(i).map_or(null(), |t| lend(Some(&t.0)))))
}

/// What it is: 'f' a regular file, 'd' a directory, 'l' a symbolic link, 'h' a hard link (another name of a file before
/// it), 'c' and 'b' a character and a block device, 'p' a named pipe. In layers also 'w' a whiteout of that path, 'o'
/// one of everything in that directory, '?' what is no file. 0 past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_kind_at(files: *const parb_files, i: usize) -> u32 {
    get(0, || at(files, i, 0, |f| f.kind.letter() as u32))
}

/// Permission bits, set-id bits and the sticky bit.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_mode_at(files: *const parb_files, i: usize) -> u32 {
    get(0, || at(files, i, 0, |f| f.mode))
}

/// How many bytes of content there are; 0 for all but files and hard links.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_size_at(files: *const parb_files, i: usize) -> u64 {
    get(0, || at(files, i, 0, |f| f.size))
}

/// The owner's number.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_uid_at(files: *const parb_files, i: usize) -> u64 {
    get(0, || at(files, i, 0, |f| f.uid))
}

/// The group's number.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_gid_at(files: *const parb_files, i: usize) -> u64 {
    get(0, || at(files, i, 0, |f| f.gid))
}

/// When it was changed, in seconds since 1970.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_mtime_at(files: *const parb_files, i: usize) -> i64 {
    get(0, || at(files, i, 0, |f| f.mtime.0))
}

/// The part of a second that belongs to it, in nanoseconds.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_mtime_ns_at(files: *const parb_files, i: usize) -> u32 {
    get(0, || at(files, i, 0, |f| f.mtime.1))
}

/// Where a link leads: a symbolic one as it says, a hard one by the path of the file; empty for all else. Lives as long
/// as the list; NULL past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_link_at(files: *const parb_files, i: usize) -> *const c_char {
    get(null(), || Ok(files.get("files")?.texts.get(i).map_or(null(), |t| lend(Some(&t.1)))))
}

/// The numbers of a device; 0 and 0 for all else. `out_minor` may be NULL.
///
/// @return the major number
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_device_at(files: *const parb_files, i: usize, out_minor: *mut u32) -> u32 {
    get(0, || {
        let (major, minor) = at(files, i, (0, 0), |f| f.device)?;
        let _ = put_plain(out_minor, "out_minor", || Ok(minor)); // NULL: not wanted
        Ok(major)
    })
}

/// The layer it comes from, base first and counted from 0; 0 in the list of a layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_layer_at(files: *const parb_files, i: usize) -> usize {
    get(0, || at(files, i, 0, |f| f.layer))
}

/// The names of its extended attributes; NULL where it has none. Lives as long as the list.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_xattr_names_at(files: *const parb_files, i: usize) -> *const parb_strings {
    get(null(), || Ok(files.get("files")?.xattrs.get(&i).map_or(null(), Lent::as_ptr)))
}

/// The value of one of them; NULL where it has none of that name. Lives as long as the list.
///
/// @param name     such as "security.capability"
/// @param out_len  how many bytes it has; may be NULL
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_files_xattr_at(
    files: *const parb_files,
    i: usize,
    name: *const c_char,
    out_len: *mut usize,
) -> *const u8 {
    get(null(), || {
        let (files, name) = (files.get("files")?, text(name, "name")?);
        let mut xattrs = files.files.get(i).into_iter().flat_map(|f| &f.xattrs);
        let found = xattrs.find(|(known, _)| known == name.as_bytes());
        Ok(found.map_or(null(), |(_, value)| lend_bytes(value, out_len)))
    })
}

unsafe fn at<T>(files: *const parb_files, i: usize, past: T, of: impl FnOnce(&File) -> T) -> Result<T> {
    Ok(files.get("files")?.files.get(i).map_or(past, of))
}
