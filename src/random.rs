//! Layers, images and indexes of random content: the same seed gives the same bytes, on every machine.

use crate::builder::ImageBuilder;
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Result, invalid};
use crate::image::Image;
use crate::index::Index;
use crate::layer::Layer;
use crate::oci::Platform;
use crate::options::{Format, Options};
use crate::source::{Home, Place};
use crate::stream::Compression;
use crate::writer::make;
use std::io::Read;
use std::sync::Arc;

/// Layers of one random image, and images of one random index, at most.
pub const MOST: u32 = 1000;

impl Layer {
    /// A layer with one file of `size` random bytes. It is not compressed unless the options say so.
    ///
    /// Errors: those of the sink. Options: sink, compression.
    pub fn random(size: u64, seed: u64, options: &Options, ctx: &Context) -> Task<Layer> {
        let mut options = options.clone();
        let mut compression = options.compression.unwrap_or_default();
        compression.kind.get_or_insert(Compression::None);
        options.compression = Some(compression);
        make(Arc::new(move || Ok(Box::new(RandomTar::new(size, seed)?))), None, &options, ctx)
    }
}

impl Image {
    /// An image of so many random layers, for linux/amd64.
    ///
    /// Errors: `InvalidArgument`: more than [`MOST`] layers; those of the sink. Options: format, sink, compression.
    pub fn random(layers: u32, layer_size: u64, seed: u64, options: &Options, ctx: &Context) -> Task<Image> {
        match start("a random image", &[layers], options) {
            Err(e) => Task::ready(Err(e)),
            Ok(home) => {
                let options = options.clone();
                let alive = home.clone();
                home.spawn(ctx, |ctx| async move {
                    let made = image(layers, layer_size, seed, &options, &ctx).await;
                    drop(alive); // until here nothing else may keep the engine
                    made
                })
            }
        }
    }
}

impl Index {
    /// An index of so many random images. Options: as for [`Image::random`].
    pub fn random(
        images: u32,
        layers: u32,
        layer_size: u64,
        seed: u64,
        options: &Options,
        ctx: &Context,
    ) -> Task<Index> {
        match start("a random index", &[images, layers], options) {
            Err(e) => Task::ready(Err(e)),
            Ok(home) => {
                let options = options.clone();
                let alive = home.clone();
                home.spawn(ctx, |ctx| async move {
                    let _alive = alive;
                    let mut made = Vec::new();
                    for i in 0..u64::from(images) {
                        made.push(image(layers, layer_size, mixed(seed, i), &options, &ctx).await?);
                    }
                    Index::of_images(options.format.unwrap_or(Format::Oci), &made)
                })
            }
        }
    }
}

fn start(call: &str, counts: &[u32], options: &Options) -> Result<Home> {
    options.only(call, &["format", "sink", "compression"])?;
    if counts.iter().any(|count| *count > MOST) {
        return Err(invalid(format!("{call} of more than {MOST} parts")));
    }
    Ok(Home::Local(Place::here()?))
}

async fn image(layers: u32, layer_size: u64, seed: u64, options: &Options, ctx: &Context) -> Result<Image> {
    let (mut of_layers, mut of_image) = (options.clone(), Options::new());
    of_image.format = of_layers.format.take();
    let mut builder = ImageBuilder::from_scratch();
    builder.set_platform(&Platform::new("linux", "amd64"));
    for i in 0..u64::from(layers) {
        builder.add_layer(&Layer::random(layer_size, mixed(seed, i), &of_layers, ctx).await?);
        builder.set_history("random", "", &format!("random layer {} of {layers}", i + 1), None)?;
    }
    builder.build(&of_image, ctx).await
}

/// A seed for each part of a whole.
fn mixed(seed: u64, i: u64) -> u64 {
    Stream(seed ^ i.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95)).next()
}

/// Random numbers: SplitMix64 (Steele, Lea, Flood 2014).
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A tar of one file.
struct RandomTar {
    numbers: Stream,
    header: Vec<u8>,
    content: u64,
    zeros: u64,
}

impl RandomTar {
    fn new(size: u64, seed: u64) -> Result<RandomTar> {
        const LARGEST: u64 = 1 << 50;
        if size > LARGEST {
            return Err(invalid(format!("a random file of more than {LARGEST} bytes")));
        }
        let mut numbers = Stream(seed);
        let mut header = tar::Header::new_gnu();
        header
            .set_path(format!("random_file_{}.txt", numbers.next()))
            .map_err(|e| invalid("the name of a random file").cause(e.into()))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        let zeros = (512 - size % 512) % 512 + 1024;
        Ok(RandomTar { numbers, header: header.as_bytes().to_vec(), content: size, zeros })
    }
}

impl Read for RandomTar {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let room = &mut buf[done..];
            let n = if !self.header.is_empty() {
                let n = room.len().min(self.header.len());
                room[..n].copy_from_slice(&self.header[..n]);
                self.header.drain(..n);
                n
            } else if self.content > 0 {
                self.fill(room)
            } else {
                let n = room.len().min(usize::try_from(self.zeros).unwrap_or(usize::MAX));
                room[..n].fill(0);
                self.zeros -= n as u64;
                n
            };
            if n == 0 {
                break;
            }
            done += n;
        }
        Ok(done)
    }
}

impl RandomTar {
    /// Whole numbers only: what is left of one that does not fit is kept for the next call.
    fn fill(&mut self, room: &mut [u8]) -> usize {
        let mut done = 0;
        while done < room.len() && self.content > 0 {
            let number = self.numbers.next().to_le_bytes();
            let wanted = usize::try_from(self.content).unwrap_or(usize::MAX).min(8);
            let n = wanted.min(room.len() - done);
            room[done..done + n].copy_from_slice(&number[..n]);
            self.header.extend_from_slice(&number[n..wanted]); // it comes before what else there is
            self.content -= wanted as u64;
            done += n;
        }
        done
    }
}
