//! Buckets: those of a histogram from the lowest to the highest, and the merging of two sides.
//!
//! Input: histograms. Output: buckets with their bounds, or index and count. Invariant: indices
//! rise strictly in what is given and in what comes out.

use super::Histogram;
use super::bounds::{Bucket, coarser_index, positive_bounds};

/// All buckets from the lowest to the highest: negative ones, the zero bucket where it holds
/// anything, positive ones. Empty buckets that the histogram lists are among them.
pub fn all_buckets(histogram: &Histogram) -> Vec<Bucket> {
    let mut buckets = Vec::with_capacity(histogram.positive.len() + histogram.negative.len() + 1);
    for &(index, count) in histogram.negative.iter().rev() {
        let (lower, upper) = positive_bounds(histogram, index);
        buckets.push(Bucket {
            lower: -upper,
            upper: -lower,
            count,
        });
    }
    if histogram.zero_count != 0.0 {
        buckets.push(Bucket {
            lower: -histogram.zero_threshold,
            upper: histogram.zero_threshold,
            count: histogram.zero_count,
        });
    }
    for &(index, count) in &histogram.positive {
        let (lower, upper) = positive_bounds(histogram, index);
        buckets.push(Bucket {
            lower,
            upper,
            count,
        });
    }
    buckets
}

/// Adds the buckets of `other` to `buckets`, each through `combine(ours, theirs)`, where a bucket
/// that one side does not have counts 0.
pub(super) fn combine(
    buckets: &mut Vec<(i32, f64)>,
    other: &[(i32, f64)],
    combine: impl Fn(f64, f64) -> f64,
) {
    // Most often both have the same buckets.
    let same = buckets.len() == other.len() && buckets.iter().zip(other).all(|(a, b)| a.0 == b.0);
    if same {
        for (ours, theirs) in buckets.iter_mut().zip(other) {
            ours.1 = combine(ours.1, theirs.1);
        }
        return;
    }
    let mut merged = Vec::with_capacity(buckets.len().max(other.len()));
    let (mut ours, mut theirs) = (buckets.iter().peekable(), other.iter().peekable());
    loop {
        let index = match (ours.peek(), theirs.peek()) {
            (Some(a), Some(b)) => a.0.min(b.0),
            (Some(one), None) | (None, Some(one)) => one.0,
            (None, None) => break,
        };
        let mine = ours.next_if(|bucket| bucket.0 == index);
        let other = theirs.next_if(|bucket| bucket.0 == index);
        let count = |bucket: Option<&(i32, f64)>| bucket.map_or(0.0, |bucket| bucket.1);
        merged.push((index, combine(count(mine), count(other))));
    }
    *buckets = merged;
}

/// Buckets of the schema `from` counted in the coarser schema `to`.
pub(super) fn coarsen(buckets: &mut Vec<(i32, f64)>, from: i8, to: i8) {
    reindex(buckets, |index| coarser_index(index, from, to));
}

/// Gives buckets other indices, by a function that never falls; those that meet are added up.
pub(super) fn reindex(buckets: &mut Vec<(i32, f64)>, index_of: impl Fn(i32) -> i32) {
    let mut result: Vec<(i32, f64)> = Vec::with_capacity(buckets.len());
    for &(index, count) in buckets.iter() {
        let index = index_of(index);
        match result.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => result.push((index, count)),
        }
    }
    *buckets = result;
}

/// The bounds that two lists of custom bounds share.
pub(super) fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut shared = Vec::new();
    while let (Some(&&left), Some(&&right)) = (a.peek(), b.peek()) {
        if left == right {
            shared.push(left);
        }
        if left <= right {
            a.next();
        }
        if right <= left {
            b.next();
        }
        // Bounds that compare with nothing would hold the loop up.
        if left.is_nan() || right.is_nan() {
            break;
        }
    }
    shared
}

/// Buckets of the custom bounds `from` counted within the bounds `to`, some of those.
pub(super) fn rebound(buckets: &mut Vec<(i32, f64)>, from: &[f64], to: &[f64]) {
    reindex(buckets, |index| {
        let upper = usize::try_from(index).ok().and_then(|at| from.get(at));
        let place = match upper {
            Some(upper) => to.partition_point(|bound| bound < upper),
            None => to.len(),
        };
        i32::try_from(place).unwrap_or(i32::MAX)
    });
}
