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
use crate::state::{self, Event, State};
use crate::tag::{self, Tag};
use crate::varint::{Reader, put_u64};

/// A decimal scale is left for a lower one after so many values in a row that would fit it.
const ZEROS_BEFORE_RESCALE: u8 = 24;
/// Misfit credit at which the encoder changes its mode; a misfit adds two, a fit takes one.
const ODD_BEFORE_SWITCH: u8 = 4;

/// Zeros from which on samples are decoded as a run; for shorter ones that would only cost guesses.
const LONG_RUN: u64 = 0xff;

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
        if self.count == 0 {
            self.writer.put(timestamp as u64, 64);
            self.state.timestamp = timestamp;
            self.writer.put(u64::from(!same), 1);
        } else {
            let dod = self.state.advance_to(timestamp);
            match (dod, same) {
                (0, true) => self.writer.put(0b0, 1),
                (0, false) => self.writer.put(0b01, 2),
                _ => {
                    self.writer.put(0b11, 2);
                    state::put_time(&mut self.writer, &mut self.state, dod);
                    self.writer.put(u64::from(!same), 1);
                }
            }
        }
        if !same {
            self.push_changed(value);
        }
        self.count = self.count.saturating_add(1);
    }

    fn push_changed(&mut self, value: f64) {
        let bits = value.to_bits();
        if bits == STALE_MARKER_BITS {
            state::put_event(&mut self.writer, &self.state, Event::Stale);
        } else if self.state.floating {
            self.push_float(value);
        } else {
            match decimal::to_int(value, self.state.scale) {
                Some(int) => self.push_int(int),
                None => self.push_misfit(value),
            }
        }
        self.state.bits = bits;
    }

    #[inline]
    fn push_int(&mut self, int: i64) {
        self.odd = self.odd.saturating_sub(1);
        if self.state.scale > 0 {
            self.zeros = if int % 10 == 0 { self.zeros + 1 } else { 0 };
            if self.zeros >= ZEROS_BEFORE_RESCALE {
                self.rescale(self.state.scale - 1);
                return state::put_int(&mut self.writer, &mut self.state, int / 10);
            }
        }
        state::put_int(&mut self.writer, &mut self.state, int);
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
                state::put_int(&mut self.writer, &mut self.state, int);
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
                    return state::put_int(&mut self.writer, &mut self.state, int);
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
    tag::expect(&mut reader, Tag::Stream)?;
    let most = bytes.len().saturating_mul(MAX_STREAM_SAMPLES_PER_BYTE);
    let count = reader.length(most, "more samples than the stream has bits")?;
    Ok((count, reader.rest(), reader.offset()))
}

/// Appends the samples of a stream to `timestamps` and `values`; returns how many there are.
///
/// At most [`MAX_STREAM_SAMPLES_PER_BYTE`] samples per input byte are allocated.
///
/// # Errors
/// Any [`Error`] but `Checksum`; the outputs then hold the samples before the damage.
pub fn decode_stream(
    bytes: &[u8],
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<usize> {
    let (count, payload, base) = open(bytes)?;
    timestamps.reserve(count);
    values.reserve(count);
    let mut reader = BitReader::new(payload);
    let mut state = State::new();
    let mut left = count;
    while left > 0 {
        // A zero bit is a whole sample: the same step, the same value.
        if left < count && reader.peek() & LONG_RUN == 0 {
            let run = reader.take_zeros(left);
            if run == 0 {
                return Err(Error::Truncated {
                    offset: bytes.len(),
                });
            }
            left -= run;
            timestamps.extend((0..run).map(|_| state.advance_by(0)));
            values.extend(std::iter::repeat_n(f64::from_bits(state.bits), run));
            continue;
        }
        let first = left == count;
        state::read_sample(&mut reader, &mut state, first).map_err(|e| e.shifted(base))?;
        timestamps.push(state.timestamp);
        values.push(f64::from_bits(state.bits));
        left -= 1;
    }
    Ok(count)
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
