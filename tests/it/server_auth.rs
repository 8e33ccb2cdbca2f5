//! Who gets in: passwords, tokens, TLS.

use crate::support::*;
use parbuckle::Digest;
use parbuckle::registry::{Server, ServerOptions};
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

fn basic(options: &mut ServerOptions) {
    options.add_user("alice", "pass:word").add_user("bob", "b");
}
fn tokens(options: &mut ServerOptions) {
    options.add_user("alice", "secret").token_auth(Duration::from_secs(60)).anonymous_read(true);
}

/// The parameters of a bearer challenge.
fn challenge(response: &Response) -> (String, String) {
    let text = header(response, WWW_AUTHENTICATE.as_str());
    let part = |name: &str| {
        let from = text.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
        from.split('"').next().unwrap_or_default().to_owned()
    };
    assert!(text.starts_with("Bearer "), "{text}");
    (part("realm"), part("scope"))
}

async fn token(site: &Site, user: Option<(&str, &str)>, scopes: &[&str]) -> String {
    let scopes: String = scopes.iter().map(|s| format!("&scope={s}")).collect();
    let mut get = site.request(Method::GET, &format!("/token?service=parbuckle{scopes}"));
    if let Some((name, password)) = user {
        get = get.basic_auth(name, Some(password));
    }
    let got = get.send().await.unwrap();
    assert_eq!(got.status(), 200);
    let reply: Value = serde_json::from_str(&got.text().await.unwrap()).unwrap();
    assert_eq!(reply["token"], reply["access_token"]);
    reply["token"].as_str().unwrap().to_owned()
}

#[test]
fn passwords() {
    both_with(basic, async |site| {
        let refused = site.get("/v2/").await;
        assert_eq!(refused.status(), 401);
        assert!(header(&refused, "www-authenticate").starts_with("Basic realm="));
        assert_eq!(header(&refused, "docker-distribution-api-version"), "registry/2.0");
        assert_eq!(code(refused).await, "UNAUTHORIZED");
        for (name, password, status) in [
            ("alice", "pass:word", 200),
            ("bob", "b", 200),
            ("alice", "b", 401),
            ("alice", "", 401),
            ("carol", "b", 401),
            ("", "", 401),
        ] {
            let got = site.request(Method::GET, "/v2/").basic_auth(name, Some(password)).send().await.unwrap();
            assert_eq!(got.status(), status, "{name}:{password}");
        }
        for header in ["Basic", "Basic !!", "Bearer YWxpY2U6cGFzczp3b3Jk", "basic  YWxpY2U6cGFzczp3b3Jk "] {
            let got = site.request(Method::GET, "/v2/").header(AUTHORIZATION, header).send().await.unwrap();
            assert_eq!(got.status(), if header.starts_with("basic") { 200 } else { 401 }, "{header}");
        }
        let push = site.request(Method::POST, "/v2/r/blobs/uploads/");
        assert_eq!(push.basic_auth("bob", Some("b")).send().await.unwrap().status(), 202);
        assert_eq!(site.send(Method::POST, "/v2/r/blobs/uploads/").await.status(), 401);
    });
}

#[test]
fn everybody_may_read_if_told_so() {
    let options = |options: &mut ServerOptions| {
        basic(options);
        options.anonymous_read(true);
    };
    both_with(options, async |site| {
        let digest = Digest::sha256(b"x");
        let post = site.request(Method::POST, &format!("/v2/r/blobs/uploads/?digest={digest}")).body("x");
        assert_eq!(post.basic_auth("bob", Some("b")).send().await.unwrap().status(), 201);
        assert_eq!(site.get(&format!("/v2/r/blobs/{digest}")).await.status(), 200);
        assert_eq!(site.get("/v2/r/tags/list").await.status(), 200);
        assert_eq!(site.delete(&format!("/v2/r/blobs/{digest}")).await.status(), 401);
        assert_eq!(site.get("/v2/_catalog").await.status(), 401);
        // A wrong password is wrong, even for what needs none.
        let wrong = site.request(Method::GET, "/v2/r/tags/list").basic_auth("bob", Some("x")).send().await.unwrap();
        assert_eq!(wrong.status(), 401);
    });
}

#[test]
fn the_way_to_a_token() {
    both_with(tokens, async |site| {
        let refused = site.send(Method::POST, "/v2/a/b/blobs/uploads/").await;
        assert_eq!(refused.status(), 401);
        let (realm, scope) = challenge(&refused);
        assert_eq!(realm, site.url("/token"));
        assert_eq!(scope, "repository:a/b:pull,push");
        assert_eq!(code(refused).await, "UNAUTHORIZED");
        let token = token(site, Some(("alice", "secret")), &[&scope]).await;
        let started = site.request(Method::POST, "/v2/a/b/blobs/uploads/").bearer_auth(&token).send().await.unwrap();
        assert_eq!(started.status(), 202);
        // It opens nothing else: the client is sent for more.
        for (method, path, wanted) in [
            (Method::POST, "/v2/other/blobs/uploads/", "repository:other:pull,push"),
            (Method::DELETE, "/v2/a/b/manifests/t", "repository:a/b:delete"),
            (Method::GET, "/v2/_catalog", "registry:catalog:*"),
        ] {
            let refused = site.request(method, path).bearer_auth(&token).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{path}");
            assert_eq!(challenge(&refused).1, wanted);
            assert!(header(&refused, "www-authenticate").contains("insufficient_scope"));
        }
        assert_eq!(site.request(Method::GET, "/v2/").bearer_auth(&token).send().await.unwrap().status(), 200);
        assert!(!site.server.requests().concat().contains(&token));
    });
}

#[test]
fn token_service_checks_the_password() {
    both_with(tokens, async |site| {
        for (name, password) in [("alice", "wrong"), ("carol", "secret")] {
            let got = site.request(Method::GET, "/token?service=parbuckle").basic_auth(name, Some(password));
            let got = got.send().await.unwrap();
            assert_eq!(got.status(), 401);
            assert_eq!(code(got).await, "UNAUTHORIZED");
        }
        assert_eq!(site.get("/token?service=other").await.status(), 400);
    });
}

#[test]
fn anonymous_tokens_only_read() {
    both_with(tokens, async |site| {
        let scope = ["repository:r:pull,push"];
        let (alice, nobody) = (token(site, Some(("alice", "secret")), &scope).await, token(site, None, &scope).await);
        let digest = Digest::sha256(b"x");
        let path = format!("/v2/r/blobs/uploads/?digest={digest}");
        let denied = site.request(Method::POST, &path).bearer_auth(&nobody).body("x").send().await.unwrap();
        assert_eq!(denied.status(), 401, "a login may help");
        assert!(header(&denied, "www-authenticate").contains("insufficient_scope"));
        let pushed = site.request(Method::POST, &path).bearer_auth(&alice).body("x").send().await.unwrap();
        assert_eq!(pushed.status(), 201);
        let blob = format!("/v2/r/blobs/{digest}");
        assert_eq!(site.request(Method::GET, &blob).bearer_auth(&nobody).send().await.unwrap().status(), 200);
        assert_eq!(site.get(&blob).await.status(), 200);
    });
}

#[test]
fn several_scopes_in_one_token_and_mounts_between_them() {
    let options = |options: &mut ServerOptions| {
        options.add_user("alice", "secret").token_auth(Duration::from_secs(60));
    };
    both_with(options, async |site| {
        let alice = Some(("alice", "secret"));
        let both = token(site, alice, &["repository:from:pull,push", "repository:to:pull,push"]).await;
        let digest = Digest::sha256(b"x");
        let post = site.request(Method::POST, &format!("/v2/from/blobs/uploads/?digest={digest}"));
        assert_eq!(post.bearer_auth(&both).body("x").send().await.unwrap().status(), 201);
        let mount = format!("/v2/to/blobs/uploads/?mount={digest}&from=from");
        // Who may not read it there does not get it here, and may upload it.
        let one = token(site, alice, &["repository:to:pull,push"]).await;
        assert_eq!(site.request(Method::POST, &mount).bearer_auth(&one).send().await.unwrap().status(), 202);
        assert_eq!(site.request(Method::POST, &mount).bearer_auth(&both).send().await.unwrap().status(), 201);
    });
}

#[test]
fn tokens_run_out() {
    let options = |options: &mut ServerOptions| {
        options.add_user("alice", "secret").token_auth(Duration::from_secs(1));
    };
    both_with(options, async |site| {
        let token = token(site, Some(("alice", "secret")), &["repository:r:pull,push"]).await;
        let post = || site.request(Method::POST, "/v2/r/blobs/uploads/").bearer_auth(&token).send();
        assert_eq!(post().await.unwrap().status(), 202);
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let refused = post().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(header(&refused, "www-authenticate").contains("invalid_token"));
    });
}

#[test]
fn tokens_that_are_none() {
    both_with(tokens, async |site| {
        let good = token(site, Some(("alice", "secret")), &["repository:r:pull,push"]).await;
        let mut parts: Vec<&str> = good.split('.').collect();
        parts[0] = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
        let none = format!("{}.{}.", parts[0], parts[1]);
        for bad in [parts.join("."), none, "x".into(), "..".into(), String::new(), good[..good.len() - 2].to_owned()] {
            let post = site.request(Method::POST, "/v2/r/blobs/uploads/").bearer_auth(&bad).send().await.unwrap();
            assert_eq!(post.status(), 401, "{bad}");
        }
    });
}

#[test]
fn a_token_of_another_server_is_refused() {
    let mut options = ServerOptions::new();
    tokens(&mut options);
    let (one, two) = (Site::start(&options), Site::start(&options));
    block_on(async {
        let foreign = token(&two, Some(("alice", "secret")), &["repository:r:pull,push"]).await;
        let post = |site: &Site| site.request(Method::POST, "/v2/r/blobs/uploads/").bearer_auth(&foreign).send();
        assert_eq!(post(&one).await.unwrap().status(), 401);
        assert_eq!(post(&two).await.unwrap().status(), 202);
    });
}

#[test]
fn oauth2_forms() {
    both_with(tokens, async |site| {
        let post = |form: String| {
            let post = site.request(Method::POST, "/token").header("content-type", "application/x-www-form-urlencoded");
            post.body(form).send()
        };
        let scope = "scope=repository%3Ar%3Apull%2Cpush+repository%3As%3Apull";
        let form =
            format!("grant_type=password&service=parbuckle&username=alice&password=secret&access_type=offline&{scope}");
        let got: Value = serde_json::from_str(&post(form).await.unwrap().text().await.unwrap()).unwrap();
        assert_eq!(got["scope"], "repository:r:pull,push repository:s:pull");
        let refresh = got["refresh_token"].as_str().unwrap().to_owned();
        let got =
            post(format!("grant_type=refresh_token&service=parbuckle&refresh_token={refresh}&{scope}")).await.unwrap();
        let got: Value = serde_json::from_str(&got.text().await.unwrap()).unwrap();
        let started =
            site.request(Method::POST, "/v2/r/blobs/uploads/").bearer_auth(got["access_token"].as_str().unwrap());
        assert_eq!(started.send().await.unwrap().status(), 202);
        // A refresh token is for the token service alone, and an access token is no refresh token.
        let as_access = site.request(Method::GET, "/v2/").bearer_auth(&refresh).send().await.unwrap();
        assert_eq!(as_access.status(), 401);
        let access = got["access_token"].as_str().unwrap();
        for form in [
            format!("grant_type=refresh_token&refresh_token={access}"),
            "grant_type=password&username=alice&password=x".to_owned(),
        ] {
            assert_eq!(post(form).await.unwrap().status(), 401);
        }
        assert_eq!(post("grant_type=other".into()).await.unwrap().status(), 400);
    });
}

#[test]
fn tls_with_an_authority_of_its_own() {
    let tls = |options: &mut ServerOptions| {
        options.tls_domain("registry.test");
    };
    both_with(tls, async |site| {
        assert!(site.server.url().starts_with("https://127.0.0.1:"));
        let digest = site.push_blob("r", noise(2 << 20)).await;
        let got = site.get(&format!("/v2/r/blobs/{digest}")).await;
        assert_eq!(Digest::sha256(&got.bytes().await.unwrap()), digest);
        // By its name too; and not without its authority.
        let port = site.server.address().port();
        let named = format!("https://localhost:{port}/v2/");
        assert_eq!(site.client.get(&named).send().await.unwrap().status(), 200);
        assert!(http().get(site.url("/v2/")).send().await.is_err());
    });
}

#[test]
fn tls_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap();
    let (cert_path, key_path) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_path, cert.pem()).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    let server = Server::start(ServerOptions::new().tls_files(&cert_path, &key_path)).unwrap();
    assert!(server.ca_pem().is_none() && server.url().starts_with("https://"));
    let get = async |client: reqwest::Client| client.get(format!("{}/v2/", server.url())).send().await;
    assert_eq!(block_on(get(http_trusting(Some(&cert.pem())))).unwrap().status(), 200);
    assert!(block_on(get(http())).is_err());
    let wrong = Server::start(ServerOptions::new().tls_files(&key_path, &cert_path)).err().unwrap();
    assert_eq!(wrong.code(), parbuckle::Code::Tls);
    let missing = Server::start(ServerOptions::new().tls_files(folder.path().join("none"), &key_path)).err().unwrap();
    assert_eq!(missing.code(), parbuckle::Code::Tls);
}
