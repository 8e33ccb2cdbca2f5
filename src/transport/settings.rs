//! What a client was told about talking.

use crate::auth::Keychain;
use crate::error::{Result, invalid};
use http::HeaderValue;
use std::time::Duration;

/// The bounds of bodies that are held in memory.
pub(crate) mod limits {
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
    pub proxies: Vec<reqwest::Proxy>,
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

/// The proxies that the environment names, as curl reads it: `http_proxy` (upper case too, but not where a web server
/// made it of a request's header), `https_proxy`, `all_proxy`, `no_proxy`. Loopback names never go through one.
///
/// Errors: `InvalidArgument` where a proxy is no URL; the message shows none of it, since it may hold a password.
pub(crate) fn proxies_from_environment() -> Result<Vec<reqwest::Proxy>> {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let either = |name: &str| var(name).or_else(|| var(&name.to_uppercase()));
    let in_cgi = std::env::var_os("REQUEST_METHOD").is_some();
    let http = var("http_proxy").or_else(|| if in_cgi { None } else { var("HTTP_PROXY") });
    let bypass = format!("localhost,.localhost,127.0.0.0/8,::1,{}", either("no_proxy").unwrap_or_default());
    let all = either("all_proxy");
    let found = [("http_proxy", http.or_else(|| all.clone())), ("https_proxy", either("https_proxy").or(all))];
    let mut proxies = Vec::new();
    for (name, url) in found {
        let Some(url) = url else { continue };
        let proxy = if name == "http_proxy" { reqwest::Proxy::http(url) } else { reqwest::Proxy::https(url) };
        let proxy = proxy.map_err(|_| invalid("the environment's proxy is not a URL").subject(name))?;
        proxies.push(proxy.no_proxy(reqwest::NoProxy::from_string(&bypass)));
    }
    Ok(proxies)
}
