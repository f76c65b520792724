//! Questions so large that several threads answer them, asked by two threads while a third appends
//! and flushes: each answer has the bits that one thread alone finds.
//!
//! Values are quarters of small integers: their sums are exact, so the order in which threads add
//! them up cannot be told from the result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use treering::{Aggregate, Batch, Db, Function, Options, SeriesRef, labels};

use crate::support::{manual, memory, selector};
use crate::watchdog::Watchdog;

/// Series, and rows of them: more than 786,432 samples, for which a question takes three threads.
const SERIES: u64 = 1024;
const ROWS: u64 = 840;
/// Rows after which there is a flush; the last ones stay in the head.
const FLUSHED: [u64; 2] = [400, 800];
/// Seconds from a row to the next.
const STEP_SECONDS: u64 = 15;
const STEP: i64 = STEP_SECONDS as i64 * 1_000_000_000;
/// Time of the last row that is asked for.
const LAST: i64 = (ROWS - 1) as i64 * STEP;
/// Threads that ask, and how often each.
const ASKING: usize = 2;
const ROUNDS: u64 = 2;

/// What one question found: labels, times and bits.
type Answer = Vec<(String, Vec<(i64, u64)>)>;

#[test]
fn questions_of_several_threads_are_answered_as_by_one() {
    let vfs = memory();
    let options = |threads| manual(&vfs).query_threads(threads);
    let expected = {
        let db = filled(options(1).block_window(Duration::from_secs(3600)));
        let expected = answers(&db);
        db.close().unwrap();
        expected
    };
    let counted: u64 = expected[1]
        .iter()
        .flat_map(|(_, points)| points)
        .map(count)
        .sum();
    assert!(counted > 3 << 18, "{counted} samples");

    let (db, dog) = (
        Db::open("/db", options(4)).unwrap(),
        Watchdog::of("helpers"),
    );
    assert!(db.stats().blocks > 2 && db.stats().head_samples > 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| append_and_flush(&db, &done, &dog));
        let asking = [(); ASKING].map(|()| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    dog.note("ask");
                    for (number, (found, wanted)) in answers(&db).iter().zip(&expected).enumerate()
                    {
                        assert!(found == wanted, "question {number} has another answer");
                    }
                }
            })
        });
        // The writer must end even when one who asks panicked.
        let asked = asking.map(|asking| asking.join());
        done.store(true, Ordering::Release);
        writer.join().unwrap();
        asked.into_iter().for_each(|ended| ended.unwrap());
    });
    assert!(db.stats().flushes > 0);
    db.close().unwrap();
}

/// The samples of a point of `Function::Count`.
fn count((_, bits): &(i64, u64)) -> u64 {
    f64::from_bits(*bits) as u64
}

fn references(db: &Db) -> Vec<SeriesRef> {
    let series = (0..SERIES).map(|host| {
        let (host, rack) = (format!("h{host:04}"), (host % 7).to_string());
        db.series(&labels! { "__name__" => "load", "host" => host, "rack" => rack })
            .unwrap()
    });
    series.collect()
}

/// A database of blocks and a head; some series end with the blocks of each flush.
fn filled(options: Options) -> Db {
    let db = Db::open("/db", options).unwrap();
    let mut series = references(&db);
    for number in 0..ROWS {
        if FLUSHED.contains(&number) {
            db.flush().unwrap();
            series.truncate(series.len() - series.len() / 50);
        }
        db.append(&row(&series, number)).unwrap();
    }
    db
}

fn row(series: &[SeriesRef], number: u64) -> Batch {
    let value = |at: u64| ((at * 37 + number * number) % 4096) as f64 * 0.25;
    let row: Vec<_> = (0..)
        .map(value)
        .zip(series)
        .map(|(value, &series)| (series, value))
        .collect();
    let mut batch = Batch::new();
    batch.push_row(number as i64 * STEP, &row);
    batch
}

/// Goes on behind what is asked for.
fn append_and_flush(db: &Db, done: &AtomicBool, dog: &Watchdog) {
    let series = references(db);
    for number in ROWS.. {
        if done.load(Ordering::Acquire) {
            return;
        }
        dog.note("append");
        db.append(&row(&series, number)).unwrap();
        if number % 50 == 0 {
            dog.note("flush");
            db.flush().unwrap();
        }
    }
}

/// The answers to every question: the newest samples, and aggregates by series and by group.
fn answers(db: &Db) -> Vec<Answer> {
    let load = selector("load");
    let latest = db.query().latest(&load, ..=LAST).unwrap().into_iter();
    let latest = latest.map(|latest| {
        let sample = (latest.sample.timestamp, latest.sample.value.to_bits());
        (latest.labels.to_string(), vec![sample])
    });
    let mut answers = vec![latest.collect::<Answer>()];
    // No statistics answer for windows that lie across every chunk's edges.
    let minutes = |function| Aggregate::new(function).step(Duration::from_secs(7 * STEP_SECONDS));
    for what in [
        Aggregate::new(Function::Count),
        minutes(Function::Sum),
        minutes(Function::Increase),
        minutes(Function::Avg).by(["rack"]),
        minutes(Function::Quantile(0.9)).by(["rack"]),
    ] {
        let series = db.aggregate(&load, ..=LAST, &what).unwrap().into_iter();
        let series = series.map(|series| {
            let points = series.points.iter();
            let points = points.map(|point| (point.timestamp, point.value.to_bits()));
            (series.labels.to_string(), points.collect())
        });
        answers.push(series.collect());
    }
    answers
}
