//! Whole columns of a series, long enough to be sealed at once: what comes before, over and after
//! them, in the head, through flush and merge, and back from the WAL.

use std::collections::BTreeMap;

use treering::{Aggregate, Batch, Db, Function, Labels};

use crate::support::{all, bits, cpu, memory, open, selector};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
/// Midnight.
const START: i64 = 1_704_067_200 * SECOND;

/// What a database must hold of each host.
#[derive(Default)]
struct Plain(BTreeMap<&'static str, BTreeMap<i64, f64>>);

impl Plain {
    /// One batch of whole columns: the first timestamp of each, the step, how many.
    fn append(&mut self, db: &Db, columns: &[(&'static str, i64, i64, usize)]) {
        let mut batch = Batch::new();
        for &(host, first, step, count) in columns {
            let held = self.0.entry(host).or_default();
            let times: Vec<i64> = (0..count as i64).map(|at| first + at * step).collect();
            let salt = held.len() % 7;
            let values: Vec<f64> = (0..count)
                .map(|at| ((at * 37 + salt * 11) % 1009) as f64 / 100.0)
                .collect();
            batch.push_column(cpu(host), &times, &values);
            held.extend(times.into_iter().zip(values));
        }
        db.append(&batch).unwrap();
    }

    fn delete(&mut self, db: &Db, host: &str, first: i64, last: i64) {
        let text = format!("cpu{{host={host:?}}}");
        db.delete(&selector(&text), first..=last).unwrap();
        let held = self.0.get_mut(host).unwrap();
        held.retain(|at, _| !(first..=last).contains(at));
    }

    /// Samples, newest samples and hourly sums and maxima are what they must be.
    fn check(&self, db: &Db) {
        let read: BTreeMap<String, _> = all(db, "cpu").into_iter().collect();
        assert_eq!(read.len(), self.0.len());
        for (host, held) in &self.0 {
            let held = held.iter().map(|(&at, value)| (at, value.to_bits()));
            let found = bits(&read[&cpu(host).to_string()]);
            assert!(found == held.collect::<Vec<_>>(), "samples of {host}");
        }
        for newest in db.latest(&selector("cpu")).unwrap() {
            let held = self.of(&newest.labels).last_key_value().unwrap();
            assert_eq!((&newest.sample.timestamp, &newest.sample.value), held);
        }
        for function in [Function::Max, Function::Sum] {
            self.check_hours(db, function);
        }
    }

    fn check_hours(&self, db: &Db, function: Function) {
        let asked = Aggregate::new(function).step(std::time::Duration::from_secs(3600));
        let (first, last) = (START + 1, START + 72 * HOUR);
        for series in db
            .aggregate(&selector("cpu"), first..=last, &asked)
            .unwrap()
        {
            let held = self.of(&series.labels);
            for point in &series.points {
                let window = held.range(point.timestamp - HOUR + 1..=point.timestamp);
                let window = window.map(|(_, value)| *value);
                let wanted = match function {
                    Function::Max => window.fold(f64::MIN, f64::max),
                    _ => window.sum(),
                };
                let off = (point.value - wanted).abs();
                assert!(off < 1e-6, "{function:?} {} {off}", series.labels);
            }
        }
    }

    fn of(&self, labels: &Labels) -> &BTreeMap<i64, f64> {
        &self.0[labels.get("host").unwrap()]
    }
}

#[test]
fn long_columns_meet_rows_late_columns_and_deletes() {
    let vfs = memory();
    let db = open(&vfs);
    let (mut plain, ten) = (Plain::default(), 10 * SECOND);
    // A day of one, the same of another behind a few rows, one at no round times.
    plain.append(&db, &[("b", START - HOUR, ten, 70)]);
    plain.append(
        &db,
        &[
            ("a", START + ten, ten, 8640),
            ("b", START + ten, ten, 8640),
            ("c", START + 7, ten + 1, 5003),
        ],
    );
    plain.check(&db);
    // Rows behind it, over it, a column that is late in part, one that is late as a whole.
    plain.append(&db, &[("a", START + 8641 * ten, ten, 30)]);
    plain.append(&db, &[("a", START + 5 * HOUR, ten * 100, 9)]);
    plain.append(&db, &[("b", START + 20 * HOUR, ten, 8000)]);
    plain.append(&db, &[("c", START + 9, ten + 1, 4500)]);
    plain.check(&db);
    // Ends of chunks, their middles, whole ones.
    plain.delete(&db, "a", START + 2 * HOUR, START + 2 * HOUR);
    plain.delete(&db, "a", START + 7 * HOUR, START + 11 * HOUR);
    plain.delete(&db, "b", START + 43 * HOUR, START + 90 * HOUR);
    plain.delete(&db, "c", START + 1000 * ten, START + 1001 * ten);
    plain.check(&db);
    // What was taken from the end is newest again.
    plain.append(&db, &[("b", START + 43 * HOUR, ten, 4500)]);
    plain.check(&db);
    drop(db);
    let db = open(&vfs);
    plain.check(&db);
    db.flush().unwrap();
    plain.check(&db);
    plain.append(&db, &[("a", START + 12 * HOUR, ten, 6000)]);
    plain.check(&db);
    db.flush().unwrap();
    plain.check(&db);
    db.compact().unwrap();
    plain.check(&db);
    db.close().unwrap();
    plain.check(&open(&vfs));
}

/// A flush copies what was sealed; windows of blocks cut through some of it.
#[test]
fn sealed_columns_are_flushed_as_they_are_or_cut_by_the_windows_of_blocks() {
    for (step, count) in [(10 * SECOND, 8640), (7 * SECOND, 30_000), (13, 9000)] {
        let vfs = memory();
        let db = open(&vfs);
        let mut plain = Plain::default();
        plain.append(
            &db,
            &[
                ("a", START + step, step, count),
                ("b", START + step, step, count),
            ],
        );
        plain.append(&db, &[("a", START + step * count as i64 + 1, step, 100)]);
        plain.check(&db);
        db.flush().unwrap();
        assert_eq!(db.stats().head_samples, 0);
        plain.check(&db);
        db.close().unwrap();
        plain.check(&open(&vfs));
    }
}
