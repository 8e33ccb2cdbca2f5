//! Layers: written once into a sink, then complete and immutable. Sinks, writers, readers, sources.

use crate::error::{Code, Error};
use crate::ffi::boundary::{
    Draft, Lent, Opaque, Pointer, alone, bounds, call, edit, free, get, new, put, put_plain, put_waited, slice,
    slice_mut,
};
use crate::ffi::client::parb_client;
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::foreign::{Foreign, ForeignStream, parb_destroy_cb, parb_read_cb, parb_rewind_cb};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reference::{DescriptorHandle, parb_descriptor, parb_ref};
use crate::ffi::text::{c_string, path, text};
use crate::{Layer, LayerBuilder, LayerWriter, Reader, Result, SinkHandle, Task};
use bytes::Bytes;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock};

/// Where the bytes of new layers go. Immutable, shared between threads. Yours to free.
pub struct parb_sink {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_sink {
    type Value = SinkHandle;
    const NAME: &'static str = "parb_sink";
    const TAG: u64 = u64::from_le_bytes(*b"parbsink");
}

/// A layer: complete, immutable, shared between threads, keeps alive what its bytes are read from. Yours to free.
pub struct parb_layer {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_layer {
    type Value = LayerHandle;
    const NAME: &'static str = "parb_layer";
    const TAG: u64 = u64::from_le_bytes(*b"parblayr");
}

pub(crate) struct LayerHandle {
    layer: Layer,
    descriptor: Lent<parb_descriptor>,
    diff_id: OnceLock<CString>,
}

impl LayerHandle {
    pub(crate) fn new(layer: Layer) -> LayerHandle {
        let descriptor = Lent::new(DescriptorHandle::new(layer.descriptor().clone()));
        LayerHandle { layer, descriptor, diff_id: OnceLock::new() }
    }
    pub(crate) fn layer(&self) -> &Layer {
        &self.layer
    }
}

/// Takes in a layer's tar piece by piece. One thread at a time. Yours to free.
pub struct parb_layer_writer {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_layer_writer {
    type Value = Mutex<LayerWriter>;
    const NAME: &'static str = "parb_layer_writer";
    const TAG: u64 = u64::from_le_bytes(*b"parbwrit");
}

/// Puts a small layer together, entry by entry. Calls on any number of threads may use it while nobody changes it.
/// Yours to free.
pub struct parb_layer_builder {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_layer_builder {
    type Value = Draft<LayerBuilder>;
    const NAME: &'static str = "parb_layer_builder";
    const TAG: u64 = u64::from_le_bytes(*b"parblbld");
    const THREADED: bool = false;
}

/// A stream of verified bytes. One thread at a time. Yours to free.
pub struct parb_reader {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_reader {
    type Value = Mutex<Reader>;
    const NAME: &'static str = "parb_reader";
    const TAG: u64 = u64::from_le_bytes(*b"parbread");
}

/// A stream of the host. It is used up by the first call that reads it. Yours to free.
pub struct parb_source {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_source {
    type Value = Mutex<Option<ForeignStream>>;
    const NAME: &'static str = "parb_source";
    const TAG: u64 = u64::from_le_bytes(*b"parbsrc\0");
    const THREADED: bool = false;
}

/// A repository as a sink: new layers are uploaded while they are compressed, and a push of an image that has them
/// finds them there. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @param repository  its tag and digest play no part
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_sink_repository(
    client: *const parb_client,
    repository: *const parb_ref,
    out: *mut *mut parb_sink,
) -> *mut parb_error {
    call(|| {
        let client = client.get("client")?;
        put(out, || Ok(SinkHandle::repository(client, repository.get("repository")?.reference())))
    })
}

/// Frees a sink. NULL is fine. Layers that were written into it stay.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_sink_free(sink: *mut parb_sink) {
    free(sink)
}

/// Makes a layer from a file: a tar, plain or compressed with gzip or zstd; its bytes tell which, not its name. It is
/// read once, compressed once if it is plain, and written into the options' sink on the way; if that breaks, the file
/// is read again. Blocks until the layer is in its sink.
///
/// Errors: PARB_NOT_FOUND, PARB_IO with the path as subject; PARB_MALFORMED: no tar; PARB_INVALID_ARGUMENT: a
/// directory; those of the sink.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_file(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_file(path, options, ctx), LayerHandle::new))
}

/// parb_layer_from_file that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_file_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_file(path, options, ctx)))
}

unsafe fn from_file(p: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Layer>> {
    Ok(Layer::from_file(&path(p, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// Makes a layer from a directory's content: names sorted, owner 0:0, modification time 0 or $SOURCE_DATE_EPOCH, so
/// that the same content is the same layer. Blocks until the layer is in its sink.
///
/// Errors: as for parb_layer_from_file; PARB_IO: a file changed its size while it was read.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_dir(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_dir(path, options, ctx), LayerHandle::new))
}

/// parb_layer_from_dir that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_dir_start(
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_dir(path, options, ctx)))
}

unsafe fn from_dir(p: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Layer>> {
    Ok(Layer::from_dir(&path(p, "path")?, &options_of(options)?, &bounds(ctx)?))
}

/// Makes a layer from a tar in memory, which is copied. Blocks until the layer is in its sink.
///
/// Errors: as for parb_layer_from_file.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_bytes(
    tar: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_bytes(tar, len, options, ctx), LayerHandle::new))
}

/// parb_layer_from_bytes that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_bytes_start(
    tar: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_bytes(tar, len, options, ctx)))
}

unsafe fn from_bytes(
    tar: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let tar = Bytes::copy_from_slice(slice(tar, len, "tar")?);
    Ok(Layer::from_bytes(tar, &options_of(options)?, &bounds(ctx)?))
}

/// Makes a layer from a stream of the host, which is read on a thread of the library (at most 64 of them at once). If
/// an upload breaks, the stream is rewound where it can be; else its compressed bytes were kept in a file without a
/// name in $TMPDIR. The source is used up, whatever comes out. Blocks until the layer is in its sink.
///
/// Errors: as for parb_layer_from_file; what the callback returned; PARB_INVALID_STATE: the source was used before;
/// PARB_LIMIT_EXCEEDED: too many callbacks of the host are running.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_source(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || from_source(source, options, ctx), LayerHandle::new))
}

/// parb_layer_from_source that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_source_start(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || from_source(source, options, ctx)))
}

unsafe fn from_source(
    source: *mut parb_source,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let (source, options, ctx) = (source.get("source")?, options_of(options)?, bounds(ctx)?);
    let stream = alone(source, "source")?.take();
    let stream = stream.ok_or_else(|| Error::new(Code::InvalidState, "the source was used before"))?;
    Ok(Layer::from_stream(Box::new(stream), &options, &ctx))
}

/// Opens a writer for a layer's tar (plain, or compressed with gzip or zstd) into the options' sink. Blocks on the
/// network where the sink is a repository.
///
/// Errors: those of the sink; PARB_IO: no file in $TMPDIR; PARB_INVALID_ARGUMENT: an option that is not read.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_new(
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer_writer,
) -> *mut parb_error {
    call(|| put_waited(out, || writer(options, ctx), Mutex::new))
}

/// parb_layer_writer_new that returns at once; the writer comes from parb_op_take_layer_writer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_new_start(
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || writer(options, ctx)))
}

unsafe fn writer(options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<LayerWriter>> {
    Ok(LayerWriter::new(&options_of(options)?, &bounds(ctx)?))
}

/// Takes in the next bytes, all of them. Blocks while the compressor or the sink are behind.
///
/// Errors: those of the sink; PARB_MALFORMED: no tar. After an error the writer is of no more use, but for
/// PARB_CANCELLED and PARB_TIMED_OUT before anything was taken in.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_write(
    writer: *mut parb_layer_writer,
    tar: *const u8,
    len: usize,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| {
        let mut writer = alone(writer.get("writer")?, "writer")?;
        writer.write(slice(tar, len, "tar")?, &bounds(ctx)?)
    })
}

/// Ends the tar and gives the layer. Blocks until the layer is in its sink. The writer is of no more use, and still to
/// be freed.
///
/// Errors: those of the sink; PARB_MALFORMED: no tar; PARB_INVALID_STATE: finished before.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_finish(
    writer: *mut parb_layer_writer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || finish(writer, options, ctx), LayerHandle::new))
}

/// parb_layer_writer_finish that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_writer_finish_start(
    writer: *mut parb_layer_writer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || finish(writer, options, ctx)))
}

unsafe fn finish(
    writer: *mut parb_layer_writer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let writer = writer.get("writer")?;
    options_of(options)?.only("parb_layer_writer_finish", &[])?;
    let ctx = bounds(ctx)?;
    Ok(alone(writer, "writer")?.finish(&ctx))
}

/// Frees a writer. NULL is fine. One that was not finished leaves nothing behind.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_writer_free(writer: *mut parb_layer_writer) {
    free(writer)
}

/// Another handle for the same layer; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_clone(layer: *const parb_layer) -> *mut parb_layer {
    get(null_mut(), || Ok(new(LayerHandle::new(layer.get("layer")?.layer.clone()))))
}

/// Frees a layer. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_free(layer: *mut parb_layer) {
    free(layer)
}

/// Media type, digest and size of the layer's blob. Lives as long as the layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_descriptor(layer: *const parb_layer) -> *const parb_descriptor {
    get(null(), || Ok(layer.get("layer")?.descriptor.as_ptr()))
}

/// The digest of the layer's uncompressed tar: from the image's config, else by reading the layer. Blocks on the
/// network the first time, and answers from memory afterwards. What it gives lives as long as the layer.
///
/// Errors: as for parb_image_config and parb_layer_open.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_diff_id(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *const c_char,
) -> *mut parb_error {
    call(|| {
        let handle = layer.get("layer")?;
        options_of(options)?.only("parb_layer_diff_id", &[])?;
        put_plain(out, "out", || {
            let found = handle.layer.diff_id(&bounds(ctx)?).wait()?;
            Ok(handle.diff_id.get_or_init(|| c_string(found.as_str())).as_ptr())
        })
    })
}

/// parb_layer_diff_id that returns at once. After parb_op_finish the call itself answers from memory.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_diff_id_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        start(out, || {
            let layer = &layer.get("layer")?.layer;
            options_of(options)?.only("parb_layer_diff_id", &[])?;
            Ok(layer.learn_diff_id(&bounds(ctx)?))
        })
    })
}

/// Bytes of the layer's uncompressed tar: as its maker knew, else by reading the layer. Blocks on the network the first
/// time, and answers from memory afterwards.
///
/// Errors: as for parb_layer_open_uncompressed.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_uncompressed_size(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out_size: *mut u64,
) -> *mut parb_error {
    call(|| {
        let layer = &layer.get("layer")?.layer;
        options_of(options)?.only("parb_layer_uncompressed_size", &[])?;
        put_plain(out_size, "out_size", || layer.uncompressed_size(&bounds(ctx)?).wait())
    })
}

/// parb_layer_uncompressed_size that returns at once. After parb_op_finish the call itself answers from memory.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_uncompressed_size_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        start(out, || {
            let layer = &layer.get("layer")?.layer;
            options_of(options)?.only("parb_layer_uncompressed_size", &[])?;
            Ok(layer.learn_uncompressed_size(&bounds(ctx)?))
        })
    })
}

/// Opens the layer's bytes as they are stored. Blocks on the network until they begin to come.
///
/// Errors: PARB_NOT_FOUND and others of the network; PARB_INVALID_STATE: its client was closed.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || open(layer, options, ctx), Mutex::new))
}

/// parb_layer_open that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open(layer, options, ctx)))
}

unsafe fn open(layer: *const parb_layer, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Reader>> {
    let layer = &layer.get("layer")?.layer;
    options_of(options)?.only("parb_layer_open", &[])?;
    Ok(layer.open(&bounds(ctx)?))
}

/// Opens the layer's tar, decompressed if it is compressed. Blocks on the network until it begins to come.
///
/// Errors: as for parb_layer_open; PARB_MALFORMED while reading: the compression is broken.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_uncompressed(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_reader,
) -> *mut parb_error {
    call(|| put_waited(out, || open_uncompressed(layer, options, ctx), Mutex::new))
}

/// parb_layer_open_uncompressed that returns at once; the reader comes from parb_op_take_reader.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_open_uncompressed_start(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || open_uncompressed(layer, options, ctx)))
}

unsafe fn open_uncompressed(
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Reader>> {
    let layer = &layer.get("layer")?.layer;
    options_of(options)?.only("parb_layer_open_uncompressed", &[])?;
    Ok(layer.open_uncompressed(&bounds(ctx)?))
}

/// A builder of a small layer, without entries. Parent directories are not added by themselves.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_builder_new() -> *mut parb_layer_builder {
    get(null_mut(), || Ok(new(Draft::new(LayerBuilder::new()))))
}

/// Adds a file with this content, which is copied.
///
/// @param path  within the layer: relative, without ".."
/// @param mode  permission bits, such as 0644
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_add_bytes(
    builder: *mut parb_layer_builder,
    path: *const c_char,
    mode: u32,
    data: *const u8,
    len: usize,
) {
    edit(builder, |b| b.add_bytes(text(path, "path")?, mode, slice(data, len, "data")?))
}

/// Adds a local file, directory (with all that is in it) or symbolic link under a name of its own. It is read when the
/// layer is built.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_add_path(
    builder: *mut parb_layer_builder,
    local: *const c_char,
    path: *const c_char,
) {
    edit(builder, |b| b.add_path(&self::path(local, "local")?, text(path, "path")?))
}

/// Adds a symbolic link.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_add_symlink(
    builder: *mut parb_layer_builder,
    path: *const c_char,
    target: *const c_char,
) {
    edit(builder, |b| b.add_symlink(text(path, "path")?, text(target, "target")?))
}

/// Removes what the layers below have under this name (a whiteout).
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_remove(builder: *mut parb_layer_builder, path: *const c_char) {
    edit(builder, |b| b.remove(text(path, "path")?))
}

/// Makes the layer, with its entries in the order they were added. Blocks until the layer is in its sink.
///
/// Errors: the first mistake of the setters; as for parb_layer_from_dir.
///
/// @param options  sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_builder_build(
    builder: *const parb_layer_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| put_waited(out, || build(builder, options, ctx), LayerHandle::new))
}

/// parb_layer_builder_build that returns at once; the layer comes from parb_op_take_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_builder_build_start(
    builder: *const parb_layer_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || build(builder, options, ctx)))
}

unsafe fn build(
    builder: *const parb_layer_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Layer>> {
    let builder = builder.get("builder")?.ready()?;
    Ok(builder.build(&options_of(options)?, &bounds(ctx)?))
}

/// Frees a builder. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_layer_builder_free(builder: *mut parb_layer_builder) {
    free(builder)
}

/// Reads up to `cap` bytes into `buf`, at least one; 0 is the end, which comes only if every byte was right. Blocks
/// until there are some. A call that was cancelled loses none.
///
/// Errors: PARB_DIGEST_MISMATCH: the content is not what was named; those of the network.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_reader_read(
    reader: *mut parb_reader,
    buf: *mut u8,
    cap: usize,
    ctx: *const parb_ctx,
    out_n: *mut usize,
) -> *mut parb_error {
    call(|| {
        let mut reader = alone(reader.get("reader")?, "reader")?;
        put_plain(out_n, "out_n", || reader.read(slice_mut(buf, cap, "buf")?, &bounds(ctx)?))
    })
}

/// Starts to read the next piece, of whatever size it comes; it comes from parb_op_take_buf, and an empty one is the
/// end. One at a time.
///
/// Errors: PARB_INVALID_STATE: two threads at once; those of parb_reader_read come out of the operation.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_reader_next_start(
    reader: *mut parb_reader,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| {
        start(out, || {
            let mut reader = alone(reader.get("reader")?, "reader")?;
            options_of(options)?.only("parb_reader_next_start", &[])?;
            let ctx = bounds(ctx)?;
            Ok(reader.next(&ctx))
        })
    })
}

/// Frees a reader. NULL is fine. What was not read yet is not fetched.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_reader_free(reader: *mut parb_reader) {
    free(reader)
}

/// A stream of the host. NULL where `read` is NULL; `destroy` is called all the same.
///
/// @param rewind   goes back to the start; NULL: it can't
/// @param destroy  called once with `user` when the stream is not needed any more; may be NULL
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_source_new(
    read: parb_read_cb,
    rewind: parb_rewind_cb,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) -> *mut parb_source {
    get(null_mut(), || {
        let foreign = Foreign::new(user, destroy);
        let read = read.ok_or_else(|| crate::error::invalid("read is NULL"))?;
        Ok(new(Mutex::new(Some(ForeignStream { read, rewind, foreign }))))
    })
}

/// Frees a source. NULL is fine. One that is being read is destroyed when its callback returns.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_source_free(source: *mut parb_source) {
    free(source)
}
