//! Adversarial floats and timestamps, as proptest strategies; and comparison by bits.

use proptest::prelude::*;

/// Values by their bits, so that NaN payloads and signs of zero are compared.
pub(crate) fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// One float of the kinds that break codecs.
pub(crate) fn odd_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<u64>().prop_map(|bits| f64::from_bits(bits | 0x7ff0_0000_0000_0000)),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            treering_codec::stale_marker(),
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            9_007_199_254_740_993.0,
            2_251_799_813_685_248.0,
            -2_251_799_813_685_248.0,
            0.1 + 0.2,
            1e300,
            -1e-300,
        ]),
        (-1_000_000i64..1_000_000, 0i32..7).prop_map(|(m, e)| m as f64 / 10f64.powi(e)),
        (-1_000_000i64..1_000_000, 0i32..7, -2i64..=2).prop_map(|(m, e, ulps)| {
            let decimal = m as f64 / 10f64.powi(e);
            f64::from_bits(decimal.to_bits().wrapping_add_signed(ulps))
        }),
    ]
}

/// Sample counts around the edges of blocks, and any other.
pub(crate) fn count() -> impl Strategy<Value = usize> {
    prop_oneof![
        prop::sample::select(vec![0usize, 1, 2, 3, 127, 128, 129, 255, 256, 257, 1024]),
        0usize..400,
    ]
}

/// A column that looks like something real, with odd values strewn in.
pub(crate) fn values() -> impl Strategy<Value = Vec<f64>> {
    let shape = (0u8..13, any::<u32>(), 0i32..9, 0i64..2000);
    let odd = prop::collection::vec((any::<prop::sample::Index>(), odd_float()), 0..6);
    (count(), shape, odd, any::<bool>()).prop_map(|(count, shape, odd, strew)| {
        let mut column = column(count, shape);
        if strew && count > 0 {
            for (index, value) in odd {
                let index = index.index(count);
                column[index] = value;
            }
        }
        column
    })
}

/// A deterministic column of one of several shapes.
pub(crate) fn column(count: usize, (shape, seed, scale, step): (u8, u32, i32, i64)) -> Vec<f64> {
    let mut state = u64::from(seed) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut walk, mut sum) = (i64::from(seed), 0.0);
    (0..count)
        .map(|index| {
            let noise = (random() % (2 * step.unsigned_abs() + 1)) as i64 - step;
            match shape {
                0 => f64::from(seed),
                1 => (walk + index as i64 * step) as f64,
                2 => {
                    walk += noise;
                    walk as f64 / 10f64.powi(scale)
                }
                3 => {
                    walk += noise.abs();
                    if random() % 97 == 0 {
                        walk = 0;
                    }
                    walk as f64
                }
                4 => {
                    sum += noise as f64 * 0.1;
                    sum
                }
                5 => [0.5, 7.25, -3.0, 1e9][(random() % 4) as usize],
                6 => f64::from_bits(random()),
                7 => (random() >> 11) as f64 / (1u64 << 53) as f64,
                9 => {
                    walk += noise;
                    f64::from((walk as f64 / 10f64.powi(scale)) as f32)
                }
                10 => f64::from(walk as f32 + noise as f32 / 10f32.powi(scale)),
                12 => (walk + noise) as f64 / f64::from(seed % 700 + 2),
                11 => (0..4).map(|_| random() as i64 as f64 * 1e-19).sum(),
                _ => ((walk + noise) * 1024) as f64,
            }
        })
        .collect()
}

/// A timestamp column: regular, jittered, with gaps, backwards, or anything.
pub(crate) fn timestamps() -> impl Strategy<Value = Vec<i64>> {
    let unit = prop::sample::select(vec![1i64, 1_000, 1_000_000, 1_000_000_000]);
    let jumps = prop::collection::vec((any::<prop::sample::Index>(), any::<i64>()), 0..4);
    (count(), unit, 0i64..20, any::<u32>(), jumps, 0u8..4).prop_map(
        |(count, unit, jitter, seed, jumps, wild)| {
            let mut column = regular(count, unit, jitter, seed);
            if wild == 0 && count > 0 {
                for (index, timestamp) in jumps {
                    let index = index.index(count);
                    column[index] = timestamp;
                }
            } else if wild == 1 && count > 0 {
                for (index, gap) in jumps {
                    let index = index.index(count);
                    for timestamp in &mut column[index..] {
                        *timestamp = timestamp.wrapping_add((gap % 1_000_000).wrapping_mul(unit));
                    }
                }
            }
            column
        },
    )
}

fn regular(count: usize, unit: i64, jitter: i64, seed: u32) -> Vec<i64> {
    let mut state = u64::from(seed) | 1;
    (0..count as i64)
        .map(|index| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let off = if jitter == 0 {
                0
            } else {
                (state >> 33) as i64 % (2 * jitter) - jitter
            };
            1_795_294_024_655_000_000 / unit * unit + (index * 1_000 + off) * unit
        })
        .collect()
}

/// Bits without a pattern, the same for the same index (SplitMix64, G. Steele et al., 2014).
pub(crate) fn mix(index: u64) -> u64 {
    let mut bits = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
