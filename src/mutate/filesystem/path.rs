//! Names of entries as they count in a merged file system: relative to its root, without anything that leads out.

use crate::digest::shown;
use crate::error::{Result, malformed};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS kept for itself and old layers still have.
const AUFS: &[u8] = b".wh..wh.";

/// What an entry's name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A file of any kind at this path; the root is empty.
    Entry(Vec<u8>),
    /// Nothing that lower layers have at this path.
    Whiteout(Vec<u8>),
    /// Nothing that lower layers have in this directory.
    Opaque(Vec<u8>),
    /// Nothing to anybody.
    Ignored,
}

/// Reads a name. `windows`: the image is for Windows, where backslashes and drives are common.
pub(crate) fn named(name: &[u8], windows: bool) -> Result<Named> {
    let path = clean(name, windows)?;
    let parts: Vec<&[u8]> = split(&path).collect();
    let Some((base, parents)) = parts.split_last() else { return Ok(Named::Entry(path)) };
    if parents.iter().chain([base]).any(|part| part.starts_with(AUFS) && !(*part == OPAQUE && part == base)) {
        return Ok(Named::Ignored);
    }
    if parents.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err(malformed("an entry lies below a whiteout").subject(text(name)));
    }
    let parent = parents.join(&b'/');
    match base.strip_prefix(WHITEOUT) {
        None => Ok(Named::Entry(path)),
        Some(_) if *base == OPAQUE => Ok(Named::Opaque(parent)),
        Some(b"" | b"." | b"..") => Err(malformed("a whiteout that names no file").subject(text(name))),
        Some(hidden) => Ok(Named::Whiteout(join(&parent, hidden))),
    }
}

/// A name without what means nothing, relative to the root.
///
/// Errors: `Malformed` where it leads out of the root, or would on Windows.
pub(crate) fn clean(name: &[u8], windows: bool) -> Result<Vec<u8>> {
    let drive = matches!(name, [a, b':'] | [a, b':', b'/' | b'\\', ..] if a.is_ascii_alphabetic());
    let up = |part: &[u8]| part.split(|b| *b == b'\\').any(|p| p == b"..") && part != b"..";
    if !windows && (drive || name.first() == Some(&b'\\')) || split(name).any(up) {
        return Err(malformed("the name is one of Windows and would lead elsewhere there").subject(text(name)));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in split(name) {
        match part {
            b"." => {}
            b".." if parts.pop().is_none() => {
                return Err(malformed("the name leads out of the root").subject(text(name)));
            }
            b".." => {}
            _ => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// The parts of a path.
pub(crate) fn split(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

pub(crate) fn join(parent: &[u8], base: &[u8]) -> Vec<u8> {
    match parent.is_empty() {
        true => base.to_vec(),
        false => [parent, b"/", base].concat(),
    }
}

/// For people.
pub(crate) fn text(name: &[u8]) -> String {
    shown(&String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn names_are_relative_to_the_root() {
        for (name, expected) in [
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b/./c", "b/c"),
            (".", ""),
            ("/", ""),
            ("a/..", ""),
            ("system\\x2dslice", "system\\x2dslice"),
            ("a:b", "a:b"),
            ("...", "..."),
        ] {
            assert_eq!(clean(name.as_bytes(), false).unwrap(), expected.as_bytes(), "{name}");
        }
        for name in ["..", "../a", "a/../../b", "/..", "\\a", "C:", "c:/x", "d:\\x", "a\\..\\..\\b", "..\\x"] {
            assert_eq!(clean(name.as_bytes(), false).unwrap_err().code(), Code::Malformed, "{name}");
        }
        assert!(clean(b"C:\\x", true).is_ok() && clean(b"..\\x", true).is_err());
    }

    #[test]
    fn whiteouts_are_told() {
        let is = |name: &str| named(name.as_bytes(), false).unwrap();
        assert_eq!(is("a/.wh.b"), Named::Whiteout(b"a/b".to_vec()));
        assert_eq!(is(".wh.b/"), Named::Whiteout(b"b".to_vec()));
        assert_eq!(is("./.wh..wh..opq"), Named::Opaque(b"".to_vec()));
        assert_eq!(is("a/b/.wh..wh..opq"), Named::Opaque(b"a/b".to_vec()));
        for ignored in [".wh..wh.plnk", ".wh..wh.plnk/1.2", "a/.wh..wh.aufs", ".wh..wh..opq/x"] {
            assert_eq!(is(ignored), Named::Ignored, "{ignored}");
        }
        assert_eq!(is("a/.wh"), Named::Entry(b"a/.wh".to_vec()));
        assert_eq!(is("x.wh.y"), Named::Entry(b"x.wh.y".to_vec()));
        for bad in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b"] {
            assert_eq!(named(bad.as_bytes(), false).unwrap_err().code(), Code::Malformed, "{bad}");
        }
    }
}
