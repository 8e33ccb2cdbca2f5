//! What a client was told about talking.

use crate::auth::Keychain;
use http::HeaderValue;
use std::time::Duration;

/// The bounds of bodies that are held in memory.
pub(crate) mod limits {
    /// A manifest or index.
    pub(crate) const MANIFEST: u64 = 4 << 20;
    /// A token service's answer.
    pub(crate) const TOKEN: u64 = 64 << 10;
    /// The body of an error answer.
    pub(crate) const ERROR: u64 = 64 << 10;
    /// How much of an error's text is shown.
    pub(crate) const SHOWN: usize = 1 << 10;
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub keychain: Keychain,
    pub user_agent: HeaderValue,
    pub ca_pems: Vec<Vec<u8>>,
    pub plain_http: Vec<String>,
    pub connect: Duration,
    pub first_byte: Duration,
    pub idle: Duration,
    pub attempts: u32,
    pub first_delay: Duration,
}

impl Settings {
    pub(crate) fn is_plain(&self, registry: &str) -> bool {
        self.plain_http.iter().any(|r| r == registry)
    }
}
