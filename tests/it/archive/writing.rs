//! What archives are written with: every form, names, indexes, and what failure leaves.

use super::{
    Dir, FORMS, config_of, ctx, edit_manifest, files, gzipped, image, layer, make_tar, open, read, small, valid, write,
};
use crate::support::noise;
use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Code, Compression, Format, Image, Index, IndexBuilder, MediaType, Options,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn every_form_gives_the_image_back() {
    let dir = Dir::new();
    for form in FORMS {
        for made in [gzipped(Format::Docker), gzipped(Format::Oci)] {
            let path = dir.path("a.tar");
            write(&path, &[ArchiveItem::image(&made, Some("localhost/a:1"))], form).unwrap();
            let archive = open(&path).unwrap();
            // The old form written has manifest.json, and so is today's to those who read it.
            assert_eq!(
                archive.kind(),
                if form == ArchiveFormat::Oci { ArchiveFormat::Oci } else { ArchiveFormat::Docker }
            );
            assert_eq!(archive.refs(), ["localhost/a:1"]);
            let back = archive.image(Some("localhost/a:1"), &Options::new(), &ctx()).wait().unwrap();
            valid(&back).unwrap();
            assert_eq!(config_of(&back), config_of(&made));
            if form == ArchiveFormat::Oci || form == ArchiveFormat::Docker && made.manifest().media_type().is_docker() {
                assert_eq!(back.digest(), made.digest());
            }
            let by_digest = archive.image(Some(back.digest().as_str()), &Options::new(), &ctx()).wait().unwrap();
            assert_eq!(by_digest.digest(), back.digest());
        }
    }
    assert_eq!(dir.names(), ["a.tar"]);
}

#[test]
fn several_images_and_names() {
    let dir = Dir::new();
    let (a, b) = (gzipped(Format::Docker), small(Format::Docker));
    let items = [
        ArchiveItem::image(&b, Some("b")),
        ArchiveItem::image(&a, Some("localhost:5000/a:2")),
        ArchiveItem::image(&a, Some("localhost:5000/a:1")),
        ArchiveItem::image(&a, Some("localhost:5000/a:1")),
    ];
    for form in [ArchiveFormat::Docker, ArchiveFormat::Legacy] {
        let (one, two) = (dir.path("one.tar"), dir.path("two.tar"));
        write(&one, &items, form).unwrap();
        let turned: Vec<_> = items.iter().rev().cloned().collect();
        write(&two, &turned, form).unwrap();
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap(), "the order of the items is nothing");
        let archive = open(&one).unwrap();
        let mut names = archive.refs();
        names.sort();
        assert_eq!(names, ["b:latest", "localhost:5000/a:1", "localhost:5000/a:2"]);
        let get = |name: Option<&str>| archive.image(name, &Options::new(), &ctx()).wait();
        assert_eq!(config_of(&get(Some("index.docker.io/library/b")).unwrap()), config_of(&b));
        assert_eq!(config_of(&get(Some(config_of(&a).as_str())).unwrap()), config_of(&a));
        assert_eq!(get(None).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(get(Some("nothing")).unwrap_err().code(), Code::NotFound);
        // A layer that both have is there once.
        let names: Vec<String> = files(&one).into_iter().map(|(name, _)| name).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
    let path = dir.path("none.tar");
    let by_digest = format!("a@{}", a.digest());
    write(&path, &[ArchiveItem::image(&a, Some(&by_digest))], ArchiveFormat::Docker).unwrap();
    assert_eq!(open(&path).unwrap().refs(), [""; 0]);
    assert!(String::from_utf8(files(&path).pop().unwrap().1).unwrap().contains(r#""RepoTags":null"#));
    let wrong = write(&path, &[ArchiveItem::image(&a, Some("A B"))], ArchiveFormat::Docker).unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert_eq!(write(&path, &[], ArchiveFormat::Oci).unwrap_err().code(), Code::InvalidArgument);
}

/// An index of these, each for a platform.
fn index_of(images: &[(&Image, &str)]) -> Index {
    let mut b = IndexBuilder::from_scratch();
    for (image, platform) in images {
        b.add_image(image).set_entry_platform(Some(&platform.parse().unwrap())).unwrap();
    }
    b.build(&Options::new(), &ctx()).wait().unwrap()
}

#[test]
fn indexes_keep_their_digest() {
    let dir = Dir::new();
    let (a, b) = (gzipped(Format::Oci), small(Format::Oci));
    let index = index_of(&[(&a, "linux/arm64"), (&b, "linux/amd64")]);
    let path = dir.path("index.tar");
    let items = [ArchiveItem::index(&index, Some("all")), ArchiveItem::image(&a, Some("one"))];
    write(&path, &items, ArchiveFormat::Oci).unwrap();
    let archive = open(&path).unwrap();
    assert_eq!((archive.kind(), archive.refs()), (ArchiveFormat::Oci, vec!["all".to_owned(), "one".to_owned()]));
    let all = archive.index(Some("all"), &Options::new(), &ctx()).wait().unwrap();
    assert_eq!(all.digest(), index.digest());
    assert_eq!(archive.index(None, &Options::new(), &ctx()).wait().unwrap().manifest().manifests().len(), 2);
    assert_eq!(archive.index(Some("one"), &Options::new(), &ctx()).wait().unwrap_err().code(), Code::InvalidArgument);
    let get = |name: &str, platform: &str| {
        let options = Options::new().platform(platform.parse().unwrap());
        archive.image(Some(name), &options, &ctx()).wait()
    };
    assert_eq!(get("all", "linux/arm64").unwrap().digest(), a.digest());
    assert_eq!(get("all", "linux/amd64").unwrap().digest(), b.digest());
    assert_eq!(get("all", "linux/s390x").unwrap_err().code(), Code::NotFound);
    assert_eq!(get(b.digest().as_str(), "linux/amd64").unwrap().digest(), b.digest(), "named by nothing but the index");
    assert_eq!(archive.image(None, &Options::new(), &ctx()).wait().unwrap_err().code(), Code::InvalidArgument);
    for form in [ArchiveFormat::Docker, ArchiveFormat::Legacy] {
        assert_eq!(write(&path, &items, form).unwrap_err().code(), Code::Unsupported);
    }
}

#[test]
fn foreign_layers_are_named_and_taken_along_when_asked() {
    let dir = Dir::new();
    let path = dir.path("foreign.tar");
    let made = small(Format::Docker);
    write(&path, &[ArchiveItem::image(&made, Some("win:1"))], ArchiveFormat::Docker).unwrap();
    let mut all = files(&path);
    let layer = made.layers()[0].descriptor().clone();
    let diff_id = made.config(&ctx()).wait().unwrap().diff_ids()[0].to_string();
    let source = json!({"mediaType": MediaType::DOCKER_FOREIGN_LAYER_GZIP.as_str(), "size": layer.size,
        "digest": layer.digest.as_str(), "urls": ["https://example.com/layer"]});
    edit_manifest(&mut all, |m| m[0]["LayerSources"] = json!(BTreeMap::from([(diff_id, source)])));
    make_tar(&path, &all);
    let image = read(&path).unwrap();
    let first = image.layers()[0].descriptor();
    assert_eq!((first.urls.len(), &first.media_type), (1, &MediaType::DOCKER_FOREIGN_LAYER_GZIP));
    for along in [false, true] {
        let options = if along { Options::new().foreign_layers() } else { Options::new() };
        let back = dir.path("back.tar");
        Archive::write(&back, &[ArchiveItem::image(&image, Some("win:1"))], &options, &ctx()).wait().unwrap();
        assert_eq!(files(&back).len(), if along { 4 } else { 3 });
        let again = read(&back).unwrap();
        assert_eq!(again.digest(), image.digest());
        let opened = again.layers()[0].open(&ctx()).wait();
        assert_eq!(opened.is_ok(), along);
    }
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let dir = Dir::new();
    let big = layer("big", &noise(24 << 20), Compression::None);
    let items = [ArchiveItem::image(&image(&[&big], Format::Docker, "big"), None)];
    let path = dir.path("a.tar");
    for form in FORMS {
        let ctx = ctx();
        let ends = ctx.clone();
        ctx.on_event(move |event| {
            if event.kind == "write" && event.done > 0 && event.subject.contains("tar")
                || event.subject.contains("blobs")
            {
                ends.cancel();
            }
        });
        let e = Archive::write(&path, &items, &Options::new().archive_format(form), &ctx).wait().unwrap_err();
        assert_eq!(e.code(), Code::Cancelled);
        ctx.off_event();
        let gone = || dir.names().is_empty();
        assert!(
            (0..100).any(|_| gone() || (std::thread::sleep(std::time::Duration::from_millis(20)), false).1),
            "{:?}",
            dir.names()
        );
    }
    let full = Archive::write(Path::new("/dev/full"), &items, &Options::new(), &ctx()).wait().unwrap_err();
    assert_eq!((full.code(), full.get_subject()), (Code::Io, Some("/dev/full")));
    assert_eq!(full.get_os_code(), Some(28));
    // What is there stays until the new one is whole.
    std::fs::write(&path, "old").unwrap();
    let lost = dir.path("lost.tar");
    write(&lost, &items, ArchiveFormat::Oci).unwrap();
    let from = read(&lost).unwrap();
    std::fs::File::options().write(true).open(&lost).unwrap().set_len(2 << 20).unwrap();
    let e = write(&path, &[ArchiveItem::image(&from, None)], ArchiveFormat::Docker).unwrap_err();
    assert_eq!(e.code(), Code::Io, "the archive that is read became shorter");
    assert_eq!(dir.names(), ["a.tar", "lost.tar"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn what_an_entry_says_besides_is_kept() {
    let dir = Dir::new();
    let (given, path) = (dir.path("given.tar"), dir.path("a.tar"));
    write(&given, &[ArchiveItem::image(&small(Format::Oci), Some("old"))], ArchiveFormat::Oci).unwrap();
    let mut all = files(&given);
    let index = all.iter_mut().find(|(name, _)| name == "index.json").unwrap();
    let mut json: Value = serde_json::from_slice(&index.1).unwrap();
    let entry = &mut json["manifests"][0];
    entry["annotations"]["io.containerd.image.name"] = "docker.io/library/old:1".into();
    entry["annotations"]["com.example.note"] = "kept".into();
    entry["com.example.unknown"] = json!([1]);
    entry["platform"] = json!({"os": "linux", "architecture": "arm64"});
    index.1 = json.to_string().into();
    make_tar(&given, &all);
    let made = read(&given).unwrap();
    for name in [Some("new"), None] {
        write(&path, &[ArchiveItem::image(&made, name)], ArchiveFormat::Oci).unwrap();
        let (_, written) = files(&path).into_iter().find(|(name, _)| name == "index.json").unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        let mut expected = json["manifests"][0].clone();
        expected["annotations"] = json!({"com.example.note": "kept"});
        if let Some(name) = name {
            expected["annotations"]["org.opencontainers.image.ref.name"] = name.into();
        }
        assert_eq!(written["manifests"][0], expected);
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let (path, link) = (dir.path("a.tar"), dir.path("link.tar"));
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    let made = small(Format::Docker);
    let again = |path: &Path| write(path, &[ArchiveItem::image(&made, Some("a:1"))], ArchiveFormat::Docker).unwrap();
    again(&path);
    std::fs::write(dir.path("new"), "").unwrap();
    assert_eq!(mode(), std::fs::metadata(dir.path("new")).unwrap().permissions().mode() & 0o7777);
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for kept in [0o600, 0o666, 0o440, 0o777] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(kept)).unwrap();
        again(if kept == 0o666 { &link } else { &path });
        assert_eq!(mode(), kept);
    }
    assert!(link.is_symlink());
}
