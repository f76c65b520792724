//! Source: anything that has series and can be asked for them; a database, later a cluster.
//!
//! Input: a selector and a range of time. Output: series in label order, each with its samples as
//! columns, decoded when they are read. Invariant: timestamps of a series rise strictly; a sample
//! is a float or a histogram, never both.

mod parts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use treering_codec::{Histogram, Sample};
use treering_index::{Labels, Selector};

pub use self::parts::SourceParts;

use crate::db::Db;
use crate::error::Result;
use crate::query::aggregate::{Aggregate, AggregatedSeries};
use crate::query::guard::CancelToken;
use crate::query::select::SeriesSet;
use crate::query::series::Series;
use crate::questions::{Latest, Query};

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

/// What reading a series takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadSize {
    /// Chunks that are decoded, those of heads among them.
    pub chunks: u64,
    /// Samples in these chunks, those outside the range too.
    pub samples: u64,
    /// Bytes of these chunks as they are stored: of values, and of timestamps where they are
    /// stored with them, not in a column that other series share.
    pub bytes: u64,
}

/// One series of a [`Source`], with its samples not yet read.
pub trait SourceSeries: fmt::Debug + Send {
    /// The labels of the series.
    fn labels(&self) -> &Labels;

    /// What [`SourceSeries::read`] will take, where that is known without reading.
    fn size(&self) -> Option<ReadSize> {
        None
    }

    /// Its samples in the range that was asked for.
    fn read(&self) -> Result<SampleColumns>;
}

/// What [`Source::select`] hands out: series in the order of their labels.
pub type SourceSet<'a> = Box<dyn Iterator<Item = Result<Box<dyn SourceSeries + 'a>>> + Send + 'a>;

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

    /// As [`Source::select`], in parts that several threads can read at the same time, as many as
    /// that is worth; each part is in the order of labels, and they follow each other. Series that
    /// turn out to have no samples in the range may be among them.
    fn select_parts<'a>(
        &'a self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Result<SourceParts<'a>> {
        Ok(SourceParts::one(self.select(selector, first, last)?))
    }

    /// The newest sample from `first` to `last` of each series that has any, in the order of
    /// labels; a stale marker where that is the newest. `None` where the source cannot tell it for
    /// less than reading all samples, or where a histogram may be among the newest.
    fn latest(
        &self,
        _selector: &Selector,
        _first: i64,
        _last: i64,
    ) -> Option<Result<Vec<(Labels, Sample)>>> {
        None
    }

    /// The same source for one query, which ends with [`Error::Cancelled`] once the token is
    /// cancelled and with [`Error::Timeout`] after `timeout`. `None`: whoever asks looks at token
    /// and clock between one series and the next, and that is often enough.
    ///
    /// [`Error::Cancelled`]: crate::Error::Cancelled
    /// [`Error::Timeout`]: crate::Error::Timeout
    fn bounded<'a>(
        &'a self,
        _cancel: &CancelToken,
        _timeout: Duration,
    ) -> Option<Box<dyn Source + 'a>> {
        None
    }
}

impl SourceSeries for Series {
    fn labels(&self) -> &Labels {
        Series::labels(self)
    }

    fn size(&self) -> Option<ReadSize> {
        Some(Series::size(self))
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

    fn select_parts<'a>(
        &'a self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Result<SourceParts<'a>> {
        self.query().parts(selector, first, last)
    }

    fn latest(
        &self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Option<Result<Vec<(Labels, Sample)>>> {
        Source::latest(&self.query(), selector, first, last)
    }

    fn bounded<'a>(
        &'a self,
        cancel: &CancelToken,
        timeout: Duration,
    ) -> Option<Box<dyn Source + 'a>> {
        Some(Box::new(self.query().bounded_by(cancel, timeout)))
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

    fn select_parts<'a>(
        &'a self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Result<SourceParts<'a>> {
        self.clone().parts(selector, first, last)
    }

    fn latest(
        &self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Option<Result<Vec<(Labels, Sample)>>> {
        let latest = self.latest_floats(selector, first..=last).transpose()?;
        let pairs = |latest: Vec<Latest>| {
            let pair = |one: Latest| (one.labels, one.sample);
            latest.into_iter().map(pair).collect()
        };
        Some(latest.map(pairs))
    }

    fn bounded<'a>(
        &'a self,
        cancel: &CancelToken,
        timeout: Duration,
    ) -> Option<Box<dyn Source + 'a>> {
        Some(Box::new(self.clone().bounded_by(cancel, timeout)))
    }
}

fn boxed<'a>(set: SeriesSet) -> Result<SourceSet<'a>> {
    let set = set.map(|series| {
        let series: Box<dyn SourceSeries> = Box::new(series?);
        Ok(series)
    });
    Ok(Box::new(set))
}

impl<'a> Query<'a> {
    fn parts(self, selector: &Selector, first: i64, last: i64) -> Result<SourceParts<'a>> {
        let (sets, lent) = self.select_split(selector, (first, last))?;
        let sets = sets.into_iter().map(|mut set| {
            let next = move || {
                let series = set.next_unread()?;
                Some(series.map(|series| Box::new(series) as Box<dyn SourceSeries + 'a>))
            };
            Box::new(std::iter::from_fn(next)) as SourceSet<'a>
        });
        Ok(SourceParts::lent(sets.collect(), lent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::error::Error;
    use crate::options::Options;
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

    /// Series of a few samples each, in blocks and in the head.
    fn many(threads: usize, series: usize, samples: usize) -> Db {
        let options = Options::default().query_threads(threads);
        let db = Db::in_memory_with(options).unwrap();
        let times: Vec<i64> = (1..=samples as i64).collect();
        for host in 0..series {
            let cpu = labels! { "__name__" => "cpu", "host" => format!("{host:04}") };
            let values: Vec<f64> = (0..samples).map(|at| (host * at) as f64).collect();
            db.append(&Batch::new().column(&cpu, &times, &values))
                .unwrap();
        }
        db
    }

    #[test]
    fn parts_follow_each_other_in_the_order_of_labels() {
        let selector = Selector::metric("cpu");
        for threads in [1, 5] {
            let db = many(threads, 200, 3000);
            db.flush().unwrap();
            let query = db.query();
            for source in [&db as &dyn Source, &query] {
                let parts = source.select_parts(&selector, 10, 2990).unwrap();
                assert_eq!(parts.threads() > 1, threads > 1);
                let labels = |set: SourceSet<'_>| -> Result<Vec<(Labels, usize)>> {
                    let of = |series: Result<Box<dyn SourceSeries + '_>>| {
                        let series = series?;
                        Ok((series.labels().clone(), series.read()?.values.len()))
                    };
                    set.map(of).collect()
                };
                let found = parts.each(labels).unwrap().concat();
                assert_eq!(found.len(), 200);
                assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
                assert!(found.iter().all(|one| one.1 == 2981));
            }
            let nothing = db.select_parts(&selector, 5, 4).unwrap();
            assert_eq!(
                nothing.each(|set| Ok::<_, Error>(set.count())).unwrap(),
                [0]
            );
        }
    }

    #[test]
    fn threads_that_were_lent_come_back() {
        let db = many(3, 200, 3000);
        db.flush().unwrap();
        let selector = Selector::metric("cpu");
        for _ in 0..5 {
            let parts = db.select_parts(&selector, 0, i64::MAX).unwrap();
            assert_eq!(parts.threads(), 2);
            let failed = parts.each(|_| Err::<(), &str>("no"));
            assert_eq!(failed.unwrap_err(), "no");
        }
        let kept: Vec<SourceParts<'_>> = (0..3)
            .map(|_| db.select_parts(&selector, 0, i64::MAX).unwrap())
            .collect();
        assert_eq!(
            kept.iter().map(SourceParts::threads).collect::<Vec<_>>(),
            [2, 2, 1]
        );
    }

    #[test]
    fn the_newest_samples_are_told_with_their_times_and_bits() {
        let db = Db::in_memory().unwrap();
        let stale = treering_codec::stale_marker();
        for (host, times, values) in [
            ("a", [1, 5, 9], [1.0, -0.0, 3.0]),
            ("b", [1, 2, 3], [1.0, 2.0, stale]),
            ("c", [7, 8, 9], [0.0; 3]),
        ] {
            let cpu = labels! { "__name__" => "cpu", "host" => host };
            db.append(&Batch::new().column(&cpu, &times, &values))
                .unwrap();
        }
        let selector = Selector::metric("cpu");
        let latest = Source::latest(&db, &selector, 2, 6).unwrap().unwrap();
        let told = latest.iter().map(|(labels, sample)| {
            let host = labels.get("host").unwrap();
            (host, sample.timestamp, sample.value.to_bits())
        });
        let expected = [("a", 5, (-0.0f64).to_bits()), ("b", 3, stale.to_bits())];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_size_of_a_series_is_that_of_its_chunks() {
        let db = many(1, 3, 500);
        let selector = Selector::metric("cpu");
        let size = |db: &Db| {
            let mut all = Vec::new();
            for series in Source::select(db, &selector, 0, 1000).unwrap() {
                all.push(series.unwrap().size().unwrap());
            }
            all
        };
        let in_head = size(&db);
        db.flush().unwrap();
        for (head, block) in in_head.iter().zip(size(&db)) {
            assert_eq!((head.samples, block.samples), (500, 500));
            assert!(head.chunks > 0 && block.chunks > 0 && head.bytes > 0);
            assert!(block.bytes < head.bytes, "{block:?} and {head:?}");
        }
    }
}
