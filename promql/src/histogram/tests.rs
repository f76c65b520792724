//! Properties of the algebra of histograms: nothing that was counted is lost.

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;

fn exponential() -> impl Strategy<Value = Histogram> {
    let side = || btree_map(-40..40i32, 1..1000u32, 0..12);
    (-4..=8i8, side(), side(), 0..100u32, 0..6i32).prop_map(
        |(schema, positive, negative, zeros, width)| {
            let buckets = |side: std::collections::BTreeMap<i32, u32>| -> Vec<(i32, f64)> {
                side.into_iter()
                    .map(|(at, count)| (at, f64::from(count)))
                    .collect()
            };
            let mut histogram = Histogram {
                schema,
                zero_count: f64::from(zeros),
                zero_threshold: f64::from(width) * 1e-9,
                positive: buckets(positive),
                negative: buckets(negative),
                ..Histogram::default()
            };
            // Buckets that the zero bucket covers would count twice.
            let threshold = std::mem::take(&mut histogram.zero_threshold);
            zero::widen(&mut histogram, threshold);
            histogram.count = counted(&histogram);
            histogram.sum = histogram.count * 0.5;
            histogram
        },
    )
}

fn custom() -> impl Strategy<Value = Histogram> {
    btree_map(-20..20i32, 1..1000u32, 1..8).prop_map(|bounds| {
        let mut histogram = Histogram {
            schema: CUSTOM_SCHEMA,
            bounds: bounds.keys().map(|&bound| f64::from(bound)).collect(),
            positive: (0..)
                .zip(bounds.values().map(|&count| f64::from(count)))
                .collect(),
            ..Histogram::default()
        };
        histogram.count = counted(&histogram);
        histogram
    })
}

fn counted(histogram: &Histogram) -> f64 {
    all_buckets(histogram)
        .iter()
        .map(|bucket| bucket.count)
        .sum()
}

proptest! {
    #[test]
    fn a_sum_counts_what_both_counted(a in exponential(), b in exponential()) {
        let mut sum = a.clone();
        add(&mut sum, &b).unwrap();
        prop_assert_eq!(sum.count, a.count + b.count);
        prop_assert_eq!(counted(&sum), a.count + b.count);
        prop_assert_eq!(sum.schema, a.schema.min(b.schema));
        prop_assert!(sum.zero_threshold >= a.zero_threshold.max(b.zero_threshold));
        prop_assert!(sum.positive.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert!(sum.negative.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_sum_is_the_same_either_way(a in exponential(), b in exponential()) {
        let (mut one, mut other) = (a.clone(), b.clone());
        add(&mut one, &b).unwrap();
        add(&mut other, &a).unwrap();
        compact(&mut one);
        compact(&mut other);
        prop_assert!(is_equal(&one, &other), "{} {}", Shown(&one), Shown(&other));
    }

    #[test]
    fn what_is_taken_from_itself_leaves_nothing(a in exponential()) {
        let mut rest = a.clone();
        subtract(&mut rest, &a).unwrap();
        compact(&mut rest);
        prop_assert_eq!((rest.count, rest.sum, rest.zero_count), (0.0, 0.0, 0.0));
        prop_assert!(rest.positive.is_empty() && rest.negative.is_empty());
    }

    #[test]
    fn custom_buckets_meet_in_the_bounds_that_they_share(a in custom(), b in custom()) {
        let mut sum = a.clone();
        let combined = add(&mut sum, &b).unwrap();
        prop_assert_eq!(counted(&sum), a.count + b.count);
        prop_assert_eq!(combined.bounds_reconciled, a.bounds != b.bounds);
        let shared = |bound: &f64| a.bounds.contains(bound) && b.bounds.contains(bound);
        prop_assert!(sum.bounds.iter().all(shared));
    }

    #[test]
    fn a_compensated_sum_is_the_plain_one_where_nothing_is_rounded(
        all in proptest::collection::vec(exponential(), 1..6)
    ) {
        let (mut plain, mut sum) = (all[0].clone(), HistogramSum::new(&all[0], false));
        for one in &all[1..] {
            add(&mut plain, one).unwrap();
            sum.add(one).unwrap();
        }
        let mut sum = sum.finish();
        compact(&mut plain);
        compact(&mut sum);
        prop_assert!(is_equal(&plain, &sum), "{} {}", Shown(&plain), Shown(&sum));
    }

    #[test]
    fn counters_that_only_grow_are_never_reset(a in exponential(), b in exponential()) {
        let mut later = a.clone();
        add(&mut later, &b).unwrap();
        prop_assert!(!is_reset(&later, &a));
        prop_assert!(b.count == 0.0 || is_reset(&a, &later));
    }

    #[test]
    fn quantiles_rise_with_their_rank(a in exponential(), p in 0.0..=1.0, q in 0.0..=1.0) {
        let (low, high) = (f64::min(p, q), f64::max(p, q));
        let (below, above) = (quantile(low, &a).0, quantile(high, &a).0);
        let tolerance = 1e-9 * below.abs().max(above.abs());
        prop_assert!(below <= above + tolerance || a.count == 0.0, "{below} {above}");
    }

    #[test]
    fn a_quantile_is_where_its_fraction_lies(a in exponential(), q in 0.01..0.99) {
        // What lies at one point, a zero bucket without width, has no part below it.
        prop_assume!(a.count > 0.0 && (a.zero_threshold > 0.0 || a.zero_count == 0.0));
        let (value, _) = quantile(q, &a);
        let (below, _) = fraction(f64::NEG_INFINITY, value, &a);
        // Empty stretches between buckets belong to either side.
        prop_assert!((below - q).abs() < 1e-6, "{value}: {below} {q}");
    }

    #[test]
    fn what_trimming_keeps_on_both_sides_is_all(a in exponential(), at in -1e6..1e6) {
        let (mut below, mut above) = (a.clone(), a.clone());
        trim(&mut below, at, TrimSide::Below);
        trim(&mut above, at, TrimSide::Above);
        let both = below.count + above.count;
        prop_assert!((both - a.count).abs() <= 1e-9 * a.count, "{both}");
    }

    #[test]
    fn a_mean_that_would_overflow_does_not(a in exponential(), many in 2..6usize) {
        let mut huge = a.clone();
        multiply(&mut huge, 1e304);
        let mut sum = HistogramSum::new(&huge, true);
        for _ in 1..many {
            sum.add(&huge).unwrap();
        }
        let mean = sum.mean();
        prop_assert!((mean.count - huge.count).abs() <= 1e-12 * huge.count);
    }
}

#[test]
fn exponential_and_custom_buckets_do_not_mix() {
    let custom = Histogram {
        schema: CUSTOM_SCHEMA,
        ..Histogram::default()
    };
    assert_eq!(add(&mut Histogram::default(), &custom), Err(Mixed));
}

#[test]
fn resets_are_marked_as_a_store_would_know_them() {
    let of = |count: f64, hint: ResetHint| Histogram {
        count,
        hint,
        ..Histogram::default()
    };
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    let mut all = [
        of(1.0, Unknown),
        of(2.0, Unknown),
        of(1.0, Unknown),
        of(3.0, Reset),
        of(4.0, Unknown),
        of(5.0, Gauge),
        of(6.0, Unknown),
    ];
    mark_resets(&mut all);
    let hints = all.map(|one| one.hint);
    assert_eq!(
        hints,
        [
            Unknown, NotReset, Unknown, Unknown, NotReset, Gauge, Unknown
        ]
    );
}

#[test]
fn a_printed_histogram_lists_its_buckets() {
    let histogram = Histogram {
        count: 20.0,
        sum: 1e6,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive: vec![(0, 1.0), (1, 2.0)],
        negative: vec![(0, 1.0), (1, 0.0), (2, 2.0)],
        ..Histogram::default()
    };
    assert_eq!(
        Shown(&histogram).to_string(),
        "{count:20, sum:1e+06, [-4,-2):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}"
    );
}
