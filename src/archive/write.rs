//! New archives.

use super::out::{Down, Region};
use super::plan::Plan;
use super::{Archive, layout, save, save_v1};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, Index};
use crate::options::{ArchiveFormat, Options};
use crate::source::Place;
use crate::stream::{BlobOut, NewFile};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Blobs that are fetched at once where the options say nothing.
const JOBS: u32 = 4;
/// The options that are read where the bytes go out in order, and where they go to a file.
const IN_ORDER: &[&str] = &["archive_format", "foreign_layers"];
const TO_A_FILE: &[&str] = &["archive_format", "foreign_layers", "jobs"];

/// An image or index that goes into an archive, and what it is called there.
#[derive(Clone)]
pub struct ArchiveItem {
    pub(super) value: Child,
    pub(super) name: Option<String>,
}

impl ArchiveItem {
    /// Either of them.
    pub fn new(value: &Child, name: Option<&str>) -> ArchiveItem {
        ArchiveItem { value: value.clone(), name: name.map(str::to_owned) }
    }
    /// An image. In archives of Docker's form the name is a reference; one without a tag means `latest`, one with a
    /// digest names nothing. In OCI's form it is the `ref.name`, any text.
    pub fn image(image: &Image, name: Option<&str>) -> ArchiveItem {
        ArchiveItem::new(&Child::Image(image.clone()), name)
    }
    /// An index with all that it names; only OCI's form has them.
    pub fn index(index: &Index, name: Option<&str>) -> ArchiveItem {
        ArchiveItem::new(&Child::Index(index.clone()), name)
    }
}

impl Archive {
    /// Writes a new archive. A file comes about beside its place and takes it when it is whole: nobody sees half of
    /// it. One that it replaces hands on its permissions. A pipe or device at that path, or `-` for standard output, is
    /// written to in order.
    ///
    /// The format is Docker's unless the options say otherwise: the same bytes as `crane pull` writes. Layers stay as
    /// they are, but that the legacy form has them plain. One image under several names is written once. The same items
    /// give the same bytes.
    ///
    /// Errors: `Io`; `Unsupported` where the form has no indexes or artifacts; `InvalidArgument` for a name that is no
    /// reference; `DigestMismatch` and all others of the places that the blobs come from. Options: archive_format, jobs,
    /// foreign_layers: with it non-distributable layers are in the archive too, and not only named.
    pub fn write(path: &Path, items: &[ArchiveItem], options: &Options, ctx: &Context) -> Task<()> {
        let subject = path.display().to_string();
        if path == Path::new("-") {
            use std::os::fd::AsFd;
            return match std::io::stdout().as_fd().try_clone_to_owned() {
                Ok(owned) => Archive::write_to(File::from(owned), items, options, ctx),
                Err(e) => Task::ready(Err(Error::io("opening", "standard output", &e))),
            };
        }
        let kind = std::fs::metadata(path).ok().map(|found| found.file_type());
        if kind.is_some_and(|kind| kind.is_dir()) {
            return Task::ready(Err(invalid("an archive is a file, and this is a directory").subject(subject)));
        }
        let path = path.to_owned();
        if kind.is_some_and(|kind| kind.is_fifo() || kind.is_char_device() || kind.is_socket()) {
            return begin(items, options, TO_A_FILE, ctx, move |work, ctx| {
                async move { work.down(&subject, move || File::options().write(true).open(path), &ctx).await }.boxed()
            });
        }
        begin(items, options, TO_A_FILE, ctx, |work, ctx| async move { work.file(path, &ctx).await }.boxed())
    }

    /// Writes a new archive, in order, to what is open already, such as a pipe. It is written to on a thread of its
    /// own, which waits for whoever reads it; when that thread waits, cancelling ends the call but not the thread.
    /// Errors: as for [`Archive::write`]. Options: archive_format, foreign_layers.
    pub fn write_to(file: File, items: &[ArchiveItem], options: &Options, ctx: &Context) -> Task<()> {
        begin(items, options, IN_ORDER, ctx, |work, ctx| {
            async move { work.down("the archive's descriptor", move || Ok(file), &ctx).await }.boxed()
        })
    }
}

#[allow(dead_code, reason = "for media that take a whole archive")]
/// Writes a new archive, in order, to anything. Errors and options: as for [`Archive::write`].
pub(crate) async fn stream(
    place: &Place,
    items: &[ArchiveItem],
    options: &Options,
    out: &mut dyn BlobOut,
    ctx: &Context,
) -> Result<()> {
    let work = Work { place: place.clone(), items: items.to_vec(), options: options.clone() };
    work.plan(ctx).await?.write(place, out, ctx).await
}

type Running = futures_util::future::BoxFuture<'static, Result<()>>;

fn begin(
    items: &[ArchiveItem],
    options: &Options,
    read: &[&str],
    ctx: &Context,
    work: impl FnOnce(Work, Context) -> Running + Send + 'static,
) -> Task<()> {
    if let Err(e) = options.only("writing an archive", read) {
        return Task::ready(Err(e));
    }
    let Some(first) = items.first() else {
        return Task::ready(Err(invalid("there is nothing to put into the archive")));
    };
    let home = first.value.home().clone();
    let job = Work { place: home.place().clone(), items: items.to_vec(), options: options.clone() };
    home.spawn(ctx, |ctx| work(job, ctx))
}

struct Work {
    place: Place,
    items: Vec<ArchiveItem>,
    options: Options,
}

impl Work {
    async fn plan(&self, ctx: &Context) -> Result<Plan> {
        let foreign_layers = self.options.foreign_layers;
        match self.options.archive_format.unwrap_or(ArchiveFormat::Docker) {
            ArchiveFormat::Docker => save::plan(&self.items, foreign_layers, ctx).await,
            ArchiveFormat::Oci => layout::plan(&self.items, foreign_layers, ctx).await,
            ArchiveFormat::Legacy => save_v1::plan(&self.items, ctx).await,
        }
    }

    async fn down(
        &self,
        subject: &str,
        open: impl FnOnce() -> std::io::Result<File> + Send + 'static,
        ctx: &Context,
    ) -> Result<()> {
        let plan = self.plan(ctx).await?;
        let mut out = Down::start(&self.place.engine, subject, open)?;
        plan.write(&self.place, &mut out, ctx).await?;
        out.finish().await
    }

    /// Into a temporary file, which then takes the path.
    async fn file(&self, path: PathBuf, ctx: &Context) -> Result<()> {
        let plan = self.plan(ctx).await?;
        let pool = self.place.engine.pool();
        let subject: Arc<str> = path.display().to_string().into();
        let failed = |doing: &str, e: &std::io::Error| Error::io(doing, &*subject, e);
        let new = pool.run(move || NewFile::beside(&path)).await?.map_err(|e| failed("making the archive", &e))?;
        let file = Arc::new(new.file().try_clone().map_err(|e| failed("writing the archive", &e))?);
        match plan.layout() {
            Some((offsets, size)) => self.at_once(&plan, &offsets, size, &file, &subject, ctx).await?,
            None => {
                let mut out = Region::new(&self.place.engine, &file, &subject, 0);
                plan.write(&self.place, &mut out, ctx).await?;
                out.finish().await?;
            }
        }
        pool.run(move || new.take_place()).await?.map_err(|e| failed("renaming the archive", &e))
    }

    /// Several entries at a time, each to its place.
    async fn at_once(
        &self,
        plan: &Plan,
        offsets: &[u64],
        size: u64,
        file: &Arc<File>,
        subject: &Arc<str>,
        ctx: &Context,
    ) -> Result<()> {
        plan.announce(ctx);
        let jobs = self.options.jobs.unwrap_or(JOBS).max(1) as usize;
        let mut writes = Vec::with_capacity(offsets.len());
        for (entry, at) in plan.entries.iter().zip(offsets) {
            let mut out = Region::new(&self.place.engine, file, subject, *at);
            writes.push(
                async move {
                    entry.write(&self.place, &mut out, ctx).await?;
                    out.finish().await
                }
                .boxed(),
            );
        }
        futures_util::stream::iter(writes).buffer_unordered(jobs).try_collect::<()>().await?;
        let end = Plan::end();
        let mut out = Region::new(&self.place.engine, file, subject, size - end.len() as u64);
        out.write(end).await?;
        out.finish().await
    }
}
