//! The OCI image layout (image spec, image-layout.md): images and indexes in a directory.
//!
//! ```text
//! oci-layout                what the directory is
//! index.json                the entries: what is named, and all else that is to stay
//! blobs/sha256/<hex>        everything by its digest, manifests included
//! .parbuckle/               locks, and files on their way to their final names; only while something is written
//!     lock, gate, index     see `lock`
//!     tmp-*                 swept by the next writer once their process is gone
//! ```
//!
//! Every file appears whole, by a rename. Several processes may work in one layout at once, and each may be killed at
//! any moment: what was reported done is there, and what is left over is garbage that [`Layout::gc`] removes. Other
//! programs can read it at any time, and write it when nobody else does (they take no locks).
//!
//! What is read is verified, and no link is followed inside of it. A blob that is there with the right size is not
//! written again; that its bytes are right is seen when it is read, or by [`Layout::fsck`].
//!
//! * `files`, `lock`: the ground;
//! * `blobs`: source, target and sink;
//! * `edit`: index.json; `find`: by name, digest and platform;
//! * `reach`, `gc`, `fsck`: what leads to what, garbage, and damage.

mod blobs;
mod edit;
mod files;
mod find;
mod fsck;
mod gc;
mod lock;
mod reach;

use crate::content::Content;
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::oci::IndexManifest;
use crate::options::Options;
use crate::source::{Home, Place};
use blobs::Blobs;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `oci-layout` says: the one version there is.
const VERSION: &str = "1.0.0";
/// The largest `oci-layout` that is read.
const MAX_MARK: u64 = 4 << 10;
/// The largest index.json that is read or written.
pub const MAX_INDEX: u64 = 8 << 20;

/// An OCI image layout in a directory. A clone is the same layout; index.json is read anew by each call.
#[derive(Clone)]
pub struct Layout(Arc<Inner>);

struct Inner {
    path: PathBuf,
    blobs: Blobs,
}

impl Layout {
    /// A layout that is there.
    ///
    /// Errors: `NotFound` where there is none; `Malformed`, `Unsupported` where `oci-layout` or index.json is not what
    /// it has to be. Options: none.
    pub fn open(path: &Path, options: &Options, ctx: &Context) -> Task<Layout> {
        let layout = match options.only("opening a layout", &[]).and_then(|()| Layout::at(path)) {
            Ok(layout) => layout,
            Err(e) => return Task::ready(Err(e)),
        };
        let home = layout.home();
        home.spawn(ctx, |_| async move {
            let root = layout.blobs().root.clone();
            let check = move || {
                check_mark(&root)?;
                index_of(&root).map(drop)
            };
            layout.blobs().place.engine.pool().run(check).await??;
            Ok(layout)
        })
    }

    /// A layout that is there, or a new one without entries; directories above it are made, too.
    ///
    /// Errors: as for [`Layout::open`] where one is there that is none; `Io`. Options: durable.
    pub fn create(path: &Path, options: &Options, ctx: &Context) -> Task<Layout> {
        let layout = match options.only("creating a layout", &["durable"]).and_then(|()| Layout::at(path)) {
            Ok(layout) => layout,
            Err(e) => return Task::ready(Err(e)),
        };
        let durable = options.durable;
        let home = layout.home();
        home.spawn(ctx, |_| async move {
            let (place, root) = (layout.blobs().place.clone(), layout.blobs().root.clone());
            let make = {
                let root = root.clone();
                move || make_dirs(&root)
            };
            place.engine.pool().run(make).await??;
            let held = lock::to_edit(&place, &root).await?;
            let fill = move || {
                let _held = held;
                initialise(&root, durable)
            };
            place.engine.pool().run(fill).await??;
            Ok(layout)
        })
    }

    /// The directory, as it was given.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// index.json as it is now. Its children are read from the layout, verified.
    ///
    /// Errors: `Malformed`, `LimitExceeded`, `Io`. Options: none.
    pub fn index(&self, options: &Options, ctx: &Context) -> Task<Index> {
        if let Err(e) = options.only("the index of a layout", &[]) {
            return Task::ready(Err(e));
        }
        let layout = self.clone();
        self.home().spawn(ctx, |_| async move {
            let manifest = layout.entries().await?;
            Ok(Index::new(manifest.descriptor(), manifest, Arc::new(layout.content()), layout.home()))
        })
    }

    /// An image: the only one there is, or the one that is meant by a digest, a name (annotation
    /// `org.opencontainers.image.ref.name`, or containerd's `io.containerd.image.name`) or a platform. Where that is
    /// an index, it is the index's image for the options' platform (linux/amd64 by default).
    ///
    /// Errors: `NotFound`; `InvalidArgument` where several are meant, with what there is; `DigestMismatch`,
    /// `Malformed` where it is damaged. Options: platform.
    pub fn image(&self, which: Option<&str>, options: &Options, ctx: &Context) -> Task<Image> {
        if let Err(e) = options.only("an image of a layout", &["platform"]) {
            return Task::ready(Err(e));
        }
        let (layout, which, platform) = (self.clone(), which.map(ToOwned::to_owned), options.platform.clone());
        self.home().spawn(ctx, |ctx| async move {
            let found = layout.find_image(&ctx, which.as_deref(), platform.as_ref()).await;
            found.map_err(|e| e.or_subject(layout.path().display()))
        })
    }

    /// A nested index: the only one there is, or the one that is meant by a digest or a name.
    ///
    /// Errors: as for [`Layout::image`]; `InvalidArgument` where it is an image. Options: none.
    pub fn child(&self, which: Option<&str>, options: &Options, ctx: &Context) -> Task<Index> {
        if let Err(e) = options.only("an index of a layout", &[]) {
            return Task::ready(Err(e));
        }
        let (layout, which) = (self.clone(), which.map(ToOwned::to_owned));
        self.home().spawn(ctx, |ctx| async move {
            let found = layout.find_index(&ctx, which.as_deref()).await;
            found.map_err(|e| e.or_subject(layout.path().display()))
        })
    }

    /// What is meant, as for [`Layout::image`], be it image or index; with a platform in the options, an image.
    ///
    /// Errors and options: as for [`Layout::image`].
    pub fn any(&self, which: Option<&str>, options: &Options, ctx: &Context) -> Task<Child> {
        if let Err(e) = options.only("what is in a layout", &["platform"]) {
            return Task::ready(Err(e));
        }
        let (layout, which, platform) = (self.clone(), which.map(ToOwned::to_owned), options.platform.clone());
        self.home().spawn(ctx, |ctx| async move {
            let found = match &platform {
                Some(_) => layout.find_image(&ctx, which.as_deref(), platform.as_ref()).await.map(Child::Image),
                None => layout.find(&ctx, which.as_deref(), None).await,
            };
            found.map_err(|e| e.or_subject(layout.path().display()))
        })
    }

    fn at(path: &Path) -> Result<Layout> {
        let place = Place::here()?;
        // The directory of the process may change while this lives.
        let root = std::path::absolute(path).map_err(|e| Error::io("opening", path.display(), &e))?;
        Ok(Layout(Arc::new(Inner { path: path.to_owned(), blobs: Blobs { root: root.into(), place } })))
    }
    fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }
    fn home(&self) -> Home {
        Home::Local(self.0.blobs.place.clone())
    }
    fn content(&self) -> Content {
        Content { source: Arc::new(self.blobs().clone()), home: self.home() }
    }
    async fn entries(&self) -> Result<IndexManifest> {
        let root = self.blobs().root.clone();
        self.blobs().place.engine.pool().run(move || index_of(&root)).await?
    }
}

/// The file `oci-layout`.
#[derive(Deserialize)]
struct Mark {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

fn check_mark(root: &Path) -> Result<()> {
    let path = root.join("oci-layout");
    let Some(bytes) = files::read(&path, MAX_MARK)? else {
        return Err(Error::new(Code::NotFound, "there is no image layout: no oci-layout file").subject(path.display()));
    };
    let mark: Mark = serde_json::from_slice(&bytes)
        .map_err(|e| malformed(format!("not the file of an image layout: {e}")).subject(path.display()))?;
    match mark.version == VERSION {
        true => Ok(()),
        false => {
            let why = format!("the layout has version {}, not {VERSION}", crate::digest::shown(&mark.version));
            Err(Error::new(Code::Unsupported, why).subject(path.display()))
        }
    }
}

fn index_of(root: &Path) -> Result<IndexManifest> {
    let path = root.join("index.json");
    let Some(bytes) = files::read(&path, MAX_INDEX)? else {
        return Err(Error::new(Code::NotFound, "there is no image layout: no index.json").subject(path.display()));
    };
    IndexManifest::from_bytes(bytes.into(), None).map_err(|e| e.or_subject(path.display()))
}

/// Fills in what a layout begins with, as far as it is not there. The mark comes last: it says that the rest is there.
fn initialise(root: &Path, durable: bool) -> Result<()> {
    files::ensure_dir(&root.join("blobs"), durable)?;
    match index_of(root) {
        Ok(_) => {}
        Err(e) if e.code() == Code::NotFound => {
            files::write(root, IndexManifest::empty(true).raw(), &root.join("index.json"), durable)?;
        }
        Err(e) => return Err(e),
    }
    match check_mark(root) {
        Err(e) if e.code() == Code::NotFound => {
            let mark = format!("{{\"imageLayoutVersion\":\"{VERSION}\"}}");
            files::write(root, mark.as_bytes(), &root.join("oci-layout"), durable)
        }
        other => other,
    }
}

fn make_dirs(root: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(root);
    made.map_err(|e| Error::new(Code::Io, format!("making the layout: {e}")).subject(root.display()))
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layout({})", self.path().display())
    }
}
