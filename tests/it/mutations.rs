//! Every change, on images of every make: the result can be pushed and pulled, is what it says it is, and has lost
//! nothing that was not to be changed.

use crate::makes::{
    DOCKER_GZIP, DOCKER_TAR, Make, OCI_FOREIGN, OCI_GZIP, OCI_ZSTD, World, base_config, blob, history, makes, rich_tar,
};
use bytes::Bytes;
use parbuckle::oci::{Extra, Healthcheck};
use parbuckle::{
    Code, Compression, CompressionOptions, Config, Descriptor, Digest, Error, Format, Image, ImageBuilder, Index,
    IndexBuilder, Layer, Manifest, Matcher, MediaType, Options, Result,
};
use serde_json::json;
use std::io::Read as _;

type Change = (&'static str, fn(&World, &Image) -> Result<Image>);

fn compressed(kind: Compression, level: Option<i32>) -> CompressionOptions {
    CompressionOptions { kind: Some(kind), level }
}

fn changes() -> Vec<Change> {
    fn built(w: &World, image: &Image, f: impl FnOnce(&mut ImageBuilder) -> Result<()>) -> Result<Image> {
        let mut builder = ImageBuilder::new(image);
        f(&mut builder)?;
        w.build(&builder)
    }
    vec![
        ("env", |w, i| built(w, i, |b| b.set_env("B", Some("2")).map(drop))),
        ("clear", |w, i| {
            built(w, i, |b| {
                b.clear_env().clear_labels().set_entrypoint(None).set_cmd(None).set_user("").set_working_dir("");
                Ok(())
            })
        }),
        ("health, shell, on-build", |w, i| {
            built(w, i, |b| {
                let test = vec!["CMD".to_owned(), "true".to_owned()];
                let (interval, timeout, start_period, retries) = (1, 2, 3, 4);
                let extra = Extra::default();
                b.set_healthcheck(Some(Healthcheck { test, interval, timeout, start_period, retries, extra }));
                b.set_shell(Some(vec!["/bin/sh".into()])).set_on_build(Some(vec!["RUN x".into()]));
                Ok(())
            })
        }),
        ("annotations", |w, i| {
            built(w, i, |b| {
                b.set_annotation("k", Some("v"))?.set_config_annotation("k", Some("v"))?;
                if i.layers().is_empty() { Ok(()) } else { b.annotate_layer(0, "k", Some("v")).map(drop) }
            })
        }),
        ("artifact type", |w, i| w.build(ImageBuilder::new(i).set_artifact_type("application/vnd.test"))),
        ("config media type", |w, i| built(w, i, |b| b.set_config_media_type(MediaType::OCI_CONFIG).map(drop))),
        ("add layer", |w, i| {
            built(w, i, |b| {
                b.add_layer(&w.layer(3)).set_history("by", "me", "comment", Some("2020-01-01T00:00:00Z"))?;
                b.set_layer_annotation("k", Some("v"))?;
                b.add_empty_layer().set_history("nothing", "", "", None)?.add_layer(&w.layer(4));
                Ok(())
            })
        }),
        ("remove layer", |w, i| {
            built(w, i, |b| {
                b.add_layer(&w.layer(3)).add_layer(&w.layer(4));
                b.remove_layer(0)?;
                b.remove_layer(i.layers().len()).map(drop)
            })
        }),
        ("replace layer", |w, i| {
            built(w, i, |b| {
                b.add_layer(&w.layer(3));
                b.replace_layer(0, &w.layer(5))?.replace_layer(i.layers().len(), &w.layer(6)).map(drop)
            })
        }),
        ("set config", |w, i| built(w, i, |b| b.set_config(&w.config(i)).set_label("l", Some("1")).map(drop))),
        ("to OCI", |w, i| i.convert(Format::Oci, &Options::new(), &w.ctx).wait()),
        ("to Docker", |w, i| i.convert(Format::Docker, &Options::new(), &w.ctx).wait()),
        ("to gzip 9", |w, i| {
            let options = w.into("out").compression(compressed(Compression::Gzip, Some(9)));
            i.recompress(&options, &w.ctx).wait()
        }),
        ("to zstd", |w, i| {
            i.recompress(&Options::new().compression(compressed(Compression::Zstd, None)), &w.ctx).wait()
        }),
        ("to eStargz", |w, i| {
            i.recompress(&w.into("out").compression(compressed(Compression::Estargz, None)), &w.ctx).wait()
        }),
        ("to eStargz and on", |w, i| {
            let to = |image: &Image, kind, level| {
                image.recompress(&Options::new().compression(compressed(kind, level)), &w.ctx).wait()
            };
            let once = to(i, Compression::Estargz, None)?;
            let again = to(&once, Compression::Estargz, Some(9))?;
            to(&again, Compression::Zstd, None)
        }),
        ("to plain", |w, i| {
            i.recompress(&Options::new().compression(compressed(Compression::None, None)), &w.ctx).wait()
        }),
        ("time", |w, i| i.with_time("2020-02-03T04:05:06Z", &w.into("out"), &w.ctx).wait()),
        ("canonical", |w, i| i.canonical(&Options::new(), &w.ctx).wait()),
        ("rebase", |w, i| {
            let on_it = w.build(ImageBuilder::new(i).add_layer(&w.layer(4)))?;
            let other =
                w.build(ImageBuilder::from_scratch().add_layer(&w.layer(7)).set_platform(&"linux/arm64/v8".parse()?))?;
            on_it.rebase(i, &other, Some("example.com/other:1"), &Options::new(), &w.ctx).wait()
        }),
        ("edit file", |w, i| i.edit_file("/etc/conf", Some(Bytes::from_static(b"new")), &w.into("out"), &w.ctx).wait()),
        ("remove file", |w, i| {
            let layer = match w.config(i).platform().is_some_and(|p| p.os == "windows") {
                true => w.layer(4).for_windows(&Options::new(), &w.ctx).wait()?,
                false => w.layer(4),
            };
            let there = w.build(ImageBuilder::new(i).add_layer(&layer))?;
            there.edit_file("etc", None, &Options::new(), &w.ctx).wait()
        }),
    ]
}

/// What is expected to fail: Docker has no word for zstd.
fn refused(image: &str, change: &str) -> Option<Code> {
    match (image, change) {
        ("zstd", "to Docker") => Some(Code::Unsupported),
        _ => None,
    }
}

#[test]
fn every_change_of_every_make_is_sound() {
    let world = World::new();
    for (make, image) in makes() {
        let image = world.put(make, image);
        let before = world.config(&image);
        for (change, run) in changes() {
            let what = format!("{change} of {make}");
            let made = match (run(&world, &image), refused(make, change)) {
                (Err(e), Some(code)) if e.code() == code => continue,
                (Ok(made), None) => made,
                (other, expected) => panic!("{what}: {other:?} where {expected:?} is due"),
            };
            let made = world.there_and_back(&what, &made);
            let after = world.config(&made);
            nothing_is_lost(&what, (image.manifest(), &before), (made.manifest(), &after));
            in_step(&what, &made, &after);
        }
    }
}

fn in_step(what: &str, image: &Image, config: &Config) {
    let told = config.history().iter().filter(|h| !h.empty_layer).count();
    assert!(config.history().is_empty() || told == image.layers().len(), "{what}: history and layers");
    assert_eq!(config.diff_ids().len(), image.layers().len(), "{what}: diff ids and layers");
}

fn nothing_is_lost(what: &str, before: (&Manifest, &Config), after: (&Manifest, &Config)) {
    assert_eq!(before.0.doc().extra, after.0.doc().extra, "{what}: unknown members of the manifest");
    assert_eq!(before.0.config().extra, after.0.config().extra, "{what}: unknown members of the config's descriptor");
    assert_eq!(before.0.subject(), after.0.subject(), "{what}: subject");
    if what.split(" of ").next() != Some("artifact type") {
        assert_eq!(before.0.artifact_type(), after.0.artifact_type(), "{what}: artifact type");
    }
    for (key, value) in before.0.annotations().iter().filter(|(key, _)| !key.contains("image.base.")) {
        assert_eq!(after.0.annotations().get(key), Some(value), "{what}: annotations");
    }
    let (b, a) = (before.1.doc(), after.1.doc());
    assert_eq!((&b.extra, &b.rootfs.extra), (&a.extra, &a.rootfs.extra), "{what}: unknown members of the config");
    assert_eq!(b.config.extra, a.config.extra, "{what}: unknown members of config.config");
    assert_eq!(b.author, a.author, "{what}: author");
    let interval = |d: &parbuckle::oci::ConfigDoc| {
        d.config.healthcheck.as_ref().and_then(|h| h.extra.get("StartInterval").map(ToOwned::to_owned))
    };
    assert_eq!(interval(b), interval(a), "{what}: the health check's start interval");
    let replaces_lower = ["rebase", "remove layer", "replace layer"].iter().any(|name| what.starts_with(name));
    if !replaces_lower {
        assert_eq!((&b.variant, &b.os_features, &b.os_version), (&a.variant, &a.os_features, &a.os_version), "{what}");
        for (old, new) in b.history.iter().zip(&a.history) {
            assert_eq!((&old.extra, &old.created_by), (&new.extra, &new.created_by), "{what}: history");
        }
        for (old, new) in before.0.layers().iter().zip(after.0.layers()) {
            assert_eq!(old.extra, new.extra, "{what}: unknown members of a layer's descriptor");
        }
    }
}

#[test]
fn conversion_is_whole_and_undoes_itself() {
    let world = World::new();
    for (make, image) in makes().into_iter().filter(|(make, _)| !["zstd", "mixed"].contains(make)) {
        let image = world.put(make, image);
        let convert = |image: &Image, f| image.convert(f, &Options::new(), &world.ctx).wait().unwrap();
        let (other, own) = match image.manifest().media_type().is_docker() {
            true => (Format::Oci, Format::Docker),
            false => (Format::Docker, Format::Oci),
        };
        assert_eq!(convert(&image, own).manifest().raw(), image.manifest().raw(), "{make}");
        let converted = convert(&image, other);
        let m = converted.manifest();
        let types =
            [m.media_type(), &m.config().media_type].into_iter().chain(m.layers().iter().map(|d| &d.media_type));
        for media_type in types {
            assert_eq!(media_type.is_docker(), other == Format::Docker, "{make}: {media_type}");
        }
        let docs = |i: &Image| i.manifest().edit().doc().clone();
        assert_eq!(docs(&convert(&converted, own)), docs(&image), "{make}");
    }
}

#[test]
fn recompressed_layers_hold_the_same() {
    let world = World::new();
    let image = world.put("plain", makes().swap_remove(4).1);
    let options = |kind, level| Options::new().compression(compressed(kind, level)).jobs(1);
    let run = |kind, level| image.recompress(&options(kind, level), &world.ctx).wait().unwrap();
    let types = |i: &Image| i.layers().iter().map(|l| l.descriptor().media_type.to_string()).collect::<Vec<_>>();
    let gzip = run(Compression::Gzip, None);
    assert_eq!(types(&gzip), [DOCKER_GZIP, DOCKER_GZIP]);
    assert_eq!(gzip.layers()[1].descriptor(), image.layers()[1].descriptor(), "it was gzip already");
    assert_ne!(run(Compression::Gzip, Some(1)).layers()[1].descriptor().digest, image.layers()[1].descriptor().digest);
    assert_eq!(types(&run(Compression::None, None)), [DOCKER_TAR, DOCKER_TAR]);
    assert_eq!(types(&run(Compression::Zstd, Some(5))), [OCI_ZSTD, OCI_ZSTD]);
    assert_eq!(gzip.manifest().config().digest, image.manifest().config().digest, "the config is the same");
    for (old, new) in image.layers().iter().zip(run(Compression::Zstd, None).layers()) {
        assert!(world.tar(old) == world.tar(new));
    }
    let again = gzip.recompress(&options(Compression::Gzip, None), &world.ctx).wait().unwrap();
    assert_eq!(again.digest(), gzip.digest());

    // A layer that is not what the config says is no layer that can be written anew.
    let mut make = makes().swap_remove(1).1;
    make.layers[1].2 = b"something else".to_vec();
    let liar = world.put("liar", make);
    let error = liar.recompress(&options(Compression::Zstd, None), &world.ctx).wait().unwrap_err();
    assert_eq!(error.code(), Code::DigestMismatch);
    assert!(liar.with_time("2020-01-01T00:00:00Z", &Options::new(), &world.ctx).wait().is_err());
}

/// Everything a tar says but times.
fn told(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut pax = Vec::new();
        if let Some(records) = entry.pax_extensions().unwrap() {
            for record in records.map(|r| r.unwrap()) {
                if !["path", "linkpath", "atime", "ctime", "mtime"].contains(&record.key().unwrap()) {
                    pax.push(format!("{}={:?}", record.key().unwrap(), record.value_bytes()));
                }
            }
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        let (h, path) = (entry.header(), String::from_utf8_lossy(&entry.path_bytes()).into_owned());
        let link = entry.link_name_bytes().map(|l| String::from_utf8_lossy(&l).into_owned());
        let numbers = (h.mode().unwrap() & 0o7777, h.uid().unwrap(), h.gid().unwrap());
        let device = (h.device_major().ok().flatten().unwrap_or(0), h.device_minor().ok().flatten().unwrap_or(0));
        let kind = h.entry_type();
        all.push(format!("{path} {kind:?} {link:?} {numbers:?} {device:?} {pax:?} {}", Digest::sha256(&data)));
    }
    all
}

#[test]
fn one_time_and_nothing_else_changes() {
    let world = World::new();
    for (make, image) in makes().into_iter().filter(|(make, _)| ["docker", "zstd", "plain", "unknown"].contains(make)) {
        let image = world.put(make, image);
        let run = || image.with_time("2020-02-03T04:05:06.75Z", &Options::new(), &world.ctx).wait().unwrap();
        let timed = run();
        assert_eq!(run().digest(), timed.digest(), "{make}: the same twice");
        let again = timed.with_time("2020-02-03T04:05:06.75Z", &Options::new(), &world.ctx).wait().unwrap();
        assert_eq!(world.config(&again).raw(), world.config(&timed).raw(), "{make}: nothing is left to do");
        for (old, new) in image.layers().iter().zip(timed.layers()) {
            assert_eq!(old.descriptor().media_type, new.descriptor().media_type);
            let (old, new) = (world.tar(old), world.tar(new));
            assert_eq!(told(&old), told(&new), "{make}");
            let mut archive = tar::Archive::new(&new[..]);
            for entry in archive.entries().unwrap().map(|e| e.unwrap()) {
                assert_eq!(entry.header().mtime().unwrap(), 1_580_702_706);
            }
            let text = String::from_utf8_lossy(&new);
            assert!(!text.contains("atime=") && !text.contains("ctime=") && !text.contains("mtime="), "{make}");
        }
        let config = world.config(&timed);
        assert_eq!(config.created(), Some("2020-02-03T04:05:06.75Z"));
        assert!(config.history().iter().all(|h| h.created.as_str() == "2020-02-03T04:05:06.75Z"));
    }
    let image = world.put("docker", makes().swap_remove(0).1);
    for bad in ["", "yesterday", "2020-13-01T00:00:00Z"] {
        let error = image.with_time(bad, &Options::new(), &world.ctx).wait().unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{bad}");
    }
}

#[test]
fn canonical_images_don_t_tell_when_and_where() {
    let world = World::new();
    let make = |time: u64, host: &str| {
        let mut config = base_config();
        config["container"] = host.into();
        config["docker_version"] = "20.10".into();
        config["config"]["Hostname"] = host.into();
        config["created"] = format!("2024-01-02T03:04:{time:02}Z").into();
        config["history"] = json!([{"created": format!("2024-01-02T03:05:{time:02}Z")}]);
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        header.set_mode(0o644);
        header.set_mtime(time);
        tar.append_data(&mut header, "f", &b"x"[..]).unwrap();
        let layers = vec![blob(DOCKER_GZIP, tar.into_inner().unwrap())];
        Make { docker: true, config, manifest: json!({}), layers }
    };
    let canonical = |image: &Image| image.canonical(&Options::new(), &world.ctx).wait().unwrap();
    let (a, b) = (canonical(&world.put("a", make(1, "here"))), canonical(&world.put("b", make(2, "there"))));
    assert_eq!(a.digest(), b.digest());
    let config = world.config(&a);
    assert_eq!((config.created(), config.doc().container.as_str()), (None, ""));
    assert_eq!((config.doc().docker_version.as_str(), config.doc().config.hostname.as_str()), ("", ""));
}

#[test]
fn rebasing() {
    let world = World::new();
    let of = |layers: &[u8], platform: &str| {
        let mut b = ImageBuilder::from_scratch();
        for seed in layers {
            b.add_layer(&world.layer(*seed));
        }
        b.set_platform(&platform.parse().unwrap()).set_author("base");
        world.build(&b).unwrap()
    };
    let (old, new) = (of(&[1, 2], "linux/amd64"), of(&[3], "linux/arm64/v8"));
    let mut app = ImageBuilder::new(&old);
    app.add_layer(&world.layer(4)).set_history("app", "", "", None).unwrap();
    app.set_author("app").set_env("A", Some("1")).unwrap();
    app.set_annotation("org.opencontainers.image.base.digest", Some(old.digest().as_str())).unwrap();
    app.set_annotation("org.opencontainers.image.base.name", Some("example.com/base:1")).unwrap();
    let app = world.build(&app).unwrap();
    assert_eq!(app.base_annotations().digest.as_ref(), Some(old.digest()));
    let rebase = |image: &Image, old: &Image, name| image.rebase(old, &new, name, &Options::new(), &world.ctx).wait();

    let made = world.there_and_back("rebase", &rebase(&app, &old, None).unwrap());
    let config = world.config(&made);
    assert_eq!(config.platform().unwrap().to_string(), "linux/arm64/v8");
    assert_eq!((config.author(), config.env()), (Some("app"), &["A=1".to_owned()][..]));
    let lines: Vec<_> = config.history().iter().map(|h| h.created_by.as_str()).collect();
    assert_eq!((made.layers().len(), lines), (2, vec!["", "app"]));
    let said = made.base_annotations();
    assert_eq!((said.name.as_deref(), said.digest.as_ref()), (Some("example.com/base:1"), Some(new.digest())));
    let named = rebase(&app, &old, Some("example.com/base:2")).unwrap();
    assert_eq!(named.base_annotations().name.as_deref(), Some("example.com/base:2"));

    // By its diff ids, where the base was compressed anew.
    let options = Options::new().compression(compressed(Compression::Zstd, None));
    let other = old.recompress(&options, &world.ctx).wait().unwrap();
    assert_eq!(rebase(&app, &other, None).unwrap().digest(), made.digest());
    // Types of one family, whatever the base has.
    let docker = app.convert(Format::Docker, &Options::new(), &world.ctx).wait().unwrap();
    let made = rebase(&docker, &old, None).unwrap();
    assert!(made.layers().iter().all(|l| l.descriptor().media_type.is_docker()));

    for wrong in [&new, &of(&[1, 2, 4, 5], "linux/amd64"), &of(&[1, 3], "linux/amd64")] {
        let error = rebase(&app, wrong, None).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}

/// An index of two platforms and an attestation, by the builder; pushed and pulled.
fn platforms(world: &World, name: &str, base: Option<&Index>, seed: u8) -> Index {
    let mut index = IndexBuilder::from_scratch();
    for (i, platform) in ["linux/amd64", "linux/arm64/v8"].into_iter().enumerate() {
        let mut b = match base {
            Some(base) => ImageBuilder::new(&base.image(platform, &Options::new(), &world.ctx).wait().unwrap()),
            None => ImageBuilder::from_scratch(),
        };
        b.add_layer(&world.layer(seed + i as u8)).set_platform(&platform.parse().unwrap());
        b.set_annotation("made", Some(platform)).unwrap();
        let image = world.build(&b).unwrap();
        index.add_image(&image);
        let mut attestation = ImageBuilder::from_scratch();
        attestation.add_layer(&world.layer(50)).set_layer_media_type("application/vnd.in-toto+json").unwrap();
        attestation.set_platform(&parbuckle::Platform::new("unknown", "unknown"));
        index.add_image(&world.build(&attestation).unwrap());
        index.set_entry_annotation("vnd.docker.reference.type", Some("attestation-manifest")).unwrap();
        index.set_entry_annotation("vnd.docker.reference.digest", Some(image.digest().as_str())).unwrap();
    }
    index.set_annotation("whole", Some("yes")).unwrap();
    let made = world.build_index(&index);
    world.client.push_index(&world.name(name), &made, &Options::new(), &world.ctx).wait().unwrap();
    let back = world.pull_index(name);
    assert_eq!(back.digest(), made.digest());
    back
}

#[test]
fn indexes_are_built_and_found_again() {
    let world = World::new();
    let index = platforms(&world, "index:1", None, 1);
    let first = &index.manifest().manifests()[0];
    assert_eq!(first.platform.as_ref().unwrap().to_string(), "linux/amd64");
    assert_eq!(first.annotations["made"], "linux/amd64");
    assert_eq!(first.artifact_type, MediaType::OCI_CONFIG.as_str());

    // New children, old ones and nested ones, in one index.
    let extra = world.build(ImageBuilder::from_scratch().add_layer(&world.layer(9))).unwrap();
    let subject = Descriptor::of(MediaType::OCI_MANIFEST, b"subject");
    let mut b = IndexBuilder::new(&index);
    b.add_image(&extra).set_entry_platform(Some(&"plan9/386".parse().unwrap())).unwrap();
    b.set_entry_urls(vec!["https://x.example".into()]).unwrap().set_entry_artifact_type("application/x").unwrap();
    b.set_subject(Some(&subject)).set_artifact_type("application/y");
    let wide = world.build_index(&b);
    let mut b = IndexBuilder::from_scratch();
    b.add_index(&wide).set_entry_annotation("nested", Some("yes")).unwrap();
    let nested = b.build(&Options::new().format(Format::Docker), &world.ctx).wait().unwrap();
    assert_eq!(nested.manifest().media_type(), &MediaType::DOCKER_LIST);
    assert_eq!(nested.manifest().manifests()[0].annotations["whole"], "yes");
    world.client.push_index(&world.name("nested:1"), &nested, &Options::new(), &world.ctx).wait().unwrap();
    let nested = world.pull_index("nested:1");
    let inner = nested.child(wide.digest().as_str(), &Options::new(), &world.ctx).wait().unwrap();
    assert_eq!((inner.manifest().subject(), inner.manifest().artifact_type()), (Some(&subject), Some("application/y")));
    assert_eq!(inner.image("plan9/386", &Options::new(), &world.ctx).wait().unwrap().digest(), extra.digest());

    let flat = world.build_index(IndexBuilder::new(&nested).flatten());
    assert_eq!(flat.manifest().manifests(), wide.manifest().manifests());
    for entry in flat.manifest().manifests() {
        let image = flat.image(entry.digest.as_str(), &Options::new(), &world.ctx).wait().unwrap();
        image.validate(&Options::new(), &world.ctx).wait().unwrap();
    }
    let children = world.build_index(IndexBuilder::from_scratch().add_children(&wide));
    assert_eq!(children.manifest().manifests(), wide.manifest().manifests());
    children.image("linux/arm64", &Options::new(), &world.ctx).wait().unwrap();
    assert!(IndexBuilder::from_scratch().set_entry_urls(vec![]).is_err());
    assert!(IndexBuilder::new(&index).set_entry_platform(None).is_err());
}

/// An index that names another so many times.
fn over(world: &World, index: &Index, times: usize) -> Index {
    let mut b = IndexBuilder::from_scratch();
    for _ in 0..times {
        b.add_index(index);
    }
    world.build_index(&b)
}

#[test]
fn nesting_has_the_same_limit_everywhere() {
    let world = World::new();
    let deepest = platforms(&world, "index:1", None, 1);
    let refused =
        |index: &Index| IndexBuilder::new(index).flatten().build(&Options::new(), &world.ctx).wait().unwrap_err();
    let eight = (1..8).fold(deepest.clone(), |index, _| over(&world, &index, 1));
    let flat = world.build_index(IndexBuilder::new(&eight).flatten());
    assert_eq!(flat.manifest().manifests(), deepest.manifest().manifests());
    let name = world.name("eight:1");
    world.client.push_index(&name, &eight, &Options::new(), &world.ctx).wait().unwrap();
    let nine = over(&world, &eight, 1);
    let pushed = world.client.push_index(&name, &nine, &Options::new(), &world.ctx).wait();
    for error in [refused(&nine), pushed.unwrap_err()] {
        assert_eq!((error.code(), error.message()), (Code::LimitExceeded, "indexes nested deeper than 8"));
    }
    // Each of them small, and flattened more than anybody can read.
    let many = (0..6).fold(Index::empty(Format::Oci).unwrap(), |index, _| over(&world, &index, 30));
    let error = refused(&many);
    assert_eq!(error.code(), Code::LimitExceeded);
    assert!(error.message().contains("10000"), "{error}");
}

#[test]
fn indexes_are_filtered() {
    let world = World::new();
    let index = platforms(&world, "index:1", None, 1);
    let filter = |m: &Matcher| index.filter(m, &Options::new(), &world.ctx).wait().unwrap();
    let arm = filter(&Matcher::new().platform("linux/arm64".parse().unwrap()));
    assert_eq!(arm.manifest().manifests(), &index.manifest().manifests()[2..3]);
    assert_eq!(arm.manifest().annotations()["whole"], "yes");
    assert_eq!(filter(&Matcher::new()).manifest().raw(), index.manifest().raw());
    let attestations = Matcher::new().annotation("vnd.docker.reference.type", None);
    assert_eq!(filter(&attestations).manifest().manifests().len(), 2);
    let none = filter(&Matcher::new().artifact_type("none"));
    assert!(std::str::from_utf8(none.manifest().raw()).unwrap().contains(r#""manifests":[]"#));
    let rest = world.build_index(IndexBuilder::new(&index).remove(&attestations));
    assert_eq!(rest.manifest().manifests().len(), 2);
    let mut b = IndexBuilder::new(&index);
    b.annotate(&attestations, "note", Some("x")).unwrap().set_format(Format::Docker);
    let annotated = world.build_index(&b);
    assert_eq!(annotated.manifest().media_type(), &MediaType::DOCKER_LIST);
    assert_eq!(annotated.manifest().manifests().iter().filter(|d| d.annotations.contains_key("note")).count(), 2);
}

#[test]
fn indexes_are_rebased_and_converted() {
    let world = World::new();
    let (old, new) = (platforms(&world, "base:1", None, 1), platforms(&world, "base:2", None, 11));
    let app = platforms(&world, "app:1", Some(&old), 21);
    let made = app.rebase(&old, &new, Some("example.com/base:2"), &Options::new(), &world.ctx).wait().unwrap();
    world.client.push_index(&world.name("app:2"), &made, &Options::new(), &world.ctx).wait().unwrap();
    let back = world.pull_index("app:2");
    let names: Vec<_> = back.manifest().manifests().iter().map(|d| d.platform.as_ref().unwrap().to_string()).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64/v8"], "attestations went, the order stayed");
    for platform in names {
        let image = |index: &Index| index.image(&platform, &Options::new(), &world.ctx).wait().unwrap();
        let (was, is, base) = (image(&app), image(&back), image(&new));
        is.validate(&Options::new(), &world.ctx).wait().unwrap();
        let layers = |i: &Image| i.layers().iter().map(|l| l.descriptor().digest.clone()).collect::<Vec<_>>();
        assert_eq!(layers(&is), [layers(&base), layers(&was)[1..].to_vec()].concat());
        assert_eq!(is.base_annotations().digest.as_ref(), Some(base.digest()));
        assert_eq!(is.manifest().annotations()["made"], platform);
        let entry = back.manifest().manifests().iter().find(|d| d.digest == *is.digest()).unwrap();
        assert_eq!(entry.annotations["made"], platform);
    }
    let wrong = app.rebase(&new, &old, None, &Options::new(), &world.ctx).wait().unwrap_err();
    assert_eq!((wrong.code(), wrong.get_subject().is_some()), (Code::InvalidArgument, true));

    let convert = |index: &Index, f| index.convert(f, &Options::new(), &world.ctx).wait();
    assert_eq!(convert(&app, Format::Docker).unwrap_err().code(), Code::Unsupported, "in-toto is no Docker layer");
    let docker = convert(&made, Format::Docker).unwrap();
    assert!(docker.manifest().manifests().iter().all(|d| d.media_type == MediaType::DOCKER_MANIFEST));
    assert_eq!(docker.manifest().media_type(), &MediaType::DOCKER_LIST);
    assert_eq!(convert(&docker, Format::Oci).unwrap().digest(), made.digest());
    // Attestations go on naming what they are about.
    let mut b = IndexBuilder::from_scratch();
    let image = docker.image("linux/amd64", &Options::new(), &world.ctx).wait().unwrap();
    b.add_image(&image).add_image(&app.image("linux/arm64", &Options::new(), &world.ctx).wait().unwrap());
    b.set_entry_annotation("vnd.docker.reference.digest", Some(image.digest().as_str())).unwrap();
    let converted = convert(&world.build_index(&b), Format::Oci).unwrap();
    let entries = converted.manifest().manifests();
    assert_eq!(entries[1].annotations["vnd.docker.reference.digest"], entries[0].digest.as_str());
}

#[test]
fn a_base_is_that_for_the_very_platform() {
    let world = World::new();
    // An index of one image, of one layer on that of `base`.
    let index = |entry: &str, config: &str, base: Option<&Index>, seed: u8| {
        let mut b = match base {
            Some(base) => {
                let child = base.manifest().manifests()[0].digest.to_string();
                ImageBuilder::new(&base.image(&child, &Options::new(), &world.ctx).wait().unwrap())
            }
            None => ImageBuilder::from_scratch(),
        };
        b.add_layer(&world.layer(seed)).set_platform(&config.parse().unwrap());
        let mut index = IndexBuilder::from_scratch();
        index.add_image(&world.build(&b).unwrap()).set_entry_platform(Some(&entry.parse().unwrap())).unwrap();
        world.build_index(&index)
    };
    let rebased = |platform: &str, new: &str| {
        let old = index(platform, platform, None, 1);
        let app = index(platform, platform, Some(&old), 2);
        app.rebase(&old, &index(new, new, None, 3), None, &Options::new(), &world.ctx).wait()
    };
    for (platform, new) in [
        ("linux/arm/v7", "linux/arm/v6"),
        ("linux/amd64", "linux/amd64/v3"),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1"),
    ] {
        let e = rebased(platform, new).unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{platform} on {new}: {e}");
        assert!(e.message().contains(new), "{e}");
    }
    for (platform, new) in [
        ("linux/arm/v7", "linux/arm"),
        ("linux/arm64", "linux/arm64/v8"),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.17763.9"),
    ] {
        let made = rebased(platform, new).unwrap();
        assert_eq!(
            made.examine(&Options::new(), &world.ctx).wait().unwrap().findings().len(),
            0,
            "{platform} on {new}"
        );
        let entry = &made.manifest().manifests()[0];
        let version = new.split_once(':').map_or("", |(_, version)| version);
        assert_eq!(entry.platform.as_ref().unwrap().os_version, version);
    }
}

#[test]
fn layers_for_windows() {
    let world = World::new();
    let rich = Layer::from_bytes(rich_tar().into(), &Options::new(), &world.ctx).wait().unwrap();
    let made = rich.for_windows(&Options::new(), &world.ctx).wait().unwrap();
    let tar = world.tar(&made);
    let mut archive = tar::Archive::new(&tar[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let security =
            entry.pax_extensions().unwrap().is_some_and(|mut r| r.any(|r| r.unwrap().key() == Ok("MSWINDOWS.rawsd")));
        assert_eq!(security, name.starts_with("Files/d"), "{name}");
        if name.ends_with("hard") {
            assert_eq!(entry.link_name_bytes().unwrap(), &b"Files/d/attributes"[..]);
        }
        if name.ends_with("soft") {
            assert_eq!(entry.link_name_bytes().unwrap(), &b"attributes"[..]);
        }
        if ["Files/", "Hives/"].contains(&&*name) {
            assert_eq!(entry.header().mode().unwrap(), 0o555);
        }
        names.push(name);
    }
    assert_eq!(names[..3], ["Files/", "Hives/", "Files/d/"]);
    assert!(names[2..].iter().all(|n| n.starts_with("Files/d/")) && names.iter().any(|n| n == "Files/d/.wh.gone"));
    assert_eq!(names.len(), told(&rich_tar()).len() + 2);
    let again = made.for_windows(&Options::new(), &world.ctx).wait().unwrap();
    assert_eq!(again.descriptor(), made.descriptor(), "it is so already");

    let image = world.put("windows", makes().into_iter().find(|(m, _)| *m == "plain").unwrap().1);
    let plain = image.layers()[0].for_windows(&Options::new(), &world.ctx).wait().unwrap();
    assert_eq!(plain.descriptor().media_type.as_str(), DOCKER_TAR, "not compressed, and Docker's");
    let refused = |names: &[&str]| -> Error {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, &b""[..]).unwrap();
        }
        let layer = Layer::from_bytes(tar.into_inner().unwrap().into(), &Options::new(), &world.ctx).wait().unwrap();
        layer.for_windows(&Options::new(), &world.ctx).wait().unwrap_err()
    };
    let half = refused(&["a", "Files/b"]);
    assert_eq!((half.code(), half.get_subject()), (Code::InvalidArgument, Some("Files/b")));
    assert_eq!(refused(&["a/../../b"]).code(), Code::Malformed);
}

#[test]
fn one_file() {
    let world = World::new();
    let image = world.put("oci", makes().swap_remove(1).1);
    let edit = |path: &str, data: Option<&'static [u8]>| {
        image.edit_file(path, data.map(Bytes::from_static), &Options::new(), &world.ctx).wait()
    };
    let top = |image: &Image| told(&world.tar(image.layers().last().unwrap()));
    let digest = Digest::sha256(b"new");
    let made = edit("/d/attributes", Some(b"new")).unwrap();
    assert_eq!(made.layers().len(), 3);
    let xattr = r#"["SCHILY.xattr.user.x=[0, 255, 32, 98, 121, 116, 101, 115]"]"#;
    let (above, last) = (&top(&made)[..1], &top(&made)[1..]);
    assert!(above[0].starts_with("d/ Directory "), "{above:?}");
    assert_eq!(last, [format!("d/attributes Regular None (416, 7, 0) (0, 0) {xattr} {digest}")]);
    let made = edit("new/file", Some(b"new")).unwrap();
    assert_eq!(top(&made), [format!("new/file Regular None (420, 0, 0) (0, 0) [] {digest}")]);
    assert!(top(&edit("d/timed", None).unwrap())[1].starts_with("d/.wh.timed "));
    assert!(top(&edit("file1", None).unwrap())[0].starts_with(".wh.file1 "));
    assert_eq!(edit("d", Some(b"x")).unwrap_err().code(), Code::InvalidArgument);
    let behind = edit("d/soft", Some(b"new")).unwrap();
    assert_eq!(top(&behind)[1..], [format!("d/attributes Regular None (416, 7, 0) (0, 0) {xattr} {digest}")]);
    assert!(top(&edit("d/soft", None).unwrap())[1].starts_with("d/.wh.soft "));
    assert_eq!(edit("nowhere", None).unwrap_err().code(), Code::NotFound);
    let gone = edit("d/timed", None).unwrap();
    let again = gone.edit_file("d/timed", None, &Options::new(), &world.ctx).wait();
    assert_eq!(again.unwrap_err().code(), Code::NotFound, "a whiteout hides it");
    let anew = gone.edit_file("d/timed", Some(Bytes::from_static(b"new")), &Options::new(), &world.ctx).wait().unwrap();
    assert!(top(&anew)[1].contains("(420, 0, 0)"), "what was hidden is no model");

    let windows = world.put("windows", makes().into_iter().find(|(m, _)| *m == "windows").unwrap().1);
    let made = windows.edit_file("a/b", Some(Bytes::from_static(b"new")), &Options::new(), &world.ctx).wait().unwrap();
    assert!(top(&made)[2].starts_with("Files/a/b Regular"));
}

#[test]
fn one_file_behind_links() {
    let world = World::new();
    let layer = |entries: &[(tar::EntryType, &str, &str, u32, u64)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, name, link, mode, uid) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_uid(*uid);
            header.set_gid(*uid);
            header.set_size(0);
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            tar.append_data(&mut header, name, &b""[..]).unwrap();
        }
        Layer::from_bytes(tar.into_inner().unwrap().into(), &Options::new(), &world.ctx).wait().unwrap()
    };
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let base = layer(&[
        (Directory, "usr/", "", 0o750, 3),
        (Directory, "usr/bin/", "", 0o711, 4),
        (Regular, "usr/bin/sh", "", 0o4755, 5),
        (Symlink, "bin", "usr/bin", 0o777, 0),
        (Symlink, "up", "/usr/../bin/", 0o777, 0),
        (Symlink, "round", "round", 0o777, 0),
    ]);
    let over = layer(&[(Link, "usr/bin/ash", "bin/sh", 0o644, 0), (Regular, "file", "", 0o644, 0)]);
    let image = world.build(ImageBuilder::from_scratch().add_layer(&base).add_layer(&over)).unwrap();
    let edit = |path: &str, data: Option<&'static [u8]>| {
        image.edit_file(path, data.map(Bytes::from_static), &Options::new(), &world.ctx).wait()
    };
    let listed = |image: &Image| {
        let files = image.files(&Options::new(), &world.ctx).wait().unwrap();
        let told = |f: &parbuckle::File| {
            format!("{} {} {:o} {} {}", String::from_utf8_lossy(&f.path), f.kind.letter(), f.mode, f.uid, f.size)
        };
        files.iter().map(told).collect::<Vec<_>>()
    };
    let before = listed(&image);
    let size_of = |made: &Image, name: &str, size: u64| {
        let (now, old) = (listed(made), before.iter().find(|l| l.starts_with(&format!("{name} "))).unwrap());
        let mode = old.split(' ').skip(2).take(2).collect::<Vec<_>>().join(" ");
        let expected = format!("{name} f {mode} {size}");
        assert!(now.contains(&expected), "{expected} in {now:?}");
        for same in before.iter().filter(|l| l.contains(" d ") || l.contains(" l ")) {
            assert!(now.contains(same), "{same} in {now:?}");
        }
        assert_eq!(now.len(), before.len(), "{now:?}");
    };
    for path in ["/bin/sh", "up/sh", "usr/bin/sh", "bin/ash"] {
        let made = edit(path, Some(b"new")).unwrap();
        size_of(&made, if path.ends_with("ash") { "usr/bin/ash" } else { "usr/bin/sh" }, 3);
        let top = told(&world.tar(made.layers().last().unwrap()));
        assert!(top[0].starts_with("usr/ Directory None (488, 3, 3)"), "{top:?}");
        assert!(top[1].starts_with("usr/bin/ Directory None (457, 4, 4)"), "{top:?}");
        assert!(top[2].contains(" Regular None (2541, 5, 5)"), "the mode of the content: {top:?}");
        let gone = edit(path, None).unwrap();
        assert_eq!(listed(&gone).len(), before.len() - 1, "{path}");
        let again = gone.edit_file(path, None, &Options::new(), &world.ctx).wait();
        assert_eq!(again.unwrap_err().code(), Code::NotFound);
    }
    // A link to a file leads to it, as it does for who reads it; what a link leads to need not be there.
    let links = layer(&[
        (Symlink, "abs", "/usr/bin/ash", 0o777, 0),
        (Symlink, "usr/rel", "../abs", 0o777, 0),
        (Symlink, "dangling", "usr/new", 0o777, 0),
        (Symlink, "dir", "usr/bin/..", 0o777, 0),
        (Symlink, "top", "/", 0o777, 0),
        (Symlink, "hides", "usr/.wh.bin", 0o777, 0),
        (Symlink, "below", "file/x", 0o777, 0),
    ]);
    let linked = world.build(ImageBuilder::new(&image).add_layer(&links)).unwrap();
    let edit_linked = |path: &str, data: Option<&'static [u8]>| {
        linked.edit_file(path, data.map(Bytes::from_static), &Options::new(), &world.ctx).wait()
    };
    for (path, at) in [("abs", "usr/bin/ash"), ("usr/rel", "usr/bin/ash"), ("dangling", "usr/new")] {
        let made = edit_linked(path, Some(b"new")).unwrap();
        let top = told(&world.tar(made.layers().last().unwrap()));
        assert!(top.last().unwrap().starts_with(&format!("{at} Regular ")), "{path}: {top:?}");
        let mut reader = made.read_file(path, &Options::new(), &world.ctx).wait().unwrap();
        let mut buf = [0; 9];
        assert_eq!(reader.read(&mut buf, &world.ctx).unwrap(), 3, "{path}");
        let listed_after = listed(&edit_linked(path, None).unwrap());
        assert!(!listed_after.iter().any(|line| line.starts_with(&format!("{path} "))), "{path}: the link itself");
        assert_eq!(listed_after.len(), listed(&linked).len() - 1);
    }
    for path in ["dir", "top", "hides", "below"] {
        assert_eq!(edit_linked(path, Some(b"x")).unwrap_err().code(), Code::InvalidArgument, "{path}");
    }
    // A link itself is removed as such; nothing lies below a file, or at the end of a circle.
    assert!(!listed(&edit("bin", None).unwrap()).iter().any(|l| l.starts_with("bin ")));
    assert_eq!(edit("file/x", None).unwrap_err().code(), Code::NotFound);
    assert_eq!(edit("file/x", Some(b"x")).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(edit("round/x", Some(b"x")).unwrap_err().code(), Code::Malformed);
    assert_eq!(edit("round", Some(b"x")).unwrap_err().code(), Code::Malformed);
}

#[test]
fn builders_refuse_what_does_not_fit() {
    let world = World::new();
    let image = world.put("oci", makes().swap_remove(1).1);
    let other = world.put("docker", makes().swap_remove(0).1);
    // A config of another image names other layers.
    let error = world.build(ImageBuilder::new(&image).set_config(&world.config(&other))).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    // What is said of a layer by hand.
    let mut b = ImageBuilder::new(&image);
    b.add_layer(&world.layer(7)).set_layer_media_type(OCI_FOREIGN).unwrap();
    b.set_layer_urls(vec!["https://x.example".into()]).unwrap().set_layer_annotation("k", Some("v")).unwrap();
    b.replace_layer(0, &world.layer(8)).unwrap().set_layer_annotation("k", Some("w")).unwrap();
    let told = world.build(&b).unwrap();
    let (first, last) = (&told.manifest().layers()[0], &told.manifest().layers()[2]);
    assert_eq!((first.media_type.as_str(), first.annotations["k"].as_str()), (OCI_GZIP, "w"));
    assert_eq!((last.media_type.as_str(), last.annotations["k"].as_str()), (OCI_FOREIGN, "v"));
    assert_eq!(last.urls, ["https://x.example"]);
    // An artifact's config is no image config.
    let mut b = ImageBuilder::new(&image);
    b.set_raw_config(Bytes::from_static(b"{\"any\":1}"), "application/vnd.example.config").unwrap();
    b.set_artifact_type("application/vnd.example").add_layer(&world.layer(7));
    let artifact = world.build(&b).unwrap();
    assert_eq!(artifact.layers().len(), 3);
    world.client.push(&world.name("out:artifact"), &artifact, &Options::new(), &world.ctx).wait().unwrap();
    let artifact = world.pull("out:artifact");
    assert!(world.build(ImageBuilder::new(&artifact).set_user("me")).is_err());
    assert!(world.build(ImageBuilder::new(&artifact).set_config(&world.config(&image))).is_err());
    let mut b = ImageBuilder::new(&artifact);
    b.remove_layer(2).unwrap().set_raw_config(world.config(&image).raw().clone(), MediaType::OCI_CONFIG).unwrap();
    let again = world.build(&b).unwrap_err();
    assert_eq!(again.code(), Code::Malformed, "the layer that is removed is not in that config: {again}");
    let mut b = ImageBuilder::new(&world.build(ImageBuilder::new(&artifact).remove_layer(2).unwrap()).unwrap());
    b.set_raw_config(world.config(&image).raw().clone(), MediaType::OCI_CONFIG).unwrap().set_user("me");
    world.there_and_back("an artifact that became an image", &world.build(&b).unwrap());
    assert!(world.build(ImageBuilder::new(&artifact).add_empty_layer()).is_err());
    assert_eq!(world.build(ImageBuilder::new(&artifact).remove_layer(2).unwrap()).unwrap().layers().len(), 2);
    let docker = artifact.convert(Format::Docker, &Options::new(), &world.ctx).wait().unwrap_err();
    assert_eq!(docker.code(), Code::Unsupported);
    assert!(artifact.with_time("2020-01-01T00:00:00Z", &Options::new(), &world.ctx).wait().is_err());
    // What nobody could read again.
    let huge = world.put("huge", makes().pop().unwrap().1);
    let error = world.build(ImageBuilder::new(&huge).set_label("more", Some(&"x".repeat(8192))).unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded);
    // A history of more layers than there are can't be put in step.
    let mut make = makes().swap_remove(1).1;
    make.config["history"] = history(&[false, false, false]);
    let odd = world.put("odd", make);
    assert_eq!(world.build(ImageBuilder::new(&odd).remove_layer(0).unwrap()).unwrap_err().code(), Code::Malformed);
    assert_eq!(world.build(ImageBuilder::new(&odd).add_layer(&world.layer(7))).unwrap_err().code(), Code::Malformed);
    assert_eq!(world.build(ImageBuilder::new(&odd).add_empty_layer()).unwrap_err().code(), Code::Malformed);
    world.build(ImageBuilder::new(&odd).set_env("A", None).unwrap()).unwrap();
    // Nor can diff ids of fewer.
    let mut make = makes().swap_remove(1).1;
    make.layers.truncate(1);
    let short = world.config(&world.put("short", make));
    let mut b = ImageBuilder::new(&image);
    b.set_raw_config(short.raw().clone(), MediaType::OCI_CONFIG).unwrap().add_layer(&world.layer(7));
    assert!(world.build(&b).is_err());
}

#[test]
fn what_is_said_of_a_layer_is_kept() {
    let world = World::new();
    let image = world.put("no-history", makes().into_iter().find(|(make, _)| *make == "no-history").unwrap().1);
    let lines = |b: &ImageBuilder| {
        let config = world.config(&world.build(b).unwrap());
        config.history().iter().map(|line| line.created_by.clone()).collect::<Vec<_>>()
    };
    let mut b = ImageBuilder::new(&image);
    b.replace_layer(1, &world.layer(7)).unwrap();
    assert_eq!(lines(&b), Vec::<String>::new(), "nothing was said");
    b.set_history("by", "", "", None).unwrap();
    assert_eq!(lines(&b), ["", "by"]);
    b.add_layer(&world.layer(8)).set_history("next", "", "", None).unwrap();
    assert_eq!(lines(&b), ["", "by", "next"]);
    // An artifact has nowhere to put it.
    let mut b = ImageBuilder::new(&image);
    b.set_raw_config(Bytes::from_static(b"{}"), "application/vnd.example.config").unwrap();
    b.add_layer(&world.layer(7)).set_history("by", "", "", None).unwrap();
    assert_eq!(world.build(&b).unwrap_err().code(), Code::InvalidArgument);
}
