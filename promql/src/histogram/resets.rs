//! Resets: whether a counter histogram was reset between two samples.
//!
//! Input: a histogram and the one before it. Output: whether any count fell. Invariant: a hint that
//! says so is believed. After `DetectReset` of Prometheus.

use super::buckets::{coarsen, combine, rebound, shared_bounds};
use super::{Histogram, ResetHint, zero};

/// Whether the counter was reset after `previous`.
pub fn is_reset(histogram: &Histogram, previous: &Histogram) -> bool {
    match histogram.hint {
        ResetHint::Reset => return true,
        ResetHint::NotReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    if histogram.count < previous.count || histogram.is_custom() != previous.is_custom() {
        return true;
    }
    if histogram.is_custom() {
        return is_custom_reset(histogram, previous);
    }
    if histogram.schema > previous.schema || histogram.zero_threshold < previous.zero_threshold {
        return true;
    }
    let (zero_count, threshold) = zero::count_within(previous, histogram.zero_threshold);
    if threshold != histogram.zero_threshold || histogram.zero_count < zero_count {
        return true;
    }
    let mut before = previous.clone();
    zero::widen(&mut before, threshold);
    let sides = [
        (&histogram.positive, before.positive),
        (&histogram.negative, before.negative),
    ];
    sides.into_iter().any(|(now, mut then)| {
        coarsen(&mut then, previous.schema, histogram.schema);
        any_fell(now, then)
    })
}

/// Sets the hints of counter histograms that follow each other, as a store that looks for resets
/// when it appends would know them: the first one, and each that is a reset, is `Unknown`, all
/// others are `NotReset`. Gauges stay gauges and begin anew after them.
pub fn mark_resets<'a>(histograms: impl IntoIterator<Item = &'a mut Histogram>) {
    let mut previous: Option<Histogram> = None;
    for histogram in histograms {
        if histogram.hint == ResetHint::Gauge {
            previous = None;
            continue;
        }
        let goes_on = previous.is_some_and(|previous| !is_reset(histogram, &previous));
        previous = Some(Histogram {
            hint: ResetHint::Unknown,
            ..histogram.clone()
        });
        histogram.hint = match goes_on {
            true => ResetHint::NotReset,
            false => ResetHint::Unknown,
        };
    }
}

fn is_custom_reset(histogram: &Histogram, previous: &Histogram) -> bool {
    let (mut now, mut then) = (histogram.positive.clone(), previous.positive.clone());
    if histogram.bounds != previous.bounds {
        let shared = shared_bounds(&histogram.bounds, &previous.bounds);
        rebound(&mut now, &histogram.bounds, &shared);
        rebound(&mut then, &previous.bounds, &shared);
    }
    any_fell(&now, then)
}

fn any_fell(now: &[(i32, f64)], mut then: Vec<(i32, f64)>) -> bool {
    combine(&mut then, now, |then, now| now - then);
    then.iter().any(|bucket| bucket.1 < 0.0)
}
