//! The spread of a native histogram.
//!
//! Input: a histogram. Output: the variance of its observations. Invariant: each bucket stands for
//! one value, the geometric mean of its bounds, or the arithmetic one where bounds are custom.

use super::{Histogram, all_buckets};
use crate::functions::kahan::kahan_add;

/// The variance of the population, estimated.
pub fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in all_buckets(histogram) {
        if bucket.count == 0.0 {
            continue;
        }
        let value = if histogram.is_custom() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = value - mean;
        (sum, lost) = kahan_add(bucket.count * delta * delta, sum, lost);
    }
    let total = if (sum + lost).is_nan() && sum.is_infinite() {
        sum
    } else {
        sum + lost
    };
    total / histogram.count
}
