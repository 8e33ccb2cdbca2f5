//! Archives: what is written is read again as the same, in every form; what is broken is an error, never another image.

use crate::support::noise;
use parbuckle::{
    Archive, ArchiveItem, Code, Compression, CompressionOptions, Context, Digest, Format, HostStream, Image,
    ImageBuilder, Layer, LayerBuilder, Options, Result,
};
use std::io::Read;
use std::path::{Path, PathBuf};

const FORMS: [ArchiveFormat; 3] = [ArchiveFormat::Docker, ArchiveFormat::Oci, ArchiveFormat::Legacy];

fn ctx() -> Context {
    Context::with_timeout(std::time::Duration::from_secs(60))
}

fn layer(name: &str, content: &[u8], kind: Compression) -> Layer {
    let mut builder = LayerBuilder::new();
    builder.add_bytes(name, 0o644, content).unwrap();
    let options = Options::new().compression(CompressionOptions { kind: Some(kind), level: None });
    builder.build(&options, &ctx()).wait().unwrap()
}

fn image(layers: &[&Layer], format: Format, note: &str) -> Image {
    let mut builder = ImageBuilder::from_scratch();
    layers.iter().for_each(|layer| drop(builder.add_layer(layer)));
    builder.set_env("NOTE", Some(note)).unwrap();
    builder.set_platform(&"linux/amd64".parse().unwrap());
    builder.build(&Options::new().format(format), &ctx()).wait().unwrap()
}

/// Two layers, one of them there twice.
fn gzipped(format: Format) -> Image {
    let (a, b) = (layer("a", &noise(300_000), Compression::Gzip), layer("b", b"two", Compression::Gzip));
    image(&[&a, &b, &a], format, "gzip")
}

fn write(path: &Path, items: &[ArchiveItem], format: Format) -> Result<()> {
    Archive::write(path, items, &Options::new().format(format), &ctx()).wait()
}

fn open(path: &Path) -> Result<Archive> {
    Archive::open(path, &Options::new(), &ctx()).wait()
}

fn read(path: &Path) -> Result<Image> {
    open(path)?.image(None, &Options::new(), &ctx()).wait()
}

fn valid(image: &Image) -> Result<()> {
    image.validate(&Options::new(), &ctx()).wait()
}

fn config_of(image: &Image) -> Digest {
    image.manifest().config().digest.clone()
}

struct Dir(tempfile::TempDir);
impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn every_form_gives_the_image_back() {
    let dir = Dir::new();
    for form in FORMS {
        for made in [gzipped(Format::Docker), gzipped(Format::Oci)] {
            let path = dir.path("a.tar");
            write(&path, &[ArchiveItem::image(&made, Some("localhost/a:1"))], form).unwrap();
            let archive = open(&path).unwrap();
            // The old form written has manifest.json, and so is today's to those who read it.
            assert_eq!(archive.kind(), if form == Format::Oci { Format::Oci } else { Format::Docker });
            assert_eq!(archive.refs(), ["localhost/a:1"]);
            let back = archive.image(Some("localhost/a:1"), &Options::new(), &ctx()).wait().unwrap();
            valid(&back).unwrap();
            assert_eq!(config_of(&back), config_of(&made));
            if form == Format::Oci || form == Format::Docker && made.manifest().media_type().is_docker() {
                assert_eq!(back.digest(), made.digest());
            }
            let by_digest = archive.image(Some(back.digest().as_str()), &Options::new(), &ctx()).wait().unwrap();
            assert_eq!(by_digest.digest(), back.digest());
        }
    }
    assert_eq!(dir.names(), ["a.tar"]);
}
