//! References and descriptors.

use crate::ffi::boundary::{Lent, Opaque, Pointer, call, free, get, new, put};
use crate::ffi::error::parb_error;
use crate::ffi::lists::{Map, parb_map};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::text::{c_string, lend, text};
use crate::{Descriptor, Reference};
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

/// A parsed reference: registry, repository, tag, digest. Immutable. Yours to free.
pub struct parb_ref {
    _private: [u8; 0],
}

// SAFETY: made by `put` and `new` only.
unsafe impl Opaque for parb_ref {
    type Value = RefHandle;
    const NAME: &'static str = "parb_ref";
    const TAG: u64 = u64::from_le_bytes(*b"parbref\0");
    const THREADED: bool = false;
}

pub(crate) struct RefHandle {
    reference: Reference,
    text: CString,
    registry: CString,
    repository: CString,
    tag: Option<CString>,
    digest: Option<CString>,
}

impl RefHandle {
    fn new(reference: Reference) -> RefHandle {
        RefHandle {
            text: c_string(&reference.to_string()),
            registry: c_string(reference.registry()),
            repository: c_string(reference.repository().path()),
            tag: reference.tag().map(c_string),
            digest: reference.digest().map(|d| c_string(d.as_str())),
            reference,
        }
    }
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }
}

/// Media type, digest and size of content, with what is said about it. Immutable. Yours to free, unless it is lent
/// (const).
pub struct parb_descriptor {
    _private: [u8; 0],
}

// SAFETY: made by `put`, `new` and `Lent` only.
unsafe impl Opaque for parb_descriptor {
    type Value = DescriptorHandle;
    const NAME: &'static str = "parb_descriptor";
    const TAG: u64 = u64::from_le_bytes(*b"parbdesc");
    const THREADED: bool = false;
}

pub(crate) struct DescriptorHandle {
    descriptor: Descriptor,
    media_type: CString,
    digest: CString,
    platform: Option<CString>,
    artifact_type: Option<CString>,
    annotations: Lent<parb_map>,
}

impl DescriptorHandle {
    pub(crate) fn new(descriptor: Descriptor) -> DescriptorHandle {
        DescriptorHandle {
            media_type: c_string(descriptor.media_type.as_str()),
            digest: c_string(descriptor.digest.as_str()),
            platform: descriptor.platform.as_ref().map(|p| c_string(&p.to_string())),
            artifact_type: Some(&descriptor.artifact_type).filter(|t| !t.is_empty()).map(|t| c_string(t)),
            annotations: Lent::new(Map::new(&descriptor.annotations)),
            descriptor,
        }
    }
    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
}

/// Parses a reference and fills in the defaults: registry index.docker.io, "library/" before single names there, tag
/// "latest" where neither tag nor digest is given. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT: what is wrong, with the text as subject.
///
/// @param text     [registry/]repository[:tag][@digest]
/// @param options  none are read yet
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_ref_parse(
    text: *const c_char,
    options: *const parb_options,
    out: *mut *mut parb_ref,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            options_of(options)?.only("parb_ref_parse", &[])?;
            Ok(RefHandle::new(Reference::parse(self::text(text, "text")?)?))
        })
    })
}

/// The same repository under another tag, without a digest.
///
/// Errors: PARB_INVALID_ARGUMENT: not a tag.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_ref_with_tag(
    reference: *const parb_ref,
    tag: *const c_char,
    out: *mut *mut parb_ref,
) -> *mut parb_error {
    call(|| {
        let reference = reference.get("reference")?.reference();
        put(out, || Ok(RefHandle::new(reference.with_tag(text(tag, "tag")?)?)))
    })
}

/// The same repository with a digest, without a tag.
///
/// Errors: PARB_INVALID_ARGUMENT: not a digest.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_ref_with_digest(
    reference: *const parb_ref,
    digest: *const c_char,
    out: *mut *mut parb_ref,
) -> *mut parb_error {
    call(|| {
        let reference = reference.get("reference")?.reference();
        put(out, || Ok(RefHandle::new(reference.with_digest(text(digest, "digest")?.parse()?))))
    })
}

/// Another handle for the same reference; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_ref_clone(reference: *const parb_ref) -> *mut parb_ref {
    get(null_mut(), || Ok(new(RefHandle::new(reference.get("reference")?.reference.clone()))))
}

/// The whole reference, fully qualified. Lives as long as the reference.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ref_text(reference: *const parb_ref) -> *const c_char {
    get(null(), || Ok(reference.get("reference")?.text.as_ptr()))
}

/// The registry's host, and its port if one was given. Lives as long as the reference.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ref_registry(reference: *const parb_ref) -> *const c_char {
    get(null(), || Ok(reference.get("reference")?.registry.as_ptr()))
}

/// The repository within the registry, such as "library/ubuntu". Lives as long as the reference.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ref_repository(reference: *const parb_ref) -> *const c_char {
    get(null(), || Ok(reference.get("reference")?.repository.as_ptr()))
}

/// The tag; NULL where only a digest was given. Lives as long as the reference.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ref_tag(reference: *const parb_ref) -> *const c_char {
    get(null(), || Ok(lend(reference.get("reference")?.tag.as_ref())))
}

/// The digest; NULL where none was given. Lives as long as the reference.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ref_digest(reference: *const parb_ref) -> *const c_char {
    get(null(), || Ok(lend(reference.get("reference")?.digest.as_ref())))
}

/// Frees a reference. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_ref_free(reference: *mut parb_ref) {
    free(reference)
}

/// A descriptor of your own with the same content; NULL for NULL.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_descriptor_clone(descriptor: *const parb_descriptor) -> *mut parb_descriptor {
    get(null_mut(), || Ok(new(DescriptorHandle::new(descriptor.get("descriptor")?.descriptor.clone()))))
}

/// What the content is. Lives as long as the descriptor.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_media_type(descriptor: *const parb_descriptor) -> *const c_char {
    get(null(), || Ok(descriptor.get("descriptor")?.media_type.as_ptr()))
}

/// The content's digest, such as "sha256:...". Lives as long as the descriptor.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_digest(descriptor: *const parb_descriptor) -> *const c_char {
    get(null(), || Ok(descriptor.get("descriptor")?.digest.as_ptr()))
}

/// The content's size in bytes.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_size(descriptor: *const parb_descriptor) -> u64 {
    get(0, || Ok(descriptor.get("descriptor")?.descriptor.size))
}

/// What it runs on, such as "linux/arm64/v8"; NULL where that is not said. Lives as long as the descriptor.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_platform(descriptor: *const parb_descriptor) -> *const c_char {
    get(null(), || Ok(lend(descriptor.get("descriptor")?.platform.as_ref())))
}

/// What kind of artifact it is; NULL where that is not said. Lives as long as the descriptor.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_artifact_type(descriptor: *const parb_descriptor) -> *const c_char {
    get(null(), || Ok(lend(descriptor.get("descriptor")?.artifact_type.as_ref())))
}

/// The annotations, possibly none. Lives as long as the descriptor.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_annotations(descriptor: *const parb_descriptor) -> *const parb_map {
    get(null(), || Ok(descriptor.get("descriptor")?.annotations.as_ptr()))
}

/// Frees a descriptor of yours. NULL is fine. Not for those that are lent (const).
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_descriptor_free(descriptor: *mut parb_descriptor) {
    free(descriptor)
}
