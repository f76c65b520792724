//! Set operators: `and`, `or`, `unless`.
//!
//! Input: rows of both sides. Output: rows of both, unchanged where they stay. Invariant: whether a
//! sample stays depends only on whether the other side has one of the same signature at that step.

use super::matching::Group;
use crate::error::Result;
use crate::eval::column::{Column, Point, Row};
use crate::eval::grid::Grid;
use crate::eval::run::Run;
use crate::syntax::{BinaryOp, VectorMatching};

impl Run<'_> {
    /// Combines two vectors.
    pub(super) fn combine_sets(
        &self,
        op: BinaryOp,
        mut left: Vec<Row>,
        mut right: Vec<Row>,
        matching: &VectorMatching,
        grid: &Grid,
    ) -> Result<Vec<Row>> {
        let count = grid.count();
        for group in self.groups(&left, &right, matching)? {
            let Group {
                left: of_left,
                right: of_right,
                ..
            } = group;
            self.spend((of_left.len() + of_right.len()).saturating_mul(count))?;
            match op {
                BinaryOp::Or => {
                    let taken = presence(&left, &of_left, count);
                    keep(&mut right, &of_right, &taken, false);
                }
                _ => {
                    let there = presence(&right, &of_right, count);
                    keep(&mut left, &of_left, &there, op == BinaryOp::And);
                }
            }
        }
        let mut result = left;
        if op == BinaryOp::Or {
            result.append(&mut right);
        }
        result.retain(|row| !row.column.is_empty());
        if op != BinaryOp::Or {
            return Ok(result);
        }
        // A series may come from the left at one step and from the right at another. Whether its name
        // goes in the end is part of which series it is.
        let (unnamed, mut named): (Vec<Row>, Vec<Row>) =
            result.into_iter().partition(|row| row.drop_name);
        if !unnamed.is_empty() {
            let unnamed = self.merge_equal(unnamed)?;
            named = self.merge_equal(named)?;
            named.extend(unnamed);
            return Ok(named);
        }
        self.merge_equal(named)
    }
}

/// Whether any of the rows has a value, at each step.
fn presence(rows: &[Row], places: &[usize], count: usize) -> Vec<bool> {
    let mut there = vec![false; count];
    for row in places.iter().filter_map(|&place| rows.get(place)) {
        for (at, there) in there.iter_mut().enumerate() {
            *there |= row.column.has(at);
        }
    }
    there
}

/// Keeps the values of rows at the steps where `there` is `wanted`.
fn keep(rows: &mut [Row], places: &[usize], there: &[bool], wanted: bool) {
    for &place in places {
        let Some(row) = rows.get_mut(place) else {
            continue;
        };
        if there.iter().all(|&there| there != wanted) {
            row.column = Column::absent(row.column.len());
            continue;
        }
        for (at, &there) in there.iter().enumerate() {
            if there != wanted {
                row.column.set(at, Point::Absent);
            }
        }
    }
}
