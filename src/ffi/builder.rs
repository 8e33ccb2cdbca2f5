//! Image builders: setters never fail; build reports the first mistake and moves no layer.

use crate::ffi::boundary::{Draft, Opaque, Pointer, bounds, call, edit, free, get, new, optional, put_waited, slice};
use crate::ffi::config::parb_config;
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::layer::parb_layer;
use crate::ffi::lists::parb_strings;
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{format_of, options_of, parb_options};
use crate::ffi::reference::parb_descriptor;
use crate::ffi::text::{optional_text, text};
use crate::oci::Healthcheck;
use crate::{Image, ImageBuilder, Result, Task};
use bytes::Bytes;
use std::ffi::c_char;
use std::ptr::null_mut;

/// Notes changes to an image. Calls on any number of threads may use it while nobody changes it.
/// Yours to free.
pub struct parb_image_builder {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_image_builder {
    type Value = Draft<ImageBuilder>;
    const NAME: &'static str = "parb_image_builder";
    const TAG: u64 = u64::from_le_bytes(*b"parbibld");
}

/// A builder without changes. NULL where `base` is neither NULL nor an image.
///
/// @param base  what is changed; NULL: an image from scratch
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_builder_new(base: *const parb_image) -> *mut parb_image_builder {
    get(null_mut(), || {
        let base = optional(base, "base")?;
        Ok(new(Draft::new(base.map_or_else(ImageBuilder::from_scratch, |b| ImageBuilder::new(b.image())))))
    })
}

/// Puts a layer on top, with one history entry of time zero. Its media type follows the base's family.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_add_layer(builder: *mut parb_image_builder, layer: *const parb_layer) {
    edit(builder, |b| {
        b.add_layer(layer.get("layer")?.layer());
        Ok(())
    })
}

/// Adds a line of history for a step that made no layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_add_empty_layer(builder: *mut parb_image_builder) {
    edit(builder, |b| {
        b.add_empty_layer();
        Ok(())
    })
}

/// Takes a layer away, counted from the base, as the layers are by now. Its line of history and its diff id go with
/// it. There must be such a layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_remove_layer(builder: *mut parb_image_builder, i: usize) {
    edit(builder, |b| b.remove_layer(i).map(drop))
}

/// Puts another layer in the place of one; its line of history stays unless parb_image_builder_set_history follows.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_replace_layer(
    builder: *mut parb_image_builder,
    i: usize,
    layer: *const parb_layer,
) {
    edit(builder, |b| b.replace_layer(i, layer.get("layer")?.layer()).map(drop))
}

/// What the history says of the layer (or step without one) added or replaced last. Each text may be NULL: nothing is
/// said.
///
/// @param rfc3339  when; NULL: time zero
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_history(
    builder: *mut parb_image_builder,
    created_by: *const c_char,
    author: *const c_char,
    comment: *const c_char,
    rfc3339: *const c_char,
) {
    edit(builder, |b| {
        let created_by = optional_text(created_by, "created_by")?.unwrap_or_default();
        let author = optional_text(author, "author")?.unwrap_or_default();
        let comment = optional_text(comment, "comment")?.unwrap_or_default();
        b.set_history(created_by, author, comment, optional_text(rfc3339, "rfc3339")?).map(drop)
    })
}

/// The media type of the layer added or replaced last, in place of the one that its content and the image's family
/// give.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_layer_media_type(
    builder: *mut parb_image_builder,
    media_type: *const c_char,
) {
    edit(builder, |b| b.set_layer_media_type(text(media_type, "media_type")?.to_owned()).map(drop))
}

/// Sets an annotation of the descriptor of the layer added or replaced last.
///
/// @param value  NULL: the annotation is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_layer_annotation(
    builder: *mut parb_image_builder,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_layer_annotation(text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Where else the layer added or replaced last can be had. A layer that can be had elsewhere is pushed only with
/// parb_options_set_foreign_layers.
///
/// @param urls  NULL: nowhere
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_layer_urls(
    builder: *mut parb_image_builder,
    urls: *const parb_strings,
) {
    edit(builder, |b| {
        let urls = optional(urls, "urls")?.map(|u| u.to_vec());
        b.set_layer_urls(urls.unwrap_or_default()).map(drop)
    })
}

/// Sets an annotation of the descriptor of any layer, counted from the base.
///
/// @param value  NULL: the annotation is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_annotate_layer(
    builder: *mut parb_image_builder,
    i: usize,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.annotate_layer(i, text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Sets an environment variable: where it stands, or at the end.
///
/// @param value  NULL: the variable is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_env(
    builder: *mut parb_image_builder,
    name: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_env(text(name, "name")?, optional_text(value, "value")?).map(drop))
}

/// Takes the whole environment away.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_clear_env(builder: *mut parb_image_builder) {
    edit(builder, |b| {
        b.clear_env();
        Ok(())
    })
}

/// Sets the entry point; the command stays as it is.
///
/// @param argv  NULL: it is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_entrypoint(
    builder: *mut parb_image_builder,
    argv: *const parb_strings,
) {
    edit(builder, |b| {
        b.set_entrypoint(optional(argv, "argv")?.map(|a| a.to_vec()));
        Ok(())
    })
}

/// Sets the command.
///
/// @param argv  NULL: it is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_cmd(builder: *mut parb_image_builder, argv: *const parb_strings) {
    edit(builder, |b| {
        b.set_cmd(optional(argv, "argv")?.map(|a| a.to_vec()));
        Ok(())
    })
}

/// Sets the user.
///
/// @param user  NULL or "": it is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_user(builder: *mut parb_image_builder, user: *const c_char) {
    edit(builder, |b| {
        b.set_user(optional_text(user, "user")?.unwrap_or_default());
        Ok(())
    })
}

/// Sets the working directory.
///
/// @param path  NULL or "": it is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_working_dir(builder: *mut parb_image_builder, path: *const c_char) {
    edit(builder, |b| {
        b.set_working_dir(optional_text(path, "path")?.unwrap_or_default());
        Ok(())
    })
}

/// Sets a label of the config.
///
/// @param value  NULL: the label is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_label(
    builder: *mut parb_image_builder,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_label(text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Takes all labels away.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_clear_labels(builder: *mut parb_image_builder) {
    edit(builder, |b| {
        b.clear_labels();
        Ok(())
    })
}

/// Sets an annotation of the manifest.
///
/// @param value  NULL: the annotation is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_annotation(
    builder: *mut parb_image_builder,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_annotation(text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Takes all annotations of the manifest away.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_clear_annotations(builder: *mut parb_image_builder) {
    edit(builder, |b| {
        b.clear_annotations();
        Ok(())
    })
}

/// Sets an annotation of the config's descriptor.
///
/// @param value  NULL: the annotation is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_config_annotation(
    builder: *mut parb_image_builder,
    key: *const c_char,
    value: *const c_char,
) {
    edit(builder, |b| b.set_config_annotation(text(key, "key")?, optional_text(value, "value")?).map(drop))
}

/// Adds an exposed port.
///
/// @param port  such as "80/tcp" or "80"; NULL: all there are so far are dropped
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_add_exposed_port(builder: *mut parb_image_builder, port: *const c_char) {
    edit(builder, |b| b.add_exposed_port(optional_text(port, "port")?).map(drop))
}

/// Adds a volume.
///
/// @param path  NULL: all there are so far are dropped
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_add_volume(builder: *mut parb_image_builder, path: *const c_char) {
    edit(builder, |b| b.add_volume(optional_text(path, "path")?).map(drop))
}

/// Sets the stop signal.
///
/// @param signal  such as "SIGTERM"; NULL or "": it is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_stop_signal(builder: *mut parb_image_builder, signal: *const c_char) {
    edit(builder, |b| {
        b.set_stop_signal(optional_text(signal, "signal")?.unwrap_or_default());
        Ok(())
    })
}

/// Sets how to see whether a container is well. Members of the old one that this library does not know stay.
///
/// @param test            "NONE"; "CMD" and arguments; or "CMD-SHELL" and a command. NULL: no such thing any more
/// @param interval_ns     nanoseconds between two checks; 0 here and below: unsaid
/// @param timeout_ns      nanoseconds for one check
/// @param start_period_ns nanoseconds before failures count
/// @param retries         how many failures make it unwell
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_healthcheck(
    builder: *mut parb_image_builder,
    test: *const parb_strings,
    interval_ns: i64,
    timeout_ns: i64,
    start_period_ns: i64,
    retries: i64,
) {
    edit(builder, |b| {
        let Some(test) = optional(test, "test")? else {
            b.set_healthcheck(None);
            return Ok(());
        };
        let (test, extra) = (test.to_vec(), Default::default());
        let (interval, timeout, start_period) = (interval_ns, timeout_ns, start_period_ns);
        b.set_healthcheck(Some(Healthcheck { test, interval, timeout, start_period, retries, extra }));
        Ok(())
    })
}

/// Sets the shell of build steps.
///
/// @param argv  NULL: it is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_shell(builder: *mut parb_image_builder, argv: *const parb_strings) {
    edit(builder, |b| {
        b.set_shell(optional(argv, "argv")?.map(|a| a.to_vec()));
        Ok(())
    })
}

/// Sets the build steps for images on top of this one.
///
/// @param steps  NULL: it is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_on_build(builder: *mut parb_image_builder, steps: *const parb_strings) {
    edit(builder, |b| {
        b.set_on_build(optional(steps, "steps")?.map(|a| a.to_vec()));
        Ok(())
    })
}

/// Sets what the image runs on.
///
/// @param platform  os/architecture[/variant][:os.version]
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_platform(builder: *mut parb_image_builder, platform: *const c_char) {
    edit(builder, |b| {
        b.set_platform(&text(platform, "platform")?.parse()?);
        Ok(())
    })
}

/// Sets when the image was made. Without it the base's time stays: never "now".
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_created(builder: *mut parb_image_builder, rfc3339: *const c_char) {
    edit(builder, |b| b.set_created(text(rfc3339, "rfc3339")?).map(drop))
}

/// Sets the author.
///
/// @param author  NULL or "": it is removed
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_author(builder: *mut parb_image_builder, author: *const c_char) {
    edit(builder, |b| {
        b.set_author(optional_text(author, "author")?.unwrap_or_default());
        Ok(())
    })
}

/// Replaces the whole config by this one, byte for byte unless more changes follow.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_config(builder: *mut parb_image_builder, config: *const parb_config) {
    edit(builder, |b| {
        b.set_config(config.get("config")?.config());
        Ok(())
    })
}

/// Replaces the config by any bytes of any type, as artifacts have it. Of an image config's type, they must be one.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_raw_config(
    builder: *mut parb_image_builder,
    data: *const u8,
    len: usize,
    media_type: *const c_char,
) {
    edit(builder, |b| {
        let raw = Bytes::copy_from_slice(slice(data, len, "data")?);
        b.set_raw_config(raw, text(media_type, "media_type")?.to_owned()).map(drop)
    })
}

/// Says what the config is; its bytes stay.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_config_media_type(
    builder: *mut parb_image_builder,
    media_type: *const c_char,
) {
    edit(builder, |b| b.set_config_media_type(text(media_type, "media_type")?.to_owned()).map(drop))
}

/// Says what the manifest is, and nothing else; it must be the type of an image manifest.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_media_type(
    builder: *mut parb_image_builder,
    media_type: *const c_char,
) {
    edit(builder, |b| b.set_media_type(text(media_type, "media_type")?.to_owned()).map(drop))
}

/// Has manifest, config and every layer carry Docker's media types, or OCI's; parb_image_convert says what has none.
///
/// @param oci_or_docker  "oci" or "docker"
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_format(builder: *mut parb_image_builder, oci_or_docker: *const c_char) {
    edit(builder, |b| {
        b.set_format(format_of(oci_or_docker)?);
        Ok(())
    })
}

/// Says what kind of artifact it is.
///
/// @param artifact_type  NULL or "": it is removed
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_artifact_type(
    builder: *mut parb_image_builder,
    artifact_type: *const c_char,
) {
    edit(builder, |b| {
        b.set_artifact_type(optional_text(artifact_type, "artifact_type")?.unwrap_or_default());
        Ok(())
    })
}

/// Sets the manifest that the new one refers to (its subject). Without it the base's subject stays.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_set_subject(
    builder: *mut parb_image_builder,
    subject: *const parb_descriptor,
) {
    edit(builder, |b| {
        b.set_subject(subject.get("subject")?.descriptor());
        Ok(())
    })
}

/// Refers to nothing any more.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_clear_subject(builder: *mut parb_image_builder) {
    edit(builder, |b| {
        b.clear_subject();
        Ok(())
    })
}

/// Makes the image; the builder can go on and build again. Without changes it is the base itself. Moves no layer;
/// blocks on the network where the base's config is not known yet.
///
/// Errors: the first mistake of the setters; those of parb_image_config; PARB_INVALID_ARGUMENT: the changes don't fit
/// each other; PARB_UNSUPPORTED: the format has no word for something; PARB_INVALID_STATE: two threads at once.
///
/// @param options  format, where there is no base
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_builder_build(
    builder: *const parb_image_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || build(builder, options, ctx), ImageHandle::new))
}

/// parb_image_builder_build that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_image_builder_build_start(
    builder: *const parb_image_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || build(builder, options, ctx)))
}

unsafe fn build(
    builder: *const parb_image_builder,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let builder = builder.get("builder")?.ready()?;
    Ok(builder.build(&options_of(options)?, &bounds(ctx)?))
}

/// Frees a builder. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_builder_free(builder: *mut parb_image_builder) {
    free(builder)
}
