//! Evaluation: from a syntax tree to an answer.
//!
//! Input: an expression, a source, a time or a range of times. Output: an [`Answer`]. Invariant:
//! each node is evaluated once for all times, column by column; an instant query is a range of one
//! step.

mod aggregate;
mod binary;
mod call;
mod column;
mod edges;
mod explain;
mod grid;
mod invariant;
mod matrix;
mod meter;
mod node;
mod part;
mod rows;
mod run;
mod samples;
mod select;

use treering::Source;

pub(crate) use self::call::argument;
pub(crate) use self::column::{ABSENT, Column, Point, Row, is_absent, label_bytes, quiet};
pub(crate) use self::edges::{Edges, Reach};
pub(crate) use self::grid::{Grid, seconds};
pub(crate) use self::matrix::Frame;
pub(crate) use self::meter::Amount;
pub(crate) use self::node::WORK_OF_LABELS;
pub(crate) use self::part::{Notes, Part};
pub(crate) use self::rows::metric_name;
pub(crate) use self::run::{Moved, Run};
pub(crate) use self::samples::{SampleRow, Slide, Window};
pub(crate) use self::select::histogram_between;

use self::node::Outcome;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::plan::Plan;
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
                Outcome::Vector(rows) => Value::Vector(instant_vector(run.drop_names(rows)?, time)),
            },
        };
        Ok(answer(run, value))
    }

    /// How an expression would be answered at `start`, `start + step` and so on up to `end`, in
    /// nanoseconds, or at one time where `start` is `end`: which series and chunks each selector
    /// would read, and which parts the source would answer from summaries. No sample is read.
    ///
    /// ```
    /// use treering::{Batch, Db, labels};
    /// use treering_promql::{Evaluator, Features, parse};
    /// const SECOND: i64 = 1_000_000_000;
    /// let db = Db::in_memory()?;
    /// for job in ["api", "web"] {
    ///     let series = labels! { "__name__" => "requests_total", "job" => job };
    ///     db.append(&Batch::new().column(series, &[SECOND, 60 * SECOND], &[1.0, 7.0]))?;
    /// }
    /// let rate = parse("sum by (job) (rate(requests_total[2m]))", &Features::default())?;
    /// let plan = Evaluator::new(&db).explain(&rate, 0, 600 * SECOND, 60 * SECOND)?;
    /// let text = plan.to_string();
    /// let lines: Vec<&str> = text.lines().collect();
    /// assert_eq!(lines[0], "sum by (job): columns of 11 steps");
    /// assert_eq!(lines[1], "  rate: from one window to the next");
    /// assert!(lines[2].starts_with("    requests_total[2m]: samples of the windows"));
    /// assert_eq!((plan.total().series, plan.total().samples), (2, 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&self, expr: &Expr, start: i64, end: i64, step: i64) -> Result<Plan> {
        let grid = match start == end {
            true => Grid::instant(start),
            false => grid_of(expr, start, end, step)?,
        };
        let run = Run::new(self.source, &self.options, grid);
        run.check_grid(&grid)?;
        run.explain(expr, &grid)
    }

    /// The values of an expression at `start`, `start + step` and so on up to `end`, in
    /// nanoseconds; the step is above zero.
    pub fn range(&self, expr: &Expr, start: i64, end: i64, step: i64) -> Result<Answer> {
        let grid = grid_of(expr, start, end, step)?;
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
                let rows = run.drop_names(rows)?.into_iter();
                let series = rows.map(|row| result_series(&run, row, &grid));
                series.collect::<Result<Vec<ResultSeries>>>()?
            }
            Outcome::Text(_) => Vec::new(),
        };
        series.retain(|series| !series.samples.is_empty());
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(answer(run, Value::Matrix(series)))
    }
}

/// The times of a range query.
fn grid_of(expr: &Expr, start: i64, end: i64, step: i64) -> Result<Grid> {
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
    Ok(Grid::range(start, end, step))
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

/// A row as it is handed out; it takes the place of the column.
fn result_series(run: &Run<'_>, row: Row, grid: &Grid) -> Result<ResultSeries> {
    run.spend(grid.count())?;
    let there = (0..grid.count()).filter(|&at| row.column.has(at)).count();
    let mut samples = Vec::with_capacity(there);
    for (at, time) in grid.times().enumerate() {
        match row.column.float(at) {
            Some(float) => samples.push((time, SampleValue::Float(float))),
            None => samples.extend(sample_value(row.column.get(at)).map(|value| (time, value))),
        }
    }
    run.meter.release(row.column.amount());
    run.meter.hold(Amount {
        samples: there,
        bytes: there * size_of::<(i64, SampleValue)>(),
    })?;
    Ok(ResultSeries {
        labels: row.labels,
        samples,
    })
}

/// The samples of a range vector at one time.
fn window_of(run: &Run<'_>, expr: &Expr, grid: &Grid) -> Result<Vec<ResultSeries>> {
    let mut inner = expr;
    while let ExprKind::Paren(next) = &inner.kind {
        inner = next;
    }
    let frame = run.frame(inner)?;
    let (start, end) = frame.window(grid.start());
    let parts = run.fold_matrix(inner, &frame, grid, Vec::new, |part, series, row| {
        let (from, to) = Slide::default().to(&row.samples.timestamps, start, end);
        part.meter.hold(Amount {
            samples: to - from,
            bytes: (to - from) * size_of::<(i64, SampleValue)>(),
        })?;
        let sample = |at: usize| {
            let time = row.samples.timestamps.get(at)?;
            Some((*time, sample_value(row.samples.point(at))?))
        };
        let samples: Vec<(i64, SampleValue)> = (from..to).filter_map(sample).collect();
        if !samples.is_empty() {
            let labels = match row.drop_name {
                true => rows::without_metadata(&row.labels),
                false => row.labels.clone(),
            };
            series.push(ResultSeries { labels, samples });
        }
        Ok(())
    })?;
    let mut series: Vec<ResultSeries> = parts.into_iter().flatten().collect();
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
