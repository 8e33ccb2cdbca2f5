//! Credentials.

use crate::Keychain;
use crate::error::invalid;
use crate::ffi::boundary::{Opaque, Pointer, free, get, new};
use crate::ffi::text::text;
use std::ffi::c_char;
use std::ptr::null_mut;

/// Which credentials go to which registry. Immutable, shared between threads. Yours to free.
pub struct parb_keychain {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_keychain {
    type Value = Keychain;
    const NAME: &'static str = "parb_keychain";
    const TAG: u64 = u64::from_le_bytes(*b"parbkeyc");
    const THREADED: bool = false;
}

/// What docker login or podman login left behind, read here and now: $DOCKER_CONFIG or ~/.docker, $REGISTRY_AUTH_FILE,
/// podman's own places; none of them there: nobody is known. A file that can't be read is reported by the first call
/// that needs it. This is what a client has that was told nothing else.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_keychain_default() -> *mut parb_keychain {
    get(null_mut(), || Ok(new(Keychain::from_environment().unwrap_or_else(Keychain::failing))))
}

/// No credentials for anybody.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_keychain_anonymous() -> *mut parb_keychain {
    get(null_mut(), || Ok(new(Keychain::anonymous())))
}

/// User and password for one registry. NULL where an argument is NULL or not UTF-8.
///
/// @param registry  host, or host:port
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_keychain_basic(
    registry: *const c_char,
    user: *const c_char,
    password: *const c_char,
) -> *mut parb_keychain {
    get(null_mut(), || {
        let (user, password) = (text(user, "user")?, text(password, "password")?);
        Ok(new(Keychain::basic(text(registry, "registry")?, user, password)))
    })
}

/// A token for one registry, sent as it is. NULL where an argument is NULL or not UTF-8.
///
/// @param registry  host, or host:port
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_keychain_bearer(registry: *const c_char, token: *const c_char) -> *mut parb_keychain {
    get(null_mut(), || Ok(new(Keychain::bearer(text(registry, "registry")?, text(token, "token")?))))
}

/// Several keychains: the first that knows something is believed. NULL where one of them is no keychain.
///
/// @param list  NULL with a `count` of 0: as parb_keychain_anonymous
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_keychain_chain(list: *const *const parb_keychain, count: usize) -> *mut parb_keychain {
    get(null_mut(), || {
        if list.is_null() && count > 0 {
            return Err(invalid("list is NULL"));
        }
        let keychains: crate::Result<Vec<Keychain>> = (0..count).map(|i| (*list.add(i)).get("list").cloned()).collect();
        Ok(new(Keychain::chain(keychains?)))
    })
}

/// Another handle for the same keychain; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_keychain_clone(keychain: *const parb_keychain) -> *mut parb_keychain {
    get(null_mut(), || Ok(new(keychain.get("keychain")?.clone())))
}

/// Frees a keychain. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_keychain_free(keychain: *mut parb_keychain) {
    free(keychain)
}
