//! New values out of old ones, where blobs are read for it.

pub(crate) mod filesystem;
