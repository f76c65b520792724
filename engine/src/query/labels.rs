//! Label names and label values of a selector, from the indexes, without reading samples.
//!
//! Input: a view and a selector. Output: sorted names or values. A block counts when its time range
//! meets the one asked for, a series of a head when one of its runs does: a name may be listed whose
//! samples lie just outside the range, none is left out.

use std::collections::BTreeSet;

use treering_index::{Postings, Selector};

use super::guard::Guard;
use crate::error::Result;
use crate::registry::Registry;
use crate::sync::RwLock;
use crate::view::View;

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listing<'a> {
    /// The names of all labels.
    Names,
    /// The values of this label.
    Values(&'a str),
}

/// The sorted names or values of the series of `selector` in `first..=last`.
pub(crate) fn list(
    view: &View,
    registry: &RwLock<Registry>,
    selector: &Selector,
    (first, last): (i64, i64),
    listing: Listing<'_>,
    guard: &Guard,
) -> Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for block in &view.blocks {
        guard.check()?;
        if block.min_time() > last || block.max_time() < first {
            continue;
        }
        let within = match selector.matchers() {
            [] => None,
            matchers => Some(block.select(matchers)?),
        };
        let more = match listing {
            Listing::Names => block.label_names(within.as_ref())?,
            Listing::Values(name) => block.label_values(name, within.as_ref())?,
        };
        add(&mut found, more, guard)?;
    }
    guard.check()?;
    let mut active: Vec<u32> = view
        .heads()
        .flat_map(|head| head.active(first, last))
        .collect();
    if !active.is_empty() {
        active.sort_unstable();
        active.dedup();
        let registry = registry.read();
        let index = registry.index();
        if !selector.matchers().is_empty() {
            let selected = index.select(selector.matchers());
            active.retain(|&id| selected.contains(id));
        }
        // All series at once needs no set of them.
        let within = (active.len() < registry.len()).then(|| Postings::from_ids(active));
        let more = match listing {
            Listing::Names => index.label_names(within.as_ref()),
            Listing::Values(name) => index.label_values(name, within.as_ref()),
        };
        add(&mut found, more, guard)?;
    }
    Ok(found.into_iter().collect())
}

/// Adds those of `more` that are new, once the guard has counted them.
fn add(found: &mut BTreeSet<String>, more: Vec<String>, guard: &Guard) -> Result<()> {
    for text in more {
        if !found.contains(&text) {
            guard.bytes((text.len() + size_of::<String>()) as u64)?;
            found.insert(text);
        }
    }
    Ok(())
}
