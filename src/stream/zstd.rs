//! zstd, both ways, in bounded steps. One frame is one stream: its blocks are compressed in order.

use crate::error::{Code, Error, Result, malformed};
use ::zstd::stream::raw::{CParameter, DParameter, InBuffer, Operation, OutBuffer};

/// The levels there are; those above need more memory than a library may take.
pub(crate) const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;
/// zstd's own default.
pub(crate) const DEFAULT_LEVEL: i32 = 3;
/// A frame that wants more memory than 2^27 bytes, 128 MiB, to be decompressed is refused.
const WINDOW_LOG_MAX: u32 = 27;

/// Writes one frame with a checksum. What comes out depends on the bytes, the level, and how the steps are cut.
pub(crate) struct Encoder(::zstd::stream::raw::Encoder<'static>);

impl Encoder {
    pub(crate) fn new(level: i32) -> Result<Encoder> {
        let mut raw = ::zstd::stream::raw::Encoder::new(level).map_err(failed)?;
        raw.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        Ok(Encoder(raw))
    }

    /// What is ready after `block`; all of it after the last one.
    pub(crate) fn step(&mut self, block: &[u8], last: bool) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(block.len() / 2 + 1024);
        let mut input = InBuffer::around(block);
        while input.pos() < block.len() {
            self.0.run(&mut input, &mut room(&mut out)).map_err(failed)?;
        }
        while last && self.0.finish(&mut room(&mut out), true).map_err(failed)? > 0 {}
        if out.len() < out.capacity() / 2 {
            out.shrink_to_fit(); // who gathers small ones counts their bytes, not the room around them
        }
        Ok(out)
    }
}

/// The free part of `out`, made if there is none.
fn room(out: &mut Vec<u8>) -> OutBuffer<'_, Vec<u8>> {
    if out.len() == out.capacity() {
        out.reserve(64 << 10);
    }
    let at = out.len();
    OutBuffer::around_pos(out, at)
}

/// Reads frames one after the other, skippable ones included.
pub(crate) struct Decoder {
    raw: ::zstd::stream::raw::Decoder<'static>,
    within: bool,
}

impl Decoder {
    pub(crate) fn new() -> Result<Decoder> {
        let mut raw = ::zstd::stream::raw::Decoder::new().map_err(failed)?;
        raw.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(failed)?;
        Ok(Decoder { raw, within: false })
    }

    /// Decompresses into the free capacity of `out`, and says how much of `input` was used. Nothing is left inside
    /// that could still come out unless `out` is full.
    pub(crate) fn decode_into(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let mut input = InBuffer::around(input);
        while out.len() < out.capacity() {
            let (used, made) = (input.pos(), out.len());
            if used == input.src.len() && !self.within {
                break;
            }
            let at = out.len();
            let left = self.raw.run(&mut input, &mut OutBuffer::around_pos(out, at)).map_err(refused)?;
            self.within = left > 0;
            if input.pos() == used && out.len() == made {
                break;
            }
        }
        Ok(input.pos())
    }

    /// Whether the last frame is complete.
    pub(crate) fn complete(&self) -> bool {
        !self.within
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::new(Code::Internal, format!("zstd: {e}"))
}

fn refused(e: std::io::Error) -> Error {
    let text = e.to_string();
    if text.contains("too much memory") {
        let limit = 1_u64 << (WINDOW_LOG_MAX - 20);
        return Error::new(Code::LimitExceeded, format!("the zstd frame has a window of more than {limit} MiB"));
    }
    malformed(format!("the zstd stream is corrupt: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(data: &[u8], level: i32, block: usize) -> Vec<u8> {
        let mut encoder = Encoder::new(level).unwrap();
        let mut out = Vec::new();
        for chunk in data.chunks(block) {
            out.extend(encoder.step(chunk, false).unwrap());
        }
        out.extend(encoder.step(&[], true).unwrap());
        out
    }

    #[test]
    fn small_steps_keep_no_room() {
        let mut encoder = Encoder::new(3).unwrap();
        let steps: Vec<Vec<u8>> = (0..8).map(|_| encoder.step(&[0; 256 << 10], false).unwrap()).collect();
        assert!(steps.iter().map(Vec::capacity).sum::<usize>() < 4 << 10);
    }

    #[test]
    fn round_trip_with_checksum() {
        let data = super::super::gzip::tests::sample(700_000);
        for level in [1, 3, 9, 19] {
            let z = frame(&data, level, 256 << 10);
            assert!(::zstd::stream::decode_all(&z[..]).unwrap() == data);
            assert_eq!(z[4] & 4, 4, "the frame's header announces a checksum");
            assert!(z == frame(&data, level, 256 << 10));
        }
        assert!(::zstd::stream::decode_all(&frame(&[], 3, 1)[..]).unwrap().is_empty());
    }

    #[test]
    fn bytes_are_the_same_as_ever() {
        let data = super::super::gzip::tests::sample(700_000);
        let digests = [3, 19].map(|l| crate::Digest::sha256(&frame(&data, l, 256 << 10)).hex()[..16].to_owned());
        assert_eq!(digests, GOLDEN, "see the test of the same name in gzip.rs");
    }
    const GOLDEN: [&str; 2] = ["7317ef06401e3b87", "c4ff7ac41c0fde5f"];

    #[test]
    fn a_window_that_is_too_large_is_refused() {
        // A frame header with a window descriptor and nothing else: exponent in the upper five bits.
        for (window, code) in [(28, Some(Code::LimitExceeded)), (31, Some(Code::LimitExceeded)), (27, None)] {
            let mut head = vec![0x28, 0xb5, 0x2f, 0xfd, 0, ((window - 10) << 3) as u8];
            head.extend([1, 0, 0]); // one last raw block of no bytes
            let result = Decoder::new().unwrap().decode_into(&head, &mut Vec::with_capacity(10));
            assert_eq!(result.err().map(|e| e.code()), code, "2^{window}");
        }
    }
}
