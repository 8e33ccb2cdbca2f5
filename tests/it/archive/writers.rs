//! Writers that are killed, and those that write beside them.

use super::{Dir, ctx, gzipped, layer, noise, read, valid};
use parbuckle::{
    Archive, ArchiveItem, BlobProvider, Blobs, Compression, Descriptor, HostStream, ImageBuilder, Layer, Options,
    Result,
};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the worker writes.
const WORKER: &str = "PARB_TEST_ARCHIVE_WORKER";

/// A layer's blob, which comes when there is such a file.
struct Later(Vec<u8>, PathBuf);

impl BlobProvider for Later {
    fn open(&self, _: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>> {
        Ok(Box::new(Stream(Cursor::new(self.0[offset as usize..].to_vec()), self.1.clone())))
    }
}

struct Stream(Cursor<Vec<u8>>, PathBuf);

impl HostStream for Stream {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        while !self.1.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(self.0.read(buf).unwrap())
    }
}

/// Not a test of its own: what the processes of the others do.
#[test]
fn worker() {
    let Some(dir) = std::env::var_os(WORKER).map(PathBuf::from) else { return };
    let origin = layer("a", &noise(300_000), Compression::Gzip);
    let mut blobs = Blobs::new();
    let mut reader = origin.open(&ctx()).wait().unwrap();
    let mut blob = vec![0; origin.descriptor().size as usize];
    let mut at = 0;
    while at < blob.len() {
        at += reader.read(&mut blob[at..], &ctx()).unwrap();
    }
    blobs.provider(Arc::new(Later(blob, dir.join("go"))));
    let diff_id = origin.diff_id(&ctx()).wait().unwrap();
    let late = Layer::from_parts(origin.descriptor().clone(), Some(diff_id), None, &blobs).unwrap();
    let image = ImageBuilder::from_scratch().add_layer(&late).build(&Options::new(), &ctx()).wait().unwrap();
    Archive::write(&dir.join("a.tar"), &[ArchiveItem::image(&image, None)], &Options::new(), &ctx()).wait().unwrap();
}

struct Worker(Child);

impl Worker {
    /// One that is in the midst of it.
    fn start(dir: &Dir) -> Worker {
        let before = dir.names();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "archive::writers::worker", "--test-threads=1"]).env(WORKER, dir.path(""));
        let worker = Worker(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(30);
        while dir.names().len() == before.len() {
            assert!(Instant::now() < until, "the worker does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        worker
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill(); // SIGKILL
        let _ = self.0.wait();
    }
}

/// By this process, to the same path.
fn write(path: &Path) {
    let made = gzipped(parbuckle::Format::Docker);
    Archive::write(path, &[ArchiveItem::image(&made, None)], &Options::new(), &ctx()).wait().unwrap();
    valid(&read(path).unwrap()).unwrap();
}

#[test]
fn what_a_killed_writer_left_goes_with_the_next_one() {
    let dir = Dir::new();
    // What only looks like it stays: a name of another length, a link, a directory.
    std::fs::write(dir.path(".parb-mine"), "x").unwrap();
    std::os::unix::fs::symlink(dir.path(".parb-mine"), dir.path(".parb-0123456789abcdef")).unwrap();
    std::fs::create_dir(dir.path(".parb-fedcba9876543210")).unwrap();
    let mine = dir.names();
    drop(Worker::start(&dir));
    assert_eq!(dir.names().len(), mine.len() + 1, "it left its file");
    write(&dir.path("a.tar"));
    let expected: Vec<String> = mine.iter().cloned().chain(["a.tar".to_owned()]).collect();
    assert_eq!(dir.names(), expected);

    // The command, too, where it exports a file system.
    std::fs::remove_file(dir.path("a.tar")).unwrap();
    drop(Worker::start(&dir));
    write(&dir.path("b.tar"));
    drop(Worker::start(&dir));
    let source = format!("docker-archive:{}", dir.path("b.tar").display());
    let status = Command::new(env!("CARGO_BIN_EXE_parb")).args(["export", &source]).arg(dir.path("c.tar")).status();
    assert!(status.unwrap().success());
    let expected: Vec<String> = mine.into_iter().chain(["b.tar", "c.tar"].map(str::to_owned)).collect();
    assert_eq!(dir.names(), expected);
}

#[test]
fn writers_that_live_are_left_alone() {
    let dir = Dir::new();
    let mut workers = [Worker::start(&dir), Worker::start(&dir)];
    write(&dir.path("a.tar"));
    assert_eq!(dir.names().len(), 3, "theirs and ours");
    std::fs::write(dir.path("go"), "").unwrap();
    for worker in &mut workers {
        assert!(worker.0.wait().unwrap().success());
    }
    assert_eq!(dir.names(), ["a.tar", "go"]);
    let image = read(&dir.path("a.tar")).unwrap();
    valid(&image).unwrap();
    assert_eq!(image.layers().len(), 1, "one of theirs, which were last");
}
