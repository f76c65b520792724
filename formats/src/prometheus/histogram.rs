//! Chunks of native histograms: a layout of buckets once, then what changes in each.
//!
//! Input: what stands behind the count of samples. Output: histograms; a stale marker where their sum
//! is one. Buckets of whole counts are told as differences between neighbours, and of these the
//! differences in time.

use std::sync::Arc;

use treering::{
    CUSTOM_SCHEMA, Histogram, MAX_SCHEMA, MIN_SCHEMA, ResetHint, SampleColumns, is_stale,
    stale_marker,
};

use super::chunk::{Times, after};
use crate::bits::{Bits, Xor};
use crate::error::{Error, Result};

/// Buckets of one side at most: what an index of 32 bits and a chunk of sane size can hold.
const BUCKETS_MAX: u64 = 1 << 16;

/// Smallest and largest exponent of a zero threshold that is told in a byte, which counts from 1.
const THRESHOLD_OFFSET: i32 = 243;
const THRESHOLD_WHOLE: u8 = 255;

/// What all histograms of a chunk share.
#[derive(Debug)]
struct Layout {
    schema: i8,
    zero_threshold: f64,
    positive: Vec<i32>,
    negative: Vec<i32>,
    bounds: Arc<[f64]>,
    /// What is known of the first one; the others continue it, gauges aside.
    hint: ResetHint,
}

impl Layout {
    fn read(bits: &mut Bits<'_>) -> Result<Self> {
        let hint = match bits.byte()? >> 6 {
            0b10 => ResetHint::Reset,
            0b01 => ResetHint::NotReset,
            0b11 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        };
        let zero_threshold = match bits.byte()? {
            0 => 0.0,
            THRESHOLD_WHOLE => bits.f64()?,
            exponent => 2_f64.powi(i32::from(exponent) - THRESHOLD_OFFSET - 1),
        };
        let schema = bits.varbit()?;
        let known = i64::from(MIN_SCHEMA)..=i64::from(MAX_SCHEMA);
        if !known.contains(&schema) && schema != i64::from(CUSTOM_SCHEMA) {
            return Err(Error::unsupported(0, format!("schema {schema}")));
        }
        let schema = schema as i8;
        let (positive, negative) = (spans(bits)?, spans(bits)?);
        let bounds = match schema {
            CUSTOM_SCHEMA => bounds(bits)?,
            _ => Vec::new(),
        };
        Ok(Self {
            schema,
            zero_threshold,
            positive,
            negative,
            bounds: bounds.into(),
            hint,
        })
    }

    fn buckets(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// A histogram of this layout; `counts` are of the positive buckets, then of the negative ones.
    fn histogram(
        &self,
        number: u16,
        [count, zero_count, sum]: [f64; 3],
        counts: &[f64],
    ) -> Histogram {
        let hint = match (number, self.hint) {
            (0, hint) => hint,
            (_, ResetHint::Gauge) => ResetHint::Gauge,
            // A reset begins a chunk of its own.
            _ => ResetHint::NotReset,
        };
        let (positive, negative) = counts.split_at(self.positive.len().min(counts.len()));
        let buckets = |indices: &[i32], counts: &[f64]| {
            let pairs = indices.iter().copied().zip(counts.iter().copied());
            pairs.collect()
        };
        Histogram {
            schema: self.schema,
            hint,
            count,
            sum,
            zero_threshold: self.zero_threshold,
            zero_count,
            positive: buckets(&self.positive, positive),
            negative: buckets(&self.negative, negative),
            bounds: Arc::clone(&self.bounds),
        }
    }
}

/// The indices of buckets that spans name.
fn spans(bits: &mut Bits<'_>) -> Result<Vec<i32>> {
    let count = bits.unsigned_varbit()?;
    let (mut indices, mut next) = (Vec::new(), 0_i32);
    let out_of_range = || Error::corrupt(0, "buckets out of range");
    for number in 0..count {
        let length = bits.unsigned_varbit()?;
        let offset = i32::try_from(bits.varbit()?).map_err(|_| out_of_range())?;
        if number > 0 && offset < 0 || length + indices.len() as u64 > BUCKETS_MAX {
            return Err(out_of_range());
        }
        next = next.checked_add(offset).ok_or_else(out_of_range)?;
        for _ in 0..length {
            indices.push(next);
            next = next.checked_add(1).ok_or_else(out_of_range)?;
        }
    }
    Ok(indices)
}

/// Upper bounds of custom buckets: thousandths, or floats where that is not exact.
fn bounds(bits: &mut Bits<'_>) -> Result<Vec<f64>> {
    let count = bits.unsigned_varbit()?;
    if count > BUCKETS_MAX {
        return Err(Error::corrupt(0, format!("{count} bounds of buckets")));
    }
    (0..count)
        .map(|_| match bits.bit()? {
            false => bits.f64(),
            true => Ok(bits.unsigned_varbit()? as f64 / 1000.0),
        })
        .collect()
}

/// A whole number by what changes in its change.
#[derive(Debug, Clone, Copy, Default)]
struct Whole {
    value: i64,
    delta: i64,
}

impl Whole {
    /// As in Go, what does not fit wraps: a chunk that says so is caught as a negative count.
    fn next(&mut self, number: u16, told: i64) -> i64 {
        match number {
            0 => self.value = told,
            1 => {
                self.delta = told;
                self.value = self.value.wrapping_add(told);
            }
            _ => {
                self.delta = self.delta.wrapping_add(told);
                self.value = self.value.wrapping_add(self.delta);
            }
        }
        self.value
    }
}

/// Histograms with whole counts.
pub(super) fn whole(count: u16, bytes: &[u8], samples: &mut SampleColumns) -> Result<()> {
    let bits = &mut Bits::new(bytes);
    let layout = Layout::read(bits)?;
    let mut times = Times::default();
    let (mut all, mut zero, mut sum) = (Whole::default(), Whole::default(), Xor::default());
    let mut buckets = vec![Whole::default(); layout.buckets()];
    let mut counts = Vec::with_capacity(buckets.len());
    for number in 0..count {
        let time = time_of(number, &mut times, bits)?;
        let mut told = || match number {
            0 => Ok(bits.unsigned_varbit()? as i64),
            _ => bits.varbit(),
        };
        let (all, zero) = (all.next(number, told()?), zero.next(number, told()?));
        let sum = xor(number, &mut sum, bits)?;
        if is_stale(sum) {
            push(samples, time, None)?;
            continue;
        }
        counts.clear();
        let mut before = 0_i64;
        for (at, bucket) in buckets.iter_mut().enumerate() {
            if at == layout.positive.len() {
                before = 0;
            }
            before = before.wrapping_add(bucket.next(number, bits.varbit()?));
            counts.push(before as f64);
        }
        let histogram = layout.histogram(number, [all as f64, zero as f64, sum], &counts);
        push(samples, time, Some(histogram))?;
    }
    Ok(())
}

/// Histograms with counts that are floats.
pub(super) fn float(count: u16, bytes: &[u8], samples: &mut SampleColumns) -> Result<()> {
    let bits = &mut Bits::new(bytes);
    let layout = Layout::read(bits)?;
    let mut times = Times::default();
    let (mut all, mut zero, mut sum) = (Xor::default(), Xor::default(), Xor::default());
    let mut buckets = vec![Xor::default(); layout.buckets()];
    let mut counts = Vec::with_capacity(buckets.len());
    for number in 0..count {
        let time = time_of(number, &mut times, bits)?;
        let all = xor(number, &mut all, bits)?;
        let zero = xor(number, &mut zero, bits)?;
        let sum = xor(number, &mut sum, bits)?;
        if is_stale(sum) {
            push(samples, time, None)?;
            continue;
        }
        counts.clear();
        for bucket in &mut buckets {
            counts.push(xor(number, bucket, bits)?);
        }
        let histogram = layout.histogram(number, [all, zero, sum], &counts);
        push(samples, time, Some(histogram))?;
    }
    Ok(())
}

fn time_of(number: u16, times: &mut Times, bits: &mut Bits<'_>) -> Result<i64> {
    Ok(match number {
        0 => times.first(bits.varbit()?),
        1 => times.second(bits.unsigned_varbit()?),
        _ => times.next(bits.varbit()?),
    })
}

fn xor(number: u16, value: &mut Xor, bits: &mut Bits<'_>) -> Result<f64> {
    match number {
        0 => {
            *value = Xor::first(bits)?;
            Ok(value.value())
        }
        _ => value.next(bits),
    }
}

/// Adds a histogram, or a stale marker where there is none.
fn push(samples: &mut SampleColumns, time: i64, histogram: Option<Histogram>) -> Result<()> {
    let time = after(samples, time)?;
    if let Some(what) = histogram.as_ref().and_then(Histogram::fault) {
        return Err(Error::corrupt(0, what));
    }
    samples.histograms.resize(samples.timestamps.len(), None);
    samples.histograms.push(histogram.map(Arc::new));
    samples.timestamps.push(time);
    samples.values.push(stale_marker());
    Ok(())
}
