//! Where a registry may lead us: schemes, origins and addresses.
//!
//! A registry names other places (token realms, redirects, upload locations). Whatever it names, credentials stay
//! with the origin they are for, https never becomes http, and a public registry can't make us talk to private
//! hosts. Names are checked where they are dialled (the resolver below), literal addresses before the request.

use crate::error::{Code, Error, Result};
use crate::transport::redact::redacted;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// How far an address reaches. A registry may lead to addresses of its own class and of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Public,
    Private,
    Loopback,
}

impl Class {
    pub(crate) fn of(address: IpAddr) -> Class {
        match address {
            IpAddr::V4(a) if a.is_loopback() => Class::Loopback,
            IpAddr::V4(a) if a.is_private() || is_shared(a) => Class::Private,
            IpAddr::V4(_) => Class::Public,
            IpAddr::V6(a) => match a.to_ipv4_mapped() {
                Some(v4) => Class::of(IpAddr::V4(v4)),
                None if a.is_loopback() => Class::Loopback,
                None if (a.segments()[0] & 0xfe00) == 0xfc00 => Class::Private,
                None => Class::Public,
            },
        }
    }
}

/// 100.64.0.0/10, carrier-grade NAT (RFC 6598).
fn is_shared(a: Ipv4Addr) -> bool {
    a.octets()[0] == 100 && (a.octets()[1] & 0xc0) == 64
}

/// Addresses nobody may name: link-local (cloud metadata lives there), unspecified, multicast, broadcast.
fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            a.is_link_local() || a.is_unspecified() || a.octets()[0] == 0 || a.is_multicast() || a.is_broadcast()
        }
        IpAddr::V6(a) => match a.to_ipv4_mapped() {
            Some(v4) => is_never(IpAddr::V4(v4)),
            None => {
                let link_local = (a.segments()[0] & 0xffc0) == 0xfe80;
                let aws_metadata = a == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
                a.is_unspecified() || a.is_multicast() || link_local || aws_metadata
            }
        },
    }
}

/// Whether a registry of class `from` may lead to this address.
pub(crate) fn may_lead(from: Class, to: IpAddr) -> bool {
    !is_never(to) && Class::of(to) <= from
}

/// The schemes to try for a registry, in order. Only loopback names and listed registries may be spoken to plainly.
pub(crate) fn schemes(registry: &str, listed: bool) -> &'static [Scheme] {
    let host = host_of(registry);
    if is_loopback_name(host) {
        return &[Scheme::Http, Scheme::Https];
    }
    if !listed {
        return &[Scheme::Https];
    }
    match host.parse::<IpAddr>() {
        Ok(a) if Class::of(a) != Class::Public => &[Scheme::Https, Scheme::Http],
        _ => &[Scheme::Http], // listing a name is the user's explicit word
    }
}

/// Whether a registry is on this machine by its name alone; no proxy stands before it.
pub(crate) fn is_loopback(registry: &str) -> bool {
    is_loopback_name(host_of(registry))
}

fn is_loopback_name(host: &str) -> bool {
    let name = host.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|a| Class::of(a) == Class::Loopback)
}

fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or(v6, |(a, _)| a),
        None => registry.split_once(':').map_or(registry, |(h, _)| h),
    }
}

/// Whether the URL's host and port are the registry's, whatever the scheme.
pub(crate) fn has_authority(url: &Url, registry: &str) -> bool {
    let own = Url::parse(&format!("{}://{registry}/", url.scheme()));
    own.is_ok_and(|own| same_origin(&own, url))
}

/// Whether the URL belongs to the registry as we talk to it: the only place its credentials go.
pub(crate) fn is_origin(url: &Url, scheme: Scheme, registry: &str) -> bool {
    url.scheme() == scheme.name() && has_authority(url, registry)
}

pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// Resolves a `Location` or `realm` against the URL that named it, and refuses what it must not name.
pub(crate) fn resolve(base: &Url, text: &str, from: Class) -> Result<Url> {
    let refuse = |code, why: &str| Err(Error::new(code, format!("{why}; it came from {}", redacted(base))));
    let Ok(url) = base.join(text) else { return refuse(Code::Protocol, "not a URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(Code::Protocol, "a URL that is neither http nor https").map_err(|e| e.subject(redacted(&url)));
    }
    if base.scheme() == "https" && url.scheme() == "http" {
        return refuse(Code::Denied, "refused to go from https to http").map_err(|e| e.subject(redacted(&url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(Code::Denied, "refused a URL with credentials in it").map_err(|e| e.subject(redacted(&url)));
    }
    if !same_origin(base, &url) {
        check_literal(&url, from)?;
    }
    Ok(url)
}

/// Refuses a literal address that a registry of this class may not name.
pub(crate) fn check_literal(url: &Url, from: Class) -> Result<()> {
    let address = match url.host() {
        Some(Host::Ipv4(a)) => IpAddr::V4(a),
        Some(Host::Ipv6(a)) => IpAddr::V6(a),
        _ => return Ok(()),
    };
    match may_lead(from, address) {
        true => Ok(()),
        false => Err(refused_address(url.host_str().unwrap_or_default())),
    }
}

fn refused_address(host: &str) -> Error {
    Error::new(Code::Denied, "refused: a registry may not lead to this address").subject(host)
}

/// Looks names up like everybody, and drops the addresses that a registry of this class may not lead to.
pub(crate) struct GuardedResolver(pub Class);

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let class = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|a| may_lead(class, a.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::new(refused_address(name.as_str())) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_be_spoken_to_plainly() {
        let both = [Scheme::Http, Scheme::Https];
        for loopback in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "a.localhost", "127.9.9.9"] {
            assert_eq!(schemes(loopback, false), both, "{loopback}");
        }
        for public in ["10.0.0.1", "192.168.1.1:5000", "example.com", "localhost.example.com", "index.docker.io"] {
            assert_eq!(schemes(public, false), [Scheme::Https], "{public}");
        }
        assert_eq!(schemes("10.0.0.1", true), [Scheme::Https, Scheme::Http]);
        assert_eq!(schemes("example.com:80", true), [Scheme::Http]);
    }

    #[test]
    fn where_a_registry_may_lead() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        for never in
            ["169.254.169.254", "0.0.0.0", "fe80::1", "::", "::ffff:169.254.169.254", "fd00:ec2::254", "224.0.0.1"]
        {
            assert!(!may_lead(Class::Loopback, ip(never)), "{never}");
        }
        assert!(!may_lead(Class::Public, ip("127.0.0.1")));
        assert!(!may_lead(Class::Public, ip("10.0.0.1")));
        assert!(!may_lead(Class::Public, ip("::ffff:10.0.0.1")));
        assert!(!may_lead(Class::Private, ip("::1")));
        assert!(may_lead(Class::Private, ip("10.0.0.1")));
        assert!(may_lead(Class::Public, ip("93.184.216.34")));
    }

    #[test]
    fn locations() {
        let base = Url::parse("https://r.example/v2/a/blobs/uploads/").unwrap();
        let ok = |t: &str| resolve(&base, t, Class::Public).unwrap().to_string();
        assert_eq!(ok("/v2/x?state=a%20b"), "https://r.example/v2/x?state=a%20b");
        assert_eq!(ok("https://storage.example/y"), "https://storage.example/y");
        for bad in
            ["http://r.example/v2/x", "https://127.0.0.1/x", "https://u:p@other.example/", "ftp://x/", "https://[::1]/"]
        {
            assert!(resolve(&base, bad, Class::Public).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_know_their_port() {
        let u = |s: &str| Url::parse(s).unwrap();
        assert!(is_origin(&u("https://r.example:443/x"), Scheme::Https, "r.example"));
        assert!(!is_origin(&u("https://r.example:444/x"), Scheme::Https, "r.example"));
        assert!(!is_origin(&u("http://r.example/x"), Scheme::Https, "r.example"));
    }
}
