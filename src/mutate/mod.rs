//! Changes that make new layers, or take several images.
//!
//! * `anew`: what the layers that are written anew have in common;
//! * `convert`: an image, or an index with all its images, in Docker's or OCI's media types;
//! * `edit`: one file of an image;
//! * `filesystem`: all layers as one tree: the merged tar, lists of files, single files, flattened images;
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
