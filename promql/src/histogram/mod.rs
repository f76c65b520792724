//! Native histograms: their algebra, their estimates, their text.
//!
//! Input: [`Histogram`]s as a source gives them. Output: sums, differences, quantiles, text, as
//! Prometheus computes them. Invariant: buckets stay sorted by index; a result has the coarser
//! schema, the wider zero bucket and the bounds that both operands share.

mod arithmetic;
mod bounds;
mod buckets;
mod classic;
mod moments;
mod quantile;
mod resets;
mod sum;
mod text;
mod trim;
mod zero;

pub use arithmetic::{Combined, Mixed, add, compact, divide, interpolate, multiply, subtract};
pub use bounds::{Bucket, upper_bound};
pub use buckets::all_buckets;
pub use classic::{ClassicBucket, Repair, classic_fraction, classic_quantile};
pub use moments::variance;
pub use quantile::{NanEffect, fraction, quantile};
pub use resets::{is_reset, mark_resets};
pub use sum::HistogramSum;
pub use text::{Shown, go_float};
pub use treering::{CUSTOM_SCHEMA, Histogram, MAX_SCHEMA, MIN_SCHEMA, ResetHint};
pub use trim::{TrimSide, trim};

pub(crate) use arithmetic::reduce_to;

/// Whether two histograms are equal: schema, counts, sum, buckets, bounds; hints do not count.
/// Numbers are equal when their bits are.
pub fn is_equal(a: &Histogram, b: &Histogram) -> bool {
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let same_buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
    };
    let same_bounds = a.bounds.len() == b.bounds.len()
        && a.bounds.iter().zip(b.bounds.iter()).all(|(a, b)| a == b);
    a.schema == b.schema
        && same(a.count, b.count)
        && same(a.sum, b.sum)
        && (a.is_custom()
            || (same(a.zero_threshold, b.zero_threshold) && same(a.zero_count, b.zero_count)))
        && same_buckets(&a.positive, &b.positive)
        && same_buckets(&a.negative, &b.negative)
        && (!a.is_custom() || same_bounds)
}

#[cfg(test)]
mod tests;
