//! `info`: labels of info metrics put on other series.
//!
//! Input: a vector, and what to look for. Output: the vector with the labels of the info series
//! that are of the same instance and job. Invariant: labels that a series has are never changed;
//! where a label was asked for and no info series has it, the series is left out.

use std::collections::HashMap;

use treering::{Labels, MatchOp, Matcher, SampleColumns, is_stale};

use crate::error::{Error, Result};
use crate::eval::{Amount, Column, Grid, Moved, Row, Run, WORK_OF_LABELS, argument, metric_name};
use crate::syntax::{Call, Expr, ExprKind};

/// Labels that say of what a series tells.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What a call asks of info series.
struct Wanted {
    /// Conditions on the metric name of info series.
    names: Vec<Matcher>,
    /// Conditions on labels that are to be put on.
    data: Vec<Matcher>,
}

/// An info series, and when its current sample at each step was taken.
struct InfoRow {
    labels: Labels,
    times: Vec<Option<i64>>,
}

impl Run<'_> {
    pub(crate) fn info(&self, call: &Call, grid: &Grid) -> Result<Vec<Row>> {
        let arg = argument(call, 0)?;
        let rows = self.vector(arg, grid)?;
        let wanted = Wanted::of(call.args.get(1))?;
        let moves = self.moves(arg)?;
        let infos = self.info_rows(&wanted, &moves, grid)?;
        let mut by_identity: HashMap<Labels, Vec<&InfoRow>> = HashMap::new();
        for info in &infos {
            self.spend(WORK_OF_LABELS)?;
            let identity = info.labels.keep(&IDENTIFYING);
            by_identity.entry(identity).or_default().push(info);
        }
        let mut results = Vec::new();
        for row in rows {
            self.spend(WORK_OF_LABELS)?;
            if wanted.is_info(&row.labels) {
                results.push(row);
                continue;
            }
            let identity = row.labels.keep(&IDENTIFYING);
            let infos = match identity.is_empty() {
                true => None,
                false => by_identity.get(&identity),
            };
            let infos = infos.map(Vec::as_slice).unwrap_or_default();
            self.enrich(&row, infos, &wanted, &mut results)?;
        }
        self.merge_equal(results)
    }

    /// The info series that a call asks for.
    fn info_rows(&self, wanted: &Wanted, moves: &[Moved], grid: &Grid) -> Result<Vec<InfoRow>> {
        let moved = |time: i64| moves.iter().fold(time, |time, moved| moved.time(time));
        let lookback = self.lookback();
        let times: Vec<i64> = grid.times().map(moved).collect();
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
            return Ok(Vec::new());
        };
        let matchers = wanted.names.iter().chain(&wanted.data).cloned();
        let matchers: Vec<Matcher> = matchers.collect();
        let since = first.saturating_sub(lookback).saturating_add(1);
        self.each_series(&matchers, (since, last), |part, labels, columns| {
            part.spend(times.len())?;
            part.meter.hold(Amount {
                samples: times.len(),
                bytes: times.len() * size_of::<Option<i64>>(),
            })?;
            let sampled = times.iter().map(|&time| current(&columns, time, lookback));
            let sampled = sampled.collect::<Result<Vec<Option<i64>>>>()?;
            Ok(Some(InfoRow {
                labels: labels.clone(),
                times: sampled,
            }))
        })
    }

    /// How times move from a step to the samples of the first selector of an expression.
    fn moves(&self, expr: &Expr) -> Result<Vec<Moved>> {
        let (shift, inner) = match &expr.kind {
            ExprKind::Vector(selector) => (Some(&selector.shift), None),
            ExprKind::Matrix(matrix) => (Some(&matrix.selector.shift), None),
            ExprKind::Subquery(subquery) => (Some(&subquery.shift), Some(&*subquery.expr)),
            _ => (None, None),
        };
        let mut moves = match shift {
            Some(shift) => vec![self.moved(shift)?],
            None => Vec::new(),
        };
        let has_selector = |expr: &&Expr| selects(expr);
        let below = match inner {
            Some(inner) => Some(inner),
            None => expr.children().into_iter().find(has_selector),
        };
        if let Some(below) = below {
            moves.extend(self.moves(below)?);
        }
        Ok(moves)
    }
}

impl Wanted {
    fn of(arg: Option<&Expr>) -> Result<Self> {
        let matchers: &[Matcher] = match arg.map(|arg| &arg.unparen().kind) {
            Some(ExprKind::Vector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) = matchers
            .iter()
            .cloned()
            .partition(|matcher| matcher.name() == "__name__");
        if names.is_empty() {
            names.push(Matcher::equal("__name__", "target_info"));
        } else if names.iter().all(|matcher| matcher.op().is_negative()) {
            // What is only excluded is excluded from all info metrics.
            let infos = Matcher::new("__name__", MatchOp::Regex, ".+_info")
                .map_err(treering::Error::from)?;
            names.push(infos);
        }
        Ok(Self { names, data })
    }

    /// Whether a series is itself one of those that labels are taken from.
    fn is_info(&self, labels: &Labels) -> bool {
        let is_positive = |matcher: &Matcher| !matcher.op().is_negative();
        self.names.iter().any(is_positive)
            && self.names.iter().all(|matcher| matcher.matches(labels))
    }

    fn takes(&self, label: &str) -> bool {
        let is_known = ["__name__", IDENTIFYING[0], IDENTIFYING[1]].contains(&label);
        let is_asked = self.data.is_empty() || self.data.iter().any(|one| one.name() == label);
        !is_known && is_asked
    }
}

impl Run<'_> {
    /// Puts the labels of info series on a row; steps with other labels become other rows.
    fn enrich(
        &self,
        row: &Row,
        infos: &[&InfoRow],
        wanted: &Wanted,
        results: &mut Vec<Row>,
    ) -> Result<()> {
        let may_lack = wanted.data.iter().all(Matcher::matches_missing);
        let mut known: Vec<(Vec<usize>, usize)> = Vec::new();
        for at in (0..row.column.len()).filter(|&at| row.column.has(at)) {
            self.spend(1 + infos.len() + known.len())?;
            let current = current_infos(infos, at)?;
            if current.is_empty() && !may_lack {
                continue;
            }
            let place = match known.iter().find(|one| one.0 == current) {
                Some(&(_, place)) => place,
                None => {
                    let chosen = current.iter().filter_map(|&which| infos.get(which));
                    let labels = enriched(&row.labels, chosen.copied(), wanted)?;
                    let result = Row {
                        labels,
                        drop_name: row.drop_name,
                        column: Column::absent(row.column.len()),
                    };
                    self.meter.hold(result.amount())?;
                    results.push(result);
                    known.push((current, results.len() - 1));
                    results.len() - 1
                }
            };
            if let Some(result) = results.get_mut(place) {
                result.column.set(at, row.column.get(at));
            }
        }
        Ok(())
    }
}

/// The info series that hold at a step: of each metric the one with the latest sample.
fn current_infos(infos: &[&InfoRow], at: usize) -> Result<Vec<usize>> {
    let mut current: Vec<usize> = Vec::new();
    let time = |which: usize| infos.get(which).and_then(|info| *info.times.get(at)?);
    for (which, info) in infos.iter().enumerate() {
        let Some(sampled) = time(which) else {
            continue;
        };
        let name = metric_name(&info.labels);
        let of_name = |&&mut known: &&mut usize| {
            infos
                .get(known)
                .is_some_and(|known| metric_name(&known.labels) == name)
        };
        match current.iter_mut().find(of_name) {
            None => current.push(which),
            Some(known) => match time(*known) {
                Some(before) if before == sampled => {
                    return Error::execution(format!(
                        "found duplicate series for info metric {name}"
                    ));
                }
                Some(before) if before > sampled => {}
                _ => *known = which,
            },
        }
    }
    Ok(current)
}

fn enriched<'a>(
    base: &Labels,
    infos: impl Iterator<Item = &'a InfoRow>,
    wanted: &Wanted,
) -> Result<Labels> {
    let mut added: Vec<(&str, &str)> = Vec::new();
    for info in infos {
        for (name, value) in info.labels.iter() {
            if !wanted.takes(name) || base.get(name).is_some() {
                continue;
            }
            match added.iter().find(|pair| pair.0 == name) {
                Some(known) if known.1 != value => {
                    return Error::execution(format!("conflicting label: {name}"));
                }
                Some(_) => {}
                None => added.push((name, value)),
            }
        }
    }
    Labels::from_pairs(base.iter().chain(added))
        .map_err(|error| Error::Execution(error.to_string()))
}

/// When the current sample at a time was taken.
fn current(columns: &SampleColumns, time: i64, lookback: i64) -> Result<Option<i64>> {
    let after = columns.timestamps.partition_point(|&one| one <= time);
    let Some(place) = after.checked_sub(1) else {
        return Ok(None);
    };
    let sampled = columns.timestamps.get(place).copied();
    let is_near = |&sampled: &i64| sampled > time.saturating_sub(lookback);
    let Some(sampled) = sampled.filter(is_near) else {
        return Ok(None);
    };
    if columns.histograms.get(place).is_some_and(Option::is_some) {
        return Error::execution("this should be an info metric, with float samples");
    }
    let ended = columns
        .values
        .get(place)
        .is_none_or(|&value| is_stale(value));
    Ok((!ended).then_some(sampled))
}

fn selects(expr: &Expr) -> bool {
    match expr.kind {
        ExprKind::Vector(_) | ExprKind::Matrix(_) => true,
        _ => expr.children().into_iter().any(selects),
    }
}
