//! The library.

use crate::ffi::boundary::get;
use crate::ffi::text::{c_string, text};
use std::ffi::{CStr, CString, c_char};
use std::sync::LazyLock;

/// The library's version, such as "0.1.0". Static text.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_version() -> *const c_char {
    get(std::ptr::null(), || Ok(VERSION.as_ptr()))
}

/// The library's version as a number: major << 24 | minor << 16 | patch << 8. Compare it with PARB_VERSION_NUMBER to
/// refuse a library that is older than the header a program was compiled with.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_version_number() -> u32 {
    get(0, || Ok(version_number()))
}

/// How the library was built, as a JSON object: "version", "rustc", "tls", "features" (an array). Static text.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_build_info() -> *const c_char {
    get(std::ptr::null(), || Ok(INFO.as_ptr()))
}

/// Whether the library was built with the Cargo feature `name`. NULL and unknown names: false.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_has_feature(name: *const c_char) -> bool {
    get(false, || Ok(FEATURES.contains(&text(name, "name")?)))
}

const FEATURES: &[&str] = if cfg!(feature = "cli") { &["capi", "cli"] } else { &["capi"] };

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("Cargo's version has no NUL in it"),
};

static INFO: LazyLock<CString> = LazyLock::new(|| {
    let info = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "rustc": env!("PARB_RUSTC"),
        "tls": "rustls with ring",
        "features": FEATURES,
    });
    c_string(&info.to_string())
});

fn version_number() -> u32 {
    let part = |text: &str| text.parse::<u32>().unwrap_or(0);
    let (major, minor) = (part(env!("CARGO_PKG_VERSION_MAJOR")), part(env!("CARGO_PKG_VERSION_MINOR")));
    (major << 24) | (minor << 16) | (part(env!("CARGO_PKG_VERSION_PATCH")) << 8)
}
