//! How the live blocks may lie beside each other.
//!
//! Input: the state of the manifest. Output: blocks that break a rule of it: of two that hold
//! samples of the same time, one must come wholly after the other in the order of all change, for
//! otherwise nobody could say which of two samples is the newer one.

use crate::flush::{self, block_path};
use crate::manifest::format::{BlockEntry, State};
use crate::shared::Core;
use crate::verify::VerifyReport;

/// Checks each block by itself, and each pair of blocks that overlap in time.
pub(super) fn verify(core: &Core, state: &State, report: &mut VerifyReport) {
    let dir = core.dir.join(flush::DIR);
    for entry in state.blocks.values() {
        let mut wrong = |what: &str| report.problem(block_path(&dir, entry.id), None, what);
        if entry.id >= state.next_block {
            wrong("its number was never given out");
        }
        if entry.max_sequence > state.flushed_through {
            wrong("it holds changes that the WAL still holds");
        }
        if !state.namespaces.contains_key(&entry.namespace) {
            wrong("its namespace is not there");
        }
    }
    let mut blocks: Vec<&BlockEntry> = state.blocks.values().collect();
    blocks.sort_by_key(|entry| (entry.namespace, entry.min_time));
    // Those that may overlap what follows.
    let mut open: Vec<&BlockEntry> = Vec::new();
    for block in blocks {
        open.retain(|o| o.namespace == block.namespace && o.max_time >= block.min_time);
        for other in &open {
            let disjoint =
                other.max_sequence < block.min_sequence || block.max_sequence < other.min_sequence;
            if !disjoint {
                let what = format!(
                    "it overlaps block {} in time, and in the order of change too",
                    other.id
                );
                report.problem(block_path(&dir, block.id), None, what);
            }
        }
        open.push(block);
    }
}
