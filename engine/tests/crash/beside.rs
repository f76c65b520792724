//! Values that stand for more than a float: a histogram, or a float with a start.
//!
//! Input: a value. Output: what is appended of it, and of what was read the bits of the value again.
//! Invariant: what is not, number for number, what a value stands for gets bits that none has.

use treering::{Batch, Histogram, IntoSeries, SampleColumns, is_stale, stale_marker};

use crate::mixed::mixed;

/// The first bits of such a value, those of a NaN; the number in the others says the rest.
const BESIDE: u64 = 0xfff5 << 48;

/// The value with this number; its low 48 bits count.
pub(crate) fn value_of(number: u64) -> f64 {
    f64::from_bits(BESIDE | number & ((1 << 48) - 1))
}

fn number_of(bits: u64) -> Option<u64> {
    (bits >> 48 == BESIDE >> 48).then_some(bits & ((1 << 48) - 1))
}

/// Every other one is a histogram.
fn is_histogram(number: u64) -> bool {
    number.is_multiple_of(2)
}

fn histogram_of(number: u64) -> Histogram {
    let part = |shift: u32| (number >> shift & 15) as i32;
    Histogram {
        schema: (number % 3) as i8,
        count: (number % 1000) as f64,
        sum: number as f64,
        zero_threshold: 0.001,
        zero_count: f64::from(part(4)),
        positive: vec![
            (part(8) - 8, 1.5),
            (20 + part(12), f64::from(part(16)) + 1.0),
        ],
        negative: vec![(part(20), 2.0)],
        ..Histogram::default()
    }
}

/// Some know since when they count; a float with a number does.
fn start_of(number: u64) -> i64 {
    match is_histogram(number) {
        true => (number >> 24 & 1) as i64,
        false => 1 + (number >> 24 & 1) as i64,
    }
}

/// Adds what `value` stands for.
pub(crate) fn push(batch: &mut Batch, series: impl IntoSeries, at: i64, value: f64) {
    match number_of(value.to_bits()) {
        None => batch.push(series, at, value),
        Some(number) if is_histogram(number) => {
            batch.push_histogram_since(series, at, &histogram_of(number), start_of(number));
        }
        Some(number) => batch.push_since(series, at, number as f64, start_of(number)),
    }
}

/// The bits of the values that the samples stand for.
pub(crate) fn bits_of(samples: &SampleColumns) -> Vec<u64> {
    let bits = samples.values.iter().enumerate().map(|(place, &value)| {
        let histogram = samples.histograms.get(place).and_then(Option::as_ref);
        let start = samples.starts.get(place).copied().unwrap_or(0);
        if histogram.is_none() && start == 0 {
            return value.to_bits();
        }
        let number = histogram.map_or(value, |one| one.sum) as u64;
        let same = match histogram {
            Some(one) => {
                is_histogram(number) && one.is_identical(&histogram_of(number)) && is_stale(value)
            }
            None => !is_histogram(number) && value == number as f64,
        };
        match same && start == start_of(number) {
            true => value_of(number).to_bits(),
            false => BESIDE | 1 << 47 | mixed(number) >> 17,
        }
    });
    bits.collect()
}

/// The float that whoever asks for floats alone gets of these bits.
pub(crate) fn float_of(bits: u64) -> f64 {
    match number_of(bits) {
        None => f64::from_bits(bits),
        Some(number) if is_histogram(number) => stale_marker(),
        Some(number) => number as f64,
    }
}
