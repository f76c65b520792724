//! Names and numbers of the immutable index's bytes, shared by writer and reader.
//!
//! The page `docs/format/index.md` shows the whole: a header, sections without gaps, a directory,
//! a footer of fixed size. Invariant: each byte is under one checksum, seeded with the number of
//! its section so that sections cannot be exchanged.

/// First and last four bytes.
pub(crate) const MAGIC: [u8; 4] = *b"TRIX";
/// Version of the format.
pub(crate) const VERSION: u16 = 1;
/// Magic, version, two zero bytes.
pub(crate) const HEADER_BYTES: usize = 8;
/// Directory offset u64, length u32, checksum u32; checksum of these and the header u32; magic.
pub(crate) const FOOTER_BYTES: usize = 24;

/// Seed of the directory's checksum.
pub(crate) const DIRECTORY_SEED: u32 = u32::from_le_bytes(*b"dir\0");
/// Seed of the footer's checksum.
pub(crate) const FOOTER_SEED: u32 = u32::from_le_bytes(*b"foot");

/// Number of the section of shapes, which are lists of label names.
pub(crate) const SHAPES: usize = 0;
/// Number of the section of tails, which are label sets without their first pair.
pub(crate) const TAILS: usize = 1;
/// Number of the section of series.
pub(crate) const SERIES: usize = 2;
/// Number of the first section of the first label name.
pub(crate) const FIRST_NAME: usize = 3;
/// Sections per label name.
pub(crate) const PER_NAME: usize = 3;
/// Among the sections of a name: value to number.
pub(crate) const TRANSDUCER: usize = 0;
/// Among the sections of a name: number to value.
pub(crate) const VALUES: usize = 1;
/// Among the sections of a name: number to postings.
pub(crate) const POSTINGS: usize = 2;

/// Entries between two places where series, tails and values can be read from.
pub(crate) const RESTART: usize = 16;
/// Marks a place in a name's postings that is itself the only id.
pub(crate) const ONE_ID: u32 = 1 << 31;
