//! Container images for every language: references, credentials, registries, images, indexes and layers.
//!
//! Everything that can block takes a [`Context`] and returns a [`Task`]: await it, or [`Task::wait`] for it.
//!
//! ```no_run
//! use parbuckle::{Client, ClientOptions, Context, ImageBuilder, Layer, Options, Reference, SinkHandle};
//! # fn main() -> parbuckle::Result<()> {
//! let (client, ctx) = (Client::new(&ClientOptions::new())?, Context::new());
//! let target = Reference::parse("registry.example/app:1")?;
//! let base = client.pull(&Reference::parse("registry.example/base:1")?, &Options::new(), &ctx).wait()?;
//! let into = Options::new().sink(&SinkHandle::repository(&client, &target)); // compressed straight into it
//! let layer = Layer::from_file("app.tar".as_ref(), &into, &ctx).wait()?;
//! let made = ImageBuilder::new(&base).add_layer(&layer).set_env("APP_MODE", Some("production"))?.build(&Options::new(), &ctx).wait()?;
//! client.push(&target, &made, &Options::new(), &ctx).wait()?;
//! println!("{}", made.digest());
//! # Ok(())
//! # }
//! ```

pub mod archive;
pub mod auth;
mod block;
pub mod builder;
pub mod cache;
pub mod compare;
mod content;
pub mod context;
pub mod daemon;
pub mod digest;
mod engine;
pub mod error;
#[cfg(feature = "capi")]
mod ffi;
pub mod image;
pub mod index;
pub mod index_builder;
pub mod layer;
pub mod layout;
mod lazy;
pub mod matcher;
pub mod memory;
mod mutate;
pub mod name;
pub mod oci;
pub mod options;
pub mod parts;
mod pool;
pub mod random;
pub mod reader;
pub mod registry;
pub mod remote;
pub mod report;
pub mod sink;
mod source;
pub(crate) mod stream;
mod sys;
mod transfer;
mod transport;
mod validate;
pub mod writer;

pub use archive::{Archive, ArchiveItem};
pub use auth::{Credential, Keychain};
pub use builder::ImageBuilder;
pub use cache::{Cache, CacheStats};
pub use compare::{compare_images, compare_indexes, compare_layers};
pub use context::{Context, Event};
pub use daemon::Daemon;
pub use digest::{Algorithm, Digest};
pub use engine::Task;
pub use error::{Code, Error, Result};
pub use image::Image;
pub use index::{Child, Index};
pub use index_builder::IndexBuilder;
pub use layer::Layer;
pub use layout::Layout;
pub use matcher::Matcher;
pub use memory::MemoryStore;
pub use mutate::filesystem::{File, FileKind, Files};
pub use mutate::{BASE_DIGEST, BASE_NAME, BaseAnnotations};
pub use name::{Reference, Repository};
pub use oci::{
    AnyManifest, Config, ConfigEdit, Descriptor, History, IndexEdit, IndexManifest, Manifest, ManifestEdit, MediaType,
    Platform,
};
pub use options::{ArchiveFormat, Format, Options};
pub use parts::{BlobProvider, Blobs};
pub use reader::Reader;
pub use registry::{Server, ServerOptions};
pub use remote::{Client, ClientOptions};
pub use report::{Finding, Report};
pub use sink::SinkHandle;
pub use stream::{Compression, CompressionOptions, Toc, TocChunk, TocEntry, TocKind};
pub use writer::{HostStream, LayerBuilder, LayerWriter};
