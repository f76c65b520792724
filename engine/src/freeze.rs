//! From heads to blocks: freezing, flushing, publishing. Joins the stages
//! *seal -> flush -> block -> manifest -> view*.
//!
//! The heads of all namespaces are frozen together, with one rotation of the WAL, and become live
//! as blocks in one manifest commit, together with the changes that the WAL held until then.
//! Whatever fails leaves the database as it was before, or poisoned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block::Block;
use crate::error::Result;
use crate::flush::{self, FlushPlan, block_path, write_blocks};
use crate::head::Head;
use crate::limits::FLUSH_BLOCKS;
use crate::manifest::format::BlockEntry;
use crate::manifest::pending::Pending;
use crate::poison::Failure;
use crate::shared::{Commit, Shared};
use crate::space::Space;
use crate::stats::Counters;
use crate::sync::MutexGuard;
use crate::wal::change::NamespaceChange;
use crate::{compact, tidy, wal};

/// Heads that were frozen together, and the changes of their time that are not samples.
#[derive(Debug)]
pub(crate) struct FrozenSet {
    heads: Vec<(Arc<Space>, Arc<Head>)>,
    changes: Pending,
    /// Sequence of their last change.
    max_sequence: u64,
    /// The first WAL file that holds none of them.
    wal_floor: u64,
    /// Position at which that file starts.
    wal_position: u64,
}

/// Moves everything appended so far into blocks.
pub(crate) fn flush(shared: &Shared) -> Result<()> {
    let turn = shared.flushing.lock();
    // Whoever closes takes the turn as well: after that nothing is flushed any more.
    shared.check_open()?;
    flush_in_turn(shared, &turn)
}

/// As [`flush`], for a caller whose turn it is. Heads that an earlier flush could not write come
/// first: while they cannot be written, no further head is frozen.
pub(crate) fn flush_in_turn(shared: &Shared, _turn: &MutexGuard<'_, ()>) -> Result<()> {
    let flush_frozen = || {
        while let Some(set) = next(shared) {
            flush_set(shared, &set)?;
            drop(set);
            // Its heads are freed before anybody sees that nothing is left to flush.
            shared.frozen.lock().pop_front();
        }
        Ok(())
    };
    let flushed = flush_frozen()
        .and_then(|()| freeze(shared))
        .and_then(|()| flush_frozen());
    if let Err(error) = &flushed {
        tracing::error!(%error, "flush failed; its samples stay in memory and in the WAL");
    }
    let mut outcome = shared.pressure.last.lock();
    outcome.ended += 1;
    outcome.error = flushed.as_ref().err().cloned();
    shared.pressure.changed.notify_all();
    flushed
}

fn next(shared: &Shared) -> Option<Arc<FrozenSet>> {
    shared.frozen.lock().front().cloned()
}

/// Ends the live heads, if they hold anything, and lets appends go on in new ones.
fn freeze(shared: &Shared) -> Result<()> {
    let mut commit = shared.commit.lock();
    shared.poison.check()?;
    let spaces = shared.spaces.all();
    let (mut heads, mut empty) = (Vec::new(), Vec::new());
    for space in &spaces {
        let head = Arc::clone(&space.view.get().live);
        head.settle();
        if head.samples() > 0 {
            heads.push((Arc::clone(space), head));
        } else {
            empty.push(space);
        }
    }
    let labels = &shared.memory.labels;
    if heads.is_empty() && commit.changes.is_empty() && !labels.is_pressed() {
        return Ok(());
    }
    labels.relax();
    let Commit {
        wal,
        head_since,
        changes,
    } = &mut *commit;
    let generation = wal.generation() + 1;
    let (through, wal_position) = (wal.last_sequence(), wal.position());
    let rotate = || wal.rotate(generation, &shared.syncer);
    let rotated = shared.reserve.with_room(rotate);
    rotated.map_err(|failure| failure.report(&shared.poison))?;
    for (space, head) in &heads {
        head.freeze(through);
        let account = Arc::clone(&shared.memory.heads);
        space.view.freeze(Arc::new(Head::new(through, account)));
    }
    // A head lasts for one generation, empty or not. Ids are told apart by generation: in a head of
    // two, a question would take what a new series appends for that of the one that had its id.
    for space in &empty {
        let account = Arc::clone(&shared.memory.heads);
        space.view.renew(Arc::new(Head::new(through, account)));
    }
    tracing::debug!(through, heads = heads.len(), "heads frozen");
    *head_since = None;
    shared.generation.store(generation, Ordering::Release);
    shared.frozen.lock().push_back(Arc::new(FrozenSet {
        heads,
        changes: std::mem::take(changes),
        max_sequence: through,
        wal_floor: wal.number(),
        wal_position,
    }));
    Ok(())
}

/// The blocks of one namespace, written and not yet live.
struct Written<'a> {
    space: &'a Arc<Space>,
    head: &'a Arc<Head>,
    entries: Vec<BlockEntry>,
}

/// Writes the blocks of frozen heads, makes them live, and lets go of their part of the WAL.
fn flush_set(shared: &Shared, set: &FrozenSet) -> Result<()> {
    let started = shared.options.clock.monotonic();
    // A block file never holds what the WAL could still lose: without a manifest record it would
    // be a file that nothing explains.
    shared.sync()?;
    let mut written = Vec::new();
    let published = shared.reserve.with_room(|| {
        written.clear();
        let published = write(shared, set, &mut written)
            .map_err(Failure::Refused)
            .and_then(|()| publish(shared, set, &written));
        if let Err(Failure::Refused(_)) = &published {
            let dir = shared.dir.join(flush::DIR);
            for entry in written.iter().flat_map(|written| &written.entries) {
                let _ = shared.options.vfs.remove(&block_path(&dir, entry.id));
            }
        }
        published
    });
    published.map_err(|failure| failure.report(&shared.poison))?;
    drop_wal_files(shared, set.wal_floor);
    shared.wal_start.store(set.wal_position, Ordering::Release);
    Counters::add(&shared.counters.flushes, 1);
    let took = shared.options.clock.monotonic().saturating_sub(started);
    let blocks: usize = written.iter().map(|written| written.entries.len()).sum();
    tracing::info!(blocks, ?took, "heads flushed");
    shared.reserve.fill();
    tidy::forget_series(shared);
    Ok(())
}

/// Writes the blocks of each head; those written so far are in `written` after an error too.
fn write<'a>(shared: &Shared, set: &'a FrozenSet, written: &mut Vec<Written<'a>>) -> Result<()> {
    let dir = shared.dir.join(flush::DIR);
    let database = shared.manifest.lock().database();
    for (space, head) in &set.heads {
        let Some((min_sequence, max_sequence)) = head.frozen().filter(|_| !space.is_dropped())
        else {
            continue;
        };
        let plan = FlushPlan {
            vfs: &shared.options.vfs,
            dir: &dir,
            database,
            namespace: space.id,
            registry: &space.registry,
            first_block: shared.take_block_ids(FLUSH_BLOCKS as u64),
            min_sequence,
            max_sequence,
            window: compact::flush_window(shared, space, head.bytes(), head.span()),
        };
        let entries = write_blocks(head, &plan)?;
        written.push(Written {
            space,
            head,
            entries,
        });
    }
    Ok(())
}

/// Commits the blocks and the changes to the manifest, then to the views.
fn publish(shared: &Shared, set: &FrozenSet, written: &[Written<'_>]) -> Result<(), Failure> {
    // Opened before they are live: a block that cannot be read must not replace its head.
    let mut blocks = Vec::new();
    for written in written {
        let opened = open_blocks(shared, &written.entries).map_err(Failure::Refused)?;
        blocks.push(opened);
    }
    let mut manifest = shared.manifest.lock();
    let mut edit = manifest.edit();
    edit.next_block = shared.next_block.load(Ordering::Acquire);
    edit.flushed_through = set.max_sequence;
    edit.wal_floor = set.wal_floor;
    // Looked at once: a namespace that is dropped from here on is in this edit as a whole, and goes
    // with the record that its drop commits.
    let kept: Vec<u32> = shared.spaces.all().iter().map(|space| space.id).collect();
    let gone = |id| !kept.contains(&id);
    edit.add = written
        .iter()
        .filter(|written| !gone(written.space.id))
        .flat_map(|written| written.entries.iter().copied())
        .collect();
    // A drop is committed when it is made. If that failed, or was overtaken, it goes along here: the
    // WAL lets go of its frame, and its name may have been used again.
    for id in set.changes.dropped() {
        if manifest.state().namespaces.contains_key(&id) {
            let blocks = manifest.state().blocks.values();
            let blocks = blocks.filter(|block| block.namespace == id);
            edit.remove.extend(blocks.map(|block| block.id));
            edit.namespaces.push(NamespaceChange::Drop { id });
        }
    }
    if set.heads.iter().any(|(space, _)| gone(space.id)) {
        // What is left out is gone once the drop is durable, and not before.
        shared.sync().map_err(Failure::Refused)?;
    }
    set.changes.without(gone).put_into(&mut edit);
    let unneeded = tidy::drop_tombstones(manifest.state(), &mut edit);
    manifest.commit(&edit, &shared.reserve)?;
    let dir = shared.dir.join(flush::DIR);
    for block in &edit.remove {
        // Of dropped namespaces, which nobody can open any more.
        let _ = shared.options.vfs.remove(&block_path(&dir, *block));
    }
    for (written, blocks) in written.iter().zip(blocks) {
        Counters::add(
            &shared.counters.flushed_bytes,
            written.entries.iter().map(|entry| entry.bytes).sum(),
        );
        if gone(written.space.id) {
            blocks.iter().for_each(|(block, _)| block.doom());
        } else {
            written.space.view.publish(written.head, blocks);
        }
    }
    drop(manifest);
    tidy::forget_tombstones(shared, &unneeded);
    Ok(())
}

/// Opens blocks that were just written, each with the sequence up to which deletes are applied.
pub(crate) fn open_blocks(
    shared: &Shared,
    entries: &[BlockEntry],
) -> Result<Vec<(Arc<Block>, u64)>> {
    let dir = shared.dir.join(flush::DIR);
    let open = |entry: &BlockEntry| {
        let path = block_path(&dir, entry.id);
        let (options, cache) = (&shared.options, &shared.memory.blocks);
        let block = Block::open_with(&options.vfs, &path, options.reads, cache)?;
        Ok((Arc::new(block), entry.purged))
    };
    entries.iter().map(open).collect()
}

/// Removes the WAL files below `floor` that are not kept for those who follow. What cannot be
/// removed is removed by the next open.
fn drop_wal_files(shared: &Shared, floor: u64) {
    shared.reserve.keep_from(floor);
    let dir = shared.dir.join(wal::DIR);
    let vfs = &shared.options.vfs;
    let keep = shared.options.wal_keep_bytes;
    let Ok(unneeded) = wal::unneeded(&**vfs, &dir, floor, keep) else {
        return;
    };
    for number in unneeded {
        let _ = vfs.remove(&wal::file_path(&dir, number));
    }
}

#[cfg(test)]
mod tests {
    use treering_index::labels;

    use super::*;
    use crate::options::Maintenance;
    use crate::vfs::MemVfs;
    use crate::{Batch, Db, Metadata, Options, Selector};

    /// An empty head once stayed live when others were frozen. A question that had planned with it
    /// then found in it what was appended to a new series, under the id of one that had been
    /// forgotten in the meantime, and took it for the old one's.
    #[test]
    fn a_question_outlives_the_ids_it_was_planned_with() {
        let options = Options::default()
            .vfs(Arc::new(MemVfs::new()))
            .maintenance(Maintenance::Manual);
        let db = Db::open("/db", options).unwrap();
        let describe = |help: &str| {
            let metadata = Metadata::default().help(help);
            db.set_metadata("cpu", &metadata).unwrap();
        };
        let host = |host: &str| labels! { "__name__" => "cpu", "host" => host };
        db.append(&Batch::new().sample(host("old"), 1, 1.0))
            .unwrap();
        let shared = db.shared().unwrap();
        // The series is in a frozen head when the question comes, below an empty one.
        freeze(shared).unwrap();
        let mut asked = db.select(&Selector::metric("cpu"), ..).unwrap();
        for help in ["a", "b", "c"] {
            describe(help);
            flush(shared).unwrap();
        }
        assert_eq!(db.stats().series, 0, "it is forgotten by now");
        db.append(&Batch::new().sample(host("new"), 2, 2.0))
            .unwrap();
        let found = asked.next().unwrap().unwrap();
        assert_eq!(found.labels(), &host("old"));
        assert_eq!(found.columns().unwrap().timestamps, [1]);
        assert!(asked.next().is_none());
    }
}
