//! OCI image layouts: what goes in comes out, whoever looks; what is damaged or hostile is told; what is garbage goes.

use crate::support::noise;
use parbuckle::matcher::REF_NAME;
use parbuckle::{
    Algorithm, Child, Client, ClientOptions, Code, Context, Descriptor, Digest, Image, ImageBuilder, Index,
    IndexManifest, Keychain, Layer, Layout, Matcher, MediaType, Options, Reference, Report, Result, Server,
    ServerOptions, SinkHandle,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

pub fn ctx() -> Context {
    Context::with_timeout(std::time::Duration::from_secs(300))
}
fn plain() -> Options {
    Options::new()
}

/// A tar with one file of so many bytes.
pub fn tar_of(len: usize, seed: u8) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let data: Vec<u8> = noise(len).into_iter().map(|b| b ^ seed).collect();
    header.set_size(len as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, format!("file-{seed}"), &data[..]).unwrap();
    tar.into_inner().unwrap()
}

/// An image of one layer for a platform.
pub fn image_of(len: usize, seed: u8, platform: &str) -> Image {
    let layer = Layer::from_bytes(tar_of(len, seed).into(), &plain(), &ctx()).wait().unwrap();
    image_with(&layer, platform)
}

fn image_with(layer: &Layer, platform: &str) -> Image {
    let mut builder = ImageBuilder::from_scratch();
    builder.add_layer(layer).set_platform(&platform.parse().unwrap());
    builder.build(&plain(), &ctx()).wait().unwrap()
}

/// A layout in a directory of its own.
struct Site {
    layout: Layout,
    folder: TempDir,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(&folder.path().join("layout"), &plain(), &ctx()).wait().unwrap();
        Site { layout, folder }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("layout").join(name)
    }
    fn blob(&self, digest: &Digest) -> PathBuf {
        self.path("blobs").join(digest.algorithm().name()).join(digest.hex())
    }
    fn add(&self, image: &Image, name: Option<&str>) -> Descriptor {
        self.layout.add_image(image, name, &plain(), &ctx()).wait().unwrap()
    }
    fn image(&self, which: Option<&str>) -> Result<Image> {
        self.layout.image(which, &plain(), &ctx()).wait()
    }
    fn fsck(&self) -> Report {
        self.layout.fsck(&plain(), &ctx()).wait().unwrap()
    }
    fn gc(&self) -> Result<Vec<String>> {
        self.layout.gc(&plain(), &ctx()).wait()
    }
    fn index(&self) -> Index {
        self.layout.index(&plain(), &ctx()).wait().unwrap()
    }
    fn entries(&self) -> Vec<(String, Option<String>)> {
        let index = self.index();
        let entry = |d: &Descriptor| (d.digest.to_string(), d.annotations.get(REF_NAME).cloned());
        index.manifest().manifests().iter().map(entry).collect()
    }
    /// A blob put there by hand.
    fn put(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        std::fs::create_dir_all(self.path("blobs/sha256")).unwrap();
        std::fs::write(self.blob(&digest), bytes).unwrap();
        digest
    }
    /// An entry of index.json put there by hand.
    fn list(&self, media_type: &str, blob: &[u8], more: Value) {
        let mut entry = json!({"mediaType": media_type, "size": blob.len(), "digest": self.put(blob).as_str()});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut index: Value = serde_json::from_slice(&std::fs::read(self.path("index.json")).unwrap()).unwrap();
        index["manifests"].as_array_mut().unwrap().push(entry);
        std::fs::write(self.path("index.json"), index.to_string()).unwrap();
    }
    fn temps(&self) -> usize {
        temps(&self.path(""))
    }
    /// An index of these images, which are in the layout already.
    fn nested(&self, images: &[&Descriptor], name: Option<&str>) -> Digest {
        let mut edit = IndexManifest::empty(true).edit();
        images.iter().for_each(|d| edit.append((*d).clone()));
        let index = edit.finish().unwrap();
        let more = name.map_or(json!({}), |name| json!({"annotations": {REF_NAME: name}}));
        self.list(MediaType::OCI_INDEX.as_str(), index.raw(), more);
        index.descriptor().digest
    }
}

pub fn temps(layout: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(layout.join(".parbuckle")) else { return 0 };
    entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("tmp-")).count()
}

fn subjects(report: &Report) -> Vec<String> {
    report.findings().iter().map(|f| f.subject.clone()).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let site = Site::new();
    let (one, two) = (image_of(700_000, 1, "linux/arm64"), image_of(10, 2, "linux/amd64"));
    assert_eq!(site.image(None).unwrap_err().code(), Code::NotFound);
    let entry = site.add(&one, Some("one:v1"));
    assert_eq!((&entry.digest, entry.annotations[REF_NAME].as_str()), (one.digest(), "one:v1"));
    assert_eq!(entry.platform.as_ref().unwrap().to_string(), "linux/arm64");
    for which in [None, Some("one:v1"), Some(one.digest().as_str()), Some("linux/arm64")] {
        let back = site.image(which).unwrap();
        assert_eq!(back.digest(), one.digest(), "{which:?}");
        back.validate(&plain(), &ctx()).wait().unwrap();
    }
    site.add(&two, None);
    site.add(&one, Some("one:v1")); // is there
    site.add(&one, Some("again"));
    let [a, b] = [&one, &two].map(|i| i.digest().to_string());
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(site.entries(), [(a.clone(), some("one:v1")), (b.clone(), None), (a.clone(), some("again"))]);
    assert_eq!(site.fsck(), Report::default());

    // Another handle sees the same, and what is no layout is refused.
    let again = Layout::open(&site.path(""), &plain(), &ctx()).wait().unwrap();
    assert_eq!(again.image(Some("again"), &plain(), &ctx()).wait().unwrap().digest(), one.digest());
    Layout::create(&site.path(""), &plain(), &ctx()).wait().unwrap();
    assert_eq!(site.entries().len(), 3, "creating keeps what is there");
    for (path, code) in [("nowhere", Code::NotFound), ("blobs", Code::NotFound)] {
        assert_eq!(Layout::open(&site.path(path), &plain(), &ctx()).wait().unwrap_err().code(), code, "{path}");
    }
    for (mark, code) in [("{}", Code::Malformed), (r#"{"imageLayoutVersion":"2.0.0"}"#, Code::Unsupported)] {
        std::fs::write(site.path("oci-layout"), mark).unwrap();
        for opened in [Layout::open, Layout::create] {
            let e = opened(&site.path(""), &plain(), &ctx()).wait().unwrap_err();
            assert_eq!(e.code(), code);
            assert!(e.get_subject().unwrap().ends_with("oci-layout"));
        }
    }
}

#[test]
fn files_are_as_the_umask_has_them_and_nothing_else_is_there() {
    let site = Site::new();
    let image = image_of(5_000, 3, "linux/amd64");
    site.layout.add_image(&image, Some("x"), &plain().durable().jobs(1), &ctx()).wait().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["", "blobs", "blobs/sha256", ".parbuckle"] {
        assert_eq!(mode(&site.path(name)), 0o755, "{name}");
    }
    let files = ["oci-layout", "index.json"].map(|f| site.path(f));
    for path in files.iter().chain([&site.blob(image.digest()), &site.blob(&image.layers()[0].descriptor().digest)]) {
        assert_eq!(mode(path), 0o644, "{}", path.display());
    }
    let mut names: Vec<_> =
        std::fs::read_dir(site.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".parbuckle", "blobs", "index.json", "oci-layout"]);
    assert_eq!(site.temps(), 0);
}

/// The digests of index.json, each with its annotations.
fn named_entries(layout: &Layout) -> Vec<(Digest, BTreeMap<String, String>)> {
    let index = layout.index(&plain(), &ctx()).wait().unwrap();
    let entries = index.manifest().manifests().iter();
    entries.map(|d| (d.digest.clone(), d.annotations.iter().map(|(k, v)| (k.clone(), v.clone())).collect())).collect()
}

#[test]
fn names_stay_when_entries_are_replaced() {
    const FULL: &str = "io.containerd.image.name";
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path(), &plain(), &ctx()).wait().unwrap();
    let random = |seed| Image::random(1, 100, seed, &plain(), &ctx()).wait().unwrap();
    let (one, other) = (random(1), random(2));
    let names = || -> Vec<(Digest, Vec<String>)> {
        named_entries(&layout).into_iter().map(|(digest, all)| (digest, all.into_values().collect())).collect()
    };
    // Without a name: what has one stays.
    layout.add_image(&one, Some("one"), &plain(), &ctx()).wait().unwrap();
    layout.add_image(&one, Some("two"), &plain(), &ctx()).wait().unwrap();
    for _ in 0..2 {
        layout.replace_image(&one, None, &plain(), &ctx()).wait().unwrap();
        let of = |names: &[&str]| (one.digest().clone(), names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(), [of(&["one"]), of(&["two"]), of(&[])]);
    }
    layout.remove(&Matcher::new(), &plain(), &ctx()).wait().unwrap();

    // As containerd writes them: found, annotated, replaced and removed by either name.
    for full in ["example.com/app:1", "example.com/db:1"] {
        let tag = Matcher::new().name("new");
        layout.add_image(&one, Some("new"), &plain(), &ctx()).wait().unwrap();
        layout.annotate(&tag, FULL, Some(full), &plain(), &ctx()).wait().unwrap();
        let full = Matcher::new().name(full);
        layout.annotate(&full, "org.opencontainers.image.ref.name", Some("1"), &plain(), &ctx()).wait().unwrap();
    }
    let e = layout.replace_image(&other, Some("1"), &plain(), &ctx()).wait().unwrap_err();
    assert_eq!((e.code(), e.get_subject()), (Code::InvalidArgument, Some("1")));
    let given = layout.replace_image(&other, Some("example.com/db:1"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(given.annotations.get(FULL).map(String::as_str), Some("example.com/db:1"));
    let of = |image: &Image, full: &str| (image.digest().clone(), vec![full.to_owned(), "1".to_owned()]);
    assert_eq!(names(), [of(&one, "example.com/app:1"), of(&other, "example.com/db:1")]);
    layout.add_image(&other, Some("example.com/db:1"), &plain(), &ctx()).wait().unwrap(); // it is there
    assert_eq!(names().len(), 2);
    let found = layout.image(Some("example.com/db:1"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(found.digest(), other.digest());
    let removed = layout.remove(&Matcher::new().name("example.com/db:1"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(removed, [other.digest().to_string()]);
    layout.replace_image(&other, Some("1"), &plain(), &ctx()).wait().unwrap(); // now it is short for one
    assert_eq!(names(), [of(&other, "example.com/app:1")]);
    assert_eq!(layout.remove(&Matcher::new().name("1"), &plain(), &ctx()).wait().unwrap().len(), 1);
}

#[test]
fn entries_are_replaced_removed_and_annotated_and_the_rest_stays() {
    let site = Site::new();
    let images: Vec<Image> = (0..4).map(|n| image_of(100, n, "linux/amd64")).collect();
    for (image, name) in images.iter().zip([Some("a"), Some("b"), None]) {
        site.add(image, name);
    }
    site.add(&images[1], Some("a")); // a second one of that name
    let e = site.image(Some("a")).unwrap_err();
    assert_eq!(e.code(), Code::InvalidArgument);
    assert!(e.message().contains("say which"), "{e}");
    let mut raw: Value = serde_json::from_slice(&std::fs::read(site.path("index.json")).unwrap()).unwrap();
    raw["x-top"] = json!({"b": 1, "a": [1.50]});
    raw["manifests"][2]["x-entry"] = json!("kept");
    raw["annotations"] = json!({"note": "n"});
    std::fs::write(site.path("index.json"), raw.to_string()).unwrap();

    site.layout.replace_image(&images[3], Some("a"), &plain(), &ctx()).wait().unwrap();
    site.layout.replace_image(&images[2], None, &plain(), &ctx()).wait().unwrap(); // by digest, in its place
    let digests = |is: &[usize]| is.iter().map(|i| images[*i].digest().to_string()).collect::<Vec<_>>();
    let there = || site.entries().into_iter().map(|(digest, _)| digest).collect::<Vec<_>>();
    assert_eq!(there(), digests(&[3, 1, 2]));
    let now = std::fs::read_to_string(site.path("index.json")).unwrap();
    assert!(now.contains(r#""x-top":{"a":[1.5],"b":1}"#) && now.contains(r#""note":"n""#), "{now}");
    assert!(!now.contains("x-entry"), "an entry that is replaced goes whole");

    let b = Matcher::new().name("b");
    site.layout.annotate(&b, "k", Some("v"), &plain(), &ctx()).wait().unwrap();
    site.layout.annotate(&b, REF_NAME, Some("c"), &plain(), &ctx()).wait().unwrap();
    let e = site.layout.annotate(&b, "k", None, &plain(), &ctx()).wait().unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    assert_eq!(site.index().manifest().manifests()[1].annotations["k"], "v");
    let before = std::fs::metadata(site.path("index.json")).unwrap().modified().unwrap();
    site.layout.annotate(&Matcher::new().name("c"), "k", Some("v"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(std::fs::metadata(site.path("index.json")).unwrap().modified().unwrap(), before, "nothing changed");
    site.layout.annotate(&Matcher::new(), "k", None, &plain(), &ctx()).wait().unwrap();
    assert!(!std::fs::read_to_string(site.path("index.json")).unwrap().contains(r#""k""#));

    let removed = site.layout.remove(&Matcher::new().name("c"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(removed, digests(&[1]));
    assert_eq!(site.layout.remove(&Matcher::new().name("c"), &plain(), &ctx()).wait().unwrap(), [""; 0]);
    assert_eq!(there(), digests(&[3, 2]));
    assert_eq!(site.fsck(), Report::default(), "what nobody names any more is no damage");
    assert_eq!(site.gc().unwrap().len(), 6, "two images of three blobs each");
    assert_eq!(site.gc().unwrap(), [""; 0]);
    assert_eq!(site.fsck(), Report::default());
}

#[test]
fn nested_indexes_go_in_whole_and_are_looked_through() {
    let (from, to) = (Site::new(), Site::new());
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64", "linux/s390x"];
    let images: Vec<Image> = platforms.iter().zip(0..).map(|(p, n)| image_of(3_000, n, p)).collect();
    let entries: Vec<Descriptor> = images.iter().map(|i| from.add(i, None)).collect();
    let inner = from.nested(&entries[2..].iter().collect::<Vec<_>>(), None);
    from.layout.remove(&Matcher::new().media_type(MediaType::OCI_MANIFEST), &plain(), &ctx()).wait().unwrap();
    let inner_entry = from.index().manifest().manifests()[0].clone();
    let outer = from.nested(&[&entries[0], &entries[1], &inner_entry], Some("multi"));
    let index = from.layout.child(Some("multi"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(*index.digest(), outer);
    assert_eq!(from.layout.child(None, &plain(), &ctx()).wait().unwrap_err().code(), Code::InvalidArgument);

    let entry = to.layout.add_index(&index, Some("m:1"), &plain(), &ctx()).wait().unwrap();
    assert_eq!((&entry.digest, to.entries().len()), (&outer, 1));
    assert_eq!(to.fsck(), Report::default());
    assert_eq!(to.image(None).unwrap().digest(), images[0].digest());
    for (platform, image) in platforms.iter().zip(&images).take(2) {
        let wanted = plain().platform(platform.parse().unwrap());
        for which in [None, Some("m:1"), Some(outer.as_str())] {
            assert_eq!(to.layout.image(which, &wanted, &ctx()).wait().unwrap().digest(), image.digest());
        }
        assert_eq!(to.image(Some(platform)).unwrap().digest(), image.digest());
    }
    for image in &images {
        to.image(Some(image.digest().as_str())).unwrap().validate(&plain(), &ctx()).wait().unwrap();
    }
    let wanted = plain().platform("linux/arm64".parse().unwrap());
    let windows = images[3].digest().as_str();
    assert_eq!(to.layout.image(Some(windows), &wanted, &ctx()).wait().unwrap().digest().as_str(), windows);
    assert_eq!(*to.layout.child(Some(inner.as_str()), &plain(), &ctx()).wait().unwrap().digest(), inner);
    assert_eq!(to.layout.child(None, &plain(), &ctx()).wait().unwrap().digest(), index.digest());
    for (which, code) in [
        ("nothing", Code::NotFound),
        ("plan9/mips", Code::NotFound),
        (Digest::sha256(b"none").as_str(), Code::NotFound),
    ] {
        assert_eq!(to.image(Some(which)).unwrap_err().code(), code, "{which}");
        assert_eq!(to.layout.child(Some(which), &plain(), &ctx()).wait().unwrap_err().code(), code);
    }
    let e = to.layout.child(Some(images[0].digest().as_str()), &plain(), &ctx()).wait().unwrap_err();
    assert_eq!(e.code(), Code::InvalidArgument);
    assert_eq!(to.gc().unwrap(), [""; 0]);
    to.layout
        .replace_index(
            &to.layout.child(Some(inner.as_str()), &plain(), &ctx()).wait().unwrap(),
            Some("m:1"),
            &plain(),
            &ctx(),
        )
        .wait()
        .unwrap();
    assert_eq!(to.gc().unwrap().len(), 7, "two images and the outer index");
}

#[test]
fn names_of_containerd_platforms_and_artifacts_tell_entries_apart() {
    let site = Site::new();
    let (amd, arm, sbom) =
        (image_of(1, 1, "linux/amd64"), image_of(1, 2, "linux/arm64"), image_of(1, 3, "linux/amd64"));
    site.add(&amd, Some("latest"));
    site.add(&arm, Some("latest"));
    let full = Matcher::new().digest(arm.digest().clone());
    site.layout
        .annotate(&full, "io.containerd.image.name", Some("example.com/app:latest"), &plain(), &ctx())
        .wait()
        .unwrap();
    assert_eq!(site.image(Some("example.com/app:latest")).unwrap().digest(), arm.digest());
    assert_eq!(site.image(Some("latest")).unwrap_err().code(), Code::InvalidArgument);
    for image in [&amd, &arm] {
        let platform = image.config(&ctx()).wait().unwrap().platform().unwrap();
        let found = site.layout.image(Some("latest"), &plain().platform(platform.clone()), &ctx()).wait().unwrap();
        assert_eq!(found.digest(), image.digest());
        assert_eq!(site.image(Some(&platform.to_string())).unwrap().digest(), image.digest());
    }
    assert_eq!(site.fsck(), Report::default(), "one name for several platforms is as it should be");
    site.layout.remove(&Matcher::new().digest(amd.digest().clone()), &plain(), &ctx()).wait().unwrap();
    let raw = String::from_utf8(sbom.manifest().raw().to_vec()).unwrap();
    let raw = raw.replacen('{', r#"{"artifactType":"application/x-sbom","#, 1);
    site.list(MediaType::OCI_MANIFEST.as_str(), raw.as_bytes(), json!({"artifactType": "application/x-sbom"}));
    assert_eq!(site.image(None).unwrap().digest(), arm.digest(), "an artifact beside it is not the image");
    // An image out of another layout leaves its names there.
    let other = Site::new();
    let entry = other.add(&site.image(None).unwrap(), None);
    assert!(entry.annotations.is_empty());
}

#[test]
fn a_registry_fills_a_layout_and_a_layout_a_registry() {
    let server = Server::start(&ServerOptions::new()).unwrap();
    let host = server.url().trim_start_matches("http://").to_owned();
    let client = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
    let name = |n: &str| Reference::parse(&format!("{host}/{n}")).unwrap();
    let image = image_of(3 << 20, 7, "linux/amd64");
    client.push(&name("a:1"), &image, &plain(), &ctx()).wait().unwrap();
    let site = Site::new();
    let pulled = client.pull(&name("a:1"), &plain(), &ctx()).wait().unwrap();
    let call = ctx();
    site.layout.add_image(&pulled, Some("a"), &plain(), &call).wait().unwrap();
    let (done, total) = call.progress();
    assert_eq!((done, done > 1 << 20), (total, true), "each byte is counted once");
    assert_eq!(site.fsck(), Report::default());
    client.push(&name("b:1"), &site.image(Some("a")).unwrap(), &plain(), &ctx()).wait().unwrap();
    let back = client.pull(&name("b:1"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(back.digest(), image.digest());
    back.validate(&plain(), &ctx()).wait().unwrap();
    let before = server.requests().len();
    site.layout.add_image(&pulled, Some("b"), &plain(), &ctx()).wait().unwrap();
    assert_eq!(server.requests().len(), before, "what is there is not fetched again");
    let Child::Image(any) = client.pull_any(&name("a:1"), &plain(), &ctx()).wait().unwrap() else { panic!() };
    assert_eq!(any.digest(), image.digest());
}

#[test]
fn new_layers_are_written_straight_into_it() {
    let site = Site::new();
    let into = plain().sink(&SinkHandle::layout(&site.layout));
    let layer = Layer::from_bytes(tar_of(2 << 20, 9).into(), &into, &ctx()).wait().unwrap();
    let path = site.blob(&layer.descriptor().digest);
    let made = std::fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(site.temps(), 0);
    assert_eq!(site.gc().unwrap(), [""; 0], "a layer that lives is no garbage");
    let image = image_with(&layer, "linux/amd64");
    image.validate(&plain(), &ctx()).wait().unwrap();
    site.add(&image, None);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), made, "it was not written again");
    assert_eq!(site.fsck(), Report::default());
    let other = Layer::from_bytes(tar_of(1_000, 10).into(), &into, &ctx()).wait().unwrap();
    let digest = other.descriptor().digest.clone();
    drop(other);
    assert_eq!(site.gc().unwrap(), [digest.to_string()], "nobody can add it any more");
    // Even where another program has taken it away, the layer has its bytes.
    let third = Layer::from_bytes(tar_of(1_000, 11).into(), &into, &ctx()).wait().unwrap();
    std::fs::remove_file(site.blob(&third.descriptor().digest)).unwrap();
    site.add(&image_with(&third, "linux/amd64"), Some("third"));
    assert_eq!(site.fsck(), Report::default());
}

#[test]
fn garbage_is_what_nothing_leads_to() {
    let site = Site::new();
    let image = image_of(1_000, 1, "linux/amd64");
    site.add(&image, Some("kept"));
    let d = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "size": bytes.len(), "digest": Digest::sha256(bytes).as_str()});
    let oci = MediaType::OCI_MANIFEST.as_str();
    // A chain of subjects that index.json leads into at its end only; the first one is no blob here.
    let config = b"{}";
    let manifest = |layer: &[u8], subject: Value| {
        json!({"schemaVersion": 2, "mediaType": oci, "config": d("application/vnd.oci.empty.v1+json", config),
               "layers": [d("text/spdx", layer)], "subject": subject})
        .to_string()
    };
    let absent = d(oci, b"a subject that is elsewhere");
    let first = manifest(b"sbom of it", absent);
    let second = manifest(b"signature of the sbom", d(oci, first.as_bytes()));
    for blob in [&config[..], b"sbom of it", b"signature of the sbom", first.as_bytes()] {
        site.put(blob);
    }
    site.list(oci, second.as_bytes(), json!({"artifactType": "application/x-signature"}));
    // A manifest of a kind that nobody knows here, below an index.
    let unknown =
        json!({"mediaType": "application/x-future", "parts": {"a": [d("text/plain", b"a part")]}}).to_string();
    site.put(b"a part");
    site.put(unknown.as_bytes());
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(),
                       "manifests": [d("application/x-future", unknown.as_bytes()), d(oci, b"one that is elsewhere")]});
    site.list(MediaType::OCI_INDEX.as_str(), index.to_string().as_bytes(), json!({}));
    // Something that is no manifest at all, and one under another algorithm.
    site.list("text/plain", b"hello", json!({}));
    let long = Digest::of(Algorithm::Sha512, b"long");
    std::fs::create_dir_all(site.path("blobs/sha512")).unwrap();
    std::fs::write(site.blob(&long), "long").unwrap();
    // A referrer that nobody lists, what belonged to a pull that was killed, what is none of our business.
    let unlisted = manifest(b"hello", d(oci, image.manifest().raw()));
    let garbage = [site.put(unlisted.as_bytes()), site.put(b"orphan"), long];
    std::fs::write(site.path("blobs/sha256/not-a-digest"), "x").unwrap();
    std::fs::write(site.path("README"), "x").unwrap();
    std::fs::create_dir_all(site.path("blobs/blake3")).unwrap();

    let mut removed = site.gc().unwrap();
    removed.sort();
    let mut expected = garbage.map(|d| d.to_string());
    expected.sort();
    assert_eq!(removed, expected);
    let report = site.fsck();
    let elsewhere = Digest::sha256(b"one that is elsewhere").to_string();
    let path = |name: &str| site.path(name).display().to_string();
    assert_eq!(subjects(&report), [elsewhere, path("blobs/blake3"), path("blobs/sha256/not-a-digest")]);
    assert!(site.path("README").exists());

    // What can't be read might name anything: then nothing goes.
    site.put(b"orphan");
    let good = std::fs::read(site.blob(image.digest())).unwrap();
    for (bad, code) in [(&b"{"[..], Code::DigestMismatch), (b"[]", Code::DigestMismatch)] {
        std::fs::write(site.blob(image.digest()), bad).unwrap();
        let e = site.gc().unwrap_err();
        assert_eq!((e.code(), e.get_subject()), (code, Some(image.digest().as_str())));
    }
    std::fs::write(site.blob(image.digest()), good).unwrap();
    site.list(oci, b"no manifest", json!({}));
    let e = site.gc().unwrap_err();
    assert_eq!((e.code(), e.get_subject()), (Code::Malformed, Some(Digest::sha256(b"no manifest").as_str())));
    assert!(site.blob(&Digest::sha256(b"orphan")).exists());
}

#[test]
fn links_and_names_that_lead_out_are_refused() {
    let secret = tempfile::tempdir().unwrap();
    let at = |name: &str| secret.path().join(name);
    let make = || {
        let site = Site::new();
        let image = image_of(1_000, 1, "linux/amd64");
        site.add(&image, Some("x"));
        (site, image)
    };
    let moved = |path: &Path, name: &str| {
        let _ = std::fs::remove_file(at(name));
        std::fs::rename(path, at(name)).unwrap();
        symlink(at(name), path).unwrap();
    };
    // Even one with the right bytes behind it: (what is a link, whether the image can be read up to there).
    let kinds: [fn(&Image) -> Digest; 3] = [
        |i| i.digest().clone(),
        |i| i.manifest().config().digest.clone(),
        |i| i.layers()[0].descriptor().digest.clone(),
    ];
    for kind in kinds {
        let (site, image) = make();
        let digest = kind(&image);
        moved(&site.blob(&digest), "blob");
        let read = site.image(Some("x")).and_then(|i| i.validate(&plain(), &ctx()).wait());
        let e = read.unwrap_err();
        assert_eq!(e.code(), Code::Malformed, "{e}");
        assert!(e.message().contains("symbolic link"), "{e}");
        // It goes nowhere else either, and nothing of it stays there.
        let other = Site::new();
        let copied = site.image(Some("x")).and_then(|i| other.layout.add_image(&i, None, &plain(), &ctx()).wait());
        assert_eq!(copied.unwrap_err().code(), Code::Malformed);
        assert_eq!((other.entries().len(), other.temps()), (0, 0));
        assert_eq!(subjects(&site.fsck()), [site.blob(&digest).display().to_string()]);
        // Adding the image again puts a file in the link's place, and does not write through it.
        std::fs::write(at("blob"), "untouched").unwrap();
        site.add(&image, Some("x"));
        assert_eq!(std::fs::read(at("blob")).unwrap(), b"untouched");
        assert_eq!(site.fsck(), Report::default());
    }
    for name in ["index.json", "oci-layout"] {
        let (site, _) = make();
        moved(&site.path(name), name);
        let e = Layout::open(&site.path(""), &plain(), &ctx()).wait().unwrap_err();
        assert_eq!(e.code(), Code::Malformed, "{name}");
        assert_eq!(subjects(&site.fsck()), [site.path(name).display().to_string()]);
    }
    for name in ["blobs", "blobs/sha256", ".parbuckle"] {
        let (site, image) = make();
        let target = at(&name.replace('/', "-"));
        std::fs::rename(site.path(name), &target).unwrap();
        std::fs::write(target.join("tmp-something"), "of somebody else").unwrap();
        symlink(&target, site.path(name)).unwrap();
        let e = site.layout.add_image(&image, Some("y"), &plain(), &ctx()).wait().unwrap_err();
        assert_eq!(e.code(), Code::Malformed, "{name}");
        assert_eq!(site.gc().unwrap_err().code(), Code::Malformed, "{name}");
        assert_eq!(subjects(&site.fsck()).last(), Some(&site.path(name).display().to_string()));
        assert!(target.join("tmp-something").exists(), "nothing is removed outside");
    }
    // A pipe in a blob's place keeps nobody waiting.
    let (site, image) = make();
    std::fs::remove_file(site.blob(image.digest())).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(site.blob(image.digest())).status().unwrap().success());
    assert_eq!(site.image(Some("x")).unwrap_err().code(), Code::Malformed);
    assert_eq!(subjects(&site.fsck()), [site.blob(image.digest()).display().to_string()]);
    // Digests that are paths.
    for digest in ["sha256:../../../etc/passwd", "../../x:00", "sha256:/etc/passwd"] {
        let site = Site::new();
        let entry = json!({"mediaType": MediaType::OCI_MANIFEST.as_str(), "size": 1, "digest": digest});
        let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
        std::fs::write(site.path("index.json"), &index).unwrap();
        let path = site.path("index.json").display().to_string();
        for e in [site.image(None).unwrap_err(), site.gc().unwrap_err()] {
            assert_eq!((e.code(), e.get_subject()), (Code::Malformed, Some(path.as_str())), "{e}");
        }
        assert_eq!(subjects(&site.fsck()), [path]);
        // Nor below a manifest that looks well.
        let site = Site::new();
        let manifest =
            json!({"schemaVersion": 2, "config": {"mediaType": OCI_CONFIG, "size": 1, "digest": digest}, "layers": []});
        site.list(MediaType::OCI_MANIFEST.as_str(), manifest.to_string().as_bytes(), json!({}));
        assert_eq!(site.image(None).unwrap_err().code(), Code::Malformed);
        assert_eq!(site.fsck().findings().len(), 1);
    }
}

#[test]
fn one_wrong_byte_anywhere_is_found_and_never_a_wrong_image() {
    let site = Site::new();
    let image = image_of(300, 1, "linux/amd64");
    site.add(&image, Some("x"));
    site.nested(&[&site.index().manifest().manifests()[0].clone()], Some("n"));
    let files: Vec<PathBuf> = walkdir::WalkDir::new(site.path(""))
        .into_iter()
        .map(|e| e.unwrap())
        .filter(|e| e.file_type().is_file() && e.path().parent().unwrap() != site.path(".parbuckle"))
        .map(|e| e.into_path())
        .collect();
    assert_eq!(files.len(), 6);
    let read = |which: &str| {
        let opened = Layout::open(&site.path(""), &plain(), &ctx()).wait()?;
        let image = opened.image(Some(which), &plain(), &ctx()).wait()?;
        image.validate(&plain(), &ctx()).wait()?;
        Ok::<_, parbuckle::Error>(image.digest().clone())
    };
    let mut unseen = 0;
    for file in &files {
        let good = std::fs::read(file).unwrap();
        let is_blob = file.starts_with(site.path("blobs"));
        let step = (good.len() / 150).max(1);
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(file, &bad).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let found = site.fsck();
            let named = found.findings().iter().any(|f| f.subject.contains(name));
            let wrong = [read("x"), read("n")];
            for digest in wrong.iter().flatten() {
                assert_eq!(digest, image.digest(), "{name} byte {at}");
            }
            let failed = wrong.iter().any(Result::is_err);
            assert!(!is_blob || named, "{name} byte {at}: {found:?}");
            // In index.json a name or a remark can become another without harm.
            if !failed && found.is_clean() {
                assert_eq!(name, "index.json", "byte {at}");
                unseen += 1;
            }
        }
        std::fs::write(file, &good).unwrap();
    }
    println!("{unseen} changes of index.json did not matter");
    assert_eq!(site.fsck(), Report::default());
    // Cut off, grown, gone.
    for file in &files {
        let good = std::fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        for bad in [Some(&good[..good.len() - 1]), Some(&[&good[..], b"x"].concat()), Some(b""), None] {
            match bad {
                Some(bad) => std::fs::write(file, bad).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
            assert!(site.fsck().findings().iter().any(|f| f.subject.contains(name)), "{name}");
            assert!(read("n").is_err(), "{name}");
        }
        std::fs::write(file, &good).unwrap();
    }
    assert_eq!(read("n").unwrap(), *image.digest());
}

#[test]
fn entries_that_cannot_be_told_apart_are_found() {
    let site = Site::new();
    let (one, two) = (image_of(1, 1, "linux/amd64"), image_of(1, 2, "linux/amd64"));
    site.add(&one, Some("x"));
    site.add(&two, Some("x"));
    let report = site.fsck();
    assert_eq!(report.findings().len(), 1);
    assert_eq!(report.findings()[0].code, Code::AlreadyExists);
    assert!(report.findings()[0].message.contains("'x'"));
    site.layout.remove(&Matcher::new().digest(two.digest().clone()), &plain(), &ctx()).wait().unwrap();
    site.list(
        MediaType::OCI_MANIFEST.as_str(),
        one.manifest().raw(),
        json!({"annotations": {REF_NAME: "x"}, "platform": {"os": "linux", "architecture": "amd64"}}),
    );
    let report = site.fsck();
    assert_eq!(subjects(&report), [one.digest().to_string()]);
    assert_eq!(site.image(Some("x")).unwrap().digest(), one.digest(), "twice the same is no question");
}

#[test]
fn layers_that_must_not_be_distributed_stay_away_unless_asked_for() {
    let site = Site::new();
    let base = image_of(100, 1, "windows/amd64");
    let mut edit = base.manifest().edit();
    let mut layer = base.layers()[0].descriptor().clone();
    layer.media_type = MediaType::DOCKER_FOREIGN_LAYER_GZIP;
    layer.urls = vec!["https://example.com/layer".into()];
    edit.doc_mut().layers = Some(vec![layer.clone()]);
    let manifest = edit.finish().unwrap();
    site.add(&base, None);
    site.list(MediaType::OCI_MANIFEST.as_str(), manifest.raw(), json!({"annotations": {REF_NAME: "foreign"}}));
    let foreign = site.image(Some("foreign")).unwrap();
    let other = Site::new();
    other.add(&foreign, Some("x"));
    assert!(!other.blob(&layer.digest).exists());
    assert_eq!(other.fsck(), Report::default(), "its absence is no damage");
    other.layout.add_image(&foreign, Some("x"), &plain().foreign_layers(), &ctx()).wait().unwrap();
    assert!(other.blob(&layer.digest).exists());
}

#[test]
fn options_that_are_not_read_are_refused() {
    let site = Site::new();
    let image = image_of(1, 1, "linux/amd64");
    let jobs = plain().jobs(2);
    let refused = [
        Layout::open(&site.path(""), &jobs, &ctx()).wait().err(),
        Layout::create(&site.path(""), &jobs, &ctx()).wait().err(),
        site.layout.index(&jobs, &ctx()).wait().err(),
        site.layout.image(None, &jobs, &ctx()).wait().err(),
        site.layout.child(None, &jobs, &ctx()).wait().err(),
        site.layout.remove(&Matcher::new(), &jobs, &ctx()).wait().err(),
        site.layout.annotate(&Matcher::new(), "k", None, &jobs, &ctx()).wait().err(),
        site.layout.gc(&jobs, &ctx()).wait().err(),
        site.layout.fsck(&plain().durable(), &ctx()).wait().err(),
        site.layout.add_image(&image, None, &plain().format(parbuckle::Format::Oci), &ctx()).wait().err(),
        site.layout.add_image(&image, Some(""), &plain(), &ctx()).wait().err(),
        site.layout.annotate(&Matcher::new(), "", None, &plain(), &ctx()).wait().err(),
    ];
    for (i, e) in refused.into_iter().enumerate() {
        assert_eq!(e.map(|e| e.code()), Some(Code::InvalidArgument), "{i}");
    }
}
