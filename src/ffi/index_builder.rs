//! Index builders: setters never fail; build reports the first mistake and moves no image.

use crate::ffi::boundary::{Draft, Opaque, Pointer, bounds, call, edit, free, get, new, optional, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::parb_image;
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::lists::parb_strings;
use crate::ffi::matcher::{matcher_of, parb_matcher};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{format_of, options_of, parb_options};
use crate::ffi::reference::parb_descriptor;
use crate::ffi::text::{optional_text, text};
use crate::{Index, IndexBuilder, Result, Task};
use std::ffi::c_char;
use std::ptr::null_mut;

/// Notes changes to an index, which are made in their order. One thread at a time. Yours to free.
pub struct parb_index_builder {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_index_builder {
    type Value = Draft<IndexBuilder>;
    const NAME: &'static str = "parb_index_builder";
    const TAG: u64 = u64::from_le_bytes(*b"parbxbld");
}

/// A builder without changes. NULL where `base` is neither NULL nor an index.
///
/// @param base  what is changed; NULL: an index from scratch
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_builder_new(base: *const parb_index) -> *mut parb_index_builder {
    get(null_mut(), || {
        let base = optional(base, "base")?;
        Ok(new(Draft::new(base.map_or_else(IndexBuilder::from_scratch, |b| IndexBuilder::new(b.index())))))
    })
}

/// Adds an image. Its entry says what its config says it runs on, what annotations its manifest has, and as artifact
/// type the manifest's, or else the config's media type.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_add_image(builder: *mut parb_index_builder, image: *const parb_image) {
    edit(builder, |b| {
        b.add_image(image.get("image")?.image());
        Ok(())
    })
}

/// Adds an index as one entry, with its annotations and artifact type.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_add_index(builder: *mut parb_index_builder, index: *const parb_index) {
    edit(builder, |b| {
        b.add_index(index.get("index")?.index());
        Ok(())
    })
}

/// Adds every entry of an index, each as it stands there.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_add_children(builder: *mut parb_index_builder, index: *const parb_index) {
    edit(builder, |b| {
        b.add_children(index.get("index")?.index());
        Ok(())
    })
}

/// What the entry added last runs on, whatever its config says.
///
/// @param platform  os/architecture[/variant][:os.version]; NULL: nothing is said
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_entry_platform(
    builder: *mut parb_index_builder,
    platform: *const c_char,
) {
    edit(builder, |b| {
        let platform = optional_text(platform, "platform")?.map(str::parse).transpose()?;
        b.set_entry_platform(platform.as_ref()).map(drop)
    })
}

/// Sets an annotation of the entry added last.
///
/// @param value  NULL: the annotation is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_entry_annotation(
    builder: *mut parb_index_builder,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_entry_annotation(text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Where else the entry added last can be had.
///
/// @param urls  NULL: nowhere
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_entry_urls(
    builder: *mut parb_index_builder,
    urls: *const parb_strings,
) {
    edit(builder, |b| {
        let urls = optional(urls, "urls")?.map(|u| u.to_vec());
        b.set_entry_urls(urls.unwrap_or_default()).map(drop)
    })
}

/// What kind of artifact the entry added last is the manifest of.
///
/// @param artifact_type  NULL or "": nothing is said
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_entry_artifact_type(
    builder: *mut parb_index_builder,
    artifact_type: *const c_char,
) {
    edit(builder, |b| {
        let artifact_type = optional_text(artifact_type, "artifact_type")?.unwrap_or_default();
        b.set_entry_artifact_type(artifact_type).map(drop)
    })
}

/// Takes away the entries that are meant.
///
/// @param matcher  NULL: all of them
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_remove(builder: *mut parb_index_builder, matcher: *const parb_matcher) {
    edit(builder, |b| {
        b.remove(&matcher_of(matcher)?);
        Ok(())
    })
}

/// Takes away all but the entries that are meant.
///
/// @param matcher  NULL: all of them
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_keep(builder: *mut parb_index_builder, matcher: *const parb_matcher) {
    edit(builder, |b| {
        b.keep(&matcher_of(matcher)?);
        Ok(())
    })
}

/// Sets an annotation of the entries that are meant.
///
/// @param matcher  NULL: all of them
/// @param value    NULL: the annotation is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_annotate(
    builder: *mut parb_index_builder,
    matcher: *const parb_matcher,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| {
        let which = matcher_of(matcher)?;
        b.annotate(&which, text(key, "key")?, optional_text(value, "value")?).map(drop)
    })
}

/// Puts the entries of nested indexes in the place of these indexes, however deep.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_flatten(builder: *mut parb_index_builder) {
    edit(builder, |b| {
        b.flatten();
        Ok(())
    })
}

/// Sets an annotation of the index.
///
/// @param value  NULL: the annotation is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_annotation(
    builder: *mut parb_index_builder,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_annotation(text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Sets the manifest that the index refers to (its subject).
///
/// @param subject  NULL: it refers to nothing
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_subject(
    builder: *mut parb_index_builder,
    subject: *const parb_descriptor,
) {
    edit(builder, |b| {
        b.set_subject(optional(subject, "subject")?.map(|d| d.descriptor()));
        Ok(())
    })
}

/// Says what kind of artifact the index is.
///
/// @param artifact_type  NULL or "": nothing is said
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_artifact_type(
    builder: *mut parb_index_builder,
    artifact_type: *const c_char,
) {
    edit(builder, |b| {
        b.set_artifact_type(optional_text(artifact_type, "artifact_type")?.unwrap_or_default());
        Ok(())
    })
}

/// Makes it an OCI index or a Docker manifest list. Its entries stay as they are; parb_index_convert changes them, too.
///
/// @param oci_or_docker  "oci" or "docker"
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_set_format(builder: *mut parb_index_builder, oci_or_docker: *const c_char) {
    edit(builder, |b| {
        b.set_format(format_of(oci_or_docker)?);
        Ok(())
    })
}

/// Makes the index; the builder can go on and build again. Without changes it is the base itself. Moves no image;
/// blocks on the network for the configs of added images, and for nested indexes where they are flattened.
///
/// Errors: the first mistake of the setters; those of parb_image_config and parb_index_child; PARB_INVALID_STATE: two
/// threads at once.
///
/// @param options  format, where there is no base
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_builder_build(
    builder: *const parb_index_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || build(builder, options, ctx), IndexHandle::new))
}

/// parb_index_builder_build that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_index_builder_build_start(
    builder: *const parb_index_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || build(builder, options, ctx)))
}

unsafe fn build(
    builder: *const parb_index_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let builder = builder.get("builder")?.ready()?;
    Ok(builder.build(&options_of(options)?, &bounds(ctx)?))
}

/// Frees a builder. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_index_builder_free(builder: *mut parb_index_builder) {
    free(builder)
}
