//! One file of an image: its new content is a layer on top, as a container would have made it.

use super::windows::in_files;
use crate::builder::ImageBuilder;
use crate::context::Context;
use crate::digest::shown;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::options::Options;
use crate::stream::{Kind, TAR_END, TarEntry, TarStream, Timestamp, tar_filling};
use crate::writer;
use bytes::Bytes;
use std::collections::HashSet;

/// More than this is no edit, but a layer of its own.
const MAX_FILE: usize = 64 << 20;

impl Image {
    /// This image with another content of the file at `path` (from the root, with or without a leading slash), or
    /// without what is there. Mode, owner and extended attributes of the file that was there stay; a new one is 0644,
    /// root's and of the time 0 or `SOURCE_DATE_EPOCH`. The layers are searched from the top for the old file. In an
    /// image for Windows, the path is that below `Files/`.
    ///
    /// Errors: `InvalidArgument` where the path is none, or there is something else than a file that is to get a
    /// content; `NotFound` where there is nothing to remove; `LimitExceeded` over 64 MiB; those of reading and of the
    /// sink. Options: sink, compression.
    pub fn edit_file(&self, path: &str, data: Option<Bytes>, options: &Options, ctx: &Context) -> Task<Image> {
        let started = || {
            options.only("edit_file", &["sink", "compression"])?;
            if data.as_ref().is_some_and(|d| d.len() > MAX_FILE) {
                return Err(Error::new(Code::LimitExceeded, format!("a file of more than {MAX_FILE} bytes")));
            }
            Ok((clean(path)?, writer::source_date_epoch()?))
        };
        let (path, now) = match started() {
            Ok(started) => started,
            Err(e) => return Task::ready(Err(e)),
        };
        let (image, options) = (self.clone(), options.clone());
        self.home().clone().spawn(ctx, |ctx| async move {
            let windows = image.config_holder().get(&ctx).await?.platform().is_some_and(|p| p.os == "windows");
            let inside = if windows { in_files(&path) } else { path.clone() };
            let old = find(&image, inside.as_bytes(), &ctx).await?;
            let entry = entry_for(&path, data.is_none(), old, i64::try_from(now).unwrap_or(i64::MAX))?;
            let tar = tar_of(entry, data.unwrap_or_default());
            let layer = match windows {
                true => {
                    let plain = Layer::from_bytes(tar, &Options::new(), &ctx).await?;
                    plain.for_windows(&options, &ctx).await?
                }
                false => Layer::from_bytes(tar, &options, &ctx).await?,
            };
            let mut builder = ImageBuilder::new(&image);
            builder.add_layer(&layer);
            builder.build(&Options::new(), &ctx).await
        })
    }
}

fn entry_for(path: &str, remove: bool, old: Option<TarEntry>, now: i64) -> Result<TarEntry> {
    match (remove, old) {
        (true, None) => Err(Error::new(Code::NotFound, "there is no such file in the image").subject(shown(path))),
        (true, Some(_)) => {
            let (dir, name) = path.rsplit_once('/').map_or(("", path), |(dir, name)| (dir, name));
            let slash = if dir.is_empty() { "" } else { "/" };
            let hides = format!("{dir}{slash}.wh.{name}");
            Ok(TarEntry::new(Kind::File, hides.as_bytes(), 0o600, Timestamp { secs: now, nanos: 0 }))
        }
        (false, None) => Ok(TarEntry::new(Kind::File, path.as_bytes(), 0o644, Timestamp { secs: now, nanos: 0 })),
        (false, Some(old)) if matches!(old.kind, Kind::File | Kind::HardLink) => {
            let xattrs = old.pax.iter().filter(|(key, _)| key.starts_with(crate::stream::TAR_XATTR));
            let pax = xattrs.cloned().collect();
            let plain = TarEntry::new(Kind::File, path.as_bytes(), old.mode, Timestamp { secs: now, nanos: 0 });
            Ok(TarEntry { uid: old.uid, gid: old.gid, uname: old.uname, gname: old.gname, pax, ..plain })
        }
        (false, Some(old)) => {
            let what = if old.kind == Kind::Directory { "a directory" } else { "no regular file" };
            Err(invalid(format!("what is there is {what}")).subject(shown(path)))
        }
    }
}

fn tar_of(mut entry: TarEntry, data: Bytes) -> Bytes {
    (entry.stored, entry.size) = (data.len() as u64, data.len() as u64);
    [&entry.encode()[..], &data, &tar_filling(entry.stored), TAR_END].concat().into()
}

/// The entry that stands for this path in the image's file system: the last one of the highest layer that has one,
/// unless a layer above hides it.
async fn find(image: &Image, path: &[u8], ctx: &Context) -> Result<Option<TarEntry>> {
    let hiding = hiders(path);
    for layer in image.layers().iter().rev() {
        let d = layer.descriptor();
        if !d.media_type.is_distributable() || !d.media_type.is_layer() {
            continue;
        }
        let mut tar = TarStream::new(layer.uncompressed_chunks(ctx, None).await?);
        let (mut found, mut hidden) = (None, false);
        while let Some(entry) = tar.next().await.map_err(|e| e.or_subject(&d.digest))? {
            let name = parts(&entry.name).join(&b'/');
            if name == path {
                found = Some(entry);
            } else if path.strip_prefix(&name[..]).is_some_and(|rest| rest.starts_with(b"/")) {
                // A file in the place of one of its directories.
                hidden |= entry.kind != Kind::Directory;
            } else if path.len() < name.len() && name.starts_with(path) && name[path.len()] == b'/' && found.is_none() {
                // A directory that nobody wrote down, but something is in it.
                found = Some(TarEntry::new(Kind::Directory, path, 0o755, Timestamp::default()));
            } else {
                hidden |= hiding.contains(&name);
            }
        }
        if found.is_some() {
            return Ok(found);
        }
        if hidden {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The names in an upper layer that hide a path in the lower ones (image spec, layer.md, "Whiteouts").
fn hiders(path: &[u8]) -> HashSet<Vec<u8>> {
    let parts = parts(path);
    let mut all = HashSet::from([b".wh..wh..opq".to_vec()]);
    for (i, part) in parts.iter().enumerate() {
        let dir: Vec<u8> = parts[..i].iter().flat_map(|p| [p, &b"/"[..]].concat()).collect();
        all.insert([&dir[..], b".wh.", part].concat());
        if i > 0 {
            all.insert([&dir[..], b".wh..wh..opq"].concat());
        }
    }
    all
}

fn parts(name: &[u8]) -> Vec<&[u8]> {
    name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect()
}

fn clean(path: &str) -> Result<String> {
    let wrong = |why: &str| Err(invalid(format!("the path {why}")).subject(shown(path)));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    match parts.last() {
        None => wrong("is empty"),
        Some(_) if path.contains('\0') => wrong("has a NUL"),
        Some(_) if parts.contains(&"..") => wrong("has a `..`"),
        Some(last) if last.starts_with(".wh.") => wrong("is that of a whiteout"),
        Some(_) => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_a_path() {
        let hiders = hiders(b"a/b/c");
        for name in [".wh.a", "a/.wh.b", "a/b/.wh.c", ".wh..wh..opq", "a/.wh..wh..opq", "a/b/.wh..wh..opq"] {
            assert!(hiders.contains(name.as_bytes()), "{name}");
        }
        assert_eq!(hiders.len(), 6);
        assert_eq!(clean("/./etc//passwd").unwrap(), "etc/passwd");
        for bad in ["", "/", "../x", "a/.wh.b"] {
            assert!(clean(bad).is_err(), "{bad}");
        }
    }
}
