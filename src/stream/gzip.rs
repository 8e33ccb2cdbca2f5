//! The gzip that this library writes: blocks that are compressed independently, and so on all cores, into one member.
//!
//! Each block is deflated raw with the 32 KiB before it as dictionary and ends on a byte boundary (a sync flush), so
//! that the pieces simply follow each other. The result depends on the bytes and the level alone: the blocks are cut at
//! multiples of [`super::BLOCK`] of the input, whoever compresses them.

use flate2::{Compress, FlushCompress, Status};
use std::cell::RefCell;

/// How much of what precedes a block helps to compress it: deflate looks no further back.
pub(crate) const DICTIONARY: usize = 32 << 10;
/// The levels there are.
pub(crate) const LEVELS: std::ops::RangeInclusive<i32> = 1..=9;
/// Smaller output than Go's fastest level, at more than twice its speed.
pub(crate) const DEFAULT_LEVEL: i32 = 2;

/// The header of a member without name and time. Its ninth byte tells of the level as Go's writer does.
pub(crate) fn header(level: i32) -> [u8; 10] {
    let extra = match level {
        1 => 4,
        9 => 2,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255]
}

/// What follows the last block, by the checksum of all of the input.
pub(crate) fn trailer(crc: &crc32fast::Hasher, size: u64) -> [u8; 8] {
    let crc = crc.clone().finalize().to_le_bytes();
    let size = (size as u32).to_le_bytes(); // modulo 2^32, by RFC 1952
    [crc[0], crc[1], crc[2], crc[3], size[0], size[1], size[2], size[3]]
}

thread_local! {
    // Room for the largest output; what comes out is much smaller, and gets a buffer of its own size.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `prefix`, and then the deflated `block`. `before` is what precedes the block in the input: all of it, or
/// [`DICTIONARY`] bytes or more.
pub(crate) fn compress_block(prefix: &[u8], block: &[u8], before: &[u8], level: i32, last: bool) -> Vec<u8> {
    let dictionary = &before[before.len().saturating_sub(DICTIONARY)..];
    // A new compressor each time: one that is reset hashes the end of its dictionary together with whatever it had in
    // its window before (zlib-rs 0.6.8), and so may choose other matches.
    let mut deflate = Compress::new(flate2::Compression::new(level.unsigned_abs()), false);
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary).expect("a raw stream that has seen nothing takes a dictionary");
    }
    ROOM.with_borrow_mut(|out| {
        out.clear();
        out.extend_from_slice(prefix);
        // No encoding needs nine bits for a byte of input and more than these for the rest. All has to go out in one
        // call: a flush that is interrupted for want of room is made twice.
        out.reserve(block.len() + block.len() / 8 + 1024);
        let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
        let status = deflate.compress_vec(block, out, flush).expect("the compressor is in order");
        let done = match status {
            Status::StreamEnd => last,
            _ => !last && out.len() < out.capacity(),
        };
        assert!(done && deflate.total_in() == block.len() as u64, "the output has room for the whole block");
        out.as_slice().into()
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::BLOCK;
    use super::*;
    use crate::digest::Digest;
    use std::io::Read;

    /// As the pipeline does it, block by block.
    pub(crate) fn compress(data: &[u8], level: i32, block: usize) -> Vec<u8> {
        let mut out = header(level).to_vec();
        let mut crc = crc32fast::Hasher::new();
        let mut at = 0;
        loop {
            let end = data.len().min(at + block);
            let last = end == data.len();
            out = compress_block(&out, &data[at..end], &data[..at], level, last);
            let mut own = crc32fast::Hasher::new();
            own.update(&data[at..end]);
            crc.combine(&own);
            at = end;
            if last {
                break;
            }
        }
        out.extend(trailer(&crc, data.len() as u64));
        out
    }

    /// Text-like bytes that any change of the compressor's choices would show in.
    pub(crate) fn sample(len: usize) -> Vec<u8> {
        let mut x = 0x2545_f491_4f6c_dd1d_u64;
        let mut out = Vec::with_capacity(len + 16);
        while out.len() < len {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            match x % 5 {
                0 => out.extend_from_slice(b"usr/share/doc/"),
                1 => out.extend_from_slice(&x.to_le_bytes()),
                2 => out.extend_from_slice(format!("{:o}\0", x >> 44).as_bytes()),
                3 => {
                    let back = (x >> 8) as usize % 50_000;
                    let from = out.len().saturating_sub(back);
                    let to = out.len().min(from + (x >> 40) as usize % 60);
                    out.extend_from_within(from..to);
                }
                _ => out.extend_from_slice(&[0; 11]),
            }
        }
        out.truncate(len);
        out
    }

    fn inflate(gz: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::MultiGzDecoder::new(gz).read_to_end(&mut out).unwrap();
        out
    }

    /// If this fails after an update of zlib-rs, new layers get other digests than with earlier versions: that is a
    /// change for the changelog, not just for this table.
    #[test]
    fn bytes_are_the_same_as_ever() {
        let data = sample(BLOCK * 2 + 12_345);
        let digests: Vec<String> =
            LEVELS.map(|l| Digest::sha256(&compress(&data, l, BLOCK)).hex()[..16].to_owned()).collect();
        assert_eq!(digests, GOLDEN);
    }
    const GOLDEN: [&str; 9] = [
        "2776e5dd8aebae52",
        "985c5ff00071b717",
        "9c894d783517be0e",
        "1dccc1b77dae63c5",
        "587979d4d6770775",
        "3cf45e88a77ab6d5",
        "115687f7dcfe2732",
        "b07d6f60790d996f",
        "14e0b3826c124ff7",
    ];

    #[test]
    fn round_trip() {
        for level in LEVELS {
            for len in [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
                let data = sample(len);
                let gz = compress(&data, level, BLOCK);
                assert!(inflate(&gz) == data, "level {level}, {len} bytes");
            }
        }
    }

    #[test]
    fn incompressible_blocks_fit() {
        let mut x = 1_u64;
        let noise: Vec<u8> = (0..BLOCK * 2)
            .map(|_| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (x >> 56) as u8
            })
            .collect();
        for level in LEVELS {
            let gz = compress(&noise, level, BLOCK);
            assert!(inflate(&gz) == noise);
            let more = if level == 1 { noise.len() / 16 } else { noise.len() / 1000 }; // level 1 never just stores
            assert!(gz.len() < noise.len() + more, "level {level}: {}", gz.len());
        }
    }

    #[test]
    fn one_member_with_the_plain_header() {
        let gz = compress(&sample(BLOCK + 1), 1, BLOCK);
        assert_eq!(gz[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
        assert_eq!((header(9)[8], header(2)[8]), (2, 0));
        let mut first = flate2::bufread::GzDecoder::new(&gz[..]);
        std::io::copy(&mut first, &mut std::io::sink()).unwrap();
        assert!(first.into_inner().is_empty(), "nothing follows the first member");
    }

    #[test]
    fn a_block_does_not_depend_on_what_the_thread_did_before() {
        let data = sample(6 * BLOCK);
        for level in LEVELS {
            let block = |i: usize| compress_block(&[], &data[i * BLOCK..][..BLOCK], &data[..i * BLOCK], level, false);
            let one_thread: Vec<_> = (0..6).map(block).collect();
            for (i, here) in one_thread.iter().enumerate() {
                let fresh = std::thread::scope(|scope| scope.spawn(|| block(i)).join().unwrap());
                assert!(*here == fresh, "level {level}, block {i}");
            }
        }
    }

    #[test]
    fn gzip_of_the_system_agrees() {
        let Ok(mut gzip) = std::process::Command::new("gzip").arg("-tv").stdin(std::process::Stdio::piped()).spawn()
        else {
            return; // no gzip here; flate2 has read it above
        };
        let gz = compress(&sample(BLOCK * 3), 2, BLOCK);
        std::io::Write::write_all(&mut gzip.stdin.take().unwrap(), &gz).unwrap();
        assert!(gzip.wait().unwrap().success());
    }

    #[test]
    fn any_data_comes_back() {
        arbtest::arbtest(|u| {
            let level = u.int_in_range(LEVELS)?;
            let block = u.int_in_range(1..=5_000)?;
            let mut data: Vec<u8> = u.arbitrary()?;
            for _ in 0..u.int_in_range(0..=6)? {
                data.extend_from_within(data.len() / 3..); // so that there is something to find
            }
            let gz = compress(&data, level, block);
            assert!(inflate(&gz) == data);
            assert!(gz == compress(&data, level, block));
            Ok(())
        })
        .budget_ms(600);
    }
}
