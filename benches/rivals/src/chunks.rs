//! Corpora cut into chunks, and the kinds of chunks that a figure asks for.
//!
//! Input: series. Output: runs of consecutive samples of one series, as long as asked; a tail shorter
//! than half of that is left out unless it is all there is of its series.

use std::ops::Range;

use treering_benches::corpus::CorpusSeries;

use crate::codec::Column;

/// Nanoseconds of a millisecond.
const MILLISECOND: i64 = 1_000_000;

/// The series of a corpus with their times in the unit that rivals are given.
pub(crate) struct Corpus {
    pub(crate) name: String,
    pub(crate) series: Vec<CorpusSeries>,
    millis: Vec<Vec<i64>>,
}

/// A run of samples of one series.
#[derive(Clone)]
pub(crate) struct Chunk {
    series: usize,
    range: Range<usize>,
}

/// What the values of a chunk are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Constant,
    Integers,
    Decimals,
    Other,
}

impl Corpus {
    pub(crate) fn new(name: &str, series: Vec<CorpusSeries>) -> Self {
        let mut times = series.iter().flat_map(|series| &series.timestamps);
        let is_whole = times.all(|time| time % MILLISECOND == 0);
        let unit = if is_whole { MILLISECOND } else { 1 };
        let in_unit = |series: &CorpusSeries| series.timestamps.iter().map(|t| t / unit).collect();
        Self {
            name: name.to_owned(),
            millis: series.iter().map(in_unit).collect(),
            series,
        }
    }

    /// Whether a scraper wrote it: each series names its job and instance.
    pub(crate) fn is_scraped(&self) -> bool {
        let has = |series: &CorpusSeries, name: &str| series.labels.iter().any(|(n, _)| n == name);
        let scraped = |series: &CorpusSeries| has(series, "job") && has(series, "instance");
        self.series.iter().all(scraped)
    }

    /// Every chunk of `len` samples.
    pub(crate) fn cut(&self, len: usize) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for (index, series) in self.series.iter().enumerate() {
            let samples = series.values.len();
            for start in (0..samples).step_by(len) {
                let range = start..samples.min(start + len);
                if range.len() * 2 >= len || start == 0 {
                    chunks.push(Chunk {
                        series: index,
                        range,
                    });
                }
            }
        }
        chunks
    }

    pub(crate) fn column(&self, chunk: &Chunk) -> Column<'_> {
        let series = &self.series[chunk.series];
        Column {
            nanos: &series.timestamps[chunk.range.clone()],
            millis: &self.millis[chunk.series][chunk.range.clone()],
            values: &series.values[chunk.range.clone()],
        }
    }
}

/// At most about `samples` of them, spread evenly.
pub(crate) fn spread(columns: Vec<Column<'_>>, samples: usize) -> Vec<Column<'_>> {
    let all: usize = columns.iter().map(|column| column.values.len()).sum();
    let step = (all / samples.max(1)).max(1);
    columns.into_iter().step_by(step).collect()
}

/// What the values of a chunk are, told from the values alone: integers over a power of ten up to
/// 10^9 whose IEEE quotient has the same bits.
pub(crate) fn kind(values: &[f64]) -> Kind {
    let Some((first, rest)) = values.split_first() else {
        return Kind::Constant;
    };
    if rest.iter().all(|value| value.to_bits() == first.to_bits()) {
        return Kind::Constant;
    }
    let fits = |scale: i32| {
        let power = 10f64.powi(scale);
        values.iter().all(|value| {
            let int = (value * power).round();
            let back = int / power;
            int.abs() < 9e15 && back.to_bits() == value.to_bits()
        })
    };
    match (0..=9).find(|&scale| fits(scale)) {
        Some(0) => Kind::Integers,
        Some(_) => Kind::Decimals,
        None => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(lens: &[usize]) -> Corpus {
        let series = lens.iter().map(|&len| CorpusSeries {
            labels: Vec::new(),
            timestamps: (0..len as i64).map(|i| i * 1_000_000_000).collect(),
            values: (0..len).map(|i| i as f64).collect(),
        });
        Corpus::new("c", series.collect())
    }

    #[test]
    fn short_tails_go_and_short_series_stay() {
        let corpus = corpus(&[250, 170, 30]);
        let lens: Vec<_> = corpus.cut(120).iter().map(|c| c.range.len()).collect();
        assert_eq!(lens, [120, 120, 120, 30]);
        let column = corpus.column(&corpus.cut(120)[1]);
        assert_eq!((column.millis[0], column.values[0]), (120_000, 120.0));
    }

    #[test]
    fn kinds_are_told_from_values() {
        assert_eq!(kind(&[1.0, 2.0]), Kind::Integers);
        assert_eq!(kind(&[0.1, 2.25]), Kind::Decimals);
        assert_eq!(kind(&[0.5, 1.0 / 3.0]), Kind::Other);
        assert_eq!(kind(&[1.0, f64::NAN]), Kind::Other);
        assert_eq!(kind(&[1.0, -0.0]), Kind::Integers);
        assert_eq!(kind(&[0.5, 0.5]), Kind::Constant);
    }
}
