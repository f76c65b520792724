//! Bit streams with the most significant bit first, as Gorilla and Prometheus write them.
//!
//! Input: fields of up to 64 bits. Output: bytes, and the fields again. The reader hands out zeros
//! beyond its end: rivals are only ever given what they wrote, and everything is compared.

/// Appends bit fields to bytes.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    fill: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            pending: 0,
            fill: 0,
        }
    }

    /// The low `bits` (1 to 64) bits of `value`; the others are ignored.
    #[inline(always)]
    pub(crate) fn put(&mut self, value: u64, bits: u32) {
        let value = value & (u64::MAX >> (64 - bits));
        let free = 64 - self.fill;
        if bits < free {
            self.pending |= value << (free - bits);
            self.fill += bits;
        } else {
            let over = bits - free;
            self.pending |= value >> over;
            self.out.extend_from_slice(&self.pending.to_be_bytes());
            self.pending = if over == 0 { 0 } else { value << (64 - over) };
            self.fill = over;
        }
    }

    /// Writes what is pending, padded with zeros to a whole byte.
    pub(crate) fn finish(self) {
        let bytes = self.fill.div_ceil(8) as usize;
        self.out
            .extend_from_slice(&self.pending.to_be_bytes()[..bytes]);
    }
}

/// Reads bit fields. What comes next lies in a word, so that a field does not wait for memory.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The byte behind those that `fill` counts.
    next: usize,
    /// The next bits, the first one highest; below the `fill` ones that count lie those that a
    /// refill would bring.
    word: u64,
    fill: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            next: 0,
            word: 0,
            fill: 0,
        }
    }

    /// Fills the word to 56 bits or more.
    #[inline(always)]
    fn refill(&mut self) {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let ahead = match rest.first_chunk::<8>() {
            Some(word) => u64::from_be_bytes(*word),
            None => tail(rest),
        };
        self.word |= ahead >> self.fill;
        let taken = (63 - self.fill) / 8;
        self.next += taken as usize;
        self.fill += taken * 8;
    }

    /// The next `bits` (1 to 64) bits.
    #[inline(always)]
    pub(crate) fn take(&mut self, bits: u32) -> u64 {
        if bits > 56 {
            let high = self.take(32);
            return high << (bits - 32) | self.take(bits - 32);
        }
        if self.fill < bits {
            self.refill();
        }
        let value = self.word >> (64 - bits);
        self.word <<= bits;
        self.fill -= bits;
        value
    }

    /// The next `bits` bits as a signed number.
    #[inline(always)]
    pub(crate) fn signed(&mut self, bits: u32) -> i64 {
        (self.take(bits) << (64 - bits)) as i64 >> (64 - bits)
    }

    /// The ones that come next, at most `most` (below 8), and the zero behind them if there are
    /// fewer.
    #[inline(always)]
    pub(crate) fn ones(&mut self, most: u32) -> u32 {
        if self.fill < 8 {
            self.refill();
        }
        if self.word >> 63 == 0 {
            self.word <<= 1;
            self.fill -= 1;
            return 0;
        }
        let ones = (!self.word).leading_zeros().min(most);
        let used = ones + u32::from(ones < most);
        self.word <<= used;
        self.fill -= used;
        ones
    }
}

/// Fewer than 8 bytes, with zeros behind them.
#[cold]
fn tail(rest: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_widths_come_back() {
        let fields: Vec<(u64, u32)> = (1..=64u32)
            .chain([1, 64, 64, 3])
            .map(|bits| (0x9e37_79b9_7f4a_7c15 >> (64 - bits), bits))
            .collect();
        let mut bytes = Vec::new();
        let mut writer = BitWriter::new(&mut bytes);
        for &(value, bits) in &fields {
            writer.put(value, bits);
        }
        writer.put(0b1110, 4);
        writer.finish();
        let mut reader = BitReader::new(&bytes);
        for (value, bits) in fields {
            assert_eq!(reader.take(bits), value);
        }
        assert_eq!(reader.ones(5), 3);
    }
}
