//! A column of integers: divided by what they have in common, differenced, then in blocks.
//!
//! Integers y = (x - origin) / unit are kept plain, as differences, as differences of
//! differences, or as distances from a straight line: here they are read, and written by
//! [`crate::residuals`]. The median step that other codecs subtract is the base of a block here.
//!
//! Layout: head byte (bits 0-1 [`Transform`], bit 2: a unit follows, bit 3: an origin follows, bit
//! 4: entropy-coded), unit varint, origin zigzag varint, for `Second` and `Line` the step as zigzag
//! varint, then blocks or, with bit 4, what [`crate::coded`] reads.

use crate::blocks::BlockReader;
use crate::coded::CodedReader;
use crate::error::{Error, Result};
use crate::limits::BLOCK_SAMPLES;
use crate::portable::{Form, Source, Undo};
use crate::simd::Level;
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

/// What comes before the residuals of a sequence.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) transform: Transform,
    /// Whether they are entropy-coded and not in blocks.
    pub(crate) coded: bool,
    pub(crate) unit: u64,
    pub(crate) origin: i64,
    /// For `Second` and `Line`.
    pub(crate) step: i64,
}

/// Appends the head of a sequence.
pub(crate) fn put_head(head: &Head, out: &mut Vec<u8>) {
    let unit_flag = if head.unit > 1 { UNIT_FLAG } else { 0 };
    let origin_flag = if head.origin != 0 { ORIGIN_FLAG } else { 0 };
    let coded_flag = if head.coded { CODED_FLAG } else { 0 };
    out.push(head.transform as u8 | unit_flag | origin_flag | coded_flag);
    if head.unit > 1 {
        put_u64(out, head.unit);
    }
    if head.origin != 0 {
        put_i64(out, head.origin);
    }
    if matches!(head.transform, Transform::Second | Transform::Line) {
        put_i64(out, head.step);
    }
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
    use crate::residuals::put;
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
