//! Archives of `docker save` before 1.10: a directory for each layer, whose `json` says what is below it.

use super::docker::{Part, Work};
use super::{Archive, Entries, MAX_DOCUMENT, Wanted, which_one};
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::oci::{LayerV1, MAX_CONFIG, config_of_v1, repositories};
use crate::options::Options;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Layers that one image may have.
const MAX_LAYERS: usize = 1_000;

/// The images: names and top layers.
pub(super) struct Saved {
    /// By top layer.
    images: BTreeMap<String, Vec<String>>,
}

impl Saved {
    /// `None` where it is no such archive.
    pub(super) async fn read(entries: &Entries) -> Result<Option<Saved>> {
        let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Some(found) = entries.find("repositories")? {
            let raw = entries.small(&found, MAX_DOCUMENT).await?;
            let all = repositories(&raw).map_err(|e| e.or_subject(entries.called("repositories")))?;
            for (repository, tags) in all {
                for (tag, top) in tags {
                    images.entry(top).or_default().push(format!("{repository}:{tag}"));
                }
            }
        }
        if images.is_empty() {
            // Without names an image is what nothing is on top of.
            let all: BTreeSet<&str> = entries.names().filter_map(|n| n.strip_suffix("/json")).collect();
            if all.len() > MAX_LAYERS {
                return Err(Error::new(Code::LimitExceeded, format!("more than {MAX_LAYERS} layers without a name")));
            }
            let mut tops = all.clone();
            for id in &all {
                let parent = layer(entries, id).await?.1.parent;
                tops.remove(parent.as_str());
            }
            images.extend(tops.into_iter().map(|top| (top.to_owned(), Vec::new())));
        }
        if !images.is_empty() && !entries.complete() {
            // What was cut off could have been a manifest.json, by which this would be another image.
            return Err(malformed("the tar has no end").subject(entries.subject()));
        }
        Ok((!images.is_empty()).then_some(Saved { images }))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.images.values().flatten().cloned().collect()
    }

    pub(super) async fn image(
        &self,
        archive: &Archive,
        wanted: Option<&Wanted>,
        options: &Options,
        ctx: &Context,
    ) -> Result<Image> {
        let named =
            |top: &str, names: &[String]| wanted.is_none_or(|w| names.iter().any(|name| w.is(name)) || w.text == top);
        let meant: Vec<&String> =
            self.images.iter().filter(|(top, names)| named(top, names)).map(|(top, _)| top).collect();
        let work = Work { archive, options, ctx };
        match (&meant[..], wanted) {
            ([top], _) => one(&work, top).await,
            ([], Some(wanted)) => {
                for top in self.images.keys().filter(|_| wanted.digest.is_some()) {
                    let image = one(&work, top).await?;
                    if [image.digest(), &image.manifest().config().digest]
                        .contains(&wanted.digest.as_ref().unwrap_or(image.digest()))
                    {
                        return Ok(image);
                    }
                }
                Err(wanted.not_found(&self.names()))
            }
            (several, _) => Err(which_one(several.len(), &self.names())),
        }
    }
}

/// The image on top of which this layer is.
async fn one(work: &Work<'_>, top: &str) -> Result<Image> {
    let entries = &work.archive.0.entries;
    let (raw, mut at) = layer(entries, top).await?;
    let (mut id, mut seen) = (top.to_owned(), HashSet::new());
    let (mut history, mut parts) = (Vec::new(), Vec::new());
    loop {
        if !seen.insert(id.clone()) || seen.len() > MAX_LAYERS {
            let why = format!("the layers are on top of each other in a circle, or more than {MAX_LAYERS}");
            return Err(malformed(why).subject(entries.called(&id)));
        }
        history.push(at.history());
        if !at.throwaway {
            parts.push(Part { name: format!("{id}/layer.tar"), diff_id: None, foreign: None });
        }
        if at.parent.is_empty() {
            break;
        }
        id = at.parent;
        at = layer(entries, &id).await?.1;
    }
    history.reverse();
    parts.reverse();
    let layers = work.layers(parts).await?;
    let mut diff_ids = Vec::new();
    for layer in &layers {
        diff_ids.push(layer.find_diff_id(work.ctx).await?.clone());
    }
    let config = config_of_v1(raw, diff_ids, history).map_err(|e| e.or_subject(entries.called(top)))?;
    let digest = Digest::sha256(config.raw());
    work.image((config, digest), &layers, work.options.format)
}

/// What is said of one layer.
async fn layer(entries: &Entries, id: &str) -> Result<(bytes::Bytes, LayerV1)> {
    let name = format!("{id}/json");
    let raw = entries.small(&entries.need(&name)?, MAX_CONFIG).await?;
    let said = LayerV1::from_bytes(&raw).map_err(|e| e.or_subject(entries.called(&name)))?;
    Ok((raw, said))
}
