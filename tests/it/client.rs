//! The client against our own registry: the main job, credentials, and what goes wrong on the way.

use parbuckle::{
    Client, ClientOptions, Code, Compression, CompressionOptions, Context, Error, Format, Image, ImageBuilder,
    Keychain, Layer, LayerWriter, Options, Reference, Result, Server, ServerOptions, SinkHandle,
};
use std::time::{Duration, Instant};

struct Site {
    server: Server,
    client: Client,
    ctx: Context,
}

impl Site {
    fn new(options: &ServerOptions, with: impl FnOnce(ClientOptions, &str) -> ClientOptions) -> Site {
        let server = Server::start(options).unwrap();
        let host = host(&server);
        let quick = ClientOptions::new().keychain(&Keychain::anonymous()).retry(5, Duration::from_millis(5)).timeouts(
            Duration::from_secs(2),
            Duration::from_millis(500),
            Duration::from_millis(500),
        );
        let client = Client::new(&with(quick, &host)).unwrap();
        Site { server, client, ctx: Context::with_timeout(Duration::from_secs(60)) }
    }
    fn plain() -> Site {
        Site::new(&ServerOptions::new(), |c, _| c)
    }
    fn failing(faults: &[(&str, &str, u32, &str)]) -> Site {
        let mut options = ServerOptions::new();
        for (method, path, nth, fault) in faults {
            options.add_fault(method, path, *nth, fault).unwrap();
        }
        Site::new(&options, |c, _| c)
    }
    fn name(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/{rest}", host(&self.server))).unwrap()
    }
    fn sink(&self, rest: &str) -> Options {
        Options::new().sink(&SinkHandle::repository(&self.client, &self.name(rest)))
    }
    fn push(&self, rest: &str, image: &Image) -> Result<()> {
        self.client.push(&self.name(rest), image, &Options::new(), &self.ctx).wait()
    }
    fn pull(&self, rest: &str) -> Result<Image> {
        self.client.pull(&self.name(rest), &Options::new(), &self.ctx).wait()
    }
    /// An image of one layer with so many bytes, in memory and a spool.
    fn image(&self, size: usize) -> Image {
        let layer = Layer::from_bytes(tar_of(size).into(), &Options::new(), &self.ctx).wait().unwrap();
        let mut builder = ImageBuilder::from_scratch();
        builder.add_layer(&layer).set_env("A", Some("1")).unwrap();
        builder.build(&Options::new(), &self.ctx).wait().unwrap()
    }
    fn read(&self, layer: &Layer) -> Result<Vec<u8>> {
        let mut reader = layer.open_uncompressed(&self.ctx).wait()?;
        let (mut all, mut buf) = (Vec::new(), vec![0; 100_000]);
        loop {
            match reader.read(&mut buf, &self.ctx)? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buf[..n]),
            }
        }
    }
    fn requests(&self) -> Vec<serde_json::Value> {
        self.server.requests().iter().map(|r| serde_json::from_str(r).unwrap()).collect()
    }
    fn count(&self, method: &str, part: &str) -> usize {
        let fits = |r: &&serde_json::Value| r["method"] == method && r["path"].as_str().unwrap().contains(part);
        self.requests().iter().filter(fits).count()
    }
    fn fired(&self) -> usize {
        self.requests().iter().filter(|r| r.get("fault").is_some()).count()
    }
}

fn host(server: &Server) -> String {
    server.url().split_once("://").unwrap().1.to_owned()
}

/// A tar with one file of bytes that compress to about half.
fn tar_of(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let byte = |i: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if i.is_multiple_of(2) { (state >> 56) as u8 } else { 7 }
    };
    let data: Vec<u8> = (0..size).map(byte).collect();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "file", &data[..]).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn the_main_job() {
    let site = Site::plain();
    site.push("base:1", &site.image(3_000_000)).unwrap();
    let base = site.pull("base:1").unwrap();
    let layer = Layer::from_bytes(tar_of(1_000_000).into(), &site.sink("app"), &site.ctx).wait().unwrap();
    let mut builder = ImageBuilder::new(&base);
    builder.add_layer(&layer).set_env("A", Some("2")).unwrap().set_user("nobody").set_label("l", Some("<&>")).unwrap();
    let made = builder.build(&Options::new(), &site.ctx).wait().unwrap();
    site.push("app:1", &made).unwrap();

    let back = site.pull("app:1").unwrap();
    assert_eq!(back.digest(), made.digest());
    back.validate(&Options::new(), &site.ctx).wait().unwrap();
    let config = back.config(&site.ctx).wait().unwrap();
    assert_eq!((config.env(), config.user()), (&["A=2".to_owned()][..], Some("nobody")));
    assert_eq!(site.read(&back.layers()[1]).unwrap(), tar_of(1_000_000));
    // The base's layer was mounted, the new one was there already, and the tag came last.
    let uploads = site.requests().into_iter().filter(|r| r["method"] == "PATCH" || r["method"] == "PUT");
    let to_app: Vec<_> = uploads.filter(|r| r["path"].as_str().unwrap().starts_with("/v2/app/")).collect();
    assert_eq!(to_app.iter().filter(|r| r["method"] == "PATCH").count(), 1, "{to_app:#?}");
    assert_eq!(to_app.len(), 4, "the layer (PATCH, PUT), the config, the manifest: {to_app:#?}");
    assert!(to_app.last().unwrap()["path"].as_str().unwrap().ends_with("/manifests/1"));
    // The same again has nothing to say but the manifest.
    let before = site.requests().len();
    site.push("app:2", &made).unwrap();
    assert_eq!(site.requests().len(), before + 1);
}

#[test]
fn a_layer_is_the_same_by_every_way() {
    let site = Site::plain();
    let tar = tar_of(5_000_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &tar).unwrap();
    let spooled = Layer::from_bytes(tar.clone().into(), &Options::new(), &site.ctx).wait().unwrap();
    let from_file = Layer::from_file(file.path(), &site.sink("a"), &site.ctx).wait().unwrap();
    let mut writer = LayerWriter::new(&site.sink("b"), &site.ctx).wait().unwrap();
    for piece in tar.chunks(77_777) {
        writer.write(piece, &site.ctx).unwrap();
    }
    let written = writer.finish(&site.ctx).wait().unwrap();
    for layer in [&from_file, &written] {
        assert_eq!(layer.descriptor().digest, spooled.descriptor().digest);
        assert_eq!(site.read(layer).unwrap(), tar);
    }
    assert_eq!(writer.finish(&site.ctx).wait().unwrap_err().code(), Code::InvalidState);
    // What is compressed already stays as it is, unless another compression is asked for.
    let mut reader = spooled.open(&site.ctx).wait().unwrap();
    let mut gz = Vec::new();
    loop {
        let chunk = reader.next(&site.ctx).wait().unwrap();
        if chunk.is_empty() {
            break;
        }
        gz.extend_from_slice(&chunk);
    }
    let again = Layer::from_bytes(gz.clone().into(), &Options::new(), &site.ctx).wait().unwrap();
    assert_eq!(again.descriptor(), spooled.descriptor());
    assert_eq!(again.diff_id(&site.ctx).wait().unwrap(), spooled.diff_id(&site.ctx).wait().unwrap());
    let zstd = Options::new().compression(CompressionOptions { kind: Some(Compression::Zstd), level: None });
    let recompressed = Layer::from_bytes(gz.into(), &zstd, &site.ctx).wait().unwrap();
    assert!(recompressed.descriptor().media_type.as_str().ends_with("+zstd"));
    assert_eq!(site.read(&recompressed).unwrap(), tar);
}

#[test]
fn what_breaks_on_the_way_down_is_taken_up_again() {
    for fault in ["reset@50%", "stall"] {
        // The very first request, before it is known which scheme is spoken.
        let site = Site::failing(&[("*", "/v2/", 1, fault), ("GET", "/v2/a/manifests/1", 1, fault)]);
        site.push("a:1", &site.image(10)).unwrap_or_else(|e| panic!("{fault}: {e:?}"));
        site.pull("a:1").unwrap_or_else(|e| panic!("{fault}: {e:?}"));
        assert_eq!(site.fired(), 2, "{fault}");
    }
    for fault in ["reset@50%", "truncate", "503", "429 retry-after=1", "stall"] {
        let site = Site::failing(&[("GET", "/v2/a/blobs/*", 1, fault)]);
        let image = site.image(4_000_000);
        site.push("a:1", &image).unwrap();
        let back = site.pull("a:1").unwrap();
        assert_eq!(site.read(&back.layers()[0]).unwrap(), tar_of(4_000_000), "{fault}");
        assert_eq!(site.fired(), 1, "{fault}");
        if fault == "reset@50%" {
            let resumed = site.requests().iter().filter(|r| r["status"] == 206).count();
            assert_eq!(resumed, 1, "the rest was asked for by range");
        }
    }
}

#[test]
fn other_bytes_than_named_are_never_given_on_as_right() {
    let site =
        Site::failing(&[("GET", "/v2/a/blobs/*", 0, "wrong-digest"), ("GET", "/v2/a/manifests/2", 0, "wrong-digest")]);
    let image = site.image(100_000);
    site.push("a:1", &image).unwrap();
    let back = site.pull("a:1").unwrap();
    let e = site.read(&back.layers()[0]).unwrap_err();
    assert_eq!(e.code(), Code::DigestMismatch);
    assert!(e.to_string().contains(back.layers()[0].descriptor().digest.as_str()), "{e}");
    assert_eq!(back.config(&site.ctx).wait().unwrap_err().code(), Code::DigestMismatch);
    let mut reader = back.layers()[0].open(&site.ctx).wait().unwrap();
    let mut buf = vec![0; 1 << 20];
    let ends = (0..100).map(|_| reader.read(&mut buf, &site.ctx)).skip_while(|read| read.is_ok());
    let ends: Vec<_> = ends.take(3).map(|read| read.map_err(|e| e.code())).collect();
    assert_eq!(ends, [Err(Code::DigestMismatch); 3], "whoever reads on finds no end behind the failure");
    site.push("a:2", &image).unwrap();
    assert_eq!(site.pull("a:2").unwrap_err().code(), Code::DigestMismatch);
    let pinned = format!("a@{}", image.digest());
    assert!(site.pull(&pinned).is_ok());
    assert!(site.fired() >= 3);
}

#[test]
fn what_breaks_on_the_way_up_is_sent_again() {
    for (method, fault) in [
        ("PUT", "reset@50%"),
        ("PUT", "500"),
        ("PUT", "drop-reply"),
        ("POST", "503"),
        ("POST", "429 retry-after=1"),
        ("PUT", "stall"),
    ] {
        let site = Site::failing(&[(method, "/v2/a/blobs/uploads/*", 1, fault)]);
        let image = site.image(2_000_000);
        site.push("a:1", &image).unwrap_or_else(|e| panic!("{method} {fault}: {e:?}"));
        assert_eq!(site.fired(), 1, "{method} {fault}");
        site.pull("a:1").unwrap().validate(&Options::new(), &site.ctx).wait().unwrap();
    }
    for fault in ["500", "drop-reply", "reset@50%"] {
        let site = Site::failing(&[("PUT", "/v2/a/manifests/1", 1, fault)]);
        site.push("a:1", &site.image(1000)).unwrap_or_else(|e| panic!("{fault}: {e:?}"));
        assert_eq!(site.fired(), 1);
    }
}

#[test]
fn a_layer_that_is_being_made_survives_a_broken_upload() {
    for fault in ["reset@50%", "500", "stall"] {
        let faults = [("PATCH", "/v2/a/blobs/uploads/*", 1, fault)];
        let tar = tar_of(6_000_000);
        let site = Site::failing(&faults);
        let layer = Layer::from_bytes(tar.clone().into(), &site.sink("a"), &site.ctx).wait();
        assert_eq!(site.read(&layer.unwrap_or_else(|e| panic!("{fault}: {e:?}"))).unwrap(), tar, "{fault}");
        assert_eq!(site.fired(), 1, "{fault}");

        let site = Site::failing(&faults);
        let mut writer = LayerWriter::new(&site.sink("a"), &site.ctx).wait().unwrap();
        tar.chunks(500_000)
            .for_each(|piece| writer.write(piece, &site.ctx).unwrap_or_else(|e| panic!("{fault}: {e:?}")));
        let layer = writer.finish(&site.ctx).wait().unwrap_or_else(|e| panic!("{fault}: {e:?}"));
        assert_eq!(site.read(&layer).unwrap(), tar, "{fault}");
        assert_eq!(site.fired(), 1, "{fault}");
    }
}

#[test]
fn what_stays_broken_is_an_error_of_the_right_kind() {
    let code = |fault: &str| {
        let site = Site::failing(&[("GET", "/v2/a/manifests/*", 0, fault)]);
        site.push("a:1", &site.image(1000)).unwrap();
        let e = site.pull("a:1").unwrap_err();
        assert!(site.fired() >= 1);
        (e.code(), e.get_http_status(), site.fired())
    };
    let site = Site::failing(&[("POST", "/v2/a/blobs/*", 0, "503")]);
    assert_eq!(site.push("a:1", &site.image(10)).unwrap_err().code(), Code::Unavailable);
    assert!(site.fired() <= 10, "five tries for each of two blobs: {}", site.fired());
    assert_eq!(code("500"), (Code::Unavailable, Some(500), 5));
    assert_eq!(code("429"), (Code::RateLimited, Some(429), 5));
    assert_eq!(code("status=404"), (Code::NotFound, Some(404), 1));
    assert_eq!(code("status=403"), (Code::Denied, Some(403), 1));
    assert_eq!(code("429 retry-after=3600"), (Code::RateLimited, Some(429), 1));
    assert_eq!(code("stall").0, Code::TimedOut);
}

#[test]
fn an_abandoned_writer_leaves_no_session() {
    let site = Site::plain();
    let mut writer = LayerWriter::new(&site.sink("a"), &site.ctx).wait().unwrap();
    writer.write(&tar_of(2_000_000), &site.ctx).unwrap();
    drop(writer);
    let until = Instant::now() + Duration::from_secs(10);
    while site.count("DELETE", "/blobs/uploads/") == 0 {
        assert!(Instant::now() < until, "nobody gave the session up: {:#?}", site.requests());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn users() -> ServerOptions {
    let mut options = ServerOptions::new();
    options.add_user("u", "p");
    options
}

#[test]
fn credentials_by_basic_and_by_token() {
    let mut tokens = users();
    tokens.token_auth(Duration::from_secs(300));
    for options in [users(), tokens] {
        let site = Site::new(&options, |c, host| c.keychain(&Keychain::basic(host, "u", "p")));
        let image = site.image(1000);
        site.push("a:1", &image).unwrap();
        assert_eq!(site.pull("a:1").unwrap().digest(), image.digest());

        let with = |keychain: Keychain| {
            let client = Client::new(&ClientOptions::new().keychain(&keychain)).unwrap();
            client.pull(&site.name("a:1"), &Options::new(), &site.ctx).wait().unwrap_err()
        };
        for e in [with(Keychain::anonymous()), with(Keychain::basic(&host(&site.server), "u", "wrong"))] {
            assert_eq!((e.code(), e.get_http_status()), (Code::Unauthenticated, Some(401)), "{e:?}");
            assert!(e.get_subject().unwrap().contains("127.0.0.1"), "{e:?}");
        }
        let log = site.server.requests().join("\n");
        assert!(!log.contains("Basic") && !log.contains("dTpw"), "no credentials in the log");
    }
}

#[test]
fn a_token_that_runs_out_under_way_is_renewed() {
    let mut options = users();
    options.token_auth(Duration::from_secs(1));
    options.add_fault("PUT", "/v2/a/blobs/uploads/*", 1, "delay=1500").unwrap();
    options.add_fault("PUT", "/v2/a/manifests/*", 1, "401 expired").unwrap();
    let site = Site::new(&options, |c, host| {
        c.keychain(&Keychain::basic(host, "u", "p")).timeouts(
            Duration::from_secs(2),
            Duration::from_secs(5),
            Duration::from_secs(5),
        )
    });
    site.push("a:1", &site.image(600_000)).unwrap();
    assert_eq!(site.fired(), 2);
    assert!(site.count("GET", "/token") >= 2);
    site.pull("a:1").unwrap().validate(&Options::new(), &site.ctx).wait().unwrap();
}

#[test]
fn tls_with_an_authority_of_its_own() {
    let mut options = ServerOptions::new();
    options.tls_domain("registry.test");
    let server = Server::start(&options).unwrap();
    let name = Reference::parse(&format!("{}/a:1", host(&server).replace("registry.test", "127.0.0.1"))).unwrap();
    let ctx = Context::with_timeout(Duration::from_secs(20));
    let trusting = ClientOptions::new().ca_pem(server.ca_pem().unwrap().as_bytes());
    let e = Client::new(&trusting).unwrap().pull(&name, &Options::new(), &ctx).wait().unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "{e:?}"); // http first, then https: it answered
    let e = Client::new(&ClientOptions::new()).unwrap().pull(&name, &Options::new(), &ctx).wait().unwrap_err();
    assert_eq!(e.code(), Code::Tls, "{e:?}");
}

#[test]
fn deadlines_cancellation_and_closing() {
    let site = Site::failing(&[("GET", "/v2/a/*", 0, "stall")]);
    let patient = Client::new(&ClientOptions::new()).unwrap();
    let name = site.name("a:1");
    let started = Instant::now();
    let short = Context::with_timeout(Duration::from_millis(100));
    let e = patient.pull(&name, &Options::new(), &short).wait().unwrap_err();
    assert_eq!(e.code(), Code::TimedOut);
    let task = patient.pull(&name, &Options::new(), &Context::new());
    std::thread::sleep(Duration::from_millis(50));
    task.cancel();
    assert_eq!(task.wait().unwrap_err().code(), Code::Cancelled);
    let task = patient.pull(&name, &Options::new(), &Context::new());
    patient.close(&Context::with_timeout(Duration::from_secs(5))).unwrap();
    assert_eq!(task.wait().unwrap_err().code(), Code::InvalidState);
    let e = patient.pull(&name, &Options::new(), &Context::new()).wait().unwrap_err();
    assert_eq!(e.code(), Code::InvalidState);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn nobody_there_fails_at_once() {
    let ctx = Context::with_timeout(Duration::from_secs(20));
    let client = Client::new(&ClientOptions::new()).unwrap();
    let pull = |name: &str| -> Error {
        client.pull(&Reference::parse(name).unwrap(), &Options::new(), &ctx).wait().unwrap_err()
    };
    let refused = pull("127.0.0.1:1/a");
    assert_eq!((refused.code(), refused.get_retry_after()), (Code::Unavailable, None), "{refused:?}");
    assert!(refused.message().contains("refused"), "{refused:?}");
    let unknown = pull("nobody.invalid/a");
    assert_eq!(unknown.code(), Code::Unavailable, "{unknown:?}");
    assert!(unknown.get_subject().unwrap().contains("nobody.invalid"));
}

#[test]
fn options_that_a_call_does_not_read_are_refused() {
    let site = Site::plain();
    let e = site.client.pull(&site.name("a"), &Options::new().jobs(2), &site.ctx).wait().unwrap_err();
    assert_eq!(e.code(), Code::InvalidArgument);
    assert!(e.message().contains("'jobs'"), "{e:?}");
    let e =
        ImageBuilder::new(&site.image(10)).build(&Options::new().format(Format::Oci), &site.ctx).wait().unwrap_err();
    assert_eq!(e.code(), Code::InvalidArgument);
}

#[test]
fn progress_ends_at_the_whole() {
    let site = Site::plain();
    let image = site.image(3_000_000);
    let ctx = Context::new();
    let kinds = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = kinds.clone();
    ctx.on_event(move |e| seen.lock().unwrap().push(e.kind));
    site.client.push(&site.name("a:1"), &image, &Options::new(), &ctx).wait().unwrap();
    let (done, total) = ctx.progress();
    assert_eq!(done, total);
    assert_eq!(total, image.layers()[0].descriptor().size + image.manifest().config().size);
    assert_eq!(kinds.lock().unwrap().iter().filter(|k| **k == "upload").count(), 2);
}

#[test]
fn a_write_that_was_cancelled_half_way_is_not_taken_for_whole() {
    let site = Site::failing(&[("PATCH", "/v2/a/blobs/uploads/*", 0, "stall")]);
    let patient = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
    let sink = Options::new().sink(&SinkHandle::repository(&patient, &site.name("a")));
    let mut writer = LayerWriter::new(&sink, &site.ctx).wait().unwrap();
    let ended = Context::new();
    ended.cancel();
    assert_eq!(writer.write(b"x", &ended).unwrap_err().code(), Code::Cancelled);
    // The server takes nothing in, so at some piece the pipeline is full.
    let tar = tar_of(64 << 20);
    let e = writer.write(&tar, &Context::with_timeout(Duration::from_millis(300))).unwrap_err();
    assert_eq!(e.code(), Code::TimedOut);
    assert_eq!(writer.write(b"more", &site.ctx).unwrap_err().code(), Code::InvalidState);
    assert_eq!(writer.finish(&site.ctx).wait().unwrap_err().code(), Code::InvalidState);
}

#[test]
fn a_replaced_config_keeps_the_layers_that_are_added() {
    let site = Site::plain();
    let (base, other) = (site.image(1000), site.image(2000));
    let config = base.config(&site.ctx).wait().unwrap();
    let layer = other.layers()[0].clone();
    let mut builder = ImageBuilder::new(&base);
    builder.add_layer(&layer).set_user("before").set_config(&config).set_label("after", Some("1")).unwrap();
    let made = builder.build(&Options::new(), &site.ctx).wait().unwrap();
    let made_config = made.config(&site.ctx).wait().unwrap();
    assert_eq!((made.layers().len(), made_config.diff_ids().len(), made_config.history().len()), (2, 2, 2));
    assert_eq!((made_config.user(), made_config.labels().len()), (None, 1));
    made.validate(&Options::new(), &site.ctx).wait().unwrap();
}

#[test]
fn a_layer_from_a_pipe_is_read_once_and_survives_a_broken_upload() {
    let site = Site::failing(&[("PUT", "/v2/a/blobs/uploads/*", 1, "503")]);
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let tar = tar_of(2_000_000);
    let (writer, bytes) = (fifo.clone(), tar.clone());
    let writing = std::thread::spawn(move || std::fs::write(writer, bytes));
    let layer = Layer::from_file(&fifo, &site.sink("a"), &site.ctx).wait().unwrap();
    writing.join().unwrap().unwrap();
    assert_eq!(site.read(&layer).unwrap(), tar);
    assert_eq!(site.fired(), 1);
}

#[test]
fn a_layer_that_is_too_large_for_one_request_goes_in_pieces() {
    let site = Site::failing(&[
        ("PATCH", "/v2/a/blobs/uploads/*", 1, "status=413"),
        ("PUT", "/v2/a/blobs/uploads/*", 1, "status=413"),
    ]);
    let tar = tar_of(20_000_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &tar).unwrap();
    let layer = Layer::from_file(file.path(), &site.sink("a"), &site.ctx).wait().unwrap();
    assert_eq!(site.read(&layer).unwrap(), tar);
    assert!(site.count("PATCH", "/blobs/uploads/") >= 2);
}

#[test]
fn many_blobs_with_one_expired_token_renew_it_and_none_is_denied() {
    let mut options = users();
    options.token_auth(Duration::from_secs(300));
    for nth in 1..=6 {
        options.add_fault("POST", "/v2/a/blobs/uploads/", nth, "401 expired").unwrap();
    }
    let site = Site::new(&options, |c, host| c.keychain(&Keychain::basic(host, "u", "p")));
    let mut builder = ImageBuilder::from_scratch();
    for size in 0..12 {
        builder.add_layer(&Layer::from_bytes(tar_of(1000 + size).into(), &Options::new(), &site.ctx).wait().unwrap());
    }
    let image = builder.build(&Options::new(), &site.ctx).wait().unwrap();
    site.push("a:1", &image).unwrap();
    assert_eq!(site.fired(), 6);
}
