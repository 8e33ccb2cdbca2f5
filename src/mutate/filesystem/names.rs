//! The names of entries that streamed by, from the topmost layer down, for a tree that is made from the lowest up.

use super::keep::{Keep, Kept};
use super::merge::about;
use super::tree::{Fact, Id, Tree};
use crate::error::{Code, Error, Result};
use crate::source::Place;
use crate::stream::{Chunks, Kind, TarEntry};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Number, type, length of name and link; these follow.
const RECORD: usize = 4 + 1 + 4 + 4;

/// Being collected.
pub(super) struct Names {
    records: Keep,
    layers: Vec<Part>,
}

/// Collected.
pub(super) struct Collected {
    records: Kept,
    layers: Vec<Part>,
}

/// The records of one layer.
struct Part {
    layer: u32,
    offset: u64,
    count: u32,
}

impl Names {
    pub(super) fn new(place: &Place) -> Names {
        Names { records: Keep::new(place), layers: Vec::new() }
    }

    /// Adds an entry; those of a layer come in its order, one layer after the other.
    pub(super) async fn add(&mut self, id: Id, entry: &TarEntry) -> Result<()> {
        match self.layers.last_mut() {
            Some(part) if part.layer == id.layer => part.count += 1,
            _ => self.layers.push(Part { layer: id.layer, offset: self.records.len(), count: 1 }),
        }
        let mut record = BytesMut::with_capacity(RECORD + entry.name.len() + entry.link.len());
        record.put_u32(id.entry);
        record.put_u8(entry.kind.flag());
        record.put_u32(entry.name.len() as u32); // a tar's headers are limited to less
        record.put_u32(entry.link.len() as u32);
        record.put_slice(&entry.name);
        record.put_slice(&entry.link);
        self.records.put(record.freeze()).await
    }

    pub(super) async fn finish(self) -> Result<Collected> {
        Ok(Collected { records: self.records.finish().await?, layers: self.layers })
    }
}

impl Collected {
    /// Applies the entries of one layer.
    pub(super) async fn apply(&self, layer: u32, tree: &mut Tree) -> Result<()> {
        let at = self.layers.partition_point(|part| part.layer > layer);
        let Some(part) = self.layers.get(at).filter(|part| part.layer == layer) else { return Ok(()) };
        let mut records = Records { chunks: self.records.open(part.offset), bytes: BytesMut::new() };
        for _ in 0..part.count {
            let mut head = records.take(RECORD).await?;
            let id = Id { layer, entry: head.get_u32() };
            let kind = Kind::of(head.get_u8());
            let (name, link) = (head.get_u32() as usize, head.get_u32() as usize);
            let text = records.take(name + link).await?;
            let (name, link) = text.split_at(name);
            tree.apply(id, &Fact { kind, name, link }).map_err(|e| about(name, e))?;
        }
        Ok(())
    }
}

struct Records {
    chunks: Chunks,
    bytes: BytesMut,
}

impl Records {
    async fn take(&mut self, len: usize) -> Result<Bytes> {
        while self.bytes.len() < len {
            match self.chunks.next().await? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None => return Err(Error::new(Code::Internal, "a temporary file ended early")),
            }
        }
        Ok(self.bytes.split_to(len).freeze())
    }
}
