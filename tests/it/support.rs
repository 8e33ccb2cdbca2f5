//! What the tests share: a server in each of its forms, and a plain HTTP client that talks to it.
#![allow(dead_code)]

use parbuckle::registry::{Server, ServerOptions};
use parbuckle::{Algorithm, Digest};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A client that trusts nobody but the authority given, uses no proxy and follows no redirect.
pub fn http_trusting(ca_pem: Option<&str>) -> Client {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = ca_pem {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let client = Client::builder().tls_backend_preconfigured(config).no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(20)).build().unwrap()
}

/// A client for plain HTTP.
pub fn http() -> Client {
    http_trusting(None)
}

/// Runs async code to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A running server and a client for it.
pub struct Site {
    pub server: Server,
    pub client: Client,
    pub folder: Option<tempfile::TempDir>,
}

impl Site {
    pub fn start(options: &ServerOptions) -> Site {
        let server = Server::start(options).unwrap();
        let client = http_trusting(server.ca_pem());
        Site { server, client, folder: None }
    }
    pub fn memory() -> Site {
        Site::start(&ServerOptions::new())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') { self.url(path) } else { path.to_owned() };
        self.client.request(method, url)
    }
    pub async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }
    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path).await
    }
    pub async fn head(&self, path: &str) -> Response {
        self.send(Method::HEAD, path).await
    }
    pub async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path).await
    }

    /// Opens an upload session and gives its location.
    pub async fn upload(&self, name: &str) -> String {
        let started = self.send(Method::POST, &format!("/v2/{name}/blobs/uploads/")).await;
        assert_eq!(started.status(), 202);
        header(&started, LOCATION.as_str())
    }
    /// Pushes a blob in the usual way.
    pub async fn push_blob(&self, name: &str, bytes: impl AsRef<[u8]>) -> Digest {
        let digest = Digest::sha256(bytes.as_ref());
        let location = self.upload(name).await;
        let put = self.request(Method::PUT, &format!("{location}?digest={digest}")).body(bytes.as_ref().to_vec());
        let put = put.send().await.unwrap();
        assert_eq!(put.status(), 201, "{}", put.text().await.unwrap());
        digest
    }
    pub async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Response {
        let put = self.request(Method::PUT, &format!("/v2/{name}/manifests/{reference}"));
        put.header(CONTENT_TYPE, media_type).body(body.into()).send().await.unwrap()
    }
    /// Pushes a small image and gives its manifest.
    pub async fn push_image(&self, name: &str, tag: &str) -> Vec<u8> {
        let manifest = image(
            &self.push_blob(name, format!("{{\"tag\":\"{tag}\"}}")).await,
            11,
            &[(self.push_blob(name, "layer").await, 5)],
        );
        let body = manifest.to_string().into_bytes();
        assert_eq!(self.put_manifest(name, tag, OCI_MANIFEST, body.clone()).await.status(), 201);
        body
    }

    /// The lines of the request log that `wanted` holds for.
    pub fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.server.requests();
        lines.iter().map(|l| serde_json::from_str(l).unwrap()).filter(|l| wanted(l)).collect()
    }
}

/// The manifest of an image.
pub fn image(config: &Digest, config_size: u64, layers: &[(Digest, u64)]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|(d, n)| descriptor(OCI_LAYER, d, *n)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, config, config_size),
        "layers": layers,
    })
}

pub fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": size })
}

pub fn sha512(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha512, bytes)
}

/// A header's text; empty if there is none.
pub fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The first code of an error body, which has to be well formed.
pub async fn code(response: Response) -> String {
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let first = &body["errors"][0];
    assert!(first["message"].is_string(), "{body}");
    first["code"].as_str().unwrap().to_owned()
}

/// Bytes that no two places of are alike.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Runs a test against a server in memory and against one in a directory.
pub fn both(test: impl AsyncFn(&Site)) {
    both_with(|_| {}, test);
}

/// The same with other options.
pub fn both_with(configure: impl Fn(&mut ServerOptions), test: impl AsyncFn(&Site)) {
    for disk in [false, true] {
        let mut options = ServerOptions::new();
        configure(&mut options);
        let folder = disk.then(|| tempfile::tempdir().unwrap());
        if let Some(folder) = &folder {
            options.storage_dir(folder.path());
        }
        let mut site = Site::start(&options);
        site.folder = folder;
        block_on(test(&site));
    }
}
