//! One layer: its bytes, its tar, and what descriptor, config and maker say of them.

use super::table::Table;
use super::{Found, drain};
use crate::context::{Context, lock};
use crate::digest::{Algorithm, Digest, shown};
use crate::error::{Code, Error, Result, malformed};
use crate::layer::Layer;
use crate::oci::LayerCompression;
use crate::stream::{Blocks, Chunks, Compression, ESTARGZ_DIGEST, ESTARGZ_SIZE, FOOTER_LEN, Limits, TarStream, Toc};
use crate::stream::{decompressed, read_footer, sniff, tell_of_table};
use bytes::Bytes;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Paths of one layer that are looked at for being there twice.
const MOST_PATHS: usize = 1 << 19;
/// Of them, those that are told.
const MOST_PATHS_TOLD: usize = 100;

/// `of_image`: it is to be a layer. An artifact's content is known by its digest alone, whatever its type says.
pub(super) async fn of_layer(layer: &Layer, claimed: Option<&Digest>, of_image: bool, ctx: &Context) -> Found {
    let mut found = Vec::new();
    let read = match of_image {
        true => read_layer(layer, claimed, ctx, &mut found).await,
        false => drain(layer, ctx).await,
    };
    found.extend(read.err());
    found.into_iter().map(|e| e.within(&layer.descriptor().digest)).collect()
}

/// Reads a layer to its end. An error is one of reading; what is wrong otherwise is noted.
async fn read_layer(layer: &Layer, claimed: Option<&Digest>, ctx: &Context, found: &mut Found) -> Result<()> {
    let blob = layer.descriptor();
    let place = layer.home().place();
    let promised = match blob.media_type.is_layer() && tell_of_table(&blob.annotations) {
        true => Some(promised_table(layer, ctx).await),
        false => None,
    };
    let tail = Arc::new(Mutex::new(Vec::new()));
    let keeping = tail.clone();
    let stored = layer.chunks(ctx).await?.inspect(move |chunk| keep_end(&mut lock(&keeping), chunk));
    let mut blocks = Blocks::new(stored, place.engine.shelf());
    let is = sniff(&blocks.peek().await?);
    if let Some(said) = blob.media_type.compression()
        && said != in_words_of_types(is)
    {
        found.push(malformed(format!("the media type is {}, and the bytes are {}", blob.media_type, name(is))));
    }
    let plain = decompressed(&place.engine, blocks.into_chunks(), None, Limits::default(), &place.stats);
    let hasher = Arc::new(Mutex::new(claimed.map_or(Algorithm::Sha256, Digest::algorithm).hasher()));
    let size = Arc::new(AtomicU64::new(0));
    let (hashing, counting) = (hasher.clone(), size.clone());
    let mut plain = plain.inspect(move |chunk| {
        lock(&hashing).update(chunk);
        counting.fetch_add(chunk.len() as u64, Relaxed);
    });
    match blob.media_type.is_layer() {
        true => {
            let table = match &promised {
                Some(Ok(toc)) => Some(Table::new(toc.clone(), blob.annotations.contains_key(ESTARGZ_DIGEST))),
                _ => None,
            };
            read_tar(layer, plain, Some(Paths::default()), table, found).await?;
        }
        false => while plain.next().await?.is_some() {}, // of some other kind, and none of ours to read
    }
    let actual = lock(&hasher).clone().finish();
    if let Some(claimed) = claimed.filter(|claimed| **claimed != actual) {
        let why = format!("the config names the diff id {claimed}, and the layer's is {actual}");
        found.push(Error::new(Code::DigestMismatch, why));
    }
    sizes(layer, size.load(Relaxed), found);
    // Only of a layer that is whole: what is wrong with the table otherwise comes of that.
    match promised {
        Some(Err(e)) if is_about_content(&e) => found.push(e),
        Some(Err(e)) => return Err(e),
        Some(Ok(_)) => {}
        None if is == Compression::Gzip && read_footer(&lock(&tail)).is_some() && blob.media_type.is_layer() => {
            unpromised_table(layer, ctx, found).await?;
        }
        None => {}
    }
    Ok(())
}

async fn promised_table(layer: &Layer, ctx: &Context) -> Result<Arc<Toc>> {
    let half = || malformed("the descriptor's annotations tell of half a table of contents");
    layer.look_at_toc(ctx).await?.ok_or_else(half)
}

/// The table that an eStargz layer ends with, though its descriptor says nothing of it. Others may believe it, and so
/// the layer is read once more.
async fn unpromised_table(layer: &Layer, ctx: &Context, found: &mut Found) -> Result<()> {
    let toc = match layer.read_estargz(None, ctx).await {
        Ok(toc) => Arc::new(toc),
        Err(e) if is_about_content(&e) => {
            found.push(e);
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let plain = layer.uncompressed_chunks(ctx, None).await?;
    read_tar(layer, plain, None, Some(Table::new(toc, true)), found).await
}

fn is_about_content(e: &Error) -> bool {
    matches!(e.code(), Code::Malformed | Code::DigestMismatch | Code::Unsupported | Code::LimitExceeded)
}

/// What was said of the tar's size.
fn sizes(layer: &Layer, actual: u64, found: &mut Found) {
    let wrong = |who: &str, said: &str| {
        let why = format!("{who} an uncompressed size of {said} bytes, and the layer has {actual}");
        Error::new(Code::DigestMismatch, why)
    };
    if let Some(said) = layer.told_size().filter(|said| *said != actual) {
        found.push(wrong("it was given with", &said.to_string()));
    }
    if let Some(said) = layer.descriptor().annotations.get(ESTARGZ_SIZE)
        && said.parse() != Ok(actual)
    {
        found.push(wrong("the annotations name", &shown(said)));
    }
}

/// Reads a tar to its end, and notes the paths that come twice, and what a table says otherwise.
async fn read_tar(
    layer: &Layer,
    plain: Chunks,
    mut paths: Option<Paths>,
    mut table: Option<Table>,
    found: &mut Found,
) -> Result<()> {
    let mut tar = TarStream::new(plain);
    while let Some(entry) = tar.next().await? {
        if let Some(paths) = &mut paths
            && !paths.insert(&entry.name)
            && paths.twice <= MOST_PATHS_TOLD
        {
            found.push(malformed(format!("{} is there twice", entry.shown())));
        }
        if let Some(table) = &mut table {
            table.entry(&entry, &mut tar, layer.home().place(), found).await?;
        }
    }
    if let Some(table) = table {
        table.end(found);
    }
    Ok(())
}

/// Keeps as much of a blob's end as a footer takes.
fn keep_end(tail: &mut Vec<u8>, chunk: &Bytes) {
    tail.extend_from_slice(&chunk[chunk.len().saturating_sub(FOOTER_LEN)..]);
    tail.drain(..tail.len().saturating_sub(FOOTER_LEN));
}

/// The paths of a tar, as hashes that nobody can foresee: half a million of them take no more than 10 MiB.
#[derive(Default)]
struct Paths {
    seen: HashSet<u64>,
    keys: RandomState,
    twice: usize,
}

impl Paths {
    /// Whether it is a new one.
    fn insert(&mut self, name: &[u8]) -> bool {
        let mut hash = self.keys.build_hasher();
        for part in name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
            hash.write(part);
            hash.write_u8(b'/');
        }
        let new = self.seen.len() >= MOST_PATHS || self.seen.insert(hash.finish());
        self.twice += usize::from(!new);
        new
    }
}

fn in_words_of_types(compression: Compression) -> LayerCompression {
    match compression {
        Compression::None => LayerCompression::None,
        Compression::Gzip | Compression::Estargz => LayerCompression::Gzip,
        Compression::Zstd => LayerCompression::Zstd,
    }
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "not compressed",
        Compression::Gzip | Compression::Estargz => "gzip",
        Compression::Zstd => "zstd",
    }
}
