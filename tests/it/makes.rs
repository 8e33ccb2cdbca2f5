//! Images of every make, put into a registry byte by byte, for the tests of what is done to images.

use crate::support::{Site, block_on, noise};
use parbuckle::{
    Client, ClientOptions, Config, Context, Digest, Image, ImageBuilder, Index, IndexBuilder, Keychain, Layer,
    MediaType, Options, Reference, Result, ServerOptions, SinkHandle,
};
use serde_json::{Value, json};
use std::io::Write as _;

pub struct World {
    pub site: Site,
    pub client: Client,
    pub ctx: Context,
}

impl World {
    pub fn new() -> World {
        let client = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
        World { site: Site::start(&ServerOptions::new()), client, ctx: Context::new() }
    }
    pub fn name(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/{rest}", self.site.server.url().split_once("://").unwrap().1)).unwrap()
    }
    pub fn pull(&self, rest: &str) -> Image {
        self.client.pull(&self.name(rest), &Options::new(), &self.ctx).wait().unwrap()
    }
    pub fn pull_index(&self, rest: &str) -> Index {
        self.client.pull_index(&self.name(rest), &Options::new(), &self.ctx).wait().unwrap()
    }
    pub fn config(&self, image: &Image) -> Config {
        image.config(&self.ctx).wait().unwrap()
    }
    pub fn layer(&self, seed: u8) -> Layer {
        Layer::from_bytes(simple_tar(seed).into(), &Options::new(), &self.ctx).wait().unwrap()
    }
    pub fn into(&self, rest: &str) -> Options {
        Options::new().sink(&SinkHandle::repository(&self.client, &self.name(rest)))
    }
    pub fn build(&self, builder: &ImageBuilder) -> Result<Image> {
        builder.build(&Options::new(), &self.ctx).wait()
    }
    pub fn build_index(&self, builder: &IndexBuilder) -> Index {
        builder.build(&Options::new(), &self.ctx).wait().unwrap()
    }
    pub fn tar(&self, layer: &Layer) -> Vec<u8> {
        let mut reader = layer.open_uncompressed(&self.ctx).wait().unwrap();
        let (mut all, mut buf) = (Vec::new(), vec![0; 100_000]);
        loop {
            match reader.read(&mut buf, &self.ctx).unwrap() {
                0 => return all,
                n => all.extend_from_slice(&buf[..n]),
            }
        }
    }
    /// Pushes and pulls; the registry's copy is read to its end and checked.
    pub fn there_and_back(&self, what: &str, image: &Image) -> Image {
        let pushed = self.client.push(&self.name("out:x"), image, &Options::new(), &self.ctx).wait();
        pushed.unwrap_or_else(|e| panic!("{what}: {e}"));
        let back = self.pull("out:x");
        assert_eq!(back.digest(), image.digest());
        let sound = back.validate(&Options::new(), &self.ctx).wait();
        sound.unwrap_or_else(|e| panic!("{what}: {e}"));
        back
    }

    pub fn put_blob(&self, bytes: &[u8]) -> Digest {
        block_on(self.site.push_blob("in", bytes))
    }
    /// Puts an image together byte by byte; `layers` are (media type, blob, tar, descriptor's other members).
    pub fn put(&self, name: &str, make: Make) -> Image {
        let mut config = make.config;
        let mut entries = Vec::new();
        let mut diff_ids = Vec::new();
        for (media_type, blob, tar, more) in &make.layers {
            let foreign = media_type.contains("foreign") || media_type.contains("nondistributable");
            let digest = if foreign { Digest::sha256(blob) } else { self.put_blob(blob) };
            let mut entry = json!({"mediaType": media_type, "size": blob.len(), "digest": digest.as_str()});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entries.push(entry);
            diff_ids.push(Digest::sha256(tar).to_string());
        }
        config["rootfs"]["type"] = "layers".into();
        config["rootfs"]["diff_ids"] = diff_ids.into();
        let config = config.to_string().into_bytes();
        let digest = self.put_blob(&config);
        let family = if make.docker { MediaType::DOCKER_CONFIG } else { MediaType::OCI_CONFIG };
        let mut manifest = json!({"schemaVersion": 2, "layers": entries});
        manifest["config"] = json!({"mediaType": family.as_str(), "size": config.len(), "digest": digest.as_str()});
        let media_type = if make.docker { MediaType::DOCKER_MANIFEST } else { MediaType::OCI_MANIFEST };
        manifest["mediaType"] = media_type.as_str().into();
        let (more, own) = (make.manifest.as_object().unwrap().clone(), manifest.as_object_mut().unwrap());
        for (key, value) in more {
            match (own.get_mut(&key), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                (_, value) => drop(own.insert(key, value)),
            }
        }
        let put = self.site.put_manifest("in", name, media_type.as_str(), manifest.to_string());
        let answer = block_on(async {
            let a = put.await;
            (a.status(), a.text().await.unwrap())
        });
        assert_eq!(answer.0, 201, "{name}: {}", answer.1);
        self.pull(&format!("in:{name}"))
    }
}

pub type Blob = (&'static str, Vec<u8>, Vec<u8>, Value);

pub struct Make {
    pub docker: bool,
    pub config: Value,
    pub manifest: Value,
    pub layers: Vec<Blob>,
}

pub const DOCKER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
pub const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const OCI_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub const OCI_FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

pub fn gz(tar: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

pub fn blob(media_type: &'static str, tar: Vec<u8>) -> Blob {
    let bytes = match media_type {
        DOCKER_TAR => tar.clone(),
        OCI_ZSTD => zstd(&tar),
        _ => gz(&tar),
    };
    (media_type, bytes, tar, json!({}))
}

/// One raw block a frame: no library is needed to write zstd, as long as nothing is to become smaller.
pub fn zstd(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]; // 1 KiB << 11: a window of 2 MiB, no content size, no checksum
    let pieces: Vec<&[u8]> = data.chunks(100_000).collect();
    for (i, piece) in pieces.iter().enumerate() {
        let header = (piece.len() as u32) << 3 | u32::from(i + 1 == pieces.len());
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(piece);
    }
    out
}

pub fn entry(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, link: &str, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    if !link.is_empty() {
        tar.append_link(&mut header, name, link).unwrap();
    } else {
        tar.append_data(&mut header, name, data).unwrap();
    }
}

pub fn simple_tar(seed: u8) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, tar::EntryType::Regular, &format!("file{seed}"), "", &[seed; 700]);
    entry(&mut tar, tar::EntryType::Regular, "etc/conf", "", &[seed; 10]);
    tar.into_inner().unwrap()
}

/// Of everything that a tar can hold.
pub fn rich_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, tar::EntryType::Directory, "d/", "", b"");
    let times = [("atime", &b"1600000000.5"[..]), ("ctime", b"1600000001"), ("mtime", b"1600000002.25")];
    tar.append_pax_extensions(times).unwrap();
    entry(&mut tar, tar::EntryType::Regular, "d/timed", "", b"timed");
    tar.append_pax_extensions([("SCHILY.xattr.user.x", &b"\x00\xff bytes"[..])]).unwrap();
    entry(&mut tar, tar::EntryType::Regular, "d/attributes", "", &noise(100_000));
    entry(&mut tar, tar::EntryType::Regular, &format!("d/{}", "long".repeat(60)), "", b"l");
    entry(&mut tar, tar::EntryType::Symlink, "d/soft", "attributes", b"");
    entry(&mut tar, tar::EntryType::Link, "d/hard", "d/attributes", b"");
    entry(&mut tar, tar::EntryType::Fifo, "d/fifo", "", b"");
    let mut device = tar::Header::new_ustar();
    device.set_entry_type(tar::EntryType::Char);
    device.set_size(0);
    device.set_mode(0o600);
    device.set_uid(0);
    device.set_gid(0);
    device.set_mtime(5);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    tar.append_data(&mut device, "d/null", &b""[..]).unwrap();
    entry(&mut tar, tar::EntryType::Regular, "d/.wh.gone", "", b"");
    tar.into_inner().unwrap()
}

pub fn base_config() -> Value {
    json!({"architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z", "config": {"Env": ["A=1"]}})
}

pub fn history(lines: &[bool]) -> Value {
    let line = |(i, empty): (usize, &bool)| match empty {
        true => json!({"created_by": format!("step {i}"), "empty_layer": true, "x-unknown": i}),
        false => json!({"created": "2024-01-02T03:04:05Z", "created_by": format!("step {i}"), "x-unknown": i}),
    };
    lines.iter().enumerate().map(line).collect::<Vec<_>>().into()
}

pub fn makes() -> Vec<(&'static str, Make)> {
    let with = |docker, lines: &[bool], layers: Vec<Blob>| {
        let mut config = base_config();
        if !lines.is_empty() {
            config["history"] = history(lines);
        }
        Make { docker, config, manifest: json!({}), layers }
    };
    let mut all = vec![
        ("docker", with(true, &[false, true], vec![blob(DOCKER_GZIP, rich_tar())])),
        ("oci", with(false, &[false, false], vec![blob(OCI_GZIP, simple_tar(1)), blob(OCI_GZIP, rich_tar())])),
        ("scratch", with(true, &[], vec![])),
        ("zstd", with(false, &[false], vec![blob(OCI_ZSTD, rich_tar())])),
        (
            "plain",
            with(
                true,
                &[true, false, true, false],
                vec![blob(DOCKER_TAR, rich_tar()), blob(DOCKER_GZIP, simple_tar(2))],
            ),
        ),
        ("no-history", with(false, &[], vec![blob(OCI_GZIP, simple_tar(1)), blob(OCI_GZIP, simple_tar(2))])),
        (
            "twice",
            with(
                false,
                &[false, false, false],
                vec![blob(OCI_GZIP, simple_tar(1)), blob(OCI_GZIP, simple_tar(2)), blob(OCI_GZIP, simple_tar(1))],
            ),
        ),
        ("mixed", with(true, &[false, false], vec![blob(OCI_GZIP, simple_tar(1)), blob(DOCKER_GZIP, simple_tar(2))])),
    ];
    let mut foreign =
        with(false, &[false, false], vec![blob(OCI_FOREIGN, simple_tar(9)), blob(OCI_GZIP, simple_tar(2))]);
    foreign.layers[0].3 = json!({"urls": ["https://elsewhere.example/layer"]});
    all.push(("foreign", foreign));

    let mut windows =
        with(true, &[false, false], vec![blob(DOCKER_FOREIGN, simple_tar(8)), blob(DOCKER_GZIP, simple_tar(2))]);
    windows.config["os"] = "windows".into();
    windows.config["os.version"] = "10.0.17763.5820".into();
    windows.config["os.features"] = json!(["win32k"]);
    windows.layers[0].3 = json!({"urls": ["https://elsewhere.example/windows"]});
    all.push(("windows", windows));

    let mut unknown =
        with(false, &[false, true, false], vec![blob(OCI_GZIP, simple_tar(1)), blob(OCI_GZIP, simple_tar(2))]);
    unknown.config["variant"] = "v3".into();
    unknown.config["author"] = "somebody".into();
    unknown.config["moby.buildkit.buildinfo.v1"] = "e30=".into();
    unknown.config["config"]["Memory"] = json!({"<": 1.0});
    unknown.config["config"]["Healthcheck"] = json!({"Test": ["NONE"], "StartInterval": 5_000_000_000_i64});
    unknown.config["rootfs"] = json!({"base": "b"});
    unknown.manifest = json!({"com.example": {"k": [1, {"x": null}]}, "config": {"x-config": 1}});
    unknown.layers[0].3 = json!({"x-layer": [1, 2], "annotations": {"a": "b"}});
    all.push(("unknown", unknown));

    let mut annotated = with(false, &[false], vec![blob(OCI_GZIP, simple_tar(1))]);
    annotated.manifest = json!({
        "annotations": {"org.opencontainers.image.base.name": "example.com/base:1", "note": "<&>"},
        "artifactType": "application/vnd.example",
        "subject": {"mediaType": MediaType::OCI_MANIFEST.as_str(), "size": 7, "digest": Digest::sha256(b"subject").as_str(), "x": 1},
    });
    all.push(("annotated", annotated));

    let mut huge = with(true, &[false], vec![blob(DOCKER_GZIP, simple_tar(1))]);
    huge.config["config"]["Labels"] = json!({"large": "x".repeat((8 << 20) - 4096)});
    all.push(("huge", huge));
    all
}
