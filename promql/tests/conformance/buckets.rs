//! Histograms in scripts: `{{schema:0 count:4 sum:5 buckets:[1 2 1] offset:-1}}`.
//!
//! Input: that notation. Output: a [`Histogram`], and comparisons of them by upstream's rules.
//! Invariant: an empty bucket is no bucket where histograms are compared.

use treering::{CUSTOM_SCHEMA, Histogram, ResetHint};

use super::almost::almost_equal;
use super::values::number;

/// Reads one histogram; the flag says whether its hint was written.
pub(crate) fn read(text: &str) -> Result<(Histogram, bool), String> {
    let inner = text
        .strip_prefix("{{")
        .and_then(|text| text.strip_suffix("}}"))
        .ok_or("no histogram")?;
    let mut histogram = Histogram::default();
    let mut is_hinted = false;
    let (mut positive, mut negative) = (vec![], vec![]);
    let (mut offset, mut negative_offset) = (0, 0);
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or("a field without a value")?;
        let len = match after.starts_with('[') {
            true => after.find(']').ok_or("a list without an end")? + 1,
            false => after.find(char::is_whitespace).unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(len);
        let whole = || {
            value
                .parse()
                .map_err(|_| format!("{value:?} is no whole number"))
        };
        match key.trim() {
            "schema" => histogram.schema = whole()? as i8,
            "sum" => histogram.sum = number(value)?,
            "count" => histogram.count = number(value)?,
            "z_bucket" => histogram.zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "custom_values" => histogram.bounds = list(value)?.into(),
            "buckets" => positive = list(value)?,
            "n_buckets" => negative = list(value)?,
            "offset" => offset = whole()?,
            "n_offset" => negative_offset = whole()?,
            "counter_reset_hint" => {
                histogram.hint = hint(value)?;
                is_hinted = true;
            }
            _ => return Err(format!("unknown field {key:?}")),
        }
        rest = after.trim_start();
    }
    histogram.positive = (offset..).zip(positive).collect();
    histogram.negative = (negative_offset..).zip(negative).collect();
    Ok((histogram, is_hinted))
}

fn hint(text: &str) -> Result<ResetHint, String> {
    match text {
        "unknown" => Ok(ResetHint::Unknown),
        "reset" => Ok(ResetHint::Reset),
        "not_reset" => Ok(ResetHint::NotReset),
        "gauge" => Ok(ResetHint::Gauge),
        _ => Err(format!("unknown hint {text:?}")),
    }
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let items = inner.ok_or("no list")?.split_whitespace();
    items.map(number).collect()
}

/// Adds `factor` times `change`, of the same or a finer schema.
pub(crate) fn add(
    histogram: &mut Histogram,
    change: &Histogram,
    factor: f64,
) -> Result<(), String> {
    let is_custom = |histogram: &Histogram| histogram.schema == CUSTOM_SCHEMA;
    if is_custom(histogram) != is_custom(change) || histogram.bounds != change.bounds {
        return Err("these histograms cannot be added".to_owned());
    }
    if change.schema < histogram.schema || change.zero_threshold > histogram.zero_threshold {
        return Err("the change is coarser than what it changes".to_owned());
    }
    histogram.count += factor * change.count;
    histogram.sum += factor * change.sum;
    histogram.zero_count += factor * change.zero_count;
    let coarser = match is_custom(histogram) {
        true => 0,
        false => u32::from((change.schema - histogram.schema).unsigned_abs()),
    };
    for (to, from) in [
        (&mut histogram.positive, &change.positive),
        (&mut histogram.negative, &change.negative),
    ] {
        for (index, count) in from {
            let index = match coarser {
                0 => *index,
                _ => ((index - 1) >> coarser) + 1,
            };
            match to.binary_search_by_key(&index, |(index, _)| *index) {
                Ok(at) => to[at].1 += factor * count,
                Err(at) => to.insert(at, (index, factor * count)),
            }
        }
    }
    Ok(())
}

/// Whether two histograms are equal by upstream's rules.
pub(crate) fn is_same(wanted: &Histogram, is_hinted: bool, found: &Histogram) -> bool {
    wanted.schema == found.schema
        && almost_equal(wanted.count, found.count)
        && almost_equal(wanted.sum, found.sum)
        && wanted.bounds == found.bounds
        && wanted.zero_threshold == found.zero_threshold
        && almost_equal(wanted.zero_count, found.zero_count)
        && same_buckets(&wanted.positive, &found.positive)
        && same_buckets(&wanted.negative, &found.negative)
        && (!is_hinted || wanted.hint == ResetHint::Unknown || wanted.hint == found.hint)
}

fn same_buckets(wanted: &[(i32, f64)], found: &[(i32, f64)]) -> bool {
    let filled = |buckets: &[(i32, f64)]| -> Vec<(i32, f64)> {
        buckets
            .iter()
            .filter(|(_, count)| *count != 0.0)
            .copied()
            .collect()
    };
    let (wanted, found) = (filled(wanted), filled(found));
    wanted.len() == found.len()
        && wanted
            .iter()
            .zip(&found)
            .all(|(a, b)| a.0 == b.0 && almost_equal(a.1, b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_what_is_written() {
        let text = "{{schema:1 sum:-0.3 count:Inf z_bucket:1 z_bucket_w:0.5 buckets:[1 2] \
                    offset:-3 n_buckets:[4 5] n_offset:2 counter_reset_hint:gauge}}";
        let (histogram, is_hinted) = read(text).unwrap();
        assert!(is_hinted);
        assert_eq!(histogram.positive, [(-3, 1.0), (-2, 2.0)]);
        assert_eq!(histogram.negative, [(2, 4.0), (3, 5.0)]);
        assert_eq!((histogram.schema, histogram.hint), (1, ResetHint::Gauge));
        assert_eq!(read("{{}}").unwrap(), (Histogram::default(), false));
        assert!(read("{{buckets:[1}}").is_err() && read("{{sums:1}}").is_err());
    }

    #[test]
    fn adding_meets_buckets_of_a_finer_schema() {
        let (mut sum, _) = read("{{schema:0 count:1 buckets:[1 1]}}").unwrap();
        let (change, _) = read("{{schema:1 count:4 buckets:[1 1 1 1]}}").unwrap();
        add(&mut sum, &change, 2.0).unwrap();
        assert_eq!(sum.positive, [(0, 3.0), (1, 5.0), (2, 2.0)]);
        assert!(!is_same(&sum, false, &change));
        assert!(is_same(
            &read("{{buckets:[0 1 0]}}").unwrap().0,
            false,
            &read("{{buckets:[1] offset:1}}").unwrap().0
        ));
    }
}
