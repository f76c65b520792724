//! CRC-32 (IEEE), the checksum of every file of the database; the only use of `crc32fast`.
//!
//! A seed binds a checksum to the file or section it belongs to, so that intact bytes of another
//! file are not mistaken for ours.

/// CRC-32 of `bytes`, starting from `seed` (0 gives the plain CRC-32).
pub fn crc32(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// CRC-32 of several slices as if they were one.
pub fn crc32_parts(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_value_and_parts_agree() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32_parts(7, &[b"1234", b"56789"]), crc32(7, b"123456789"));
        assert_ne!(crc32(7, b"123456789"), crc32(0, b"123456789"));
    }
}
