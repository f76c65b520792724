//! Integers by entropy: which bin each is in, in fewer bits for the fuller bins, and where in it.
//!
//! Input of the writer: integers and their [`Bins`]. Input of [`CodedReader`]: any bytes. The bins
//! are coded by a table of states (tANS; J. Duda, "Asymmetric numeral systems", 2013), two states
//! taking turns so that one step need not wait for the other. Invariant: the reader makes no more
//! integers than it was asked for, and a table of at most 2^10 states.
//!
//! Layout, as one stream of bits: table bits:4, bins - 1 (gamma), length:7 and zigzag of the least
//! integer, then for each bin, after the first, its distance from the end of the bin before
//! (gamma), its width's change (gamma of the zigzag), and its weight - 1 (gamma; the last one's is
//! what remains); the two states; then for each integer its place in the bin and the bits that lead
//! to the next state.

use crate::bins::{Bin, Bins, MAX_BINS, MAX_OFFSET_BITS, MAX_TABLE_BITS, MIN_TABLE_BITS};
use crate::bits::{BitReader, BitWriter};
use crate::error::{Error, Result};
use crate::varint::{Reader, unzigzag, zigzag};

/// States that take turns.
const STATES: usize = 2;

/// Appends `values`, each of which must be in one of `bins`.
pub(crate) fn put(values: &[i64], bins: &Bins, out: &mut Vec<u8>) {
    let mut writer = BitWriter::new();
    put_bins(bins, &mut writer);
    let table = EncodeTable::new(bins);
    // A decoder goes through the states in the other direction.
    let mut fields = Vec::with_capacity(values.len());
    let size = 1u32 << bins.table_bits;
    let mut states = [size; STATES];
    for (index, &value) in values.iter().enumerate().rev() {
        let symbol = bins.bins.partition_point(|bin| bin.lower <= value) - 1;
        let bin = &bins.bins[symbol];
        let place = value.wrapping_sub(bin.lower) as u64;
        let state = &mut states[index % STATES];
        let (next, bits) = table.step(symbol, bin.weight, *state);
        let low = u64::from(*state) & ((1 << bits) - 1);
        fields.push((place | low << bin.bits, u32::from(bin.bits) + bits));
        *state = next;
    }
    for state in states {
        writer.put(u64::from(state - size), bins.table_bits.into());
    }
    for &(field, bits) in fields.iter().rev() {
        writer.put(field, bits);
    }
    writer.write_to(out);
}

fn put_bins(bins: &Bins, writer: &mut BitWriter) {
    writer.put(bins.table_bits.into(), 4);
    put_gamma(writer, bins.bins.len() as u64 - 1);
    let mut width = 0i64;
    let mut end = None;
    for (index, bin) in bins.bins.iter().enumerate() {
        match end {
            None => {
                let least = zigzag(bin.lower);
                let length = 64 - least.leading_zeros();
                writer.put(length.into(), 7);
                writer.put(least, length);
            }
            Some(end) => put_gamma(writer, bin.lower.wrapping_sub(end) as u64),
        }
        put_gamma(writer, zigzag(i64::from(bin.bits) - width));
        if index + 1 < bins.bins.len() {
            put_gamma(writer, u64::from(bin.weight) - 1);
        }
        width = bin.bits.into();
        end = Some(bin.lower.wrapping_add(1 << bin.bits));
    }
}

/// Elias' gamma code of `value` + 1, zeros first; `value` is below 2^56.
fn put_gamma(writer: &mut BitWriter, value: u64) {
    let bits = (value + 1).ilog2();
    writer.put(1 << bits, bits + 1);
    writer.put((value + 1) & ((1 << bits) - 1), bits);
}

/// What [`put_gamma`] wrote; some number when the bits are damaged.
fn read_gamma(reader: &mut BitReader<'_>) -> u64 {
    let zeros = reader.peek().trailing_zeros().min(56);
    reader.skip(zeros + 1);
    (reader.take(zeros) | 1 << zeros) - 1
}

/// Gives each position of the table to a bin, so that those of one bin lie far apart.
fn spread(bins: &[Bin], table_bits: u8, mut give: impl FnMut(usize, usize)) {
    let size = 1usize << table_bits;
    // Odd, so that every position is visited once.
    let step = (size >> 1) + (size >> 3) + 3;
    let mut position = 0;
    for (symbol, bin) in bins.iter().enumerate() {
        for _ in 0..bin.weight {
            give(position & (size - 1), symbol);
            position += step;
        }
    }
}

struct EncodeTable {
    /// The states after each bin: those of one bin side by side.
    next: Vec<u16>,
    /// Where those of a bin start.
    starts: Vec<usize>,
    table_bits: u8,
}

impl EncodeTable {
    fn new(bins: &Bins) -> Self {
        let mut owners = vec![0; 1 << bins.table_bits];
        spread(&bins.bins, bins.table_bits, |position, symbol| {
            owners[position] = symbol;
        });
        let mut start = 0;
        let starts: Vec<usize> = bins
            .bins
            .iter()
            .map(|bin| {
                start += usize::from(bin.weight);
                start - usize::from(bin.weight)
            })
            .collect();
        let mut fill = starts.clone();
        let mut next = vec![0; 1 << bins.table_bits];
        for (position, symbol) in owners.into_iter().enumerate() {
            next[fill[symbol]] = position as u16;
            fill[symbol] += 1;
        }
        Self {
            next,
            starts,
            table_bits: bins.table_bits,
        }
    }

    /// The state that a decoder comes from, and how many low bits of `state` it is to read.
    fn step(&self, symbol: usize, weight: u16, state: u32) -> (u32, u32) {
        let weight = u32::from(weight);
        let mut bits = state.ilog2() - weight.ilog2();
        bits -= u32::from(state >> bits < weight);
        let place = self.starts[symbol] + ((state >> bits) - weight) as usize;
        (u32::from(self.next[place]) + (1 << self.table_bits), bits)
    }
}

/// What a state means: a bin, and how to go on.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    lower: i64,
    /// The next state but for the bits that are read.
    base: u16,
    /// Bits read for the next state.
    bits: u8,
    /// Bits of the place in the bin.
    place_bits: u8,
}

/// Reads integers of a coded sequence.
#[derive(Debug, Clone)]
pub(crate) struct CodedReader<'a> {
    bits: BitReader<'a>,
    table: Vec<Entry>,
    states: [usize; STATES],
}

impl<'a> CodedReader<'a> {
    /// A reader of the coded integers at `reader`.
    pub(crate) fn new(reader: &Reader<'a>) -> Result<Self> {
        let mut bits = BitReader::new(reader.rest());
        let offset = reader.offset();
        let (bins, table_bits) =
            read_bins(&mut bits).map_err(|what| Error::Malformed { offset, what })?;
        let mut table = vec![Entry::default(); 1 << table_bits];
        spread(&bins, table_bits, |position, symbol| {
            if let (Some(entry), Some(bin)) = (table.get_mut(position), bins.get(symbol)) {
                // For now the bin; the rest below, in the order of the positions.
                (entry.lower, entry.place_bits, entry.base) = (bin.lower, bin.bits, symbol as u16);
            }
        });
        let mut numbers: Vec<u32> = bins.iter().map(|bin| bin.weight.into()).collect();
        for entry in &mut table {
            if let Some(number) = numbers.get_mut(usize::from(entry.base)) {
                let read = u32::from(table_bits) - number.ilog2();
                entry.bits = read as u8;
                entry.base = ((*number << read) - (1 << table_bits)) as u16;
                *number += 1;
            }
        }
        let states = [(); STATES].map(|()| bits.take(table_bits.into()) as usize);
        Ok(Self {
            bits,
            table,
            states,
        })
    }

    /// Reads as many integers as `out` has places.
    pub(crate) fn read(&mut self, reader: &Reader<'_>, out: &mut [i64]) -> Result<()> {
        let mask = self.table.len() - 1;
        let mut bits = self.bits.clone();
        let [mut one, mut two] = self.states;
        let mut pairs = out.chunks_exact_mut(2);
        let mut next = |state: &mut usize, value: &mut i64| {
            let entry = self.table.get(*state & mask).copied().unwrap_or_default();
            let word = bits.peek();
            let place = word & ((1 << entry.place_bits) - 1);
            let rest = word >> entry.place_bits & ((1 << entry.bits) - 1);
            *value = entry.lower.wrapping_add(place as i64);
            *state = usize::from(entry.base) + rest as usize;
            bits.skip(u32::from(entry.place_bits) + u32::from(entry.bits));
        };
        for pair in &mut pairs {
            if let [first, second] = pair {
                next(&mut one, first);
                next(&mut two, second);
            }
        }
        if let [last] = pairs.into_remainder() {
            next(&mut one, last);
            std::mem::swap(&mut one, &mut two);
        }
        (self.bits, self.states) = (bits, [one, two]);
        match self.bits.is_overrun() {
            true => Err(Error::Truncated {
                offset: reader.offset() + reader.remaining(),
            }),
            false => Ok(()),
        }
    }

    /// Bytes read so far, a part of one counted as a whole.
    pub(crate) fn bytes_used(&self) -> usize {
        self.bits.bytes_used()
    }
}

/// Reads what [`put_bins`] wrote, and refuses weights that do not fill the table.
fn read_bins(bits: &mut BitReader<'_>) -> std::result::Result<(Vec<Bin>, u8), &'static str> {
    let table_bits = bits.take(4) as u8;
    if !(MIN_TABLE_BITS..=MAX_TABLE_BITS).contains(&table_bits) {
        return Err("a table of states out of range");
    }
    let others = read_gamma(bits);
    if others >= MAX_BINS as u64 {
        return Err("too many bins");
    }
    let mut left = 1u64 << table_bits;
    let mut bins = Vec::with_capacity(others as usize + 1);
    let length = bits.take(7) as u32;
    if length > 64 {
        return Err("a number of more than 64 bits");
    }
    let mut lower = unzigzag(bits.take_wide(length));
    let mut width = 0i64;
    for index in 0..=others {
        if index > 0 {
            lower = lower.wrapping_add(read_gamma(bits) as i64);
        }
        width = width.wrapping_add(unzigzag(read_gamma(bits)));
        if !(0..=i64::from(MAX_OFFSET_BITS)).contains(&width) {
            return Err("a bin of a width out of range");
        }
        let weight = match index == others {
            true => left,
            false => read_gamma(bits) + 1,
        };
        if weight == 0 || weight > left || (weight == left && index < others) {
            return Err("weights of bins that do not fill their table");
        }
        left -= weight;
        bins.push(Bin {
            lower,
            bits: width as u8,
            weight: weight as u16,
        });
        lower = lower.wrapping_add(1 << width);
    }
    Ok((bins, table_bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let bins = Bins::of(values).unwrap();
        let mut bytes = vec![0xaa];
        put(values, &bins, &mut bytes);
        let length = bytes.len() - 1;
        // Other bytes follow, and must not matter.
        bytes.extend([0xff; 9]);
        let mut reader = Reader::new(&bytes);
        reader.u8().unwrap();
        let mut coded = CodedReader::new(&reader).unwrap();
        let mut back = vec![0; values.len()];
        for block in back.chunks_mut(128) {
            coded.read(&reader, block).unwrap();
        }
        assert_eq!(back, values);
        assert_eq!(coded.bytes_used(), length);
        length
    }

    proptest! {
        #[test]
        fn integers_come_back(values in prop::collection::vec(
            prop_oneof![-(1i64 << 44)..(1i64 << 44), -10i64..10, 1_000i64..1_100, Just(7)],
            1..400)) {
            round_trip(&values);
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..300) {
            let reader = Reader::new(&bytes);
            if let Ok(mut coded) = CodedReader::new(&reader) {
                prop_assert!(coded.table.len() <= 1 << MAX_TABLE_BITS);
                let _ = coded.read(&reader, &mut vec![0; count]);
            }
        }
    }

    #[test]
    fn rare_values_cost_the_frequent_ones_a_fraction_of_a_bit() {
        let values: Vec<i64> = (0..1024).map(|i| i64::from(i % 50 == 0) * 9).collect();
        let length = round_trip(&values);
        assert!(length < 32, "{length}");
    }

    #[test]
    fn a_cut_stream_is_refused() {
        let values: Vec<i64> = (0..300).map(|i| i * i % 97).collect();
        let mut bytes = Vec::new();
        put(&values, &Bins::of(&values).unwrap(), &mut bytes);
        for end in 0..bytes.len() {
            let reader = Reader::new(&bytes[..end]);
            let read = CodedReader::new(&reader)
                .and_then(|mut coded| coded.read(&reader, &mut vec![0; values.len()]));
            assert!(read.is_err(), "{end} of {}", bytes.len());
        }
    }
}
