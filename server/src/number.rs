//! Numbers and timestamps as Prometheus writes them in its answers.
//!
//! Input: numbers. Output: text. Invariant: a number that was written reads back with the same
//! bits, but for the payload of a NaN.

use std::fmt::Write as _;

/// Appends the value of a sample: the shortest digits that read back, with an exponent only below
/// 1e-6 and from 1e21 on; `NaN`, `+Inf`, `-Inf`.
pub fn push_float(out: &mut String, value: f64) {
    let size = value.abs();
    let is_plain = size == 0.0 || (1e-6..1e21).contains(&size) || !size.is_finite();
    if is_plain {
        push_decimal(out, value);
        return;
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    // Writing to a String does not fail.
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// Appends a number without any exponent, as the value of a scalar is written.
pub fn push_decimal(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Appends nanoseconds since the Unix epoch as seconds with milliseconds, where there are some.
pub fn push_time(out: &mut String, nanos: i64) {
    let millis = nanos.div_euclid(NANOS_PER_MILLI);
    if millis < 0 {
        out.push('-');
    }
    let millis = millis.unsigned_abs();
    let _ = match millis % 1000 {
        0 => write!(out, "{}", millis / 1000),
        fraction => write!(out, "{}.{fraction:03}", millis / 1000),
    };
}

/// Nanoseconds in a millisecond, the unit of time of the surface.
pub const NANOS_PER_MILLI: i64 = 1_000_000;

/// Milliseconds as nanoseconds; `None` when an i64 does not hold them.
pub fn nanos(millis: i64) -> Option<i64> {
    millis.checked_mul(NANOS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> String {
        let mut out = String::new();
        push_float(&mut out, value);
        out
    }

    #[test]
    fn exponents_stand_where_prometheus_has_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-6, "0.000001"),
            (9.99e-7, "9.99e-07"),
            (1.5e-100, "1.5e-100"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(float(value), text);
        }
        let mut scalar = String::new();
        push_decimal(&mut scalar, 1e21);
        assert_eq!(scalar, "1000000000000000000000");
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            let value = f64::from_bits(bits);
            let read: f64 = float(value).parse().unwrap();
            let is_same = read.to_bits() == bits || (read.is_nan() && value.is_nan());
            assert!(is_same, "{bits:#x}");
        }
    }

    #[test]
    fn times_are_seconds_with_milliseconds() {
        for (nanos, text) in [
            (0, "0"),
            (1_435_781_451_781_000_000, "1435781451.781"),
            (1_500_000_000, "1.500"),
            (10_000_000, "0.010"),
            (-1_000_000, "-0.001"),
            (-60_000_000_000, "-60"),
            (1_999_999, "0.001"),
        ] {
            let mut out = String::new();
            push_time(&mut out, nanos);
            assert_eq!(out, text);
        }
    }
}
