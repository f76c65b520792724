//! What ends a query: a token, a clock, a limit; and what is counted on the way.

use std::time::Duration;

use treering::{Batch, CancelToken, Db, Labels};
use treering_promql::{Answer, Error, Evaluator, Features, Options, Pool, Result, Value, parse};

use crate::SECOND;
use crate::plain::Plain;

fn ask(source: &Plain, text: &str, options: Options) -> Result<Answer> {
    let expr = parse(text, &Features::all()).unwrap();
    let evaluator = Evaluator::new(source).options(options);
    evaluator.range(&expr, 100 * SECOND, 300 * SECOND, SECOND)
}

/// Expressions that go on for a while after the last series was read.
const LONG: &[&str] = &[
    "sum(m)",
    "avg by (le) (m)",
    "stddev(m)",
    "count(m)",
    "max(m)",
    "quantile(0.9, m)",
    "topk(3, m)",
    "count_values(\"v\", m)",
    "m + 1",
    "m > 5",
    "-m",
    "abs(m)",
    "round(m)",
    "timestamp(-m)",
    "m + on () vector(1)",
    "m or vector(1)",
    "scalar(m)",
    "absent(m)",
    "label_replace(m, \"x\", \"$1\", \"i\", \"(.*)\")",
    "label_join(m, \"x\", \"-\", \"i\", \"le\")",
    "histogram_quantile(0.9, m)",
    "m @ 100",
    "m",
];

/// A query once looked at its token only between two series, so that whatever came after the last
/// one could not be ended.
#[test]
fn a_cancelled_query_ends_in_whatever_it_is_at() {
    for text in LONG {
        let series = 400;
        let mut source = Plain::many(series, 300, |series, at| (series + at) as f64);
        let cancel = CancelToken::new();
        let token = cancel.clone();
        source.on_read = Box::new(move |before| {
            if before == series - 1 {
                token.cancel();
            }
        });
        let options = Options {
            cancel,
            ..Options::default()
        };
        let error = ask(&source, text, options).expect_err(text);
        assert!(matches!(error, Error::Cancelled), "{text}: {error}");
        let said = error.to_string();
        assert_eq!(
            said, "query was canceled in expression evaluation",
            "{text}"
        );
    }
}

/// One series alone can take long.
#[test]
fn a_cancelled_query_ends_within_a_series() {
    let value = |_, at: usize| if at == 7 { f64::INFINITY } else { at as f64 };
    for text in [
        "quantile_over_time(0.5, m[1h])",
        "mad_over_time(m[1h])",
        "stddev_over_time(m[1h])",
        "predict_linear(m[1h], 60)",
        "double_exponential_smoothing(m[1h], 0.3, 0.3)",
        "sum_over_time(m[1h])",
        "max_over_time(m[1h:1s])",
    ] {
        let mut source = Plain::many(1, 4000, value);
        let cancel = CancelToken::new();
        let token = cancel.clone();
        source.on_read = Box::new(move |_| token.cancel());
        let options = Options {
            cancel,
            ..Options::default()
        };
        let expr = parse(text, &Features::all()).unwrap();
        let evaluator = Evaluator::new(&source).options(options);
        let answer = evaluator.range(&expr, 3600 * SECOND, 7200 * SECOND, SECOND);
        assert!(matches!(answer, Err(Error::Cancelled)), "{text}");
    }
}

#[test]
fn a_query_has_only_so_much_time() {
    let source = Plain::many(3, 300, |_, at| at as f64);
    let options = Options {
        timeout: Duration::ZERO,
        ..Options::default()
    };
    let error = ask(&source, "sum(m)", options).unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error}");
    assert_eq!(
        error.to_string(),
        "query timed out in expression evaluation"
    );
}

/// The database looks at the token too: planning and summing up can take long without a single
/// sample being handed out.
#[test]
fn a_database_ends_what_it_does_for_a_cancelled_query() {
    let db = Db::in_memory().unwrap();
    let labels = Labels::from_pairs([("__name__", "m")]).unwrap();
    db.append(&Batch::new().column(&labels, &[SECOND], &[1.0]))
        .unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    let source: &dyn treering::Source = &db;
    let bounded = source.bounded(&cancel, Duration::MAX).unwrap();
    let selector = treering::Selector::metric("m");
    let count = treering::Aggregate::new(treering::Function::Count);
    for refused in [
        bounded.select(&selector, 0, SECOND).map(drop),
        bounded.select_parts(&selector, 0, SECOND).map(drop),
        bounded.latest(&selector, 0, SECOND).unwrap().map(drop),
        bounded
            .aggregate(&selector, 0, SECOND, &count)
            .unwrap()
            .map(drop),
    ] {
        assert!(matches!(refused, Err(treering::Error::Cancelled)));
    }
    let late = source.bounded(&CancelToken::new(), Duration::ZERO).unwrap();
    let refused = late.select(&selector, 0, SECOND).map(drop);
    assert!(matches!(refused, Err(treering::Error::Timeout { .. })));
}

#[test]
fn memory_is_counted_and_bounded_in_samples_and_in_bytes() {
    for text in [
        "sum by (le) (rate(m[1m]))",
        "m + m",
        "count_values(\"v\", m)",
    ] {
        let source = Plain::many(30, 300, |series, at| (series + at) as f64);
        let roomy = ask(&source, text, Options::default()).unwrap();
        let (samples, bytes) = (roomy.stats.peak_samples, roomy.stats.peak_bytes);
        assert!(
            samples > 300 && bytes > 8 * samples,
            "{text}: {:?}",
            roomy.stats
        );
        let within = |samples: u64, bytes: u64| {
            let options = Options {
                max_samples: samples as usize,
                max_bytes: bytes as usize,
                ..Options::default()
            };
            ask(&source, text, options)
        };
        within(samples, bytes).expect(text);
        let error = within(samples - 1, bytes).expect_err(text);
        assert!(error.is_limit(), "{text}");
        assert_eq!(
            error.to_string(),
            "query processing would load too many samples into memory in query execution",
            "{text}"
        );
        let error = within(samples, bytes - 1).expect_err(text);
        assert!(
            matches!(error, Error::TooManyBytes { .. }) && error.is_limit(),
            "{text}"
        );
        assert!(error.to_string().contains("Options::max_bytes"), "{text}");
    }
}

/// Results can be far larger than what they are made of: a row for each value at each step, a row
/// for each pair that ever met.
#[test]
fn results_that_grow_are_refused_while_they_grow() {
    let options = || Options {
        max_bytes: 4 << 20,
        ..Options::default()
    };
    let source = Plain::many(20, 300, |series, at| (series * 1000 + at) as f64);
    let error = ask(&source, "count_values(\"v\", m)", options()).unwrap_err();
    assert!(matches!(error, Error::TooManyBytes { .. }), "{error}");
    let error = ask(&source, "vector(1)[1h:1ms]", options()).err();
    assert!(error.is_some());
    let error = ask(&source, "sum_over_time(vector(1)[10h:1ms])", options()).unwrap_err();
    assert!(matches!(error, Error::TooManyBytes { .. }), "{error}");
}

/// A label may be far longer than the query: a text, or the join of others. Labels once counted for
/// as much as short ones do, so a query of a kilobyte could hold gigabytes of them.
#[test]
fn long_labels_count_for_what_they_are() {
    let source = Plain::many(100, 1, |_, _| 1.0);
    let long = "x".repeat(50_000);
    let replaced = format!("label_replace(m, \"x\", \"{long}\", \"\", \"\")");
    let one = format!("label_replace(vector(1), \"x\", \"{long}\", \"\", \"\")");
    let joined = (0..3).fold("m".to_owned(), |below, _| {
        format!(
            "label_join({below}, \"i\", \"{}\", \"i\", \"i\", \"i\")",
            "y".repeat(2000)
        )
    });
    let time = 10 * SECOND;
    for text in [
        replaced.clone(),
        joined,
        format!("m * on () group_left (x) {one}"),
        format!("m * on () group_left (x) {one} unless vector(1)"),
        format!("count_values by (i) (\"{long}\", m)"),
    ] {
        let ask = |max_bytes: usize| {
            let options = Options {
                max_bytes,
                ..Options::default()
            };
            let expr = parse(&text, &Features::all()).unwrap();
            Evaluator::new(&source)
                .options(options)
                .instant(&expr, time)
        };
        let shown = &text[..40];
        let error = ask(1 << 20).expect_err(shown);
        assert!(
            matches!(error, Error::TooManyBytes { .. }),
            "{shown}: {error}"
        );
        let peak = ask(1 << 30).expect(shown).stats.peak_bytes;
        assert!((3 << 20..20 << 20).contains(&peak), "{shown}: {peak}");
    }
}

/// One that holds little must wait for one that holds much, and finds all of it there afterwards.
#[test]
fn queries_of_a_pool_share_what_it_has() {
    let pool = Pool::new(4 << 20);
    let options = || Options {
        pool: Some(pool.clone()),
        ..Options::default()
    };
    let mut source = Plain::many(10, 300, |_, at| at as f64);
    let texts = [
        "sum by (le) (rate(m[1m]))",
        "m + m",
        "label_replace(m, \"x\", \"y\", \"\", \"\") or m",
        "quantile_over_time(0.5, m[1m:1s])",
        "histogram_quantile(0.9, m) or absent(m)",
    ];
    for text in texts {
        ask(&source, text, options()).expect(text);
        assert_eq!(pool.held(), 0, "{text}");
    }
    let error = ask(&source, "sum_over_time(vector(1)[1h:1ms])", options()).unwrap_err();
    assert!(matches!(error, Error::PoolEmpty { .. }) && error.is_limit());
    assert!(
        error.to_string().contains("more than 4194304 bytes"),
        "{error}"
    );
    assert_eq!(pool.held(), 0);
    // While a query reads, it holds something of what is there for others.
    let (seen, inner) = (pool.clone(), Plain::many(1, 300, |_, at| at as f64));
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let held = std::sync::Arc::clone(&most);
    source.on_read = Box::new(move |_| {
        held.fetch_max(seen.held(), std::sync::atomic::Ordering::Relaxed);
        let options = Options {
            pool: Some(seen.clone()),
            ..Options::default()
        };
        ask(&inner, "m", options).unwrap();
    });
    ask(&source, "m + m", options()).unwrap();
    assert!(most.load(std::sync::atomic::Ordering::Relaxed) > 9 * 201 * 8);
    assert_eq!(pool.held(), 0);
}

/// Where the windows of each step lie is held too, by each thread for itself.
#[test]
fn windows_of_many_steps_are_counted() {
    let source = Plain::many(1, 300, |_, at| at as f64);
    for text in ["count_over_time(m[100s:1ms])", "absent_over_time(m[100s])"] {
        let expr = parse(text, &Features::all()).unwrap();
        let evaluator = Evaluator::new(&source);
        let answer = evaluator.range(&expr, 100 * SECOND, 200 * SECOND, SECOND / 1000);
        let peak = answer.unwrap().stats.peak_bytes;
        assert!(peak > 100_000 * 16, "{text}: {peak}");
    }
}

#[test]
fn statistics_tell_what_was_read() {
    let source = Plain::many(10, 300, |_, at| at as f64);
    let stats = ask(
        &source,
        "sum(m) + sum(max_over_time(m[30s]))",
        Options::default(),
    );
    let stats = stats.unwrap().stats;
    // 201 samples of the range and 99 before them, then 30 before.
    assert_eq!(
        (stats.series, stats.samples),
        (20, 10 * 300 + 10 * (201 + 29))
    );
    assert_eq!(
        (stats.summarized_series, stats.chunks, stats.stored_bytes),
        (0, 0, 0)
    );
    assert!(stats.select + stats.read <= stats.total);

    let db = Db::in_memory().unwrap();
    for (labels, columns) in &source.series {
        let batch = Batch::new().column(labels, &columns.timestamps, &columns.values);
        db.append(&batch).unwrap();
    }
    let expr = parse("max_over_time(m[30s]) + m", &Features::all()).unwrap();
    let answer = Evaluator::new(&db).range(&expr, 100 * SECOND, 300 * SECOND, SECOND);
    let stats = answer.unwrap().stats;
    assert_eq!(
        (stats.series, stats.summarized_series, stats.samples),
        (20, 10, 3000)
    );
    assert!(stats.chunks >= 10 && stats.stored_bytes > 0, "{stats:?}");
    let newest = Evaluator::new(&db).instant(&parse("m", &Features::all()).unwrap(), 300 * SECOND);
    let newest = newest.unwrap();
    assert_eq!((newest.stats.series, newest.stats.samples), (10, 10));
    let Value::Vector(vector) = newest.value else {
        panic!("no vector");
    };
    assert_eq!(vector.len(), 10);
}
