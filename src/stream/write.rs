//! Local files that are filled from a stream: each write is a job, and the stream flows on meanwhile.

use super::{BLOCK, BlobOut};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::pool::Job;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Write};
use std::sync::Arc;

/// What is gathered for one write: chunks of the network are small, and system calls are not free.
const GATHER: usize = 2 * BLOCK;

/// A file on its way. It keeps at most two gathered writes, whatever the size.
pub(crate) struct FileWriter {
    engine: Arc<Engine>,
    file: Arc<File>,
    subject: Arc<str>,
    size: u64,
    waiting: Vec<Bytes>,
    len: usize,
    job: Option<Job<std::io::Result<()>>>,
}

impl FileWriter {
    /// Fills `file` from where it stands; `subject` names it in errors.
    pub(crate) fn new(engine: &Arc<Engine>, file: impl Into<Arc<File>>, subject: impl Into<Arc<str>>) -> FileWriter {
        let (engine, file, subject) = (engine.clone(), file.into(), subject.into());
        FileWriter { engine, file, subject, size: 0, waiting: Vec::new(), len: 0, job: None }
    }

    /// Takes more bytes; waits only if those of two writes are not written yet.
    pub(crate) async fn put(&mut self, mut chunk: Bytes) -> Result<()> {
        while !chunk.is_empty() {
            let part = chunk.split_to(chunk.len().min(GATHER));
            self.len += part.len();
            self.waiting.push(part);
            if self.len >= GATHER {
                self.start().await?;
            }
        }
        Ok(())
    }

    /// How many bytes there are in the end, once all are in the file.
    pub(crate) async fn finish(mut self) -> Result<u64> {
        if self.len > 0 {
            self.start().await?;
        }
        self.settle().await?;
        Ok(self.size)
    }

    async fn start(&mut self) -> Result<()> {
        self.settle().await?;
        let (file, parts) = (self.file.clone(), std::mem::take(&mut self.waiting));
        self.size += self.len as u64;
        self.len = 0;
        self.job = Some(self.engine.pool().start(move || write_all(&file, &parts))?);
        Ok(())
    }

    /// Waits for the write before.
    async fn settle(&mut self) -> Result<()> {
        if let Some(job) = &mut self.job {
            let result = job.await;
            self.job = None;
            result?.map_err(|e| failed("writing", &self.subject, &e))?;
        }
        Ok(())
    }
}

fn write_all(mut file: &File, parts: &[Bytes]) -> std::io::Result<()> {
    let mut slices: Vec<IoSlice> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

impl BlobOut for FileWriter {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.put(chunk))
    }
}

/// What went wrong with a temporary file. A missing directory is the machine's fault too: "not found" would be taken
/// for what the caller asked for.
pub(crate) fn failed(doing: &str, subject: &str, e: &std::io::Error) -> Error {
    let error = Error::new(Code::Io, format!("{doing} a temporary file: {e}")).subject(subject);
    match e.raw_os_error() {
        Some(code) => error.os_code(code),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_any_size_come_to_their_place() {
        let engine = Engine::get().unwrap();
        let many: Vec<Bytes> = (0..3000u16).map(|n| n.to_le_bytes().to_vec().into()).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        write_all(file.as_file(), &many).unwrap(); // more than one call takes
        assert!(std::fs::read(file.path()).unwrap() == many.concat());
        arbtest::arbtest(|u| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            let mut writer = FileWriter::new(&engine, File::create(&path).unwrap(), "file");
            let mut all = Vec::new();
            for i in 0..u.int_in_range(0..=6)? {
                let len = *u.choose(&[0, 1, 1000, BLOCK - 1, BLOCK, 9 * BLOCK + 1])?;
                let chunk: Vec<u8> = (0..len).map(|n| (n / 100 + i) as u8).collect();
                all.extend_from_slice(&chunk);
                engine.handle().block_on(writer.put(chunk.into())).unwrap();
            }
            let size = engine.handle().block_on(writer.finish()).unwrap();
            assert_eq!(size, all.len() as u64);
            assert!(std::fs::read(&path).unwrap() == all);
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told() {
        let engine = Engine::get().unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = FileWriter::new(&engine, full, "/the/place");
        let e = engine.handle().block_on(async {
            writer.put(Bytes::from_static(b"x")).await?;
            writer.finish().await
        });
        let e = e.unwrap_err();
        assert_eq!((e.code(), e.get_subject(), e.get_os_code()), (Code::Io, Some("/the/place"), Some(libc::ENOSPC)));
    }
}
