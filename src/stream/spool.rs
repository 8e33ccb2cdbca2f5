//! A temporary file without a name: it is gone when nobody uses it any more, however the process ends.

use super::write::{FileWriter, failed};
use super::{BlobOut, Chunks, Stats, read_file};
use crate::engine::Engine;
use crate::error::Result;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// A spool file that is being written.
pub(crate) struct Spool {
    engine: Arc<Engine>,
    stats: Arc<Stats>,
    file: Arc<File>,
    directory: Arc<str>,
    writer: FileWriter,
}

/// A spool file that is complete. A clone is the same file.
#[derive(Clone)]
pub(crate) struct SpoolBlob {
    engine: Arc<Engine>,
    file: Arc<File>,
    directory: Arc<str>,
    size: u64,
}

impl Spool {
    /// A new file in `directory`, which errors name.
    pub(crate) async fn create(engine: &Arc<Engine>, directory: &Path, stats: &Arc<Stats>) -> Result<Spool> {
        let path = directory.to_owned();
        let name: Arc<str> = directory.to_string_lossy().into();
        let file = engine.pool().run(move || tempfile::tempfile_in(path)).await?;
        let file = file.map_err(|e| failed("making", &name, &e))?;
        Ok(Spool::new(engine, stats, file, name))
    }

    fn new(engine: &Arc<Engine>, stats: &Arc<Stats>, file: File, directory: Arc<str>) -> Spool {
        let (engine, stats, file) = (engine.clone(), stats.clone(), Arc::new(file));
        let writer = FileWriter::new(&engine, file.clone(), directory.clone());
        Spool { engine, stats, file, directory, writer }
    }

    /// All of it, when the last byte is in the file.
    pub(crate) async fn finish(self) -> Result<SpoolBlob> {
        let Spool { engine, file, directory, writer, .. } = self;
        let size = writer.finish().await?;
        Ok(SpoolBlob { engine, file, directory, size })
    }
}

impl BlobOut for Spool {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        self.stats.spool_bytes.add(chunk.len() as u64);
        self.writer.write(chunk)
    }
}

impl SpoolBlob {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
    /// The file itself, to be read in any order.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The bytes from `offset` on; any number of readers at the same time.
    pub(crate) fn open(&self, offset: u64) -> Chunks {
        let left = self.size.saturating_sub(offset);
        read_file(&self.engine, self.file.clone(), self.directory.clone(), offset, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::stream::BLOCK;
    use futures_util::future::join_all;

    fn fill(engine: &Arc<Engine>, stats: &Arc<Stats>, directory: &Path, parts: &[&[u8]]) -> Result<SpoolBlob> {
        engine.handle().block_on(async {
            let mut spool = Spool::create(engine, directory, stats).await?;
            for part in parts {
                spool.write(Bytes::copy_from_slice(part)).await?;
            }
            spool.finish().await
        })
    }

    #[test]
    fn many_readers_read_the_same_from_any_offset() {
        let (engine, stats) = (Engine::get().unwrap(), Arc::default());
        let directory = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..9 * BLOCK + 5).map(|i| (i / 77) as u8).collect();
        let parts: [&[u8]; 4] = [&data[..10], &data[10..10], &data[10..BLOCK], &data[BLOCK..]];
        let blob = fill(&engine, &stats, directory.path(), &parts).unwrap();
        assert_eq!((blob.size(), stats.spool_bytes.get()), (data.len() as u64, data.len() as u64));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the file has no name");
        let offsets: Vec<usize> = (0..20).map(|i| i * data.len() / 19).collect();
        let reads = offsets.iter().map(|at| blob.open(*at as u64).collect(data.len()));
        let reads = engine.handle().block_on(join_all(reads));
        for (at, read) in offsets.iter().zip(reads) {
            assert!(read.unwrap() == data[*at..], "from {at}");
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let engine = Engine::get().unwrap();
        let e = fill(&engine, &Arc::default(), Path::new("/nowhere/at/all"), &[]).err().unwrap();
        assert_eq!((e.code(), e.get_subject()), (Code::Io, Some("/nowhere/at/all")));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_with_the_directory() {
        let engine = Engine::get().unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut spool = Spool::new(&engine, &Arc::default(), full, "/the/tmpdir".into());
        let e = engine.handle().block_on(async {
            spool.write(Bytes::from_static(b"x")).await?;
            spool.finish().await
        });
        let e = e.err().unwrap();
        assert_eq!((e.code(), e.get_subject(), e.get_os_code()), (Code::Io, Some("/the/tmpdir"), Some(libc::ENOSPC)));
    }
}
