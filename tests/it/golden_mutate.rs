//! The same changes as `crane mutate` and `crane append` give the same bytes. tests/golden/make.sh made the expected
//! outputs; the inputs are configs and manifests of every make that is about.

use bytes::Bytes;
use parbuckle::oci::{ConfigDoc, Extra, LayerCompression, ManifestDoc};
use parbuckle::{Config, Descriptor, Digest, History, Manifest, MediaType};
use std::io::Read as _;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

struct Image {
    config: Config,
    manifest: Manifest,
}

fn read(folder: &Path) -> Image {
    let bytes = |name: &str| Bytes::from(std::fs::read(folder.join(name)).unwrap());
    let config = Config::from_bytes(bytes("config.json")).unwrap();
    let manifest = Manifest::from_bytes(bytes("manifest.json"), None).unwrap();
    assert_eq!(manifest.config().digest, Digest::sha256(config.raw()), "{folder:?}: not what its manifest says");
    Image { config, manifest }
}

/// The layer that crane appended: its descriptor, and the digest of the tar in it.
fn layer(image: &Manifest) -> (Descriptor, Digest) {
    let gz = std::fs::read(golden().join("layer.tar.gz")).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&gz[..]).read_to_end(&mut tar).unwrap();
    let media_type =
        if image.media_type().is_docker() { MediaType::DOCKER_LAYER_GZIP } else { MediaType::OCI_LAYER_GZIP };
    assert_eq!(media_type.compression(), Some(LayerCompression::Gzip));
    (Descriptor::of(media_type, &gz), Digest::sha256(&tar))
}

/// What `crane mutate` does for these flags, in its order.
fn mutate(input: &Image, flags: &str) -> Image {
    let (mut config, mut manifest) = (input.config.edit(), input.manifest.edit());
    let flags: Vec<(&str, &str)> = flags.lines().map(|line| line[2..].split_once('=').unwrap()).collect();
    let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<String>>();
    let pair = |value: &str| value.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
    for &(flag, value) in &flags {
        match flag {
            "append" => {
                let (descriptor, diff_id) = layer(&input.manifest);
                config.append_layer(diff_id, History::default());
                manifest.append_layer(descriptor);
            }
            "label" => {
                let (key, value) = pair(value);
                config.set_label(key, value);
            }
            "env" => {
                let (name, value) = pair(value);
                config.set_env(&name, &value);
            }
            "entrypoint" => {
                config.set_entrypoint(Some(list(value)));
                config.set_cmd(None);
            }
            "cmd" => config.set_cmd(Some(list(value))),
            "user" => config.set_user(value),
            "workdir" => config.set_working_dir(value),
            "exposed-ports" => {
                config.clear_exposed_ports();
                list(value).into_iter().for_each(|port| config.add_exposed_port(port));
            }
            "set-platform" => config.set_platform(&value.parse().unwrap()),
            "annotation" => {
                let (key, value) = pair(value);
                manifest.set_annotation(key, value);
            }
            other => panic!("--{other} is not known to this test"),
        }
    }
    // A config is written anew whatever the flags are.
    config.doc_mut();
    let config = config.finish().unwrap();
    manifest.set_config(config.raw());
    // Crane loses the subject. Here it would stay.
    manifest.set_subject(None);
    Image { config, manifest: manifest.finish().unwrap() }
}

fn forget_config(doc: &mut ConfigDoc) {
    let forget = |extra: &mut Extra| *extra = Extra::default();
    forget(&mut doc.extra);
    forget(&mut doc.rootfs.extra);
    forget(&mut doc.config.extra);
    doc.config.healthcheck.iter_mut().for_each(|h| forget(&mut h.extra));
    doc.history.iter_mut().for_each(|h| forget(&mut h.extra));
}
fn forget_manifest(doc: &mut ManifestDoc) {
    doc.extra = Extra::default();
    doc.config.extra = Extra::default();
    doc.layers.iter_mut().flatten().for_each(|d| d.extra = Extra::default());
}

fn assert_same(name: &str, ours: &Image, crane: &Image) {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(ours.config.raw()), text(crane.config.raw()), "config of {name}");
    assert_eq!(text(ours.manifest.raw()), text(crane.manifest.raw()), "manifest of {name}");
}

#[test]
fn mutate_gives_what_crane_gives() {
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(golden().join("mutate")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "where are the cases?");
    for folder in cases {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let input = read(&folder);
        let crane = read(&folder.join("crane"));
        let ours = mutate(&input, &std::fs::read_to_string(folder.join("flags")).unwrap());
        if name != "unknown" {
            assert_same(&name, &ours, &crane);
            continue;
        }
        assert_ne!(ours.config.raw(), crane.config.raw());
        // Crane's documents are ours without the members that are not known.
        let mut config = ours.config.edit();
        forget_config(config.doc_mut());
        let config = config.finish().unwrap();
        let mut manifest = ours.manifest.edit();
        forget_manifest(manifest.doc_mut());
        manifest.set_config(config.raw());
        assert_same(&name, &Image { config, manifest: manifest.finish().unwrap() }, &crane);
    }
}

#[test]
fn members_that_crane_loses_are_kept() {
    let folder = golden().join("mutate/unknown");
    let input = read(&folder);
    let ours = mutate(&input, &std::fs::read_to_string(folder.join("flags")).unwrap());
    let (before, after) = (input.config.doc(), ours.config.doc());
    let pairs = [
        (&before.extra, &after.extra),
        (&before.config.extra, &after.config.extra),
        (&before.rootfs.extra, &after.rootfs.extra),
        (&before.history[0].extra, &after.history[0].extra),
        (&before.config.healthcheck.as_ref().unwrap().extra, &after.config.healthcheck.as_ref().unwrap().extra),
        (&input.manifest.doc().extra, &ours.manifest.doc().extra),
        (&input.manifest.config().extra, &ours.manifest.config().extra),
        (&input.manifest.layers()[0].extra, &ours.manifest.layers()[0].extra),
    ];
    for (before, after) in pairs {
        assert!(!before.is_empty());
        assert_eq!(before, after);
    }
    // Byte for byte, and in their order, after those that are known.
    let text = std::str::from_utf8(ours.config.raw()).unwrap();
    assert!(text.contains(r#""Healthcheck":{"Test":["NONE"],"StartInterval":5000000000},"Env":["A=2"]"#), "{text}");
    assert!(text.contains(r#""history":[{"created":"2024-01-01T00:00:00Z","created_by":"y","x":1.0}]"#), "{text}");
    let names: Vec<&str> = after.extra.iter().map(|(key, _)| key).collect();
    assert_eq!(names, ["moby.buildkit.buildinfo.v1", "container_config", "parent", "id"]);
    let text = std::str::from_utf8(ours.manifest.raw()).unwrap();
    assert!(text.ends_with(r#""annotations":{"a":"b"},"com.example":{"k":[1,{"x":null}]}}"#), "{text}");
}

#[test]
fn append_to_nothing_gives_what_crane_gives() {
    for (name, oci) in [("docker", false), ("oci", true)] {
        let crane = read(&golden().join("append").join(name));
        let empty = Manifest::empty(oci);
        let (descriptor, diff_id) = layer(&empty);
        let (mut config, mut manifest) = (Config::empty().edit(), empty.edit());
        config.append_layer(diff_id, History::default());
        let config = config.finish().unwrap();
        manifest.append_layer(descriptor);
        manifest.set_config(config.raw());
        assert_same(name, &Image { config, manifest: manifest.finish().unwrap() }, &crane);
    }
}
