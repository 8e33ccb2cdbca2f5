//! The integration tests, in one program.

mod abi_library;
mod abi_lint;
mod abi_refusals;
mod api;
mod client;
mod crash;
mod deps;
mod estargz;
mod extract;
mod golden_mutate;
mod header;
mod layers;
mod oci_properties;
mod server_auth;
mod server_discovery;
mod server_faults;
mod server_life;
mod server_pull;
mod server_push;
mod shape;
mod spec;
mod support;
mod tables;
mod tokens;
