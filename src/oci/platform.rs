//! Platforms: what an image runs on, and which image of several runs here.
//!
//! Names are compared in containerd's normal form: `macos` is `darwin`; `x86_64` and `x86-64` are `amd64`, `i386` is
//! `386`, `aarch64` is `arm64`, `armhf` is `arm/v7` and `armel` is `arm/v6`; the variants `v8` of arm64 and `v1` of
//! amd64 are none; arm without a variant is `v7`; a bare number is a variant (`8` is `v8`). Texts and documents keep
//! the names that they have.

use super::json::object;
use crate::digest::shown;
use crate::error::{Error, Result, invalid};
use std::fmt;
use std::str::FromStr;

object! {
    /// What an image runs on. The default is `linux/amd64`.
    #[derive(Eq)]
    pub struct Platform {
        /// Such as `amd64`.
        architecture: String = "architecture" keep,
        /// Such as `linux`.
        os: String = "os" keep,
        /// Windows' version, such as `10.0.17763.5820`.
        os_version: String = "os.version" omit,
        /// Such as `win32k`.
        os_features: Vec<String> = "os.features" omit,
        /// Such as `v7`.
        variant: String = "variant" omit,
        /// Reserved by the spec.
        features: Vec<String> = "features" omit,
    }
}

/// Above the rank of every variant that is known to run.
const OTHER_VARIANT: u32 = 1 << 18;

impl Platform {
    /// A platform of these names and nothing else.
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Platform {
        Platform {
            architecture: architecture.into(),
            os: os.into(),
            os_version: String::new(),
            os_features: Vec::new(),
            variant: String::new(),
            features: Vec::new(),
            extra: Default::default(),
        }
    }

    /// The same in containerd's normal form; see the module.
    pub fn normalized(&self) -> Platform {
        let os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let architecture = self.architecture.to_ascii_lowercase();
        let mut variant = self.variant.to_ascii_lowercase();
        if variant.starts_with(|c: char| c.is_ascii_digit()) {
            variant.insert(0, 'v');
        }
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", v) => ("amd64", v),
            ("aarch64" | "arm64", "" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64", v) => ("arm64", v),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "") => ("arm", "v7"),
            (a, v) => (a, v),
        };
        Platform { os, architecture: architecture.to_owned(), variant: variant.to_owned(), ..self.clone() }
    }

    /// Whether something for this platform runs where `wanted` does: what `wanted` leaves out does not matter, lists
    /// must be contained, versions may go on after a dot, and a lower variant of arm, arm64 or amd64 does too.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        self.rank(wanted).is_some()
    }

    /// Whether this is the platform that `named` names, other than [`Platform::satisfies`] no lower variant: what
    /// `named` leaves out, be it the variant, does not matter, lists must be contained, and versions may go on after a
    /// dot. So `linux/arm` is the name of every arm there is, and `linux/arm/v7` of one without a variant, too.
    pub fn is_named_by(&self, named: &Platform) -> bool {
        let (have, want) = (self.normalized(), named.normalized());
        fits(&want, &have) && (names_no_variant(named) || want.variant == have.variant)
    }

    /// How well this fits, less being better; `None`: not at all.
    pub(crate) fn rank(&self, wanted: &Platform) -> Option<u32> {
        let (have, want) = (self.normalized(), wanted.normalized());
        if !fits(&want, &have) {
            return None;
        }
        if want.architecture.is_empty() {
            return same(&want.variant, &have.variant).then_some(0);
        }
        match (level(&want), level(&have)) {
            _ if want.variant == have.variant => Some(0),
            (Some(want), Some(have)) if have < want => Some(want - have),
            // Without a variant asked for, another one is better than nothing; it may be too new.
            (_, have) if names_no_variant(wanted) => Some(OTHER_VARIANT + have.unwrap_or(0)),
            _ => None,
        }
    }
}

/// All but the variant, in normal form.
fn fits(want: &Platform, have: &Platform) -> bool {
    let version =
        |want: &str, have: &str| same(want, have) || have.strip_prefix(want).is_some_and(|more| more.starts_with('.'));
    let all = |want: &[String], have: &[String]| want.iter().all(|w| have.contains(w));
    same(&want.os, &have.os)
        && same(&want.architecture, &have.architecture)
        && version(&want.os_version, &have.os_version)
        && all(&want.os_features, &have.os_features)
        && all(&want.features, &have.features)
}

fn same(want: &str, have: &str) -> bool {
    want.is_empty() || want == have
}

/// Two names of architectures are of a variant, too.
fn names_no_variant(platform: &Platform) -> bool {
    let with_variant = |name: &&str| platform.architecture.eq_ignore_ascii_case(name);
    platform.variant.is_empty() && !["armhf", "armel"].iter().any(with_variant)
}

/// The number in a variant, where a lower number runs on a higher one. For arm64 only the plain one is below all.
fn level(platform: &Platform) -> Option<u32> {
    match (platform.architecture.as_str(), platform.variant.as_str()) {
        ("amd64", "") => Some(1),
        ("amd64" | "arm", v) => v.strip_prefix('v')?.parse::<u16>().ok().map(u32::from),
        ("arm64", "") => Some(0),
        ("arm64", _) => Some(1),
        _ => None,
    }
}

impl Default for Platform {
    fn default() -> Platform {
        Platform::new("linux", "amd64")
    }
}

/// `os[/arch[/variant]][:osversion]`, empty without an operating system.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os.is_empty() {
            return Ok(());
        }
        f.write_str(&self.os)?;
        for part in [&self.architecture, &self.variant] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        if self.os_version.is_empty() { Ok(()) } else { write!(f, ":{}", self.os_version) }
    }
}

impl FromStr for Platform {
    type Err = Error;
    /// Parses `os[/arch[/variant]][:osversion]` and keeps the names as they are.
    ///
    /// Errors: `InvalidArgument`.
    fn from_str(text: &str) -> Result<Platform> {
        let wrong = |why: &str| invalid(format!("not a platform: {why}")).subject(shown(text));
        let (names, version) = match text.trim().split_once(':') {
            Some((_, "")) => return Err(wrong("nothing follows the colon")),
            Some((_, version)) if version.contains([':', '/']) => {
                return Err(wrong("the version has a colon or slash in it"));
            }
            Some((names, version)) => (names, version),
            None => (text.trim(), ""),
        };
        let names: Vec<&str> = names.split('/').collect();
        if names.iter().any(|name| name.is_empty()) {
            return Err(wrong("a name is empty in os[/architecture[/variant]][:version]"));
        }
        if !text.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+/:".contains(&b)) {
            return Err(wrong("it is written in letters, digits, '.', '_', '-' and '+'"));
        }
        let (os, architecture, variant) = match names[..] {
            [os] => (os, "", ""),
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => return Err(wrong("more than two slashes")),
        };
        Ok(Platform { variant: variant.into(), os_version: version.into(), ..Platform::new(os, architecture) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn text_goes_in_and_out() {
        for text in ["linux", "linux/amd64", "linux/arm/v7", "windows/amd64:10.0.17763.5820", "a/b/c:d"] {
            assert_eq!(p(text).to_string(), text);
        }
        assert_eq!(p("windows:10.0").os_version, "10.0");
        assert_eq!(Platform::new("", "amd64").to_string(), "");
        for bad in ["", "/", "linux/", "linux//v8", "a/b/c/d", "linux:", "linux:1:2", "linux:1/2", "li\nnux"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn normal_forms() {
        for (text, normal) in [
            ("Linux/AArch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/x86-64/v3", "linux/amd64/v3"),
            ("linux/i386", "linux/386"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(p(text).normalized().to_string(), normal);
        }
    }

    #[test]
    fn which_runs_where() {
        for (have, wanted, yes) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux", true),
            ("linux/amd64", "windows/amd64", false),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64", "linux/aarch64/v8", true),
            ("linux/arm64/v8", "linux/arm64/v9", true),
            ("linux/arm64/v9", "linux/arm64/v8", false),
            ("linux/arm/v5", "linux/arm/v7", true),
            ("linux/arm/v7", "linux/arm/v6", false),
            ("linux/arm/v7", "linux/arm64", false),
            ("linux/amd64/v2", "linux/amd64/v3", true),
            ("linux/amd64/v3", "linux/amd64/v2", false),
            ("linux/amd64/v3", "linux/amd64", true),
            ("linux/riscv64/rva20", "linux/riscv64/rva22", false),
            ("windows/amd64:10.0.17763.5820", "windows/amd64:10.0.17763", true),
            ("windows/amd64:10.0.177630", "windows/amd64:10.0.17763", false),
            ("windows/amd64", "windows/amd64:10.0.17763", false),
            ("unknown/unknown", "linux/amd64", false),
        ] {
            assert_eq!(p(have).satisfies(&p(wanted)), yes, "{have} where {wanted} is wanted");
        }
        let features =
            |list: &[&str]| Platform { os_features: list.iter().map(|s| s.to_string()).collect(), ..p("windows") };
        assert!(features(&["a", "win32k"]).satisfies(&features(&["win32k"])));
        assert!(!features(&["a"]).satisfies(&features(&["a", "win32k"])));
    }

    #[test]
    fn which_is_meant_by_a_name() {
        for (have, named, yes) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux", true),
            ("linux/amd64/v3", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v3", false),
            ("linux/amd64", "linux/amd64/v1", true),
            ("linux/x86_64/v1", "linux/amd64", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm/v6", "linux/arm", true),
            ("linux/arm/v6", "linux/armhf", false),
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm/v7", "linux/ARMHF", true),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64/v8", "linux/arm64/v9", false),
            ("linux/riscv64/rva20", "linux/riscv64", true),
            ("windows/amd64:10.0.17763.5820", "windows/amd64:10.0.17763", true),
            ("windows/amd64:10.0.177630", "windows/amd64:10.0.17763", false),
            ("windows/amd64", "windows/amd64:10.0.17763", false),
        ] {
            assert_eq!(p(have).is_named_by(&p(named)), yes, "{have} by {named}");
        }
        let variant = Platform { architecture: String::new(), variant: "v7".into(), ..p("linux") };
        assert!(p("linux/arm").is_named_by(&variant) && !p("linux/arm/v6").is_named_by(&variant));
    }
}
