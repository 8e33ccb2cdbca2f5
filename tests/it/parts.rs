//! Images, indexes and layers of parts, of nothing and of random bytes.

use parbuckle::{
    BlobProvider, Blobs, Cache, Code, CompressionOptions, Context, Descriptor, Digest, Error, Format, HostStream,
    Image, ImageBuilder, Index, IndexBuilder, IndexManifest, Layer, LayerBuilder, Matcher, MediaType, Options, Report,
    Result,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn ctx() -> Context {
    Context::with_timeout(Duration::from_secs(60))
}

pub fn none() -> Options {
    Options::new()
}

pub fn compressed(kind: &str) -> Options {
    Options::new().compression(CompressionOptions { kind: Some(kind.parse().unwrap()), level: None })
}

pub fn image(layers: u32, seed: u64) -> Image {
    Image::random(layers, 30_000, seed, &none(), &ctx()).wait().unwrap()
}

pub fn read(layer: &Layer, plain: bool) -> Result<Vec<u8>> {
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
pub struct Host {
    blobs: Mutex<HashMap<Digest, Vec<u8>>>,
    opened: AtomicU32,
}

impl Host {
    pub fn with(image: &Image) -> Arc<Host> {
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

pub struct Bytes(Vec<u8>);

impl HostStream for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = buf.len().min(self.0.len()).min(7_001);
        buf[..n].copy_from_slice(&self.0[..n]);
        self.0.drain(..n);
        Ok(n)
    }
}

pub fn findings(report: &Report) -> Vec<(Code, String)> {
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
pub fn changed_of(layer: &Layer) -> Image {
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
fn what_kind_of_artifact() {
    let image = image(1, 1);
    assert_eq!(image.artifact_type(), MediaType::OCI_CONFIG.as_str());
    let text = String::from_utf8(image.manifest().raw().to_vec()).unwrap();
    let typed = format!("{},\"artifactType\":\"text/x\"}}", text.strip_suffix('}').unwrap());
    let mut blobs = Blobs::new();
    blobs.add_image(&image);
    assert_eq!(Image::from_parts(typed.into(), &blobs).unwrap().artifact_type(), "text/x");
}
