//! Single files of a layer: by its table of contents where it has one, of which only the ranges are fetched that are
//! needed; else by reading all of the layer.
//!
//! A table counts only if the layer's descriptor, and so a verified manifest, states its digest. What is read by it is
//! verified by the digests that it states. A layer whose descriptor promises a table that is not there, or is another,
//! is an error and not a reason to do without: somebody changed one or the other.

use crate::context::Context;
use crate::digest::{Digest, shown};
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid, malformed};
use crate::layer::Layer;
use crate::reader::Reader;
use crate::source::Place;
use crate::stream::{BlobOut, ESTARGZ_DIGEST, Kind, Limits, MAX_LINKS, MAX_TOC};
use crate::stream::{Chunks, Spool, SpoolBlob, TarContent, TarEntry, TarStream, Toc, TocChunk, TocEntry, verified};
use crate::stream::{chunked, chunked_position, clean, decompressed, estargz_toc, whole};
use bytes::Bytes;
use futures_util::FutureExt;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Zeros that a file may have in place of what the table says of none.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Layer {
    /// Whether the layer's descriptor tells of a table of contents, as those of eStargz and zstd:chunked layers do.
    pub fn has_toc(&self) -> bool {
        let annotations = &self.descriptor().annotations;
        annotations.contains_key(ESTARGZ_DIGEST) || chunked(annotations).is_some()
    }

    /// The layer's table of contents, fetched once and verified; `None` where the descriptor tells of none.
    ///
    /// Errors: those of the network; `DigestMismatch`, `Malformed` where it is not what the descriptor promises;
    /// `LimitExceeded` where it is larger than 50 MiB; `Unsupported` where it is of another version.
    pub fn table_of_contents(&self, ctx: &Context) -> Task<Option<Arc<Toc>>> {
        let layer = self.clone();
        self.home().spawn(ctx, |ctx| async move { layer.find_toc(&ctx).await.map(|toc| toc.cloned()) })
    }

    /// The same as JSON, see [`Toc::to_json`]; `NotFound` where the descriptor tells of none.
    pub fn toc_json(&self, ctx: &Context) -> Task<Bytes> {
        let layer = self.clone();
        self.home().spawn(ctx, |ctx| async move {
            let none = || Error::new(Code::NotFound, "the layer's descriptor tells of no table of contents");
            let toc = layer.find_toc(&ctx).await?.cloned();
            let toc = toc.ok_or_else(|| none().subject(&layer.descriptor().digest))?;
            layer.home().place().engine.pool().run(move || toc.to_json().into()).await
        })
    }

    /// The content of one file, verified. With a table of contents only what is needed is fetched; else the layer is
    /// read once, to its end, before the first byte comes. Hard links are followed; of several entries of the same name
    /// the last one counts. Other layers play no part.
    ///
    /// Errors: `NotFound`; `InvalidArgument` where it is no file; those of [`Layer::table_of_contents`].
    pub fn open_file(&self, path: &str, ctx: &Context) -> Task<Reader> {
        let Some(path) = clean(path).filter(|path| !path.is_empty()) else {
            return Task::ready(Err(invalid("not the path of a file in a layer").subject(shown(path))));
        };
        let layer = self.clone();
        self.home().spawn(ctx, |ctx| async move {
            let chunks = match layer.find_toc(&ctx).await? {
                Some(toc) => layer.file_by_toc(toc.find_file(&path)?, &ctx),
                None => layer.file_by_reading(&path, &ctx).await?,
            };
            Ok(Reader::new(layer.home().clone(), chunks))
        })
    }

    pub(crate) async fn find_toc(&self, ctx: &Context) -> Result<Option<&Arc<Toc>>> {
        self.toc_cell().get_or_try_init(|| self.read_toc(ctx)).await.map(Option::as_ref)
    }

    /// The same, not kept where it was not known.
    pub(crate) async fn look_at_toc(&self, ctx: &Context) -> Result<Option<Arc<Toc>>> {
        match self.toc_cell().get() {
            Some(known) => Ok(known.clone()),
            None => self.read_toc(ctx).await,
        }
    }

    async fn read_toc(&self, ctx: &Context) -> Result<Option<Arc<Toc>>> {
        let annotations = &self.descriptor().annotations;
        let toc = match (annotations.get(ESTARGZ_DIGEST), chunked(annotations)) {
            (Some(digest), _) => self.read_estargz(Some(digest), ctx).await.map(Some),
            (None, Some((digest, position))) => self.read_chunked(digest, position, ctx).await.map(Some),
            (None, None) => Ok(None),
        };
        toc.map(|toc| toc.map(Arc::new)).map_err(|e| e.or_subject(&self.descriptor().digest))
    }

    /// The table of an eStargz blob; without a digest, as it is found.
    pub(crate) async fn read_estargz(&self, digest: Option<&str>, ctx: &Context) -> Result<Toc> {
        let expected = digest.map(promised).transpose()?;
        let place = self.home().place();
        let fetch = |range: Range<u64>| self.source().open_range(ctx, self.descriptor(), range).boxed();
        let size = self.descriptor().size;
        let Some((json, toc_at)) = estargz_toc(&place.engine, &place.stats, size, &fetch).await? else {
            return Err(malformed("the layer is not the eStargz that its descriptor tells of"));
        };
        let read = move || {
            expected.map_or(Ok(()), |expected| check(&expected, &json))?;
            Toc::parse(&json, toc_at)
        };
        place.engine.pool().run(read).await?
    }

    async fn read_chunked(&self, digest: &str, position: &str, ctx: &Context) -> Result<Toc> {
        let expected = promised(digest)?;
        let place = self.home().place();
        let (range, plain) = chunked_position(position, self.descriptor().size)?;
        let (toc_at, len) = (range.start, range.end - range.start);
        let packed = whole(self.source().open_range(ctx, self.descriptor(), range).await?, len).await?;
        check(&expected, &packed)?; // of the compressed bytes, here
        let limits = Limits { max_bytes: MAX_TOC };
        let json = decompressed(&place.engine, Chunks::from_bytes(packed), None, limits, &place.stats);
        let json = json.collect(plain as usize).await?; // no more than MAX_TOC
        place.engine.pool().run(move || Toc::parse(&json, toc_at)).await?
    }

    /// A file's content by what the table says of it, chunk by chunk.
    pub(crate) fn file_by_toc(&self, file: &TocEntry, ctx: &Context) -> Chunks {
        let place = self.home().place();
        let state = Reading { layer: self.clone(), ctx: ctx.clone(), chunks: file.chunks.clone().into(), now: None };
        let content = Chunks::unfold(state, |mut state| async move { Ok(state.next().await?.map(|c| (c, state))) });
        let by_themselves = file.chunks.len() < 2 && file.chunks.iter().all(|chunk| chunk.digest.is_some());
        match &file.digest {
            Some(digest) if !by_themselves => verified(&place.engine, content, digest, file.size, &place.stats),
            _ => content, // the one chunk is verified, or there is nothing
        }
    }

    /// A file's content by reading the whole layer, which is verified by then.
    async fn file_by_reading(&self, path: &str, ctx: &Context) -> Result<Chunks> {
        let mut name = path.to_owned();
        for _ in 0..MAX_LINKS {
            match self.look_for(&name, ctx).await.map_err(|e| e.or_subject(&self.descriptor().digest))? {
                Some(Found::File(blob)) => return Ok(blob.open(0)),
                Some(Found::HardLink(target)) => name = target,
                Some(Found::Other) => return Err(invalid("not a file").subject(shown(path))),
                None => return Err(Error::new(Code::NotFound, "the file is not in the layer").subject(shown(path))),
            }
        }
        Err(malformed("hard links of the layer go in circles").subject(shown(path)))
    }

    async fn look_for(&self, path: &str, ctx: &Context) -> Result<Option<Found>> {
        let place = self.home().place();
        let mut tar = TarStream::new(self.uncompressed_chunks(ctx, None).await?);
        let mut found = None;
        while let Some(entry) = tar.next().await? {
            let name = std::str::from_utf8(&entry.name).ok().and_then(clean);
            if name.as_deref() != Some(path) {
                continue;
            }
            found = Some(match entry.kind {
                Kind::File => Found::File(spooled(place, &entry, &mut tar).await?),
                Kind::HardLink => {
                    let target = std::str::from_utf8(&entry.link).ok().and_then(clean);
                    let no = || malformed("a hard link leads out of the layer").subject(entry.shown());
                    Found::HardLink(target.ok_or_else(no)?)
                }
                _ => Found::Other,
            });
        }
        Ok(found)
    }
}

enum Found {
    File(SpoolBlob),
    HardLink(String),
    Other,
}

async fn spooled(place: &Place, entry: &TarEntry, tar: &mut TarStream) -> Result<SpoolBlob> {
    let mut spool = Spool::create(&place.engine, &place.spool_dir, &place.stats).await?;
    let mut content = TarContent::new(entry)?;
    while let Some(piece) = content.next(entry, tar).await? {
        spool.write(piece).await?;
    }
    spool.finish().await
}

fn promised(digest: &str) -> Result<Digest> {
    digest.parse().map_err(|_| malformed("the digest of the table of contents in the layer's descriptor is none"))
}

fn check(expected: &Digest, bytes: &[u8]) -> Result<()> {
    let actual = Digest::of(expected.algorithm(), bytes);
    match actual == *expected {
        true => Ok(()),
        false => {
            let why = format!("the table of contents has digest {actual}, not {expected}");
            Err(Error::new(Code::DigestMismatch, why))
        }
    }
}

/// A file on its way.
struct Reading {
    layer: Layer,
    ctx: Context,
    chunks: VecDeque<TocChunk>,
    now: Option<Chunks>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(now) = &mut self.now {
                match now.next().await.map_err(|e| self.concerning(e))? {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => self.now = None,
                }
            }
            let Some(chunk) = self.chunks.pop_front() else { return Ok(None) };
            self.now = Some(self.open(chunk).await?);
        }
    }

    /// The error of a piece as one of the layer: nobody knows a piece by its digest.
    fn concerning(&self, e: Error) -> Error {
        let blob = &self.layer.descriptor().digest;
        match e.code() {
            Code::DigestMismatch => e.subject(blob),
            _ => e.or_subject(blob),
        }
    }

    async fn open(&mut self, chunk: TocChunk) -> Result<Chunks> {
        if chunk.range.is_empty() {
            let zeros = |left: u64| async move {
                let n = left.min(ZEROS.len() as u64);
                Ok((n > 0).then(|| (Bytes::from_static(&ZEROS[..n as usize]), left - n)))
            };
            return Ok(Chunks::unfold(chunk.size, zeros));
        }
        let blob = self.layer.descriptor();
        let Some(digest) = &chunk.digest else {
            let why = "the layer's table of contents has no digest for a part of the file";
            return Err(Error::new(Code::Unsupported, why).subject(&blob.digest));
        };
        let place = self.layer.home().place();
        let packed = self.layer.source().open_range(&self.ctx, blob, chunk.range).await?;
        // What follows in the same member belongs to others.
        let plain = decompressed(&place.engine, packed, None, Limits::default(), &place.stats);
        let content = plain.skip(chunk.inner).take(chunk.size);
        Ok(verified(&place.engine, content, digest, chunk.size, &place.stats))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;
    use crate::options::Options;
    use crate::source::{Home, Memory};
    use crate::stream::{Compression, CompressionOptions};
    use crate::writer::LayerBuilder;

    fn made(kind: Compression) -> (Layer, Bytes) {
        let mut builder = LayerBuilder::new();
        builder.add_bytes("etc/small", 0o644, b"small").unwrap();
        builder.add_bytes("etc/large", 0o644, &[b'x'; 5 << 20]).unwrap();
        builder.add_bytes("etc/empty", 0o644, b"").unwrap();
        builder.add_symlink("etc/link", "small").unwrap();
        let compression = CompressionOptions { kind: Some(kind), level: None };
        let ctx = Context::new();
        let layer = builder.build(&Options::new().compression(compression), &ctx).wait().unwrap();
        let bytes = read(layer.open(&ctx).wait().unwrap()).unwrap();
        (layer, bytes.into())
    }

    fn read(mut reader: Reader) -> Result<Vec<u8>> {
        let (ctx, mut all) = (Context::new(), Vec::new());
        loop {
            match reader.next(&ctx).wait()? {
                piece if piece.is_empty() => return Ok(all),
                piece => all.extend_from_slice(&piece),
            }
        }
    }

    fn file(layer: &Layer, path: &str) -> Result<Vec<u8>> {
        read(layer.open_file(path, &Context::new()).wait()?)
    }

    fn of(descriptor: &Descriptor, bytes: Bytes) -> Layer {
        Layer::named(descriptor.clone(), None, Arc::new(Memory(bytes)), Home::Local(Place::here().unwrap()))
    }

    #[test]
    fn files_of_layers_with_and_without_a_table() {
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Estargz] {
            let (layer, _) = made(kind);
            let toc = layer.table_of_contents(&Context::new()).wait().unwrap();
            assert_eq!((layer.has_toc(), toc.is_some()), (kind == Compression::Estargz, kind == Compression::Estargz));
            assert_eq!(file(&layer, "/etc/small").unwrap(), b"small");
            assert!(file(&layer, "etc/large").unwrap() == [b'x'; 5 << 20]);
            assert!(file(&layer, "./etc/empty").unwrap().is_empty());
            let code = |path: &str| file(&layer, path).unwrap_err().code();
            assert_eq!((code("etc/none"), code("etc/link")), (Code::NotFound, Code::InvalidArgument));
            assert_eq!((code(""), code("../etc/small")), (Code::InvalidArgument, Code::InvalidArgument));
        }
    }

    /// Whatever byte is another: the right content or an error.
    #[test]
    fn damage_is_never_given_as_content() {
        let (layer, blob) = made(Compression::Estargz);
        let (descriptor, len) = (layer.descriptor().clone(), blob.len());
        let mut failed = 0;
        for at in (0..80).map(|i| i * len / 80).chain((len - 600..len).step_by(5)) {
            let mut bad = blob.to_vec();
            bad[at] ^= 0x21;
            let bad = of(&descriptor, bad.into());
            for (path, good) in [("etc/small", &b"small"[..]), ("etc/large", &[b'x'; 5 << 20])] {
                match file(&bad, path) {
                    Ok(content) => assert!(content == good, "byte {at}"),
                    Err(e) => {
                        assert!(matches!(e.code(), Code::DigestMismatch | Code::Malformed), "byte {at}: {e}");
                        assert!(e.get_subject().is_some(), "byte {at}: {e}");
                        failed += 1;
                    }
                }
            }
        }
        assert!(failed > 150, "{failed}");
        for short in [0, 10, 51, len - 1] {
            assert!(file(&of(&descriptor, blob.slice(..short)), "etc/small").is_err());
        }
    }

    #[test]
    fn a_promise_that_is_not_kept_is_an_error() {
        let (layer, blob) = made(Compression::Estargz);
        let (plain, gzip) = made(Compression::Gzip);
        let mut other = layer.descriptor().clone();
        other.annotations.insert(ESTARGZ_DIGEST.into(), Digest::sha256(b"").to_string());
        assert_eq!(file(&of(&other, blob.clone()), "etc/small").unwrap_err().code(), Code::DigestMismatch);
        other.annotations.insert(ESTARGZ_DIGEST.into(), "nonsense".into());
        assert_eq!(file(&of(&other, blob.clone()), "etc/small").unwrap_err().code(), Code::Malformed);
        let mut none = plain.descriptor().clone();
        none.annotations = layer.descriptor().annotations.clone();
        let e = file(&of(&none, gzip), "etc/small").unwrap_err();
        assert_eq!((e.code(), e.get_subject()), (Code::Malformed, Some(none.digest.as_str())));
        // Without the annotation the table is not believed, and the layer is read.
        let mut silent = layer.descriptor().clone();
        silent.annotations.clear();
        let silent = of(&silent, blob);
        assert!(!silent.has_toc() && silent.table_of_contents(&Context::new()).wait().unwrap().is_none());
        assert_eq!(file(&silent, "etc/small").unwrap(), b"small");
    }
}
