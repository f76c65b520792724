//! Maintenance: freezing, flushing, syncing; in threads of the database or by call.
//!
//! Joins the stages *seal -> flush -> block -> manifest -> view*. The sync thread and the flush
//! thread are apart, so neither delays the other. Whatever fails leaves the database as it was
//! before, or poisoned.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::flush::{self, FlushPlan, block_path, write_blocks};
use crate::head::{Frozen, Head};
use crate::manifest::format::BlockEntry;
use crate::options::{Maintenance, Sync};
use crate::poison::Failure;
use crate::shared::{Commit, Shared};
use crate::stats::Counters;
use crate::sync::{MutexGuard, Receiver, RecvTimeoutError, Sender, bounded, spawn};
use crate::wal;

/// The threads of an open database; stopping is dropping the senders and joining.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    flush: Option<Sender<()>>,
    sync: Option<Sender<()>>,
    handles: Vec<JoinHandle<()>>,
}

/// How often the flush thread looks at the age of the head.
const AGE_CHECK: Duration = Duration::from_secs(1);

impl Threads {
    /// Starts the threads that the options ask for.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self> {
        let mut threads = Self::default();
        if shared.options.maintenance == Maintenance::Manual {
            return Ok(threads);
        }
        let failed = |error| Error::io("start a thread for", &shared.dir, error);
        let (sender, receiver) = bounded(1);
        let owned = Arc::clone(shared);
        let body = move || guarded(&owned, "flush", || flush_loop(&owned, &receiver));
        threads.handles.push(spawn("flush", body).map_err(failed)?);
        threads.flush = Some(sender);
        if let Sync::Interval(every) = shared.options.sync {
            let (sender, receiver) = bounded(1);
            let owned = Arc::clone(shared);
            let body = move || guarded(&owned, "sync", || sync_loop(&owned, every, &receiver));
            threads.handles.push(spawn("sync", body).map_err(failed)?);
            threads.sync = Some(sender);
        }
        Ok(threads)
    }

    /// Asks the flush thread to look at what is due; never blocks.
    pub(crate) fn wake_flush(&self) {
        if let Some(sender) = &self.flush {
            let _ = sender.try_send(());
        }
    }

    /// Ends the threads and waits for them; a flush under way is finished first.
    pub(crate) fn stop(&mut self) {
        self.flush = None;
        self.sync = None;
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

/// Runs the body of a thread; a panic in it poisons, and wakes the appends that wait for it.
fn guarded(shared: &Shared, name: &str, body: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        shared
            .poison
            .set_reason(&format!("the {name} thread of the database panicked"));
        shared.pressure.changed.notify_all();
    }
}

fn sync_loop(shared: &Shared, every: Duration, stop: &Receiver<()>) {
    while stop.recv_timeout(every) != Err(RecvTimeoutError::Disconnected) {
        // A failure is kept by the poison; the next append reports it.
        let _ = shared.sync();
    }
}

fn flush_loop(shared: &Shared, wake: &Receiver<()>) {
    let mut failed_at: Option<Duration> = None;
    loop {
        if wake.recv_timeout(AGE_CHECK) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let now = shared.options.clock.monotonic();
        let resting = failed_at.is_some_and(|at| now.saturating_sub(at) < AGE_CHECK);
        if !resting && shared.poison.check().is_ok() && is_due(shared) {
            failed_at = flush(shared).is_err().then_some(now);
        }
    }
}

/// Whether memory, WAL size, WAL files or age ask for a flush.
pub(crate) fn is_due(shared: &Shared) -> bool {
    let view = shared.view.get();
    if !view.frozen.is_empty() || view.live.bytes() >= shared.head_bytes_full() {
        return true;
    }
    let wal_bytes = shared.wal_bytes();
    if view.live.samples() == 0 {
        return false;
    }
    // Not while the commit lock is held: a manifest being written would hold up every append.
    let floor = shared.manifest.lock().state().wal_floor;
    let commit = shared.commit.lock();
    let files = commit.wal.number().saturating_sub(floor);
    let age = commit.head_since.map_or(Duration::ZERO, |since| {
        shared.options.clock.monotonic().saturating_sub(since)
    });
    wal_bytes >= shared.options.wal_max_bytes
        || files >= MOST_WAL_FILES
        || age >= shared.options.flush_interval
}

/// WAL files (each open begins one) after which the head is flushed, however small they are.
const MOST_WAL_FILES: u64 = 64;

/// Waits, or flushes when there are no threads, until an append fits. `wake_flush` asks the flush
/// thread to look; nothing that closing needs is held while waiting.
pub(crate) fn make_room(shared: &Shared, wake_flush: impl Fn()) -> Result<()> {
    let over = || {
        shared.head_bytes() >= shared.head_bytes_max()
            || shared.wal_bytes() >= shared.options.wal_max_bytes.saturating_mul(2)
    };
    if shared.options.maintenance == Maintenance::Manual {
        let full = shared.head_bytes() >= shared.head_bytes_full()
            || shared.wal_bytes() >= shared.options.wal_max_bytes;
        return if full { flush(shared) } else { Ok(()) };
    }
    if !over() {
        return Ok(());
    }
    Counters::add(&shared.counters.waits, 1);
    tracing::debug!("append waits for a flush");
    let mut outcome = shared.pressure.last.lock();
    let seen = outcome.ended;
    while over() {
        shared.check_writable()?;
        wake_flush();
        shared
            .pressure
            .changed
            .wait_for(&mut outcome, Duration::from_millis(50));
        if let Some(error) = outcome.error.clone().filter(|_| outcome.ended > seen) {
            return Err(error);
        }
    }
    Ok(())
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
        let frozen = shared.view.get().frozen.clone();
        frozen.iter().try_for_each(|head| flush_head(shared, head))
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

/// Ends the live head, if it holds anything, and lets appends go on in a new one.
fn freeze(shared: &Shared) -> Result<()> {
    let mut commit = shared.commit.lock();
    shared.poison.check()?;
    commit.head.settle();
    if commit.head.samples() == 0 {
        return Ok(());
    }
    let Commit {
        wal,
        head,
        head_since,
    } = &mut *commit;
    let generation = wal.generation() + 1;
    let (through, position) = (wal.last_sequence(), wal.position());
    let rotated = wal.rotate(generation, &shared.syncer);
    rotated.map_err(|failure| failure.report(&shared.poison))?;
    head.freeze(through, wal.number(), position);
    tracing::debug!(through, bytes = head.bytes(), "head frozen");
    let live = Arc::new(Head::new(through));
    *head = Arc::clone(&live);
    *head_since = None;
    shared.view.freeze(live);
    shared.generation.store(generation, Ordering::Release);
    Ok(())
}

/// Writes the blocks of a frozen head, makes them live, and lets go of its part of the WAL.
fn flush_head(shared: &Shared, head: &Arc<Head>) -> Result<()> {
    let Some(frozen) = head.frozen() else {
        return Ok(());
    };
    let started = shared.options.clock.monotonic();
    // A block file never holds what the WAL could still lose: without a manifest record it would
    // be a file that nothing explains.
    shared.sync()?;
    let dir = shared.dir.join(flush::DIR);
    let (database, first_block) = {
        let manifest = shared.manifest.lock();
        (manifest.database(), manifest.state().next_block)
    };
    let entries = write_blocks(
        head,
        &FlushPlan {
            vfs: &shared.options.vfs,
            dir: &dir,
            database,
            registry: &shared.registry,
            first_block,
            min_sequence: frozen.min_sequence,
            max_sequence: frozen.max_sequence,
            window: shared.options.block_window_nanos(),
        },
    )?;
    let published = publish(shared, head, frozen, &entries);
    if let Err(Failure::Refused(_)) = &published {
        for entry in &entries {
            let _ = shared.options.vfs.remove(&block_path(&dir, entry.id));
        }
    }
    published.map_err(|failure| failure.report(&shared.poison))?;
    drop_wal_files(shared, frozen.wal_floor);
    shared
        .wal_start
        .store(frozen.wal_position, Ordering::Release);
    Counters::add(&shared.counters.flushes, 1);
    let took = shared.options.clock.monotonic().saturating_sub(started);
    tracing::info!(
        blocks = entries.len(),
        samples = head.samples(),
        ?took,
        "head flushed"
    );
    shared.reserve.fill();
    Ok(())
}

/// Commits the blocks of `head` to the manifest, then to the view.
fn publish(
    shared: &Shared,
    head: &Arc<Head>,
    frozen: Frozen,
    entries: &[BlockEntry],
) -> Result<(), Failure> {
    // Opened before they are live: a block that cannot be read must not replace its head.
    let dir = shared.dir.join(flush::DIR);
    let open = |entry: &BlockEntry| {
        Block::open(
            &shared.options.vfs,
            &block_path(&dir, entry.id),
            shared.options.reads,
        )
        .map(Arc::new)
    };
    let blocks: Vec<Arc<Block>> = entries
        .iter()
        .map(open)
        .collect::<Result<_>>()
        .map_err(Failure::Refused)?;
    let mut manifest = shared.manifest.lock();
    let next_block = entries.iter().map(|entry| entry.id + 1).max();
    let mut edit = manifest.edit();
    edit.next_block = next_block.unwrap_or(edit.next_block);
    edit.flushed_through = frozen.max_sequence;
    edit.wal_floor = frozen.wal_floor;
    edit.add = entries.to_vec();
    manifest.commit(&edit, &shared.reserve)?;
    shared.view.publish(head, blocks);
    Ok(())
}

/// Removes the WAL files below `floor`. What cannot be removed is removed by the next open.
fn drop_wal_files(shared: &Shared, floor: u64) {
    let dir = shared.dir.join(wal::DIR);
    let vfs = &shared.options.vfs;
    let Ok(entries) = vfs.list(&dir) else { return };
    for number in entries
        .iter()
        .filter_map(|entry| wal::parse_name(&entry.name))
    {
        if number < floor {
            let _ = vfs.remove(&wal::file_path(&dir, number));
        }
    }
}
