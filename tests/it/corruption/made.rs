//! Small images of all compressions, and what is made of them by hand.

use super::reading::ctx;
use parbuckle::{
    Compression, CompressionOptions, Digest, Format, Image, ImageBuilder, Index, IndexBuilder, Layer, Options,
};
use serde_json::{Value, json};

/// Name and content of each file of a tar.
pub type Files = Vec<(String, Vec<u8>)>;

/// A layer of one link. The end of its tar is left out: there is nothing in it.
pub fn layer(name: &str, kind: Compression) -> Layer {
    let tar = tar_of(&[file(name, format!("-> {}", kind.name()))]);
    let options = Options::new().compression(CompressionOptions { kind: Some(kind), level: None });
    Layer::from_bytes(tar[..512].to_vec().into(), &options, &ctx()).wait().unwrap()
}

pub fn image_of(kinds: &[Compression], format: Format, platform: &str) -> Image {
    let mut builder = ImageBuilder::from_scratch();
    for kind in kinds {
        builder.add_layer(&layer(kind.name(), *kind));
    }
    builder.set_platform(&platform.parse().unwrap());
    builder.build(&Options::new().format(format), &ctx()).wait().unwrap()
}

/// A layer of each kind, in OCI's types.
pub fn image() -> Image {
    image_of(&[Compression::Gzip, Compression::Zstd, Compression::None], Format::Oci, "linux/amd64")
}

pub fn docker(kinds: &[Compression]) -> Image {
    image_of(kinds, Format::Docker, "linux/amd64")
}

/// An index in an index, with an image.
pub fn nested() -> Index {
    IndexBuilder::from_scratch().add_index(&index_of(&image())).build(&Options::new(), &ctx()).wait().unwrap()
}

pub fn index_of(image: &Image) -> Index {
    IndexBuilder::from_scratch().add_image(image).build(&Options::new(), &ctx()).wait().unwrap()
}

pub fn read(layer: &Layer, plain: bool) -> Vec<u8> {
    let mut reader = if plain { layer.open_uncompressed(&ctx()).wait() } else { layer.open(&ctx()).wait() }.unwrap();
    super::reading::all(&mut reader).unwrap()
}

pub fn file(name: &str, content: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), content.as_ref().to_vec())
}

/// A tar of these files; `-> target` as content is a symbolic link.
pub fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match content.strip_prefix(b"-> ") {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, name, std::str::from_utf8(target).unwrap()).unwrap();
            }
            None => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, &content[..]).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

/// What a docker of old saves: plain layers in directories, here one with a long name and one that is a link.
pub fn saved(image: &Image) -> Files {
    let (long, mut files) = ("l".repeat(120), Vec::new());
    let names = [format!("{long}/layer.tar"), "b/layer.tar".to_owned()];
    files.push(file(&names[0], read(&image.layers()[0], true)));
    files.push(file(&names[1], "-> ../kept"));
    files.push(file("kept", read(&image.layers()[1], true)));
    let config = image.config(&ctx()).wait().unwrap();
    let name = format!("{}.json", Digest::sha256(config.raw()).hex());
    files.push(file(&name, config.raw()));
    files.push(file("manifest.json", json!([{"Config": name, "RepoTags": ["a:1"], "Layers": names}]).to_string()));
    files
}

/// As Docker 25 saves: a layout, and manifest.json beside it.
pub fn with_layout(image: &Image) -> Files {
    let blob = |d: &Digest| format!("blobs/sha256/{}", d.hex());
    let config = image.config(&ctx()).wait().unwrap();
    let config = file(&blob(&image.manifest().config().digest), config.raw());
    let mut files = vec![file(&blob(image.digest()), image.manifest().raw()), config.clone()];
    let mut names = Vec::new();
    for layer in image.layers() {
        names.push(blob(&layer.descriptor().digest));
        files.push(file(names.last().unwrap(), read(layer, false)));
    }
    let descriptor = image.descriptor();
    let entry = json!({"mediaType": descriptor.media_type.as_str(), "digest": descriptor.digest.as_str(),
        "size": descriptor.size, "annotations": {"org.opencontainers.image.ref.name": "1"}});
    let index: Value = json!({"schemaVersion": 2, "manifests": [entry]});
    files.push(file("index.json", index.to_string()));
    files.push(file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#));
    files.push(file("manifest.json", json!([{"Config": config.0, "RepoTags": ["a:1"], "Layers": names}]).to_string()));
    files
}

/// An archive of the first docker.
pub fn first(image: &Image) -> Files {
    vec![
        file("a/VERSION", "1.0"),
        file("a/json", r#"{"id":"a","created":"2014-01-02T03:04:05Z"}"#),
        file("a/layer.tar", read(&image.layers()[0], true)),
        file("b/VERSION", "1.0"),
        file("b/json", r#"{"id":"b","parent":"a","os":"linux","architecture":"amd64"}"#),
        file("b/layer.tar", read(&image.layers()[1], true)),
        file("repositories", r#"{"a":{"1":"b"}}"#),
    ]
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = zstd::Encoder::new(Vec::new(), 3).unwrap();
    out.include_checksum(true).unwrap(); // as the program does
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}
