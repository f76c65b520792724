//! Gorilla, written from its paper (T. Pelkonen et al., "Gorilla: a fast, scalable, in-memory time
//! series database", VLDB 2015, section 4.1): timestamps and values as two columns.
//!
//! Input: a column. Output: its bits: differences of differences in 1, 9, 12, 16 or 36 bits (68 for
//! those beyond 32 bits, which the paper has not), XORs of values in windows of significant bits.
//! The times are milliseconds where all are whole ones, as the caller says.

use crate::bitstream::{BitReader, BitWriter};
use crate::codec::{Codec, Column, Decoded};

/// The value column.
pub(crate) struct Values;

impl Codec for Values {
    fn name(&self) -> &'static str {
        "gorilla"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let mut writer = BitWriter::new(out);
        let mut window = Window::default();
        for (index, value) in column.values.iter().enumerate() {
            window.put(&mut writer, value.to_bits(), index == 0);
        }
        writer.finish();
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        let mut reader = BitReader::new(bytes);
        let mut window = Window::default();
        let bits = (0..count).map(|index| window.take(&mut reader, index == 0));
        out.values.extend(bits.map(f64::from_bits));
    }
}

/// The last value and the window of its significant bits.
#[derive(Default)]
pub(crate) struct Window {
    bits: u64,
    lead: u32,
    len: u32,
}

impl Window {
    #[inline(always)]
    pub(crate) fn put(&mut self, writer: &mut BitWriter<'_>, bits: u64, is_first: bool) {
        if is_first {
            self.bits = bits;
            return writer.put(bits, 64);
        }
        let xor = bits ^ self.bits;
        self.bits = bits;
        if xor == 0 {
            return writer.put(0, 1);
        }
        let lead = xor.leading_zeros().min(31);
        let len = 64 - lead - xor.trailing_zeros();
        let trail = 64 - self.lead - self.len;
        if self.len > 0 && lead >= self.lead && xor.trailing_zeros() >= trail {
            writer.put(0b10, 2);
            return writer.put(xor >> trail, self.len);
        }
        (self.lead, self.len) = (lead, len);
        // 64 significant bits are written as 0: there are never none.
        writer.put(0b11 << 11 | u64::from(lead) << 6 | u64::from(len & 63), 13);
        writer.put(xor >> xor.trailing_zeros(), len);
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, reader: &mut BitReader<'_>, is_first: bool) -> u64 {
        if is_first {
            self.bits = reader.take(64);
            return self.bits;
        }
        match reader.ones(2) {
            0 => return self.bits,
            1 => {}
            _ => {
                let head = reader.take(11) as u32;
                self.lead = head >> 6;
                self.len = (head & 63).wrapping_sub(1) % 64 + 1;
            }
        }
        self.bits ^= reader.take(self.len) << (64 - self.lead - self.len);
        self.bits
    }
}

/// The timestamp column.
pub(crate) struct Times;

/// Control bits, how many, and the bits of the difference of differences behind them.
const BUCKETS: [(u64, u32, u32); 5] = [
    (0b10, 2, 7),
    (0b110, 3, 9),
    (0b1110, 4, 12),
    (0b11110, 5, 32),
    (0b11111, 5, 64),
];

impl Codec for Times {
    fn name(&self) -> &'static str {
        "gorilla"
    }

    fn encode(&mut self, column: Column<'_>, out: &mut Vec<u8>) {
        let mut writer = BitWriter::new(out);
        let (mut last, mut delta) = (0i64, 0i64);
        for (index, &time) in column.millis.iter().enumerate() {
            let step = time.wrapping_sub(last);
            let dod = step.wrapping_sub(delta);
            (last, delta) = (time, step);
            if index == 0 {
                delta = 0;
                writer.put(time as u64, 64);
            } else if dod == 0 {
                writer.put(0, 1);
            } else {
                let fits =
                    |&(_, _, bits): &(u64, u32, u32)| dod << (64 - bits) >> (64 - bits) == dod;
                let found = BUCKETS.into_iter().find(fits);
                let (control, control_bits, bits) = found.unwrap_or(BUCKETS[4]);
                writer.put(control, control_bits);
                writer.put(dod as u64, bits);
            }
        }
        writer.finish();
    }

    fn decode(&mut self, bytes: &[u8], count: usize, out: &mut Decoded) {
        let mut reader = BitReader::new(bytes);
        let (mut time, mut delta) = (0i64, 0i64);
        out.times.reserve(count);
        for index in 0..count {
            if index == 0 {
                time = reader.take(64) as i64;
            } else {
                let dod = match reader.ones(5) {
                    0 => 0,
                    ones => reader.signed(BUCKETS[ones as usize - 1].2),
                };
                delta = delta.wrapping_add(dod);
                time = time.wrapping_add(delta);
            }
            out.times.push(time);
        }
    }
}
