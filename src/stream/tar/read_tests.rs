//! What is read, against GNU tar, the tar crate and Go's rules; what is written anew, read again.

use super::*;
use crate::error::malformed;
use crate::stream::Chunks;
use futures_util::{FutureExt, stream};
use std::io::Write;
use std::process::{Command, Stdio};

fn chunks(tar: &[u8], cut: usize) -> Chunks {
    let pieces: Vec<_> = tar.chunks(cut.max(1)).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    Chunks::from_stream(stream::iter(pieces))
}

/// All entries with their data.
fn read(tar: &[u8], cut: usize) -> Result<Vec<(TarEntry, Vec<u8>)>> {
    async {
        let mut reader = TarStream::new(chunks(tar, cut));
        let mut all = Vec::new();
        while let Some(entry) = reader.next().await? {
            let mut data = Vec::new();
            while let Some(piece) = reader.data().await? {
                data.extend_from_slice(&piece);
            }
            all.push((entry, data));
        }
        assert_eq!(reader.position(), tar.len() as u64);
        assert!(reader.next().await?.is_none(), "it stays at its end");
        Ok(all)
    }
    .now_or_never()
    .expect("nothing to wait for")
}

/// The content of one entry, holes and all.
fn expanded(tar: &[u8], name: &[u8]) -> Vec<u8> {
    async {
        let mut reader = TarStream::new(chunks(tar, 333));
        while let Some(entry) = reader.next().await? {
            if entry.name != name {
                continue;
            }
            let mut content = TarContent::new(&entry)?;
            let mut all = Vec::new();
            while let Some(piece) = content.next(&entry, &mut reader).await? {
                all.extend_from_slice(&piece);
            }
            return Ok(all);
        }
        Err(malformed("not there"))
    }
    .now_or_never()
    .expect("nothing to wait for")
    .unwrap()
}

fn rewritten(entries: &[(TarEntry, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (entry, data) in entries {
        out.extend(entry.encode());
        out.extend_from_slice(data);
        out.extend_from_slice(&filling(data.len() as u64));
    }
    out.extend_from_slice(END);
    out
}

/// What an entry says, without how it says it.
fn facts(entry: &TarEntry) -> String {
    let TarEntry { kind, name, link, mode, uid, gid, uname, gname, mtime, device, size, stored, sparse, pax, .. } =
        entry;
    let mut pax: Vec<_> = pax.iter().filter(|(k, _)| k != "GNU.sparse.name").collect();
    pax.sort();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let [name, link, uname, gname] = [name, link, uname, gname].map(|t| String::from_utf8_lossy(t).into_owned());
    format!(
        "{kind:?} {name} -> {link} {mode:o} {uid}:{gid} {uname}:{gname} {mtime:?} {device:?} {size} {stored} {} {pax:?}",
        sparse.is_some()
    )
}

fn gnu_tar(args: &[&str], input: &[u8]) -> Option<(bool, Vec<u8>, String)> {
    let mut child = Command::new("tar")
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let out = child.wait_with_output().ok()?;
    writer.join().unwrap();
    Some((out.status.success(), out.stdout, String::from_utf8_lossy(&out.stderr).into_owned()))
}

/// Everything a tar can hold, in a directory.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    std::fs::create_dir_all(at("dir/inner")).unwrap();
    std::fs::write(at("dir/file"), vec![7; 3000]).unwrap();
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("block"), [1; 512]).unwrap();
    std::fs::hard_link(at("dir/file"), at("hard")).unwrap();
    std::os::unix::fs::symlink("../somewhere", at("link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(150), at("long-link")).unwrap();
    std::fs::write(at(&"n".repeat(180)), "long").unwrap();
    std::fs::create_dir_all(at(&format!("{0}/{0}/{0}", "d".repeat(80)))).unwrap();
    std::fs::write(at("zażółć"), "x").unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    for i in 0..40_u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[b'a'; 100], i * 65536).unwrap();
    }
    sparse.set_len(40 * 65536 + 5).unwrap();
    let _ = Command::new("mkfifo").arg(at("fifo")).status();
    let _ = Command::new("setfattr").args(["-n", "user.parb", "-v", "a=b"]).arg(at("empty")).status();
    root
}

#[test]
fn all_formats_of_gnu_tar_tell_the_same() {
    let root = tree();
    let dir = root.path().to_str().unwrap();
    for format in ["gnu", "oldgnu", "posix", "ustar", "v7", "sparse-old", "sparse-0.0", "sparse-0.1", "sparse-1.0"] {
        let (kind, version) = match format.strip_prefix("sparse-") {
            Some("old") => ("gnu", None),
            Some(version) => ("posix", Some(format!("--sparse-version={version}"))),
            None => (format, None),
        };
        let kind = format!("--format={kind}");
        let mut args = vec![&*kind, "--sort=name", "--xattrs", "-C", dir, "-cf", "-"];
        if format.starts_with("sparse") {
            args.push("-S");
        }
        args.extend(version.as_deref());
        args.push(".");
        if matches!(format, "gnu" | "oldgnu" | "ustar" | "v7" | "sparse-old") {
            args.retain(|a| *a != "--xattrs");
        }
        let Some((_, tar, _)) = gnu_tar(&args, b"") else { return };
        let mut seen = Vec::new();
        for cut in [100, 512, 10_000, usize::MAX] {
            let entries = read(&tar, cut).unwrap_or_else(|e| panic!("{format}: {e}"));
            seen.push(entries.iter().map(|(e, _)| facts(e)).collect::<Vec<_>>());
            assert_eq!(seen[0], seen[seen.len() - 1]);
            let raw: usize = entries.iter().map(|(e, d)| e.raw.len() + d.len() + filling(d.len() as u64).len()).sum();
            assert!(raw + 1024 <= tar.len() && tar.starts_with(&entries[0].0.raw), "every header block is kept");
        }
        let entries = read(&tar, 4096).unwrap();
        // What GNU tar lists, and what it lists of our rewriting.
        let listing = |tar: &[u8]| gnu_tar(&["--quoting-style=literal", "--full-time", "-tvf", "-"], tar).unwrap();
        let again = rewritten(&entries);
        let (ok, theirs, err) = listing(&tar);
        let (ok2, ours, err2) = listing(&again);
        assert!(ok && ok2, "{format}: {err} {err2}");
        assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{format}");
        let third = read(&again, 999).unwrap();
        for ((a, data), (b, same)) in entries.iter().zip(&third) {
            assert_eq!(facts(a), facts(b), "{format}");
            assert!(data == same, "{format} {}", a.shown());
        }
        // Extracted, both give the same content; GNU tar expands the holes.
        for name in ["./sparse", "./dir/file"] {
            let cat = |tar: &[u8]| gnu_tar(&["-xOf", "-", name], tar).unwrap().1;
            assert!(cat(&tar) == cat(&again) && cat(&tar) == std::fs::read(root.path().join(name)).unwrap());
        }
        if let Some((entry, _)) = entries.iter().find(|(e, _)| e.name.ends_with(b"/sparse")) {
            assert_eq!(entry.size, 40 * 65536 + 5, "{format}");
            assert_eq!(entry.sparse.is_some(), format.starts_with("sparse"), "{format}");
            assert!(expanded(&tar, b"./sparse") == std::fs::read(root.path().join("sparse")).unwrap(), "{format}");
        }
    }
}

#[test]
fn the_tar_crate_reads_the_same() {
    let root = tree();
    let dir = root.path().to_str().unwrap();
    for format in ["--format=gnu", "--format=posix", "--format=ustar"] {
        let Some((_, tar, _)) = gnu_tar(&[format, "-C", dir, "-cf", "-", "."], b"") else { return };
        let ours = read(&tar, 1000).unwrap();
        let mut archive = ::tar::Archive::new(&tar[..]);
        let mut theirs = archive.entries().unwrap();
        for (entry, data) in &ours {
            let mut other = theirs.next().unwrap().unwrap();
            let mut content = Vec::new();
            other.read_to_end(&mut content).unwrap();
            assert!(*data == content);
            assert_eq!(entry.name, *other.path_bytes());
            assert_eq!(entry.link, other.link_name_bytes().unwrap_or_default().into_owned());
            assert_eq!(entry.stored, other.size());
            let header = other.header();
            assert_eq!(entry.mtime.secs, header.mtime().unwrap() as i64);
            assert_eq!((entry.uid, entry.mode), (header.uid().unwrap(), header.mode().unwrap() & 0o7777));
        }
        assert!(theirs.next().is_none());
    }
}

#[test]
fn a_cut_or_changed_tar_is_an_error_or_another_tar_and_never_a_panic() {
    let root = tree();
    let dir = root.path().to_str().unwrap();
    let Some((_, tar, _)) = gnu_tar(&["--format=posix", "-S", "-C", dir, "-cf", "-", "."], b"") else { return };
    let whole = read(&tar, 512).unwrap().len();
    arbtest::arbtest(|u| {
        let at = u.choose_index(tar.len())?;
        let mut bad = tar.clone();
        bad[at] ^= 1 << u.int_in_range(0..=7)?;
        let _ = read(&bad, 700);
        match read(&tar[..at], 700) {
            Ok(entries) => assert!(entries.len() <= whole), // between two entries
            Err(e) => assert_eq!(e.code(), Code::Malformed, "{e}"),
        }
        Ok(())
    })
    .budget_ms(1500);
}

fn file(name: &str, size: u64) -> TarEntry {
    let mut raw = ::tar::Header::new_ustar();
    raw.set_size(size);
    raw.set_mode(0o644);
    raw.set_uid(0);
    raw.set_gid(0);
    raw.set_mtime(0);
    raw.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    raw.set_cksum();
    let tar = [&raw.as_bytes()[..], &vec![0; size as usize], &filling(size)].concat();
    read(&tar, 512).unwrap().remove(0).0
}

fn record(text: &str) -> Vec<u8> {
    let mut len = text.len() + 2;
    while len != text.len() + 2 + len.to_string().len() {
        len = text.len() + 2 + len.to_string().len();
    }
    format!("{len} {text}\n").into_bytes()
}

fn raw_header(flag: u8, name: &str, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(::tar::EntryType::new(flag));
    header.set_size(size);
    header.set_mode(0o600);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    [header.as_bytes(), data, &filling(data.len() as u64)].concat()
}

#[test]
fn a_size_in_a_record_beats_the_headers() {
    // TARmageddon: who takes the header's 0 reads the data as entries.
    let hidden = raw_header(b'0', "hidden", 0, b"");
    let pax = record(&format!("size={}", hidden.len()));
    let tar = [
        raw_header(b'x', "x", pax.len() as u64, &pax),
        raw_header(b'0', "outer", 0, &hidden),
        raw_header(b'0', "after", 0, b""),
        END.to_vec(),
    ]
    .concat();
    let names = |entries: Vec<(TarEntry, Vec<u8>)>| -> Vec<String> { entries.iter().map(|e| e.0.shown()).collect() };
    let entries = read(&tar, 512).unwrap();
    assert_eq!(entries[0].1, hidden);
    // Written anew, header and record agree, and so do all readers.
    let again = rewritten(&entries);
    assert_eq!(names(entries), ["outer", "after"]);
    let mut archive = ::tar::Archive::new(&again[..]);
    assert_eq!(archive.entries().unwrap().count(), 2);
    if let Some((_, out, _)) = gnu_tar(&["-tf", "-"], &tar) {
        assert_eq!(String::from_utf8_lossy(&out), "outer\nafter\n");
    }
}

#[test]
fn what_is_not_an_entrys_data_is_not_skipped() {
    for flag in *b"123456" {
        let tar = [raw_header(flag, "a", 512, b""), raw_header(b'0', "b", 0, b""), END.to_vec()].concat();
        let entries = read(&tar, 512).unwrap();
        assert_eq!((entries.len(), entries[0].0.stored), (2, 0), "{}", flag as char);
        let again = read(&rewritten(&entries), 512).unwrap();
        assert_eq!(again.len(), 2);
    }
}

#[test]
fn broken_tars_are_malformed_and_named() {
    let good = raw_header(b'0', "good", 0, b"");
    let pax = |text: &[u8]| [&good[..], &raw_header(b'x', "x", text.len() as u64, text), &good, END].concat();
    let with = |mut header: Vec<u8>, range: std::ops::Range<usize>, text: &[u8]| {
        header[range].copy_from_slice(text);
        let mut h = ::tar::Header::new_old();
        h.as_mut_bytes().copy_from_slice(&header[..512]);
        h.set_cksum();
        header[..512].copy_from_slice(h.as_bytes());
        [&good[..], &header, END].concat()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("length too long", pax(b"99 path=x\n")),
        ("no length", pax(b"path=x\n")),
        ("plus", pax(b"+9 path=x\n")),
        ("no newline", pax(b"9 path=xy")),
        ("no equals", pax(b"7 path\n")),
        ("no key", pax(b"5 =x\n")),
        ("NUL in a path", pax(&record("path=a\0b"))),
        ("size", pax(&record("size=-1"))),
        ("size", pax(&record("size=99999999999999999999"))),
        ("mtime", pax(&record("mtime=soon"))),
        ("uid", pax(&record("uid=0x7"))),
        ("extension without an entry", [&good[..], &raw_header(b'x', "x", 0, b""), END].concat()),
        ("single zero block", [&good[..], &[0; 512], &good, END].concat()),
        ("rubbish", [&good[..], &[b'x'; 512], END].concat()),
        ("size field", with(raw_header(b'0', "bad", 0, b""), 124..136, b"zzzzzzzzzzzz")),
        ("negative size", with(raw_header(b'0', "bad", 0, b""), 124..136, &[0xff; 12])),
        ("huge size", with(raw_header(b'0', "bad", 0, b""), 124..136, &[0xbf; 12])),
        ("no name", with(raw_header(b'0', "bad", 0, b""), 0..3, &[0; 3])),
        ("global size", {
            let text = record("size=5");
            [&raw_header(b'g', "g", text.len() as u64, &text)[..], &good, END].concat()
        }),
        ("global between", {
            let text = record("comment=hi");
            let global = raw_header(b'g', "g", text.len() as u64, &text);
            [&raw_header(b'x', "x", 0, b"")[..], &global, &good, END].concat()
        }),
        ("two names", {
            let (path, long) = (record(&format!("path={}", "a".repeat(120))), [b'b'; 130]);
            let x = raw_header(b'x', "x", path.len() as u64, &path);
            [&x[..], &raw_header(b'L', "L", 130, &long), &good, END].concat()
        }),
    ];
    for (what, tar) in &cases {
        let e = read(tar, 300).err().unwrap_or_else(|| panic!("{what} was accepted"));
        assert_eq!(e.code(), Code::Malformed, "{what}: {e}");
        if tar.starts_with(&good) {
            assert!(e.get_subject().is_some(), "{what}: {e}");
        }
    }
    for flag in *b"xgLK" {
        let large = raw_header(flag, "x", read::MAX_EXTENDED + 1, b"");
        assert_eq!(read(&large, 512).err().unwrap().code(), Code::LimitExceeded);
    }
    let many = raw_header(b'L', "x", 100_000, &[b'a'; 100_000]).repeat(50);
    assert_eq!(read(&many, 5000).err().unwrap().code(), Code::LimitExceeded);
}

#[test]
fn globals_apply_to_nothing_and_are_kept_apart() {
    let text = record("mtime=99");
    let global = raw_header(b'g', "g", text.len() as u64, &text);
    let tar = [&global[..], &raw_header(b'0', "a", 0, b""), END].concat();
    let entry = &read(&tar, 512).unwrap()[0].0;
    assert_eq!((entry.mtime.secs, &entry.globals[..], entry.raw.len()), (3, &global[..], 512));
}

#[test]
fn names_by_prefix_as_go_has_them() {
    let mut header = ::tar::Header::new_ustar();
    header.set_size(0);
    header.set_mode(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.as_ustar_mut().unwrap().prefix[..6].copy_from_slice(b"before");
    header.as_old_mut().name[..4].copy_from_slice(b"name");
    header.set_cksum();
    assert_eq!(read(header.as_bytes(), 512).unwrap()[0].0.shown(), "before/name");
    // Go before 1.8 did so under GNU's magic.
    header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
    header.set_cksum();
    assert_eq!(read(header.as_bytes(), 512).unwrap()[0].0.shown(), "before/name");
}

#[test]
fn numbers() {
    let cases: [(&[u8], Option<i64>); 9] = [
        (b"0000644\0", Some(0o644)),
        (b"  644 \0\0", Some(0o644)),
        (b"\0\0\0\0", Some(0)),
        (b"64\x007", Some(0o64)),
        (b"9", None),
        (b"6 4", None),
        (&[0x80, 0, 1, 0], Some(256)),
        (&[0xff, 0xff, 0xff, 0xfe], Some(-2)),
        (&[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None),
    ];
    for (field, expected) in cases {
        assert_eq!(read::number(field), expected, "{field:?}");
    }
}

#[test]
fn whatever_an_entry_says_survives_writing() {
    arbtest::arbtest(|u| {
        let mut entry = file("f", 0);
        let text = |u: &mut arbtest::arbitrary::Unstructured<'_>, max: usize| -> arbtest::arbitrary::Result<Vec<u8>> {
            let len = u.int_in_range(0..=max)?;
            (0..len).map(|_| Ok(*u.choose(b"ab/\n=\xc3\xa9 ")?)).collect()
        };
        entry.kind = *u.choose(&[
            Kind::File,
            Kind::HardLink,
            Kind::Symlink,
            Kind::CharDevice,
            Kind::BlockDevice,
            Kind::Directory,
            Kind::Fifo,
        ])?;
        entry.name = [b"n".to_vec(), text(u, 300)?].concat();
        entry.link = text(u, 300)?;
        entry.uname = text(u, 60)?;
        entry.gname = text(u, 60)?;
        entry.mode = u.int_in_range(0..=0o7777)?;
        entry.uid = u.int_in_range(0..=1 << 40)?;
        entry.gid = u.int_in_range(0..=i64::MAX as u64)?;
        entry.mtime =
            Timestamp { secs: u.int_in_range(-(1 << 40)..=1 << 40)?, nanos: u.int_in_range(0..=999_999_999)? };
        if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            entry.device = (u.int_in_range(0..=u32::MAX)?, u.int_in_range(0..=u32::MAX)?);
        }
        if entry.kind == Kind::File {
            entry.size = u.int_in_range(0..=2000)?;
            entry.stored = entry.size;
        }
        if u.ratio(1, 2)? {
            let value = text(u, 400)?;
            entry.pax.push((Bytes::from_static(b"SCHILY.xattr.user.x"), value.into()));
        }
        let data = vec![b'd'; entry.stored as usize];
        let again = read(&rewritten(&[(entry.clone(), data.clone())]), 512).unwrap();
        assert_eq!((facts(&again[0].0), again.len()), (facts(&entry), 1));
        assert!(again[0].1 == data);
        Ok(())
    })
    .budget_ms(800);
}
