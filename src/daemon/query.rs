//! What a daemon tells about its images: as it came, and in types.

use super::{Daemon, escaped, query};
use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::oci::MediaType;
use crate::options::Options;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An image in a daemon's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// What the daemon calls it: the config's digest, or the manifest's where the daemon keeps manifests.
    pub id: Digest,
    /// Its names.
    pub tags: Vec<String>,
    /// Where it was pulled from, `name@digest`.
    pub repo_digests: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Bytes on the daemon's disk.
    pub size: u64,
}

/// What a daemon knows of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDetails {
    /// What the daemon calls it: the config's digest, or the manifest's where the daemon keeps manifests.
    pub id: Digest,
    /// Its names.
    pub tags: Vec<String>,
    /// Where it was pulled from, `name@digest`.
    pub repo_digests: Vec<String>,
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Bytes on the daemon's disk.
    pub size: u64,
    /// The digests of its plain layers, base first.
    pub diff_ids: Vec<Digest>,
    /// What the id names, where the daemon keeps manifests (Docker 25 and later, with containerd's store).
    pub(super) kept: Option<MediaType>,
}

/// One step of an image's making, as the daemon tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStep {
    /// The id of the image that ended with this step; `None` where there is none any more.
    pub id: Option<Digest>,
    /// When, in seconds since 1970.
    pub created: i64,
    /// The command.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// Bytes that it added.
    pub size: u64,
    /// The names of the image that ended with it.
    pub tags: Vec<String>,
}

impl Daemon {
    /// The images there are; with `reference`, those whose name matches the pattern (`app`, `app:*`).
    ///
    /// Errors: `Unavailable` and the like; `Protocol` where the answer is none; `LimitExceeded` for one over 8 MiB.
    /// Options: none.
    pub fn list(&self, reference: Option<&str>, options: &Options, ctx: &Context) -> Task<Vec<ImageSummary>> {
        let path = list_path(reference);
        self.asking(options, "daemon list", ctx, |daemon| async move {
            let told: Vec<Summary> = daemon.read(&path, daemon.host()).await?;
            told.into_iter().map(|s| s.checked(&daemon)).collect()
        })
    }
    /// The same, as the daemon says it: `GET /images/json`.
    pub fn list_json(&self, reference: Option<&str>, options: &Options, ctx: &Context) -> Task<Bytes> {
        let path = list_path(reference);
        self.asking(options, "daemon list", ctx, |daemon| async move { daemon.get(&path, daemon.host()).await })
    }

    /// What the daemon knows of one image, by name or id.
    ///
    /// Errors: `NotFound`; else as for [`Daemon::list`]. Options: none.
    pub fn inspect(&self, name: &str, options: &Options, ctx: &Context) -> Task<ImageDetails> {
        let name = name.to_owned();
        self.asking(options, "daemon inspect", ctx, |daemon| async move { daemon.details(&name).await })
    }
    /// The same, as the daemon says it: `GET /images/NAME/json`.
    pub fn inspect_json(&self, name: &str, options: &Options, ctx: &Context) -> Task<Bytes> {
        let name = name.to_owned();
        self.asking(options, "daemon inspect", ctx, |daemon| async move {
            daemon.get(&format!("/images/{}/json", escaped(&name)?), &name).await
        })
    }

    /// How an image came about, its last step first.
    ///
    /// Errors: `NotFound`; else as for [`Daemon::list`]. Options: none.
    pub fn history(&self, name: &str, options: &Options, ctx: &Context) -> Task<Vec<ImageStep>> {
        let name = name.to_owned();
        self.asking(options, "daemon history", ctx, |daemon| async move {
            let told: Vec<Step> = daemon.read(&format!("/images/{}/history", escaped(&name)?), &name).await?;
            Ok(told.into_iter().map(Step::read).collect())
        })
    }
    /// The same, as the daemon says it: `GET /images/NAME/history`.
    pub fn history_json(&self, name: &str, options: &Options, ctx: &Context) -> Task<Bytes> {
        let name = name.to_owned();
        self.asking(options, "daemon history", ctx, |daemon| async move {
            daemon.get(&format!("/images/{}/history", escaped(&name)?), &name).await
        })
    }

    pub(super) async fn details(&self, name: &str) -> Result<ImageDetails> {
        let told: Details = self.read(&format!("/images/{}/json", escaped(name)?), name).await?;
        told.checked(self)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, subject: &str) -> Result<T> {
        let raw = self.get(path, subject).await?;
        serde_json::from_slice(&raw)
            .map_err(|e| self.nonsense(&format!("the daemon's answer is none: {e}")).subject(subject))
    }
    fn nonsense(&self, why: &str) -> Error {
        Error::new(Code::Protocol, why).subject(self.host())
    }
    fn id(&self, text: &str) -> Result<Digest> {
        // podman leaves the algorithm out in places.
        let whole = if text.contains(':') { text.to_owned() } else { format!("sha256:{text}") };
        whole.parse().map_err(|e| self.nonsense("the daemon gives an image an id that is no digest").cause(e))
    }
}

fn list_path(reference: Option<&str>) -> String {
    match reference {
        None => "/images/json".into(),
        Some(pattern) => {
            let filters = serde_json::json!({ "reference": [pattern] }).to_string();
            format!("/images/json?filters={}", query(&filters))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    size: i64,
}

impl Summary {
    fn checked(self, daemon: &Daemon) -> Result<ImageSummary> {
        Ok(ImageSummary {
            id: daemon.id(&self.id)?,
            tags: names(self.repo_tags),
            repo_digests: names(self.repo_digests),
            created: self.created,
            size: u64::try_from(self.size).unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    size: i64,
    #[serde(default, rename = "RootFS")]
    root_fs: RootFs,
    #[serde(default)]
    descriptor: Option<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(rename = "mediaType")]
    media_type: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Details {
    fn checked(self, daemon: &Daemon) -> Result<ImageDetails> {
        Ok(ImageDetails {
            id: daemon.id(&self.id)?,
            tags: names(self.repo_tags),
            repo_digests: names(self.repo_digests),
            os: self.os,
            architecture: self.architecture,
            size: u64::try_from(self.size).unwrap_or_default(),
            diff_ids: self.root_fs.layers.unwrap_or_default().iter().map(|l| daemon.id(l)).collect::<Result<_>>()?,
            kept: self.descriptor.map(|d| d.media_type.into()),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    #[serde(default)]
    id: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    size: i64,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Step {
    fn read(self) -> ImageStep {
        ImageStep {
            id: self.id.parse().ok(), // "<missing>" for steps whose image is not here
            created: self.created,
            created_by: self.created_by,
            comment: self.comment,
            size: u64::try_from(self.size).unwrap_or_default(),
            tags: names(self.tags),
        }
    }
}

/// Without the `<none>` of images that have no name.
fn names(told: Option<Vec<String>>) -> Vec<String> {
    let all = told.unwrap_or_default().into_iter();
    all.filter(|name| !name.contains("<none>")).collect()
}
