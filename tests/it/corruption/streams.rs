//! Media that are streams: parts of the host, registries, daemons, and layers of which only parts are read.

use super::files::{files_in, joined};
use super::made::{Files, file, image_of, index_of, tar_of};
use super::reading::{Medium, Read, Span, all, ctx, flip, none};
use crate::daemon::{Fake, saved};
use parbuckle::{
    BlobProvider, Blobs, Child, Client, ClientOptions, Code, Compression, CompressionOptions, Descriptor, Digest,
    Error, Format, HostStream, Index, Keychain, Layer, LayerBuilder, Layout, MediaType, Options, Reference, Result,
};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Contents by their names, of which one byte may be another.
#[derive(Clone)]
struct Contents {
    files: Files,
    now: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Contents {
    fn new(files: &[(String, Vec<u8>)]) -> Contents {
        let now = files.iter().cloned().collect();
        Contents { files: files.to_vec(), now: Arc::new(Mutex::new(now)) }
    }
    fn put(&self, bytes: &[u8], at: usize) {
        let mut start = 0;
        for (name, content) in &self.files {
            let range = start..start + content.len();
            start = range.end;
            if range.contains(&at) {
                self.now.lock().unwrap().insert(name.clone(), bytes[range].to_vec());
            }
        }
    }
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.now.lock().unwrap().get(name).cloned()
    }
}

/// The blobs below an index, and its manifest, by the hex of their digests.
fn blobs_of(index: &Index) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path(), &none(), &ctx()).wait().unwrap();
    layout.add_index(index, None, &none(), &ctx()).wait().unwrap();
    files_in(&folder.path().join("blobs/sha256"))
}

impl BlobProvider for Contents {
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>> {
        let bytes = self.get(blob.digest.hex()).ok_or_else(|| Error::new(Code::NotFound, "no such blob"))?;
        Ok(Box::new(Pieces(bytes[offset as usize..].to_vec())))
    }
}

/// In small pieces, so that it is decompressed before its digest is known.
struct Pieces(Vec<u8>);

impl HostStream for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = buf.len().min(self.0.len()).min(77);
        buf[..n].copy_from_slice(&self.0[..n]);
        self.0.drain(..n);
        Ok(n)
    }
}

fn blobs(contents: &Contents) -> Blobs {
    let mut blobs = Blobs::new();
    blobs.provider(Arc::new(contents.clone()));
    blobs
}

#[test]
fn parts() {
    super::alone("streams::parts", || {
        let index = index_of(&image_of(&[Compression::Gzip, Compression::Zstd], Format::Oci, "linux/amd64"));
        let mut files = blobs_of(&index);
        files.retain(|(name, _)| name != index.digest().hex()); // it is given, and so is what it is
        let (bytes, spans) = joined(&files, |name, _, range| Span::new(range, &[name]));
        let medium = || {
            let (contents, raw) = (Contents::new(&files), index.manifest().raw().clone());
            let host = contents.clone();
            let read = move |depth| {
                let mut read = Read::default();
                let index = Index::from_parts(raw.clone(), &blobs(&host)).unwrap();
                read.child("all", &Child::Index(index), depth);
                read
            };
            Medium { put: Box::new(move |bytes, at| contents.put(bytes, at)), read: Box::new(read) }
        };
        flip("parts", &bytes, &spans, &medium);
    });
}

/// A layer as zstd:chunked has it: a frame for the content of a file, and a table of contents in one that is skipped.
fn chunked() -> (Descriptor, Vec<u8>) {
    let content = b"what is in the file";
    let tar = tar_of(&[file("file", content)]);
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap(); // without a checksum, as it is written there
    let mut blob = frame(&tar[..512]);
    let start = blob.len();
    blob.extend(frame(content));
    let end = blob.len();
    blob.extend(frame(&tar[512 + content.len()..]));
    let digest = Digest::sha256(content);
    let toc = format!(
        r#"{{"version":1,"entries":[{{"type":"reg","name":"file","size":{},"mode":420,"digest":"{digest}","offset":{start},"endOffset":{end}}}]}}"#,
        content.len()
    );
    let packed = frame(toc.as_bytes());
    blob.extend([0x50, 0x2a, 0x4d, 0x18]);
    blob.extend((packed.len() as u32).to_le_bytes());
    let position = format!("{}:{}:{}:1", blob.len(), packed.len(), toc.len());
    blob.extend(&packed);
    let mut descriptor = Descriptor::of(MediaType::OCI_LAYER_ZSTD, &blob);
    for (key, value) in [("position", position), ("checksum", Digest::sha256(&packed).to_string())] {
        descriptor.annotations.insert(format!("io.github.containers.zstd-chunked.manifest-{key}"), value);
    }
    (descriptor, blob)
}

fn estargz() -> (Descriptor, Vec<u8>) {
    let mut builder = LayerBuilder::new();
    builder.add_bytes("file", 0o644, b"what is in the file").unwrap();
    builder.add_bytes("other", 0o644, b"in another").unwrap();
    let kind = CompressionOptions { kind: Some(Compression::Estargz), level: None };
    let layer = builder.build(&Options::new().compression(kind), &ctx()).wait().unwrap();
    (layer.descriptor().clone(), super::made::read(&layer, false))
}

#[test]
fn layers_with_a_table_of_contents() {
    super::alone("streams::layers_with_a_table_of_contents", || {
        for (what, (descriptor, blob)) in [("eStargz", estargz()), ("zstd:chunked", chunked())] {
            let files = [file(descriptor.digest.hex(), &blob)];
            let span = Span::new(0..blob.len(), &[descriptor.digest.hex()]);
            let medium = || {
                let (contents, descriptor) = (Contents::new(&files), descriptor.clone());
                let host = contents.clone();
                let read = move |depth| {
                    let mut read = Read::default();
                    // A new one each time: a layer keeps its table.
                    let layer = Layer::from_parts(descriptor.clone(), None, None, &blobs(&host)).unwrap();
                    assert!(layer.has_toc());
                    read.layer("layer", &layer, depth);
                    read.note("toc", layer.toc_json(&ctx()).wait());
                    let open = |path| layer.open_file(path, &ctx()).wait().and_then(|mut r| all(&mut r));
                    read.note("file", open("file"));
                    read.note("validated", layer.validate(&none(), &ctx()).wait().map(|()| ""));
                    read
                };
                Medium { put: Box::new(move |bytes, at| contents.put(bytes, at)), read: Box::new(read) }
            };
            flip(what, &blob, &[span], &medium);
        }
    });
}

/// A registry of these contents; it says the true digests of manifests if that is asked for.
fn serve(contents: &Contents, index: &Index, told: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (contents, root) = (contents.clone(), index.digest().hex().to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (contents, root) = (contents.clone(), root.clone());
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                while answer(&mut stream, &contents, &root, told).is_some() {}
            });
        }
    });
    host
}

fn answer(stream: &mut BufReader<TcpStream>, contents: &Contents, root: &str, told: bool) -> Option<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).ok().filter(|n| *n > 0)?;
    }
    let path = head.split(' ').nth(1)?;
    let name = path.rsplit(['/', ':']).next()?;
    let hex = if name == "tag" { root } else { name };
    let reply = match contents.get(hex) {
        None if path == "/v2/" => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Some(body) => {
            let kind = match (path.contains("/blobs/"), hex == root) {
                (true, _) => "application/octet-stream",
                (false, true) => MediaType::OCI_INDEX.as_str(),
                (false, false) => MediaType::OCI_MANIFEST.as_str(),
            };
            let digest = if told { format!("Docker-Content-Digest: sha256:{hex}\r\n") } else { String::new() };
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{digest}Content-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), &body].concat()
        }
    };
    stream.get_mut().write_all(&reply).ok()
}

/// A tag is what the registry says it is; a digest is what it says itself.
#[test]
fn registry() {
    super::alone("streams::registry", || {
        let index = index_of(&image_of(&[Compression::Gzip], Format::Oci, "linux/amd64"));
        let files = blobs_of(&index);
        for told in [true, false] {
            let name = if told { ":tag".to_owned() } else { format!("@{}", index.digest()) };
            // The manifest that was asked for is called as it was.
            let (bytes, spans) = joined(&files, |hex, _, range| match hex == index.digest().hex() {
                true => Span::new(range, &[&format!("/app{name}")]),
                false => Span::new(range, &[hex]),
            });
            let medium = || {
                let contents = Contents::new(&files);
                let name = format!("{}/app{name}", serve(&contents, &index, told));
                let quick = ClientOptions::new().keychain(&Keychain::anonymous()).retry(1, Duration::ZERO);
                let (client, name) = (Client::new(&quick).unwrap(), Reference::parse(&name).unwrap());
                let read = move |depth| {
                    let mut read = Read::default();
                    if let Some(child) = read.got("all", client.pull_any(&name, &none(), &ctx()).wait()) {
                        read.child("all", &child, depth);
                    }
                    read
                };
                Medium { put: Box::new(move |bytes, at| contents.put(bytes, at)), read: Box::new(read) }
            };
            flip(if told { "registry, by tag" } else { "registry, by digest" }, &bytes, &spans, &medium);
        }
    });
}

/// All that a daemon sends, the heads of its answers too.
#[test]
fn daemon() {
    super::alone("streams::daemon", || {
        let (tar, id) = saved();
        let answer = |body: &[u8]| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        let files = [
            file("json", answer(format!(r#"{{"Id":"{id}","RepoTags":["app:1"]}}"#).as_bytes())),
            file("get", answer(&tar)),
        ];
        // What is asked for, whom it is asked of, or the blob.
        let layer = Digest::sha256(&[0; 1024]);
        let (bytes, spans) = joined(&files, |_, _, range| Span::new(range, &["app:1", "unix://", layer.hex()]));
        let medium = || {
            let contents = Contents::new(&files);
            let told = contents.clone();
            let fake = Fake::good(move |ask| {
                let name = ask.line.rsplit('/').next().unwrap().to_owned();
                ask.say(told.get(&name).unwrap());
            });
            let daemon = fake.daemon();
            let read = move |depth| {
                let _fake = &fake;
                let mut read = Read::default();
                if let Some(image) = read.got("all", daemon.image("app:1", &none(), &ctx()).wait()) {
                    read.child("all", &Child::Image(image), depth);
                }
                read
            };
            Medium { put: Box::new(move |bytes, at| contents.put(bytes, at)), read: Box::new(read) }
        };
        flip("daemon", &bytes, &spans, &medium);
    });
}
