//! Archives of all makes, whole and broken, from files, pipes and streams.

use super::{
    Dir, FORMS, Files, config_of, ctx, edit_manifest, file, files, gzipped, make_tar, open, read, small, valid, write,
};
use crate::support::sha512;
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Client, ClientOptions, Code, Compression, CompressionOptions, Digest, Error,
    Format, HostStream, Image, Keychain, MediaType, Options, Reference, Result, Server, ServerOptions, SinkHandle,
};
use serde_json::json;
use std::io::Read;
use std::path::Path;

/// What a docker of old saves: plain layers in directories, the config under its digest.
fn saved(image: &Image) -> Files {
    let config = image.config(&ctx()).wait().unwrap();
    let mut files = Vec::new();
    let mut names = Vec::new();
    for (i, layer) in image.layers().iter().enumerate() {
        let mut tar = Vec::new();
        let mut reader = layer.open_uncompressed(&ctx()).wait().unwrap();
        let mut buf = vec![0; 100_000];
        loop {
            match reader.read(&mut buf, &ctx()).unwrap() {
                0 => break,
                n => tar.extend_from_slice(&buf[..n]),
            }
        }
        names.push(format!("{i}/layer.tar"));
        files.push(file(&names[i], tar));
    }
    let name = format!("{}.json", config_of(image).hex());
    files.push(file(&name, config.raw()));
    let manifest = json!([{"Config": name, "RepoTags": ["a:1"], "Layers": names}]);
    files.push(file("manifest.json", manifest.to_string()));
    files
}

#[test]
fn plain_layers_stay_plain_or_are_compressed_into_a_sink() {
    let dir = Dir::new();
    let made = gzipped(Format::Docker);
    let path = dir.path("saved.tar");
    make_tar(&path, &saved(&made));
    let plain = read(&path).unwrap();
    valid(&plain).unwrap();
    assert!(plain.layers().iter().all(|l| l.descriptor().media_type == MediaType::DOCKER_LAYER));
    assert_eq!(config_of(&plain), config_of(&made));

    let server = Server::start(&ServerOptions::new()).unwrap();
    let client = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
    let name = Reference::parse(&format!("{}/a:1", server.url().split_once("://").unwrap().1)).unwrap();
    let into = Options::new().sink(&SinkHandle::repository(&client, &name));
    let archive = open(&path).unwrap();
    let packed = archive.image(None, &into, &ctx()).wait().unwrap();
    assert!(packed.layers().iter().all(|l| l.descriptor().media_type == MediaType::DOCKER_LAYER_GZIP));
    let uploads = server.requests().iter().filter(|r| r.contains("POST")).count();
    assert_eq!(uploads, 2, "the layer that is there twice is made once");
    client.push(&name, &packed, &Options::new(), &ctx()).wait().unwrap();
    let back = client.pull(&name, &Options::new(), &ctx()).wait().unwrap();
    valid(&back).unwrap();
    assert_eq!((back.digest(), config_of(&back)), (packed.digest(), config_of(&made)));

    let zstd = CompressionOptions { kind: Some(Compression::Zstd), level: None };
    let options = Options::new().compression(zstd).format(Format::Oci);
    let packed = archive.image(None, &options, &ctx()).wait().unwrap();
    assert!(packed.layers().iter().all(|l| l.descriptor().media_type == MediaType::OCI_LAYER_ZSTD));
    valid(&packed).unwrap();
    // Zstd stays what it is where an archive has it, and keeps its digest.
    write(&path, &[ArchiveItem::image(&packed, None)], ArchiveFormat::Docker).unwrap();
    let back = open(&path).unwrap().image(None, &Options::new().format(Format::Oci), &ctx()).wait().unwrap();
    valid(&back).unwrap();
    assert_eq!(back.digest(), packed.digest());
}

#[test]
fn links_between_entries_are_followed_and_no_further() {
    let dir = Dir::new();
    let made = small(Format::Docker);
    let path = dir.path("links.tar");
    let with = |first: &str, more: &[(String, Vec<u8>)]| {
        let mut files = saved(&made);
        let (name, layer) = files.remove(0);
        files.insert(0, file(&name, first));
        files.push(("kept.tar".into(), layer));
        files.extend(more.iter().cloned());
        make_tar(&path, &files);
        read(&path).and_then(|image| valid(&image).map(|()| image))
    };
    for good in ["-> ../kept.tar", "-> .././x/../kept.tar", "=> kept.tar", "=> ../kept.tar"] {
        assert_eq!(config_of(&with(good, &[]).unwrap()), config_of(&made), "{good}");
    }
    with("-> b", &[file("0/b", "-> ../kept.tar")]).unwrap();
    for bad in ["-> layer.tar", "-> ../../kept.tar", "-> /etc/passwd", "-> nothing", "=> nothing", "-> .."] {
        let e = with(bad, &[]).unwrap_err();
        assert_eq!(e.code(), Code::Malformed, "{bad}: {e}");
        assert!(e.get_subject().unwrap().ends_with("links.tar: 0/layer.tar"), "{e}");
    }
    assert_eq!(with("-> b", &[file("0/b", "-> layer.tar")]).unwrap_err().code(), Code::Malformed);
}

#[test]
fn what_does_not_fit_together_is_named() {
    let dir = Dir::new();
    let made = small(Format::Docker);
    let path = dir.path("bad.tar");
    let failure = |change: &dyn Fn(&mut Files)| {
        let mut files = saved(&made);
        change(&mut files);
        make_tar(&path, &files);
        let e = read(&path).and_then(|image| valid(&image)).unwrap_err();
        (e.code(), e.to_string(), e.get_subject().unwrap_or_default().to_owned())
    };
    let manifest = |text: &'static str| move |f: &mut Files| f.last_mut().unwrap().1 = text.into();
    let (code, text, _) = failure(&|f| edit_manifest(f, |m| drop(m[0]["Layers"].as_array_mut().unwrap().pop())));
    assert!(code == Code::Malformed && text.contains("names 1 layers") && text.contains("2 diff ids"), "{text}");
    for text in ["null", "", "{}", "[1]", r#"[{"Config":7}]"#, "[{}]"] {
        let (code, why, subject) = failure(&manifest(text));
        assert!(code == Code::Malformed && subject.contains("bad.tar: "), "{text}: {why} {subject}");
    }
    assert_eq!(failure(&manifest("[]")).0, Code::NotFound);
    let (code, _, subject) = failure(&|f| drop(f.remove(1)));
    assert!(code == Code::Malformed && subject.ends_with("bad.tar: 1/layer.tar"), "{subject}");
    let (code, _, subject) = failure(&|f| drop(f.remove(2)));
    assert!(code == Code::Malformed && subject.ends_with(".json"), "{subject}");
    // Its name says what it is.
    assert_eq!(failure(&|f| f[2].1.push(b' ')).0, Code::DigestMismatch);
    let swapped = |f: &mut Files| {
        let first = std::mem::take(&mut f[0].1);
        f[0].1 = std::mem::replace(&mut f[1].1, first);
    };
    assert_eq!(failure(&swapped).0, Code::DigestMismatch);
    // Nobody can know which of two is meant.
    let (code, why, _) = failure(&|f| f.push(f.last().unwrap().clone()));
    assert!(code == Code::Malformed && why.contains("two entries"), "{why}");
    let (code, why, _) = failure(&|f| f.push(file("manifest.json", vec![b' '; (1 << 20) + 1])));
    assert_eq!(code, Code::Malformed, "{why}");
    let (code, why, _) = failure(&|f| f.last_mut().unwrap().1 = vec![b' '; (1 << 20) + 1]);
    assert_eq!(code, Code::LimitExceeded, "{why}");
}

/// Whatever is changed in an archive gives an error, or the same image as before.
#[test]
fn one_changed_byte_never_gives_another_image() {
    let dir = Dir::new();
    let path = dir.path("whole.tar");
    let made = small(Format::Docker);
    let mut hostile = saved(&made);
    hostile.push(file("0/b", "-> layer.tar"));
    let forms: [&dyn Fn(); 4] = [
        &|| write(&path, &[ArchiveItem::image(&made, Some("a:1"))], ArchiveFormat::Docker).unwrap(),
        &|| write(&path, &[ArchiveItem::image(&small(Format::Oci), Some("a:1"))], ArchiveFormat::Oci).unwrap(),
        &|| write(&path, &[ArchiveItem::image(&made, Some("a:1"))], ArchiveFormat::Legacy).unwrap(),
        &|| make_tar(&path, &hostile),
    ];
    for (n, form) in forms.iter().enumerate() {
        form();
        let whole = std::fs::read(&path).unwrap();
        let (expected, config) = (read(&path).unwrap().digest().clone(), config_of(&read(&path).unwrap()));
        let broken = dir.path("broken.tar");
        let look = |bytes: &[u8], what: &str| {
            std::fs::write(&broken, bytes).unwrap();
            let outcome = read(&broken).and_then(|image| valid(&image).map(|()| image));
            match outcome {
                // How a layer is compressed is vouched for by a manifest only, and Docker's form has none.
                Ok(image) if n == 0 => assert_eq!(config_of(&image), config, "{what}"),
                Ok(image) => assert_eq!(*image.digest(), expected, "form {n}, {what}"),
                Err(e) => assert!(e.code() != Code::Internal && e.get_subject().is_some(), "form {n}, {what}: {e}"),
            }
        };
        // Zeros between entries say nothing; what stands in them is looked at with the rest.
        let content = |at: &usize| whole[*at] != 0 || at.is_multiple_of(61);
        for (i, at) in (0..whole.len()).filter(content).enumerate() {
            if i % 3 == n % 3 || i < 300 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (i % 8);
                look(&bytes, &format!("byte {at}"));
            }
        }
        for cut in (0..whole.len()).step_by(97).chain((0..whole.len()).step_by(512)) {
            look(&whole[..cut], &format!("the first {cut} bytes"));
        }
    }
}

#[test]
fn archives_of_the_first_docker() {
    let dir = Dir::new();
    let made = small(Format::Docker);
    let layers = saved(&made);
    let mut files = vec![
        file("a/VERSION", "1.0"),
        file(
            "a/json",
            r#"{"id":"a","created":"2014-01-02T03:04:05Z","container_config":{"Cmd":["/bin/sh","-c","x"]}}"#,
        ),
        file("a/layer.tar", &layers[0].1),
        file("b/VERSION", "1.0"),
        file(
            "b/json",
            r#"{"id":"b","parent":"a","os":"linux","architecture":"amd64","config":{"Env":["A=1"]},"Size":3}"#,
        ),
        file("b/layer.tar", "-> ../kept"),
        file("kept", &layers[1].1),
        file("repositories", r#"{"localhost/old":{"1":"b","2":"b"}}"#),
    ];
    let path = dir.path("old.tar");
    make_tar(&path, &files);
    let archive = open(&path).unwrap();
    assert_eq!(
        (archive.kind(), archive.refs()),
        (ArchiveFormat::Legacy, vec!["localhost/old:1".into(), "localhost/old:2".into()])
    );
    let image = archive.image(Some("localhost/old:2"), &Options::new(), &ctx()).wait().unwrap();
    valid(&image).unwrap();
    let config = image.config(&ctx()).wait().unwrap();
    assert_eq!((config.env_get("A"), config.history().len()), (Some("1"), 2));
    assert_eq!(config.history()[0].created_by, "/bin/sh -c x");
    assert_eq!(config.diff_ids(), made.config(&ctx()).wait().unwrap().diff_ids());
    assert_eq!(archive.index(None, &Options::new(), &ctx()).wait().unwrap_err().code(), Code::Unsupported);
    // Without names: what nothing is on top of.
    files.pop();
    make_tar(&path, &files);
    assert_eq!(read(&path).unwrap().digest(), image.digest());
    files.push(file("c/json", r#"{"id":"c","parent":"d"}"#));
    files.push(file("d/json", r#"{"id":"d","parent":"c"}"#));
    files.push(file("repositories", r#"{"x":{"1":"c"}}"#));
    make_tar(&path, &files);
    assert_eq!(read(&path).unwrap_err().code(), Code::Malformed, "in a circle");
}

/// Docker 25 saves a layout, and manifest.json beside it.
#[test]
fn a_manifest_in_the_archive_counts() {
    let dir = Dir::new();
    let (made, other) = (gzipped(Format::Oci), small(Format::Oci));
    let path = dir.path("both.tar");
    write(
        &path,
        &[ArchiveItem::image(&made, Some("a:1")), ArchiveItem::image(&other, Some("b:1"))],
        ArchiveFormat::Oci,
    )
    .unwrap();
    let mut all = files(&path);
    let blob = |d: &Digest| format!("blobs/sha256/{}", d.hex());
    let entry = |image: &Image, tag: &str| {
        let layers: Vec<_> = image.layers().iter().map(|l| blob(&l.descriptor().digest)).collect();
        json!({"Config": blob(&config_of(image)), "RepoTags": [tag], "Layers": layers})
    };
    all.push(file("manifest.json", json!([entry(&made, "a:1"), entry(&other, "b:1")]).to_string()));
    make_tar(&path, &all);
    let archive = open(&path).unwrap();
    assert_eq!((archive.kind(), archive.refs().len()), (ArchiveFormat::Docker, 2));
    for (image, name) in [(&made, "docker.io/library/a:1"), (&other, "b:1"), (&made, config_of(&made).as_str())] {
        let found = archive.image(Some(name), &Options::new(), &ctx()).wait().unwrap();
        assert_eq!(found.digest(), image.digest(), "{name}");
    }
    let docker = archive.image(Some("a:1"), &Options::new().format(Format::Docker), &ctx()).wait().unwrap();
    assert!(docker.manifest().media_type().is_docker());
    valid(&docker).unwrap();
    assert_eq!(archive.index(None, &Options::new(), &ctx()).wait().unwrap().manifest().manifests().len(), 2);
    // One that index.json names and that is not there is somebody else's platform.
    all.retain(|(name, _)| *name != blob(other.digest()));
    make_tar(&path, &all);
    let found = open(&path).unwrap().image(Some("a:1"), &Options::new(), &ctx()).wait().unwrap();
    assert_eq!(found.digest(), made.digest());
}

struct Pieces(std::fs::File);
impl HostStream for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = buf.len().min(1_000);
        self.0.read(&mut buf[..n]).map_err(|e| Error::io("reading", "pieces", &e))
    }
}

#[test]
fn pipes_streams_and_compressed_archives() {
    let dir = Dir::new();
    let made = gzipped(Format::Docker);
    let (path, fifo) = (dir.path("a.tar"), dir.path("fifo"));
    let items = [ArchiveItem::image(&made, Some("a:1"))];
    write(&path, &items, ArchiveFormat::Docker).unwrap();
    let whole = std::fs::read(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for form in FORMS {
        let reading = std::thread::spawn({
            let fifo = fifo.clone();
            move || read(&fifo)
        });
        write(&fifo, &items, form).unwrap();
        let back = reading.join().unwrap().unwrap();
        valid(&back).unwrap();
        assert_eq!(config_of(&back), config_of(&made));
    }
    let stream = Box::new(Pieces(std::fs::File::open(&path).unwrap()));
    let archive = Archive::from_stream(stream, &Options::new(), &ctx()).wait().unwrap();
    assert_eq!(archive.image(None, &Options::new(), &ctx()).wait().unwrap().digest(), made.digest());
    let archive = Archive::open_file(std::fs::File::open(&path).unwrap(), &Options::new(), &ctx()).wait().unwrap();
    assert_eq!(archive.image(None, &Options::new(), &ctx()).wait().unwrap().digest(), made.digest());
    let mut gzip = flate2::read::GzEncoder::new(&whole[..], flate2::Compression::fast());
    let mut packed = Vec::new();
    gzip.read_to_end(&mut packed).unwrap();
    std::fs::write(&path, &packed).unwrap();
    assert_eq!(read(&path).unwrap().digest(), made.digest());
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    assert_eq!(read(&path).unwrap_err().code(), Code::Malformed);
    // A descriptor is written to from where it is, and stays the caller's.
    let file = std::fs::File::create(&path).unwrap();
    Archive::write_to(file.try_clone().unwrap(), &items, &Options::new(), &ctx()).wait().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    for (what, code) in [("nothing", Code::NotFound), (".", Code::InvalidArgument)] {
        assert_eq!(open(&dir.path(what)).unwrap_err().code(), code);
        let into = dir.path(what).join(if what == "." { "" } else { "below" });
        assert_eq!(write(&into, &items, ArchiveFormat::Docker).unwrap_err().code(), code);
    }
}

#[test]
fn a_descriptor_that_does_not_block_is_waited_for() {
    let made = gzipped(Format::Docker);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let file = |stream: std::os::unix::net::UnixStream| std::fs::File::from(std::os::fd::OwnedFd::from(stream));
    let writing = std::thread::spawn({
        let made = made.clone();
        move || {
            std::thread::sleep(std::time::Duration::from_millis(50)); // there is nothing to read yet
            Archive::write_to(file(theirs), &[ArchiveItem::image(&made, None)], &Options::new(), &ctx()).wait()
        }
    });
    let archive = Archive::open_file(file(ours), &Options::new(), &ctx()).wait().unwrap();
    writing.join().unwrap().unwrap();
    assert_eq!(archive.image(None, &Options::new(), &ctx()).wait().unwrap().digest(), made.digest());
}

/// An OCI archive of this image, all of whose digests are SHA-512.
fn with_sha512(path: &Path, image: &Image) {
    let mut files = vec![file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)];
    let mut add = |content: &[u8]| {
        let digest = sha512(content);
        files.push(file(&format!("blobs/sha512/{}", digest.hex()), content));
        digest
    };
    let mut edit = image.manifest().edit();
    edit.doc_mut().config.digest = add(image.config(&ctx()).wait().unwrap().raw());
    for (layer, named) in image.layers().iter().zip(edit.doc_mut().layers.as_mut().unwrap()) {
        let mut reader = layer.open(&ctx()).wait().unwrap();
        let mut blob = vec![0; layer.descriptor().size as usize];
        let mut at = 0;
        while at < blob.len() {
            at += reader.read(&mut blob[at..], &ctx()).unwrap();
        }
        named.digest = add(&blob);
    }
    let manifest = edit.finish().unwrap();
    let digest = add(manifest.raw());
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": manifest.media_type().as_str(), "size": manifest.raw().len(), "digest": digest.as_str()}
    ]});
    files.push(file("index.json", index.to_string()));
    make_tar(path, &files);
}

#[test]
fn long_digests_are_written_whole() {
    let dir = Dir::new();
    let (given, path) = (dir.path("given.tar"), dir.path("a.tar"));
    with_sha512(&given, &small(Format::Oci));
    let made = read(&given).unwrap();
    valid(&made).unwrap();
    let digests = |image: &Image| image.layers().iter().map(|l| l.descriptor().digest.clone()).collect::<Vec<_>>();
    for form in FORMS {
        write(&path, &[ArchiveItem::image(&made, Some("localhost/a:1"))], form).unwrap();
        let back = read(&path).unwrap();
        valid(&back).unwrap();
        assert_eq!(config_of(&back), config_of(&made), "{form:?}");
        if form != ArchiveFormat::Legacy {
            assert_eq!(digests(&back), digests(&made), "{form:?}");
        }
        let long = files(&path).iter().filter(|(name, _)| name.len() > 100).count();
        assert_eq!(long, [3, 4, 1][FORMS.iter().position(|f| *f == form).unwrap()], "{form:?}");
    }
}

#[test]
fn the_name_of_a_layer_need_not_be_its_digest() {
    let dir = Dir::new();
    let path = dir.path("a.tar");
    let made = gzipped(Format::Docker);
    write(&path, &[ArchiveItem::image(&made, Some("a:1"))], ArchiveFormat::Docker).unwrap();
    let mut all = files(&path);
    let hex = made.layers()[0].descriptor().digest.hex().to_owned();
    let other = Digest::sha256(b"other").hex().to_owned();
    for name in [format!("{other}.tar.gz"), "layer.tgz".to_owned()] {
        let mut renamed = all.clone();
        for (file, _) in &mut renamed {
            if *file == format!("{hex}.tar.gz") {
                *file = name.clone();
            }
        }
        edit_manifest(&mut renamed, |m| {
            for layer in
                m[0]["Layers"].as_array_mut().unwrap().iter_mut().filter(|l| l.as_str().unwrap().contains(&hex))
            {
                *layer = name.clone().into();
            }
        });
        make_tar(&path, &renamed);
        let back = read(&path).unwrap();
        valid(&back).unwrap();
        assert_eq!(back.digest(), made.digest(), "{name}");
    }
    // Another layer in its place is noticed where it is read.
    let at = all.iter().position(|(name, _)| *name == format!("{hex}.tar.gz")).unwrap();
    let with = all.iter().position(|(name, _)| name.ends_with(".tar.gz") && !name.contains(&hex)).unwrap();
    all[at].1 = all[with].1.clone();
    make_tar(&path, &all);
    assert_eq!(read(&path).and_then(|image| valid(&image)).unwrap_err().code(), Code::DigestMismatch);
}
