//! Evaluation: from a syntax tree to an answer.
//!
//! Input: an expression, a source, a time or a range of times. Output: an [`Answer`]. Invariant:
//! each node is evaluated once for all times, column by column; an instant query is a range of one
//! step.

mod aggregate;
mod binary;
mod call;
mod column;
mod grid;
mod invariant;
mod matrix;
mod node;
mod rows;
mod run;
mod samples;
mod select;

use treering::Source;

pub(crate) use self::call::argument;
pub(crate) use self::column::{Column, Point, Row, is_absent, quiet};
pub(crate) use self::grid::{Grid, seconds};
pub(crate) use self::matrix::Frame;
pub(crate) use self::rows::{merge_equal, metric_name};
pub(crate) use self::run::{Moved, Run};
pub(crate) use self::samples::{SampleRow, Slide, Window};
pub(crate) use self::select::histogram_between;

use self::node::Outcome;
use self::rows::drop_names;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::syntax::{Expr, ExprKind, ValueType};
use crate::value::{Answer, ResultSeries, SampleValue, Value, VectorSample};

/// Evaluates queries over a source.
#[derive(Debug, Clone)]
pub struct Evaluator<'a> {
    source: &'a dyn Source,
    options: Options,
}

impl<'a> Evaluator<'a> {
    /// An evaluator with the default options.
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            options: Options::default(),
        }
    }

    /// Replaces the options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The value of an expression at one time, in nanoseconds since the Unix epoch.
    pub fn instant(&self, expr: &Expr, time: i64) -> Result<Answer> {
        let grid = Grid::instant(time);
        let run = Run::new(self.source, &self.options, grid);
        let value = match expr.value_type() {
            ValueType::Matrix => Value::Matrix(window_of(&run, expr, &grid)?),
            _ => match run.evaluate(expr, &grid)? {
                Outcome::Scalar(numbers) => {
                    Value::Scalar(time, numbers.first().copied().unwrap_or(f64::NAN))
                }
                Outcome::Text(bytes) => {
                    Value::String(time, String::from_utf8_lossy(&bytes).into_owned())
                }
                Outcome::Vector(rows) => Value::Vector(instant_vector(drop_names(rows)?, time)),
            },
        };
        Ok(answer(run, value))
    }

    /// The values of an expression at `start`, `start + step` and so on up to `end`, in
    /// nanoseconds; the step is above zero.
    pub fn range(&self, expr: &Expr, start: i64, end: i64, step: i64) -> Result<Answer> {
        if step <= 0 {
            return Error::execution(
                "zero or negative query resolution step widths are not accepted. Try a positive \
                 integer",
            );
        }
        if end < start {
            return Error::execution("end timestamp must not be before start time");
        }
        if matches!(expr.value_type(), ValueType::Matrix | ValueType::String) {
            let found = expr.value_type();
            return Error::execution(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                found.as_str()
            ));
        }
        let grid = Grid::range(start, end, step);
        let run = Run::new(self.source, &self.options, grid);
        run.check_grid(&grid)?;
        let mut series = match run.evaluate(expr, &grid)? {
            Outcome::Scalar(numbers) => vec![ResultSeries {
                labels: treering::Labels::empty(),
                samples: grid
                    .times()
                    .zip(numbers.into_iter().map(SampleValue::Float))
                    .collect(),
            }],
            Outcome::Vector(rows) => {
                let rows = drop_names(rows)?;
                rows.iter().map(|row| result_series(row, &grid)).collect()
            }
            Outcome::Text(_) => Vec::new(),
        };
        series.retain(|series| !series.samples.is_empty());
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(answer(run, Value::Matrix(series)))
    }
}

fn answer(run: Run<'_>, value: Value) -> Answer {
    let (annotations, stats) = run.finish();
    Answer {
        value,
        annotations,
        stats,
    }
}

fn instant_vector(rows: Vec<Row>, timestamp: i64) -> Vec<VectorSample> {
    let sample = |row: Row| {
        Some(VectorSample {
            value: sample_value(row.column.get(0))?,
            labels: row.labels,
            timestamp,
        })
    };
    rows.into_iter().filter_map(sample).collect()
}

fn result_series(row: &Row, grid: &Grid) -> ResultSeries {
    let samples = grid.times().enumerate();
    ResultSeries {
        labels: row.labels.clone(),
        samples: samples
            .filter_map(|(at, time)| Some((time, sample_value(row.column.get(at))?)))
            .collect(),
    }
}

/// The samples of a range vector at one time.
fn window_of(run: &Run<'_>, expr: &Expr, grid: &Grid) -> Result<Vec<ResultSeries>> {
    let mut inner = expr;
    while let ExprKind::Paren(next) = &inner.kind {
        inner = next;
    }
    let frame = run.frame(inner)?;
    let (start, end) = frame.window(grid.start());
    let mut series = Vec::new();
    run.each_matrix_row(inner, &frame, grid, |row| {
        let (from, to) = Slide::default().to(&row.samples.timestamps, start, end);
        let sample = |at: usize| {
            let time = row.samples.timestamps.get(at)?;
            Some((*time, sample_value(row.samples.point(at))?))
        };
        let samples: Vec<(i64, SampleValue)> = (from..to).filter_map(sample).collect();
        run.hold(row.samples.weight())?;
        if !samples.is_empty() {
            let labels = match row.drop_name {
                true => rows::without_metadata(&row.labels),
                false => row.labels.clone(),
            };
            series.push(ResultSeries { labels, samples });
        }
        Ok(())
    })?;
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(series)
}

fn sample_value(point: Point) -> Option<SampleValue> {
    match point {
        Point::Absent => None,
        Point::Float(float) => Some(SampleValue::Float(float)),
        Point::Histogram(histogram) => Some(SampleValue::Histogram(histogram)),
    }
}
