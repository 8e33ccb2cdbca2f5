//! Who we are: credentials, and where they come from.

mod config;
mod keychain;

pub use keychain::{Credential, Keychain};
