//! One file of an image: its new content is a layer on top, as a container would have made it.

use super::filesystem::{Placed, place};
use super::windows::in_files;
use crate::builder::ImageBuilder;
use crate::context::Context;
use crate::digest::shown;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::options::Options;
use crate::stream::{Kind, TAR_END, TarEntry, Timestamp, tar_filling};
use crate::writer;
use bytes::Bytes;

/// More than this is no edit, but a layer of its own.
const MAX_FILE: usize = 64 << 20;

impl Image {
    /// This image with another content of the file at `path` (from the root, with or without a leading slash), or
    /// without what is there. Mode, owner and extended attributes of the file that was there stay; a new one is 0644,
    /// root's and of the time 0 or `SOURCE_DATE_EPOCH`. Symbolic links on the way are followed within the image, for which
    /// all layers are read; so is one at `path` itself, as in [`Image::read_file`], unless it is to be removed. The new
    /// layer has the directories above the file as they are. In an image for Windows, the path is that below `Files/`.
    ///
    /// Errors: `InvalidArgument` where the path is none, or there is something else than a file that is to get a
    /// content; `NotFound` where there is nothing to remove; `LimitExceeded` over 64 MiB; `Malformed` and `Unsupported` for
    /// layers that no engine could unpack; those of reading and of the sink. Options: sink, compression.
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
            let Some(mut placed) = place(&image, inside.as_bytes(), data.is_some(), windows, &ctx).await? else {
                return Err(match data {
                    Some(_) => invalid("something above it is no directory").subject(shown(&path)),
                    None => nothing_there(&path),
                });
            };
            if windows {
                placed = below_files(placed, &path)?;
            }
            let above: Vec<u8> = placed.parents.iter().flat_map(TarEntry::encode).collect();
            let entry = entry_for(&path, data.is_none(), placed, i64::try_from(now).unwrap_or(i64::MAX))?;
            let tar = tar_of(above, entry, data.unwrap_or_default());
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

/// The same without `Files/`, which the layer gets as a whole; the directories above are what they are there.
fn below_files(placed: Placed, asked: &str) -> Result<Placed> {
    let outside = || Error::new(Code::Unsupported, "a link leads out of the image's `Files`").subject(shown(asked));
    let path = placed.path.strip_prefix(b"Files/").ok_or_else(outside)?.to_vec();
    Ok(Placed { path, parents: Vec::new(), ..placed })
}

fn nothing_there(path: &str) -> Error {
    Error::new(Code::NotFound, "there is no such file in the image").subject(shown(path))
}

/// `asked` is the path as it was given, which errors name.
fn entry_for(asked: &str, remove: bool, placed: Placed, now: i64) -> Result<TarEntry> {
    let (path, time) = (&placed.path[..], Timestamp { secs: now, nanos: 0 });
    // Only a link leads there: it would hide something instead of making a file.
    if path.split(|b| *b == b'/').any(|part| part.starts_with(b".wh.")) {
        return Err(invalid("a link leads to the path of a whiteout").subject(shown(asked)));
    }
    match (remove, placed.there) {
        (true, None) => Err(nothing_there(asked)),
        (true, Some(_)) => {
            let (dir, name) = path.split_at(path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1));
            Ok(TarEntry::new(Kind::File, &[dir, b".wh.", name].concat(), 0o600, time))
        }
        (false, None) => Ok(TarEntry::new(Kind::File, path, 0o644, time)),
        (false, Some(old)) if matches!(old.kind, Kind::File | Kind::HardLink) => {
            let xattrs = old.pax.iter().filter(|(key, _)| key.starts_with(crate::stream::TAR_XATTR));
            let pax = xattrs.cloned().collect();
            let plain = TarEntry::new(Kind::File, path, old.mode, time);
            Ok(TarEntry { uid: old.uid, gid: old.gid, uname: old.uname, gname: old.gname, pax, ..plain })
        }
        (false, Some(old)) => {
            let what = if old.kind == Kind::Directory { "a directory" } else { "no regular file" };
            Err(invalid(format!("what is there is {what}")).subject(shown(asked)))
        }
    }
}

fn tar_of(above: Vec<u8>, mut entry: TarEntry, data: Bytes) -> Bytes {
    (entry.stored, entry.size) = (data.len() as u64, data.len() as u64);
    [&above[..], &entry.encode()[..], &data, &tar_filling(entry.stored), TAR_END].concat().into()
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
    fn what_is_a_path() {
        assert_eq!(clean("/./etc//passwd").unwrap(), "etc/passwd");
        for bad in ["", "/", "../x", "a/.wh.b"] {
            assert!(clean(bad).is_err(), "{bad}");
        }
    }
}
