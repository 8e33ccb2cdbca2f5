//! Images into a daemon: as one `docker save` archive that is made while it is sent.

use super::http::{Answer, Body, MAX_JSON, WORK, printable};
use super::{Daemon, named};
use crate::archive::{self, ArchiveItem};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::Index;
use crate::name::Reference;
use crate::options::Options;
use crate::stream::{BlobOut, Chunks, Sender, channel, read_file};
use ::http::Method;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// Chunks on their way from the archive to the socket.
const UNDER_WAY: usize = 4;
/// Reports of a load that are kept.
const MAX_REPORTS: usize = 1_000;

impl Daemon {
    /// Gives the daemon an image, under a name if there is one; an image that had the name loses it. Its layers go
    /// from where they lie to the daemon, checked on their way. Where the daemon has an image of this config already,
    /// it only gets the name. Layers of zstd become plain for daemons before Docker 23 (API 1.42). The result is what the daemon said, `Loaded image: …`; nothing where it had the image.
    ///
    /// Errors: those of reading the image; `InvalidArgument` where the reference has no tag; `Unavailable` with the
    /// daemon's words where it failed, even if it called that a success (errors inside a 200). Options: none.
    pub fn load(
        &self,
        image: &Image,
        reference: Option<&Reference>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Vec<String>> {
        let names = reference.map_or(&[][..], std::slice::from_ref);
        self.load_many(&[(image.clone(), names.to_vec())], options, ctx)
    }

    /// As [`Daemon::load`], several images at once: what they share is sent once. Images that the daemon has already
    /// are left out.
    pub fn load_many(&self, images: &[(Image, Vec<Reference>)], options: &Options, ctx: &Context) -> Task<Vec<String>> {
        let images = images.to_vec();
        let prepared = options.only("daemon load", &[]).and_then(|()| {
            let mut names = images.iter().flat_map(|(_, names)| names);
            names.try_for_each(|name| named(name).map(drop))
        });
        match prepared {
            Err(e) => Task::ready(Err(e)),
            Ok(()) => self.spawn(ctx, |daemon, ctx| async move { daemon.take(images, &ctx).await }),
        }
    }

    /// As [`Daemon::load`], the image of an index for the options' platform (linux/amd64 without it): daemons take no
    /// indexes.
    ///
    /// Errors: `NotFound` where the index has no such platform; else as for `load`. Options: platform.
    pub fn load_index(
        &self,
        index: &Index,
        reference: Option<&Reference>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Vec<String>> {
        if let Err(e) = options.only("daemon load index", &["platform"]) {
            return Task::ready(Err(e));
        }
        let platform = options.platform.clone().unwrap_or_default().to_string();
        let (index, reference) = (index.clone(), reference.cloned());
        self.spawn(ctx, |daemon, ctx| async move {
            let image = index.image(&platform, &Options::new(), &ctx).await?;
            daemon.load(&image, reference.as_ref(), &Options::new(), &ctx).await
        })
    }

    /// Gives the daemon an archive as it is, of any kind that the daemon reads. The names in it become the daemon's.
    ///
    /// Errors: `NotFound`, `Io` for the file; else as for [`Daemon::load`]. Options: none.
    pub fn load_archive(&self, path: &Path, options: &Options, ctx: &Context) -> Task<Vec<String>> {
        if let Err(e) = options.only("daemon load archive", &[]) {
            return Task::ready(Err(e));
        }
        let path = path.to_owned();
        self.spawn(ctx, |daemon, ctx| async move {
            let engine = &daemon.0.place.engine;
            let name: Arc<str> = path.to_string_lossy().into();
            let opened = engine.pool().run(move || {
                let file = std::fs::File::open(&path)?;
                let facts = file.metadata()?;
                Ok((file, facts))
            });
            let (file, facts) =
                opened.await?.map_err(|e: std::io::Error| Error::io("opening an archive", &name, &e))?;
            if !facts.is_file() {
                return Err(invalid("not a regular file").subject(&name));
            }
            ctx.expect_bytes(facts.len());
            let chunks = read_file(engine, Arc::new(file), name, 0, facts.len());
            let chunks = chunks.inspect(move |chunk| ctx.count_bytes(chunk.len() as u64));
            daemon.send(Some(facts.len()), chunks).await
        })
    }

    async fn take(&self, images: Vec<(Image, Vec<Reference>)>, ctx: &Context) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for (image, names) in images {
            let id = image.config_holder().descriptor().digest.clone();
            match self.details(id.as_str()).await {
                // An id that only begins alike, or names a manifest, is another image.
                Ok(found) if found.id == id => {
                    for name in &names {
                        self.give_name(id.as_str(), name).await?;
                    }
                }
                Ok(_) => missing.push((image, names)),
                Err(e) if e.code() == Code::NotFound => missing.push((image, names)),
                Err(e) => return Err(e),
            }
        }
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let mut items = Vec::new();
        for (image, names) in missing {
            let image = &self.readable(image, ctx).await?;
            for name in &names {
                // In full: podman would take a short name for one of its own.
                let (repository, tag) = named(name)?;
                items.push(ArchiveItem::image(image, Some(&format!("{repository}:{tag}"))));
            }
            if names.is_empty() {
                items.push(ArchiveItem::image(image, None));
            }
        }
        let (sender, chunks) = channel(UNDER_WAY);
        let mut feed = Feed { sender, gone: false };
        let answering = self.send(None, chunks);
        tokio::pin!(answering);
        let writing = async {
            let written = archive::stream(&self.0.place, &items, &Options::new(), &mut feed, ctx).await;
            (written, feed)
        };
        tokio::select! {
            biased;
            // The daemon may have enough before the end: of a failure it tells at once.
            told = &mut answering => return told,
            (written, feed) = writing => match written {
                Err(_) if feed.gone => {} // nobody reads on: why, the answer tells
                Err(e) => return Err(e),
                Ok(()) => drop(feed.sender.finish().await),
            },
        }
        answering.await
    }

    /// Sends a tar and reads what the daemon says of it.
    async fn send(&self, len: Option<u64>, chunks: Chunks) -> Result<Vec<String>> {
        let answer = self.ask(Method::POST, "/images/load?quiet=1", Body::Tar(len, chunks), WORK, self.host()).await?;
        reports(answer, self.host()).await
    }
}

/// The archive's bytes on their way to the socket.
struct Feed {
    sender: Sender,
    gone: bool,
}

impl BlobOut for Feed {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            let sent = self.sender.send(chunk).await;
            self.gone = sent.is_err();
            sent
        }
        .boxed()
    }
}

/// What a load answers: JSON objects one after the other. An error among them is an error, whatever the status was.
async fn reports(answer: Answer, host: &str) -> Result<Vec<String>> {
    let status = answer.status();
    let mut raw = Vec::new();
    let mut chunks = answer.chunks();
    let broken = loop {
        match chunks.next().await {
            Ok(Some(chunk)) if raw.len() + chunk.len() > MAX_JSON => {
                let why = format!("the daemon's answer is larger than {MAX_JSON} bytes");
                break Some(Error::new(Code::LimitExceeded, why).subject(host));
            }
            Ok(Some(chunk)) => raw.extend_from_slice(&chunk),
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    let (said, failure) = read_reports(&raw);
    if let Some(text) = failure {
        let why = format!("the daemon could not load the image: {text}");
        return Err(Error::new(Code::Unavailable, why).subject(host).http_status(status.as_u16()));
    }
    if let Some(e) = broken {
        return Err(e);
    }
    match said {
        Some(said) if !said.is_empty() => Ok(said),
        // A load that worked is told of, by every daemon.
        _ => {
            let text = printable(&String::from_utf8_lossy(&raw));
            let why = format!("the daemon does not say that it loaded anything: '{text}'");
            Err(Error::new(Code::Protocol, why).subject(host))
        }
    }
}

/// What was said and what went wrong; `None` where it is not made of JSON objects.
fn read_reports(raw: &[u8]) -> (Option<Vec<String>>, Option<String>) {
    #[derive(Deserialize)]
    struct Told {
        #[serde(default)]
        stream: Option<String>,
        #[serde(default)]
        error: Option<String>,
        #[serde(default, rename = "errorDetail")]
        detail: Option<Detail>,
    }
    #[derive(Deserialize)]
    struct Detail {
        #[serde(default)]
        message: Option<String>,
    }
    let mut said = Vec::new();
    for told in serde_json::Deserializer::from_slice(raw).into_iter::<Told>() {
        let Ok(told) = told else { return (None, None) };
        if told.error.is_some() || told.detail.is_some() {
            let text = told.detail.and_then(|d| d.message).or(told.error).unwrap_or_default();
            return (None, Some(printable(&text)));
        }
        let line = told.stream.map(|text| printable(&text)).filter(|text| !text.is_empty());
        if said.len() < MAX_REPORTS {
            said.extend(line);
        }
    }
    (Some(said), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_both_daemons() {
        let of = |text: &str| read_reports(text.as_bytes());
        let said = |lines: &[&str]| (Some(lines.iter().map(|l| (*l).to_owned()).collect()), None);
        assert_eq!(of("{\"stream\":\"Loaded image: app:1\\n\"}\r\n"), said(&["Loaded image: app:1"]));
        assert_eq!(
            of("{\"stream\":\"a\"}{\"status\":\"x\"}\n{\"stream\":\"\\n\"} {\"stream\":\"b\"}"),
            said(&["a", "b"])
        );
        assert_eq!(of(""), said(&[]));
        assert_eq!(of("Loaded"), (None, None));
        let failed = |text: &str| (None, Some(text.to_owned()));
        assert_eq!(
            of(r#"{"stream":"a"}{"errorDetail":{"message":"no\u001b space"},"error":"x"}"#),
            failed("no\u{fffd} space")
        );
        assert_eq!(of(r#"{"error":"bad"}"#), failed("bad"));
        assert_eq!(of(r#"{"errorDetail":{}}"#), failed(""));
        assert_eq!(of(r#"{"error":"bad"}{"stre"#), failed("bad"), "even where the rest is missing");
    }
}
