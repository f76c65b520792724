//! Chunks that a plain encoder wrote come back bit for bit.

use std::sync::Arc;

use proptest::prelude::*;
use treering::{Histogram, ResetHint, SampleColumns};
use treering_formats::prometheus::decode;

use crate::encoder::{Bits, Xor, floats, with_count};

/// Milliseconds that rise, by steps of all sizes.
fn times(count: usize) -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        Just(15_000_i64),
        1_i64..20_000,
        1_i64..200_000,
        1_i64..10_000_000,
        1_i64..10_000_000_000
    ];
    let steps = prop::collection::vec(step, count);
    (-1_000_000_000_000_i64..2_000_000_000_000, steps).prop_map(|(first, steps)| {
        let mut time = first;
        let next = |step| {
            time += step;
            time
        };
        std::iter::once(first)
            .chain(steps.into_iter().map(next))
            .collect()
    })
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(1.0),
        (0_u32..1000).prop_map(|n| f64::from(n) / 10.0),
        any::<u64>().prop_map(f64::from_bits)
    ]
}

proptest! {
    #[test]
    fn floats_come_back(
        (times, values) in (0_usize..130)
            .prop_flat_map(|n| (times(n), prop::collection::vec(float(), n + 1)))
    ) {
        let samples: Vec<(i64, f64)> = times.iter().copied().zip(values).collect();
        let mut found = SampleColumns::default();
        decode(1, &floats(&samples), &mut found).unwrap();
        let wanted: Vec<i64> = times.iter().map(|time| time * 1_000_000).collect();
        prop_assert_eq!(&found.timestamps, &wanted);
        let bits: Vec<u64> = found.values.iter().map(|value| value.to_bits()).collect();
        let wanted: Vec<u64> = samples.iter().map(|(_, value)| value.to_bits()).collect();
        prop_assert_eq!(bits, wanted);
    }

    #[test]
    fn whole_histograms_come_back(
        times in times(20),
        counts in prop::collection::vec(prop::array::uniform4(0_i64..1_000_000), 21),
        schema in -4_i8..=8,
        offset in -300_i32..300,
    ) {
        let histograms: Vec<Histogram> = counts
            .iter()
            .enumerate()
            .map(|(number, &[zero, a, b, c])| Histogram {
                schema,
                hint: if number == 0 { ResetHint::Reset } else { ResetHint::NotReset },
                count: (zero + a + b + c) as f64,
                sum: zero as f64 / 7.0,
                zero_threshold: 2_f64.powi(-128),
                zero_count: zero as f64,
                positive: vec![(offset, a as f64), (offset + 1, b as f64)],
                negative: vec![(offset + 5, c as f64)],
                bounds: Arc::default(),
            })
            .collect();
        let mut found = SampleColumns::default();
        decode(2, &whole(&times, &histograms), &mut found).unwrap();
        let found: Vec<Histogram> = found
            .histograms
            .iter()
            .map(|one| one.as_deref().unwrap().clone())
            .collect();
        prop_assert_eq!(found, histograms);
    }

    #[test]
    fn float_histograms_come_back(
        times in times(20),
        counts in prop::collection::vec(prop::array::uniform4(0.0_f64..1e9), 21),
    ) {
        let histograms: Vec<Histogram> = counts
            .iter()
            .map(|&[zero, a, b, c]| Histogram {
                schema: 3,
                hint: ResetHint::Gauge,
                count: zero + a + b + c,
                sum: zero / 7.0,
                zero_threshold: 0.001,
                zero_count: zero,
                positive: vec![(-2, a), (4, b)],
                negative: vec![(0, c)],
                bounds: Arc::default(),
            })
            .collect();
        let mut found = SampleColumns::default();
        decode(3, &float_histograms(&times, &histograms), &mut found).unwrap();
        let found: Vec<Histogram> = found
            .histograms
            .iter()
            .map(|one| one.as_deref().unwrap().clone())
            .collect();
        prop_assert_eq!(found, histograms);
    }

    #[test]
    fn any_bytes_are_samples_or_an_error(kind in 0_u8..5, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut found = SampleColumns::default();
        let _ = decode(kind, &bytes, &mut found);
        prop_assert_eq!(found.timestamps.len(), found.values.len());
        prop_assert!(found.timestamps.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

/// Hint, zero threshold, schema and the spans of both sides.
fn layout(one: &Histogram, out: &mut Bits) {
    let hint = match one.hint {
        ResetHint::Unknown => 0b00,
        ResetHint::NotReset => 0b01,
        ResetHint::Reset => 0b10,
        ResetHint::Gauge => 0b11,
    };
    out.bits(hint << 6, 8);
    let exponent = one.zero_threshold.log2();
    match exponent.fract() == 0.0 {
        true => out.bits((exponent + 244.0) as u64, 8),
        false => {
            out.bits(255, 8);
            out.bits(one.zero_threshold.to_bits(), 64);
        }
    }
    out.varbit(i64::from(one.schema));
    for side in [&one.positive, &one.negative] {
        // A span for each run of neighbours.
        let mut spans: Vec<(i32, u64)> = Vec::new();
        let mut next = 0;
        for &(index, _) in side {
            match spans.last_mut() {
                Some((_, length)) if index == next => *length += 1,
                _ => spans.push((index - next, 1)),
            }
            next = index + 1;
        }
        out.unsigned_varbit(spans.len() as u64);
        for (offset, length) in spans {
            out.unsigned_varbit(length);
            out.varbit(i64::from(offset));
        }
    }
}

fn whole(times: &[i64], histograms: &[Histogram]) -> Vec<u8> {
    let mut out = Bits::default();
    layout(&histograms[0], &mut out);
    let mut sum = None::<Xor>;
    let mut before: Vec<i64> = Vec::new();
    let mut deltas: Vec<i64> = Vec::new();
    for (number, (&time, one)) in times.iter().zip(histograms).enumerate() {
        // Time, count, zero count, then each bucket against its neighbour.
        let mut row = vec![time, one.count as i64, one.zero_count as i64];
        for side in [&one.positive, &one.negative] {
            let mut last = 0;
            for &(_, count) in side {
                row.push(count as i64 - last);
                last = count as i64;
            }
        }
        let now: Vec<i64> = match number {
            0 => row.clone(),
            _ => row.iter().zip(&before).map(|(a, b)| a - b).collect(),
        };
        let told: Vec<i64> = match number {
            0 | 1 => now.clone(),
            _ => now.iter().zip(&deltas).map(|(a, b)| a - b).collect(),
        };
        for (at, &value) in told.iter().enumerate() {
            let is_unsigned = match number {
                0 => at == 1 || at == 2,
                1 => at == 0,
                _ => false,
            };
            match is_unsigned {
                true => out.unsigned_varbit(value as u64),
                false => out.varbit(value),
            }
            if at == 2 {
                match &mut sum {
                    None => sum = Some(Xor::first(one.sum, &mut out)),
                    Some(sum) => sum.next(one.sum, &mut out),
                }
            }
        }
        (before, deltas) = (row, now);
    }
    with_count(histograms.len(), out)
}

fn float_histograms(times: &[i64], histograms: &[Histogram]) -> Vec<u8> {
    let mut out = Bits::default();
    layout(&histograms[0], &mut out);
    let mut floats: Vec<Xor> = Vec::new();
    let (mut before, mut delta) = (0, 0);
    for (number, (&time, one)) in times.iter().zip(histograms).enumerate() {
        match number {
            0 => out.varbit(time),
            1 => out.unsigned_varbit((time - before) as u64),
            _ => out.varbit(time - before - delta),
        }
        if number > 0 {
            delta = time - before;
        }
        before = time;
        let buckets = one.positive.iter().chain(&one.negative);
        let row = [one.count, one.zero_count, one.sum].into_iter();
        let row = row.chain(buckets.map(|(_, count)| *count));
        for (at, value) in row.enumerate() {
            match floats.get_mut(at) {
                None => floats.push(Xor::first(value, &mut out)),
                Some(float) => float.next(value, &mut out),
            }
        }
    }
    with_count(histograms.len(), out)
}
