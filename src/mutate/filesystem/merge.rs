//! The layers of an image become one tar, while they stream by from the topmost down.
//!
//! What an upper layer has is in the stream already, and hides what lower layers have there. That takes no more than
//! a note per path, as long as each layer names its directories before what is in them. An entry whose parent its
//! layer does not name may lie behind a symbolic link of a lower layer: such entries are put aside ([`Doubt`]), and so
//! is whatever they might hide, until everything has been seen.

use super::ahead::ahead;
use super::doubt::Doubt;
use super::keep::Keep;
use super::path::{Named, clean, named, split, text};
use super::seen::{Key, Keys, Layer as OwnLayer, Own, Upper};
use super::tree::{Id, MAX_ENTRIES, no_file, replaced};
use crate::block::{BLOCK, Block, Shelf};
use crate::context::Context;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::source::Place;
use crate::stream::{Chunks, Kind, Sender, TAR_END, TarEntry, TarStream, tar_filling};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Pieces that are smaller are gathered.
const SMALL: usize = BLOCK / 4;

/// The layers to be merged.
pub(super) struct Layers {
    pub image: Image,
    pub ctx: Context,
    pub windows: bool,
}

impl Layers {
    /// The tar of a layer, verified.
    pub(super) async fn open(&self, layer: u32) -> Result<Chunks> {
        open(self.image.clone(), self.ctx.clone(), layer).await
    }

    /// What went wrong in a layer, with its digest.
    pub(super) fn within(&self, layer: u32, e: Error) -> Error {
        match (e.code(), self.image.layers().get(layer as usize)) {
            (Code::Malformed | Code::LimitExceeded | Code::Unsupported, Some(found)) => {
                let digest = &found.descriptor().digest;
                let subject = e.get_subject().map(str::to_owned);
                let outer = Error::new(e.code(), format!("in the layer {digest}: {}", e.message()));
                subject.map_or(outer.clone().subject(digest), |subject| outer.subject(subject))
            }
            _ => e,
        }
    }
}

pub(super) async fn open(image: Image, ctx: Context, layer: u32) -> Result<Chunks> {
    let config = image.config_holder();
    let diff_id = match config.descriptor().media_type.is_config() {
        true => config.get(&ctx).await?.diff_ids().get(layer as usize).cloned(),
        false => None,
    };
    image.layer(layer as usize)?.uncompressed_chunks(&ctx, diff_id.as_ref()).await
}

/// Where the merged tar goes.
pub(super) struct Out {
    sender: Sender,
    gathered: Option<Block>,
    shelf: Arc<Shelf>,
    wanted: Option<Wanted>,
    found: bool,
}

/// What of a merged tar is wanted, where that is not all.
#[derive(Clone)]
pub(super) struct Wanted {
    /// This, and what is not a directory above it; the tar ends with the layer that has it.
    pub path: Vec<u8>,
    /// These too, until then.
    pub also: Vec<Vec<u8>>,
}

impl Out {
    pub(super) fn new(sender: Sender, shelf: &Arc<Shelf>, wanted: Option<Wanted>) -> Out {
        Out { sender, gathered: None, shelf: shelf.clone(), wanted, found: false }
    }

    /// Nothing more is wanted.
    pub(super) fn is_satisfied(&self) -> bool {
        self.found
    }

    fn wants(&mut self, entry: &TarEntry) -> bool {
        let Some(wanted) = &self.wanted else { return true };
        let name = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
        match wanted.path.strip_prefix(name) {
            Some(b"") => {
                self.found = true;
                true
            }
            Some([b'/', ..]) if entry.kind != Kind::Directory => {
                self.found = true;
                true
            }
            _ => wanted.also.iter().any(|path| path == name),
        }
    }

    async fn put(&mut self, bytes: Bytes) -> Result<()> {
        if self.gathered.as_mut().is_some_and(|block| block.bytes().len() + bytes.len() > BLOCK) || bytes.len() >= SMALL
        {
            self.flush().await?;
        }
        if bytes.len() >= SMALL {
            return self.sender.send(bytes).await;
        }
        if !bytes.is_empty() {
            self.gathered.get_or_insert_with(|| self.shelf.take()).bytes().extend_from_slice(&bytes);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        match self.gathered.take() {
            Some(block) => self.sender.send(block.freeze()).await,
            None => Ok(()),
        }
    }

    /// An entry, with the data that `tar` is about to give.
    pub(super) async fn entry(&mut self, entry: &TarEntry, tar: &mut TarStream) -> Result<()> {
        if !self.wants(entry) {
            return Ok(());
        }
        self.put(entry.encode().into()).await?;
        while let Some(piece) = tar.data().await? {
            self.put(piece).await?;
        }
        self.put(tar_filling(entry.stored)).await
    }

    pub(super) async fn header(&mut self, entry: &TarEntry) -> Result<()> {
        if !self.wants(entry) {
            return Ok(());
        }
        self.put(entry.encode().into()).await
    }

    pub(super) async fn end(mut self) -> Result<()> {
        self.put(Bytes::from_static(TAR_END)).await?;
        self.flush().await?;
        self.sender.finish().await
    }
}

/// Merges all layers; `top` is the topmost layer's tar.
pub(super) async fn merge(layers: Layers, top: Option<Chunks>, out: Out) -> Result<()> {
    let mut merge = Merge {
        keys: Keys::new(),
        upper: Upper::default(),
        risks: Risks::default(),
        doubt: None,
        implied: HashSet::new(),
        entries: 0,
        layers,
        out,
    };
    let count = merge.layers.image.layers().len() as u32;
    let mut next = top;
    for layer in (0..count).rev() {
        let chunks = match next.take() {
            Some(chunks) => chunks,
            None => merge.layers.open(layer).await?,
        };
        if layer > 0 {
            let (image, ctx) = (merge.layers.image.clone(), merge.layers.ctx.clone());
            let place = image.home().place().clone();
            let open = open(image, ctx.clone(), layer - 1);
            next = Some(ahead(&place, &ctx, open));
        }
        merge.layer(layer, chunks).await.map_err(|e| merge.layers.within(layer, e))?;
        if merge.out.is_satisfied() {
            return merge.out.end().await;
        }
    }
    let Merge { layers, mut out, keys, upper, doubt, implied, .. } = merge;
    if let Some(doubt) = doubt {
        doubt.settle(&layers, keys, (upper, implied), &mut out).await?;
    }
    out.end().await
}

struct Merge {
    layers: Layers,
    keys: Keys,
    upper: Upper,
    risks: Risks,
    doubt: Option<Doubt>,
    /// Directories in the stream that no layer names.
    implied: HashSet<Key>,
    entries: usize,
    out: Out,
}

/// What the entries that were put aside might hide in lower layers.
#[derive(Default)]
struct Risks {
    /// Anything.
    all: bool,
    /// What has such a part in its path.
    parts: HashSet<u64>,
    /// What has such a name itself.
    names: HashSet<u64>,
}

/// Where an entry is, as far as its own layer tells.
enum Parents {
    Known,
    Unknown,
    /// Below a file.
    Impossible,
}

/// Symbolic links, kept until their layer has ended.
struct Links {
    facts: Vec<Link>,
    /// Their headers, in the same order.
    headers: Keep,
}

impl Links {
    fn new(place: &Place) -> Links {
        Links { facts: Vec::new(), headers: Keep::new(place) }
    }
}

struct Link {
    key: Key,
    entry: u32,
    /// Of a hard link to one: that one's place among the links, and its path.
    to: Option<(u32, Key)>,
}

/// One layer while it streams by.
struct Now {
    layer: u32,
    entry: u32,
    own: OwnLayer,
    in_stream: Vec<bool>,
    risks: Risks,
    /// Links that go into the stream when the layer has ended, unless it puts something else in their place: so nothing
    /// in the stream ever lies behind one.
    links: Links,
}

impl Now {
    fn emitted(&mut self) {
        if let Some(last) = self.in_stream.last_mut() {
            *last = true;
        }
    }

    async fn link(&mut self, key: Key, entry: TarEntry, to: Option<(u32, Key)>) -> Result<()> {
        self.links.facts.push(Link { key, entry: self.entry, to });
        self.links.headers.put(entry.encode().into()).await
    }
}

impl Merge {
    async fn layer(&mut self, layer: u32, chunks: Chunks) -> Result<()> {
        let mut tar = TarStream::new(chunks);
        let (own, in_stream, risks) = Default::default();
        let links = Links::new(self.layers.image.home().place());
        let mut now = Now { layer, entry: 0, own, in_stream, risks, links };
        while let Some(entry) = tar.next().await? {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                let why = format!("more than {MAX_ENTRIES} entries in the layers");
                return Err(Error::new(Code::LimitExceeded, why));
            }
            now.in_stream.push(false);
            if let Some(doubt) = &mut self.doubt {
                doubt.note(Id { layer, entry: now.entry }, &entry).await?;
            }
            let shown = entry.shown();
            self.entry(&mut now, entry, &mut tar).await.map_err(|e| e.or_subject(shown))?;
            now.entry += 1;
        }
        self.links(&mut now).await?;
        let above = self.doubt.is_none();
        if let Some(doubt) = &mut self.doubt {
            doubt.close(layer, std::mem::take(&mut now.in_stream));
        }
        if layer > 0 {
            now.own.close(&mut self.upper, above);
            self.risks.all |= now.risks.all;
            self.risks.parts.extend(now.risks.parts);
            self.risks.names.extend(now.risks.names);
        }
        Ok(())
    }

    async fn entry(&mut self, now: &mut Now, mut entry: TarEntry, tar: &mut TarStream) -> Result<()> {
        let path = match named(&entry.name, self.layers.windows)? {
            Named::Ignored => return Ok(()),
            Named::Whiteout(path) => {
                let keys = self.keys.of(&path);
                return match self.parents(now, &keys[..keys.len() - 1]) {
                    _ if now.layer == 0 => Ok(()),
                    Parents::Known => {
                        now.own.hide(keys[keys.len() - 1]);
                        Ok(())
                    }
                    Parents::Impossible => Ok(()),
                    Parents::Unknown => {
                        now.risks.parts.insert(self.base(&path));
                        self.put_aside(now, &entry, tar).await
                    }
                };
            }
            Named::Opaque(path) => {
                let keys = self.keys.of(&path);
                return match self.parents(now, &keys) {
                    _ if now.layer == 0 => Ok(()),
                    Parents::Known => {
                        now.own.hide_content(keys[keys.len() - 1]);
                        Ok(())
                    }
                    Parents::Impossible => Ok(()),
                    Parents::Unknown => {
                        now.risks.all = true;
                        self.put_aside(now, &entry, tar).await
                    }
                };
            }
            Named::Entry(path) => path,
        };
        if let Kind::Other(_) = entry.kind {
            return Err(no_file(&path));
        }
        let keys = self.keys.of(&path);
        let key = keys[keys.len() - 1];
        match self.parents(now, &keys[..keys.len() - 1]) {
            Parents::Impossible => return Err(malformed("an entry lies below what is no directory")),
            Parents::Unknown => {
                self.risk(now, &path, entry.kind);
                return self.put_aside(now, &entry, tar).await;
            }
            Parents::Known if now.layer == 0 => self.imply(now, &path, &keys).await?,
            Parents::Known => {}
        }
        if entry.kind != Kind::Directory {
            if path.is_empty() {
                return Err(malformed("the root is no directory"));
            }
            if now.own.get(&key) == Some(Own::Directory) {
                return Err(replaced(&path));
            }
        }
        let hidden = self.upper.hidden(&keys);
        let aside = !hidden && self.at_risk(&path, entry.kind == Kind::Directory);
        let shows = !hidden && !aside;
        entry.name = path;
        match entry.kind {
            Kind::Directory => now.own.put(key, Own::Directory),
            Kind::Symlink => now.own.put(key, Own::Symlink(now.entry, shows)),
            Kind::HardLink => return self.hard_link(now, entry, key, hidden, aside, tar).await,
            _ => now.own.put(key, Own::Other(shows)),
        }
        if aside {
            self.risk(now, &entry.name, entry.kind);
            return self.put_aside(now, &entry, tar).await;
        }
        if !shows {
            return Ok(());
        }
        if entry.kind == Kind::Symlink {
            return now.link(key, entry, None).await;
        }
        now.emitted();
        if entry.name.is_empty() {
            entry.name = b"./".to_vec();
        }
        self.out.entry(&entry, tar).await
    }

    /// The lowest layer has an entry below directories that it does not name.
    async fn imply(&mut self, now: &mut Now, path: &[u8], keys: &[Key]) -> Result<()> {
        for depth in 1..keys.len() - 1 {
            if now.own.get(&keys[depth]).is_some() {
                continue;
            }
            now.own.put(keys[depth], Own::Directory);
            let parts: Vec<&[u8]> = split(path).take(depth).collect();
            let parent = parts.join(&b'/');
            if !self.upper.hidden(&keys[..=depth]) && !self.at_risk(&parent, true) {
                self.implied.insert(keys[depth]);
                self.out.header(&TarEntry::directory(&parent)).await?;
            }
        }
        Ok(())
    }

    async fn hard_link(
        &mut self,
        now: &mut Now,
        mut entry: TarEntry,
        key: Key,
        hidden: bool,
        aside: bool,
        tar: &mut TarStream,
    ) -> Result<()> {
        let target = clean(&entry.link, self.layers.windows)?;
        let mut target_keys = self.keys.of(&target);
        let target_key = target_keys.pop().unwrap_or_default();
        let (there, nowhere) = match self.parents(now, &target_keys) {
            Parents::Known => (now.own.get(&target_key), now.layer == 0),
            Parents::Unknown => (None, false),
            Parents::Impossible => (None, true),
        };
        if target == entry.name || (there.is_none() && nowhere) {
            return Err(malformed("a hard link to a file that is not there"));
        }
        if there == Some(Own::Directory) {
            return Err(malformed("a hard link to a directory"));
        }
        match there {
            _ if hidden => {
                now.own.put(key, Own::Other(false));
                Ok(())
            }
            Some(Own::Other(true)) if !aside => {
                now.own.put(key, Own::Other(true));
                now.emitted();
                entry.link = target;
                self.out.header(&entry).await
            }
            Some(Own::Symlink(number, true)) if !aside => {
                now.own.put(key, Own::Symlink(now.entry, true));
                entry.link = target;
                let to = now.links.facts.partition_point(|link| link.entry < number) as u32;
                now.link(key, entry, Some((to, target_key))).await
            }
            // Its target lies in a lower layer, or has gone by unseen.
            _ => {
                now.own.put(key, Own::Other(false));
                self.risk(now, &entry.name, entry.kind);
                self.put_aside(now, &entry, tar).await
            }
        }
    }

    /// The layer's symbolic links.
    async fn links(&mut self, now: &mut Now) -> Result<()> {
        let none = Links::new(self.layers.image.home().place());
        let Links { facts, headers } = std::mem::replace(&mut now.links, none);
        let shows = |link: &Link| now.own.get(&link.key) == Some(Own::Symlink(link.entry, true));
        // Of a hard link whose target was put away since, the link that it is a name of: it becomes one of its own.
        let origin = |link: &Link| {
            let (mut first, _) = link.to.filter(|(to, key)| {
                let Link { entry, .. } = facts[*to as usize];
                now.own.get(key) != Some(Own::Symlink(entry, true))
            })?;
            while let Some((before, _)) = facts[first as usize].to {
                first = before;
            }
            Some(first)
        };
        let origins: HashSet<u32> = facts.iter().filter(|link| shows(link)).filter_map(origin).collect();
        let mut kept: HashMap<u32, TarEntry> = HashMap::new();
        let mut tar = TarStream::new(headers.finish().await?.open(0));
        for (number, link) in (0..).zip(&facts) {
            let Some(mut entry) = tar.next().await? else { break };
            if origins.contains(&number) {
                kept.insert(number, entry.clone());
            }
            if !shows(link) {
                continue; // the layer put something else there
            }
            if let Some(emitted) = now.in_stream.get_mut(link.entry as usize) {
                *emitted = true;
            }
            if let Some(origin) = origin(link).and_then(|origin| kept.get(&origin)) {
                entry = TarEntry { name: entry.name, ..origin.clone() };
            }
            self.out.header(&entry).await?;
        }
        Ok(())
    }

    /// Whether these are all directories, so that an entry is where its name says.
    fn parents(&self, now: &Now, keys: &[Key]) -> Parents {
        let mut parents = Parents::Known;
        for key in keys.iter().skip(1) {
            match now.own.get(key) {
                Some(Own::Directory) => {}
                Some(Own::Other(_)) => return Parents::Impossible,
                None if now.layer == 0 => {}
                Some(Own::Symlink(..)) | None => {
                    parents = Parents::Unknown;
                    break;
                }
            }
        }
        parents
    }

    fn base(&self, path: &[u8]) -> u64 {
        self.keys.part(split(path).next_back().unwrap_or_default())
    }

    fn risk(&self, now: &mut Now, path: &[u8], kind: Kind) {
        let base = self.base(path);
        match kind {
            Kind::Directory => now.risks.names.insert(base),
            _ => now.risks.parts.insert(base),
        };
    }

    /// Whether something that was put aside might hide this.
    fn at_risk(&self, path: &[u8], directory: bool) -> bool {
        let Risks { all, parts, names } = &self.risks;
        if *all && !(directory && path.is_empty()) {
            return true;
        }
        (!names.is_empty() && names.contains(&self.base(path)))
            || (!parts.is_empty() && split(path).any(|part| parts.contains(&self.keys.part(part))))
    }

    async fn put_aside(&mut self, now: &Now, entry: &TarEntry, tar: &mut TarStream) -> Result<()> {
        let id = Id { layer: now.layer, entry: now.entry };
        if self.doubt.is_none() {
            let mut doubt = Doubt::new(id, self.layers.image.home().place());
            doubt.note(id, entry).await?;
            self.doubt = Some(doubt);
        }
        match &mut self.doubt {
            Some(doubt) => doubt.keep(id, entry, tar).await,
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {} of layer {}", self.entry, self.layer)
    }
}

/// For the errors of entries that have a name only.
pub(super) fn about(path: &[u8], e: Error) -> Error {
    e.or_subject(text(path))
}
