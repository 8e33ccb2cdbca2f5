//! An image out of a daemon: a `docker save` archive, kept in one file without a name as long as the image is.

use super::http::{Body, WORK, printable};
use super::{Daemon, ImageDetails, escaped};
use crate::archive::{Archive, check_tars_stay};
use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result};
use crate::image::Image;
use crate::options::Options;
use crate::stream::Chunks;
use ::http::Method;
use serde::Deserialize;

/// How much of an archive's end is looked at for an error.
const TAIL: usize = 4 << 10;

impl Daemon {
    /// An image of the daemon, by name or id. All of it is read now, into a file without a name in the directory for
    /// temporary files, which is gone with the last value that reads it. The config is the daemon's, byte for byte,
    /// and checked against the image's id. The layers are plain tars and the manifest over them is made here, with
    /// Docker's media types unless the option format says otherwise; with a sink or a compression the layers are
    /// compressed on the way.
    ///
    /// Errors: `NotFound`; `Unavailable` with the daemon's words; `DigestMismatch` where the archive holds another
    /// image; `Malformed` where it is none; `Unsupported` for eStargz, which [`Image::recompress`] makes; `Io` for the
    /// disk. Options: format, sink, compression.
    pub fn image(&self, name: &str, options: &Options, ctx: &Context) -> Task<Image> {
        let read = options.only("daemon image", &["format", "sink", "compression"]);
        if let Err(e) = read.and_then(|()| check_tars_stay(options)) {
            return Task::ready(Err(e));
        }
        let (name, options) = (name.to_owned(), options.clone());
        self.spawn(ctx, |daemon, ctx| async move {
            // By id from here on: a name may mean another image in a moment.
            let known = daemon.details(&name).await?;
            let path = format!("/images/{}/get", escaped(known.id.as_str())?);
            let answer = daemon.ask(Method::GET, &path, Body::Empty, WORK, &name).await?;
            if let Some(len) = answer.len() {
                ctx.expect_bytes(len);
            }
            let chunks = checked_at_end(answer.chunks(), daemon.host());
            let archive = Archive::from_chunks(&daemon.0.place, chunks, &name, &ctx).await?;
            let image = archive.image(None, &options, &ctx).await?;
            check(&image, &known, &options).map_err(|e| e.subject(&name))?;
            Ok(image)
        })
    }
}

/// That the archive held what the daemon calls by this id.
fn check(image: &Image, known: &ImageDetails, options: &Options) -> Result<()> {
    let made_anew = options.format.is_some() || options.sink.is_some() || options.compression.is_some();
    let sent = match &known.kept {
        None => &image.config_holder().descriptor().digest,
        // An index's id says nothing of the one image that came; nor does a manifest's, if ours is another.
        Some(kept) if kept.is_index() || made_anew => return Ok(()),
        Some(_) => image.digest(),
    };
    match *sent == known.id {
        true => Ok(()),
        false => Err(Error::new(Code::DigestMismatch, format!("the daemon calls it {}, and sent {sent}", known.id))),
    }
}

/// The same archive, which fails where the daemon did: then it ends it with a report in JSON, under the status 200.
fn checked_at_end(chunks: Chunks, host: &str) -> Chunks {
    Chunks::unfold((chunks, Vec::new(), host.to_owned()), |(mut chunks, mut tail, host)| async move {
        if let Some(chunk) = chunks.next().await? {
            tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL)..]);
            tail.drain(..tail.len().saturating_sub(TAIL));
            return Ok(Some((chunk, (chunks, tail, host))));
        }
        match report_at_end(&tail) {
            Some(text) => {
                let why = format!("the daemon could not save the image: {text}");
                Err(Error::new(Code::Unavailable, why).subject(host))
            }
            None => Ok(None),
        }
    })
}

/// The error that an archive ends with; a whole one ends with zeros.
fn report_at_end(tail: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        #[serde(rename = "errorDetail")]
        _detail: serde::de::IgnoredAny,
        error: String,
    }
    let start = b"{\"errorDetail\":";
    let at = tail.windows(start.len()).rposition(|w| w == start)?;
    let told = serde_json::from_slice::<Told>(tail[at..].trim_ascii()).ok()?;
    Some(printable(&told.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_after_half_an_archive_is_seen() {
        let mut tail = vec![1; 600];
        tail.extend(b"{\"errorDetail\":{\"message\":\"disk gone\"},\"error\":\"disk gone\"}\r\n");
        assert_eq!(report_at_end(&tail).as_deref(), Some("disk gone"));
        tail.extend([0; 1024]);
        assert_eq!(report_at_end(&tail), None, "a file of a layer may say so");
        assert_eq!(report_at_end(&[0; 1024]), None);
        assert_eq!(report_at_end(b""), None);
    }
}
