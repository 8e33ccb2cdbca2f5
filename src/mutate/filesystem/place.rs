//! Where a path lies in an image, for who changes it there: what it is, and the directories above it.

use super::path::text;
use super::tree::{Fact, Id, There, Tree};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::layer::Layer;
use crate::stream::{Kind, TarEntry, TarStream, Timestamp};
use std::collections::HashMap;

/// A path of an image.
pub(crate) struct Placed {
    /// Links followed.
    pub path: Vec<u8>,
    /// The directories above it as their entries have them, named by where they lie, the outermost first.
    pub parents: Vec<TarEntry>,
    /// What is there: of a hard link, the file; of a directory, not more than that it is one.
    pub there: Option<TarEntry>,
}

/// Where this clean path lies, or with `last_too`, where the link leads that is there; `None` where something above it is
/// no directory. Layers that are not distributed, or no file systems, are taken to have nothing. The others are read once
/// for their names, and those that matter once more.
///
/// Errors: as for [`Image::filesystem`].
pub(crate) async fn place(
    image: &Image,
    path: &[u8],
    last_too: bool,
    windows: bool,
    ctx: &Context,
) -> Result<Option<Placed>> {
    let is_read = |layer: &Layer| {
        let kind = &layer.descriptor().media_type;
        kind.is_distributable() && kind.is_layer()
    };
    let all = image.layers().iter().all(is_read);
    let layers: Vec<(u32, &Layer)> = (0..).zip(image.layers()).filter(|(_, layer)| is_read(layer)).collect();
    let mut tree = Tree::new(windows);
    for (number, layer) in &layers {
        let digest = &layer.descriptor().digest;
        let mut tar = TarStream::new(layer.uncompressed_chunks(ctx, None).await?);
        let mut id = Id { layer: *number, entry: 0 };
        while let Some(entry) = tar.next().await.map_err(|e| e.or_subject(digest))? {
            let fact = Fact { kind: entry.kind, name: &entry.name, link: &entry.link };
            match tree.apply(id, &fact) {
                // Its file may be in a layer that is not read.
                Err(e) if !all && entry.kind == Kind::HardLink && e.code() == Code::Malformed => {
                    tree.apply(id, &Fact { kind: Kind::File, ..fact })
                }
                applied => applied,
            }
            .map_err(|e| e.or_subject(text(&entry.name)))?;
            id.entry += 1;
        }
    }
    let Some(located) = tree.locate(path, last_too)? else { return Ok(None) };
    drop(tree);
    let content = match located.there {
        Some(There::Entry(id)) => Some(id),
        _ => None,
    };
    let wanted = located.parents.iter().map(|(_, id)| *id).chain(content).collect();
    let mut entries = entries(&layers, wanted, ctx).await?;
    let mut take = |id: &Id| {
        let changed = || Error::new(Code::Malformed, "the layer was another when it was read again");
        entries.remove(id).flatten().ok_or_else(changed)
    };
    let there = match (&located.there, content) {
        (Some(There::Directory), _) => Some(TarEntry::new(Kind::Directory, &located.path, 0o755, Timestamp::default())),
        (_, Some(id)) => Some(take(&id)?),
        _ => None,
    };
    let mut parents = Vec::new();
    for (name, id) in &located.parents {
        parents.push(TarEntry { name: [name, &b"/"[..]].concat(), ..take(id)? });
    }
    Ok(Some(Placed { path: located.path, parents, there }))
}

async fn entries(layers: &[(u32, &Layer)], wanted: Vec<Id>, ctx: &Context) -> Result<HashMap<Id, Option<TarEntry>>> {
    let mut entries: HashMap<Id, Option<TarEntry>> = wanted.into_iter().map(|id| (id, None)).collect();
    for (number, layer) in layers {
        if !entries.keys().any(|id| id.layer == *number) {
            continue;
        }
        let mut tar = TarStream::new(layer.uncompressed_chunks(ctx, None).await?);
        let mut id = Id { layer: *number, entry: 0 };
        while let Some(entry) = tar.next().await? {
            if let Some(found) = entries.get_mut(&id) {
                *found = Some(entry);
            }
            id.entry += 1;
        }
    }
    Ok(entries)
}
