//! Lengths and numbers in front of a slice, read where every nanosecond counts.
//!
//! Input: bytes that this crate wrote into memory, or any others. Output: what they hold, or
//! `None`. The common case, one byte, is inlined; offsets for errors are the business of
//! `treering_codec::varint::Reader`, which file bytes are read with.

/// Reads a LEB128 number and moves `bytes` behind it.
#[inline(always)]
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    long_varint(bytes)
}

fn long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

/// Reads bytes preceded by their length and moves `bytes` behind them.
#[inline(always)]
pub(crate) fn slice<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint(bytes)?).ok()?;
    let (slice, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(slice)
}

/// Bytes as text that is known to be UTF-8, or to be checked: "" where it is not.
#[inline(always)]
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use treering_codec::varint::{Reader, put_bytes, put_u64};

    proptest! {
        #[test]
        fn reads_what_the_codec_writes(any: u64, tail: Vec<u8>) {
            let number = any >> (any % 64);
            let mut written = Vec::new();
            put_u64(&mut written, number);
            put_bytes(&mut written, &tail);
            let mut rest = written.as_slice();
            let expected = Some(number).filter(|number| *number < 1 << 63);
            prop_assert_eq!(varint(&mut rest), expected);
            if expected.is_some() {
                prop_assert_eq!(slice(&mut rest), Some(tail.as_slice()));
                prop_assert!(rest.is_empty());
            }
        }

        #[test]
        fn agrees_with_the_codec_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = bytes.as_slice();
            let mut reader = Reader::new(&bytes);
            if let Some(number) = varint(&mut rest) {
                prop_assert_eq!(reader.varint().ok(), Some(number));
                prop_assert_eq!(reader.rest(), rest);
            }
        }
    }
}
