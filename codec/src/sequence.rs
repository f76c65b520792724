//! A column of integers: divided by what they have in common, differenced, then in blocks.
//!
//! Integers y = (x - origin) / unit are kept plain, as differences, as differences of
//! differences, or as distances from a straight line, whichever comes out shortest. The median
//! step that other codecs subtract is the base of a block here. Invariant: any i64 round-trips.
//!
//! Layout: head byte (bits 0-1 [`Transform`], bit 2: a unit follows, bit 3: an origin follows),
//! unit varint, origin zigzag varint, for `Second` and `Line` the step as zigzag varint, blocks.

use crate::bins::Bins;
use crate::blocks::{self, BlockReader};
use crate::coded::{self, CodedReader};
use crate::error::{Error, Result};
use crate::limits::BLOCK_SAMPLES;
use crate::plan;
use crate::simd::{Form, Level, Source, Undo};
use crate::varint::{Reader, put_i64, put_u64};

const TRANSFORM_MASK: u8 = 0b0011;
const UNIT_FLAG: u8 = 0b0100;
const ORIGIN_FLAG: u8 = 0b1000;
const CODED_FLAG: u8 = 0b1_0000;

/// What the blocks hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Transform {
    /// The integers themselves.
    Plain = 0,
    /// Differences.
    First = 1,
    /// Differences of differences.
    Second = 2,
    /// Distances from origin + index * step.
    Line = 3,
}

/// How small a sequence is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In packed blocks: fast to decode.
    Packed,
    /// Entropy-coded where that saves enough.
    Coded,
}

/// The part of its packed bytes that an entropy-coded sequence must save to be worth its slower
/// decoder.
const WORTH: usize = 32;

/// Appends `values` to `out` by the best of `transforms`, entropy-coded where that pays.
pub(crate) fn put_by(values: &[i64], transforms: &[Transform], stage: Stage, out: &mut Vec<u8>) {
    let start = out.len();
    put(values, transforms, out);
    if stage == Stage::Packed {
        return;
    }
    let unit = common_unit(values);
    let origin = match unit {
        1 => 0,
        _ => values.first().copied().unwrap_or(0),
    };
    let scaled: Vec<i64> = values
        .iter()
        .map(|&value| value.wrapping_sub(origin) / unit as i64)
        .collect();
    let best = transforms
        .iter()
        .filter_map(|&transform| {
            let step = step(&scaled, transform);
            let (residuals, first) = residuals(&scaled, transform, step);
            let bins = Bins::of(&residuals)?;
            Some((transform, step, residuals, first, bins))
        })
        .min_by_key(|candidate| candidate.4.cost);
    let Some((transform, step, residuals, first, bins)) = best else {
        return;
    };
    let mut coded = Vec::new();
    put_head(
        (transform, CODED_FLAG),
        unit,
        origin.wrapping_add(first.wrapping_mul(unit as i64)),
        step,
        &mut coded,
    );
    coded::put(&residuals, &bins, &mut coded);
    let packed = out.len() - start;
    if coded.len() + packed / WORTH < packed {
        out.truncate(start);
        out.extend_from_slice(&coded);
    }
}

/// Appends `values` to `out` in blocks, by the best of `transforms`.
pub(crate) fn put(values: &[i64], transforms: &[Transform], out: &mut Vec<u8>) {
    let unit = common_unit(values);
    if unit == 1 {
        return put_transformed(values, best(values, transforms), 1, 0, out);
    }
    let origin = values.first().copied().unwrap_or(0);
    let scaled: Vec<i64> = values
        .iter()
        .map(|&value| value.wrapping_sub(origin) / unit as i64)
        .collect();
    put_transformed(&scaled, best(&scaled, transforms), unit, origin, out);
}

/// The transform of the least cost: of the whole column when it is short, or of two blocks of it.
fn best(scaled: &[i64], transforms: &[Transform]) -> Transform {
    let parts = if scaled.len() <= 2 * BLOCK_SAMPLES {
        [scaled, &[]]
    } else {
        let part = |start: usize| {
            scaled
                .get(start..)
                .and_then(|rest| rest.get(..BLOCK_SAMPLES))
        };
        [part(scaled.len() / 6), part(scaled.len() * 4 / 6)].map(Option::unwrap_or_default)
    };
    let cost = |transform: Transform| -> usize {
        let of = |part: &[i64]| plan::cost(&residuals(part, transform, step(part, transform)).0);
        let head = match transform {
            // Its base changes from block to block.
            Transform::Plain => 16,
            Transform::First => 16,
            Transform::Second | Transform::Line => 32,
        };
        head + parts.map(of).iter().sum::<usize>()
    };
    if let [only] = *transforms {
        return only;
    }
    let mut best = (usize::MAX, Transform::Plain);
    for &transform in transforms {
        // What does not gain from differences gains nothing from more of them.
        if transform == Transform::Second && best.1 == Transform::Plain {
            break;
        }
        let cost = cost(transform);
        if cost < best.0 {
            best = (cost, transform);
        }
    }
    best.1
}

/// The step that `Second` and `Line` start from.
fn step(scaled: &[i64], transform: Transform) -> i64 {
    match (transform, scaled) {
        (Transform::Line, _) => median_step(scaled),
        (_, [first, second, ..]) => second.wrapping_sub(*first),
        _ => 0,
    }
}

fn put_transformed(
    scaled: &[i64],
    transform: Transform,
    unit: u64,
    origin: i64,
    out: &mut Vec<u8>,
) {
    let first = scaled.first().copied().unwrap_or(0);
    let step = scaled.get(1).map_or(0, |second| second.wrapping_sub(first));
    let step = if transform == Transform::Line {
        median_step(scaled)
    } else {
        step
    };
    let (residuals, start) = residuals(scaled, transform, step);
    let origin = origin.wrapping_add(start.wrapping_mul(unit as i64));
    put_head((transform, 0), unit, origin, step, out);
    blocks::put(&residuals, out);
}

/// What comes before the residuals.
fn put_head(
    (transform, flags): (Transform, u8),
    unit: u64,
    origin: i64,
    step: i64,
    out: &mut Vec<u8>,
) {
    let unit_flag = if unit > 1 { UNIT_FLAG } else { 0 };
    let origin_flag = if origin != 0 { ORIGIN_FLAG } else { 0 };
    out.push(transform as u8 | unit_flag | origin_flag | flags);
    if unit > 1 {
        put_u64(out, unit);
    }
    if origin != 0 {
        put_i64(out, origin);
    }
    if matches!(transform, Transform::Second | Transform::Line) {
        put_i64(out, step);
    }
}

/// What the blocks will hold, and the integer before the first (0 where there is none).
fn residuals(scaled: &[i64], transform: Transform, step: i64) -> (Vec<i64>, i64) {
    let first = scaled.first().copied().unwrap_or(0);
    let differences = |out: &mut Vec<i64>| {
        // The first difference is made equal to the second, which makes it free.
        out.push(scaled.get(1).map_or(0, |second| second.wrapping_sub(first)));
        out.extend(scaled.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
    };
    let mut out = Vec::with_capacity(scaled.len() + 1);
    match transform {
        Transform::Plain => (scaled.to_vec(), 0),
        Transform::First => {
            differences(&mut out);
            out.truncate(scaled.len());
            (out, first.wrapping_sub(step))
        }
        Transform::Second => {
            differences(&mut out);
            let mut last = step;
            for difference in &mut out {
                (*difference, last) = (difference.wrapping_sub(last), *difference);
            }
            out.truncate(scaled.len());
            (out, first.wrapping_sub(step))
        }
        Transform::Line => {
            out.extend((0i64..).zip(scaled).map(|(index, &value)| {
                value
                    .wrapping_sub(first)
                    .wrapping_sub(index.wrapping_mul(step))
            }));
            (out, first)
        }
    }
}

fn median_step(scaled: &[i64]) -> i64 {
    let mut steps: Vec<i64> = scaled
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    let middle = steps.len() / 2;
    if steps.is_empty() {
        0
    } else {
        *steps.select_nth_unstable(middle).1
    }
}

/// The greatest common divisor of all distances from the first value; 1 when they overflow.
pub(crate) fn common_unit(values: &[i64]) -> u64 {
    let Some((&first, rest)) = values.split_first() else {
        return 1;
    };
    let mut unit = 0u64;
    for &value in rest {
        let Some(distance) = value.checked_sub(first) else {
            return 1;
        };
        let distance = distance.unsigned_abs();
        if unit == 0 || !distance.is_multiple_of(unit) {
            unit = greatest_common_divisor(unit, distance);
            if unit == 1 {
                return 1;
            }
        }
    }
    if unit == 0 || unit > i64::MAX as u64 {
        1
    } else {
        unit
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Where the residuals come from.
#[derive(Debug)]
enum Body<'a> {
    Packed(BlockReader),
    Coded(Box<CodedReader<'a>>),
}

/// Reads a sequence block by block.
#[derive(Debug)]
pub(crate) struct SequenceReader<'a> {
    reader: Reader<'a>,
    body: Body<'a>,
    unit: i64,
    /// Of `Plain` the last integer is the origin; steps are times the unit.
    undo: Undo,
    left: usize,
    /// Where the block read last is.
    source: Source<'a>,
    level: Level,
}

impl<'a> SequenceReader<'a> {
    /// A reader of the sequence of `count` integers at `reader`.
    pub(crate) fn new(mut reader: Reader<'a>, count: usize) -> Result<Self> {
        let offset = reader.offset();
        let head = reader.u8()?;
        if head & !(TRANSFORM_MASK | UNIT_FLAG | ORIGIN_FLAG | CODED_FLAG) != 0 {
            return Err(Error::Unsupported {
                offset,
                what: "sequence",
                found: head.into(),
            });
        }
        let transform = match head & TRANSFORM_MASK {
            0 => Transform::Plain,
            1 => Transform::First,
            2 => Transform::Second,
            _ => Transform::Line,
        };
        let unit = if head & UNIT_FLAG != 0 {
            reader.varint()? as i64
        } else {
            1
        };
        let last = if head & ORIGIN_FLAG != 0 {
            reader.varint_i64()?
        } else {
            0
        };
        let step = match transform {
            Transform::Second | Transform::Line => reader.varint_i64()?.wrapping_mul(unit),
            _ => 0,
        };
        let level = Level::detect();
        let body = match head & CODED_FLAG {
            0 => Body::Packed(BlockReader::new(level)),
            _ => Body::Coded(Box::new(CodedReader::new(&reader)?)),
        };
        Ok(Self {
            reader,
            body,
            unit,
            undo: Undo {
                transform,
                last,
                step,
            },
            left: count,
            source: Source::zeros(),
            level,
        })
    }

    /// Makes each integer of the sequence, none of which was read yet, `start` and `factor` times
    /// itself.
    pub(crate) fn scale(&mut self, factor: i64, start: i64) {
        self.unit = self.unit.wrapping_mul(factor);
        self.undo.last = self.undo.last.wrapping_mul(factor).wrapping_add(start);
        self.undo.step = self.undo.step.wrapping_mul(factor);
    }

    /// Appends what `form` makes of the next block to `out`; returns how many, 0 at the end.
    ///
    /// # Errors
    /// When the block is damaged, or has an integer that is no index of the form's table.
    #[inline]
    pub(crate) fn extend_f64(&mut self, form: &Form<'_>, out: &mut Vec<f64>) -> Result<usize> {
        let offset = self.reader.offset();
        let count = self.left.min(BLOCK_SAMPLES);
        self.read_source()?;
        let level = self.level;
        if !level.extend_f64(&self.source, &mut self.undo, count, form, out) {
            return Err(Error::Malformed {
                offset,
                what: "an index beyond its dictionary",
            });
        }
        Ok(count)
    }

    /// Appends the next block to `out`; returns how many, 0 at the end.
    #[inline]
    pub(crate) fn extend_i64(&mut self, out: &mut Vec<i64>) -> Result<usize> {
        let count = self.left.min(BLOCK_SAMPLES);
        self.read_source()?;
        self.level
            .extend_i64(&self.source, &mut self.undo, count, out);
        Ok(count)
    }

    /// Adds the next block to the bits of the first of `places`, which may be fewer at the end.
    #[inline]
    pub(crate) fn add_ulps(&mut self, places: &mut [f64]) -> Result<()> {
        let count = self.left.min(BLOCK_SAMPLES).min(places.len());
        self.read_source()?;
        let places = places.get_mut(..count).unwrap_or_default();
        self.level.add_ulps(&self.source, &mut self.undo, places);
        Ok(())
    }

    /// Finds the next block and counts it as read; zeros after the last.
    #[inline]
    fn read_source(&mut self) -> Result<()> {
        let count = self.left.min(BLOCK_SAMPLES);
        if count == 0 {
            self.source = Source::zeros();
            return Ok(());
        }
        self.left -= count;
        let origin = match self.undo.transform {
            Transform::Plain => self.undo.last,
            _ => 0,
        };
        let (affine, source) = ((self.unit, origin), &mut self.source);
        match &mut self.body {
            Body::Packed(blocks) => blocks.read(&mut self.reader, count, affine, source),
            Body::Coded(coded) => {
                let block = source
                    .block
                    .get_or_insert_with(|| Box::new([0; BLOCK_SAMPLES]));
                let block = block.get_mut(..count).unwrap_or_default();
                coded.read(&self.reader, block)?;
                if affine != (1, 0) {
                    for value in block {
                        *value = value.wrapping_mul(affine.0).wrapping_add(affine.1);
                    }
                }
                Ok(())
            }
        }
    }

    /// Moves over the next block, without unpacking it where later ones do not build on it.
    pub(crate) fn skip_block(&mut self) -> Result<()> {
        match self.undo.transform {
            Transform::Plain | Transform::Line => {
                let ahead = self.left.min(BLOCK_SAMPLES) as i64;
                if self.undo.transform == Transform::Line {
                    let ahead = self.undo.step.wrapping_mul(ahead);
                    self.undo.last = self.undo.last.wrapping_add(ahead);
                }
                self.pass_block()
            }
            Transform::First | Transform::Second => {
                let mut skipped = Vec::with_capacity(BLOCK_SAMPLES);
                self.extend_i64(&mut skipped).map(drop)
            }
        }
    }

    /// Moves over the next block, which later ones must not build on.
    pub(crate) fn pass_block(&mut self) -> Result<()> {
        let count = self.left.min(BLOCK_SAMPLES);
        self.left -= count;
        match &mut self.body {
            Body::Packed(blocks) => blocks.skip(&mut self.reader, count),
            Body::Coded(coded) => {
                let mut skipped = [0; BLOCK_SAMPLES];
                coded.read(&self.reader, skipped.get_mut(..count).unwrap_or_default())
            }
        }
    }

    /// The bytes after the sequence, once all blocks were read or skipped.
    pub(crate) fn into_rest(mut self) -> Reader<'a> {
        if let Body::Coded(coded) = &self.body {
            // Reading beyond the end was refused before.
            let _ = self.reader.take(coded.bytes_used());
        }
        self.reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Transform; 4] = [
        Transform::Plain,
        Transform::First,
        Transform::Second,
        Transform::Line,
    ];

    fn read(bytes: &[u8], count: usize) -> Vec<i64> {
        let mut sequence = SequenceReader::new(Reader::new(bytes), count).unwrap();
        let mut out = Vec::new();
        while sequence.extend_i64(&mut out).unwrap() > 0 {}
        assert!(sequence.into_rest().is_empty());
        out
    }

    proptest! {
        #[test]
        fn integers_come_back_by_every_transform(
            start: i64,
            unit in prop::sample::select(vec![1i64, 2, 1024, 1_000_000, i64::MAX]),
            steps in prop::collection::vec(prop_oneof![Just(3i64), -5i64..9, any::<i64>()], 0..300),
        ) {
            let mut value = start;
            let values: Vec<i64> = steps
                .iter()
                .map(|step| { value = value.wrapping_add(step.wrapping_mul(unit)); value })
                .collect();
            let mut chosen = Vec::new();
            put(&values, &ALL, &mut chosen);
            for transform in ALL {
                let mut bytes = Vec::new();
                put(&values, &[transform], &mut bytes);
                prop_assert_eq!(&read(&bytes, values.len()), &values);
                let mut sequence = SequenceReader::new(Reader::new(&bytes), values.len()).unwrap();
                for (index, expected) in values.chunks(BLOCK_SAMPLES).enumerate() {
                    if index % 2 == 0 {
                        sequence.skip_block().unwrap();
                    } else {
                        let mut found = Vec::new();
                        sequence.extend_i64(&mut found).unwrap();
                        prop_assert_eq!(&found, expected);
                    }
                }
            }
            prop_assert_eq!(read(&chosen, values.len()), values);
        }
    }

    #[test]
    fn a_straight_line_and_a_common_unit_cost_almost_nothing() {
        let line: Vec<i64> = (0..1024).map(|i| 7_000_000 + i * 4096).collect();
        let mut bytes = Vec::new();
        put(&line, &ALL, &mut bytes);
        assert!(bytes.len() <= 20, "{}", bytes.len());
    }
}
