//! The documents beside the images in a tar of `docker save`: manifest.json, `repositories`, and the `json` files of
//! its first version.

use super::config::RunConfig;
use super::json::{self, Json, object};
use super::{Config, ConfigDoc, Descriptor, History, RootFs, Time};
use crate::digest::Digest;
use crate::error::Result;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

object! {
    /// One image of manifest.json.
    pub struct SavedImage {
        /// The entry that has its config.
        config: String = "Config" keep,
        /// What it is called, if anything.
        repo_tags: Option<Vec<String>> = "RepoTags" keep,
        /// The entries that have its layers, lowest first.
        layers: Option<Vec<String>> = "Layers" keep,
        /// Descriptors of layers by their diff ids, where these come from elsewhere.
        layer_sources: BTreeMap<String, Descriptor> = "LayerSources" omit,
    }
}

object! {
    /// What the `json` file of a layer says besides what a config says.
    pub struct LayerV1 {
        /// The layer's name: that of its directory.
        id: String = "id" omit,
        /// The name of the layer below; empty at the bottom.
        parent: String = "parent" omit,
        /// When it was made.
        created: Time = "created" keep,
        /// Who made it.
        author: String = "author" omit,
        /// A remark.
        comment: String = "comment" omit,
        /// How the container ran that it was committed from.
        container_config: Option<RunConfig> = "container_config" omit,
        /// Whether it stands for no change of files.
        throwaway: bool = "throwaway" omit,
    }
}

/// Names of images, and the top layer of each: repository, tag, layer.
pub(crate) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// Members of a `json` file that a config does not have.
const OF_V1: [&str; 6] = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

impl SavedImage {
    /// Reads manifest.json.
    pub(crate) fn list(raw: &[u8]) -> Result<Vec<SavedImage>> {
        json::whole(raw, "manifest.json")
    }
    /// Writes manifest.json.
    pub(crate) fn to_bytes(list: &[SavedImage]) -> Bytes {
        let mut out = String::new();
        list.to_vec().write(&mut out);
        out.into()
    }
    /// An image of an archive that is being written.
    pub(crate) fn new(config: String, tags: Option<Vec<String>>, layers: Vec<String>) -> SavedImage {
        let (layers, layer_sources) = (Some(layers), BTreeMap::new());
        SavedImage { config, repo_tags: tags, layers, layer_sources, extra: Default::default() }
    }
}

/// Reads `repositories`.
pub(crate) fn repositories(raw: &[u8]) -> Result<Repositories> {
    json::whole(raw, "file repositories")
}

/// Writes `repositories`.
pub(crate) fn repositories_to_bytes(all: &Repositories) -> Bytes {
    json::to_bytes(all)
}

impl LayerV1 {
    /// Reads a `json` file.
    pub(crate) fn from_bytes(raw: &[u8]) -> Result<LayerV1> {
        const WHAT: &str = "layer's json file";
        json::document(json::root(raw, WHAT)?, WHAT)
    }
    /// What a config's history says of it.
    pub(crate) fn history(&self) -> History {
        let command = self.container_config.as_ref().and_then(|c| c.cmd.as_ref());
        History {
            author: self.author.clone(),
            created: self.created.clone(),
            created_by: command.map(|words| words.join(" ")).unwrap_or_default(),
            comment: self.comment.clone(),
            empty_layer: self.throwaway,
            extra: Default::default(),
        }
    }
}

/// The config of an image of the first version: what the `json` file of its top layer says, with what it did not yet
/// have to say.
pub(crate) fn config_of_v1(top: Bytes, diff_ids: Vec<Digest>, history: Vec<History>) -> Result<Config> {
    let mut edit = Config::from_bytes(top)?.edit();
    let doc = edit.doc_mut();
    doc.extra.remove(&OF_V1);
    doc.history = history;
    doc.rootfs = RootFs { kind: "layers".into(), diff_ids: Some(diff_ids), extra: Default::default() };
    edit.finish()
}

/// The `json` file of a layer of the first version. The top layer says what its image's config says.
pub(crate) fn json_of_v1(id: &str, parent: Option<&str>, history: Option<&History>, top: Option<&Config>) -> Bytes {
    let mut doc = top.map_or_else(ConfigDoc::default, |config| config.doc().clone());
    doc.history = Vec::new();
    doc.rootfs = RootFs::default();
    let said = history.cloned().unwrap_or_default();
    if top.is_none() {
        doc.created = said.created.clone();
        doc.author = said.author.clone();
    }
    let container = RunConfig { cmd: Some(vec![said.created_by.clone()]), ..RunConfig::default() };
    let mut add = |key: &str, value: &dyn Fn(&mut String)| {
        let mut text = String::new();
        value(&mut text);
        doc.extra.remove(&[key]);
        if let Ok(raw) = RawValue::from_string(text) {
            doc.extra.push(key.to_owned(), &raw);
        }
    };
    add("container_config", &|out| container.write(out));
    add("id", &|out| id.to_owned().write(out));
    if let Some(parent) = parent {
        add("parent", &|out| parent.to_owned().write(out));
    }
    if said.empty_layer {
        add("throwaway", &|out| true.write(out));
    }
    if !said.comment.is_empty() {
        add("comment", &|out| said.comment.write(out));
    }
    json::to_bytes(&doc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_json_is_read_and_written() {
        let json = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["x.tar"]},{"Config":"d","RepoTags":null,"Layers":[],"More":1}]"#;
        let list = SavedImage::list(json.as_bytes()).unwrap();
        assert_eq!(list[0].layers.as_deref().unwrap(), ["x.tar"]);
        assert_eq!(SavedImage::to_bytes(&list), json);
        for bad in ["null", "{}", "", "[1]", "[{\"Config\":1}]", "[] []", "[{\"Config\":\"a\",\"Config\":\"b\"}]"] {
            assert!(SavedImage::list(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        arbtest::arbtest(|u| {
            let mut list = Vec::new();
            for _ in 0..u.int_in_range(0..=3)? {
                let mut image = SavedImage::new(u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
                for content in u.arbitrary::<Vec<u8>>()?.iter().take(2) {
                    let layer = Descriptor::of(super::super::MediaType::DOCKER_LAYER, &[*content]);
                    image.layer_sources.insert(layer.digest.to_string(), layer);
                }
                list.push(image);
            }
            // No text may have a U+0000 in it.
            let refused = |written: &Bytes| written.windows(6).any(|w| w == b"\\u0000");
            let written = SavedImage::to_bytes(&list);
            if refused(&written) {
                return Ok(());
            }
            let read = SavedImage::list(&written).unwrap();
            assert_eq!((&read, SavedImage::to_bytes(&read)), (&list, written));
            let names: Repositories = u.arbitrary()?;
            let written = repositories_to_bytes(&names);
            if refused(&written) {
                return Ok(());
            }
            assert_eq!(repositories(&written).unwrap(), names);
            // The file of a layer says what the layer's history says.
            let history = History {
                created_by: u.arbitrary()?,
                author: u.arbitrary()?,
                comment: u.arbitrary()?,
                empty_layer: u.arbitrary()?,
                ..History::default()
            };
            let (id, parent): (String, Option<String>) = (u.arbitrary()?, u.arbitrary()?);
            let written = json_of_v1(&id, parent.as_deref(), Some(&history), None);
            if refused(&written) {
                return Ok(());
            }
            let said = LayerV1::from_bytes(&written).unwrap();
            assert_eq!((said.id.clone(), said.parent.clone()), (id, parent.unwrap_or_default()));
            assert_eq!(said.history(), history);
            Ok(())
        });
    }

    #[test]
    fn old_layers_become_a_config() {
        let top = r#"{"id":"b","parent":"a","created":"2014-01-02T03:04:05Z","container_config":{"Cmd":["/bin/sh","-c","x"]},"config":{"Env":["A=1"]},"architecture":"amd64","os":"linux","Size":7,"docker_version":"1.2"}"#;
        let v1 = LayerV1::from_bytes(top.as_bytes()).unwrap();
        assert_eq!((v1.parent.as_str(), v1.history().created_by.as_str()), ("a", "/bin/sh -c x"));
        let config = config_of_v1(top.into(), vec![Digest::sha256(b"")], vec![v1.history()]).unwrap();
        assert_eq!((config.env_get("A"), config.diff_ids().len(), config.history().len()), (Some("1"), 1, 1));
        let text = std::str::from_utf8(config.raw()).unwrap();
        assert!(!text.contains("\"id\"") && text.contains("container_config"), "{text}");
    }
}
