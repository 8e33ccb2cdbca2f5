//! The options of a call. One type for all calls; a call that is given one it does not read says so instead of
//! ignoring it.

use crate::error::{Result, invalid};
use crate::name::Repository;
use crate::oci::Platform;
use crate::sink::SinkHandle;
use crate::stream::CompressionOptions;

/// What a call may be told; see each setter for the calls that read it.
#[derive(Clone, Default)]
pub struct Options {
    pub(crate) platform: Option<Platform>,
    pub(crate) jobs: Option<u32>,
    pub(crate) sink: Option<SinkHandle>,
    pub(crate) compression: Option<CompressionOptions>,
    pub(crate) format: Option<Format>,
    pub(crate) mount_from: Option<Repository>,
    pub(crate) foreign_layers: bool,
}

/// Whose media types a new document carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OCI image spec.
    Oci,
    /// Docker image manifest version 2, schema 2.
    Docker,
    /// Of archives only: that of `docker save` before Docker 1.10.
    Legacy,
}

impl Options {
    /// Nothing set.
    pub fn new() -> Options {
        Options::default()
    }
    /// Which platform's image is meant where a name stands for several. Read by: resolve, pull, images of archives,
    /// indexes loaded into daemons.
    pub fn platform(mut self, platform: Platform) -> Options {
        self.platform = Some(platform);
        self
    }
    /// How many blobs are moved at once, at most. Read by: push, push_index, push_layer, validate, fetch,
    /// writing archives.
    pub fn jobs(mut self, jobs: u32) -> Options {
        self.jobs = Some(jobs);
        self
    }
    /// Where a new layer's bytes go. Read by: whatever makes a layer, images of archives and daemons.
    pub fn sink(mut self, sink: &SinkHandle) -> Options {
        self.sink = Some(sink.clone());
        self
    }
    /// How a new layer is compressed. Read by: whatever makes a layer, images of archives and daemons.
    pub fn compression(mut self, compression: CompressionOptions) -> Options {
        self.compression = Some(compression);
        self
    }
    /// Whose media types are used where nothing says it, and the form of a new archive. Read by: image builders without
    /// a base, images of archives and daemons, writing archives.
    pub fn format(mut self, format: Format) -> Options {
        self.format = Some(format);
        self
    }
    /// A repository of the same registry that may have the blobs already. Read by: push, push_index, push_layer.
    pub fn mount_from(mut self, repository: &Repository) -> Options {
        self.mount_from = Some(repository.clone());
        self
    }
    /// Take non-distributable layers along. Read by: push, push_index, writing archives.
    pub fn foreign_layers(mut self) -> Options {
        self.foreign_layers = true;
        self
    }

    /// Refuses the options that are set and not among `read`.
    pub(crate) fn only(&self, call: &str, read: &[&str]) -> Result<()> {
        let set = [
            ("platform", self.platform.is_some()),
            ("jobs", self.jobs.is_some()),
            ("sink", self.sink.is_some()),
            ("compression", self.compression.is_some()),
            ("format", self.format.is_some()),
            ("mount_from", self.mount_from.is_some()),
            ("foreign_layers", self.foreign_layers),
        ];
        match set.iter().find(|(name, set)| *set && !read.contains(name)) {
            Some((name, _)) => Err(invalid(format!("{call} does not read the option '{name}'"))),
            None => Ok(()),
        }
    }
}
