//! Matchers: which entries of an index or a layout are meant.

use crate::ffi::boundary::{Draft, Opaque, edit, free, get, new, optional};
use crate::ffi::text::{optional_text, text};
use crate::{Matcher, Result};
use std::ffi::c_char;
use std::ptr::null_mut;

/// Chooses entries of an index: of each kind of condition one must hold, of several kinds all; without any, every
/// entry is meant. Setters never fail: the call that is given the matcher reports the first mistake. Calls on any number
/// of threads may use it while nobody changes it. Yours to free.
pub struct parb_matcher {
    _private: [u8; 0],
}

// SAFETY: made by `new` only.
unsafe impl Opaque for parb_matcher {
    type Value = Draft<Matcher>;
    const NAME: &'static str = "parb_matcher";
    const TAG: u64 = u64::from_le_bytes(*b"parbmatc");
    const THREADED: bool = false;
}

/// The matcher of a call; NULL means every entry.
pub(crate) unsafe fn matcher_of(matcher: *const parb_matcher) -> Result<Matcher> {
    match optional(matcher, "matcher")? {
        None => Ok(Matcher::new()),
        Some(draft) => draft.ready(),
    }
}

/// A matcher that means every entry.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_matcher_new() -> *mut parb_matcher {
    get(null_mut(), || Ok(new(Draft::new(Matcher::new()))))
}

/// Frees a matcher. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_free(matcher: *mut parb_matcher) {
    free(matcher)
}

/// Means the entry with this digest.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_add_digest(matcher: *mut parb_matcher, digest: *const c_char) {
    edit(matcher, |m| {
        *m = m.clone().digest(text(digest, "digest")?.parse()?);
        Ok(())
    })
}

/// Means entries for this platform and no other: what it names must be the same, but for an os.version that may go on
/// after a dot; what it leaves out does not matter, and what names no platform is not meant. Names are compared in
/// normal form, in which arm without a variant is v7, arm64 v8 and amd64 v1. (That an image runs on a higher variant,
/// too, counts only where one image is picked, as by parb_index_image.)
///
/// @param platform  os/architecture[/variant][:os.version]
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_add_platform(matcher: *mut parb_matcher, platform: *const c_char) {
    edit(matcher, |m| {
        *m = m.clone().platform(text(platform, "platform")?.parse()?);
        Ok(())
    })
}

/// Means entries of this media type.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_add_media_type(matcher: *mut parb_matcher, media_type: *const c_char) {
    edit(matcher, |m| {
        *m = m.clone().media_type(text(media_type, "media_type")?.to_owned());
        Ok(())
    })
}

/// Means manifests of artifacts of this type.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_add_artifact_type(matcher: *mut parb_matcher, artifact_type: *const c_char) {
    edit(matcher, |m| {
        *m = m.clone().artifact_type(text(artifact_type, "artifact_type")?);
        Ok(())
    })
}

/// Means entries with this annotation. Several of them must all be there.
///
/// @param value  NULL: whatever it is
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_add_annotation(
    matcher: *mut parb_matcher,
    key: *const c_char,
    value: *const c_char,
) {
    edit(matcher, |m| {
        *m = m.clone().annotation(text(key, "key")?, optional_text(value, "value")?);
        Ok(())
    })
}

/// Means the entry that a layout names so: its annotation org.opencontainers.image.ref.name, or containerd's
/// io.containerd.image.name. Of several names one must hold.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_matcher_set_name(matcher: *mut parb_matcher, name: *const c_char) {
    edit(matcher, |m| {
        *m = m.clone().name(text(name, "name")?);
        Ok(())
    })
}
