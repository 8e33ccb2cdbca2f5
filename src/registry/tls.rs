//! The certificate that the server shows: from files, or of a certificate authority made on the spot.

use crate::error::{Code, Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    Files(PathBuf, PathBuf),
    Domain(String),
}

/// What a server needs for TLS.
pub(super) struct Tls {
    pub config: Arc<rustls::ServerConfig>,
    /// The authority's certificate, if it is our own.
    pub ca_pem: Option<String>,
}

impl Tls {
    pub fn new(choice: &Choice) -> Result<Tls> {
        let (chain, key, ca_pem) = match choice {
            Choice::Files(cert, key) => (certificates(cert)?, private_key(key)?, None),
            Choice::Domain(name) => issue(name).map_err(|e| tls(e.to_string()).subject(name))?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|e| tls(format!("the certificate and key can't be used: {e}")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), ca_pem })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let chain = read.map_err(|e| tls(format!("no certificates can be read: {e}")).subject(path.display()))?;
    match chain.is_empty() {
        true => Err(tls("there is no certificate in the file").subject(path.display())),
        false => Ok(chain),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let read = PrivateKeyDer::from_pem_file(path);
    read.map_err(|e| tls(format!("no private key can be read: {e}")).subject(path.display()))
}

type Issued = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Option<String>);

fn issue(name: &str) -> std::result::Result<Issued, rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "parbuckle test authority");
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();

    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !names.iter().any(|n| n == name) {
        names.insert(0, name.to_owned());
    }
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, name);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    let cert = server.signed_by(&server_key, &Issuer::from_params(&authority, &authority_key))?;
    let key = PrivatePkcs8KeyDer::from(server_key.serialize_der());
    Ok((vec![cert.der().clone()], key.into(), Some(ca_pem)))
}

fn tls(why: impl Into<String>) -> Error {
    Error::new(Code::Tls, why)
}
