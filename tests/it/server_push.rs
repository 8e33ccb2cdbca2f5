//! Pushing to the embedded registry: uploads in all their forms, mounts, manifests.

use crate::support::*;
use parbuckle::Digest;
use parbuckle::registry::ServerOptions;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

#[test]
fn upload_starts_with_a_location() {
    both(async |site| {
        let started = site.send(Method::POST, "/v2/a/b/blobs/uploads/").await;
        assert_eq!(started.status(), 202);
        let location = header(&started, "location");
        let id = location.strip_prefix("/v2/a/b/blobs/uploads/").unwrap();
        assert_eq!((id.len(), id.matches('-').count()), (36, 4));
        assert_eq!(header(&started, "docker-upload-uuid"), id);
        assert_eq!(header(&started, "range"), "0-0");
        assert_ne!(site.upload("a/b").await, location);
    });
}

#[test]
fn monolithic_put_and_post() {
    both(async |site| {
        for bytes in [Vec::new(), noise(10), noise(1 << 20)] {
            let digest = Digest::sha256(&bytes);
            for name in ["put", "post"] {
                let sent = match name {
                    "put" => site.request(Method::PUT, &format!("{}?digest={digest}", site.upload(name).await)),
                    _ => site.request(Method::POST, &format!("/v2/{name}/blobs/uploads/?digest={digest}")),
                };
                let done = sent.body(bytes.clone()).send().await.unwrap();
                assert_eq!(done.status(), 201, "{name}");
                assert_eq!(header(&done, "location"), format!("/v2/{name}/blobs/{digest}"));
                assert_eq!(header(&done, "docker-content-digest"), digest.as_str());
                let got = site.get(&header(&done, "location")).await;
                assert!(got.bytes().await.unwrap() == bytes);
            }
        }
    });
}

#[test]
fn a_wrong_digest_stores_nothing() {
    both(async |site| {
        let wrong = Digest::sha256(b"something else");
        let location = site.upload("r").await;
        let put = site.request(Method::PUT, &format!("{location}?digest={wrong}")).body("content");
        let put = put.send().await.unwrap();
        assert_eq!(put.status(), 400);
        assert_eq!(code(put).await, "DIGEST_INVALID");
        // The session is over: nobody knows which of its bytes were wrong.
        assert_eq!(site.get(&location).await.status(), 404);
        let post = site.request(Method::POST, &format!("/v2/r/blobs/uploads/?digest={wrong}")).body("content");
        assert_eq!(code(post.send().await.unwrap()).await, "DIGEST_INVALID");
        for digest in [wrong, Digest::sha256(b"content")] {
            assert_eq!(site.head(&format!("/v2/r/blobs/{digest}")).await.status(), 404);
        }
        let location = site.upload("r").await;
        for query in ["", "?digest=", "?digest=md5:abc", "?digest=sha256:..%2F.."] {
            let put = site.request(Method::PUT, &format!("{location}{query}")).send().await.unwrap();
            assert_eq!(code(put).await, "DIGEST_INVALID", "{query}");
        }
        assert_eq!(site.get(&location).await.status(), 204);
    });
}

#[test]
fn chunks_in_order() {
    both(async |site| {
        let bytes = noise(700_000);
        let mut location = site.upload("r").await;
        for (first, end) in [(0, 100), (100, 400_000), (400_000, 600_000)] {
            let patch = site.request(Method::PATCH, &location).header(CONTENT_RANGE, format!("{first}-{}", end - 1));
            let patched = patch.body(bytes[first..end].to_vec()).send().await.unwrap();
            assert_eq!(patched.status(), 202);
            assert_eq!(header(&patched, "range"), format!("0-{}", end - 1));
            location = header(&patched, "location");
            let status = site.get(&location).await;
            assert_eq!(status.status(), 204);
            assert_eq!(header(&status, "range"), format!("0-{}", end - 1));
            assert_eq!(header(&status, "location"), location);
        }
        let digest = Digest::sha256(&bytes);
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}"));
        let put = put.header(CONTENT_RANGE, "600000-699999").body(bytes[600_000..].to_vec()).send().await.unwrap();
        assert_eq!(put.status(), 201);
        assert!(site.get(&format!("/v2/r/blobs/{digest}")).await.bytes().await.unwrap() == bytes);
        assert_eq!(site.get(&location).await.status(), 404);
    });
}

#[test]
fn one_patch_of_unknown_length_and_an_empty_put() {
    both(async |site| {
        let bytes = noise(900_000);
        let location = site.upload("r").await;
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> = bytes.chunks(123_456).map(|c| Ok(c.to_vec())).collect();
        let body = reqwest::Body::wrap(http_body_util::StreamBody::new(futures_util::stream::iter(
            pieces.into_iter().map(|p| p.map(|p| http_body::Frame::data(bytes::Bytes::from(p)))),
        )));
        let patched = site.request(Method::PATCH, &location).body(body).send().await.unwrap();
        assert_eq!(patched.status(), 202);
        assert_eq!(header(&patched, "range"), "0-899999");
        let digest = Digest::sha256(&bytes);
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).header(CONTENT_LENGTH, 0);
        assert_eq!(put.send().await.unwrap().status(), 201);
        assert!(site.get(&format!("/v2/r/blobs/{digest}")).await.bytes().await.unwrap() == bytes);
    });
}

#[test]
fn out_of_order_chunks_are_416() {
    both(async |site| {
        let location = site.upload("r").await;
        let patch = |range: &str, body: &'static str| {
            site.request(Method::PATCH, &location).header(CONTENT_RANGE, range.to_owned()).body(body).send()
        };
        assert_eq!(patch("3-5", "def").await.unwrap().status(), 416);
        assert_eq!(patch("0-2", "abc").await.unwrap().status(), 202);
        for range in ["0-2", "4-6", "2-4", "bytes 3-5/6", "3", "5-3"] {
            let refused = patch(range, "def").await.unwrap();
            assert_eq!(refused.status(), 416, "{range}");
            assert_eq!(header(&refused, "range"), "0-2");
            assert_eq!(header(&refused, "location"), location);
        }
        // The last chunk, in the closing request, is held to the same.
        let digest = Digest::sha256(b"abcdef");
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).header(CONTENT_RANGE, "4-6");
        assert_eq!(put.body("def").send().await.unwrap().status(), 416);
        // Nothing was lost by any of these.
        assert_eq!(patch("3-5", "def").await.unwrap().status(), 202);
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).send().await.unwrap();
        assert_eq!(put.status(), 201);
    });
}

#[test]
fn a_range_that_is_not_the_length_is_refused() {
    both(async |site| {
        let location = site.upload("r").await;
        let patch = site.request(Method::PATCH, &location).header(CONTENT_RANGE, "0-9").body("abc");
        let refused = patch.send().await.unwrap();
        assert_eq!(refused.status(), 400);
        assert_eq!(code(refused).await, "SIZE_INVALID");
        assert_eq!(header(&site.get(&location).await, "range"), "0-0");
    });
}

/// Sends the head of a PATCH and part of its body, then goes away.
fn broken_patch(site: &Site, location: &str, announced: usize, bytes: &[u8]) {
    let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
    write!(tcp, "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n").unwrap();
    tcp.write_all(bytes).unwrap();
}

#[test]
fn an_interrupted_patch_keeps_what_arrived() {
    both(async |site| {
        let bytes = noise(1_000_000);
        let location = site.upload("r").await;
        broken_patch(site, &location, bytes.len(), &bytes[..300_001]);
        let mut range = String::new();
        for _ in 0..200 {
            range = header(&site.get(&location).await, "range");
            if range == "0-300000" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(range, "0-300000");
        let patch = site.request(Method::PATCH, &location).header(CONTENT_RANGE, "300001-999999");
        assert_eq!(patch.body(bytes[300_001..].to_vec()).send().await.unwrap().status(), 202);
        let digest = Digest::sha256(&bytes);
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).send().await.unwrap();
        assert_eq!(put.status(), 201);
    });
}

#[test]
fn a_newer_request_takes_the_upload_over() {
    both(async |site| {
        let location = site.upload("r").await;
        // A client that hangs in the middle of its body, as behind a network that is gone.
        let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
        write!(tcp, "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let patch = site.request(Method::PATCH, &location).header(CONTENT_RANGE, "3-5").body("def");
        assert_eq!(patch.send().await.unwrap().status(), 202);
        let digest = Digest::sha256(b"abcdef");
        let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).send().await.unwrap();
        assert_eq!(put.status(), 201);
    });
}

#[test]
fn cancelled_uploads_are_gone() {
    both(async |site| {
        let location = site.upload("r").await;
        site.request(Method::PATCH, &location).body("abc").send().await.unwrap();
        let other = location.replace("/v2/r/", "/v2/other/");
        assert_eq!(site.delete(&other).await.status(), 404);
        assert_eq!(site.delete(&location).await.status(), 204);
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let gone = site.send(method, &location).await;
            assert_eq!(gone.status(), 404);
            assert_eq!(code(gone).await, "BLOB_UPLOAD_UNKNOWN");
        }
        if let Some(folder) = &site.folder {
            assert_eq!(std::fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
        }
    });
}

#[test]
fn too_many_uploads_and_old_ones() {
    let limit = |options: &mut ServerOptions| {
        options.upload_limits(2, Duration::from_millis(300));
    };
    both_with(limit, async |site| {
        let first = site.upload("r").await;
        site.request(Method::PATCH, &first).body(noise(100_000)).send().await.unwrap();
        site.upload("r").await;
        let refused = site.send(Method::POST, "/v2/r/blobs/uploads/").await;
        assert_eq!(refused.status(), 429);
        assert_eq!(code(refused).await, "TOOMANYREQUESTS");
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(site.get(&first).await.status(), 404);
        if let Some(folder) = &site.folder {
            assert_eq!(std::fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
        }
        site.upload("r").await;
    });
}

#[test]
fn mounts_from_where_it_is() {
    both(async |site| {
        let digest = site.push_blob("from", "shared").await;
        let mount = |query: String| site.send(Method::POST, query.leak());
        let mounted = mount(format!("/v2/to/blobs/uploads/?mount={digest}&from=from")).await;
        assert_eq!(mounted.status(), 201);
        assert_eq!(header(&mounted, "location"), format!("/v2/to/blobs/{digest}"));
        assert_eq!(header(&mounted, "docker-content-digest"), digest.as_str());
        assert_eq!(site.get(&format!("/v2/to/blobs/{digest}")).await.text().await.unwrap(), "shared");
        let none = Digest::sha256(b"none");
        for query in [
            format!("/v2/to2/blobs/uploads/?mount={digest}"),
            format!("/v2/to2/blobs/uploads/?mount={digest}&from=nowhere"),
            format!("/v2/to2/blobs/uploads/?mount={none}&from=from"),
            "/v2/to2/blobs/uploads/?mount=nonsense&from=from".to_owned(),
            format!("/v2/to2/blobs/uploads/?mount={digest}&from=NO"),
        ] {
            let started = mount(query.clone()).await;
            assert_eq!(started.status(), 202, "{query}");
            assert!(!header(&started, "location").is_empty());
        }
        assert_eq!(site.get(&format!("/v2/to2/blobs/{digest}")).await.status(), 404);
        // Deleting it in one repository leaves it in the other, and not in the first.
        assert_eq!(site.delete(&format!("/v2/from/blobs/{digest}")).await.status(), 202);
        assert_eq!(site.get(&format!("/v2/from/blobs/{digest}")).await.status(), 404);
        assert_eq!(site.get(&format!("/v2/to/blobs/{digest}")).await.status(), 200);
        assert_eq!(site.get(&format!("/v2/from/blobs/{digest}")).await.status(), 404);
    });
}

#[test]
fn sha512_is_as_good() {
    both(async |site| {
        let bytes = noise(300_000);
        let digest = sha512(&bytes);
        // Told at the start, told at the end, in one request.
        let told = site.send(Method::POST, "/v2/r/blobs/uploads/?digest-algorithm=sha512").await;
        for (name, location) in [("r", header(&told, "location")), ("s", site.upload("s").await)] {
            let put = site.request(Method::PUT, &format!("{location}?digest={digest}")).body(bytes.clone());
            assert_eq!(put.send().await.unwrap().status(), 201);
            let got = site.get(&format!("/v2/{name}/blobs/{digest}")).await;
            assert_eq!(header(&got, "docker-content-digest"), digest.as_str());
            assert!(got.bytes().await.unwrap() == bytes);
        }
        let config = sha512(b"{}");
        let post = site.request(Method::POST, &format!("/v2/r/blobs/uploads/?digest={config}")).body("{}");
        assert_eq!(post.send().await.unwrap().status(), 201);
        let manifest = image(&config, 2, &[(digest, 300_000)]).to_string();
        let name = sha512(manifest.as_bytes());
        let put = site.put_manifest("r", name.as_str(), OCI_MANIFEST, manifest.clone()).await;
        assert_eq!((put.status().as_u16(), header(&put, "docker-content-digest")), (201, name.to_string()));
        assert_eq!(site.get(&format!("/v2/r/manifests/{name}")).await.text().await.unwrap(), manifest);
        let refused = site.send(Method::POST, "/v2/r/blobs/uploads/?digest-algorithm=md5").await;
        assert_eq!(refused.status(), 400);
    });
}

#[test]
fn manifest_push_answers_where_it_is() {
    both(async |site| {
        let config = site.push_blob("r", "{}").await;
        // Odd spacing and unknown fields: not a byte may change.
        let body = format!(
            "{{ \"schemaVersion\":2,\"x-own\": [1,  2],\"config\":{{\"mediaType\":\"{OCI_CONFIG}\",\"size\":2,\
             \"digest\":\"{config}\"}},\n\"layers\":[]}}"
        );
        let digest = Digest::sha256(body.as_bytes());
        for reference in ["v1", digest.as_str()] {
            let put = site.put_manifest("r", reference, &format!("{OCI_MANIFEST}; charset=utf-8"), body.clone()).await;
            assert_eq!(put.status(), 201);
            assert_eq!(header(&put, "location"), format!("/v2/r/manifests/{digest}"));
            assert_eq!(header(&put, "docker-content-digest"), digest.as_str());
            let got = site.get(&header(&put, "location")).await;
            assert_eq!(header(&got, "content-type"), OCI_MANIFEST);
            assert_eq!(got.text().await.unwrap(), body);
        }
    });
}

#[test]
fn manifests_that_make_no_sense_are_refused() {
    both(async |site| {
        let config = site.push_blob("r", "{}").await;
        let good = image(&config, 2, &[]);
        let with = |key: &str, value: Value| {
            let mut changed = good.clone();
            changed[key] = value;
            changed.to_string()
        };
        for (what, media_type, body) in [
            ("no JSON", OCI_MANIFEST, "{".to_owned()),
            ("not an object", OCI_MANIFEST, "[]".to_owned()),
            ("another mediaType", OCI_MANIFEST, with("mediaType", OCI_INDEX.into())),
            ("image and index", OCI_MANIFEST, with("manifests", json!([]))),
            ("an index with layers", OCI_INDEX, json!({"schemaVersion":2,"manifests":[],"layers":[]}).to_string()),
            ("no config", OCI_MANIFEST, json!({"schemaVersion":2,"layers":[]}).to_string()),
            ("a digest that is none", OCI_MANIFEST, with("layers", json!([{"digest":"sha256:..","size":1}]))),
            ("a negative size", OCI_MANIFEST, with("layers", json!([{"digest":config.as_str(),"size":-1}]))),
            ("a key twice", OCI_MANIFEST, good.to_string().replacen('{', "{\"layers\":[],", 1)),
            ("no type", "", json!({"schemaVersion":2}).to_string()),
        ] {
            let put = site.put_manifest("r", "t", media_type, body).await;
            assert_eq!(put.status(), 400, "{what}");
            assert_eq!(code(put).await, "MANIFEST_INVALID", "{what}");
        }
        let put = site.put_manifest("r", "-bad", OCI_MANIFEST, good.to_string()).await;
        assert_eq!(put.status(), 400);
        let other = Digest::sha256(b"other");
        let put = site.put_manifest("r", other.as_str(), OCI_MANIFEST, good.to_string()).await;
        assert_eq!(put.status(), 400);
        assert_eq!(code(put).await, "DIGEST_INVALID");
        assert_eq!(site.get("/v2/r/manifests/t").await.status(), 404);
    });
}

#[test]
fn deep_nesting_does_no_harm() {
    both(async |site| {
        let deep = format!("{{\"schemaVersion\":2,\"x\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
        for media_type in [OCI_MANIFEST, "application/x-other"] {
            assert_eq!(site.put_manifest("r", "t", media_type, deep.clone()).await.status(), 400);
        }
    });
}

#[test]
fn missing_references_are_all_named() {
    both(async |site| {
        let config = site.push_blob("r", "{}").await;
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let put =
            site.put_manifest("r", "t", OCI_MANIFEST, image(&config, 2, &[(a.clone(), 1), (b.clone(), 1)]).to_string());
        let put = put.await;
        assert_eq!(put.status(), 404);
        let errors: Value = serde_json::from_str(&put.text().await.unwrap()).unwrap();
        let mut named = Vec::new();
        for error in errors["errors"].as_array().unwrap() {
            assert_eq!(error["code"], "MANIFEST_BLOB_UNKNOWN");
            named.push(error["detail"]["digest"].as_str().unwrap().to_owned());
        }
        named.sort();
        let mut expected = vec![a.to_string(), b.to_string()];
        expected.sort();
        assert_eq!(named, expected);
        let index = json!({"schemaVersion":2,"mediaType":OCI_INDEX,"manifests":[descriptor(OCI_MANIFEST, &a, 1)]});
        let put = site.put_manifest("r", "i", OCI_INDEX, index.to_string()).await;
        assert_eq!(code(put).await, "MANIFEST_BLOB_UNKNOWN");
        // Layers that are kept elsewhere need not be here.
        let mut foreign = image(&config, 2, &[(a, 1)]);
        foreign["layers"][0]["urls"] = json!(["https://elsewhere.example/a"]);
        assert_eq!(site.put_manifest("r", "f", OCI_MANIFEST, foreign.to_string()).await.status(), 201);
        let mut kept_back = image(&config, 2, &[(b, 1)]);
        kept_back["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
        assert_eq!(site.put_manifest("r", "n", OCI_MANIFEST, kept_back.to_string()).await.status(), 201);
    });
}

#[test]
fn an_index_of_what_is_there() {
    both(async |site| {
        let child = site.push_image("r", "child").await;
        let of = descriptor(OCI_MANIFEST, &Digest::sha256(&child), child.len() as u64);
        let index = json!({"schemaVersion":2,"mediaType":OCI_INDEX,"manifests":[of]}).to_string();
        assert_eq!(site.put_manifest("r", "index", OCI_INDEX, index.clone()).await.status(), 201);
        let got = site.get("/v2/r/manifests/index").await;
        assert_eq!(header(&got, "content-type"), OCI_INDEX);
        assert_eq!(got.text().await.unwrap(), index);
    });
}

#[test]
fn manifests_up_to_4_mib() {
    both(async |site| {
        let config = site.push_blob("r", "{}").await;
        let mut manifest = image(&config, 2, &[]);
        let room = (4 << 20) - manifest.to_string().len() - r#","annotations":{"x":""}"#.len();
        manifest["annotations"] = json!({"x": "y".repeat(room)});
        let body = manifest.to_string();
        assert_eq!(body.len(), 4 << 20);
        assert_eq!(site.put_manifest("r", "big", OCI_MANIFEST, body.clone()).await.status(), 201);
        assert_eq!(site.get("/v2/r/manifests/big").await.bytes().await.unwrap(), body);
        let put = site.put_manifest("r", "bigger", OCI_MANIFEST, format!("{body} ")).await;
        assert_eq!(put.status(), 413);
        // One that does not tell its length is not read to its end either.
        let frames =
            (0..80).map(|_| Ok::<_, std::io::Error>(http_body::Frame::data(bytes::Bytes::from(vec![b' '; 1 << 16]))));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let put = site.request(Method::PUT, "/v2/r/manifests/endless").header("content-type", OCI_MANIFEST);
        assert_eq!(put.body(reqwest::Body::wrap(body)).send().await.unwrap().status(), 413);
    });
}

#[test]
fn a_tag_moves() {
    both(async |site| {
        let one = site.push_image("r", "t").await;
        let two = site.push_image("r", "other").await;
        assert_ne!(one, two);
        assert_eq!(site.put_manifest("r", "t", OCI_MANIFEST, two.clone()).await.status(), 201);
        assert_eq!(site.get("/v2/r/manifests/t").await.bytes().await.unwrap(), two);
        let old = site.get(&format!("/v2/r/manifests/{}", Digest::sha256(&one))).await;
        assert_eq!(old.bytes().await.unwrap(), one);
    });
}

#[test]
fn many_clients_push_the_same() {
    both(async |site| {
        let bytes = noise(400_000);
        let digest = Digest::sha256(&bytes);
        let pushes = (0..8).map(|i| {
            let (name, bytes) = (format!("r{}", i % 3), &bytes);
            async move {
                let digest = site.push_blob(&name, bytes).await;
                let manifest = image(&digest, 400_000, &[]).to_string();
                assert_eq!(site.put_manifest(&name, "t", OCI_MANIFEST, manifest).await.status(), 201);
            }
        });
        futures_util::future::join_all(pushes).await;
        for i in 0..3 {
            let got = site.request(Method::GET, &format!("/v2/r{i}/blobs/{digest}")).header(RANGE, "bytes=1-");
            assert!(got.send().await.unwrap().bytes().await.unwrap() == bytes[1..]);
        }
    });
}

#[test]
fn single_post_cut_short_stores_nothing() {
    both(async |site| {
        let digest = Digest::sha256(b"abc");
        let mut tcp = std::net::TcpStream::connect(site.server.address()).unwrap();
        let path = format!("/v2/r/blobs/uploads/?digest={digest}");
        write!(tcp, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        while site.logged(|l| l["method"] == "POST" && l.get("running").is_none()).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(site.head(&format!("/v2/r/blobs/{digest}")).await.status(), 404);
    });
}

#[test]
fn no_minimum_chunk_size() {
    both(async |site| {
        let started = site.send(Method::POST, "/v2/r/blobs/uploads/").await;
        assert_eq!(header(&started, "oci-chunk-min-length"), "");
        let location = header(&started, "location");
        for (at, byte) in ["a", "b", "c"].into_iter().enumerate() {
            let patch = site.request(Method::PATCH, &location).header(CONTENT_RANGE, format!("{at}-{at}"));
            assert_eq!(patch.body(byte).send().await.unwrap().status(), 202);
        }
        let put = format!("{location}?digest={}", Digest::sha256(b"abc"));
        assert_eq!(site.send(Method::PUT, &put).await.status(), 201);
    });
}
