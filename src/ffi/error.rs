//! Errors: NULL is success. An error is immutable and may be read from any thread.

use crate::error::{Code, Error};
use crate::ffi::boundary::{Lent, Opaque, Pointer, free, get, new};
use crate::ffi::foreign::{Foreign, parb_destroy_cb};
use crate::ffi::text::{c_string, lend};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// The kind of a failure: one of the PARB_ constants. Always 32 bits.
pub type parb_code = i32;

/// A failure; NULL is success. Yours to free.
pub struct parb_error {
    _private: [u8; 0],
}

// SAFETY: made by `owned` and `Lent` only.
unsafe impl Opaque for parb_error {
    type Value = ErrorHandle;
    const NAME: &'static str = "parb_error";
    const TAG: u64 = u64::from_le_bytes(*b"parberro");
    const THREADED: bool = false;
}

pub(crate) struct ErrorHandle {
    error: Error,
    message: CString,
    subject: Option<CString>,
    registry_code: Option<CString>,
    cause: Option<Lent<parb_error>>,
}

impl ErrorHandle {
    fn new(error: Error) -> ErrorHandle {
        ErrorHandle {
            message: c_string(error.message()),
            subject: error.get_subject().map(c_string),
            registry_code: error.get_registry_code().map(c_string),
            cause: error.get_cause().map(|cause| Lent::new(ErrorHandle::new(cause.clone()))),
            error,
        }
    }
}

/// Makes an error for a callback to return. `code` is usually PARB_CALLBACK; an unknown number becomes that. `user`
/// comes out of parb_error_user at the other end, so that an exception can be raised again as itself; `destroy` (may
/// be NULL) is called with it once, when the last copy of the error is gone.
///
/// @param message  what happened, in UTF-8; NULL: no text
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_error_new(
    code: parb_code,
    message: *const c_char,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) -> *mut parb_error {
    get(null_mut(), || {
        let foreign = Foreign::new(user, destroy);
        let code = Code::from_i32(code).unwrap_or(Code::Callback);
        let message = if message.is_null() { c"" } else { CStr::from_ptr(message) };
        Ok(owned(Error::new(code, message.to_string_lossy()).user(Arc::new(foreign))))
    })
}

/// Another handle for the same error; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_error_clone(error: *const parb_error) -> *mut parb_error {
    get(null_mut(), || Ok(owned(error.get("error")?.error.clone())))
}

/// Frees an error. NULL is fine. Not for errors that parb_error_cause lent.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_free(error: *mut parb_error) {
    free(error)
}

/// The kind of the failure; PARB_OK for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_code(error: *const parb_error) -> parb_code {
    get(0, || Ok(error.get("error")?.error.code() as i32))
}

/// The name of a code without its prefix, such as "NOT_FOUND"; "OK" for 0, "UNKNOWN" for other numbers. Static text.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_code_name(code: parb_code) -> *const c_char {
    get(null(), || Ok(code_name(code).as_ptr()))
}

/// What happened, without the subject and the cause; "" for NULL. Lives as long as the error.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_message(error: *const parb_error) -> *const c_char {
    get(c"".as_ptr(), || Ok(error.get("error")?.message.as_ptr()))
}

/// The reference, URL or path concerned, credentials removed; NULL where there is none. Lives as long as the error.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_subject(error: *const parb_error) -> *const c_char {
    get(null(), || Ok(lend(error.get("error")?.subject.as_ref())))
}

/// The registry's own code, such as "MANIFEST_UNKNOWN"; NULL where there is none. Lives as long as the error.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_registry_code(error: *const parb_error) -> *const c_char {
    get(null(), || Ok(lend(error.get("error")?.registry_code.as_ref())))
}

/// The HTTP status that was answered; 0 where there was none.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_http_status(error: *const parb_error) -> i32 {
    get(0, || Ok(error.get("error")?.error.get_http_status().map_or(0, i32::from)))
}

/// The operating system's number (errno); 0 where there was none.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_os_code(error: *const parb_error) -> i32 {
    get(0, || Ok(error.get("error")?.error.get_os_code().unwrap_or(0)))
}

/// Whether the failure passes by itself: -1: nothing says so (a host that could not be reached at all is among these);
/// 0: try again now; else wait so many milliseconds first.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_retry_after_ms(error: *const parb_error) -> i64 {
    get(-1, || {
        let after = error.get("error")?.error.get_retry_after();
        Ok(after.map_or(-1, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    })
}

/// What lies behind the error; NULL where nothing does. Lives as long as the error; not to be freed.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_cause(error: *const parb_error) -> *const parb_error {
    get(null(), || Ok(error.get("error")?.cause.as_ref().map_or(null(), Lent::as_ptr)))
}

/// What parb_error_new was given as `user`, here or in a cause; NULL where nothing was. Lives as long as the error.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_error_user(error: *const parb_error) -> *mut c_void {
    get(null_mut(), || Ok(user_of(&error.get("error")?.error)))
}

/// An error that C owns from now on.
pub(crate) fn owned(error: Error) -> *mut parb_error {
    new(ErrorHandle::new(error))
}

/// The error that a callback of the host returned; `None` where it is none.
pub(crate) unsafe fn taken(error: *mut parb_error) -> Option<Error> {
    let found = error.get("error").ok()?.error.clone();
    free(error);
    Some(found)
}

fn user_of(error: &Error) -> *mut c_void {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(foreign) = error.get_user().and_then(|u| u.downcast_ref::<Foreign>()) {
            return foreign.user();
        }
        at = error.get_cause();
    }
    null_mut()
}

fn code_name(code: parb_code) -> &'static CStr {
    let Some(code) = Code::from_i32(code) else { return if code == 0 { c"OK" } else { c"UNKNOWN" } };
    match code {
        Code::Cancelled => c"CANCELLED",
        Code::TimedOut => c"TIMED_OUT",
        Code::InvalidArgument => c"INVALID_ARGUMENT",
        Code::InvalidState => c"INVALID_STATE",
        Code::NotFound => c"NOT_FOUND",
        Code::AlreadyExists => c"ALREADY_EXISTS",
        Code::Unauthenticated => c"UNAUTHENTICATED",
        Code::Denied => c"DENIED",
        Code::RateLimited => c"RATE_LIMITED",
        Code::Unavailable => c"UNAVAILABLE",
        Code::Protocol => c"PROTOCOL",
        Code::Malformed => c"MALFORMED",
        Code::DigestMismatch => c"DIGEST_MISMATCH",
        Code::Unsupported => c"UNSUPPORTED",
        Code::LimitExceeded => c"LIMIT_EXCEEDED",
        Code::Io => c"IO",
        Code::Tls => c"TLS",
        Code::Callback => c"CALLBACK",
        Code::Forked => c"FORKED",
        Code::Internal => c"INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_on_both_sides() {
        for code in Code::ALL {
            assert_eq!(code_name(code as i32).to_str().unwrap(), code.name());
        }
    }
}
