//! Pulling from the embedded registry: manifests, blobs, ranges, existence.

use crate::support::*;
use parbuckle::Digest;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};

#[test]
fn base_tells_of_the_api() {
    both(async |site| {
        for path in ["/v2/", "/v2"] {
            let base = site.get(path).await;
            assert_eq!(base.status(), 200);
            assert_eq!(header(&base, "docker-distribution-api-version"), "registry/2.0");
        }
        assert_eq!(site.get("/v1/").await.status(), 404);
        assert_eq!(site.get("/").await.status(), 404);
    });
}

#[test]
fn manifest_comes_back_as_it_was_pushed() {
    both(async |site| {
        let body = site.push_image("a/b", "v1").await;
        let digest = Digest::sha256(&body).to_string();
        for reference in ["v1", &digest] {
            let got = site.get(&format!("/v2/a/b/manifests/{reference}")).await;
            assert_eq!(got.status(), 200);
            assert_eq!(header(&got, "content-type"), OCI_MANIFEST);
            assert_eq!(header(&got, "docker-content-digest"), digest);
            assert_eq!(header(&got, "content-length"), body.len().to_string());
            assert_eq!(got.bytes().await.unwrap(), body);
        }
    });
}

#[test]
fn head_tells_digest_and_size() {
    both(async |site| {
        let body = site.push_image("r", "t").await;
        let manifest = site.head("/v2/r/manifests/t").await;
        assert_eq!(manifest.status(), 200);
        assert_eq!(header(&manifest, "docker-content-digest"), Digest::sha256(&body).as_str());
        assert_eq!(header(&manifest, "content-length"), body.len().to_string());
        assert!(manifest.bytes().await.unwrap().is_empty());
        let blob = site.head(&format!("/v2/r/blobs/{}", Digest::sha256(b"layer"))).await;
        assert_eq!(blob.status(), 200);
        assert_eq!(header(&blob, "docker-content-digest"), Digest::sha256(b"layer").as_str());
        assert_eq!(header(&blob, "content-length"), "5");
        assert!(blob.bytes().await.unwrap().is_empty());
    });
}

#[test]
fn absent_things_are_404_with_their_code() {
    both(async |site| {
        site.push_image("r", "t").await;
        let none = Digest::sha256(b"none");
        for (path, expected) in [
            ("/v2/r/manifests/other".to_owned(), "MANIFEST_UNKNOWN"),
            ("/v2/r/manifests/.INVALID".to_owned(), "MANIFEST_UNKNOWN"),
            (format!("/v2/r/manifests/{none}"), "MANIFEST_UNKNOWN"),
            (format!("/v2/r/blobs/{none}"), "BLOB_UNKNOWN"),
            ("/v2/nowhere/manifests/t".to_owned(), "NAME_UNKNOWN"),
            (format!("/v2/nowhere/blobs/{none}"), "NAME_UNKNOWN"),
            ("/v2/nowhere/tags/list".to_owned(), "NAME_UNKNOWN"),
            ("/v2/r/blobs/uploads/none".to_owned(), "BLOB_UPLOAD_UNKNOWN"),
        ] {
            assert_eq!(site.head(&path).await.status(), 404, "{path}");
            let got = site.get(&path).await;
            assert_eq!(got.status(), 404, "{path}");
            assert_eq!(header(&got, "content-type"), "application/json");
            assert_eq!(code(got).await, expected, "{path}");
        }
    });
}

#[test]
fn wrong_requests_are_refused_with_their_code() {
    both(async |site| {
        let hex = "a".repeat(64);
        for (method, path, status, expected) in [
            (Method::GET, "/v2/UPPER/manifests/t".to_owned(), 400, "NAME_INVALID"),
            (Method::GET, "/v2/a..b/tags/list".to_owned(), 400, "NAME_INVALID"),
            (Method::GET, format!("/v2/{}/tags/list", "a".repeat(256)), 400, "NAME_INVALID"),
            (Method::GET, "/v2/a/blobs/sha256:abc".to_owned(), 400, "DIGEST_INVALID"),
            (Method::GET, format!("/v2/a/blobs/md5:{hex}"), 400, "DIGEST_INVALID"),
            (Method::GET, format!("/v2/a/blobs/sha256:{}", hex.to_uppercase()), 400, "DIGEST_INVALID"),
            (Method::GET, "/v2/a/referrers/latest".to_owned(), 400, "DIGEST_INVALID"),
            (Method::GET, "/v2/a/nothing".to_owned(), 404, "UNSUPPORTED"),
            (Method::PUT, "/v2/a/tags/list".to_owned(), 405, "UNSUPPORTED"),
            (Method::POST, format!("/v2/a/blobs/sha256:{hex}"), 405, "UNSUPPORTED"),
            (Method::GET, "/v2/a/blobs/uploads/".to_owned(), 405, "UNSUPPORTED"),
        ] {
            let got = site.send(method.clone(), &path).await;
            assert_eq!(got.status(), status, "{method} {path}");
            assert_eq!(got.headers().contains_key("allow"), status == 405, "{method} {path}");
            assert_eq!(code(got).await, expected, "{method} {path}");
        }
    });
}

#[test]
fn escaped_paths_mean_the_same() {
    both(async |site| {
        let digest = site.push_blob("a/b", "x").await;
        let path = format!("/v2/a%2Fb/blobs/{}", digest.as_str().replace(':', "%3A"));
        assert_eq!(site.get(&path).await.bytes().await.unwrap(), "x");
        // What is hidden behind an escape is checked like anything else.
        assert_eq!(site.get("/v2/a%2F..%2Fb/tags/list").await.status(), 400);
    });
}

#[test]
fn blob_comes_back_whole() {
    both(async |site| {
        for bytes in [Vec::new(), b"x".to_vec(), noise(70_000), noise(3 << 20)] {
            let digest = site.push_blob("r", &bytes).await;
            // Twice: the first reader of a file also verifies it.
            for _ in 0..2 {
                let got = site.get(&format!("/v2/r/blobs/{digest}")).await;
                assert_eq!(got.status(), 200);
                assert_eq!(header(&got, "docker-content-digest"), digest.as_str());
                assert_eq!(header(&got, "content-length"), bytes.len().to_string());
                assert!(got.bytes().await.unwrap() == bytes);
            }
        }
    });
}

#[test]
fn ranges_of_a_blob() {
    both(async |site| {
        for bytes in [noise(1000), noise(600_000)] {
            let (digest, size) = (site.push_blob("r", &bytes).await, bytes.len());
            let path = format!("/v2/r/blobs/{digest}");
            for (range, first, end) in [
                ("bytes=0-0".to_owned(), 0, 1),
                ("bytes=10-19".to_owned(), 10, 20),
                (format!("bytes={}-", size - 1), size - 1, size),
                ("bytes=5-999999999".to_owned(), 5, size),
                ("bytes=-7".to_owned(), size - 7, size),
                ("bytes=-999999999".to_owned(), 0, size),
                (format!("bytes=1-{}", size - 2), 1, size - 1),
            ] {
                let got = site.request(Method::GET, &path).header(RANGE, &range).send().await.unwrap();
                assert_eq!(got.status(), 206, "{range}");
                assert_eq!(header(&got, "content-range"), format!("bytes {first}-{}/{size}", end - 1));
                assert_eq!(header(&got, "content-length"), (end - first).to_string());
                assert!(got.bytes().await.unwrap() == bytes[first..end], "{range}");
            }
            let outside =
                site.request(Method::GET, &path).header(RANGE, format!("bytes={size}-")).send().await.unwrap();
            assert_eq!(outside.status(), 416);
            assert_eq!(outside.headers()[CONTENT_RANGE], format!("bytes */{size}"));
            // Several ranges, and what is no range, get the whole.
            for range in ["bytes=0-1,3-4", "bytes=4-3", "lines=1-2"] {
                let got = site.request(Method::GET, &path).header(RANGE, range).send().await.unwrap();
                assert_eq!((got.status().as_u16(), got.bytes().await.unwrap().len()), (200, size), "{range}");
            }
        }
    });
}

#[test]
fn caches_can_ask_whether_it_is_the_same() {
    both(async |site| {
        let digest = site.push_blob("r", "content").await;
        site.push_image("r", "t").await;
        for path in [format!("/v2/r/blobs/{digest}"), "/v2/r/manifests/t".to_owned()] {
            let etag = header(&site.get(&path).await, ETAG.as_str());
            assert!(!etag.is_empty());
            let same = site.request(Method::GET, &path).header(IF_NONE_MATCH, &etag).send().await.unwrap();
            assert_eq!(same.status(), 304);
            let other = site.request(Method::GET, &path).header(IF_NONE_MATCH, "\"x\"").send().await.unwrap();
            assert_eq!(other.status(), 200);
        }
        let part = |tag: String| {
            let get = site.request(Method::GET, &format!("/v2/r/blobs/{digest}")).header(RANGE, "bytes=1-2");
            get.header(IF_RANGE, tag).send()
        };
        assert_eq!(part(format!("\"{digest}\"")).await.unwrap().status(), 206);
        assert_eq!(part("\"x\"".into()).await.unwrap().status(), 200);
    });
}

#[test]
fn a_blob_is_seen_only_where_it_was_pushed() {
    both(async |site| {
        let digest = site.push_blob("one", "secret").await;
        site.push_blob("two", "other").await;
        let there = site.get(&format!("/v2/two/blobs/{digest}")).await;
        assert_eq!(there.status(), 404);
        assert_eq!(code(there).await, "BLOB_UNKNOWN");
        // Nor can a manifest of the other repository claim it.
        let manifest = image(&digest, 6, &[]).to_string();
        assert_eq!(site.put_manifest("two", "t", OCI_MANIFEST, manifest).await.status(), 404);
    });
}

#[test]
fn unknown_manifest_types_are_kept() {
    both(async |site| {
        let body = r#"{ "schemaVersion":1,  "fsLayers":[] }"#;
        let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert_eq!(site.put_manifest("r", "old", media_type, body).await.status(), 201);
        let got = site.get("/v2/r/manifests/old").await;
        assert_eq!(got.headers()[CONTENT_TYPE], media_type);
        assert_eq!(got.text().await.unwrap(), body);
    });
}
