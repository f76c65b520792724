//! Group: which series are aggregated together.
//!
//! Input: rows, and the labels of `by` or `without`. Output: groups of rows. Invariant: groups come
//! in the order of their first member, members in the order of rows.

use std::collections::HashMap;

use treering::Labels;

use crate::error::Result;
use crate::eval::column::Row;
use crate::eval::node::WORK_OF_LABELS;
use crate::eval::rows::METADATA_LABELS;
use crate::eval::run::Run;
use crate::syntax::Aggregate;

/// Rows that are aggregated together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) labels: Labels,
    /// Whether the name of every member is to be dropped when the query ends.
    pub(super) drop_name: bool,
    pub(super) members: Vec<usize>,
}

impl Run<'_> {
    /// The groups of an aggregation.
    pub(super) fn groups_of(&self, rows: &[Row], aggregate: &Aggregate) -> Result<Vec<Group>> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            self.spend(WORK_OF_LABELS)?;
            let labels = labels_of(&row.labels, aggregate);
            let place = match places.get(&labels) {
                Some(&place) => place,
                None => {
                    groups.push(Group {
                        labels: labels.clone(),
                        drop_name: row.drop_name,
                        members: Vec::new(),
                    });
                    places.insert(labels, groups.len() - 1);
                    groups.len() - 1
                }
            };
            if let Some(group) = groups.get_mut(place) {
                group.drop_name &= row.drop_name;
                group.members.push(at);
            }
        }
        Ok(groups)
    }
}

fn labels_of(labels: &Labels, aggregate: &Aggregate) -> Labels {
    if !aggregate.without {
        return match aggregate.grouping.is_empty() {
            true => Labels::empty(),
            false => labels.keep(&aggregate.grouping),
        };
    }
    let names = aggregate.grouping.iter().map(String::as_str);
    labels.without(&names.chain(METADATA_LABELS).collect::<Vec<&str>>())
}
