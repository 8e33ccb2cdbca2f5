//! Whole images: what is verified, kept, and refused.

use super::*;
use crate::digest::Digest;
use crate::error::Code;
use crate::index::{Child, Index};
use crate::oci::{AnyManifest, Descriptor, MediaType};
use crate::source::{Home, Place, Source};
use crate::stream::{Kind, TarEntry};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Blobs by digest, wrong ones too, and how often each was opened.
#[derive(Default)]
struct Blobs {
    blobs: HashMap<Digest, Bytes>,
    opened: Mutex<HashMap<Digest, usize>>,
    total: AtomicUsize,
}

impl Source for Blobs {
    fn open<'a>(&'a self, _: &'a Context, blob: &'a Descriptor, offset: u64) -> BoxFuture<'a, Result<Chunks>> {
        *self.opened.lock().unwrap().entry(blob.digest.clone()).or_default() += 1;
        self.total.fetch_add(1, Relaxed);
        let bytes = self.blobs[&blob.digest].slice(offset as usize..);
        std::future::ready(Ok(Chunks::from_bytes(bytes))).boxed()
    }
}

fn entry(kind: Kind, name: &str, data: &[u8]) -> Vec<u8> {
    let mut entry = TarEntry::directory(name.as_bytes());
    (entry.kind, entry.size, entry.stored) = (kind, data.len() as u64, data.len() as u64);
    [&entry.encode()[..], data, &crate::stream::tar_filling(data.len() as u64)].concat()
}

fn tar(entries: &[Vec<u8>]) -> Bytes {
    [entries.concat(), vec![0; 1024]].concat().into()
}

fn json(descriptor: &Descriptor) -> String {
    let Descriptor { media_type, digest, size, .. } = descriptor;
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// Puts an image's blobs in; gives its manifest's descriptor.
fn put(blobs: &mut Blobs, layers: &[Bytes], docker: bool) -> Descriptor {
    let family = |m: MediaType| if docker { m.to_docker() } else { m };
    let mut add = |media_type: MediaType, bytes: Bytes| {
        let descriptor = Descriptor::of(family(media_type), &bytes);
        blobs.blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    };
    let layers: Vec<_> = layers.iter().map(|l| add(MediaType::OCI_LAYER, l.clone())).collect();
    let ids: Vec<String> = layers.iter().map(|d| format!("\"{}\"", d.digest)).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"arm64","odd":[1, 2],"config":{{"Env":["A=b"]}},"history":[{{"created_by":"x"}}],"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let config = add(MediaType::OCI_CONFIG, config.into());
    let all: Vec<String> = layers.iter().map(json).collect();
    let kind = family(MediaType::OCI_MANIFEST);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{},"layers":[{}],"annotations":{{"k":"v"}},"subject":{},"strange":{{"a": 1}}}}"#,
        json(&config),
        all.join(","),
        json(&config)
    );
    add(MediaType::OCI_MANIFEST, manifest.into())
}

fn open(blobs: Blobs, root: &Descriptor) -> (Child, Arc<Blobs>) {
    let raw = blobs.blobs[&root.digest].clone();
    let blobs = Arc::new(blobs);
    let source: Arc<dyn Source> = blobs.clone();
    let home = Home::Local(Place::here().unwrap());
    let child = match AnyManifest::from_bytes(raw, None).unwrap() {
        AnyManifest::Image(m) => Child::Image(Image::new(root.clone(), m, &source, home)),
        AnyManifest::Index(m) => {
            let content = crate::content::Content { source, home: home.clone() };
            Child::Index(Index::new(root.clone(), m, Arc::new(content), home))
        }
    };
    (child, blobs)
}

fn image(layers: &[Bytes]) -> (Image, Arc<Blobs>) {
    let mut blobs = Blobs::default();
    let root = put(&mut blobs, layers, false);
    match open(blobs, &root) {
        (Child::Image(image), blobs) => (image, blobs),
        _ => unreachable!("it is an image"),
    }
}

fn export(image: &Image) -> Result<Vec<u8>> {
    let ctx = Context::new();
    let mut reader = image.filesystem(&Options::new(), &ctx).wait()?;
    let mut all = Vec::new();
    loop {
        match reader.next(&ctx).wait()? {
            piece if piece.is_empty() => return Ok(all),
            piece => all.extend_from_slice(&piece),
        }
    }
}

#[test]
fn layers_that_name_their_directories_are_read_once() {
    let below = tar(&[entry(Kind::Directory, "a", b""), entry(Kind::File, "a/b", &[7; 300_000])]);
    let above = tar(&[entry(Kind::Directory, "a", b""), entry(Kind::File, "a/c", b"2")]);
    let (image, blobs) = image(&[below, above]);
    export(&image).unwrap();
    for layer in image.layers() {
        assert_eq!(blobs.opened.lock().unwrap()[&layer.descriptor().digest], 1);
    }
}

#[test]
fn a_file_of_the_top_layer_needs_no_other() {
    let below = tar(&[entry(Kind::File, "x", b"1")]);
    let above = tar(&[entry(Kind::File, "y", b"2")]);
    let (image, blobs) = image(&[below, above]);
    let ctx = Context::new();
    let mut reader = image.read_file("y", &Options::new(), &ctx).wait().unwrap();
    assert_eq!(reader.next(&ctx).wait().unwrap(), "2");
    assert!(reader.next(&ctx).wait().unwrap().is_empty());
    let lower = &image.layers()[0].descriptor().digest;
    // It may have been opened ahead, and no more than that.
    assert!(blobs.opened.lock().unwrap().get(lower).copied().unwrap_or(0) <= 1);
    assert_eq!(image.read_file("nope", &Options::new(), &ctx).wait().unwrap_err().code(), Code::NotFound);
}

#[test]
fn any_wrong_byte_of_any_layer_is_an_error() {
    let layers = [
        tar(&[entry(Kind::File, "a", b"content"), entry(Kind::File, "b", &[1; 700])]),
        tar(&[entry(Kind::Directory, "d", b""), entry(Kind::File, "d/c", b"more")]),
    ];
    for (which, layer) in layers.iter().enumerate() {
        for at in (0..layer.len()).step_by(97) {
            let mut blobs = Blobs::default();
            let root = put(&mut blobs, &layers, false);
            let mut bad = layer.to_vec();
            bad[at] ^= 1;
            blobs.blobs.insert(Digest::sha256(layer), bad.into());
            let (Child::Image(image), _) = open(blobs, &root) else { unreachable!("it is an image") };
            let e = export(&image).expect_err("a wrong byte");
            assert!(matches!(e.code(), Code::DigestMismatch | Code::Malformed), "{which} {at}: {e:?}");
            assert!(image.files(&Options::new(), &Context::new()).wait().is_err());
        }
        for len in [0, 100, 512, 1000, layer.len() - 1] {
            let mut blobs = Blobs::default();
            let root = put(&mut blobs, &layers, false);
            blobs.blobs.insert(Digest::sha256(layer), layer.slice(..len));
            let (Child::Image(image), _) = open(blobs, &root) else { unreachable!("it is an image") };
            assert!(export(&image).is_err(), "{which} cut to {len}");
        }
    }
}

#[test]
fn what_is_no_layer_is_refused_with_its_type() {
    let mut blobs = Blobs::default();
    let root = put(&mut blobs, &[Bytes::from_static(b"{}")], false);
    let raw = String::from_utf8(blobs.blobs[&root.digest].to_vec()).unwrap();
    let raw: Bytes = raw.replace(MediaType::OCI_LAYER.as_str(), "application/vnd.example.chart").into();
    let root = Descriptor::of(MediaType::OCI_MANIFEST, &raw);
    blobs.blobs.insert(root.digest.clone(), raw);
    let (Child::Image(image), _) = open(blobs, &root) else { unreachable!("it is an image") };
    let e = image.filesystem(&Options::new(), &Context::new()).wait().unwrap_err();
    assert_eq!(e.code(), Code::Unsupported);
    assert!(e.message().contains("application/vnd.example.chart"), "{e}");
    // A layer by its type, and no tar.
    let (image, _) = self::image(&[Bytes::from_static(b"hello, this is no tar at all")]);
    assert_eq!(export(&image).unwrap_err().code(), Code::Malformed);
}

#[test]
fn a_flattened_image_keeps_everything_else() {
    let layers = [tar(&[entry(Kind::File, "a", b"1")]), tar(&[entry(Kind::File, "b", b"2")])];
    for docker in [false, true] {
        let mut blobs = Blobs::default();
        let root = put(&mut blobs, &layers, docker);
        let (Child::Image(image), _) = open(blobs, &root) else { unreachable!("it is an image") };
        let ctx = Context::new();
        let flat = image.flatten(&Options::new(), &ctx).wait().unwrap();
        flat.validate(&Options::new(), &ctx).wait().unwrap();
        assert_eq!(flat.manifest().media_type(), image.manifest().media_type());
        assert_eq!(flat.manifest().config().media_type, image.manifest().config().media_type);
        let gzip = if docker { MediaType::DOCKER_LAYER_GZIP } else { MediaType::OCI_LAYER_GZIP };
        assert_eq!(flat.layers().iter().map(|l| &l.descriptor().media_type).collect::<Vec<_>>(), [&gzip]);
        assert_eq!(flat.manifest().annotations(), image.manifest().annotations());
        assert_eq!(flat.manifest().subject(), image.manifest().subject());
        let raw = String::from_utf8_lossy(flat.manifest().raw()).into_owned();
        assert!(raw.contains(r#""strange":{"a": 1}"#), "{raw}");
        let config = flat.config(&ctx).wait().unwrap();
        let text = String::from_utf8_lossy(config.raw()).into_owned();
        assert!(text.contains(r#""odd":[1, 2]"#) && text.contains("A=b"), "{text}");
        let history = &config.doc().history;
        assert_eq!((history.len(), config.diff_ids().len()), (1, 1));
        assert_eq!(history[0].created_by, format!("parb flatten {}", image.digest()));
        assert_eq!(history[0].comment, r#"[{"created":"0001-01-01T00:00:00Z","created_by":"x"}]"#);
        assert_eq!(export(&flat).unwrap(), export(&image).unwrap());
        let again = image.flatten(&Options::new(), &ctx).wait().unwrap();
        assert_eq!(again.digest(), flat.digest());
    }
}

#[test]
fn an_index_is_flattened_child_by_child() {
    let mut blobs = Blobs::default();
    let one = put(&mut blobs, &[tar(&[entry(Kind::File, "a", b"1")]), tar(&[])], false);
    let two = put(&mut blobs, &[tar(&[entry(Kind::File, "b", b"1")])], false);
    let inner = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, MediaType::OCI_INDEX, json(&two));
    let inner_root = Descriptor::of(MediaType::OCI_INDEX, inner.as_bytes());
    blobs.blobs.insert(inner_root.digest.clone(), inner.into());
    let with = |d: &Descriptor, os: &str| {
        json(d).replacen(
            '{',
            &format!(r#"{{"urls":["https://old.example"],"platform":{{"os":"{os}","architecture":"{os}"}},"#),
            1,
        )
    };
    let about = |key: &str| with(&two, "unknown").replacen('{', &format!(r#"{{"annotations":{{"{key}":"x"}},"#), 1);
    let outer = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{},{},{},{}],"annotations":{{"k":"v"}}}}"#,
        MediaType::OCI_INDEX,
        with(&one, "linux"),
        about("vnd.docker.reference.type"),
        about("vnd.docker.reference.digest"),
        json(&inner_root),
        with(&one, "unknown")
    );
    let root = Descriptor::of(MediaType::OCI_INDEX, outer.as_bytes());
    blobs.blobs.insert(root.digest.clone(), outer.into());
    let (Child::Index(index), _) = open(blobs, &root) else { unreachable!("it is an index") };
    let ctx = Context::new();
    let flat = index.flatten(&Options::new(), &ctx).wait().unwrap();
    let entries = flat.manifest().manifests();
    assert_eq!(entries.len(), 3, "no attestation, but the image for an unknown platform");
    assert_eq!((entries[0].digest.clone(), entries[0].size), (entries[2].digest.clone(), entries[2].size));
    assert_eq!(entries[0].platform.as_ref().unwrap().os, "linux");
    assert!(entries[0].urls.is_empty(), "what lies there is the old one");
    assert_eq!(flat.manifest().annotations()["k"], "v");
    let image = flat.image(entries[0].digest.as_str(), &Options::new(), &ctx).wait().unwrap();
    assert_eq!(image.layers().len(), 1);
    image.validate(&Options::new(), &ctx).wait().unwrap();
    let nested = flat.child(entries[1].digest.as_str(), &Options::new(), &ctx).wait().unwrap();
    let deep = nested.manifest().manifests()[0].digest.clone();
    let image = nested.image(deep.as_str(), &Options::new(), &ctx).wait().unwrap();
    image.validate(&Options::new(), &ctx).wait().unwrap();
}
