//! Looking at images, indexes and layers: examination and comparison.

use crate::parts::{compressed, ctx, findings, image, none};
use crate::support::block_on;
use parbuckle::{
    Blobs, Cache, Client, ClientOptions, Code, Descriptor, Digest, Image, ImageBuilder, Index, IndexManifest, Keychain,
    Layer, LayerBuilder, MediaType, Reference, Server, ServerOptions, compare_images, compare_indexes, compare_layers,
};

#[test]
fn examination_is_clean_for_all_kinds_of_compression() {
    for kind in ["gzip", "zstd", "none", "estargz"] {
        let image = Image::random(2, 50_000, 1, &compressed(kind), &ctx()).wait().unwrap();
        let report = image.examine(&none().jobs(1), &ctx()).wait().unwrap();
        assert!(report.is_clean(), "{kind}: {}", report.to_json());
    }
}

/// An image of one layer, with its manifest and config changed.
fn changed(layer: &Layer, manifest: impl Fn(String) -> String, config: impl Fn(String) -> String) -> Image {
    let mut builder = ImageBuilder::from_scratch();
    builder.set_platform(&"linux/amd64".parse().unwrap());
    let origin = builder.add_layer(layer).build(&none(), &ctx()).wait().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let old = origin.config(&ctx()).wait().unwrap();
    let new = config(text(old.raw()));
    let document = text(origin.manifest().raw()).replace(
        &format!("\"size\":{},\"digest\":\"{}\"", old.raw().len(), Digest::sha256(old.raw())),
        &format!("\"size\":{},\"digest\":\"{}\"", new.len(), Digest::sha256(new.as_bytes())),
    );
    let mut blobs = Blobs::new();
    blobs.add_bytes(new.into()).add_layer(layer);
    Image::from_parts(manifest(document).into(), &blobs).unwrap()
}

#[test]
fn examination_tells_everything_that_is_wrong() {
    let twice = {
        let mut builder = LayerBuilder::new();
        builder.add_bytes("a/b", 0o644, b"1").unwrap();
        builder.add_bytes("a/c", 0o644, b"1").unwrap();
        builder.add_bytes("./a//b", 0o644, b"2").unwrap();
        builder.build(&compressed("zstd"), &ctx()).wait().unwrap()
    };
    let told = |image: &Image| {
        let report = image.examine(&none(), &ctx()).wait().unwrap();
        let first = image.validate(&none(), &ctx()).wait().map_err(|e| (e.code(), e.message().to_owned()));
        let of_report = report.findings().first().map(|f| (f.code, f.message.clone()));
        assert_eq!(first.err(), of_report, "validate ends with the first finding");
        findings(&report).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    let same = |text: String| text;
    let blob = &twice.descriptor().digest;
    assert_eq!(told(&changed(&twice, same, same)), [format!("{blob}: a/b is there twice")]);

    let good = Layer::random(1_000, 1, &compressed("gzip"), &ctx()).wait().unwrap();
    assert_eq!(told(&changed(&good, same, same)), Vec::<String>::new());
    let diff_id = good.diff_id(&ctx()).wait().unwrap().to_string();
    let other = Digest::sha256(b"").to_string();
    let blob = &good.descriptor().digest;
    let image = changed(&good, same, |config| config.replace(&diff_id, &other));
    assert_eq!(told(&image), [format!("{blob}: the config names the diff id {other}, and the layer's is {diff_id}")]);
    let image = changed(&good, |m| m.replace("tar+gzip", "tar+zstd"), same);
    assert_eq!(
        told(&image),
        [format!("{blob}: the media type is {}, and the bytes are gzip", MediaType::OCI_LAYER_ZSTD)]
    );
    let image = changed(&good, same, |config| config.replace("\"layers\"", "\"tapes\""));
    assert_eq!(
        told(&image),
        [format!("{}: the config's rootfs is of the type \"tapes\", not \"layers\"", image.digest())]
    );
    let two = |config: String| config.replace("\"history\":[", "\"history\":[{\"created_by\":\"x\"},");
    let image = changed(&good, same, two);
    assert_eq!(told(&image), [format!("{}: the history tells of 2 layers, and there are 1", image.digest())]);
    let image = changed(&good, same, |config| two(config).replace(&format!("[\"{diff_id}\"]"), "[]"));
    assert_eq!(told(&image).len(), 2, "both, and not only the first");
    let image = changed(
        &good,
        |m| {
            m.replace(
                "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\"",
                "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip\"",
            )
        },
        |c| c.replace(&diff_id, &other),
    );
    assert_eq!(told(&image), Vec::<String>::new(), "nobody's to read");
}

#[test]
fn an_artifact_is_known_by_its_digests_alone() {
    let content = Layer::fixed(b"no tar"[..].into(), MediaType::OCI_LAYER_GZIP).unwrap();
    let config = Descriptor::of(MediaType::OCI_EMPTY, b"{}");
    let manifest = parbuckle::Manifest::of(true, config, vec![content.descriptor().clone()]);
    let mut blobs = Blobs::new();
    blobs.add_bytes("{}".into()).add_layer(&content);
    let artifact = Image::from_parts(manifest.raw().clone(), &blobs).unwrap();
    artifact.validate(&none(), &ctx()).wait().unwrap();
    assert_eq!(artifact.artifact_type(), MediaType::OCI_EMPTY.as_str());
    assert_eq!(content.validate(&none(), &ctx()).wait().unwrap_err().code(), Code::Malformed);
}

#[test]
fn examination_of_an_index_looks_at_platforms_types_and_depth() {
    let good = image(1, 1);
    let of = |entries: &[Descriptor]| {
        let mut edit = IndexManifest::empty(true).edit();
        entries.iter().for_each(|entry| edit.append(entry.clone()));
        let mut blobs = Blobs::new();
        blobs.add_image(&good).add_bytes("text"[..].into());
        Index::from_parts(edit.finish().unwrap().raw().clone(), &blobs).unwrap()
    };
    let entry = |platform: &str| {
        let mut entry = good.descriptor().clone();
        entry.platform = Some(platform.parse().unwrap());
        entry
    };
    let told = |index: &Index| findings(&index.examine(&none(), &ctx()).wait().unwrap());
    assert_eq!(told(&of(&[entry("linux/amd64")])), []);
    assert_eq!(told(&of(&[entry("unknown/unknown")])), []);
    let (code, text) = told(&of(&[entry("linux/arm64")])).remove(0);
    assert_eq!(code, Code::Malformed);
    assert!(text.ends_with("the index says linux/arm64, and the config says linux/amd64"), "{text}");
    let mut wrong = entry("linux/amd64");
    wrong.size += 1;
    assert_eq!(told(&of(&[wrong]))[0].0, Code::DigestMismatch);
    let strange = Descriptor::of(MediaType::new("text/plain"), b"text");
    assert_eq!(told(&of(&[strange]))[0].0, Code::Unsupported);
    let gone = Descriptor::of(MediaType::OCI_MANIFEST, b"gone");
    assert_eq!(
        told(&of(&[gone.clone(), entry("linux/arm64")])).iter().map(|f| f.0).collect::<Vec<_>>(),
        [Code::NotFound, Code::Malformed]
    );
    assert_eq!(of(&[gone]).validate(&none(), &ctx()).wait().unwrap_err().code(), Code::NotFound);

    let mut nested = of(&[entry("linux/amd64")]);
    for _ in 0..8 {
        let mut edit = IndexManifest::empty(true).edit();
        edit.append(nested.descriptor().clone());
        let mut blobs = Blobs::new();
        blobs.add_index(&nested);
        nested = Index::from_parts(edit.finish().unwrap().raw().clone(), &blobs).unwrap();
    }
    assert_eq!(told(&nested).iter().map(|f| f.0).collect::<Vec<_>>(), [Code::LimitExceeded]);
}

#[test]
fn what_a_registry_lacks_is_seen_without_reading_it() {
    let server = Server::start(&ServerOptions::new()).unwrap();
    let client = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
    let host = server.url().split("://").nth(1).unwrap().to_owned();
    let name = |text: &str| Reference::parse(&format!("{host}/{text}")).unwrap();
    let origin = image(3, 1);
    client.push(&name("app:1"), &origin, &none(), &ctx()).wait().unwrap();
    let pulled = client.pull(&name("app:1"), &none(), &ctx()).wait().unwrap();
    assert!(pulled.examine(&none().fast(), &ctx()).wait().unwrap().is_clean());
    let read = || server.requests().iter().filter(|l| l.contains("\"GET\"") && l.contains("/blobs/")).count();
    assert_eq!(read(), 1, "the config: {:#?}", server.requests());
    // Read through a cache it is still an image of that registry: a push there moves no blob that it has.
    let uploaded = || {
        let stats: serde_json::Value = serde_json::from_str(&client.stats()).unwrap();
        stats["uploaded"].as_u64().unwrap()
    };
    let (dir, before) = (tempfile::tempdir().unwrap(), uploaded());
    let cache = Cache::open(dir.path(), 10 << 20, &none(), &ctx()).wait().unwrap();
    client.push(&name("other:1"), &pulled.cached(&cache), &none(), &ctx()).wait().unwrap();
    assert!(uploaded() - before < 3_000, "the manifest, and no more");
    assert_eq!(read(), 1);
    let gone = &origin.layers()[1].descriptor().digest;
    block_on(async {
        let url = format!("{}/v2/app/blobs/{gone}", server.url());
        assert_eq!(crate::support::http().delete(url).send().await.unwrap().status(), 202);
    });
    let report = pulled.examine(&none().fast(), &ctx()).wait().unwrap();
    let found = report.findings();
    assert_eq!((found.len(), found[0].code, found[0].subject.as_str()), (1, Code::NotFound, gone.as_str()));
}

#[test]
fn comparison_tells_every_field() {
    let base = image(2, 1);
    assert!(compare_images(&base, &base.clone(), &none(), &ctx()).wait().unwrap().is_clean());
    let other = {
        let mut builder = ImageBuilder::new(&base);
        builder.set_env("A", Some("1")).unwrap().set_annotation("k", Some("v")).unwrap();
        builder.add_layer(&Layer::random(10, 1, &none(), &ctx()).wait().unwrap());
        builder.build(&none(), &ctx()).wait().unwrap()
    };
    let report = compare_images(&base, &other, &none(), &ctx()).wait().unwrap();
    let fields: Vec<&str> = report.findings().iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(
        fields,
        [
            "digest",
            "size",
            "manifest.config.digest",
            "manifest.config.size",
            "manifest.layers[2]",
            "manifest.annotations",
            "config.config.Env",
            "config.history[2]",
            "config.rootfs.diff_ids[2]",
        ]
    );
    assert!(report.findings()[0].message.contains(base.digest().as_str()));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json[0]["subject"], "digest");

    // The same values in other bytes are a difference, too.
    let spaced = String::from_utf8(base.manifest().raw().to_vec()).unwrap().replacen(':', ": ", 1);
    let mut blobs = Blobs::new();
    blobs.add_image(&base);
    let spaced = Image::from_parts(spaced.into(), &blobs).unwrap();
    let report = compare_images(&base, &spaced, &none(), &ctx()).wait().unwrap();
    assert_eq!(report.findings().last().unwrap().message, "the same values, written in other bytes");
    // Numbers are compared to their last digit, and text by what it says.
    let with = |member: &str| {
        let raw = String::from_utf8(base.manifest().raw().to_vec()).unwrap().replacen('{', &format!("{{{member},"), 1);
        Image::from_parts(raw.into(), &blobs).unwrap()
    };
    let compared = |a: &str, b: &str| {
        let report = compare_images(&with(a), &with(b), &none(), &ctx()).wait().unwrap();
        let told = report.findings().iter().find(|f| f.subject.starts_with("manifest")).unwrap();
        format!("{} {}", told.subject, told.message)
    };
    let n = |digits: &str| format!(r#""n":{digits}"#);
    assert_eq!(
        compared(&n("18446744073709551617"), &n("18446744073709551618")),
        "manifest.n 18446744073709551617 against 18446744073709551618"
    );
    assert_eq!(
        compared(&n("[0.10]"), &n("[0.1000000000000000000001]")),
        "manifest.n[0] 0.10 against 0.1000000000000000000001"
    );
    for (a, b) in [("100", "1e2"), (r#"{"a":"\u0041"}"#, r#"{"a":"A"}"#), ("[1, 2]", "[1,2]")] {
        assert_eq!(compared(&n(a), &n(b)), "manifest the same values, written in other bytes");
    }
}

#[test]
fn comparison_of_layers_goes_down_to_their_files() {
    let layer = |files: &[(&str, u32, &str)], kind: &str| {
        let mut builder = LayerBuilder::new();
        files.iter().for_each(|(name, mode, data)| builder.add_bytes(name, *mode, data.as_bytes()).unwrap());
        builder.build(&compressed(kind), &ctx()).wait().unwrap()
    };
    let a = layer(&[("only-a", 0o644, ""), ("same", 0o644, "x"), ("mode", 0o644, "x"), ("data", 0o644, "x")], "gzip");
    let b = layer(&[("same", 0o644, "x"), ("mode", 0o755, "x"), ("data", 0o644, "y"), ("only-b", 0o644, "")], "zstd");
    let report = compare_layers(&a, &b, &none().files(), &ctx()).wait().unwrap();
    let told: Vec<String> = report.findings().iter().map(|f| format!("{} {}", f.subject, f.message)).collect();
    let has = |text: &str| assert!(told.iter().any(|t| t.starts_with(text)), "{text}: {told:#?}");
    for text in [
        "digest ",
        "mediaType ",
        "size ",
        "diff_id ",
        "/only-a only the first",
        "/only-b only the second",
        "/mode mode: 644 against 755",
        "/data content: ",
    ] {
        has(text);
    }
    assert_eq!(told.len(), 8, "{told:#?}");
    // The same tar in another compression.
    let c = layer(&[("only-a", 0o644, ""), ("same", 0o644, "x"), ("mode", 0o644, "x"), ("data", 0o644, "x")], "zstd");
    let report = compare_layers(&a, &c, &none().files(), &ctx()).wait().unwrap();
    assert_eq!(
        report.findings().iter().map(|f| f.subject.as_str()).collect::<Vec<_>>(),
        ["digest", "mediaType", "size"]
    );
}

#[test]
fn comparison_of_layers_tells_of_paths_that_are_there_several_times() {
    let layer = |files: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, data) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, data.as_bytes()).unwrap();
        }
        Layer::from_bytes(tar.into_inner().unwrap().into(), &none(), &ctx()).wait().unwrap()
    };
    let told = |a: &[(&str, &str)], b: &[(&str, &str)]| -> Vec<String> {
        let report = compare_layers(&layer(a), &layer(b), &none().files(), &ctx()).wait().unwrap();
        let files = report.findings().iter().filter(|f| f.subject.starts_with('/'));
        files.map(|f| format!("{} {}", f.subject, f.message)).collect()
    };
    let times = "entries of this path, of which the last counts:";
    assert_eq!(
        told(&[("a", "1"), ("b", "x")], &[("a", "1"), ("./a", "1"), ("b", "x")]),
        [format!("/a {times} 1 against 2")]
    );
    assert_eq!(told(&[("a", "0"), ("a", "1")], &[("a", "1")]), [format!("/a {times} 2 against 1")]);
    assert_eq!(
        told(&[("a", "0"), ("a", "1"), ("b", "1")], &[("a", "2"), ("a", "1"), ("b", "1")]),
        ["/a an entry of this path that a later one overrides is another"]
    );
    let swapped = told(&[("a", "0"), ("a", "1")], &[("a", "1"), ("a", "0")]);
    assert!(swapped.len() == 1 && swapped[0].starts_with("/a content: "), "{swapped:?}");
    assert_eq!(
        told(&[("a", "0"), ("a", "1")], &[("b", "1"), ("b", "0"), ("b", "2")]),
        ["/a only the first has it, 2 times", "/b only the second has it, 3 times"]
    );
}

#[test]
fn comparison_of_indexes_pairs_their_images() {
    let index = |seeds: &[(u64, &str)]| {
        let (mut edit, mut blobs) = (IndexManifest::empty(true).edit(), Blobs::new());
        for (seed, platform) in seeds {
            let image = image(1, *seed);
            let mut entry = image.descriptor().clone();
            entry.platform = Some(platform.parse().unwrap());
            edit.append(entry);
            blobs.add_image(&image);
        }
        Index::from_parts(edit.finish().unwrap().raw().clone(), &blobs).unwrap()
    };
    let a = index(&[(1, "linux/amd64"), (2, "linux/arm64")]);
    let b = index(&[(3, "linux/arm64"), (1, "linux/amd64")]);
    assert!(compare_indexes(&a, &a, &none(), &ctx()).wait().unwrap().is_clean());
    let report = compare_indexes(&a, &b, &none(), &ctx()).wait().unwrap();
    let at = |text: &str| report.findings().iter().filter(|f| f.subject.starts_with(text)).count();
    assert!(at("index.manifests[0]") > 0 && at("manifests[1].config.rootfs") == 1, "{}", report.to_json());
    assert_eq!(at("manifests[0]."), 0, "linux/amd64 is the same image");
}
