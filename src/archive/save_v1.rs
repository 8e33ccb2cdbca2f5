//! New archives of the form that `docker save` had before 1.10, with manifest.json for those that came after: a
//! directory for each layer, its tar plain, its name made of what it is and what is below it.

use super::plan::Plan;
use super::save::{Named, images};
use super::write::ArchiveItem;
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Result, malformed};
use crate::oci::{Repositories, SavedImage, json_of_v1, repositories_to_bytes};
use std::collections::HashSet;

const VERSION: &str = "1.0";

/// The whole archive.
///
/// Errors: as for archives of today's form; `Malformed` where a history does not fit the layers.
pub(super) async fn plan(items: &[ArchiveItem], ctx: &Context) -> Result<Plan> {
    let (mut plan, mut list, mut names) = (Plan::default(), Vec::new(), Repositories::new());
    let (mut configs, mut layers) = (HashSet::new(), HashSet::new());
    let mut images = images(items)?;
    images.sort_by_cached_key(|n| n.image.manifest().config().digest.to_string());
    for Named { image, tags } in images {
        let holder = image.config_holder();
        let config = holder.get(ctx).await?;
        let name = format!("{}.json", holder.descriptor().digest.hex());
        if configs.insert(name.clone()) {
            plan.blob(&name, holder.descriptor(), holder.source());
        }
        let history: Vec<_> = config.history().iter().filter(|h| !h.empty_layer).collect();
        let count = image.layers().len();
        if !history.is_empty() && history.len() != count {
            let why = format!("the history tells of {} layers, and there are {count}", history.len());
            return Err(malformed(why).subject(image.digest()));
        }
        let (mut parent, mut files) = (String::new(), Vec::new());
        for (i, layer) in image.layers().iter().enumerate() {
            let top = (i + 1 == count).then_some(config);
            let id = id_of(&layer.descriptor().digest, &parent, top.map(|config| &config.raw()[..]));
            files.push(format!("{id}/layer.tar"));
            if layers.insert(id.clone()) {
                let below = Some(parent.as_str()).filter(|p| !p.is_empty());
                plan.plain(format!("{id}/layer.tar"), layer);
                plan.bytes(format!("{id}/json"), json_of_v1(&id, below, history.get(i).copied(), top));
                plan.bytes(format!("{id}/VERSION"), VERSION);
            }
            parent = id;
        }
        for tag in &tags {
            // Every one of these has a tag.
            if let Some((repository, tag)) = tag.rsplit_once(':') {
                names.entry(repository.to_owned()).or_default().insert(tag.to_owned(), parent.clone());
            }
        }
        list.push(SavedImage::new(name, (!tags.is_empty()).then_some(tags), files));
    }
    plan.bytes("manifest.json", SavedImage::to_bytes(&list));
    plan.bytes("repositories", repositories_to_bytes(&names));
    Ok(plan)
}

/// The name of a layer: made of its digest, of what is below, and at the top of the config, as the reference has it.
fn id_of(digest: &Digest, parent: &str, config: Option<&[u8]>) -> String {
    let mut text = format!("{} {parent}", digest.hex()).into_bytes();
    if let Some(config) = config {
        text.push(b' ');
        text.extend_from_slice(config);
    }
    Digest::sha256(&text).hex().to_owned()
}
