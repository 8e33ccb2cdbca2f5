//! One layout, many processes, some of them killed: what was reported added is there, and nothing else is left over.
//! The processes are this test program again, told by its environment what to do.

use crate::layout::{ctx, image_of, tar_of, temps};
use crate::support::noise;
use parbuckle::matcher::REF_NAME;
use parbuckle::{
    Client, ClientOptions, Code, Context, Digest, HostStream, Image, ImageBuilder, Keychain, Layer, Layout, Matcher,
    Options, Reference, Result, Server, ServerOptions, SinkHandle,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a process started by these tests is to do.
const TASK: &str = "PARB_TEST_LAYOUT_TASK";
/// Rounds of processes, how many there are in one, and after how many all is looked at and a new layout begun.
const ROUNDS: u32 = 100;
const PROCESSES: u32 = 8;
const BATCH: u32 = 10;
/// Images that one process adds.
const IMAGES: u32 = 2;

/// Does nothing in an ordinary run.
#[test]
fn process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let words: Vec<&str> = task.split('|').collect();
    let layout = Layout::open(Path::new(words[1]), &Options::new(), &ctx()).wait().unwrap();
    match words[0] {
        "add" => add(&layout, words[2].parse().unwrap()),
        "collect" => loop {
            layout.gc(&Options::new(), &ctx()).wait().unwrap();
            std::thread::sleep(Duration::from_millis(3));
        },
        "copy" => {
            let from = Layout::open(Path::new(words[2]), &Options::new(), &ctx()).wait().unwrap();
            let image = from.image(None, &Options::new(), &ctx()).wait().unwrap();
            let copied = layout.add_image(&image, Some("copy"), &Options::new(), &ctx()).wait().map(drop);
            println!("\ncopied {:?}", copied.map_err(|e| (e.code(), e.get_os_code())));
            let into = Options::new().sink(&SinkHandle::layout(&layout));
            let made = Layer::from_bytes(tar_of(3 << 20, 1).into(), &into, &ctx()).wait().map(drop);
            println!("\nmade {:?}", made.map_err(|e| (e.code(), e.get_os_code())));
        }
        other => panic!("{other}"),
    }
}

fn add(layout: &Layout, seed: u32) {
    for i in 0..IMAGES {
        // Half of them through a file of their own, half straight into the layout.
        let options = match (seed + i) % 2 {
            0 => Options::new(),
            _ => Options::new().sink(&SinkHandle::layout(layout)),
        };
        let mut tar = tar_of(60_000, i as u8);
        tar[512..516].copy_from_slice(&(seed * IMAGES + i).to_le_bytes());
        let layer = Layer::from_bytes(tar.into(), &options, &ctx()).wait().unwrap();
        let mut builder = ImageBuilder::from_scratch();
        builder.add_layer(&layer);
        let image = builder.build(&Options::new(), &ctx()).wait().unwrap();
        let name = format!("{seed}-{i}");
        layout.add_image(&image, Some(&name), &Options::new(), &ctx()).wait().unwrap();
        println!("\nadded {name} {}", image.digest());
    }
}

fn start(task: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["layout_crash::process", "--exact", "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
fn processes_that_are_killed_lose_nothing_and_leave_nothing() {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (began, mut usual) = (Instant::now(), Duration::from_millis(300));
    let (mut reported, mut killed, mut swept, mut garbage) = (0, 0, 0, 0);
    for batch in 0..ROUNDS / BATCH {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path(), &Options::new(), &ctx()).wait().unwrap();
        let mut added: BTreeMap<String, Digest> = BTreeMap::new();
        for round in 0..BATCH {
            let began = Instant::now();
            let mut all: Vec<(Child, Option<Duration>)> = Vec::new();
            for n in 0..PROCESSES {
                let path = folder.path().display();
                let (task, dies) = match n {
                    // It never ends by itself. Every other layout does without, to see what is left there.
                    0 if batch % 2 == 0 => (format!("collect|{path}"), true),
                    _ => (format!("add|{path}|{}", (batch * BATCH + round) * PROCESSES + n), next(2) == 0),
                };
                let moment = dies.then(|| usual.mul_f64(next(1000) as f64 / 900.0));
                all.push((start(&task), moment));
            }
            let mut collector = (batch % 2 == 0).then(|| all.remove(0).0);
            all.sort_by_key(|(_, moment)| *moment);
            for (child, moment) in &mut all {
                if let Some(moment) = moment {
                    std::thread::sleep(moment.saturating_sub(began.elapsed()));
                    child.kill().unwrap(); // SIGKILL
                    killed += 1;
                }
            }
            for (mut child, dies) in all {
                let mut said = String::new();
                child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
                let status = child.wait().unwrap();
                assert!(dies.is_some() || status.success(), "{said}");
                for line in said.lines().filter_map(|l| l.strip_prefix("added ")) {
                    let (name, digest) = line.split_once(' ').unwrap();
                    added.insert(name.to_owned(), digest.parse().unwrap());
                }
            }
            usual = (usual + began.elapsed()) / 2;
            if let Some(child) = &mut collector {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            swept += temps(folder.path());
        }
        reported += added.len();
        // The next writer sweeps, whatever it writes; then a collection leaves nothing but what is named.
        let image = image_of(10, 1, "linux/amd64");
        layout.add_image(&image, None, &Options::new(), &ctx()).wait().unwrap();
        assert_eq!(temps(folder.path()), 0);
        let report = layout.fsck(&Options::new(), &ctx()).wait().unwrap();
        assert!(report.is_clean(), "{report:?}");
        garbage += layout.gc(&Options::new(), &ctx()).wait().unwrap().len();
        assert!(layout.gc(&Options::new(), &ctx()).wait().unwrap().is_empty());
        let report = layout.fsck(&Options::new(), &ctx()).wait().unwrap();
        assert!(report.is_clean(), "{report:?}");
        let index = layout.index(&Options::new(), &ctx()).wait().unwrap();
        for (name, digest) in &added {
            let named = index.manifest().manifests().iter().find(|d| d.annotations.get(REF_NAME) == Some(name));
            assert_eq!(named.map(|d| &d.digest), Some(digest), "{name} was reported added");
        }
        // Nothing that nothing names, either: config, manifest and layer for each entry (the config is the same).
        let entries = index.manifest().manifests();
        let images: std::collections::BTreeSet<_> = entries.iter().map(|d| &d.digest).collect();
        let blobs = std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count();
        assert!(blobs <= 3 * images.len(), "{blobs} blobs of {} images", images.len());
    }
    let took = began.elapsed();
    println!("{reported} images reported, {killed} processes killed, {took:?}");
    println!("left over: {swept} temporary files, {garbage} blobs");
    assert!(reported > 100 && killed > 100 && swept + garbage > 0, "the kills came at other moments than meant");
}

#[test]
fn threads_of_one_process_keep_out_of_each_others_way() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path(), &Options::new(), &ctx()).wait().unwrap();
    let shared = image_of(100_000, 0, "linux/amd64");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (layout, shared) = (layout.clone(), shared.clone());
            scope.spawn(move || {
                for i in 0..4 {
                    let image = image_of(1_000, n * 4 + i + 1, "linux/amd64");
                    let name = format!("{n}-{i}");
                    layout.add_image(&image, Some(&name), &Options::new(), &ctx()).wait().unwrap();
                    layout.add_image(&shared, Some("shared"), &Options::new(), &ctx()).wait().unwrap();
                    if i == 2 {
                        let first = Matcher::new().name(&format!("{n}-0"));
                        layout.remove(&first, &Options::new(), &ctx()).wait().unwrap();
                        layout.gc(&Options::new(), &ctx()).wait().unwrap();
                    }
                }
            });
        }
    });
    let index = layout.index(&Options::new(), &ctx()).wait().unwrap();
    assert_eq!(index.manifest().manifests().len(), 8 * 3 + 1);
    layout.gc(&Options::new(), &ctx()).wait().unwrap();
    assert!(layout.fsck(&Options::new(), &ctx()).wait().unwrap().is_clean());
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    let source = Layout::create(&from, &Options::new(), &ctx()).wait().unwrap();
    let layout = Layout::create(&to, &Options::new(), &ctx()).wait().unwrap();
    source.add_image(&image_of(3 << 20, 1, "linux/amd64"), None, &Options::new(), &ctx()).wait().unwrap();
    // Files of at most 512 KiB or a MiB, whichever shell it is.
    let run = Command::new("sh")
        .args(["-c", "ulimit -f 1024 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["layout_crash::process", "--exact", "--nocapture"])
        .env(TASK, format!("copy|{}|{}", to.display(), from.display()))
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    for what in ["copied", "made"] {
        assert!(said.contains(&format!("{what} Err((Io, Some({})))", libc::EFBIG)), "{said}");
    }
    assert_eq!(temps(&to), 0);
    assert!(layout.index(&Options::new(), &ctx()).wait().unwrap().manifest().manifests().is_empty());
    for folder in ["blobs", "blobs/sha256"] {
        for entry in std::fs::read_dir(to.join(folder)).into_iter().flatten() {
            assert!(entry.unwrap().metadata().unwrap().len() < 100_000, "only small blobs came before the large one");
        }
    }
    assert!(layout.fsck(&Options::new(), &ctx()).wait().unwrap().is_clean());
}

/// Gives bytes as long as it is asked, and counts them.
struct Endless(Arc<AtomicUsize>);

impl HostStream for Endless {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = buf.len().min(64 << 10);
        buf[..n].copy_from_slice(&noise(n));
        if self.0.fetch_add(n, Ordering::Relaxed) == 0 {
            let head = tar_of(1 << 30 >> 10, 1);
            buf[..512].copy_from_slice(&head[..512]);
        }
        Ok(n)
    }
}

#[test]
fn a_call_that_is_cancelled_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path(), &Options::new(), &ctx()).wait().unwrap();
    let gone = || {
        let until = Instant::now() + Duration::from_secs(10);
        while temps(folder.path()) > 0 {
            assert!(Instant::now() < until, "a temporary file stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let came = || {
        let until = Instant::now() + Duration::from_secs(20);
        while temps(folder.path()) == 0 {
            assert!(Instant::now() < until, "nothing was begun");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    // A layer on its way into the sink.
    let (call, read) = (Context::new(), Arc::new(AtomicUsize::new(0)));
    let into = Options::new().sink(&SinkHandle::layout(&layout));
    let task = Layer::from_stream(Box::new(Endless(read.clone())), &into, &call);
    came();
    call.cancel();
    assert_eq!(task.wait().unwrap_err().code(), Code::Cancelled);
    gone();
    // A download that stalls, and a task that is dropped.
    let mut options = ServerOptions::new();
    options.add_fault("GET", "/v2/*/blobs/*", 0, "stall").unwrap();
    let server = Server::start(&options).unwrap();
    let host = server.url().trim_start_matches("http://");
    let client = Client::new(&ClientOptions::new().keychain(&Keychain::anonymous())).unwrap();
    let name = Reference::parse(&format!("{host}/a:1")).unwrap();
    let image: Image = image_of(2 << 20, 1, "linux/amd64");
    client.push(&name, &image, &Options::new(), &ctx()).wait().unwrap();
    let remote = client.pull(&name, &Options::new(), &ctx()).wait().unwrap();
    for _ in 0..3 {
        let task = layout.add_image(&remote, None, &Options::new(), &ctx());
        came();
        drop(task);
        gone();
    }
    assert!(layout.index(&Options::new(), &ctx()).wait().unwrap().manifest().manifests().is_empty());
    // Who waits for somebody else's lock can be told to stop; and the lock is free again after a cancelled call.
    let task = layout.add_image(&remote, None, &Options::new(), &ctx());
    came();
    let short = Context::with_timeout(Duration::from_millis(60));
    assert_eq!(layout.gc(&Options::new(), &short).wait().unwrap_err().code(), Code::TimedOut);
    drop(task);
    gone();
    let patient = Context::with_timeout(Duration::from_secs(20));
    layout.gc(&Options::new(), &patient).wait().unwrap();
    layout.add_image(&image, None, &Options::new(), &patient).wait().unwrap();
    assert!(layout.fsck(&Options::new(), &ctx()).wait().unwrap().is_clean());
}
