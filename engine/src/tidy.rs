//! Taking away: expired blocks, deleted blocks, tombstones that hide nothing any more, series that
//! nobody asks for, dropped namespaces.
//!
//! Whole blocks go by one record of the manifest, so all of this works on a full disk. Invariant:
//! what goes never uncovers something older.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use treering_index::Selector;

use crate::admin;
use crate::block::Block;
use crate::compact;
use crate::error::Result;
use crate::manifest::format::{Edit, State};
use crate::shared::Shared;
use crate::space::Space;
use crate::stats::Counters;
use crate::tombstone::Tombstone;
use crate::view::LiveBlock;
use crate::wal::change::NamespaceChange;

/// Drops what is older than the retention of each namespace, or more than it may hold.
/// One that fails does not hold up the others; the first error is returned.
pub(crate) fn expire(shared: &Shared) -> Result<()> {
    let expire = |space: &Arc<Space>| {
        let expired = expire_by_age(shared, space).and_then(|()| expire_by_size(shared, space));
        // Somebody may drop a namespace at any moment.
        expired.or_else(|error| {
            if space.is_dropped() {
                Ok(())
            } else {
                Err(error)
            }
        })
    };
    let spaces = shared.spaces.all();
    // All of them, whatever becomes of one: the first error is told.
    let outcomes: Vec<Result<()>> = spaces.iter().map(expire).collect();
    outcomes.into_iter().collect()
}

fn expire_by_age(shared: &Shared, space: &Arc<Space>) -> Result<()> {
    let horizon = space.horizon(shared.now());
    if horizon == i64::MIN {
        return Ok(());
    }
    let view = space.view.get();
    let ids = compact::over_age(&view, horizon - 1);
    let old = |live: &&LiveBlock| ids.contains(&live.block.id());
    let (gone, kept): (Vec<_>, Vec<_>) = view.blocks.iter().partition(old);
    let uncovers = |kept: &Block| {
        gone.iter().any(|gone| {
            let gone = &gone.block;
            kept.min_time() <= gone.max_time() && kept.min_sequence() < gone.max_sequence()
        })
    };
    if kept.iter().any(|live| uncovers(&live.block)) {
        // Were the retention made longer, older samples would come out from under newer ones.
        let through = gone.iter().map(|live| live.block.max_time()).max();
        let through = through.unwrap_or(i64::MIN);
        admin::delete(shared, space, &Selector::all(), (i64::MIN, through))?;
    }
    drop_blocks(shared, space, &ids)
}

fn expire_by_size(shared: &Shared, space: &Arc<Space>) -> Result<()> {
    let Some(most) = space.options().retention_bytes else {
        return Ok(());
    };
    match compact::too_old(&space.view.get(), most) {
        Some(through) => admin::delete(shared, space, &Selector::all(), (i64::MIN, through)),
        None => Ok(()),
    }
}

/// Drops the blocks of which `tombstone` leaves nothing.
pub(crate) fn drop_covered(
    shared: &Shared,
    space: &Arc<Space>,
    tombstone: &Tombstone,
) -> Result<()> {
    let mut covered = Vec::new();
    for live in &space.view.get().blocks {
        let block = &live.block;
        let inside = tombstone.first <= block.min_time() && block.max_time() <= tombstone.last;
        if !inside || tombstone.sequence <= live.purged {
            continue;
        }
        let all = tombstone.selector.matchers().is_empty()
            || block.select(tombstone.selector.matchers())?.len() as u64 == block.info().series;
        if all {
            covered.push(block.id());
        }
    }
    if !covered.is_empty() {
        // Makes the delete durable first: without it, older blocks below these would be seen again.
        shared.sync()?;
    }
    drop_blocks(shared, space, &covered)
}

/// Takes blocks away by one record of the manifest; their files go with the last view of them.
fn drop_blocks(shared: &Shared, space: &Space, ids: &[u64]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut manifest = shared.manifest.lock();
    let mut edit = manifest.edit();
    let live = |id: &&u64| manifest.state().blocks.contains_key(id);
    edit.remove = ids.iter().filter(live).copied().collect();
    if edit.remove.is_empty() {
        return Ok(());
    }
    let unneeded = drop_tombstones(manifest.state(), &mut edit);
    let committed = manifest.commit(&edit, &shared.reserve);
    committed.map_err(|failure| failure.report(&shared.poison))?;
    let gone = space.view.replace(&edit.remove, Vec::new());
    drop(manifest);
    forget_tombstones(shared, &unneeded);
    gone.iter().for_each(|block| block.doom());
    shared.reserve.fill();
    Counters::add(&shared.counters.blocks_dropped, gone.len() as u64);
    tracing::info!(
        namespace = space.name,
        blocks = gone.len(),
        "blocks dropped"
    );
    Ok(())
}

/// Leaves the tombstones that hide nothing after `edit` out of it, or has it forget them; their
/// sequences.
pub(crate) fn drop_tombstones(state: &State, edit: &mut Edit) -> Vec<u64> {
    let removed: BTreeSet<u64> = edit.remove.iter().copied().collect();
    let blocks: Vec<_> = state
        .blocks
        .values()
        .filter(|block| !removed.contains(&block.id))
        .chain(&edit.add)
        .map(|block| {
            let raised = edit.purge.iter().find(|(id, _)| *id == block.id);
            (block, raised.map_or(block.purged, |raised| raised.1))
        })
        .collect();
    let needed = |tombstone: &Tombstone| {
        blocks.iter().any(|(block, purged)| {
            block.namespace == tombstone.namespace
                && *purged < tombstone.sequence
                && block.min_time <= tombstone.last
                && block.max_time >= tombstone.first
        })
    };
    let mut unneeded: Vec<u64> = state
        .tombstones
        .values()
        .filter(|tombstone| !needed(tombstone))
        .map(|tombstone| tombstone.sequence)
        .collect();
    edit.forget.extend(&unneeded);
    edit.tombstones.retain(|tombstone| {
        let keep = needed(tombstone);
        if !keep {
            unneeded.push(tombstone.sequence);
        }
        keep
    });
    unneeded
}

/// Takes tombstones out of the views.
pub(crate) fn forget_tombstones(shared: &Shared, sequences: &[u64]) {
    if !sequences.is_empty() {
        for space in shared.spaces.all() {
            space.view.forget(sequences);
        }
    }
}

/// Commits the drops of namespaces that the WAL tells of and the manifest does not know yet.
pub(crate) fn finish_drops(shared: &Shared, dropped: &[u32]) -> Result<()> {
    dropped
        .iter()
        .try_for_each(|&id| drop_namespace(shared, id))
}

/// Takes a dropped namespace out of the manifest, with all of its blocks.
pub(crate) fn drop_namespace(shared: &Shared, id: u32) -> Result<()> {
    let mut manifest = shared.manifest.lock();
    if !manifest.state().namespaces.contains_key(&id) {
        return Ok(());
    }
    let mut edit = manifest.edit();
    let blocks = manifest.state().blocks.values();
    let blocks = blocks.filter(|block| block.namespace == id);
    edit.remove = blocks.map(|block| block.id).collect();
    edit.namespaces = vec![NamespaceChange::Drop { id }];
    let committed = manifest.commit(&edit, &shared.reserve);
    committed.map_err(|failure| failure.report(&shared.poison))?;
    drop(manifest);
    // Nobody has them open when a drop is finished by an open.
    let dir = shared.dir.join(crate::flush::DIR);
    if shared.spaces.get(id).is_none() {
        for block in &edit.remove {
            let _ = shared
                .options
                .vfs
                .remove(&crate::flush::block_path(&dir, *block));
        }
    }
    Ok(())
}

/// Series that are forgotten under one lock: new ones wait no longer.
const FORGET_SLICE: usize = 256;

/// Lets go of the series that had no samples since the flush before the last.
pub(crate) fn forget_series(shared: &Shared) {
    let generation = shared.generation.load(Ordering::Acquire);
    for space in shared.spaces.all() {
        // A batch waits for its acknowledgement to tell those who watch of its series. What enters
        // from here on is of this generation.
        let waits_for = space.watchers.waits_for();
        if waits_for.is_some_and(|waiting| waiting + 1 < generation) {
            continue;
        }
        let idle = space.registry.read().idle(generation);
        if idle.is_empty() {
            continue;
        }
        {
            // Before any id can go to another series: see `Space::round`. Once for all of them: a
            // view that is got from here on has none of them in its heads.
            let _registry = space.registry.write();
            space.next_round();
        }
        let mut forgotten = 0;
        for ids in idle.chunks(FORGET_SLICE) {
            forgotten += space.registry.write().forget(ids, generation);
        }
        if forgotten > 0 {
            tracing::debug!(namespace = space.name, forgotten, "idle series forgotten");
        }
    }
}
