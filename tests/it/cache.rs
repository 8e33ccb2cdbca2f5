//! Caches: right bytes whatever happens to the directory, the bound kept, and many processes at work on one directory,
//! some of them killed at random.

use parbuckle::{Blobs, Cache, CacheStats, Context, Digest, Image, Index, Layer, Options, Result, SinkHandle};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set for the processes that the test starts: the directory that they fill.
const WORKER: &str = "PARB_TEST_CACHE_WORKER";
const ROUNDS: u64 = 100;
const WORKERS: u64 = 8;
/// Less than all blobs of the rounds together, so that there are evictions all the time.
const BOUND: u64 = 3 << 20;

fn ctx() -> Context {
    Context::with_timeout(Duration::from_secs(120))
}

fn open(dir: &Path, bound: u64, options: &Options) -> Cache {
    Cache::open(dir, bound, options, &ctx()).wait().unwrap()
}

fn read(layer: &Layer, plain: bool) -> Result<Vec<u8>> {
    let ctx = ctx();
    let mut reader = if plain { layer.open_uncompressed(&ctx).wait()? } else { layer.open(&ctx).wait()? };
    let mut all = Vec::new();
    loop {
        let piece = reader.next(&ctx).wait()?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

/// The layer of this number, the same in every process.
fn layer(n: u64, options: &Options) -> Layer {
    Layer::random(40_000 + n * 7_000 % 300_000, n, options, &ctx()).wait().unwrap()
}

fn gzip() -> Options {
    Options::new()
        .compression(parbuckle::CompressionOptions { kind: Some(parbuckle::Compression::Gzip), ..Default::default() })
}

fn blob(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs").join(digest.algorithm().name()).join(digest.hex())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(dir).into_iter().map(|e| e.unwrap());
    files.filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn is_clean(cache: &Cache) {
    let report = cache.verify(&Options::new(), &ctx()).wait().unwrap();
    assert!(report.is_clean(), "{}", report.to_json());
}

#[test]
fn a_second_read_comes_from_the_directory_and_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new());
    let origin = layer(1, &gzip());
    let cached = origin.cached(&cache);
    let right = read(&origin, false).unwrap();
    assert_eq!(read(&cached, false).unwrap(), right);
    assert_eq!(read(&cached, false).unwrap(), right);
    assert_eq!(cache.stats(), CacheStats { hits: 1, misses: 1, stored: 1, ..CacheStats::default() });
    assert_eq!(cache.size(), right.len() as u64);

    // One byte is another, at the start, in the middle, at the end: right bytes all the same.
    let path = blob(dir.path(), &origin.descriptor().digest);
    for (i, at) in [0, right.len() / 2, right.len() - 1].into_iter().enumerate() {
        let mut bad = right.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let found = cache.verify(&Options::new(), &ctx()).wait().unwrap();
        assert_eq!(found.findings().len(), 1);
        assert_eq!(Path::new(&found.findings()[0].subject), path.canonicalize().unwrap());
        assert_eq!(read(&cached, false).unwrap(), right);
        assert_eq!(cache.stats().corrupt, 1 + i as u64);
        assert_eq!(std::fs::read(&path).unwrap(), right, "it was filled anew");
    }
    // Too short, too long, a link, a directory.
    std::fs::write(&path, &right[1..]).unwrap();
    assert_eq!(read(&cached, false).unwrap(), right);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let found = cache.verify(&Options::new(), &ctx()).wait().unwrap();
    assert_eq!((found.findings().len(), found.findings()[0].code), (1, parbuckle::Code::Io), "a link is not followed");
    assert_eq!(read(&cached, false).unwrap(), right);
    is_clean(&open(dir.path(), 64 << 20, &Options::new()));
    // What is none of ours is told; a pipe holds nobody up.
    std::fs::write(dir.path().join("blobs/sha256/notes.txt"), "x").unwrap();
    std::fs::write(dir.path().join("tmp/left-over"), "x").unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("tmp/pipe")).status().unwrap().success());
    let found = cache.verify(&Options::new(), &ctx()).wait().unwrap();
    assert_eq!(found.findings().len(), 3, "{}", found.to_json());
    let cache = open(dir.path(), 64 << 20, &Options::new());
    assert_eq!(cache.verify(&Options::new(), &ctx()).wait().unwrap().findings().len(), 1, "temporary files are swept");
}

#[test]
fn of_several_readers_of_one_blob_one_fills_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new().uncompressed());
    let origin = Layer::random(2 << 20, 1, &gzip(), &ctx()).wait().unwrap();
    let layer = origin.cached(&cache);
    for (plain, stored) in [(false, 1), (true, 2)] {
        let right = read(&origin, plain).unwrap();
        let open = || if plain { layer.open_uncompressed(&ctx()) } else { layer.open(&ctx()) };
        let mut readers: Vec<_> = (0..4).map(|_| (open().wait().unwrap(), Vec::new())).collect();
        // All under way at the same time; the first one stands still for a while, and holds nobody up.
        let piece = readers[0].0.next(&ctx()).wait().unwrap();
        readers[0].1.extend_from_slice(&piece);
        for (reader, got) in readers.iter_mut().rev() {
            loop {
                match reader.next(&ctx()).wait().unwrap() {
                    piece if piece.is_empty() => break,
                    piece => got.extend_from_slice(&piece),
                }
            }
            assert!(*got == right);
        }
        assert_eq!(cache.stats().stored, stored);
    }
    // Who gives up leaves it to the next one.
    cache.clear(&Options::new(), &ctx()).wait().unwrap();
    let mut reader = layer.open(&ctx()).wait().unwrap();
    reader.next(&ctx()).wait().unwrap();
    drop(reader);
    let until = Instant::now() + Duration::from_secs(10);
    while cache.stats().stored < 3 {
        assert!(Instant::now() < until, "it is not filled any more");
        read(&layer, false).unwrap();
    }
    is_clean(&cache);
}

#[test]
fn directories_of_others_are_left_alone_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 400_000, &Options::new());
    let (first, second) = (layer(1, &gzip()), layer(2, &gzip()));
    let foreign = [dir.path().join("blobs/sha256/notes/deep"), dir.path().join("tmp/mine")];
    foreign.iter().for_each(|dir| std::fs::create_dir_all(dir).unwrap());
    std::fs::create_dir(blob(dir.path(), &first.descriptor().digest)).unwrap();
    for _ in 0..2 {
        assert_eq!(read(&first.cached(&cache), false).unwrap(), read(&first, false).unwrap());
        read(&second.cached(&cache), false).unwrap();
    }
    assert_eq!((cache.stats().hits, cache.stats().stored), (1, 1));
    for n in 10..30 {
        read(&layer(n, &gzip()).cached(&cache), false).unwrap(); // evictions
    }
    assert!(cache.stats().evicted > 5);
    let report = cache.verify(&Options::new(), &ctx()).wait().unwrap();
    assert_eq!(report.findings().len(), 3, "{}", report.to_json());
    for finding in report.findings() {
        assert_eq!(finding.code, parbuckle::Code::Malformed);
        assert!(finding.message.contains("directory"), "{}", finding.message);
    }
    let cache = open(dir.path(), 10_000, &Options::new()); // opening evicts, too
    assert!(cache.size() <= 10_000);
    cache.clear(&Options::new(), &ctx()).wait().unwrap();
    assert_eq!((cache.size(), files(&dir.path().join("blobs")).len()), (0, 0));
    assert!(foreign.iter().all(|dir| dir.exists()));
}

#[test]
fn an_aborted_read_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new());
    let origin = Layer::random(8 << 20, 1, &Options::new(), &ctx()).wait().unwrap();
    let mut reader = origin.cached(&cache).open(&ctx()).wait().unwrap();
    for _ in 0..3 {
        assert!(!reader.next(&ctx()).wait().unwrap().is_empty());
    }
    drop(reader);
    let until = Instant::now() + Duration::from_secs(10);
    while !files(&dir.path().join("tmp")).is_empty() {
        assert!(Instant::now() < until, "the temporary file stays");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(files(&dir.path().join("blobs")).is_empty());
}

#[test]
fn decompressed_layers_are_kept_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new().uncompressed());
    let origin = layer(2, &gzip());
    let cached = origin.cached(&cache);
    let right = read(&origin, true).unwrap();
    assert_eq!(read(&cached, true).unwrap(), right);
    let diff_id = origin.diff_id(&ctx()).wait().unwrap();
    assert_eq!(std::fs::read(blob(dir.path(), &diff_id)).unwrap(), right);
    // Now it needs neither the compressed blob nor the origin.
    std::fs::remove_file(blob(dir.path(), &origin.descriptor().digest)).unwrap();
    let before = cache.stats();
    assert_eq!(read(&cached, true).unwrap(), right);
    assert_eq!(cache.stats(), CacheStats { hits: before.hits + 1, ..before });
    let mut bad = right.clone();
    bad[right.len() / 2] ^= 1;
    std::fs::write(blob(dir.path(), &diff_id), bad).unwrap();
    assert_eq!(read(&cached, true).unwrap(), right);
    assert_eq!(cache.stats().corrupt, 1);
    // A layer that is not compressed is stored once.
    let plain = layer(3, &Options::new());
    let (cached, before) = (plain.cached(&cache), cache.stats());
    assert_eq!(read(&cached, true).unwrap(), read(&plain, true).unwrap());
    assert_eq!(read(&cached, true).unwrap(), read(&plain, true).unwrap());
    let (stored, hits) = (before.stored + 1, before.hits + 1);
    assert_eq!(cache.stats(), CacheStats { stored, hits, misses: before.misses + 1, ..before });
    is_clean(&cache);
}

/// An image whose config claims that `layer` has this diff id.
fn claiming(layer: &Layer, diff_id: &Digest) -> Image {
    let config =
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
    let d = layer.descriptor();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
        Digest::of(parbuckle::Algorithm::Sha256, config.as_bytes()),
        config.len(),
        d.media_type,
        d.digest,
        d.size
    );
    let mut blobs = Blobs::new();
    blobs.add_bytes(config.into()).add_bytes(read(layer, false).unwrap().into()); // a layer of which nothing is known yet
    Image::from_parts(manifest.into(), &blobs).unwrap()
}

#[test]
fn a_layer_is_what_is_in_it_whatever_an_image_claims() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new().uncompressed());
    let (one, other) = (layer(4, &gzip()), layer(5, &gzip()));
    let diff_id = one.diff_id(&ctx()).wait().unwrap();
    let (one_tar, other_tar) = (read(&one, true).unwrap(), read(&other, true).unwrap());
    let of = |image: &Image| image.cached(&cache).layers()[0].clone();
    for _ in 0..2 {
        let (honest, lying) = (claiming(&one, &diff_id), claiming(&other, &diff_id));
        // Before the tar is in the cache, while it is, and when the cache has decompressed the layer of the lie, too.
        let uncached = lying.layers()[0].clone();
        assert!(read(&uncached, true).unwrap() == other_tar && read(&of(&lying), true).unwrap() == other_tar);
        assert!(read(&of(&honest), true).unwrap() == one_tar);
        let cached = of(&lying);
        for layer in [&uncached, &cached] {
            // Once the diff id was asked for, the layer is held to it.
            assert_eq!(layer.diff_id(&ctx()).wait().unwrap(), diff_id);
            assert_eq!(read(layer, true).unwrap_err().code(), parbuckle::Code::DigestMismatch);
        }
        for image in [&lying, &lying.cached(&cache)] {
            let mut reader = image.filesystem(&Options::new(), &ctx()).wait().unwrap();
            let failed = loop {
                match reader.next(&ctx()).wait() {
                    Ok(piece) if piece.is_empty() => panic!("no error"),
                    Ok(_) => {}
                    Err(e) => break e,
                }
            };
            assert_eq!(failed.code(), parbuckle::Code::DigestMismatch);
        }
        read(&claiming(&other, &other.diff_id(&ctx()).wait().unwrap()).cached(&cache).layers()[0], true).unwrap();
    }
    // The honest one is a hit from the second time on.
    let before = cache.stats();
    assert!(read(&of(&claiming(&one, &diff_id)), true).unwrap() == one_tar);
    let after = cache.stats();
    assert!(after.hits > before.hits && (after.misses, after.stored) == (before.misses, before.stored), "{after:?}");
    is_clean(&cache);
    // A record that was changed is told of, and no more believed than a claim.
    let record = dir.path().join("diff_ids/sha256").join(other.descriptor().digest.hex());
    let text = std::fs::read_to_string(&record).unwrap();
    let other_id = other.diff_id(&ctx()).wait().unwrap();
    std::fs::write(&record, text.replace(other_id.hex(), diff_id.hex())).unwrap();
    assert_eq!(cache.verify(&Options::new(), &ctx()).wait().unwrap().findings().len(), 1);
    assert!(read(&of(&claiming(&other, &diff_id)), true).unwrap() == other_tar);
    is_clean(&cache);
    let kept = ["blobs", "diff_ids"].into_iter().flat_map(|place| files(&dir.path().join(place)));
    assert_eq!(cache.size(), kept.map(|f| f.metadata().unwrap().len()).sum::<u64>());
}

#[test]
fn the_bound_is_kept_and_what_is_used_stays() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 1 << 20, &Options::new());
    let layers: Vec<Layer> =
        (0..20).map(|n| Layer::random(150_000, n, &Options::new(), &ctx()).wait().unwrap()).collect();
    let first = layers[0].cached(&cache);
    for layer in &layers {
        read(&layer.cached(&cache), false).unwrap();
        std::thread::sleep(Duration::from_millis(10)); // times of use are told apart
        read(&first, false).unwrap();
        let kept: u64 = files(&dir.path().join("blobs")).iter().map(|f| f.metadata().unwrap().len()).sum();
        assert!(kept <= 1 << 20, "{kept} bytes");
        assert_eq!(cache.size(), kept);
    }
    assert!(blob(dir.path(), &layers[0].descriptor().digest).exists(), "it was used all the time");
    assert!(cache.stats().evicted > 5);
    // One that is larger than everything is read, and not kept.
    let large = Layer::random(2 << 20, 99, &Options::new(), &ctx()).wait().unwrap();
    assert_eq!(read(&large.cached(&cache), false).unwrap(), read(&large, false).unwrap());
    assert!(!blob(dir.path(), &large.descriptor().digest).exists());
    // A smaller bound holds from the opening on.
    drop(cache);
    let cache = open(dir.path(), 300_000, &Options::new());
    assert!(cache.size() <= 300_000 && cache.size() > 0);
    cache.remove(&layers[0].descriptor().digest, &Options::new(), &ctx()).wait().unwrap();
    let again = cache.remove(&layers[0].descriptor().digest, &Options::new(), &ctx()).wait();
    assert_eq!(again.unwrap_err().code(), parbuckle::Code::NotFound);
    cache.clear(&Options::new(), &ctx()).wait().unwrap();
    assert_eq!((cache.size(), files(&dir.path().join("blobs")).len()), (0, 0));
}

#[test]
fn new_layers_go_into_it_and_outlive_their_eviction() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 400_000, &Options::new());
    let into = Options::new().sink(&SinkHandle::cache(&cache));
    let layers: Vec<Layer> = (0..4).map(|n| Layer::random(150_000, n, &into, &ctx()).wait().unwrap()).collect();
    let large = Layer::random(500_000, 9, &into, &ctx()).wait().unwrap();
    assert!(!blob(dir.path(), &layers[0].descriptor().digest).exists(), "it was evicted");
    for layer in layers.iter().chain([&large]) {
        layer.validate(&Options::new(), &ctx()).wait().unwrap();
    }
    assert!(files(&dir.path().join("tmp")).is_empty());
    is_clean(&cache);
}

#[test]
fn images_and_indexes_are_the_same_through_a_cache() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new());
    let image = Image::random(3, 50_000, 1, &Options::new(), &ctx()).wait().unwrap();
    let mut blobs = Blobs::new();
    blobs.add_image(&image);
    let image = Image::from_parts(image.manifest().raw().clone(), &blobs).unwrap(); // it has not read its config yet
    let cached = image.cached(&cache);
    assert_eq!((cached.digest(), cached.size()), (image.digest(), image.size()));
    for _ in 0..2 {
        cached.validate(&Options::new(), &ctx()).wait().unwrap();
    }
    assert_eq!(cache.stats().misses, 4, "three layers and a config");
    let index = Index::random(2, 1, 10_000, 2, &Options::new(), &ctx()).wait().unwrap();
    let cached = index.cached(&cache);
    for _ in 0..2 {
        cached.validate(&Options::new(), &ctx()).wait().unwrap();
    }
    assert_eq!(cache.stats().misses, 4 + 4, "two manifests, two layers");
    is_clean(&cache);
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&dir.path().join("blobs").metadata().unwrap()) & 0o777, 0o700);
}

#[test]
fn readers_of_one_blob_at_the_same_time_all_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20, &Options::new());
    let origin = Layer::random(3 << 20, 5, &Options::new(), &ctx()).wait().unwrap();
    let right = read(&origin, false).unwrap();
    std::thread::scope(|scope| {
        let reads: Vec<_> = (0..8).map(|_| scope.spawn(|| read(&origin.cached(&cache), false).unwrap())).collect();
        for read in reads {
            assert!(read.join().unwrap() == right);
        }
    });
    assert_eq!(cache.size(), right.len() as u64);
    is_clean(&cache);
}

/// Not a test of its own: what the processes of the next one do.
#[test]
fn worker() {
    let Some(dir) = std::env::var_os(WORKER) else { return };
    let seed: u64 = std::env::var("PARB_TEST_CACHE_SEED").unwrap().parse().unwrap();
    let cache = open(Path::new(&dir), BOUND, &Options::new().uncompressed());
    let into = gzip().sink(&SinkHandle::cache(&cache));
    for i in 0.. {
        let n = (seed * 31 + i * 17) % 40;
        let origin = layer(n, if i % 5 == 0 { &into } else { &GZIP });
        let cached = origin.cached(&cache);
        assert_eq!(Digest::sha256(&read(&cached, false).unwrap()), origin.descriptor().digest);
        assert_eq!(Digest::sha256(&read(&cached, true).unwrap()), origin.diff_id(&ctx()).wait().unwrap());
    }
}

static GZIP: std::sync::LazyLock<Options> = std::sync::LazyLock::new(gzip);

struct Worker(Child);

impl Worker {
    fn start(dir: &Path, seed: u64) -> Worker {
        let program = std::env::current_exe().unwrap();
        let command = Command::new(program)
            .args(["--exact", "cache::worker", "--test-threads=1"])
            .env(WORKER, dir)
            .env("PARB_TEST_CACHE_SEED", seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Worker(command.unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill(); // SIGKILL
        let _ = self.0.wait();
    }
}

#[test]
fn processes_that_are_killed_at_random_spoil_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut workers: Vec<Worker> = (0..WORKERS).map(|n| Worker::start(dir.path(), n)).collect();
    let mut left_over = 0;
    for round in 0..ROUNDS {
        // At another moment of its life each time.
        std::thread::sleep(Duration::from_millis(40 + round * 37 % 160));
        let at = (round % WORKERS) as usize;
        assert!(workers[at].0.try_wait().unwrap().is_none(), "a worker ended by itself: it got wrong bytes");
        workers[at] = Worker::start(dir.path(), round + 100);
        left_over += usize::from(round % 10 == 9 && !files(&dir.path().join("tmp")).is_empty());
        let cache = open(dir.path(), BOUND, &Options::new());
        if round % 10 == 9 {
            let report = cache.verify(&Options::new(), &ctx()).wait().unwrap();
            // A worker may be killed between its file and our look; all else would be wrong.
            let wrong = report.findings().iter().filter(|f| f.code != parbuckle::Code::InvalidState);
            assert_eq!(wrong.count(), 0, "round {round}: {}", report.to_json());
        }
    }
    for worker in &mut workers {
        assert!(worker.0.try_wait().unwrap().is_none(), "a worker ended by itself: it got wrong bytes");
    }
    drop(workers);
    let cache = open(dir.path(), BOUND, &Options::new());
    is_clean(&cache);
    assert!(files(&dir.path().join("tmp")).is_empty(), "temporary files are left");
    let kept: u64 = files(&dir.path().join("blobs")).iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(kept <= BOUND && kept > BOUND / 4, "{kept} bytes");
    println!("files were on their way in {left_over} of 10 looks");
}
