//! The head's streaming encoder: samples in one at a time, readable while it is written.
//!
//! Output: a tag byte, the count, then one bit stream of which every sample appends a few bits
//! (docs/format/chunk.md draws them). The state that the meaning of the next bits depends on is
//! [`State`]; encoder and decoder move it by the same code, so nothing but the bits is stored.
//!
//! Sources: delta of delta and XOR windows from T. Pelkonen et al., "Gorilla", VLDB 2015; integers
//! over a power of ten and time units from M3's M3TSZ; Golomb-Rice residuals with an adaptive
//! parameter from R. F. Rice, JPL 79-22 (1979). Unlike M3TSZ a value becomes an integer only when
//! the inverse division gives the same bits.

use crate::bits::{BitReader, BitWriter};
use crate::decimal;
use crate::error::{Error, Result};
use crate::limits::MAX_STREAM_SAMPLES_PER_BYTE;
use crate::sample::{STALE_MARKER_BITS, Sample, ValueKind};
use crate::simd::Level;
use crate::state::{self, Event, State};
use crate::tag::{self, Tag};
use crate::varint::{Reader, put_u64};

/// A decimal scale is left for a lower one after so many values in a row that would fit it.
const ZEROS_BEFORE_RESCALE: u8 = 24;
/// Misfit credit at which the encoder changes its mode; a misfit adds two, a fit takes one.
const ODD_BEFORE_SWITCH: u8 = 4;

/// No bits before a value's code.
const NO_HEAD: (u64, u32) = (0, 0);

/// Last bytes of a stream, which are copied to be read eight at a time.
const TAIL: usize = 24;

/// Encodes samples one at a time; any order of timestamps round-trips, in order is short and fast.
#[derive(Debug, Clone, Default)]
pub struct StreamEncoder {
    writer: BitWriter,
    state: State,
    count: u32,
    /// Credit towards a change between integers and floats.
    odd: u8,
    /// Integers: values in a row whose last digit is zero. Floats: the scale to look for.
    zeros: u8,
}

impl StreamEncoder {
    /// An empty stream, which holds no heap memory.
    pub const fn new() -> Self {
        Self {
            writer: BitWriter::new(),
            state: State::new(),
            count: 0,
            odd: 0,
            zeros: 0,
        }
    }

    /// Appends a sample: any timestamp, any value, in constant time.
    #[inline]
    pub fn push(&mut self, timestamp: i64, value: f64) {
        let same = value.to_bits() == self.state.bits;
        let changed = u64::from(!same);
        let head = if self.count == 0 {
            self.writer.put(timestamp as u64, 64);
            self.state.timestamp = timestamp;
            (changed, 1)
        } else {
            match self.state.advance_to(timestamp) {
                // A 0, or a 1 and a 0.
                0 => (changed, 1 + changed as u32),
                dod => {
                    let (code, bits) = state::time_code(&mut self.writer, &mut self.state, dod);
                    (code | changed << bits, bits + 1)
                }
            }
        };
        if same {
            self.writer.put(head.0, head.1);
        } else {
            self.push_changed(value, head);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Appends the bits of `head`, which are not yet written, and a value.
    fn push_changed(&mut self, value: f64, head: (u64, u32)) {
        let bits = value.to_bits();
        if !self.state.floating
            && bits != STALE_MARKER_BITS
            && let Some(int) = decimal::to_int(value, self.state.scale)
        {
            self.push_int(int, head);
        } else {
            self.writer.put(head.0, head.1);
            self.push_other(value);
        }
        self.state.bits = bits;
    }

    /// A value that is no integer of the present scale.
    #[inline(never)]
    fn push_other(&mut self, value: f64) {
        if value.to_bits() == STALE_MARKER_BITS {
            state::put_event(&mut self.writer, &self.state, Event::Stale);
        } else if self.state.floating {
            self.push_float(value);
        } else {
            self.push_misfit(value);
        }
    }

    #[inline]
    fn push_int(&mut self, int: i64, head: (u64, u32)) {
        self.odd = self.odd.saturating_sub(1);
        if self.state.scale > 0 {
            self.zeros = if int % 10 == 0 { self.zeros + 1 } else { 0 };
            if self.zeros >= ZEROS_BEFORE_RESCALE {
                self.writer.put(head.0, head.1);
                self.rescale(self.state.scale - 1);
                return state::put_int(&mut self.writer, &mut self.state, int / 10, NO_HEAD);
            }
        }
        state::put_int(&mut self.writer, &mut self.state, int, head);
    }

    /// A value that is no integer at the present scale: an exception, or the first of a new kind.
    #[cold]
    fn push_misfit(&mut self, value: f64) {
        self.odd += 2;
        let patient = self.count > 0 && self.odd < ODD_BEFORE_SWITCH;
        if patient {
            return state::put_odd(&mut self.writer, &self.state, value.to_bits());
        }
        self.odd = 0;
        let found = decimal::find(value, 0, decimal::MAX_SCALE)
            .filter(|&(_, scale)| scale > self.state.scale);
        match found {
            Some((int, scale)) => {
                self.rescale(scale);
                state::put_int(&mut self.writer, &mut self.state, int, NO_HEAD);
            }
            None => {
                state::put_event(&mut self.writer, &self.state, Event::Floats);
                self.zeros = self.state.scale;
                self.state.start_floats();
                state::put_xor(&mut self.writer, &mut self.state, value.to_bits());
            }
        }
    }

    fn rescale(&mut self, scale: u8) {
        self.zeros = 0;
        state::put_event(&mut self.writer, &self.state, Event::Rescale(scale));
        self.state.rescale(scale);
    }

    fn push_float(&mut self, value: f64) {
        if self.count.is_multiple_of(16)
            && let Some((_, scale)) = decimal::find(value, 0, 12)
        {
            self.zeros = scale;
        }
        match decimal::to_int(value, self.zeros) {
            Some(int) => {
                self.odd += 1;
                if self.odd >= ODD_BEFORE_SWITCH {
                    self.odd = 0;
                    state::put_event(&mut self.writer, &self.state, Event::Ints(self.zeros));
                    self.state.start_ints(self.zeros);
                    self.zeros = 0;
                    return state::put_int(&mut self.writer, &mut self.state, int, NO_HEAD);
                }
            }
            None => self.odd = 0,
        }
        state::put_xor(&mut self.writer, &mut self.state, value.to_bits());
    }

    /// Samples pushed.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Timestamp of the first sample pushed, in nanoseconds.
    pub fn first_timestamp(&self) -> Option<i64> {
        self.writer.first_word().map(|word| word as i64)
    }

    /// Timestamp of the last sample pushed, in nanoseconds.
    pub fn last_timestamp(&self) -> Option<i64> {
        (self.count > 0).then_some(self.state.timestamp)
    }

    /// Value of the last sample pushed.
    pub fn last_value(&self) -> Option<f64> {
        (self.count > 0).then_some(f64::from_bits(self.state.bits))
    }

    /// Bytes on the heap; the size of the encoder itself is not among them.
    pub fn heap_bytes(&self) -> usize {
        self.writer.heap_bytes()
    }

    /// Bytes that [`Self::snapshot`] returns now.
    pub fn encoded_bytes(&self) -> usize {
        1 + varint_len(self.count) + self.writer.byte_len()
    }

    /// A self-contained copy of what was pushed: one allocation and one copy of the bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        self.snapshot_into(&mut out);
        out
    }

    /// Appends what [`Self::snapshot`] returns to `out`.
    pub fn snapshot_into(&self, out: &mut Vec<u8>) {
        out.push(tag::byte(Tag::Stream, ValueKind::F64));
        put_u64(out, u64::from(self.count));
        self.writer.write_to(out);
    }

    /// The stream's bytes.
    pub fn finish(self) -> Box<[u8]> {
        self.snapshot().into_boxed_slice()
    }

    /// The stream's bytes; leaves an empty encoder.
    pub fn take(&mut self) -> Box<[u8]> {
        std::mem::take(self).finish()
    }
}

fn varint_len(value: u32) -> usize {
    (32 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Reads the head of a stream: the count, the bit stream, and its offset.
fn open(bytes: &[u8]) -> Result<(usize, &[u8], usize)> {
    let mut reader = Reader::new(bytes);
    tag::read_stream(&mut reader)?;
    let most = bytes.len().saturating_mul(MAX_STREAM_SAMPLES_PER_BYTE);
    let count = reader.length(most, "more samples than the stream has bits")?;
    Ok((count, reader.rest(), reader.offset()))
}

/// Appends the samples of a stream to `timestamps` and `values`; returns how many there are.
///
/// At most [`MAX_STREAM_SAMPLES_PER_BYTE`] samples per input byte are allocated.
///
/// # Errors
/// Any [`Error`] but `Checksum`; the outputs then hold the samples before the damage. Bytes behind
/// the last sample are passed over.
pub fn decode_stream(
    bytes: &[u8],
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<usize> {
    let (count, payload, base) = open(bytes)?;
    let starts = (timestamps.len(), values.len());
    timestamps.resize(starts.0 + count, 0);
    values.resize(starts.1 + count, 0.0);
    let times = timestamps.get_mut(starts.0..).unwrap_or_default();
    let floats = values.get_mut(starts.1..).unwrap_or_default();
    let (done, decoded) = decode(Level::detect(), payload, times, floats);
    timestamps.truncate(starts.0 + done);
    values.truncate(starts.1 + done);
    decoded.map(|()| count).map_err(|error| error.shifted(base))
}

/// Decodes samples into both columns, which have as many places, all zero; returns how many before
/// damage.
fn decode(
    level: Level,
    payload: &[u8],
    times: &mut [i64],
    values: &mut [f64],
) -> (usize, Result<()>) {
    let mut reader = BitReader::new(payload);
    let mut state = State::new();
    let mut done = 0;
    while done < times.len() {
        if let Err(error) = state::read_sample(&mut reader, &mut state, done == 0) {
            return (done, Err(error));
        }
        times[done] = state.timestamp;
        values[done] = f64::from_bits(state.bits);
        done += 1;
        let (times, values) = (&mut times[done..], &mut values[done..]);
        let mut position = reader.position();
        let read = level.replay(payload, &mut position, &mut state, times, values);
        reader.set_position(position);
        done += read;
        let (times, values) = (&mut times[read..], &mut values[read..]);
        done += replay_tail(level, &mut reader, &mut state, times, values);
    }
    (done, Ok(()))
}

/// Where the fast way needs bytes beyond the end, gives it zeros; what it then made of those is
/// not counted.
fn replay_tail(
    level: Level,
    reader: &mut BitReader<'_>,
    state: &mut State,
    times: &mut [i64],
    values: &mut [f64],
) -> usize {
    let start = reader.position() / 8;
    let rest = reader.rest();
    let mut padded = [0; TAIL + 8];
    let Some(tail) = padded.get_mut(..rest.len()).filter(|_| rest.len() <= TAIL) else {
        return 0;
    };
    tail.copy_from_slice(rest);
    let mut position = reader.position() % 8;
    let mut after = *state;
    let done = level.replay(&padded, &mut position, &mut after, times, values);
    if position > 8 * rest.len() {
        times[..done].fill(0);
        return 0;
    }
    reader.set_position(8 * start + position);
    *state = after;
    done
}

/// Iterates over the samples of a stream; ends after the first error.
#[derive(Debug, Clone)]
pub struct StreamReader<'a> {
    reader: BitReader<'a>,
    state: State,
    base: usize,
    left: usize,
    first: bool,
}

impl<'a> StreamReader<'a> {
    /// A reader of the stream `bytes`.
    ///
    /// # Errors
    /// [`Error`] when the head of the stream is damaged or of another kind.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (left, payload, base) = open(bytes)?;
        Ok(Self {
            reader: BitReader::new(payload),
            state: State::new(),
            base,
            left,
            first: true,
        })
    }

    /// Samples not yet read.
    pub fn remaining(&self) -> usize {
        self.left
    }
}

impl Iterator for StreamReader<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match state::read_sample(&mut self.reader, &mut self.state, self.first) {
            Ok(()) => {
                self.first = false;
                Some(Ok(Sample::new(
                    self.state.timestamp,
                    f64::from_bits(self.state.bits),
                )))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(Error::shifted(error, self.base)))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Samples that change step, kind, scale and slope from time to time.
    fn stream(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed | 1);
            (state >> 33) % below
        };
        let (mut time, mut step, mut walk) = (0i64, 1_000_000_000i64, 0i64);
        let (mut jitter, mut kind, mut wild) = (1, 0, 4);
        let mut encoder = StreamEncoder::new();
        for _ in 0..count {
            match random(60) {
                0 => step = 1_000_003 * random(5_000) as i64,
                1 => jitter = [1, 3, 40, 100_000][random(4) as usize],
                2 | 3 => kind = random(6),
                4 => wild = [4, 60, 1 << 30][random(3) as usize],
                _ => {}
            }
            time += step + random(jitter) as i64 * 1_000_000;
            walk += random(wild) as i64 - wild as i64 / 2;
            let value = match (kind, random(30)) {
                (_, 0) => f64::from_bits(STALE_MARKER_BITS),
                (_, 1) => f64::from_bits(random(u64::MAX) << 31),
                (0, _) => 7.5,
                (1, _) => walk as f64,
                (2, _) => walk as f64 / 100.0,
                (3, _) => walk as f64 * 0.1 + 0.2,
                (4, _) => (walk / 64) as f64,
                _ => f64::from_bits(1f64.to_bits() + (random(1 << 30) << 20)),
            };
            encoder.push(time, value);
        }
        encoder.snapshot()
    }

    /// What every level makes of `bytes` must be what one sample after the other is.
    fn check(bytes: &[u8]) {
        let Ok((count, payload, base)) = open(bytes) else {
            return;
        };
        let (mut plain, mut error) = (Vec::new(), None);
        for sample in StreamReader::new(bytes).unwrap() {
            match sample {
                Ok(sample) => plain.push((sample.timestamp, sample.value.to_bits())),
                Err(found) => error = Some(found),
            }
        }
        for level in Level::all() {
            let (mut times, mut values) = (vec![0; count], vec![0.0; count]);
            let (done, decoded) = decode(level, payload, &mut times, &mut values);
            let bits = values.iter().map(|value| value.to_bits());
            let found: Vec<(i64, u64)> = times.iter().copied().zip(bits).take(done).collect();
            assert!(found == plain, "{level:?}: other samples of {bytes:?}");
            assert_eq!(decoded.err().map(|e| e.shifted(base)), error, "{level:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn the_fast_way_reads_what_the_slow_way_reads(
            seed: u64,
            count in 0usize..500,
            cut in 0usize..12,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = stream(seed, count);
            check(&bytes);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] ^= byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            check(&bytes);
        }

        #[test]
        fn any_bytes_are_read_alike(
            count in 0u64..2000,
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = vec![tag::byte(Tag::Stream, ValueKind::F64)];
            put_u64(&mut bytes, count);
            bytes.extend(payload);
            check(&bytes);
        }
    }
}
