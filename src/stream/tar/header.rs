//! The headers of a tar: recognised, and written.

use super::BLOCK;
use super::write::filling;
use crate::error::{Result, malformed};
use ::tar::{EntryType, Header};

/// An error unless a stream that begins so can be a tar: a header with a good checksum, the zeros of an empty tar, or
/// nothing at all. `head` has 512 bytes, or all that there is.
pub(crate) fn check_head(head: &[u8]) -> Result<()> {
    let no = || Err(malformed("not a tar archive"));
    if head.is_empty() {
        return Ok(());
    }
    let Some(header) = head.get(..BLOCK) else { return no() };
    if header.iter().all(|b| *b == 0) {
        return Ok(());
    }
    if checksum_is_good(header) { Ok(()) } else { no() }
}

/// Whether a block of 512 bytes is a header by its checksum.
pub(super) fn checksum_is_good(header: &[u8]) -> bool {
    let Ok(said) = Header::from_byte_slice(header).cksum() else { return false };
    let field = 148..156; // counts as spaces
    let bytes = || header.iter().enumerate().map(|(i, b)| if field.contains(&i) { b' ' } else { *b });
    let sum: u32 = bytes().map(u32::from).sum();
    let signed: i32 = bytes().map(|b| i32::from(b as i8)).sum(); // as old tars did it
    said == sum || i64::from(said) == i64::from(signed)
}

/// What a header says besides names and time.
pub(super) struct Entry {
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) device: Option<(u32, u32)>,
}

impl Default for Entry {
    fn default() -> Entry {
        Entry { kind: EntryType::Regular, mode: 0, size: 0, device: None }
    }
}

impl Entry {
    /// The header's blocks: one, or more if a name is long.
    pub(super) fn header(&self, name: &[u8], target: &[u8], mtime: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK);
        let mut header = Header::new_gnu();
        let fields = header.as_old_mut();
        put(&mut out, EntryType::GNULongName, &mut fields.name, name);
        put(&mut out, EntryType::GNULongLink, &mut fields.linkname, target);
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.size);
        header.set_mtime(mtime);
        if let (Some((major, minor)), Some(gnu)) = (self.device, header.as_gnu_mut()) {
            gnu.set_device_major(major);
            gnu.set_device_minor(minor);
        }
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out
    }
}

/// The header of a file of nobody in particular, of time zero.
pub(crate) fn file_header(name: &str, mode: u32, size: u64) -> Vec<u8> {
    Entry { mode, size, ..Entry::default() }.header(name.as_bytes(), &[], 0)
}

/// Puts `text` into its field, and what is too long for it in front of the entry as well.
fn put(out: &mut Vec<u8>, kind: EntryType, field: &mut [u8; 100], text: &[u8]) {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text[..n]);
    if text.len() <= field.len() {
        return;
    }
    let size = text.len() as u64 + 1; // with a NUL
    let entry = Entry { kind, mode: 0o644, size, device: None };
    out.extend_from_slice(&entry.header(b"././@LongLink", &[], 0));
    out.extend_from_slice(text);
    out.push(0);
    out.extend_from_slice(&filling(size));
}

#[cfg(test)]
mod tests {
    use super::super::END;
    use super::*;
    use crate::error::Code;

    #[test]
    fn tars_are_told_from_what_is_none() {
        check_head(b"").unwrap();
        check_head(END).unwrap();
        let mut old = Header::new_old();
        old.as_old_mut().name[..3].copy_from_slice(b"abc");
        old.set_cksum();
        check_head(old.as_bytes()).unwrap();
        let mut bad = *old.as_bytes();
        bad[0] = b'x';
        for none in [&bad[..], b"hello", &[0; 511], &[b'a'; 1024], &[0x1f; 512]] {
            assert_eq!(check_head(none).unwrap_err().code(), Code::Malformed);
        }
    }
}
