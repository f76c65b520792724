//! A native histogram: counts of observations in buckets whose bounds follow a schema.
//!
//! Input: what a writer measured. Output: plain numbers, and one histogram as bytes and back.
//! Invariant of a well-formed one ([`Histogram::fault`] tells): bucket indices rise strictly on
//! each side, `bounds` rise strictly and stand only where the schema is [`CUSTOM_SCHEMA`].

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::limits::MAX_HISTOGRAM_BUCKETS;
use crate::number;
use crate::varint::{Reader, put_i64, put_u64};

/// The schema of histograms whose bucket bounds are listed one by one.
pub const CUSTOM_SCHEMA: i8 = -53;

/// The coarsest exponential schema.
pub const MIN_SCHEMA: i8 = -4;

/// The finest exponential schema.
pub const MAX_SCHEMA: i8 = 8;

/// What is known about a counter reset between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ResetHint {
    /// Nothing: compare the two.
    #[default]
    Unknown,
    /// The counter was reset.
    Reset,
    /// The counter was not reset.
    NotReset,
    /// A gauge; resets mean nothing.
    Gauge,
}

/// Hints by their number on disk; never renumbered.
const HINTS: [ResetHint; 4] = [
    ResetHint::Unknown,
    ResetHint::Reset,
    ResetHint::NotReset,
    ResetHint::Gauge,
];

/// A native histogram with counts as floats.
///
/// Of an exponential schema `s`, the bucket of index `i` holds what is above
/// `2^((i - 1) * 2^-s)` and at most `2^(i * 2^-s)`; negative observations are counted alike by
/// their absolute value. With custom bounds, bucket `i` ends at `bounds[i]`, the last at infinity,
/// and there are neither negative buckets nor a zero bucket.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// From [`MIN_SCHEMA`] to [`MAX_SCHEMA`], or [`CUSTOM_SCHEMA`].
    pub schema: i8,
    /// What is known about a counter reset.
    pub hint: ResetHint,
    /// How many observations, those of NaN included.
    pub count: f64,
    /// The sum of all observations.
    pub sum: f64,
    /// Observations of at most this absolute value are in the zero bucket.
    pub zero_threshold: f64,
    /// How many are in the zero bucket.
    pub zero_count: f64,
    /// Index and count of the buckets of positive observations, by rising index.
    pub positive: Vec<(i32, f64)>,
    /// Index and count of the buckets of negative observations, by rising index.
    pub negative: Vec<(i32, f64)>,
    /// The upper bounds of custom buckets, but the last, infinite one.
    pub bounds: Arc<[f64]>,
}

impl Histogram {
    /// Whether its bucket bounds are listed one by one.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// Bytes of heap that it takes, its bounds included.
    pub fn heap_bytes(&self) -> usize {
        let buckets = self.positive.capacity() + self.negative.capacity();
        buckets * size_of::<(i32, f64)>() + self.bounds.len() * size_of::<f64>()
    }

    /// Whether both are the same, every number bit for bit and the hint too.
    pub fn is_identical(&self, other: &Self) -> bool {
        let buckets = |ours: &[(i32, f64)], theirs: &[(i32, f64)]| {
            let pairs = || ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs().all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        };
        Shape::of(self).is_identical(&Shape::of(other))
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_count, other.zero_count)
            && buckets(&self.positive, &other.positive)
            && buckets(&self.negative, &other.negative)
    }

    /// What keeps it from being well-formed, if anything: an unknown schema, indices or bounds that
    /// do not rise, a bound that is not finite, counts below zero, buckets that custom bounds do
    /// not have, more than [`MAX_HISTOGRAM_BUCKETS`] buckets and bounds.
    ///
    /// The buckets need not add up to the count: of histograms with float counts they may not.
    pub fn fault(&self) -> Option<&'static str> {
        let rises = |side: &[(i32, f64)]| side.is_sorted_by(|before, after| before.0 < after.0);
        let buckets = || self.positive.iter().chain(&self.negative);
        let numbers = self.positive.len() + self.negative.len() + self.bounds.len();
        let custom = self.is_custom();
        let checks = [
            (
                custom || (MIN_SCHEMA..=MAX_SCHEMA).contains(&self.schema),
                "has a schema that is neither -4 to 8 nor -53",
            ),
            (
                numbers <= MAX_HISTOGRAM_BUCKETS,
                "has more than 4096 buckets and bounds",
            ),
            (
                rises(&self.positive) && rises(&self.negative),
                "has bucket indices that do not rise",
            ),
            (
                !buckets().any(|bucket| bucket.1 < 0.0),
                "has a bucket that counts less than 0",
            ),
            (
                !(self.count < 0.0 || self.zero_count < 0.0),
                "counts less than 0",
            ),
            (
                self.zero_threshold >= 0.0,
                "has a zero threshold that is not at least 0",
            ),
            (
                custom || self.bounds.is_empty(),
                "has custom bounds without the schema -53",
            ),
            (
                !custom || self.has_only_custom_buckets(),
                "has buckets that custom bounds do not have",
            ),
            (
                self.bounds.is_sorted_by(|before, after| before < after)
                    && self.bounds.iter().all(|bound| bound.is_finite()),
                "has custom bounds that are not finite and rising",
            ),
        ];
        checks
            .into_iter()
            .find(|check| !check.0)
            .map(|check| check.1)
    }

    fn has_only_custom_buckets(&self) -> bool {
        let inside = |index: i32| usize::try_from(index).is_ok_and(|at| at <= self.bounds.len());
        self.negative.is_empty()
            && self.zero_count == 0.0
            && self.zero_threshold == 0.0
            && self.positive.iter().all(|bucket| inside(bucket.0))
    }

    /// Appends it as bytes that [`Histogram::read`] reads, and that end where they end; it must be
    /// well-formed. Buckets that count +0.0 stay away: they say the same as none.
    pub fn put(&self, out: &mut Vec<u8>) {
        Shape::of(self).put(out);
        for value in [self.count, self.sum, self.zero_count] {
            number::put(out, value);
        }
        for side in [&self.positive, &self.negative] {
            let held = || side.iter().filter(|bucket| bucket.1.to_bits() != 0);
            put_u64(out, held().count() as u64);
            let mut before = None;
            for &(index, count) in held() {
                put_index(out, &mut before, index);
                number::put(out, count);
            }
        }
    }

    /// Reads what [`Histogram::put`] appended. Allocates at most a small multiple of the bytes.
    ///
    /// # Errors
    /// [`Error`] when the bytes are cut, damaged or of a newer version.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let shape = Shape::read(reader)?;
        let mut histogram = shape.histogram();
        histogram.count = number::read(reader)?;
        histogram.sum = number::read(reader)?;
        histogram.zero_count = number::read(reader)?;
        histogram.positive = read_side(reader)?;
        histogram.negative = read_side(reader)?;
        Ok(histogram)
    }
}

/// Whether two numbers have the same bits.
pub(crate) fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

fn read_side(reader: &mut Reader<'_>) -> Result<Vec<(i32, f64)>> {
    let most = MAX_HISTOGRAM_BUCKETS.min(reader.remaining() / 2);
    let buckets = reader.length(most, "more buckets than the bytes can hold")?;
    let mut side = Vec::with_capacity(buckets);
    let mut before = None;
    for _ in 0..buckets {
        let index = read_index(reader, &mut before)?;
        side.push((index, number::read(reader)?));
    }
    Ok(side)
}

/// Appends a bucket index that is greater than the one before, if there was one.
pub(crate) fn put_index(out: &mut Vec<u8>, before: &mut Option<i32>, index: i32) {
    match *before {
        None => put_i64(out, i64::from(index)),
        Some(before) => put_u64(out, u64::from(before.abs_diff(index)).wrapping_sub(1)),
    }
    *before = Some(index);
}

/// Reads what [`put_index`] appended.
pub(crate) fn read_index(reader: &mut Reader<'_>, before: &mut Option<i32>) -> Result<i32> {
    let offset = reader.offset();
    let index = match *before {
        None => Some(reader.varint_i64()?),
        Some(before) => i64::try_from(reader.varint()?)
            .ok()
            .and_then(|gap| gap.checked_add(i64::from(before) + 1)),
    };
    let index = index.and_then(|index| i32::try_from(index).ok());
    let index = index.ok_or(Error::Malformed {
        offset,
        what: "a bucket index over 32 bits",
    })?;
    *before = Some(index);
    Ok(index)
}

/// What histograms that follow each other mostly have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    schema: i8,
    hint: ResetHint,
    zero_threshold: f64,
    bounds: Arc<[f64]>,
}

impl Shape {
    pub(crate) fn of(histogram: &Histogram) -> Self {
        Self {
            schema: histogram.schema,
            hint: histogram.hint,
            zero_threshold: histogram.zero_threshold,
            bounds: Arc::clone(&histogram.bounds),
        }
    }

    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        let pairs = || self.bounds.iter().zip(other.bounds.iter());
        self.schema == other.schema
            && self.hint == other.hint
            && same(self.zero_threshold, other.zero_threshold)
            && (Arc::ptr_eq(&self.bounds, &other.bounds)
                || self.bounds.len() == other.bounds.len() && pairs().all(|(a, b)| same(*a, *b)))
    }

    /// A histogram of this shape without any observation.
    pub(crate) fn histogram(&self) -> Histogram {
        Histogram {
            schema: self.schema,
            hint: self.hint,
            zero_threshold: self.zero_threshold,
            bounds: Arc::clone(&self.bounds),
            ..Histogram::default()
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let hint = HINTS.iter().position(|hint| *hint == self.hint);
        out.push(self.schema as u8);
        out.push(hint.unwrap_or(0) as u8);
        number::put(out, self.zero_threshold);
        if self.schema == CUSTOM_SCHEMA {
            put_u64(out, self.bounds.len() as u64);
            for &bound in self.bounds.iter() {
                number::put(out, bound);
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let offset = reader.offset();
        let unsupported = |what, found: u8| Error::Unsupported {
            offset,
            what,
            found: found.into(),
        };
        let schema = reader.u8()?;
        let signed = schema as i8;
        if signed != CUSTOM_SCHEMA && !(MIN_SCHEMA..=MAX_SCHEMA).contains(&signed) {
            return Err(unsupported("histogram schema", schema));
        }
        let hint = reader.u8()?;
        let known = HINTS.get(usize::from(hint)).copied();
        let zero_threshold = number::read(reader)?;
        let mut bounds = Vec::new();
        if signed == CUSTOM_SCHEMA {
            let most = MAX_HISTOGRAM_BUCKETS.min(reader.remaining());
            let count = reader.length(most, "more bounds than the bytes can hold")?;
            bounds.reserve_exact(count);
            for _ in 0..count {
                bounds.push(number::read(reader)?);
            }
        }
        Ok(Self {
            schema: signed,
            hint: known.ok_or_else(|| unsupported("reset hint", hint))?,
            zero_threshold,
            bounds: bounds.into(),
        })
    }
}
