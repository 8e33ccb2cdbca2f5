//! The server's own life: start, restart, stop, what it remembers, and what it does to clients that misbehave.

use crate::support::*;
use parbuckle::registry::{Server, ServerOptions};
use parbuckle::{Code, Context, Digest};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ServerOptions::new();
    options.storage_dir(folder.path());
    let site = Site::start(&options);
    let bytes = noise(400_000);
    let subject = Digest::sha256(b"subject");
    let (manifest, location) = block_on(async {
        let manifest = site.push_image("a/b", "v1").await;
        let mut referrer = image(&Digest::sha256(b"layer"), 5, &[]);
        referrer["subject"] = descriptor(OCI_MANIFEST, &subject, 1);
        assert_eq!(site.put_manifest("a/b", "ref", OCI_MANIFEST, referrer.to_string()).await.status(), 201);
        let location = site.upload("a/b").await;
        let patch = site.request(Method::PATCH, &location).body(bytes[..300_000].to_vec()).send().await.unwrap();
        assert_eq!(patch.status(), 202);
        (manifest, location)
    });
    // No second server in the same directory.
    let second = Server::start(&options).err().unwrap();
    assert_eq!(second.code(), Code::InvalidState);
    drop(site);

    let site = Site::start(&options);
    block_on(async {
        let got = site.get("/v2/a/b/manifests/v1").await;
        assert_eq!(header(&got, "content-type"), OCI_MANIFEST);
        assert_eq!(got.bytes().await.unwrap(), manifest);
        assert_eq!(
            site.get(&format!("/v2/a/b/blobs/{}", Digest::sha256(b"layer"))).await.text().await.unwrap(),
            "layer"
        );
        let tags: Value = serde_json::from_str(&site.get("/v2/a/b/tags/list").await.text().await.unwrap()).unwrap();
        assert_eq!(tags["tags"], json!(["ref", "v1"]));
        let list = site.get(&format!("/v2/a/b/referrers/{subject}")).await.text().await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["manifests"].as_array().unwrap().len(), 1);
        let catalog = site.get("/v2/_catalog").await.text().await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&catalog).unwrap()["repositories"], json!(["a/b"]));
        // The upload goes on where it was.
        assert_eq!(header(&site.get(&location).await, "range"), "0-299999");
        let digest = Digest::sha256(&bytes);
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).body(bytes[300_000..].to_vec());
        assert_eq!(put.send().await.unwrap().status(), 201);
        assert!(site.get(&format!("/v2/a/b/blobs/{digest}")).await.bytes().await.unwrap() == bytes);
    });
}

#[test]
fn what_a_killed_server_left_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ServerOptions::new();
    options.storage_dir(folder.path());
    drop(Site::start(&options));
    let orphan = folder.path().join("blobs/sha256/ab").join("ab".repeat(32));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    let left = [
        folder.path().join("tmp/1-2"),
        folder.path().join("uploads/x.data"),
        folder.path().join("uploads/y.json"),
        orphan,
    ];
    for path in &left {
        std::fs::write(path, "torn").unwrap();
    }
    let _site = Site::start(&options);
    for path in &left {
        assert!(!path.exists(), "{path:?}");
    }
}

/// Changes a byte in the middle of a file behind the server's back.
fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn corrupt_content_is_never_served_as_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ServerOptions::new();
    options.storage_dir(folder.path());
    let site = Site::start(&options);
    for size in [1000, 2_000_000] {
        let bytes = noise(size);
        block_on(async {
            let digest = site.push_blob("r", &bytes).await;
            let path = format!("/v2/r/blobs/{digest}");
            flip(&folder.path().join("repositories/r/_blobs/sha256").join(digest.hex()));
            let got = site.get(&path).await;
            let whole = got.status() == 200 && got.bytes().await.is_ok();
            assert!(!whole, "{size}");
            let part = site.request(Method::GET, &path).header("range", "bytes=0-0").send().await.unwrap();
            assert_ne!(part.status(), 206);
            // Once found out, it is as good as absent, so that a client pushes it again; which heals it.
            assert_eq!(site.head(&path).await.status(), 404);
            assert_eq!(site.push_blob("r", &bytes).await, digest);
            assert!(site.get(&path).await.bytes().await.unwrap() == bytes);
        });
    }
    block_on(async {
        let body = site.push_image("r", "t").await;
        flip(&folder.path().join("repositories/r/_manifests/sha256").join(Digest::sha256(&body).hex()));
        assert_eq!(site.get("/v2/r/manifests/t").await.status(), 500);
        assert_eq!(site.put_manifest("r", "t", OCI_MANIFEST, body.clone()).await.status(), 201);
        assert_eq!(site.get("/v2/r/manifests/t").await.bytes().await.unwrap(), body);
    });
}

#[test]
fn stop_waits_for_running_requests() {
    let mut options = ServerOptions::new();
    options.add_fault("GET", "/v2/", 1, "delay=300").unwrap();
    let site = Site::start(&options);
    let url = site.url("/v2/");
    let running = std::thread::spawn(move || block_on(async { http().get(url).send().await.unwrap().status() }));
    while site.server.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    site.server.stop(&Context::new()).wait().unwrap();
    assert_eq!(running.join().unwrap(), 200);
    assert!(std::net::TcpStream::connect(site.server.address()).is_err());
}

#[test]
fn stop_ends_with_its_context() {
    let mut options = ServerOptions::new();
    options.add_fault("GET", "/v2/", 1, "stall").unwrap();
    let site = Site::start(&options);
    let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
    write!(tcp, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    while site.server.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let started = Instant::now();
    let stopped = site.server.stop(&Context::with_timeout(Duration::from_millis(100))).wait();
    assert_eq!(stopped.unwrap_err().code(), Code::TimedOut);
    // The client that hung is let go.
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn dropping_frees_the_port() {
    let server = Server::start(&ServerOptions::new()).unwrap();
    let address = server.address();
    drop(server);
    let until = Instant::now() + Duration::from_secs(5);
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    let again = Server::start(ServerOptions::new().address(address.to_string())).unwrap();
    assert_eq!(again.address(), address);
}

#[test]
fn wrong_addresses() {
    for address in ["", "nonsense", "127.0.0.1:99999", "127.0.0.1"] {
        let refused = Server::start(ServerOptions::new().address(address)).err().unwrap();
        assert_eq!(refused.code(), Code::InvalidArgument, "{address}");
    }
    let taken = Server::start(&ServerOptions::new()).unwrap();
    let refused = Server::start(ServerOptions::new().address(taken.address().to_string())).err().unwrap();
    assert_eq!(refused.code(), Code::Io);
}

#[test]
fn the_log_tells_what_came_of_it() {
    both(async |site| {
        let digest = site.push_blob("r", noise(100_000)).await;
        let get = site.request(Method::GET, &format!("/v2/r/blobs/{digest}?x=1")).header("user-agent", "tester/1");
        assert_eq!(get.basic_auth("u", Some("geheim")).send().await.unwrap().bytes().await.unwrap().len(), 100_000);
        let lines = site.logged(|_| true);
        let numbers: Vec<u64> = lines.iter().map(|l| l["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!((&lines[0]["method"], &lines[0]["status"]), (&json!("POST"), &json!(202)));
        assert_eq!((&lines[1]["method"], &lines[1]["received"]), (&json!("PUT"), &json!(100_000)));
        assert_eq!(lines[2]["sent"], 100_000);
        assert_eq!(lines[2]["query"], "x=1");
        assert_eq!(lines[2]["user_agent"], "tester/1");
        assert_eq!(lines[2]["path"], format!("/v2/r/blobs/{digest}"));
        assert!(lines[2].get("fault").is_none());
        let text = site.server.requests().concat();
        assert!(!text.contains("geheim") && !text.contains("dTpnZWhlaW0"));
    });
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_goes_to_a_sink() {
    let sink = Sink::default();
    let site = Site::start(ServerOptions::new().log(sink.clone()));
    block_on(async {
        for _ in 0..3 {
            site.get("/v2/").await.text().await.unwrap();
        }
    });
    site.server.stop(&Context::new()).wait().unwrap();
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|l| l["status"] == 200 && l.get("running").is_none()));
}

#[test]
fn dribbling_clients_stop_nobody() {
    let site = Site::memory();
    let mut dribblers = Vec::new();
    for i in 0..200 {
        let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
        let head = "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ";
        tcp.write_all(&head.as_bytes()[..i % head.len()]).unwrap();
        dribblers.push(tcp);
    }
    block_on(async {
        let digest = site.push_blob("r", "x").await;
        assert_eq!(site.get(&format!("/v2/r/blobs/{digest}")).await.text().await.unwrap(), "x");
    });
}

#[test]
fn heads_without_end_are_refused() {
    let site = Site::memory();
    let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    tcp.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n").unwrap();
    let line = format!("X: {}\r\n", "y".repeat(60_000));
    let mut answer = Vec::new();
    for _ in 0..40 {
        if tcp.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let ended = tcp.read_to_end(&mut answer);
    assert!(ended.is_err() || !answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn http2_works_too() {
    let server = Server::start(&ServerOptions::new()).unwrap();
    block_on(async {
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().http2_prior_knowledge();
        let site = Site { client: client.build().unwrap(), server, folder: None };
        let bytes = noise(1_500_000);
        let digest = site.push_blob("r", &bytes).await;
        let got = site.get(&format!("/v2/r/blobs/{digest}")).await;
        assert_eq!(got.version(), reqwest::Version::HTTP_2);
        assert!(got.bytes().await.unwrap() == bytes);
    });
}
