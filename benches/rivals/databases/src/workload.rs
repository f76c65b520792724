//! The workload in the forms that engines take.
//!
//! Input: a shape of the generator. Output: rows of all series in memory, or columns of a file, one
//! row per time and host, for programs in Python. The bits are the same in all of them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use treering_benches::Result;
use treering_benches::generator::{Generator, METRICS, Shape, Values};

/// Seed of the values, the labels and the questions.
pub(crate) const SEED: u64 = 1;
/// Samples of a batch, for everybody.
pub(crate) const BATCH: usize = 10_000;

/// Workload S: 100 hosts for a day; the quick one three hours of it.
pub(crate) fn shape(is_quick: bool) -> Shape {
    let mut shape = Shape::s(Values::Dec2);
    if is_quick {
        shape.samples /= 8;
    }
    shape
}

/// Every sample, time by time.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) generator: Generator,
    pub(crate) times: Vec<i64>,
    /// The values of all series, time after time.
    pub(crate) values: Vec<f64>,
}

impl Rows {
    pub(crate) fn of(shape: Shape) -> Self {
        let mut generator = Generator::new(shape, SEED);
        let (mut times, mut values, mut row) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(time) = generator.next_row(&mut row) {
            times.push(time);
            values.extend_from_slice(&row);
        }
        Self {
            generator,
            times,
            values,
        }
    }

    /// Number of series.
    pub(crate) fn width(&self) -> usize {
        self.generator.shape().series() as usize
    }

    /// Times of one batch, the values of all series after another; the last may be smaller.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (&[i64], &[f64])> {
        let times = (BATCH / self.width()).max(1);
        let values = self.values.chunks(times * self.width());
        self.times.chunks(times).zip(values)
    }
}

/// Writes `columns.bin` and `data.json`, which `databases.py` describes, into a folder.
pub(crate) fn write_columns(rows: &Rows, folder: &Path) -> Result<()> {
    let shape = rows.generator.shape();
    let (hosts, metrics) = (shape.hosts as usize, shape.metrics as usize);
    let mut file = BufWriter::new(File::create(folder.join("columns.bin"))?);
    for time in &rows.times {
        for _ in 0..hosts {
            file.write_all(&time.to_le_bytes())?;
        }
    }
    for _ in &rows.times {
        for host in 0..hosts as i64 {
            file.write_all(&host.to_le_bytes())?;
        }
    }
    for metric in 0..metrics {
        for value in rows.values.iter().skip(metric).step_by(metrics) {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    file.flush()?;
    let first = rows.generator.labels(0);
    let is_tag = |name: &&str| *name != "__name__";
    let names: Vec<&str> = first.iter().map(|(name, _)| *name).filter(is_tag).collect();
    let tags = (0..hosts).map(|host| {
        let labels = rows.generator.labels((host * metrics) as u64);
        let tags = labels.into_iter().filter(|(name, _)| is_tag(name));
        tags.map(|(_, value)| value).collect::<Vec<String>>()
    });
    let about = json!({
        "rows": rows.times.len() * hosts,
        "metrics": &METRICS[..metrics],
        "tags": { "names": names, "rows": tags.collect::<Vec<_>>() },
    });
    std::fs::write(folder.join("data.json"), about.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Shape {
        Shape {
            hosts: 3,
            samples: 5,
            ..shape(true)
        }
    }

    #[test]
    fn the_columns_hold_the_rows_bit_for_bit() {
        let rows = Rows::of(small());
        let folder = tempfile::tempdir().unwrap();
        write_columns(&rows, folder.path()).unwrap();
        let bytes = std::fs::read(folder.path().join("columns.bin")).unwrap();
        let words: Vec<[u8; 8]> = bytes.as_chunks::<8>().0.to_vec();
        let count = 3 * 5;
        assert_eq!(words.len(), count * 12);
        for row in 0..count {
            let (time, host) = (row / 3, row % 3);
            assert_eq!(i64::from_le_bytes(words[row]), rows.times[time]);
            assert_eq!(i64::from_le_bytes(words[count + row]), host as i64);
            for metric in 0..10 {
                let value = rows.values[time * 30 + host * 10 + metric];
                let column = words[(2 + metric) * count + row];
                assert_eq!(u64::from_le_bytes(column), value.to_bits());
            }
        }
        let about = std::fs::read(folder.path().join("data.json")).unwrap();
        let about: serde_json::Value = serde_json::from_slice(&about).unwrap();
        assert_eq!(about["rows"], 15);
        assert_eq!(about["tags"]["rows"][2][2], "host_2");
        assert_eq!(about["tags"]["names"].as_array().unwrap().len(), 10);
    }

    #[test]
    fn batches_are_all_of_the_rows() {
        let rows = Rows::of(Shape {
            hosts: 300,
            samples: 7,
            ..shape(true)
        });
        let batches: Vec<_> = rows.batches().collect();
        assert_eq!(batches.len(), 3);
        assert!(
            batches
                .iter()
                .all(|(times, values)| values.len() == times.len() * 3000)
        );
        assert_eq!(
            batches.iter().map(|(times, _)| times.len()).sum::<usize>(),
            7
        );
    }
}
