//! The bytes of a WAL file: its header and the header of each frame. Pure, no I/O.
//!
//! `docs/format/wal.md` has the boxes. All numbers are little endian. A frame is padded to
//! [`ALIGN`] bytes, so that the search for frames behind a damaged one has few places to try.

use treering_codec::{crc32, crc32_parts};

/// First bytes of every WAL file.
pub(crate) const MAGIC: [u8; 8] = *b"TREEWAL\0";
/// Version of the format that this release writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;
/// Length of the file header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Length of a frame header.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// Largest number of a file, generation, position or sequence that is believed.
const MAX_COUNTER: u64 = 1 << 62;

/// What the payload of a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// New series and samples; see `wal/payload.rs`.
    Batch = 1,
    /// Nothing: it only tells how far the WAL was fsynced.
    Mark = 2,
    /// Samples go; see `Delete` in `wal/change.rs`.
    Delete = 3,
    /// A namespace comes, changes or goes; see `NamespaceChange` there.
    Namespace = 4,
    /// What is known of a metric changes; see `MetadataChange` there.
    Metadata = 5,
}

impl FrameKind {
    /// The kind of this byte, if this release knows it.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Batch),
            2 => Some(Self::Mark),
            3 => Some(Self::Delete),
            4 => Some(Self::Namespace),
            5 => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// The header of a WAL file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// The database it belongs to.
    pub(crate) database: u64,
    /// Number of the file: counts up, never used twice.
    pub(crate) number: u64,
    /// Scope of the series ids in its frames: ids are defined anew in each generation.
    pub(crate) generation: u64,
    /// Position in the whole WAL of the first byte of the file.
    pub(crate) position: u64,
    /// Sequence of the first frame written to it.
    pub(crate) first_sequence: u64,
}

/// Why bytes are not a file header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Too short, wrong magic or checksum.
    Damaged,
    /// Written by a newer release.
    Version(u32),
}

impl FileHeader {
    /// Checksum seed of the frames of this file: a frame of another file never passes.
    pub(crate) fn seed(database: u64, number: u64) -> u32 {
        crc32_parts(0, &[b"wal", &database.to_le_bytes(), &number.to_le_bytes()])
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.database.to_le_bytes());
        out[24..32].copy_from_slice(&self.number.to_le_bytes());
        out[32..40].copy_from_slice(&self.generation.to_le_bytes());
        out[40..48].copy_from_slice(&self.position.to_le_bytes());
        out[48..56].copy_from_slice(&self.first_sequence.to_le_bytes());
        let crc = crc32(0, &out[..HEADER_BYTES - 4]);
        out[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] = bytes
            .get(..HEADER_BYTES)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(HeaderError::Damaged)?;
        let crc = u32_at(bytes, HEADER_BYTES - 4);
        if bytes[0..8] != MAGIC || crc32(0, &bytes[..HEADER_BYTES - 4]) != crc {
            return Err(HeaderError::Damaged);
        }
        // Counters that a database cannot reach: arithmetic on the others never overflows.
        if [24, 32, 40, 48]
            .into_iter()
            .any(|at| u64_at(bytes, at) > MAX_COUNTER)
        {
            return Err(HeaderError::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version == 0 || version > VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(Self {
            database: u64_at(bytes, 16),
            number: u64_at(bytes, 24),
            generation: u64_at(bytes, 32),
            position: u64_at(bytes, 40),
            first_sequence: u64_at(bytes, 48),
        })
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Bytes of payload behind the header.
    pub(crate) len: u32,
    /// What the payload is: a [`FrameKind`], or what a newer release may write.
    pub(crate) kind: u8,
    /// Zeros today; a newer release may give them a meaning that must not be passed over.
    pub(crate) flags: [u8; 7],
    /// Place of the frame in the order of all change.
    pub(crate) sequence: u64,
    /// Position in the whole WAL up to which everything was known to be fsynced.
    pub(crate) synced: u64,
}

impl FrameHeader {
    /// What the payload is, if this release knows it and every flag.
    pub(crate) fn known_kind(&self) -> Option<FrameKind> {
        FrameKind::from_byte(self.kind).filter(|_| self.flags == [0; 7])
    }

    /// Bytes that the frame takes in the file, padding included.
    pub(crate) fn stride(&self) -> u64 {
        padded(FRAME_HEADER_BYTES as u64 + u64::from(self.len))
    }

    /// The bytes of the header. `payload_crc` is the plain CRC-32 of the payload with its padding:
    /// it is computed before the place of the frame is known, and the checksum of the frame goes
    /// on from it over the file's seed and the rest of the header.
    pub(crate) fn seal(&self, seed: u32, payload_crc: u32) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8] = self.kind;
        out[9..16].copy_from_slice(&self.flags);
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.synced.to_le_bytes());
        let crc = crc32_parts(payload_crc, &[&seed.to_le_bytes(), &out[4..]]);
        out[0..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The frame at the start of `bytes` and its payload, if a whole one is there.
    pub(crate) fn open(seed: u32, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let head: &[u8; FRAME_HEADER_BYTES] = bytes.get(..FRAME_HEADER_BYTES)?.try_into().ok()?;
        let mut flags = [0; 7];
        flags.copy_from_slice(&head[9..16]);
        let header = Self {
            len: u32_at(head, 4),
            kind: head[8],
            flags,
            sequence: u64_at(head, 16),
            synced: u64_at(head, 24),
        };
        if header.len as usize > crate::limits::MAX_FRAME_BYTES {
            return None;
        }
        let whole = bytes.get(..usize::try_from(header.stride()).ok()?)?;
        let payload_crc = crc32(0, whole.get(FRAME_HEADER_BYTES..)?);
        if crc32_parts(payload_crc, &[&seed.to_le_bytes(), &head[4..]]) != u32_at(head, 0) {
            return None;
        }
        let end = FRAME_HEADER_BYTES + header.len as usize;
        Some((header, whole.get(FRAME_HEADER_BYTES..end)?))
    }
}

/// `len` rounded up to a multiple of [`ALIGN`].
pub(crate) const fn padded(len: u64) -> u64 {
    len.next_multiple_of(ALIGN as u64)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(out)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FileHeader = FileHeader {
        database: 7,
        number: 3,
        generation: 2,
        position: 640,
        first_sequence: 41,
    };

    #[test]
    fn file_header_comes_back_and_damage_is_seen() {
        let bytes = HEADER.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(HEADER));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::decode(&damaged), Err(HeaderError::Damaged));
        }
        assert_eq!(FileHeader::decode(&bytes[..63]), Err(HeaderError::Damaged));
    }

    #[test]
    fn frame_of_another_file_does_not_pass() {
        let header = FrameHeader {
            len: 5,
            kind: FrameKind::Batch as u8,
            flags: [0; 7],
            sequence: 9,
            synced: 64,
        };
        let mut frame = vec![0; header.stride() as usize];
        frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + 5].copy_from_slice(b"hello");
        let seed = FileHeader::seed(7, 3);
        let head = header.seal(seed, crc32(0, &frame[FRAME_HEADER_BYTES..]));
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&head);
        assert_eq!(
            FrameHeader::open(seed, &frame),
            Some((header, &b"hello"[..]))
        );
        assert_eq!(FrameHeader::open(FileHeader::seed(7, 4), &frame), None);
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::open(seed, &damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(FrameHeader::open(FileHeader::seed(0, 0), &[0; 64]), None);
    }
}
