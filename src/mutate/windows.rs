//! Layers as Windows images have them: all files below `Files/`, the registry's changes below `Hives/`.

use super::time::keeping;
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Result, invalid, malformed};
use crate::layer::Layer;
use crate::oci::{Descriptor, MediaType};
use crate::options::Options;
use crate::source::Home;
use crate::stream::{Kind, TarEntry, TarStream, Timestamp, Verdict, rewritten};
use crate::writer;
use bytes::Bytes;

const FILES: &str = "Files";
const HIVES: &str = "Hives";
/// The PAX record with a file's security descriptor, and one that says: owner and group are the users of the machine.
const SECURITY: &str = "MSWINDOWS.rawsd";
const USERS: &str = "AQAAgBQAAAAkAAAAAAAAAAAAAAABAgAAAAAABSAAAAAhAgAAAQIAAAAAAAUgAAAAIQIAAA==";

impl Layer {
    /// This layer in the form that Windows images want: directories `Files` and `Hives`, every entry below `Files/`,
    /// with an owner that Windows knows, hard links pointing there, too. Streaming; the kind of compression and of
    /// media type stays. A layer whose first entry is in this form already is given back.
    ///
    /// Errors: `InvalidArgument` where only some entries are in this form; `Malformed` where it is no tar, or an entry's
    /// name leads out of the root; those of reading and of the sink. Options: sink, compression (by default the
    /// layer's own).
    pub fn for_windows(&self, options: &Options, ctx: &Context) -> Task<Layer> {
        let started = options.only("for_windows", &["sink", "compression"]);
        let (home, options) = match started.and_then(|()| writer::begin_change("for_windows", options)) {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        let layer = self.clone();
        self.home().clone().spawn(ctx, |ctx| async move { for_windows(&layer, &home, &options, &ctx).await })
    }
}

async fn for_windows(layer: &Layer, home: &Home, options: &Options, ctx: &Context) -> Result<Layer> {
    let mut tar = TarStream::new(layer.uncompressed_chunks(ctx, None).await?);
    let first = tar.next().await.map_err(|e| e.or_subject(&layer.descriptor().digest))?;
    if let Some(first) = first
        && is_there(&clean(&first.name).unwrap_or_default())
    {
        return Ok(layer.clone());
    }
    drop(tar);
    let options = keeping(layer, options, ctx).await?;
    let open = || async move {
        let tar = layer.uncompressed_chunks(ctx, None).await?;
        Ok(rewritten(tar, [directory(FILES).encode(), directory(HIVES).encode()].concat(), below_files))
    };
    let made =
        writer::layer_of(home, &options, ctx, open).await.map_err(|e| e.or_subject(&layer.descriptor().digest))?;
    let new = made.descriptor();
    let docker = layer.descriptor().media_type.is_docker() && new.media_type != MediaType::OCI_LAYER_ZSTD;
    let media_type = if docker { new.media_type.to_docker() } else { new.media_type.clone() };
    Ok(made.with_descriptor(Descriptor { media_type, ..new.clone() }, None))
}

fn below_files(entry: &mut TarEntry) -> Result<Verdict> {
    let name = clean(&entry.name).map_err(|e| e.or_subject(entry.shown()))?;
    if name.is_empty() {
        return Ok(Verdict::Drop); // the root: it is `Files` now
    }
    if is_there(&name) {
        let why = "some entries of the layer are below Files or Hives already, and others are not";
        return Err(invalid(why).subject(entry.shown()));
    }
    entry.name = prefixed(&name);
    if entry.kind == Kind::HardLink {
        entry.link = prefixed(&clean(&entry.link).map_err(|e| e.or_subject(entry.shown()))?);
    }
    if entry.pax(SECURITY).is_none() {
        entry.pax.push((Bytes::from_static(SECURITY.as_bytes()), Bytes::from_static(USERS.as_bytes())));
    }
    Ok(Verdict::Keep)
}

fn prefixed(name: &[u8]) -> Vec<u8> {
    [FILES.as_bytes(), b"/", name].concat()
}

fn is_there(name: &[u8]) -> bool {
    [FILES, HIVES].iter().any(|root| name.strip_prefix(root.as_bytes()).is_some_and(|r| r.is_empty() || r[0] == b'/'))
}

/// A name from the root, without what means nothing.
fn clean(name: &[u8]) -> Result<Vec<u8>> {
    let parts: Vec<&[u8]> = name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err(malformed("the name of an entry has a `..`"));
    }
    Ok(parts.join(&b'/'))
}

fn directory(name: &str) -> TarEntry {
    TarEntry::new(Kind::Directory, name.as_bytes(), 0o555, Timestamp::default())
}

/// How a file is called in a layer of Windows.
pub(super) fn in_files(path: &str) -> String {
    if is_there(path.as_bytes()) { path.to_owned() } else { format!("{FILES}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(clean(b"./a//b/.").unwrap(), b"a/b");
        assert_eq!(clean(b"/").unwrap(), b"");
        assert!(clean(b"a/../../b").is_err());
        assert!(is_there(b"Files") && is_there(b"Hives/x") && !is_there(b"Filesystem/x"));
        assert_eq!(in_files("a"), "Files/a");
    }
}
