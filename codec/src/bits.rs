//! Bit streams, least significant bit first: a writer that grows gently and a reader of any bytes.
//!
//! The writer keeps up to 63 bits outside of its buffer, so that an append is mostly a shift and an
//! or. The reader hands out zeros beyond its end and tells so by [`BitReader::is_overrun`]; its
//! caller checks once per sample instead of once per bit field.

/// Appends bit fields to a buffer that starts empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct BitWriter {
    buffer: Vec<u8>,
    pending: u64,
    /// Bits used in `pending`, always below 64.
    fill: u8,
}

impl BitWriter {
    pub(crate) const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            pending: 0,
            fill: 0,
        }
    }

    /// Appends the low `bits` (at most 64) bits of `value`; the others must be zero.
    #[inline]
    pub(crate) fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= 64 && (bits == 64 || value >> bits == 0));
        let fill = u32::from(self.fill);
        self.pending |= value << fill;
        let total = fill + bits;
        if total < 64 {
            self.fill = total as u8;
        } else {
            self.flush_word();
            // `checked_shr` because a whole word put at fill 0 leaves nothing over.
            self.pending = value.checked_shr(64 - fill).unwrap_or(0);
            self.fill = (total - 64) as u8;
        }
    }

    fn flush_word(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < 8 {
            // Half again, in multiples of 8: a million short streams must not waste half of theirs.
            let more = (self.buffer.len() / 2).next_multiple_of(8).max(16);
            self.buffer.reserve_exact(more);
        }
        self.buffer.extend_from_slice(&self.pending.to_le_bytes());
    }

    /// The first whole word put, for a writer whose first field has 64 bits.
    pub(crate) fn first_word(&self) -> Option<u64> {
        self.buffer
            .first_chunk::<8>()
            .map(|word| u64::from_le_bytes(*word))
    }

    /// Bytes that [`Self::write_to`] appends.
    pub(crate) fn byte_len(&self) -> usize {
        self.buffer.len() + usize::from(self.fill.div_ceil(8))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Appends everything put so far, padded with zeros to a whole byte.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer);
        let tail = usize::from(self.fill.div_ceil(8));
        out.extend(self.pending.to_le_bytes().iter().take(tail));
    }
}

/// The 64 bits at `byte`, zeros beyond the end.
#[inline]
fn load(bytes: &[u8], byte: usize) -> u64 {
    match bytes.get(byte..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(word) => u64::from_le_bytes(*word),
        None => load_tail(bytes, byte),
    }
}

#[cold]
fn load_tail(bytes: &[u8], byte: usize) -> u64 {
    let rest = bytes.get(byte..).unwrap_or_default();
    rest.iter()
        .take(8)
        .rev()
        .fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Reads bit fields; beyond the end of its input all bits are zero.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bit that comes next.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Moves to a bit.
    pub(crate) fn set_position(&mut self, position: usize) {
        self.position = position;
    }

    /// The next 57 bits or more, in the low bits, without moving.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        load(self.bytes, self.position / 8) >> (self.position % 8)
    }

    /// Moves over `bits` bits.
    #[inline]
    pub(crate) fn skip(&mut self, bits: u32) {
        self.position += bits as usize;
    }

    /// The next `bits` (at most 57) bits.
    #[inline]
    pub(crate) fn take(&mut self, bits: u32) -> u64 {
        debug_assert!(bits <= 57);
        let value = self.peek() & ((1 << bits) - 1);
        self.skip(bits);
        value
    }

    /// The next `bits` (at most 64) bits.
    #[inline]
    pub(crate) fn take_wide(&mut self, bits: u32) -> u64 {
        if bits <= 57 {
            return self.take(bits);
        }
        let low = self.take(32);
        low | self.take(bits - 32) << 32
    }

    /// The bytes from the one on that holds the next bit.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position / 8..).unwrap_or_default()
    }

    /// Whether more bits were read than there are.
    #[inline]
    pub(crate) fn is_overrun(&self) -> bool {
        self.position > self.bytes.len() * 8
    }

    /// Bytes of which at least one bit was read.
    pub(crate) fn bytes_used(&self) -> usize {
        self.position.div_ceil(8)
    }

    /// Offset of the byte that holds the next bit.
    pub(crate) fn offset(&self) -> usize {
        self.position / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back(fields in prop::collection::vec((any::<u64>(), 0u32..=64), 0..200)) {
            let mut writer = BitWriter::new();
            let mask = |bits: u32| u64::MAX.checked_shl(bits).map_or(u64::MAX, |above| !above);
            let masked = |value: u64, bits: u32| value & mask(bits);
            for &(value, bits) in &fields {
                writer.put(masked(value, bits), bits);
            }
            let mut bytes = Vec::new();
            writer.write_to(&mut bytes);
            prop_assert_eq!(bytes.len(), writer.byte_len());
            let mut reader = BitReader::new(&bytes);
            for &(value, bits) in &fields {
                prop_assert_eq!(reader.take_wide(bits), masked(value, bits));
            }
            prop_assert!(!reader.is_overrun());
            prop_assert_eq!(reader.position.div_ceil(8), bytes.len());
            reader.skip(64);
            prop_assert!(reader.is_overrun());
            prop_assert_eq!(reader.peek(), 0);
        }
    }

    #[test]
    fn a_new_writer_holds_no_memory_and_grows_by_half() {
        let mut writer = BitWriter::new();
        assert_eq!(writer.heap_bytes(), 0);
        for _ in 0..1000 {
            writer.put(u64::MAX, 64);
            assert!(writer.heap_bytes() <= writer.byte_len() * 3 / 2 + 16);
        }
        assert_eq!(writer.first_word(), Some(u64::MAX));
    }
}
