//! References: `[registry/]repository[:tag][@digest]`.
//!
//! The grammar of names and tags is the OCI distribution spec's ("Pulling manifests"), the defaults are Docker's:
//! registry `index.docker.io`, `library/` before single names there, tag `latest`. A tag beside a digest is kept;
//! the digest decides.

use crate::digest::{Digest, shown};
use crate::error::{Error, Result, invalid};
use std::fmt;
use std::str::FromStr;

/// The registry of names that don't say one.
pub const DEFAULT_REGISTRY: &str = "index.docker.io";
/// The tag of references without tag and digest.
pub const DEFAULT_TAG: &str = "latest";

/// A repository of a registry.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// The registry's host, with its port if it was given.
    pub fn registry(&self) -> &str {
        &self.registry
    }
    /// The path within the registry, such as `library/ubuntu`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// A parsed reference, fully qualified.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference, filling in the defaults.
    ///
    /// Errors: `InvalidArgument` with what is wrong and where.
    pub fn parse(text: &str) -> Result<Reference> {
        let wrong = |why: &str| invalid(format!("not a reference: {why}")).subject(shown(text));
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((_, d)) if d.contains('@') => return Err(wrong("there is more than one @ in it")),
            Some((rest, d)) => {
                let digest = d.parse::<Digest>().map_err(|e| wrong("the part after @").cause(e))?;
                (rest, Some(digest))
            }
        };
        // A colon after the last slash starts the tag; one before it belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => {
                check_tag(tag).map_err(|why| wrong(&why))?;
                (name, Some(tag.to_owned()))
            }
            _ => (rest, None),
        };
        let repository = parse_repository(name).map_err(|why| wrong(&why))?;
        let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Reference { repository, tag, digest })
    }

    /// The same repository under another tag, without a digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference> {
        check_tag(tag).map_err(|why| invalid(format!("not a tag: {why}")).subject(shown(tag)))?;
        Ok(Reference { repository: self.repository.clone(), tag: Some(tag.to_owned()), digest: None })
    }
    /// The same repository with a digest, without a tag.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { repository: self.repository.clone(), tag: None, digest: Some(digest) }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }
    /// The registry's host, with its port if it was given.
    pub fn registry(&self) -> &str {
        &self.repository.registry
    }
    /// The tag, the default one included; `None` where only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
    /// The digest, where one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
    /// What goes into `/v2/<name>/manifests/<here>`: the digest if there is one, else the tag.
    pub fn identifier(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(d), _) => d.as_str(),
            (None, Some(t)) => t,
            (None, None) => DEFAULT_TAG, // `parse` gives every reference one of the two
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;
    fn from_str(text: &str) -> Result<Reference> {
        Reference::parse(text)
    }
}

fn parse_repository(name: &str) -> Result<Repository, String> {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == "docker.io" { DEFAULT_REGISTRY } else { registry };
    check_registry(registry)?;
    if path.is_empty() {
        return Err("there is no repository in it".into());
    }
    let path = match registry == DEFAULT_REGISTRY && !path.contains('/') {
        true => format!("library/{path}"),
        false => path.to_owned(),
    };
    check_path(&path)?;
    Ok(Repository { registry: registry.to_owned(), path })
}

/// A host as it may stand in a URL's authority: a name or address, and a port.
pub(crate) fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (None, rest.strip_prefix(':')),
            _ => return Err("the registry is no IPv6 address".into()),
        },
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        },
    };
    let fine = |host: &str| {
        let label = |l: &str| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-');
        host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
    };
    if host.is_some_and(|h| !fine(h)) {
        return Err("the registry is no host name".into());
    }
    match port {
        Some(p) if p.parse::<u16>().is_err() || !p.bytes().all(|b| b.is_ascii_digit()) => {
            Err("the registry's port is no number from 0 to 65535".into())
        }
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), String> {
    if path.len() > 255 {
        return Err("the repository is longer than 255 characters".into());
    }
    if !path.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/')) {
        return Err("a repository is written in a-z, 0-9, '_', '-', '.' and '/'".into());
    }
    // The spec's grammar wants a letter or digit at both ends of a component. go-containerregistry does not, so such
    // names exist; but a component of dots alone or an empty one would be another path once in a URL.
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err("a component of the repository is empty, '.' or '..'".into());
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), String> {
    if tag.is_empty() || tag.len() > 128 {
        return Err("a tag has 1 to 128 characters".into());
    }
    if !tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        return Err("a tag is written in A-Z, a-z, 0-9, '_', '-' and '.'".into());
    }
    if tag.starts_with(['-', '.']) {
        return Err("a tag begins with a letter, a digit or '_'".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        for (text, full) in [
            ("ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("docker.io/ubuntu:22.04", "index.docker.io/library/ubuntu:22.04"),
            ("a/b", "index.docker.io/a/b:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("ghcr.io/o/p:V1.2_3", "ghcr.io/o/p:V1.2_3"),
        ] {
            let r = Reference::parse(text).unwrap();
            assert_eq!(r.to_string(), full);
            assert_eq!(Reference::parse(full).unwrap(), r);
        }
    }

    #[test]
    fn keeps_tag_and_digest() {
        let d = format!("sha512:{}", "0".repeat(128));
        let r = Reference::parse(&format!("r.io/a:t@{d}")).unwrap();
        assert_eq!((r.tag(), r.digest().unwrap().as_str(), r.identifier()), (Some("t"), &*d, &*d));
        let r = Reference::parse(&format!("r.io/a@{d}")).unwrap();
        assert_eq!((r.tag(), r.identifier()), (None, &*d));
    }

    #[test]
    fn refuses() {
        for bad in [
            "",
            ":",
            "a:",
            "A",
            "a b",
            "r.io/",
            "r.io:x/a",
            "r.io/../a",
            "r.io/a//b",
            "a@b@c",
            "a@sha256:../..",
            "r.io/a:..",
            "r.io/a:-x",
            "[::1/a",
            "-r.io/a",
            "r.io\r\n/a",
            "r.io/a:b\n",
            "u:p@r.io/a",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }
}
