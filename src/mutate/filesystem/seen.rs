//! What is known of paths while layers stream by: which are taken or hidden by upper layers, what the present layer has.
//!
//! A path is kept as a keyed hash of 128 bits, so that a million of them fit into some 40 MiB and nobody can make two
//! that collide.

use super::path::split;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

pub(crate) type Key = [u64; 2];

/// Makes keys of paths.
pub(crate) struct Keys(RandomState, RandomState);

impl Keys {
    pub(crate) fn new() -> Keys {
        Keys(RandomState::new(), RandomState::new())
    }
    /// The keys of the path's ancestors, the root first, and then its own.
    pub(crate) fn of(&self, path: &[u8]) -> Vec<Key> {
        let mut hashers = [self.0.build_hasher(), self.1.build_hasher()];
        let mut keys = vec![hashers.each_ref().map(Hasher::finish)];
        for part in split(path) {
            for hasher in &mut hashers {
                hasher.write(part);
                hasher.write_u8(b'/');
            }
            keys.push(hashers.each_ref().map(Hasher::finish));
        }
        keys
    }
    pub(crate) fn part(&self, part: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(part);
        hasher.finish()
    }
}

/// What upper layers do to a path.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hides {
    /// It is theirs, or gone.
    pub itself: bool,
    /// So is whatever lies below it.
    pub content: bool,
    /// As above, by layers above the one where the first doubt came up.
    pub itself_above: bool,
    pub content_above: bool,
}

#[derive(Default)]
pub(crate) struct Upper(HashMap<Key, Hides>);

impl Upper {
    pub(crate) fn hide(&mut self, key: Key, itself: bool, content: bool, above: bool) {
        let hides = self.0.entry(key).or_default();
        hides.itself |= itself;
        hides.content |= content;
        hides.itself_above |= itself && above;
        hides.content_above |= content && above;
    }
    pub(crate) fn get(&self, key: &Key) -> Hides {
        self.0.get(key).copied().unwrap_or_default()
    }
    /// Whether an entry with these keys is to be seen no more.
    pub(crate) fn hidden(&self, keys: &[Key]) -> bool {
        let Some((own, parents)) = keys.split_last() else { return false };
        self.get(own).itself || parents.iter().any(|key| self.get(key).content)
    }
}

/// What the present layer has at a path so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Directory,
    /// Number of the entry; whether it will be in the stream.
    Symlink(u32, bool),
    /// Whether it is in the stream under this name.
    Other(bool),
}

#[derive(Default)]
pub(crate) struct Layer {
    own: HashMap<Key, Own>,
    /// Also where a directory took the place of something else: what was below that is gone.
    hides: Vec<(Key, bool, bool)>,
}

impl Layer {
    pub(crate) fn get(&self, key: &Key) -> Option<Own> {
        self.own.get(key).copied()
    }
    pub(crate) fn put(&mut self, key: Key, own: Own) {
        if let (Some(Own::Symlink(..) | Own::Other(_)), Own::Directory) = (self.own.insert(key, own), own) {
            self.hides.push((key, true, true));
        }
    }
    pub(crate) fn hide(&mut self, key: Key, itself: bool, content: bool) {
        self.hides.push((key, itself, content));
    }
    /// Hands on to the layers below what this one hides.
    pub(crate) fn close(self, upper: &mut Upper, above: bool) {
        for (key, itself, content) in self.hides {
            upper.hide(key, itself, content, above);
        }
        for (key, own) in self.own {
            upper.hide(key, true, own != Own::Directory, above);
        }
    }
}
