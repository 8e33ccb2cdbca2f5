//! Changes that make new layers, or take several images.
//!
//! * `anew`: what the layers that are written anew have in common;
//! * `convert`: an image, or an index with all its images, in Docker's or OCI's media types;
//! * `edit`: one file of an image;
//! * `filesystem`: an image's layers as one file system: a tar, a list, one file, one layer;
//! * `rebase`: another base below an image;
//! * `recompress`: the same layers, compressed in another way;
//! * `time`: one time everywhere;
//! * `windows`: layers as Windows images have them.

mod anew;
mod convert;
mod edit;
pub(crate) mod filesystem;
mod rebase;
mod recompress;
mod time;
mod windows;

pub use rebase::{BASE_DIGEST, BASE_NAME, BaseAnnotations};
