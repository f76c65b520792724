//! Quantiles of native histograms, and the fraction of observations between two values.
//!
//! Input: a histogram and ranks or values. Output: an estimate. Invariant: inside an exponential
//! bucket observations are taken as spread evenly over the logarithm, inside the zero bucket and
//! custom buckets as spread evenly. After `HistogramQuantile` and `HistogramFraction` of
//! Prometheus.

use super::bounds::Bucket;
use super::{Histogram, all_buckets};

/// What observations of NaN, which are in no bucket, did to an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NanEffect {
    /// There are none.
    None,
    /// They count as the highest observations, so the result is higher than without.
    Skewed,
    /// The rank is among them.
    IsNan,
}

/// The value below which a fraction `q` of the observations lies, and what NaNs did to it.
pub fn quantile(q: f64, histogram: &Histogram) -> (f64, NanEffect) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    let has_nan = histogram.sum.is_nan();
    let forward = has_nan || q < 0.5;
    let rank = match forward {
        true => q * histogram.count,
        false => (1.0 - q) * histogram.count,
    };
    let (bucket, count) = find(histogram, rank, forward);
    let Some(bucket) = bucket else {
        return (f64::NAN, nan_effect(has_nan, true));
    };
    // Rounding can make the buckets hold more than the count says.
    let count = count.min(histogram.count);
    if count < rank && has_nan {
        return (f64::NAN, NanEffect::IsNan);
    }
    let value = match clamp_bounds(histogram, bucket) {
        Err(end) => end,
        Ok(_) if count < rank && forward => bucket.upper,
        Ok(_) if count < rank => bucket.lower,
        Ok(bucket) => {
            let into = match forward {
                true => rank - (count - bucket.count),
                false => count - rank,
            };
            at_fraction(histogram, &bucket, into / bucket.count)
        }
    };
    (value, nan_effect(has_nan, false))
}

/// The fraction of observations above `lower` and at most `upper`; whether NaNs were left out.
pub fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, bool) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    let has_nan = histogram.sum.is_nan();
    if lower >= upper {
        return (0.0, has_nan);
    }
    let buckets = all_buckets(histogram);
    let rank_of = |value: f64| {
        let mut below = 0.0;
        for bucket in &buckets {
            let bucket = match clamp_bounds(histogram, *bucket) {
                Ok(bucket) => bucket,
                Err(_) => *bucket,
            };
            if bucket.lower >= value {
                return below;
            }
            if bucket.upper > value {
                return below + bucket.count * fraction_at(histogram, &bucket, value);
            }
            below += bucket.count;
        }
        match has_nan {
            true => below,
            false => histogram.count,
        }
    };
    let rank = |value: f64| rank_of(value).min(histogram.count);
    ((rank(upper) - rank(lower)) / histogram.count, has_nan)
}

/// How far into a bucket `value` lies, as the observations in it are taken to be spread.
pub(super) fn fraction_at(histogram: &Histogram, bucket: &Bucket, value: f64) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if lower == f64::NEG_INFINITY {
        return 1.0;
    }
    if is_linear(histogram, bucket) {
        return (value - lower) / (upper - lower);
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    let log_value = value.abs().log2();
    match value > 0.0 {
        true => (log_value - log_lower) / (log_upper - log_lower),
        false => 1.0 - (log_value - log_upper) / (log_lower - log_upper),
    }
}

/// Whether the observations in a bucket are taken as spread evenly.
pub(super) fn is_linear(histogram: &Histogram, bucket: &Bucket) -> bool {
    histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0)
}

/// The zero bucket without the side that no other bucket is on, the first custom bucket from 0 on.
/// The error is the value that stands for a custom bucket of which one end is not known.
pub(super) fn clamp_bounds(histogram: &Histogram, bucket: Bucket) -> Result<Bucket, f64> {
    let mut bucket = bucket;
    if histogram.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Err(bucket.upper);
            }
            bucket.lower = 0.0;
        }
        if bucket.upper == f64::INFINITY {
            return Err(bucket.lower);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        if histogram.negative.is_empty() && !histogram.positive.is_empty() {
            bucket.lower = 0.0;
        } else if histogram.positive.is_empty() && !histogram.negative.is_empty() {
            bucket.upper = 0.0;
        }
    }
    Ok(bucket)
}

/// The bucket of a rank, counted from the lowest or from the highest, and how many observations are
/// in all buckets up to it.
fn find(histogram: &Histogram, rank: f64, forward: bool) -> (Option<Bucket>, f64) {
    let buckets = all_buckets(histogram);
    let ordered: Box<dyn Iterator<Item = &Bucket>> = match forward {
        true => Box::new(buckets.iter()),
        false => Box::new(buckets.iter().rev()),
    };
    let (mut found, mut count) = (None, 0.0);
    for bucket in ordered.filter(|bucket| bucket.count != 0.0) {
        found = Some(*bucket);
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    (found, count)
}

fn at_fraction(histogram: &Histogram, bucket: &Bucket, fraction: f64) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if is_linear(histogram, bucket) {
        return lower + (upper - lower) * fraction;
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    match lower > 0.0 {
        true => (log_lower + (log_upper - log_lower) * fraction).exp2(),
        false => -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2(),
    }
}

fn nan_effect(has_nan: bool, is_nan: bool) -> NanEffect {
    match (has_nan, is_nan) {
        (false, _) => NanEffect::None,
        (true, false) => NanEffect::Skewed,
        (true, true) => NanEffect::IsNan,
    }
}
