//! The HTTP clients: one for registries themselves, one for each class of registry that leads elsewhere.
//!
//! They are made when first needed: a client that speaks to a plain registry never reads the system's certificates.
//! All speak HTTP/1.1: on one HTTP/2 connection, blobs in parallel would share one TCP window and gain nothing.

use crate::error::{Code, Error, Result};
use crate::transport::guard::{Class, GuardedResolver};
use crate::transport::settings::Settings;
use once_cell::sync::OnceCell;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Clients {
    plain: OnceCell<reqwest::Client>,
    secure: OnceCell<reqwest::Client>,
    guarded: [OnceCell<reqwest::Client>; 3],
    tls: OnceCell<rustls::ClientConfig>,
    extra_roots: Vec<CertificateDer<'static>>,
    proxies: Vec<reqwest::Proxy>,
    connect: Duration,
}

impl Clients {
    /// Errors: `Malformed` where a certificate given by the user is none.
    pub(crate) fn new(settings: &Settings) -> Result<Clients> {
        let mut extra_roots = Vec::new();
        for pem in &settings.ca_pems {
            let before = extra_roots.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let wrong = |e| Error::new(Code::Malformed, format!("not a certificate in PEM form: {e}"));
                extra_roots.push(certificate.map_err(wrong)?.into_owned());
            }
            if extra_roots.len() == before {
                return Err(Error::new(Code::Malformed, "there is no certificate in the given PEM text"));
            }
        }
        Ok(Clients {
            plain: OnceCell::new(),
            secure: OnceCell::new(),
            guarded: std::array::from_fn(|_| OnceCell::new()),
            tls: OnceCell::new(),
            extra_roots,
            proxies: settings.proxies.clone(),
            connect: settings.connect,
        })
    }

    /// The client for a URL of this scheme; `led_by` is the class of the registry that named a foreign one.
    pub(crate) fn get(&self, scheme: &str, led_by: Option<Class>) -> Result<&reqwest::Client> {
        match (led_by, scheme) {
            (Some(class), _) => self.guarded[class as usize].get_or_try_init(|| {
                self.build(self.tls()?.clone(), |b| b.dns_resolver(Arc::new(GuardedResolver(class))))
            }),
            (None, "http") => self.plain.get_or_try_init(|| {
                let nobody = rustls::ClientConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()
                    .map_err(tls_error)?
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth();
                self.build(nobody, |b| b)
            }),
            (None, _) => self.secure.get_or_try_init(|| self.build(self.tls()?.clone(), |b| b)),
        }
    }

    fn tls(&self) -> Result<&rustls::ClientConfig> {
        self.tls.get_or_try_init(|| {
            let roots = self.extra_roots.iter().cloned();
            let verifier =
                rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider()).map_err(tls_error)?;
            Ok(rustls::ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .map_err(tls_error)?
                .dangerous() // rustls' word for any verifier that is not its own; this one is the system's
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth())
        })
    }

    fn build(
        &self,
        tls: rustls::ClientConfig,
        more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none()) // ours: each hop is checked
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect)
            .pool_max_idle_per_host(16)
            .tcp_nodelay(true)
            .no_proxy(); // reqwest would read the environment here and now, on a thread beside the host's
        let builder = self.proxies.iter().fold(builder, |b, proxy| b.proxy(proxy.clone()));
        more(builder).build().map_err(|e| Error::new(Code::Internal, format!("making the HTTP client: {e}")))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn tls_error(e: rustls::Error) -> Error {
    Error::new(Code::Tls, format!("setting up TLS: {e}"))
}
