//! What the engine's blocks take: a corpus in a database after compaction, and series that never
//! change.
//!
//! Input: series. Output: bytes per sample by what they hold. Every series is read back and
//! compared with what went in.

use std::collections::BTreeMap;

use treering::{Batch, BlockBytesTotal, Db, Labels, Options, Selector};
use treering_benches::Result;
use treering_benches::corpus::CorpusSeries;

/// Samples of one batch.
const BATCH_SAMPLES: usize = 10_000;

/// Series that never change, and the samples of each.
const CONSTANTS: i64 = 2_000;
const CONSTANT_SAMPLES: i64 = 120;

/// Bytes per sample of a database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) samples: u64,
    pub(crate) timestamps: f64,
    pub(crate) values: f64,
    pub(crate) directory: f64,
    pub(crate) all: f64,
}

impl Figures {
    fn new(samples: u64, bytes: &BlockBytesTotal) -> Self {
        let each = |bytes: u64| bytes as f64 / samples as f64;
        Self {
            samples,
            timestamps: each(bytes.timestamps),
            values: each(bytes.values),
            directory: each(bytes.directory),
            all: each(bytes.total),
        }
    }

    /// What chunks cost: timestamps, values and directory.
    pub(crate) fn chunks(&self) -> f64 {
        self.timestamps + self.values + self.directory
    }
}

/// Puts a corpus into a database, flushes, compacts, reads everything back. Compaction writes all
/// of it anew.
pub(crate) fn of_corpus(all: &[CorpusSeries], options: Options) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let db = Db::open(folder.path().join("db"), options)?;
    // Two flushes whose blocks lie over the same times, so that compaction writes everything anew.
    for half in 0..2 {
        append(&db, all.iter().skip(half).step_by(2))?;
        db.flush()?;
    }
    db.compact()?;
    let samples = compare(&db, all)?;
    let stats = db.stats();
    if stats.block_samples != samples {
        return Err(format!("{} samples in blocks, not {samples}", stats.block_samples).into());
    }
    db.close()?;
    Ok(Figures::new(samples, &stats.block_bytes))
}

fn append<'a>(db: &Db, all: impl Iterator<Item = &'a CorpusSeries>) -> Result<()> {
    let mut batch = Batch::with_capacity(BATCH_SAMPLES);
    for series in all {
        let labels = Labels::from_pairs(series.labels.iter().map(|(n, v)| (n, v)))?;
        let reference = db.series(&labels)?;
        let pieces = series.timestamps.chunks(BATCH_SAMPLES);
        for (timestamps, values) in pieces.zip(series.values.chunks(BATCH_SAMPLES)) {
            batch.push_column(reference, timestamps, values);
            db.append(&batch)?;
            batch.clear();
        }
    }
    Ok(())
}

/// Series of a few values each kept for two minutes, a sample a second.
pub(crate) fn of_constants() -> Result<Figures> {
    let values = [0.0, 1.0, 42.0, 0.25, 1.5e9, 4_294_967_296.0, 99.99, -1.0];
    let start = 1_704_067_200_000_000_000i64;
    let series = (0..CONSTANTS).map(|index| CorpusSeries {
        labels: vec![
            ("__name__".to_owned(), "constant".to_owned()),
            ("number".to_owned(), format!("{index:05}")),
        ],
        timestamps: (0..CONSTANT_SAMPLES)
            .map(|second| start + second * 1_000_000_000)
            .collect(),
        values: vec![values[index as usize % values.len()]; CONSTANT_SAMPLES as usize],
    });
    of_corpus(&series.collect::<Vec<_>>(), Options::default())
}

/// How many samples the database holds, when they are those of the corpus, the last of several at
/// one time.
fn compare(db: &Db, all: &[CorpusSeries]) -> Result<u64> {
    let mut expected: BTreeMap<Labels, BTreeMap<i64, u64>> = BTreeMap::new();
    for series in all {
        let labels = Labels::from_pairs(series.labels.iter().map(|(n, v)| (n, v)))?;
        let bits = series.values.iter().map(|value| value.to_bits());
        let samples = series.timestamps.iter().copied().zip(bits);
        expected.entry(labels).or_default().extend(samples);
    }
    let mut wanted = expected.iter();
    let mut count = 0;
    for series in db.select(&Selector::all(), ..)? {
        let series = series?;
        let (labels, samples) = wanted.next().ok_or("a series was invented")?;
        let columns = series.columns()?;
        let values = columns.values.iter().map(|value| value.to_bits());
        let found = columns.timestamps.iter().copied().zip(values);
        let same = found.eq(samples.iter().map(|(timestamp, bits)| (*timestamp, *bits)));
        if series.labels() != labels || !same {
            return Err(format!("the samples of {labels} changed").into());
        }
        count += samples.len() as u64;
    }
    match wanted.next() {
        None => Ok(count),
        Some((labels, _)) => Err(format!("{labels} is missing").into()),
    }
}
