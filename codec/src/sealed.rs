//! Value columns of sealed chunks: from bytes to floats.
//!
//! Input: the exact bytes of one chunk and the count of its timestamp column. Output: floats,
//! bit-exact, all or a range of them. Invariant: at most the asked number of values is appended,
//! and none when the bytes are damaged.

use crate::decimal::POW10;
use crate::error::{Error, Result};
use crate::extras::split_extras;
use crate::limits::{BLOCK_SAMPLES, MAX_CHUNK_SAMPLES, MAX_DICTIONARY};
use crate::portable::Form;
use crate::sequence::SequenceReader;
use crate::simd::Level;
use crate::tag::read_encoding;
use crate::varint::Reader;
use crate::{near, number, split, xor};
use std::ops::Range;

/// How the values of a chunk are encoded. Numbers on disk; never renumbered, at most 30.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Encoding {
    /// Eight bytes each.
    Raw = 0,
    /// One value for all.
    Constant = 1,
    /// XORs of neighbours, for floats without a pattern.
    Xor = 2,
    /// Integers over a power of ten.
    Decimal = 3,
    /// Integers over a power of ten, and how many ulps each value lies beside its decimal.
    DecimalUlps = 4,
    /// Few distinct values, and for each sample which of them.
    Dictionary = 5,
    /// The bits as integers in the order of the floats.
    Ordered = 6,
    /// Another encoding, of which some values are replaced (stale markers above all).
    Patched = 7,
    /// Integers over a power of ten, rounded to f32, and how many ulps of an f32 each value lies
    /// beside that.
    Decimal32 = 8,
    /// The first bits of the floats by a dictionary, the rest as is.
    Split = 9,
    /// Integers over a divisor that is no power of ten, and how many ulps each value lies beside.
    Quotient = 10,
}

impl Encoding {
    /// Every encoding, in the order of their numbers.
    pub const ALL: [Encoding; 11] = [
        Encoding::Raw,
        Encoding::Constant,
        Encoding::Xor,
        Encoding::Decimal,
        Encoding::DecimalUlps,
        Encoding::Dictionary,
        Encoding::Ordered,
        Encoding::Patched,
        Encoding::Decimal32,
        Encoding::Split,
        Encoding::Quotient,
    ];

    /// The encoding of the sealed chunk `bytes`, from its first byte; of one with extras that of
    /// its floats.
    ///
    /// # Errors
    /// [`Error`] when there is no byte, or it names an encoding or value kind not known here.
    pub fn of(bytes: &[u8]) -> Result<Encoding> {
        let (values, base) = floats_of(bytes)?;
        read_encoding(&mut Reader::new(values)).map_err(|error| error.shifted(base))
    }
}

/// The value of a chunk of [`Encoding::Constant`], `None` for other chunks: what answers for all of
/// its samples, together with [`crate::Stats::of_constant`], without decoding or statistics.
///
/// # Errors
/// [`Error`] when the bytes are damaged or of an encoding or value kind not known here.
pub fn constant_value(bytes: &[u8]) -> Result<Option<f64>> {
    let (values, base) = floats_of(bytes)?;
    let mut reader = Reader::new(values);
    let constant = match read_encoding(&mut reader) {
        Ok(Encoding::Constant) => number::read(&mut reader).map(Some),
        other => other.map(|_| None),
    };
    constant.map_err(|error| error.shifted(base))
}

/// The floats of a chunk, without the extras that may stand beside them, and where they begin.
fn floats_of(bytes: &[u8]) -> Result<(&[u8], usize)> {
    let (values, extras) = split_extras(bytes)?;
    let behind = extras.map_or(0, <[u8]>::len);
    Ok((values, bytes.len() - behind - values.len()))
}

/// Appends the `count` values of a chunk to `out`; `bytes` must be the whole chunk. Extras that it
/// may have are passed over, not read: see [`split_extras`](crate::split_extras).
///
/// Appends `count` values or, on an error, none.
///
/// # Errors
/// [`Error`] when `count` is above [`MAX_CHUNK_SAMPLES`], or the bytes are damaged, too long, of a
/// newer version, or show that they are not of `count` values: a constant, say, does not, so the
/// count has to come from where it was kept.
pub fn decode_values(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<()> {
    decode_values_range(bytes, count, 0..count, out)
}

/// Appends the values `range` of the `count` values of a chunk to `out`.
///
/// Decodes from the blocks of 128 samples that the range touches, where the encoding allows; XORs
/// and differences need all values before the range too. Appends `range.len()` values or none.
///
/// # Errors
/// As [`decode_values`], and when the range is not inside of the chunk.
pub fn decode_values_range(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    out: &mut Vec<f64>,
) -> Result<()> {
    check_range(count, &range)?;
    let (values, base) = floats_of(bytes)?;
    let start = out.len();
    let job = Job { count, range };
    let decoded = job.read_patched(Reader::new(values), out);
    if decoded.is_err() {
        out.truncate(start);
    }
    decoded.map_err(|error| error.shifted(base))
}

fn check_range(count: usize, range: &Range<usize>) -> Result<()> {
    if count > MAX_CHUNK_SAMPLES || range.start > range.end || range.end > count {
        return Err(Error::Malformed {
            offset: 0,
            what: "a range outside of the chunk",
        });
    }
    Ok(())
}

/// What is asked of a decoder.
struct Job {
    count: usize,
    range: Range<usize>,
}

impl Job {
    /// Decodes a chunk that may be patched.
    fn read_patched(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let encoding = read_encoding(&mut reader)?;
        if encoding != Encoding::Patched {
            return self.read_simple(encoding, reader, out, true);
        }
        let mut patches = reader;
        let number = reader.length(self.count, "more patches than samples")?;
        for _ in 0..number {
            reader.varint()?;
            number::read(&mut reader)?;
        }
        let start = out.len();
        let inner = read_encoding(&mut reader)?;
        self.read_simple(inner, reader, out, true)?;
        patches.varint()?;
        let mut position = 0usize;
        for index in 0..number {
            let offset = patches.offset();
            let gap = patches.length(self.count, "a patch beyond its chunk")?;
            position += gap + usize::from(index > 0);
            let value = number::read(&mut patches)?;
            if position >= self.count {
                return Err(Error::Malformed {
                    offset,
                    what: "a patch beyond its chunk",
                });
            }
            if self.range.contains(&position)
                && let Some(place) = out.get_mut(start + position - self.range.start)
            {
                *place = value;
            }
        }
        Ok(())
    }

    /// Decodes a chunk of one of the encodings that `nest` allows: a dictionary's own values must
    /// not be a dictionary, and patches must not be patched.
    fn read_simple(
        &self,
        encoding: Encoding,
        mut reader: Reader<'_>,
        out: &mut Vec<f64>,
        nest: bool,
    ) -> Result<()> {
        // Whole blocks are decoded, and cut to the range.
        out.reserve(self.touched().len() * BLOCK_SAMPLES);
        match encoding {
            Encoding::Raw => self.read_raw(reader, out),
            Encoding::Constant => {
                let value = number::read(&mut reader)?;
                Level::detect().extend_constant(value, self.range.len(), out);
                finished(&reader)
            }
            Encoding::Xor => xor::read(reader.rest(), self.count, self.range.clone(), out)
                .map_err(|error| error.shifted(reader.offset())),
            Encoding::Decimal => self.read_decimal(reader, out),
            Encoding::DecimalUlps => self.read_ulps(reader, out),
            Encoding::Dictionary if nest => self.read_dictionary(reader, out),
            Encoding::Ordered => self.read_sequence(reader, &Form::Ordered, out),
            Encoding::Decimal32 => self.read_decimal32(reader, out),
            Encoding::Split => self.read_split(reader, out),
            Encoding::Quotient => self.read_quotient(reader, out),
            Encoding::Dictionary | Encoding::Patched => {
                let offset = reader.offset();
                Err(Error::Malformed {
                    offset,
                    what: "encodings nested too deep",
                })
            }
        }
    }

    fn read_raw(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let (column, _) = reader.take(8 * self.count)?.as_chunks::<8>();
        let asked = column.get(self.range.clone()).unwrap_or_default();
        out.extend(
            asked
                .iter()
                .map(|word| f64::from_bits(u64::from_le_bytes(*word))),
        );
        finished(&reader)
    }

    /// Appends what `form` makes of the integers of the range; nothing follows them.
    fn read_sequence(&self, reader: Reader<'_>, form: &Form<'_>, out: &mut Vec<f64>) -> Result<()> {
        let start = out.len();
        let mut sequence = SequenceReader::new(reader, self.count)?;
        self.extend_touched(&mut sequence, form, out)?;
        self.trim(start, out);
        self.finish(sequence)
    }

    /// Appends the blocks that the range touches, whole.
    fn extend_touched(
        &self,
        sequence: &mut SequenceReader<'_>,
        form: &Form<'_>,
        out: &mut Vec<f64>,
    ) -> Result<()> {
        for _ in 0..self.range.start / BLOCK_SAMPLES {
            sequence.skip_block()?;
        }
        for _ in self.touched() {
            sequence.extend_f64(form, out)?;
        }
        Ok(())
    }

    /// The numbers of the blocks that the range touches.
    fn touched(&self) -> Range<usize> {
        self.range.start / BLOCK_SAMPLES..self.range.end.div_ceil(BLOCK_SAMPLES)
    }

    /// Leaves the range alone of the blocks that it touches, which begin at `start` of `out`.
    fn trim(&self, start: usize, out: &mut Vec<f64>) {
        let before = self.range.start % BLOCK_SAMPLES;
        out.truncate(start + before + self.range.len());
        out.drain(start..start + before);
    }

    fn finish(&self, sequence: SequenceReader<'_>) -> Result<()> {
        match self.range.end == self.count {
            true => finished(&sequence.into_rest()),
            false => Ok(()),
        }
    }

    fn read_decimal(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let scale = read_scale(&mut reader, 0)?;
        self.read_sequence(reader, &Form::Decimal(scale), out)
    }

    fn read_ulps(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let scale = read_scale(&mut reader, 0)?;
        let start = out.len();
        let rest = self.read_first(reader, &Form::Decimal(scale), out)?;
        let places = out.get_mut(start..).unwrap_or_default();
        self.correct(rest, places, |sequence, places| sequence.add_ulps(places))?;
        self.trim(start, out);
        Ok(())
    }

    fn read_decimal32(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let head = reader.rest().first().copied().unwrap_or(0);
        let scale = read_scale(&mut reader, near::CORRECTED_FLAG)?;
        let start = out.len();
        if head & near::CORRECTED_FLAG == 0 {
            self.read_sequence(reader, &Form::Decimal(scale), out)?;
            let values = out.get_mut(start..).unwrap_or_default();
            values
                .iter_mut()
                .for_each(|value| *value = near::to_f32(*value, 0));
            return Ok(());
        }
        let rest = self.read_first(reader, &Form::Decimal(scale), out)?;
        self.correct_by(rest, (start, out), near::to_f32)
    }

    fn read_quotient(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let offset = reader.offset();
        let head = reader.varint()?;
        // The NaN of a division by zero is not the same on every CPU.
        let divisor = u32::try_from(head >> 1).ok().filter(|&divisor| divisor > 0);
        let divisor = divisor.ok_or(Error::Malformed {
            offset,
            what: "a divisor out of range",
        })?;
        let start = out.len();
        if head & 1 == 0 {
            self.read_sequence(reader, &Form::Decimal(0), out)?;
            let values = out.get_mut(start..).unwrap_or_default();
            values
                .iter_mut()
                .for_each(|value| *value = near::quotient(*value, divisor, 0));
            return Ok(());
        }
        let rest = self.read_first(reader, &Form::Decimal(0), out)?;
        self.correct_by(rest, (start, out), |value, ulps| {
            near::quotient(value, divisor, ulps)
        })
    }

    /// Makes the values of the range of the blocks that begin at `start` of `out`, each of which
    /// `correct` gets with its number in the last sequence.
    fn correct_by(
        &self,
        rest: Reader<'_>,
        (start, out): (usize, &mut Vec<f64>),
        correct: impl Fn(f64, i64) -> f64,
    ) -> Result<()> {
        let places = out.get_mut(start..).unwrap_or_default();
        let mut ulps = Vec::with_capacity(BLOCK_SAMPLES);
        self.correct(rest, places, |sequence, places| {
            ulps.clear();
            sequence.extend_i64(&mut ulps)?;
            for (place, &ulps) in places.iter_mut().zip(&ulps) {
                *place = correct(*place, ulps);
            }
            Ok(())
        })?;
        self.trim(start, out);
        Ok(())
    }

    /// Appends what `form` makes of the blocks of the first of several sequences that the range
    /// touches; returns what is after it.
    fn read_first<'a>(
        &self,
        reader: Reader<'a>,
        form: &Form<'_>,
        out: &mut Vec<f64>,
    ) -> Result<Reader<'a>> {
        let mut sequence = SequenceReader::new(reader, self.count)?;
        self.extend_touched(&mut sequence, form, out)?;
        for _ in self.touched().end..self.count.div_ceil(BLOCK_SAMPLES) {
            sequence.pass_block()?;
        }
        Ok(sequence.into_rest())
    }

    /// Hands the blocks of the last sequence to `correct`, each with the values that it corrects.
    fn correct(
        &self,
        reader: Reader<'_>,
        values: &mut [f64],
        mut correct: impl FnMut(&mut SequenceReader<'_>, &mut [f64]) -> Result<()>,
    ) -> Result<()> {
        let mut sequence = SequenceReader::new(reader, self.count)?;
        for _ in 0..self.touched().start {
            sequence.skip_block()?;
        }
        for places in values.chunks_mut(BLOCK_SAMPLES) {
            correct(&mut sequence, places)?;
        }
        self.finish(sequence)
    }

    fn read_split(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let tail = split::read_tail(&mut reader)?;
        let count = reader.length(MAX_DICTIONARY, "more fronts than a dictionary holds")?;
        let mut fronts = SequenceReader::new(reader, count)?;
        let mut ints = Vec::with_capacity(count);
        while fronts.extend_i64(&mut ints)? > 0 {}
        let mut table = [0.0; MAX_DICTIONARY];
        for (place, &front) in table.iter_mut().zip(&ints) {
            *place = split::above(front, tail);
        }
        let (table, start) = (&table, out.len());
        let form = Form::Lookup { table, count };
        let mut rest = self.read_first(fronts.into_rest(), &form, out)?;
        let values = out.get_mut(start..).unwrap_or_default();
        let before = self.touched().start * BLOCK_SAMPLES;
        split::add_tails(&mut rest, tail, (before, self.count), values)?;
        self.trim(start, out);
        finished(&rest)
    }

    fn read_dictionary(&self, mut reader: Reader<'_>, out: &mut Vec<f64>) -> Result<()> {
        let count = reader.length(MAX_DICTIONARY, "a dictionary of too many values")?;
        let bytes = reader.bytes()?;
        let offset = reader.offset() - bytes.len();
        let mut inner = Reader::new(bytes);
        let encoding = read_encoding(&mut inner).map_err(|error| error.shifted(offset))?;
        let whole = Job {
            count,
            range: 0..count,
        };
        // The end of the output is where the dictionary is decoded first.
        let start = out.len();
        whole
            .read_simple(encoding, inner, out, false)
            .map_err(|error| error.shifted(offset))?;
        let mut table = [0.0; MAX_DICTIONARY];
        let known = out.get(start..).unwrap_or_default();
        if let Some(places) = table.get_mut(..known.len()) {
            places.copy_from_slice(known);
        }
        out.truncate(start);
        let table = &table;
        self.read_sequence(reader, &Form::Lookup { table, count }, out)
    }
}

/// Reads a scale in the byte of which the bits of `flag` may be set too.
fn read_scale(reader: &mut Reader<'_>, flag: u8) -> Result<u8> {
    let offset = reader.offset();
    let scale = reader.u8()? & !flag;
    if usize::from(scale) >= POW10.len() {
        return Err(Error::Malformed {
            offset,
            what: "a decimal scale out of range",
        });
    }
    Ok(scale)
}

fn finished(reader: &Reader<'_>) -> Result<()> {
    match reader.is_empty() {
        true => Ok(()),
        false => {
            let offset = reader.offset();
            Err(Error::Malformed {
                offset,
                what: "bytes after the last value",
            })
        }
    }
}

/// The bits of a float as an integer, so that integers have the order of the floats.
pub(crate) fn to_ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

pub(crate) fn from_ordered(int: i64) -> f64 {
    f64::from_bits((int ^ ((int >> 63) as u64 >> 1) as i64) as u64)
}
