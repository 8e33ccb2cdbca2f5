//! One file by the tables of contents of an image's layers, where all of them have one: the exact tree without any of
//! the layers' bytes. A layer without one would have to be read whole to know what it hides, and then nothing is won.

use super::keep::Keep;
use super::layers_of;
use super::path::{clean, text};
use super::tree::{Fact, Id, Tree};
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::stream::{Chunks, Kind, TOC_NAME, Toc, TocKind};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::sync::Arc;

/// Tables that are fetched at once.
const JOBS: usize = 4;

/// The content, verified; `None` where it takes the layers.
pub(super) async fn find(image: &Image, path: &[u8], ctx: &Context) -> Result<Option<Chunks>> {
    let layers = image.layers();
    // The table is a file of the layer, too, and the only one that it does not list.
    let is_table = clean(path, false).is_ok_and(|path| path == TOC_NAME.as_bytes());
    if layers.is_empty() || is_table || !layers.iter().all(Layer::has_toc) {
        return Ok(None);
    }
    let windows = layers_of(image, ctx).await?.windows;
    let tables = stream::iter(layers.to_vec())
        .map(|layer| async move { layer.find_toc(ctx).await.map(|toc| toc.cloned()) })
        .buffered(JOBS)
        .try_collect::<Vec<_>>();
    let Some(tables) = tables.await?.into_iter().collect::<Option<Vec<Arc<Toc>>>>() else { return Ok(None) };
    let (ours, wanted) = (tables.clone(), path.to_vec());
    let place = image.home().place();
    let id = place.engine.pool().run(move || id_of(&ours, &wanted, windows)).await??;
    let entry = &tables[id.layer as usize].entries()[id.entry as usize];
    if entry.kind != TocKind::File {
        return Err(invalid("it is no regular file").subject(text(path)));
    }
    let mut content = layers[id.layer as usize].file_by_toc(entry, ctx);
    let mut keep = Keep::new(place);
    while let Some(piece) = content.next().await? {
        keep.put(piece).await?;
    }
    Ok(Some(keep.finish().await?.open(0)))
}

fn id_of(tables: &[Arc<Toc>], path: &[u8], windows: bool) -> Result<Id> {
    let mut tree = Tree::new(windows);
    for (layer, table) in (0..).zip(tables) {
        for (number, entry) in (0..).zip(table.entries()) {
            let kind = match entry.kind {
                TocKind::Directory => Kind::Directory,
                TocKind::File => Kind::File,
                TocKind::Symlink => Kind::Symlink,
                TocKind::HardLink => Kind::HardLink,
                TocKind::CharDevice => Kind::CharDevice,
                TocKind::BlockDevice => Kind::BlockDevice,
                TocKind::Fifo => Kind::Fifo,
            };
            let fact = Fact { kind, name: entry.path.as_bytes(), link: entry.link.as_bytes() };
            let applied = tree.apply(Id { layer, entry: number }, &fact);
            applied.map_err(|e| e.or_subject(text(entry.path.as_bytes())))?;
        }
    }
    tree.find(path)
}
