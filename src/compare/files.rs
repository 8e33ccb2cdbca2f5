//! The files of two layers: which are in one only, and what is different of those in both.

use super::{Differences, MOST};
use crate::context::Context;
use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result};
use crate::layer::Layer;
use crate::stream::{Kind, TarEntry, TarStream};
use std::collections::{BTreeMap, HashMap};

/// Entries of one layer that are held for the comparison.
const MOST_FILES: usize = 100_000;

/// What is compared of an entry.
#[derive(PartialEq, Eq)]
struct Facts {
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
    mtime: (i64, u32),
    device: (u32, u32),
    size: u64,
    link: Box<[u8]>,
    /// Of extended attributes and other records, where there are any.
    records: Option<Digest>,
    content: Option<Digest>,
}

/// A path of the first layer: what it has there, in order, and what was seen of it in the second one.
#[derive(Default)]
struct Path {
    ours: Vec<Facts>,
    seen: usize,
    /// What the second one has there last, where that is something else than the first one's last.
    theirs: Option<Box<Facts>>,
    /// Whether an entry is not what the other layer has in its place.
    moved: bool,
}

impl Differences {
    /// Both layers are read to their ends; what is right is not held. Of a path that is in a layer several times the
    /// last entry counts, and the others are told of.
    pub(super) async fn files(&mut self, at: &str, a: &Layer, b: &Layer, ctx: &Context) -> Result<()> {
        let mut paths: HashMap<Box<[u8]>, Path> = HashMap::new();
        let (mut tar, mut entries) = (TarStream::new(a.plain_chunks(ctx).await?), 0);
        while let Some(entry) = tar.next().await? {
            if entries >= MOST_FILES {
                let why = format!("a layer of more than {MOST_FILES} entries is not compared file by file");
                return Err(Error::new(Code::LimitExceeded, why).subject(&a.descriptor().digest));
            }
            entries += 1;
            let facts = Facts::of(&entry, &mut tar).await?;
            let ours = &mut paths.entry(path(&entry.name)).or_default().ours;
            ours.reserve_exact(1); // hardly ever more
            ours.push(facts);
        }
        let mut others: BTreeMap<Box<[u8]>, usize> = BTreeMap::new();
        let mut tar = TarStream::new(b.plain_chunks(ctx).await?);
        while let Some(entry) = tar.next().await? {
            let facts = Facts::of(&entry, &mut tar).await?;
            let name = path(&entry.name);
            match paths.get_mut(&name) {
                Some(both) => {
                    both.moved |= both.ours.get(both.seen) != Some(&facts);
                    both.theirs = (both.ours.last() != Some(&facts)).then(|| Box::new(facts));
                    both.seen += 1;
                }
                // More are not told of.
                None if others.len() <= MOST || others.contains_key(&name) => *others.entry(name).or_default() += 1,
                None => {}
            }
        }
        let times = |n: usize| if n > 1 { format!(", {n} times") } else { String::new() };
        let mut paths: Vec<(Box<[u8]>, Path)> = paths.into_iter().collect();
        paths.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, found) in paths {
            let (at, ours) = (format!("{at}/{}", text(&name)), found.ours.len());
            match (&found.theirs, found.ours.last()) {
                _ if found.seen == 0 => self.tell(&at, format!("only the first has it{}", times(ours))),
                (Some(theirs), Some(last)) => self.facts(&at, last, theirs),
                _ => {}
            }
            if found.seen > 0 && ours != found.seen {
                self.tell(
                    &at,
                    format!("entries of this path, of which the last counts: {ours} against {}", found.seen),
                );
            } else if found.moved && found.theirs.is_none() && found.seen > 0 {
                self.tell(&at, "an entry of this path that a later one overrides is another".into());
            }
        }
        for (name, n) in others {
            self.tell(format!("{at}/{}", text(&name)), format!("only the second has it{}", times(n)));
        }
        Ok(())
    }

    fn facts(&mut self, at: &str, a: &Facts, b: &Facts) {
        let mut add = |what: &str, same: bool, one: String, other: String| {
            if !same {
                self.tell(at, format!("{what}: {one} against {other}"));
            }
        };
        let owner = |f: &Facts| format!("{}:{}", f.owner.0, f.owner.1);
        let time = |f: &Facts| format!("{}.{:09}", f.mtime.0, f.mtime.1);
        let device = |f: &Facts| format!("{}:{}", f.device.0, f.device.1);
        let link = |f: &Facts| shown(&String::from_utf8_lossy(&f.link));
        add("kind", a.kind == b.kind, format!("{:?}", a.kind), format!("{:?}", b.kind));
        add("mode", a.mode == b.mode, format!("{:o}", a.mode), format!("{:o}", b.mode));
        add("owner", a.owner == b.owner, owner(a), owner(b));
        add("modification time", a.mtime == b.mtime, time(a), time(b));
        add("device", a.device == b.device, device(a), device(b));
        add("size", a.size == b.size, a.size.to_string(), b.size.to_string());
        add("link", a.link == b.link, link(a), link(b));
        let hash = |digest: &Option<Digest>| digest.as_ref().map_or("nothing".to_owned(), Digest::to_string);
        add("content", a.content == b.content, hash(&a.content), hash(&b.content));
        let records = a.records == b.records;
        add("extended attributes and records", records, hash(&a.records), hash(&b.records));
    }
}

impl Facts {
    async fn of(entry: &TarEntry, tar: &mut TarStream) -> Result<Facts> {
        let mut content = crate::digest::Algorithm::Sha256.hasher();
        while let Some(chunk) = tar.data().await? {
            content.update(&chunk);
        }
        let mut sorted: Vec<_> = entry.pax.iter().collect();
        sorted.sort();
        let mut records = crate::digest::Algorithm::Sha256.hasher();
        for (key, value) in sorted {
            records.update(&(key.len() as u64).to_le_bytes());
            records.update(key);
            records.update(&(value.len() as u64).to_le_bytes());
            records.update(value);
        }
        Ok(Facts {
            kind: entry.kind,
            mode: entry.mode,
            owner: (entry.uid, entry.gid),
            mtime: (entry.mtime.secs, entry.mtime.nanos),
            device: entry.device,
            size: entry.size,
            link: entry.link.clone().into(),
            records: (!entry.pax.is_empty()).then(|| records.finish()),
            content: (entry.stored > 0).then(|| content.finish()),
        })
    }
}

fn text(name: &[u8]) -> String {
    shown(&String::from_utf8_lossy(name))
}

/// A name without what means nothing in it.
fn path(name: &[u8]) -> Box<[u8]> {
    let parts = name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/').into()
}
