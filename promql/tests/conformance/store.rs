//! Store: what loads have added, as a source for the evaluator.
//!
//! Input: loads. Output: a [`Source`] of floats, histograms and start timestamps: plain maps, or a
//! database that keeps some of them in blocks and some in its head. Invariant: a series has each
//! timestamp once, in rising order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use treering::{
    Aggregate, AggregatedSeries, Batch, CancelToken, Db, Histogram, Labels, Result, SampleColumns,
    Selector, Source, SourceParts, SourceSeries, SourceSet,
};

use super::classic;
use super::script::Load;
use super::values::Slot;

/// All series.
#[derive(Debug, Default)]
pub(crate) struct Store {
    series: BTreeMap<Labels, BTreeMap<i64, Sample>>,
    /// Has the same samples, and answers in their place.
    db: Option<Db>,
    loads: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) histogram: Option<Arc<Histogram>>,
    pub(crate) start: i64,
}

#[derive(Debug)]
struct StoredSeries {
    labels: Labels,
    columns: SampleColumns,
}

impl Store {
    /// A store that is a database.
    pub(crate) fn database() -> Self {
        Self {
            db: Some(Db::in_memory().unwrap()),
            ..Self::default()
        }
    }

    /// Whether it knows that a counter was not reset. A database has the hints that were written;
    /// who computes with them looks for resets by itself.
    pub(crate) fn compares_histograms(&self) -> bool {
        self.db.is_none()
    }

    /// Adds the samples of a load; the first one stands at time 0.
    pub(crate) fn load(&mut self, load: &Load) {
        for line in &load.series {
            let series = self.series.entry(line.labels.clone()).or_default();
            for (at, slot) in line.slots.iter().enumerate() {
                let time = at as i64 * load.step;
                let start = line.starts.get(at).copied().flatten();
                let (value, histogram) = match slot {
                    Slot::Nothing => continue,
                    Slot::Float(value) => (*value, None),
                    Slot::Histogram(histogram, _) => (0.0, Some(Arc::clone(histogram))),
                };
                let sample = Sample {
                    value,
                    histogram,
                    start: start.map_or(0, |start| time + start),
                };
                series.insert(time, sample);
            }
        }
        if load.with_custom_buckets {
            for (labels, samples) in classic::convert(load) {
                self.series.entry(labels).or_default().extend(samples);
            }
        }
        if let Some(db) = &self.db {
            // Samples that were there already are written over by the same ones.
            let mut batch = Batch::new();
            for (labels, samples) in &self.series {
                for (&at, sample) in samples {
                    match &sample.histogram {
                        Some(one) => batch.push_histogram_since(labels, at, one, sample.start),
                        None => batch.push_since(labels, at, sample.value, sample.start),
                    }
                }
            }
            db.append(&batch).unwrap();
            self.loads += 1;
            if self.loads % 2 == 1 {
                db.flush().unwrap();
            }
        }
    }
}

impl Source for Store {
    fn select<'a>(&'a self, selector: &Selector, first: i64, last: i64) -> Result<SourceSet<'a>> {
        if let Some(db) = &self.db {
            return Source::select(db, selector, first, last);
        }
        let mut found: Vec<Result<Box<dyn SourceSeries + 'a>>> = vec![];
        for (labels, samples) in &self.series {
            if !selector.matches(labels) {
                continue;
            }
            let columns = columns(samples, first, last);
            if !columns.timestamps.is_empty() {
                let labels = labels.clone();
                found.push(Ok(Box::new(StoredSeries { labels, columns })));
            }
        }
        Ok(Box::new(found.into_iter()))
    }

    fn aggregate(
        &self,
        selector: &Selector,
        first: i64,
        last: i64,
        what: &Aggregate,
    ) -> Option<Result<Vec<AggregatedSeries>>> {
        Source::aggregate(self.db.as_ref()?, selector, first, last, what)
    }

    fn select_parts<'a>(
        &'a self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Result<SourceParts<'a>> {
        match &self.db {
            Some(db) => db.select_parts(selector, first, last),
            None => Ok(SourceParts::one(self.select(selector, first, last)?)),
        }
    }

    fn latest(
        &self,
        selector: &Selector,
        first: i64,
        last: i64,
    ) -> Option<Result<Vec<(Labels, treering::Sample)>>> {
        Source::latest(self.db.as_ref()?, selector, first, last)
    }

    fn bounded<'a>(
        &'a self,
        cancel: &CancelToken,
        timeout: Duration,
    ) -> Option<Box<dyn Source + 'a>> {
        self.db.as_ref()?.bounded(cancel, timeout)
    }
}

fn columns(samples: &BTreeMap<i64, Sample>, first: i64, last: i64) -> SampleColumns {
    let mut columns = SampleColumns::default();
    let has_histograms = samples.values().any(|sample| sample.histogram.is_some());
    let has_starts = samples.values().any(|sample| sample.start != 0);
    // Hints are known from a series' beginning, whatever part of it is asked for.
    let mut histograms: Vec<Option<Histogram>> = samples
        .values()
        .map(|sample| sample.histogram.as_deref().cloned())
        .collect();
    treering_promql::histogram::mark_resets(histograms.iter_mut().flatten());
    for ((time, sample), histogram) in samples.iter().zip(histograms) {
        if !(first..=last).contains(time) {
            continue;
        }
        columns.timestamps.push(*time);
        columns.values.push(sample.value);
        if has_histograms {
            columns.histograms.push(histogram.map(Arc::new));
        }
        if has_starts {
            columns.starts.push(sample.start);
        }
    }
    columns
}

impl SourceSeries for StoredSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self) -> Result<SampleColumns> {
        Ok(self.columns.clone())
    }
}
