//! Options of a call. Who reads each: a call names and refuses one that it does not read.

use crate::error::invalid;
use crate::ffi::boundary::{Draft, Opaque, Pointer, edit, free, get, new, optional};
use crate::ffi::reference::parb_ref;
use crate::ffi::sink::parb_sink;
use crate::ffi::text::text;
use crate::{ArchiveFormat, CompressionOptions, Format, Options, Result};
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

/// "oci" or "docker".
pub(crate) unsafe fn format_of(oci_or_docker: *const c_char) -> Result<Format> {
    match text(oci_or_docker, "oci_or_docker")? {
        "oci" => Ok(Format::Oci),
        "docker" => Ok(Format::Docker),
        _ => Err(invalid("oci_or_docker is neither \"oci\" nor \"docker\"")),
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

/// Which platform's image is meant where a name stands for several. Read by parb_resolve, parb_pull, and what gives an
/// image of an archive, a layout or memory.
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

/// How many blobs are moved at once, at most. Read by what pushes; by what validates, examines or checks images, layouts
/// and caches; by what fills layouts, archives and memory; and, for layers that are made at once (1 without it), by
/// parb_image_recompress, parb_image_with_time and parb_image_canonical.
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
/// the others that make a layer, by parb_archive_image and parb_daemon_image.
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
/// "estargz" is gzip with a table of contents, so that single files can be read out of the layer; everything that
/// reads gzip reads it. What is eStargz already stays as it is. (To find that out, gzip is kept in a file without a
/// name in $TMPDIR.) An entry that eStargz has no words for is PARB_UNSUPPORTED: a sparse file, a name that is not
/// UTF-8, a type that no file system knows. Read by parb_layer_from_file and the others that make a layer.
///
/// @param name   "gzip", "zstd", "none" or "estargz"
/// @param level  0: the default (gzip and estargz 2, zstd 3); else gzip and estargz 1 to 9, zstd 1 to 19
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

/// Whose media types a new image or index carries. Read by the builders where there is no base ("oci" without it), by
/// parb_archive_image ("docker" without it, where the archive has no manifest), and by what makes images and indexes
/// of nothing, of parts or at random.
///
/// @param oci_or_docker  "oci" or "docker"
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_format(options: *mut parb_options, oci_or_docker: *const c_char) {
    edit(options, |o| {
        o.format = Some(format_of(oci_or_docker)?);
        Ok(())
    })
}

/// The form of a new archive. Read by parb_archive_write and parb_archive_write_fd ("docker" without it).
///
/// @param format  "docker", "oci", or "legacy": that of docker save before 1.10
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_archive_format(options: *mut parb_options, format: *const c_char) {
    edit(options, |o| {
        o.archive_format = Some(match text(format, "format")? {
            "docker" => ArchiveFormat::Docker,
            "oci" => ArchiveFormat::Oci,
            "legacy" => ArchiveFormat::Legacy,
            _ => return Err(invalid("format is none of \"docker\", \"oci\" and \"legacy\"")),
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

/// Take non-distributable ("foreign") layers along, which are left out otherwise. Read by what pushes, and by what fills
/// layouts, archives and memory.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_foreign_layers(options: *mut parb_options) {
    edit(options, |o| {
        o.foreign_layers = true;
        Ok(())
    })
}

/// Flush files and directories before the call is done, so that it survives a power cut. Read by parb_layout_create and
/// by what changes a layout.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_durable(options: *mut parb_options) {
    edit(options, |o| {
        o.durable = true;
        Ok(())
    })
}

/// Keep layers decompressed, too, so that they are decompressed once. Read by parb_cache_open.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_uncompressed(options: *mut parb_options) {
    edit(options, |o| {
        o.uncompressed = true;
        Ok(())
    })
}

/// Look only whether layers are there, and read none. Read by parb_image_examine, parb_index_examine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_fast(options: *mut parb_options) {
    edit(options, |o| {
        o.fast = true;
        Ok(())
    })
}

/// Compare the files in layers that differ. Read by parb_image_compare, parb_index_compare, parb_layer_compare.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_options_set_files(options: *mut parb_options) {
    edit(options, |o| {
        o.files = true;
        Ok(())
    })
}
