//! Everything that can be read of a medium, and how it has to compare with what was there before.

use parbuckle::{Child, Code, Context, Digest, Error, Image, Index, Layer, MemoryStore, Options, Reader, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// No single read of a few KiB takes so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Each byte is changed by a value that depends on its place and is never 0; those of documents by these, too.
const MORE: [u8; 2] = [0x01, 0x80];

/// Media that are damaged at the same time.
const WORKERS: usize = 4;

pub fn ctx() -> Context {
    Context::with_timeout(PATIENCE)
}

pub fn none() -> Options {
    Options::new()
}

pub fn all(reader: &mut Reader) -> Result<Vec<u8>> {
    let (ctx, mut all, mut buf) = (ctx(), Vec::new(), [0; 8192]);
    loop {
        match reader.read(&mut buf, &ctx)? {
            0 => return Ok(all),
            n => all.extend_from_slice(&buf[..n]),
        }
    }
}

/// What was read, each thing under a name of its own, and what could not be.
#[derive(Default)]
pub struct Read(BTreeMap<String, Result<Vec<u8>>>);

/// How much is read.
#[derive(Clone, Copy, PartialEq)]
pub enum Depth {
    Everything,
    /// Half of it: layers as they are stored, and a copy.
    Stored,
    /// The other half: the tars of layers, and whether all is right.
    Plain,
    /// Enough for bytes that belong to nothing: which manifest it is, and whether all is right.
    Validated,
}

/// From this size on the two halves of everything are read by turns, byte by byte.
const LARGE: usize = 2000;

impl Read {
    pub fn note(&mut self, what: impl Into<String>, outcome: Result<impl AsRef<[u8]>>) {
        let before = self.0.insert(what.into(), outcome.map(|bytes| bytes.as_ref().to_vec()));
        assert!(before.is_none());
    }
    /// What this gives, or that it can't be had.
    pub fn got<T>(&mut self, what: &str, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|e| self.note(what, Err::<&[u8], _>(e))).ok()
    }
    pub fn layer(&mut self, what: &str, layer: &Layer, depth: Depth) {
        if depth != Depth::Plain {
            self.note(format!("{what} bytes"), layer.open(&ctx()).wait().and_then(|mut r| all(&mut r)));
        }
        if depth != Depth::Stored {
            self.note(format!("{what} tar"), layer.open_uncompressed(&ctx()).wait().and_then(|mut r| all(&mut r)));
        }
    }
    fn image(&mut self, what: &str, image: &Image, depth: Depth) {
        self.note(format!("{what} manifest"), Ok(image.manifest().raw()));
        self.note(format!("{what} config"), image.config(&ctx()).wait().map(|config| config.raw().clone()));
        for (i, layer) in image.layers().iter().enumerate() {
            self.layer(&format!("{what} layer {i}"), layer, depth);
        }
    }
    fn index(&mut self, what: &str, index: &Index, depth: Depth) {
        self.note(format!("{what} manifest"), Ok(index.manifest().raw()));
        for (i, entry) in index.manifest().manifests().iter().enumerate() {
            let (what, digest) = (format!("{what}.{i}"), entry.digest.as_str());
            if entry.media_type.is_index() {
                if let Some(child) = self.got(&what, index.child(digest, &none(), &ctx()).wait()) {
                    self.index(&what, &child, depth);
                }
            } else if let Some(image) = self.got(&what, index.image(digest, &none(), &ctx()).wait()) {
                self.image(&what, &image, depth);
            }
        }
    }
    /// All of it: in parts, validated, and copied.
    pub fn child(&mut self, what: &str, child: &Child, depth: Depth) {
        match child {
            _ if depth == Depth::Validated => {
                self.note(format!("{what} manifest"), Ok(child.descriptor().digest.as_str()))
            }
            Child::Image(image) => self.image(what, image, depth),
            Child::Index(index) => self.index(what, index, depth),
        }
        if depth != Depth::Stored {
            let valid = match child {
                Child::Image(image) => image.validate(&none(), &ctx()).wait(),
                Child::Index(index) => index.validate(&none(), &ctx()).wait(),
            };
            self.note(format!("{what} validated"), valid.map(|()| ""));
        }
        if matches!(depth, Depth::Stored | Depth::Everything) {
            let store = MemoryStore::new(1 << 20).unwrap();
            let copied = match child {
                Child::Image(image) => store.add_image(None, image, &none(), &ctx()).wait(),
                Child::Index(index) => store.add_index(None, index, &none(), &ctx()).wait(),
            };
            self.note(format!("{what} copied"), copied.map(|()| child.descriptor().digest.as_str()));
        }
    }
    fn errors(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.0.iter().filter_map(|(what, outcome)| Some((what.as_str(), outcome.as_ref().err()?)))
    }
}

/// Bytes that lie side by side and mean one thing.
pub struct Span {
    pub range: Range<usize>,
    /// One of these is in the subject of an error about it. The digest of what it has become is always one.
    pub names: Vec<String>,
    /// It is a document that names others: what it names now may be what is not to be had.
    pub document: bool,
    /// Nothing is in it.
    pub filling: bool,
    /// What may be another without an error, by the last words of its name.
    pub free: Vec<&'static str>,
}

impl Span {
    pub fn new(range: Range<usize>, names: &[&str]) -> Span {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Span { range, names, document: false, filling: false, free: Vec::new() }
    }
    pub fn or_named(mut self, name: &str) -> Span {
        self.names.push(name.to_owned());
        self
    }
    pub fn document(mut self) -> Span {
        self.document = true;
        self
    }
    pub fn filling(mut self) -> Span {
        self.filling = true;
        self
    }
    pub fn free(mut self, free: &[&'static str]) -> Span {
        self.free.extend(free);
        self
    }
}

type Put = Box<dyn Fn(&[u8], usize) + Send>;

/// A medium that can be damaged.
pub struct Medium {
    /// Has it have these bytes, of which the one at this place is new.
    pub put: Put,
    pub read: Box<dyn Fn(Depth) -> Read + Send>,
}

/// Changes every byte of a medium, and reads everything. How many flips there were, and how many of them were errors.
///
/// It is done to several of the same medium at the same time, which takes less time than one after the other.
pub fn flip(what: &str, bytes: &[u8], spans: &[Span], make: &(dyn Fn() -> Medium + Sync)) -> (usize, usize) {
    let right = {
        let medium = make();
        [Depth::Everything, Depth::Stored, Depth::Plain, Depth::Validated].map(|depth| (depth, (medium.read)(depth)))
    };
    for (_, right) in &right {
        assert!(right.errors().next().is_none(), "{what}: {:?}", right.errors().next());
    }
    let (began, next) = (Instant::now(), AtomicUsize::new(0));
    let work = || {
        let (medium, mut bytes, mut found) = (make(), bytes.to_vec(), Found::default());
        loop {
            let at = next.fetch_add(1, Relaxed);
            if at >= bytes.len() {
                return found;
            }
            let span = spans.iter().find(|span| span.range.contains(&at));
            let span = span.unwrap_or_else(|| panic!("{what}: byte {at} is nobody's"));
            let (depth, whole) = match (span.filling, bytes.len() < LARGE) {
                (true, _) => &right[3],
                (false, true) => &right[0],
                (false, false) => &right[1 + at % 2],
            };
            let by_place = (at * 151 % 255 + 1) as u8;
            let more = if span.document { &MORE[..] } else { &[] };
            for xor in more.iter().chain([&by_place]) {
                bytes[at] ^= xor;
                (medium.put)(&bytes, at);
                let read = (medium.read)(*depth);
                found.flips += 1;
                found.failed += usize::from(read.errors().next().is_some());
                if let Err(why) = judge(whole, &read, span, &bytes) {
                    let around = &bytes[at.saturating_sub(24)..bytes.len().min(at + 24)];
                    let around = String::from_utf8_lossy(around).into_owned();
                    found.wrong.push(format!("byte {at} ^ {xor:#04x} ({around:?}): {why}"));
                }
                bytes[at] ^= xor;
            }
            (medium.put)(&bytes, at);
        }
    };
    let mut all = Found::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let Found { flips, failed, wrong } = worker.join().unwrap();
            (all.flips, all.failed) = (all.flips + flips, all.failed + failed);
            all.wrong.extend(wrong);
        }
    });
    let shown = all.wrong.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
    assert!(all.wrong.is_empty(), "{what}: {} of {} flips:\n{shown}", all.wrong.len(), all.flips);
    println!("{what}: {} bytes, {} flips, {} errors, {:.1?}", bytes.len(), all.flips, all.failed, began.elapsed());
    (all.flips, all.failed)
}

#[derive(Default)]
struct Found {
    flips: usize,
    failed: usize,
    wrong: Vec<String>,
}

/// Whether that is right: errors that name what is damaged, and nothing that is another.
fn judge(right: &Read, found: &Read, span: &Span, bytes: &[u8]) -> Result<(), String> {
    let bytes = &bytes[span.range.clone()];
    // What the document names now, as it stands there: a character that can't be shown is U+FFFD in a subject.
    let named = |name: &str| {
        let text = String::from_utf8_lossy(bytes);
        !name.is_empty() && name.split('\u{fffd}').all(|part| text.contains(part))
    };
    for (what, e) in found.errors() {
        if matches!(e.code(), Code::Internal | Code::TimedOut | Code::Cancelled | Code::InvalidState) {
            return Err(format!("{what}: {e:?}"));
        }
        let subject = e.get_subject().unwrap_or_default();
        let known = span.names.iter().any(|name| subject.contains(name));
        let last = subject.rsplit_once(": ").map_or(subject, |(_, last)| last.trim_end_matches("/json"));
        if !(known || subject.contains(Digest::sha256(bytes).hex()) || span.document && named(last)) {
            return Err(format!("{what}: names '{subject}', none of {:?}: {e:?}", span.names));
        }
    }
    let failed = found.errors().next().is_some();
    let free = |what: &str| span.free.iter().any(|free| what.ends_with(free));
    for (what, outcome) in &found.0 {
        let Ok(is) = outcome else { continue };
        match right.0.get(what) {
            Some(Ok(was)) if was == is => {}
            _ if free(what) || (failed && span.document && what == "names") => {}
            _ => return Err(format!("{what} is another: {:?}", String::from_utf8_lossy(&is[..is.len().min(200)]))),
        }
    }
    match right.0.keys().find(|what| !found.0.contains_key(*what) && !free(what)) {
        Some(missing) if !failed => Err(format!("{missing} is not there any more")),
        _ => Ok(()),
    }
}
