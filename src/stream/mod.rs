//! How bytes flow: chunks one after the other, checked, hashed, compressed and stored on their way.
//!
//! A transfer is a chain of [`Chunks`], pulled from its end. What computes, or touches a local file, is a short job on
//! the engine's pool over at most [`BLOCK`] or so bytes; the async code between the jobs keeps their order and bounds
//! how many are under way. So memory is flat, all cores are busy, and nothing waits for a thread that something else
//! holds. Dropping the end of a chain ends all of it.
//!
//! * `body`: [`Chunks`], the channel that feeds one, and the cutting into equal blocks;
//! * `hash`: hashing beside the flow, and [`verified`] streams;
//! * `codec`, `gzip`, `zstd`: what compression there is, both ways, in bounded steps;
//! * `inflate`: [`decompressed`] streams;
//! * `file`, `write`, `spool`: local files as streams, streams into them, and the temporary file without a name;
//! * `new_file`: a file that takes its place when it is whole;
//! * `encode`: a tar becomes a layer's blob, in one pass; `estargz`: one with a table of contents;
//! * `toc`: those tables;
//! * `tar`: tars of directories and of single entries, and the reading of tars that stream by;
//! * `stats`: what was done, in numbers.

mod body;
mod codec;
mod encode;
mod estargz;
#[cfg(test)]
mod estargz_tests;
mod file;
mod gzip;
mod hash;
mod inflate;
mod new_file;
mod spool;
mod stats;
mod tar;
mod toc;
mod write;
mod zstd;

pub(crate) use body::{Blocks, Chunks, Sender, channel};
pub(crate) use codec::sniff;
pub use codec::{Compression, CompressionOptions};
pub(crate) use encode::{BlobOut, Encoded, Input, encode};
pub(crate) use file::{read_all, read_file};
pub(crate) use hash::{Hashing, verified, verified_from};
pub(crate) use inflate::{Limits, decompressed};
pub(crate) use new_file::NewFile;
pub(crate) use spool::{Spool, SpoolBlob};
pub(crate) use stats::Stats;
pub(crate) use tar::{DirTar, TarEntries, check_head};
pub(crate) use tar::{END as TAR_END, filling as tar_filling};
pub(crate) use tar::{
    Kind, TarContent, TarEntry, TarStream, Timestamp, Verdict, XATTR as TAR_XATTR, retime_headers, rewritten,
};
pub(crate) use write::FileWriter;

pub(crate) use toc::{CHUNKED_DIGEST, CHUNKED_POSITION, ESTARGZ_DIGEST, ESTARGZ_SIZE};
pub(crate) use toc::{MAX_LINKS, MAX_TOC, TOC_NAME, chunked_position, clean, estargz as estargz_toc, whole};
pub use toc::{Toc, TocChunk, TocEntry, TocKind};

/// What one job handles: large enough that starting it costs nothing, small enough that nobody waits for it. It is
/// also the block of the parallel gzip writer, so that changing it changes the digests of new layers.
pub(crate) use crate::block::BLOCK;
