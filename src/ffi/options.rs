//! Options of a call. Who reads each: a call names and refuses one that it does not read.

use crate::error::invalid;
use crate::ffi::boundary::{Draft, Opaque, Pointer, edit, free, get, new, optional};
use crate::ffi::layer::parb_sink;
use crate::ffi::reference::parb_ref;
use crate::ffi::text::text;
use crate::{CompressionOptions, Format, Options, Result};
use std::ffi::c_char;
use std::ptr::null_mut;

/// What a call may be told beside its arguments. Setters never fail: the call that is given the options reports the
/// first mistake in them. Calls on any number of threads may use them while nobody changes them.
/// Yours to free.
pub struct parb_options {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_options {
    type Value = Draft<Options>;
    const NAME: &'static str = "parb_options";
    const TAG: u64 = u64::from_le_bytes(*b"parbopts");
}

/// The options of a call; NULL has none set.
pub(crate) unsafe fn options_of(options: *const parb_options) -> Result<Options> {
    match optional(options, "options")? {
        None => Ok(Options::new()),
        Some(draft) => draft.ready(),
    }
}

/// Options with nothing set.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_options_new() -> *mut parb_options {
    get(null_mut(), || Ok(new(Draft::new(Options::new()))))
}

/// Frees options. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_free(options: *mut parb_options) {
    free(options)
}

/// Which platform's image is meant where a reference names an index. Read by parb_resolve and parb_pull.
///
/// @param platform  os/architecture[/variant][:os.version], such as "linux/arm64/v8"
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_platform(options: *mut parb_options, platform: *const c_char) {
    edit(options, |o| {
        o.platform = Some(text(platform, "platform")?.parse()?);
        Ok(())
    })
}

/// How many blobs are moved at once, at most. Read by parb_push, parb_push_index, parb_push_layer,
/// parb_image_validate.
///
/// @param jobs  1 or more; large blobs are never more than 4 at once
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_jobs(options: *mut parb_options, jobs: u32) {
    edit(options, |o| {
        if jobs == 0 {
            return Err(invalid("jobs is 0"));
        }
        o.jobs = Some(jobs);
        Ok(())
    })
}

/// Where a new layer's bytes go; without it, to a file without a name in $TMPDIR. Read by parb_layer_from_file and
/// the others that make a layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_sink(options: *mut parb_options, sink: *const parb_sink) {
    edit(options, |o| {
        o.sink = Some(sink.get("sink")?.clone());
        Ok(())
    })
}

/// How a new layer is compressed. Without it a plain tar becomes gzip, and a tar that is gzip or zstd stays as it is.
/// Read by parb_layer_from_file and the others that make a layer.
///
/// @param name   "gzip", "zstd" or "none"
/// @param level  0: the default (gzip 2, zstd 3); else gzip 1 to 9, zstd 1 to 19
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_compression(options: *mut parb_options, name: *const c_char, level: i32) {
    edit(options, |o| {
        let kind = Some(text(name, "name")?.parse()?);
        let compression = CompressionOptions { kind, level: Some(level).filter(|l| *l != 0) };
        compression.check()?;
        o.compression = Some(compression);
        Ok(())
    })
}

/// Whose media types a new image carries. Read by parb_image_builder_build where there is no base.
///
/// @param oci_or_docker  "oci" (the default) or "docker"
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_format(options: *mut parb_options, oci_or_docker: *const c_char) {
    edit(options, |o| {
        o.format = Some(match text(oci_or_docker, "oci_or_docker")? {
            "oci" => Format::Oci,
            "docker" => Format::Docker,
            _ => return Err(invalid("oci_or_docker is neither \"oci\" nor \"docker\"")),
        });
        Ok(())
    })
}

/// A repository of the same registry that may have the blobs already, so that they need not be sent. (Blobs of an
/// image that was pulled from that registry are found without it.) Read by parb_push, parb_push_index,
/// parb_push_layer.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_mount_from(options: *mut parb_options, repository: *const parb_ref) {
    edit(options, |o| {
        o.mount_from = Some(repository.get("repository")?.reference().repository().clone());
        Ok(())
    })
}

/// Push non-distributable ("foreign") layers too, which are left out otherwise. Read by parb_push, parb_push_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_foreign_layers(options: *mut parb_options) {
    edit(options, |o| {
        o.foreign_layers = true;
        Ok(())
    })
}
