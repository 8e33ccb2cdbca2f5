//! Archives: what is written is read again as the same, in every form; what is broken is an error, never another image.

mod reading;
mod writers;
mod writing;

use crate::support::noise;
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Compression, CompressionOptions, Context, Digest, Format, Image, ImageBuilder,
    Layer, LayerBuilder, Options, Result,
};
use serde_json::Value;
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
    for layer in layers {
        builder.add_layer(layer);
    }
    builder.set_env("NOTE", Some(note)).unwrap();
    builder.set_platform(&"linux/amd64".parse().unwrap());
    builder.build(&Options::new().format(format), &ctx()).wait().unwrap()
}

/// Two layers, one of them there twice.
fn gzipped(format: Format) -> Image {
    let (a, b) = (layer("a", &noise(300_000), Compression::Gzip), layer("b", b"two", Compression::Gzip));
    image(&[&a, &b, &a], format, "gzip")
}

fn write(path: &Path, items: &[ArchiveItem], format: ArchiveFormat) -> Result<()> {
    Archive::write(path, items, &Options::new().archive_format(format), &ctx()).wait()
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

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// The files of a tar, in their order.
fn files(path: &Path) -> Files {
    let mut tar = tar::Archive::new(std::fs::File::open(path).unwrap());
    let read = |e: std::io::Result<tar::Entry<'_, std::fs::File>>| {
        let mut entry = e.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    tar.entries().unwrap().map(read).collect()
}

/// A tar of these files; `-> target` as content is a symbolic link, `=> target` a hard one.
fn make_tar(path: &Path, files: &[(String, Vec<u8>)]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let text = String::from_utf8_lossy(content);
        let link = text.strip_prefix("-> ").map(|t| (tar::EntryType::Symlink, t));
        match link.or_else(|| text.strip_prefix("=> ").map(|t| (tar::EntryType::Link, t))) {
            Some((kind, target)) => {
                header.set_entry_type(kind);
                header.set_size(0);
                tar.append_link(&mut header, name, target).unwrap();
            }
            None => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, &content[..]).unwrap();
            }
        }
    }
    tar.into_inner().unwrap();
}

fn file(name: &str, content: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), content.as_ref().to_vec())
}

fn small(format: Format) -> Image {
    let (a, b) = (layer("a", b"one", Compression::Gzip), layer("b", b"two", Compression::Gzip));
    image(&[&a, &b], format, "small")
}

fn edit_manifest(files: &mut [(String, Vec<u8>)], change: impl FnOnce(&mut Value)) {
    let (_, content) = files.iter_mut().find(|(name, _)| name == "manifest.json").unwrap();
    let mut json: Value = serde_json::from_slice(content).unwrap();
    change(&mut json);
    *content = json.to_string().into();
}
