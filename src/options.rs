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
    pub(crate) archive_format: Option<ArchiveFormat>,
    pub(crate) mount_from: Option<Repository>,
    pub(crate) foreign_layers: bool,
    pub(crate) durable: bool,
    pub(crate) uncompressed: bool,
    pub(crate) fast: bool,
    pub(crate) files: bool,
}

/// Whose media types a new document carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OCI image spec.
    Oci,
    /// Docker image manifest version 2, schema 2.
    Docker,
}

/// How images lie in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// As `docker save` writes them.
    Docker,
    /// As an OCI layout.
    Oci,
    /// As `docker save` wrote them before Docker 1.10.
    Legacy,
}

impl Options {
    /// Nothing set.
    pub fn new() -> Options {
        Options::default()
    }
    /// Which platform's image is meant where a name stands for several. Read by: resolve, pull, and what gives an image
    /// of an archive, a layout or memory.
    pub fn platform(mut self, platform: Platform) -> Options {
        self.platform = Some(platform);
        self
    }
    /// How many blobs are moved at once, at most. Read by: what pushes; what validates, examines and checks; what fills
    /// layouts, archives and memory; and, for layers that are made at once: recompress, with_time, canonical.
    pub fn jobs(mut self, jobs: u32) -> Options {
        self.jobs = Some(jobs);
        self
    }
    /// Where a new layer's bytes go. Read by: whatever makes a layer or changes one, and images of archives.
    pub fn sink(mut self, sink: &SinkHandle) -> Options {
        self.sink = Some(sink.clone());
        self
    }
    /// How a new layer is compressed. Read by: whatever makes a layer or changes one, and images of archives.
    pub fn compression(mut self, compression: CompressionOptions) -> Options {
        self.compression = Some(compression);
        self
    }
    /// Whose media types are used where nothing says it. Read by: the builders where there is no base, images of archives,
    /// and what makes images and indexes of nothing, of parts or at random.
    pub fn format(mut self, format: Format) -> Options {
        self.format = Some(format);
        self
    }
    /// The form of a new archive. Read by: writing archives.
    pub fn archive_format(mut self, format: ArchiveFormat) -> Options {
        self.archive_format = Some(format);
        self
    }
    /// A repository of the same registry that may have the blobs already. Read by: push, push_index, push_layer.
    pub fn mount_from(mut self, repository: &Repository) -> Options {
        self.mount_from = Some(repository.clone());
        self
    }
    /// Take non-distributable layers along. Read by: what pushes, and what fills layouts, archives and memory.
    pub fn foreign_layers(mut self) -> Options {
        self.foreign_layers = true;
        self
    }
    /// Flush files and directories before the call is done: what was reported done survives a power cut. Read by:
    /// what changes a layout.
    pub fn durable(mut self) -> Options {
        self.durable = true;
        self
    }

    /// Keep layers decompressed, too. Read by: opening a cache.
    pub fn uncompressed(mut self) -> Options {
        self.uncompressed = true;
        self
    }
    /// Look only whether everything is there, and read no layer. Read by: examine.
    pub fn fast(mut self) -> Options {
        self.fast = true;
        self
    }
    /// Compare the files in layers that differ, too. Read by: compare.
    pub fn files(mut self) -> Options {
        self.files = true;
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
            ("archive_format", self.archive_format.is_some()),
            ("mount_from", self.mount_from.is_some()),
            ("foreign_layers", self.foreign_layers),
            ("durable", self.durable),
            ("uncompressed", self.uncompressed),
            ("fast", self.fast),
            ("files", self.files),
        ];
        match set.iter().find(|(name, set)| *set && !read.contains(name)) {
            Some((name, _)) => Err(invalid(format!("{call} does not read the option '{name}'"))),
            None => Ok(()),
        }
    }
}
