//! The files of two layers: which are in one only, and what is different of those in both.

use super::Differences;
use crate::context::Context;
use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result};
use crate::layer::Layer;
use crate::stream::{Kind, TarEntry, TarStream};
use std::collections::HashMap;

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

impl Differences {
    /// Both layers are read to their ends; what is right is not held.
    pub(super) async fn files(&mut self, at: &str, a: &Layer, b: &Layer, ctx: &Context) -> Result<()> {
        let mut left = HashMap::new();
        let mut tar = TarStream::new(a.plain_chunks(ctx).await?);
        while let Some(entry) = tar.next().await? {
            if left.len() >= MOST_FILES {
                let why = format!("a layer of more than {MOST_FILES} entries is not compared file by file");
                return Err(Error::new(Code::LimitExceeded, why).subject(&a.descriptor().digest));
            }
            let facts = Facts::of(&entry, &mut tar).await?;
            left.insert(path(&entry.name), facts);
        }
        let mut tar = TarStream::new(b.plain_chunks(ctx).await?);
        while let Some(entry) = tar.next().await? {
            let facts = Facts::of(&entry, &mut tar).await?;
            match left.remove(&path(&entry.name)) {
                Some(ours) => self.facts(&format!("{at}/{}", entry.shown()), &ours, &facts),
                None => self.tell(format!("{at}/{}", entry.shown()), "only the second has it".into()),
            }
        }
        let mut left: Vec<Box<[u8]>> = left.into_keys().collect();
        left.sort_unstable();
        for name in left {
            self.tell(format!("{at}/{}", shown(&String::from_utf8_lossy(&name))), "only the first has it".into());
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

/// A name without what means nothing in it.
fn path(name: &[u8]) -> Box<[u8]> {
    let parts = name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/').into()
}
