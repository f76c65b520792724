//! What native histograms of a window rose by.
//!
//! Input: a window of histograms. Output: the last one less the first one, and what was lost at
//! each reset; a gauge. Invariant: exponential and custom buckets are never mixed; a first
//! histogram before a reset does not count, whatever its layout. After `histogramRate` of
//! Prometheus.

use super::asked::Asked;
use super::rate::is_restart;
use crate::annotation::{Notice, Operation};
use crate::histogram::{Histogram, Mixed, ResetHint, add, compact, is_reset, reduce_to, subtract};

/// The rise of the histograms of a window; `None` where they do not go together.
pub(super) fn histogram_rise(asked: &Asked<'_>, is_counter: bool) -> Option<Histogram> {
    let histograms: Vec<&Histogram> = asked.window.histogram_samples().map(|one| &**one).collect();
    let (&first, &last) = (histograms.first()?, histograms.last()?);
    note_hints(asked, &histograms, is_counter);
    let reset = |at: usize, before: &Histogram| {
        histograms
            .get(at)
            .is_some_and(|&one| is_restart(asked, at) || is_reset(one, before))
    };
    // Before a reset the first one does not matter.
    let nothing;
    let mut previous = first;
    if let Some(&second) = histograms.get(1)
        && is_counter
        && reset(1, first)
    {
        nothing = Histogram {
            schema: second.schema,
            bounds: second.bounds.clone(),
            ..Histogram::default()
        };
        previous = &nothing;
    }
    let mut schema = previous.schema.min(last.schema);
    let looked_at = match is_counter {
        true => histograms.get(1..).unwrap_or_default(),
        false => &[last],
    };
    for one in looked_at {
        if one.is_custom() != previous.is_custom() {
            asked.note(&Notice::MixedExponentialCustom {
                metric: asked.metric,
            });
            return None;
        }
        schema = schema.min(one.schema);
    }
    let mut rise = last.clone();
    reduce_to(&mut rise, schema);
    let base = previous;
    combine(asked, subtract(&mut rise, base), Operation::Subtraction)?;
    if is_counter {
        let mut before = previous;
        for (at, &one) in histograms.iter().enumerate().skip(1) {
            if reset(at, before) {
                combine(asked, add(&mut rise, before), Operation::Addition)?;
            }
            before = one;
        }
    }
    rise.hint = ResetHint::Gauge;
    compact(&mut rise);
    Some(rise)
}

/// Notes what adding or subtracting brought to light; conflicts of hints are expected here.
pub(super) fn combine(
    asked: &Asked<'_>,
    result: Result<crate::histogram::Combined, Mixed>,
    operation: Operation,
) -> Option<()> {
    match result {
        Ok(combined) => {
            if combined.bounds_reconciled {
                asked.note(&Notice::BoundsReconciled(operation));
            }
            Some(())
        }
        Err(Mixed) => {
            asked.note(&Notice::MixedExponentialCustom {
                metric: asked.metric,
            });
            None
        }
    }
}

/// Notes gauges where counters are needed, and the other way round.
pub(super) fn note_hints(asked: &Asked<'_>, histograms: &[&Histogram], is_counter: bool) {
    let metric = asked.metric;
    let is_gauge = |one: &&Histogram| one.hint == ResetHint::Gauge;
    if is_counter && histograms.iter().any(is_gauge) {
        asked.note(&Notice::NotCounter { metric });
    }
    let ends = [histograms.first(), histograms.last()];
    if !is_counter && !ends.into_iter().flatten().all(is_gauge) {
        asked.note(&Notice::NotGauge { metric });
    }
}
