//! The compressions a layer may have: how they are chosen, recognised and undone.

use super::{gzip, zstd};
use crate::error::{Result, invalid, malformed};
use crate::oci::MediaType;
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use std::fmt;
use std::str::FromStr;

/// How the bytes of a layer are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, what everything can read.
    Gzip,
    /// zstd.
    Zstd,
    /// gzip with a table of contents, so that single files can be read out of it; everything that reads gzip reads it.
    Estargz,
}

impl Compression {
    /// `none`, `gzip`, `zstd` or `estargz`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Estargz => "estargz",
        }
    }
    /// The OCI type of a layer that is compressed so.
    pub(crate) fn media_type(self) -> MediaType {
        match self {
            Compression::None => MediaType::OCI_LAYER,
            Compression::Gzip | Compression::Estargz => MediaType::OCI_LAYER_GZIP,
            Compression::Zstd => MediaType::OCI_LAYER_ZSTD,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = crate::Error;
    fn from_str(text: &str) -> Result<Compression> {
        match text {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            "zstd" => Ok(Compression::Zstd),
            "estargz" => Ok(Compression::Estargz),
            _ => Err(invalid("not a compression: there are none, gzip, zstd and estargz")
                .subject(crate::digest::shown(text))),
        }
    }
}

/// How a new layer is to be compressed. The default is automatic: input that is gzip or zstd stays as it is, anything
/// else becomes gzip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionOptions {
    /// `None`: automatic. Otherwise input in another compression is decompressed and compressed anew; input that has
    /// this one already still stays as it is.
    pub kind: Option<Compression>,
    /// gzip and estargz: 1 to 9, by default 2. zstd: 1 to 19, by default 3. It must be `None` for
    /// [`Compression::None`].
    pub level: Option<i32>,
}

impl CompressionOptions {
    /// An error that names what makes no sense.
    pub fn check(&self) -> Result<()> {
        self.level_of(self.kind.unwrap_or(Compression::Gzip)).map(drop)
    }

    pub(crate) fn level_of(&self, kind: Compression) -> Result<i32> {
        let (levels, default) = match kind {
            Compression::None if self.level.is_some() => return Err(invalid("a level of no compression")),
            Compression::None => return Ok(0),
            Compression::Gzip | Compression::Estargz => (gzip::LEVELS, gzip::DEFAULT_LEVEL),
            Compression::Zstd => (zstd::LEVELS, zstd::DEFAULT_LEVEL),
        };
        let level = self.level.unwrap_or(default);
        if levels.contains(&level) {
            return Ok(level);
        }
        Err(invalid(format!("{kind} has levels {} to {}, not {level}", levels.start(), levels.end())))
    }
}

/// How many bytes [`sniff`] needs at most.
pub(crate) const MAGIC_LEN: usize = 4;

/// What a stream that begins so is compressed with.
pub(crate) fn sniff(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Undoes a compression in bounded steps, and checks what the format has checksums for.
pub(crate) struct Decoder(Kind);

enum Kind {
    None,
    Gzip(Box<Gunzip>),
    Zstd(zstd::Decoder),
}

impl Decoder {
    pub(crate) fn new(kind: Compression) -> Result<Decoder> {
        Ok(Decoder(match kind {
            Compression::None => Kind::None,
            Compression::Gzip | Compression::Estargz => Kind::Gzip(Box::new(Gunzip::new())),
            Compression::Zstd => Kind::Zstd(zstd::Decoder::new()?),
        }))
    }

    /// The next at most `limit` bytes. None, if all of `input` is used and more of it is needed.
    #[cfg(test)]
    pub(crate) fn step(&mut self, input: &mut Bytes, limit: usize) -> Result<Bytes> {
        let mut out = Vec::new();
        out.reserve_exact(limit);
        self.decode_into(input, &mut out)?;
        Ok(out.into())
    }

    /// Decompresses into the free capacity of `out` until that is full or `input` is used up. Call again with no input
    /// while it comes back full: there may be more inside.
    pub(crate) fn decode_into(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        match &mut self.0 {
            Kind::None => {
                let n = input.len().min(out.capacity() - out.len());
                out.extend_from_slice(&input.split_to(n));
            }
            Kind::Gzip(gunzip) => gunzip.decode_into(input, out)?,
            Kind::Zstd(decoder) => {
                let used = decoder.decode_into(input, out)?;
                input.advance(used);
            }
        }
        Ok(())
    }

    /// An error if the stream may not end here.
    pub(crate) fn finish(&self) -> Result<()> {
        let (complete, kind) = match &self.0 {
            Kind::None => return Ok(()),
            Kind::Gzip(gunzip) => (!gunzip.within, Compression::Gzip),
            Kind::Zstd(decoder) => (decoder.complete(), Compression::Zstd),
        };
        match complete {
            true => Ok(()),
            false => Err(malformed(format!("the {kind} stream ends too early"))),
        }
    }
}

/// Members one after the other are one stream. As in Go, nothing but members may follow, not even zeros.
struct Gunzip {
    inflate: Decompress,
    within: bool,
    first: bool,
}

impl Gunzip {
    const WINDOW_BITS: u8 = 15;

    fn new() -> Gunzip {
        Gunzip { inflate: Decompress::new_gzip(Gunzip::WINDOW_BITS), within: false, first: true }
    }

    fn decode_into(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<()> {
        // With room and no input there may still be something to come out, but not between two members.
        while out.len() < out.capacity() && (self.within || !input.is_empty()) {
            let (used, made) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress_vec(input, out, FlushDecompress::None);
            let used = self.inflate.total_in() - used;
            input.advance(usize::try_from(used).unwrap_or(usize::MAX).min(input.len()));
            self.within |= used > 0;
            match result {
                Ok(Status::StreamEnd) => {
                    self.inflate.reset(true);
                    (self.within, self.first) = (false, false);
                }
                Ok(_) if used == 0 && self.inflate.total_out() == made => return self.stuck(input),
                Ok(_) => {}
                Err(_) if !self.first && self.inflate.total_in() < 10 => {
                    return Err(malformed("bytes that are not gzip follow the end of the gzip stream"));
                }
                Err(e) => {
                    return Err(malformed(format!(
                        "the gzip stream is corrupt: {}",
                        e.message().unwrap_or("bad data")
                    )));
                }
            }
        }
        Ok(())
    }

    fn stuck(&self, input: &Bytes) -> Result<()> {
        match input.is_empty() {
            true => Ok(()),
            false => Err(malformed("the gzip stream is corrupt: it does not go on")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gzip::tests::{compress, sample};
    use super::*;
    use crate::error::Code;

    /// In steps of `limit`, with input in pieces of `chunk`.
    fn decode(data: &[u8], chunk: usize, limit: usize) -> Result<Vec<u8>> {
        let mut decoder = Decoder::new(sniff(data))?;
        let mut out = Vec::new();
        for piece in data.chunks(chunk) {
            let mut input = Bytes::copy_from_slice(piece);
            loop {
                let step = decoder.step(&mut input, limit)?;
                assert!(step.len() <= limit);
                if step.is_empty() {
                    assert!(input.is_empty());
                    break;
                }
                out.extend(step);
            }
        }
        decoder.finish()?;
        Ok(out)
    }

    fn zst(data: &[u8]) -> Vec<u8> {
        zstd::Encoder::new(3).unwrap().step(data, true).unwrap()
    }

    fn code(result: Result<Vec<u8>>) -> Option<Code> {
        result.err().map(|e| e.code())
    }

    #[test]
    fn recognises_by_the_first_bytes() {
        assert_eq!(sniff(&[0x1f, 0x8b]), Compression::Gzip);
        assert_eq!(sniff(&[0x28, 0xb5, 0x2f, 0xfd, 0]), Compression::Zstd);
        assert_eq!(sniff(&[0x5a, 0x2a, 0x4d, 0x18]), Compression::Zstd);
        for none in [&b""[..], &[0x1f], &[0x28, 0xb5, 0x2f], b"bin/sh", &[0x60, 0x2a, 0x4d, 0x18]] {
            assert_eq!(sniff(none), Compression::None);
        }
    }

    #[test]
    fn any_cut_gives_the_same() {
        let data = sample(60_000);
        for packed in [compress(&data, 2, 20_000), zst(&data), data.clone()] {
            for (chunk, limit) in [(1, 7), (10, 1), (1_000, 333), (100_000, 10), (17, 100_000), (100_000, 60_000)] {
                assert!(decode(&packed, chunk, limit).unwrap() == data, "{chunk} {limit}");
            }
        }
    }

    #[test]
    fn members_and_frames_in_series_are_one_stream() {
        let (a, b) = (sample(5_000), sample(100));
        let both = [&a[..], &b].concat();
        let gz = [compress(&a, 2, 1_000), compress(&[], 9, 10), compress(&b, 1, 50)].concat();
        let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let z = [skippable.clone(), zst(&a), skippable, zst(&[]), zst(&b)].concat();
        for packed in [gz, z] {
            for (chunk, limit) in [(1, 100), (100_000, 50), (100_000, 5_100), (13, 5_000)] {
                assert!(decode(&packed, chunk, limit).unwrap() == both, "{chunk} {limit}");
            }
        }
    }

    #[test]
    fn truncation_anywhere_is_an_error() {
        let data = sample(300);
        for packed in [compress(&data, 2, 100), zst(&data)] {
            for len in 4..packed.len() {
                assert_eq!(code(decode(&packed[..len], 64, 100)), Some(Code::Malformed), "{len} of {}", packed.len());
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error() {
        let data = sample(3_000);
        let gz = compress(&data, 2, 1_000);
        // The last eight bytes are checksum and size; bytes 4 to 9 of the header say nothing about the content.
        for at in [2, 3, 10, 300, gz.len() - 8, gz.len() - 5, gz.len() - 4, gz.len() - 1] {
            let mut bad = gz.clone();
            bad[at] ^= 0x40;
            assert_eq!(code(decode(&bad, 64, 100)), Some(Code::Malformed), "byte {at}");
        }
        let z = zst(&data);
        for at in [z.len() / 2, z.len() - 1, z.len() - 4] {
            let mut bad = z.clone();
            bad[at] ^= 0x40;
            assert_eq!(code(decode(&bad, 64, 100)), Some(Code::Malformed), "byte {at}");
        }
    }

    #[test]
    fn nothing_may_follow() {
        for garbage in [&b"garbage"[..], &[0; 512], &[0], &[0x1f], &[0x1f, 0x8b, 9]] {
            for packed in [compress(b"x", 2, 10), zst(b"x")] {
                for chunk in [1, 3, 10_000] {
                    let data = [&packed[..], garbage].concat();
                    assert_eq!(code(decode(&data, chunk, 100)), Some(Code::Malformed), "{garbage:?}");
                }
            }
        }
    }

    #[test]
    fn levels_are_checked_by_kind() {
        let with = |kind, level| CompressionOptions { kind, level }.check().is_ok();
        assert!(with(None, None) && with(None, Some(9)) && with(Some(Compression::Zstd), Some(19)));
        assert!(with(Some(Compression::None), None));
        for (kind, level) in [(None, 0), (None, 10), (Some(Compression::Zstd), 20), (Some(Compression::None), 1)] {
            assert!(!with(kind, Some(level)), "{kind:?} {level}");
        }
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Estargz] {
            assert_eq!(kind.name().parse::<Compression>().unwrap(), kind);
        }
        assert!("xz".parse::<Compression>().is_err());
    }
}
