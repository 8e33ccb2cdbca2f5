//! Parts: images, indexes and layers made of what the host has.

use crate::digest::Digest;
use crate::error::{Code, Error, invalid};
use crate::ffi::boundary::{
    Draft, Lent, Opaque, Pointer, alone, bounds, call, edit, free, get, new, put, put_waited, slice,
};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::foreign::{Foreign, answered, parb_destroy_cb};
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::{LayerHandle, parb_layer};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reader::parb_source;
use crate::ffi::reference::{DescriptorHandle, parb_descriptor};
use crate::ffi::text::{optional_text, text};
use crate::options::Format;
use crate::{BlobProvider, Blobs, Descriptor, HostStream, Image, Index, Layer, MediaType, Result, Task};
use bytes::Bytes;
use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

/// Blobs and manifests that images, indexes and layers are made of: bytes, values, or a callback that opens them.
/// Setters never fail: the call that is given the blobs reports the first mistake. One thread at a time. Yours to free.
pub struct parb_blobs {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_blobs {
    type Value = Draft<Blobs>;
    const NAME: &'static str = "parb_blobs";
    const TAG: u64 = u64::from_le_bytes(*b"parbblob");
}

/// Opens a blob of the host: `out` takes a source of parb_source_new whose first byte is the blob's at `offset`, and
/// which belongs to the library then. `blob` lives until the callback returns. It runs on a thread of its own and may
/// wait. Returns NULL, or an error made by parb_error_new (PARB_NOT_FOUND: there is no such blob).
pub type parb_open_cb = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        blob: *const parb_descriptor,
        offset: u64,
        out: *mut *mut parb_source,
    ) -> *mut parb_error,
>;

/// Tells whether the host has a blob: 1 into `out_exists` if so, 0 if not, -1 if it has to be opened to find out. Runs
/// on a thread of its own and may wait. Returns NULL, or an error made by parb_error_new.
pub type parb_exists_cb = Option<
    unsafe extern "C" fn(user: *mut c_void, blob: *const parb_descriptor, out_exists: *mut i32) -> *mut parb_error,
>;

struct ForeignBlobs {
    open: unsafe extern "C" fn(*mut c_void, *const parb_descriptor, u64, *mut *mut parb_source) -> *mut parb_error,
    exists: parb_exists_cb,
    foreign: Foreign,
}

impl BlobProvider for ForeignBlobs {
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>> {
        let lent = Lent::<parb_descriptor>::new(DescriptorHandle::new(blob.clone()));
        let mut source: *mut parb_source = null_mut();
        // SAFETY: the host's function; the descriptor lives until it returns.
        let failed = unsafe { (self.open)(self.foreign.user(), lent.as_ptr(), offset, &raw mut source) };
        // SAFETY: what the host put there is to be a live source, which is ours from now on.
        let stream = unsafe {
            let taken = source.get("source").and_then(|s| Ok(alone(s, "source")?.take()));
            free(source);
            taken
        };
        answered(failed)?;
        match stream {
            Ok(Some(stream)) => Ok(Box::new(stream)),
            _ => Err(Error::new(Code::Callback, "the open callback gave no unused parb_source").subject(&blob.digest)),
        }
    }
    fn exists(&self, blob: &Descriptor) -> Result<Option<bool>> {
        let Some(exists) = self.exists else { return Ok(None) };
        let lent = Lent::<parb_descriptor>::new(DescriptorHandle::new(blob.clone()));
        let mut answer = -1;
        // SAFETY: as above.
        answered(unsafe { exists(self.foreign.user(), lent.as_ptr(), &raw mut answer) })?;
        Ok(match answer {
            0 => Some(false),
            n if n < 0 => None,
            _ => Some(true),
        })
    }
}

/// No blobs yet.
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_blobs_new() -> *mut parb_blobs {
    get(null_mut(), || Ok(new(Draft::new(Blobs::new()))))
}

/// Frees blobs. NULL is fine. Values that were made of them keep what they need.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_blobs_free(blobs: *mut parb_blobs) {
    free(blobs)
}

/// Adds a config, a manifest or any other blob, which is copied and found by its digest.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_blobs_add_bytes(blobs: *mut parb_blobs, data: *const u8, len: usize) {
    edit(blobs, |b| {
        b.add_bytes(Bytes::copy_from_slice(slice(data, len, "data")?));
        Ok(())
    })
}

/// Adds a layer, wherever its bytes lie.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_blobs_add_layer(blobs: *mut parb_blobs, layer: *const parb_layer) {
    edit(blobs, |b| {
        b.add_layer(layer.get("layer")?.layer());
        Ok(())
    })
}

/// Adds an image: its manifest, its config and its layers.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_blobs_add_image(blobs: *mut parb_blobs, image: *const parb_image) {
    edit(blobs, |b| {
        b.add_image(image.get("image")?.image());
        Ok(())
    })
}

/// Adds an index, with all that is below it.
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_blobs_add_index(blobs: *mut parb_blobs, index: *const parb_index) {
    edit(blobs, |b| {
        b.add_index(index.get("index")?.index());
        Ok(())
    })
}

/// Has every other blob opened by the host when it is read, at most 64 at once. What comes is verified as from anywhere.
/// A call that fails or is cancelled does not wait for callbacks that still run: what they use stays until `destroy`.
///
/// @param exists   asked where only that is of interest; NULL: blobs are opened to find out
/// @param destroy  called once with `user` when neither the blobs nor a value made of them needs it any more
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_blobs_set_open(
    blobs: *mut parb_blobs,
    open: parb_open_cb,
    exists: parb_exists_cb,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) {
    edit(blobs, opener(open, exists, Foreign::new(user, destroy)))
}

fn opener(open: parb_open_cb, exists: parb_exists_cb, foreign: Foreign) -> impl FnOnce(&mut Blobs) -> Result<()> {
    move |blobs| {
        let open = open.ok_or_else(|| invalid("open is NULL"))?;
        blobs.provider(Arc::new(ForeignBlobs { open, exists, foreign }));
        Ok(())
    }
}

/// An image from its manifest; config and layers are among `blobs`, stand in their descriptors ("data"), or are opened
/// when they are read. Non-distributable layers may be missing. Never blocks.
///
/// Errors: the first mistake in `blobs`; PARB_MALFORMED, PARB_UNSUPPORTED: no image manifest; PARB_NOT_FOUND with the
/// digest of a blob that is not among the parts.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_from_parts(
    manifest: *const u8,
    len: usize,
    blobs: *const parb_blobs,
    options: *const parb_options,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let manifest = Bytes::copy_from_slice(slice(manifest, len, "manifest")?);
            let blobs = blobs.get("blobs")?.ready()?;
            options_of(options)?.only("parb_image_from_parts", &[])?;
            Ok(ImageHandle::new(Image::from_parts(manifest, &blobs)?))
        })
    })
}

/// An index from its document; what it names is among `blobs`, or opened when it is read. Never blocks.
///
/// Errors: the first mistake in `blobs`; PARB_MALFORMED, PARB_UNSUPPORTED: no index.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_from_parts(
    index: *const u8,
    len: usize,
    blobs: *const parb_blobs,
    options: *const parb_options,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let index = Bytes::copy_from_slice(slice(index, len, "index")?);
            let blobs = blobs.get("blobs")?.ready()?;
            options_of(options)?.only("parb_index_from_parts", &[])?;
            Ok(IndexHandle::new(Index::from_parts(index, &blobs)?))
        })
    })
}

/// A layer whose bytes are among `blobs`, stand in its descriptor ("data"), or are opened when they are read. What is
/// said of it is checked when it is read: reading its tar fails with PARB_DIGEST_MISMATCH where that has another
/// digest or size. Never blocks.
///
/// Errors: the first mistake in `blobs`; PARB_NOT_FOUND: no part has it.
///
/// @param diff_id            the digest of its uncompressed tar; NULL: found out by reading it, when it is asked for
/// @param uncompressed_size  bytes of that tar, which parb_layer_uncompressed_size gives; -1: found out by reading it
/// @param options            none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_from_parts(
    media_type: *const c_char,
    digest: *const c_char,
    size: u64,
    diff_id: *const c_char,
    uncompressed_size: i64,
    blobs: *const parb_blobs,
    options: *const parb_options,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let media_type = MediaType::new(text(media_type, "media_type")?.to_owned());
            let digest = text(digest, "digest")?.parse()?;
            let diff_id = optional_text(diff_id, "diff_id")?.map(str::parse::<Digest>).transpose()?;
            let blobs = blobs.get("blobs")?.ready()?;
            options_of(options)?.only("parb_layer_from_parts", &[])?;
            let descriptor = Descriptor::new(media_type, digest, size);
            let plain = u64::try_from(uncompressed_size).ok(); // -1 is no size
            Ok(LayerHandle::new(Layer::from_parts(descriptor, diff_id, plain, &blobs)?))
        })
    })
}

/// A layer of these very bytes, which are copied, whatever they are. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_layer_fixed(
    data: *const u8,
    len: usize,
    media_type: *const c_char,
    options: *const parb_options,
    out: *mut *mut parb_layer,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let data = Bytes::copy_from_slice(slice(data, len, "data")?);
            let media_type = MediaType::new(text(media_type, "media_type")?.to_owned());
            options_of(options)?.only("parb_layer_fixed", &[])?;
            Ok(LayerHandle::new(Layer::fixed(data, media_type)?))
        })
    })
}

/// An image of no layers. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @param options  format
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_empty(options: *const parb_options, out: *mut *mut parb_image) -> *mut parb_error {
    call(|| put(out, || Ok(ImageHandle::new(Image::empty(format_of(options, "parb_image_empty")?)?))))
}

/// An index of nothing. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @param options  format
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_empty(options: *const parb_options, out: *mut *mut parb_index) -> *mut parb_error {
    call(|| put(out, || Ok(IndexHandle::new(Index::empty(format_of(options, "parb_index_empty")?)?))))
}

unsafe fn format_of(options: *const parb_options, call: &str) -> Result<Format> {
    let options = options_of(options)?;
    options.only(call, &["format"])?;
    Ok(options.format.unwrap_or(Format::Oci))
}

/// An image from its config, which stays byte for byte, and its layers; the manifest is made for them. Blocks while it
/// reads layers whose diff ids are not known.
///
/// Errors: PARB_MALFORMED: no image config, or its diff ids are not those of the layers; as for parb_layer_diff_id.
///
/// @param options  format
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_from_config(
    config: *const u8,
    len: usize,
    layers: *const *const parb_layer,
    count: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image_from_config(config, len, layers, count, options, ctx), ImageHandle::new))
}

/// parb_image_from_config that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_from_config_start(
    config: *const u8,
    len: usize,
    layers: *const *const parb_layer,
    count: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image_from_config(config, len, layers, count, options, ctx)))
}

unsafe fn image_from_config(
    config: *const u8,
    len: usize,
    layers: *const *const parb_layer,
    count: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let config = Bytes::copy_from_slice(slice(config, len, "config")?);
    if layers.is_null() && count > 0 {
        return Err(invalid("layers is NULL"));
    }
    let layers: Result<Vec<Layer>> = (0..count).map(|i| Ok((*layers.add(i)).get("layers")?.layer().clone())).collect();
    Ok(Image::from_config(config, &layers?, &options_of(options)?, &bounds(ctx)?))
}
