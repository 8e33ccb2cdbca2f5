//! A Docker-compatible daemon (dockerd, podman's service) as a medium: what images it has, one of them to read, one to
//! be loaded.
//!
//! A daemon keeps no manifests and no compressed layers. What goes there and back keeps its config, and so its image
//! id, and its diff ids; the manifest that comes back is a new one, over plain layers. The bytes go as a `docker save`
//! archive, straight through: nothing of a size that depends on the image is held in memory, and a read keeps one
//! spool file.
//!
//! * `host`: addresses and certificates;
//! * `http`: one request;
//! * `query`: what the daemon tells about its images, in types;
//! * `save`: an image out of it;
//! * `load`, `plain`: images into it, with layers that it can read.

mod host;
mod http;
mod load;
mod plain;
mod query;
mod save;

pub use query::{ImageDetails, ImageStep, ImageSummary};

use crate::context::Context;
use crate::digest::shown;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::name::Reference;
use crate::options::Options;
use crate::source::Place;
use ::http::Method;
use bytes::Bytes;
use host::Environment;
use http::{ANSWER, Answer, Body, WORK, Wire};
use std::fmt::Write as _;
use std::sync::Arc;

/// The API that is spoken: not before podman's oldest, not after the newest that is known.
const OLDEST: ApiVersion = ApiVersion(1, 24);
const NEWEST: ApiVersion = ApiVersion(1, 52);

/// A daemon that answered once. A clone is the same one. It holds no connection: each call makes its own.
#[derive(Clone)]
pub struct Daemon(Arc<Inner>);

struct Inner {
    wire: Wire,
    place: Place,
    api: ApiVersion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion(u32, u32);

impl Daemon {
    /// Asks the daemon at `host` which API it speaks: `unix://PATH`, `tcp://HOST[:PORT]`, `http://…`, `https://…`;
    /// without it, what DOCKER_HOST names, else `unix:///var/run/docker.sock`. DOCKER_API_VERSION goes before what the
    /// daemon would choose. With DOCKER_TLS_VERIFY or DOCKER_CERT_PATH, `tcp` is TLS, and always verified: by that
    /// directory's `ca.pem` (`~/.docker` without one), or the system's authorities if there is none; `cert.pem` and
    /// `key.pem` there show who we are. The environment and the files are read on the caller's thread.
    ///
    /// Errors: `InvalidArgument`, `Unsupported` for addresses; `Unavailable` where nobody listens, `Denied` where the
    /// socket is not ours to use, `Tls`; `Unsupported` where the daemon's API is too old; `Protocol` where something
    /// else answers. Options: none.
    pub fn connect(host: Option<&str>, options: &Options, ctx: &Context) -> Task<Daemon> {
        let prepared = || {
            options.only("daemon connect", &[])?;
            let environment = Environment::read()?;
            let wanted = environment.api_version().map(ApiVersion::wanted).transpose()?;
            let place = Place::here()?;
            let wire = Wire { host: Arc::new(environment.host(host)?), stats: place.stats.clone() };
            Ok((wire, place, wanted))
        };
        let (wire, place, wanted) = match prepared() {
            Ok(prepared) => prepared,
            Err(e) => return Task::ready(Err(e)),
        };
        let engine = place.engine.clone();
        engine.spawn(ctx, |_| async move {
            let api = negotiate(&wire, wanted).await?;
            Ok(Daemon(Arc::new(Inner { wire, place, api })))
        })
    }

    /// The address that the daemon was reached at.
    pub fn host(&self) -> &str {
        &self.0.wire.host.name
    }
    /// The API version that is spoken with it, such as `1.41`.
    pub fn api_version(&self) -> String {
        self.0.api.to_string()
    }

    /// Whether it answers still.
    ///
    /// Errors: as for [`Daemon::connect`]. Options: none.
    pub fn ping(&self, options: &Options, ctx: &Context) -> Task<()> {
        self.asking(options, "daemon ping", ctx, |daemon| async move {
            daemon.0.wire.send(Method::GET, "/_ping", Body::Empty, ANSWER).await?.good(daemon.host()).await?;
            Ok(())
        })
    }
    /// What the daemon tells of itself: `GET /version`, the JSON as it came.
    ///
    /// Errors: `Unavailable` and the like; `LimitExceeded` for answers over 8 MiB. Options: none.
    pub fn version_json(&self, options: &Options, ctx: &Context) -> Task<Bytes> {
        self.asking(options, "daemon version", ctx, |daemon| async move { daemon.get("/version", daemon.host()).await })
    }

    /// Gives an image one more name. An image that had it loses it.
    ///
    /// Errors: `NotFound`; `InvalidArgument` where the reference has no tag. Options: none.
    pub fn tag(&self, name: &str, reference: &Reference, options: &Options, ctx: &Context) -> Task<()> {
        let (name, reference) = (name.to_owned(), reference.clone());
        self.asking(options, "daemon tag", ctx, |daemon| async move { daemon.give_name(&name, &reference).await })
    }
    /// Takes a name away, and with an image's last name the image, as far as nothing is built on it. By id, an image
    /// with several names is not removed.
    ///
    /// Errors: `NotFound`; `InvalidState` where a container or another name uses it. Options: none.
    pub fn remove(&self, name: &str, options: &Options, ctx: &Context) -> Task<()> {
        let name = name.to_owned();
        self.asking(options, "daemon remove", ctx, |daemon| async move {
            let path = format!("/images/{}", escaped(&name)?);
            daemon.ask(Method::DELETE, &path, Body::Empty, WORK, &name).await?.json().await?;
            Ok(())
        })
    }

    async fn give_name(&self, name: &str, reference: &Reference) -> Result<()> {
        let (repository, tag) = named(reference)?;
        let path = format!("/images/{}/tag?repo={}&tag={}", escaped(name)?, query(&repository), query(&tag));
        self.ask(Method::POST, &path, Body::Empty, ANSWER, name).await?.json().await?;
        Ok(())
    }

    /// A call that has no options.
    fn asking<T, F>(
        &self,
        options: &Options,
        call: &str,
        ctx: &Context,
        ask: impl FnOnce(Daemon) -> F + Send + 'static,
    ) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match options.only(call, &[]) {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self.spawn(ctx, |daemon, _| ask(daemon)),
        }
    }
    fn spawn<T, F>(&self, ctx: &Context, work: impl FnOnce(Daemon, Context) -> F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let daemon = self.clone();
        self.0.place.engine.spawn(ctx, |ctx| work(daemon, ctx))
    }

    async fn get(&self, path: &str, subject: &str) -> Result<Bytes> {
        self.ask(Method::GET, path, Body::Empty, ANSWER, subject).await?.json().await
    }
    /// A request below the version's path whose answer is a good one.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
        patience: std::time::Duration,
        subject: &str,
    ) -> Result<Answer> {
        let path = format!("/v{}{path}", self.0.api);
        self.0.wire.send(method, &path, body, patience).await?.good(subject).await
    }
}

/// The version to speak: the wanted one if the daemon has it, else the newest that both know.
async fn negotiate(wire: &Wire, wanted: Option<ApiVersion>) -> Result<ApiVersion> {
    let name = &wire.host.name;
    let ping = wire.send(Method::GET, "/_ping", Body::Empty, ANSWER).await?.good(name).await?;
    let theirs = match ping.header("api-version").map(str::to_owned) {
        Some(text) => text,
        None => {
            #[derive(serde::Deserialize)]
            struct Version {
                #[serde(rename = "ApiVersion")]
                api: String,
            }
            drop(ping);
            let told = wire.send(Method::GET, "/version", Body::Empty, ANSWER).await?.good(name).await?.json().await?;
            let told = serde_json::from_slice::<Version>(&told);
            told.map_err(|_| Error::new(Code::Protocol, "what answers is no Docker-compatible daemon").subject(name))?
                .api
        }
    };
    let theirs = ApiVersion::parse(&theirs).ok_or_else(|| {
        let why = format!("the daemon's API version is no version: '{}'", shown(&theirs));
        Error::new(Code::Protocol, why).subject(name)
    })?;
    if theirs < OLDEST {
        let why = format!("the daemon speaks API {theirs}, and the oldest that is spoken here is {OLDEST}");
        return Err(Error::new(Code::Unsupported, why).subject(name));
    }
    match wanted {
        Some(wanted) if wanted > theirs => {
            let why = format!("DOCKER_API_VERSION is {wanted}, and the daemon speaks {theirs} at most");
            Err(Error::new(Code::Unsupported, why).subject(name))
        }
        Some(wanted) => Ok(wanted),
        None => Ok(theirs.min(NEWEST)),
    }
}

impl ApiVersion {
    fn parse(text: &str) -> Option<ApiVersion> {
        let (major, minor) = text.strip_prefix('v').unwrap_or(text).split_once('.')?;
        Some(ApiVersion(major.parse().ok()?, minor.parse().ok()?))
    }
    /// What DOCKER_API_VERSION says.
    fn wanted(text: &str) -> Result<ApiVersion> {
        let wrong = |code, why: String| Error::new(code, why).subject("DOCKER_API_VERSION");
        let version = ApiVersion::parse(text)
            .ok_or_else(|| wrong(Code::InvalidArgument, format!("not a version: '{}'", shown(text))))?;
        match (OLDEST..=NEWEST).contains(&version) {
            true => Ok(version),
            false => {
                let why = format!("API {version} is asked for, and {OLDEST} to {NEWEST} are spoken here");
                Err(wrong(Code::Unsupported, why))
            }
        }
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Daemon({})", self.host())
    }
}

/// Repository and tag as daemons write them: Docker Hub is `docker.io` there.
fn named(reference: &Reference) -> Result<(String, String)> {
    let tag = reference.tag().ok_or_else(|| invalid("a daemon's names have tags, not digests").subject(reference))?;
    let repository = reference.repository().to_string();
    let repository = match repository.strip_prefix("index.docker.io/") {
        Some(rest) => format!("docker.io/{rest}"),
        None => repository,
    };
    Ok((repository, tag.to_owned()))
}

/// An image's name or id as part of a path.
fn escaped(name: &str) -> Result<String> {
    let odd = |part: &str| matches!(part, "" | "." | "..");
    if name.split('/').any(odd) {
        return Err(invalid("not the name or id of an image").subject(shown(name)));
    }
    Ok(percent(name, "-._~/:@"))
}

fn query(text: &str) -> String {
    percent(text, "-._~")
}

fn percent(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            true => out.push(char::from(byte)),
            false => {
                let _ = write!(out, "%{byte:02X}"); // a String takes everything
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(ApiVersion::parse("1.41"), Some(ApiVersion(1, 41)));
        assert_eq!(ApiVersion::parse("v1.9"), Some(ApiVersion(1, 9)));
        assert!(ApiVersion(1, 9) < ApiVersion(1, 24));
        for bad in ["", "1", "1.", "1.x", "1.2.3", "-1.2"] {
            assert_eq!(ApiVersion::parse(bad), None, "{bad}");
        }
        assert_eq!(ApiVersion::wanted("1.30").unwrap(), ApiVersion(1, 30));
        assert_eq!(ApiVersion::wanted("x").unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(ApiVersion::wanted("1.23").unwrap_err().code(), Code::Unsupported);
        assert_eq!(ApiVersion::wanted("2.0").unwrap_err().code(), Code::Unsupported);
    }

    #[test]
    fn names_in_paths() {
        assert_eq!(escaped("a.b/c-d:e@sha256:1").unwrap(), "a.b/c-d:e@sha256:1");
        assert_eq!(escaped("a b?c#d%\u{e9}").unwrap(), "a%20b%3Fc%23d%25%C3%A9");
        for bad in ["", "/a", "a/", "a//b", "../x", "a/../b", "."] {
            assert_eq!(escaped(bad).unwrap_err().code(), Code::InvalidArgument, "{bad}");
        }
        assert_eq!(query("h:1/a&b"), "h%3A1%2Fa%26b");
    }

    #[test]
    fn names_as_daemons_write_them() {
        let of = |text: &str| named(&Reference::parse(text).unwrap());
        assert_eq!(of("busybox").unwrap(), ("docker.io/library/busybox".into(), "latest".into()));
        assert_eq!(of("localhost:5000/a/b:c").unwrap(), ("localhost:5000/a/b".into(), "c".into()));
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(of(&digest).unwrap_err().code(), Code::InvalidArgument);
    }
}
