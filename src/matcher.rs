//! Which entries of an index are meant.

use crate::digest::Digest;
use crate::oci::{Descriptor, MediaType, Platform};

/// The annotation by which a layout names an entry (image layout spec, "index.json").
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation by which containerd names an entry in full; its [`REF_NAME`] is the tag alone.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// What a layout calls an entry, the full name first.
pub(crate) fn names_of(entry: &Descriptor) -> impl Iterator<Item = &str> {
    [CONTAINERD_NAME, REF_NAME].into_iter().filter_map(|key| entry.annotations.get(key)).map(String::as_str)
}

/// Whether an entry has this name.
pub(crate) fn is_named(entry: &Descriptor, name: &str) -> bool {
    names_of(entry).any(|n| n == name)
}

/// The same under another name, or none: names are those of the place that it comes from.
pub(crate) fn renamed(mut entry: Descriptor, name: Option<String>) -> Descriptor {
    entry.annotations.remove(REF_NAME);
    entry.annotations.remove(CONTAINERD_NAME);
    entry.annotations.extend(name.map(|name| (REF_NAME.to_owned(), name)));
    entry
}

/// The same under all names of another entry.
pub(crate) fn named_like(entry: Descriptor, other: &Descriptor) -> Descriptor {
    let mut entry = renamed(entry, None);
    let names = [REF_NAME, CONTAINERD_NAME].into_iter().filter_map(|key| other.annotations.get_key_value(key));
    entry.annotations.extend(names.map(|(key, name)| (key.clone(), name.clone())));
    entry
}

/// An entry's name in full, where containerd gave it one.
pub(crate) fn full_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(CONTAINERD_NAME).map(String::as_str)
}

/// Chooses descriptors. Of each kind of condition one must hold, of several kinds all; without any, everything is
/// chosen.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    digests: Vec<Digest>,
    platforms: Vec<Platform>,
    media_types: Vec<MediaType>,
    artifact_types: Vec<String>,
    annotations: Vec<(String, Option<String>)>,
    names: Vec<String>,
}

impl Matcher {
    /// Everything.
    pub fn new() -> Matcher {
        Matcher::default()
    }
    /// With this digest.
    pub fn digest(mut self, digest: Digest) -> Matcher {
        self.digests.push(digest);
        self
    }
    /// Of this platform and no other: of what is given, the operating system, the architecture, the variant and every
    /// feature must be these, and the version this one or one that goes on after a dot (`10.0.17763` chooses
    /// `10.0.17763.5820`); what is left out does not matter. Names are compared in normal form, in which arm without a
    /// variant is `v7`, arm64 `v8` and amd64 `v1`. What does not say its platform is not chosen. (That an image runs
    /// on a higher variant, too, counts where one image is picked, as by [`Index::image`](crate::Index::image).)
    pub fn platform(mut self, platform: Platform) -> Matcher {
        self.platforms.push(platform);
        self
    }
    /// Of this media type.
    pub fn media_type(mut self, media_type: impl Into<MediaType>) -> Matcher {
        self.media_types.push(media_type.into());
        self
    }
    /// The manifest of such an artifact.
    pub fn artifact_type(mut self, artifact_type: &str) -> Matcher {
        self.artifact_types.push(artifact_type.to_owned());
        self
    }
    /// With this annotation; `None`: whatever its value. Several of them must all be there.
    pub fn annotation(mut self, key: &str, value: Option<&str>) -> Matcher {
        self.annotations.push((key.to_owned(), value.map(ToOwned::to_owned)));
        self
    }
    /// Named so in a layout (annotation `org.opencontainers.image.ref.name`, or containerd's `io.containerd.image.name`).
    pub fn name(mut self, name: &str) -> Matcher {
        self.names.push(name.to_owned());
        self
    }

    /// Whether it chooses everything.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
            && self.platforms.is_empty()
            && self.media_types.is_empty()
            && self.artifact_types.is_empty()
            && self.annotations.is_empty()
            && self.names.is_empty()
    }

    /// Whether this descriptor is meant.
    pub fn matches(&self, d: &Descriptor) -> bool {
        let named = |p: &Platform| d.platform.as_ref().is_some_and(|have| have.is_named_by(p));
        let says = |(key, value): &(String, Option<String>)| {
            d.annotations.get(key).is_some_and(|have| value.as_ref().is_none_or(|v| v == have))
        };
        (self.digests.is_empty() || self.digests.contains(&d.digest))
            && (self.platforms.is_empty() || self.platforms.iter().any(named))
            && (self.media_types.is_empty() || self.media_types.contains(&d.media_type))
            && (self.artifact_types.is_empty() || self.artifact_types.contains(&d.artifact_type))
            && self.annotations.iter().all(says)
            && (self.names.is_empty() || self.names.iter().any(|name| is_named(d, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: Option<&str>, annotations: &[(&str, &str)]) -> Descriptor {
        let mut d = Descriptor::of(MediaType::OCI_MANIFEST, platform.unwrap_or_default().as_bytes());
        d.platform = platform.map(|p| p.parse().unwrap());
        d.annotations = annotations.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        d
    }

    #[test]
    fn of_each_kind_one_and_of_several_kinds_all() {
        let arm = entry(Some("linux/arm64"), &[("a", "1"), (REF_NAME, "x")]);
        let amd = entry(Some("linux/amd64"), &[("a", "2")]);
        let none = entry(None, &[]);
        let chosen = |m: &Matcher| [&arm, &amd, &none].map(|d| m.matches(d));
        let p = |text: &str| text.parse::<Platform>().unwrap();
        assert_eq!(chosen(&Matcher::new()), [true; 3]);
        assert_eq!(chosen(&Matcher::new().platform(p("linux/arm64"))), [true, false, false]);
        assert_eq!(chosen(&Matcher::new().platform(p("linux/arm64")).platform(p("linux/amd64"))), [true, true, false]);
        assert_eq!(chosen(&Matcher::new().platform(p("linux/amd64")).annotation("a", Some("1"))), [false; 3]);
        assert_eq!(chosen(&Matcher::new().annotation("a", None)), [true, true, false]);
        assert_eq!(chosen(&Matcher::new().name("x")), [true, false, false]);
        assert_eq!(chosen(&Matcher::new().name("y").name("x").annotation("a", None)), [true, false, false]);
        let theirs = entry(None, &[(REF_NAME, "1"), (CONTAINERD_NAME, "example.com/app:1")]);
        for name in ["1", "example.com/app:1"] {
            assert!(Matcher::new().name(name).matches(&theirs));
        }
        assert!(!Matcher::new().name("example.com/app").matches(&theirs) && !Matcher::new().name("x").is_empty());
        assert_eq!(chosen(&Matcher::new().digest(none.digest.clone())), [false, false, true]);
        assert_eq!(chosen(&Matcher::new().media_type(MediaType::OCI_INDEX)), [false; 3]);
        assert_eq!(chosen(&Matcher::new().artifact_type("t")), [false; 3]);
    }

    #[test]
    fn a_platform_chooses_no_other() {
        let all = ["linux/amd64", "linux/amd64/v3", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"];
        for (wanted, chosen) in [
            ("linux/amd64", &all[..2]),
            ("linux/amd64/v3", &all[1..2]),
            ("linux/arm/v7", &all[3..4]),
            ("linux/arm", &all[2..4]),
            ("linux/arm64", &all[4..]),
            ("linux/arm64/v9", &[]),
            ("linux", &all),
        ] {
            let matcher = Matcher::new().platform(wanted.parse().unwrap());
            let found: Vec<&str> = all.into_iter().filter(|p| matcher.matches(&entry(Some(p), &[]))).collect();
            assert_eq!(found, chosen, "{wanted}");
        }
    }
}
