//! An edit: one atomic change of what is live, and its bytes. Pure, no I/O.
//!
//! Input: the change. Output: the payload of a manifest record, and back. The fields of version 1
//! come first; behind them stand the later ones as tagged fields, each left out when it is empty: a
//! record of version 1 is one of version 2 without them.

use treering_codec::varint::{Reader, put_i64, put_u64};
use treering_codec::{Error, Result};

use crate::limits::{MAX_STEP_SECONDS, MAX_TOMBSTONE_PATTERNS};
use crate::tagged::{Fields, put_field, read_u32};
use crate::tombstone::Tombstone;
use crate::wal::change::{MetadataChange, NamespaceChange};

/// A live block, as far as the manifest tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub(crate) id: u64,
    pub(crate) namespace: u32,
    pub(crate) level: u8,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) min_sequence: u64,
    pub(crate) max_sequence: u64,
    pub(crate) bytes: u64,
    /// Tombstones up to this sequence are applied in the block; not below `max_sequence`.
    pub(crate) purged: u64,
    /// Seconds between the samples of a downsampled block; 0: all samples are there.
    pub(crate) step: u32,
}

/// One atomic change of what is live. Its parts take effect in the order `remove`, `forget`,
/// `namespaces`, `add`, `purge`, `tombstones`, `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Ids of blocks from here on were never used.
    pub(crate) next_block: u64,
    /// Changes up to this sequence are in blocks and in the manifest; the WAL holds the later ones.
    pub(crate) flushed_through: u64,
    /// WAL files with lower numbers are no longer needed.
    pub(crate) wal_floor: u64,
    /// Ids of namespaces from here on were never used. Smaller than what is known, as 0: as known.
    pub(crate) next_namespace: u32,
    pub(crate) add: Vec<BlockEntry>,
    pub(crate) remove: Vec<u64>,
    /// Ids of live blocks, and through which sequence tombstones are now applied in each.
    pub(crate) purge: Vec<(u64, u64)>,
    pub(crate) namespaces: Vec<NamespaceChange>,
    /// New tombstones, of sequences up to `flushed_through`.
    pub(crate) tombstones: Vec<Tombstone>,
    /// Sequences of tombstones that hide nothing any more.
    pub(crate) forget: Vec<u64>,
    pub(crate) metadata: Vec<MetadataChange>,
}

const TAG_BLOCKS: u64 = 1;
const TAG_PURGE: u64 = 2;
const TAG_NEXT_NAMESPACE: u64 = 3;
const TAG_NAMESPACES: u64 = 4;
const TAG_TOMBSTONES: u64 = 5;
const TAG_FORGET: u64 = 6;
const TAG_METADATA: u64 = 7;

impl Edit {
    /// The payload of the edit's record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.add.len() * 40);
        put_u64(&mut out, self.next_block);
        put_u64(&mut out, self.flushed_through);
        put_u64(&mut out, self.wal_floor);
        put_u64(&mut out, self.remove.len() as u64);
        for id in &self.remove {
            put_u64(&mut out, *id);
        }
        put_u64(&mut out, self.add.len() as u64);
        for block in &self.add {
            put_u64(&mut out, block.id);
            put_u64(&mut out, u64::from(block.namespace));
            out.push(block.level);
            put_i64(&mut out, block.min_time);
            put_i64(&mut out, block.max_time);
            put_u64(&mut out, block.min_sequence);
            put_u64(&mut out, block.max_sequence);
            put_u64(&mut out, block.bytes);
        }
        self.put_fields(&mut out);
        out
    }

    /// Appends the tagged fields, those that are not empty.
    fn put_fields(&self, out: &mut Vec<u8>) {
        let plain = |block: &BlockEntry| block.purged == block.max_sequence && block.step == 0;
        if !self.add.iter().all(plain) {
            put_field(out, TAG_BLOCKS, |out| {
                for block in &self.add {
                    put_u64(out, block.purged.saturating_sub(block.max_sequence));
                    put_u64(out, u64::from(block.step));
                }
            });
        }
        put_list(out, TAG_PURGE, &self.purge, |(id, through), out| {
            put_u64(out, *id);
            put_u64(out, *through);
        });
        if self.next_namespace != 0 {
            put_field(out, TAG_NEXT_NAMESPACE, |out| {
                put_u64(out, u64::from(self.next_namespace));
            });
        }
        put_list(out, TAG_NAMESPACES, &self.namespaces, NamespaceChange::put);
        put_list(out, TAG_TOMBSTONES, &self.tombstones, Tombstone::put);
        put_list(out, TAG_FORGET, &self.forget, |sequence, out| {
            put_u64(out, *sequence)
        });
        put_list(out, TAG_METADATA, &self.metadata, MetadataChange::put);
    }

    /// Reads a payload; allocates at most a small multiple of `bytes` and what
    /// [`MAX_TOMBSTONE_PATTERNS`] compiled patterns take.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let mut edit = Edit {
            next_block: reader.varint()?,
            flushed_through: reader.varint()?,
            wal_floor: reader.varint()?,
            ..Edit::default()
        };
        for _ in 0..reader.length(reader.remaining(), "more blocks removed than bytes")? {
            edit.remove.push(reader.varint()?);
        }
        for _ in 0..reader.length(reader.remaining() / 8, "more blocks added than bytes")? {
            edit.add.push(read_block(&mut reader)?);
        }
        edit.read_fields(&mut reader)?;
        Ok(edit)
    }

    fn read_fields(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let mut fields = Fields::new(reader);
        let mut patterns = MAX_TOMBSTONE_PATTERNS;
        while let Some(field) = fields.next()? {
            match field.tag {
                TAG_BLOCKS => {
                    let add = &mut self.add;
                    field
                        .read(|reader| add.iter_mut().try_for_each(|add| read_more(reader, add)))?;
                }
                TAG_PURGE => {
                    let pair = |reader: &mut Reader<'_>| Ok((reader.varint()?, reader.varint()?));
                    self.purge = field.read(|reader| read_list(reader, pair))?;
                }
                TAG_NEXT_NAMESPACE => {
                    let number = |reader: &mut Reader<'_>| read_u32(reader, NEXT_NAMESPACE);
                    self.next_namespace = field.read(number)?;
                }
                TAG_NAMESPACES => {
                    self.namespaces =
                        field.read(|reader| read_list(reader, NamespaceChange::read))?;
                }
                TAG_TOMBSTONES => {
                    let one = |reader: &mut Reader<'_>| Tombstone::read(reader, &mut patterns);
                    self.tombstones = field.read(|reader| read_list(reader, one))?;
                }
                TAG_FORGET => {
                    self.forget = field.read(|reader| read_list(reader, Reader::varint))?;
                }
                TAG_METADATA => {
                    self.metadata = field.read(|reader| read_list(reader, MetadataChange::read))?;
                }
                _ => return Err(field.unknown("part of a manifest record")),
            }
        }
        Ok(())
    }
}

const NEXT_NAMESPACE: &str = "a namespace over 32 bits";

/// Appends a field of `items`, unless there are none.
fn put_list<T>(out: &mut Vec<u8>, tag: u64, items: &[T], put: impl Fn(&T, &mut Vec<u8>)) {
    if !items.is_empty() {
        put_field(out, tag, |out| items.iter().for_each(|item| put(item, out)));
    }
}

/// Items to the end of `reader`; each takes at least a byte.
fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    while !reader.is_empty() {
        items.push(read(reader)?);
    }
    Ok(items)
}

/// A block as in version 1.
fn read_block(reader: &mut Reader<'_>) -> Result<BlockEntry> {
    let offset = reader.offset();
    let id = reader.varint()?;
    let namespace = read_u32(reader, "a namespace over 32 bits")?;
    let level = reader.u8()?;
    let (min_time, max_time) = (reader.varint_i64()?, reader.varint_i64()?);
    let (min_sequence, max_sequence) = (reader.varint()?, reader.varint()?);
    let bytes = reader.varint()?;
    if min_time > max_time || min_sequence > max_sequence {
        let what = "a block that ends before it starts";
        return Err(Error::Malformed { offset, what });
    }
    Ok(BlockEntry {
        id,
        namespace,
        level,
        min_time,
        max_time,
        min_sequence,
        max_sequence,
        bytes,
        purged: max_sequence,
        step: 0,
    })
}

/// What version 2 tells of an added block besides.
fn read_more(reader: &mut Reader<'_>, block: &mut BlockEntry) -> Result<()> {
    let offset = reader.offset();
    let purged = block.max_sequence.checked_add(reader.varint()?);
    let step = reader.varint()?;
    match (purged, u32::try_from(step)) {
        (Some(purged), Ok(step)) if step <= MAX_STEP_SECONDS => {
            (block.purged, block.step) = (purged, step);
            Ok(())
        }
        _ => Err(Error::Malformed {
            offset,
            what: "a block outside the sequences or the steps",
        }),
    }
}
