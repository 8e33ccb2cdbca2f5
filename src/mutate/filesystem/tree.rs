//! The exact tree: layers applied one on the other from the lowest, as a container engine unpacks them, names only.
//!
//! Symbolic links on the way to an entry are followed within the root. Files with several names are one file.

use super::path::{Named, clean, join, named, split, text};
use crate::error::{Code, Error, Result, malformed};
use crate::stream::Kind;
use std::collections::{BTreeMap, VecDeque};

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

pub(crate) struct Tree {
    nodes: Vec<Node>,
    windows: bool,
    entries: usize,
}

struct Node {
    /// The entry that made this name; `None` for a directory that only its content made.
    by: Option<Id>,
    /// The layer that touched it last.
    layer: u32,
    what: What,
}

enum What {
    Directory(BTreeMap<Box<[u8]>, usize>),
    Symlink(Id, Box<[u8]>),
    /// The entry with its content.
    Other(Id),
}

/// A name in the tree.
pub(crate) struct Found<'a> {
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
        let root = Node { by: None, layer: 0, what: What::Directory(BTreeMap::new()) };
        Tree { nodes: vec![root], windows, entries: 0 }
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
                    && let Some(&node) = self.children(parent).get(base)
                    && !self.prune(node, id.layer, false)
                {
                    self.children_mut(parent).remove(base);
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
        let what = match fact.kind {
            Kind::Other(_) => return Err(no_file(path)),
            Kind::Symlink => What::Symlink(id, fact.link.into()),
            Kind::HardLink | Kind::Directory => What::Directory(BTreeMap::new()),
            _ => What::Other(id),
        };
        if path.is_empty() {
            if fact.kind != Kind::Directory {
                return Err(malformed("the root is no directory"));
            }
            self.nodes[0].by = Some(id);
            return Ok(());
        }
        let (parent, base) = parent_of(path);
        let Some(parent) = self.directory(parent, Some(id.layer))? else { return Ok(()) };
        let there = self.children(parent).get(base).copied();
        if fact.kind == Kind::Directory
            && let Some(there) = there
            && matches!(self.nodes[there].what, What::Directory(_))
        {
            self.nodes[there].by = Some(id);
            self.nodes[there].layer = id.layer;
            return Ok(());
        }
        if let Some(there) = there
            && matches!(self.nodes[there].what, What::Directory(_))
            && self.prune(there, id.layer, false)
        {
            return Err(replaced(path));
        }
        let what = match fact.kind {
            Kind::HardLink => match self.target(fact.link, there)? {
                What::Symlink(at, to) => What::Symlink(*at, to.clone()),
                What::Other(at) => What::Other(*at),
                What::Directory(_) => return Err(malformed("a hard link to a directory").subject(text(path))),
            },
            _ => what,
        };
        self.nodes.push(Node { by: Some(id), layer: id.layer, what });
        let node = self.nodes.len() - 1;
        self.children_mut(parent).insert(base.into(), node);
        Ok(())
    }

    fn target(&mut self, link: &[u8], itself: Option<usize>) -> Result<&What> {
        let path = clean(link, self.windows)?;
        let missing = || malformed("a hard link to a file that is not there").subject(text(&path));
        let (parent, base) = parent_of(&path);
        let parent = self.directory(parent, None)?.ok_or_else(missing)?;
        let node = if path.is_empty() { Some(0) } else { self.children(parent).get(base).copied() };
        // An engine makes room for the link first.
        let node = node.filter(|node| Some(*node) != itself).ok_or_else(missing)?;
        Ok(&self.nodes[node].what)
    }

    /// The directory with this name, links followed; what is missing is made if that layer wants it.
    fn directory(&mut self, path: &[u8], make: Option<u32>) -> Result<Option<usize>> {
        let found = self.follow(path, make)?;
        match found.map(|node| &self.nodes[node].what) {
            Some(What::Other(_)) if make.is_some() => {
                Err(malformed("an entry lies below what is no directory").subject(text(path)))
            }
            Some(What::Other(_)) => Ok(None),
            _ => Ok(found),
        }
    }

    /// What has this name, all links followed.
    fn follow(&mut self, path: &[u8], make: Option<u32>) -> Result<Option<usize>> {
        let mut at = vec![0];
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
            let next = match (self.children(here).get(&part), make) {
                (Some(next), _) => *next,
                (None, None) => return Ok(None),
                (None, Some(layer)) => {
                    self.nodes.push(Node { by: None, layer, what: What::Directory(BTreeMap::new()) });
                    let next = self.nodes.len() - 1;
                    self.children_mut(here).insert(part, next);
                    next
                }
            };
            match &self.nodes[next].what {
                What::Directory(_) => at.push(next),
                What::Symlink(_, target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(malformed("too many symbolic links on the way").subject(text(path)));
                    }
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
    fn prune(&mut self, node: usize, layer: u32, stays: bool) -> bool {
        let mut order = vec![node];
        let mut next = 0;
        while next < order.len() {
            if let What::Directory(children) = &self.nodes[order[next]].what {
                order.extend(children.values());
            }
            next += 1;
        }
        let mut left = vec![false; order.len()];
        let places: std::collections::HashMap<usize, usize> = order.iter().enumerate().map(|(i, n)| (*n, i)).collect();
        for (i, node) in order.iter().enumerate().rev() {
            let own = self.nodes[*node].layer == layer;
            let What::Directory(children) = &mut self.nodes[*node].what else {
                left[i] = own;
                continue;
            };
            children.retain(|_, child| left[places[child]]);
            left[i] = own || !children.is_empty();
            if !own && left[i] && !(i == 0 && stays) {
                self.nodes[*node].by = None; // gone, and made again by what is below it
            }
        }
        left[0]
    }

    fn children(&self, node: usize) -> &BTreeMap<Box<[u8]>, usize> {
        static NONE: BTreeMap<Box<[u8]>, usize> = BTreeMap::new();
        match &self.nodes[node].what {
            What::Directory(children) => children,
            _ => &NONE,
        }
    }
    fn children_mut(&mut self, node: usize) -> &mut BTreeMap<Box<[u8]>, usize> {
        if !matches!(self.nodes[node].what, What::Directory(_)) {
            self.nodes[node].what = What::Directory(BTreeMap::new()); // callers have a directory
        }
        match &mut self.nodes[node].what {
            What::Directory(children) => children,
            _ => unreachable!("it was made a directory"),
        }
    }

    /// Every name, a directory before what is in it, each directory sorted.
    pub(crate) fn walk(&self, each: &mut dyn FnMut(Found<'_>)) {
        let mut stack = vec![(Vec::new(), 0)];
        while let Some((path, node)) = stack.pop() {
            let Node { by, layer, what } = &self.nodes[node];
            let (content, directory) = match what {
                What::Directory(children) => {
                    let children = children.iter().rev().map(|(name, child)| (join(&path, name), *child));
                    stack.extend(children);
                    (*by, true)
                }
                What::Symlink(id, _) | What::Other(id) => (Some(*id), false),
            };
            each(Found { path: &path, by: *by, content, directory, layer: *layer });
        }
    }

    /// Where this clean path lies; `None` where something above it is no directory.
    ///
    /// Errors: `Malformed` for links that lead in circles.
    pub(crate) fn locate(&self, path: &[u8]) -> Result<Option<Located>> {
        let (parent, base) = parent_of(path);
        let mut at: Vec<(Vec<u8>, Option<usize>)> = vec![(Vec::new(), Some(0))];
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
            let Some(next) = here.and_then(|here| self.children(here).get(&part).copied()) else {
                at.push((name, None)); // as if it were made there
                continue;
            };
            match &self.nodes[next].what {
                What::Directory(_) => at.push((name, Some(next))),
                What::Other(_) => return Ok(None),
                What::Symlink(_, target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(malformed("too many symbolic links on the way").subject(text(path)));
                    }
                    if target.starts_with(b"/") {
                        at.truncate(1);
                    }
                    split(target).rev().for_each(|part| parts.push_front(part.into()));
                }
            }
        }
        let (above, here) = &at[at.len() - 1];
        let node = here.and_then(|here| self.children(here).get(base));
        let there = node.map(|node| match &self.nodes[*node].what {
            What::Directory(_) => There::Directory,
            What::Symlink(id, _) | What::Other(id) => There::Entry(*id),
        });
        let path = join(above, base);
        let entry = |(name, node): (Vec<u8>, Option<usize>)| Some((name, self.nodes[node?].by?));
        let parents = at.into_iter().skip(1).filter_map(entry).collect();
        Ok(Some(Located { path, parents, there }))
    }

    /// The entry with the content of this file, all links followed.
    ///
    /// Errors: `NotFound`; `InvalidArgument` for a directory.
    pub(crate) fn find(&mut self, path: &[u8]) -> Result<Id> {
        let gone = || Error::new(Code::NotFound, "the image has no such file").subject(text(path));
        let found = self.follow(path, None).map_err(|e| gone().cause(e))?.ok_or_else(gone)?;
        match &self.nodes[found].what {
            What::Other(id) => Ok(*id),
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
