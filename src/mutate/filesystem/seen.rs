//! What is known of paths while layers stream by: which are taken or hidden by upper layers, what the present layer has.
//!
//! A path is kept as a keyed hash of 96 bits with a note of 32, so that a million of them fit into some 30 MiB, and
//! nobody can make two that collide.

use super::path::split;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, Hasher, RandomState};

pub(crate) type Key = [u32; 3];

/// Makes keys of paths.
pub(crate) struct Keys(RandomState, RandomState);

impl Keys {
    pub(crate) fn new() -> Keys {
        Keys(RandomState::new(), RandomState::new())
    }
    /// The keys of the path's ancestors, the root first, and then its own.
    pub(crate) fn of(&self, path: &[u8]) -> Vec<Key> {
        let mut hashers = [self.0.build_hasher(), self.1.build_hasher()];
        let mut keys = vec![key(&hashers)];
        for part in split(path) {
            for hasher in &mut hashers {
                hasher.write(part);
                hasher.write_u8(b'/');
            }
            keys.push(key(&hashers));
        }
        keys
    }
    pub(crate) fn part(&self, part: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(part);
        hasher.finish()
    }
}

fn key(hashers: &[impl Hasher; 2]) -> Key {
    let [first, second] = hashers.each_ref().map(Hasher::finish);
    [first as u32, (first >> 32) as u32, second as u32]
}

/// Notes by key.
#[derive(Default)]
struct Notes(HashTable<(Key, u32)>);

impl Notes {
    fn get(&self, key: &Key) -> Option<u32> {
        self.0.find(hash(key), |found| found.0 == *key).map(|found| found.1)
    }
    /// The note of a key, to be changed: 0 where there was none.
    fn at(&mut self, key: Key) -> &mut u32 {
        let found = match self.0.entry(hash(&key), |found| found.0 == key, |found| hash(&found.0)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => free.insert((key, 0)).into_mut(),
        };
        &mut found.1
    }
}

/// A key is a hash already.
fn hash([low, high, _]: &Key) -> u64 {
    u64::from(*low) | u64::from(*high) << 32
}

/// What upper layers do to paths.
#[derive(Default)]
pub(crate) struct Upper(Notes);

/// It is theirs, or gone.
const ITSELF: u32 = 1;
/// So is whatever lies below it.
const CONTENT: u32 = 2;
/// As both, by layers above the one where the first doubt came up.
const ABOVE: u32 = 2;

impl Upper {
    fn hide(&mut self, key: Key, what: u32, above: bool) {
        *self.0.at(key) |= what | if above { what << ABOVE } else { 0 };
    }
    fn hides(&self, keys: &[Key], shift: u32) -> bool {
        let Some((own, parents)) = keys.split_last() else { return false };
        let has = |key, what: u32| self.0.get(key).unwrap_or_default() & (what << shift) != 0;
        has(own, ITSELF) || parents.iter().any(|key| has(key, CONTENT))
    }
    /// Whether an entry with these keys is to be seen no more.
    pub(crate) fn hidden(&self, keys: &[Key]) -> bool {
        self.hides(keys, 0)
    }
    /// Whether layers above the one where the first doubt came up see to that.
    pub(crate) fn hidden_above(&self, keys: &[Key]) -> bool {
        self.hides(keys, ABOVE)
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

impl Own {
    /// Two bits for the kind, one for whether it shows, the rest for the number.
    fn note(self) -> u32 {
        match self {
            Own::Directory => 1,
            Own::Other(shows) => 2 | u32::from(shows) << 2,
            Own::Symlink(number, shows) => 3 | u32::from(shows) << 2 | number << 3,
        }
    }
    fn of(note: u32) -> Own {
        let shows = note & 4 != 0;
        match note & 3 {
            1 => Own::Directory,
            2 => Own::Other(shows),
            _ => Own::Symlink(note >> 3, shows),
        }
    }
}

#[derive(Default)]
pub(crate) struct Layer {
    own: Notes,
    /// Also where a directory took the place of something else: what was below that is gone.
    hides: Vec<(Key, u32)>,
}

impl Layer {
    pub(crate) fn get(&self, key: &Key) -> Option<Own> {
        self.own.get(key).map(Own::of)
    }
    pub(crate) fn put(&mut self, key: Key, own: Own) {
        let note = self.own.at(key);
        let before = std::mem::replace(note, own.note());
        if before != 0 && Own::of(before) != Own::Directory && own == Own::Directory {
            self.hides.push((key, ITSELF | CONTENT));
        }
    }
    /// Hides what lower layers have at this path.
    pub(crate) fn hide(&mut self, key: Key) {
        self.hides.push((key, ITSELF | CONTENT));
    }
    /// Hides what lower layers have in this directory.
    pub(crate) fn hide_content(&mut self, key: Key) {
        self.hides.push((key, CONTENT));
    }
    /// Hands on to the layers below what this one hides.
    pub(crate) fn close(self, upper: &mut Upper, above: bool) {
        for (key, what) in self.hides {
            upper.hide(key, what, above);
        }
        for (key, note) in self.own.0 {
            let what = if Own::of(note) == Own::Directory { ITSELF } else { ITSELF | CONTENT };
            upper.hide(key, what, above);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::filesystem::tree::MAX_ENTRIES;

    #[test]
    fn a_note_holds_what_an_entry_is() {
        let last = MAX_ENTRIES as u32;
        for own in [
            Own::Directory,
            Own::Other(true),
            Own::Other(false),
            Own::Symlink(0, false),
            Own::Symlink(0, true),
            Own::Symlink(last, true),
            Own::Symlink(last, false),
        ] {
            assert_eq!(Own::of(own.note()), own);
        }
    }

    #[test]
    fn a_path_is_hidden_by_itself_and_by_what_is_above_it() {
        let keys = Keys::new();
        let mut upper = Upper::default();
        let mut layer = Layer::default();
        let own = |path: &str| *keys.of(path.as_bytes()).last().unwrap();
        layer.put(own("a/file"), Own::Other(true));
        layer.put(own("d"), Own::Directory);
        layer.hide_content(own("opaque"));
        layer.put(own("was"), Own::Symlink(3, true));
        layer.put(own("was"), Own::Directory);
        assert_eq!(layer.get(&own("was")), Some(Own::Directory));
        layer.close(&mut upper, true);
        let mut below = Layer::default();
        below.hide(own("gone"));
        below.close(&mut upper, false);
        for (path, hidden, above) in [
            ("a", false, false),
            ("a/file", true, true),
            ("a/file/x", true, true),
            ("d", true, true),
            ("d/x", false, false),
            ("opaque", false, false),
            ("opaque/x/y", true, true),
            ("was/x", true, true),
            ("gone", true, false),
            ("gone/x", true, false),
        ] {
            let keys = keys.of(path.as_bytes());
            assert_eq!((upper.hidden(&keys), upper.hidden_above(&keys)), (hidden, above), "{path}");
        }
    }
}
