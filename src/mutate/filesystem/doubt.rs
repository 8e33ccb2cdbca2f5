//! Entries that were put aside while layers streamed by, and what becomes of them when all have been seen.
//!
//! The exact [`Tree`] is made of the names of all layers from the one of the first doubt down. It tells under which
//! names the entries belong into the stream. Their data come from where they were kept, or else (a file that seemed
//! hidden, and turned out to be needed under the name of a hard link) from reading its layer once more.

use super::keep::Keep;
use super::merge::{Layers, Out};
use super::names::Names;
use super::seen::{Key, Keys, Upper};
use super::tree::{Fact, Id, Tree};
use crate::error::{Code, Error, Result};
use crate::source::Place;
use crate::stream::{Kind, TarEntry, TarStream, tar_filling};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

pub(super) struct Doubt {
    first: Id,
    names: Names,
    /// Which entries of which layer went into the stream.
    in_stream: HashMap<u32, Vec<bool>>,
    /// The kept entries, a tar in their order.
    ids: Vec<Id>,
    kept: Keep,
}

/// What is still to go into the stream. Names are nodes of the tree.
struct Jobs {
    of: BTreeMap<Id, Job>,
    /// Directories that no entry has made.
    directories: Vec<u32>,
    /// The names of all files: the entry with the content, the one that made the name, the name.
    files: Vec<(Id, Id, u32)>,
}

enum Job {
    Directory(u32),
    /// Under the first of these names, and the others are links to it.
    Content(Range<u32>),
    /// A name, and the one that is in the stream.
    Link(u32, u32),
}

impl Doubt {
    pub(super) fn new(first: Id, place: &Place) -> Doubt {
        let (in_stream, ids) = Default::default();
        Doubt { first, names: Names::new(place), in_stream, ids, kept: Keep::new(place) }
    }

    /// An entry of a layer that is streaming by, of whatever kind.
    pub(super) async fn note(&mut self, id: Id, entry: &TarEntry) -> Result<()> {
        self.names.add(id, entry).await
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
        self,
        layers: &Layers,
        keys: Keys,
        (upper, implied): (Upper, HashSet<Key>),
        out: &mut Out,
    ) -> Result<()> {
        let Doubt { first, names, in_stream, ids, kept } = self;
        let tree = tree(layers, first, names).await?;
        let is_in_stream =
            |id: Id| in_stream.get(&id.layer).and_then(|entries| entries.get(id.entry as usize)) == Some(&true);
        let mut jobs = Jobs::new(&tree, &keys, &upper, &implied, is_in_stream);
        drop((upper, implied, in_stream)); // that is known now
        for directory in std::mem::take(&mut jobs.directories) {
            out.header(&TarEntry::directory(&tree.path(directory))).await?;
        }
        let mut tar = TarStream::new(kept.finish().await?.open(0));
        for id in &ids {
            let Some(entry) = tar.next().await? else { break };
            jobs.run(*id, entry, &tree, &mut tar, out).await?;
        }
        drop(tar);
        // From above, as everything.
        while let Some(layer) = jobs.last_layer()
            && !out.is_satisfied()
        {
            let mut tar = TarStream::new(layers.open(layer).await?);
            let mut entry = 0;
            while let Some(found) = tar.next().await.map_err(|e| layers.within(layer, e))? {
                jobs.run(Id { layer, entry }, found, &tree, &mut tar, out).await?;
                entry += 1;
            }
            if jobs.last_layer() == Some(layer) {
                return Err(Error::new(Code::Malformed, "the layer was another when it was read again"));
            }
        }
        Ok(())
    }
}

/// The tree of all layers from that of the first doubt down.
async fn tree(layers: &Layers, first: Id, names: Names) -> Result<Tree> {
    let names = names.finish().await?;
    let mut tree = Tree::new(layers.windows);
    for layer in 0..=first.layer {
        let within = |e| layers.within(layer, e);
        if layer == first.layer && first.entry > 0 {
            // Nobody has noted what its layer has before the first doubt.
            let mut tar = TarStream::new(layers.open(layer).await?);
            for entry in 0..first.entry {
                let Some(found) = tar.next().await.map_err(within)? else { break };
                let fact = Fact { kind: found.kind, name: &found.name, link: &found.link };
                let applied = tree.apply(Id { layer, entry }, &fact);
                applied.map_err(|e| within(super::merge::about(&found.name, e)))?;
            }
        }
        names.apply(layer, &mut tree).await.map_err(within)?;
    }
    Ok(tree)
}

impl Jobs {
    fn new(tree: &Tree, keys: &Keys, upper: &Upper, implied: &HashSet<Key>, is_in_stream: impl Fn(Id) -> bool) -> Jobs {
        let (mut of, mut directories, mut files) = (BTreeMap::new(), Vec::new(), Vec::new());
        tree.walk(&mut |found| {
            let all = keys.of(found.path);
            if upper.hidden_above(&all) {
                return;
            }
            match (found.by, found.content) {
                (Some(by), Some(content)) if !found.directory => files.push((content, by, found.node)),
                (Some(by), Some(_)) if !is_in_stream(by) => drop(of.insert(by, Job::Directory(found.node))),
                (Some(_), Some(_)) => {}
                _ if !found.path.is_empty() && !all.last().is_some_and(|own| implied.contains(own)) => {
                    directories.push(found.node);
                }
                _ => {}
            }
        });
        files.sort_by_key(|(content, ..)| *content); // names of one file stay in their order
        let mut from = 0;
        for names in files.chunk_by(|one, other| one.0 == other.0) {
            match names.iter().find(|(_, by, _)| is_in_stream(*by)) {
                None => drop(of.insert(names[0].0, Job::Content(from..from + names.len() as u32))),
                Some((.., there)) => {
                    let missing = names.iter().filter(|(_, by, _)| !is_in_stream(*by));
                    of.extend(missing.map(|(_, by, name)| (*by, Job::Link(*name, *there))));
                }
            }
            from += names.len() as u32;
        }
        Jobs { of, directories, files }
    }

    /// Of the layers that have something to do, the topmost.
    fn last_layer(&self) -> Option<u32> {
        self.of.last_key_value().map(|(id, _)| id.layer)
    }

    /// Does what is to be done with this entry, if anything.
    async fn run(
        &mut self,
        id: Id,
        mut entry: TarEntry,
        tree: &Tree,
        tar: &mut TarStream,
        out: &mut Out,
    ) -> Result<()> {
        match self.of.remove(&id) {
            None => Ok(()),
            Some(Job::Directory(name)) => {
                entry.name = tree.path(name);
                if entry.name.is_empty() {
                    entry.name = b"./".to_vec();
                }
                out.header(&entry).await
            }
            Some(Job::Content(names)) => {
                let names = &self.files[names.start as usize..names.end as usize];
                let mut names = names.iter().map(|(.., name)| tree.path(*name));
                let first = names.next().unwrap_or_default(); // there is one
                entry.name.clone_from(&first);
                out.entry(&entry, tar).await?;
                for name in names {
                    out.header(&link(entry.clone(), name, first.clone())).await?;
                }
                Ok(())
            }
            Some(Job::Link(name, to)) => out.header(&link(entry, tree.path(name), tree.path(to))).await,
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
