//! New indexes from old ones, or from nothing: the changes are noted, and `build` makes them in their order.
//!
//! No image is moved: the new index knows where each of its children lies, and an image that was made here goes along
//! with it. What is not changed stays byte for byte; entries keep what this library does not know.

use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Children, DEPTH, Index, NODES, too_deep};
use crate::matcher::Matcher;
use crate::oci::{Descriptor, IndexManifest, Manifest, MediaType, Platform};
use crate::options::{Format, Options};
use crate::source::{Home, Place, Source};
use crate::stream::Chunks;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;

/// Notes changes to an index; [`IndexBuilder::build`] makes the new one, as often as asked.
#[derive(Clone, Default)]
pub struct IndexBuilder {
    base: Option<Index>,
    steps: Vec<Step>,
    /// Whether the step before added an entry, which is what the setters for an entry are about.
    added: bool,
}

#[derive(Clone)]
enum Step {
    Add(Child),
    /// Every entry of this index.
    AddChildren(Index),
    Remove(Matcher),
    Keep(Matcher),
    Flatten,
    /// Another value in the place of the one with this digest.
    Replace(Digest, Child),
    Annotate(Matcher, String, Option<String>),
    Platform(Matcher, Platform),
    /// Of the entry added last.
    EntryPlatform(Option<Platform>),
    EntryAnnotation(String, Option<String>),
    EntryUrls(Vec<String>),
    EntryArtifactType(String),
    /// Of the index itself.
    Annotation(String, Option<String>),
    Subject(Option<Descriptor>),
    ArtifactType(String),
    Format(Format),
}

impl IndexBuilder {
    /// Changes to `base`.
    pub fn new(base: &Index) -> IndexBuilder {
        IndexBuilder { base: Some(base.clone()), ..IndexBuilder::default() }
    }
    /// An index that is based on nothing; the options of [`IndexBuilder::build`] say whose media type it has.
    pub fn from_scratch() -> IndexBuilder {
        IndexBuilder::default()
    }

    /// Adds an image. As in the reference, its entry says what its config says it runs on, what annotations its
    /// manifest has, and as artifact type the manifest's, or else the config's media type.
    pub fn add_image(&mut self, image: &Image) -> &mut Self {
        self.add(Child::Image(image.clone()))
    }
    /// Adds an index as one entry, with its annotations and artifact type.
    pub fn add_index(&mut self, index: &Index) -> &mut Self {
        self.add(Child::Index(index.clone()))
    }
    /// Adds every entry of an index, each as it stands there. (The reference's `index append` does so by default.)
    pub fn add_children(&mut self, index: &Index) -> &mut Self {
        self.added = false;
        self.step(Step::AddChildren(index.clone()))
    }
    /// What the entry added last runs on, whatever its config says; `None`: nothing is said.
    ///
    /// Errors: `InvalidArgument` where no entry was added yet.
    pub fn set_entry_platform(&mut self, platform: Option<&Platform>) -> Result<&mut Self> {
        self.entry()?;
        Ok(self.step(Step::EntryPlatform(platform.cloned())))
    }
    /// An annotation of the entry added last; `None` removes it.
    ///
    /// Errors: `InvalidArgument` where no entry was added yet, or the key is empty.
    pub fn set_entry_annotation(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        self.entry()?;
        check_key(key)?;
        Ok(self.step(Step::EntryAnnotation(key.into(), value.map(Into::into))))
    }
    /// Where else the entry added last can be had.
    ///
    /// Errors: `InvalidArgument` where no entry was added yet.
    pub fn set_entry_urls(&mut self, urls: Vec<String>) -> Result<&mut Self> {
        self.entry()?;
        Ok(self.step(Step::EntryUrls(urls)))
    }
    /// What kind of artifact the entry added last is the manifest of; empty: unsaid.
    ///
    /// Errors: `InvalidArgument` where no entry was added yet.
    pub fn set_entry_artifact_type(&mut self, artifact_type: &str) -> Result<&mut Self> {
        self.entry()?;
        Ok(self.step(Step::EntryArtifactType(artifact_type.into())))
    }

    /// Takes away the entries that are meant.
    pub fn remove(&mut self, which: &Matcher) -> &mut Self {
        self.step(Step::Remove(which.clone()))
    }
    /// Takes away all but the entries that are meant.
    pub fn keep(&mut self, which: &Matcher) -> &mut Self {
        self.step(Step::Keep(which.clone()))
    }
    /// Sets an annotation of the entries that are meant; `None` removes it.
    pub fn annotate(&mut self, which: &Matcher, key: &str, value: Option<&str>) -> Result<&mut Self> {
        check_key(key)?;
        Ok(self.step(Step::Annotate(which.clone(), key.into(), value.map(Into::into))))
    }
    /// Puts the entries of nested indexes in the place of these indexes, however deep.
    pub fn flatten(&mut self) -> &mut Self {
        self.step(Step::Flatten)
    }
    /// Sets an annotation of the index; `None` removes it.
    pub fn set_annotation(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        check_key(key)?;
        Ok(self.step(Step::Annotation(key.into(), value.map(Into::into))))
    }
    /// Sets the manifest that the index refers to; `None`: it refers to nothing.
    pub fn set_subject(&mut self, subject: Option<&Descriptor>) -> &mut Self {
        self.step(Step::Subject(subject.cloned()))
    }
    /// Says what kind of artifact the index is; empty: unsaid.
    pub fn set_artifact_type(&mut self, artifact_type: &str) -> &mut Self {
        self.step(Step::ArtifactType(artifact_type.into()))
    }
    /// Makes it an OCI index or a Docker manifest list. Its entries stay as they are: [`Index::convert`] has the images
    /// follow.
    pub fn set_format(&mut self, format: Format) -> &mut Self {
        self.step(Step::Format(format))
    }
    pub(crate) fn set_platform(&mut self, which: &Matcher, platform: Platform) -> &mut Self {
        self.step(Step::Platform(which.clone(), platform))
    }
    pub(crate) fn replace(&mut self, old: &Digest, new: Child) -> &mut Self {
        self.step(Step::Replace(old.clone(), new))
    }

    fn add(&mut self, child: Child) -> &mut Self {
        self.added = true;
        self.step(Step::Add(child))
    }
    fn step(&mut self, step: Step) -> &mut Self {
        let of_entry = |step: &Step| {
            use Step::{Add, EntryAnnotation, EntryArtifactType, EntryPlatform, EntryUrls};
            matches!(step, Add(_) | EntryPlatform(_) | EntryAnnotation(..) | EntryUrls(_) | EntryArtifactType(_))
        };
        self.added &= of_entry(&step);
        self.steps.push(step);
        self
    }
    fn entry(&self) -> Result<()> {
        if self.added { Ok(()) } else { Err(invalid("this is set for the entry added last, and none was added")) }
    }

    /// The index with all changes. Without any, it is the base itself. It reads the configs of added images, and nested
    /// indexes where they are flattened.
    ///
    /// Errors: those of reading; `LimitExceeded` where indexes nest too deeply. Options: format, read where there is no
    /// base.
    pub fn build(&self, options: &Options, ctx: &Context) -> Task<Index> {
        let home = match self.home(options) {
            Ok(home) => home,
            Err(e) => return Task::ready(Err(e)),
        };
        let (builder, format) = (self.clone(), options.format.unwrap_or(Format::Oci));
        home.clone().spawn(ctx, |ctx| async move { builder.make(format, home, &ctx).await })
    }

    fn home(&self, options: &Options) -> Result<Home> {
        match &self.base {
            Some(base) => {
                options.only("building on an index", &[])?;
                Ok(base.home().clone())
            }
            None => {
                options.only("building an index from scratch", &["format"])?;
                Ok(Home::Local(Place::here()?))
            }
        }
    }

    pub(crate) async fn make(self, format: Format, home: Home, ctx: &Context) -> Result<Index> {
        if let (Some(base), true) = (&self.base, self.steps.is_empty()) {
            return Ok(base.clone());
        }
        let manifest = match &self.base {
            Some(base) => base.manifest().clone(),
            None => IndexManifest::empty(format == Format::Oci),
        };
        let mut edit = manifest.edit();
        let mut list = List { entries: manifest.manifests().to_vec(), owners: HashMap::new() };
        for step in self.steps {
            match step {
                Step::Annotation(key, Some(value)) => edit.set_annotation(key, value),
                Step::Annotation(key, None) => edit.unset_annotation(&key),
                Step::Subject(subject) => edit.set_subject(subject),
                Step::ArtifactType(text) => edit.doc_mut().artifact_type = text,
                Step::Format(Format::Oci) => edit.set_media_type(MediaType::OCI_INDEX),
                Step::Format(Format::Docker) => edit.set_media_type(MediaType::DOCKER_LIST),
                other => list.apply(other, self.base.as_ref(), ctx).await?,
            }
        }
        if list.entries != manifest.manifests() {
            edit.doc_mut().manifests = Some(list.entries);
        }
        let manifest = edit.finish()?;
        let base = self.base.map(|base| base.children().clone());
        let children = Arc::new(Gathered { owners: list.owners, base, home: home.clone() });
        Ok(Index::new(manifest.descriptor(), manifest, children, home))
    }
}

impl Index {
    /// This index with the entries that are meant, and no others; with none, it is an empty one.
    ///
    /// Options: none.
    pub fn filter(&self, which: &Matcher, options: &Options, ctx: &Context) -> Task<Index> {
        IndexBuilder::new(self).keep(which).build(options, ctx)
    }
}

/// The entries as far as the changes have come, and where the new ones lie.
struct List {
    entries: Vec<Descriptor>,
    owners: HashMap<Digest, Owner>,
}

#[derive(Clone)]
enum Owner {
    /// It is at hand.
    Itself(Child),
    /// This index knows it.
    In(Index),
}

impl List {
    async fn apply(&mut self, step: Step, base: Option<&Index>, ctx: &Context) -> Result<()> {
        match step {
            Step::Add(child) => {
                self.entries.push(entry(&child, ctx).await?);
                self.owners.insert(child.descriptor().digest.clone(), Owner::Itself(child));
            }
            Step::AddChildren(index) => {
                for entry in index.manifest().manifests() {
                    self.owners.insert(entry.digest.clone(), Owner::In(index.clone()));
                    self.entries.push(entry.clone());
                }
            }
            Step::Remove(which) => self.entries.retain(|d| !which.matches(d)),
            Step::Keep(which) => self.entries.retain(|d| which.matches(d)),
            Step::Flatten => self.flatten(base, ctx).await?,
            Step::Replace(old, new) => {
                let now = new.descriptor().clone();
                for entry in self.entries.iter_mut().filter(|d| d.digest == old) {
                    // What the entry says of the value still holds; a copy of the old bytes does not.
                    (entry.media_type, entry.digest, entry.size) =
                        (now.media_type.clone(), now.digest.clone(), now.size);
                    (entry.data, entry.urls) = (None, Vec::new());
                    if let (Child::Image(image), false) = (&new, entry.artifact_type.is_empty()) {
                        entry.artifact_type = artifact_type(image.manifest());
                    }
                }
                self.owners.insert(now.digest, Owner::Itself(new));
            }
            Step::Platform(which, platform) => {
                self.entries.iter_mut().filter(|d| which.matches(d)).for_each(|d| d.platform = Some(platform.clone()));
            }
            Step::Annotate(which, key, value) => {
                self.entries.iter_mut().filter(|d| which.matches(d)).for_each(|d| annotate(d, &key, value.as_ref()));
            }
            other => {
                let Some(last) = self.entries.last_mut() else { return Ok(()) };
                match other {
                    Step::EntryPlatform(platform) => last.platform = platform,
                    Step::EntryAnnotation(key, value) => annotate(last, &key, value.as_ref()),
                    Step::EntryUrls(urls) => last.urls = urls,
                    Step::EntryArtifactType(text) => last.artifact_type = text,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn flatten(&mut self, base: Option<&Index>, ctx: &Context) -> Result<()> {
        let mut flat = Flat::default();
        for entry in std::mem::take(&mut self.entries) {
            if !entry.media_type.is_index() {
                flat.add(entry, None)?;
                continue;
            }
            let found = match (self.owners.get(&entry.digest), base) {
                (Some(Owner::Itself(child)), _) => child.clone(),
                (Some(Owner::In(index)), _) => index.clone().read(ctx, &entry).await?,
                (None, Some(base)) => base.read(ctx, &entry).await?,
                (None, None) => return Err(unknown(&entry)),
            };
            let Child::Index(index) = found else { return Err(unknown(&entry)) };
            flat.below(&index, ctx, 1).await?;
        }
        for (entry, owner) in flat.entries {
            if let Some(index) = owner {
                self.owners.entry(entry.digest.clone()).or_insert(Owner::In(index));
            }
            self.entries.push(entry);
        }
        Ok(())
    }
}

/// What is no index, each entry with the nested index that knows it.
#[derive(Default)]
struct Flat {
    entries: Vec<(Descriptor, Option<Index>)>,
    /// Entries that were seen, indexes included: an index that is named again and again is read each time.
    seen: usize,
}

impl Flat {
    fn add(&mut self, entry: Descriptor, owner: Option<Index>) -> Result<()> {
        self.entries.push((entry, owner));
        self.count()
    }

    fn count(&mut self) -> Result<()> {
        self.seen += 1;
        match self.seen > NODES {
            true => Err(Error::new(Code::LimitExceeded, format!("more than {NODES} manifests below one index"))),
            false => Ok(()),
        }
    }

    /// The entries of an index and of those nested in it, in their order.
    fn below<'a>(&'a mut self, index: &'a Index, ctx: &'a Context, depth: usize) -> BoxFuture<'a, Result<()>> {
        async move {
            if depth >= DEPTH {
                return Err(too_deep());
            }
            self.count()?;
            for entry in index.manifest().manifests() {
                if !entry.media_type.is_index() {
                    self.add(entry.clone(), Some(index.clone()))?;
                    continue;
                }
                let Child::Index(nested) = index.read(ctx, entry).await? else { return Err(unknown(entry)) };
                self.below(&nested, ctx, depth + 1).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// What an index says of a value that is added to it.
async fn entry(child: &Child, ctx: &Context) -> Result<Descriptor> {
    let known = child.descriptor();
    let plain = Descriptor::new(known.media_type.clone(), known.digest.clone(), known.size);
    match child {
        Child::Index(index) => Ok(Descriptor {
            annotations: index.manifest().annotations().clone(),
            artifact_type: index.manifest().doc().artifact_type.clone(),
            ..plain
        }),
        Child::Image(image) => {
            let manifest = image.manifest();
            let platform = match manifest.config().media_type.is_config() {
                true => image.config_holder().get(ctx).await?.platform(),
                false => None,
            };
            let (annotations, artifact_type) = (manifest.annotations().clone(), artifact_type(manifest));
            Ok(Descriptor { annotations, platform, artifact_type, ..plain })
        }
    }
}

fn artifact_type(manifest: &Manifest) -> String {
    manifest.artifact_type().unwrap_or(manifest.config().media_type.as_str()).to_owned()
}

fn annotate(entry: &mut Descriptor, key: &str, value: Option<&String>) {
    match value {
        Some(value) => drop(entry.annotations.insert(key.to_owned(), value.clone())),
        None => drop(entry.annotations.remove(key)),
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() { Err(invalid("an annotation's key is empty")) } else { Ok(()) }
}

fn unknown(child: &Descriptor) -> Error {
    Error::new(Code::NotFound, "nobody knows where this manifest of the index lies").subject(&child.digest)
}

/// The children of an index that was put together: each from where it lies.
struct Gathered {
    owners: HashMap<Digest, Owner>,
    base: Option<Arc<dyn Children>>,
    home: Home,
}

impl Children for Gathered {
    fn ready<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Option<Child>>> {
        async move {
            match (self.owners.get(&child.digest), &self.base) {
                (Some(Owner::Itself(found)), _) => Ok(Some(found.clone())),
                (Some(Owner::In(index)), _) => index.read(ctx, child).await.map(Some),
                (None, Some(base)) => base.ready(ctx, child).await,
                (None, None) => Ok(None),
            }
        }
        .boxed()
    }
    fn manifest<'a>(&'a self, ctx: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
        match &self.base {
            Some(base) => base.manifest(ctx, child),
            None => std::future::ready(Err(unknown(child))).boxed(),
        }
    }
    fn image(&self, descriptor: Descriptor, manifest: Manifest) -> Image {
        match &self.base {
            Some(base) => base.image(descriptor, manifest),
            None => Image::new(descriptor, manifest, &(Arc::new(Nowhere) as Arc<dyn Source>), self.home.clone()),
        }
    }
}

/// Where the blobs of a manifest lie that nobody knows.
struct Nowhere;

impl Source for Nowhere {
    fn open<'a>(&'a self, _: &'a Context, blob: &'a Descriptor, _: u64) -> BoxFuture<'a, Result<Chunks>> {
        std::future::ready(Err(unknown(blob))).boxed()
    }
}

impl std::fmt::Debug for IndexBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexBuilder").finish_non_exhaustive()
    }
}
