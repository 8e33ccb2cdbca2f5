//! What is different between two images, indexes or layers: everything, each difference with the field that it is in.
//!
//! A difference is a finding with the code `DIGEST_MISMATCH`; its subject is the field (`config.config.Env[2]`), its
//! message what either has there.

mod files;
mod json;

use crate::context::Context;
use crate::digest::shown;
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, NODES, too_deep};
use crate::layer::Layer;
use crate::oci::Descriptor;
use crate::options::Options;
use crate::report::Report;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use json::Parts;
use serde_json::Value;
use serde_json::value::RawValue;

/// Differences that are told, at most.
const MOST: usize = 10_000;

/// Every difference between two images: in their manifests, configs, and layers. Options: files (layers that differ
/// are compared file by file).
///
/// Errors: those of reading the configs, and the layers where that is asked for.
pub fn compare_images(a: &Image, b: &Image, options: &Options, ctx: &Context) -> Task<Report> {
    let (a, b, files) = (a.clone(), b.clone(), options.files);
    match options.only("comparing images", &["files"]) {
        Err(e) => Task::ready(Err(e)),
        Ok(()) => a.home().clone().spawn(ctx, |ctx| async move {
            let mut found = Differences::default();
            found.images("", &a, &b, files, &ctx).await?;
            Ok(found.report)
        }),
    }
}

/// Every difference between two indexes, and between the images below them that have the same platform or place.
/// Options: files.
pub fn compare_indexes(a: &Index, b: &Index, options: &Options, ctx: &Context) -> Task<Report> {
    let (a, b, files) = (a.clone(), b.clone(), options.files);
    match options.only("comparing indexes", &["files"]) {
        Err(e) => Task::ready(Err(e)),
        Ok(()) => a.home().clone().spawn(ctx, |ctx| async move {
            let mut found = Differences::default();
            found.indexes("", &a, &b, files, &ctx, 0).await?;
            Ok(found.report)
        }),
    }
}

/// Every difference between two layers: media type, digest, size and diff id. Options: files.
pub fn compare_layers(a: &Layer, b: &Layer, options: &Options, ctx: &Context) -> Task<Report> {
    let (a, b, files) = (a.clone(), b.clone(), options.files);
    match options.only("comparing layers", &["files"]) {
        Err(e) => Task::ready(Err(e)),
        Ok(()) => a.home().clone().spawn(ctx, |ctx| async move {
            let mut found = Differences::default();
            found.descriptors("", a.descriptor(), b.descriptor());
            if a.descriptor().digest != b.descriptor().digest {
                let (one, other) = (a.find_diff_id(&ctx).await?, b.find_diff_id(&ctx).await?);
                if one != other {
                    found.add("diff_id", one, other);
                }
                if files && one != other {
                    found.files("", &a, &b, &ctx).await?;
                }
            }
            Ok(found.report)
        }),
    }
}

#[derive(Default)]
struct Differences {
    report: Report,
    nodes: usize,
}

impl Differences {
    fn add(&mut self, field: impl ToString, a: impl ToString, b: impl ToString) {
        self.tell(field, format!("{} against {}", a.to_string(), b.to_string()));
    }

    fn tell(&mut self, field: impl ToString, message: String) {
        match self.report.findings().len() {
            n if n < MOST => self.report.add(Code::DigestMismatch, field, message),
            MOST => self.report.add(Code::LimitExceeded, field, format!("more than {MOST} differences")),
            _ => {}
        }
    }

    fn descriptors(&mut self, at: &str, a: &Descriptor, b: &Descriptor) {
        if a.digest != b.digest {
            self.add(format!("{at}digest"), &a.digest, &b.digest);
        }
        if a.media_type != b.media_type {
            self.add(format!("{at}mediaType"), &a.media_type, &b.media_type);
        }
        if a.size != b.size {
            self.add(format!("{at}size"), a.size, b.size);
        }
    }

    async fn images(&mut self, at: &str, a: &Image, b: &Image, files: bool, ctx: &Context) -> Result<()> {
        self.descriptors(at, a.descriptor(), b.descriptor());
        if a.digest() == b.digest() {
            return Ok(());
        }
        self.documents(&format!("{at}manifest"), a.manifest().raw(), b.manifest().raw());
        if a.manifest().config().digest != b.manifest().config().digest {
            let (one, other) = (a.config_holder().raw(ctx).await?, b.config_holder().raw(ctx).await?);
            self.documents(&format!("{at}config"), &one, &other);
        }
        if !files {
            return Ok(());
        }
        for (i, (one, other)) in a.layers().iter().zip(b.layers()).enumerate() {
            if one.descriptor().digest != other.descriptor().digest {
                self.files(&format!("{at}layers[{i}]"), one, other, ctx).await?;
            }
        }
        Ok(())
    }

    fn indexes<'a>(
        &'a mut self,
        at: &'a str,
        a: &'a Index,
        b: &'a Index,
        files: bool,
        ctx: &'a Context,
        depth: usize,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            self.descriptors(at, a.descriptor(), b.descriptor());
            if a.digest() == b.digest() {
                return Ok(());
            }
            if depth >= DEPTH {
                return Err(too_deep().subject(a.digest()));
            }
            self.documents(&format!("{at}index"), a.manifest().raw(), b.manifest().raw());
            for (i, one, other) in pairs(a.manifest().manifests(), b.manifest().manifests()) {
                self.nodes += 1;
                if self.nodes > NODES {
                    let why = format!("more than {NODES} manifests below one index");
                    return Err(Error::new(Code::LimitExceeded, why).subject(a.digest()));
                }
                let at = format!("{at}manifests[{i}].");
                match (a.read(ctx, one).await?, b.read(ctx, other).await?) {
                    (Child::Image(one), Child::Image(other)) => self.images(&at, &one, &other, files, ctx).await?,
                    (Child::Index(one), Child::Index(other)) => {
                        self.indexes(&at, &one, &other, files, ctx, depth + 1).await?;
                    }
                    _ => {} // their media types differ, which was told
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// Two documents, member by member where they are JSON.
    fn documents(&mut self, at: &str, a: &[u8], b: &[u8]) {
        if a == b {
            return;
        }
        let before = self.report.findings().len();
        match (serde_json::from_slice(a), serde_json::from_slice(b)) {
            (Ok(one), Ok(other)) => self.values(at, one, other, 0),
            _ => self.tell(at, "other bytes, and not all of it is JSON".into()),
        }
        if self.report.findings().len() == before {
            self.tell(at, "the same values, written in other bytes".into());
        }
    }

    /// Values are compared as they are written: a number in a machine's form may be another one's, too.
    fn values(&mut self, at: &str, a: &RawValue, b: &RawValue, depth: usize) {
        if a.get() == b.get() {
            return;
        }
        match (json::parts(a, depth), json::parts(b, depth)) {
            (Parts::Object(one), Parts::Object(other)) => {
                for (key, value) in &one {
                    match other.get(key) {
                        Some(theirs) => self.values(&member(at, key), value, theirs, depth + 1),
                        None => self.tell(member(at, key), format!("{} against nothing", brief(value.get()))),
                    }
                }
                for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                    self.tell(member(at, key), format!("nothing against {}", brief(value.get())));
                }
            }
            (Parts::List(one), Parts::List(other)) => {
                for i in 0..one.len().max(other.len()) {
                    let at = format!("{at}[{i}]");
                    match (one.get(i), other.get(i)) {
                        (Some(a), Some(b)) => self.values(&at, a, b, depth + 1),
                        (Some(a), None) => self.tell(at, format!("{} against nothing", brief(a.get()))),
                        (None, Some(b)) => self.tell(at, format!("nothing against {}", brief(b.get()))),
                        (None, None) => {}
                    }
                }
            }
            (Parts::String(one), Parts::String(other)) if one == other => {}
            (Parts::Plain(one), Parts::Plain(other)) if json::same_number(one, other) => {}
            _ => self.add(at, brief(a.get()), brief(b.get())),
        }
    }
}

/// Entries that are to be compared, with their place in the first index: those of the same platform, else those in the
/// same place. What is in both needs no comparing.
fn pairs<'a>(a: &'a [Descriptor], b: &'a [Descriptor]) -> Vec<(usize, &'a Descriptor, &'a Descriptor)> {
    let can_be_read = |d: &Descriptor| d.media_type.is_image() || d.media_type.is_index();
    let known = |list: &[Descriptor], d: &Descriptor| list.iter().any(|x| x.digest == d.digest);
    let mut left: Vec<Option<&Descriptor>> =
        b.iter().map(|d| Some(d).filter(|d| can_be_read(d) && !known(a, d))).collect();
    let mut found = Vec::new();
    for (i, one) in a.iter().enumerate().filter(|(_, d)| can_be_read(d) && !known(b, d)) {
        let alike = |d: &Descriptor| d.media_type.is_index() == one.media_type.is_index();
        let same = |d: &Descriptor| alike(d) && d.platform.is_some() && d.platform == one.platform;
        let j = left.iter().position(|d| d.is_some_and(same));
        let j = j.or_else(|| left.get(i).copied().flatten().filter(|d| alike(d)).map(|_| i));
        if let Some(other) = j.and_then(|j| left[j].take()) {
            found.push((i, one, other));
        }
    }
    found
}

fn member(at: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{at}.{key}") } else { format!("{at}[{}]", brief(&Value::from(key).to_string())) }
}

/// The text of a value, on one line and not too long.
fn brief(text: &str) -> String {
    let line = text.split(['\n', '\r', '\t']).map(|part| part.trim_matches(' ')).collect::<String>();
    let cut = if line.chars().count() > 256 { "…" } else { "" };
    format!("{}{cut}", shown(&line))
}
