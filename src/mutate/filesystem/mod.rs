//! The file system of an image: all its layers as one.
//!
//! * `path`: names of entries, cleaned; what is a whiteout;
//! * `merge`: the layers become one tar as they stream by, `seen` being what it notes of them;
//! * `doubt`: what that can't decide on the way, with the `names` that it takes to decide it later;
//! * `tree`: the exact tree of names, for what needs it;
//! * `flatten`: images of one layer made so;
//! * `files`, `read`: what files there are, and the content of one; `by_toc`: that without reading layers;
//! * `place`: where one path lies, and what is above it;
//! * `keep`: bytes that are kept for later;
//! * `ahead`: a layer is decompressed while the one above it is merged.

mod ahead;
mod by_toc;
mod doubt;
mod files;
mod flatten;
mod keep;
mod merge;
mod names;
mod path;
mod place;
mod read;
mod seen;
#[cfg(test)]
mod tests;
mod tree;

pub use files::{File, FileKind, Files};
pub(crate) use place::{Placed, place};

use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::options::Options;
use crate::reader::Reader;
use crate::stream::{Chunks, channel};
use futures_util::stream::{self, StreamExt};
use merge::{Layers, Out, Wanted, merge};

/// Pieces that wait for whoever reads the tar.
const QUEUE: usize = 2;

impl Image {
    /// The image's file system as one tar: what a container that is made of it sees. Whiteouts are applied, names are
    /// relative to the root, hard links come after their targets, nothing lies behind a symbolic link. The same image
    /// gives the same bytes. Every layer is verified; the stream ends well only if all were right.
    ///
    /// Errors: `Unsupported` where a layer is no file system layer, or has what no file system can hold; while reading,
    /// also `Malformed` for layers that no engine could unpack, and those of reading the layers. Options: none.
    pub fn filesystem(&self, options: &Options, ctx: &Context) -> Task<Reader> {
        if let Err(e) = options.only("filesystem", &[]) {
            return Task::ready(Err(e));
        }
        let image = self.clone();
        let home = self.home().clone();
        self.home().spawn(ctx, |ctx| async move { Ok(Reader::new(home, merged(&image, None, &ctx).await?)) })
    }
}

/// The tar of the whole file system, or of what tells about one path only.
async fn merged(image: &Image, wanted: Option<Wanted>, ctx: &Context) -> Result<Chunks> {
    let layers = layers_of(image, ctx).await?;
    let top = match image.layers().len() {
        0 => None,
        count => Some(layers.open(count as u32 - 1).await?), // what is wrong with it is told at once
    };
    let (sender, chunks) = channel(QUEUE);
    let out = Out::new(sender.clone(), image.home().place().engine.shelf(), wanted);
    let failed = sender;
    let feeding = async move {
        if let Err(e) = merge(layers, top, out).await {
            failed.fail(e).await;
        }
    };
    // Whoever asks for the next chunk drives the merging, too.
    let silent = stream::once(feeding).filter_map(|()| std::future::ready(None));
    Ok(Chunks::from_stream(stream::select(chunks, silent)))
}

/// The layers, if they all are file systems.
async fn layers_of(image: &Image, ctx: &Context) -> Result<Layers> {
    if let Some(other) = image.layers().iter().find(|l| !l.descriptor().media_type.is_layer()) {
        let why = format!("a layer of the type {} is no file system", other.descriptor().media_type);
        return Err(Error::new(Code::Unsupported, why).subject(&other.descriptor().digest));
    }
    let config = image.config_holder();
    let windows = match config.descriptor().media_type.is_config() {
        true => config.get(ctx).await?.doc().os.eq_ignore_ascii_case("windows"),
        false => false,
    };
    Ok(Layers { image: image.clone(), ctx: ctx.clone(), windows })
}
