//! The documents of the image spec: descriptors, manifests, indexes, configs.
//!
//! A document that came from somewhere keeps its exact bytes beside a typed view ([`Manifest`], [`IndexManifest`],
//! [`Config`]). Only an edit writes new bytes, and it writes them as Go's `encoding/json` writes the structs of
//! go-containerregistry: its order of fields, its rules for leaving out, sorted maps, its escapes. So the same change
//! gives the same digest as there. Members that are not known here are kept, untouched, after the known ones of the
//! same object.
//!
//! Reading is strict where two programs could read one document in two ways: duplicate keys, a document that is both
//! an index and an image, a `mediaType` against the Content-Type. That strictness belongs to reading; whoever only
//! copies bytes never comes here. One difference to Go is on purpose: it matches keys without regard to case, here a
//! key of another case is an unknown member.

mod config;
mod config_edit;
mod descriptor;
mod go;
mod index;
mod json;
mod manifest;
mod media_type;
mod platform;
mod save;
mod time;

pub use config::{Config, ConfigDoc, Empty, Healthcheck, History, RootFs, RunConfig};
pub use config_edit::ConfigEdit;
pub use descriptor::{Descriptor, MAX_SIZE};
pub use index::{IndexDoc, IndexEdit, IndexManifest};
pub use json::{Extra, MAX_DEPTH, MAX_ITEMS};
pub use manifest::{AnyManifest, Manifest, ManifestDoc, ManifestEdit};
pub use media_type::{LayerCompression, MediaType};
pub use platform::Platform;
pub(crate) use save::{
    LayerV1, Repositories, SavedImage, config_of_v1, json_of_v1, repositories, repositories_to_bytes,
};
pub use time::Time;

/// The largest manifest or index that is read unless the caller allows more, up to [`MAX_MANIFEST`].
pub const DEFAULT_MAX_MANIFEST: u64 = 4 << 20;
/// The most that a caller can allow for a manifest or index.
pub const MAX_MANIFEST: u64 = 100 << 20;
/// The largest image config that is read into memory.
pub const MAX_CONFIG: u64 = 8 << 20;
