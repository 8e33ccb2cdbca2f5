//! The layers of an image while they change: descriptors, diff ids and history are one thing in three places.

use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Code, Error, Result};
use crate::layer::Layer;
use crate::oci::{ConfigDoc, ConfigEdit, Descriptor, History, LayerCompression, MediaType};
use crate::options::Format;
use std::collections::BTreeSet;

/// One change. Numbers are places as they are when its turn comes; the builder has checked them.
#[derive(Clone)]
pub(super) enum Step {
    Add(Layer),
    /// A line of history for what made no layer.
    Empty,
    Remove(usize),
    Replace(usize, Layer),
    /// Of the step before.
    History(History),
    MediaType(usize, MediaType),
    Annotation(usize, String, Option<String>),
    Urls(usize, Vec<String>),
}

/// The layers as far as the changes have come.
pub(super) struct Stack {
    pub(super) layers: Vec<Layer>,
    entries: Vec<Descriptor>,
    /// Which have a media type that was given by hand.
    pub(super) fixed: BTreeSet<usize>,
    told: Option<Told>,
    /// The line of history that was written last.
    line: Option<usize>,
    /// The layer that was replaced last, where there was no line for it.
    replaced: Option<usize>,
    family: Format,
}

/// What the config says about them.
struct Told {
    diff_ids: Vec<Digest>,
    history: Vec<History>,
}

impl Stack {
    pub(super) fn new(layers: &[Layer], family: Format) -> Stack {
        let entries = layers.iter().map(|l| l.descriptor().clone()).collect();
        Stack {
            layers: layers.to_vec(),
            entries,
            fixed: BTreeSet::new(),
            told: None,
            line: None,
            replaced: None,
            family,
        }
    }
    pub(super) fn told(mut self, doc: &ConfigDoc) -> Stack {
        let diff_ids = doc.rootfs.diff_ids.clone().unwrap_or_default();
        self.told = Some(Told { diff_ids, history: doc.history.clone() });
        self
    }
    pub(super) fn descriptors(&self) -> Vec<Descriptor> {
        self.entries.clone()
    }
    /// Writes into a config what there is now. One that says it already stays as it is.
    pub(super) fn tell(&self, config: &mut ConfigEdit) {
        let Some(told) = &self.told else { return };
        let doc = config.doc();
        if doc.history != told.history || doc.rootfs.diff_ids.as_deref().unwrap_or_default() != told.diff_ids {
            let doc = config.doc_mut();
            doc.history = told.history.clone();
            doc.rootfs.diff_ids = Some(told.diff_ids.clone());
        }
    }

    pub(super) async fn apply(&mut self, step: &Step, ctx: &Context) -> Result<()> {
        match step.clone() {
            Step::Add(layer) => {
                self.entries.push(entry(layer.descriptor(), self.family));
                if let Some(told) = &mut self.told {
                    told.in_step(self.layers.len())?;
                    told.diff_ids.push(layer.find_diff_id(ctx).await?.clone());
                    told.history.push(History::default());
                    (self.line, self.replaced) = (Some(told.history.len() - 1), None);
                }
                self.layers.push(layer);
            }
            Step::Empty => {
                let Some(told) = &mut self.told else {
                    return Err(no_history());
                };
                told.pad();
                told.lines()?;
                told.history.push(History { empty_layer: true, ..History::default() });
                self.line = Some(told.history.len() - 1);
            }
            Step::Remove(i) => {
                self.layers.remove(i);
                self.entries.remove(i);
                self.fixed = self.fixed.iter().filter(|at| **at != i).map(|at| at - usize::from(*at > i)).collect();
                if let Some(told) = &mut self.told {
                    let line = told.line_of(i)?;
                    told.diff_ids.remove(i);
                    line.map(|line| told.history.remove(line));
                }
            }
            Step::Replace(i, layer) => {
                self.entries[i] = entry(layer.descriptor(), self.family);
                self.fixed.remove(&i);
                (self.line, self.replaced) = (None, Some(i));
                if let Some(told) = &mut self.told {
                    self.line = told.line_of(i)?;
                    told.diff_ids[i] = layer.find_diff_id(ctx).await?.clone();
                }
                self.layers[i] = layer;
            }
            Step::History(new) => {
                let Some(told) = &mut self.told else { return Err(no_history()) };
                if let (None, Some(i)) = (self.line, self.replaced) {
                    // There was no history at all: now there is something to tell.
                    told.pad();
                    self.line = told.line_of(i)?;
                }
                let line = self.line.and_then(|line| self.told.as_mut()?.history.get_mut(line));
                if let Some(line) = line {
                    *line = History { empty_layer: line.empty_layer, extra: line.extra.clone(), ..new };
                }
            }
            Step::MediaType(i, media_type) => {
                self.fixed.insert(i);
                self.entries[i].media_type = media_type;
            }
            Step::Annotation(i, key, Some(value)) => drop(self.entries[i].annotations.insert(key, value)),
            Step::Annotation(i, key, None) => drop(self.entries[i].annotations.remove(&key)),
            Step::Urls(i, urls) => self.entries[i].urls = urls,
        }
        Ok(())
    }
}

fn no_history() -> Error {
    Error::new(Code::InvalidArgument, "history is part of an image config, and the image has none")
}

impl Told {
    /// That there is a diff id and, where there is a history, a line for each of so many layers.
    fn in_step(&mut self, layers: usize) -> Result<()> {
        if self.diff_ids.len() != layers {
            let why = format!("the config names {} diff ids for {layers} layers", self.diff_ids.len());
            return Err(Error::new(Code::Malformed, why));
        }
        self.pad();
        self.lines().map(drop)
    }

    /// A history that tells of fewer layers than there are, or of none, gets a line for each that it left out.
    fn pad(&mut self) {
        let there = self.history.iter().filter(|h| !h.empty_layer).count();
        let missing = self.diff_ids.len().saturating_sub(there);
        self.history.extend(std::iter::repeat_n(History::default(), missing));
    }

    /// Where the history tells of this layer; `None` where there is no history at all.
    fn line_of(&mut self, layer: usize) -> Result<Option<usize>> {
        let count = self.diff_ids.len();
        if layer >= count {
            return Err(Error::new(Code::Malformed, format!("the config names only {count} diff ids")));
        }
        if self.history.is_empty() {
            return Ok(None);
        }
        self.pad();
        Ok(Some(self.lines()?[layer]))
    }

    /// The lines that tell of layers: as many as there are.
    fn lines(&self) -> Result<Vec<usize>> {
        let lines: Vec<usize> = (0..self.history.len()).filter(|i| !self.history[*i].empty_layer).collect();
        let count = self.diff_ids.len();
        match lines.len() == count {
            true => Ok(lines),
            false => {
                let why = format!("the history tells of {} layers, and there are {count}", lines.len());
                Err(Error::new(Code::Malformed, why))
            }
        }
    }
}

/// A layer as this manifest names it: the media type follows the family, as in the reference. Docker has no name for
/// zstd that others read, and takes the OCI's.
pub(crate) fn entry(layer: &Descriptor, family: Format) -> Descriptor {
    let media_type = match (family, layer.media_type.compression()) {
        (Format::Docker, Some(LayerCompression::None | LayerCompression::Gzip)) => layer.media_type.to_docker(),
        (Format::Oci, Some(_)) => layer.media_type.to_oci(),
        _ => layer.media_type.clone(),
    };
    Descriptor { media_type, ..layer.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_follow_their_base() {
        let entry = |m: MediaType, family| entry(&Descriptor::of(m, b""), family).media_type;
        assert_eq!(entry(MediaType::OCI_LAYER_GZIP, Format::Docker), MediaType::DOCKER_LAYER_GZIP);
        assert_eq!(entry(MediaType::OCI_LAYER_ZSTD, Format::Docker), MediaType::OCI_LAYER_ZSTD);
        assert_eq!(entry(MediaType::DOCKER_LAYER_GZIP, Format::Oci), MediaType::OCI_LAYER_GZIP);
        assert_eq!(entry(MediaType::OCI_LAYER, Format::Docker), MediaType::DOCKER_LAYER);
    }

    #[test]
    fn history_is_in_step() {
        let id = |n: u8| Digest::sha256(&[n]);
        let line = |text: &str, empty_layer| History { created_by: text.into(), empty_layer, ..History::default() };
        let mut told = Told {
            diff_ids: vec![id(1), id(2), id(3)],
            history: vec![line("a", false), line("x", true), line("b", false), line("c", false)],
        };
        assert_eq!((told.line_of(0).unwrap(), told.line_of(1).unwrap()), (Some(0), Some(2)));
        assert!(told.line_of(3).is_err());
        told.history.pop();
        assert_eq!(told.line_of(2).unwrap(), Some(3), "a line was added");
        told.history.push(line("d", false));
        assert_eq!(told.line_of(0).unwrap_err().code(), Code::Malformed);
        told.history.clear();
        assert_eq!(told.line_of(0).unwrap(), None);
    }
}
