//! The registry server.

use crate::error::invalid;
use crate::ffi::boundary::{Draft, Opaque, Pointer, bounds, call, edit, free, get, new, optional, put};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::lists::{Strings, parb_strings};
use crate::ffi::text::{c_string, lend, path, text};
use crate::registry::{Server, ServerOptions};
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::time::Duration;

/// How a registry server is to be. Calls on any number of threads may use it while nobody changes it.
/// Yours to free.
pub struct parb_server_options {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_server_options {
    type Value = Draft<ServerOptions>;
    const NAME: &'static str = "parb_server_options";
    const TAG: u64 = u64::from_le_bytes(*b"parbsopt");
    const THREADED: bool = false;
}

/// A registry that serves in this process until it is stopped or freed. Shared between threads. Yours to free.
pub struct parb_server {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_server {
    type Value = ServerHandle;
    const NAME: &'static str = "parb_server";
    const TAG: u64 = u64::from_le_bytes(*b"parbserv");
}

pub(crate) struct ServerHandle {
    server: Server,
    url: CString,
    ca_pem: Option<CString>,
}

/// Options of a registry in memory on 127.0.0.1, a free port, for everybody.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_server_options_new() -> *mut parb_server_options {
    get(null_mut(), || Ok(new(Draft::new(ServerOptions::new()))))
}

/// Frees options. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_free(options: *mut parb_server_options) {
    free(options)
}

/// Where to listen.
///
/// @param address  IP:PORT; port 0: a free one
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_set_address(options: *mut parb_server_options, address: *const c_char) {
    edit(options, |o| {
        o.address(text(address, "address")?);
        Ok(())
    })
}

/// Keeps everything in a directory, which is made if need be, instead of in memory. What was acknowledged is there
/// after a crash.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_set_storage_dir(options: *mut parb_server_options, path: *const c_char) {
    edit(options, |o| {
        o.storage_dir(self::path(path, "path")?);
        Ok(())
    })
}

/// Lets a user in, by basic authentication, and nobody without.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_add_user(
    options: *mut parb_server_options,
    user: *const c_char,
    password: *const c_char,
) {
    edit(options, |o| {
        o.add_user(text(user, "user")?, text(password, "password")?);
        Ok(())
    })
}

/// Has the users show tokens, which the server itself gives them for their passwords.
///
/// @param expires_in_s  how long a token is good for, in seconds: 1 or more
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_set_token_auth(options: *mut parb_server_options, expires_in_s: i64) {
    edit(options, |o| {
        let seconds = u64::try_from(expires_in_s).ok().filter(|s| *s > 0);
        o.token_auth(Duration::from_secs(seconds.ok_or_else(|| invalid("expires_in_s is not more than 0"))?));
        Ok(())
    })
}

/// Lets everybody read; only users write.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_set_anonymous_read(options: *mut parb_server_options) {
    edit(options, |o| {
        o.anonymous_read(true);
        Ok(())
    })
}

/// Serves by TLS with this certificate and key, both PEM files.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_set_tls_files(
    options: *mut parb_server_options,
    cert_path: *const c_char,
    key_path: *const c_char,
) {
    edit(options, |o| {
        o.tls_files(path(cert_path, "cert_path")?, path(key_path, "key_path")?);
        Ok(())
    })
}

/// Serves by TLS with a certificate for this name (and localhost) from an authority made for the occasion, which
/// parb_server_ca_pem gives. For tests.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_set_tls_domain(options: *mut parb_server_options, domain: *const c_char) {
    edit(options, |o| {
        o.tls_domain(text(domain, "domain")?);
        Ok(())
    })
}

/// Has the server do something wrong, for tests of clients.
///
/// @param method  such as "GET"; "*": any
/// @param path    of the URL; '*' stands for any text
/// @param nth     which of the requests that fit, from 1; 0: all of them
/// @param fault   "reset@50%", "stall", "truncate", "wrong-digest", "drop-reply", "delay=MS", "401 expired",
///                "429 retry-after=1", "500", "503", "status=NNN"
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_options_add_fault(
    options: *mut parb_server_options,
    method: *const c_char,
    path: *const c_char,
    nth: u32,
    fault: *const c_char,
) {
    edit(options, |o| o.add_fault(text(method, "method")?, text(path, "path")?, nth, text(fault, "fault")?).map(drop))
}

/// Starts a registry; blocks until it serves.
///
/// Errors: the first mistake in the options; PARB_IO: the address or directory can't be used.
///
/// @param options  NULL: the defaults
/// @param ctx      bounds the start only
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_serve(
    options: *const parb_server_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_server,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            bounds(ctx)?.check()?;
            let options = optional(options, "options")?.map_or_else(|| Ok(ServerOptions::new()), Draft::ready)?;
            let server = Server::start(&options)?;
            let (url, ca_pem) = (c_string(server.url()), server.ca_pem().map(c_string));
            Ok(ServerHandle { server, url, ca_pem })
        })
    })
}

/// Where the server is, such as "http://127.0.0.1:5000". Lives as long as the server.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_url(server: *const parb_server) -> *const c_char {
    get(null(), || Ok(server.get("server")?.url.as_ptr()))
}

/// The certificate of the server's own authority, in PEM; NULL where it has none. Lives as long as the server.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_ca_pem(server: *const parb_server) -> *const c_char {
    get(null(), || Ok(lend(server.get("server")?.ca_pem.as_ref())))
}

/// The requests so far, oldest first, each a JSON object: "n", "method", "path", "query", "status", "sent", "received",
/// "user_agent", "ms", and "fault" where one fired. Only so many of the latest are kept. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_server_requests(
    server: *const parb_server,
    out: *mut *mut parb_strings,
) -> *mut parb_error {
    call(|| put(out, || Ok(Strings::new(server.get("server")?.server.requests()))))
}

/// Stops taking requests and blocks until those that run are done, or `ctx` ends. The handle is still to be freed.
///
/// Errors: PARB_TIMED_OUT, PARB_CANCELLED: `ctx` ended first. PARB_INVALID_STATE: on a thread of the library.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_server_stop(server: *const parb_server, ctx: *const parb_ctx) -> *mut parb_error {
    call(|| {
        let (server, ctx) = (&server.get("server")?.server, bounds(ctx)?);
        crate::engine::may_wait()?;
        server.stop(&ctx).wait()
    })
}

/// Stops a server without waiting, and frees it. NULL is fine. What lay in memory is gone.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_server_free(server: *mut parb_server) {
    free(server)
}
