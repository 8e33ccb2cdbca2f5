//! A tar that is changed while it streams by: headers are written anew, data goes through as it is.

use super::BLOCK;
use super::read::{Sparse, TarEntry, TarStream, number};
use super::write::{END, filling, set_time};
use crate::error::Result;
use crate::stream::Chunks;
use bytes::{Bytes, BytesMut};

/// Headers of small files are gathered to pieces of about this size.
const PIECE: usize = 64 << 10;

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is written as it is now.
    Keep,
    /// Neither it nor its data comes out.
    Drop,
}

/// `head`, and then every entry of the tar in `chunks` as `edit` leaves it. Data, sparse maps included, stays byte for
/// byte. Errors of the tar name the entry; the last piece comes only after the input was read, and verified, to its end.
pub(crate) fn rewritten(
    chunks: Chunks,
    head: Vec<u8>,
    edit: impl FnMut(&mut TarEntry) -> Result<Verdict> + Send + 'static,
) -> Chunks {
    let tar = TarStream::new(chunks);
    let rewriting = Rewriting { tar, edit, out: BytesMut::from(&head[..]), ready: None, after: None, ended: false };
    Chunks::unfold(rewriting, |mut r| async move { Ok(r.next().await?.map(|chunk| (chunk, r))) })
}

/// Sets the time of each of these whole headers; the data between them stays.
pub(crate) fn retime_headers(headers: &mut [u8], seconds: i64) {
    let mut rest = headers;
    while rest.len() >= BLOCK {
        let size = number(&rest[124..136]).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        set_time(&mut rest[..BLOCK], seconds);
        let len = (BLOCK + size.next_multiple_of(BLOCK)).min(rest.len());
        rest = &mut rest[len..];
    }
}

impl TarEntry {
    /// An old GNU sparse file is written with what is at the end of its header: other times are there.
    pub(crate) fn forget_times(&mut self) {
        if let Some(Sparse::Old(map)) = &self.sparse {
            let mut raw = BytesMut::from(&self.raw[..]);
            let own = raw.len() - map.len() - BLOCK;
            raw[own + 345..own + 369].fill(0);
            self.raw = raw.freeze();
        }
    }
}

struct Rewriting<E> {
    tar: TarStream,
    edit: E,
    /// Small pieces that wait for company.
    out: BytesMut,
    /// A large one that comes after them.
    ready: Option<Bytes>,
    /// What comes after the data of the present entry; `None` where its data is not wanted, or over.
    after: Option<Bytes>,
    ended: bool,
}

impl<E: FnMut(&mut TarEntry) -> Result<Verdict>> Rewriting<E> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.out.len() >= PIECE || (!self.out.is_empty() && (self.ready.is_some() || self.ended)) {
                return Ok(Some(self.out.split().freeze()));
            }
            if let Some(data) = self.ready.take() {
                return Ok(Some(data));
            }
            if self.ended {
                return Ok(None);
            }
            if let Some(after) = &self.after {
                match self.tar.data().await? {
                    Some(data) if data.len() < PIECE / 4 => self.out.extend_from_slice(&data),
                    Some(data) => self.ready = Some(data),
                    None => {
                        self.out.extend_from_slice(after);
                        self.after = None;
                    }
                }
                continue;
            }
            let Some(mut entry) = self.tar.next().await? else {
                self.out.extend_from_slice(END);
                self.ended = true;
                continue;
            };
            if (self.edit)(&mut entry)? == Verdict::Keep {
                self.out.extend_from_slice(&entry.globals);
                self.out.extend_from_slice(&entry.encode());
                self.after = Some(filling(entry.stored));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::malformed;
    use futures_util::FutureExt;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (name, data) in files {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(7);
            builder.append_data(&mut header, name, *data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn run(tar: Vec<u8>, edit: impl FnMut(&mut TarEntry) -> Result<Verdict> + Send + 'static) -> Result<Vec<u8>> {
        let out = rewritten(Chunks::from_bytes(tar), Vec::new(), edit).collect(1 << 30).now_or_never();
        out.expect("nothing to wait for").map(|b| b.to_vec())
    }

    #[test]
    fn data_goes_through_and_headers_change() {
        let large = vec![7; 3 * PIECE + 5];
        let tar = tar_of(&[("a", b"1"), ("b", &large), ("c", b""), ("d", b"4")]);
        let out = run(tar, |entry| {
            entry.name.push(b'x');
            entry.mtime.secs = 9;
            Ok(if entry.name == b"cx" || entry.name == b"ax" { Verdict::Drop } else { Verdict::Keep })
        });
        let out = out.unwrap();
        let mut archive = ::tar::Archive::new(&out[..]);
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut data = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 9);
            found.push((entry.path().unwrap().to_string_lossy().into_owned(), data));
        }
        assert_eq!(found, [("bx".to_owned(), large), ("dx".to_owned(), b"4".to_vec())]);
        assert_eq!(out.len() % 512, 0);
    }

    #[test]
    fn broken_tars_and_edits_fail() {
        let tar = tar_of(&[("a", &[1; 5000])]);
        assert!(run(tar[..2000].to_vec(), |_| Ok(Verdict::Keep)).is_err());
        assert!(run(tar, |_| Err(malformed("no"))).is_err());
    }
}
