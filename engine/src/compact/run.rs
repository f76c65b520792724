//! Carrying compaction out: one job at a time, from the plan to the manifest.
//!
//! Input: the live blocks of a namespace. Output: fewer ones with the same samples. Appends,
//! flushes and queries go on meanwhile: the inputs stay live until the outputs take their place in
//! one record of the manifest. Whatever stops a job leaves the inputs; an open removes the rest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::coarse::{Tier, plan_coarser};
use super::merge::{MergeInput, MergePlan, merge};
use super::{Job, Knobs, PlanBlock, Rungs, choose_base, expired, over_bytes, plan, plan_major};
use crate::block::block_path;
use crate::error::Result;
use crate::flush;
use crate::freeze::open_blocks;
use crate::manifest::format::BlockEntry;
use crate::poison::Failure;
use crate::shared::Shared;
use crate::space::Space;
use crate::stats::Counters;
use crate::tidy;
use crate::tombstone::Tally;
use crate::view::{LiveBlock, View};

/// Carries out the most urgent job of all namespaces; whether there was one. Where one fails, the
/// other namespaces get theirs done before the error is returned.
pub(crate) fn step(shared: &Shared) -> Result<bool> {
    let _turn = shared.compacting.lock();
    let pressed = are_tombstones_many(shared);
    let mut failed = None;
    for space in shared.spaces.all() {
        loop {
            shared.check_writable()?;
            match step_in(shared, &space, pressed) {
                Ok(true) if failed.is_none() => return Ok(true),
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failed.get_or_insert(error);
                    break;
                }
            }
        }
    }
    failed.map_or(Ok(false), Err)
}

/// Carries out the most urgent job of one namespace; whether there was one.
fn step_in(shared: &Shared, space: &Arc<Space>, pressed: bool) -> Result<bool> {
    purge(shared, space)?;
    let view = space.view.get();
    let blocks = weighed(shared, space, &view);
    let newest = newest(&view).min(shared.now());
    let rungs = |step| rungs(shared, space, step);
    let knobs = Knobs {
        pressed,
        ..knobs(space)
    };
    if let Some(job) = plan(&blocks, &rungs, newest, &knobs) {
        run(shared, space, &job, 0)?;
        return Ok(true);
    }
    if let Some((job, step)) = coarser(shared, space) {
        run(shared, space, &job, step)?;
        return Ok(true);
    }
    Ok(false)
}

/// Carries out everything that can be done with the blocks that there are now. What is flushed
/// meanwhile waits: its windows would be rewritten for each flush without end.
pub(crate) fn all(shared: &Shared) -> Result<()> {
    tidy::expire(shared)?;
    let _turn = shared.compacting.lock();
    for space in shared.spaces.all() {
        let view = space.view.get();
        let sequences = view.blocks.iter().map(|live| live.block.max_sequence());
        let through = sequences.max().unwrap_or(0);
        drop(view);
        loop {
            merge_all(shared, &space, through)?;
            // Blocks that became coarser may be merged with their neighbours.
            let mut coarsened = false;
            while let Some((job, step)) = coarser(shared, &space) {
                shared.check_writable()?;
                run(shared, &space, &job, step)?;
                coarsened = true;
            }
            if !coarsened {
                break;
            }
        }
    }
    Ok(())
}

/// Merges the blocks of changes through `through` until there is nothing to merge.
fn merge_all(shared: &Shared, space: &Arc<Space>, through: u64) -> Result<()> {
    loop {
        shared.check_writable()?;
        if space.is_dropped() {
            return Ok(());
        }
        purge(shared, space)?;
        let view = space.view.get();
        let newest = newest(&view).min(shared.now());
        let rungs = |step| rungs(shared, space, step);
        let mut blocks = weighed(shared, space, &view);
        blocks.retain(|block| block.max_sequence <= through);
        let jobs = plan_major(&blocks, &rungs, newest, &knobs(space));
        if jobs.is_empty() {
            return Ok(());
        }
        for job in jobs {
            run(shared, space, &job, 0)?;
        }
    }
}

/// Whether the tombstones of the database are half of those at which deletes are refused.
fn are_tombstones_many(shared: &Shared) -> bool {
    let views: Vec<_> = shared.spaces.all().iter().map(|s| s.view.get()).collect();
    let tombstones = views.iter().flat_map(|view| &view.tombstones);
    Tally::of(tombstones.map(|one| &one.selector)).is_half()
}

/// Ids of the blocks whose every sample is at `horizon` or before.
pub(crate) fn over_age(view: &View, horizon: i64) -> Vec<u64> {
    expired(&plan_blocks(view), horizon)
}

/// The timestamp through which data must go so that blocks of `most` bytes stay, if any must.
pub(crate) fn too_old(view: &View, most: u64) -> Option<i64> {
    over_bytes(&plan_blocks(view), most)
}

/// The window that a flush of `bytes` cuts its blocks at, where series usually span `span`
/// nanoseconds: as told, or chosen from how dense they are.
pub(crate) fn flush_window(shared: &Shared, space: &Space, bytes: u64, span: i64) -> i64 {
    let rungs = rungs(shared, space, 0);
    if window(shared, space).is_some() {
        return rungs.width(0);
    }
    choose_base(bytes, span).min(rungs.width(rungs.top()))
}

/// The windows of a namespace for blocks of this step. What goes or becomes coarser with age is
/// gathered in windows that are short beside that age: blocks go whole.
fn rungs(shared: &Shared, space: &Space, step: u32) -> Rungs {
    let rungs = match window(shared, space) {
        Some(window) => Rungs::of(nanos(window)),
        None => Rungs::automatic(),
    };
    let options = space.options();
    let coarser = options.downsample.iter();
    let coarser = coarser.filter(|one| one.step.as_secs() > u64::from(step));
    let ages = coarser.map(|one| one.after).chain(options.retention);
    match ages.min() {
        Some(age) => rungs.within(nanos(age)),
        None => rungs,
    }
}

/// The window that blocks were told to have.
fn window(shared: &Shared, space: &Space) -> Option<Duration> {
    let own = space.options().block_window;
    own.or(shared.options.block_window)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// How eagerly the blocks of a namespace are merged. A block may not be most of what it may hold.
fn knobs(space: &Space) -> Knobs {
    let knobs = Knobs::default();
    let most = space.options().retention_bytes.map(|bytes| bytes / 8);
    Knobs {
        max_bytes: knobs.max_bytes.min(most.unwrap_or(u64::MAX)),
        ..knobs
    }
}

fn plan_blocks(view: &View) -> Vec<PlanBlock> {
    let block = |live: &LiveBlock| {
        let info = live.block.info();
        PlanBlock {
            id: info.meta.id,
            level: info.meta.level,
            step: info.meta.step,
            min_time: info.min_time,
            max_time: info.max_time,
            min_sequence: info.meta.min_sequence,
            max_sequence: info.meta.max_sequence,
            bytes: info.bytes.total,
            deleted: live.deleted(),
        }
    };
    view.blocks.iter().map(block).collect()
}

/// The blocks as the plan is to see them: those whose merge takes much memory weigh more. What a
/// block writer keeps until its end are the labels, the directory and the timestamps.
fn weighed(shared: &Shared, space: &Space, view: &View) -> Vec<PlanBlock> {
    let (most, share) = (knobs(space).max_bytes, shared.memory.merge_most());
    let mut blocks = plan_blocks(view);
    for (block, live) in blocks.iter_mut().zip(&view.blocks) {
        let bytes = live.block.info().bytes;
        let heap = INDEX_HEAP * bytes.index + bytes.directory + bytes.timestamps;
        let weight = u128::from(heap) * u128::from(most) / u128::from(share);
        block.bytes = block.bytes.max(u64::try_from(weight).unwrap_or(u64::MAX));
    }
    blocks
}

/// Bytes of heap that an index takes while it is written, for each byte of it in the file.
const INDEX_HEAP: u64 = 4;

/// Timestamp of the newest sample in blocks. What heads hold does not end a window: a flush may
/// still bring the rest of it.
fn newest(view: &View) -> i64 {
    let blocks = view.blocks.iter().map(|live| live.block.max_time());
    blocks.max().unwrap_or(i64::MIN)
}

/// Notes of blocks in which the oldest of the tombstones that touch their times find no samples that
/// they hide nothing there.
fn purge(shared: &Shared, space: &Space) -> Result<()> {
    let view = space.view.get();
    let Some(newest) = view.tombstones.last().map(|tombstone| tombstone.sequence) else {
        return Ok(());
    };
    let mut marks = Vec::new();
    for live in view.blocks.iter().filter(|live| live.is_touched()) {
        let through = live.hides_nothing_through(newest)?;
        if through > live.purged {
            marks.push((live.block.id(), through));
        }
    }
    if marks.is_empty() {
        return Ok(());
    }
    let mut manifest = shared.manifest.lock();
    let mut edit = manifest.edit();
    // A tombstone that only the WAL holds is not purged before a flush has carried it over.
    let through = manifest.state().flushed_through;
    marks.retain(|(id, _)| manifest.state().blocks.contains_key(id));
    edit.purge = marks
        .iter()
        .map(|&(id, purged)| (id, purged.min(through)))
        .collect();
    edit.purge.retain(|(id, through)| {
        let block = manifest.state().blocks.get(id);
        block.is_some_and(|block| block.purged < *through)
    });
    if edit.purge.is_empty() {
        return Ok(());
    }
    let unneeded = tidy::drop_tombstones(manifest.state(), &mut edit);
    let committed = manifest.commit(&edit, &shared.reserve);
    committed.map_err(|failure| failure.report(&shared.poison))?;
    space.view.purge(&edit.purge);
    drop(manifest);
    tidy::forget_tombstones(shared, &unneeded);
    Ok(())
}

/// What is old enough to become coarser: a job, and its step in seconds.
fn coarser(shared: &Shared, space: &Space) -> Option<(Job, u32)> {
    let options = space.options();
    let now = shared.now();
    let tiers = options.downsample.iter().map(|one| Tier {
        before: now.saturating_sub(nanos(one.after)),
        step: u32::try_from(one.step.as_secs()).unwrap_or(u32::MAX),
    });
    let tiers: Vec<Tier> = tiers.collect();
    let blocks = weighed(shared, space, &space.view.get());
    plan_coarser(&blocks, &tiers, &knobs(space))
}

/// Carries out one job; the outputs have steps of `step` seconds, or those of the inputs when it is
/// 0.
fn run(shared: &Shared, space: &Arc<Space>, job: &Job, step: u32) -> Result<()> {
    let started = shared.options.clock.monotonic();
    let view = space.view.get();
    let mut inputs = Vec::with_capacity(job.inputs.len());
    for id in &job.inputs {
        let Some(live) = view.blocks.iter().find(|live| live.block.id() == *id) else {
            // Dropped since the job was planned.
            return Ok(());
        };
        inputs.push(MergeInput {
            block: Arc::clone(&live.block),
            tombstones: live.hidden()?,
        });
    }
    // All deletes so far are applied in what is written. They are durable before it says so: were
    // one lost, a later one could get its sequence.
    let applied = view
        .tombstones
        .last()
        .map_or(0, |tombstone| tombstone.sequence);
    if applied > 0 {
        shared.sync()?;
    }
    let outputs = job.edges.len() as u64 + 1;
    let first_block = take_ids(shared, outputs)?;
    let dir = shared.dir.join(flush::DIR);
    let database = shared.manifest.lock().database();
    let keep_going = || !shared.closed.load(Ordering::Acquire) && !space.is_dropped();
    let merged = merge(&MergePlan {
        vfs: &shared.options.vfs,
        dir: &dir,
        database,
        namespace: space.id,
        first_block,
        level: job.level,
        step,
        cold: shared.options.entropy_coding,
        inputs: &inputs,
        edges: &job.edges,
        horizon: horizon(shared, space, &view, job),
        keep_going: &keep_going,
    });
    let merged = merged.inspect_err(|error| {
        if error.is_disk_full() {
            // The next attempt has the room.
            shared.reserve.drop_kept();
        }
    })?;
    let Some(mut entries) = merged else {
        return shared.check_open();
    };
    for entry in &mut entries {
        entry.purged = entry.max_sequence.max(applied);
    }
    let published = publish(shared, space, &job.inputs, &entries);
    if !matches!(published, Ok(true) | Err(Failure::Unknown(_))) {
        for entry in &entries {
            let _ = shared.options.vfs.remove(&block_path(&dir, entry.id));
        }
    }
    if !published.map_err(|failure| failure.report(&shared.poison))? {
        return Ok(());
    }
    shared.reserve.fill();
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    Counters::add(&shared.counters.compactions, 1);
    Counters::add(&shared.counters.compacted_bytes, bytes);
    tracing::info!(
        namespace = space.name,
        reason = ?job.reason,
        inputs = job.inputs.len(),
        outputs = entries.len(),
        bytes,
        took = ?shared.options.clock.monotonic().saturating_sub(started),
        "blocks compacted"
    );
    Ok(())
}

/// The last timestamp that may be left out because it has expired; none where an older block would
/// come out from under what is left out, were the retention made longer.
fn horizon(shared: &Shared, space: &Space, view: &View, job: &Job) -> i64 {
    let last = space.horizon(shared.now()).saturating_sub(1);
    let newest = view
        .blocks
        .iter()
        .filter(|live| job.inputs.contains(&live.block.id()));
    let newest = newest
        .map(|live| live.block.max_sequence())
        .max()
        .unwrap_or(0);
    let older = |live: &&LiveBlock| {
        let block = &live.block;
        let other = !job.inputs.contains(&block.id());
        other && block.min_time() <= last && block.min_sequence() < newest
    };
    match view.blocks.iter().find(older) {
        Some(_) => i64::MIN,
        None => last,
    }
}

/// Ids for the outputs of a job. The manifest knows of them before the first file is there: what a
/// crash leaves of them is then known to be replaceable.
fn take_ids(shared: &Shared, count: u64) -> Result<u64> {
    let first = shared.take_block_ids(count);
    let mut manifest = shared.manifest.lock();
    let mut edit = manifest.edit();
    edit.next_block = shared.next_block.load(Ordering::Acquire);
    // A merge needs room of its own; on a full disk it must not begin with the reserve.
    let committed = manifest.commit(&edit, &shared.reserve.spared());
    committed.map_err(|failure| failure.report(&shared.poison))?;
    Ok(first)
}

/// Puts the outputs in the place of the inputs; `false` when these are not all live any more.
fn publish(
    shared: &Shared,
    space: &Arc<Space>,
    inputs: &[u64],
    entries: &[BlockEntry],
) -> Result<bool, Failure> {
    let blocks = open_blocks(shared, entries).map_err(Failure::Refused)?;
    let mut manifest = shared.manifest.lock();
    let live = |id: &u64| manifest.state().blocks.contains_key(id);
    if !inputs.iter().all(live) {
        return Ok(false);
    }
    let mut edit = manifest.edit();
    edit.add = entries.to_vec();
    edit.remove = inputs.to_vec();
    let unneeded = tidy::drop_tombstones(manifest.state(), &mut edit);
    manifest.commit(&edit, &shared.reserve)?;
    let gone = space.view.replace(inputs, blocks);
    drop(manifest);
    tidy::forget_tombstones(shared, &unneeded);
    gone.iter().for_each(|block| block.doom());
    Ok(true)
}
