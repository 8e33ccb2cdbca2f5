//! The image for a platform, wherever below an index it is: one walk for all who ask for one.
//!
//! Entries are looked at in their order, and what a nested index names in the place of that index; one whose entry says
//! that it is for something else is passed by. Of the images that run where they shall, the one that fits best is
//! meant: the very variant before lower ones, and the first of equals. One of which neither its entry nor that of an
//! index around it says what it runs on is taken for `linux/amd64`, as in the reference, after all those that do.

use crate::context::Context;
use crate::digest::{Digest, shown};
use crate::error::{Code, Error, Result, malformed};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, NODES, too_deep};
use crate::oci::{Descriptor, Platform};
use std::collections::HashSet;

/// Added to the rank of what doesn't say what it runs on; more than any other rank.
const ASSUMED: u32 = 1 << 20;
/// How many platforms a message lists.
const MAX_LISTED: usize = 20;

impl Index {
    /// The image for a platform; see the module. Errors: `NotFound`, with the platforms that there are.
    pub(crate) async fn image_for(&self, ctx: &Context, wanted: &Platform) -> Result<Image> {
        let (index, entry) = self.entry_for(ctx, wanted).await?;
        match index.read(ctx, &entry).await? {
            Child::Image(image) => Ok(image),
            Child::Index(_) => Err(malformed("this is an index, where an image was named").subject(&entry.digest)),
        }
    }

    /// The entry of that image, and the index that it is in.
    pub(crate) async fn entry_for(&self, ctx: &Context, wanted: &Platform) -> Result<(Index, Descriptor)> {
        let mut best: Option<(u32, Index, Descriptor)> = None;
        let (mut there, mut nodes): (Vec<Platform>, usize) = (Vec::new(), 0);
        let (mut missing, mut seen): (Option<Error>, HashSet<Digest>) = (None, HashSet::new());
        let mut levels = vec![Level { index: self.clone(), next: 0, said: None }];
        while let Some(level) = levels.last_mut() {
            let Some(entry) = level.index.manifest().manifests().get(level.next) else {
                levels.pop();
                continue;
            };
            let (mut entry, index) = (entry.clone(), level.index.clone());
            level.next += 1;
            nodes += 1;
            if nodes > NODES {
                return Err(Error::new(Code::LimitExceeded, format!("more than {NODES} manifests below one index")));
            }
            let said = entry.platform.clone().or_else(|| level.said.clone());
            there.extend(entry.platform.clone());
            let unsaid = entry.media_type.is_empty();
            let is_index = entry.media_type.is_index();
            if !(is_index || unsaid || entry.media_type.is_image())
                || said.as_ref().is_some_and(|p| !p.satisfies(wanted))
            {
                continue;
            }
            // What it is may only be known when it was read.
            if (is_index || unsaid) && seen.insert(entry.digest.clone()) {
                match index.read(ctx, &entry).await {
                    Ok(Child::Index(nested)) if levels.len() < DEPTH => {
                        levels.push(Level { index: nested, next: 0, said });
                        continue;
                    }
                    Ok(Child::Index(_)) => return Err(too_deep()),
                    Ok(Child::Image(image)) => entry.media_type = image.manifest().media_type().clone(),
                    // An index may name more than is there, and what is meant lies elsewhere.
                    Err(e) if e.code() == Code::NotFound => {
                        missing.get_or_insert(e);
                    }
                    Err(e) => return Err(e),
                }
            }
            if !entry.media_type.is_image() {
                continue;
            }
            let rank = match &said {
                Some(platform) => platform.rank(wanted),
                None => Platform::default().rank(wanted).map(|rank| rank + ASSUMED),
            };
            match (rank, &best) {
                (Some(0), _) => return Ok((index, entry)),
                (Some(rank), Some((so_far, ..))) if rank >= *so_far => {}
                (Some(rank), _) => best = Some((rank, index, entry)),
                (None, _) => {}
            }
        }
        match (best, missing) {
            (Some((_, index, entry)), _) => Ok((index, entry)),
            (None, Some(missing)) => Err(missing),
            (None, None) => Err(no_image_for(wanted, "the index", &there)),
        }
    }
}

/// An index on the way down, and which of its entries comes next.
struct Level {
    index: Index,
    next: usize,
    /// What the entry of this index, or that of one around it, says that all of it runs on.
    said: Option<Platform>,
}

/// That nothing fits, and what there is instead.
pub(crate) fn no_image_for(wanted: &Platform, place: &str, there: &[Platform]) -> Error {
    let mut names: Vec<String> = Vec::new();
    for name in there.iter().map(Platform::to_string) {
        if !name.is_empty() && name != "unknown/unknown" && !names.contains(&name) {
            names.push(name);
        }
    }
    let more = if names.len() > MAX_LISTED { ", …" } else { "" };
    names.truncate(MAX_LISTED);
    let there = if names.is_empty() { "none that says its platform".into() } else { shown(&names.join(", ")) };
    Error::new(Code::NotFound, format!("there is no image for {wanted} in {place}, but {there}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Children;
    use crate::oci::{IndexManifest, Manifest, MediaType};
    use crate::source::{Home, Place};
    use bytes::Bytes;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use std::collections::HashMap;
    use std::sync::Arc;

    /// What is below an index, by digest.
    #[derive(Clone, Default)]
    struct Below(HashMap<Digest, Bytes>);

    impl Children for Below {
        fn manifest<'a>(&'a self, _: &'a Context, child: &'a Descriptor) -> BoxFuture<'a, Result<Bytes>> {
            let missing = || Error::new(Code::NotFound, "not there").subject(&child.digest);
            std::future::ready(self.0.get(&child.digest).cloned().ok_or_else(missing)).boxed()
        }
        fn image(&self, _: Descriptor, _: Manifest) -> Image {
            Image::empty(crate::options::Format::Oci).unwrap()
        }
    }

    /// An entry of an image, named by a number, for a platform (empty: none said).
    fn image(number: u8, platform: &str) -> Descriptor {
        entry(Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(&[number]), 1), platform)
    }
    fn entry(mut entry: Descriptor, platform: &str) -> Descriptor {
        entry.platform = platform.parse().ok();
        entry
    }
    fn manifest(entries: &[Descriptor]) -> IndexManifest {
        let mut edit = IndexManifest::empty(true).edit();
        entries.iter().for_each(|d| edit.append(d.clone()));
        edit.finish().unwrap()
    }
    impl Below {
        fn index(&mut self, platform: &str, entries: &[Descriptor]) -> Descriptor {
            let made = manifest(entries);
            self.0.insert(made.descriptor().digest, made.raw().clone());
            entry(made.descriptor(), platform)
        }
        /// The number of the image that is meant.
        fn picked(&self, entries: &[Descriptor], wanted: &str) -> Result<u8> {
            let (root, home) = (manifest(entries), Home::Local(Place::here()?));
            let index = Index::new(root.descriptor(), root, Arc::new(self.clone()), home.clone());
            let wanted: Platform = wanted.parse()?;
            let found =
                home.spawn(&Context::new(), |ctx| async move { index.entry_for(&ctx, &wanted).await.map(|(_, d)| d) });
            let digest = found.wait()?.digest;
            Ok((0..=255).find(|n| Digest::sha256(&[*n]) == digest).unwrap())
        }
    }

    /// Of images for these platforms, the place of the one that is meant.
    fn picked(platforms: &[&str], wanted: &str) -> Option<u8> {
        let entries: Vec<_> = platforms.iter().enumerate().map(|(i, p)| image(i as u8, p)).collect();
        Below::default().picked(&entries, wanted).ok()
    }

    #[test]
    fn the_best_is_picked() {
        let arm = ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"];
        assert_eq!(picked(&arm, "linux/amd64"), Some(4));
        assert_eq!(picked(&arm, "linux/arm"), Some(2));
        assert_eq!(picked(&arm, "linux/arm/v6"), Some(1));
        assert_eq!(picked(&arm, "linux/arm/v8"), Some(2));
        assert_eq!(picked(&arm[..2], "linux/arm/v7"), Some(1));
        assert_eq!(picked(&arm[1..], "linux/arm/v5"), None);
        assert_eq!(picked(&arm, "linux/arm64"), Some(3));
        assert_eq!(picked(&arm, "linux/aarch64/v9"), Some(3));
        assert_eq!(picked(&["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"], "linux/amd64"), Some(2));
        assert_eq!(picked(&["linux/amd64/v3", "linux/amd64/v2"], "linux/x86_64"), Some(1));
        assert_eq!(picked(&["linux/arm/v7", "linux/arm/v7"], "linux/arm"), Some(0));
        assert_eq!(picked(&["", "linux/amd64"], "linux/amd64"), Some(1));
        assert_eq!(picked(&["", "linux/amd64/v3"], "linux/amd64"), Some(1));
        assert_eq!(picked(&["linux/arm64", ""], "linux/amd64"), Some(1));
        assert_eq!(picked(&["linux/arm64", ""], "windows/amd64"), None);
        assert_eq!(picked(&[], "linux/amd64"), None);
    }

    #[test]
    fn nested_indexes_are_looked_into() {
        let mut below = Below::default();
        let nested = below.index("", &[image(1, "linux/amd64"), image(2, "linux/arm64")]);
        for (wanted, found) in [("linux/amd64", 1), ("linux/arm64", 2), ("linux/arm/v6", 3)] {
            assert_eq!(below.picked(&[nested.clone(), image(3, "linux/arm/v6")], wanted).unwrap(), found, "{wanted}");
        }
        // A lower variant at the top, the very one below; and the first of equals.
        let low = [image(9, "linux/arm/v6"), below.index("", &[image(1, "linux/arm/v7")]), image(8, "linux/arm/v7")];
        assert_eq!(below.picked(&low, "linux/arm/v7").unwrap(), 1);
        assert_eq!(below.picked(&low, "linux/arm/v6").unwrap(), 9);
        // An entry that is for something else is passed by, whatever is in it, and what it says holds below it.
        let said = [below.index("linux/arm64", &[image(1, "linux/amd64"), image(2, "")]), image(3, "")];
        assert_eq!(below.picked(&said, "linux/amd64").unwrap(), 3);
        assert_eq!(below.picked(&said, "linux/arm64").unwrap(), 2);
        let deep = below.index("", &[nested]);
        assert_eq!(below.picked(&[deep], "linux/arm64").unwrap(), 2);
    }

    #[test]
    fn an_entry_that_does_not_say_what_it_is_is_read() {
        let mut below = Below::default();
        let mut nested = below.index("", &[image(1, "linux/arm64")]);
        nested.media_type = MediaType::default();
        assert_eq!(below.picked(&[nested], "linux/arm64").unwrap(), 1);
        let mut other = image(1, "linux/arm64");
        other.media_type = MediaType::OCI_CONFIG;
        assert_eq!(below.picked(&[other, image(2, "linux/arm64")], "linux/arm64").unwrap(), 2);
    }

    #[test]
    fn what_is_there_is_told() {
        let mut below = Below::default();
        let nested = below.index("", &[image(1, "linux/arm64"), image(2, "linux/s390x")]);
        let error = below.picked(&[nested, image(3, "unknown/unknown"), image(4, "linux/arm64")], "linux/amd64");
        let error = error.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        let why = "there is no image for linux/amd64 in the index, but linux/arm64, linux/s390x";
        assert_eq!(error.message(), why);
    }

    #[test]
    fn an_index_that_is_not_there_matters_only_without_an_image() {
        let mut below = Below::default();
        let gone = below.index("", &[image(1, "linux/arm64")]);
        below.0.clear();
        assert_eq!(below.picked(&[gone.clone(), image(2, "linux/arm64")], "linux/arm64").unwrap(), 2);
        let error = below.picked(&[gone.clone(), image(2, "linux/arm64")], "linux/amd64").unwrap_err();
        assert!(error.code() == Code::NotFound && error.to_string().contains(gone.digest.as_str()), "{error}");
    }

    #[test]
    fn bombs_are_refused() {
        let mut below = Below::default();
        let mut deep = below.index("", &[image(1, "linux/arm64")]);
        for _ in 0..DEPTH {
            deep = below.index("", &[deep]);
        }
        assert_eq!(below.picked(&[deep], "linux/arm64").unwrap_err().code(), Code::LimitExceeded);
        let wide: Vec<_> = (0..=NODES).map(|_| image(1, "linux/arm64")).collect();
        assert_eq!(below.picked(&wide, "linux/amd64").unwrap_err().code(), Code::LimitExceeded);
        // The same index over and over is read once.
        let mut twice = below.index("", &[image(1, "linux/arm64")]);
        for _ in 0..6 {
            twice = below.index("", &vec![twice; 50]);
        }
        assert_eq!(below.picked(&[twice.clone()], "linux/arm64").unwrap(), 1);
        assert_eq!(below.picked(&[twice], "linux/amd64").unwrap_err().code(), Code::NotFound);
    }
}
