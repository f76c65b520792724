//! Histograms and start timestamps, as a program meets them: they live wherever floats live, and
//! whoever asks for floats alone meets stale markers in their place.

mod life;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use treering::time::ManualClock;
use treering::vfs::Vfs;
use treering::{
    Batch, Change, Db, Error, Histogram, NamespaceOptions, SampleColumns, Selector, labels, repair,
    restore,
};

use crate::follow::apply as apply_frame;
use crate::support::{cpu, files, manual, memory, open, selector};
use life::{Life, Model, Series, Step, Value, check, histogram, imported, same_samples, steps};

const SECOND: i64 = 1_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_life_equals_the_model(steps in prop::collection::vec(steps(), 1..30)) {
        let mut life = Life::new();
        for step in &steps {
            life.take(step);
            life.check();
        }
        check(&imported(&life.db), &life.model, i64::MIN, i64::MAX);
        life.take(&Step::Flush);
        life.check();
        life.take(&Step::Compact);
        life.check();
        check(&imported(&life.db), &life.model, i64::MIN, i64::MAX);
        prop_assert!(life.db.verify().unwrap().is_clean());
        life.take(&Step::Reopen);
        life.check();
        life.db.snapshot("/copy").unwrap();
        restore("/copy", "/restored", manual(&life.vfs)).unwrap();
        let restored = Db::open("/restored", manual(&life.vfs)).unwrap();
        check(&restored, &life.model, i64::MIN, i64::MAX);
    }
}

/// One exponential histogram every 15 seconds, floats before and behind.
fn lived(vfs: &Arc<dyn Vfs>) -> (Db, Model) {
    let mut life = Life {
        vfs: Arc::clone(vfs),
        db: open(vfs),
        model: Model::new(),
    };
    for part in 0..4i64 {
        let samples = (0..120).map(|at| {
            let second = (part * 120 + at) * 15;
            let value = match at {
                0..10 => Value::Float(at as i32),
                10..12 => Value::Stale,
                _ => Value::Exponential((at % 9) as u8),
            };
            (second, value, 1 + part / 2)
        });
        let samples: Vec<_> = samples.collect();
        for series in 0..3 {
            life.take(&Step::Append(series, samples.clone()));
        }
        if part < 3 {
            life.take(&Step::Flush);
        }
        if part == 1 {
            life.take(&Step::Compact);
        }
    }
    (life.db, life.model)
}

#[test]
fn a_database_that_was_not_closed_has_them_again() {
    let vfs = memory();
    let (db, model) = lived(&vfs);
    check(&db, &model, i64::MIN, i64::MAX);
    db.sync().unwrap();
    drop(db);
    let db = open(&vfs);
    assert!(db.recovery().frames > 0);
    check(&db, &model, i64::MIN, i64::MAX);
}

#[test]
fn those_who_follow_get_them() {
    let vfs = memory();
    let db = Db::open("/db", manual(&vfs).wal_keep_bytes(64 << 20)).unwrap();
    let (copy, watch) = (
        Db::in_memory().unwrap(),
        db.watch(&Selector::all(), 1 << 20).unwrap(),
    );
    let reader = Db::open_read_only("/db", manual(&vfs)).unwrap();
    let mut life = Life {
        vfs: Arc::clone(&vfs),
        db: db.clone(),
        model: Model::new(),
    };
    let samples = |from: i64| {
        let values = [
            Value::Float(1),
            Value::Exponential(4),
            Value::Custom(2),
            Value::Gone,
        ];
        let samples = (from..).zip(values);
        samples
            .map(|(at, value)| (at, value, at % 2))
            .collect::<Vec<_>>()
    };
    life.take(&Step::Append(0, samples(1)));
    life.take(&Step::Flush);
    life.take(&Step::Append(1, samples(3)));
    life.take(&Step::Append(0, samples(2)));
    db.sync().unwrap();
    for frame in db.frames_since(0).unwrap() {
        apply_frame(&copy, &frame.unwrap());
    }
    check(&copy, &life.model, i64::MIN, i64::MAX);
    assert!(reader.refresh().unwrap());
    check(&reader, &life.model, i64::MIN, i64::MAX);
    let watched = Db::in_memory().unwrap();
    while let Some(update) = watch.try_recv().unwrap() {
        let samples = SampleColumns {
            timestamps: update.timestamps,
            values: update.values,
            histograms: update.histograms,
            starts: update.starts,
        };
        watched
            .append(&Batch::new().samples(&update.labels, &samples))
            .unwrap();
    }
    check(&watched, &life.model, i64::MIN, i64::MAX);
    let extended = db.frames_since(0).unwrap().filter(|frame| {
        let change = &frame.as_ref().unwrap().change;
        matches!(change, Change::Samples { histograms, starts, .. }
            if !histograms.is_empty() && !starts.is_empty())
    });
    assert_eq!(extended.count(), 3);
}

#[test]
fn a_repair_brings_them_over() {
    let vfs = memory();
    let (db, model) = lived(&vfs);
    db.sync().unwrap();
    drop(db);
    let report = repair("/db", "/whole", manual(&vfs)).unwrap();
    assert_eq!(report.lost.len(), 0, "{report:?}");
    check(
        &Db::open("/whole", manual(&vfs)).unwrap(),
        &model,
        i64::MIN,
        i64::MAX,
    );
}

/// A block of several pages, one of them damaged: what the others hold is written anew.
#[test]
fn a_repair_salvages_them() {
    let vfs = memory();
    let db = open(&vfs);
    let (mut batch, mut model) = (Batch::new(), Model::new());
    for number in 0..200 {
        let labels = cpu(&format!("host-{number:03}"));
        for second in 0..240 {
            let value = match (second + number) % 10 {
                0 => Value::Float(second as i32),
                at => Value::Exponential(at as u8),
            };
            let at = second * SECOND + number;
            value.add_to(&mut batch, &labels, at, number);
            let series = model.entry(labels.clone()).or_default();
            series.insert(at, value.kept(at, number));
        }
    }
    db.append(&batch).unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let name = files(&vfs, "/db/blocks").pop().unwrap();
    let file = vfs.open_rw(&Path::new("/db/blocks").join(name)).unwrap();
    assert!(file.len().unwrap() > 2 * (32 << 10));
    file.write_all_at(&[0x5a, 0xa5], (32 << 10) + 700).unwrap();
    let report = repair("/db", "/salvaged", manual(&vfs)).unwrap();
    assert_eq!(report.blocks_salvaged, 1, "{report:?}");
    let salvaged = Db::open("/salvaged", manual(&vfs)).unwrap();
    let mut found = 0;
    for series in salvaged.select(&Selector::all(), ..).unwrap() {
        let series = series.unwrap();
        let samples = series.sample_columns().unwrap();
        same_samples(&samples, &model[series.labels()], series.labels());
        found += samples.values.len();
    }
    assert!(found >= 60 * 240, "{found}");
    assert!(salvaged.verify().unwrap().is_clean());
}

/// Batches with what is not well-formed are refused by row, or go without it.
#[test]
fn what_is_not_well_formed_is_refused() {
    let db = Db::in_memory().unwrap();
    let good = histogram(&Value::Exponential(3), 7);
    let bad = Histogram {
        positive: vec![(3, 1.0), (2, 1.0)],
        ..good.clone()
    };
    let batch = Batch::new()
        .sample(cpu("a"), 1, 0.5)
        .histogram(cpu("a"), 2, &bad)
        .histogram_since(cpu("a"), 3, &good, 2)
        .sample_since(cpu("b"), 4, 0.25, 3);
    let Err(Error::Rejected(first)) = db.append(&batch) else {
        panic!("a histogram with falling indices was taken");
    };
    assert_eq!((first.row, first.samples), (1, 0));
    assert!(
        first
            .reason
            .to_string()
            .contains("indices that do not rise"),
        "{first:?}"
    );
    assert_eq!(db.select(&Selector::all(), ..).unwrap().count(), 0);
    let appended = db.append_partial(&batch).unwrap();
    assert_eq!((appended.samples, appended.rejected.len()), (3, 1));
    let read = |host: &str| {
        let mut found = db.select(&selector(&cpu(host).to_string()), ..).unwrap();
        found.next().unwrap().unwrap().sample_columns().unwrap()
    };
    let a = read("a");
    assert_eq!((a.timestamps, a.starts), (vec![1, 3], vec![0, 2]));
    assert_eq!(a.histograms[1].as_ref().unwrap().count, good.count);
    assert_eq!((read("b").starts, read("b").histograms.len()), (vec![3], 0));
}

/// Samples too old for the retention are left out; what is beside the others stays beside them.
#[test]
fn rows_that_are_refused_take_only_their_own_histograms() {
    let clock = Arc::new(ManualClock::new(1000 * SECOND));
    let options = manual(&memory()).clock(clock.clone());
    let db = Db::in_memory_with(options).unwrap();
    let mut kept = NamespaceOptions::default();
    kept.retention = Some(Duration::from_secs(100));
    db.alter_namespace("default", kept).unwrap();
    let mut batch = Batch::new();
    let mut model = Model::new();
    for (host, second) in [("a", 950), ("b", 10), ("a", 951), ("a", 20), ("b", 952)] {
        let (value, at) = (Value::Exponential(second as u8 % 9), second * SECOND);
        value.add_to(&mut batch, &cpu(host), at, second);
        if second > 900 {
            let series = model.entry(cpu(host)).or_default();
            series.insert(at, value.kept(at, second));
        }
    }
    let appended = db.append_partial(&batch).unwrap();
    assert_eq!((appended.samples, appended.rejected.len()), (3, 2));
    check(&db, &model, i64::MIN, i64::MAX);
}

/// Of a step stays the last sample, histogram or not.
#[test]
fn coarser_data_keep_the_last_histogram_of_each_step() {
    let minute = 60 * SECOND;
    let clock = Arc::new(ManualClock::new(1000 * minute));
    let vfs = memory();
    let db = Db::open("/db", manual(&vfs).clock(clock.clone())).unwrap();
    let hour = Duration::from_secs(3600);
    let options = NamespaceOptions::default().downsample(hour, Duration::from_secs(300));
    db.alter_namespace("default", options).unwrap();
    let (mut batch, mut all) = (Batch::new(), Series::new());
    for at in (1..=600).map(|step| step * 15 * SECOND) {
        let value = match at / minute % 20 {
            7 => Value::Float(3),
            _ => Value::Exponential((at / SECOND % 9) as u8),
        };
        let start = if at < 3000 * SECOND { 5 } else { 0 };
        value.add_to(&mut batch, &cpu("a"), at, start);
        all.insert(at, value.kept(at, start));
    }
    db.append(&batch).unwrap();
    db.flush().unwrap();
    db.compact().unwrap();
    let ends: Series = all
        .clone()
        .into_iter()
        .filter(|(at, _)| at % (5 * minute) == 0)
        .collect();
    let model = Model::from([(cpu("a"), ends)]);
    check(&db, &model, i64::MIN, i64::MAX);
    assert!(db.verify().unwrap().is_clean());
    // Those of a second merge, with late samples between them.
    let late = Value::Custom(1);
    let at = 12 * minute + 3;
    let mut batch = Batch::new();
    late.add_to(&mut batch, &cpu("a"), at, 4);
    db.append(&batch).unwrap();
    db.flush().unwrap();
    db.compact().unwrap();
    let mut found = db.select(&Selector::all(), ..).unwrap();
    let columns = found.next().unwrap().unwrap().sample_columns().unwrap();
    let kept = columns.histograms.iter().flatten();
    assert!(kept.clone().count() >= model[&cpu("a")].len() - 2);
    assert!(kept.into_iter().all(|one| one.fault().is_none()));
    assert!(db.verify().unwrap().is_clean());
}

/// What a query holds is bounded, histograms included.
#[test]
fn histograms_count_as_memory_of_their_query() {
    let db = Db::in_memory().unwrap();
    let fat = Histogram {
        positive: (0..1000).map(|at| (at, 1.0)).collect(),
        ..Histogram::default()
    };
    let mut batch = Batch::new();
    for at in 0..200 {
        batch.push_histogram(cpu("a"), at, &fat);
    }
    db.append(&batch).unwrap();
    let limits = treering::QueryLimits::default().with_bytes(1 << 20);
    let query = db.query().limits(limits);
    let mut found = query.select(&Selector::all(), ..).unwrap();
    let series = found.next().unwrap().unwrap();
    assert!(series.sample_columns().unwrap_err().is_limit());
    assert_eq!(series.columns().unwrap().values.len(), 200);
}

/// The histogram that a service of some tens of requests a second has every 15 seconds, in a block.
#[test]
#[allow(clippy::print_stdout, reason = "the figure is what is asked for")]
fn a_day_of_histograms_takes_few_bytes() {
    let vfs = memory();
    let db = open(&vfs);
    let labels = labels! { "__name__" => "latency_seconds" };
    let (mut batch, mut buckets, mut state, mut sum) = (Batch::new(), [0u64; 20], 7u64, 0.0);
    for scrape in 0..5760i64 {
        for _ in 0..30 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let bell = (0..4).map(|die| state >> (20 + die * 10) & 7).sum::<u64>();
            let at = (bell * 20 / 29).min(19) as usize;
            buckets[at] += 1;
            sum += 0.005 * 1.1f64.powi(at as i32) + (state >> 60) as f64 * 1e-7;
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
        batch.push_histogram_since(&labels, scrape * 15 * SECOND, &histogram, SECOND);
    }
    db.append(&batch).unwrap();
    let head = db.stats().head_bytes;
    db.flush().unwrap();
    let block = files(&vfs, "/db/blocks");
    let bytes: u64 = block
        .iter()
        .map(|name| {
            vfs.open(&Path::new("/db/blocks").join(name))
                .unwrap()
                .len()
                .unwrap()
        })
        .sum();
    let (block, head) = (bytes as f64 / 5760.0, head as f64 / 5760.0);
    println!("a histogram of 20 buckets: {block:.1} bytes in a block, {head:.1} in the head");
    assert!(block < 16.0 && head < 40.0, "{block} {head}");
}
