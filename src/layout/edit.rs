//! Changes: images and indexes in, entries out. index.json is read, changed and written under its lock, and what this
//! code doesn't know in it stays.

use super::blobs::Fill;
use super::{Layout, MAX_INDEX, files, index_of, lock};
use crate::context::Context;
use crate::digest::shown;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::matcher::{Matcher, full_name, is_named, named_like, names_of, renamed};
use crate::oci::{AnyManifest, Descriptor, IndexEdit};
use crate::options::Options;
use crate::transfer::{self, Target};

/// Blobs in flight where the options say nothing.
const JOBS: u32 = 4;

impl Layout {
    /// Puts an image into the layout: the blobs it lacks, then an entry at the end of index.json, unless one of the
    /// same digest and name is there. What the entry says is the image's own descriptor, with this name or none, and
    /// with the platform of its config. Gives the entry.
    ///
    /// Several entries may have one name (as those of one image for several platforms); [`Layout::replace_image`]
    /// makes a name unique.
    ///
    /// Errors: `DigestMismatch` where a blob's source gives other bytes than promised; those of the source; `Io`.
    /// Options: jobs, foreign_layers, durable.
    pub fn add_image(&self, image: &Image, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Descriptor> {
        self.put(Child::Image(image.clone()), name, false, options, ctx)
    }

    /// Puts an index and everything below it into the layout. Otherwise as [`Layout::add_image`]; `LimitExceeded`
    /// where it nests too deep.
    pub fn add_index(&self, index: &Index, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Descriptor> {
        self.put(Child::Index(index.clone()), name, false, options, ctx)
    }

    /// As [`Layout::add_image`], in the place of the entries with this name, whose names in full (containerd's) it takes
    /// over; without a name, in the place of those of this digest that have none: names stay.
    ///
    /// Errors: besides, `InvalidArgument` where the name is short for several full ones.
    pub fn replace_image(
        &self,
        image: &Image,
        name: Option<&str>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Descriptor> {
        self.put(Child::Image(image.clone()), name, true, options, ctx)
    }

    /// As [`Layout::add_index`], in the place of entries as [`Layout::replace_image`].
    pub fn replace_index(
        &self,
        index: &Index,
        name: Option<&str>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Descriptor> {
        self.put(Child::Index(index.clone()), name, true, options, ctx)
    }

    /// [`Layout::add_image`] or [`Layout::add_index`].
    pub fn add_any(&self, value: &Child, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Descriptor> {
        self.put(value.clone(), name, false, options, ctx)
    }

    /// [`Layout::replace_image`] or [`Layout::replace_index`].
    pub fn replace_any(&self, value: &Child, name: Option<&str>, options: &Options, ctx: &Context) -> Task<Descriptor> {
        self.put(value.clone(), name, true, options, ctx)
    }

    /// Takes entries out of index.json, and gives their digests. The blobs stay until [`Layout::gc`].
    ///
    /// Errors: `Malformed`, `Io`. Options: durable.
    pub fn remove(&self, which: &Matcher, options: &Options, ctx: &Context) -> Task<Vec<String>> {
        let which = which.clone();
        self.change("removing from a layout", options, ctx, move |edit| {
            let entries = edit.doc().manifests.iter().flatten();
            let removed = entries.filter(|d| which.matches(d)).map(|d| d.digest.to_string()).collect();
            edit.retain(|d| !which.matches(d));
            Ok(removed)
        })
    }

    /// Sets an annotation of entries of index.json; `None` takes it away.
    ///
    /// Errors: `NotFound` where no entry is meant; `InvalidArgument` for an empty key; `Malformed`, `Io`. Options:
    /// durable.
    pub fn annotate(
        &self,
        which: &Matcher,
        key: &str,
        value: Option<&str>,
        options: &Options,
        ctx: &Context,
    ) -> Task<()> {
        if key.is_empty() {
            return Task::ready(Err(invalid("an annotation's key is empty")));
        }
        let (which, key, value) = (which.clone(), key.to_owned(), value.map(ToOwned::to_owned));
        let path = self.path().display().to_string();
        self.change("annotating a layout", options, ctx, move |edit| {
            if !edit.doc().manifests.iter().flatten().any(|d| which.matches(d)) {
                return Err(Error::new(Code::NotFound, "no entry of the layout is meant").subject(path));
            }
            let same = |d: &&Descriptor| which.matches(d) && d.annotations.get(&key) != value.as_ref();
            if edit.doc().manifests.iter().flatten().find(same).is_none() {
                return Ok(());
            }
            for entry in edit.doc_mut().manifests.iter_mut().flatten().filter(|d| which.matches(d)) {
                match &value {
                    Some(value) => entry.annotations.insert(key.clone(), value.clone()),
                    None => entry.annotations.remove(&key),
                };
            }
            Ok(())
        })
    }

    fn put(
        &self,
        value: Child,
        name: Option<&str>,
        replace: bool,
        options: &Options,
        ctx: &Context,
    ) -> Task<Descriptor> {
        if let Err(e) = options.only("filling a layout", &["jobs", "foreign_layers", "durable"]) {
            return Task::ready(Err(e));
        }
        if name.is_some_and(str::is_empty) {
            return Task::ready(Err(invalid("the name of an entry is empty")));
        }
        let (layout, name, options) = (self.clone(), name.map(ToOwned::to_owned), options.clone());
        // It is the work of whoever gives the blobs: a client that is closed is closed for this, too.
        let home = value.home().clone();
        home.spawn(ctx, |ctx| async move { layout.fill(value, name, replace, options, &ctx).await })
    }

    async fn fill(
        self,
        value: Child,
        name: Option<String>,
        replace: bool,
        options: Options,
        ctx: &Context,
    ) -> Result<Descriptor> {
        let (blobs, durable) = (self.blobs().clone(), options.durable);
        let held = lock::to_write(&blobs.place, &blobs.root).await?;
        let root = blobs.root.clone();
        blobs.place.engine.pool().run(move || files::sweep(&root)).await??;
        let jobs = options.jobs.unwrap_or(JOBS).max(1) as usize;
        let fill = Fill { blobs, jobs, foreign_layers: options.foreign_layers, durable, held: held.clone() };
        transfer::below(&value, &fill, ctx).await?;
        fill.manifest(ctx, &value).await?;
        let entry = self.entry(&value, name.clone(), ctx).await?;
        self.edit(durable, Some(held), move |edit| match replace {
            true => replace_in(edit, entry, name.as_deref()),
            false => Ok(append_to(edit, entry, name.as_deref())),
        })
        .await
    }

    /// How index.json is to name the value.
    async fn entry(&self, value: &Child, name: Option<String>, ctx: &Context) -> Result<Descriptor> {
        let mut entry = renamed(value.descriptor().clone(), name);
        let content = self.content();
        let (artifact_type, platform) =
            match AnyManifest::from_bytes(value.raw().clone(), Some(entry.media_type.as_str()))? {
                AnyManifest::Index(index) => (index.artifact_type().map(ToOwned::to_owned), None),
                AnyManifest::Image(manifest) => {
                    let artifact_type = manifest.artifact_type().map(ToOwned::to_owned);
                    let wanted = entry.platform.is_none() && manifest.config().media_type.is_config();
                    // From the copy that has just come here.
                    let image = Image::new(entry.clone(), manifest, &content.source, content.home.clone());
                    let config = if wanted { Some(image.config_holder().get(ctx).await) } else { None };
                    match config {
                        None => (artifact_type, None),
                        Some(Ok(config)) => (artifact_type, config.platform()),
                        // It says that it is a config, and is none: an image can be kept that can't be run.
                        Some(Err(e)) if e.code() == Code::Malformed => (artifact_type, None),
                        Some(Err(e)) => return Err(e),
                    }
                }
            };
        if entry.artifact_type.is_empty() {
            entry.artifact_type = artifact_type.unwrap_or_default();
        }
        entry.platform = entry.platform.or(platform);
        Ok(entry)
    }

    fn change<T: Send + 'static>(
        &self,
        call: &str,
        options: &Options,
        ctx: &Context,
        change: impl FnOnce(&mut IndexEdit) -> Result<T> + Send + 'static,
    ) -> Task<T> {
        if let Err(e) = options.only(call, &["durable"]) {
            return Task::ready(Err(e));
        }
        let (layout, durable) = (self.clone(), options.durable);
        self.home().spawn(ctx, |_| async move { layout.edit(durable, None, change).await })
    }

    /// Reads, changes and writes index.json. `held` is kept until that is done, whatever becomes of the call.
    async fn edit<T: Send + 'static>(
        &self,
        durable: bool,
        held: Option<lock::Held>,
        change: impl FnOnce(&mut IndexEdit) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (place, root) = (self.blobs().place.clone(), self.blobs().root.clone());
        let editing = lock::to_edit(&place, &root).await?;
        let job = move || {
            let _held = (editing, held);
            let mut edit = index_of(&root)?.edit();
            let given = change(&mut edit)?;
            if edit.is_changed() {
                let path = root.join("index.json");
                let index = edit.finish().map_err(|e| e.or_subject(path.display()))?;
                if index.raw().len() as u64 > MAX_INDEX {
                    let why = format!("index.json would have more than {MAX_INDEX} bytes");
                    return Err(Error::new(Code::LimitExceeded, why).subject(path.display()));
                }
                files::write(&root, index.raw(), &path, durable)?;
            }
            Ok(given)
        };
        place.engine.pool().run(job).await?
    }
}

/// Whether it has this name, or, where none is wanted, none.
fn has_name(entry: &Descriptor, name: Option<&str>) -> bool {
    match name {
        Some(name) => is_named(entry, name),
        None => names_of(entry).next().is_none(),
    }
}

/// Appends the entry unless one of the same digest and name is there. Gives the one that is there now.
fn append_to(edit: &mut IndexEdit, entry: Descriptor, name: Option<&str>) -> Descriptor {
    let there = edit.doc().manifests.iter().flatten().find(|d| d.digest == entry.digest && has_name(d, name));
    if let Some(there) = there {
        return there.clone();
    }
    edit.append(entry.clone());
    entry
}

/// Puts the entry where the first of those stands that it replaces, under all their names.
fn replace_in(edit: &mut IndexEdit, entry: Descriptor, name: Option<&str>) -> Result<Descriptor> {
    let entries: Vec<Descriptor> = edit.doc().manifests.clone().unwrap_or_default();
    let goes = |d: &Descriptor| has_name(d, name) && (name.is_some() || d.digest == entry.digest);
    let Some(at) = entries.iter().position(goes) else {
        edit.append(entry.clone());
        return Ok(entry);
    };
    let named: Vec<&Descriptor> = entries.iter().filter(|d| goes(d) && full_name(d).is_some()).collect();
    if let Some(other) = named.iter().find(|d| full_name(d) != full_name(named[0])) {
        let [one, other] = [named[0], other].map(|d| shown(full_name(d).unwrap_or_default()));
        let why = format!("the name is short for several: {one} and {other}");
        return Err(invalid(why).subject(shown(name.unwrap_or_default())));
    }
    let like = named.first().copied().unwrap_or(&entries[at]);
    let entry = named_like(entry.clone(), like);
    let mut left: Vec<Descriptor> = entries.iter().filter(|d| !goes(d)).cloned().collect();
    left.insert(at, entry.clone());
    if left != entries {
        edit.doc_mut().manifests = Some(left);
    }
    Ok(entry)
}
