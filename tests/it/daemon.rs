//! Daemons that misbehave: a small one of our own, on a socket, that answers what each test has it answer.

use parbuckle::{
    Code, Context, Daemon, Error, Image, ImageBuilder, Layer, Options, Reference, Result, Server, ServerOptions,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const OK_PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";

/// A request: its first line, its headers, and what comes after them.
pub struct Ask {
    pub line: String,
    head: String,
    stream: BufReader<UnixStream>,
}

impl Ask {
    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(text.as_ref());
    }
    pub fn json(&mut self, status: u16, body: &str) {
        self.say(format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }
    /// The body, chunked or of a known length; an error where it breaks off.
    fn body(&mut self) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        if let Some(len) = self.header("content-length") {
            all.resize(len.parse().unwrap(), 0);
            self.stream.read_exact(&mut all)?;
            return Ok(all);
        }
        assert_eq!(self.header("transfer-encoding").as_deref(), Some("chunked"));
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
            let at = all.len();
            all.resize(at + size + 2, 0);
            self.stream.read_exact(&mut all[at..])?;
            all.truncate(at + size);
            if size == 0 {
                return Ok(all);
            }
        }
    }
    fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|l| l.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned())
    }
    /// Waits until the other side is gone.
    fn until_closed(&mut self) {
        let mut buf = [0; 65536];
        while matches!(self.stream.read(&mut buf), Ok(n) if n > 0) {}
    }
}

pub struct Fake {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(answer: impl Fn(&mut Ask) + Send + Sync + 'static) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
                    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
                    log.lock().unwrap().push(line.clone());
                    answer(&mut Ask { line, head, stream });
                });
            }
        });
        Fake { folder, asked }
    }
    /// One that says its version, and answers the rest so.
    pub fn good(answer: impl Fn(&mut Ask) + Send + Sync + 'static) -> Fake {
        Fake::start(move |ask| match ask.line.as_str() {
            "GET /_ping" => ask.say(OK_PING),
            _ => answer(ask),
        })
    }
    /// One that answers one path so, and knows no image otherwise.
    fn at(path: &'static str, answer: impl Fn(&mut Ask) + Send + Sync + 'static) -> Fake {
        Fake::good(move |ask| match ask.line.contains(path) {
            true => answer(ask),
            false => ask.json(404, r#"{"message":"no such image"}"#),
        })
    }
    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }
    fn connect(&self) -> Result<Daemon> {
        Daemon::connect(Some(&self.host()), &Options::new(), &soon()).wait()
    }
    pub fn daemon(&self) -> Daemon {
        self.connect().unwrap()
    }
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn soon() -> Context {
    Context::with_timeout(Duration::from_secs(30))
}
fn none() -> Options {
    Options::new()
}
fn facts(e: &Error) -> (Code, String) {
    (e.code(), e.get_subject().unwrap_or_default().to_owned())
}
fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// An image of one layer with so many bytes.
fn image(size: usize) -> Image {
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    });
    let data: Vec<u8> = noise.take(size).collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "file", &data[..]).unwrap();
    let layer = Layer::from_bytes(tar.into_inner().unwrap().into(), &none(), &soon()).wait().unwrap();
    let mut builder = ImageBuilder::from_scratch();
    builder.add_layer(&layer);
    builder.build(&none(), &soon()).wait().unwrap()
}

fn id(image: &Image) -> String {
    image.manifest().config().digest.to_string()
}

#[test]
fn versions_are_negotiated() {
    let ping = |version: &'static str| {
        Fake::start(move |ask| match ask.line.as_str() {
            "GET /_ping" => ask.say(OK_PING.replace("1.41", version)),
            _ => ask.json(200, "[]"),
        })
    };
    for (theirs, spoken) in [("1.41", "1.41"), ("1.24", "1.24"), ("1.99", "1.52")] {
        let fake = ping(theirs);
        let daemon = fake.daemon();
        assert_eq!(daemon.api_version(), spoken);
        assert_eq!(daemon.list(None, &none(), &soon()).wait().unwrap(), []);
        assert_eq!(fake.asked(), ["GET /_ping".to_owned(), format!("GET /v{spoken}/images/json")]);
    }
    for (theirs, code) in [("1.23", Code::Unsupported), ("banana", Code::Protocol)] {
        let fake = ping(theirs);
        let e = fake.connect().unwrap_err();
        assert_eq!(facts(&e), (code, fake.host()));
        assert!(e.message().contains(theirs), "{e}");
    }
}

#[test]
fn a_ping_that_says_nothing_is_followed_by_the_version() {
    let telling = |version: &'static str| {
        Fake::start(move |ask| match ask.line.as_str() {
            "GET /_ping" => ask.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
            _ => ask.json(200, version),
        })
    };
    assert_eq!(telling(r#"{"ApiVersion":"1.30","MinAPIVersion":"1.12"}"#).daemon().api_version(), "1.30");
    for other in ["{}", "<html>", "[]"] {
        assert_eq!(telling(other).connect().unwrap_err().code(), Code::Protocol, "{other}");
    }
}

#[test]
fn what_listens_is_no_daemon_or_nobody_does() {
    let connect = |host: &str| Daemon::connect(Some(host), &none(), &soon()).wait().unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", folder.path().join("s").display());
    assert_eq!(facts(&connect(&socket)), (Code::Unavailable, socket.clone()));
    assert_eq!(connect(&socket).get_os_code(), Some(2));
    drop(UnixListener::bind(folder.path().join("s")).unwrap());
    assert_eq!(facts(&connect(&socket)), (Code::Unavailable, socket), "the file of a daemon that is gone");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = format!("tcp://127.0.0.1:{port}");
    assert_eq!(facts(&connect(&tcp)), (Code::Unavailable, tcp));
    assert_eq!(connect(&format!("unix:///{}", "x".repeat(200))).code(), Code::InvalidArgument);
    assert_eq!(connect("ssh://somewhere").code(), Code::Unsupported);
    let refused = Fake::start(|ask| ask.json(404, "nothing here"));
    assert_eq!(refused.connect().unwrap_err().code(), Code::NotFound);
    let rubbish = Fake::start(|ask| ask.say("220 mail.example ESMTP\r\n"));
    assert_eq!(rubbish.connect().unwrap_err().code(), Code::Protocol);
    let silent = Fake::start(|_| {});
    assert_eq!(silent.connect().unwrap_err().code(), Code::Unavailable);
}

#[test]
fn a_daemon_behind_tcp() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            assert!(head.to_lowercase().contains(&format!("host: {at}\r\n")), "{head}");
            assert!(head.starts_with("GET /base/"), "{head}");
            stream.get_mut().write_all(OK_PING.as_bytes()).unwrap();
        }
    });
    let daemon = Daemon::connect(Some(&format!("tcp://{at}/base/")), &none(), &soon()).wait().unwrap();
    assert_eq!(daemon.host(), format!("tcp://{at}/base"));
    daemon.ping(&none(), &soon()).wait().unwrap();
}

#[test]
fn failures_have_their_codes_and_the_daemons_words() {
    let cases = [
        (404, r#"{"message":"No such image: app:1"}"#, Code::NotFound, "No such image: app:1"),
        (404, r#"{"cause":"c","message":"image not known","response":404}"#, Code::NotFound, "image not known"),
        (409, r#"{"message":"in use"}"#, Code::InvalidState, "in use"),
        (500, r#"{"message":"disk\u001b[31m full"}"#, Code::Unavailable, "disk\u{fffd}[31m full"),
        (400, "client version 1.10 is too old", Code::Unsupported, "too old"),
        (400, r#"{"message":"bad parameter"}"#, Code::InvalidArgument, "bad parameter"),
        (403, "", Code::Denied, "403"),
        (302, "", Code::Protocol, "302"),
    ];
    for (status, body, code, words) in cases {
        let fake = Fake::good(move |ask| ask.json(status, body));
        let daemon = fake.daemon();
        let check = |e: Error| {
            assert_eq!(facts(&e), (code, "app:1".into()), "{e}");
            assert_eq!(e.get_http_status(), Some(status));
            assert!(e.message().contains(words), "{e}");
        };
        check(daemon.inspect("app:1", &none(), &soon()).wait().unwrap_err());
        check(daemon.history("app:1", &none(), &soon()).wait().unwrap_err());
        check(daemon.image("app:1", &none(), &soon()).wait().unwrap_err());
        check(daemon.remove("app:1", &none(), &soon()).wait().unwrap_err());
        check(daemon.tag("app:1", &reference("b"), &none(), &soon()).wait().unwrap_err());
    }
}

#[test]
fn lists_in_the_words_of_both_daemons() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let said = format!(
        r#"[{{"Containers":-1,"Created":-62135596800,"Id":"sha256:{a}","Labels":null,"RepoDigests":null,
           "RepoTags":["app:1","<none>:<none>"],"SharedSize":-1,"Size":5}},
           {{"Id":"{b}","RepoTags":null,"Size":-1,"Names":[]}}]"#
    );
    let told = said.clone();
    let fake = Fake::at("/images/json", move |ask| ask.json(200, &told));
    let list = fake.daemon().list(Some("app:*"), &none(), &soon()).wait().unwrap();
    assert_eq!((list[0].id.hex(), &list[0].tags[..], list[0].size), (a.as_str(), &["app:1".to_owned()][..], 5));
    assert_eq!((list[1].id.hex(), list[1].tags.len(), list[1].size), (b.as_str(), 0, 0));
    assert_eq!(fake.asked()[1], "GET /v1.41/images/json?filters=%7B%22reference%22%3A%5B%22app%3A%2A%22%5D%7D");
    assert_eq!(fake.daemon().list_json(None, &none(), &soon()).wait().unwrap(), said);
    let odd = Fake::at("/images/json", |ask| ask.json(200, r#"[{"Id":"../x"}]"#));
    assert_eq!(odd.daemon().list(None, &none(), &soon()).wait().unwrap_err().code(), Code::Protocol);
}

#[test]
fn names_that_would_lead_elsewhere_are_refused() {
    let fake = Fake::good(|ask| ask.json(200, "{}"));
    let daemon = fake.daemon();
    for bad in ["", "../containers", "a/../../b", "a//b"] {
        assert_eq!(daemon.inspect(bad, &none(), &soon()).wait().unwrap_err().code(), Code::InvalidArgument, "{bad}");
    }
    let _ = daemon.inspect_json("a?b=c#d e", &none(), &soon()).wait().unwrap();
    assert_eq!(fake.asked()[1..], ["GET /v1.41/images/a%3Fb%3Dc%23d%20e/json"]);
}

#[test]
fn endless_answers_end() {
    let endless = |head: &'static str, piece: &'static [u8]| {
        move |ask: &mut Ask| {
            ask.say(head);
            while ask.stream.get_mut().write_all(piece).is_ok() {}
        }
    };
    const CHUNK: &[u8] = b"10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n";
    let json = Fake::at("/json", endless("HTTP/1.1 200 OK\r\n\r\n", &[b' '; 4096]));
    let daemon = json.daemon();
    assert_eq!(daemon.inspect("a", &none(), &soon()).wait().unwrap_err().code(), Code::LimitExceeded);
    assert_eq!(facts(&daemon.list(None, &none(), &soon()).wait().unwrap_err()), (Code::LimitExceeded, json.host()));
    let error = Fake::at("/json", endless("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK));
    assert_eq!(error.daemon().inspect("a", &none(), &soon()).wait().unwrap_err().code(), Code::NotFound);
    let headers = Fake::at("/json", endless("HTTP/1.1 200 OK\r\n", &[b'x'; 4096]));
    assert_eq!(headers.daemon().inspect("a", &none(), &soon()).wait().unwrap_err().code(), Code::Protocol);
    let load = Fake::at("/load", |ask| {
        ask.body().unwrap();
        ask.say("HTTP/1.1 200 OK\r\n\r\n");
        while ask.stream.get_mut().write_all(b"{\"stream\":\"1\"}\n").is_ok() {}
    });
    let e = load.daemon().load(&image(10), None, &none(), &soon()).wait().unwrap_err();
    assert_eq!(facts(&e), (Code::LimitExceeded, load.host()));
}

#[test]
fn a_load_that_failed_is_an_error_whatever_the_status() {
    let load = |status, said: &'static str| {
        let fake = Fake::at("/load", move |ask| {
            ask.body().unwrap();
            ask.json(status, said);
        });
        let result = fake.daemon().load(&image(1000), Some(&reference("app:1")), &none(), &soon()).wait();
        let log = fake.asked();
        assert_eq!(log.last().unwrap(), "POST /v1.41/images/load?quiet=1", "nothing after it, in particular no tag");
        (result, fake.host())
    };
    let failed = r#"{"errorDetail":{"message":"no space left"},"error":"no space left"}"#;
    let (result, host) = load(200, failed);
    let e = result.unwrap_err();
    assert_eq!(facts(&e), (Code::Unavailable, host));
    assert!(e.message().contains("no space left"), "{e}");
    assert_eq!(load(500, r#"{"message":"payload does not match"}"#).0.unwrap_err().code(), Code::Unavailable);
    for nothing in ["", "{}", "done", r#"{"status":"x"}"#] {
        assert_eq!(load(200, nothing).0.unwrap_err().code(), Code::Protocol, "{nothing}");
    }
    assert_eq!(load(200, "{\"stream\":\"Loaded image: app:1\\n\"}\r\n").0.unwrap(), ["Loaded image: app:1"]);
}

#[test]
fn what_the_daemon_has_only_gets_the_name() {
    let one = image(1000);
    let known = format!(r#"{{"Id":"{}"}}"#, id(&one));
    let fake = Fake::good(move |ask| match ask.line.as_str() {
        line if line.ends_with("/json") => ask.json(200, &known),
        line if line.contains("/tag?") => ask.json(201, ""),
        line => panic!("{line}"),
    });
    let said = fake.daemon().load(&one, Some(&reference("app:1")), &none(), &soon()).wait().unwrap();
    assert!(said.is_empty());
    let expected = format!("POST /v1.41/images/{}/tag?repo=docker.io%2Flibrary%2Fapp&tag=1", id(&one));
    assert_eq!(fake.asked()[2..], [expected]);
    let by_digest = reference(&format!("app@{}", one.digest()));
    let e = fake.daemon().load(&one, Some(&by_digest), &none(), &soon()).wait().unwrap_err();
    assert_eq!(e.code(), Code::InvalidArgument);
    // Another image under this name is no reason to leave it out.
    let other = Fake::good(move |ask| match ask.line.as_str() {
        line if line.contains("/load") => {
            ask.body().unwrap();
            ask.json(200, r#"{"stream":"Loaded image: x"}"#);
        }
        _ => ask.json(200, &format!(r#"{{"Id":"sha256:{}"}}"#, "1".repeat(64))),
    });
    assert_eq!(other.daemon().load(&one, None, &none(), &soon()).wait().unwrap(), ["Loaded image: x"]);
}

#[test]
fn an_answer_before_the_end_of_a_load_is_heard() {
    let fake = Fake::at("/load", |ask| {
        ask.stream.read_exact(&mut [0; 5000]).unwrap();
        ask.say("HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 21\r\n\r\n{\"message\":\"no room\"}");
    });
    for _ in 0..10 {
        let e = fake.daemon().load(&image(5_000_000), None, &none(), &soon()).wait().unwrap_err();
        assert!(e.code() == Code::Unavailable && e.message().contains("no room"), "{e}");
    }
}

#[test]
fn a_source_that_fails_is_the_error_and_the_daemon_gets_no_whole_archive() {
    let got = Arc::new(Mutex::new(None));
    let into = got.clone();
    let fake = Fake::at("/load", move |ask| {
        let whole = ask.body().is_ok();
        *into.lock().unwrap() = Some(whole);
        ask.json(200, r#"{"stream":"Loaded image: x"}"#);
    });
    let server = Server::start(&ServerOptions::new()).unwrap();
    let registry = server.url().split_once("://").unwrap().1.to_owned();
    let client = parbuckle::Client::new(&parbuckle::ClientOptions::new().retry(1, Duration::ZERO)).unwrap();
    let at = reference(&format!("{registry}/app:1"));
    client.push(&at, &image(3_000_000), &none(), &soon()).wait().unwrap();
    let pulled = client.pull(&at, &none(), &soon()).wait().unwrap();
    pulled.config(&soon()).wait().unwrap();
    drop(server);
    let e = fake.daemon().load(&pulled, None, &none(), &soon()).wait().unwrap_err();
    assert!(e.get_subject().unwrap().contains(&registry), "{e}");
    let whole = || *got.lock().unwrap();
    let began = Instant::now();
    while fake.asked().iter().any(|l| l.contains("/load")) && whole().is_none() && began.elapsed().as_secs() < 5 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_ne!(whole(), Some(true));
}

/// A daemon that takes what it is given, and what it was given last.
fn taking() -> (Fake, Arc<Mutex<Vec<u8>>>) {
    let got: Arc<Mutex<Vec<u8>>> = Arc::default();
    let into = got.clone();
    let fake = Fake::at("/load", move |ask| {
        *into.lock().unwrap() = ask.body().unwrap();
        ask.json(200, r#"{"stream":"Loaded image: x"}"#);
    });
    (fake, got)
}

/// The manifest.json of a tar, and how many entries it has.
fn manifest_of(tar: &[u8]) -> (serde_json::Value, usize) {
    let (mut manifest, mut count) = (None, 0);
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        count += 1;
        if entry.path().unwrap().as_os_str() == "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            manifest = Some(serde_json::from_str(&text).unwrap());
        }
    }
    (manifest.unwrap(), count)
}

#[test]
fn several_images_go_in_one_archive_under_their_full_names() {
    let (fake, got) = taking();
    let one = image(1000);
    let mut builder = ImageBuilder::new(&one);
    builder.set_env("A", Some("1")).unwrap();
    let two = builder.build(&none(), &soon()).wait().unwrap();
    let names = vec![reference("app:1"), reference("localhost:5000/b")];
    fake.daemon().load_many(&[(one.clone(), names), (two.clone(), Vec::new())], &none(), &soon()).wait().unwrap();
    let (manifest, entries) = manifest_of(&got.lock().unwrap());
    assert_eq!(entries, 4, "two configs, the layer that they share, manifest.json");
    let tags: Vec<_> = manifest.as_array().unwrap().iter().map(|m| m["RepoTags"].clone()).collect();
    assert!(tags.contains(&serde_json::json!(["docker.io/library/app:1", "localhost:5000/b:latest"])), "{tags:?}");
    assert!(tags.contains(&serde_json::Value::Null), "{tags:?}");
    assert_eq!(fake.asked().iter().filter(|l| l.contains("/load")).count(), 1);
}

#[test]
fn of_an_index_the_image_for_the_platform_goes() {
    let (fake, got) = taking();
    let site = crate::support::Site::memory();
    let registry = site.server.url().split_once("://").unwrap().1.to_owned();
    let client = parbuckle::Client::new(&parbuckle::ClientOptions::new()).unwrap();
    let mut entries = Vec::new();
    let mut ids = Vec::new();
    for (n, architecture) in ["amd64", "arm64"].iter().enumerate() {
        let one = image(1000 + n);
        client.push(&reference(&format!("{registry}/app:{architecture}")), &one, &none(), &soon()).wait().unwrap();
        let d = one.descriptor();
        entries.push(serde_json::json!({
            "mediaType": d.media_type.as_str(), "digest": d.digest.as_str(), "size": d.size,
            "platform": {"os": "linux", "architecture": architecture},
        }));
        ids.push(id(&one));
    }
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": crate::support::OCI_INDEX, "manifests": entries});
    let put = site.put_manifest("app", "all", crate::support::OCI_INDEX, index.to_string());
    assert_eq!(crate::support::block_on(put).status(), 201);
    let index = client.pull_index(&reference(&format!("{registry}/app:all")), &none(), &soon()).wait().unwrap();
    let load = |options: &Options| fake.daemon().load_index(&index, Some(&reference("app")), options, &soon()).wait();
    for (options, n) in [(none(), 0), (none().platform("linux/arm64".parse().unwrap()), 1)] {
        load(&options).unwrap();
        assert_eq!(manifest_of(&got.lock().unwrap()).0[0]["Config"], ids[n].as_str());
    }
    let e = load(&none().platform("linux/s390x".parse().unwrap())).unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
}

/// Ends the call after a moment and sees that the daemon is let go of.
fn ends(fake: &Fake, closed: &Arc<Mutex<bool>>, call: impl Fn(&Daemon, &Context) -> Result<()>) {
    let daemon = fake.daemon();
    let began = Instant::now();
    // Time enough to come to where the daemon hangs, on a busy machine too.
    const WHILE: Duration = Duration::from_millis(700);
    let e = call(&daemon, &Context::with_timeout(WHILE)).unwrap_err();
    assert_eq!(e.code(), Code::TimedOut);
    let ctx = Context::new();
    let later = ctx.clone();
    std::thread::spawn(move || {
        std::thread::sleep(WHILE);
        later.cancel();
    });
    assert_eq!(call(&daemon, &ctx).unwrap_err().code(), Code::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(15));
    while !*closed.lock().unwrap() {
        assert!(began.elapsed() < Duration::from_secs(30), "the connection stays open");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_daemon_that_hangs_can_be_left() {
    let closed = Arc::new(Mutex::new(false));
    let hangs = |closed: &Arc<Mutex<bool>>, before: &'static str| {
        *closed.lock().unwrap() = false;
        let closed = closed.clone();
        move |ask: &mut Ask| {
            ask.say(before);
            ask.until_closed();
            *closed.lock().unwrap() = true;
        }
    };
    let id = "a".repeat(64);
    let fake = Fake::at("/json", hangs(&closed, ""));
    ends(&fake, &closed, |d, ctx| d.inspect("a", &none(), ctx).wait().map(drop));
    let fake = Fake::at("/json", hangs(&closed, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"));
    ends(&fake, &closed, |d, ctx| d.inspect("a", &none(), ctx).wait().map(drop));
    let save = hangs(&closed, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    let fake = Fake::good(move |ask| match ask.line.ends_with("/json") {
        true => ask.json(200, &format!(r#"{{"Id":"sha256:{id}"}}"#)),
        false => save(ask),
    });
    ends(&fake, &closed, |d, ctx| d.image("a", &none(), ctx).wait().map(drop));
    // One that takes nothing, and one that takes all and says nothing.
    let big = image(5_000_000);
    let shut = closed.clone();
    *closed.lock().unwrap() = false;
    let fake = Fake::at("/load", move |ask| {
        std::thread::sleep(Duration::from_millis(1000));
        ask.until_closed();
        *shut.lock().unwrap() = true;
    });
    ends(&fake, &closed, |d, ctx| d.load(&big, None, &none(), ctx).wait().map(drop));
    let fake = Fake::at("/load", hangs(&closed, ""));
    ends(&fake, &closed, |d, ctx| d.load(&big, None, &none(), ctx).wait().map(drop));
}

/// What a daemon sends, so framed.
fn saves(id: &str, framed: impl Fn(&mut Ask) + Send + Sync + 'static) -> Fake {
    let known = format!(r#"{{"Id":"{id}"}}"#);
    Fake::good(move |ask| match ask.line.as_str() {
        line if line.ends_with("/json") => ask.json(200, &known),
        line if line.ends_with("/get") => framed(ask),
        line => panic!("{line}"),
    })
}

/// A tar of `docker save` with one layer, and the digest of its config.
pub fn saved() -> (Vec<u8>, String) {
    let digest = |bytes: &[u8]| parbuckle::Digest::of(parbuckle::Algorithm::Sha256, bytes);
    let layer = tar::Builder::new(Vec::new()).into_inner().unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        digest(&layer)
    );
    let name = format!("{}.json", digest(config.as_bytes()).hex());
    let manifest = format!(r#"[{{"Config":"{name}","RepoTags":null,"Layers":["a/layer.tar"]}}]"#);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [(name.as_str(), config.as_bytes()), ("a/layer.tar", &layer), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    (tar.into_inner().unwrap(), digest(config.as_bytes()).to_string())
}

#[test]
fn an_image_is_read_by_its_id_and_is_that_image() {
    let (tar, id) = saved();
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", tar.len());
    let sent = [whole.as_bytes(), &tar].concat();
    let fake = saves(&id, move |ask| ask.say(&sent));
    let read = fake.daemon().image("app:1", &none(), &soon()).wait().unwrap();
    assert_eq!(read.manifest().config().digest.as_str(), id);
    read.validate(&none(), &soon()).wait().unwrap();
    assert_eq!(fake.asked()[1..], ["GET /v1.41/images/app:1/json".to_owned(), format!("GET /v1.41/images/{id}/get")]);

    let (tar, _) = saved();
    let other = format!("sha256:{}", "7".repeat(64));
    let fake = saves(&other, move |ask| ask.say([b"HTTP/1.1 200 OK\r\n\r\n", &tar[..]].concat()));
    let e = fake.daemon().image("app:1", &none(), &soon()).wait().unwrap_err();
    assert_eq!(facts(&e), (Code::DigestMismatch, "app:1".into()));
}

#[test]
fn a_daemon_that_keeps_manifests_calls_images_by_those() {
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let index = "application/vnd.oci.image.index.v1+json";
    for (kind, good) in [(manifest, false), (index, true)] {
        let (tar, _) = saved();
        let id = format!("sha256:{}", "7".repeat(64));
        let known = format!(r#"{{"Id":"{id}","Descriptor":{{"mediaType":"{kind}","digest":"{id}","size":1}}}}"#);
        let fake = Fake::good(move |ask| match ask.line.ends_with("/json") {
            true => ask.json(200, &known),
            false => ask.say([b"HTTP/1.1 200 OK\r\n\r\n", &tar[..]].concat()),
        });
        let read = fake.daemon().image("app:1", &none(), &soon()).wait();
        assert_eq!(read.map(drop).map_err(|e| e.code()), if good { Ok(()) } else { Err(Code::DigestMismatch) });
    }
}

#[test]
fn an_archive_that_breaks_off_is_an_error_however_it_ends() {
    let (tar, id) = saved();
    let half = tar[..tar.len() / 2].to_vec();
    let chunk = [format!("{:x}\r\n", half.len()).as_bytes(), &half, b"\r\n"].concat();
    let framed = |id: &str, before: &str, parts: &[&[u8]]| {
        let all = [before.as_bytes(), &parts.concat()].concat();
        let fake = saves(id, move |ask| ask.say(&all));
        fake.daemon().image("app:1", &none(), &soon()).wait().unwrap_err()
    };
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", tar.len());
    assert_eq!(framed(&id, &length, &[&half]).code(), Code::Unavailable);
    assert_eq!(
        framed(&id, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &[&chunk]).code(),
        Code::Unavailable
    );
    let e = framed(&id, "HTTP/1.1 200 OK\r\n\r\n", &[&half]);
    assert_eq!(e.code(), Code::Malformed, "nothing says that it is not whole, but the tar");
    let report =
        b"{\"errorDetail\":{\"message\":\"read: input/output error\"},\"error\":\"read: input/output error\"}\r\n";
    let e = framed(&id, "HTTP/1.1 200 OK\r\n\r\n", &[&half, report]);
    assert_eq!(e.code(), Code::Unavailable, "{e}");
    assert!(e.message().contains("input/output error"), "{e}");
    assert_eq!(framed(&id, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[]).code(), Code::Malformed);
}

#[test]
fn archives_are_loaded_as_they_are() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let into = got.clone();
    let fake = Fake::at("/load", move |ask| {
        assert!(ask.header("content-length").is_some());
        *into.lock().unwrap() = ask.body().unwrap();
        ask.json(200, r#"{"stream":"Loaded image: x"}"#);
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    std::fs::write(&path, [7; 1_000_000]).unwrap();
    assert_eq!(fake.daemon().load_archive(&path, &none(), &soon()).wait().unwrap(), ["Loaded image: x"]);
    assert_eq!(*got.lock().unwrap(), [7; 1_000_000]);
    let load = |path: &std::path::Path| fake.daemon().load_archive(path, &none(), &soon()).wait().unwrap_err();
    let missing = folder.path().join("none");
    assert_eq!(facts(&load(&missing)), (Code::NotFound, missing.display().to_string()));
    assert_eq!(load(folder.path()).code(), Code::InvalidArgument);
}

#[test]
fn options_that_are_not_read_are_refused() {
    let fake = Fake::good(|_| panic!("asked"));
    let daemon = fake.daemon();
    let jobs = Options::new().jobs(2);
    assert_eq!(daemon.inspect("a", &jobs, &soon()).wait().unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(daemon.load(&image(1), None, &jobs, &soon()).wait().unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(Daemon::connect(None, &jobs, &soon()).wait().unwrap_err().code(), Code::InvalidArgument);
}
