//! Images, indexes and layers of parts, of nothing, of random bytes and in memory; and looking at them: examination
//! and comparison.

use crate::support::block_on;
use parbuckle::{
    BlobProvider, Blobs, Cache, Client, ClientOptions, Code, CompressionOptions, Context, Descriptor, Digest, Error,
    Format, HostStream, Image, ImageBuilder, Index, IndexBuilder, IndexManifest, Keychain, Layer, LayerBuilder,
    Matcher, MediaType, MemoryStore, Options, Reference, Report, Result, Server, ServerOptions, SinkHandle,
    compare_images, compare_indexes, compare_layers,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ctx() -> Context {
    Context::with_timeout(Duration::from_secs(60))
}

fn none() -> Options {
    Options::new()
}

fn compressed(kind: &str) -> Options {
    Options::new().compression(CompressionOptions { kind: Some(kind.parse().unwrap()), level: None })
}

fn image(layers: u32, seed: u64) -> Image {
    Image::random(layers, 30_000, seed, &none(), &ctx()).wait().unwrap()
}

fn read(layer: &Layer, plain: bool) -> Result<Vec<u8>> {
    let ctx = ctx();
    let mut reader = if plain { layer.open_uncompressed(&ctx).wait()? } else { layer.open(&ctx).wait()? };
    let mut all = Vec::new();
    loop {
        let piece = reader.next(&ctx).wait()?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

/// The host's blobs.
#[derive(Default)]
struct Host {
    blobs: Mutex<HashMap<Digest, Vec<u8>>>,
    opened: AtomicU32,
}

impl Host {
    fn with(image: &Image) -> Arc<Host> {
        let host = Host::default();
        host.put(image);
        Arc::new(host)
    }
    fn put(&self, image: &Image) {
        let mut blobs = self.blobs.lock().unwrap();
        let config = image.config(&ctx()).wait().unwrap().raw().to_vec();
        blobs.insert(Digest::sha256(&config), config);
        blobs.insert(image.digest().clone(), image.manifest().raw().to_vec());
        for layer in image.layers() {
            blobs.insert(layer.descriptor().digest.clone(), read(layer, false).unwrap());
        }
    }
    fn change(&self, digest: &Digest, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.blobs.lock().unwrap().get_mut(digest).unwrap());
    }
}

impl BlobProvider for Host {
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>> {
        self.opened.fetch_add(1, SeqCst);
        let blobs = self.blobs.lock().unwrap();
        let bytes = blobs.get(&blob.digest).ok_or_else(|| Error::new(Code::NotFound, "the host has no such blob"))?;
        Ok(Box::new(Bytes(bytes[offset as usize..].to_vec())))
    }
    fn exists(&self, blob: &Descriptor) -> Result<Option<bool>> {
        Ok(Some(self.blobs.lock().unwrap().contains_key(&blob.digest)))
    }
}

struct Bytes(Vec<u8>);

impl HostStream for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = buf.len().min(self.0.len()).min(7_001);
        buf[..n].copy_from_slice(&self.0[..n]);
        self.0.drain(..n);
        Ok(n)
    }
}

fn findings(report: &Report) -> Vec<(Code, String)> {
    report.findings().iter().map(|f| (f.code, format!("{}: {}", f.subject, f.message))).collect()
}

#[test]
fn an_image_whose_blobs_the_host_opens() {
    let origin = image(3, 1);
    let host = Host::with(&origin);
    let mut blobs = Blobs::new();
    blobs.provider(host.clone());
    let made = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap();
    assert_eq!(host.opened.load(SeqCst), 0, "nothing is opened before it is read");
    assert_eq!((made.digest(), made.layers().len()), (origin.digest(), 3));
    made.validate(&none(), &ctx()).wait().unwrap();
    assert!(made.examine(&none().fast(), &ctx()).wait().unwrap().is_clean());
    assert_eq!(host.opened.load(SeqCst), 4, "three layers and the config, and none for looking whether it is there");

    // Other bytes, fewer bytes, none at all: told with the blob's digest, and never passed on as the layer.
    let blob = made.layers()[1].descriptor().digest.clone();
    host.change(&blob, |bytes| bytes[999] ^= 1);
    let e = read(&made.layers()[1], false).unwrap_err();
    assert_eq!((e.code(), e.get_subject()), (Code::DigestMismatch, Some(blob.as_str())));
    host.change(&blob, |bytes| bytes.truncate(500));
    assert_eq!(made.validate(&none(), &ctx()).wait().unwrap_err().get_subject(), Some(blob.as_str()));
    host.blobs.lock().unwrap().remove(&blob);
    for options in [none(), none().fast()] {
        let report = made.examine(&options, &ctx()).wait().unwrap();
        assert_eq!(report.findings().len(), 1, "{}", report.to_json());
        assert_eq!((report.findings()[0].code, report.findings()[0].subject.as_str()), (Code::NotFound, blob.as_str()));
    }
}

#[test]
fn an_image_of_bytes_and_layers_without_any_callback() {
    let origin = image(2, 2);
    let mut blobs = Blobs::new();
    let e = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap_err();
    assert_eq!((e.code(), e.get_subject()), (Code::NotFound, Some(origin.layers()[0].descriptor().digest.as_str())));
    blobs.add_bytes(origin.config(&ctx()).wait().unwrap().raw().clone());
    origin.layers().iter().for_each(|layer| {
        blobs.add_layer(layer);
    });
    let made = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap();
    made.validate(&none(), &ctx()).wait().unwrap();
    assert_eq!(Image::from_parts("{}".into(), &blobs).unwrap_err().code(), Code::Malformed);
}

#[test]
fn an_image_from_its_config_is_the_one_that_was_built() {
    for (format, kind) in [(Format::Oci, "gzip"), (Format::Docker, "none"), (Format::Oci, "zstd")] {
        let options = none().format(format);
        let origin = Image::random(2, 20_000, 3, &compressed(kind).format(format), &ctx()).wait().unwrap();
        let config = origin.config(&ctx()).wait().unwrap();
        let made = Image::from_config(config.raw().clone(), origin.layers(), &options, &ctx()).wait().unwrap();
        assert_eq!(made.digest(), origin.digest());
        made.validate(&none(), &ctx()).wait().unwrap();
        let (one, two) = (origin.layers()[0].clone(), origin.layers()[1].clone());
        for wrong in [vec![], vec![one.clone()], vec![two, one]] {
            let e = Image::from_config(config.raw().clone(), &wrong, &options, &ctx()).wait().unwrap_err();
            assert_eq!(e.code(), Code::Malformed);
        }
    }
}

#[test]
fn layers_of_parts() {
    let origin = Layer::random(100_000, 4, &compressed("gzip"), &ctx()).wait().unwrap();
    let (descriptor, diff_id) = (origin.descriptor().clone(), origin.diff_id(&ctx()).wait().unwrap());
    let mut blobs = Blobs::new();
    assert_eq!(Layer::from_parts(descriptor.clone(), None, None, &blobs).unwrap_err().code(), Code::NotFound);
    blobs.add_bytes(read(&origin, false).unwrap().into());
    for known in [None, Some(diff_id.clone())] {
        let made = Layer::from_parts(descriptor.clone(), known, None, &blobs).unwrap();
        assert_eq!(made.diff_id(&ctx()).wait().unwrap(), diff_id);
        let size = made.uncompressed_size(&ctx()).wait().unwrap();
        assert_eq!(size, origin.uncompressed_size(&ctx()).wait().unwrap());
        assert_eq!(size, read(&origin, true).unwrap().len() as u64);
        assert_eq!(read(&made, true).unwrap(), read(&origin, true).unwrap());
        made.validate(&none(), &ctx()).wait().unwrap();
    }
    let told = Layer::from_parts(descriptor.clone(), None, Some(5), &blobs).unwrap();
    assert_eq!(told.uncompressed_size(&ctx()).wait().unwrap(), 5, "who makes it knows");
    // But that is checked like everything else.
    let blob = descriptor.digest.as_str();
    for wrong in [5, 1 << 30] {
        let told = Layer::from_parts(descriptor.clone(), None, Some(wrong), &blobs).unwrap();
        for e in [read(&told, true).unwrap_err(), told.validate(&none(), &ctx()).wait().unwrap_err()] {
            assert_eq!((e.code(), e.get_subject()), (Code::DigestMismatch, Some(blob)), "{e}");
            assert!(e.message().contains(&wrong.to_string()), "{e}");
        }
        assert_eq!(read(&told, false).unwrap(), read(&origin, false).unwrap());
    }
    let lie = Layer::from_parts(descriptor, Some(Digest::sha256(b"")), None, &blobs).unwrap();
    assert_eq!(read(&lie, true).unwrap_err().code(), Code::DigestMismatch);
    assert_eq!(lie.validate(&none(), &ctx()).wait().unwrap_err().code(), Code::DigestMismatch);

    let fixed = Layer::fixed(b"some text"[..].into(), MediaType::new("text/plain")).unwrap();
    assert_eq!(fixed.descriptor().digest, Digest::sha256(b"some text"));
    assert_eq!(fixed.diff_id(&ctx()).wait().unwrap(), Digest::sha256(b"some text"));
    assert_eq!((read(&fixed, false).unwrap(), read(&fixed, true).unwrap()), (b"some text".into(), b"some text".into()));
    let gzip = Layer::fixed(read(&origin, false).unwrap().into(), MediaType::OCI_LAYER_GZIP).unwrap();
    assert_eq!(gzip.diff_id(&ctx()).wait().unwrap(), diff_id);
}

/// What stands in the descriptor itself need not be anywhere else, if it is what is meant.
#[test]
fn blobs_that_stand_in_their_descriptors() {
    let origin = Layer::random(1_000, 4, &compressed("gzip"), &ctx()).wait().unwrap();
    let (bytes, mut descriptor) = (read(&origin, false).unwrap(), origin.descriptor().clone());
    descriptor.data = Some(bytes.clone().into());
    let layer = Layer::from_parts(descriptor.clone(), None, None, &Blobs::new()).unwrap();
    assert_eq!(read(&layer, false).unwrap(), bytes);
    layer.validate(&none(), &ctx()).wait().unwrap();
    let image = ImageBuilder::from_scratch().add_layer(&layer).build(&none(), &ctx()).wait().unwrap();
    let document = image.manifest().raw().clone();
    let config = image.config(&ctx()).wait().unwrap().raw().clone();
    let made = Image::from_parts(document, Blobs::new().add_bytes(config)).unwrap();
    assert!(made.manifest().layers()[0].data.is_some());
    assert_eq!(read(&made.layers()[0], false).unwrap(), bytes);
    for options in [none(), none().fast()] {
        let report = made.examine(&options, &ctx()).wait().unwrap();
        assert!(report.is_clean(), "{}", report.to_json());
    }
    // Of an index's manifests, too.
    let mut entry = image.descriptor().clone();
    entry.data = Some(image.manifest().raw().clone());
    let mut index = IndexManifest::empty(true).edit();
    index.append(entry);
    let index = Index::from_parts(index.finish().unwrap().raw().clone(), &Blobs::new()).unwrap();
    assert_eq!(index.image(image.digest().as_str(), &none(), &ctx()).wait().unwrap().digest(), image.digest());

    descriptor.data = Some(b"something else"[..].into());
    let error = Layer::from_parts(descriptor.clone(), None, None, &Blobs::new()).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("what its descriptor holds is another"), "{error}");
    // Where the right bytes are elsewhere, it is told by who looks.
    let layer = Layer::from_parts(descriptor, None, None, Blobs::new().add_bytes(bytes.clone().into())).unwrap();
    let image = ImageBuilder::from_scratch().add_layer(&layer).build(&none(), &ctx()).wait().unwrap();
    let mut blobs = Blobs::new();
    blobs.add_bytes(image.config(&ctx()).wait().unwrap().raw().clone()).add_bytes(bytes.into());
    let made = Image::from_parts(image.manifest().raw().clone(), &blobs).unwrap();
    for options in [none(), none().fast()] {
        let report = made.examine(&options, &ctx()).wait().unwrap();
        assert_eq!(report.findings().len(), 1, "{}", report.to_json());
    }
}

/// Whatever is wrong with a layer, it is known which one.
#[test]
fn what_is_wrong_with_a_layer_names_it() {
    let mut builder = LayerBuilder::new();
    builder.add_bytes("a", 0o644, &[b'x'; 100_000]).unwrap();
    let plain = read(&builder.build(&compressed("none"), &ctx()).wait().unwrap(), false).unwrap();
    let gzip = read(&builder.build(&compressed("gzip"), &ctx()).wait().unwrap(), false).unwrap();
    let zstd = read(&builder.build(&compressed("zstd"), &ctx()).wait().unwrap(), false).unwrap();
    let mut header = plain.clone();
    header[0] ^= 1;
    let wrong = [
        (b"no tar".repeat(500), MediaType::OCI_LAYER),
        (header, MediaType::OCI_LAYER),
        (plain[..50_000].to_vec(), MediaType::OCI_LAYER),
        (gzip[..gzip.len() - 20].to_vec(), MediaType::OCI_LAYER_GZIP),
        (zstd[..zstd.len() - 9].to_vec(), MediaType::OCI_LAYER_ZSTD),
    ];
    for (bytes, media_type) in wrong {
        let layer = Layer::fixed(bytes.into(), media_type.clone()).unwrap();
        let digest = layer.descriptor().digest.clone();
        let e = layer.validate(&none(), &ctx()).wait().unwrap_err();
        assert_eq!((e.code(), e.get_subject()), (Code::Malformed, Some(digest.as_str())), "{media_type}: {e}");
        for (code, text) in findings(&changed_of(&layer).examine(&none(), &ctx()).wait().unwrap()) {
            assert!(code == Code::Malformed && text.starts_with(&format!("{digest}: ")), "{text}");
        }
        if media_type != MediaType::OCI_LAYER {
            for e in [layer.diff_id(&ctx()).wait().unwrap_err(), read(&layer, true).unwrap_err()] {
                assert_eq!(e.get_subject(), Some(digest.as_str()), "{e}");
            }
        }
    }
    let layer = Layer::fixed(plain[..50_000].to_vec().into(), MediaType::OCI_LAYER).unwrap();
    let e = layer.validate(&none(), &ctx()).wait().unwrap_err();
    assert!(e.message().starts_with("a: "), "the entry: {e}");
}

/// An image of a layer that can't be read.
fn changed_of(layer: &Layer) -> Image {
    let mut blobs = Blobs::new();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::sha256(b"")
    );
    let config_type = Descriptor::of(MediaType::OCI_CONFIG, config.as_bytes());
    blobs.add_bytes(config.into()).add_layer(layer);
    let entry =
        |d: &Descriptor| format!(r#"{{"mediaType":"{}","digest":"{}","size":{}}}"#, d.media_type, d.digest, d.size);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        MediaType::OCI_MANIFEST,
        entry(&config_type),
        entry(layer.descriptor())
    );
    Image::from_parts(manifest.into(), &blobs).unwrap()
}

#[test]
fn indexes_of_parts_nested_ones_too() {
    let (one, two) = (image(1, 5), image(2, 6));
    let nested = {
        let mut edit = IndexManifest::empty(true).edit();
        edit.append(two.descriptor().clone());
        let mut blobs = Blobs::new();
        blobs.add_image(&two);
        Index::from_parts(edit.finish().unwrap().raw().clone(), &blobs).unwrap()
    };
    let mut entry = one.descriptor().clone();
    entry.platform = Some("linux/amd64".parse().unwrap());
    let mut edit = IndexManifest::empty(true).edit();
    edit.append(entry.clone());
    edit.append(nested.descriptor().clone());
    let document = edit.finish().unwrap().raw().clone();

    let host = Host::with(&one);
    host.put(&two);
    host.blobs.lock().unwrap().insert(nested.digest().clone(), nested.manifest().raw().to_vec());
    let (mut values, mut opened) = (Blobs::new(), Blobs::new());
    values.add_image(&one).add_index(&nested);
    opened.provider(host);
    for blobs in [values, opened] {
        let index = Index::from_parts(document.clone(), &blobs).unwrap();
        index.validate(&none(), &ctx()).wait().unwrap();
        let images = index.images(&Matcher::new(), &none(), &ctx()).wait().unwrap();
        assert_eq!(images.iter().map(Image::digest).collect::<Vec<_>>(), [one.digest()]);
        let indexes = index.indexes(&Matcher::new(), &none(), &ctx()).wait().unwrap();
        assert_eq!(indexes.iter().map(Index::digest).collect::<Vec<_>>(), [nested.digest()]);
        assert_eq!(index.find(&Matcher::new().platform("linux/amd64".parse().unwrap())), [entry.clone()]);
        assert_eq!(index.platforms().iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64"]);
        let size = index.size(&none(), &ctx()).wait().unwrap();
        assert_eq!(size, index.descriptor().size + nested.descriptor().size + one.size() + two.size());
    }
}

#[test]
fn indexes_that_were_put_together_are_parts_and_cached_like_others() {
    let (one, two, dir) = (image(1, 7), image(1, 8), tempfile::tempdir().unwrap());
    let built = |b: &IndexBuilder| b.build(&none(), &ctx()).wait().unwrap();
    let nested = built(IndexBuilder::from_scratch().add_image(&two));
    let index = built(IndexBuilder::from_scratch().add_image(&one).add_index(&nested));
    let mut blobs = Blobs::new();
    blobs.add_index(&index);
    let of_parts = Index::from_parts(index.manifest().raw().clone(), &blobs).unwrap();
    let cache = Cache::open(dir.path(), 1 << 20, &none(), &ctx()).wait().unwrap();
    for index in [&of_parts, &index.cached(&cache), &of_parts.cached(&cache)] {
        index.validate(&none(), &ctx()).wait().unwrap();
        let child = index.child(nested.digest().as_str(), &none(), &ctx()).wait().unwrap();
        assert_eq!(child.image(two.digest().as_str(), &none(), &ctx()).wait().unwrap().digest(), two.digest());
    }
    assert!(cache.stats().hits > 0);
}

#[test]
fn empty_ones_have_the_digests_of_the_reference() {
    let image = "sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4";
    let index = "sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2";
    assert_eq!(Image::empty(Format::Docker).unwrap().digest().as_str(), image);
    assert_eq!(Index::empty(Format::Oci).unwrap().digest().as_str(), index);
    for format in [Format::Oci, Format::Docker] {
        Image::empty(format).unwrap().validate(&none(), &ctx()).wait().unwrap();
        Index::empty(format).unwrap().validate(&none(), &ctx()).wait().unwrap();
    }
}

#[test]
fn random_ones_are_the_same_for_the_same_seed() {
    let of = |seed, options: &Options| Image::random(2, 10_001, seed, options, &ctx()).wait().unwrap().digest().clone();
    assert_eq!(of(7, &none()), of(7, &none()));
    assert_ne!(of(7, &none()), of(8, &none()));
    // On every machine, and with every later version.
    assert_eq!(of(7, &none()).as_str(), SEVEN);
    let (oci, docker) = (none(), none().format(Format::Docker));
    assert_ne!(of(7, &oci), of(7, &docker));
    for options in [oci, docker, compressed("gzip"), compressed("zstd")] {
        let index = Index::random(2, 2, 5_000, 1, &options, &ctx()).wait().unwrap();
        index.validate(&none(), &ctx()).wait().unwrap();
    }
    let sizes = [0, 1, 511, 512, 513, 300_000].map(|size| {
        let layer = Layer::random(size, 1, &none(), &ctx()).wait().unwrap();
        layer.validate(&none(), &ctx()).wait().unwrap();
        layer.descriptor().size - size.next_multiple_of(512)
    });
    assert_eq!(sizes, [1536; 6], "a header, and two blocks of zeros");
    assert_eq!(Image::random(1001, 1, 1, &none(), &ctx()).wait().unwrap_err().code(), Code::InvalidArgument);
}

const SEVEN: &str = "sha256:c5c5f7634ac1a35b891b13038ee2b596c27e9dd15dc240cc4a806dadccd51db7";

#[test]
fn memory_keeps_what_is_put_in_and_its_bound() {
    let store = MemoryStore::new(1 << 20).unwrap();
    let (one, index) = (image(2, 1), Index::random(2, 1, 20_000, 2, &none(), &ctx()).wait().unwrap());
    store.add_image(Some("one"), &one, &none(), &ctx()).wait().unwrap();
    assert_eq!(store.size(), one.size());
    store.add_image(Some("again"), &one, &none(), &ctx()).wait().unwrap();
    assert_eq!(store.size(), one.size());
    store.add_index(None, &index, &none(), &ctx()).wait().unwrap();
    assert_eq!(store.names(), ["again", "one"]);
    for name in ["one", "again", one.digest().as_str()] {
        let had = store.image(name, &none(), &ctx()).wait().unwrap();
        assert_eq!(had.digest(), one.digest());
        had.validate(&none(), &ctx()).wait().unwrap();
    }
    let had = store.index(index.digest().as_str(), &none(), &ctx()).wait().unwrap();
    had.validate(&none(), &ctx()).wait().unwrap();
    let child = had.manifest().manifests()[0].digest.clone();
    store.image(child.as_str(), &none(), &ctx()).wait().unwrap();
    let code = |e: Error| e.code();
    assert_eq!(store.index("one", &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::InvalidArgument);
    assert_eq!(store.image("two", &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::NotFound);

    let before = store.size();
    let large = Image::random(2, 600_000, 9, &none(), &ctx()).wait().unwrap();
    let e = store.add_image(Some("large"), &large, &none(), &ctx()).wait().unwrap_err();
    assert_eq!(e.code(), Code::LimitExceeded);
    assert_eq!(store.size(), before, "what failed keeps nothing");
    // A layer that is made into it, and one that is too large for it.
    let into = none().sink(&SinkHandle::memory(&store));
    let layer = Layer::random(10_000, 3, &into, &ctx()).wait().unwrap();
    layer.validate(&none(), &ctx()).wait().unwrap();
    let e = Layer::random(2 << 20, 3, &into, &ctx()).wait().unwrap_err();
    assert_eq!(e.code(), Code::LimitExceeded);

    store.remove("one").unwrap();
    store.image("again", &none(), &ctx()).wait().unwrap();
    store.remove("again").unwrap();
    assert_eq!(store.image("again", &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::NotFound);
    let (of_index, of_layer) = (index.size(&none(), &ctx()).wait().unwrap(), layer.descriptor().size);
    assert_eq!(store.size(), of_index + of_layer, "only the index and the layer are left");
    store.remove(index.digest().as_str()).unwrap();
    assert_eq!(store.index(index.digest().as_str(), &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::NotFound);
    assert_eq!(store.size(), of_index + of_layer, "values that were had keep what they need");
    had.validate(&none(), &ctx()).wait().unwrap();
    layer.validate(&none(), &ctx()).wait().unwrap();
    drop(had);
    assert_eq!(store.size(), of_layer);
    drop(layer);
    assert_eq!(store.size(), 0);
    assert_eq!(store.remove("one").unwrap_err().code(), Code::NotFound);
}

#[test]
fn memory_keeps_nothing_that_nobody_needs() {
    let random = |n, seed| Image::random(n, 100_000, seed, &none(), &ctx()).wait().unwrap();
    let put = |store: &MemoryStore, name: Option<&str>, image: &Image| {
        store.add_image(name, image, &none().jobs(1), &ctx()).wait()
    };
    // What failed, for want of room or because a blob could not be had.
    let store = MemoryStore::new(250_000).unwrap();
    assert_eq!(put(&store, Some("x"), &random(3, 5)).unwrap_err().code(), Code::LimitExceeded);
    assert_eq!((store.size(), store.names().len()), (0, 0));
    let origin = random(2, 6);
    let mut blobs = Blobs::new();
    blobs.add_layer(&origin.layers()[0]);
    blobs.provider(Arc::new(Host::default()));
    let broken = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap();
    put(&store, Some("x"), &broken).unwrap_err();
    assert_eq!(store.size(), 0);
    put(&store, Some("y"), &random(1, 7)).unwrap();

    // A name that goes on to others.
    let store = MemoryStore::new(500_000).unwrap();
    for seed in 0..6 {
        let image = random(2, seed);
        put(&store, Some("x"), &image).unwrap();
        assert_eq!(store.size(), image.size());
    }
    store.remove("x").unwrap();
    assert_eq!(store.size(), 0);
    // A layer that was made into it, and put in with an image or not.
    let into = none().sink(&SinkHandle::memory(&store));
    drop(Layer::random(100_000, 1, &into, &ctx()).wait().unwrap());
    assert_eq!(store.size(), 0);
    let layer = Layer::random(100_000, 1, &into, &ctx()).wait().unwrap();
    let empty = Image::empty(Format::Oci).unwrap();
    let made = ImageBuilder::new(&empty).add_layer(&layer).build(&none(), &ctx()).wait().unwrap();
    put(&store, Some("made"), &made).unwrap();
    drop((layer, made));
    let had = store.image("made", &none(), &ctx()).wait().unwrap();
    had.validate(&none(), &ctx()).wait().unwrap();
    assert_eq!(store.size(), had.size());
    // A layer of what was had holds it, too.
    let layer = had.layers()[0].clone();
    drop(had);
    store.remove("made").unwrap();
    layer.validate(&none(), &ctx()).wait().unwrap();
    drop(layer);
    assert_eq!(store.size(), 0);
}

#[test]
fn memory_tells_names_from_what_was_put_in_without_one() {
    let code = |e: Error| e.code();
    let get = |store: &MemoryStore, which: &str| store.image(which, &none(), &ctx()).wait().map(drop).map_err(code);
    let one = image(2, 1);
    // It is full, and takes what it has again.
    let store = MemoryStore::new(one.size()).unwrap();
    for name in [None, Some("a"), None, Some("b")] {
        store.add_image(name, &one, &none(), &ctx()).wait().unwrap();
        assert_eq!(store.size(), one.size());
    }
    store.remove("a").unwrap();
    store.remove("b").unwrap();
    get(&store, one.digest().as_str()).unwrap();
    store.remove(one.digest().as_str()).unwrap();
    assert_eq!((get(&store, one.digest().as_str()), store.size()), (Err(Code::NotFound), 0));
    // With names alone it goes with the last of them, or with its digest.
    for remove in [&["a", "b"][..], &[one.digest().as_str()]] {
        store.add_image(Some("a"), &one, &none(), &ctx()).wait().unwrap();
        store.add_image(Some("b"), &one, &none(), &ctx()).wait().unwrap();
        remove.iter().for_each(|which| store.remove(which).unwrap());
        assert_eq!((store.names().len(), store.size()), (0, 0));
    }
    // A part goes with the whole, and says what that is.
    let store = MemoryStore::new(1 << 20).unwrap();
    let index = Index::random(2, 1, 1000, 2, &none(), &ctx()).wait().unwrap();
    let child = index.manifest().manifests()[0].digest.clone();
    store.add_index(Some("all"), &index, &none(), &ctx()).wait().unwrap();
    let e = store.remove(child.as_str()).unwrap_err();
    assert_eq!((e.code(), e.get_subject()), (Code::InvalidState, Some(child.as_str())));
    assert!(e.to_string().contains("all (sha256:"), "{e}");
    get(&store, child.as_str()).unwrap();
    let config = store.image(child.as_str(), &none(), &ctx()).wait().unwrap().manifest().config().digest.clone();
    assert_eq!(store.remove(config.as_str()).unwrap_err().code(), Code::NotFound);
    // One that was put in by itself, besides, stays until both are gone.
    let had = store.image(child.as_str(), &none(), &ctx()).wait().unwrap();
    store.add_image(None, &had, &none(), &ctx()).wait().unwrap();
    drop(had);
    store.remove("all").unwrap();
    get(&store, child.as_str()).unwrap();
    store.remove(child.as_str()).unwrap();
    assert_eq!(store.size(), 0);
}

/// Opens one blob only when it is let.
struct Held {
    host: Arc<Host>,
    held: Digest,
    asked: Mutex<std::sync::mpsc::Sender<()>>,
    let_go: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl BlobProvider for Held {
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>> {
        if blob.digest == self.held {
            self.asked.lock().unwrap().send(()).unwrap();
            let _ = self.let_go.lock().unwrap().recv();
        }
        self.host.open(blob, offset)
    }
}

#[test]
fn memory_keeps_what_is_on_its_way_in() {
    let store = MemoryStore::new(1 << 20).unwrap();
    let (other, origin) = (image(1, 1), image(2, 2));
    for cancelled in [false, true] {
        store.add_image(Some("other"), &other, &none(), &ctx()).wait().unwrap();
        let ((asked, was_asked), (go, let_go)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let held = origin.layers()[1].descriptor().digest.clone();
        let (asked, let_go) = (Mutex::new(asked), Mutex::new(let_go));
        let mut blobs = Blobs::new();
        blobs.provider(Arc::new(Held { host: Host::with(&origin), held, asked, let_go }));
        let slow = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap();
        let options = none().jobs(1);
        let ctx = ctx();
        let adding = store.add_image(Some("slow"), &slow, &options, &ctx);
        was_asked.recv_timeout(Duration::from_secs(30)).unwrap();
        store.remove("other").unwrap(); // the first layer is in
        if cancelled {
            ctx.cancel();
        }
        go.send(()).unwrap();
        match adding.wait() {
            Ok(()) => assert!(!cancelled),
            Err(e) => assert!(cancelled, "{e}"),
        }
        if !cancelled {
            let had = store.image("slow", &none(), &self::ctx()).wait().unwrap();
            had.validate(&none(), &self::ctx()).wait().unwrap();
            store.remove("slow").unwrap();
            drop(had);
            assert_eq!(store.size(), 0);
        }
    }
    // What was cancelled keeps nothing: the host's callback ends by itself.
    let start = std::time::Instant::now();
    while store.size() > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "{} bytes stay", store.size());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn parts_of_indexes_that_are_nested_deeper() {
    let (deep, near) = (image(1, 1), image(1, 2));
    let over = |named: &[Descriptor], blobs: &Blobs| {
        let mut edit = IndexManifest::empty(true).edit();
        named.iter().for_each(|d| edit.append(d.clone()));
        Index::from_parts(edit.finish().unwrap().raw().clone(), blobs).unwrap()
    };
    let mut blobs = Blobs::new();
    let lowest = over(&[deep.descriptor().clone()], blobs.add_image(&deep));
    let mut blobs = Blobs::new();
    let middle = over(&[lowest.descriptor().clone()], blobs.add_index(&lowest));
    let mut blobs = Blobs::new();
    blobs.add_image(&near).add_index(&middle);
    let top = over(&[middle.descriptor().clone(), near.descriptor().clone()], &blobs);
    // All that is known is the outermost one; each of what is below it is named by itself.
    let mut blobs = Blobs::new();
    blobs.add_index(&top);
    for named in [middle.descriptor(), lowest.descriptor(), deep.descriptor(), near.descriptor()] {
        let made = over(std::slice::from_ref(named), &blobs);
        made.validate(&none(), &ctx()).wait().unwrap_or_else(|e| panic!("{named:?}: {e}"));
    }
    let made = over(&[image(1, 3).descriptor().clone()], &blobs);
    assert_eq!(made.validate(&none(), &ctx()).wait().unwrap_err().code(), Code::NotFound);
}

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

#[test]
fn what_kind_of_artifact() {
    let image = image(1, 1);
    assert_eq!(image.artifact_type(), MediaType::OCI_CONFIG.as_str());
    let text = String::from_utf8(image.manifest().raw().to_vec()).unwrap();
    let typed = format!("{},\"artifactType\":\"text/x\"}}", text.strip_suffix('}').unwrap());
    let mut blobs = Blobs::new();
    blobs.add_image(&image);
    assert_eq!(Image::from_parts(typed.into(), &blobs).unwrap().artifact_type(), "text/x");
}
