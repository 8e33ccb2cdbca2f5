//! Layers: sinks, where the bytes of new ones go.

use crate::SinkHandle;
use crate::ffi::boundary::{Opaque, Pointer, call, free, put};
use crate::ffi::client::parb_client;
use crate::ffi::error::parb_error;
use crate::ffi::reference::parb_ref;

/// Where the bytes of new layers go. Immutable, shared between threads. Yours to free.
pub struct parb_sink {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_sink {
    type Value = SinkHandle;
    const NAME: &'static str = "parb_sink";
    const TAG: u64 = u64::from_le_bytes(*b"parbsink");
}

/// A repository as a sink: new layers are uploaded while they are compressed, and a push of an image that has them
/// finds them there. Never blocks.
///
/// Errors: PARB_INVALID_ARGUMENT.
///
/// @param repository  its tag and digest play no part
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_sink_repository(
    client: *const parb_client,
    repository: *const parb_ref,
    out: *mut *mut parb_sink,
) -> *mut parb_error {
    call(|| {
        let client = client.get("client")?;
        put(out, || Ok(SinkHandle::repository(client, repository.get("repository")?.reference())))
    })
}

/// Frees a sink. NULL is fine. Layers that were written into it stay.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_sink_free(sink: *mut parb_sink) {
    free(sink)
}
