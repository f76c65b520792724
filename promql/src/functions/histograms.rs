//! The `histogram_` functions, of native and of classic histograms.
//!
//! Input: vectors of histograms, or of the buckets of classic ones. Output: counts, sums,
//! quantiles, fractions. Invariant: a classic histogram is the series that differ in `le` alone;
//! where it meets a native one, neither gives a result.

use std::collections::HashMap;

use treering::Labels;

use super::labels::{label_name, with_label};
use crate::annotation::Notice;
use crate::error::{Error, Result};
use crate::eval::{Column, Grid, Row, Run, WORK_OF_LABELS, argument, metric_name};
use crate::histogram::{
    ClassicBucket, Histogram, NanEffect, classic_fraction, classic_quantile, fraction, quantile,
    variance,
};
use crate::syntax::{Call, Expr, Span};

/// What is asked of each histogram.
enum Question {
    /// The quantiles of ranks that may differ from step to step, with the label of each.
    Quantiles(Vec<Ranks>),
    /// The fraction between two values that may differ from step to step.
    Fraction(Vec<f64>, Vec<f64>),
}

/// The rank at each step, and the label (name, value) that tells its result from others.
type Ranks = (Vec<f64>, Option<(String, String)>);

/// The histograms of the same labels, but `le`.
#[derive(Default)]
struct Family {
    labels: Labels,
    drop_name: bool,
    /// Upper bound and cumulative counts.
    buckets: Vec<(f64, Column)>,
    native: Option<Column>,
}

/// Families by their labels, in the order in which they came.
#[derive(Default)]
struct Families {
    places: HashMap<Labels, usize>,
    list: Vec<Family>,
}

impl Families {
    fn of(&mut self, labels: &Labels, drop_name: bool) -> Option<&mut Family> {
        let place = *self.places.entry(labels.clone()).or_insert(self.list.len());
        if place == self.list.len() {
            self.list.push(Family {
                labels: labels.clone(),
                drop_name,
                ..Family::default()
            });
        }
        self.list.get_mut(place)
    }
}

impl Run<'_> {
    pub(crate) fn histogram_call(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let number: fn(&Histogram) -> f64 = match call.function.name {
            "histogram_count" => |histogram| histogram.count,
            "histogram_sum" => |histogram| histogram.sum,
            "histogram_avg" => |histogram| histogram.sum / histogram.count,
            "histogram_stdvar" => variance,
            "histogram_stddev" => |histogram| variance(histogram).sqrt(),
            _ => return self.with_stats_only(false, || self.estimates(call, grid)),
        };
        let needs_buckets = call.function.name.starts_with("histogram_std");
        let arg = argument(call, 0)?;
        let rows = self.with_stats_only(!needs_buckets, || self.vector(arg, grid))?;
        let of_native = |row: Row| {
            self.spend(16 * grid.count())?;
            let mut column = Column::absent(grid.count());
            for at in 0..grid.count() {
                column.set_float(at, row.column.histogram(at).map(|one| number(one)));
            }
            Ok(Row { column, ..row })
        };
        let rows = rows.into_iter().filter(|row| row.column.has_histograms());
        let rows = rows.map(of_native).collect::<Result<Vec<Row>>>()?;
        let rows = rows.into_iter().filter(|row| !row.column.is_empty());
        self.forget_names(rows.collect())
    }

    fn estimates(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let (vector, question) = match call.function.name {
            "histogram_quantile" => {
                let ranks = self.ranks(argument(call, 0)?, grid)?;
                (argument(call, 1)?, Question::Quantiles(vec![(ranks, None)]))
            }
            "histogram_quantiles" => {
                let label = label_name(call, 1)?;
                let mut quantiles = Vec::new();
                for arg in call.args.iter().skip(2) {
                    let ranks = self.ranks(arg, grid)?;
                    let first = ranks.first().copied().unwrap_or(f64::NAN);
                    quantiles.push((ranks, Some((label.clone(), open_metrics_float(first)))));
                }
                (argument(call, 0)?, Question::Quantiles(quantiles))
            }
            "histogram_fraction" => {
                let lower = self.scalar(argument(call, 0)?, grid)?;
                let upper = self.scalar(argument(call, 1)?, grid)?;
                (argument(call, 2)?, Question::Fraction(lower, upper))
            }
            name => return Error::execution(format!("function {name} is not known")),
        };
        let rows = self.vector(vector, grid)?;
        let mut results = Vec::new();
        for family in self.families(rows, vector.span)? {
            self.answer(&family, &question, vector.span, grid, &mut results)?;
        }
        self.forget_names(self.merge_equal(results)?)
    }

    fn ranks(&self, arg: &Expr, grid: &Grid) -> Result<Vec<f64>> {
        let ranks = self.scalar(arg, grid)?;
        for &rank in &ranks {
            if !(0.0..=1.0).contains(&rank) {
                self.note(&Notice::InvalidQuantile(rank), arg.span);
            }
        }
        Ok(ranks)
    }

    /// Puts the buckets of classic histograms together, and beside the native ones of their labels.
    fn families(&self, rows: Vec<Row>, span: Span) -> Result<Vec<Family>> {
        let mut families = Families::default();
        for row in rows {
            self.spend(WORK_OF_LABELS)?;
            let has_floats = (0..row.column.len()).any(|at| row.column.float(at).is_some());
            let le = row.labels.get("le").unwrap_or_default();
            let bound = parse_bound(le);
            if has_floats && bound.is_none() {
                let metric = metric_name(&row.labels);
                self.note(&Notice::BadBucketLabel { value: le, metric }, span);
            }
            if row.column.has_histograms()
                && let Some(family) = families.of(&row.labels, row.drop_name)
            {
                family.native = Some(row.column.clone());
            }
            if let Some(bound) = bound.filter(|_| has_floats)
                && let Some(family) = families.of(&row.labels.without(&["le"]), row.drop_name)
            {
                family.buckets.push((bound, row.column));
            }
        }
        Ok(families.list)
    }

    fn answer(
        &self,
        family: &Family,
        question: &Question,
        span: Span,
        grid: &Grid,
        results: &mut Vec<Row>,
    ) -> Result<()> {
        let mut columns = match question {
            Question::Quantiles(ranks) => vec![Column::absent(grid.count()); ranks.len()],
            Question::Fraction(..) => vec![Column::absent(grid.count())],
        };
        let metric = metric_name(&family.labels);
        for at in 0..grid.count() {
            self.spend(4 * columns.len() * family.buckets.len().max(16))?;
            let native = family
                .native
                .as_ref()
                .and_then(|column| column.histogram(at));
            let buckets: Vec<ClassicBucket> = family.buckets_at(at);
            if native.is_some() && !buckets.is_empty() {
                self.note(&Notice::MixedClassicNative { metric }, span);
                continue;
            }
            if native.is_none() && buckets.is_empty() {
                continue;
            }
            for (which, column) in columns.iter_mut().enumerate() {
                let value = match (question, native) {
                    (Question::Quantiles(ranks), native) => {
                        let rank = ranks.get(which).and_then(|ranks| ranks.0.get(at));
                        let rank = rank.copied().unwrap_or(f64::NAN);
                        match native {
                            Some(native) => self.native_quantile(rank, native, metric, span),
                            None => self.classic_quantile(rank, &buckets, metric, span),
                        }
                    }
                    (Question::Fraction(lower, upper), native) => {
                        let bound = |bounds: &[f64]| bounds.get(at).copied().unwrap_or(f64::NAN);
                        let (lower, upper) = (bound(lower), bound(upper));
                        match native {
                            Some(native) => {
                                self.native_fraction(lower, upper, native, metric, span)
                            }
                            None => classic_fraction(lower, upper, &mut buckets.clone()),
                        }
                    }
                };
                column.set_float(at, Some(value));
            }
        }
        for (which, column) in columns.into_iter().enumerate() {
            if column.is_empty() {
                continue;
            }
            let labels = match question {
                Question::Quantiles(ranks) => match ranks.get(which) {
                    Some((_, Some((name, value)))) => with_label(&family.labels, name, value)?,
                    _ => family.labels.clone(),
                },
                Question::Fraction(..) => family.labels.clone(),
            };
            let row = Row {
                labels,
                drop_name: family.drop_name,
                column,
            };
            self.meter.hold(row.amount())?;
            results.push(row);
        }
        Ok(())
    }

    fn native_quantile(&self, rank: f64, native: &Histogram, metric: &str, span: Span) -> f64 {
        let (value, effect) = quantile(rank, native);
        match effect {
            NanEffect::None => {}
            NanEffect::Skewed => self.note(&Notice::QuantileSkewed { metric }, span),
            NanEffect::IsNan => self.note(&Notice::QuantileNan { metric }, span),
        }
        value
    }

    fn native_fraction(
        &self,
        lower: f64,
        upper: f64,
        native: &Histogram,
        metric: &str,
        span: Span,
    ) -> f64 {
        let (value, has_nan) = fraction(lower, upper, native);
        if has_nan {
            self.note(&Notice::FractionNan { metric }, span);
        }
        value
    }

    fn classic_quantile(
        &self,
        rank: f64,
        buckets: &[ClassicBucket],
        metric: &str,
        span: Span,
    ) -> f64 {
        let (value, repair) = classic_quantile(rank, &mut buckets.to_vec());
        if repair.is_forced {
            let notice = Notice::ForcedMonotonic {
                metric,
                first: repair.first,
                last: repair.last,
                largest: repair.largest,
            };
            self.note(&notice, span);
        }
        value
    }
}

impl Family {
    fn buckets_at(&self, at: usize) -> Vec<ClassicBucket> {
        let bucket = |(upper, column): &(f64, Column)| {
            let count = column.float(at)?;
            Some(ClassicBucket {
                upper: *upper,
                count,
            })
        };
        self.buckets.iter().filter_map(bucket).collect()
    }
}

/// The number of an `le` label.
fn parse_bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    // NaN is a bound, above all others, and has no sign.
    Some(bound).filter(|bound| !bound.is_nan() || text.eq_ignore_ascii_case("nan"))
}

/// A number as labels of OpenMetrics have it: whole ones with `.0`.
fn open_metrics_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = crate::histogram::go_float(number);
    match text.contains(['.', 'e']) {
        true => text,
        false => format!("{text}.0"),
    }
}
