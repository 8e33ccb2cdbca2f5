//! Where a daemon listens: its address in the forms that Docker knows, and the certificates for it.

use crate::digest::shown;
use crate::error::{Code, Error, Result, invalid};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DEFAULT: &str = "unix:///var/run/docker.sock";
/// The ports that Docker gives a `tcp://` address without one.
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// A daemon's address.
#[derive(Clone)]
pub(super) struct Host {
    /// As it was given, for errors.
    pub name: Arc<str>,
    pub at: At,
    /// What the `Host` header says.
    pub authority: String,
    /// What every path starts with; empty, or `/…` without a slash at its end.
    pub base: String,
}

#[derive(Clone)]
pub(super) enum At {
    Socket(PathBuf),
    Tcp(String, u16, Option<Tls>),
}

#[derive(Clone)]
pub(super) struct Tls {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

/// What the environment says of the daemon; read on the caller's thread.
#[derive(Default)]
pub(super) struct Environment {
    host: Option<String>,
    api_version: Option<String>,
    tls_verify: bool,
    cert_path: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Environment {
    pub(super) fn read() -> Result<Environment> {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let text = |name: &str| set(name).map(|v| unicode(name, v)).transpose();
        let config = set("DOCKER_CONFIG").map(PathBuf::from);
        Ok(Environment {
            host: text("DOCKER_HOST")?,
            api_version: text("DOCKER_API_VERSION")?,
            tls_verify: set("DOCKER_TLS_VERIFY").is_some(),
            cert_path: set("DOCKER_CERT_PATH").map(PathBuf::from),
            home: config.or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker"))),
        })
    }

    pub(super) fn api_version(&self) -> Option<&str> {
        self.api_version.as_deref()
    }

    #[cfg(test)]
    pub(super) fn with_certificates(folder: &Path) -> Environment {
        Environment { cert_path: Some(folder.to_owned()), ..Environment::default() }
    }

    /// The address of `host`, or the environment's, or the default one.
    ///
    /// Errors: `InvalidArgument`, `Unsupported` (ssh and the like); those of reading certificates.
    pub(super) fn host(&self, host: Option<&str>) -> Result<Host> {
        let text = host.or(self.host.as_deref()).unwrap_or(DEFAULT);
        let wrong = |why: &str| invalid(format!("not a daemon's address: {why}")).subject(shown(text));
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| wrong("it has no scheme, such as unix:// or tcp://"))?;
        match scheme {
            "unix" if rest.is_empty() => Err(wrong("it names no socket")),
            "unix" => {
                let at = At::Socket(rest.into());
                Ok(Host { name: shown(text).into(), at, authority: "docker".into(), base: String::new() })
            }
            "tcp" | "http" | "https" => self.tcp(scheme, rest, &wrong),
            "npipe" | "ssh" | "fd" => {
                let why = format!("{scheme}:// is not spoken here; unix://, tcp://, http:// and https:// are");
                Err(Error::new(Code::Unsupported, why).subject(shown(text)))
            }
            _ => Err(wrong("its scheme is none of unix, tcp, http and https")),
        }
    }

    fn tcp(&self, scheme: &str, rest: &str, wrong: &dyn Fn(&str) -> Error) -> Result<Host> {
        if rest.contains('@') {
            // Not shown: what stands there may be a password.
            return Err(invalid("a daemon's address has no room for a user or a password"));
        }
        let url = url::Url::parse(&format!("http://{rest}")).map_err(|e| wrong(&e.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        // Who names certificates wants them used, whatever else is set.
        let secure = scheme == "https" || scheme == "tcp" && (self.tls_verify || self.cert_path.is_some());
        let port = match (rest_port(rest), scheme, secure) {
            (Some(port), ..) => port,
            (None, "http", _) => 80,
            (None, "https", _) => 443,
            (None, _, true) => TLS_PORT,
            (None, _, false) => PLAIN_PORT,
        };
        let host = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match secure {
            true => {
                let name = ServerName::try_from(bare.clone()).map_err(|e| wrong(&e.to_string()))?;
                Some(Tls { config: self.certificates()?, name })
            }
            false => None,
        };
        let base = url.path().trim_end_matches('/').to_owned();
        let name = format!("{scheme}://{host}:{port}{base}").into();
        Ok(Host { name, at: At::Tcp(bare, port, tls), authority: format!("{host}:{port}"), base })
    }

    /// TLS with the files of DOCKER_CERT_PATH, each of which may be missing: without `ca.pem` the system's authorities
    /// are trusted, with it only those in it; with `cert.pem` and `key.pem` we show who we are.
    fn certificates(&self) -> Result<Arc<ClientConfig>> {
        let folder = self.cert_path.as_deref().or(self.home.as_deref());
        if let Some(given) = self.cert_path.as_deref().filter(|p| !p.is_dir()) {
            return Err(Error::new(Code::NotFound, "DOCKER_CERT_PATH is no directory").subject(given.display()));
        }
        let file = |name: &str| folder.map(|f| f.join(name)).filter(|f| f.exists());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| tls("setting up TLS", &e))?;
        let builder = match file("ca.pem") {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in chain(&path)? {
                    roots.add(certificate).map_err(|e| tls("no authority", &e).subject(path.display()))?;
                }
                builder.with_root_certificates(roots)
            }
            None => {
                let verifier =
                    rustls_platform_verifier::Verifier::new(provider).map_err(|e| tls("setting up TLS", &e))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)) // the system's own
            }
        };
        let mut config = match (file("cert.pem"), file("key.pem")) {
            (Some(cert), Some(key)) => {
                let read = PrivateKeyDer::from_pem_file(&key);
                let secret = read.map_err(|e| unreadable("private key", &e).subject(key.display()))?;
                let made = builder.with_client_auth_cert(chain(&cert)?, secret);
                made.map_err(|e| tls("the certificate and its key can't be used", &e).subject(cert.display()))?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(one), None) | (None, Some(one)) => {
                let why = "of cert.pem and key.pem only one is there";
                return Err(Error::new(Code::NotFound, why).subject(one.display()));
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The port as it is written: a URL drops the one that is usual for it.
fn rest_port(rest: &str) -> Option<u16> {
    let authority = rest.split('/').next()?;
    authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let chain = read.map_err(|e| unreadable("certificates", &e).subject(path.display()))?;
    match chain.is_empty() {
        true => Err(Error::new(Code::Malformed, "there is no certificate in the file").subject(path.display())),
        false => Ok(chain),
    }
}

fn unreadable(what: &str, e: &rustls_pki_types::pem::Error) -> Error {
    let code = if matches!(e, rustls_pki_types::pem::Error::Io(_)) { Code::Io } else { Code::Malformed };
    Error::new(code, format!("no {what} can be read: {e}"))
}

fn tls(what: &str, e: &rustls::Error) -> Error {
    Error::new(Code::Tls, format!("{what}: {e}"))
}

fn unicode(name: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|_| invalid("the variable is not UTF-8").subject(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<Host> {
        Environment::default().host(Some(text))
    }

    #[test]
    fn addresses_as_docker_writes_them() {
        let tcp = |text: &str| match plain(text).unwrap() {
            Host { at: At::Tcp(host, port, None), authority, base, .. } => format!("{host} {port} {authority} {base}"),
            _ => panic!("{text}"),
        };
        assert_eq!(tcp("tcp://example.com"), "example.com 2375 example.com:2375 ");
        assert_eq!(tcp("tcp://example.com:80/"), "example.com 80 example.com:80 ");
        assert_eq!(tcp("tcp://[::1]:1/a/b/"), "::1 1 [::1]:1 /a/b");
        assert_eq!(tcp("http://h"), "h 80 h:80 ");
        assert!(matches!(plain("unix:///a/b").unwrap().at, At::Socket(p) if p == Path::new("/a/b")));
        let code = |text: &str| plain(text).err().unwrap().code();
        for bad in
            ["", "/var/run/docker.sock", "unix://", "tcp://", "tcp://a:b", "ftp://x", "tcp://h?x", "tcp://h:99999"]
        {
            assert_eq!(code(bad), Code::InvalidArgument, "{bad}");
        }
        assert_eq!(code("ssh://me@there"), Code::Unsupported);
        let secret = plain("tcp://user:secret@h").err().unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
    }

    #[test]
    fn the_argument_goes_before_the_environment_and_that_before_the_default() {
        let name = |e: &Environment, host| e.host(host).unwrap().name.to_string();
        let set = Environment { host: Some("unix:///b".into()), ..Environment::default() };
        assert_eq!(name(&set, Some("unix:///a")), "unix:///a");
        assert_eq!(name(&set, None), "unix:///b");
        assert_eq!(name(&Environment::default(), None), DEFAULT);
    }

    #[test]
    fn certificates_are_named_where_they_are_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let with =
            |e: Environment| e.host(Some("tcp://h")).err().map(|e| (e.code(), e.get_subject().unwrap().to_owned()));
        let here = || Environment { cert_path: Some(folder.path().to_owned()), ..Environment::default() };
        assert_eq!(with(here()), None);
        assert!(matches!(here().host(Some("tcp://h")).unwrap().at, At::Tcp(_, TLS_PORT, Some(_))));
        assert!(matches!(here().host(Some("http://h")).unwrap().at, At::Tcp(_, 80, None)));
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("key.pem"), "").unwrap();
        assert_eq!(with(here()), Some((Code::NotFound, file("key.pem").display().to_string())));
        std::fs::write(file("cert.pem"), "").unwrap();
        assert_eq!(with(here()), Some((Code::Malformed, file("key.pem").display().to_string())));
        std::fs::write(file("ca.pem"), "nonsense").unwrap();
        assert_eq!(with(here()), Some((Code::Malformed, file("ca.pem").display().to_string())));
        let nowhere = Environment { cert_path: Some(file("none")), ..Environment::default() };
        assert_eq!(with(nowhere), Some((Code::NotFound, file("none").display().to_string())));
    }
}
