//! Each fault does what it says, once, and the log tells of it.

use crate::support::*;
use parbuckle::registry::ServerOptions;
use parbuckle::{Code, Digest};
use reqwest::Method;
use serde_json::Value;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const SIZE: usize = 4 << 20;

fn fault(method: &'static str, pattern: &'static str, text: &'static str) -> impl Fn(&mut ServerOptions) {
    move |options| {
        options.add_fault(method, pattern, 1, text).unwrap();
    }
}

/// That exactly one request was spoiled by `text`.
fn fired(site: &Site, text: &str) -> Value {
    let mut lines = site.logged(|l| l["fault"] == text);
    assert_eq!(lines.len(), 1, "{:?}", site.server.requests());
    lines.remove(0)
}

/// What of a download arrives, over a plain socket, and how it ends.
fn download(site: &Site, path: &str) -> (Vec<u8>, std::io::Result<()>) {
    let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 65536]);
    let end = loop {
        match tcp.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(e) => break Err(e),
        }
    };
    let head = all.windows(4).position(|w| w == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
    (all.split_off(head), end)
}

#[test]
fn reset_in_a_download() {
    both_with(fault("GET", "/v2/*/blobs/*", "reset@50%"), async |site| {
        let bytes = noise(SIZE);
        let path = format!("/v2/r/blobs/{}", site.push_blob("r", &bytes).await);
        let (got, end) = download(site, &path);
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert!(got.len() <= SIZE / 2 && bytes.starts_with(&got));
        assert_eq!(fired(site, "reset@50%")["sent"], SIZE / 2);
        let (got, end) = download(site, &path);
        assert!(end.is_ok() && got == bytes);
    });
}

#[test]
fn reset_in_an_upload_keeps_what_came_before() {
    both_with(fault("PATCH", "*", "reset@50%"), async |site| {
        let bytes = noise(SIZE);
        let location = site.upload("r").await;
        let patch = site.request(Method::PATCH, &location).body(bytes.clone()).send().await;
        assert!(patch.is_err());
        assert_eq!(fired(site, "reset@50%")["received"], SIZE / 2);
        let range = header(&site.get(&location).await, "range");
        assert_eq!(range, format!("0-{}", SIZE / 2 - 1));
        let patch = site.request(Method::PATCH, &location).body(bytes[SIZE / 2..].to_vec()).send().await.unwrap();
        assert_eq!(patch.status(), 202);
        let put = site.request(Method::PUT, &format!("{location}?digest={}", Digest::sha256(&bytes)));
        assert_eq!(put.send().await.unwrap().status(), 201);
    });
}

#[test]
fn reset_without_a_body() {
    both_with(fault("POST", "*", "reset@50%"), async |site| {
        assert!(site.request(Method::POST, "/v2/r/blobs/uploads/").send().await.is_err());
        fired(site, "reset@50%");
        site.upload("r").await;
    });
}

#[test]
fn truncate_ends_in_order() {
    both_with(fault("GET", "/v2/*/blobs/*", "truncate"), async |site| {
        let bytes = noise(SIZE);
        let path = format!("/v2/r/blobs/{}", site.push_blob("r", &bytes).await);
        let (got, end) = download(site, &path);
        assert!(end.is_ok());
        assert!(got == bytes[..SIZE / 2]);
        fired(site, "truncate");
    });
}

#[test]
fn stall_sends_half_and_waits() {
    both_with(fault("GET", "/v2/*/blobs/*", "stall"), async |site| {
        let bytes = noise(SIZE);
        let path = format!("/v2/r/blobs/{}", site.push_blob("r", &bytes).await);
        let (got, end) = download(site, &path);
        assert!(matches!(end.unwrap_err().kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        assert!(got == bytes[..SIZE / 2]);
        fired(site, "stall");
    });
}

#[test]
fn stall_never_answers_an_upload() {
    both_with(fault("PUT", "*", "stall"), async |site| {
        let location = site.upload("r").await;
        let put = site.request(Method::PUT, &format!("{location}?digest={}", Digest::sha256(b"x"))).body("x");
        assert!(put.timeout(Duration::from_millis(300)).send().await.unwrap_err().is_timeout());
        fired(site, "stall");
        // It was not performed either.
        assert_eq!(header(&site.get(&location).await, "range"), "0-0");
    });
}

#[test]
fn wrong_digest_in_a_download() {
    both_with(fault("GET", "/v2/*", "wrong-digest"), async |site| {
        let bytes = noise(SIZE);
        let path = format!("/v2/r/blobs/{}", site.push_blob("r", &bytes).await);
        let got = site.get(&path).await.bytes().await.unwrap();
        assert_eq!(got.len(), SIZE);
        assert_eq!(got.iter().zip(&bytes).filter(|(a, b)| a != b).count(), 1);
        fired(site, "wrong-digest");
        assert!(site.get(&path).await.bytes().await.unwrap() == bytes);
    });
}

#[test]
fn wrong_digest_in_a_manifest_and_an_upload() {
    let options = |options: &mut ServerOptions| {
        options.add_fault("GET", "/v2/*/manifests/*", 1, "wrong-digest").unwrap();
        options.add_fault("PUT", "/v2/*/blobs/*", 3, "wrong-digest").unwrap();
    };
    both_with(options, async |site| {
        let body = site.push_image("r", "t").await;
        let got = site.get("/v2/r/manifests/t").await.bytes().await.unwrap();
        assert!(got.len() == body.len() && got != body);
        let location = site.upload("r").await;
        let put = site.request(Method::PUT, &format!("{location}?digest={}", Digest::sha256(b"x"))).body("x");
        let put = put.send().await.unwrap();
        assert_eq!(put.status(), 400);
        assert_eq!(code(put).await, "DIGEST_INVALID");
        assert_eq!(site.logged(|l| l["fault"] == "wrong-digest").len(), 2);
    });
}

#[test]
fn statuses() {
    for (text, status, after) in [
        ("429 retry-after=1", 429, "1"),
        ("500", 500, ""),
        ("502", 502, ""),
        ("503", 503, ""),
        ("503 retry-after=2", 503, "2"),
        ("status=418", 418, ""),
    ] {
        both_with(fault("PUT", "*", text), async |site| {
            let location = site.upload("r").await;
            let bytes = noise(SIZE);
            let url = format!("{location}?digest={}", Digest::sha256(&bytes));
            let put = || site.request(Method::PUT, &url).body(bytes.clone()).send();
            let refused = put().await.unwrap();
            assert_eq!(refused.status(), status);
            assert_eq!(header(&refused, "retry-after"), after);
            fired(site, text);
            assert_eq!(put().await.unwrap().status(), 201);
        });
    }
}

#[test]
fn expired_token() {
    let options = |options: &mut ServerOptions| {
        options.add_user("u", "p").token_auth(Duration::from_secs(60)).anonymous_read(true);
        options.add_fault("GET", "/v2/r/*", 2, "401 expired").unwrap();
    };
    both_with(options, async |site| {
        assert_eq!(site.get("/v2/r/tags/list").await.status(), 404);
        let refused = site.get("/v2/r/tags/list").await;
        assert_eq!(refused.status(), 401);
        let challenge = header(&refused, "www-authenticate");
        assert!(
            challenge.contains("scope=\"repository:r:pull\"") && challenge.contains("invalid_token"),
            "{challenge}"
        );
        fired(site, "401 expired");
        assert_eq!(site.get("/v2/r/tags/list").await.status(), 404);
    });
}

#[test]
fn drop_reply_performs() {
    both_with(fault("PUT", "*", "drop-reply"), async |site| {
        let location = site.upload("r").await;
        let digest = Digest::sha256(b"x");
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).body("x").send().await;
        assert!(put.is_err());
        fired(site, "drop-reply");
        assert_eq!(site.head(&format!("/v2/r/blobs/{digest}")).await.status(), 200);
    });
}

#[test]
fn delay_performs_later() {
    both_with(fault("GET", "/v2/", "delay=150"), async |site| {
        let start = Instant::now();
        assert_eq!(site.get("/v2/").await.status(), 200);
        assert!(start.elapsed() >= Duration::from_millis(150));
        assert!(fired(site, "delay=150")["ms"].as_f64().unwrap() >= 150.0);
    });
}

#[test]
fn every_time_and_the_nth_time() {
    let options = |options: &mut ServerOptions| {
        options.add_fault("GET", "/v2/r/*", 0, "503").unwrap();
        options.add_fault("*", "/v2/", 3, "500").unwrap();
    };
    both_with(options, async |site| {
        for _ in 0..3 {
            assert_eq!(site.get("/v2/r/tags/list").await.status(), 503);
        }
        for (method, status) in [(Method::GET, 200), (Method::HEAD, 200), (Method::GET, 500), (Method::GET, 200)] {
            assert_eq!(site.send(method, "/v2/").await.status(), status);
        }
    });
}

#[test]
fn faults_over_tls() {
    let options = |options: &mut ServerOptions| {
        options.tls_domain("x.test").add_fault("GET", "*blobs*", 1, "reset@10%").unwrap();
    };
    both_with(options, async |site| {
        let digest = site.push_blob("r", noise(SIZE)).await;
        let got = site.get(&format!("/v2/r/blobs/{digest}")).await;
        assert!(got.bytes().await.is_err());
        fired(site, "reset@10%");
        assert_eq!(site.get(&format!("/v2/r/blobs/{digest}")).await.bytes().await.unwrap().len(), SIZE);
    });
}

#[test]
fn what_is_no_fault_is_refused_at_once() {
    let mut options = ServerOptions::new();
    for (method, pattern, text) in [("GET", "*", "explode"), ("get", "*", "500"), ("GET", "v2", "500")] {
        assert_eq!(options.add_fault(method, pattern, 1, text).err().unwrap().code(), Code::InvalidArgument);
    }
}
