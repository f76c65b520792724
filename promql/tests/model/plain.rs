//! A source of plain columns, which can do something whenever one of them is read.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use treering::{Labels, Result, SampleColumns, Selector, Source, SourceSeries, SourceSet};

use crate::SECOND;

/// Series in memory.
pub(crate) struct Plain {
    pub(crate) series: Vec<(Labels, SampleColumns)>,
    /// Called before each read, with how many there were.
    pub(crate) on_read: Box<dyn Fn(usize) + Sync>,
    reads: AtomicUsize,
}

struct PlainSeries<'a> {
    source: &'a Plain,
    labels: &'a Labels,
    columns: SampleColumns,
}

impl Plain {
    pub(crate) fn new(series: impl IntoIterator<Item = (Labels, SampleColumns)>) -> Self {
        let mut series: Vec<(Labels, SampleColumns)> = series.into_iter().collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            series,
            on_read: Box::new(|_| ()),
            reads: AtomicUsize::new(0),
        }
    }

    /// `count` series `m{i="..", le=".."}` of `samples` samples each, one a second from 1 s on.
    pub(crate) fn many(count: usize, samples: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        Self::new((0..count).map(|series| {
            let pairs = [
                ("__name__", "m".to_owned()),
                ("i", series.to_string()),
                ("le", (series % 10).to_string()),
            ];
            let columns = columns(
                (1..=samples as i64).map(|at| at * SECOND),
                (0..samples).map(|at| value(series, at)),
            );
            (Labels::from_pairs(pairs).unwrap(), columns)
        }))
    }
}

/// Columns of floats.
pub(crate) fn columns(
    timestamps: impl IntoIterator<Item = i64>,
    values: impl IntoIterator<Item = f64>,
) -> SampleColumns {
    SampleColumns {
        timestamps: timestamps.into_iter().collect(),
        values: values.into_iter().collect(),
        ..SampleColumns::default()
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} series", self.series.len())
    }
}

impl fmt::Debug for PlainSeries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.labels.fmt(f)
    }
}

impl Source for Plain {
    fn select<'a>(&'a self, selector: &Selector, first: i64, last: i64) -> Result<SourceSet<'a>> {
        let selector = selector.clone();
        let wanted = self
            .series
            .iter()
            .filter(move |one| selector.matches(&one.0));
        let found = wanted.filter_map(move |(labels, columns)| {
            let inside = |time: &&i64| (first..=last).contains(*time);
            columns.timestamps.iter().find(inside)?;
            let from = columns.timestamps.partition_point(|&time| time < first);
            let to = columns.timestamps.partition_point(|&time| time <= last);
            let series: Box<dyn SourceSeries + 'a> = Box::new(PlainSeries {
                source: self,
                labels,
                columns: SampleColumns {
                    timestamps: columns.timestamps[from..to].to_vec(),
                    values: columns.values[from..to].to_vec(),
                    ..SampleColumns::default()
                },
            });
            Some(Ok(series))
        });
        Ok(Box::new(found))
    }
}

impl SourceSeries for PlainSeries<'_> {
    fn labels(&self) -> &Labels {
        self.labels
    }

    fn read(&self) -> Result<SampleColumns> {
        let before = self.source.reads.fetch_add(1, Ordering::Relaxed);
        (self.source.on_read)(before);
        Ok(self.columns.clone())
    }
}
