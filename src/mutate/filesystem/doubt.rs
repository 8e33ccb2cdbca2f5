//! Entries that were put aside while layers streamed by, and what becomes of them when all have been seen.
//!
//! The exact [`Tree`] is made of the names of all layers from the one of the first doubt down. It tells under which
//! names the entries belong into the stream. Their data come from where they were kept, or else (a file that seemed
//! hidden, and turned out to be needed under the name of a hard link) from reading its layer once more.

use super::keep::Keep;
use super::merge::{Layers, Out};
use super::seen::{Key, Keys, Upper};
use super::tree::{Fact, Id, Tree};
use crate::error::{Code, Error, Result};
use crate::source::Place;
use crate::stream::{Kind, TarEntry, TarStream, tar_filling};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Text of names, at most.
const MAX_NAMES: usize = 1 << 30;

pub(super) struct Doubt {
    first: Id,
    names: Names,
    /// Which entries of which layer went into the stream.
    in_stream: HashMap<u32, Vec<bool>>,
    /// The kept entries, a tar in their order.
    ids: Vec<Id>,
    kept: Keep,
}

/// Names and targets of entries, layer by layer from above.
#[derive(Default)]
struct Names {
    text: Vec<u8>,
    entries: Vec<(Id, Kind, u32, u32)>,
}

impl Names {
    fn add(&mut self, id: Id, entry: &TarEntry) -> Result<()> {
        if self.text.len() + entry.name.len() + entry.link.len() > MAX_NAMES {
            return Err(Error::new(Code::LimitExceeded, format!("names of more than {MAX_NAMES} bytes in the layers")));
        }
        self.text.extend_from_slice(&entry.name);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(&entry.link);
        self.entries.push((id, entry.kind, middle, self.text.len() as u32));
        Ok(())
    }

    /// Those of one layer, in its order.
    fn apply(&self, layer: u32, tree: &mut Tree) -> Result<()> {
        let from = self.entries.partition_point(|e| e.0.layer > layer);
        let to = self.entries.partition_point(|e| e.0.layer >= layer);
        for at in from..to {
            let (id, kind, middle, end) = self.entries[at];
            let start = if at == 0 { 0 } else { self.entries[at - 1].3 };
            let name = &self.text[start as usize..middle as usize];
            let link = &self.text[middle as usize..end as usize];
            tree.apply(id, &Fact { kind, name, link }).map_err(|e| super::merge::about(name, e))?;
        }
        Ok(())
    }
}

/// What is still to go into the stream.
enum Job {
    Directory(Vec<u8>),
    /// Under this name, and those that are links to it.
    Content(Vec<u8>, Vec<Vec<u8>>),
    /// A name, and the one that is in the stream.
    Link(Vec<u8>, Vec<u8>),
}

impl Doubt {
    pub(super) fn new(first: Id, place: &Place) -> Doubt {
        Doubt { first, names: Names::default(), in_stream: HashMap::new(), ids: Vec::new(), kept: Keep::new(place) }
    }

    /// An entry of a layer that is streaming by, of whatever kind.
    pub(super) fn note(&mut self, id: Id, entry: &TarEntry) -> Result<()> {
        self.names.add(id, entry)
    }

    /// The end of a layer: which of its entries went into the stream.
    pub(super) fn close(&mut self, layer: u32, in_stream: Vec<bool>) {
        self.in_stream.insert(layer, in_stream);
    }

    /// Keeps an entry with its data.
    pub(super) async fn keep(&mut self, id: Id, entry: &TarEntry, tar: &mut TarStream) -> Result<()> {
        self.ids.push(id);
        self.kept.put(entry.raw.clone()).await?;
        while let Some(piece) = tar.data().await? {
            self.kept.put(piece).await?;
        }
        self.kept.put(tar_filling(entry.stored)).await
    }

    /// Puts into the stream whatever belongs there still.
    pub(super) async fn settle(
        mut self,
        layers: &Layers,
        keys: &Keys,
        (upper, implied): (&Upper, &HashSet<Key>),
        out: &mut Out,
    ) -> Result<()> {
        let head = self.head(layers).await?;
        let mut tree = Tree::new(layers.windows);
        for layer in 0..=self.first.layer {
            let within = |e| layers.within(layer, e);
            if layer == self.first.layer {
                head.apply(layer, &mut tree).map_err(within)?;
            }
            self.names.apply(layer, &mut tree).map_err(within)?;
        }
        drop((head, std::mem::take(&mut self.names)));
        let (mut jobs, directories) = self.jobs(&tree, keys, upper, implied);
        drop(tree);
        for directory in directories {
            out.header(&TarEntry::directory(&directory)).await?;
        }

        let mut tar = TarStream::new(self.kept.finish().await?);
        for id in &self.ids {
            let Some(entry) = tar.next().await? else { break };
            if let Some(job) = jobs.remove(id) {
                job.run(entry, &mut tar, out).await?;
            }
        }
        drop(tar);
        // From above, as everything.
        while let Some(layer) = jobs.keys().next_back().map(|id| id.layer)
            && !out.is_satisfied()
        {
            let mut tar = TarStream::new(layers.open(layer).await?);
            let mut entry = 0;
            while let Some(found) = tar.next().await.map_err(|e| layers.within(layer, e))? {
                if let Some(job) = jobs.remove(&Id { layer, entry }) {
                    job.run(found, &mut tar, out).await?;
                }
                entry += 1;
            }
            if jobs.keys().next_back().is_some_and(|id| id.layer == layer) {
                return Err(Error::new(Code::Malformed, "the layer was another when it was read again"));
            }
        }
        Ok(())
    }

    /// What its layer has before the first doubt: nobody has noted that.
    async fn head(&self, layers: &Layers) -> Result<Names> {
        let Id { layer, entry: count } = self.first;
        let mut names = Names::default();
        if count == 0 {
            return Ok(names);
        }
        let mut tar = TarStream::new(layers.open(layer).await?);
        for entry in 0..count {
            match tar.next().await.map_err(|e| layers.within(layer, e))? {
                Some(found) => names.add(Id { layer, entry }, &found)?,
                None => break,
            }
        }
        Ok(names)
    }

    fn is_in_stream(&self, id: Id) -> bool {
        self.in_stream.get(&id.layer).and_then(|entries| entries.get(id.entry as usize)).is_some_and(|is| *is)
    }

    /// What to do with which entries, and the directories that none has made.
    fn jobs(
        &self,
        tree: &Tree,
        keys: &Keys,
        upper: &Upper,
        implied: &HashSet<Key>,
    ) -> (BTreeMap<Id, Job>, Vec<Vec<u8>>) {
        let mut jobs = BTreeMap::new();
        let mut directories = Vec::new();
        let mut files: Vec<(Id, Id, Vec<u8>)> = Vec::new();
        tree.walk(&mut |found| {
            let all = keys.of(found.path);
            let Some((own, parents)) = all.split_last() else { return };
            if upper.get(own).itself_above || parents.iter().any(|key| upper.get(key).content_above) {
                return;
            }
            let (Some(by), Some(content)) = (found.by, found.content) else {
                if !found.path.is_empty() && !implied.contains(own) {
                    directories.push(found.path.to_vec());
                }
                return;
            };
            if !found.directory {
                files.push((content, by, found.path.to_vec()));
            } else if !self.is_in_stream(by) {
                jobs.insert(by, Job::Directory(found.path.to_vec()));
            }
        });
        files.sort_by_key(|(content, ..)| *content); // names of one file stay in their order
        let mut files = files.into_iter().peekable();
        while let Some((content, by, first)) = files.next() {
            let mut more = Vec::new();
            while let Some((_, by, path)) = files.next_if(|(other, ..)| *other == content) {
                more.push((by, path));
            }
            let there = [(by, &first)].into_iter().chain(more.iter().map(|(by, path)| (*by, path)));
            let there = there.into_iter().find(|(by, _)| self.is_in_stream(*by)).map(|(_, path)| path.clone());
            match there {
                None => {
                    jobs.insert(content, Job::Content(first, more.into_iter().map(|(_, path)| path).collect()));
                }
                Some(there) => {
                    let missing = [(by, first)].into_iter().chain(more).filter(|(by, _)| !self.is_in_stream(*by));
                    jobs.extend(missing.map(|(by, path)| (by, Job::Link(path, there.clone()))));
                }
            }
        }
        (jobs, directories)
    }
}

impl Job {
    async fn run(self, mut entry: TarEntry, tar: &mut TarStream, out: &mut Out) -> Result<()> {
        match self {
            Job::Directory(path) => {
                entry.name = if path.is_empty() { b"./".to_vec() } else { path };
                out.header(&entry).await
            }
            Job::Content(first, more) => {
                entry.name.clone_from(&first);
                out.entry(&entry, tar).await?;
                for name in more {
                    out.header(&link(entry.clone(), name, first.clone())).await?;
                }
                Ok(())
            }
            Job::Link(name, to) => out.header(&link(entry, name, to)).await,
        }
    }
}

/// Another name of a file that is in the stream.
fn link(mut entry: TarEntry, name: Vec<u8>, to: Vec<u8>) -> TarEntry {
    entry.kind = Kind::HardLink;
    (entry.name, entry.link) = (name, to);
    (entry.size, entry.stored, entry.sparse) = (0, 0, None);
    entry.pax.clear();
    entry
}
