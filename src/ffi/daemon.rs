//! Docker-compatible daemons.

use crate::ffi::boundary::{Opaque, Pointer, bounds, call, free, get, new, optional, put_waited};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::parb_index;
use crate::ffi::lists::{Strings, parb_buf, parb_strings};
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reference::parb_ref;
use crate::ffi::text::{c_string, optional_text, path, text};
use crate::{Context, Daemon, Image, Options, Reference, Result, Task};
use bytes::Bytes;
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

/// A Docker-compatible daemon (dockerd, podman's service) that answered once. It holds no connection: each call makes
/// its own. Immutable, shared between threads. Yours to free.
pub struct parb_daemon {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_daemon {
    type Value = DaemonHandle;
    const NAME: &'static str = "parb_daemon";
    const TAG: u64 = u64::from_le_bytes(*b"parbdaem");
}

pub(crate) struct DaemonHandle {
    daemon: Daemon,
    host: CString,
    api_version: CString,
}

impl DaemonHandle {
    pub(crate) fn new(daemon: Daemon) -> DaemonHandle {
        DaemonHandle { host: c_string(daemon.host()), api_version: c_string(&daemon.api_version()), daemon }
    }
}

/// What calls on a daemon begin with.
unsafe fn asked<'a>(
    daemon: *const parb_daemon,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<(&'a Daemon, Options, Context)> {
    Ok((&daemon.get("daemon")?.daemon, options_of(options)?, bounds(ctx)?))
}

unsafe fn optional_reference<'a>(reference: *const parb_ref) -> Result<Option<&'a Reference>> {
    Ok(optional(reference, "reference")?.map(|r| r.reference()))
}

/// Asks a daemon which API it speaks. `host` is unix://PATH, tcp://HOST[:PORT], http://... or https://...; NULL: what
/// DOCKER_HOST names, else unix:///var/run/docker.sock. DOCKER_API_VERSION goes before what the daemon would choose.
/// With DOCKER_TLS_VERIFY or DOCKER_CERT_PATH, tcp is TLS and always verified: by that directory's ca.pem (~/.docker
/// without one), or the system's authorities if there is none; cert.pem and key.pem there show who we are. The
/// environment and the files are read on the calling thread. Blocks until the daemon answers.
///
/// Errors: PARB_UNAVAILABLE: nobody listens (the subject is the address); PARB_DENIED: the socket is not ours to use;
/// PARB_TLS; PARB_INVALID_ARGUMENT, PARB_UNSUPPORTED: the address; PARB_UNSUPPORTED: its API is too old;
/// PARB_PROTOCOL: something else answers; PARB_TIMED_OUT.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_connect(
    host: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_daemon,
) -> *mut parb_error {
    call(|| put_waited(out, || connect(host, options, ctx), DaemonHandle::new))
}

/// parb_daemon_connect that returns at once; the daemon comes from parb_op_take_daemon. `host` may be NULL there too.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_connect_start(
    host: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || connect(host, options, ctx)))
}

unsafe fn connect(host: *const c_char, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<Daemon>> {
    Ok(Daemon::connect(optional_text(host, "host")?, &options_of(options)?, &bounds(ctx)?))
}

/// Another handle for the same daemon; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_clone(daemon: *const parb_daemon) -> *mut parb_daemon {
    get(null_mut(), || Ok(new(DaemonHandle::new(daemon.get("daemon")?.daemon.clone()))))
}

/// Frees a daemon's handle. NULL is fine; images that came from it stay good.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_daemon_free(daemon: *mut parb_daemon) {
    free(daemon)
}

/// The address that the daemon was reached at. Lives as long as the handle.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_daemon_host(daemon: *const parb_daemon) -> *const c_char {
    get(null(), || Ok(daemon.get("daemon")?.host.as_ptr()))
}

/// The API version that is spoken with it, such as "1.41". Lives as long as the handle.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_daemon_api_version(daemon: *const parb_daemon) -> *const c_char {
    get(null(), || Ok(daemon.get("daemon")?.api_version.as_ptr()))
}

/// Whether the daemon answers still. Blocks until it does.
///
/// Errors: as for parb_daemon_connect.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_ping(
    daemon: *const parb_daemon,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| ping(daemon, options, ctx)?.wait())
}

/// parb_daemon_ping that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_ping_start(
    daemon: *const parb_daemon,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || ping(daemon, options, ctx)))
}

unsafe fn ping(daemon: *const parb_daemon, options: *const parb_options, ctx: *const parb_ctx) -> Result<Task<()>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.ping(&options, &ctx))
}

/// What the daemon tells of itself, as JSON in its own words (GET /version). Blocks on the daemon.
///
/// Errors: as for parb_daemon_connect; PARB_LIMIT_EXCEEDED: an answer over 8 MiB.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_version(
    daemon: *const parb_daemon,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_buf,
) -> *mut parb_error {
    call(|| put_waited(out, || version(daemon, options, ctx), |bytes| bytes))
}

/// parb_daemon_version that returns at once; the text comes from parb_op_take_buf.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_version_start(
    daemon: *const parb_daemon,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || version(daemon, options, ctx)))
}

unsafe fn version(
    daemon: *const parb_daemon,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Bytes>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.version_json(&options, &ctx))
}

/// The images that the daemon has, as JSON in its own words (GET /images/json): an array of objects with Id, RepoTags,
/// Created, Size and more. Blocks on the daemon.
///
/// Errors: as for parb_daemon_connect; PARB_LIMIT_EXCEEDED: an answer over 8 MiB.
///
/// @param reference  a pattern that names have to match, such as "app" or "app:*"; NULL: all images
/// @param options    none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_list(
    daemon: *const parb_daemon,
    reference: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_buf,
) -> *mut parb_error {
    call(|| put_waited(out, || list(daemon, reference, options, ctx), |bytes| bytes))
}

/// parb_daemon_list that returns at once; the text comes from parb_op_take_buf. Without a reference: NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_list_start(
    daemon: *const parb_daemon,
    reference: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || list(daemon, reference, options, ctx)))
}

unsafe fn list(
    daemon: *const parb_daemon,
    reference: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Bytes>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.list_json(optional_text(reference, "reference")?, &options, &ctx))
}

/// What the daemon knows of one image, as JSON in its own words (GET /images/NAME/json). Its Id is the digest of the
/// image's config, or, where the daemon keeps manifests, of the manifest. Blocks on the daemon.
///
/// Errors: PARB_NOT_FOUND, with the name as subject; else as for parb_daemon_list.
///
/// @param name     a name, with or without a tag, or an id
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_inspect(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_buf,
) -> *mut parb_error {
    call(|| put_waited(out, || inspect(daemon, name, options, ctx), |bytes| bytes))
}

/// parb_daemon_inspect that returns at once; the text comes from parb_op_take_buf.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_inspect_start(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || inspect(daemon, name, options, ctx)))
}

unsafe fn inspect(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Bytes>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.inspect_json(text(name, "name")?, &options, &ctx))
}

/// How an image came about, its last step first, as JSON in the daemon's own words (GET /images/NAME/history). Blocks
/// on the daemon.
///
/// Errors: PARB_NOT_FOUND, with the name as subject; else as for parb_daemon_list.
///
/// @param name     a name, with or without a tag, or an id
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_history(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_buf,
) -> *mut parb_error {
    call(|| put_waited(out, || history(daemon, name, options, ctx), |bytes| bytes))
}

/// parb_daemon_history that returns at once; the text comes from parb_op_take_buf.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_history_start(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || history(daemon, name, options, ctx)))
}

unsafe fn history(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Bytes>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.history_json(text(name, "name")?, &options, &ctx))
}

/// An image of the daemon. All of it is read now, into a file without a name in $TMPDIR that is gone with the last
/// value that reads it. The config is the daemon's, byte for byte, and checked against the image's id; the layers are
/// plain tars, and the manifest over them is made here: daemons keep none. With a sink or a compression in the options
/// the layers are compressed on the way. Blocks while the daemon sends it.
///
/// Errors: PARB_NOT_FOUND, with the name as subject; PARB_UNAVAILABLE with the daemon's words; PARB_DIGEST_MISMATCH:
/// it sent another image; PARB_MALFORMED: it sent none; PARB_IO: the disk.
///
/// @param name     a name, with or without a tag, or an id
/// @param options  format: whose media types the manifest carries ("docker" without it); sink, compression
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_image(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || image(daemon, name, options, ctx), ImageHandle::new))
}

/// parb_daemon_image that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_image_start(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || image(daemon, name, options, ctx)))
}

unsafe fn image(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.image(text(name, "name")?, &options, &ctx))
}

/// Gives the daemon an image. Layers go from where they lie to the daemon, checked on their way; no file is made (but
/// for layers of zstd, which become plain for daemons before Docker 23). Where the daemon has an image of this config
/// already, it only gets the name. The result is what the daemon said, such as "Loaded image: app:1"; an empty list
/// where it had the image. Blocks until the daemon has stored it.
///
/// Errors: those of reading the image; PARB_INVALID_ARGUMENT: a reference without a tag; PARB_UNAVAILABLE with the
/// daemon's words: it could not store it, even if it answered 200.
///
/// @param reference  the name to give it, taken from an image that has it; NULL: none
/// @param options    none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_load(
    daemon: *const parb_daemon,
    image: *const parb_image,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| put_waited(out, || load(daemon, image, reference, options, ctx), Strings::new))
}

/// parb_daemon_load that returns at once; the list comes from parb_op_take_strings. Without a reference: NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_load_start(
    daemon: *const parb_daemon,
    image: *const parb_image,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || load(daemon, image, reference, options, ctx)))
}

unsafe fn load(
    daemon: *const parb_daemon,
    image: *const parb_image,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Vec<String>>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.load(image.get("image")?.image(), optional_reference(reference)?, &options, &ctx))
}

/// parb_daemon_load for the image of an index that is meant for the option platform (linux/amd64 without it): daemons
/// take no indexes. Blocks until the daemon has stored it.
///
/// Errors: PARB_NOT_FOUND: the index has no such platform; else as for parb_daemon_load.
///
/// @param reference  the name to give it; NULL: none
/// @param options    platform
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_load_index(
    daemon: *const parb_daemon,
    index: *const parb_index,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| put_waited(out, || load_index(daemon, index, reference, options, ctx), Strings::new))
}

/// parb_daemon_load_index that returns at once; the list comes from parb_op_take_strings. Without a reference: NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_load_index_start(
    daemon: *const parb_daemon,
    index: *const parb_index,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || load_index(daemon, index, reference, options, ctx)))
}

unsafe fn load_index(
    daemon: *const parb_daemon,
    index: *const parb_index,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Vec<String>>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.load_index(index.get("index")?.index(), optional_reference(reference)?, &options, &ctx))
}

/// Gives the daemon an archive as it is, of any kind that the daemon reads; the names in it become names of the
/// daemon's images, so its maker is trusted with them. The result is what the daemon said. Blocks until it has stored
/// it.
///
/// Errors: PARB_NOT_FOUND, PARB_IO: the file; PARB_UNAVAILABLE with the daemon's words: it could not store it.
///
/// @param path     a regular file
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_load_archive(
    daemon: *const parb_daemon,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| put_waited(out, || load_archive(daemon, path, options, ctx), Strings::new))
}

/// parb_daemon_load_archive that returns at once; the list comes from parb_op_take_strings.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_load_archive_start(
    daemon: *const parb_daemon,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || load_archive(daemon, path, options, ctx)))
}

unsafe fn load_archive(
    daemon: *const parb_daemon,
    path: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Vec<String>>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.load_archive(&self::path(path, "path")?, &options, &ctx))
}

/// Gives an image one more name; an image that had the name loses it. Blocks on the daemon.
///
/// Errors: PARB_NOT_FOUND, with the name as subject; PARB_INVALID_ARGUMENT: a reference without a tag.
///
/// @param name       what the image is called now: a name or an id
/// @param reference  the name it gets
/// @param options    none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_tag(
    daemon: *const parb_daemon,
    name: *const c_char,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| tag(daemon, name, reference, options, ctx)?.wait())
}

/// parb_daemon_tag that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_tag_start(
    daemon: *const parb_daemon,
    name: *const c_char,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || tag(daemon, name, reference, options, ctx)))
}

unsafe fn tag(
    daemon: *const parb_daemon,
    name: *const c_char,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.tag(text(name, "name")?, reference.get("reference")?.reference(), &options, &ctx))
}

/// Takes a name away, and with an image's last name the image. By id, an image with several names is not removed.
/// Blocks on the daemon.
///
/// Errors: PARB_NOT_FOUND, with the name as subject; PARB_INVALID_STATE: a container or another name uses it.
///
/// @param name     a name, with or without a tag, or an id
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_remove(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| remove(daemon, name, options, ctx)?.wait())
}

/// parb_daemon_remove that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_daemon_remove_start(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || remove(daemon, name, options, ctx)))
}

unsafe fn remove(
    daemon: *const parb_daemon,
    name: *const c_char,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (daemon, options, ctx) = asked(daemon, options, ctx)?;
    Ok(daemon.remove(text(name, "name")?, &options, &ctx))
}
