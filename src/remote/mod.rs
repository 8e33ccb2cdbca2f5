//! A registry as a place images come from and go to (OCI distribution spec).

mod blob;
mod client;
mod push;
mod resolve;
mod upload;

pub(crate) use upload::Uploader;

pub use client::{Client, ClientOptions};
