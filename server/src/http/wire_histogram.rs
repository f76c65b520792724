//! Native histograms: from the wire to the engine's form, checked.
//!
//! Input: a histogram as remote write has it, with whole counts or floats. Output: a
//! [`Histogram`], or why it is none. Invariant: what comes out is well formed: indices and bounds
//! rise, counts are not negative; counts of whole histograms add up.

use treering::{CUSTOM_SCHEMA, Histogram, MAX_SCHEMA, MIN_SCHEMA, ResetHint};

use super::wire::{BUCKETS_MAX, Count, Side, WireHistogram};

/// The finest schema that a sender may have; what is finer than [`MAX_SCHEMA`] is made coarser.
const FINEST_SCHEMA: i32 = 52;

type Buckets = Vec<(i32, f64)>;

/// The histogram that `wire` means.
pub(crate) fn histogram(wire: &WireHistogram) -> Result<Histogram, String> {
    let is_float = matches!(wire.count, Count::Float(_));
    let hint = match wire.hint {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        other => return Err(format!("unknown counter reset hint {other}")),
    };
    let mut histogram = Histogram {
        hint,
        count: number(wire.count),
        sum: wire.sum,
        zero_threshold: wire.zero_threshold,
        zero_count: number(wire.zero_count),
        positive: buckets(&wire.positive, is_float)?,
        negative: buckets(&wire.negative, is_float)?,
        ..Histogram::default()
    };
    check_counts(&histogram, is_float)?;
    if wire.schema == i32::from(CUSTOM_SCHEMA) {
        check_custom(wire)?;
        histogram.schema = CUSTOM_SCHEMA;
        histogram.bounds = wire.bounds.as_slice().into();
        return Ok(histogram);
    }
    if !wire.bounds.is_empty() {
        return Err("custom bounds belong to histograms of schema -53".to_owned());
    }
    if !(i32::from(MIN_SCHEMA)..=FINEST_SCHEMA).contains(&wire.schema) {
        return Err(format!("there is no schema {}", wire.schema));
    }
    if wire.zero_threshold.is_nan() || wire.zero_threshold < 0.0 {
        return Err(format!("{} is no zero threshold", wire.zero_threshold));
    }
    let finer = wire.schema - i32::from(MAX_SCHEMA);
    histogram.schema = i8::try_from(wire.schema.min(i32::from(MAX_SCHEMA))).unwrap_or(MAX_SCHEMA);
    if finer > 0 {
        histogram.positive = coarser(&histogram.positive, finer);
        histogram.negative = coarser(&histogram.negative, finer);
    }
    Ok(histogram)
}

fn number(count: Count) -> f64 {
    match count {
        Count::Whole(number) => number as f64,
        Count::Float(number) => number,
    }
}

/// The buckets of a side, by rising index.
fn buckets(side: &Side, is_float: bool) -> Result<Buckets, String> {
    let (written, unused) = match is_float {
        true => (side.counts.len(), side.deltas.len()),
        false => (side.deltas.len(), side.counts.len()),
    };
    if unused > 0 {
        return Err("counts of the one form and buckets of the other".to_owned());
    }
    let spanned = side.spans.iter().map(|(_, length)| u64::from(*length));
    let spanned = spanned.fold(0, u64::saturating_add);
    if spanned != written as u64 || written > BUCKETS_MAX {
        return Err(format!(
            "spans need {spanned} buckets, have {written} buckets"
        ));
    }
    let counts: Vec<f64> = match is_float {
        true => side.counts.clone(),
        false => absolute(&side.deltas)?,
    };
    if let Some(count) = counts.iter().find(|count| **count < 0.0) {
        return Err(format!("a bucket has the negative count {count}"));
    }
    let mut counts = counts.into_iter();
    let mut buckets = Vec::with_capacity(written);
    let mut next = 0_i32;
    let out_of_range = || "a bucket's index is out of range".to_owned();
    for (at, &(offset, length)) in side.spans.iter().enumerate() {
        if at > 0 && offset < 0 {
            return Err(format!(
                "span number {} has the negative offset {offset}",
                at + 1
            ));
        }
        next = next.checked_add(offset).ok_or_else(out_of_range)?;
        for count in counts.by_ref().take(length as usize) {
            buckets.push((next, count));
            next = next.checked_add(1).ok_or_else(out_of_range)?;
        }
    }
    Ok(buckets)
}

/// Counts from the differences between them.
fn absolute(deltas: &[i64]) -> Result<Vec<f64>, String> {
    let mut count = 0_i64;
    let add = |delta: &i64| {
        count = count
            .checked_add(*delta)
            .ok_or("a bucket's count is out of range")?;
        Ok(count as f64)
    };
    deltas.iter().map(add).collect()
}

fn check_counts(histogram: &Histogram, is_float: bool) -> Result<(), String> {
    let (count, zero) = (histogram.count, histogram.zero_count);
    if count < 0.0 || zero < 0.0 {
        return Err(format!(
            "negative counts: {count} in all, {zero} in the zero bucket"
        ));
    }
    if is_float {
        // Rates and sums of floats need not add up to the last bit.
        return Ok(());
    }
    let sides = histogram.positive.iter().chain(&histogram.negative);
    let found = sides.fold(zero, |sum, (_, count)| sum + count);
    // Observations of NaN are counted in no bucket.
    let is_right = found == count || (histogram.sum.is_nan() && found <= count);
    match is_right {
        true => Ok(()),
        false => Err(format!(
            "{found} observations found in buckets, but the count field is {count}"
        )),
    }
}

fn check_custom(wire: &WireHistogram) -> Result<(), String> {
    let has_others = !wire.negative.spans.is_empty() || number(wire.zero_count) != 0.0;
    if has_others || wire.zero_threshold != 0.0 {
        return Err("custom buckets go with no zero bucket and no negative ones".to_owned());
    }
    if !wire.bounds.is_sorted_by(|a, b| a < b) || wire.bounds.iter().any(|bound| bound.is_nan()) {
        return Err("custom bounds must rise".to_owned());
    }
    if wire.bounds.last() == Some(&f64::INFINITY) {
        return Err("the last custom bound must not be +Inf, which goes without saying".to_owned());
    }
    let spans = wire.positive.spans.iter();
    let reach = spans.fold(0_i64, |sum, (offset, length)| {
        sum.saturating_add(i64::from(*offset))
            .saturating_add(i64::from(*length))
    });
    let starts_below = wire
        .positive
        .spans
        .first()
        .is_some_and(|(offset, _)| *offset < 0);
    let most = wire.bounds.len() as i64 + 1;
    match starts_below || reach > most {
        true => Err(format!(
            "only {} custom bounds defined which is insufficient to cover total span length of \
             {reach}",
            wire.bounds.len()
        )),
        false => Ok(()),
    }
}

/// Buckets of a schema that is finer by so much; those that meet are added up.
fn coarser(buckets: &Buckets, finer: i32) -> Buckets {
    let shift = finer.clamp(0, 31);
    let mut result: Buckets = Vec::with_capacity(buckets.len());
    for &(index, count) in buckets {
        let index = (index.saturating_sub(1) >> shift).saturating_add(1);
        match result.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => result.push((index, count)),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> WireHistogram {
        WireHistogram {
            count: Count::Whole(12),
            sum: 18.4,
            schema: 1,
            zero_threshold: 0.001,
            zero_count: Count::Whole(2),
            positive: Side {
                spans: vec![(-1, 2), (1, 2)],
                deltas: vec![1, 1, -1, 0],
                counts: vec![],
            },
            negative: Side {
                spans: vec![(3, 1)],
                deltas: vec![5],
                counts: vec![],
            },
            hint: 1,
            bounds: vec![],
        }
    }

    #[test]
    fn deltas_and_spans_become_counts_by_index() {
        let read = histogram(&whole()).unwrap();
        assert_eq!(read.positive, [(-1, 1.0), (0, 2.0), (2, 1.0), (3, 1.0)]);
        assert_eq!(read.negative, [(3, 5.0)]);
        assert_eq!((read.schema, read.hint), (1, ResetHint::Reset));
        assert_eq!((read.count, read.zero_count), (12.0, 2.0));
    }

    #[test]
    fn floats_need_not_add_up() {
        let mut float = whole();
        float.count = Count::Float(1.5);
        float.zero_count = Count::Float(0.0);
        float.positive.deltas = vec![];
        float.positive.counts = vec![0.5, 0.25, 0.0, 3.0];
        float.negative = Side::default();
        float.hint = 3;
        let read = histogram(&float).unwrap();
        assert_eq!(read.positive, [(-1, 0.5), (0, 0.25), (2, 0.0), (3, 3.0)]);
        assert_eq!(read.hint, ResetHint::Gauge);
        float.positive.counts[1] = -0.25;
        assert!(histogram(&float).is_err());
    }

    #[test]
    fn custom_bounds_are_kept() {
        let custom = WireHistogram {
            count: Count::Whole(3),
            schema: -53,
            positive: Side {
                spans: vec![(0, 1), (1, 1)],
                deltas: vec![1, 1],
                counts: vec![],
            },
            bounds: vec![0.5, 10.0],
            ..WireHistogram::default()
        };
        let read = histogram(&custom).unwrap();
        assert_eq!(read.positive, [(0, 1.0), (2, 2.0)]);
        assert_eq!(*read.bounds, [0.5, 10.0]);
        for bounds in [
            vec![],
            vec![1.0, 1.0],
            vec![1.0, f64::INFINITY],
            vec![f64::NAN, 1.0],
        ] {
            let wrong = WireHistogram {
                bounds,
                ..custom.clone()
            };
            assert!(histogram(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn finer_schemas_become_coarser() {
        let fine = WireHistogram {
            count: Count::Whole(6),
            schema: 9,
            positive: Side {
                spans: vec![(-1, 4)],
                deltas: vec![1, 0, 0, 2],
                counts: vec![],
            },
            ..WireHistogram::default()
        };
        let read = histogram(&fine).unwrap();
        assert_eq!(read.schema, 8);
        assert_eq!(read.positive, [(0, 2.0), (1, 4.0)]);
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_a_reason() {
        let mut wrongs = Vec::new();
        let mut wrong = |change: fn(&mut WireHistogram)| {
            let mut one = whole();
            change(&mut one);
            let why = histogram(&one).unwrap_err();
            assert!(!wrongs.contains(&why), "{why}");
            wrongs.push(why);
        };
        wrong(|one| one.count = Count::Whole(11));
        wrong(|one| one.schema = -5);
        wrong(|one| one.schema = 53);
        wrong(|one| one.hint = 4);
        wrong(|one| one.bounds = vec![1.0]);
        wrong(|one| one.zero_threshold = -1.0);
        wrong(|one| one.positive.spans[1].0 = -1);
        wrong(|one| one.positive.spans[0].1 = 3);
        wrong(|one| one.positive.deltas[1] = -5);
        wrong(|one| one.positive.deltas[1] = i64::MAX);
        wrong(|one| one.positive.counts = vec![1.0]);
        wrong(|one| one.positive.spans[1].0 = i32::MAX);
        wrong(|one| one.zero_count = Count::Float(-1.0));
        let nan = WireHistogram {
            count: Count::Whole(13),
            sum: f64::NAN,
            ..whole()
        };
        assert!(
            histogram(&nan).is_ok(),
            "an observation of NaN is in no bucket"
        );
    }
}
