//! Layers with a table of contents, against our own registry: what is fetched, and what happens when it is not right.

use crate::makes::rich_tar;
use parbuckle::{
    Blobs, Client, ClientOptions, Code, Compression, CompressionOptions, Context, Descriptor, Digest, Image,
    ImageBuilder, Keychain, Layer, LayerBuilder, MediaType, Options, Reference, Result, Server, ServerOptions,
    SinkHandle,
};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

const DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const SIZE: &str = "io.containers.estargz.uncompressed-size";

struct Site {
    server: Server,
    client: Client,
    ctx: Context,
}

impl Site {
    fn new(faults: &[(&str, u32, &str)]) -> Site {
        let mut options = ServerOptions::new();
        for (path, nth, fault) in faults {
            options.add_fault("GET", path, *nth, fault).unwrap();
        }
        let quick = ClientOptions::new().keychain(&Keychain::anonymous()).retry(4, Duration::from_millis(5));
        let (server, client) = (Server::start(&options).unwrap(), Client::new(&quick).unwrap());
        Site { server, client, ctx: Context::with_timeout(Duration::from_secs(60)) }
    }
    fn name(&self, rest: &str) -> Reference {
        let host = self.server.url().split_once("://").unwrap().1;
        Reference::parse(&format!("{host}/{rest}")).unwrap()
    }
    fn sink(&self, rest: &str, kind: Compression) -> Options {
        let compression = CompressionOptions { kind: Some(kind), level: None };
        Options::new().sink(&SinkHandle::repository(&self.client, &self.name(rest))).compression(compression)
    }
    /// Pushed and pulled again: an image with this layer.
    fn image(&self, rest: &str, layer: &Layer) -> Image {
        let mut builder = ImageBuilder::from_scratch();
        let made = builder.add_layer(layer).build(&Options::new(), &self.ctx).wait().unwrap();
        self.client.push(&self.name(rest), &made, &Options::new(), &self.ctx).wait().unwrap();
        self.client.pull(&self.name(rest), &Options::new(), &self.ctx).wait().unwrap()
    }
    fn read(&self, layer: &Layer, path: &str) -> Result<Vec<u8>> {
        let mut reader = layer.open_file(path, &self.ctx).wait()?;
        let (mut all, mut buf) = (Vec::new(), vec![0; 100_000]);
        loop {
            match reader.read(&mut buf, &self.ctx)? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buf[..n]),
            }
        }
    }
    /// Blobs that were asked for since the server began, and the bytes that were sent of them.
    fn fetched(&self) -> (usize, u64) {
        let lines = self.server.requests();
        let lines = lines.iter().map(|r| serde_json::from_str::<serde_json::Value>(r).unwrap());
        let gets: Vec<_> =
            lines.filter(|r| r["method"] == "GET" && r["path"].as_str().unwrap().contains("/blobs/")).collect();
        (gets.len(), gets.iter().filter_map(|r| r["sent"].as_u64()).sum())
    }
}

/// Bytes that do not compress.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

fn entries() -> LayerBuilder {
    let mut builder = LayerBuilder::new();
    for i in 0..5 {
        builder.add_bytes(&format!("data/{i}"), 0o644, &noise(10 << 20, i)).unwrap();
    }
    builder.add_bytes("etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n").unwrap();
    builder
}

#[test]
fn a_small_file_of_a_large_layer() {
    let site = Site::new(&[]);
    let layer = entries().build(&site.sink("app", Compression::Estargz), &site.ctx).wait().unwrap();
    let image = site.image("app:1", &layer);
    let (stored, found) = (image.manifest().layers()[0].clone(), &image.layers()[0]);
    assert_eq!((&stored.media_type, stored.annotations.len()), (&MediaType::OCI_LAYER_GZIP, 2));
    assert_eq!(stored.annotations, layer.descriptor().annotations);
    assert!(stored.annotations[DIGEST].starts_with("sha256:") && stored.size > 50 << 20);
    let plain: u64 = stored.annotations[SIZE].parse().unwrap();
    assert!(plain > 50 << 20 && plain < 51 << 20);
    assert_eq!(site.read(found, "etc/passwd").unwrap(), b"root:x:0:0::/:/bin/sh\n");
    let (requests, bytes) = site.fetched();
    assert_eq!(requests, 2, "the end of the blob, the file");
    assert!(bytes < 100_000, "{bytes}");
    // The table is there now, and a large file comes in its chunks.
    assert!(site.read(found, "data/3").unwrap() == noise(10 << 20, 3));
    assert_eq!(site.fetched().0, 2 + 3);
    assert!(site.fetched().1 < 11 << 20);
    image.validate(&Options::new(), &site.ctx).wait().unwrap();
}

#[test]
fn a_table_that_is_not_in_the_last_bytes() {
    let site = Site::new(&[]);
    let mut builder = LayerBuilder::new();
    for i in 0..4_000 {
        builder.add_bytes(&format!("dir/{i}"), 0o644, &noise(20, i)).unwrap();
    }
    let layer = builder.build(&site.sink("many", Compression::Estargz), &site.ctx).wait().unwrap();
    let image = site.image("many:1", &layer);
    assert!(site.read(&image.layers()[0], "dir/2345").unwrap() == noise(20, 2345));
    assert_eq!(site.fetched().0, 3, "the end, the table, the file");
}

#[test]
fn what_breaks_is_asked_for_again() {
    let faults = [(1, "truncate"), (3, "503"), (4, "reset@30%"), (6, "reset@70%")];
    let site = Site::new(&faults.map(|(nth, fault)| ("/v2/app/blobs/*", nth, fault)));
    let layer = entries().build(&site.sink("app", Compression::Estargz), &site.ctx).wait().unwrap();
    let found = &site.image("app:1", &layer).layers()[0].clone();
    assert!(site.read(found, "data/4").unwrap() == noise(10 << 20, 4));
    assert!(site.fetched().1 < 12 << 20, "{:?}", site.fetched());
}

#[test]
fn the_wrong_bytes_are_never_given() {
    let site = Site::new(&[("/v2/app/blobs/*", 2, "wrong-digest")]);
    let layer = entries().build(&site.sink("app", Compression::Estargz), &site.ctx).wait().unwrap();
    let found = &site.image("app:1", &layer).layers()[0].clone();
    let e = site.read(found, "data/1").unwrap_err();
    assert!(matches!(e.code(), Code::DigestMismatch | Code::Malformed), "{e}");
    assert!(site.read(found, "data/1").unwrap() == noise(10 << 20, 1), "the next time is another");
}

/// A base, a new layer on it, a config changed: the annotations go along.
#[test]
fn images_on_top_keep_it() {
    let site = Site::new(&[]);
    let layer = entries().build(&site.sink("base", Compression::Estargz), &site.ctx).wait().unwrap();
    let base = site.image("base:1", &layer);
    let mut builder = ImageBuilder::new(&base);
    let mut small = LayerBuilder::new();
    small.add_bytes("etc/passwd", 0o644, b"new").unwrap();
    let top = small.build(&site.sink("app", Compression::Zstd), &site.ctx).wait().unwrap();
    builder.add_layer(&top).set_env("A", Some("1")).unwrap();
    let made = builder.build(&Options::new(), &site.ctx).wait().unwrap();
    site.client.push(&site.name("app:1"), &made, &Options::new(), &site.ctx).wait().unwrap();
    let back = site.client.pull(&site.name("app:1"), &Options::new(), &site.ctx).wait().unwrap();
    assert_eq!(back.layers().iter().map(Layer::has_toc).collect::<Vec<_>>(), [true, false]);
    assert_eq!(site.read(&back.layers()[0], "etc/passwd").unwrap(), b"root:x:0:0::/:/bin/sh\n");
    assert_eq!(site.read(&back.layers()[1], "etc/passwd").unwrap(), b"new");
}

/// Images all of whose layers have a table are read by those alone, as a container would see them.
#[test]
fn a_file_of_an_image() {
    let site = Site::new(&[]);
    let base = entries().build(&site.sink("app", Compression::Estargz), &site.ctx).wait().unwrap();
    let mut small = LayerBuilder::new();
    small.add_symlink("etc/users", "passwd").unwrap();
    small.remove("data/3").unwrap();
    small.add_bytes("data/4", 0o644, b"replaced").unwrap();
    let top = |kind| small.build(&site.sink("app", kind), &site.ctx).wait().unwrap();
    let image = |tag: &str, top: &Layer| {
        let mut builder = ImageBuilder::from_scratch();
        let made = builder.add_layer(&base).add_layer(top).build(&Options::new(), &site.ctx).wait().unwrap();
        site.client.push(&site.name(tag), &made, &Options::new(), &site.ctx).wait().unwrap();
        site.client.pull(&site.name(tag), &Options::new(), &site.ctx).wait().unwrap()
    };
    let (lazy, other) = (image("app:lazy", &top(Compression::Estargz)), image("app:other", &top(Compression::Gzip)));
    let before = site.fetched().1;
    for image in [&lazy, &other] {
        let read = |path: &str| {
            let mut reader = image.read_file(path, &Options::new(), &site.ctx).wait()?;
            let mut buf = vec![0; 11 << 20];
            let (mut len, mut n) = (0, 1);
            while n > 0 {
                n = reader.read(&mut buf[len..], &site.ctx)?;
                len += n;
            }
            buf.truncate(len);
            Ok::<_, parbuckle::Error>(buf)
        };
        assert_eq!(read("/etc/users").unwrap(), b"root:x:0:0::/:/bin/sh\n");
        assert_eq!(read("data/4").unwrap(), b"replaced");
        assert_eq!(read("data/3").unwrap_err().code(), Code::NotFound);
        assert_eq!(read("data").unwrap_err().code(), Code::InvalidArgument);
        assert!(read("data/2").unwrap() == noise(10 << 20, 2));
        assert!(read(".no.prefetch.landmark").is_ok());
        if image.digest() == lazy.digest() {
            assert!(site.fetched().1 - before < 11 << 20);
        }
        assert!(read("stargz.index.json").unwrap().starts_with(b"{\"version\":1,"));
    }
}

/// Landmark and table are entries of the tar: the config says what the tars are now.
#[test]
fn a_whole_image_as_estargz() {
    let site = Site::new(&[]);
    let made = |kind, seed| {
        let mut builder = LayerBuilder::new();
        builder.add_bytes(&format!("etc/{seed}"), 0o644, &noise(70_000, seed)).unwrap();
        builder.build(&site.sink("made", kind), &site.ctx).wait().unwrap()
    };
    let mut builder = ImageBuilder::from_scratch();
    builder.add_layer(&made(Compression::Gzip, 1)).add_layer(&made(Compression::Zstd, 2));
    let told = made(Compression::None, 3);
    let diff_id = told.diff_id(&site.ctx).wait().unwrap();
    builder.add_layer(&told).set_layer_annotation("containerd.io/uncompressed", Some(diff_id.as_str())).unwrap();
    builder.add_layer(&made(Compression::Estargz, 4));
    let image = builder.build(&Options::new(), &site.ctx).wait().unwrap();
    let recompress = |image: &Image, kind, level| {
        let compression = CompressionOptions { kind: Some(kind), level };
        image.recompress(&Options::new().compression(compression), &site.ctx).wait().unwrap()
    };
    let sound = |what: &str, image: &Image| {
        let report = image.examine(&Options::new(), &site.ctx).wait().unwrap();
        assert!(report.is_clean(), "{what}: {}", report.to_json());
        site.client.push(&site.name("made:1"), image, &Options::new(), &site.ctx).wait().unwrap();
        let back = site.client.pull(&site.name("made:1"), &Options::new(), &site.ctx).wait().unwrap();
        let all: Vec<bool> = back.layers().iter().map(Layer::has_toc).collect();
        for seed in 1..5 {
            let mut reader = back.read_file(format!("etc/{seed}"), &Options::new(), &site.ctx).wait().unwrap();
            let (mut buf, mut len) = (vec![0; 100_000], 0);
            while let n @ 1.. = reader.read(&mut buf[len..], &site.ctx).unwrap() {
                len += n;
            }
            assert!(buf[..len] == noise(70_000, seed), "{what}: {seed}");
        }
        all
    };
    let lazy = recompress(&image, Compression::Estargz, None);
    assert_eq!(sound("eStargz", &lazy), [true; 4]);
    assert_eq!(lazy.layers()[3].descriptor(), image.layers()[3].descriptor(), "it was eStargz already");
    let config = lazy.config(&site.ctx).wait().unwrap();
    assert_eq!(config.history(), image.config(&site.ctx).wait().unwrap().history());
    assert_ne!(config.diff_ids()[2], diff_id);
    assert_eq!(lazy.manifest().layers()[2].annotations["containerd.io/uncompressed"], config.diff_ids()[2].as_str());
    assert_eq!(recompress(&lazy, Compression::Estargz, None).digest(), lazy.digest(), "nothing is left to do");
    let smaller = recompress(&lazy, Compression::Estargz, Some(9));
    assert_eq!(sound("level 9", &smaller), [true; 4]);
    assert_ne!(smaller.layers()[0].descriptor().digest, lazy.layers()[0].descriptor().digest);
    assert_eq!(sound("zstd", &recompress(&smaller, Compression::Zstd, None)), [false; 4]);
    assert_eq!(recompress(&lazy, Compression::Gzip, None).digest(), lazy.digest(), "eStargz is gzip");

    // An annotation that is not true of the layer is no reason to keep it.
    let mut stale = ImageBuilder::from_scratch();
    stale.add_layer(&made(Compression::Gzip, 1)).set_layer_annotation(DIGEST, Some("sha256:00")).unwrap();
    for seed in 2..5 {
        stale.add_layer(&made(Compression::Gzip, seed));
    }
    let stale = stale.build(&Options::new(), &site.ctx).wait().unwrap();
    assert_eq!(sound("a stale annotation", &recompress(&stale, Compression::Estargz, None)), [true; 4]);
}

/// A layer of these bytes, gzip, with these annotations.
fn gzip_of(bytes: Vec<u8>, annotations: &[(&str, String)]) -> Layer {
    let mut descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &bytes);
    for (key, value) in annotations {
        descriptor.annotations.insert((*key).into(), value.clone());
    }
    Layer::from_parts(descriptor, None, None, Blobs::new().add_bytes(bytes.into())).unwrap()
}

fn stored(layer: &Layer, ctx: &Context) -> Vec<u8> {
    let (mut reader, mut all) = (layer.open(ctx).wait().unwrap(), Vec::new());
    loop {
        match reader.next(ctx).wait().unwrap() {
            piece if piece.is_empty() => return all,
            piece => all.extend_from_slice(&piece),
        }
    }
}

/// The same eStargz with another table, to which footer and annotations are true.
fn retold(
    layer: &Layer,
    ctx: &Context,
    change: impl FnOnce(&mut Vec<Value>),
) -> (Vec<u8>, [(&'static str, String); 2]) {
    let blob = stored(layer, ctx);
    let footer = blob.len() - 51;
    let toc_at = std::str::from_utf8(&blob[footer + 16..footer + 32]).unwrap();
    let toc_at = usize::from_str_radix(toc_at, 16).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&blob[toc_at..footer]));
    let mut table: Value = serde_json::from_reader(archive.entries().unwrap().next().unwrap().unwrap()).unwrap();
    change(table["entries"].as_array_mut().unwrap());
    let table = serde_json::to_vec(&table).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(table.len() as u64);
    tar.append_data(&mut header, "stargz.index.json", &table[..]).unwrap();
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    member.write_all(&tar.into_inner().unwrap()).unwrap();
    let made = [&blob[..toc_at], &member.finish().unwrap(), &blob[footer..]].concat();
    let plain = std::io::copy(&mut flate2::read::MultiGzDecoder::new(&made[..]), &mut std::io::sink()).unwrap();
    (made, [(DIGEST, Digest::sha256(&table).to_string()), (SIZE, plain.to_string())])
}

/// What is wrong with the one layer of an image: always told of that layer.
fn wrong_with(layer: &Layer, ctx: &Context) -> Vec<String> {
    let image = ImageBuilder::from_scratch().add_layer(layer).build(&Options::new(), ctx).wait().unwrap();
    let report = image.examine(&Options::new(), ctx).wait().unwrap();
    let first = layer.validate(&Options::new(), ctx).wait().err();
    assert_eq!(first.map(|e| e.message().to_owned()), report.findings().first().map(|f| f.message.clone()));
    for finding in report.findings() {
        assert_eq!(finding.subject, layer.descriptor().digest.as_str(), "{}", finding.message);
    }
    assert!(image.examine(&Options::new().fast(), ctx).wait().unwrap().is_clean(), "nothing is read for that");
    report.findings().iter().map(|f| f.message.clone()).collect()
}

#[test]
fn a_table_that_lies_is_found() {
    let ctx = Context::with_timeout(Duration::from_secs(60));
    let estargz = Options::new().compression(CompressionOptions { kind: Some(Compression::Estargz), level: None });
    let mut builder = LayerBuilder::new();
    builder.add_bytes("etc/small", 0o644, b"small").unwrap();
    builder.add_bytes("etc/large", 0o600, &[b'x'; 5 << 20]).unwrap();
    builder.add_symlink("etc/link", "small").unwrap();
    builder.add_bytes("etc/zeros", 0o644, &[0; 100]).unwrap();
    builder.add_bytes("etc/twice", 0o644, b"first").unwrap();
    builder.add_bytes("etc/twice", 0o644, b"second").unwrap();
    let layer = builder.build(&estargz, &ctx).wait().unwrap();
    let rich = Layer::from_bytes(rich_tar().into(), &estargz, &ctx).wait().unwrap();
    assert_eq!(wrong_with(&rich, &ctx), Vec::<String>::new());
    assert_eq!(wrong_with(&layer, &ctx), ["etc/twice is there twice"]);

    fn at<'a>(entries: &'a mut [Value], name: &str) -> &'a mut Value {
        entries.iter_mut().find(|e| e["name"] == name).unwrap()
    }
    type Lie = fn(&mut Vec<Value>);
    let lies: [(&[&str], Lie); 14] = [
        (&[], |_| ()),
        (
            &[
                "etc/small is not in the table of contents",
                "etc/evil is in the table of contents, and not in the layer",
            ],
            |e| at(e, "etc/small")["name"] = json!("etc/evil"),
        ),
        (&["etc/link is in the table of contents, and not in the layer"], |e| {
            let more = at(e, "etc/link").clone();
            e.push(more);
        }),
        (&["etc/link is not in the table of contents"], |e| e.retain(|e| e["name"] != "etc/link")),
        (&["etc/small has the size 4 in the table of contents, and in the layer 5"], |e| {
            at(e, "etc/small")["size"] = json!(4);
        }),
        (&["etc/large has the mode 4755 in the table of contents, and in the layer 600"], |e| {
            at(e, "etc/large")["mode"] = json!(0o4755);
        }),
        (&["etc/large has the owner 7:0 in the table of contents, and in the layer 0:0"], |e| {
            at(e, "etc/large")["uid"] = json!(7);
        }),
        (&["etc/link has the target large in the table of contents, and in the layer small"], |e| {
            at(e, "etc/link")["linkName"] = json!("large");
        }),
        (&["etc/link is 'hardlink' in the table of contents, and in the layer symlink"], |e| {
            at(e, "etc/link")["type"] = json!("hardlink");
        }),
        (&["etc/small has the digest sha256:0000"], |e| {
            at(e, "etc/small")["digest"] = json!(format!("sha256:{:064}", 0));
        }),
        (&["etc/large has the digest sha256:0000"], |e| {
            let second = e.iter_mut().find(|e| e["type"] == "chunk").unwrap();
            second["chunkDigest"] = json!(format!("sha256:{:064}", 0));
        }),
        (&["etc/small has zeros at byte 0 in the table of contents, and others in the layer"], |e| {
            let small = at(e, "etc/small");
            small["chunkType"] = json!("zeros");
            small.as_object_mut().unwrap().remove("digest");
        }),
        (&["etc/large has a piece at byte "], |e| {
            at(e, "etc/large")["offset"] = at(e, "etc/small")["offset"].clone();
        }),
        (&["etc/link stands elsewhere in the order of the table of contents"], |e| {
            e.sort_by_key(|e| e["type"] != "symlink")
        }),
    ];
    for (expected, lie) in lies {
        let (bytes, annotations) = retold(&layer, &ctx, lie);
        for annotations in [&annotations[..], &[]] {
            let mut told = wrong_with(&gzip_of(bytes.clone(), annotations), &ctx);
            told.retain(|line| line != "etc/twice is there twice");
            if expected.first().is_some_and(|line| line.contains("in the order")) {
                // Where the one stands that moved is a matter of taste.
                assert_eq!(told.len(), 1, "{told:?}");
                assert!(told[0].contains("stands elsewhere in the order"), "{told:?}");
                continue;
            }
            assert_eq!(told.len(), expected.len(), "{expected:?}: {told:?}");
            assert!(told.iter().zip(expected).all(|(told, line)| told.starts_with(line)), "{expected:?}: {told:?}");
        }
    }
    // What is read by such a table is checked as far as it goes, zeros too.
    let (bytes, annotations) = retold(&layer, &ctx, |e| at(e, "etc/small")["chunkType"] = json!("zeros"));
    let e = gzip_of(bytes, &annotations).open_file("etc/small", &ctx).wait().unwrap().next(&ctx).wait().unwrap_err();
    assert_eq!(e.code(), Code::DigestMismatch);
}

/// Annotations that tell of a table that is not there, of half of one, or of another size.
#[test]
fn annotations_that_are_not_true_are_found() {
    let ctx = Context::with_timeout(Duration::from_secs(60));
    let mut builder = LayerBuilder::new();
    builder.add_bytes("etc/small", 0o644, b"small").unwrap();
    let layer = builder.build(&Options::new(), &ctx).wait().unwrap();
    let (bytes, digest) = (stored(&layer, &ctx), Digest::sha256(b"").to_string());
    for (annotations, expected) in [
        (&[(DIGEST, digest.clone())][..], "the layer is not the eStargz that its descriptor tells of"),
        (&[(DIGEST, "none".into())], "the digest of the table of contents in the layer's descriptor is none"),
        (&[(SIZE, "5".into())], "the annotations name an uncompressed size of 5 bytes, and the layer has 2048"),
        (
            &[("io.containers.zstd-chunked.manifest-checksum", digest.clone())],
            "the descriptor's annotations tell of half a table of contents",
        ),
        (
            &[
                ("io.containers.zstd-chunked.manifest-checksum", digest.clone()),
                ("io.containers.zstd-chunked.manifest-position", "10:20:30".into()),
            ],
            "10:20:30: the position of the zstd:chunked table of contents makes no sense",
        ),
        (
            &[
                ("io.github.containers.zstd-chunked.manifest-checksum", digest.clone()),
                ("io.github.containers.zstd-chunked.manifest-position", "10:20:30:1".into()),
            ],
            "the table of contents has digest ",
        ),
    ] {
        let told = wrong_with(&gzip_of(bytes.clone(), annotations), &ctx);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(expected), "{told:?}");
    }
    // What is cut off is cut off, and its table of no interest.
    let lazy = builder
        .build(&Options::new().compression(CompressionOptions { kind: Some(Compression::Estargz), level: None }), &ctx);
    let lazy = lazy.wait().unwrap();
    let cut = stored(&lazy, &ctx)[..200].to_vec();
    let cut = gzip_of(cut, &[(DIGEST, lazy.descriptor().annotations[DIGEST].clone())]);
    let e = cut.validate(&Options::new(), &ctx).wait().unwrap_err();
    assert!(e.message().contains("the gzip stream ends too early"), "{e}");
}
