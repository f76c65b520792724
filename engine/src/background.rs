//! Maintenance: when to flush, sync, compact and expire; in threads of the database or by call.
//!
//! Sync, flush and compaction have threads of their own: none delays another. Whatever fails leaves
//! the database as it was before, or poisoned.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::compact;
use crate::error::{Error, Result};
use crate::freeze::flush;
use crate::limits::MAX_TOMBSTONE_PATTERNS;
use crate::options::{Maintenance, Sync};
use crate::shared::Shared;
use crate::stats::Counters;
use crate::sync::{Receiver, RecvTimeoutError, Sender, bounded, spawn};
use crate::tidy;

/// The threads of an open database; stopping is dropping the senders and joining.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    flush: Option<Sender<()>>,
    sync: Option<Sender<()>>,
    compact: Option<Sender<()>>,
    handles: Vec<JoinHandle<()>>,
}

/// How often the flush thread looks at the age of the heads, and the compaction thread at what is
/// due.
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
        let (sender, receiver) = bounded(1);
        let owned = Arc::clone(shared);
        let body = move || guarded(&owned, "compaction", || compact_loop(&owned, &receiver));
        threads
            .handles
            .push(spawn("compact", body).map_err(failed)?);
        threads.compact = Some(sender);
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

    /// Ends the threads and waits for them; a flush under way is finished first, a compaction is
    /// given up.
    pub(crate) fn stop(&mut self) {
        self.flush = None;
        self.sync = None;
        self.compact = None;
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
    if !shared.frozen.lock().is_empty() || is_full(shared) {
        return true;
    }
    let wal_bytes = shared.wal_bytes();
    // Not while the commit lock is held: a manifest being written would hold up every append.
    let floor = shared.manifest.lock().state().wal_floor;
    let commit = shared.commit.lock();
    if commit.head_since.is_none() && commit.changes.is_empty() {
        // A new series was refused, and no append lets the idle ones be forgotten.
        return shared.memory.labels.is_pressed();
    }
    let files = commit.wal.number().saturating_sub(floor);
    let age = commit.head_since.map_or(Duration::ZERO, |since| {
        shared.options.clock.monotonic().saturating_sub(since)
    });
    wal_bytes >= shared.wal_most()
        || commit.changes.deletes() >= MOST_DELETES
        || files >= MOST_WAL_FILES
        || age >= shared.options.flush_interval
}

/// Whether the live heads are worth a flush for the memory that they take: earlier when readers
/// hold on to older ones.
fn is_full(shared: &Shared) -> bool {
    let (live, full) = (shared.live_bytes(), shared.memory.heads_full());
    live >= full || (live >= full / 8 && shared.memory.head_bytes() >= shared.memory.heads_most())
}

/// Deletes after which the heads are flushed, so that compaction can apply them: well below the
/// fewest that a limit allows.
const MOST_DELETES: usize = MAX_TOMBSTONE_PATTERNS / 4;

/// WAL files (each open begins one) after which the head is flushed, however small they are.
const MOST_WAL_FILES: u64 = 64;

/// Compacts and expires what is due, one job at a time, until told to stop.
fn compact_loop(shared: &Shared, stop: &Receiver<()>) {
    let mut failed_at: Option<Duration> = None;
    let mut busy = false;
    loop {
        let pause = if busy { Duration::ZERO } else { AGE_CHECK };
        if stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        busy = false;
        let now = shared.options.clock.monotonic();
        let resting = failed_at.is_some_and(|at| now.saturating_sub(at) < REST);
        if resting || shared.poison.check().is_err() {
            continue;
        }
        // One does not wait for the other: deletes that retention needs may find no room before
        // compaction has made earlier ones final.
        let expired = tidy::expire(shared);
        let compacted = compact::step(shared);
        match expired.and(compacted) {
            Ok(more) => busy = more,
            Err(Error::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "compaction failed; everything stays as it was");
                failed_at = Some(now);
            }
        }
    }
}

/// How long maintenance rests after a failure.
const REST: Duration = Duration::from_secs(10);

/// Waits, or flushes when there are no threads, until an append fits. `wake_flush` asks the flush
/// thread to look; nothing that closing needs is held while waiting.
pub(crate) fn make_room(shared: &Shared, wake_flush: impl Fn()) -> Result<()> {
    let manual = shared.options.maintenance == Maintenance::Manual;
    if manual && (is_full(shared) || shared.wal_bytes() >= shared.wal_most()) {
        flush(shared)?;
    }
    let over = || {
        let wal_full = shared.wal_bytes() >= shared.wal_most().saturating_mul(2);
        shared.memory.head_bytes() >= shared.memory.heads_most() || (!manual && wal_full)
    };
    if !over() {
        return Ok(());
    }
    Counters::add(&shared.counters.waits, 1);
    tracing::debug!("append waits for a flush");
    let mut outcome = shared.pressure.last.lock();
    let seen = outcome.ended;
    let mut held = 0;
    while over() {
        shared.check_writable()?;
        held = if is_held(shared) { held + 1 } else { 0 };
        if held > PATIENCE {
            return Err(held_error(shared));
        }
        wake_flush();
        shared.pressure.changed.wait_for(&mut outcome, LOOK_AGAIN);
        if let Some(error) = outcome.error.clone().filter(|_| outcome.ended > seen) {
            return Err(error);
        }
    }
    Ok(())
}

/// How long a waiting append waits before it looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often in a row an append finds that only iterators hold the memory before it gives up: their
/// owners may need it to go on.
const PATIENCE: u32 = 100;

/// Whether no flush can help: what fills the memory are heads that open iterators still read.
fn is_held(shared: &Shared) -> bool {
    shared.memory.head_bytes() >= shared.memory.heads_most()
        && !is_full(shared)
        && shared.frozen.lock().is_empty()
}

fn held_error(shared: &Shared) -> Error {
    let bytes = shared.memory.head_bytes();
    Error::limit(
        "head memory limit",
        shared.memory.heads_most(),
        format!("iterators of queries, which hold on to {bytes} bytes of samples"),
        "finish or drop them, or raise Options::memory_bytes",
    )
}
