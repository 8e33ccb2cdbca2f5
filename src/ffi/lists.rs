//! Bytes, lists, maps.

use crate::context::lock;
use crate::ffi::boundary::{Opaque, Pointer, free, get, new};
use crate::ffi::text::{c_string, lend, text, texts};
use bytes::Bytes;
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

/// Bytes that the library hands out. Yours to free.
pub struct parb_buf {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_buf {
    type Value = Bytes;
    const NAME: &'static str = "parb_buf";
    const TAG: u64 = u64::from_le_bytes(*b"parbbuf\0");
    const THREADED: bool = false;
}

/// A list of texts. Yours to free, unless it is lent (const).
pub struct parb_strings {
    _private: [u8; 0],
}

// SAFETY: made by `new` and `Lent` only.
unsafe impl Opaque for parb_strings {
    type Value = Strings;
    const NAME: &'static str = "parb_strings";
    const TAG: u64 = u64::from_le_bytes(*b"parbstrs");
    const THREADED: bool = false;
}

/// Only ever appended to, and a `CString`'s text does not move with it: what was lent stays where it is.
pub(crate) struct Strings(Mutex<Vec<CString>>);

impl Strings {
    pub(crate) fn new<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Strings {
        Strings(Mutex::new(items.into_iter().map(|s| c_string(s.as_ref())).collect()))
    }
    pub(crate) fn to_vec(&self) -> Vec<String> {
        lock(&self.0).iter().map(|s| s.to_string_lossy().into_owned()).collect()
    }
}

/// Pairs of texts, sorted by key. Only lent.
pub struct parb_map {
    _private: [u8; 0],
}

// SAFETY: made by `Lent` only.
unsafe impl Opaque for parb_map {
    type Value = Map;
    const NAME: &'static str = "parb_map";
    const TAG: u64 = u64::from_le_bytes(*b"parbmap\0");
    const THREADED: bool = false;
}

pub(crate) struct Map(Vec<(CString, CString)>);

impl Map {
    pub(crate) fn new<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Map {
        Map(pairs.into_iter().map(|(k, v)| (c_string(k), c_string(v))).collect())
    }
}

/// The bytes; NULL for NULL. Lives as long as the buf.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_buf_data(buf: *const parb_buf) -> *const u8 {
    get(null(), || Ok(buf.get("buf")?.as_ptr()))
}

/// How many bytes there are.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_buf_len(buf: *const parb_buf) -> usize {
    get(0, || Ok(buf.get("buf")?.len()))
}

/// Frees bytes. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_buf_free(buf: *mut parb_buf) {
    free(buf)
}

/// A list of copies of these texts. NULL where one of them is NULL or not UTF-8.
///
/// @param items  NULL with a `count` of 0: an empty list
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_strings_new(items: *const *const c_char, count: usize) -> *mut parb_strings {
    get(null_mut(), || Ok(new(Strings::new(texts(items, count, "items")?))))
}

/// Adds a copy of a text; NULL and what is not UTF-8 is not added. What parb_strings_at gave stays valid.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_strings_add(list: *mut parb_strings, text: *const c_char) {
    get((), || {
        let added = c_string(self::text(text, "text")?);
        lock(&list.get("list")?.0).push(added);
        Ok(())
    })
}

/// How many texts there are.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_strings_count(list: *const parb_strings) -> usize {
    get(0, || Ok(lock(&list.get("list")?.0).len()))
}

/// One text; NULL past the end. Lives as long as the list.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_strings_at(list: *const parb_strings, i: usize) -> *const c_char {
    get(null(), || Ok(lend(lock(&list.get("list")?.0).get(i))))
}

/// Frees a list of yours. NULL is fine. Not for lists that are lent (const).
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_strings_free(list: *mut parb_strings) {
    free(list)
}

/// How many pairs there are.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_map_count(map: *const parb_map) -> usize {
    get(0, || Ok(map.get("map")?.0.len()))
}

/// One key; NULL past the end. Lives as long as the map.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_map_key_at(map: *const parb_map, i: usize) -> *const c_char {
    get(null(), || Ok(lend(map.get("map")?.0.get(i).map(|(k, _)| k))))
}

/// One value; NULL past the end. Lives as long as the map.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_map_value_at(map: *const parb_map, i: usize) -> *const c_char {
    get(null(), || Ok(lend(map.get("map")?.0.get(i).map(|(_, v)| v))))
}

/// The value of a key; NULL where there is none. Lives as long as the map.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_map_get(map: *const parb_map, key: *const c_char) -> *const c_char {
    get(null(), || {
        let key = c_string(text(key, "key")?);
        let map = map.get("map")?;
        Ok(lend(map.0.iter().find(|(k, _)| *k == key).map(|(_, v)| v)))
    })
}
