//! What is in a tar, and where: found once by its headers, read in place afterwards.
//!
//! What two programs could read in two ways is refused: a header with a bad checksum, a size for what has none, PAX
//! records that don't add up, an end that is none.

use crate::error::{Code, Error, Result, malformed};
use crate::source::Place;
use crate::stream::{Chunks, check_head, read_file};
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tar::{EntryType, Header};

/// Entries that an archive may have.
pub(super) const MAX_ENTRIES: usize = 100_000;
/// Bytes that all their names and link targets may have together.
pub(super) const MAX_NAMES: usize = 8 << 20;
/// Bytes of one long name or one set of PAX records.
const MAX_EXTENSION: u64 = 1 << 20;
/// Links that are followed from one name.
const MAX_LINKS: usize = 16;
/// Headers that one job reads.
const AT_ONCE: usize = 512;
const BLOCK: u64 = 512;

/// The entries of one tar. A clone is the same.
#[derive(Clone)]
pub(super) struct Entries(Arc<Inner>);

struct Inner {
    place: Place,
    file: Arc<File>,
    subject: Arc<str>,
    records: HashMap<Box<str>, Record>,
    complete: bool,
}

struct Record {
    what: What,
    /// There is a later entry of the same name, so that it depends on the reader which one is meant.
    twice: bool,
}

enum What {
    File {
        offset: u64,
        size: u64,
    },
    /// What it points to, from its directory.
    Symlink(Box<str>),
    /// Another entry.
    Link(Box<str>),
    /// A directory or a device.
    Other,
}

/// A file in the tar.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: Arc<str>,
    pub(super) size: u64,
    offset: u64,
    twice: bool,
}

impl Entries {
    /// Reads all headers of the first `size` bytes of `file`, which errors call `subject`.
    ///
    /// Errors: `Malformed`, `LimitExceeded`, `Unsupported` for sparse files.
    pub(super) async fn scan(place: &Place, file: Arc<File>, size: u64, subject: &str) -> Result<Entries> {
        let subject: Arc<str> = subject.into();
        let mut scan = Scan::new(file.clone(), size);
        loop {
            let (back, done) = place
                .engine
                .pool()
                .run(move || {
                    let done = scan.step();
                    (scan, done)
                })
                .await?;
            scan = back;
            if done.map_err(|e| e.or_subject(&subject))? {
                let (place, Scan { records, complete, .. }) = (place.clone(), scan);
                return Ok(Entries(Arc::new(Inner { place, file, subject, records, complete })));
            }
        }
    }

    /// The archive's name in errors.
    pub(super) fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Whether the tar has an end. Not all have one that are whole.
    pub(super) fn complete(&self) -> bool {
        self.0.complete
    }

    /// Every name there is, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.records.keys().map(AsRef::as_ref)
    }

    /// The file of this name, links followed; `None` where there is no such entry.
    ///
    /// Errors: `Malformed` where it is no file, or its links lead nowhere.
    pub(super) fn find(&self, name: &str) -> Result<Option<Found>> {
        let wrong = |why: &str| Err(malformed(why).subject(self.called(name)));
        let Some(mut at) = clean(name) else { return wrong("the name leads out of the archive") };
        for _ in 0..=MAX_LINKS {
            let Some(record) = self.0.records.get(at.as_str()) else {
                return match clean(name).as_ref() == Some(&at) {
                    true => Ok(None),
                    false => wrong("the link leads to nothing in the archive"),
                };
            };
            let next = match &record.what {
                What::File { offset, size } => {
                    let (name, twice) = (at.into(), record.twice);
                    return Ok(Some(Found { name, size: *size, offset: *offset, twice }));
                }
                What::Symlink(target) => clean(&beside(&at, target)),
                What::Link(target) => clean(target).filter(|name| self.0.records.contains_key(name.as_str())).or_else(
                    // As the reference has it; the names of tar are from the top.
                    || clean(&beside(&at, target)),
                ),
                What::Other => return wrong("the entry is no file"),
            };
            match next {
                Some(next) => at = next,
                None => return wrong("the link leads out of the archive"),
            }
        }
        wrong("the links go in a circle, or too far")
    }

    /// As [`Entries::find`], where there has to be one.
    pub(super) fn need(&self, name: &str) -> Result<Found> {
        let none = || malformed("the archive has no such entry").subject(self.called(name));
        self.find(name)?.ok_or_else(none)
    }

    /// A file's bytes from an offset on, as they are.
    pub(super) fn read(&self, found: &Found, from: u64) -> Chunks {
        let from = from.min(found.size);
        let subject = self.called(&found.name);
        read_file(&self.0.place.engine, self.0.file.clone(), subject, found.offset + from, found.size - from)
    }

    /// All of a small file whose content nothing else vouches for.
    ///
    /// Errors: `LimitExceeded`; `Malformed` where there are two entries of this name.
    pub(super) async fn small(&self, found: &Found, limit: u64) -> Result<Bytes> {
        let subject = self.called(&found.name);
        if found.twice {
            return Err(malformed("the archive has two entries of this name").subject(subject));
        }
        if found.size > limit {
            let why = format!("the entry has {} bytes, more than {limit}", found.size);
            return Err(Error::new(Code::LimitExceeded, why).subject(subject));
        }
        self.read(found, 0).collect(found.size as usize).await
    }

    /// The first bytes of each of these files, as many as tell a compression.
    pub(super) async fn heads(&self, files: Vec<Found>) -> Result<Vec<Vec<u8>>> {
        let (file, subject) = (self.0.file.clone(), self.0.subject.clone());
        let read = move |found: &Found| {
            let mut head = vec![0; found.size.min(16) as usize];
            file.read_exact_at(&mut head, found.offset).map_err(|e| Error::io("reading", &subject, &e))?;
            Ok(head)
        };
        self.0.place.engine.pool().run(move || files.iter().map(read).collect()).await?
    }

    /// A file as something that can be read again and again, for what runs on the pool.
    pub(super) fn reader(&self, found: &Found) -> impl std::io::Read + Send + use<> {
        Slice { file: self.0.file.clone(), at: found.offset, left: found.size }
    }

    /// What errors about an entry concern.
    pub(super) fn called(&self, name: &str) -> String {
        format!("{}: {}", self.0.subject, crate::digest::shown(name))
    }
}

struct Slice {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl std::io::Read for Slice {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buf[..len], self.at)?;
        if n == 0 && len > 0 {
            return Err(Error::new(Code::Io, "the file became shorter while it was read").into());
        }
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// A name without what means nothing in it; `None` where it leads out of the archive.
pub(super) fn clean(name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A link's target, seen from the top.
fn beside(link: &str, target: &str) -> String {
    match (target.starts_with('/'), link.rsplit_once('/')) {
        (false, Some((directory, _))) => format!("{directory}/{target}"),
        _ => target.to_owned(),
    }
}

/// What is read so far.
struct Scan {
    file: Arc<File>,
    size: u64,
    at: u64,
    /// What the headers before the next entry say of it.
    ahead: Ahead,
    records: HashMap<Box<str>, Record>,
    entries: usize,
    names: usize,
    complete: bool,
}

#[derive(Default)]
struct Ahead {
    any: bool,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax_name: Option<Vec<u8>>,
    pax_link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Scan {
    fn new(file: Arc<File>, size: u64) -> Scan {
        let (ahead, records) = (Ahead::default(), HashMap::new());
        Scan { file, size, at: 0, ahead, records, entries: 0, names: 0, complete: false }
    }

    /// Reads some headers; whether these were the last.
    fn step(&mut self) -> Result<bool> {
        for _ in 0..AT_ONCE {
            let Some(block) = self.block()? else { return self.end() };
            if block == [0; BLOCK as usize] {
                self.complete = true;
                return match self.block()? {
                    Some(second) if second != [0; BLOCK as usize] => Err(malformed("a single block of zeros in a tar")),
                    _ => self.end(),
                };
            }
            check_head(&block).map_err(|e| match self.entries {
                0 => e,
                _ => malformed("a header of the tar is damaged, or is none"),
            })?;
            self.entry(Header::from_byte_slice(&block), &block)?;
        }
        Ok(false)
    }

    fn end(&self) -> Result<bool> {
        match self.ahead.any {
            true => Err(malformed("the tar ends after a long name, before its entry")),
            false => Ok(true),
        }
    }

    /// The next block; `None` at the end of the file.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>> {
        if self.at >= self.size {
            return Ok(None);
        }
        if self.size - self.at < BLOCK {
            return Err(malformed("the tar ends within a header"));
        }
        let mut block = [0; BLOCK as usize];
        self.read(&mut block, self.at)?;
        self.at += BLOCK;
        Ok(Some(block))
    }

    fn read(&self, buf: &mut [u8], at: u64) -> Result<()> {
        self.file.read_exact_at(buf, at).map_err(|e| Error::new(Code::Io, format!("reading a tar: {e}")))
    }

    fn entry(&mut self, header: &Header, block: &[u8]) -> Result<()> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(Error::new(Code::LimitExceeded, format!("more than {MAX_ENTRIES} entries in the tar")));
        }
        let said = header.entry_size().map_err(|_| malformed("a header of the tar has no size"))?;
        match header.entry_type() {
            EntryType::GNULongName => self.ahead.name = Some(self.text(said)?),
            EntryType::GNULongLink => self.ahead.link = Some(self.text(said)?),
            EntryType::XHeader => {
                let records = self.extension(said)?;
                self.ahead.take(&records)?;
            }
            EntryType::XGlobalHeader => {
                let records = self.extension(said)?;
                let mut all = Ahead::default();
                all.take(&records)?;
                if all.pax_name.is_some() || all.pax_link.is_some() || all.size.is_some() {
                    return Err(malformed("global PAX records that name all entries alike"));
                }
                return Ok(());
            }
            EntryType::GNUSparse => {
                return Err(Error::new(Code::Unsupported, "the tar has sparse files"));
            }
            kind => return self.record(kind, header, block, said),
        }
        self.ahead.any = true;
        Ok(())
    }

    fn record(&mut self, kind: EntryType, header: &Header, block: &[u8], said: u64) -> Result<()> {
        let ahead = std::mem::take(&mut self.ahead);
        let name = ahead.name.or(ahead.pax_name).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = ahead.link.or(ahead.pax_link).or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
        let wrong = |why: &str| Err(malformed(why).subject(crate::digest::shown(&String::from_utf8_lossy(&name))));
        let size = if kind == EntryType::Link { 0 } else { ahead.size.unwrap_or(said) };
        let target = || link.and_then(|l| String::from_utf8(l).ok()).map(String::into_boxed_str);
        let offset = self.at;
        let what = match kind {
            // The oldest tars mark directories by a slash only.
            EntryType::Regular if block[156] == 0 && name.ends_with(b"/") => Some(What::Other),
            EntryType::Regular | EntryType::Continuous => Some(What::File { offset, size }),
            EntryType::Link => target().map(What::Link),
            EntryType::Symlink => target().map(What::Symlink),
            EntryType::Directory | EntryType::Char | EntryType::Block | EntryType::Fifo => Some(What::Other),
            _ => None,
        };
        if size > 0 && matches!(what, Some(What::Other | What::Symlink(_))) {
            return wrong("an entry of the tar has a size and can have no content");
        }
        let end = size.checked_next_multiple_of(BLOCK).and_then(|padded| offset.checked_add(padded));
        match end {
            // The last block may be cut off; its content may not.
            Some(end) if offset + size <= self.size => self.at = end,
            _ => return wrong("the tar ends within this entry"),
        }
        // What is not UTF-8 is named by none of the documents.
        let name = std::str::from_utf8(&name).ok().and_then(clean);
        if let (Some(what), Some(name)) = (what, name.filter(|name| !name.is_empty())) {
            self.names += name.len();
            if let What::Link(target) | What::Symlink(target) = &what {
                self.names += target.len();
            }
            if self.names > MAX_NAMES {
                return Err(Error::new(
                    Code::LimitExceeded,
                    format!("more than {MAX_NAMES} bytes of names in the tar"),
                ));
            }
            match self.records.entry(name.into()) {
                Slot::Vacant(slot) => drop(slot.insert(Record { what, twice: false })),
                Slot::Occupied(mut slot) => slot.get_mut().twice |= !matches!(what, What::Other),
            }
        }
        Ok(())
    }

    /// The content of a header that says something of the next one.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(Error::new(Code::LimitExceeded, format!("a name or PAX header of {size} bytes in the tar")));
        }
        let padded = size.next_multiple_of(BLOCK);
        if padded > self.size - self.at {
            return Err(malformed("the tar ends within a long name"));
        }
        let mut content = vec![0; size as usize];
        self.read(&mut content, self.at)?;
        self.at += padded;
        Ok(content)
    }

    fn text(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut text = self.extension(size)?;
        text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
        Ok(text)
    }
}

impl Ahead {
    /// Takes in PAX records: `LENGTH KEY=VALUE\n`, where the length counts all of it.
    fn take(&mut self, mut records: &[u8]) -> Result<()> {
        let bad = || malformed("a PAX header of the tar is damaged");
        while !records.is_empty() {
            let space = records.iter().position(|b| *b == b' ').ok_or_else(bad)?;
            let digits = std::str::from_utf8(&records[..space]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            let len: usize = digits.and_then(|d| d.parse().ok()).ok_or_else(bad)?;
            if len > records.len() || len < space + 2 || records[len - 1] != b'\n' {
                return Err(bad());
            }
            let (record, rest) = (&records[space + 1..len - 1], &records[len..]);
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], record[equals + 1..].to_vec());
            match key {
                b"path" => self.pax_name = Some(value),
                b"linkpath" => self.pax_link = Some(value),
                b"size" => {
                    let text = String::from_utf8(value).ok().filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
                    self.size = Some(text.and_then(|t| t.parse().ok()).ok_or_else(bad)?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(Error::new(Code::Unsupported, "the tar has sparse files"));
                }
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// One entry: header, content, padding.
    fn entry(name: &[u8], kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name);
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut out = [header.as_bytes(), content].concat();
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    fn regular(name: &str, content: &str) -> Vec<u8> {
        entry(name.as_bytes(), EntryType::Regular, "", content.as_bytes())
    }

    fn pax(records: &str) -> Vec<u8> {
        entry(b"pax", EntryType::XHeader, "", records.as_bytes())
    }

    fn record(key: &str, value: &str) -> String {
        let mut len = key.len() + value.len() + 3;
        len += (len + 2).to_string().len().max(1);
        format!("{len} {key}={value}\n")
    }

    fn scan(tar: &[u8]) -> Result<Entries> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(tar).unwrap();
        let place = Place::here().unwrap();
        place.engine.handle().block_on(Entries::scan(&place, Arc::new(file), tar.len() as u64, "x.tar"))
    }

    fn read(entries: &Entries, name: &str) -> Result<String> {
        let place = Place::here().unwrap();
        let found = entries.need(name)?;
        let bytes = place.engine.handle().block_on(entries.small(&found, 1 << 20))?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    const END: [u8; 1024] = [0; 1024];

    #[test]
    fn names_of_every_kind() {
        let long = "a/".repeat(90) + "long";
        let mut size = pax(&record("size", "3"));
        let mut header = entry(b"sized", EntryType::Regular, "", b"");
        header.extend(regular("", "abc")[512..].iter());
        size.extend(header);
        let tar = [
            regular("./first", "1"),
            entry(b"././@LongLink", EntryType::GNULongName, "", format!("{long}\0").as_bytes()),
            regular("cut", "2"),
            pax(&(record("path", &format!("./{long}.pax")) + &record("mtime", "1.5"))),
            regular("cut", "3"),
            entry(b"././@LongLink", EntryType::GNULongLink, "", format!("{long}\0").as_bytes()),
            entry(b"hard", EntryType::Link, "cut", b""),
            pax(&record("linkpath", &long)),
            entry(b"soft", EntryType::Symlink, "cut", b""),
            size,
            entry(b"global", EntryType::XGlobalHeader, "", record("comment", "x").as_bytes()),
            entry(b"\xff", EntryType::Regular, "", b"not text"),
            entry(b"../out", EntryType::Regular, "", b"out"),
            entry(b"vendor", EntryType::new(b'V'), "", b""),
            regular("/last//x/", "4"),
            END.to_vec(),
            b"rubbish behind the end".to_vec(),
        ];
        let entries = scan(&tar.concat()).unwrap();
        let long_pax = long.clone() + ".pax";
        for (name, content) in [
            ("first", "1"),
            ("./first", "1"),
            (&long, "2"),
            (&long_pax, "3"),
            ("hard", "2"),
            ("soft", "2"),
            ("sized", "abc"),
            ("last/x", "4"),
        ] {
            assert_eq!(read(&entries, name).unwrap(), content, "{name}");
        }
        assert_eq!(entries.names().count(), 7);
        assert!(entries.find("cut").unwrap().is_none() && entries.complete());
        assert_eq!(entries.find("../first").unwrap_err().code(), Code::Malformed);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let sized = |kind| entry(b"x", kind, "", &[b'x'; 512]);
        let mut checksum = regular("x", "");
        checksum[0] = b'y';
        let mut negative = regular("x", "");
        negative[124] = 0xff;
        for (what, tar) in [
            ("a directory with content", sized(EntryType::Directory)),
            ("a link with content", entry(b"x", EntryType::Symlink, "y", b"z")),
            ("a link to nothing", [pax(&record("linkpath", "")), entry(b"x", EntryType::Symlink, "", b"z")].concat()),
            ("a bad checksum", [regular("a", ""), checksum].concat()),
            ("a negative size", negative),
            ("one block of zeros", [vec![0; 512], regular("x", "")].concat()),
            ("half a header", regular("x", "")[..100].to_vec()),
            ("half a file", regular("x", "abc")[..513].to_vec()),
            ("a long name at the end", [pax(&record("path", "x")), END.to_vec()].concat()),
            ("a global path", entry(b"g", EntryType::XGlobalHeader, "", record("path", "x").as_bytes())),
            ("a PAX record that is too long", pax("99 path=x\n")),
            ("a PAX record that is too short", pax("5 path=x\n")),
            ("a PAX record without a length", pax(" path=x\n")),
            ("a PAX record without a key", pax("7 pathx\n")),
            ("a PAX size that is none", [pax(&record("size", "-1")), regular("x", "")].concat()),
            ("a PAX size past the end", [pax(&record("size", "18446744073709551615")), regular("x", "")].concat()),
        ] {
            match scan(&tar) {
                Err(e) => assert!(e.code() == Code::Malformed && e.get_subject().is_some(), "{what}: {e}"),
                Ok(_) => panic!("{what} is accepted"),
            }
        }
        for (what, tar) in [("GNU's", sized(EntryType::GNUSparse)), ("PAX's", pax(&record("GNU.sparse.major", "1")))] {
            assert_eq!(scan(&tar).err().map(|e| e.code()), Some(Code::Unsupported), "{what} sparse files");
        }
    }

    #[test]
    fn entries_and_names_have_limits() {
        let many = regular("x", "").repeat(MAX_ENTRIES + 1);
        assert_eq!(scan(&many).err().map(|e| e.code()), Some(Code::LimitExceeded));
        assert!(scan(&many[512..]).is_ok());
        let name = pax(&record("path", &"n".repeat(1 << 19)));
        let long: Vec<u8> = (0..MAX_NAMES >> 19).flat_map(|_| [name.clone(), regular("x", "")].concat()).collect();
        assert!(scan(&long).is_ok());
        assert_eq!(scan(&[long, regular("x", "")].concat()).err().map(|e| e.code()), Some(Code::LimitExceeded));
        let huge = entry(b"x", EntryType::GNULongName, "", &vec![b'x'; (MAX_EXTENSION + 1) as usize]);
        assert_eq!(scan(&huge).err().map(|e| e.code()), Some(Code::LimitExceeded));
    }

    #[test]
    fn links_stop_somewhere() {
        let mut tar: Vec<u8> = (0..20)
            .flat_map(|i| entry(format!("{i}").as_bytes(), EntryType::Symlink, &format!("{}", i + 1), b""))
            .collect();
        tar.extend([regular("20", "end"), END.to_vec()].concat());
        let entries = scan(&tar).unwrap();
        assert_eq!(read(&entries, "4").unwrap(), "end");
        assert_eq!(entries.find("3").unwrap_err().code(), Code::Malformed);
    }
}
