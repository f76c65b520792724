//! Matching: which series of two vectors meet.
//!
//! Input: rows of both sides, and what they are matched by. Output: rows of equal signature
//! together. Invariant: signatures are made once for each series, not for each step; the order of
//! rows is kept.

use std::collections::HashMap;

use treering::Labels;

use crate::error::Result;
use crate::eval::column::Row;
use crate::eval::node::WORK_OF_LABELS;
use crate::eval::run::Run;
use crate::syntax::VectorMatching;

/// The rows of both sides that have one signature.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The labels that they are matched by.
    pub(super) signature: Labels,
    /// Places of rows on the left side.
    pub(super) left: Vec<usize>,
    /// Places of rows on the right side.
    pub(super) right: Vec<usize>,
}

/// The labels that a series is matched by.
pub(super) fn signature(labels: &Labels, matching: &VectorMatching) -> Labels {
    match matching.on {
        true => labels.keep(&matching.labels),
        false => {
            let ignored = matching.labels.iter().map(String::as_str);
            labels.without(&ignored.chain(["__name__"]).collect::<Vec<&str>>())
        }
    }
}

impl Run<'_> {
    /// Rows of both sides by their signature, in the order in which signatures first come.
    pub(super) fn groups(
        &self,
        left: &[Row],
        right: &[Row],
        matching: &VectorMatching,
    ) -> Result<Vec<Group>> {
        let mut places: HashMap<Labels, usize> = HashMap::with_capacity(left.len());
        let mut groups: Vec<Group> = Vec::with_capacity(left.len());
        let sides = [(left, false), (right, true)];
        for (rows, is_right) in sides {
            for (at, row) in rows.iter().enumerate() {
                self.spend(WORK_OF_LABELS)?;
                let signature = signature(&row.labels, matching);
                let place = *places.entry(signature.clone()).or_insert(groups.len());
                if place == groups.len() {
                    groups.push(Group {
                        signature,
                        ..Group::default()
                    });
                }
                if let Some(group) = groups.get_mut(place) {
                    match is_right {
                        true => group.right.push(at),
                        false => group.left.push(at),
                    }
                }
            }
        }
        Ok(groups)
    }
}
