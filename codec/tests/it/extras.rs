//! Histograms and start timestamps beside floats: what goes in comes out, bit for bit, in few
//! bytes; any other bytes are refused or read, in bounded memory.

use crate::data::{bits, column, mix, odd_float};
use proptest::prelude::*;
use std::sync::Arc;
use treering_codec::varint::Reader;
use treering_codec::{
    CUSTOM_SCHEMA, Encoding, Extras, ExtrasForm, Histogram, MAX_CHUNK_SAMPLES,
    MAX_HISTOGRAM_BUCKETS, MAX_HISTOGRAM_CELLS, ResetHint, constant_value, decode_extras,
    decode_values, decode_values_range, encode_extras, encode_values, has_histograms, join_extras,
    split_extras, stale_marker,
};

const FORMS: [ExtrasForm; 3] = [ExtrasForm::Single, ExtrasForm::Columns, ExtrasForm::Cold];

/// A count as a writer may have it: mostly whole, now and then anything.
fn counted() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (1u32..5000).prop_map(f64::from),
        1 => odd_float().prop_map(|value| if value < 0.0 { -value } else { value }),
    ]
    .prop_filter("a bucket of nothing stays away", |count| {
        count.to_bits() != 0
    })
}

fn side(first: i32) -> impl Strategy<Value = Vec<(i32, f64)>> {
    let buckets = prop::collection::btree_map(first..first + 30, counted(), 0..8);
    buckets.prop_map(|buckets| buckets.into_iter().collect())
}

/// One well-formed histogram, exponential or custom.
pub(crate) fn histogram() -> impl Strategy<Value = Histogram> {
    let hint = prop::sample::select(vec![
        ResetHint::Unknown,
        ResetHint::Reset,
        ResetHint::NotReset,
        ResetHint::Gauge,
    ]);
    let head = (hint, odd_float(), counted(), any::<bool>());
    let shape = (-4i8..=8, prop::sample::select(vec![0.0, 1e-128, 0.001]));
    let bounds = prop::collection::btree_set(-20i32..20, 1..6);
    let sides = (side(-10), side(i32::MAX - 40));
    (head, shape, bounds, sides, 0u8..4).prop_map(|(head, shape, bounds, sides, custom)| {
        let (hint, sum, zero_count, is_sum) = head;
        let mut histogram = Histogram {
            schema: shape.0,
            hint,
            sum,
            zero_threshold: shape.1,
            zero_count,
            positive: sides.0,
            negative: sides.1,
            ..Histogram::default()
        };
        if custom == 0 {
            histogram.schema = CUSTOM_SCHEMA;
            histogram.bounds = bounds.iter().map(|bound| f64::from(*bound) / 4.0).collect();
            histogram.zero_threshold = 0.0;
            histogram.zero_count = 0.0;
            histogram.negative.clear();
            let last = histogram.bounds.len() as i32;
            histogram
                .positive
                .retain(|bucket| (0..=last).contains(&bucket.0));
        }
        let buckets = histogram.positive.iter().chain(&histogram.negative);
        let counts = buckets.map(|bucket| bucket.1);
        histogram.count = match is_sum {
            true => counts.fold(histogram.zero_count, |sum, count| sum + count),
            false => 12.0,
        };
        histogram
    })
}

/// Extras of up to 300 samples, and how many samples there are.
fn extras() -> impl Strategy<Value = (usize, Extras)> {
    let few = prop::collection::vec(histogram(), 1..6);
    let picks = prop::collection::vec((0usize..8, 0i64..4), 0..300);
    (few, picks, 0i64..1 << 60).prop_map(|(few, picks, base)| {
        let mut extras = Extras::new();
        for (place, (pick, start)) in picks.iter().enumerate() {
            let histogram = few.get(*pick).map(|one| {
                let mut one = one.clone();
                one.sum += place as f64;
                Arc::new(one)
            });
            let start = if *start == 0 { 0 } else { base + start };
            extras.push(place as u32, histogram, start);
        }
        (picks.len(), extras)
    })
}

fn section(extras: &Extras, form: ExtrasForm) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_extras(extras, form, &mut bytes);
    bytes
}

/// Any bytes as a section: extras of the samples that there are, in bounded memory, or an error.
pub(crate) fn check_extras(bytes: &[u8], count: usize) {
    match decode_extras(bytes, count) {
        Ok(extras) => {
            assert!(!extras.is_empty());
            assert_eq!(has_histograms(bytes), Ok(!extras.histograms.is_empty()));
            let places = extras.histograms.iter().map(|one| one.0);
            assert!(places.clone().is_sorted_by(|a, b| a < b));
            let ends = extras.starts.iter().map(|run| run.0.end);
            assert!(
                places
                    .map(|at| at + 1)
                    .chain(ends)
                    .all(|end| end as usize <= count)
            );
            let most = bytes.len() * 64 + MAX_HISTOGRAM_CELLS * 16 + MAX_CHUNK_SAMPLES * 256;
            assert!(extras.heap_bytes() <= most);
        }
        Err(error) => assert!(error.offset() <= bytes.len() + 16, "{error}"),
    }
}

proptest! {
    #[test]
    fn extras_come_back_bit_for_bit((count, extras) in extras()) {
        prop_assume!(!extras.is_empty());
        for form in FORMS {
            let bytes = section(&extras, form);
            let back = decode_extras(&bytes, count).unwrap();
            prop_assert!(back.is_identical(&extras), "{form:?} {back:?}\n{extras:?}");
            for cut in [0, bytes.len() / 2, bytes.len() - 1] {
                prop_assert!(decode_extras(&bytes[..cut], count).is_err());
            }
            let last = extras.histograms.last().map_or(0, |one| one.0 + 1);
            let last = extras.starts.last().map_or(0, |run| run.0.end).max(last);
            prop_assert!(decode_extras(&bytes, last as usize - 1).is_err());
        }
    }

    #[test]
    fn parts_and_columns_tell_the_same((count, extras) in extras(), from in 0u32..300) {
        let from = from.min(count as u32);
        let to = from + (count as u32 - from) / 2;
        let slice = extras.slice(from..to);
        prop_assert!(slice.is_identical(&extras.pick(from..to)));
        let (histograms, starts) = slice.spread((to - from) as usize);
        for place in 0..to - from {
            let told = histograms.get(place as usize).cloned().flatten();
            prop_assert_eq!(told.as_ref().map(Arc::as_ptr),
                extras.histogram(from + place).map(Arc::as_ptr));
            let start = starts.get(place as usize).copied().unwrap_or(0);
            prop_assert_eq!(start, extras.start(from + place));
        }
        let turned = extras.pick((0..count as u32).rev());
        prop_assert!(turned.pick((0..count as u32).rev()).is_identical(&extras));
    }

    #[test]
    fn floats_are_read_past_the_extras((count, extras) in extras(), seed: u32) {
        prop_assume!(!extras.is_empty());
        let mut values = column(count, (2, seed, 2, 40));
        for (place, _) in &extras.histograms {
            values[*place as usize] = stale_marker();
        }
        let mut plain = Vec::new();
        let encoding = encode_values(&values, &mut plain);
        let mut chunk = Vec::new();
        join_extras(&plain, &section(&extras, ExtrasForm::Columns), &mut chunk);
        prop_assert_eq!(Encoding::of(&chunk), Ok(encoding));
        let word = |bytes: &[u8]| constant_value(bytes).unwrap().map(f64::to_bits);
        prop_assert_eq!(word(&chunk), word(&plain));
        let (inner, behind) = split_extras(&chunk).unwrap();
        prop_assert_eq!(inner, &plain[..]);
        prop_assert!(decode_extras(behind.unwrap(), count).unwrap().is_identical(&extras));
        let range = count / 3..count - count / 4;
        let mut found = Vec::new();
        decode_values_range(&chunk, count, range.clone(), &mut found).unwrap();
        prop_assert_eq!(bits(&found), bits(&values[range]));
        // Where it is wrong is told from the start of the chunk.
        let cut = &plain[..plain.len() - 1];
        let damaged = decode_values(cut, count, &mut Vec::new());
        chunk.clear();
        join_extras(cut, &[1], &mut chunk);
        let base = chunk.len() - 1 - cut.len();
        let told = decode_values(&chunk, count, &mut Vec::new());
        prop_assert_eq!(told, damaged.map_err(|error| error.shifted(base)));
    }

    #[test]
    fn one_histogram_comes_back_and_ends_where_it_ends(histogram in histogram()) {
        prop_assert_eq!(histogram.fault(), None);
        let mut bytes = Vec::new();
        histogram.put(&mut bytes);
        let length = bytes.len();
        bytes.push(7);
        let mut reader = Reader::new(&bytes);
        prop_assert!(Histogram::read(&mut reader).unwrap().is_identical(&histogram));
        prop_assert_eq!(reader.offset(), length);
        for cut in 0..length {
            prop_assert!(Histogram::read(&mut Reader::new(&bytes[..cut])).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..400,
    ) {
        check_extras(&bytes, count);
        for head in [1u8, 2, 3, 6, 7, 10, 11] {
            let mut bytes = bytes.clone();
            bytes.insert(0, head);
            check_extras(&bytes, count);
        }
    }

    #[test]
    fn damaged_sections_are_read_or_refused(
        (count, extras) in extras(),
        flips in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        prop_assume!(!extras.is_empty());
        for form in FORMS {
            let bytes = section(&extras, form);
            for flip in &flips {
                let mut bytes = bytes.clone();
                let bit = flip.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                check_extras(&bytes, count);
            }
        }
    }
}

#[test]
fn buckets_of_nothing_are_the_same_as_none() {
    let with = Histogram {
        positive: vec![(-3, 0.0), (1, 2.0), (9, 0.0)],
        ..Histogram::default()
    };
    let without = Histogram {
        positive: vec![(1, 2.0)],
        ..Histogram::default()
    };
    let mut extras = Extras::new();
    extras.push(0, Some(Arc::new(with)), 0);
    for form in FORMS {
        let back = decode_extras(&section(&extras, form), 1).unwrap();
        assert!(back.histograms[0].1.is_identical(&without));
    }
}

/// A small section that stands for more buckets than memory has room for.
#[test]
fn buckets_are_bounded_whatever_the_bytes_say() {
    let count = MAX_CHUNK_SAMPLES;
    let most = MAX_HISTOGRAM_CELLS / count;
    let of = |buckets: usize| {
        let mut bytes = vec![2 | 8];
        let put = treering_codec::varint::put_u64;
        put(&mut bytes, 1);
        put(&mut bytes, 0);
        put(&mut bytes, count as u64);
        bytes.extend([1, 0, 0, 0]);
        let mut constant = Vec::new();
        encode_values(&vec![7.0; count], &mut constant);
        let column = |bytes: &mut Vec<u8>| treering_codec::varint::put_bytes(bytes, &constant);
        column(&mut bytes);
        column(&mut bytes);
        put(&mut bytes, buckets as u64);
        bytes.extend(vec![0; buckets]);
        (0..buckets).for_each(|_| column(&mut bytes));
        put(&mut bytes, 0);
        bytes
    };
    let extras = decode_extras(&of(most), count).unwrap();
    assert_eq!(extras.histograms.len(), count);
    assert_eq!(extras.histograms[5].1.count, 7.0 * (most + 1) as f64);
    assert!(decode_extras(&of(most + 1), count).is_err());
}

/// Each histogram has buckets of its own: columns would be nearly empty.
#[test]
fn histograms_without_a_bucket_in_common_are_laid_out_one_by_one() {
    let mut extras = Extras::new();
    for place in 0..1000 {
        let positive = (0..100)
            .map(|at| ((place * 100 + at) as i32, 1.0))
            .collect();
        let histogram = Histogram {
            positive,
            ..Histogram::default()
        };
        extras.push(place, Some(Arc::new(histogram)), 0);
    }
    let single = section(&extras, ExtrasForm::Single);
    assert_eq!(section(&extras, ExtrasForm::Columns), single);
    assert!(decode_extras(&single, 1000).unwrap().is_identical(&extras));
}

#[test]
fn histograms_that_are_not_well_formed_are_told_apart() {
    let good = || Histogram {
        count: 3.0,
        positive: vec![(1, 2.0), (5, 1.0)],
        ..Histogram::default()
    };
    let custom = || Histogram {
        schema: CUSTOM_SCHEMA,
        bounds: vec![0.5, 1.0].into(),
        positive: vec![(0, 2.0), (2, 1.0)],
        ..Histogram::default()
    };
    assert_eq!((good().fault(), custom().fault()), (None, None));
    // Float counts need not add up, and may be NaN.
    let odd = Histogram {
        count: f64::NAN,
        ..good()
    };
    assert_eq!(odd.fault(), None);
    let many = (0..=MAX_HISTOGRAM_BUCKETS as i32)
        .map(|at| (at, 1.0))
        .collect();
    let wrong: [(Histogram, &str); 14] = [
        (
            Histogram {
                schema: 9,
                ..good()
            },
            "schema",
        ),
        (
            Histogram {
                positive: many,
                ..good()
            },
            "4096",
        ),
        (
            Histogram {
                positive: vec![(5, 1.0), (5, 1.0)],
                ..good()
            },
            "indices",
        ),
        (
            Histogram {
                negative: vec![(5, 1.0), (4, 1.0)],
                ..good()
            },
            "indices",
        ),
        (
            Histogram {
                negative: vec![(5, -1.0)],
                ..good()
            },
            "less than 0",
        ),
        (
            Histogram {
                count: -1.0,
                ..good()
            },
            "less than 0",
        ),
        (
            Histogram {
                zero_count: -1.0,
                ..good()
            },
            "less than 0",
        ),
        (
            Histogram {
                zero_threshold: -1.0,
                ..good()
            },
            "threshold",
        ),
        (
            Histogram {
                bounds: vec![1.0].into(),
                ..good()
            },
            "without the schema",
        ),
        (
            Histogram {
                zero_count: 1.0,
                ..custom()
            },
            "do not have",
        ),
        (
            Histogram {
                negative: vec![(0, 1.0)],
                ..custom()
            },
            "do not have",
        ),
        (
            Histogram {
                positive: vec![(3, 1.0)],
                ..custom()
            },
            "do not have",
        ),
        (
            Histogram {
                bounds: vec![1.0, 1.0, 2.0].into(),
                ..custom()
            },
            "rising",
        ),
        (
            Histogram {
                bounds: vec![1.0, f64::INFINITY].into(),
                ..custom()
            },
            "finite",
        ),
    ];
    for (histogram, told) in wrong {
        let fault = histogram.fault().unwrap();
        assert!(fault.contains(told), "{fault}: {histogram:?}");
    }
}

/// What a latency histogram of a service does: twenty buckets around the usual time, a scrape every
/// 15 seconds with some tens of requests, the sum of seconds with all its digits.
pub(crate) fn scraped(count: usize) -> Extras {
    let mut extras = Extras::new();
    let mut buckets = [0u64; 20];
    let mut sum = 0.0;
    for scrape in 0..count as u64 {
        let requests = 20 + mix(scrape) % 20;
        for request in 0..requests {
            // Nearly a bell: the sum of four dice.
            let dice = (0..4).map(|die| mix(scrape << 20 | request << 4 | die) % 6);
            let at = dice.sum::<u64>() as usize;
            buckets[at.min(19)] += 1;
            sum += 0.01 * 1.09f64.powi(at as i32) * (1.0 + (mix(request) >> 40) as f64 * 1e-9);
        }
        let filled = (-60..).zip(buckets).filter(|bucket| bucket.1 > 0);
        let histogram = Histogram {
            schema: 3,
            count: buckets.iter().sum::<u64>() as f64,
            sum,
            zero_threshold: 2f64.powi(-128),
            positive: filled.map(|(at, count)| (at, count as f64)).collect(),
            ..Histogram::default()
        };
        extras.push(
            scrape as u32,
            Some(Arc::new(histogram)),
            1_795_294_024_655_000_000,
        );
    }
    extras
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are what is asked for")]
fn a_scraped_histogram_takes_few_bytes() {
    for (count, most) in [(32, 45.0), (240, 25.0), (1024, 23.0)] {
        let extras = scraped(count);
        for form in FORMS {
            let bytes = section(&extras, form);
            let each = bytes.len() as f64 / count as f64;
            println!("{count} histograms, {form:?}: {each:.1} bytes each");
            assert!(form == ExtrasForm::Single || each < most, "{form:?} {each}");
            assert!(decode_extras(&bytes, count).unwrap().is_identical(&extras));
        }
    }
}
