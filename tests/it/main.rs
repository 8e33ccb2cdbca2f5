//! The integration tests, in one binary.

mod server_auth;
mod server_discovery;
mod server_faults;
mod server_life;
mod server_pull;
mod server_push;
mod spec;
mod support;
