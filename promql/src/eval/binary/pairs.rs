//! Pairs: an operator between the series of two vectors that meet.
//!
//! Input: rows of both sides. Output: a row for each pair. Invariant: at each step at most one
//! series of the "one" side meets those of the "many" side, else there is an error. After
//! `VectorBinop` of Prometheus.

use std::collections::{HashMap, HashSet};

use treering::Labels;

use super::element::{arithmetic, combine};
use super::keeps_names;
use super::matching::Group;
use crate::error::{Error, Result};
use crate::eval::column::{ABSENT, Column, Point, Row, is_absent, quiet};
use crate::eval::grid::Grid;
use crate::eval::node::WORK_OF_LABELS;
use crate::eval::rows::without_metadata;
use crate::eval::run::Run;
use crate::syntax::{Binary, Cardinality, Span, VectorMatching};

/// Both sides, seen from the operator: `one` may have one series of a signature at a step.
struct Sides<'a> {
    binary: &'a Binary,
    matching: &'a VectorMatching,
    span: Span,
    many: &'a [Row],
    one: &'a [Row],
    /// Whether `many` is the right side.
    is_swapped: bool,
    /// What stands for a sample that `many` or `one` lacks.
    fill_many: Option<f64>,
    fill_one: Option<f64>,
}

impl Run<'_> {
    pub(super) fn match_vectors(
        &self,
        binary: &Binary,
        span: Span,
        lhs: Vec<Row>,
        rhs: Vec<Row>,
        grid: &Grid,
    ) -> Result<Vec<Row>> {
        let default = VectorMatching::default();
        let matching = binary.matching.as_ref().unwrap_or(&default);
        let is_swapped = matching.cardinality == Cardinality::OneToMany;
        let (left, right) = (matching.fill.left, matching.fill.right);
        let sides = match is_swapped {
            true => Sides {
                binary,
                matching,
                span,
                many: &rhs,
                one: &lhs,
                is_swapped,
                fill_many: right,
                fill_one: left,
            },
            false => Sides {
                binary,
                matching,
                span,
                many: &lhs,
                one: &rhs,
                is_swapped,
                fill_many: left,
                fill_one: right,
            },
        };
        let mut results = Vec::new();
        for group in self.groups(sides.many, sides.one, matching)? {
            self.match_group(&sides, &group, grid, &mut results)?;
        }
        self.merge_equal(results)
    }

    fn match_group(
        &self,
        sides: &Sides<'_>,
        group: &Group,
        grid: &Grid,
        results: &mut Vec<Row>,
    ) -> Result<()> {
        let count = grid.count();
        let filler = |fill: Option<f64>| {
            fill.map(|_| Row {
                labels: group.signature.clone(),
                drop_name: false,
                column: Column::absent(count),
            })
        };
        let (filler_many, filler_one) = (filler(sides.fill_many), filler(sides.fill_one));
        let many = picked(sides.many, &group.left);
        let one = picked(sides.one, &group.right);
        if (many.is_empty() && filler_many.is_none()) || (one.is_empty() && filler_one.is_none()) {
            return Ok(());
        }
        self.spend((many.len() + one.len()).saturating_mul(count))?;
        let mut produced = Produced::default();
        if let ([many], [one]) = (many.as_slice(), one.as_slice())
            && filler_many.is_none()
            && filler_one.is_none()
            && let Some(row) = fast_pair(sides, many, one)
        {
            if !row.column.is_empty() {
                self.meter.hold(row.amount())?;
                results.push(row);
            }
            return Ok(());
        }
        if let [one] = one.as_slice()
            && filler_many.is_none()
            && filler_one.is_none()
            && let Some(rows) = self.fast_group(sides, &many, one)?
        {
            results.extend(rows);
            return Ok(());
        }
        let which = self.which_one(sides, &one, &many, count)?;
        let mut matched = vec![false; count];
        for many in &many {
            self.spend(4 * count)?;
            for at in 0..count {
                let one = match (which.get(at).copied().flatten(), many.column.has(at)) {
                    (_, false) => continue,
                    (Some(place), true) => one.get(place).copied(),
                    (None, true) => filler_one.as_ref(),
                };
                let Some(one) = one else {
                    continue;
                };
                if let Some(matched) = matched.get_mut(at) {
                    *matched = true;
                }
                self.pair_at(sides, many, one, at, &mut produced)?;
            }
        }
        if let Some(many) = &filler_many {
            for at in 0..count {
                if let Some(place) = which.get(at).copied().flatten()
                    && !matched.get(at).copied().unwrap_or(true)
                    && let Some(&one) = one.get(place)
                {
                    self.pair_at(sides, many, one, at, &mut produced)?;
                }
            }
        }
        let rows = produced.rows.into_iter();
        results.extend(rows.filter(|row| !row.column.is_empty()));
        Ok(())
    }

    /// The operator between two rows at one step.
    fn pair_at(
        &self,
        sides: &Sides<'_>,
        many: &Row,
        one: &Row,
        at: usize,
        produced: &mut Produced,
    ) -> Result<()> {
        let value = |row: &Row, fill: Option<f64>| match (row.column.get(at), fill) {
            (Point::Absent, Some(fill)) => Point::Float(fill),
            (point, _) => point,
        };
        let of_many = value(many, sides.fill_many);
        let of_one = value(one, sides.fill_one);
        let (lhs, rhs) = match sides.is_swapped {
            true => (of_one, of_many),
            false => (of_many, of_one),
        };
        let (op, return_bool) = (sides.binary.op, sides.binary.return_bool);
        let element = combine(op, &lhs, &rhs);
        let point = self.point_of(op, element, lhs, return_bool, sides.span);
        if matches!(point, Point::Absent) {
            return Ok(());
        }
        // What a comparison leaves out meets nobody.
        let is_one_to_one = sides.matching.cardinality == Cardinality::OneToOne;
        if is_one_to_one && produced.is_second(at, many.column.len()) {
            return Error::execution(
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)",
            );
        }
        let row = produced.row(self, sides, many, one)?;
        if row.column.has(at) {
            return Error::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            );
        }
        row.column.set(at, point);
        Ok(())
    }
}

/// The rows that a group of equal signature gave so far.
#[derive(Default)]
struct Produced {
    rows: Vec<Row>,
    by_labels: HashMap<Labels, usize>,
    /// At which steps there is a result.
    given: Vec<bool>,
    /// The row of the last pair: steps of the same pair follow each other.
    last: Option<(Labels, Labels, usize)>,
}

impl Produced {
    /// Whether there was a result at this step already.
    fn is_second(&mut self, at: usize, count: usize) -> bool {
        self.given.resize(count, false);
        match self.given.get_mut(at) {
            Some(given) => std::mem::replace(given, true),
            None => false,
        }
    }

    fn row(&mut self, run: &Run<'_>, sides: &Sides<'_>, many: &Row, one: &Row) -> Result<&mut Row> {
        let place = match &self.last {
            Some((of_many, of_one, place)) if *of_many == many.labels && *of_one == one.labels => {
                *place
            }
            _ => {
                run.spend(WORK_OF_LABELS)?;
                let delays_names = run.delays_names();
                let labels = sides.result_labels(&many.labels, &one.labels, delays_names)?;
                let place = *self
                    .by_labels
                    .entry(labels.clone())
                    .or_insert(self.rows.len());
                if place == self.rows.len() {
                    let row = Row {
                        labels,
                        drop_name: sides.drops_name_later(many),
                        column: Column::absent(many.column.len()),
                    };
                    run.meter.hold(row.amount())?;
                    self.rows.push(row);
                }
                self.last = Some((many.labels.clone(), one.labels.clone(), place));
                place
            }
        };
        match self.rows.get_mut(place) {
            Some(row) => Ok(row),
            None => Error::execution("a matched series was lost"),
        }
    }
}

impl Run<'_> {
    /// Which row of the "one" side has a value, at each step. More than one is an error where any
    /// of the "many" side meets them.
    fn which_one(
        &self,
        sides: &Sides<'_>,
        one: &[&Row],
        many: &[&Row],
        count: usize,
    ) -> Result<Vec<Option<usize>>> {
        let mut which = vec![None; count];
        for (place, row) in one.iter().enumerate() {
            self.spend(count)?;
            for (at, which) in which.iter_mut().enumerate() {
                if !row.column.has(at) {
                    continue;
                }
                let before: Option<usize> = which.replace(place);
                let Some(known) = before.and_then(|known| one.get(known)) else {
                    continue;
                };
                self.spend(many.len())?;
                if sides.fill_many.is_some() || many.iter().any(|row| row.column.has(at)) {
                    return sides.duplicate(known, row);
                }
            }
        }
        Ok(which)
    }

    /// The whole columns of series that meet the same one, where `group_left` or `group_right` lets
    /// them, all are floats and no two results have the same labels.
    fn fast_group(&self, sides: &Sides<'_>, many: &[&Row], one: &Row) -> Result<Option<Vec<Row>>> {
        if sides.matching.cardinality == Cardinality::OneToOne {
            return Ok(None);
        }
        let before = self.meter.held();
        let mut rows: Vec<Row> = Vec::with_capacity(many.len());
        for many in many {
            self.spend(WORK_OF_LABELS)?;
            let Some(row) = fast_pair(sides, many, one) else {
                self.meter.release_to(before);
                return Ok(None);
            };
            self.meter.hold(row.amount())?;
            rows.push(row);
        }
        let mut seen = HashSet::with_capacity(rows.len());
        if !rows.iter().all(|row| seen.insert(&row.labels)) {
            self.meter.release_to(before);
            return Ok(None);
        }
        rows.retain(|row| !row.column.is_empty());
        Ok(Some(rows))
    }
}

impl Sides<'_> {
    fn duplicate<T>(&self, a: &Row, b: &Row) -> Result<T> {
        let side = match self.is_swapped {
            true => "left",
            false => "right",
        };
        let group = super::matching::signature(&a.labels, self.matching);
        let (first, second) = match a.labels <= b.labels {
            true => (&a.labels, &b.labels),
            false => (&b.labels, &a.labels),
        };
        let (group, first, second) = (listed(&group), listed(first), listed(second));
        Error::execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the \
             operation: [{first}, {second}];many-to-many matching not allowed: matching labels \
             must be unique on one side"
        ))
    }

    /// The labels of a result.
    fn result_labels(&self, many: &Labels, one: &Labels, delays_names: bool) -> Result<Labels> {
        let (op, matching) = (self.binary.op, self.matching);
        let drops_now = !keeps_names(op) || (self.binary.return_bool && !delays_names);
        let mut labels = match drops_now {
            true => without_metadata(many),
            false => many.clone(),
        };
        if matching.cardinality == Cardinality::OneToOne {
            labels = match matching.on {
                true => labels.keep(&matching.labels),
                false => labels.without(&matching.labels),
            };
        }
        for name in &matching.include {
            let value = one.get(name).unwrap_or_default();
            labels = crate::functions::with_label(&labels, name, value)?;
        }
        Ok(labels)
    }

    /// Whether the name of a result goes when the query ends.
    fn drops_name_later(&self, many: &Row) -> bool {
        self.binary.return_bool || (keeps_names(self.binary.op) && many.drop_name)
    }
}

fn picked<'a>(rows: &'a [Row], places: &[usize]) -> Vec<&'a Row> {
    places.iter().filter_map(|&place| rows.get(place)).collect()
}

/// The whole columns of the only two series of a signature at once, where both are floats.
fn fast_pair(sides: &Sides<'_>, many: &Row, one: &Row) -> Option<Row> {
    let function = arithmetic(sides.binary.op)?;
    if many.column.has_histograms() || one.column.has_histograms() {
        return None;
    }
    let both = many.column.floats().iter().zip(one.column.floats());
    let floats: Vec<f64> = both
        .map(|(&many, &one)| match is_absent(many) || is_absent(one) {
            true => ABSENT,
            false if sides.is_swapped => quiet(function(one, many)),
            false => quiet(function(many, one)),
        })
        .collect();
    let labels = sides.result_labels(&many.labels, &one.labels, false).ok()?;
    Some(Row {
        labels,
        drop_name: sides.drops_name_later(many),
        column: Column::of_floats(floats),
    })
}

/// Labels with the metric name among them, as Prometheus lists them in this error.
fn listed(labels: &Labels) -> String {
    let quote = |value: &str| crate::functions::go_quote(value.as_bytes());
    let pairs = labels.iter().map(|(name, value)| {
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match is_plain {
            true => format!("{name}={}", quote(value)),
            false => format!("{}={}", quote(name), quote(value)),
        }
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
