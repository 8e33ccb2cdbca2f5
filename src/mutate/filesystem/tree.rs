//! The exact tree: layers applied one on the other from the lowest, as a container engine unpacks them, names only.
//!
//! Symbolic links on the way to an entry are followed within the root. Files with several names are one file.

use super::path::{Named, clean, join, named, split, text};
use crate::error::{Code, Error, Result, malformed};
use crate::stream::Kind;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

/// Links that are followed on the way to one file, at most (as in the engines).
const MAX_LINKS: usize = 255;
/// Entries that are kept track of, at most.
pub(crate) const MAX_ENTRIES: usize = 4_000_000;

/// Which entry of which layer, both counted from 0, the lowest layer first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    pub layer: u32,
    pub entry: u32,
}

/// What of an entry matters here.
pub(crate) struct Fact<'a> {
    pub kind: Kind,
    pub name: &'a [u8],
    pub link: &'a [u8],
}

/// Nodes lie side by side and point to each other by number, and their names to one text: a hundred bytes a path, so that
/// a million of them can be held.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// The names of the nodes, and the targets of symbolic links.
    text: Vec<u8>,
    /// Nodes by parent and name.
    by_name: HashTable<u32>,
    hasher: RandomState,
    windows: bool,
    entries: usize,
}

struct Node {
    parent: u32,
    name: Text,
    /// Its neighbours in the directory, in no order.
    next: u32,
    before: u32,
    /// The entry that made this name; `None` for a directory that only its content made.
    by: Option<Id>,
    /// The layer that touched it last.
    layer: u32,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    /// With its first child.
    Directory(u32),
    Symlink(Id, Text),
    /// The entry with the content.
    Other(Id),
}

/// A part of the tree's text.
#[derive(Clone, Copy)]
struct Text {
    at: u32,
    len: u32,
}

const ROOT: u32 = 0;
/// No node.
const NONE: u32 = u32::MAX;
/// Text of names and of targets of links, at most.
const MAX_TEXT: usize = 1 << 30;

/// A name in the tree.
pub(crate) struct Found<'a> {
    /// What [`Tree::path`] gives the path for.
    pub node: u32,
    pub path: &'a [u8],
    /// The entry that made the name.
    pub by: Option<Id>,
    /// The entry that has the content: another one for hard links. Of a directory: the same.
    pub content: Option<Id>,
    pub directory: bool,
    /// The lowest layer number that fits where there is no entry.
    pub layer: u32,
}

/// Where in the tree a path lies, links on the way followed; it itself may be a link, or not be there.
pub(crate) struct Located {
    /// Without any link on the way.
    pub path: Vec<u8>,
    /// The directories above it that have an entry, the outermost first.
    pub parents: Vec<(Vec<u8>, Id)>,
    pub there: Option<There>,
}

pub(crate) enum There {
    Directory,
    /// The entry with the content: of a hard link, that of the file.
    Entry(Id),
}

impl Tree {
    pub(crate) fn new(windows: bool) -> Tree {
        let root = Node {
            parent: NONE,
            name: Text { at: 0, len: 0 },
            next: NONE,
            before: NONE,
            by: None,
            layer: 0,
            what: What::Directory(NONE),
        };
        let (text, by_name, hasher) = Default::default();
        Tree { nodes: vec![root], text, by_name, hasher, windows, entries: 0 }
    }

    /// Applies one entry.
    ///
    /// Errors: `Malformed` where no engine could unpack it; `Unsupported` for entries that are no files.
    pub(crate) fn apply(&mut self, id: Id, fact: &Fact<'_>) -> Result<()> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            let why = format!("more than {MAX_ENTRIES} entries in the layers");
            return Err(Error::new(Code::LimitExceeded, why));
        }
        match named(fact.name, self.windows)? {
            Named::Ignored => Ok(()),
            Named::Entry(path) => self.add(id, &path, fact),
            Named::Whiteout(path) => {
                let (parent, base) = parent_of(&path);
                if let Some(parent) = self.directory(parent, None)?
                    && let Some(node) = self.child(parent, base)
                    && !self.prune(node, id.layer, false)
                {
                    self.unlink(node);
                }
                Ok(())
            }
            Named::Opaque(path) => {
                if let Some(node) = self.directory(&path, None)? {
                    self.prune(node, id.layer, true);
                }
                Ok(())
            }
        }
    }

    fn add(&mut self, id: Id, path: &[u8], fact: &Fact<'_>) -> Result<()> {
        if let Kind::Other(_) = fact.kind {
            return Err(no_file(path));
        }
        let directory = fact.kind == Kind::Directory;
        if path.is_empty() {
            if !directory {
                return Err(malformed("the root is no directory"));
            }
            self.node_mut(ROOT).by = Some(id);
            return Ok(());
        }
        let (parent, base) = parent_of(path);
        let Some(parent) = self.directory(parent, Some(id.layer))? else { return Ok(()) };
        let there = self.child(parent, base);
        if let Some(there) = there
            && self.is_directory(there)
        {
            if directory {
                let node = self.node_mut(there);
                (node.by, node.layer) = (Some(id), id.layer);
                return Ok(());
            }
            if self.prune(there, id.layer, false) {
                return Err(replaced(path));
            }
        }
        let what = match fact.kind {
            Kind::Directory => What::Directory(NONE),
            Kind::Symlink => What::Symlink(id, self.keep(fact.link)?),
            Kind::HardLink => match self.target(fact.link, there)? {
                What::Directory(_) => return Err(malformed("a hard link to a directory").subject(text(path))),
                file => file,
            },
            _ => What::Other(id),
        };
        if let Some(there) = there {
            self.unlink(there);
        }
        self.insert(parent, base, Some(id), id.layer, what)?;
        Ok(())
    }

    fn target(&mut self, link: &[u8], itself: Option<u32>) -> Result<What> {
        let path = clean(link, self.windows)?;
        let missing = || malformed("a hard link to a file that is not there").subject(text(&path));
        let (parent, base) = parent_of(&path);
        let parent = self.directory(parent, None)?.ok_or_else(missing)?;
        let node = if path.is_empty() { Some(ROOT) } else { self.child(parent, base) };
        // An engine makes room for the link first.
        let node = node.filter(|node| Some(*node) != itself).ok_or_else(missing)?;
        Ok(self.node(node).what)
    }

    /// The directory with this name, links followed; what is missing is made if that layer wants it.
    fn directory(&mut self, path: &[u8], make: Option<u32>) -> Result<Option<u32>> {
        let found = self.follow(path, make)?;
        match found.map(|node| self.node(node).what) {
            Some(What::Other(_)) if make.is_some() => {
                Err(malformed("an entry lies below what is no directory").subject(text(path)))
            }
            Some(What::Other(_)) => Ok(None),
            _ => Ok(found),
        }
    }

    /// What has this name, all links followed.
    fn follow(&mut self, path: &[u8], make: Option<u32>) -> Result<Option<u32>> {
        let mut at = vec![ROOT];
        let mut parts: VecDeque<Box<[u8]>> = split(path).map(Into::into).collect();
        let mut links = 0;
        while let Some(part) = parts.pop_front() {
            let here = at[at.len() - 1];
            match &*part {
                b"." => continue,
                b".." => {
                    if at.len() > 1 {
                        at.pop(); // above the root is the root
                    }
                    continue;
                }
                _ => {}
            }
            let next = match (self.child(here, &part), make) {
                (Some(next), _) => next,
                (None, None) => return Ok(None),
                (None, Some(layer)) => self.insert(here, &part, None, layer, What::Directory(NONE))?,
            };
            match self.node(next).what {
                What::Directory(_) => at.push(next),
                What::Symlink(_, target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(malformed("too many symbolic links on the way").subject(text(path)));
                    }
                    let target = self.text(target);
                    if target.starts_with(b"/") {
                        at.truncate(1);
                    }
                    split(target).rev().for_each(|part| parts.push_front(part.into()));
                }
                What::Other(_) if parts.is_empty() => return Ok(Some(next)),
                What::Other(_) if make.is_none() => return Ok(None),
                What::Other(_) => return Err(malformed("an entry lies below what is no directory").subject(text(path))),
            }
        }
        Ok(at.pop())
    }

    /// Takes away what lower layers put there, but for the directory itself where that is to stay. Whether anything of
    /// it is left.
    fn prune(&mut self, node: u32, layer: u32, stays: bool) -> bool {
        let mut order = vec![node];
        let mut next = 0;
        while let Some(node) = order.get(next) {
            let children: Vec<u32> = self.children(*node).collect();
            order.extend(children);
            next += 1;
        }
        // What is below comes after what is above it: from the end, every child is decided before its parent.
        for child in order.iter().skip(1).rev() {
            self.leave(*child, layer, false);
            if !self.is_left(*child, layer) {
                self.unlink(*child);
            }
        }
        self.leave(node, layer, stays);
        self.is_left(node, layer)
    }

    /// Whether something of this layer is there, or below it.
    fn is_left(&self, node: u32, layer: u32) -> bool {
        let found = self.node(node);
        found.layer == layer || matches!(found.what, What::Directory(child) if child != NONE)
    }

    /// A directory of a lower layer that is gone, and made again by what is below it.
    fn leave(&mut self, node: u32, layer: u32, stays: bool) {
        if self.is_directory(node) && self.node(node).layer != layer && self.is_left(node, layer) && !stays {
            self.node_mut(node).by = None;
        }
    }

    fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }
    fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }
    fn is_directory(&self, node: u32) -> bool {
        matches!(self.node(node).what, What::Directory(_))
    }
    fn text(&self, text: Text) -> &[u8] {
        &self.text[text.at as usize..][..text.len as usize]
    }
    fn keep(&mut self, text: &[u8]) -> Result<Text> {
        if self.text.len() + text.len() > MAX_TEXT {
            return Err(Error::new(Code::LimitExceeded, format!("names of more than {MAX_TEXT} bytes in the layers")));
        }
        let at = self.text.len() as u32;
        self.text.extend_from_slice(text);
        Ok(Text { at, len: text.len() as u32 })
    }

    fn child(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let is_it = |node: &u32| self.node(*node).parent == parent && self.text(self.node(*node).name) == name;
        self.by_name.find(self.hasher.hash_one((parent, name)), is_it).copied()
    }

    /// In no order.
    fn children(&self, parent: u32) -> impl Iterator<Item = u32> {
        let some = |node: u32| (node != NONE).then_some(node);
        let first = match self.node(parent).what {
            What::Directory(first) => some(first),
            _ => None,
        };
        std::iter::successors(first, move |node| some(self.node(*node).next))
    }

    /// A new child of a directory that has none of this name.
    fn insert(&mut self, parent: u32, name: &[u8], by: Option<Id>, layer: u32, what: What) -> Result<u32> {
        let new = self.nodes.len() as u32;
        let hash = self.hasher.hash_one((parent, name));
        let name = self.keep(name)?;
        let next = self.children(parent).next().unwrap_or(NONE);
        self.nodes.push(Node { parent, name, next, before: NONE, by, layer, what });
        if next != NONE {
            self.node_mut(next).before = new;
        }
        self.node_mut(parent).what = What::Directory(new);
        let Tree { nodes, text, hasher, by_name, .. } = self;
        by_name.insert_unique(hash, new, |node| {
            let Node { parent, name, .. } = &nodes[*node as usize];
            hasher.hash_one((*parent, &text[name.at as usize..][..name.len as usize]))
        });
        Ok(new)
    }

    /// Takes a node out of its directory.
    fn unlink(&mut self, node: u32) {
        let Node { parent, name, next, before, .. } = *self.node(node);
        let hash = self.hasher.hash_one((parent, self.text(name)));
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == node) {
            found.remove();
        }
        if next != NONE {
            self.node_mut(next).before = before;
        }
        match before {
            NONE => self.node_mut(parent).what = What::Directory(next),
            before => self.node_mut(before).next = next,
        }
    }

    /// The path of a node.
    pub(crate) fn path(&self, node: u32) -> Vec<u8> {
        let mut parts = Vec::new();
        let mut at = self.node(node);
        while at.parent != NONE {
            parts.push(self.text(at.name));
            at = self.node(at.parent);
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// Every name, a directory before what is in it, each directory sorted.
    pub(crate) fn walk(&self, each: &mut dyn FnMut(Found<'_>)) {
        let mut stack = vec![ROOT];
        while let Some(node) = stack.pop() {
            let Node { by, layer, what, .. } = self.node(node);
            let (content, directory) = match what {
                What::Directory(_) => {
                    let from = stack.len();
                    stack.extend(self.children(node));
                    stack[from..].sort_unstable_by_key(|node| std::cmp::Reverse(self.text(self.node(*node).name)));
                    (*by, true)
                }
                What::Symlink(id, _) | What::Other(id) => (Some(*id), false),
            };
            each(Found { node, path: &self.path(node), by: *by, content, directory, layer: *layer });
        }
    }

    /// Where this clean path lies; `None` where something above it is no directory.
    ///
    /// Errors: `Malformed` for links that lead in circles.
    pub(crate) fn locate(&self, path: &[u8]) -> Result<Option<Located>> {
        let (parent, base) = parent_of(path);
        let mut at: Vec<(Vec<u8>, Option<u32>)> = vec![(Vec::new(), Some(ROOT))];
        let mut parts: VecDeque<Box<[u8]>> = split(parent).map(Into::into).collect();
        let mut links = 0;
        while let Some(part) = parts.pop_front() {
            match &*part {
                b"." => continue,
                b".." => {
                    at.truncate((at.len() - 1).max(1)); // above the root is the root
                    continue;
                }
                _ => {}
            }
            let (above, here) = &at[at.len() - 1];
            let name = join(above, &part);
            let Some(next) = here.and_then(|here| self.child(here, &part)) else {
                at.push((name, None)); // as if it were made there
                continue;
            };
            match self.node(next).what {
                What::Directory(_) => at.push((name, Some(next))),
                What::Other(_) => return Ok(None),
                What::Symlink(_, target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(malformed("too many symbolic links on the way").subject(text(path)));
                    }
                    let target = self.text(target);
                    if target.starts_with(b"/") {
                        at.truncate(1);
                    }
                    split(target).rev().for_each(|part| parts.push_front(part.into()));
                }
            }
        }
        let (above, here) = &at[at.len() - 1];
        let node = here.and_then(|here| self.child(here, base));
        let there = node.map(|node| match self.node(node).what {
            What::Directory(_) => There::Directory,
            What::Symlink(id, _) | What::Other(id) => There::Entry(id),
        });
        let path = join(above, base);
        let entry = |(name, node): (Vec<u8>, Option<u32>)| Some((name, self.node(node?).by?));
        let parents = at.into_iter().skip(1).filter_map(entry).collect();
        Ok(Some(Located { path, parents, there }))
    }

    /// The entry with the content of this file, all links followed.
    ///
    /// Errors: `NotFound`; `InvalidArgument` for a directory.
    pub(crate) fn find(&mut self, path: &[u8]) -> Result<Id> {
        let gone = || Error::new(Code::NotFound, "the image has no such file").subject(text(path));
        let found = self.follow(path, None).map_err(|e| gone().cause(e))?.ok_or_else(gone)?;
        match self.node(found).what {
            What::Other(id) => Ok(id),
            _ => Err(crate::error::invalid("it is a directory").subject(text(path))),
        }
    }
}

pub(crate) fn no_file(path: &[u8]) -> Error {
    Error::new(Code::Unsupported, "an entry of a kind that no file system has").subject(text(path))
}

pub(crate) fn replaced(path: &[u8]) -> Error {
    let why = "an entry takes the place of a directory of its own layer";
    Error::new(Code::Unsupported, why).subject(text(path))
}

fn parent_of(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}
