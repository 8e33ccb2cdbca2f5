//! What is in the registry, and how it gets out again: tags, the catalog, referrers, deletion.

use crate::support::*;
use parbuckle::Digest;
use serde_json::{Value, json};

async fn json_of(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// The path in a Link header that leads on; empty if there is none.
fn next(response: &reqwest::Response) -> String {
    let link = header(response, "link");
    let path = link.strip_prefix('<').and_then(|l| l.strip_suffix(r#">; rel="next""#));
    assert!(link.is_empty() || path.is_some(), "{link}");
    path.unwrap_or_default().to_owned()
}

#[test]
fn tags_are_sorted_and_paged() {
    both(async |site| {
        let config = site.push_blob("a/b", "{}").await;
        for tag in ["v2", "v10", "latest", "A", "_x"] {
            let put = site.put_manifest("a/b", tag, OCI_MANIFEST, image(&config, 2, &[]).to_string()).await;
            assert_eq!(put.status(), 201);
        }
        let all = ["A", "_x", "latest", "v10", "v2"];
        let list = site.get("/v2/a/b/tags/list").await;
        assert_eq!(next(&list), "");
        assert_eq!(json_of(list).await, json!({"name": "a/b", "tags": all}));
        for n in 1..=6 {
            let (mut path, mut seen) = (format!("/v2/a/b/tags/list?n={n}"), Vec::new());
            while !path.is_empty() {
                let page = site.get(&path).await;
                path = next(&page);
                let tags = json_of(page).await["tags"].as_array().unwrap().clone();
                assert!(tags.len() == n || path.is_empty());
                seen.extend(tags);
            }
            assert_eq!(json!(seen), json!(all), "n={n}");
        }
        let none = site.get("/v2/a/b/tags/list?n=0").await;
        assert_eq!(next(&none), "");
        assert_eq!(json_of(none).await["tags"], json!([]));
        assert_eq!(json_of(site.get("/v2/a/b/tags/list?last=latest").await).await["tags"], json!(["v10", "v2"]));
        assert_eq!(json_of(site.get("/v2/a/b/tags/list?n=1&last=b").await).await["tags"], json!(["latest"]));
        assert_eq!(json_of(site.get("/v2/a/b/tags/list?n=9&last=z").await).await["tags"], json!([]));
    });
}

#[test]
fn page_sizes_that_are_none() {
    both(async |site| {
        site.push_image("r", "t").await;
        for path in ["/v2/r/tags/list", "/v2/_catalog"] {
            for n in ["-1", "x", "", "1.5", "0x10"] {
                let refused = site.get(&format!("{path}?n={n}")).await;
                assert_eq!(refused.status(), 400, "{path} {n}");
                code(refused).await;
            }
            for n in ["2147483648", "99999999999999999999999999"] {
                assert_eq!(site.get(&format!("{path}?n={n}")).await.status(), 200, "{path} {n}");
            }
        }
    });
}

#[test]
fn an_empty_repository_has_no_tags() {
    both(async |site| {
        site.push_blob("r", "x").await;
        assert_eq!(json_of(site.get("/v2/r/tags/list").await).await, json!({"name": "r", "tags": []}));
    });
}

#[test]
fn the_catalog_is_sorted_and_paged() {
    both(async |site| {
        for name in ["b", "a/c", "a", "a-b", "a/b/c"] {
            site.push_blob(name, "x").await;
        }
        site.upload("unfinished").await;
        let all = json!(["a", "a-b", "a/b/c", "a/c", "b"]);
        assert_eq!(json_of(site.get("/v2/_catalog").await).await["repositories"], all);
        let (mut path, mut seen) = ("/v2/_catalog?n=2".to_owned(), Vec::new());
        while !path.is_empty() {
            let page = site.get(&path).await;
            path = next(&page);
            seen.extend(json_of(page).await["repositories"].as_array().unwrap().clone());
        }
        assert_eq!(json!(seen), all);
    });
}

/// Pushes a manifest with a subject and gives its digest.
async fn attach(site: &Site, subject: &Digest, change: impl Fn(&mut Value)) -> Digest {
    let config = site.push_blob("r", "{}").await;
    let mut manifest = image(&config, 2, &[]);
    manifest["subject"] = descriptor(OCI_MANIFEST, subject, 7);
    change(&mut manifest);
    let body = manifest.to_string();
    let digest = Digest::sha256(body.as_bytes());
    let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
    let put = site.put_manifest("r", digest.as_str(), &media_type, body).await;
    assert_eq!(put.status(), 201);
    assert_eq!(header(&put, "oci-subject"), subject.as_str());
    digest
}

#[test]
fn referrers_are_listed() {
    both(async |site| {
        // The subject need not be there, and is the same when it comes later.
        let subject = Digest::sha256(b"not pushed yet");
        let path = format!("/v2/r/referrers/{subject}");
        assert_eq!(json_of(site.get(&path).await).await["manifests"], json!([]));
        let plain = attach(site, &subject, |_| {}).await;
        let typed = attach(site, &subject, |m| {
            m["artifactType"] = "application/x-sbom+json".into();
            m["annotations"] = json!({"k": "v", "\u{e9}": "\u{1f600}"});
        });
        let typed = typed.await;
        let index = attach(site, &subject, |m| {
            *m = json!({"schemaVersion":2,"mediaType":OCI_INDEX,"manifests":[],"subject":m["subject"],"annotations":{"i":"1"}});
        });
        let index = index.await;
        attach(site, &Digest::sha256(b"another"), |_| {}).await;
        let got = site.get(&path).await;
        assert_eq!(header(&got, "content-type"), OCI_INDEX);
        assert_eq!(header(&got, "oci-filters-applied"), "");
        let list = json_of(got).await;
        assert_eq!((&list["schemaVersion"], &list["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
        let entry = |digest: &Digest| {
            let found = list["manifests"].as_array().unwrap().iter().find(|m| m["digest"] == digest.as_str());
            found.unwrap_or_else(|| panic!("{digest} in {list}")).clone()
        };
        assert_eq!(list["manifests"].as_array().unwrap().len(), 3);
        assert_eq!(entry(&plain)["artifactType"], OCI_CONFIG);
        assert_eq!(entry(&plain)["mediaType"], OCI_MANIFEST);
        assert_eq!(entry(&plain).get("annotations"), None);
        assert_eq!(entry(&typed)["artifactType"], "application/x-sbom+json");
        assert_eq!(entry(&typed)["annotations"], json!({"k": "v", "\u{e9}": "\u{1f600}"}));
        assert_eq!(entry(&index).get("artifactType"), None);
        assert_eq!(entry(&index)["annotations"], json!({"i": "1"}));
        let stored = site.get(&format!("/v2/r/manifests/{typed}")).await;
        assert_eq!(header(&stored, "content-length"), entry(&typed)["size"].to_string());
    });
}

#[test]
fn referrers_are_filtered() {
    both(async |site| {
        let subject = Digest::sha256(b"s");
        let a = attach(site, &subject, |m| m["artifactType"] = "application/x-a+json".into()).await;
        attach(site, &subject, |m| m["artifactType"] = "application/x-b".into()).await;
        for kind in ["application/x-a+json", "application%2Fx-a%2Bjson"] {
            let got = site.get(&format!("/v2/r/referrers/{subject}?artifactType={kind}")).await;
            assert_eq!(header(&got, "oci-filters-applied"), "artifactType");
            let list = json_of(got).await;
            assert_eq!(list["manifests"].as_array().unwrap().len(), 1);
            assert_eq!(list["manifests"][0]["digest"], a.as_str());
        }
        let none = json_of(site.get(&format!("/v2/r/referrers/{subject}?artifactType=x/y")).await).await;
        assert_eq!(none["manifests"], json!([]));
    });
}

#[test]
fn referrers_come_in_pages() {
    both(async |site| {
        let subject = Digest::sha256(b"s");
        let mut expected = Vec::new();
        for i in 0..5 {
            let kind = if i == 2 { "x/other" } else { "x/y+z" };
            let digest = attach(site, &subject, |m| {
                m["artifactType"] = kind.into();
                m["annotations"] = json!({"i": i.to_string()});
            });
            let digest = digest.await;
            if i != 2 {
                expected.push(digest.to_string());
            }
        }
        expected.sort();
        let (mut path, mut seen, mut pages) =
            (format!("/v2/r/referrers/{subject}?n=3&artifactType=x/y%2Bz"), Vec::new(), 0);
        while !path.is_empty() {
            let page = site.get(&path).await;
            assert_eq!(header(&page, "oci-filters-applied"), "artifactType");
            path = next(&page);
            let list = json_of(page).await;
            seen.extend(list["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap().to_owned()));
            pages += 1;
        }
        assert_eq!((seen, pages), (expected, 2));
    });
}

#[test]
fn a_long_list_of_referrers_is_cut() {
    both(async |site| {
        let subject = Digest::sha256(b"s");
        for i in 0..3 {
            attach(site, &subject, |m| m["annotations"] = json!({"i": i.to_string().repeat(2 << 20)})).await;
        }
        let (mut path, mut seen) = (format!("/v2/r/referrers/{subject}"), 0);
        while !path.is_empty() {
            let page = site.get(&path).await;
            path = next(&page);
            let text = page.text().await.unwrap();
            assert!(text.len() < 4 << 20);
            let list: Value = serde_json::from_str(&text).unwrap();
            seen += list["manifests"].as_array().unwrap().len();
        }
        assert_eq!(seen, 3);
    });
}

#[test]
fn a_deleted_manifest_refers_no_more() {
    both(async |site| {
        let subject = Digest::sha256(b"s");
        let digest = attach(site, &subject, |_| {}).await;
        assert_eq!(site.delete(&format!("/v2/r/manifests/{digest}")).await.status(), 202);
        assert_eq!(json_of(site.get(&format!("/v2/r/referrers/{subject}")).await).await["manifests"], json!([]));
    });
}

#[test]
fn deleting_a_tag_leaves_the_manifest() {
    both(async |site| {
        let body = site.push_image("r", "one").await;
        site.put_manifest("r", "two", OCI_MANIFEST, body.clone()).await;
        assert_eq!(site.delete("/v2/r/manifests/one").await.status(), 202);
        assert_eq!(site.get("/v2/r/manifests/one").await.status(), 404);
        assert_eq!(site.get("/v2/r/manifests/two").await.status(), 200);
        assert_eq!(site.get(&format!("/v2/r/manifests/{}", Digest::sha256(&body))).await.status(), 200);
        let again = site.delete("/v2/r/manifests/one").await;
        assert_eq!(again.status(), 404);
        assert_eq!(code(again).await, "MANIFEST_UNKNOWN");
    });
}

#[test]
fn deleting_a_manifest_takes_its_tags() {
    both(async |site| {
        let body = site.push_image("r", "one").await;
        site.put_manifest("r", "two", OCI_MANIFEST, body.clone()).await;
        let other = site.push_image("r", "three").await;
        let path = format!("/v2/r/manifests/{}", Digest::sha256(&body));
        assert_eq!(site.delete(&path).await.status(), 202);
        for path in [&path, "/v2/r/manifests/one", "/v2/r/manifests/two"] {
            assert_eq!(site.get(path).await.status(), 404);
        }
        assert_eq!(site.get("/v2/r/manifests/three").await.bytes().await.unwrap(), other);
        assert_eq!(json_of(site.get("/v2/r/tags/list").await).await["tags"], json!(["three"]));
        assert_eq!(site.delete(&path).await.status(), 404);
        assert_eq!(code(site.delete(&path.replace("/v2/r/", "/v2/nowhere/")).await).await, "NAME_UNKNOWN");
    });
}

#[test]
fn deleting_a_blob() {
    both(async |site| {
        let digest = site.push_blob("r", noise(100_000)).await;
        let path = format!("/v2/r/blobs/{digest}");
        assert_eq!(site.delete(&path).await.status(), 202);
        assert_eq!(site.head(&path).await.status(), 404);
        let again = site.delete(&path).await;
        assert_eq!(again.status(), 404);
        assert_eq!(code(again).await, "BLOB_UNKNOWN");
        if let Some(folder) = &site.folder {
            let hex = digest.hex();
            let content = folder.path().join("blobs/sha256").join(&hex[..2]).join(hex);
            assert!(!content.exists(), "the bytes of a blob that nobody has are freed");
        }
        site.push_blob("r", noise(100_000)).await;
        assert_eq!(site.head(&path).await.status(), 200);
    });
}

#[test]
fn referrers_of_nothing_are_an_empty_list() {
    both(async |site| {
        let digest = Digest::sha256(b"x");
        for name in ["nowhere", "r"] {
            let got = site.get(&format!("/v2/{name}/referrers/{digest}")).await;
            assert_eq!(header(&got, "content-type"), OCI_INDEX);
            assert_eq!(json_of(got).await["manifests"], json!([]));
            site.push_blob("r", "x").await;
        }
    });
}
