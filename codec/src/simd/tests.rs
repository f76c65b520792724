//! Every level against plain loops, bit for bit.

use super::Level;
use crate::bitpack::{self, MAX_WIDTH};
use crate::decimal::{POW10, add_ulps};
use crate::limits::{BLOCK_SAMPLES, MAX_DICTIONARY};
use crate::portable::{Form, Packed, Source, Undo};
use crate::sealed::from_ordered;
use crate::sequence::Transform;
use crate::varint::unzigzag;

/// SplitMix64 (G. Steele et al., 2014).
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[test]
fn every_level_divides_as_a_division_does() {
    let mut state = 7;
    for scale in 0..=22u8 {
        let divisor = POW10[usize::from(scale)];
        let mut ints: Vec<i64> = Vec::new();
        for bits in 0..64 {
            let power = 1i64 << bits;
            ints.extend((-3..=3).map(|near| power.wrapping_add(near)));
            ints.extend((0..800).map(|_| (mix(&mut state) >> bits) as i64));
        }
        // Quotients next to the middle between two floats: the nearest integers to an odd
        // multiple of half an ulp times the divisor, at every exponent.
        for shift in 0..52 {
            for _ in 0..40 {
                let middle = (mix(&mut state) >> 11 << 1 | 1) as f64;
                let near = (middle * divisor / (1u64 << shift) as f64) as i64;
                ints.extend((-2..=2).map(|off| near.wrapping_add(off)));
            }
        }
        ints.extend(ints.clone().iter().map(|int| int.wrapping_neg()));
        for level in Level::all() {
            let out = level.decimals(&ints, scale);
            for (&int, found) in ints.iter().zip(out) {
                let expected = (int as f64 / divisor).to_bits();
                assert_eq!(found.to_bits(), expected, "{level:?} {int} {scale}");
            }
        }
    }
}

/// What [`Undo`] does, one value at a time.
fn undone(undo: &mut Undo, values: &[i64]) -> Vec<i64> {
    let mut out = Vec::new();
    for &value in values {
        let next = match undo.transform {
            Transform::Plain => value,
            Transform::Line => undo.last.wrapping_add(value),
            Transform::First => undo.last.wrapping_add(value),
            Transform::Second => {
                undo.step = undo.step.wrapping_add(value);
                undo.last.wrapping_add(undo.step)
            }
        };
        undo.last = match undo.transform {
            Transform::Line => undo.last.wrapping_add(undo.step),
            _ => next,
        };
        out.push(next);
    }
    out
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_level_makes_the_same_of_every_count_source_and_transform() {
    let mut state = 3;
    let table: [f64; MAX_DICTIONARY] = std::array::from_fn(|_| f64::from_bits(mix(&mut state)));
    let transforms = [
        Transform::Plain,
        Transform::First,
        Transform::Second,
        Transform::Line,
    ];
    for transform in transforms {
        for count in 0..=BLOCK_SAMPLES {
            let width = (mix(&mut state) % 57) as u8;
            let affine = (mix(&mut state) as i64, mix(&mut state) as i64);
            let mut bytes = Vec::new();
            let fields: Vec<u64> = (0..count)
                .map(|_| mix(&mut state) & ((1 << width) - 1))
                .collect();
            bitpack::pack(&fields, |field| field, width, &mut bytes);
            let mut block = [7; BLOCK_SAMPLES];
            for (place, &field) in block.iter_mut().zip(&fields) {
                *place = affine.1.wrapping_add((field as i64).wrapping_mul(affine.0));
            }
            let start = Undo {
                transform,
                last: mix(&mut state) as i64,
                step: mix(&mut state) as i64,
            };
            let mut after = start;
            let expected = undone(&mut after, &block[..count]);
            let packed = Packed {
                bytes: &bytes,
                width,
                affine,
            };
            // Nothing builds on less than a block.
            let whole = count == BLOCK_SAMPLES && transform != Transform::Plain;
            let after = whole.then_some((after.last, after.step));
            let sources = [
                Source {
                    packed,
                    ..Source::zeros()
                },
                Source {
                    block: Some(Box::new(block)),
                    ..Source::zeros()
                },
            ];
            for level in Level::all() {
                for source in &sources {
                    let reached = |undo: Undo| {
                        let state = (undo.last, undo.step);
                        assert!(
                            after.is_none_or(|after| after == state),
                            "{level:?} {undo:?}"
                        );
                    };
                    let (mut undo, mut ints) = (start, vec![1]);
                    level.extend_i64(source, &mut undo, count, &mut ints);
                    assert_eq!(ints[1..], expected, "{level:?} {transform:?} {count}");
                    reached(undo);

                    let mut places: Vec<f64> = table[..count].to_vec();
                    let mut undo = start;
                    level.add_ulps(source, &mut undo, &mut places);
                    reached(undo);
                    for ((place, value), &ulps) in places.iter().zip(&table).zip(&expected) {
                        assert_eq!(place.to_bits(), add_ulps(*value, ulps).to_bits());
                    }

                    for scale in [0, 1, 5, 16, 21, 22] {
                        let (mut undo, mut out) = (start, vec![1.0]);
                        let form = Form::Decimal(scale);
                        assert!(level.extend_f64(source, &mut undo, count, &form, &mut out));
                        let divisor = POW10[usize::from(scale)];
                        let wanted: Vec<f64> =
                            expected.iter().map(|&int| int as f64 / divisor).collect();
                        assert_eq!(bits(&out[1..]), bits(&wanted));
                        reached(undo);
                    }

                    let (mut undo, mut out) = (start, Vec::new());
                    level.extend_f64(source, &mut undo, count, &Form::Ordered, &mut out);
                    let wanted: Vec<f64> = expected.iter().map(|&o| from_ordered(o)).collect();
                    assert_eq!(bits(&out), bits(&wanted));
                }
            }
        }
    }
}

#[test]
fn every_level_looks_up_and_refuses_what_is_beyond_the_table() {
    let mut state = 5;
    let table: [f64; MAX_DICTIONARY] = std::array::from_fn(|_| f64::from_bits(mix(&mut state)));
    for count in 1..=BLOCK_SAMPLES {
        let known = 1 + mix(&mut state) as usize % MAX_DICTIONARY;
        let mut block = [-1; BLOCK_SAMPLES];
        for place in block.iter_mut().take(count) {
            *place = (mix(&mut state) % known as u64) as i64;
        }
        let odd = mix(&mut state) as usize % count;
        for beyond in [None, Some(known as i64), Some(-1), Some(i64::MAX)] {
            let mut block = block;
            block[odd] = beyond.unwrap_or(block[odd]);
            let source = Source {
                block: Some(Box::new(block)),
                ..Source::zeros()
            };
            for level in Level::all() {
                let mut undo = Undo::plain();
                let form = Form::Lookup {
                    table: &table,
                    count: known,
                };
                let mut out = Vec::new();
                let all = level.extend_f64(&source, &mut undo, count, &form, &mut out);
                assert_eq!(all, beyond.is_none(), "{level:?} {count} {known}");
                if all {
                    let wanted: Vec<f64> = block[..count]
                        .iter()
                        .map(|&index| table[index as usize])
                        .collect();
                    assert_eq!(bits(&out), bits(&wanted));
                }
            }
        }
    }
}

#[test]
fn every_level_patches_what_its_map_says() {
    let mut state = 11;
    for patch_width in 1..=MAX_WIDTH {
        for count in 1..=BLOCK_SAMPLES {
            let width = (mix(&mut state) % 57) as u8;
            let unit = [1, 3, mix(&mut state) as i64][count % 3];
            let few = (mix(&mut state) & mix(&mut state)) >> (mix(&mut state) % 64);
            let map = (u128::from(few) << 64 | u128::from(mix(&mut state)))
                & (u128::MAX >> (BLOCK_SAMPLES - count));
            let low: Vec<u64> = (0..count)
                .map(|_| mix(&mut state) & ((1 << width) - 1))
                .collect();
            let codes: Vec<u64> = (0..map.count_ones())
                .map(|_| mix(&mut state) & ((1 << patch_width) - 1))
                .collect();
            let (mut bytes, mut packed_codes) = (Vec::new(), Vec::new());
            bitpack::pack(&low, |low| low, width, &mut bytes);
            bitpack::pack(&codes, |code| code, patch_width, &mut packed_codes);
            let start = mix(&mut state) as i64;
            let mut next = codes.iter();
            let expected: Vec<i64> = low
                .iter()
                .enumerate()
                .map(|(index, &low)| {
                    let high = match map >> index & 1 {
                        1 => unzigzag(*next.next().unwrap()) << width,
                        _ => 0,
                    };
                    (low as i64)
                        .wrapping_add(high)
                        .wrapping_mul(unit)
                        .wrapping_add(start)
                })
                .collect();
            let packed = Packed {
                bytes: &bytes,
                width,
                affine: (unit, start),
            };
            let codes = Packed {
                bytes: &packed_codes,
                width: patch_width,
                affine: (1, 0),
            };
            for level in Level::all() {
                let mut undo = Undo::plain();
                let source = Source {
                    packed,
                    map,
                    codes,
                    block: None,
                };
                let mut out = Vec::new();
                level.extend_i64(&source, &mut undo, count, &mut out);
                assert_eq!(out, expected, "{level:?} {patch_width} {count}");
            }
        }
    }
}
