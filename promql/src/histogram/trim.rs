//! Trimming: what of a histogram lies above or below a value.
//!
//! Input: a histogram and a value. Output: the histogram without the observations on the other
//! side. Invariant: a bucket that the value cuts keeps the part that interpolation gives it; count
//! and sum are estimated anew from the buckets where anything was cut off, and kept where nothing
//! was.

use super::bounds::{Bucket, positive_bounds};
use super::quantile::{clamp_bounds, fraction_at, is_linear};
use super::{Histogram, compact};

/// Which observations stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimSide {
    /// Those of at most the value (`</`).
    Below,
    /// Those of at least the value (`>/`).
    Above,
}

/// What stays of a bucket.
struct Kept {
    count: f64,
    /// The sum of the observations that stay, estimated.
    sum: f64,
    is_cut: bool,
}

/// Keeps the observations on one side of `value`. NaN keeps none.
pub fn trim(histogram: &mut Histogram, value: f64, side: TrimSide) {
    let layout = histogram.clone();
    let (mut count, mut sum, mut is_cut) = (0.0, 0.0, false);
    let mut keep = |bucket: Bucket| {
        if bucket.count == 0.0 {
            return 0.0;
        }
        let kept = kept_of(&layout, bucket, value, side);
        is_cut |= kept.is_cut;
        count += kept.count;
        sum += kept.sum;
        kept.count
    };
    for (index, many) in &mut histogram.negative {
        let (lower, upper) = positive_bounds(&layout, *index);
        *many = keep(Bucket {
            lower: -upper,
            upper: -lower,
            count: *many,
        });
    }
    histogram.zero_count = keep(Bucket {
        lower: -layout.zero_threshold,
        upper: layout.zero_threshold,
        count: layout.zero_count,
    });
    for (index, many) in &mut histogram.positive {
        let (lower, upper) = positive_bounds(&layout, *index);
        *many = keep(Bucket {
            lower,
            upper,
            count: *many,
        });
    }
    if is_cut {
        (histogram.count, histogram.sum) = (count, sum);
        compact(histogram);
    }
}

fn kept_of(layout: &Histogram, bucket: Bucket, value: f64, side: TrimSide) -> Kept {
    let whole = |sum: f64| Kept {
        count: bucket.count,
        sum,
        is_cut: false,
    };
    let nothing = Kept {
        count: 0.0,
        sum: 0.0,
        is_cut: true,
    };
    if layout.is_custom() && (bucket.lower.is_infinite() || bucket.upper.is_infinite()) {
        return open_kept(bucket, value, side).unwrap_or(nothing);
    }
    let bucket = clamp_bounds(layout, bucket).unwrap_or(bucket);
    let Bucket {
        lower,
        upper,
        count,
    } = bucket;
    let is_linear = is_linear(layout, &bucket);
    let middle = |lower: f64, upper: f64| match is_linear {
        true => (lower + upper) / 2.0,
        false => (lower * upper).sqrt().copysign(upper),
    };
    let part = |lower: f64, upper: f64, fraction: f64| Kept {
        count: count * fraction,
        sum: count * fraction * middle(lower, upper),
        is_cut: true,
    };
    match side {
        TrimSide::Below if value >= upper => whole(count * middle(lower, upper)),
        TrimSide::Above if value <= lower => whole(count * middle(lower, upper)),
        TrimSide::Below if value > lower => part(lower, value, fraction_at(layout, &bucket, value)),
        TrimSide::Above if value < upper => {
            part(value, upper, 1.0 - fraction_at(layout, &bucket, value))
        }
        _ => nothing,
    }
}

/// What stays of a custom bucket without a lower or an upper end: all or nothing, as there is
/// nothing to interpolate between; `None` is nothing. All counts are at the end that is known, or
/// at the cut where that is inside. Where the first bucket ends above 0 it begins at 0.
fn open_kept(bucket: Bucket, value: f64, side: TrimSide) -> Option<Kept> {
    let Bucket {
        lower,
        upper,
        count,
    } = bucket;
    let at = |place: f64, is_cut: bool| {
        Some(Kept {
            count,
            sum: count * place,
            is_cut,
        })
    };
    let part = |lower: f64, upper: f64, fraction: f64, is_cut: bool| {
        let count = count * fraction;
        Some(Kept {
            count,
            sum: count * (lower + upper) / 2.0,
            is_cut,
        })
    };
    match (side, lower == f64::NEG_INFINITY, upper == f64::INFINITY) {
        (TrimSide::Below, _, true) if value == f64::INFINITY => at(0.0, false),
        (TrimSide::Above, true, _) if value == f64::NEG_INFINITY => at(0.0, false),
        (_, true, true) | (TrimSide::Below, _, true) => None,
        (TrimSide::Above, false, _) if value <= lower => at(lower, false),
        (TrimSide::Above, false, _) if value < f64::INFINITY => at(value, true),
        (TrimSide::Above, false, _) => None,
        (TrimSide::Below, true, _) if upper <= 0.0 => match value {
            value if value >= upper => at(upper, false),
            value if value > f64::NEG_INFINITY => at(value, true),
            _ => None,
        },
        (TrimSide::Below, true, _) if value >= upper => part(0.0, upper, 1.0, false),
        (TrimSide::Below, true, _) if value > 0.0 => part(0.0, value, value / upper, true),
        (TrimSide::Above, true, _) if upper <= 0.0 || value >= upper || value < 0.0 => None,
        (TrimSide::Above, true, _) => part(value, upper, 1.0 - value / upper, value > 0.0),
        _ => None,
    }
}
