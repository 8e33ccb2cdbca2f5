//! Text: NUL-terminated UTF-8 in and out.

use crate::error::{Result, invalid};
use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};

/// Text that C lends for the duration of a call.
pub(crate) unsafe fn text<'a>(p: *const c_char, name: &str) -> Result<&'a str> {
    optional_text(p, name)?.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// As [`text`], where NULL means something.
pub(crate) unsafe fn optional_text<'a>(p: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if p.is_null() {
        return Ok(None);
    }
    CStr::from_ptr(p).to_str().map(Some).map_err(|_| invalid(format!("{name} is not UTF-8")))
}

/// A local path: the platform's bytes.
pub(crate) unsafe fn path(p: *const c_char, name: &str) -> Result<PathBuf> {
    if p.is_null() {
        return Err(invalid(format!("{name} is NULL")));
    }
    let bytes = CStr::from_ptr(p).to_bytes();
    if bytes.is_empty() {
        return Err(invalid(format!("{name} is empty")));
    }
    #[cfg(unix)]
    return Ok(PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)));
    #[cfg(not(unix))]
    return Ok(PathBuf::from(std::str::from_utf8(bytes).map_err(|_| invalid(format!("{name} is not UTF-8")))?));
}

/// A local path on its way out: the platform's bytes, as they came.
pub(crate) fn path_out(path: &Path) -> CString {
    #[cfg(unix)]
    return CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).unwrap_or_default();
    #[cfg(not(unix))]
    return c_string(&path.to_string_lossy());
}

/// An array of C strings; NULL with 0 is an empty one.
pub(crate) unsafe fn texts(items: *const *const c_char, count: usize, name: &str) -> Result<Vec<String>> {
    if items.is_null() && count > 0 {
        return Err(invalid(format!("{name} is NULL")));
    }
    (0..count).map(|i| text(*items.add(i), name).map(ToOwned::to_owned)).collect()
}

/// Text on its way out. U+0000 can't stand in a C string: it is shown as U+FFFD, and the exact bytes are reachable by
/// the functions that give documents as they are.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default())
}

/// A pointer to lend, NULL where there is no text.
pub(crate) fn lend(text: Option<&CString>) -> *const c_char {
    text.map_or(std::ptr::null(), |t| t.as_ptr())
}
