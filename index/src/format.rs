//! Names and numbers of the immutable index's bytes, shared by writer and reader.

/// First bytes.
pub(crate) const MAGIC: [u8; 4] = *b"TRIX";
/// Version of the format.
pub(crate) const VERSION: u8 = 0;
/// Bytes of the footer.
pub(crate) const FOOTER_BYTES: usize = 4;
