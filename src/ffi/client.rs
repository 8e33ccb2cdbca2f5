//! The client: connections, tokens, counters.

use crate::error::invalid;
use crate::ffi::boundary::{Draft, Opaque, Pointer, bounds, call, edit, free, get, new, optional, put};
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::keychain::parb_keychain;
use crate::ffi::lists::parb_buf;
use crate::ffi::text::{path, text};
use crate::{Client, ClientOptions, Result};
use bytes::Bytes;
use std::ffi::c_char;
use std::ptr::null_mut;
use std::time::Duration;

/// How a client is to be. Calls on any number of threads may use it while nobody changes it.
/// Yours to free.
pub struct parb_client_options {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_client_options {
    type Value = Draft<ClientOptions>;
    const NAME: &'static str = "parb_client_options";
    const TAG: u64 = u64::from_le_bytes(*b"parbcopt");
    const THREADED: bool = false;
}

/// Talks to registries: a pool of connections, tokens and counters that calls share. Shared between threads; values
/// made through it keep it alive, so the order of frees does not matter. Yours to free.
pub struct parb_client {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_client {
    type Value = Client;
    const NAME: &'static str = "parb_client";
    const TAG: u64 = u64::from_le_bytes(*b"parbclnt");
}

/// Options with nothing set.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_client_options_new() -> *mut parb_client_options {
    get(null_mut(), || Ok(new(Draft::new(ClientOptions::new()))))
}

/// Frees options. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_free(options: *mut parb_client_options) {
    free(options)
}

/// Where credentials come from; without it, parb_keychain_default.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_set_keychain(
    options: *mut parb_client_options,
    keychain: *const parb_keychain,
) {
    edit(options, |o| change(o, keychain.get("keychain").map(|k| o.clone().keychain(k))))
}

/// What stands first in the User-Agent header; "parbuckle/VERSION" follows it.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_set_user_agent(options: *mut parb_client_options, text: *const c_char) {
    edit(options, |o| change(o, self::text(text, "text").map(|t| o.clone().user_agent(t))))
}

/// Trusts the certificates of a PEM file besides the system's. The file is read by parb_client_new.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_add_ca_file(options: *mut parb_client_options, path: *const c_char) {
    edit(options, |o| change(o, self::path(path, "path").map(|p| o.clone().ca_file(&p))))
}

/// Trusts certificates given as PEM text besides the system's.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_add_ca_pem(options: *mut parb_client_options, pem: *const c_char) {
    edit(options, |o| change(o, text(pem, "pem").map(|p| o.clone().ca_pem(p.as_bytes()))))
}

/// Speaks to one registry without TLS. Loopback names (localhost, 127.0.0.0/8, ::1) need no listing. A private address
/// that is listed is still asked by TLS first.
///
/// @param registry  host, or host:port, as references write it
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_add_plain_http(
    options: *mut parb_client_options,
    registry: *const c_char,
) {
    edit(options, |o| change(o, text(registry, "registry").map(|r| o.clone().plain_http(r))))
}

/// How long to wait, in milliseconds, for a connection (10,000 without this call), for an answer's first byte (30,000)
/// and for the next byte of a body (30,000).
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_set_timeouts_ms(
    options: *mut parb_client_options,
    connect: i64,
    first_byte: i64,
    idle: i64,
) {
    edit(options, |o| {
        let ms = |n: i64, name: &str| match u64::try_from(n) {
            Ok(n) if n > 0 => Ok(Duration::from_millis(n)),
            _ => Err(invalid(format!("{name} is not more than 0"))),
        };
        *o = o.clone().timeouts(ms(connect, "connect")?, ms(first_byte, "first_byte")?, ms(idle, "idle")?);
        Ok(())
    })
}

/// How often a request is tried at most (5 without this call), and how many milliseconds lie between the first two
/// tries (250); the delay doubles from try to try. What a registry asks for (Retry-After, up to a minute) goes before.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_options_set_retry(
    options: *mut parb_client_options,
    attempts: u32,
    first_delay_ms: i64,
) {
    edit(options, |o| {
        let delay = u64::try_from(first_delay_ms).map_err(|_| invalid("first_delay_ms is less than 0"))?;
        *o = o.clone().retry(attempts, Duration::from_millis(delay));
        Ok(())
    })
}

/// A client. Reads the environment, and the files it and the options name, on the calling thread; opens no connection.
///
/// Errors: the first mistake in the options; PARB_MALFORMED, PARB_IO, PARB_NOT_FOUND for certificates and credentials.
///
/// @param options  NULL: the defaults
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_client_new(
    options: *const parb_client_options,
    out: *mut *mut parb_client,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            let options = optional(options, "options")?.map_or_else(|| Ok(ClientOptions::new()), Draft::ready)?;
            Client::new(&options)
        })
    })
}

/// What the client has done so far, as a JSON object: bytes and threads of each stage, requests, retries. New members
/// may come. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_client_stats(client: *const parb_client, out: *mut *mut parb_buf) -> *mut parb_error {
    call(|| put(out, || Ok(Bytes::from(client.get("client")?.stats()))))
}

/// Ends everything that runs on the client, and blocks until it is gone or `ctx` ends. Afterwards the client and the
/// values made through it answer PARB_INVALID_STATE to what needs the network, and keep their facts.
///
/// Errors: PARB_TIMED_OUT, PARB_CANCELLED: `ctx` ended first; everything is ending, and calling again waits on.
/// PARB_INVALID_STATE: on a thread of the library. PARB_FORKED.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_client_close(client: *const parb_client, ctx: *const parb_ctx) -> *mut parb_error {
    call(|| client.get("client")?.close(&bounds(ctx)?))
}

/// Frees the handle. NULL is fine; never waits. Calls that run and values made through the client go on.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_client_free(client: *mut parb_client) {
    free(client)
}

fn change(options: &mut ClientOptions, changed: Result<ClientOptions>) -> Result<()> {
    *options = changed?;
    Ok(())
}
