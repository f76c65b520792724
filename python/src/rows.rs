//! What a question gave: series with their samples, all read.
//!
//! Input: answers of the engine and of PromQL. Output: rows of labels and columns, which results
//! share with arrays and streams. Invariant: the columns of a row have the same length.

use arrow_buffer::ScalarBuffer;
use treering::{AggregatedSeries, Columns, Labels, Latest, Series};
use treering_promql::histogram::Shown;
use treering_promql::{Answer, ResultSeries, SampleValue, Value};

use crate::failure::Outcome;

/// One series of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) timestamps: ScalarBuffer<i64>,
    /// Where a sample is a histogram, the stale marker.
    pub(crate) values: ScalarBuffer<f64>,
    /// For each sample the histogram that it is, as Prometheus prints it; empty where none is.
    pub(crate) histograms: Vec<Option<String>>,
    /// See `treering::AggregatedSeries::approximate`.
    pub(crate) approximate: bool,
}

/// What kind of answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Samples,
    Aggregate,
    Scalar,
    Vector,
    Matrix,
    Text,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) kind: Kind,
    pub(crate) rows: Vec<Row>,
    /// What the author of a PromQL query should know.
    pub(crate) notes: Vec<String>,
    /// The value of a PromQL query that is a text.
    pub(crate) text: Option<String>,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Samples => "samples",
            Kind::Aggregate => "aggregate",
            Kind::Scalar => "scalar",
            Kind::Vector => "vector",
            Kind::Matrix => "matrix",
            Kind::Text => "string",
        }
    }
}

impl Row {
    fn new(labels: Labels, columns: Columns) -> Self {
        Self {
            labels,
            timestamps: columns.timestamps.into(),
            values: columns.values.into(),
            histograms: Vec::new(),
            approximate: false,
        }
    }

    /// Reads a series.
    pub(crate) fn of_series(series: &Series) -> Outcome<Self> {
        Ok(Self::new(series.labels().clone(), series.columns()?))
    }

    fn of_points(series: AggregatedSeries) -> Self {
        let (timestamps, values) = series.points.iter().map(|p| (p.timestamp, p.value)).unzip();
        Self {
            approximate: series.approximate,
            ..Self::new(series.labels, Columns { timestamps, values })
        }
    }

    fn of_promql(series: ResultSeries) -> Self {
        let (mut columns, mut histograms) = (Columns::default(), Vec::new());
        for (timestamp, value) in series.samples {
            columns.timestamps.push(timestamp);
            match value {
                SampleValue::Float(value) => columns.values.push(value),
                SampleValue::Histogram(one) => {
                    histograms.resize(columns.values.len(), None);
                    histograms.push(Some(Shown(&one).to_string()));
                    columns.values.push(treering::stale_marker());
                }
            }
        }
        if !histograms.is_empty() {
            histograms.resize(columns.values.len(), None);
        }
        Self {
            histograms,
            ..Self::new(series.labels, columns)
        }
    }
}

impl Rows {
    pub(crate) fn new(kind: Kind, rows: Vec<Row>) -> Self {
        Self {
            kind,
            rows,
            notes: Vec::new(),
            text: None,
        }
    }

    pub(crate) fn of_aggregate(series: Vec<AggregatedSeries>) -> Self {
        Self::new(
            Kind::Aggregate,
            series.into_iter().map(Row::of_points).collect(),
        )
    }

    pub(crate) fn of_latest(latest: Vec<Latest>) -> Self {
        let row = |one: Latest| {
            let (timestamps, values) = (vec![one.sample.timestamp], vec![one.sample.value]);
            Row::new(one.labels, Columns { timestamps, values })
        };
        Self::new(Kind::Samples, latest.into_iter().map(row).collect())
    }

    /// The answer to the PromQL query `query`.
    pub(crate) fn of_promql(answer: Answer, query: &str) -> Self {
        let notes = answer
            .annotations
            .iter()
            .map(|note| note.text(query))
            .collect();
        let (mut text, mut series) = (None, Vec::new());
        let kind = match answer.value {
            Value::Scalar(time, value) => {
                let samples = vec![(time, SampleValue::Float(value))];
                let labels = Labels::empty();
                series.push(ResultSeries { labels, samples });
                Kind::Scalar
            }
            Value::String(_, value) => {
                text = Some(value);
                Kind::Text
            }
            Value::Vector(vector) => {
                series.extend(vector.into_iter().map(|one| ResultSeries {
                    labels: one.labels,
                    samples: vec![(one.timestamp, one.value)],
                }));
                Kind::Vector
            }
            Value::Matrix(matrix) => {
                series = matrix;
                Kind::Matrix
            }
        };
        Self {
            notes,
            text,
            ..Self::new(kind, series.into_iter().map(Row::of_promql).collect())
        }
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        self.rows.iter().map(|row| row.values.len()).sum()
    }
}
