//! Changes: images and indexes in, entries out. index.json is read, changed and written under its lock, and what this
//! code doesn't know in it stays.

use super::blobs::Fill;
use super::{Layout, MAX_INDEX, files, index_of, lock};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::layout::find::is_named;
use crate::matcher::{Matcher, REF_NAME, renamed};
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

    /// As [`Layout::add_image`], in the place of the entries with this name, or, without a name, with this digest.
    pub fn replace_image(
        &self,
        image: &Image,
        name: Option<&str>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Descriptor> {
        self.put(Child::Image(image.clone()), name, true, options, ctx)
    }

    /// As [`Layout::add_index`], in the place of the entries with this name, or, without a name, with this digest.
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
        let entry = self.entry(&value, name, ctx).await?;
        let given = entry.clone();
        self.edit(durable, Some(held), move |edit| {
            insert(edit, entry, replace);
            Ok(())
        })
        .await?;
        Ok(given)
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

/// Appends the entry unless it is there, or puts it where the first of those stands that it replaces.
fn insert(edit: &mut IndexEdit, entry: Descriptor, replace: bool) {
    let name = entry.annotations.get(REF_NAME).cloned();
    let entries: Vec<Descriptor> = edit.doc().manifests.clone().unwrap_or_default();
    if !replace {
        let same = |d: &Descriptor| d.digest == entry.digest && d.annotations.get(REF_NAME) == name.as_ref();
        if !entries.iter().any(same) {
            edit.append(entry);
        }
        return;
    }
    let goes = |d: &Descriptor| match &name {
        Some(name) => is_named(d, name),
        None => d.digest == entry.digest,
    };
    let at = entries.iter().position(goes).unwrap_or(entries.len());
    let mut left: Vec<Descriptor> = entries.iter().filter(|d| !goes(d)).cloned().collect();
    left.insert(at, entry);
    if left != entries {
        edit.doc_mut().manifests = Some(left);
    }
}
