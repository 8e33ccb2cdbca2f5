//! The C ABI: pointers in, pointers out, no logic.
//!
//! The doc comments of the exported functions *are* the header's documentation (cbindgen copies them), and their
//! order, file by file below, is the header's. Every exported function is one call of [`boundary`]'s `call`, `get`,
//! `edit` or `free`, so that no panic and no wild pointer gets past it; a test holds the files to that.
#![allow(unsafe_code, non_camel_case_types, unsafe_op_in_unsafe_fn, clippy::missing_safety_doc)]

mod boundary;
mod foreign;
mod text;

// In the order of the header. Files whose comments begin with the same title are one section.
mod library;

mod error;

mod context;

mod op;

mod queue;

mod lists;

mod report;

mod options;

mod reference;

mod matcher;

mod image;

mod config;

mod index;

mod sink;

mod layer_from;

mod layer_writer;

mod layer;

mod layer_builder;

mod reader;

mod toc;

mod builder;

mod index_builder;

mod mutate;

mod filesystem;

mod parts;

mod random;

mod compare;

mod layout;

mod archive;

mod cache;

mod memory;

mod keychain;

mod client;

mod remote;

mod daemon;

mod server;
