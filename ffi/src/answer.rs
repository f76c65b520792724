//! Answers: series with their samples, one after the other, whatever was asked.
//!
//! Input: what select, aggregate and PromQL give. Output: rows of labels and columns. Samples of a
//! select are decoded when their series' turn comes. After a failure there is nothing more.

use std::collections::BTreeSet;

use treering::{AggregatedSeries, Columns, Labels, Series, SeriesSet};
use treering_promql::{ResultSeries, SampleValue, Value, VectorSample};

use crate::abi::result::Shown;
use crate::abi::types::treering_status::TREERING_ERROR_UNSUPPORTED;
use crate::failure::{Failure, Result};

/// One series of an answer.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) columns: Columns,
    /// See `treering::AggregatedSeries::approximate`.
    pub(crate) approximate: bool,
}

/// What is still to be handed out.
#[derive(Debug)]
pub(crate) struct Answer {
    rows: Rows,
    /// Texts for the author of a PromQL query, one a line.
    pub(crate) notes: String,
    /// What was handed out last; pointers to it are outside.
    pub(crate) shown: Shown,
}

#[derive(Debug)]
enum Rows {
    /// Found as they are asked for.
    Set(Box<SeriesSet>),
    /// Found, not decoded.
    Found(std::vec::IntoIter<Series>),
    Aggregated(std::vec::IntoIter<AggregatedSeries>),
    Ready(std::vec::IntoIter<Row>),
}

impl Answer {
    pub(crate) fn of_select(set: SeriesSet) -> Self {
        Self::new(Rows::Set(Box::new(set)))
    }

    pub(crate) fn of_aggregate(series: Vec<AggregatedSeries>) -> Self {
        Self::new(Rows::Aggregated(series.into_iter()))
    }

    /// The answer to the PromQL query `text`; what columns of doubles cannot hold is a failure.
    pub(crate) fn of_promql(answer: treering_promql::Answer, text: &str) -> Result<Self> {
        let notes: Vec<String> = answer
            .annotations
            .iter()
            .map(|note| note.text(text))
            .collect();
        let rows = match answer.value {
            Value::Scalar(timestamp, value) => vec![Row {
                columns: Columns {
                    timestamps: vec![timestamp],
                    values: vec![value],
                },
                ..Row::default()
            }],
            Value::Vector(vector) => collect(vector, row_of_sample)?,
            Value::Matrix(series) => collect(series, row_of_series)?,
            Value::String(..) => {
                return Err(Failure::new(
                    TREERING_ERROR_UNSUPPORTED,
                    "the value of the query is a text, which columns of samples cannot hold",
                ));
            }
        };
        Ok(Self {
            notes: notes.join("\n"),
            ..Self::new(Rows::Ready(rows.into_iter()))
        })
    }

    fn new(rows: Rows) -> Self {
        Self {
            rows,
            notes: String::new(),
            shown: Shown::default(),
        }
    }

    /// Whether rows may be approximate.
    pub(crate) fn is_aggregate(&self) -> bool {
        matches!(self.rows, Rows::Aggregated(_))
    }

    /// The names of all labels of the rows to come, sorted; finds all of these rows, but decodes
    /// none.
    pub(crate) fn names(&mut self) -> Result<Vec<String>> {
        if let Rows::Set(set) = &mut self.rows {
            let found: treering::Result<Vec<Series>> = set.by_ref().collect();
            let found = found.inspect_err(|_| self.rows = Rows::Ready(Vec::new().into_iter()))?;
            self.rows = Rows::Found(found.into_iter());
        }
        let mut names = BTreeSet::new();
        let mut add = |labels: &Labels| {
            for (name, _) in labels.iter() {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        };
        match &self.rows {
            Rows::Set(_) => {}
            Rows::Found(found) => found.as_slice().iter().for_each(|one| add(one.labels())),
            Rows::Aggregated(all) => all.as_slice().iter().for_each(|one| add(&one.labels)),
            Rows::Ready(rows) => rows.as_slice().iter().for_each(|one| add(&one.labels)),
        }
        Ok(names.into_iter().collect())
    }

    /// The next series.
    pub(crate) fn next(&mut self) -> Option<Result<Row>> {
        let row = match &mut self.rows {
            Rows::Set(set) => set.next()?.and_then(|series| row_of(&series)),
            Rows::Found(found) => row_of(&found.next()?),
            Rows::Aggregated(all) => Ok(row_of_points(all.next()?)),
            Rows::Ready(rows) => Ok(rows.next()?),
        };
        Some(row.map_err(|error| {
            self.rows = Rows::Ready(Vec::new().into_iter());
            error.into()
        }))
    }
}

fn row_of(series: &Series) -> treering::Result<Row> {
    Ok(Row {
        labels: series.labels().clone(),
        columns: series.columns()?,
        approximate: false,
    })
}

fn row_of_points(series: AggregatedSeries) -> Row {
    let points = &series.points;
    let columns = Columns {
        timestamps: points.iter().map(|point| point.timestamp).collect(),
        values: points.iter().map(|point| point.value).collect(),
    };
    Row {
        labels: series.labels,
        columns,
        approximate: series.approximate,
    }
}

fn collect<T>(all: Vec<T>, row: impl Fn(T) -> Result<Row>) -> Result<Vec<Row>> {
    all.into_iter().map(row).collect()
}

fn row_of_sample(sample: VectorSample) -> Result<Row> {
    row_of_series(ResultSeries {
        labels: sample.labels,
        samples: vec![(sample.timestamp, sample.value)],
    })
}

fn row_of_series(series: ResultSeries) -> Result<Row> {
    let mut columns = Columns::default();
    for (timestamp, value) in series.samples {
        let SampleValue::Float(value) = value else {
            return Err(Failure::new(
                TREERING_ERROR_UNSUPPORTED,
                format_args!(
                    "{} has native histograms, which columns of samples cannot hold",
                    series.labels
                ),
            ));
        };
        columns.timestamps.push(timestamp);
        columns.values.push(value);
    }
    Ok(Row {
        labels: series.labels,
        columns,
        approximate: false,
    })
}
