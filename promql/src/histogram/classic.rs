//! Classic histograms: quantiles and fractions of cumulative buckets.
//!
//! Input: upper bounds and cumulative counts, in any order. Output: an estimate, and what had to be
//! repaired. Invariant: what is computed on has rising bounds, none twice, and counts that never
//! fall. After `BucketQuantile` and `BucketFraction` of Prometheus.

/// One bucket of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicBucket {
    /// The upper bound, `le`.
    pub upper: f64,
    /// How many observations are at most that.
    pub count: f64,
}

/// What was repaired of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Repair {
    /// Whether a count had to be raised to that of the bucket before it, by more than rounding
    /// explains.
    pub is_forced: bool,
    /// The lowest upper bound of a bucket that was raised.
    pub first: f64,
    /// The highest one.
    pub last: f64,
    /// By how much at most a count was raised.
    pub largest: f64,
}

/// The value below which a fraction `q` of the observations lies.
pub fn classic_quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> (f64, Repair) {
    let none = Repair::default();
    if !(0.0..=1.0).contains(&q) {
        let end = match q {
            _ if q < 0.0 => f64::NEG_INFINITY,
            _ if q > 1.0 => f64::INFINITY,
            _ => f64::NAN,
        };
        return (end, none);
    }
    if !order(buckets) {
        return (f64::NAN, none);
    }
    let repair = make_monotonic(buckets);
    let [.., before, last] = buckets.as_slice() else {
        return (f64::NAN, repair);
    };
    let observations = last.count;
    if observations == 0.0 {
        return (f64::NAN, repair);
    }
    let mut rank = q * observations;
    let finite = buckets.get(..buckets.len() - 1).unwrap_or_default();
    let Some(at) = finite.iter().position(|bucket| bucket.count >= rank) else {
        return (before.upper, repair);
    };
    let Some(bucket) = finite.get(at) else {
        return (f64::NAN, repair);
    };
    let below = at.checked_sub(1).and_then(|at| finite.get(at));
    if below.is_none() && bucket.upper <= 0.0 {
        return (bucket.upper, repair);
    }
    let (start, mut count) = (below.map_or(0.0, |below| below.upper), bucket.count);
    if let Some(below) = below {
        count -= below.count;
        rank -= below.count;
    }
    (start + (bucket.upper - start) * (rank / count), repair)
}

/// The fraction of observations above `lower` and at most `upper`.
pub fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !order(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |value: f64| {
        let mut below = 0.0;
        let mut from = f64::NEG_INFINITY;
        for bucket in buckets.iter() {
            if from == f64::NEG_INFINITY && bucket.upper > 0.0 {
                from = 0.0;
            }
            if from >= value {
                return below;
            }
            if bucket.upper > value {
                return match from == f64::NEG_INFINITY {
                    true => bucket.count,
                    false => {
                        below + (bucket.count - below) * (value - from) / (bucket.upper - from)
                    }
                };
            }
            (below, from) = (bucket.count, bucket.upper);
        }
        count
    };
    (rank_of(upper) - rank_of(lower)) / count
}

/// Sorts buckets and adds up those of the same bound; false where the infinite one is missing.
fn order(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets
        .last()
        .is_none_or(|last| last.upper != f64::INFINITY)
    {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

fn make_monotonic(buckets: &mut [ClassicBucket]) -> Repair {
    let mut repair = Repair::default();
    let Some(mut previous) = buckets.first().map(|first| first.count) else {
        return repair;
    };
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count == previous {
            continue;
        }
        if is_almost_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            if !repair.is_forced {
                repair.first = bucket.upper;
            }
            repair.is_forced = true;
            repair.last = bucket.upper;
            repair.largest = repair.largest.max(previous - bucket.count);
            bucket.count = previous;
        } else {
            previous = bucket.count;
        }
    }
    repair
}

/// Differences up to this fraction are taken for rounding.
const SMALL_DELTA: f64 = 1e-12;

fn is_almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}
