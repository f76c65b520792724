//! Label names and label values of a selector, from the indexes, without reading samples.
//!
//! Input: a view and a selector. Output: sorted names or values. A block counts when its time range
//! meets the one asked for, a series of a head when one of its runs does: a name may be listed whose
//! samples lie just outside the range, none is left out. Series whose runs in the range are deleted
//! whole do not count.

use std::collections::BTreeSet;

use treering_index::{Postings, Selector};

use super::guard::Guard;
use super::hiding::Hiding;
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
    let hiding = Hiding::of(view, (first, last), guard)?;
    for (number, live) in view.blocks.iter().enumerate() {
        guard.check()?;
        let block = &live.block;
        if block.min_time() > last || block.max_time() < first {
            continue;
        }
        let within = hiding.shown_in_block(number, live, selector, guard)?;
        if within.as_ref().is_some_and(Postings::is_empty) {
            continue;
        }
        let more = match listing {
            Listing::Names => block.label_names(within.as_ref())?,
            Listing::Values(name) => block.label_values(name, within.as_ref())?,
        };
        add(&mut found, more, guard)?;
    }
    guard.check()?;
    let active = hiding.shown_in_heads(view, registry, selector, guard)?;
    if !active.is_empty() {
        let registry = registry.read();
        let index = registry.index();
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
