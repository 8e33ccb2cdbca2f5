//! The image for a platform is the same one wherever the index lies, and whatever call asks for it.

use parbuckle::{
    Archive, ArchiveFormat, ArchiveItem, Child, Client, ClientOptions, Code, Context, Digest, Format, Image,
    ImageBuilder, IndexBuilder, Keychain, Layout, MemoryStore, Options, Platform, Reference, Result, Server,
    ServerOptions,
};

fn image(platform: &str, ctx: &Context) -> Image {
    let mut builder = ImageBuilder::from_scratch();
    builder.set_platform(&platform.parse().unwrap()).set_env("P", Some(platform)).unwrap();
    builder.build(&Options::new(), ctx).wait().unwrap()
}

fn index(children: &[Child], ctx: &Context) -> Child {
    let mut builder = IndexBuilder::from_scratch();
    for child in children {
        match child {
            Child::Image(image) => builder.add_image(image),
            Child::Index(index) => builder.add_index(index),
        };
    }
    Child::Index(builder.build(&Options::new(), ctx).wait().unwrap())
}

#[test]
fn every_place_and_call_finds_the_same_image() {
    let ctx = Context::with_timeout(std::time::Duration::from_secs(60));
    let platforms = ["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"];
    let [amd, v6, v7, arm] = platforms.map(|p| Child::Image(image(p, &ctx)));
    // What is wanted, and which of the images it is.
    let wanted = [
        ("linux/amd64", Some(&amd)),
        ("linux/arm64", Some(&arm)),
        ("linux/arm/v7", Some(&v7)),
        ("linux/arm/v6", Some(&v6)),
        ("linux/amd64/v3", Some(&amd)),
        ("windows/amd64", None),
    ];
    // The very variant below a lower one at the top; and nothing but an index.
    let roots = [
        index(&[arm.clone(), v6.clone(), index(&[amd.clone(), v7.clone()], &ctx)], &ctx),
        index(&[index(&[index(&[v6.clone(), v7.clone()], &ctx), amd.clone(), arm.clone()], &ctx)], &ctx),
    ];
    let server = Server::start(&ServerOptions::new()).unwrap();
    let client = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (n, root) in roots.iter().enumerate() {
        let Child::Index(index) = root else { unreachable!() };
        let reference = format!("{}/nest:{n}", server.url().rsplit('/').next().unwrap());
        let reference = Reference::parse(&reference).unwrap();
        client.push_index(&reference, index, &Options::new(), &ctx).wait().unwrap();
        let layout = Layout::create(&dir.path().join(n.to_string()), &Options::new(), &ctx).wait().unwrap();
        layout.add_index(index, Some("x"), &Options::new(), &ctx).wait().unwrap();
        let path = dir.path().join(format!("{n}.tar"));
        let oci = Options::new().archive_format(ArchiveFormat::Oci);
        // Beside another image, so that without a name there are two.
        let items = [ArchiveItem::new(root, Some("x")), ArchiveItem::new(&v6, Some("y"))];
        Archive::write(&path, &items, &oci, &ctx).wait().unwrap();
        let archive = Archive::open(&path, &Options::new(), &ctx).wait().unwrap();
        let memory = MemoryStore::new(1 << 20).unwrap();
        memory.add_index(Some("x"), index, &Options::new(), &ctx).wait().unwrap();
        for (platform, expected) in &wanted {
            let options = Options::new().platform(platform.parse::<Platform>().unwrap());
            let of = |found: Result<Image>| found.map(|image| image.digest().clone());
            let found: [(&str, Result<Digest>); 8] = [
                ("Index::image", of(index.image(platform, &Options::new(), &ctx).wait())),
                ("resolve", client.resolve(&reference, &options, &ctx).wait().map(|d| d.digest)),
                ("pull", of(client.pull(&reference, &options, &ctx).wait())),
                ("a layout, by name", of(layout.image(Some("x"), &options, &ctx).wait())),
                ("a layout, by platform", of(layout.image(Some(platform), &Options::new(), &ctx).wait())),
                ("an archive", of(archive.image(Some("x"), &options, &ctx).wait())),
                ("all of an archive", of(archive.image(None, &options, &ctx).wait())),
                ("memory", of(memory.image("x", &options, &ctx).wait())),
            ];
            for (place, found) in found {
                match (expected, found) {
                    (Some(expected), Ok(digest)) => {
                        assert_eq!(digest, expected.descriptor().digest, "{platform} by {place}, index {n}");
                    }
                    (None, Err(e)) => {
                        assert_eq!(e.code(), Code::NotFound, "{place}: {e}");
                        assert!(platforms.iter().all(|p| e.message().contains(p)), "{place}: {e}");
                    }
                    (_, found) => panic!("{platform} by {place}, index {n}: {found:?}"),
                }
            }
        }
        let unsaid = memory.image("x", &Options::new(), &ctx).wait().unwrap_err();
        assert_eq!(unsaid.code(), Code::InvalidArgument);
    }
}

/// An archive of docker has images only, and of several that run the best is meant there, too.
#[test]
fn the_best_image_of_an_archive_is_meant() {
    let ctx = Context::with_timeout(std::time::Duration::from_secs(60));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let images = ["linux/amd64", "linux/amd64/v3", "linux/arm/v6"].map(|p| image(p, &ctx));
    let items = images.each_ref().map(|image| ArchiveItem::image(image, None));
    Archive::write(&path, &items, &Options::new(), &ctx).wait().unwrap();
    let archive = Archive::open(&path, &Options::new(), &ctx).wait().unwrap();
    let of = |platform: &str| {
        let options = Options::new().platform(platform.parse().unwrap()).format(Format::Oci);
        archive.image(None, &options, &ctx).wait()?.config(&ctx).wait()
    };
    for (wanted, expected) in
        [("linux/amd64", "linux/amd64"), ("linux/amd64/v3", "linux/amd64/v3"), ("linux/amd64/v2", "linux/amd64")]
    {
        assert_eq!(of(wanted).unwrap().platform().unwrap().to_string(), expected, "{wanted}");
    }
    let missing = of("windows").unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert!(missing.message().contains("linux/arm/v6"), "{missing}");
}
