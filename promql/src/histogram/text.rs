//! The text of native histograms and of numbers, as Prometheus prints them.
//!
//! Input: histograms, numbers. Output: `{count:4, sum:5, (0.5,1]:1, (1,2]:3}` and Go's `%g`.
//! Invariant: a printed number reads back as the same one.

use std::fmt;

use super::{Histogram, all_buckets};

/// A histogram as Prometheus prints it: buckets from the lowest on, empty ones left out.
#[derive(Debug)]
pub struct Shown<'a>(pub &'a Histogram);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let histogram = self.0;
        write!(
            f,
            "{{count:{}, sum:{}",
            go_float(histogram.count),
            go_float(histogram.sum)
        )?;
        for bucket in all_buckets(histogram) {
            if bucket.count == 0.0 {
                continue;
            }
            let is_zero = bucket.lower == -bucket.upper && !histogram.is_custom();
            let (open, close) = match bucket.lower < 0.0 && !histogram.is_custom() {
                _ if is_zero => ('[', ']'),
                true => ('[', ')'),
                false => ('(', ']'),
            };
            let open = match bucket.lower == f64::NEG_INFINITY {
                true => '[',
                false => open,
            };
            let (lower, upper) = (go_float(bucket.lower), go_float(bucket.upper));
            let count = go_float(bucket.count);
            write!(f, ", {open}{lower},{upper}{close}:{count}")?;
        }
        f.write_str("}")
    }
}

/// A number as Go's `%g` prints it: the shortest digits that read back, with an exponent below
/// 1e-4 and from 1e6 on.
pub fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
