//! The zero bucket: widening it until two histograms have the same one.
//!
//! Input: histograms with zero buckets of any width. Output: the same with one width, the buckets
//! that it covers counted in it. Invariant: the new threshold never cuts a populated bucket; no
//! observation is lost. After `reconcileZeroBuckets` of Prometheus.

use super::Histogram;
use super::bounds::positive_bounds;

/// Makes the zero buckets of two exponential histograms equally wide.
pub(super) fn reconcile(a: &mut Histogram, b: &mut Histogram) {
    // Each round takes at least one bucket in, or ends.
    while a.zero_threshold != b.zero_threshold {
        let wider = a.zero_threshold.max(b.zero_threshold);
        if wider.is_nan() {
            return;
        }
        widen(a, wider);
        widen(b, wider.max(a.zero_threshold));
    }
}

/// Count and threshold that the zero bucket would have if it reached to `threshold`, or further
/// where that would cut a populated bucket.
pub(super) fn count_within(histogram: &Histogram, threshold: f64) -> (f64, f64) {
    let mut threshold = threshold;
    if threshold <= histogram.zero_threshold {
        return (histogram.zero_count, histogram.zero_threshold);
    }
    'again: loop {
        let mut count = histogram.zero_count;
        for side in [&histogram.positive, &histogram.negative] {
            for &(index, more) in side {
                let (lower, upper) = positive_bounds(histogram, index);
                if lower >= threshold {
                    break;
                }
                count += more;
                if upper > threshold {
                    if more != 0.0 {
                        threshold = upper;
                        continue 'again;
                    }
                    break;
                }
            }
        }
        return (count, threshold);
    }
}

/// Widens the zero bucket to `threshold`, or further where that would cut a populated bucket.
pub(super) fn widen(histogram: &mut Histogram, threshold: f64) {
    if threshold <= histogram.zero_threshold {
        return;
    }
    let (count, threshold) = count_within(histogram, threshold);
    (histogram.zero_count, histogram.zero_threshold) = (count, threshold);
    cover(histogram, threshold);
}

/// Drops the buckets that begin below `threshold`.
fn cover(histogram: &mut Histogram, threshold: f64) {
    let outside = |histogram: &Histogram, side: &[(i32, f64)]| {
        side.partition_point(|&(index, _)| positive_bounds(histogram, index).0 < threshold)
    };
    let positive = outside(histogram, &histogram.positive);
    let negative = outside(histogram, &histogram.negative);
    histogram.positive.drain(..positive);
    histogram.negative.drain(..negative);
}
