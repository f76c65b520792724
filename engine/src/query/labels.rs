//! Label names and label values of a selector, from the indexes, without reading samples.
//!
//! Input: a view and a selector. Output: sorted names or values. A block counts when its time range
//! meets the one asked for, a series of a head when one of its runs does: a name may be listed whose
//! samples lie just outside the range, none is left out. Series whose runs in the range are deleted
//! whole do not count.

use std::collections::VecDeque;

use treering_index::{Postings, Selector};

use super::guard::Guard;
use super::hiding::{CHECK_EVERY, Hiding};
use crate::block::BlockIndex;
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
    let (mut found, mut listed) = (Vec::new(), Listed::default());
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
            Listing::Values(name) => {
                let index = block.index()?;
                if within.is_none() && listed.knows(&index, name)? {
                    continue;
                }
                let values = index.label_values(name, within.as_ref())?;
                if within.is_none() {
                    listed.add(index);
                }
                values
            }
        };
        merge(&mut found, more, guard)?;
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
        merge(&mut found, more, guard)?;
    }
    Ok(found)
}

/// Indexes of the blocks of which all values were listed, the last ones: blocks that follow each
/// other often have the same.
#[derive(Debug, Default)]
struct Listed<'a> {
    indexes: VecDeque<BlockIndex<'a>>,
}

impl<'a> Listed<'a> {
    /// Most indexes that another one is compared with.
    const MOST: usize = 4;

    fn add(&mut self, index: BlockIndex<'a>) {
        self.indexes.truncate(Self::MOST - 1);
        self.indexes.push_front(index);
    }

    /// Whether one of them has the same values of the label `name`.
    fn knows(&self, index: &BlockIndex<'_>, name: &str) -> Result<bool> {
        for listed in &self.indexes {
            if index.has_values_of(listed, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Adds to `found` those of `more` that are new, once the guard has counted them; both are sorted
/// and have each text once.
fn merge(found: &mut Vec<String>, more: Vec<String>, guard: &Guard) -> Result<()> {
    let size = |text: &String| (text.len() + size_of::<String>()) as u64;
    if found.is_empty() {
        guard.check()?;
        guard.bytes(more.iter().map(size).sum())?;
        *found = more;
        return Ok(());
    }
    let mut held = std::mem::take(found).into_iter().peekable();
    found.reserve(held.len().max(more.len()));
    let mut bytes = 0;
    for (number, text) in more.into_iter().enumerate() {
        while let Some(before) = held.next_if(|before| *before < text) {
            found.push(before);
        }
        if held.peek() != Some(&text) {
            bytes += size(&text);
            found.push(text);
        }
        if number % CHECK_EVERY == 0 {
            guard.check()?;
            guard.bytes(std::mem::take(&mut bytes))?;
        }
    }
    guard.bytes(bytes)?;
    found.extend(held);
    Ok(())
}
