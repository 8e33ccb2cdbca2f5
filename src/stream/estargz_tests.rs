//! eStargz as it is written, read back part by part.

use super::encode::tests::{Bench, ask, decode};
use super::estargz::CHUNK;
use super::toc::{self, FOOTER_LEN, LANDMARKS, TOC_NAME};
use super::{BLOCK, Compression, CompressionOptions, Encoded, Input, TarEntries, Toc, TocEntry, TocKind, gzip};
use crate::digest::Digest;
use crate::error::{Code, Result};
use ::tar::{Archive, Builder, EntryType, Header};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use std::io::Read;

/// The name, the type, and the content of each entry.
fn entries(tar: &[u8]) -> Vec<(String, EntryType, Vec<u8>)> {
    let mut archive = Archive::new(tar);
    let all = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), entry.header().entry_type(), content)
    });
    all.collect()
}

fn sample_tar() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let add = |tar: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, link: &str, data: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_600_000_000);
        header.set_username("me").unwrap();
        header.set_size(data.len() as u64);
        if matches!(kind, EntryType::Char) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        match link {
            "" => tar.append_data(&mut header, name, data).unwrap(),
            link => tar.append_link(&mut header, name, link).unwrap(),
        }
    };
    add(&mut tar, "bin/", EntryType::Directory, "", b"");
    add(&mut tar, "bin/large", EntryType::Regular, "", &gzip::tests::sample(2 * CHUNK as usize + 5));
    add(&mut tar, "bin/exact", EntryType::Regular, "", &gzip::tests::sample(CHUNK as usize));
    add(&mut tar, "bin/link", EntryType::Link, "bin/large", b"");
    add(&mut tar, "bin/sym", EntryType::Symlink, "large", b"");
    add(&mut tar, "empty", EntryType::Regular, "", b"");
    add(&mut tar, &format!("{}/end", "long".repeat(40)), EntryType::Regular, "", b"small");
    add(&mut tar, "null", EntryType::Char, "", b"");
    add(&mut tar, "pipe", EntryType::Fifo, "", b"");
    tar.append_pax_extensions([("SCHILY.xattr.user.a", &b"\xff\0"[..])]).unwrap();
    add(&mut tar, "tagged", EntryType::Regular, "", &gzip::tests::sample(BLOCK + 1));
    tar.into_inner().unwrap()
}

fn estargz() -> CompressionOptions {
    ask(Compression::Estargz)
}

/// What the end of a blob points to.
fn table(bench: &Bench, blob: &Bytes) -> Result<Option<(Bytes, u64)>> {
    let kept = blob.clone();
    let fetch = move |range: std::ops::Range<u64>| {
        let part = kept.slice(range.start as usize..range.end as usize);
        futures_util::future::ready(Ok(super::Chunks::from_bytes(part))).boxed()
    };
    let find = toc::estargz(&bench.engine, &bench.stats, blob.len() as u64, &fetch);
    bench.engine.handle().block_on(find)
}

fn parsed(bench: &Bench, made: &Encoded, blob: &Bytes) -> Toc {
    let (json, toc_at) = table(bench, blob).unwrap().unwrap();
    assert_eq!(made.toc, Some(Digest::sha256(&json)));
    Toc::parse(&json, toc_at).unwrap()
}

/// A file by nothing but the ranges of its chunks.
fn content(blob: &Bytes, file: &TocEntry) -> Vec<u8> {
    let mut all = Vec::new();
    for chunk in &file.chunks {
        let plain = decode(blob.slice(chunk.range.start as usize..chunk.range.end as usize));
        let part = &plain[..chunk.size as usize];
        assert_eq!((chunk.digest.as_ref(), chunk.offset), (Some(&Digest::sha256(part)), all.len() as u64));
        all.extend_from_slice(part);
    }
    assert_eq!(file.digest, Some(Digest::sha256(&all)));
    all
}

#[test]
fn a_tar_with_a_landmark_in_front_and_a_table_behind() {
    let (tar, bench) = (sample_tar(), Bench::new(2));
    let (made, blob) = bench.bytes(&tar, estargz()).unwrap();
    let plain = decode(blob.clone());
    assert_eq!((made.diff_id.clone(), made.uncompressed_size), (Digest::sha256(&plain), plain.len() as u64));
    assert_eq!(made.compression, Compression::Estargz);
    let (all, before) = (entries(&plain), entries(&tar));
    assert_eq!((all[0].0.as_str(), &all[0].2[..]), (LANDMARKS[0], &[0xf][..]));
    assert!(all[1..all.len() - 1] == before);
    assert_eq!(all[all.len() - 1].0, TOC_NAME);
    // What stands between is, byte for byte, what was there.
    assert!(plain[1024..].starts_with(&tar[..tar.len() - 1024]) && plain.ends_with(&[0; 1024]));
    assert_eq!(toc::read_footer(&blob), table(&bench, &blob).unwrap().map(|(_, at)| at));
    assert_eq!(decode(blob.slice(blob.len() - FOOTER_LEN..)), b"");
}

#[test]
fn every_file_by_itself() {
    let (tar, bench) = (sample_tar(), Bench::new(2));
    let (made, blob) = bench.bytes(&tar, estargz()).unwrap();
    let toc = parsed(&bench, &made, &blob);
    let before = entries(&tar);
    assert_eq!(toc.entries().len(), before.len() + 1);
    for ((name, _, data), entry) in before.iter().zip(&toc.entries()[1..]) {
        assert_eq!((name.trim_end_matches('/'), entry.mode, entry.uid), (&*entry.path, 0o4755, 7));
        assert_eq!((&*entry.user, &*entry.mtime), ("me", "2020-09-13T12:26:40Z"));
        if entry.kind == TocKind::File {
            assert_eq!(entry.size, data.len() as u64);
            assert!(content(&blob, entry) == *data, "{name}");
        }
    }
    assert_eq!(content(&blob, toc.find_file("/bin/link").unwrap()).len() as u64, 2 * CHUNK + 5);
    let chunks = |path: &str| toc.find_file(path).unwrap().chunks.iter().map(|c| c.size).collect::<Vec<_>>();
    assert_eq!(
        (chunks("bin/large"), chunks("./bin/exact"), chunks("empty")),
        (vec![CHUNK, CHUNK, 5], vec![CHUNK], vec![])
    );
    assert_eq!(toc.find("tagged").unwrap().xattrs["user.a"], b"\xff\0");
    assert_eq!((toc.find("null").unwrap().device, &*toc.find("bin/sym").unwrap().link), ((1, 3), "large"));
    let json: serde_json::Value = serde_json::from_str(&toc.to_json()).unwrap();
    assert_eq!((&json[1]["path"], &json[1]["type"], &json[1]["mode"]), (&"bin".into(), &"dir".into(), &0o4755.into()));
    assert_eq!((&json[10]["xattrs"]["user.a"], &json[4]["link"]), (&"/wA=".into(), &"bin/large".into()));
    assert_eq!(toc.find_file("bin").unwrap_err().code(), Code::InvalidArgument);
    for gone in ["nothing", "bin/../empty", "em", "empty0"] {
        assert_eq!(toc.find_file(gone).unwrap_err().code(), Code::NotFound, "{gone}");
    }
}

#[test]
fn the_same_on_any_number_of_threads() {
    let tar = Bytes::from(sample_tar());
    let (first, blob) = Bench::new(1).bytes(&tar, estargz()).unwrap();
    let bench = Bench::new(4);
    arbtest::arbtest(|u| {
        let (mut chunks, mut left) = (Vec::new(), tar.clone());
        while !left.is_empty() {
            let n = *u.choose(&[1, 511, 70_000, BLOCK, 3 * BLOCK])?;
            let n = if u.is_empty() { left.len() } else { n.min(left.len()) };
            chunks.push(Ok(left.split_to(n)));
        }
        let input = Input::Chunks(super::Chunks::from_stream(stream::iter(chunks)));
        let (made, bytes) = bench.run(input, estargz()).unwrap();
        assert!(bytes == blob && made.diff_id == first.diff_id && made.toc == first.toc);
        Ok(())
    })
    .budget_ms(1_500);
    let other = CompressionOptions { level: Some(9), ..estargz() };
    assert_ne!(bench.bytes(&tar, other).unwrap().0.digest, first.digest);
}

#[test]
fn any_tar_comes_back() {
    let bench = Bench::new(3);
    arbtest::arbtest(|u| {
        let mut tree = TarEntries::default();
        for i in 0..u.int_in_range(0..=12)? {
            let name = format!("d{}/f{i}{}", u.int_in_range(0..=2)?, "x".repeat(u.int_in_range(0..=120)?));
            match u.int_in_range(0..=3)? {
                0 => tree.add_symlink(&name, "elsewhere").unwrap(),
                1 => tree.remove(&name).unwrap(),
                _ => {
                    let len = *u.choose(&[0, 1, 511, 512, 513, 10_000, BLOCK, BLOCK + 700])?;
                    tree.add_bytes(&name, 0o640, gzip::tests::sample(len)).unwrap();
                }
            }
        }
        let mut tar = Vec::new();
        tree.read(u.int_in_range(0..=2_000_000_000)?).read_to_end(&mut tar).unwrap();
        let (made, blob) = bench.bytes(&tar, estargz()).unwrap();
        let plain = decode(blob.clone());
        assert!(plain[1024..].starts_with(&tar[..tar.len() - 1024]) && made.diff_id == Digest::sha256(&plain));
        let toc = parsed(&bench, &made, &blob);
        for ((_, _, data), entry) in entries(&tar).iter().zip(&toc.entries()[1..]) {
            assert!(entry.kind != TocKind::File || content(&blob, entry) == *data);
        }
        assert_eq!(toc.entries().len(), entries(&tar).len() + 1);
        Ok(())
    })
    .budget_ms(1_500);
}

/// More than the table keeps in memory, and more members than one job takes.
#[test]
fn many_small_files() {
    let mut tree = TarEntries::default();
    for i in 0..3_000 {
        tree.add_bytes(&format!("dir/file-{i}"), 0o644, format!("content {i}").into_bytes()).unwrap();
    }
    let mut tar = Vec::new();
    tree.read(0).read_to_end(&mut tar).unwrap();
    let bench = Bench::new(3);
    let (made, blob) = bench.bytes(&tar, estargz()).unwrap();
    assert!(table(&bench, &blob).unwrap().unwrap().0.len() > 2 * BLOCK);
    let toc = parsed(&bench, &made, &blob);
    for i in [0, 1, 511, 512, 513, 1_999, 2_999] {
        let file = toc.find_file(&format!("dir/file-{i}")).unwrap();
        assert_eq!(content(&blob, file), format!("content {i}").into_bytes());
    }
}

#[test]
fn what_is_estargz_stays_as_it_is() {
    let (tar, bench) = (sample_tar(), Bench::new(2));
    let best = CompressionOptions { level: Some(9), ..estargz() };
    let (made, blob) = bench.bytes(&tar, best).unwrap();
    let (again, bytes) = bench.bytes(&blob, estargz()).unwrap();
    assert!(bytes == blob && again.toc == made.toc && again.diff_id == made.diff_id);
    for options in [CompressionOptions::default(), ask(Compression::Gzip)] {
        let (kept, bytes) = bench.bytes(&blob, options).unwrap();
        assert!(bytes == blob && kept.compression == Compression::Gzip && kept.toc.is_none());
    }
    // Out of another form it is made as if there had been nothing of the kind in it.
    let (_, zstd) = bench.bytes(&blob, ask(Compression::Zstd)).unwrap();
    let (fresh, _) = bench.bytes(&tar, estargz()).unwrap();
    assert_eq!(bench.bytes(&zstd, estargz()).unwrap().0.digest, fresh.digest);
    let (_, gzip) = bench.bytes(&tar, ask(Compression::Gzip)).unwrap();
    assert_eq!(bench.bytes(&gzip, estargz()).unwrap().0.digest, fresh.digest);
    // With a footer alone it is a gzip as any other.
    let fake = [&gzip[..], &toc::footer(10)].concat();
    assert_eq!(bench.bytes(&fake, estargz()).unwrap().0.digest, fresh.digest);
}

#[test]
fn what_the_table_can_not_say_is_refused() {
    let bench = Bench::new(1);
    let one = |change: &dyn Fn(&mut Header)| {
        let mut header = Header::new_gnu();
        header.set_path("odd").unwrap();
        header.set_size(0);
        change(&mut header);
        header.set_cksum();
        let mut tar = header.as_bytes().to_vec();
        tar.extend([0; 1024]);
        bench.bytes(&tar, estargz()).map(drop).unwrap_err()
    };
    let unknown = one(&|h| h.set_entry_type(EntryType::new(b'Z')));
    assert_eq!((unknown.code(), unknown.get_subject()), (Code::Unsupported, Some("odd")));
    assert_eq!(one(&|h| h.as_old_mut().name[0] = 0xff).code(), Code::Unsupported);
    assert_eq!(one(&|h| h.set_entry_type(EntryType::GNUSparse)).code(), Code::Unsupported);
    let e = bench.bytes(&[b'x'; 4096], estargz()).unwrap_err();
    assert_eq!((e.code(), e.message()), (Code::Malformed, "not a tar archive"));
    let mut tar = sample_tar();
    tar.truncate(1 << 20);
    assert_eq!(bench.bytes(&tar, estargz()).unwrap_err().code(), Code::Malformed);
    let large = gzip::tests::sample(CHUNK as usize + 1);
    let mut twice = TarEntries::default();
    twice.add_bytes("same", 0o644, large).unwrap();
    twice.add_bytes("same", 0o644, &b"small"[..]).unwrap();
    let mut tar = Vec::new();
    twice.read(0).read_to_end(&mut tar).unwrap();
    assert_eq!(bench.bytes(&tar, estargz()).unwrap_err().code(), Code::Unsupported);
}

#[test]
fn an_empty_layer_is_a_layer() {
    let bench = Bench::new(1);
    for empty in [&[][..], &[0; 1024]] {
        let (made, blob) = bench.bytes(empty, estargz()).unwrap();
        assert_eq!(parsed(&bench, &made, &blob).entries().len(), 1);
        assert_eq!(entries(&decode(blob)).len(), 2);
    }
}

#[test]
fn footers_are_told_from_what_is_none() {
    assert_eq!(toc::read_footer(&toc::footer(0xabcdef)), Some(0xabcdef));
    assert_eq!(toc::footer(1).len(), FOOTER_LEN);
    for at in [0, 1, 2, 3, 10, 12, 14, 20, 33, 37, 38, 44, 50] {
        let mut bad = toc::footer(7);
        bad[at] ^= 0x80;
        assert_eq!(toc::read_footer(&bad), None, "byte {at}");
    }
    assert_eq!(toc::read_footer(&toc::footer(7)[1..]), None);
}

#[test]
fn tables_that_make_no_sense_are_refused() {
    let line = |rest: &str| format!(r#"{{"version":1,"entries":[{{"name":"f","type":"reg","size":10,{rest}}}]}}"#);
    let parse = |json: &str| Toc::parse(json.as_bytes(), 1_000);
    let code = |json: &str| parse(json).map(drop).unwrap_err().code();
    let good = parse(&line(r#""offset":5,"xattrs":null,"endOffset":50,"unknown":[]"#)).unwrap();
    assert_eq!(good.find("f").unwrap().chunks[0].range, 5..50);
    assert_eq!(parse(r#"{"version":1,"entries":null}"#).unwrap().entries().len(), 0);
    for bad in [
        r#""offset":1000"#,
        r#""offset":-1"#,
        r#""offset":0"#,
        r#""offset":50,"endOffset":50"#,
        r#""offset":5,"chunkSize":11"#,
        r#""offset":5,"chunkSize":9"#,
        r#""offset":5,"chunkOffset":1"#,
        r#""offset":5,"chunkSize":18446744073709551615,"chunkOffset":1"#,
        r#""offset":5,"digest":"md5:00""#,
        r#""offset":5,"xattrs":{"a":"*"}"#,
        r#""offset":5},{"name":"f","type":"chunk","offset":20,"chunkOffset":4,"chunkSize":5"#,
        r#""offset":5},{"name":"d","type":"dir"},{"name":"f","type":"chunk","offset":20,"chunkOffset":5"#,
        r#""offset":5},{"name":"d","type":"door""#,
    ] {
        assert_eq!(code(&line(bad)), Code::Malformed, "{bad}");
    }
    assert_eq!(code("[]"), Code::Malformed);
    assert_eq!(code(r#"{"version":2,"entries":[]}"#), Code::Unsupported);
    let circle = r#"{"version":1,"entries":[{"name":"a","type":"hardlink","linkName":"./a"}]}"#;
    assert_eq!(parse(circle).unwrap().find_file("a").unwrap_err().code(), Code::Malformed);
    let digest = Digest::sha256(b"0123456789");
    let twice = line(r#""offset":5},{"name":"./f","type":"symlink","linkName":"g""#);
    assert_eq!(parse(&twice).unwrap().find("/f").unwrap().kind, TocKind::Symlink, "the last one counts");
    let zeros = format!(
        r#""offset":5,"chunkSize":4,"endOffset":90,"digest":"{digest}","chunkDigest":"{digest}"}},
        {{"name":"f","type":"chunk","chunkOffset":4,"chunkSize":3,"offset":30,"chunkType":"zeros"}},
        {{"name":"f","type":"chunk","chunkOffset":7,"chunkSize":3,"offset":40,"chunkDigest":"{digest}""#
    );
    let toc = parse(&line(&zeros)).unwrap();
    let ranges: Vec<_> = toc.entries()[0].chunks.iter().map(|c| c.range.clone()).collect();
    assert_eq!(ranges, [5..40, 0..0, 40..1_000]);
    let at = toc::chunked_position("10:20:30:1", 30).unwrap();
    assert_eq!(at, (10..30, 30));
    for bad in ["", "10:20:30", "10:20:30:1:1", "10:0:30:1", "11:20:30:1", "x:20:30:1", "18446744073709551615:2:3:1"] {
        assert_eq!(toc::chunked_position(bad, 30).unwrap_err().code(), Code::Malformed, "{bad}");
    }
    assert_eq!(toc::chunked_position("10:20:30:2", 30).unwrap_err().code(), Code::Unsupported);
    assert_eq!(toc::chunked_position("10:20:99999999999:1", 30).unwrap_err().code(), Code::LimitExceeded);
}

/// No byte of what leads to a table can be another without an error or another digest.
#[test]
fn a_table_of_another_digest_is_seen() {
    let mut tree = TarEntries::default();
    tree.add_bytes("a", 0o644, &b"abc"[..]).unwrap();
    let mut tar = Vec::new();
    tree.read(0).read_to_end(&mut tar).unwrap();
    let bench = Bench::new(1);
    let (made, blob) = bench.bytes(&tar, estargz()).unwrap();
    let (good, toc_at) = table(&bench, &blob).unwrap().unwrap();
    for at in toc_at as usize..blob.len() {
        let mut bad = blob.to_vec();
        bad[at] ^= 0x10;
        match table(&bench, &Bytes::from(bad)) {
            Ok(Some((json, at))) => assert!(json != good || at == toc_at),
            Ok(None) => assert!(at >= blob.len() - FOOTER_LEN, "byte {at}"),
            Err(e) => assert!(matches!(e.code(), Code::Malformed | Code::LimitExceeded), "byte {at}: {e}"),
        }
    }
    assert_eq!(made.toc, Some(Digest::sha256(&good)));
}
