//! A workload written into a database.
//!
//! Input: a shape, a seed, an open database. Output: the same database with all samples appended,
//! row after row or series after series, in batches of ten thousand samples; nothing is flushed.

use treering::{Batch, Db, Labels, SeriesRef};

use crate::Result;
use crate::generator::{Generator, Shape};

/// Samples of a batch.
pub const BATCH: usize = 10_000;

/// Every series of a workload by reference, in the order of their numbers.
pub fn references(db: &Db, generator: &Generator) -> Result<Vec<SeriesRef>> {
    (0..generator.shape().series())
        .map(|series| Ok(db.series(&Labels::from_pairs(generator.labels(series))?)?))
        .collect()
}

/// All series of one time after another.
pub fn write_rows(db: &Db, shape: Shape, seed: u64) -> Result<()> {
    let mut generator = Generator::new(shape, seed);
    let refs = references(db, &generator)?;
    let (mut row, mut batch) = (Vec::new(), Batch::with_capacity(BATCH));
    while let Some(timestamp) = generator.next_row(&mut row) {
        for (refs, values) in refs.chunks(BATCH).zip(row.chunks(BATCH)) {
            for (&series, &value) in refs.iter().zip(values) {
                batch.push(series, timestamp, value);
                if batch.len() == BATCH {
                    db.append(&batch)?;
                    batch.clear();
                }
            }
        }
    }
    Ok(db.append(&batch)?)
}

/// All times of one series after another, of every `every`th series from number `first` on.
pub fn write_columns(db: &Db, shape: Shape, seed: u64, first: u64, every: usize) -> Result<()> {
    let generator = Generator::new(shape, seed);
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let mut batch = Batch::with_capacity(BATCH);
    for series in (first..shape.series()).step_by(every.max(1)) {
        let reference = db.series(&Labels::from_pairs(generator.labels(series))?)?;
        let mut stream = generator.stream(series);
        while stream.next_column(BATCH, &mut times, &mut values) > 0 {
            batch.clear();
            batch.push_column(reference, &times, &values);
            db.append(&batch)?;
        }
    }
    Ok(())
}
