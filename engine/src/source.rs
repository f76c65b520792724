//! Source: anything that has series and can be asked for them; a database, later a cluster.
//!
//! Input: a selector and a range of time. Output: series in label order, each with its samples as
//! columns, decoded when they are read. Invariant: timestamps of a series rise strictly; a sample
//! is a float or a histogram, never both.

use std::fmt;
use std::sync::Arc;

use treering_codec::Histogram;
use treering_index::{Labels, Selector};

use crate::db::Db;
use crate::error::Result;
use crate::query::aggregate::{Aggregate, AggregatedSeries};
use crate::query::series::Series;
use crate::questions::Query;

/// The samples of one series in order of time, as columns of equal length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleColumns {
    /// Nanoseconds since the Unix epoch, strictly increasing.
    pub timestamps: Vec<i64>,
    /// The values, bit-exact; stale markers are among them. Where a sample is a histogram, the
    /// value stands for nothing; a database has the stale marker there.
    pub values: Vec<f64>,
    /// For each sample the histogram that it is, if any; empty where all samples are floats.
    pub histograms: Vec<Option<Arc<Histogram>>>,
    /// For each sample the time since which its counter counts, or 0 where that is not known;
    /// empty where it is known of none.
    pub starts: Vec<i64>,
}

/// One series of a [`Source`], with its samples not yet read.
pub trait SourceSeries: fmt::Debug + Send {
    /// The labels of the series.
    fn labels(&self) -> &Labels;

    /// Its samples in the range that was asked for.
    fn read(&self) -> Result<SampleColumns>;
}

/// What [`Source::select`] hands out: series in the order of their labels.
pub type SourceSet<'a> = Box<dyn Iterator<Item = Result<Box<dyn SourceSeries + 'a>>> + 'a>;

/// Anything that has series.
pub trait Source: fmt::Debug + Sync {
    /// The series of `selector` that have samples from `first` to `last`, both included, in
    /// nanoseconds since the Unix epoch.
    fn select<'a>(&'a self, selector: &Selector, first: i64, last: i64) -> Result<SourceSet<'a>>;

    /// The answer of an aggregate over the samples from `first` to `last`, where the source can
    /// give it for less than reading them all, from summaries. `None`: ask for the samples.
    fn aggregate(
        &self,
        _selector: &Selector,
        _first: i64,
        _last: i64,
        _what: &Aggregate,
    ) -> Option<Result<Vec<AggregatedSeries>>> {
        None
    }
}

impl SourceSeries for Series {
    fn labels(&self) -> &Labels {
        Series::labels(self)
    }

    fn read(&self) -> Result<SampleColumns> {
        self.sample_columns()
    }
}

impl Source for Db {
    fn select<'a>(&'a self, selector: &Selector, first: i64, last: i64) -> Result<SourceSet<'a>> {
        boxed(self.query().select(selector, first..=last)?)
    }

    fn aggregate(
        &self,
        selector: &Selector,
        first: i64,
        last: i64,
        what: &Aggregate,
    ) -> Option<Result<Vec<AggregatedSeries>>> {
        self.query()
            .aggregate_floats(selector, first..=last, what)
            .transpose()
    }
}

impl Source for Query<'_> {
    fn select<'a>(&'a self, selector: &Selector, first: i64, last: i64) -> Result<SourceSet<'a>> {
        boxed(Query::select(self, selector, first..=last)?)
    }

    fn aggregate(
        &self,
        selector: &Selector,
        first: i64,
        last: i64,
        what: &Aggregate,
    ) -> Option<Result<Vec<AggregatedSeries>>> {
        self.aggregate_floats(selector, first..=last, what)
            .transpose()
    }
}

fn boxed<'a>(set: crate::query::select::SeriesSet) -> Result<SourceSet<'a>> {
    let set = set.map(|series| {
        let series: Box<dyn SourceSeries> = Box::new(series?);
        Ok(series)
    });
    Ok(Box::new(set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use treering_index::labels;

    #[test]
    fn a_database_and_a_query_of_it_are_sources() {
        let db = Db::in_memory().unwrap();
        let (a, b) = (
            labels! { "__name__" => "up", "host" => "a" },
            labels! { "__name__" => "up", "host" => "b" },
        );
        let stale = treering_codec::stale_marker();
        db.append(
            &Batch::new()
                .column(&b, &[1, 2, 3], &[1.0, stale, 3.0])
                .column(&a, &[2, 9], &[5.0, 6.0]),
        )
        .unwrap();
        let query = db.query();
        for source in [&db as &dyn Source, &query] {
            let selector = Selector::metric("up");
            let series: Vec<_> = source.select(&selector, 2, 8).unwrap().collect();
            let read = series.iter().map(|series| {
                let series = series.as_ref().unwrap();
                let columns = series.read().unwrap();
                let bits: Vec<u64> = columns.values.iter().map(|v| v.to_bits()).collect();
                (series.labels().clone(), columns.timestamps, bits)
            });
            let read: Vec<_> = read.collect();
            assert_eq!(
                read,
                [
                    (a.clone(), vec![2], vec![5f64.to_bits()]),
                    (b.clone(), vec![2, 3], vec![stale.to_bits(), 3f64.to_bits()]),
                ]
            );
        }
    }
}
